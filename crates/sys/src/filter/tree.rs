//! Looking a port up in ranges: halve them until few are left, compare those one after another.

use super::assembler::{Assembler, To, op};

/// Writes the search for the port in A; what it returns is its first instruction (or where nothing is left to ask).
///
/// `ranges` are sorted and apart; at most `leaf` of them are compared one after another.
pub(super) fn search(
    program: &mut Assembler,
    ranges: &[(u16, u16)],
    leaf: usize,
    found: To,
    missed: To,
) -> To {
    if ranges.len() <= leaf {
        return scan(program, ranges, found, missed);
    }
    let (left, right) = ranges.split_at(ranges.len() / 2);
    let Some((border, _)) = right.first() else {
        return missed;
    };
    let right = search(program, right, leaf, found, missed);
    let left = search(program, left, leaf, found, missed);
    program.branch(op::AT_LEAST, u32::from(*border), right, left);
    program.here()
}

fn scan(program: &mut Assembler, ranges: &[(u16, u16)], found: To, missed: To) -> To {
    let mut next = missed;
    for (first, last) in ranges.iter().rev() {
        if first == last {
            program.branch(op::EQUAL, u32::from(*first), found, next);
        } else {
            program.branch(op::ABOVE, u32::from(*last), next, found);
            // Those to come lie higher, so what is lower is in none.
            let above = program.here();
            program.branch(op::AT_LEAST, u32::from(*first), above, missed);
        }
        next = program.here();
    }
    next
}
