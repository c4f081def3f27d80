//! Where within a range of ports the rules change their mind: between two such ports they treat all alike, so that a look at
//! these is a look at all.

use std::collections::BTreeSet;

use super::{Ruleset, data};
use crate::netlink::Attributes;

/// So many ports of one range are looked at; more are in no ruleset that was written by hand.
const MOST: usize = 1024;
/// So many numbers stand where a match of iptables has its ports.
const MOST_OF_MATCH: usize = 16;
/// Of several values of a key each begins at a multiple of this.
const WORD: usize = 4;

impl Ruleset {
    /// The first port, the last, and those between them from which on rules may say something else.
    #[must_use]
    pub fn borders(&self, first: u16, last: u16) -> BTreeSet<u16> {
        let asked = self.rules.values().flatten().flatten();
        let asked = asked.flat_map(|(name, bytes)| in_expression(name, &Attributes::new(bytes)));
        let looked_up =
            self.sets.values().flat_map(|set| set.elements.iter().map(move |element| (set, element)));
        let looked_up = looked_up.flat_map(|(set, element)| {
            let keys = std::iter::once(&element.key).chain(&element.last);
            keys.flat_map(|key| in_key(key, &set.fields))
        });
        let borders = asked.chain(looked_up).flat_map(|port| [port, port.saturating_add(1)]);
        let within: BTreeSet<u16> = borders.filter(|port| (first..=last).contains(port)).collect();
        within.into_iter().take(MOST).chain([first, last]).collect()
    }
}

/// A port or not, what is as long as one may be compared with it: alone, or behind the source port. iptables has its own in host
/// order, as the other numbers of its matches.
fn in_expression(name: &str, parts: &Attributes<'_>) -> Vec<u16> {
    match name {
        "cmp" | "range" => [3, 4].into_iter().filter_map(|kind| in_value(data(parts, kind)?)).collect(),
        "match" => {
            let info = parts.find(3).unwrap_or_default().chunks_exact(2).take(MOST_OF_MATCH);
            info.filter_map(|bytes| bytes.try_into().ok().map(u16::from_ne_bytes)).collect()
        }
        _ => Vec::new(),
    }
}

fn in_value(value: &[u8]) -> Option<u16> {
    match value {
        [a, b] | [_, _, a, b] => Some(u16::from_be_bytes([*a, *b])),
        _ => None,
    }
}

/// Alone, or as one of several values, each of which begins at a whole word.
fn in_key(key: &[u8], fields: &[usize]) -> Vec<u16> {
    const PORT: usize = 2;
    if fields.is_empty() {
        return if key.len() == PORT { in_value(key).into_iter().collect() } else { Vec::new() };
    }
    let ends = fields.iter().scan(0_usize, |end, length| {
        *end = end.saturating_add(length.next_multiple_of(WORD));
        Some((*end, *length))
    });
    let ports = ends.filter(|(_, length)| *length == PORT);
    ports.filter_map(|(end, _)| in_value(key.get(end.checked_sub(WORD)?..)?.get(..PORT)?)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::nft::ruleset::{ChainName, Element, Set};

    /// An attribute.
    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len() + 4).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn ruleset(rule: Vec<(String, Vec<u8>)>, keys: &[&[u8]]) -> Ruleset {
        let chain = ChainName { family: 1, table: "filter".to_owned(), chain: "input".to_owned() };
        let element = |key: &&[u8]| Element { key: key.to_vec(), last: None, verdict: None, ends: false };
        let set = Set { elements: keys.iter().map(element).collect(), ..Set::default() };
        Ruleset {
            chains: Vec::new(),
            rules: HashMap::from([(chain, vec![rule])]),
            sets: HashMap::from([((1, "filter".to_owned(), "__set0".to_owned()), set)]),
        }
    }

    #[test]
    fn a_range_is_looked_at_where_rules_change_their_mind() {
        let value = |kind, port: u16| attribute(kind, &attribute(1, &port.to_be_bytes()));
        let one = ("cmp".to_owned(), value(3, 4005));
        let several = ("range".to_owned(), [value(3, 4008), value(4, 9000)].concat());
        let other = ("payload".to_owned(), value(3, 4002));
        let mut ruleset = ruleset(vec![one, several, other], &[&4010_u16.to_be_bytes(), &[6, 0, 0, 1]]);
        let borders = |first, last| ruleset.borders(first, last).into_iter().collect::<Vec<u16>>();
        assert_eq!(borders(4000, 4020), [4000, 4005, 4006, 4008, 4009, 4010, 4011, 4020]);
        assert_eq!(borders(4001, 4004), [4001, 4004]);
        assert_eq!(borders(22, 22), [22]);
        assert_eq!(borders(9001, u16::MAX), [9001, u16::MAX]);
        // Behind the protocol, and as iptables has them.
        let [high, low] = 4002_u16.to_be_bytes();
        let element =
            Element { key: vec![6, 0, 0, 0, high, low, 0, 0], last: None, verdict: None, ends: false };
        let set = Set { elements: vec![element], fields: vec![1, 2], is_cut: false };
        ruleset.sets = HashMap::from([((1, "filter".to_owned(), "led".to_owned()), set)]);
        let info: Vec<u8> = [0, u16::MAX, 4003, 4004].into_iter().flat_map(u16::to_ne_bytes).collect();
        let rule = vec![("match".to_owned(), attribute(3, &info))];
        ruleset.rules.values_mut().for_each(|rules| rules[0].clone_from(&rule));
        let borders: Vec<u16> = ruleset.borders(4000, 4020).into_iter().collect();
        assert_eq!(borders, [4000, 4002, 4003, 4004, 4005, 4020]);
    }
}
