//! The configuration that `aldabad init` writes: short, with the reasons beside what it says.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use aldaba_gate::spa::Host;
use aldaba_runner::door::{PortRange, Transport};

/// What a new configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The UDP port.
    pub port: u16,
    /// Where clients find the server.
    pub hosts: Vec<Host>,
    /// Where it captures; none: everywhere.
    pub interfaces: Vec<String>,
    /// Where it keeps state, if not in the usual place.
    pub state_dir: Option<PathBuf>,
    /// What it opens.
    pub doors: Vec<DoorWanted>,
}

/// A door of a new configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorWanted {
    /// Its name.
    pub name: String,
    /// The service behind it.
    pub ports: Vec<PortRange>,
    /// How long it stays open; `None` for the default.
    pub lease: Option<Duration>,
    /// What keeps it closed.
    pub guard: Guard,
}

/// What keeps a door closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// aldaba's own table.
    OwnTable,
    /// The host's own ruleset, which asks these sets.
    Sets {
        /// The set of IPv4 addresses, as `inet filter ssh_v4`.
        v4: Option<String>,
        /// That of IPv6 addresses.
        v6: Option<String>,
        /// Which part of the ruleset drops.
        because: String,
        /// What makes the sets and lets their members in.
        commands: Vec<String>,
    },
    /// The host's own iptables, in which commands open and close: its tables take no sets.
    Iptables {
        /// Which part of the ruleset drops.
        because: String,
    },
}

impl Settings {
    /// The whole file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut page = String::from(HEAD);
        if self.interfaces.is_empty() {
            page.push_str("# Without this line: every interface.\n# interfaces = [\"eth0\"]\n");
        } else {
            line(&mut page, "interfaces", &list(&self.interfaces));
        }
        page.push_str(&self.section());
        page
    }

    /// `state-dir`, `[spa]` and the doors alone: what is missing in a configuration without them.
    #[must_use]
    pub fn section(&self) -> String {
        let mut page = String::new();
        if let Some(folder) = &self.state_dir {
            line(&mut page, "state-dir", &quoted(&folder.to_string_lossy()));
        }
        page.push_str(PORT);
        line(&mut page, "port", &self.port.to_string());
        page.push_str(HOSTS);
        let hosts: Vec<String> = self.hosts.iter().map(Host::to_string).collect();
        if hosts.is_empty() {
            page.push_str("# hosts = [\"gw.example.net\", \"192.0.2.7\"]\n");
        } else {
            line(&mut page, "hosts", &list(&hosts));
        }
        for door in &self.doors {
            door.write(&mut page);
        }
        page
    }
}

const HEAD: &str = "\
# Made by `aldabad init`. See aldaba.toml(5); `aldabad check` says what is wrong or doubtful.

";
const PORT: &str = "
[spa]
# The UDP port that clients send to, chosen at random. The firewall may drop it: datagrams are captured before.
";
const HOSTS: &str = "\
# Where clients find this host, up to eight names and addresses. New bundles say so: after a change,
# `aldabad user bundle NAME` prints one again.
";

impl DoorWanted {
    fn write(&self, page: &mut String) {
        page.push_str("\n[[door]]\n");
        line(page, "name", &quoted(&self.name));
        line(page, "spa", "true");
        let ports: Vec<String> = self.ports.iter().map(PortRange::to_string).collect();
        match &self.guard {
            Guard::OwnTable => {
                page.push_str(OWN_TABLE);
                line(page, "ports", &list(&ports));
            }
            Guard::Iptables { .. } => {}
            Guard::Sets { v4, v6, because, commands } => {
                comment(page, &format!("{because}, and no other table can lift that."));
                page.push_str(SETS);
                for command in commands {
                    comment(page, &format!("    {command}"));
                }
                for (key, set) in [("set-v4", v4), ("set-v6", v6)] {
                    if let Some(set) = set {
                        line(page, key, &quoted(set));
                    }
                }
                page.push_str("# What stands behind the door, for the clients.\n");
                line(page, "service", &list(&ports));
            }
        }
        if let Guard::Iptables { because } = &self.guard {
            comment(page, &format!("{because}, and no other table can lift that."));
            page.push_str(IPTABLES);
            for (key, change) in [("start", "-I"), ("stop", "-D")] {
                for (suffix, program) in [("", "iptables"), ("-v6", "ip6tables")] {
                    line(page, &format!("{key}{suffix}"), &list(&self.iptables(program, change)));
                }
            }
            page.push_str("# What stands behind the door, for the clients.\n");
            line(page, "service", &list(&ports));
        }
        if let Some(lease) = self.lease {
            line(page, "lease", &quoted(&crate::wording::short(lease)));
        }
    }
}

impl DoorWanted {
    /// A command that lets an address in, or no longer. Ports of one transport: two need two doors.
    fn iptables(&self, program: &str, change: &str) -> Vec<String> {
        let of =
            |range: &&PortRange| Some(range.transport) == self.ports.first().map(|first| first.transport);
        let numbers = |range: &PortRange| match range {
            PortRange { first, last, .. } if first == last => first.to_string(),
            PortRange { first, last, .. } => format!("{first}:{last}"),
        };
        let ports: Vec<String> = self.ports.iter().filter(of).map(numbers).collect();
        let udp = self.ports.first().is_some_and(|range| range.transport == Transport::Udp);
        let mut words = vec![format!("/usr/sbin/{program}")];
        words.extend(["-w", change, "INPUT", "-s", "{ip}", "-p"].map(str::to_owned));
        words.push(if udp { "udp" } else { "tcp" }.to_owned());
        if ports.len() > 1 {
            words.extend(["-m", "multiport", "--dports"].map(str::to_owned));
        } else {
            words.push("--dport".to_owned());
        }
        words.push(ports.join(","));
        words.extend(["-j", "ACCEPT"].map(str::to_owned));
        words
    }
}

const IPTABLES: &str = "\
# That ruleset is iptables', whose tables take no sets. So commands let in whoever knocks, and shut him out again.
";
const OWN_TABLE: &str = "\
# Closed in a table of aldaba's own for everybody but those who knocked; established connections stay.
";
const SETS: &str = "\
# So the address of whoever knocks goes into sets of that ruleset, which must be there and be asked, also after a boot:
";

fn comment(page: &mut String, text: &str) {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    // Writing to a string cannot fail.
    let _ = writeln!(page, "# {plain}");
}

fn line(page: &mut String, key: &str, value: &str) {
    let _ = writeln!(page, "{key} = {value}");
}

fn list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", words.join(", "))
}

/// What stands in these has no quotes and no control characters; what has is refused when it is read back.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
