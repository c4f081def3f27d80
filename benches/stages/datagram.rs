//! Sealed datagrams: what opening one costs, and what refusing one does.

use std::collections::HashMap;
use std::time::Duration;

use aldaba_spa::{
    Admitted, Audience, Device, DoorTag, Lock, LockKeys, Locks, Moment, Operation, Psk, Psks, PublicKey,
    Record, Registry, Rejected, Request, SecretKey, Served, ServedDoor, Server, Store, StoreFailed,
    Timestamp, Window, device_psk, seal,
};

use crate::{noise, source};

/// When all of this happens.
pub(crate) const WALL: Timestamp = Timestamp(1_800_000_000_000_000);
/// How many bytes of padding the client adds: datagrams of 160 bytes.
const PADDING: usize = 16;

/// Keys of one byte each.
fn alice() -> SecretKey {
    SecretKey::new(&[1; 32])
}

fn seed() -> Psk {
    Psk::new([7; 32])
}

fn lock() -> Lock {
    SecretKey::new(&[9; 32]).lock(Psk::new([8; 32]), Audience::default())
}

fn locks() -> Locks {
    let keys = LockKeys {
        secret: SecretKey::new(&[9; 32]),
        gate_psk: Psk::new([8; 32]),
        audience: Audience::default(),
        not_before: None,
        not_after: None,
    };
    Locks::new(vec![keys]).expect("one lock")
}

fn ssh() -> DoorTag {
    DoorTag::of("ssh").expect("a tag")
}

/// Alice's request to open a door, made at this time.
fn sealed(time: Timestamp, number: u64) -> Vec<u8> {
    let alice = alice();
    let psk = device_psk(&seed(), 0, &alice.public());
    let request = Request { operation: Operation::Open { door: ssh(), seconds: 0, bound: None }, time };
    let mut random = [5; 32];
    random[..8].copy_from_slice(&number.to_le_bytes());
    seal(&alice, &psk, &lock(), &request, PADDING, &random).expect("sealed").datagram
}

/// A policy of one lock, one door and so many devices, Alice's the last.
pub(crate) fn served(devices: u32) -> Served {
    let stranger = |number: u32| {
        let mut key = [0; 32];
        key.iter_mut().zip(noise(number.into())).for_each(|(byte, noise)| *byte = noise);
        // The highest bit of a key is none of its own.
        key[31] &= 0x7f;
        let key = PublicKey::new(key).expect("one of few bad keys, by a chance of 2^-250");
        Device::new(key, format!("user{number}/laptop"))
    };
    let alice = Device::new(alice().public(), "alice/laptop".to_owned());
    let all = (1..devices).map(stranger).chain([alice]).collect();
    Served {
        locks: locks(),
        registry: Registry::new(all, [4; 16]).expect("different keys"),
        doors: HashMap::from([(ssh(), ServedDoor { number: 0, rule: aldaba_spa::AddressRule::Either })]),
        window: Window::default(),
        psks: Psks::Seed(seed()),
    }
}

/// One datagram, opened again and again.
pub struct Sealed {
    locks: Locks,
    psk: Psk,
    datagram: Vec<u8>,
    junk: Vec<u8>,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealed").field("length", &self.datagram.len()).finish_non_exhaustive()
    }
}

impl Sealed {
    /// One of Alice's.
    #[must_use]
    pub fn new() -> Self {
        let datagram = sealed(WALL, 1);
        let junk = noise(3).take(datagram.len()).collect();
        Self { locks: locks(), psk: device_psk(&seed(), 0, &alice().public()), datagram, junk }
    }

    /// Whether its tag is right.
    #[must_use]
    pub fn verify(&self) -> bool {
        self.locks.verify(WALL, &self.datagram).is_ok()
    }

    /// The same of noise.
    #[must_use]
    pub fn verify_junk(&self) -> bool {
        self.locks.verify(WALL, &self.junk).is_ok()
    }

    /// Its tag, two key agreements and the request inside.
    #[must_use]
    pub fn open(&self) -> bool {
        let datagram = self.locks.verify(WALL, &self.datagram).expect("the right tag");
        datagram.open(|_| Ok(((), self.psk.clone()))).is_ok()
    }
}

impl Default for Sealed {
    fn default() -> Self {
        Self::new()
    }
}

/// A store that forgets: what making a record durable costs is the disk's.
pub(crate) struct Forgetful;

impl Store for Forgetful {
    fn load(&mut self, _: &PublicKey) -> Result<Option<Record>, StoreFailed> {
        Ok(None)
    }
    fn commit(&mut self, _: &PublicKey, _: &Record) -> Result<(), StoreFailed> {
        Ok(())
    }
}

/// A server, and Alice who knocks every second.
pub struct Knocks {
    server: Server,
    at: Moment,
    number: u64,
}

impl std::fmt::Debug for Knocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Knocks").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Knocks {
    /// A server with so many devices.
    #[must_use]
    pub fn new(devices: u32) -> Self {
        let at = Moment { now: Duration::from_secs(100), wall: WALL };
        Self { server: Server::new(served(devices), at.now, [3; 16]), at, number: 0 }
    }

    /// Alice's next datagram.
    pub fn seal(&mut self) -> (Moment, Vec<u8>) {
        self.number += 1;
        let second = Duration::from_secs(1);
        self.at = Moment { now: self.at.now + second, wall: self.at.wall.after(second) };
        (self.at, sealed(self.at.wall, self.number))
    }

    /// The server takes a datagram through every step but the disk.
    pub fn handle(&mut self, at: Moment, datagram: &[u8]) -> Result<Admitted, Rejected> {
        self.server.handle_datagram(at, source(1), datagram, &mut Forgetful)
    }
}
