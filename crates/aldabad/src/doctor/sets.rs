//! Sets of the administrator's own that doors name: whether they are there and can hold an address for a time.

use aldaba_config::Policy;
use aldaba_sys::nft::{Nft, NftError};

use super::Finding;
use crate::monitor::named_sets;

pub(super) fn look(policy: &Policy) -> Vec<Finding> {
    let mut sets: Vec<_> = named_sets(&policy.catalogue).collect();
    sets.dedup();
    let mut findings = Vec::new();
    for (set, ipv6) in sets {
        let checked = Nft::open().and_then(|mut nft| nft.check_set(&set, ipv6));
        findings.push(match checked {
            Ok(()) => Finding::good("set", format!("the set {set} can hold an address for a time")),
            Err(error @ (NftError::Missing | NftError::UnfitSet(_))) => {
                let seen = format!("the set {set}: {error}; doors that need it open for nobody");
                let family = if ipv6 { 6 } else { 4 };
                let help = format!(
                    "nft add set {set} '{{ type ipv{family}_addr; flags timeout; }}', in the table's own file too, and a rule that \
                     accepts what comes from it"
                );
                Finding::bad("set", seen, help)
            }
            Err(error) => {
                Finding::doubtful("set", format!("the set {set} cannot be seen: {error}"), "run it as root")
            }
        });
    }
    findings
}
