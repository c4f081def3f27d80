//! The replay store in the monitor's hands: opened or made, given its room, and handed to the worker when the clock that its
//! guard rests on is known to be right (spec/spa.md, section 9).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aldaba_config::Spa;
use aldaba_gate::spa::{Guard, Moment, Timestamp, Window};
use aldaba_sys::clock;
use aldaba_sys::files::{self, Oddity};

use crate::fault;
use crate::replay::{Raised, Replay, ReplayError};

/// The store's name in the state folder.
const STORE: &str = "replay.redb";
/// Where a damaged one is put.
const DAMAGED: &str = "replay.redb.damaged";
/// Room for each device's record, in bytes: what is written anew while the old still counts is in it.
const ROOM_EACH: u64 = 1024;

/// The store, and what it waits for.
#[derive(Debug, Default)]
pub(super) struct StoreHold {
    file: Option<File>,
    /// Why it stands in for a lost one and has no guard yet.
    lost: Option<&'static str>,
}

/// What became of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    /// It is as it was left.
    Whole,
    /// It was lost, and there is a guard.
    Guarded {
        /// How it was lost.
        why: &'static str,
    },
    /// It was lost, and the guard would rest on a clock that may be wrong.
    Closed {
        /// How it was lost.
        why: &'static str,
        /// What is doubtful.
        doubt: &'static str,
    },
}

/// What is known of the wall clock.
#[derive(Debug, Clone, Copy)]
struct Clock {
    /// The administrator says that it is right.
    trusted: bool,
    /// The kernel says so, or not; `None`: this process may not ask.
    synchronised: Option<bool>,
    /// It can have gone on while the machine was off.
    hardware: bool,
    now: Duration,
    /// When the newest of the server's keys was made.
    identity: Option<Duration>,
}

impl Clock {
    fn look(spa: &Spa) -> Self {
        let made = |path: &PathBuf| std::fs::metadata(path).and_then(|facts| facts.modified()).ok();
        let newest = spa.files.locks.iter().filter_map(|lock| made(&lock.server_key)).max();
        Self {
            trusted: spa.trust_clock,
            synchronised: fault::synchronised(),
            hardware: clock::has_hardware_clock(),
            now: fault::wall(),
            identity: newest.and_then(|at| at.duration_since(std::time::SystemTime::UNIX_EPOCH).ok()),
        }
    }

    /// A machine that comes up with the time of days ago would take captures of those days for new.
    fn doubt(&self) -> Option<&'static str> {
        let is_from_later = self.identity.is_some_and(|made| self.now < made);
        match self.synchronised {
            Some(true) => None,
            _ if self.trusted || (self.hardware && !is_from_later) => None,
            Some(false) if self.hardware => {
                Some("it is not synchronised, and the server's key is from later")
            }
            Some(false) => Some("it is not synchronised, and there is no hardware clock"),
            None if self.hardware => Some(
                "the daemon may not ask whether it is synchronised, ProtectClock= of its unit, and the server's key is from later",
            ),
            None => Some(
                "the daemon may not ask whether it is synchronised, ProtectClock= of its unit, and there is no hardware clock",
            ),
        }
    }
}

impl StoreHold {
    /// Whether it can be handed to the worker.
    pub(super) const fn ready(&self) -> Option<&File> {
        if self.lost.is_some() { None } else { self.file.as_ref() }
    }

    /// Opens the store, or makes one in place of a lost one; asked again, it looks whether the clock is right now. `None`:
    /// nothing has changed.
    pub(super) fn open(&mut self, folder: &Path, spa: &Spa) -> io::Result<Option<Opened>> {
        if self.file.is_none() {
            let (file, lost) = open(folder)?;
            if lost.is_none() {
                follow_boot(&file)?;
            }
            (self.file, self.lost) = (Some(file), lost);
            if lost.is_none() {
                return Ok(Some(Opened::Whole));
            }
        }
        let (Some(file), Some(why)) = (&self.file, self.lost) else { return Ok(None) };
        if let Some(doubt) = Clock::look(spa).doubt() {
            return Ok(Some(Opened::Closed { why, doubt }));
        }
        raise(file, &spa.window)?;
        self.lost = None;
        Ok(Some(Opened::Guarded { why }))
    }

    /// Reserves room for this many devices, so that a full disk shuts nobody out.
    pub(super) fn make_room(&self, devices: usize) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let devices = u64::try_from(devices).unwrap_or(u64::MAX);
        files::reserve(file, devices.saturating_mul(ROOM_EACH))
    }
}

/// The store's file, and how an older one was lost if it was. One that takes its place is closed.
fn open(folder: &Path) -> io::Result<(File, Option<&'static str>)> {
    let path = folder.join(STORE);
    match files::oddity(&path)? {
        // A private folder has kept others out; this is how a backup comes back.
        Some(Oddity::Readable(_)) => files::narrow(&path)?,
        Some(_) => return begin_anew(folder, "others could have changed it"),
        None => {}
    }
    let existed = path.exists();
    let file = files::open_private(&path)?;
    match Replay::open(file.try_clone()?) {
        Ok(mut store) => {
            // Whoever made this one did not live to see the clock right.
            let closed =
                store.guard().map_err(io::Error::other)?.is_some_and(|raised| raised.guard == Guard::CLOSED);
            Ok((file, closed.then_some("it was lost before")))
        }
        Err(ReplayError::Empty) => {
            let why = if existed { "it was empty" } else { "it was not there" };
            make_closed(&file).map(|()| (file, Some(why)))
        }
        Err(ReplayError::Damaged(_)) => {
            drop(file);
            begin_anew(folder, "it was damaged")
        }
        Err(error @ (ReplayError::Newer { .. } | ReplayError::Io(_))) => {
            Err(io::Error::other(format!("{}: {error}", path.display())))
        }
    }
}

/// Puts a closed one in the place of one that is kept under another name.
fn begin_anew(folder: &Path, why: &'static str) -> io::Result<(File, Option<&'static str>)> {
    let path = folder.join(STORE);
    std::fs::rename(&path, folder.join(DAMAGED))?;
    let file = files::open_private(&path)?;
    make_closed(&file).map(|()| (file, Some(why)))
}

fn make_closed(file: &File) -> io::Result<()> {
    let raised = Raised { guard: Guard::CLOSED, boot: 0 };
    Replay::make(file.try_clone()?, Some(&raised)).map(drop).map_err(io::Error::other)
}

/// The guard counts from now on.
fn raise(file: &File, window: &Window) -> io::Result<()> {
    let at = Moment { now: clock::boottime(), wall: wall() };
    let raised = Raised { guard: Guard::raised(at, window), boot: this_boot() };
    let mut store = Replay::open(file.try_clone()?).map_err(io::Error::other)?;
    store.set_guard(Some(&raised)).map_err(io::Error::other)
}

/// A guard of an earlier boot counts from the start of this one: that was later, and is on the clock there is.
fn follow_boot(file: &File) -> io::Result<()> {
    let mut store = Replay::open(file.try_clone()?).map_err(io::Error::other)?;
    match store.guard().map_err(io::Error::other)? {
        Some(Raised { guard, boot }) if boot != this_boot() => {
            let guard = Guard::new(guard.until(), Duration::ZERO);
            store.set_guard(Some(&Raised { guard, boot: this_boot() })).map_err(io::Error::other)
        }
        _ => Ok(()),
    }
}

fn this_boot() -> u64 {
    clock::boot_id().and_then(|id| id.first_chunk().copied()).map_or(0, u64::from_be_bytes)
}

/// The wall clock as datagrams have it.
pub(super) fn wall() -> Timestamp {
    Timestamp(u64::try_from(fault::wall().as_micros()).unwrap_or_default())
}

/// How long the replay store in this folder is; 0: there is none.
pub(super) fn length(folder: &Path) -> u64 {
    std::fs::metadata(folder.join(STORE)).map_or(0, |facts| facts.len())
}

/// Whether this state folder has a replay store.
#[must_use]
pub fn has_store(folder: &Path) -> bool {
    folder.join(STORE).exists()
}

/// Makes an empty replay store beside a new identity: its absence later means that it was lost.
pub fn make_store(folder: &Path) -> io::Result<PathBuf> {
    files::private_dir(folder)?;
    let path = folder.join(STORE);
    let file = files::open_private(&path)?;
    match Replay::open(file.try_clone()?) {
        Ok(_) => Ok(path),
        Err(ReplayError::Empty) => {
            Replay::make(file, None).map_err(io::Error::other)?;
            Ok(path)
        }
        Err(error) => Err(io::Error::other(error)),
    }
}

#[cfg(test)]
mod tests;
