//! IPv4 options.

use super::List;
use crate::{Fault, Layer, Refused};

const BAD: Refused = Refused::Malformed(Layer::Ipv4, Fault::Options);

const GOOD: [(&str, &[u8]); 15] = [
    ("option: no operation", &[1, 1, 1, 1]),
    ("option: end, then anything", &[0, 7, 1, 0xFF]),
    ("option: unknown", &[222, 4, 1, 2]),
    ("option: unknown and empty", &[222, 2, 1, 1]),
    ("option: record route", &[7, 7, 4, 0, 0, 0, 0, 0]),
    ("option: record route, full", &[7, 7, 8, 1, 2, 3, 4, 0]),
    ("option: record route without room", &[7, 3, 4, 0]),
    ("option: timestamp", &[68, 8, 5, 0, 0, 0, 0, 0]),
    ("option: timestamp with address", &[68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("option: timestamp for a stranger", &[68, 12, 5, 3, 8, 8, 8, 8, 0, 0, 0, 0]),
    ("option: timestamp of unknown kind", &[68, 8, 5, 2, 0, 0, 0, 0]),
    ("option: timestamp, full", &[68, 8, 9, 0xE0, 0, 0, 0, 0]),
    ("option: timestamp for strangers, full and overflowing", &[68, 8, 9, 0xF3, 0, 0, 0, 0]),
    ("option: router alert", &[148, 4, 0, 0]),
    ("option: security", &[130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
];

const WRONG: [(&str, &[u8]); 21] = [
    ("option without a length", &[1, 1, 1, 7]),
    ("option of length 0", &[222, 0, 0, 0]),
    ("option of length 1", &[222, 1, 0, 0]),
    ("option longer than the header", &[222, 5, 0, 0]),
    ("option: record route without a pointer", &[7, 2, 0, 0]),
    ("option: record route, pointer too small", &[7, 7, 3, 0, 0, 0, 0, 0]),
    ("option: record route, no room at the pointer", &[7, 7, 5, 0, 0, 0, 0, 0]),
    ("option: record route twice", &[7, 3, 4, 7, 3, 4, 0, 0]),
    ("option: timestamp too short", &[68, 3, 5, 0]),
    ("option: timestamp, pointer too small", &[68, 8, 4, 0, 0, 0, 0, 0]),
    ("option: timestamp, no room at the pointer", &[68, 8, 6, 0, 0, 0, 0, 0]),
    ("option: timestamp with address, no room", &[68, 8, 5, 1, 0, 0, 0, 0]),
    ("option: timestamp for a stranger, no room", &[68, 8, 5, 3, 0, 0, 0, 0]),
    ("option: timestamp, full and overflowing", &[68, 8, 9, 0xF0, 0, 0, 0, 0]),
    ("option: timestamp twice", &[68, 4, 5, 0, 68, 4, 5, 0]),
    ("option: router alert too short", &[148, 3, 0, 0]),
    ("option: route without a pointer", &[131, 2, 0, 0]),
    ("option: route, pointer too small", &[131, 7, 3, 1, 2, 3, 4, 0]),
    ("option: route twice", &[131, 3, 4, 137, 3, 4, 0, 0]),
    ("option: label too short", &[134, 6, 0, 0, 0, 1, 0, 0]),
    ("option: route, then an option cut off", &[131, 3, 4, 222]),
];

const ROUTES: [(&str, &[u8]); 3] = [
    ("option: loose route", &[131, 7, 4, 10, 0, 0, 1, 0]),
    ("option: strict route", &[137, 7, 4, 10, 0, 0, 1, 0]),
    ("option: loose route at its end", &[131, 7, 8, 10, 0, 0, 1, 0]),
];

impl List {
    pub(super) fn ipv4_options(&mut self) {
        for (name, options) in GOOD {
            self.ok(name, &self.udp4().ipv4_options(options));
        }
        self.ok("options: forty bytes, TCP", &self.tcp4().ipv4_options(&[1; 40]));
        for (name, options) in WRONG {
            self.bad(name, &self.udp4().ipv4_options(options), BAD);
        }
        for (name, options) in ROUTES {
            self.bad(name, &self.udp4().ipv4_options(options), Refused::SourceRouted);
        }
        let label = [134, 10, 0, 0, 0, 1, 1, 4, 0, 1, 0, 0];
        self.bad("option: label of a domain nobody set up", &self.udp4().ipv4_options(&label), BAD);
        self.varies("kernels without labelled networking pass labels over");
    }
}
