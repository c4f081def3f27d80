//! A configuration on trial (`aldabad apply --confirm`): put into force, kept when somebody confirms it in time, and else
//! rolled back, doors and firewall included.
//!
//! The roll-back is the daemon's: the command that asked for the trial may die with the session it locks out. All the while
//! the disk holds the configuration before ([`crate::candidate`]), so that a daemon which is killed comes back with that one.
//! And what was in force is held in memory: to go back nothing has to be read, and no worker has to answer.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use aldaba_config::Paint;
use aldaba_runner::Granted;
use aldaba_runner::event::{Event, What};
use aldaba_runner::lease::LeaseId;
use aldaba_sys::clock;
use aldaba_sys::nft::Nft;
use aldaba_sys::signals::Signal;

use super::Monitor;
use super::control::ClientId;
use super::policy::InForce;
use crate::candidate::{Candidate, Waiting};
use crate::control::trial::{
    Apply, Confirmation, Confirmed, Kept, LONGEST_S, RolledBack, Running, SHORTEST_S, Trial, TrialAsk,
    WhyBack,
};
use crate::control::{Answer, ReloadRefused, Reloaded, TroubleKind};
use crate::ipc::ToWorker;
use crate::log::Level;
use crate::wording::{self, quoted};

/// How long the worker may take to build a policy of a trial, and a new one after it.
const TO_BUILD: Duration = Duration::from_secs(10);
/// How long it may take to build the one before again, until it is replaced.
const TO_GO_BACK: Duration = Duration::from_secs(2);
/// Knocks whose doors are not open yet; of more the first is forgotten.
const MOST_NOTED: usize = 64;

/// The trial there is, and how the last one ended.
#[derive(Debug, Default)]
pub(super) struct Trials {
    now: Option<OnTrial>,
    /// Never [`Trial::Running`].
    last: Option<Trial>,
    /// Somebody wanted a reload meanwhile.
    reload_after: bool,
    /// A first start that nobody confirmed, and why it ends.
    undo: Option<WhyBack>,
}

#[derive(Debug)]
struct OnTrial {
    generation: u32,
    file: PathBuf,
    /// `None`: the daemon itself is on trial, at its first start.
    waiting: Option<Waiting>,
    /// For how long; `None`: it is kept as soon as it is in force.
    confirm: Option<Duration>,
    by: Confirmation,
    warnings: Vec<String>,
    /// Who asked, until it is answered.
    client: Option<ClientId>,
    stage: Stage,
    /// Knocks that were admitted, and whose.
    noted: VecDeque<(LeaseId, Option<String>)>,
    confirmed: Option<Confirmed>,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The worker builds it until then.
    Offered { until: Duration },
    /// The one that was offered it was too slow, or did not want to: a new one builds it until then.
    OfferedAnew { until: Duration },
    /// It is in force, on trial until then.
    InForce { until: Duration },
    /// The one before comes back under this number; until then the worker may build it.
    RollingBack { generation: u32, why: WhyBack, until: Duration },
}

impl Trials {
    /// When something is due.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.now.as_ref().map(|trial| match trial.stage {
            _ if trial.confirmed.is_some() => Duration::ZERO,
            Stage::Offered { until }
            | Stage::OfferedAnew { until }
            | Stage::InForce { until }
            | Stage::RollingBack { until, .. } => until,
        })
    }

    /// Whether what is in force may go again.
    pub(super) const fn is_on(&self) -> bool {
        self.now.is_some()
    }

    /// Whether the policy before comes back just now.
    pub(super) fn goes_back(&self) -> bool {
        self.now.as_ref().is_some_and(|trial| matches!(trial.stage, Stage::RollingBack { .. }))
    }

    /// A knock was admitted. It counts when it was made to the policy on trial, and has opened a door.
    pub(super) fn note(&mut self, generation: u32, granted: Granted, device: Option<String>) {
        let Some(trial) = &mut self.now else { return };
        let (Granted::Opening(lease) | Granted::Renewed(lease)) = granted else { return };
        if !matches!(trial.stage, Stage::InForce { .. }) || generation != trial.generation {
            return;
        }
        if trial.noted.len() >= MOST_NOTED {
            trial.noted.pop_front();
        }
        trial.noted.push_back((lease, device));
    }

    /// The runner tells of a door.
    pub(super) fn hear(&mut self, event: &Event) {
        let Some(trial) = self.now.as_mut().filter(|trial| trial.confirmed.is_none()) else { return };
        if !matches!(event.what, What::Opened { .. } | What::Renewed { .. }) {
            return;
        }
        let counts = match &trial.by {
            Confirmation::Knock => true,
            Confirmation::Door(door) => **door == *event.door,
            Confirmation::Hand => false,
        };
        let knock = trial.noted.iter().find(|(lease, _)| Some(*lease) == event.lease);
        if let Some((_, device)) = knock.filter(|_| counts && matches!(trial.stage, Stage::InForce { .. })) {
            let (door, address) = (event.door.to_string(), event.address);
            trial.confirmed = Some(Confirmed { door, address, device: device.clone() });
        }
    }
}

impl OnTrial {
    fn running(&self, now: Duration, until: Duration, doors: usize) -> Running {
        Running {
            file: self.file.clone(),
            left_ms: u64::try_from(until.saturating_sub(now).as_millis()).unwrap_or(u64::MAX),
            doors,
            by: self.by.clone(),
            warnings: self.warnings.clone(),
        }
    }
}

fn not_done(text: impl Into<String>) -> Answer {
    TroubleKind::NotDone.answer(text)
}

impl Monitor {
    /// A client has a new configuration: answered when it is in force, or refused.
    pub(super) fn handle_apply(&mut self, now: Duration, client: ClientId, apply: Apply) {
        let answer = match &apply {
            Apply { file: None, confirm_s: None, .. } => return self.handle_reload(now, client),
            _ if self.trials.now.is_some() => not_done(format!("{}; {END_IT}", self.trial_words(now))),
            _ if self.stopping.is_some() => not_done("the daemon is about to end"),
            _ if self.policy.candidate().is_some() => {
                not_done("a reload is under way: try again in a moment")
            }
            Apply { confirm_s: Some(time), .. } if !(SHORTEST_S..=LONGEST_S).contains(time) => {
                not_done(format!("a trial takes {SHORTEST_S} s to {LONGEST_S} s"))
            }
            _ => match self.begin_trial(now, client, apply) {
                Ok(()) => {
                    self.offer(now);
                    return;
                }
                Err(answer) => *answer,
            },
        };
        self.control.answer(now, client, &answer);
    }

    /// Reads it, and makes sure that it can be put in place later on.
    fn begin_trial(&mut self, now: Duration, client: ClientId, apply: Apply) -> Result<(), Box<Answer>> {
        let (source, current) = (self.policy.source(), self.policy.current());
        let stands_in = current.stands_in_for.is_some();
        let candidate = match (&apply.file, apply.confirm_s) {
            (Some(file), None) => Candidate::at_once(source, file),
            (file, _) => Candidate::find(source, &current.texts, stands_in, file.as_deref()),
        };
        let candidate = candidate.map_err(|text| Box::new(not_done(text)))?;
        let read = source.read_with(&mut candidate.files(source.own_uid()), true).map_err(|report| {
            let text = candidate.reported(&report.render(Paint::Plain));
            let refused = self.reload_refused(report.errors(), text);
            self.cannot_try(&candidate, refused)
        })?;
        if let Confirmation::Door(door) = &apply.by
            && !read.loaded.policy.gate.doors.iter().any(|known| known.name == *door)
        {
            return Err(Box::new(not_done(format!("the new configuration has no door {door:?}"))));
        }
        let report = |warning: &aldaba_config::Diagnostic| candidate.reported(&warning.render(Paint::Plain));
        let later = self.waits_for_start(&read);
        let warnings = read.loaded.warnings.iter().chain(&later).map(report).collect();
        let proposed = self.propose(read, InForce::propose_on_trial);
        let generation = proposed.map_err(|refused| self.cannot_try(&candidate, refused))?;
        for warning in &later {
            self.speech.tell(Level::Warning, warning.to_string());
        }
        // Last of all: nothing is written for what cannot be tried.
        let waiting = candidate.stage().map_err(|text| {
            self.policy.refuse(generation);
            self.policy.forget_fallback();
            Box::new(not_done(text))
        })?;
        self.trials.now = Some(OnTrial {
            generation,
            file: waiting.target().to_owned(),
            waiting: Some(waiting),
            confirm: apply.confirm_s.map(Duration::from_secs),
            by: apply.by,
            warnings,
            client: Some(client),
            stage: Stage::Offered { until: now.saturating_add(TO_BUILD) },
            noted: VecDeque::new(),
            confirmed: None,
        });
        Ok(())
    }

    /// It was refused before it was staged.
    fn cannot_try(&mut self, candidate: &Candidate, refused: ReloadRefused) -> Box<Answer> {
        if candidate.is_in_place() {
            self.note_refused(&refused);
        }
        Box::new(Answer::ReloadRefused(refused))
    }

    /// A client asks how a trial stands, or ends it.
    pub(super) fn handle_trial(&mut self, now: Duration, client: ClientId, ask: TrialAsk) {
        let in_force =
            matches!(&self.trials.now, Some(trial) if matches!(trial.stage, Stage::InForce { .. }));
        match ask {
            TrialAsk::State => {}
            TrialAsk::Keep if in_force => self.keep(now),
            TrialAsk::RollBack if in_force => self.roll_back(now, WhyBack::Asked),
            TrialAsk::Keep | TrialAsk::RollBack => {
                self.control.answer(now, client, &not_done("no configuration is on trial"));
                return;
            }
        }
        let doors = self.policy.current().policy.catalogue.doors.len();
        let state = match &self.trials.now {
            Some(trial) => {
                let (Stage::Offered { until }
                | Stage::OfferedAnew { until }
                | Stage::InForce { until }
                | Stage::RollingBack { until, .. }) = trial.stage;
                Trial::Running(trial.running(now, until, doors))
            }
            None => self.trials.last.clone().unwrap_or(Trial::None),
        };
        self.control.answer(now, client, &Answer::Trial(state));
    }

    /// A policy has come into force: maybe the one on trial, or the one before it again.
    pub(super) fn trial_in_force(&mut self, now: Duration) {
        let current = self.policy.current();
        let (generation, doors) = (current.generation, current.policy.catalogue.doors.len());
        let Some(trial) = &mut self.trials.now else { return };
        match trial.stage {
            Stage::Offered { .. } | Stage::OfferedAnew { .. } if trial.generation == generation => {}
            Stage::RollingBack { generation: back, why, .. } if back == generation => {
                return self.rolled_back(now, why);
            }
            _ => return,
        }
        let until = now.saturating_add(trial.confirm.unwrap_or_default());
        trial.stage = Stage::InForce { until };
        let Some(time) = trial.confirm else { return self.keep(now) };
        let file = quoted(&trial.file.display().to_string());
        let answer = Answer::Trial(Trial::Running(trial.running(now, until, doors)));
        if let Some(client) = trial.client.take() {
            self.control.answer(now, client, &answer);
        }
        let line = format!("on-trial file={file} doors={doors} for={}", wording::short(time));
        self.speech.tell(Level::Notice, line);
    }

    /// It stays: its file takes its place.
    fn keep(&mut self, now: Duration) {
        let Some(trial) = self.trials.now.take() else { return };
        self.policy.forget_fallback();
        self.let_tables_go();
        self.end_leases_without_a_set(now);
        self.write_down();
        let file = trial.file;
        let (before, kept) = trial.waiting.map(Waiting::keep).unzip();
        let trouble = kept.and_then(Result::err).map(|error| format!("{}: {error}", file.display()));
        if let Some(error) = &trouble {
            let error = format!(
                "the configuration in force could not be put in place, and the next start has the old one: {error}"
            );
            self.health.note(now, "configuration", &error);
            self.speech.tell(Level::Error, format!("degraded what=configuration error={}", quoted(&error)));
        }
        let name = quoted(&file.display().to_string());
        let line = match &trial.confirmed {
            Some(Confirmed { door, address, device }) => {
                let device = device.as_ref().map(|name| format!(" device={name}")).unwrap_or_default();
                format!("kept file={name} by=knock door={} address={address}{device}", quoted(door))
            }
            None if trial.confirm.is_some() => format!("kept file={name} by=hand"),
            None => format!("kept file={name}"),
        };
        self.speech.tell(Level::Notice, line);
        if let Some(client) = trial.client {
            let mut warnings = trial.warnings;
            warnings.extend(trouble.iter().cloned());
            let doors = self.policy.current().policy.catalogue.doors.len();
            self.control.answer(now, client, &Answer::Reloaded(Reloaded { doors, warnings }));
        }
        self.trials.last = Some(Trial::Kept(Kept { file, before, knock: trial.confirmed, trouble }));
        self.reload_that_waited(now);
    }

    /// It does not: the policy before is offered to the worker again.
    fn roll_back(&mut self, now: Duration, why: WhyBack) {
        if self.trials.now.as_ref().is_some_and(|trial| trial.waiting.is_none()) {
            return self.undo_start(now, why);
        }
        let Some(generation) = self.policy.propose_fallback() else { return };
        if let Some(trial) = &mut self.trials.now {
            trial.stage = Stage::RollingBack { generation, why, until: now.saturating_add(TO_GO_BACK) };
        }
        self.offer(now);
    }

    /// The daemon as it is started for the first time is on trial: without it nothing was closed by aldaba.
    pub(crate) fn try_start(&mut self, time: Duration) {
        let now = clock::boottime();
        let current = self.policy.current();
        self.trials.now = Some(OnTrial {
            generation: current.generation,
            file: self.policy.source().path().to_owned(),
            waiting: None,
            confirm: Some(time),
            by: Confirmation::Knock,
            warnings: Vec::new(),
            client: None,
            stage: Stage::Offered { until: now.saturating_add(TO_BUILD) },
            noted: VecDeque::new(),
            confirmed: None,
        });
        self.trial_in_force(now);
    }

    /// It ends, and takes with it what it has closed.
    fn undo_start(&mut self, now: Duration, why: WhyBack) {
        let Some(trial) = self.trials.now.take() else { return };
        self.trials.undo = Some(why);
        let file = quoted(&trial.file.display().to_string());
        self.speech.tell(Level::Warning, format!("rolled-back file={file} why={}", why.name()));
        // Told to stop, it does already.
        self.begin_stop(now, Signal::Terminate);
    }

    /// The end of a first start that nobody confirmed: its table was not there before. The exit code, if it was one.
    pub(super) fn finish_undo(&mut self) -> Option<ExitCode> {
        let why = self.trials.undo?;
        let table = &self.policy.current().policy.daemon.table;
        if let Err(error) = Nft::open().and_then(|mut nft| nft.remove_own_table(table)) {
            let error = format!("table inet {table} is still there; run aldabad firewall remove: {error}");
            self.speech.tell(Level::Error, format!("degraded what=firewall error={}", quoted(&error)));
        }
        Some(if why == WhyBack::Stopping { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn rolled_back(&mut self, now: Duration, why: WhyBack) {
        let Some(trial) = self.trials.now.take() else { return };
        let file = quoted(&trial.file.display().to_string());
        let kept_as = trial.waiting.and_then(Waiting::drop_it);
        self.let_tables_go();
        self.speech.tell(Level::Warning, format!("rolled-back file={file} why={}", why.name()));
        self.trials.last = Some(Trial::RolledBack(RolledBack { why, kept_as }));
        self.reload_that_waited(now);
    }

    /// Whether this is the policy before a trial on its way back.
    pub(super) fn is_rolling_back_to(&self, generation: u32) -> bool {
        let stage = self.trials.now.as_ref().map(|trial| trial.stage);
        matches!(stage, Some(Stage::RollingBack { generation: back, .. }) if back == generation)
    }

    /// The policy before comes back without the worker, which is replaced.
    pub(super) fn force_roll_back(&mut self, now: Duration) {
        self.replace_worker(now);
    }

    /// The worker knows the one-time sequences of a policy that comes back as they were when it was read.
    pub(super) fn tell_one_time_of_fallback(&mut self) {
        if self.is_rolling_back_to(self.policy.current().generation) {
            for (place, sequence) in self.policy.one_time_now() {
                self.workers.tell(&ToWorker::NextSequence { place, sequence }, &[]);
            }
        }
    }

    /// The worker cannot build it: what was in force has never gone, and is on the disk. Whether this one was on trial.
    pub(super) fn trial_refused(&mut self, now: Duration, generation: u32, refused: &ReloadRefused) -> bool {
        let Some(trial) = self.trials.now.take_if(|trial| trial.generation == generation) else {
            return false;
        };
        self.policy.forget_fallback();
        if let Some(client) = trial.client {
            self.control.answer(now, client, &Answer::ReloadRefused(refused.clone()));
        }
        drop(trial.waiting);
        self.reload_that_waited(now);
        true
    }

    /// What is due.
    pub(super) fn handle_trial_timeout(&mut self, now: Duration) {
        let Some(trial) = &self.trials.now else { return };
        if trial.confirmed.is_some() {
            return self.keep(now);
        }
        match trial.stage {
            Stage::Offered { until } if until <= now => self.offer_anew(now),
            Stage::OfferedAnew { until } if until <= now => {
                let generation = trial.generation;
                self.policy.refuse(generation);
                let refused =
                    self.reload_refused(1, "the worker did not build this policy in time\n".to_owned());
                self.trial_refused(now, generation, &refused);
            }
            Stage::InForce { until } if until <= now => self.roll_back(now, WhyBack::NotConfirmed),
            Stage::RollingBack { until, .. } if until <= now => self.force_roll_back(now),
            _ => {}
        }
    }

    /// Somebody may have taken the worker over, who likes the old policy better: one that has seen no packet has the last word.
    fn offer_anew(&mut self, now: Duration) {
        if let Some(trial) = &mut self.trials.now {
            trial.stage = Stage::OfferedAnew { until: now.saturating_add(TO_BUILD) };
        }
        if self.workers.is_serving() {
            self.workers.replace(now);
            self.say_worker_ended(now, "why=slow");
        }
    }

    /// The daemon is told to stop: what nobody has confirmed goes.
    pub(super) fn end_trial_at_stop(&mut self, now: Duration) {
        let stage = self.trials.now.as_ref().map(|trial| trial.stage);
        self.trials.reload_after = false;
        match stage {
            Some(Stage::InForce { .. }) => self.roll_back(now, WhyBack::Stopping),
            Some(Stage::RollingBack { .. }) => self.force_roll_back(now),
            _ => {}
        }
        self.trials.now = None;
    }

    /// SIGHUP.
    pub(super) fn handle_hangup(&mut self, now: Duration) {
        if self.reload_waits(now).is_some() {
            self.reopen_own_log();
        } else {
            drop(self.reload(now));
        }
    }

    /// A reload in a trial would put into force what nobody has confirmed, or confirm what nobody has tried: it is done when
    /// the trial is over.
    pub(super) fn reload_waits(&mut self, now: Duration) -> Option<Answer> {
        self.trials.now.as_ref()?;
        self.trials.reload_after = true;
        let words = self.trial_words(now);
        self.speech.tell(Level::Warning, "reload-waits why=on-trial".to_owned());
        Some(not_done(format!("{words}: the configuration is read again when that is over; {END_IT}")))
    }

    fn reload_that_waited(&mut self, now: Duration) {
        if std::mem::take(&mut self.trials.reload_after) {
            drop(self.reload(now));
        }
    }

    fn trial_words(&self, now: Duration) -> String {
        let left = self.trials.poll_timeout().map(|until| wording::short(until.saturating_sub(now)));
        format!("a configuration is on trial for another {}", left.unwrap_or_default())
    }
}

/// What an administrator can do about a trial.
const END_IT: &str = "aldabad apply --keep or --roll-back ends it now";
