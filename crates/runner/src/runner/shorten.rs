//! Leases whose owner may hold them for less than before: the registry has changed (spec/leases.md, "Reload").

use std::time::Duration;

use super::Runner;
use crate::door::Style;
use crate::event::What;
use crate::lease::{Asked, Held, Lease, LeaseId, Owner, Purpose, State};

/// To the kernel a timeout of zero means "for ever".
const SHORTEST: Duration = Duration::from_secs(1);

impl Runner {
    /// Lets leases end earlier whose owner may hold them for no longer than this from now on; `None`: for as long as they last.
    /// Tells how many that concerns.
    pub fn shorten(&mut self, now: Duration, longest: impl Fn(Owner) -> Option<Duration>) -> usize {
        let too_long = self.table.iter().filter_map(|lease| {
            let left = longest(lease.owner?)?.max(SHORTEST);
            (lasts(lease, now) > left).then_some((lease.id, left))
        });
        let too_long: Vec<(LeaseId, Duration)> = too_long.collect();
        for (id, left) in &too_long {
            self.shorten_one(now, *id, *left);
        }
        too_long.len()
    }

    fn shorten_one(&mut self, now: Duration, id: LeaseId, left: Duration) {
        let Some(lease) = self.table.lease_mut(id) else { return };
        let until = now.saturating_add(left);
        lease.reopen = lease.reopen.map(|length| length.min(left));
        lease.length = lease.length.min(left);
        let by_command = matches!(lease.held, Held::Command { .. });
        match lease.state {
            State::Setting | State::Open if !by_command && !lease.lost => {
                self.set_element(now, id, Asked { deadline: until, purpose: Purpose::Shorten });
            }
            // Of a knockd.conf door the time begins when the start command has ended.
            State::Starting { .. } if lease.style == Style::Knockd => {}
            State::Starting { .. } | State::Open => {
                lease.deadline = lease.deadline.min(until);
                let (deadline, is_open) = (lease.deadline, lease.state == State::Open);
                if is_open {
                    self.table.set_timer(id, Some(deadline));
                    self.log_of(id, What::Shortened { for_: left });
                }
                self.save(id);
            }
            // Nothing is open yet, or it is being closed.
            _ => {}
        }
    }
}

/// For how long it would stay open as it stands.
fn lasts(lease: &Lease, now: Duration) -> Duration {
    let latest = lease.asked.back().map_or(lease.deadline, |asked| asked.deadline);
    let waits = match lease.state {
        State::Waiting { .. } => Some(lease.length),
        State::Starting { .. } if lease.style == Style::Knockd => Some(lease.length),
        _ => None,
    };
    let open = waits.unwrap_or_else(|| latest.saturating_sub(now));
    lease.reopen.map_or(open, |length| open.max(length))
}
