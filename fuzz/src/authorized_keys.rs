//! The registry of devices: no bytes bring the reader down or keep the daemon from starting; a line is a device or is named
//! in a warning, and says nothing about any other line; of a key with two lines one counts at most; and a device written
//! as a line reads back as itself (spec/keys.md, section 3).

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use aldaba_config::{FileBytes, FileFacts, Files, Kind, Loaded, Options, Paint, load};
use aldaba_spa::text::encode;
use aldaba_spa::{Device, DoorTag, Doors, KeyKind, Timestamp};

const CONFIG: &str = "[spa]\nport = 42731\n[[door]]\nname = \"ssh\"\nspa = true\nports = [\"22/tcp\"]\n\
    [[door]]\nname = \"web\"\nspa = true\nports = [\"443/tcp\"]\n";

/// Checks one input.
///
/// # Panics
/// If the reader does, or a line disables more than itself.
pub fn run(data: &[u8]) {
    let whole = read(data);
    // Each line as if it stood there alone.
    let mut alone: Vec<Device> = Vec::new();
    for line in data.split(|byte| *byte == b'\n') {
        let Read { devices, warned } = read(line);
        assert!(devices.len() <= 1, "one line, two devices");
        if devices.is_empty() {
            assert_eq!(says_something(line), warned, "a line without effect");
            assert!(whole.warned || !warned, "a warning is missing");
        }
        devices.iter().for_each(|device| is_limited(line, device));
        alone.extend(devices);
    }
    let lines_of = |device: &Device| alone.iter().filter(|other| other.key == device.key).count();
    // Of a key with several lines one counts at most, and there is a warning.
    let single = |device: &&Device| lines_of(device) == 1;
    let expected: Vec<&Device> = alone.iter().filter(single).collect();
    assert_eq!(whole.devices.iter().filter(single).collect::<Vec<_>>(), expected);
    assert!(whole.warned || expected.len() == alone.len(), "two lines of one key");
    for device in &whole.devices {
        assert_eq!(whole.devices.iter().filter(|other| other.key == device.key).count(), 1);
        assert!(alone.contains(device));
    }
    reads_back(&whole.devices, data);
}

fn reads_back(devices: &[Device], data: &[u8]) {
    // How long a lease is, is not written here.
    if data.windows(5).any(|word| word == b"lease") {
        return;
    }
    let known: Vec<Device> = devices.iter().filter(|device| names_known_doors(device)).cloned().collect();
    let again: String = known.iter().map(written).collect();
    assert_eq!(read(again.as_bytes()).devices, known, "{again}");
}

/// A limit that a line begins with holds: one that names nothing is no limit, and no device.
fn is_limited(line: &[u8], device: &Device) {
    let line = line.trim_ascii_start();
    assert!(!line.starts_with(b"doors") || device.doors != Doors::All, "every door");
    assert!(!line.starts_with(b"from") || !device.from.is_empty(), "from everywhere");
    assert!(!line.starts_with(b"expires") || device.expires.is_some(), "for ever");
    assert!(!line.starts_with(b"max-lease") || device.max_lease.is_some(), "as long as the door is open");
    assert!(!line.starts_with(b"bind") || device.bound, "for any address");
}

/// The name of another door cannot be told from its tag.
fn names_known_doors(device: &Device) -> bool {
    match &device.doors {
        Doors::All => true,
        Doors::Only(doors) => doors.iter().all(|door| tags().any(|(_, tag)| tag == *door)),
    }
}

fn tags() -> impl Iterator<Item = (&'static str, DoorTag)> {
    ["ssh", "web"].into_iter().map(|name| (name, DoorTag::of(name).expect("a tag")))
}

fn says_something(line: &[u8]) -> bool {
    !matches!(line.trim_ascii(), [] | [b'#', ..])
}

struct Read {
    devices: Vec<Device>,
    /// Whether something was said of the registry.
    warned: bool,
}

fn read(registry: &[u8]) -> Read {
    let mut files = Memory { registry };
    let loaded = load(Kind::Toml, Path::new("/aldaba.toml"), &mut files, &Options::default());
    let Loaded { policy, warnings } =
        loaded.unwrap_or_else(|report| panic!("nobody gets in: {}", report.render(Paint::Plain)));
    let warned = warnings.iter().any(|warning| warning.render(Paint::Plain).contains("authorized_keys:"));
    Read { devices: policy.spa.expect("there is one").devices, warned }
}

/// A device as a line that means the same.
fn written(device: &Device) -> String {
    let mut options = Vec::new();
    if let Doors::Only(doors) = &device.doors {
        let named = tags().filter(|(_, tag)| doors.contains(tag)).map(|(name, _)| name);
        options.push(format!("doors=\"{}\"", named.collect::<Vec<_>>().join(",")));
    }
    if !device.from.is_empty() {
        let networks: Vec<_> = device.from.iter().map(ToString::to_string).collect();
        options.push(format!("from=\"{}\"", networks.join(",")));
    }
    if let Some(Timestamp(end)) = device.expires {
        let end = jiff::Timestamp::from_microsecond(i64::try_from(end).expect("a moment")).expect("a moment");
        options.push(format!("expires={end}"));
    }
    if device.psk_generation != 0 {
        options.push(format!("psk={}", device.psk_generation));
    }
    options.extend(device.bound.then(|| "bind".to_owned()));
    options.extend(device.delegates.then(|| "delegate".to_owned()));
    let mut line = options.join(",");
    if !line.is_empty() {
        line.push(' ');
    }
    let _ = writeln!(line, "{} {}", device.key.to_text(KeyKind::Device), device.name);
    line
}

/// The configuration, its keys and the registry.
struct Memory<'a> {
    registry: &'a [u8],
}

impl Files for Memory<'_> {
    fn read(&mut self, path: &Path) -> io::Result<FileBytes> {
        let bytes = match path.to_str() {
            Some("/aldaba.toml") => CONFIG.as_bytes().to_vec(),
            Some("/authorized_keys") => self.registry.to_vec(),
            Some("/server.key") => encode(KeyKind::ServerSecret, &[9; 32]).as_bytes().to_vec(),
            Some("/gate.key") => encode(KeyKind::Gate, &[8; 32]).as_bytes().to_vec(),
            Some("/psk.key") => encode(KeyKind::Seed, &[7; 32]).as_bytes().to_vec(),
            _ => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(FileBytes { bytes, facts: FileFacts { mode: 0o600, uid: 0, is_regular: true } })
    }

    fn list_dir(&mut self, _: &Path) -> io::Result<Vec<OsString>> {
        Ok(Vec::new())
    }

    fn facts(&mut self, _: &Path) -> io::Result<FileFacts> {
        Err(io::ErrorKind::NotFound.into())
    }
}
