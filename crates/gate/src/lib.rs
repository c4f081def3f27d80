//! Shows every segment to both ways of knocking and turns what they accept into a [`Grant`].
//!
//! The one place where the layers meet: `packet` knows no sequences and no keys, `knock` and `spa` know no addresses of
//! this host; here a [`packet::Segment`] becomes a [`knock::Hit`] with the scopes it falls in, or the payload of a
//! datagram, and a completed sequence or an admitted request becomes a [`Grant`]. Pure: frames, time and the host's addresses are arguments.
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
pub use aldaba_spa as spa;

mod counters;
mod needs;
mod rehearsal;
mod rules;
mod scopes;
mod spa_path;
mod watch;

pub use counters::{Counters, Dropped};
pub use needs::Needs;
pub use rehearsal::Rehearsal;
pub use rules::{By, DoorId, DoorRule, Grant, Knock, KnockAction, Rules, SequenceSource};
pub use scopes::Interface;
pub use spa_path::SpaRules;
pub use watch::{Events, Gate, Verdict, can_knock};
