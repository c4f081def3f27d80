//! A server with its store and its clocks, and all that clients need to know of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use aldaba_spa::{
    AddressRule, Admitted, Audience, Device, DoorTag, Doors, Guard, LockKeys, Locks, Moment, Psk, Psks,
    PublicKey, Record, Registry, Rejected, SecretKey, Served, ServedDoor, Server, Store, StoreFailed,
    Timestamp, Window,
};

use super::client::{self, Gate};

/// When everything begins.
pub(crate) const BASE: Timestamp = Timestamp(1_800_000_000_000_000);
const SEED: [u8; 32] = [7; 32];
const SECOND: Duration = Duration::from_secs(1);

/// A lock: server key, gate key, audience, and its dates in seconds from [`BASE`].
type Lock = ([u8; 32], [u8; 32], &'static str, Option<(i32, i32)>);

pub(crate) const LOCKS: [Lock; 3] = [
    ([9; 32], [8; 32], "", None),
    ([9; 32], [8; 32], "node-2", Some((0, 600))),
    ([11; 32], [0; 32], "", Some((-1200, -600))),
];

/// What the registry says of the devices; the last one does not stand there.
pub(crate) struct Known {
    pub(crate) secret: [u8; 32],
    pub(crate) generation: u32,
    pub(crate) web_only: bool,
    pub(crate) from: Option<&'static str>,
    /// Seconds after [`BASE`].
    pub(crate) expires: Option<u64>,
    pub(crate) delegates: bool,
    pub(crate) bound: bool,
}

const PLAIN: Known = Known {
    secret: [1; 32],
    generation: 0,
    web_only: false,
    from: None,
    expires: None,
    delegates: false,
    bound: false,
};

pub(crate) const DEVICES: [Known; 5] = [
    PLAIN,
    Known { secret: [2; 32], web_only: true, from: Some("198.51.100.0/24"), ..PLAIN },
    Known { secret: [3; 32], bound: true, expires: Some(90), ..PLAIN },
    Known { secret: [4; 32], delegates: true, generation: 7, ..PLAIN },
    Known { secret: [5; 32], ..PLAIN },
];

/// How many of them are registered.
pub(crate) const REGISTERED: usize = DEVICES.len() - 1;

/// The doors, their numbers, and whether a request for them must be bound.
pub(crate) const DOORS: [(&str, u32, bool); 2] = [("ssh", 4, false), ("web", 6, true)];

thread_local! {
    static GATES: Vec<Gate> = {
        LOCKS.iter().map(|(secret, psk, audience, _)| {
            Gate::new(SecretKey::new(secret).public().as_bytes(), psk, audience)
        }).collect()
    };
    static CLIENTS: Vec<client::Device> = {
        DEVICES.iter().map(|known| {
            let public = SecretKey::new(&known.secret).public();
            let psk = client::device_psk(&SEED, known.generation, public.as_bytes());
            client::Device { secret: known.secret, psk }
        }).collect()
    };
}

/// A lock as its clients know it.
pub(crate) fn with_gate<T>(lock: usize, f: impl FnOnce(&Gate) -> T) -> T {
    GATES.with(|gates| f(&gates[lock]))
}

/// A device as it knows itself.
pub(crate) fn client(device: usize) -> client::Device {
    CLIENTS.with(|clients| clients[device])
}

pub(crate) fn tag(door: &str) -> DoorTag {
    DoorTag::of(door).expect("a tag")
}

/// [`BASE`] and some seconds.
pub(crate) fn seconds(from_base: i32) -> Timestamp {
    Timestamp(BASE.0.saturating_add_signed(i64::from(from_base) * 1_000_000))
}

fn served(window: Window) -> Served {
    let locks = LOCKS.iter().map(|(secret, psk, audience, dates)| LockKeys {
        secret: SecretKey::new(secret),
        gate_psk: Psk::new(*psk),
        audience: Audience::new(audience).expect("an audience"),
        not_before: dates.map(|(from, _)| seconds(from)),
        not_after: dates.map(|(_, until)| seconds(until)),
    });
    let devices = DEVICES.iter().take(REGISTERED).map(|known| Device {
        doors: if known.web_only { Doors::Only([tag("web")].into()) } else { Doors::All },
        from: known.from.iter().map(|network| network.parse().expect("a network")).collect(),
        expires: known.expires.map(|seconds| BASE.after(SECOND * u32::try_from(seconds).expect("seconds"))),
        psk_generation: known.generation,
        delegates: known.delegates,
        bound: known.bound,
        ..Device::new(SecretKey::new(&known.secret).public(), "somebody".to_owned())
    });
    let doors = DOORS.iter().map(|(name, number, bound)| {
        let rule = if *bound { AddressRule::Bound } else { AddressRule::Either };
        (tag(name), ServedDoor { number: *number, rule })
    });
    Served {
        locks: Locks::new(locks.collect()).expect("locks"),
        registry: Registry::new(devices.collect(), [4; 16]).expect("devices"),
        doors: doors.collect(),
        window,
        psks: Psks::Seed(Psk::new(SEED)),
    }
}

/// What the store does with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    Keeps,
    /// It fails, and has kept the record all the same.
    KeepsAndFails,
    Fails,
}

/// A store that outlives the server.
struct Memory {
    records: BTreeMap<PublicKey, Record>,
    disk: Disk,
}

impl Store for Memory {
    fn load(&mut self, device: &PublicKey) -> Result<Option<Record>, StoreFailed> {
        // As on disk: bytes.
        let record = self.records.get(device).map(|record| Record::decode(&record.encode()));
        record.transpose().map_err(|_| StoreFailed)
    }

    fn commit(&mut self, device: &PublicKey, record: &Record) -> Result<(), StoreFailed> {
        if self.disk != Disk::Fails {
            if let Some(before) = self.records.insert(*device, *record) {
                assert!(record.floor() >= before.floor(), "a floor went down");
            }
            assert!(record.encode().len() <= 8 * 17, "more than sixteen times");
        }
        if self.disk == Disk::Keeps { Ok(()) } else { Err(StoreFailed) }
    }
}

pub(crate) struct World {
    server: Server,
    store: Memory,
    /// What it is told of a loss, which outlives it too.
    guard: Option<Guard>,
    window: Window,
    pub(crate) at: Moment,
}

impl World {
    pub(crate) fn new(window: Window) -> Self {
        let at = Moment { now: SECOND * 1000, wall: BASE };
        let store = Memory { records: BTreeMap::new(), disk: Disk::Keeps };
        Self { server: Server::new(served(window), at.now, [3; 16]), store, guard: None, window, at }
    }

    /// Hands a datagram over. What nobody has a key for may cost no memory: nothing before the request is opened does.
    pub(crate) fn handle(&mut self, source: IpAddr, bytes: &[u8]) -> Result<Admitted, Rejected> {
        let mut handled = None;
        let before = self.store.records.clone();
        let cost = allocation_counter::measure(|| {
            handled = Some(self.server.handle_datagram(self.at, source, bytes, &mut self.store));
        });
        let handled = handled.expect("it was called");
        if let Err(rejected) = &handled {
            let step = rejected.refusal.step();
            assert!(step > 9 || cost.count_total == 0, "{rejected:?} cost memory");
            assert!(step >= 15 || self.store.records == before, "{rejected:?} changed a record");
        }
        handled
    }

    /// The process dies, and another one reads its store.
    pub(crate) fn restart(&mut self) {
        self.server = Server::new(served(self.window), self.at.now, [5; 16]);
        if let Some(guard) = self.guard {
            self.server.guard(guard);
        }
    }

    /// The store is found lost at a start.
    pub(crate) fn lose_the_store(&mut self) {
        self.store.records.clear();
        let raised = Guard::raised(self.at, &self.window);
        self.guard = Some(self.guard.map_or(raised, |before| raised.and(before)));
        self.restart();
    }

    pub(crate) fn set_disk(&mut self, disk: Disk) {
        self.store.disk = disk;
    }
}
