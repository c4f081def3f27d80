//! Commands waiting for their turn: one line per door, served in turn, so that no door waits for another's line.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use crate::lease::LeaseId;

/// The waiting lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    lines: BTreeMap<Arc<str>, VecDeque<LeaseId>>,
    waiting: usize,
    last_served: Option<Arc<str>>,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    /// How many wait in one door's line.
    pub(crate) fn of_door(&self, door: &Arc<str>) -> usize {
        self.lines.get(door).map_or(0, VecDeque::len)
    }

    pub(crate) fn push(&mut self, door: &Arc<str>, id: LeaseId) {
        self.lines.entry(Arc::clone(door)).or_default().push_back(id);
        self.waiting = self.waiting.saturating_add(1);
    }

    /// Takes the next one of a door that may run, going round the doors.
    pub(crate) fn next(&mut self, may_run: impl Fn(&Arc<str>) -> bool) -> Option<LeaseId> {
        let after = match &self.last_served {
            Some(door) => Bound::Excluded(Arc::clone(door)),
            None => Bound::Unbounded,
        };
        let mut in_turn =
            self.lines.range((after, Bound::Unbounded)).chain(&self.lines).map(|(door, _)| door);
        let door = in_turn.find(|door| may_run(door)).cloned()?;
        let id = self.take(&door, VecDeque::pop_front);
        self.last_served = Some(door);
        id
    }

    /// The door with the longest line, and its length.
    pub(crate) fn longest(&self) -> Option<(Arc<str>, usize)> {
        self.lines.iter().map(|(door, line)| (Arc::clone(door), line.len())).max_by_key(|(_, length)| *length)
    }

    /// Takes the one that joined a door's line last.
    pub(crate) fn pop_newest(&mut self, door: &Arc<str>) -> Option<LeaseId> {
        self.take(door, VecDeque::pop_back)
    }

    pub(crate) fn remove(&mut self, door: &Arc<str>, id: LeaseId) {
        self.take(door, |line| {
            let at = line.iter().position(|waiting| *waiting == id)?;
            line.remove(at)
        });
    }

    fn take(
        &mut self,
        door: &Arc<str>,
        from: impl FnOnce(&mut VecDeque<LeaseId>) -> Option<LeaseId>,
    ) -> Option<LeaseId> {
        let line = self.lines.get_mut(door)?;
        let id = from(line);
        if line.is_empty() {
            self.lines.remove(door);
        }
        if id.is_some() {
            self.waiting = self.waiting.saturating_sub(1);
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_are_served_in_turn() {
        let (a, b, c) = (Arc::from("a"), Arc::from("b"), Arc::from("c"));
        let mut queue = Queue::default();
        for (door, id) in [(&a, 1), (&a, 2), (&a, 3), (&b, 4), (&c, 5), (&b, 6)] {
            queue.push(door, LeaseId(id));
        }
        assert_eq!(queue.longest(), Some((a.clone(), 3)));
        let mut served = Vec::new();
        while let Some(id) = queue.next(|door| *door != c) {
            served.push(id.0);
        }
        assert_eq!(served, [1, 4, 2, 6, 3]);
        assert_eq!((queue.len(), queue.of_door(&c), queue.of_door(&a)), (1, 1, 0));
        queue.remove(&c, LeaseId(9));
        queue.remove(&c, LeaseId(5));
        assert_eq!((queue.len(), queue.longest()), (0, None));
    }
}
