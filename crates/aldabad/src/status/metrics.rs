//! How the daemon is, for Prometheus: its text exposition format, version 0.0.4.

use std::fmt::Write as _;

use crate::control::{InterfaceState, Numbers, Status, StoreState};

/// Lines of one metric after the other.
#[derive(Default)]
struct Text(String);

impl Text {
    /// A metric and its values, each with its labels.
    fn add(&mut self, name: &str, help: &str, values: &[(String, u64)]) {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        // Writing to a string cannot fail.
        let _ = write!(self.0, "# HELP aldaba_{name} {help}\n# TYPE aldaba_{name} {kind}\n");
        for (labels, value) in values {
            let _ = writeln!(self.0, "aldaba_{name}{labels} {value}");
        }
    }

    fn one(&mut self, name: &str, help: &str, value: u64) {
        self.add(name, help, &[(String::new(), value)]);
    }
}

/// A label; what stands in it may be anything.
fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{{{name}=\"{value}\"}}")
}

fn labelled(name: &str, numbers: &Numbers) -> Vec<(String, u64)> {
    numbers.iter().map(|(value, number)| (label(name, value), *number)).collect()
}

/// The whole answer for Prometheus.
pub(super) fn text(status: &Status) -> String {
    let mut text = Text::default();
    text.add("info", "The daemon's version.", &[(label("version", &status.version), 1)]);
    text.one("uptime_seconds", "How long the daemon has been running.", status.uptime_ms / 1000);
    let mut degraded = Numbers::new();
    for state in &status.degraded {
        *degraded.entry(state.what.clone()).or_default() += 1;
    }
    text.add("degraded", "What does not work at this moment.", &labelled("what", &degraded));
    interfaces(&mut text, status);
    text.one("worker_serving", "Whether something looks at packets.", u64::from(status.worker.serving));
    text.one("worker_restarts_total", "Workers that took another's place.", status.worker.restarts);
    counted(&mut text, status);
    leases(&mut text, status);
    text.add("refused_total", "Openings asked for and not made.", &labelled("reason", &status.refused));
    let left_out = labelled("kind", &status.log.left_out);
    text.add("log_lines_left_out_total", "Lines left out because there were too many.", &left_out);
    text.one("log_lines_lost_total", "Lines that could not be written.", status.log.lost);
    text.0
}

fn interfaces(text: &mut Text, status: &Status) {
    let of = |value: fn(&crate::control::Interface) -> Option<u64>| -> Vec<(String, u64)> {
        let some =
            status.interfaces.iter().filter_map(|one| Some((label("interface", &one.name), value(one)?)));
        some.collect()
    };
    let found = of(|one| Some(u64::from(one.state == InterfaceState::Found)));
    text.add("interface_found", "Whether it is there, up and captured on.", &found);
    text.add("capture_packets_total", "Packets that passed the filter.", &of(|one| one.packets));
    text.add("capture_drops_total", "Those that the kernel dropped.", &of(|one| one.drops));
}

/// What the worker has counted; without its answer there is none.
fn counted(text: &mut Text, status: &Status) {
    if let Some(packets) = &status.packets {
        text.one("frames_total", "Frames looked at.", packets.frames);
        text.add(
            "frames_refused_total",
            "Malformed or foreign frames.",
            &labelled("reason", &packets.refused),
        );
        text.add("frames_dropped_total", "Segments of no concern.", &labelled("reason", &packets.dropped));
        text.add("hits_total", "What sequences made of the rest.", &labelled("outcome", &packets.sequences));
    }
    if let Some(attempts) = &status.attempts {
        text.one("attempts", "Sequences under way.", attempts.under_way);
        text.one("attempts_room", "How many there is room for.", attempts.room);
        text.one("attempts_displaced_total", "Attempts that made room for others.", attempts.displaced);
        let help = "Those of them that had made two steps or more.";
        text.one("attempts_displaced_advanced_total", help, attempts.displaced_advanced);
    }
    let Some(datagrams) = &status.datagrams else { return };
    let works = u64::from(datagrams.store == StoreState::Working);
    text.one("replay_store_works", "Whether the replay store is used.", works);
    if let (Some(drops), Some(refused)) = (datagrams.drops, datagrams.kernel_refused) {
        text.one("datagram_drops_total", "Datagrams the kernel had no room for.", drops);
        let help = "Datagrams the kernel refused for length or checksum.";
        text.one("datagrams_refused_by_kernel_total", help, refused);
    }
    if let Some(counted) = &datagrams.counted {
        text.one("datagrams_total", "Datagrams to the port.", counted.arrived);
        text.one("datagrams_admitted_total", "Admitted ones.", counted.admitted);
        text.add("datagrams_refused_total", "Refused ones.", &labelled("reason", &counted.refused));
    }
}

fn leases(text: &mut Text, status: &Status) {
    let of = &status.leases;
    let by_state = [
        ("opening", of.opening),
        ("open", of.open),
        ("lost", of.lost),
        ("closing", of.closing),
        ("cannot-close", of.cannot_close),
    ];
    let by_state = by_state.map(|(state, count)| (label("state", state), count));
    text.add("leases", "Leases by state.", &by_state);
    text.one("opened_total", "Doors opened.", of.opened);
    text.one("closed_total", "Leases ended.", of.closed);
    text.one("commands_running", "Commands running.", status.commands.running);
    text.one("commands_waiting", "Start commands that wait.", status.commands.waiting);
    text.one("commands_failed_total", "Commands that failed.", status.commands.failed);
    text.one("close_failed_total", "Attempts to close that failed.", status.commands.stops_failed);
    text.one("journal_failed_total", "Journal writes that failed.", status.journal.failed);
}
