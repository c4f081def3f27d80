//! Clocks that step, stores that fail, devices that come back, floods from those who know the gate.

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn r4_a_client_200_seconds_off_is_told_apart_and_not_locked_out() {
    let mut world = world(|_| ());
    for seconds in [200, -200_i64] {
        let time = Timestamp(WALL.0.saturating_add_signed(seconds * 1_000_000));
        let bytes = world.seal(&alice(), open("ssh"), time);
        let refused = Refusal::Clock { offset: seconds * 1_000_000, used: false };
        assert_eq!(world.handle(HERE, &bytes), Err(refused));
    }
    assert!(world.knock(&alice(), open("ssh")).is_ok());
}

#[test]
fn r4_nothing_is_accepted_twice_when_the_clock_steps_back_or_forth() {
    let mut world = world(|_| ());
    let used = world.seal(&alice(), open("ssh"), WALL);
    assert!(world.handle(HERE, &used).is_ok());
    world.at.wall = WALL.after(HOUR);
    let later = world.seal(&alice(), open("ssh"), world.at.wall);
    assert!(world.handle(HERE, &later).is_ok(), "an hour forward: who has the time is served");
    // Back again, and with empty tag caches: a process that has just started.
    world.at.wall = WALL;
    let devices = world.server.served().registry.devices().to_vec();
    world.server = Server::new(served(devices), Duration::ZERO, [5; 16]);
    assert_eq!(world.handle(HERE, &used), Err(Refusal::Old));
    let offset = 3_600_000_000;
    assert_eq!(world.handle(HERE, &later), Err(Refusal::Clock { offset, used: false }));
    world.at.wall = WALL.after(HOUR);
    world.server.seen = Seen::new([5; 16]);
    assert_eq!(world.handle(HERE, &later), Err(Refusal::Replay));
    let fresh = world.seal(&alice(), open("ssh"), world.at.wall.after(Duration::from_secs(1)));
    assert!(world.handle(HERE, &fresh).is_ok());
}

#[test]
fn r4_the_guard_moves_with_a_clock_that_is_set_right() {
    let mut world = world(|_| ());
    let before = world.seal(&alice(), open("ssh"), WALL);
    assert!(world.handle(HERE, &before).is_ok());
    // The store is lost, and the machine comes up ten minutes behind.
    let devices = world.server.served().registry.devices().to_vec();
    world.server = Server::new(served(devices), Duration::ZERO, [5; 16]);
    world.store = Memory::default();
    world.at = Moment { now: Duration::from_secs(200), wall: WALL.before(Duration::from_secs(600)) };
    world.server.guard(Guard::raised(world.at, &Window::default()));
    world.at = Moment { now: Duration::from_secs(210), wall: WALL.after(Duration::from_secs(10)) };
    assert_eq!(world.handle(HERE, &before), Err(Refusal::Guard));
    assert!(!world.server.end_guard(world.at) && world.server.is_guarded());
    // A minute by a right clock, and everybody is in again.
    world.at = Moment { now: Duration::from_secs(261), wall: WALL.after(Duration::from_secs(61)) };
    assert_eq!(world.handle(HERE, &before), Err(Refusal::Repeated));
    assert!(world.knock(&alice(), open("ssh")).is_ok());
    world.at = Moment { now: Duration::from_secs(330), wall: WALL.after(Duration::from_secs(130)) };
    assert!(world.server.end_guard(world.at) && !world.server.is_guarded());
}

#[test]
fn a_closed_guard_lets_nobody_in() {
    let mut world = world(|_| ());
    world.server.guard(Guard::CLOSED);
    assert_eq!(world.knock(&alice(), open("ssh")), Err(Refusal::Guard));
    world.at.wall = WALL.after(Window::default().future);
    let ahead = world.seal(&alice(), open("ssh"), world.at.wall.after(Window::default().future));
    assert_eq!(world.handle(HERE, &ahead), Err(Refusal::Guard));
    assert!(world.store.records.is_empty(), "a refusal changes nothing");
}

#[test]
fn r3_what_a_failed_store_refused_stays_refused_when_it_works_again() {
    let mut world = world(|_| ());
    world.store.fails = true;
    let captured = world.seal(&alice(), open("ssh"), WALL);
    assert_eq!(world.handle(HERE, &captured), Err(Refusal::Store));
    world.store.fails = false;
    assert_eq!(world.handle(THERE, &captured), Err(Refusal::Repeated));
    assert!(world.knock(&alice(), open("ssh")).is_ok(), "and without a restart");
}

#[test]
fn a_device_that_comes_back_has_its_record() {
    let mut world = world(|_| ());
    let used = world.seal(&alice(), open("ssh"), WALL);
    assert!(world.handle(HERE, &used).is_ok());
    world.server.reconfigure(served(vec![device(&bob(), "bob")]), Duration::ZERO);
    // Enough other datagrams for the tag to be forgotten.
    world.server.seen = Seen::new([5; 16]);
    world.server.failed = Seen::new([5; 16]);
    assert_eq!(world.handle(HERE, &used), Err(Refusal::UnknownDevice));
    let both = vec![device(&alice(), "alice"), device(&bob(), "bob")];
    world.server.reconfigure(served(both), Duration::ZERO);
    world.server.failed = Seen::new([5; 16]);
    assert_eq!(world.handle(HERE, &used), Err(Refusal::Replay));
}

/// Somebody who knows the gate and the server's public key, and is no device.
fn junk(world: &mut World, number: u32) -> Vec<u8> {
    let psk = Psk::NONE;
    let request = Request { operation: Operation::Hello, time: Timestamp(number.into()) };
    let mut random = [0; 32];
    random[..4].copy_from_slice(&number.to_be_bytes());
    seal(&SecretKey::new(&[66; 32]), &psk, &world.lock, &request, 0, &random).expect("sealed").datagram
}

#[test]
fn an_insiders_flood_spends_the_budget_and_not_the_share_of_those_admitted_lately() {
    let mut world = world(|_| ());
    assert!(world.knock(&alice(), open("ssh")).is_ok());
    // The half that is everybody's, spent without making four thousand datagrams.
    while world.server.budgets[0].take(world.at.now, THERE) {}
    let made_up = junk(&mut world, 1);
    assert_eq!(world.handle(THERE, &made_up), Err(Refusal::Budget));
    let bobs = world.seal(&bob(), open("ssh"), WALL);
    assert_eq!(world.handle(THERE, &bobs), Err(Refusal::Budget), "from elsewhere even a device is shut out");
    assert!(world.handle(HERE, &bobs).is_ok(), "and it was not used up");
    // A reload in the flood changes nothing of that.
    let devices = world.server.served().registry.devices().to_vec();
    world.server.reconfigure(served(devices), world.at.now);
    let bytes = junk(&mut world, 2);
    let refused = world.server.handle_datagram(world.at, THERE, &bytes, &mut world.store);
    let refused = refused.expect_err("no budget");
    assert_eq!(
        (refused.refusal, refused.lock),
        (Refusal::Budget, Some(0)),
        "it is known whose users are shut out"
    );
    assert!(world.knock(&alice(), open("ssh")).is_ok());
}

#[test]
fn a_failure_behind_the_gate_costs_one_key_agreement_however_often_it_is_sent() {
    let mut world = world(|_| ());
    let revoked = junk(&mut world, 1);
    assert_eq!(world.handle(HERE, &revoked), Err(Refusal::UnknownDevice));
    for _ in 0..20_000 {
        assert_eq!(world.handle(THERE, &revoked), Err(Refusal::Repeated));
    }
    assert!(world.server.budgets[0].take(world.at.now, THERE));
}
