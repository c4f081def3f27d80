//! What the monitor says: events worded for its face, limited where a stranger can cause them.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use aldaba_runner::door::Style;
use aldaba_runner::event::{Event, What};
use aldaba_sys::clock;

use super::limits::{Kind, Limits};
use crate::control::Numbers;
use crate::log::{Level, Log};
use crate::names::{Name, Names};
use crate::wording::{self, Line};

/// Lines that wait for a name; when there are more, the first goes without.
const WAITING: usize = 1024;

/// The monitor's voice.
#[derive(Debug)]
pub(super) struct Speech {
    log: Log,
    style: Style,
    limits: Limits,
    names: Option<Names>,
    /// In their order: one without an address waits behind one that waits for its name.
    waiting: VecDeque<(Line, Option<IpAddr>)>,
    /// When the first of them has waited long enough.
    patience: Option<Duration>,
    /// Lines that are written when what they tell of has been done.
    held: Vec<Line>,
}

impl Speech {
    /// A voice in this log; `style` chooses the words.
    pub(super) fn new(log: Log, style: Style) -> Self {
        let (limits, waiting) = (Limits::default(), VecDeque::new());
        Self { log, style, limits, names: None, waiting, patience: None, held: Vec::new() }
    }

    /// Writes names beside addresses from now on (`knockd -l`).
    pub(super) fn look_names_up(&mut self) -> io::Result<()> {
        self.names = Some(Names::start()?);
        Ok(())
    }

    /// Readable when a name has come.
    pub(super) fn names(&self) -> Option<BorrowedFd<'_>> {
        self.names.as_ref().map(|names| names.as_fd())
    }

    /// The log itself, to open another file.
    pub(super) const fn log(&mut self) -> &mut Log {
        &mut self.log
    }

    /// Says a line.
    pub(super) fn say(&mut self, line: Line) {
        self.say_held();
        self.say_now(line);
    }

    fn say_now(&mut self, line: Line) {
        if self.waiting.is_empty() {
            self.write(&line);
        } else {
            self.queue(line, None);
        }
    }

    /// Says a line that begins with this address, and with its name if names are wanted.
    fn say_of(&mut self, address: IpAddr, line: Line) {
        self.say_held();
        if self.names.is_none() {
            return self.say(line);
        }
        self.queue(line, Some(address));
        self.say_waiting(clock::boottime());
    }

    fn queue(&mut self, line: Line, address: Option<IpAddr>) {
        if self.waiting.len() >= WAITING
            && let Some((first, _)) = self.waiting.pop_front()
        {
            self.write(&first);
        }
        self.waiting.push_back((line, address));
    }

    /// Says what waits for no name any more.
    fn say_waiting(&mut self, now: Duration) {
        self.patience = None;
        while let Some((line, address)) = self.waiting.front() {
            let name = match (*address, &mut self.names) {
                (Some(address), Some(names)) => names.find(now, address),
                _ => Name::None,
            };
            let line = match (address, name) {
                (_, Name::Later(due)) => {
                    self.patience = Some(due);
                    return;
                }
                (Some(address), Name::Known(name)) => named(line, *address, &name),
                _ => line.clone(),
            };
            self.write(&line);
            self.waiting.pop_front();
        }
    }

    /// Says everything that waits, without names: the end has come.
    pub(super) fn say_rest(&mut self) {
        self.say_held();
        while let Some((line, _)) = self.waiting.pop_front() {
            self.write(&line);
        }
    }

    fn write(&mut self, line: &Line) {
        if line.blank {
            self.log.say_and_blank(line.level, &line.text);
        } else {
            self.log.say(line.level, &line.text);
        }
    }

    /// Says a line of ours that has no counterpart in knockd.
    pub(super) fn tell(&mut self, level: Level, text: String) {
        self.say(Line::new(level, text));
    }

    /// The first and the last line, which knockd's `-v` has other words for.
    pub(super) fn tell_log(&mut self, text: &str) {
        self.log.say_unechoed(Level::Notice, text);
    }

    /// The same with knockd's newline of its own.
    pub(super) fn tell_and_blank(&mut self, level: Level, text: String) {
        self.say(Line { level, text, blank: true });
    }

    /// A line a stranger can cause any number of: limited, and the rest counted.
    pub(super) fn tell_limited(&mut self, now: Duration, kind: Kind, line: Line) {
        if self.limits.take(now, kind) {
            self.say(line);
        }
    }

    /// The same for a line that nothing should wait for: it is written before the next one, or by [`Speech::say_held`].
    pub(super) fn hold_limited(&mut self, now: Duration, kind: Kind, line: Line) {
        if self.limits.take(now, kind) {
            self.held.push(line);
        }
    }

    /// Says what was held back.
    pub(super) fn say_held(&mut self) {
        for line in std::mem::take(&mut self.held) {
            self.say_now(line);
        }
    }

    /// Whether one more of these may be written now; if not it is counted.
    pub(super) fn may_say(&mut self, now: Duration, kind: Kind) -> bool {
        self.limits.take(now, kind)
    }

    /// An event of the runner.
    pub(super) fn event(&mut self, now: Duration, event: &Event) {
        let line = match self.style {
            Style::Native => Some(wording::native(event)),
            Style::Knockd => wording::knockd(event, &event.address.to_string()),
        };
        let Some(line) = line else { return };
        let is_again = matches!(event.what, What::Renewed { .. } | What::LoggedOnly);
        if matches!(event.what, What::Refused { .. }) {
            self.tell_limited(now, Kind::Refusals, line);
        } else if is_again && !self.limits.may_repeat(now, &event.door, event.address)
            || !self.limits.take(now, Kind::Doors)
        {
            // Counted.
        } else if line.text.starts_with(&event.address.to_string()) {
            self.say_of(event.address, line);
        } else {
            self.say(line);
        }
    }

    /// A source has reached a stage of a door's sequence.
    pub(super) fn stage(&mut self, now: Duration, source: IpAddr, door: &str, stage: u8) {
        if !self.limits.take(now, Kind::Stages) {
            return;
        }
        let line = match self.style {
            Style::Knockd => wording::knockd_stage(&source.to_string(), door, stage),
            Style::Native => wording::stage(source, door, stage),
        };
        self.say_of(source, line);
    }

    /// A source's attempt ran out of time.
    pub(super) fn expired(&mut self, now: Duration, source: IpAddr, door: &str, stage: u8) {
        if !self.limits.take(now, Kind::Stages) {
            return;
        }
        let line = match self.style {
            Style::Knockd => wording::knockd_expired(&source.to_string(), door, stage),
            Style::Native => wording::expired(source, door, stage),
        };
        self.say_of(source, line);
    }

    /// A sequence is complete; only knockd says so apart from what follows.
    pub(super) fn complete(&mut self, now: Duration, source: IpAddr, door: &str) {
        let may_say = self.style == Style::Knockd
            && self.limits.may_repeat(now, door, source)
            && self.limits.take(now, Kind::Doors);
        if may_say {
            let line = wording::knockd_open(&source.to_string(), door);
            self.say_of(source, line);
        }
    }

    /// A list of one-time sequences has come to its end.
    pub(super) fn one_time_used_up(&mut self, door: &str) {
        let line = wording::one_time_used_up(door, self.style);
        self.say(line);
    }

    /// A used one-time sequence could not be marked.
    pub(super) fn one_time_failed(&mut self, door: &str) {
        let line = wording::one_time_failed(door, self.style);
        self.say(line);
    }

    /// Stage lines the worker left out.
    pub(super) fn left_out(&mut self, events: u64) {
        self.limits.leave_out(Kind::Stages, events);
    }

    /// How many lines were left out since the start, by kind.
    pub(super) fn left_out_so_far(&self) -> Numbers {
        self.limits.totals()
    }

    /// Says how many lines were left out, when it is time.
    pub(super) fn handle_timeout(&mut self, now: Duration) {
        while let Some((kind, lines)) = self.limits.poll(now) {
            let line = match kind {
                Kind::Stages => wording::left_out(lines, self.style),
                _ => Line::new(Level::Warning, format!("{}-left-out lines={lines}", kind.name())),
            };
            self.say(line);
        }
        self.say_waiting(now);
    }

    /// When [`Speech::handle_timeout`] has something to say.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        [self.limits.poll_timeout(), self.patience].into_iter().flatten().min()
    }
}

/// The line with the name behind the address it begins with.
fn named(line: &Line, address: IpAddr, name: &str) -> Line {
    let address = address.to_string();
    match line.text.strip_prefix(&address) {
        Some(rest) => Line { text: format!("{address} ({name}){rest}"), ..line.clone() },
        None => line.clone(),
    }
}
