//! Shows every segment to the knock sequences and turns what they accept into a [`Grant`].
//!
//! The one place where the layers meet: `packet` knows no sequences, `knock` knows no addresses of this host; here a
//! [`packet::Segment`] becomes a [`knock::Hit`] with the scopes it falls in.
#![forbid(unsafe_code)]

pub use aldaba_knock as knock;
pub use aldaba_packet as packet;

mod rules;

pub use rules::{DoorId, DoorRule, Grant, Knock, KnockAction, Rules, SequenceSource};
