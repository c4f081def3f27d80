//! `cargo fuzz run capture_file`: see the module of that name in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aldaba_fuzz::capture_file::run(data));
