//! A device with a folder of its own, and a server on loopback that opens what arrives.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use aldaba_spa::{
    Audience, Bundle, BundleDoor, BundleLock, KeyKind, LockKeys, Locks, OneTimeCode, Port, Psk, Request,
    SecretKey, Timestamp, Transport, device_psk,
};

use crate::programs::{ALDABA, Said, command};

pub(crate) const FUTURE: Duration = Duration::from_secs(60);

/// A key from one byte.
pub(crate) fn key(byte: u8) -> SecretKey {
    SecretKey::new(&[byte; 32])
}

/// The device of every test.
pub(crate) fn device() -> SecretKey {
    key(0x22)
}

/// The server of most.
pub(crate) fn server() -> SecretKey {
    key(0x33)
}

#[expect(clippy::disallowed_methods, reason = "compares what was sent with the clock")]
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    Timestamp::default().after(since)
}

/// A bundle for [`device`] of a server at these hosts; doors `ssh` and `web`.
pub(crate) fn bundle(hosts: &[&str], port: u16, ssh: u16) -> Bundle {
    let tcp = |number| Port { transport: Transport::Tcp, number: NonZeroU16::new(number).expect("a port") };
    let door = |name: &str, ports| BundleDoor { name: name.to_owned(), ports };
    Bundle {
        issued: Timestamp(1_800_000_000_000_000),
        hosts: hosts.iter().map(|host| host.parse().expect("a host")).collect(),
        port: NonZeroU16::new(port).expect("a port"),
        future: FUTURE,
        locks: vec![lock(&server())],
        gate_psk: Psk::new([0x55; 32]),
        device_psk: device_psk(&Psk::new([0x66; 32]), 0, &device().public()),
        doors: vec![door("ssh", vec![tcp(ssh)]), door("web", vec![tcp(1), tcp(2)])],
    }
}

pub(crate) fn lock(server: &SecretKey) -> BundleLock {
    let audience = Audience::default();
    BundleLock { server: server.public(), audience, not_before: None, not_after: None }
}

/// The text of a bundle sealed by a server for a device.
pub(crate) fn sealed(bundle: &Bundle, by: &SecretKey, to: &SecretKey, code: Option<u8>) -> String {
    let code = code.map(|byte| OneTimeCode::new(&[byte; 16]).expect("a code"));
    bundle.seal(by, &to.public(), code.as_ref(), &[9; 32]).expect("sealed").to_text()
}

/// A user with a device's key.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self(tempfile::tempdir().expect("a folder"));
        std::fs::create_dir(home.folder()).expect("made");
        home.write("id", &device().expose_text(KeyKind::DeviceSecret));
        home
    }

    /// One that is enrolled already.
    pub(crate) fn enrolled(bundle: &Bundle) -> Self {
        let home = Self::new();
        let said = home.run(&["enrol", &sealed(bundle, &server(), &device(), None), "--name", "gw"]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        home
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.0.path().join("aldaba")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Writes a private file.
    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).expect("written");
        chmod(&self.path(name), 0o600);
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file")
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut aldaba = command(ALDABA);
        aldaba.args(words).env("XDG_CONFIG_HOME", self.0.path()).stdin(Stdio::null());
        aldaba
    }

    pub(crate) fn run(&self, words: &[&str]) -> Said {
        self.command(words).output().expect("it starts").into()
    }
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("our file");
    }
}

/// A knock that was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) id: String,
    pub(crate) request: Request,
    pub(crate) from: SocketAddr,
    pub(crate) datagram: Vec<u8>,
}

/// The server's socket.
pub(crate) struct Gate {
    socket: UdpSocket,
    locks: Locks,
}

impl Gate {
    pub(crate) fn at(address: IpAddr, port: u16) -> Self {
        let socket = UdpSocket::bind((address, port)).expect("a port");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
        let locks = Locks::new(vec![LockKeys {
            secret: server(),
            gate_psk: Psk::new([0x55; 32]),
            audience: Audience::default(),
            not_before: None,
            not_after: None,
        }]);
        Self { socket, locks: locks.expect("locks") }
    }

    pub(crate) fn new() -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into(), 0)
    }

    pub(crate) fn port(&self) -> u16 {
        self.socket.local_addr().expect("bound").port()
    }

    /// The next knock; it is one of [`device`]'s, under the right keys.
    pub(crate) fn next(&self) -> Opened {
        let mut bytes = [0; 2000];
        let mut received = self.socket.recv_from(&mut bytes);
        // A child of another test that ends interrupts a wait with a time limit.
        while received.as_ref().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {
            received = self.socket.recv_from(&mut bytes);
        }
        let (length, from) = received.expect("a datagram");
        let datagram = &bytes[..length];
        let verified = self.locks.verify(wall(), datagram).expect("its tag");
        let psk = device_psk(&Psk::new([0x66; 32]), 0, &device().public());
        let authentic = verified.open(|key| {
            assert_eq!(key, device().public().as_bytes());
            Ok(((), psk))
        });
        let request = *authentic.expect("an authentic request").request();
        Opened { id: verified.id().to_string(), request, from, datagram: datagram.to_vec() }
    }

    /// That nothing else has come.
    pub(crate) fn assert_quiet(&self) {
        self.socket.set_nonblocking(true).expect("non-blocking");
        assert!(self.socket.recv(&mut [0; 2000]).is_err(), "more datagrams than knocks");
        self.socket.set_nonblocking(false).expect("blocking");
    }
}

/// A TCP port that nobody listens at; one that this program had a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr()).expect("a port").port()
}
