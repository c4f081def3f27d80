//! The options inside IPv6's hop-by-hop and destination headers.

use super::List;
use crate::build::option_header;
use crate::{Fault, Layer, Refused};

const HOP_BY_HOP: u8 = 0;
const DESTINATION: u8 = 60;

const BAD: Refused = Refused::Malformed(Layer::Extension, Fault::Options);

/// Options of either header; all of them fill a header of a multiple of eight bytes, with padding behind.
const GOOD: [(&str, &[u8]); 7] = [
    ("option to pass over", &[0x1E, 4, 1, 2, 3, 4]),
    ("option to pass over, empty", &[0x1E, 0]),
    ("single bytes of padding", &[0, 0, 0, 0, 0, 0]),
    ("seven bytes of padding", &[0x1E, 5, 1, 2, 3, 4, 5, 1, 5, 0, 0, 0, 0, 0]),
    ("padding between options", &[0x1E, 0, 1, 2, 0, 0, 0x1E, 0, 1, 2, 0, 0, 0x1E, 0]),
    ("eight options", &[0x1E, 0, 0x1E, 0, 0x1E, 0, 0x1E, 0, 0x1E, 0, 0x1E, 0, 0x1E, 0, 0x1E, 0]),
    ("the jumbo option's place taken by another", &[0x02, 4, 0, 1, 0, 0]),
];

const WRONG: [(&str, &[u8]); 11] = [
    ("option to drop for", &[0x5E, 4, 1, 2, 3, 4]),
    ("option to drop for and tell", &[0x9E, 4, 1, 2, 3, 4]),
    ("option to drop for and tell unless multicast", &[0xDE, 4, 1, 2, 3, 4]),
    ("option longer than its header", &[0x1E, 5, 1, 2, 3, 4]),
    ("option without a length", &[0x1E, 3, 1, 2, 3, 0x1E]),
    ("padding longer than its header", &[1, 5, 0, 0, 0, 0]),
    ("padding that holds something", &[1, 4, 0, 0, 1, 0]),
    ("eight bytes of padding", &[0x1E, 4, 1, 2, 3, 4, 1, 6, 0, 0, 0, 0, 0, 0]),
    ("eight bytes of padding in two pieces", &[0, 0, 1, 4, 0, 0, 0, 0, 0x1E, 4, 1, 2, 3, 4]),
    ("nine options", &[0x1E, 0, 0x1E, 0, 0x1E, 0, 0x1E, 0, 0x1E, 0, 0x1E, 0, 0x1E, 0, 0x1E, 0, 0x1E, 0]),
    ("home address of nobody", &[0xC9, 16, 0xFD, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]),
];

impl List {
    pub(super) fn ipv6_options(&mut self) {
        for number in [HOP_BY_HOP, DESTINATION] {
            for (name, options) in GOOD {
                self.ok(name, &self.udp6().extension(number, option_header(options)));
            }
            for (name, options) in WRONG {
                self.bad(name, &self.udp6().extension(number, option_header(options)), BAD);
            }
        }
        self.known_options();
        self.jumbo();
    }

    fn known_options(&mut self) {
        let mut hop_by_hop = |name, options: &[u8], good: bool| {
            let frame = self.udp6().extension(HOP_BY_HOP, option_header(options));
            if good {
                self.ok(name, &frame);
            } else {
                self.bad(name, &frame, BAD);
            }
        };
        hop_by_hop("router alert", &[5, 2, 0, 0], true);
        hop_by_hop("router alert of another length", &[5, 3, 0, 0, 0], false);
        hop_by_hop("telemetry", &[1, 0, 0x31, 2, 0, 0], true);
        hop_by_hop("telemetry out of place", &[0x31, 2, 0, 0], false);
        self.varies("kernels before 5.15 do not know the option and pass it over");
        let label = [7, 8, 0, 0, 0, 1, 0, 0, 0, 0];
        let frame = self.udp6().extension(HOP_BY_HOP, option_header(&label));
        self.bad("label of a domain nobody set up", &frame, BAD);
        self.varies("kernels without labelled networking pass labels over");
        let frame = self.udp6().extension(DESTINATION, option_header(&[5, 3, 0, 0, 0]));
        self.ok("router alert among destination options is an unknown option", &frame);
        let frame = self.udp6().extension(DESTINATION, option_header(&[0xC2, 4, 0, 1, 0, 0]));
        self.bad("jumbo option among destination options", &frame, BAD);
    }

    fn jumbo(&mut self) {
        for (name, size) in [("small jumbogram", [0, 0, 0, 100]), ("jumbogram", [0, 1, 0, 0])] {
            let option = [&[0xC2, 4], &size[..]].concat();
            let frame = self.udp6().extension(HOP_BY_HOP, option_header(&option)).ip_length(0);
            self.bad(name, &frame, Refused::Jumbogram);
        }
        let frame = self.udp6().extension(HOP_BY_HOP, option_header(&[0xC2, 4, 0, 1, 0, 0]));
        self.bad("jumbo option and a payload length", &frame, Refused::Jumbogram);
    }
}
