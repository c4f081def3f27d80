//! What the tests share: two hosts in network namespaces, and programs that run on them.
//!
//! Everything made here is removed on drop; every wait is bounded; processes are ended by pid.
#![forbid(unsafe_code)]
#![expect(
    missing_docs,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::must_use_candidate,
    clippy::disallowed_methods,
    reason = "test support: it fails by panicking, runs programs and waits for real"
)]

pub mod device;
pub mod disk;
pub mod hosts;
pub mod machine;
pub mod memory;
pub mod program;
pub mod scene;
pub mod sshd;
pub mod status;
pub mod wire;

pub use device::Device;
pub use disk::SmallDisk;
pub use hosts::Hosts;
pub use machine::Machine;
pub use program::Program;
pub use scene::{asked, serve, serve_prepared, text};
pub use sshd::Sshd;
pub use status::{degraded, lost_on_the_way, status};
pub use wire::{Ear, Wire};

use std::time::{Duration, Instant};

/// Why this machine cannot run tests with namespaces; printed and counted by `tests/run`.
pub fn cannot_run() -> Option<String> {
    let reason = if !rustix::process::geteuid().is_root() {
        "needs root (tests/run uses sudo)".to_owned()
    } else if !std::path::Path::new("/usr/sbin/nft").exists() {
        "needs nftables (tests/run installs it)".to_owned()
    } else {
        return None;
    };
    assert!(std::env::var_os("ALDABA_TESTS_MUST_RUN").is_none(), "this suite must run: {reason}");
    println!("SKIPPED: {reason}");
    Some(reason)
}

/// Polls until `done` says so; the time it took, or `None` after `limit`.
pub fn until(limit: Duration, mut done: impl FnMut() -> bool) -> Option<Duration> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if done() {
            return Some(start.elapsed());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}
