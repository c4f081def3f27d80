//! What the monitor tells the worker.

use std::net::IpAddr;
use std::num::NonZeroU16;

use aldaba_gate::knock::Sequence;

use super::wire::{Reader, Writer};
use super::{Malformed, Place, SIZE};
use crate::control::About;

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
        /// Whether [`super::FromWorker::Hit`] is wanted.
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
        /// Bytes of each slot in it.
        slot: u16,
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
    Listen {
        /// The port whose datagrams are taken from captured frames for as long as its socket cannot be had.
        stand_in: Option<NonZeroU16>,
    },
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
            Self::Capture { capture, on, ring, slot } => {
                let index = match on {
                    CaptureOn::Any => 0,
                    CaptureOn::Interface(index) => *index,
                };
                Writer::new(7).u32(*capture).u32(index).u64(*ring).u16(*slot)
            }
            Self::CaptureGone { capture } => Writer::new(8).u32(*capture),
            Self::NextSequence { place, sequence } => {
                Writer::new(9).place(*place).sequence(sequence.as_ref())
            }
            Self::Store => Writer::new(10),
            Self::Listen { stand_in } => Writer::new(11).u16(stand_in.map_or(0, NonZeroU16::get)),
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
            7 => Self::Capture {
                capture: r.u32()?,
                on: CaptureOn::from_index(r.u32()?),
                ring: r.u64()?,
                slot: r.u16()?,
            },
            8 => Self::CaptureGone { capture: r.u32()? },
            10 => Self::Store,
            11 => Self::Listen { stand_in: NonZeroU16::new(r.u16()?) },
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
