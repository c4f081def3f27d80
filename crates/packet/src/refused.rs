//! Why a frame is no segment: small values, counted and never logged one by one.

use std::fmt;

/// Why a frame was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refused {
    /// Neither IPv4 nor IPv6. The `EtherType` is 0 where the link has none.
    NotIp {
        /// What it is instead.
        ethertype: u16,
    },
    /// IP, but neither TCP nor UDP (nor anything they are looked for in).
    OtherProtocol(u8),
    /// A fragment that does not hold the transport's header.
    LaterFragment,
    /// More than two VLAN tags.
    TooManyVlanTags,
    /// More IPv6 extension headers than are looked at.
    TooManyExtensions,
    /// Routed by its sender, which hosts do not accept.
    SourceRouted,
    /// An IPv6 datagram beyond 65,535 bytes.
    Jumbogram,
    /// The capture cut the frame off before this layer's header ends. Nothing is known to be wrong with it.
    NotCaptured(Layer),
    /// This layer's header is wrong.
    Malformed(Layer, Fault),
}

/// Where in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The link's header.
    Link,
    /// A VLAN tag.
    Vlan,
    /// The IPv4 header.
    Ipv4,
    /// The IPv6 header.
    Ipv6,
    /// An IPv6 extension header.
    Extension,
    /// The TCP header.
    Tcp,
    /// The UDP header.
    Udp,
}

/// What is wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// What carries it ends before it does.
    Truncated,
    /// Another version than the link says.
    Version,
    /// Its own length is less than the least possible.
    HeaderLength,
    /// The length of what it carries does not fit.
    Length,
    /// The checksum is wrong.
    Checksum,
    /// There must be a checksum and there is none.
    NoChecksum,
    /// An option is cut off, repeated, out of range, or one that hosts drop.
    Options,
    /// A source address that no sender may use.
    Source,
    /// A header that may stand once stands twice.
    Repeated,
}

impl Refused {
    /// How many kinds [`Refused::index`] tells apart.
    pub const COUNT: usize = 15;

    /// A name for each kind, for metrics.
    pub const NAMES: [&'static str; Self::COUNT] = [
        "not-ip",
        "other-protocol",
        "later-fragment",
        "too-many-vlan-tags",
        "too-many-extensions",
        "source-routed",
        "jumbogram",
        "not-captured",
        "malformed-link",
        "malformed-vlan",
        "malformed-ipv4",
        "malformed-ipv6",
        "malformed-extension",
        "malformed-tcp",
        "malformed-udp",
    ];

    /// The kind as an index below [`Refused::COUNT`]; malformed frames are told apart by layer.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::NotIp { .. } => 0,
            Self::OtherProtocol(_) => 1,
            Self::LaterFragment => 2,
            Self::TooManyVlanTags => 3,
            Self::TooManyExtensions => 4,
            Self::SourceRouted => 5,
            Self::Jumbogram => 6,
            Self::NotCaptured(_) => 7,
            Self::Malformed(Layer::Link, _) => 8,
            Self::Malformed(Layer::Vlan, _) => 9,
            Self::Malformed(Layer::Ipv4, _) => 10,
            Self::Malformed(Layer::Ipv6, _) => 11,
            Self::Malformed(Layer::Extension, _) => 12,
            Self::Malformed(Layer::Tcp, _) => 13,
            Self::Malformed(Layer::Udp, _) => 14,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotIp { ethertype: 0 } => f.write_str("neither IPv4 nor IPv6"),
            Self::NotIp { ethertype } => write!(f, "neither IPv4 nor IPv6 (EtherType {ethertype:#06x})"),
            Self::OtherProtocol(number) => write!(f, "neither TCP nor UDP (protocol {number})"),
            Self::LaterFragment => f.write_str("a fragment without the transport's header"),
            Self::TooManyVlanTags => f.write_str("more than two VLAN tags"),
            Self::TooManyExtensions => f.write_str("too many IPv6 extension headers"),
            Self::SourceRouted => f.write_str("routed by its sender"),
            Self::Jumbogram => f.write_str("longer than 65,535 bytes"),
            Self::NotCaptured(layer) => write!(f, "{layer}: not captured to its end"),
            Self::Malformed(layer, fault) => write!(f, "{layer}: {fault}"),
        }
    }
}

impl std::error::Error for Refused {}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "link header",
            Self::Vlan => "VLAN tag",
            Self::Ipv4 => "IPv4 header",
            Self::Ipv6 => "IPv6 header",
            Self::Extension => "IPv6 extension header",
            Self::Tcp => "TCP header",
            Self::Udp => "UDP header",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "cut off",
            Self::Version => "wrong version",
            Self::HeaderLength => "impossible header length",
            Self::Length => "the length does not fit",
            Self::Checksum => "wrong checksum",
            Self::NoChecksum => "no checksum",
            Self::Options => "bad option",
            Self::Source => "impossible source address",
            Self::Repeated => "stands twice",
        })
    }
}
