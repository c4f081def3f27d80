//! `knockd`: the daemon under the name of the one it replaces.

pub mod options;
