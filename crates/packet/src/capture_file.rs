//! Capture files: pcap (both byte orders, µs and ns) and pcapng, as a pure function of their bytes.
//!
//! Blocks are cut out here, so that a damaged one has a place in the file, and read by `pcap_parser`. A damaged file
//! gives the records before the damage, then one error, then nothing. Packets of interfaces with a link type that
//! [`crate::parse`] does not know are given with its number. Compressed files are not read.

mod pcap;
mod pcapng;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::{Checksum, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Frame, Link};

/// One captured packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// When, since 1970-01-01 UTC; zero where the file does not say (pcapng's simple packets).
    pub time: Duration,
    /// The interface's number in its section of the file.
    pub interface: u32,
    /// What the bytes begin with, or the file's number for it.
    pub link: Result<Link, u32>,
    /// What was captured.
    pub bytes: &'a [u8],
    /// The length on the wire.
    pub wire_len: usize,
}

impl<'a> Record<'a> {
    /// The record as a frame to [`crate::parse`]; `None` if the link type is not known.
    ///
    /// Files do not say which checksums the sender's card had yet to fill in, so the transport's is not held
    /// against a frame.
    #[must_use]
    pub fn frame(&self) -> Option<Frame<'a>> {
        Some(Frame {
            link: self.link.ok()?,
            bytes: self.bytes,
            wire_len: self.wire_len,
            stripped_vlan: None,
            checksum: Checksum::Trusted,
        })
    }
}

/// Why a file cannot be read (further).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {kind}")]
pub struct FileError {
    /// Where the header or block begins that is at fault.
    pub offset: usize,
    /// What is wrong with it.
    pub kind: FileErrorKind,
}

/// What is wrong with a capture file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileErrorKind {
    /// Another kind of file.
    #[error("this is neither a pcap nor a pcapng file")]
    NotACapture,
    /// The file is too short.
    #[error("the file ends inside this record")]
    Truncated,
    /// Lengths or fields that contradict each other.
    #[error("this record is malformed")]
    Malformed,
    /// A packet of an interface that was not described before.
    #[error("this packet names an interface that the file does not describe")]
    UnknownInterface,
    /// A time that cannot be written down.
    #[error("this interface's clock cannot be understood")]
    Clock,
    /// The packet block of old pcapng drafts.
    #[error("this kind of packet block is obsolete; convert the file with editcap -F pcapng")]
    Obsolete,
}

/// Reads the packets of a file in order.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    format: Format,
    cursor: Cursor<'a>,
    failed: bool,
}

#[derive(Debug, Clone)]
enum Format {
    Pcap(pcap::Header),
    Pcapng(pcapng::Section),
}

impl<'a> Reader<'a> {
    /// Reads the file's header.
    pub fn new(file: &'a [u8]) -> Result<Self, FileError> {
        let mut cursor = Cursor { offset: 0, rest: file };
        let format = match file.first_chunk() {
            None => return Err(cursor.error(FileErrorKind::NotACapture)),
            Some([0x0A, 0x0D, 0x0D, 0x0A]) => Format::Pcapng(pcapng::Section::open(&cursor)?),
            Some(_) => Format::Pcap(pcap::Header::read(&mut cursor)?),
        };
        Ok(Self { format, cursor, failed: false })
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Record<'a>, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let record = match &mut self.format {
            Format::Pcap(header) => header.next(&mut self.cursor),
            Format::Pcapng(section) => section.next(&mut self.cursor),
        };
        self.failed = record.is_err();
        record.transpose()
    }
}

/// A place in the file and what follows it.
#[derive(Debug, Clone)]
struct Cursor<'a> {
    offset: usize,
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    const fn error(&self, kind: FileErrorKind) -> FileError {
        FileError { offset: self.offset, kind }
    }

    /// Moves on to `rest`, which is the end of what was left.
    const fn advance(&mut self, rest: &'a [u8]) {
        let passed = self.rest.len().saturating_sub(rest.len());
        self.offset = self.offset.saturating_add(passed);
        self.rest = rest;
    }
}

/// The link of a file's link type (the registry of the file formats, not the kernels' numbers).
const fn link(number: u32) -> Result<Link, u32> {
    Ok(match number {
        0 => Link::Null,
        1 => Link::Ethernet,
        101 => Link::Ip,
        108 => Link::Loop,
        113 => Link::LinuxSll,
        228 => Link::Network { ethertype: ETHERTYPE_IPV4 },
        229 => Link::Network { ethertype: ETHERTYPE_IPV6 },
        276 => Link::LinuxSll2,
        other => return Err(other),
    })
}

/// A length on the wire that is not less than what was captured of it.
fn wire_len(said: u32, captured: &[u8]) -> usize {
    usize::try_from(said).unwrap_or(usize::MAX).max(captured.len())
}
