//! What opening a door does: ports that aldaba's own table guards, a set of the administrator's, or commands.
//!
//! Exactly one of them; `log-only = true` says that none is meant. Lines for a shell exist for `style = "knockd"`
//! only.

mod commands;
mod sets;

use std::fmt;

use aldaba_runner::door::{Action, Door, Established, NftAction, NftSet, PortRange, Style, Transport};

pub(super) use sets::one_door_for_each_set;

use super::table::{Table, Value};
use super::{daemon, values};
use crate::diagnostic::{Diagnostic, Place};
use crate::plan::{DoorPlaces, Findings};

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
        return sets::sets(&keys, places, findings).map(nftables);
    }
    if keys.commands.iter().chain(&keys.lines).any(Option::is_some) {
        return commands::commands(&keys, style, places, findings);
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
    let (mut cut, mut stay) = (Vec::new(), Vec::new());
    for (door, places) in doors.iter().zip(places) {
        let (Action::Nftables(NftAction { set: NftSet::Own { ports, established } }), Some(place)) =
            (&door.action, &places.ports)
        else {
            continue;
        };
        let (same, others) = match established {
            Established::Cut => (&mut cut, &stay),
            Established::Stay => (&mut stay, &cut),
        };
        let meets = |(others, _): &&(&Vec<PortRange>, &Place)| {
            others.iter().any(|a| ports.iter().any(|b| overlap(*a, *b)))
        };
        if let Some((_, before)) = others.iter().find(meets) {
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
        same.push((ports, place));
    }
}

/// A list of ports, each once.
pub(super) fn ports(value: &Value<'_>, findings: &mut Findings) -> Option<Vec<PortRange>> {
    let example = format_args!("{} = [\"22/tcp\", \"60000-61000/udp\"]", value.name);
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

fn port(item: &Value<'_>, example: fmt::Arguments<'_>, findings: &mut Findings) -> Option<PortRange> {
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
