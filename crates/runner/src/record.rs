//! A lease as the journal keeps it, and what becomes of it at the next start (spec/leases.md, "Recovery").
//!
//! Pure: [`crate::journal`] writes records, this module decides about them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::door::Style;
use crate::lease::{Element, Held, LeaseId, Owner};

/// Which boot of the machine; `None` where the kernel does not tell.
pub type BootId = Option<[u8; 16]>;

/// A point in time on all clocks the journal knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// `CLOCK_BOOTTIME`.
    pub now: Duration,
    /// The boot that clock counts from.
    pub boot: BootId,
    /// Wall time since the epoch; written down for people, never compared.
    pub wall: Duration,
}

impl Moment {
    /// Where nothing is written that has a time.
    pub const UNKNOWN: Self = Self { now: Duration::ZERO, boot: None, wall: Duration::ZERO };
}

/// How far the lease had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Its start command was about to run, or ran.
    Opening,
    /// It was open.
    Open,
    /// Closing it had failed at least once.
    Closing,
}

/// What the runner asks to be made durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The lease.
    pub id: LeaseId,
    /// The door's name.
    pub door: Arc<str>,
    /// Which kind of file the door stands in.
    pub style: Style,
    /// The client's address.
    pub address: IpAddr,
    /// The device that opened or renewed it last, if one did.
    pub owner: Option<Owner>,
    /// The number `{seconds}` stood for.
    pub seconds: u64,
    /// What closes it.
    pub held: Held,
    /// When it ends, in `CLOCK_BOOTTIME`.
    pub deadline: Duration,
    /// How far it had come.
    pub phase: Phase,
}

/// A record as found in the journal, with the clocks of its writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The record.
    pub record: Record,
    /// The boot its deadline counts in.
    pub boot: BootId,
    /// The deadline in seconds since the epoch, as the wall clock had it when it was written.
    pub wall_deadline: u64,
}

/// What is to become of a recovered lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Close it now: overdue in this boot.
    Now,
    /// Close it now; it belongs to another boot. A rule may well have gone with that, a file has not: a stop command that fails is tried
    /// again like any other.
    OtherBoot,
    /// It goes on till then.
    At(Duration),
    /// Its start command still runs: closed after its end, at its deadline at the earliest. Whoever takes over sees that
    /// ([`Recovered::start_runs`]); the record cannot say it.
    Starting,
    /// Its stop command still runs, begun by somebody who is gone: closed when that has, else after its end. Whoever takes over
    /// sees that ([`Recovered::stop_runs`]).
    Stopping,
    /// Nothing is left to close: the kernel has ended it, or the reboot has, or its element is a younger lease's.
    Forget,
}

/// A lease of an earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The lease.
    pub record: Record,
    /// What to do with it.
    pub due: Due,
}

impl Recovered {
    /// Says that its start command still runs. One of another boot cannot.
    pub fn start_runs(&mut self) {
        let by_command = matches!(self.record.held, Held::Command { .. });
        if by_command && matches!(self.due, Due::Now | Due::At(_)) {
            self.due = Due::Starting;
        }
    }

    /// Whether a stop command of it can run: not one of another boot.
    #[must_use]
    pub const fn may_be_stopping(&self) -> bool {
        matches!(self.record.held, Held::Command { .. }) && matches!(self.due, Due::Now | Due::At(_))
    }

    /// Says that its stop command still runs, or has ended and nobody has asked yet how.
    pub fn stop_runs(&mut self) {
        if self.may_be_stopping() {
            self.due = Due::Stopping;
        }
    }
}

/// Decides about every entry of the journal; give the result to [`crate::Runner::recover`].
#[must_use]
pub fn recover(entries: Vec<Entry>, at: &Moment) -> Vec<Recovered> {
    let youngest = holders(&entries);
    let decide = |entry: Entry| {
        let id = entry.record.id;
        let is_over = element(&entry.record).is_some_and(|element| youngest.get(&element) != Some(&id));
        let due = if is_over { Due::Forget } else { due(&entry, at) };
        Recovered { record: entry.record, due }
    };
    entries.into_iter().map(decide).collect()
}

/// The lease that holds each element: the youngest. Where there is an older record, that lease was over before this one began,
/// and its record could not be removed.
fn holders(entries: &[Entry]) -> BTreeMap<Element, LeaseId> {
    let mut youngest = BTreeMap::new();
    for record in entries.iter().map(|entry| &entry.record) {
        if let Some(element) = element(record) {
            let id = youngest.entry(element).or_insert(record.id);
            *id = record.id.max(*id);
        }
    }
    youngest
}

fn element(record: &Record) -> Option<Element> {
    record.held.element(record.address)
}

/// An unknown boot id counts as another boot: closing early is safe, trusting a clock of another boot is not.
fn due(entry: &Entry, at: &Moment) -> Due {
    let same_boot = entry.boot.is_some() && entry.boot == at.boot;
    let ahead = entry.record.deadline > at.now;
    match entry.record.held {
        Held::Element(_) if same_boot && ahead => Due::At(entry.record.deadline),
        Held::Element(_) => Due::Forget,
        Held::Command { .. } if !same_boot => Due::OtherBoot,
        Held::Command { .. } if ahead => Due::At(entry.record.deadline),
        Held::Command { .. } => Due::Now,
    }
}
