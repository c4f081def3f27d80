//! The fields of a message, one behind the other. Little-endian; what follows the last field is zeros.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aldaba_gate::knock::{Outcome, Protocol, Sequence, Step};
use aldaba_gate::spa::{KnockId, Refusal};
use aldaba_gate::{DoorId, KnockAction};

use super::{Malformed, Place, SIZE, Seen};
use crate::control::About;
use crate::counts::{PAGE, PAGES};

/// Outcomes in the order of their numbers, from 1.
const OUTCOMES: [Outcome; 8] = [
    Outcome::Ignored,
    Outcome::Tolerated,
    Outcome::Retransmission,
    Outcome::Broken,
    Outcome::Cancelled,
    Outcome::Started,
    Outcome::Advanced,
    Outcome::Completed,
];

pub(super) struct Writer {
    pub(super) bytes: [u8; SIZE],
    at: usize,
}

impl Writer {
    pub(super) fn new(kind: u8) -> Self {
        Self { bytes: [0; SIZE], at: 0 }.put(&[kind])
    }

    /// All messages of this module fit; what would not is cut, and the reader refuses it.
    pub(super) fn put(mut self, field: &[u8]) -> Self {
        let end = self.at.saturating_add(field.len());
        if let Some(room) = self.bytes.get_mut(self.at..end) {
            room.copy_from_slice(field);
        }
        self.at = end;
        self
    }

    pub(super) fn u8(self, value: u8) -> Self {
        self.put(&[value])
    }

    pub(super) fn u16(self, value: u16) -> Self {
        self.put(&value.to_le_bytes())
    }

    pub(super) fn u32(self, value: u32) -> Self {
        self.put(&value.to_le_bytes())
    }

    pub(super) fn u64(self, value: u64) -> Self {
        self.put(&value.to_le_bytes())
    }

    pub(super) fn i64(self, value: i64) -> Self {
        self.put(&value.to_le_bytes())
    }

    pub(super) fn optional_key(self, key: Option<[u8; 32]>) -> Self {
        self.u8(u8::from(key.is_some())).put(&key.unwrap_or_default())
    }

    pub(super) fn about(self, about: About) -> Self {
        match about {
            About::Id(id) => self.u8(0).put(&id.0),
            About::Address(address) => self.u8(1).address(address),
        }
    }

    pub(super) fn seen(self, seen: &Seen) -> Self {
        let Seen { datagrams, foreign, foreign_age, guard_left } = *seen;
        let age = self.u64(datagrams).u64(foreign).u8(u8::from(foreign_age.is_some()));
        age.u64(foreign_age.unwrap_or_default()).u64(guard_left)
    }

    pub(super) fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => self.u8(4).put(&v4.octets()).put(&[0; 12]),
            IpAddr::V6(v6) => self.u8(6).put(&v6.octets()),
        }
    }

    pub(super) fn socket(self, (address, port): (IpAddr, u16)) -> Self {
        self.address(address).u16(port)
    }

    pub(super) fn outcome(self, outcome: Outcome) -> Self {
        // One that has no number becomes 0, which the reader refuses.
        let number = (1..).zip(OUTCOMES).find(|(_, known)| *known == outcome).map_or(0, |(number, _)| number);
        self.u8(number)
    }

    pub(super) fn refusal(self, refusal: Refusal) -> Self {
        if let Refusal::Clock { offset, used } = refusal {
            return self.u8(0).put(&offset.to_le_bytes()).u8(u8::from(used));
        }
        let number = (1..)
            .zip(Refusal::PLAIN)
            .find(|(_, known)| *known == refusal)
            .map_or(u8::MAX, |(number, _)| number);
        self.u8(number).u64(0).u8(0)
    }

    pub(super) fn place(self, place: Place) -> Self {
        self.u32(place.generation).u32(place.door.0).u8(place.knock)
    }

    pub(super) fn sequence(self, sequence: Option<&Sequence>) -> Self {
        let steps = sequence.map_or(&[][..], Sequence::steps);
        let count = u8::try_from(steps.len()).unwrap_or(u8::MAX);
        steps.iter().fold(self.u8(count), |writer, step| {
            writer.u8(u8::from(step.protocol == Protocol::Udp)).u16(step.port)
        })
    }
}

pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() == SIZE { Ok(Self { rest: bytes }) } else { Err(Malformed) }
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*field)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.take().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.take().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Malformed> {
        self.take().map(i64::from_le_bytes)
    }

    pub(super) fn about(&mut self) -> Result<About, Malformed> {
        Ok(if self.bool()? { About::Address(self.address()?) } else { About::Id(self.knock_id()?) })
    }

    pub(super) fn seen(&mut self) -> Result<Seen, Malformed> {
        let (datagrams, foreign) = (self.u64()?, self.u64()?);
        let (known, age, guard_left) = (self.bool()?, self.u64()?, self.u64()?);
        if !known && age != 0 {
            return Err(Malformed);
        }
        Ok(Seen { datagrams, foreign, foreign_age: known.then_some(age), guard_left })
    }

    pub(super) fn bool(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    pub(super) fn address(&mut self) -> Result<IpAddr, Malformed> {
        let family = self.u8()?;
        let octets: [u8; 16] = self.take()?;
        match (family, octets) {
            (4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) => Ok(Ipv4Addr::new(a, b, c, d).into()),
            (6, octets) => Ok(Ipv6Addr::from(octets).into()),
            _ => Err(Malformed),
        }
    }

    pub(super) fn socket(&mut self) -> Result<(IpAddr, u16), Malformed> {
        Ok((self.address()?, self.u16()?))
    }

    pub(super) fn protocol(&mut self) -> Result<Protocol, Malformed> {
        Ok(if self.bool()? { Protocol::Udp } else { Protocol::Tcp })
    }

    pub(super) fn outcome(&mut self) -> Result<Outcome, Malformed> {
        let number = usize::from(self.u8()?).checked_sub(1).ok_or(Malformed)?;
        OUTCOMES.get(number).copied().ok_or(Malformed)
    }

    pub(super) fn refusal(&mut self) -> Result<Refusal, Malformed> {
        let number = usize::from(self.u8()?);
        let offset = i64::from_le_bytes(self.take()?);
        let used = self.bool()?;
        match number.checked_sub(1) {
            None => Ok(Refusal::Clock { offset, used }),
            Some(index) if offset == 0 && !used => Refusal::PLAIN.get(index).copied().ok_or(Malformed),
            Some(_) => Err(Malformed),
        }
    }

    pub(super) fn knock_id(&mut self) -> Result<KnockId, Malformed> {
        self.take().map(KnockId)
    }

    pub(super) fn optional_key(&mut self) -> Result<Option<[u8; 32]>, Malformed> {
        let known = self.bool()?;
        let key: [u8; 32] = self.take()?;
        if !known && key != [0; 32] { Err(Malformed) } else { Ok(known.then_some(key)) }
    }

    pub(super) fn place(&mut self) -> Result<Place, Malformed> {
        Ok(Place { generation: self.u32()?, door: DoorId(self.u32()?), knock: self.u8()? })
    }

    pub(super) fn action(&mut self) -> Result<KnockAction, Malformed> {
        Ok(if self.bool()? { KnockAction::Close } else { KnockAction::Open })
    }

    pub(super) fn sequence(&mut self) -> Result<Option<Sequence>, Malformed> {
        let count = self.u8()?;
        let steps = (0..count).map(|_| self.step()).collect::<Result<Vec<_>, _>>()?;
        if steps.is_empty() { Ok(None) } else { Sequence::try_from(steps).map(Some).map_err(|_| Malformed) }
    }

    pub(super) fn step(&mut self) -> Result<Step, Malformed> {
        Ok(Step { protocol: self.protocol()?, port: self.u16()? })
    }

    pub(super) fn page(&mut self) -> Result<u8, Malformed> {
        self.u8().and_then(|page| if page < PAGES { Ok(page) } else { Err(Malformed) })
    }

    pub(super) fn values(&mut self) -> Result<[u64; PAGE], Malformed> {
        let mut values = [0; PAGE];
        for value in &mut values {
            *value = self.u64()?;
        }
        Ok(values)
    }

    pub(super) fn name(&mut self) -> Result<String, Malformed> {
        let field: [u8; 32] = self.take()?;
        let end = field.iter().position(|byte| *byte == 0).ok_or(Malformed)?;
        let (name, padding) = field.split_at(end);
        if padding.iter().any(|byte| *byte != 0) {
            return Err(Malformed);
        }
        String::from_utf8(name.to_vec()).map_err(|_| Malformed)
    }

    /// What follows the last field is zeros, so that every message has one spelling.
    pub(super) fn end<T>(self, value: T) -> Result<T, Malformed> {
        if self.rest.iter().all(|byte| *byte == 0) { Ok(value) } else { Err(Malformed) }
    }
}
