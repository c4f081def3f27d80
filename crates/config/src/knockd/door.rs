//! A door of knockd.conf: its directives as they come, then what they mean together.
//!
//! spec/knock.md, "knockd.conf, doors". The later directive wins; `TCPFlags` add up; IPv6 commands fall back to the
//! others, an empty start command runs nothing, and a stop command runs only after a start command.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use aldaba_gate::knock::{FlagFilter, Mode, Sequence};
use aldaba_gate::{DoorId, DoorRule, Knock, KnockAction, SequenceSource};
use aldaba_runner::door::{Action, Commands, Door, PerFamily, Style, Template};

use super::foreign::{FILL_IN, is_placeholder};
use super::lines::Line;
use super::number::{Slip, SlipKind, number};
use super::target::{Target, target};
use crate::diagnostic::{Diagnostic, Place};
use crate::files::Files;
use crate::plan::{DoorPlaces, Families, Findings};
use crate::policy::{Current, OneTime};
use crate::{Options, one_time, sequence};

const SEQ_TIMEOUT: i32 = 25;
const CMD_TIMEOUT: i32 = 10;

/// No host has this address, so a door with it never opens.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Where a directive stands.
pub(super) struct At<'a> {
    pub(super) line: &'a Line,
    pub(super) key: Place,
    pub(super) value: Place,
}

/// A value and where it was written.
#[derive(Debug, Clone)]
struct Written<T> {
    value: T,
    key: Place,
    place: Place,
}

/// The directives of a door so far.
pub(super) struct Draft {
    name: String,
    place: Place,
    sequence: Option<Written<Option<Sequence>>>,
    one_time: Option<Written<Option<OneTimeFile>>>,
    /// Whether the file was named after the sequence, so that it is in force at once.
    file_is_later: bool,
    seq_timeout: Option<Written<i32>>,
    flags: FlagFilter,
    flags_place: Option<Place>,
    target: Option<Written<Option<IpAddr>>>,
    cooldown: Option<Written<i32>>,
    cmd_timeout: Option<Written<i32>>,
    start: Option<Written<String>>,
    start_v6: Option<Written<String>>,
    stop: Option<Written<String>>,
    stop_v6: Option<Written<String>>,
}

/// A file of one-time sequences that was read.
#[derive(Debug, Clone)]
struct OneTimeFile {
    path: PathBuf,
    first: Option<(u64, Sequence)>,
}

/// A door of the policy.
pub(super) struct Made {
    pub(super) rule: DoorRule,
    pub(super) door: Door,
    pub(super) one_time: Option<OneTime>,
    pub(super) places: DoorPlaces,
}

impl Draft {
    pub(super) fn new(name: String, place: Place) -> Self {
        Self {
            name,
            place,
            sequence: None,
            one_time: None,
            file_is_later: false,
            seq_timeout: None,
            flags: FlagFilter::ANY,
            flags_place: None,
            target: None,
            cooldown: None,
            cmd_timeout: None,
            start: None,
            start_v6: None,
            stop: None,
            stop_v6: None,
        }
    }

    pub(super) fn directive(
        &mut self,
        upper: &str,
        text: String,
        at: At<'_>,
        files: &mut dyn Files,
        options: &Options,
        findings: &mut Findings,
    ) {
        match upper {
            "SEQUENCE" => {
                let read = sequence::knockd(&text, &at.value, &self.name, findings);
                put(&mut self.sequence, read, at, findings);
                self.file_is_later = false;
            }
            "ONE_TIME_SEQUENCES" => {
                let read = one_time_file(&self.name, &text, &at, files, options, findings);
                put(&mut self.one_time, read, at, findings);
                self.file_is_later = true;
            }
            "SEQ_TIMEOUT" | "TIMEOUT" => put_seconds(&mut self.seq_timeout, &text, at, findings),
            "SEQ_COOLDOWN" | "COOLDOWN" => put_seconds(&mut self.cooldown, &text, at, findings),
            "CMD_TIMEOUT" => put_seconds(&mut self.cmd_timeout, &text, at, findings),
            "TCPFLAGS" => self.add_flags(&text, at, findings),
            "TARGET" => put(&mut self.target, read_target(&text, &at, findings), at, findings),
            "START_COMMAND" | "COMMAND" => put(&mut self.start, text, at, findings),
            "START_COMMAND_6" | "COMMAND_6" => put(&mut self.start_v6, text, at, findings),
            "STOP_COMMAND" => put(&mut self.stop, text, at, findings),
            _ => put(&mut self.stop_v6, text, at, findings),
        }
    }

    fn add_flags(&mut self, text: &str, at: At<'_>, findings: &mut Findings) {
        if let Err(error) = self.flags.add(text) {
            let said = format!("config: line {}: unrecognized flag \"{}\"", at.line.number, error.flag);
            findings.add(sequence::bad_flag(text, &at.value, &error).knockd(said));
        }
        self.flags_place = Some(at.value);
    }

    /// The door, unless something in it was refused.
    pub(super) fn finish(self, index: u32, findings: &mut Findings) -> Option<Made> {
        let (source, one_time) = self.source(index, findings)?;
        let seconds = |written: &Option<Written<i32>>, default: i32| {
            Duration::from_secs(
                u64::try_from(written.as_ref().map_or(default, |found| found.value)).unwrap_or(0),
            )
        };
        let lease = seconds(&self.cmd_timeout, CMD_TIMEOUT);
        let knock = Knock {
            action: KnockAction::Open,
            source,
            flags: self.flags,
            timeout: seconds(&self.seq_timeout, SEQ_TIMEOUT),
            mode: Mode::Compatible,
            cooldown: seconds(&self.cooldown, 0),
        };
        let rule = DoorRule {
            name: self.name.clone(),
            interfaces: Vec::new(),
            target: self.target.as_ref().and_then(|target| target.value),
            knocks: vec![knock],
            spa: None,
            for_gateway: false,
        };
        let action = self.action();
        let places = self.places();
        let door = Door { name: self.name, style: Style::Knockd, lease, max_lease: lease, action };
        Some(Made { rule, door, one_time, places })
    }

    /// Where the door's sequence comes from; `None` when that was refused, which has been said.
    fn source(&self, index: u32, findings: &mut Findings) -> Option<(SequenceSource, Option<OneTime>)> {
        let written = self.sequence.as_ref().map(|found| found.value.clone());
        let Some(file) = &self.one_time else {
            let Some(written) = written else {
                findings.add(self.without_sequence());
                return None;
            };
            return Some((SequenceSource::Fixed(written?), None));
        };
        let OneTimeFile { path, first } = file.value.clone()?;
        let (current, sequence) = match (written, first) {
            (Some(written), _) if !self.file_is_later => (Current::Written, Some(written?)),
            (_, Some((line, first))) => (Current::Line(line), Some(first)),
            (_, None) => (Current::UsedUp, None),
        };
        let one_time = OneTime { door: DoorId(index), knock: 0, path, current };
        Some((SequenceSource::OneTime(sequence), Some(one_time)))
    }

    fn without_sequence(&self) -> Diagnostic {
        Diagnostic::error("no-sequence", &self.place, format!("door {:?} has no sequence", self.name))
            .help("add a line like: sequence = 7391,2804,8816:udp")
            .knockd(format!("error: section '{}' has an empty knock sequence", self.name))
    }

    fn action(&self) -> Action {
        let text = |written: &Option<Written<String>>| {
            written.as_ref().map(|found| Template::Shell(found.value.clone()))
        };
        let (start, stop) = (text(&self.start), text(&self.stop));
        let start_v6 = text(&self.start_v6).or_else(|| start.clone());
        let stop_v6 = text(&self.stop_v6).or_else(|| stop.clone());
        let start = PerFamily { v4: start.filter(runs), v6: start_v6.filter(runs) };
        if start == PerFamily::default() {
            return Action::LogOnly;
        }
        let stop =
            PerFamily { v4: stop.filter(|_| start.v4.is_some()), v6: stop_v6.filter(|_| start.v6.is_some()) };
        let negative = self.cmd_timeout.as_ref().is_some_and(|found| found.value < 0);
        let never_stop = negative && stop != PerFamily::default();
        Action::Command(Commands { start, stop, time_limit: None, never_stop })
    }

    fn places(&self) -> DoorPlaces {
        let of = |written: &Option<Written<String>>| written.as_ref().map(|found| found.place.clone());
        let sequence = self.sequence.as_ref().map(|found| &found.place);
        let file = self.one_time.as_ref().map(|found| &found.place);
        let in_force = if self.file_is_later { file.or(sequence) } else { sequence.or(file) };
        DoorPlaces {
            sequences: in_force.into_iter().cloned().collect(),
            flags: self.flags_place.clone(),
            timeout: self.seq_timeout.as_ref().map(|found| found.place.clone()),
            lease: self.cmd_timeout.as_ref().map(|found| found.place.clone()),
            target: self.target.as_ref().map(|found| found.place.clone()),
            start: Families { v4: of(&self.start), v6: of(&self.start_v6).or_else(|| of(&self.start)) },
            stop: Families { v4: of(&self.stop), v6: of(&self.stop_v6).or_else(|| of(&self.stop)) },
            ..DoorPlaces::named(self.place.clone())
        }
    }
}

/// An empty start command runs nothing.
fn runs(template: &Template) -> bool {
    !matches!(template, Template::Shell(line) if line.is_empty())
}

/// The later directive counts.
fn put<T>(slot: &mut Option<Written<T>>, value: T, at: At<'_>, findings: &mut Findings) {
    if let Some(before) = slot {
        findings.add(
            Diagnostic::warning("repeated", &at.key, "this replaces an earlier line of the same door")
                .also(&before.key, "without effect")
                .help("remove the line that is not meant"),
        );
    }
    *slot = Some(Written { value, key: at.key, place: at.value });
}

fn put_seconds(slot: &mut Option<Written<i32>>, text: &str, at: At<'_>, findings: &mut Findings) {
    let read = number(text);
    if let Some(slip) = &read.slip {
        findings.lenient(odd_seconds(text, &at, read.value, slip));
    }
    put(slot, read.value, at, findings);
}

fn odd_seconds(text: &str, at: &At<'_>, value: i32, slip: &Slip) -> Diagnostic {
    let place = at.value.part(slip.span.clone());
    let shown: String = text.chars().take(40).collect();
    let (message, label) = match slip.kind {
        SlipKind::Empty => ("an empty number is read as 0".to_owned(), ""),
        SlipKind::NotANumber => (format!("{shown:?} is not a number and is read as 0"), ""),
        SlipKind::Trailing => (format!("{shown:?} is read as {value}"), "this is not read"),
        SlipKind::Negative => (format!("{value} seconds is less than none"), ""),
        SlipKind::TooLarge => (format!("{shown:?} does not fit 32 bits and is read as {value}"), ""),
    };
    let help = match (slip.kind, value) {
        _ if is_placeholder(text) => FILL_IN,
        (SlipKind::Trailing, _) => "write whole seconds alone; a comment needs a line of its own",
        (SlipKind::Negative, _) => "write whole seconds; without the line the default counts",
        _ => "write whole seconds, or leave the line out for the default",
    };
    Diagnostic::warning("odd-number", &place, message).label(label).help(help)
}

fn read_target(text: &str, at: &At<'_>, findings: &mut Findings) -> Option<IpAddr> {
    let never = |code: &'static str, what: &str| {
        Diagnostic::warning(code, &at.value, format!("{what} as target never matches"))
            .label("this door cannot open")
            .help("write the address itself, IPv4 or IPv6, as `ip address` shows it")
    };
    match target(text) {
        Target::Address(address) => return Some(address),
        Target::Name => findings.lenient(never("name-as-target", "a host name")),
        Target::Misspelt => findings.lenient(never("misspelt-target", "an address spelt like this")),
        Target::Nonsense => {
            findings.add(nonsense(text, at));
            return None;
        }
    }
    Some(NOBODY)
}

fn nonsense(text: &str, at: &At<'_>) -> Diagnostic {
    let shown: String = text.chars().take(80).collect();
    Diagnostic::error("bad-target", &at.value, format!("{shown:?} is not an address"))
        .help("write one IPv4 or IPv6 address, without a port, a prefix length or a zone")
        .knockd(format!("pcap_compile: unknown host '{text}'"))
}

fn one_time_file(
    door: &str,
    text: &str,
    at: &At<'_>,
    files: &mut dyn Files,
    options: &Options,
    findings: &mut Findings,
) -> Option<OneTimeFile> {
    let path = PathBuf::from(text);
    let read = one_time::read(&path, &at.value, files, findings)?;
    if read.first.is_none() {
        let words = "no more sequences left in the one time sequences file for door";
        let found =
            one_time::used_up(&path, &at.value).knockd(format!("{words} {door} --> disabling the door"));
        // At a reload the door is closed and the others live on; without keys nobody is let in anyway.
        findings.add(if options.reload || options.keyless { one_time::as_warning(found) } else { found });
    }
    Some(OneTimeFile { path, first: read.first })
}
