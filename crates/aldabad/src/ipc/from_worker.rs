//! What the worker tells the monitor.

use std::net::IpAddr;

use aldaba_gate::KnockAction;
use aldaba_gate::knock::{Outcome, Protocol};
use aldaba_gate::spa::{KnockId, Refusal};

use super::wire::{Reader, Writer};
use super::{Malformed, Place, SIZE, Seen};
use crate::counts::PAGE;
use crate::worker::Confined;

/// What the worker tells the monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromWorker {
    /// It has dropped its privileges and closed its sandbox, so far.
    Ready(Confined),
    /// The policy of this generation is built and waits for [`super::ToWorker::Commit`].
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
    /// The socket on the port of datagrams cannot be read, and was closed.
    ListenFailed,
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
    /// The record of a device's request is on its way to the disk: what follows may be [`Self::Admitted`].
    Recording,
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
    /// A refusal the worker remembers; asked for by [`super::ToWorker::Recall`].
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
    /// A page of what it has counted; asked for by [`super::ToWorker::Count`].
    Counted {
        /// Which question it answers.
        query: u32,
        /// Which page, below [`crate::counts::PAGES`].
        page: u8,
        /// Its numbers ([`crate::counts::Counts`]).
        values: [u64; PAGE],
    },
    /// A segment that a sequence looked at; only sent when [`super::ToWorker::Prepare`] asks for it.
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
            Self::ListenFailed => Writer::new(20),
            Self::Recording => Writer::new(21),
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
            20 => Self::ListenFailed,
            21 => Self::Recording,
            _ => return Err(Malformed),
        };
        r.end(message)
    }
}
