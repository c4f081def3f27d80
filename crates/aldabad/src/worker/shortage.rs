//! Locks whose budget of key agreements is spent: their users are being shut out, which is said at once, and once a minute
//! while it lasts, with the number of datagrams that were turned away. spec/spa.md, section 8, step 4.

use std::time::Duration;

use aldaba_gate::spa::MAX_LOCKS;

/// How often it is said of a lock.
const EVERY: Duration = Duration::from_secs(60);

/// What was turned away for want of budget, by lock.
#[derive(Debug, Default)]
pub(super) struct Shortage([Spent; MAX_LOCKS]);

#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    /// Since it was last said.
    refused: u64,
    /// When that was.
    said: Option<Duration>,
}

impl Spent {
    /// When it is to be said.
    fn due(&self) -> Option<Duration> {
        let due = self.said.map_or(Duration::ZERO, |said| said.saturating_add(EVERY));
        (self.refused > 0).then_some(due)
    }
}

impl Shortage {
    /// A datagram for this lock was turned away.
    pub(super) fn note(&mut self, lock: usize) {
        if let Some(spent) = self.0.get_mut(lock) {
            spent.refused = spent.refused.saturating_add(1);
        }
    }

    /// A lock of which it is to be said, and how many datagrams were turned away.
    pub(super) fn poll(&mut self, now: Duration) -> Option<(u8, u64)> {
        let is_due = |spent: &Spent| spent.due().is_some_and(|due| due <= now);
        let (lock, spent) = (0..).zip(&mut self.0).find(|(_, spent)| is_due(spent))?;
        spent.said = Some(now);
        Some((lock, std::mem::take(&mut spent.refused)))
    }

    /// When there will be something to say.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.0.iter().filter_map(Spent::due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_is_said_at_once_and_once_a_minute_with_the_number() {
        let mut shortage = Shortage::default();
        assert_eq!((shortage.poll(at(5)), shortage.poll_timeout()), (None, None));
        shortage.note(1);
        assert_eq!(shortage.poll(at(5)), Some((1, 1)));
        for _ in 0..1000 {
            shortage.note(1);
        }
        assert_eq!((shortage.poll(at(64)), shortage.poll_timeout()), (None, Some(at(65))));
        // Also when nothing more comes.
        assert_eq!(shortage.poll(at(65)), Some((1, 1000)));
        assert_eq!((shortage.poll(at(999)), shortage.poll_timeout()), (None, None));
    }

    #[test]
    fn each_lock_is_told_of_by_itself() {
        let mut shortage = Shortage::default();
        for lock in [0, 7, 0, MAX_LOCKS] {
            shortage.note(lock);
        }
        assert_eq!(shortage.poll(at(1)), Some((0, 2)));
        assert_eq!(shortage.poll(at(1)), Some((7, 1)));
        assert_eq!(shortage.poll(at(1)), None);
    }
}
