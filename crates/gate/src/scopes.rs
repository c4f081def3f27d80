//! Which doors listen to a destination: interfaces and addresses of this host, resolved to the tracker's scopes.
//!
//! A scope is a distinct pair of (interfaces a door listens on, target). Doors that share one share the answer, so
//! the work for a packet does not grow with the number of doors.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use aldaba_knock::ScopeId;

use crate::DoorRule;

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

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    interfaces: Vec<String>,
    target: Option<IpAddr>,
}

/// An interface with the scopes that listen there.
#[derive(Debug, Default)]
struct Listening {
    interface: Interface,
    local: Vec<ScopeId>,
    /// For each target the scopes to show a packet to; those of `local` are in it when the target is our own address.
    targets: HashMap<IpAddr, Vec<ScopeId>>,
}

/// All scopes of a policy and the interfaces they are asked for.
#[derive(Debug, Default)]
pub(crate) struct Scopes {
    keys: Vec<Key>,
    interfaces: BTreeMap<u32, Listening>,
}

impl Scopes {
    /// The scope of a door; the same door always gets the same one, also after a reload.
    pub(crate) fn intern(&mut self, door: &DoorRule) -> Option<ScopeId> {
        let mut interfaces = door.interfaces.clone();
        interfaces.sort_unstable();
        interfaces.dedup();
        let key = Key { interfaces, target: door.target };
        let index = self.keys.iter().position(|known| *known == key).unwrap_or_else(|| {
            self.keys.push(key);
            self.keys.len().saturating_sub(1)
        });
        u16::try_from(index).ok().map(ScopeId)
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

    /// To be called when all doors of a new policy are interned.
    pub(crate) fn refresh(&mut self) {
        for (index, old) in std::mem::take(&mut self.interfaces) {
            self.set_interface(index, old.interface);
        }
    }

    fn listening(&self, interface: Interface) -> Listening {
        let here = |key: &Key| key.interfaces.is_empty() || key.interfaces.contains(&interface.name);
        let mut local = Vec::new();
        let mut targets: HashMap<IpAddr, Vec<ScopeId>> = HashMap::new();
        for (id, key) in (0u16..).map(ScopeId).zip(&self.keys).filter(|(_, key)| here(key)) {
            match key.target {
                None => local.push(id),
                Some(target) => targets.entry(target).or_default().push(id),
            }
        }
        for (target, scopes) in &mut targets {
            if interface.addresses.contains(target) {
                scopes.extend(&local);
            }
        }
        Listening { interface, local, targets }
    }

    /// Whether packets of this interface are looked at, and whether loopback sources are believed on it.
    pub(crate) fn is_loopback(&self, index: u32) -> Option<bool> {
        self.interfaces.get(&index).map(|listening| listening.interface.loopback)
    }

    /// Whether an address is this host's, on any interface it captures on.
    pub(crate) fn is_own(&self, address: IpAddr) -> bool {
        self.interfaces.values().any(|listening| listening.interface.addresses.contains(&address))
    }

    /// Whether a packet to `destination` on this interface is for this host.
    pub(crate) fn is_here(&self, index: u32, destination: IpAddr) -> bool {
        let listening = self.interfaces.get(&index);
        listening.is_some_and(|listening| listening.interface.addresses.contains(&destination))
    }

    /// The scopes a packet to `destination` on this interface falls in; empty: not for us.
    pub(crate) fn of(&self, index: u32, destination: IpAddr) -> &[ScopeId] {
        let Some(listening) = self.interfaces.get(&index) else { return &[] };
        if let Some(scopes) = listening.targets.get(&destination) {
            return scopes;
        }
        if listening.interface.addresses.contains(&destination) { &listening.local } else { &[] }
    }
}
