//! A server: takes a datagram through all steps of spec/spa.md, section 8, and remembers what they need.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::time::Duration;

use crate::budget::{Bucket, Budget, NETWORKS};
use crate::key::Agreement;
use crate::open::{Authentic, Party};
use crate::seen::{Keyed, Seen};
use crate::{
    AddressRule, Datagram, Device, DeviceId, DoorTag, Guard, KnockId, Locks, Operation, Psk, PublicKey,
    Record, Refusal, Refused, Registry, Timestamp, Window, device_psk, opened,
};

/// Accepted requests a second, for each device.
const RATE: u32 = 2;
/// And at once: both address families, and the retries of sessions side by side.
const BURST: u32 = 40;

/// Where replay records outlive the process.
pub trait Store {
    /// The record of a device, if it has one.
    fn load(&mut self, device: &PublicKey) -> Result<Option<Record>, StoreFailed>;
    /// Makes a record durable. Nothing is acted on before this is done.
    fn commit(&mut self, device: &PublicKey, record: &Record) -> Result<(), StoreFailed>;
}

/// The store did not do what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the replay store failed")]
pub struct StoreFailed;

/// A moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Since any fixed origin; never steps.
    pub now: Duration,
    /// By the wall clock, which devices' clocks are compared with.
    pub wall: Timestamp,
}

/// A door as datagrams name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServedDoor {
    /// The caller's number for it.
    pub number: u32,
    /// Which requests it takes.
    pub rule: AddressRule,
}

/// All that a policy says of single packet authorization.
pub struct Served {
    /// The locks datagrams are made for.
    pub locks: Locks,
    /// Who may knock.
    pub registry: Registry,
    /// On which doors, by their names' hashes.
    pub doors: HashMap<DoorTag, ServedDoor>,
    /// How far clocks may differ.
    pub window: Window,
    /// The devices' pre-shared keys.
    pub psks: Psks,
}

/// Where the devices' pre-shared keys come from.
pub enum Psks {
    /// There are none.
    None,
    /// From a seed (spec/spa.md, section 3).
    Seed(Psk),
    /// The vectors name each.
    #[cfg(test)]
    Each(std::collections::BTreeMap<PublicKey, Psk>),
}

impl Psks {
    fn of(&self, device: &Device) -> Psk {
        match self {
            Self::None => Psk::NONE,
            Self::Seed(seed) => device_psk(seed, device.psk_generation, &device.key),
            #[cfg(test)]
            Self::Each(psks) => psks[&device.key].clone(),
        }
    }
}

/// What an admitted request comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Open a door.
    Open {
        /// Which, by [`ServedDoor::number`].
        door: u32,
        /// For whom.
        address: IpAddr,
        /// For how many seconds; 0 for the default.
        seconds: u16,
    },
    /// Close what this device opened of a door.
    Close {
        /// Which.
        door: u32,
    },
    /// Nothing: the path works.
    Hello,
}

/// A request that is authentic, fresh, durably recorded and allowed: the only thing a grant is made of.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// Who asked.
    pub device: DeviceId,
    /// For which of the locks, by index.
    pub lock: usize,
    /// The datagram's name.
    pub id: KnockId,
    /// When it was made, by the device's clock.
    pub time: Timestamp,
    /// What is to be done.
    pub demand: Demand,
}

/// A datagram that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub refusal: Refusal,
    /// Its name, from step 2 on.
    pub id: Option<KnockId>,
    /// For which of the locks it was made, by index, from step 2 on.
    pub lock: Option<usize>,
    /// Whose it claims to be, from step 8 on; proven from step 11 on.
    pub device: Option<DeviceId>,
}

/// What is remembered of a device in memory.
struct Known {
    record: Record,
    rate: Bucket,
    /// What it and the lock it knocked on last, by index, agree on: half of what a datagram takes to open. Whoever reads it here
    /// finds the lock's own key beside it, from which it follows. In a box: a table that grows leaves what it held behind.
    agreed: Option<(usize, Box<Agreement>)>,
}

/// The state of a server.
pub struct Server {
    served: Served,
    /// Tags of authentic datagrams.
    seen: Seen,
    /// Tags of datagrams that failed behind the gate.
    failed: Seen,
    budgets: Vec<Budget>,
    known: HashMap<PublicKey, Known, Keyed>,
    /// After a lost store: nothing up to here is new.
    guard: Option<Guard>,
    key: [u8; 16],
}

impl Server {
    /// A server that knows nothing yet. `key`: 16 random bytes that make its tables' hashes unpredictable.
    #[must_use]
    pub fn new(served: Served, now: Duration, key: [u8; 16]) -> Self {
        let budgets = (0..served.locks.len()).map(|_| Budget::new(now, key)).collect();
        Self {
            served,
            seen: Seen::new(key),
            failed: Seen::new(key),
            budgets,
            known: HashMap::with_hasher(Keyed(key)),
            guard: None,
            key,
        }
    }

    /// Takes over another policy. Records and tags stay, and the budgets of locks that do: a reload in a flood must not
    /// forget who was admitted.
    pub fn reconfigure(&mut self, served: Served, now: Duration) {
        let mut before: HashMap<_, _> = self.served.locks.ids().zip(self.budgets.drain(..)).collect();
        let budgets =
            served.locks.ids().map(|id| before.remove(&id).unwrap_or_else(|| Budget::new(now, self.key)));
        self.budgets = budgets.collect();
        self.known.retain(|key, _| served.registry.find(key.as_bytes()).is_some());
        // The locks may be others.
        self.known.values_mut().for_each(|known| known.agreed = None);
        self.served = served;
    }

    /// What is served.
    #[must_use]
    pub const fn served(&self) -> &Served {
        &self.served
    }

    /// The most networks of admitted devices that are remembered of each lock.
    pub const NETWORKS: usize = NETWORKS;

    /// How many networks are remembered of the lock that has most.
    #[must_use]
    pub fn networks(&self) -> usize {
        self.budgets.iter().map(Budget::networks).max().unwrap_or_default()
    }

    /// The replay store was lost: what this guard covers is not known to be new.
    pub fn guard(&mut self, guard: Guard) {
        self.guard = Some(self.guard.map_or(guard, |other| guard.and(other)));
    }

    /// Whether there is a guard.
    #[must_use]
    pub const fn is_guarded(&self) -> bool {
        self.guard.is_some()
    }

    /// Drops a guard that is of no use any more; whether there was one.
    pub fn end_guard(&mut self, at: Moment) -> bool {
        self.guard.take_if(|guard| guard.is_over(at, &self.served.window)).is_some()
    }

    /// No request made up to this time is known to be new.
    #[must_use]
    pub fn guarded_until(&self) -> Option<Timestamp> {
        self.guard.map(|guard| guard.until())
    }

    /// Takes a datagram from `source` through every step.
    pub fn handle_datagram(
        &mut self,
        at: Moment,
        source: IpAddr,
        bytes: &[u8],
        store: &mut dyn Store,
    ) -> Result<Admitted, Rejected> {
        let unnamed = |refusal| Rejected { refusal, id: None, lock: None, device: None };
        // The locks are borrowed while the rest of the state changes.
        let Self { served, seen, failed, budgets, known, guard, .. } = self;
        let datagram = served.locks.verify(at.wall, bytes).map_err(unnamed)?;
        let (id, lock) = (datagram.id(), datagram.lock());
        let named = |refused: Refused<DeviceId>| Rejected {
            refusal: refused.refusal,
            id: Some(id),
            lock: Some(lock),
            device: refused.device,
        };
        let refuse = |refusal| named(refusal_of(refusal));
        if seen.contains(datagram.tag()) || failed.contains(datagram.tag()) {
            return Err(refuse(Refusal::Repeated));
        }
        let budget = budgets.get_mut(lock).ok_or(refuse(Refusal::Budget))?;
        if !budget.take(at.now, source) {
            return Err(refuse(Refusal::Budget));
        }
        let opened = open(&datagram, served, known, at.wall);
        let behind_the_gate = opened.as_ref().is_err_and(|refused| refused.refusal.step() < 10);
        let tags = if behind_the_gate { failed } else { seen };
        tags.insert(*datagram.tag());
        let (authentic, agreed) = opened.map_err(named)?;
        let whose = |refusal| named(Refused { refusal, device: Some(authentic.device) });
        let known = recall(&authentic, served, known, at.now, store).map_err(whose)?;
        if let Some(agreed) = agreed {
            known.agreed = Some((lock, Box::new(agreed)));
        }
        let fresh = refresh(authentic, served, known, guard, at, store).map_err(whose)?;
        let admitted = fresh.admit(served, lock, source).map_err(whose)?;
        budget.admit(at.now, source);
        Ok(admitted)
    }
}

const fn refusal_of(refusal: Refusal) -> Refused<DeviceId> {
    Refused { refusal, device: None }
}

/// Steps 5 to 11. What lock and device agree on comes with it where it was not known.
fn open(
    datagram: &Datagram<'_>,
    served: &Served,
    known: &HashMap<PublicKey, Known, Keyed>,
    wall: Timestamp,
) -> Result<(Authentic<DeviceId>, Option<Agreement>), Refused<DeviceId>> {
    datagram.open_from(|key| {
        let (id, device) = served.registry.find(key).ok_or(Refusal::UnknownDevice)?;
        if !device.is_valid(wall) {
            return Err(Refusal::InvalidDevice);
        }
        let agreed = known.get(key).and_then(|known| known.agreed.as_ref());
        let agreed = agreed.filter(|(lock, _)| *lock == datagram.lock()).map(|(_, agreed)| &**agreed);
        Ok(Party { device: id, psk: served.psks.of(device), agreed })
    })
}

/// What is known of a device that has proved itself: its record is read when it is first needed.
fn recall<'k>(
    authentic: &Authentic<DeviceId>,
    served: &Served,
    known: &'k mut HashMap<PublicKey, Known, Keyed>,
    now: Duration,
    store: &mut dyn Store,
) -> Result<&'k mut Known, Refusal> {
    let device = served.registry.device(authentic.device).ok_or(Refusal::UnknownDevice)?;
    match known.entry(device.key) {
        Entry::Occupied(known) => Ok(known.into_mut()),
        Entry::Vacant(unknown) => {
            let record = store.load(&device.key).map_err(|StoreFailed| Refusal::Store)?.unwrap_or_default();
            Ok(unknown.insert(Known { record, rate: Bucket::full(RATE, BURST, now), agreed: None }))
        }
    }
}

/// A request whose time was never accepted before, and never will be again.
struct Fresh(Authentic<DeviceId>);

/// Steps 12 to 15: its time is used up before anybody looks at what it asks for.
fn refresh(
    authentic: Authentic<DeviceId>,
    served: &Served,
    known: &mut Known,
    guard: &mut Option<Guard>,
    at: Moment,
    store: &mut dyn Store,
) -> Result<Fresh, Refusal> {
    let device = served.registry.device(authentic.device).ok_or(Refusal::UnknownDevice)?;
    let time = authentic.request.time;
    known.record.check(&served.window, at.wall, time)?;
    if let Some(guard) = guard {
        *guard = guard.followed(at, &served.window);
        if time <= guard.until() {
            return Err(Refusal::Guard);
        }
    }
    if !known.rate.take(at.now) {
        return Err(Refusal::Rate);
    }
    // In memory whatever the store says: if it failed after writing, the time is used.
    known.record = known.record.accept(&served.window, time);
    store.commit(&device.key, &known.record).map_err(|StoreFailed| Refusal::Store)?;
    Ok(Fresh(authentic))
}

impl Fresh {
    /// Step 16: the device, the door, the network and the address.
    fn admit(self, served: &Served, lock: usize, source: IpAddr) -> Result<Admitted, Refusal> {
        let Authentic { device: id, request, id: knock } = self.0;
        let device = served.registry.device(id).ok_or(Refusal::UnknownDevice)?;
        if !device.may_come_from(source) {
            return Err(Refusal::Network);
        }
        let door = |tag| {
            let door = served.doors.get(&tag).filter(|_| device.may_open(tag));
            door.ok_or(Refusal::Door)
        };
        let demand = match request.operation {
            Operation::Hello => Demand::Hello,
            Operation::Close { door: tag } => Demand::Close { door: door(tag)?.number },
            Operation::Open { door: tag, seconds, bound } => {
                let door = door(tag)?;
                let rule = if device.bound { AddressRule::Bound } else { door.rule };
                let address = opened(source, bound, rule, device.delegates)?;
                Demand::Open { door: door.number, address, seconds }
            }
        };
        Ok(Admitted { device: id, lock, id: knock, time: request.time, demand })
    }
}

#[cfg(test)]
mod tests;
