//! What the last look at a set has shown, for as long as nobody else changes the ruleset.
//!
//! The kernel counts the ruleset's generations, one for each transaction. A transaction may name the generation it was made for: where
//! there is another one by then, the kernel does nothing (`NFNL_BATCH_GENID`, from Linux 4.12 on). So nothing comes between a look and
//! the change that relies on it, and what was seen once is good until somebody else has changed something.

use std::collections::HashMap;
use std::io;

use super::set::Layout;
use super::{Batch, NEW_GENERATION, Nft, SetName};
use crate::netlink::Message;

/// Which of its states the ruleset is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation(pub(super) u32);

impl Generation {
    /// After one more transaction. The kernel leaves zero out.
    const fn next(self) -> Self {
        Self(if self.0 == u32::MAX { 1 } else { self.0 + 1 })
    }

    /// What an answer says of it.
    pub(super) fn of(message: &Message<'_>) -> Option<Self> {
        let (_, attributes) = message.split(4).filter(|_| message.kind == NEW_GENERATION)?;
        attributes.find(1)?.first_chunk().map(|bytes| Self(u32::from_be_bytes(*bytes)))
    }
}

/// Sets as they are in one generation: only such as elements were put into, and so as many as the policy names.
#[derive(Debug, Default)]
pub(super) struct Known {
    generation: Option<Generation>,
    layouts: HashMap<SetName, Layout>,
}

impl Known {
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// A set was seen in this generation.
    pub(super) fn note(&mut self, generation: Generation, set: &SetName, layout: Layout) {
        if self.generation != Some(generation) {
            *self = Self { generation: Some(generation), layouts: HashMap::new() };
        }
        self.layouts.insert(set.clone(), layout);
    }

    /// How a set wants its elements, and up to when that is true.
    pub(super) fn layout(&self, set: &SetName) -> Option<(Generation, Layout)> {
        Some((self.generation?, *self.layouts.get(set)?))
    }
}

impl Nft {
    /// Changes elements and nothing else, only while the ruleset has this generation. The change must be one: the kernel counts no
    /// generation for nothing.
    pub(super) fn change_in(
        &mut self,
        generation: Generation,
        fill: impl FnOnce(&mut Batch),
    ) -> io::Result<()> {
        let done = self.transaction_in(Some(generation), fill);
        match &done {
            Ok(()) => self.known.generation = Some(generation.next()),
            Err(error) if is_outdated(error) => self.known.forget(),
            // Nothing has changed.
            Err(_) => {}
        }
        done
    }
}

/// Whether the ruleset has another generation than the one a transaction was made for.
pub(super) fn is_outdated(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ERESTART)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::thread::UnshareFlags;

    use super::*;
    use crate::nft::{DoorSpec, Mark, TableSpec};

    #[test]
    fn the_kernel_leaves_zero_out() {
        assert_eq!(Generation(7).next(), Generation(8));
        assert_eq!(Generation(u32::MAX).next(), Generation(1));
    }

    /// How many messages it takes to put this address into the first door's set for a minute.
    fn messages_for(firewall: &mut Nft, table: &TableSpec, last: u8) -> u32 {
        let address = [192, 0, 2, last].into();
        let set = table.set_of("ssh", address).unwrap();
        let before = firewall.socket.next_sequence();
        firewall.add_new_element(&set, address, Duration::from_secs(60)).unwrap();
        assert!(firewall.members(&set).unwrap().contains(&address));
        // Those, and the question for the members.
        firewall.socket.next_sequence() - before - 2
    }

    #[test]
    fn only_the_first_of_two_openings_looks_unless_somebody_comes_between() {
        let thread = std::thread::spawn(|| {
            #[expect(deprecated, reason = "the thread is a new one and shares no namespace with anybody")]
            if let Err(error) = rustix::thread::unshare(UnshareFlags::NEWNET) {
                assert!(std::env::var_os("ALDABA_TESTS_MUST_RUN").is_none(), "this suite must run: {error}");
                return println!("SKIPPED: no network namespace of our own: {error}");
            }
            let table = TableSpec {
                name: "aldaba".into(),
                mark: Mark::of(&[]),
                doors: vec![DoorSpec::new("ssh", [(false, 22, 22)])],
                spa: None,
            };
            let (mut firewall, mut other) = (Nft::open().unwrap(), Nft::open().unwrap());
            firewall.ensure_in_place_of(&table, &[]).unwrap();
            // Generation, set, element; begin, add, delete, add, end.
            assert_eq!(messages_for(&mut firewall, &table, 1), 8);
            // Begin, add, end.
            assert_eq!(messages_for(&mut firewall, &table, 2), 3);
            assert_eq!(messages_for(&mut firewall, &table, 3), 3);
            other.ensure_in_place_of(&table, &[]).unwrap();
            // Refused, and then with a look.
            assert_eq!(messages_for(&mut firewall, &table, 4), 11);
            assert_eq!(messages_for(&mut firewall, &table, 5), 3);
            // There already.
            assert_eq!(messages_for(&mut firewall, &table, 5), 11);
            assert_eq!(messages_for(&mut firewall, &table, 6), 3);
            // Our own change of the table may change what a set is.
            firewall.ensure_in_place_of(&table, &[]).unwrap();
            assert_eq!(messages_for(&mut firewall, &table, 7), 8);
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
}
