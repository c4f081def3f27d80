//! `aldabad init`: everything a server needs before its first device, made in one step and never twice.
//!
//! [`identity`] makes keys, registry and stores, [`example`] writes the configuration.

pub mod example;
pub mod hosts;
pub mod identity;

pub use example::Settings;
pub use identity::{Folders, InitError, Part, make};
