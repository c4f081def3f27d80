//! Doors of knockd.conf: one lease per start, in knockd's order.

use super::*;

fn old(door: Door) -> Runner {
    runner(vec![native(), door])
}

#[test]
fn the_lease_counts_from_the_end_of_the_start_command() {
    let mut runner = old(knockd("open %IP%", Some("close %IP%"), 10));
    runner.grant(s(100), OLD, &Ask::by_sequence(client(1)));
    let expected = ["put 1 Opening till 110", "log running Start", "run 1: open 192.0.2.1"];
    assert_eq!(effects(&mut runner), expected);
    // It runs for longer than its lease: no stop command before it has ended.
    assert_eq!(timeout(&mut runner, s(115)), Vec::<String>::new());
    assert_eq!(ended(&mut runner, s(120), 1, 0), ["log opened 10", "put 1 Open till 130"]);
    assert_eq!(timeout(&mut runner, s(129)), Vec::<String>::new());
    let expected = ["log command timeout", "log running Stop", "run 2: close 192.0.2.1"];
    assert_eq!(timeout(&mut runner, s(130)), expected);
    assert_eq!(ended(&mut runner, s(130), 2, 0), ["remove 1", "log closed Expired"]);
}

#[test]
fn every_success_has_a_start_and_a_stop_of_its_own() {
    let mut runner = old(knockd("open %IP%", Some("close %IP%"), 10));
    runner.grant(s(0), OLD, &Ask::by_sequence(client(1)));
    runner.grant(s(3), OLD, &Ask::by_sequence(client(1)));
    assert_eq!(commands(&mut runner), ["run 1: open 192.0.2.1", "run 2: open 192.0.2.1"]);
    ended(&mut runner, s(3), 1, 0);
    ended(&mut runner, s(4), 2, 0);
    runner.handle_timeout(s(13));
    assert_eq!(commands(&mut runner), ["run 3: close 192.0.2.1"]);
    runner.handle_timeout(s(14));
    assert_eq!(commands(&mut runner), ["run 4: close 192.0.2.1"]);
}

#[test]
fn a_failing_start_still_has_its_stop_after_cmd_timeout() {
    let mut runner = old(knockd("open %IP%", Some("close %IP%"), 10));
    runner.grant(s(0), OLD, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    assert_eq!(ended(&mut runner, s(1), 1, 7), ["log failed Start", "put 1 Open till 11"]);
    runner.handle_timeout(s(10));
    assert_eq!(commands(&mut runner), Vec::<String>::new());
    runner.handle_timeout(s(11));
    assert_eq!(commands(&mut runner), ["run 2: close 192.0.2.1"]);
    // A failing stop has run all the same.
    assert_eq!(ended(&mut runner, s(11), 2, 1), ["log failed Stop", "remove 1", "log closed Expired"]);
}

#[test]
fn a_stop_that_could_not_be_started_is_tried_till_it_can() {
    let mut runner = old(knockd("open %IP%", Some("close %IP%"), 0));
    runner.grant(s(0), OLD, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(0), 1, 0);
    let mut now = s(0);
    for tries in 1..39 {
        let job = u64::from(tries) + 1;
        runner.command_finished(now, JobId(job), Outcome::NotStarted(11));
        let at = runner.poll_timeout().unwrap();
        assert!(at <= now + s(60), "the back-off grows: {now:?}, {at:?}");
        now = at;
        effects(&mut runner);
        let again = timeout(&mut runner, now);
        assert_eq!(again, ["log running Stop".to_owned(), format!("run {}: close 192.0.2.1", job + 1)]);
        assert_eq!(state(&runner, 1), Some(State::Stopping { job: JobId(job + 1), tries }));
    }
}

#[test]
fn cmd_timeout_zero_stops_at_once() {
    let mut runner = old(knockd("open %IP%", Some("close %IP%"), 0));
    runner.grant(s(0), OLD, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    let after = ended(&mut runner, s(5), 1, 0);
    assert_eq!(after.last().unwrap(), "run 2: close 192.0.2.1");
}

#[test]
fn without_a_stop_command_there_is_no_lease() {
    let mut negative = knockd("open %IP%", Some("close %IP%"), 0);
    if let Action::Command(commands) = &mut negative.action {
        commands.never_stop = true;
    }
    for door in [knockd("open %IP%", None, 10), negative] {
        let mut runner = old(door);
        runner.grant(s(0), OLD, &Ask::by_sequence(client(1)));
        assert_eq!(effects(&mut runner), ["log running Start", "run 1: open 192.0.2.1"]);
        assert_eq!(ended(&mut runner, s(0), 1, 0), Vec::<String>::new());
        assert_eq!(runner.leases().count(), 0);
        assert_eq!(runner.poll_timeout(), None);
    }
}

#[test]
fn an_empty_stop_command_waits_and_runs_an_empty_line() {
    let mut runner = old(knockd("true", Some(""), 10));
    runner.grant(s(0), OLD, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(0), 1, 0);
    assert_eq!(timeout(&mut runner, s(10)), ["log command timeout", "log running Stop", "run 2: "]);
}

#[test]
fn an_empty_start_command_runs_nothing() {
    let mut runner = old(knockd("", Some("close %IP%"), 10));
    assert_eq!(runner.grant(s(0), OLD, &Ask::by_sequence(client(1))), Granted::Nothing);
    assert_eq!(effects(&mut runner), Vec::<String>::new());
}

#[test]
fn the_client_s_family_chooses_the_command() {
    let mut door = knockd("four %IP%", Some("stop four"), 10);
    if let Action::Command(commands) = &mut door.action {
        commands.start.v6 = Some(shell("six %IP%"));
        commands.stop.v6 = None;
    }
    let mut runner = old(door);
    runner.grant(s(0), OLD, &Ask::by_sequence(v6_client()));
    assert_eq!(effects(&mut runner), ["log running Start", "run 1: six 2001:db8::7"]);
    runner.grant(s(0), OLD, &Ask::by_sequence(client(1)));
    assert_eq!(effects(&mut runner).first().unwrap(), "put 2 Opening till 10");
}

#[test]
fn a_line_too_long_runs_neither_command() {
    let long = format!("echo {} %IP%", "x".repeat(4090));
    for (door, part) in [
        (knockd(&long, Some("close"), 10), "log too long Start"),
        (knockd("open", Some(&long), 10), "log too long Stop"),
    ] {
        let mut runner = old(door);
        let refused = Granted::Refused(crate::Reason::TooLong);
        assert_eq!(runner.grant(s(0), OLD, &Ask::by_sequence(client(1))), refused);
        assert_eq!(effects(&mut runner), [part]);
    }
}

#[test]
fn there_is_no_time_limit() {
    let mut runner = old(knockd("sleep 86400", Some("close"), 10));
    runner.grant(s(0), OLD, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    assert_eq!(runner.poll_timeout(), None);
}

#[test]
fn a_reload_without_the_door_leaves_its_stop() {
    let mut runner = old(knockd("open %IP%", Some("close %IP%"), 10));
    runner.grant(s(0), OLD, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(0), 1, 0);
    runner.reload(s(1), Catalogue { doors: Vec::new(), limits: Limits::default() });
    runner.handle_timeout(s(10));
    assert_eq!(commands(&mut runner), ["run 2: close 192.0.2.1"]);
}

#[test]
fn a_device_may_be_held_to_less_than_the_door_has() {
    let mut runner = old(knockd("open %IP%", Some("close %IP%"), 10));
    for (number, wanted) in [(1, 4), (2, 40)] {
        let ask = Ask { wanted: Some(s(wanted)), ..Ask::by_sequence(client(number)) };
        runner.grant(s(100), OLD, &ask);
    }
    let written = ["put 1 Opening till 104", "+ put 2 Opening till 110"];
    assert_eq!(effects(&mut runner)[..2], written);
    assert_eq!(ended(&mut runner, s(100), 2, 0), ["log opened 10", "put 2 Open till 110"]);
}
