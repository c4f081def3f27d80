//! What is measured: aldaba in each of its ways, the floor, and the peers where they are installed. Each gets the least
//! configuration that does the same.

mod peers;

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use aldaba_tests::hosts::IF;
use aldaba_tests::{Device, device, program};

use crate::flood::Traffic;
use crate::floor;
use crate::knocker::Knock;
use crate::{MANY, MOST};

/// Where datagrams arrive.
const SPA_PORT: u16 = 62_201;
/// What a door opens when it opens the firewall.
pub(crate) const PROBE: u16 = 7_007;
/// A port that the first door opens where doors open TCP ports.
pub(crate) const GUARDED: u16 = 1;
/// A port that strict doors do not look at.
pub(crate) const IGNORED: u16 = 4_000;
/// More knocks than one measurement has. A device may knock twice a second and has 40 in reserve: one is four.
const KNOCKS: u32 = 120;
const DEVICES: u32 = 4;

/// The ways to be knocked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Sequence,
    Datagram,
}

/// What the last door does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Runs a program that tells us.
    Tells,
    /// Lets packets to [`PROBE`] in.
    Opens,
}

/// A program to measure, ready to be started.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) way: Way,
    /// How many doors, or users.
    pub(crate) size: u32,
    pub(crate) words: Vec<String>,
    pub(crate) knock: Knock,
    /// The port that the firewall must let through to its socket.
    pub(crate) socket_at: Option<u16>,
    /// A table of its own shuts what its doors open.
    pub(crate) guards: bool,
    dir: PathBuf,
    listens: &'static str,
}

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Sequence,
    /// With the table for servers under attack.
    LargeTable,
    /// Doors that look at the ports of their own sequences only, and open ports only.
    Compatible,
    Captured,
    Listening,
    FloorSequence,
    FloorCaptured,
    FloorListening,
    Knockd,
    /// aldaba by a knockd.conf.
    InPlaceOfKnockd,
    Fwknopd,
}

impl Which {
    pub(crate) const ALL: [Self; 11] = [
        Self::Sequence,
        Self::LargeTable,
        Self::Compatible,
        Self::FloorSequence,
        Self::Knockd,
        Self::InPlaceOfKnockd,
        Self::Captured,
        Self::FloorCaptured,
        Self::Listening,
        Self::FloorListening,
        Self::Fwknopd,
    ];

    /// Those whose costs in a flood are compared with one another.
    pub(crate) const SIDE_BY_SIDE: [&[Self]; 2] = [
        &[Self::Sequence, Self::FloorSequence, Self::Knockd, Self::InPlaceOfKnockd],
        &[Self::Captured, Self::FloorCaptured, Self::Listening, Self::FloorListening, Self::Fwknopd],
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sequence => "aldaba, sequence",
            Self::LargeTable => "aldaba, sequence, 2^20 attempts",
            Self::Compatible => "aldaba, sequence, compatible",
            Self::Captured => "aldaba, datagram, captured",
            Self::Listening => "aldaba, datagram, by socket",
            Self::FloorSequence => "floor, sequence",
            Self::FloorCaptured => "floor, datagram, captured",
            Self::FloorListening => "floor, datagram, by socket",
            Self::Knockd => "knockd",
            Self::InPlaceOfKnockd => "aldaba, knockd.conf",
            Self::Fwknopd => "fwknopd (UDP server)",
        }
    }

    /// The programs it takes, where they are not ours.
    pub(crate) fn is_installed(self) -> bool {
        let needed: &[&str] = match self {
            Self::Knockd => &["/usr/sbin/knockd"],
            Self::Fwknopd => &["/usr/sbin/fwknopd", "/usr/bin/fwknop"],
            _ => &[],
        };
        needed.iter().all(|path| Path::new(path).exists())
    }

    pub(crate) const fn way(self) -> Way {
        match self {
            Self::Captured | Self::Listening | Self::FloorCaptured | Self::FloorListening | Self::Fwknopd => {
                Way::Datagram
            }
            _ => Way::Sequence,
        }
    }

    /// Whether it is aldaba, knocked on by datagrams.
    pub(crate) const fn is_ours_by_datagram(self) -> bool {
        matches!(self, Self::Captured | Self::Listening)
    }

    /// Whether its doors can be of aldaba's own table.
    const fn has_table(self) -> bool {
        matches!(
            self,
            Self::Sequence | Self::LargeTable | Self::Compatible | Self::Captured | Self::Listening
        )
    }

    /// Whether it hears datagrams by a socket of its own, which the firewall must let through to.
    const fn has_socket(self) -> bool {
        matches!(self, Self::Listening | Self::FloorListening | Self::Fwknopd)
    }

    /// With how many doors or users it is measured.
    pub(crate) const fn sizes(self) -> &'static [u32] {
        match self {
            // As many as a registry may be expected to have.
            Self::Captured => &[1, MANY, MOST],
            Self::InPlaceOfKnockd => &[1],
            _ if self.opens() => &[1, MANY],
            _ => &[1],
        }
    }

    /// Whether the table has a column of it.
    pub(crate) const fn is_shown(self) -> bool {
        !matches!(self, Self::LargeTable | Self::Compatible)
    }

    /// Whether it can open a firewall.
    pub(crate) const fn opens(self) -> bool {
        !matches!(self, Self::FloorSequence | Self::FloorCaptured | Self::FloorListening)
    }

    /// It for floods in which nobody knocks, in a folder in this one. The last door opens a port too, as most do: so what arrives meets
    /// aldaba's table.
    pub(crate) fn prepare_unasked(self, parent: &Path, size: u32) -> Subject {
        let dir = parent.join(format!("{self:?}-{size}"));
        std::fs::create_dir_all(&dir).expect("a folder");
        self.prepare(&dir, size, if self.has_table() { Door::Opens } else { Door::Tells })
    }

    /// It with so many doors or users, in a folder of its own.
    pub(crate) fn prepare(self, dir: &Path, size: u32, door: Door) -> Subject {
        let dir = dir.to_owned();
        let (words, knock, listens) = match self {
            Self::Sequence | Self::LargeTable | Self::Compatible | Self::Captured | Self::Listening => {
                aldaba(self, &dir, size, door)
            }
            Self::FloorSequence | Self::FloorCaptured | Self::FloorListening => the_floor(self, &dir),
            Self::Knockd | Self::InPlaceOfKnockd => peers::knockd(self, &dir, size, door),
            Self::Fwknopd => peers::fwknopd(&dir, size, door),
        };
        let socket_at = self.has_socket().then_some(SPA_PORT);
        let guards = self.has_table();
        Subject { name: self.name(), way: self.way(), size, words, knock, socket_at, guards, dir, listens }
    }
}

impl Subject {
    pub(crate) fn output(&self) -> PathBuf {
        self.dir.join("output")
    }

    /// Where aldaba can be asked.
    pub(crate) fn control(&self) -> Option<PathBuf> {
        self.words.iter().any(|word| word == "--control").then(|| self.dir.join("control.sock"))
    }

    pub(crate) fn ears(&self) -> PathBuf {
        ears(&self.dir)
    }

    pub(crate) fn is_ready(&self, said: &str) -> bool {
        said.contains(self.listens)
    }

    /// What it has written into logs, in bytes.
    pub(crate) fn logged(&self) -> u64 {
        let length = |name| std::fs::metadata(self.dir.join(name)).map_or(0, |facts| facts.len());
        length("output") + length("door.log")
    }

    /// Takes away what an earlier run left: it would be a replay, or a lease.
    pub(crate) fn forget(&self) {
        for name in ["digest.cache", "output", "door.log"] {
            let _ = std::fs::remove_file(self.dir.join(name));
        }
        let _ = std::fs::remove_dir_all(self.dir.join("state"));
        if self.way == Way::Datagram {
            aldabad_store(&self.dir.join("state"));
        }
    }

    /// What an attacker sends who knows where to.
    pub(crate) fn attack(&self) -> Traffic {
        match &self.knock {
            Knock::Ports([first, ..]) => Traffic::Syn(*first),
            Knock::Datagrams(port, datagrams) => {
                let (length, letters) = (datagrams[0].len(), datagrams[0].is_ascii());
                Traffic::Junk { port: *port, length, letters }
            }
        }
    }

    /// What an attacker sends who has recorded a datagram that came in.
    pub(crate) fn replayed(&self) -> Traffic {
        let Knock::Datagrams(port, datagrams) = &self.knock else { unreachable!("no datagrams to replay") };
        let datagram = datagrams[0].as_slice().try_into().expect("as long as a floor's");
        Traffic::Replayed { port: *port, datagram }
    }
}

/// Where the door's program tells.
fn ears(dir: &Path) -> PathBuf {
    dir.join("ears")
}

/// The program that tells us, for whom a door opens.
fn teller(dir: &Path) -> [String; 3] {
    let this = std::env::current_exe().expect("this program");
    [this.display().to_string(), "notify".to_owned(), ears(dir).display().to_string()]
}

/// Three ports of its own for every door; as many doors as there are ports for them.
fn ports(door: u32) -> [u16; 3] {
    let first = u16::try_from(10_000 + 3 * door).expect("at most 18,000 doors");
    [first, first + 1, first + 2]
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).expect("its mode");
}

type Prepared = (Vec<String>, Knock, &'static str);

fn aldaba(which: Which, dir: &Path, size: u32, door: Door) -> Prepared {
    let devices: Vec<Device> = (11..).take(DEVICES as usize).map(Device::new).collect();
    let mut text = format!("interfaces = [\"{IF}\"]\nignore = [\"{IGNORED}/tcp\"]\n");
    if which.way() == Way::Datagram {
        registry(dir, size, &devices);
        let receive = if which == Which::Listening { "listen" } else { "capture" };
        write!(text, "[spa]\nport = {SPA_PORT}\ntrust-clock = true\nreceive = \"{receive}\"\n")
            .expect("text");
    }
    if which == Which::LargeTable {
        text += "[limits]\nattempts = 1048576\n";
    }
    let by_sequence = which.way() == Way::Sequence;
    let doors = if by_sequence { size } else { 1 };
    for number in 0..doors {
        let [first, second, third] = ports(number);
        let knock = if by_sequence {
            let mode = if which == Which::Compatible { "compatible" } else { "strict" };
            format!("sequence = \"{first},{second},{third}\"\nmode = \"{mode}\"")
        } else {
            "spa = true".to_owned()
        };
        let action = if number + 1 < doors || which == Which::Compatible {
            format!("ports = [\"{}/tcp\"]", number + 1)
        } else if door == Door::Opens {
            // One of TCP too, so that with one door as with many a SYN is looked up.
            format!("ports = [\"{PROBE}/udp\", \"{GUARDED}/tcp\"]")
        } else {
            let [program, word, ears] = teller(dir);
            format!("start = [\"{program}\", \"{word}\", \"{ears}\", \"{{ip}}\"]\nstop = [\"/bin/true\"]")
        };
        write!(text, "[[door]]\nname = \"door{number}\"\n{knock}\nlease = \"60s\"\n{action}\n")
            .expect("text");
    }
    write(&dir.join("aldaba.toml"), &text);
    let path = |name: &str| dir.join(name).display().to_string();
    let daemon = program::binary("aldabad").display().to_string();
    let words = words([
        &daemon,
        "run",
        "--config",
        &path("aldaba.toml"),
        "--state-dir",
        &path("state"),
        "--control",
        &path("control.sock"),
    ]);
    let knock = if by_sequence {
        Knock::Ports(ports(size - 1))
    } else {
        let seal = |number: u32| devices[(number % DEVICES) as usize].seal(device::open("door0", None)).0;
        Knock::Datagrams(SPA_PORT, (0..KNOCKS).map(seal).collect())
    };
    (words, knock, "started version=")
}

/// Our devices, and strangers to make it so many.
fn registry(dir: &Path, size: u32, devices: &[Device]) {
    let mut lines = String::new();
    for number in DEVICES..size {
        // X25519 takes no notice of a key's lowest three bits.
        let mut key = [0; 32];
        key[4..8].copy_from_slice(&number.to_le_bytes());
        let key = aldaba_spa::SecretKey::new(&key).public().to_text(aldaba_spa::KeyKind::Device);
        writeln!(lines, "{key} stranger{number}/laptop").expect("text");
    }
    for (number, device) in devices.iter().enumerate() {
        lines += &device.line("max-leases=1000 ", &format!("user{number}/laptop"));
    }
    device::write_server(dir, &lines);
}

/// The store that `aldabad init` makes: without it nobody is let in for a while.
fn aldabad_store(state: &Path) {
    aldabad::monitor::make_store(state).expect("as init makes it");
}

fn the_floor(which: Which, dir: &Path) -> Prepared {
    let this = std::env::current_exe().expect("this program").display().to_string();
    let ears = ears(dir).display().to_string();
    let port = SPA_PORT.to_string();
    let [first, second, third] = ports(0).map(|port| port.to_string());
    let datagrams = || Knock::Datagrams(SPA_PORT, (0..KNOCKS).map(floor::sealed).collect());
    let (words, knock) = match which {
        Which::FloorSequence => {
            (words([&this, "floor", "sequence", IF, &first, &second, &third, &ears]), Knock::Ports(ports(0)))
        }
        Which::FloorCaptured => (words([&this, "floor", "ring", IF, &port, &ears]), datagrams()),
        _ => (words([&this, "floor", "socket", &port, &ears]), datagrams()),
    };
    (words, knock, "listening")
}
