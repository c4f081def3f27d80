//! The state folder in the monitor's hands: opened at the start, or as soon as it can be had, and what an earlier run has left in it
//! taken over before anything else is written there.

use std::path::Path;
use std::time::Duration;

use aldaba_config::Policy;
use aldaba_runner::Held;
use aldaba_runner::door::Action;
use aldaba_runner::record::{self, Entry, Moment};
use aldaba_sys::files::LockError;
use aldaba_sys::{clock, random};

use super::Monitor;
use super::start::StartError;
use crate::fault;
use crate::keeper::{Keeper, KeeperError};
use crate::log::Level;
use crate::wording::quoted;

/// Numbers of leases are below this where they are drawn, so that counting on from them comes to no end.
const NUMBERS: u64 = 1 << 62;

/// What a policy wants of a state folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    /// Nothing: no door is ever closed by us.
    None,
    /// It would be useful after a restart.
    Useful,
    /// Without it a door could stay open.
    Durable,
}

impl Need {
    fn of(policy: &Policy) -> Self {
        // Replay records must outlive the daemon.
        if policy.spa.is_some() { Self::Durable } else { Self::of_doors(policy) }
    }

    /// For the doors alone.
    pub(super) fn of_doors(policy: &Policy) -> Self {
        let of = |action: &Action| match action {
            Action::LogOnly => Self::None,
            Action::Command(commands) if commands.never_stop => Self::None,
            Action::Command(commands) if commands.stop.v4.is_none() && commands.stop.v6.is_none() => {
                Self::None
            }
            Action::Command(_) => Self::Durable,
            Action::Nftables(_) => Self::Useful,
        };
        policy.catalogue.doors.iter().map(|door| of(&door.action)).max().unwrap_or(Self::None)
    }
}

impl Monitor {
    /// The state folder at the start. A policy that closes doors by it does not come up without; any other goes on, and it is
    /// tried again.
    pub(super) fn open_keeper_at_start(&mut self, now: Duration) -> Result<(), StartError> {
        let need = Need::of(&self.policy.current().policy);
        match self.open_keeper(now, Keeper::open_patiently) {
            Ok(()) => {}
            Err(error) if need == Need::Durable || is_locked(&error) && need == Need::Useful => {
                return Err(error);
            }
            Err(error) => self.lacks_state(now, Level::Warning, &error),
        }
        if self.keeper.is_none() {
            // Numbers that no journal has which is opened later.
            let number = random::bytes().map_or_else(|_| wall_number(), u64::from_le_bytes);
            self.runner.count_from(number % NUMBERS);
        }
        Ok(())
    }

    /// The same at a reload, and again while it cannot be had: the daemon goes on without, and each opening that needs the
    /// journal is refused.
    pub(super) fn open_keeper_if_needed(&mut self, now: Duration) {
        if self.keeper.is_some() {
            return;
        }
        match self.open_keeper(now, Keeper::open_or_set_aside) {
            Ok(()) => {
                self.health.clear("state");
                self.hold_to_registry(now);
            }
            Err(error) => self.lacks_state(now, Level::Error, &error),
        }
    }

    /// Opens it where the policy needs it, or an earlier run has left something there, whatever the policy is now: those doors
    /// are still open.
    pub(super) fn open_keeper(
        &mut self,
        now: Duration,
        open: fn(&Path) -> Result<Keeper, KeeperError>,
    ) -> Result<(), StartError> {
        let need = Need::of(&self.policy.current().policy);
        if self.keeper.is_some()
            || self.stopping.is_some()
            || (need == Need::None && !Keeper::has_journal(&self.state_folder))
        {
            return Ok(());
        }
        let mut keeper = open(&self.state_folder)?;
        let entries = keeper.load()?;
        for what in ["state", "journal"] {
            self.health.clear(what);
        }
        self.tell_what_was_odd(now, &keeper);
        // Before the note of what commands may is another one.
        self.owe_to(&entries, keeper.noted());
        keeper.note_place();
        self.keeper = Some(keeper);
        self.limit_commands();
        self.take_over(now, entries);
        // Of elements that an earlier run has left nothing is known yet.
        self.truth.look_anew();
        Ok(())
    }

    /// Says what files of the folder were not as a daemon leaves them.
    fn tell_what_was_odd(&mut self, now: Duration, keeper: &Keeper) {
        for error in keeper.damage() {
            self.health.note_grave(now, "journal-damaged", error);
            let line = format!("degraded what=journal-damaged error={}", quoted(error));
            self.speech.tell(Level::Error, line);
        }
        if !keeper.begun_anew().is_empty() {
            let error = keeper.begun_anew().join("; ");
            self.health.note(now, "state-files", &error);
            let line = format!("degraded what=state-files error={}", quoted(&error));
            self.speech.tell(Level::Warning, line);
        }
        for what in keeper.narrowed() {
            self.speech.tell(Level::Warning, format!("state-file-mode what={}", quoted(what)));
        }
    }

    /// Leases of an earlier run: closed now when overdue, else taken over.
    fn take_over(&mut self, now: Duration, entries: Vec<Entry>) {
        let at = Moment { now, boot: clock::boot_id(), wall: fault::wall() };
        let recovered = record::recover(entries, &at);
        let needs_closer = recovered.iter().any(|lease| matches!(lease.record.held, Held::Command { .. }));
        self.recover(now, recovered);
        if needs_closer {
            self.guard_leases();
            self.tell_survivors();
        }
        self.perform(now);
    }

    /// Says once why it cannot be had, and tries again.
    fn lacks_state(&mut self, now: Duration, level: Level, error: &StartError) {
        let need = Need::of(&self.policy.current().policy);
        if is_locked(error) && need == Need::None {
            // Who has it sees to what is open.
            self.health.clear("state");
            return;
        }
        let text = error.to_string();
        // What there is to be done about a start that fails is nothing to this one.
        let error = text.lines().next().unwrap_or_default();
        if !self.health.is_noted_as("state", error) {
            self.speech.tell(level, format!("degraded what=state error={}", quoted(error)));
        }
        if need == Need::Durable || Keeper::has_journal(&self.state_folder) {
            self.health.note_grave(now, "state", error);
        } else {
            self.health.note(now, "state", error);
        }
        self.try_again(now);
    }
}

fn is_locked(error: &StartError) -> bool {
    matches!(error, StartError::State(KeeperError::Locked { source: LockError::Held { .. }, .. }))
}

/// For a kernel that has no randomness yet.
fn wall_number() -> u64 {
    u64::try_from(clock::wall().as_nanos()).unwrap_or_default()
}
