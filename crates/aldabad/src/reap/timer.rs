//! The timer that runs `aldabad reap` again: a transient unit of systemd's.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use aldaba_runner::Rendered;
use aldaba_runner::door::Style;
use aldaba_runner::record::BootId;
use aldaba_sys::clock;
use aldaba_sys::process::{self, Ending};
use jiff::Timestamp;

use crate::site::Failed;

/// How long the program that arms it may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Where systemd keeps units like it for as long as they are loaded.
const ARMED: &str = "/run/systemd/transient";
/// One that fires sooner than this may have fired already, and found that there is nothing to do yet.
const FIRING: Duration = Duration::from_secs(2);

/// Arms it, unless one is armed that comes in time: a daemon that is restarted again and again leaves one, not hundreds. An error:
/// nobody will come.
pub(super) fn arm(program: &Path, state: &Path, boot: BootId, pause: Duration) -> Result<(), Failed> {
    let now = clock::wall();
    let at = now.saturating_add(pause);
    let names = std::fs::read_dir(ARMED).into_iter().flatten().flatten().map(|entry| entry.file_name());
    if names.filter_map(|name| due(name.to_str()?, state)).any(|due| comes_in_time(due, now, at)) {
        return Ok(());
    }
    let random: [u8; 4] = aldaba_sys::random::bytes().map_err(Failed::kernel("random numbers"))?;
    let own = std::env::current_exe().map_err(Failed::kernel("the path of this program"))?;
    let mut words = words(program, &own, state, pause, at, u32::from_ne_bytes(random));
    words.extend(boot.or_else(clock::boot_id).map(told));
    match run(words) {
        Ok(()) => Ok(()),
        Err(why) => Err(Failed::new(
            format!(
                "{}: {why}: nobody will close what is open, due in {} s",
                program.display(),
                pause.as_secs()
            ),
            "run aldabad reap --wait, which stays until the last lease has ended",
        )),
    }
}

/// Its name, without the suffix: for which state folder, when by the wall clock, and what tells it from others.
fn name(state: &Path, at: Duration, random: u32) -> String {
    format!("{}{}-{random:08x}", prefix(state), at.as_millis())
}

fn prefix(state: &Path) -> String {
    format!("aldaba-reap-{:016x}-", crate::state::checksum(state.to_string_lossy().as_bytes()))
}

/// When a timer of this name comes to this folder.
fn due(name: &str, state: &Path) -> Option<Duration> {
    let (at, _) = name.strip_suffix(".timer")?.strip_prefix(&prefix(state))?.split_once('-')?;
    at.parse().ok().map(Duration::from_millis)
}

fn comes_in_time(due: Duration, now: Duration, at: Duration) -> bool {
    due > now.saturating_add(FIRING) && due <= at
}

/// Two triggers: the first counts from now and knows no step of the wall clock, the second finds its time passed when the machine
/// wakes from a sleep. Whichever comes first; too early or twice does no harm.
fn words(
    program: &Path,
    own: &Path,
    state: &Path,
    pause: Duration,
    at: Duration,
    random: u32,
) -> Vec<String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    // systemd would put a variable there.
    let plain = |path: &Path| text(path).trim_end_matches(" (deleted)").replace('$', "$$");
    let name = name(state, at, random);
    let at = Timestamp::from_duration(at.try_into().unwrap_or_default()).unwrap_or_default();
    vec![
        text(program),
        "--quiet".to_owned(),
        format!("--unit={name}"),
        "--description=Closes aldaba's doors at their time".to_owned(),
        format!("--on-active={}ms", pause.as_millis()),
        format!("--on-calendar={}", at.strftime("%Y-%m-%d %H:%M:%S%.3f UTC")),
        "--timer-property=AccuracySec=50ms".to_owned(),
        "--".to_owned(),
        plain(own),
        "reap".to_owned(),
        "--state-dir".to_owned(),
        plain(state),
    ]
}

/// The boot, for who may not see it there.
fn told(boot: [u8; 16]) -> String {
    format!("--boot={:032x}", u128::from_be_bytes(boot))
}

/// Runs it like a command of a door: without a shell, without our environment.
fn run(words: Vec<String>) -> Result<(), String> {
    let child = crate::monitor::spawn_with(Style::Native, &Rendered::Argv(words), true, None, None)
        .map_err(|error| error.to_string())?;
    let start = clock::boottime();
    while clock::boottime().saturating_sub(start) < LIMIT {
        match process::reap_one(child.pid) {
            Ok(Some(Ending::Exit(0))) => return Ok(()),
            Ok(Some(_)) => return Err(said(&child)),
            _ => clock::rest(Duration::from_millis(5)),
        }
    }
    aldaba_sys::spawn::signal_trees(&[&child], &BTreeSet::from([child.pid]), process::Kill::Kill);
    Err("it does not end".to_owned())
}

fn said(child: &aldaba_sys::spawn::Child) -> String {
    let mut text = [0; 1024];
    let length = child.output.as_ref().and_then(|output| {
        aldaba_sys::spawn::read_output(std::os::fd::AsFd::as_fd(output), &mut text).ok().flatten()
    });
    let text = String::from_utf8_lossy(&text[..length.unwrap_or_default()]).trim().to_owned();
    if text.is_empty() { "it failed".to_owned() } else { crate::log::printable(&text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timer_runs_this_program_again_at_the_deadline() {
        let words = words(
            Path::new("systemd-run"),
            Path::new("/usr/sbin/aldabad (deleted)"),
            Path::new("/var/lib/al$daba"),
            Duration::from_millis(1_500),
            Duration::from_millis(1_795_758_600_250),
            7,
        );
        let sum = format!("{:016x}", crate::state::checksum("/var/lib/al$daba"));
        assert_eq!(
            words.join("|").replace(&sum, "SUM"),
            "systemd-run|--quiet|--unit=aldaba-reap-SUM-1795758600250-00000007|--description=Closes aldaba's doors at their time|\
             --on-active=1500ms|--on-calendar=2026-11-27 05:50:00.250 UTC|--timer-property=AccuracySec=50ms|--|\
             /usr/sbin/aldabad|reap|--state-dir|/var/lib/al$$daba"
        );
    }

    #[test]
    fn one_that_comes_in_time_is_enough() {
        let (state, ms) = (Path::new("/var/lib/aldaba"), Duration::from_millis);
        let armed = format!("{}.timer", name(state, ms(20_000), 7));
        assert_eq!(due(&armed, state), Some(ms(20_000)));
        assert_eq!(due(&armed, Path::new("/srv/aldaba")), None, "another folder's");
        assert_eq!(due(&armed.replace(".timer", ".service"), state), None, "what it starts");
        let in_time = |now, at| comes_in_time(ms(20_000), ms(now), ms(at));
        assert!(in_time(10_000, 20_000) && in_time(10_000, 30_000));
        assert!(!in_time(10_000, 19_999), "too late");
        assert!(!in_time(18_500, 20_000) && !in_time(21_000, 30_000), "it may have come");
    }

    #[test]
    fn the_boot_is_told_as_it_is_read() {
        let boot = *b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff";
        let text = told(boot);
        assert_eq!(text, "--boot=00112233445566778899aabbccddeeff");
        assert_eq!(clock::parse_boot_id(text.trim_start_matches("--boot=")), Some(boot));
    }
}
