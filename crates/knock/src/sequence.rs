//! Steps and sequences as values. Their text form is read in [`crate::grammar`]; spec/knock.md, "Sequences".

use std::fmt;
use std::str::FromStr;

use crate::grammar::{self, SequenceError};

/// The transport protocols a step can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// One port to be hit. Its text form is `7000` for TCP and `7000:udp` for UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Step {
    /// The destination port.
    pub port: u16,
    /// The protocol; a TCP and a UDP port of one number are different steps.
    pub protocol: Protocol,
}

impl Step {
    /// A TCP step.
    #[must_use]
    pub const fn tcp(port: u16) -> Self {
        Self { port, protocol: Protocol::Tcp }
    }

    /// A UDP step.
    #[must_use]
    pub const fn udp(port: u16) -> Self {
        Self { port, protocol: Protocol::Udp }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Protocol::Tcp => write!(f, "{}", self.port),
            Protocol::Udp => write!(f, "{}:udp", self.port),
        }
    }
}

/// Between one and [`Sequence::MAX_STEPS`] steps, to be hit in this order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sequence(Box<[Step]>);

impl Sequence {
    /// How long a sequence can be.
    pub const MAX_STEPS: usize = 32;

    /// The steps, first to last.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{step}")?;
        }
        Ok(())
    }
}

/// Why a list of steps is no sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LengthError {
    /// There are none.
    #[error("a sequence has at least one step")]
    Empty,
    /// There are too many.
    #[error("a sequence has at most {} steps", Sequence::MAX_STEPS)]
    TooLong,
}

impl TryFrom<Vec<Step>> for Sequence {
    type Error = LengthError;

    fn try_from(steps: Vec<Step>) -> Result<Self, LengthError> {
        match steps.len() {
            0 => Err(LengthError::Empty),
            1..=Self::MAX_STEPS => Ok(Self(steps.into_boxed_slice())),
            _ => Err(LengthError::TooLong),
        }
    }
}

impl FromStr for Sequence {
    type Err = SequenceError;

    /// The strict grammar, [`grammar::strict`].
    fn from_str(text: &str) -> Result<Self, SequenceError> {
        grammar::strict(text)
    }
}
