//! Sequences that nobody can knock, or that anybody can.

use std::collections::HashMap;
use std::time::Duration;

use aldaba_gate::DoorRule;
use aldaba_gate::knock::scan::scan_chance;
use aldaba_gate::knock::{FlagFilter, Mode, Protocol, Sequence, Step, TcpFlags};
use aldaba_runner::door::{Action, NftSet, Transport};

use super::{Subject, current, firewall, subjects};
use crate::Kind;
use crate::diagnostic::{Diagnostic, Place};
use crate::plan::{Findings, Plan};

/// A random scan that opens a door less often than once in so many times is nothing to warn of.
const RARE: f64 = 1.0 / 1000.0;

/// What can be said of one door alone.
pub(super) fn of_door(subject: &Subject<'_>, ignore: &[Step], findings: &mut Findings) {
    for (knock, place) in subject.knocks() {
        let Some(sequence) = current(knock) else { continue };
        if sequence.steps().iter().any(|step| step.protocol == Protocol::Tcp) {
            let at = subject.places.flags.as_ref().unwrap_or(place);
            findings.list.extend(impossible_flags(knock.flags, at));
            findings.list.extend(every_packet(subject.kind, sequence, knock.flags, at));
        }
        findings.list.extend(no_time(subject, sequence, knock.timeout));
        findings.list.extend(open_to_scans(subject.kind, sequence, knock.mode, ignore, place));
        findings.list.extend(guarded_by_itself(subject, sequence, place));
    }
}

fn impossible_flags(flags: FlagFilter, at: &Place) -> Option<Diagnostic> {
    if flags.can_match_first_packet() {
        return None;
    }
    let message = "no client can knock here: its first packet carries SYN and no other of these flags";
    Some(
        Diagnostic::warning("impossible-flags", at, message)
            .label(format!("{flags} is never true of a connection attempt"))
            .help("write syn alone: ACK comes only after an answer, and a closed port gives none"),
    )
}

/// A door with one port and no flags opens again for each packet of a connection to it.
fn every_packet(kind: Kind, sequence: &Sequence, flags: FlagFilter, at: &Place) -> Option<Diagnostic> {
    let line = match kind {
        Kind::Toml => "tcp-flags = \"syn,!ack\"",
        Kind::Knockd => "TCPFlags = syn",
    };
    let many = [TcpFlags::ACK, TcpFlags::FIN, TcpFlags::PSH].into_iter().any(|flag| flags.matches(flag));
    (sequence.steps().len() == 1 && flags.can_match_first_packet() && many).then(|| {
        Diagnostic::warning(
            "every-packet",
            at,
            "every packet of a connection to this port completes the sequence",
        )
        .help(format!("let only connection attempts count: {line}"))
    })
}

fn no_time(subject: &Subject<'_>, sequence: &Sequence, timeout: Duration) -> Option<Diagnostic> {
    let at = subject.places.timeout.as_ref()?;
    (timeout == Duration::ZERO && sequence.steps().len() > 1).then(|| {
        Diagnostic::warning("no-time", at, "nobody can knock here: the time is over before the second port")
            .help("give the seconds from the first knock to the last, or leave the line out for 25")
    })
}

fn open_to_scans(
    kind: Kind,
    sequence: &Sequence,
    mode: Mode,
    ignore: &[Step],
    at: &Place,
) -> Option<Diagnostic> {
    let chance = scan_chance(sequence, mode, ignore);
    let message = match (chance.ascending, chance.descending) {
        (true, true) => "every port scan opens this door".to_owned(),
        (true, false) => "a port scan in ascending order opens this door, every time".to_owned(),
        (false, true) => "a port scan in descending order opens this door, every time".to_owned(),
        (false, false) if (RARE..1.0).contains(&chance.random) => {
            let times = chance.random.recip().round();
            format!("a port scan in random order opens this door once in {times} times")
        }
        (false, false) => return None,
    };
    let found = Diagnostic::warning("open-to-scans", at, message);
    Some(match mode {
        _ if sequence.steps().len() == 1 => found.help("knock on several ports"),
        Mode::Strict => found.help("put the ports in no order, and none beside the next"),
        Mode::Compatible if chance.is_open_to_ordered_scans() => {
            found.help("put the ports in no order").help(strict(kind))
        }
        Mode::Compatible => found.help(strict(kind)),
    })
}

/// How a compatible door becomes a strict one.
const fn strict(kind: Kind) -> &'static str {
    match kind {
        Kind::Toml => {
            "give the door mode = \"strict\": any other port in between cancels, so that no scan of all ports gets \
             through"
        }
        Kind::Knockd => {
            "in aldaba.toml doors are strict: any other port in between cancels, so that no scan of all ports gets \
             through (aldabad check --explain writes this file as aldaba.toml; give the door mode = \"strict\" there)"
        }
    }
}

/// A port that is both a step and guarded: the knock goes through the closed door, and so does the connection.
fn guarded_by_itself(subject: &Subject<'_>, sequence: &Sequence, at: &Place) -> Option<Diagnostic> {
    let Action::Nftables(action) = &subject.door.action else { return None };
    let NftSet::Own { ports, .. } = &action.set else { return None };
    let guarded = |step: &&Step| {
        ports.iter().any(|range| {
            let udp = range.transport == Transport::Udp;
            udp == (step.protocol == Protocol::Udp) && (range.first..=range.last).contains(&step.port)
        })
    };
    let step = sequence.steps().iter().find(guarded)?;
    Some(firewall::at_guarded_port(*step, at))
}

/// Steps of strict sequences that strict doors are told not to look at.
pub(super) fn ignored(subject: &Subject<'_>, plan: &Plan, findings: &mut Findings) {
    let ignore = &plan.policy.gate.ignore;
    for (knock, place) in subject.knocks().filter(|(knock, _)| knock.mode == Mode::Strict) {
        let steps = current(knock).map_or(&[][..], Sequence::steps);
        let (Some(step), Some(at)) = (steps.iter().find(|step| ignore.contains(step)), &plan.ignore) else {
            continue;
        };
        let message = format!("{step} is ignored, so that nobody can complete this sequence");
        findings.add(
            Diagnostic::warning("ignored-step", place, message)
                .also(at, "here")
                .help("take another port for this step, or out of `ignore`"),
        );
    }
}

/// Doors that open together, though the file does not look like it.
pub(super) fn shared(plan: &Plan, findings: &mut Findings) {
    let all: Vec<Subject<'_>> = subjects(plan).collect();
    let knocks: Vec<(&DoorRule, &Sequence, &Place)> = all
        .iter()
        .flat_map(|subject| subject.fixed().map(|(sequence, place)| (subject.rule, sequence, place)))
        .collect();
    let mut first: HashMap<&[Step], (&DoorRule, &Place)> = HashMap::new();
    for (rule, sequence, place) in &knocks {
        first.entry(sequence.steps()).or_insert((rule, place));
    }
    for (rule, sequence, place) in &knocks {
        let steps = sequence.steps();
        let beginnings = (1..=steps.len()).filter_map(|length| first.get(steps.get(..length)?));
        for (other, at) in beginnings.filter(|(other, _)| other.name != rule.name && overlap(other, rule)) {
            let message = format!("whoever knocks here knocks at {:?} too", other.name);
            findings.add(
                Diagnostic::warning("shared-sequence", place, message)
                    .also(at, "this sequence is complete on the way")
                    .help("let the sequences begin differently, unless that is meant"),
            );
        }
    }
}

/// Whether some client can knock at both doors together.
fn overlap(first: &DoorRule, second: &DoorRule) -> bool {
    let targets = first.target.is_none() || second.target.is_none() || first.target == second.target;
    let apart = !first.interfaces.is_empty()
        && !second.interfaces.is_empty()
        && !first.interfaces.iter().any(|name| second.interfaces.contains(name));
    targets && !apart
}
