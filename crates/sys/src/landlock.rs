//! Landlock: no path, no TCP port, no abstract socket and no signal to others, as far as this kernel knows how.
//!
//! The worker's list of system calls ([`sandbox`](crate::sandbox)) has none of these; this is the second wall, which
//! stands in another part of the kernel. Descriptors opened before, the replay store among them, stay what they were.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr as _,
    RulesetError, RulesetStatus, Scope,
};

/// Everything there is to deny; of it, each kernel denies what it knows.
const NEWEST: ABI = ABI::V6;

/// Denies all of it to the calling thread, for good, and says by which version of Landlock; 0: this kernel has none, or
/// does not let us use it. To be called after `no_new_privs` is set.
#[must_use]
pub fn deny_everything() -> u8 {
    restrict().map_or(0, |status| match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if status.ruleset != RulesetStatus::NotEnforced => {
            u8::try_from(effective_abi as i32).unwrap_or(u8::MAX)
        }
        _ => 0,
    })
}

fn restrict() -> Result<RestrictionStatus, RulesetError> {
    let ruleset = Ruleset::default().handle_access(AccessFs::from_all(NEWEST))?;
    let ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST))?;
    ruleset.scope(Scope::from_all(NEWEST))?.create()?.restrict_self()
}
