//! What is sent elsewhere before the chains for this host see it: a container's published port, a redirection. Such a packet
//! passes the hook `prerouting` and then `forward`, or `input` with another port; a guard at `input` for its own port never
//! meets it.

use super::walk::{End, Walk};
use super::{ChainName, Fate, Probe, Ruleset, Stage};

/// Another way than to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diversion {
    /// The chain with the rule for it.
    pub chain: ChainName,
    /// Which.
    pub course: Course,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Elsewhere.
    Away,
    /// Elsewhere for single sources.
    AwayForSome,
    /// Elsewhere, perhaps: the rule is not understood.
    AwayPerhaps,
    /// Through the chains for this host, as if nothing were, but to a program that waits at another port.
    Program,
}

impl Ruleset {
    /// Whether a rule changes where it goes: for sure, or may, where it asks for this port.
    #[must_use]
    pub fn diverted(&self, probe: Probe<'_>) -> Option<Diversion> {
        let mut lesser: Option<Diversion> = None;
        let mut note = |chain: Option<ChainName>, course| {
            if let Some(chain) = chain {
                lesser.get_or_insert(Diversion { chain, course });
            }
        };
        for chain in self.passed(probe, false) {
            if chain.stage() >= Some((Stage::Input, i32::MIN)) {
                break;
            }
            let mut walk = Walk::new(self.reader(probe, chain, None));
            let ended = walk.base(&chain.name);
            if let Some(chain) = walk.leads_away {
                return Some(Diversion { chain, course: Course::Away });
            }
            let by_source = walk.may_lead_away.as_ref().is_some_and(|doubt| doubt.by_source);
            let course = if by_source { Course::AwayForSome } else { Course::AwayPerhaps };
            note(walk.may_lead_away.map(|doubt| doubt.chain), course);
            note(walk.program, Course::Program);
            if matches!(ended.end, End::Fate(Fate::Dropped | Fate::Rejected)) {
                break;
            }
        }
        lesser
    }
}
