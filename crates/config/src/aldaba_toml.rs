//! aldaba.toml and the files of its conf.d (docs/man/aldaba.toml.5).
//!
//! Every table refuses keys it does not know. Files in `conf.d/` beside the main file are read in the order of their
//! names: doors add up, and whatever is written once in all stays where it was written.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use aldaba_gate::Rules;
use aldaba_gate::spa::BundleDoor;
use aldaba_runner::door::{Catalogue, Style};
use toml::de::DeTable;

use crate::diagnostic::{Diagnostic, Place, Source};
use crate::files::Files;
use crate::plan::{DoorPlaces, Findings, Plan};
use crate::policy::{OneTime, Policy, Receive, Spa};
use crate::{Kind, open, suggest};

mod action;
mod daemon;
mod door;
mod homes;
mod spa;
mod table;
mod values;

pub(crate) use door::service_ports;
pub(crate) use values::duration_text;

/// A length of time: `1h30m`.
pub(crate) fn duration(text: &str) -> Option<std::time::Duration> {
    values::duration(text).ok()
}

/// Ports of one protocol: `60000-61000/udp`.
pub(crate) fn ports(text: &str) -> Result<aldaba_runner::door::PortRange, String> {
    values::ports(text).map_err(|bad| bad.message)
}

use daemon::Settings;
use table::Table;

/// Syntax errors shown of one file; after one, the next are often only its echo.
const SYNTAX_ERRORS: usize = 8;

/// Reads an aldaba.toml and its drop-ins.
pub(crate) fn read(path: &Path, source: &Source, files: &mut dyn Files, findings: &mut Findings) -> Plan {
    let mut reading = Reading {
        settings: Settings::new(),
        rules: Vec::new(),
        doors: Vec::new(),
        one_time: Vec::new(),
        places: Vec::new(),
        names: HashMap::new(),
        told: Vec::new(),
        spa: spa::Section::new(path),
    };
    reading.file(source, files, findings);
    for drop_in in drop_ins(path, source, files, findings) {
        if let Some(source) = open(&drop_in, files, findings) {
            reading.file(&source, files, findings);
        }
    }
    reading.finish(findings)
}

/// The files of conf.d, in the order of their names.
fn drop_ins(main: &Path, source: &Source, files: &mut dyn Files, findings: &mut Findings) -> Vec<PathBuf> {
    let folder = crate::drop_ins(main);
    let mut names: Vec<OsString> = match files.list_dir(&folder) {
        Ok(names) => names,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let message = format!("{} cannot be read: {error}", folder.display());
            let found = Diagnostic::error("unreadable", &source.whole(), message);
            findings
                .add(found.help("it must be a folder the daemon's user can list, or not be there at all"));
            return Vec::new();
        }
    };
    names.sort();
    names.iter().filter(|name| is_drop_in(name)).map(|name| folder.join(name)).collect()
}

/// Whether a file of conf.d with this name is read.
pub(crate) fn is_drop_in(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.ends_with(".toml") && !name.starts_with('.')
}

/// What was read so far.
struct Reading {
    settings: Settings,
    rules: Vec<aldaba_gate::DoorRule>,
    doors: Vec<aldaba_runner::door::Door>,
    one_time: Vec<OneTime>,
    places: Vec<DoorPlaces>,
    /// Which doors have this name.
    names: HashMap<String, Vec<usize>>,
    /// What devices are told of each door.
    told: Vec<BundleDoor>,
    spa: spa::Section,
}

impl Reading {
    fn file(&mut self, source: &Source, files: &mut dyn Files, findings: &mut Findings) {
        let text = match std::str::from_utf8(source.bytes()) {
            Ok(text) => text,
            Err(error) => {
                let at = error.valid_up_to();
                findings.add(
                    Diagnostic::error("not-utf8", &source.at(at..at + 1), "the file is not UTF-8")
                        .help("run: iconv -f latin1 -t utf8 FILE"),
                );
                return;
            }
        };
        let (document, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            syntax(source, &errors, findings);
            return;
        }
        let mut table = Table::new(document.get_ref(), source, source.whole(), "the top level");
        self.settings.top(&mut table, findings);
        if let Some(section) = table.take("spa") {
            self.spa.section(&section, files, findings);
        }
        if let Some(doors) = table.take("door") {
            for door in doors.tables(findings, "a door", "[[door]]") {
                self.door(door, files, findings);
            }
        }
        table.finish(findings);
    }

    fn door(&mut self, table: Table<'_>, files: &mut dyn Files, findings: &mut Findings) {
        let Ok(index) = u32::try_from(self.doors.len()) else { return };
        let Some(made) = door::read(table, index, files, findings) else { return };
        self.one_name(&made.door, &made.places.name, findings);
        self.rules.push(made.rule);
        self.doors.push(made.door);
        self.one_time.extend(made.one_time);
        self.places.push(made.places);
        self.told.push(made.told);
    }

    /// Doors of one name cannot be told apart; those that come from a knockd.conf may be so all the same.
    fn one_name(&mut self, door: &aldaba_runner::door::Door, place: &Place, findings: &mut Findings) {
        let named = self.names.entry(door.name.clone()).or_default();
        let is_native =
            |index: &usize| self.doors.get(*index).is_some_and(|door| door.style == Style::Native);
        let before = named.iter().copied().find(|index| door.style == Style::Native || is_native(index));
        named.push(self.doors.len());
        let Some(index) = before else { return };
        let found = Diagnostic::error("same-name", place, format!("there is a door {:?} already", door.name))
            .help("every door needs a name of its own");
        findings.add(match self.places.get(index) {
            Some(before) => found.also(&before.name, "here"),
            None => found,
        });
    }

    fn finish(self, findings: &mut Findings) -> Plan {
        let Self { settings, rules, doors, one_time, places, told, spa, .. } = self;
        action::one_word_for_each_port(&doors, &places, findings);
        action::one_door_for_each_set(&doors, &places, findings);
        let mut spa = spa.finish(&rules, &places, findings);
        if let Some(spa) = &mut spa {
            let by_datagram = told.into_iter().zip(&rules).filter(|(_, rule)| rule.spa.is_some());
            spa.doors = by_datagram.map(|(door, _)| door).collect();
        }
        let (ignore, interfaces) = (settings.place("ignore"), settings.place("interfaces"));
        let captured = |spa: &&Spa| spa.receive == Receive::Capture;
        let gate = Rules {
            doors: rules,
            ignore: settings.ignore,
            attempts: settings.attempts,
            ipv6: settings.ipv6,
            spa_port: spa.as_ref().filter(captured).map(|spa| spa.port),
        };
        let catalogue = Catalogue { doors, limits: settings.limits };
        let policy = Policy { gate, catalogue, daemon: settings.daemon, one_time, spa };
        Plan { kind: Kind::Toml, policy, doors: places, ignore, interfaces }
    }
}

fn syntax(source: &Source, errors: &[toml::de::Error], findings: &mut Findings) {
    for error in errors.iter().take(SYNTAX_ERRORS) {
        let end = source.bytes().len();
        let span = error.span().unwrap_or(end..end);
        let found = Diagnostic::error("syntax", &source.at(span.clone()), error.message());
        findings.add(found.help(advice(source, span.start)));
    }
}

/// What a line that is not TOML was probably meant to be.
fn advice(source: &Source, at: usize) -> &'static str {
    let before = source.bytes().get(..at).unwrap_or_default();
    let begin = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let rest = source.bytes().get(begin..).unwrap_or_default();
    let line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).trim().to_owned();
    let key = line.split_once('=').map_or(line.as_str(), |(key, _)| key.trim());
    if line.starts_with(';') || line.starts_with("//") {
        return "a comment begins with #";
    }
    let knockd =
        ["usesyslog", "logfile", "seq_timeout", "tcpflags", "start_command", "stop_command", "cmd_timeout"];
    if suggest::nearest(key, knockd).is_some() {
        return "this looks like a knockd.conf: give it a name that does not end in .toml";
    }
    if line.contains('=') {
        return "text stands in double quotes: key = \"value\"";
    }
    "a line is key = value, [table] or [[door]]; aldaba.toml(5) shows whole files"
}
