//! Whether anything listens behind a door, and at which addresses.

use std::net::IpAddr;

use aldaba_runner::door::{PortRange, Transport};

use super::Finding;

/// Whether there is anything behind the door.
pub(super) fn listening(door: &str, range: PortRange) -> Option<Finding> {
    if range.transport == Transport::Udp {
        return None;
    }
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let at: Vec<IpAddr> = tables.iter().flat_map(|text| listeners(text, range)).collect();
    if at.is_empty() {
        let seen = format!("door {door}: nothing listens on {range} here");
        return Some(Finding::doubtful(
            "service",
            seen,
            "start the service, or see whether its port is another one: ss -ltn",
        ));
    }
    let own_only = at.iter().all(IpAddr::is_loopback);
    let list: Vec<String> = at.iter().map(IpAddr::to_string).collect();
    let seen = format!("door {door}: a service listens on {range} at {}", list.join(", "));
    if own_only {
        let help = "let it listen at an address that clients reach: behind the door stands nothing for them";
        return Some(Finding::doubtful("service", seen, help));
    }
    Some(Finding {
        help: Some(format!(
            "the last word, from outside: aldaba try HOST {door}, or nc -zvw2 HOST {} (no connection)",
            range.first
        )),
        ..Finding::good("service", seen)
    })
}

/// The addresses at which sockets listen on ports, from the kernel's table (proc(5)): words of 32 bits in host order.
fn listeners(table: &str, range: PortRange) -> Vec<IpAddr> {
    const LISTEN: &str = "0A";
    let lines = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, state) = (fields.next()?, fields.nth(1)?);
        let (address, number) = local.split_once(':')?;
        let port = u16::from_str_radix(number, 16).ok()?;
        let matches = state == LISTEN && (range.first..=range.last).contains(&port);
        matches.then(|| address_of(address)).flatten()
    });
    lines.collect()
}

fn address_of(hex: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for at in (0..hex.len()).step_by(8) {
        let word = u32::from_str_radix(hex.get(at..at.checked_add(8)?)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let v4 = <[u8; 4]>::try_from(bytes.as_slice()).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes.as_slice()).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_from_the_kernels_table() {
        let table = "  sl  local_address rem_address   st\n   \
                     0: 0100007F:0016 00000000:0000 0A 0\n   \
                     1: 00000000:0016 00000000:0000 01 0\n   \
                     2: 00000000000000000000000001000000:0016 0:0 0A 0\n";
        let expected = if cfg!(target_endian = "little") { ["127.0.0.1", "::1"] } else { return };
        let range = |first, last| PortRange { first, last, transport: Transport::Tcp };
        let found: Vec<String> = listeners(table, range(20, 22)).iter().map(IpAddr::to_string).collect();
        assert_eq!(found, expected);
        assert!(listeners(table, range(23, 99)).is_empty());
    }
}
