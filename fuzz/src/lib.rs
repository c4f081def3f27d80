//! What every fuzz target checks. The targets themselves are in `fuzz_targets/`, their seeds in `seeds/`; `fuzz/smoke`
//! runs them all for a few seconds on a stable toolchain, and `tests/replay.rs` replays the seeds.
#![forbid(unsafe_code)]

pub mod aldaba_toml;
pub mod authorized_keys;
pub mod bundle;
pub mod capture_file;
pub mod control;
pub mod datagram;
pub mod datagram_sealed;
pub mod device_bundle;
pub mod differential;
pub mod frame;
pub mod hits;
mod input;
pub mod key_text;
pub mod knockd_conf;
pub mod lease_ops;
mod memory;
pub mod replay_ops;
pub mod replay_store;
pub mod request;
pub mod sequence;
mod spa;

/// A target: checks one input, and panics if what is to hold does not.
pub type Target = fn(&[u8]);

/// All of them by name, which is also the name of their folder of seeds.
pub const TARGETS: [(&str, Target); 18] = [
    ("aldaba_toml", aldaba_toml::run),
    ("authorized_keys", authorized_keys::run),
    ("bundle", bundle::run),
    ("capture_file", capture_file::run),
    ("control", control::run),
    ("datagram", datagram::run),
    ("datagram_sealed", datagram_sealed::run),
    ("device_bundle", device_bundle::run),
    ("differential", differential::run),
    ("frame", frame::run),
    ("hits", hits::run),
    ("key_text", key_text::run),
    ("knockd_conf", knockd_conf::run),
    ("lease_ops", lease_ops::run),
    ("replay_ops", replay_ops::run),
    ("replay_store", replay_store::run),
    ("request", request::run),
    ("sequence", sequence::run),
];

/// The folder with one folder of seeds for each target.
pub const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds");
