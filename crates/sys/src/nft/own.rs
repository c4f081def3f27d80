//! aldaba's own table and the members of sets as the kernel has them now; and what is done where the table is not what it
//! should be.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ruleset::{Chain, Rule, chain, number, rule};
use super::set::begins_with;
use super::table::{self, TableSpec};
use super::{
    DELETE_TABLE, Family, GET_CHAIN, GET_ELEMENT, GET_RULE, GET_SET, GET_TABLE, NEW_ELEMENT, NEW_SET,
    NEW_TABLE, Nft, NftError, SetName, header,
};
use crate::netlink::{ACK, Attributes, Builder, CREATE, DUMP, Message, REQUEST};

/// A table by the number the kernel gave it: one that was made anew has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableId(u64);

/// aldaba's own table as it is.
#[derive(Debug, Clone)]
pub struct OwnTable {
    id: TableId,
    /// Of a table that sleeps no rule is asked.
    flags: u32,
    chains: Vec<Chain>,
    rules: Vec<(String, Rule)>,
    sets: Vec<OwnSet>,
}

#[derive(Debug, Clone)]
struct OwnSet {
    name: String,
    flags: u32,
    kind: u32,
}

impl OwnTable {
    /// Which one it is.
    #[must_use]
    pub const fn id(&self) -> TableId {
        self.id
    }

    /// Whether it is what `spec` says: nothing is missing, nothing was added to its chains, and it is not asleep.
    #[must_use]
    pub fn is(&self, spec: &TableSpec) -> bool {
        self.flags == 0 && self.has_chains(spec) && self.has_sets(spec) && self.has_rules(spec)
    }

    fn has_chains(&self, spec: &TableSpec) -> bool {
        let wanted = spec.chains();
        let is = |(name, hook): &(&str, u32)| {
            let found = self.chains.iter().find(|chain| chain.name.chain == *name);
            found.is_some_and(|chain| {
                chain.filters && !chain.drops && chain.hook == Some((*hook, table::PRIORITY))
            })
        };
        wanted.iter().all(is) && wanted.len() == self.chains.len()
    }

    fn has_sets(&self, spec: &TableSpec) -> bool {
        let wanted = spec.sets();
        let found: HashMap<&str, &OwnSet> = self.sets.iter().map(|set| (&*set.name, set)).collect();
        let is = |(name, kind): &(String, u32)| {
            let found = found.get(&**name);
            found.is_some_and(|set| set.flags == table::SET_TIMEOUT && set.kind == *kind)
        };
        wanted.iter().all(is) && wanted.len() == self.sets.len()
    }

    fn has_rules(&self, spec: &TableSpec) -> bool {
        let wanted = spec.rules();
        let mut chains: Vec<&str> = wanted.iter().map(|(chain, _)| *chain).collect();
        chains.dedup();
        wanted.len() == self.rules.len()
            && chains.iter().all(|chain| {
                let wanted = wanted.iter().filter(|(of, _)| of == chain);
                let found = self.rules.iter().filter(|(of, _)| of == chain);
                wanted.zip(found).all(|((_, wanted), (of, found))| of == chain && agree(wanted, found))
            })
    }
}

/// Whether a rule in the kernel is the one that was written, its counter aside.
fn agree(written: &[u8], found: &Rule) -> bool {
    let expressions: Vec<_> = Attributes::new(written).map(|(_, bytes)| Attributes::new(bytes)).collect();
    expressions.len() == found.len()
        && expressions.iter().zip(found).all(|(written, (name, found))| {
            let same = || written.inside(2).is_none_or(|parts| parts.is_said_by(&Attributes::new(found)));
            written.text(1).as_deref() == Some(name) && (name == "counter" || same())
        })
}

impl Nft {
    /// The number of this way to the kernel, which notices of what it did carry.
    pub fn port(&self) -> Result<u32, NftError> {
        Ok(self.socket.port()?)
    }

    /// aldaba's own table as the kernel has it; `None`: there is none.
    pub fn own_table(&mut self, spec: &TableSpec) -> Result<Option<OwnTable>, NftError> {
        let Some((id, flags)) = self.table(Family::Inet, &spec.name)? else { return Ok(None) };
        let mut own = OwnTable { id, flags, chains: Vec::new(), rules: Vec::new(), sets: Vec::new() };
        for name in table::CHAINS {
            let names = [(1, spec.name.as_str()), (3, name)];
            self.ask(GET_CHAIN, ACK, Family::Inet, &names, |message| own.chains.extend(chain(message)))?;
            let names = [(1, spec.name.as_str()), (2, name)];
            self.ask(GET_RULE, DUMP, Family::Inet, &names, |message| {
                let found = rule(message).filter(|(of, _)| of.table == spec.name && of.chain == name);
                own.rules.extend(found.map(|(of, rule)| (of.chain, rule)));
            })?;
        }
        self.ask(GET_SET, DUMP, Family::Inet, &[(1, &spec.name)], |message| {
            own.sets.extend(own_set(message, &spec.name));
        })?;
        Ok(Some(own))
    }

    /// Which one aldaba's own table is; `None`: there is none.
    pub fn own_table_id(&mut self, name: &str) -> Result<Option<TableId>, NftError> {
        Ok(self.table(Family::Inet, name)?.map(|(id, _)| id))
    }

    /// Makes aldaba's own table anew, in one transaction: whatever others put there is gone, and all elements are.
    pub fn rebuild_own_table(&mut self, spec: &TableSpec) -> Result<(), NftError> {
        Ok(self.transaction(|batch| {
            batch.message(NEW_TABLE, CREATE, Family::Inet);
            batch.builder.put_text(1, &spec.name);
            batch.builder.put_be32(2, 0);
            batch.message(DELETE_TABLE, 0, Family::Inet);
            batch.builder.put_text(1, &spec.name);
            spec.write(batch, &[]);
        })?)
    }

    /// The addresses in a set; none where there is no set.
    pub fn members(&mut self, name: &SetName) -> Result<HashSet<IpAddr>, NftError> {
        let mut members = HashSet::new();
        self.each_element(name, |element| members.extend(begins_with(element)))?;
        Ok(members)
    }

    pub(super) fn each_element(
        &mut self,
        name: &SetName,
        mut show: impl FnMut(&Attributes<'_>),
    ) -> io::Result<()> {
        self.ask(GET_ELEMENT, DUMP, name.family, &[(1, &name.table), (2, &name.set)], |message| {
            let list = message.split(4).filter(|_| message.kind == NEW_ELEMENT);
            let list = list.and_then(|(_, attributes)| attributes.inside(3));
            list.into_iter().flatten().for_each(|(_, element)| show(&Attributes::new(element)));
        })
    }

    pub(super) fn table(&mut self, family: Family, name: &str) -> io::Result<Option<(TableId, u32)>> {
        let mut found = None;
        self.ask(GET_TABLE, ACK, family, &[(1, name)], |message| {
            let attributes = message.split(4).filter(|_| message.kind == NEW_TABLE).map(|(_, rest)| rest);
            let read = attributes
                .map(|table| (TableId(long(&table, 4).unwrap_or(0)), number(&table, 2).unwrap_or(0)));
            found = found.or(read);
        })?;
        Ok(found)
    }

    /// Asks for one thing (with an acknowledgement at its end) or for a list. What is not there answers nothing.
    pub(super) fn ask(
        &mut self,
        kind: u16,
        how: u16,
        family: Family,
        names: &[(u16, &str)],
        show: impl FnMut(&Message<'_>),
    ) -> io::Result<()> {
        let mut builder = Builder::default();
        let sequence = self.socket.next_sequence();
        builder.message(kind, REQUEST | how, sequence, &header(family.number(), 0));
        for (kind, name) in names {
            builder.put_text(*kind, name);
        }
        self.socket.send(&builder.finish())?;
        match self.socket.dump(show) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            other => other,
        }
    }
}

/// A set of a door's in aldaba's own table; what else stands there is not ours.
fn own_set(message: &Message<'_>, table: &str) -> Option<OwnSet> {
    let (_, attributes) = message.split(4).filter(|_| message.kind == NEW_SET)?;
    let name = attributes.text(2).filter(|name| table::is_of_door(name))?;
    (attributes.text(1)? == table).then(|| OwnSet {
        name,
        flags: number(&attributes, 3).unwrap_or(0),
        kind: number(&attributes, 4).unwrap_or(0),
    })
}

pub(super) fn address(key: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(key).ok().map(|octets| Ipv4Addr::from(octets).into());
    v4().or_else(|| <[u8; 16]>::try_from(key).ok().map(|octets| Ipv6Addr::from(octets).into()))
}

/// A long number in network order.
pub(super) fn long(attributes: &Attributes<'_>, kind: u16) -> Option<u64> {
    attributes.find(kind)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}
