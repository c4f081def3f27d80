//! The replay store: each device's replay record on disk (spec/spa.md, section 9).
//!
//! One redb file, opened by the monitor, kept by the worker, which may do nothing else with files. Every commit is durable
//! when it returns. After an error the store is opened anew before the next commit is believed.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

use aldaba_gate::spa::{PublicKey, Record, Store, StoreFailed, Timestamp};
use aldaba_runner::journal::Storage;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

const RECORDS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("records");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const SCHEMA: &str = "schema";
/// Up to this time nothing is new: an older store was lost.
const GUARD: &str = "guard";
/// The layout this program writes.
const VERSION: u64 = 1;
/// Records are small and read one by one.
const CACHE: usize = 1 << 20;

/// The store, or none yet: then every request is refused.
#[derive(Default)]
pub struct Replay {
    storage: Option<Storage>,
    /// Closed after an error, since redb then refuses everything until it is opened again.
    database: Option<Database>,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay").field("open", &self.database.is_some()).finish_non_exhaustive()
    }
}

/// Why an access failed: the store is closed then.
type Failed = redb::Error;

impl Replay {
    /// Opens a store, or makes one of an empty file; whoever made it holds the lock that keeps others away.
    pub fn open(file: File) -> Result<Self, StoreFailed> {
        let mut store = Self { storage: Some(Storage::new(file)), database: None };
        store.with(|_| Ok(())).map(|()| store)
    }

    /// Nothing up to this time is new, from now on and for every later opening.
    pub fn set_guard(&mut self, until: Timestamp) -> Result<(), StoreFailed> {
        self.with(|database| {
            let transaction = database.begin_write().map_err(failed)?;
            transaction.open_table(META).map_err(failed)?.insert(GUARD, until.0).map_err(failed)?;
            transaction.commit().map_err(failed)
        })
    }

    /// The time up to which nothing is new, if an older store was ever lost.
    pub fn guard(&mut self) -> Result<Option<Timestamp>, StoreFailed> {
        self.with(|database| {
            let table = database.begin_read().map_err(failed)?.open_table(META).map_err(failed)?;
            Ok(table.get(GUARD).map_err(failed)?.map(|until| Timestamp(until.value())))
        })
    }

    fn with<T>(&mut self, access: impl FnOnce(&Database) -> Result<T, Failed>) -> Result<T, StoreFailed> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.reopen()?,
        };
        match catch_unwind(AssertUnwindSafe(|| access(&database))) {
            Ok(Ok(value)) => {
                self.database = Some(database);
                Ok(value)
            }
            Ok(Err(_)) => {
                // What was committed is durable: closing only tidies up, and may fail.
                catch_unwind(AssertUnwindSafe(move || drop(database))).ok();
                Err(StoreFailed)
            }
            Err(_) => {
                // Closing what has just lost its footing could do so again.
                std::mem::forget(database);
                Err(StoreFailed)
            }
        }
    }

    fn reopen(&self) -> Result<Database, StoreFailed> {
        let storage = self.storage.clone().ok_or(StoreFailed)?;
        let opened = catch_unwind(AssertUnwindSafe(|| open_database(storage)));
        opened.ok().and_then(Result::ok).ok_or(StoreFailed)
    }
}

impl Store for Replay {
    fn load(&mut self, device: &PublicKey) -> Result<Option<Record>, StoreFailed> {
        let bytes = self.with(|database| {
            let table = database.begin_read().map_err(failed)?.open_table(RECORDS).map_err(failed)?;
            Ok(table.get(device.as_bytes()).map_err(failed)?.map(|bytes| bytes.value().to_vec()))
        })?;
        bytes.map(|bytes| Record::decode(&bytes).map_err(|_| StoreFailed)).transpose()
    }

    fn commit(&mut self, device: &PublicKey, record: &Record) -> Result<(), StoreFailed> {
        let bytes = record.encode();
        self.with(|database| {
            let transaction = database.begin_write().map_err(failed)?;
            let mut table = transaction.open_table(RECORDS).map_err(failed)?;
            table.insert(device.as_bytes(), bytes.as_slice()).map_err(failed)?;
            drop(table);
            transaction.commit().map_err(failed)
        })
    }
}

fn open_database(storage: Storage) -> Result<Database, Failed> {
    let database = Database::builder().set_cache_size(CACHE).create_with_backend(storage).map_err(failed)?;
    let transaction = database.begin_write().map_err(failed)?;
    let mut meta = transaction.open_table(META).map_err(failed)?;
    let found = meta.get(SCHEMA).map_err(failed)?.map(|version| version.value());
    match found {
        None => {
            meta.insert(SCHEMA, VERSION).map_err(failed)?;
        }
        Some(VERSION) => {}
        Some(_) => return Err(redb::Error::Corrupted("another layout".to_owned())),
    }
    drop(meta);
    transaction.open_table(RECORDS).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(database)
}

fn failed(error: impl Into<redb::Error>) -> Failed {
    error.into()
}

#[cfg(test)]
mod tests {
    use aldaba_gate::spa::{SecretKey, Window};

    use super::*;

    fn key() -> PublicKey {
        SecretKey::new(&[7; 32]).public()
    }

    #[test]
    fn records_and_guard_outlive_the_store() {
        let file = tempfile::tempfile().expect("a file");
        let record = Record::default().accept(&Window::default(), Timestamp(1_000_000));
        {
            let mut store = Replay::open(file.try_clone().expect("a copy")).expect("a store");
            assert_eq!(store.load(&key()), Ok(None));
            assert_eq!(store.guard(), Ok(None));
            store.commit(&key(), &record).expect("durable");
            store.set_guard(Timestamp(5)).expect("durable");
            // It dies without closing anything.
            std::mem::forget(store);
        }
        let mut store = Replay::open(file).expect("a store");
        assert_eq!(store.load(&key()), Ok(Some(record)));
        assert_eq!(store.guard(), Ok(Some(Timestamp(5))));
    }

    #[test]
    fn damage_is_an_error_and_no_store_refuses() {
        use std::io::Write as _;
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[0x55; 8192]).expect("written");
        assert!(Replay::open(file).is_err());
        assert_eq!(Replay::default().load(&key()), Err(StoreFailed));
        assert_eq!(Replay::default().commit(&key(), &Record::default()), Err(StoreFailed));
    }
}
