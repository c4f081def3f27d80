//! Capturing frames: a packet socket with our filter and a ring shared with the kernel.
//!
//! The monitor opens a [`CaptureSocket`] and gives a duplicate of its descriptor to the worker, which maps it as a
//! [`Ring`] and reads frames without a system call each. The monitor keeps the socket for two things the worker may
//! not do: replacing the filter and reading the counters.
//!
//! The socket is created without a protocol, so that nothing arrives before the filter and the ring are in place;
//! binding it, last, starts the flow. It is not promiscuous and does not see what this host sends. Frames of every
//! protocol reach the filter, also those with a VLAN tag; the tag stands in the frame's metadata.
//!
//! **Ring life.** The kernel's place in the ring is kept in the socket and cannot be asked for, so a ring is read by
//! one [`Ring`] in its life: for a new worker, open a new socket.
//!
//! **Interfaces that go.** When the interface goes down, or is deleted, the socket turns readable with an error
//! pending (`ENETDOWN` in both cases); until the error is taken, every poll returns at once. Taking it is what any
//! `recv` on the socket does, and `recvfrom` is what the worker's sandbox allows: [`Ring::take_fault`]. The socket of an
//! interface that comes up again captures again by itself; that of a deleted one never does. A socket bound to
//! [`Target::Any`] does not notice.

#[cfg(any(test, feature = "build"))]
pub mod build;
mod pace;
mod ring;
mod size;
mod socket;

pub use pace::Pace;
pub use ring::{Batch, Fault, FrameView, GROUP, Ring, VlanTag, rehearse, take_fault};
pub use size::{Kept, RingSize};
pub(crate) use socket::attach_program;
pub use socket::{Attached, BlankSocket, CaptureSocket, Statistics, Target, statistics_of};
pub(crate) use socket::{attach, prepare_raw};
