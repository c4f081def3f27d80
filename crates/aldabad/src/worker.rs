//! The worker: reads captured frames, shows them to the gate, asks the monitor to open doors. It has no privileges.
//!
//! It drops them and closes its sandbox before it reads its first byte, of policy or of a frame; all it holds is the
//! channel to the monitor and the capture sockets that come over it (docs/architecture.md, "Processes").

mod confine;
mod ears;
mod eyes;
mod policy;
mod recent;
mod records;
mod reporter;
mod shortage;

use std::collections::{BTreeMap, HashSet};
use std::iter;
use std::num::NonZeroU16;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitCode;
use std::time::Duration;

use aldaba_gate::knock::Keep;
use aldaba_gate::{Gate, Interface, Rehearsal};
use aldaba_sys::capture::RingSize;
use aldaba_sys::channel::{Channel, Received};
use aldaba_sys::poll::{Interest, Waiter};
use aldaba_sys::{capture, clock, inherited, memfd, memory, random};

use zeroize::Zeroizing;

pub use confine::{Confined, Confinement};
use eyes::Eyes;
use records::Records;
use reporter::Reporter;

use crate::control::About;
use crate::counts::Counts;
use crate::fault;
use crate::ipc::{FromWorker, Seen, ToWorker};
use crate::log::aside;
use crate::source::LARGEST_POLICY;

/// A policy that waits for the monitor's word.
struct Candidate {
    generation: u32,
    made: policy::Made,
    keep: Keep,
    stages: bool,
    hits: bool,
    /// The gate, where there is none yet that would become it: what takes a while is done before the monitor waits for it.
    first: Option<Gate>,
}

struct Worker {
    reporter: Reporter,
    eyes: Eyes,
    waiter: Waiter,
    gate: Option<Gate>,
    candidate: Option<Candidate>,
    /// An interface whose names and addresses are still coming.
    naming: Option<(u32, Vec<Interface>)>,
    /// All interfaces named so far, for a gate yet to come.
    interfaces: BTreeMap<u32, Vec<Interface>>,
    /// The port whose datagrams are captured while its socket cannot be had.
    stand_in: Option<NonZeroU16>,
    /// What is to be done with the replay store beside using it.
    records: Records,
    /// It has just got a policy, and what comes with it.
    unsettled: bool,
    /// Played after each policy, and kept: to take it down would bring back pages that are not needed.
    rehearsal: Option<Rehearsal>,
}

/// Why the worker ends.
enum End {
    /// The monitor is gone.
    Channel,
    /// The monitor says what cannot be, or the kernel fails us.
    Broken,
}

/// Runs until the channel ends.
#[must_use]
pub fn run(confinement: &Confinement) -> ExitCode {
    let (channel, eyes, confined) = match enter(confinement) {
        Ok(entered) => entered,
        Err(why) => {
            aside(&format!("aldabad: worker: {why}"));
            return ExitCode::FAILURE;
        }
    };
    let mut worker = Worker::new(channel, eyes);
    worker.reporter.answer(FromWorker::Ready(confined));
    loop {
        match worker.turn() {
            Ok(()) => {}
            Err(End::Channel) => return ExitCode::SUCCESS,
            Err(End::Broken) => return ExitCode::FAILURE,
        }
    }
}

/// For how many microseconds nothing is known to be new.
fn guard_left(gate: &Gate) -> u64 {
    let wall = u64::try_from(fault::wall().as_micros()).unwrap_or(u64::MAX);
    gate.guarded_until().map_or(0, |until| until.0.saturating_sub(wall))
}

/// Takes what it was given, then locks itself in.
fn enter(confinement: &Confinement) -> Result<(Channel, Eyes, Confined), String> {
    let channel = Channel::inherited().map_err(|error| error.to_string())?;
    let sockets = inherited::take(confinement.pnet.len()).map_err(|error| error.to_string())?;
    let mut eyes = Eyes::default();
    for ((socket, (link, index)), capture) in sockets.into_iter().zip(&confinement.pnet).zip(0..) {
        eyes.open_pnet(capture, socket, *link, *index)
            .map_err(|error| format!("capture with pnet: {error}"))?;
    }
    let confined = confinement.enter(&channel)?;
    Ok((channel, eyes, confined))
}

impl Worker {
    fn new(channel: Channel, eyes: Eyes) -> Self {
        Self {
            reporter: Reporter::new(channel),
            eyes,
            waiter: Waiter::default(),
            gate: None,
            candidate: None,
            naming: None,
            interfaces: BTreeMap::new(),
            stand_in: None,
            records: Records::default(),
            unsettled: false,
            rehearsal: None,
        }
    }

    /// Waits for something to happen and does it.
    fn turn(&mut self) -> Result<(), End> {
        let told = self.wait()?;
        let now = clock::boottime();
        self.reporter.set_now(now);
        if told {
            self.receive(now)?;
        }
        if let Some(gate) = &mut self.gate {
            self.records.handle_timeout(now, gate, &mut self.reporter);
            self.eyes.read(now, gate, &mut self.reporter);
        }
        self.reporter.flush();
        self.settle(now);
        self.reporter.tidy();
        Ok(())
    }

    /// Whether the monitor has something to say.
    fn wait(&mut self) -> Result<bool, End> {
        let timeout = self.eyes.rest().or_else(|| {
            let due = [self.reporter.poll_timeout(), self.records.poll_timeout()].into_iter().flatten().min();
            due.map(|at| at.saturating_sub(clock::boottime()))
        });
        let channel = Interest { read: true, write: self.reporter.has_waiting() };
        let channel = iter::once((self.reporter.channel().as_fd(), channel));
        self.waiter.wait(channel.chain(self.eyes.interests()), timeout).map_err(|_| End::Broken)?;
        let mut ready = self.waiter.ready();
        let told = ready.next().is_some_and(|channel| channel);
        self.eyes.woken(ready);
        Ok(told)
    }

    fn receive(&mut self, now: Duration) -> Result<(), End> {
        loop {
            match self.reporter.channel().receive() {
                Ok(Received::Message { bytes, fds }) => {
                    let message = ToWorker::decode(&bytes).map_err(|_| End::Broken)?;
                    self.handle(now, message, fds)?;
                }
                Ok(Received::Nothing) => return Ok(()),
                Ok(Received::End) => return Err(End::Channel),
                Err(_) => return Err(End::Broken),
            }
        }
    }

    fn handle(&mut self, now: Duration, message: ToWorker, fds: Vec<OwnedFd>) -> Result<(), End> {
        match message {
            ToWorker::Prepare { generation, keep_attempts, stages, hits, ipv4_only } => {
                let keep = if keep_attempts { Keep::Unchanged } else { Keep::Nothing };
                self.prepare(&fds, |mut made| {
                    made.rules.ipv6 &= !ipv4_only;
                    Candidate { generation, made, keep, stages, hits, first: None }
                })?;
                self.reporter.answer(match self.candidate {
                    Some(_) => FromWorker::Prepared { generation },
                    None => FromWorker::Unfit { generation },
                });
            }
            ToWorker::Commit { generation } => self.commit(now, generation)?,
            ToWorker::Interface { index, loopback, name } => {
                self.begin_name(index, Interface { name, loopback, addresses: HashSet::new() });
            }
            ToWorker::Address { index, address } => {
                let naming = self.naming.as_mut().filter(|(begun, _)| *begun == index);
                let name = naming.and_then(|(_, names)| names.last_mut());
                name.ok_or(End::Broken)?.addresses.insert(address);
            }
            ToWorker::InterfaceReady { index } => {
                let naming = self.naming.take().filter(|(begun, _)| *begun == index);
                self.set_interface(index, naming.ok_or(End::Broken)?.1);
            }
            ToWorker::InterfaceGone { index } => {
                self.interfaces.remove(&index);
                if let Some(gate) = &mut self.gate {
                    gate.remove_interface(index);
                }
            }
            ToWorker::Capture { capture, on, ring, slot } => {
                let [socket] = <[OwnedFd; 1]>::try_from(fds).map_err(|_| End::Broken)?;
                let size = RingSize::as_told(ring, slot).ok_or(End::Broken)?;
                self.eyes.open(capture, on, socket, size).map_err(|_| End::Broken)?;
            }
            ToWorker::CaptureGone { capture } => {
                self.eyes.close(capture, now, self.gate.as_mut(), &mut self.reporter);
            }
            ToWorker::Store => {
                let [file] = <[OwnedFd; 1]>::try_from(fds).map_err(|_| End::Broken)?;
                self.records.take(file);
                self.use_store(now);
            }
            ToWorker::Listen { stand_in } => self.listen(stand_in, fds)?,
            ToWorker::Ping { number } => self.reporter.answer(FromWorker::Pong { number }),
            ToWorker::Recall { query, about } => self.recall(query, about),
            ToWorker::Count { query } => self.count(query),
            ToWorker::NextSequence { place, sequence } => {
                // For a policy that has gone meanwhile it means nothing.
                let current = place.generation == self.reporter.generation();
                if let Some(gate) = self.gate.as_mut().filter(|_| current) {
                    gate.replace(now, place.door, place.knock, sequence);
                }
            }
        }
        Ok(())
    }

    /// What became of datagrams, for an administrator who asks.
    fn recall(&mut self, query: u32, about: About) {
        let mut seen = Seen::default();
        if let Some(gate) = &self.gate {
            let counters = gate.counters();
            (seen.datagrams, seen.foreign) = (counters.datagrams, counters.foreign);
            seen.guard_left = guard_left(gate);
        }
        self.reporter.recall(query, about, seen);
    }

    /// What has been counted, for an administrator who asks.
    fn count(&mut self, query: u32) {
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let counts = self.gate.as_ref().map_or_else(Counts::default, |gate| Counts {
            gate: *gate.counters(),
            attempts: number(gate.attempts()),
            attempts_room: number(gate.attempts_room()),
            displaced: gate.attempts_displaced(),
            networks: number(gate.networks()),
            waiting: number(self.reporter.waiting()),
            guard_left: guard_left(gate),
        });
        self.reporter.count(query, &counts);
    }

    /// Datagrams come by this socket, or out of frames.
    fn listen(&mut self, stand_in: Option<NonZeroU16>, fds: Vec<OwnedFd>) -> Result<(), End> {
        let mut sockets = fds.into_iter();
        self.eyes.listen(sockets.next());
        self.stand_in = stand_in;
        self.tell_stand_in();
        if sockets.next().is_some() { Err(End::Broken) } else { Ok(()) }
    }

    fn tell_stand_in(&mut self) {
        let port = self.stand_in.map(NonZeroU16::get);
        self.gate.iter_mut().for_each(|gate| gate.stand_in(port));
    }

    fn use_store(&mut self, now: Duration) {
        if let Some(gate) = &mut self.gate {
            self.records.handle_timeout(now, gate, &mut self.reporter);
        }
    }

    /// An interface is told of, or another name of the one that is.
    fn begin_name(&mut self, index: u32, name: Interface) {
        match &mut self.naming {
            Some((begun, names)) if *begun == index => names.push(name),
            naming => *naming = Some((index, vec![name])),
        }
    }

    fn set_interface(&mut self, index: u32, names: Vec<Interface>) {
        if let Some(gate) = &mut self.gate {
            gate.set_interface_of_names(index, names.clone());
        }
        self.interfaces.insert(index, names);
    }

    fn prepare(
        &mut self,
        fds: &[OwnedFd],
        candidate: impl FnOnce(policy::Made) -> Candidate,
    ) -> Result<(), End> {
        let [sealed] = fds else { return Err(End::Broken) };
        let bundle = Zeroizing::new(memfd::read(sealed, LARGEST_POLICY).map_err(|_| End::Broken)?);
        self.candidate = policy::made(&bundle).map(candidate);
        if self.gate.is_none()
            && let Some(candidate) = &mut self.candidate
        {
            let key = random::bytes().map_err(|_| End::Broken)?;
            candidate.first = Some(Gate::new(&candidate.made.rules, key).map_err(|_| End::Broken)?);
        }
        Ok(())
    }

    /// The monitor has switched: from here on doors have the numbers of the new policy.
    fn commit(&mut self, now: Duration, generation: u32) -> Result<(), End> {
        let candidate = self.candidate.take().filter(|candidate| candidate.generation == generation);
        let Candidate { made, keep, stages, hits, first, .. } = candidate.ok_or(End::Broken)?;
        let policy::Made { rules, spa, devices } = made;
        if spa.is_some() {
            self.reporter.remember_refused();
        }
        let mut gate = match self.gate.take() {
            Some(mut gate) => {
                gate.reconfigure(now, &rules, keep).map_err(|_| End::Broken)?;
                gate
            }
            None => self.first_gate(first.ok_or(End::Broken)?),
        };
        gate.serve(now, spa, random::bytes().map_err(|_| End::Broken)?);
        self.gate = Some(gate);
        self.tell_stand_in();
        self.reporter.set_policy(generation, stages, hits);
        self.reporter.set_devices(devices);
        self.records.begin_anew(&mut self.reporter);
        self.use_store(now);
        self.unsettled = true;
        Ok(())
    }

    /// What came with a policy is done, and knocks that waited for it are on their way: what reads a policy, and opens the first captures, is
    /// not needed before the next one. What reads frames is.
    fn settle(&mut self, now: Duration) {
        if std::mem::take(&mut self.unsettled) {
            let hears = self.gate.as_mut().is_some_and(|gate| gate.spa_server().is_some());
            self.rehearsal = Rehearsal::prepare(hears);
            memory::give_back();
            if let Some(rehearsal) = &mut self.rehearsal {
                self.reporter.in_silence(|reporter| rehearsal.play(now, reporter));
            }
            capture::rehearse();
        }
    }

    /// The gate that was made when there was none: interfaces it has not been told of.
    fn first_gate(&self, mut gate: Gate) -> Gate {
        for (index, names) in &self.interfaces {
            gate.set_interface_of_names(*index, names.clone());
        }
        gate
    }
}

#[cfg(test)]
mod tests;
