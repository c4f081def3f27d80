//! The IPv4 header without its options, and fragments.

use std::net::Ipv4Addr;

use super::List;
use crate::{Fault, Layer, Link, Refused};

const fn malformed(fault: Fault) -> Refused {
    Refused::Malformed(Layer::Ipv4, fault)
}

impl List {
    pub(super) fn ipv4(&mut self) {
        self.ipv4_fields();
        self.hops_and_protocols();
        self.ipv4_lengths();
        self.ipv4_fragments();
        self.ipv4_sources();
    }

    fn ipv4_fields(&mut self) {
        for version in [0, 5, 6, 15] {
            self.bad("version is not 4", &self.udp4().version(version), malformed(Fault::Version));
        }
        for words in 0..5 {
            let frame = self.tcp4().header_words(words);
            self.bad("header shorter than a header", &frame, malformed(Fault::HeaderLength));
        }
        let frame = self.udp4().header_words(15);
        self.bad("header longer than the datagram", &frame, malformed(Fault::Truncated));
        let frame = self.udp4().payload(&[0; 64]).ip_length(32).header_words(15);
        self.bad("header longer than the total length", &frame, malformed(Fault::Length));
        self.header_checksums();
    }

    fn header_checksums(&mut self) {
        self.bad("no header checksum", &self.udp4().ip_checksum(0), malformed(Fault::Checksum));
        self.bad("wrong header checksum", &self.tcp4().ip_checksum(0x1234), malformed(Fault::Checksum));
        let mut bytes = self.udp4().bytes(Link::Ethernet);
        bytes[14 + 8] = 1;
        self.bad_bytes("header changed without its checksum", bytes, malformed(Fault::Checksum));
    }

    fn hops_and_protocols(&mut self) {
        self.ok("time to live 1", &self.udp4().hops(1));
        self.ok("time to live 0", &self.tcp4().hops(0));
        self.bad("protocol ICMP", &self.udp4().protocol(1), Refused::OtherProtocol(1));
        self.bad("protocol AH", &self.udp4().protocol(51), Refused::OtherProtocol(51));
        self.bad("protocol unknown", &self.tcp4().protocol(253), Refused::OtherProtocol(253));
    }

    fn ipv4_lengths(&mut self) {
        for length in [0, 1, 19] {
            let frame = self.udp4().ip_length(length);
            self.bad("total length less than the header", &frame, malformed(Fault::Length));
        }
        let frame = self.udp4().ip_length(20);
        self.bad(
            "total length of the header alone",
            &frame,
            Refused::Malformed(Layer::Udp, Fault::Truncated),
        );
        for length in [41, 60, 1500, 65535] {
            let frame = self.udp4().ip_length(length);
            self.bad("total length more than the frame", &frame, malformed(Fault::Length));
        }
        let frame = self.tcp4().ip_length(39);
        self.bad("total length cuts TCP's header", &frame, Refused::Malformed(Layer::Tcp, Fault::Truncated));
        let frame = self.udp4().ip_length(39);
        self.bad("total length cuts UDP's payload", &frame, Refused::Malformed(Layer::Udp, Fault::Length));
    }

    fn ipv4_fragments(&mut self) {
        const WAITS: &str = "the first fragment is a knock; a socket sees nothing before the rest has come";
        self.ok("don't fragment", &self.udp4().fragment_bits(0x4000));
        self.ok("the reserved bit", &self.udp4().fragment_bits(0x8000));
        self.ok("first fragment, UDP", &self.udp4().fragment(0..16, true));
        self.differs(WAITS);
        self.ok("first fragment, TCP", &self.tcp4().payload(&[7; 12]).fragment(0..24, true));
        self.differs(WAITS);
        self.ok("first fragment that is not a multiple of eight", &self.tcp4().fragment_bits(0x2000));
        self.differs(WAITS);
        let frame = self.udp4().fragment_bits(0x2000).checksum(0xDEAD);
        self.ok("first fragment with a checksum that cannot be verified", &frame);
        self.differs(WAITS);
        let frame = self.tcp4().fragment(0..16, true);
        self.bad(
            "first fragment without TCP's header",
            &frame,
            Refused::Malformed(Layer::Tcp, Fault::Truncated),
        );
        for (bits, name) in
            [(1, "last fragment"), (0x2001, "middle fragment"), (0x1FFF, "fragment at the end of all")]
        {
            self.bad(name, &self.udp4().fragment_bits(bits), Refused::LaterFragment);
        }
    }

    fn ipv4_sources(&mut self) {
        for source in [Ipv4Addr::new(224, 0, 0, 1), Ipv4Addr::new(239, 255, 255, 250)] {
            self.bad("source is multicast", &self.udp4().from(source), malformed(Fault::Source));
        }
    }
}
