//! What the monitor says: events worded for its face, limited where a stranger can cause them.

use std::net::IpAddr;
use std::time::Duration;

use aldaba_runner::door::Style;
use aldaba_runner::event::{Event, What};

use crate::budget::Budget;
use crate::log::{Level, Log};
use crate::wording::{self, Line};

/// The monitor's voice.
#[derive(Debug)]
pub struct Speech {
    log: Log,
    style: Style,
    refusals: Budget,
}

impl Speech {
    /// A voice in this log; `style` chooses the words.
    pub fn new(log: Log, style: Style) -> Self {
        Self { log, style, refusals: Budget::default() }
    }

    /// The log itself, to open another file.
    pub const fn log(&mut self) -> &mut Log {
        &mut self.log
    }

    /// Says a line.
    pub fn say(&mut self, line: &Line) {
        if line.blank {
            self.log.say_and_blank(line.level, &line.text);
        } else {
            self.log.say(line.level, &line.text);
        }
    }

    /// Says a line of ours that has no counterpart in knockd.
    pub fn tell(&mut self, level: Level, text: String) {
        self.say(&Line::new(level, text));
    }

    /// The same with knockd's newline of its own.
    pub fn tell_and_blank(&mut self, level: Level, text: String) {
        self.say(&Line { level, text, blank: true });
    }

    /// A line a stranger can cause any number of: limited, and the rest counted.
    pub fn tell_limited(&mut self, now: Duration, line: &Line) {
        if self.refusals.take(now) {
            self.say(line);
        }
    }

    /// An event of the runner.
    pub fn event(&mut self, now: Duration, event: &Event) {
        let line = match self.style {
            Style::Native => Some(wording::native(event)),
            Style::Knockd => wording::knockd(event, &self.name(event.address)),
        };
        let Some(line) = line else { return };
        if matches!(event.what, What::Refused { .. }) {
            self.tell_limited(now, &line);
        } else {
            self.say(&line);
        }
    }

    /// A source has reached a stage of a door's sequence.
    pub fn stage(&mut self, source: IpAddr, door: &str, stage: u8) {
        let line = match self.style {
            Style::Knockd => wording::knockd_stage(&self.name(source), door, stage),
            Style::Native => wording::stage(source, door, stage),
        };
        self.say(&line);
    }

    /// A source's attempt ran out of time.
    pub fn expired(&mut self, source: IpAddr, door: &str, stage: u8) {
        let line = match self.style {
            Style::Knockd => wording::knockd_expired(&self.name(source), door, stage),
            Style::Native => wording::expired(source, door, stage),
        };
        self.say(&line);
    }

    /// A sequence is complete; only knockd says so apart from what follows.
    pub fn complete(&mut self, source: IpAddr, door: &str) {
        if self.style == Style::Knockd {
            let line = wording::knockd_open(&self.name(source), door);
            self.say(&line);
        }
    }

    /// A list of one-time sequences has come to its end.
    pub fn one_time_used_up(&mut self, door: &str) {
        let line = wording::one_time_used_up(door, self.style);
        self.say(&line);
    }

    /// A used one-time sequence could not be marked.
    pub fn one_time_failed(&mut self, door: &str) {
        let line = wording::one_time_failed(door, self.style);
        self.say(&line);
    }

    /// Stage lines the worker left out.
    pub fn left_out(&mut self, events: u64) {
        let line = wording::left_out(events, self.style);
        self.say(&line);
    }

    /// Says how many refusals were left out, when it is time.
    pub fn handle_timeout(&mut self, now: Duration) {
        if let Some(lines) = self.refusals.poll_left_out(now) {
            self.tell(Level::Warning, format!("refusals-left-out lines={lines}"));
        }
    }

    /// When [`Speech::handle_timeout`] has something to say.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.refusals.poll_timeout()
    }

    fn name(&self, address: IpAddr) -> String {
        address.to_string()
    }
}
