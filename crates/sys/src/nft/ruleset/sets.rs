//! The sets and maps that rules look something up in, with their elements.

use std::collections::HashMap;

use super::{Ruleset, number, verdict};
use crate::netlink::{Attributes, Message};
use crate::nft::{GET_ELEMENT, GET_SET, NEW_ELEMENT, NEW_SET, Nft, NftError};

/// Elements of one set that are read: as many as there are beginnings and ends of ranges of ports.
const MOST_ELEMENTS: usize = 1 << 17;
/// Flags of an element: the first value behind a range, and what stands for all that no other does.
const ENDS: u32 = 1;
const STANDS_FOR_ALL: u32 = 2;

/// A set by its family's number, its table and its name.
pub(in crate::nft) type SetKey = (u8, String, String);

/// A set, or a map.
#[derive(Debug, Clone, Default)]
pub(in crate::nft) struct Set {
    pub(in crate::nft) elements: Vec<Element>,
    /// The lengths of the values that a key is made of; none: it is one value.
    pub(in crate::nft) fields: Vec<usize>,
    /// Whether it had more elements than are read.
    pub(in crate::nft) is_cut: bool,
}

/// An element of a set.
#[derive(Debug, Clone)]
pub(in crate::nft) struct Element {
    /// Empty: it stands for all that no other element does.
    pub(in crate::nft) key: Vec<u8>,
    /// The last key, where a key is made of several values, and the element is a range of each.
    pub(in crate::nft) last: Option<Vec<u8>>,
    /// What a verdict map gives for it: code and chain.
    pub(in crate::nft) verdict: Option<(i32, Option<String>)>,
    /// The first value behind a range.
    pub(in crate::nft) ends: bool,
}

impl Nft {
    /// All sets that rules ask.
    pub(super) fn looked_up(&mut self, ruleset: &Ruleset) -> Result<HashMap<SetKey, Set>, NftError> {
        let mut fields = HashMap::new();
        self.list(GET_SET, 0, &[], |message| fields.extend(fields_of(message)))?;
        let mut sets = HashMap::new();
        for key in names(ruleset) {
            let mut set = Set { fields: fields.remove(&key).unwrap_or_default(), ..Set::default() };
            let names = [(1, key.1.as_str()), (2, key.2.as_str())];
            // A set that has gone meanwhile is one that nothing is known of.
            let read = self.list(GET_ELEMENT, key.0, &names, |message| {
                if set.elements.len() < MOST_ELEMENTS {
                    elements_of(message, &mut set.elements);
                } else {
                    set.is_cut |= message.kind == NEW_ELEMENT;
                }
            });
            if read.is_ok() {
                sets.insert(key, set);
            }
        }
        Ok(sets)
    }
}

fn names(ruleset: &Ruleset) -> Vec<SetKey> {
    let mut sets = Vec::new();
    for (chain, rules) in &ruleset.rules {
        let lookups = rules.iter().flatten().filter(|(name, _)| name == "lookup");
        let names = lookups.filter_map(|(_, bytes)| Attributes::new(bytes).text(1));
        sets.extend(names.map(|set| (chain.family, chain.table.clone(), set)));
    }
    sets.sort();
    sets.dedup();
    sets
}

/// What a set's keys are made of, where that are several values.
fn fields_of(message: &Message<'_>) -> Option<(SetKey, Vec<usize>)> {
    if message.kind != NEW_SET {
        return None;
    }
    let (fixed, attributes) = message.split(4)?;
    let key = (*fixed.first()?, attributes.text(1)?, attributes.text(2)?);
    let described = attributes.inside(9)?.inside(2)?;
    let lengths =
        described.filter_map(|(_, field)| usize::try_from(number(&Attributes::new(field), 1)?).ok());
    Some((key, lengths.collect()))
}

pub(in crate::nft) fn elements_of(message: &Message<'_>, elements: &mut Vec<Element>) {
    if message.kind != NEW_ELEMENT {
        return;
    }
    let list = message.split(4).and_then(|(_, attributes)| attributes.inside(3));
    elements.extend(list.into_iter().flatten().filter_map(|(_, bytes)| element(&Attributes::new(bytes))));
}

fn element(parts: &Attributes<'_>) -> Option<Element> {
    let flags = number(parts, 3).unwrap_or_default();
    let key = parts.inside(1).and_then(|key| key.find(1)).map(<[u8]>::to_vec);
    let key = key.or_else(|| (flags & STANDS_FOR_ALL != 0).then(Vec::new))?;
    let last = parts.inside(10).and_then(|last| last.find(1)).map(<[u8]>::to_vec);
    let verdict = parts.inside(2).and_then(|data| verdict(&data));
    Some(Element { key, last, verdict, ends: flags & ENDS != 0 })
}
