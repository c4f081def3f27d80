use aldaba_config::{Disk, Kind, Options, load};
use aldaba_runner::{Ask, DoorId, Effect, JobId, Outcome};

use super::*;

const CONFIG: &str = r#"
[[door]]
name = "web"
sequence = "7000,8000"
lease = "30s"
start = ["/bin/true"]
stop = ["/bin/true"]
"#;

const ADDRESS: [u8; 4] = [192, 0, 2, 1];
/// When the client knocks, and when its door is to be closed.
const START: Duration = Duration::from_secs(100);
const DEADLINE: Duration = Duration::from_secs(130);

#[test]
fn r1_a_door_that_closes_late_is_told_of() {
    let stopping = |tries| State::Stopping { job: JobId(1), tries };
    assert_eq!(closes_late(stopping(0), LATE), Some("its stop command has not ended"));
    assert_eq!(closes_late(State::Due { tries: 2 }, LATE), Some("its stop command waits for its turn"));
    let early = LATE.saturating_sub(Duration::from_millis(1));
    for (state, late) in [(stopping(0), early), (State::Open, LATE), (stopping(9), LATE)] {
        assert_eq!(closes_late(state, late), None, "{state:?} after {late:?}");
    }
}

/// A runner with one lease whose start command has ended; its stop command is the second one.
fn opened() -> Runner {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("aldaba.toml");
    std::fs::write(&path, CONFIG).unwrap();
    let loaded =
        load(Kind::Toml, &path, &mut Disk, &Options::default()).unwrap_or_else(|_| panic!("a policy"));
    let mut runner = Runner::new(loaded.policy.catalogue);
    runner.grant(START, DoorId(0), &Ask::by_sequence(ADDRESS.into()));
    began(&mut runner);
    runner.command_finished(START, JobId(1), Outcome::Exited(0));
    began(&mut runner);
    runner
}

/// Does what is to be done; the commands that began.
fn began(runner: &mut Runner) -> Vec<JobId> {
    let mut jobs = Vec::new();
    while let Some(effect) = runner.poll_effect() {
        if let Effect::Spawn { job, .. } = effect {
            jobs.push(job);
        }
    }
    jobs
}

/// What is told, in its order: what, whether it is grave, for how long, why.
fn told(runner: &Runner, now: Duration, started: Duration) -> Vec<(String, bool, Option<u64>, String)> {
    let all = doors_that_do_not_close(runner, now, started).into_iter();
    all.map(|one| {
        assert_eq!((one.door.as_deref(), one.address), (Some("web"), Some(ADDRESS.into())));
        (one.what, one.grave, one.for_ms, one.error)
    })
    .collect()
}

#[test]
fn r1_a_stop_command_that_hangs_is_told_of_from_its_deadline_on_or_from_the_start() {
    let mut runner = opened();
    runner.handle_timeout(DEADLINE);
    assert_eq!(began(&mut runner), [JobId(2)]);
    let late = |for_ms| {
        let why = "its stop command has not ended".to_owned();
        ("closes-late".to_owned(), true, Some(for_ms), why)
    };
    assert_eq!(told(&runner, DEADLINE + LATE / 2, START), []);
    assert_eq!(told(&runner, DEADLINE + LATE, START), [late(30_000)]);
    assert_eq!(told(&runner, DEADLINE + LATE * 2, START), [late(60_000)]);
    // Of an earlier daemon's leases this one can have closed none before it was there.
    let started = DEADLINE + LATE * 2;
    assert_eq!(told(&runner, started + LATE / 2, started), []);
    assert_eq!(told(&runner, started + LATE, started), [late(30_000)]);
}

#[test]
fn r1_what_failed_is_told_by_how_often_and_what_is_late_only_once() {
    let mut runner = opened();
    let (mut now, mut kinds) = (DEADLINE, Vec::new());
    for _ in 0..6 {
        runner.handle_timeout(now);
        let jobs = began(&mut runner);
        assert_eq!(jobs.len(), 1, "it is run again");
        runner.command_finished(now, jobs[0], Outcome::Exited(1));
        began(&mut runner);
        kinds.extend(told(&runner, now + LATE, START).into_iter().map(|(what, ..)| what));
        now += Duration::from_secs(60);
    }
    let failed = ["close-failed"; 5].into_iter();
    assert_eq!(kinds, failed.chain(["cannot-close"]).collect::<Vec<_>>());
    // It runs once more, and hangs.
    runner.handle_timeout(now);
    began(&mut runner);
    let of_late = told(&runner, now + LATE * 10, START);
    assert_eq!(of_late.iter().map(|(what, ..)| &**what).collect::<Vec<_>>(), ["cannot-close"]);
}
