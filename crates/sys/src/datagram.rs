//! UDP sockets on the port of single packet authorization.
//!
//! A port without a socket is answered by the kernel (ICMP port unreachable). [`silent`] keeps it quiet while datagrams
//! are captured; one that [`listen`]s is read through an [`Inbox`], and what the kernel does not queue there is counted
//! ([`LossCounter`]).

mod inbox;
mod losses;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

pub use inbox::{AT_ONCE, Inbox};
pub use losses::{LossCounter, Losses};

use crate::capture::attach_program;
use crate::filter::Insn;

/// Classic BPF: the packet is dropped; it passes whole.
const DROP: Insn = Insn { code: 0x06, jt: 0, jf: 0, k: 0 };
const PASS: Insn = Insn { code: 0x06, jt: 0, jf: 0, k: u32::MAX };
/// `A = length of the packet`; `A >= k`; `A > k`.
const LOAD_LENGTH: Insn = Insn { code: 0x80, jt: 0, jf: 0, k: 0 };
const AT_LEAST: u16 = 0x35;
const ABOVE: u16 = 0x25;
/// What a filter sees before the payload.
const UDP_HEADER: u32 = 8;
/// Room for datagrams that wait: what a full-rate flood brings while the worker rests, several times over.
const WAITING: usize = 4 << 20;

/// A socket that takes the port and nothing that arrives there.
pub fn silent(port: u16) -> io::Result<OwnedFd> {
    open(port, &[DROP])
}

/// The same of a socket that listened, whoever else holds it: the port is never without a socket in between.
pub fn make_silent(socket: BorrowedFd<'_>) -> io::Result<()> {
    attach_program(socket, &[DROP])
}

/// A socket that receives datagrams of these lengths and no others.
pub fn listen(port: u16, shortest: usize, longest: usize) -> io::Result<OwnedFd> {
    open(port, &only(shortest, longest))
}

/// The same of a socket that was silent.
pub fn make_listen(socket: BorrowedFd<'_>, shortest: usize, longest: usize) -> io::Result<()> {
    attach_program(socket, &only(shortest, longest))
}

/// What lets datagrams of these lengths pass.
fn only(shortest: usize, longest: usize) -> [Insn; 5] {
    let with_header = |length| u32::try_from(length).unwrap_or(u32::MAX).saturating_add(UDP_HEADER);
    let at_least = Insn { code: AT_LEAST, jt: 0, jf: 2, k: with_header(shortest) };
    let above = Insn { code: ABOVE, jt: 1, jf: 0, k: with_header(longest) };
    [LOAD_LENGTH, at_least, above, PASS, DROP]
}

/// The filter is attached before the port is bound: nothing slips in between.
fn open(port: u16, filter: &[Insn]) -> io::Result<OwnedFd> {
    let both = socket(AddressFamily::INET6).and_then(|socket| {
        sockopt::set_ipv6_v6only(&socket, false)?;
        Ok((socket, SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0))))
    });
    let (socket, address) = match both {
        Ok(both) => both,
        // A kernel without IPv6.
        Err(Errno::AFNOSUPPORT) => {
            let any = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port));
            (socket(AddressFamily::INET)?, any)
        }
        Err(error) => return Err(error.into()),
    };
    attach_program(socket.as_fd(), filter)?;
    // Without CAP_NET_ADMIN the kernel gives less: as much as net.core.rmem_max says.
    if sockopt::set_socket_recv_buffer_size_force(&socket, WAITING).is_err() {
        sockopt::set_socket_recv_buffer_size(&socket, WAITING)?;
    }
    bind(&socket, &address)?;
    Ok(socket)
}

fn socket(family: AddressFamily) -> rustix::io::Result<OwnedFd> {
    socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn free_port() -> u16 {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.local_addr().expect("its address").port()
    }

    fn received(socket: &OwnedFd) -> Vec<usize> {
        let mut lengths = Vec::new();
        let mut inbox = Inbox::new(1400);
        while inbox.receive(socket.as_fd(), |_, payload| lengths.push(payload.len())).expect("received") > 0 {
        }
        lengths
    }

    #[test]
    fn only_datagrams_of_the_right_length_arrive() {
        let port = free_port();
        let socket = listen(port, 144, 1232).expect("a socket");
        let client = UdpSocket::bind("127.0.0.1:0").expect("a client");
        for length in 0..1400 {
            client.send_to(&vec![7; length], ("127.0.0.1", port)).expect("sent");
        }
        assert_eq!(received(&socket), (144..=1232).collect::<Vec<_>>());
    }

    #[test]
    fn a_silent_port_takes_nothing_and_answers_nothing() {
        let port = free_port();
        let socket = silent(port).expect("a socket");
        let client = UdpSocket::bind("127.0.0.1:0").expect("a client");
        client.connect(("127.0.0.1", port)).expect("connected");
        client.set_nonblocking(true).expect("set");
        client.send(&[1; 150]).expect("sent");
        // An unreachable port would be told with the next call.
        assert_eq!(client.send(&[1; 150]).expect("no refusal"), 150);
        assert_eq!(client.recv(&mut [0; 9]).expect_err("nothing").kind(), io::ErrorKind::WouldBlock);
        assert!(received(&socket).is_empty());
    }

    #[test]
    fn a_socket_changes_between_the_two_without_leaving_the_port() {
        let port = free_port();
        let socket = listen(port, 144, 1232).expect("a socket");
        let held = socket.try_clone().expect("another holder");
        let client = UdpSocket::bind("127.0.0.1:0").expect("a client");
        let send = || client.send_to(&[7; 150], ("127.0.0.1", port)).expect("sent");
        make_silent(socket.as_fd()).expect("silent");
        send();
        assert!(received(&held).is_empty());
        make_listen(socket.as_fd(), 144, 1232).expect("listens");
        send();
        client.send_to(&[7; 143], ("127.0.0.1", port)).expect("sent");
        assert_eq!(received(&held), [150]);
    }
}
