//! How a network with IPv6 only translates to IPv4, learned from its resolver's answer for a name that has IPv4 addresses
//! only (RFC 7050).

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

/// All addresses that begin so are translated ones.
pub(crate) type Prefix = Ipv6Net;

/// The addresses of ipv4only.arpa (RFC 7050, section 2.2).
const KNOWN: [[u8; 4]; 2] = [[192, 0, 0, 170], [192, 0, 0, 171]];

/// Where the IPv4 address stands behind a prefix of so many bits; bits 64 to 71 are skipped (RFC 6052, section 2.2).
const LAYOUTS: [(u8, [usize; 4]); 6] = [
    (32, [4, 5, 6, 7]),
    (40, [5, 6, 7, 9]),
    (48, [6, 7, 9, 10]),
    (56, [7, 9, 10, 11]),
    (64, [9, 10, 11, 12]),
    (96, [12, 13, 14, 15]),
];

/// The prefixes that these answers for ipv4only.arpa tell of.
pub(crate) fn prefixes(answers: impl IntoIterator<Item = Ipv6Addr>) -> Vec<Prefix> {
    answers.into_iter().filter_map(prefix).collect()
}

fn prefix(answer: Ipv6Addr) -> Option<Prefix> {
    let octets = answer.octets();
    let (length, _) = LAYOUTS.into_iter().find(|(_, places)| KNOWN.contains(&places.map(|at| octets[at])))?;
    Ipv6Net::new(answer, length).ok().map(|net| net.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_of_prefix_is_found() {
        for (answer, wanted) in [
            ("2001:db8:c000:aa::", "2001:db8::/32"),
            ("2001:db8:1c0:0:aa::", "2001:db8:100::/40"),
            ("2001:db8:122:c000:0:aa00::", "2001:db8:122::/48"),
            ("2001:db8:122:3c0:0:ab::", "2001:db8:122:300::/56"),
            ("2001:db8:122:344:c0:0:aa00::", "2001:db8:122:344::/64"),
            ("2001:db8:122:344::c000:ab", "2001:db8:122:344::/96"),
            ("64:ff9b::c000:aa", "64:ff9b::/96"),
        ] {
            assert_eq!(prefixes([answer.parse().unwrap()]), [wanted.parse().unwrap()], "{answer}");
        }
        assert_eq!(prefixes(["2001:db8::1".parse().unwrap()]), []);
    }
}
