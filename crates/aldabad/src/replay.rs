//! The replay store: each device's replay record on disk (spec/spa.md, section 9).
//!
//! One file, opened by the monitor, kept by the worker, which may do nothing else with files: a front of marks (`replay/front.rs`), and
//! behind it a redb database that takes them over. Every commit is durable when it returns. After an error the store is opened anew
//! before the next commit is believed.
//!
//! A store is made once, beside the identity, and says so in itself: a file without that word, an empty one or none at all is
//! a *lost* store, and so is a damaged one. Whoever makes a new one in its place puts up a guard in the same commit.

mod forget;
mod front;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use aldaba_gate::spa::{Guard, PublicKey, Record, Store, StoreFailed, Timestamp};
use aldaba_runner::journal::Storage;
use redb::{Database, ReadableDatabase, StorageBackend as _, TableDefinition};

use crate::fault::{self, Point};

pub use forget::KEPT;
use front::{Behind, Front};

const RECORDS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("records");
/// Devices that have a record and are in the registry no more, and since when.
const GONE: TableDefinition<&[u8; 32], u64> = TableDefinition::new("gone");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const SCHEMA: &str = "schema";
/// A guard: up to when it reaches, when it was raised on the clock that never steps, and in which boot.
const GUARD: &str = "guard";
const GUARD_START: &str = "guard-start";
const GUARD_BOOT: &str = "guard-boot";
/// The number of the last mark that the records hold.
const MARKS: &str = "marks";
/// The layout this program writes.
const VERSION: u64 = 1;
/// Records are small and read one by one.
const CACHE: usize = 1 << 20;

/// Why there is no store to work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// Nothing was ever written to it, or its making was cut off.
    #[error("it is empty")]
    Empty,
    /// It is no store, or its pages contradict each other.
    #[error("it is damaged ({0})")]
    Damaged(String),
    /// A later version made it.
    #[error("it has layout {found}, this program knows {VERSION}: start the newer program")]
    Newer {
        /// The layout it has.
        found: u64,
    },
    /// It cannot be read or written now.
    #[error("{0}")]
    Io(String),
}

/// A guard with the boot its start counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raised {
    /// The guard.
    pub guard: Guard,
    /// Which boot.
    pub boot: u64,
}

/// The store, or none yet: then every request is refused.
#[derive(Default)]
pub struct Replay {
    storage: Option<Storage>,
    /// Closed after an error, since redb then refuses everything until it is opened again.
    open: Option<Open>,
}

/// An open store.
struct Open {
    front: Front,
    database: Database,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay").field("open", &self.open.is_some()).finish_non_exhaustive()
    }
}

impl Replay {
    /// A store in this file that is opened when it is first used. Whoever made the file holds the lock that keeps others
    /// away.
    #[must_use]
    pub fn in_file(file: File) -> Self {
        Self::in_storage(Storage::new(file))
    }

    const fn in_storage(storage: Storage) -> Self {
        Self { storage: Some(storage), open: None }
    }

    /// Whether there is a file behind it.
    #[must_use]
    pub const fn is_there(&self) -> bool {
        self.storage.is_some()
    }

    /// Opens a store that was made before.
    pub fn open(file: File) -> Result<Self, ReplayError> {
        let mut store = Self::in_file(file);
        store.open = Some(store.opened()?);
        Ok(store)
    }

    /// Makes a store in a file without one, durably. `raised` is for one that takes the place of a lost one.
    pub fn make(file: File, raised: Option<&Raised>) -> Result<Self, ReplayError> {
        Self::make_in(Storage::new(file), raised)
    }

    fn make_in(storage: Storage, raised: Option<&Raised>) -> Result<Self, ReplayError> {
        let made = storage.clone();
        let open = caught(move || {
            let database = database(made.clone())?;
            let transaction = database.begin_write().map_err(failed)?;
            let mut meta = transaction.open_table(META).map_err(failed)?;
            meta.insert(SCHEMA, VERSION).map_err(failed)?;
            write_guard(&mut meta, raised)?;
            drop(meta);
            transaction.open_table(RECORDS).map_err(failed)?;
            transaction.open_table(GONE).map_err(failed)?;
            transaction.commit().map_err(failed)?;
            // Last: until then there is nothing there, which is a front without marks as well.
            Front::make(&made).map_err(|error| failed(redb::Error::Io(error)))?;
            Ok(Open { front: front(made, &database)?, database })
        })?;
        Ok(Self { storage: Some(storage), open: Some(open) })
    }

    /// Puts up a guard, or takes it away.
    pub fn set_guard(&mut self, raised: Option<&Raised>) -> Result<(), StoreFailed> {
        self.with(|Open { database, .. }| {
            let transaction = database.begin_write().map_err(failed)?;
            write_guard(&mut transaction.open_table(META).map_err(failed)?, raised)?;
            transaction.commit().map_err(failed)
        })
    }

    /// The guard, if an older store was lost lately.
    pub fn guard(&mut self) -> Result<Option<Raised>, StoreFailed> {
        self.with(|Open { database, .. }| {
            let table = database.begin_read().map_err(failed)?.open_table(META).map_err(failed)?;
            let read = |key| Ok(table.get(key).map_err(failed)?.map(|value| value.value()));
            let Some(until) = read(GUARD)? else { return Ok(None) };
            let start = Duration::from_micros(read(GUARD_START)?.unwrap_or_default());
            let boot = read(GUARD_BOOT)?.unwrap_or_default();
            Ok(Some(Raised { guard: Guard::new(Timestamp(until), start), boot }))
        })
    }

    /// Makes these records durable in the database, all or none.
    #[cfg(test)]
    pub(crate) fn commit_all<'r>(
        &mut self,
        records: impl IntoIterator<Item = (&'r PublicKey, &'r Record)>,
    ) -> Result<(), StoreFailed> {
        let records = records.into_iter().map(|(device, record)| (device.as_bytes(), record));
        self.with(|Open { database, .. }| write_records(database, records, None))
    }

    /// The same as [`Store::commit`]. Where the disk is slow, `meanwhile` is done before it is waited for.
    pub fn commit_and_meanwhile(
        &mut self,
        device: &PublicKey,
        record: &Record,
        meanwhile: impl FnOnce(),
    ) -> Result<(), StoreFailed> {
        fault::at(Point::BeforeCommit).map_err(|_| StoreFailed)?;
        self.with(|open| {
            if open.front.is_full() {
                open.take_over()?;
            }
            open.front.add(device, record, meanwhile).map_err(|error| failed(redb::Error::Io(error)))
        })?;
        fault::at(Point::AfterCommit).map_err(|_| StoreFailed)
    }

    /// Lets the database take over what has gathered in front of it, if that is much: to be called when nobody waits.
    pub fn tidy(&mut self) -> Result<(), StoreFailed> {
        match &self.open {
            Some(open) if open.front.has_many() => self.with(Open::take_over),
            _ => Ok(()),
        }
    }

    fn with<T>(
        &mut self,
        access: impl FnOnce(&mut Open) -> Result<T, ReplayError>,
    ) -> Result<T, StoreFailed> {
        let (mut open, is_new) = match self.open.take() {
            Some(open) => (open, false),
            None => (self.opened().map_err(|_| StoreFailed)?, true),
        };
        let done = catch_unwind(AssertUnwindSafe(|| {
            if is_new {
                // Of the last mark before a failure nobody knows whether the disk has it.
                open.take_over()?;
            }
            access(&mut open)
        }));
        match done {
            Ok(Ok(value)) => {
                self.open = Some(open);
                Ok(value)
            }
            Ok(Err(_)) => {
                // What was committed is durable: closing only tidies up, and may fail.
                catch_unwind(AssertUnwindSafe(move || drop(open))).ok();
                Err(StoreFailed)
            }
            Err(_) => {
                // Closing what has just lost its footing could do so again.
                std::mem::forget(open);
                Err(StoreFailed)
            }
        }
    }

    fn opened(&self) -> Result<Open, ReplayError> {
        let storage = self.storage.clone().ok_or(ReplayError::Empty)?;
        caught(move || {
            let length = storage.len().map_err(|error| ReplayError::Io(error.to_string()))?;
            if length <= front::LENGTH {
                return Err(if length == 0 { ReplayError::Empty } else { cut_off() });
            }
            let database = database(storage.clone())?;
            match schema(&database)? {
                Some(VERSION) => Ok(Open { front: front(storage, &database)?, database }),
                Some(found) => Err(ReplayError::Newer { found }),
                None => Err(ReplayError::Empty),
            }
        })
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            catch_unwind(AssertUnwindSafe(move || drop(open))).ok();
        }
    }
}

impl Store for Replay {
    fn load(&mut self, device: &PublicKey) -> Result<Option<Record>, StoreFailed> {
        self.with(|Open { front, database }| {
            if let Some(record) = front.record(device) {
                return Ok(Some(record));
            }
            let table = database.begin_read().map_err(failed)?.open_table(RECORDS).map_err(failed)?;
            let bytes = table.get(device.as_bytes()).map_err(failed)?;
            let record = bytes.map(|bytes| Record::decode(bytes.value()));
            record.transpose().map_err(|error| ReplayError::Damaged(error.to_string()))
        })
    }

    fn commit(&mut self, device: &PublicKey, record: &Record) -> Result<(), StoreFailed> {
        self.commit_and_meanwhile(device, record, || ())
    }
}

impl Open {
    /// The database has everything afterwards, and the front nothing.
    fn take_over(&mut self) -> Result<(), ReplayError> {
        if self.front.is_empty() {
            return Ok(());
        }
        let (last, records) = self.front.records();
        write_records(&self.database, records, Some(last))?;
        self.front.taken_over();
        Ok(())
    }
}

/// Writes records, and up to which mark these are, in one commit.
fn write_records<'r>(
    database: &Database,
    records: impl Iterator<Item = (&'r [u8; 32], &'r Record)>,
    last: Option<u64>,
) -> Result<(), ReplayError> {
    let transaction = database.begin_write().map_err(failed)?;
    let mut table = transaction.open_table(RECORDS).map_err(failed)?;
    for (device, record) in records {
        table.insert(device, record.encode().as_slice()).map_err(failed)?;
    }
    drop(table);
    if let Some(last) = last {
        transaction.open_table(META).map_err(failed)?.insert(MARKS, last).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

fn database(storage: Storage) -> Result<Database, ReplayError> {
    Database::builder().set_cache_size(CACHE).create_with_backend(Behind(storage)).map_err(failed)
}

/// The marks in front of a database.
fn front(storage: Storage, database: &Database) -> Result<Front, ReplayError> {
    let meta = database.begin_read().map_err(failed)?.open_table(META).map_err(failed)?;
    let taken = meta.get(MARKS).map_err(failed)?.map_or(0, |last| last.value());
    let front = Front::read(storage, taken).map_err(|error| failed(redb::Error::Io(error)))?;
    front.ok_or_else(|| ReplayError::Damaged("its marks contradict each other".to_owned()))
}

/// The layout written in the file; `None` where its making was cut off.
fn schema(database: &Database) -> Result<Option<u64>, ReplayError> {
    match database.begin_read().map_err(failed)?.open_table(META) {
        Ok(table) => Ok(table.get(SCHEMA).map_err(failed)?.map(|version| version.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn write_guard(meta: &mut redb::Table<'_, &str, u64>, raised: Option<&Raised>) -> Result<(), ReplayError> {
    let Some(Raised { guard, boot }) = raised else {
        return meta.remove(GUARD).map(drop).map_err(failed);
    };
    let start = u64::try_from(guard.start().as_micros()).unwrap_or(u64::MAX);
    for (key, value) in [(GUARD, guard.until().0), (GUARD_START, start), (GUARD_BOOT, *boot)] {
        meta.insert(key, value).map_err(failed)?;
    }
    Ok(())
}

/// Its making was, or it has been.
fn cut_off() -> ReplayError {
    ReplayError::Damaged("it is cut off".to_owned())
}

/// Damage that the store's own checks do not foresee must not take the process down.
fn caught<T>(access: impl FnOnce() -> Result<T, ReplayError>) -> Result<T, ReplayError> {
    let inconsistent = || ReplayError::Damaged("its pages contradict each other".to_owned());
    catch_unwind(AssertUnwindSafe(access)).unwrap_or_else(|_| Err(inconsistent()))
}

fn failed(error: impl Into<redb::Error>) -> ReplayError {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    let error = error.into();
    match &error {
        redb::Error::Io(io) if !matches!(io.kind(), InvalidData | UnexpectedEof) => {
            ReplayError::Io(io.to_string())
        }
        redb::Error::PreviousIo | redb::Error::DatabaseAlreadyOpen => ReplayError::Io(error.to_string()),
        _ => ReplayError::Damaged(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
