//! Doors that put addresses into a set of somebody else's table: whether it is there and can hold an address for a time, a rule
//! there asks for it, before a drop, and strangers stay out.

use aldaba_config::Policy;
use aldaba_runner::door::{Action, NftAction, NftSet, PortRange, Transport};
use aldaba_sys::nft::{Asking, Doubt, Fate, Judgement, Nft, NftError, Place, Probe, SetName, Standing};

use super::firewall::{Scenery, may_drop, over_places, worst};
use super::service::listening;
use super::{Finding, Grade, answers, around};
use crate::monitor::family_of;

/// A set that a door puts addresses of one family into.
pub(super) struct DoorSet<'a> {
    door: &'a str,
    set: SetName,
    ipv6: bool,
}

/// All of a policy.
pub(super) fn of(policy: &Policy) -> Vec<DoorSet<'_>> {
    let doors = policy.catalogue.doors.iter().filter_map(|door| match &door.action {
        Action::Nftables(NftAction { set: NftSet::Named { family, table, set_v4, set_v6 } }) => {
            Some((door.name.as_str(), family_of(*family), table, [(set_v4, false), (set_v6, true)]))
        }
        _ => None,
    });
    let sets = doors.flat_map(|(door, family, table, sets)| {
        sets.into_iter().filter_map(move |(set, ipv6)| {
            let set = SetName { family, table: table.clone(), set: set.clone()? };
            Some(DoorSet { door, set, ipv6 })
        })
    });
    sets.collect()
}

impl DoorSet<'_> {
    pub(super) fn findings(&self, nft: &mut Nft, scenery: &Scenery) -> Vec<Finding> {
        let fit = self.fit(nft);
        if fit.grade != Grade::Good {
            return vec![fit];
        }
        let mut findings = vec![fit];
        findings.extend(self.of_rules(scenery));
        findings
    }

    /// Whether it is there and can hold an address for a time.
    fn fit(&self, nft: &mut Nft) -> Finding {
        let set = &self.set;
        match nft.check_set(set, self.ipv6) {
            Ok(()) => Finding::good("set", format!("the set {set} can hold an address for a time")),
            Err(error @ (NftError::Missing | NftError::UnfitSet(_))) => {
                let seen = format!("the set {set}: {error}; doors that need it open for nobody");
                let family = if self.ipv6 { 6 } else { 4 };
                let help = format!(
                    "nft add set {set} '{{ type ipv{family}_addr; flags timeout; }}', in the table's own file too, and a rule that \
                     accepts what comes from it"
                );
                Finding::bad("set", seen, help)
            }
            Err(error) => {
                Finding::doubtful("set", format!("the set {set} cannot be seen: {error}"), "run it as root")
            }
        }
    }

    fn of_rules(&self, scenery: &Scenery) -> Vec<Finding> {
        let asking = scenery.ruleset.asking(&self.set);
        if asking.is_empty() {
            return vec![self.asked_by_nobody()];
        }
        if asking.iter().all(|rule| rule.ports.is_empty()) {
            return vec![self.of_unknown_ports(&asking)];
        }
        let rules = asking.iter().flat_map(|rule| rule.ports.iter().map(move |port| (rule, *port)));
        let mut seen: Vec<Probe<'_>> = Vec::new();
        let mut findings = Vec::new();
        for (rule, port) in rules {
            let probe = Probe { ipv6: self.ipv6, udp: rule.udp, port, place: None };
            if !seen.contains(&probe) {
                seen.push(probe);
                findings.extend(self.at(scenery, rule, probe));
                findings.extend(listening(self.door, range(probe)));
            }
        }
        findings
    }

    fn name(&self) -> String {
        format!("door {}, set {}", self.door, self.set)
    }

    /// How a rule asks for it.
    fn question(&self) -> String {
        format!("{} saddr @{}", if self.ipv6 { "ip6" } else { "ip" }, self.set.set)
    }

    fn asked_by_nobody(&self) -> Finding {
        let seen = format!(
            "{}: no rule of that table asks for it, so who has knocked is let in nowhere",
            self.name()
        );
        let table = self.set.to_string();
        let table = table.strip_suffix(&self.set.set).unwrap_or(&table);
        let help = format!(
            "nft insert rule {table}CHAIN {} tcp dport PORT accept, in the chain that drops strangers",
            self.question()
        );
        Finding::bad("order", seen, help)
    }

    fn of_unknown_ports(&self, asking: &[Asking]) -> Finding {
        let chains: Vec<String> = asking.iter().map(|rule| rule.chain.to_string()).collect();
        let seen = format!(
            "{}: asked for in {}, without a port that could be followed",
            self.name(),
            chains.join(", ")
        );
        Finding::doubtful("order", seen, TRY)
    }

    /// What becomes of somebody inside and of all others, at a port that a rule names beside the set.
    fn at(&self, scenery: &Scenery, rule: &Asking, probe: Probe<'_>) -> Vec<Finding> {
        let places = scenery.places.of_family(self.ipv6);
        let several = places.len() > 1;
        let family = if self.ipv6 { "IPv6" } else { "IPv4" };
        let name = format!("{}, {} over {family}", self.name(), range(probe));
        let at = |place: Option<&Place>| match place.filter(|_| several) {
            Some(place) => format!("{name}, to {place}"),
            None => name.clone(),
        };
        let judge = |place, inside| {
            let standing = Standing { set: &self.set, inside };
            scenery.ruleset.judge_of(Probe { place, ..probe }, standing)
        };
        let closed = places.iter().map(|place| closed(&name, &at(*place), rule, judge(*place, false)));
        let opens = places.iter().map(|place| {
            let probe = Probe { place: *place, ..probe };
            self.opens(&at(*place), scenery, rule, probe, judge(*place, true))
        });
        let around = places.iter().filter_map(|place| {
            let probe = Probe { place: *place, ..probe };
            around::look(scenery, &at(*place), probe)
        });
        // Where the set is asked for what goes elsewhere, that is as it should be.
        let around = worst(around).map(|finding| Finding { grade: Grade::Doubtful, ..finding });
        let are_named = scenery.places.are_named;
        let closed = over_places(closed.collect(), are_named);
        let opens = over_places(opens.collect(), are_named);
        [closed, opens, around].into_iter().flatten().collect()
    }

    fn opens(
        &self,
        at: &str,
        scenery: &Scenery,
        rule: &Asking,
        probe: Probe<'_>,
        member: Judgement,
    ) -> Option<Finding> {
        if member.fate == Fate::Accepted {
            let doubt = member.doubt.map(|doubt| may_drop(at, &doubt));
            let standing = Standing { set: &self.set, inside: true };
            return doubt.or_else(|| answers::look(scenery, at, probe, Some(standing)));
        }
        let chain = member.chain?;
        let seen = format!("{at}: {chain} drops it also for those in the set: a drop anywhere is the end");
        let help = scenery.guards.help(&chain).unwrap_or_else(|| {
            let protocol = if probe.udp { "udp" } else { "tcp" };
            let question = if chain == rule.chain || chain.table == self.set.table {
                self.question() + " "
            } else {
                String::new()
            };
            let port = probe.port;
            format!(
                "let it through before that: nft insert rule {chain} {question}{protocol} dport {port} accept"
            )
        });
        let finding = Finding::bad("order", seen, help);
        let is_unsure = member.doubt.is_some_and(|doubt| !doubt.by_source);
        Some(if is_unsure { Finding { grade: Grade::Doubtful, ..finding } } else { finding })
    }
}

/// To somebody who is not in the set.
fn closed(name: &str, at: &str, rule: &Asking, stranger: Judgement) -> Option<Finding> {
    if stranger.fate == Fate::Accepted {
        let help =
            format!("drop it behind the rule that asks for the set, or by the policy of {}", rule.chain);
        let seen = format!("{at} stands open to everybody, who is in the set and who is not");
        return Some(Finding::bad("closed", seen, help));
    }
    let chain = stranger.chain?;
    if let Some(Doubt { chain: other, by_source: false }) = stranger.doubt {
        let seen = format!(
            "{at}: {chain} keeps strangers out, unless a rule in {other} that is not understood lets them in before"
        );
        return Some(Finding::doubtful("closed", seen, TRY));
    }
    Some(Finding::good("closed", format!("{name}: {chain} keeps strangers out")))
}

/// What shows it where a ruleset does not.
const TRY: &str = "try from outside: nc -zvw2 HOST PORT, before a knock and after it";

const fn range(probe: Probe<'_>) -> PortRange {
    let transport = if probe.udp { Transport::Udp } else { Transport::Tcp };
    PortRange { first: probe.port, last: probe.port, transport }
}
