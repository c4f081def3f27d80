//! Steps 12 to 15 in every order of events there is over few moments, of any length: requests, restarts, commits that fail
//! with and without effect, clocks that step, a lost store. A process that dies between any two steps is among them: it is a
//! commit that failed, and a restart. Nothing is acted on twice; and where it must not be promised, the same search finds it.

use std::collections::HashSet;

use super::*;

/// A microsecond each; without optimisation more of them take long.
const MOMENTS: u64 = if cfg!(debug_assertions) { 6 } else { 7 };
const MICRO: Duration = Duration::from_micros(1);
const WINDOW: Window =
    Window { past: Duration::from_micros(2), future: Duration::from_micros(2), slack: MICRO };

/// What becomes of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disk {
    Keeps,
    KeepsAndFails,
    Fails,
    /// Says that it kept what it did not.
    Lies,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Request {
        time: u64,
        disk: Disk,
    },
    Restart,
    /// A moment goes by.
    Pass,
    /// The wall clock is set.
    Step(u64),
    LoseStore,
}

/// Which events there are.
#[derive(Debug, Clone, Copy)]
struct Rules {
    steps: Steps,
    disk_lies: bool,
    loss: Loss,
}

/// How the wall clock is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Steps {
    Never,
    Forward,
    AnyWay,
}

/// Whether the store can be found lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Never,
    Guarded,
    /// Taken for a first start.
    Unnoticed,
}

const HONEST: Rules = Rules { steps: Steps::AnyWay, disk_lies: false, loss: Loss::Never };

/// All that decides what can come next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    now: u64,
    memory: Option<Record>,
    disk: Option<Record>,
    guard: Option<Raised>,
    /// One bit for each moment that was ever acted on.
    acted: u32,
}

/// A guard: up to which moment, and how long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Raised {
    until: u64,
    ago: u64,
}

/// A time that was acted on once more, and where.
#[derive(Debug)]
#[expect(dead_code, reason = "shown when a test fails")]
struct Twice {
    time: u64,
    place: Box<Place>,
}

/// A store of one record.
struct One {
    record: Option<Record>,
    disk: Disk,
}

impl Store for One {
    fn load(&mut self, _: &PublicKey) -> Result<Option<Record>, StoreFailed> {
        Ok(self.record)
    }

    fn commit(&mut self, _: &PublicKey, record: &Record) -> Result<(), StoreFailed> {
        if matches!(self.disk, Disk::Keeps | Disk::KeepsAndFails) {
            assert!(self.record.is_none_or(|before| record.floor() >= before.floor()), "a floor went down");
            self.record = Some(*record);
        }
        if matches!(self.disk, Disk::Keeps | Disk::Lies) { Ok(()) } else { Err(StoreFailed) }
    }
}

impl Rules {
    fn events(self) -> Vec<Event> {
        let disks = [Disk::Keeps, Disk::KeepsAndFails, Disk::Fails, Disk::Lies];
        let disks = disks.into_iter().take(if self.disk_lies { 4 } else { 3 });
        let requests = disks.flat_map(|disk| (0..MOMENTS).map(move |time| Event::Request { time, disk }));
        let steps = (0..MOMENTS).map(Event::Step).take_while(|_| self.steps != Steps::Never);
        let lost = (self.loss != Loss::Never).then_some(Event::LoseStore);
        requests.chain(steps).chain([Event::Restart, Event::Pass]).chain(lost).collect()
    }

    /// Searches every place there is; gives how many, or the first time that was acted on twice.
    fn search(self) -> Result<usize, Twice> {
        let served = served(vec![device(&alice(), "alice")]);
        let served = Served { window: WINDOW, ..served };
        let events = self.events();
        let start = Place { now: 0, memory: None, disk: None, guard: None, acted: 0 };
        let mut open = vec![start.clone()];
        let mut seen = HashSet::from([start]);
        while let Some(place) = open.pop() {
            for event in &events {
                let Some(next) = self.follow(&served, &place, *event)? else { continue };
                if seen.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        Ok(seen.len())
    }

    fn follow(self, served: &Served, place: &Place, event: Event) -> Result<Option<Place>, Twice> {
        let mut next = place.clone();
        match event {
            Event::Restart => next.memory = None,
            Event::Step(now) if now < place.now && self.steps != Steps::AnyWay => return Ok(None),
            Event::Step(now) => next.now = now,
            Event::Pass if place.now + 1 == MOMENTS => return Ok(None),
            Event::Pass => {
                next.now += 1;
                // Longer ago than any moment is all the same.
                next.guard = place.guard.map(|guard| Raised { ago: MOMENTS.min(guard.ago + 1), ..guard });
            }
            Event::LoseStore => {
                (next.memory, next.disk) = (None, None);
                let before = place.guard.map_or(0, |guard| guard.until);
                let guard = Raised { until: before.max(place.now + 2), ago: 0 };
                next.guard = (self.loss == Loss::Guarded).then_some(guard);
            }
            Event::Request { time, disk } if request(served, &mut next, time, disk) => {
                if place.acted >> time & 1 == 1 {
                    return Err(Twice { time, place: Box::new(place.clone()) });
                }
                next.acted |= 1 << time;
            }
            Event::Request { .. } => {}
        }
        Ok(Some(next))
    }
}

fn wall(moment: u64) -> Timestamp {
    Timestamp(WALL.0 + moment)
}

/// Whether the server acts on it.
fn request(served: &Served, place: &mut Place, time: u64, disk: Disk) -> bool {
    let key = served.registry.devices()[0].key;
    let ago = place.guard.map_or(0, |guard| guard.ago);
    let at = Moment { now: Duration::from_micros(ago), wall: wall(place.now) };
    let mut guard = place.guard.map(|guard| Guard::new(wall(guard.until), Duration::ZERO));
    let mut known = HashMap::with_hasher(Keyed([0; 16]));
    if let Some(record) = place.memory {
        known.insert(key, Known { record, rate: Bucket::full(RATE, BURST, at.now), agreed: None });
    }
    let request = Request { operation: Operation::Hello, time: wall(time) };
    let authentic = Authentic { device: DeviceId(0), request, id: KnockId([0; 8]) };
    let mut store = One { record: place.disk, disk };
    let said = recall(&authentic, served, &mut known, at.now, &mut store)
        .and_then(|known| refresh(authentic, served, known, &mut guard, at, &mut store));
    let record = known.get(&key).map(|known| known.record);
    if said.as_ref().is_err_and(|refusal| refusal.step() < 15) {
        assert_eq!(store.record, place.disk, "a refused request changed the store");
        assert_eq!(record, place.memory.or(place.disk).or_else(|| Some(Record::default())));
    }
    (place.memory, place.disk) = (record, store.record);
    place.guard = guard.map(|guard| Raised { until: guard.until().0 - WALL.0, ago });
    said.is_ok()
}

#[test]
fn nothing_is_acted_on_twice_whatever_the_clock_does() {
    assert!(HONEST.search().expect("twice") > 1000);
}

#[test]
fn nor_after_a_lost_store_while_the_clock_goes_on() {
    for steps in [Steps::Never, Steps::Forward] {
        let rules = Rules { steps, loss: Loss::Guarded, ..HONEST };
        assert!(rules.search().expect("twice") > 1000);
    }
}

#[test]
fn where_it_cannot_be_promised_the_search_finds_it() {
    // Without the guard; with a clock that went back before the loss; with a disk that keeps nothing.
    for rules in [
        Rules { steps: Steps::Never, loss: Loss::Unnoticed, ..HONEST },
        Rules { loss: Loss::Guarded, ..HONEST },
        Rules { disk_lies: true, ..HONEST },
    ] {
        assert!(rules.search().is_err(), "{rules:?} holds");
    }
}
