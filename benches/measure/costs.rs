//! What comes to lie on others than the daemon: the kernel, the disk, and who wants to hurt it.

use std::fmt::Write as _;

use crate::results::{KERNEL, Results, SEEN, round};
use crate::subject::Which;
use crate::{FEW, MANY, disk};

/// What one must send to take a processor: a second, divided by what a packet costs daemon and kernel.
pub(crate) fn attackers(results: &Results) -> String {
    let mut text = String::from(
        "| to take a processor with | daemon, ns a packet | kernel for it, ns | an attacker must send, a second |\n\
         |---|---:|---:|---:|\n",
    );
    for (words, which, what) in [
        ("SYNs to a knock port", Which::Sequence, "flood"),
        ("noise on the port of datagrams, captured", Which::Captured, "flood"),
        ("one datagram that came in, again and again", Which::Captured, "replayed"),
        ("noise, by socket", Which::Listening, "flood"),
    ] {
        let of = |name| results.at((which.name(), 1, what, name));
        let (Some(daemon), Some(kernel)) = (of(SEEN), of(KERNEL)) else { continue };
        let rate = thousands(1e9 / (daemon + kernel.max(0.0)));
        writeln!(text, "| {words} | {} | {} | {rate} |", round(daemon), round(kernel)).expect("text");
    }
    text
}

/// What the kernel does for one packet, by how many doors have ports of their own.
pub(crate) fn kernel(results: &Results) -> String {
    let mut text = String::from(
        "| the kernel's time for a packet, in the sender's softirq, ns | 1 door | 100 doors | 1,000 doors |\n\
         |---|---:|---:|---:|\n",
    );
    for (words, what) in [
        ("SYN to a port of no door", "elsewhere"),
        ("packet of a connection that stands", "standing"),
        ("SYN to a port that a door guards", "guarded"),
    ] {
        write!(text, "| {words} |").expect("text");
        for size in [1, FEW, MANY] {
            let value = results.at((Which::Compatible.name(), size, what, KERNEL));
            write!(text, " {} |", value.map_or_else(|| "–".to_owned(), round)).expect("text");
        }
        text.push('\n');
    }
    text
}

/// What a disk adds where something must be durable first.
pub(crate) fn disk(results: &Results) -> String {
    let mut text = String::from("| state on a disk, µs | p50 | p99 |\n|---|---:|---:|\n");
    for (words, subject, what) in [
        ("durable commit: 4 KiB and fdatasync", disk::NAME, "commit"),
        ("datagram to firewall open", Which::Captured.name(), "open on disk"),
        ("knock by sequence to command run", Which::Sequence.name(), "idle on disk"),
    ] {
        let of = |name| results.at((subject, 1, what, name)).map_or_else(|| "–".to_owned(), round);
        writeln!(text, "| {words} | {} | {} |", of("p50"), of("p99")).expect("text");
    }
    text
}

/// To tens of thousands, in groups.
fn thousands(rate: f64) -> String {
    let rate = format!("{:.0}", rate / 10_000.0) + "0";
    match rate.len().checked_sub(3).and_then(|place| rate.split_at_checked(place)) {
        Some((millions, rest)) if !millions.is_empty() => format!("{millions},{rest},000"),
        _ => format!("{rate},000"),
    }
}
