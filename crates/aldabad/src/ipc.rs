//! The words between monitor and worker: fixed-size messages over a SEQPACKET channel (spec/ipc.md).
//!
//! Every message is [`SIZE`] bytes: a kind, the fields in little-endian order, zeros to the end. Anything else is
//! [`Malformed`]: the monitor ends a worker that sends it. Descriptors travel beside a message where its
//! documentation says so. Pure: bytes in, values out.

mod wire;

use std::net::IpAddr;

use aldaba_gate::knock::{Outcome, Protocol, Sequence};
use aldaba_gate::spa::{KnockId, Refusal};
use aldaba_gate::{DoorId, KnockAction};

use crate::control::About;
use crate::counts::PAGE;
use crate::worker::Confined;
use wire::{Reader, Writer};

/// Length of every message in bytes.
pub const SIZE: usize = 128;

/// A message that is not of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a message of this protocol")]
pub struct Malformed;

/// Which sequence of which door, under which policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of the policy the door's number belongs to.
    pub generation: u32,
    /// The door.
    pub door: DoorId,
    /// Which of its sequences.
    pub knock: u8,
}

/// What the worker has counted of datagrams, and what holds them up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Datagrams to the port of single packet authorization.
    pub datagrams: u64,
    /// Those of them that nobody made who knows the gate.
    pub foreign: u64,
    /// How long ago the last of those came, in microseconds; from the address asked for, if one was.
    pub foreign_age: Option<u64>,
    /// For how many microseconds nothing is known to be new, after a lost replay store.
    pub guard_left: u64,
}

/// What the worker tells the monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromWorker {
    /// It has dropped its privileges and closed its sandbox, so far.
    Ready(Confined),
    /// The policy of this generation is built and waits for [`ToWorker::Commit`].
    Prepared {
        /// Which one.
        generation: u32,
    },
    /// The policy of this generation could not be built; the old one stays.
    Unfit {
        /// Which one.
        generation: u32,
    },
    /// A sequence is complete: please act.
    Request {
        /// The sequence.
        place: Place,
        /// Open or close.
        action: KnockAction,
        /// The client's address.
        source: IpAddr,
    },
    /// A source has reached a stage.
    Stage {
        /// The sequence.
        place: Place,
        /// From 1.
        stage: u8,
        /// The client's address.
        source: IpAddr,
    },
    /// An attempt ran out of time.
    Expired {
        /// The sequence.
        place: Place,
        /// How far it had come.
        stage: u8,
        /// The client's address.
        source: IpAddr,
    },
    /// So many stage or expiry events were left out since the last such message.
    LeftOut {
        /// How many.
        events: u64,
    },
    /// Requests lost because too many were under way at once.
    Overrun {
        /// How many.
        requests: u64,
    },
    /// The capture socket of this number stopped for good.
    CaptureFailed {
        /// Its number.
        capture: u32,
    },
    /// A device's request was admitted: please act.
    Admitted {
        /// The door, under the policy of this number; the sequence is 0.
        place: Place,
        /// Open, or close what the device opened.
        action: KnockAction,
        /// The address to open for; for a close, where the request came from.
        source: IpAddr,
        /// Where the request came from.
        from: IpAddr,
        /// The device's public key.
        device: [u8; 32],
        /// The datagram's name.
        id: KnockId,
        /// For how many seconds; 0: as the door says.
        seconds: u16,
        /// Microseconds its clock is ahead; negative when it is behind.
        offset: i64,
    },
    /// A device's request that opens nothing was admitted.
    Hello {
        /// Where it came from.
        from: IpAddr,
        /// The device's public key.
        device: [u8; 32],
        /// The datagram's name.
        id: KnockId,
        /// Microseconds its clock is ahead; negative when it is behind.
        offset: i64,
    },
    /// A datagram of somebody who knows the gate was refused.
    Rejected {
        /// Where it came from.
        from: IpAddr,
        /// Why.
        refusal: Refusal,
        /// The datagram's name.
        id: KnockId,
        /// Whose it claims to be.
        device: Option<[u8; 32]>,
    },
    /// The replay store could not be opened, or a record could not be made durable.
    StoreFailed,
    /// A refusal the worker remembers; asked for by [`ToWorker::Recall`].
    Recalled {
        /// Which question it answers.
        query: u32,
        /// How long ago, in microseconds.
        age: u64,
        /// Where it came from.
        from: IpAddr,
        /// Why.
        refusal: Refusal,
        /// The datagram's name.
        id: KnockId,
        /// Whose it claims to be.
        device: Option<[u8; 32]>,
        /// How often the same datagram came again.
        again: u32,
    },
    /// All that is remembered has been told.
    RecallEnd {
        /// Which question this answers.
        query: u32,
        /// What was counted.
        seen: Seen,
    },
    /// Datagrams were turned away because a lock's budget is spent.
    ShutOut {
        /// Number of the policy the lock's number belongs to.
        generation: u32,
        /// The lock, by its place in that policy.
        lock: u8,
        /// How many since the last such message.
        refused: u64,
    },
    /// It lives, and has taken everything it was told before this question.
    Pong {
        /// The question's number.
        number: u32,
    },
    /// A page of what it has counted; asked for by [`ToWorker::Count`].
    Counted {
        /// Which question it answers.
        query: u32,
        /// Which page, below [`crate::counts::PAGES`].
        page: u8,
        /// Its numbers ([`crate::counts::Counts`]).
        values: [u64; PAGE],
    },
    /// A segment that a sequence looked at; only sent when [`ToWorker::Prepare`] asks for it.
    Hit {
        /// Where it came from, and from which port.
        source: (IpAddr, u16),
        /// Which protocol.
        protocol: Protocol,
        /// Where it went to.
        destination: (IpAddr, u16),
        /// What became of it; never [`Outcome::Invisible`].
        outcome: Outcome,
    },
}

/// What a capture socket is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaptureOn {
    /// Every interface; each frame names its own.
    Any,
    /// One interface, by index.
    Interface(u32),
}

/// What the monitor tells the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToWorker {
    /// Build the policy in the sealed memory that comes beside this message.
    Prepare {
        /// Number of the policy.
        generation: u32,
        /// Whether attempts at unchanged doors go on when it comes into force.
        keep_attempts: bool,
        /// Whether stage and expiry events are wanted.
        stages: bool,
        /// Whether [`FromWorker::Hit`] is wanted.
        hits: bool,
        /// IPv6 is not looked at, whatever the policy says.
        ipv4_only: bool,
    },
    /// The policy last prepared is in force from now on.
    Commit {
        /// Number of the policy.
        generation: u32,
    },
    /// An interface, new or changed; its addresses follow one by one.
    Interface {
        /// Kernel index.
        index: u32,
        /// Whether loopback sources are believed on it.
        loopback: bool,
        /// Name as the policy uses it, at most 31 bytes.
        name: String,
    },
    /// An address of the interface last named: a destination that is this host.
    Address {
        /// Kernel index.
        index: u32,
        /// The address.
        address: IpAddr,
    },
    /// All addresses of the interface have been named: it counts from now on.
    InterfaceReady {
        /// Kernel index.
        index: u32,
    },
    /// The interface is gone.
    InterfaceGone {
        /// Kernel index.
        index: u32,
    },
    /// A capture socket with its ring comes beside this message.
    Capture {
        /// Number of the capture, chosen by the monitor.
        capture: u32,
        /// What it is bound to.
        on: CaptureOn,
        /// Bytes of its ring.
        ring: u64,
    },
    /// Stop reading the capture of this number.
    CaptureGone {
        /// Its number.
        capture: u32,
    },
    /// The replay store comes beside this message.
    Store,
    /// A UDP socket on the port of single packet authorization comes beside this message, in place of one before; without one
    /// the worker listens no more.
    Listen,
    /// Tell what is remembered of refused datagrams.
    Recall {
        /// A number the answers carry.
        query: u32,
        /// Of which.
        about: About,
    },
    /// Say that you live.
    Ping {
        /// A number the answer carries.
        number: u32,
    },
    /// Tell what has been counted, all pages.
    Count {
        /// A number the answers carry.
        query: u32,
    },
    /// The next one-time sequence of a knock; `None`: there is none left.
    NextSequence {
        /// The knock.
        place: Place,
        /// Its sequence from now on.
        sequence: Option<Sequence>,
    },
}

impl FromWorker {
    /// As it goes over the channel.
    #[must_use]
    pub fn encode(&self) -> [u8; SIZE] {
        let writer = match *self {
            Self::Ready(Confined { kept_uid, landlock }) => {
                Writer::new(1).u8(u8::from(kept_uid)).u8(landlock)
            }
            Self::Prepared { generation } => Writer::new(2).u32(generation),
            Self::Unfit { generation } => Writer::new(3).u32(generation),
            Self::Request { place, action, source } => {
                Writer::new(4).place(place).u8(u8::from(action == KnockAction::Close)).address(source)
            }
            Self::Stage { place, stage, source } => Writer::new(5).place(place).u8(stage).address(source),
            Self::Expired { place, stage, source } => Writer::new(6).place(place).u8(stage).address(source),
            Self::LeftOut { events } => Writer::new(7).u64(events),
            Self::Overrun { requests } => Writer::new(8).u64(requests),
            Self::CaptureFailed { capture } => Writer::new(9).u32(capture),
            Self::Hit { source, protocol, destination, outcome } => Writer::new(10)
                .u8(u8::from(protocol == Protocol::Udp))
                .socket(source)
                .socket(destination)
                .outcome(outcome),
            Self::Admitted { place, action, source, from, device, id, seconds, offset } => Writer::new(11)
                .place(place)
                .u8(u8::from(action == KnockAction::Close))
                .address(source)
                .address(from)
                .put(&device)
                .put(&id.0)
                .u16(seconds)
                .i64(offset),
            Self::Hello { from, device, id, offset } => {
                Writer::new(12).address(from).put(&device).put(&id.0).i64(offset)
            }
            Self::Rejected { from, refusal, id, device } => {
                Writer::new(13).address(from).refusal(refusal).put(&id.0).optional_key(device)
            }
            Self::StoreFailed => Writer::new(14),
            Self::Recalled { query, age, from, refusal, id, device, again } => Writer::new(15)
                .u32(query)
                .u64(age)
                .address(from)
                .refusal(refusal)
                .put(&id.0)
                .optional_key(device)
                .u32(again),
            Self::RecallEnd { query, seen } => Writer::new(16).u32(query).seen(&seen),
            Self::ShutOut { generation, lock, refused } => {
                Writer::new(17).u32(generation).u8(lock).u64(refused)
            }
            Self::Pong { number } => Writer::new(18).u32(number),
            Self::Counted { query, page, values } => {
                values.into_iter().fold(Writer::new(19).u32(query).u8(page), Writer::u64)
            }
        };
        writer.bytes
    }

    /// From the channel.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes)?;
        let message = match r.u8()? {
            1 => Self::Ready(Confined { kept_uid: r.bool()?, landlock: r.u8()? }),
            2 => Self::Prepared { generation: r.u32()? },
            3 => Self::Unfit { generation: r.u32()? },
            4 => Self::Request { place: r.place()?, action: r.action()?, source: r.address()? },
            5 => Self::Stage { place: r.place()?, stage: r.u8()?, source: r.address()? },
            6 => Self::Expired { place: r.place()?, stage: r.u8()?, source: r.address()? },
            7 => Self::LeftOut { events: r.u64()? },
            8 => Self::Overrun { requests: r.u64()? },
            9 => Self::CaptureFailed { capture: r.u32()? },
            10 => Self::Hit {
                protocol: r.protocol()?,
                source: r.socket()?,
                destination: r.socket()?,
                outcome: r.outcome()?,
            },
            11 => Self::Admitted {
                place: r.place()?,
                action: r.action()?,
                source: r.address()?,
                from: r.address()?,
                device: r.take()?,
                id: r.knock_id()?,
                seconds: r.u16()?,
                offset: r.i64()?,
            },
            12 => Self::Hello { from: r.address()?, device: r.take()?, id: r.knock_id()?, offset: r.i64()? },
            13 => Self::Rejected {
                from: r.address()?,
                refusal: r.refusal()?,
                id: r.knock_id()?,
                device: r.optional_key()?,
            },
            14 => Self::StoreFailed,
            15 => Self::Recalled {
                query: r.u32()?,
                age: r.u64()?,
                from: r.address()?,
                refusal: r.refusal()?,
                id: r.knock_id()?,
                device: r.optional_key()?,
                again: r.u32()?,
            },
            16 => Self::RecallEnd { query: r.u32()?, seen: r.seen()? },
            17 => Self::ShutOut { generation: r.u32()?, lock: r.u8()?, refused: r.u64()? },
            18 => Self::Pong { number: r.u32()? },
            19 => Self::Counted { query: r.u32()?, page: r.page()?, values: r.values()? },
            _ => return Err(Malformed),
        };
        r.end(message)
    }
}

impl ToWorker {
    /// As it goes over the channel.
    #[must_use]
    pub fn encode(&self) -> [u8; SIZE] {
        let writer = match self {
            Self::Prepare { generation, keep_attempts, stages, hits, ipv4_only } => {
                let flags = [*keep_attempts, *stages, *hits, *ipv4_only].map(u8::from);
                Writer::new(1).u32(*generation).put(&flags)
            }
            Self::Commit { generation } => Writer::new(2).u32(*generation),
            Self::Interface { index, loopback, name } => {
                let mut field = [0; 32];
                // 31 bytes at most: a longer name fills the field and the reader refuses it.
                let length = name.len().min(field.len());
                field[..length].copy_from_slice(&name.as_bytes()[..length]);
                Writer::new(3).u32(*index).u8(u8::from(*loopback)).put(&field)
            }
            Self::Address { index, address } => Writer::new(4).u32(*index).address(*address),
            Self::InterfaceReady { index } => Writer::new(5).u32(*index),
            Self::InterfaceGone { index } => Writer::new(6).u32(*index),
            Self::Capture { capture, on, ring } => {
                let index = match on {
                    CaptureOn::Any => 0,
                    CaptureOn::Interface(index) => *index,
                };
                Writer::new(7).u32(*capture).u32(index).u64(*ring)
            }
            Self::CaptureGone { capture } => Writer::new(8).u32(*capture),
            Self::NextSequence { place, sequence } => {
                Writer::new(9).place(*place).sequence(sequence.as_ref())
            }
            Self::Store => Writer::new(10),
            Self::Listen => Writer::new(11),
            Self::Recall { query, about } => Writer::new(12).u32(*query).about(*about),
            Self::Ping { number } => Writer::new(13).u32(*number),
            Self::Count { query } => Writer::new(14).u32(*query),
        };
        writer.bytes
    }

    /// From the channel.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes)?;
        let message = match r.u8()? {
            1 => Self::Prepare {
                generation: r.u32()?,
                keep_attempts: r.bool()?,
                stages: r.bool()?,
                hits: r.bool()?,
                ipv4_only: r.bool()?,
            },
            2 => Self::Commit { generation: r.u32()? },
            3 => Self::Interface { index: r.u32()?, loopback: r.bool()?, name: r.name()? },
            4 => Self::Address { index: r.u32()?, address: r.address()? },
            5 => Self::InterfaceReady { index: r.u32()? },
            6 => Self::InterfaceGone { index: r.u32()? },
            7 => Self::Capture { capture: r.u32()?, on: CaptureOn::from_index(r.u32()?), ring: r.u64()? },
            8 => Self::CaptureGone { capture: r.u32()? },
            10 => Self::Store,
            11 => Self::Listen,
            12 => Self::Recall { query: r.u32()?, about: r.about()? },
            13 => Self::Ping { number: r.u32()? },
            14 => Self::Count { query: r.u32()? },
            9 => Self::NextSequence { place: r.place()?, sequence: r.sequence()? },
            _ => return Err(Malformed),
        };
        r.end(message)
    }
}

impl CaptureOn {
    const fn from_index(index: u32) -> Self {
        // The kernel numbers interfaces from 1.
        if index == 0 { Self::Any } else { Self::Interface(index) }
    }
}

#[cfg(test)]
mod tests;
