//! The worker's copy of the policy, built from the same bytes as the monitor's.

use aldaba_config::{Bundle, Policy};
use aldaba_gate::Rules;

/// The gate's rules in a bundle of the policy's files. What is wrong with it was said by the monitor, who read the
/// same bytes before; here it only means that the policy is not taken.
pub(super) fn rules(bundle: &[u8]) -> Option<Rules> {
    let bundle = Bundle::decode(bundle).ok()?;
    let Policy { gate, .. } = bundle.load().ok()?.policy;
    Some(gate)
}
