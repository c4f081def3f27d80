//! A lease: a grant in force until a deadline (spec/leases.md, "State machine").
//!
//! Values only; [`table`] finds them, [`crate::runner`] moves them.

pub mod table;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::door::{NftFamily, NftSet, Style};
use crate::effect::JobId;
use crate::event::Why;
use crate::record::{Phase, Record};
use crate::template::Rendered;

/// A lease; unique in the journal, rising.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

/// Who holds a lease: the public key of a device, which the runner compares and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub [u8; 32]);

/// What an opening is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// For whom.
    pub address: IpAddr,
    /// For how long, if the client said; native doors honour it within their policy.
    pub wanted: Option<Duration>,
    /// By which device; `None` for a sequence, which anybody may knock.
    pub owner: Option<Owner>,
    /// However many leases the source has: what the administrator does, and what takes the place of a lease that has just ended.
    /// What the door may have is its limit.
    pub spares_source: bool,
}

impl Ask {
    /// What a sequence asks for.
    #[must_use]
    pub const fn by_sequence(address: IpAddr) -> Self {
        Self { address, wanted: None, owner: None, spares_source: false }
    }

    /// What the administrator asks for.
    #[must_use]
    pub const fn by_hand(address: IpAddr, wanted: Option<Duration>) -> Self {
        Self { address, wanted, owner: None, spares_source: true }
    }
}

/// Where a lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Opening: the start command waits for its turn.
    Waiting {
        /// Opening anew: attempts to close that failed. The stop command is owed whatever becomes of this start command.
        /// `None`: nothing has happened outside yet.
        owed: Option<u32>,
    },
    /// Opening: the start command runs.
    Starting {
        /// The command.
        job: JobId,
        /// As while it waited: where it cannot be started, the stop command is owed all the same.
        owed: Option<u32>,
    },
    /// Opening: the kernel was asked for the element.
    Setting,
    /// Open until the deadline.
    Open,
    /// Closing: the stop command waits for its turn.
    Due {
        /// Attempts that failed so far.
        tries: u32,
    },
    /// Closing: the stop command runs.
    Stopping {
        /// The command.
        job: JobId,
        /// Attempts that failed so far.
        tries: u32,
    },
    /// Closing: the kernel was asked to drop the element.
    Deleting {
        /// Attempts that failed so far.
        tries: u32,
    },
    /// Closing: the last attempt failed, the next one has its time.
    Retry {
        /// Attempts that failed so far.
        tries: u32,
    },
    /// Closing: so many attempts failed that somebody has to look; the next one has its time.
    CannotClose {
        /// Attempts that failed.
        tries: u32,
    },
}

/// Closing may fail so often before that is loud.
pub(crate) const LOUD_AFTER: u32 = 5;

impl State {
    /// How often closing has failed, where that was so often that somebody has to look; also while it is tried once more, or
    /// opened anew.
    #[must_use]
    pub const fn stuck(self) -> Option<u32> {
        match self {
            Self::CannotClose { tries } => Some(tries),
            Self::Due { tries }
            | Self::Stopping { tries, .. }
            | Self::Waiting { owed: Some(tries) }
            | Self::Starting { owed: Some(tries), .. }
                if tries > LOUD_AFTER =>
            {
                Some(tries)
            }
            _ => None,
        }
    }

    /// While a door that could not be closed is opened anew: how often closing has failed.
    pub(crate) const fn owed(self) -> Option<u32> {
        match self {
            Self::Waiting { owed } | Self::Starting { owed, .. } => owed,
            _ => None,
        }
    }
}

/// The set an element lies in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// aldaba's own set for the door of this name and the address's family.
    Own {
        /// The door.
        door: Arc<str>,
    },
    /// A set of the administrator's.
    Named {
        /// Family of the table.
        family: NftFamily,
        /// The table.
        table: String,
        /// The set.
        set: String,
    },
}

impl Place {
    /// Where an element for this address goes; `None` when the door names no set for its family.
    #[must_use]
    pub fn of(door: &Arc<str>, set: &NftSet, address: IpAddr) -> Option<Self> {
        match set {
            NftSet::Own { .. } => Some(Self::Own { door: Arc::clone(door) }),
            NftSet::Named { family, table, set_v4, set_v6 } => {
                let set = if address.is_ipv4() { set_v4 } else { set_v6 };
                let set = set.clone()?;
                Some(Self::Named { family: *family, table: table.clone(), set })
            }
        }
    }
}

/// One thing in the kernel, whichever doors lead to it: at most one lease holds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    /// The client's address.
    pub address: IpAddr,
    /// The set it lies in.
    pub place: Place,
}

impl Element {
    /// The element a door opens with for this address; `None` when the door names no set for its family.
    pub(crate) fn of(door: &Arc<str>, set: &NftSet, address: IpAddr) -> Option<Self> {
        Place::of(door, set, address).map(|place| Self { address, place })
    }
}

/// What closes the door again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// A stop command. `None`: nothing does, and the lease is over when its start command has ended.
    Command {
        /// What runs, rendered when the door was opened.
        stop: Option<Rendered>,
        /// Its time limit.
        time_limit: Option<Duration>,
    },
    /// The kernel, by the timeout of an element.
    Element(Place),
}

impl Held {
    /// The element a lease for this address holds, if it holds one.
    pub(crate) fn element(&self, address: IpAddr) -> Option<Element> {
        let Self::Element(place) = self else { return None };
        Some(Element { address, place: place.clone() })
    }
}

/// An element the kernel was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// When it ends.
    pub(crate) deadline: Duration,
    /// What for.
    pub(crate) purpose: Purpose,
}

/// What is said by stop commands that fail though another one has closed the door before: there may be nothing left to close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NothingFound {
    /// When the other one has closed it.
    pub(crate) since: Duration,
    /// How often they ended by themselves and failed.
    pub(crate) times: u32,
}

/// Why the kernel was asked for an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Somebody has knocked.
    Grant,
    /// It was there before: nothing about the lease is new.
    Again,
    /// It is to end earlier.
    Shorten,
}

/// One lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub(crate) id: LeaseId,
    pub(crate) door: Arc<str>,
    pub(crate) style: Style,
    pub(crate) address: IpAddr,
    /// The device that opened or renewed it last.
    pub(crate) owner: Option<Owner>,
    pub(crate) seconds: u64,
    pub(crate) held: Held,
    pub(crate) state: State,
    pub(crate) deadline: Duration,
    /// Time from the start command (native: its beginning, knockd: its end) to the deadline.
    pub(crate) length: Duration,
    /// The start command, until it is handed out.
    pub(crate) start: Option<Rendered>,
    /// A further knock may renew it: the door is native, by command, still there and unchanged. A lease of an element is
    /// renewed by every knock at a door that leads to it.
    pub(crate) renewable: bool,
    /// Set when it is to be closed as soon as possible, and why.
    pub(crate) closing: Option<Why>,
    /// A knock came while the stop command could not be called back: open again afterwards, for so long.
    pub(crate) reopen: Option<Duration>,
    /// An earlier stop command has closed the door: what those after it have found.
    pub(crate) nothing_found: Option<NothingFound>,
    /// Openings before the present one, in the same lease, that no stop command has closed. There may be nothing left of them.
    pub(crate) beneath: u32,
    /// Nobody knows whether the start command did its work: a further knock closes first and opens anew.
    pub(crate) uncertain: bool,
    /// What was asked of the kernel and is not yet answered, oldest first.
    pub(crate) asked: VecDeque<Asked>,
    /// Others took its element away, and it is to come back.
    pub(crate) lost: bool,
    /// Times it was renewed.
    pub(crate) renewals: u32,
}

impl Lease {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> LeaseId {
        self.id
    }

    /// The name of its door, which may be gone from the configuration.
    #[must_use]
    pub fn door(&self) -> &Arc<str> {
        &self.door
    }

    /// Which kind of file its door stands in.
    #[must_use]
    pub fn style(&self) -> Style {
        self.style
    }

    /// Whom the door is open for.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The device that opened or renewed it last; `None`: a sequence did.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        self.owner
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// When it ends; while the start command of a knockd.conf door waits or runs, the earliest that can be.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// What closes it.
    #[must_use]
    pub fn held(&self) -> &Held {
        &self.held
    }

    /// Whether others took its element away and it has not come back yet: the door is not open for the client.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// How often it was renewed.
    #[must_use]
    pub fn renewals(&self) -> u32 {
        self.renewals
    }

    /// Whether a command lease owes a stop command, now or at its deadline.
    #[must_use]
    pub fn owes_stop(&self) -> bool {
        matches!(&self.held, Held::Command { stop: Some(_), .. })
            && self.state != State::Waiting { owed: None }
    }

    /// What the journal shall keep of it; `None` for a lease that has nothing to close later.
    pub(crate) fn record(&self) -> Option<Record> {
        if matches!(self.held, Held::Command { stop: None, .. }) {
            return None;
        }
        let phase = match self.state {
            State::Waiting { owed: None } | State::Starting { .. } | State::Setting => Phase::Opening,
            State::Open => Phase::Open,
            _ => Phase::Closing,
        };
        Some(Record {
            id: self.id,
            door: Arc::clone(&self.door),
            style: self.style,
            address: self.address,
            owner: self.owner,
            seconds: self.seconds,
            held: self.held.clone(),
            deadline: self.deadline,
            phase,
        })
    }
}
