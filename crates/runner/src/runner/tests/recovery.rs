//! Taking over the leases of an earlier run.

use super::*;
use crate::record::{Due, Entry, Moment, Phase, Record, Recovered, recover};
use crate::{Held, Place, Rendered};

fn record(id: u64, style: Style, deadline: Duration, phase: Phase) -> Record {
    let (door, stop) = match style {
        Style::Native => ("ssh", Rendered::Argv(vec!["close".to_owned(), "192.0.2.1".to_owned()])),
        Style::Knockd => ("old", Rendered::Shell("close 192.0.2.1".to_owned())),
    };
    let time_limit = (style == Style::Native).then(|| s(10));
    let held = Held::Command { stop: Some(stop), time_limit };
    Record {
        id: LeaseId(id),
        door: door.into(),
        style,
        address: client(1),
        owner: None,
        seconds: 30,
        held,
        deadline,
        phase,
    }
}

fn element_record(deadline: Duration) -> Record {
    let place =
        Place::Named { family: NftFamily::Inet, table: "filter".to_owned(), set: "knocked".to_owned() };
    let record = record(5, Style::Native, deadline, Phase::Open);
    Record { door: "nft".into(), held: Held::Element(place), ..record }
}

#[test]
fn what_is_due_is_decided_by_boot_and_deadline() {
    let here = Some([1; 16]);
    let command = |deadline| record(1, Style::Native, deadline, Phase::Open);
    for (record, boot, due) in [
        (command(s(90)), here, Due::Now),
        (command(s(100)), here, Due::Now),
        (command(s(110)), here, Due::At(s(110))),
        (command(s(110)), Some([2; 16]), Due::OtherBoot),
        (command(s(110)), None, Due::OtherBoot),
        (element_record(s(90)), here, Due::Forget),
        (element_record(s(110)), here, Due::At(s(110))),
        (element_record(s(110)), Some([2; 16]), Due::Forget),
    ] {
        let entry = Entry { record: record.clone(), boot, wall_deadline: 0 };
        let at = Moment { now: s(100), boot: here, wall: s(0) };
        assert_eq!(recover(vec![entry], &at), [Recovered { record, due }], "{boot:?}");
    }
    // Where no boot id can be had, no deadline is believed.
    let entry = Entry { record: command(s(110)), boot: None, wall_deadline: 0 };
    let at = Moment { now: s(100), boot: None, wall: s(0) };
    assert_eq!(recover(vec![entry], &at)[0].due, Due::OtherBoot);
}

/// The removal of the first one's record failed, after somebody had taken its element out.
#[test]
fn of_two_records_of_one_element_the_youngest_counts() {
    let here = Some([1; 16]);
    let at = Moment { now: s(100), boot: here, wall: s(0) };
    let entry = |id, deadline| {
        let record = Record { id: LeaseId(id), ..element_record(deadline) };
        Entry { record, boot: here, wall_deadline: 0 }
    };
    for (younger, due) in [(s(110), Due::At(s(110))), (s(90), Due::Forget)] {
        let found = recover(vec![entry(5, s(140)), entry(6, younger)], &at);
        assert_eq!(found.iter().map(|lease| lease.due).collect::<Vec<_>>(), [Due::Forget, due]);
    }
    let elsewhere = Record { address: client(2), ..entry(6, s(110)).record };
    let found = recover(vec![entry(5, s(140)), Entry { record: elsewhere, ..entry(6, s(110)) }], &at);
    assert!(found.iter().all(|lease| lease.due != Due::Forget), "another address is another element");
}

fn take_over(record: Record, due: Due) -> Runner {
    let mut runner = runner(doors());
    runner.recover(s(100), vec![Recovered { record, due }]);
    runner
}

#[test]
fn overdue_leases_are_closed_at_once() {
    let mut runner = take_over(record(7, Style::Native, s(90), Phase::Open), Due::Now);
    let expected = ["log taken over 0", "log running Stop", "run 1: close 192.0.2.1"];
    assert_eq!(effects(&mut runner), expected);
    assert_eq!(ended(&mut runner, s(100), 1, 0), ["remove 7", "log closed Overdue"]);
    // Numbers go on from there.
    assert_eq!(runner.grant(s(100), SSH, &Ask::by_sequence(client(1))), Granted::Opening(LeaseId(8)));
}

#[test]
fn the_others_end_at_their_deadline_and_are_renewed_as_before() {
    let mut runner = take_over(record(7, Style::Native, s(120), Phase::Open), Due::At(s(120)));
    assert_eq!(effects(&mut runner), ["log taken over 20"]);
    assert_eq!(runner.poll_timeout(), Some(s(120)));
    assert_eq!(runner.grant(s(110), SSH, &Ask::by_sequence(client(1))), Granted::Renewed(LeaseId(7)));
    assert_eq!(effects(&mut runner), ["put 7 Open till 140", "log renewed 30"]);
    runner.handle_timeout(s(140));
    assert_eq!(commands(&mut runner), ["run 1: close 192.0.2.1"]);
}

/// What a stop command takes back may have outlived the machine, and its first try may come before what it needs.
#[test]
fn r1_a_stop_of_another_boot_that_fails_is_tried_again() {
    let mut runner = take_over(record(7, Style::Native, s(9000), Phase::Open), Due::OtherBoot);
    assert_eq!(commands(&mut runner), ["run 1: close 192.0.2.1"]);
    // By a clock of then it would have hours left.
    assert_eq!(
        ended(&mut runner, s(100), 1, 1),
        ["log failed Stop", "log retry 1 after 1", "put 7 Closing till 100"]
    );
    runner.handle_timeout(s(101));
    assert_eq!(commands(&mut runner), ["run 2: close 192.0.2.1"]);
    assert_eq!(ended(&mut runner, s(101), 2, 0), ["remove 7", "log closed Overdue"]);
    let mut runner = take_over(record(7, Style::Knockd, s(9000), Phase::Open), Due::OtherBoot);
    assert_eq!(commands(&mut runner), ["run 1: close 192.0.2.1"]);
    assert_eq!(ended(&mut runner, s(100), 1, 1), ["log failed Stop", "remove 7", "log closed Overdue"]);
}

/// Nothing was left of it: whoever knocks gets in, and the lease ends with that.
#[test]
fn a_knock_opens_anew_what_another_boot_had_open() {
    let mut runner = take_over(record(7, Style::Native, s(120), Phase::Open), Due::OtherBoot);
    effects(&mut runner);
    assert_eq!(runner.grant(s(100), SSH, &Ask::by_sequence(client(1))), Granted::Renewed(LeaseId(7)));
    assert_eq!(ended(&mut runner, s(100), 1, 1).last().unwrap(), "run 2: open 192.0.2.1 30");
    ended(&mut runner, s(100), 2, 0);
    runner.handle_timeout(s(130));
    assert_eq!(commands(&mut runner), ["run 3: close 192.0.2.1"]);
    assert_eq!(ended(&mut runner, s(130), 3, 0).last().unwrap(), "run 4: close 192.0.2.1");
    assert_eq!(ended(&mut runner, s(130), 4, 0).last().unwrap(), "log closed Expired");
}

#[test]
fn a_lease_whose_start_nobody_saw_end_is_opened_anew() {
    let mut runner = take_over(record(7, Style::Native, s(120), Phase::Opening), Due::At(s(120)));
    effects(&mut runner);
    runner.grant(s(110), SSH, &Ask::by_sequence(client(1)));
    assert_eq!(commands(&mut runner), ["run 1: close 192.0.2.1"]);
    assert_eq!(ended(&mut runner, s(110), 1, 1).last().unwrap(), "run 2: open 192.0.2.1 30");
}

#[test]
fn a_lease_that_was_closing_goes_on_closing() {
    let mut runner = take_over(record(7, Style::Native, s(120), Phase::Closing), Due::At(s(120)));
    assert_eq!(commands(&mut runner), ["run 1: close 192.0.2.1"]);
}

#[test]
fn a_knockd_lease_is_not_renewed() {
    let mut runner = take_over(record(7, Style::Knockd, s(120), Phase::Open), Due::At(s(120)));
    assert_eq!(runner.grant(s(110), OLD, &Ask::by_sequence(client(1))), Granted::Opening(LeaseId(8)));
    effects(&mut runner);
    runner.handle_timeout(s(120));
    assert_eq!(commands(&mut runner), ["run 2: close 192.0.2.1"]);
}

#[test]
fn a_lease_of_a_door_that_has_changed_ends_by_itself() {
    let mut other = record(7, Style::Native, s(120), Phase::Open);
    other.held = Held::Command { stop: Some(Rendered::Argv(vec!["other".to_owned()])), time_limit: None };
    let mut runner = take_over(other, Due::At(s(120)));
    assert_eq!(runner.grant(s(110), SSH, &Ask::by_sequence(client(1))), Granted::Opening(LeaseId(8)));
    effects(&mut runner);
    runner.handle_timeout(s(120));
    assert_eq!(commands(&mut runner), ["run 2: other"]);
}

#[test]
fn elements_are_listed_till_the_kernel_ends_them() {
    let mut runner = take_over(element_record(s(120)), Due::At(s(120)));
    assert_eq!(effects(&mut runner), ["log taken over 20"]);
    assert_eq!(runner.grant(s(110), NFT, &Ask::by_sequence(client(1))), Granted::Renewed(LeaseId(5)));
    assert_eq!(effects(&mut runner), ["set 5 192.0.2.1 for 30"]);
    let mut runner = take_over(element_record(s(120)), Due::Forget);
    assert_eq!(effects(&mut runner), ["remove 5"]);
    assert_eq!(runner.leases().count(), 0);
}

fn take_over_running(style: Style, deadline: Duration) -> Runner {
    let due = if deadline > s(100) { Due::At(deadline) } else { Due::Now };
    let mut lease = Recovered { record: record(7, style, deadline, Phase::Opening), due };
    lease.start_runs();
    let mut runner = runner(doors());
    runner.recover(s(100), vec![lease]);
    runner
}

fn gone(runner: &mut Runner, now: Duration) -> Vec<String> {
    runner.start_gone(now, JobId(1));
    effects(runner)
}

#[test]
fn a_start_command_that_still_runs_is_not_overtaken() {
    for style in [Style::Native, Style::Knockd] {
        // Overdue, and due while it runs.
        for deadline in [s(90), s(103)] {
            let mut runner = take_over_running(style, deadline);
            let left = deadline.saturating_sub(s(100)).as_secs();
            assert_eq!(effects(&mut runner), [format!("log taken over {left}")]);
            assert!(timeout(&mut runner, s(105)).is_empty());
            let closes = gone(&mut runner, s(106));
            assert_eq!(closes.last().unwrap(), "run 2: close 192.0.2.1", "{closes:?}");
            assert_eq!(ended(&mut runner, s(106), 2, 0), ["remove 7", "log closed Expired"]);
        }
        // And where it ends early, the deadline stands.
        let mut runner = take_over_running(style, s(120));
        effects(&mut runner);
        assert!(gone(&mut runner, s(106)).is_empty());
        assert_eq!(runner.poll_timeout(), Some(s(120)));
        runner.handle_timeout(s(120));
        assert_eq!(commands(&mut runner), ["run 2: close 192.0.2.1"]);
        assert!(gone(&mut runner, s(121)).is_empty(), "told twice");
    }
}

#[test]
fn a_start_command_taken_over_has_its_time_limit_anew() {
    let mut runner = take_over_running(Style::Native, s(90));
    effects(&mut runner);
    assert_eq!(timeout(&mut runner, s(110)), ["log time limit Start Term", "signal 1 Term"]);
    assert_eq!(timeout(&mut runner, s(112)), ["log time limit Start Kill", "signal 1 Kill"]);
}

#[test]
fn closing_waits_for_a_start_command_taken_over() {
    let mut runner = take_over_running(Style::Native, s(120));
    effects(&mut runner);
    assert_eq!(runner.close(s(101), SSH, client(1)), 1);
    assert!(effects(&mut runner).is_empty());
    assert_eq!(gone(&mut runner, s(102)), ["log running Stop", "run 2: close 192.0.2.1"]);

    // A knock too: nobody will know whether the door is open, so it is closed and opened anew.
    let mut runner = take_over_running(Style::Native, s(120));
    effects(&mut runner);
    assert_eq!(runner.grant(s(101), SSH, &Ask::by_sequence(client(1))), Granted::Renewed(LeaseId(7)));
    assert!(effects(&mut runner).is_empty());
    assert_eq!(gone(&mut runner, s(102)), ["log running Stop", "run 2: close 192.0.2.1"]);
    let anew = ended(&mut runner, s(102), 2, 0);
    assert_eq!(anew.last().unwrap(), "run 3: open 192.0.2.1 30", "{anew:?}");
}

#[test]
fn no_start_command_of_another_boot_runs() {
    let mut lease =
        Recovered { record: record(7, Style::Native, s(120), Phase::Opening), due: Due::OtherBoot };
    lease.start_runs();
    assert_eq!(lease.due, Due::OtherBoot);
    let mut lease = Recovered { record: element_record(s(120)), due: Due::At(s(120)) };
    lease.start_runs();
    assert_eq!(lease.due, Due::At(s(120)));
}

#[test]
fn a_stop_command_that_still_runs_is_waited_for() {
    let mut lease = Recovered { record: record(7, Style::Native, s(90), Phase::Open), due: Due::Now };
    lease.stop_runs();
    assert_eq!(lease.due, Due::Stopping);
    let stopping = || take_over(lease.record.clone(), lease.due);
    let mut runner = stopping();
    assert_eq!(effects(&mut runner), ["log taken over 0"], "no second one beside it");
    runner.command_finished(s(101), JobId(1), Outcome::Exited(0));
    assert_eq!(effects(&mut runner), ["remove 7", "log closed Overdue"]);
    // Nobody says that it has closed its door.
    let mut runner = stopping();
    effects(&mut runner);
    runner.stop_gone(s(101), JobId(1));
    assert_eq!(commands(&mut runner), ["run 2: close 192.0.2.1"]);
    // Who knocks meanwhile is let in by a start command after it.
    let mut runner = stopping();
    effects(&mut runner);
    runner.grant(s(101), SSH, &Ask::by_sequence(client(1)));
    assert!(commands(&mut runner).is_empty());
    runner.stop_gone(s(102), JobId(1));
    assert_eq!(commands(&mut runner), ["run 2: close 192.0.2.1"]);
    assert_eq!(ended(&mut runner, s(102), 2, 0).last().unwrap(), "run 3: open 192.0.2.1 30");
    // After a restart of the machine nothing of it can run.
    let mut lease = Recovered { due: Due::OtherBoot, ..lease };
    lease.stop_runs();
    assert_eq!(lease.due, Due::OtherBoot);
}
