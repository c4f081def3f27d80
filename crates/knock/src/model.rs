//! The tracker's rules once more, as plainly as they can be written: a list of attempts, one for each source and
//! pattern, gone through for every hit. Tests and fuzzing compare the tracker with it ([`Differential`]).
//!
//! It follows spec/knock.md, "Attempts", sentence by sentence. It knows no limits, no trees and no table; it is slow,
//! and no part of the daemon.

mod differential;

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::time::Duration;

pub use self::differential::{Differential, Event, Heard};
use crate::{FlagFilter, Hit, Keep, Mode, Outcome, Pattern, Protocol, ScopeId, Sequence, Step};

const REMEMBERED_MARKS: usize = 3;
const REMEMBERED_FOR: Duration = Duration::from_secs(64);

/// Patterns that see the same hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    scope: ScopeId,
    flags: FlagFilter,
    mode: Mode,
}

impl Group {
    const fn of(pattern: &Pattern) -> Self {
        Self { scope: pattern.scope, flags: pattern.flags, mode: pattern.mode }
    }

    fn passes(self, hit: &Hit) -> bool {
        hit.protocol == Protocol::Udp || self.flags.matches(hit.flags)
    }
}

#[derive(Debug, Clone)]
struct Watched {
    pattern: Pattern,
    deaf_until: Duration,
    /// Its sequence was taken away; until the next change its ports count all the same.
    silenced: bool,
}

impl Watched {
    fn new(pattern: &Pattern) -> Self {
        Self { pattern: pattern.clone(), deaf_until: Duration::ZERO, silenced: false }
    }

    fn hears(&self, now: Duration) -> bool {
        !self.silenced && self.deaf_until <= now
    }

    fn steps(&self) -> &[Step] {
        self.pattern.sequence.as_ref().map_or(&[], Sequence::steps)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attempt {
    source: IpAddr,
    pattern: usize,
    stage: usize,
    started: Duration,
}

/// Which segments of a source have counted in a group.
#[derive(Debug, Clone)]
struct Memory {
    source: IpAddr,
    group: Group,
    marks: Vec<NonZeroU64>,
    idle_since: Option<Duration>,
}

/// The list of attempts.
#[derive(Debug, Clone)]
pub struct Model {
    patterns: Vec<Watched>,
    ignore: Vec<Step>,
    attempts: Vec<Attempt>,
    memories: Vec<Memory>,
    floor: Duration,
    expired: Vec<Event>,
    news: Vec<Event>,
}

impl Model {
    /// A model for these patterns.
    #[must_use]
    pub fn new(patterns: &[Pattern], ignore: &[Step]) -> Self {
        let watched = |pattern: &Pattern| Watched::new(pattern);
        Self {
            patterns: patterns.iter().map(watched).collect(),
            ignore: ignore.to_vec(),
            attempts: Vec::new(),
            memories: Vec::new(),
            floor: Duration::ZERO,
            expired: Vec::new(),
            news: Vec::new(),
        }
    }

    /// Looks at a hit: what became of it, and what is said.
    pub fn hit(&mut self, now: Duration, scopes: &[ScopeId], hit: &Hit) -> (Outcome, Vec<Event>) {
        let now = now.max(self.floor);
        let outcome = self.compatible(now, scopes, hit).max(self.strict(now, scopes, hit));
        self.cool_down(now);
        self.expired.sort_by_key(Event::pattern);
        // Stable: a pattern's stage stays before its completion.
        self.news.sort_by_key(Event::pattern);
        let mut events = std::mem::take(&mut self.expired);
        events.append(&mut self.news);
        (outcome, events)
    }

    /// Ends what is over time.
    pub fn expire(&mut self, now: Duration) -> Vec<Event> {
        let now = now.max(self.floor);
        for Memory { source, group, .. } in self.memories.clone() {
            self.notice(now, source, group);
        }
        std::mem::take(&mut self.expired)
    }

    /// No sequence for a pattern any more.
    pub fn silence(&mut self, pattern: usize) {
        if let Some(watched) = self.patterns.get_mut(pattern) {
            watched.silenced = true;
            self.attempts.retain(|attempt| attempt.pattern != pattern);
        }
    }

    /// The ports of what was silenced are gone too.
    fn drop_silenced(&mut self) {
        for watched in self.patterns.iter_mut().filter(|watched| watched.silenced) {
            watched.pattern.sequence = None;
            watched.silenced = false;
        }
    }

    /// Another sequence for a pattern.
    pub fn replace(&mut self, now: Duration, pattern: usize, sequence: Option<Sequence>) {
        if pattern < self.patterns.len() {
            self.drop_silenced();
        }
        let Some(watched) = self.patterns.get_mut(pattern) else {
            return;
        };
        watched.pattern.sequence = sequence;
        self.attempts.retain(|attempt| attempt.pattern != pattern);
        self.change(now);
    }

    /// Other patterns.
    pub fn reconfigure(&mut self, now: Duration, patterns: &[Pattern], ignore: &[Step], keep: Keep) {
        self.drop_silenced();
        let mut old: Vec<Option<Watched>> = self.patterns.drain(..).map(Some).collect();
        let attempts = std::mem::take(&mut self.attempts);
        if keep == Keep::Nothing {
            old.clear();
            self.memories.clear();
        }
        for (pattern, number) in patterns.iter().zip(0..) {
            let same = |old: &Option<Watched>| old.as_ref().is_some_and(|old| old.pattern == *pattern);
            let found = old.iter().position(same);
            let kept = found.and_then(|index| old.get_mut(index)).and_then(Option::take);
            let moved = attempts.iter().filter(|attempt| kept.is_some() && Some(attempt.pattern) == found);
            self.attempts.extend(moved.map(|attempt| Attempt { pattern: number, ..*attempt }));
            let fresh = || Watched::new(pattern);
            self.patterns.push(kept.unwrap_or_else(fresh));
        }
        self.ignore = ignore.to_vec();
        self.change(now);
    }

    /// How many sources are under way, counted once in each group.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.memories.iter().filter(|memory| memory.idle_since.is_none()).count()
    }

    /// A change of patterns takes a nanosecond, so that what began before and after differ.
    fn change(&mut self, now: Duration) {
        self.floor = now.max(self.floor).saturating_add(Duration::from_nanos(1));
        let groups: Vec<Group> = self.patterns.iter().map(|watched| Group::of(&watched.pattern)).collect();
        self.memories.retain(|memory| groups.contains(&memory.group));
        for Memory { source, group, .. } in self.memories.clone() {
            self.settle_idle(self.floor, source, group);
        }
    }

    fn compatible(&mut self, now: Duration, scopes: &[ScopeId], hit: &Hit) -> Outcome {
        let groups = self.groups(scopes, Mode::Compatible);
        if !groups.iter().any(|group| self.has_step(*group, hit.step()) && group.passes(hit)) {
            return Outcome::Invisible;
        }
        for group in &groups {
            self.notice(now, hit.source, *group);
        }
        let (busy, idle): (Vec<Group>, Vec<Group>) =
            groups.into_iter().partition(|group| !self.of(hit.source, *group).is_empty());
        if busy.is_empty() {
            idle.into_iter().map(|group| self.start(now, group, hit)).max().unwrap_or(Outcome::Ignored)
        } else {
            busy.into_iter().map(|group| self.follow(now, group, hit)).max().unwrap_or(Outcome::Ignored)
        }
    }

    fn follow(&mut self, now: Duration, group: Group, hit: &Hit) -> Outcome {
        if self.remembers(now, group, hit) {
            return Outcome::Retransmission;
        }
        if !group.passes(hit) {
            return Outcome::Ignored;
        }
        let outcome = self.advance(group, hit).unwrap_or_else(|| {
            self.forget(hit.source, group);
            Outcome::Broken
        });
        self.remember(now, group, hit);
        outcome
    }

    fn strict(&mut self, now: Duration, scopes: &[ScopeId], hit: &Hit) -> Outcome {
        if self.ignore.contains(&hit.step()) {
            return Outcome::Invisible;
        }
        let groups = self.groups(scopes, Mode::Strict);
        let touched: Vec<Group> = groups.into_iter().filter(|group| self.touches(*group, hit)).collect();
        touched
            .into_iter()
            .map(|group| self.strict_group(now, group, hit))
            .max()
            .unwrap_or(Outcome::Invisible)
    }

    fn touches(&self, group: Group, hit: &Hit) -> bool {
        let steps = || self.of_group(group).flat_map(Watched::steps);
        match hit.protocol {
            Protocol::Tcp => hit.flags.is_initial_syn() && steps().next().is_some(),
            Protocol::Udp => steps().any(|step| step.protocol == Protocol::Udp),
        }
    }

    fn strict_group(&mut self, now: Duration, group: Group, hit: &Hit) -> Outcome {
        self.notice(now, hit.source, group);
        let Some(attempt) = self.of(hit.source, group).first().copied() else {
            return self.start(now, group, hit);
        };
        if self.remembers(now, group, hit) {
            return Outcome::Retransmission;
        }
        if group.passes(hit) {
            if let Some(outcome) = self.advance(group, hit) {
                self.remember(now, group, hit);
                return outcome;
            }
            let last = attempt.stage.checked_sub(1);
            if last.and_then(|last| self.step_of(attempt.pattern, last)) == Some(hit.step()) {
                self.remember(now, group, hit);
                return Outcome::Tolerated;
            }
        }
        self.forget(hit.source, group);
        self.settle_idle(now, hit.source, group);
        let begun = self.start(now, group, hit);
        if begun >= Outcome::Started {
            return begun;
        }
        self.remember(now, group, hit);
        Outcome::Cancelled
    }

    fn start(&mut self, now: Duration, group: Group, hit: &Hit) -> Outcome {
        let first = |watched: &Watched| watched.steps().first() == Some(&hit.step());
        let numbered = (0..).zip(&self.patterns);
        let begins = numbered.filter(|(_, watched)| Group::of(&watched.pattern) == group && first(watched));
        let begins: Vec<(usize, bool)> =
            begins.map(|(number, watched)| (number, watched.hears(now))).collect();
        if begins.is_empty() || !group.passes(hit) {
            return Outcome::Ignored;
        }
        if self.remembers(now, group, hit) {
            return Outcome::Retransmission;
        }
        let mut outcome = Outcome::Ignored;
        for (pattern, _) in begins.into_iter().filter(|(_, hears)| *hears) {
            let attempt = Attempt { source: hit.source, pattern, stage: 1, started: now };
            outcome = outcome.max(if self.reached(attempt) { Outcome::Completed } else { Outcome::Started });
        }
        if outcome >= Outcome::Started {
            self.remember(now, group, hit);
        }
        outcome
    }

    /// Every attempt whose next step this is goes on; if there is one, the others of the group end.
    fn advance(&mut self, group: Group, hit: &Hit) -> Option<Outcome> {
        let attempts = self.of(hit.source, group);
        let fits = |attempt: &&Attempt| self.step_of(attempt.pattern, attempt.stage) == Some(hit.step());
        let going: Vec<Attempt> = attempts.iter().filter(fits).copied().collect();
        if going.is_empty() {
            return None;
        }
        self.forget(hit.source, group);
        let mut outcome = Outcome::Advanced;
        for attempt in going {
            let stage = attempt.stage.saturating_add(1);
            if self.reached(Attempt { stage, ..attempt }) {
                outcome = Outcome::Completed;
            }
        }
        Some(outcome)
    }

    /// An attempt has a new stage: says so; true if that was the last.
    fn reached(&mut self, attempt: Attempt) -> bool {
        let Attempt { source, pattern, stage, .. } = attempt;
        self.news.push(Event::stage(source, pattern, stage));
        let complete = self.step_of(pattern, stage).is_none();
        if complete {
            self.news.push(Event::complete(source, pattern));
        } else {
            self.attempts.push(attempt);
        }
        complete
    }

    /// After a success the pattern is deaf, and attempts under way at it end.
    fn cool_down(&mut self, now: Duration) {
        for event in &self.news {
            let Event::Complete { pattern, .. } = event else {
                continue;
            };
            let index = usize::try_from(pattern.0).unwrap_or(usize::MAX);
            let Some(watched) = self.patterns.get_mut(index) else {
                continue;
            };
            if watched.pattern.cooldown > Duration::ZERO {
                watched.deaf_until = now.saturating_add(watched.pattern.cooldown);
                self.attempts.retain(|attempt| attempt.pattern != index);
            }
        }
    }

    /// Ends the source's attempts in a group that are over time.
    fn notice(&mut self, now: Duration, source: IpAddr, group: Group) {
        for attempt in self.of(source, group) {
            let timeout =
                self.patterns.get(attempt.pattern).map_or(Duration::ZERO, |watched| watched.pattern.timeout);
            if now.saturating_sub(attempt.started) >= timeout {
                self.expired.push(Event::expired(source, attempt.pattern, attempt.stage));
                self.attempts.retain(|other| *other != attempt);
            }
        }
        self.settle_idle(now, source, group);
    }

    fn settle_idle(&mut self, now: Duration, source: IpAddr, group: Group) {
        let busy = !self.of(source, group).is_empty();
        if let Some(memory) = self.memory(source, group) {
            memory.idle_since = if busy { None } else { Some(memory.idle_since.unwrap_or(now)) };
        }
    }

    fn remembers(&mut self, now: Duration, group: Group, hit: &Hit) -> bool {
        let Some(mark) = hit.mark else { return false };
        self.memory(hit.source, group).is_some_and(|memory| {
            let in_memory = memory.idle_since.is_none_or(|idle| now.saturating_sub(idle) < REMEMBERED_FOR);
            in_memory && memory.marks.contains(&mark)
        })
    }

    /// The hit has counted in this group.
    fn remember(&mut self, now: Duration, group: Group, hit: &Hit) {
        let busy = !self.of(hit.source, group).is_empty();
        if self.memory(hit.source, group).is_none() {
            if !busy && hit.mark.is_none() {
                return;
            }
            let fresh = Memory { source: hit.source, group, marks: Vec::new(), idle_since: None };
            self.memories.push(fresh);
        }
        let Some(memory) = self.memory(hit.source, group) else {
            return;
        };
        if memory.idle_since.is_some_and(|idle| now.saturating_sub(idle) >= REMEMBERED_FOR) {
            memory.marks.clear();
        }
        let was_busy = memory.idle_since.is_none();
        if let Some(mark) = hit.mark {
            memory.marks.insert(0, mark);
            memory.marks.truncate(REMEMBERED_MARKS);
        }
        if busy {
            memory.idle_since = None;
        } else if was_busy || hit.mark.is_some() {
            memory.idle_since = Some(now);
        }
    }

    fn memory(&mut self, source: IpAddr, group: Group) -> Option<&mut Memory> {
        self.memories.iter_mut().find(|memory| memory.source == source && memory.group == group)
    }

    fn forget(&mut self, source: IpAddr, group: Group) {
        let gone = self.of(source, group);
        self.attempts.retain(|attempt| !gone.contains(attempt));
    }

    fn of(&self, source: IpAddr, group: Group) -> Vec<Attempt> {
        let in_group = |pattern: usize| self.patterns.get(pattern).map(|watched| Group::of(&watched.pattern));
        let mine = |attempt: &&Attempt| attempt.source == source && in_group(attempt.pattern) == Some(group);
        self.attempts.iter().filter(mine).copied().collect()
    }

    fn of_group(&self, group: Group) -> impl Iterator<Item = &Watched> {
        self.patterns.iter().filter(move |watched| Group::of(&watched.pattern) == group)
    }

    fn has_step(&self, group: Group, step: Step) -> bool {
        self.of_group(group).any(|watched| watched.steps().contains(&step))
    }

    fn step_of(&self, pattern: usize, index: usize) -> Option<Step> {
        self.patterns.get(pattern).and_then(|watched| watched.steps().get(index)).copied()
    }

    fn groups(&self, scopes: &[ScopeId], mode: Mode) -> Vec<Group> {
        let mut groups = Vec::new();
        for group in self.patterns.iter().map(|watched| Group::of(&watched.pattern)) {
            if group.mode == mode && scopes.contains(&group.scope) && !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }
}
