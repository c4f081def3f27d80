//! A server's keys and a device's, and datagrams of the device's with every part chosen.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use aldaba_spa::{
    Audience, DoorTag, KeyKind, KnockId, Lock, Operation, Psk, Request, SecretKey, Timestamp, device_psk,
    seal, text,
};

use crate::Hosts;
use crate::hosts::{SERVER, SERVER6};

/// The server's secret key, the gate's and the seed, of one byte each.
const KEYS: [(&str, KeyKind, u8); 3] =
    [("server.key", KeyKind::ServerSecret, 9), ("gate.key", KeyKind::Gate, 8), ("psk.key", KeyKind::Seed, 7)];

/// Writes the server's keys and a registry with this text into a folder.
pub fn write_server(dir: &Path, registry: &str) {
    for (name, kind, byte) in KEYS {
        let path = dir.join(name);
        std::fs::write(&path, text::encode(kind, &[byte; 32]).as_bytes()).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("its mode");
    }
    std::fs::write(dir.join("authorized_keys"), registry).expect("written");
}

/// The wall clock as datagrams have it.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    Timestamp(since.as_micros().try_into().expect("before the year 586,000"))
}

/// A request to open a door.
pub fn open(door: &str, bound: Option<IpAddr>) -> Operation {
    Operation::Open { door: DoorTag::of(door).expect("a tag"), seconds: 0, bound }
}

/// A device with a key of one byte.
#[derive(Debug)]
pub struct Device {
    key: u8,
    gate: u8,
    sealed: AtomicU32,
}

impl Device {
    pub const fn new(key: u8) -> Self {
        Self { key, gate: 8, sealed: AtomicU32::new(0) }
    }

    /// One with a bundle of another server's gate.
    pub const fn of_another_gate(key: u8) -> Self {
        Self { gate: 80, ..Self::new(key) }
    }

    fn secret(&self) -> SecretKey {
        SecretKey::new(&[self.key; 32])
    }

    /// Its line in the registry.
    pub fn line(&self, options: &str, name: &str) -> String {
        format!("{options}{} {name}\n", self.secret().public().to_text(KeyKind::Device))
    }

    /// A datagram made at this time, and its name.
    pub fn seal_at(&self, operation: Operation, time: Timestamp) -> (Vec<u8>, KnockId) {
        let number = self.sealed.fetch_add(1, Ordering::Relaxed) + 1;
        let key = self.secret();
        let psk = device_psk(&Psk::new([7; 32]), 0, &key.public());
        let lock: Lock = SecretKey::new(&[9; 32]).lock(Psk::new([self.gate; 32]), Audience::default());
        let request = Request { operation, time };
        let mut ephemeral = [self.key; 32];
        ephemeral[..4].copy_from_slice(&number.to_le_bytes());
        let sealed = seal(&key, &psk, &lock, &request, 5, &ephemeral).expect("sealed");
        (sealed.datagram, sealed.id)
    }

    /// A datagram made now.
    pub fn seal(&self, operation: Operation) -> (Vec<u8>, KnockId) {
        self.seal_at(operation, now())
    }
}

/// Sends a datagram from an address of the client's.
pub fn post(hosts: &Hosts, from: IpAddr, port: u16, datagram: &[u8]) {
    post_at(hosts, from, SocketAddr::new(server(from), port), datagram);
}

/// The same to another address of the server's.
pub fn post_at(hosts: &Hosts, from: IpAddr, to: SocketAddr, datagram: &[u8]) {
    hosts.as_client(|| socket(from, to).send(datagram).expect("sent"));
}

/// The server's address of the same family.
fn server(from: IpAddr) -> IpAddr {
    if from.is_ipv4() { SERVER.into() } else { SERVER6.into() }
}

/// On the client, for the server's port.
fn socket(from: IpAddr, to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((from, 0)).expect("a socket");
    socket.connect(to).expect("connected");
    socket
}

/// Sends a datagram from an address of the client's, and expects silence.
pub fn send(hosts: &Hosts, from: IpAddr, port: u16, datagram: &[u8]) {
    hosts.as_client(|| {
        let socket = socket(from, SocketAddr::new(server(from), port));
        socket.set_read_timeout(Some(Duration::from_millis(30))).expect("set");
        socket.send(datagram).expect("sent");
        let heard = socket.recv(&mut [0; 2000]).expect_err("the server answers nobody");
        assert_eq!(heard.kind(), std::io::ErrorKind::WouldBlock);
    });
}
