//! What the worker has to say, kept short: requests wait for room in the channel, lines are limited and counted.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use aldaba_gate::knock::{Outcome, Protocol};
use aldaba_gate::packet::{Segment, Transport};
use aldaba_gate::spa::{
    DeviceId, KnockId, PublicKey, Record, Refusal, Rejected, Store, StoreFailed, Timestamp,
};
use aldaba_gate::{By, DoorId, Events, Grant};
use aldaba_sys::channel::{Channel, Sent};

use super::recent::{Noted, Recent};
use super::shortage::Shortage;
use crate::budget::Budget;
use crate::control::About;
use crate::counts::{Counts, PAGES};
use crate::fault;
use crate::ipc::{FromWorker, Place, SIZE, Seen};
use crate::replay::Replay;

/// Requests that wait while the channel is full; more are lost and counted.
const WAITING: usize = 256;

/// The worker's voice.
#[derive(Debug)]
pub(super) struct Reporter {
    channel: Channel,
    waiting: VecDeque<[u8; SIZE]>,
    lost: u64,
    /// A door was asked for.
    asked: bool,
    stages: bool,
    hits: bool,
    budget: Budget,
    generation: u32,
    now: Duration,
    wall: Option<Timestamp>,
    /// The keys of the devices, in the registry's order.
    devices: Vec<[u8; 32]>,
    /// The replay records.
    store: Replay,
    /// What was refused lately.
    recent: Recent,
    /// Locks whose users are being shut out.
    shortage: Shortage,
}

impl Reporter {
    /// A voice on this channel.
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            channel,
            waiting: VecDeque::with_capacity(WAITING),
            lost: 0,
            asked: false,
            stages: false,
            hits: false,
            budget: Budget::default(),
            generation: 0,
            now: Duration::ZERO,
            wall: None,
            devices: Vec::new(),
            store: Replay::default(),
            recent: Recent::default(),
            shortage: Shortage::default(),
        }
    }

    /// The channel, to wait on and to receive from.
    pub(super) const fn channel(&self) -> &Channel {
        &self.channel
    }

    /// The policy in force; whether its stage lines are wanted, and a line for each hit.
    pub(super) fn set_policy(&mut self, generation: u32, stages: bool, hits: bool) {
        self.generation = generation;
        // Its locks may have other numbers.
        self.shortage = Shortage::default();
        self.stages = stages;
        self.hits = hits;
    }

    /// The devices of the policy in force.
    pub(super) fn set_devices(&mut self, devices: Vec<[u8; 32]>) {
        self.devices = devices;
    }

    /// Datagrams are heard from now on: those that are refused are remembered.
    pub(super) fn remember_refused(&mut self) {
        self.recent.make_room();
    }

    /// Where replay records are kept.
    pub(super) const fn store(&mut self) -> &mut Replay {
        &mut self.store
    }

    /// A store whose guard is up, or the empty one, which refuses everything; the one before comes back.
    pub(super) const fn set_store(&mut self, store: Replay) -> Replay {
        std::mem::replace(&mut self.store, store)
    }

    /// Whether a door was asked for since the last time.
    pub(super) const fn has_asked(&mut self) -> bool {
        std::mem::replace(&mut self.asked, false)
    }

    /// What can wait until everything has been said.
    pub(super) fn tidy(&mut self) {
        // Where it fails, so does the next request, which says so.
        let _ = self.store.tidy();
    }

    fn key_of(&self, device: DeviceId) -> Option<[u8; 32]> {
        self.devices.get(usize::try_from(device.0).ok()?).copied()
    }

    /// The number of the policy in force.
    pub(super) const fn generation(&self) -> u32 {
        self.generation
    }

    /// Time of the frames that follow. Both clocks are read once for all that were there.
    pub(super) fn set_now(&mut self, now: Duration) {
        self.now = now;
        self.wall = u64::try_from(fault::wall().as_micros()).ok().map(Timestamp);
    }

    /// Whether something waits for room in the channel.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty() || self.lost > 0
    }

    /// When there will be something to say without any frame.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        [self.budget.poll_timeout(), self.shortage.poll_timeout()].into_iter().flatten().min()
    }

    /// Does something with it of which nothing is said: all lines are left out, and not even counted.
    pub(super) fn in_silence(&mut self, act: impl FnOnce(&mut Self)) {
        let budget = std::mem::replace(&mut self.budget, Budget::new(0, 0));
        act(self);
        self.budget = budget;
    }

    /// Says what waited, as far as there is room, and what was left out.
    pub(super) fn flush(&mut self) {
        while let Some(message) = self.waiting.front() {
            if self.channel.send(message, &[]) == Ok(Sent::Full) {
                return;
            }
            self.waiting.pop_front();
        }
        if self.lost > 0 && self.say(FromWorker::Overrun { requests: self.lost }) {
            self.lost = 0;
        }
        while let Some((lock, refused)) = self.shortage.poll(self.now) {
            self.insist(FromWorker::ShutOut { generation: self.generation, lock, refused });
        }
        if let Some(events) = self.budget.poll_left_out(self.now)
            && !self.say(FromWorker::LeftOut { events })
        {
            self.budget.leave_out(events);
        }
    }

    /// Says something that must arrive, or waits with it.
    pub(super) fn insist(&mut self, message: FromWorker) {
        if self.waiting.len() < WAITING {
            self.answer(message);
        } else {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// Says what the monitor has asked for, or waits with it, however many requests wait: without an answer it would take this
    /// worker for one that is broken. There are no more answers than it asks for.
    pub(super) fn answer(&mut self, message: FromWorker) {
        if !self.waiting.is_empty() || !self.say(message) {
            self.waiting.push_back(message.encode());
        }
    }

    /// Answers a question for what was refused; `seen` comes with the counters filled in.
    pub(super) fn recall(&mut self, query: u32, about: About, seen: Seen) {
        let now = self.now;
        let age = |at: Duration| u64::try_from(now.saturating_sub(at).as_micros()).unwrap_or(u64::MAX);
        for Noted { id, at, from, refusal, device, again } in self.recent.of(about) {
            self.answer(FromWorker::Recalled { query, age: age(at), from, refusal, id, device, again });
        }
        let foreign_age = self.recent.last_foreign(about).map(age);
        self.answer(FromWorker::RecallEnd { query, seen: Seen { foreign_age, ..seen } });
    }

    /// How many messages wait for room in the channel.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Answers a question for what was counted.
    pub(super) fn count(&mut self, query: u32, counts: &Counts) {
        for page in 0..PAGES {
            self.answer(FromWorker::Counted { query, page, values: counts.page(page) });
        }
    }

    /// Whether it went out. A channel that is gone ends the worker in its loop, not here.
    fn say(&mut self, message: FromWorker) -> bool {
        self.channel.send(&message.encode(), &[]) != Ok(Sent::Full)
    }

    /// Says it if there is room for another line. What is left out is not even put together: in a flood that is nearly all.
    fn mention(&mut self, message: impl FnOnce() -> FromWorker) {
        if self.budget.take(self.now) && !self.say(message()) {
            self.budget.leave_out(1);
        }
    }

    const fn place(&self, door: DoorId, knock: u8) -> Place {
        Place { generation: self.generation, door, knock }
    }
}

impl Store for Reporter {
    fn load(&mut self, device: &PublicKey) -> Result<Option<Record>, StoreFailed> {
        self.store.load(device)
    }

    /// The monitor gets ready while the disk is waited for.
    fn commit(&mut self, device: &PublicKey, record: &Record) -> Result<(), StoreFailed> {
        let Self { store, channel, waiting, .. } = self;
        store.commit_and_meanwhile(device, record, || {
            if waiting.is_empty() {
                // It need not arrive.
                let _ = channel.send(&FromWorker::Recording.encode(), &[]);
            }
        })
    }
}

impl Events for Reporter {
    fn wants_stages(&self) -> bool {
        self.stages
    }

    fn stage(&mut self, source: IpAddr, door: DoorId, knock: u8, stage: u8) {
        let place = self.place(door, knock);
        self.mention(|| FromWorker::Stage { place, stage, source });
    }

    fn expired(&mut self, source: IpAddr, door: DoorId, knock: u8, stage: u8) {
        let place = self.place(door, knock);
        self.mention(|| FromWorker::Expired { place, stage, source });
    }

    fn grant(&mut self, grant: Grant) {
        let Grant { door, by, action, source } = grant;
        let message = match by {
            By::Sequence(knock) => FromWorker::Request { place: self.place(door, knock), action, source },
            By::Device { device, from, id, seconds, offset } => {
                let place = self.place(door, 0);
                let Some(device) = self.key_of(device) else { return };
                FromWorker::Admitted { place, action, source, from, device, id, seconds, offset }
            }
        };
        self.insist(message);
        self.asked = true;
    }

    fn spa(&mut self) -> Option<(Timestamp, &mut dyn Store)> {
        Some((self.wall?, self))
    }

    fn hello(&mut self, from: IpAddr, device: DeviceId, id: KnockId, offset: i64) {
        if let Some(device) = self.key_of(device) {
            self.insist(FromWorker::Hello { from, device, id, offset });
        }
    }

    fn rejected(&mut self, from: IpAddr, rejected: &Rejected) {
        let Some(id) = rejected.id else { return };
        if rejected.refusal == Refusal::Store {
            self.insist(FromWorker::StoreFailed);
        }
        if let (Refusal::Budget, Some(lock)) = (rejected.refusal, rejected.lock) {
            self.shortage.note(lock);
        }
        let device = rejected.device.and_then(|device| self.key_of(device));
        self.recent.note(Noted { id, at: self.now, from, refusal: rejected.refusal, device, again: 0 });
        self.mention(|| FromWorker::Rejected { from, refusal: rejected.refusal, id, device });
    }

    fn foreign(&mut self, from: IpAddr) {
        self.recent.note_foreign(self.now, from);
    }

    fn wants_hits(&self) -> bool {
        self.hits
    }

    fn hit(&mut self, segment: &Segment<'_>, outcome: Outcome) {
        self.mention(|| {
            let (protocol, from, to) = match &segment.transport {
                Transport::Tcp(tcp) => (Protocol::Tcp, tcp.source_port, tcp.destination_port),
                Transport::Udp(udp) => (Protocol::Udp, udp.source_port, udp.destination_port),
            };
            let (source, destination) = ((segment.source, from), (segment.destination, to));
            FromWorker::Hit { source, protocol, destination, outcome }
        });
    }
}

#[cfg(test)]
mod tests {
    use aldaba_gate::spa::SecretKey;
    use aldaba_sys::channel::Received;

    use super::*;

    /// All that has arrived.
    fn heard(monitor: &Channel) -> Vec<FromWorker> {
        let mut heard = Vec::new();
        while let Ok(Received::Message { bytes, .. }) = monitor.receive() {
            heard.push(FromWorker::decode(&bytes).unwrap());
        }
        heard
    }

    #[test]
    fn the_monitor_hears_that_a_record_is_on_its_way_and_need_not_hear_it() {
        let (ours, monitor) = Channel::pair().unwrap();
        let mut reporter = Reporter::new(ours);
        let device = SecretKey::new(&[7; 32]).public();
        assert_eq!(reporter.commit(&device, &Record::default()), Err(StoreFailed), "there is no store");
        assert_eq!(heard(&monitor), []);
        let store = Replay::make(tempfile::tempfile().unwrap(), None).expect("a store");
        drop(reporter.set_store(store));
        assert_eq!(reporter.commit(&device, &Record::default()), Ok(()));
        assert_eq!(heard(&monitor), [FromWorker::Recording]);
        drop(reporter.set_store(Replay::make(tempfile::tempfile().unwrap(), None).expect("another")));
        while !reporter.has_waiting() {
            reporter.insist(FromWorker::StoreFailed);
        }
        // Behind what waits it would come too late.
        assert_eq!(reporter.commit(&device, &Record::default()), Ok(()));
        assert_eq!(reporter.waiting(), 1);
        assert!(heard(&monitor).iter().all(|message| *message == FromWorker::StoreFailed));
    }

    #[test]
    fn a_flood_of_requests_costs_no_answer() {
        let (ours, monitor) = Channel::pair().unwrap();
        let mut reporter = Reporter::new(ours);
        while reporter.lost < 3 {
            reporter.insist(FromWorker::StoreFailed);
        }
        assert_eq!(reporter.waiting(), WAITING);
        let answers = [FromWorker::Prepared { generation: 7 }, FromWorker::Pong { number: 8 }];
        for answer in answers {
            reporter.answer(answer);
        }
        let mut all = heard(&monitor);
        while reporter.has_waiting() {
            reporter.flush();
            all.extend(heard(&monitor));
        }
        all.retain(|message| *message != FromWorker::StoreFailed);
        assert_eq!(all, [answers.as_slice(), &[FromWorker::Overrun { requests: 3 }]].concat());
    }
}
