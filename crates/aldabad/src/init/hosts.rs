//! Where clients find this machine, as far as it knows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aldaba_gate::spa::{Bundle, Host};
use aldaba_sys::route::{Interface, LinkWatch};

use crate::site::Failed;

/// Names that are good on this machine or this network only.
const LOCAL: [&str; 6] = [".local", ".localdomain", ".localhost", ".internal", ".lan", ".home.arpa"];

/// The hosts for a bundle: those named now, else those configured, else those the machine has.
pub fn of(named: &[Host], configured: &[Host]) -> Result<Vec<Host>, Failed> {
    let first = [named, configured].into_iter().find(|hosts| !hosts.is_empty());
    let hosts = first.map_or_else(found, |hosts| Ok(hosts.to_vec()))?;
    if hosts.is_empty() {
        return Err(Failed::new(
            "this machine has no address that a client could reach",
            "say where clients find it: --host NAME-OR-ADDRESS",
        ));
    }
    if hosts.len() > Bundle::MAX_HOSTS {
        let what = format!("{} hosts are too many: a bundle holds {}", hosts.len(), Bundle::MAX_HOSTS);
        return Err(Failed::new(what, "name those that clients reach most easily"));
    }
    Ok(hosts)
}

/// What this machine has: its full name and its global addresses; where it has none of those, its private ones.
pub fn found() -> Result<Vec<Host>, Failed> {
    let name = dns_lookup::get_hostname().ok();
    Ok(choose(name.as_deref(), &LinkWatch::once().map_err(Failed::kernel("the interfaces"))?))
}

fn choose(name: Option<&str>, interfaces: &[Interface]) -> Vec<Host> {
    let up = interfaces.iter().filter(|interface| interface.up && !interface.is_loopback());
    let addresses = up.flat_map(|interface| &interface.addresses).filter(|address| !address.passing);
    let addresses: Vec<IpAddr> = addresses.map(|address| address.ip).collect();
    let global = addresses.iter().copied().filter(|ip| is_global(*ip));
    let name = name.filter(|name| is_full(name)).and_then(|name| name.parse().ok());
    let mut hosts: Vec<Host> = name.into_iter().chain(global.map(Host::Address)).collect();
    if hosts.is_empty() {
        hosts.extend(addresses.iter().copied().filter(|ip| is_private(*ip)).map(Host::Address));
    }
    let mut seen = std::collections::BTreeSet::new();
    hosts.retain(|host| seen.insert(host.clone()));
    hosts.truncate(Bundle::MAX_HOSTS);
    hosts
}

fn is_full(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name.contains('.') && !LOCAL.iter().any(|end| name.ends_with(end))
}

/// Whether anybody on the internet can reach this address: outside of every block kept for special purposes.
#[must_use]
pub fn is_global(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_global_v4(v4),
        // 2000::/3 is all that is given out; 2001:db8::/32 is for examples, 2002::/16 no longer in use.
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            first & 0xe000 == 0x2000 && (first, second) != (0x2001, 0x0db8) && first != 0x2002
        }
    }
}

fn is_global_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let shared = a == 100 && b & 0xc0 == 64;
    let benchmark = a == 198 && b & 0xfe == 18;
    let assigned = (a, b, c) == (192, 0, 0) || a == 0 || a >= 240;
    !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_documentation())
        && !(v4.is_multicast() || shared || benchmark || assigned)
}

/// An address of a network of one's own.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local() && !v4.is_unspecified(),
        IpAddr::V6(v6) => is_unique_local(v6),
    }
}

const fn is_unique_local(v6: Ipv6Addr) -> bool {
    v6.segments()[0] & 0xfe00 == 0xfc00
}

#[cfg(test)]
mod tests {
    use aldaba_sys::route::Address;

    use super::*;

    fn interface(addresses: &[(&str, bool)]) -> Interface {
        let address = |(ip, passing): &(&str, bool)| Address {
            ip: ip.parse().unwrap(),
            label: None,
            passing: *passing,
        };
        Interface {
            index: 2,
            name: "eth0".to_owned(),
            up: true,
            hardware: 1,
            addresses: addresses.iter().map(address).collect(),
        }
    }

    fn chosen(name: &str, addresses: &[(&str, bool)]) -> Vec<String> {
        choose(Some(name), &[interface(addresses)]).iter().map(Host::to_string).collect()
    }

    #[test]
    fn names_and_addresses_that_work_elsewhere_are_chosen() {
        let all = [
            ("10.0.0.7", false),
            ("198.41.0.4", false),
            ("fe80::1", false),
            ("2a00::7", false),
            ("2a00::8", true),
        ];
        assert_eq!(chosen("gw.example.net", &all), ["gw.example.net", "198.41.0.4", "2a00::7"]);
        assert_eq!(chosen("gw", &all), ["198.41.0.4", "2a00::7"]);
        assert_eq!(
            chosen("gw.local", &[("10.0.0.7", false), ("fd09::1", false), ("fe80::1", false)]),
            ["10.0.0.7", "fd09::1"]
        );
        let mut down = interface(&all);
        down.up = false;
        assert!(choose(None, &[down]).is_empty());
    }

    #[test]
    fn special_purposes_are_not_global() {
        for ip in [
            "192.0.2.7",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.3.4",
            "240.1.1.1",
            "0.1.2.3",
            "169.254.1.1",
            "172.16.0.1",
            "2001:db8::1",
            "fd00::1",
            "fe80::1",
            "::1",
            "64:ff9b::1",
        ] {
            assert!(!is_global(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["198.41.0.4", "100.128.0.1", "2a00::1", "2001:4860::8888"] {
            assert!(is_global(ip.parse().unwrap()), "{ip}");
        }
    }
}
