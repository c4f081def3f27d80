//! How the worker locks itself in, before it reads anything.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd as _;

use aldaba_sys::channel::Channel;
use aldaba_sys::landlock;
use aldaba_sys::pnet_capture::LinkKind;
use aldaba_sys::privileges::{self, Dropped, Identity, Room};
use aldaba_sys::sandbox::{self, Stderr};
use aldaba_sys::signals::{self, Signal};

/// Descriptors a worker may have: the channel and its captures.
const DESCRIPTORS: u64 = 256;

/// The next step where the list of system calls cannot be had.
const NO_SECCOMP: &str = "\n  help: the kernel needs seccomp (CONFIG_SECCOMP_FILTER), and a container must not take it away; \
                          aldabad run --insecure-no-sandbox does without, and says so";

/// What the monitor tells a worker on its command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement {
    /// Who to become.
    pub identity: Identity,
    /// Whether seccomp must hold; only an explicit option of the administrator's says no.
    pub sandbox: bool,
    /// What it may take at most.
    pub room: Room,
    /// Sockets for pnet that come beside the channel, in their order: what their frames begin with, and the
    /// interface.
    pub pnet: Vec<(LinkKind, u32)>,
}

/// How far a worker has locked itself in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confined {
    /// It runs under the daemon's own user id because it may not change it.
    pub kept_uid: bool,
    /// The version of Landlock in force; 0: none.
    pub landlock: u8,
}

impl Confinement {
    /// As arguments of the worker.
    #[must_use]
    pub fn arguments(&self) -> Vec<OsString> {
        let [uid, gid] = [self.identity.uid, self.identity.gid].map(u64::from);
        let numbers = [uid, gid, u64::from(self.sandbox), self.room.memory, self.room.file];
        let pnet = self.pnet.iter().map(|(link, index)| {
            let link = if *link == LinkKind::Ethernet { "ethernet" } else { "ip" };
            OsString::from(format!("{link}:{index}"))
        });
        numbers.iter().map(|number| number.to_string().into()).chain(pnet).collect()
    }

    /// From the arguments of the worker, without its name.
    #[must_use]
    pub fn from_arguments(arguments: &[OsString]) -> Option<Self> {
        let number = |word: &OsStr| word.to_str()?.parse::<u32>().ok();
        let size = |word: &OsStr| word.to_str()?.parse::<u64>().ok();
        let [uid, gid, sandbox, memory, file, pnet @ ..] = arguments else { return None };
        let pnet = pnet.iter().map(|word| pnet_socket(word)).collect::<Option<_>>()?;
        let identity = Identity { uid: number(uid)?, gid: number(gid)? };
        let room = Room { memory: size(memory)?, file: size(file)? };
        Some(Self { identity, sandbox: number(sandbox)? != 0, room, pnet })
    }

    /// Locks this process in, for good.
    pub fn enter(&self, channel: &Channel) -> Result<Confined, String> {
        // It ends with its channel, never before the monitor: that one's signals are not its own.
        // Nor for a file that is as long as it may be: then writing fails, and is told of.
        signals::ignore(&[Signal::Hangup, Signal::Interrupt, Signal::Terminate, Signal::FileTooLong])
            .map_err(|error| error.to_string())?;
        let dropped = privileges::drop_to(self.identity).map_err(|error| error.to_string())?;
        privileges::limit_worker(DESCRIPTORS, self.room).map_err(|error| error.to_string())?;
        // Before Landlock, which leaves no path to /dev/null.
        let stderr = self.sandbox.then(sandbox::let_go_of_stderr).transpose();
        let stderr = stderr.map_err(|error| error.to_string())?;
        let landlock = landlock::deny_everything();
        if let Some(stderr) = stderr {
            close_sandbox(channel, self.room, stderr)?;
        }
        Ok(Confined { kept_uid: dropped == Dropped::KeptUid, landlock })
    }
}

/// Where that fails nothing was read yet, and standard error is what it was: the reason is heard.
fn close_sandbox(channel: &Channel, room: Room, stderr: Stderr) -> Result<(), String> {
    let Err(error) = sandbox::enter(channel.as_fd(), room.file) else { return Ok(()) };
    stderr.put_back().map_err(|error| error.to_string())?;
    Err(format!("{error}{NO_SECCOMP}"))
}

fn pnet_socket(word: &OsStr) -> Option<(LinkKind, u32)> {
    let (link, index) = word.to_str()?.split_once(':')?;
    let link = match link {
        "ethernet" => LinkKind::Ethernet,
        "ip" => LinkKind::Ip,
        _ => return None,
    };
    Some((link, index.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_back() {
        for sandbox in [true, false] {
            let pnet = vec![(LinkKind::Ethernet, 2), (LinkKind::Ip, 7)];
            let room = Room { memory: u64::MAX, file: 1 << 40 };
            let one = Confinement { identity: Identity { uid: 61_184, gid: 61_185 }, sandbox, room, pnet };
            assert_eq!(Confinement::from_arguments(&one.arguments()), Some(one));
        }
        assert_eq!(Confinement::from_arguments(&["0".into(), "0".into()]), None);
        let words = |first: &str| [first, "0", "1", "2", "3"].map(OsString::from);
        assert_eq!(Confinement::from_arguments(&words("a")), None);
        assert!(Confinement::from_arguments(&words("0")).is_some());
    }
}
