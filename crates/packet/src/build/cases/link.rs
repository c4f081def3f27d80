//! Ethernet, VLAN tags, padding, and frames cut off at every length.

use super::{Expect, Kernel, List};
use crate::build::Frame;
use crate::{Fault, Layer, Link, Refused};

const Q: u16 = 0x8100;
const AD: u16 = 0x88A8;

impl List {
    pub(super) fn link(&mut self) {
        self.ok("UDP over IPv4", &self.udp4());
        self.ok("UDP over IPv6", &self.udp6());
        self.ok("TCP over IPv4", &self.tcp4());
        self.ok("TCP over IPv6", &self.tcp6());
        self.ethertypes();
        self.tags();
        self.trailers();
        self.cut_off();
    }

    fn ethertypes(&mut self) {
        for (name, ethertype) in [
            ("EtherType of ARP", 0x0806),
            ("EtherType of the other IP version", 0x86DD),
            ("802.3 length instead of an EtherType", 0x002E),
            ("tag of the old QinQ kind", 0x9100),
        ] {
            let mut bytes = self.udp4().bytes(Link::Ethernet);
            bytes[12..14].copy_from_slice(&u16::to_be_bytes(ethertype));
            let refused = match ethertype {
                0x86DD => Refused::Malformed(Layer::Ipv6, Fault::Version),
                _ => Refused::NotIp { ethertype },
            };
            self.bad_bytes(name, bytes, refused);
        }
        let mut bytes = self.udp4().bytes(Link::Ethernet);
        let length = u16::to_be_bytes(bytes.len() as u16 - 14 + 8);
        bytes.splice(12..12, [length[0], length[1], 0xAA, 0xAA, 3, 0, 0, 0]);
        self.bad_bytes(
            "IPv4 in a SNAP frame",
            bytes,
            Refused::NotIp { ethertype: u16::from_be_bytes(length) },
        );
    }

    fn tags(&mut self) {
        self.ok("priority tag", &self.udp4().vlan(Q, 5 << 13));
        self.ok("priority tag, eligible to be dropped", &self.udp4().vlan(Q, 1 << 12));
        self.ok("priority tag of a service", &self.udp6().vlan(AD, 3 << 13));
        self.ok("two priority tags", &self.tcp4().vlan(AD, 1 << 13).vlan(Q, 1 << 13));
        self.other_vlan("tag of VLAN 7", &self.udp4().vlan(Q, 7));
        self.other_vlan("tag of service VLAN 7", &self.tcp6().vlan(AD, 7));
        self.other_vlan("QinQ", &self.udp4().vlan(AD, 7).vlan(Q, 9));
        self.other_vlan("VLAN 7 in a priority tag", &self.udp4().vlan(Q, 1 << 13).vlan(Q, 7));
        self.other_vlan("priority tag in VLAN 7", &self.udp4().vlan(Q, 7).vlan(Q, 1 << 13));
        self.bad("three tags", &self.udp4().vlan(AD, 7).vlan(Q, 8).vlan(Q, 9), Refused::TooManyVlanTags);
        self.bad(
            "three priority tags",
            &self.udp4().vlan(Q, 0).vlan(Q, 0).vlan(Q, 0),
            Refused::TooManyVlanTags,
        );
        self.differs("no network carries three; the depth is bounded");
        let cut_off = Refused::Malformed(Layer::Vlan, Fault::Truncated);
        for length in 14..18 {
            let bytes = self.udp4().vlan(Q, 0).bytes(Link::Ethernet);
            self.bad_bytes("cut off in a tag", bytes[..length].to_vec(), cut_off);
        }
    }

    fn other_vlan(&mut self, name: &'static str, frame: &Frame) {
        self.add(name, frame.bytes(Link::Ethernet), Expect::OtherVlan, Kernel::Agrees);
    }

    /// What follows a datagram is padding, whatever it holds.
    fn trailers(&mut self) {
        let frames = [Self::udp4, Self::udp6, Self::tcp4, Self::tcp6];
        let names =
            ["padded UDP over IPv4", "padded UDP over IPv6", "padded TCP over IPv4", "padded TCP over IPv6"];
        for (frame, name) in frames.iter().zip(names) {
            let mut bytes = frame(self).bytes(Link::Ethernet);
            bytes.extend([0xA5; 17]);
            self.add(name, bytes, Expect::Delivered, Kernel::Agrees);
        }
    }

    /// A frame that ends early cannot hold what its IP header says.
    fn cut_off(&mut self) {
        let frames = [Self::udp4, Self::udp6, Self::tcp4, Self::tcp6];
        for (frame, header) in frames.iter().zip([20, 40, 20, 40]) {
            let layer = if header == 20 { Layer::Ipv4 } else { Layer::Ipv6 };
            for length in 14..frame(self).bytes(Link::Ethernet).len() {
                let bytes = frame(self).bytes(Link::Ethernet);
                let fault = if length < 14 + header { Fault::Truncated } else { Fault::Length };
                self.bad_bytes("cut off", bytes[..length].to_vec(), Refused::Malformed(layer, fault));
            }
        }
    }
}
