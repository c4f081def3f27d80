//! The patterns, compiled for the tracker: groups of patterns that move in step, each a tree of its sequences.
//!
//! Patterns of one scope, flag filter and mode see the same hits, so one place in the tree of their sequences says how
//! far a source has got in all of them. What a hit costs then depends on the number of groups that listen where it
//! went, not on the number of patterns. Spec: spec/knock.md, "Groups". Nothing here knows of sources.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use super::reach::Reach;
use crate::{FlagFilter, Hit, Mode, Pattern, Protocol, ScopeId, Step};

/// Nanoseconds since the caller's origin.
pub(super) type Nanos = u64;

/// Later than any time: [`nanos`] stays below it.
pub(super) const NEVER: Nanos = 1 << 63;

pub(super) fn nanos(time: Duration) -> Nanos {
    Nanos::try_from(time.as_nanos()).unwrap_or(NEVER).min(NEVER - 1)
}

fn at(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

fn id(index: usize) -> u32 {
    // `check` keeps every count far below the end.
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// A place's part of a list that all places share.
fn part<'l, T>(list: &'l [T], range: &Range<u32>) -> &'l [T] {
    list.get(at(range.start)..at(range.end)).unwrap_or_default()
}

/// A step as a number: 17 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StepKey(u32);

impl From<Step> for StepKey {
    fn from(step: Step) -> Self {
        let udp = if step.protocol == Protocol::Udp { 1 << 16 } else { 0 };
        Self(u32::from(step.port) | udp)
    }
}

/// A set of steps: a bit for each.
#[derive(Debug, Clone)]
struct StepSet(Box<[u64; 2048]>);

impl StepSet {
    fn empty() -> Self {
        Self(Box::new([0; 2048]))
    }

    fn insert(&mut self, step: StepKey) {
        if let Some(word) = self.0.get_mut(at(step.0 >> 6)) {
            *word |= 1 << (step.0 & 63);
        }
    }

    fn contains(&self, step: StepKey) -> bool {
        self.0.get(at(step.0 >> 6)).is_some_and(|word| word & (1 << (step.0 & 63)) != 0)
    }
}

/// What patterns must have in common to move in step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct GroupKey {
    scope: ScopeId,
    mode: Mode,
    flags: FlagFilter,
}

impl GroupKey {
    const fn of(pattern: &Pattern) -> Self {
        Self { scope: pattern.scope, mode: pattern.mode, flags: pattern.flags }
    }
}

/// A group's number. It stays the same over a change of patterns, so that the table can stay where it is.
pub(super) type GroupId = u16;

#[derive(Debug, Clone)]
struct Group {
    key: GroupKey,
    root: NodeId,
    /// All steps of all its sequences, sorted.
    steps: Vec<StepKey>,
    /// Whether UDP is among them.
    udp: bool,
}

impl Group {
    fn passes(&self, hit: &Hit) -> bool {
        hit.protocol == Protocol::Udp || self.key.flags.matches(hit.flags)
    }
}

/// A place in the trees. Parents have lower numbers than their children.
pub(super) type NodeId = u32;

#[derive(Debug, Clone)]
pub(super) struct Node {
    group: GroupId,
    parent: NodeId,
    step: StepKey,
    stage: u8,
    /// Its part of [`Plan::edges`].
    children: Range<u32>,
    /// Patterns that are complete here, in order: its part of [`Plan::patterns`].
    ends: Range<u32>,
    /// Patterns that pass through here and go on, in order: another part of it.
    onward: Range<u32>,
    /// Attempts that some pattern ending here or going on still counts.
    reach: Reach,
    /// Attempts that some pattern going on still counts.
    onward_reach: Reach,
    /// The different time limits of those that go on: its part of [`Plan::timeouts`].
    timeouts: Range<u32>,
}

/// What a first step begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct First<'p> {
    /// The group's root, where whoever has no attempt rests.
    pub(super) root: NodeId,
    /// The place one step further.
    pub(super) id: NodeId,
    pub(super) place: &'p Node,
}

#[derive(Debug, Clone, Copy)]
struct Edge {
    step: StepKey,
    child: NodeId,
}

/// What the tracker needs to know of one pattern at every turn.
#[derive(Debug, Clone, Copy)]
struct Timing {
    timeout: Nanos,
    cooldown: Nanos,
    /// Attempts that began before do not count: from [`NEVER`] on none does, and what is above it is the time from before.
    since: Nanos,
    /// Where its last step leads to, if it has one now.
    end: Option<NodeId>,
}

/// The groups that listen to one scope.
#[derive(Debug, Clone, Default)]
struct Listening {
    compatible: Vec<GroupId>,
    strict: Vec<GroupId>,
}

/// The compiled patterns.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// By number; a number can be free.
    groups: Vec<Option<Group>>,
    nodes: Vec<Node>,
    /// Sorted by parent, then by step.
    edges: Vec<Edge>,
    patterns: Vec<u32>,
    timeouts: Vec<Nanos>,
    timings: Vec<Timing>,
    scopes: Vec<Listening>,
    /// Steps of any compatible pattern: most packets end here.
    compatible_steps: StepSet,
    ignored: StepSet,
}

/// When an attempt began, and how long ago that is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Age {
    pub(super) started: Nanos,
    /// `None` for the hit that begins it: a time limit of nothing still lets a sequence of one step through.
    pub(super) elapsed: Option<Nanos>,
}

impl Age {
    pub(super) const fn new(now: Nanos) -> Self {
        Self { started: now, elapsed: None }
    }

    pub(super) const fn at(started: Nanos, now: Nanos) -> Self {
        Self { started, elapsed: Some(now.saturating_sub(started)) }
    }
}

/// Questions on the way of a hit: none allocates, none depends on the number of patterns.
impl Plan {
    pub(super) fn compatible(&self, scope: ScopeId) -> &[GroupId] {
        self.scopes.get(usize::from(scope.0)).map_or(&[], |listening| &listening.compatible)
    }

    pub(super) fn strict(&self, scope: ScopeId) -> &[GroupId] {
        self.scopes.get(usize::from(scope.0)).map_or(&[], |listening| &listening.strict)
    }

    pub(super) fn is_compatible_step(&self, step: StepKey) -> bool {
        self.compatible_steps.contains(step)
    }

    pub(super) fn is_ignored(&self, step: StepKey) -> bool {
        self.ignored.contains(step)
    }

    /// Whether the hit is to a port of a compatible group and passes its filter.
    pub(super) fn sees(&self, group: GroupId, step: StepKey, hit: &Hit) -> bool {
        self.group(group).is_some_and(|group| group.passes(hit) && group.steps.binary_search(&step).is_ok())
    }

    /// Whether a hit of the group's protocols that is no step of it ends a strict attempt.
    pub(super) fn touches(&self, group: GroupId, hit: &Hit) -> bool {
        match hit.protocol {
            Protocol::Tcp => {
                hit.flags.is_initial_syn() && self.group(group).is_some_and(|group| !group.steps.is_empty())
            }
            Protocol::Udp => self.group(group).is_some_and(|group| group.udp),
        }
    }

    pub(super) fn passes(&self, group: GroupId, hit: &Hit) -> bool {
        self.group(group).is_some_and(|group| group.passes(hit))
    }

    /// The groups there are.
    pub(super) fn groups(&self) -> impl Iterator<Item = GroupId> {
        (0..).zip(&self.groups).filter(|(_, group)| group.is_some()).map(|(number, _)| number)
    }

    /// Where a first step leads in a group whose filter passes it.
    pub(super) fn first(&self, group: GroupId, step: StepKey, hit: &Hit) -> Option<First<'_>> {
        let group = self.group(group).filter(|group| group.passes(hit))?;
        let id = self.child(group.root, step)?;
        Some(First { root: group.root, id, place: self.node(id)? })
    }

    /// The place of a source that has no attempt.
    pub(super) fn root(&self, group: GroupId) -> Option<NodeId> {
        self.group(group).map(|group| group.root)
    }

    pub(super) fn child(&self, node: NodeId, step: StepKey) -> Option<NodeId> {
        let edges = part(&self.edges, &self.node(node)?.children);
        let found = edges.binary_search_by_key(&step, |edge| edge.step).ok()?;
        edges.get(found).map(|edge| edge.child)
    }

    pub(super) fn stage(&self, node: NodeId) -> u8 {
        self.node(node).map_or(0, |node| node.stage)
    }

    /// The step that leads here.
    pub(super) fn is_step_into(&self, node: NodeId, step: StepKey) -> bool {
        self.node(node).is_some_and(|node| node.stage > 0 && node.step == step)
    }

    /// Whether some pattern that ends here or goes on counts an attempt of this age.
    pub(super) fn counts_here(&self, node: NodeId, age: Age) -> bool {
        self.node(node).is_some_and(|node| node.counts_here(age))
    }

    /// Whether some pattern that goes on from here counts it.
    pub(super) fn goes_on(&self, node: NodeId, age: Age) -> bool {
        self.node(node).is_some_and(|node| node.goes_on(age))
    }

    pub(super) fn ends(&self, node: NodeId) -> &[u32] {
        self.node(node).map_or(&[], |node| part(&self.patterns, &node.ends))
    }

    pub(super) fn onward(&self, node: NodeId) -> &[u32] {
        self.node(node).map_or(&[], |node| part(&self.patterns, &node.onward))
    }

    pub(super) fn counts(&self, pattern: u32, age: Age) -> bool {
        self.timings.get(at(pattern)).is_some_and(|timing| {
            timing.since <= age.started && age.elapsed.is_none_or(|elapsed| elapsed < timing.timeout)
        })
    }

    /// Whether a time limit of some pattern that goes on lies in this range.
    pub(super) fn runs_out(&self, node: NodeId, limits: &RangeInclusive<Nanos>) -> bool {
        let timeouts = self.node(node).map_or(&[][..], |node| part(&self.timeouts, &node.timeouts));
        timeouts.iter().any(|timeout| limits.contains(timeout))
    }

    /// The patterns that counted an attempt begun at `started` until a limit in this range, in order.
    pub(super) fn run_out(
        &self,
        node: NodeId,
        started: Nanos,
        limits: RangeInclusive<Nanos>,
    ) -> impl Iterator<Item = u32> {
        let over = move |pattern: &u32| {
            let timing = self.timings.get(at(*pattern));
            timing.is_some_and(|timing| timing.since <= started && limits.contains(&timing.timeout))
        };
        self.onward(node).iter().copied().filter(over)
    }

    fn group(&self, group: GroupId) -> Option<&Group> {
        self.groups.get(usize::from(group)).and_then(Option::as_ref)
    }

    fn node(&self, node: NodeId) -> Option<&Node> {
        self.nodes.get(at(node))
    }
}

/// Changes.
impl Plan {
    pub(super) fn cooldown(&self, pattern: u32) -> Nanos {
        self.timings.get(at(pattern)).map_or(0, |timing| timing.cooldown)
    }

    /// From which start on attempts count, for each pattern; of one that was silenced, as if it had not been.
    pub(super) fn since(&self) -> impl Iterator<Item = Nanos> {
        self.timings.iter().map(|timing| timing.since & !NEVER)
    }

    /// Makes a pattern deaf for attempts that begin before `since`. Costs a walk over its own steps and the patterns that share
    /// them; it happens once in a cooldown.
    pub(super) fn deafen(&mut self, pattern: u32, since: Nanos) {
        self.change(pattern, |timing| timing.since = since);
    }

    /// Makes a pattern deaf until the plan is built anew, at the same cost.
    pub(super) fn silence(&mut self, pattern: u32) {
        self.change(pattern, |timing| timing.since |= NEVER);
    }

    /// Changes a pattern's timing, and what the places on its way count with it.
    fn change(&mut self, pattern: u32, change: impl FnOnce(&mut Timing)) {
        let Some(timing) = self.timings.get_mut(at(pattern)) else {
            return;
        };
        change(timing);
        let mut next = timing.end;
        while let Some(index) = next {
            let Some(node) = self.nodes.get_mut(at(index)) else {
                return;
            };
            node.measure(&self.timings, &self.patterns);
            next = (node.stage > 0).then_some(node.parent);
        }
    }

    /// Where each place of the old plan is in this one.
    pub(super) fn places_from(&self, old: &Self) -> Vec<Option<NodeId>> {
        let mut places: Vec<Option<NodeId>> = Vec::with_capacity(old.nodes.len());
        for node in &old.nodes {
            let same_group = |group: &&Group| old.group(node.group).is_some_and(|old| old.key == group.key);
            let place = if node.stage == 0 {
                self.group(node.group).filter(same_group).map(|group| group.root)
            } else {
                let parent = places.get(at(node.parent)).copied().flatten();
                parent.and_then(|parent| self.child(parent, node.step))
            };
            places.push(place);
        }
        places
    }
}

impl Node {
    pub(super) const fn stage(&self) -> u8 {
        self.stage
    }

    /// As [`Plan::counts_here`].
    pub(super) fn counts_here(&self, age: Age) -> bool {
        self.reach.covers(age)
    }

    /// As [`Plan::goes_on`].
    pub(super) fn goes_on(&self, age: Age) -> bool {
        self.onward_reach.covers(age)
    }

    /// Takes its reach from the timings of its patterns anew; allocates nothing when no time limit is new.
    fn measure(&mut self, timings: &[Timing], patterns: &[u32]) {
        let timings_of = |range| part(patterns, range).iter().filter_map(|pattern| timings.get(at(*pattern)));
        self.onward_reach.clear();
        for timing in timings_of(&self.onward) {
            self.onward_reach.add(timing.timeout, timing.since);
        }
        self.reach.clone_from(&self.onward_reach);
        for timing in timings_of(&self.ends) {
            self.reach.add(timing.timeout, timing.since);
        }
    }
}

mod build;
