//! The front of the file: a *mark* for each record that became durable lately, one page each, written in turn.
//!
//! A commit of the database behind it writes half a dozen pages in as many places; a mark is one page that is there already, so
//! one wait for the disk is all that an admitted datagram takes. The database takes marks over before their pages are used again,
//! and says in the same commit up to which: what it has and what stands here is all there is. Nothing here is ever older than its
//! copy there, and a page that holds what is needed is never written to.
//!
//! A mark that is not whole was being written when everything ended, if it is the next one: nothing has come of it. Anything else
//! that is no mark is damage, and so is one that is missing before another.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use aldaba_gate::spa::{PublicKey, Record};
use aldaba_runner::journal::Storage;
use aldaba_sys::clock;
use redb::StorageBackend;

use crate::state::checksum;

/// A page: what a disk and a file system write at a time.
const PAGE: u64 = 4096;
const EMPTY_PAGE: [u8; 4096] = [0; 4096];
/// Marks there is room for.
pub(super) const PAGES: u64 = 64;
/// From so many on the database takes them over when there is nothing else to do.
const MANY: u64 = 48;
/// Where the database begins.
pub(super) const LENGTH: u64 = PAGE * PAGES;

/// A mark: its number, its device, the length of the record, the record and zeros up to the longest one, a sum of all that. The rest of
/// its page is zeros.
const MARK: usize = 8 + 32 + 1 + LONGEST + 8;
/// A floor and sixteen times.
const LONGEST: usize = 17 * 8;

/// A disk that takes so long is slow: others have time for something.
const SLOW: Duration = Duration::from_micros(150);

type Key = [u8; 32];

/// The marks that the database does not have yet.
#[derive(Debug)]
pub(super) struct Front {
    storage: Storage,
    /// The number of the last one the database has; they are counted from one on.
    taken: u64,
    /// The last one's.
    last: u64,
    records: HashMap<Key, Record>,
    /// The disk took its time with the last one, or is not known yet.
    is_slow: bool,
}

impl Front {
    /// Writes a front without marks, so that its pages are there before the first one: a disk that is full by then has them.
    pub(super) fn make(storage: &Storage) -> io::Result<()> {
        (0..PAGES).try_for_each(|number| storage.write(number * PAGE, &EMPTY_PAGE))?;
        storage.sync_data()
    }

    /// The marks behind the last one that the database has. `None`: they are damaged.
    pub(super) fn read(storage: Storage, taken: u64) -> io::Result<Option<Self>> {
        let mut front = Self { storage, taken, last: taken, records: HashMap::new(), is_slow: true };
        let (mut found, mut broken) = (HashMap::new(), Vec::new());
        for place in 0..PAGES {
            let mut bytes = [0; MARK];
            front.storage.read(place * PAGE, &mut bytes)?;
            match mark(&bytes).filter(|(number, _, _)| number % PAGES == place) {
                Some((number, device, record)) if number > taken => {
                    found.insert(number, (device, record));
                }
                // The database has it, or nothing was ever written there.
                Some(_) => {}
                None if bytes == [0; MARK] => {}
                None => broken.push(place),
            }
        }
        while let Some((device, record)) = found.remove(&front.next()) {
            front.last = front.next();
            front.records.insert(device, record);
        }
        let unfinished = front.next() % PAGES;
        let is_sound = found.is_empty() && broken.iter().all(|place| *place == unfinished);
        Ok(is_sound.then_some(front))
    }

    const fn next(&self) -> u64 {
        self.last.wrapping_add(1)
    }

    /// The newest record of this device, if one of its marks is here.
    pub(super) fn record(&self, device: &PublicKey) -> Option<Record> {
        self.records.get(device.as_bytes()).copied()
    }

    /// The newest records of all devices that have marks here, and the number of the last mark.
    pub(super) fn records(&self) -> (u64, impl Iterator<Item = (&Key, &Record)>) {
        (self.last, self.records.iter())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.last == self.taken
    }

    /// Whether there is no room for another mark.
    pub(super) fn is_full(&self) -> bool {
        self.last.wrapping_sub(self.taken) >= PAGES
    }

    /// Whether it is time to hand over what is here.
    pub(super) fn has_many(&self) -> bool {
        self.last.wrapping_sub(self.taken) >= MANY
    }

    /// The database has them all, durably.
    pub(super) fn taken_over(&mut self) {
        self.taken = self.last;
        self.records.clear();
    }

    /// Makes a mark, durably. There must be room. Where the disk was slow the last time, `meanwhile` is done before it is waited for: for what
    /// others can do in that time.
    pub(super) fn add(
        &mut self,
        device: &PublicKey,
        record: &Record,
        meanwhile: impl FnOnce(),
    ) -> io::Result<()> {
        let number = self.next();
        let bytes = bytes(number, device, record).ok_or(io::ErrorKind::InvalidInput)?;
        // The whole page: of one that is written in part the kernel reads the rest first, where it does not have it any more.
        let mut page = EMPTY_PAGE;
        page.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        self.storage.write(number % PAGES * PAGE, &page)?;
        let begun = clock::monotonic();
        if self.is_slow {
            meanwhile();
        }
        self.storage.sync_data()?;
        self.is_slow = clock::monotonic().saturating_sub(begun) >= SLOW;
        self.last = number;
        self.records.insert(*device.as_bytes(), *record);
        Ok(())
    }
}

/// The bytes of a mark; `None` for a record that is none.
fn bytes(number: u64, device: &PublicKey, record: &Record) -> Option<[u8; MARK]> {
    let record = record.encode();
    let length = u8::try_from(record.len()).ok()?;
    let mut bytes = [0; MARK];
    let (whole, sum) = bytes.split_last_chunk_mut::<8>()?;
    let (to_number, rest) = whole.split_first_chunk_mut::<8>()?;
    let (to_device, rest) = rest.split_first_chunk_mut::<32>()?;
    let (to_length, to_record) = rest.split_first_mut()?;
    *to_number = number.to_be_bytes();
    *to_device = *device.as_bytes();
    *to_length = length;
    to_record.get_mut(..record.len())?.copy_from_slice(&record);
    *sum = checksum(whole).to_be_bytes();
    Some(bytes)
}

/// Number, device and record of a mark that is whole.
fn mark(bytes: &[u8; MARK]) -> Option<(u64, Key, Record)> {
    let (whole, sum) = bytes.split_last_chunk::<8>()?;
    if u64::from_be_bytes(*sum) != checksum(whole) {
        return None;
    }
    let (number, rest) = whole.split_first_chunk::<8>()?;
    let (device, rest) = rest.split_first_chunk::<32>()?;
    let (length, record) = rest.split_first()?;
    let record = Record::decode(record.get(..usize::from(*length))?).ok()?;
    Some((u64::from_be_bytes(*number), *device, record))
}

/// What is behind the front, for the database.
#[derive(Debug)]
pub(super) struct Behind(pub(super) Storage);

impl StorageBackend for Behind {
    fn len(&self) -> io::Result<u64> {
        self.0.len().map(|length| length.saturating_sub(LENGTH))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset.saturating_add(LENGTH), out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len.saturating_add(LENGTH))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset.saturating_add(LENGTH), data)
    }
}
