//! The floor: the least any such daemon must do, so that it can be seen how far one is from it. It is no product: it opens
//! nothing, trusts every frame and forgets nobody in time.
//!
//! By sequence it looks each packet's source up in one table of fixed size; by datagram it computes one tag. It listens as
//! aldaba does: a ring, or a UDP socket.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd as _;
use std::process::{Command, ExitCode};

use aldaba_sys::capture::{CaptureSocket, FrameView, Kept, Pace, Ring, RingSize, Target};
use aldaba_sys::filter::FilterSpec;
use aldaba_sys::poll::{self, Interest};
use aldaba_sys::{clock, datagram};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use siphasher::sip::SipHasher13;

/// As long as aldaba's of this run: those of devices in tests.
pub(crate) const DATAGRAM: usize = 149;
const TAG: usize = 16;
/// Sets of eight, as many attempts as aldaba has room for.
const SETS: usize = 1 << 13;
const BATCH: usize = 1_024;

/// `sequence INTERFACE PORT PORT PORT SOCKET`, `ring INTERFACE PORT SOCKET` or `socket PORT SOCKET`.
pub(crate) fn run(words: &[String]) -> ExitCode {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["sequence", interface, first, second, third, ears] => {
            let ports = [first, second, third].map(number);
            let mut attempts = Attempts { sets: vec![[Attempt::default(); 8]; SETS], clock: 0, ports };
            let filter = FilterSpec { tcp: ports.into_iter().collect(), ..FilterSpec::default() };
            capture(interface, &filter, Kept::Headers, |frames| {
                attempts.read_ahead(frames.iter().map(|frame| source(frame.bytes)));
                for packet in frames.iter().map(|frame| frame.bytes) {
                    let from = source(packet);
                    if attempts.hit(from, port(packet)) {
                        open(ears, from);
                    }
                }
            })
        }
        ["ring", interface, port, ears] => {
            let tags = Tags::new();
            let filter = FilterSpec { udp: [number(port)].into_iter().collect(), ..FilterSpec::default() };
            capture(interface, &filter, Kept::Datagrams, |frames| {
                for packet in frames.iter().map(|frame| frame.bytes) {
                    if tags.are_right(packet.get(28..).unwrap_or_default()) {
                        open(ears, source(packet));
                    }
                }
            })
        }
        ["socket", port, ears] => receive(number(port), ears),
        _ => ExitCode::FAILURE,
    }
}

/// A datagram it knows for one of its own.
pub(crate) fn sealed(number: u32) -> Vec<u8> {
    let mut datagram = vec![0x5a; DATAGRAM - TAG];
    datagram[..4].copy_from_slice(&number.to_le_bytes());
    let tag = Tags::new().tag(&datagram);
    datagram.extend(tag);
    datagram
}

/// With its key worked in once.
struct Tags(Hmac<Sha256>);

impl Tags {
    fn new() -> Self {
        Self(Hmac::new_from_slice(&[8; 32]).expect("a key of any length"))
    }

    fn tag(&self, bytes: &[u8]) -> [u8; TAG] {
        let mac = self.0.clone().chain_update(bytes);
        *mac.finalize().into_bytes().first_chunk().expect("longer than that")
    }

    fn are_right(&self, bytes: &[u8]) -> bool {
        bytes.len() == DATAGRAM && bytes[DATAGRAM - TAG..] == self.tag(&bytes[..DATAGRAM - TAG])
    }
}

fn capture(
    interface: &str,
    filter: &FilterSpec,
    kept: Kept,
    mut show: impl FnMut(&[FrameView<'_>]),
) -> ExitCode {
    let path = format!("/sys/class/net/{interface}/ifindex");
    let index = std::fs::read_to_string(path).expect("an interface");
    let target = Target::Interface(index.trim().parse().expect("a number"));
    let size = RingSize::usual(kept);
    let socket = CaptureSocket::open(target, filter, size).expect("a capture");
    let mut ring = Ring::map(socket.try_clone().expect("a descriptor"), size).expect("a ring");
    println!("listening");
    let mut pace = Pace::new();
    loop {
        poll::wait(&[(ring.as_fd(), Interest::READ)], None).expect("poll");
        while ring.poll_groups(BATCH, &mut show).more {}
        if let Some(rest) = pace.woken(clock::monotonic()) {
            clock::rest(rest);
        }
    }
}

fn receive(port: u16, ears: &str) -> ExitCode {
    let socket = datagram::listen(port, DATAGRAM, DATAGRAM).expect("a port");
    println!("listening");
    let (mut pace, mut inbox) = (Pace::new(), datagram::Inbox::new(DATAGRAM));
    let tags = Tags::new();
    let show = |from: IpAddr, payload: &[u8]| {
        if let IpAddr::V4(from) = from
            && tags.are_right(payload)
        {
            open(ears, from);
        }
    };
    loop {
        poll::wait(&[(socket.as_fd(), Interest::READ)], None).expect("poll");
        while inbox.receive(socket.as_fd(), show).is_ok_and(|count| count > 0) {}
        if let Some(rest) = pace.woken(clock::monotonic()) {
            clock::rest(rest);
        }
    }
}

/// What a door runs.
fn open(ears: &str, from: Ipv4Addr) {
    let program = std::env::current_exe().expect("this program");
    if let Ok(mut child) = Command::new(program).args(["notify", ears, &from.to_string()]).spawn() {
        std::thread::spawn(move || child.wait());
    }
}

fn source(packet: &[u8]) -> Ipv4Addr {
    let bytes = packet.get(12..).and_then(|rest| rest.first_chunk::<4>()).copied();
    Ipv4Addr::from(bytes.unwrap_or_default())
}

fn port(packet: &[u8]) -> u16 {
    let bytes = packet.get(22..).and_then(|rest| rest.first_chunk::<2>()).copied();
    u16::from_be_bytes(bytes.unwrap_or_default())
}

fn number(word: &str) -> u16 {
    word.parse().expect("a port")
}

#[derive(Debug, Clone, Copy, Default)]
struct Attempt {
    hash: u64,
    at: u32,
    steps: u32,
}

/// Who has got how far; in a full set the oldest of those least far gives way.
struct Attempts {
    sets: Vec<[Attempt; 8]>,
    clock: u32,
    ports: [u16; 3],
}

impl Attempts {
    fn hash(from: Ipv4Addr) -> (u64, usize) {
        let hash = SipHasher13::new_with_key(&[7; 16]).hash(&from.octets());
        (hash, usize::try_from(hash % SETS as u64).expect("small"))
    }

    /// Fetches the sets of several sources side by side.
    fn read_ahead(&self, sources: impl Iterator<Item = Ipv4Addr>) {
        let seen = sources.fold(0, |seen, from| {
            let set = &self.sets[Self::hash(from).1];
            seen ^ set[0].hash ^ set[7].hash
        });
        std::hint::black_box(seen);
    }

    /// Whether this hit completes the sequence.
    fn hit(&mut self, from: Ipv4Addr, port: u16) -> bool {
        self.clock += 1;
        let (hash, set) = Self::hash(from);
        let set = &mut self.sets[set];
        let known = set.iter().position(|attempt| attempt.hash == hash);
        let Some(place) = known.or_else(|| {
            let oldest = (0..set.len()).min_by_key(|place| (set[*place].steps, set[*place].at))?;
            (port == self.ports[0]).then_some(oldest)
        }) else {
            return false;
        };
        let steps = if known.is_some() { set[place].steps } else { 0 };
        let right = self.ports.get(steps as usize) == Some(&port);
        let steps = if right { steps + 1 } else { u32::from(port == self.ports[0]) };
        set[place] = if steps == 3 { Attempt::default() } else { Attempt { hash, at: self.clock, steps } };
        steps == 3
    }
}
