mod cost;
mod devices;
mod exhaustive;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::*;
use crate::{Audience, Doors, Lock, LockKeys, Request, SecretKey, seal};

const WALL: Timestamp = Timestamp(1_800_000_000_000_000);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 9));

#[derive(Default)]
struct Memory {
    records: BTreeMap<PublicKey, Record>,
    fails: bool,
}

impl Store for Memory {
    fn load(&mut self, device: &PublicKey) -> Result<Option<Record>, StoreFailed> {
        Ok(self.records.get(device).copied())
    }

    fn commit(&mut self, device: &PublicKey, record: &Record) -> Result<(), StoreFailed> {
        if self.fails {
            return Err(StoreFailed);
        }
        self.records.insert(*device, *record);
        Ok(())
    }
}

/// A server with two devices and two doors, and what its clients need.
struct World {
    server: Server,
    store: Memory,
    lock: Lock,
    seed: Psk,
    at: Moment,
    sealed: u8,
}

fn tag(name: &str) -> DoorTag {
    DoorTag::of(name).expect("a tag")
}

fn alice() -> SecretKey {
    SecretKey::new(&[1; 32])
}

fn bob() -> SecretKey {
    SecretKey::new(&[2; 32])
}

fn device(key: &SecretKey, name: &str) -> Device {
    Device::new(key.public(), name.to_owned())
}

fn world(change: impl FnOnce(&mut Vec<Device>)) -> World {
    let mut devices = vec![device(&alice(), "alice/laptop"), device(&bob(), "bob")];
    change(&mut devices);
    let lock = SecretKey::new(&[9; 32]).lock(Psk::new([8; 32]), Audience::default());
    let server = Server::new(served(devices), Duration::ZERO, [3; 16]);
    let at = Moment { now: Duration::from_secs(100), wall: WALL };
    World { server, store: Memory::default(), lock, seed: Psk::new([7; 32]), at, sealed: 0 }
}

fn served(devices: Vec<Device>) -> Served {
    let locks = Locks::new(vec![LockKeys {
        secret: SecretKey::new(&[9; 32]),
        gate_psk: Psk::new([8; 32]),
        audience: Audience::default(),
        not_before: None,
        not_after: None,
    }])
    .expect("locks");
    Served {
        locks,
        registry: Registry::new(devices, [4; 16]).expect("devices"),
        doors: HashMap::from([
            (tag("ssh"), ServedDoor { number: 4, rule: AddressRule::Either }),
            (tag("web"), ServedDoor { number: 6, rule: AddressRule::Bound }),
        ]),
        window: Window::default(),
        psks: Psks::Seed(Psk::new([7; 32])),
    }
}

impl World {
    fn seal(&mut self, key: &SecretKey, operation: Operation, time: Timestamp) -> Vec<u8> {
        self.sealed += 1;
        let psk = device_psk(&self.seed, 0, &key.public());
        let request = Request { operation, time };
        seal(key, &psk, &self.lock, &request, 0, &[self.sealed; 32]).expect("sealed").datagram
    }

    fn handle(&mut self, source: IpAddr, bytes: &[u8]) -> Result<Demand, Refusal> {
        let handled = self.server.handle_datagram(self.at, source, bytes, &mut self.store);
        handled.map(|admitted| admitted.demand).map_err(|rejected| rejected.refusal)
    }

    fn knock(&mut self, key: &SecretKey, operation: Operation) -> Result<Demand, Refusal> {
        self.at.wall = self.at.wall.after(Duration::from_millis(1));
        let bytes = self.seal(key, operation, self.at.wall);
        self.handle(HERE, &bytes)
    }
}

fn open(name: &str) -> Operation {
    Operation::Open { door: tag(name), seconds: 0, bound: None }
}

fn open_bound(name: &str, address: IpAddr) -> Operation {
    Operation::Open { door: tag(name), seconds: 60, bound: Some(address) }
}

#[test]
fn a_device_opens_closes_and_says_hello() {
    let mut world = world(|_| ());
    let opened = world.knock(&alice(), open("ssh"));
    assert_eq!(opened, Ok(Demand::Open { door: 4, address: HERE, seconds: 0 }));
    let bound = world.knock(&bob(), open_bound("web", HERE));
    assert_eq!(bound, Ok(Demand::Open { door: 6, address: HERE, seconds: 60 }));
    assert_eq!(world.knock(&alice(), Operation::Close { door: tag("web") }), Ok(Demand::Close { door: 6 }));
    assert_eq!(world.knock(&alice(), Operation::Hello), Ok(Demand::Hello));
}

#[test]
fn each_refusal_of_the_policy_has_its_name() {
    let mut world = world(|devices| {
        devices[0].doors = Doors::Only(BTreeSet::from([tag("web")]));
        devices[0].from = vec!["198.51.100.0/24".parse().expect("a network")];
        devices[1].bound = true;
    });
    let bytes = world.seal(&alice(), open("ssh"), WALL);
    assert_eq!(world.handle(THERE, &bytes), Err(Refusal::Door));
    assert_eq!(world.knock(&alice(), Operation::Hello), Err(Refusal::Network));
    assert_eq!(world.knock(&bob(), open("ssh")), Err(Refusal::Unbound));
    assert_eq!(world.knock(&bob(), open_bound("ssh", THERE)), Err(Refusal::Relayed));
    assert_eq!(world.knock(&bob(), open_bound("attic", HERE)), Err(Refusal::Door));
    let stranger = SecretKey::new(&[77; 32]);
    assert_eq!(world.knock(&stranger, open("ssh")), Err(Refusal::UnknownDevice));
    world.seed = Psk::new([66; 32]);
    assert_eq!(world.knock(&bob(), open("ssh")), Err(Refusal::Forged));
}

#[test]
fn a_device_ends_at_its_date() {
    let mut world = world(|devices| devices[0].expires = Some(WALL.after(Duration::from_secs(1))));
    assert!(world.knock(&alice(), Operation::Hello).is_ok());
    world.at.wall = WALL.after(Duration::from_secs(1));
    assert_eq!(world.knock(&alice(), Operation::Hello), Err(Refusal::InvalidDevice));
}

#[test]
fn a_datagram_works_once_whatever_is_forgotten() {
    let mut world = world(|_| ());
    let bytes = world.seal(&alice(), open("ssh"), WALL);
    assert!(world.handle(HERE, &bytes).is_ok());
    assert_eq!(world.handle(HERE, &bytes), Err(Refusal::Repeated));
    assert_eq!(world.handle(THERE, &bytes), Err(Refusal::Repeated));
    // The process dies; the store does not.
    let devices = world.server.served().registry.devices().to_vec();
    world.server = Server::new(served(devices.clone()), Duration::ZERO, [5; 16]);
    assert_eq!(world.handle(HERE, &bytes), Err(Refusal::Replay));
    // The store is lost too.
    world.server = Server::new(served(devices), Duration::ZERO, [5; 16]);
    world.store = Memory::default();
    world.server.guard(Guard::raised(world.at, &Window::default()));
    assert_eq!(world.handle(HERE, &bytes), Err(Refusal::Guard));
    let soon = WALL.after(Duration::from_secs(60));
    world.at = Moment { now: world.at.now + Duration::from_secs(60), wall: soon };
    let fresh = world.seal(&alice(), open("ssh"), soon.after(Duration::from_micros(1)));
    assert!(world.handle(HERE, &fresh).is_ok());
}

#[test]
fn a_refused_request_is_used_up_too_and_a_failed_store_opens_nothing() {
    let mut world = world(|devices| devices[0].doors = Doors::Only(BTreeSet::new()));
    let bytes = world.seal(&alice(), open("ssh"), WALL);
    assert_eq!(world.handle(HERE, &bytes), Err(Refusal::Door));
    assert_eq!(world.store.records[&alice().public()].newest(), WALL);
    world.store.fails = true;
    let bytes = world.seal(&bob(), open("ssh"), WALL);
    assert_eq!(world.handle(HERE, &bytes), Err(Refusal::Store));
    world.store.fails = false;
    // Not the same datagram, but the same time: it may have reached the disk.
    let bytes = world.seal(&bob(), open("ssh"), WALL);
    assert_eq!(world.handle(HERE, &bytes), Err(Refusal::Replay));
}

#[test]
fn a_device_knocks_forty_times_at_once_and_then_twice_a_second() {
    let mut world = world(|_| ());
    let mut opened = 0;
    for _ in 0..60 {
        match world.knock(&alice(), open("ssh")) {
            Ok(_) => opened += 1,
            Err(refusal) => assert_eq!(refusal, Refusal::Rate),
        }
    }
    assert_eq!(opened, 40);
    assert!(world.knock(&bob(), open("ssh")).is_ok(), "another device does not notice");
    world.at.now += Duration::from_secs(1);
    assert!(world.knock(&alice(), open("ssh")).is_ok());
}

#[test]
fn a_device_that_was_hours_off_is_not_locked_out_afterwards() {
    let mut world = world(|_| ());
    for hours in [4, -4_i64] {
        let time = Timestamp(WALL.0.saturating_add_signed(hours * 3_600_000_000));
        let bytes = world.seal(&alice(), open("ssh"), time);
        let offset = hours * 3_600_000_000;
        assert_eq!(world.handle(HERE, &bytes), Err(Refusal::Clock { offset, used: false }));
    }
    assert!(world.knock(&alice(), open("ssh")).is_ok());
}

#[test]
fn a_reload_keeps_the_records_of_who_stays() {
    let mut world = world(|_| ());
    let bytes = world.seal(&alice(), open("ssh"), WALL);
    assert!(world.handle(HERE, &bytes).is_ok());
    let devices = vec![device(&alice(), "alice/laptop")];
    world.server.reconfigure(served(devices), Duration::ZERO);
    assert_eq!(world.handle(HERE, &bytes), Err(Refusal::Repeated));
    assert_eq!(world.knock(&bob(), open("ssh")), Err(Refusal::UnknownDevice));
    assert!(world.knock(&alice(), open("ssh")).is_ok());
}

#[test]
fn a_device_that_delegates_opens_for_another_address_and_nobody_else_does() {
    let mut world = world(|devices| devices[0].delegates = true);
    let opened = world.knock(&alice(), open_bound("ssh", THERE));
    assert_eq!(opened, Ok(Demand::Open { door: 4, address: THERE, seconds: 60 }));
    assert_eq!(world.knock(&bob(), open_bound("ssh", THERE)), Err(Refusal::Relayed));
}
mod bad_conditions;
