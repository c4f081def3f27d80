//! The monitor: holds the privileges, the doors' catalogue, the leases and the log. It never looks at a packet.
//!
//! One loop over one poll call. Who holds what: docs/architecture.md; what the worker may ask: spec/ipc.md; what a
//! lease does: spec/leases.md.

mod captures;
mod commands;
mod doors;
mod effects;
mod policy;
mod requests;
mod speech;
mod workers;

use std::os::fd::{AsFd as _, BorrowedFd};
use std::process::ExitCode;
use std::time::Duration;

use aldaba_runner::Runner;
use aldaba_sys::signals::{Signal, Signals};
use aldaba_sys::{clock, poll, process};

use crate::closer::CloserHandle;
use crate::face::Face;
use crate::keeper::Keeper;

use captures::Captures;
use commands::Commands;
use doors::Firewall;
pub use policy::InForce;
use speech::Speech;
use workers::Workers;

/// All the monitor is made of.
pub struct Monitor {
    face: Face,
    policy: InForce,
    runner: Runner,
    keeper: Keeper,
    commands: Commands,
    firewall: Firewall,
    workers: Workers,
    captures: Captures,
    closer: Option<CloserHandle>,
    signals: Signals,
    speech: Speech,
    stopping: Option<Signal>,
}

/// What the loop woke for.
enum Woken {
    Signals,
    Worker,
    Links,
    Output(usize),
}

impl Monitor {
    /// Runs until a signal ends it; the exit code is the face's.
    pub fn run(mut self) -> ExitCode {
        loop {
            let now = clock::boottime();
            self.runner.handle_timeout(now);
            self.perform(now);
            if let Some(signal) = self.stopping
                && self.runner.is_drained()
            {
                return self.finish(signal);
            }
            self.wait();
        }
    }

    /// Waits for the next thing to do, and does what came in.
    fn wait(&mut self) {
        let now = clock::boottime();
        let mut interests: Vec<(BorrowedFd<'_>, poll::Interest)> = Vec::with_capacity(8);
        let mut woken_for = Vec::with_capacity(8);
        interests.push((self.signals.as_fd(), poll::Interest::READ));
        woken_for.push(Woken::Signals);
        interests.push((self.captures.links_fd(), poll::Interest::READ));
        woken_for.push(Woken::Links);
        if let Some(channel) = self.workers.channel() {
            interests.push((channel.as_fd(), poll::Interest::READ));
            woken_for.push(Woken::Worker);
        }
        for (index, output) in self.commands.outputs() {
            interests.push((output, poll::Interest::READ));
            woken_for.push(Woken::Output(index));
        }
        let ready = poll::wait(&interests, self.next_timeout(now)).unwrap_or_default();
        drop(interests);
        let now = clock::boottime();
        for (ready, woken) in ready.into_iter().zip(woken_for) {
            if ready {
                self.handle(now, &woken);
            }
        }
        self.handle_timeouts(now);
    }
}
