//! aldaba's own table and the members of sets as the kernel has them now; and what is done where the table is not what it
//! should be.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::map::{DROP, GOTO, Map};
use super::ports::Turn;
use super::ruleset::{Chain, Element, Rule, chain, elements_of, number, rule};
use super::set::begins_with;
use super::table::{self, TableSpec};
use super::{
    Family, GET_CHAIN, GET_ELEMENT, GET_RULE, GET_SET, GET_TABLE, NEW_ELEMENT, NEW_SET, NEW_TABLE, Nft,
    NftError, SetName, header,
};
use crate::netlink::{ACK, Attributes, Builder, CREATE, DUMP, Message, REQUEST};

/// The expression that asks a set or a map, and where it has the identity of one without a name.
const LOOKUP: &str = "lookup";
const LOOKUP_ID: u16 = 4;

/// A table by the number the kernel gave it: one that was made anew has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableId(u64);

/// aldaba's own table as it is.
#[derive(Debug, Clone)]
pub struct OwnTable {
    id: TableId,
    /// Of a table that sleeps no rule is asked.
    flags: u32,
    /// Whether a rule says whose it is, and rightly.
    is_marked: bool,
    chains: Vec<Chain>,
    rules: HashMap<String, Vec<Rule>>,
    sets: Vec<OwnSet>,
    /// Maps without a name, by what the kernel calls them.
    maps: HashMap<String, Vec<Element>>,
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
        self.flags == 0
            && self.is_marked
            && self.has_chains(spec)
            && self.has_sets(spec)
            && self.has_rules(spec)
    }

    fn has_chains(&self, spec: &TableSpec) -> bool {
        let wanted = spec.chains();
        let found: HashMap<&str, &Chain> =
            self.chains.iter().map(|chain| (chain.name.chain.as_str(), chain)).collect();
        let is = |(name, hook): &(String, Option<u32>)| {
            found.get(name.as_str()).is_some_and(|chain| match hook {
                Some(hook) => chain.filters && !chain.drops && chain.hook == Some((*hook, table::PRIORITY)),
                None => chain.hook.is_none(),
            })
        };
        wanted.iter().all(is) && wanted.len() == self.chains.len()
    }

    fn has_sets(&self, spec: &TableSpec) -> bool {
        let wanted = spec.sets();
        let found: HashMap<&str, &OwnSet> = self.sets.iter().map(|set| (set.name.as_str(), set)).collect();
        let is = |(name, kind): &(String, u32)| {
            let set = found.get(name.as_str());
            set.is_some_and(|set| set.flags == table::SET_TIMEOUT && set.kind == *kind)
        };
        wanted.iter().all(is) && wanted.len() == self.sets.len()
    }

    fn has_rules(&self, spec: &TableSpec) -> bool {
        let (wanted, maps) = (spec.rules(), spec.maps());
        let mut found: HashMap<&str, std::slice::Iter<'_, Rule>> =
            self.rules.iter().map(|(chain, rules)| (chain.as_str(), rules.iter())).collect();
        let same = |(chain, wanted): &(String, Vec<u8>)| {
            let rule = found.get_mut(chain.as_str()).and_then(Iterator::next);
            rule.is_some_and(|rule| self.agree(wanted, rule, &maps))
        };
        wanted.iter().all(same) && found.values().all(|rest| rest.len() == 0)
    }

    /// Whether a rule in the kernel is the one that was written, its counter aside.
    fn agree(&self, written: &[u8], found: &Rule, maps: &[Map<'_>]) -> bool {
        let written: Vec<_> = Attributes::new(written).map(|(_, bytes)| Attributes::new(bytes)).collect();
        written.len() == found.len()
            && written.iter().zip(found).all(|(written, (name, found))| {
                let found = Attributes::new(found);
                let same = |parts: &Attributes<'_>| match number(parts, LOOKUP_ID) {
                    Some(id) if name == LOOKUP => {
                        maps.iter().any(|map| map.id() == id && self.leads(map, parts, &found))
                    }
                    _ => parts.is_said_by(&found),
                };
                let parts = written.inside(2);
                written.text(1).as_deref() == Some(name)
                    && (name == "counter" || parts.is_none_or(|parts| same(&parts)))
            })
    }

    /// Whether a look at a map without a name asks for the same and finds the same.
    fn leads(&self, map: &Map<'_>, written: &Attributes<'_>, found: &Attributes<'_>) -> bool {
        let registers = |parts: &Attributes<'_>| (number(parts, 2), number(parts, 3));
        let elements = found.text(1).and_then(|name| self.maps.get(&name));
        registers(written) == registers(found)
            && number(found, 5).unwrap_or(0) == 0
            && elements.is_some_and(|elements| is_of(map, elements))
    }
}

/// Whether these are a map's elements, in whatever order the kernel tells them.
fn is_of(map: &Map<'_>, elements: &[Element]) -> bool {
    let read = |element: &Element| {
        let port = u16::from_be_bytes(element.key.as_slice().try_into().ok()?);
        match &element.verdict {
            Some((GOTO, Some(chain))) if !element.ends => Some((port, Turn::To(chain.clone()))),
            Some((DROP, None)) if !element.ends => Some((port, Turn::Shut)),
            None if element.ends => Some((port, Turn::End)),
            _ => None,
        }
    };
    let mut found: Vec<_> = elements.iter().map(read).collect();
    found.sort();
    map.elements().into_iter().map(Some).eq(found)
}

impl Nft {
    /// The number of this way to the kernel, which notices of what it did carry.
    pub fn port(&self) -> Result<u32, NftError> {
        Ok(self.socket.port()?)
    }

    /// aldaba's own table as the kernel has it; `None`: there is none.
    pub fn own_table(&mut self, spec: &TableSpec) -> Result<Option<OwnTable>, NftError> {
        let Some((id, flags)) = self.table(Family::Inet, &spec.name)? else { return Ok(None) };
        let mut own = OwnTable {
            id,
            flags,
            is_marked: self.has_mark(&spec.name, &[spec.mark])?,
            chains: self.own_chains(&spec.name)?,
            rules: HashMap::new(),
            sets: Vec::new(),
            maps: HashMap::new(),
        };
        self.ask(GET_RULE, DUMP, Family::Inet, &[(1, &spec.name)], |message| {
            let found =
                rule(message).filter(|(of, _)| of.table == spec.name && table::is_own_chain(&of.chain));
            if let Some((of, rule)) = found {
                own.rules.entry(of.chain).or_default().push(rule);
            }
        })?;
        for map in unnamed_maps(&own.rules) {
            let mut elements = Vec::new();
            self.ask(GET_ELEMENT, DUMP, Family::Inet, &[(1, &spec.name), (2, &map)], |message| {
                elements_of(message, &mut elements);
            })?;
            own.maps.insert(map, elements);
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

    /// The chains of this table that are aldaba's; none when there is no table.
    pub(super) fn own_chains(&mut self, table: &str) -> io::Result<Vec<Chain>> {
        let mut chains = Vec::new();
        self.ask(GET_CHAIN, DUMP, Family::Inet, &[], |message| {
            let found = chain(message).filter(|chain| chain.name.table == table);
            chains.extend(found.filter(|chain| table::is_own_chain(&chain.name.chain)));
        })?;
        Ok(chains)
    }

    /// Makes aldaba's own table anew, in one transaction: whatever others put there is gone, and all elements are.
    pub fn rebuild_own_table(&mut self, spec: &TableSpec) -> Result<(), NftError> {
        Ok(self.transaction(|batch| {
            batch.message(NEW_TABLE, CREATE, Family::Inet);
            batch.builder.put_text(1, &spec.name);
            batch.builder.put_be32(2, 0);
            batch.delete_table(&spec.name);
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

/// The maps without a name that rules ask.
fn unnamed_maps(rules: &HashMap<String, Vec<Rule>>) -> HashSet<String> {
    let lookups = rules.values().flatten().flatten().filter(|(name, _)| name == LOOKUP);
    let names = lookups.filter_map(|(_, bytes)| Attributes::new(bytes).text(1));
    names.filter(|name| name.starts_with("__")).collect()
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

#[cfg(test)]
mod tests {
    use super::super::table::DoorSpec;
    use super::*;

    fn element(port: u16, to: Option<(i32, &str)>) -> Element {
        let verdict = to.map(|(code, chain)| (code, Some(chain.to_owned())));
        Element { key: port.to_be_bytes().to_vec(), last: None, ends: verdict.is_none(), verdict }
    }

    #[test]
    fn another_map_in_the_place_of_ours_is_seen() {
        const JUMP: i32 = -3;
        let doors = [DoorSpec::new("ssh", [(false, 22, 23), (false, 80, 81)])];
        let map = &Map::of(&doors, false)[0];
        let (ssh, web) = (Some((GOTO, "tcp_22_23")), Some((GOTO, "tcp_80_81")));
        let ours = [element(80, web), element(22, ssh), element(24, None), element(82, None)];
        assert!(is_of(map, &ours), "in whatever order");
        for (at, other) in [
            (0, element(80, ssh)),
            (0, element(79, web)),
            (1, element(22, Some((JUMP, "tcp_22_23")))),
            (2, element(25, None)),
            (2, element(22, ssh)),
        ] {
            let mut others = ours.clone();
            others[at] = other;
            assert!(!is_of(map, &others), "{others:?}");
        }
        assert!(!is_of(map, &ours[1..]) && !is_of(map, &[]));
    }

    #[test]
    fn single_ports_have_a_map_of_their_own_that_has_no_ends() {
        let doors = [DoorSpec::new("ssh", [(false, 80, 81), (false, 443, 443), (false, 22, 22)])];
        let maps = Map::of(&doors, false);
        let (ssh, web) = (Some((GOTO, "tcp_22")), Some((GOTO, "tcp_443")));
        assert!(is_of(&maps[0], &[element(443, web), element(22, ssh)]));
        assert!(!is_of(&maps[0], &[element(443, web), element(22, ssh), element(23, None)]));
        assert!(is_of(&maps[1], &[element(80, Some((GOTO, "tcp_80_81"))), element(82, None)]));
        assert_eq!(maps.len(), 2);
    }
}
