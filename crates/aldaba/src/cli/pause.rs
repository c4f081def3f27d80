//! The pause between two hits, as it is typed: `50ms`, `2s`, or a number of milliseconds as for `knock -d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Longer than most doors wait for the whole sequence.
const LONGEST: Duration = Duration::from_secs(60);

/// How long to wait from one hit to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause(pub(super) Duration);

impl Default for Pause {
    /// Longer than packets overtake each other by on nearly every path, short beside any door's time limit.
    fn default() -> Self {
        Self(Duration::from_millis(50))
    }
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0.as_millis())
    }
}

/// Not a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PauseError {
    #[error("write a time such as 50ms or 2s")]
    Form,
    #[error("the longest pause is one minute")]
    TooLong,
}

impl FromStr for Pause {
    type Err = PauseError;

    fn from_str(text: &str) -> Result<Self, PauseError> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor = match unit {
            _ if number.is_empty() => return Err(PauseError::Form),
            "" | "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            _ => return Err(PauseError::Form),
        };
        let milliseconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        let length = milliseconds.map(Duration::from_millis).filter(|length| *length <= LONGEST);
        length.map(Self).ok_or(PauseError::TooLong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_or_are_milliseconds() {
        for (text, milliseconds) in [("50ms", 50), ("2s", 2000), ("1m", 60_000), ("200", 200), ("0", 0)] {
            assert_eq!(text.parse(), Ok(Pause(Duration::from_millis(milliseconds))), "{text}");
        }
        assert_eq!(Pause::default().to_string().parse(), Ok(Pause::default()));
    }

    #[test]
    fn what_is_no_pause() {
        for text in ["", "ms", "-5", "1.5s", "5 ms", "5h", "5S", "s5"] {
            assert_eq!(text.parse::<Pause>(), Err(PauseError::Form), "{text}");
        }
        for text in ["61s", "60001", "2m", "99999999999999999999s", "18446744073709551615m"] {
            assert_eq!(text.parse::<Pause>(), Err(PauseError::TooLong), "{text}");
        }
    }
}
