//! `cargo fuzz run authorized_keys`: see the module of that name in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aldaba_fuzz::authorized_keys::run(data));
