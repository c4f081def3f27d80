//! The worker's life, seen from the monitor: started, told the policy, ended, started again.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use aldaba_sys::channel::{Channel, Received, Sent};
use aldaba_sys::privileges::Room;
use aldaba_sys::process::{self, Kill};
use aldaba_sys::reexec::{self, Program, Started, Surroundings};

use super::back_off::BackOff;
use super::owed::Owed;
use super::user::WorkerUser;
use crate::control;
use crate::fault;
use crate::ipc::{FromWorker, SIZE, ToWorker};
use crate::role::Role;
use crate::worker::{Confined, Confinement};

/// Messages that may wait for a worker that is slow to read; one that lets more come is ended.
const WAITING: usize = 65_536;

/// Starts workers and holds the channel to the one that lives.
#[derive(Debug)]
pub(super) struct Workers {
    program: Program,
    user: WorkerUser,
    sandbox: bool,
    living: Option<Living>,
    /// How many were started.
    started: u64,
    back_off: BackOff,
    /// When to start the next one.
    due: Option<Duration>,
}

#[derive(Debug)]
struct Living {
    process: Started,
    channel: Channel,
    since: Duration,
    /// What it may take at most.
    room: Room,
    /// Messages that wait for room in the channel.
    waiting: VecDeque<([u8; SIZE], Vec<OwnedFd>)>,
    owed: Owed,
    /// How far it has locked itself in, once it has.
    confined: Option<Confined>,
    /// It has the policy in force and everything else.
    serving: bool,
    /// Too many waited, or the channel broke: to be ended.
    deaf: bool,
}

/// A socket that pnet is to read: what its frames begin with, its interface, and the descriptor.
pub(super) type PnetSocket = (aldaba_sys::pnet_capture::LinkKind, u32, OwnedFd);

/// What came from the worker.
#[derive(Debug)]
pub(super) enum Heard {
    /// A message.
    Message(FromWorker),
    /// Nothing more for now.
    Nothing,
    /// It spoke nonsense, or is gone: it has been ended.
    Lost,
}

impl Workers {
    /// Starts none yet.
    pub(super) const fn new(program: Program, user: WorkerUser, sandbox: bool) -> Self {
        Self { program, user, sandbox, living: None, started: 0, back_off: BackOff::new(), due: None }
    }

    /// As whom they are started.
    pub(super) const fn user(&self) -> &WorkerUser {
        &self.user
    }

    /// As whom the next ones are.
    pub(super) fn set_user(&mut self, user: WorkerUser) {
        self.user = user;
    }

    /// The program workers are started from.
    pub(super) const fn program(&self) -> &Program {
        &self.program
    }

    /// Starts a worker.
    pub(super) fn start(&mut self, now: Duration, pnet: &[PnetSocket], room: Room) -> std::io::Result<()> {
        self.due = None;
        let (ours, theirs) = Channel::pair()?;
        let sockets = pnet.iter().map(|(link, index, _)| (*link, *index)).collect();
        let confinement =
            Confinement { identity: self.user.identity(), sandbox: self.sandbox, room, pnet: sockets };
        let mut arguments = confinement.arguments();
        arguments.extend(fault::wish());
        let arguments: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
        let mut descriptors = vec![theirs.as_fd()];
        descriptors.extend(pnet.iter().map(|(_, _, socket)| socket.as_fd()));
        let process = self.program.start(&reexec::Role {
            name: Role::Worker.argv0(),
            arguments: &arguments,
            surroundings: Surroundings::StandardError,
            descriptors: &descriptors,
        })?;
        self.started = self.started.saturating_add(1);
        self.living = Some(Living {
            process,
            channel: ours,
            since: now,
            room,
            waiting: VecDeque::new(),
            owed: Owed::default(),
            confined: None,
            serving: false,
            deaf: false,
        });
        Ok(())
    }

    /// How many have taken the place of others.
    pub(super) const fn restarts(&self) -> u64 {
        self.started.saturating_sub(1)
    }

    /// How many have ended one after the other, none of them after good service; `None`: that is nothing to speak of.
    pub(super) fn ended_in_a_row(&self, now: Duration) -> Option<u32> {
        let lives = self.living.as_ref().map(|living| now.saturating_sub(living.since));
        self.back_off.in_a_row(lives)
    }

    /// How one is confined.
    pub(super) fn confined(&self) -> control::Confined {
        let kept_uid = self.lacks().contains(&"uid");
        match (self.sandbox, kept_uid) {
            (false, _) => control::Confined::NoSandbox,
            (true, true) => control::Confined::SameUser,
            (true, false) => control::Confined::Fully,
        }
    }

    /// What the one that lives may take at most.
    pub(super) fn room(&self) -> Option<Room> {
        self.living.as_ref().map(|living| living.room)
    }

    /// Whether one lives.
    pub(super) const fn is_living(&self) -> bool {
        self.living.is_some()
    }

    /// Whether one lives and has all it needs.
    pub(super) fn is_serving(&self) -> bool {
        self.living.as_ref().is_some_and(|living| living.serving)
    }

    /// It has all it needs from here on.
    pub(super) const fn set_serving(&mut self) {
        if let Some(living) = &mut self.living {
            living.serving = true;
        }
    }

    /// It is ready, and has said how far it has locked itself in. No: it was ready before.
    pub(super) const fn set_ready(&mut self, confined: Confined) -> bool {
        let Some(living) = &mut self.living else { return false };
        living.owed.set_ready();
        living.confined.replace(confined).is_none()
    }

    /// What the one that lives lacks of its confinement: another uid, the list of system calls, Landlock.
    pub(super) fn lacks(&self) -> Vec<&'static str> {
        let Some(Confined { kept_uid, landlock }) = self.living.as_ref().and_then(|living| living.confined)
        else {
            return Vec::new();
        };
        let all = [("uid", kept_uid), ("seccomp", !self.sandbox), ("landlock", landlock == 0)];
        all.into_iter().filter(|(_, lacks)| *lacks).map(|(what, _)| what).collect()
    }

    /// The process number of the one that lives.
    pub(super) fn pid(&self) -> Option<u32> {
        self.living.as_ref().map(|living| living.process.pid)
    }

    /// The channel to wait on.
    pub(super) fn channel(&self) -> Option<BorrowedFd<'_>> {
        self.living.as_ref().map(|living| living.channel.as_fd())
    }

    /// Whether something waits for room in the channel.
    pub(super) fn has_waiting(&self) -> bool {
        self.living.as_ref().is_some_and(|living| !living.waiting.is_empty())
    }

    /// Tells the worker something, with descriptors beside it; now, or when there is room. The monitor waits for
    /// nobody.
    pub(super) fn tell(&mut self, message: &ToWorker, fds: &[BorrowedFd<'_>]) {
        let Some(living) = &mut self.living else { return };
        match message {
            ToWorker::Prepare { generation, .. } => living.owed.hand_over(*generation),
            ToWorker::Ping { .. } => living.owed.ask(),
            _ => {}
        }
        let bytes = message.encode();
        if living.waiting.is_empty() {
            match living.channel.send(&bytes, fds) {
                Ok(Sent::Done) => return,
                Ok(Sent::Full) => {}
                Err(_) => living.deaf = true,
            }
        }
        let copies = fds.iter().map(BorrowedFd::try_clone_to_owned).collect::<Result<Vec<_>, _>>();
        match copies {
            Ok(copies) if living.waiting.len() < WAITING => living.waiting.push_back((bytes, copies)),
            _ => living.deaf = true,
        }
    }

    /// It answers a policy; whether it was its turn to answer that one.
    pub(super) fn answers(&mut self, generation: u32) -> bool {
        self.living.as_mut().is_some_and(|living| living.owed.answer(generation))
    }

    /// Whether it owes the answer to a policy before the one to the last question.
    pub(super) fn owes_another_answer(&self) -> bool {
        self.living.as_ref().is_some_and(|living| living.owed.comes_first())
    }

    /// Sends what waits, as far as there is room.
    pub(super) fn flush(&mut self) {
        let Some(living) = &mut self.living else { return };
        while let Some((bytes, fds)) = living.waiting.front() {
            let fds: Vec<BorrowedFd<'_>> = fds.iter().map(OwnedFd::as_fd).collect();
            match living.channel.send(bytes, &fds) {
                Ok(Sent::Done) => {}
                Ok(Sent::Full) => return,
                Err(_) => {
                    living.deaf = true;
                    return;
                }
            }
            living.waiting.pop_front();
        }
    }

    /// The next thing the worker says.
    pub(super) fn hear(&mut self, now: Duration) -> Heard {
        let Some(living) = &self.living else { return Heard::Nothing };
        if !living.deaf {
            match living.channel.receive() {
                Ok(Received::Nothing) => return Heard::Nothing,
                // A worker has no descriptors to send.
                Ok(Received::Message { bytes, fds }) if fds.is_empty() => {
                    if let Ok(message) = FromWorker::decode(&bytes) {
                        return Heard::Message(message);
                    }
                }
                _ => {}
            }
        }
        self.end(now);
        Heard::Lost
    }

    /// Whether this ended process was the worker; the next one is due after a pause.
    pub(super) fn is_ended(&mut self, now: Duration, pid: u32) -> bool {
        let was = self.pid() == Some(pid);
        if was {
            self.end(now);
        }
        was
    }

    /// Ends the worker, if one lives, and plans the next.
    pub(super) fn end(&mut self, now: Duration) {
        let Some(living) = self.living.take() else { return };
        // It ends with its channel; one that hangs does not.
        process::signal(living.process.pidfd.as_fd(), Kill::Kill).ok();
        let pause = self.back_off.ended(now.saturating_sub(living.since));
        self.due = Some(now.saturating_add(fault::pause(pause)));
    }

    /// One could not be started: plans the next try.
    pub(super) fn plan(&mut self, now: Duration) {
        self.due = Some(now.saturating_add(fault::pause(self.back_off.failed())));
    }

    /// Ends the worker, and wants the next one at once.
    pub(super) fn replace(&mut self, now: Duration) {
        self.dismiss();
        self.due = Some(now);
    }

    /// Ends the worker for good.
    pub(super) fn dismiss(&mut self) {
        if let Some(living) = self.living.take() {
            process::signal(living.process.pidfd.as_fd(), Kill::Kill).ok();
        }
        self.due = None;
    }

    /// When the next worker is to be started.
    pub(super) const fn poll_timeout(&self) -> Option<Duration> {
        self.due
    }
}
