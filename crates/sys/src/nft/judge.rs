//! What a ruleset does with a stranger's first packet to a port of this host.
//!
//! Rules are followed as the kernel follows them, as far as their expressions are understood. A stranger is one of whom
//! nothing is known but that no rule for single addresses is meant for him: a rule that asks for anything else, or that is
//! not understood, is passed over, and where it rejects that is remembered. Of one set it may be known whether he is in it.

mod asked;
mod borders;
mod divert;

use std::collections::HashMap;

use super::SetName;
use super::ruleset::{Chain, ChainName, Element, Rule, Ruleset, number, verdict};
use super::table::{INPUT, PRIORITY};
use crate::netlink::Attributes;

pub use asked::Asking;

/// How deep jumps are followed; the kernel allows as much.
const DEEPEST: usize = 16;
/// Hooks that packets for this host pass, in order.
const HOOKS: [u32; 2] = [0, 1];

/// A stranger's packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// IPv6.
    pub ipv6: bool,
    /// UDP; else a TCP connection that begins.
    pub udp: bool,
    /// To which port.
    pub port: u16,
}

/// Where somebody stands to one set of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing<'s> {
    /// The set.
    pub set: &'s SetName,
    /// His address is in it.
    pub inside: bool,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It reaches the service.
    Accepted,
    /// Nothing is heard of it.
    Dropped,
    /// It is answered.
    Rejected,
}

/// What becomes of it, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What.
    pub fate: Fate,
    /// The chain that said so last; `None`: no chain looks at it.
    pub chain: Option<ChainName>,
    /// Whether it was the chain's policy, not a rule.
    pub by_policy: bool,
    /// A chain with a rule that could reject it, were more known of the packet.
    pub may_reject: Option<ChainName>,
}

/// A chain's word.
enum Flow {
    Accept,
    Drop,
    Reject,
    /// Its end, or a return.
    End,
}

/// What is in a register.
#[derive(Clone)]
enum Value {
    Known(Vec<u8>),
    /// The number or the name of an interface that is not the loopback device.
    NotLoopback,
    Unknown,
}

/// Whether a rule is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    Yes,
    No,
    Maybe,
}

impl Ruleset {
    /// Follows a packet through the chains of all tables but `own`, which is aldaba's.
    #[must_use]
    pub fn judge(&self, probe: Probe, own: &str) -> Judgement {
        self.follow(probe, self.asked(probe, own), None)
    }

    /// The same through the chains of all tables, for somebody of whom is known whether he is in a set.
    #[must_use]
    pub fn judge_of(&self, probe: Probe, standing: Standing<'_>) -> Judgement {
        self.follow(probe, self.asked(probe, ""), Some(standing))
    }

    /// Follows it only through the chains that come before aldaba's own table.
    #[must_use]
    pub fn judge_before(&self, probe: Probe, own: &str) -> Judgement {
        let mut asked = self.asked(probe, own);
        // Of one priority, the older chain comes first: which is not ours to know.
        asked.retain(|chain| chain.hook <= Some((INPUT, PRIORITY)));
        self.follow(probe, asked, None)
    }

    fn follow(&self, probe: Probe, asked: Vec<&Chain>, standing: Option<Standing<'_>>) -> Judgement {
        let mut judgement =
            Judgement { fate: Fate::Accepted, chain: None, by_policy: false, may_reject: None };
        for chain in asked {
            let mut walk = Walk { ruleset: self, probe, standing, may_reject: None };
            let flow = walk.chain(&chain.name, DEEPEST);
            judgement.may_reject = judgement.may_reject.or(walk.may_reject);
            let (fate, by_policy) = match flow {
                Flow::Drop => (Fate::Dropped, false),
                Flow::Reject => (Fate::Rejected, false),
                Flow::End if chain.drops => (Fate::Dropped, true),
                Flow::Accept => (Fate::Accepted, false),
                Flow::End => (Fate::Accepted, true),
            };
            judgement = Judgement { fate, by_policy, chain: Some(chain.name.clone()), ..judgement };
            // Another chain cannot take that back; an acceptance only ends this one.
            if fate != Fate::Accepted {
                break;
            }
        }
        judgement
    }

    /// The chains the kernel asks, in its order.
    fn asked(&self, probe: Probe, own: &str) -> Vec<&Chain> {
        let family = if probe.ipv6 { 10 } else { 2 };
        let asked = self.chains.iter().filter(|chain| {
            chain.filters
                && (chain.name.family == 1 || chain.name.family == family)
                && !(chain.name.family == 1 && chain.name.table == own)
                && chain.hook.is_some_and(|(hook, _)| HOOKS.contains(&hook))
        });
        let mut asked: Vec<&Chain> = asked.collect();
        asked.sort_by_key(|chain| chain.hook);
        asked
    }
}

/// One packet's way through one chain.
struct Walk<'r> {
    ruleset: &'r Ruleset,
    probe: Probe,
    standing: Option<Standing<'r>>,
    may_reject: Option<ChainName>,
}

impl Walk<'_> {
    fn chain(&mut self, name: &ChainName, depth: usize) -> Flow {
        let Some(depth) = depth.checked_sub(1) else { return Flow::End };
        for rule in self.ruleset.rules.get(name).into_iter().flatten() {
            match self.rule(name, rule) {
                Some(Word::Verdict(0)) => return Flow::Drop,
                // Queued for a program: which is not ours to know.
                Some(Word::Verdict(1 | 3 | 4)) => return Flow::Accept,
                Some(Word::Verdict(_)) => return Flow::End,
                Some(Word::Reject) => return Flow::Reject,
                Some(Word::Chain { to, comes_back }) => {
                    let to = ChainName { chain: to, ..name.clone() };
                    match self.chain(&to, depth) {
                        Flow::End if comes_back => {}
                        word => return word,
                    }
                }
                None => {}
            }
        }
        Flow::End
    }

    /// What a rule says of the packet, if it is meant.
    fn rule(&mut self, chain: &ChainName, rule: &Rule) -> Option<Word> {
        let mut registers: HashMap<u32, Value> = HashMap::new();
        let mut meant = Match::Yes;
        for (name, bytes) in rule {
            let parts = Attributes::new(bytes);
            let word = match self.expression(chain, name, &parts, &mut registers) {
                Step::Word(word) => word,
                Step::Match(Match::Yes) => continue,
                Step::Match(Match::No) => return None,
                Step::Match(Match::Maybe) => {
                    meant = Match::Maybe;
                    continue;
                }
            };
            if meant == Match::Yes {
                return Some(word);
            }
            if matches!(word, Word::Reject) {
                self.may_reject.get_or_insert_with(|| chain.clone());
            }
            return None;
        }
        None
    }

    fn expression(
        &self,
        chain: &ChainName,
        name: &str,
        parts: &Attributes<'_>,
        registers: &mut HashMap<u32, Value>,
    ) -> Step {
        match name {
            "meta" => put(registers, parts, self.meta(number(parts, 2))),
            "payload" => put(registers, parts, self.payload(parts)),
            "ct" => put(registers, parts, connection(number(parts, 2))),
            "bitwise" => bitwise(registers, parts),
            "cmp" => Step::Match(compare(registers, parts)),
            "range" => Step::Match(range(registers, parts)),
            "lookup" => self.lookup(chain, registers, parts),
            "immediate" => immediate(parts),
            "reject" => Step::Word(Word::Reject),
            "target" => match parts.text(1).as_deref() {
                Some("REJECT") => Step::Word(Word::Reject),
                _ => Step::Match(Match::Yes),
            },
            "counter" | "log" | "notrack" | "last" => Step::Match(Match::Yes),
            _ => Step::Match(Match::Maybe),
        }
    }

    fn meta(&self, key: Option<u32>) -> Value {
        let ethernet: u16 = if self.probe.ipv6 { 0x86dd } else { 0x0800 };
        match key {
            Some(1) => Value::Known(ethernet.to_be_bytes().to_vec()),
            Some(4 | 6) => Value::NotLoopback,
            Some(15) => Value::Known(vec![if self.probe.ipv6 { 10 } else { 2 }]),
            Some(16) => Value::Known(vec![self.protocol()]),
            _ => Value::Unknown,
        }
    }

    const fn protocol(&self) -> u8 {
        if self.probe.udp { 17 } else { 6 }
    }

    /// The protocol in the network header, and the destination port behind it.
    fn payload(&self, parts: &Attributes<'_>) -> Value {
        let at = (number(parts, 2), number(parts, 3), number(parts, 4));
        match (at, self.probe.ipv6) {
            ((Some(1), Some(9), Some(1)), false) | ((Some(1), Some(6), Some(1)), true) => {
                Value::Known(vec![self.protocol()])
            }
            ((Some(2), Some(2), Some(2)), _) => Value::Known(self.probe.port.to_be_bytes().to_vec()),
            _ => Value::Unknown,
        }
    }

    fn lookup(&self, chain: &ChainName, registers: &HashMap<u32, Value>, parts: &Attributes<'_>) -> Step {
        let set = parts.text(1).unwrap_or_default();
        let is_inverted = number(parts, 5).is_some_and(|flags| flags & 1 != 0);
        if let Some(Standing { set: known, inside }) = self.standing
            && (known.family.number(), &known.table, &known.set) == (chain.family, &chain.table, &set)
        {
            return Step::Match(if inside == is_inverted { Match::No } else { Match::Yes });
        }
        let set = self.ruleset.sets.get(&(chain.family, chain.table.clone(), set));
        let value = number(parts, 2).and_then(|register| registers.get(&register));
        let (Some(set), Some(Value::Known(value))) = (set, value) else { return Step::Match(Match::Maybe) };
        if set.iter().any(|element| element.key.len() != value.len()) {
            return Step::Match(Match::Maybe);
        }
        let found = find(set, value);
        if is_inverted {
            return Step::Match(if found.is_some() { Match::No } else { Match::Yes });
        }
        match found {
            None => Step::Match(Match::No),
            Some(Element { verdict: Some((code, to)), .. }) => Word::of(*code, to.as_deref()),
            Some(_) if number(parts, 3).is_some() => Step::Match(Match::Maybe),
            Some(_) => Step::Match(Match::Yes),
        }
    }
}

fn put(registers: &mut HashMap<u32, Value>, parts: &Attributes<'_>, value: Value) -> Step {
    if let Some(register) = number(parts, 1) {
        registers.insert(register, value);
    }
    Step::Match(Match::Yes)
}

/// What a rule says.
enum Word {
    /// A verdict of the kernel's, or a return.
    Verdict(i32),
    Reject,
    Chain {
        to: String,
        comes_back: bool,
    },
}

impl Word {
    fn of(code: i32, to: Option<&str>) -> Step {
        match (code, to) {
            // Continue, and break.
            (-1, _) => Step::Match(Match::Yes),
            (-2, _) => Step::Match(Match::No),
            (-3 | -4, Some(to)) => Step::Word(Self::Chain { to: to.to_owned(), comes_back: code == -3 }),
            _ => Step::Word(Self::Verdict(code)),
        }
    }
}

/// What an expression comes to.
enum Step {
    Match(Match),
    Word(Word),
}

/// `ct state` of a first packet; nothing else is known of a connection.
fn connection(key: Option<u32>) -> Value {
    const NEW: u32 = 8;
    if key == Some(0) { Value::Known(NEW.to_ne_bytes().to_vec()) } else { Value::Unknown }
}

fn immediate(parts: &Attributes<'_>) -> Step {
    match parts.inside(2).as_ref().and_then(verdict) {
        Some((code, to)) => Word::of(code, to.as_deref()),
        None => Step::Match(Match::Yes),
    }
}

fn data<'a>(parts: &Attributes<'a>, kind: u16) -> Option<&'a [u8]> {
    parts.inside(kind)?.find(1)
}

fn bitwise(registers: &mut HashMap<u32, Value>, parts: &Attributes<'_>) -> Step {
    let result = (|| {
        let Value::Known(value) = registers.get(&number(parts, 1)?)? else { return None };
        let (mask, toggle) = (data(parts, 4)?, data(parts, 5)?);
        let same_length = value.len() == mask.len() && value.len() == toggle.len();
        let bits = value.iter().zip(mask).zip(toggle);
        same_length.then(|| Value::Known(bits.map(|((value, mask), toggle)| value & mask ^ toggle).collect()))
    })();
    if let Some(register) = number(parts, 2) {
        registers.insert(register, result.unwrap_or(Value::Unknown));
    }
    Step::Match(Match::Yes)
}

fn compare(registers: &HashMap<u32, Value>, parts: &Attributes<'_>) -> Match {
    let value = number(parts, 1).and_then(|register| registers.get(&register));
    let (Some(operator), Some(wanted)) = (number(parts, 2), data(parts, 3)) else { return Match::Maybe };
    let known = match value {
        Some(Value::Known(value)) if value.len() == wanted.len() => {
            let order = value.as_slice().cmp(wanted);
            match operator {
                0 => order.is_eq(),
                1 => order.is_ne(),
                2 => order.is_lt(),
                3 => order.is_le(),
                4 => order.is_gt(),
                _ => order.is_ge(),
            }
        }
        // The loopback device has the number 1.
        Some(Value::NotLoopback) if wanted.starts_with(b"lo\0") || wanted == 1_u32.to_ne_bytes() => {
            operator == 1
        }
        _ => return Match::Maybe,
    };
    if known { Match::Yes } else { Match::No }
}

fn range(registers: &HashMap<u32, Value>, parts: &Attributes<'_>) -> Match {
    let value = number(parts, 1).and_then(|register| registers.get(&register));
    let (Some(Value::Known(value)), Some(from), Some(to)) = (value, data(parts, 3), data(parts, 4)) else {
        return Match::Maybe;
    };
    let inside = (from..=to).contains(&value.as_slice());
    if inside == (number(parts, 2) == Some(0)) { Match::Yes } else { Match::No }
}

/// The element that stands for a value: itself, or the beginning of its range.
fn find<'s>(set: &'s [Element], value: &[u8]) -> Option<&'s Element> {
    if set.iter().any(|element| element.ends) {
        let below = set.iter().filter(|element| element.key.as_slice() <= value);
        return below.max_by_key(|element| (&element.key, !element.ends)).filter(|element| !element.ends);
    }
    set.iter().find(|element| element.key == value)
}
