//! Reads sequences: the one parser for configuration, one-time lists and the client. Implements spec/knock.md,
//! "Sequences".
//!
//! [`strict`] takes what is meant and nothing else. [`knockd`] takes everything knockd 0.8 takes and says, with the
//! place, where it had to guess. It reads text only; whether a sequence is a good one is for `scan` and the linter.

use std::ops::Range;

use crate::{Protocol, Sequence, Step};

/// What makes a text no sequence, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct SequenceError {
    /// The bytes of the text that are meant.
    pub span: Range<usize>,
    /// What is wrong with them.
    pub kind: SequenceErrorKind,
}

/// What can be wrong with a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SequenceErrorKind {
    /// Nothing stands where a step should.
    #[error("a step is missing here")]
    EmptyStep,
    /// Not a decimal number.
    #[error("not a port number")]
    NotANumber,
    /// More than 65535.
    #[error("ports end at 65535")]
    PortTooLarge,
    /// No client can be made to hit port 0.
    #[error("port 0 cannot be knocked on")]
    PortZero,
    /// Neither tcp nor udp.
    #[error("unknown protocol, only tcp and udp can be knocked with")]
    UnknownProtocol,
    /// A second colon.
    #[error("a step is PORT or PORT:PROTOCOL, this is too much")]
    FurtherField,
    /// The 33rd step.
    #[error("too many steps, a sequence has at most {}", Sequence::MAX_STEPS)]
    TooManySteps,
}

/// A place where knockd's reading differs from what the text seems to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leniency {
    /// The bytes of the text that are meant.
    pub span: Range<usize>,
    /// In which way they were read.
    pub kind: LeniencyKind,
    /// The port that was understood.
    pub understood: u16,
}

/// The ways in which a text is read as more than it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeniencyKind {
    /// Nothing there: port 0.
    Empty,
    /// No digit where the number should begin: port 0.
    NotANumber,
    /// Port 0, said in so many words.
    PortZero,
    /// What follows the number is dropped.
    TrailingText,
    /// A plus sign.
    PlusSign,
    /// A negative number or one past 32 bits, wrapped around.
    Wrapped,
    /// What follows the protocol is dropped.
    FurtherField,
}

impl std::fmt::Display for LeniencyKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "a step is missing here",
            Self::NotANumber => "not a port number",
            Self::PortZero => "port 0 cannot be knocked on",
            Self::TrailingText => "text after the port number is dropped",
            Self::PlusSign => "a port number has no sign",
            Self::Wrapped => "not between 1 and 65535, wrapped around",
            Self::FurtherField => "text after the protocol is dropped",
        })
    }
}

/// Which of the two grammars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Syntax {
    /// [`strict`].
    Strict,
    /// [`knockd`].
    Knockd,
}

/// Reads `port[:protocol],...`: decimal ports from 1 to 65535, protocols in any case, blanks around any part.
pub fn strict(text: &str) -> Result<Sequence, SequenceError> {
    read(text, Syntax::Strict).map(|(sequence, _)| sequence)
}

/// Reads a sequence as knockd 0.8 does, and lists every place where that takes more than [`strict`] would.
pub fn knockd(text: &str) -> Result<(Sequence, Vec<Leniency>), SequenceError> {
    read(text, Syntax::Knockd)
}

/// Reads one step as the client takes it: `PORT` or `PORT:protocol`, without blanks.
pub fn step(text: &str) -> Result<Step, SequenceError> {
    if let Some(at) = text.find(|c: char| c == ',' || is_blank(c)) {
        return Err(SequenceError { span: at..text.len(), kind: SequenceErrorKind::NotANumber });
    }
    Reader { syntax: Syntax::Strict, leniencies: Vec::new() }.step(Part::whole(text))
}

/// Reads a sequence in the given syntax.
pub fn read(text: &str, syntax: Syntax) -> Result<(Sequence, Vec<Leniency>), SequenceError> {
    let mut reader = Reader { syntax, leniencies: Vec::new() };
    let mut steps = Vec::new();
    for item in Part::whole(text).split(',') {
        if steps.len() >= Sequence::MAX_STEPS {
            return Err(item.trimmed().is(SequenceErrorKind::TooManySteps));
        }
        steps.push(reader.step(item)?);
    }
    // `split` yields at least one item, so only the length limit can stand here, and it was checked.
    let whole = Part::whole(text);
    let sequence = Sequence::try_from(steps).map_err(|_| whole.is(SequenceErrorKind::TooManySteps))?;
    Ok((sequence, reader.leniencies))
}

/// C's `isspace`, which knockd trims with.
const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

/// A piece of the text that knows where it stands.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    text: &'a str,
    start: usize,
}

impl<'a> Part<'a> {
    const fn whole(text: &'a str) -> Self {
        Self { text, start: 0 }
    }

    fn split(self, separator: char) -> impl Iterator<Item = Self> {
        let mut start = self.start;
        self.text.split(separator).map(move |text| {
            let part = Self { text, start };
            start = start.saturating_add(text.len()).saturating_add(separator.len_utf8());
            part
        })
    }

    /// The text before the separator, and what follows it if there is one.
    fn split_once(self, separator: char) -> (Self, Option<Self>) {
        match self.text.split_once(separator) {
            None => (self, None),
            Some((before, after)) => {
                let skipped = before.len().saturating_add(separator.len_utf8());
                let after = Self { text: after, start: self.start.saturating_add(skipped) };
                (Self { text: before, start: self.start }, Some(after))
            }
        }
    }

    fn trimmed(self) -> Self {
        let front = self.text.trim_start_matches(is_blank);
        let start = self.start.saturating_add(self.text.len().saturating_sub(front.len()));
        Self { text: front.trim_end_matches(is_blank), start }
    }

    fn span(self) -> Range<usize> {
        self.start..self.start.saturating_add(self.text.len())
    }

    fn is(self, kind: SequenceErrorKind) -> SequenceError {
        SequenceError { span: self.span(), kind }
    }
}

/// Reads steps and gathers what it let pass.
struct Reader {
    syntax: Syntax,
    leniencies: Vec<Leniency>,
}

impl Reader {
    fn step(&mut self, item: Part<'_>) -> Result<Step, SequenceError> {
        let (port_field, rest) = item.split_once(':');
        let port = match self.syntax {
            Syntax::Strict => strict_port(port_field.trimmed())?,
            Syntax::Knockd => self.knockd_port(port_field.trimmed())?,
        };
        let Some(rest) = rest else {
            return Ok(Step::tcp(port));
        };
        let (protocol_field, further) = rest.split_once(':');
        let protocol = protocol(protocol_field.trimmed())?;
        if let Some(further) = further {
            self.further(further.trimmed(), port)?;
        }
        Ok(Step { port, protocol })
    }

    fn further(&mut self, field: Part<'_>, understood: u16) -> Result<(), SequenceError> {
        if self.syntax == Syntax::Strict {
            return Err(field.is(SequenceErrorKind::FurtherField));
        }
        self.leniencies.push(Leniency { span: field.span(), kind: LeniencyKind::FurtherField, understood });
        Ok(())
    }

    fn knockd_port(&mut self, field: Part<'_>) -> Result<u16, SequenceError> {
        let number = LeadingInteger::of(field.text);
        let understood = number.as_port().ok_or_else(|| field.is(SequenceErrorKind::PortTooLarge))?;
        if let Some(kind) = number.leniency(field.text, understood) {
            self.leniencies.push(Leniency { span: field.span(), kind, understood });
        }
        Ok(understood)
    }
}

fn protocol(field: Part<'_>) -> Result<Protocol, SequenceError> {
    [Protocol::Tcp, Protocol::Udp]
        .into_iter()
        .find(|protocol| field.text.eq_ignore_ascii_case(&protocol.to_string()))
        .ok_or_else(|| field.is(SequenceErrorKind::UnknownProtocol))
}

fn strict_port(field: Part<'_>) -> Result<u16, SequenceError> {
    if field.text.is_empty() {
        return Err(field.is(SequenceErrorKind::EmptyStep));
    }
    if !field.text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(field.is(SequenceErrorKind::NotANumber));
    }
    match field.text.parse::<u16>() {
        Ok(0) => Err(field.is(SequenceErrorKind::PortZero)),
        Ok(port) => Ok(port),
        Err(_) => Err(field.is(SequenceErrorKind::PortTooLarge)),
    }
}

/// The number a text begins with, as C's `atoi` sees it: 64 bits, which stop at their ends, cut to 32.
struct LeadingInteger {
    signed: Option<char>,
    digits: usize,
    value: i64,
}

impl LeadingInteger {
    fn of(text: &str) -> Self {
        let signed = text.chars().next().filter(|c| matches!(c, '+' | '-'));
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let digits = unsigned.bytes().take_while(u8::is_ascii_digit);
        let mut number = Self { signed, digits: 0, value: 0 };
        for digit in digits.map(|byte| i64::from(byte.saturating_sub(b'0'))) {
            let digit = if signed == Some('-') { digit.saturating_neg() } else { digit };
            number.value = number.value.saturating_mul(10).saturating_add(digit);
            number.digits = number.digits.saturating_add(1);
        }
        number
    }

    /// The low 16 bits of the low 32, unless those 32 are a number past the last port.
    fn as_port(&self) -> Option<u16> {
        let [a, b, c, d, ..] = self.value.to_le_bytes();
        let int = i32::from_le_bytes([a, b, c, d]);
        (int <= i32::from(u16::MAX)).then(|| u16::from_le_bytes([a, b]))
    }

    fn leniency(&self, text: &str, understood: u16) -> Option<LeniencyKind> {
        let sign = usize::from(self.signed.is_some());
        if text.is_empty() {
            Some(LeniencyKind::Empty)
        } else if self.digits == 0 {
            Some(LeniencyKind::NotANumber)
        } else if self.value != i64::from(understood) {
            Some(LeniencyKind::Wrapped)
        } else if self.digits.saturating_add(sign) < text.len() {
            Some(LeniencyKind::TrailingText)
        } else if self.value == 0 {
            Some(LeniencyKind::PortZero)
        } else {
            self.signed.map(|_| LeniencyKind::PlusSign)
        }
    }
}

#[cfg(test)]
mod tests;
