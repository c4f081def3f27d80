use std::net::IpAddr;

use aldaba_gate::spa::KnockId;

use super::*;
use crate::control::{About, Datagrams, DoorEvent, Knock, Lease, LeaseState, What};

const ID: KnockId = KnockId([0xc4, 0x2d, 0x7f, 0xb4, 0x23, 0xfb, 0x88, 0x65]);

fn client() -> IpAddr {
    [192, 0, 2, 7].into()
}

fn why(about: About) -> Why {
    let datagrams = Datagrams { port: 42731, arrived: 0, foreign: 0, foreign_ago_ms: None, guard_left_ms: 0 };
    Why {
        about,
        knocks: Vec::new(),
        doors: Vec::new(),
        leases: Vec::new(),
        datagrams: Some(datagrams),
        steps_told: false,
        complete: true,
    }
}

fn knock(what: What) -> Knock {
    let device = Some("alice/laptop".to_owned());
    Knock { ago_ms: 3200, from: client(), id: Some(ID), device, again: 0, what }
}

fn event(ago_ms: u64, event: &str, fields: &str) -> DoorEvent {
    let (event, fields) = (event.to_owned(), fields.to_owned());
    DoorEvent { ago_ms, door: "ssh".to_owned(), address: client(), event, fields }
}

fn refused(reason: &str, clock_us: Option<i64>) -> Knock {
    knock(What::Refused { why: reason.to_owned(), clock_us, used: false })
}

fn admitted() -> Knock {
    knock(What::Admitted { door: "ssh".to_owned(), close: false, address: client(), clock_us: -20_000 })
}

#[test]
fn an_open_door_is_told_from_knock_to_now() {
    let lease = Lease {
        door: "ssh".to_owned(),
        address: client(),
        device: Some("alice/laptop".to_owned()),
        uid: None,
        state: LeaseState::Open,
        left_ms: 12_400,
    };
    let why = Why {
        knocks: vec![admitted()],
        doors: vec![event(3200, "opened", "lease=30s")],
        leases: vec![lease],
        ..why(About::Id(ID))
    };
    let expected = "\
knock c42d7fb423fb8865:
        3 s ago  knock c42d7fb423fb8865 of alice/laptop from 192.0.2.7: accepted, open ssh for 192.0.2.7 (its clock is 0.02s behind)
        3 s ago  door ssh: opened for 192.0.2.7, 30s
            now  door ssh: still open for 12 s, 192.0.2.7, held by alice/laptop
next: the door is open: connect.";
    assert!(told(&why).starts_with(expected), "{}", told(&why));
}

#[test]
fn a_wrong_clock_is_told_by_how_much() {
    let why = Why { knocks: vec![refused("clock", Some(-14_400_000_000))], ..why(About::Address(client())) };
    let said = told(&why);
    assert!(said.contains("refused (clock), the device's clock is 4 h behind this server's\n"), "{said}");
    assert!(said.contains("next: set the device's clock"), "{said}");
    assert!(said.contains("the device is not locked out"), "{said}");
}

#[test]
fn a_closed_door_and_one_that_stays_open_have_their_own_next_step() {
    let doors = vec![event(3200, "opened", "lease=2s"), event(1200, "closed", "why=expired")];
    let closed = Why { knocks: vec![admitted()], doors, ..why(About::Id(ID)) };
    assert!(told(&closed).contains("1 s ago  door ssh: closed for 192.0.2.7 (expired)"));
    assert!(told(&closed).contains("next: the door is closed: knock again"));
    let lease = Lease {
        door: "ssh".to_owned(),
        address: client(),
        device: None,
        uid: None,
        state: LeaseState::CannotClose,
        left_ms: 0,
    };
    let stuck = Why { leases: vec![lease], ..closed };
    assert!(told(&stuck).contains("COULD NOT BE CLOSED"));
    assert!(told(&stuck).contains("next: close that door by hand now"));
}

#[test]
fn of_the_unheard_the_counters_tell_where_to_look() {
    let said = told(&why(About::Id(ID)));
    assert!(said.contains("nothing with this id has arrived"), "{said}");
    assert!(said.contains("No datagram has come to UDP port 42731"), "{said}");
    let counted = |about, foreign_ago_ms| {
        let datagrams = Datagrams { port: 42731, arrived: 5, foreign: 2, foreign_ago_ms, guard_left_ms: 0 };
        told(&Why { datagrams: Some(datagrams), ..why(about) })
    };
    let said = counted(About::Id(ID), Some(61_000));
    assert!(said.contains("2 of 5 datagrams") && said.contains("1 min 1 s ago"), "{said}");
    let said = counted(About::Address(client()), Some(2000));
    assert!(said.contains("2 s ago a datagram came from this address"), "{said}");
    let none = told(&Why { datagrams: None, ..why(About::Id(ID)) });
    assert!(none.contains("has no [spa]"), "{none}");
}

#[test]
fn every_refusal_has_its_words_and_a_next_step() {
    // Of a datagram of another length or without the gate's tag nobody knows a name.
    let named = |reason: &&str| !["length", "tag"].contains(reason);
    for reason in aldaba_gate::spa::Refusal::NAMES.into_iter().filter(named) {
        let said = told(&Why { knocks: vec![refused(reason, None)], ..why(About::Id(ID)) });
        assert!(
            !said.contains("see spec/spa.md") && !said.contains("next: look at the daemon's log."),
            "{said}"
        );
        assert_eq!(said.lines().count(), 3, "{said}");
    }
}

#[test]
fn the_guard_says_how_long_still() {
    let said = |guard_left_ms| {
        let datagrams = Datagrams { port: 1, arrived: 1, foreign: 0, foreign_ago_ms: None, guard_left_ms };
        told(&Why { knocks: vec![refused("guard", None)], datagrams: Some(datagrams), ..why(About::Id(ID)) })
    };
    assert!(said(42_000).contains("next: wait 42 s and knock again"), "{}", said(42_000));
    assert!(said(600_000).contains("next: wait 10 min and knock again"), "{}", said(600_000));
    // Nobody is to wait for years because of a clock that was wrong once.
    let ahead = said(31_536_000_000);
    assert!(ahead.contains("clock was far ahead") && ahead.contains("for 365 d. Set the clock"), "{ahead}");
    assert!(ahead.contains("move replay.redb out of its state folder"), "{ahead}");
}

#[test]
fn the_next_step_names_device_and_address() {
    let said = told(&Why { knocks: vec![refused("forged", None)], ..why(About::Id(ID)) });
    assert!(said.contains("(aldabad user bundle alice/laptop)"), "{said}");
    let said = told(&why(About::Address(client())));
    assert!(said.contains("tcpdump -ni any host 192.0.2.7, and"), "{said}");
    let said =
        told(&Why { doors: vec![event(0, "element-failed", "part=start")], ..why(About::Address(client())) });
    assert!(said.contains("next: nft list sets: the door's set"), "{said}");
}

#[test]
fn what_came_again_and_what_is_missing_is_said() {
    let again = Knock { again: 2, ..knock(What::Hello { clock_us: 1_500_000 }) };
    let why = Why { knocks: vec![again], complete: false, ..why(About::Id(ID)) };
    let said = told(&why);
    assert!(said.contains("(its clock is 1.50s ahead); the same datagram came 2 more times"), "{said}");
    assert!(said.contains("refusals may be missing"), "{said}");
    let right = knock(What::Hello { clock_us: -4000 });
    let said = told(&Why { knocks: vec![right], ..self::why(About::Id(ID)) });
    assert!(said.contains("key, clock and path are right (its clock is right)"), "{said}");
}

#[test]
fn no_name_moves_the_terminals_cursor() {
    let hostile = Knock { device: Some("a\x1b[2J\nb".to_owned()), ..refused("door", None) };
    let said = told(&Why { knocks: vec![hostile], ..why(About::Id(ID)) });
    assert!(said.contains("a\\u{1b}[2J\\nb"), "{said}");
}

#[test]
fn times_are_said_in_two_units() {
    for (millis, said) in [
        (0, "0 ms"),
        (999, "999 ms"),
        (1000, "1 s"),
        (61_000, "1 min 1 s"),
        (14_400_000, "4 h"),
        (90_061_000, "1 d 1 h"),
    ] {
        assert_eq!(span(millis), said);
    }
}
