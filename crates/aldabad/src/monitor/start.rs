//! How the monitor comes to be: everything opened, the worker serving, overdue leases taken over.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use aldaba_config::Capabilities;
use aldaba_gate::Needs;
use aldaba_runner::Runner;
use aldaba_runner::door::Style;
use aldaba_sys::capture::BlankSocket;
use aldaba_sys::clock;
use aldaba_sys::memory;
use aldaba_sys::process;
use aldaba_sys::reexec::Program;
use aldaba_sys::route::LinkWatch;
use aldaba_sys::signals::{Signal, Signals};

use super::Monitor;
use super::captures::{Captures, Changes};
use super::commands::Commands;
use super::control::Control;
use super::firewall::Firewall;
use super::hands::Hands;
use super::health::Health;
use super::history::History;
use super::older::Older;
use super::policy::{InForce, Overrides};
use super::pulse::Pulse;
use super::reload::watch;
use super::service::Service;
use super::spa::SpaHold;
use super::speech::Speech;
use super::standby::Standby;
use super::start_only::StartOnly;
use super::status::Surveys;
use super::trial::Trials;
use super::truth::Truth;
use super::user::WorkerUser;
use super::why::Questions;
use super::workers::{PnetSocket, Workers};
use crate::face::Face;
use crate::fault;
use crate::ipc::ToWorker;
use crate::keeper::KeeperError;
use crate::log::{Level, Log};
use crate::own_table::{self, NotOurs};
use crate::rights::Rights;
use crate::source::{Read, Source};
use crate::watch::Link;
use crate::worker::Confined;

/// What it takes from a descriptor and not as an interruption.
const SIGNALS: [Signal; 6] =
    [Signal::Child, Signal::Hangup, Signal::Interrupt, Signal::Terminate, Signal::User1, Signal::User2];

/// What a daemon is started with.
#[derive(Debug)]
pub struct Setup {
    /// Under which name.
    pub face: Face,
    /// Where the policy comes from.
    pub source: Source,
    /// The policy.
    pub read: Read,
    /// What the command line says above it.
    pub overrides: Overrides,
    /// The log, open.
    pub log: Log,
    /// Where leases are kept if the policy needs that.
    pub state_folder: PathBuf,
    /// What it has kept of its capabilities.
    pub rights: Rights,
    /// Whether the worker's sandbox must hold.
    pub sandbox: bool,
    /// Where it answers the administrator, if anywhere.
    pub control: Option<PathBuf>,
    /// Who is told that it works.
    pub service: Service,
    /// A socket to capture with, where one was opened to see whether that is allowed.
    pub blank: Option<BlankSocket>,
}

/// Why a daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state folder.
    #[error("{0}")]
    State(#[from] KeeperError),
    /// The table it needs.
    #[error("{0}")]
    Table(#[from] NotOurs),
    /// Leases of an earlier run could not be read.
    #[error("{0}")]
    Journal(#[from] aldaba_runner::journal::JournalError),
    /// Something the kernel refuses.
    #[error("{what}: {source}{help}")]
    Kernel {
        /// What was wanted.
        what: &'static str,
        /// What the kernel says.
        source: std::io::Error,
        /// What to do.
        help: &'static str,
    },
    /// The worker does not come up.
    #[error(
        "the worker does not start, or not in time; its own message, if any, stands above\n  help: without one, look at the \
         kernel's log: a call that the sandbox forbids stands there"
    )]
    NoWorker,
}

fn kernel(what: &'static str) -> impl FnOnce(std::io::Error) -> StartError {
    move |source| {
        let denied = source.kind() == std::io::ErrorKind::PermissionDenied;
        let help = if denied { "\n  help: run as root, or with CAP_NET_RAW and CAP_NET_ADMIN" } else { "" };
        StartError::Kernel { what, source, help }
    }
}

impl Monitor {
    /// Opens everything and waits until the worker serves.
    pub fn start(setup: Setup) -> Result<Self, StartError> {
        let Setup { face, source, read, overrides, log, state_folder, rights, sandbox, .. } = setup;
        let Setup { control, service, blank, .. } = setup;
        // Without it no later moment would be better: a daemon that runs and hears nothing helps nobody.
        let blank = blank.map_or_else(BlankSocket::open, Ok).map_err(kernel("cannot capture packets"))?;
        let program = Program::open().map_err(kernel("cannot open this program's own file"))?;
        let signals = Signals::block(&SIGNALS).map_err(kernel("cannot listen to signals"))?;
        memory::keep_one_heap();
        process::adopt_orphans().map_err(kernel("cannot follow what commands leave behind"))?;
        let links = LinkWatch::open().map_err(kernel("cannot watch the network interfaces"))?;
        let clock = fault::watch_steps().map_err(kernel("cannot watch the clock"))?;
        let policy =
            InForce::new(source, read, overrides).map_err(kernel("cannot take the configuration"))?;
        let daemon = &policy.current().policy.daemon;
        let user = WorkerUser::find(daemon.user.as_deref())
            .map_err(kernel("cannot find a free user id for the worker"))?;
        let watch = watch(&daemon.interfaces, &policy.overrides().interfaces);
        let captures = Captures::new(watch, daemon.capture, &Needs::of(&policy.current().rules()), blank);
        let style = if face.is_knockd() { Style::Knockd } else { Style::Native };
        let firewall = Firewall::new(policy.source().path(), &daemon.table, own_table::noted(&state_folder));
        let mut monitor = Self {
            face,
            start_only: StartOnly::of(&policy.current().policy),
            runner: Runner::new(policy.current().policy.catalogue.clone()),
            policy,
            keeper: None,
            commands: Commands::default(),
            firewall,
            truth: Truth::default(),
            missing_programs: BTreeSet::new(),
            workers: Workers::new(program, user, sandbox),
            captures,
            spa_hold: SpaHold::default(),
            pulse: Pulse::new(service.watchdog()),
            service,
            rights,
            may: Capabilities::NONE,
            older: Older::default(),
            links,
            clock,
            standby: Standby::new(),
            signals,
            speech: Speech::new(log, style),
            control: Control::new(control),
            reloading: Vec::new(),
            trials: Trials::default(),
            history: History::default(),
            questions: Questions::default(),
            surveys: Surveys::default(),
            hands: Hands::default(),
            health: Health::new(clock::boottime()),
            state_folder,
            unwritten: false,
            pid_file: None,
            retry: None,
            stopping: None,
        };
        if matches!(&monitor.face, Face::Knockd(knockd) if knockd.lookup) {
            monitor.speech.look_names_up().map_err(kernel("cannot look names up"))?;
        }
        monitor.open_everything()?;
        Ok(monitor)
    }

    fn open_everything(&mut self) -> Result<(), StartError> {
        let now = clock::boottime();
        // Whoever was started for what others have left, and has ended before signals were waited for.
        while let Ok(Some(_)) = process::reap() {}
        // Before anything is changed, or begun.
        self.claim_table_at_start(now)?;
        self.limit_commands();
        self.say_user(now);
        self.open_keeper_at_start(now)?;
        self.say_unreadable(now);
        // It locks itself in and builds the policy while the firewall is made and the kernel makes the rings. Only what pnet reads it has
        // to have at birth.
        let is_first = !self.captures.are_bound_by_worker();
        if is_first {
            self.start_first_worker(now)?;
        }
        self.prepare_firewall(now);
        // Whoever was taken from the registry meanwhile.
        self.hold_to_registry(now);
        self.follow_links(now);
        if !is_first {
            self.start_first_worker(now)?;
        }
        // From here on it is waited for.
        self.pulse.expect(clock::boottime());
        while !self.workers.is_serving() {
            // One that takes too long is ended.
            self.turn();
            if !self.workers.is_living() {
                return Err(StartError::NoWorker);
            }
        }
        self.open_control(now);
        if !self.face.is_knockd() {
            self.write_process_number(now);
        }
        Ok(())
    }

    fn start_first_worker(&mut self, now: Duration) -> Result<(), StartError> {
        let (pnet, room) = (self.captures_for_pnet(now), self.room_for_worker());
        self.workers.start(now, &pnet, room).map_err(kernel("cannot start the worker"))?;
        self.prepare_worker_again(now);
        Ok(())
    }

    /// Starts the next worker.
    pub(super) fn start_worker(&mut self, now: Duration) {
        let (pnet, room) = (self.captures_for_pnet(now), self.room_for_worker());
        match self.workers.start(now, &pnet, room) {
            Ok(()) => {
                self.pulse.expect(now);
                self.prepare_worker_again(now);
            }
            Err(error) => {
                self.workers.plan(now);
                self.degraded(now, "worker", &error.to_string());
            }
        }
    }

    /// What a new worker is to bind; what it cannot get is said, and tried again.
    fn captures_for_pnet(&mut self, now: Duration) -> Vec<PnetSocket> {
        let (sockets, changes) = self.captures.for_pnet();
        self.say_changes(now, changes);
        sockets
    }

    /// The worker has locked itself in, and comes to read the policy.
    pub(super) fn worker_ready(&mut self, now: Duration, confined: Confined) {
        if !self.workers.set_ready(confined) {
            self.end_worker(now);
        }
    }

    /// Hands a policy to a worker that has none: the one in force, or one that the worker before has refused. To a new one at once, so that it
    /// need not wait for the monitor: it reads nothing before it has locked itself in.
    pub(super) fn prepare_worker_again(&mut self, now: Duration) {
        let version = self.policy.candidate().unwrap_or_else(|| self.policy.current());
        let (generation, sealed) = (version.generation, version.sealed.try_clone());
        if self.prepare_worker(generation, sealed).is_err() {
            self.end_worker(now);
        }
    }

    /// It has said what makes no sense in its state.
    pub(super) fn end_worker(&mut self, now: Duration) {
        self.workers.end(now);
        self.worker_ended(now, "why=lost");
    }

    /// The worker has built the policy that is in force: it serves from now on.
    pub(super) fn serve(&mut self, now: Duration, generation: u32) {
        self.start_only.worker_has(&self.policy.current().policy);
        self.hand_over_spa(now);
        self.workers.tell(&ToWorker::Commit { generation }, &[]);
        for (place, sequence) in self.policy.one_time_now() {
            self.workers.tell(&ToWorker::NextSequence { place, sequence }, &[]);
        }
        let changes = self.captures.tell_all(&mut self.workers);
        self.say_changes(now, changes);
        self.workers.set_serving();
        self.pulse.begin(now);
        self.let_knocks_go_first(now);
        self.plan_standby(now);
        self.say_worker_started();
    }

    /// Without root's capabilities a reload reads what root owns, or everybody may read.
    pub(super) fn say_unreadable(&mut self, now: Duration) {
        let unreadable = self.rights.unreadable(self.policy.source().path(), &self.policy.current().policy);
        let errors = unreadable.into_iter().map(|path| {
            format!(
                "a reload cannot read {0}: the daemon has given up what root may beyond its own files; run: chown root {0}",
                path.display()
            )
        });
        for error in errors.collect::<Vec<_>>() {
            self.health.note(now, "reload", &error);
            let line = format!("degraded what=reload error={}", crate::wording::quoted(&error));
            self.speech.tell(Level::Warning, line);
        }
    }

    /// As `knockd` only where something is missing.
    fn say_worker_started(&mut self) {
        let (pid, lacks) = (self.workers.pid().unwrap_or_default(), self.workers.lacks());
        if lacks.is_empty() {
            if !self.face.is_knockd() {
                self.speech.tell(Level::Info, format!("worker-started pid={pid}"));
            }
            return;
        }
        let line = format!("worker-started pid={pid} lacks={}", lacks.join(","));
        if self.face.is_knockd() {
            self.speech.tell_log(&line);
        } else {
            self.speech.tell(Level::Warning, line);
        }
    }

    /// A worker has ended; the next one is planned. Where it was to build a policy, one that has seen no packet has the last word:
    /// the first may have been taken over, and like the old policy better; the policy may end whoever builds it.
    pub(super) fn worker_ended(&mut self, now: Duration, how: &str) {
        let candidate = self.policy.candidate().map(|candidate| candidate.generation);
        let Some(generation) = candidate else { return self.say_worker_ended(now, how) };
        let is_first = self.policy.is_first_death(generation);
        if is_first {
            self.workers.replace(now);
        }
        self.say_worker_ended(now, how);
        if !is_first {
            let report = "the worker that was to build this policy has ended, and a new one too; \
                          the log says how (worker-ended)\n";
            self.candidate_refused(now, generation, report.to_owned());
        }
    }

    pub(super) fn say_worker_ended(&mut self, now: Duration, how: &str) {
        self.pulse.end();
        let again = self.workers.poll_timeout().map_or(Duration::ZERO, |due| due.saturating_sub(now));
        let line = format!("worker-ended {how} again-in={}", crate::wording::short(again));
        self.speech.tell(Level::Error, line);
    }

    /// Looks at the network interfaces and follows what changed.
    pub(super) fn follow_links(&mut self, now: Duration) {
        let links = match self.links.poll() {
            Ok(interfaces) => {
                self.health.clear("interfaces");
                interfaces.iter().map(Link::from).collect::<Vec<Link>>()
            }
            Err(error) => {
                self.health.note(now, "interfaces", &error.to_string());
                self.degraded(now, "interfaces", &error.to_string());
                return;
            }
        };
        let changes = self.captures.follow(&links, &mut self.workers);
        self.say_changes(now, changes);
    }

    /// Says what the kernel has dropped because the worker did not keep up: once a minute while it lasts.
    pub(super) fn look_for_drops(&mut self, now: Duration) {
        for (name, packets) in self.captures.poll_drops(now) {
            let line =
                format!("packets-dropped interface={} packets={packets}", crate::wording::quoted(&name));
            self.speech.tell(Level::Warning, line);
        }
        self.look_for_lost_datagrams();
    }

    fn say_changes(&mut self, now: Duration, changes: Changes) {
        if !self.face.is_knockd() {
            for (what, names) in [("interface-found", changes.found), ("interface-gone", changes.gone)] {
                for name in names {
                    self.speech.tell(Level::Notice, format!("{what} name={}", crate::wording::quoted(&name)));
                }
            }
        }
        for (name, error) in changes.failed {
            self.degraded(now, "capture", &format!("{name}: {error}"));
        }
        self.look_at_filters(now);
        if changes.needs_new_worker && self.workers.is_living() {
            self.replace_worker(now);
        }
    }

    /// Says it once where the kernel has no room for a whole filter. Doors open all the same.
    pub(super) fn look_at_filters(&mut self, now: Duration) {
        const WHAT: &str = "filter-widened";
        let on = self.captures.short_of_room().join(", ");
        if on.is_empty() {
            self.health.clear(WHAT);
            return;
        }
        let error =
            format!("{on}: the kernel has no room for the whole filter: packets to ports of no door pass");
        if !self.health.is_noted_as(WHAT, &error) {
            self.health.note(now, WHAT, &error);
            let line = format!("degraded what={WHAT} error={}", crate::wording::quoted(&error));
            self.speech.tell(Level::Warning, line);
        }
    }

    /// Ends the worker and starts the next one at once. A policy that was under way to it comes into force with that.
    pub(super) fn replace_worker(&mut self, now: Duration) {
        self.workers.replace(now);
        self.pulse.end();
        if self.policy.switch_now() {
            self.put_into_force(now);
        }
    }
}
