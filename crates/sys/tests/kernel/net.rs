//! A network namespace with two interfaces joined by a cable, and frames to send through it.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::Command;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::UnshareFlags;

/// The sender's link address, and the receiver's.
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 0xaa], [2, 0, 0, 0, 0, 0xbb]];

/// Runs in a thread with a network of its own: `va` and `vb`, both up. Frames sent on `va` come in on `vb`.
pub(crate) fn in_namespace(test: impl FnOnce(&Net) + Send + 'static) {
    if !crate::skip::is_root() {
        return;
    }
    let thread = std::thread::spawn(|| match Net::new() {
        Ok(net) => test(&net),
        Err(error) => crate::skip::skipped(&format!("no network namespace: {error}")),
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

pub(crate) struct Net {
    sender: OwnedFd,
    pub(crate) va: u32,
    pub(crate) vb: u32,
}

impl Net {
    fn new() -> io::Result<Self> {
        // SAFETY: only the network namespace changes, which no descriptor of this thread depends on.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
        // No router solicitations or the like among our frames.
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")?;
        ip("link add va address 02:00:00:00:00:aa type veth peer name vb address 02:00:00:00:00:bb");
        ip("link set va up");
        ip("link set vb up");
        let raw =
            rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        past_the_queue(&raw)?;
        let index = |name| rustix::net::netdevice::name_to_index(&raw, name);
        let (va, vb) = (index("va")?, index("vb")?);
        Ok(Self { sender: raw, va, vb })
    }

    /// Sends a frame from `va` to `vb`.
    pub(crate) fn send(&self, frame: &[u8]) {
        let address = libc::sockaddr_ll {
            sll_family: 17,
            sll_protocol: 0,
            sll_ifindex: self.va.cast_signed(),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 6,
            sll_addr: [0; 8],
        };
        // SAFETY: buffer and address are valid for their lengths.
        let sent = unsafe {
            libc::sendto(
                self.sender.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                (&raw const address).cast(),
                u32::try_from(size_of_val(&address)).unwrap(),
            )
        };
        assert_eq!(sent, frame.len().cast_signed(), "{}", io::Error::last_os_error());
    }

    /// Sends a SYN to a port.
    pub(crate) fn syn(&self, port: u16) {
        self.send(&ethernet(&[], &tcp(port, 2, 0)));
    }

    pub(crate) fn udp(&self, port: u16) {
        self.send(&ethernet(&[], &ipv4(17, port, &[0; 4])));
    }
}

/// Frames go straight to the device. Its queue throws them away until the kernel has noticed, some time after `ip` has
/// ended, that the cable is whole.
fn past_the_queue(raw: &OwnedFd) -> io::Result<()> {
    let yes = 1_i32;
    // SAFETY: the option's value is valid for its length.
    let set = unsafe {
        libc::setsockopt(
            raw.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_QDISC_BYPASS,
            (&raw const yes).cast(),
            u32::try_from(size_of_val(&yes)).unwrap(),
        )
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A frame with these VLAN tags (protocol, tag), outermost first.
pub(crate) fn ethernet(tags: &[(u16, u16)], packet: &[u8]) -> Vec<u8> {
    let mut frame = [MACS[1], MACS[0]].concat();
    for (protocol, tag) in tags {
        frame.extend(protocol.to_be_bytes());
        frame.extend(tag.to_be_bytes());
    }
    frame.extend(if packet[0] >> 4 == 4 { [0x08, 0x00] } else { [0x86, 0xdd] });
    frame.extend(packet);
    frame
}

pub(crate) fn tcp(port: u16, flags: u8, payload: usize) -> Vec<u8> {
    let mut rest = vec![0; 16 + payload];
    rest[8] = 0x50;
    rest[9] = flags;
    ipv4(6, port, &rest)
}

/// A packet from 192.0.2.1 with these bytes behind its ports. Checksums are not made: nobody here judges them.
pub(crate) fn ipv4(protocol: u8, port: u16, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(24 + rest.len()).unwrap();
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    packet.extend(40_000_u16.to_be_bytes());
    packet.extend(port.to_be_bytes());
    packet.extend(rest);
    packet
}

pub(crate) fn ip(arguments: &str) {
    #[expect(clippy::disallowed_methods, reason = "the test sets up its network with the system's own tool")]
    let status = Command::new("ip").args(arguments.split_whitespace()).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}
