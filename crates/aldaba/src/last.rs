//! The times of a device's knocks: each later than the one before, in all processes together. spec/keys.md, section 4.4.
//!
//! `last` stands beside the device's key: microseconds since the Unix epoch, in twenty digits. It is read and advanced under
//! a lock, before anything is sent. It is not forced onto the disk: a power cut can take back a time only if the clock goes
//! back as well, and then the server refuses the knock and the next one gets in.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use aldaba_spa::Timestamp;

use crate::{clock, private_file};

/// How often the lock is tried, with a pause before each further time: another process holds it for microseconds.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);
/// What `last` holds: a number and the end of its line.
const DIGITS: usize = 20;

/// A time to knock with.
#[derive(Debug)]
pub(crate) struct Time {
    pub(crate) time: Timestamp,
    /// What is not as it should be.
    pub(crate) doubt: Option<Doubt>,
}

/// Why a server may refuse a time that should be good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Doubt {
    #[error(
        "this clock was ahead: the last knock was made at {}, and now it is {}; a server that took that knock takes none before then",
        clock::written(*.last), clock::written(*.now)
    )]
    WasAhead { last: Timestamp, now: Timestamp },
    #[error("cannot note the time of this knock in {}: {}; another one at the same time may be refused", .0.display(), .1)]
    NotNoted(PathBuf, io::Error),
}

/// The file.
#[derive(Debug)]
pub(crate) struct Last(pub(crate) PathBuf);

impl Last {
    /// A time that no knock of this device had before. `future`: how far ahead of its clock the server takes one.
    pub(crate) fn next(&self, now: impl Fn() -> Timestamp, future: Duration) -> Time {
        self.advance(&now, future).unwrap_or_else(|error| {
            let doubt = Doubt::NotNoted(self.0.clone(), error);
            Time { time: now(), doubt: Some(doubt) }
        })
    }

    fn advance(&self, now: &impl Fn() -> Timestamp, future: Duration) -> io::Result<Time> {
        let mut file = private_file::private().read(true).create(true).truncate(false).open(&self.0)?;
        lock(&file)?;
        let last = read(&mut file)?;
        // Asked under the lock: whoever waited for it is not behind.
        let now = now();
        let time = following(last, now, future);
        file.rewind()?;
        file.write_all(format!("{:0DIGITS$}\n", time.0).as_bytes())?;
        let was_ahead = time <= last;
        let doubt = was_ahead.then_some(Doubt::WasAhead { last, now });
        Ok(Time { time, doubt })
    }
}

/// `max(now, last + 1 us)`, unless that is further ahead than the server takes: then the clock was wrong, and now may be right.
fn following(last: Timestamp, now: Timestamp, future: Duration) -> Timestamp {
    if last < now.after(future) { now.max(last.after(Duration::from_micros(1))) } else { now }
}

/// One that is held for long is that of a process that was stopped: it must not keep anybody from knocking.
fn lock(file: &File) -> io::Result<()> {
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => clock::pause(PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "another process keeps it locked"))
}

/// What it holds; nothing at first. What is no time is taken for none: it is about to be replaced by one.
fn read(file: &mut File) -> io::Result<Timestamp> {
    let mut text = Vec::with_capacity(DIGITS);
    let limit = u64::try_from(DIGITS).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut text)?;
    let number = str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
    Ok(Timestamp(number.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;

    const FUTURE: Duration = Duration::from_secs(60);

    #[test]
    fn the_rule() {
        let far = 60_000_000;
        for (last, now, wanted) in [
            (0, 1000, 1000),
            (999, 1000, 1000),
            (1000, 1000, 1001),
            (5000, 1000, 5001),
            (1000 + far - 1, 1000, 1000 + far),
            (1000 + far, 1000, 1000),
            (u64::MAX, 1000, 1000),
        ] {
            assert_eq!(following(Timestamp(last), Timestamp(now), FUTURE), Timestamp(wanted), "{last} {now}");
        }
    }

    #[test]
    fn times_increase_whatever_the_clock_does() {
        let folder = tempfile::tempdir().unwrap();
        let last = Last(folder.path().join("last"));
        let start = 1_800_000_000_000_000;
        let mut before = Timestamp(0);
        for clock in [start, start, start - 59_000_000, start + 5, start + 4, start + 10_000_000] {
            let next = last.next(|| Timestamp(clock), FUTURE);
            assert!(next.time > before && next.doubt.is_none(), "{next:?}");
            before = next.time;
        }
        // A minute and more back: the clock had been wrong, and its time is worth nothing.
        let reset = last.next(|| Timestamp(start - 60_000_000), FUTURE);
        assert_eq!(reset.time, Timestamp(start - 60_000_000));
        assert!(matches!(reset.doubt, Some(Doubt::WasAhead { .. })));
        assert!(last.next(|| Timestamp(start - 60_000_000), FUTURE).doubt.is_none(), "and it heals");
    }

    #[test]
    fn no_two_at_once_get_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let last = &Last(folder.path().join("last"));
        // Slow, between reading and writing.
        let clock = || {
            clock::pause(Duration::from_millis(1));
            Timestamp(7)
        };
        let times = move || -> Vec<Timestamp> { (0..5).map(|_| last.next(clock, FUTURE).time).collect() };
        let mut all: Vec<Timestamp> = thread::scope(|scope| {
            let running: Vec<_> = (0..8).map(|_| scope.spawn(times)).collect();
            running.into_iter().flat_map(|running| running.join().unwrap()).collect()
        });
        all.sort();
        assert_eq!(all, (7..47).map(Timestamp).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_of_anything_else_becomes_one() {
        let folder = tempfile::tempdir().unwrap();
        let last = Last(folder.path().join("last"));
        for content in ["", "soon\n", "99999999999999999999999999", "\u{0}\u{0}"] {
            fs::write(&last.0, content).unwrap();
            assert_eq!(last.next(|| Timestamp(7), FUTURE).time, Timestamp(7), "{content}");
            assert!(fs::read_to_string(&last.0).unwrap().starts_with("00000000000000000007\n"), "{content}");
            assert_eq!(last.next(|| Timestamp(7), FUTURE).time, Timestamp(8), "{content}");
        }
    }

    #[test]
    fn where_nothing_can_be_noted_the_clock_counts() {
        let folder = tempfile::tempdir().unwrap();
        let next = Last(folder.path().join("no/last")).next(|| Timestamp(7), FUTURE);
        assert_eq!(next.time, Timestamp(7));
        assert!(matches!(next.doubt, Some(Doubt::NotNoted(..))));
    }

    #[test]
    fn a_lock_that_is_never_given_back_keeps_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last");
        let held = private_file::private().create(true).truncate(false).open(&path).unwrap();
        held.lock().unwrap();
        let next = Last(path).next(|| Timestamp(7), FUTURE);
        assert_eq!(next.time, Timestamp(7));
        assert!(next.doubt.unwrap().to_string().contains("locked"));
    }
}
