//! What `knock` was asked to do.

use std::ffi::OsString;
use std::time::Duration;

use aldaba_knock::Protocol;

use super::getopt::{Getopt, Item, Known};
use crate::resolve::Family;

/// What `knock` was asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Knock.
    Knock(Options),
    /// Print the version.
    Version,
    /// Print the usage; with what was wrong, if anything was.
    Usage(Option<String>),
    /// Say this and nothing else.
    Refused(String),
}

/// A knock to be.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Options {
    pub host: String,
    pub targets: Vec<Target>,
    pub family: Family,
    pub delay: Duration,
    pub verbose: bool,
}

/// One hit to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// As it was typed.
    pub port: String,
    pub protocol: Protocol,
    /// The protocol that was asked for and does not exist.
    pub unknown: Option<String>,
}

/// In the order in which an ambiguous beginning lists them.
const KNOWN: [Known; 7] = [
    ("verbose", 'v', false),
    ("udp", 'u', false),
    ("delay", 'd', true),
    ("help", 'h', false),
    ("version", 'V', false),
    ("ipv4", '4', false),
    ("ipv6", '6', false),
];

/// The usage text.
pub(super) const USAGE: &str = "usage: knock [options] <host> <port[:proto]> [port[:proto]] ...
options:
  -u, --udp            make all ports hits use UDP (default is TCP)
  -d, --delay <t>      wait <t> milliseconds between port hits
  -4, --ipv4           Force usage of IPv4
  -6, --ipv6           Force usage of IPv6
  -v, --verbose        be verbose
  -V, --version        display version
  -h, --help           this help

example:  knock myserver.example.com 123:tcp 456:udp 789:tcp

";

/// The longest pause, in milliseconds: what fits the original's number.
const LONGEST: u32 = i32::MAX.unsigned_abs();

/// Reads a command line; `posixly_correct`: options end at the first word that is none.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>, posixly_correct: bool) -> Asked {
    let mut arguments = arguments.into_iter();
    let program = arguments.next().map_or_else(|| "knock".to_owned(), |name| name.to_string_lossy().into());
    let getopt = Getopt::new(&KNOWN, arguments, posixly_correct);
    read(getopt, &program).unwrap_or_else(|ended| ended)
}

/// The error is what to do instead of knocking.
fn read(mut getopt: Getopt, program: &str) -> Result<Asked, Asked> {
    let mut options = Options::default();
    let mut udp = false;
    let mut delay_text = String::new();
    let mut words: Vec<String> = Vec::new();
    while let Some(item) = getopt.next().map_err(|wrong| Asked::Usage(Some(format!("{program}: {wrong}"))))? {
        match item {
            Item::Word(word) => words.push(word),
            Item::Value(_, value) => delay_text = value,
            Item::Flag('u') => udp = true,
            Item::Flag('4') => options.family = Family::V4,
            Item::Flag('6') => options.family = Family::V6,
            Item::Flag('v') => options.verbose = true,
            Item::Flag('V') => return Ok(Asked::Version),
            Item::Flag(_) => return Ok(Asked::Usage(None)),
        }
    }
    let mut words = words.into_iter();
    let (Some(host), Some(first)) = (words.next(), words.next()) else {
        return Ok(Asked::Usage(None));
    };
    options.host = host;
    options.delay = delay(&delay_text).map_err(Asked::Refused)?;
    let words = std::iter::once(first).chain(words);
    options.targets =
        words.map(|word| target(&word, udp)).collect::<Result<_, _>>().map_err(Asked::Refused)?;
    Ok(Asked::Knock(options))
}

/// Milliseconds: the number a text begins with, as `atoi` reads it. No number: no pause.
fn delay(text: &str) -> Result<Duration, String> {
    let text = text.trim_start_matches(is_blank);
    let (negative, digits) = signed(text);
    let length = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let number = &digits[..length];
    if negative && number.contains(|c| c != '0') {
        return Err("error: delay cannot be negative".to_owned());
    }
    let milliseconds = if number.is_empty() { Ok(0) } else { number.parse::<u32>() };
    match milliseconds {
        Ok(milliseconds) if milliseconds <= LONGEST => Ok(Duration::from_millis(milliseconds.into())),
        _ => Err(format!("error: delay {number} is too long (milliseconds, at most {LONGEST})")),
    }
}

/// `-u` beats what the word says.
fn target(word: &str, udp: bool) -> Result<Target, String> {
    let (port, suffix) = word.split_once(':').map_or((word, None), |(port, suffix)| (port, Some(suffix)));
    let (protocol, unknown) = match suffix {
        _ if udp => (Protocol::Udp, None),
        None => (Protocol::Tcp, None),
        Some(suffix) if suffix.eq_ignore_ascii_case("udp") => (Protocol::Udp, None),
        Some(suffix) if suffix.eq_ignore_ascii_case("tcp") => (Protocol::Tcp, None),
        Some(suffix) => (Protocol::Tcp, Some(suffix.to_owned())),
    };
    if is_beyond(port) {
        return Err(format!("error: port {port} is not between 0 and 65535"));
    }
    Ok(Target { port: port.to_owned(), protocol, unknown })
}

/// Whether this is a number of which a resolver may keep the last 16 bits only. Negative ones it refuses itself.
fn is_beyond(port: &str) -> bool {
    let (negative, digits) = signed(port.trim_start_matches(is_blank));
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number && !negative && digits.parse::<u16>().is_err()
}

/// Whether a minus stands in front, and what follows the sign.
fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// C's `isspace`.
const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

#[cfg(test)]
mod tests;
