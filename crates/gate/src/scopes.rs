//! Which doors listen to a destination: interfaces and addresses of this host, resolved to the tracker's scopes.
//!
//! A scope is a distinct pair of (interfaces a door listens on, target). Doors that share one share the answer, so
//! the work for a packet does not grow with the number of doors.

mod numbering;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use aldaba_knock::ScopeId;

pub(crate) use numbering::Numbering;
use numbering::Numbers;

/// An interface the daemon captures on, as the gate needs to know it; one of its names, where it has several.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interface {
    /// Its name, as doors name it.
    pub name: String,
    /// Loopback: the only place where loopback sources are believed.
    pub loopback: bool,
    /// The destinations that are this host when a packet arrives here.
    pub addresses: HashSet<IpAddr>,
}

/// An interface with the scopes that listen there.
#[derive(Debug, Default)]
struct Listening {
    names: Vec<Interface>,
    /// The interface's addresses and the targets of doors, of either family.
    v4: Places<Ipv4Addr>,
    v6: Places<Ipv6Addr>,
}

/// Destinations that concern us, in order, each once. They are looked up for every frame, and strangers do not choose them: a
/// search needs no keyed hash.
#[derive(Debug)]
struct Places<A>(Vec<(A, Place)>);

impl<A> Default for Places<A> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<A: Copy + Ord> Places<A> {
    fn at(&self, address: A) -> Option<&Place> {
        let found = self.0.binary_search_by_key(&address, |(place, _)| *place).ok()?;
        self.0.get(found).map(|(_, place)| place)
    }
}

/// What a destination that concerns us is.
#[derive(Debug)]
struct Place {
    /// Whether it is this host.
    here: bool,
    /// The scopes to show a packet to: of doors that have it as their target, and, when it is our own address, of those that
    /// have none. These are the same ones for each address of a name.
    scopes: Arc<[ScopeId]>,
}

/// All scopes of a policy and the interfaces they are asked for.
#[derive(Debug, Default)]
pub(crate) struct Scopes {
    numbers: Numbers,
    interfaces: BTreeMap<u32, Listening>,
}

impl Scopes {
    /// Begins to number the scopes of another policy; [`Scopes::take_over`] puts them in the place of these.
    pub(crate) fn numbering(&self) -> Numbering<'_> {
        Numbering::after(&self.numbers)
    }

    /// From now on these are the scopes, and those of the policy before are forgotten.
    pub(crate) fn take_over(&mut self, numbers: Numbers) {
        self.numbers = numbers;
        for (index, old) in std::mem::take(&mut self.interfaces) {
            self.set_interface(index, old.names);
        }
    }

    /// Tells of an interface, new or changed, by all its names.
    pub(crate) fn set_interface(&mut self, index: u32, names: Vec<Interface>) {
        let listening = self.listening(names);
        self.interfaces.insert(index, listening);
    }

    /// Forgets an interface.
    pub(crate) fn remove_interface(&mut self, index: u32) {
        self.interfaces.remove(&index);
    }

    fn listening(&self, names: Vec<Interface>) -> Listening {
        let mut places: BTreeMap<IpAddr, Arc<[ScopeId]>> = BTreeMap::new();
        let mut targets: BTreeMap<IpAddr, BTreeSet<ScopeId>> = BTreeMap::new();
        for Interface { name, addresses, .. } in &names {
            let mut local = Vec::new();
            for (key, id) in self.numbers.iter().filter(|(key, _)| key.is_on(name)) {
                match key.target {
                    None => local.push(*id),
                    Some(target) => {
                        targets.entry(target).or_default().insert(*id);
                    }
                }
            }
            let local: Arc<[ScopeId]> = local.into();
            for address in addresses {
                let scopes =
                    places.get(address).map_or_else(|| Arc::clone(&local), |known| joined(known, &local));
                places.insert(*address, scopes);
            }
        }
        for (target, scopes) in targets {
            let scopes: Vec<ScopeId> = scopes.into_iter().collect();
            let local = places.entry(target).or_default();
            *local = joined(&scopes, local);
        }
        let (mut v4, mut v6) = (Places::default(), Places::default());
        for (address, scopes) in places {
            let place = Place { here: has(&names, address), scopes };
            match address {
                IpAddr::V4(address) => v4.0.push((address, place)),
                IpAddr::V6(address) => v6.0.push((address, place)),
            }
        }
        Listening { names, v4, v6 }
    }

    /// What a packet to `destination` that arrived on this interface is to us: whether it is for this host, and the scopes it
    /// falls in. `None`: nobody told of the interface.
    pub(crate) fn look_up(&self, index: u32, destination: IpAddr) -> Option<Found<'_>> {
        let listening = self.interfaces.get(&index)?;
        let loopback = listening.names.first().is_some_and(|interface| interface.loopback);
        let place = match destination {
            IpAddr::V4(address) => listening.v4.at(address),
            IpAddr::V6(address) => listening.v6.at(address),
        };
        let (here, scopes) = place.map_or((false, &[][..]), |place| (place.here, &*place.scopes));
        Some(Found { loopback, here, scopes })
    }

    /// Whether an address is this host's, on any interface it captures on.
    pub(crate) fn is_own(&self, address: IpAddr) -> bool {
        self.interfaces.values().any(|listening| has(&listening.names, address))
    }
}

/// Whether an interface of these names has the address.
fn has(names: &[Interface], address: IpAddr) -> bool {
    names.iter().any(|interface| interface.addresses.contains(&address))
}

/// The first ones, and those of the second that are not among them.
fn joined(first: &[ScopeId], second: &[ScopeId]) -> Arc<[ScopeId]> {
    first.iter().chain(second.iter().filter(|scope| !first.contains(scope))).copied().collect()
}

/// What a destination is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    /// The packet came in on loopback: the only place where loopback sources are believed.
    pub(crate) loopback: bool,
    /// It is for this host.
    pub(crate) here: bool,
    /// The scopes it falls in.
    pub(crate) scopes: &'a [ScopeId],
}
