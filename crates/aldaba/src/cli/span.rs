//! How long, as it is typed: `30s`, `10m`, `2h`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Whole seconds, at least one; at most what a datagram can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) u16);

impl Span {
    pub(super) fn duration(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

/// Not a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum SpanError {
    #[error("write a time such as 30s, 10m or 2h")]
    Form,
    #[error("the longest time is 18h")]
    TooLong,
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err(SpanError::Form),
        };
        if number.bytes().all(|byte| byte == b'0') {
            return Err(SpanError::Form);
        }
        let seconds = number.parse::<u16>().ok().and_then(|number| number.checked_mul(factor));
        seconds.map(Self).ok_or(SpanError::TooLong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, seconds) in [("1s", 1), ("90s", 90), ("10m", 600), ("18h", 64_800), ("65535s", 65_535)] {
            assert_eq!(text.parse(), Ok(Span(seconds)), "{text}");
        }
        assert_eq!(Span(600).to_string().parse(), Ok(Span(600)));
        for text in ["", "s", "10", "0s", "00m", "-5s", "1.5h", "5 s", "5d", "5S"] {
            assert_eq!(text.parse::<Span>(), Err(SpanError::Form), "{text}");
        }
        for text in ["19h", "65536s", "99999999999999999999m"] {
            assert_eq!(text.parse::<Span>(), Err(SpanError::TooLong), "{text}");
        }
    }
}
