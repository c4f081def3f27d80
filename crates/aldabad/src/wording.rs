//! The daemon's lines, in the words of its face. The names at the head of our lines are stable: filters may match them
//! (docs/log.md). knockd's words stand in spec/knock.md, since people's filters match those.

use std::net::IpAddr;
use std::time::Duration;

use aldaba_gate::spa::{KeyKind, PublicKey};
use aldaba_runner::door::Style;
use aldaba_runner::{Event, Outcome, Part, Reason, Rendered, Signal, What, Why};

use crate::log::Level;

/// A line to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How grave it is.
    pub level: Level,
    /// Its text.
    pub text: String,
    /// knockd ends this one with a newline of its own.
    pub blank: bool,
}

impl Line {
    /// A line without a newline of its own.
    #[must_use]
    pub const fn new(level: Level, text: String) -> Self {
        Self { level, text, blank: false }
    }
}

/// Something that the command of this process number has left behind lives on.
#[must_use]
pub fn leftovers(pid: u32) -> String {
    format!("leftovers-live pid={pid}")
}

/// A name or a command in a line of ours: quoted when it could be mistaken for more than one word.
#[must_use]
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:%@+".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("{text:?}") }
}

/// A duration as our lines have it: whole seconds, or milliseconds below ten of them.
#[must_use]
pub fn short(duration: Duration) -> String {
    let rounded = duration.saturating_add(Duration::from_millis(5));
    if duration < Duration::from_secs(10) && rounded.subsec_millis() >= 10 {
        format!("{}.{:02}s", rounded.as_secs(), rounded.subsec_millis() / 10)
    } else {
        format!("{}s", duration.saturating_add(Duration::from_millis(500)).as_secs())
    }
}

/// A command as one line of text.
#[must_use]
pub fn command_text(command: &Rendered) -> String {
    match command {
        Rendered::Shell(line) => line.clone(),
        Rendered::Argv(words) => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
    }
}

/// What happened, in our words.
#[must_use]
pub fn native(event: &Event) -> Line {
    let (level, name, more) = native_parts(&event.what);
    let mut text = format!("{name} door={} address={}", quoted(&event.door), event.address);
    if !more.is_empty() {
        text.push(' ');
        text.push_str(&more);
    }
    Line::new(level, text)
}

/// The name of an event in our words, and its further fields.
#[must_use]
pub fn event_parts(what: &What) -> (&'static str, String) {
    let (_, name, fields) = native_parts(what);
    (name, fields)
}

fn native_parts(what: &What) -> (Level, &'static str, String) {
    let none = String::new;
    match what {
        What::LoggedOnly => (Level::Notice, "knocked", none()),
        What::Running { part, command } => (
            Level::Info,
            "command",
            format!("part={} line={}", part_name(*part), quoted(&command_text(command))),
        ),
        What::Opened { for_ } => (Level::Notice, "opened", format!("lease={}", short(*for_))),
        What::Renewed { for_ } => (Level::Notice, "renewed", format!("lease={}", short(*for_))),
        What::Shortened { for_ } => (Level::Notice, "shortened", format!("lease={}", short(*for_))),
        What::Closed { why } => (Level::Notice, "closed", format!("why={}", why_name(*why))),
        What::CommandTimeout => (Level::Info, "lease-over", none()),
        What::CommandFailed { part, outcome } => {
            (Level::Error, "command-failed", format!("part={} {}", part_name(*part), outcome_text(*outcome)))
        }
        What::TimeLimit { part, signal } => {
            let signal = if *signal == Signal::Term { "TERM" } else { "KILL" };
            (Level::Warning, "command-over-time", format!("part={} signal={signal}", part_name(*part)))
        }
        What::Refused { reason } => (Level::Warning, "refused", format!("why={}", reason_name(*reason))),
        What::TooLong { part } => (Level::Error, "command-too-long", format!("part={}", part_name(*part))),
        What::StopRetry { tries, after } => {
            (Level::Error, "close-failed", format!("tries={tries} next={}", short(*after)))
        }
        What::CannotClose { tries, after } => {
            let next = after.map_or_else(String::new, |after| format!(" next={}", short(after)));
            (Level::Error, "cannot-close", format!("tries={tries}{next}"))
        }
        What::ElementFailed { part, fault } => {
            (Level::Error, "element-failed", format!("part={} error={}", part_name(*part), quoted(fault)))
        }
        What::JournalBehind { after } => (Level::Error, "journal-failed", format!("next={}", short(*after))),
        What::TakenOver { left } => (Level::Notice, "taken-over", format!("lease={}", short(*left))),
    }
}

/// What happened at a door of knockd.conf, in knockd's words where it has any. `name`: what stands for the address.
#[must_use]
pub fn knockd(event: &Event, name: &str) -> Option<Line> {
    let door = &event.door;
    let notice = |text: String| Some(Line::new(Level::Notice, text));
    match &event.what {
        What::Running { command, .. } => Some(Line {
            level: Level::Notice,
            text: format!("{door}: running command: {}", command_text(command)),
            blank: true,
        }),
        What::CommandTimeout => notice(format!("{name}: {door}: command timeout")),
        What::CommandFailed { outcome: Outcome::NotStarted(_), .. } => {
            notice("error: command fork failed!".to_owned())
        }
        What::CommandFailed { outcome, .. } => {
            notice(format!("{door}: command returned non-zero status code ({})", status_code(*outcome)))
        }
        What::TooLong { part } => notice(too_long(*part).to_owned()),
        What::Refused { reason: Reason::TooLong }
        | What::LoggedOnly
        | What::Opened { .. }
        | What::Renewed { .. }
        | What::Closed { .. } => None,
        _ => {
            let line = native(event);
            Some(Line { text: format!("{name}: {door}: {}", line.text), ..line })
        }
    }
}

const fn too_long(part: Part) -> &'static str {
    match part {
        Part::Start => "error: parsed start command has been truncated! --> won't execute it",
        Part::Stop => "error: parsed stop command has been truncated! --> won't execute start command",
    }
}

/// A source has reached a stage.
#[must_use]
pub fn knockd_stage(name: &str, door: &str, stage: u8) -> Line {
    Line::new(Level::Notice, format!("{name}: {door}: Stage {stage}"))
}

/// A sequence is complete.
#[must_use]
pub fn knockd_open(name: &str, door: &str) -> Line {
    Line::new(Level::Notice, format!("{name}: {door}: OPEN SESAME"))
}

/// An attempt ran out of time.
#[must_use]
pub fn knockd_expired(name: &str, door: &str, stage: u8) -> Line {
    let text = format!("{name}: {door}: sequence timeout (stage {stage})");
    Line { level: Level::Notice, text, blank: true }
}

/// A source has reached a stage, in our words.
#[must_use]
pub fn stage(source: IpAddr, door: &str, stage: u8) -> Line {
    Line::new(Level::Info, format!("stage door={} address={source} stage={stage}", quoted(door)))
}

/// An attempt ran out of time, in our words.
#[must_use]
pub fn expired(source: IpAddr, door: &str, stage: u8) -> Line {
    Line::new(Level::Info, format!("sequence-timeout door={} address={source} stage={stage}", quoted(door)))
}

/// A list of one-time sequences has come to its end.
#[must_use]
pub fn one_time_used_up(door: &str, style: Style) -> Line {
    match style {
        Style::Native => Line::new(Level::Warning, format!("one-time-used-up door={}", quoted(door))),
        Style::Knockd => Line {
            level: Level::Notice,
            text: format!(
                "no more sequences left in the one time sequences file for door {door} --> disabling the door"
            ),
            blank: true,
        },
    }
}

/// A used one-time sequence could not be marked, so the door opens no more.
#[must_use]
pub fn one_time_failed(door: &str, style: Style) -> Line {
    match style {
        Style::Native => Line::new(Level::Error, format!("one-time-failed door={}", quoted(door))),
        Style::Knockd => Line {
            level: Level::Error,
            text: format!(
                "error while disabling used one time sequence for door {door} --> disabling the door"
            ),
            blank: true,
        },
    }
}

/// Lines left out because there were too many.
#[must_use]
pub fn left_out(events: u64, style: Style) -> Line {
    let text = match style {
        Style::Knockd => format!("{events} stage lines left out"),
        Style::Native => format!("stages-left-out lines={events}"),
    };
    Line::new(Level::Warning, text)
}

/// A lock's budget is spent: what that means, and the next step. `lock`: its place in the configuration, from 0.
#[must_use]
pub fn shut_out(lock: u8, server: &PublicKey, audience: &str, refused: u64) -> Line {
    let (number, server) = (u16::from(lock).saturating_add(1), server.to_text(KeyKind::Server));
    let audience =
        if audience.is_empty() { String::new() } else { format!(" audience={}", quoted(audience)) };
    let error = "somebody who knows its gate key floods the port: its users are being shut out. New keys end that: aldabad \
                 rotate --gate";
    let lock = format!("lock={number} server={server}{audience}");
    Line::new(Level::Error, format!("shut-out {lock} refused={refused} error={}", quoted(error)))
}

/// A request for a door that was refused before it came to the runner.
#[must_use]
pub fn request_refused(door: &str, source: IpAddr, why: &str) -> Line {
    Line::new(Level::Warning, format!("refused door={} address={source} why={why}", quoted(door)))
}

/// The name of a command's part in our lines.
#[must_use]
pub const fn part_name(part: Part) -> &'static str {
    match part {
        Part::Start => "start",
        Part::Stop => "stop",
    }
}

const fn why_name(why: Why) -> &'static str {
    match why {
        Why::Expired => "expired",
        Why::Asked => "asked",
        Why::StartFailed => "start-failed",
        Why::Shutdown => "shutdown",
        Why::Withdrawn => "withdrawn",
        Why::Overdue => "overdue",
        Why::Flushed => "flushed",
        Why::Removed => "removed",
        Why::DoorGone => "door-gone",
    }
}

/// The name of a reason in our lines.
#[must_use]
pub const fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::NoSuchDoor => "no-such-door",
        Reason::NothingForFamily => "nothing-for-address-family",
        Reason::TooLong => "command-too-long",
        Reason::TooManyOfSource => "too-many-leases-of-source",
        Reason::TooManyOfPair => "too-many-leases-of-source-at-door",
        Reason::TooManyOfDoor => "too-many-leases-of-door",
        Reason::QueueFull => "queue-full",
        Reason::Displaced => "displaced-from-queue",
        Reason::NotDurable => "journal-not-durable",
        Reason::NotStarted => "command-not-started",
        Reason::ElementFailed => "element-failed",
        Reason::ShuttingDown => "shutting-down",
    }
}

/// How a command ended, in our words.
#[must_use]
pub fn outcome_text(outcome: Outcome) -> String {
    match outcome {
        Outcome::Exited(code) => format!("status={code}"),
        Outcome::Signalled(signal) => format!("signal={signal}"),
        Outcome::NotStarted(errno) => {
            format!("not-started error={}", quoted(&std::io::Error::from_raw_os_error(errno).to_string()))
        }
    }
}

/// A command ended by a signal has the status a shell gives it.
const fn status_code(outcome: Outcome) -> i32 {
    match outcome {
        Outcome::Exited(code) => code,
        Outcome::Signalled(signal) => 128_i32.saturating_add(signal),
        Outcome::NotStarted(_) => 127,
    }
}
