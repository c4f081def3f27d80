//! What the worker asks for, checked against the monitor's own policy, and what it reports.

use std::net::IpAddr;
use std::time::Duration;

use aldaba_gate::{DoorId, KnockAction};
use aldaba_runner::Ask;

use super::Monitor;
use super::admission::Told;
use super::captures::Stopped;
use super::history::{Seen, SeenWhat};
use super::limits::Kind;
use super::workers::Heard;
use crate::ipc::{FromWorker, Place, ToWorker};
use crate::log::Level;
use crate::wording;

/// Messages taken from the worker before everything else has its turn.
const MESSAGES_AT_ONCE: usize = 256;

impl Monitor {
    /// Hears the worker out, within bounds.
    pub(super) fn hear_worker(&mut self, now: Duration) {
        for _ in 0..MESSAGES_AT_ONCE {
            match self.workers.hear(now) {
                Heard::Message(message) => self.handle_message(now, message),
                Heard::Nothing => return,
                Heard::Lost => {
                    self.worker_ended(now, "why=lost");
                    return;
                }
            }
        }
    }

    fn handle_message(&mut self, now: Duration, message: FromWorker) {
        match message {
            FromWorker::Ready(confined) => self.worker_ready(now, confined),
            FromWorker::Prepared { generation } if self.workers.answers(generation) => {
                self.worker_prepared(now, generation);
            }
            FromWorker::Unfit { generation } if self.workers.answers(generation) => {
                self.worker_refuses(now, generation);
            }
            FromWorker::Prepared { .. } | FromWorker::Unfit { .. } => self.end_worker(now),
            FromWorker::Request { place, action, source } => self.handle_request(now, place, action, source),
            FromWorker::Stage { place, stage, source } => self.handle_step(now, place, stage, source, false),
            FromWorker::Expired { place, stage, source } => self.handle_step(now, place, stage, source, true),
            FromWorker::LeftOut { events } => self.speech.left_out(events),
            FromWorker::Overrun { requests } => {
                self.health.note_lost(now, requests);
                let line = format!("requests-lost requests={requests}");
                self.report(now, Level::Warning, line);
            }
            FromWorker::Hit { source, protocol, destination, outcome } => {
                if self.speech.may_say(now, Kind::Stages) {
                    crate::knockd::print_hit(source, protocol, destination, outcome);
                }
            }
            FromWorker::Admitted { place, action, source: address, from, device, id, seconds, offset } => {
                let told = Told { place, action, address, from, device, id, seconds };
                self.handle_admitted(now, &told, offset);
            }
            FromWorker::Recalled { query, age, from, refusal, id, device, again } => {
                let at = now.saturating_sub(Duration::from_micros(age));
                let what = SeenWhat::Refused(refusal);
                self.handle_recalled(query, Seen { at, from, id: Some(id), device, again, what });
            }
            // Or a reload would wait for it for ever.
            FromWorker::Pong { .. } if self.workers.owes_another_answer() => self.end_worker(now),
            FromWorker::Pong { number } => self.pulse.answer(number),
            FromWorker::Counted { query, page, values } => self.handle_counted(now, query, page, &values),
            FromWorker::RecallEnd { query, seen } => self.handle_recall_end(now, query, &seen),
            FromWorker::Recording => self.spa_hold.expect_request(),
            FromWorker::Hello { .. }
            | FromWorker::Rejected { .. }
            | FromWorker::StoreFailed
            | FromWorker::ShutOut { .. } => {
                self.handle_spa(now, &message);
            }
            FromWorker::CaptureFailed { capture } => self.capture_failed(now, capture),
            FromWorker::ListenFailed => self.listen_failed(now),
        }
    }

    /// The worker cannot read it any more.
    fn capture_failed(&mut self, now: Duration, capture: u32) {
        match self.captures.stopped(now, capture, &mut self.workers) {
            Stopped::Unknown => {}
            // Only a new worker can bind it.
            Stopped::OfWorker => self.end_worker(now),
            Stopped::Later(error) => {
                let line = format!("degraded what=capture error={}", wording::quoted(&error));
                self.report(now, Level::Warning, line);
            }
            Stopped::Now => self.follow_links(now),
        }
    }

    /// A source has come to this stage, or ran out of time there.
    fn handle_step(&mut self, now: Duration, place: Place, stage: u8, source: IpAddr, expired: bool) {
        let Some(door) = self.policy.door(place) else { return };
        let name = self.policy.name(door).to_owned();
        if expired {
            self.speech.expired(now, source, &name, stage);
            let what = SeenWhat::Expired { door: name, stage };
            self.history.note(Seen::by_sequence(now, source, what));
        } else {
            self.speech.stage(now, source, &name, stage);
            let what = SeenWhat::Step { door: name, stage };
            self.history.note(Seen::by_sequence(now, source, what));
        }
    }

    /// What the worker says of itself, as often as it may.
    pub(super) fn report(&mut self, now: Duration, level: Level, line: String) {
        self.speech.tell_limited(now, Kind::Reports, wording::Line::new(level, line));
    }

    fn handle_request(&mut self, now: Duration, place: Place, action: KnockAction, source: IpAddr) {
        let Some(door) = self.policy.door(place) else {
            let line = wording::request_refused("?", source, "no-such-door");
            self.speech.tell_limited(now, Kind::Refusals, line);
            return;
        };
        // The worker may ask only for what one of the door's own knocks does.
        if self.knock_action(door, place.knock) != Some(action) {
            let line = wording::request_refused(self.policy.name(door), source, "no-such-knock");
            self.speech.tell_limited(now, Kind::Refusals, line);
            return;
        }
        if !self.may_be_a_client(source) {
            let line = wording::request_refused(self.policy.name(door), source, "no-client");
            self.speech.tell_limited(now, Kind::Refusals, line);
            // Whoever has forged it knows the sequence, and the worker waits for the next one.
            self.use_up(door, place.knock).ok();
            return;
        }
        self.pulse.hear(now);
        let what = SeenWhat::Sequence {
            door: self.policy.name(door).to_owned(),
            close: action == KnockAction::Close,
        };
        self.history.note(Seen::by_sequence(now, source, what));
        self.speech.complete(now, source, self.policy.name(door));
        if self.use_up(door, place.knock).is_err() {
            return;
        }
        let door = aldaba_runner::DoorId(door.0);
        match action {
            // What became of it is said by the runner's events.
            KnockAction::Open => {
                let granted = self.runner.grant(now, door, &Ask::by_sequence(source));
                self.trials.note(place.generation, granted, None);
            }
            KnockAction::Close => drop(self.runner.close(now, door, source)),
        }
    }

    fn knock_action(&self, door: DoorId, knock: u8) -> Option<KnockAction> {
        let doors = &self.policy.current().policy.gate.doors;
        let door = doors.get(usize::try_from(door.0).ok()?)?;
        Some(door.knocks.get(usize::from(knock))?.action)
    }

    /// A one-time sequence is marked before anything is opened, and the worker gets the next one. An error: it cannot
    /// be marked, so nothing opens, now or later.
    fn use_up(&mut self, door: DoorId, knock: u8) -> std::io::Result<()> {
        let name = self.policy.name(door).to_owned();
        let version = self.policy.current_mut();
        let generation = version.generation;
        let file = version.one_time.iter_mut().find(|file| file.door == door && file.knock == knock);
        let Some(file) = file else { return Ok(()) };
        let marked = file.use_up();
        let sequence = file.current().cloned();
        match &marked {
            Err(_) => self.speech.one_time_failed(&name),
            Ok(()) if sequence.is_none() => self.speech.one_time_used_up(&name),
            Ok(()) => {}
        }
        // The filter first: no packet of the next sequence may be missed once it is in force.
        self.refresh_filter();
        let place = Place { generation, door, knock };
        self.workers.tell(&ToWorker::NextSequence { place, sequence }, &[]);
        marked
    }
}
