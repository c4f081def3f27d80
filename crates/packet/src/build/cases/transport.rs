//! TCP and UDP headers, over both versions of IP.

use super::List;
use crate::build::flag::{ACK, FIN, PSH, SYN, URG};
use crate::{Fault, Layer, Refused};

const fn tcp(fault: Fault) -> Refused {
    Refused::Malformed(Layer::Tcp, fault)
}

const fn udp(fault: Fault) -> Refused {
    Refused::Malformed(Layer::Udp, fault)
}

impl List {
    pub(super) fn transport(&mut self) {
        self.cut_headers();
        self.tcp_headers();
        self.tcp_flags();
        self.tcp_options();
        self.udp_lengths();
        self.udp_checksums();
    }

    /// The IP header agrees that nothing more is there.
    fn cut_headers(&mut self) {
        for length in 0..20 {
            self.bad("TCP header cut off", &self.tcp4().cut(length), tcp(Fault::Truncated));
            self.bad("TCP header cut off, IPv6", &self.tcp6().cut(length), tcp(Fault::Truncated));
        }
        for length in 0..8 {
            self.bad("UDP header cut off", &self.udp4().cut(length), udp(Fault::Truncated));
            self.bad("UDP header cut off, IPv6", &self.udp6().cut(length), udp(Fault::Truncated));
        }
    }

    fn tcp_headers(&mut self) {
        for make in [Self::tcp4, Self::tcp6] {
            for words in 0..5 {
                self.bad(
                    "data offset inside the header",
                    &make(self).data_offset(words),
                    tcp(Fault::HeaderLength),
                );
            }
            for words in [6, 15] {
                self.bad(
                    "data offset past the segment",
                    &make(self).data_offset(words),
                    tcp(Fault::Truncated),
                );
            }
            self.ok("SYN with payload", &make(self).payload(b"early"));
            self.ok("odd payload", &make(self).payload(&[0xFF; 77]));
            self.ok("zeros as options", &make(self).payload(&[0; 4]).data_offset(6));
            self.bad("no checksum", &make(self).checksum(0), tcp(Fault::Checksum));
            self.bad("wrong checksum", &make(self).checksum(0xBEEF), tcp(Fault::Checksum));
            self.bad(
                "wrong checksum, payload",
                &make(self).payload(&[9; 99]).checksum(1),
                tcp(Fault::Checksum),
            );
        }
    }

    fn tcp_flags(&mut self) {
        const SOCKET: &str =
            "well-formed: the header is what a knock is made of; a listening socket wants a plain SYN";
        for flags in [0, FIN, ACK, SYN | FIN, SYN | ACK, FIN | PSH | URG, 0xFF] {
            self.ok("flags other than SYN", &self.tcp4().flags(flags));
            self.differs(SOCKET);
        }
        self.ok("SYN with congestion flags", &self.tcp4().flags(SYN | 0xC0));
        self.ok("SYN with push and urgent", &self.tcp6().flags(SYN | PSH | URG));
    }

    fn tcp_options(&mut self) {
        const BUILD: &str = "options are the socket's; kernels differ in whether bad ones drop the segment";
        let usual = [2, 4, 5, 0xB4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
        self.ok("the usual options", &self.tcp4().tcp_options(&usual));
        self.ok("the usual options, IPv6", &self.tcp6().tcp_options(&usual));
        self.ok("forty bytes of options", &self.tcp4().tcp_options(&[1; 40]));
        self.ok("unknown option", &self.tcp4().tcp_options(&[253, 4, 1, 2]));
        let long = [254, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        self.ok("option of length 1", &self.tcp4().tcp_options(&long));
        self.varies(BUILD);
        let mut signed = [1; 20];
        (signed[0], signed[1]) = (19, 18);
        self.ok("signature nobody asked for", &self.tcp4().tcp_options(&signed));
        self.varies(BUILD);
    }

    fn udp_lengths(&mut self) {
        for length in 1..8 {
            self.bad("UDP length less than its header", &self.udp4().udp_length(length), udp(Fault::Length));
            self.bad(
                "UDP length less than its header, IPv6",
                &self.udp6().udp_length(length),
                udp(Fault::Length),
            );
        }
        self.bad("UDP length 0", &self.udp4().udp_length(0), udp(Fault::Length));
        self.ok("UDP length 0, IPv6: as long as what carries it", &self.udp6().udp_length(0));
        for length in [21, 1000, 65535] {
            self.bad("UDP length past the datagram", &self.udp4().udp_length(length), udp(Fault::Length));
            self.bad(
                "UDP length past the datagram, IPv6",
                &self.udp6().udp_length(length),
                udp(Fault::Length),
            );
        }
        for length in [8, 9, 19] {
            self.ok("UDP length that leaves bytes over", &self.udp4().udp_length(length));
            self.ok("UDP length that leaves bytes over, IPv6", &self.udp6().udp_length(length));
        }
        self.ok("empty datagram", &self.udp4().payload(&[]));
        self.ok("empty datagram, IPv6", &self.udp6().payload(&[]));
    }

    fn udp_checksums(&mut self) {
        self.ok("no checksum, which IPv4 allows", &self.udp4().checksum(0));
        self.bad("no checksum, which IPv6 does not allow", &self.udp6().checksum(0), udp(Fault::NoChecksum));
        for make in [Self::udp4, Self::udp6] {
            self.bad("wrong checksum, UDP", &make(self).checksum(0xBEEF), udp(Fault::Checksum));
            self.bad(
                "wrong checksum, long",
                &make(self).payload(&[3; 301]).checksum(1),
                udp(Fault::Checksum),
            );
            self.ok("odd length", &make(self).payload(&[0xFF; 301]));
        }
        let frame = self.udp4().payload(b"not covered").udp_length(10).checksum(0x5555);
        self.bad("wrong checksum over part of the bytes", &frame, udp(Fault::Checksum));
    }
}
