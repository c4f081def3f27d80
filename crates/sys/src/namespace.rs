//! Hosts of our own on this machine: network namespaces, and the cables between them (`user_namespaces(7)`,
//! `network_namespaces(7)`, rtnetlink(7)). For the demonstration; no program but this one is needed.

use std::fs::Metadata;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{Mode, OFlags};
use rustix::thread::UnshareFlags;

use crate::netlink::{ACK, Builder, CREATE, REQUEST, Socket};
use crate::route::LinkWatch;

/// `NLM_F_EXCL`: it must be new.
const EXCL: u16 = 0x200;

/// Why there is no namespace.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The system does not let this user have one.
    #[error("user namespaces are not allowed here ({0})\n  help: run it with sudo")]
    NotAllowed(io::Error),
    /// Anything else.
    #[error("{0}")]
    Kernel(#[from] io::Error),
}

/// Moves this process into a network namespace of its own; without privileges, into a user namespace of its own first.
/// To be called while it has one thread only.
pub fn enter() -> Result<(), NamespaceError> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if unshare(UnshareFlags::NEWNET).is_ok() {
        return Ok(());
    }
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET).map_err(NamespaceError::NotAllowed)?;
    // One uid is all an unprivileged user may have there.
    let map = |file: &str, text: String| std::fs::write(file, text).map_err(NamespaceError::NotAllowed);
    map("/proc/self/setgroups", "deny".to_owned())?;
    map("/proc/self/uid_map", format!("0 {uid} 1"))?;
    map("/proc/self/gid_map", format!("0 {gid} 1"))?;
    // Some systems give the namespace but no power in it.
    set_up("lo").map_err(NamespaceError::NotAllowed)
}

/// Moves this thread alone into a network namespace of its own.
pub fn enter_on_this_thread() -> io::Result<()> {
    unshare(UnshareFlags::NEWNET)
}

#[expect(deprecated, reason = "of what is given up, nothing is shared with another thread: see the callers")]
fn unshare(what: UnshareFlags) -> io::Result<()> {
    Ok(rustix::thread::unshare(what)?)
}

/// The network namespace this thread is in.
pub fn current() -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(OURS, flags, Mode::empty())?)
}

/// That of this thread.
const OURS: &str = "/proc/thread-self/ns/net";
/// Where `ip netns` keeps names of others.
const NAMED: &str = "/run/netns";

/// The number of the network namespace this thread is in: no other one has it while this one is there.
pub fn number() -> io::Result<u64> {
    Ok(std::fs::metadata(OURS)?.ino())
}

/// Whether the network namespace of this number is there: a process that can be seen here is in it, or `ip netns` has a name for it.
#[must_use]
pub fn is_there(number: u64) -> bool {
    let Ok(ours) = std::fs::metadata(OURS) else { return false };
    let is_it = |found: Metadata| (found.dev(), found.ino()) == (ours.dev(), number);
    let below = |folder| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let named = below(NAMED);
    let lived_in = below("/proc").map(|process| process.join("ns/net"));
    ours.ino() == number || named.chain(lived_in).filter_map(|path| std::fs::metadata(path).ok()).any(is_it)
}

/// Lays a cable: one end here, the other in another namespace.
pub fn add_cable(name: &str, peer: &str, there: BorrowedFd<'_>) -> io::Result<()> {
    request(libc::RTM_NEWLINK, &[0; 16], |link| {
        link.put_text(libc::IFLA_IFNAME, name);
        link.nest(libc::IFLA_LINKINFO, |info| {
            info.put(libc::IFLA_INFO_KIND, b"veth");
            info.nest(libc::IFLA_INFO_DATA, |data| {
                data.nest(VETH_INFO_PEER, |end| {
                    end.put_bare(&[0; 16]);
                    end.put_text(libc::IFLA_IFNAME, peer);
                    end.put(libc::IFLA_NET_NS_FD, &there.as_raw_fd().to_ne_bytes());
                });
            });
        });
    })
}

/// linux/veth.h.
const VETH_INFO_PEER: u16 = 1;

/// Gives an interface here an address.
pub fn add_address(name: &str, address: IpAddr, prefix: u8) -> io::Result<()> {
    let index = index_of(name)?.to_ne_bytes();
    let (family, octets) = match address {
        IpAddr::V4(v4) => (libc::AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6, v6.octets().to_vec()),
    };
    let family = u8::try_from(family).map_err(io::Error::other)?;
    // No duplicate address detection: it would take a second.
    let flags = u8::try_from(libc::IFA_F_NODAD).map_err(io::Error::other)?;
    let fixed = [family, prefix, flags, 0, index[0], index[1], index[2], index[3]];
    request(libc::RTM_NEWADDR, &fixed, |message| {
        message.put(libc::IFA_LOCAL, &octets);
        message.put(libc::IFA_ADDRESS, &octets);
    })
}

/// Switches an interface here on.
pub fn set_up(name: &str) -> io::Result<()> {
    let up = libc::IFF_UP.cast_unsigned().to_ne_bytes();
    let mut fixed = [0; 16];
    fixed[4..8].copy_from_slice(&index_of(name)?.to_ne_bytes());
    fixed[8..12].copy_from_slice(&up);
    fixed[12..16].copy_from_slice(&up);
    send(libc::RTM_NEWLINK, 0, &fixed, |_| {})
}

fn index_of(name: &str) -> io::Result<u32> {
    let mut watch = LinkWatch::open()?;
    let found =
        watch.poll()?.iter().find(|interface| interface.name == name).map(|interface| interface.index);
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no interface {name}")))
}

fn request(kind: u16, fixed: &[u8], fill: impl FnOnce(&mut Builder)) -> io::Result<()> {
    send(kind, CREATE | EXCL, fixed, fill)
}

fn send(kind: u16, flags: u16, fixed: &[u8], fill: impl FnOnce(&mut Builder)) -> io::Result<()> {
    let mut socket = Socket::open(None, 0)?;
    let sequence = socket.next_sequence();
    let mut builder = Builder::default();
    builder.message(kind, REQUEST | ACK | flags, sequence, fixed);
    fill(&mut builder);
    socket.send(&builder.finish())?;
    socket.acknowledged(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_own_is_there_and_one_of_no_such_number_is_not() {
        let own = number().unwrap();
        assert!(is_there(own));
        assert!(!is_there(1), "a number of no namespace: the kernel counts them from far above");
    }
}
