//! What a packet costs does not depend on how many sources there are (docs/reliability.md, R11): the gate alone, with its table of
//! attempts at its default size and at a large one.
//!
//! Processor time of this thread in place of time, the least of several rounds that take turns, and only their ratio: what other
//! work on the machine does to it, it does to all.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use aldaba_gate::packet::build::{Frame as Packet, flag};
use aldaba_gate::packet::{Frame, Link};
use aldaba_gate::{Gate, Rules};
use fastrand::Rng;
use rustix::time::{ClockId, clock_gettime};

use crate::network::SERVER;
use crate::server::{Grants, gate_with, policy};

const FEW: u32 = 10_000;
/// In a build without optimisation a million would take half a minute.
const MANY: u32 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
/// Frames of one measurement.
const BATCH: usize = if cfg!(debug_assertions) { 10_000 } else { 50_000 };
const ROUNDS: usize = 7;
/// Memory that no cache holds may cost something, once for each packet.
const MOST: u32 = 4;
/// The ports of a door, and two of none.
const PORTS: [u16; 5] = [7391, 2804, 8816, 22, 443];

/// A gate and those who knock at it.
struct Crowd {
    gate: Gate,
    sources: u32,
    now: Duration,
    random: Rng,
    least: Duration,
}

impl Crowd {
    /// All of them have been seen once.
    fn new(rules: &Rules, sources: u32) -> Self {
        let (gate, random) = (gate_with(rules, 11), Rng::with_seed(u64::from(sources)));
        let mut crowd = Self { gate, sources, now: Duration::ZERO, random, least: Duration::MAX };
        for first in (0..sources).step_by(BATCH) {
            let last = sources.min(first + u32::try_from(BATCH).unwrap_or(u32::MAX));
            let frames: Vec<Vec<u8>> = (first..last).map(|source| frame(source, PORTS[0])).collect();
            crowd.show(&frames);
        }
        crowd
    }

    fn measure(&mut self) {
        let frames: Vec<Vec<u8>> = (0..BATCH)
            .map(|_| frame(self.random.u32(..self.sources), PORTS[self.random.usize(..PORTS.len())]))
            .collect();
        let before = thread_time();
        self.show(&frames);
        self.least = self.least.min(thread_time().saturating_sub(before));
    }

    fn show(&mut self, frames: &[Vec<u8>]) {
        for bytes in frames {
            // Fifty thousand a second.
            self.now += Duration::from_micros(20);
            let frame = Frame::whole(Link::Ethernet, bytes);
            black_box(self.gate.frame(self.now, 1, &frame, &mut Grants::default()));
        }
    }

    fn nanos_each(&self) -> u128 {
        self.least.as_nanos() / BATCH as u128
    }
}

fn frame(source: u32, port: u16) -> Vec<u8> {
    let address = IpAddr::from(Ipv4Addr::from(u32::from(Ipv4Addr::new(11, 0, 0, 1)) + source));
    Packet::tcp(address, 40_000, SERVER, port).flags(flag::SYN).sequence(source).bytes(Link::Ethernet)
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[test]
fn r11_a_packet_costs_the_same_with_ten_thousand_and_a_million_sources() {
    let rules = policy().gate;
    let large = Rules { attempts: 1 << 20, ..rules.clone() };
    let mut crowds = [(&rules, FEW), (&rules, MANY), (&large, FEW), (&large, MANY)]
        .map(|(rules, sources)| Crowd::new(rules, sources));
    for _ in 0..ROUNDS {
        crowds.iter_mut().for_each(Crowd::measure);
    }
    let [few, many, few_in_large, many_in_large] = &crowds;
    let costs = crowds.iter().map(Crowd::nanos_each).collect::<Vec<_>>();
    println!(
        "figure: R11 {} ns a packet with {FEW} sources and {} ns with {MANY}; in a table of {} attempts {} ns and {} ns",
        costs[0], costs[1], large.attempts, costs[2], costs[3]
    );
    for (few, many) in [(few, many), (few_in_large, many_in_large)] {
        assert!(many.least < few.least * MOST, "{costs:?}");
        let counters = many.gate.counters();
        assert_eq!((counters.refused, counters.dropped), (0, 0), "each of them was looked at");
    }
}
