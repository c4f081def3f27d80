//! The host: its clock, its interfaces, where clients find it.

use std::net::IpAddr;

use aldaba_config::{Interfaces, Policy};
use aldaba_gate::spa::Host;
use aldaba_sys::capture::BlankSocket;
use aldaba_sys::clock;
use aldaba_sys::route::{Interface, LinkWatch};

use super::Finding;
use crate::wording::short;

/// Whether datagrams can be told old from new.
pub(super) fn clock(policy: &Policy) -> Option<Finding> {
    let spa = policy.spa.as_ref()?;
    let (past, future) = (short(spa.window.past), short(spa.window.future));
    let limits = format!("a device's clock may be {past} behind this one and {future} ahead");
    Some(clock_finding(clock::is_synchronised(), spa.trust_clock, clock::has_hardware_clock(), &limits))
}

fn clock_finding(synchronised: bool, trusted: bool, hardware: bool, limits: &str) -> Finding {
    if synchronised {
        return Finding::good("clock", format!("the kernel says that it is synchronised; {limits}"));
    }
    if trusted {
        return Finding::good(
            "clock",
            format!("trusted, as the configuration wants (trust-clock); {limits}"),
        );
    }
    let rtc = if hardware { "" } else { ", and this machine has none that goes on while it is off" };
    Finding::doubtful(
        "clock",
        format!("nobody has told the kernel that it is right{rtc}; {limits}"),
        "timedatectl set-ntp true; after a loss of the replay store nobody gets in by datagram until it is synchronised",
    )
}

/// Whether packets can be seen where they are looked for.
pub(super) fn capture(policy: &Policy) -> Vec<Finding> {
    if let Err(error) = BlankSocket::open() {
        let help = "run it as root, or with CAP_NET_RAW";
        return vec![Finding::doubtful("capture", format!("packets cannot be captured: {error}"), help)];
    }
    let Ok(links) = LinkWatch::once() else { return Vec::new() };
    let names: Vec<&str> = match &policy.daemon.interfaces {
        Interfaces::All => return vec![Finding::good("capture", "on every interface")],
        Interfaces::Named(names) => names.iter().map(String::as_str).collect(),
    };
    names.into_iter().map(|name| interface(name, &links)).collect()
}

fn interface(name: &str, links: &[Interface]) -> Finding {
    match links.iter().find(|link| link.name == name) {
        Some(link) if link.up => Finding::good("capture", format!("{name} is up")),
        Some(_) => Finding::bad(
            "capture",
            format!("{name} is down: no knock is seen there"),
            format!("ip link set {name} up"),
        ),
        None => {
            let known: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
            let help = format!("this host has {}: name one of these in `interfaces`", known.join(", "));
            Finding::bad("capture", format!("there is no interface {name}: no knock is seen there"), help)
        }
    }
}

/// A client that knocks by one family and connects by the other finds the door closed.
pub(super) fn addresses(policy: &Policy) -> Vec<Finding> {
    let Ok(links) = LinkWatch::once() else { return Vec::new() };
    let addresses =
        links.iter().filter(|link| link.up && !link.is_loopback()).flat_map(|link| &link.addresses);
    let own: Vec<IpAddr> = addresses.map(|address| address.ip).filter(|ip| !is_link_local(*ip)).collect();
    let mut findings = Vec::new();
    if own.iter().any(IpAddr::is_ipv6) && !policy.gate.ipv6 {
        findings.push(Finding::bad(
            "addresses",
            "this host has IPv6 addresses, and knocks are looked for in IPv4 alone (ipv6 = false): who connects by IPv6 \
             is shut out",
            "take ipv6 = false out, or let clients connect by IPv4 alone (AddressFamily inet in ssh_config)",
        ));
    }
    let hosts = policy.spa.iter().flat_map(|spa| &spa.hosts);
    findings.extend(hosts.filter_map(|host| match host {
        Host::Address(_) => None,
        Host::Name(name) => Some(named(name, &own)),
    }));
    if findings.is_empty() {
        findings.push(Finding::good("addresses", families(&own).to_owned()));
    }
    findings
}

fn named(name: &str, own: &[IpAddr]) -> Finding {
    let Ok(found) = dns_lookup::lookup_host(name) else {
        let seen = format!("the name {name}, which clients are told, is not found from here");
        return Finding::doubtful("addresses", seen, "see whether clients find it: `hosts` in [spa]");
    };
    let found: Vec<IpAddr> = found.collect();
    let missing = own.iter().any(IpAddr::is_ipv6) && !found.iter().any(IpAddr::is_ipv6);
    if missing {
        let seen = format!(
            "{name} has no IPv6 address in the name service, and this host has: it is knocked at by IPv4"
        );
        return Finding::doubtful(
            "addresses",
            seen,
            "that is right as long as clients connect by the same name",
        );
    }
    Finding::good("addresses", format!("{name} is found; {}", families(own)))
}

fn families(own: &[IpAddr]) -> &'static str {
    match (own.iter().any(IpAddr::is_ipv4), own.iter().any(IpAddr::is_ipv6)) {
        (true, true) => "both families, and knocks are listened for in both",
        (true, false) => "IPv4 only",
        (false, true) => "IPv6 only",
        (false, false) => "none that others could reach",
    }
}

pub(super) const fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn a_clock_that_nobody_vouches_for_is_doubtful() {
        let of = |synchronised, trusted, hardware| clock_finding(synchronised, trusted, hardware, "");
        assert_eq!(of(true, false, false).grade, Grade::Good);
        assert_eq!(of(false, true, false).grade, Grade::Good);
        assert_eq!(of(false, false, true).grade, Grade::Doubtful);
        assert!(of(false, false, false).seen.contains("goes on while it is off"));
    }

    #[test]
    fn names_are_looked_up_and_families_counted() {
        let own = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        assert_eq!(families(&own(&["192.0.2.1"])), "IPv4 only");
        assert_eq!(
            families(&own(&["192.0.2.1", "2001:db8::1"])),
            "both families, and knocks are listened for in both"
        );
        let lost = named("no-such-name.invalid", &own(&["192.0.2.1"]));
        assert_eq!((lost.grade, lost.about), (Grade::Doubtful, "addresses"));
    }

    #[test]
    fn an_interface_that_is_down_or_gone_hears_no_knock() {
        let link =
            |up| Interface { index: 2, name: "eth0".to_owned(), up, hardware: 1, addresses: Vec::new() };
        assert_eq!(interface("eth0", &[link(true)]).grade, Grade::Good);
        assert_eq!(interface("eth0", &[link(false)]).grade, Grade::Bad);
        let gone = interface("eth1", &[link(true)]);
        assert!(
            gone.grade == Grade::Bad && gone.help.is_some_and(|help| help.contains("this host has eth0"))
        );
    }
}
