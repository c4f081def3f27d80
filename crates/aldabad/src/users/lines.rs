//! The lines of `authorized_keys` as text, to take single ones away, change them or add one, and leave all else as it was.
//!
//! What the lines mean is not known here: `aldaba_config` reads them, and every change is read by it before it is made.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::site::Failed;

/// A registry's text.
#[derive(Debug)]
pub(super) struct Registry {
    path: PathBuf,
    text: String,
}

/// A line with a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<'t> {
    /// Its number, from 1.
    pub(super) number: usize,
    /// Its bytes in the text, the end of the line included.
    pub(super) span: Range<usize>,
    /// What stands in front of the key; may be empty.
    pub(super) options: &'t str,
    /// Options, key and name, without blanks around them.
    whole: &'t str,
    /// The key's text and whatever follows it up to a blank.
    key: &'t str,
    /// The rest.
    pub(super) name: &'t str,
}

impl<'t> Line<'t> {
    fn read(number: usize, span: Range<usize>, text: &'t str) -> Option<Self> {
        let whole = text.trim();
        if whole.is_empty() || whole.starts_with('#') {
            return None;
        }
        let options_end = if begins_with_key(whole) { 0 } else { end_of_word(whole) };
        let (options, rest) = whole.split_at(options_end);
        let rest = rest.trim_start();
        let (key, name) = rest.split_at(end_of_word(rest));
        Some(Self { number, span, options, whole, key, name: name.trim() })
    }

    pub(super) const fn key(&self) -> &str {
        self.key
    }

    /// The name up to the slash.
    pub(super) fn user(&self) -> &str {
        self.name.split('/').next().unwrap_or(self.name)
    }

    /// The line with this option, in place of one of its name.
    pub(super) fn with_option(&self, name: &str, value: &str) -> String {
        let same = |option: &&str| option.split('=').next() != Some(name);
        let kept = split(self.options).filter(same);
        let options: Vec<String> = kept.map(str::to_owned).chain([format!("{name}={value}")]).collect();
        let rest = self.whole.get(self.options.len()..).unwrap_or_default().trim_start();
        format!("{} {rest}", options.join(","))
    }

    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.key.eq_ignore_ascii_case(name)
    }
}

impl Registry {
    pub(super) fn read(path: &Path) -> Result<Self, Failed> {
        let bytes = std::fs::read(path).map_err(|error| {
            Failed::new(format!("{}: {error}", path.display()), "run aldabad init, which makes it")
        })?;
        let text = String::from_utf8(bytes).map_err(|_| {
            let what = format!("{} is not UTF-8", path.display());
            Failed::new(what, "aldabad check names the lines: mend them first")
        })?;
        Ok(Self { path: path.to_owned(), text })
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let mut at = 0;
        self.text.split_inclusive('\n').zip(1..).filter_map(move |(text, number)| {
            let span = at..at + text.len();
            at = span.end;
            Line::read(number, span, text)
        })
    }

    /// The only line of this name, user or key.
    pub(super) fn one(&self, name: &str) -> Result<Line<'_>, Failed> {
        let lines = self.called(name);
        match lines.as_slice() {
            [line] => Ok(line.clone()),
            [] => Err(self.nobody(name)),
            many => Err(several(name, many, "say which one")),
        }
    }

    /// The lines of this name or key; where there are none, those of the user.
    pub(super) fn called(&self, name: &str) -> Vec<Line<'_>> {
        let exact: Vec<_> = self.lines().filter(|line| line.is_called(name)).collect();
        if exact.is_empty() { self.of_user(name) } else { exact }
    }

    pub(super) fn of_user(&self, name: &str) -> Vec<Line<'_>> {
        self.lines().filter(|line| line.user() == name).collect()
    }

    /// Nobody is called so.
    pub(super) fn nobody(&self, name: &str) -> Failed {
        let near = self.lines().map(|line| line.name.to_owned()).take(8).collect::<Vec<_>>().join(", ");
        let help = if near.is_empty() {
            "there is nobody yet: aldabad user add NAME".to_owned()
        } else {
            format!("there are: {near}")
        };
        Failed::new(format!("nobody is called {name:?} in {}", self.path.display()), help)
    }

    /// The text with a line more.
    pub(super) fn with_line(&self, line: &str) -> String {
        let end = if self.text.is_empty() || self.text.ends_with('\n') { "" } else { "\n" };
        format!("{}{end}{line}\n", self.text)
    }

    /// The text without these lines.
    pub(super) fn without(&self, lines: &[Line<'_>]) -> String {
        let kept = self.text.split_inclusive('\n').zip(1..);
        kept.filter(|(_, number)| !lines.iter().any(|line| line.number == *number))
            .map(|(text, _)| text)
            .collect()
    }

    /// The text with another line in the place of one.
    pub(super) fn changed(&self, line: &Line<'_>, to: &str) -> String {
        let (before, after) = (self.text.get(..line.span.start), self.text.get(line.span.end..));
        format!("{}{to}\n{}", before.unwrap_or_default(), after.unwrap_or_default())
    }
}

/// More than one line is meant.
pub(super) fn several(name: &str, lines: &[Line<'_>], help: &str) -> Failed {
    let names: Vec<String> =
        lines.iter().map(|line| format!("{} ({})", line.name, short(line.key))).collect();
    Failed::new(format!("{name:?} has {} lines: {}", lines.len(), names.join(", ")), help)
}

/// Enough of a key to tell it from others.
pub(super) fn short(key: &str) -> String {
    let (start, end) = (key.get(..15), key.get(key.len().saturating_sub(6)..));
    match start.zip(end) {
        Some((start, end)) if key.len() > 24 => format!("{start}..{end}"),
        _ => key.to_owned(),
    }
}

fn begins_with_key(text: &str) -> bool {
    text.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("aldaba"))
}

/// Where the first blank outside quotes stands.
fn end_of_word(text: &str) -> usize {
    let mut quoted = false;
    let end = text.find(|c: char| {
        quoted ^= c == '"';
        !quoted && c.is_ascii_whitespace()
    });
    end.unwrap_or(text.len())
}

/// The options between commas outside quotes.
fn split(options: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let parts = options.split(move |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    parts.filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# head\naldaba1aaa alice/laptop\n\n  doors=\"ssh,web\",psk=3 aldaba1bbb alice/phone  \nbind aldaba1ccc bob";

    fn registry(text: &str) -> Registry {
        Registry { path: "keys".into(), text: text.to_owned() }
    }

    fn names<'t>(lines: &[Line<'t>]) -> Vec<&'t str> {
        lines.iter().map(|line| line.name).collect()
    }

    #[test]
    fn lines_are_found_by_name_user_and_key() {
        let registry = registry(TEXT);
        let numbers: Vec<_> = registry.lines().map(|line| (line.number, line.options, line.key)).collect();
        assert_eq!(
            numbers,
            [(2, "", "aldaba1aaa"), (4, "doors=\"ssh,web\",psk=3", "aldaba1bbb"), (5, "bind", "aldaba1ccc")]
        );
        assert_eq!(names(&registry.called("alice/phone")), ["alice/phone"]);
        assert_eq!(names(&registry.called("alice")), ["alice/laptop", "alice/phone"]);
        assert_eq!(names(&registry.called("ALDABA1CCC")), ["bob"]);
        assert!(registry.one("alice").unwrap_err().to_string().contains("say which one"));
        assert!(registry.one("carol").unwrap_err().to_string().contains("there are: alice/laptop"));
    }

    #[test]
    fn changes_leave_everything_else_as_it_was() {
        let registry = registry(TEXT);
        assert_eq!(registry.with_line("x"), format!("{TEXT}\nx\n"));
        assert_eq!(registry.without(&registry.called("alice")), "# head\n\nbind aldaba1ccc bob");
        let phone = registry.one("alice/phone").unwrap();
        let line = phone.with_option("psk", "4");
        assert_eq!(line, "doors=\"ssh,web\",psk=4 aldaba1bbb alice/phone");
        let changed = registry.changed(&phone, &line);
        assert_eq!(
            changed,
            TEXT.replace("  doors=\"ssh,web\",psk=3", "doors=\"ssh,web\",psk=4").replace("phone  ", "phone")
        );
        assert_eq!(registry.one("bob").unwrap().with_option("psk", "1"), "bind,psk=1 aldaba1ccc bob");
        assert_eq!(
            registry.one("alice/laptop").unwrap().with_option("psk", "1"),
            "psk=1 aldaba1aaa alice/laptop"
        );
    }

    #[test]
    fn a_short_key_keeps_both_ends() {
        let key = "aldaba1p74xsnkj3pnmjl62dgk7uh0ce6t5ua4hqx8r7g4pcn8jv7zhpusqdlugg9";
        assert_eq!(short(key), "aldaba1p74xsnkj..dlugg9");
        assert_eq!(short("aldaba1x"), "aldaba1x");
    }
}
