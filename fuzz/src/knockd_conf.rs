//! knockd.conf: no bytes bring the reader down, a refusal has a reason and a place, and what is taken can be written as
//! aldaba.toml and read back as the same policy.

use aldaba_config::Kind;

/// Checks one input.
///
/// # Panics
/// If the reader does, or the policy read back differs.
pub fn run(data: &[u8]) {
    crate::memory::check(Kind::Knockd, data);
}
