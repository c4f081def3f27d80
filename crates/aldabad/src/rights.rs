//! What the monitor keeps of the capabilities it was started with (docs/architecture.md, "Processes").

use std::path::{Path, PathBuf};

use aldaba_config::{Capabilities, Policy};
use aldaba_sys::privileges::{self, Kept, PrivilegeError};

/// `net_admin` and `net_raw` for the firewall and for new capture sockets; `setuid`, `setgid` and `kill` for a new worker.
const OWN: [&str; 5] = ["net_admin", "net_raw", "setuid", "setgid", "kill"];
/// Ports below this one are not for everybody.
const FIRST_FREE_PORT: u16 = 1024;

/// What this daemon may.
#[derive(Debug, Clone, Copy)]
pub struct Rights {
    kept: Kept,
    /// What the policy of the start needs.
    own: u64,
    /// What stop commands of leases from before it may need; given up when those are closed.
    owed: Capabilities,
    /// What commands may have at most, whatever a later policy says.
    commands: Capabilities,
}

fn wanted(policy: &Policy) -> u64 {
    let own = OWN.into_iter().filter_map(Capabilities::named).fold(0, |set, one| set | one.0);
    let low_port = policy.spa.as_ref().is_some_and(|spa| spa.port < FIRST_FREE_PORT);
    let bind = Capabilities::named("net_bind_service").filter(|_| low_port).unwrap_or(Capabilities::NONE);
    own | bind.0 | policy.command_capabilities().0
}

impl Rights {
    /// Gives up what this policy does not need, nor these stop commands of leases from before it.
    pub fn reduce(policy: &Policy, owed: Capabilities) -> Result<Self, PrivilegeError> {
        let own = wanted(policy);
        let kept = privileges::keep(own | owed.0)?;
        let commands = Capabilities(policy.command_capabilities().0 | Capabilities::FIREWALL.0);
        Ok(Self { kept, own, owed, commands })
    }

    /// Whether it has kept more than its policy needs.
    #[must_use]
    pub const fn has_more_for_leases(&self) -> bool {
        self.owed.0 & !self.own != 0
    }

    /// Leases from before the policy are closed: gives up what was kept for them alone.
    pub fn settle(&mut self) -> Result<(), PrivilegeError> {
        if self.has_more_for_leases() {
            self.owed = Capabilities::NONE;
            let kept = privileges::keep(self.own)?;
            self.kept = Kept { given_up: self.kept.given_up | kept.given_up, held: kept.held };
        }
        Ok(())
    }

    /// The set as a limit; `None`: all that the daemon has.
    #[must_use]
    pub fn limit(set: Capabilities) -> Option<u64> {
        (set != Capabilities::ALL).then_some(set.0)
    }

    /// The most that any policy of this daemon lets commands have, and leases from before may need; `None`: all.
    #[must_use]
    pub fn of_commands_at_most(&self) -> Option<u64> {
        Self::limit(Capabilities(self.commands.0 | self.owed.0))
    }

    /// Whether this policy can come into force without a restart. What is kept for leases alone is as good as given up.
    pub fn allow(&self, policy: &Policy) -> Result<(), String> {
        let for_leases = self.kept.held & self.owed.0 & !self.own;
        let missing = Capabilities(wanted(policy) & (self.kept.given_up | for_leases));
        if missing == Capabilities::NONE {
            return Ok(());
        }
        let names = if policy.command_capabilities() == Capabilities::ALL {
            "all capabilities for its commands".to_owned()
        } else {
            format!("the capabilities {}", missing.names().join(", "))
        };
        Err(format!(
            "this configuration wants {names}, which the daemon gave up at its start\n  help: restart the daemon\n"
        ))
    }

    /// Files of this policy that root's capabilities would have opened and that a reload cannot read now.
    #[must_use]
    pub fn unreadable<'p>(&self, config: &'p Path, policy: &'p Policy) -> Vec<&'p Path> {
        if self.kept.given_up == 0 {
            return Vec::new();
        }
        let spa = policy.spa.as_ref().map(|spa| &spa.files);
        let locks = spa.into_iter().flat_map(|files| &files.locks);
        let keys =
            locks.flat_map(|lock| [Some(&lock.server_key), lock.gate_key.as_ref()].into_iter().flatten());
        let registry =
            spa.into_iter().flat_map(|files| [Some(&files.registry), files.psk_seed.as_ref()]).flatten();
        let one_time = policy.one_time.iter().map(|file| &file.path);
        let all = keys.chain(registry).chain(one_time).map(PathBuf::as_path);
        let denied = |path: &&Path| {
            std::fs::File::open(path).is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
        };
        std::iter::once(config).chain(all).filter(denied).collect()
    }
}
