//! Words of a command line, taken apart and complained about as the C library's `getopt_long` does it.
//!
//! [`lexopt`] does the cutting; what it does not know stands here: long names may be shortened, the wording of each
//! refusal, and `POSIXLY_CORRECT`, with which options end at the first word that is none.

use std::collections::VecDeque;
use std::ffi::OsString;

use lexopt::{Arg, Parser};

/// One option: long name, letter, whether a value follows.
pub(super) type Known = (&'static str, char, bool);

/// What stands next on the command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// An option, by its letter.
    Flag(char),
    /// An option with its value.
    Value(char, String),
    /// Anything else.
    Word(String),
}

/// A command line being read.
#[derive(Debug)]
pub(super) struct Getopt {
    known: &'static [Known],
    parser: Parser,
    words_end_options: bool,
    /// What is left once options have ended.
    rest: VecDeque<OsString>,
}

impl Getopt {
    /// `words`: without the program's name.
    pub(super) fn new(
        known: &'static [Known],
        words: impl IntoIterator<Item = OsString>,
        words_end_options: bool,
    ) -> Self {
        let mut parser = Parser::from_args(words);
        // `-d=5` has the value "=5".
        parser.set_short_equals(false);
        Self { known, parser, words_end_options, rest: VecDeque::new() }
    }

    /// The next item. An error is what to say after the program's name.
    pub(super) fn next(&mut self) -> Result<Option<Item>, String> {
        if let Some(word) = self.rest.pop_front() {
            return Ok(Some(Item::Word(lossy(&word))));
        }
        match self.parser.next().map_err(|error| error.to_string())? {
            None => Ok(None),
            Some(Arg::Short(letter)) => self.short(letter).map(Some),
            Some(Arg::Long(name)) => {
                let name = name.to_owned();
                self.long(&name).map(Some)
            }
            Some(Arg::Value(word)) => {
                if self.words_end_options
                    && let Ok(rest) = self.parser.raw_args()
                {
                    self.rest = rest.collect();
                }
                Ok(Some(Item::Word(lossy(&word))))
            }
        }
    }

    fn short(&mut self, letter: char) -> Result<Item, String> {
        match self.known.iter().find(|(_, known, _)| *known == letter) {
            None => Err(format!("invalid option -- '{letter}'")),
            Some((_, _, false)) => Ok(Item::Flag(letter)),
            Some((_, _, true)) => self.value(letter, || format!("option requires an argument -- '{letter}'")),
        }
    }

    fn long(&mut self, typed: &str) -> Result<Item, String> {
        // A value that waits behind "=" is taken here in any case: no option may find another's.
        let attached = self.parser.optional_value().map(|value| lossy(&value));
        let (name, letter, takes_value) = match self.meant(typed).as_slice() {
            [one] => *one,
            [] => return Err(format!("unrecognized option '--{}'", whole(typed, attached))),
            several => return Err(ambiguous(&whole(typed, attached), several)),
        };
        match (takes_value, attached) {
            (false, None) => Ok(Item::Flag(letter)),
            (false, Some(_)) => Err(format!("option '--{name}' doesn't allow an argument")),
            (true, Some(value)) => Ok(Item::Value(letter, value)),
            (true, None) => self.value(letter, || format!("option '--{name}' requires an argument")),
        }
    }

    /// The options a long name may mean: the one it is, or all it begins.
    fn meant(&self, typed: &str) -> Vec<Known> {
        let exact = self.known.iter().filter(|(name, ..)| *name == typed).copied();
        let begun = self.known.iter().filter(|(name, ..)| name.starts_with(typed)).copied();
        let exact: Vec<Known> = exact.collect();
        if exact.is_empty() { begun.collect() } else { exact }
    }

    fn value(&mut self, letter: char, missing: impl FnOnce() -> String) -> Result<Item, String> {
        self.parser.value().map(|value| Item::Value(letter, lossy(&value))).map_err(|_| missing())
    }
}

/// What is not UTF-8 names no host and no port; that it does not is for the resolver to say.
fn lossy(word: &OsString) -> String {
    word.to_string_lossy().into_owned()
}

fn whole(typed: &str, attached: Option<String>) -> String {
    attached.map_or_else(|| typed.to_owned(), |value| format!("{typed}={value}"))
}

fn ambiguous(typed: &str, several: &[Known]) -> String {
    let names: Vec<String> = several.iter().map(|(name, ..)| format!("'--{name}'")).collect();
    format!("option '--{typed}' is ambiguous; possibilities: {}", names.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Known; 4] =
        [("verbose", 'v', false), ("delay", 'd', true), ("version", 'V', false), ("ver", 'x', false)];

    fn read(words: &[&str], words_end_options: bool) -> Result<String, String> {
        let mut getopt = Getopt::new(&KNOWN, words.iter().map(OsString::from), words_end_options);
        let mut text = Vec::new();
        while let Some(item) = getopt.next()? {
            text.push(match item {
                Item::Flag(letter) => format!("-{letter}"),
                Item::Value(letter, value) => format!("-{letter}({value})"),
                Item::Word(word) => word,
            });
        }
        Ok(text.join(" "))
    }

    #[test]
    fn options_stand_anywhere_and_may_be_shortened() {
        for (words, wanted) in [
            (&["h", "-v", "1", "-d", "5"][..], "h -v 1 -d(5)"),
            (&["-vd5", "--delay=6", "--del", "7", "-d=8"], "-v -d(5) -d(6) -d(7) -d(=8)"),
            (&["--ver", "--verb", "--vers"], "-x -v -V"),
            (&["-d", "-5", "-d", "--", "--delay="], "-d(-5) -d(--) -d()"),
            (&["-", "--", "-v", "--", "--nope"], "- -v -- --nope"),
        ] {
            assert_eq!(read(words, false).as_deref(), Ok(wanted), "{words:?}");
        }
    }

    #[test]
    fn words_may_end_options() {
        assert_eq!(read(&["-v", "h", "-v", "--", "-Z"], true).as_deref(), Ok("-v h -v -- -Z"));
        assert_eq!(read(&["-v", "--", "-v"], true).as_deref(), Ok("-v -v"));
    }

    #[test]
    fn refusals_have_the_c_librarys_words() {
        for (words, wanted) in [
            (&["-Z"][..], "invalid option -- 'Z'"),
            (&["-v="], "invalid option -- '='"),
            (&["-vd"], "option requires an argument -- 'd'"),
            (&["--del"], "option '--delay' requires an argument"),
            (&["--nope=3"], "unrecognized option '--nope=3'"),
            (&["---"], "unrecognized option '---'"),
            (&["--verbose=1"], "option '--verbose' doesn't allow an argument"),
            (&["--vers="], "option '--version' doesn't allow an argument"),
            (&["--ve=1"], "option '--ve=1' is ambiguous; possibilities: '--verbose' '--version' '--ver'"),
        ] {
            assert_eq!(read(words, false), Err(wanted.to_owned()), "{words:?}");
        }
    }
}
