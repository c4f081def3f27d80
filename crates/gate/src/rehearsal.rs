//! The way of a frame, gone once with made-up ones, so that its code is there before the first real one comes.
//!
//! A program's pages are mapped when they are first run, and a daemon at rest has run none of this. Whoever knocks first would wait for
//! that, and in the first flood the process would grow. No real gate sees these frames, no sequence is completed, and no lock of the
//! policy sees the datagram; what the sink is told of stages means nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use aldaba_knock::{FlagFilter, Mode};
use aldaba_packet::{Checksum, Frame, Link};
use aldaba_spa::{Audience, LockKeys, Locks, Psk, SecretKey, Timestamp};

use crate::{DoorRule, Events, Gate, Interface, Knock, KnockAction, Rules, SequenceSource};

/// More sources than the smallest table has room for: some have to make room for others.
const SOURCES: u8 = 40;
/// As the worker's captures have it.
const LINK: Link = Link::Network { ethertype: 0x0800 };
/// The ports of two sequences, of one kind each; the last one is that of neither.
const PORTS: [u16; 5] = [1, 2, 11, 12, 21];
const HOST: [u8; 4] = [192, 0, 2, 1];
/// An IPv4 header and a TCP header.
const LENGTH: usize = 40;

/// A datagram as long as a client's.
const DATAGRAM: [u8; 160] = [0; 160];
/// An IPv4 header, a UDP header and that.
const DATAGRAM_LENGTH: usize = 28 + DATAGRAM.len();

/// All that takes part: a gate of its own, frames for it and a lock of its own.
///
/// It is made before pages are given back and kept after it was played, since what makes it and what takes it down is needed for
/// nothing else.
pub struct Rehearsal {
    gate: Gate,
    syns: Vec<[u8; LENGTH]>,
    datagrams: [[u8; DATAGRAM_LENGTH]; 2],
    /// Where datagrams are heard at all.
    locks: Option<Locks>,
}

impl Rehearsal {
    /// With a lock where `datagrams` are heard. Where there is none nothing is lost but the pages.
    #[must_use]
    pub fn prepare(datagrams: bool) -> Option<Self> {
        let syns = PORTS.iter().flat_map(|port| (1..=SOURCES).map(|source| syn(source, *port)));
        Some(Self {
            gate: gate()?,
            syns: syns.collect(),
            datagrams: [1, 2].map(datagram),
            locks: if datagrams { locks() } else { None },
        })
    }

    /// Shows the frames to the gate, with this sink, and a datagram to the lock.
    pub fn play(&mut self, now: Duration, events: &mut impl Events) {
        // The sum of SYNs is wrong, which is found first; then it is not looked at.
        for checksum in [Checksum::Verify, Checksum::Trusted] {
            let frame = |bytes| Frame { checksum, ..Frame::whole(LINK, bytes) };
            for some in self.syns.chunks(Gate::AHEAD) {
                self.gate.read_ahead(now, some.iter().map(|syn| frame(syn)));
                for syn in some {
                    std::hint::black_box(self.gate.frame(now, 1, &frame(syn), events));
                }
            }
            for datagram in &self.datagrams {
                std::hint::black_box(self.gate.frame(now, 1, &frame(datagram), events));
            }
        }
        self.locks.iter().for_each(refuse_noise);
    }
}

/// A lock whose keys are nobody's.
fn locks() -> Option<Locks> {
    let keys = LockKeys {
        secret: SecretKey::new(&[1; 32]),
        gate_psk: Psk::new([1; 32]),
        audience: Audience::default(),
        not_before: None,
        not_after: None,
    };
    Locks::new(vec![keys]).ok()
}

/// Looks at noise as a server does.
fn refuse_noise(locks: &Locks) {
    for noise in [&DATAGRAM[..1], &DATAGRAM] {
        std::hint::black_box(locks.verify(Timestamp(0), noise).is_ok());
    }
}

fn gate() -> Option<Gate> {
    let knock = |sequence: &str, mode| {
        let source = SequenceSource::Fixed(sequence.parse().ok()?);
        let (action, flags, timeout) = (KnockAction::Open, FlagFilter::INITIAL_SYN, Duration::from_secs(60));
        Some(Knock { action, source, flags, timeout, mode, cooldown: Duration::ZERO })
    };
    let door = DoorRule {
        name: String::new(),
        interfaces: Vec::new(),
        target: None,
        knocks: vec![knock("1,2,3", Mode::Strict)?, knock("11,12,13", Mode::Compatible)?],
        spa: None,
        for_gateway: false,
    };
    let rules = Rules { doors: vec![door], ignore: Vec::new(), attempts: 0, ipv6: true, spa_port: None };
    let mut gate = Gate::new(&rules, [0; 16]).ok()?;
    let addresses = [IpAddr::V4(Ipv4Addr::from(HOST))].into();
    gate.set_interface(1, Interface { name: String::new(), loopback: false, addresses });
    Some(gate)
}

/// A SYN from one of the sources to this port.
fn syn(source: u8, port: u16) -> [u8; LENGTH] {
    let [high, low] = port.to_be_bytes();
    let [a, b, c, d] = HOST;
    // The header's sum with the other end of the same network as its source: the rest goes up as this goes down.
    let [sum_high, sum_low] = 0x8e9b_u16.wrapping_sub(u16::from(source)).to_be_bytes();
    [
        0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, sum_high, sum_low, 198, 51, 100, source, a, b, c, d, // IPv4
        0x9c, 0x40, high, low, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0, // TCP
    ]
}

/// Noise from one of the sources, without a sum of its own, which IPv4 allows.
fn datagram(source: u8) -> [u8; DATAGRAM_LENGTH] {
    let [a, b, c, d] = HOST;
    let [sum_high, sum_low] = 0x8dfc_u16.wrapping_sub(u16::from(source)).to_be_bytes();
    let headers = [
        0x45, 0, 0, 188, 0, 0, 0, 0, 64, 17, sum_high, sum_low, 198, 51, 100, source, a, b, c,
        d, // IPv4
        0x9c, 0x40, 0, 3, 0, 168, 0, 0, // UDP
    ];
    let mut bytes = [0; DATAGRAM_LENGTH];
    if let Some(to) = bytes.first_chunk_mut() {
        *to = headers;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use aldaba_knock::Outcome;

    use super::*;
    use crate::{DoorId, Grant, Verdict};

    #[derive(Debug, Default)]
    struct Heard {
        stages: usize,
        expired: usize,
        grants: usize,
    }

    impl Events for Heard {
        fn wants_stages(&self) -> bool {
            true
        }
        fn stage(&mut self, _: IpAddr, _: DoorId, _: u8, _: u8) {
            self.stages += 1;
        }
        fn expired(&mut self, _: IpAddr, _: DoorId, _: u8, _: u8) {
            self.expired += 1;
        }
        fn grant(&mut self, _: Grant) {
            self.grants += 1;
        }
    }

    #[test]
    fn it_goes_the_whole_way_but_for_a_grant() {
        let mut heard = Heard::default();
        let mut rehearsal = Rehearsal::prepare(true).expect("prepared");
        rehearsal.play(Duration::from_secs(5), &mut heard);
        assert!(heard.stages > 40, "{heard:?}");
        assert_eq!((heard.expired, heard.grants), (0, 0));
    }

    #[test]
    fn its_frames_are_sound() {
        let mut gate = gate().unwrap();
        let mut verdict = |source, port, checksum| {
            let bytes = syn(source, port);
            let frame = Frame { checksum, ..Frame::whole(LINK, &bytes) };
            gate.frame(Duration::from_secs(5), 1, &frame, &mut Heard::default())
        };
        for source in [1, 77, SOURCES] {
            assert_eq!(verdict(source, 1, Checksum::Trusted), Verdict::Seen(Outcome::Started), "{source}");
            assert!(matches!(verdict(source, 1, Checksum::Verify), Verdict::Refused(_)));
            let noise = datagram(source);
            let frame = Frame { checksum: Checksum::Verify, ..Frame::whole(LINK, &noise) };
            let segment = aldaba_packet::parse(&frame).expect("a datagram");
            assert!(
                matches!(segment.transport, aldaba_packet::Transport::Udp(udp) if udp.payload == DATAGRAM)
            );
        }
        refuse_noise(&locks().expect("a lock"));
    }
}
