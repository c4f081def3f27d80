//! Netlink: messages built and read with every length checked, and a socket that speaks them (netlink(7), RFC 3549).
//!
//! What a family's messages mean is [`route`](crate::route)'s and [`nft`](crate::nft)'s business.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

/// Length of a message's header.
const HEADER: usize = 16;
/// Where its flags stand.
const FLAGS: usize = 6;
/// Everything in a message begins at a multiple of this.
const ALIGNMENT: usize = 4;
/// Marks an attribute that holds attributes.
const NESTED: u16 = 1 << 15;
/// Flags in an attribute's type.
const TYPE_MASK: u16 = 0x3fff;

/// `NLM_F_REQUEST`.
pub(crate) const REQUEST: u16 = 1;
/// `NLM_F_ACK`.
pub(crate) const ACK: u16 = 4;
/// `NLM_F_DUMP`.
pub(crate) const DUMP: u16 = 0x300;
/// `NLM_F_EXCL`.
pub(crate) const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_CREATE`.
pub(crate) const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`.
pub(crate) const APPEND: u16 = 0x800;

/// An opening fits into this, and most questions do: what is sent for a knock grows nowhere on its way.
const USUAL: usize = 256;
/// No datagram of the kernel's is longer.
const LONGEST: usize = 64 << 10;
/// The kernel's answer to a request: success or an errno.
const ERROR: u16 = 2;
/// The end of a dump.
const DONE: u16 = 3;

/// Messages under construction, one behind the other.
#[derive(Debug)]
pub(crate) struct Builder {
    bytes: Vec<u8>,
    start: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self { bytes: Vec::with_capacity(USUAL), start: 0 }
    }
}

impl Builder {
    /// Begins the next message. `fixed` is the family's own header.
    pub(crate) fn message(&mut self, kind: u16, flags: u16, sequence: u32, fixed: &[u8]) {
        self.close();
        self.start = self.bytes.len();
        let (kind, flags, sequence) = (kind.to_ne_bytes(), flags.to_ne_bytes(), sequence.to_ne_bytes());
        for part in [&[0; 4][..], &kind, &flags, &sequence, &[0; 4], fixed] {
            self.bytes.extend_from_slice(part);
        }
        self.align();
    }

    /// Adds an attribute.
    pub(crate) fn put(&mut self, kind: u16, value: &[u8]) {
        self.begin(kind, value.len());
        self.bytes.extend_from_slice(value);
        self.align();
    }

    /// Adds bytes that stand before the attributes of a nested message.
    pub(crate) fn put_bare(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.align();
    }

    /// Adds a number in network order, as netfilter has them.
    pub(crate) fn put_be32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    /// Adds a text with the zero at its end.
    pub(crate) fn put_text(&mut self, kind: u16, text: &str) {
        self.begin(kind, text.len() + 1);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self.align();
    }

    /// Adds an attribute that holds those `fill` adds.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.put(kind | NESTED, &[]);
        fill(self);
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// What was added without a message around it: attributes for another one.
    pub(crate) fn into_attributes(self) -> Vec<u8> {
        self.bytes
    }

    /// All messages, ready to be sent.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.close();
        self.bytes
    }

    /// Has the kernel answer the message under construction also when nothing is wrong.
    pub(crate) fn ask_for_answer(&mut self) {
        let at = self.start + FLAGS;
        if let Some(flags) = self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *flags = (u16::from_ne_bytes(*flags) | ACK).to_ne_bytes();
        }
    }

    /// An attribute's header, before a value of this length.
    fn begin(&mut self, kind: u16, length: usize) {
        let length = u16::try_from(length + ALIGNMENT).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
    }

    fn close(&mut self) {
        if self.start < self.bytes.len() {
            let length = u32::try_from(self.bytes.len() - self.start).unwrap_or(u32::MAX);
            self.bytes[self.start..self.start + 4].copy_from_slice(&length.to_ne_bytes());
        }
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
    }
}

/// One message as received.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) sequence: u32,
    /// The socket whose request this answers or tells of.
    pub(crate) port: u32,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The family's own header and the attributes behind it; `None` if it is too short.
    pub(crate) fn split(&self, fixed: usize) -> Option<(&'a [u8], Attributes<'a>)> {
        let (header, _) = self.body.split_at_checked(fixed)?;
        let rest = self.body.get(fixed.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some((header, Attributes(rest)))
    }

    /// What an acknowledgement says; `None` if it is none.
    fn acknowledged(&self) -> Option<io::Result<()>> {
        if self.kind != ERROR {
            return None;
        }
        let errno = i32::from_ne_bytes(*self.body.first_chunk()?);
        Some(if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno.saturating_neg())) })
    }

    fn is_done(&self) -> bool {
        self.kind == DONE
    }
}

/// The messages in one datagram; ends at the first that is malformed.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
        let message = bytes.get(..length)?;
        let (header, body) = message.split_at_checked(HEADER)?;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let sequence = u32::from_ne_bytes([header[8], header[9], header[10], header[11]]);
        let port = u32::from_ne_bytes([header[12], header[13], header[14], header[15]]);
        bytes = bytes.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some(Message { kind, sequence, port, body })
    })
}

/// Attributes of a message; ends at the first that is malformed.
#[derive(Debug, Clone)]
pub(crate) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Those in these bytes.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The value of the first attribute of this kind.
    pub(crate) fn find(&self, kind: u16) -> Option<&'a [u8]> {
        Iterator::find(&mut self.clone(), |(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// The attributes inside the first one of this kind.
    pub(crate) fn inside(&self, kind: u16) -> Option<Self> {
        self.find(kind).map(Attributes)
    }

    /// A text, without the zero at its end.
    pub(crate) fn text(&self, kind: u16) -> Option<String> {
        let value = self.find(kind)?;
        let value = value.strip_suffix(&[0]).unwrap_or(value);
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// The next attribute, with the flags in its type.
    fn step(&mut self) -> Option<(u16, &'a [u8])> {
        let length = usize::from(u16::from_ne_bytes(*self.0.first_chunk()?));
        let kind = u16::from_ne_bytes(*self.0.get(2..)?.first_chunk()?);
        let value = self.0.get(ALIGNMENT..length)?;
        self.0 = self.0.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some((kind, value))
    }

    /// Whether `other` says all that this says; what it says beyond that must be zeros, which stand for the usual. Of these, only
    /// this one's nested attributes need be marked as such.
    pub(crate) fn is_said_by(&self, other: &Self) -> bool {
        let mut known = Vec::new();
        let mut own = self.clone();
        while let Some((kind, value)) = own.step() {
            let bare = kind & TYPE_MASK;
            known.push(bare);
            let Some(said) = other.find(bare) else { return false };
            let same = if kind & NESTED == 0 {
                value == said
            } else {
                Attributes(value).is_said_by(&Attributes(said))
            };
            if !same {
                return false;
            }
        }
        let mut more = other.clone().filter(|(kind, _)| !known.contains(kind));
        more.all(|(_, value)| value.iter().all(|byte| *byte == 0))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.step().map(|(kind, value)| (kind & TYPE_MASK, value))
    }
}

/// A netlink socket.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// Opens one for this family (`None`: routing), listening to these groups (a mask, so groups 1 to 32).
    pub(crate) fn open(family: Option<Protocol>, groups: u32) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, family)?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self { fd, sequence: 0 })
    }

    /// The number the kernel knows this socket by; messages about what it asked for carry it.
    pub(crate) fn port(&self) -> io::Result<u32> {
        let address = rustix::net::getsockname(&self.fd)?;
        Ok(SocketAddrNetlink::try_from(address)?.pid())
    }

    /// A number for the next request; answers carry it.
    pub(crate) const fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// The last number a run of requests has used.
    pub(crate) const fn skip_to(&mut self, sequence: u32) {
        self.sequence = sequence;
    }

    /// Sends messages to the kernel, all of them or none.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        match rustix::net::send(&self.fd, bytes, SendFlags::empty()) {
            // A table of many doors is longer than a socket's usual buffer.
            Err(Errno::MSGSIZE) => {
                self.make_room_for(bytes.len())?;
                rustix::net::send(&self.fd, bytes, SendFlags::empty())?;
            }
            sent => drop(sent?),
        }
        Ok(())
    }

    /// Beyond the system's limit only with `CAP_NET_ADMIN`.
    fn make_room_for(&self, length: usize) -> io::Result<()> {
        sockopt::set_socket_send_buffer_size_force(&self.fd, length)
            .or_else(|_| sockopt::set_socket_send_buffer_size(&self.fd, length))?;
        Ok(())
    }

    /// One datagram of messages; `None`: nothing there. `ENOBUFS`: some were lost.
    pub(crate) fn receive(&self) -> io::Result<Option<Vec<u8>>> {
        // Not zeroed: most of what comes is an acknowledgement, and one opening hears several.
        let mut bytes = Vec::with_capacity(LONGEST);
        loop {
            match rustix::net::recv(&self.fd, spare_capacity(&mut bytes), RecvFlags::DONTWAIT) {
                Ok(_) => return Ok(Some(bytes)),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Receives until the acknowledgement of this request is in, or the first error. The kernel answers requests before
    /// `send` returns, so there is nothing to wait for.
    pub(crate) fn acknowledged(&self, last: u32) -> io::Result<()> {
        while let Some(bytes) = self.receive()? {
            for message in messages(&bytes) {
                match message.acknowledged() {
                    Some(Err(error)) => {
                        self.drain();
                        return Err(error);
                    }
                    Some(Ok(())) if message.sequence == last => return Ok(()),
                    _ => {}
                }
            }
        }
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the kernel did not answer"))
    }

    /// Hands every message of a dump to `show`.
    pub(crate) fn dump(&self, mut show: impl FnMut(&Message<'_>)) -> io::Result<()> {
        loop {
            let Some(bytes) = self.receive()? else {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the kernel's list ends early"));
            };
            for message in messages(&bytes) {
                if message.is_done() {
                    return Ok(());
                }
                if let Some(answer) = message.acknowledged() {
                    return answer;
                }
                show(&message);
            }
        }
    }

    /// Hands the answers to a run of requests to `show` until the last one is acknowledged; what the kernel says of that one. Those
    /// before it that failed have no answer.
    pub(crate) fn answers(&self, last: u32, mut show: impl FnMut(&Message<'_>)) -> io::Result<()> {
        while let Some(bytes) = self.receive()? {
            for message in messages(&bytes) {
                match message.acknowledged() {
                    Some(answer) if message.sequence == last => return answer,
                    Some(_) => {}
                    None => show(&message),
                }
            }
        }
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the kernel did not answer"))
    }

    fn drain(&self) {
        while let Ok(Some(_)) = self.receive() {}
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut builder = Builder::default();
        builder.message(16, REQUEST, 7, &[1, 2, 3, 4, 5]);
        builder.put_text(1, "abc");
        builder.nest(2, |builder| {
            builder.put_be32(3, 0x0102_0304);
            builder.put(4, &[]);
        });
        builder.message(17, 0, 8, &[]);
        builder.finish()
    }

    #[test]
    fn what_was_built_is_read_again() {
        let bytes = sample();
        let read: Vec<_> = messages(&bytes).collect();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].kind, read[0].sequence, read[1].kind), (16, 7, 17));
        let (fixed, attributes) = read[0].split(5).unwrap();
        assert_eq!(fixed, [1, 2, 3, 4, 5]);
        assert_eq!(attributes.text(1).as_deref(), Some("abc"));
        let inside = attributes.inside(2).unwrap();
        assert_eq!(inside.find(3), Some(&[1, 2, 3, 4][..]));
        assert_eq!(inside.find(4), Some(&[][..]));
        assert_eq!(inside.find(5), None);
    }

    #[test]
    fn what_is_said_beyond_the_same_must_be_the_usual() {
        let said = |flags: Option<u32>, inner: u32| {
            let mut builder = Builder::default();
            builder.nest(1, |nested| nested.put_be32(2, inner));
            if let Some(flags) = flags {
                builder.put_be32(3, flags);
            }
            builder.into_attributes()
        };
        let ours = said(None, 7);
        let agrees = |theirs: &[u8]| Attributes(&ours).is_said_by(&Attributes(theirs));
        assert!(agrees(&said(None, 7)) && agrees(&said(Some(0), 7)));
        assert!(!agrees(&said(Some(1), 7)) && !agrees(&said(None, 8)) && !agrees(&[]));
    }

    #[test]
    fn cut_and_damaged_messages_end_the_list_quietly() {
        let bytes = sample();
        for length in 0..bytes.len() {
            for message in messages(&bytes[..length]) {
                if let Some((_, attributes)) = message.split(5) {
                    attributes.for_each(drop);
                }
            }
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 3, 255] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                let read = messages(&damaged).filter_map(|message| message.split(5));
                // Bounded: every step takes at least a header, or ends.
                assert!(read.flat_map(|(_, attributes)| attributes.take(1000)).count() < 1000);
            }
        }
    }
}
