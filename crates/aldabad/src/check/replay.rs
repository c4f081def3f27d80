//! Runs captured packets through a policy: what each source did, and what would have opened. Nothing is run.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use aldaba_config::Policy;
use aldaba_gate::knock::{Outcome, TcpFlags};
use aldaba_gate::packet::capture_file::{FileError, FileErrorKind, Reader, Record};
use aldaba_gate::packet::{Refused, Segment, Transport, parse};
use aldaba_gate::{DoorId, Dropped, Events, Gate, Grant, Interface, KnockAction, Verdict};
use aldaba_runner::door::{Action, Door, NftSet, Template};
use aldaba_runner::template::Substitution;

use crate::wording::{command_text, short};

/// Lines kept of one source; the rest is counted.
const LINES: usize = 200;
/// Sources kept; packets of further ones are counted.
const SOURCES: usize = 10_000;

/// Why a capture could not be run.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    /// It is no capture file.
    #[error("{0}")]
    File(#[from] FileError),
    /// The policy is too large for the tracker.
    #[error("{0}")]
    Policy(#[from] aldaba_gate::knock::TrackerError),
}

impl ReplayError {
    /// What to do about it.
    pub(super) const fn help(&self) -> &'static str {
        match self {
            Self::File(error) => help(error.kind),
            Self::Policy(_) => "check the configuration without --pcap first",
        }
    }
}

/// What to do about a capture file that cannot be read, or not to its end.
pub(super) const fn help(kind: FileErrorKind) -> &'static str {
    match kind {
        FileErrorKind::NotACapture => {
            "write one with tcpdump -i any -s 0 -w FILE; a compressed one is to be unpacked first"
        }
        FileErrorKind::Truncated => {
            "end tcpdump before its file is copied (tcpdump -U writes each packet at once)"
        }
        _ => "let Wireshark's editcap write it anew: editcap -F pcap FILE NEW",
    }
}

/// What the capture did.
#[derive(Debug, Default)]
pub(super) struct Report {
    sources: BTreeMap<IpAddr, Source>,
    frames: u64,
    refused: u64,
    /// Of them: malformed, so that the host's own stack drops them too.
    malformed: u64,
    /// Of them: cut off by the capture before their headers end.
    cut: u64,
    /// Of them: on links that are not read, with the file's numbers for those.
    unread_links: BTreeMap<u32, u64>,
    /// Of the segments: in a VLAN, so that they belong to that VLAN's own interface.
    tagged: u64,
    elsewhere: u64,
    /// From nobody: with a source no sender can have.
    from_nobody: u64,
    /// IPv6, which the policy leaves out.
    ipv6_off: u64,
    /// To the port of `[spa]`.
    datagrams: u64,
    invisible: u64,
    opened: u64,
    unlisted: u64,
    /// Where the file could not be read further.
    pub damage: Option<FileError>,
}

#[derive(Debug, Default)]
struct Source {
    lines: Vec<String>,
    more: u64,
}

/// Runs `capture` through `policy`. With no `addresses` every destination counts as the host.
pub(super) fn run(policy: &Policy, capture: &[u8], addresses: &[IpAddr]) -> Result<Report, ReplayError> {
    let (records, damage) = read(capture)?;
    let mut rules = policy.gate.clone();
    // The file does not know the host's interfaces: a door that listens on some of them listens here.
    rules.doors.iter_mut().for_each(|door| door.interfaces.clear());
    // No stranger shares this table, so its hash need not be secret.
    let mut gate = Gate::new(&rules, [0; 16])?;
    let host: HashSet<IpAddr> =
        if addresses.is_empty() { destinations(&records) } else { addresses.iter().copied().collect() };
    for index in records.iter().map(|record| record.interface).collect::<HashSet<_>>() {
        gate.set_interface(index, Interface { name: String::new(), loopback: true, addresses: host.clone() });
    }
    let start = records.first().map_or(Duration::ZERO, |record| record.time);
    let mut report = Report { damage, ..Report::default() };
    for record in &records {
        report.show(policy, &mut gate, start, record);
    }
    Ok(report)
}

fn read(capture: &[u8]) -> Result<(Vec<Record<'_>>, Option<FileError>), FileError> {
    let mut records = Vec::new();
    for record in Reader::new(capture)? {
        match record {
            Ok(record) => records.push(record),
            Err(damage) => return Ok((records, Some(damage))),
        }
    }
    Ok((records, None))
}

fn destinations(records: &[Record<'_>]) -> HashSet<IpAddr> {
    let segments = records.iter().filter_map(Record::frame).filter_map(|frame| parse(&frame).ok());
    segments.map(|segment| segment.destination).collect()
}

impl Report {
    fn show(&mut self, policy: &Policy, gate: &mut Gate, start: Duration, record: &Record<'_>) {
        self.frames += 1;
        let Some(segment) = self.segment(record) else { return };
        let mut notes = Notes { policy, lines: Vec::new(), opened: 0 };
        let verdict = gate.segment(record.time, record.interface, &segment, &mut notes);
        self.opened += notes.opened;
        let when = short_time(record.time.saturating_sub(start));
        let word = match verdict {
            Verdict::Seen(Outcome::Invisible) if is_datagram(policy, &segment) => {
                self.datagrams += 1;
                Some("a datagram: `aldabad why` says what became of it")
            }
            Verdict::Seen(Outcome::Invisible) => {
                self.invisible += 1;
                None
            }
            Verdict::Seen(outcome) => Some(outcome_word(outcome)),
            Verdict::Dropped(dropped) => {
                *self.dropped(dropped) += 1;
                None
            }
            Verdict::Refused(_) | Verdict::Datagram => {
                self.elsewhere += 1;
                None
            }
        };
        if let Some(word) = word {
            self.line(segment.source, format!("{when}  {:<24}{word}", hit_text(&segment)));
        }
        // Expired attempts of other sources are noticed with this packet too, so each line names its own source.
        for (source, line) in notes.lines {
            self.line(source, format!("{when}    {line}"));
        }
    }

    /// Where the packets are counted that the gate dropped for this reason.
    const fn dropped(&mut self, dropped: Dropped) -> &mut u64 {
        match dropped {
            Dropped::Tagged => &mut self.tagged,
            Dropped::ImpossibleSource => &mut self.from_nobody,
            Dropped::Ipv6Off => &mut self.ipv6_off,
            Dropped::UnknownInterface | Dropped::NotForUs => &mut self.elsewhere,
        }
    }

    /// The segment in a packet; what is none is counted.
    fn segment<'a>(&mut self, record: &Record<'a>) -> Option<Segment<'a>> {
        let refused = match record.frame().map(|frame| parse(&frame)) {
            Some(Ok(segment)) => return Some(segment),
            Some(Err(refused)) => Some(refused),
            None => None,
        };
        self.refused += 1;
        match (refused, record.link) {
            (Some(Refused::NotCaptured(_)), _) => self.cut += 1,
            (Some(Refused::Malformed(..)), _) => self.malformed += 1,
            (None, Err(number)) => *self.unread_links.entry(number).or_default() += 1,
            _ => {}
        }
        None
    }

    /// What is said of packets of some kinds, where there are any.
    fn remarks(&self) -> impl Iterator<Item = (u64, &'static str)> {
        let remarks = [
            (self.malformed, "malformed: the host's own network stack drops them too"),
            (self.cut, "cut off before their headers end: capture with `tcpdump -s 0`"),
            (
                self.tagged,
                "in a VLAN: they count on that VLAN's interface, if aldaba listens there: capture on it",
            ),
            (
                self.from_nobody,
                "from a source that nobody can have (0.0.0.0, multicast, 240.0.0.0/4): no answer could reach it, so it \
                 opens nothing",
            ),
            (self.ipv6_off, "over IPv6, which the configuration leaves out: ipv6 = true lets them count"),
            (
                self.datagrams,
                "to the UDP port of [spa]: they are good at their own time only, and not opened here",
            ),
        ];
        remarks.into_iter().filter(|(count, _)| *count > 0)
    }

    fn line(&mut self, source: IpAddr, line: String) {
        if self.sources.len() >= SOURCES && !self.sources.contains_key(&source) {
            self.unlisted += 1;
            return;
        }
        let entry = self.sources.entry(source).or_default();
        if entry.lines.len() < LINES {
            entry.lines.push(line);
        } else {
            entry.more += 1;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (address, source) in &self.sources {
            writeln!(f, "{address}")?;
            for line in &source.lines {
                writeln!(f, "  {line}")?;
            }
            if source.more > 0 {
                writeln!(f, "  … and {} more lines", source.more)?;
            }
        }
        if self.unlisted > 0 {
            writeln!(f, "… and {} lines of further sources", self.unlisted)?;
        }
        for (count, words) in self.remarks() {
            writeln!(f, "{count} {words}")?;
        }
        for (number, count) in &self.unread_links {
            writeln!(
                f,
                "{count} on a kind of link that is not read here (link type {number}): capture with `tcpdump -i any`"
            )?;
        }
        writeln!(
            f,
            "{} packets: {} no TCP or UDP segment, {} not for this host, {} to ports no door looks at; {} opening{}",
            self.frames,
            self.refused,
            self.elsewhere,
            self.invisible,
            self.opened,
            if self.opened == 1 { "" } else { "s" },
        )
    }
}

fn is_datagram(policy: &Policy, segment: &Segment<'_>) -> bool {
    let port = match &segment.transport {
        Transport::Udp(udp) => Some(udp.destination_port),
        Transport::Tcp(_) => None,
    };
    port.is_some() && port == policy.spa.as_ref().map(|spa| spa.port)
}

/// What the gate says about one packet, in words.
struct Notes<'a> {
    policy: &'a Policy,
    lines: Vec<(IpAddr, String)>,
    opened: u64,
}

impl Notes<'_> {
    fn name(&self, door: DoorId) -> &str {
        let door = usize::try_from(door.0).ok().and_then(|index| self.policy.gate.doors.get(index));
        door.map_or("?", |door| &door.name)
    }

    fn door(&self, door: DoorId) -> Option<&Door> {
        self.policy.catalogue.doors.get(usize::try_from(door.0).ok()?)
    }
}

impl Events for Notes<'_> {
    fn wants_stages(&self) -> bool {
        true
    }

    fn stage(&mut self, source: IpAddr, door: DoorId, _knock: u8, stage: u8) {
        let line = format!("{}: stage {stage}", self.name(door));
        self.lines.push((source, line));
    }

    fn expired(&mut self, source: IpAddr, door: DoorId, _knock: u8, stage: u8) {
        let line = format!("{}: ran out of time at stage {stage}", self.name(door));
        self.lines.push((source, line));
    }

    fn grant(&mut self, grant: Grant) {
        let line = match grant.action {
            KnockAction::Open => {
                self.opened += 1;
                let does = self.door(grant.door).map_or_else(String::new, |door| opening(door, grant.source));
                format!("{}: WOULD OPEN{does}", self.name(grant.door))
            }
            KnockAction::Close => format!("{}: WOULD CLOSE", self.name(grant.door)),
        };
        self.lines.push((grant.source, line));
    }
}

/// What opening the door for this address does.
fn opening(door: &Door, address: IpAddr) -> String {
    let with = Substitution { address, seconds: door.lease.as_secs() };
    let rendered = |template: Option<&Template>| {
        let text = template.map(|template| template.render(&with));
        match text {
            Some(Ok(command)) => command_text(&command),
            Some(Err(too_long)) => format!("({too_long})"),
            None => "nothing for this address family".to_owned(),
        }
    };
    match &door.action {
        Action::LogOnly => " (a log line only)".to_owned(),
        Action::Command(commands) => {
            let start = rendered(commands.start.of(address));
            match commands.stop.of(address) {
                Some(stop) if !commands.never_stop => {
                    format!(", run: {start}; after {} run: {}", short(door.lease), rendered(Some(stop)))
                }
                _ => format!(", run: {start}"),
            }
        }
        Action::Nftables(action) => {
            let set = match &action.set {
                NftSet::Own { .. } => "aldaba's own table".to_owned(),
                NftSet::Named { table, .. } => format!("a set of table {table}"),
            };
            format!(" for {}: element {address} in {set}", short(door.lease))
        }
    }
}

const fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Invisible => "no door looks at it",
        Outcome::Ignored => "seen, no consequence",
        Outcome::Tolerated => "the same step again: tolerated",
        Outcome::Retransmission => "retransmission: counted once",
        Outcome::Broken => "wrong: the attempt is broken",
        Outcome::Cancelled => "another port: the attempt is cancelled",
        Outcome::Started => "begins an attempt",
        Outcome::Advanced => "next step",
        Outcome::Completed => "last step",
    }
}

fn hit_text(segment: &Segment<'_>) -> String {
    match &segment.transport {
        Transport::Udp(udp) => format!("udp {}", udp.destination_port),
        Transport::Tcp(tcp) => {
            let flags = TcpFlags::from_bits(tcp.flags);
            let names = [
                (TcpFlags::SYN, "syn"),
                (TcpFlags::ACK, "ack"),
                (TcpFlags::FIN, "fin"),
                (TcpFlags::RST, "rst"),
                (TcpFlags::PSH, "psh"),
                (TcpFlags::URG, "urg"),
            ];
            let set: Vec<&str> =
                names.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| *name).collect();
            format!("tcp {} {}", tcp.destination_port, set.join(","))
        }
    }
}

fn short_time(time: Duration) -> String {
    format!("{:>6}.{:03}s", time.as_secs(), time.subsec_millis())
}
