//! Who else changes the ruleset: the kernel's own notice of every transaction (`NFNLGRP_NFTABLES`).
//!
//! What a notice says of a rule or an element is not taken for the truth: it says where to look. The ruleset is then read.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::netlink;

use super::{Family, NftError, SUBSYSTEM, SetName};
use crate::netlink::{Message, Socket, messages};

/// Group 7, as a mask.
const GROUP: u32 = 1 << 6;
/// A transaction is complete.
const NEW_GENERATION: u16 = SUBSYSTEM + 15;
/// What happens to tables: made or changed, deleted, destroyed.
const OF_TABLES: [u16; 3] = [SUBSYSTEM, SUBSYSTEM + 2, SUBSYSTEM + 26];
/// What happens to sets, and to their elements.
const OF_SETS: [u16; 6] =
    [SUBSYSTEM + 9, SUBSYSTEM + 11, SUBSYSTEM + 29, SUBSYSTEM + 12, SUBSYSTEM + 14, SUBSYSTEM + 30];
/// Notices taken at a time; the rest waits for the next look.
const AT_ONCE: usize = 4096;

/// What concerns us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ours {
    /// The number of the socket our own changes are made through: they are no news.
    pub port: u32,
    /// aldaba's own table, all of it.
    pub table: String,
    /// Sets of other tables.
    pub sets: Vec<SetName>,
}

/// Who made a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changer {
    /// The process.
    pub pid: u32,
    /// Its name, which it has chosen itself.
    pub name: String,
}

/// What others have changed since the last question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noticed {
    /// Something that concerns us, or nobody knows.
    pub ours: bool,
    /// Who it was last, where that is known.
    pub by: Option<Changer>,
    /// Tables that went, whosever.
    pub tables_gone: usize,
}

/// Listens to the kernel's notices.
#[derive(Debug)]
pub struct NftWatch {
    events: Socket,
    /// What is known of a transaction whose end has not been told yet.
    open: Noticed,
}

impl NftWatch {
    /// Begins to listen.
    pub fn open() -> Result<Self, NftError> {
        Ok(Self { events: Socket::open(Some(netlink::NETFILTER), GROUP)?, open: Noticed::default() })
    }

    /// Takes what waits.
    pub fn poll(&mut self, ours: &Ours) -> Result<Noticed, NftError> {
        let mut noticed = Noticed::default();
        for _ in 0..AT_ONCE {
            match self.events.receive() {
                Ok(Some(bytes)) => {
                    messages(&bytes).for_each(|message| self.take(&message, ours, &mut noticed));
                }
                Ok(None) => break,
                // Some were lost, and nobody knows what they told of.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => noticed.ours = true,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(noticed)
    }

    fn take(&mut self, message: &Message<'_>, ours: &Ours, noticed: &mut Noticed) {
        if message.port == ours.port {
            return;
        }
        let Some((fixed, attributes)) = message.split(4) else { return };
        if message.kind == NEW_GENERATION {
            let told = std::mem::take(&mut self.open);
            noticed.ours |= told.ours;
            noticed.tables_gone += told.tables_gone;
            if told.ours || told.tables_gone > 0 && noticed.by.is_none() {
                noticed.by = changer(&attributes);
            }
            return;
        }
        let family = fixed.first().copied().unwrap_or_default();
        let (table, set) = (attributes.text(1).unwrap_or_default(), attributes.text(2));
        let is = |of: &SetName| of.family.number() == family && of.table == table;
        let of_tables = OF_TABLES.contains(&message.kind);
        let of_sets = OF_SETS.contains(&message.kind);
        let own = family == Family::Inet.number() && table == ours.table;
        let named = |of: &SetName| is(of) && (of_tables || of_sets && set.as_deref() == Some(&*of.set));
        self.open.ours |= own || ours.sets.iter().any(named);
        self.open.tables_gone += usize::from(of_tables && message.kind != SUBSYSTEM);
    }
}

impl AsFd for NftWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

fn changer(attributes: &crate::netlink::Attributes<'_>) -> Option<Changer> {
    let pid = attributes.find(2)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))?;
    Some(Changer { pid, name: attributes.text(3)? })
}
