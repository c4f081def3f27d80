//! Where clients' packets come in: the interfaces that knocks are listened for at, and this host's addresses there.

use std::net::IpAddr;
use std::path::Path;

use aldaba_config::{Interfaces, Policy};
use aldaba_sys::nft::Place;
use aldaba_sys::route::{Interface, LinkWatch};

use super::host::is_link_local;

/// Devices stand on one another this deep at most: a VLAN on a bridge on a bond.
const DEEPEST: usize = 4;

/// The places of both families.
pub(super) struct Places {
    v4: Vec<Place>,
    v6: Vec<Place>,
    /// Whether the configuration names the interfaces: then each of them matters.
    pub(super) are_named: bool,
}

impl Places {
    pub(super) fn of(policy: &Policy) -> Self {
        let links = LinkWatch::once().unwrap_or_default();
        let is_meant = |link: &&Interface| match &policy.daemon.interfaces {
            Interfaces::All => link.up && !link.is_loopback(),
            Interfaces::Named(names) => names.contains(&link.name),
        };
        let meant: Vec<&Interface> = links.iter().filter(is_meant).collect();
        let of = |ipv6| places(&meant, ipv6);
        let are_named = matches!(policy.daemon.interfaces, Interfaces::Named(_));
        Self { v4: of(false), v6: of(true), are_named }
    }

    /// Those of one family; one that is anywhere, where none is known.
    pub(super) fn of_family(&self, ipv6: bool) -> Vec<Option<&Place>> {
        let places = if ipv6 { &self.v6 } else { &self.v4 };
        if places.is_empty() { vec![None] } else { places.iter().map(Some).collect() }
    }
}

fn places(links: &[&Interface], ipv6: bool) -> Vec<Place> {
    let of = |link: &Interface| {
        let ips = link.addresses.iter().map(|address| address.ip).filter(|ip| ip.is_ipv6() == ipv6);
        let (local, others): (Vec<IpAddr>, Vec<IpAddr>) = ips.partition(|ip| is_link_local(*ip));
        let below = below(&link.name, DEEPEST);
        let is_bridge = Path::new(&format!("/sys/class/net/{}/bridge", link.name)).exists();
        let place = |address| Place {
            interface: link.name.clone(),
            index: link.index,
            below: below.clone(),
            is_bridge,
            address,
        };
        // Those that reach one network only are looked at where there are no others.
        let ips = if others.is_empty() { local } else { others };
        ips.into_iter().map(place).collect::<Vec<Place>>()
    };
    links.iter().flat_map(|link| of(link)).collect()
}

/// The devices below one, as /sys names them.
fn below(name: &str, depth: usize) -> Vec<String> {
    let Some(depth) = depth.checked_sub(1) else { return Vec::new() };
    let files = std::fs::read_dir(format!("/sys/class/net/{name}")).into_iter().flatten().flatten();
    let names = files.filter_map(|file| Some(file.file_name().to_str()?.strip_prefix("lower_")?.to_owned()));
    names.flat_map(|name| [below(&name, depth), vec![name]].concat()).collect()
}
