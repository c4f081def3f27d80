//! The monitor's end of a capture.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::size::RingSize;
use crate::filter::{FEWEST_INSTRUCTIONS, FilterSpec, Insn, MOST_INSTRUCTIONS, Offset};
use crate::option;

/// Every protocol (`ETH_P_ALL`), as bind wants it.
const ALL_PROTOCOLS: u16 = 3_u16.to_be();
/// `AF_PACKET`, as an address has it.
const FAMILY: libc::sa_family_t = 17;
/// The ring's version: 2.
const TPACKET_V2: libc::c_int = 1;

/// What to capture on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// Every interface, those to come included.
    Any,
    /// This one. It may be down: capture begins when it comes up.
    Interface(u32),
}

/// What the kernel has counted since the socket was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Packets that passed the filter, dropped ones included.
    pub packets: u64,
    /// Those of them that found no room in the ring.
    pub drops: u64,
}

/// The filter as it was attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached {
    /// How many instructions it has.
    pub instructions: usize,
    /// Whether it lets more pass than was asked for, because the exact one was too long for the kernel.
    pub widened: bool,
    /// Whether the kernel had no memory for a longer one, which an administrator can change (`net.core.optmem_max`).
    pub short_of_memory: bool,
}

/// A packet socket with a filter and a ring.
#[derive(Debug)]
pub struct CaptureSocket {
    fd: OwnedFd,
    attached: Cell<Attached>,
    counted: Cell<Statistics>,
}

/// A packet socket that captures nothing yet. To close one the kernel waits for all packets that are under way, ten milliseconds or
/// more: one that was opened to see whether that is allowed is better used.
#[derive(Debug)]
pub struct BlankSocket(OwnedFd);

impl BlankSocket {
    /// Opens one; if this process may not capture at all, what the kernel says.
    pub fn open() -> io::Result<Self> {
        packet_socket(SocketType::DGRAM).map(Self)
    }
}

impl CaptureSocket {
    /// Opens a capture. `ENODEV`: there is no such interface.
    pub fn open(target: Target, filter: &FilterSpec, size: RingSize) -> io::Result<Self> {
        Self::begin(BlankSocket::open()?, target, filter, size)
    }

    /// The same with a socket that is there.
    pub fn begin(
        BlankSocket(fd): BlankSocket,
        target: Target,
        filter: &FilterSpec,
        size: RingSize,
    ) -> io::Result<Self> {
        let attached = attach(fd.as_fd(), filter, Offset::Network)?;
        ignore_outgoing(fd.as_fd())?;
        option::set(fd.as_fd(), libc::SOL_PACKET, libc::PACKET_VERSION, &TPACKET_V2)?;
        option::set(fd.as_fd(), libc::SOL_PACKET, libc::PACKET_RX_RING, &size.request())?;
        bind(fd.as_fd(), target, ALL_PROTOCOLS)?;
        Ok(Self { fd, attached: Cell::new(attached), counted: Cell::default() })
    }

    /// Replaces the filter at once: no packet is judged by neither, and the ring stays as it is.
    pub fn replace_filter(&self, filter: &FilterSpec) -> io::Result<Attached> {
        let attached = attach(self.fd.as_fd(), filter, Offset::Network)?;
        self.attached.set(attached);
        Ok(attached)
    }

    /// The filter in force.
    #[must_use]
    pub const fn attached(&self) -> Attached {
        self.attached.get()
    }

    /// What the kernel has counted.
    pub fn statistics(&self) -> io::Result<Statistics> {
        let (packets, drops) = packet_statistics(self.fd.as_fd())?;
        let before = self.counted.get();
        // The kernel forgets what it has told, so it is added up here.
        let counted = Statistics {
            packets: before.packets + u64::from(packets),
            drops: before.drops + u64::from(drops),
        };
        self.counted.set(counted);
        Ok(counted)
    }

    /// Another descriptor of the same socket, for the worker.
    pub fn try_clone(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }
}

impl AsFd for CaptureSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Packets (dropped ones included) and drops, since they were last asked for.
fn packet_statistics(socket: BorrowedFd<'_>) -> io::Result<(u32, u32)> {
    let [packets, drops] = option::numbers(socket, libc::SOL_PACKET, libc::PACKET_STATISTICS)?;
    Ok((packets, drops))
}

/// What the kernel has counted of anybody's packet socket since it was last asked: for those who measure.
pub fn statistics_of(socket: BorrowedFd<'_>) -> io::Result<Statistics> {
    let (packets, drops) = packet_statistics(socket)?;
    Ok(Statistics { packets: packets.into(), drops: drops.into() })
}

/// A packet socket of kind RAW on this interface for somebody else to bind, without a filter yet: nothing arrives. Also
/// the interface's hardware type.
pub(crate) fn prepare_raw(ifindex: u32) -> io::Result<(OwnedFd, u16)> {
    let fd = packet_socket(SocketType::RAW)?;
    // Bound without a protocol it receives nothing, but knows its interface.
    bind(fd.as_fd(), Target::Interface(ifindex), 0)?;
    ignore_outgoing(fd.as_fd())?;
    let hardware = hardware_type(fd.as_fd())?;
    Ok((fd, hardware))
}

fn packet_socket(kind: SocketType) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::PACKET, kind, flags, None)?)
}

fn ignore_outgoing(fd: BorrowedFd<'_>) -> io::Result<()> {
    option::set(fd, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1_i32)
}

/// Attaches the exact filter, or the least widened one the kernel has memory for.
///
/// How much it has is a matter of `net.core.optmem_max` (20 KiB before Linux 6.8) and of the filter in force, which
/// counts until it is replaced.
pub(crate) fn attach(fd: BorrowedFd<'_>, filter: &FilterSpec, offset: Offset) -> io::Result<Attached> {
    let mut limit = MOST_INSTRUCTIONS;
    loop {
        let program = filter.program(offset, limit);
        match attach_program(fd, &program.instructions) {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) && limit > FEWEST_INSTRUCTIONS => {
                limit = program.instructions.len().min(limit) * 3 / 4;
            }
            result => {
                return result.map(|()| Attached {
                    instructions: program.instructions.len(),
                    widened: program.widened,
                    short_of_memory: limit < MOST_INSTRUCTIONS,
                });
            }
        }
    }
}

pub(crate) fn attach_program(fd: BorrowedFd<'_>, instructions: &[Insn]) -> io::Result<()> {
    let mut instructions: Vec<libc::sock_filter> = instructions
        .iter()
        .map(|insn| libc::sock_filter { code: insn.code, jt: insn.jt, jf: insn.jf, k: insn.k })
        .collect();
    let len = u16::try_from(instructions.len()).map_err(io::Error::other)?;
    // The kernel copies it before the call returns.
    let program = libc::sock_fprog { len, filter: instructions.as_mut_ptr() };
    option::set(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

fn bind(fd: BorrowedFd<'_>, target: Target, protocol: u16) -> io::Result<()> {
    let ifindex = match target {
        Target::Any => 0,
        // 0 would mean all of them.
        Target::Interface(0) => return Err(io::Error::from_raw_os_error(libc::ENODEV)),
        Target::Interface(ifindex) => ifindex.cast_signed(),
    };
    let mut address = no_address();
    address.sll_protocol = protocol;
    address.sll_ifindex = ifindex;
    let length = libc::socklen_t::try_from(size_of_val(&address)).map_err(io::Error::other)?;
    // SAFETY: the pointer and the length are of one address; the kernel reads only.
    let result = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn hardware_type(fd: BorrowedFd<'_>) -> io::Result<u16> {
    let mut address = no_address();
    let mut length = libc::socklen_t::try_from(size_of_val(&address)).map_err(io::Error::other)?;
    // SAFETY: the pointer and the length are of one address, which the kernel fills.
    let result = unsafe { libc::getsockname(fd.as_raw_fd(), (&raw mut address).cast(), &raw mut length) };
    if result == 0 { Ok(address.sll_hatype) } else { Err(io::Error::last_os_error()) }
}

fn no_address() -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: FAMILY,
        sll_protocol: 0,
        sll_ifindex: 0,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}
