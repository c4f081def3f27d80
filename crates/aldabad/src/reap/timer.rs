//! The timer that runs `aldabad reap` again: a transient unit of systemd's.

use std::path::Path;
use std::time::Duration;

use aldaba_runner::Rendered;
use aldaba_runner::door::Style;
use aldaba_sys::clock;
use aldaba_sys::process::{self, Ending};
use jiff::Timestamp;

use crate::site::Failed;

/// How long the program that arms it may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Arms it. An error: nobody will come.
pub(super) fn arm(program: &Path, state: &Path, pause: Duration) -> Result<(), Failed> {
    let random: [u8; 4] = aldaba_sys::random::bytes()?;
    let own = std::env::current_exe()?;
    let at = clock::wall().saturating_add(pause);
    let words = words(program, &own, state, pause, at, u32::from_ne_bytes(random));
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

/// Two triggers: the first counts from now and knows no step of the wall clock, the second finds its time passed when the machine
/// wakes from a sleep. Whichever comes first; too early or twice does no harm.
fn words(program: &Path, own: &Path, state: &Path, pause: Duration, at: Duration, name: u32) -> Vec<String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    // systemd would put a variable there.
    let plain = |path: &Path| text(path).trim_end_matches(" (deleted)").replace('$', "$$");
    let at = Timestamp::from_duration(at.try_into().unwrap_or_default()).unwrap_or_default();
    vec![
        text(program),
        "--quiet".to_owned(),
        format!("--unit=aldaba-reap-{name:08x}"),
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

/// Runs it like a command of a door: without a shell, without our environment.
fn run(words: Vec<String>) -> Result<(), String> {
    let child = crate::monitor::spawn_with(Style::Native, &Rendered::Argv(words), None)
        .map_err(|error| error.to_string())?;
    let start = clock::boottime();
    while clock::boottime().saturating_sub(start) < LIMIT {
        match process::reap() {
            Ok(Some((pid, Ending::Exit(0)))) if pid == child.pid => return Ok(()),
            Ok(Some((pid, _))) if pid == child.pid => return Err(said(&child)),
            Ok(Some(_)) => {}
            _ => clock::rest(Duration::from_millis(5)),
        }
    }
    aldaba_sys::spawn::signal_tree(&child, process::Kill::Kill);
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
        assert_eq!(
            words.join("|"),
            "systemd-run|--quiet|--unit=aldaba-reap-00000007|--description=Closes aldaba's doors at their time|\
             --on-active=1500ms|--on-calendar=2026-11-27 05:50:00.250 UTC|--timer-property=AccuracySec=50ms|--|\
             /usr/sbin/aldabad|reap|--state-dir|/var/lib/al$$daba"
        );
    }
}
