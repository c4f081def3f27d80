//! Sequences that nobody can knock, or that anybody can.

use std::collections::HashMap;

use aldaba_gate::DoorRule;
use aldaba_gate::knock::scan::scan_chance;
use aldaba_gate::knock::{Mode, Protocol, Sequence, Step};
use aldaba_runner::door::{Action, NftSet, Transport};

use super::{Subject, current, subjects};
use crate::diagnostic::{Diagnostic, Place};
use crate::plan::{Findings, Plan};
use crate::policy::Interfaces;

/// A random scan that opens a door less often than once in so many times is nothing to warn of.
const RARE: f64 = 1.0 / 1000.0;

/// What can be said of one door alone.
pub(super) fn of_door(subject: &Subject<'_>, ignore: &[Step], findings: &mut Findings) {
    for (knock, place) in subject.knocks() {
        let Some(sequence) = current(knock) else { continue };
        if sequence.steps().iter().any(|step| step.protocol == Protocol::Tcp) {
            let at = subject.places.flags.as_ref().unwrap_or(place);
            findings.list.extend(impossible_flags(knock.flags, at));
        }
        findings.list.extend(open_to_scans(sequence, knock.mode, ignore, place));
        findings.list.extend(guarded_by_itself(subject, sequence, place));
    }
}

fn impossible_flags(flags: aldaba_gate::knock::FlagFilter, at: &Place) -> Option<Diagnostic> {
    if flags.can_match_first_packet() {
        return None;
    }
    let message = "no client can knock here: its first packet carries SYN and no other of these flags";
    Some(
        Diagnostic::warning("impossible-flags", at, message)
            .label(format!("{flags} is never true of a connection attempt"))
            .help("write syn alone; a connection attempt that is answered carries ACK only in its second packet"),
    )
}

fn open_to_scans(sequence: &Sequence, mode: Mode, ignore: &[Step], at: &Place) -> Option<Diagnostic> {
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
    Some(if chance.is_open_to_ordered_scans() {
        found.help("put the ports in no order").help(STRICT)
    } else {
        found.help(STRICT)
    })
}

const STRICT: &str = "in aldaba.toml doors are strict: any other port in between cancels, so that no scan of all ports \
     gets through (aldabad check --explain writes this file as aldaba.toml; give the door mode = \"strict\" there)";

/// A port that is both a step and guarded: the knock goes through the closed door, and so does the connection.
fn guarded_by_itself(subject: &Subject<'_>, sequence: &Sequence, at: &Place) -> Option<Diagnostic> {
    let Action::Nftables(action) = &subject.door.action else { return None };
    let NftSet::Own { ports } = &action.set else { return None };
    let guarded = |step: &&Step| {
        ports.iter().any(|range| {
            let udp = range.transport == Transport::Udp;
            udp == (step.protocol == Protocol::Udp) && (range.first..=range.last).contains(&step.port)
        })
    };
    let step = sequence.steps().iter().find(guarded)?;
    let message = format!("{step} is a step of the sequence and a port the door guards");
    Some(
        Diagnostic::warning("knocks-at-guarded-port", at, message)
            .help("everybody who tries the service knocks; choose a port that nothing uses"),
    )
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

/// A door on an interface where nothing is captured.
pub(super) fn not_captured(subject: &Subject<'_>, plan: &Plan, findings: &mut Findings) {
    let Interfaces::Named(captured) = &plan.policy.daemon.interfaces else { return };
    let (Some(name), Some(place)) =
        (subject.rule.interfaces.iter().find(|name| !captured.contains(name)), &subject.places.interfaces)
    else {
        return;
    };
    let message = format!("nothing is captured on {name:?}: this door hears nothing there");
    let mut found = Diagnostic::warning("not-captured", place, message)
        .help(format!("add {name:?} to the `interfaces` at the top, or leave those out to capture on all"));
    if let Some(at) = &plan.interfaces {
        found = found.also(at, "only these");
    }
    findings.add(found);
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
