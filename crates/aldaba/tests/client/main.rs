//! Both programs from outside: what they say, how they end, what they send.

mod aldaba;
#[cfg(unix)]
mod drop_in;
mod keys;
#[cfg(target_os = "linux")]
mod packets;
mod programs;
#[cfg(target_os = "linux")]
mod wire;
