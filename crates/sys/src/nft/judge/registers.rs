//! What is known of the bytes that a rule has loaded, and what comparing them comes to.

use super::{data, number};
use crate::netlink::Attributes;

/// Registers are made of words; the first four names are of four words each (`NFT_REG_1`, `NFT_REG32_00`).
const WORD: usize = 4;
const LONG: usize = 16;
const FIRST_WORD: u32 = 8;
const ALL: usize = 64;
/// The verdict's register.
pub(super) const VERDICT: u32 = 0;

/// What is known of one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Byte {
    Known(u8),
    /// Of a source address: one that no rule is meant for.
    Stranger,
    /// Of an interface or an address of this host's that is not the loopback device's.
    Outside,
    /// Drawn anew for every packet: sooner or later it is any.
    Drawn,
    Unknown,
}

/// Whether a rule is meant. Of two that must both hold the lesser counts, of two of which one must, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Match {
    No,
    /// For single sources: not for a stranger.
    Named,
    /// More would have to be known.
    Maybe,
    /// For one packet of several.
    Sometimes,
    /// For all but single sources: for a stranger too.
    Unnamed,
    Yes,
}

impl Match {
    pub(super) const fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    pub(super) const fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Named => Self::Unnamed,
            Self::Unnamed => Self::Named,
            Self::Yes => Self::No,
            unsure => unsure,
        }
    }

    pub(super) const fn but_if(self, inverted: bool) -> Self {
        if inverted { self.not() } else { self }
    }

    /// Whether it is meant for a stranger.
    pub(super) fn is_sure(self) -> bool {
        self >= Self::Unnamed
    }
}

/// A number as the kernel keeps its own.
pub(super) fn known(bytes: &[u8]) -> Vec<Byte> {
    bytes.iter().copied().map(Byte::Known).collect()
}

/// What a rule has loaded.
pub(super) struct Registers([Byte; ALL]);

impl Registers {
    pub(super) const fn new() -> Self {
        Self([Byte::Unknown; ALL])
    }

    /// Something that is not understood was loaded, wherever that is.
    pub(super) const fn forget(&mut self) {
        self.0 = [Byte::Unknown; ALL];
    }

    /// What is shorter than its last word is filled up with zeros.
    pub(super) fn load(&mut self, register: Option<u32>, value: &[Byte]) {
        let whole = value.len().next_multiple_of(WORD);
        let Some(to) = register.and_then(place).and_then(|at| self.0.get_mut(at..)?.get_mut(..whole)) else {
            return;
        };
        to.fill(Byte::Known(0));
        to.iter_mut().zip(value).for_each(|(to, byte)| *to = *byte);
    }

    pub(super) fn read(&self, register: Option<u32>, length: usize) -> Option<&[Byte]> {
        self.0.get(place(register?)?..)?.get(..length)
    }

    /// `bitwise`: a mask, and bits that are turned round.
    pub(super) fn mask(&mut self, parts: &Attributes<'_>) {
        let (mask, turn) = (data(parts, 4), data(parts, 5));
        let masked = mask.zip(turn).filter(|(mask, turn)| mask.len() == turn.len());
        let masked = masked.and_then(|(mask, turn)| {
            let value = self.read(number(parts, 1), mask.len())?;
            Some(
                value
                    .iter()
                    .zip(mask.iter().zip(turn))
                    .map(|(byte, bits)| masked_byte(*byte, bits))
                    .collect(),
            )
        });
        // Shifts, and what is combined with another register.
        let masked: Vec<Byte> = masked.unwrap_or_else(|| vec![Byte::Unknown; LONG]);
        self.load(number(parts, 2), &masked);
    }

    /// `byteorder`: each number in it of a size is turned round, where the host's order is not the network's.
    pub(super) fn turn(&mut self, parts: &Attributes<'_>) {
        let size =
            |kind| number(parts, kind).and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0);
        let value = size(4).and_then(|length| self.read(number(parts, 1), length)).map(<[Byte]>::to_vec);
        let mut value = value.unwrap_or_else(|| vec![Byte::Unknown; LONG]);
        if cfg!(target_endian = "little") {
            value.chunks_exact_mut(size(5).unwrap_or(1)).for_each(<[Byte]>::reverse);
        }
        self.load(number(parts, 2), &value);
    }

    pub(super) fn compare(&self, parts: &Attributes<'_>) -> Match {
        let (Some(operator), Some(wanted)) = (number(parts, 2), data(parts, 3)) else { return Match::Maybe };
        let Some(value) = self.read(number(parts, 1), wanted.len()) else { return Match::Maybe };
        match operator {
            0 => equal(value, wanted),
            1 => equal(value, wanted).not(),
            _ => in_order(value, |value| match operator {
                2 => value < wanted,
                3 => value <= wanted,
                4 => value > wanted,
                _ => value >= wanted,
            }),
        }
    }

    pub(super) fn range(&self, parts: &Attributes<'_>) -> Match {
        let (Some(from), Some(to)) = (data(parts, 3), data(parts, 4)) else { return Match::Maybe };
        let Some(value) = self.read(number(parts, 1), from.len()) else { return Match::Maybe };
        within(value, from, to).but_if(number(parts, 2) != Some(0))
    }
}

/// Where a register begins.
fn place(register: u32) -> Option<usize> {
    let (number, length) = match register {
        VERDICT => return None,
        1..FIRST_WORD => (register.checked_sub(1)?, LONG),
        _ => (register.checked_sub(FIRST_WORD)?, WORD),
    };
    usize::try_from(number).ok()?.checked_mul(length)
}

fn masked_byte(byte: Byte, (mask, turn): (&u8, &u8)) -> Byte {
    match (byte, mask) {
        (Byte::Known(byte), _) => Byte::Known(byte & mask ^ turn),
        (_, 0) => Byte::Known(*turn),
        (unsure, _) => unsure,
    }
}

/// Whether these bytes are the wanted ones.
pub(super) fn equal(value: &[Byte], wanted: &[u8]) -> Match {
    if is_loopback(value, wanted) {
        return Match::No;
    }
    let bytes = value.iter().zip(wanted).map(|(byte, wanted)| match byte {
        Byte::Known(byte) => Match::of(byte == wanted),
        Byte::Stranger => Match::Named,
        Byte::Drawn => Match::Sometimes,
        Byte::Outside | Byte::Unknown => Match::Maybe,
    });
    bytes.min().unwrap_or(Match::Yes)
}

/// Whether what is of no loopback device would have to be: by name, by number, by address.
fn is_loopback(value: &[Byte], wanted: &[u8]) -> bool {
    const ADDRESS: [u8; 16] = std::net::Ipv6Addr::LOCALHOST.octets();
    let outside = value.iter().zip(wanted).skip_while(|(byte, _)| **byte != Byte::Outside);
    let wanted: Vec<u8> =
        outside.map_while(|(byte, wanted)| (*byte == Byte::Outside).then_some(*wanted)).collect();
    wanted.starts_with(b"lo\0")
        || wanted == 1_u32.to_ne_bytes()
        || wanted.first() == Some(&127)
        || wanted == ADDRESS
}

/// Whether bytes stand in a range; both ends are in it.
pub(super) fn within(value: &[Byte], from: &[u8], to: &[u8]) -> Match {
    if from == to { equal(value, from) } else { in_order(value, |value| (from..=to).contains(&value)) }
}

/// What follows from the order of bytes, if all are known.
fn in_order(value: &[Byte], holds: impl FnOnce(&[u8]) -> bool) -> Match {
    if value.contains(&Byte::Stranger) {
        return Match::Named;
    }
    let bytes: Option<Vec<u8>> =
        value.iter().map(|byte| if let Byte::Known(byte) = byte { Some(*byte) } else { None }).collect();
    match bytes {
        Some(bytes) => Match::of(holds(&bytes)),
        None if value.contains(&Byte::Drawn) => Match::Sometimes,
        None => Match::Maybe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_is_seen_by_all_its_names() {
        let mut registers = Registers::new();
        registers.load(Some(1), &known(&[6]));
        registers.load(Some(9), &known(&[8, 253]));
        assert_eq!(registers.read(Some(1), 8).unwrap(), known(&[6, 0, 0, 0, 8, 253, 0, 0]));
        assert_eq!(registers.read(Some(8), 4).unwrap(), known(&[6, 0, 0, 0]));
        registers.load(Some(4), &known(&[7]));
        assert_eq!(registers.read(Some(20), 1).unwrap(), known(&[7]));
        registers.load(Some(23), &known(&[1, 2, 3, 4, 5]));
        assert_eq!(registers.read(Some(23), 4).unwrap(), [Byte::Unknown; 4], "there is no room for it");
        assert!(registers.read(Some(24), 1).is_none() && registers.read(Some(0), 1).is_none());
    }

    #[test]
    fn one_byte_that_differs_outweighs_all_that_is_not_known() {
        use Byte::{Drawn, Known, Outside, Stranger, Unknown};
        let of = |value: &[Byte]| equal(value, &[1, 2]);
        assert_eq!(of(&[Known(1), Known(2)]), Match::Yes);
        assert_eq!(of(&[Unknown, Known(3)]), Match::No);
        assert_eq!(of(&[Unknown, Known(2)]), Match::Maybe);
        assert_eq!(of(&[Stranger, Unknown]), Match::Named);
        assert_eq!(of(&[Known(1), Drawn]), Match::Sometimes);
        assert_eq!(of(&[Outside, Outside]), Match::Maybe);
        assert_eq!(equal(&[Outside, Known(0)], &[127, 0]), Match::No);
        assert_eq!(equal(&[Outside, Outside, Outside], b"lo\0"), Match::No);
        assert_eq!(Match::Named.not(), Match::Unnamed);
        assert_eq!(within(&[Known(1), Known(9)], &[1, 2], &[2, 0]), Match::Yes);
        assert_eq!(within(&[Stranger, Known(9)], &[1, 2], &[2, 0]), Match::Named);
    }
}
