//! The keys that say how the daemon behaves: top level, `[log]`, `[limits]`, `[firewall]`.
//!
//! They may be spread over the main file and its drop-ins, but each is written once.

use std::collections::HashMap;
use std::path::PathBuf;

use aldaba_gate::knock::Step;
use aldaba_runner::door::Limits;

use super::table::{Table, Text, Value};
use super::values;
use crate::capabilities::Capabilities;
use crate::diagnostic::{Diagnostic, Place};
use crate::plan::Findings;
use crate::policy::{AfterFlush, Capture, Daemon, Interfaces, OnExit};

/// Bounds of the table of attempts.
const ATTEMPTS: (usize, usize) = (64, 1 << 24);
/// Bounds of the other limits.
const LIMIT: (usize, usize) = (1, 1 << 20);
/// Bytes of an interface's name, Linux's own limit.
const INTERFACE_BYTES: usize = 15;
/// The longest that is read at all: with an alias label, as knockd.conf cuts it.
const LONGEST_INTERFACE: usize = 31;

/// What was written of it so far.
pub(super) struct Settings {
    pub(super) daemon: Daemon,
    pub(super) limits: Limits,
    pub(super) attempts: usize,
    pub(super) ipv6: bool,
    pub(super) ignore: Vec<Step>,
    /// Where each key was written first.
    written: HashMap<(&'static str, &'static str), Place>,
}

impl Settings {
    pub(super) fn new() -> Self {
        Self {
            daemon: Daemon::default(),
            limits: Limits::default(),
            attempts: 1 << 16,
            ipv6: true,
            ignore: Vec::new(),
            written: HashMap::new(),
        }
    }

    /// Where a key of the top level was written.
    pub(super) fn place(&self, name: &'static str) -> Option<Place> {
        self.written.get(&("", name)).cloned()
    }

    /// The value of a key, unless it was written before.
    fn take<'d>(
        &mut self,
        table: &mut Table<'d>,
        section: &'static str,
        name: &'static str,
        findings: &mut Findings,
    ) -> Option<Value<'d>> {
        let value = table.take(name)?;
        if let Some(before) = self.written.get(&(section, name)) {
            findings.add(
                Diagnostic::error("set-twice", &value.key, format!("{name} is set in two files"))
                    .also(before, "first set here")
                    .help("keep one of them: files in conf.d add doors, they do not replace"),
            );
            return None;
        }
        self.written.insert((section, name), value.place.clone());
        Some(value)
    }

    pub(super) fn top(&mut self, table: &mut Table<'_>, findings: &mut Findings) {
        self.capture(table, findings);
        self.process(table, findings);
        if let Some(value) = self.take(table, "", "ignore", findings) {
            self.ignore = ignore(&value, findings);
        }
        if let Some(log) = table.take("log") {
            self.log(&log, findings);
        }
        if let Some(limits) = table.take("limits") {
            self.limits(&limits, findings);
        }
        if let Some(firewall) = table.take("firewall") {
            self.firewall(&firewall, findings);
        }
    }

    fn capture(&mut self, table: &mut Table<'_>, findings: &mut Findings) {
        if let Some(value) = self.take(table, "", "interfaces", findings)
            && let Some(interfaces) = interfaces(&value, findings)
        {
            self.daemon.interfaces = interfaces;
        }
        if let Some(value) = self.take(table, "", "capture", findings) {
            let choices = [("ring", Capture::Ring), ("pnet", Capture::Pnet)];
            self.daemon.capture = choice(&value, &choices, findings).unwrap_or(Capture::Ring);
        }
        if let Some(value) = self.take(table, "", "ipv6", findings) {
            self.ipv6 = value.flag(findings).unwrap_or(true);
        }
    }

    fn process(&mut self, table: &mut Table<'_>, findings: &mut Findings) {
        if let Some(value) = self.take(table, "", "user", findings) {
            self.daemon.user = user(&value, findings);
        }
        if let Some(value) = self.take(table, "", "capabilities", findings) {
            self.daemon.capabilities = capabilities(&value, findings);
        }
        if let Some(value) = self.take(table, "", "state-dir", findings) {
            self.daemon.state_dir = path(&value, "/var/lib/aldaba", findings);
        }
        if let Some(value) = self.take(table, "", "pid-file", findings) {
            self.daemon.pid_file = path(&value, "/run/aldaba.pid", findings);
        }
        if let Some(value) = self.take(table, "", "control", findings) {
            self.daemon.control = path(&value, "/run/aldaba/control.sock", findings);
        }
        if let Some(value) = self.take(table, "", "on-exit", findings) {
            let choices = [("close", OnExit::Close), ("keep", OnExit::Keep)];
            self.daemon.on_exit = choice(&value, &choices, findings);
        }
    }

    fn log(&mut self, value: &Value<'_>, findings: &mut Findings) {
        let Some(mut table) = value.table(findings, "[log]") else { return };
        if let Some(value) = self.take(&mut table, "log", "syslog", findings) {
            self.daemon.log.syslog = value.flag(findings).unwrap_or(false);
        }
        if let Some(value) = self.take(&mut table, "log", "file", findings) {
            self.daemon.log.file = path(&value, "/var/log/aldaba.log", findings);
        }
        if let Some(value) = self.take(&mut table, "log", "stages", findings) {
            self.daemon.log.stages = value.flag(findings).unwrap_or(false);
        }
        table.finish(findings);
    }

    fn limits(&mut self, value: &Value<'_>, findings: &mut Findings) {
        let Some(mut table) = value.table(findings, "[limits]") else { return };
        if let Some(value) = self.take(&mut table, "limits", "attempts", findings) {
            self.attempts = value.count(findings, ATTEMPTS.0, ATTEMPTS.1).unwrap_or(self.attempts);
        }
        let mut limits = self.limits;
        let fields: [(&'static str, &mut usize); 5] = [
            ("running", &mut limits.running),
            ("running-per-door", &mut limits.running_per_door),
            ("waiting", &mut limits.waiting),
            ("leases-per-source", &mut limits.leases_per_source),
            ("leases-per-door", &mut limits.leases_per_door),
        ];
        for (name, field) in fields {
            if let Some(value) = self.take(&mut table, "limits", name, findings) {
                *field = value.count(findings, LIMIT.0, LIMIT.1).unwrap_or(*field);
            }
        }
        self.limits = limits;
        table.finish(findings);
    }

    fn firewall(&mut self, value: &Value<'_>, findings: &mut Findings) {
        let Some(mut table) = value.table(findings, "[firewall]") else { return };
        if let Some(value) = self.take(&mut table, "firewall", "table", findings)
            && let Some(text) = value.text(findings, "table = \"aldaba\"")
        {
            if values::is_nft_name(text.text) {
                text.text.clone_into(&mut self.daemon.table);
            } else {
                let message = format!("{:?} is not a name in nftables", text.text);
                findings.add(
                    Diagnostic::error("bad-name", &text.place, message)
                        .help("letters first, then letters, digits and _ . / -"),
                );
            }
        }
        if let Some(value) = self.take(&mut table, "firewall", "after-flush", findings) {
            let choices = [("restore", AfterFlush::Restore), ("report", AfterFlush::Report)];
            self.daemon.after_flush = choice(&value, &choices, findings).unwrap_or(AfterFlush::Restore);
        }
        table.finish(findings);
    }
}

/// `"all"` or a list of names.
pub(super) fn interfaces(value: &Value<'_>, findings: &mut Findings) -> Option<Interfaces> {
    let example = "interfaces = [\"eth0\", \"wg0\"], or \"all\"";
    if value.is_text() {
        let text = value.text(findings, example)?;
        if text.text == "all" {
            return Some(Interfaces::All);
        }
        findings.add(
            Diagnostic::error("bad-interface", &text.place, format!("{:?} stands alone", text.text))
                .help(format!("write {example}")),
        );
        return None;
    }
    let words = value.words(findings, example)?;
    if words.is_empty() {
        findings.add(value.error("bad-interface", "no interface is named").help(format!("write {example}")));
        return None;
    }
    let mut names: Vec<String> = Vec::new();
    for word in words {
        if let Some(found) = doubt_interface(&word, &names) {
            findings.add(found);
        }
        names.push(word.text.to_owned());
    }
    Some(Interfaces::Named(names))
}

/// Names Linux would not have are only doubted: they come from knockd.conf files too, and just never appear.
fn doubt_interface(word: &Text<'_>, before: &[String]) -> Option<Diagnostic> {
    if before.iter().any(|name| name == word.text) {
        let message = format!("{:?} is named twice", word.text);
        let found = Diagnostic::error("bad-interface", &word.place, message);
        return Some(found.help("name each interface once"));
    }
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/\"'".contains(c);
    let message = format!("{:?} is not the name of an interface", word.text);
    if word.text.is_empty() || word.text.len() > LONGEST_INTERFACE {
        return Some(Diagnostic::error("bad-interface", &word.place, message).help(THERE));
    }
    (word.text.len() > INTERFACE_BYTES || word.text.contains(odd) || word.text == "all")
        .then(|| Diagnostic::warning("odd-interface", &word.place, message).help(THERE))
}

const THERE: &str = "write names as `ip link` shows them; for all interfaces leave the line out, or write \
     interfaces = \"all\"";

fn ignore(value: &Value<'_>, findings: &mut Findings) -> Vec<Step> {
    let example = "ignore = [\"443/udp\", 80]";
    let mut steps = Vec::new();
    for item in value.items() {
        if let Some(port) = item.port().filter(|&port| port != 0) {
            steps.push(Step { port, protocol: aldaba_gate::knock::Protocol::Tcp });
            continue;
        }
        let Some(text) = item.text(findings, example) else { continue };
        match values::service(text.text) {
            Ok(step) => steps.push(step),
            Err(bad) => findings.add(
                Diagnostic::error("bad-port", &text.place.part(bad.span), bad.message)
                    .help(format!("write {example}")),
            ),
        }
    }
    steps
}

/// One of a few words.
pub(super) fn choice<T: Copy>(
    value: &Value<'_>,
    choices: &[(&'static str, T)],
    findings: &mut Findings,
) -> Option<T> {
    let names = || choices.iter().map(|(name, _)| format!("{name:?}")).collect::<Vec<_>>().join(" or ");
    if !value.is_text() {
        value.wrong(findings, "a string", format_args!("{} = {}", value.name, names()));
        return None;
    }
    let text = value.text(findings, "")?;
    let found = choices.iter().find(|(name, _)| *name == text.text).map(|(_, choice)| *choice);
    if found.is_none() {
        let message = format!("{} is {}", value.name, names());
        let near = crate::suggest::nearest(text.text, choices.iter().map(|(name, _)| *name));
        let found = Diagnostic::error("bad-choice", &text.place, message);
        findings.add(match near {
            Some(near) => found.help(format!("did you mean {near:?}?")),
            None => found.help("write one of them, or leave the line out"),
        });
    }
    found
}

/// `"all"` or a list of names.
fn capabilities(value: &Value<'_>, findings: &mut Findings) -> Option<Capabilities> {
    let example = "capabilities = [\"net_admin\", \"net_raw\"], or \"all\"";
    if value.is_text() && value.text(findings, example)?.text == "all" {
        return Some(Capabilities::ALL);
    }
    let mut set = Capabilities::NONE;
    for word in value.words(findings, example)? {
        if let Some(one) = Capabilities::named(word.text) {
            set.0 |= one.0;
            continue;
        }
        let message = format!("the kernel has no capability {:?}", word.text);
        let near = crate::suggest::nearest(&word.text.to_ascii_lowercase(), Capabilities::all_names());
        let help = near.map_or_else(|| format!("write {example}"), |near| format!("did you mean {near:?}?"));
        findings.add(Diagnostic::error("bad-capability", &word.place, message).help(help));
    }
    Some(set)
}

fn user(value: &Value<'_>, findings: &mut Findings) -> Option<String> {
    let text = value.text(findings, "user = \"aldaba\"")?;
    let legal = |c: char| c.is_ascii_alphanumeric() || "_.-$".contains(c);
    if text.text == "root" || text.text == "0" {
        let message = "the worker reads strangers' packets and must not be root";
        findings.add(
            Diagnostic::error("bad-user", &text.place, message)
                .help("leave the line out: user aldaba is taken, or a free number where there is none"),
        );
        return None;
    }
    if text.text.is_empty() || !text.text.chars().all(legal) {
        let message = format!("{:?} is not the name of a user", text.text);
        findings.add(
            Diagnostic::error("bad-user", &text.place, message)
                .help("write a name of /etc/passwd or a number, or leave the line out for aldaba"),
        );
        return None;
    }
    Some(text.text.to_owned())
}

/// A path; one that does not begin at the root is taken, with a warning.
pub(super) fn path(value: &Value<'_>, example: &str, findings: &mut Findings) -> Option<PathBuf> {
    let help = format!("write it like: {} = {example:?}", value.name);
    let text = value.text(findings, format_args!("{} = {example:?}", value.name))?;
    if text.text.is_empty() || text.text.contains('\0') {
        let message = format!("{} takes the path of a file", value.name);
        findings.add(Diagnostic::error("bad-path", &text.place, message).help(help));
        return None;
    }
    if !text.text.starts_with('/') {
        let message = "this path depends on the folder the daemon is started in";
        findings.add(Diagnostic::warning("relative-path", &text.place, message).help(help));
    }
    Some(PathBuf::from(text.text))
}
