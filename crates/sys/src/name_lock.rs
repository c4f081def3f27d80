//! A lock by name within one network namespace: a socket with an abstract name (unix(7)). Such names are each network
//! namespace's own, and go with whoever has bound them, however that one ends.
//!
//! Anybody can bind one. So the kernel is asked whose it is, and only root, or this user, is believed: nobody else can keep a
//! daemon from starting.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen, socket_with,
};

use crate::clock;
use crate::option;
use crate::process::effective_uid;

/// Questions that may wait, until [`NameLock::turn_away`]. Who finds no room does not learn whose the lock is.
const BACKLOG: i32 = 256;
/// Questions that are turned away at a time.
const AT_ONCE: usize = 512;
/// Who has just bound it may be about to say who it is: so often, and so long, that is waited for.
const LOOKS: usize = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// The lock; let go when it is dropped.
#[derive(Debug)]
pub struct NameLock {
    socket: OwnedFd,
}

/// Why it was not had.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// Root, or this user, has it.
    #[error("another process has it{}", holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Held {
        /// Its process number, where this PID namespace has one for it.
        holder: Option<u32>,
    },
    /// Somebody has it who is not believed.
    #[error("{} has taken its name", uid.map_or_else(|| "somebody".to_owned(), |uid| format!("uid {uid}")))]
    Stranger {
        /// Who, where the kernel tells.
        uid: Option<u32>,
    },
    /// The kernel.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl NameLock {
    /// Takes the lock of this name, or says who has it.
    pub fn acquire(name: &str) -> Result<Self, NameError> {
        Self::acquire_with(name, || clock::rest(PAUSE))
    }

    fn acquire_with(name: &str, mut pause: impl FnMut()) -> Result<Self, NameError> {
        for _ in 1..LOOKS {
            match Self::take(name) {
                Err(NameError::Stranger { uid: None }) => pause(),
                done => return done,
            }
        }
        Self::take(name)
    }

    fn take(name: &str) -> Result<Self, NameError> {
        let socket = socket()?;
        match bind(&socket, &address(name)?) {
            Ok(()) => {
                // Only of who listens the kernel says who it is.
                listen(&socket, BACKLOG).map_err(io::Error::from)?;
                Ok(Self { socket })
            }
            Err(Errno::ADDRINUSE) => Err(holder(name)?),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// Makes room for those who ask whose it is: the kernel has answered them.
    pub fn turn_away(&self) {
        for _ in 0..AT_ONCE {
            if accept_with(&self.socket, SocketFlags::CLOEXEC).is_err() {
                return;
            }
        }
    }
}

/// Who has a name that is taken.
fn holder(name: &str) -> io::Result<NameError> {
    let socket = socket()?;
    // It does not wait: who does not listen, or has no room, is not known.
    if connect(&socket, &address(name)?).is_err() {
        return Ok(NameError::Stranger { uid: None });
    }
    // Who it was that began to listen: a `struct ucred`.
    let [pid, uid, _gid] = option::numbers(socket.as_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED)?;
    Ok(judged(pid, uid, effective_uid()))
}

/// What one who has begun to listen as this user is to us.
fn judged(pid: u32, uid: u32, ours: u32) -> NameError {
    if uid == 0 || uid == ours {
        // Zero: of another PID namespace.
        NameError::Held { holder: (pid > 0).then_some(pid) }
    } else {
        NameError::Stranger { uid: Some(uid) }
    }
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

fn address(name: &str) -> io::Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new_abstract_name(name.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(part: &str) -> String {
        format!("aldaba-test/{}/{part}", std::process::id())
    }

    fn held(name: &str) -> Option<u32> {
        match NameLock::acquire(name) {
            Err(NameError::Held { holder }) => holder,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_name_has_one_holder_who_is_known_however_often_it_is_asked_for() {
        let name = name("one");
        let lock = NameLock::acquire(&name).unwrap();
        for _ in 0..3 {
            for _ in 0..BACKLOG {
                assert_eq!(held(&name), Some(std::process::id()));
            }
            lock.turn_away();
        }
        drop(NameLock::acquire(&format!("{name}-more")).unwrap());
        drop(lock);
        NameLock::acquire(&name).unwrap();
    }

    #[test]
    fn root_and_this_user_are_believed_and_nobody_else_is() {
        let held = |pid, uid, ours| match judged(pid, uid, ours) {
            NameError::Held { holder } => Ok(holder),
            NameError::Stranger { uid } => Err(uid),
            NameError::Io(error) => panic!("{error}"),
        };
        for (uid, ours) in [(0, 0), (0, 990), (990, 990)] {
            assert_eq!(held(7, uid, ours), Ok(Some(7)));
            assert_eq!(held(0, uid, ours), Ok(None), "seen from here it has no number");
        }
        for (uid, ours) in [(1000, 0), (1000, 990)] {
            assert_eq!(held(7, uid, ours), Err(Some(1000)));
        }
    }

    #[test]
    fn who_has_just_bound_it_is_waited_for_and_not_for_ever() {
        let name = name("new");
        let new = socket().unwrap();
        bind(&new, &address(&name).unwrap()).unwrap();
        let mut pauses = 0;
        let mute = NameLock::acquire_with(&name, || pauses += 1);
        assert!(matches!(mute, Err(NameError::Stranger { uid: None })));
        assert_eq!(pauses, LOOKS - 1);
        // At the last pause it says who it is.
        let held = NameLock::acquire_with(&name, || {
            pauses -= 1;
            if pauses == 0 {
                listen(&new, 1).unwrap();
            }
        });
        assert!(matches!(held, Err(NameError::Held { holder }) if holder == Some(std::process::id())));
    }

    #[test]
    fn who_does_not_say_who_it_is_is_not_believed() {
        let name = name("mute");
        let mute = socket().unwrap();
        bind(&mute, &address(&name).unwrap()).unwrap();
        assert!(matches!(NameLock::acquire(&name), Err(NameError::Stranger { uid: None })));
        listen(&mute, 0).unwrap();
        assert_eq!(held(&name), Some(std::process::id()));
        // No room any more.
        while !matches!(NameLock::take(&name), Err(NameError::Stranger { uid: None })) {}
        assert!(matches!(NameLock::acquire(&name), Err(NameError::Stranger { uid: None })));
    }
}
