//! What became of a knock: the monitor's own memory, and the worker's, which is asked and not waited for.

use std::net::IpAddr;
use std::time::Duration;

use aldaba_gate::spa::Refusal;
use aldaba_runner::lease::{Lease, State};

use super::Monitor;
use super::control::ClientId;
use super::history::{Happened, Seen, SeenWhat};
use crate::control::{About, Answer, Datagrams, DoorEvent, Knock, LeaseState, TroubleKind, What, Why};
use crate::ipc::{self, ToWorker};

/// How long the worker may take; then what the monitor knows is told alone.
const PATIENCE: Duration = Duration::from_millis(500);
/// The most that is told of each kind, the last ones.
const TOLD: usize = 32;
/// What the worker tells is believed up to this number.
const RECALLED: usize = 64;

/// A close that was asked for is done within this time, unless its command is slow.
const CLOSES_WITHIN: Duration = Duration::from_secs(15);
/// The event that ends a lease.
const CLOSED: &str = "closed";

/// A question that waits for the worker.
#[derive(Debug)]
pub(super) struct Question {
    client: ClientId,
    query: u32,
    about: About,
    due: Duration,
    recalled: Vec<Seen>,
}

/// The questions that wait; no more than there can be clients.
#[derive(Debug, Default)]
pub(super) struct Questions {
    waiting: Vec<Question>,
    last: u32,
}

impl Questions {
    /// When the first has waited long enough.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.waiting.iter().map(|question| question.due).min()
    }
}

impl Monitor {
    /// A client asks what became of something.
    pub(super) fn handle_why(&mut self, now: Duration, client: ClientId, about: About) {
        let query = self.questions.last.wrapping_add(1);
        self.questions.last = query;
        let due = now.saturating_add(PATIENCE);
        let question = Question { client, query, about, due, recalled: Vec::new() };
        if self.workers.is_serving() {
            self.workers.tell(&ToWorker::Recall { query, about }, &[]);
            self.questions.waiting.push(question);
        } else {
            self.answer_why(now, &question, None);
        }
    }

    /// The worker remembers a refusal.
    pub(super) fn handle_recalled(&mut self, query: u32, seen: Seen) {
        let question = self.questions.waiting.iter_mut().find(|question| question.query == query);
        if let Some(question) = question.filter(|question| question.recalled.len() < RECALLED) {
            question.recalled.push(seen);
        }
    }

    /// The worker has told all it remembers.
    pub(super) fn handle_recall_end(&mut self, now: Duration, query: u32, seen: &ipc::Seen) {
        let is_it = |question: &mut Question| question.query == query;
        for question in self.questions.waiting.extract_if(.., is_it).collect::<Vec<_>>() {
            self.answer_why(now, &question, Some(seen));
        }
    }

    /// Answers those who have waited for the worker long enough.
    pub(super) fn handle_questions_timeout(&mut self, now: Duration) {
        let is_due = |question: &mut Question| question.due <= now;
        for question in self.questions.waiting.extract_if(.., is_due).collect::<Vec<_>>() {
            self.answer_why(now, &question, None);
        }
    }

    fn answer_why(&mut self, now: Duration, question: &Question, seen: Option<&ipc::Seen>) {
        if self.stopping.is_some() {
            let answer = TroubleKind::NotDone.answer("the daemon is about to end");
            self.control.answer(now, question.client, &answer);
            return;
        }
        let why = self.why(now, question, seen);
        self.control.answer(now, question.client, &Answer::Why(why));
    }

    fn why(&self, now: Duration, question: &Question, seen: Option<&ipc::Seen>) -> Why {
        let about = question.about;
        let knocks = self.knocks(question);
        let doors = self.doors_of(about, &knocks);
        let addresses: Vec<IpAddr> = doors.iter().map(|happened| happened.address).collect();
        let concerns = |address: IpAddr| match about {
            About::Address(asked) => asked == address,
            About::Id(_) => addresses.contains(&address),
        };
        let leases = self.runner.leases().filter(|lease| concerns(lease.address()));
        let leases = leases.take(TOLD).map(|lease| self.told_lease(now, lease));
        Why {
            about,
            leases: leases.collect(),
            knocks: knocks.iter().map(|seen| self.knock(now, seen)).collect(),
            doors: doors.into_iter().map(|happened| told(now, happened)).collect(),
            datagrams: self.policy.current().policy.spa.as_ref().map(|spa| datagrams(spa.port, seen)),
            steps_told: self.wants_stages(),
            complete: seen.is_some(),
        }
    }

    /// What came in: the worker's memory goes before what it told at the time, which has limits.
    fn knocks(&self, question: &Question) -> Vec<Seen> {
        let mut knocks = question.recalled.clone();
        for seen in self.history.of(question.about) {
            // An accepted datagram that came again is one knock.
            let same = knocks.iter_mut().find(|known| known.id.is_some() && known.id == seen.id);
            match same {
                Some(known) if !matches!(seen.what, SeenWhat::Refused(_)) => {
                    *known = Seen { again: again(known), ..seen.clone() };
                }
                Some(_) => {}
                None => knocks.push(seen.clone()),
            }
        }
        knocks.sort_by_key(|seen| seen.at);
        knocks.split_off(knocks.len().saturating_sub(TOLD))
    }

    /// What became of doors: all of an address, or what followed a request.
    fn doors_of(&self, about: About, knocks: &[Seen]) -> Vec<&Happened> {
        let mut doors: Vec<&Happened> = match (about, knocks) {
            (About::Address(address), _) => {
                self.history.doors().filter(|happened| happened.address == address).collect()
            }
            (About::Id(_), [seen, ..]) => self.following(seen),
            (About::Id(_), []) => Vec::new(),
        };
        doors.split_off(doors.len().saturating_sub(TOLD))
    }

    /// What followed a request: of an opening all until the door was closed, of a close what it closed.
    fn following(&self, request: &Seen) -> Vec<&Happened> {
        let SeenWhat::Admitted { door, address, close, .. } = &request.what else { return Vec::new() };
        let later =
            self.history.doors().filter(|happened| happened.at >= request.at && *happened.door == **door);
        if *close {
            let soon = request.at.saturating_add(CLOSES_WITHIN);
            return later.filter(|happened| happened.event == CLOSED && happened.at <= soon).collect();
        }
        let mut following = Vec::new();
        for happened in later.filter(|happened| happened.address == *address) {
            following.push(happened);
            if happened.event == CLOSED {
                break;
            }
        }
        following
    }

    fn knock(&self, now: Duration, seen: &Seen) -> Knock {
        Knock {
            ago_ms: millis(now.saturating_sub(seen.at)),
            from: seen.from,
            id: seen.id,
            device: seen.device.and_then(|key| self.known_name(key)),
            again: seen.again,
            what: what(&seen.what),
        }
    }

    pub(super) fn known_name(&self, key: [u8; 32]) -> Option<String> {
        Some(self.device_name(Some(key))).filter(|name| name != "?")
    }
}

/// How often an accepted datagram came again: the refusal that was noted first is one of them.
const fn again(refused: &Seen) -> u32 {
    match refused.what {
        SeenWhat::Refused(Refusal::Repeated | Refusal::Replay) => refused.again.saturating_add(1),
        _ => refused.again,
    }
}

fn what(seen: &SeenWhat) -> What {
    match seen {
        SeenWhat::Admitted { door, close, address, offset } => {
            What::Admitted { door: door.clone(), close: *close, address: *address, clock_us: *offset }
        }
        SeenWhat::Hello { offset } => What::Hello { clock_us: *offset },
        SeenWhat::Refused(Refusal::Clock { offset, used }) => {
            What::Refused { why: "clock".to_owned(), clock_us: Some(*offset), used: *used }
        }
        SeenWhat::Refused(refusal) => {
            What::Refused { why: refusal.name().to_owned(), clock_us: None, used: false }
        }
        SeenWhat::NotAllowed(why) => What::NotAllowed { why: (*why).to_owned() },
        SeenWhat::Sequence { door, close } => What::Sequence { door: door.clone(), close: *close },
        SeenWhat::Step { door, stage } => What::Step { door: door.clone(), stage: *stage },
        SeenWhat::Expired { door, stage } => What::Expired { door: door.clone(), stage: *stage },
    }
}

fn told(now: Duration, happened: &Happened) -> DoorEvent {
    DoorEvent {
        ago_ms: millis(now.saturating_sub(happened.at)),
        door: happened.door.to_string(),
        address: happened.address,
        event: happened.event.to_owned(),
        fields: happened.fields.clone(),
    }
}

fn datagrams(port: u16, seen: Option<&ipc::Seen>) -> Datagrams {
    let seen = seen.copied().unwrap_or_default();
    Datagrams {
        port,
        arrived: seen.datagrams,
        foreign: seen.foreign,
        foreign_ago_ms: seen.foreign_age.map(|age| age / 1000),
        // Whatever is left of a millisecond is still time to wait.
        guard_left_ms: seen.guard_left.div_ceil(1000),
    }
}

pub(super) fn state_of(lease: &Lease) -> LeaseState {
    match lease.state() {
        state if state.stuck().is_some() => LeaseState::CannotClose,
        State::Waiting { .. } | State::Starting { .. } | State::Setting => LeaseState::Opening,
        State::Open if lease.is_lost() => LeaseState::Lost,
        State::Open => LeaseState::Open,
        State::Due { .. }
        | State::Stopping { .. }
        | State::Deleting { .. }
        | State::Retry { .. }
        | State::CannotClose { .. } => LeaseState::Closing,
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
