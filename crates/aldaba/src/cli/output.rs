//! What a command says on standard output, without its work depending on whether anybody reads it.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Writes lines; after the first that cannot be written, none.
pub(super) struct Output<'a> {
    to: &'a mut dyn Write,
    result: io::Result<()>,
}

impl<'a> Output<'a> {
    pub(super) const fn new(to: &'a mut dyn Write) -> Self {
        Self { to, result: Ok(()) }
    }

    pub(super) fn line(&mut self, text: impl Display) {
        if self.result.is_ok() {
            self.result = writeln!(self.to, "{text}").and_then(|()| self.to.flush());
        }
    }

    /// What stood in the way, if anything. A reader who has seen enough is no failure.
    pub(super) fn finish(self) -> io::Result<()> {
        self.result.or_else(|error| if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes one line, then fails.
    struct Short(Vec<u8>, ErrorKind);

    impl Write for Short {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.contains(&b'\n') { Err(self.1.into()) } else { self.0.write(bytes) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_first_failure_is_remembered_and_a_closed_pipe_is_none() {
        for (kind, wanted) in
            [(ErrorKind::BrokenPipe, None), (ErrorKind::StorageFull, Some(ErrorKind::StorageFull))]
        {
            let mut short = Short(Vec::new(), kind);
            let mut output = Output::new(&mut short);
            output.line("one");
            output.line("two");
            output.line("three");
            assert_eq!(output.finish().err().map(|error| error.kind()), wanted);
            assert_eq!(short.0, b"one\n");
        }
    }
}
