//! What `/proc/PID/stat` says of a process: pure, and without an allocation, since it is also read in a child that may not make one.

/// Of one process, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// It has ended, and its parent has not taken it yet.
    pub(crate) has_ended: bool,
    /// Whose child it is.
    pub(crate) parent: u32,
    /// When it began, in the kernel's ticks since boot.
    pub(crate) began: u64,
}

impl Stat {
    /// Reads the kernel's line.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        // The name stands in parentheses and may hold anything, parentheses too.
        let name_ends = line.iter().rposition(|byte| *byte == b')')?;
        let mut fields = line.get(name_ends..)?.split(|byte| *byte == b' ').skip(1);
        let has_ended = matches!(fields.next()?, b"Z" | b"X");
        let parent = u32::try_from(number(fields.next()?)?).ok()?;
        let began = number(fields.nth(17)?)?;
        Some(Self { has_ended, parent, began })
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let digit = |value: u64, byte: &u8| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(byte.wrapping_sub(b'0'))),
        _ => None,
    };
    digits.iter().try_fold(0, digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_behind_any_name() {
        let rest = "S 17 3 4 5 -1 6 7 8 9 10 11 12 13 14 20 0 1 0 987654321 99 100\n";
        let wanted = Stat { has_ended: false, parent: 17, began: 987_654_321 };
        for name in ["sh", "a b", ") Z 1 (", "", "a)"] {
            assert_eq!(Stat::parse(format!("12 ({name}) {rest}").as_bytes()), Some(wanted), "{name:?}");
        }
        let zombie = rest.replacen('S', "Z", 1);
        assert!(Stat::parse(format!("12 (sh) {zombie}").as_bytes()).unwrap().has_ended);
    }

    #[test]
    fn what_is_no_such_line_is_refused() {
        for line in ["", "12 (sh", "12 (sh)", "12 (sh) S", "12 (sh) S x 3", "12 (sh) S 1 2 3 4 5 6 7 8 9"] {
            assert_eq!(Stat::parse(line.as_bytes()), None, "{line:?}");
        }
        let too_large = format!("12 (sh) S 1{} 99999999999999999999999 0", " 0".repeat(17));
        assert_eq!(Stat::parse(too_large.as_bytes()), None);
    }
}
