//! What the tests of the tracker are written with: patterns and hits in a few characters, and a tracker that listens.
//!
//! A hit is `7000` (SYN, a new connection), `7000/ack` with other flags, `53u` for UDP, `=` for the last TCP segment once
//! more, `@2.5` to go to that second. A word before a colon names the source: `o:7000`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU64;
use std::time::Duration;

use crate::model::{Event, Heard};
use crate::{
    FlagFilter, Hit, Limits, Mode, Outcome, Pattern, Protocol, ScopeId, Step, TcpFlags, Tracker, grammar,
};

pub(super) const SCOPE: ScopeId = ScopeId(0);

/// A pattern with a limit of five seconds.
pub(super) fn pattern(mode: Mode, sequence: &str, flags: &str) -> Pattern {
    Pattern {
        sequence: Some(grammar::strict(sequence).unwrap()),
        flags: if flags.is_empty() { FlagFilter::ANY } else { flags.parse().unwrap() },
        timeout: Duration::from_secs(5),
        mode,
        scope: SCOPE,
        cooldown: Duration::ZERO,
    }
}

pub(super) fn compatible(sequence: &str) -> Pattern {
    pattern(Mode::Compatible, sequence, "")
}

pub(super) fn strict(sequence: &str) -> Pattern {
    pattern(Mode::Strict, sequence, "syn,!ack")
}

/// Source number `n` of a test.
pub(super) fn source(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n))
}

pub(super) fn syn(source: IpAddr, port: u16, mark: u64) -> Hit {
    Hit { source, protocol: Protocol::Tcp, port, flags: TcpFlags::SYN, mark: NonZeroU64::new(mark) }
}

/// A tracker, a clock and what was heard.
pub(super) struct Listener {
    pub(super) tracker: Tracker,
    pub(super) now: Duration,
    pub(super) heard: Heard,
    sources: Vec<String>,
    last: HashMap<IpAddr, Hit>,
    marks: u64,
}

impl Listener {
    pub(super) fn new(patterns: &[Pattern]) -> Self {
        Self::ignoring(patterns, &[])
    }

    pub(super) fn ignoring(patterns: &[Pattern], ignore: &[Step]) -> Self {
        Self {
            tracker: Tracker::new(patterns, ignore, Limits::default(), [7; 16]).unwrap(),
            now: Duration::from_secs(100),
            heard: Heard::default(),
            sources: vec!["c".to_owned()],
            last: HashMap::new(),
            marks: 0,
        }
    }

    /// Sends hits, see above; returns the outcome of each.
    pub(super) fn send(&mut self, hits: &str) -> Vec<Outcome> {
        hits.split_whitespace().filter_map(|word| self.word(word)).collect()
    }

    /// What was completed since the last time: `A:c` for the first pattern and source.
    pub(super) fn opened(&mut self) -> String {
        let events = std::mem::take(&mut self.heard.0);
        let opened = events.into_iter().filter_map(|event| match event {
            Event::Complete { pattern, source } => {
                Some(format!("{}:{}", letter(pattern.0), self.name(source)))
            }
            _ => None,
        });
        opened.collect::<Vec<_>>().join(" ")
    }

    /// Everything that was said since the last time.
    pub(super) fn said(&mut self) -> String {
        let events = std::mem::take(&mut self.heard.0);
        let said = events.into_iter().map(|event| match event {
            Event::Complete { pattern, source } => format!("{}:{}!", letter(pattern.0), self.name(source)),
            Event::Stage { pattern, source, stage } => {
                format!("{}:{}={stage}", letter(pattern.0), self.name(source))
            }
            Event::Expired { pattern, source, stage } => {
                format!("{}:{}~{stage}", letter(pattern.0), self.name(source))
            }
        });
        said.collect::<Vec<_>>().join(" ")
    }

    pub(super) fn expire(&mut self) {
        self.tracker.expire(self.now, &mut self.heard);
    }

    /// A hit in all its detail.
    pub(super) fn hit(&mut self, hit: &Hit) -> Outcome {
        self.tracker.hit(self.now, &[SCOPE], hit, &mut self.heard)
    }

    fn word(&mut self, word: &str) -> Option<Outcome> {
        if let Some(seconds) = word.strip_prefix('@') {
            self.now = Duration::from_secs(100) + Duration::from_secs_f64(seconds.parse().unwrap());
            return None;
        }
        let (name, what) = word.split_once(':').unwrap_or(("c", word));
        let source = self.source(name);
        if what == "=" {
            let hit = self.last[&source];
            return Some(self.hit(&hit));
        }
        let (port, flags) = what.split_once('/').unwrap_or((what, "syn"));
        self.marks += 1;
        let hit = match port.strip_suffix('u') {
            Some(port) => Hit {
                source,
                protocol: Protocol::Udp,
                port: port.parse().unwrap(),
                flags: TcpFlags::NONE,
                mark: None,
            },
            None => Hit { flags: flags_of(flags), ..syn(source, port.parse().unwrap(), self.marks) },
        };
        if hit.mark.is_some() {
            self.last.insert(source, hit);
        }
        Some(self.hit(&hit))
    }

    fn source(&mut self, name: &str) -> IpAddr {
        let known = self.sources.iter().position(|known| known == name).unwrap_or_else(|| {
            self.sources.push(name.to_owned());
            self.sources.len() - 1
        });
        source(u32::try_from(known).unwrap())
    }

    fn name(&self, address: IpAddr) -> String {
        let number = (0..).zip(&self.sources).find(|(n, _)| source(*n) == address);
        number.map_or_else(|| address.to_string(), |(_, name)| name.clone())
    }
}

fn letter(pattern: u32) -> char {
    char::from(b'A' + u8::try_from(pattern).unwrap())
}

fn flags_of(text: &str) -> TcpFlags {
    if text == "none" {
        return TcpFlags::NONE;
    }
    text.split('+').fold(TcpFlags::NONE, |flags, name| match name {
        "ece" => flags.union(TcpFlags::ECE),
        "cwr" => flags.union(TcpFlags::CWR),
        name => flags.union(name.parse::<FlagFilter>().unwrap().must_set),
    })
}
