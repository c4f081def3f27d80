//! The system log: datagrams of the form that the C library sends (`<PRI>Mmm dd hh:mm:ss IDENT: MESSAGE`), but never waited for.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use jiff::ZonedDateTime;

/// Where it listens.
const SOCKET: &str = "/dev/log";
/// Facility daemon (3), priority notice (5).
const PRIORITY: u8 = 3 << 3 | 5;

/// The way there.
#[derive(Debug)]
pub(super) struct Syslog {
    ident: &'static str,
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    /// Opened now, while this process may still reach it; lines bear this name.
    pub(super) fn open(ident: &'static str) -> Self {
        Self::at(ident, Path::new(SOCKET))
    }

    fn at(ident: &'static str, path: &Path) -> Self {
        Self { ident, path: path.to_owned(), socket: connect(path).ok() }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// Nobody takes it: it is lost.
    pub(super) fn send(&mut self, message: &str) -> io::Result<()> {
        let now = ZonedDateTime::now().strftime("%b %e %H:%M:%S").to_string();
        let line = format!("<{PRIORITY}>{now} {}: {message}", self.ident);
        if let Some(socket) = &self.socket {
            match socket.send(line.as_bytes()) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                // It has ended, and may have begun anew.
                Err(_) => self.socket = None,
            }
        }
        let socket = self.socket.insert(connect(&self.path)?);
        socket.send(line.as_bytes()).map(drop)
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 200];
        let length = socket.recv(&mut bytes).expect("a line");
        String::from_utf8(bytes[..length].to_vec()).expect("text")
    }

    #[test]
    fn lines_have_the_form_of_the_c_librarys() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let listener = UnixDatagram::bind(&path).unwrap();
        Syslog::at("knockd", &path).send("door: Stage 1\n").unwrap();
        let line = received(&listener);
        let (stamp, rest) = line.split_at("<29>Nov 27 09:50:00 ".len());
        assert!(stamp.starts_with("<29>") && stamp.matches(':').count() == 2, "{line}");
        assert_eq!(rest, "knockd: door: Stage 1\n");
    }

    #[test]
    fn one_that_does_not_read_is_not_waited_for_and_one_that_begins_anew_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut syslog = Syslog::at("aldabad", &path);
        assert!(syslog.send("nobody is there").is_err());
        let listener = UnixDatagram::bind(&path).unwrap();
        let sent = (0..100_000).take_while(|_| syslog.send("line").is_ok()).count();
        assert!(sent > 0 && sent < 100_000, "{sent}");
        drop(listener);
        std::fs::remove_file(&path).unwrap();
        assert!(syslog.send("gone").is_err());
        let listener = UnixDatagram::bind(&path).unwrap();
        syslog.send("there again").unwrap();
        assert!(received(&listener).ends_with("aldabad: there again"));
    }
}
