//! The UDP port of a new server: random, high, free, and nobody else's.

use std::io;
use std::net::UdpSocket;
use std::ops::RangeInclusive;

use aldaba_sys::random;

use crate::site::Failed;

/// Above what services are usually given.
const HIGH: RangeInclusive<u16> = 10_000..=u16::MAX;
/// Where the kernel says which ports it gives to clients.
const LENT: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// How often another one is drawn.
const TRIES: usize = 1000;

/// Draws a port. Those that the kernel lends to clients are left out, or one of them could have it when the daemon starts.
pub(super) fn choose() -> Result<u16, Failed> {
    let lent = std::fs::read_to_string(LENT).ok().and_then(|text| range(&text));
    let services = std::fs::read_to_string("/etc/services").unwrap_or_default();
    let known = known(&services);
    for attempt in 0..TRIES {
        let port = u16::from_ne_bytes(random::bytes().map_err(Failed::kernel("random numbers"))?);
        // A machine that lends all high ports has no better one.
        let is_lent = attempt < TRIES / 2 && lent.as_ref().is_some_and(|lent| lent.contains(&port));
        if HIGH.contains(&port)
            && !is_lent
            && !known.contains(&port)
            && is_free(port).map_err(Failed::kernel("a UDP socket"))?
        {
            return Ok(port);
        }
    }
    Err(Failed::new("no UDP port above 10000 is free", "choose one: --port NUMBER"))
}

/// Whether nobody has bound it now.
pub(super) fn is_free(port: u16) -> io::Result<bool> {
    let bound = UdpSocket::bind(("::", port)).or_else(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Err(error),
        // A kernel without IPv6.
        _ => UdpSocket::bind(("0.0.0.0", port)),
    });
    match bound {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(false),
        Err(error) => Err(error),
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    Some(numbers.next()?.ok()?..=numbers.next()?.ok()?)
}

/// The UDP ports of services(5).
fn known(services: &str) -> Vec<u16> {
    let fields = services.lines().filter_map(|line| line.split('#').next()?.split_ascii_whitespace().nth(1));
    fields.filter_map(|field| field.strip_suffix("/udp")?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_high_free_and_not_lent() {
        let port = choose().unwrap();
        assert!(HIGH.contains(&port) && is_free(port).unwrap());
        let taken = UdpSocket::bind("[::]:0").or_else(|_| UdpSocket::bind("0.0.0.0:0")).unwrap();
        assert!(!is_free(taken.local_addr().unwrap().port()).unwrap());
    }

    #[test]
    fn what_is_known_is_read() {
        assert_eq!(range("32768\t60999\n"), Some(32_768..=60_999));
        assert_eq!(range("x"), None);
        assert_eq!(known("a 1/tcp\nb 17500/udp x # c\n# d 4/udp\n"), [17_500]);
    }
}
