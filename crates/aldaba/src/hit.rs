//! One hit: one connection attempt that is given up at once, or one datagram.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use aldaba_knock::Protocol;
use socket2::{Domain, Socket, Type};

/// What a UDP hit carries. A server looks at the port only; some networks drop empty datagrams.
const DATAGRAM: [u8; 1] = [0];

/// Sends one hit.
///
/// TCP: one initial SYN, since the socket is closed before the kernel would repeat it. A refusal is an answer: the SYN
/// has arrived. Errors are those of this host: no route, no permission.
pub(crate) fn send(to: SocketAddr, protocol: Protocol) -> io::Result<()> {
    match protocol {
        Protocol::Tcp => connection_attempt(to),
        Protocol::Udp => datagram(to),
    }
}

fn connection_attempt(to: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    match socket.connect(&to.into()) {
        Err(error) if !is_under_way(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Whether the SYN has gone out all the same.
fn is_under_way(error: &io::Error) -> bool {
    error.kind() == ErrorKind::ConnectionRefused || is_in_progress(error)
}

/// Whether a connection is being made. "In progress" has no kind of its own in the standard library.
pub(crate) fn is_in_progress(error: &io::Error) -> bool {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted => true,
        #[cfg(unix)]
        _ => error.raw_os_error() == Some(libc::EINPROGRESS),
        #[cfg(not(unix))]
        _ => false,
    }
}

fn datagram(to: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(socket2::Protocol::UDP))?;
    socket.send_to(&DATAGRAM, &to.into()).map(drop)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};

    use std::time::Duration;

    use super::*;
    use crate::clock::pause;

    #[test]
    fn a_datagram_has_one_zero_byte() {
        for local in [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), (Ipv6Addr::LOCALHOST, 0).into()] {
            let server = UdpSocket::bind(local).unwrap();
            server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            send(server.local_addr().unwrap(), Protocol::Udp).unwrap();
            let mut bytes = [9; 16];
            assert_eq!(server.recv(&mut bytes).unwrap(), 1);
            assert_eq!(bytes[0], 0);
        }
    }

    /// The attempt may be given up before a busy host has answered it, so several are made.
    #[test]
    fn an_attempt_reaches_a_listener_and_a_refusal_is_no_error() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        server.set_nonblocking(true).unwrap();
        let address = server.local_addr().unwrap();
        let heard = (0..100).any(|_| {
            send(address, Protocol::Tcp).unwrap();
            pause(Duration::from_millis(10));
            server.accept().is_ok()
        });
        assert!(heard);
        drop(server);
        send(address, Protocol::Tcp).unwrap();
    }
}
