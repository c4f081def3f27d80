//! Addresses that no client can have, whoever names them: packets with a forged source, a worker that lies, a device that may
//! delegate, the administrator's own hand. For them no door opens.

use std::net::IpAddr;

use aldaba_gate::can_knock;

use super::Monitor;

impl Monitor {
    /// Whether the worker may name this address: one that a packet could come from, and not this host's, but where knocks on
    /// loopback count, or knockd's successes, which always did.
    pub(super) fn may_be_a_client(&mut self, source: IpAddr) -> bool {
        let on_loopback = self.captures.has_loopback();
        let own_too = on_loopback || self.face.is_knockd();
        source == source.to_canonical()
            && can_knock(source, on_loopback)
            && (own_too || !self.is_own(source))
            && !self.is_broadcast(source)
    }

    /// Whether it is this host's own.
    pub(super) fn is_own(&self, address: IpAddr) -> bool {
        self.links.known().iter().flat_map(|link| &link.addresses).any(|own| own.ip == address)
    }

    /// Whether a packet to it would go to everybody on a link. Where the kernel does not say, it is taken for a client's: nobody who can be
    /// answered has such an address, so that nothing is lost by it.
    pub(super) fn is_broadcast(&mut self, address: IpAddr) -> bool {
        self.links.is_broadcast(address).unwrap_or(false)
    }
}
