//! How the daemon is, in words: what does not work first, then a line for each part.

use crate::control::{Confined, FirewallState, InterfaceState, JournalState, Numbers, Status, StoreState};
use crate::log::printable;
use crate::why::span;

use super::advice;

/// The whole answer for people.
pub(super) fn told(status: &Status) -> String {
    let mut lines = vec![head(status)];
    lines.extend(status.degraded.iter().flat_map(|degraded| {
        let mut about = String::new();
        for (word, value) in [
            ("door", degraded.door.clone()),
            ("for", degraded.address.map(|address| address.to_string())),
            ("on", degraded.interface.clone()),
        ] {
            about.extend(value.map(|value| format!(" {word} {value}")));
        }
        let since = degraded.for_ms.map(|ms| format!(" (for {})", span(ms))).unwrap_or_default();
        let error = if degraded.error.is_empty() { String::new() } else { format!(": {}", degraded.error) };
        let known = advice::of(&degraded.what);
        let (meaning, next) =
            known.map_or((degraded.what.as_str(), advice::OF_ANOTHER), |state| (state.meaning, state.next));
        let what = format!("{meaning} [{}]{about}{since}{error}", degraded.what);
        [format!("  ! {what}"), format!("    next: {next}")]
    }));
    lines.extend(parts(status).into_iter().map(|(name, line)| format!("{name:<14}{line}")));
    lines.iter().map(|line| printable(line) + "\n").collect()
}

fn head(status: &Status) -> String {
    let Status { version, pid, uptime_ms, stopping, degraded, .. } = status;
    let state = match degraded.len() {
        _ if *stopping => "it is ending".to_owned(),
        0 => "all is well".to_owned(),
        1 => "DEGRADED".to_owned(),
        several => format!("DEGRADED in {several} ways"),
    };
    format!("aldabad {version}, process {pid}, running for {}: {state}", span(*uptime_ms))
}

/// Places in the table of attempts for each other source that begins while one pauses: an even spread needs one, and luck as
/// much again.
const RESERVE: u64 = 2;

fn parts(status: &Status) -> Vec<(&'static str, String)> {
    let mut parts = vec![("configuration", configuration(status))];
    parts.extend(interfaces(status).into_iter().map(|line| ("interface", line)));
    parts.push(("worker", worker(status)));
    parts.extend(status.packets.as_ref().map(|packets| {
        let of = |numbers: &Numbers| numbers.values().sum::<u64>();
        let (refused, dropped) = (of(&packets.refused), of(&packets.dropped));
        let sequences = listed(&packets.sequences);
        (
            "packets",
            format!(
                "{} looked at, {refused} no TCP or UDP, or malformed, {dropped} of no concern{sequences}",
                packets.frames
            ),
        )
    }));
    parts.extend(status.attempts.map(|attempts| {
        let displaced = counted(attempts.displaced, ", ", " made room for others");
        let advanced = counted(attempts.displaced_advanced, ", ", " of them after two steps or more");
        let (room, others) = (attempts.room, attempts.room / RESERVE);
        let bears = format!("pauses of 1 s while {others} others begin a second");
        (
            "attempts",
            format!("{} under way, room for {room} ({bears}){displaced}{advanced}", attempts.under_way),
        )
    }));
    parts.extend(datagrams(status).map(|line| ("datagrams", line)));
    parts.push(("leases", leases(status)));
    parts.push(("commands", commands(status)));
    let refused = listed(&status.refused);
    parts.push(("refused", if refused.is_empty() { "nothing".to_owned() } else { refused[2..].to_owned() }));
    parts.push(("journal", journal(status)));
    parts.push(("firewall", firewall(status)));
    let lost = counted(status.log.lost, ", lines lost: ", "");
    let left_out = listed(&status.log.left_out);
    let left_out = if left_out.is_empty() { ", nothing".to_owned() } else { left_out };
    parts.push(("log", format!("{} left out{lost}", &left_out[2..])));
    parts
}

fn configuration(status: &Status) -> String {
    let of = &status.configuration;
    let devices = counted(of.devices, ", devices: ", "");
    format!("{}, in force for {}, doors: {}{devices}", of.path, span(of.in_force_ms), of.doors)
}

fn interfaces(status: &Status) -> Vec<String> {
    let line = |of: &crate::control::Interface| {
        let state = match of.state {
            InterfaceState::Found => "found",
            InterfaceState::Down => "DOWN",
            InterfaceState::Gone => "GONE",
            InterfaceState::NotCaptured => "NOT CAPTURED",
        };
        let counted = match (of.packets, of.drops) {
            (Some(packets), Some(drops)) => format!(", {packets} packets, {drops} dropped by the kernel"),
            _ => ", not counted".to_owned(),
        };
        let filter = if of.filter_widened { ", filter widened" } else { "" };
        format!("{} {state}, {}{counted}{filter}", of.name, of.capture)
    };
    status.interfaces.iter().map(line).collect()
}

fn worker(status: &Status) -> String {
    let of = &status.worker;
    let confined = match of.confined {
        Confined::Fully => "confined",
        Confined::SameUser => "confined under the daemon's own user",
        Confined::NoSandbox => "NO SANDBOX",
    };
    let pid = of.pid.map_or_else(|| "none".to_owned(), |pid| format!("process {pid}"));
    let answered = if of.answered || !of.serving { "" } else { ", it did not answer" };
    format!("{pid}, {confined}, restarts: {}{answered}", of.restarts)
}

fn datagrams(status: &Status) -> Option<String> {
    let of = status.datagrams.as_ref()?;
    let store = match of.store {
        StoreState::Working => "works",
        StoreState::NotReady => "NOT READY",
        StoreState::Failing => "FAILS",
    };
    let clock = match of.clock_synchronised {
        Some(true) => "synchronised",
        Some(false) => "not synchronised",
        None => "not known to be synchronised",
    };
    let dropped = of.drops.map(|drops| format!(", {drops} dropped by the kernel"));
    let unseen =
        counted(of.kernel_refused.unwrap_or_default(), ", ", " refused by it for length or checksum");
    let seen = of.counted.as_ref().map(|counted| {
        let refused = listed(&counted.refused);
        format!(", {} came, {} admitted{refused}", counted.arrived, counted.admitted)
    });
    let (dropped, seen) = (dropped.unwrap_or_default(), seen.unwrap_or_default());
    let head = format!("UDP port {} ({}), store {store}, clock {clock}", of.port, of.receive);
    Some([head, seen, dropped, unseen].concat())
}

fn leases(status: &Status) -> String {
    let of = &status.leases;
    let first = of.first_end_ms.map(|left| format!(", the first ends in {}", span(left)));
    let more = [
        counted(of.lost, ", LOST: ", ""),
        counted(of.opening, ", being opened: ", ""),
        counted(of.closing, ", being closed: ", ""),
        counted(of.cannot_close, ", CANNOT BE CLOSED: ", ""),
    ];
    format!("{} open{}{}", of.open, first.unwrap_or_default(), more.concat())
}

fn commands(status: &Status) -> String {
    let of = &status.commands;
    format!(
        "{} running of {}, {} waiting of {}, {} started, {} failed",
        of.running, of.running_room, of.waiting, of.waiting_room, of.started, of.failed
    )
}

fn journal(status: &Status) -> String {
    let of = &status.journal;
    let closer = if of.closer { ", a closer stands by" } else { "" };
    match of.state {
        JournalState::Working => format!("works, in {}{closer}", of.folder),
        JournalState::Failing => format!("FAILS, in {}{closer}", of.folder),
        JournalState::None => "none".to_owned(),
    }
}

fn firewall(status: &Status) -> String {
    let of = &status.firewall;
    let table = of.table.as_ref().map(|table| format!(", table inet {table}")).unwrap_or_default();
    let state = match of.state {
        FirewallState::Ready => "ready",
        FirewallState::NotReady => "NOT READY",
        FirewallState::NotNeeded => "nftables is not used",
    };
    format!("{state}{table}")
}

/// A number that is worth telling only when there is one.
fn counted(number: u64, before: &str, after: &str) -> String {
    if number == 0 { String::new() } else { format!("{before}{number}{after}") }
}

/// The numbers that are not zero, each behind a comma.
fn listed(numbers: &Numbers) -> String {
    let some = numbers.iter().filter(|(_, number)| **number > 0);
    let words: Vec<String> = some.map(|(name, number)| format!(", {name} {number}")).collect();
    words.concat()
}
