//! The demonstration's words.

use std::fmt::Arguments;
use std::io::{Stdout, Write as _, stdout};
use std::time::Duration;

use aldaba_sys::clock;
use data_encoding::HEXLOWER;

/// How long a reader gets for a chapter's head.
const PAUSE: Duration = Duration::from_millis(1200);

/// Tells the story on standard output.
#[derive(Debug)]
pub(super) struct Story {
    out: Stdout,
    fast: bool,
}

impl Story {
    /// With pauses for the reader, or without.
    pub(super) fn new(fast: bool) -> Self {
        Self { out: stdout(), fast }
    }

    /// Whoever stops listening does not stop the demonstration: what it made it also takes away.
    fn line(&self, text: Arguments<'_>) {
        let _ = writeln!(self.out.lock(), "{text}");
    }

    /// A line of the story.
    pub(super) fn say(&self, text: &str) {
        self.line(format_args!("   {text}"));
    }

    /// A new chapter.
    pub(super) fn chapter(&self, title: &str) {
        if !self.fast {
            clock::rest(PAUSE);
        }
        self.line(format_args!("\n== {title}"));
    }

    /// The two hosts.
    pub(super) fn picture(&self) {
        self.line(format_args!(
            "
        client                              server
      ┌───────────────────┐               ┌──────────────────────────┐
      │ 10.71.0.2    cli0 │───── cable ───│ srv0   10.71.0.1         │
      │                   │               │ a service on port 2222   │
      │                   │               │ aldabad                  │
      └───────────────────┘               └──────────────────────────┘"
        ));
    }

    /// A file as it is.
    pub(super) fn file(&self, text: &str) {
        for line in text.lines() {
            self.line(format_args!("      │ {line}"));
        }
    }

    /// Bytes as they are.
    pub(super) fn bytes(&self, bytes: &[u8]) {
        for line in bytes.chunks(32) {
            self.line(format_args!("      │ {}", HEXLOWER.encode(line)));
        }
    }

    /// What the daemon has said meanwhile.
    pub(super) fn server_says(&self, lines: &[String]) {
        for line in lines {
            self.line(format_args!("      server's log: {line}"));
        }
    }

    /// An attempt of the client to reach the service.
    pub(super) fn attempt(&self, reached: bool) {
        let result = if reached { "answers: OPEN" } else { "no answer within 300 ms: CLOSED" };
        self.line(format_args!("   client: connect to 10.71.0.1 port 2222 ... {result}"));
    }

    /// What to remember.
    pub(super) fn ending(&self, root: bool) {
        self.chapter("That is all");
        self.say("The process that looked at the packets had no privileges, and the one that opened the door never saw");
        self.say("a packet.");
        if !root {
            self.say("(Here both ran under your own user, the only one such a namespace has; a real installation gives");
            self.say("the one that looks at packets a user of its own.)");
        }
        self.say("Next: README.md, \"Guard a port of your own\", or `aldabad check /etc/knockd.conf` if you come from");
        self.say("knockd.");
    }
}
