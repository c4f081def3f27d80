//! The tracker by itself: hits of many sources on the sequences of many doors.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use aldaba_knock::{
    FlagFilter, Hit, Limits, Mode, Outcome, Pattern, PatternId, Protocol, ScopeId, Sink, TcpFlags, Tracker,
};

use crate::{ports, sequence, source};

/// As many attempts as a policy has room for that does not say.
pub const DEFAULT_TABLE: usize = 1 << 16;

/// Somebody whom stages do not interest.
struct Deaf;

impl Sink for Deaf {
    fn wants_stages(&self) -> bool {
        false
    }
    fn stage(&mut self, _: IpAddr, _: PatternId, _: u8) {}
    fn expired(&mut self, _: IpAddr, _: PatternId, _: u8) {}
    fn complete(&mut self, _: IpAddr, _: PatternId) {}
}

/// A tracker whose clock stands still: no attempt runs out.
#[derive(Debug)]
pub struct Track {
    tracker: Tracker,
    marks: u64,
    newcomers: u32,
}

impl Track {
    /// A tracker of so many doors, with room for so many attempts.
    #[must_use]
    pub fn new(doors: u32, mode: Mode, room: usize) -> Self {
        let pattern = |door| Pattern {
            sequence: Some(sequence(door)),
            flags: FlagFilter::INITIAL_SYN,
            timeout: Duration::from_secs(10),
            mode,
            scope: ScopeId(0),
            cooldown: Duration::ZERO,
        };
        let patterns: Vec<Pattern> = (0..doors).map(pattern).collect();
        let tracker = Tracker::new(&patterns, &[], Limits { entries: room }, [7; 16]);
        Self { tracker: tracker.expect("patterns"), marks: 0, newcomers: 1 }
    }

    /// The first step of the first door, from somebody new.
    pub fn newcomer(&mut self) -> Outcome {
        self.newcomers = self.newcomers.wrapping_add(1);
        self.hit(self.newcomers, ports(0)[0])
    }

    /// The first step of the first door, from the next of so many who take turns: where there are many, what is known of them lies
    /// where no cache has it.
    pub fn in_turn(&mut self, sources: u32) -> Outcome {
        self.newcomers = (self.newcomers + 1) % sources;
        self.hit(self.newcomers + 1, ports(0)[0])
    }

    /// The first door's whole sequence, always from the same source.
    pub fn knock(&mut self) -> Outcome {
        let [first, second, third] = ports(0);
        self.hit(0, first);
        self.hit(0, second);
        self.hit(0, third)
    }

    /// A port that no sequence has.
    pub fn miss(&mut self) -> Outcome {
        self.hit(0, 9_999)
    }

    /// Takes all the room there is with attempts of so many steps, one or two.
    pub fn fill(&mut self, steps: usize) {
        // Some sets get more than their share: twice as many leave no place free.
        for _ in 0..self.tracker.room() * 2 {
            self.newcomer();
            for port in ports(0).into_iter().take(steps).skip(1) {
                self.hit(self.newcomers, port);
            }
        }
    }

    /// How many attempts there are.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.tracker.attempts()
    }

    fn hit(&mut self, number: u32, port: u16) -> Outcome {
        self.marks += 1;
        let (flags, mark) = (TcpFlags::SYN, NonZeroU64::new(self.marks));
        let hit = Hit { source: source(number), protocol: Protocol::Tcp, port, flags, mark };
        self.tracker.hit(Duration::from_secs(100), &[ScopeId(0)], &hit, &mut Deaf)
    }
}
