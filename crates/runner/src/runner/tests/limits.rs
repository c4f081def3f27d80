//! What happens when it is full.

use super::*;
use crate::Reason;
use crate::places::HOLD;

const A: DoorId = DoorId(0);
const B: DoorId = DoorId(1);
const C: DoorId = DoorId(2);

fn named(name: &str) -> Door {
    Door { name: name.to_owned(), ..knockd("open %IP%", Some("close %IP%"), 10) }
}

fn small() -> Runner {
    let limits =
        Limits { running: 4, running_per_door: 2, waiting: 4, leases_per_source: 64, ..Limits::default() };
    Runner::new(Catalogue { doors: vec![named("a"), named("b"), named("c")], limits })
}

fn flood(runner: &mut Runner, door: DoorId, clients: std::ops::Range<u8>) -> Vec<Granted> {
    clients.map(|last| runner.grant(s(0), door, &Ask::by_sequence(client(last)))).collect()
}

#[test]
fn commands_run_up_to_the_limits_and_the_others_wait() {
    let mut runner = small();
    flood(&mut runner, A, 0..5);
    assert_eq!((runner.running(), runner.waiting()), (2, 3));
    flood(&mut runner, B, 5..8);
    assert_eq!((runner.running(), runner.waiting()), (4, 4));
    assert_eq!(commands(&mut runner).len(), 4);
    // A place that comes free goes to the next in line.
    runner.command_finished(s(1), JobId(1), Outcome::Exited(0));
    assert_eq!((runner.running(), runner.waiting()), (4, 3));
}

#[test]
fn a_flood_at_one_door_leaves_places_in_line_to_the_others() {
    let mut runner = small();
    let granted = flood(&mut runner, A, 0..20);
    let refused = granted.iter().filter(|g| **g == Granted::Refused(Reason::QueueFull)).count();
    assert_eq!((runner.running(), runner.waiting(), refused), (2, 4, 14));
    // Doors b and c run at once.
    flood(&mut runner, B, 20..22);
    assert_eq!(runner.running(), 4);
    effects(&mut runner);
    // And wait in the place of a's last.
    assert!(matches!(runner.grant(s(0), C, &Ask::by_sequence(client(30))), Granted::Opening(_)));
    assert_eq!(effects(&mut runner), ["log refused Displaced"]);
    assert_eq!(runner.waiting(), 4);
    // Served in turn: c before the rest of a.
    runner.command_finished(s(1), JobId(3), Outcome::Exited(0));
    assert_eq!(commands(&mut runner), ["run 5: open 192.0.2.30"]);
}

#[test]
fn hanging_starts_do_not_delay_a_stop() {
    let mut runner = small();
    runner.grant(s(0), A, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(0), 1, 0);
    flood(&mut runner, A, 2..9);
    flood(&mut runner, B, 10..20);
    assert_eq!(runner.running(), 4);
    effects(&mut runner);
    runner.handle_timeout(s(10));
    assert_eq!(commands(&mut runner), ["run 6: close 192.0.2.1"]);
}

#[test]
fn a_stop_that_is_due_goes_before_starts_that_wait() {
    let mut runner = small();
    for (job, door, last) in [(1, A, 1), (2, A, 2), (3, B, 3)] {
        runner.grant(s(0), door, &Ask::by_sequence(client(last)));
        runner.command_finished(s(0), JobId(job), Outcome::Exited(0));
    }
    flood(&mut runner, C, 20..23);
    flood(&mut runner, B, 30..32);
    assert_eq!((runner.running(), runner.waiting()), (4, 1));
    effects(&mut runner);
    runner.handle_timeout(s(10));
    assert_eq!(commands(&mut runner), ["run 8: close 192.0.2.1", "run 9: close 192.0.2.3"]);
    assert_eq!((runner.stops_waiting(), runner.waiting()), (1, 1));
    for job in [4, 5] {
        runner.command_finished(s(10), JobId(job), Outcome::Exited(0));
    }
    assert_eq!(commands(&mut runner), Vec::<String>::new());
    // One place for a stop command and a start command that wait for it.
    runner.command_finished(s(10), JobId(6), Outcome::Exited(0));
    assert_eq!(commands(&mut runner), ["run 10: close 192.0.2.2"]);
}

/// One command at a time: `first` runs its stop command, `second` waits to be closed, `third` to be opened.
fn crowded() -> Runner {
    let native = |name: &str| Door { name: name.to_owned(), ..native() };
    let doors = vec![native("first"), native("second"), native("third")];
    let limits = Limits { running: 1, running_per_door: 1, waiting: 1, ..Limits::default() };
    let mut runner = Runner::new(Catalogue { doors, limits });
    for (job, door) in [(1, A), (2, B)] {
        runner.grant(s(0), door, &Ask::by_sequence(client(1)));
        runner.command_finished(s(0), JobId(job), Outcome::Exited(0));
    }
    runner.handle_timeout(s(30));
    runner.grant(s(30), C, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    assert_eq!((runner.running(), runner.stops_waiting(), runner.waiting()), (1, 1, 1));
    runner
}

#[test]
fn a_lease_that_waits_to_be_closed_is_called_back_by_a_knock() {
    let mut runner = crowded();
    assert_eq!(runner.grant(s(30), B, &Ask::by_sequence(client(1))), Granted::Renewed(LeaseId(2)));
    assert_eq!(effects(&mut runner), ["put 2 Open till 60", "log renewed 30"]);
    assert_eq!((state(&runner, 2), runner.stops_waiting()), (Some(State::Open), 0));
    // Somebody waits to be opened.
    assert_eq!(runner.poll_timeout(), Some(s(30) + HOLD));
}

#[test]
fn opening_anew_takes_nobody_s_place_in_line() {
    let mut runner = crowded();
    assert_eq!(runner.grant(s(31), A, &Ask::by_sequence(client(1))), Granted::Renewed(LeaseId(1)));
    let after = ended(&mut runner, s(31), 3, 0);
    assert!(after.contains(&"run 4: close 192.0.2.1".to_owned()), "{after:?}");
    assert_eq!(after.last().unwrap(), "log refused QueueFull");
    assert_eq!(runner.waiting(), 1);
}

#[test]
fn a_failed_opening_that_waits_to_be_undone_is_opened_anew() {
    let native = |name: &str| Door { name: name.to_owned(), ..native() };
    let limits = Limits { running: 1, running_per_door: 1, ..Limits::default() };
    let mut runner = Runner::new(Catalogue { doors: vec![native("first"), native("second")], limits });
    runner.grant(s(0), A, &Ask::by_sequence(client(1)));
    effects(&mut runner);
    ended(&mut runner, s(0), 1, 0);
    runner.grant(s(25), B, &Ask::by_sequence(client(1)));
    runner.handle_timeout(s(30));
    effects(&mut runner);
    ended(&mut runner, s(30), 2, 1);
    assert_eq!(state(&runner, 2), Some(State::Due { tries: 0 }));
    // Called back it would be open with nothing behind it.
    assert_eq!(runner.grant(s(30), B, &Ask::by_sequence(client(1))), Granted::Renewed(LeaseId(2)));
    assert_eq!(state(&runner, 2), Some(State::Due { tries: 0 }));
    assert_eq!(ended(&mut runner, s(33), 3, 0).last().unwrap(), "run 4: close 192.0.2.1");
    assert_eq!(ended(&mut runner, s(33), 4, 0).last().unwrap(), "run 5: open 192.0.2.1 30");
}

#[test]
fn leases_of_a_source_and_of_a_door_are_counted() {
    let limits = Limits { leases_per_source: 2, leases_per_door: 3, ..Limits::default() };
    let mut runner = Runner::new(Catalogue { doors: vec![named("a"), named("b"), element()], limits });
    flood(&mut runner, A, 1..2);
    flood(&mut runner, B, 1..2);
    let refused = Granted::Refused(Reason::TooManyOfSource);
    assert_eq!(runner.grant(s(0), A, &Ask::by_sequence(client(1))), refused);
    assert_eq!(runner.grant(s(0), NFT, &Ask::by_sequence(client(1))), refused);
    flood(&mut runner, A, 2..4);
    let refused = Granted::Refused(Reason::TooManyOfDoor);
    assert_eq!(runner.grant(s(0), A, &Ask::by_sequence(client(9))), refused);
    assert_eq!(runner.counters().refused[&Reason::TooManyOfSource], 2);
}

/// Each of these starts has ended well: nothing waits, and all leases are open.
fn opened(runner: &mut Runner, door: DoorId, times: usize) -> usize {
    let mut opened = 0;
    for _ in 0..times {
        opened += usize::from(matches!(
            runner.grant(s(0), door, &Ask::by_sequence(client(1))),
            Granted::Opening(_)
        ));
        let jobs: Vec<JobId> =
            std::iter::from_fn(|| runner.poll_effect()).filter_map(|it| job(&it)).collect();
        for job in jobs {
            runner.command_finished(s(0), job, Outcome::Exited(0));
        }
    }
    opened
}

const fn job(effect: &Effect) -> Option<JobId> {
    match effect {
        Effect::Spawn { job, .. } => Some(*job),
        _ => None,
    }
}

#[test]
fn who_forges_a_source_at_one_door_shuts_it_out_of_no_other() {
    let doors = vec![named("a"), named("b"), element(), native()];
    let mut runner = Runner::new(Catalogue { doors, limits: Limits::default() });
    assert_eq!(opened(&mut runner, A, 100), 64);
    let refused = Granted::Refused(Reason::TooManyOfPair);
    assert_eq!(runner.grant(s(0), A, &Ask::by_sequence(client(1))), refused);
    assert_eq!(effects(&mut runner), ["log refused TooManyOfPair"]);
    // Other doors, and other sources at this one.
    for (door, source) in [(B, 1), (NFT, 1), (DoorId(3), 1), (A, 2)] {
        let granted = runner.grant(s(0), door, &Ask::by_sequence(client(source)));
        assert!(matches!(granted, Granted::Opening(_)), "{door:?}: {granted:?}");
    }
}

#[test]
fn no_limit_on_a_source_stops_the_administrator_but_that_of_the_door() {
    let limits = Limits { leases_per_source: 8, leases_per_door: 4, ..Limits::default() };
    let doors = vec![named("a"), named("b"), named("c"), named("d"), native()];
    let mut runner = Runner::new(Catalogue { doors, limits });
    let full: Vec<usize> = (0..4).map(|door| opened(&mut runner, DoorId(door), 3)).collect();
    assert_eq!(full, [2, 2, 2, 2]);
    let (native, by_hand) = (DoorId(4), Ask::by_hand(client(1), None));
    let refused = Granted::Refused(Reason::TooManyOfSource);
    assert_eq!(runner.grant(s(0), native, &Ask::by_sequence(client(1))), refused);
    for door in [native, A, A] {
        assert!(matches!(runner.grant(s(0), door, &by_hand), Granted::Opening(_)), "{door:?}");
    }
    assert_eq!(runner.grant(s(0), A, &by_hand), Granted::Refused(Reason::TooManyOfDoor));
}

#[test]
fn what_opens_anew_has_the_place_of_what_has_ended() {
    let limits = Limits { leases_per_source: 1, ..Limits::default() };
    let longer = Door { lease: s(60), ..named("b") };
    let mut runner = Runner::new(Catalogue { doors: vec![native(), longer], limits });
    assert_eq!(opened(&mut runner, A, 1), 1);
    assert!(matches!(runner.grant(s(0), B, &Ask::by_hand(client(1), None)), Granted::Opening(_)));
    effects(&mut runner);
    ended(&mut runner, s(0), 2, 0);
    assert_eq!(timeout(&mut runner, s(30)).last().unwrap(), "run 3: close 192.0.2.1");
    assert_eq!(runner.grant(s(30), A, &Ask::by_sequence(client(1))), Granted::Renewed(LeaseId(1)));
    assert_eq!(ended(&mut runner, s(30), 3, 0).last().unwrap(), "run 4: open 192.0.2.1 30");
}

proptest::proptest! {
    /// Whatever is asked for, no door has more of a source than its share, nor the source more than its limit.
    #[test]
    fn a_source_has_its_share_of_each_door(
        per_source in 1..40_usize,
        asks in proptest::collection::vec(0..4_u32, 0..200),
    ) {
        let limits = Limits { running: 400, running_per_door: 400, leases_per_source: per_source, ..Limits::default() };
        let doors = ["a", "b", "c", "d"].map(named).to_vec();
        let mut runner = Runner::new(Catalogue { doors, limits });
        let mut counts = [0; 4];
        for door in asks.iter().map(|door| usize::try_from(*door).unwrap()) {
            let ask = Ask::by_sequence(client(1));
            let granted = runner.grant(s(0), DoorId(u32::try_from(door).unwrap()), &ask);
            let room = counts.iter().sum::<usize>() < per_source && counts[door] < per_source.div_ceil(4);
            proptest::prop_assert_eq!(matches!(granted, Granted::Opening(_)), room);
            counts[door] += usize::from(room);
        }
    }
}

#[test]
fn a_lease_that_ended_counts_no_more() {
    let limits = Limits { leases_per_source: 1, leases_per_door: 1, ..Limits::default() };
    let mut runner = Runner::new(Catalogue { doors: vec![named("a")], limits });
    for round in 0..100 {
        let now = s(round * 20);
        assert!(matches!(runner.grant(now, A, &Ask::by_sequence(client(1))), Granted::Opening(_)));
        runner.command_finished(now, JobId(round * 2 + 1), Outcome::Exited(0));
        runner.handle_timeout(now + s(10));
        runner.command_finished(now + s(10), JobId(round * 2 + 2), Outcome::Exited(0));
        effects(&mut runner);
    }
}

#[test]
fn a_start_that_waits_is_refused_when_its_door_goes() {
    let mut runner = small();
    flood(&mut runner, A, 0..3);
    effects(&mut runner);
    runner.reload(s(1), Catalogue { doors: vec![named("b")], limits: Limits::default() });
    assert_eq!(effects(&mut runner), ["log refused NoSuchDoor"]);
    assert_eq!(runner.waiting(), 0);
}

#[test]
fn a_close_takes_a_waiting_start_out_of_the_line() {
    let mut runner = small();
    flood(&mut runner, A, 0..3);
    effects(&mut runner);
    runner.close(s(1), A, client(2));
    assert_eq!(effects(&mut runner), ["log closed Withdrawn"]);
    assert_eq!(runner.waiting(), 0);
}

/// Lines of knockd.conf have no time limit.
#[test]
fn r1_stop_commands_that_hang_keep_no_other_door_open_and_none_shut() {
    let names: Vec<String> = (0..60).map(|door| format!("slow{door}")).collect();
    let slow = names.iter().map(|name| named(name));
    let doors: Vec<Door> = slow.chain([named("good"), named("other")]).collect();
    let mut runner = runner(doors);
    let opened = |runner: &mut Runner, door, last| {
        runner.grant(s(0), DoorId(door), &Ask::by_sequence(client(last)));
        let opened = commands(runner);
        let job = opened[0].strip_prefix("run ").and_then(|run| run.split(':').next()).unwrap().parse();
        runner.command_finished(s(0), JobId(job.unwrap()), Outcome::Exited(0));
    };
    for (door, last) in (0..60).flat_map(|door| (0..4).map(move |last| (door, last))) {
        opened(&mut runner, door, last);
    }
    opened(&mut runner, 60, 200);
    effects(&mut runner);
    // 241 are due at once, and 240 of them hang: a second for each sixteen doors, and none of them is the good one's.
    let (mut now, mut closes) = (s(10), false);
    while !closes {
        runner.handle_timeout(now);
        closes = commands(&mut runner).iter().any(|line| line.ends_with("close 192.0.2.200"));
        let next = runner.poll_timeout().expect("somebody waits");
        assert!(next > now && next <= s(14), "{now:?}, {next:?}");
        now = next;
    }
    for _ in 0..20 {
        runner.handle_timeout(runner.poll_timeout().unwrap_or(s(20)));
    }
    // All but a few of 256, so that there is room for others.
    assert_eq!((runner.running(), runner.stops_waiting()), (225, 16));
    effects(&mut runner);
    // And a door opens.
    runner.grant(s(60), DoorId(61), &Ask::by_sequence(client(201)));
    assert_eq!(commands(&mut runner), ["run 467: open 192.0.2.201"]);
}
