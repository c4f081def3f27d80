//! The interface `knockd` is started on: it must be there and up, as with the daemon it replaces (spec/knock.md).
//! Later it may come and go.

use std::io;

use aldaba_sys::capture::BlankSocket;
use aldaba_sys::files;
use aldaba_sys::route::{Interface, LinkWatch};

use crate::watch::{Follower, Link, Watch};

/// The pseudo device that is every interface.
const ANY: &str = "any";

/// An interface that can be listened on, as `-D` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    kind: &'static str,
    addresses: Vec<String>,
}

impl Device {
    /// Looks the interface up, and opens what will capture there; an error is the line knockd says of it.
    pub(super) fn find(name: &str) -> Result<(Self, BlankSocket), String> {
        let blank = BlankSocket::open().map_err(|error| may_not(name, &error))?;
        let mut watch = LinkWatch::open().map_err(|error| cannot(name, &error))?;
        let interfaces = watch.poll().map_err(|error| cannot(name, &error))?;
        Ok((Self::among(name, interfaces)?, blank))
    }

    fn among(name: &str, interfaces: &[Interface]) -> Result<Self, String> {
        if name == ANY {
            return Ok(Self { kind: COOKED, addresses: Vec::new() });
        }
        let links: Vec<Link> = interfaces.iter().map(Link::from).collect();
        let view =
            Follower::default().views(&Watch::Named(vec![name.to_owned()]), &links).into_values().next();
        let found = view.and_then(|view| {
            let interface = interfaces.iter().find(|interface| interface.index == view.index)?;
            Some((interface, view))
        });
        match found {
            None => {
                Err(format!("could not open {name}: {name}: No such device exists (No such device exists)"))
            }
            Some((interface, _)) if !interface.up => {
                Err(format!("could not open {name}: {name}: That device is not up"))
            }
            Some((interface, view)) => {
                // IPv4 first.
                let mut addresses: Vec<_> = view.names.into_values().flatten().collect();
                addresses.sort_by_key(std::net::IpAddr::is_ipv6);
                let addresses = addresses.iter().map(ToString::to_string).collect();
                Ok(Self { kind: kind(interface), addresses })
            }
        }
    }

    /// The lines of `-D`.
    pub(super) fn describe(&self) -> impl Iterator<Item = String> {
        let addresses = self.addresses.iter().map(|address| format!("local IP: {address}"));
        std::iter::once(self.kind.to_owned()).chain(addresses)
    }
}

const COOKED: &str = "ppp interface detected (linux \"cooked\" encapsulation)";

fn kind(interface: &Interface) -> &'static str {
    // ARPHRD_ETHER and ARPHRD_LOOPBACK; ARPHRD_RAWIP and ARPHRD_NONE (tun, WireGuard): linux/if_arp.h.
    match interface.hardware {
        1 | 772 => "ethernet interface detected",
        519 | 65534 => "raw interface detected, no encapsulation",
        _ => COOKED,
    }
}

fn may_not(name: &str, error: &io::Error) -> String {
    let reason = files::strerror(error);
    format!(
        "could not open {name}: {name}: You don't have permission to perform this capture on that device \
         (socket: {reason})"
    )
}

fn cannot(name: &str, error: &io::Error) -> String {
    format!("could not open {name}: {error}")
}

#[cfg(test)]
mod tests {
    use aldaba_sys::route::Address;

    use super::*;

    fn interfaces() -> Vec<Interface> {
        let address = |ip: &str, label: Option<&str>| Address {
            ip: ip.parse().unwrap(),
            label: label.map(str::to_owned),
            passing: false,
        };
        let wan = Interface {
            index: 2,
            name: "wan".into(),
            up: true,
            hardware: 1,
            addresses: vec![
                address("fe80::1", None),
                address("192.0.2.1", Some("wan")),
                address("192.0.2.9", Some("wan:1")),
            ],
        };
        let down = Interface { index: 3, name: "down".into(), up: false, hardware: 1, addresses: vec![] };
        let tun = Interface { index: 4, name: "tun0".into(), up: true, hardware: 65534, addresses: vec![] };
        vec![wan, down, tun]
    }

    fn lines(name: &str) -> Vec<String> {
        Device::among(name, &interfaces()).unwrap().describe().collect()
    }

    #[test]
    fn kinds_and_addresses() {
        assert_eq!(
            lines("wan"),
            [
                "ethernet interface detected",
                "local IP: 192.0.2.1",
                "local IP: 192.0.2.9",
                "local IP: fe80::1"
            ]
        );
        assert_eq!(lines("wan:1"), ["ethernet interface detected", "local IP: 192.0.2.9"]);
        assert_eq!(lines("tun0"), ["raw interface detected, no encapsulation"]);
        assert_eq!(lines("any"), [COOKED]);
    }

    #[test]
    fn absent_and_down_in_the_words_scripts_know() {
        let error = |name| Device::among(name, &interfaces()).unwrap_err();
        assert_eq!(error("nope"), "could not open nope: nope: No such device exists (No such device exists)");
        assert_eq!(error("down"), "could not open down: down: That device is not up");
        assert!(Device::among("", &interfaces()).is_err());
    }
}
