//! nftables over netlink: elements with a kernel timeout, and aldaba's own table (nft(8); `linux/netfilter/nf_tables.h`).
//!
//! Every change is one transaction: it happens whole or not at all.

mod anothers;
mod batch;
mod carry;
mod expression;
mod judge;
mod known;
mod many;
mod map;
mod mark;
mod own;
mod ports;
mod ruleset;
mod set;
mod silence;
mod steps;
mod table;
mod watch;

use std::fmt;
use std::io;

use rustix::net::netlink;

use crate::netlink::{Builder, DUMP, REQUEST, Socket};

use batch::{Batch, Written};
use known::{Generation, Known};

pub use judge::{Asking, Course, Diversion, Doubt, Fate, Judgement, Place, Probe, Standing};
pub use mark::{Guarding, Mark};
pub use own::{OwnTable, TableId};
pub use ruleset::{ChainName, Ruleset, legacy_iptables};
#[cfg(any(test, feature = "build"))]
pub use set::opening;
pub use set::{SetId, UnfitSet};
pub use silence::SpaPort;
pub use table::{DoorSpec, TableSpec};
pub use watch::{Changer, NftWatch, Noticed, Ours};

/// The subsystem's number, upper half of every message type.
const NFTABLES: u16 = 10;
/// The same where message types have it.
const SUBSYSTEM: u16 = NFTABLES << 8;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// The ruleset a batch is made for (`NFNL_BATCH_GENID`).
const BATCH_GENERATION: u16 = 1;
const NEW_TABLE: u16 = SUBSYSTEM;
const GET_TABLE: u16 = SUBSYSTEM + 1;
const DELETE_TABLE: u16 = SUBSYSTEM + 2;
const NEW_CHAIN: u16 = SUBSYSTEM + 3;
const GET_CHAIN: u16 = SUBSYSTEM + 4;
const DELETE_CHAIN: u16 = SUBSYSTEM + 5;
const NEW_RULE: u16 = SUBSYSTEM + 6;
const GET_RULE: u16 = SUBSYSTEM + 7;
const DELETE_RULE: u16 = SUBSYSTEM + 8;
const NEW_SET: u16 = SUBSYSTEM + 9;
const GET_SET: u16 = SUBSYSTEM + 10;
const DELETE_SET: u16 = SUBSYSTEM + 11;
const NEW_ELEMENT: u16 = SUBSYSTEM + 12;
const GET_ELEMENT: u16 = SUBSYSTEM + 13;
const DELETE_ELEMENT: u16 = SUBSYSTEM + 14;
const NEW_GENERATION: u16 = SUBSYSTEM + 15;
const GET_GENERATION: u16 = SUBSYSTEM + 16;

/// The family of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Both address families.
    Inet,
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
}

impl Family {
    const fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Ip => 2,
            Self::Ip6 => 10,
        }
    }
}

/// Where a set is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SetName {
    /// The table's family.
    pub family: Family,
    /// The table.
    pub table: String,
    /// The set.
    pub set: String,
}

impl fmt::Display for SetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            Family::Inet => "inet",
            Family::Ip => "ip",
            Family::Ip6 => "ip6",
        };
        write!(f, "{family} {} {}", self.table, self.set)
    }
}

/// Why the firewall did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// No right to change it.
    #[error("not allowed to change the firewall: run as root or with CAP_NET_ADMIN")]
    Denied,
    /// The kernel has no nftables.
    #[error("this kernel has no nftables")]
    NoNftables,
    /// The table or set is not there.
    #[error("there is no such table or set")]
    Missing,
    /// The set is of another kind.
    #[error("the set cannot be used: {0}")]
    UnfitSet(UnfitSet),
    /// The address is in the set, or in a range of it, and nothing ends that.
    #[error("the set lets this address in without an end: no knock is needed")]
    StandsThere,
    /// A range in the set holds the address, or a part of it.
    #[error("a range in the set overlaps this address")]
    Overlaps,
    /// The table that is to be aldaba's is somebody else's, who has this in it.
    #[error("the table is not aldaba's, it has {0}")]
    Anothers(String),
    /// Anything else.
    #[error("{0}")]
    Kernel(io::Error),
}

impl From<io::Error> for NftError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::Denied,
            Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT) => Self::NoNftables,
            Some(libc::ENOENT) => Self::Missing,
            _ => Self::Kernel(error),
        }
    }
}

/// A way to the kernel's firewall.
#[derive(Debug)]
pub struct Nft {
    socket: Socket,
    known: Known,
}

impl Nft {
    /// Opens it. Whether we may change anything shows with the first change.
    pub fn open() -> Result<Self, NftError> {
        Ok(Self { socket: Socket::open(Some(netlink::NETFILTER), 0)?, known: Known::default() })
    }

    /// Makes aldaba's own table what `spec` says. Elements of doors that stay do too; sets of doors that went go. In the same
    /// transaction the tables of these names, aldaba's too, go: what is open there is open here, and for no longer; there is no
    /// moment without a guard.
    pub fn ensure_in_place_of(&mut self, spec: &TableSpec, old: &[String]) -> Result<(), NftError> {
        let stale = spec.stale(self.sets(Family::Inet, &spec.name)?);
        let carried = self.carried(spec, old)?;
        self.transaction(|batch| {
            for name in old {
                batch.delete_table(name);
            }
            spec.write(batch, &stale);
            for carried in &carried {
                carried.write(batch);
            }
        })?;
        let stale = spec.stale_chains(&self.own_chains(&spec.name)?);
        if !stale.is_empty() {
            // By now nothing leads there: some kernels hold what a map leads to until the map's own transaction is over.
            self.transaction(|batch| stale.iter().for_each(|chain| spec.delete_chain(batch, chain)))?;
        }
        Ok(())
    }

    /// Takes a table of aldaba's own away, and with it what guards the ports.
    pub fn remove_own_table(&mut self, name: &str) -> Result<(), NftError> {
        accept_missing(self.transaction(|batch| batch.delete_table(name)))
    }

    /// The names of the sets in a table; none when there is no table.
    fn sets(&mut self, family: Family, table: &str) -> io::Result<Vec<String>> {
        let mut builder = Builder::default();
        let sequence = self.socket.next_sequence();
        builder.message(GET_SET, REQUEST | DUMP, sequence, &header(family.number(), 0));
        builder.put_text(1, table);
        self.socket.send(&builder.finish())?;
        let mut names = Vec::new();
        let read = self.socket.dump(|message| {
            if let Some((_, attributes)) = message.split(4)
                && attributes.text(1).as_deref() == Some(table)
            {
                names.extend(attributes.text(2));
            }
        });
        match read {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(Vec::new()),
            other => other.map(|()| names),
        }
    }

    fn transaction(&mut self, fill: impl FnOnce(&mut Batch)) -> io::Result<()> {
        // Nobody knows what others have changed before it.
        self.known.forget();
        self.transaction_in(None, fill)
    }

    /// The same, only while the ruleset has this generation.
    fn transaction_in(
        &mut self,
        generation: Option<Generation>,
        fill: impl FnOnce(&mut Batch),
    ) -> io::Result<()> {
        let mut batch = Batch::begin(self.socket.next_sequence(), generation);
        fill(&mut batch);
        let Written { bytes, last, end } = batch.finish();
        self.socket.skip_to(end);
        self.socket.send(&bytes)?;
        self.socket.acknowledged(last)
    }
}

/// `struct nfgenmsg`.
const fn header(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

fn accept_missing(result: io::Result<()>) -> Result<(), NftError> {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => Ok(other?),
    }
}
