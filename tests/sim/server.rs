//! Gate and runner as the daemon ties them together, with a journal, a kernel's set and processes that are pretended.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use aldaba_config::{Disk, Kind, Options, Paint, Policy, load};
use aldaba_gate::knock::Keep;
use aldaba_gate::packet::{Frame, Link};
use aldaba_gate::{DoorId, Events, Gate, Grant, Interface, KnockAction, Rules};
use aldaba_runner::{
    Change, Effect, ElementChange, Entry, JobId, LeaseId, Moment, Outcome, Part, Place, Rendered, Runner,
    record::recover,
};
use fastrand::Rng;

use crate::Disturbance;
use crate::network::{Packet, SERVER};

/// A door as the clients know it.
pub(crate) struct Door {
    pub(crate) name: &'static str,
    /// Ports, and whether they are UDP.
    pub(crate) steps: &'static [(u16, bool)],
}

impl Door {
    pub(crate) fn ports(&self) -> impl Iterator<Item = u16> {
        self.steps.iter().map(|(port, _)| *port)
    }
}

pub(crate) const DOORS: [Door; 3] = [
    Door { name: "command", steps: &[(7391, false), (2804, false), (8816, false)] },
    Door { name: "kernel", steps: &[(5012, false), (1733, true), (4401, false)] },
    Door { name: "long", steps: &[(6001, true), (3377, false), (9004, false), (2222, true), (1234, false)] },
];

const CONFIG: &str = r#"
[[door]]
name = "command"
sequence = "7391,2804,8816"
lease = "20s"
start = ["open", "{ip}"]
stop = ["close", "{ip}"]

[[door]]
name = "kernel"
sequence = "5012,1733:udp,4401"
ports = ["22/tcp"]
lease = "10s"

[[door]]
name = "long"
sequence = "6001:udp,3377,9004,2222:udp,1234"
lease = "30s"
start = ["open", "{ip}"]
stop = ["close", "{ip}"]
"#;

/// Something that opened.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) source: IpAddr,
    pub(crate) door: String,
    pub(crate) at: Duration,
}

struct Process {
    part: Part,
    lease: LeaseId,
    ends: Duration,
    address: String,
}

pub(crate) struct Server {
    random: Rng,
    policy: Policy,
    gate: Gate,
    runner: Runner,
    journal: BTreeMap<LeaseId, Entry>,
    processes: BTreeMap<JobId, Process>,
    /// The kernel's set: when each element ends.
    elements: BTreeMap<IpAddr, Duration>,
    /// What commands have opened and not yet closed, how often.
    open: BTreeMap<(String, String), u32>,
    opened: Vec<Opened>,
    disturbed: Vec<Duration>,
    /// Openings that went on for longer than their lease and some seconds.
    overdue: BTreeSet<String>,
}

#[derive(Default)]
pub(crate) struct Grants(Vec<Grant>);

impl Events for Grants {
    fn wants_stages(&self) -> bool {
        false
    }
    fn stage(&mut self, _: IpAddr, _: DoorId, _: u8, _: u8) {}
    fn expired(&mut self, _: IpAddr, _: DoorId, _: u8, _: u8) {}
    fn grant(&mut self, grant: Grant) {
        self.0.push(grant);
    }
}

pub(crate) fn policy() -> Policy {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("aldaba.toml");
    std::fs::write(&path, CONFIG).expect("a file");
    let loaded = load(Kind::Toml, Path::new(&path), &mut Disk, &Options::default());
    loaded.unwrap_or_else(|report| panic!("{}", report.render(Paint::Plain))).policy
}

fn gate(policy: &Policy, seed: u64) -> Gate {
    gate_with(&policy.gate, seed)
}

pub(crate) fn gate_with(rules: &Rules, seed: u64) -> Gate {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut gate = Gate::new(rules, key).expect("a gate");
    let addresses = [IpAddr::V4(SERVER)].into_iter().collect();
    gate.set_interface(1, Interface { name: "srv0".into(), loopback: false, addresses });
    gate
}

impl Server {
    pub(crate) fn new(seed: u64) -> Self {
        let policy = policy();
        Self {
            random: Rng::with_seed(seed ^ 0xfeed),
            gate: gate(&policy, seed),
            runner: Runner::new(policy.catalogue.clone()),
            policy,
            journal: BTreeMap::new(),
            processes: BTreeMap::new(),
            elements: BTreeMap::new(),
            open: BTreeMap::new(),
            opened: Vec::new(),
            disturbed: Vec::new(),
            overdue: BTreeSet::new(),
        }
    }

    pub(crate) fn frame(&mut self, now: Duration, packet: &Packet) {
        let mut grants = Grants(Vec::new());
        let frame = Frame::whole(Link::Ethernet, &packet.bytes);
        self.gate.frame(now, 1, &frame, &mut grants);
        for Grant { door, source, action, .. } in grants.0 {
            let number = usize::try_from(door.0).expect("few doors");
            let name = self.policy.catalogue.doors[number].name.clone();
            assert_eq!(action, KnockAction::Open);
            self.opened.push(Opened { source, door: name, at: now });
            self.runner.grant(now, aldaba_runner::DoorId(door.0), &aldaba_runner::Ask::by_sequence(source));
            self.perform(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        let ends = self.processes.values().map(|process| process.ends).min();
        [self.runner.poll_timeout(), ends].into_iter().flatten().min()
    }

    /// Lets everything happen that is due until then.
    pub(crate) fn pass_to(&mut self, then: Duration) {
        for _ in 0..10_000 {
            let Some(at) = self.poll_timeout().filter(|at| *at <= then) else { break };
            let ended: Vec<JobId> = self
                .processes
                .iter()
                .filter(|(_, process)| process.ends <= at)
                .map(|(job, _)| *job)
                .collect();
            for job in ended {
                self.end(at, job);
            }
            self.runner.handle_timeout(at);
            self.perform(at);
        }
        self.elements.retain(|_, end| *end > then);
    }

    fn end(&mut self, now: Duration, job: JobId) {
        let Some(process) = self.processes.remove(&job) else { return };
        let name = self.journal.get(&process.lease).map(|entry| entry.record.door.to_string());
        let key = (name.unwrap_or_default(), process.address);
        match process.part {
            Part::Start => *self.open.entry(key).or_default() += 1,
            // Run once more after a crash: harmless.
            Part::Stop => drop(self.open.remove(&key)),
        }
        self.runner.command_finished(now, job, Outcome::Exited(0));
        self.perform(now);
    }

    fn perform(&mut self, now: Duration) {
        while let Some(effect) = self.runner.poll_effect() {
            match effect {
                Effect::Log(_) => {}
                Effect::Journal(changes) => {
                    for change in changes {
                        self.write(change);
                    }
                }
                Effect::Spawn { job, part, lease, command, .. } => {
                    let Rendered::Argv(words) = command else { panic!("no shell here") };
                    assert!(self.journal.contains_key(&lease), "{words:?} started without a journal entry");
                    let ends = now + Duration::from_millis(self.random.u64(1..400));
                    self.processes.insert(job, Process { part, lease, ends, address: words[1].clone() });
                }
                Effect::Signal { jobs, .. } => jobs.into_iter().for_each(|job| self.end(now, job)),
                Effect::Elements(changes) => {
                    for change in changes {
                        self.change_element(now, &change);
                    }
                }
            }
        }
    }

    fn write(&mut self, change: Change) {
        match change {
            Change::Put(record) => {
                let entry = Entry { record: record.clone(), boot: Some([1; 16]), wall_deadline: 0 };
                self.journal.insert(record.id, entry);
            }
            Change::Remove(lease) => drop(self.journal.remove(&lease)),
        }
    }

    fn change_element(&mut self, now: Duration, change: &ElementChange) {
        if let Some(timeout) = change.timeout {
            assert!(matches!(change.place, Place::Own { .. }) && timeout > Duration::ZERO);
            self.elements.insert(change.address, now + timeout);
        } else {
            self.elements.remove(&change.address);
        }
        self.runner.element_done(now, change.lease);
    }

    pub(crate) fn disturb(&mut self, now: Duration, what: Disturbance) {
        self.disturbed.push(now);
        match what {
            Disturbance::Crash => {
                self.gate = gate(&self.policy, self.random.u64(..));
                // Commands under way go on without anybody who knows of them: those that open have opened.
                for process in std::mem::take(&mut self.processes).into_values() {
                    let name = self.journal.get(&process.lease).map(|entry| entry.record.door.to_string());
                    let key = (name.unwrap_or_default(), process.address);
                    if process.part == Part::Start {
                        *self.open.entry(key).or_default() += 1;
                    } else {
                        self.open.remove(&key);
                    }
                }
                let at = Moment { now, boot: Some([1; 16]), wall: Duration::ZERO };
                let recovered = recover(self.journal.values().cloned().collect(), &at);
                self.runner = Runner::new(self.policy.catalogue.clone());
                self.runner.recover(now, recovered);
                self.perform(now);
            }
            Disturbance::Reload => {
                self.gate.reconfigure(now, &self.policy.gate, Keep::Unchanged).expect("the same rules");
                self.runner.reload(now, self.policy.catalogue.clone());
                self.perform(now);
                // It keeps attempts at unchanged doors: no disturbance at all.
                self.disturbed.pop();
            }
            Disturbance::NewWorker => self.gate = gate(&self.policy, self.random.u64(..)),
        }
    }

    /// No client knocks any more; all time passes.
    pub(crate) fn let_everything_end(&mut self, now: Duration) {
        self.pass_to(now + Duration::from_secs(60));
        let open = self.open.iter().filter(|(_, times)| **times > 0);
        self.overdue.extend(open.map(|((door, address), _)| format!("{door} for {address}")));
        self.overdue.extend(self.elements.keys().map(|address| format!("kernel for {address}")));
    }

    pub(crate) fn opened(&self) -> &[Opened] {
        &self.opened
    }

    /// Whether attempts could be lost at no fault of the network.
    pub(crate) fn was_undisturbed(&self, from: Duration, to: Duration) -> bool {
        !self.disturbed.iter().any(|at| (from..=to).contains(at))
    }

    /// Whether a knock then would only have prolonged a lease.
    pub(crate) fn was_open(&self, source: IpAddr, door: &str, at: Duration) -> bool {
        let lasts = Duration::from_secs(30);
        self.opened
            .iter()
            .any(|open| open.source == source && open.door == door && open.at < at && open.at + lasts > at)
    }

    pub(crate) fn assert_all_closed(&self, seed: u64) {
        assert!(self.overdue.is_empty(), "seed {seed}: still open: {:?}", self.overdue);
        assert!(self.journal.is_empty(), "seed {seed}: still in the journal: {:?}", self.journal);
    }
}
