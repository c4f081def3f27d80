//! Which interfaces are captured on, and which addresses count as this host there: pure, from the list of links.
//!
//! A named interface is followed by its device: once found, it stays the same one through a rename, until it is gone
//! or another device takes the configured name. `IF:LABEL` is IF with only the addresses of that label; a device can have
//! several such names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use aldaba_sys::route::Interface;

/// The word for all interfaces.
pub const ANY: &str = "any";

/// A network device, as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Kernel index.
    pub index: u32,
    /// Its name now.
    pub name: String,
    /// Up, so that packets can arrive.
    pub up: bool,
    /// The loopback device.
    pub loopback: bool,
    /// Its addresses with their alias labels.
    pub addresses: Vec<(IpAddr, Option<String>)>,
}

impl From<&Interface> for Link {
    fn from(interface: &Interface) -> Self {
        Self {
            index: interface.index,
            name: interface.name.clone(),
            up: interface.up,
            loopback: interface.is_loopback(),
            addresses: interface
                .addresses
                .iter()
                .map(|address| (address.ip, address.label.clone()))
                .collect(),
        }
    }
}

/// Where the daemon captures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watch {
    /// On every device, with one socket.
    All,
    /// On these names, a socket each.
    Named(Vec<String>),
}

/// An interface as the worker is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Kernel index.
    pub index: u32,
    /// Loopback sources are believed here.
    pub loopback: bool,
    /// The names doors know it by, and the destinations that are this host under each.
    pub names: BTreeMap<String, BTreeSet<IpAddr>>,
}

impl View {
    /// The first of its names.
    #[must_use]
    pub fn name(&self) -> &str {
        self.names.keys().next().map_or("", String::as_str)
    }
}

impl Watch {
    /// Whether this name is captured on.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        match self {
            Self::All => name == ANY,
            Self::Named(names) => names.iter().any(|named| named == name),
        }
    }

    /// From a list of names; `any` is knockd's word for all of them.
    #[must_use]
    pub fn of(names: &[String]) -> Self {
        if names.iter().any(|name| name == ANY) { Self::All } else { Self::Named(names.to_vec()) }
    }
}

/// Remembers which device each configured name was found on.
#[derive(Debug, Default)]
pub struct Follower {
    bound: BTreeMap<String, u32>,
}

impl Follower {
    /// The interfaces to capture on now, by index.
    pub fn views(&mut self, watch: &Watch, links: &[Link]) -> BTreeMap<u32, View> {
        match watch {
            Watch::All => all(links),
            Watch::Named(names) => {
                let mut views: BTreeMap<u32, View> = BTreeMap::new();
                for view in names.iter().filter_map(|name| self.named(name, links)) {
                    let View { index, loopback, names } = view;
                    let device = View { index, loopback, names: BTreeMap::new() };
                    views.entry(index).or_insert(device).names.extend(names);
                }
                views
            }
        }
    }

    fn named(&mut self, configured: &str, links: &[Link]) -> Option<View> {
        let (name, label) = split_label(configured, links);
        let by_name = links.iter().find(|link| link.name == name);
        let bound = self.bound.get(configured);
        let link = by_name.or_else(|| links.iter().find(|link| Some(&link.index) == bound));
        let Some(link) = link else {
            self.bound.remove(configured);
            return None;
        };
        self.bound.insert(configured.to_owned(), link.index);
        let ours = |of: &Option<String>| label.is_none() || of.as_deref() == Some(configured);
        let addresses =
            link.addresses.iter().filter(|(_, of)| ours(of)).map(|(address, _)| *address).collect();
        let names = BTreeMap::from([(configured.to_owned(), addresses)]);
        Some(View { index: link.index, loopback: link.loopback, names })
    }
}

/// `eth0:1` is a label on `eth0`, unless a device has that very name.
fn split_label<'a>(configured: &'a str, links: &[Link]) -> (&'a str, Option<&'a str>) {
    if links.iter().any(|link| link.name == configured) {
        return (configured, None);
    }
    configured.split_once(':').map_or((configured, None), |(name, label)| (name, Some(label)))
}

/// Everywhere: a packet may arrive on any device for its own addresses, or for a service address kept on loopback.
fn all(links: &[Link]) -> BTreeMap<u32, View> {
    let kept: Vec<IpAddr> = links
        .iter()
        .filter(|link| link.loopback)
        .flat_map(|link| link.addresses.iter().map(|(address, _)| *address))
        .filter(|address| !address.is_loopback())
        .collect();
    let view = |link: &Link| {
        let own = link.addresses.iter().map(|(address, _)| *address);
        let names = BTreeMap::from([(link.name.clone(), own.chain(kept.iter().copied()).collect())]);
        View { index: link.index, loopback: link.loopback, names }
    };
    links.iter().map(|link| (link.index, view(link))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, addresses: &[(&str, Option<&str>)]) -> Link {
        let addresses = addresses
            .iter()
            .map(|(address, label)| (address.parse().unwrap(), label.map(str::to_owned)))
            .collect();
        Link { index, name: name.into(), up: true, loopback: name == "lo", addresses }
    }

    fn shown(views: &BTreeMap<u32, View>) -> Vec<String> {
        let names = |view: &View| {
            let names = view.names.iter().map(|(name, addresses)| format!(" {name} {addresses:?}"));
            names.collect::<String>()
        };
        views.values().map(|view| format!("{}{}", view.index, names(view))).collect()
    }

    #[test]
    fn a_name_follows_its_device_through_a_rename() {
        let watch = Watch::of(&["eth0".into()]);
        let mut follower = Follower::default();
        assert!(follower.views(&watch, &[]).is_empty(), "absent at start");
        let before = follower.views(&watch, &[link(2, "eth0", &[("192.0.2.1", None)])]);
        assert_eq!(shown(&before), ["2 eth0 {192.0.2.1}"]);
        let renamed = follower.views(&watch, &[link(2, "lan0", &[("192.0.2.1", None)])]);
        assert_eq!(shown(&renamed), ["2 eth0 {192.0.2.1}"]);
        let taken = follower.views(&watch, &[link(2, "lan0", &[]), link(3, "eth0", &[])]);
        assert_eq!(shown(&taken), ["3 eth0 {}"], "the configured name is on another device now");
        assert!(follower.views(&watch, &[link(2, "lan0", &[])]).is_empty(), "that device is gone");
        assert_eq!(shown(&follower.views(&watch, &[link(9, "eth0", &[])])), ["9 eth0 {}"], "re-created");
    }

    #[test]
    fn a_label_is_its_own_addresses_only() {
        let links = [link(2, "eth0", &[("192.0.2.1", Some("eth0")), ("192.0.2.31", Some("eth0:1"))])];
        let mut follower = Follower::default();
        let whole = follower.views(&Watch::of(&["eth0".into()]), &links);
        assert_eq!(shown(&whole), ["2 eth0 {192.0.2.1, 192.0.2.31}"]);
        let labelled = follower.views(&Watch::of(&["eth0:1".into()]), &links);
        assert_eq!(shown(&labelled), ["2 eth0:1 {192.0.2.31}"]);
    }

    #[test]
    fn a_device_has_all_its_labels() {
        let [one, two] = ["eth0:1", "eth0:2"];
        let links =
            [link(2, "eth0", &[("192.0.2.31", Some(one)), ("192.0.2.32", Some(two)), ("192.0.2.1", None)])];
        let views = Follower::default().views(&Watch::of(&[two.into(), one.into()]), &links);
        assert_eq!(shown(&views), ["2 eth0:1 {192.0.2.31} eth0:2 {192.0.2.32}"]);
        let views = Follower::default().views(&Watch::of(&["eth0".into(), one.into()]), &links);
        let all = "{192.0.2.1, 192.0.2.31, 192.0.2.32}";
        assert_eq!(shown(&views), [format!("2 eth0 {all} eth0:1 {{192.0.2.31}}")]);
    }

    #[test]
    fn everywhere_includes_service_addresses_on_loopback() {
        let links = [
            link(1, "lo", &[("127.0.0.1", None), ("198.51.100.7", None)]),
            link(2, "eth0", &[("192.0.2.1", None)]),
        ];
        let views = Follower::default().views(&Watch::of(&["any".into()]), &links);
        let wanted = ["1 lo {127.0.0.1, 198.51.100.7}", "2 eth0 {192.0.2.1, 198.51.100.7}"];
        assert_eq!(shown(&views), wanted);
    }
}
