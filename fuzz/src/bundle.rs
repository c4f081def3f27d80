//! The bundle that carries the monitor's files to the worker: no bytes bring the decoder down, and what it takes has one
//! spelling.

use aldaba_config::Bundle;

/// Checks one input.
///
/// # Panics
/// If the decoder does, or what it took encodes to other bytes.
pub fn run(data: &[u8]) {
    if let Ok(bundle) = Bundle::decode(data) {
        assert_eq!(*bundle.encode(), data);
        // Bytes that no monitor wrote: whether they are a policy is for the readers to say, not to die of.
        drop(bundle.policy());
    }
}
