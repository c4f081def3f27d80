//! Doors of aldaba.toml: one lease per door and address.

use super::*;

#[test]
fn the_journal_knows_before_the_start_command_runs() {
    let mut runner = runner(doors());
    assert_eq!(runner.grant(s(100), SSH, &Ask::by_sequence(client(1))), Granted::Opening(LeaseId(1)));
    let expected = ["put 1 Opening till 130", "log running Start", "run 1: open 192.0.2.1 30"];
    assert_eq!(effects(&mut runner), expected);
    assert_eq!(ended(&mut runner, s(101), 1, 0), ["log opened 29", "put 1 Open till 130"]);
    assert_eq!(runner.poll_timeout(), Some(s(130)));
    assert_eq!(timeout(&mut runner, s(130)), ["log running Stop", "run 2: close 192.0.2.1"]);
    assert_eq!(ended(&mut runner, s(131), 2, 0), ["remove 1", "log closed Expired"]);
    assert_eq!(runner.leases().count(), 0);
    assert_eq!(runner.poll_timeout(), None);
}

#[test]
fn a_knock_while_open_renews_and_runs_nothing() {
    let mut runner = runner(doors());
    runner.grant(s(100), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(100), 1, 0);
    assert_eq!(runner.grant(s(120), SSH, &Ask::by_sequence(client(1))), Granted::Renewed(LeaseId(1)));
    assert_eq!(effects(&mut runner), ["put 1 Open till 150", "log renewed 30"]);
    assert_eq!(runner.poll_timeout(), Some(s(150)));
    // A shorter wish does not shorten.
    runner.grant(s(121), SSH, &Ask { wanted: Some(s(5)), ..Ask::by_sequence(client(1)) });
    assert_eq!(deadline(&runner, 1), Some(s(150)));
    // A longer one is cut to what policy allows from now.
    runner.grant(s(122), SSH, &Ask { wanted: Some(s(4000)), ..Ask::by_sequence(client(1)) });
    assert_eq!(deadline(&runner, 1), Some(s(182)));
}

#[test]
fn a_second_client_has_a_lease_of_its_own() {
    let mut runner = runner(doors());
    runner.grant(s(100), SSH, &Ask::by_sequence(client(1)));
    assert_eq!(runner.grant(s(100), SSH, &Ask::by_sequence(client(2))), Granted::Opening(LeaseId(2)));
    assert_eq!(commands(&mut runner), ["run 1: open 192.0.2.1 30", "run 2: open 192.0.2.2 30"]);
}

#[test]
fn wishes_are_clamped_and_never_zero() {
    for (wanted, seconds) in [(None, 30), (Some(0), 1), (Some(7), 7), (Some(61), 60), (Some(u64::MAX), 60)] {
        let mut runner = runner(doors());
        runner.grant(s(100), SSH, &Ask { wanted: wanted.map(s), ..Ask::by_sequence(client(1)) });
        assert_eq!(commands(&mut runner), [format!("run 1: open 192.0.2.1 {seconds}")], "{wanted:?}");
        assert_eq!(deadline(&runner, 1), Some(s(100 + seconds)));
    }
}

#[test]
fn a_start_command_that_fails_is_undone_at_once() {
    let mut runner = runner(doors());
    runner.grant(s(100), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    let expected = ["log failed Start", "log running Stop", "run 2: close 192.0.2.1"];
    assert_eq!(ended(&mut runner, s(101), 1, 3), expected);
    assert_eq!(ended(&mut runner, s(101), 2, 0), ["remove 1", "log closed StartFailed"]);
}

#[test]
fn a_start_command_that_never_ran_owes_no_stop() {
    let mut runner = runner(doors());
    runner.grant(s(100), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    runner.command_finished(s(100), JobId(1), Outcome::NotStarted(11));
    assert_eq!(effects(&mut runner), ["log failed Start", "remove 1"]);
    assert_eq!(runner.leases().count(), 0);
}

#[test]
fn a_close_knock_ends_the_lease_now() {
    let mut runner = runner(doors());
    runner.grant(s(100), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    // While the start command runs: right after it.
    assert_eq!(runner.close(s(101), SSH, client(1)), 1);
    assert_eq!(effects(&mut runner), Vec::<String>::new());
    let after = ended(&mut runner, s(102), 1, 0);
    assert_eq!(after.last().unwrap(), "run 2: close 192.0.2.1");
    assert_eq!(ended(&mut runner, s(102), 2, 0), ["remove 1", "log closed Asked"]);
    // While open: at once, and the journal knows that it is over.
    runner.grant(s(110), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(110), 3, 0);
    assert_eq!(runner.close(s(111), SSH, client(2)), 0);
    runner.close(s(111), SSH, client(1));
    let expected = ["put 2 Open till 111", "log running Stop", "run 4: close 192.0.2.1"];
    assert_eq!(effects(&mut runner), expected);
}

#[test]
fn a_knock_while_closing_opens_anew_after_the_stop() {
    let mut runner = runner(doors());
    runner.grant(s(100), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(100), 1, 0);
    timeout(&mut runner, s(130));
    assert_eq!(
        runner.grant(s(131), SSH, &Ask { wanted: Some(s(9)), ..Ask::by_sequence(client(1)) }),
        Granted::Renewed(LeaseId(1))
    );
    assert_eq!(effects(&mut runner), Vec::<String>::new());
    let after = ended(&mut runner, s(132), 2, 0);
    let expected = [
        "remove 1",
        "+ put 2 Opening till 141",
        "log closed Expired",
        "log running Start",
        "run 3: open 192.0.2.1 9",
    ];
    assert_eq!(after, expected);
}

#[test]
fn a_close_knock_takes_back_the_wish_to_open_anew() {
    let mut runner = runner(doors());
    runner.grant(s(100), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(100), 1, 0);
    timeout(&mut runner, s(130));
    runner.grant(s(131), SSH, &Ask::by_sequence(client(1)));
    runner.close(s(131), SSH, client(1));
    assert_eq!(ended(&mut runner, s(132), 2, 0), ["remove 1", "log closed Expired"]);
}

#[test]
fn r8_a_stop_command_that_fails_for_minutes_closes_as_soon_as_it_works() {
    let mut runner = runner(doors());
    runner.grant(s(0), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(0), 1, 0);
    timeout(&mut runner, s(30));
    let mut now = s(30);
    for (tries, after) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16)] {
        let said = ended(&mut runner, now, tries + 1, 1);
        assert!(said.contains(&format!("log retry {tries} after {after}")), "{said:?}");
        now += s(after);
        assert_eq!(runner.poll_timeout(), Some(now));
        let again = timeout(&mut runner, now);
        assert_eq!(again.last().unwrap(), &format!("run {}: close 192.0.2.1", tries + 2));
    }
    // From here on it is loud, and goes on: every minute, for an hour.
    let mut tries = 6;
    while now < s(3600) {
        let after = if tries == 6 { 32 } else { 60 };
        let said = ended(&mut runner, now, tries + 1, 1);
        assert_eq!(said, ["log failed Stop".to_owned(), format!("log cannot close {tries} after {after}")]);
        assert_eq!(stuck(&runner), Some(tries));
        now += s(after);
        assert_eq!(runner.poll_timeout(), Some(now));
        tries += 1;
        let again = ["log running Stop".to_owned(), format!("run {}: close 192.0.2.1", tries + 1)];
        assert_eq!(timeout(&mut runner, now), again);
        assert_eq!(stuck(&runner), Some(tries - 1), "it stays loud while it is tried");
    }
    assert_eq!(ended(&mut runner, now, tries + 1, 0), ["remove 1", "log closed Expired"]);
    assert_eq!((stuck(&runner), runner.poll_timeout()), (None, None));
}

#[test]
fn a_door_that_cannot_be_closed_is_tried_at_once_when_somebody_asks() {
    let mut runner = runner(doors());
    runner.grant(s(0), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(0), 1, 0);
    timeout(&mut runner, s(30));
    for tries in 1..=6 {
        // Whether it ran makes no difference to the door.
        runner.command_finished(s(30), JobId(tries + 1), Outcome::NotStarted(2));
        effects(&mut runner);
        assert_eq!(stuck(&runner), (tries == 6).then_some(6));
        assert!(runner.close_lease(s(30), LeaseId(1)));
        assert_eq!(commands(&mut runner), [format!("run {}: close 192.0.2.1", tries + 2)]);
    }
    assert_eq!(ended(&mut runner, s(31), 8, 0), ["remove 1", "log closed Expired"]);
}

/// How often closing has failed, where that is loud.
fn stuck(runner: &Runner) -> Option<u64> {
    state(runner, 1)?.stuck().map(u64::from)
}

#[test]
fn a_knock_at_a_door_that_cannot_be_closed_opens_it_anew() {
    let mut runner = runner(doors());
    runner.grant(s(0), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(0), 1, 0);
    timeout(&mut runner, s(30));
    ended(&mut runner, s(30), 2, 1);
    assert_eq!(state(&runner, 1), Some(State::Retry { tries: 1 }));
    runner.grant(s(30), SSH, &Ask::by_sequence(client(1)));
    assert_eq!(commands(&mut runner), ["run 3: close 192.0.2.1"]);
    let after = ended(&mut runner, s(30), 3, 1);
    assert_eq!(after.last().unwrap(), "run 4: open 192.0.2.1 30");
}

/// The next lease would close something else, or its start command cannot run either: then nobody closed this one.
#[test]
fn a_knock_does_not_make_forget_what_another_stop_command_would_not_close() {
    let mut changed = native();
    if let Action::Command(commands) = &mut changed.action {
        commands.stop = both(argv(&["shut", "{ip}"]));
    }
    let changed = Catalogue { doors: vec![changed], limits: Limits::default() };
    for (reload, outcome) in [(Some(changed), Outcome::Exited(1)), (None, Outcome::NotStarted(2))] {
        let mut runner = runner(doors());
        runner.grant(s(0), SSH, &Ask::by_sequence(client(1)));
        effects(&mut runner);
        ended(&mut runner, s(0), 1, 0);
        timeout(&mut runner, s(30));
        runner.grant(s(30), SSH, &Ask::by_sequence(client(1)));
        if let Some(changed) = reload {
            runner.reload(s(30), changed);
        }
        runner.command_finished(s(30), JobId(2), outcome);
        assert_eq!(effects(&mut runner)[..2], ["log failed Stop", "log retry 1 after 1"]);
        assert_eq!(timeout(&mut runner, s(31)).last().unwrap(), "run 3: close 192.0.2.1");
        // It has waited for that.
        let after = ended(&mut runner, s(31), 3, 0);
        assert_eq!(after.last().unwrap(), "run 4: open 192.0.2.1 30");
    }
}

#[test]
fn a_door_without_command_for_the_family_refuses() {
    let mut door = native();
    if let Action::Command(commands) = &mut door.action {
        commands.start.v6 = None;
    }
    let mut runner = runner(vec![door]);
    let refused = Granted::Refused(crate::Reason::NothingForFamily);
    assert_eq!(runner.grant(s(0), SSH, &Ask::by_sequence(v6_client())), refused);
    assert_eq!(effects(&mut runner), ["log refused NothingForFamily"]);
}

#[test]
fn leases_of_a_door_that_is_gone_end_with_their_own_stop_command() {
    let mut runner = runner(doors());
    runner.grant(s(0), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(0), 1, 0);
    runner.reload(s(1), Catalogue { doors: vec![element()], limits: Limits::default() });
    assert_eq!(timeout(&mut runner, s(30)), ["log running Stop", "run 2: close 192.0.2.1"]);
}

#[test]
fn a_reload_that_changes_the_door_opens_beside_the_old_lease() {
    let mut runner = runner(doors());
    runner.grant(s(0), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(0), 1, 0);
    // Unchanged: it renews.
    runner.reload(s(1), Catalogue { doors: doors(), limits: Limits::default() });
    assert_eq!(runner.grant(s(1), SSH, &Ask::by_sequence(client(1))), Granted::Renewed(LeaseId(1)));
    let mut changed = native();
    if let Action::Command(commands) = &mut changed.action {
        commands.start = both(argv(&["other", "{ip}"]));
    }
    runner.reload(s(2), Catalogue { doors: vec![changed], limits: Limits::default() });
    assert_eq!(runner.grant(s(2), SSH, &Ask::by_sequence(client(1))), Granted::Opening(LeaseId(2)));
    assert_eq!(commands(&mut runner), ["run 2: other 192.0.2.1"]);
}

#[test]
fn a_device_closes_what_it_opened_and_leaves_the_rest() {
    let mut runner = runner(doors());
    let device = |number| Some(Owner([number; 32]));
    let ask = |address, owner| Ask { owner, ..Ask::by_sequence(client(address)) };
    for (address, owner) in [(1, device(1)), (2, device(1)), (3, device(2)), (4, None)] {
        runner.grant(s(100), SSH, &ask(address, owner));
    }
    let held = |runner: &Runner| [1, 2, 9].map(|number| runner.held_by(Owner([number; 32])));
    assert_eq!(held(&runner), [2, 1, 0]);
    let renewed = |address| runner.renewed_by(SSH, client(address)).and_then(Lease::owner);
    assert_eq!((renewed(1), renewed(3), renewed(4), renewed(5)), (device(1), device(2), None, None));
    assert_eq!(runner.close_owned(s(101), SSH, Owner([1; 32])), 2);
    assert_eq!(runner.close_owned(s(101), SSH, Owner([9; 32])), 0);
    // A further knock takes the lease over.
    runner.grant(s(102), SSH, &ask(4, device(2)));
    assert_eq!(held(&runner)[1], 2);
    assert_eq!(runner.close_unless(s(103), |_, lease| &**lease.door() == "ssh"), 0);
    assert_eq!(runner.close_unless(s(103), |owner, _| owner != Owner([2; 32])), 2);
}

fn by_device(address: IpAddr) -> Ask {
    Ask { owner: Some(Owner([1; 32])), ..Ask::by_sequence(address) }
}

/// All of one device, for so long from now on.
fn shorten(runner: &mut Runner, now: Duration, seconds: u64) -> Vec<String> {
    runner.shorten(now, |owner| (owner == Owner([1; 32])).then_some(s(seconds)));
    effects(runner)
}

#[test]
fn a_device_that_may_hold_less_holds_it_for_less() {
    let mut runner = runner(doors());
    runner.grant(s(100), SSH, &by_device(client(1)));
    runner.grant(s(100), SSH, &Ask::by_sequence(client(2)));
    effects(&mut runner);
    // While its start command runs, its end moves already.
    assert_eq!(shorten(&mut runner, s(100), 20), ["put 1 Opening till 120"]);
    ended(&mut runner, s(101), 1, 0);
    ended(&mut runner, s(101), 2, 0);
    assert_eq!(shorten(&mut runner, s(105), 15), Vec::<String>::new(), "it ends then anyway");
    assert_eq!(shorten(&mut runner, s(105), 5), ["log shortened 5", "put 1 Open till 110"]);
    assert_eq!(runner.poll_timeout(), Some(s(110)));
    assert_eq!(timeout(&mut runner, s(110)), ["log running Stop", "run 3: close 192.0.2.1"]);
    // A knock that came while it is being closed opens for no longer either.
    runner.grant(s(110), SSH, &by_device(client(1)));
    assert_eq!(shorten(&mut runner, s(110), 7), Vec::<String>::new());
    ended(&mut runner, s(111), 3, 0);
    assert_eq!(runner.leases().last().expect("it opens again").deadline(), s(118));
    assert_eq!(runner.lease(LeaseId(2)).expect("of a sequence").deadline(), s(130), "nobody's device");
}

#[test]
fn an_element_of_a_device_gets_a_shorter_time_or_goes() {
    let mut runner = runner(doors());
    runner.grant(s(100), NFT, &by_device(client(1)));
    effects(&mut runner);
    runner.element_done(s(100), LeaseId(1));
    effects(&mut runner);
    assert_eq!(shorten(&mut runner, s(110), 5), ["set 1 192.0.2.1 for 5"]);
    runner.element_done(s(110), LeaseId(1));
    assert_eq!(effects(&mut runner), ["put 1 Open till 115", "log shortened 5"]);
    assert_eq!(runner.poll_timeout(), Some(s(115)));
    // Never zero, which to the kernel is for ever.
    assert_eq!(shorten(&mut runner, s(111), 0), ["set 1 192.0.2.1 for 1"]);
    runner.element_failed(s(111), LeaseId(1), "no");
    assert_eq!(effects(&mut runner), ["log element failed Start no", "delete 1 192.0.2.1"]);
    runner.element_done(s(111), LeaseId(1));
    assert_eq!(effects(&mut runner), ["remove 1", "log closed Asked"]);
}

#[test]
fn an_element_that_others_took_away_comes_back_for_less() {
    let mut runner = runner(doors());
    runner.grant(s(100), NFT, &by_device(client(1)));
    effects(&mut runner);
    runner.element_done(s(100), LeaseId(1));
    effects(&mut runner);
    runner.element_lost(s(101), LeaseId(1), crate::Loss::Restore);
    assert_eq!(shorten(&mut runner, s(102), 5), ["log shortened 5", "put 1 Open till 107"]);
    runner.reassert(s(103), |_| true);
    assert_eq!(effects(&mut runner), ["set 1 192.0.2.1 for 4"]);
}
