//! What others do to elements: a flush, a set made anew, one element taken out by hand (spec/leases.md, "When others change
//! the firewall").

use std::time::Duration;

use super::Runner;
use crate::event::Why;
use crate::lease::{Asked, Held, Lease, LeaseId, Purpose, State};

/// Less than this is not worth asking the kernel for, and must never become the zero that means "for ever".
const SHORTEST: Duration = Duration::from_millis(100);

/// How an open lease came to have no element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Loss {
    /// It went with others, and is to come back with what is left of its time.
    Restore,
    /// It went with others, and policy is to leave it at that: the lease is over.
    Report,
    /// Somebody took it out by hand, which is the administrator's will: the lease is over.
    Removed,
    /// Its set went with its door, whose ports nothing guards any more, or another rule: the lease is over.
    DoorGone,
}

impl Runner {
    /// Others took the element of an open lease away. One that is to come back does with
    /// [`reassert`](Self::reassert), which may be later: its set may be gone, too.
    pub fn element_lost(&mut self, now: Duration, id: LeaseId, loss: Loss) {
        let Some(lease) = self.table.lease_mut(id).filter(|lease| is_listed(lease)) else {
            return;
        };
        let why = match loss {
            Loss::Restore => {
                lease.lost = true;
                return;
            }
            Loss::Report => Why::Flushed,
            Loss::Removed => Why::Removed,
            Loss::DoorGone => Why::DoorGone,
        };
        lease.closing = Some(why);
        self.closed(now, id);
        self.dispatch(now);
    }

    /// Puts lost elements back whose set is there, each with the time it has left: a flush makes no lease longer.
    pub fn reassert(&mut self, now: Duration, has_set: impl Fn(&Lease) -> bool) {
        let soon = now.saturating_add(SHORTEST);
        let comes_back =
            |lease: &&Lease| lease.lost && is_listed(lease) && lease.deadline > soon && has_set(lease);
        let lost: Vec<(LeaseId, Duration)> =
            self.table.iter().filter(comes_back).map(|lease| (lease.id, lease.deadline)).collect();
        for (id, deadline) in lost {
            self.set_element(now, id, Asked { deadline, purpose: Purpose::Again });
        }
    }
}

/// Open, by an element that nothing is being done to.
fn is_listed(lease: &Lease) -> bool {
    matches!(lease.held, Held::Element(_)) && lease.state == State::Open && lease.asked.is_empty()
}
