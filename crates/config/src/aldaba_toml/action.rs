//! What opening a door does: ports that aldaba's own table guards, a set of the administrator's, or commands.
//!
//! Exactly one of them; `log-only = true` says that none is meant. Lines for a shell exist for `style = "knockd"`
//! only.

mod sets;

use std::time::Duration;

use aldaba_runner::door::{
    Action, Commands, Door, Established, NftAction, NftFamily, NftSet, PerFamily, PortRange, Style, Template,
    Transport,
};

pub(super) use sets::one_door_for_each_set;

use super::daemon;
use super::door::LONGEST;
use super::table::{Table, Value};
use super::values::{self, SetName};
use crate::diagnostic::{Diagnostic, Place};
use crate::plan::{DoorPlaces, Families, Findings};

const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The keys of each kind of action, as far as they are written.
struct Keys<'d> {
    ports: Option<Value<'d>>,
    established: Option<Value<'d>>,
    sets: [Option<Value<'d>>; 3],
    commands: [Option<Value<'d>>; 4],
    lines: [Option<Value<'d>>; 4],
    time_limit: Option<Value<'d>>,
    never_stop: Option<Value<'d>>,
    log_only: Option<Value<'d>>,
}

impl<'d> Keys<'d> {
    fn take(table: &mut Table<'d>) -> Self {
        Self {
            ports: table.take("ports"),
            established: table.take("established"),
            sets: ["set", "set-v4", "set-v6"].map(|name| table.take(name)),
            commands: ["start", "start-v6", "stop", "stop-v6"].map(|name| table.take(name)),
            lines: ["start-line", "start-line-v6", "stop-line", "stop-line-v6"].map(|name| table.take(name)),
            time_limit: table.take("time-limit"),
            never_stop: table.take("never-stop"),
            log_only: table.take("log-only"),
        }
    }

    /// The first key of each kind that is written.
    fn kinds(&self) -> Vec<&Value<'d>> {
        [
            self.ports.as_ref(),
            self.sets.iter().flatten().next(),
            self.commands.iter().flatten().next(),
            self.lines.iter().flatten().next(),
            self.log_only.as_ref(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

pub(super) fn read(
    table: &mut Table<'_>,
    style: Style,
    places: &mut DoorPlaces,
    findings: &mut Findings,
) -> Option<Action> {
    let keys = Keys::take(table);
    misplaced(&keys, style, findings);
    if let [first, second, ..] = keys.kinds().as_slice() {
        let message = format!("a door does one thing: {} or {}", first.name, second.name);
        findings.add(
            Diagnostic::error("two-actions", &second.key, message)
                .also(&first.key, "the other is here")
                .help("split it into two doors with the same sequence: both open"),
        );
        return None;
    }
    if let Some(value) = &keys.ports {
        places.ports = Some(value.place.clone());
        let established = established(keys.established.as_ref(), findings);
        return ports(value, findings).map(|ports| nftables(NftSet::Own { ports, established }));
    }
    if keys.sets.iter().any(Option::is_some) {
        return sets(&keys, places, findings).map(nftables);
    }
    if keys.commands.iter().chain(&keys.lines).any(Option::is_some) {
        return commands(&keys, style, places, findings);
    }
    let log_only = keys.log_only.as_ref().is_some_and(|value| value.flag(findings) == Some(true));
    if !log_only && style == Style::Native {
        findings.add(Diagnostic::error("no-action", &table.place, "this door opens nothing").help(
            "add ports = [\"22/tcp\"], set = \"inet filter ssh_open\" or start = [\"PROGRAM\", \"{ip}\"]; \
                 log-only = true if that is meant",
        ));
        return None;
    }
    Some(Action::LogOnly)
}

fn nftables(set: NftSet) -> Action {
    Action::Nftables(NftAction { set })
}

/// Keys that mean something in the other style, or beside other keys only.
fn misplaced(keys: &Keys<'_>, style: Style, findings: &mut Findings) {
    if style == Style::Native {
        for value in keys.lines.iter().flatten().chain(&keys.never_stop) {
            let message = format!("{} belongs to style = \"knockd\"", value.name);
            findings.add(
                Diagnostic::error("wrong-style", &value.key, message)
                    .help("write start = [\"PROGRAM\", \"ARGUMENT\", \"{ip}\"], which needs no shell"),
            );
        }
    }
    if let Some(value) = keys.established.as_ref().filter(|_| keys.ports.is_none()) {
        findings.add(not_ours(keys, value));
    }
    let commands = keys.commands.iter().chain(&keys.lines).any(Option::is_some);
    if let Some(value) = keys.time_limit.as_ref().filter(|_| !commands) {
        findings.add(
            Diagnostic::error("wrong-key", &value.key, "time-limit is for doors with commands")
                .help("remove the line"),
        );
    }
}

/// Connections are aldaba's business only where its own table guards the ports.
fn not_ours(keys: &Keys<'_>, value: &Value<'_>) -> Diagnostic {
    let found = Diagnostic::error("wrong-key", &value.key, "established is for doors with ports");
    if keys.sets.iter().any(Option::is_some) {
        found.help(
            "in your own ruleset: accept the set's members before `ct state established accept`, and drop the \
             port's other packets right behind that",
        )
    } else if keys.kinds().iter().any(|kind| kind.name.starts_with("st")) {
        found.help("open with ports = [\"22/tcp\"], or end the connections in the stop command: conntrack -D -s {ip}")
    } else {
        found.help("remove the line")
    }
}

fn established(value: Option<&Value<'_>>, findings: &mut Findings) -> Established {
    let choices = [("stay", Established::Stay), ("cut", Established::Cut)];
    value.and_then(|value| daemon::choice(value, &choices, findings)).unwrap_or(Established::Stay)
}

/// One port cannot do both: of a connection nobody knows through which door it came.
pub(super) fn one_word_for_each_port(doors: &[Door], places: &[DoorPlaces], findings: &mut Findings) {
    let own = |(door, places): (&Door, &DoorPlaces)| match &door.action {
        Action::Nftables(NftAction { set: NftSet::Own { ports, established } }) => {
            Some((ports.clone(), *established, places.ports.clone()?))
        }
        _ => None,
    };
    let own: Vec<_> = doors.iter().zip(places).filter_map(own).collect();
    for (index, (ports, established, place)) in own.iter().enumerate() {
        let differs = |(others, other, _): &&(Vec<PortRange>, Established, Place)| {
            other != established && others.iter().any(|a| ports.iter().any(|b| overlap(*a, *b)))
        };
        if let Some((_, _, before)) = own.iter().take(index).find(differs) {
            findings.add(
                Diagnostic::error(
                    "established-differs",
                    place,
                    "one door of this port cuts connections, one does not",
                )
                .also(before, "the other is here")
                .help("give both established = \"cut\", or neither"),
            );
        }
    }
}

/// A list of ports, each once.
pub(super) fn ports(value: &Value<'_>, findings: &mut Findings) -> Option<Vec<PortRange>> {
    let example = &format!("{} = [\"22/tcp\", \"60000-61000/udp\"]", value.name);
    let items = value.items();
    if items.is_empty() {
        findings.add(value.error("bad-port", "no port is named").help(format!("write it like: {example}")));
        return None;
    }
    let mut all = Vec::new();
    let mut whole = true;
    for item in items {
        match port(&item, example, findings) {
            Some(range) => all.push((range, item.place)),
            None => whole = false,
        }
    }
    for (index, (range, place)) in all.iter().enumerate() {
        if let Some((_, before)) = all.iter().take(index).find(|(other, _)| overlap(*range, *other)) {
            whole = false;
            findings.add(
                Diagnostic::error("ports-twice", place, "these ports are in the list already")
                    .also(before, "here")
                    .help("name each port once; ranges must not overlap"),
            );
        }
    }
    whole.then(|| all.into_iter().map(|(range, _)| range).collect())
}

fn overlap(a: PortRange, b: PortRange) -> bool {
    a.transport == b.transport && a.first <= b.last && b.first <= a.last
}

fn port(item: &Value<'_>, example: &str, findings: &mut Findings) -> Option<PortRange> {
    if let Some(port) = item.port().filter(|&port| port != 0) {
        return Some(PortRange { first: port, last: port, transport: Transport::Tcp });
    }
    if item.is_number() {
        let found = item.error("bad-port", format!("{} is not a port", item.number_text()));
        findings.add(found.help("ports are 1 to 65535"));
        return None;
    }
    let text = item.text(findings, example)?;
    values::ports(text.text)
        .map_err(|bad| {
            findings.add(
                Diagnostic::error("bad-port", &text.place.part(bad.span), bad.message)
                    .help(format!("write it like: {example}")),
            );
        })
        .ok()
}

fn sets(keys: &Keys<'_>, places: &mut DoorPlaces, findings: &mut Findings) -> Option<NftSet> {
    let [either, v4, v6] = keys.sets.each_ref().map(|value| match value {
        Some(value) => set(value, findings).map(|name| Some((name, value.place.clone()))),
        None => Some(None),
    });
    let (either, v4, v6) = (either?, v4?, v6?);
    let (v4, v6) = match either {
        Some(either) if v4.is_none() && either.0.family == NftFamily::Ip6 && v6.is_none() => {
            (None, Some(either))
        }
        Some(either) if v4.is_none() => (Some(either), v6),
        Some((_, place)) => {
            findings.add(
                Diagnostic::error("two-sets", &place, "set and set-v4 both name the set for IPv4")
                    .help("keep one of them; the set for IPv6 is set-v6"),
            );
            return None;
        }
        None => (v4, v6),
    };
    let place = |named: &Option<(SetName, Place)>| named.as_ref().map(|(_, place)| place.clone());
    places.sets = Families { v4: place(&v4), v6: place(&v6) };
    same_table(v4, v6, findings)
}

fn set(value: &Value<'_>, findings: &mut Findings) -> Option<SetName> {
    let example = "inet filter ssh_open";
    let text = value.text(findings, &format!("{} = {example:?}", value.name))?;
    values::set_name(text.text)
        .map_err(|bad| {
            findings.add(
                Diagnostic::error("bad-set", &text.place.part(bad.span), bad.message)
                    .help(format!("write it like: {} = {example:?}", value.name)),
            );
        })
        .ok()
}

fn same_table(
    v4: Option<(SetName, Place)>,
    v6: Option<(SetName, Place)>,
    findings: &mut Findings,
) -> Option<NftSet> {
    for (named, wrong) in [(&v4, NftFamily::Ip6), (&v6, NftFamily::Ip)] {
        if let Some((_, place)) = named.as_ref().filter(|(name, _)| name.family == wrong) {
            findings.add(
                Diagnostic::error(
                    "bad-set",
                    place,
                    "a table of this family has no addresses of the other one",
                )
                .help("ip tables hold IPv4, ip6 tables IPv6, inet tables sets of either kind"),
            );
            return None;
        }
    }
    if let (Some((a, first)), Some((b, second))) = (&v4, &v6)
        && (a.family, &a.table) != (b.family, &b.table)
    {
        findings.add(
            Diagnostic::error("two-tables", second, "both sets of a door are in one table")
                .also(first, "the other is here")
                .help("use an inet table, or two doors with the same sequence"),
        );
        return None;
    }
    let named = v4.as_ref().or(v6.as_ref()).map(|(name, _)| name.clone())?;
    let set = |found: Option<(SetName, Place)>| found.map(|(name, _)| name.set);
    Some(NftSet::Named { family: named.family, table: named.table, set_v4: set(v4), set_v6: set(v6) })
}

fn commands(
    keys: &Keys<'_>,
    style: Style,
    places: &mut DoorPlaces,
    findings: &mut Findings,
) -> Option<Action> {
    let mut whole = true;
    let mut made = |value: &Option<Value<'_>>, findings: &mut Findings| -> Option<Made> {
        let value = value.as_ref()?;
        let read = if value.name.contains("line") { line(value, findings) } else { argv(value, findings) };
        whole &= read.is_some();
        read.map(|template| Made { template, place: value.place.clone() })
    };
    let of = if keys.lines.iter().any(Option::is_some) { &keys.lines } else { &keys.commands };
    let [start, start_v6, stop, stop_v6] = of.each_ref().map(|value| made(value, findings));
    let time_limit = time_limit(keys.time_limit.as_ref(), style, findings);
    let never_stop = keys.never_stop.as_ref().is_some_and(|value| value.flag(findings) == Some(true));
    if !whole {
        return None;
    }
    let start_v6 = start_v6.or_else(|| start.clone());
    let stop_v6 = stop_v6.or_else(|| stop.clone());
    places.start = Families { v4: place(start.as_ref()), v6: place(start_v6.as_ref()) };
    places.stop = Families { v4: place(stop.as_ref()), v6: place(stop_v6.as_ref()) };
    let start = PerFamily { v4: runs(start, false), v6: runs(start_v6, false) };
    if start == PerFamily::default() {
        if style == Style::Native {
            let first = of.iter().flatten().next()?;
            findings.add(
                Diagnostic::error("no-action", &first.key, "this door has no start command")
                    .help("add start = [\"PROGRAM\", \"{ip}\"]"),
            );
            return None;
        }
        return Some(Action::LogOnly);
    }
    let empty_runs = style == Style::Knockd;
    let stop = PerFamily {
        v4: runs(stop, empty_runs).filter(|_| start.v4.is_some()),
        v6: runs(stop_v6, empty_runs).filter(|_| start.v6.is_some()),
    };
    let never_stop = never_stop && stop != PerFamily::default();
    Some(Action::Command(Commands { start, stop, time_limit, never_stop }))
}

#[derive(Clone)]
struct Made {
    template: Template,
    place: Place,
}

fn place(made: Option<&Made>) -> Option<Place> {
    made.map(|made| made.place.clone())
}

/// An empty command is none, except that an empty stop line is run as the original runs it.
fn runs(made: Option<Made>, empty_line_runs: bool) -> Option<Template> {
    made.map(|made| made.template).filter(|template| match template {
        Template::Argv(words) => !words.is_empty(),
        Template::Shell(line) => empty_line_runs || !line.is_empty(),
    })
}

fn line(value: &Value<'_>, findings: &mut Findings) -> Option<Template> {
    let text = value.text(findings, &format!("{} = \"/usr/local/sbin/open %IP%\"", value.name))?;
    Some(Template::Shell(text.text.to_owned()))
}

fn argv(value: &Value<'_>, findings: &mut Findings) -> Option<Template> {
    let example = format!("{} = [\"/usr/local/sbin/open\", \"{{ip}}\"]", value.name);
    let words = value.words(findings, &example)?;
    let template = Template::Argv(words.iter().map(|word| word.text.to_owned()).collect());
    if words.is_empty() {
        return Some(template);
    }
    let mut good = true;
    if let Err(error) = template.check() {
        good = false;
        let place = words.get(error.argument).map_or(&value.place, |word| &word.place);
        findings.add(
            Diagnostic::error("bad-template", &place.part(error.span.clone()), error.kind.to_string())
                .help(format!("write it like: {example}")),
        );
    }
    for word in &words {
        let Some(at) = word.text.find("%IP%") else { continue };
        good = false;
        findings.add(
            Diagnostic::error(
                "bad-template",
                &word.place.part(at..at + 4),
                "%IP% is for lines of knockd.conf",
            )
            .help("write {ip} here"),
        );
    }
    let program = words.first().filter(|word| word.text.contains('{') || word.text.contains('\0'));
    if let Some(word) = program.filter(|_| good) {
        good = false;
        findings.add(
            Diagnostic::error("bad-template", &word.place, "the program's name is fixed")
                .help("name one program here; {ip} may stand in what follows it"),
        );
    }
    good.then_some(template)
}

fn time_limit(value: Option<&Value<'_>>, style: Style, findings: &mut Findings) -> Option<Duration> {
    let default = match style {
        Style::Native => Some(TIME_LIMIT),
        Style::Knockd => None,
    };
    let Some(value) = value else { return default };
    let is_none = value.is_text() && value.text(findings, "").is_some_and(|text| text.text == "none");
    if is_none {
        return None;
    }
    value.duration(findings, Duration::from_millis(100), LONGEST).or(default)
}
