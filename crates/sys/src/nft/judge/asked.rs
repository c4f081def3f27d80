//! Which rules ask for a set, and of which ports.

use std::collections::HashMap;

use super::{ChainName, Ruleset, SetName, data, number};
use crate::netlink::Attributes;
use crate::nft::ruleset::Rule;

/// A rule that asks whether somebody is in a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// Where it stands.
    pub chain: ChainName,
    /// The ports it names, of a range the first; none: it does not name any, or not in a way that is understood.
    pub ports: Vec<u16>,
    /// Whether these are UDP's.
    pub udp: bool,
}

/// What a register holds, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Protocol,
    Port,
}

impl Ruleset {
    /// The rules that ask for a set, in no order.
    #[must_use]
    pub fn asking(&self, set: &SetName) -> Vec<Asking> {
        let in_table = self
            .rules
            .iter()
            .filter(|(chain, _)| chain.family == set.family.number() && chain.table == set.table);
        let rules = in_table.flat_map(|(chain, rules)| rules.iter().map(move |rule| (chain, rule)));
        let asking = rules.filter(|(_, rule)| asks_for(rule, &set.set));
        asking.map(|(chain, rule)| self.asking_of(chain, rule)).collect()
    }

    fn asking_of(&self, chain: &ChainName, rule: &Rule) -> Asking {
        let mut asking = Asking { chain: chain.clone(), ports: Vec::new(), udp: false };
        let mut fields: HashMap<u32, Field> = HashMap::new();
        for (name, bytes) in rule {
            let parts = Attributes::new(bytes);
            if let Some(field) = field(name, &parts) {
                fields.extend(number(&parts, 1).map(|register| (register, field)));
                continue;
            }
            let register = if name == "lookup" { number(&parts, 2) } else { number(&parts, 1) };
            match (name.as_str(), register.and_then(|register| fields.get(&register))) {
                ("cmp" | "range", Some(Field::Port)) => asking.ports.extend(port(data(&parts, 3))),
                ("cmp", Some(Field::Protocol)) => asking.udp = data(&parts, 3) == Some(&[17]),
                ("lookup", Some(Field::Port)) => {
                    let set = (chain.family, chain.table.clone(), parts.text(1).unwrap_or_default());
                    let elements = self.sets.get(&set).into_iter().flat_map(|set| &set.elements);
                    let first = elements.filter(|element| !element.ends);
                    asking.ports.extend(first.filter_map(|element| port(Some(&element.key))));
                }
                _ => {}
            }
        }
        // The kernel tells a set's elements in no order.
        asking.ports.sort_unstable();
        asking
    }
}

fn asks_for(rule: &Rule, set: &str) -> bool {
    rule.iter().any(|(name, bytes)| {
        name == "lookup" && Attributes::new(bytes).text(1).is_some_and(|named| named == set)
    })
}

/// What an expression loads: the protocol, wherever it is taken from, or the destination port.
fn field(name: &str, parts: &Attributes<'_>) -> Option<Field> {
    match (name, number(parts, 2), number(parts, 3), number(parts, 4)) {
        ("meta", Some(16), _, _) | ("payload", Some(1), Some(9 | 6), Some(1)) => Some(Field::Protocol),
        ("payload", Some(2), Some(2), Some(2)) => Some(Field::Port),
        _ => None,
    }
}

fn port(bytes: Option<&[u8]>) -> Option<u16> {
    bytes.and_then(|bytes| <[u8; 2]>::try_from(bytes).ok()).map(u16::from_be_bytes)
}
