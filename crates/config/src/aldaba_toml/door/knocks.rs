//! How a door can be knocked on: its sequences, and what they share.

use std::time::Duration;

use aldaba_gate::knock::{FlagFilter, Mode, Sequence, Step};
use aldaba_gate::{DoorId, Knock, KnockAction, SequenceSource};
use aldaba_runner::door::Style;

use super::super::daemon;
use super::super::table::{Table, Value};
use super::{Defaults, LONGEST};
use crate::diagnostic::Diagnostic;
use crate::files::Files;
use crate::plan::{DoorPlaces, Findings};
use crate::policy::{Current, OneTime};
use crate::{one_time, sequence};

/// What all sequences of a door share.
pub(super) struct Shared {
    flags: FlagFilter,
    timeout: Duration,
    mode: Mode,
    cooldown: Duration,
}

/// Reads it.
pub(super) fn shared(
    table: &mut Table<'_>,
    defaults: &Defaults,
    places: &mut DoorPlaces,
    findings: &mut Findings,
) -> Shared {
    let mut shared = Shared {
        flags: defaults.flags,
        timeout: Duration::from_secs(25),
        mode: defaults.mode,
        cooldown: Duration::ZERO,
    };
    if let Some(value) = table.take("mode") {
        let choices = [("strict", Mode::Strict), ("compatible", Mode::Compatible)];
        shared.mode = daemon::choice(&value, &choices, findings).unwrap_or(shared.mode);
    }
    if let Some(value) = table.take("sequence-timeout") {
        shared.timeout = value.duration(findings, least_timeout(defaults), LONGEST).unwrap_or(shared.timeout);
        places.timeout = Some(value.place);
    }
    if let Some(value) = table.take("cooldown") {
        shared.cooldown = value.duration(findings, Duration::ZERO, LONGEST).unwrap_or_default();
    }
    if let Some(value) = table.take("tcp-flags") {
        shared.flags = flags(&value, places, findings).unwrap_or(shared.flags);
    }
    shared
}

/// Half a second is little, but some tests and machines knock that fast; nothing at all never completes.
fn least_timeout(defaults: &Defaults) -> Duration {
    defaults.least.min(Duration::from_millis(100))
}

fn flags(value: &Value<'_>, places: &mut DoorPlaces, findings: &mut Findings) -> Option<FlagFilter> {
    let text = value.text(findings, "tcp-flags = \"syn,!ack\", or \"any\"")?;
    places.flags = Some(text.place.clone());
    if text.text == "any" {
        return Some(FlagFilter::ANY);
    }
    let mut flags = FlagFilter::ANY;
    match flags.add(text.text) {
        Ok(()) => Some(flags),
        Err(error) => {
            findings.add(sequence::bad_flag(text.text, &text.place, &error));
            None
        }
    }
}

/// The sequences of a door while they are read.
pub(super) struct Knocks {
    index: u32,
    style: Style,
    shared: Shared,
    pub(super) list: Vec<Knock>,
    pub(super) one_time: Vec<OneTime>,
    /// Whether nothing of them was refused.
    pub(super) whole: bool,
}

impl Knocks {
    pub(super) const fn new(index: u32, style: Style, shared: Shared) -> Self {
        Self { index, style, shared, list: Vec::new(), one_time: Vec::new(), whole: true }
    }

    pub(super) fn open(
        &mut self,
        table: &mut Table<'_>,
        defaults: &Defaults,
        has_spa: bool,
        places: &mut DoorPlaces,
        files: &mut dyn Files,
        findings: &mut Findings,
    ) {
        let (written, file) = (table.take("sequence"), table.take("one-time-sequences"));
        match (&written, &file) {
            (None, None) if has_spa => {}
            (None, None) => {
                self.whole = false;
                findings.add(Diagnostic::error("no-sequence", &table.place, "a door needs a sequence or spa").help(
                    "add a line like: spa = true, or sequence = \"7391,2804,8816:udp\", or one-time-sequences = \"FILE\"",
                ));
            }
            (Some(written), Some(file)) if defaults.style == Style::Native => {
                self.whole = false;
                findings.add(
                    Diagnostic::error("two-sequences", &file.key, "a door has one kind of sequence")
                        .also(&written.key, "the other is here")
                        .help("keep either sequence or one-time-sequences"),
                );
            }
            _ => {}
        }
        self.add(KnockAction::Open, written.as_ref(), file.as_ref(), places, files, findings);
    }

    pub(super) fn close(
        &mut self,
        table: &mut Table<'_>,
        places: &mut DoorPlaces,
        files: &mut dyn Files,
        findings: &mut Findings,
    ) {
        let (written, file) = (table.take("close-sequence"), table.take("close-one-time-sequences"));
        if let (Some(written), Some(file)) = (&written, &file) {
            self.whole = false;
            findings.add(
                Diagnostic::error("two-sequences", &file.key, "a door has one kind of closing sequence")
                    .also(&written.key, "the other is here")
                    .help("keep either close-sequence or close-one-time-sequences"),
            );
        }
        self.add(KnockAction::Close, written.as_ref(), file.as_ref(), places, files, findings);
    }

    fn add(
        &mut self,
        action: KnockAction,
        written: Option<&Value<'_>>,
        file: Option<&Value<'_>>,
        places: &mut DoorPlaces,
        files: &mut dyn Files,
        findings: &mut Findings,
    ) {
        let fixed = written.map(|value| sequence_of(value, self.style, findings));
        let read = file.map(|value| self.file(value, fixed.clone().flatten(), files, findings));
        let source = match (fixed, read) {
            (_, Some(read)) => read,
            (Some(fixed), None) => fixed.map(SequenceSource::Fixed),
            (None, None) => return,
        };
        let Some(source) = source else {
            self.whole = false;
            return;
        };
        places.sequences.extend(written.or(file).map(|value| value.place.clone()));
        let Shared { flags, timeout, mode, cooldown } = self.shared;
        self.list.push(Knock { action, source, flags, timeout, mode, cooldown });
    }

    /// A file of one-time sequences; a sequence of the door's own comes before its first line.
    fn file(
        &mut self,
        value: &Value<'_>,
        written: Option<Sequence>,
        files: &mut dyn Files,
        findings: &mut Findings,
    ) -> Option<SequenceSource> {
        let path = daemon::path(value, "/etc/aldaba/ssh.once", findings)?;
        let read = one_time::read(&path, &value.place, files, findings)?;
        let (current, sequence) = match (written, read.first) {
            (Some(written), _) => (Current::Written, Some(written)),
            (None, Some((line, first))) => (Current::Line(line), Some(first)),
            (None, None) => {
                findings.add(one_time::as_warning(one_time::used_up(&path, &value.place)));
                (Current::UsedUp, None)
            }
        };
        let knock = u8::from(!self.list.is_empty());
        self.one_time.push(OneTime { door: DoorId(self.index), knock, path, current });
        Some(SequenceSource::OneTime(sequence))
    }
}

/// `"7000,8000:udp"`, or an array with one step each.
fn sequence_of(value: &Value<'_>, style: Style, findings: &mut Findings) -> Option<Sequence> {
    let example = "sequence = \"7391,2804,8816:udp\"";
    if value.is_text() {
        let text = value.text(findings, example)?;
        return match style {
            Style::Native => sequence::strict(text.text, &text.place, findings),
            Style::Knockd => sequence::with_port_zero(text.text, &text.place, findings),
        };
    }
    if !value.is_array() {
        value.wrong(findings, "a string or an array", example);
        return None;
    }
    let steps: Vec<_> = value.items().iter().map(|item| step_of(item, example, findings)).collect();
    sequence::of_steps(steps.into_iter().collect::<Option<Vec<_>>>()?, &value.place, findings)
}

fn step_of(item: &Value<'_>, example: &str, findings: &mut Findings) -> Option<Step> {
    if item.is_number() {
        let text = item.number_text();
        return sequence::step(&text, &item.place, findings);
    }
    let text = item.text(findings, example)?;
    sequence::step(text.text, &text.place, findings)
}
