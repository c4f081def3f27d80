//! The section `[spa]`: single packet authorization. Keys and registry stand in files of their own.

mod keys;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aldaba_gate::DoorRule;
use aldaba_gate::spa::{
    Audience, Bundle, DoorTag, Host, KeyKind, LockKeys, Locks, LocksError, Psk, PublicKey, Timestamp, Window,
};

use keys::{Dates, Line};

use super::daemon::{self, choice};
use super::table::{Table, Value};
use crate::authorized_keys::{self, Listed};
use crate::diagnostic::{Diagnostic, Place, Source};
use crate::files::Files;
use crate::plan::{DoorPlaces, Findings};
use crate::policy::{LockFiles, Receive, Spa, SpaFiles};

const SECOND: Duration = Duration::from_secs(1);

/// Doors of the registry that are named when they are not there.
const MISSING_DOORS: usize = 50;

/// What was read of it.
pub(super) struct Section {
    /// The folder of the main file, where keys lie unless they are named.
    folder: PathBuf,
    /// Whether it stands anywhere, readable or not.
    is_there: bool,
    read: Option<(Spa, Place, Vec<Listed>)>,
}

impl Section {
    pub(super) fn new(main: &Path) -> Self {
        Self { folder: main.parent().unwrap_or(Path::new("")).to_owned(), is_there: false, read: None }
    }

    /// Reads it; it is written once in all files.
    pub(super) fn section(&mut self, value: &Value<'_>, files: &mut dyn Files, findings: &mut Findings) {
        if let Some((_, first, _)) = &self.read {
            findings.add(
                Diagnostic::error("set-twice", &value.key, "[spa] stands in two files")
                    .also(first, "first set here")
                    .help("keep one of them: files in conf.d add doors, they do not replace"),
            );
            return;
        }
        self.is_there = true;
        let Some(mut table) = value.table(findings, "[spa]") else { return };
        let port = port(&mut table, findings);
        let hosts = hosts(&mut table, findings);
        let receive = table
            .take("receive")
            .and_then(|value| {
                choice(&value, &[("capture", Receive::Capture), ("listen", Receive::Listen)], findings)
            })
            .unwrap_or(Receive::Capture);
        let trust_clock = table.take("trust-clock").and_then(|value| value.flag(findings)).unwrap_or(false);
        let window = window(&mut table, findings);
        let registry = self.path(&mut table, "registry", "authorized_keys", findings);
        let seed = self.secret(&mut table, "psk-seed", "psk.key", findings);
        let locks = self.locks(&mut table, files, findings);
        table.finish(findings);
        let psk_seed = seed.as_ref().filter(|_| !findings.keyless);
        let psk_seed = psk_seed.and_then(|(path, at)| keys::seed(path, at, files, findings));
        let keys: Vec<PublicKey> =
            locks.iter().flat_map(|(locks, _)| locks).map(|lock| lock.secret.public()).collect();
        let listed = registry_of(&registry, &keys, files, findings);
        let Some(port) = port else { return };
        let (locks, lock_files): (Vec<_>, Vec<_>) = locks.into_iter().unzip();
        let locks = locks.into_iter().flatten().collect();
        let spa_files =
            SpaFiles { registry: registry.0, psk_seed: seed.map(|(path, _)| path), locks: lock_files };
        let devices = listed.iter().map(|listed| listed.device.clone()).collect();
        let spa = Spa {
            port,
            hosts,
            receive,
            trust_clock,
            window,
            locks,
            psk_seed,
            devices,
            doors: Vec::new(),
            files: spa_files,
        };
        self.read = Some((spa, value.key.clone(), listed));
    }

    /// What depends on the doors, when all files are read.
    pub(super) fn finish(
        self,
        rules: &[DoorRule],
        places: &[DoorPlaces],
        findings: &mut Findings,
    ) -> Option<Spa> {
        let by_datagram = || rules.iter().zip(places).filter(|(rule, _)| rule.spa.is_some());
        let Some((spa, place, listed)) = self.read else {
            for (_, door) in by_datagram().filter(|_| !self.is_there) {
                findings.add(
                    Diagnostic::error(
                        "no-spa",
                        &door.name,
                        "this door is opened by datagrams, and there is no [spa]",
                    )
                    .help("run aldabad init, which makes the keys and writes the section"),
                );
            }
            return None;
        };
        // Where there is no door at all, that is said already.
        if by_datagram().next().is_none() && !rules.is_empty() {
            findings.add(
                Diagnostic::warning("no-spa-door", &place, "no door is opened by datagrams")
                    .help("write spa = true into a [[door]]"),
            );
        }
        same_tags(&by_datagram().collect::<Vec<_>>(), findings);
        // Each once: a door that was renamed may stand in every line.
        let mut missing: BTreeSet<&str> = BTreeSet::new();
        for (door, at) in listed.iter().flat_map(|listed| &listed.doors) {
            let is_there = by_datagram().any(|(rule, _)| rule.name == *door);
            if !is_there && missing.len() < MISSING_DOORS && missing.insert(door) {
                let message = format!("no door {door:?} is opened by datagrams");
                let found = Diagnostic::warning("no-such-door", at, message);
                let near = crate::suggest::nearest(door, by_datagram().map(|(rule, _)| rule.name.as_str()));
                findings.add(match near {
                    Some(near) => found.help(format!("did you mean {near}?")),
                    None => found.help("write spa = true into that door, or take its name out of the line"),
                });
            }
        }
        Some(spa)
    }

    /// A path with a default beside the main file, and what to point at; an empty one was refused.
    fn path(
        &self,
        table: &mut Table<'_>,
        name: &'static str,
        usual: &str,
        findings: &mut Findings,
    ) -> (PathBuf, Place) {
        let Some(value) = table.take(name) else { return (self.folder.join(usual), table.place.clone()) };
        let written = daemon::path(&value, &format!("/etc/aldaba/{usual}"), findings);
        (written.unwrap_or_default(), value.place)
    }

    /// The same for a secret that can be turned off by name.
    fn secret(
        &self,
        table: &mut Table<'_>,
        name: &'static str,
        usual: &str,
        findings: &mut Findings,
    ) -> Option<(PathBuf, Place)> {
        let (path, place) = self.path(table, name, usual, findings);
        (path != Path::new("none")).then_some((path, place))
    }

    /// The locks, each `[[spa.lock]]` or the usual one.
    fn locks(
        &self,
        table: &mut Table<'_>,
        files: &mut dyn Files,
        findings: &mut Findings,
    ) -> Vec<(Vec<LockKeys>, LockFiles)> {
        let (place, locks) = match table.take("lock") {
            None => (table.place.clone(), self.lock(table, files, findings).into_iter().collect()),
            Some(value) => {
                let mut locks = Vec::new();
                for mut lock in value.tables(findings, "a lock", "[[spa.lock]]") {
                    locks.extend(self.lock(&mut lock, files, findings));
                    lock.finish(findings);
                }
                (value.key.clone(), locks)
            }
        };
        if findings.keyless {
            return locks;
        }
        if let Err(error) = Locks::new(locks.iter().flat_map(|(locks, _)| locks.clone()).collect()) {
            let found = Diagnostic::error("bad-locks", &place, error.to_string());
            findings.add(found.help(match error {
                LocksError::Same => {
                    "take one of them out, or give each its own server-key, gate-key or audience"
                }
                LocksError::TooMany => "keys whose date has passed go with: aldabad rotate --finish",
            }));
        }
        locks
    }

    /// Every key of a lock's files with every key of its gate's.
    fn lock(
        &self,
        table: &mut Table<'_>,
        files: &mut dyn Files,
        findings: &mut Findings,
    ) -> Option<(Vec<LockKeys>, LockFiles)> {
        let (server_key, server_at) = self.path(table, "server-key", "server.key", findings);
        let gate = self.secret(table, "gate-key", "gate.key", findings);
        let audience =
            table.take("audience").and_then(|value| audience(&value, findings)).unwrap_or_default();
        let not_before = table.take("not-before").and_then(|value| moment(&value, findings));
        let not_after = table.take("not-after").and_then(|value| moment(&value, findings));
        let block = Dates { not_before, not_after };
        if findings.keyless {
            return None;
        }
        let servers = keys::servers(&server_key, &server_at, files, findings);
        let gates = match &gate {
            Some((path, at)) => keys::psks(path, at, KeyKind::Gate, files, findings)?,
            None => vec![Line { key: Psk::NONE, dates: Dates::default() }],
        };
        let all =
            servers?.into_iter().flat_map(|server| gates.iter().map(move |gate| (server.clone(), gate)));
        let locks = all.map(|(server, gate)| {
            let Dates { not_before, not_after } = block.and(server.dates).and(gate.dates);
            let (secret, gate_psk) = (server.key, gate.key.clone());
            LockKeys { secret, gate_psk, audience: audience.clone(), not_before, not_after }
        });
        let locks = locks.collect();
        let gate_key = gate.map(|(path, _)| path);
        Some((locks, LockFiles { server_key, gate_key, audience, not_before, not_after }))
    }
}

fn port(table: &mut Table<'_>, findings: &mut Findings) -> Option<u16> {
    let Some(value) = table.take("port") else {
        findings.add(
            Diagnostic::error("no-port", &table.place, "[spa] needs a port")
                .help("add a line like: port = 42731"),
        );
        return None;
    };
    if !value.is_number() {
        value.wrong(findings, "a whole number", "port = 42731");
        return None;
    }
    let port = value.port().filter(|&port| port != 0);
    if port.is_none() {
        let message = format!("{} is not a port", value.number_text());
        findings.add(value.error("bad-port", message).help("ports are 1 to 65535"));
    }
    port
}

/// Where clients find this server: what stands in new bundles.
fn hosts(table: &mut Table<'_>, findings: &mut Findings) -> Vec<Host> {
    let Some(value) = table.take("hosts") else { return Vec::new() };
    let example = "hosts = [\"gw.example.net\", \"192.0.2.7\"]";
    if !value.is_array() {
        value.wrong(findings, "an array", example);
        return Vec::new();
    }
    let mut hosts: Vec<Host> = Vec::new();
    for item in value.items() {
        let Some(text) = item.text(findings, example) else { continue };
        match text.text.parse() {
            Ok(host) if hosts.contains(&host) => findings.add(
                Diagnostic::error("host-twice", &text.place, "this host is in the list already")
                    .help("remove one of the two"),
            ),
            Ok(host) => hosts.push(host),
            Err(error) => findings.add(
                Diagnostic::error("bad-host", &text.place, format!("{:?}: {error}", text.text))
                    .help(format!("write names and addresses without port or prefix length: {example}")),
            ),
        }
    }
    if hosts.len() > Bundle::MAX_HOSTS {
        let message = format!("{} hosts are too many: a bundle holds {}", hosts.len(), Bundle::MAX_HOSTS);
        findings.add(value.error("too-many", message).help("keep those that clients reach most easily"));
    }
    hosts
}

fn window(table: &mut Table<'_>, findings: &mut Findings) -> Window {
    let mut window = Window::default();
    let fields: [(&'static str, &mut Duration, Duration, Duration); 3] = [
        ("past", &mut window.past, SECOND * 5, SECOND * 600),
        ("future", &mut window.future, SECOND * 5, SECOND * 600),
        ("slack", &mut window.slack, Duration::ZERO, SECOND * 60),
    ];
    for (name, field, least, most) in fields {
        if let Some(value) = table.take(name) {
            *field = value.duration(findings, least, most).unwrap_or(*field);
        }
    }
    window
}

fn audience(value: &Value<'_>, findings: &mut Findings) -> Option<Audience> {
    let text = value.text(findings, "audience = \"node-7\"")?;
    let audience = Audience::new(text.text);
    if let Err(error) = &audience {
        findings.add(
            Diagnostic::error("bad-audience", &text.place, error.to_string())
                .help("choose another name, or leave the line out"),
        );
    }
    audience.ok()
}

fn moment(value: &Value<'_>, findings: &mut Findings) -> Option<Timestamp> {
    let example = format!("{} = \"2027-01-01\", or \"2027-01-01T12:00:00Z\"", value.name);
    let text = value.text(findings, &example)?;
    let moment = authorized_keys::time(text.text);
    if moment.is_none() {
        let message = format!("{:?} is neither a day nor a moment", text.text);
        findings.add(Diagnostic::error("bad-time", &text.place, message).help(format!("write {example}")));
    }
    moment
}

/// The lines of the registry.
fn registry_of(
    (path, at): &(PathBuf, Place),
    locks: &[PublicKey],
    files: &mut dyn Files,
    findings: &mut Findings,
) -> Vec<Listed> {
    if findings.keyless || path.as_os_str().is_empty() {
        return Vec::new();
    }
    match files.read(path) {
        Ok(file) if file.facts.is_regular => {
            let source = Source::new(path.display().to_string(), file.bytes);
            findings.files.push((source.clone(), file.facts));
            authorized_keys::read(&source, locks, findings)
        }
        Ok(_) => {
            findings.add(unreadable(at, path, "it is not a regular file").help(REGULAR));
            Vec::new()
        }
        Err(error) => {
            findings.add(
                unreadable(at, path, &crate::system_words(&error))
                    .help("run aldabad init, or aldabad user add NAME, which make it"),
            );
            Vec::new()
        }
    }
}

/// What to name in place of a folder or a pipe.
const REGULAR: &str = "name the file itself; a link to one will do";

fn unreadable(at: &Place, path: &Path, why: &str) -> Diagnostic {
    Diagnostic::error("unreadable", at, format!("{:?} cannot be read: {why}", path.display().to_string()))
}

/// A datagram names a door by four bytes of a hash.
fn same_tags(doors: &[(&DoorRule, &DoorPlaces)], findings: &mut Findings) {
    let mut seen: Vec<(DoorTag, &Place)> = Vec::new();
    for (rule, places) in doors {
        let Some(tag) = DoorTag::of(&rule.name) else {
            let message = "this name cannot be carried in a datagram: its hash is zero";
            findings.add(Diagnostic::error("bad-name", &places.name, message).help("choose another name"));
            continue;
        };
        if let Some((_, first)) = seen.iter().find(|(known, _)| *known == tag) {
            findings.add(
                Diagnostic::error(
                    "same-tag",
                    &places.name,
                    "a datagram cannot tell this name from another one",
                )
                .also(first, "this one")
                .help("choose another name for one of them"),
            );
        }
        seen.push((tag, &places.name));
    }
}
