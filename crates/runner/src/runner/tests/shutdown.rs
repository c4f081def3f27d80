//! Going down.

use super::*;
use crate::OnShutdown;
use crate::Reason;

const CLOSE: OnShutdown = OnShutdown::Close { grace: Duration::from_secs(20) };

/// Two open leases of the knockd door, due at 10 and 13.
fn two_open() -> Runner {
    let mut runner = runner(doors());
    for (job, now) in [(1, s(0)), (2, s(3))] {
        runner.grant(now, OLD, &Ask::by_sequence(client(1)));
        effects(&mut runner);
        ended(&mut runner, now, job, 0);
    }
    runner
}

#[test]
fn stops_due_soon_run_when_due_and_the_others_at_once() {
    let mut runner = two_open();
    runner.shutdown(s(8), CLOSE);
    assert_eq!(effects(&mut runner).last().unwrap(), "run 3: close 192.0.2.1");
    assert_eq!(state(&runner, 1), Some(State::Open));
    assert!(!runner.is_drained(s(8)));
    ended(&mut runner, s(8), 3, 0);
    assert!(!runner.is_drained(s(9)));
    assert_eq!(runner.poll_timeout(), Some(s(10)));
    let due = timeout(&mut runner, s(10));
    assert_eq!(due, ["log command timeout", "log running Stop", "run 4: close 192.0.2.1"]);
    assert!(!runner.is_drained(s(10)));
    assert_eq!(ended(&mut runner, s(10), 4, 0), ["remove 1", "log closed Expired"]);
    assert!(runner.is_drained(s(10)));
}

#[test]
fn an_effect_not_taken_keeps_the_daemon() {
    let mut runner = runner(doors());
    runner.grant(s(0), DoorId(2), &Ask::by_sequence(client(1)));
    runner.shutdown(s(0), OnShutdown::Keep);
    assert!(!runner.is_drained(s(1000)));
    effects(&mut runner);
    assert!(runner.is_drained(s(1000)));
}

#[test]
fn a_running_start_is_waited_for_and_then_closed() {
    let mut runner = runner(doors());
    runner.grant(s(0), OLD, &Ask::by_sequence(client(1)));
    runner.grant(s(0), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    runner.shutdown(s(1), CLOSE);
    assert_eq!(effects(&mut runner), Vec::<String>::new());
    assert!(!runner.is_drained(s(2)));
    assert_eq!(ended(&mut runner, s(2), 1, 0).last().unwrap(), "run 3: close 192.0.2.1");
    assert_eq!(ended(&mut runner, s(2), 2, 0).last().unwrap(), "run 4: close 192.0.2.1");
    ended(&mut runner, s(2), 3, 0);
    ended(&mut runner, s(2), 4, 0);
    assert!(runner.is_drained(s(2)));
}

#[test]
fn a_start_that_hangs_is_left_to_the_next_start_after_the_grace() {
    let mut runner = runner(doors());
    runner.grant(s(0), OLD, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    runner.shutdown(s(1), CLOSE);
    assert_eq!(runner.poll_timeout(), Some(s(21)));
    assert!(!runner.is_drained(s(20)));
    assert!(runner.is_drained(s(21)));
    // Its record was never removed.
    assert_eq!(effects(&mut runner), Vec::<String>::new());
}

#[test]
fn a_start_without_stop_outlives_the_daemon() {
    let mut runner = runner(vec![native(), knockd("sleep 1000", None, 10)]);
    runner.grant(s(0), OLD, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    runner.shutdown(s(1), CLOSE);
    assert!(runner.is_drained(s(1)));
}

#[test]
fn keep_runs_nothing_and_leaves_all() {
    let mut runner = two_open();
    runner.shutdown(s(8), OnShutdown::Keep);
    assert_eq!(effects(&mut runner), Vec::<String>::new());
    assert!(runner.is_drained(s(8)));
    assert_eq!(timeout(&mut runner, s(50)), Vec::<String>::new());
    assert_eq!(runner.leases().count(), 2);
}

#[test]
fn keep_waits_a_moment_for_a_command_that_is_about_to_end() {
    let mut runner = two_open();
    runner.handle_timeout(s(10));
    effects(&mut runner);
    runner.shutdown(s(10), OnShutdown::Keep);
    assert!(!runner.is_drained(s(10)));
    assert_eq!(ended(&mut runner, s(10), 3, 0), ["remove 1", "log closed Expired"]);
    assert!(runner.is_drained(s(10)));
    let mut runner = two_open();
    runner.handle_timeout(s(10));
    effects(&mut runner);
    runner.shutdown(s(10), OnShutdown::Keep);
    assert!(runner.is_drained(s(11)));
}

#[test]
fn who_waits_and_who_knocks_is_refused() {
    let limits = Limits { running: 1, ..Limits::default() };
    let mut runner = Runner::new(Catalogue { doors: doors(), limits });
    runner.grant(s(0), SSH, &Ask::by_sequence(client(1)));
    runner.grant(s(0), SSH, &Ask::by_sequence(client(2)));
    effects(&mut runner);
    runner.shutdown(s(1), CLOSE);
    assert_eq!(effects(&mut runner), ["log refused ShuttingDown"]);
    let refused = Granted::Refused(Reason::ShuttingDown);
    assert_eq!(runner.grant(s(1), SSH, &Ask::by_sequence(client(3))), refused);
}

#[test]
fn elements_are_taken_out_unless_the_kernel_is_about_to() {
    let mut runner = runner(doors());
    for (id, wanted) in [(1, 30), (2, 2)] {
        runner.grant(s(0), NFT, &Ask { wanted: Some(s(wanted)), ..Ask::by_sequence(client(id)) });
        effects(&mut runner);
        runner.element_done(s(0), LeaseId(u64::from(id)));
        effects(&mut runner);
    }
    runner.shutdown(s(1), CLOSE);
    assert_eq!(effects(&mut runner), ["delete 1 192.0.2.1"]);
    assert!(!runner.is_drained(s(1)));
    runner.element_done(s(1), LeaseId(1));
    effects(&mut runner);
    assert!(runner.is_drained(s(1)));
}
