//! Stop commands that somebody else has begun, as their notes tell of them: waited for, and ended when nobody watches their time
//! limit any more.

use std::collections::BTreeMap;
use std::time::Duration;

use aldaba_runner::lease::{Held, LeaseId};
use aldaba_runner::record::{Due, Recovered};
use aldaba_sys::process::{self, Kill};
use aldaba_sys::spawn::{self, Mark};

use super::overdue::HUNG;
use crate::keeper::{Progress, StopUnderWay};

/// How long who has begun a stop command may take to note how it has ended.
const NOTING: Duration = Duration::from_secs(1);

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Others {
    noted: Vec<StopUnderWay>,
    /// Since when each is seen to run, or to have ended.
    seen: BTreeMap<(LeaseId, u32, bool), Duration>,
    /// Those that are to be ended next.
    over_time: Vec<Mark>,
}

/// What that means for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Other {
    /// There is one whose end has to be waited for.
    Runs,
    /// One has closed it.
    HasClosed,
    /// There is none.
    None,
}

impl Others {
    /// Takes what is noted now.
    pub(super) fn look(&mut self, noted: Vec<StopUnderWay>) {
        self.seen
            .retain(|(lease, pid, _), _| noted.iter().any(|stop| (stop.lease, stop.pid) == (*lease, *pid)));
        self.noted = noted;
    }

    /// How far the stop command of this lease has come that somebody else has begun. One whose time limit is long over is ended, with
    /// [`Others::end`].
    pub(super) fn of(&mut self, recovered: &Recovered, now: Duration) -> Other {
        let record = &recovered.record;
        let is_its = |stop: &&StopUnderWay| stop.lease == record.id && recovered.due != Due::OtherBoot;
        let Some(StopUnderWay { pid, progress, mark, .. }) = self.noted.iter().find(is_its) else {
            return Other::None;
        };
        let is_ending = match progress {
            Progress::Running(_) => false,
            Progress::Ending => true,
            Progress::Closed => return Other::HasClosed,
            Progress::Gone => return Other::None,
        };
        let since = *self.seen.entry((record.id, *pid, is_ending)).or_insert(now);
        let limit = match &record.held {
            _ if is_ending => Some(NOTING),
            Held::Command { time_limit, .. } => time_limit.map(|limit| limit.saturating_add(HUNG)),
            Held::Element(_) => None,
        };
        if limit.is_none_or(|limit| now.saturating_sub(since) < limit) {
            return Other::Runs;
        }
        if is_ending {
            return Other::None;
        }
        process::signal_group(*pid, Kill::Kill).ok();
        self.over_time.extend(mark);
        Other::Runs
    }

    /// Ends what those whose time is over have started, all at once.
    pub(super) fn end(&mut self) {
        spawn::signal_marked(&std::mem::take(&mut self.over_time), Kill::Kill);
    }
}
