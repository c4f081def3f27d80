//! Where the daemon's lines go: a log file, syslog, standard output or error. One event, one line.
//!
//! A log that cannot be written is no reason to stop: doors must still close. What is lost is counted.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use aldaba_sys::{files, syslog};
use jiff::ZonedDateTime;

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
    syslog: bool,
    lost: u64,
}

impl Log {
    /// A log that writes to standard error only (native), or nowhere yet (knockd).
    #[must_use]
    pub const fn new(form: Form) -> Self {
        Self { form, file: None, syslog: false, lost: 0 }
    }

    /// Switches syslog on; it stays on until the end.
    pub fn use_syslog(&mut self) {
        if !self.syslog {
            syslog::open(if matches!(self.form, Form::Knockd { .. }) { c"knockd" } else { c"aldabad" });
            self.syslog = true;
        }
    }

    /// Whether syslog is on.
    #[must_use]
    pub const fn uses_syslog(&self) -> bool {
        self.syslog
    }

    /// Appends to this file from now on; the old one is closed only if the new one opens.
    pub fn use_file(&mut self, path: &Path) -> std::io::Result<()> {
        let file = files::append_log(path)?;
        self.file = Some((path.to_owned(), file));
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
        if self.syslog {
            syslog::send(&printable(message));
        }
    }

    /// Lines that could not be written.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    fn write(&mut self, level: Level, message: &str, blank: bool) {
        let text = printable(message);
        match self.form {
            Form::Native { journal } => self.native(level, &text, journal),
            Form::Knockd { echo } => self.knockd(&text, blank, echo),
        }
    }

    fn native(&mut self, level: Level, text: &str, journal: bool) {
        let line = if journal { format!("<{}>{text}\n", level as u8) } else { format!("{text}\n") };
        self.count(&std::io::stderr().write_all(line.as_bytes()));
        if self.file.is_some() {
            self.write_file(&format!("{} {text}\n", ZonedDateTime::now().strftime("%Y-%m-%dT%H:%M:%S%:z")));
        }
        if self.syslog {
            syslog::send(text);
        }
    }

    fn knockd(&mut self, text: &str, blank: bool, echo: bool) {
        let text = cut(text);
        let end = if blank { "\n" } else { "" };
        if echo {
            self.count(&std::io::stdout().write_all(format!("{text}\n").as_bytes()));
        }
        if self.file.is_some() {
            self.write_file(&format!("[{}] {text}\n{end}", ZonedDateTime::now().strftime("%Y-%m-%d %H:%M")));
        }
        if self.syslog {
            syslog::send(&format!("{text}{end}"));
        }
    }

    fn write_file(&mut self, line: &str) {
        if let Some((_, file)) = &mut self.file {
            let written = file.write_all(line.as_bytes());
            self.count(&written);
        }
    }

    fn count(&mut self, written: &std::io::Result<()>) {
        if written.is_err() {
            self.lost = self.lost.saturating_add(1);
        }
    }
}

/// A line on standard output. Nobody reads any more: no reason to stop.
pub fn aloud(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
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
    fn a_log_that_cannot_be_opened_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::new(Form::Knockd { echo: false });
        log.use_file(&dir.path().join("a")).unwrap();
        assert!(log.use_file(&dir.path().join("no/such/b")).is_err());
        assert_eq!(log.file(), Some(dir.path().join("a").as_path()));
    }
}
