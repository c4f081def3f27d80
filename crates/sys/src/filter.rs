//! The kernel's filter in front of a capture socket: which packets may reach the worker at all.
//!
//! A classic BPF program is generated from the ports of the policy, as a balanced tree of comparisons over port
//! ranges, so that traffic to other ports costs a few nanoseconds whatever the number of doors. It decides in favour
//! of the packet wherever it does not look closely; the worker looks at everything again.
//!
//! | packet | verdict |
//! |---|---|
//! | IPv4, TCP or UDP, not a later fragment | by destination port, behind the header length it claims |
//! | IPv6, TCP or UDP directly | by destination port |
//! | IPv6, an extension header first | passes: the worker walks the chain (how many can be had that way is limited by the ring) |
//! | TCP to a port of [`FilterSpec::tcp`], UDP to one of [`FilterSpec::udp`] | passes |
//! | TCP elsewhere | passes if [`FilterSpec::tcp_syn_everywhere`], SYN is set, ACK clear and the port not ignored |
//! | UDP elsewhere | passes if [`FilterSpec::udp_everywhere`] and the port is not ignored |
//! | an inner VLAN tag, any other protocol, headers cut short | dropped |
//!
//! Where a program would be longer than the kernel takes, it is [widened](Program::widened): the narrowest gaps
//! between ports are closed and the smallest ignored ranges forgotten, so that more passes, never less.
//!
//! This module is pure; [`capture`](crate::capture) attaches what it makes.

mod assembler;
mod headers;
mod ports;
mod tree;

pub use ports::PortSet;

/// The most instructions the kernel takes.
pub const MOST_INSTRUCTIONS: usize = 4096;
/// A program of this length always fits: everything widened to one range each.
pub const FEWEST_INSTRUCTIONS: usize = 128;

/// One instruction of classic BPF, as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Insn {
    /// What it does.
    pub code: u16,
    /// How many to skip if its condition holds.
    pub jt: u8,
    /// How many to skip if not.
    pub jf: u8,
    /// Its constant.
    pub k: u32,
}

/// Where the packet begins in what the socket sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Offset {
    /// At the network header, the kernel knows its protocol: a packet socket of kind DGRAM. Tags the kernel has
    /// stripped stand in the frame's metadata, so tagged packets pass.
    Network,
    /// At an Ethernet header: a packet socket of kind RAW on Ethernet. Its reader cannot see a stripped tag, so
    /// packets that had one (other than priority tags) are dropped here.
    Ethernet,
    /// At an IP header of either version: a packet socket of kind RAW on an interface without link headers.
    Ip,
}

/// What must pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FilterSpec {
    /// Ports to which every TCP packet passes.
    pub tcp: PortSet,
    /// Whether a TCP connection's first packet (SYN without ACK) passes to any port that is not ignored.
    pub tcp_syn_everywhere: bool,
    /// Ports to which every UDP packet passes.
    pub udp: PortSet,
    /// Whether UDP passes to any port that is not ignored.
    pub udp_everywhere: bool,
    /// Ports `tcp_syn_everywhere` does not apply to. Ports in `tcp` pass all the same.
    pub ignore_tcp: PortSet,
    /// Ports `udp_everywhere` does not apply to. Ports in `udp` pass all the same.
    pub ignore_udp: PortSet,
    /// Whether IPv6 is looked at.
    pub ipv6: bool,
}

/// A program for the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its instructions.
    pub instructions: Vec<Insn>,
    /// Whether more passes than was asked for, because the exact program would be too long.
    pub widened: bool,
}

impl FilterSpec {
    /// The program for this specification, of at most `limit` instructions (not less than [`FEWEST_INSTRUCTIONS`]).
    #[must_use]
    pub fn program(&self, offset: Offset, limit: usize) -> Program {
        let limit = limit.clamp(FEWEST_INSTRUCTIONS, MOST_INSTRUCTIONS);
        // Short leaves execute fewest instructions, long ones need fewest.
        for leaf in [2, 4, 8] {
            let instructions = headers::compile(self, offset, leaf);
            if instructions.len() <= limit {
                return Program { instructions, widened: false };
            }
        }
        let mut ranges = limit;
        loop {
            let instructions = headers::compile(&self.widened(ranges), offset, 8);
            if instructions.len() <= limit {
                return Program { instructions, widened: true };
            }
            ranges = ranges * 7 / 8;
        }
    }

    /// The same with at most so many ranges in each set: a superset of what passes.
    fn widened(&self, ranges: usize) -> Self {
        Self {
            tcp: self.tcp.widened(ranges),
            udp: self.udp.widened(ranges),
            ignore_tcp: self.ignore_tcp.narrowed(ranges),
            ignore_udp: self.ignore_udp.narrowed(ranges),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod machine;
#[cfg(test)]
mod tests;
