//! Steps of the wall clock: the kernel says when somebody sets it (`TFD_TIMER_CANCEL_ON_SET`, see `timerfd_create(2)`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::{boottime, wall};

/// Less than this is no step: a clock that is kept right is set by such amounts.
const LEAST: Duration = Duration::from_secs(1);
/// When the timer would go off, if nobody set the clock: it is there to be cancelled.
const NEVER: i64 = 1 << 40;

/// By how much the wall clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Whether forward.
    pub forward: bool,
    /// By how much.
    pub by: Duration,
}

/// Becomes readable when the wall clock is set.
#[derive(Debug)]
pub struct StepWatch {
    timer: OwnedFd,
    wall: fn() -> Duration,
    last: Reading,
}

/// Both clocks at once.
#[derive(Debug, Clone, Copy)]
struct Reading {
    now: Duration,
    wall: Duration,
}

impl Reading {
    fn take(wall: fn() -> Duration) -> Self {
        Self { now: boottime(), wall: wall() }
    }

    /// The step between two readings, if the wall clock did not go with the other one.
    fn step_to(self, later: Self) -> Option<Step> {
        let expected = self.wall.saturating_add(later.now.saturating_sub(self.now));
        let forward = later.wall > expected;
        let by = later.wall.abs_diff(expected);
        (by >= LEAST).then_some(Step { forward, by })
    }
}

impl StepWatch {
    /// Watches from now on.
    pub fn open() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Realtime, flags)?;
        let at = |seconds| Timespec { tv_sec: seconds, tv_nsec: 0 };
        let never = Itimerspec { it_interval: at(0), it_value: at(NEVER) };
        timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &never)?;
        Ok(Self { timer, wall, last: Reading::take(wall) })
    }

    /// Watches another clock, of whose steps the kernel knows nothing: it is looked at so often.
    pub fn of(wall: fn() -> Duration, every: Duration) -> io::Result<Self> {
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        let every = Timespec::try_from(every).map_err(io::Error::other)?;
        let often = Itimerspec { it_interval: every, it_value: every };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &often)?;
        Ok(Self { timer, wall, last: Reading::take(wall) })
    }

    /// The step since it was last asked, if the clock was set.
    pub fn poll(&mut self) -> Option<Step> {
        match rustix::io::read(&self.timer, &mut [0; 8]) {
            // The clock was set; or it is time to look.
            Err(Errno::CANCELED) | Ok(_) => {
                let now = Reading::take(self.wall);
                let step = self.last.step_to(now);
                self.last = now;
                step
            }
            _ => None,
        }
    }
}

impl AsFd for StepWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn reading(now: u64, wall: u64) -> Reading {
        Reading { now: Duration::from_millis(now), wall: Duration::from_millis(wall) }
    }

    #[test]
    fn a_step_is_what_the_other_clock_did_not_see() {
        let start = reading(5_000, 1_000_000);
        assert_eq!(start.step_to(reading(6_000, 1_001_000)), None);
        assert_eq!(start.step_to(reading(6_000, 1_001_900)), None, "kept right");
        let hour = Duration::from_secs(3600);
        assert_eq!(start.step_to(reading(6_000, 4_601_000)), Some(Step { forward: true, by: hour }));
        let back = Step { forward: false, by: Duration::from_secs(500) };
        assert_eq!(start.step_to(reading(6_000, 501_000)), Some(back));
    }

    #[test]
    fn another_clock_is_looked_at() {
        use std::sync::atomic::{AtomicU64, Ordering};
        static AHEAD: AtomicU64 = AtomicU64::new(0);
        let wall = || wall() + Duration::from_secs(AHEAD.load(Ordering::Relaxed));
        let mut watch = StepWatch::of(wall, Duration::from_millis(1)).unwrap();
        let mut look = || {
            let interest = [(watch.as_fd(), crate::poll::Interest::READ)];
            assert_eq!(crate::poll::wait(&interest, Some(Duration::from_secs(10))).unwrap(), [true]);
            watch.poll()
        };
        assert_eq!(look(), None);
        AHEAD.store(60, Ordering::Relaxed);
        let step = look().unwrap();
        assert!(step.forward && step.by.abs_diff(Duration::from_secs(60)) < LEAST, "{step:?}");
        assert_eq!(look(), None);
    }

    #[test]
    fn a_clock_that_nobody_sets_has_no_steps() {
        let mut watch = StepWatch::open().unwrap();
        assert_eq!(watch.poll(), None);
        let ready = crate::poll::wait(
            &[(watch.as_fd(), crate::poll::Interest::READ)],
            Some(Duration::from_millis(5)),
        );
        assert_eq!(ready.unwrap(), [false]);
    }
}
