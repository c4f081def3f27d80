//! Gives a connection to ssh, which then needs no relay: `ProxyUseFdpass`.
//!
//! ssh waits at the other end of standard output, a Unix socket, for one byte and the descriptor beside it.

use std::io::{self, IoSlice, stdout};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::AsFd as _;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use socket2::SockRef;

/// Whether standard output is a socket that can carry a descriptor.
pub(crate) fn is_possible() -> bool {
    SockRef::from(&stdout()).local_addr().is_ok_and(|address| address.is_unix())
}

/// Gives it away.
pub(crate) fn hand_over(stream: &TcpStream) -> io::Result<()> {
    let descriptors = [stream.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    if !message.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let sent = rustix::io::retry_on_intr(|| {
        sendmsg(stdout(), &[IoSlice::new(&[0])], &mut message, SendFlags::empty())
    })?;
    if sent == 1 { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}
