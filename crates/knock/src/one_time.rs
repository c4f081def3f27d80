//! Lists of sequences that work once each, as text. Implements spec/knock.md, "One-time sequences".
//!
//! A list is read from a file's bytes and says which line is current and which byte to overwrite with `#` once it is
//! used. Reading and writing the file, and the order of that with the start command, are the daemon's.

use std::ops::Range;

use crate::grammar::{self, Leniency, Syntax};
use crate::{Sequence, SequenceError};

/// The byte that marks a line as used, and any comment.
pub const MARK: u8 = b'#';

/// What a file of one-time sequences says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OneTimeList {
    sequences: Vec<Line>,
    problems: Vec<Problem>,
}

/// A line with a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: usize,
    /// Where it starts in the file: the byte to be overwritten when it is used.
    pub offset: usize,
    /// What it says.
    pub sequence: Sequence,
    /// Where that was a guess; spans count from the start of the file.
    pub leniencies: Vec<Leniency>,
}

/// A line that is neither empty, nor a comment, nor a sequence. It is passed over and never written to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: {kind}")]
pub struct Problem {
    /// The line's number, from 1.
    pub number: usize,
    /// What is meant, in bytes from the start of the file.
    pub span: Range<usize>,
    /// What is wrong with it.
    pub kind: ProblemKind,
}

/// Why a line is no sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// The grammar refuses it.
    #[error(transparent)]
    Sequence(crate::SequenceErrorKind),
    /// It is not text.
    #[error("not UTF-8 text")]
    NotText,
}

impl OneTimeList {
    /// Reads a file as knockd 0.8 reads its lines.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        Self::parse_as(bytes, Syntax::Knockd)
    }

    /// Reads a file whose lines follow the given grammar.
    #[must_use]
    pub fn parse_as(bytes: &[u8], syntax: Syntax) -> Self {
        let mut list = Self::default();
        let mut offset = 0_usize;
        for (line, number) in bytes.split(|byte| *byte == b'\n').zip(1..) {
            list.line(line, number, offset, syntax);
            offset = offset.saturating_add(line.len()).saturating_add(1);
        }
        list
    }

    /// The sequence that opens now, and the offset of the byte to be overwritten with [`MARK`] when it has.
    #[must_use]
    pub fn current(&self) -> Option<(Sequence, usize)> {
        self.sequences.first().map(|line| (line.sequence.clone(), line.offset))
    }

    /// All lines still to be used, the current one first.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.sequences
    }

    /// The lines that were passed over although something stands there.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn line(&mut self, line: &[u8], number: usize, offset: usize, syntax: Syntax) {
        let front = line.iter().take_while(|byte| is_blank(**byte)).count();
        let start = offset.saturating_add(front);
        let text = trimmed(line);
        if text.first().is_none_or(|first| *first == MARK) {
            return;
        }
        match sequence(text, syntax) {
            Ok((sequence, leniencies)) => {
                let leniencies = leniencies.iter().map(|found| moved(found, start)).collect();
                self.sequences.push(Line { number, offset, sequence, leniencies });
            }
            Err((span, kind)) => self.problems.push(Problem { number, span: shifted(&span, start), kind }),
        }
    }
}

type Read = Result<(Sequence, Vec<Leniency>), (Range<usize>, ProblemKind)>;

fn sequence(line: &[u8], syntax: Syntax) -> Read {
    let text = str::from_utf8(line).map_err(|_| (0..line.len(), ProblemKind::NotText))?;
    let refused = |error: SequenceError| (error.span, ProblemKind::Sequence(error.kind));
    grammar::read(text, syntax).map_err(refused)
}

fn moved(found: &Leniency, by: usize) -> Leniency {
    Leniency { span: shifted(&found.span, by), ..found.clone() }
}

const fn shifted(span: &Range<usize>, by: usize) -> Range<usize> {
    span.start.saturating_add(by)..span.end.saturating_add(by)
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn trimmed(line: &[u8]) -> &[u8] {
    let mut text = line;
    while let [first, rest @ ..] = text
        && is_blank(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_blank(*last)
    {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests;
