//! What the service answers to somebody who came in: whether a chain on the way out drops it.

use aldaba_sys::nft::{ChainName, Doubt, Fate, Probe, Standing};

use super::Finding;
use super::firewall::{FROM_OUTSIDE, Scenery};

/// At a place, for somebody of whom may be known that he is in a set.
pub(super) fn look(
    scenery: &Scenery,
    at: &str,
    probe: Probe<'_>,
    standing: Option<Standing<'_>>,
) -> Option<Finding> {
    let judgement = scenery.ruleset.judge_answer(probe, standing);
    if judgement.fate == Fate::Accepted {
        let Doubt { chain, .. } = judgement.doubt?;
        let seen = format!(
            "{at}: a rule in {chain} may drop what the service answers, also to those who have knocked; not all of it is understood"
        );
        let help = format!("nft list chain {chain}; then {FROM_OUTSIDE}, after a knock");
        return Some(Finding::doubtful("order", seen, help));
    }
    let chain = judgement.chain?;
    let how = if judgement.by_policy { "by its policy" } else { "by a rule" };
    let seen = format!("{at}: the chain {chain} drops what the service answers {how}");
    let help = let_out(&chain, probe);
    Some(match judgement.doubt {
        None => Finding::bad("order", format!("{seen}, also to those who have knocked"), help),
        Some(Doubt { by_source: true, .. }) => {
            Finding::doubtful("order", format!("{seen}, but to addresses that it names"), help)
        }
        Some(Doubt { chain: other, .. }) => {
            let seen = format!("{seen}, unless a rule in {other} that is not understood lets it out before");
            Finding::doubtful("order", seen, help)
        }
    })
}

fn let_out(chain: &ChainName, probe: Probe<'_>) -> String {
    let (protocol, port) = (if probe.udp { "udp" } else { "tcp" }, probe.port);
    if chain.is_of_iptables() {
        let (header, table, chain) = (if probe.ipv6 { "ip6" } else { "ip" }, &chain.table, &chain.chain);
        return format!("{header}tables -t {table} -I {chain} -p {protocol} --sport {port} -j ACCEPT");
    }
    format!("nft insert rule {chain} {protocol} sport {port} accept")
}
