//! The words between a running daemon and the administrator's commands: one line of JSON each way (spec/control.md).
//!
//! Pure but for [`ask()`]: a line in, a request or an answer out. Who may ask at all is the socket's business
//! ([`aldaba_sys::local`]), what is answered the monitor's.

mod ask;
mod hand;
mod lease;
mod status;
pub mod trial;
mod why;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use ask::{ControlError, ask, unanswered};
pub use hand::{Close, Closed, Leases, NotClosed, Open, Opened};
pub use lease::{Lease, LeaseState};
pub use status::{
    Attempts, Commands, Configuration, Confined, DatagramCounts, DatagramStatus, Degraded, Firewall,
    FirewallState, Interface, InterfaceState, Journal, JournalState, LeaseCounts, LogStatus, Numbers,
    Packets, Status, StoreState, Worker,
};
pub use why::{About, Datagrams, DoorEvent, Knock, What, Why, parse_id};

/// The version of this protocol. A daemon answers no other.
pub const VERSION: u16 = 1;
/// The longest line of a request in bytes, without its end.
pub const LONGEST_REQUEST: usize = 1024;
/// The longest line of an answer.
pub const LONGEST_ANSWER: usize = 1 << 20;
/// Where a daemon answers when nobody says otherwise.
pub const SOCKET: &str = "/run/aldaba/control.sock";
/// The socket's name in the folder systemd has made.
const NAME: &str = "control.sock";

/// What a daemon is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Read the configuration again, and answer when it is in force or refused.
    Reload,
    /// What became of a knock.
    Why(About),
    /// How the daemon is.
    Status,
    /// Who is inside.
    Leases,
    /// Close what is open for an address, and answer when it is closed or has failed.
    Close(Close),
    /// Open a door for an address, and answer when it is open or has failed.
    Open(Open),
    /// Put a new configuration into force, for good or on trial.
    Apply(trial::Apply),
    /// How a trial stands, or its end.
    Trial(trial::TrialAsk),
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The new configuration is in force.
    Reloaded(Reloaded),
    /// The new configuration has errors; the old one stays.
    ReloadRefused(ReloadRefused),
    /// What became of it.
    Why(Why),
    /// How the daemon is.
    Status(Box<Status>),
    /// Who is inside.
    Leases(Leases),
    /// What was closed, and what was not.
    Closed(Closed),
    /// The door is open.
    Opened(Opened),
    /// How a trial stands.
    Trial(trial::Trial),
    /// The request was not carried out.
    Error(Trouble),
}

/// A configuration that came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reloaded {
    /// Its doors.
    pub doors: usize,
    /// What is doubtful in it, each as text of several lines.
    pub warnings: Vec<String>,
}

/// A configuration that did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReloadRefused {
    /// How many errors it has.
    pub errors: usize,
    /// All that is wrong, with file, line and caret: text of several lines.
    pub report: String,
}

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Trouble {
    /// What kind of trouble, for programs.
    pub kind: TroubleKind,
    /// The same for people.
    pub text: String,
    /// The next step, if there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
}

/// Kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TroubleKind {
    /// Another version of this protocol.
    Version,
    /// No request this daemon knows.
    Malformed,
    /// The user who asks may not.
    NotAllowed,
    /// It may not be done, or did not succeed.
    Refused,
    /// It could not be done in time, or the daemon is going down.
    NotDone,
}

impl TroubleKind {
    /// With this text, as an answer.
    #[must_use]
    pub fn answer(self, text: impl Into<String>) -> Answer {
        Answer::Error(Trouble { kind: self, text: text.into(), help: String::new() })
    }
}

/// The first thing of every line that is looked at.
#[derive(Deserialize)]
struct Version {
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestLine<T> {
    version: u16,
    ask: T,
}

#[derive(Serialize, Deserialize)]
struct AnswerLine<T> {
    version: u16,
    answer: T,
}

/// A line that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is of another version.
    #[error("version {0} of the control protocol, not {VERSION}")]
    Version(u64),
    /// It is none of this protocol.
    #[error("{0}")]
    Malformed(String),
}

fn read<T: DeserializeOwned>(line: &[u8]) -> Result<T, Unreadable> {
    let malformed = |error: serde_json::Error| Unreadable::Malformed(error.to_string());
    // Another version may have other fields: its number counts before anything else is held against it.
    let Version { version } = serde_json::from_slice(line).map_err(malformed)?;
    if version != u64::from(VERSION) {
        return Err(Unreadable::Version(version));
    }
    serde_json::from_slice(line).map_err(malformed)
}

fn line(value: &impl Serialize) -> Vec<u8> {
    // Of these types none fails: no map has keys that are no text.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

impl Request {
    /// As a line with its end.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        line(&RequestLine { version: VERSION, ask: self })
    }

    /// From a line without its end.
    pub fn parse(line: &[u8]) -> Result<Self, Unreadable> {
        if line.len() > LONGEST_REQUEST {
            return Err(Unreadable::Malformed(format!("longer than {LONGEST_REQUEST} bytes")));
        }
        read::<RequestLine<Self>>(line).map(|line| line.ask)
    }
}

impl Answer {
    /// As a line with its end.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        let bytes = line(&AnswerLine { version: VERSION, answer: self });
        if bytes.len() <= LONGEST_ANSWER {
            return bytes;
        }
        let trouble = TroubleKind::NotDone.answer("the answer is longer than an answer may be");
        line(&AnswerLine { version: VERSION, answer: trouble })
    }

    /// From a line without its end.
    pub fn parse(line: &[u8]) -> Result<Self, Unreadable> {
        read::<AnswerLine<Self>>(line).map(|line| line.answer)
    }
}

/// Where the daemon answers: what the command line says, the configuration, systemd, the default.
#[must_use]
pub fn socket(named: Option<&Path>, configured: Option<PathBuf>, systemd: Option<&Path>) -> PathBuf {
    let named = named.map(Path::to_owned).or(configured);
    named.or_else(|| systemd.map(|folder| folder.join(NAME))).unwrap_or_else(|| SOCKET.into())
}

#[cfg(test)]
mod tests;
