//! The firewall: whether each guarded port is closed to strangers, whether those who knocked get through, and whether
//! anything leads around the table.

use std::path::Path;

use aldaba_config::Policy;
use aldaba_runner::door::{Action, NftAction, NftSet, PortRange, Transport};
use aldaba_sys::nft::{
    ChainName, Doubt, Fate, Judgement, Nft, NftError, Place, Probe, Ruleset, legacy_iptables,
};

use super::obstacle::Guards;
use super::places::Places;
use super::service::listening;
use super::{Finding, Grade, answers, around, sets};

/// No table has this name: then all are followed.
const NONE: &str = "";

/// What shows it where a ruleset does not.
pub(super) const FROM_OUTSIDE: &str = "try from outside: aldaba try HOST DOOR, or nc -zvw2 HOST PORT";

/// What packets meet, and where.
pub(super) struct Scenery {
    pub(super) ruleset: Ruleset,
    pub(super) guards: Guards,
    pub(super) places: Places,
}

pub(super) fn look(policy: &Policy, config: &Path) -> Vec<Finding> {
    let (guarded, sets) = (guarded(policy), sets::of(policy));
    if guarded.is_empty() && sets.is_empty() {
        let seen = "no door has ports or a set of nftables: what closes them is not seen from here";
        return vec![Finding::doubtful("firewall", seen, FROM_OUTSIDE)];
    }
    let (scenery, mut nft) = match read(policy, config) {
        Ok(read) => read,
        Err(error) => {
            let seen = format!("the ruleset cannot be read: {error}");
            return vec![Finding::doubtful("firewall", seen, "run it as root")];
        }
    };
    let mut findings = legacy();
    for (door, range) in guarded {
        for ipv6 in [false, true] {
            let family = OfFamily { scenery: &scenery, own: &policy.daemon.table, door, range, ipv6 };
            findings.extend(family.findings());
        }
        findings.extend(listening(door, range));
    }
    for set in sets {
        findings.extend(set.findings(&mut nft, &scenery));
    }
    findings
}

fn read(policy: &Policy, config: &Path) -> Result<(Scenery, Nft), NftError> {
    let mut nft = Nft::open()?;
    let ruleset = nft.ruleset()?;
    let scenery = Scenery { ruleset, guards: Guards::of(config, &mut nft), places: Places::of(policy) };
    Ok((scenery, nft))
}

fn guarded(policy: &Policy) -> Vec<(&str, PortRange)> {
    let doors = policy.catalogue.doors.iter().filter_map(|door| match &door.action {
        Action::Nftables(NftAction { set: NftSet::Own { ports, .. } }) => Some((door.name.as_str(), ports)),
        _ => None,
    });
    doors.flat_map(|(name, ports)| ports.iter().map(move |range| (name, *range))).collect()
}

/// iptables' older kind comes with hooks of its own, which are not among those of nftables.
fn legacy() -> Vec<Finding> {
    let tables = legacy_iptables();
    if tables.is_empty() {
        return Vec::new();
    }
    let seen =
        format!("iptables-legacy has tables too ({}), which are not seen by this look", tables.join(", "));
    vec![Finding::doubtful(
        "legacy",
        seen,
        "iptables-legacy -S; iptables-legacy -t nat -S: what drops there, aldaba cannot open",
    )]
}

/// One family of a range of ports.
#[derive(Clone, Copy)]
struct OfFamily<'a> {
    scenery: &'a Scenery,
    own: &'a str,
    door: &'a str,
    range: PortRange,
    ipv6: bool,
}

impl<'a> OfFamily<'a> {
    /// What is wrong at one of its ports is wrong.
    fn findings(self) -> Vec<Finding> {
        let ports = self.scenery.ruleset.borders(self.range.first, self.range.last);
        let closed = ports.iter().flat_map(|port| self.at(*port)).map(|at| at.closed());
        let mut findings: Vec<Finding> = worst(closed).into_iter().collect();
        findings.extend(worst(ports.iter().filter_map(|port| self.opens(*port))));
        findings.extend(worst(
            ports
                .iter()
                .flat_map(|port| self.at(*port))
                .filter_map(|at| around::look(self.scenery, &at.one(), at.probe())),
        ));
        findings
    }

    fn at(self, port: u16) -> impl Iterator<Item = At<'a>> {
        let places = self.scenery.places.of_family(self.ipv6);
        let several = places.len() > 1;
        places.into_iter().map(move |place| At { family: self, port, place, several })
    }

    /// Who knocks at an interface that was not asked for need not come in there, if he does elsewhere.
    fn opens(self, port: u16) -> Option<Finding> {
        let found: Vec<Option<Finding>> = self.at(port).map(|at| at.opens()).collect();
        over_places(found, self.scenery.places.are_named)
    }
}

/// The gravest of several findings, of equal ones the first.
pub(super) fn worst(findings: impl Iterator<Item = Finding>) -> Option<Finding> {
    findings.reduce(|worst, next| if next.grade > worst.grade { next } else { worst })
}

/// What is so at one place; where nobody has named the places and it is not so at all of them, that is no more than doubtful.
pub(super) fn over_places(found: Vec<Option<Finding>>, are_named: bool) -> Option<Finding> {
    let everywhere =
        found.iter().flatten().filter(|finding| finding.grade == Grade::Bad).count() == found.len();
    let worst = worst(found.into_iter().flatten())?;
    if worst.grade == Grade::Bad && !are_named && !everywhere {
        return Some(Finding { grade: Grade::Doubtful, ..worst });
    }
    Some(worst)
}

/// One port of a range, where packets come in.
struct At<'a> {
    family: OfFamily<'a>,
    port: u16,
    place: Option<&'a Place>,
    /// There are other places.
    several: bool,
}

impl At<'_> {
    fn probe(&self) -> Probe<'_> {
        let OfFamily { range, ipv6, .. } = self.family;
        Probe { ipv6, udp: range.transport == Transport::Udp, port: self.port, place: self.place }
    }

    fn name(&self) -> String {
        let OfFamily { door, range, ipv6, .. } = self.family;
        format!("door {door}, {range} over {}", if ipv6 { "IPv6" } else { "IPv4" })
    }

    /// The same of this port and this place, where they are one of several.
    fn one(&self) -> String {
        let range = self.family.range;
        let port = if range.first == range.last { String::new() } else { format!(", port {}", self.port) };
        let place = self.place.filter(|_| self.several).map(|place| format!(", to {place}"));
        format!("{}{port}{}", self.name(), place.unwrap_or_default())
    }

    /// To a stranger.
    fn closed(&self) -> Finding {
        let judgement = self.family.scenery.ruleset.judge(self.probe(), NONE);
        let chain = judgement.chain.map(|chain| chain.to_string()).unwrap_or_default();
        match judgement {
            Judgement { fate: Fate::Accepted, .. } => {
                let (one, own) = (self.one(), self.family.own);
                let seen = format!("{one} stands open to everybody: no rule of table inet {own} drops it");
                Finding::bad("closed", seen, "start the daemon, or: aldabad firewall apply")
            }
            Judgement { doubt: Some(Doubt { chain: other, by_source: false }), .. } => {
                let seen = format!(
                    "{}: {chain} keeps strangers out, unless a rule in {other} that is not understood lets them in before",
                    self.one()
                );
                Finding::doubtful("closed", seen, FROM_OUTSIDE)
            }
            _ => Finding::good("closed", format!("{}: {chain} keeps strangers out", self.name())),
        }
    }

    /// To one who has knocked: what another table drops, an acceptance in aldaba's does not lift.
    fn opens(&self) -> Option<Finding> {
        let judgement = self.family.scenery.ruleset.judge(self.probe(), self.family.own);
        let one = self.one();
        if judgement.fate == Fate::Accepted {
            let doubt = judgement.doubt.map(|doubt| may_drop(&one, &doubt));
            return doubt.or_else(|| answers::look(self.family.scenery, &one, self.probe(), None));
        }
        let chain = judgement.chain?;
        let how = if judgement.by_policy { "by its policy" } else { "by a rule" };
        let seen = format!("{one}: the chain {chain} drops it {how}");
        let help = self.let_through(&chain);
        Some(match judgement.doubt {
            None => {
                let seen = format!("{seen}, also for those who have knocked: a drop anywhere is the end");
                Finding::bad("order", seen, help)
            }
            Some(Doubt { by_source: true, .. }) => {
                let seen = format!(
                    "{seen}, but for sources that it names: who knocks from elsewhere comes no further"
                );
                Finding::doubtful("order", seen, help)
            }
            Some(Doubt { chain, .. }) => {
                let seen = format!(
                    "{seen}, unless a rule in {chain} that is not understood lets it in before, also for those who have knocked"
                );
                Finding::doubtful("order", seen, help)
            }
        })
    }

    fn let_through(&self, chain: &ChainName) -> String {
        if let Some(help) = self.family.scenery.guards.help(chain) {
            return help;
        }
        if chain.is_of_iptables() {
            return "give the door start and stop commands with iptables (aldaba.toml(5)): what iptables drops only it opens"
                .to_owned();
        }
        let (port, protocol) = (self.port, if self.probe().udp { "udp" } else { "tcp" });
        let rule = format!(
            "let that chain leave the port to aldaba's table: nft insert rule {chain} {protocol} dport {port} accept"
        );
        if !chain.takes_sets() {
            return rule;
        }
        format!("{rule}; or give the door a set of that table (`aldabad init` shows how)")
    }
}

/// A rule that may drop it, were more known.
pub(super) fn may_drop(one: &str, doubt: &Doubt) -> Finding {
    let chain = &doubt.chain;
    let seen = format!(
        "{one}: a rule in {chain} may drop it, also for those who have knocked; not all of it is understood"
    );
    Finding::doubtful("order", seen, format!("nft list chain {chain}; then {FROM_OUTSIDE}, after a knock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_so_at_one_place_of_several_is_bad_where_somebody_has_named_them() {
        let (bad, fine) = (|| Some(Finding::bad("order", "it", "do")), None);
        let grade = |found, are_named| over_places(found, are_named).map(|finding| finding.grade);
        assert_eq!(grade(vec![fine.clone(), bad()], true), Some(Grade::Bad));
        assert_eq!(grade(vec![fine.clone(), bad()], false), Some(Grade::Doubtful));
        assert_eq!(grade(vec![Some(Finding::good("closed", "it")), bad()], false), Some(Grade::Doubtful));
        assert_eq!(grade(vec![bad(), bad()], false), Some(Grade::Bad));
        assert_eq!(grade(vec![fine.clone(), fine], true), None);
    }
}
