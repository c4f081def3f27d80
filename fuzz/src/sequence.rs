//! Texts as sequences, flag filters and one-time lists. Spec: spec/knock.md, "Sequences" to "One-time sequences".
//!
//! What is read prints and reads back as itself; the knockd grammar takes all that the strict one takes and means the
//! same; every span lies in the text; a used one-time line changes nothing but itself.

use std::ops::Range;

use aldaba_knock::grammar::{self, Syntax};
use aldaba_knock::one_time::{MARK, OneTimeList};
use aldaba_knock::{FlagFilter, Sequence};

/// Runs one input.
pub fn run(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        both_grammars(text);
        one_step(text);
        flags(text);
    }
    one_time(data, Syntax::Knockd);
    one_time(data, Syntax::Strict);
}

fn both_grammars(text: &str) {
    let strict = grammar::strict(text);
    let knockd = grammar::knockd(text);
    if let Ok(sequence) = &strict {
        assert_eq!(
            knockd,
            Ok((sequence.clone(), vec![])),
            "knockd's grammar takes what the strict one takes"
        );
        assert_eq!(grammar::strict(&sequence.to_string()).as_ref(), Ok(sequence), "it reads back");
    }
    match &knockd {
        Ok((sequence, leniencies)) => {
            assert_eq!(leniencies.is_empty(), strict.is_ok(), "a difference is said");
            assert!((1..=Sequence::MAX_STEPS).contains(&sequence.steps().len()));
            let again = grammar::knockd(&sequence.to_string()).expect("what is printed is read");
            assert_eq!(again.0, *sequence, "it reads back");
            for leniency in &leniencies[..] {
                lies_in(text, &leniency.span);
            }
        }
        Err(error) => lies_in(text, &error.span),
    }
    if let Err(error) = &strict {
        lies_in(text, &error.span);
    }
}

fn lies_in(text: &str, span: &Range<usize>) {
    assert!(text.get(span.clone()).is_some(), "{span:?} is no part of {text:?}");
}

fn one_step(text: &str) {
    match grammar::step(text) {
        Ok(step) => {
            let sequence = grammar::strict(text).expect("a step is a sequence");
            assert_eq!(sequence.steps(), [step]);
        }
        Err(error) => lies_in(text, &error.span),
    }
}

fn flags(text: &str) {
    match text.parse::<FlagFilter>() {
        Ok(filter) => assert_eq!(filter.to_string().parse(), Ok(filter), "it reads back"),
        Err(error) => lies_in(text, &error.span),
    }
}

fn one_time(data: &[u8], syntax: Syntax) {
    let mut bytes = data.to_vec();
    let mut list = OneTimeList::parse_as(&bytes, syntax);
    let problems = list.problems().to_vec();
    for problem in &problems {
        assert!(bytes.get(problem.span.clone()).is_some(), "{problem:?}");
    }
    while let Some((_, offset)) = list.current() {
        assert!(offset == 0 || bytes[offset - 1] == b'\n', "the first byte of a line");
        assert!(bytes[offset] != MARK && bytes[offset] != b'\n');
        bytes[offset] = MARK;
        let next = OneTimeList::parse_as(&bytes, syntax);
        assert_eq!(next.lines(), &list.lines()[1..], "the others stay");
        assert_eq!(next.problems(), problems, "and so do the problems");
        list = next;
    }
}
