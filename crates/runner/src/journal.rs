//! The journal: the leases on disk, so that they survive a crash, a restart and an upgrade (spec/leases.md, "Journal").
//!
//! One redb file that the caller has opened and locked. What is changed together is one transaction, and durable when the
//! function returns; or, for what need not outlive the machine, written without waiting for the disk. What the records mean
//! for the next start is [`crate::record`]'s part; nothing here knows the time.

mod codec;
mod store;

use std::fs::File;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::effect::Change;
use crate::lease::LeaseId;
use crate::record::{Entry, Moment, Record};
pub use store::{Storage, Store};

const LEASES: TableDefinition<u64, &[u8]> = TableDefinition::new("leases");
type Leases<'a> = redb::Table<'a, u64, &'static [u8]>;

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const SCHEMA: &str = "schema";

/// The layout of tables and records this program writes.
const SCHEMA_VERSION: u64 = 1;

/// The file is tiny: there is no use for redb's default cache of a gigabyte.
const CACHE: usize = 1 << 20;

/// Why the journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file is not a journal, or is damaged.
    #[error(
        "the lease journal is damaged ({0}): move the file away and start again; \
         rules of doors that were open at that time must then be removed by hand"
    )]
    Damaged(String),
    /// The file comes from a later version.
    #[error(
        "the lease journal has layout {found}, this program knows {SCHEMA_VERSION}: start the newer program, \
         or let it close its doors (on-exit = \"close\") before going back"
    )]
    Newer {
        /// The layout it has.
        found: u64,
    },
    /// The file cannot be read or written now; it is tried again at the next change.
    #[error("the lease journal cannot be written or read: {0}")]
    Io(String),
}

impl From<std::io::Error> for JournalError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    store: Arc<dyn Store>,
    /// Closed after an error, since redb then refuses everything until it is opened again.
    database: Option<Database>,
}

impl Journal {
    /// Opens a journal, or makes one of an empty file. The file must be open for reading and writing; the caller holds
    /// whatever lock keeps a second daemon away.
    pub fn open(file: File) -> Result<Self, JournalError> {
        Self::open_store(Storage::new(file).0)
    }

    /// The same for records that have to outlive the process but not the machine: nothing waits for the disk. After the power
    /// went such a file may well be damaged.
    pub fn open_unsynced(file: File) -> Result<Self, JournalError> {
        Self::open_store(Arc::new(store::Unsynced(Storage::new(file).0)))
    }

    /// Opens a journal that is read and never written to: what is done to this copy of its bytes is lost with it.
    pub fn open_copy(bytes: Vec<u8>) -> Result<Self, JournalError> {
        Self::open_store(Arc::new(store::InMemory::new(bytes)))
    }

    fn open_store(store: Arc<dyn Store>) -> Result<Self, JournalError> {
        let mut journal = Self { store, database: None };
        journal.with(|_| Ok(()))?;
        Ok(journal)
    }

    /// Every record, oldest lease first.
    pub fn load(&mut self) -> Result<Vec<Entry>, JournalError> {
        match self.load_readable()? {
            (entries, unreadable) if unreadable.is_empty() => Ok(entries),
            (_, unreadable) => {
                let numbers: Vec<String> = unreadable.iter().map(|id| id.0.to_string()).collect();
                Err(JournalError::Damaged(format!("record {}", numbers.join(", "))))
            }
        }
    }

    /// The records that can be read, oldest lease first, and the leases whose record cannot: these do not hide the others.
    pub fn load_readable(&mut self) -> Result<(Vec<Entry>, Vec<LeaseId>), JournalError> {
        self.with(|database| {
            let table = database.begin_read().map_err(failed)?.open_table(LEASES).map_err(failed)?;
            let (mut entries, mut unreadable) = (Vec::new(), Vec::new());
            for row in table.iter().map_err(failed)? {
                let (id, bytes) = row.map_err(failed)?;
                let id = LeaseId(id.value());
                match codec::decode(id, bytes.value()) {
                    Some(entry) => entries.push(entry),
                    None => unreadable.push(id),
                }
            }
            Ok((entries, unreadable))
        })
    }

    /// Makes these changes in their order, all or none.
    pub fn change(&mut self, changes: &[&Change], at: &Moment) -> Result<(), JournalError> {
        self.transaction(|table| {
            let mut is_new = false;
            for change in changes {
                is_new |= match change {
                    Change::Put(record) => put(table, record, at)?,
                    Change::Remove(id) => remove(table, *id)?,
                };
            }
            Ok(is_new)
        })
    }

    /// Takes a record away; one that is not there is fine.
    pub fn remove(&mut self, id: LeaseId) -> Result<(), JournalError> {
        self.transaction(|table| remove(table, id))
    }

    /// Where nothing is changed, nothing is written and nothing waited for.
    fn transaction(
        &mut self,
        change: impl FnOnce(&mut Leases<'_>) -> Result<bool, JournalError>,
    ) -> Result<(), JournalError> {
        self.with(|database| {
            let transaction = database.begin_write().map_err(failed)?;
            let is_new = change(&mut transaction.open_table(LEASES).map_err(failed)?)?;
            if is_new { transaction.commit().map_err(failed) } else { transaction.abort().map_err(failed) }
        })
    }

    /// Whether there is a record of this lease.
    pub fn contains(&mut self, id: LeaseId) -> Result<bool, JournalError> {
        self.with(|database| {
            let table = database.begin_read().map_err(failed)?.open_table(LEASES).map_err(failed)?;
            Ok(table.get(id.0).map_err(failed)?.is_some())
        })
    }

    /// Runs one access; after an error the store is closed, and opened anew for the next access.
    fn with<T>(
        &mut self,
        access: impl FnOnce(&Database) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => guarded(|| open_database(Arc::clone(&self.store)))?,
        };
        match catch_unwind(AssertUnwindSafe(|| access(&database))) {
            Ok(Ok(value)) => {
                self.database = Some(database);
                Ok(value)
            }
            Ok(Err(error)) => {
                close(database);
                Err(error)
            }
            Err(_) => {
                // Closing what has just lost its footing could do so again.
                std::mem::forget(database);
                Err(inconsistent())
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Some(database) = self.database.take() {
            close(database);
        }
    }
}

/// Damage that the store's own checks do not foresee must not take the daemon down.
fn guarded<T>(access: impl FnOnce() -> Result<T, JournalError>) -> Result<T, JournalError> {
    catch_unwind(AssertUnwindSafe(access)).unwrap_or_else(|_| Err(inconsistent()))
}

/// Every change was durable already: closing only tidies up, and may fail.
fn close(database: Database) {
    let _ = guarded(move || {
        drop(database);
        Ok(())
    });
}

fn put(table: &mut Leases<'_>, record: &Record, at: &Moment) -> Result<bool, JournalError> {
    let bytes = codec::encode(record, at);
    table.insert(record.id.0, bytes.as_slice()).map_err(failed)?;
    Ok(true)
}

fn remove(table: &mut Leases<'_>, id: LeaseId) -> Result<bool, JournalError> {
    Ok(table.remove(id.0).map_err(failed)?.is_some())
}

fn inconsistent() -> JournalError {
    JournalError::Damaged("its pages contradict each other".to_owned())
}

fn open_database(store: Arc<dyn Store>) -> Result<Database, JournalError> {
    let database =
        Database::builder().set_cache_size(CACHE).create_with_backend(Storage(store)).map_err(failed)?;
    let found = schema(&database)?;
    match found {
        Some(SCHEMA_VERSION) => Ok(database),
        Some(found) => Err(JournalError::Newer { found }),
        None => make_tables(&database).map(|()| database),
    }
}

/// The layout written in the file; `None` in a new one.
fn schema(database: &Database) -> Result<Option<u64>, JournalError> {
    let transaction = database.begin_read().map_err(failed)?;
    match transaction.open_table(META) {
        Ok(table) => Ok(table.get(SCHEMA).map_err(failed)?.map(|version| version.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn make_tables(database: &Database) -> Result<(), JournalError> {
    let transaction = database.begin_write().map_err(failed)?;
    transaction.open_table(META).map_err(failed)?.insert(SCHEMA, SCHEMA_VERSION).map_err(failed)?;
    transaction.open_table(LEASES).map_err(failed)?;
    transaction.commit().map_err(failed)
}

fn failed(error: impl Into<redb::Error>) -> JournalError {
    let error = error.into();
    match &error {
        redb::Error::Io(io) if matches!(io.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
            JournalError::Damaged(io.to_string())
        }
        redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseAlreadyOpen => {
            JournalError::Io(error.to_string())
        }
        _ => JournalError::Damaged(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
