//! Receiving many datagrams with one system call (recvmmsg(2)), into room that is allocated once.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Datagrams taken with one call.
pub const AT_ONCE: usize = 64;

/// Where senders' addresses are written: as long as any of IPv4 or IPv6.
type Name = libc::sockaddr_in6;

/// Room for datagrams.
#[derive(Debug)]
pub struct Inbox {
    /// One behind the other, `each` long.
    bytes: Vec<u8>,
    each: usize,
}

impl Inbox {
    /// For datagrams of up to `longest` bytes. One that is longer shows one byte more, so that it never passes for its
    /// beginning.
    #[must_use]
    pub fn new(longest: usize) -> Self {
        let each = longest + 1;
        Self { bytes: vec![0; each * AT_ONCE], each }
    }

    /// Shows the datagrams there are, at most [`AT_ONCE`], oldest first, with their senders (of IPv4 as such, whatever the
    /// socket's family); says how many. An error is the network's answer to something: there may be more behind it.
    pub fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        mut show: impl FnMut(IpAddr, &[u8]),
    ) -> io::Result<usize> {
        let mut names = [const { MaybeUninit::<Name>::zeroed() }; AT_ONCE];
        let mut rooms = self.bytes.chunks_exact_mut(self.each);
        let mut parts: [libc::iovec; AT_ONCE] = std::array::from_fn(|_| {
            let room = rooms.next().unwrap_or_default();
            libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() }
        });
        let mut each = names.iter_mut().zip(&mut parts);
        let mut headers: [libc::mmsghdr; AT_ONCE] =
            std::array::from_fn(|_| each.next().map_or_else(no_message, |(name, part)| message(name, part)));
        let count = receive(socket, &mut headers)?;
        for ((header, name), room) in
            headers.iter().zip(&names).zip(self.bytes.chunks_exact(self.each)).take(count)
        {
            let length = usize::try_from(header.msg_len).unwrap_or(usize::MAX);
            // SAFETY: all zeros are an address, and the kernel has written no more than there is room for.
            let name = unsafe { name.assume_init_ref() };
            if let Some(from) = sender(name) {
                show(from, room.get(..length).unwrap_or_default());
            }
        }
        Ok(count)
    }
}

fn receive(socket: BorrowedFd<'_>, headers: &mut [libc::mmsghdr; AT_ONCE]) -> io::Result<usize> {
    let length = libc::c_uint::try_from(headers.len()).map_err(io::Error::other)?;
    let flags = libc::MSG_DONTWAIT;
    // SAFETY: each header points to a name and a part of the lengths it says, alive and not otherwise used meanwhile.
    let count = unsafe {
        libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), length, flags, std::ptr::null_mut())
    };
    match usize::try_from(count) {
        Ok(count) => Ok(count),
        Err(_) => match io::Error::last_os_error() {
            error if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
            error => Err(error),
        },
    }
}

/// A message that has no room.
fn no_message() -> libc::mmsghdr {
    // SAFETY: numbers and pointers, for which all zeros are values.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

fn message(name: &mut MaybeUninit<Name>, part: &mut libc::iovec) -> libc::mmsghdr {
    let mut message = no_message();
    message.msg_hdr.msg_name = name.as_mut_ptr().cast();
    message.msg_hdr.msg_namelen = libc::socklen_t::try_from(size_of::<Name>()).unwrap_or_default();
    message.msg_hdr.msg_iov = part;
    message.msg_hdr.msg_iovlen = 1;
    message
}

/// Who sent it; `None` for an address that is of neither family.
fn sender(name: &Name) -> Option<IpAddr> {
    match libc::c_int::from(name.sin6_family) {
        libc::AF_INET6 => Some(IpAddr::from(Ipv6Addr::from(name.sin6_addr.s6_addr)).to_canonical()),
        // Family and port stand at the same places; the address follows, where the other has its flow.
        libc::AF_INET => Some(IpAddr::from(name.sin6_flowinfo.to_ne_bytes())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd as _;

    use super::*;

    /// A socket with its port, and one that sends to it.
    fn pair(address: &str) -> (UdpSocket, UdpSocket) {
        let socket = UdpSocket::bind((address, 0)).expect("a socket");
        let client = UdpSocket::bind((address, 0)).expect("a client");
        client.connect(socket.local_addr().expect("its address")).expect("connected");
        (socket, client)
    }

    /// Bytes from which the number can be told.
    fn datagram(number: usize) -> Vec<u8> {
        (0..100 + number).map(|at| u8::try_from((at * 7 + number) % 251).expect("small")).collect()
    }

    fn all(inbox: &mut Inbox, socket: &UdpSocket) -> (Vec<(IpAddr, Vec<u8>)>, Vec<usize>) {
        let (mut shown, mut counts) = (Vec::new(), Vec::new());
        loop {
            let show = |from, bytes: &[u8]| shown.push((from, bytes.to_vec()));
            match inbox.receive(socket.as_fd(), show).expect("received") {
                0 => return (shown, counts),
                count => counts.push(count),
            }
        }
    }

    #[test]
    fn many_at_once_are_what_they_are_one_by_one() {
        for address in ["127.0.0.1", "::1"] {
            let (socket, client) = pair(address);
            let (alone, to_alone) = pair(address);
            alone.set_nonblocking(true).expect("set");
            for number in 0..150 {
                client.send(&datagram(number)).expect("sent");
                to_alone.send(&datagram(number)).expect("sent");
            }
            let mut buffer = [0; 400];
            let one_by_one: Vec<_> = std::iter::from_fn(|| {
                let (length, from) = alone.recv_from(&mut buffer).ok()?;
                Some((from.ip(), buffer[..length].to_vec()))
            })
            .collect();
            let mut inbox = Inbox::new(400);
            let (shown, counts) = all(&mut inbox, &socket);
            assert_eq!((one_by_one.len(), counts), (150, vec![64, 64, 22]));
            assert_eq!(shown, one_by_one);
            // And again, after longer ones were there.
            client.send(&[9]).expect("sent");
            assert_eq!(all(&mut inbox, &socket).0, [(address.parse().expect("an address"), vec![9])]);
        }
    }

    #[test]
    fn ipv4_through_a_socket_of_ipv6_is_ipv4_and_a_long_one_is_longer_than_the_longest() {
        let both = super::super::listen(0, 0, 2000).expect("a socket");
        let socket = UdpSocket::from(both);
        let client = UdpSocket::bind("127.0.0.1:0").expect("a client");
        let port = socket.local_addr().expect("its address").port();
        for length in [0, 10, 11, 500] {
            client.send_to(&vec![7; length], ("127.0.0.1", port)).expect("sent");
        }
        let here: IpAddr = "127.0.0.1".parse().expect("an address");
        let (shown, _) = all(&mut Inbox::new(10), &socket);
        let shown: Vec<_> = shown.into_iter().map(|(from, bytes)| (from, bytes.len())).collect();
        assert_eq!(shown, [0, 10, 11, 11].map(|length| (here, length)));
    }

    #[test]
    fn it_allocates_nothing() {
        let (socket, client) = pair("127.0.0.1");
        let mut inbox = Inbox::new(400);
        for number in 0..100 {
            client.send(&datagram(number)).expect("sent");
        }
        let mut seen = 0;
        let cost = allocation_counter::measure(|| {
            while inbox
                .receive(socket.as_fd(), |_, bytes| seen += usize::from(!bytes.is_empty()))
                .is_ok_and(|count| count > 0)
            {}
        });
        assert_eq!((seen, cost.count_total), (100, 0));
    }
}
