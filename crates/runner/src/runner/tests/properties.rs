//! Random operations against the world model: grants, closes, endings, failures, reloads, crashes between any two
//! effects, reboots, shutdowns.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::model::{self, Operation};

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    // Four bytes are enough for any one operation, and shrinking then drops whole operations.
    let one = any::<[u8; 4]>().prop_map(|bytes| Operation::read(&bytes).next());
    vec(one, 0..80).prop_map(|all| all.into_iter().flatten().collect())
}

/// Lives of a lease, with a crash after every number of effects: between any two of them, before the first and after the last.
#[test]
fn r1_a_crash_between_any_two_effects_of_a_life_leaves_nothing_open() {
    let grant = |door| Operation::Grant { door, source: 0, wanted: 0 };
    let ended = |outcome| Operation::Finish { job: 0, outcome };
    let (good, bad, unstarted, end) = (ended(0), ended(200), ended(255), Operation::PassToTimeout);
    let again = |times| std::iter::repeat_n([bad, end], times).flatten();
    for door in 0..8 {
        let close = Operation::Close { door, source: 0 };
        let beneath = [grant(door), good, end, grant(door), bad, good, end, good];
        let lives = [
            vec![grant(door), good, end, good],
            vec![grant(door), bad, good, end, good],
            vec![grant(door), good, grant(door), end, bad, end, good],
            vec![grant(door), close, good, good],
            vec![grant(door), good, close, bad, end, grant(door), good, good, end, good],
            vec![grant(door), good, Operation::Reload(3), end, good],
            // Opened anew, since it could not be closed.
            vec![grant(door), good, end, grant(door), bad, good, end, good],
            vec![grant(door), good, end, grant(door), bad, bad, bad, end, good],
            beneath.into_iter().chain(again(7)).collect(),
            beneath.into_iter().chain(again(3)).chain([good]).collect(),
            beneath
                .into_iter()
                .chain(again(2))
                .chain([grant(door), bad, good, end, bad, end, good])
                .collect(),
            vec![grant(door), good, end, grant(door), bad, unstarted, grant(door), bad, unstarted],
            vec![grant(door), good, end, grant(door), bad, close, unstarted, end],
            vec![grant(door), good, end, grant(door), Operation::FailJournal(3), bad, end, good],
            vec![grant(door), good, end, grant(door), bad, Operation::Reload(2), good, end, good],
            vec![grant(door), good, end, grant(door), Operation::Shorten(3), bad, good, end, good],
            vec![Operation::FailJournal(1), grant(door), good, grant(door), good, end, good],
            vec![Operation::RefuseElements(1), grant(door), grant(door), Operation::Reassert, close, end],
        ];
        let deaths = [(false, false), (false, true), (true, false)];
        for (life, (reboot, starts_live)) in lives.iter().flat_map(|life| deaths.map(|how| (life, how))) {
            for after in 0..40 {
                let crash = Operation::Crash { after, reboot, starts_live, blind: false };
                model::run_operations(std::iter::once(crash).chain(life.iter().copied()));
            }
        }
    }
}

/// A door that could not be closed is to be opened anew, and there is no place for its start command, or no longer.
#[test]
fn r1_a_start_command_without_a_place_leaves_nothing_open() {
    let grant = |door, source| Operation::Grant { door, source, wanted: 0 };
    let ended = |job, outcome| Operation::Finish { job, outcome };
    let (native, end) = (0, Operation::PassToTimeout);
    // Four start commands that hang.
    let hang = [(1, 1), (1, 2), (4, 1), (4, 2)];
    // Full, so that it gets no place; or it is the newest of the longest line when another door wants one.
    let lines = [([(1, 3), (4, 3), (5, 1)].as_slice(), None), (&[(native, 1), (native, 2)], Some((5, 1)))];
    for ((line, later), reload) in lines.into_iter().flat_map(|line| [(line, false), (line, true)]) {
        let before = [grant(native, 0), ended(0, 0)].into_iter();
        let full = hang.iter().chain(line).map(|(door, source)| grant(*door, *source));
        // The stop command is the last that runs.
        let anew = [end, grant(native, 0), ended(4, 200)];
        let later = later.map(|(door, source)| grant(door, source));
        let reload = reload.then_some(Operation::Reload(3));
        let life: Vec<Operation> =
            before.chain(full).chain(anew).chain(later).chain(reload).chain([end]).collect();
        for after in 0..60 {
            let crash = Operation::Crash { after, reboot: false, starts_live: after % 2 == 0, blind: false };
            model::run_operations(std::iter::once(crash).chain(life.iter().copied()));
        }
    }
}

/// The daemon that comes after a crash cannot have the journal at first, and opens doors meanwhile as far as it may.
#[test]
fn r1_a_journal_that_is_had_late_closes_what_it_names() {
    let grant = |door| Operation::Grant { door, source: 0, wanted: 0 };
    let (good, open) = (Operation::Finish { job: 0, outcome: 0 }, Operation::OpenJournal);
    for door in 0..8 {
        for (after, reboot, starts_live) in (0..8).flat_map(|after| {
            [(false, false), (false, true), (true, false)].map(|(reboot, lives)| (after, reboot, lives))
        }) {
            let crash = Operation::Crash { after, reboot, starts_live, blind: true };
            for late in [
                vec![open, grant(door), good, Operation::PassToTimeout, good],
                vec![grant(door), good, open, grant(door), good],
                vec![grant(door), Operation::Pass(40), open, Operation::Pass(4), grant(door)],
                vec![
                    Operation::Pass(255),
                    grant(door),
                    good,
                    Operation::Restart { keep: true, patient: true },
                ],
            ] {
                // Doors without a stop command open meanwhile, for others too.
                let other = |door| Operation::Grant { door, source: 1, wanted: 0 };
                let before =
                    [grant(door), Operation::Pass(1), good, crash, other(7), other(2), grant(door), good];
                model::run_operations(before.into_iter().chain(late));
            }
        }
    }
}

/// What random operations once found: commands that were taken over late come on top of those that run by then.
#[test]
fn a_journal_that_is_had_late_may_bring_one_command_more_than_may_run() {
    let grant = |door| Operation::Grant { door, source: 0, wanted: 0 };
    let crash = Operation::Crash { after: 0, reboot: false, starts_live: true, blind: true };
    let four = [5, 6, 5, 6].map(grant);
    let life = [grant(4), crash, grant(0)].into_iter().chain(four).chain([Operation::OpenJournal]);
    model::run_operations(life);
}

/// A start command that goes on after a crash has its place beside those of a daemon that has begun as many as may run before it could
/// have the journal.
#[test]
fn what_still_runs_is_taken_over_however_many_run() {
    let grant = |door| Operation::Grant { door, source: 0, wanted: 0 };
    let crash = Operation::Crash { after: 0, reboot: false, starts_live: true, blind: true };
    let meanwhile = [0, 95, 149, 38, 109].map(grant);
    model::run_operations([grant(48), crash].into_iter().chain(meanwhile).chain([Operation::OpenJournal]));
}

/// The kernel's clock for timeouts stands still in the meantime.
#[test]
fn r4_a_machine_that_slept_closes_what_is_over() {
    let grant = |door| Operation::Grant { door, source: 0, wanted: 20 };
    for door in 0..8 {
        for quarters in [1, 79, 80, 200] {
            let sleep = Operation::Sleep(quarters);
            for life in [
                vec![grant(door), sleep],
                vec![grant(door), Operation::Pass(40), sleep, grant(door), sleep],
                vec![grant(door), Operation::RefuseElements(2), sleep, Operation::Pass(3), grant(door)],
                vec![grant(door), Operation::Restart { keep: true, patient: true }, sleep],
            ] {
                model::run_operations(life.into_iter().chain([Operation::Pass(2)]));
            }
        }
    }
}

/// What random operations once found, made small.
#[test]
fn an_element_is_one_thing_whoever_holds_it() {
    let grant = |door, wanted| Operation::Grant { door, source: 0, wanted };
    let (own, named, twin) = (2, 3, 8);
    let crash = Operation::Crash { after: 0, reboot: false, starts_live: false, blind: false };
    for life in [
        // Two records of one element: that of a lease which is over could not be removed.
        vec![grant(own, 2), Operation::FailJournal(1), Operation::Remove(0), grant(own, 1), crash],
        // And where the younger lease is over, too, and its record still there.
        vec![
            grant(own, 99),
            Operation::FailJournal(1),
            Operation::Remove(0),
            grant(own, 1),
            Operation::FailJournal(1),
            Operation::PassToTimeout,
            crash,
        ],
        // The record of the younger one could not be written: the older one's time is not what the kernel has.
        vec![
            grant(own, 99),
            Operation::FailJournal(3),
            Operation::Remove(0),
            grant(own, 1),
            crash,
            Operation::Pass(8),
        ],
        // The door has changed, and maybe back.
        vec![grant(own, 99), Operation::Reload(64), grant(own, 1)],
        vec![grant(own, 99), Operation::Reload(16), Operation::Reload(0), grant(own, 1)],
        vec![grant(named, 99), Operation::Reload(8), Operation::Reload(0), grant(named, 1)],
        vec![grant(named, 99), Operation::Reload(4), grant(named, 1)],
        vec![grant(named, 99), Operation::Reload(4), crash, grant(named, 1)],
        // Two doors of one set.
        vec![Operation::Reload(32), grant(named, 99), grant(twin, 1)],
    ] {
        for end in
            [Operation::PassToTimeout, Operation::Close { door: own, source: 0 }, Operation::CloseSource(0)]
        {
            model::run_operations(life.iter().copied().chain([end, Operation::PassToTimeout]));
        }
    }
}

/// Operations in any order; how many were tried is the figure.
#[test]
fn r20_every_opened_door_is_closed_once_or_has_a_deadline_ahead() {
    let config = ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() };
    let (lives, steps, deaths) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let tried = TestRunner::new(config).run(&operations(), |operations| {
        let dies =
            |operation: &&Operation| matches!(operation, Operation::Crash { .. } | Operation::Restart { .. });
        lives.set(lives.get() + 1);
        steps.set(steps.get() + operations.len());
        deaths.set(deaths.get() + operations.iter().filter(dies).count());
        model::run_operations(operations);
        Ok(())
    });
    tried.unwrap_or_else(|error| panic!("{error}"));
    println!(
        "figure: R20 {} lives of {} operations in any order, {} crashes and restarts among them: each door that opened was closed once",
        lives.get(),
        steps.get(),
        deaths.get()
    );
}
