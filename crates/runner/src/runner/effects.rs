//! What is to be done, handed out in its order, with changes that can share a transaction together.

use std::collections::BTreeSet;

use super::Runner;
use crate::effect::{Change, Effect, ElementChange};

impl Runner {
    /// The next thing to do, performed before the one after it is taken.
    ///
    /// The order is binding: a record stands before the command it covers, and that command must not be started before the
    /// record is durable. When it cannot be made durable, call [`journal_failed`](Self::journal_failed) before taking the
    /// next effect: the command behind it is then withdrawn.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        match self.effects.pop_front()? {
            Effect::Journal(changes) => Some(Effect::Journal(self.with_all_changes(changes))),
            Effect::Elements(changes) => Some(Effect::Elements(self.with_next_elements(changes))),
            effect => Some(effect),
        }
    }

    /// A record may be written earlier than its place in the line, never later: whatever is to be written now shares one
    /// transaction.
    fn with_all_changes(&mut self, mut changes: Vec<Change>) -> Vec<Change> {
        self.effects.retain_mut(|effect| {
            let Effect::Journal(more) = effect else { return true };
            changes.append(more);
            false
        });
        changes
    }

    /// Those that follow at once, as long as they are of different leases.
    fn with_next_elements(&mut self, mut changes: Vec<ElementChange>) -> Vec<ElementChange> {
        let mut seen: BTreeSet<_> = changes.iter().map(|change| change.lease).collect();
        while let Some(Effect::Elements(more)) = self.effects.front_mut()
            && more.iter().all(|change| seen.insert(change.lease))
        {
            changes.append(more);
            self.effects.pop_front();
        }
        changes
    }

    pub(super) fn change_journal(&mut self, change: Change) {
        self.effects.push_back(Effect::Journal(vec![change]));
    }

    pub(super) fn change_element(&mut self, change: ElementChange) {
        self.effects.push_back(Effect::Elements(vec![change]));
    }
}
