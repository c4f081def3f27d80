//! Commands waiting for their turn: lines for each door, served in turn, so that no door waits for another's line.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use crate::lease::LeaseId;

/// A waiting line: each door has one for what was never tried, and one for stop commands that have failed before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// The door.
    pub door: Arc<str>,
    /// Whether those in it have failed before.
    pub tried: bool,
}

impl Line {
    /// The door's line for what was never tried.
    #[must_use]
    pub fn of(door: &Arc<str>) -> Self {
        Self { door: Arc::clone(door), tried: false }
    }

    /// Its line for what has failed before.
    #[must_use]
    pub fn of_tried(door: &Arc<str>) -> Self {
        Self { tried: true, ..Self::of(door) }
    }
}

/// The waiting lines.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    lines: BTreeMap<Line, VecDeque<LeaseId>>,
    waiting: usize,
    last_served: Option<Line>,
}

impl Queue {
    /// How many wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.waiting
    }

    /// Whether nobody waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// How many wait for a door.
    pub(crate) fn of_door(&self, door: &Arc<str>) -> usize {
        let of = |line: Line| self.lines.get(&line).map_or(0, VecDeque::len);
        of(Line::of(door)).saturating_add(of(Line::of_tried(door)))
    }

    /// Joins the door's line.
    pub fn push(&mut self, door: &Arc<str>, id: LeaseId) {
        self.join(Line::of(door), id);
    }

    /// The same for a stop command that has failed before.
    pub fn push_again(&mut self, door: &Arc<str>, id: LeaseId) {
        self.join(Line::of_tried(door), id);
    }

    fn join(&mut self, line: Line, id: LeaseId) {
        self.lines.entry(line).or_default().push_back(id);
        self.waiting = self.waiting.saturating_add(1);
    }

    /// Takes the next one of a line that may run, going round the lines.
    pub fn next(&mut self, may_run: impl Fn(&Line) -> bool) -> Option<(Line, LeaseId)> {
        let after = match &self.last_served {
            Some(line) => Bound::Excluded(line.clone()),
            None => Bound::Unbounded,
        };
        let mut in_turn =
            self.lines.range((after, Bound::Unbounded)).chain(&self.lines).map(|(line, _)| line);
        let line = in_turn.find(|line| may_run(line)).cloned()?;
        let id = self.take(&line, VecDeque::pop_front)?;
        self.last_served = Some(line.clone());
        Some((line, id))
    }

    /// Nobody waits any more; whose turn is next stays.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.waiting = 0;
    }

    /// The door with the longest line, and its length.
    pub(crate) fn longest(&self) -> Option<(Arc<str>, usize)> {
        let lines = self.lines.iter().map(|(line, ids)| (Arc::clone(&line.door), ids.len()));
        lines.max_by_key(|(_, length)| *length)
    }

    /// Takes the one that joined a door's line last.
    pub(crate) fn pop_newest(&mut self, door: &Arc<str>) -> Option<LeaseId> {
        self.take(&Line::of(door), VecDeque::pop_back)
    }

    /// Takes one out, wherever it waits.
    pub(crate) fn remove(&mut self, door: &Arc<str>, id: LeaseId) {
        for line in [Line::of(door), Line::of_tried(door)] {
            self.take(&line, |ids| {
                let at = ids.iter().position(|waiting| *waiting == id)?;
                ids.remove(at)
            });
        }
    }

    fn take(
        &mut self,
        line: &Line,
        from: impl FnOnce(&mut VecDeque<LeaseId>) -> Option<LeaseId>,
    ) -> Option<LeaseId> {
        let ids = self.lines.get_mut(line)?;
        let id = from(ids);
        if ids.is_empty() {
            self.lines.remove(line);
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
        while let Some((_, id)) = queue.next(|line| line.door != c) {
            served.push(id.0);
        }
        assert_eq!(served, [1, 4, 2, 6, 3]);
        assert_eq!((queue.len(), queue.of_door(&c), queue.of_door(&a)), (1, 1, 0));
        queue.remove(&c, LeaseId(9));
        queue.remove(&c, LeaseId(5));
        assert_eq!((queue.len(), queue.longest()), (0, None));
    }

    #[test]
    fn what_has_failed_before_takes_turns_with_what_was_never_tried() {
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        let mut queue = Queue::default();
        (1..=3).for_each(|id| queue.push_again(&a, LeaseId(id)));
        queue.push(&a, LeaseId(4));
        queue.push(&b, LeaseId(5));
        assert_eq!((queue.len(), queue.of_door(&a)), (5, 4));
        queue.remove(&a, LeaseId(2));
        let served = std::iter::from_fn(|| queue.next(|_| true)).map(|(line, id)| (line.tried, id.0));
        assert_eq!(served.collect::<Vec<_>>(), [(false, 4), (true, 1), (false, 5), (true, 3)]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_queue_that_is_filled_anew_goes_on_with_the_next_line() {
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        let (mut queue, mut served) = (Queue::default(), Vec::new());
        for _ in 0..3 {
            queue.push(&a, LeaseId(1));
            queue.push(&b, LeaseId(2));
            assert_eq!((queue.len(), queue.is_empty()), (2, false));
            served.extend(queue.next(|_| true).map(|(_, id)| id.0));
            queue.clear();
            assert_eq!((queue.len(), queue.is_empty(), queue.longest()), (0, true, None));
        }
        assert_eq!(served, [1, 2, 1]);
    }
}
