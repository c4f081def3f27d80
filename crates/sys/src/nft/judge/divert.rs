//! What is sent elsewhere before the chains for this host see it: a container's published port, a redirection. Such a packet
//! passes the hook `prerouting` and then `forward`, or `input` with another port; a guard at `input` for its own port never
//! meets it.

use std::collections::HashMap;

use super::{ChainName, DEEPEST, Match, Probe, Rule, Ruleset, Step, Value, Walk, Word, data, number};
use crate::netlink::Attributes;

/// The hook of what has just come in.
const PREROUTING: u32 = 0;

/// What a rule does with a packet that is not decided yet.
enum Turn {
    Away,
    To(String),
    /// The chain has nothing more to say.
    Over,
    Next,
}

impl Ruleset {
    /// The chain with a rule that asks for this port and changes where it goes. Conditions that are not understood are taken
    /// to hold.
    #[must_use]
    pub fn diverted(&self, probe: Probe) -> Option<ChainName> {
        let family = if probe.ipv6 { 10 } else { 2 };
        let of_hook = |hook: Option<(u32, i32)>| hook.is_some_and(|(hook, _)| hook == PREROUTING);
        let asked = self.chains.iter().filter(|chain| {
            !chain.filters && of_hook(chain.hook) && [1, family].contains(&chain.name.family)
        });
        let mut asked: Vec<_> = asked.collect();
        asked.sort_by_key(|chain| chain.hook);
        let mut walk = Walk { ruleset: self, probe, standing: None, may_reject: None };
        asked.into_iter().find_map(|chain| walk.diverts(&chain.name, DEEPEST, false))
    }
}

impl Walk<'_> {
    /// `named`: a rule on the way here has asked for the port.
    fn diverts(&mut self, chain: &ChainName, depth: usize, named: bool) -> Option<ChainName> {
        let depth = depth.checked_sub(1)?;
        for rule in self.ruleset.rules.get(chain).into_iter().flatten() {
            let named = named || asks_for_port(rule);
            match self.turn(chain, rule) {
                Turn::Away if named => return Some(chain.clone()),
                Turn::To(to) => {
                    let found = self.diverts(&ChainName { chain: to, ..chain.clone() }, depth, named);
                    if found.is_some() {
                        return found;
                    }
                }
                Turn::Over => return None,
                Turn::Away | Turn::Next => {}
            }
        }
        None
    }

    fn turn(&mut self, chain: &ChainName, rule: &Rule) -> Turn {
        let mut registers: HashMap<u32, Value> = HashMap::new();
        let (mut certain, mut of_destination) = (true, false);
        for (name, bytes) in rule {
            let parts = Attributes::new(bytes);
            // Published on the loopback address alone: no stranger's packet is for that.
            if name == "cmp" && of_destination && is_loopback(&parts, self.probe.ipv6) {
                return Turn::Next;
            }
            of_destination =
                loads_destination(name, &parts, self.probe.ipv6) || (of_destination && name == "bitwise");
            match (name.as_str(), parts.text(1).as_deref()) {
                ("nat" | "redir", _) | ("target", Some("DNAT" | "REDIRECT")) => return Turn::Away,
                ("match", Some(protocol @ ("tcp" | "udp"))) => {
                    if !self.is_for(protocol == "udp", parts.find(3).unwrap_or_default()) {
                        return Turn::Next;
                    }
                    continue;
                }
                _ => {}
            }
            match self.expression(chain, name, &parts, &mut registers) {
                Step::Match(Match::Yes) => {}
                Step::Match(Match::Maybe) => certain = false,
                Step::Word(Word::Chain { to, .. }) => return Turn::To(to),
                Step::Word(Word::Verdict(_)) if certain => return Turn::Over,
                Step::Match(Match::No) | Step::Word(_) => return Turn::Next,
            }
        }
        Turn::Next
    }

    /// `struct xt_tcp` and `xt_udp`: source ports, then destination ports, first and last, in host order.
    fn is_for(&self, udp: bool, info: &[u8]) -> bool {
        let [_, _, _, _, a, b, c, d, ..] = *info else { return true };
        udp == self.probe.udp
            && (u16::from_ne_bytes([a, b])..=u16::from_ne_bytes([c, d])).contains(&self.probe.port)
    }
}

/// Whether an expression loads the destination address, or the first bytes of it.
fn loads_destination(name: &str, parts: &Attributes<'_>, ipv6: bool) -> bool {
    name == "payload" && (number(parts, 2), number(parts, 3)) == (Some(1), Some(if ipv6 { 24 } else { 16 }))
}

/// Whether an address is wanted to be of the loopback device's.
fn is_loopback(parts: &Attributes<'_>, ipv6: bool) -> bool {
    const EQUAL: u32 = 0;
    let wanted = data(parts, 3).unwrap_or_default();
    let loopback =
        if ipv6 { wanted == std::net::Ipv6Addr::LOCALHOST.octets() } else { wanted.starts_with(&[127]) };
    loopback && number(parts, 2) == Some(EQUAL)
}

/// Whether a rule looks at the destination port.
fn asks_for_port(rule: &Rule) -> bool {
    rule.iter().any(|(name, bytes)| {
        let parts = Attributes::new(bytes);
        match name.as_str() {
            "payload" => (number(&parts, 2), number(&parts, 3)) == (Some(2), Some(2)),
            "match" => matches!(parts.text(1).as_deref(), Some("tcp" | "udp" | "multiport")),
            _ => false,
        }
    })
}
