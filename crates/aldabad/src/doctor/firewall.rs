//! The firewall: whether each guarded port is closed to strangers, whether those who knocked get through, and whether
//! anything leads around the table.

use std::net::IpAddr;

use aldaba_config::Policy;
use aldaba_runner::door::{Action, NftAction, NftSet, PortRange, Transport};
use aldaba_sys::nft::{ChainName, Fate, Nft, Probe, Ruleset, legacy_iptables};

use super::{Finding, Grade, sets};

/// No table has this name: then all are followed.
const NONE: &str = "";

/// What shows it where a ruleset does not.
const FROM_OUTSIDE: &str = "try from outside: aldaba try HOST DOOR, or nc -zvw2 HOST PORT";

pub(super) fn look(policy: &Policy) -> Vec<Finding> {
    let (guarded, sets) = (guarded(policy), sets::of(policy));
    if guarded.is_empty() && sets.is_empty() {
        let seen = "no door has ports or a set of nftables: what closes them is not seen from here";
        return vec![Finding::doubtful("firewall", seen, FROM_OUTSIDE)];
    }
    let read = Nft::open().and_then(|mut nft| Ok((nft.ruleset()?, nft)));
    let (ruleset, mut nft) = match read {
        Ok(read) => read,
        Err(error) => {
            let seen = format!("the ruleset cannot be read: {error}");
            return vec![Finding::doubtful("firewall", seen, "run it as root")];
        }
    };
    let mut findings = legacy();
    for (door, range) in guarded {
        for ipv6 in [false, true] {
            let own = &policy.daemon.table;
            let ports = ruleset.borders(range.first, range.last).into_iter();
            let at = ports.map(|port| At { ruleset: &ruleset, own, door, range, port, ipv6 });
            findings.extend(of_range(&at.collect::<Vec<At<'_>>>()));
        }
        findings.extend(listening(door, range));
    }
    for set in sets {
        findings.extend(set.findings(&mut nft, &ruleset));
    }
    findings
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

/// One family of a range: what is wrong at one of its ports is wrong.
fn of_range(ports: &[At<'_>]) -> Vec<Finding> {
    let open = ports.iter().map(At::closed).find(|closed| closed.grade == Grade::Bad);
    let mut findings: Vec<Finding> = open.or_else(|| ports.first().map(At::closed)).into_iter().collect();
    findings.extend(ports.iter().find_map(At::opens));
    findings.extend(ports.iter().find_map(At::around));
    findings
}

/// One family of one port.
struct At<'a> {
    ruleset: &'a Ruleset,
    own: &'a str,
    door: &'a str,
    range: PortRange,
    port: u16,
    ipv6: bool,
}

impl At<'_> {
    fn probe(&self) -> Probe {
        Probe { ipv6: self.ipv6, udp: self.range.transport == Transport::Udp, port: self.port }
    }

    fn name(&self) -> String {
        let family = if self.ipv6 { "IPv6" } else { "IPv4" };
        format!("door {}, {} over {family}", self.door, self.range)
    }

    /// The same of this port, where it is one of several.
    fn one(&self) -> String {
        if self.range.first == self.range.last {
            self.name()
        } else {
            format!("{}, port {}", self.name(), self.port)
        }
    }

    /// To a stranger.
    fn closed(&self) -> Finding {
        let judgement = self.ruleset.judge(self.probe(), NONE);
        if judgement.fate != Fate::Accepted {
            let chain = judgement.chain.map(|chain| chain.to_string()).unwrap_or_default();
            return Finding::good("closed", format!("{}: {chain} keeps strangers out", self.name()));
        }
        let seen =
            format!("{} stands open to everybody: no rule of table inet {} drops it", self.one(), self.own);
        Finding::bad("closed", seen, "start the daemon, or: aldabad firewall apply")
    }

    /// To one who has knocked: what another table drops, an acceptance in aldaba's does not lift.
    fn opens(&self) -> Option<Finding> {
        let judgement = self.ruleset.judge(self.probe(), self.own);
        if judgement.fate == Fate::Accepted {
            return None;
        }
        let chain = judgement.chain?;
        let how = if judgement.by_policy { "by its policy" } else { "by a rule" };
        let seen = format!(
            "{}: the chain {chain} drops it {how}, also for those who have knocked: a drop anywhere is the end",
            self.one()
        );
        Some(Finding::bad("order", seen, self.let_through(&chain)))
    }

    fn let_through(&self, chain: &ChainName) -> String {
        if chain.is_of_iptables() {
            return "give the door start and stop commands with iptables (aldaba.toml(5)): what iptables drops only it opens"
                .to_owned();
        }
        let (port, protocol) = (self.port, if self.probe().udp { "udp" } else { "tcp" });
        format!(
            "let that chain leave the port to aldaba's table: nft insert rule {chain} {protocol} dport {port} accept; or give \
             the door a set of that table (`aldabad init` shows how)"
        )
    }

    /// Past the table: addresses are changed before the hook it stands at.
    fn around(&self) -> Option<Finding> {
        let chain = self.ruleset.diverted(self.probe())?;
        let seen = format!(
            "{}: a rule in {chain} sends what comes there elsewhere before aldaba's table sees it, as for a published port \
             of a container: it is reached without a knock",
            self.one()
        );
        let port = self.port;
        let help = format!(
            "publish it on the loopback address alone (-p 127.0.0.1:{port}:{port}) behind a service of the host's, or drop \
             strangers where containers are meant to be guarded, in the chain DOCKER-USER (which is not looked into: this finding stays)"
        );
        Some(Finding::bad("around", seen, help))
    }
}

/// Whether there is anything behind the door.
pub(super) fn listening(door: &str, range: PortRange) -> Option<Finding> {
    if range.transport == Transport::Udp {
        return None;
    }
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let at: Vec<IpAddr> = tables.iter().flat_map(|text| listeners(text, range)).collect();
    if at.is_empty() {
        let seen = format!("door {door}: nothing listens on {range} here");
        return Some(Finding::doubtful(
            "service",
            seen,
            "start the service, or see whether its port is another one: ss -ltn",
        ));
    }
    let own_only = at.iter().all(IpAddr::is_loopback);
    let list: Vec<String> = at.iter().map(IpAddr::to_string).collect();
    let seen = format!("door {door}: a service listens on {range} at {}", list.join(", "));
    if own_only {
        let help = "let it listen at an address that clients reach: behind the door stands nothing for them";
        return Some(Finding::doubtful("service", seen, help));
    }
    Some(Finding {
        help: Some(format!(
            "the last word, from outside: aldaba try HOST {door}, or nc -zvw2 HOST {} (no connection)",
            range.first
        )),
        ..Finding::good("service", seen)
    })
}

/// The addresses at which sockets listen on ports, from the kernel's table (proc(5)): words of 32 bits in host order.
fn listeners(table: &str, range: PortRange) -> Vec<IpAddr> {
    const LISTEN: &str = "0A";
    let lines = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, state) = (fields.next()?, fields.nth(1)?);
        let (address, number) = local.split_once(':')?;
        let port = u16::from_str_radix(number, 16).ok()?;
        let matches = state == LISTEN && (range.first..=range.last).contains(&port);
        matches.then(|| address_of(address)).flatten()
    });
    lines.collect()
}

fn address_of(hex: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for at in (0..hex.len()).step_by(8) {
        let word = u32::from_str_radix(hex.get(at..at.checked_add(8)?)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let v4 = <[u8; 4]>::try_from(bytes.as_slice()).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes.as_slice()).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_from_the_kernels_table() {
        let table = "  sl  local_address rem_address   st\n   \
                     0: 0100007F:0016 00000000:0000 0A 0\n   \
                     1: 00000000:0016 00000000:0000 01 0\n   \
                     2: 00000000000000000000000001000000:0016 0:0 0A 0\n";
        let expected = if cfg!(target_endian = "little") { ["127.0.0.1", "::1"] } else { return };
        let range = |first, last| PortRange { first, last, transport: Transport::Tcp };
        let found: Vec<String> = listeners(table, range(20, 22)).iter().map(IpAddr::to_string).collect();
        assert_eq!(found, expected);
        assert!(listeners(table, range(23, 99)).is_empty());
    }
}
