//! `aldabad rotate`: a new key beside the old one until a date, and new bundles for all devices. spec/keys.md, section 5.
//!
//! What turns is a line in a file of keys: the new one stands first, the old one gets an end. Nothing else changes, so a
//! rotation that is begun twice or broken off leaves every device that could knock able to knock.

mod bundles;
mod lines;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use aldaba_gate::spa::{KeyKind, Timestamp};
use aldaba_sys::files;
use clap::Args;
use zeroize::Zeroizing;

use crate::cli::{AskArgs, DEFAULT_CONFIG};
use crate::init::identity::new_key;
use crate::log::aside;
use crate::site::{Failed, Site};
use crate::surroundings::Surroundings;
use crate::users::bundle::wall;
use crate::users::reload;

/// How long the old key is good beside the new one, when nobody says otherwise.
const USUAL: Duration = Duration::from_secs(30 * 86_400);
/// A lock is served for this much longer: clocks differ.
const GRACE: Duration = Duration::from_secs(600);

/// `aldabad rotate`.
#[derive(Debug, Clone, Args)]
pub struct RotateArgs {
    /// The day, or moment, up to which the old key is good beside the new one (UTC)
    #[arg(long, value_name = "DATE", conflicts_with = "time")]
    until: Option<String>,
    /// The same from now on, as 30d [default: 30d]
    #[arg(long = "for", value_name = "TIME", id = "time")]
    time: Option<String>,
    /// The old key may be known to others: it ends now, and every device is shut out until it has its new bundle
    #[arg(long, conflicts_with_all = ["until", "time"])]
    at_once: bool,
    /// The gate's pre-shared key, in place of the server's key
    #[arg(long)]
    gate: bool,
    /// End a rotation: take the keys away whose date has passed
    #[arg(long, conflicts_with_all = ["until", "time", "at_once", "gate", "output"])]
    finish: bool,
    /// The folder for the new bundles [default: bundles, beside the configuration]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// The running daemon's control socket [default: the configuration's `control`, or /run/aldaba/control.sock]
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
}

/// Runs the command.
#[must_use]
pub fn run(args: &RotateArgs, surroundings: &Surroundings) -> ExitCode {
    let server = AskArgs { config: args.config.clone(), control: args.control.clone() };
    let done = Site::open(&server, surroundings)
        .and_then(|site| if args.finish { finish(site) } else { begin(site, args) });
    done.map_or_else(|failed| failed.told(), |()| ExitCode::SUCCESS)
}

/// When the old key ends.
fn end(args: &RotateArgs, now: Timestamp) -> Result<Timestamp, Failed> {
    let whole_seconds = |moment: Timestamp| Timestamp(moment.0 / 1_000_000 * 1_000_000);
    let until = match (&args.until, &args.time) {
        (Some(date), _) => aldaba_config::moment(date).ok_or_else(|| {
            Failed::new(format!("{date:?} is neither a day nor a moment"), "write it like 2027-01-01")
        })?,
        (None, Some(time)) => {
            let time = aldaba_config::duration(time).ok_or_else(|| {
                Failed::new(format!("{time:?} is not a length of time"), "write it like 30d or 12h")
            })?;
            whole_seconds(now.after(time))
        }
        (None, None) => whole_seconds(now.after(USUAL)),
    };
    if until > now {
        return Ok(until);
    }
    Err(Failed::new(
        "that time has passed",
        "name a later one; to end the old key now: aldabad rotate --at-once",
    ))
}

fn begin(site: Site, args: &RotateArgs) -> Result<(), Failed> {
    let now = wall();
    let until = if args.at_once { None } else { Some(end(args, now)?) };
    let (files, kind) = if args.gate {
        (gate_files(&site), KeyKind::Gate)
    } else {
        (server_files(&site), KeyKind::ServerSecret)
    };
    if files.is_empty() {
        return Err(Failed::new(
            "the gate is turned off (gate-key = \"none\")",
            "write gate-key into [spa] first",
        ));
    }
    let hosts = crate::init::hosts::of(&[], &site.spa.hosts)?;
    let site = change(site, &files, |text| {
        let key = new_key(kind).map_err(Failed::kernel("random numbers"))?;
        Ok(match until {
            Some(until) => lines::with_new(text, &key, until, now.before(GRACE)),
            None => lines::only(text, &key),
        })
    })?;
    for file in &files {
        aside(&format!("new key in {}", file.display()));
    }
    let folder = args.output.clone().unwrap_or_else(|| site.config().with_file_name("bundles"));
    let written = bundles::write_all(&site, &hosts, &folder)?;
    reload::ask_and_go_on(&site, || {
        for (name, path) in &written {
            aside(&format!("bundle for {name}: {}", path.display()));
        }
        say_next(&site, until, written.len());
        Ok(())
    })
}

fn say_next(site: &Site, until: Option<Timestamp>, bundles: usize) {
    if bundles == 0 {
        aside("nobody may knock yet: nobody needs a bundle");
        aside(&format!("next: {}", site.command("user add NAME")));
        return;
    }
    aside("\nEach bundle can be opened by its device only: send it any way you like.");
    let Some(until) = until else {
        aside("The old key ends now: until it has its bundle no device gets in.");
        aside(
            "The bundles come from a key that no device knows: it must reach users by a way that cannot be tampered with.",
        );
        let key = crate::users::bundle::sender(site).unwrap_or_default();
        aside("next, on each device: remove this server's file in ~/.config/aldaba/servers,");
        aside(&format!("then:                 aldaba enrol --server {key} FILE"));
        return;
    };
    let until = aldaba_config::moment_text(until);
    aside(&format!("Old and new bundles both work until {until}; from then on only the new ones."));
    aside("next, on each device:  aldaba enrol FILE");
    aside(&format!("then here, after that: {}", site.command("rotate --finish")));
}

/// Takes away what has ended.
fn finish(site: Site) -> Result<(), Failed> {
    let now = wall();
    let files: Vec<PathBuf> = server_files(&site).into_iter().chain(gate_files(&site)).collect();
    let ends = site.spa.locks.iter().filter_map(|lock| lock.not_after);
    let (past, ahead): (Vec<_>, Vec<_>) = ends.partition(|until| until.after(GRACE) < now);
    if past.is_empty() {
        return Err(match ahead.iter().min() {
            Some(next) => {
                let what =
                    format!("no key has ended: the next one does at {}", aldaba_config::moment_text(*next));
                Failed::new(what, "run this again ten minutes after that")
            }
            None => Failed::new("no rotation is under way", "begin one: aldabad rotate"),
        });
    }
    let site = change(site, &files, |text| Ok(lines::without_ended(text, now.before(GRACE))))?;
    aside(&format!("the keys that had ended are gone: {} left", site.spa.locks.len()));
    reload::ask_and_say(&site)?;
    aside(&format!("next: {}", site.command("user list")));
    Ok(())
}

/// Changes files of keys, one after the other; each change is read by the daemon's own reader first.
fn change(
    mut site: Site,
    paths: &[PathBuf],
    change: impl Fn(&str) -> Result<Zeroizing<String>, Failed>,
) -> Result<Site, Failed> {
    for file in paths {
        let _lock =
            files::lock_folder(file.parent().unwrap_or(Path::new("."))).map_err(Failed::writing(file))?;
        let old = Zeroizing::new(std::fs::read_to_string(file).map_err(Failed::reading(file))?);
        let new = change(&old)?;
        site = site.with(file, new.as_bytes())?;
        files::replace_whole(file, new.as_bytes()).map_err(Failed::writing(file))?;
    }
    Ok(site)
}

/// The files of server keys, each once.
fn server_files(site: &Site) -> Vec<PathBuf> {
    each_once(site.spa.files.locks.iter().map(|lock| lock.server_key.clone()))
}

fn gate_files(site: &Site) -> Vec<PathBuf> {
    each_once(site.spa.files.locks.iter().filter_map(|lock| lock.gate_key.clone()))
}

fn each_once(files: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    files.collect::<BTreeSet<_>>().into_iter().collect()
}
