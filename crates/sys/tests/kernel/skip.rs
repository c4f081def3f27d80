//! Tests that cannot run here say so.

/// Says why a test does not run; fails where it must.
pub(crate) fn skipped(reason: &str) {
    #[expect(clippy::disallowed_methods, reason = "whoever runs the tests decides whether all must run")]
    let must_run = std::env::var("ALDABA_TESTS_MUST_RUN").is_ok_and(|value| value == "1");
    assert!(!must_run, "SKIPPED: {reason}, but ALDABA_TESTS_MUST_RUN=1");
    eprintln!("SKIPPED: {reason}");
}

/// Whether this process may do what the monitor does.
pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skipped("needs root");
    }
    root
}
