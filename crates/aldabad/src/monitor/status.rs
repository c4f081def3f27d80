//! How the daemon is, put together when somebody asks. The worker is asked for what it has counted and not waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use aldaba_config::Receive;
use aldaba_gate::packet::Refused;
use aldaba_gate::spa::{Refusal, Server};
use aldaba_gate::{Counters, Dropped};

use super::Monitor;
use super::control::ClientId;
use super::why::{millis, state_of};
use crate::control::{
    Answer, Attempts, Commands, Configuration, DatagramCounts, DatagramStatus, Firewall, FirewallState,
    Journal, JournalState, LeaseCounts, LeaseState, LogStatus, Numbers, Packets, Status, StoreState, Worker,
};
use crate::counts::{Counts, PAGE, PAGES};
use crate::fault;
use crate::ipc::ToWorker;
use crate::watch::Link;
use crate::wording::reason_name;

/// How long the worker may take; then the rest is told without its numbers.
const PATIENCE: Duration = Duration::from_millis(500);

/// A question that waits for the worker's numbers.
#[derive(Debug)]
struct Survey {
    client: ClientId,
    query: u32,
    due: Duration,
    counts: Counts,
    /// A bit for each page that is still to come.
    missing: u8,
}

/// The questions that wait; no more than there can be clients.
#[derive(Debug, Default)]
pub(super) struct Surveys {
    waiting: Vec<Survey>,
    last: u32,
}

impl Surveys {
    /// When the first has waited long enough.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.waiting.iter().map(|survey| survey.due).min()
    }
}

impl Monitor {
    /// A client asks how the daemon is.
    pub(super) fn handle_status(&mut self, now: Duration, client: ClientId) {
        if !self.workers.is_serving() {
            self.answer_status(now, client, None);
            return;
        }
        let query = self.surveys.last.wrapping_add(1);
        self.surveys.last = query;
        self.workers.tell(&ToWorker::Count { query }, &[]);
        let (due, missing) = (now.saturating_add(PATIENCE), (1 << PAGES) - 1);
        self.surveys.waiting.push(Survey { client, query, due, counts: Counts::default(), missing });
    }

    /// The worker tells a page of its numbers.
    pub(super) fn handle_counted(&mut self, now: Duration, query: u32, page: u8, values: &[u64; PAGE]) {
        let Some(survey) = self.surveys.waiting.iter_mut().find(|survey| survey.query == query) else {
            return;
        };
        survey.counts.put(page, values);
        survey.missing &= !(1 << page);
        let is_whole = |survey: &mut Survey| survey.missing == 0;
        for survey in self.surveys.waiting.extract_if(.., is_whole).collect::<Vec<_>>() {
            self.answer_status(now, survey.client, Some(&survey.counts));
        }
    }

    /// Answers those who have waited for the worker long enough.
    pub(super) fn handle_surveys_timeout(&mut self, now: Duration) {
        let is_due = |survey: &mut Survey| survey.due <= now;
        for survey in self.surveys.waiting.extract_if(.., is_due).collect::<Vec<_>>() {
            self.answer_status(now, survey.client, None);
        }
    }

    fn answer_status(&mut self, now: Duration, client: ClientId, counts: Option<&Counts>) {
        let status = self.status(now, counts);
        self.control.answer(now, client, &Answer::Status(Box::new(status)));
    }

    fn status(&mut self, now: Duration, counts: Option<&Counts>) -> Status {
        let links: Vec<Link> = self.links.known().iter().map(Link::from).collect();
        let guard_left = counts.map(|counts| Duration::from_micros(counts.guard_left));
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_ms: millis(now.saturating_sub(self.health.started)),
            stopping: self.stopping.is_some(),
            degraded: self.degraded_now(now, guard_left),
            configuration: self.configuration(now),
            interfaces: self.captures.interfaces(&links),
            worker: Worker {
                pid: self.workers.pid(),
                serving: self.workers.is_serving(),
                restarts: self.workers.restarts(),
                confined: self.workers.confined(),
                answered: counts.is_some(),
                waiting: counts.map_or(0, |counts| counts.waiting),
            },
            packets: counts.map(|counts| packets(&counts.gate)),
            attempts: counts.map(|counts| Attempts {
                under_way: counts.attempts,
                room: counts.attempts_room,
                displaced: counts.displaced.all,
                displaced_advanced: counts.displaced.advanced,
            }),
            datagrams: self.datagram_status(counts),
            refused: self.refused(),
            commands: self.command_status(),
            leases: self.lease_counts(now),
            journal: self.journal_status(),
            firewall: self.firewall_status(),
            log: LogStatus { left_out: self.speech.left_out_so_far(), lost: self.speech.log().lost() },
        }
    }

    fn configuration(&self, now: Duration) -> Configuration {
        let policy = &self.policy.current().policy;
        Configuration {
            path: self.policy.source().path().display().to_string(),
            in_force_ms: millis(now.saturating_sub(self.health.in_force)),
            doors: number(policy.catalogue.doors.len()),
            devices: number(self.policy.current().registry.devices().len()),
        }
    }

    fn datagram_status(&mut self, counts: Option<&Counts>) -> Option<DatagramStatus> {
        let losses = self.spa_hold.port.losses();
        let spa = self.policy.current().policy.spa.as_ref()?;
        let store = match (self.spa_hold.is_failing(), self.spa_hold.has_store()) {
            (true, _) => StoreState::Failing,
            (false, true) => StoreState::Working,
            (false, false) => StoreState::NotReady,
        };
        let receive = match spa.receive {
            Receive::Capture => "capture",
            Receive::Listen => "listen",
        };
        Some(DatagramStatus {
            port: spa.port,
            receive: receive.to_owned(),
            store,
            // Whatever is left of a millisecond is still time to wait.
            guard_left_ms: counts.map_or(0, |counts| counts.guard_left.div_ceil(1000)),
            clock_synchronised: fault::synchronised(),
            drops: losses.map(|losses| losses.drops),
            kernel_refused: losses.map(|losses| losses.refused),
            counted: counts.map(datagrams),
        })
    }

    fn refused(&self) -> Numbers {
        let refused = &self.runner.counters().refused;
        let mut refused: Numbers =
            refused.iter().map(|(reason, count)| (reason_name(*reason).to_owned(), *count)).collect();
        refused.insert("requests-lost".to_owned(), self.health.requests_lost());
        refused
    }

    fn command_status(&self) -> Commands {
        let (counters, limits) = (self.runner.counters(), self.policy.current().policy.catalogue.limits);
        Commands {
            running: number(self.runner.running()),
            running_room: number(limits.running),
            waiting: number(self.runner.waiting()),
            waiting_room: number(limits.waiting),
            stops_waiting: number(self.runner.stops_waiting()),
            started: counters.commands,
            failed: counters.commands_failed,
            over_time: counters.over_time,
            stops_failed: counters.stops_failed,
        }
    }

    fn lease_counts(&self, now: Duration) -> LeaseCounts {
        let counters = self.runner.counters();
        let mut counts = LeaseCounts {
            door_room: number(self.policy.current().policy.catalogue.limits.leases_per_door),
            opened: counters.opened,
            renewed: counters.renewed,
            closed: counters.closed,
            ..LeaseCounts::default()
        };
        let mut of_doors: BTreeMap<&str, u64> = BTreeMap::new();
        for lease in self.runner.leases() {
            let count = match state_of(lease) {
                LeaseState::Opening => &mut counts.opening,
                LeaseState::Open => {
                    let left = millis(lease.deadline().saturating_sub(now));
                    counts.first_end_ms = Some(counts.first_end_ms.map_or(left, |first| first.min(left)));
                    &mut counts.open
                }
                LeaseState::Lost => &mut counts.lost,
                LeaseState::Closing => &mut counts.closing,
                LeaseState::CannotClose => &mut counts.cannot_close,
            };
            *count = count.saturating_add(1);
            let of_door = of_doors.entry(lease.door()).or_default();
            *of_door = of_door.saturating_add(1);
        }
        counts.fullest_door = of_doors.values().copied().max().unwrap_or_default();
        counts
    }

    fn journal_status(&self) -> Journal {
        let state = match (self.health.is_noted("journal"), &self.keeper) {
            (true, _) => JournalState::Failing,
            (false, Some(_)) => JournalState::Working,
            (false, None) => JournalState::None,
        };
        Journal {
            state,
            folder: self.state_folder.display().to_string(),
            failed: self.runner.counters().journal_failed,
            closer: self.standby.closer().is_some(),
        }
    }

    fn firewall_status(&self) -> Firewall {
        let state = if self.health.is_noted("firewall") {
            FirewallState::NotReady
        } else if self.firewall.is_used() {
            FirewallState::Ready
        } else {
            FirewallState::NotNeeded
        };
        Firewall { state, table: self.firewall.own_table_name().map(str::to_owned) }
    }
}

fn packets(gate: &Counters) -> Packets {
    let sequences = [
        ("invisible", gate.invisible),
        ("ignored", gate.ignored),
        ("started", gate.started),
        ("advanced", gate.advanced),
        ("completed", gate.completed),
        ("broken", gate.broken),
    ];
    Packets {
        frames: gate.frames,
        refused: named(&Refused::NAMES, &gate.refused_by),
        dropped: named(&Dropped::NAMES, &gate.dropped_by),
        sequences: sequences.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
    }
}

fn datagrams(counts: &Counts) -> DatagramCounts {
    DatagramCounts {
        arrived: counts.gate.datagrams,
        admitted: counts.gate.admitted,
        foreign: counts.gate.foreign,
        refused: named(&Refusal::NAMES, &counts.gate.rejected_by),
        networks: counts.networks,
        networks_room: number(Server::NETWORKS),
    }
}

fn named(names: &[&str], counts: &[u64]) -> Numbers {
    names.iter().zip(counts).map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn number(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
