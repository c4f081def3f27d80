//! Where the daemon's lines go: a log file, syslog, standard output or error. One event, one line.
//!
//! A log that cannot be written, or that nobody reads, is no reason to stop: doors must still close. What is lost is counted.

mod outlet;
mod syslog;

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use aldaba_sys::{files, stream};
use jiff::ZonedDateTime;

use crate::fault::{self, Point};
use crate::wording;
use outlet::Outlet;
use syslog::Syslog;

/// knockd's limit for one message; longer ones are cut.
const LONGEST: usize = 1023;

/// How grave a line is, as journald and syslog number it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something does not work.
    Error = 3,
    /// Something will not work, or is unsafe.
    Warning = 4,
    /// What an administrator wants to read.
    Notice = 5,
    /// The rest.
    Info = 6,
}

/// What kind of lines the log keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `name key=value …` for journald and people, with journald's priority in front where it listens.
    Native {
        /// Standard error is the journal.
        journal: bool,
    },
    /// knockd's: `[YYYY-MM-DD HH:MM] message` in the file, the bare message elsewhere.
    Knockd {
        /// `-v`: a copy on standard output.
        echo: bool,
    },
}

/// The open log.
#[derive(Debug)]
pub struct Log {
    form: Form,
    file: Option<(PathBuf, File)>,
    outlet: Outlet,
    syslog: Option<Syslog>,
    lost: u64,
    /// Lines that are missing in the file since something could last be written there.
    missing: u64,
    /// Why they are missing.
    trouble: Option<String>,
    /// The last line in the file may be a part of one.
    torn: bool,
}

impl Log {
    /// A log that writes to standard error only (native), or nowhere yet (knockd).
    #[must_use]
    pub fn new(form: Form) -> Self {
        let outlet = Outlet::default();
        Self { form, file: None, outlet, syslog: None, lost: 0, missing: 0, trouble: None, torn: false }
    }

    /// Switches syslog on; it stays on until the end.
    pub fn use_syslog(&mut self) {
        let ident = if matches!(self.form, Form::Knockd { .. }) { "knockd" } else { "aldabad" };
        self.syslog.get_or_insert_with(|| Syslog::open(ident));
    }

    /// Whether syslog is on.
    #[must_use]
    pub const fn uses_syslog(&self) -> bool {
        self.syslog.is_some()
    }

    /// Appends to this file from now on; the old one is closed only if the new one opens.
    pub fn use_file(&mut self, path: &Path) -> io::Result<()> {
        let file = files::append_log(path)?;
        self.file = Some((path.to_owned(), file));
        self.torn = false;
        Ok(())
    }

    /// The file in use.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }

    /// Says a line.
    pub fn say(&mut self, level: Level, message: &str) {
        self.write(level, message, false);
    }

    /// Says a line that knockd ends with a newline of its own; scripts that skip empty lines rely on nothing else.
    pub fn say_and_blank(&mut self, level: Level, message: &str) {
        self.write(level, message, true);
    }

    /// Says a line that `-v` does not copy to standard output.
    pub fn say_unechoed(&mut self, level: Level, message: &str) {
        let form = self.form;
        if let Form::Knockd { .. } = form {
            self.form = Form::Knockd { echo: false };
        }
        self.say(level, message);
        self.form = form;
    }

    /// Says a line to syslog only, if that is on.
    pub fn say_to_syslog(&mut self, message: &str) {
        self.send_to_syslog(&printable(message));
    }

    fn send_to_syslog(&mut self, text: &str) {
        let sent = self.syslog.as_mut().map_or(Ok(()), |syslog| syslog.send(text));
        self.count(&sent);
    }

    /// Lines that could not be written.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Why lines are missing in the file or on standard error, if they are. It is tried once more: whoever asks wants to know how it is
    /// now.
    pub fn trouble(&mut self) -> Option<&str> {
        if self.missing > 0 {
            self.catch_up();
        }
        let head = match self.form {
            Form::Native { journal } => head(Level::Warning, journal),
            Form::Knockd { .. } => String::new(),
        };
        let outlet = self.outlet.trouble(&head);
        self.trouble.as_deref().or(outlet)
    }

    fn write(&mut self, level: Level, message: &str, blank: bool) {
        let text = printable(message);
        match self.form {
            Form::Native { journal } => self.native(level, &text, journal),
            Form::Knockd { echo } => self.knockd(&text, blank, echo),
        }
    }

    fn native(&mut self, level: Level, text: &str, journal: bool) {
        self.say_to_stderr(level, text, journal);
        if self.file.is_some() {
            self.write_file(text, "");
        }
        self.send_to_syslog(text);
    }

    fn knockd(&mut self, text: &str, blank: bool, echo: bool) {
        let text = cut(text);
        let end = if blank { "\n" } else { "" };
        if echo {
            let line = format!("{text}\n");
            self.count(&stream::write_at_once(io::stdout().as_fd(), line.as_bytes()));
        }
        if self.file.is_some() {
            self.write_file(text, end);
        }
        self.send_to_syslog(&format!("{text}{end}"));
    }

    /// A file that cannot be written (a full disk) is told of where lines still arrive, once until it can be; then the number
    /// of lines that are missing stands in their place.
    fn write_file(&mut self, text: &str, end: &str) {
        if self.missing > 0 && !self.catch_up() {
            self.missing = self.missing.saturating_add(1);
            self.lost = self.lost.saturating_add(1);
            return;
        }
        if let Err(error) = self.append(&self.stamped(text, end)) {
            self.missing = 1;
            self.lost = self.lost.saturating_add(1);
            let path = self.file().map(|path| path.display().to_string()).unwrap_or_default();
            let error = format!("{path}: {error}");
            self.elsewhere(Level::Error, &format!("degraded what=log error={}", wording::quoted(&error)));
            self.trouble = Some(error);
        }
    }

    /// Says in the file how many lines are missing there; whether it could be written.
    fn catch_up(&mut self) -> bool {
        let lost = format!("log-lines-lost lines={}", self.missing);
        if self.append(&self.stamped(&lost, "")).is_err() {
            return false;
        }
        self.missing = 0;
        self.trouble = None;
        self.elsewhere(Level::Warning, &lost);
        true
    }

    fn stamped(&self, text: &str, end: &str) -> String {
        let now = ZonedDateTime::now();
        match self.form {
            Form::Native { .. } => format!("{} {text}\n", now.strftime("%Y-%m-%dT%H:%M:%S%:z")),
            Form::Knockd { .. } => format!("[{}] {text}\n{end}", now.strftime("%Y-%m-%d %H:%M")),
        }
    }

    /// Appends a line, and begins a new one first where the last one was cut off.
    fn append(&mut self, line: &str) -> io::Result<()> {
        let Some((_, file)) = &mut self.file else { return Ok(()) };
        fault::at(Point::BeforeLogWrite)?;
        let line = if self.torn { format!("\n{line}") } else { line.to_owned() };
        let written = file.write(line.as_bytes())?;
        self.torn = written < line.len();
        if self.torn { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// Says a line about the file where lines go beside it.
    fn elsewhere(&mut self, level: Level, text: &str) {
        if let Form::Native { journal } = self.form {
            self.say_to_stderr(level, text, journal);
        }
        self.send_to_syslog(text);
    }

    fn say_to_stderr(&mut self, level: Level, text: &str, journal: bool) {
        if !self.outlet.say(&head(level, journal), text) {
            self.lost = self.lost.saturating_add(1);
        }
    }

    fn count(&mut self, written: &io::Result<()>) {
        if written.is_err() {
            self.lost = self.lost.saturating_add(1);
        }
    }
}

/// What journald reads the level from, where it listens.
fn head(level: Level, journal: bool) -> String {
    if journal { format!("<{}>", level as u8) } else { String::new() }
}

/// A line on standard output. Nobody reads any more: no reason to stop.
pub fn aloud(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// A whole text on standard output, with its line ends in it.
pub fn show(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// A line on standard error, for whoever started the program. Nobody reads any more: no reason to stop either.
pub fn aside(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Control characters escaped: no byte from a file or a command forges a line or moves a terminal's cursor.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

fn cut(text: &str) -> &str {
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_cannot_forge_a_line() {
        assert_eq!(printable("a\nb\x1b[2J\rc\u{85}d\te"), "a\\nb\\u{1b}[2J\\rc\\u{85}d\te");
        assert_eq!(printable("tür 7000"), "tür 7000");
    }

    #[test]
    fn knockd_lines_are_stamped_and_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log::new(Form::Knockd { echo: false });
        log.use_file(&path).unwrap();
        log.say(Level::Notice, &"ü".repeat(600));
        log.say_and_blank(Level::Notice, "A: running command: true");
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.split('\n').collect();
        let stamp = "[2026-11-24 09:50] ".len();
        assert_eq!(lines[0].len(), stamp + 1022, "cut at a character's end");
        assert!(lines[0].starts_with('[') && lines[0][17..].starts_with("] "), "{}", lines[0]);
        assert_eq!(&lines[1][stamp..], "A: running command: true");
        assert_eq!(lines[2..], ["", ""]);
    }

    #[test]
    fn lines_that_could_not_be_written_are_counted_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::new(Form::Knockd { echo: false });
        // Takes nothing, as a full disk.
        log.file = Some(("/dev/full".into(), File::options().append(true).open("/dev/full").unwrap()));
        for line in ["a", "b", "c"] {
            log.say(Level::Notice, line);
        }
        assert_eq!((log.lost(), log.missing), (3, 3));
        assert!(log.trouble().is_some_and(|why| why.starts_with("/dev/full: ")));
        let path = dir.path().join("log");
        log.use_file(&path).unwrap();
        // Half a line, from before.
        std::fs::write(&path, "[2026-11-24 09:50] hal").unwrap();
        log.torn = true;
        log.say(Level::Notice, "A: door: Stage 1");
        let text = std::fs::read_to_string(&path).unwrap();
        let words: Vec<&str> = text.lines().map(|line| line.split_once("] ").unwrap().1).collect();
        assert_eq!(words, ["hal", "log-lines-lost lines=3", "A: door: Stage 1"]);
        assert_eq!((log.lost(), log.missing, log.trouble()), (3, 0, None));
    }

    #[test]
    fn whoever_asks_hears_whether_the_file_can_be_written_now() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::new(Form::Knockd { echo: false });
        log.file = Some(("/dev/full".into(), File::options().append(true).open("/dev/full").unwrap()));
        log.say(Level::Notice, "A: door: Stage 1");
        assert!(log.trouble().is_some());
        // There is room again, and nothing to say meanwhile.
        let path = dir.path().join("log");
        log.use_file(&path).unwrap();
        assert_eq!(log.trouble(), None);
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("log-lines-lost lines=1\n"));
    }

    #[test]
    fn a_log_that_cannot_be_opened_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::new(Form::Knockd { echo: false });
        log.use_file(&dir.path().join("a")).unwrap();
        assert!(log.use_file(&dir.path().join("no/such/b")).is_err());
        assert_eq!(log.file(), Some(dir.path().join("a").as_path()));
    }
}
