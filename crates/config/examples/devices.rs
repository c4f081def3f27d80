//! What the number of devices costs: reading the registry, making a server of it, and each datagram.
//!
//!     cargo run --release -p aldaba-config --example devices
//!
//! docs/performance.md has the table this prints. The replay store is a table in memory: what a durable commit costs is the
//! disk's, not the registry's.
#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "measures with the real clock")]

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use aldaba_config::{Bundle, FileBytes, FileFacts, Files, Kind, Options, Spa};
use aldaba_gate::spa::{
    Audience, DoorTag, KeyKind, Lock, Locks, Moment, Operation, Psk, Psks, PublicKey, Record, Registry,
    Request, SecretKey, Served, ServedDoor, Server, Store, StoreFailed, Timestamp, device_psk, seal, text,
};

/// How many lines a registry has.
const DEVICES: [u32; 4] = [1, 100, 10_000, 100_000];
/// How many of them knock.
const KNOCKING: u32 = 50;
/// Datagrams of each kind.
const DATAGRAMS: u32 = 2000;
/// Junk is too quick to be measured one by one.
const BATCH: u32 = 100;

const CONFIG: &str = "[spa]\nport = 42731\n\n[[door]]\nname = \"ssh\"\nspa = true\nports = [\"22/tcp\"]\n";
const WALL: Timestamp = Timestamp(1_800_000_000_000_000);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

fn server_key() -> SecretKey {
    SecretKey::new(&[9; 32])
}

/// A device that knocks.
fn knocking(number: u32) -> SecretKey {
    let mut bytes = [1; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    SecretKey::new(&bytes)
}

/// Any coordinate is a public key; nobody needs the secret one of a device that never knocks.
fn silent(number: u32) -> PublicKey {
    let mut bytes = [0x5a; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    PublicKey::new(bytes).expect("a key")
}

/// Lines with options as people write them; those that knock stand at equal distances.
fn registry(devices: u32) -> String {
    let every = devices.div_ceil(KNOCKING);
    let line = |number: u32| {
        let key =
            if number.is_multiple_of(every) { knocking(number / every).public() } else { silent(number) };
        let key = key.to_text(KeyKind::Device);
        format!(
            "doors=\"ssh\",from=\"203.0.113.0/24,2001:db8::/32\",max-lease=1h {key} user{number}/laptop\n"
        )
    };
    (0..devices).map(line).collect()
}

/// The files of a configuration, in memory.
struct Memory(HashMap<&'static str, Vec<u8>>);

impl Memory {
    fn new(devices: u32) -> Self {
        let secret = |kind, byte| text::encode(kind, &[byte; 32]).as_bytes().to_vec();
        Self(HashMap::from([
            ("aldaba.toml", CONFIG.as_bytes().to_vec()),
            ("server.key", secret(KeyKind::ServerSecret, 9)),
            ("gate.key", secret(KeyKind::Gate, 8)),
            ("psk.key", secret(KeyKind::Seed, 7)),
            ("authorized_keys", registry(devices).into_bytes()),
        ]))
    }
}

impl Files for Memory {
    fn read(&mut self, path: &Path) -> io::Result<FileBytes> {
        let facts = FileFacts { mode: 0o600, uid: 0, is_regular: true };
        let bytes = self.0.get(path.to_str().unwrap_or_default()).cloned();
        Ok(FileBytes { bytes: bytes.ok_or(io::ErrorKind::NotFound)?, facts })
    }

    fn list_dir(&mut self, _: &Path) -> io::Result<Vec<OsString>> {
        Ok(Vec::new())
    }

    fn facts(&mut self, _: &Path) -> io::Result<FileFacts> {
        Err(io::ErrorKind::NotFound.into())
    }
}

#[derive(Default)]
struct Records(BTreeMap<PublicKey, Record>);

impl Store for Records {
    fn load(&mut self, device: &PublicKey) -> Result<Option<Record>, StoreFailed> {
        Ok(self.0.get(device).copied())
    }

    fn commit(&mut self, device: &PublicKey, record: &Record) -> Result<(), StoreFailed> {
        self.0.insert(*device, *record);
        Ok(())
    }
}

fn server(spa: Spa) -> Server {
    let served = Served {
        locks: Locks::new(spa.locks).expect("locks"),
        registry: Registry::new(spa.devices, [2; 16]).expect("a registry"),
        doors: HashMap::from([(
            ssh(),
            ServedDoor { number: 0, rule: aldaba_gate::spa::AddressRule::Either },
        )]),
        window: spa.window,
        psks: spa.psk_seed.map_or(Psks::None, Psks::Seed),
    };
    Server::new(served, Duration::ZERO, [3; 16])
}

fn ssh() -> DoorTag {
    DoorTag::of("ssh").expect("a tag")
}

fn sealed(lock: &Lock, key: &SecretKey, number: u32) -> Vec<u8> {
    let psk = device_psk(&Psk::new([7; 32]), 0, &key.public());
    let operation = Operation::Open { door: ssh(), seconds: 0, bound: None };
    let time = WALL.after(Duration::from_millis(number.into()));
    let mut random = [0; 32];
    random[..4].copy_from_slice(&number.to_be_bytes());
    seal(key, &psk, lock, &Request { operation, time }, 0, &random).expect("sealed").datagram
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default().as_secs_f64() * 1e6
}

/// The median of what each datagram takes, in microseconds; `good`: whether they are to be admitted.
fn cost(server: &mut Server, records: &mut Records, datagrams: &[Vec<u8>], good: bool) -> f64 {
    let mut times = Vec::new();
    for (number, datagram) in (0_u32..).zip(datagrams) {
        let now = Duration::from_secs(number.into());
        let at = Moment { now, wall: WALL.after(Duration::from_millis(number.into())) };
        let begin = Instant::now();
        let handled = server.handle_datagram(at, HERE, datagram, records);
        times.push(begin.elapsed());
        assert_eq!(handled.is_ok(), good, "{handled:?}");
    }
    median(times)
}

fn junk_cost(server: &mut Server, records: &mut Records) -> f64 {
    let at = Moment { now: Duration::ZERO, wall: WALL };
    let times = (0..DATAGRAMS).map(|number| {
        let mut junk = [0xa5; 144];
        junk[..4].copy_from_slice(&number.to_be_bytes());
        let begin = Instant::now();
        for _ in 0..BATCH {
            let handled = server.handle_datagram(at, HERE, &junk, records);
            assert!(std::hint::black_box(handled).is_err());
        }
        begin.elapsed() / BATCH
    });
    median(times.collect())
}

/// Milliseconds this thread has had of a processor (proc(5), `schedstat`): what else the machine does is not the registry's.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split(' ').next().and_then(|text| text.parse::<f64>().ok());
    nanoseconds.unwrap_or_default() / 1e6
}

/// What the work takes, the best of five.
fn quickest<T>(mut work: impl FnMut() -> T) -> (f64, T) {
    let mut best = f64::INFINITY;
    for _ in 0..4 {
        let begin = processor();
        drop(work());
        best = best.min(processor() - begin);
    }
    let begin = processor();
    let made = work();
    (best.min(processor() - begin), made)
}

/// What a daemon has in memory now, in MiB (proc(5)).
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

fn main() {
    println!(
        "| devices | registry | monitor reads | worker reads | server made | memory | junk | stranger | valid |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let path = Path::new("aldaba.toml");
    let lock = server_key().lock(Psk::new([8; 32]), Audience::default());
    for devices in DEVICES {
        let mut files = Memory::new(devices);
        let size =
            f64::from(u32::try_from(files.0["authorized_keys"].len()).expect("a file")) / f64::from(1 << 20);
        let before = resident();
        let (monitor, bytes) = quickest(|| {
            let (bundle, loaded) = Bundle::record(Kind::Toml, path, &mut files, &Options::default());
            assert!(loaded.is_ok_and(|loaded| loaded.warnings.is_empty()));
            bundle.encode()
        });
        let (worker, spa) = quickest(|| {
            let bundle = Bundle::decode(&bytes).expect("a bundle");
            bundle.policy().expect("a policy").spa.expect("its section")
        });
        let begin = processor();
        let mut server = server(spa);
        let made = processor() - begin;
        drop((bytes, files));
        let memory = resident() - before;
        let many = devices.min(KNOCKING);
        let valid: Vec<_> =
            (0..DATAGRAMS).map(|number| sealed(&lock, &knocking(number % many), number)).collect();
        let stranger = SecretKey::new(&[77; 32]);
        let strange: Vec<_> = (0..DATAGRAMS).map(|number| sealed(&lock, &stranger, number)).collect();
        let mut records = Records::default();
        let junk = junk_cost(&mut server, &mut records);
        let strange = cost(&mut server, &mut records, &strange, false);
        let valid = cost(&mut server, &mut records, &valid, true);
        println!(
            "| {devices} | {size:.1} MiB | {monitor:.1} ms | {worker:.1} ms | {made:.1} ms | {memory:.0} MiB | {junk:.2} µs | {strange:.0} µs | {valid:.0} µs |"
        );
    }
}
