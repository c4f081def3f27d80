//! The state folder as a turn has it: locked, its journal read; and where nothing can be written, still read.

use std::path::Path;

use aldaba_runner::record::Entry;
use aldaba_sys::files::LockError;

use super::overdue::Turn;
use crate::keeper::{Keeper, KeeperError, Unwritable};

/// The folder with its leases, for as long as a turn takes.
pub(super) struct Taken {
    pub(super) entries: Vec<Entry>,
    pub(super) hold: Hold,
}

/// What holds the lock.
pub(super) enum Hold {
    /// All can be done.
    Keeper(Box<Keeper>),
    /// It can be read and not written, for this reason.
    Unwritable(String, Unwritable),
}

/// Takes the lock and reads the journal; where nothing can be written, without anything that needs that.
pub(super) fn take(folder: &Path) -> Result<Taken, Turn> {
    let error = match Keeper::open(folder) {
        Ok(mut keeper) => match keeper.load() {
            Ok(entries) => return Ok(Taken { entries, hold: Hold::Keeper(Box::new(keeper)) }),
            Err(error) => error.to_string(),
        },
        Err(KeeperError::Locked { source: LockError::Held { holder }, .. }) => {
            return Err(Turn::Held(holder));
        }
        Err(error) => error.to_string(),
    };
    match Unwritable::open(folder) {
        Ok(mut unwritable) => {
            let entries = std::mem::take(&mut unwritable.entries);
            Ok(Taken { entries, hold: Hold::Unwritable(error, unwritable) })
        }
        Err(KeeperError::Locked { source: LockError::Held { holder }, .. }) => Err(Turn::Held(holder)),
        Err(_) => Err(Turn::Broken(error)),
    }
}
