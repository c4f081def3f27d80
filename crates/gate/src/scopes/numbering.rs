//! Numbers for scopes, which stay over a reload and never grow beyond what two policies need.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;

use aldaba_knock::ScopeId;

use crate::DoorRule;

/// What a scope is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// In order, each once; none: all.
    interfaces: Vec<String>,
    pub(super) target: Option<IpAddr>,
}

impl Key {
    fn of(door: &DoorRule) -> Self {
        let mut interfaces = door.interfaces.clone();
        interfaces.sort_unstable();
        interfaces.dedup();
        Self { interfaces, target: door.target }
    }

    /// Whether it listens on the interface of this name.
    pub(super) fn is_on(&self, interface: &String) -> bool {
        self.interfaces.is_empty() || self.interfaces.contains(interface)
    }
}

/// The scopes of a policy.
pub(crate) type Numbers = BTreeMap<Key, ScopeId>;

/// Gives the scopes of a policy their numbers. Those that the policy before has keep theirs, and so the attempts that are under
/// way there; no other gets a number that is in use there, since it would get the attempts with it.
#[derive(Debug)]
pub(crate) struct Numbering<'a> {
    before: &'a Numbers,
    taken: BTreeSet<ScopeId>,
    numbers: Numbers,
    next: RangeInclusive<u16>,
}

impl<'a> Numbering<'a> {
    pub(super) fn after(before: &'a Numbers) -> Self {
        let taken = before.values().copied().collect();
        Self { before, taken, numbers: Numbers::new(), next: 0..=u16::MAX }
    }

    /// The scope of a door; `None` when there are too many.
    pub(crate) fn scope_of(&mut self, door: &DoorRule) -> Option<ScopeId> {
        let key = Key::of(door);
        let known = self.numbers.get(&key).or_else(|| self.before.get(&key)).copied();
        let taken = &self.taken;
        let id = known.or_else(|| self.next.by_ref().map(ScopeId).find(|id| !taken.contains(id)))?;
        self.numbers.insert(key, id);
        Some(id)
    }

    /// All that were asked for.
    pub(crate) fn done(self) -> Numbers {
        self.numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(interface: &str, target: Option<u8>) -> DoorRule {
        DoorRule {
            name: "door".into(),
            interfaces: vec![interface.to_owned()],
            target: target.map(|last| [10, 0, 0, last].into()),
            knocks: Vec::new(),
            spa: None,
            for_gateway: false,
        }
    }

    fn numbered(before: &Numbers, doors: &[DoorRule]) -> (Vec<u16>, Numbers) {
        let mut numbering = Numbering::after(before);
        let ids = doors.iter().map(|door| numbering.scope_of(door).unwrap().0).collect();
        (ids, numbering.done())
    }

    #[test]
    fn a_scope_keeps_its_number_and_no_other_one_inherits_it() {
        let (ids, first) = numbered(&Numbers::new(), &[door("a", None), door("b", None), door("a", None)]);
        assert_eq!(ids, [0, 1, 0]);
        // What goes frees its number for the policy after the next one.
        let (ids, second) = numbered(&first, &[door("c", None), door("b", None), door("b", Some(1))]);
        assert_eq!(ids, [2, 1, 3]);
        let (ids, _) = numbered(&second, &[door("b", Some(1)), door("a", None), door("b", Some(2))]);
        assert_eq!(ids, [3, 0, 4]);
    }

    #[test]
    fn ever_new_scopes_take_no_more_numbers_than_two_policies_have() {
        let mut numbers = Numbers::new();
        for reload in 0..200_000_u32 {
            let doors = [door(&format!("veth{reload}"), None), door("eth0", Some(1))];
            let (ids, new) = numbered(&numbers, &doors);
            assert!(ids[0] <= 2, "{ids:?}");
            assert_eq!((ids[1], new.len()), (1, 2));
            numbers = new;
        }
    }
}
