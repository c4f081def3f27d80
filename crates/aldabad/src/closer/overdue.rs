//! What is due in a state folder whose daemon is gone: one turn takes the lock, begins to close it, lets the lock go and says when
//! to come again. No command is waited for with the lock in hand (spec/leases.md, "When the daemon is gone").

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use aldaba_runner::door::Style;
use aldaba_runner::event::{Event, What, Why};
use aldaba_runner::lease::{Held, LeaseId};
use aldaba_runner::queue::{Line, Queue};
use aldaba_runner::record::{self, BootId, Due, Moment, Record, Recovered};
use aldaba_runner::{Outcome, Part};
use aldaba_sys::clock;
use aldaba_sys::poll::Interest;

use super::folder::{self, Hold, Taken};
use super::others::{Other, Others};
use super::running::{Ended, Running};
use super::starts::Starts;
use super::tries::{Tries, growing};
use crate::keeper::Stops;
use crate::log::{Level, Log};
use crate::wording;

/// How soon it is looked again at what others have begun, and at the latest while commands of ours run.
pub(super) const AGAIN: Duration = Duration::from_secs(1);
/// How long after its time a command of ours is waited for whose time limit nobody watches any more.
pub(super) const HUNG: Duration = Duration::from_secs(10);
/// The longest pause before a stop command that failed is run again, and before a journal that failed is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE_OF_JOURNAL: Duration = Duration::from_secs(60);

/// When a stop command that has failed is run again; for ever, since the door is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// After 1, 2, 4 ... 30 s; and a folder that cannot be used is tried again too.
    Growing,
    /// After this time, by whoever is asked then.
    Steady(Duration),
}

/// What a turn has found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing is left to close.
    Done,
    /// The next turn has its time.
    Later(Duration),
    /// Somebody has the lock.
    Held(Option<u32>),
    /// The folder or its journal cannot be used.
    Broken(String),
}

/// A lease and its deadline. While somebody else has the folder it may be renewed, and a daemon that finds no lease numbers its
/// own from the beginning: what was closed under the same number is another opening then.
type Opening = (LeaseId, Duration);

const fn opening(record: &Record) -> Opening {
    (record.id, record.deadline)
}

/// A state folder, and what is known of its leases.
pub(crate) struct Overdue {
    folder: PathBuf,
    knockd: bool,
    log: Log,
    /// Start commands that have outlived the monitor.
    starts: Starts,
    pace: Pace,
    /// The boot whose clock deadlines are on, where another one is seen here; `None`: the one that is seen.
    boot: BootId,
    /// Whether all that is open is due.
    at_once: bool,
    running: Running,
    /// What is due now, and who of it has the next turn.
    due: BTreeMap<LeaseId, Recovered>,
    turns: Queue,
    /// As long as no command ends, nothing is to be done before.
    look_again: Duration,
    /// The notes of stop commands, as far as the folder could be had.
    notes: Option<Stops>,
    tries: BTreeMap<Opening, Tries>,
    /// What is closed and whose record is still there, with what is still to be said.
    closed: BTreeMap<Opening, Option<Record>>,
    /// Stop commands of others.
    others: Others,
    /// How often the folder could not be used, and when it is tried again.
    trouble: Tries,
    /// Why a closed lease is still in the journal.
    unremoved: Option<String>,
}

impl Overdue {
    pub(crate) fn new(folder: PathBuf, knockd: bool, log: Log, starts: Starts, pace: Pace) -> Self {
        Self {
            folder,
            knockd,
            log,
            starts,
            pace,
            boot: None,
            at_once: false,
            running: Running::default(),
            due: BTreeMap::new(),
            turns: Queue::default(),
            look_again: Duration::ZERO,
            notes: None,
            tries: BTreeMap::new(),
            closed: BTreeMap::new(),
            others: Others::default(),
            trouble: Tries::default(),
            unremoved: None,
        }
    }

    /// The same, whose commands have these capabilities at most.
    pub(super) const fn with_capabilities(mut self, capabilities: Option<u64>) -> Self {
        self.running.set_most(capabilities);
        self
    }

    /// The same, told by somebody who sees the boot as the daemon did.
    pub(crate) const fn in_boot(mut self, boot: BootId) -> Self {
        self.boot = boot;
        self
    }

    /// The same, for which all that is open is due.
    pub(crate) const fn at_once(mut self, at_once: bool) -> Self {
        self.at_once = at_once;
        self
    }

    /// The same, who waits for a line of knockd.conf for so long and no longer.
    pub(crate) const fn with_patience(mut self, patience: Duration) -> Self {
        self.running.set_patience(patience);
        self
    }

    /// How many leases there are whose last attempt to close failed.
    pub(crate) fn failing(&self) -> usize {
        self.tries.len()
    }

    /// Why a lease that is closed is still in the journal, if one is.
    pub(crate) fn unremoved(&self) -> Option<&str> {
        self.unremoved.as_deref()
    }

    /// Whether commands of ours run, or have left something behind that is to be ended.
    pub(crate) fn runs(&mut self) -> bool {
        !self.running.is_done()
    }

    /// The process numbers of our commands.
    pub(crate) fn commands(&self) -> impl Iterator<Item = u32> {
        self.running.pids()
    }

    /// What ends a pause early.
    pub(crate) fn interests(&self) -> Vec<(BorrowedFd<'_>, Interest)> {
        let mut interests = self.starts.interests();
        interests.extend(self.running.interests());
        interests
    }

    /// Closes what is due.
    pub(crate) fn turn(&mut self) -> Turn {
        let boot = self.boot.or_else(clock::boot_id);
        self.turn_at(&Moment { now: clock::boottime(), boot, wall: clock::wall() })
    }

    fn turn_at(&mut self, now: &Moment) -> Turn {
        let started = self.starts.settle();
        started.iter().flatten().for_each(|mark| self.running.end_what_is_left(*mark));
        let is_new = self.settle(now.now) | !started.is_empty();
        if !is_new && now.now < self.look_again {
            return Turn::Later(self.look_again.saturating_sub(now.now));
        }
        let next = match folder::take(&self.folder) {
            Ok(taken) => self.close_due(taken, now),
            Err(Turn::Broken(error)) if self.pace == Pace::Growing => {
                Some(self.pause_for_trouble(now.now, &error))
            }
            Err(_) if self.runs() => None,
            Err(turn) => return turn,
        };
        let again = self.runs().then_some(AGAIN);
        let place = if self.turns.is_empty() { None } else { self.running.next_place() };
        let limit = [self.running.poll_timeout(), place].into_iter().flatten().min();
        let limit = limit.map(|at| at.saturating_sub(now.now));
        let Some(pause) = [next, again, limit].into_iter().flatten().min() else { return Turn::Done };
        self.look_again = now.now.saturating_add(pause);
        Turn::Later(pause)
    }

    /// Begins to close what is due. When to come again; `None`: nobody has to but for the commands that run.
    fn close_due(&mut self, taken: Taken, now: &Moment) -> Option<Duration> {
        let Taken { entries, mut hold } = taken;
        match &mut hold {
            Hold::Keeper(keeper) => {
                for what in keeper.begun_anew().iter().chain(keeper.narrowed()) {
                    self.log.say(Level::Warning, &format!("closer: {what}"));
                }
                self.starts.join(keeper.survivors());
                self.others.look(keeper.stops().under_way());
                self.notes = Some(keeper.stops().clone());
                self.running.allow(keeper.allowed());
            }
            Hold::Unwritable(_, folder) => {
                // Notes of commands can neither be made nor taken there, so none is believed.
                self.others.look(Vec::new());
                self.running.allow(folder.capabilities);
            }
        }
        let is_there = |of: &Opening| entries.iter().any(|entry| opening(&entry.record) == *of);
        self.tries.retain(|of, _| is_there(of));
        self.closed.retain(|of, _| is_there(of));
        self.unremoved = None;
        self.due.clear();
        let mut next: Option<Duration> = None;
        for recovered in record::recover(entries, now) {
            let left = self.consider(&mut hold, recovered, now.now);
            next = [next, left].into_iter().flatten().min();
        }
        self.starts.signal();
        self.others.end();
        next = [next, self.begin_due(now.now)].into_iter().flatten().min();
        if !self.runs() {
            // Nothing of the folder is kept open between turns, so that it can be unmounted.
            self.notes = None;
        }
        match hold {
            Hold::Keeper(keeper) if next.is_none() && self.knockd && !self.runs() => {
                keeper.leave_nothing_behind();
            }
            Hold::Keeper(_) if self.unremoved.is_none() => self.trouble = Tries::default(),
            _ => {}
        }
        next
    }

    /// Does what is to be done about one lease now. When to come again for it.
    fn consider(&mut self, hold: &mut Hold, recovered: Recovered, now: Duration) -> Option<Duration> {
        let record = &recovered.record;
        if self.running.has(record.id) {
            return None;
        }
        if self.closed.contains_key(&opening(record)) {
            return self.forget(hold, opening(record), now);
        }
        let watched = self.watch_start(record, now);
        match recovered.due {
            // The kernel ends it, and whoever reads the journal next forgets it.
            Due::At(_) if matches!(record.held, Held::Element(_)) => None,
            Due::At(deadline) if !self.at_once => {
                let left = deadline.saturating_sub(now);
                Some(watched.map_or(left, |watched| watched.min(left)))
            }
            // By element: over, whoever writes it down.
            Due::Forget => {
                if let Hold::Keeper(keeper) = hold {
                    keeper.remove(record.id).ok();
                }
                None
            }
            Due::Now | Due::At(_) | Due::OtherBoot | Due::Starting | Due::Stopping => {
                if self.waits_for_start(record, now) {
                    return Some(watched.map_or(AGAIN, |watched| watched.min(AGAIN)));
                }
                match self.others.of(&recovered, now) {
                    Other::Runs => Some(AGAIN),
                    Other::HasClosed => {
                        self.closed.insert(opening(record), Some(record.clone()));
                        self.forget(hold, opening(record), now)
                    }
                    Other::None => self.close(hold, recovered, now),
                }
            }
        }
    }

    /// Ends a start command over its time limit. How soon to look again.
    fn watch_start(&mut self, record: &Record, now: Duration) -> Option<Duration> {
        let (pause, signal) = self.starts.watch(record.id, time_limit(record)?, now)?;
        if let Some(signal) = signal {
            self.tell(record, What::TimeLimit { part: Part::Start, signal });
        }
        Some(pause)
    }

    /// What a stop command took back before it was there would stay. One of aldaba.toml that does not end even when it is killed is not
    /// waited for without end.
    fn waits_for_start(&self, record: &Record, now: Duration) -> bool {
        let over = time_limit(record).and_then(|limit| self.starts.end_of_time(record.id, limit));
        let last = over.map_or(record.deadline, |over| over.max(record.deadline)).saturating_add(HUNG);
        let is_hung = record.style == Style::Native && now > last;
        self.starts.is_running(record.id) && !is_hung
    }

    /// Takes a stop command for due, unless the last one has just failed. When to come again; `None`: its end will show.
    fn close(&mut self, hold: &mut Hold, recovered: Recovered, now: Duration) -> Option<Duration> {
        let record = &recovered.record;
        if matches!(record.held, Held::Command { stop: None, .. } | Held::Element(_)) {
            // No such record is written: there would be nothing to close.
            let of = opening(record);
            self.closed.insert(of, None);
            return self.forget(hold, of, now);
        }
        let tries = self.tries.get(&opening(record)).copied().unwrap_or_default();
        if !tries.left(now).is_zero() {
            return Some(tries.left(now));
        }
        self.due.insert(record.id, recovered);
        None
    }

    /// Puts what is due in line as its time came, and of one moment those first that had fewer turns, whatever its number: of those that
    /// fail again and again none is overtaken by one that has had its turn since.
    fn line_up(&mut self) {
        let Self { due, tries, turns, .. } = self;
        let tries = |record: &Record| tries.get(&opening(record)).copied().unwrap_or_default();
        let mut records: Vec<&Record> = due.values().map(|recovered| &recovered.record).collect();
        records.sort_by_key(|record| (tries(record).next(), tries(record).count));
        turns.clear();
        for record in records {
            if tries(record).count == 0 {
                turns.push(&record.door, record.id);
            } else {
                turns.push_again(&record.door, record.id);
            }
        }
    }

    /// Begins what has a place, going round the doors: no door waits for another's stop commands to end. When to try again what could
    /// not be started.
    fn begin_due(&mut self, now: Duration) -> Option<Duration> {
        self.line_up();
        let mut next: Option<Duration> = None;
        while let Some((line, id)) = self.turns.next(|line| self.running.may_run(line)) {
            let again = self.due.remove(&id).and_then(|recovered| self.begin(line, recovered, now));
            next = [next, again].into_iter().flatten().min();
        }
        next
    }

    /// Runs a stop command. When to try again if it cannot be started.
    fn begin(&mut self, line: Line, recovered: Recovered, now: Duration) -> Option<Duration> {
        let record = recovered.record.clone();
        if let (true, Held::Command { stop: Some(stop), .. }) = (self.knockd, &record.held) {
            if !line.tried {
                self.tell(&record, What::CommandTimeout);
            }
            self.tell(&record, What::Running { part: Part::Stop, command: stop.clone() });
        }
        let error = self.running.start(now, recovered, line, self.notes.as_ref()).err()?;
        let outcome = Outcome::NotStarted(error.raw_os_error().unwrap_or_default());
        Some(self.failed(&record, outcome, now))
    }

    /// Takes what has become of our commands. Whether one has ended.
    fn settle(&mut self, now: Duration) -> bool {
        let settled = self.running.settle(now, self.notes.as_ref());
        let is_new = !settled.ended.is_empty();
        for (record, what) in settled.over_time {
            self.tell(&record, what);
        }
        for pid in settled.stubborn {
            self.log.say(Level::Warning, &wording::leftovers(pid));
        }
        for ended in settled.ended {
            let has_closed = ended.has_closed();
            let Ended { recovered, outcome, output } = ended;
            if !outcome.is_success() && !output.is_empty() {
                let line = format!("command-output part=stop text={}", wording::quoted(output.trim_end()));
                self.log.say(Level::Warning, &line);
            }
            if has_closed {
                if !outcome.is_success() {
                    self.tell(&recovered.record, What::CommandFailed { part: Part::Stop, outcome });
                }
                self.tries.remove(&opening(&recovered.record));
                self.closed.insert(opening(&recovered.record), Some(recovered.record));
            } else {
                self.failed(&recovered.record, outcome, now);
            }
        }
        is_new
    }

    /// An attempt to close has failed. When the next one has its time.
    fn failed(&mut self, record: &Record, outcome: Outcome, now: Duration) -> Duration {
        let tries = self.tries.entry(opening(record)).or_default();
        let after = tries.failed(now, |count| match self.pace {
            Pace::Growing => growing(count, LONGEST_PAUSE),
            Pace::Steady(pause) => pause,
        });
        let count = tries.count;
        self.tell(record, What::CommandFailed { part: Part::Stop, outcome });
        self.tell(record, What::StopRetry { tries: count, after });
        after
    }

    /// Takes the record of a closed lease out. When to try again.
    fn forget(&mut self, hold: &mut Hold, of: Opening, now: Duration) -> Option<Duration> {
        if let Some(record) = self.closed.get_mut(&of).and_then(Option::take) {
            self.tell(&record, What::Closed { why: Why::Overdue });
        }
        let error = match hold {
            Hold::Keeper(keeper) => match keeper.remove(of.0) {
                Ok(()) => {
                    keeper.stops().forget(of.0);
                    self.closed.remove(&of);
                    return None;
                }
                Err(error) => error.to_string(),
            },
            Hold::Unwritable(error, _) => error.clone(),
        };
        let pause = (self.pace == Pace::Growing).then(|| self.pause_for_trouble(now, &error));
        self.unremoved = Some(error);
        pause
    }

    /// The folder cannot be used as it should: said once for each try. How long until the next.
    fn pause_for_trouble(&mut self, now: Duration, error: &str) -> Duration {
        if self.trouble.left(now).is_zero() {
            let pause = self.trouble.failed(now, |count| growing(count, LONGEST_PAUSE_OF_JOURNAL));
            // What there is to be done about a daemon's start is nothing to this one.
            let error = error.lines().next().unwrap_or_default();
            let line = format!("closer: {error}; tried again in {}", wording::short(pause));
            self.log.say(Level::Error, &line);
        }
        self.trouble.left(now)
    }

    fn tell(&mut self, record: &Record, what: What) {
        let (door, address) = (record.door.clone(), record.address);
        let event = Event { lease: Some(record.id), door, style: record.style, address, what };
        let line = if self.knockd {
            wording::knockd(&event, &address.to_string())
        } else {
            Some(wording::native(&event))
        };
        match line {
            Some(line) if line.blank => self.log.say_and_blank(line.level, &line.text),
            Some(line) => self.log.say(line.level, &line.text),
            None => {}
        }
    }
}

/// How long a command of this lease may take.
const fn time_limit(record: &Record) -> Option<Duration> {
    match record.held {
        Held::Command { time_limit, .. } => time_limit,
        Held::Element(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use aldaba_runner::Change;
    use aldaba_runner::record::Phase;

    use super::*;
    use crate::keeper::Keeper;
    use crate::log::Form;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(now: Duration) -> Moment {
        Moment { now, boot: Some([7; 16]), wall: HOUR }
    }

    /// Nothing has to be run for it, so that no process of another test's is taken for one of ours.
    fn until(deadline: Duration) -> Change {
        Change::Put(record(1, deadline))
    }

    fn record(id: u64, deadline: Duration) -> Record {
        Record {
            id: LeaseId(id),
            door: "web".into(),
            style: Style::Native,
            address: IpAddr::from([192, 0, 2, 1]),
            owner: None,
            seconds: 30,
            held: Held::Command { stop: None, time_limit: None },
            deadline,
            phase: Phase::Open,
        }
    }

    fn left(folder: &std::path::Path) -> usize {
        Keeper::open(folder).expect("it opens").load().expect("it loads").len()
    }

    /// Forty-nine of one door, of which eight can be tried at once; each takes 10.8 s, and is due again after 30.
    #[test]
    fn r1_those_that_fail_again_and_again_have_their_turns_one_after_the_other() {
        let log = Log::new(Form::Knockd { echo: false });
        let pace = Pace::Steady(Duration::from_secs(30));
        let mut overdue = Overdue::new(PathBuf::new(), false, log, Starts::default(), pace);
        let leases: Vec<Record> = (1..=49).map(|id| record(id, Duration::ZERO)).collect();
        let fail = |overdue: &mut Overdue, record: &Record, now| {
            let tries = overdue.tries.entry(opening(record)).or_default();
            tries.failed(now, |_| Duration::from_secs(30));
        };
        for record in &leases {
            fail(&mut overdue, record, Duration::ZERO);
        }
        let (mut now, mut turns) = (HOUR, BTreeMap::new());
        for _ in 0..100 {
            let is_due = |record: &&Record| overdue.tries[&opening(record)].left(now).is_zero();
            let due = leases.iter().filter(is_due).cloned();
            overdue.due = due.map(|record| (record.id, Recovered { record, due: Due::Now })).collect();
            overdue.line_up();
            let begun: Vec<LeaseId> =
                std::iter::from_fn(|| overdue.turns.next(|_| true)).map(|(_, id)| id).take(8).collect();
            now += Duration::from_millis(10_800);
            for record in leases.iter().filter(|record| begun.contains(&record.id)) {
                fail(&mut overdue, record, now);
                *turns.entry(record.id).or_insert(0) += 1;
            }
        }
        let (most, least) = (turns.values().max(), turns.values().min());
        assert_eq!((turns.len(), most, least), (49, Some(&17), Some(&16)));
    }

    #[test]
    fn r4_a_machine_that_slept_closes_at_the_first_turn() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("state");
        let mut keeper = Keeper::open(&folder).expect("it opens");
        let now = Duration::from_secs(100);
        assert!(keeper.change(&[until(HOUR)], &at(now)).is_empty());
        drop(keeper);
        let log = Log::new(Form::Knockd { echo: false });
        let mut overdue = Overdue::new(folder.clone(), false, log, Starts::default(), Pace::Growing);
        assert_eq!(overdue.turn_at(&at(now)), Turn::Later(HOUR.saturating_sub(now)));
        // A slice later by every clock: there is no reason to look.
        let later = now + Duration::from_secs(5);
        assert_eq!(overdue.turn_at(&at(later)), Turn::Later(HOUR.saturating_sub(later)));
        assert_eq!(left(&folder), 1);
        // The next slice, in which the machine slept for two hours.
        assert_eq!(overdue.turn_at(&at(later + 2 * HOUR)), Turn::Done);
        assert_eq!(left(&folder), 0, "closed");
    }
}
