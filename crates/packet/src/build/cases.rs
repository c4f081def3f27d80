//! Frames right and wrong in every known way, with the verdict each must get.
//!
//! One table for three users: the parser's own tests, the test that injects each frame into the kernel and compares
//! verdicts, and the fuzz seeds. Each frame has a source port of its own, by which its arrival is recognised.

mod ipv4;
mod ipv4_options;
mod ipv6;
mod ipv6_options;
mod link;
mod transport;

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Frame;
use crate::{Link, Refused};

/// The source port of the first case; each further case has the next.
pub const FIRST_PORT: u16 = 20_000;

/// Who sends to whom.
#[derive(Debug, Clone, Copy)]
pub struct Hosts {
    /// The sender.
    pub source: (Ipv4Addr, Ipv6Addr),
    /// The receiver.
    pub destination: (Ipv4Addr, Ipv6Addr),
    /// The port the receiver listens on, TCP and UDP.
    pub port: u16,
}

/// One frame.
#[derive(Debug, Clone)]
pub struct Case {
    /// What is special about it.
    pub name: &'static str,
    /// The port it comes from.
    pub source_port: u16,
    /// From the Ethernet header on; the addresses there are the caller's to fill in.
    pub bytes: Vec<u8>,
    /// What the parser must say.
    pub expect: Expect,
    /// What the kernel says.
    pub kernel: Kernel,
}

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// It reaches the socket.
    Delivered,
    /// It is well-formed but belongs to the interface of a VLAN.
    OtherVlan,
    /// It is dropped.
    Refused(Refused),
}

/// How the kernel's verdict compares with the parser's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// It is the same.
    Agrees,
    /// It is the opposite, for a reason.
    Differs(&'static str),
    /// It depends on how the kernel was built, or on its version.
    Varies(&'static str),
}

/// The whole table.
#[must_use]
pub fn all(hosts: &Hosts) -> Vec<Case> {
    let mut list = List { hosts: *hosts, cases: Vec::new() };
    list.link();
    list.ipv4();
    list.ipv4_options();
    list.ipv6();
    list.ipv6_options();
    list.transport();
    list.cases
}

struct List {
    hosts: Hosts,
    cases: Vec<Case>,
}

impl List {
    fn source_port(&self) -> u16 {
        FIRST_PORT + self.cases.len() as u16
    }

    /// The next case as a SYN over IPv4, to be altered.
    fn tcp4(&self) -> Frame {
        Frame::tcp(self.hosts.source.0, self.source_port(), self.hosts.destination.0, self.hosts.port)
    }

    fn tcp6(&self) -> Frame {
        Frame::tcp(self.hosts.source.1, self.source_port(), self.hosts.destination.1, self.hosts.port)
    }

    fn udp4(&self) -> Frame {
        Frame::udp(self.hosts.source.0, self.source_port(), self.hosts.destination.0, self.hosts.port)
            .payload(b"knock, knock")
    }

    fn udp6(&self) -> Frame {
        Frame::udp(self.hosts.source.1, self.source_port(), self.hosts.destination.1, self.hosts.port)
            .payload(b"knock, knock")
    }

    fn ok(&mut self, name: &'static str, frame: &Frame) {
        self.add(name, frame.bytes(Link::Ethernet), Expect::Delivered, Kernel::Agrees);
    }

    fn bad(&mut self, name: &'static str, frame: &Frame, refused: Refused) {
        self.bad_bytes(name, frame.bytes(Link::Ethernet), refused);
    }

    fn bad_bytes(&mut self, name: &'static str, bytes: Vec<u8>, refused: Refused) {
        self.add(name, bytes, Expect::Refused(refused), Kernel::Agrees);
    }

    fn add(&mut self, name: &'static str, bytes: Vec<u8>, expect: Expect, kernel: Kernel) {
        let source_port = self.source_port();
        self.cases.push(Case { name, source_port, bytes, expect, kernel });
    }

    /// The last case is one where the kernel says the opposite.
    fn differs(&mut self, reason: &'static str) {
        if let Some(case) = self.cases.last_mut() {
            case.kernel = Kernel::Differs(reason);
        }
    }

    fn varies(&mut self, reason: &'static str) {
        if let Some(case) = self.cases.last_mut() {
            case.kernel = Kernel::Varies(reason);
        }
    }
}
