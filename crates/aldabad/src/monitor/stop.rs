//! How the daemon ends: what becomes of open doors, and the exit code of its face.

use std::process::ExitCode;
use std::time::Duration;

use aldaba_config::OnExit;
use aldaba_runner::OnShutdown;
use aldaba_sys::signals::Signal;

use super::Monitor;
use crate::face::Face;
use crate::keeper::Keeper;
use crate::log::{Level, aloud};

/// What could not be closed within this time stays in the journal, for the closer or the next start.
const GRACE: Duration = Duration::from_secs(5);

impl Monitor {
    /// Begins to stop: no new opening, and doors close or stay by policy.
    pub(super) fn begin_stop(&mut self, now: Duration, signal: Signal) {
        if self.stopping.is_some() {
            return;
        }
        self.stopping = Some(signal);
        self.service.say_stopping();
        self.pulse.end();
        self.workers.dismiss();
        // The table stays when the daemon ends, so it must be that of the configuration which the next start finds.
        self.end_trial_at_stop(now);
        let usual = if self.policy.overrides().keep { OnExit::Keep } else { OnExit::Close };
        let what = match self.policy.current().policy.daemon.on_exit.unwrap_or(usual) {
            OnExit::Close => OnShutdown::Close { grace: GRACE },
            OnExit::Keep => OnShutdown::Keep,
        };
        self.runner.shutdown(now, what);
        match &self.face {
            Face::Knockd(knockd) => {
                self.speech.tell_log("shutting down");
                if knockd.verbose {
                    aloud("waiting for child processes...");
                }
            }
            Face::Aldabad => {
                let name = if signal == Signal::Interrupt { "INT" } else { "TERM" };
                self.speech.tell(Level::Notice, format!("stopping signal={name}"));
            }
        }
    }

    /// The end.
    pub(super) fn finish(mut self, signal: Signal) -> ExitCode {
        self.speech.say_rest();
        // A journal that cannot be read may hold what only the closer will close.
        let is_empty = self.keeper.as_mut().is_none_or(Keeper::is_empty);
        if let Some(closer) = self.standby.take().filter(|_| is_empty) {
            closer.dismiss();
        }
        if let Some(pid_file) = &self.pid_file {
            pid_file.remove();
        }
        if let Some(code) = self.finish_undo() {
            return code;
        }
        let Face::Knockd(knockd) = &self.face else { return ExitCode::SUCCESS };
        if let Some(keeper) = self.keeper.take().filter(|_| is_empty) {
            keeper.leave_nothing_behind();
        }
        if knockd.verbose {
            aloud("closing...");
        }
        ExitCode::from(if signal == Signal::Interrupt { 2 } else { 15 })
    }
}
