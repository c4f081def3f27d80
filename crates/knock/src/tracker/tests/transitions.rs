//! Walks every cell of the transition tables, which are read from spec/knock.md itself.

use super::bench::{Listener, pattern, source};
use crate::{Hit, Mode, Outcome, Step, TcpFlags};

const SPEC: &str = include_str!("../../../../../spec/knock.md");

const IGNORED: Step = Step::tcp(443);

/// The cells of the table whose first heading is `title`: row, column, text.
fn cells(title: &str) -> Vec<(String, String, String)> {
    let row =
        |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let heading = format!("| {title} | first step |");
    let mut lines = SPEC.lines().skip_while(|line| !line.starts_with(&heading));
    let columns = row(lines.next().expect("the table is in the spec"));
    let rows = lines.skip(1).take_while(|line| line.starts_with('|')).map(row);
    rows.flat_map(|cells| {
        assert_eq!(cells.len(), columns.len(), "{cells:?}");
        let name = cells[0].clone();
        columns
            .iter()
            .zip(cells)
            .skip(1)
            .map(move |(column, cell)| (name.clone(), column.clone(), cell))
            .collect::<Vec<_>>()
    })
    .collect()
}

/// Brings a fresh tracker into the row's state.
fn in_state(mode: Mode, row: &str) -> Listener {
    let filter = "syn,!ack,!fin";
    let patterns = [pattern(mode, "7000,8000,9000", filter), pattern(mode, "6000,6100:udp", filter)];
    let mut listener = Listener::ignoring(&patterns, &[IGNORED]);
    listener.send(match (row, mode) {
        ("none", _) => "",
        ("stage 1", _) => "7000",
        ("stage 2", _) => "7000 8000",
        ("complete", _) => "7000 8000 9000",
        ("broken", Mode::Compatible) => "7000 8000 8000",
        ("broken", Mode::Strict) => "7000 8000 4000",
        ("over time", _) => "7000 @5",
        _ => panic!("unknown row {row}"),
    });
    listener
}

/// The hit of a column, in the listener's language.
fn hit(row: &str, column: &str) -> &'static str {
    let next = match row {
        "stage 1" | "over time" => "8000",
        "stage 2" => "9000",
        _ => "7000",
    };
    match (column, row) {
        ("first step", _) | ("last step again", "stage 1" | "over time") => "7000",
        ("other first step", _) => "6000",
        ("next step", _) => next,
        ("last step again", "stage 2" | "broken") => "8000",
        ("last step again", "complete") => "9000",
        ("other step", _) => "6100u",
        ("filtered", "stage 1" | "over time") => "8000/syn+fin",
        ("filtered", "stage 2") => "9000/syn+fin",
        ("filtered", _) => "7000/syn+fin",
        ("retransmission", _) => "=",
        ("stray SYN", _) => "4001",
        ("stray ACK", _) => "4001/ack",
        ("stray UDP", _) => "4001u",
        ("ignored port", _) => "443",
        _ => panic!("no such hit: {column} at {row}"),
    }
}

/// The stage at which the source stands now.
fn stage(listener: &Listener) -> u8 {
    let (tracker, now) = (&listener.tracker, super::nanos(listener.now));
    let home = tracker.table.home(source(0));
    let entry = tracker.table.find(home, source(0), 0).and_then(|slot| tracker.table.get(slot));
    let alive = |entry: &&super::table::Entry| {
        !entry.is_resting() && tracker.plan.goes_on(entry.node, super::Age::at(entry.started, now))
    };
    entry.filter(alive).map_or(0, |entry| entry.stage)
}

fn walk(mode: Mode, title: &str, wanted: usize) {
    let mut walked = 0;
    for (row, column, cell) in cells(title).into_iter().filter(|(_, _, cell)| cell != "-") {
        let mut listener = in_state(mode, &row);
        let outcome = listener.send(hit(&row, &column));
        let seen = format!("{:?} {}", outcome[0], stage(&listener));
        assert_eq!(seen, cell, "{title}: {row}, {column}");
        walked += 1;
    }
    assert_eq!(walked, wanted, "cells of {title}");
}

#[test]
fn every_cell_of_the_compatible_table() {
    walk(Mode::Compatible, "compatible", 53);
}

#[test]
fn every_cell_of_the_strict_table() {
    walk(Mode::Strict, "strict", 59);
}

#[test]
fn udp_does_not_touch_a_group_without_udp_steps() {
    let mut listener = Listener::new(&[super::bench::strict("7000,8000")]);
    assert_eq!(
        listener.send("7000 53u 7000u 8000").as_slice(),
        [Outcome::Started, Outcome::Invisible, Outcome::Invisible, Outcome::Completed]
    );
}

#[test]
fn a_filter_that_no_initial_syn_passes_makes_a_strict_pattern_deaf() {
    let mut listener = Listener::new(&[pattern(Mode::Strict, "7000,8000", "fin")]);
    let fin = |port| Hit { flags: TcpFlags::FIN, ..super::bench::syn(source(0), port, 1) };
    assert_eq!([listener.hit(&fin(7000)), listener.hit(&fin(8000))], [Outcome::Invisible; 2]);
}
