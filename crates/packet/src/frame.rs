//! What the parser is given: a frame as captured, with what the capture knows about it.
//!
//! Implements no check; the meaning of each [`Link`] is in `link.rs`.

use std::net::IpAddr;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86DD;
/// The transport's number in either header.
const TCP: u8 = 6;

/// What the first byte of a frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Link {
    /// An Ethernet header.
    Ethernet,
    /// An IP header of the version its first four bits name: tun, ppp, `WireGuard`.
    Ip,
    /// A network header of this kind; the link header stays with the capture (`AF_PACKET` with `SOCK_DGRAM`).
    /// Where the kind is a VLAN's, the bytes begin with the tag's control information.
    Network {
        /// The kind, in host order.
        ethertype: u16,
    },
    /// The cooked header of Linux, version 1.
    LinuxSll,
    /// The cooked header of Linux, version 2.
    LinuxSll2,
    /// Four bytes of address family in the writer's byte order (capture files of BSD's loopback).
    Null,
    /// Four bytes of address family in network order.
    Loop,
}

/// Whether the transport's checksum says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// It is final: a wrong one refuses the frame.
    Verify,
    /// It is not filled in yet or was checked before: never a reason to refuse.
    Trusted,
}

/// A captured frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the bytes begin with.
    pub link: Link,
    /// What was captured.
    pub bytes: &'a [u8],
    /// The length on the wire; more than was captured if the capture cuts frames short.
    pub wire_len: usize,
    /// The outermost tag, if the kernel took it out of the bytes.
    pub stripped_vlan: Option<VlanTag>,
    /// Whether the transport's checksum is to be believed.
    pub checksum: Checksum,
}

impl<'a> Frame<'a> {
    /// A frame captured whole, with nothing taken out and its checksums final.
    #[must_use]
    pub const fn whole(link: Link, bytes: &'a [u8]) -> Self {
        Self { link, bytes, wire_len: bytes.len(), stripped_vlan: None, checksum: Checksum::Verify }
    }
}

impl Frame<'_> {
    /// Where a TCP segment right behind an IP header says it comes from, unchecked: only for fetching ahead what is known of
    /// that source. `None` for anything else.
    #[must_use]
    pub fn claimed_source(&self) -> Option<IpAddr> {
        let Link::Network { ethertype } = self.link else { return None };
        match ethertype {
            IPV4 if self.bytes.get(9) == Some(&TCP) => {
                Some(IpAddr::from(*self.bytes.get(12..)?.first_chunk::<4>()?))
            }
            IPV6 if self.bytes.get(6) == Some(&TCP) => {
                Some(IpAddr::from(*self.bytes.get(8..)?.first_chunk::<16>()?))
            }
            _ => None,
        }
    }
}

/// One 802.1Q or 802.1ad tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VlanTag {
    /// The tag's kind: 0x8100 or 0x88A8.
    pub tpid: u16,
    /// Priority, drop eligibility and number.
    pub tci: u16,
}

impl VlanTag {
    const NONE: Self = Self { tpid: 0, tci: 0 };

    /// The number of the VLAN; 0 in a tag that carries a priority only.
    #[must_use]
    pub const fn vid(self) -> u16 {
        self.tci & 0x0FFF
    }

    /// The priority, 0 to 7.
    #[must_use]
    pub const fn priority(self) -> u8 {
        let [high, _] = self.tci.to_be_bytes();
        high >> 5
    }
}

/// The VLAN tags of a frame, at most two, the outer one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Vlan {
    tags: [VlanTag; 2],
    count: u8,
}

impl Vlan {
    /// No tag.
    pub const NONE: Self = Self { tags: [VlanTag::NONE; 2], count: 0 };

    /// The tags, outer to inner.
    #[must_use]
    pub fn tags(&self) -> &[VlanTag] {
        self.tags.get(..usize::from(self.count)).unwrap_or(&self.tags)
    }

    /// Whether the frame belongs to the interface itself: no tag, or tags that carry a priority only.
    #[must_use]
    pub fn is_untagged(&self) -> bool {
        self.tags().iter().all(|tag| tag.vid() == 0)
    }

    /// Adds a tag inside the ones there are; `None` if there are two.
    pub(crate) fn push(mut self, tag: VlanTag) -> Option<Self> {
        *self.tags.get_mut(usize::from(self.count))? = tag;
        self.count = self.count.checked_add(1)?;
        Some(self)
    }
}
