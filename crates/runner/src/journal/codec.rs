//! A record as bytes (spec/leases.md, "Record"): little-endian, strings with their length in front.
//!
//! Decoding trusts nothing: whatever does not read back exactly is damage.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use crate::door::{NftFamily, Style};
use crate::lease::{Held, LeaseId, Owner, Place};
use crate::record::{Entry, Moment, Phase, Record};
use crate::template::Rendered;

const NO_LIMIT: u64 = u64::MAX;

pub(super) fn encode(record: &Record, at: &Moment) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.push(match record.style {
        Style::Native => 0,
        Style::Knockd => 1,
    });
    out.push(match record.phase {
        Phase::Opening => 0,
        Phase::Open => 1,
        Phase::Closing => 2,
    });
    out.push(u8::from(at.boot.is_some()));
    out.extend_from_slice(&at.boot.unwrap_or_default());
    put_number(&mut out, nanoseconds(record.deadline));
    let left = record.deadline.saturating_sub(at.now);
    put_number(&mut out, at.wall.saturating_add(left).as_secs());
    put_number(&mut out, record.seconds);
    put_text(&mut out, &record.door);
    put_address(&mut out, record.address);
    put_owner(&mut out, record.owner);
    put_held(&mut out, &record.held);
    out
}

fn put_held(out: &mut Vec<u8>, held: &Held) {
    match held {
        Held::Command { stop, time_limit } => {
            put_command(out, stop.as_ref());
            put_number(out, time_limit.map_or(NO_LIMIT, nanoseconds));
        }
        Held::Element(Place::Own { door }) => {
            out.push(3);
            put_text(out, door);
        }
        Held::Element(Place::Named { family, table, set }) => {
            out.push(4);
            out.push(match family {
                NftFamily::Inet => 0,
                NftFamily::Ip => 1,
                NftFamily::Ip6 => 2,
            });
            put_text(out, table);
            put_text(out, set);
        }
    }
}

fn put_command(out: &mut Vec<u8>, stop: Option<&Rendered>) {
    match stop {
        None => out.push(0),
        Some(Rendered::Shell(line)) => {
            out.push(1);
            put_text(out, line);
        }
        Some(Rendered::Argv(words)) => {
            out.push(2);
            put_length(out, words.len());
            for word in words {
                put_text(out, word);
            }
        }
    }
}

fn put_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            out.push(4);
            out.extend_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            out.push(6);
            out.extend_from_slice(&address.octets());
        }
    }
}

fn put_owner(out: &mut Vec<u8>, owner: Option<Owner>) {
    out.push(u8::from(owner.is_some()));
    if let Some(Owner(key)) = owner {
        out.extend_from_slice(&key);
    }
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    put_number(out, u64::try_from(length).unwrap_or(u64::MAX));
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// 584 years is for ever here.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(NO_LIMIT)
}

pub(super) fn decode(id: LeaseId, bytes: &[u8]) -> Option<Entry> {
    let mut rest = Rest(bytes);
    let style = match rest.byte()? {
        0 => Style::Native,
        1 => Style::Knockd,
        _ => return None,
    };
    let phase = match rest.byte()? {
        0 => Phase::Opening,
        1 => Phase::Open,
        2 => Phase::Closing,
        _ => return None,
    };
    let known = rest.byte()?;
    let boot = rest.array::<16>()?;
    let boot = (known == 1).then_some(boot);
    let deadline = Duration::from_nanos(rest.number()?);
    let wall_deadline = rest.number()?;
    let seconds = rest.number()?;
    let door = Arc::from(rest.text()?);
    let address = rest.address()?;
    let owner = match rest.byte()? {
        0 => None,
        1 => Some(Owner(rest.array()?)),
        _ => return None,
    };
    let held = rest.held()?;
    let record = Record { id, door, style, address, owner, seconds, held, deadline, phase };
    (known <= 1 && rest.0.is_empty()).then_some(Entry { record, boot, wall_deadline })
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn address(&mut self) -> Option<IpAddr> {
        match self.byte()? {
            4 => Some(Ipv4Addr::from(self.array::<4>()?).into()),
            6 => Some(Ipv6Addr::from(self.array::<16>()?).into()),
            _ => None,
        }
    }

    fn held(&mut self) -> Option<Held> {
        match self.byte()? {
            0 => self.command(None),
            1 => {
                let line = self.text()?.to_owned();
                self.command(Some(Rendered::Shell(line)))
            }
            2 => {
                let count = self.length()?;
                // Collected one by one: a wrong count ends at the end of the bytes, not in a huge allocation.
                let words = (0..count).map(|_| self.text().map(str::to_owned));
                let words = words.collect::<Option<Vec<_>>>()?;
                self.command(Some(Rendered::Argv(words)))
            }
            3 => Some(Held::Element(Place::Own { door: Arc::from(self.text()?) })),
            4 => self.named().map(Held::Element),
            _ => None,
        }
    }

    fn command(&mut self, stop: Option<Rendered>) -> Option<Held> {
        let limit = self.number()?;
        let time_limit = (limit != NO_LIMIT).then(|| Duration::from_nanos(limit));
        Some(Held::Command { stop, time_limit })
    }

    fn named(&mut self) -> Option<Place> {
        let family = match self.byte()? {
            0 => NftFamily::Inet,
            1 => NftFamily::Ip,
            2 => NftFamily::Ip6,
            _ => return None,
        };
        Some(Place::Named { family, table: self.text()?.to_owned(), set: self.text()?.to_owned() })
    }
}
