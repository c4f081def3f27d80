//! What a test counts of the work behind a datagram: exact, where times are not.

use std::cell::Cell;

/// So many of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Work {
    /// Key agreements.
    pub(crate) agreements: u32,
    /// Lookups of a device.
    pub(crate) lookups: u32,
}

thread_local! {
    static WORK: Cell<Work> = const { Cell::new(Work { agreements: 0, lookups: 0 }) };
}

pub(crate) fn agreement() {
    WORK.set(Work { agreements: WORK.get().agreements + 1, ..WORK.get() });
}

pub(crate) fn lookup() {
    WORK.set(Work { lookups: WORK.get().lookups + 1, ..WORK.get() });
}

/// What `work` gives, and what it took.
pub(crate) fn counted<T>(work: impl FnOnce() -> T) -> (T, Work) {
    WORK.set(Work::default());
    (work(), WORK.get())
}
