//! The whole ruleset as the kernel has it now, read only: chains, rules, and the sets that rules hold within them.
//!
//! What it does with a packet is [`judge`](super::judge)'s business. Rules that iptables wrote into nftables are here too;
//! those of its older kind are not: see [`legacy_iptables`].

use std::collections::HashMap;
use std::io;

use super::{GET_CHAIN, GET_ELEMENT, GET_RULE, NEW_CHAIN, NEW_ELEMENT, NEW_RULE, Nft, NftError, header};
use crate::netlink::{Attributes, Builder, DUMP, Message, REQUEST};

/// Elements of one set that are read: as many as there are beginnings and ends of ranges of ports.
const MOST_ELEMENTS: usize = 1 << 17;

/// A chain by its family's number, its table and its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainName {
    pub(super) family: u8,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
}

impl ChainName {
    /// The family as `nft` writes it.
    #[must_use]
    pub const fn family(&self) -> &'static str {
        match self.family {
            1 => "inet",
            2 => "ip",
            5 => "netdev",
            7 => "bridge",
            10 => "ip6",
            _ => "arp",
        }
    }

    /// Whether iptables wrote it: its tables take no sets, and it refuses a table that has some.
    #[must_use]
    pub fn is_of_iptables(&self) -> bool {
        matches!(self.family, 2 | 10) && self.table == "filter" && self.chain == "INPUT"
    }
}

/// As `nft` names it: `inet filter input`.
impl std::fmt::Display for ChainName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.family(), self.table, self.chain)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub(super) name: ChainName,
    /// Number and priority, of chains the kernel itself asks.
    pub(super) hook: Option<(u32, i32)>,
    pub(super) filters: bool,
    pub(super) drops: bool,
}

/// A rule's expressions: names and what stands in them.
pub(super) type Rule = Vec<(String, Vec<u8>)>;

/// An element of a set.
#[derive(Debug, Clone)]
pub(super) struct Element {
    pub(super) key: Vec<u8>,
    /// What a verdict map gives for it: code and chain.
    pub(super) verdict: Option<(i32, Option<String>)>,
    /// The first value behind a range.
    pub(super) ends: bool,
}

/// All there is.
#[derive(Debug, Clone, Default)]
pub struct Ruleset {
    pub(super) chains: Vec<Chain>,
    pub(super) rules: HashMap<ChainName, Vec<Rule>>,
    /// Those without a name of their own, by family, table and the kernel's name.
    pub(super) sets: HashMap<(u8, String, String), Vec<Element>>,
}

impl Ruleset {
    /// Whether a table for both families of this name has chains.
    #[must_use]
    pub fn has_table(&self, name: &str) -> bool {
        self.chains.iter().any(|chain| chain.name.family == 1 && chain.name.table == name)
    }
}

impl Nft {
    /// Reads the ruleset.
    pub fn ruleset(&mut self) -> Result<Ruleset, NftError> {
        let mut ruleset = Ruleset::default();
        self.list(GET_CHAIN, 0, &[], |message| ruleset.chains.extend(chain(message)))?;
        self.list(GET_RULE, 0, &[], |message| {
            if let Some((chain, rule)) = rule(message) {
                ruleset.rules.entry(chain).or_default().push(rule);
            }
        })?;
        for (family, table, set) in unnamed_sets(&ruleset) {
            let mut elements = Vec::new();
            let names = [(1, table.as_str()), (2, set.as_str())];
            // A set that has gone meanwhile is one that nothing is known of.
            let read = self.list(GET_ELEMENT, family, &names, |message| {
                if elements.len() < MOST_ELEMENTS {
                    elements_of(message, &mut elements);
                }
            });
            if read.is_ok() {
                ruleset.sets.insert((family, table, set), elements);
            }
        }
        Ok(ruleset)
    }

    fn list(
        &mut self,
        kind: u16,
        family: u8,
        names: &[(u16, &str)],
        show: impl FnMut(&Message<'_>),
    ) -> io::Result<()> {
        let mut builder = Builder::default();
        let sequence = self.socket.next_sequence();
        builder.message(kind, REQUEST | DUMP, sequence, &header(family, 0));
        for (kind, name) in names {
            builder.put_text(*kind, name);
        }
        self.socket.send(&builder.finish())?;
        self.socket.dump(show)
    }
}

pub(super) fn chain(message: &Message<'_>) -> Option<Chain> {
    if message.kind != NEW_CHAIN {
        return None;
    }
    let (fixed, attributes) = message.split(4)?;
    let name = ChainName { family: *fixed.first()?, table: attributes.text(1)?, chain: attributes.text(3)? };
    let hook =
        attributes.inside(4).and_then(|hook| Some((number(&hook, 1)?, number(&hook, 2)?.cast_signed())));
    let filters = attributes.text(7).as_deref() == Some("filter");
    Some(Chain { name, hook, filters, drops: number(&attributes, 5) == Some(0) })
}

pub(super) fn rule(message: &Message<'_>) -> Option<(ChainName, Rule)> {
    if message.kind != NEW_RULE {
        return None;
    }
    let (fixed, attributes) = message.split(4)?;
    let chain = ChainName { family: *fixed.first()?, table: attributes.text(1)?, chain: attributes.text(2)? };
    let expressions = attributes.inside(4).into_iter().flatten();
    let read = expressions.filter_map(|(_, bytes)| {
        let parts = Attributes::new(bytes);
        Some((parts.text(1)?, parts.find(2).unwrap_or_default().to_vec()))
    });
    Some((chain, read.collect()))
}

/// What rules look up in sets that have no name of their own.
fn unnamed_sets(ruleset: &Ruleset) -> Vec<(u8, String, String)> {
    let mut sets = Vec::new();
    for (chain, rules) in &ruleset.rules {
        let lookups = rules.iter().flatten().filter(|(name, _)| name == "lookup");
        for set in lookups.filter_map(|(_, bytes)| Attributes::new(bytes).text(1)) {
            if set.starts_with("__") {
                sets.push((chain.family, chain.table.clone(), set));
            }
        }
    }
    sets.sort();
    sets.dedup();
    sets
}

pub(super) fn elements_of(message: &Message<'_>, elements: &mut Vec<Element>) {
    if message.kind != NEW_ELEMENT {
        return;
    }
    let list = message.split(4).and_then(|(_, attributes)| attributes.inside(3));
    elements.extend(list.into_iter().flatten().filter_map(|(_, bytes)| {
        let parts = Attributes::new(bytes);
        let key = parts.inside(1)?.find(1)?.to_vec();
        let verdict = parts.inside(2).and_then(|data| verdict(&data));
        Some(Element { key, verdict, ends: number(&parts, 3).is_some_and(|flags| flags & 1 != 0) })
    }));
}

/// The verdict in the data of an expression or an element: code, and the chain of a jump.
pub(super) fn verdict(data: &Attributes<'_>) -> Option<(i32, Option<String>)> {
    let verdict = data.inside(2)?;
    Some((number(&verdict, 1)?.cast_signed(), verdict.text(2)))
}

/// A number in network order.
pub(super) fn number(attributes: &Attributes<'_>, kind: u16) -> Option<u32> {
    attributes.find(kind)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// The tables of iptables' older kind, which nftables does not show; usually none.
#[must_use]
pub fn legacy_iptables() -> Vec<String> {
    let lists = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"];
    let texts = lists.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    let mut tables: Vec<String> =
        texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    tables.sort();
    tables.dedup();
    tables
}
