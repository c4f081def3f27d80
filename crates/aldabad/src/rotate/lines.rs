//! The lines of a file of keys as text: a new one first, the old ones with an end. Comments stay where they are.

use std::fmt::Write as _;

use aldaba_gate::spa::Timestamp;
use zeroize::Zeroizing;

/// Room for what is added to each line, so that no copy is left behind.
const ROOM: usize = 256;

fn is_key(line: &str) -> bool {
    !matches!(line.trim().as_bytes(), [] | [b'#', ..])
}

/// The dates in front of a key, and the key.
fn parts(line: &str) -> (&str, &str) {
    let line = line.trim();
    line.rsplit_once(|c: char| c.is_ascii_whitespace()).unwrap_or(("", line))
}

fn end(options: &str) -> Option<Timestamp> {
    let value = options.trim().split(',').find_map(|option| option.strip_prefix("not-after="))?;
    aldaba_config::moment(value.trim_matches('"'))
}

fn empty(old: &str) -> Zeroizing<String> {
    let lines = old.lines().count().saturating_add(2);
    Zeroizing::new(String::with_capacity(old.len().saturating_add(lines.saturating_mul(ROOM))))
}

/// With a new key before the others, which end at `until` if not before; those that had ended by `gone` go.
pub(super) fn with_new(old: &str, new: &str, until: Timestamp, gone: Timestamp) -> Zeroizing<String> {
    let mut text = empty(old);
    let mut written = false;
    for line in old.lines() {
        if !is_key(line) {
            push(&mut text, line);
            continue;
        }
        if !written {
            push(&mut text, new.trim());
            written = true;
        }
        let (options, key) = parts(line);
        match end(options) {
            Some(end) if end < gone => {}
            Some(end) if end <= until => push(&mut text, line),
            _ => {
                let kept = options.split(',').map(str::trim);
                let kept = kept.filter(|option| !option.is_empty() && !option.starts_with("not-after="));
                for option in kept {
                    text.push_str(option);
                    text.push(',');
                }
                // Writing to a string cannot fail.
                let _ = writeln!(text, "not-after={} {key}", aldaba_config::moment_text(until));
            }
        }
    }
    text
}

/// With a new key in the place of all others.
pub(super) fn only(old: &str, new: &str) -> Zeroizing<String> {
    let mut text = empty(old);
    for line in old.lines().filter(|line| !is_key(line)) {
        push(&mut text, line);
    }
    push(&mut text, new.trim());
    text
}

/// Without the keys that had ended by `gone`.
pub(super) fn without_ended(old: &str, gone: Timestamp) -> Zeroizing<String> {
    let mut text = empty(old);
    for line in old.lines() {
        if !(is_key(line) && end(parts(line).0).is_some_and(|end| end < gone)) {
            push(&mut text, line);
        }
    }
    text
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        aldaba_config::moment(text).unwrap()
    }

    #[test]
    fn the_new_key_comes_first_and_the_old_one_gets_an_end() {
        let first = with_new("# mine\nold\n", "new\n", at("2027-01-01"), at("2026-06-01"));
        assert_eq!(*first, "# mine\nnew\nnot-after=2027-01-01T00:00:00Z old\n");
        let second = with_new(&first, "newer", at("2027-06-01"), at("2026-06-01"));
        assert_eq!(
            *second,
            "# mine\nnewer\nnot-after=2027-06-01T00:00:00Z new\nnot-after=2027-01-01T00:00:00Z old\n"
        );
        // A rotation that ends sooner takes the others with it; what had ended goes.
        let third = with_new(&second, "newest", at("2027-05-01"), at("2027-02-01"));
        assert_eq!(
            *third,
            "# mine\nnewest\nnot-after=2027-05-01T00:00:00Z newer\nnot-after=2027-05-01T00:00:00Z new\n"
        );
        let kept = with_new("not-before=2026-01-01 old", "new", at("2027-01-01"), at("2026-06-01"));
        assert_eq!(*kept, "new\nnot-before=2026-01-01,not-after=2027-01-01T00:00:00Z old\n");
    }

    #[test]
    fn what_has_ended_goes_and_nothing_else() {
        let text = "# mine\nnew\nnot-after=2027-01-01 old\n";
        assert_eq!(*without_ended(text, at("2026-12-31")), text);
        assert_eq!(*without_ended(text, at("2027-01-02")), "# mine\nnew\n");
        assert_eq!(*only(text, "newest\n"), "# mine\nnewest\n");
    }
}
