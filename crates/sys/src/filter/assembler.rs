//! Assembling a program from its end to its beginning.
//!
//! Classic BPF jumps forward only, and a conditional one at most 255 instructions far. Written backwards, every
//! target is known when the jump to it is written. A verdict out of reach is written again nearby, which costs
//! nothing at run time; another target out of reach is reached by a jump to a jump.

use std::collections::HashMap;

use super::Insn;

/// The farthest a conditional jump goes.
const REACH: usize = 255;

/// What a packet that passes is cut to: more than any.
const WHOLE: u32 = 0x0004_0000;

/// Operations, as the kernel numbers them.
pub(super) mod op {
    /// A = the word at k.
    pub(in super::super) const LOAD_WORD: u16 = 0x20;
    /// A = the half word at k.
    pub(in super::super) const LOAD_HALF: u16 = 0x28;
    /// A = the byte at k.
    pub(in super::super) const LOAD_BYTE: u16 = 0x30;
    /// A = the half word at X + k.
    pub(in super::super) const LOAD_HALF_INDEXED: u16 = 0x48;
    /// A = the byte at X + k.
    pub(in super::super) const LOAD_BYTE_INDEXED: u16 = 0x50;
    /// X = k.
    pub(in super::super) const LOAD_X: u16 = 0x01;
    /// X = 4 * the low four bits of the byte at k: an IPv4 header's length.
    pub(in super::super) const LOAD_X_HEADER_LENGTH: u16 = 0xb1;
    /// A &= k.
    pub(in super::super) const AND: u16 = 0x54;
    /// Whether A == k.
    pub(in super::super) const EQUAL: u16 = 0x15;
    /// Whether A > k.
    pub(in super::super) const ABOVE: u16 = 0x25;
    /// Whether A >= k.
    pub(in super::super) const AT_LEAST: u16 = 0x35;
    /// Whether A & k is not zero.
    pub(in super::super) const ANY_BIT: u16 = 0x45;
    /// Jumps k further.
    pub(in super::super) const JUMP: u16 = 0x05;
    /// Ends with the verdict k.
    pub(in super::super) const RETURN: u16 = 0x06;
}

/// Where a jump goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum To {
    /// The packet passes.
    Pass,
    /// The packet is dropped.
    Drop,
    /// To an instruction written before, counted from the end of the program.
    Place(usize),
}

/// A program being written, last instruction first.
#[derive(Debug)]
pub(super) struct Assembler {
    backwards: Vec<Insn>,
    /// For each target the last instruction written that leads there.
    leading: HashMap<To, usize>,
}

impl Assembler {
    /// A program that drops everything: the kernel wants a verdict at the end.
    pub(super) fn new() -> Self {
        let drop = Insn { code: op::RETURN, jt: 0, jf: 0, k: 0 };
        Self { backwards: vec![drop], leading: HashMap::from([(To::Drop, 0)]) }
    }

    /// Writes an instruction that goes on with the one written before.
    pub(super) fn plain(&mut self, code: u16, k: u32) {
        self.backwards.push(Insn { code, jt: 0, jf: 0, k });
    }

    /// The instruction written last, as a target.
    pub(super) fn here(&self) -> To {
        To::Place(self.backwards.len() - 1)
    }

    /// Writes a conditional jump.
    pub(super) fn branch(&mut self, code: u16, k: u32, yes: To, no: To) {
        // The second may need an instruction of its own, which pushes the first one farther: hence the margin.
        let no = self.lead_to(no, REACH - 1);
        let yes = self.lead_to(yes, REACH);
        let distance = |place| u8::try_from(self.distance(place)).unwrap_or(u8::MAX);
        self.backwards.push(Insn { code, jt: distance(yes), jf: distance(no), k });
    }

    /// The program, first instruction first.
    pub(super) fn finish(mut self) -> Vec<Insn> {
        self.backwards.reverse();
        self.backwards
    }

    /// A place at most `reach` away from the next instruction that leads to the target; written now if there is none.
    fn lead_to(&mut self, to: To, reach: usize) -> usize {
        let own = if let To::Place(place) = to { Some(place) } else { None };
        let known = self.leading.get(&to).copied().or(own);
        if let Some(place) = known.filter(|place| self.distance(*place) <= reach) {
            return place;
        }
        match to {
            To::Pass => self.plain(op::RETURN, WHOLE),
            To::Drop => self.plain(op::RETURN, 0),
            To::Place(place) => {
                self.plain(op::JUMP, u32::try_from(self.distance(place)).unwrap_or(u32::MAX));
            }
        }
        let place = self.backwards.len() - 1;
        self.leading.insert(to, place);
        place
    }

    /// How many instructions the next one would skip to get to this place.
    fn distance(&self, place: usize) -> usize {
        self.backwards.len() - 1 - place
    }
}
