//! Port sequences as text, and how far each source has got in each of them. Specification: `spec/knock.md`.
//!
//! [`grammar`] reads sequences, [`one_time`] reads lists of sequences that work once, [`FlagFilter`] says which TCP
//! packets count, [`Tracker`] follows every source through every sequence in a table of fixed size, and [`scan`] says
//! what a port scan would do to a sequence.
//!
//! Not here: packets (`aldaba-packet`), the addresses of this host (`aldaba-gate`), files and clocks (the daemon).
//! Everything is an argument or a return value; time is a [`std::time::Duration`] since any fixed origin.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::panic,
        clippy::expect_used
    )
)]

mod flags;
pub mod grammar;
#[cfg(any(test, feature = "model"))]
pub mod model;
pub mod one_time;
mod pattern;
pub mod scan;
mod sequence;
mod tracker;

pub use flags::{FlagError, FlagFilter, TcpFlags};
pub use grammar::{SequenceError, SequenceErrorKind};
pub use pattern::{
    Displaced, Hit, Keep, Limits, Mode, Outcome, Pattern, PatternId, ScopeId, Sink, TrackerError,
};
pub use sequence::{LengthError, Protocol, Sequence, Step};
pub use tracker::Tracker;
