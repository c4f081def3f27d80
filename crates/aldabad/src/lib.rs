//! The daemon of aldaba: monitor, worker and closer, under its own name and as `knockd`.
#![forbid(unsafe_code)]

pub mod budget;
pub mod check;
pub mod cli;
pub mod face;
pub mod ipc;
pub mod knockd;
pub mod role;
pub mod state;
pub mod watch;
pub mod wording;
pub mod log;
