//! The whole ruleset as the kernel has it now, read only: chains, rules, and the sets that rules ask.
//!
//! What it does with a packet is [`judge`](super::judge)'s business. Rules that iptables wrote into nftables are here too;
//! those of its older kind are not: see [`legacy_iptables`].

mod sets;

use std::collections::{HashMap, HashSet};
use std::io;

use super::{GET_CHAIN, GET_RULE, GET_TABLE, NEW_CHAIN, NEW_RULE, NEW_TABLE, Nft, NftError, header};
use crate::netlink::{Attributes, Builder, DUMP, Message, REQUEST};

pub(super) use sets::{Element, Set, SetKey, elements_of};

/// The flag of a table that sleeps: none of its chains is asked.
const SLEEPS: u32 = 1;

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
        let is_its = |(table, chain)| self.table == table && self.chain == chain;
        let comes_in =
            [("filter", "INPUT"), ("mangle", "INPUT"), ("mangle", "PREROUTING"), ("raw", "PREROUTING")];
        let leaves = [("filter", "OUTPUT"), ("mangle", "POSTROUTING"), ("raw", "OUTPUT")];
        matches!(self.family, 2 | 10) && comes_in.into_iter().chain(leaves).any(is_its)
    }

    /// Whether its table can hold a door's set: those of devices and bridges cannot.
    #[must_use]
    pub const fn takes_sets(&self) -> bool {
        matches!(self.family, 1 | 2 | 10)
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
    /// The devices whose packets it is asked of, where it is not asked of all.
    pub(super) devices: Vec<Device>,
    pub(super) filters: bool,
    pub(super) drops: bool,
}

/// A device that a chain names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    name: String,
    /// Only how its name begins.
    is_prefix: bool,
}

impl Device {
    pub(super) fn is(&self, name: &str) -> bool {
        if self.is_prefix { name.starts_with(&self.name) } else { name == self.name }
    }
}

/// A rule's expressions: names and what stands in them.
pub(super) type Rule = Vec<(String, Vec<u8>)>;

/// All there is.
#[derive(Debug, Clone, Default)]
pub struct Ruleset {
    pub(super) chains: Vec<Chain>,
    pub(super) rules: HashMap<ChainName, Vec<Rule>>,
    /// What rules look something up in.
    pub(super) sets: HashMap<SetKey, Set>,
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
        let mut asleep = HashSet::new();
        self.list(GET_TABLE, 0, &[], |message| asleep.extend(asleep_table(message)))?;
        self.list(GET_CHAIN, 0, &[], |message| ruleset.chains.extend(chain(message)))?;
        for chain in &mut ruleset.chains {
            if asleep.contains(&(chain.name.family, chain.name.table.clone())) {
                chain.hook = None;
            }
        }
        self.list(GET_RULE, 0, &[], |message| {
            if let Some((chain, rule)) = rule(message) {
                ruleset.rules.entry(chain).or_default().push(rule);
            }
        })?;
        ruleset.sets = self.looked_up(&ruleset)?;
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
    let base = attributes.inside(4);
    let hook = base.as_ref().and_then(|base| Some((number(base, 1)?, number(base, 2)?.cast_signed())));
    let devices = base.as_ref().map(devices).unwrap_or_default();
    let filters = attributes.text(7).as_deref() == Some("filter");
    Some(Chain { name, hook, devices, filters, drops: number(&attributes, 5) == Some(0) })
}

/// One device, or a list of them.
fn devices(base: &Attributes<'_>) -> Vec<Device> {
    const PREFIX: u16 = 2;
    if let Some(list) = base.inside(4) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
        return list.map(|(kind, bytes)| Device { name: text(bytes), is_prefix: kind == PREFIX }).collect();
    }
    base.text(3).map(|name| Device { name, is_prefix: false }).into_iter().collect()
}

/// A table that sleeps, by its family's number and its name.
fn asleep_table(message: &Message<'_>) -> Option<(u8, String)> {
    let (fixed, attributes) = message.split(4).filter(|_| message.kind == NEW_TABLE)?;
    let sleeps = number(&attributes, 2).is_some_and(|flags| flags & SLEEPS != 0);
    sleeps.then_some((*fixed.first()?, attributes.text(1)?))
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
