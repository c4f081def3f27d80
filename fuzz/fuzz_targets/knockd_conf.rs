//! `cargo fuzz run knockd_conf`: see the module of that name in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aldaba_fuzz::knockd_conf::run(data));
