//! The table of spec/knock.md, "Sequences", and every error and leniency with its place.

use super::*;
use LeniencyKind as L;
use SequenceErrorKind as E;

fn text(steps: &[Step]) -> String {
    Sequence::try_from(steps.to_vec()).unwrap().to_string()
}

#[test]
fn both_grammars_read_plain_sequences_alike() {
    for (input, steps) in [
        ("7000", &[Step::tcp(7000)][..]),
        ("7000,8000:udp,9000:TCP", &[Step::tcp(7000), Step::udp(8000), Step::tcp(9000)]),
        (" 7000 ,\t8000 : Udp , 9000 ", &[Step::tcp(7000), Step::udp(8000), Step::tcp(9000)]),
        ("007000,1,65535", &[Step::tcp(7000), Step::tcp(1), Step::tcp(65535)]),
        ("7000,7000", &[Step::tcp(7000), Step::tcp(7000)]),
    ] {
        assert_eq!(strict(input).unwrap().steps(), steps, "{input}");
        let (sequence, leniencies) = knockd(input).unwrap();
        assert_eq!((sequence.steps(), leniencies), (steps, vec![]), "{input}");
        assert_eq!(strict(&text(steps)).unwrap().steps(), steps);
    }
}

#[test]
fn knockd_guesses_and_strict_refuses() {
    for (input, understood, span, kind, error) in [
        ("", 0, 0..0, L::Empty, E::EmptyStep),
        ("7000,", 0, 5..5, L::Empty, E::EmptyStep),
        ("7000, ,9000", 0, 6..6, L::Empty, E::EmptyStep),
        (":udp", 0, 0..0, L::Empty, E::EmptyStep),
        ("-1", 65535, 0..2, L::Wrapped, E::NotANumber),
        ("-65536", 0, 0..6, L::Wrapped, E::NotANumber),
        ("4294974296", 7000, 0..10, L::Wrapped, E::PortTooLarge),
        ("2147483648", 0, 0..10, L::Wrapped, E::PortTooLarge),
        ("99999999999999999999", 65535, 0..20, L::Wrapped, E::PortTooLarge),
        ("-99999999999999999999", 0, 0..21, L::Wrapped, E::NotANumber),
        ("!7000", 0, 0..5, L::NotANumber, E::NotANumber),
        ("\"7000\"", 0, 0..6, L::NotANumber, E::NotANumber),
        ("ssh", 0, 0..3, L::NotANumber, E::NotANumber),
        ("- 1", 0, 0..3, L::NotANumber, E::NotANumber),
        ("+-1", 0, 0..3, L::NotANumber, E::NotANumber),
        ("0x1b58", 0, 0..6, L::TrailingText, E::NotANumber),
        ("7000x", 7000, 0..5, L::TrailingText, E::NotANumber),
        ("7000,8000-8010", 8000, 5..14, L::TrailingText, E::NotANumber),
        ("7000,9000 # c", 9000, 5..13, L::TrailingText, E::NotANumber),
        ("7000 8000", 7000, 0..9, L::TrailingText, E::NotANumber),
        ("+7000", 7000, 0..5, L::PlusSign, E::NotANumber),
        ("0", 0, 0..1, L::PortZero, E::PortZero),
        ("000", 0, 0..3, L::PortZero, E::PortZero),
        ("7000:udp: tcp", 7000, 10..13, L::FurtherField, E::FurtherField),
        ("ü,7000", 0, 0..2, L::NotANumber, E::NotANumber),
    ] {
        let (_, leniencies) = knockd(input).unwrap();
        assert_eq!(leniencies, [Leniency { span: span.clone(), kind, understood }], "{input}");
        assert_eq!(strict(input), Err(SequenceError { span, kind: error }), "{input}");
    }
}

#[test]
fn several_guesses_are_listed_in_order() {
    let (sequence, leniencies) = knockd("7000x,-1:udp:x,").unwrap();
    assert_eq!(sequence.steps(), [Step::tcp(7000), Step::udp(65535), Step::tcp(0)]);
    let kinds: Vec<_> = leniencies.iter().map(|leniency| leniency.kind).collect();
    assert_eq!(kinds, [L::TrailingText, L::Wrapped, L::FurtherField, L::Empty]);
}

#[test]
fn what_neither_takes() {
    let ports_33 = ["7000"; 33].join(",");
    for (input, span, kind) in [
        ("65536", 0..5, E::PortTooLarge),
        ("7000, 70000 ,8000", 6..11, E::PortTooLarge),
        ("7000:", 5..5, E::UnknownProtocol),
        ("7000: ", 6..6, E::UnknownProtocol),
        ("7000:icmp,8000", 5..9, E::UnknownProtocol),
        ("7000:udp # c", 5..12, E::UnknownProtocol),
        (&ports_33, 160..164, E::TooManySteps),
    ] {
        let error = SequenceError { span, kind };
        assert_eq!(strict(input), Err(error.clone()), "{input}");
        assert_eq!(knockd(input), Err(error), "{input}");
    }
    // Where the two read the number itself differently, both still refuse.
    assert_eq!(knockd("65536x").unwrap_err().kind, E::PortTooLarge);
    assert_eq!(strict("65536x").unwrap_err().kind, E::NotANumber);
    assert_eq!(knockd("2147483647").unwrap_err().kind, E::PortTooLarge);
}

#[test]
fn thirty_two_steps_are_a_sequence() {
    assert_eq!(strict(&["7000"; 32].join(",")).unwrap().steps().len(), 32);
    assert_eq!(Sequence::try_from(vec![Step::tcp(1); 33]), Err(crate::LengthError::TooLong));
    assert_eq!(Sequence::try_from(vec![]), Err(crate::LengthError::Empty));
}

#[test]
fn the_client_takes_one_step() {
    assert_eq!(step("7000"), Ok(Step::tcp(7000)));
    assert_eq!(step("7000:UDP"), Ok(Step::udp(7000)));
    assert_eq!(step("7000:tcp"), Ok(Step::tcp(7000)));
    for (input, span, kind) in [
        ("", 0..0, E::EmptyStep),
        ("0", 0..1, E::PortZero),
        ("7000,8000", 4..9, E::NotANumber),
        ("7000 ", 4..5, E::NotANumber),
        ("65536", 0..5, E::PortTooLarge),
        ("7000:sctp", 5..9, E::UnknownProtocol),
        ("7000:udp:tcp", 9..12, E::FurtherField),
    ] {
        assert_eq!(step(input), Err(SequenceError { span, kind }), "{input}");
    }
}
