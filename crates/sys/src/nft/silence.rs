//! What keeps the port of single packet authorization silent, whatever other rules say and whether or not the daemon runs.
//!
//! A captured port is dropped before a rule of the host's own could reject its datagrams. A port that is listened on cannot be;
//! so whatever the kernel would answer about it, on its own or for such a rule, is dropped on its way out. The answer holds the
//! header of what it answers, at a fixed place; a datagram whose headers have another length is therefore not let in at all.

use super::expression::Rule;

/// The chain for what leaves this host.
pub(super) const CHAIN: &str = "silence";

/// UDP, and IPv6's header of a fragment.
const UDP: u8 = 17;
const FRAGMENT: u8 = 44;
/// An ICMP message's own header; what it is about follows.
const ICMP: u32 = 8;
/// Where an IPv6 packet's transport begins, and what a fragment's header takes of it.
const IPV6: u32 = 40;
const FRAGMENT_HEADER: u32 = 8;

/// The port of single packet authorization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpaPort {
    /// The UDP port.
    pub port: u16,
    /// Whether datagrams are taken from captured frames: then none needs to come through the firewall.
    pub captured: bool,
}

type Fill = Box<dyn Fn(&mut Rule<'_>)>;

impl SpaPort {
    /// What is not let in.
    pub(super) fn input(self) -> Vec<Fill> {
        let port = self.port;
        if self.captured {
            return vec![Box::new(move |rule| rule.destination_ports(true, port, port).drop())];
        }
        vec![
            Box::new(move |rule| rule.header_is_longer(false).destination_ports(true, port, port).drop()),
            Box::new(move |rule| rule.header_is_longer(true).destination_ports(true, port, port).drop()),
        ]
    }

    /// What is not let out: ICMP errors about a datagram to the port.
    pub(super) fn output(self) -> Vec<Fill> {
        let port = self.port.to_be_bytes();
        let about = |ipv6: bool, protocol: (u32, u8), header: u32| -> Fill {
            Box::new(move |rule| {
                rule.icmp_error(ipv6)
                    .transport(ICMP + protocol.0, &[protocol.1])
                    .transport(ICMP + header + 2, &port)
                    .drop();
            })
        };
        let first_of_fragments: Fill = Box::new(move |rule| {
            rule.icmp_error(true)
                .transport(ICMP + 6, &[FRAGMENT])
                .transport(ICMP + IPV6, &[UDP])
                .transport(ICMP + IPV6 + FRAGMENT_HEADER + 2, &port)
                .drop();
        });
        vec![about(false, (9, UDP), 20), about(true, (6, UDP), IPV6), first_of_fragments]
    }
}
