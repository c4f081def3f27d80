use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000;
const NOW: Timestamp = Timestamp(1_000 * SECOND);

fn at(micros: u64) -> Timestamp {
    Timestamp(micros)
}

#[test]
fn the_window_is_exact() {
    let (window, record) = (Window::default(), Record::default());
    for time in [NOW.0 - 60 * SECOND, NOW.0, NOW.0 + 60 * SECOND] {
        assert_eq!(record.check(&window, NOW, at(time)), Ok(()));
    }
    let early = Refusal::Clock { offset: -60_000_001, used: false };
    assert_eq!(record.check(&window, NOW, at(NOW.0 - 60 * SECOND - 1)), Err(early));
    let late = Refusal::Clock { offset: 60_000_001, used: false };
    assert_eq!(record.check(&window, NOW, at(NOW.0 + 60 * SECOND + 1)), Err(late));
}

#[test]
fn a_used_time_is_told_from_a_slow_clock() {
    let window = Window::default();
    let record = Record::default().accept(&window, NOW);
    let later = NOW.after(Duration::from_secs(600));
    let used = record.check(&window, later, at(NOW.0 - SECOND));
    assert_eq!(used, Err(Refusal::Clock { offset: -601_000_000, used: true }));
}

#[test]
fn requests_in_flight_together_all_get_in_and_older_ones_do_not() {
    let window = Window::default();
    let record = Record::default().accept(&window, NOW);
    assert_eq!(record.check(&window, NOW, NOW), Err(Refusal::Replay));
    assert_eq!(record.check(&window, NOW, at(NOW.0 - 400_000)), Ok(()));
    assert_eq!(record.check(&window, NOW, at(NOW.0 - 400_001)), Err(Refusal::Old));
}

#[test]
fn a_retry_kills_every_attempt_before_it() {
    let window = Window::default();
    // Each retry comes at least half a second after the one before.
    let record = Record::default().accept(&window, at(NOW.0 + 500_000));
    assert_eq!(record.check(&window, NOW, NOW), Err(Refusal::Old));
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A request this far from the last moment, in units that make times meet.
    Request(i8),
    Wait(u8),
    /// The process dies and reads its store again.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => any::<i8>().prop_map(Step::Request),
        2 => any::<u8>().prop_map(Step::Wait),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #[test]
    fn no_time_is_accepted_twice(steps in proptest::collection::vec(step(), 1..200)) {
        let window = Window { past: Duration::from_micros(60), future: Duration::from_micros(60), slack: Duration::from_micros(20) };
        let (mut now, mut record, mut accepted) = (1000, Record::default(), BTreeSet::new());
        for step in steps {
            match step {
                Step::Wait(micros) => now += u64::from(micros),
                Step::Restart => record = Record::decode(&record.encode()).expect("a record"),
                Step::Request(offset) => {
                    let time = at(now.saturating_add_signed(offset.into()));
                    if record.check(&window, at(now), time).is_ok() {
                        prop_assert!(accepted.insert(time), "{time:?} twice");
                        let next = record.accept(&window, time);
                        prop_assert!(next.floor >= record.floor);
                        prop_assert!(next.len <= RECENT);
                        prop_assert!(next.check(&window, at(now), time).is_err());
                        record = next;
                    }
                }
            }
        }
    }

    #[test]
    fn only_what_is_encoded_is_read(times in proptest::collection::vec(any::<u64>(), 0..20), cut in 0_usize..8) {
        let mut bytes: Vec<u8> = times.iter().flat_map(|time| time.to_be_bytes()).collect();
        bytes.truncate(bytes.len().saturating_sub(cut));
        if let Ok(record) = Record::decode(&bytes) {
            prop_assert_eq!(record.encode(), bytes);
        }
    }
}

#[test]
fn records_of_the_right_form_are_read() {
    let window = Window::default();
    let mut record = Record::default();
    for number in 0..40 {
        record = record.accept(&window, at(NOW.0 + number * 1000));
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }
    assert_eq!(record.len, RECENT);
    assert!(Record::decode(&[]).is_err());
    assert!(Record::decode(&[0; 8 * 18]).is_err());
}

/// Every record that any order of nine moments leads to, with room for one, two and three times.
#[test]
fn no_order_of_moments_lets_one_in_twice() {
    const MOMENTS: u64 = 9;
    let mut seen = std::collections::HashSet::new();
    for (most, slack) in (1..=3).flat_map(|most| (0..=2).map(move |slack| (most, slack))) {
        let window = Window { slack: Duration::from_micros(slack), ..Window::default() };
        seen.clear();
        let mut open = vec![(Record::default(), BTreeSet::new())];
        while let Some((record, accepted)) = open.pop() {
            for time in (1..=MOMENTS).map(at) {
                if record.check(&window, at(MOMENTS), time).is_err() {
                    continue;
                }
                assert!(!accepted.contains(&time), "{time:?} twice: {record:?} after {accepted:?}");
                let next = record.accept_within(most, &window, time);
                assert!(next.floor >= record.floor && next.len <= most, "{next:?}");
                let mut accepted = accepted.clone();
                accepted.insert(time);
                if seen.insert((next, accepted.clone())) {
                    open.push((next, accepted));
                }
            }
        }
        assert!(seen.len() > 100, "{most} times, slack {slack}: only {} records", seen.len());
    }
}
