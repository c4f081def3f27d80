//! The demonstration's words.

use std::time::Duration;

use aldaba_sys::clock;

/// How long a reader gets for a chapter's head.
const PAUSE: Duration = Duration::from_millis(1200);

/// Tells the story on standard output.
#[derive(Debug)]
pub struct Story {
    fast: bool,
}

impl Story {
    /// With pauses for the reader, or without.
    pub const fn new(fast: bool) -> Self {
        Self { fast }
    }

    /// A line of the story.
    pub fn say(&mut self, text: &str) {
        println!("   {text}");
    }

    /// A new chapter.
    pub fn chapter(&mut self, title: &str) {
        if !self.fast {
            clock::rest(PAUSE);
        }
        println!("\n== {title}");
    }

    /// The two hosts.
    pub fn picture(&mut self) {
        println!(
            "
        client                              server
      ┌───────────────────┐               ┌──────────────────────────┐
      │ 10.71.0.2    cli0 │───── cable ───│ srv0   10.71.0.1         │
      │                   │               │ a service on port 2222   │
      │                   │               │ aldabad                  │
      └───────────────────┘               └──────────────────────────┘"
        );
    }

    /// A file as it is.
    pub fn file(&mut self, text: &str) {
        for line in text.lines() {
            println!("      │ {line}");
        }
    }

    /// What the daemon has said meanwhile.
    pub fn server_says(&mut self, lines: &[String]) {
        for line in lines {
            println!("      server's log: {line}");
        }
    }

    /// An attempt of the client to reach the service.
    pub fn attempt(&mut self, reached: bool) {
        let result = if reached { "answers: OPEN" } else { "no answer within 300 ms: CLOSED" };
        println!("   client: connect to 10.71.0.1 port 2222 ... {result}");
    }

    /// What to remember.
    pub fn ending(&mut self, root: bool) {
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
