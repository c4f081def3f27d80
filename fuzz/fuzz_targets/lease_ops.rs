//! `cargo fuzz run lease_ops`: see the module of that name in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aldaba_fuzz::lease_ops::run(data));
