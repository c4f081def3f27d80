//! Standard error as a log: a reader that hangs or has gone costs lines, which are counted, and no time.

use std::io;
use std::os::fd::AsFd as _;

use aldaba_sys::stream::Stream;

/// The way there, and what did not arrive.
#[derive(Debug, Default)]
pub(super) struct Outlet {
    stream: Option<Stream>,
    missing: u64,
    /// Why they are missing.
    trouble: Option<String>,
}

impl Outlet {
    /// Writes a line, after the number of those that are missing before it; whether it arrived.
    pub(super) fn say(&mut self, head: &str, text: &str) -> bool {
        let arrived = self.catch_up(head).and_then(|()| self.write(&format!("{head}{text}\n")));
        if let Err(error) = &arrived {
            self.missing = self.missing.saturating_add(1);
            self.trouble = Some(match error.kind() {
                io::ErrorKind::WouldBlock => "standard error: nobody reads it".to_owned(),
                _ => format!("standard error: {error}"),
            });
        }
        arrived.is_ok()
    }

    /// Why lines are missing, if they are.
    pub(super) fn trouble(&mut self, head: &str) -> Option<&str> {
        let _ = self.catch_up(head);
        self.trouble.as_deref()
    }

    fn catch_up(&mut self, head: &str) -> io::Result<()> {
        if self.missing > 0 {
            self.write(&format!("{head}log-lines-lost lines={}\n", self.missing))?;
            self.missing = 0;
            self.trouble = None;
        }
        Ok(())
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => Stream::of(io::stderr().as_fd())?,
        };
        self.stream.insert(stream).write_at_once(line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_a_reader_that_hangs_has_missed_is_told_when_it_reads_again() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut outlet = Outlet { stream: Some(Stream::of(writer.as_fd()).unwrap()), ..Outlet::default() };
        drop(writer);
        let arrived = (0..100_000).take_while(|_| outlet.say("", "a line of some length, and again")).count();
        assert!(arrived < 100_000);
        assert!(!outlet.say("", "lost"));
        assert_eq!(outlet.trouble(""), Some("standard error: nobody reads it"));
        reader.read_exact(&mut vec![0; 1 << 15]).unwrap();
        assert!(outlet.say("<5>", "again"));
        assert_eq!(outlet.trouble(""), None);
        drop(outlet);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        let last: Vec<&str> = rest.lines().rev().take(2).collect();
        assert_eq!(last, ["<5>again", "<5>log-lines-lost lines=2"]);
    }
}
