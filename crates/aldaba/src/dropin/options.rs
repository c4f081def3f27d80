//! knock's command line: options anywhere, long ones may be shortened.

use std::ffi::OsString;
use std::time::Duration;

use aldaba_knock::Protocol;
use lexopt::{Arg, Parser, ValueExt as _};

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
}

const LONG: [(&str, char); 7] = [
    ("udp", 'u'),
    ("delay", 'd'),
    ("ipv4", '4'),
    ("ipv6", '6'),
    ("verbose", 'v'),
    ("version", 'V'),
    ("help", 'h'),
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

/// Reads the words after the program's name.
pub(super) fn parse(words: impl IntoIterator<Item = OsString>) -> Asked {
    read(Parser::from_args(words)).unwrap_or_else(|ended| ended)
}

/// The error is what to do instead of knocking.
fn read(mut parser: Parser) -> Result<Asked, Asked> {
    let mut options = Options::default();
    let mut udp = false;
    let mut words: Vec<String> = Vec::new();
    while let Some(arg) = parser.next().map_err(|error| wrong(&error.to_string()))? {
        let letter = match arg {
            Arg::Value(word) => {
                words.push(word.string().map_err(|error| wrong(&error.to_string()))?);
                continue;
            }
            Arg::Short(letter) => letter,
            Arg::Long(name) => long(name)?,
        };
        match letter {
            'u' => udp = true,
            'd' => options.delay = delay(&mut parser)?,
            '4' => options.family = Family::V4,
            '6' => options.family = Family::V6,
            'v' => options.verbose = true,
            'V' => return Ok(Asked::Version),
            'h' => return Ok(Asked::Usage(None)),
            _ => return Err(wrong(&format!("invalid option -- '{letter}'"))),
        }
    }
    let mut words = words.into_iter();
    options.host = words.next().unwrap_or_default();
    options.targets = words.map(|word| target(&word, udp)).collect::<Result<_, _>>()?;
    Ok(if options.targets.is_empty() { Asked::Usage(None) } else { Asked::Knock(options) })
}

fn wrong(what: &str) -> Asked {
    Asked::Usage(Some(what.to_owned()))
}

/// A long option, or an unmistakable beginning of one.
fn long(name: &str) -> Result<char, Asked> {
    let fitting: Vec<_> = LONG.iter().filter(|(long, _)| long.starts_with(name)).collect();
    match (fitting.iter().find(|(long, _)| *long == name), fitting.as_slice()) {
        (Some((_, letter)), _) | (None, [(_, letter)]) => Ok(*letter),
        (None, []) => Err(wrong(&format!("unrecognized option '--{name}'"))),
        (None, _) => Err(wrong(&format!("option '--{name}' is ambiguous"))),
    }
}

/// Milliseconds: the number a word begins with, as `atoi` reads it.
fn delay(parser: &mut Parser) -> Result<Duration, Asked> {
    let value = parser.value().map_err(|_| wrong("option requires an argument -- 'd'"))?;
    let text = value.to_string_lossy();
    let text = text.trim_start();
    let digits = text.strip_prefix('+').unwrap_or(text);
    let length = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    if text.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| ('1'..='9').contains(&c))) {
        return Err(Asked::Refused("error: delay cannot be negative".to_owned()));
    }
    // No digits: no pause.
    let number = &digits[..length];
    let milliseconds = if number.is_empty() { Ok(0) } else { number.parse::<u32>() };
    milliseconds.map(|milliseconds| Duration::from_millis(milliseconds.into())).map_err(|_| {
        Asked::Refused(format!("error: delay {number} is too long (milliseconds, at most {})", u32::MAX))
    })
}

/// `-u` beats what the word says.
fn target(word: &str, udp: bool) -> Result<Target, Asked> {
    let (port, suffix) = word.split_once(':').map_or((word, None), |(port, suffix)| (port, Some(suffix)));
    let protocol = match suffix {
        _ if udp => Protocol::Udp,
        Some(suffix) if suffix.eq_ignore_ascii_case("udp") => Protocol::Udp,
        Some(suffix) if !suffix.eq_ignore_ascii_case("tcp") => {
            eprintln!("knock: warning: '{suffix}' in '{word}' is neither tcp nor udp: TCP is used");
            Protocol::Tcp
        }
        _ => Protocol::Tcp,
    };
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && port.parse::<u16>().is_err() {
        return Err(Asked::Refused(format!("error: port {port} is over 65535")));
    }
    Ok(Target { port: port.to_owned(), protocol })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn pause(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn asked(words: &[&str]) -> Asked {
        parse(words.iter().map(OsString::from))
    }

    fn options(words: &[&str]) -> Options {
        match asked(words) {
            Asked::Knock(options) => options,
            other => panic!("{other:?}"),
        }
    }

    fn targets(words: &[&str]) -> Vec<String> {
        let options = options(words);
        options.targets.iter().map(|target| format!("{}/{:?}", target.port, target.protocol)).collect()
    }

    #[test]
    fn options_stand_anywhere() {
        let all = options(&["host", "-d", "30", "7000", "-v", "--ipv6", "8000:udp"]);
        assert_eq!((all.host.as_str(), all.delay, all.verbose), ("host", pause(30), true));
        assert_eq!(all.family, Family::V6);
        assert_eq!(options(&["-4", "h", "1"]).family, Family::V4);
        assert_eq!(options(&["--del=7", "--verb", "h", "1"]).delay, pause(7));
        assert_eq!(targets(&["--", "h", "1"]), ["1/Tcp"]);
    }

    #[test]
    fn protocols() {
        assert_eq!(targets(&["h", "1:tcp", "2:udp", "3:UDP", "ssh"]), ["1/Tcp", "2/Udp", "3/Udp", "ssh/Tcp"]);
        assert_eq!(targets(&["-u", "h", "1:tcp", "2"]), ["1/Udp", "2/Udp"]);
        assert_eq!(targets(&["h", "1:icmp"]), ["1/Tcp"]);
    }

    #[test]
    fn delays_are_read_like_atoi() {
        for (text, wanted) in [("12abc", 12), ("abc", 0), (" +3", 3), ("0", 0), ("-0", 0), ("-", 0)] {
            assert_eq!(options(&["-d", text, "h", "1"]).delay, pause(wanted), "{text}");
        }
        assert_eq!(
            asked(&["-d", "-5", "h", "1"]),
            Asked::Refused("error: delay cannot be negative".to_owned())
        );
        assert!(matches!(asked(&["-d", "9999999999", "h", "1"]), Asked::Refused(_)));
    }

    #[test]
    fn what_cannot_be_is_said() {
        assert_eq!(asked(&["h", "72536"]), Asked::Refused("error: port 72536 is over 65535".to_owned()));
        for words in [&[][..], &["h"], &["-h"], &["-u", "h"]] {
            assert_eq!(asked(words), Asked::Usage(None), "{words:?}");
        }
        assert_eq!(asked(&["-Z"]), wrong("invalid option -- 'Z'"));
        assert_eq!(asked(&["--ver"]), wrong("option '--ver' is ambiguous"));
        assert_eq!(asked(&["--nope"]), wrong("unrecognized option '--nope'"));
        assert_eq!(asked(&["-d"]), wrong("option requires an argument -- 'd'"));
        assert_eq!(asked(&["-V", "h"]), Asked::Version);
    }
}
