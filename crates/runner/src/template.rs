//! Rendering command templates (spec/leases.md, "Commands").
//!
//! What is put into a command is an [`IpAddr`] or a number that policy has clamped: nothing a client sends can carry a
//! quote, a blank or a path. An argv template knows `{ip}`, `{prefix}` and `{seconds}`, with `{{` and `}}` for the
//! braces themselves; a shell line, which only knockd.conf has, knows `%IP%`. This module starts nothing.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

use crate::door::{PerFamily, Template};

/// A shell line this long after substitution, or longer, is not run (knockd.conf's own limit).
pub const SHELL_LINE_LIMIT: usize = 4096;

/// What is put into a template: nothing else ever is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Substitution {
    /// The client's address.
    pub address: IpAddr,
    /// The length of the lease in whole seconds, rounded up.
    pub seconds: u64,
}

/// A command ready to run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Rendered {
    /// Program and arguments, started without a shell.
    Argv(Vec<String>),
    /// A line for `/bin/sh -c`.
    Shell(String),
}

impl Rendered {
    /// Whether there is nothing to run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Argv(words) => words.is_empty(),
            Self::Shell(line) => line.is_empty(),
        }
    }
}

/// A shell line as it is; the words of an argv separated by blanks, for people only (it is not quoted).
impl fmt::Display for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argv(words) => f.write_str(&words.join(" ")),
            Self::Shell(line) => f.write_str(line),
        }
    }
}

/// A line that is too long after substitution; nothing of the opening is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the command is {SHELL_LINE_LIMIT} bytes or longer with the address put in")]
pub struct TooLong;

/// What is wrong with a template, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct TemplateError {
    /// Which argument, counted from 0 (the program).
    pub argument: usize,
    /// Bytes of that argument.
    pub span: Range<usize>,
    /// What is wrong there.
    pub kind: TemplateErrorKind,
}

/// The ways a template can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateErrorKind {
    /// No program is named.
    #[error("the command is empty: name a program")]
    Empty,
    /// A placeholder nobody knows.
    #[error("unknown placeholder {{{0}}}: there are {{ip}}, {{prefix}} and {{seconds}}")]
    Unknown(String),
    /// A `{` without its `}`.
    #[error("this {{ is never closed: write {{{{ for the brace itself")]
    Unclosed,
    /// A `}` without its `{`.
    #[error("this }} closes nothing: write }}}} for the brace itself")]
    Unopened,
}

impl Template {
    /// Checks the placeholders, so that [`Template::render`] of a checked template leaves none behind.
    ///
    /// A shell line is always right: what is not `%IP%` is the shell's business.
    pub fn check(&self) -> Result<(), TemplateError> {
        let Self::Argv(arguments) = self else {
            return Ok(());
        };
        if arguments.first().is_none_or(String::is_empty) {
            return Err(TemplateError { argument: 0, span: 0..0, kind: TemplateErrorKind::Empty });
        }
        arguments.iter().enumerate().try_for_each(|(argument, text)| check_argument(argument, text))
    }

    /// Puts address and seconds in.
    pub fn render(&self, with: &Substitution) -> Result<Rendered, TooLong> {
        match self {
            Self::Argv(arguments) => {
                Ok(Rendered::Argv(arguments.iter().map(|text| render_argument(text, with)).collect()))
            }
            Self::Shell(line) => {
                let line = line.replace("%IP%", &with.address.to_string());
                if line.len() >= SHELL_LINE_LIMIT { Err(TooLong) } else { Ok(Rendered::Shell(line)) }
            }
        }
    }
}

impl PerFamily {
    /// The template for a client of this address's family.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> Option<&Template> {
        match address {
            IpAddr::V4(_) => self.v4.as_ref(),
            IpAddr::V6(_) => self.v6.as_ref(),
        }
    }
}

/// One piece of an argument.
enum Piece<'a> {
    Literal(char),
    Ip,
    Prefix,
    Seconds,
    Wrong { name: &'a str, kind: Wrong },
}

/// How a piece is wrong.
enum Wrong {
    Unknown,
    Unclosed,
    Unopened,
}

/// The first piece of `rest` and how many bytes it takes; `None` at the end.
fn piece(rest: &str) -> Option<(Piece<'_>, usize)> {
    let first = rest.chars().next()?;
    let found = match first {
        '{' if rest.starts_with("{{") => (Piece::Literal('{'), 2),
        '}' if rest.starts_with("}}") => (Piece::Literal('}'), 2),
        '{' => placeholder(rest),
        '}' => (Piece::Wrong { name: "}", kind: Wrong::Unopened }, 1),
        other => (Piece::Literal(other), other.len_utf8()),
    };
    Some(found)
}

/// The piece at an opening brace.
fn placeholder(rest: &str) -> (Piece<'_>, usize) {
    let Some((name, _)) = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) else {
        return (Piece::Wrong { name: "{", kind: Wrong::Unclosed }, 1);
    };
    let piece = match name {
        "ip" => Piece::Ip,
        "prefix" => Piece::Prefix,
        "seconds" => Piece::Seconds,
        _ => Piece::Wrong { name, kind: Wrong::Unknown },
    };
    (piece, name.len().saturating_add(2))
}

/// Every piece with the bytes it stands at.
fn pieces(text: &str) -> impl Iterator<Item = (Piece<'_>, Range<usize>)> {
    let mut at = 0_usize;
    std::iter::from_fn(move || {
        let (found, length) = piece(text.get(at..)?)?;
        let span = at..at.saturating_add(length);
        at = span.end;
        Some((found, span))
    })
}

fn check_argument(argument: usize, text: &str) -> Result<(), TemplateError> {
    for (found, span) in pieces(text) {
        let Piece::Wrong { name, kind } = found else {
            continue;
        };
        let kind = match kind {
            Wrong::Unknown => TemplateErrorKind::Unknown(name.to_owned()),
            Wrong::Unclosed => TemplateErrorKind::Unclosed,
            Wrong::Unopened => TemplateErrorKind::Unopened,
        };
        return Err(TemplateError { argument, span, kind });
    }
    Ok(())
}

fn render_argument(text: &str, with: &Substitution) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(40));
    for (found, span) in pieces(text) {
        match found {
            Piece::Literal(character) => out.push(character),
            Piece::Ip => out.push_str(&with.address.to_string()),
            Piece::Prefix => out.push_str(if with.address.is_ipv4() { "32" } else { "128" }),
            Piece::Seconds => out.push_str(&with.seconds.to_string()),
            // Configuration refuses these; should one get here, it stays as it was written.
            Piece::Wrong { .. } => out.push_str(text.get(span).unwrap_or_default()),
        }
    }
    out
}

#[cfg(test)]
mod tests;
