//! The channel between two of our processes: whole messages with descriptors beside them (spec/ipc.md).
//!
//! A SEQPACKET socket pair: message borders are the kernel's, the end of the other side is seen, nothing has a name
//! in the file system. Neither side ever waits in here: a full channel is [`Sent::Full`], an empty one
//! [`Received::Nothing`]. What a message means is not known here.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{Errno, FdFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// The longest message in bytes.
pub const LONGEST: usize = 4096;
/// The most descriptors beside one message.
pub const MOST_FDS: usize = 8;
/// The number under which a started role finds its channel.
pub const FD: RawFd = 3;

/// Why a message did not go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Empty (it would read as the end), longer than [`LONGEST`], or with more descriptors than [`MOST_FDS`].
    #[error("a message must have 1 to {LONGEST} bytes and at most {MOST_FDS} descriptors")]
    Size,
    /// The other side is gone.
    #[error("the other side of the channel is gone")]
    Gone,
    /// The kernel refuses.
    #[error("sending over the channel: {0}")]
    Kernel(#[from] Errno),
}

/// Why nothing could be received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// Longer than [`LONGEST`], or more descriptors than [`MOST_FDS`] or than this process may have. All are closed.
    #[error("a message or its descriptors did not fit")]
    Truncated,
    /// The kernel refuses.
    #[error("receiving from the channel: {0}")]
    Kernel(#[from] Errno),
}

/// Why there is no inherited channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InheritError {
    /// Descriptor 3 is not such a socket: this process was not started by the monitor.
    #[error("descriptor {FD} is not a channel")]
    NotAChannel,
    /// It has been taken before.
    #[error("the channel has been taken already")]
    Taken,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Sent {
    /// It is on its way.
    Done,
    /// There is no room: it was not sent.
    Full,
}

/// What came.
#[derive(Debug)]
pub enum Received {
    /// A whole message with all its descriptors, which are closed on exec.
    Message {
        /// Its bytes, at least one.
        bytes: Vec<u8>,
        /// Its descriptors in the order they were sent in.
        fds: Vec<OwnedFd>,
    },
    /// Nothing yet.
    Nothing,
    /// Nothing any more: the other side is gone.
    End,
}

/// One end of a channel.
#[derive(Debug)]
pub struct Channel(OwnedFd);

impl Channel {
    /// Both ends of a new channel, not blocking and closed on exec.
    pub fn pair() -> std::io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self(one), Self(other)))
    }

    /// The end that [`reexec`](crate::reexec) has put at descriptor 3. Once in a process, before anything else is opened.
    pub fn inherited() -> Result<Self, InheritError> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        // SAFETY: only looked at; a number that is not open makes the calls below fail.
        let borrowed = unsafe { BorrowedFd::borrow_raw(FD) };
        let is_channel = rustix::net::sockopt::socket_type(borrowed) == Ok(SocketType::SEQPACKET)
            && rustix::net::sockopt::socket_domain(borrowed) == Ok(AddressFamily::UNIX);
        if !is_channel || rustix::io::fcntl_setfd(borrowed, FdFlags::CLOEXEC).is_err() {
            return Err(InheritError::NotAChannel);
        }
        if TAKEN.swap(true, Ordering::Relaxed) {
            return Err(InheritError::Taken);
        }
        // SAFETY: open, as seen above, and by its number ours alone: whoever started us put it there for this.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(FD) }))
    }

    /// Sends one message with copies of these descriptors.
    pub fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<Sent, SendError> {
        if bytes.is_empty() || bytes.len() > LONGEST || fds.len() > MOST_FDS {
            return Err(SendError::Size);
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(SendError::Size);
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        loop {
            return match rustix::net::sendmsg(&self.0, &[IoSlice::new(bytes)], &mut beside, flags) {
                Ok(_) => Ok(Sent::Done),
                Err(Errno::AGAIN | Errno::NOBUFS) => Ok(Sent::Full),
                Err(Errno::INTR) => continue,
                Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => Err(SendError::Gone),
                Err(error) => Err(error.into()),
            };
        }
    }

    /// Receives one message. One that does not fit is refused whole and its descriptors are closed.
    pub fn receive(&self) -> Result<Received, ReceiveError> {
        let mut bytes = vec![0; LONGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let message = loop {
            match rustix::net::recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut beside, flags) {
                Ok(message) => break message,
                Err(Errno::AGAIN) => return Ok(Received::Nothing),
                // The other side went with something of ours unread.
                Err(Errno::CONNRESET) => return Ok(Received::End),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        let fds = descriptors(&mut beside);
        // The kernel's space for descriptors is rounded up: one more than asked for may fit.
        if message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) || fds.len() > MOST_FDS {
            return Err(ReceiveError::Truncated);
        }
        if message.bytes == 0 {
            return Ok(Received::End);
        }
        bytes.truncate(message.bytes);
        Ok(Received::Message { bytes, fds })
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}

fn descriptors(beside: &mut RecvAncillaryBuffer<'_>) -> Vec<OwnedFd> {
    let mut all = Vec::new();
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            all.extend(fds);
        }
    }
    all
}

#[cfg(test)]
mod tests;
