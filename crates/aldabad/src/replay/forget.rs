//! Records of devices that were taken from the registry: kept for a day, in case they come back, then dropped, so that the
//! store does not grow with everybody who ever knocked.

use std::time::Duration;

use aldaba_gate::spa::{StoreFailed, Timestamp};
use redb::{Database, ReadableDatabase, ReadableTable};

use super::{GONE, RECORDS, Replay, ReplayError, failed};

/// For how long at least.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);

type Key = [u8; 32];

/// What is to be changed.
#[derive(Default)]
struct Changes {
    /// Gone since now.
    left: Vec<Key>,
    /// Back again.
    back: Vec<Key>,
    /// Gone for long enough.
    dropped: Vec<Key>,
    /// Whether others wait for their day.
    waiting: bool,
}

impl Replay {
    /// Goes through all records once. `Ok(true)`: some are of devices that left less than a day ago; ask again then.
    pub fn forget_removed(
        &mut self,
        is_registered: impl Fn(&Key) -> bool,
        now: Timestamp,
    ) -> Result<bool, StoreFailed> {
        self.with(|open| {
            open.take_over()?;
            let database = &open.database;
            let changes = changes(database, is_registered, now)?;
            let Changes { left, back, dropped, waiting } = &changes;
            if [left, back, dropped].iter().any(|keys| !keys.is_empty()) {
                apply(database, &changes, now)?;
            }
            Ok(*waiting || !left.is_empty())
        })
    }
}

fn changes(
    database: &Database,
    is_registered: impl Fn(&Key) -> bool,
    now: Timestamp,
) -> Result<Changes, ReplayError> {
    let transaction = database.begin_read().map_err(failed)?;
    let gone = transaction.open_table(GONE).map_err(failed)?;
    let mut changes = Changes::default();
    for row in transaction.open_table(RECORDS).map_err(failed)?.iter().map_err(failed)? {
        let (key, _) = row.map_err(failed)?;
        let key = key.value();
        let since = gone.get(key).map_err(failed)?.map(|since| Timestamp(since.value()));
        match (is_registered(key), since) {
            (true, None) => {}
            (true, Some(_)) => changes.back.push(*key),
            (false, None) => changes.left.push(*key),
            (false, Some(since)) if since.after(KEPT) < now => changes.dropped.push(*key),
            (false, Some(_)) => changes.waiting = true,
        }
    }
    Ok(changes)
}

fn apply(database: &Database, changes: &Changes, now: Timestamp) -> Result<(), ReplayError> {
    let transaction = database.begin_write().map_err(failed)?;
    {
        let mut gone = transaction.open_table(GONE).map_err(failed)?;
        let mut records = transaction.open_table(RECORDS).map_err(failed)?;
        for key in &changes.left {
            gone.insert(key, now.0).map_err(failed)?;
        }
        for key in changes.back.iter().chain(&changes.dropped) {
            gone.remove(key).map_err(failed)?;
        }
        for key in &changes.dropped {
            records.remove(key).map_err(failed)?;
        }
    }
    transaction.commit().map_err(failed)
}
