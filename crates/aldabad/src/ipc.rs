//! The words between monitor and worker: fixed-size messages over a SEQPACKET channel (spec/ipc.md).
//!
//! Every message is [`SIZE`] bytes: a kind, the fields in little-endian order, zeros to the end. Anything else is
//! [`Malformed`]: the monitor ends a worker that sends it. Descriptors travel beside a message where its
//! documentation says so. Pure: bytes in, values out.

mod from_worker;
mod to_worker;
mod wire;

pub use from_worker::FromWorker;
pub use to_worker::{CaptureOn, ToWorker};

use aldaba_gate::DoorId;

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

#[cfg(test)]
mod tests;
