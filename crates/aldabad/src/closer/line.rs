//! Folders that other runs have left and nobody has looked at yet: some at once and some more each moment, so that hundreds of them do
//! not take the machine; and for each whether it is this process's to close.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use aldaba_sys::files::LockError;

use crate::keeper::{Alone, Keeper};

/// So many at once.
const AT_ONCE: usize = 16;
/// How long until the next ones.
const PAUSE: Duration = Duration::from_millis(500);

/// The charge of a folder that another run has left.
#[derive(Debug)]
pub(super) struct Charge {
    /// Where that can be noted, this process alone has it.
    _alone: Option<Alone>,
}

/// Why it leaves a folder alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Another process closes what is left there.
    Taken,
    /// Its doors are in another network namespace: taken out here, their rules would stay there for ever.
    Elsewhere,
    /// There is no such folder any more.
    Gone,
}

/// Those that wait, in their order.
#[derive(Debug, Default)]
pub(super) struct Line {
    folders: Vec<Next>,
    due: Duration,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) folder: PathBuf,
    /// Whether it is looked at for the second time.
    pub(super) again: bool,
}

impl Line {
    pub(super) fn of(folders: impl Iterator<Item = PathBuf>) -> Self {
        Self { folders: folders.map(|folder| Next { folder, again: false }).collect(), due: Duration::ZERO }
    }

    /// Those whose turn it is.
    pub(super) fn poll(&mut self, now: Duration) -> Vec<Next> {
        if now < self.due || self.folders.is_empty() {
            return Vec::new();
        }
        self.due = now.saturating_add(PAUSE);
        self.folders.drain(..AT_ONCE.min(self.folders.len())).collect()
    }

    /// Puts one at the end.
    pub(super) fn push_again(&mut self, folder: PathBuf) {
        self.folders.push(Next { folder, again: true });
    }

    /// When the next ones have their turn; `None`: none waits.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        (!self.folders.is_empty()).then_some(self.due)
    }
}

impl Next {
    /// Takes it in charge.
    pub(super) fn charge(&self) -> Result<Charge, Refused> {
        if Keeper::is_elsewhere(&self.folder) {
            return Err(Refused::Elsewhere);
        }
        match Keeper::close_alone(&self.folder) {
            Ok(alone) => Ok(Charge { _alone: Some(alone) }),
            Err(LockError::Held { .. }) => Err(Refused::Taken),
            Err(LockError::File(error)) if error.kind() == ErrorKind::NotFound => Err(Refused::Gone),
            // Two closers do no harm.
            Err(LockError::File(_)) => Ok(Charge { _alone: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hundreds_have_their_turn_a_few_at_a_time() {
        let mut line = Line::of((0..40).map(|number| PathBuf::from(format!("knockd-{number}"))));
        let (mut now, mut turns) = (Duration::from_secs(100), Vec::new());
        while let Some(due) = line.poll_timeout() {
            now = now.max(due);
            turns.push(line.poll(now).len());
            assert!(line.poll(now).is_empty(), "not at the same moment");
        }
        assert_eq!((turns, now), (vec![16, 16, 8], Duration::from_secs(101)));
        line.push_again("knockd-0".into());
        assert_eq!(line.poll_timeout(), Some(now + PAUSE));
        assert!(line.poll(now + PAUSE).iter().all(|next| next.again));
        assert_eq!(line.poll_timeout(), None);
    }

    #[test]
    fn r1_one_process_at_a_time_closes_what_is_left_in_a_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        let next = || Next { folder: dir.path().to_owned(), again: false };
        let first = next().charge();
        assert!(matches!(first, Ok(Charge { _alone: Some(_) })));
        assert_eq!(next().charge().err(), Some(Refused::Taken));
        drop(first);
        assert!(next().charge().is_ok(), "the first one has ended");
        let gone = Next { folder: dir.path().join("gone"), again: false };
        assert_eq!(gone.charge().err(), Some(Refused::Gone));
        assert!(!gone.folder.exists());
    }
}
