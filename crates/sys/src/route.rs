//! The network interfaces and their addresses, as the kernel tells of them (rtnetlink(7)).
//!
//! Any change means: read the list anew. Changes are rare and the list is short; a list that is read whole cannot drift
//! from the truth.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

mod broadcast;
mod gateways;

use broadcast::Broadcasts;
pub use gateways::Gateways;

use crate::netlink::{Attributes, Builder, DUMP, Message, REQUEST, Socket};

/// Groups link, IPv4 address and IPv6 address of rtnetlink.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Its label; `eth0:1` for an alias.
    pub label: Option<String>,
    /// Made for privacy and soon replaced (RFC 8981), or on its way out: nobody should be told of it.
    pub passing: bool,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Administratively up.
    pub up: bool,
    /// The hardware type (`ARPHRD_…`).
    pub hardware: u16,
    /// All its addresses.
    pub addresses: Vec<Address>,
}

impl Interface {
    /// Whether it is a loopback device.
    #[must_use]
    pub const fn is_loopback(&self) -> bool {
        self.hardware == libc::ARPHRD_LOOPBACK
    }
}

/// Watches the interfaces.
#[derive(Debug)]
pub struct LinkWatch {
    events: Socket,
    interfaces: Vec<Interface>,
    stale: bool,
    /// Opened when it is first asked.
    broadcasts: Option<Broadcasts>,
}

impl LinkWatch {
    /// All interfaces as they are now, for one who does not watch them.
    pub fn once() -> io::Result<Vec<Interface>> {
        read_all()
    }

    /// Begins to watch.
    pub fn open() -> io::Result<Self> {
        // Events first: what changes while the list is read is then seen.
        let events = Socket::open(None, GROUPS)?;
        Ok(Self { events, interfaces: Vec::new(), stale: true, broadcasts: None })
    }

    /// All interfaces as they were when last asked for.
    #[must_use]
    pub fn known(&self) -> &[Interface] {
        &self.interfaces
    }

    /// All interfaces as they are now.
    pub fn poll(&mut self) -> io::Result<&[Interface]> {
        self.stale |= any(&mut self.events)?;
        if self.stale {
            self.interfaces = read_all()?;
            self.stale = false;
        }
        Ok(&self.interfaces)
    }

    /// Whether a packet to this address would go to everybody on a link, by the kernel's routes as they are now.
    pub fn is_broadcast(&mut self, address: IpAddr) -> io::Result<bool> {
        let broadcasts = match &mut self.broadcasts {
            Some(broadcasts) => broadcasts,
            none => none.insert(Broadcasts::open()?),
        };
        let answer = broadcasts.has(address);
        if answer.is_err() {
            // The next question finds no rest of this one's answer.
            self.broadcasts = None;
        }
        answer
    }
}

impl AsFd for LinkWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

/// Takes all events that wait: whether there was any.
fn any(events: &mut Socket) -> io::Result<bool> {
    let mut any = false;
    loop {
        match events.receive() {
            Ok(Some(_)) => any = true,
            Ok(None) => return Ok(any),
            // Some were lost: what they told of is read anyway.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => any = true,
            Err(error) => return Err(error),
        }
    }
}

fn read_all() -> io::Result<Vec<Interface>> {
    let mut socket = Socket::open(None, 0)?;
    let mut found: BTreeMap<u32, Interface> = BTreeMap::new();
    // A header of `struct ifinfomsg`, and one of `struct ifaddrmsg`: all families.
    dump(&mut socket, libc::RTM_GETLINK, &[0; 16], |message| {
        found.extend(link(message).map(|link| (link.index, link)));
    })?;
    dump(&mut socket, libc::RTM_GETADDR, &[0; 8], |message| {
        if let Some((index, address)) = address(message)
            && let Some(interface) = found.get_mut(&index)
        {
            interface.addresses.push(address);
        }
    })?;
    Ok(found.into_values().collect())
}

fn dump(socket: &mut Socket, kind: u16, fixed: &[u8], show: impl FnMut(&Message<'_>)) -> io::Result<()> {
    let mut builder = Builder::default();
    let sequence = socket.next_sequence();
    builder.message(kind, REQUEST | DUMP, sequence, fixed);
    socket.send(&builder.finish())?;
    socket.dump(show)
}

/// `struct ifinfomsg`: family, pad, type (2), index (4), flags (4), change (4).
fn link(message: &Message<'_>) -> Option<Interface> {
    if message.kind != libc::RTM_NEWLINK {
        return None;
    }
    let (fixed, attributes) = message.split(16)?;
    let flags = u32::from_ne_bytes(*fixed.get(8..)?.first_chunk()?);
    Some(Interface {
        index: u32::from_ne_bytes(*fixed.get(4..)?.first_chunk()?),
        name: attributes.text(libc::IFLA_IFNAME)?,
        up: flags & libc::IFF_UP.cast_unsigned() != 0,
        hardware: u16::from_ne_bytes(*fixed.get(2..)?.first_chunk()?),
        addresses: Vec::new(),
    })
}

/// `struct ifaddrmsg`: family, prefix length, flags, scope, index (4).
fn address(message: &Message<'_>) -> Option<(u32, Address)> {
    if message.kind != libc::RTM_NEWADDR {
        return None;
    }
    let (fixed, attributes) = message.split(8)?;
    let index = u32::from_ne_bytes(*fixed.get(4..)?.first_chunk()?);
    // On a point-to-point link IFA_ADDRESS is the other end's.
    let ip = ip(&attributes, libc::IFA_LOCAL).or_else(|| ip(&attributes, libc::IFA_ADDRESS))?;
    let flags = attributes.find(libc::IFA_FLAGS).and_then(<[u8]>::first_chunk);
    let flags =
        flags.map_or(fixed.get(2).copied().unwrap_or_default().into(), |flags| u32::from_ne_bytes(*flags));
    let passing = flags & (libc::IFA_F_TEMPORARY | libc::IFA_F_DEPRECATED) != 0;
    Some((index, Address { ip, label: attributes.text(libc::IFA_LABEL), passing }))
}

fn ip(attributes: &Attributes<'_>, kind: u16) -> Option<IpAddr> {
    address_of(attributes.find(kind)?)
}

fn address_of(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(Ipv4Addr::from(*value.first_chunk::<4>()?).into()),
        16 => Some(Ipv6Addr::from(*value.first_chunk::<16>()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there_with_its_address() {
        let mut watch = LinkWatch::open().unwrap();
        let all = watch.poll().unwrap();
        let lo = all.iter().find(|interface| interface.name == "lo").unwrap();
        assert!(lo.is_loopback() && lo.index > 0);
        if lo.up {
            assert!(lo.addresses.iter().any(|address| address.ip.is_loopback()), "{lo:?}");
        }
    }
}
