//! Which elements of a set stand for what a rule has loaded: of values put together, and of ranges of each, too.

use super::registers::{Byte, Match, equal, within};
use crate::nft::ruleset::{Element, Set};

/// Every value of several begins at a multiple of this.
const WORD: usize = 4;

/// The elements that do, or may, and how surely.
pub(super) fn found<'s, 'v>(
    set: &'s Set,
    read: impl Fn(usize) -> Option<&'v [Byte]>,
) -> Vec<(Match, &'s Element)> {
    let (rest, named): (Vec<&Element>, Vec<&Element>) =
        set.elements.iter().partition(|element| element.key.is_empty());
    let value = named.first().and_then(|element| read(element.key.len()));
    let mut found = match value {
        Some(value) if named.iter().any(|element| element.ends) => of_ranges(&named, value),
        Some(value) => {
            let with = named.iter().map(|element| (stands_for(element, &set.fields, value), *element));
            with.filter(|(matched, _)| *matched != Match::No).collect()
        }
        None => {
            named.iter().filter(|element| !element.ends).map(|element| (Match::Maybe, *element)).collect()
        }
    };
    let other = best(&found).not();
    found.extend(
        rest.into_iter().map(|element| (other, element)).filter(|(matched, _)| *matched != Match::No),
    );
    found
}

/// How surely any of them does.
pub(super) fn best(found: &[(Match, &Element)]) -> Match {
    found.iter().map(|(matched, _)| *matched).max().unwrap_or(Match::No)
}

/// How surely one of those does that were not read.
pub(super) fn unread<'v>(set: &Set, read: impl Fn(usize) -> Option<&'v [Byte]>) -> Match {
    if !set.is_cut {
        return Match::No;
    }
    let named = set.elements.iter().find(|element| !element.key.is_empty());
    named.and_then(|element| read(element.key.len())).map_or(Match::Maybe, any)
}

/// How surely an element does of which nothing is known.
fn any(value: &[Byte]) -> Match {
    if value.contains(&Byte::Stranger) {
        Match::Named
    } else if value.contains(&Byte::Drawn) {
        Match::Sometimes
    } else {
        Match::Maybe
    }
}

/// In a set of ranges of one value: the beginning of the value's range.
fn of_ranges<'s>(elements: &[&'s Element], value: &[Byte]) -> Vec<(Match, &'s Element)> {
    let bytes: Option<Vec<u8>> =
        value.iter().map(|byte| if let Byte::Known(byte) = byte { Some(*byte) } else { None }).collect();
    if let Some(bytes) = bytes {
        let below = elements.iter().filter(|element| element.key <= bytes);
        let last = below.max_by_key(|element| (&element.key, !element.ends)).filter(|element| !element.ends);
        return last.map(|element| (Match::Yes, *element)).into_iter().collect();
    }
    let each = any(value);
    elements.iter().filter(|element| !element.ends).map(|element| (each, *element)).collect()
}

fn stands_for(element: &Element, fields: &[usize], value: &[Byte]) -> Match {
    if element.key.len() != value.len() {
        return Match::Maybe;
    }
    match &element.last {
        Some(last) if last.len() == value.len() => within_each(element, last, fields, value),
        _ => equal(value, &element.key),
    }
}

/// Each of its values in the range of its own.
fn within_each(element: &Element, last: &[u8], fields: &[usize], value: &[Byte]) -> Match {
    let whole = [value.len()];
    let mut at = 0_usize;
    let mut matched = Match::Yes;
    for length in if fields.is_empty() { &whole } else { fields } {
        let end = at.saturating_add(*length);
        let parts = (value.get(at..end), element.key.get(at..end), last.get(at..end));
        let (Some(value), Some(from), Some(to)) = parts else { return Match::Maybe };
        matched = matched.min(within(value, from, to));
        at = end.next_multiple_of(WORD);
    }
    matched
}

#[cfg(test)]
mod tests {
    use super::super::registers::known;
    use super::*;

    fn element(key: &[u8], last: Option<&[u8]>, ends: bool) -> Element {
        Element { key: key.to_vec(), last: last.map(<[u8]>::to_vec), verdict: None, ends }
    }

    fn matched(elements: Vec<Element>, fields: &[usize], value: &[Byte]) -> Match {
        let set = Set { elements, fields: fields.to_vec(), is_cut: false };
        best(&found(&set, |length| value.get(..length)))
    }

    #[test]
    fn values_put_together_are_looked_up_as_the_kernel_does() {
        let tcp = |port: u8| [6, 0, 0, 0, 8, port, 0, 0];
        let of = |value: &[Byte]| matched(vec![element(&tcp(1), None, false)], &[1, 2], value);
        assert_eq!(of(&known(&tcp(1))), Match::Yes);
        assert_eq!(of(&known(&tcp(2))), Match::No);
        let mut from_somebody = known(&tcp(1));
        from_somebody[0] = Byte::Stranger;
        assert_eq!(of(&from_somebody), Match::Named);
        // Of two values, each in a range of its own: the second one's ends are not compared with the first one's.
        let ranges = vec![element(&[1, 2, 0, 0, 5, 0, 0, 0], Some(&[3, 1, 0, 0, 7, 0, 0, 0]), false)];
        let of = |first: [u8; 2], second: u8| {
            matched(ranges.clone(), &[2, 1], &known(&[first[0], first[1], 0, 0, second, 0, 0, 0]))
        };
        assert_eq!((of([2, 200], 5), of([2, 200], 8), of([3, 2], 6)), (Match::Yes, Match::No, Match::No));
    }

    #[test]
    fn what_stands_for_all_others_is_found_where_none_else_is() {
        let elements = vec![element(&[1], None, false), element(&[], None, false)];
        let set = Set { elements, ..Set::default() };
        let found_for = |byte| {
            let value = [byte];
            let found = found(&set, |length| value.get(..length));
            found.iter().map(|(matched, element)| (*matched, element.key.len())).collect::<Vec<_>>()
        };
        assert_eq!(found_for(Byte::Known(1)), [(Match::Yes, 1)]);
        assert_eq!(found_for(Byte::Known(2)), [(Match::Yes, 0)]);
        assert_eq!(found_for(Byte::Stranger), [(Match::Named, 1), (Match::Unnamed, 0)]);
    }

    #[test]
    fn a_range_is_found_by_its_beginning() {
        let ranges = || {
            vec![
                element(&[10], None, false),
                element(&[20], None, true),
                element(&[20], None, false),
                element(&[21], None, true),
            ]
        };
        for (byte, inside) in [(9, Match::No), (10, Match::Yes), (20, Match::Yes), (21, Match::No)] {
            assert_eq!(matched(ranges(), &[], &known(&[byte])), inside, "{byte}");
        }
        assert_eq!(matched(ranges(), &[], &[Byte::Unknown]), Match::Maybe);
        // A list that is too long to be read is one of sources all the same.
        let of = |is_cut, byte| {
            let set = Set { elements: ranges(), is_cut, ..Set::default() };
            let value = [byte];
            unread(&set, |length| value.get(..length))
        };
        assert_eq!((of(true, Byte::Stranger), of(true, Byte::Known(9))), (Match::Named, Match::Maybe));
        assert_eq!(of(false, Byte::Known(9)), Match::No);
    }
}
