//! What goes to everybody on a link: asked of the kernel's own routes (rtnetlink(7), `RTM_GETROUTE`), which know the networks this host
//! is in, and whether the first address of one means everybody, as it did before Linux 5.14.
//!
//! Nothing is kept: an address that comes or goes changes the next answer.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use super::gateways::ROUTE;
use crate::netlink::{ACK, Builder, Message, REQUEST, Socket};

/// A way to ask.
#[derive(Debug)]
pub(super) struct Broadcasts(Socket);

impl Broadcasts {
    /// Opens it.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self(Socket::open(None, 0)?))
    }

    /// Whether a packet to this address would go to everybody: then no packet is from it. IPv6 has none of that kind.
    pub(super) fn has(&mut self, address: IpAddr) -> io::Result<bool> {
        let IpAddr::V4(address) = address else { return Ok(false) };
        let mut builder = Builder::default();
        question(&mut builder, self.0.next_sequence(), address);
        self.0.send(&builder.finish())?;
        let mut is = false;
        match self.0.dump(|message| is |= is_broadcast(message)) {
            Ok(()) => Ok(is),
            // No way leads there.
            Err(error) if error.raw_os_error() == Some(libc::ENETUNREACH) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn question(builder: &mut Builder, sequence: u32, address: Ipv4Addr) {
    let mut header = [0; ROUTE];
    header[..2].copy_from_slice(&[FAMILY, 32]);
    builder.message(libc::RTM_GETROUTE, REQUEST | ACK, sequence, &header);
    builder.put(libc::RTA_DST, &address.octets());
}

/// `AF_INET`, as the kernel has it in a byte.
const FAMILY: u8 = 2;
/// Where `struct rtmsg` has the route's type.
const KIND: usize = 7;

fn is_broadcast(message: &Message<'_>) -> bool {
    let header =
        message.split(ROUTE).filter(|_| message.kind == libc::RTM_NEWROUTE).map(|(header, _)| header);
    header.is_some_and(|header| header.get(KIND) == Some(&libc::RTN_BROADCAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_knows_what_goes_to_everybody_on_loopback() {
        let mut broadcasts = Broadcasts::open().unwrap();
        let lo = crate::route::LinkWatch::once().unwrap();
        if lo.iter().any(|interface| interface.is_loopback() && interface.up) {
            assert!(broadcasts.has([127, 255, 255, 255].into()).unwrap());
        }
        for other in [IpAddr::from([127, 0, 0, 1]), [127, 255, 255, 254].into(), "::1".parse().unwrap()] {
            assert!(!broadcasts.has(other).unwrap(), "{other}");
        }
        // Whether or not there is a way to it.
        assert!(!broadcasts.has([192, 0, 2, 1].into()).unwrap());
    }
}
