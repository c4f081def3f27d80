//! The worker: reads captured frames, shows them to the gate, asks the monitor to open doors. It has no privileges.
//!
//! It drops them and closes its sandbox before it reads its first byte, of policy or of a frame; all it holds is the
//! channel to the monitor and the capture sockets that come over it (docs/architecture.md, "Who holds what").

mod confine;
mod eyes;
mod policy;
mod reporter;

use std::process::ExitCode;
use std::time::Duration;

use aldaba_gate::knock::Keep;
use aldaba_gate::{Gate, Interface, Rules};
use aldaba_sys::channel::{Channel, Received};
use aldaba_sys::{clock, memfd, poll};

pub use confine::Confinement;
use eyes::Eyes;
use reporter::Reporter;

use crate::ipc::{FromWorker, ToWorker};

/// The largest policy, with all its files.
const LARGEST_POLICY: usize = 16 << 20;

/// A policy that waits for the monitor's word.
struct Candidate {
    generation: u32,
    rules: Rules,
    keep: Keep,
    stages: bool,
}

struct Worker {
    reporter: Reporter,
    eyes: Eyes,
    gate: Option<Gate>,
    candidate: Option<Candidate>,
    /// An interface whose addresses are still coming.
    naming: Option<(u32, Interface)>,
    /// Interfaces named before the first policy.
    known: Vec<(u32, Interface)>,
}

/// Why the worker ends.
enum End {
    /// The monitor is gone.
    Channel,
    /// The monitor says what cannot be, or the kernel fails us.
    Broken,
}

/// Runs until the channel ends.
pub fn run(confinement: &Confinement) -> ExitCode {
    let Ok(channel) = Channel::inherited() else { return ExitCode::FAILURE };
    let Ok(kept_uid) = confinement.enter(&channel) else { return ExitCode::FAILURE };
    let mut worker = Worker {
        reporter: Reporter::new(channel),
        eyes: Eyes::default(),
        gate: None,
        candidate: None,
        naming: None,
        known: Vec::new(),
    };
    worker.reporter.insist(FromWorker::Ready { kept_uid });
    loop {
        match worker.turn() {
            Ok(()) => {}
            Err(End::Channel) => return ExitCode::SUCCESS,
            Err(End::Broken) => return ExitCode::FAILURE,
        }
    }
}

impl Worker {
    /// Waits for something to happen and does it.
    fn turn(&mut self) -> Result<(), End> {
        self.wait()?;
        let now = clock::boottime();
        self.reporter.set_now(now);
        self.receive()?;
        if let Some(gate) = &mut self.gate {
            self.eyes.read(now, gate, &mut self.reporter);
        }
        self.reporter.flush();
        Ok(())
    }

    fn wait(&mut self) -> Result<(), End> {
        if self.eyes.busy() {
            return Ok(());
        }
        let timeout = self.reporter.poll_timeout().map(|at| at.saturating_sub(clock::boottime()));
        let mut waiting = self.eyes.waiting();
        let channel = poll::Interest { read: true, write: self.reporter.has_waiting() };
        waiting.push((self.reporter.channel().as_fd(), channel));
        poll::wait(&waiting, timeout).map(drop).map_err(|_| End::Broken)
    }

    fn receive(&mut self) -> Result<(), End> {
        loop {
            match self.reporter.channel().receive() {
                Ok(Received::Message { bytes, fds }) => {
                    let message = ToWorker::decode(&bytes).map_err(|_| End::Broken)?;
                    self.handle(message, fds)?;
                }
                Ok(Received::Nothing) => return Ok(()),
                Ok(Received::End) => return Err(End::Channel),
                Err(_) => return Err(End::Broken),
            }
        }
    }
}
