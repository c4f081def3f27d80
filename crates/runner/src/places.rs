//! Places for commands: how many of them run at once, and how many of each door (spec/leases.md, "When it is full").
//!
//! A stop command gives its place back when it has held it for [`HOLD`], and counts for its door, and as one of all that run, from
//! then on. So places come free whatever stop commands do, and no door waits for another's to end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::door::Limits;
use crate::effect::{JobId, Part};
use crate::queue::Line;

/// How long a stop command holds a place that others wait for.
pub const HOLD: Duration = Duration::from_millis(500);

/// A door may have this part of the stop commands that may still run: the more doors have some that hang, the fewer each, and what
/// comes later still finds as many.
const PART: usize = 8;

/// How many commands of one door run.
#[derive(Debug, Clone, Copy, Default)]
struct Running {
    all: usize,
    stops: usize,
    /// Stop commands that have failed before.
    tried: usize,
}

/// The places that are taken.
#[derive(Debug, Clone, Default)]
pub struct Places {
    all: usize,
    starts: usize,
    /// Stop commands that hold a place, and until when.
    holding: BTreeSet<(Duration, JobId)>,
    held_until: BTreeMap<JobId, Duration>,
    of_door: BTreeMap<Arc<str>, Running>,
}

impl Places {
    /// How many commands run, those that hold no place any more included.
    #[must_use]
    pub const fn running(&self) -> usize {
        self.all
    }

    /// Whether one more start command of this door may run.
    #[must_use]
    pub fn start_may_run(&self, door: &Arc<str>, limits: &Limits) -> bool {
        self.taken() < limits.running.max(1) && self.of(door).all < limits.running_per_door.max(1)
    }

    /// Whether one more stop command of this line may run. Stops have places of their own beyond the limits, as many as one door's
    /// share, so that start commands that hang cannot keep a door open; and a quarter of that share for each door, beside its start
    /// commands. Those that have failed before take no more than half of what their door has: they may fail, or hang, again.
    /// The more run, whoever's they are, the smaller each door's share; its first one may run up to twice their number.
    #[must_use]
    pub fn stop_may_run(&self, line: &Line, limits: &Limits) -> bool {
        let own = limits.running_per_door.max(1);
        let of_door = self.of(&line.door);
        let share = if of_door.all < own { own } else { own.div_ceil(4) };
        let most = limits.stops.max(1);
        let share = share.min(most.saturating_sub(self.stops()).div_euclid(PART).max(1));
        let is_room = self.stops() < most.saturating_mul(2);
        let is_free = is_room && (self.taken() < limits.running || self.holding.len() < own);
        is_free && of_door.stops < share && (!line.tried || of_door.tried < share.div_ceil(2))
    }

    /// One runs from now on.
    pub fn take(&mut self, now: Duration, id: JobId, part: Part, line: &Line) {
        self.all = self.all.saturating_add(1);
        let of_door = self.of_door.entry(Arc::clone(&line.door)).or_default();
        of_door.count(part, line.tried, |count| count.saturating_add(1));
        match part {
            Part::Start => self.starts = self.starts.saturating_add(1),
            Part::Stop => {
                let until = now.saturating_add(HOLD);
                self.holding.insert((until, id));
                self.held_until.insert(id, until);
            }
        }
    }

    /// It has ended.
    pub fn free(&mut self, id: JobId, part: Part, line: &Line) {
        self.all = self.all.saturating_sub(1);
        if part == Part::Start {
            self.starts = self.starts.saturating_sub(1);
        }
        if let Some(until) = self.held_until.remove(&id) {
            self.holding.remove(&(until, id));
        }
        if let Some(of_door) = self.of_door.get_mut(&line.door) {
            of_door.count(part, line.tried, |count| count.saturating_sub(1));
            if of_door.all == 0 {
                self.of_door.remove(&line.door);
            }
        }
    }

    /// Takes the places back that stop commands have held for long enough.
    pub fn release(&mut self, now: Duration) {
        while let Some((until, id)) = self.holding.first().copied().filter(|(until, _)| *until <= now) {
            self.holding.remove(&(until, id));
            self.held_until.remove(&id);
        }
    }

    /// When the next place comes free though nothing ends.
    #[must_use]
    pub fn next_release(&self) -> Option<Duration> {
        self.holding.first().map(|(until, _)| *until)
    }

    /// How many stop commands run.
    const fn stops(&self) -> usize {
        self.all.saturating_sub(self.starts)
    }

    fn taken(&self) -> usize {
        self.starts.saturating_add(self.holding.len())
    }

    fn of(&self, door: &Arc<str>) -> Running {
        self.of_door.get(door).copied().unwrap_or_default()
    }
}

impl Running {
    fn count(&mut self, part: Part, tried: bool, change: impl Fn(usize) -> usize) {
        self.all = change(self.all);
        if part == Part::Stop {
            self.stops = change(self.stops);
        }
        if tried {
            self.tried = change(self.tried);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::LeaseId;
    use crate::queue::Queue;

    /// Gives free places to those that wait; says who got one.
    fn serve(places: &mut Places, queue: &mut Queue, now: Duration) -> Vec<u64> {
        places.release(now);
        let mut served = Vec::new();
        while let Some((line, id)) = queue.next(|line| places.stop_may_run(line, &Limits::default())) {
            places.take(now, JobId(id.0), Part::Stop, &line);
            served.push(id.0);
        }
        served
    }

    #[test]
    fn r1_a_stop_command_that_hangs_gives_its_place_back_and_counts_for_its_door() {
        let (mut places, mut queue) = (Places::default(), Queue::default());
        let doors: Vec<Arc<str>> = (0..100).map(|door| format!("{door:03}").into()).collect();
        let ids = |door: usize| (0..20).map(move |lease| LeaseId(u64::try_from(door * 100 + lease).unwrap()));
        doors.iter().enumerate().for_each(|(door, name)| ids(door).for_each(|id| queue.push(name, id)));
        // None of them ever ends. 48 and no more begin at once, and at least 16 each half second, door by door.
        let mut begun = BTreeMap::new();
        for half in 0..200 {
            let now = HOLD * half;
            let served = serve(&mut places, &mut queue, now);
            assert!(served.len() <= 48, "{}", served.len());
            for id in served {
                begun.entry(id / 100).or_insert(now);
            }
        }
        assert_eq!(begun.len(), 100);
        assert!(begun.values().all(|at| *at < HOLD * 7), "a second for each 16 doors at most: {begun:?}");
        assert_eq!(
            (places.running(), queue.len()),
            (233, 1767),
            "two or three of each door, and its others wait"
        );
        // One that comes later waits for nobody.
        queue.push(&Arc::from("late"), LeaseId(1_000_000));
        assert_eq!(serve(&mut places, &mut queue, HOLD * 300), [1_000_000]);
    }

    #[test]
    fn r1_however_many_hang_so_many_run_and_no_more_and_each_door_has_one() {
        let all = [(1, 16), (8, 128), (16, 169), (80, 233), (300, 300), (512, 512), (600, 512)];
        for (doors, run) in all {
            let (mut places, mut queue) = (Places::default(), Queue::default());
            for door in 0..doors {
                let name = format!("{door}").into();
                (0..20).for_each(|lease| queue.push(&name, LeaseId(door * 100 + lease)));
            }
            let mut of_door: BTreeMap<u64, u32> = BTreeMap::new();
            for half in 0..100 {
                let served = serve(&mut places, &mut queue, HOLD * half);
                for id in served {
                    *of_door.entry(id / 100).or_default() += 1;
                }
            }
            let most = of_door.values().max().unwrap() - of_door.values().min().unwrap();
            assert_eq!(
                (places.running(), of_door.len()),
                (run, run.min(usize::try_from(doors).unwrap())),
                "{doors} doors"
            );
            assert!(most <= 1, "{doors} doors: {of_door:?}");
        }
    }

    #[test]
    fn those_that_have_failed_before_leave_half_of_their_door_s_share() {
        let (mut places, mut queue) = (Places::default(), Queue::default());
        let door = Arc::from("web");
        (0..20).for_each(|id| queue.push_again(&door, LeaseId(id)));
        assert_eq!(serve(&mut places, &mut queue, HOLD), [0, 1, 2, 3, 4, 5, 6, 7]);
        queue.push(&door, LeaseId(100));
        assert_eq!(serve(&mut places, &mut queue, HOLD * 2), [100]);
        let tried = Line { door: Arc::clone(&door), tried: true };
        places.free(JobId(3), Part::Stop, &tried);
        assert_eq!(serve(&mut places, &mut queue, HOLD * 3), [8]);
    }

    #[test]
    fn a_door_whose_starts_have_its_share_has_a_quarter_of_it_for_stops() {
        let (mut places, mut queue) = (Places::default(), Queue::default());
        let (door, limits) = (Arc::from("web"), Limits::default());
        let line = Line::of(&door);
        (100..116).for_each(|id| places.take(HOLD, JobId(id), Part::Start, &line));
        assert!(!places.start_may_run(&door, &limits) && places.start_may_run(&Arc::from("ssh"), &limits));
        (0..20).for_each(|id| queue.push(&door, LeaseId(id)));
        assert_eq!(serve(&mut places, &mut queue, HOLD), [0, 1, 2, 3]);
        // They hang: what they have given back is for others.
        assert_eq!(serve(&mut places, &mut queue, HOLD * 9), []);
        (0..4).for_each(|id| places.free(JobId(id), Part::Stop, &line));
        assert_eq!(serve(&mut places, &mut queue, HOLD * 9), [4, 5, 6, 7]);
    }

    #[test]
    fn what_has_ended_holds_nothing() {
        let (mut places, line) = (Places::default(), Line::of(&Arc::from("web")));
        places.take(HOLD, JobId(1), Part::Stop, &line);
        assert_eq!(places.next_release(), Some(HOLD * 2));
        places.free(JobId(1), Part::Stop, &line);
        assert_eq!((places.next_release(), places.running(), places.of_door.len()), (None, 0, 0));
        places.take(HOLD, JobId(2), Part::Stop, &line);
        places.release(HOLD * 2);
        assert_eq!((places.next_release(), places.running()), (None, 1));
        places.free(JobId(2), Part::Stop, &line);
        assert_eq!((places.running(), places.held_until.len()), (0, 0));
    }
}
