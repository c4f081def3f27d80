//! nftables doors: the kernel closes.

use super::*;
use crate::{Loss, Reason};

fn open(runner: &mut Runner, now: Duration) {
    runner.grant(now, NFT, &Ask::by_sequence(client(1)));
    effects(runner);
    runner.element_done(now, LeaseId(1));
    effects(runner);
}

#[test]
fn the_element_comes_first_and_the_journal_follows() {
    let mut runner = runner(doors());
    runner.grant(s(100), NFT, &Ask { wanted: Some(s(20)), ..Ask::by_sequence(client(1)) });
    assert_eq!(effects(&mut runner), ["set 1 192.0.2.1 for 20"]);
    runner.element_done(s(100), LeaseId(1));
    assert_eq!(effects(&mut runner), ["put 1 Open till 120", "log opened 20"]);
    // To the kernel less time may have passed: the machine may have slept.
    assert_eq!(timeout(&mut runner, s(120)), ["delete 1 192.0.2.1"]);
    runner.element_done(s(120), LeaseId(1));
    assert_eq!(effects(&mut runner), ["remove 1", "log closed Expired"]);
    assert_eq!(runner.leases().count(), 0);
}

#[test]
fn a_removal_that_fails_at_the_deadline_is_tried_for_half_a_minute() {
    let mut runner = runner(doors());
    open(&mut runner, s(100));
    let mut now = s(130);
    for (tries, after) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16)] {
        assert_eq!(timeout(&mut runner, now), ["delete 1 192.0.2.1"]);
        runner.element_failed(now, LeaseId(1), "busy");
        assert!(effects(&mut runner).contains(&format!("log retry {tries} after {after}")));
        now += s(after);
        assert_eq!(runner.poll_timeout(), Some(now));
    }
    assert_eq!(timeout(&mut runner, now), ["delete 1 192.0.2.1"]);
    runner.element_failed(now, LeaseId(1), "busy");
    let said = effects(&mut runner);
    assert_eq!(
        said,
        ["log element failed Stop busy", "remove 1", "log closed Expired"],
        "it is the kernel's"
    );
}

#[test]
fn what_can_share_a_transaction_does() {
    let mut runner = runner(doors());
    for number in [1, 2, 3] {
        runner.grant(s(100), NFT, &Ask::by_sequence(client(number)));
    }
    let sets = ["set 1 192.0.2.1 for 30", "+ set 2 192.0.2.2 for 30", "+ set 3 192.0.2.3 for 30"];
    assert_eq!(effects(&mut runner), sets);
    runner.element_done(s(100), LeaseId(1));
    runner.element_failed(s(100), LeaseId(2), "full");
    runner.element_done(s(100), LeaseId(3));
    assert_eq!(
        effects(&mut runner),
        [
            "put 1 Open till 130",
            "+ remove 2",
            "+ put 3 Open till 130",
            "log opened 30",
            "log element failed Start full",
            "log opened 30"
        ]
    );
    // Of one lease one change at a time.
    runner.grant(s(110), NFT, &Ask::by_sequence(client(1)));
    runner.grant(s(111), NFT, &Ask::by_sequence(client(1)));
    assert_eq!(effects(&mut runner), ["set 1 192.0.2.1 for 30", "set 1 192.0.2.1 for 30"]);
}

#[test]
fn a_timeout_is_never_zero() {
    let mut runner = runner(doors());
    runner.grant(s(100), NFT, &Ask { wanted: Some(Duration::ZERO), ..Ask::by_sequence(client(1)) });
    assert_eq!(effects(&mut runner), ["set 1 192.0.2.1 for 1"]);
}

#[test]
fn a_further_knock_sets_a_longer_timeout() {
    let mut runner = runner(doors());
    open(&mut runner, s(100));
    assert_eq!(runner.grant(s(110), NFT, &Ask::by_sequence(client(1))), Granted::Renewed(LeaseId(1)));
    assert_eq!(effects(&mut runner), ["set 1 192.0.2.1 for 30"]);
    runner.element_done(s(110), LeaseId(1));
    assert_eq!(effects(&mut runner), ["put 1 Open till 140", "log renewed 30"]);
    assert_eq!(runner.poll_timeout(), Some(s(140)));
}

#[test]
fn an_opening_the_kernel_refuses_fails_loudly_and_leaves_nothing() {
    let mut runner = runner(doors());
    runner.grant(s(100), NFT, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    runner.element_failed(s(100), LeaseId(1), "no such set");
    assert_eq!(effects(&mut runner), ["log element failed Start no such set", "remove 1"]);
    assert_eq!(runner.counters().refused[&Reason::ElementFailed], 1);
    assert_eq!(runner.leases().count(), 0);
}

#[test]
fn a_renewal_the_kernel_refuses_leaves_the_old_deadline() {
    let mut runner = runner(doors());
    open(&mut runner, s(100));
    runner.grant(s(110), NFT, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    // The old deadline passes while the answer is awaited.
    assert_eq!(timeout(&mut runner, s(131)), Vec::<String>::new());
    runner.element_failed(s(131), LeaseId(1), "busy");
    effects(&mut runner);
    assert_eq!(timeout(&mut runner, s(131)), ["delete 1 192.0.2.1"]);
}

#[test]
fn closing_takes_the_element_out() {
    let mut runner = runner(doors());
    open(&mut runner, s(100));
    assert_eq!(runner.close(s(101), NFT, client(1)), 1);
    assert_eq!(effects(&mut runner), ["delete 1 192.0.2.1"]);
    runner.element_failed(s(101), LeaseId(1), "busy");
    assert_eq!(effects(&mut runner), ["log element failed Stop busy", "log retry 1 after 1"]);
    assert_eq!(timeout(&mut runner, s(102)), ["delete 1 192.0.2.1"]);
    runner.element_done(s(102), LeaseId(1));
    assert_eq!(effects(&mut runner), ["remove 1", "log closed Asked"]);
}

#[test]
fn a_close_before_the_answer_waits_for_it() {
    let mut runner = runner(doors());
    runner.grant(s(100), NFT, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    runner.close(s(100), NFT, client(1));
    assert_eq!(effects(&mut runner), Vec::<String>::new());
    runner.element_done(s(100), LeaseId(1));
    assert_eq!(effects(&mut runner).last().unwrap(), "delete 1 192.0.2.1");
}

#[test]
fn a_family_without_a_set_is_refused() {
    let mut runner = runner(doors());
    let refused = Granted::Refused(Reason::NothingForFamily);
    assert_eq!(runner.grant(s(0), NFT, &Ask::by_sequence(v6_client())), refused);
}

#[test]
fn after_a_flush_each_comes_back_with_the_time_it_has_left() {
    let mut runner = runner(doors());
    open(&mut runner, s(100));
    runner.grant(s(100), SSH, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(100), 1, 0);
    for id in [1, 2] {
        runner.element_lost(s(112), LeaseId(id), Loss::Restore);
    }
    assert!(runner.lease(LeaseId(1)).unwrap().is_lost() && !runner.lease(LeaseId(2)).unwrap().is_lost());
    runner.reassert(s(112), |_| false);
    assert_eq!(effects(&mut runner), Vec::<String>::new(), "its set is not there yet");
    runner.reassert(s(113), |_| true);
    assert_eq!(effects(&mut runner), ["set 1 192.0.2.1 for 17"]);
    runner.element_failed(s(113), LeaseId(1), "busy");
    assert!(runner.lease(LeaseId(1)).unwrap().is_lost(), "and is asked for again");
    runner.reassert(s(115), |_| true);
    assert_eq!(effects(&mut runner), ["set 1 192.0.2.1 for 15"]);
    runner.element_done(s(115), LeaseId(1));
    assert_eq!(effects(&mut runner), Vec::<String>::new(), "nothing about the lease is new");
    assert!(!runner.lease(LeaseId(1)).unwrap().is_lost());
    assert_eq!(timeout(&mut runner, s(130))[0], "delete 1 192.0.2.1");
}

#[test]
fn ten_thousand_come_back_together() {
    let limits = Limits { leases_per_door: usize::MAX, ..Limits::default() };
    let mut runner = Runner::new(Catalogue { doors: doors(), limits });
    let leases: Vec<LeaseId> = (0..10_000_u32)
        .map(|number| {
            let ask = Ask::by_sequence(std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).into());
            let Granted::Opening(id) = runner.grant(s(100), NFT, &ask) else { panic!("{number} is refused") };
            runner.element_done(s(100), id);
            id
        })
        .collect();
    effects(&mut runner);
    for id in leases {
        runner.element_lost(s(101), id, Loss::Restore);
    }
    runner.reassert(s(101), |_| true);
    let Some(Effect::Elements(changes)) = runner.poll_effect() else { panic!("elements") };
    assert_eq!(changes.len(), 10_000);
    assert_eq!(runner.poll_effect(), None);
    for change in changes {
        runner.element_done(s(101), change.lease);
    }
    assert_eq!(runner.poll_effect(), None, "nothing about the leases is new");
    assert!(!runner.leases().any(Lease::is_lost));
}

#[test]
fn what_is_only_reported_or_was_taken_out_by_hand_is_over() {
    for (loss, why) in [(Loss::Report, "Flushed"), (Loss::Removed, "Removed")] {
        let mut runner = runner(doors());
        open(&mut runner, s(100));
        runner.element_lost(s(112), LeaseId(1), loss);
        assert_eq!(effects(&mut runner), ["remove 1".to_owned(), format!("log closed {why}")]);
        runner.reassert(s(112), |_| true);
        assert_eq!(effects(&mut runner), Vec::<String>::new());
        runner.grant(s(113), NFT, &Ask::by_sequence(client(1)));
        assert_eq!(effects(&mut runner), ["set 2 192.0.2.1 for 30"], "a further knock opens anew");
    }
}

#[test]
fn a_knock_brings_a_lost_element_back_for_longer() {
    let mut runner = runner(doors());
    open(&mut runner, s(100));
    runner.element_lost(s(110), LeaseId(1), Loss::Restore);
    runner.grant(s(112), NFT, &Ask::by_sequence(client(1)));
    assert_eq!(effects(&mut runner), ["set 1 192.0.2.1 for 30"]);
    runner.element_done(s(112), LeaseId(1));
    assert_eq!(effects(&mut runner), ["put 1 Open till 142", "log renewed 30"]);
    assert!(!runner.lease(LeaseId(1)).unwrap().is_lost());
}

fn renamed() -> Catalogue {
    let mut doors = doors();
    "nft2".clone_into(&mut doors[2].name);
    Catalogue { doors, limits: Limits { leases_per_door: 1, ..Limits::default() } }
}

#[test]
fn a_door_of_another_name_takes_the_lease_of_its_element() {
    let mut runner = runner(doors());
    let device = Owner([7; 32]);
    runner.grant(
        s(100),
        NFT,
        &Ask { wanted: Some(s(60)), owner: Some(device), ..Ask::by_sequence(client(1)) },
    );
    runner.element_done(s(100), LeaseId(1));
    runner.reload(s(101), renamed());
    effects(&mut runner);
    assert_eq!(runner.renewed_by(NFT, client(1)).and_then(Lease::owner), Some(device));
    assert_eq!(runner.grant(s(110), NFT, &Ask::by_sequence(client(1))), Granted::Renewed(LeaseId(1)));
    assert_eq!(effects(&mut runner), ["set 1 192.0.2.1 for 50"], "never shorter");
    runner.element_done(s(110), LeaseId(1));
    assert_eq!(effects(&mut runner), ["put 1 Open till 160"]);
    let lease = runner.lease(LeaseId(1)).unwrap();
    assert_eq!((&**lease.door(), lease.owner()), ("nft2", None), "as with every renewal");
    assert_eq!(runner.held_by(device), 0);
    // It counts as that door's, and a close knock there closes it.
    let full = Granted::Refused(Reason::TooManyOfDoor);
    assert_eq!(runner.grant(s(111), NFT, &Ask::by_sequence(client(2))), full);
    assert_eq!(runner.close(s(112), NFT, client(1)), 1);
    assert_eq!(effects(&mut runner).last().unwrap(), "delete 1 192.0.2.1");
}

#[test]
fn a_full_door_takes_no_lease_of_another() {
    let mut runner = runner(doors());
    for number in [1, 2] {
        runner.grant(s(100), NFT, &Ask::by_sequence(client(number)));
        runner.element_done(s(100), LeaseId(number.into()));
    }
    runner.reload(s(101), renamed());
    assert_eq!(runner.grant(s(110), NFT, &Ask::by_sequence(client(1))), Granted::Renewed(LeaseId(1)));
    let full = Granted::Refused(Reason::TooManyOfDoor);
    assert_eq!(runner.grant(s(110), NFT, &Ask::by_sequence(client(2))), full);
    assert_eq!(deadline(&runner, 2), Some(s(130)), "and that one goes on as it was");
}

#[test]
fn a_door_that_changed_and_changed_back_renews_what_it_opened() {
    let mut runner = runner(doors());
    open(&mut runner, s(100));
    let gone = Catalogue { doors: vec![native()], limits: Limits::default() };
    runner.reload(s(101), gone);
    runner.reload(s(102), Catalogue { doors: doors(), limits: Limits::default() });
    effects(&mut runner);
    assert_eq!(runner.grant(s(110), NFT, &Ask::by_sequence(client(1))), Granted::Renewed(LeaseId(1)));
    assert_eq!(effects(&mut runner), ["set 1 192.0.2.1 for 30"]);
}
