//! What this host's firewall does with strangers now, and which kind of door follows from it.
//!
//! A packet must pass every table. Where the host lets strangers reach the service, a table of aldaba's own can keep them
//! out; where it drops them, nothing aldaba accepts can lift that, and the host's own ruleset must ask a set.

use aldaba_runner::door::{PortRange, Transport};
use aldaba_sys::nft::{ChainName, Fate, Judgement, Nft, Probe, Ruleset, legacy_iptables};

use super::example::Guard;

/// The name of aldaba's own table in a new configuration.
const OWN_TABLE: &str = "aldaba";

/// The ruleset as it is now.
#[derive(Debug)]
pub(super) struct Look {
    /// What nftables has, or why it cannot be read.
    ruleset: Result<Ruleset, String>,
    /// Tables of iptables' older kind.
    legacy: Vec<String>,
}

/// The kind of door, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) guard: Guard,
    /// What was seen.
    pub(super) seen: String,
}

impl Look {
    pub(super) fn at_this_host() -> Self {
        let ruleset = Nft::open().and_then(|mut nft| nft.ruleset()).map_err(|error| error.to_string());
        Self { ruleset, legacy: legacy_iptables() }
    }

    fn judge(&self, ipv6: bool, udp: bool, port: u16) -> Option<Judgement> {
        let ruleset = self.ruleset.as_ref().ok()?;
        Some(ruleset.judge(Probe { ipv6, udp, port, place: None }, OWN_TABLE))
    }

    /// The chain that keeps strangers of a family from a service.
    fn closed_by(&self, ports: &[PortRange], ipv6: bool) -> Option<(ChainName, Judgement)> {
        let first = ports.first()?;
        let judgement = self.judge(ipv6, first.transport == Transport::Udp, first.first)?;
        if judgement.fate == Fate::Accepted {
            return None;
        }
        Some((judgement.chain.clone()?, judgement))
    }

    /// The kind of door for these ports.
    pub(super) fn advise(&self, door: &str, ports: &[PortRange]) -> Advice {
        let (v4, v6) = (self.closed_by(ports, false), self.closed_by(ports, true));
        let Some((chain, judgement)) = v4.as_ref().or(v6.as_ref()) else {
            return Advice { guard: Guard::OwnTable, seen: self.open_to_strangers(ports) };
        };
        let how = if judgement.by_policy { "by its policy" } else { "by a rule" };
        let because = format!("The chain {chain} closes {} {how}", list(ports));
        let iptables = |closed: &Option<(ChainName, Judgement)>| {
            closed.as_ref().is_some_and(|(chain, _)| chain.is_of_iptables())
        };
        let mut seen = because.clone();
        for (closed, family) in [(&v4, "IPv4"), (&v6, "IPv6")] {
            if closed.is_none() {
                seen =
                    format!("{seen}.\n  Over {family} strangers reach it all the same: close it there too");
            }
        }
        if iptables(&v4) || iptables(&v6) {
            return Advice { guard: Guard::Iptables { because }, seen };
        }
        let name = |chain: &ChainName, family: &str| {
            format!("{} {} aldaba_{}_{family}", chain.family(), chain.table, plain(door))
        };
        let sets = [(v4, "v4", "ip"), (v6, "v6", "ip6")];
        let mut commands = Vec::new();
        let [v4, v6] = sets.map(|(closed, family, header)| {
            let (chain, _) = closed?;
            let set = name(&chain, family);
            commands.extend(commands_for(&chain, &set, family, header, ports));
            Some(set)
        });
        Advice { guard: Guard::Sets { v4, v6, because, commands }, seen }
    }

    fn open_to_strangers(&self, ports: &[PortRange]) -> String {
        if let Err(error) = &self.ruleset {
            return format!("The ruleset cannot be read ({error}); taken for open: {}", list(ports));
        }
        let said = self.judge(false, false, ports.first().map_or(0, |range| range.first));
        match said.and_then(|judgement| judgement.chain) {
            Some(chain) => format!("The chain {chain} lets strangers reach {}", list(ports)),
            None => format!("No table of nftables keeps strangers from {}", list(ports)),
        }
    }

    /// What else there is to know: tables that were not seen, and rules that answer before aldaba's table drops what comes
    /// to a captured port.
    pub(super) fn notes(&self, port: u16, captured: bool) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.legacy.is_empty() {
            notes.push(format!(
                "iptables-legacy has tables here ({}), which are not seen by this look: iptables-legacy -S INPUT\n  \
                 help: if they drop the door's ports, give the door start and stop commands (aldaba.toml(5))",
                self.legacy.join(", ")
            ));
        }
        for (ipv6, header) in [(false, "ip"), (true, "ip6")] {
            let Ok(ruleset) = &self.ruleset else { continue };
            let probe = Probe { ipv6, udp: true, port, place: None };
            let judgement = if captured {
                ruleset.judge_before(probe, OWN_TABLE)
            } else {
                ruleset.judge(probe, OWN_TABLE)
            };
            let rejects =
                if judgement.fate == Fate::Rejected { judgement.chain } else { judgement.may_reject };
            let Some(chain) = rejects else { continue };
            let command = if chain.is_of_iptables() {
                format!("{header}tables -I INPUT -p udp --dport {port} -j DROP")
            } else {
                format!("nft insert rule {chain} udp dport {port} drop")
            };
            let note = format!(
                "a rule in {chain} rejects: it answers datagrams at UDP port {port} with ICMP, so that scanners see the host\n  help: {command}"
            );
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        notes
    }
}

/// What makes a set and lets its members in.
fn commands_for(
    chain: &ChainName,
    set: &str,
    family: &str,
    header: &str,
    ports: &[PortRange],
) -> Vec<String> {
    let name = set.rsplit(' ').next().unwrap_or(set);
    let kind = format!("'{{ type ip{family}_addr; flags timeout; }}'");
    let mut commands = vec![format!("nft add set {set} {kind}")];
    for (transport, word) in [(Transport::Tcp, "tcp"), (Transport::Udp, "udp")] {
        let of_it: Vec<String> =
            ports.iter().filter(|range| range.transport == transport).copied().map(numbers).collect();
        let ports = match of_it.as_slice() {
            [] => continue,
            [one] => one.clone(),
            many => format!("'{{ {} }}'", many.join(", ")),
        };
        commands.push(format!("nft insert rule {chain} {header} saddr @{name} {word} dport {ports} accept"));
    }
    commands
}

fn numbers(range: PortRange) -> String {
    range.to_string().split('/').next().unwrap_or_default().to_owned()
}

fn list(ports: &[PortRange]) -> String {
    ports.iter().map(PortRange::to_string).collect::<Vec<_>>().join(", ")
}

/// What `nft` takes as part of a name.
fn plain(door: &str) -> String {
    door.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_name_set_and_ports() {
        let ports: Vec<PortRange> =
            ["22/tcp", "8000-8100/tcp", "53/udp"].map(|text| aldaba_config::ports(text).unwrap()).to_vec();
        let look = Look { ruleset: Ok(Ruleset::default()), legacy: vec!["filter".to_owned()] };
        let advice = look.advise("ssh", &ports);
        assert_eq!(advice.guard, Guard::OwnTable);
        assert!(
            look.notes(4, true).iter().any(|note| note.contains("iptables-legacy has tables here (filter)"))
        );
        assert_eq!(list(&ports), "22/tcp, 8000-8100/tcp, 53/udp");
        assert_eq!(plain("my-ssh.1"), "my_ssh_1");
    }
}
