//! Where within a range of ports the rules change their mind: between two such ports they treat all alike, so that a look at
//! these is a look at all.

use std::collections::BTreeSet;

use super::{Ruleset, data};
use crate::netlink::Attributes;

/// So many ports of one range are looked at; more are in no ruleset that was written by hand.
const MOST: usize = 1024;

impl Ruleset {
    /// The first port, the last, and those between them from which on rules may say something else.
    #[must_use]
    pub fn borders(&self, first: u16, last: u16) -> BTreeSet<u16> {
        let expressions = self.rules.values().flatten().flatten();
        let compared = expressions.filter(|(name, _)| matches!(name.as_str(), "cmp" | "range"));
        let compared = compared.flat_map(|(_, bytes)| [3, 4].map(|kind| data(&Attributes::new(bytes), kind)));
        let looked_up = self.sets.values().flatten().map(|element| element.key.as_slice());
        // A port or not, what is as long as one may be compared with it.
        let ports = compared.flatten().chain(looked_up).filter_map(|value| value.try_into().ok());
        let ports = ports.map(u16::from_be_bytes);
        let borders = ports.flat_map(|port| [port, port.saturating_add(1)]);
        let within: BTreeSet<u16> = borders.filter(|port| (first..=last).contains(port)).collect();
        within.into_iter().take(MOST).chain([first, last]).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::nft::ruleset::{ChainName, Element};

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
        let element = |key: &&[u8]| Element { key: key.to_vec(), verdict: None, ends: false };
        let elements = keys.iter().map(element).collect();
        Ruleset {
            chains: Vec::new(),
            rules: HashMap::from([(chain, vec![rule])]),
            sets: HashMap::from([((1, "filter".to_owned(), "__set0".to_owned()), elements)]),
        }
    }

    #[test]
    fn a_range_is_looked_at_where_rules_change_their_mind() {
        let value = |kind, port: u16| attribute(kind, &attribute(1, &port.to_be_bytes()));
        let one = ("cmp".to_owned(), value(3, 4005));
        let several = ("range".to_owned(), [value(3, 4008), value(4, 9000)].concat());
        let other = ("payload".to_owned(), value(3, 4002));
        let ruleset = ruleset(vec![one, several, other], &[&4010_u16.to_be_bytes(), &[6, 0, 0, 1]]);
        let borders = |first, last| ruleset.borders(first, last).into_iter().collect::<Vec<u16>>();
        assert_eq!(borders(4000, 4020), [4000, 4005, 4006, 4008, 4009, 4010, 4011, 4020]);
        assert_eq!(borders(4001, 4004), [4001, 4004]);
        assert_eq!(borders(22, 22), [22]);
        assert_eq!(borders(9001, u16::MAX), [9001, u16::MAX]);
    }
}
