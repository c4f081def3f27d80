//! Sequences and flags out of a configuration: knock's grammar, with our places and our advice.

use aldaba_gate::knock::grammar::{self, Leniency, LeniencyKind, SequenceError, SequenceErrorKind};
use aldaba_gate::knock::{FlagError, Sequence, Step};

use crate::diagnostic::{Diagnostic, Place};
use crate::knockd::foreign::{FILL_IN, is_placeholder};
use crate::plan::Findings;
use crate::suggest;

/// A sequence as knockd reads it; what it had to guess is pointed out.
pub(crate) fn knockd(text: &str, place: &Place, door: &str, findings: &mut Findings) -> Option<Sequence> {
    match grammar::knockd(text) {
        Ok((sequence, leniencies)) => {
            for leniency in &leniencies {
                findings.lenient(guessed(leniency, text, place));
            }
            Some(sequence)
        }
        Err(error) => {
            let said = knockd_words(&error, text);
            findings.add(refused(&error, text, place).knockd(format!("config: section {door}: {said}")));
            None
        }
    }
}

/// A sequence of aldaba.toml.
pub(crate) fn strict(text: &str, place: &Place, findings: &mut Findings) -> Option<Sequence> {
    grammar::strict(text).map_err(|error| findings.add(refused(&error, text, place))).ok()
}

/// A sequence of a door that behaves as knockd's do: port 0 is let pass there, since such files exist.
pub(crate) fn with_port_zero(text: &str, place: &Place, findings: &mut Findings) -> Option<Sequence> {
    match grammar::knockd(text) {
        Ok((sequence, odd)) if odd.iter().all(|one| one.kind == LeniencyKind::PortZero) => {
            for leniency in &odd {
                findings.add(guessed(leniency, text, place));
            }
            Some(sequence)
        }
        _ => strict(text, place, findings),
    }
}

/// One step of an array.
pub(crate) fn step(text: &str, place: &Place, findings: &mut Findings) -> Option<Step> {
    grammar::step(text).map_err(|error| findings.add(refused(&error, text, place))).ok()
}

/// The steps of an array as a sequence.
pub(crate) fn of_steps(steps: Vec<Step>, place: &Place, findings: &mut Findings) -> Option<Sequence> {
    Sequence::try_from(steps)
        .map_err(|error| {
            let found = Diagnostic::error("bad-sequence", place, error.to_string());
            findings.add(found.help("a sequence has 1 to 32 ports"));
        })
        .ok()
}

fn refused(error: &SequenceError, text: &str, place: &Place) -> Diagnostic {
    let part = text.get(error.span.clone()).unwrap_or_default();
    let found = Diagnostic::error("bad-sequence", &place.part(error.span.clone()), error.kind.to_string());
    match error.kind {
        SequenceErrorKind::UnknownProtocol if part.contains('#') => {
            found.help("a comment needs a line of its own")
        }
        SequenceErrorKind::UnknownProtocol if part.is_empty() => {
            found.help("write :tcp or :udp, or leave the colon out for tcp")
        }
        SequenceErrorKind::UnknownProtocol if is_placeholder(text) => found.help(FILL_IN),
        SequenceErrorKind::UnknownProtocol => {
            found.help("write PORT:udp for UDP; without a protocol it is TCP")
        }
        SequenceErrorKind::NotANumber if part.contains('/') => {
            found.help("in a sequence write PORT:udp, not PORT/udp")
        }
        SequenceErrorKind::NotANumber if part.contains('-') => {
            found.help("a sequence has no ranges: write each port to be knocked on")
        }
        SequenceErrorKind::NotANumber => found.help("write ports as numbers: 7391,2804,8816:udp"),
        SequenceErrorKind::EmptyStep => found.help("remove the comma, or write the port that is missing"),
        SequenceErrorKind::PortTooLarge | SequenceErrorKind::PortZero => {
            found.help("write ports from 1 to 65535")
        }
        SequenceErrorKind::TooManySteps => found.help("a handful of ports is as good: take the others out"),
        SequenceErrorKind::FurtherField => {
            found.help("write PORT or PORT:udp, and a comma before the next one")
        }
    }
}

/// What the original says of it.
fn knockd_words(error: &SequenceError, text: &str) -> String {
    match error.kind {
        SequenceErrorKind::TooManySteps => "too many ports in knock sequence".to_owned(),
        SequenceErrorKind::UnknownProtocol => "unknown protocol in knock sequence".to_owned(),
        _ => format!("port {} is invalid", with_blanks(error, text)),
    }
}

/// The wrong port with the blanks around it.
fn with_blanks<'t>(error: &SequenceError, text: &'t str) -> &'t str {
    let before = text.get(..error.span.start).unwrap_or_default();
    let after = text.get(error.span.end..).unwrap_or_default();
    let begin = before.trim_ascii_end().len();
    let end = text.len() - after.trim_ascii_start().len();
    text.get(begin..end).unwrap_or_default()
}

fn guessed(leniency: &Leniency, text: &str, place: &Place) -> Diagnostic {
    let part = text.get(leniency.span.clone()).unwrap_or_default();
    let at = place.part(leniency.span.clone());
    let found = Diagnostic::warning("odd-port", &at, leniency.kind.to_string())
        .label(format!("read as {}", leniency.understood));
    match leniency.kind {
        LeniencyKind::Empty => found.help("remove the comma, or write the port that is missing"),
        LeniencyKind::TrailingText => {
            found.help("write each port alone; there are no ranges, and a comment needs a line of its own")
        }
        LeniencyKind::NotANumber if is_placeholder(part) => found.help(FILL_IN),
        LeniencyKind::NotANumber => found.help("write ports as numbers, without quotes, names or a !"),
        _ => found.help("write ports from 1 to 65535"),
    }
}

/// A word of `tcpflags` that is none.
pub(crate) fn bad_flag(text: &str, place: &Place, error: &FlagError) -> Diagnostic {
    let flags = ["fin", "syn", "rst", "psh", "ack", "urg"];
    let word: String = error.flag.chars().take(40).collect();
    let at = place.part(error.span.clone());
    let found = if text.is_empty() {
        Diagnostic::error("bad-flag", &at, "no flag is named")
            .help("leave the line out to let any packet count")
    } else {
        Diagnostic::error("bad-flag", &at, format!("{:?} is not a TCP flag", word.to_ascii_lowercase()))
    };
    let bare = word.trim_start_matches('!').to_ascii_lowercase();
    if text.is_empty() {
        found
    } else if is_placeholder(text) {
        found.help(FILL_IN)
    } else if text.contains('#') {
        found.help("a comment needs a line of its own")
    } else if word.contains(' ') && flags.contains(&bare.trim().trim_start_matches("! ")) {
        found.help("write the list without blanks: syn,!ack")
    } else if let Some(near) = suggest::nearest(&bare, flags) {
        found.help(format!("did you mean {near}?"))
    } else {
        found.help("there are fin, syn, rst, psh, ack and urg, each with a ! in front to forbid it")
    }
}
