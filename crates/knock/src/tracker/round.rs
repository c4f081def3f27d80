//! One hit against everything that is under way. Spec: spec/knock.md, "Compatible" and "Strict".

use std::ops::RangeInclusive;

use super::plan::{Age, First, GroupId, Nanos, NodeId, Plan, StepKey};
use super::table::{Entry, Home, REST, Room, Slot, Table};
use crate::{Hit, Outcome, PatternId, ScopeId, Sink};

/// Something to be said about the hit's source, once the order of the patterns is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct News {
    pub(super) pattern: u32,
    pub(super) stage: u8,
    pub(super) complete: bool,
}

/// What is gathered while a hit is looked at. Room for every pattern is made beforehand.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) expired: Vec<News>,
    pub(super) news: Vec<News>,
}

impl Gathered {
    /// Makes room: each pattern appears at most once in each list.
    pub(super) fn with_room_for(patterns: usize) -> Self {
        Self { expired: Vec::with_capacity(patterns), news: Vec::with_capacity(patterns) }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.expired.is_empty() && self.news.is_empty()
    }
}

/// The hit at hand and what it works on.
pub(super) struct Round<'a> {
    pub(super) plan: &'a Plan,
    pub(super) table: &'a mut Table,
    pub(super) gathered: &'a mut Gathered,
    pub(super) sink: &'a mut dyn Sink,
    pub(super) stages: bool,
    pub(super) now: Nanos,
    pub(super) hit: &'a Hit,
    pub(super) step: StepKey,
    pub(super) home: Home,
    /// The group last asked for, and the source's entry in it.
    pub(super) found: Option<(GroupId, Option<Slot>)>,
}

impl Round<'_> {
    /// The compatible groups in scope: they share one rule, that nothing begins while something is under way.
    pub(super) fn compatible(&mut self, scopes: &[ScopeId]) -> Outcome {
        let plan = self.plan;
        let sees = |scope: &ScopeId| {
            plan.compatible(*scope).iter().any(|group| plan.sees(*group, self.step, self.hit))
        };
        if !plan.is_compatible_step(self.step) || !scopes.iter().any(sees) {
            return Outcome::Invisible;
        }
        let mut followed = None;
        for scope in scopes {
            for group in plan.compatible(*scope) {
                followed = followed.max(self.follow_compatible(*group));
            }
        }
        followed.unwrap_or_else(|| self.begin_compatible(scopes))
    }

    fn begin_compatible(&mut self, scopes: &[ScopeId]) -> Outcome {
        let plan = self.plan;
        let mut begun = Outcome::Ignored;
        for scope in scopes {
            for group in plan.compatible(*scope) {
                begun = begun.max(self.start(*group));
            }
        }
        begun
    }

    /// The strict groups in scope, each for itself.
    pub(super) fn strict(&mut self, scopes: &[ScopeId]) -> Outcome {
        let plan = self.plan;
        let mut outcome = Outcome::Invisible;
        if plan.is_ignored(self.step) {
            return outcome;
        }
        for scope in scopes {
            for group in plan.strict(*scope) {
                if plan.touches(*group, self.hit) {
                    let followed = self.follow_strict(*group);
                    outcome = outcome.max(followed.unwrap_or_else(|| self.start(*group)));
                }
            }
        }
        outcome
    }

    fn follow_compatible(&mut self, group: GroupId) -> Option<Outcome> {
        let (slot, entry) = self.under_way(group)?;
        if entry.remembers(self.hit.mark) {
            return Some(Outcome::Retransmission);
        }
        if !self.plan.passes(group, self.hit) {
            return Some(Outcome::Ignored);
        }
        Some(self.advance(slot, &entry).unwrap_or_else(|| {
            self.remember(slot);
            self.rest(slot);
            Outcome::Broken
        }))
    }

    fn follow_strict(&mut self, group: GroupId) -> Option<Outcome> {
        let (slot, entry) = self.under_way(group)?;
        if entry.remembers(self.hit.mark) {
            return Some(Outcome::Retransmission);
        }
        if self.plan.passes(group, self.hit) {
            if let Some(outcome) = self.advance(slot, &entry) {
                return Some(outcome);
            }
            if self.plan.is_step_into(entry.node, self.step) {
                self.remember(slot);
                return Some(Outcome::Tolerated);
            }
        }
        self.rest(slot);
        let begun = self.start(group);
        if begun >= Outcome::Started {
            return Some(begun);
        }
        self.remember(slot);
        Some(Outcome::Cancelled)
    }

    /// The source's entry in a group. To begin what does not go on yet nothing is looked for twice.
    fn find(&mut self, group: GroupId) -> Option<Slot> {
        match self.found {
            Some((last, slot)) if last == group => slot,
            _ => {
                let slot = self.table.find(self.home, self.hit.source, group);
                self.found = Some((group, slot));
                slot
            }
        }
    }

    /// The source's attempt in a group, if it has one that is not over time.
    fn under_way(&mut self, group: GroupId) -> Option<(Slot, Entry)> {
        let slot = self.find(group)?;
        let entry = *self.table.get(slot).filter(|entry| !entry.is_resting())?;
        let limits = newly_over(&entry, self.now);
        if self.plan.runs_out(entry.node, &limits) {
            self.note_expired(slot, &entry, limits);
        }
        if self.plan.goes_on(entry.node, Age::at(entry.started, self.now)) {
            return Some((slot, entry));
        }
        self.rest(slot);
        None
    }

    fn note_expired(&mut self, slot: Slot, entry: &Entry, limits: RangeInclusive<Nanos>) {
        if let Some(entry) = self.table.entry_mut(slot) {
            entry.reported = limits.end().saturating_add(1);
        }
        if self.stages {
            let over = self.plan.run_out(entry.node, entry.started, limits);
            let news = over.map(|pattern| News { pattern, stage: entry.stage, complete: false });
            self.gathered.expired.extend(news);
        }
    }

    /// One step further, where some pattern that still counts the attempt has this step.
    fn advance(&mut self, slot: Slot, entry: &Entry) -> Option<Outcome> {
        let age = Age::at(entry.started, self.now);
        let child = self.plan.child(entry.node, self.step)?;
        if !self.plan.counts_here(child, age) {
            return None;
        }
        let goes_on = self.plan.goes_on(child, age);
        self.remember(slot);
        self.table.advance(slot, child, self.plan.stage(child));
        if !goes_on {
            self.rest(slot);
        }
        let completed = self.tell(child, age, goes_on);
        Some(if completed { Outcome::Completed } else { Outcome::Advanced })
    }

    /// A first step, from a source with no attempt in this group.
    fn start(&mut self, group: GroupId) -> Outcome {
        let (plan, age) = (self.plan, Age::new(self.now));
        let Some(first) = plan.first(group, self.step, self.hit) else {
            return Outcome::Ignored;
        };
        let known = self.find(group);
        let in_memory = |entry: &&Entry| self.now.saturating_sub(entry.started) < REST;
        let old = known.and_then(|slot| self.table.get(slot)).filter(in_memory);
        if old.is_some_and(|old| old.remembers(self.hit.mark)) {
            return Outcome::Retransmission;
        }
        if !first.place.counts_here(age) {
            return Outcome::Ignored;
        }
        let nobody = Entry::resting(self.hit.source, group, first.root, self.now);
        let goes_on = first.place.goes_on(age);
        self.begin(old.copied().unwrap_or(nobody), &first, goes_on, known);
        if self.tell(first.id, age, goes_on) { Outcome::Completed } else { Outcome::Started }
    }

    /// Writes the entry of a first step, and with it what the source's entry before it remembers.
    fn begin(&mut self, mut entry: Entry, first: &First<'_>, goes_on: bool, known: Option<Slot>) {
        entry.remember(self.hit.mark);
        (entry.started, entry.reported) = (self.now, 0);
        if goes_on {
            (entry.node, entry.stage) = (first.id, first.place.stage());
        } else if self.hit.mark.is_none() {
            // Nothing under way and nothing to remember.
            return;
        }
        if let Some(slot) = known.or_else(|| self.make_room(entry.group)) {
            self.table.put(slot, self.home, entry);
        }
    }

    fn make_room(&mut self, group: GroupId) -> Option<Slot> {
        let (plan, now) = (self.plan, self.now);
        let is_over = |entry: &Entry| !plan.goes_on(entry.node, Age::at(entry.started, now));
        match self.table.room(self.home, group, now, is_over)? {
            Room::Free(slot) => Some(slot),
            Room::Displace(slot) => {
                self.displace(slot);
                Some(slot)
            }
        }
    }

    fn displace(&mut self, slot: Slot) {
        let Some(entry) = self.table.get(slot).filter(|entry| !entry.is_resting()) else {
            return;
        };
        let in_time = self.plan.goes_on(entry.node, Age::at(entry.started, self.now));
        if self.stages {
            tell_expired(self.plan, entry, self.now, self.sink);
        }
        if in_time {
            self.table.count_displaced(entry.stage);
        }
    }

    /// Gathers what patterns at this place have to say; true if one is complete.
    fn tell(&mut self, node: NodeId, age: Age, goes_on: bool) -> bool {
        let (plan, stage, news) = (self.plan, self.plan.stage(node), &mut self.gathered.news);
        let counts = |pattern: &u32| plan.counts(*pattern, age);
        let before = news.len();
        let complete = plan.ends(node).iter().copied().filter(counts);
        news.extend(complete.map(|pattern| News { pattern, stage, complete: true }));
        let completed = news.len() > before;
        if self.stages && goes_on {
            let onward = plan.onward(node).iter().copied().filter(counts);
            news.extend(onward.map(|pattern| News { pattern, stage, complete: false }));
        }
        completed
    }

    fn remember(&mut self, slot: Slot) {
        if let Some(entry) = self.table.entry_mut(slot) {
            entry.remember(self.hit.mark);
        }
    }

    fn rest(&mut self, slot: Slot) {
        let root = self.table.get(slot).and_then(|entry| self.plan.root(entry.group));
        self.table.rest(slot, root.unwrap_or(0), self.now);
    }
}

/// The time limits that have run out since the last report.
pub(super) fn newly_over(entry: &Entry, now: Nanos) -> RangeInclusive<Nanos> {
    entry.reported..=now.saturating_sub(entry.started)
}

/// Reports what has run out of an entry since the last report.
pub(super) fn tell_expired(plan: &Plan, entry: &Entry, now: Nanos, sink: &mut dyn Sink) {
    for pattern in plan.run_out(entry.node, entry.started, newly_over(entry, now)) {
        sink.expired(entry.source, PatternId(pattern), entry.stage);
    }
}
