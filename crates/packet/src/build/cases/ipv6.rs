//! The IPv6 header, the order of extension headers, routing and fragments.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::List;
use crate::build::{Frame, fragment_header, option_header, routing_header};
use crate::{Fault, Layer, MAX_EXTENSIONS, Refused};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

const fn malformed(fault: Fault) -> Refused {
    Refused::Malformed(Layer::Ipv6, fault)
}

const fn extension(fault: Fault) -> Refused {
    Refused::Malformed(Layer::Extension, fault)
}

impl List {
    pub(super) fn ipv6(&mut self) {
        self.ipv6_fields();
        self.chains();
        self.routes();
        self.ipv6_fragments();
    }

    fn ipv6_fields(&mut self) {
        for version in [0, 4, 7] {
            self.bad("version is not 6", &self.udp6().version(version), malformed(Fault::Version));
        }
        let frame = self.tcp6().ip_length(0);
        self.bad("payload length 0", &frame, Refused::Malformed(Layer::Tcp, Fault::Truncated));
        for length in [21, 1500, 65535] {
            self.bad(
                "payload length more than the frame",
                &self.udp6().ip_length(length),
                malformed(Fault::Length),
            );
        }
        let frame = self.udp6().ip_length(19);
        self.bad("payload length cuts UDP's payload", &frame, Refused::Malformed(Layer::Udp, Fault::Length));
        let frame = self.tcp6().ip_length(19);
        self.bad(
            "payload length cuts TCP's header",
            &frame,
            Refused::Malformed(Layer::Tcp, Fault::Truncated),
        );
        self.ok("hop limit 0", &self.udp6().hops(0));
        for number in [1, 50, 51, 59, 135, 253] {
            let frame = self.udp6().protocol(number);
            self.bad("next header is neither TCP nor UDP", &frame, Refused::OtherProtocol(number));
        }
        let group = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 0, 0, 1);
        self.bad("source is multicast", &self.udp6().from(group), malformed(Fault::Source));
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        self.ok("source is an IPv4 address, which is the gate's to refuse", &self.udp6().from(mapped));
    }

    fn chains(&mut self) {
        let none = || option_header(&[]);
        self.ok("hop-by-hop options", &self.udp6().extension(HOP_BY_HOP, none()));
        self.ok("destination options", &self.tcp6().extension(DESTINATION, none()));
        let frame = self.udp6().extension(HOP_BY_HOP, none()).extension(DESTINATION, none());
        let frame = frame
            .extension(ROUTING, routing_header(0, 0, 1))
            .extension(FRAGMENT, fragment_header(0, false, 1));
        self.ok("one of each", &frame.extension(DESTINATION, none()));
        let frame = self.udp6().extension(FRAGMENT, fragment_header(0, false, 1));
        self.ok("destination options around a fragment header", &frame.extension(DESTINATION, none()));
        let frame = self.udp6().extension(DESTINATION, none()).extension(HOP_BY_HOP, none());
        self.bad("hop-by-hop options not first", &frame, Refused::OtherProtocol(HOP_BY_HOP));
        let frame = self.udp6().extension(HOP_BY_HOP, none()).extension(HOP_BY_HOP, none());
        self.bad("hop-by-hop options twice", &frame, Refused::OtherProtocol(HOP_BY_HOP));
        let chain =
            |frame: Frame, count| (0..count).fold(frame, |frame, _| frame.extension(DESTINATION, none()));
        self.ok("as many headers as are looked at", &chain(self.udp6(), MAX_EXTENSIONS));
        self.bad("one header more", &chain(self.udp6(), MAX_EXTENSIONS + 1), Refused::TooManyExtensions);
        self.differs("the walk is bounded; nothing but a test sends that many");
        let frame = self.udp6().extension(HOP_BY_HOP, none()).ip_length(0);
        self.ok("hop-by-hop options and payload length 0", &frame);
        self.cut_extensions();
    }

    fn cut_extensions(&mut self) {
        for number in [HOP_BY_HOP, DESTINATION, ROUTING, FRAGMENT] {
            for length in 0..8 {
                let frame = self.udp6().extension(number, vec![0; 8]).ip_length(length);
                // Without a length, hop-by-hop options may announce a jumbogram: a frame of zeros has padding only.
                if number == HOP_BY_HOP && length == 0 {
                    continue;
                }
                // A fragment header is not looked for in a datagram without a length.
                let fault = if number == FRAGMENT && length == 0 { Fault::Length } else { Fault::Truncated };
                self.bad("payload length cuts an extension header", &frame, extension(fault));
            }
        }
        for number in [HOP_BY_HOP, DESTINATION, ROUTING] {
            let frame = self.udp6().extension(number, vec![0, 4, 0, 0, 0, 0, 0, 0]);
            self.bad("extension header longer than the datagram", &frame, extension(Fault::Truncated));
        }
    }

    fn routes(&mut self) {
        for kind in [0, 1, 5, 253] {
            let frame = self.udp6().extension(ROUTING, routing_header(kind, 0, 1));
            self.ok("route at its end", &frame);
            let frame = self.udp6().extension(ROUTING, routing_header(kind, 1, 1));
            self.bad("route that goes on", &frame, Refused::SourceRouted);
        }
        for kind in [3, 4] {
            for left in [0, 1] {
                let frame = self.udp6().extension(ROUTING, routing_header(kind, left, 1));
                self.bad("route of a kind that must be switched on", &frame, Refused::SourceRouted);
                if kind == 3 {
                    self.varies("kernels before 5.7 do not know the kind and pass over a route at its end");
                }
            }
        }
        let frame = self.udp6().extension(ROUTING, routing_header(2, 1, 1));
        self.bad("route of a mobile host", &frame, Refused::SourceRouted);
        let frame = self.udp6().extension(ROUTING, routing_header(2, 0, 1));
        self.bad("route of a mobile host at its end", &frame, Refused::SourceRouted);
        self.varies("kernels without mobility pass it over; those of distributions have it");
    }

    fn ipv6_fragments(&mut self) {
        const WAITS: &str = "the first fragment is a knock; a socket sees nothing before the rest has come";
        let atomic = || fragment_header(0, false, 1);
        self.ok("atomic fragment, UDP", &self.udp6().extension(FRAGMENT, atomic()));
        self.ok("atomic fragment, TCP", &self.tcp6().extension(FRAGMENT, atomic()));
        let mut reserved = atomic();
        (reserved[1], reserved[3]) = (0xFF, 6);
        self.ok("atomic fragment with reserved bits", &self.udp6().extension(FRAGMENT, reserved));
        let frame = self.udp6().extension(FRAGMENT, atomic()).extension(FRAGMENT, atomic());
        self.bad("two fragment headers", &frame, extension(Fault::Repeated));
        let frame = self.udp6().extension(FRAGMENT, atomic()).checksum(0x1234);
        self.bad(
            "atomic fragment with a wrong checksum",
            &frame,
            Refused::Malformed(Layer::Udp, Fault::Checksum),
        );
        self.ok("first fragment, UDP", &self.udp6().fragment(0..16, true));
        self.differs(WAITS);
        self.ok("first fragment, TCP", &self.tcp6().payload(&[7; 12]).fragment(0..24, true));
        self.differs(WAITS);
        let frame = self.tcp6().fragment(0..20, true);
        self.bad("first fragment that is not a multiple of eight", &frame, extension(Fault::Length));
        let frame = self.tcp6().fragment(0..16, true);
        self.bad(
            "first fragment without TCP's header",
            &frame,
            Refused::Malformed(Layer::Tcp, Fault::Truncated),
        );
        self.bad("last fragment", &self.udp6().fragment(8..20, false), Refused::LaterFragment);
        self.bad("middle fragment", &self.udp6().fragment(8..16, true), Refused::LaterFragment);
        let frame =
            self.udp6().extension(HOP_BY_HOP, option_header(&[])).extension(FRAGMENT, atomic()).ip_length(0);
        self.bad("fragment header and payload length 0", &frame, extension(Fault::Length));
    }
}
