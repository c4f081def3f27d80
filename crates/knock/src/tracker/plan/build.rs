//! From the list of patterns to groups and trees.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use super::{
    Edge, Group, GroupId, GroupKey, Listening, Nanos, Node, NodeId, Plan, Reach, StepKey, StepSet, Timing,
};
use super::{at, id, nanos};
use crate::{Mode, Pattern, Protocol, Step, TrackerError};

/// Patterns at most; with 32 steps each, places then have numbers of 32 bits to spare.
const MAX_PATTERNS: usize = 1 << 24;

impl Plan {
    /// Whether these patterns can be compiled. A change of their sequences alone does not change the answer.
    pub(in crate::tracker) fn check(patterns: &[Pattern]) -> Result<(), TrackerError> {
        if patterns.len() > MAX_PATTERNS {
            return Err(TrackerError::TooManyPatterns);
        }
        let keys: HashSet<GroupKey> = patterns.iter().map(GroupKey::of).collect();
        if keys.len() > usize::from(GroupId::MAX) {
            return Err(TrackerError::TooManyGroups);
        }
        Ok(())
    }

    /// Compiles patterns that [`Plan::check`] has passed. `since` has an item for each. Groups that `old` has keep
    /// their numbers.
    pub(in crate::tracker) fn build(
        patterns: &[Pattern],
        since: &[Nanos],
        ignore: &[Step],
        old: Option<&Self>,
    ) -> Self {
        let mut builder = Builder::new(patterns, since, old);
        for (pattern, number) in patterns.iter().zip(0..) {
            builder.add(pattern, number);
        }
        builder.finish(ignore)
    }
}

/// What a place gathers while patterns are added.
#[derive(Default)]
struct Lists {
    ends: Vec<u32>,
    onward: Vec<u32>,
    /// Sorted.
    timeouts: Vec<Nanos>,
}

struct Builder {
    plan: Plan,
    /// One for each place.
    lists: Vec<Lists>,
    numbers: HashMap<GroupKey, GroupId>,
    children: BTreeMap<(NodeId, StepKey), NodeId>,
}

impl Builder {
    fn new(patterns: &[Pattern], since: &[Nanos], old: Option<&Plan>) -> Self {
        let timing = |(pattern, since): (&Pattern, &Nanos)| Timing {
            timeout: nanos(pattern.timeout),
            cooldown: nanos(pattern.cooldown),
            since: *since,
            end: None,
        };
        let plan = Plan {
            groups: Vec::new(),
            nodes: Vec::new(),
            edges: Vec::new(),
            patterns: Vec::new(),
            timeouts: Vec::new(),
            timings: patterns.iter().zip(since).map(timing).collect(),
            scopes: Vec::new(),
            compatible_steps: StepSet::empty(),
            ignored: StepSet::empty(),
        };
        let numbers = group_numbers(patterns, old);
        Self { plan, lists: Vec::new(), numbers, children: BTreeMap::new() }
    }

    fn add(&mut self, pattern: &Pattern, number: u32) {
        let Some(&group) = self.numbers.get(&GroupKey::of(pattern)) else {
            return;
        };
        // Also without a sequence: the group remembers what has counted until there is one again.
        let mut place = self.root(group, pattern);
        let Some(sequence) = &pattern.sequence else { return };
        for step in sequence.steps() {
            self.note_onward(place, number);
            self.note_step(group, *step);
            place = self.child(place, StepKey::from(*step));
        }
        if let Some(lists) = self.lists.get_mut(at(place)) {
            lists.ends.push(number);
        }
        if let Some(timing) = self.plan.timings.get_mut(at(number)) {
            timing.end = Some(place);
        }
    }

    fn root(&mut self, group: GroupId, pattern: &Pattern) -> NodeId {
        if let Some(root) = self.plan.root(group) {
            return root;
        }
        let root = self.push(Node::new(group, None));
        let index = usize::from(group);
        if self.plan.groups.len() <= index {
            self.plan.groups.resize(index.saturating_add(1), None);
        }
        if let Some(slot) = self.plan.groups.get_mut(index) {
            *slot = Some(Group { key: GroupKey::of(pattern), root, steps: Vec::new(), udp: false });
        }
        self.listen(group, pattern);
        root
    }

    fn listen(&mut self, group: GroupId, pattern: &Pattern) {
        let scope = usize::from(pattern.scope.0);
        if self.plan.scopes.len() <= scope {
            self.plan.scopes.resize_with(scope.saturating_add(1), Listening::default);
        }
        if let Some(listening) = self.plan.scopes.get_mut(scope) {
            match pattern.mode {
                Mode::Compatible => listening.compatible.push(group),
                Mode::Strict => listening.strict.push(group),
            }
        }
    }

    fn note_onward(&mut self, place: NodeId, number: u32) {
        let Some(lists) = self.lists.get_mut(at(place)) else {
            return;
        };
        lists.onward.push(number);
        let timeout = self.plan.timings.get(at(number)).map_or(0, |timing| timing.timeout);
        if let Err(sorted) = lists.timeouts.binary_search(&timeout) {
            lists.timeouts.insert(sorted, timeout);
        }
    }

    fn note_step(&mut self, group: GroupId, step: Step) {
        let Some(Some(group)) = self.plan.groups.get_mut(usize::from(group)) else {
            return;
        };
        group.steps.push(StepKey::from(step));
        group.udp |= step.protocol == Protocol::Udp;
        if group.key.mode == Mode::Compatible {
            self.plan.compatible_steps.insert(StepKey::from(step));
        }
    }

    fn child(&mut self, parent: NodeId, step: StepKey) -> NodeId {
        if let Some(child) = self.children.get(&(parent, step)) {
            return *child;
        }
        let Some(node) = self
            .plan
            .nodes
            .get(at(parent))
            .map(|above| Node::new(above.group, Some((above.stage, parent, step))))
        else {
            return parent;
        };
        let child = self.push(node);
        self.children.insert((parent, step), child);
        child
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.plan.nodes.push(node);
        self.lists.push(Lists::default());
        id(self.plan.nodes.len().saturating_sub(1))
    }

    fn finish(mut self, ignore: &[Step]) -> Plan {
        for ((parent, step), child) in self.children {
            let end = id(self.plan.edges.len().saturating_add(1));
            if let Some(node) = self.plan.nodes.get_mut(at(parent)) {
                let start =
                    if node.children.is_empty() { end.saturating_sub(1) } else { node.children.start };
                node.children = start..end;
            }
            self.plan.edges.push(Edge { step, child });
        }
        for group in self.plan.groups.iter_mut().flatten() {
            group.steps.sort_unstable();
            group.steps.dedup();
        }
        for (node, lists) in self.plan.nodes.iter_mut().zip(self.lists) {
            node.ends = append(&mut self.plan.patterns, &lists.ends);
            node.onward = append(&mut self.plan.patterns, &lists.onward);
            node.timeouts = append(&mut self.plan.timeouts, &lists.timeouts);
            node.measure(&self.plan.timings, &self.plan.patterns);
        }
        // It stays as it is until the next policy.
        self.plan.nodes.shrink_to_fit();
        self.plan.edges.shrink_to_fit();
        self.plan.patterns.shrink_to_fit();
        self.plan.timeouts.shrink_to_fit();
        for step in ignore {
            self.plan.ignored.insert(StepKey::from(*step));
        }
        self.plan
    }
}

impl Node {
    /// A root, or the place one step further than `above`: its stage, itself, the step.
    fn new(group: GroupId, above: Option<(u8, NodeId, StepKey)>) -> Self {
        let (stage, parent, step) =
            above.map_or((0, 0, StepKey(0)), |(stage, parent, step)| (stage.saturating_add(1), parent, step));
        Self {
            group,
            parent,
            step,
            stage,
            children: 0..0,
            ends: 0..0,
            onward: 0..0,
            reach: Reach::default(),
            onward_reach: Reach::default(),
            timeouts: 0..0,
        }
    }
}

/// Adds these to a list that all places share; where they are there.
fn append<T: Copy>(list: &mut Vec<T>, more: &[T]) -> Range<u32> {
    let start = id(list.len());
    list.extend_from_slice(more);
    start..id(list.len())
}

/// A number for each combination of scope, mode and filter: the old one where there is one, else the lowest free.
fn group_numbers(patterns: &[Pattern], old: Option<&Plan>) -> HashMap<GroupKey, GroupId> {
    let wanted: HashSet<GroupKey> = patterns.iter().map(GroupKey::of).collect();
    let known = old.into_iter().flat_map(|old| old.groups.iter().zip(0..));
    let mut numbers: HashMap<GroupKey, GroupId> = known
        .filter_map(|(group, number)| group.as_ref().map(|group| (group.key, number)))
        .filter(|(key, _)| wanted.contains(key))
        .collect();
    let taken: HashSet<GroupId> = numbers.values().copied().collect();
    let mut free = (0..GroupId::MAX).filter(|number| !taken.contains(number));
    for key in patterns.iter().map(GroupKey::of) {
        if let std::collections::hash_map::Entry::Vacant(vacant) = numbers.entry(key)
            && let Some(number) = free.next()
        {
            vacant.insert(number);
        }
    }
    numbers
}
