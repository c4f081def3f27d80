//! Single packet authorization: seal a request into one datagram; open it again or refuse it. Specification: `spec/spa.md`.
//!
//! A client calls [`seal()`]. A server asks in the order of the specification, cheapest refusal first, and each answer can
//! be had only from the one before: [`Locks::verify`] gives a [`Datagram`] (its tag is right), [`Datagram::open`] an
//! [`Authentic`] request of a registered device, [`Record::accept`] a new replay record to be made durable, and only then
//! the address rule of [`opened`] lets it through. [`Server`] holds what those steps need and takes them in order.
//!
//! Pure: time and randomness are arguments; there is no clock, no file, no socket and no log here.
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

mod address;
mod budget;
mod bundle;
mod envelope;
mod guard;
mod key;
mod lock;
mod noise;
mod open;
mod published;
mod refusal;
mod registry;
mod replay;
mod request;
mod seal;
mod seen;
mod server;
pub mod text;
mod time;

pub use address::{AddressRule, opened};
pub use bundle::{
    Bundle, BundleDoor, BundleError, BundleLock, BundleSealError, BundleTextError, Host, HostError,
    NotReplaced, OneTimeCode, OpenError, OpenedBundle, OpenedTextError, Port, SealedBundle, Transport,
    ZeroCode,
};
pub use envelope::KnockId;
pub use guard::Guard;
pub use key::{KeyError, Psk, PublicKey, SecretKey};
pub use lock::{Audience, AudienceError, GateKeys, Lock, device_psk};
pub use open::{Authentic, Datagram, LockKeys, Locks, LocksError, MAX_LOCKS, Refused};
pub use published::{PUBLISHED_PSKS, PUBLISHED_PUBLIC_KEYS};
pub use refusal::{Malformed, Refusal};
pub use registry::{Device, DeviceId, Doors, Registry, SameKey};
pub use replay::{Record, RecordError, Window};
pub use request::{DoorTag, Operation, Request};
pub use seal::{SealError, Sealed, seal};
pub use server::{Admitted, Demand, Moment, Psks, Rejected, Served, ServedDoor, Server, Store, StoreFailed};
pub use text::{KeyKind, TextError};
pub use time::Timestamp;

/// Suite 1: `Noise_Xpsk1_25519_ChaChaPoly_SHA256` (spec/spa.md, section 2).
pub const SUITE: u8 = 1;
/// The least bytes a datagram has.
pub const MIN_LEN: usize = 144;
/// The most bytes a datagram has: an IPv6 packet of 1280 bytes without its headers.
pub const MAX_LEN: usize = 1232;
/// The most bytes of padding.
pub const MAX_PADDING: usize = MAX_LEN - MIN_LEN;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod work;
