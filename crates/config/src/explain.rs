//! A policy as the text of an aldaba.toml that means the same.
//!
//! This is how a knockd.conf migrates, so it loses nothing: reading the text back gives an equal policy. What has its
//! default value is left out; short comments say what a reader of knockd.conf may not expect.

use std::fmt::{Display, Write as _};
use std::path::Path;
use std::time::Duration;

use aldaba_gate::knock::{FlagFilter, Mode};
use aldaba_gate::spa::{AddressRule, Audience, Port, Transport, Window};
use aldaba_gate::{DoorRule, Knock, KnockAction, SequenceSource};
use aldaba_runner::door::{
    Action, Commands, Door, Established, Limits, NftAction, NftFamily, NftSet, PerFamily, Style, Template,
};

use crate::aldaba_toml::duration_text;
use crate::capabilities::Capabilities;
use crate::policy::{
    AfterFlush, Capture, Current, Daemon, Interfaces, OnExit, OneTime, Policy, Receive, Spa,
};

/// The policy as the text of an aldaba.toml that means the same.
#[must_use]
pub fn explain(policy: &Policy) -> String {
    let mut page = Page(String::new());
    daemon(&mut page, policy);
    if let Some(policy) = &policy.spa {
        spa(&mut page, policy);
    }
    let doors = policy.gate.doors.iter().zip(&policy.catalogue.doors);
    for (number, (rule, door)) in (0_u32..).zip(doors) {
        let files: Vec<_> = policy.one_time.iter().filter(|file| file.door.0 == number).collect();
        page.line("");
        page.line("[[door]]");
        knocking(&mut page, rule, door, &files);
        opening(&mut page, door);
        service(&mut page, policy, door);
    }
    page.0
}

/// Lines being written.
struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn key(&mut self, key: &str, value: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn key_if(&mut self, wanted: bool, key: &str, value: impl Display) {
        if wanted {
            self.key(key, value);
        }
    }
}

/// Text as TOML writes it, on one line whatever is in it.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn list<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    let items: Vec<String> = items.iter().map(text).collect();
    format!("[{}]", items.join(", "))
}

fn time(time: Duration) -> String {
    quoted(&duration_text(time))
}

fn daemon(page: &mut Page, policy: &Policy) {
    let Daemon {
        interfaces, capture, user, capabilities, state_dir, on_exit, log, pid_file, control, ..
    } = &policy.daemon;
    match interfaces {
        Interfaces::All => page.key("interfaces", quoted("all")),
        Interfaces::Named(names) => page.key("interfaces", list(names, |name| quoted(name))),
    }
    page.key_if(*capture == Capture::Pnet, "capture", quoted("pnet"));
    page.key_if(!policy.gate.ipv6, "ipv6", false);
    if !policy.gate.ignore.is_empty() {
        let step = |step: &aldaba_gate::knock::Step| quoted(&format!("{}/{}", step.port, step.protocol));
        page.key("ignore", list(&policy.gate.ignore, step));
    }
    if let Some(user) = user {
        page.key("user", quoted(user));
    }
    match capabilities {
        Some(Capabilities::ALL) => page.key("capabilities", quoted("all")),
        Some(some) => page.key("capabilities", list(&some.names(), |name| quoted(name))),
        None => {}
    }
    for (key, value) in [("state-dir", state_dir), ("pid-file", pid_file), ("control", control)] {
        if let Some(value) = value {
            page.key(key, path(value));
        }
    }
    match on_exit {
        Some(OnExit::Keep) => page.key_if(true, "on-exit", quoted("keep")),
        Some(OnExit::Close) => page.key_if(true, "on-exit", quoted("close")),
        None => {}
    }
    if log != &crate::Log::default() {
        page.line("\n[log]");
        page.key_if(log.syslog, "syslog", true);
        if let Some(file) = &log.file {
            page.key("file", path(file));
        }
        page.key_if(log.stages, "stages", true);
    }
    limits(page, policy);
    firewall(page, &policy.daemon);
}

fn firewall(page: &mut Page, daemon: &Daemon) {
    let usual = Daemon::default();
    if (&daemon.table, daemon.after_flush) == (&usual.table, usual.after_flush) {
        return;
    }
    page.line("\n[firewall]");
    page.key_if(daemon.table != usual.table, "table", quoted(&daemon.table));
    page.key_if(daemon.after_flush == AfterFlush::Report, "after-flush", quoted("report"));
}

fn spa(page: &mut Page, spa: &Spa) {
    page.line("\n[spa]");
    page.key("port", spa.port);
    if !spa.hosts.is_empty() {
        page.key("hosts", list(&spa.hosts, |host| quoted(&host.to_string())));
    }
    page.key_if(spa.receive == Receive::Listen, "receive", quoted("listen"));
    page.key_if(spa.trust_clock, "trust-clock", true);
    let usual = Window::default();
    for (key, is, usual) in [
        ("past", spa.window.past, usual.past),
        ("future", spa.window.future, usual.future),
        ("slack", spa.window.slack, usual.slack),
    ] {
        page.key_if(is != usual, key, time(is));
    }
    let off = || quoted("none");
    page.key("registry", path(&spa.files.registry));
    page.key("psk-seed", spa.files.psk_seed.as_deref().map_or_else(off, path));
    for files in &spa.files.locks {
        page.line("\n[[spa.lock]]");
        page.key("server-key", path(&files.server_key));
        page.key("gate-key", files.gate_key.as_deref().map_or_else(off, path));
        page.key_if(files.audience != Audience::default(), "audience", quoted(files.audience.as_str()));
        for (key, moment) in [("not-before", files.not_before), ("not-after", files.not_after)] {
            if let Some(moment) = moment {
                page.key(key, quoted(&crate::authorized_keys::time_text(moment)));
            }
        }
    }
}

fn limits(page: &mut Page, policy: &Policy) {
    let (is, usual) = (policy.catalogue.limits, Limits::default());
    let all = [
        ("attempts", policy.gate.attempts, 1 << 16),
        ("running", is.running, usual.running),
        ("running-per-door", is.running_per_door, usual.running_per_door),
        ("waiting", is.waiting, usual.waiting),
        ("leases-per-source", is.leases_per_source, usual.leases_per_source),
        ("leases-per-door", is.leases_per_door, usual.leases_per_door),
    ];
    if all.iter().all(|(_, is, usual)| is == usual) {
        return;
    }
    page.line("\n[limits]");
    for (key, is, usual) in all {
        page.key_if(is != usual, key, is);
    }
}

fn knocking(page: &mut Page, rule: &DoorRule, door: &Door, files: &[&OneTime]) {
    page.key("name", quoted(&rule.name));
    if door.style == Style::Knockd {
        page.line("# Behaves as in knockd.conf: compatible mode, a shell line, one lease for each start.");
        page.key("style", quoted("knockd"));
    }
    match rule.spa {
        Some(AddressRule::Either) => page.key("spa", true),
        Some(AddressRule::Bound) => page.key("spa", quoted("bound")),
        None => {}
    }
    page.key_if(rule.for_gateway, "open-for-gateway", true);
    for (number, knock) in (0_u8..).zip(&rule.knocks) {
        let file = files.iter().find(|file| file.knock == number);
        sequence(page, knock.action, &knock.source, file.copied());
    }
    if let Some(knock) = rule.knocks.first() {
        how(page, knock, door.style);
    }
    if let Some(target) = rule.target {
        page.key("target", quoted(&target.to_string()));
    }
    if !rule.interfaces.is_empty() {
        page.key("interfaces", list(&rule.interfaces, |name| quoted(name)));
    }
}

/// What all sequences of a door share.
fn how(page: &mut Page, knock: &Knock, style: Style) {
    let (mode, flags) = match style {
        Style::Native => (Mode::Strict, FlagFilter::INITIAL_SYN),
        Style::Knockd => (Mode::Compatible, FlagFilter::ANY),
    };
    let mode_text = if knock.mode == Mode::Strict { "strict" } else { "compatible" };
    page.key_if(knock.mode != mode, "mode", quoted(mode_text));
    page.key("sequence-timeout", time(knock.timeout));
    page.key_if(knock.cooldown != Duration::ZERO, "cooldown", time(knock.cooldown));
    let flags_text = if knock.flags == FlagFilter::ANY { "any".to_owned() } else { knock.flags.to_string() };
    page.key_if(knock.flags != flags, "tcp-flags", quoted(&flags_text));
}

fn sequence(page: &mut Page, action: KnockAction, source: &SequenceSource, file: Option<&OneTime>) {
    let (key, file_key) = match action {
        KnockAction::Open => ("sequence", "one-time-sequences"),
        KnockAction::Close => ("close-sequence", "close-one-time-sequences"),
    };
    let written = file.is_none_or(|file| file.current == Current::Written);
    if let (SequenceSource::Fixed(sequence) | SequenceSource::OneTime(Some(sequence)), true) =
        (source, written)
    {
        if file.is_some() {
            page.line("# Counts once, then the first line of the file.");
        }
        page.key(key, quoted(&sequence.to_string()));
    }
    if let Some(file) = file {
        page.key(file_key, path(&file.path));
    }
}

fn opening(page: &mut Page, door: &Door) {
    match &door.action {
        Action::LogOnly => page.key_if(door.style == Style::Native, "log-only", true),
        Action::Nftables(NftAction { set: NftSet::Own { ports, established } }) => {
            page.key("ports", list(ports, |range| quoted(&range.to_string())));
            page.key_if(*established == Established::Cut, "established", quoted("cut"));
        }
        Action::Nftables(NftAction { set: NftSet::Named { family, table, set_v4, set_v6 } }) => {
            let family = match family {
                NftFamily::Inet => "inet",
                NftFamily::Ip => "ip",
                NftFamily::Ip6 => "ip6",
            };
            for (key, set) in [("set-v4", set_v4), ("set-v6", set_v6)] {
                if let Some(set) = set {
                    page.key(key, quoted(&format!("{family} {table} {set}")));
                }
            }
        }
        Action::Command(commands) => command(page, commands, door.style),
    }
    lease(page, door);
}

/// What devices are told is behind a door, where that is not what it guards.
fn service(page: &mut Page, policy: &Policy, door: &Door) {
    let usual = crate::aldaba_toml::service_ports(None, &door.action);
    let told = policy.spa.iter().flat_map(|spa| &spa.doors).find(|told| told.name == door.name);
    if let Some(told) = told.filter(|told| told.ports != usual) {
        page.key("service", list(&told.ports, |port| quoted(&port_text(*port))));
    }
}

fn port_text(port: Port) -> String {
    let protocol = match port.transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    };
    format!("{}/{protocol}", port.number)
}

fn lease(page: &mut Page, door: &Door) {
    match door.style {
        Style::Native => {
            page.key("lease", time(door.lease));
            let usual = door.lease.max(Duration::from_secs(3600));
            page.key_if(door.max_lease != usual, "max-lease", time(door.max_lease));
        }
        Style::Knockd => {
            let lasts = matches!(&door.action, Action::Command(c) if c.stop != PerFamily::default());
            let usual = Duration::from_secs(10);
            page.key_if(lasts || door.lease != usual, "lease", time(door.lease));
            page.key_if(door.max_lease != door.lease, "max-lease", time(door.max_lease));
        }
    }
}

fn command(page: &mut Page, commands: &Commands, style: Style) {
    per_family(page, "start", &commands.start, true);
    per_family(page, "stop", &commands.stop, false);
    let usual = match style {
        Style::Native => Some(Duration::from_secs(10)),
        Style::Knockd => None,
    };
    let limit = commands.time_limit.map_or_else(|| quoted("none"), time);
    page.key_if(commands.time_limit != usual, "time-limit", limit);
    if commands.never_stop {
        page.line("# cmd_timeout is below zero: the stop line never runs.");
        page.key("never-stop", true);
    }
}

/// One key when both families run the same; for a stop, an absent family follows its start by itself.
fn per_family(page: &mut Page, what: &str, templates: &PerFamily, is_start: bool) {
    let key = |template: &Template, suffix: &str| match template {
        Template::Argv(_) => format!("{what}{suffix}"),
        Template::Shell(_) => format!("{what}-line{suffix}"),
    };
    let PerFamily { v4, v6 } = templates;
    if let Some(v4) = v4 {
        page.key(&key(v4, ""), template(v4));
    }
    match (v4, v6) {
        (Some(v4), Some(v6)) if v4 == v6 => {}
        (_, Some(v6)) => page.key(&key(v6, "-v6"), template(v6)),
        (Some(v4), None) if is_start => {
            let nothing = if matches!(v4, Template::Argv(_)) { "[]" } else { "\"\"" };
            page.key(&key(v4, "-v6"), nothing);
        }
        (_, None) => {}
    }
}

fn template(template: &Template) -> String {
    match template {
        Template::Argv(words) => list(words, |word| quoted(word)),
        Template::Shell(line) => quoted(line),
    }
}
