//! Which doors listen to a destination: interfaces and addresses of this host, resolved to the tracker's scopes.
//!
//! A scope is a distinct pair of (interfaces a door listens on, target). Doors that share one share the answer, so
//! the work for a packet does not grow with the number of doors.

mod numbering;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;

use aldaba_knock::ScopeId;

pub(crate) use numbering::Numbering;
use numbering::{Key, Numbers};

/// An interface the daemon captures on, as the gate needs to know it.
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
    interface: Interface,
    local: Vec<ScopeId>,
    /// The interface's addresses and the targets of doors, in order, each once. They are looked up for every frame, and
    /// strangers do not choose them: a search needs no keyed hash.
    places: Vec<Place>,
}

/// A destination that concerns us.
#[derive(Debug)]
struct Place {
    address: IpAddr,
    /// Whether it is this host.
    here: bool,
    /// The scopes to show a packet to, where a door has it as its target; those of `local` are in it when it is our own
    /// address.
    targeted: Option<Vec<ScopeId>>,
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
            self.set_interface(index, old.interface);
        }
    }

    /// Tells of an interface, new or changed.
    pub(crate) fn set_interface(&mut self, index: u32, interface: Interface) {
        let listening = self.listening(interface);
        self.interfaces.insert(index, listening);
    }

    /// Forgets an interface.
    pub(crate) fn remove_interface(&mut self, index: u32) {
        self.interfaces.remove(&index);
    }

    fn listening(&self, interface: Interface) -> Listening {
        let here = |key: &Key| key.is_on(&interface.name);
        let mut local = Vec::new();
        let mut targets: BTreeMap<IpAddr, Vec<ScopeId>> = BTreeMap::new();
        for (key, id) in self.numbers.iter().filter(|(key, _)| here(key)) {
            match key.target {
                None => local.push(*id),
                Some(target) => targets.entry(target).or_default().push(*id),
            }
        }
        let addresses: BTreeSet<IpAddr> = interface.addresses.iter().chain(targets.keys()).copied().collect();
        let place = |address: IpAddr| {
            let here = interface.addresses.contains(&address);
            let targeted = targets.remove(&address).map(|mut scopes| {
                scopes.extend(local.iter().filter(|_| here));
                scopes
            });
            Place { address, here, targeted }
        };
        let places = addresses.into_iter().map(place).collect();
        Listening { interface, local, places }
    }

    /// What a packet to `destination` that arrived on this interface is to us: whether it is for this host, and the scopes it
    /// falls in. `None`: nobody told of the interface.
    pub(crate) fn look_up(&self, index: u32, destination: IpAddr) -> Option<Found<'_>> {
        let listening = self.interfaces.get(&index)?;
        let at = listening.places.binary_search_by(|place| place.address.cmp(&destination)).ok();
        let place = at.and_then(|at| listening.places.get(at));
        let local: &[ScopeId] = &listening.local;
        let (here, scopes) = match place {
            None => (false, &[][..]),
            Some(Place { here, targeted: Some(scopes), .. }) => (*here, &**scopes),
            Some(Place { here, targeted: None, .. }) => (*here, local),
        };
        Some(Found { loopback: listening.interface.loopback, here, scopes })
    }

    /// Whether an address is this host's, on any interface it captures on.
    pub(crate) fn is_own(&self, address: IpAddr) -> bool {
        self.interfaces.values().any(|listening| listening.interface.addresses.contains(&address))
    }
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
