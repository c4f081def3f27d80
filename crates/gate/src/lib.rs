//! Shows every segment to the knock sequences and turns what they accept into a [`Grant`].
//!
//! The one place where the layers meet: `packet` knows no sequences, `knock` knows no addresses of this host; here a
//! [`packet::Segment`] becomes a [`knock::Hit`] with the scopes it falls in, and a completed sequence becomes a
//! [`Grant`]. Pure: frames, time and the host's addresses are arguments.
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

pub use aldaba_knock as knock;
pub use aldaba_packet as packet;

mod counters;
mod needs;
mod rules;
mod scopes;
mod watch;

pub use counters::{Counters, Dropped};
pub use needs::Needs;
pub use rules::{DoorId, DoorRule, Grant, Knock, KnockAction, Rules, SequenceSource};
pub use scopes::Interface;
pub use watch::{Events, Gate, Verdict};
