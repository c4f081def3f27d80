//! Asking a running daemon: connect, one line, one line back.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::{Answer, LONGEST_ANSWER, Request, Trouble, TroubleKind, Unreadable, VERSION};
use crate::log::{aside, printable};

/// How long an answer is waited for; a reload is the slowest.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens there.
    #[error(
        "no daemon answers at {}\n  help: is `aldabad run` running? One that uses another socket \
         is found with --config FILE or --control PATH", socket.display()
    )]
    NoDaemon {
        /// Where.
        socket: PathBuf,
    },
    /// This user may not ask.
    #[error("the daemon at {} answers root and its own user only\n  help: run this command with sudo", socket.display())]
    NotAllowed {
        /// Where.
        socket: PathBuf,
    },
    /// It took too long.
    #[error(
        "the daemon at {} did not answer within {} s\n  help: look at its log; if it hangs, open doors still close \
         when it is restarted", socket.display(), PATIENCE.as_secs()
    )]
    Late {
        /// Where.
        socket: PathBuf,
    },
    /// It went away while it was asked.
    #[error("the daemon at {} ended while it was asked\n  help: look at its log", socket.display())]
    Ended {
        /// Where.
        socket: PathBuf,
    },
    /// It speaks another version.
    #[error(
        "the running daemon and this program are of different versions ({0})\n  help: restart the daemon; open doors \
         stay as `on-exit` says"
    )]
    OtherVersion(String),
    /// It says no.
    #[error("the daemon says: {0}")]
    Refused(String),
    /// It answers what was not asked.
    #[error(
        "the daemon answered something else\n  help: is it of this version? Restart it; open doors stay as `on-exit` says"
    )]
    Beside,
    /// The kernel.
    #[error("{}: {source}\n  help: --control PATH names the daemon's socket", socket.display())]
    Io {
        /// Where.
        socket: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

impl ControlError {
    fn of(socket: &Path, source: io::Error) -> Self {
        let socket = socket.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Self::NoDaemon { socket },
            io::ErrorKind::PermissionDenied => Self::NotAllowed { socket },
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Late { socket },
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Ended { socket },
            _ => Self::Io { socket, source },
        }
    }
}

/// Asks the daemon behind a socket. Its answer is never [`Answer::Error`]: that is an error here.
pub fn ask(socket: &Path, request: &Request) -> Result<Answer, ControlError> {
    let line = exchange(socket, request).map_err(|error| ControlError::of(socket, error))?;
    if line.is_empty() {
        return Err(ControlError::Ended { socket: socket.to_owned() });
    }
    match Answer::parse(&line) {
        Ok(Answer::Error(Trouble { kind, text, help })) => Err(trouble(socket, kind, &text, &help)),
        Ok(answer) => Ok(answer),
        Err(Unreadable::Version(theirs)) => Err(ControlError::OtherVersion(format!(
            "the daemon speaks version {theirs}, this program {VERSION}"
        ))),
        Err(Unreadable::Malformed(error)) => Err(ControlError::OtherVersion(printable(&error))),
    }
}

/// Says why what came back is not the answer that was asked for; the exit code of a command that ends there.
#[must_use]
pub fn unanswered(other: Result<Answer, ControlError>) -> ExitCode {
    let error = other.err().unwrap_or(ControlError::Beside);
    aside(&format!("aldabad: {error}"));
    ExitCode::FAILURE
}

fn exchange(socket: &Path, request: &Request) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let sent = stream.write_all(&request.to_line());
    let mut line = Vec::new();
    let most = u64::try_from(LONGEST_ANSWER).unwrap_or(u64::MAX);
    let read = BufReader::new(stream.take(most)).read_until(b'\n', &mut line);
    // A daemon that refuses this user says so and hangs up, maybe before it has been asked.
    if line.is_empty() {
        sent?;
        read?;
    }
    Ok(line)
}

fn trouble(socket: &Path, kind: TroubleKind, text: &str, help: &str) -> ControlError {
    let text = printable(text);
    match kind {
        TroubleKind::NotAllowed => ControlError::NotAllowed { socket: socket.to_owned() },
        TroubleKind::Version | TroubleKind::Malformed => ControlError::OtherVersion(text),
        TroubleKind::Refused if !help.is_empty() => {
            ControlError::Refused(format!("{text}\n  help: {}", printable(help)))
        }
        TroubleKind::Refused | TroubleKind::NotDone => ControlError::Refused(text),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// What a daemon that says this once is heard as.
    fn heard(said: &'static [u8]) -> Result<Answer, ControlError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let daemon = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
            stream.write_all(said).unwrap();
            line
        });
        let answer = ask(&path, &Request::Reload);
        assert_eq!(daemon.join().unwrap(), "{\"version\":1,\"ask\":\"reload\"}\n");
        answer
    }

    #[test]
    fn answers_and_refusals_are_told_apart() {
        let answer =
            heard(b"{\"version\":1,\"answer\":{\"reloaded\":{\"doors\":3,\"warnings\":[]}}}\n").unwrap();
        assert!(matches!(answer, Answer::Reloaded(reloaded) if reloaded.doors == 3));
        let says = |said| heard(said).unwrap_err().to_string();
        assert!(says(b"").contains("ended while it was asked"));
        assert!(says(b"{\"version\":9}\n").contains("speaks version 9, this program 1"));
        assert!(says(b"nonsense\n").contains("different versions"));
        let refused =
            says(b"{\"version\":1,\"answer\":{\"error\":{\"kind\":\"not-done\",\"text\":\"a\\u001bb\"}}}\n");
        assert_eq!(refused, "the daemon says: a\\u{1b}b");
        let foreign =
            says(b"{\"version\":1,\"answer\":{\"error\":{\"kind\":\"not-allowed\",\"text\":\"\"}}}\n");
        assert!(foreign.contains("with sudo"), "{foreign}");
    }

    #[test]
    fn without_a_daemon_the_next_step_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let absent = ask(&path, &Request::Reload).unwrap_err().to_string();
        assert!(absent.contains("is `aldabad run` running?"), "{absent}");
        drop(UnixListener::bind(&path).unwrap());
        assert!(matches!(ask(&path, &Request::Reload), Err(ControlError::NoDaemon { .. })));
    }
}
