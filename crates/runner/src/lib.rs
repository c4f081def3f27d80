//! What a door does when it opens and closes: the catalogue of doors, command templates, leases, their journal,
//! and the order in which commands run (spec/leases.md).
//!
//! The [`Runner`] is a state machine without clock, process or socket: the monitor tells it what happened and when,
//! and performs the [`Effect`]s it hands out. Only [`journal`] touches a file, one that the caller has opened.
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

pub mod door;
pub mod effect;
pub mod event;
pub mod journal;
pub mod lease;
#[cfg(any(test, feature = "model"))]
pub mod model;
pub mod places;
pub mod queue;
pub mod record;
pub mod runner;
pub mod template;

pub use effect::{Change, Effect, ElementChange, JobId, KILL_AFTER, Part, Signal};
pub use event::{Counters, Event, Reason, What, Why};

pub use journal::{Journal, JournalError};
pub use lease::{Ask, Held, Lease, LeaseId, Owner, Place, State};
pub use record::{Due, Entry, Moment, Record, Recovered};
pub use runner::{DoorId, Granted, Loss, OnShutdown, Outcome, Runner};
pub use template::{Rendered, TemplateError};
