//! Words to the service manager, one datagram each (`sd_notify(3)`).
//!
//! Nobody is waited for: a manager that is slow to read gets the word later, if the caller says it again.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sendto, socket_with};

/// Variables the manager sets for this process alone. A command that found them could speak in its name.
pub const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// The way to the manager.
#[derive(Debug)]
pub struct Notifier {
    socket: OwnedFd,
    to: SocketAddrUnix,
}

impl Notifier {
    /// To the address in `NOTIFY_SOCKET`: a path, or `@` and an abstract name.
    pub fn open(address: &OsStr) -> io::Result<Self> {
        let to = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name)?,
            path @ [b'/', ..] => SocketAddrUnix::new(path)?,
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "neither a path nor an abstract name",
                ));
            }
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        Ok(Self { socket: socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?, to })
    }

    /// Says lines of `NAME=value`. `false`: there is no room now.
    pub fn say(&self, words: &str) -> io::Result<bool> {
        loop {
            match sendto(&self.socket, words.as_bytes(), SendFlags::NOSIGNAL, &self.to) {
                Ok(_) => return Ok(true),
                Err(Errno::AGAIN | Errno::NOBUFS) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::*;

    fn heard(manager: &UnixDatagram) -> String {
        let mut words = [0; 256];
        let length = manager.recv(&mut words).unwrap();
        String::from_utf8_lossy(&words[..length]).into_owned()
    }

    #[test]
    fn a_path_and_an_abstract_name_are_reached() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        assert!(Notifier::open(path.as_os_str()).unwrap().say("READY=1").unwrap());
        assert_eq!(heard(&manager), "READY=1");
        let name = format!("aldaba-notify-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        assert!(Notifier::open(OsStr::new(&format!("@{name}"))).unwrap().say("STOPPING=1").unwrap());
        assert_eq!(heard(&manager), "STOPPING=1");
    }

    #[test]
    fn a_manager_that_does_not_read_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::open(path.as_os_str()).unwrap();
        let said = (0..100_000).take_while(|_| notifier.say("WATCHDOG=1").unwrap()).count();
        assert!(said < 100_000, "the queue is bounded");
        heard(&manager);
        assert!(notifier.say("WATCHDOG=1").unwrap(), "there is room again");
    }

    #[test]
    fn other_addresses_are_refused() {
        for address in ["", "relative", "vsock:2:9999"] {
            assert!(Notifier::open(OsStr::new(address)).is_err(), "{address}");
        }
        let gone = Notifier::open(OsStr::new("/nonexistent/notify")).unwrap();
        assert!(gone.say("READY=1").is_err());
    }
}
