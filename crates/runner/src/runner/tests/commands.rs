//! Time limits, and a journal that cannot be written.

use super::*;
use crate::Reason;

#[test]
fn a_command_over_its_time_gets_term_then_kill() {
    let mut runner = runner(doors());
    runner.grant(s(100), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    assert_eq!(runner.poll_timeout(), Some(s(110)));
    assert_eq!(timeout(&mut runner, s(109)), Vec::<String>::new());
    assert_eq!(timeout(&mut runner, s(110)), ["log time limit Start Term", "signal 1 Term"]);
    // Nothing of it lives a second after its limit.
    let kill = runner.poll_timeout().unwrap();
    assert!(kill < s(111), "{kill:?}");
    assert_eq!(timeout(&mut runner, kill), ["log time limit Start Kill", "signal 1 Kill"]);
    assert_eq!(runner.poll_timeout(), None);
    runner.command_finished(s(112), JobId(1), Outcome::Signalled(9));
    assert_eq!(commands(&mut runner), ["run 2: close 192.0.2.1"]);
    // The stop command has a limit too.
    assert_eq!(timeout(&mut runner, s(122)), ["log time limit Stop Term", "signal 2 Term"]);
}

#[test]
fn a_command_that_ends_in_time_gets_no_signal() {
    let mut runner = runner(doors());
    runner.grant(s(100), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(109), 1, 0);
    assert_eq!(timeout(&mut runner, s(112)), Vec::<String>::new());
}

#[test]
fn without_a_durable_record_the_start_command_does_not_run() {
    let mut runner = runner(doors());
    runner.grant(s(100), SSH, &Ask::by_sequence(client(1)));
    assert_eq!(lines(&runner.poll_effect().unwrap()), ["put 1 Opening till 130"]);
    runner.journal_failed(s(100), LeaseId(1));
    assert_eq!(effects(&mut runner), ["log refused NotDurable"]);
    assert_eq!(runner.counters().refused[&Reason::NotDurable], 1);
    assert_eq!((runner.leases().count(), runner.running()), (0, 0));
    // The record may be on the disk all the same: it is taken away.
    assert_eq!(timeout(&mut runner, s(105)), ["remove 1"]);
    // And when the disk is back, the door opens.
    runner.grant(s(106), SSH, &Ask::by_sequence(client(1)));
    assert_eq!(commands(&mut runner), ["run 2: open 192.0.2.1 30"]);
}

#[test]
fn the_place_of_a_withdrawn_start_goes_to_the_next_in_line() {
    let limits = Limits { running: 1, ..Limits::default() };
    let mut runner = Runner::new(Catalogue { doors: doors(), limits });
    runner.grant(s(100), SSH, &Ask::by_sequence(client(1)));
    runner.grant(s(100), SSH, &Ask::by_sequence(client(2)));
    assert_eq!(lines(&runner.poll_effect().unwrap()), ["put 1 Opening till 130"]);
    runner.journal_failed(s(100), LeaseId(1));
    assert_eq!(commands(&mut runner), ["run 2: open 192.0.2.2 30"]);
}

#[test]
fn a_record_that_falls_behind_is_written_later() {
    let mut runner = runner(doors());
    runner.grant(s(100), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(100), 1, 0);
    runner.journal_failed(s(100), LeaseId(1));
    assert_eq!(effects(&mut runner), ["log journal behind"]);
    assert_eq!((runner.poll_timeout(), runner.behind()), (Some(s(105)), 1));
    assert_eq!(timeout(&mut runner, s(105)), ["put 1 Open till 130"]);
    assert_eq!(runner.behind(), 0);
    // A removal that fails, too.
    timeout(&mut runner, s(130));
    ended(&mut runner, s(130), 2, 0);
    runner.journal_failed(s(130), LeaseId(1));
    assert_eq!(timeout(&mut runner, s(135)), ["remove 1"]);
    assert_eq!(runner.poll_timeout(), None);
}

#[test]
fn what_is_not_known_is_ignored() {
    let mut runner = runner(doors());
    runner.command_finished(s(1), JobId(9), Outcome::Exited(0));
    runner.element_done(s(1), LeaseId(9));
    runner.element_failed(s(1), LeaseId(9), "no");
    assert_eq!(
        runner.grant(s(1), DoorId(99), &Ask::by_sequence(client(1))),
        Granted::Refused(Reason::NoSuchDoor)
    );
    assert_eq!(runner.close(s(1), DoorId(99), client(1)), 0);
    assert!(!runner.close_lease(s(1), LeaseId(9)));
    assert_eq!(effects(&mut runner), Vec::<String>::new());
}
