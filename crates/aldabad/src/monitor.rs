//! The monitor: holds the privileges, the doors' catalogue, the leases and the log. It never looks at a packet.
//!
//! One loop over one poll call. Who holds what: docs/architecture.md; what the worker may ask: spec/ipc.md; what a
//! lease does: spec/leases.md.

mod admission;
mod back_off;
mod captures;
mod client;
mod commands;
mod control;
mod drops;
mod effects;
mod firewall;
mod hands;
mod health;
mod history;
mod limits;
mod older;
mod owed;
mod policy;
mod port;
mod programs;
mod pulse;
mod recovery;
mod reload;
mod requests;
mod room;
mod service;
mod spa;
mod speech;
mod standby;
mod start;
mod start_only;
mod state_folder;
mod status;
mod stop;
mod store;
mod survivors;
mod trial;
mod truth;
mod user;
mod why;
mod workers;
mod written;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use aldaba_config::Capabilities;
use aldaba_runner::{JobId, Runner};
use aldaba_sys::clock::{self, Step, StepWatch};
use aldaba_sys::files::PidFile;
use aldaba_sys::memory;
use aldaba_sys::poll::{self, Interest};
use aldaba_sys::process::{self, Ending};
use aldaba_sys::route::LinkWatch;
use aldaba_sys::signals::{Signal, Signals};
use aldaba_sys::spawn;
use std::os::fd::{AsFd as _, BorrowedFd};

pub use commands::spawn_with;
pub(crate) use firewall::family_of;
pub use firewall::{is_needed, own_table};
pub use policy::Overrides;
pub use service::Service;
pub use start::{Setup, StartError};
pub use store::{has_store, make_store};

use crate::face::Face;
use crate::keeper::Keeper;
use crate::log::Level;
use crate::rights::Rights;
use crate::watch::Watch;
use captures::Captures;
pub(crate) use commands::Commands;
use control::{ClientId, Control};
use firewall::Firewall;
use hands::Hands;
use health::Health;
use history::History;
use older::Older;
use policy::InForce;
use programs::MissingProgram;
use pulse::Pulse;
use reload::Reloading;
use spa::SpaHold;
use speech::Speech;
use standby::Standby;
use start_only::StartOnly;
use status::Surveys;
use trial::Trials;
use truth::Truth;
use why::Questions;
use workers::Workers;

/// What does not work yet is tried again this often.
const RETRY: Duration = Duration::from_secs(2);

/// All the monitor is made of.
#[derive(Debug)]
pub struct Monitor {
    face: Face,
    policy: InForce,
    runner: Runner,
    keeper: Option<Keeper>,
    commands: Commands,
    firewall: Firewall,
    truth: Truth,
    /// Programs of commands that were not there last, so that it is said once.
    missing_programs: BTreeSet<MissingProgram>,
    workers: Workers,
    captures: Captures,
    spa_hold: SpaHold,
    /// Whether the worker answers.
    pulse: Pulse,
    service: Service,
    rights: Rights,
    start_only: StartOnly,
    /// What commands may under the policy in force.
    may: Capabilities,
    /// Leases from before it.
    older: Older,
    links: LinkWatch,
    clock: StepWatch,
    standby: Standby,
    signals: Signals,
    speech: Speech,
    control: Control,
    /// Who waits for a new policy to come into force.
    reloading: Vec<Reloading>,
    trials: Trials,
    history: History,
    questions: Questions,
    surveys: Surveys,
    hands: Hands,
    health: Health,
    /// Where leases are kept when the policy needs that.
    state_folder: PathBuf,
    /// The policy in force is still to be written down there.
    unwritten: bool,
    pid_file: Option<PidFile>,
    /// When to try again what did not work.
    retry: Option<Duration>,
    stopping: Option<Signal>,
}

/// What the loop woke for.
#[derive(Debug, Clone, Copy)]
enum Woken {
    Signals,
    Worker,
    Links,
    Firewall,
    Clock,
    Names,
    Output(JobId),
    Survivor(JobId),
    Control,
    Client(ClientId),
}

impl Monitor {
    /// Runs until a signal ends it; the exit code is the face's.
    #[must_use]
    pub fn run(mut self) -> ExitCode {
        spawn::rehearse();
        memory::give_back();
        loop {
            self.turn();
            let now = clock::boottime();
            if let Some(signal) = self.stopping
                && self.runner.is_drained(now)
                && self.commands.end_leftovers(now)
            {
                return self.finish(signal);
            }
        }
    }

    /// Waits for something to happen and does it.
    fn turn(&mut self) {
        let woken = self.wait();
        let now = clock::boottime();
        for woken in woken {
            match woken {
                Woken::Signals => self.handle_signals(now),
                Woken::Worker => {
                    self.workers.flush();
                    self.hear_worker(now);
                    // Before everything else: somebody stands at the door.
                    self.perform(now);
                    self.get_ready_for_request();
                }
                Woken::Links => self.follow_links(now),
                Woken::Firewall => self.hear_of_firewall(now),
                Woken::Clock => self.follow_clock(now),
                // Said with the timeouts.
                Woken::Names => {}
                Woken::Output(job) => self.commands.drain(job),
                Woken::Survivor(job) => self.survivor_ended(now, job),
                Woken::Control => self.control.accept(now),
                Woken::Client(id) => self.handle_client(now, id),
            }
        }
        self.handle_timeouts(now);
        self.perform(now);
        self.tell_service(now);
        self.settle_hands(now);
    }

    fn wait(&self) -> Vec<Woken> {
        let mut interests: Vec<(BorrowedFd<'_>, Interest)> = Vec::with_capacity(8);
        let mut woken = Vec::with_capacity(8);
        let mut add = |fd, interest, what| {
            interests.push((fd, interest));
            woken.push(what);
        };
        add(self.signals.as_fd(), Interest::READ, Woken::Signals);
        add(self.links.as_fd(), Interest::READ, Woken::Links);
        add(self.clock.as_fd(), Interest::READ, Woken::Clock);
        if let Some(channel) = self.workers.channel() {
            add(channel, Interest { read: true, write: self.workers.has_waiting() }, Woken::Worker);
        }
        if let Some(events) = self.truth.events() {
            add(events, Interest::READ, Woken::Firewall);
        }
        if let Some(names) = self.speech.names() {
            add(names, Interest::READ, Woken::Names);
        }
        for (job, output) in self.commands.outputs() {
            add(output, Interest::READ, Woken::Output(job));
        }
        for (job, process) in self.commands.survivors.processes() {
            add(process, Interest::READ, Woken::Survivor(job));
        }
        if let Some(listener) = self.control.listener() {
            add(listener, Interest::READ, Woken::Control);
        }
        for (id, client, interest) in self.control.clients() {
            add(client, interest, Woken::Client(id));
        }
        let now = clock::boottime();
        let timeout = self.next_timeout().map(|at| at.saturating_sub(now));
        let ready = poll::wait(&interests, timeout).unwrap_or_default();
        ready.into_iter().zip(woken).filter(|(ready, _)| *ready).map(|(_, woken)| woken).collect()
    }

    fn next_timeout(&self) -> Option<Duration> {
        let timeouts = [
            self.runner.poll_timeout(),
            self.workers.poll_timeout(),
            self.standby.poll_timeout(),
            self.commands.poll_timeout(),
            self.commands.survivors.poll_timeout(),
            self.speech.poll_timeout(),
            self.control.poll_timeout(),
            self.questions.poll_timeout(),
            self.truth.poll_timeout(),
            self.pulse.poll_timeout(),
            self.service.poll_timeout(),
            self.surveys.poll_timeout(),
            self.hands.poll_timeout(),
            self.captures.poll_timeout(),
            self.captures.reopen_timeout(),
            self.doors_timeout(),
            self.spa_hold.port.poll_timeout(),
            self.trials.poll_timeout(),
            self.retry,
        ];
        timeouts.into_iter().flatten().min()
    }

    fn handle_timeouts(&mut self, now: Duration) {
        self.runner.handle_timeout(now);
        for pid in self.commands.handle_timeout(now) {
            self.speech.tell(Level::Warning, crate::wording::leftovers(pid));
        }
        self.look_for_notes(now);
        self.speech.handle_timeout(now);
        self.handle_questions_timeout(now);
        self.handle_surveys_timeout(now);
        if self.captures.poll_timeout().is_none_or(|due| due <= now) {
            self.look_for_drops(now);
        }
        if self.captures.handle_reopen_timeout(now) {
            self.follow_links(now);
        }
        self.handle_port_timeout(now);
        self.handle_control_timeout(now);
        self.handle_truth_timeout(now);
        self.add_doors(now);
        self.turn_askers_away(now);
        self.feel_pulse(now);
        self.handle_trial_timeout(now);
        self.handle_standby_timeout(now);
        if self.workers.poll_timeout().is_some_and(|due| due <= now) {
            self.start_worker(now);
        }
        if self.retry.is_some_and(|due| due <= now) {
            self.retry = None;
            self.open_keeper_if_needed(now);
            self.prepare_firewall(now);
            self.retry_spa(now);
            self.follow_links(now);
            self.write_down_again();
        }
    }

    /// The wall clock was set. Leases do not notice; whether a datagram is new depends on it.
    fn follow_clock(&mut self, now: Duration) {
        let Some(Step { forward, by }) = self.clock.poll() else { return };
        if !self.face.is_knockd() {
            let (direction, by) = (if forward { "forward" } else { "back" }, crate::wording::short(by));
            self.speech.tell(Level::Warning, format!("clock-stepped direction={direction} by={by}"));
        }
        self.retry_spa(now);
    }

    fn handle_signals(&mut self, now: Duration) {
        while let Ok(Some(signal)) = self.signals.poll() {
            match signal {
                Signal::Child => self.reap(now),
                Signal::Hangup => self.handle_hangup(now),
                Signal::Interrupt | Signal::Terminate => self.begin_stop(now, signal),
                Signal::User1 | Signal::User2 | Signal::FileTooLong => {}
            }
        }
    }

    fn reap(&mut self, now: Duration) {
        while let Ok(Some((pid, ending))) = process::reap() {
            if self.workers.is_ended(now, pid) {
                self.worker_ended(now, &how(ending));
            } else if self.closer_ended(now, pid, &how(ending)) {
                // Said, and another one planned.
            } else if let Some(ended) = self.commands.ended(pid, ending) {
                self.command_ended(now, &ended);
            }
        }
    }

    /// Says a line of the program's face.
    pub(crate) fn tell(&mut self, line: &str) {
        self.speech.tell(Level::Notice, line.to_owned());
    }

    /// The same for the log alone, whatever `-v` says.
    pub(crate) fn tell_log(&mut self, line: &str) {
        self.speech.tell_log(line);
    }

    /// Keeps the pid file, to take it away at the end.
    pub(crate) fn keep_pid_file(&mut self, file: PidFile) {
        self.pid_file = Some(file);
    }

    /// The line that says the daemon works.
    pub(crate) fn say_started(&mut self, config: &Path, insecure: bool) {
        if insecure {
            let line = "degraded what=sandbox error=\"the worker runs without its sandbox, as the command line wants\"";
            self.speech.tell(Level::Warning, line.to_owned());
        }
        let doors = self.policy.current().policy.catalogue.doors.len();
        let interfaces = match self.captures.watch() {
            Watch::All => "all".to_owned(),
            Watch::Named(names) => names.join(","),
        };
        let config = crate::wording::quoted(&config.display().to_string());
        let version = env!("CARGO_PKG_VERSION");
        let line = format!("started version={version} config={config} doors={doors} interfaces={interfaces}");
        self.speech.tell(Level::Notice, line);
    }

    /// Says that something does not work yet, and tries again in a while.
    fn degraded(&mut self, now: Duration, what: &str, error: &str) {
        let line = format!("degraded what={what} error={}", crate::wording::quoted(error));
        self.speech.tell(Level::Warning, line);
        self.try_again(now);
    }

    fn try_again(&mut self, now: Duration) {
        self.retry = Some(now.saturating_add(RETRY));
    }
}

fn how(ending: Ending) -> String {
    match ending {
        Ending::Exit(code) => format!("status={code}"),
        Ending::Signal(signal) => format!("signal={signal}"),
    }
}
