//! A packet's way through one chain and those it leads to.

use super::registers::Match;
use super::words::{Reader, Said, Word};
use super::{Doubt, Fate};
use crate::nft::ruleset::ChainName;

/// How deep jumps are followed; the kernel allows as much.
const DEEPEST: usize = 16;

/// How a chain ends for a stranger's packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With a fate; `Accepted` ends this chain alone.
    Fate(Fate),
    /// A program decides.
    Queue,
    Away,
    /// At its end, or with a return.
    Open,
}

/// An end, and whether single sources meet another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) end: End,
    pub(super) but_named: bool,
}

/// How the rules that lead to a chain are meant, and whether they have asked for the port.
#[derive(Clone, Copy)]
struct Path {
    matched: Match,
    names_port: bool,
}

/// What was met on the way and passed over, since more would have to be known.
pub(super) struct Walk<'r> {
    reader: Reader<'r>,
    pub(super) may_accept: Option<Doubt>,
    pub(super) may_drop: Option<Doubt>,
    pub(super) may_reject: Option<ChainName>,
    pub(super) may_lead_away: Option<Doubt>,
    /// For one packet of several it does.
    pub(super) leads_away: Option<ChainName>,
    /// A program gets it.
    pub(super) program: Option<ChainName>,
}

impl<'r> Walk<'r> {
    pub(super) const fn new(reader: Reader<'r>) -> Self {
        Self {
            reader,
            may_accept: None,
            may_drop: None,
            may_reject: None,
            may_lead_away: None,
            leads_away: None,
            program: None,
        }
    }

    /// From the beginning of a chain that the kernel itself asks.
    pub(super) fn base(&mut self, chain: &ChainName) -> Ended {
        self.chain(chain, DEEPEST, Path { matched: Match::Yes, names_port: false })
    }

    fn chain(&mut self, name: &ChainName, depth: usize, path: Path) -> Ended {
        let open = Ended { end: End::Open, but_named: false };
        let Some(depth) = depth.checked_sub(1) else { return open };
        let reader = self.reader;
        for rule in reader.ruleset.rules.get(name).into_iter().flatten() {
            for said in reader.rule(name, rule) {
                if let Some(ended) = self.word(name, said, depth, path) {
                    return ended;
                }
            }
        }
        open
    }

    /// How the chain ends with a word, if it does so for sure, seen from the chain's beginning.
    fn word(&mut self, chain: &ChainName, said: Said, depth: usize, path: Path) -> Option<Ended> {
        let here =
            Path { matched: path.matched.min(said.matched), names_port: path.names_port || said.names_port };
        let is_sure = said.matched.is_sure();
        let end = match said.word {
            Word::Chain { to, comes_back } => {
                let to = ChainName { chain: to, ..chain.clone() };
                let ended = self.chain(&to, depth, here);
                let goes_on = ended.end == End::Open && comes_back;
                // What it noted, it noted; beyond that it says nothing for sure.
                return (is_sure && !goes_on).then_some(ended);
            }
            Word::Accept => End::Fate(Fate::Accepted),
            Word::Drop => End::Fate(Fate::Dropped),
            Word::Reject => End::Fate(Fate::Rejected),
            Word::Queue => End::Queue,
            Word::Away => End::Away,
            Word::Return => End::Open,
            Word::Program => {
                if here.matched.is_sure() || (here.names_port && here.matched > Match::Named) {
                    self.program.get_or_insert_with(|| chain.clone());
                }
                return None;
            }
            Word::Strange => {
                self.pass_over(chain, None, here);
                return None;
            }
        };
        if !here.matched.is_sure() {
            self.pass_over(chain, Some(end), here);
        } else if end == End::Away {
            self.leads_away.get_or_insert_with(|| chain.clone());
        }
        is_sure.then_some(Ended { end, but_named: here.matched == Match::Unnamed })
    }

    /// Remembers what a rule would do that may be meant, where it asks for the port; `None`: that is not understood.
    fn pass_over(&mut self, chain: &ChainName, end: Option<End>, here: Path) {
        let by_source = here.matched == Match::Named;
        let doubt = || Doubt { chain: chain.clone(), by_source };
        if end == Some(End::Fate(Fate::Rejected)) {
            self.may_reject.get_or_insert_with(|| chain.clone());
        }
        // What may let an answer out often asks for other things: who sends it, or a mark.
        let lets_out =
            self.reader.packet.is_answer && matches!(end, Some(End::Open | End::Fate(Fate::Accepted)));
        if !here.names_port && !lets_out {
            return;
        }
        if end == Some(End::Away) && here.matched == Match::Sometimes {
            self.leads_away.get_or_insert_with(|| chain.clone());
            return;
        }
        match end {
            Some(End::Open | End::Fate(Fate::Accepted)) => self.may_accept.get_or_insert_with(doubt),
            Some(End::Away) => self.may_lead_away.get_or_insert_with(doubt),
            // What is meant for single sources alone keeps no stranger out.
            Some(_) if by_source => return,
            Some(_) => self.may_drop.get_or_insert_with(doubt),
            None => {
                self.may_drop.get_or_insert_with(doubt);
                self.may_lead_away.get_or_insert_with(doubt)
            }
        };
    }
}
