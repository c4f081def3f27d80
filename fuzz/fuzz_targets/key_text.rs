//! `cargo fuzz run key_text`: see the module of that name in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aldaba_fuzz::key_text::run(data));
