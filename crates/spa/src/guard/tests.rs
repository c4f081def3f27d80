use super::*;
use crate::Record;

/// One second each, so that all orders of events in a few minutes can be walked through.
const WINDOW: Window =
    Window { past: Duration::from_secs(3), future: Duration::from_secs(3), slack: Duration::ZERO };
/// By the true clock: seconds since 1970.
const LOSS: u64 = 1_000_000;

const fn seconds(count: u64) -> Timestamp {
    Timestamp(count * 1_000_000)
}

/// A moment `true_time` on a machine that was started at `LOSS - 100`, whose wall clock is `behind`.
const fn at(true_time: u64, behind: u64) -> Moment {
    Moment { now: Duration::from_secs(true_time - LOSS + 100), wall: seconds(true_time - behind) }
}

#[test]
fn it_reaches_as_far_as_a_clock_may_be_ahead_and_is_over_when_the_window_has_passed_it() {
    let window = Window::default();
    let guard = Guard::raised(at(LOSS, 0), &window);
    assert_eq!(guard.until(), seconds(LOSS + 60));
    assert!(!guard.is_over(at(LOSS + 120, 0), &window));
    assert!(guard.is_over(at(LOSS + 121, 0), &window));
    assert!(!Guard::CLOSED.is_over(at(LOSS + 1_000_000, 0), &window));
    assert_eq!(Guard::CLOSED.followed(at(LOSS, 0), &window), Guard::CLOSED);
}

#[test]
fn a_clock_that_steps_moves_it_forward_and_never_back() {
    let window = Window::default();
    let guard = Guard::raised(at(LOSS, 3600), &window);
    assert_eq!(guard.until(), seconds(LOSS - 3600 + 60));
    assert_eq!(guard.followed(at(LOSS + 7, 3600), &window), guard, "no step, no change");
    let moved = guard.followed(at(LOSS + 100, 0), &window);
    assert_eq!(moved.until(), seconds(LOSS + 60), "as if the clock had been right at the start");
    assert_eq!(moved.followed(at(LOSS + 110, 7200), &window), moved);
}

#[test]
fn a_step_long_after_keeps_nobody_out() {
    let window = Window::default();
    let guard = Guard::raised(at(LOSS, 3600), &window);
    let later = at(LOSS + 3600, 0);
    assert!(guard.followed(later, &window).until() < later.wall.before(window.past));
}

/// What a server with this guard makes of a request of `time`; its own record is empty, for the store is lost.
fn accepts(guard: &Guard, at: Moment, time: Timestamp) -> bool {
    Record::default().check(&WINDOW, at.wall, time).is_ok() && time > guard.followed(at, &WINDOW).until()
}

/// Every request that was accepted before the loss, sent again at every moment after it, with a clock that is behind at the
/// start, by up to a few windows, and set right at some moment.
#[test]
fn nothing_accepted_before_the_loss_is_accepted_once_the_clock_is_right() {
    let mut cases = 0;
    for behind in 0..12 {
        let guard = Guard::raised(at(LOSS, behind), &WINDOW);
        for step in 0..12 {
            let stepped = guard.followed(at(LOSS + step, 0), &WINDOW);
            for (sent, ahead) in (0..12).flat_map(|sent| (0..=3).map(move |ahead| (sent, ahead))) {
                for used in LOSS - 12..=LOSS {
                    let time = seconds(used + ahead);
                    for guard in [&guard, &stepped] {
                        assert!(
                            !accepts(guard, at(LOSS + step + sent, 0), time),
                            "{behind} {step} {sent} {time:?}"
                        );
                        cases += 1;
                    }
                }
            }
        }
    }
    assert_eq!(cases, 12 * 12 * 12 * 4 * 13 * 2);
    // With the guard left where it was at the start, a capture would have come through.
    let stale = Guard::raised(at(LOSS, 6), &WINDOW);
    assert!(seconds(LOSS) > stale.until());
    assert_eq!(Record::default().check(&WINDOW, seconds(LOSS + 1), seconds(LOSS)), Ok(()));
}

#[test]
fn a_right_clock_lets_clients_in_after_the_window_and_no_later() {
    let window = Window::default();
    let guard = Guard::raised(at(LOSS, 0), &window);
    for (seconds_after, admitted) in [(0, false), (60, false), (61, true), (90, true)] {
        let at = at(LOSS + seconds_after, 0);
        assert_eq!(at.wall > guard.followed(at, &window).until(), admitted, "{seconds_after}");
    }
}
