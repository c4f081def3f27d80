//! What a port scan would do to a sequence, for the linter. Implements spec/knock.md, "Strict", last paragraph.
//!
//! A scan is one SYN (or datagram) to each port of the sequence's protocols, from one address and within the time limit; one sequence is looked at,
//! alone: other patterns can only make it harder for a scan.

use std::time::Duration;

use crate::{
    FlagFilter, Hit, Limits, Mode, Pattern, PatternId, Protocol, ScopeId, Sequence, Sink, Step, TcpFlags,
    Tracker,
};

/// Ports of one protocol that a scan can touch.
pub const ALL_PORTS: u32 = 65_535;

/// What scans of all ports do to a sequence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScanChance {
    /// A scan from the first port to the last opens it. Found by running the tracker.
    pub ascending: bool,
    /// A scan from the last port to the first opens it. Found by running the tracker.
    pub descending: bool,
    /// The chance that a scan in random order opens it. Computed exactly, see [`random_order`].
    pub random: f64,
}

impl ScanChance {
    /// Whether an ordered scan is certain to open it.
    #[must_use]
    pub const fn is_open_to_ordered_scans(&self) -> bool {
        self.ascending || self.descending
    }
}

/// What scans of all ports do to a sequence in this mode. `ignore`: what strict patterns do not see.
#[must_use]
pub fn scan_chance(sequence: &Sequence, mode: Mode, ignore: &[Step]) -> ScanChance {
    let ports = telling_steps(sequence, ignore);
    let backwards: Vec<Step> = ports.iter().rev().copied().collect();
    let mut scanned = Scanned::new(sequence, mode, ignore);
    let [ascending, descending] = [&ports, &backwards].map(|ports| scanned.by_any(&arrangements(ports)));
    let protocols = [Protocol::Tcp, Protocol::Udp].into_iter().filter(|protocol| uses(sequence, *protocol));
    let touched = protocols.fold(0_u32, |touched, protocol| {
        touched.saturating_add(ALL_PORTS.saturating_sub(count(ignore, protocol)))
    });
    ScanChance { ascending, descending, random: random_order(sequence, mode, touched) }
}

/// The chance that a scan of `touched` ports in random order, the sequence's among them, opens it.
///
/// With k steps, all different: compatible, only the order among them matters, 1 / k!. Strict, they must follow each other
/// directly: of the n! orders of n ports (n - k + 1)! have them so, 1 / (n (n - 1) ... (n - k + 2)). A scan that
/// touches each port once cannot open a sequence with a repeated step.
#[must_use]
pub fn random_order(sequence: &Sequence, mode: Mode, touched: u32) -> f64 {
    let steps = sequence.steps();
    let repeated =
        (1_usize..).zip(steps).any(|(next, step)| steps.iter().skip(next).any(|other| other == step));
    if repeated {
        return 0.0;
    }
    let steps = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    let factors = match mode {
        Mode::Compatible => 2..=steps,
        Mode::Strict => touched.saturating_sub(steps).saturating_add(2)..=touched,
    };
    factors.map(|factor| 1.0 / f64::from(factor)).product()
}

/// The sequence's steps and their next neighbours that count, in ascending order: for a strict pattern all other
/// ports are one long way of saying what a neighbour says, for a compatible one they say nothing.
fn telling_steps(sequence: &Sequence, ignore: &[Step]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for protocol in [Protocol::Tcp, Protocol::Udp].into_iter().filter(|protocol| uses(sequence, *protocol)) {
        for Step { port, .. } in sequence.steps() {
            let counts = |port: &u16| !ignore.contains(&Step { port: *port, protocol });
            let below = (1..*port).rev().find(counts);
            let above = (port.saturating_add(1)..=u16::MAX).find(counts);
            let around = [below, Some(*port), above].into_iter().flatten();
            steps.extend(around.filter(|port| *port > 0).map(|port| Step { port, protocol }));
        }
    }
    steps.sort_unstable();
    steps.dedup();
    steps
}

/// An ordered scan with both protocols: port by port, or one protocol after the other. With one, these are the same.
fn arrangements(ports: &[Step]) -> Vec<Vec<Step>> {
    let mut tcp_first = ports.to_vec();
    tcp_first.sort_by_key(|step| step.protocol == Protocol::Udp);
    let mut udp_first = ports.to_vec();
    udp_first.sort_by_key(|step| step.protocol == Protocol::Tcp);
    let mut orders = vec![ports.to_vec(), tcp_first, udp_first];
    orders.dedup();
    orders
}

fn uses(sequence: &Sequence, protocol: Protocol) -> bool {
    sequence.steps().iter().any(|step| step.protocol == protocol)
}

fn count(ignore: &[Step], protocol: Protocol) -> u32 {
    let mut ports: Vec<u16> =
        ignore.iter().filter(|step| step.protocol == protocol).map(|step| step.port).collect();
    ports.sort_unstable();
    ports.dedup();
    u32::try_from(ports.len()).unwrap_or(u32::MAX)
}

/// A sequence that is scanned, by another source each time.
struct Scanned {
    tracker: Option<Tracker>,
    source: u32,
}

impl Scanned {
    fn new(sequence: &Sequence, mode: Mode, ignore: &[Step]) -> Self {
        let pattern = Pattern {
            sequence: Some(sequence.clone()),
            flags: FlagFilter::ANY,
            timeout: Duration::MAX,
            mode,
            scope: ScopeId(0),
            cooldown: Duration::ZERO,
        };
        // Room for more sources than there are arrangements.
        let limits = Limits { entries: Limits::MIN_ENTRIES };
        Self { tracker: Tracker::new(&[pattern], ignore, limits, [0; 16]).ok(), source: 0 }
    }

    fn by_any(&mut self, orders: &[Vec<Step>]) -> bool {
        orders.iter().any(|order| self.opens(order))
    }

    /// Whether hits to these ports, in this order, complete the sequence.
    fn opens(&mut self, order: &[Step]) -> bool {
        let Some(tracker) = &mut self.tracker else { return false };
        self.source = self.source.saturating_add(1);
        let mut opened = Opened(false);
        for step in order {
            let hit = Hit {
                source: std::net::Ipv4Addr::from(self.source).into(),
                protocol: step.protocol,
                port: step.port,
                flags: TcpFlags::SYN,
                mark: None,
            };
            tracker.hit(Duration::ZERO, &[ScopeId(0)], &hit, &mut opened);
        }
        opened.0
    }
}

struct Opened(bool);

impl Sink for Opened {
    fn wants_stages(&self) -> bool {
        false
    }

    fn stage(&mut self, _: std::net::IpAddr, _: PatternId, _: u8) {}

    fn expired(&mut self, _: std::net::IpAddr, _: PatternId, _: u8) {}

    fn complete(&mut self, _: std::net::IpAddr, _: PatternId) {
        self.0 = true;
    }
}

#[cfg(test)]
mod tests;
