//! The messages of one transaction: begun, filled, ready to be sent. Pure.

use super::known::Generation;
use super::{BATCH_BEGIN, BATCH_END, BATCH_GENERATION, DELETE_TABLE, Family, NFTABLES, header};
use crate::netlink::{Builder, REQUEST};

/// Messages of one transaction, so far.
pub(super) struct Batch {
    pub(super) builder: Builder,
    /// The number of the last message.
    pub(super) sequence: u32,
}

/// All of them.
pub(super) struct Written {
    pub(super) bytes: Vec<u8>,
    /// The number of the last one that is answered in any case.
    pub(super) last: u32,
    /// The number of the end.
    pub(super) end: u32,
}

impl Batch {
    /// A transaction whose messages are numbered from here on; with a generation, only while the ruleset has this one.
    pub(super) fn begin(sequence: u32, generation: Option<Generation>) -> Self {
        let mut batch = Self { builder: Builder::default(), sequence };
        batch.builder.message(BATCH_BEGIN, REQUEST, sequence, &header(0, NFTABLES));
        if let Some(Generation(number)) = generation {
            batch.builder.put_be32(BATCH_GENERATION, number);
        }
        batch
    }

    /// The next message; its attributes follow in the builder.
    pub(super) fn message(&mut self, kind: u16, flags: u16, family: Family) {
        let sequence = self.next();
        self.builder.message(kind, REQUEST | flags, sequence, &header(family.number(), 0));
    }

    /// Takes away a table for both families, whatever is in it.
    pub(super) fn delete_table(&mut self, name: &str) {
        self.message(DELETE_TABLE, 0, Family::Inet);
        self.builder.put_text(1, name);
    }

    /// Ends it.
    pub(super) fn finish(mut self) -> Written {
        // Acknowledgements come after the commit: when that of the last is in, all has happened. What fails is answered without being
        // asked. The end itself is acknowledged by new kernels only.
        self.builder.ask_for_answer();
        let last = self.sequence;
        let end = self.next();
        self.builder.message(BATCH_END, REQUEST, end, &header(0, NFTABLES));
        Written { bytes: self.builder.finish(), last, end }
    }

    const fn next(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }
}
