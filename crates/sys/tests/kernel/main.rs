//! What only a real kernel can tell: capture, the sandbox, dropped privileges, roles that are started.
//!
//! Needs root (namespaces, packet sockets). Where it may not, it says `SKIPPED`, and fails if
//! `ALDABA_TESTS_MUST_RUN=1`.

#[cfg(test)]
mod capture;
#[cfg(test)]
mod child;
#[cfg(test)]
mod datagram;
#[cfg(test)]
mod net;
#[cfg(test)]
mod pnet;
#[cfg(test)]
mod privileges;
#[cfg(test)]
mod reexec;
#[cfg(test)]
mod sandbox;
#[cfg(test)]
mod skip;
