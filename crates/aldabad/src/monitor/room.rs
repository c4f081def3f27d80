//! How much a worker may take, whatever somebody who has taken it over wants: memory, and the length of the replay store.
//!
//! It is limited before it reads anything, from what its policy needs, several times over: a limit that ends a healthy worker would
//! shut everybody out. A policy that needs more than the worker at hand may take is built by a new one.

use aldaba_sys::privileges::Room;

use super::Monitor;
use super::policy::Version;

/// An attempt in the table, with its share of what is needed to find it: 72 bytes.
const ATTEMPT: u64 = 80;
/// For each door, each device, each byte of the configuration and each byte of all its files. Measured at their peak, in a reload with the policy
/// before still there: 4.4 KiB for a door, and 80 bytes for each byte that says 32 steps; 1.5 KiB for a device.
const DOOR: u64 = 16 << 10;
const DEVICE: u64 = 8 << 10;
const TEXT: u64 = 128;
const BYTE: u64 = 8;
/// Everything else: a worker with a small policy takes 5 MiB.
const SPARE: u64 = 256 << 20;
/// A device's record in the store takes less than half of this, however often the store's tree is copied.
const RECORD: u64 = 4 << 10;
const SPARE_FILE: u64 = 64 << 20;

impl Monitor {
    /// For a worker that starts now: for the policy it gets, and the one in force, to which a trial may go back.
    pub(super) fn room_for_worker(&self) -> Room {
        let versions = || std::iter::once(self.policy.current()).chain(self.policy.candidate());
        let table = versions().map(|version| table(version.policy.gate.attempts)).max().unwrap_or_default();
        let memory = versions().map(memory).max().unwrap_or_default();
        let file = versions().map(records).max().unwrap_or_default();
        let stored = self.stored().saturating_mul(2);
        Room {
            memory: table.saturating_add(memory).saturating_add(SPARE),
            file: stored.saturating_add(file).saturating_add(SPARE_FILE),
        }
    }

    /// Whether the worker there is may take what this policy needs. Half of what is spare is left for what it has.
    pub(super) fn has_room_for(&self, version: &Version) -> bool {
        let Some(Room { memory: most, file }) = self.workers.room() else { return true };
        // The table is as large as it was when the worker started.
        let needs = table(self.start_only.attempts()).saturating_add(memory(version));
        needs.saturating_add(SPARE / 2) <= most && self.stored().saturating_add(records(version)) <= file
    }

    fn stored(&self) -> u64 {
        super::store::length(&self.state_folder)
    }
}

fn table(attempts: usize) -> u64 {
    number(attempts.next_power_of_two()).saturating_mul(ATTEMPT)
}

/// What a policy takes while it is built.
fn memory(version: &Version) -> u64 {
    let texts = version.texts.iter().map(|(_, text)| text.len()).sum();
    let parts = [
        (version.policy.catalogue.doors.len(), DOOR),
        (version.registry.devices().len(), DEVICE),
        (texts, TEXT),
        (version.bytes, BYTE),
    ];
    parts
        .into_iter()
        .fold(0, |sum: u64, (count, each)| sum.saturating_add(number(count).saturating_mul(each)))
}

fn records(version: &Version) -> u64 {
    number(version.registry.devices().len()).saturating_mul(RECORD)
}

fn number(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
