//! The gate: whole frames, as the worker shows them to it.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use aldaba_gate::{
    DoorId, DoorRule, Events, Gate, Grant, Interface, Knock, KnockAction, Rules, SequenceSource, SpaRules,
    Verdict,
};
use aldaba_knock::{FlagFilter, Mode, Outcome};
use aldaba_packet::build::Frame as Parts;
use aldaba_packet::{Frame, Link};
use aldaba_spa::{Store, Timestamp};

use crate::datagram::{Forgetful, WALL, served};
use crate::{DEFAULT_TABLE, HOST, noise, ports, sequence, source};

const LINK: Link = Link::Network { ethertype: 0x0800 };
const SPA_PORT: u16 = 42_731;
/// When the first frame comes.
const START: Duration = Duration::from_secs(100);
/// As long as a client's.
const DATAGRAM: usize = 160;
/// Frames that the worker takes at once where there are many.
pub const GROUP: usize = 16;
/// Strangers of a flood: four for each attempt there is room for. None of them is known when it comes again.
const STRANGERS: u32 = 1 << 18;
/// Between two groups of it: a quarter of a million frames a second.
const PACE: Duration = Duration::from_micros(64);

/// Takes what the gate says, as the worker does when nobody debugs.
struct Quiet(Forgetful);

impl Events for Quiet {
    fn wants_stages(&self) -> bool {
        false
    }
    fn stage(&mut self, _: IpAddr, _: DoorId, _: u8, _: u8) {}
    fn expired(&mut self, _: IpAddr, _: DoorId, _: u8, _: u8) {}
    fn grant(&mut self, _: Grant) {}
    fn spa(&mut self) -> Option<(Timestamp, &mut dyn Store)> {
        Some((WALL, &mut self.0))
    }
}

/// A gate, and frames of strangers.
#[derive(Debug)]
pub struct Gateway {
    gate: Gate,
    frames: Vec<Vec<u8>>,
    next: usize,
    now: Duration,
}

impl Gateway {
    /// So many doors that open by sequence, and so many first steps, each from a source of its own.
    #[must_use]
    pub fn spoofed(doors: u32, mode: Mode, frames: u32) -> Self {
        let frame = |number: u32| Parts::tcp(source(number), 40_000, HOST, ports(0)[0]).sequence(number);
        Self::new(doors, mode, 1, (0..frames).map(frame))
    }

    /// So many doors whose table is full of strangers, and more strangers than it has room for.
    #[must_use]
    pub fn flood(doors: u32, mode: Mode) -> Self {
        let mut flood = Self::spoofed(doors, mode, STRANGERS);
        for _ in 0..flood.frames.len() / GROUP {
            flood.group();
        }
        assert_eq!(flood.gate.attempts(), flood.gate.attempts_room(), "the table is full");
        flood
    }

    /// So many devices, and noise on the port of datagrams.
    #[must_use]
    pub fn junk(devices: u32, frames: u32) -> Self {
        let frame = |number: u32| {
            let payload: Vec<u8> = noise(number.into()).take(DATAGRAM).collect();
            Parts::udp(source(number), 40_000, HOST, SPA_PORT).payload(&payload)
        };
        Self::new(1, Mode::Compatible, devices, (0..frames).map(frame))
    }

    fn new(doors: u32, mode: Mode, devices: u32, frames: impl Iterator<Item = Parts>) -> Self {
        let mut gate = Gate::new(&rules(doors, mode), [7; 16]).expect("rules");
        let interface = Interface { name: "eth0".into(), loopback: false, addresses: HashSet::from([HOST]) };
        gate.set_interface(2, interface);
        let rules = SpaRules { port: Some(SPA_PORT), served: served(devices) };
        gate.serve(Duration::ZERO, Some(rules), [3; 16]);
        Self { gate, frames: frames.map(|parts| parts.bytes(LINK)).collect(), next: 0, now: START }
    }

    /// Looks at the next frame; behind the last one the first one again.
    pub fn frame(&mut self) -> Verdict {
        let bytes = &self.frames[self.next];
        self.next = (self.next + 1) % self.frames.len();
        self.gate.frame(self.now, 2, &Frame::whole(LINK, bytes), &mut Quiet(Forgetful))
    }

    /// Looks at the next group of a flood as the worker does. Each frame begins an attempt, in the place of another's.
    pub fn group(&mut self) {
        let frames = &self.frames[self.next..self.next + GROUP];
        self.next = (self.next + GROUP) % self.frames.len();
        self.now += PACE;
        let frames: [Frame<'_>; GROUP] = std::array::from_fn(|number| Frame::whole(LINK, &frames[number]));
        self.gate.read_ahead(self.now, frames);
        for frame in &frames {
            let verdict = self.gate.frame(self.now, 2, frame, &mut Quiet(Forgetful));
            assert_eq!(verdict, Verdict::Seen(Outcome::Started), "a stranger");
        }
    }
}

fn rules(doors: u32, mode: Mode) -> Rules {
    let knock = |door| Knock {
        action: KnockAction::Open,
        source: SequenceSource::Fixed(sequence(door)),
        flags: FlagFilter::INITIAL_SYN,
        timeout: Duration::from_secs(10),
        mode,
        cooldown: Duration::ZERO,
    };
    let door = |door| DoorRule {
        name: format!("door{door}"),
        interfaces: Vec::new(),
        target: None,
        knocks: vec![knock(door)],
        spa: None,
        for_gateway: false,
    };
    Rules {
        doors: (0..doors).map(door).collect(),
        ignore: Vec::new(),
        attempts: DEFAULT_TABLE,
        ipv6: true,
        spa_port: Some(SPA_PORT),
    }
}
