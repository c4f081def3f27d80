//! Numbers as knockd reads them: the leading integer of a text, and what was wrong with writing it so.
//!
//! spec/knock.md, "knockd.conf, numbers". Nothing is refused here; the caller says what it thinks of a [`Slip`].

use std::ops::Range;

use super::lines::is_space;

/// What a text says as a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) value: i32,
    /// What nobody should write, if it is written so.
    pub(super) slip: Option<Slip>,
}

/// A number that means something else than it looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slip {
    /// The bytes that do not count, or that make it odd.
    pub(super) span: Range<usize>,
    pub(super) kind: SlipKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlipKind {
    /// Nothing is written.
    Empty,
    /// It does not begin with a digit.
    NotANumber,
    /// Text follows the digits.
    Trailing,
    /// It is below zero.
    Negative,
    /// It does not fit 32 bits and wraps around.
    TooLarge,
}

/// C's `atoi` with a 64-bit `long`: white space, a sign, digits; saturated at 64 bits, then cut to 32.
pub(super) fn number(text: &str) -> Number {
    let body = text.trim_start_matches(|c: char| u8::try_from(c).is_ok_and(is_space));
    let unsigned = body.strip_prefix(['-', '+']).unwrap_or(body);
    let length = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = unsigned.split_at(length);
    let sign: i64 = if body.starts_with('-') { -1 } else { 1 };
    let wide = digits.bytes().fold(0_i64, |sum, digit| {
        sum.saturating_mul(10).saturating_add(sign.saturating_mul(i64::from(digit - b'0')))
    });
    let value = low_half(wide);
    let kind = if text.is_empty() {
        Some(SlipKind::Empty)
    } else if digits.is_empty() {
        Some(SlipKind::NotANumber)
    } else if i64::from(value) != wide {
        Some(SlipKind::TooLarge)
    } else if !rest.is_empty() {
        Some(SlipKind::Trailing)
    } else if value < 0 {
        Some(SlipKind::Negative)
    } else {
        None
    };
    let begin = if kind == Some(SlipKind::Trailing) { text.len() - rest.len() } else { 0 };
    Number { value, slip: kind.map(|kind| Slip { span: begin..text.len(), kind }) }
}

/// The low 32 bits, as a C cast takes them.
fn low_half(wide: i64) -> i32 {
    let [a, b, c, d, ..] = wide.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::{SlipKind, number};

    #[test]
    fn reads_what_atoi_reads() {
        let cases = [
            ("5", 5, None),
            ("0", 0, None),
            ("007", 7, None),
            ("", 0, Some((SlipKind::Empty, 0..0))),
            ("soon", 0, Some((SlipKind::NotANumber, 0..4))),
            ("-", 0, Some((SlipKind::NotANumber, 0..1))),
            ("5 # seconds", 5, Some((SlipKind::Trailing, 1..11))),
            ("5s", 5, Some((SlipKind::Trailing, 1..2))),
            ("1.5", 1, Some((SlipKind::Trailing, 1..3))),
            ("-1", -1, Some((SlipKind::Negative, 0..2))),
            ("+5", 5, None),
            ("2147483647", i32::MAX, None),
            ("4294967301", 5, Some((SlipKind::TooLarge, 0..10))),
            ("99999999999999999999", -1, Some((SlipKind::TooLarge, 0..20))),
            ("-99999999999999999999", 0, Some((SlipKind::TooLarge, 0..21))),
        ];
        for (text, value, slip) in cases {
            let read = number(text);
            assert_eq!(read.value, value, "{text:?}");
            assert_eq!(read.slip.map(|slip| (slip.kind, slip.span)), slip, "{text:?}");
        }
    }
}
