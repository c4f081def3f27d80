//! `aldabad init`: everything a server needs before its first device. What is there is kept and named, what is missing is
//! made, and at the end stands the next command.
//!
//! It changes files only. The firewall is looked at and left alone: a port closed before anybody has a key would shut out
//! the administrator.

pub mod example;
pub mod hosts;
pub mod identity;
mod look;
mod port;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aldaba_config::{Disk, Kind, Loaded, Options, Receive, Report, Spa};
use aldaba_gate::spa::Host;
use aldaba_runner::door::PortRange;
use clap::Args;

pub use example::Settings;
use example::{DoorWanted, Guard};
use identity::{CONFIG, Fate, make_config, make_identity};
pub use identity::{Folders, InitError, Part, make};
use look::{Advice, Look};

use crate::cli::AskArgs;
use crate::control::{self, Answer, Request};
use crate::log::aside;
use crate::run::STATE_DIR;
use crate::site::{Failed, command, paint};
use crate::surroundings::Surroundings;

/// What is added to a configuration that has no `[spa]` yet.
const DROP_IN: &str = "conf.d/spa.toml";

/// `aldabad init`.
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// The folder of configuration, keys and registry
    #[arg(long, value_name = "DIR", default_value = "/etc/aldaba")]
    dir: PathBuf,
    /// The folder for the daemon's state [default: the configuration's `state-dir`, or /var/lib/aldaba]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Where clients find this server [default: its full name and its global addresses]
    #[arg(long, value_name = "NAME-OR-ADDRESS")]
    host: Vec<Host>,
    /// The UDP port clients send to [default: a random one]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// A door and the ports behind it, as web=80,443 or dns=53/udp [default: ssh=22/tcp]
    #[arg(long, value_name = "NAME=PORTS", value_parser = door)]
    door: Vec<(String, Vec<PortRange>)>,
}

/// `web=80,443/tcp`.
fn door(text: &str) -> Result<(String, Vec<PortRange>), String> {
    let (name, ports) = text.split_once('=').ok_or("write it like ssh=22/tcp")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || name.len() > 64 || !name.chars().all(plain) {
        return Err(format!("{name:?} is not the name of a door"));
    }
    let ports =
        ports.split(',').map(|text| aldaba_config::ports(text.trim())).collect::<Result<Vec<_>, _>>()?;
    Ok((name.to_owned(), ports))
}

/// Runs the command.
#[must_use]
pub fn run(args: &InitArgs, surroundings: &Surroundings) -> ExitCode {
    match Init::new(args, surroundings).and_then(|init| init.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => failed.told(),
    }
}

struct Init<'a> {
    args: &'a InitArgs,
    surroundings: &'a Surroundings,
    own_uid: u32,
    main: PathBuf,
    look: Look,
}

/// What the doors of a new configuration stand on.
type Doors = Vec<(DoorWanted, Advice)>;

impl<'a> Init<'a> {
    fn new(args: &'a InitArgs, surroundings: &'a Surroundings) -> Result<Self, Failed> {
        let main = std::path::absolute(&args.dir).map_err(Failed::kernel("the current folder"))?.join(CONFIG);
        Ok(Self { args, surroundings, own_uid: surroundings.uid, main, look: Look::at_this_host() })
    }

    fn run(&self) -> Result<(), Failed> {
        let mut settings = self.basis()?;
        let before = self.load();
        let state = self.state(before.as_ref().ok());
        let folders = Folders { config: self.main.with_file_name(""), state };
        // Written once in all files; where the files cannot be read yet, it may stand there.
        let says_where = |loaded: &Loaded| loaded.policy.daemon.state_dir.is_some();
        if self.main.exists() && before.as_ref().map_or(true, says_where) {
            settings.state_dir = None;
        }
        let mut parts = make_identity(&folders).map_err(|error| made_nothing(&error, self.own_uid))?;
        let doors = match self.missing(before) {
            Missing::Nothing => Vec::new(),
            Missing::All => self.write(&self.main, self.wanted_doors(), settings, &mut parts)?,
            Missing::Section { doors } => {
                let doors = if doors { self.wanted_doors() } else { Vec::new() };
                self.write(&self.main.with_file_name("").join(DROP_IN), doors, settings, &mut parts)?
            }
        };
        let loaded = self.load().map_err(Failed::Config)?;
        for warning in &loaded.warnings {
            aside(&format!("{}\n", warning.render(paint())));
        }
        self.report(&parts, &doors, &loaded)
    }

    fn load(&self) -> Result<Loaded, Report> {
        let options = Options { own_uid: self.own_uid, ..Options::default() };
        aldaba_config::load(Kind::Toml, &self.main, &mut Disk, &options)
    }

    fn state(&self, loaded: Option<&Loaded>) -> PathBuf {
        let configured = loaded.and_then(|loaded| loaded.policy.daemon.state_dir.clone());
        self.args.state_dir.clone().or(configured).unwrap_or_else(|| STATE_DIR.into())
    }

    /// What the configuration lacks. One with errors is left as it is, unless the errors are what is missing.
    fn missing(&self, before: Result<Loaded, Report>) -> Missing {
        if !self.main.exists() {
            return Missing::All;
        }
        // With the keys there, another reading may find less.
        let now = if before.is_err() { self.load() } else { before };
        match now {
            Ok(loaded) if loaded.policy.spa.is_some() => Missing::Nothing,
            Ok(_) => Missing::Section { doors: true },
            Err(report) if report.diagnostics.iter().any(|found| found.code == "no-spa") => {
                Missing::Section { doors: false }
            }
            Err(_) => Missing::Nothing,
        }
    }

    fn wanted_doors(&self) -> Doors {
        let usual = || vec![("ssh".to_owned(), aldaba_config::ports("22/tcp").into_iter().collect())];
        let wanted = if self.args.door.is_empty() { usual() } else { self.args.door.clone() };
        let advised = wanted.into_iter().map(|(name, ports)| {
            let advice = self.look.advise(&name, &ports);
            (DoorWanted { name, ports, lease: None, guard: advice.guard.clone() }, advice)
        });
        advised.collect()
    }

    /// What a new configuration says, but for its doors. Asked before anything is made.
    fn basis(&self) -> Result<Settings, Failed> {
        let port = match self.args.port {
            // The port of a daemon that runs already is in use.
            Some(port)
                if !self.main.exists() && !port::is_free(port).map_err(Failed::kernel("a UDP socket"))? =>
            {
                return Err(Failed::new(format!("UDP port {port} is in use"), "choose another one, or none"));
            }
            Some(port) => port,
            None => port::choose()?,
        };
        let hosts =
            if self.args.host.is_empty() { hosts::found()? } else { hosts::of(&self.args.host, &[])? };
        let state = self.args.state_dir.as_deref().filter(|folder| *folder != Path::new(STATE_DIR));
        let state_dir = state.map(std::path::absolute).transpose();
        let state_dir = state_dir.map_err(Failed::kernel("the current folder"))?;
        Ok(Settings { port, hosts, interfaces: Vec::new(), state_dir, doors: Vec::new() })
    }

    /// Writes a new configuration, or what one lacks.
    fn write(
        &self,
        path: &Path,
        doors: Doors,
        mut settings: Settings,
        parts: &mut Vec<Part>,
    ) -> Result<Doors, Failed> {
        settings.doors = doors.iter().map(|(door, _)| door.clone()).collect();
        let text = if path == self.main { settings.text() } else { settings.section() };
        parts.push(make_config(path, &text).map_err(|error| made_nothing(&error, self.own_uid))?);
        Ok(doors)
    }

    fn report(&self, parts: &[Part], doors: &Doors, loaded: &Loaded) -> Result<(), Failed> {
        for part in parts {
            aside(&line_of(part));
        }
        if !parts.iter().any(|part| part.what == "configuration") {
            aside(&format!("kept  {:24} {}", "configuration", self.main.display()));
        }
        let Some(spa) = &loaded.policy.spa else {
            let what = format!("{} has no [spa]", self.main.display());
            return Err(Failed::new(what, "see aldaba.toml(5)"));
        };
        aside(&format!("\nClients send to UDP port {}.", spa.port));
        let shown = |hosts: &[Host]| hosts.iter().map(Host::to_string).collect::<Vec<_>>().join(", ");
        match hosts::of(&[], &spa.hosts) {
            Ok(hosts) => aside(&format!(
                "They find this host at: {}\n  (another name or address: hosts = [...] in [spa])",
                shown(&hosts)
            )),
            Err(_) => aside("Where they find this host is not known: write hosts = [...] into [spa]."),
        }
        self.report_firewall(doors, spa);
        self.report_next(loaded);
        Ok(())
    }

    fn report_firewall(&self, doors: &Doors, spa: &Spa) {
        for (door, advice) in doors {
            aside(&format!("\nThe firewall, for door {}: {}.", door.name, advice.seen));
            match &door.guard {
                Guard::OwnTable => aside(
                    "So aldaba closes it in a table of its own, from the start of the daemon, for whoever has no key.\n\
                     Connections that stand go on: keep one open until a new one has worked.",
                ),
                Guard::Sets { commands, .. } => {
                    aside("Nothing that aldaba accepts lifts that, so your ruleset must ask a set. Run:");
                    for command in commands {
                        aside(&format!("  {command}"));
                    }
                    aside(
                        "and write the same into the file it is loaded from (/etc/nftables.conf), or it ends with the next boot.",
                    );
                }
                Guard::Iptables { .. } => {
                    aside("So the door opens and closes with iptables commands.");
                }
            }
        }
        for note in self.look.notes(spa.port, spa.receive == Receive::Capture) {
            aside(&format!("\nNote: {note}"));
        }
    }

    fn report_next(&self, loaded: &Loaded) {
        let say = |words: &str| command(&self.main, words);
        let devices = loaded.policy.spa.as_ref().map_or(0, |spa| spa.devices.len());
        // One that runs needs to be told, and no second one.
        let start = say(if self.is_served() { "reload" } else { "run" });
        aside("");
        if devices == 0 {
            aside("next, on your device: aldaba keygen");
            aside(&format!("then here:            {}", say("user add NAME")));
            aside(&format!("then here:            {start}"));
        } else {
            aside(&format!("next: {start}"));
            aside(&format!("      {}", say("user list")));
        }
    }
}

impl Init<'_> {
    /// Whether a daemon runs with this very configuration.
    fn is_served(&self) -> bool {
        let ask = AskArgs { config: self.main.clone(), control: None };
        let Ok(Answer::Status(status)) = control::ask(&ask.socket(self.surroundings), &Request::Status)
        else {
            return false;
        };
        let whole = |path: &Path| std::fs::canonicalize(path).ok();
        whole(Path::new(&status.configuration.path)) == whole(&self.main)
    }
}

/// What a configuration lacks.
enum Missing {
    Nothing,
    All,
    Section {
        /// Doors too.
        doors: bool,
    },
}

fn made_nothing(error: &InitError, own_uid: u32) -> Failed {
    let help = if own_uid != 0 {
        "run it as root, or name folders of your own: --dir DIR --state-dir DIR"
    } else {
        "what is made already is kept: run aldabad init again when that is mended"
    };
    Failed::new(error, help)
}

fn line_of(Part { what, path, fate }: &Part) -> String {
    let (word, more) = match fate {
        Fate::Made => ("made", ""),
        Fate::Kept => ("kept", ""),
        Fate::Lost => ("lost", " (the daemon makes a new one, and refuses everybody for a minute)"),
    };
    format!("{word}  {what:24} {}{more}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_are_read_as_they_are_written() {
        let (name, ports) = door("web=80,8000-8010/tcp,443/udp").unwrap();
        let texts: Vec<String> = ports.iter().map(PortRange::to_string).collect();
        assert_eq!((name.as_str(), texts.join(" ").as_str()), ("web", "80/tcp 8000-8010/tcp 443/udp"));
        for bad in ["web", "=22", "we b=22", "web=", "web=0", "web=22/icmp"] {
            assert!(door(bad).is_err(), "{bad}");
        }
    }
}
