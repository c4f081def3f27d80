//! Whether the worker lives: it has so long until it serves, then it is asked now and then, and one that does not answer in
//! time is ended like one that has died. Nobody waits for the answer. Pure: the time is an argument.

use std::time::Duration;

/// How often it is asked.
const EVERY: Duration = Duration::from_secs(5);
/// How long it may be silent. It is busy for a second at most, with a policy of 100,000 devices.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it may take from its start until it serves: time for such a policy on a slow machine that does other things too.
const TO_SERVE: Duration = Duration::from_secs(30);

/// The questions to one worker.
#[derive(Debug)]
pub(super) struct Pulse {
    every: Duration,
    patience: Duration,
    /// How long the next worker has until it serves.
    to_serve: Duration,
    /// By when the one that was started has to serve; `None`: it does, or there is none.
    serves_by: Option<Duration>,
    /// When the next question is due; `None`: no worker serves.
    next: Option<Duration>,
    /// The last question's number.
    asked: u32,
    open: Option<Open>,
    /// The worker that serves has answered once: it has taken all it was given before.
    answered: bool,
}

/// A question that is not answered yet.
#[derive(Debug, Clone, Copy)]
struct Open {
    asked_at: Duration,
    /// When the worker was last heard to say something else, or was asked.
    heard_at: Duration,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// Ask it, with this number.
    Ask(u32),
    /// It does not answer, or does not come to serve: end it.
    Silent,
}

impl Pulse {
    /// A service manager that restarts a silent daemon after `watchdog` must not be quicker than we are.
    pub(super) fn new(watchdog: Option<Duration>) -> Self {
        let watchdog = watchdog.unwrap_or(Duration::MAX);
        Self {
            every: EVERY.min(watchdog / 8),
            patience: PATIENCE.min(watchdog / 4),
            // Before the first one serves no sign of life is missed.
            to_serve: TO_SERVE.min(watchdog),
            serves_by: None,
            next: None,
            asked: 0,
            open: None,
            answered: false,
        }
    }

    /// A worker was started.
    pub(super) const fn expect(&mut self, now: Duration) {
        self.end();
        self.serves_by = Some(now.saturating_add(self.to_serve));
    }

    /// It serves from now on: the first question follows at once.
    pub(super) fn begin(&mut self, now: Duration) {
        self.end();
        // The last sign of life may be half of the manager's patience ago when one ends, and the next must come in time.
        self.to_serve = self.to_serve.min(self.patience.saturating_mul(3) / 2);
        self.next = Some(now);
    }

    /// None serves any more, and none is about to.
    pub(super) const fn end(&mut self) {
        self.serves_by = None;
        self.next = None;
        self.open = None;
        self.answered = false;
    }

    /// It answered. An answer to another question than the last says nothing.
    pub(super) fn answer(&mut self, number: u32) {
        if self.open.is_some() && number == self.asked {
            self.open = None;
            self.answered = true;
        }
    }

    /// It said something else that made sense. Where it says much its answer comes late, and it lives; but that gives it as long
    /// again and no more, so that one which only talks is ended too.
    pub(super) fn hear(&mut self, now: Duration) {
        if self.answered
            && let Some(open) = &mut self.open
        {
            open.heard_at = now.min(open.asked_at.saturating_add(self.patience));
        }
    }

    /// Whether a worker serves that has answered, and in time up to now.
    pub(super) fn is_alive(&self, now: Duration) -> bool {
        self.answered && self.answers_by().is_none_or(|until| now < until)
    }

    /// For how long the last question has been open.
    pub(super) fn silent_for(&self, now: Duration) -> Option<Duration> {
        self.open.map(|open| now.saturating_sub(open.heard_at))
    }

    fn answers_by(&self) -> Option<Duration> {
        self.open.map(|open| open.heard_at.saturating_add(self.patience))
    }

    /// When [`Pulse::beat`] has something to say.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.serves_by.or(self.answers_by()).or(self.next)
    }

    /// What is due now.
    pub(super) fn beat(&mut self, now: Duration) -> Option<Beat> {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return None;
        }
        if self.serves_by.is_some() || self.open.is_some() {
            self.end();
            return Some(Beat::Silent);
        }
        self.asked = self.asked.wrapping_add(1);
        self.open = Some(Open { asked_at: now, heard_at: now });
        self.next = Some(now.saturating_add(self.every));
        Some(Beat::Ask(self.asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn one_that_answers_is_asked_again_and_one_that_does_not_is_ended() {
        let mut pulse = Pulse::new(None);
        assert_eq!((pulse.beat(at(1)), pulse.poll_timeout()), (None, None), "there is no worker");
        pulse.begin(at(1));
        assert_eq!(pulse.beat(at(1)), Some(Beat::Ask(1)));
        assert!(!pulse.is_alive(at(1)), "it has said nothing yet");
        pulse.answer(7);
        assert!(!pulse.is_alive(at(2)), "that was no answer to this question");
        pulse.answer(1);
        assert!(pulse.is_alive(at(2)));
        assert_eq!((pulse.beat(at(5)), pulse.poll_timeout()), (None, Some(at(6))));
        assert_eq!(pulse.beat(at(6)), Some(Beat::Ask(2)));
        assert!(pulse.is_alive(at(25)));
        assert_eq!(pulse.silent_for(at(25)), Some(at(19)));
        assert!(!pulse.is_alive(at(26)));
        assert_eq!(pulse.beat(at(26)), Some(Beat::Silent));
        assert_eq!((pulse.beat(at(60)), pulse.poll_timeout()), (None, None), "that worker is gone");
    }

    #[test]
    fn one_that_says_much_is_alive_before_its_answer_comes() {
        let mut pulse = Pulse::new(None);
        pulse.begin(at(1));
        assert_eq!(pulse.beat(at(1)), Some(Beat::Ask(1)));
        pulse.hear(at(9));
        assert!(!pulse.is_alive(at(9)), "a new one has to answer once");
        pulse.answer(1);
        assert_eq!(pulse.beat(at(10)), Some(Beat::Ask(2)));
        pulse.hear(at(28));
        assert!(pulse.is_alive(at(47)));
        assert_eq!((pulse.beat(at(47)), pulse.beat(at(48))), (None, Some(Beat::Silent)));
    }

    #[test]
    fn one_that_only_talks_is_ended() {
        let mut pulse = Pulse::new(None);
        pulse.begin(at(1));
        assert_eq!(pulse.beat(at(1)), Some(Beat::Ask(1)));
        pulse.answer(1);
        assert_eq!(pulse.beat(at(6)), Some(Beat::Ask(2)));
        for second in 7..46 {
            pulse.hear(at(second));
            assert_eq!(pulse.beat(at(second)), None, "{second}");
        }
        assert_eq!(pulse.beat(at(46)), Some(Beat::Silent));
    }

    #[test]
    fn the_next_worker_begins_anew() {
        let mut pulse = Pulse::new(None);
        pulse.begin(at(1));
        assert_eq!(pulse.beat(at(1)), Some(Beat::Ask(1)));
        pulse.begin(at(2));
        assert_eq!(pulse.beat(at(2)), Some(Beat::Ask(2)));
        pulse.answer(1);
        assert!(!pulse.is_alive(at(2)), "the one before said that");
    }

    #[test]
    fn one_that_does_not_come_to_serve_is_ended() {
        let mut pulse = Pulse::new(None);
        pulse.expect(at(5));
        assert_eq!((pulse.beat(at(34)), pulse.poll_timeout()), (None, Some(at(35))));
        assert!(!pulse.is_alive(at(34)));
        assert_eq!(pulse.beat(at(35)), Some(Beat::Silent));
        assert_eq!((pulse.beat(at(99)), pulse.poll_timeout()), (None, None), "that worker is gone");
        pulse.expect(at(100));
        pulse.begin(at(129));
        assert_eq!(pulse.beat(at(130)), Some(Beat::Ask(1)), "it serves in time");
        pulse.expect(at(131));
        assert_eq!(
            pulse.poll_timeout(),
            Some(at(161)),
            "the next one's, and not the answer of the one before"
        );
    }

    #[test]
    fn the_first_worker_has_as_long_as_the_service_manager_waits_and_the_others_less() {
        let mut pulse = Pulse::new(Some(at(8)));
        pulse.expect(at(0));
        assert_eq!(pulse.poll_timeout(), Some(at(8)));
        pulse.begin(at(1));
        pulse.expect(at(2));
        assert_eq!(pulse.poll_timeout(), Some(at(5)));
    }

    #[test]
    fn a_worker_is_replaced_before_the_service_manager_loses_patience() {
        for watchdog in [at(1), at(4), at(60), at(3600)] {
            let mut pulse = Pulse::new(Some(watchdog));
            pulse.begin(at(0));
            assert!(pulse.every + pulse.patience < watchdog / 2, "{watchdog:?}");
            assert!(pulse.to_serve < watchdog / 2, "{watchdog:?}");
        }
    }
}
