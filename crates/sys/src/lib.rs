//! The kernel in safe clothes. The only crate of the workspace with unsafe code.

pub mod capture;
pub mod channel;
pub mod clock;
pub mod filter;
pub mod memfd;
pub mod pnet_capture;
pub mod poll;
pub mod privileges;
pub mod process;
pub mod reexec;
pub mod sandbox;
pub mod signals;
