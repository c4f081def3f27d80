//! A network that loses, repeats, delays and reorders, and those who send.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use aldaba_packet::Link;
use aldaba_packet::build::{Frame, flag};
use fastrand::Rng;

use crate::server::Door;

/// The server's address.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

/// A frame on its way.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    /// The frame with its Ethernet header.
    pub(crate) bytes: Vec<u8>,
}

/// A right knock, as it was sent.
struct Attempt {
    source: IpAddr,
    door: &'static str,
    start: Duration,
    end: Duration,
    /// Something of it was lost or overtaken.
    harmed: bool,
}

pub(crate) struct Network {
    random: Rng,
    underway: BTreeMap<(Duration, u64), Packet>,
    sent: u64,
    attempts: Vec<Attempt>,
}

impl Network {
    pub(crate) fn new(random: Rng) -> Self {
        Self { random, underway: BTreeMap::new(), sent: 0, attempts: Vec::new() }
    }

    /// A client's knock at a door, each step of a connection of its own.
    pub(crate) fn knock(&mut self, source: IpAddr, door: &'static Door, start: Duration, pause: Duration) {
        let mut harmed = false;
        let mut last = Duration::ZERO;
        for (number, (port, udp)) in door.steps.iter().enumerate() {
            let at = start + pause * u32::try_from(number).expect("few steps");
            let frame = self.frame(source, *port, *udp);
            let Some(arrival) = self.send(at, &frame) else {
                harmed = true;
                continue;
            };
            harmed |= arrival <= last;
            last = last.max(arrival);
        }
        let end = start + pause * u32::try_from(door.steps.len()).expect("few steps");
        self.attempts.push(Attempt { source, door: door.name, start, end, harmed });
    }

    /// One SYN to each port, a millisecond apart.
    pub(crate) fn scan(&mut self, source: IpAddr, ports: impl Iterator<Item = u16>, start: Duration) {
        for (number, port) in ports.enumerate() {
            let at = start + Duration::from_millis(u64::try_from(number).expect("few ports"));
            let frame = self.frame(source, port, false);
            // A scan's packets keep their order, or it would be another scan.
            self.put(at, frame.bytes(Link::Ethernet));
        }
    }

    /// Frames of which some bytes are not what they should be.
    pub(crate) fn noise(&mut self, source: IpAddr, count: u64, start: Duration) {
        for number in 0..count {
            let port = self.random.u16(..);
            let udp = self.random.bool();
            let mut bytes = self.frame(source, port, udp).bytes(Link::Ethernet);
            for _ in 0..self.random.usize(1..8) {
                let at = self.random.usize(..bytes.len());
                // Not the source: noise in somebody's name would be that somebody's knock.
                if !(26..30).contains(&at) {
                    bytes[at] = self.random.u8(..);
                }
            }
            bytes.truncate(self.random.usize(1..=bytes.len()));
            self.put(start + Duration::from_millis(number), bytes);
        }
    }

    fn frame(&mut self, source: IpAddr, port: u16, udp: bool) -> Frame {
        let from = self.random.u16(32_768..);
        if udp {
            Frame::udp(source, from, SERVER, port).payload(&[0])
        } else {
            Frame::tcp(source, from, SERVER, port).flags(flag::SYN).sequence(self.random.u32(..))
        }
    }

    /// When it arrives, if it does; now and then a copy follows.
    fn send(&mut self, at: Duration, frame: &Frame) -> Option<Duration> {
        if self.random.u8(..100) < 3 {
            return None;
        }
        let bytes = frame.bytes(Link::Ethernet);
        let delay = Duration::from_micros(self.random.u64(500..30_000));
        if self.random.u8(..100) < 5 {
            let later = Duration::from_millis(self.random.u64(..15));
            self.put(at + delay + later, bytes.clone());
        }
        self.put(at + delay, bytes);
        Some(at + delay)
    }

    fn put(&mut self, at: Duration, bytes: Vec<u8>) {
        self.sent += 1;
        self.underway.insert((at, self.sent), Packet { bytes });
    }

    pub(crate) fn next_arrival(&self) -> Option<Duration> {
        self.underway.keys().next().map(|(at, _)| *at)
    }

    /// Everything that has arrived.
    pub(crate) fn arrivals(&mut self, now: Duration) -> Vec<Packet> {
        let later = self.underway.split_off(&(now + Duration::from_nanos(1), 0));
        std::mem::replace(&mut self.underway, later).into_values().collect()
    }

    /// Whether this source ever sent this door's sequence.
    pub(crate) fn knocked(&self, source: IpAddr, door: &str) -> bool {
        self.attempts.iter().any(|attempt| attempt.source == source && attempt.door == door)
    }

    /// Knocks that arrived whole and in order, of which the source did nothing else meanwhile.
    pub(crate) fn undisturbed(&self) -> Vec<(IpAddr, &'static str, Duration)> {
        let alone = |one: &Attempt| {
            let near = |other: &&Attempt| {
                let margin = Duration::from_secs(12);
                other.source == one.source && other.start < one.end + margin && one.start < other.end + margin
            };
            self.attempts.iter().filter(near).count() == 1
        };
        let good = self.attempts.iter().filter(|attempt| !attempt.harmed && alone(attempt));
        good.map(|attempt| (attempt.source, attempt.door, attempt.start)).collect()
    }
}
