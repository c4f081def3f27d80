//! Lists used up line by line, as the daemon does it: take the current sequence, overwrite one byte, read again.

use super::*;
use crate::grammar::LeniencyKind;
use crate::{SequenceErrorKind, Step};

/// Uses the sequences one after the other: what opened, and the file at the end.
fn use_up(file: &str, times: usize) -> (Vec<String>, String) {
    let mut bytes = file.as_bytes().to_vec();
    let mut used = Vec::new();
    for _ in 0..times {
        let Some((sequence, offset)) = OneTimeList::parse(&bytes).current() else {
            break;
        };
        used.push(sequence.to_string());
        bytes[offset] = MARK;
    }
    (used, String::from_utf8(bytes).unwrap())
}

#[test]
fn lines_are_used_in_order_and_marked_in_place() {
    let cases: [(&str, usize, &[&str], &str); 8] = [
        // Without a blank in front the first digit goes.
        ("7000,8000\n7100,8100\n", 1, &["7000,8000"], "#000,8000\n7100,8100\n"),
        (" 7000,8000\n 7100,8100\n", 1, &["7000,8000"], "#7000,8000\n 7100,8100\n"),
        (
            "# c\n\n   # d\n 7000:udp,8000:TCP\n 7100\n",
            1,
            &["7000:udp,8000"],
            "# c\n\n   # d\n#7000:udp,8000:TCP\n 7100\n",
        ),
        // A line that is no sequence is never written to.
        (" 7000:xyz\n 7100,8100\n 7200\n", 1, &["7100,8100"], " 7000:xyz\n#7100,8100\n 7200\n"),
        (" 7000\r\n 7100\r\n", 1, &["7000"], "#7000\r\n 7100\r\n"),
        // The last line, also without its newline; then there are none.
        (" 7000", 5, &["7000"], "#7000"),
        ("\t 7000\n 7100\n", 5, &["7000", "7100"], "# 7000\n#7100\n"),
        ("#7000\n# 7100\n", 5, &[], "#7000\n# 7100\n"),
    ];
    for (file, times, used, left) in cases {
        let (seen, bytes) = use_up(file, times);
        assert_eq!(
            (seen, bytes.as_str()),
            (used.iter().map(ToString::to_string).collect(), left),
            "{file:?}"
        );
    }
}

#[test]
fn lines_added_at_the_end_come_in_turn() {
    let list = OneTimeList::parse(b"#7000,8000\n 7100\n 7300\n");
    let order: Vec<_> = list.lines().iter().map(|line| (line.number, line.offset)).collect();
    assert_eq!(order, [(2, 11), (3, 17)]);
    assert_eq!(list.lines()[1].sequence.steps(), [Step::tcp(7300)]);
}

#[test]
fn problems_name_line_and_place() {
    let list = OneTimeList::parse(b"\n  7000:xyz\r\n 7100,70000\n\xff\xfe\n 7200\n");
    let places: Vec<_> =
        list.problems().iter().map(|problem| (problem.number, problem.span.clone())).collect();
    assert_eq!(places, [(2, 8..11), (3, 19..24), (4, 25..27)]);
    assert_eq!(list.problems()[1].kind, ProblemKind::Sequence(SequenceErrorKind::PortTooLarge));
    assert_eq!(list.problems()[2].kind, ProblemKind::NotText);
    assert_eq!(list.current().unwrap().1, 28);
}

#[test]
fn guesses_are_reported_and_the_strict_grammar_makes_none() {
    let file = b"7000\n  notes on these\n";
    let list = OneTimeList::parse(file);
    let guess = &list.lines()[1].leniencies[0];
    assert_eq!((guess.span.clone(), guess.kind, guess.understood), (7..21, LeniencyKind::NotANumber, 0));
    let list = OneTimeList::parse_as(file, Syntax::Strict);
    assert_eq!(list.lines().len(), 1);
    assert_eq!((list.problems()[0].number, list.problems()[0].span.clone()), (2, 7..21));
}

#[test]
fn an_empty_file_has_no_sequence() {
    for file in [&b""[..], b"\n", b"\r\n\r\n", b"   "] {
        let list = OneTimeList::parse(file);
        assert_eq!((list.current(), list.problems()), (None, &[][..]));
    }
}
