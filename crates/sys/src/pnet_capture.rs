//! The fallback capture, `capture = "pnet"`: pnet's datalink channel on a socket we have prepared.
//!
//! The monitor [prepares](PreparedSocket::open) a packet socket with our filter and gives it to the worker, which
//! [opens](PnetCapture::open) the channel before its sandbox closes, because pnet binds the socket by itself.
//!
//! What it lacks beside the [ring](crate::capture): one wake-up and two system calls for every frame; frames are cut
//! at 4096 bytes; it cannot say whether a checksum is finished, so none may be judged; it does not know a VLAN tag the
//! kernel has stripped, so the filter drops tagged frames; it needs an interface to name (there is no "any") with
//! Ethernet frames or none; drops are not counted; and an interface that is deleted and made again needs a new worker.
//! The monitor may still replace the filter on its duplicate.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd as _, OwnedFd};
use std::time::Duration;

use pnet_datalink::{Channel, Config, DataLinkReceiver, NetworkInterface};

use crate::capture::{Attached, Fault, attach, prepare_raw, take_fault};
use crate::filter::{FilterSpec, Offset};

/// Mobile modems: IP with nothing before it (`linux/if_arp.h`).
const ARPHRD_RAWIP: u16 = 519;
/// Longer frames are cut.
const LONGEST_FRAME: usize = 4096;

/// Where a frame's bytes begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// At an Ethernet header.
    Ethernet,
    /// At an IP header of either version.
    Ip,
}

impl LinkKind {
    fn of_hardware(kind: u16) -> io::Result<Self> {
        match kind {
            libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Ok(Self::Ethernet),
            libc::ARPHRD_NONE | libc::ARPHRD_PPP | ARPHRD_RAWIP => Ok(Self::Ip),
            other => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("interfaces of hardware type {other} need capture = \"ring\""),
            )),
        }
    }

    const fn offset(self) -> Offset {
        match self {
            Self::Ethernet => Offset::Ethernet,
            Self::Ip => Offset::Ip,
        }
    }
}

/// The monitor's end: a packet socket for pnet, with our filter.
#[derive(Debug)]
pub struct PreparedSocket {
    fd: OwnedFd,
    link: LinkKind,
    attached: Cell<Attached>,
}

impl PreparedSocket {
    /// Opens one for an interface. Nothing arrives before the worker binds it.
    pub fn open(ifindex: u32, filter: &FilterSpec) -> io::Result<Self> {
        let (fd, hardware) = prepare_raw(ifindex)?;
        let link = LinkKind::of_hardware(hardware)?;
        let attached = Cell::new(attach(fd.as_fd(), filter, link.offset())?);
        Ok(Self { fd, link, attached })
    }

    /// The filter in force.
    #[must_use]
    pub const fn attached(&self) -> Attached {
        self.attached.get()
    }

    /// Where its frames' bytes begin; the worker must be told.
    #[must_use]
    pub const fn link(&self) -> LinkKind {
        self.link
    }

    /// Replaces the filter at once.
    pub fn replace_filter(&self, filter: &FilterSpec) -> io::Result<Attached> {
        let attached = attach(self.fd.as_fd(), filter, self.link.offset())?;
        self.attached.set(attached);
        Ok(attached)
    }

    /// Another descriptor of the same socket, for the worker.
    pub fn try_clone(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }
}

/// The worker's end: a channel of pnet's.
pub struct PnetCapture {
    receiver: Box<dyn DataLinkReceiver>,
    /// A second descriptor of the channel's socket: pnet keeps the first to itself.
    fd: OwnedFd,
    link: LinkKind,
    ifindex: u32,
}

impl std::fmt::Debug for PnetCapture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PnetCapture")
            .field("link", &self.link)
            .field("ifindex", &self.ifindex)
            .finish_non_exhaustive()
    }
}

impl PnetCapture {
    /// Binds the prepared socket to its interface: frames flow from now on. Before the sandbox closes.
    pub fn open(prepared: OwnedFd, link: LinkKind, ifindex: u32) -> io::Result<Self> {
        let fd = prepared.try_clone()?;
        let interface = NetworkInterface {
            name: String::new(),
            description: String::new(),
            index: ifindex,
            mac: None,
            ips: Vec::new(),
            flags: 0,
        };
        let config = Config {
            read_buffer_size: LONGEST_FRAME,
            write_buffer_size: 0,
            // Never wait inside: we wait for all descriptors together.
            read_timeout: Some(Duration::ZERO),
            promiscuous: false,
            // The channel closes it, also when it cannot be opened.
            socket_fd: Some(prepared.into_raw_fd()),
            ..Config::default()
        };
        match pnet_datalink::channel(&interface, config)? {
            Channel::Ethernet(_, receiver) => Ok(Self { receiver, fd, link, ifindex }),
            _ => Err(io::Error::from(io::ErrorKind::Unsupported)),
        }
    }

    /// Where its frames' bytes begin.
    #[must_use]
    pub const fn link(&self) -> LinkKind {
        self.link
    }

    /// The interface it captures on.
    #[must_use]
    pub const fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Shows at most `limit` waiting frames; how many there were.
    pub fn poll_frames(&mut self, limit: usize, mut show: impl FnMut(&[u8])) -> usize {
        for frames in 0..limit {
            match self.receiver.next() {
                Ok(bytes) => show(bytes),
                // Nothing there, or an error pending, which `take_fault` takes: pnet's channel would leave it there.
                Err(_) => return frames,
            }
        }
        limit
    }

    /// Takes the error that makes the socket readable without a frame. To be called after such a wake-up.
    #[must_use]
    pub fn take_fault(&self) -> Option<Fault> {
        take_fault(self.fd.as_fd())
    }
}

impl AsFd for PnetCapture {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
