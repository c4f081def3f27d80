//! Whether a knock is bound to the address it is sent from: the server then opens for that address only, and refuses the
//! knock if it comes from another one. spec/spa.md, sections 10 and 13.4.
//!
//! Bound where nothing on the way translates addresses, as far as this host can see. There is no way back from bound to
//! unbound when nothing answers: who drops bound knocks would get unbound ones.

mod nat64;
mod special;

use std::net::{IpAddr, Ipv6Addr};

pub(crate) use nat64::{Prefix, prefixes};

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Binding {
    /// Where this host's address is a public one
    #[default]
    Auto,
    /// Always
    Always,
    /// Never: on a network that translates addresses which look public
    Never,
}

impl Binding {
    /// The address to bind to, of the two that a socket is connected with. `discovered` gives the prefixes by which this
    /// network translates IPv6 to IPv4; it is asked only where it matters.
    pub(crate) fn address(
        self,
        local: IpAddr,
        peer: IpAddr,
        discovered: impl FnOnce() -> Vec<Prefix>,
    ) -> Option<IpAddr> {
        let bound = match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => special::is_global(local) && !is_translated(peer, discovered),
        };
        bound.then(|| local.to_canonical())
    }
}

fn is_translated(peer: IpAddr, discovered: impl FnOnce() -> Vec<Prefix>) -> bool {
    match peer.to_canonical() {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => is_well_known(v6) || discovered().into_iter().any(|prefix| prefix.contains(&v6)),
    }
}

/// `64:ff9b::/96` (RFC 6052, section 2.1) and `64:ff9b:1::/48` (RFC 8215): IPv4 behind a translator, whoever runs it.
const fn is_well_known(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [0x64, 0xff9b, 0, 0, 0, 0, _, _] | [0x64, 0xff9b, 1, _, _, _, _, _])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// The table of the rule: local address, peer, the network's own prefixes, bound or not.
    #[test]
    fn auto_binds_public_addresses_that_nothing_translates() {
        for (local, peer, discovered, bound) in [
            ("9.9.9.9", "198.51.100.7", &[][..], true),
            ("::ffff:9.9.9.9", "::ffff:198.51.100.7", &[], true),
            ("10.0.0.5", "9.9.9.9", &[], false),
            ("100.64.3.4", "9.9.9.9", &[], false),
            ("192.0.0.2", "9.9.9.9", &[], false),
            ("127.0.0.1", "127.0.0.1", &[], false),
            ("2a00:1450::5", "2620:fe::fe", &[], true),
            ("fd00::5", "2620:fe::fe", &[], false),
            ("fe80::5", "fe80::1", &[], false),
            ("2a00:1450::5", "64:ff9b::909:909", &[], false),
            ("2a00:1450::5", "64:ff9b:1:1::909:909", &[], false),
            ("2a00:1450::5", "64:ff9c::1", &[], true),
            ("2a00:1450::5", "2a00:64::909:909", &["2a00:64::/96"], false),
            ("2a00:1450::5", "2a00:65::909:909", &["2a00:64::/96"], true),
            ("9.9.9.9", "198.51.100.7", &["::/0"], true),
        ] {
            let discovered = || discovered.iter().map(|prefix| prefix.parse().unwrap()).collect();
            let address = Binding::Auto.address(ip(local), ip(peer), discovered);
            assert_eq!(address, bound.then(|| ip(local).to_canonical()), "{local} to {peer}");
        }
    }

    #[test]
    fn the_network_is_asked_only_where_it_matters() {
        let asked = || -> Vec<Prefix> { panic!("asked") };
        for (binding, local, peer) in [
            (Binding::Auto, "fd00::5", "2620:fe::fe"),
            (Binding::Auto, "9.9.9.9", "8.8.8.8"),
            (Binding::Auto, "2a00:1450::5", "64:ff9b::909:909"),
            (Binding::Always, "2a00:1450::5", "2620:fe::fe"),
            (Binding::Never, "2a00:1450::5", "2620:fe::fe"),
        ] {
            let _ = binding.address(ip(local), ip(peer), asked);
        }
        assert_eq!(Binding::Always.address(ip("10.0.0.5"), ip("9.9.9.9"), asked), Some(ip("10.0.0.5")));
        assert_eq!(Binding::Never.address(ip("9.9.9.9"), ip("8.8.8.8"), asked), None);
    }
}
