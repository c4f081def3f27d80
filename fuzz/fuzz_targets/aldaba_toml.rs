//! `cargo fuzz run aldaba_toml`: see the module of that name in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aldaba_fuzz::aldaba_toml::run(data));
