//! Both programs from outside: what they say, how they end, what they send.

mod aldaba;
mod connect;
#[cfg(unix)]
mod drop_in;
mod enrolment;
mod keys;
mod knocks;
#[cfg(target_os = "linux")]
mod packets;
mod programs;
#[cfg(target_os = "linux")]
mod wire;
mod world;
