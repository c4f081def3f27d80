//! What the points do in a program built for tests: what its environment wishes.
//!
//! `ALDABA_FAULT=POINT=ACTION[*TIMES][,...]`: `kill` and `hang` at that point, or `fail` there, always or so many times;
//! `short-pauses` among them: a new worker is not waited for as long; `clock=FILE`: the wall clock is what that [file](clock) says.
//! A worker begins without an environment and is told by its monitor. The closer heeds nothing:
//! it is what is left when the others have died.

pub(super) mod clock;

use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use aldaba_sys::clock::rest;
use aldaba_sys::process::{self, Kill};

use super::Point;
use crate::log::aside;
use crate::role::Role;

/// The variable of the environment.
pub const VARIABLE: &str = "ALDABA_FAULT";

/// The word among them for pauses of a fiftieth.
pub const SHORT_PAUSES: &str = "short-pauses";

static ARMED: OnceLock<Vec<Armed>> = OnceLock::new();
static SHORTENED: AtomicBool = AtomicBool::new(false);

#[derive(Debug)]
struct Armed {
    point: Point,
    action: Action,
    /// How often it still acts.
    left: AtomicU32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Kill,
    Hang,
    Fail,
}

impl Point {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::BeforePut,
        Self::AfterPut,
        Self::BeforeRemove,
        Self::AfterRemove,
        Self::BeforeStart,
        Self::AfterStart,
        Self::AfterStartEnded,
        Self::BeforeStop,
        Self::AfterStop,
        Self::AfterStopEnded,
        Self::BeforeElement,
        Self::AfterElement,
        Self::BeforeElementDelete,
        Self::AfterElementDelete,
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::BeforeLogWrite,
        Self::BeforeWatch,
        Self::BeforeReceive,
    ];

    /// As the variable has it: `before-put`.
    #[must_use]
    pub fn name(self) -> String {
        let mut name = String::new();
        for c in format!("{self:?}").chars() {
            if c.is_ascii_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(c.to_ascii_lowercase());
        }
        name
    }
}

/// Reads what is wished for. To be called first of all.
///
/// # Panics
/// When the variable says what no point or action is: a test must not pass because of a slip.
pub fn arm() {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if Role::of(&arguments) == Some(Role::Closer) {
        return;
    }
    let wish = std::env::var_os(VARIABLE).map(|value| value.to_string_lossy().into_owned());
    let told = arguments.last().and_then(|last| told(last)).map(str::to_owned);
    let armed = wish.or(told).unwrap_or_default();
    SHORTENED.store(armed.split(',').any(|word| word == SHORT_PAUSES), Ordering::Relaxed);
    let armed = armed
        .split(',')
        .filter(|word| !word.is_empty() && *word != SHORT_PAUSES && !clock::heeds(word))
        .map(|word| Armed::read(word).unwrap_or_else(|| panic!("{VARIABLE}: {word:?} is no fault")));
    ARMED.get_or_init(|| armed.collect());
}

/// A pause before something is tried again; of a fiftieth of its length where a test cannot wait.
pub(crate) fn pause(pause: Duration) -> Duration {
    if SHORTENED.load(Ordering::Relaxed) { pause / 50 } else { pause }
}

/// What a worker is told of it, as its last argument: it begins without an environment.
pub(crate) fn wish() -> Option<OsString> {
    let wish = std::env::var_os(VARIABLE)?;
    Some(format!("{VARIABLE}={}", wish.to_string_lossy()).into())
}

/// A role's arguments without that.
pub(crate) fn without_wish(arguments: &[OsString]) -> &[OsString] {
    match arguments {
        [before @ .., last] if told(last).is_some() => before,
        all => all,
    }
}

fn told(argument: &OsStr) -> Option<&str> {
    argument.to_str()?.strip_prefix(VARIABLE)?.strip_prefix('=')
}

impl Armed {
    fn read(word: &str) -> Option<Self> {
        let (name, action) = word.split_once('=')?;
        let (action, times) = action.split_once('*').unwrap_or((action, "4294967295"));
        let action = match action {
            "kill" => Action::Kill,
            "hang" => Action::Hang,
            "fail" => Action::Fail,
            _ => return None,
        };
        let point = Point::ALL.into_iter().find(|point| point.name() == name)?;
        Some(Self { point, action, left: AtomicU32::new(times.parse().ok()?) })
    }

    /// Whether it still acts; counted.
    fn acts(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// The process may die or hang here, or what follows fail with this error.
pub fn at(point: Point) -> io::Result<()> {
    let armed = ARMED.get().into_iter().flatten().find(|armed| armed.point == point && armed.acts());
    match armed.map(|armed| armed.action) {
        None => Ok(()),
        Some(Action::Fail) => Err(io::Error::from(io::ErrorKind::StorageFull)),
        Some(action) => {
            aside(&format!(
                "fault: {} at {}",
                if action == Action::Kill { "killed" } else { "hangs" },
                point.name()
            ));
            if action == Action::Kill {
                process::signal_pid(process::id(), Kill::Kill).ok();
            }
            loop {
                rest(Duration::from_secs(1));
            }
        }
    }
}

/// The process may die or hang here.
pub fn pass(point: Point) {
    at(point).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read_and_slips_are_not() {
        for point in Point::ALL {
            let armed = Armed::read(&format!("{}=fail*2", point.name())).expect("a wish");
            assert_eq!((armed.point, armed.action), (point, Action::Fail));
            assert_eq!([armed.acts(), armed.acts(), armed.acts()], [true, true, false]);
        }
        assert_eq!(Point::BeforeElementDelete.name(), "before-element-delete");
        for slip in ["before-put", "before-put=explode", "beforeput=kill", "before-put=fail*x"] {
            assert!(Armed::read(slip).is_none(), "{slip}");
        }
    }
}
