//! How far each source has got in each sequence. Implements spec/knock.md, "Attempts".
//!
//! A table of fixed size holds one entry of 72 bytes for each source and group of patterns that has something under way.
//! Work and memory for a hit do not depend on the number of patterns (they are compiled to trees) or of
//! sources (the table is a hash table of sets of eight). Nothing is allocated for a hit.
//!
//! **Who makes room.** A newcomer always begins. In a full set it takes the place of the oldest attempt of the stage that
//! most of the set are at. So a flood pushes out its own: attempts that have made more steps than whoever floods the
//! table can make stay, and at each stage that he reaches others keep their share of the set.
//!
//! **How large the table must be.** A source that pauses for `p` after its first hit keeps its attempt, on average,
//! while fewer than `entries` other attempts begin during `p`: `entries >= pause x rate`, with a reserve of two or three for
//! luck. 2^16 entries (4.5 MiB) carry pauses of 80 ms at 400,000 spoofed first hits a second, 2^20 (72 MiB) pauses of one
//! second. Against somebody who knows two ports it takes twice as many, and four times against one who knows three.
//!
//! Not here: which scopes a destination has (the gate), reports (the [`Sink`]), and when to sweep (the caller).

mod ahead;
mod plan;
mod reach;
mod round;
mod table;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use self::ahead::Ahead;
use self::plan::{Age, Nanos, NodeId, Plan, StepKey, nanos};
use self::round::{Gathered, Round};
use self::table::{REST, Slot, Table};
use crate::{
    Displaced, Hit, Keep, Limits, Outcome, Pattern, PatternId, ScopeId, Sequence, Sink, Step, TrackerError,
};

/// Sets looked at in one sweep: all of a table of the default size, a part of a larger one, so that a sweep never
/// holds up hits for long.
const SWEEP_SETS: usize = 1 << 13;

/// A flood meets few groups, most often one.
const GROUPS_AHEAD: usize = 2;

/// Follows every source through every pattern.
#[derive(Debug)]
pub struct Tracker {
    patterns: Vec<Pattern>,
    ignore: Vec<Step>,
    plan: Plan,
    table: Table,
    gathered: Gathered,
    ahead: Ahead,
    /// No time before this counts: it parts attempts from a change of patterns in the same instant.
    floor: Nanos,
    swept_to: usize,
}

impl Tracker {
    /// How many sources [`Tracker::read_ahead`] takes: more than a processor can wait for at a time would be in vain.
    pub const AHEAD: usize = 16;

    /// A tracker for `patterns`. Strict patterns do not see the ports in `ignore`: they neither count nor cancel.
    /// `key` makes the table's hash unpredictable: 16 random bytes.
    pub fn new(
        patterns: &[Pattern],
        ignore: &[Step],
        limits: Limits,
        key: [u8; 16],
    ) -> Result<Self, TrackerError> {
        Plan::check(patterns)?;
        Ok(Self {
            patterns: patterns.to_vec(),
            ignore: ignore.to_vec(),
            plan: Plan::build(patterns, &vec![0; patterns.len()], ignore, None),
            table: Table::new(limits, key)?,
            gathered: Gathered::with_room_for(patterns.len()),
            ahead: Ahead::default(),
            floor: 0,
            swept_to: 0,
        })
    }

    /// Looks at one hit that falls in `scopes`, each named once.
    pub fn hit(&mut self, now: Duration, scopes: &[ScopeId], hit: &Hit, sink: &mut dyn Sink) -> Outcome {
        let now = nanos(now).max(self.floor);
        let stages = sink.wants_stages();
        let home = self.ahead.home_of(hit.source).unwrap_or_else(|| self.table.home(hit.source));
        let mut round = Round {
            home,
            found: None,
            plan: &self.plan,
            table: &mut self.table,
            gathered: &mut self.gathered,
            stages,
            sink: &mut *sink,
            now,
            hit,
            step: StepKey::from(hit.step()),
        };
        let outcome = round.compatible(scopes).max(round.strict(scopes));
        if !self.gathered.is_empty() {
            self.tell(hit, stages, sink);
            self.cool_down(now);
        }
        outcome
    }

    /// Fetches what hits of these sources will look at, side by side, where one by one each would wait for its own. Of more than
    /// [`Tracker::AHEAD`] only the first. It changes nothing of what hits bring.
    pub fn read_ahead(&mut self, now: Duration, sources: impl IntoIterator<Item = IpAddr>) {
        let table = &self.table;
        self.ahead.renew(sources, |source| table.home(source));
        for group in self.plan.groups().take(GROUPS_AHEAD) {
            table.read_ahead(self.ahead.homes(), group, nanos(now));
        }
    }

    /// Gives a pattern another sequence, or none. Attempts begun before do not count for it, not even in the steps
    /// that the two sequences share. Costs a walk over the table.
    pub fn replace(&mut self, now: Duration, pattern: PatternId, sequence: Option<Sequence>) {
        let Ok(index) = usize::try_from(pattern.0) else {
            return;
        };
        let Some(pattern) = self.patterns.get_mut(index) else {
            return;
        };
        pattern.sequence = sequence;
        let from_now = self.raise_floor(now);
        let mut since: Vec<Nanos> = self.plan.since().collect();
        if let Some(since) = since.get_mut(index) {
            *since = from_now.max(*since);
        }
        self.compile(&since);
    }

    /// Takes a pattern's sequence away, at once and whatever the number of patterns and attempts; until the next change of patterns
    /// its ports still count as ports of a pattern, as in a cooldown. Allocates nothing.
    pub fn silence(&mut self, pattern: PatternId) {
        let index = usize::try_from(pattern.0).ok();
        if let Some(silenced) = index.and_then(|index| self.patterns.get_mut(index)) {
            silenced.sequence = None;
            self.plan.silence(pattern.0);
        }
    }

    /// Takes over other patterns. With [`Keep::Unchanged`] attempts at patterns that are among the old ones too go on,
    /// whatever their number is now. On an error the old patterns stay.
    pub fn reconfigure(
        &mut self,
        now: Duration,
        patterns: &[Pattern],
        ignore: &[Step],
        keep: Keep,
    ) -> Result<(), TrackerError> {
        Plan::check(patterns)?;
        let from_now = self.raise_floor(now);
        let since = match keep {
            Keep::Unchanged => self.since_of_unchanged(patterns, from_now),
            Keep::Nothing => {
                self.table.clear();
                vec![0; patterns.len()]
            }
        };
        self.patterns = patterns.to_vec();
        self.ignore = ignore.to_vec();
        self.gathered = Gathered::with_room_for(patterns.len());
        self.compile(&since);
        Ok(())
    }

    /// Reports and ends attempts that are over time. Not needed for what opens, but for the reports and for
    /// [`Tracker::attempts`]. To be called at most once a second, before a hit. Of a table larger than the default one
    /// call looks at a part.
    pub fn expire(&mut self, now: Duration, sink: &mut dyn Sink) {
        let now = nanos(now).max(self.floor);
        let stages = sink.wants_stages();
        for _ in 0..SWEEP_SETS.min(self.table.sets()) {
            let set = self.swept_to;
            self.swept_to = set.saturating_add(1).checked_rem(self.table.sets()).unwrap_or(0);
            for slot in self.table.taken_in(set) {
                self.expire_entry(slot, now, stages, sink);
            }
        }
    }

    /// Attempts under way, those included that are over time and not yet swept.
    #[must_use]
    pub const fn attempts(&self) -> usize {
        self.table.under_way()
    }

    /// How many there is room for.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.table.room_for()
    }

    /// Attempts that were under way and in time and had to make room for others, since the tracker was made.
    #[must_use]
    pub const fn displaced(&self) -> Displaced {
        self.table.displaced()
    }

    fn expire_entry(&mut self, slot: Slot, now: Nanos, stages: bool, sink: &mut dyn Sink) {
        let Some(entry) = self.table.get(slot).copied() else {
            return;
        };
        let elapsed = now.saturating_sub(entry.started);
        if entry.is_resting() {
            if elapsed >= REST {
                self.table.remove(slot);
            }
            return;
        }
        if self.plan.runs_out(entry.node, &round::newly_over(&entry, now)) {
            if stages {
                round::tell_expired(&self.plan, &entry, now, sink);
            }
            if let Some(entry) = self.table.entry_mut(slot) {
                entry.reported = elapsed.saturating_add(1);
            }
        }
        if !self.plan.goes_on(entry.node, Age::at(entry.started, now)) {
            let root = self.plan.root(entry.group).unwrap_or(0);
            self.table.rest(slot, root, now);
        }
    }

    /// Says what the hit has brought, in the order of the patterns.
    fn tell(&mut self, hit: &Hit, stages: bool, sink: &mut dyn Sink) {
        let Gathered { expired, news } = &mut self.gathered;
        expired.sort_unstable_by_key(|item| item.pattern);
        for item in expired.drain(..) {
            sink.expired(hit.source, PatternId(item.pattern), item.stage);
        }
        news.sort_unstable_by_key(|item| item.pattern);
        for item in &*news {
            if stages {
                sink.stage(hit.source, PatternId(item.pattern), item.stage);
            }
            if item.complete {
                sink.complete(hit.source, PatternId(item.pattern));
            }
        }
    }

    fn cool_down(&mut self, now: Nanos) {
        for item in self.gathered.news.drain(..).filter(|item| item.complete) {
            let cooldown = self.plan.cooldown(item.pattern);
            if cooldown > 0 {
                self.plan.deafen(item.pattern, now.saturating_add(cooldown));
            }
        }
    }

    /// Attempts that begin from now on start at this time or later, all others before it.
    fn raise_floor(&mut self, now: Duration) -> Nanos {
        self.floor = nanos(now).max(self.floor).saturating_add(1);
        self.floor
    }

    fn since_of_unchanged(&self, patterns: &[Pattern], from_now: Nanos) -> Vec<Nanos> {
        let mut known: HashMap<&Pattern, VecDeque<Nanos>> = HashMap::new();
        for (pattern, since) in self.patterns.iter().zip(self.plan.since()) {
            known.entry(pattern).or_default().push_back(since);
        }
        let since = |pattern| known.get_mut(pattern).and_then(VecDeque::pop_front).unwrap_or(from_now);
        patterns.iter().map(since).collect()
    }

    /// Compiles the patterns anew and moves the attempts over. Those that no pattern counts come to rest.
    fn compile(&mut self, since: &[Nanos]) {
        let plan = Plan::build(&self.patterns, since, &self.ignore, Some(&self.plan));
        let places = plan.places_from(&self.plan);
        for set in 0..self.table.sets() {
            for slot in self.table.taken_in(set) {
                self.move_entry(slot, &plan, &places);
            }
        }
        self.plan = plan;
    }

    fn move_entry(&mut self, slot: Slot, plan: &Plan, places: &[Option<NodeId>]) {
        let place_of =
            |node: NodeId| usize::try_from(node).ok().and_then(|node| places.get(node)).copied().flatten();
        let Some(entry) = self.table.entry_mut(slot) else {
            return;
        };
        // A group that is gone has no place for its root, even if another group has its number now.
        let Some(root) = self.plan.root(entry.group).and_then(place_of) else {
            return self.table.remove(slot);
        };
        // What is over time and not yet told of has to be told of: it stays until then.
        let age = Age { started: entry.started, elapsed: entry.reported.checked_sub(1) };
        let counted = |node: &NodeId| plan.goes_on(*node, age);
        match place_of(entry.node).filter(counted) {
            Some(node) if !entry.is_resting() => entry.node = node,
            _ if entry.is_resting() => entry.node = root,
            _ => self.table.rest(slot, root, self.floor),
        }
    }
}

#[cfg(test)]
mod tests;
