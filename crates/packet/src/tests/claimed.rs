//! What a frame claims to come from, beside what the parser makes of it.

use std::net::IpAddr;

use crate::build::{Frame, flag};
use crate::{Link, parse};

#[test]
fn a_segment_claims_to_come_from_where_it_is_parsed_to_come_from() {
    let (v4, v6): (IpAddr, IpAddr) = ([192, 0, 2, 7].into(), "2001:db8::7".parse().unwrap());
    let host6: IpAddr = "2001:db8::1".parse().unwrap();
    for from in [v4, v6] {
        let to = if from.is_ipv4() { [192, 0, 2, 1].into() } else { host6 };
        let plain = Frame::tcp(from, 4000, to, 22);
        let link = Link::Network { ethertype: plain.ethertype() };
        for frame in [plain.clone(), plain.clone().flags(flag::ACK), plain.payload(b"hello")] {
            let bytes = frame.bytes(link);
            let frame = crate::Frame::whole(link, &bytes);
            assert_eq!(frame.claimed_source(), Some(parse(&frame).unwrap().source));
            for length in 0..bytes.len() {
                // However short, and of no use to anybody.
                let _ = crate::Frame::whole(link, &bytes[..length]).claimed_source();
            }
        }
        let datagram = Frame::udp(from, 4000, to, 53).bytes(link);
        assert_eq!(crate::Frame::whole(link, &datagram).claimed_source(), None);
    }
}
