//! The bytes of a knockd.conf as lines: what is a section, a directive, or nothing.
//!
//! spec/knock.md, "knockd.conf, lines". A line is at most [`LONGEST_LINE`] bytes with its newline; what is over is
//! the next line, as it is for the original. White space is what C's `isspace` says, so a carriage return is some.

use std::ops::Range;

/// Bytes of a line, its newline included; the rest of a longer one is read as a line of its own.
pub(super) const LONGEST_LINE: usize = 4095;

/// A line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number as knockd counts: pieces of an overlong line count singly.
    pub(super) number: usize,
    /// From its first to its last byte that is not white space.
    pub(super) span: Range<usize>,
    /// Whether it is the rest of an overlong line.
    pub(super) is_rest: bool,
    /// Where a NUL byte ends it early, if one does.
    pub(super) nul: Option<usize>,
    pub(super) item: Item,
}

/// What a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// `[name]`: the name, not trimmed.
    Section(Range<usize>),
    /// `key = value`, both trimmed; a word alone has no value.
    Directive { key: Range<usize>, value: Option<Range<usize>> },
}

/// All lines that are neither empty nor comments.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = Line> + '_ {
    let mut at = 0;
    let mut is_rest = false;
    let mut number = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let piece = at..piece_end(bytes, at);
            let was_rest = is_rest;
            is_rest = bytes.get(piece.end.saturating_sub(1)) != Some(&b'\n');
            at = piece.end;
            number += 1;
            if let Some(line) = line(bytes, piece, number, was_rest) {
                return Some(line);
            }
        }
        None
    })
}

/// Where the piece that begins at `at` ends: after its newline, at the limit, or with the file.
fn piece_end(bytes: &[u8], at: usize) -> usize {
    let limit = at.saturating_add(LONGEST_LINE).min(bytes.len());
    let piece = bytes.get(at..limit).unwrap_or_default();
    piece.iter().position(|&byte| byte == b'\n').map_or(limit, |newline| at + newline + 1)
}

fn line(bytes: &[u8], piece: Range<usize>, number: usize, is_rest: bool) -> Option<Line> {
    let text = bytes.get(piece.clone())?;
    let nul = text.iter().position(|&byte| byte == 0).map(|offset| piece.start + offset);
    let span = trim(bytes, piece.start..nul.unwrap_or(piece.end));
    let first = bytes.get(span.clone())?.first()?;
    if *first == b'#' {
        return None;
    }
    let item = item(bytes, span.clone());
    Some(Line { number, span, is_rest, nul, item })
}

fn item(bytes: &[u8], span: Range<usize>) -> Item {
    let text = bytes.get(span.clone()).unwrap_or_default();
    if let [b'[', name @ .., b']'] = text {
        return Item::Section(span.start + 1..span.start + 1 + name.len());
    }
    match text.iter().position(|&byte| byte == b'=') {
        None => Item::Directive { key: span, value: None },
        Some(equals) => {
            let equals = span.start + equals;
            Item::Directive {
                key: trim(bytes, span.start..equals),
                value: Some(trim(bytes, equals + 1..span.end)),
            }
        }
    }
}

/// The range without white space at its ends; of nothing but white space its end remains.
fn trim(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let text = bytes.get(range.clone()).unwrap_or_default();
    let Some(first) = text.iter().position(|&byte| !is_space(byte)) else { return range.end..range.end };
    let last = text.iter().rposition(|&byte| !is_space(byte)).unwrap_or(first);
    range.start + first..range.start + last + 1
}

/// C's `isspace` in the C locale.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests;
