//! The kernel in safe clothes. The only crate of the workspace with unsafe code.

pub mod capture;
pub mod channel;
pub mod clock;
pub mod daemonize;
pub mod datagram;
pub mod files;
pub mod filter;
pub mod inherited;
pub mod landlock;
pub mod local;
pub mod memfd;
pub mod memory;
pub mod namespace;
mod netlink;
pub mod nft;
pub mod notify;
pub mod pnet_capture;
pub mod poll;
pub mod privileges;
pub mod process;
pub mod random;
pub mod reexec;
pub mod route;
pub mod sandbox;
pub mod signals;
pub mod spawn;
pub mod stream;
