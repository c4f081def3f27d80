//! Frames as every kind of capture hands them over.

use aldaba_packet::build::Frame as Parts;
use aldaba_packet::{Frame, Link, Refused, Segment, parse};

use crate::{HOST, source};

/// Every kind of capture; the first is the daemon's own.
pub const LINKS: [(&str, Link); 7] = [
    ("network", Link::Network { ethertype: 0x0800 }),
    ("ethernet", Link::Ethernet),
    ("ip", Link::Ip),
    ("linux-sll", Link::LinuxSll),
    ("linux-sll2", Link::LinuxSll2),
    ("null", Link::Null),
    ("loop", Link::Loop),
];

/// A frame that was captured.
#[derive(Debug)]
pub struct Captured {
    link: Link,
    bytes: Vec<u8>,
}

impl Captured {
    /// A SYN.
    #[must_use]
    pub fn syn(link: Link) -> Self {
        Self::of(link, &Parts::tcp(source(1), 40_000, HOST, 10_000))
    }

    /// The same over IPv6.
    #[must_use]
    pub fn syn6() -> Self {
        let [from, to] =
            ["fd77::2", "fd77::1"].map(|text| text.parse::<std::net::Ipv6Addr>().expect("an address"));
        Self::of(Link::Network { ethertype: 0x86dd }, &Parts::tcp(from, 40_000, to, 10_000))
    }

    /// A SYN in two VLANs.
    #[must_use]
    pub fn tagged() -> Self {
        let parts = Parts::tcp(source(1), 40_000, HOST, 10_000);
        Self::of(Link::Ethernet, &parts.vlan(0x88a8, 7).vlan(0x8100, 8))
    }

    /// A UDP datagram of this length.
    #[must_use]
    pub fn datagram(length: usize) -> Self {
        let payload = vec![0x5a; length];
        Self::of(LINKS[0].1, &Parts::udp(source(1), 40_000, HOST, 42_731).payload(&payload))
    }

    /// A frame cut short in its transport header.
    #[must_use]
    pub fn broken() -> Self {
        Self::of(LINKS[0].1, &Parts::tcp(source(1), 40_000, HOST, 10_000).data_offset(15))
    }

    fn of(link: Link, parts: &Parts) -> Self {
        Self { link, bytes: parts.bytes(link) }
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Looks through all its layers.
    pub fn parse(&self) -> Result<Segment<'_>, Refused> {
        parse(&Frame::whole(self.link, &self.bytes))
    }
}
