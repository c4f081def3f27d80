//! A new policy: read, offered to the worker, put into force in one step, or refused whole.

use std::io;
use std::num::NonZeroU16;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use aldaba_config::{Interfaces, Paint};
use aldaba_gate::Needs;
use aldaba_runner::door::Style;
use aldaba_sys::{clock, memory};

use super::Monitor;
use super::control::ClientId;
use super::policy::{InForce, Version};
use crate::control::{Answer, ReloadRefused, Reloaded};
use crate::face::Face;
use crate::ipc::ToWorker;
use crate::log::{Level, aloud};
use crate::source::Read;
use crate::watch::Watch;

/// One who asked for a reload and waits.
#[derive(Debug)]
pub(super) struct Reloading {
    client: ClientId,
    /// For this policy, or a later one.
    generation: u32,
    warnings: Vec<String>,
}

/// A new policy that was read without errors.
#[derive(Debug)]
pub(super) struct Offered {
    generation: u32,
    warnings: Vec<String>,
}

impl Monitor {
    /// A client asks for it: answered when the new policy is in force, or refused.
    pub(super) fn handle_reload(&mut self, now: Duration, client: ClientId) {
        if let Some(trouble) = self.reload_waits(now) {
            self.control.answer(now, client, &trouble);
            return;
        }
        match self.reload(now) {
            Ok(Offered { generation, warnings }) => {
                self.reloading.push(Reloading { client, generation, warnings });
                self.answer_reloaded(now);
            }
            Err(refused) => self.control.answer(now, client, &Answer::ReloadRefused(refused)),
        }
    }

    /// Answers those whose policy, or a later one, is in force.
    fn answer_reloaded(&mut self, now: Duration) {
        let current = self.policy.current();
        let (generation, doors) = (current.generation, current.policy.catalogue.doors.len());
        for waiting in self.reloading.extract_if(.., |waiting| waiting.generation <= generation) {
            let answer = Answer::Reloaded(Reloaded { doors, warnings: waiting.warnings });
            self.control.answer(now, waiting.client, &answer);
        }
    }

    /// SIGHUP, or a client. The policy that is in force now or waits for the worker, or why there is none.
    pub(super) fn reload(&mut self, now: Duration) -> Result<Offered, ReloadRefused> {
        if self.stopping.is_some() {
            return Err(ReloadRefused { errors: 0, report: "the daemon is about to end\n".to_owned() });
        }
        let taken = self.take_from_disk(now);
        if let Err(refused) = &taken {
            self.note_refused(refused);
        }
        taken
    }

    fn take_from_disk(&mut self, now: Duration) -> Result<Offered, ReloadRefused> {
        self.service.say_reloading();
        if self.face.is_knockd() {
            self.say_rereading();
        }
        let mut read = match self.policy.source().read(true) {
            Ok(read) => read,
            Err(report) => {
                return Err(self.reload_refused(report.errors(), report.render(Paint::Plain)));
            }
        };
        let later = self.waits_for_start(&read);
        read.loaded.warnings.extend(later);
        let warnings: Vec<String> =
            read.loaded.warnings.iter().map(|warning| warning.render(Paint::Plain)).collect();
        let aloud: Vec<String> = read.loaded.warnings.iter().map(ToString::to_string).collect();
        let generation = self.propose(read, InForce::propose)?;
        for warning in aloud {
            self.speech.tell(Level::Warning, warning);
        }
        self.offer(now);
        Ok(Offered { generation, warnings })
    }

    /// Makes a policy the candidate, in this way, if the daemon still may what it wants. The only way to a new one.
    pub(super) fn propose(
        &mut self,
        read: Read,
        how: fn(&mut InForce, Read) -> io::Result<&Version>,
    ) -> Result<u32, ReloadRefused> {
        let policy = &read.loaded.policy;
        let allowed = self.rights.allow(policy).and_then(|()| self.claim_table_of(clock::boottime(), policy));
        let proposed = match allowed {
            Ok(()) => how(&mut self.policy, read).map_err(|error| format!("{error}\n")),
            Err(report) => Err(report),
        };
        match proposed {
            Ok(version) => Ok(version.generation),
            Err(report) => Err(self.reload_refused(1, report)),
        }
    }

    fn say_rereading(&mut self) {
        let path = self.policy.source().path().display().to_string();
        self.speech.tell_and_blank(Level::Notice, format!("re-reading config file: {path}"));
    }

    fn say_reopening(&mut self, old: Option<&Path>, new: &Path) {
        let line = format!("re-opening log file: {}", new.display());
        self.speech.log().say_to_syslog(&line);
        if self.face.echoes() {
            if let Some(old) = old {
                aloud(&format!("closing log file: {}", old.display()));
            }
            aloud(&line);
        }
    }

    /// The configuration on the disk is not the one in force, until it is read again. Of what stands elsewhere only who has asked is told.
    pub(super) fn note_refused(&mut self, refused: &ReloadRefused) {
        let errors = refused.errors;
        let error =
            format!("the configuration as it stands now has errors ({errors}): an older one is in force");
        self.health.note(clock::boottime(), "reload-refused", &error);
    }

    pub(super) fn reload_refused(&mut self, errors: usize, report: String) -> ReloadRefused {
        self.speech.tell(Level::Error, format!("reload-refused errors={errors}"));
        for line in report.lines().filter(|line| !line.is_empty()) {
            self.speech.tell(Level::Error, format!("  {line}"));
        }
        // All the same.
        self.reopen_own_log();
        ReloadRefused { errors, report }
    }

    /// Offers the candidate to the worker; without one it comes into force at once.
    pub(super) fn offer(&mut self, now: Duration) {
        if self.workers.is_serving() {
            let Some(candidate) = self.policy.candidate() else { return };
            if !self.has_room_for(candidate) {
                // It would be ended for what it takes; a new one may take more.
                self.workers.replace(now);
                self.say_worker_ended(now, "why=room");
                return;
            }
            let (generation, sealed) = (candidate.generation, candidate.sealed.try_clone());
            if let Err(error) = self.prepare_worker(generation, sealed) {
                self.candidate_refused(now, generation, format!("{error}\n"));
            }
        } else if self.policy.switch_now() {
            self.put_into_force(now);
        }
    }

    /// Hands the bytes of a policy to the worker.
    pub(super) fn prepare_worker(&mut self, generation: u32, sealed: io::Result<OwnedFd>) -> io::Result<()> {
        let message = ToWorker::Prepare {
            generation,
            keep_attempts: self.style() == Style::Native,
            stages: self.wants_stages(),
            hits: matches!(&self.face, Face::Knockd(knockd) if knockd.debug),
            ipv4_only: self.policy.overrides().ipv4_only,
        };
        match sealed {
            Ok(sealed) => {
                self.health.clear("policy");
                self.workers.tell(&message, &[sealed.as_fd()]);
                Ok(())
            }
            Err(error) => {
                self.health.note(clock::boottime(), "policy", &error.to_string());
                self.speech.tell(Level::Error, format!("degraded what=policy error={error}"));
                Err(error)
            }
        }
    }

    /// The worker has built a policy: both switch.
    pub(super) fn worker_prepared(&mut self, now: Duration, generation: u32) {
        if generation == self.policy.current().generation {
            self.serve(now, generation);
        } else if self.policy.switch(generation) {
            if self.workers.is_serving() {
                self.workers.tell(&ToWorker::Commit { generation }, &[]);
                self.tell_one_time_of_fallback();
            } else {
                self.serve(now, generation);
            }
            self.put_into_force(now);
        } else {
            self.answers_an_old_one(now);
        }
    }

    /// A reload came while it was at the policy before.
    fn answers_an_old_one(&mut self, now: Duration) {
        if !self.workers.is_serving() {
            self.prepare_worker_again(now);
        }
    }

    /// The worker cannot build what the monitor could.
    pub(super) fn worker_refuses(&mut self, now: Duration, generation: u32) {
        let is_offered = self.policy.candidate().is_some_and(|candidate| candidate.generation == generation);
        if is_offered && self.workers.is_serving() && !self.is_rolling_back_to(generation) {
            // Somebody may have taken it over, who likes the old policy better: one that has seen no packet has the last word.
            self.workers.replace(now);
            self.say_worker_ended(now, "why=refuses");
        } else if is_offered {
            self.candidate_refused(now, generation, "the worker could not build this policy\n".to_owned());
            self.answers_an_old_one(now);
        } else if generation == self.policy.current().generation {
            self.end_worker(now);
        } else {
            self.answers_an_old_one(now);
        }
    }

    /// A policy that was offered does not come into force, but for the one before a trial: that one has to.
    pub(super) fn candidate_refused(&mut self, now: Duration, generation: u32, report: String) {
        if self.is_rolling_back_to(generation) {
            return self.force_roll_back(now);
        }
        self.policy.refuse(generation);
        let refused = self.reload_refused(1, report);
        if !self.trial_refused(now, generation, &refused) {
            self.note_refused(&refused);
        }
        self.let_tables_go();
        let answer = Answer::ReloadRefused(refused);
        for waiting in self.reloading.extract_if(.., |waiting| waiting.generation <= generation) {
            self.control.answer(now, waiting.client, &answer);
        }
    }

    /// What a new policy changes outside the runner's leases.
    pub(super) fn put_into_force(&mut self, now: Duration) {
        self.health.in_force = now;
        for what in ["reload-refused", "configuration", "reload"] {
            self.health.clear(what);
        }
        let policy = &self.policy.current().policy;
        let (catalogue, daemon) = (policy.catalogue.clone(), policy.daemon.clone());
        let doors = catalogue.doors.len();
        self.runner.reload(now, catalogue);
        self.limit_commands();
        // knockd keeps its interface for life.
        if !self.face.is_knockd() {
            self.captures.set_watch(watch(&daemon.interfaces, &self.policy.overrides().interfaces));
        }
        self.refresh_filter();
        self.follow_links(now);
        self.reopen_log(&daemon.log);
        self.open_keeper_if_needed(now);
        self.plan_standby(now);
        self.hand_over_spa(now);
        self.hold_to_registry(now);
        // What is different from here on is nobody else's doing.
        self.truth.forget_changer();
        self.prepare_firewall(now);
        self.let_tables_go();
        self.follow_user(now);
        if !self.face.is_knockd() {
            self.speech.tell(Level::Notice, format!("reloaded doors={doors}"));
        }
        self.write_down();
        self.answer_reloaded(now);
        self.trial_in_force(now);
        memory::give_back();
    }

    /// The sockets' filter for the sequences that are current now.
    pub(super) fn refresh_filter(&mut self) {
        let mut needs = Needs::of(&self.policy.current().rules());
        needs.datagrams.extend(self.spa_hold.port.stand_in().map(NonZeroU16::get));
        match self.captures.set_needs(&needs) {
            Ok(()) => self.health.clear("filter"),
            Err(error) => {
                self.health.note_grave(clock::boottime(), "filter", &error.to_string());
                self.speech.tell(Level::Error, format!("degraded what=filter error={error}"));
            }
        }
        self.look_at_filters(clock::boottime());
    }

    /// Whoever moved the log away gets a new one.
    pub(super) fn reopen_own_log(&mut self) {
        let wanted = self.policy.current().policy.daemon.log.clone();
        self.reopen_log(&wanted);
    }

    fn reopen_log(&mut self, wanted: &aldaba_config::Log) {
        let named = wanted.file.as_ref().map(|file| self.policy.source().resolve(file));
        let log = self.speech.log();
        if wanted.syslog {
            log.use_syslog();
        }
        // Opened anew also under the same name: the old file may have been moved away.
        let old = log.file().map(Path::to_owned);
        let Some(file) = named.or_else(|| old.clone()) else { return };
        if self.face.is_knockd() {
            self.say_reopening(old.as_deref(), &file);
        }
        match self.speech.log().use_file(&file) {
            Ok(()) => self.health.clear("log"),
            Err(error) => {
                let error = format!("{}: {error}", file.display());
                self.health.note(clock::boottime(), "log", &error);
                self.speech.tell(Level::Error, format!("degraded what=log error=\"{error}\""));
            }
        }
    }

    /// Whose rules attempts follow over a reload.
    fn style(&self) -> Style {
        self.policy.source().style()
    }

    pub(super) fn wants_stages(&self) -> bool {
        match &self.face {
            Face::Knockd(_) => true,
            Face::Aldabad => self.policy.current().policy.daemon.log.stages,
        }
    }
}

/// Where to capture: what the command line says, or the configuration.
pub(super) fn watch(interfaces: &Interfaces, overrides: &[String]) -> Watch {
    match interfaces {
        _ if !overrides.is_empty() => Watch::of(overrides),
        Interfaces::All => Watch::All,
        Interfaces::Named(names) => Watch::of(names),
    }
}
