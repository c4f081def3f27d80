//! knockd.conf as knockd reads it (spec/knock.md, "knockd.conf").
//!
//! The grammar is the original's to the last oddity; what differs is that every problem is named at once, with its
//! place, and that odd numbers are pointed out. Sections and directives are read into drafts here; what the drafts
//! mean as doors is `knockd/door.rs`. Nothing is looked up: not hosts, not interfaces.

use std::path::PathBuf;

use crate::diagnostic::{Diagnostic, Place, Source};
use crate::files::Files;
use crate::plan::{Findings, Plan};
use crate::policy::{Daemon, Interfaces, Log, Policy};
use crate::{Kind, Options, suggest};

mod door;
pub(crate) mod foreign;
mod lines;
mod number;
mod target;

use aldaba_gate::Rules;
use aldaba_runner::door::{Catalogue, Limits};
use door::Draft;
use lines::{Item, LONGEST_LINE, Line};

const DOOR_DIRECTIVES: [&str; 14] = [
    "Sequence",
    "One_Time_Sequences",
    "Seq_Timeout",
    "Timeout",
    "TCPFlags",
    "Target",
    "Start_Command",
    "Command",
    "Start_Command_6",
    "Command_6",
    "Cmd_Timeout",
    "Stop_Command",
    "Stop_Command_6",
    "Seq_Cooldown",
];
const OPTION_DIRECTIVES: [&str; 4] = ["UseSyslog", "LogFile", "PidFile", "Interface"];
/// Bytes of an interface's name that count.
const INTERFACE_BYTES: usize = 31;
/// Bytes of a door's name that count.
const NAME_BYTES: usize = 127;

/// Reads one knockd.conf.
pub(crate) fn read(
    source: &Source,
    files: &mut dyn Files,
    options: &Options,
    findings: &mut Findings,
) -> Plan {
    let mut reader = Reader {
        source,
        files,
        options,
        findings,
        section: Section::None,
        doors: Vec::new(),
        log: Log::default(),
        pid_file: None,
        interface: None,
    };
    for line in lines::lines(source.bytes()) {
        reader.line(&line);
    }
    reader.finish()
}

/// Where in the file we are.
#[derive(Clone, Copy)]
enum Section {
    None,
    Options,
    Door(usize),
    /// After an error that leaves open what the directives are for.
    Unknown,
}

struct Reader<'a> {
    source: &'a Source,
    files: &'a mut dyn Files,
    options: &'a Options,
    findings: &'a mut Findings,
    section: Section,
    doors: Vec<Draft>,
    log: Log,
    pid_file: Option<PathBuf>,
    interface: Option<(String, Place)>,
}

impl Reader<'_> {
    fn line(&mut self, line: &Line) {
        if line.is_rest {
            return self.overlong(line);
        }
        if let Some(nul) = line.nul {
            let message = "a NUL byte: the rest of the line is not read";
            let found = Diagnostic::warning("nul-byte", &self.source.at(nul..nul + 1), message);
            self.findings.lenient(found.help("write the line anew: an editor shows the byte as ^@"));
        }
        match &line.item {
            Item::Section(name) => self.section(line, name.clone()),
            Item::Directive { key, value } => self.directive(line, key.clone(), value.clone()),
        }
    }

    fn overlong(&mut self, line: &Line) {
        let at = self.source.at(line.span.clone());
        self.findings.add(
            Diagnostic::error("long-line", &at, format!("the line is longer than {LONGEST_LINE} bytes"))
                .label("from here it would be read as a new line")
                .help("put a long command into a script and name the script here")
                .knockd(syntax_error(line)),
        );
    }

    fn section(&mut self, line: &Line, name: std::ops::Range<usize>) {
        let at = self.source.at(line.span.clone());
        let bytes = self.source.bytes().get(name.clone()).unwrap_or_default();
        if bytes.is_empty() {
            self.section = Section::Unknown;
            self.findings.add(
                Diagnostic::error("bad-section", &at, "a section needs a name")
                    .help("write the door's name between the brackets, or [options]")
                    .knockd(format!("config: line {}: bad section name", line.number)),
            );
            return;
        }
        if bytes == b"options" {
            self.section = Section::Options;
            return;
        }
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.doubt_name(&text, bytes, &self.source.at(name));
        self.section = Section::Door(self.doors.len());
        self.doors.push(Draft::new(cut(&text, NAME_BYTES), at));
    }

    fn doubt_name(&mut self, text: &str, bytes: &[u8], at: &Place) {
        if text.trim().eq_ignore_ascii_case("options") {
            self.findings.add(
                Diagnostic::warning("not-options", at, format!("[{text}] is a door, not the options"))
                    .help("write [options], in lower case and without blanks"),
            );
        }
        if bytes.len() > NAME_BYTES {
            let message = format!("the name is cut to {NAME_BYTES} bytes");
            let found = Diagnostic::warning("long-name", at, message);
            self.findings.add(found.help("shorten it, so that the log shows all of it"));
        }
        if std::str::from_utf8(bytes).is_err() {
            let message = "the name is not UTF-8: other bytes are shown as \u{fffd}";
            let found = Diagnostic::warning("not-utf8", at, message);
            self.findings.add(found.help("save the file as UTF-8, or run: iconv -f latin1 -t utf8 FILE"));
        }
    }

    fn directive(&mut self, line: &Line, key: std::ops::Range<usize>, value: Option<std::ops::Range<usize>>) {
        if matches!(self.section, Section::None) {
            self.section = Section::Unknown;
            let found = self.without_section(line);
            self.findings.add(found);
        }
        let at = self.source.at(key.clone());
        let name = String::from_utf8_lossy(self.source.bytes().get(key).unwrap_or_default());
        let upper = name.to_ascii_uppercase();
        let Some(value) = value else { return self.word(line, &at, &name, &upper) };
        let known = match self.section {
            Section::Options => is_in(&OPTION_DIRECTIVES[1..], &upper),
            Section::Door(_) => is_door_directive(&upper),
            Section::None | Section::Unknown => {
                is_in(&OPTION_DIRECTIVES[1..], &upper) || is_door_directive(&upper)
            }
        };
        if !known {
            return self.unknown(line, &at, &name, &upper);
        }
        let place = self.source.at(value);
        let Some(text) = self.text(&place) else { return };
        match self.section {
            Section::Options => self.option(&upper, &text, place),
            Section::Door(index) => {
                let at = door::At { line, key: at, value: place };
                if let Some(draft) = self.doors.get_mut(index) {
                    draft.directive(&upper, text, at, self.files, self.options, self.findings);
                }
            }
            Section::None | Section::Unknown => {}
        }
    }

    fn without_section(&self, line: &Line) -> Diagnostic {
        let at = self.source.at(line.span.clone());
        let found = if self.source.bytes().starts_with(b"\xef\xbb\xbf") && line.span.start == 0 {
            Diagnostic::error("byte-order-mark", &at, "the file begins with a UTF-8 byte order mark")
                .help("save it as \"UTF-8\" without BOM, or run: sed -i '1s/^\\xef\\xbb\\xbf//' FILE")
        } else {
            Diagnostic::error("no-section", &at, "this stands before the first section")
                .help("put [options] or a door's name in brackets on a line above")
        };
        found.knockd(format!("config: line {}: all directives must belong to a section", line.number))
    }

    /// A line without an equals sign: only `UseSyslog` may be one, and that one anywhere.
    fn word(&mut self, line: &Line, at: &Place, name: &str, upper: &str) {
        if upper == "USESYSLOG" {
            self.log.syslog = true;
            return;
        }
        if self.source.bytes().starts_with(b"\xef\xbb\xbf") && line.span.start == 0 {
            return;
        }
        let found = Diagnostic::error("no-value", at, "a directive needs `=` and a value");
        let found = if is_door_directive(upper) || is_in(&OPTION_DIRECTIVES, upper) {
            found.help(format!("write {name} = VALUE"))
        } else {
            found.help(foreign::advice(name))
        };
        self.findings.add(found.knockd(syntax_error(line)));
    }

    fn unknown(&mut self, line: &Line, at: &Place, name: &str, upper: &str) {
        let in_options = matches!(self.section, Section::Options);
        let found = if upper == "USESYSLOG" {
            Diagnostic::error("unexpected-value", at, "UseSyslog takes no value")
                .help("write UseSyslog alone on its line, or leave the line out to switch it off")
        } else if in_options && is_door_directive(upper) {
            Diagnostic::error("wrong-section", at, format!("{name} belongs to a door, not to [options]"))
                .help("put it below a door's name in brackets")
        } else if is_in(&OPTION_DIRECTIVES, upper) {
            Diagnostic::error("wrong-section", at, format!("{name} belongs to [options], not to a door"))
                .help("one knockd listens on one interface; aldaba.toml has interfaces for each door")
        } else {
            unknown_name(at, name, in_options)
        };
        self.findings.add(found.knockd(syntax_error(line)));
    }

    fn option(&mut self, upper: &str, text: &str, place: Place) {
        let path = (!text.is_empty()).then(|| PathBuf::from(cut(text, LONGEST_LINE)));
        self.findings.list.extend(foreign::comment(text, &place));
        match upper {
            "LOGFILE" => self.log.file = path,
            "PIDFILE" => self.pid_file = path,
            // The first one that is not empty counts, unlike everything else.
            _ if self.interface.is_none() && !text.is_empty() => self.interface(text, place),
            _ => {}
        }
    }

    fn interface(&mut self, text: &str, place: Place) {
        let name = cut(text, INTERFACE_BYTES);
        if text.starts_with(['"', '\'']) {
            self.findings.add(
                Diagnostic::warning("quoted", &place, "quotes are part of the interface's name")
                    .help("write the name without quotes, or leave the line out: eth0 is the default"),
            );
        } else if name.len() < text.len() {
            let message = format!("the name is cut to {INTERFACE_BYTES} bytes");
            let found = Diagnostic::warning("long-name", &place, message);
            self.findings.add(found.help("write one name as `ip link` shows it"));
        }
        self.interface = Some((name, place));
    }

    /// The text at a place; bytes that are not UTF-8 cannot be carried on.
    fn text(&mut self, place: &Place) -> Option<String> {
        let bytes = place.source.bytes().get(place.span.clone()?).unwrap_or_default();
        match std::str::from_utf8(bytes) {
            Ok(text) => Some(text.to_owned()),
            Err(error) => {
                let at = place.part(error.valid_up_to()..error.valid_up_to() + 1);
                self.findings.add(
                    Diagnostic::error("not-utf8", &at, "this value is not UTF-8")
                        .help("save the file as UTF-8, or run: iconv -f latin1 -t utf8 FILE"),
                );
                None
            }
        }
    }

    fn finish(self) -> Plan {
        let mut rules =
            Rules { doors: Vec::new(), ignore: Vec::new(), attempts: 1 << 16, ipv6: true, spa_port: None };
        let mut catalogue = Catalogue { doors: Vec::new(), limits: Limits::default() };
        let (mut one_time, mut places) = (Vec::new(), Vec::new());
        for (index, draft) in (0_u32..).zip(self.doors) {
            let Some(made) = draft.finish(index, self.findings) else { continue };
            rules.doors.push(made.rule);
            catalogue.doors.push(made.door);
            one_time.extend(made.one_time);
            places.push(made.places);
        }
        let (name, place) = self.interface.unzip();
        let daemon = Daemon {
            interfaces: Interfaces::Named(vec![name.unwrap_or_else(|| "eth0".to_owned())]),
            log: self.log,
            pid_file: self.pid_file,
            ..Daemon::default()
        };
        let policy = Policy { gate: rules, catalogue, daemon, one_time, spa: None };
        Plan { kind: Kind::Knockd, policy, doors: places, ignore: None, interfaces: place }
    }
}

fn unknown_name(at: &Place, name: &str, in_options: bool) -> Diagnostic {
    let shown: String = name.chars().take(64).collect();
    let found = Diagnostic::error("unknown-directive", at, format!("unknown directive {shown:?}"));
    let known: &[&str] = if in_options { &OPTION_DIRECTIVES } else { &DOOR_DIRECTIVES };
    match suggest::nearest(name, known.iter().copied()) {
        Some(near) => found.help(format!("did you mean {near}?")),
        None if name.starts_with(';') => found.help("a comment begins with #"),
        None => found.help(format!("there are: {}", known.join(", "))),
    }
}

fn is_in(known: &[&str], upper: &str) -> bool {
    known.iter().any(|name| name.eq_ignore_ascii_case(upper))
}

fn is_door_directive(upper: &str) -> bool {
    is_in(&DOOR_DIRECTIVES, upper) || upper == "COOLDOWN"
}

fn syntax_error(line: &Line) -> String {
    format!("config: line {}: syntax error", line.number)
}

/// At most this many bytes of a text, whole characters.
fn cut(text: &str, bytes: usize) -> String {
    let end = (0..=bytes.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    text.get(..end).unwrap_or_default().to_owned()
}
