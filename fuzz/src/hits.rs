//! Patterns and what is done to them, from bytes: the tracker must say what the plain model says.
//!
//! The first byte is the number of patterns less one (of 6), then each pattern: shape, limits, steps. What follows are
//! operations. A byte that is missing is 0. Spec: spec/knock.md, "Attempts".

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU64;
use std::time::Duration;

use aldaba_knock::model::Differential;
use aldaba_knock::{FlagFilter, Hit, Keep, Mode, Pattern, Protocol, ScopeId, Sequence, Step, TcpFlags};

/// The model is slow; longer inputs find nothing that shorter ones do not.
const MAX_OPERATIONS: usize = 300;

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mut patterns: Vec<Pattern> = (0..=bytes.below(6)).map(|_| bytes.pattern()).collect();
    let mut ignore = Vec::new();
    let mut both = Differential::new(&patterns, &ignore).expect("few patterns");
    let mut now = Duration::ZERO;
    for _ in 0..MAX_OPERATIONS {
        if bytes.0.is_empty() {
            break;
        }
        match bytes.next() {
            0xe0..=0xe7 => drop(both.expire(now)),
            0xe8..=0xef => {
                let pattern = usize::from(bytes.below(8));
                let sequence = bytes.sequence();
                if let Some(pattern) = patterns.get_mut(pattern) {
                    pattern.sequence.clone_from(&sequence);
                }
                both.replace(now, pattern, sequence);
            }
            kind @ 0xf0..=0xf7 => {
                bytes.change(&mut patterns);
                ignore = if kind & 1 == 0 { Vec::new() } else { vec![bytes.step()] };
                let keep = if kind & 6 == 6 { Keep::Nothing } else { Keep::Unchanged };
                both.reconfigure(now, &patterns, &ignore, keep).expect("few patterns");
            }
            kind @ 0xf8.. => {
                now += Duration::from_millis(u64::from(kind & 7) * 250 * u64::from(bytes.next()))
            }
            kind => {
                now += Duration::from_millis(u64::from(kind >> 5) * 100);
                both.hit(now, Bytes::scopes(kind), &bytes.hit(kind));
            }
        }
    }
    both.expire(now + Duration::from_secs(100));
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, end: u8) -> u8 {
        self.next() % end
    }

    fn step(&mut self) -> Step {
        let byte = self.next();
        let protocol = if byte & 0x80 == 0 { Protocol::Tcp } else { Protocol::Udp };
        Step { port: u16::from(byte & 7), protocol }
    }

    fn sequence(&mut self) -> Option<Sequence> {
        let steps = (0..self.below(6)).map(|_| self.step()).collect::<Vec<_>>();
        Sequence::try_from(steps).ok()
    }

    fn pattern(&mut self) -> Pattern {
        let (shape, limits) = (self.next(), self.next());
        let flags = match shape & 3 {
            0 => FlagFilter::ANY,
            1 => FlagFilter::INITIAL_SYN,
            2 => FlagFilter { must_set: TcpFlags::SYN, must_clear: TcpFlags::NONE },
            _ => FlagFilter { must_set: TcpFlags::NONE, must_clear: TcpFlags::FIN },
        };
        Pattern {
            sequence: self.sequence(),
            flags,
            timeout: Duration::from_millis(u64::from(limits & 15) * 500),
            mode: if shape & 4 == 0 { Mode::Compatible } else { Mode::Strict },
            scope: ScopeId(u16::from(shape >> 3 & 1)),
            cooldown: Duration::from_millis(u64::from(limits >> 6) * 700),
        }
    }

    /// One pattern goes, changes its place or comes.
    fn change(&mut self, patterns: &mut Vec<Pattern>) {
        let place = usize::from(self.below(8));
        match self.below(3) {
            0 if place < patterns.len() => drop(patterns.remove(place)),
            1 if place < patterns.len() => patterns.rotate_left(place),
            _ if patterns.len() < 8 => patterns.insert(place.min(patterns.len()), self.pattern()),
            _ => {}
        }
    }

    fn scopes(kind: u8) -> &'static [ScopeId] {
        match kind >> 2 & 3 {
            0 | 1 => &[ScopeId(0), ScopeId(1)],
            2 => &[ScopeId(0)],
            _ => &[ScopeId(1), ScopeId(9)],
        }
    }

    fn hit(&mut self, kind: u8) -> Hit {
        let source = Ipv4Addr::new(192, 0, 2, kind & 1);
        let Step { port, protocol } = self.step();
        let details = self.next();
        let flags = [TcpFlags::SYN, TcpFlags::ACK, TcpFlags::SYN.union(TcpFlags::FIN), TcpFlags::NONE];
        let mark = NonZeroU64::new(u64::from(details >> 2)).filter(|_| protocol == Protocol::Tcp);
        Hit {
            source: if kind & 2 == 0 { IpAddr::V4(source) } else { IpAddr::V6(source.to_ipv6_mapped()) },
            protocol,
            port,
            flags: flags[usize::from(details & 3)],
            mark,
        }
    }
}
