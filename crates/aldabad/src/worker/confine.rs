//! How the worker locks itself in, before it reads anything.

use std::ffi::{OsStr, OsString};

use aldaba_sys::channel::Channel;
use aldaba_sys::privileges::{self, Dropped, Identity};
use aldaba_sys::sandbox;
use aldaba_sys::signals::{self, Signal};
use std::os::fd::AsFd as _;

/// Descriptors a worker may have: the channel and its captures.
const DESCRIPTORS: u64 = 256;

/// What the monitor tells a worker on its command line: who to become, and whether to close the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confinement {
    /// Who to become.
    pub identity: Identity,
    /// Whether seccomp must hold; only an explicit option of the administrator's says no.
    pub sandbox: bool,
}

impl Confinement {
    /// As arguments of the worker.
    #[must_use]
    pub fn arguments(&self) -> [OsString; 3] {
        let words = [self.identity.uid, self.identity.gid, u32::from(self.sandbox)];
        words.map(|word| word.to_string().into())
    }

    /// From the arguments of the worker, without its name.
    #[must_use]
    pub fn from_arguments(arguments: &[OsString]) -> Option<Self> {
        let number = |word: &OsStr| word.to_str()?.parse::<u32>().ok();
        let [uid, gid, sandbox] = arguments else { return None };
        let identity = Identity { uid: number(uid)?, gid: number(gid)? };
        Some(Self { identity, sandbox: number(sandbox)? != 0 })
    }

    /// Locks this process in. `Ok(true)`: it kept the uid it had.
    pub(super) fn enter(&self, channel: &Channel) -> Result<bool, String> {
        // It ends with its channel, never before the monitor: that one's signals are not its own.
        signals::ignore(&[Signal::Hup, Signal::Int, Signal::Term]).map_err(|error| error.to_string())?;
        let dropped = privileges::drop_to(self.identity).map_err(|error| error.to_string())?;
        privileges::limit_worker(DESCRIPTORS).map_err(|error| error.to_string())?;
        if self.sandbox {
            sandbox::enter(channel.as_fd()).map_err(|error| error.to_string())?;
        }
        Ok(dropped == Dropped::KeptUid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_back() {
        for sandbox in [true, false] {
            let one = Confinement { identity: Identity { uid: 61_184, gid: 61_185 }, sandbox };
            assert_eq!(Confinement::from_arguments(&one.arguments()), Some(one));
        }
        assert_eq!(Confinement::from_arguments(&["0".into(), "0".into()]), None);
        assert_eq!(Confinement::from_arguments(&["a".into(), "0".into(), "1".into()]), None);
    }
}
