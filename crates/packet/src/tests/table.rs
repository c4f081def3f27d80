//! Every case of the table gets the verdict that stands in it.

use super::HOSTS;
use crate::build::cases::{self, Expect};
use crate::{Checksum, Fault, Frame, Link, Refused, parse};

#[test]
fn each_case_gets_its_verdict() {
    let mut wrong = Vec::new();
    for case in cases::all(&HOSTS) {
        let verdict = match parse(&Frame::whole(Link::Ethernet, &case.bytes)) {
            Ok(segment) if segment.vlan.is_untagged() => Expect::Delivered,
            Ok(_) => Expect::OtherVlan,
            Err(refused) => Expect::Refused(refused),
        };
        if verdict != case.expect {
            wrong.push(format!(
                "{} ({}): {verdict:?} instead of {:?}",
                case.name, case.source_port, case.expect
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn trusted_checksums_refuse_nothing_but_their_absence_over_ipv6() {
    for case in cases::all(&HOSTS) {
        let whole = Frame::whole(Link::Ethernet, &case.bytes);
        let trusted = parse(&Frame { checksum: Checksum::Trusted, ..whole });
        match parse(&whole) {
            Err(Refused::Malformed(crate::Layer::Tcp | crate::Layer::Udp, Fault::Checksum)) => {
                assert!(trusted.is_ok(), "{}", case.name);
            }
            verdict => assert_eq!(trusted, verdict, "{}", case.name),
        }
    }
}

#[test]
fn the_table_reaches_every_kind_of_refusal_but_those_of_links_and_captures() {
    let mut seen = [false; Refused::COUNT];
    for case in cases::all(&HOSTS) {
        if let Expect::Refused(refused) = case.expect {
            seen[refused.index()] = true;
        }
    }
    let missing: Vec<_> =
        Refused::NAMES.iter().zip(seen).filter(|(_, seen)| !seen).map(|(name, _)| *name).collect();
    assert_eq!(missing, ["not-captured", "malformed-link"]);
}

#[test]
fn refusals_read_as_plain_words() {
    use crate::{Fault, Layer};
    let text = |refused: Refused| refused.to_string();
    assert_eq!(text(Refused::Malformed(Layer::Udp, Fault::Checksum)), "UDP header: wrong checksum");
    assert_eq!(text(Refused::NotIp { ethertype: 0x806 }), "neither IPv4 nor IPv6 (EtherType 0x0806)");
    assert_eq!(
        text(Refused::NotCaptured(Layer::Extension)),
        "IPv6 extension header: not captured to its end"
    );
}
