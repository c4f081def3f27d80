//! knockd's command line (spec/knock.md, "Command line"): options in any place, long ones may be shortened,
//! other words are passed over.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

/// Where knockd's configuration stands when nobody says otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/knockd.conf";

/// What `knockd` was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Run with these options.
    Run(Options),
    /// Print the version.
    Version,
    /// Print the usage; with what was wrong, if anything was.
    Usage(Option<String>),
}

/// knockd's options.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `-i`: beats the configuration.
    pub interface: Option<String>,
    /// `-d`.
    pub daemon: bool,
    /// `-c`.
    pub config: PathBuf,
    /// `-D`.
    pub debug: bool,
    /// `-l`.
    pub lookup: bool,
    /// `-p`: the configuration beats it.
    pub pid_file: Option<PathBuf>,
    /// `-g`: the configuration beats it.
    pub log_file: Option<PathBuf>,
    /// `-v`.
    pub verbose: bool,
    /// `-4`.
    pub only_ipv4: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interface: None,
            daemon: false,
            config: DEFAULT_CONFIG.into(),
            debug: false,
            lookup: false,
            pid_file: None,
            log_file: None,
            verbose: false,
            only_ipv4: false,
        }
    }
}

const LONG: [(&str, char); 11] = [
    ("interface", 'i'),
    ("daemon", 'd'),
    ("config", 'c'),
    ("debug", 'D'),
    ("lookup", 'l'),
    ("pidfile", 'p'),
    ("logfile", 'g'),
    ("verbose", 'v'),
    ("only-ip-v4", '4'),
    ("version", 'V'),
    ("help", 'h'),
];

/// What `-V` prints: the original's, to the last byte.
pub const VERSION: &str = "knockd 0.8\nCopyright (C) 2004-2012 Judd Vinet <jvinet@zeroflux.org>\n";

/// The usage text, to the last byte too.
pub const USAGE: &str = "usage: knockd [options]
options:
  -i, --interface <int>  network interface to listen on (default \"eth0\")
  -d, --daemon           run as a daemon
  -c, --config <file>    use an alternate config file
  -D, --debug            output debug messages
  -l, --lookup           lookup DNS names (may be a security risk)
  -p, --pidfile          use an alternate pidfile
  -g, --logfile          use an alternate logfile
  -v, --verbose          be verbose
  -4, --only-ip-v4       do not track ipv6
  -V, --version          display version
  -h, --help             this help

";

/// Reads the words after the program's name.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Asked {
    read(Parser::from_args(words)).unwrap_or_else(|wrong| Asked::Usage(Some(wrong)))
}

fn read(mut parser: Parser) -> Result<Asked, String> {
    let mut options = Options::default();
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        let letter = match arg {
            Arg::Short(letter) => letter,
            Arg::Long(name) => long(name)?,
            Arg::Value(_) => continue,
        };
        match letter {
            'V' => return Ok(Asked::Version),
            'h' => return Ok(Asked::Usage(None)),
            'i' | 'c' | 'p' | 'g' => options.valued(letter, value(&mut parser, letter)?),
            _ => options.flag(letter)?,
        }
    }
    Ok(Asked::Run(options))
}

fn value(parser: &mut Parser, letter: char) -> Result<OsString, String> {
    parser.value().map_err(|_| format!("option requires an argument -- '{letter}'"))
}

/// A long option, or an unmistakable beginning of one.
fn long(name: &str) -> Result<char, String> {
    let mut fitting = LONG.iter().filter(|(long, _)| long.starts_with(name));
    match (LONG.iter().find(|(long, _)| *long == name), fitting.next(), fitting.next()) {
        (Some((_, letter)), _, _) | (None, Some((_, letter)), None) => Ok(*letter),
        (None, Some(_), Some(_)) => Err(format!("option '--{name}' is ambiguous")),
        (None, None, _) => Err(format!("unrecognized option '--{name}'")),
    }
}

impl Options {
    fn flag(&mut self, letter: char) -> Result<(), String> {
        let flag = match letter {
            'd' => &mut self.daemon,
            'D' => &mut self.debug,
            'l' => &mut self.lookup,
            'v' => &mut self.verbose,
            '4' => &mut self.only_ipv4,
            _ => return Err(format!("invalid option -- '{letter}'")),
        };
        *flag = true;
        Ok(())
    }

    fn valued(&mut self, letter: char, value: OsString) {
        match letter {
            'i' => self.interface = Some(value.string().unwrap_or_default()),
            'c' => self.config = value.into(),
            'p' => self.pid_file = Some(value.into()),
            _ => self.log_file = Some(value.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(words: &[&str]) -> Asked {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn all_options_short_and_long() {
        let wanted = Options {
            interface: Some("wg0".into()),
            daemon: true,
            config: "/c".into(),
            debug: true,
            lookup: true,
            pid_file: Some("/p".into()),
            log_file: Some("/g".into()),
            verbose: true,
            only_ipv4: true,
        };
        let short = run(&["-i", "wg0", "-dDlv4", "-c/c", "-p", "/p", "-g", "/g"]);
        let long = run(&[
            "--interface",
            "wg0",
            "--daemon",
            "--debug",
            "--lookup",
            "--verbose",
            "--only-ip-v4",
            "--config=/c",
            "--pidfile",
            "/p",
            "--logfile",
            "/g",
        ]);
        assert_eq!(short, Asked::Run(wanted.clone()));
        assert_eq!(long, Asked::Run(wanted));
    }

    #[test]
    fn long_options_may_be_shortened_when_unmistakable() {
        assert_eq!(run(&["--conf", "/c"]), Asked::Run(Options { config: "/c".into(), ..Options::default() }));
        assert_eq!(run(&["--ver"]), Asked::Usage(Some("option '--ver' is ambiguous".into())));
        assert_eq!(run(&["--vers"]), Asked::Version);
    }

    #[test]
    fn stray_words_are_passed_over() {
        let wanted = Options { verbose: true, ..Options::default() };
        assert_eq!(run(&["start", "-v", "now"]), Asked::Run(wanted));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(run(&["-Z"]), Asked::Usage(Some("invalid option -- 'Z'".into())));
        assert_eq!(run(&["--nope"]), Asked::Usage(Some("unrecognized option '--nope'".into())));
        assert_eq!(run(&["-c"]), Asked::Usage(Some("option requires an argument -- 'c'".into())));
        assert_eq!(run(&["-h"]), Asked::Usage(None));
    }
}
