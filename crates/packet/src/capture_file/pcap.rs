//! The classic format: one header, then packets of one interface.

use std::time::Duration;

use pcap_parser::nom::Err as Nom;
use pcap_parser::pcap::{
    LegacyPcapBlock, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified, parse_pcap_header,
};

use super::{Cursor, FileError, FileErrorKind, Record, link, wire_len};
use crate::Link;

/// What the file's header says about all packets.
#[derive(Debug, Clone)]
pub(super) struct Header {
    order: Order,
    nanoseconds: bool,
    link: Result<Link, u32>,
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Little,
    Big,
    /// Little, with eight bytes more in each packet's header.
    Modified,
}

impl Header {
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, FileError> {
        let (rest, header) = parse_pcap_header(cursor.rest).map_err(|error| match error {
            Nom::Incomplete(_) => cursor.error(FileErrorKind::Truncated),
            _ => cursor.error(FileErrorKind::NotACapture),
        })?;
        cursor.advance(rest);
        let order = match (header.is_modified_format(), header.is_bigendian()) {
            (true, _) => Order::Modified,
            (false, true) => Order::Big,
            (false, false) => Order::Little,
        };
        // The upper half of the link type tells of check sequences behind each frame; they count as padding.
        let number = header.network.0.cast_unsigned() & 0xFFFF;
        Ok(Self { order, nanoseconds: header.is_nanosecond_precision(), link: link(number) })
    }

    pub(super) fn next<'a>(&self, cursor: &mut Cursor<'a>) -> Result<Option<Record<'a>>, FileError> {
        if cursor.rest.is_empty() {
            return Ok(None);
        }
        let parse = match self.order {
            Order::Little => parse_pcap_frame,
            Order::Big => parse_pcap_frame_be,
            Order::Modified => parse_pcap_frame_modified,
        };
        // The only thing that can be wrong with a packet here is that the file ends in it.
        let (rest, block) = parse(cursor.rest).map_err(|_| cursor.error(FileErrorKind::Truncated))?;
        cursor.advance(rest);
        Ok(Some(self.record(&block)))
    }

    fn record<'a>(&self, block: &LegacyPcapBlock<'a>) -> Record<'a> {
        let fraction = Duration::from_nanos(match u64::from(block.ts_usec) {
            nanoseconds if self.nanoseconds => nanoseconds,
            microseconds => microseconds.saturating_mul(1000),
        });
        Record {
            time: Duration::from_secs(block.ts_sec.into()).saturating_add(fraction),
            interface: 0,
            link: self.link,
            bytes: block.data,
            wire_len: wire_len(block.origlen, block.data),
        }
    }
}
