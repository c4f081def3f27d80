//! aldaba's own table. For a door `ssh` that guards 22/tcp it reads:
//!
//! ```text
//! table inet aldaba {
//!     set door_ssh_v4 { type ipv4_addr; flags timeout; }
//!     set door_ssh_v6 { type ipv6_addr; flags timeout; }
//!     chain guard {
//!         type filter hook input priority filter - 10; policy accept;
//!         iifname "lo" accept comment "aldaba 6b1c80a96f1e5d02"
//!         ct state established,related accept
//!         tcp dport vmap { 22 : goto tcp_22 }
//!     }
//!     chain tcp_22 {
//!         ip saddr @door_ssh_v4 accept
//!         ip6 saddr @door_ssh_v6 accept
//!         counter drop
//!     }
//! }
//! ```
//!
//! A packet meets the rules of its own port's doors only ([`super::ports`]). The map has no name: nobody can change it but with its rule.
//!
//! The comment at the first rule says whose the table is ([`super::mark`]).
//!
//! With single packet authorization there are rules that keep its port silent ([`super::silence`]): first in `guard`, and in a
//! chain for what leaves.
//!
//! A door that cuts connections at the end of a lease has its ports before the rule for established connections, so that the end of the
//! element is the end of the connection, with the daemon or without:
//!
//! ```text
//!         tcp dport vmap { 22 : goto cut_tcp_22 }
//!         ct state established,related accept
//! ```
//!
//! From port 32768 on, where the kernel takes the ports of this host's own connections from, what this host began itself still
//! passes: `udp dport 32768-65535 ct state established,related ct direction reply accept`.
//!
//! It has no owner: it stays, and guards, when the daemon stops. What it accepts another table may still drop.

use std::collections::HashSet;
use std::net::IpAddr;

use super::expression::Rule;
use super::map::Map;
use super::mark::{Mark, USERDATA};
use super::ports;
use super::ruleset::Chain;
use super::silence::{self, SpaPort};
use super::{
    Batch, DELETE_CHAIN, DELETE_RULE, DELETE_SET, Family, NEW_CHAIN, NEW_RULE, NEW_SET, NEW_TABLE, SetName,
};
use crate::netlink::{APPEND, Builder, CREATE};

/// The chain's name.
pub(super) const CHAIN: &str = "guard";
/// Before the host's own filter, which has priority 0.
pub(super) const PRIORITY: i32 = -10;
/// The hooks for what is for this host, and for what it sends.
pub(super) const INPUT: u32 = 1;
pub(super) const OUTPUT: u32 = 3;
/// Sets whose elements time out.
pub(super) const SET_TIMEOUT: u32 = 0x10;
/// What `nft` shows the keys as.
pub(super) const TYPE_IPV4: u32 = 7;
pub(super) const TYPE_IPV6: u32 = 8;
/// How all names of doors' sets begin.
const PREFIX: &str = "door_";
/// From here on the kernel takes local ports for connections that this host begins.
const EPHEMERAL: u16 = 32_768;
/// The longest part of a set's name that is taken from a door's.
const LONGEST_NAME: usize = 100;

/// A door whose ports the table guards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorSpec {
    pub(super) name: String,
    set: String,
    /// Whether UDP, first and last port.
    pub(super) ports: Vec<(bool, u16, u16)>,
    /// Whether the end of a lease is the end of connections.
    pub(super) cuts: bool,
    /// It is only shut so far ([`super::steps`]).
    pub(super) later: bool,
}

impl DoorSpec {
    /// A door of this name for these ports: whether UDP, first, last.
    pub fn new(name: &str, ports: impl IntoIterator<Item = (bool, u16, u16)>) -> Self {
        let (name, set, ports) = (name.to_owned(), set_name(name), ports.into_iter().collect());
        Self { name, set, ports, cuts: false, later: false }
    }

    /// The same, and whether the end of a lease is the end of connections.
    #[must_use]
    pub const fn cutting(mut self, cuts: bool) -> Self {
        self.cuts = cuts;
        self
    }

    pub(super) fn set(&self, ipv6: bool) -> String {
        format!("{}_{}", self.set, if ipv6 { "v6" } else { "v4" })
    }

    /// Its sets' names, and what their elements are.
    pub(super) fn sets(&self) -> [(String, u32); 2] {
        [(self.set(false), TYPE_IPV4), (self.set(true), TYPE_IPV6)]
    }
}

/// The whole table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSpec {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub mark: Mark,
    /// Its doors.
    pub doors: Vec<DoorSpec>,
    /// The port that is to stay silent.
    pub spa: Option<SpaPort>,
}

impl TableSpec {
    /// A door's place in the list.
    #[must_use]
    pub fn number_of(&self, door: &str) -> Option<usize> {
        self.doors.iter().position(|spec| spec.name == door)
    }

    /// The set a door's elements of this address's family go into.
    #[must_use]
    pub fn set_of(&self, door: &str, address: IpAddr) -> Option<SetName> {
        let door = self.doors.get(self.number_of(door)?)?;
        Some(SetName { family: Family::Inet, table: self.name.clone(), set: door.set(address.is_ipv6()) })
    }

    /// All sets that elements go into.
    pub fn all_sets(&self) -> impl Iterator<Item = SetName> + '_ {
        let name = |set| SetName { family: Family::Inet, table: self.name.clone(), set };
        self.sets().into_iter().map(move |(set, _)| name(set))
    }

    /// Those of these sets that belong to doors that are gone.
    pub(super) fn stale(&self, mut sets: Vec<String>) -> Vec<String> {
        let ours: HashSet<String> = self.sets().into_iter().map(|(name, _)| name).collect();
        sets.retain(|set| is_of_door(set) && !ours.contains(set));
        sets
    }

    /// The sets' names, and what their elements are.
    pub(super) fn sets(&self) -> Vec<(String, u32)> {
        self.doors.iter().filter(|door| !door.later).flat_map(DoorSpec::sets).collect()
    }

    /// Those of these chains that belong to ports nobody guards any more.
    pub(super) fn stale_chains(&self, chains: &[Chain]) -> Vec<String> {
        let ours: HashSet<String> = self.maps().iter().flat_map(Map::chains).collect();
        let names = chains.iter().map(|chain| &chain.name.chain);
        names.filter(|name| ports::is_of_ports(name) && !ours.contains(*name)).cloned().collect()
    }

    /// The chains' names, and the hooks of those the kernel itself asks.
    pub(super) fn chains(&self) -> Vec<(String, Option<u32>)> {
        let silence = self.spa.is_some().then_some((silence::CHAIN, OUTPUT));
        let asked = [Some((CHAIN, INPUT)), silence].into_iter().flatten();
        let asked = asked.map(|(name, hook)| (name.to_owned(), Some(hook)));
        asked.chain(self.maps().iter().flat_map(Map::chains).map(|name| (name, None))).collect()
    }

    /// The maps from ports to chains, of doors that cut and of those that do not.
    pub(super) fn maps(&self) -> Vec<Map<'_>> {
        [true, false].into_iter().flat_map(|cuts| Map::of(&self.doors, cuts)).collect()
    }

    /// The rules of all chains, those of each in their order: chain and expressions.
    pub(super) fn rules(&self) -> Vec<(String, Vec<u8>)> {
        let (maps, mut rules) = (self.maps(), Rules::default());
        self.guard(&maps, &mut rules);
        for map in &maps {
            map.write_rules(&mut rules);
        }
        rules.0
    }

    /// All of it in one transaction. Creating what exists changes nothing, so live elements stay; the rules are written
    /// anew, since they hold no state but a counter.
    pub(super) fn write(&self, batch: &mut Batch, stale: &[String]) {
        batch.message(NEW_TABLE, CREATE, Family::Inet);
        batch.builder.put_text(1, &self.name);
        batch.builder.put_be32(2, 0);
        for (chain, hook) in [(CHAIN, INPUT), (silence::CHAIN, OUTPUT)] {
            self.write_chain(batch, chain, hook);
        }
        // Those of all chains.
        batch.message(DELETE_RULE, 0, Family::Inet);
        batch.builder.put_text(1, &self.name);
        if self.spa.is_none() {
            // Made first: what is not there cannot be deleted.
            self.delete_chain(batch, silence::CHAIN);
        }
        for set in stale {
            batch.message(DELETE_SET, 0, Family::Inet);
            batch.builder.put_text(1, &self.name);
            batch.builder.put_text(2, set);
        }
        for (set, kind) in self.sets() {
            self.write_set(batch, &set, kind);
        }
        let maps = self.maps();
        for map in &maps {
            map.write_chains(batch, &self.name);
        }
        self.write_guard(batch, &maps);
        let mut rules = Rules::default();
        for map in &maps {
            map.write_rules(&mut rules);
        }
        self.append(batch, &rules);
    }

    /// The maps, and the rules of the chains that the kernel itself asks. The first one bears the mark.
    pub(super) fn write_guard(&self, batch: &mut Batch, maps: &[Map<'_>]) {
        for map in maps {
            map.write(batch, &self.name);
        }
        let mut rules = Rules::default();
        self.guard(maps, &mut rules);
        for (place, rule) in rules.0.iter().enumerate() {
            self.append_one(batch, rule);
            if place == 0 {
                batch.builder.put(USERDATA, &self.mark.comment(&self.name));
            }
        }
    }

    pub(super) fn append(&self, batch: &mut Batch, rules: &Rules) {
        for rule in &rules.0 {
            self.append_one(batch, rule);
        }
    }

    fn append_one(&self, batch: &mut Batch, (chain, expressions): &(String, Vec<u8>)) {
        batch.message(NEW_RULE, CREATE | APPEND, Family::Inet);
        batch.builder.put_text(1, &self.name);
        batch.builder.put_text(2, chain);
        batch.builder.nest(4, |list| list.put_bare(expressions));
    }

    pub(super) fn delete_chain(&self, batch: &mut Batch, chain: &str) {
        batch.message(DELETE_CHAIN, 0, Family::Inet);
        batch.builder.put_text(1, &self.name);
        batch.builder.put_text(3, chain);
    }

    fn write_chain(&self, batch: &mut Batch, chain: &str, hook: u32) {
        batch.message(NEW_CHAIN, CREATE, Family::Inet);
        batch.builder.put_text(1, &self.name);
        batch.builder.put_text(3, chain);
        batch.builder.nest(4, |base| {
            base.put_be32(1, hook);
            base.put_be32(2, PRIORITY.cast_unsigned());
        });
        // Policy: accept.
        batch.builder.put_be32(5, 1);
        batch.builder.put_text(7, "filter");
    }

    pub(super) fn write_set(&self, batch: &mut Batch, name: &str, kind: u32) {
        batch.message(NEW_SET, CREATE, Family::Inet);
        batch.builder.put_text(1, &self.name);
        batch.builder.put_text(2, name);
        batch.builder.put_be32(3, SET_TIMEOUT);
        batch.builder.put_be32(4, kind);
        batch.builder.put_be32(5, if kind == TYPE_IPV4 { 4 } else { 16 });
        // An identity within the transaction; the kernel wants one for every new set.
        let id = batch.sequence;
        batch.builder.put_be32(10, id);
    }

    fn guard(&self, maps: &[Map<'_>], rules: &mut Rules) {
        if let Some(spa) = &self.spa {
            spa.input().iter().for_each(|fill| rules.add(CHAIN, fill));
            spa.output().iter().for_each(|fill| rules.add(silence::CHAIN, fill));
        }
        rules.add(CHAIN, |rule| rule.source_is_loopback().accept());
        let (cutting, keeping): (Vec<&Map<'_>>, Vec<&Map<'_>>) = maps.iter().partition(|map| map.cuts());
        for map in &cutting {
            if map.reaches(EPHEMERAL) {
                rules.add(CHAIN, |rule| {
                    rule.destination_ports(map.udp(), EPHEMERAL, u16::MAX).established().is_reply().accept();
                });
            }
        }
        for map in cutting {
            map.ask(CHAIN, rules);
        }
        rules.add(CHAIN, |rule| rule.established().accept());
        for map in keeping {
            map.ask(CHAIN, rules);
        }
    }
}

/// Rules as they are written, one behind the other.
#[derive(Default)]
pub(super) struct Rules(Vec<(String, Vec<u8>)>);

impl Rules {
    pub(super) fn add(&mut self, chain: &str, fill: impl FnOnce(&mut Rule<'_>)) {
        let mut builder = Builder::default();
        fill(&mut Rule(&mut builder));
        self.0.push((chain.to_owned(), builder.into_attributes()));
    }
}

/// Whether a chain's name is one that a chain of ours may have.
pub(super) fn is_own_chain(chain: &str) -> bool {
    [CHAIN, silence::CHAIN].contains(&chain) || ports::is_of_ports(chain)
}

/// Where the kernel asks a chain of ours of this name: hook and priority.
pub(super) fn hook_of(chain: &str) -> Option<(u32, i32)> {
    [(CHAIN, INPUT), (silence::CHAIN, OUTPUT)]
        .into_iter()
        .find_map(|(name, hook)| (name == chain).then_some((hook, PRIORITY)))
}

/// Whether a set's name is one that a door's set may have.
pub(super) fn is_of_door(set: &str) -> bool {
    set.starts_with(PREFIX)
}

/// A set's name for a door's, without the family. What nft would not take as a name is replaced, and a checksum of the
/// whole (FNV-1a) keeps such names apart.
fn set_name(door: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let text: String = door.chars().map(|c| if plain(c) { c } else { '_' }).take(LONGEST_NAME).collect();
    if text == door {
        return format!("{PREFIX}{text}");
    }
    let sum =
        door.bytes().fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{PREFIX}{text}_{sum:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_names_are_nfts_and_differ_where_doors_do() {
        assert_eq!(set_name("ssh"), "door_ssh");
        let odd = ["open ssh", "open_ssh", "open-ssh", "tür", &"x".repeat(300), &"x".repeat(301)];
        let names: HashSet<String> = odd.iter().map(|name| set_name(name)).collect();
        assert_eq!(names.len(), odd.len());
        for name in names {
            assert!(
                name.len() < 128 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
                "{name}"
            );
        }
    }
}
