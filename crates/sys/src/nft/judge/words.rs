//! What one rule says of a packet: expression by expression, as the kernel takes them.

use super::foreign::{self, Matched};
use super::lookup::{best, found, unread};
use super::packet::{Loaded, Packet};
use super::registers::{Byte, Match, Registers, VERDICT, known};
use super::{Standing, number};
use crate::netlink::Attributes;
use crate::nft::ruleset::{ChainName, Rule, Ruleset, verdict};

/// What a rule does with a packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Word {
    Accept,
    Drop,
    Reject,
    Return,
    /// A program decides.
    Queue,
    /// It goes on with another destination, or leaves.
    Away,
    /// A program gets it, whatever its port; the rules go on.
    Program,
    /// Something that is not understood.
    Strange,
    Chain {
        to: String,
        comes_back: bool,
    },
}

/// What a rule says, how surely, and whether it has asked for the port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) matched: Match,
    pub(super) word: Word,
    pub(super) names_port: bool,
}

/// What an expression comes to.
enum Step {
    Match(Match),
    Word(Word),
    /// One of several.
    Words(Vec<(Match, Word)>),
}

/// What is known while a chain is read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'r> {
    pub(super) ruleset: &'r Ruleset,
    pub(super) packet: Packet<'r>,
    pub(super) standing: Option<Standing<'r>>,
}

/// One rule, as far as it has been read.
struct Reading<'c> {
    chain: &'c ChainName,
    registers: Registers,
    matched: Match,
    names_port: bool,
    /// It does something that is not understood.
    is_strange: bool,
    /// It gives the packet to a program.
    program: bool,
}

impl Reader<'_> {
    /// What a rule says of the packet, if it may be meant.
    pub(super) fn rule(&self, chain: &ChainName, rule: &Rule) -> Vec<Said> {
        let mut reading = Reading {
            chain,
            registers: Registers::new(),
            matched: Match::Yes,
            names_port: false,
            is_strange: false,
            program: false,
        };
        let mut words = Vec::new();
        for (name, bytes) in rule {
            match self.expression(name, &Attributes::new(bytes), &mut reading) {
                Step::Match(Match::No) => return Vec::new(),
                Step::Match(matched) => reading.matched = reading.matched.min(matched),
                Step::Word(Word::Program) => reading.program = true,
                Step::Word(Word::Strange) => reading.doubt(),
                Step::Word(word) => words.push((Match::Yes, word)),
                Step::Words(several) => words.extend(several),
            }
            if !words.is_empty() {
                break;
            }
        }
        reading.said(words)
    }

    fn expression(&self, name: &str, parts: &Attributes<'_>, reading: &mut Reading<'_>) -> Step {
        let packet = &self.packet;
        match name {
            "meta" => reading.put(parts, 1, &packet.meta(number(parts, 2))),
            "payload" if packet.is_led_elsewhere_by(parts) => Step::Word(Word::Away),
            "payload" => reading.put(parts, 1, &packet.payload(parts)),
            "ct" => reading.put(parts, 1, &packet.connection(parts)),
            "fib" => reading.put(parts, 1, &packet.route(parts).into()),
            "numgen" => reading.put(parts, 1, &vec![Byte::Drawn; 4].into()),
            "hash" => reading.put(parts, 2, &vec![Byte::Drawn; 4].into()),
            "byteorder" => reading.turn(parts),
            "exthdr" | "rt" | "socket" | "osf" | "tunnel" | "xfrm" => reading.forget(),
            "bitwise" => reading.mask(parts),
            "cmp" => Step::Match(reading.registers.compare(parts)),
            "range" => Step::Match(reading.registers.range(parts)),
            "lookup" => self.lookup(parts, reading),
            "match" => reading.ask(&packet.foreign(parts)),
            "immediate" => reading.immediate(parts),
            _ => statement(name, parts),
        }
    }

    fn lookup(&self, parts: &Attributes<'_>, reading: &mut Reading<'_>) -> Step {
        let name = parts.text(1).unwrap_or_default();
        let chain = reading.chain;
        let is_inverted = number(parts, 5).is_some_and(|flags| flags & 1 != 0);
        if let Some(Standing { set: known, inside }) = self.standing
            && (known.family.number(), &known.table, &known.set) == (chain.family, &chain.table, &name)
        {
            return Step::Match(Match::of(inside).but_if(is_inverted));
        }
        let (source, target) = (number(parts, 2), number(parts, 3));
        let Some(set) = self.ruleset.sets.get(&(chain.family, chain.table.clone(), name)) else {
            return if target == Some(VERDICT) {
                Step::Word(Word::Strange)
            } else {
                Step::Match(Match::Maybe)
            };
        };
        let read = |length| reading.registers.read(source, length);
        let (found, unread) = (found(set, read), unread(set, read));
        let matched = best(&found).max(unread);
        if target != Some(VERDICT) {
            reading.registers.load(target, &[Byte::Unknown; 16]);
            return Step::Match(matched.but_if(is_inverted));
        }
        let words = found.iter().filter_map(|(matched, element)| {
            let (code, to) = element.verdict.as_ref()?;
            Some((*matched, word(*code, to.as_deref())?))
        });
        let mut words: Vec<(Match, Word)> = words.collect();
        // What is surest comes first.
        words.sort_by(|one, other| (other.0, &other.1).cmp(&(one.0, &one.1)));
        words.dedup();
        match words.as_slice() {
            [] if unread != Match::No => Step::Word(Word::Strange),
            // None stands for it, or to go on; the rule ends here otherwise.
            [] => Step::Match(matched),
            _ => Step::Words(words),
        }
    }
}

impl Reading<'_> {
    fn put(&mut self, parts: &Attributes<'_>, register: u16, loaded: &Loaded) -> Step {
        let register = number(parts, register);
        // Without a register nothing is asked: something is set.
        if register.is_some() {
            self.names_port |= loaded.names_port;
            self.registers.load(register, &loaded.value);
        }
        Step::Match(Match::Yes)
    }

    /// What is not understood may also ask for something.
    fn doubt(&mut self) {
        self.is_strange = true;
        self.matched = self.matched.min(Match::Maybe);
    }

    fn forget(&mut self) -> Step {
        self.registers.forget();
        Step::Match(Match::Yes)
    }

    fn mask(&mut self, parts: &Attributes<'_>) -> Step {
        self.registers.mask(parts);
        Step::Match(Match::Yes)
    }

    fn turn(&mut self, parts: &Attributes<'_>) -> Step {
        self.registers.turn(parts);
        Step::Match(Match::Yes)
    }

    fn ask(&mut self, found: &Matched) -> Step {
        self.names_port |= found.names_port;
        Step::Match(found.is)
    }

    fn immediate(&mut self, parts: &Attributes<'_>) -> Step {
        let data = parts.inside(2);
        if let Some((code, to)) = data.as_ref().and_then(verdict) {
            return match word(code, to.as_deref()) {
                Some(word) => Step::Word(word),
                None => Step::Match(Match::of(code != BREAK)),
            };
        }
        let value = data.and_then(|data| data.find(1)).unwrap_or_default();
        self.registers.load(number(parts, 1), &known(value));
        Step::Match(Match::Yes)
    }

    /// What the rule says in the end.
    fn said(&self, mut words: Vec<(Match, Word)>) -> Vec<Said> {
        if words.is_empty() && self.is_strange {
            words.push((Match::Maybe, Word::Strange));
        }
        if self.program {
            words.insert(0, (Match::Yes, Word::Program));
        }
        let said =
            |(matched, word)| Said { matched: self.matched.min(matched), word, names_port: self.names_port };
        words.into_iter().map(said).collect()
    }
}

/// `NFT_BREAK`: the rule is not meant.
const BREAK: i32 = -2;

/// The kernel's verdicts; `None`: to go on, or to leave the rule.
fn word(code: i32, to: Option<&str>) -> Option<Word> {
    Some(match (code, to) {
        (-1 | BREAK, _) => return None,
        (-3 | -4, Some(to)) => Word::Chain { to: to.to_owned(), comes_back: code == -3 },
        (0, _) => Word::Drop,
        (1 | 4, _) => Word::Accept,
        (3, _) => Word::Queue,
        (-5, _) => Word::Return,
        _ => Word::Strange,
    })
}

/// Expressions that do something, and those that count.
fn statement(name: &str, parts: &Attributes<'_>) -> Step {
    const OVER: u32 = 1;
    // A stranger's first packet is not the one too many.
    let unless_over = |kind| Step::Match(Match::of(number(parts, kind).unwrap_or_default() & OVER == 0));
    match name {
        "counter" | "log" | "notrack" | "last" | "dup" | "flow_offload" | "masq" => Step::Match(Match::Yes),
        "limit" => unless_over(5),
        "quota" | "connlimit" => unless_over(2),
        "dynset" => inside_dynset(parts),
        "objref" => of_object(number(parts, 1)),
        "reject" => Step::Word(Word::Reject),
        "nat" if number(parts, 1) == Some(0) => Step::Match(Match::Yes),
        // With no port of its own it stays at the port, and at this host.
        "redir" if parts.find(1).is_none() => Step::Match(Match::Yes),
        "nat" | "redir" | "fwd" => Step::Word(Word::Away),
        "tproxy" => Step::Word(Word::Program),
        "queue" => Step::Word(Word::Queue),
        "target" => foreign::target(parts).map_or(Step::Match(Match::Yes), Step::Word),
        _ => Step::Word(Word::Strange),
    }
}

/// What goes into a set may be counted there: `add @meter { ip saddr limit rate over 5/minute }`.
fn inside_dynset(parts: &Attributes<'_>) -> Step {
    let one = parts.inside(7);
    let several = parts.inside(10).into_iter().flatten().map(|(_, bytes)| Attributes::new(bytes));
    let counted = one.into_iter().chain(several).map(|expression| {
        let name = expression.text(1).unwrap_or_default();
        match expression.inside(2).map(|data| statement(&name, &data)) {
            Some(Step::Match(matched)) => matched,
            _ => Match::Maybe,
        }
    });
    Step::Match(counted.min().unwrap_or(Match::Yes))
}

/// Objects with a name (`NFT_OBJECT_…`): those that count, and those that set something, ask nothing.
fn of_object(kind: Option<u32>) -> Step {
    match kind {
        Some(1 | 3 | 7 | 8 | 9) => Step::Match(Match::Yes),
        Some(2 | 4 | 5) => Step::Match(Match::Maybe),
        _ => Step::Word(Word::Strange),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Probe;
    use super::*;
    use crate::netlink::Builder;

    #[test]
    fn what_is_not_understood_makes_all_behind_it_unsure() {
        let mut drop = Builder::default();
        drop.put_be32(1, VERDICT);
        drop.nest(2, |data| data.nest(2, |verdict| verdict.put_be32(1, 0)));
        let drop = ("immediate".to_owned(), drop.into_attributes());
        let strange = ("made tomorrow".to_owned(), Vec::new());
        let (ruleset, chain) = (
            Ruleset::default(),
            ChainName { family: 1, table: "filter".to_owned(), chain: "input".to_owned() },
        );
        let probe = Probe { ipv6: false, udp: false, port: 22, place: None };
        let packet = Packet { probe, is_answer: false, tracked: true, at_interface: true };
        let reader = Reader { ruleset: &ruleset, packet, standing: None };
        let said = |rule: &[&(String, Vec<u8>)]| -> Vec<(Match, Word)> {
            let rule = rule.iter().copied().cloned().collect();
            reader.rule(&chain, &rule).into_iter().map(|said| (said.matched, said.word)).collect()
        };
        assert_eq!(said(&[&drop]), [(Match::Yes, Word::Drop)]);
        assert_eq!(said(&[&strange, &drop]), [(Match::Maybe, Word::Drop)]);
        assert_eq!(said(&[&strange]), [(Match::Maybe, Word::Strange)]);
    }

    fn attribute(kind: u16, number: u32) -> Vec<u8> {
        [&[8, 0][..], &kind.to_le_bytes(), &number.to_be_bytes()].concat()
    }

    #[test]
    fn what_does_something_is_told_from_what_counts_and_from_what_is_not_understood() {
        let of = |name: &str, bytes: &[u8]| match statement(name, &Attributes::new(bytes)) {
            Step::Word(word) => Err(word),
            Step::Match(matched) => Ok(matched),
            Step::Words(_) => Ok(Match::Maybe),
        };
        assert_eq!(of("queue", &[]), Err(Word::Queue));
        assert_eq!(of("fwd", &[]), Err(Word::Away));
        assert_eq!(of("synproxy", &[]), Err(Word::Strange));
        assert_eq!(of("made tomorrow", &[]), Err(Word::Strange));
        assert_eq!(of("dup", &[]), Ok(Match::Yes));
        if cfg!(target_endian = "little") {
            assert_eq!(of("limit", &attribute(5, 1)), Ok(Match::No));
            assert_eq!(of("limit", &attribute(5, 0)), Ok(Match::Yes));
            assert_eq!(of("objref", &attribute(1, 4)), Ok(Match::Maybe));
            assert_eq!(of("nat", &attribute(1, 0)), Ok(Match::Yes), "of sources");
            assert_eq!(of("nat", &attribute(1, 1)), Err(Word::Away));
            assert_eq!(of("redir", &[]), Ok(Match::Yes), "to the same port");
        }
    }
}
