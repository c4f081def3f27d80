//! The only place with clocks.
//!
//! Leases and sequences count in [`boottime`], which goes on while the machine sleeps and never steps; [`wall`] is
//! for what must outlive a reboot and for what is shown to people. Sleeping is here too, for the brief rest of a hot
//! capture only: everything else waits in [`poll`](crate::poll), with a deadline.

mod steps;

use std::sync::OnceLock;
use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

pub use steps::{Step, StepWatch};

/// Time since the machine was started, sleep included.
#[must_use]
pub fn boottime() -> Duration {
    duration(clock_gettime(ClockId::Boottime))
}

/// The clock the service manager reckons with: like [`boottime`], but it stands still while the machine sleeps.
#[must_use]
pub fn monotonic() -> Duration {
    duration(clock_gettime(ClockId::Monotonic))
}

/// Time since 1970; zero where the clock stands before that.
#[must_use]
pub fn wall() -> Duration {
    duration(clock_gettime(ClockId::Realtime))
}

/// Which boot [`boottime`] counts from; `None` where the kernel does not tell.
#[must_use]
pub fn boot_id() -> Option<[u8; 16]> {
    // It is asked with every record, and no process outlives it.
    static READ: OnceLock<[u8; 16]> = OnceLock::new();
    READ.get().copied().or_else(|| {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        parse_boot_id(&text).map(|id| *READ.get_or_init(|| id))
    })
}

/// What systemd's own time service leaves when it has set the clock.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";

/// Whether the kernel was told that the wall clock is right, by NTP or its like (adjtimex(2)). Where the question itself is denied
/// (`ProtectClock=`), systemd's time service may have said so; where it has not, nobody knows: `None`.
#[must_use]
pub fn synchronised() -> Option<bool> {
    let mut state = std::mem::MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: the pointer is valid for a whole timex; all zeros, no modes, only asks.
    let answer = unsafe { libc::adjtimex(state.as_mut_ptr()) };
    said_by(answer).or_else(|| std::path::Path::new(SYNCHRONISED).exists().then_some(true))
}

/// What an answer of adjtimex(2) says of the clock; `None`: the question was denied.
const fn said_by(answer: libc::c_int) -> Option<bool> {
    if answer < 0 { None } else { Some(answer != libc::TIME_ERROR) }
}

/// The same; no where nobody knows.
#[must_use]
pub fn is_synchronised() -> bool {
    synchronised() == Some(true)
}

/// Whether this machine has a clock that goes on while it is off.
#[must_use]
pub fn has_hardware_clock() -> bool {
    std::fs::read_dir("/sys/class/rtc").is_ok_and(|mut clocks| clocks.next().is_some())
}

/// Sleeps for this long, or less if a signal comes.
pub fn rest(time: Duration) {
    if let Ok(request) = Timespec::try_from(time) {
        // Woken early is as good: the caller looks at its ring and decides again.
        let _ = rustix::thread::clock_nanosleep_relative(ClockId::Monotonic, &request);
    }
}

fn duration(time: Timespec) -> Duration {
    Duration::try_from(time).unwrap_or_default()
}

/// A boot id as the kernel writes it.
#[must_use]
pub fn parse_boot_id(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 || !digits.is_ascii() {
        return None;
    }
    let mut id = [0; 16];
    for (byte, at) in id.iter_mut().zip((0..32).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).ok()?;
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boottime_goes_on() {
        let before = boottime();
        rest(Duration::from_millis(2));
        let passed = boottime().saturating_sub(before);
        assert!(passed >= Duration::from_millis(2) && passed < Duration::from_secs(5), "{passed:?}");
    }

    #[test]
    fn wall_time_is_of_this_century() {
        assert!(wall() > Duration::from_secs(1_700_000_000));
    }

    #[test]
    fn the_clock_is_right_unless_the_kernel_calls_it_an_error() {
        // Leap seconds to come, under way and over are states of a clock that is right.
        for answer in [libc::TIME_OK, libc::TIME_INS, libc::TIME_DEL, libc::TIME_OOP, libc::TIME_WAIT] {
            assert_eq!(said_by(answer), Some(true), "{answer}");
        }
        assert_eq!((said_by(libc::TIME_ERROR), said_by(-1)), (Some(false), None));
    }

    /// In its flags it says so a second time.
    #[test]
    fn what_the_kernel_answers_is_what_its_flags_say() {
        let mut state = std::mem::MaybeUninit::<libc::timex>::zeroed();
        // SAFETY: the pointer is valid for a whole timex; all zeros, no modes, only asks.
        let answer = unsafe { libc::adjtimex(state.as_mut_ptr()) };
        // SAFETY: all zeros is a timex, and so is what the kernel makes of it.
        let flags = unsafe { state.assume_init() }.status;
        let is_right = flags & (libc::STA_UNSYNC | libc::STA_CLOCKERR) == 0;
        if answer >= 0 {
            assert_eq!((synchronised(), is_synchronised()), (Some(is_right), is_right));
        }
    }

    #[test]
    fn boot_id_is_read_and_nothing_else_is() {
        assert_eq!(
            parse_boot_id("00112233-4455-6677-8899-aabbccddeeff\n"),
            Some([
                0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff
            ])
        );
        assert_eq!(parse_boot_id("00112233-4455-6677-8899-aabbccddee\n"), None);
        assert_eq!(parse_boot_id("zz112233-4455-6677-8899-aabbccddeeff"), None);
        assert_eq!(parse_boot_id("éé112233-4455-6677-8899-aabbccddee"), None);
        assert!(boot_id().is_some(), "this kernel has one");
    }
}
