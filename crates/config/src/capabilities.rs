//! Capabilities of the kernel by their names: what the commands of doors may.

use aldaba_runner::door::Style;

use crate::policy::Policy;

/// In the kernel's order (linux/capability.h).
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// A set of capabilities: bit *n* is the kernel's capability *n*.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// None.
    pub const NONE: Self = Self(0);
    /// All there are, also those that come with later kernels.
    pub const ALL: Self = Self(u64::MAX);
    /// What a firewall's tools need: `net_admin` and `net_raw`.
    pub const FIREWALL: Self = Self(1 << 12 | 1 << 13);

    /// The one of this name, as `net_admin`, `NET_ADMIN` or `CAP_NET_ADMIN`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let name = name.strip_prefix("cap_").unwrap_or(&name);
        NAMES.iter().position(|known| *known == name).map(|number| Self(1 << number))
    }

    /// All names.
    pub(crate) fn all_names() -> impl Iterator<Item = &'static str> {
        NAMES.into_iter()
    }

    /// The names of those in it.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        NAMES
            .iter()
            .enumerate()
            .filter(|(number, _)| self.0 >> number & 1 == 1)
            .map(|(_, name)| *name)
            .collect()
    }
}

impl Policy {
    /// What its commands may: what it says; else everything for doors as in knockd.conf, whose lines always had that, and
    /// what a firewall's tools need for other commands. Also where it has none: an earlier policy's leases may have.
    #[must_use]
    pub fn command_capabilities(&self) -> Capabilities {
        let doors = || self.catalogue.doors.iter();
        if let Some(said) = self.daemon.capabilities {
            said
        } else if doors().any(|door| door.style == Style::Knockd) {
            Capabilities::ALL
        } else {
            Capabilities::FIREWALL
        }
    }
}
