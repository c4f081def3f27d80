//! A door that could not be closed is opened anew: its stop is owed until the new start command has run.

use super::*;
use crate::Reason;

/// The stop command of lease 1 runs, as job 2, and its client has knocked once more.
fn asked_anew(doors: Vec<Door>, wanted: Option<Duration>) -> Runner {
    let mut runner = runner(doors);
    runner.grant(s(0), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(0), 1, 0);
    timeout(&mut runner, s(30));
    let ask = Ask { wanted, ..Ask::by_sequence(client(1)) };
    assert_eq!(runner.grant(s(30), SSH, &ask), Granted::Renewed(LeaseId(1)));
    effects(&mut runner);
    runner
}

const ANEW: [&str; 6] = [
    "log failed Stop",
    "log cannot close 1",
    "put 1 Closing till 30",
    "+ put 1 Opening till 60",
    "log running Start",
    "run 3: open 192.0.2.1 30",
];

#[test]
fn it_goes_on_under_its_number_and_each_start_command_gets_its_stop() {
    let mut runner = asked_anew(doors(), None);
    assert_eq!(ended(&mut runner, s(30), 2, 1), ANEW);
    assert_eq!(ended(&mut runner, s(31), 3, 0), ["log renewed 29", "put 1 Open till 60"]);
    assert_eq!(timeout(&mut runner, s(60)), ["log running Stop", "run 4: close 192.0.2.1"]);
    // What the first start command did may still be there: a second rule, say.
    assert_eq!(ended(&mut runner, s(60), 4, 0), ["log running Stop", "run 5: close 192.0.2.1"]);
    assert_eq!(ended(&mut runner, s(61), 5, 0), ["remove 1", "log closed Expired"]);
    let counted = runner.counters();
    assert_eq!((counted.opened, counted.renewed, counted.closed), (1, 1, 1));
    assert_eq!(runner.leases().count(), 0);
}

/// Opened anew and closed again: the stop command for the opening before the last runs since 60 s, as job 5.
fn beneath() -> Runner {
    let mut runner = asked_anew(doors(), None);
    ended(&mut runner, s(30), 2, 1);
    ended(&mut runner, s(31), 3, 0);
    timeout(&mut runner, s(60));
    assert_eq!(ended(&mut runner, s(60), 4, 0), ["log running Stop", "run 5: close 192.0.2.1"]);
    runner
}

/// What made the first stop command fail, a lock that others hold, say, may make this one fail too.
#[test]
fn r1_what_is_beneath_is_closed_by_as_many_tries_as_that_takes() {
    let mut runner = beneath();
    let again = ["log failed Stop", "log retry 1 after 1", "put 1 Closing till 60"];
    assert_eq!(ended(&mut runner, s(60), 5, 4), again);
    timeout(&mut runner, s(61));
    assert_eq!(ended(&mut runner, s(61), 6, 4)[1], "log retry 2 after 2");
    timeout(&mut runner, s(63));
    assert_eq!(ended(&mut runner, s(63), 7, 0), ["remove 1", "log closed Expired"]);
}

/// The one that failed has closed the door all the same, or others have.
#[test]
fn r1_nothing_left_beneath_is_believed_after_a_minute_and_loudly() {
    let mut runner = beneath();
    let (mut now, mut job) = (s(60), 5);
    for tries in 1..=6 {
        let last = ended(&mut runner, now, job, 1)[1].clone();
        let loud = if tries > 5 { "cannot close" } else { "retry" };
        assert!(last.starts_with(&format!("log {loud} {tries}")), "{last}");
        now = runner.poll_timeout().unwrap();
        timeout(&mut runner, now);
        job += 1;
    }
    assert_eq!(now, s(123), "the pauses of all that fails");
    assert_eq!(ended(&mut runner, now, job, 1), ["log failed Stop", "remove 1", "log closed Expired"]);
}

/// What could not be executed says nothing of the door, however often.
#[test]
fn r1_a_program_that_cannot_be_executed_has_not_found_nothing() {
    let mut runner = beneath();
    let (mut now, mut job) = (s(60), 5);
    for number in 0..20 {
        let said = ended(&mut runner, now, job, 126 + number % 2);
        assert!(!said.iter().any(|line| line.starts_with("log closed")), "{said:?}");
        now = runner.poll_timeout().unwrap();
        timeout(&mut runner, now);
        job += 1;
    }
}

/// However often somebody asks for it.
#[test]
fn r1_a_minute_of_tries_is_not_made_shorter_by_asking() {
    let mut runner = beneath();
    for job in 5..=20 {
        ended(&mut runner, s(60), job, 1);
        assert!(runner.close_lease(s(60), LeaseId(1)), "{job}");
        effects(&mut runner);
    }
    assert_eq!(ended(&mut runner, s(120), 21, 1).last().unwrap(), "log closed Expired");
}

#[test]
fn r1_a_stop_command_that_was_ended_or_never_began_has_found_nothing_out() {
    let ends = |outcome, is_over_time: bool| {
        let mut runner = beneath();
        for (job, minute) in (5..30).zip(1..) {
            let at = s(60 * minute);
            if is_over_time {
                timeout(&mut runner, at + s(10));
            }
            runner.command_finished(at + s(10), JobId(job), outcome);
            effects(&mut runner);
            assert!(runner.lease(LeaseId(1)).is_some(), "{outcome:?} {job}");
            timeout(&mut runner, at + s(60));
            let runs = matches!(state(&runner, 1), Some(State::Stopping { .. }));
            assert!(runs || runner.close_lease(at + s(60), LeaseId(1)));
            effects(&mut runner);
        }
    };
    ends(Outcome::Signalled(9), false);
    ends(Outcome::NotStarted(11), false);
    // A shell says it so, of what was told to end.
    ends(Outcome::Exited(143), true);
}

/// Whoever knocks meanwhile gets in, and each start command gets its stop all the same.
#[test]
fn a_knock_while_what_is_beneath_cannot_be_closed_opens_anew() {
    let mut runner = beneath();
    assert_eq!(runner.grant(s(60), SSH, &Ask::by_sequence(client(1))), Granted::Renewed(LeaseId(1)));
    assert_eq!(ended(&mut runner, s(61), 5, 1).last().unwrap(), "run 6: open 192.0.2.1 30");
    ended(&mut runner, s(61), 6, 0);
    assert_eq!(timeout(&mut runner, s(91)).last().unwrap(), "run 7: close 192.0.2.1");
    // The new one is closed by nobody else: it is tried without end.
    assert_eq!(ended(&mut runner, s(91), 7, 1)[1], "log retry 1 after 1");
    timeout(&mut runner, s(92));
    assert_eq!(ended(&mut runner, s(92), 8, 0).last().unwrap(), "run 9: close 192.0.2.1");
    assert_eq!(ended(&mut runner, s(92), 9, 0).last().unwrap(), "log closed Expired");
}

#[test]
fn a_start_command_that_fails_is_undone_at_once_as_ever() {
    let mut runner = asked_anew(doors(), None);
    ended(&mut runner, s(30), 2, 1);
    let after = ended(&mut runner, s(31), 3, 1);
    assert_eq!(after, ["log failed Start", "log running Stop", "run 4: close 192.0.2.1"]);
    ended(&mut runner, s(31), 4, 0);
    assert_eq!(ended(&mut runner, s(31), 5, 0).last().unwrap(), "log closed StartFailed");
}

#[test]
fn r1_a_start_command_that_cannot_be_started_leaves_the_stop_owed() {
    let mut runner = asked_anew(doors(), None);
    ended(&mut runner, s(30), 2, 1);
    runner.command_finished(s(30), JobId(3), Outcome::NotStarted(11));
    // Whoever comes next closes it at once.
    assert_eq!(effects(&mut runner), ["log failed Start", "log retry 1 after 1", "put 1 Closing till 60"]);
    assert_eq!(timeout(&mut runner, s(31)).last().unwrap(), "run 4: close 192.0.2.1");
    assert_eq!(ended(&mut runner, s(31), 4, 1)[1], "log retry 2 after 2", "and so on");
    assert_eq!(runner.counters().refused.get(&Reason::NotStarted), Some(&1));
}

#[test]
fn r1_a_record_that_is_not_durable_leaves_the_stop_owed() {
    let mut runner = asked_anew(doors(), None);
    runner.command_finished(s(30), JobId(2), Outcome::Exited(1));
    let lines: Vec<String> = (0..3).flat_map(|_| lines(&runner.poll_effect().unwrap())).collect();
    assert_eq!(lines, ANEW[..4]);
    for _ in 0..2 {
        runner.journal_failed(s(30), LeaseId(1));
    }
    assert_eq!(effects(&mut runner)[..2], ["log refused NotDurable", "log retry 1 after 1"]);
    assert_eq!((runner.running(), state(&runner, 1)), (0, Some(State::Retry { tries: 1 })));
    assert_eq!(timeout(&mut runner, s(31)), ["log running Stop", "run 4: close 192.0.2.1"]);
    assert_eq!(timeout(&mut runner, s(35)), ["put 1 Closing till 60"], "the disk may have the other one");
    assert_eq!(ended(&mut runner, s(36), 4, 0), ["remove 1", "log closed Expired"]);
}

/// Two start commands run, and two wait at doors of their own, so that there is no place in line.
#[test]
fn r1_a_full_line_leaves_the_stop_owed() {
    let slow = |name: &str| Door { name: name.to_owned(), ..knockd("slow %IP%", Some("close %IP%"), 10) };
    let limits = Limits { running: 2, running_per_door: 1, waiting: 2, ..Limits::default() };
    let doors = vec![native(), slow("a"), slow("b")];
    let mut runner = Runner::new(Catalogue { doors, limits });
    runner.grant(s(0), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(0), 1, 0);
    for (door, last) in [(1, 2), (2, 3), (1, 4), (2, 5)] {
        runner.grant(s(0), DoorId(door), &Ask::by_sequence(client(last)));
    }
    timeout(&mut runner, s(30));
    runner.grant(s(30), SSH, &Ask::by_sequence(client(1)));
    let said = ended(&mut runner, s(30), 4, 1);
    let owed = ["log failed Stop", "log refused QueueFull", "log retry 1 after 1", "put 1 Closing till 30"];
    assert_eq!(said, owed);
    assert_eq!(runner.counters().refused.get(&Reason::QueueFull), Some(&1));
    // The knock was refused: once closed, it stays closed.
    timeout(&mut runner, s(31));
    assert_eq!(ended(&mut runner, s(31), 5, 0), ["remove 1", "log closed Expired"]);
}

/// The place that a failed stop command has left is for whoever has waited longest.
#[test]
fn those_that_wait_come_first() {
    let limits = Limits { running: 1, running_per_door: 1, waiting: 1, ..Limits::default() };
    let mut runner = Runner::new(Catalogue { doors: doors(), limits });
    runner.grant(s(0), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(0), 1, 0);
    timeout(&mut runner, s(30));
    for (door, last) in [(OLD, 2), (SSH, 1)] {
        runner.grant(s(30), door, &Ask::by_sequence(client(last)));
    }
    assert_eq!(commands(&mut runner), Vec::<String>::new());
    let said = ended(&mut runner, s(30), 2, 1);
    let at = |wanted| said.iter().position(|line| line == wanted).expect("it is among them");
    assert!(at("run 3: open 192.0.2.2") < at("log cannot close 1"), "{said:?}");
    assert_eq!(state(&runner, 1), Some(State::Waiting { owed: Some(1) }));
    assert_eq!(ended(&mut runner, s(31), 3, 0).last().unwrap(), "run 4: open 192.0.2.1 30");
}

/// While the start command waits for its turn: all that takes the turn away.
#[test]
fn r1_a_start_command_that_loses_its_turn_leaves_the_stop_owed() {
    let limits = Limits { running: 1, running_per_door: 1, waiting: 1, ..Limits::default() };
    let slow = knockd("slow %IP%", Some("close %IP%"), 10);
    let waiting = || {
        let mut runner = Runner::new(Catalogue { doors: vec![native(), slow.clone()], limits });
        runner.grant(s(0), SSH, &Ask::by_sequence(client(1)));
        effects(&mut runner);
        ended(&mut runner, s(0), 1, 0);
        runner.grant(s(0), OLD, &Ask::by_sequence(client(2)));
        timeout(&mut runner, s(30));
        runner.grant(s(30), SSH, &Ask::by_sequence(client(1)));
        ended(&mut runner, s(30), 3, 1);
        assert_eq!(state(&runner, 1), Some(State::Waiting { owed: Some(1) }));
        assert!(runner.lease(LeaseId(1)).is_some_and(Lease::owes_stop));
        runner
    };
    let retried = ["log retry 1 after 1".to_owned()];
    let mut closed = waiting();
    assert_eq!(closed.close(s(30), SSH, client(1)), 1);
    assert_eq!(commands(&mut closed), ["run 4: close 192.0.2.1"]);
    assert_eq!(ended(&mut closed, s(30), 4, 0).last().unwrap(), "log closed Asked");

    let mut without = waiting();
    without.reload(s(30), Catalogue { doors: vec![slow.clone()], limits });
    assert_eq!(effects(&mut without)[1..], retried);
    assert_eq!(commands_at(&mut without, s(31)), ["run 4: close 192.0.2.1"]);

    let mut ending = waiting();
    ending.shutdown(s(30), crate::OnShutdown::Close { grace: s(5) });
    assert_eq!(commands(&mut ending), ["run 4: close 192.0.2.1"]);
    let mut kept = waiting();
    kept.shutdown(s(30), crate::OnShutdown::Keep);
    assert_eq!(commands(&mut kept), Vec::<String>::new());
    assert!(kept.lease(LeaseId(1)).is_some_and(Lease::owes_stop));
}

fn commands_at(runner: &mut Runner, now: Duration) -> Vec<String> {
    runner.handle_timeout(now);
    commands(runner)
}

/// Another door takes the newest place of the longest line.
#[test]
fn r1_a_start_command_that_is_displaced_leaves_the_stop_owed() {
    let limits = Limits { running: 1, running_per_door: 1, waiting: 2, ..Limits::default() };
    let slow = |name: &str| Door { name: name.to_owned(), ..knockd("slow %IP%", Some("close %IP%"), 10) };
    let mut runner = Runner::new(Catalogue { doors: vec![native(), slow("a"), slow("b")], limits });
    runner.grant(s(0), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(0), 1, 0);
    runner.grant(s(0), DoorId(1), &Ask::by_sequence(client(2)));
    runner.grant(s(0), SSH, &Ask::by_sequence(client(3)));
    timeout(&mut runner, s(30));
    runner.grant(s(30), SSH, &Ask::by_sequence(client(1)));
    ended(&mut runner, s(30), 3, 1);
    assert_eq!(runner.waiting(), 2);
    assert_eq!(runner.grant(s(30), DoorId(2), &Ask::by_sequence(client(4))), Granted::Opening(LeaseId(4)));
    assert_eq!(effects(&mut runner), ["log refused Displaced", "log retry 1 after 1"]);
    assert_eq!(commands_at(&mut runner, s(31)), ["run 4: close 192.0.2.1"]);
}

#[test]
fn it_stays_loud_until_it_is_open_anew() {
    let mut runner = asked_anew(doors(), None);
    for job in 2..=6 {
        runner.command_finished(s(30), JobId(job), Outcome::NotStarted(2));
        assert!(runner.close_lease(s(30), LeaseId(1)));
    }
    runner.grant(s(30), SSH, &Ask::by_sequence(client(1)));
    runner.command_finished(s(30), JobId(7), Outcome::Exited(1));
    let stuck = |runner: &Runner| state(runner, 1).and_then(State::stuck);
    assert!(matches!(state(&runner, 1), Some(State::Starting { owed: Some(6), .. })));
    assert_eq!(stuck(&runner), Some(6));
    effects(&mut runner);
    ended(&mut runner, s(30), 8, 0);
    assert_eq!(stuck(&runner), None);
}

/// Its stop command has the length in it: the next one would close something else.
#[test]
fn another_length_waits_where_the_stop_command_has_it() {
    let mut door = native();
    if let Action::Command(commands) = &mut door.action {
        commands.stop = both(argv(&["close", "{ip}", "{seconds}"]));
    }
    let mut runner = asked_anew(vec![door.clone()], Some(s(20)));
    assert_eq!(ended(&mut runner, s(30), 2, 1)[1], "log retry 1 after 1");
    timeout(&mut runner, s(31));
    assert_eq!(ended(&mut runner, s(31), 3, 0).last().unwrap(), "run 4: open 192.0.2.1 20");
    let mut runner = asked_anew(vec![door], Some(s(30)));
    assert_eq!(ended(&mut runner, s(30), 2, 1), ANEW);
}

#[test]
fn it_lasts_for_no_longer_than_its_device_may_hold_it() {
    let mut runner = runner(doors());
    let device = Ask { owner: Some(Owner([1; 32])), ..Ask::by_sequence(client(1)) };
    runner.grant(s(0), SSH, &device);
    effects(&mut runner);
    ended(&mut runner, s(0), 1, 0);
    timeout(&mut runner, s(30));
    runner.grant(s(30), SSH, &device);
    runner.shorten(s(30), |_| Some(s(7)));
    assert_eq!(ended(&mut runner, s(30), 2, 1).last().unwrap(), "run 3: open 192.0.2.1 7");
    // While its start command runs, too.
    runner.shorten(s(31), |_| Some(s(3)));
    ended(&mut runner, s(32), 3, 0);
    assert_eq!(deadline(&runner, 1), Some(s(34)));
    // And what it may not hold at all is closed, also where the start command cannot be started.
    timeout(&mut runner, s(34));
    runner.grant(s(34), SSH, &device);
    ended(&mut runner, s(34), 4, 1);
    assert_eq!(runner.close_unless(s(34), |_, _| false), 1);
    runner.command_finished(s(34), JobId(5), Outcome::NotStarted(11));
    assert_eq!(commands(&mut runner), ["run 6: close 192.0.2.1"]);
}

#[test]
fn it_is_open_for_as_long_as_this_knock_wants() {
    let mut runner = asked_anew(doors(), Some(s(20)));
    let said = ended(&mut runner, s(30), 2, 1);
    assert_eq!(said[3], "+ put 1 Opening till 50");
    assert_eq!(said.last().unwrap(), "run 3: open 192.0.2.1 20");
    assert_eq!(ended(&mut runner, s(31), 3, 0), ["log renewed 19", "put 1 Open till 50"]);
    let lease = runner.lease(LeaseId(1)).unwrap();
    assert_eq!((lease.length, lease.seconds), (s(20), 20));
    assert_eq!(timeout(&mut runner, s(50)).last().unwrap(), "run 4: close 192.0.2.1");
}

/// Somebody had asked for its end, and then its client knocked: it is open until its time, and closes because that is over.
#[test]
fn what_was_asked_for_before_the_knock_is_forgotten() {
    let mut runner = runner(doors());
    runner.grant(s(0), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(0), 1, 0);
    assert_eq!(runner.close(s(10), SSH, client(1)), 1);
    assert_eq!(commands(&mut runner), ["run 2: close 192.0.2.1"]);
    runner.grant(s(10), SSH, &Ask::by_sequence(client(1)));
    assert_eq!(ended(&mut runner, s(10), 2, 1).last().unwrap(), "run 3: open 192.0.2.1 30");
    assert_eq!(ended(&mut runner, s(11), 3, 0), ["log renewed 29", "put 1 Open till 40"]);
    assert_eq!(timeout(&mut runner, s(39)), Vec::<String>::new());
    timeout(&mut runner, s(40));
    ended(&mut runner, s(40), 4, 0);
    assert_eq!(ended(&mut runner, s(40), 5, 0).last().unwrap(), "log closed Expired");
}

/// Its start command is another one now, although its stop command is not: the lease ends as it began.
#[test]
fn a_door_that_has_become_another_one_closes_first() {
    let mut runner = asked_anew(doors(), None);
    let mut other = native();
    if let Action::Command(commands) = &mut other.action {
        commands.start = both(argv(&["open-otherwise", "{ip}"]));
    }
    runner.reload(s(30), Catalogue { doors: vec![other], limits: Limits::default() });
    assert_eq!(ended(&mut runner, s(30), 2, 1)[1], "log retry 1 after 1");
    assert_eq!(timeout(&mut runner, s(31)).last().unwrap(), "run 3: close 192.0.2.1");
    assert_eq!(ended(&mut runner, s(31), 3, 0).last().unwrap(), "run 4: open-otherwise 192.0.2.1");
}

/// What is closed beneath is not called back: nobody knows what is left of either opening.
#[test]
fn a_knock_while_it_closes_beneath_opens_a_new_lease() {
    let limits = Limits { running_per_door: 1, ..Limits::default() };
    let mut runner = Runner::new(Catalogue { doors: doors(), limits });
    runner.grant(s(0), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(0), 1, 0);
    timeout(&mut runner, s(30));
    runner.grant(s(30), SSH, &Ask::by_sequence(client(1)));
    ended(&mut runner, s(30), 2, 1);
    ended(&mut runner, s(31), 3, 0);
    runner.grant(s(31), SSH, &Ask::by_sequence(client(2)));
    ended(&mut runner, s(31), 4, 0);
    // Another one of the door is in line before what is beneath.
    assert_eq!(timeout(&mut runner, s(60)).last().unwrap(), "run 5: close 192.0.2.1");
    runner.close(s(60), SSH, client(2));
    assert_eq!(ended(&mut runner, s(60), 5, 0).last().unwrap(), "run 6: close 192.0.2.2");
    assert_eq!(state(&runner, 1), Some(State::Due { tries: 0 }));
    runner.grant(s(60), SSH, &Ask::by_sequence(client(1)));
    assert_eq!(state(&runner, 1), Some(State::Due { tries: 0 }));
    assert_eq!(ended(&mut runner, s(60), 6, 0).last().unwrap(), "run 7: close 192.0.2.1");
    let said = ended(&mut runner, s(60), 7, 0);
    assert_eq!((said.last().unwrap().as_str(), state(&runner, 1)), ("run 8: open 192.0.2.1 30", None));
}
