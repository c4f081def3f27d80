//! How far each source has got in each sequence. Implements spec/knock.md, "Attempts".

use std::time::Duration;

use crate::{Hit, Keep, Limits, Outcome, Pattern, PatternId, ScopeId, Sequence, Sink, Step, TrackerError};

/// Follows every source through every pattern.
#[derive(Debug)]
pub struct Tracker {
    patterns: Vec<Pattern>,
}

impl Tracker {
    /// A tracker for `patterns`. `ignore` names ports that strict patterns do not see. `key`: 16 random bytes.
    pub fn new(
        patterns: &[Pattern],
        _ignore: &[Step],
        _limits: Limits,
        _key: [u8; 16],
    ) -> Result<Self, TrackerError> {
        Ok(Self {
            patterns: patterns.to_vec(),
        })
    }

    /// Looks at one hit that falls in `scopes`.
    pub fn hit(&mut self, _now: Duration, _scopes: &[ScopeId], _hit: &Hit, _sink: &mut impl Sink) -> Outcome {
        Outcome::Invisible
    }

    /// Gives a pattern another sequence, or none. Attempts begun before do not count for it.
    pub fn replace(&mut self, _now: Duration, pattern: PatternId, sequence: Option<Sequence>) {
        if let Some(pattern) = usize::try_from(pattern.0)
            .ok()
            .and_then(|index| self.patterns.get_mut(index))
        {
            pattern.sequence = sequence;
        }
    }

    /// Takes over other patterns. On an error the old ones stay.
    pub fn reconfigure(
        &mut self,
        _now: Duration,
        patterns: &[Pattern],
        _ignore: &[Step],
        _keep: Keep,
    ) -> Result<(), TrackerError> {
        self.patterns = patterns.to_vec();
        Ok(())
    }

    /// Ends attempts that are over time. To be called at most once a second.
    pub fn expire(&mut self, _now: Duration, _sink: &mut impl Sink) {}

    /// Attempts under way.
    #[must_use]
    pub fn attempts(&self) -> usize {
        0
    }
}
