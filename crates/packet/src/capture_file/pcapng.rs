//! The block format: sections with interfaces of their own, each with its link type and clock.
//!
//! Blocks that hold neither packets nor interfaces are passed over unread.

use std::time::Duration;

use pcap_parser::pcapng::{
    Block, InterfaceDescriptionBlock, OptionCode, parse_block_be, parse_block_le, parse_sectionheaderblock,
};

use super::{Cursor, FileError, FileErrorKind, Record, link, wire_len};
use crate::Link;

const SECTION: u32 = 0x0A0D_0D0A;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Type, length, length again.
const LEAST_BLOCK: usize = 12;

/// What is known while the blocks of one section are read.
#[derive(Debug, Clone, Default)]
pub(super) struct Section {
    big_endian: bool,
    interfaces: Vec<Interface>,
}

#[derive(Debug, Clone)]
struct Interface {
    link: Result<Link, u32>,
    snap_len: usize,
    clock: Clock,
}

/// How an interface's time stamps count.
#[derive(Debug, Clone, Copy)]
struct Clock {
    ticks_per_second: u64,
    offset: i64,
}

impl Section {
    /// The state before the first block; checks that it is a section's header.
    pub(super) fn open(cursor: &Cursor<'_>) -> Result<Self, FileError> {
        let mut section = Self::default();
        section.block(&mut cursor.clone())?;
        Ok(section)
    }

    pub(super) fn next<'a>(&mut self, cursor: &mut Cursor<'a>) -> Result<Option<Record<'a>>, FileError> {
        while !cursor.rest.is_empty() {
            if let Some(record) = self.block(cursor)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Reads one block; a packet if it is one.
    fn block<'a>(&mut self, cursor: &mut Cursor<'a>) -> Result<Option<Record<'a>>, FileError> {
        let start = cursor.clone();
        let (kind, block) = self.cut(cursor)?;
        match kind {
            SECTION => self.interfaces.clear(),
            INTERFACE | SIMPLE_PACKET | ENHANCED_PACKET => {
                return self.read(block).map_err(|kind| start.error(kind));
            }
            OBSOLETE_PACKET => return Err(start.error(FileErrorKind::Obsolete)),
            _ => {}
        }
        Ok(None)
    }

    /// Cuts the next block out. A section's header also decides the byte order, its own included.
    fn cut<'a>(&mut self, cursor: &mut Cursor<'a>) -> Result<(u32, &'a [u8]), FileError> {
        let truncated = cursor.error(FileErrorKind::Truncated);
        let malformed = cursor.error(FileErrorKind::Malformed);
        let head: &[u8; LEAST_BLOCK] = cursor.rest.first_chunk().ok_or(truncated)?;
        if head.starts_with(&SECTION.to_be_bytes()) {
            self.big_endian = match head.last_chunk() {
                Some([0x1A, 0x2B, 0x3C, 0x4D]) => true,
                Some([0x4D, 0x3C, 0x2B, 0x1A]) => false,
                _ => return Err(malformed),
            };
        }
        let length = self.number(head.get(4..8)).ok_or(malformed)?;
        let length = usize::try_from(length).map_err(|_| malformed)?;
        if length < LEAST_BLOCK || length & 3 != 0 {
            return Err(malformed);
        }
        let (block, rest) = cursor.rest.split_at_checked(length).ok_or(truncated)?;
        let kind = self.number(block.get(..4)).ok_or(malformed)?;
        let again = self.number(block.last_chunk::<4>().map(<[u8; 4]>::as_slice)).ok_or(malformed)?;
        if usize::try_from(again) != Ok(length)
            || (kind == SECTION && parse_sectionheaderblock(block).is_err())
        {
            return Err(malformed);
        }
        cursor.advance(rest);
        Ok((kind, block))
    }

    fn number(&self, bytes: Option<&[u8]>) -> Option<u32> {
        let bytes = bytes?.try_into().ok()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn read<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Record<'a>>, FileErrorKind> {
        let parsed = if self.big_endian { parse_block_be(bytes) } else { parse_block_le(bytes) };
        let (_, block) = parsed.map_err(|_| FileErrorKind::Malformed)?;
        let (number, ticks, captured, said, bytes) = match block {
            Block::InterfaceDescription(description) => {
                self.interfaces.push(self.interface(&description)?);
                return Ok(None);
            }
            Block::EnhancedPacket(packet) => {
                let ticks = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                (packet.if_id, Some(ticks), packet.caplen, packet.origlen, packet.data)
            }
            Block::SimplePacket(packet) => (0, None, packet.origlen, packet.origlen, packet.data),
            _ => return Err(FileErrorKind::Malformed),
        };
        let place = usize::try_from(number).map_err(|_| FileErrorKind::UnknownInterface)?;
        let interface = self.interfaces.get(place).ok_or(FileErrorKind::UnknownInterface)?;
        let mut captured = usize::try_from(captured).map_err(|_| FileErrorKind::Malformed)?;
        let time = if let Some(ticks) = ticks {
            interface.clock.time(ticks).ok_or(FileErrorKind::Clock)?
        } else {
            // A simple packet has no length of its own: what the interface would have captured of it.
            captured = captured.min(interface.snap_len);
            Duration::ZERO
        };
        let bytes = bytes.get(..captured).ok_or(FileErrorKind::Malformed)?;
        let wire_len = wire_len(said, bytes);
        Ok(Some(Record { time, interface: number, link: interface.link, bytes, wire_len }))
    }

    fn interface(&self, description: &InterfaceDescriptionBlock<'_>) -> Result<Interface, FileErrorKind> {
        let snap_len = match usize::try_from(description.snaplen) {
            Ok(0) | Err(_) => usize::MAX,
            Ok(limit) => limit,
        };
        Ok(Interface {
            link: link(description.linktype.0.cast_unsigned()),
            snap_len,
            clock: self.clock(description).ok_or(FileErrorKind::Clock)?,
        })
    }

    /// Microseconds without offset unless options say otherwise.
    fn clock(&self, description: &InterfaceDescriptionBlock<'_>) -> Option<Clock> {
        let mut clock = Clock { ticks_per_second: 1_000_000, offset: 0 };
        for option in &description.options {
            match (option.code, option.as_bytes().ok()?) {
                (OptionCode::EndOfOpt, _) => break,
                (OptionCode::IfTsresol, [resolution]) => {
                    clock.ticks_per_second = ticks_per_second(*resolution)?;
                }
                (OptionCode::IfTsoffset, offset) => {
                    let offset = offset.try_into().ok()?;
                    clock.offset =
                        if self.big_endian { i64::from_be_bytes(offset) } else { i64::from_le_bytes(offset) };
                }
                _ => {}
            }
        }
        Some(clock)
    }
}

/// A negative power of two if the first bit is set, else of ten.
fn ticks_per_second(resolution: u8) -> Option<u64> {
    let exponent = u32::from(resolution & 0x7F);
    if resolution & 0x80 == 0 { 10u64.checked_pow(exponent) } else { 1u64.checked_shl(exponent) }
}

impl Clock {
    fn time(self, ticks: u64) -> Option<Duration> {
        let seconds = ticks.checked_div(self.ticks_per_second)?.checked_add_signed(self.offset)?;
        let part = u128::from(ticks.checked_rem(self.ticks_per_second)?);
        let nanoseconds = part.checked_mul(1_000_000_000)?.checked_div(self.ticks_per_second.into())?;
        Some(Duration::new(seconds, u32::try_from(nanoseconds).ok()?))
    }
}
