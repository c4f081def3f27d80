//! Whose a table of aldaba's is: a comment on the first rule of its guard, which the kernel keeps with the rule and `nft` shows.
//!
//! It tells a table that a daemon has left under another name from everybody else's, and is a sum of the table's own name too: so
//! neither another daemon's table has it, nor a copy under a new name that somebody has made of one.

use super::ruleset::{Chain, ChainName, chain};
use super::table::{CHAIN, INPUT, PRIORITY};
use super::{Family, GET_CHAIN, GET_RULE, NEW_RULE, Nft, NftError};
use crate::netlink::DUMP;

/// The attribute of a rule that the kernel keeps and does not read (`NFTA_RULE_USERDATA`).
pub(super) const USERDATA: u16 = 7;
/// What stands in it, as `nft` has it: kind, length, value.
const COMMENT: u8 = 0;
/// How its text begins.
const TEXT: &str = "aldaba ";

/// Who makes tables: of equal ones a table's name alone tells tables apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u64);

impl Mark {
    /// Of whoever has these parts.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        Self(parts.iter().fold(START, |sum, part| add(sum, part)))
    }

    /// It as a number, to be noted.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// One that was noted.
    #[must_use]
    pub const fn noted(number: u64) -> Self {
        Self(number)
    }

    /// The comment in a table of this name, in the kernel's form.
    pub(super) fn comment(self, table: &str) -> Vec<u8> {
        let text = format!("{TEXT}{:016x}\0", add(self.0, table.as_bytes()));
        let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
        [&[COMMENT, length], text.as_bytes()].concat()
    }
}

/// Whether this is the comment of any mark.
pub(super) fn is_any(userdata: &[u8]) -> bool {
    let text = match userdata {
        [COMMENT, length, text @ ..] if usize::from(*length) == text.len() => text,
        _ => return false,
    };
    let digits = text.strip_prefix(TEXT.as_bytes()).and_then(|rest| rest.strip_suffix(b"\0"));
    digits.is_some_and(|digits| digits.len() == 16 && digits.iter().all(u8::is_ascii_hexdigit))
}

/// FNV-1a: no secret, no attacker. Who may write a comment may do anything to the firewall.
const START: u64 = 0xcbf2_9ce4_8422_2325;

/// With its length, so that parts cannot be parted otherwise.
fn add(sum: u64, part: &[u8]) -> u64 {
    let length = u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes();
    let bytes = length.iter().chain(part);
    bytes.fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// A table with a guard such as aldaba's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guarding {
    /// Its name.
    pub table: String,
    /// Whether it has one of the marks asked for: else it is another daemon's, or somebody else's.
    pub is_ours: bool,
}

impl ChainName {
    /// Whether it is the guard of the table of this name, if that is one of aldaba's kind.
    #[must_use]
    pub fn is_guard_of(&self, table: &str) -> bool {
        self.family == Family::Inet.number() && self.table == table && self.chain == CHAIN
    }
}

impl Nft {
    /// All tables that have a guard where aldaba has it.
    pub fn guarding_tables(&mut self, marks: &[Mark]) -> Result<Vec<Guarding>, NftError> {
        let mut tables = Vec::new();
        self.ask(GET_CHAIN, DUMP, Family::Inet, &[], |message| {
            let is_guard = |found: &Chain| found.name.chain == CHAIN && found.hook == Some((INPUT, PRIORITY));
            tables.extend(chain(message).filter(is_guard).map(|found| found.name.table));
        })?;
        let judged = |table: String| {
            let is_ours = self.has_mark(&table, marks)?;
            Ok(Guarding { table, is_ours })
        };
        tables.into_iter().map(judged).collect()
    }

    /// Whether a rule of a table's guard has one of these marks. Others may have put rules before ours.
    pub(super) fn has_mark(&mut self, table: &str, marks: &[Mark]) -> Result<bool, NftError> {
        let comments: Vec<Vec<u8>> = marks.iter().map(|mark| mark.comment(table)).collect();
        let mut found = false;
        self.ask(GET_RULE, DUMP, Family::Inet, &[(1, table), (2, CHAIN)], |message| {
            let rule = message.split(4).filter(|_| message.kind == NEW_RULE).map(|(_, rule)| rule);
            let said = rule.and_then(|rule| rule.find(USERDATA));
            found |= comments.iter().any(|comment| said == Some(comment.as_slice()));
        })?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_of_its_maker_and_its_table() {
        let mark = Mark::of(&[b"/etc/aldaba", &[1]]);
        assert_eq!(mark.comment("aldaba"), Mark::of(&[b"/etc/aldaba", &[1]]).comment("aldaba"));
        assert_ne!(mark.comment("aldaba"), mark.comment("puerta"));
        for other in [&[&b"/etc/aldaba"[..], &[2]][..], &[b"/etc/aldab", b"a\x01"], &[b"/etc/aldaba"]] {
            assert_ne!(mark.comment("aldaba"), Mark::of(other).comment("aldaba"));
        }
        let comment = mark.comment("aldaba");
        assert_eq!((comment[0], usize::from(comment[1]), comment.last()), (0, comment.len() - 2, Some(&0)));
        assert!(is_any(&comment) && (0..comment.len()).all(|length| !is_any(&comment[..length])));
        assert!(!is_any(&[&[COMMENT, 24][..], b"aldaba of the green door"].concat()));
    }
}
