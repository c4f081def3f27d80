//! The policy in force, the one that waits for the worker, and the doors' numbers in both.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use aldaba_config::Policy;
use aldaba_gate::knock::Sequence;
use aldaba_gate::spa::Registry;
use aldaba_gate::{DoorId, Rules, SequenceSource};
use aldaba_sys::{memfd, random};

use crate::ipc::Place;
use crate::one_time::OneTimeFile;
use crate::source::{LARGEST_POLICY, Read, Source, Texts};

/// What the command line says above the configuration.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Interfaces to capture on.
    pub interfaces: Vec<String>,
    /// IPv6 is not looked at.
    pub ipv4_only: bool,
    /// Doors stay open at the end where the configuration does not say otherwise.
    pub keep: bool,
    /// Whether somebody else than the configuration says where state is kept.
    pub state_dir: bool,
}

/// A policy with everything that belongs to it.
#[derive(Debug)]
pub(super) struct Version {
    /// Its number; requests name it.
    pub generation: u32,
    /// What it says; its devices are in the registry.
    pub policy: Policy,
    /// Its devices, found by their keys.
    pub registry: Registry,
    /// What it was made of, for every worker.
    pub sealed: OwnedFd,
    /// The length of that.
    pub bytes: usize,
    /// Its configuration's own files.
    pub texts: Texts,
    /// The files of its one-time knocks.
    pub one_time: Vec<OneTimeFile>,
    /// It was last in force before this start, and stands in for a configuration with so many errors.
    pub stands_in_for: Option<usize>,
}

/// The policy in force.
#[derive(Debug)]
pub(super) struct InForce {
    source: Source,
    overrides: Overrides,
    current: Version,
    /// The number of the policy that was in force before, and its doors' names, for requests that were under way.
    before: (u32, Vec<String>),
    /// The number of the latest policy, whatever became of it: none is given twice.
    latest: u32,
    candidate: Option<Version>,
    /// The last candidate at which a worker has ended.
    deadly: Option<u32>,
    /// What a policy on trial came after, to go back to.
    fallback: Fallback,
}

/// The policy to go back to.
#[derive(Debug, Default)]
enum Fallback {
    /// None is on trial.
    #[default]
    None,
    /// The one in force when this number comes into force.
    At(u32),
    /// This one.
    Held(Box<Version>),
}

impl Version {
    fn new(generation: u32, read: Read, overrides: &Overrides) -> io::Result<Self> {
        let Read { loaded, bundle, texts, stands_in_for } = read;
        let mut policy = loaded.policy;
        if bundle.len() > LARGEST_POLICY {
            let message =
                format!("the configuration has more than {} MiB with all its files", LARGEST_POLICY >> 20);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        let (sealed, bytes) = (memfd::sealed("aldaba-policy", &bundle)?, bundle.len());
        let devices = policy.spa.as_mut().map(|spa| std::mem::take(&mut spa.devices)).unwrap_or_default();
        let registry = Registry::new(devices, random::bytes()?).map_err(io::Error::other)?;
        policy.gate.ipv6 &= !overrides.ipv4_only;
        let open = |of: &aldaba_config::OneTime| {
            let file = OneTimeFile::open(of, written(&policy.gate, of.door, of.knock));
            file.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", of.path.display())))
        };
        let one_time = policy.one_time.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { generation, policy, registry, sealed, bytes, texts, one_time, stands_in_for })
    }

    /// The gate's rules with the one-time sequences that are current now.
    pub(super) fn rules(&self) -> Rules {
        let mut rules = self.policy.gate.clone();
        for file in &self.one_time {
            let door = usize::try_from(file.door.0).ok().and_then(|door| rules.doors.get_mut(door));
            if let Some(knock) = door.and_then(|door| door.knocks.get_mut(usize::from(file.knock))) {
                knock.source = SequenceSource::OneTime(file.current().cloned());
            }
        }
        rules
    }

    /// One-time sequences that another policy has used up meanwhile are used up here too.
    fn use_up_as(&mut self, other: &Self) -> io::Result<()> {
        let used: Vec<&Path> =
            other.one_time.iter().filter(|file| file.is_used()).map(OneTimeFile::path).collect();
        let mut of_same = self.one_time.iter_mut().filter(|file| used.contains(&file.path()));
        of_same.try_for_each(OneTimeFile::look_again)
    }

    fn find(&self, name: &str) -> Option<DoorId> {
        let index = self.policy.gate.doors.iter().position(|door| door.name == name)?;
        u32::try_from(index).ok().map(DoorId)
    }

    fn names(&self) -> Vec<String> {
        self.policy.gate.doors.iter().map(|door| door.name.clone()).collect()
    }
}

fn written(rules: &Rules, door: DoorId, knock: u8) -> Option<&Sequence> {
    let door = rules.doors.get(usize::try_from(door.0).ok()?)?;
    match &door.knocks.get(usize::from(knock))?.source {
        SequenceSource::Fixed(sequence) => Some(sequence),
        SequenceSource::OneTime(current) => current.as_ref(),
    }
}

impl InForce {
    /// The first policy of a daemon.
    pub(super) fn new(source: Source, read: Read, overrides: Overrides) -> io::Result<Self> {
        let latest = 1;
        let current = Version::new(latest, read, &overrides)?;
        let before = (latest, Vec::new());
        Ok(Self {
            source,
            overrides,
            current,
            before,
            latest,
            candidate: None,
            deadly: None,
            fallback: Fallback::None,
        })
    }

    /// The policy in force.
    pub(super) const fn current(&self) -> &Version {
        &self.current
    }

    /// The policy that waits for the worker.
    pub(super) const fn candidate(&self) -> Option<&Version> {
        self.candidate.as_ref()
    }

    /// The one-time sequences that are current now, for a worker that knows only how the files were.
    pub(super) fn one_time_now(&self) -> Vec<(Place, Option<Sequence>)> {
        let generation = self.current.generation;
        let files = self.current.one_time.iter();
        files
            .map(|file| (Place { generation, door: file.door, knock: file.knock }, file.current().cloned()))
            .collect()
    }

    /// The same, to use up a one-time sequence.
    pub(super) const fn current_mut(&mut self) -> &mut Version {
        &mut self.current
    }

    /// Where it comes from.
    pub(super) const fn source(&self) -> &Source {
        &self.source
    }

    /// What the command line says above it.
    pub(super) const fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    /// Takes a new policy as the candidate, in place of one that waits.
    pub(super) fn propose(&mut self, read: Read) -> io::Result<&Version> {
        let generation = self.next_generation();
        let version = Version::new(generation, read, &self.overrides)?;
        Ok(self.candidate.insert(version))
    }

    const fn next_generation(&mut self) -> u32 {
        self.latest = self.latest.wrapping_add(1);
        self.latest
    }

    /// The same for one on trial: what is in force when it comes is kept, to go back to.
    pub(super) fn propose_on_trial(&mut self, read: Read) -> io::Result<&Version> {
        let generation = self.propose(read)?.generation;
        self.fallback = Fallback::At(generation);
        self.candidate.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Takes the policy before the trial as the candidate; its number, if there is one. Nothing has to be read for that, so
    /// it comes back whatever has become of its files.
    pub(super) fn propose_fallback(&mut self) -> Option<u32> {
        let Fallback::Held(mut version) = std::mem::take(&mut self.fallback) else { return None };
        if version.use_up_as(&self.current).is_err() {
            // What cannot be read any more might be used twice.
            version.one_time.iter_mut().for_each(OneTimeFile::give_up);
        }
        version.generation = self.next_generation();
        Some(self.candidate.insert(*version).generation)
    }

    /// The trial is over: what is in force stays.
    pub(super) fn forget_fallback(&mut self) {
        self.fallback = Fallback::None;
    }

    /// The candidate of this number comes into force; whether there was one.
    pub(super) fn switch(&mut self, generation: u32) -> bool {
        let Some(candidate) = self.candidate.take_if(|candidate| candidate.generation == generation) else {
            return false;
        };
        self.before = (self.current.generation, self.current.names());
        let last = std::mem::replace(&mut self.current, candidate);
        if matches!(self.fallback, Fallback::At(at) if at == generation) {
            self.fallback = Fallback::Held(Box::new(last));
        }
        true
    }

    /// The candidate comes into force at once: there is no worker to ask.
    pub(super) fn switch_now(&mut self) -> bool {
        self.candidate.as_ref().map(|candidate| candidate.generation).is_some_and(|it| self.switch(it))
    }

    /// A worker has ended that was to build the candidate of this number; whether it is the first one.
    pub(super) fn is_first_death(&mut self, generation: u32) -> bool {
        self.deadly.replace(generation) != Some(generation)
    }

    /// The candidate of this number is dropped; whether there was one.
    pub(super) fn refuse(&mut self, generation: u32) -> bool {
        self.candidate.take_if(|candidate| candidate.generation == generation).is_some()
    }

    /// The door a message of the worker means, in today's numbers: of this policy, or of the one in force before by name.
    pub(super) fn door(&self, place: Place) -> Option<DoorId> {
        let index = usize::try_from(place.door.0).ok()?;
        if place.generation == self.current.generation {
            return (index < self.current.policy.gate.doors.len()).then_some(place.door);
        }
        let (generation, names) = &self.before;
        let name = names.get(index).filter(|_| place.generation == *generation)?;
        self.current.find(name)
    }

    /// A door's name.
    pub(super) fn name(&self, door: DoorId) -> &str {
        let index = usize::try_from(door.0).unwrap_or(usize::MAX);
        self.current.policy.gate.doors.get(index).map_or("?", |door| &door.name)
    }
}
