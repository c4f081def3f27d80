//! Files of one-time sequences: which line is in force, and what is wrong with the others.
//!
//! spec/knock.md, "one-time sequences". Marking a used line is the monitor's work; this module only reads.

use std::collections::HashMap;
use std::path::Path;

use aldaba_gate::knock::{Sequence, Step, grammar};

use crate::diagnostic::{Diagnostic, Place, Severity, Source};
use crate::files::Files;
use crate::plan::Findings;

/// With so few sequences left it is time to write more.
const FEW: usize = 3;
const MORE: &str = "add new sequences at its end, one on each line";

/// A file that was read.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// Where the first usable line begins, and its sequence.
    pub(crate) first: Option<(u64, Sequence)>,
}

/// Reads a file of one-time sequences; `None` when that was refused, which has been said.
pub(crate) fn read(
    path: &Path,
    place: &Place,
    files: &mut dyn Files,
    findings: &mut Findings,
) -> Option<Read> {
    if findings.keyless {
        return Some(Read { first: None });
    }
    let refuse = |why: String, theirs: String| {
        // As perror writes it: without a name there is no colon either.
        let name = if path.as_os_str().is_empty() { String::new() } else { format!("{}: ", path.display()) };
        Diagnostic::error(
            "unreadable",
            place,
            format!("{:?} cannot be read: {why}", path.display().to_string()),
        )
        .help("make the file with one sequence on each line; the first one that is not marked # counts")
        .knockd(name + &theirs)
    };
    let file = match files.read(path) {
        Ok(file) if file.facts.is_regular => file,
        Ok(_) => {
            findings.add(refuse("it is not a regular file".to_owned(), "Is a directory".to_owned()));
            return None;
        }
        Err(error) => {
            let words = crate::system_words(&error);
            findings.add(refuse(words.clone(), words));
            return None;
        }
    };
    let source = Source::new(path.display().to_string(), file.bytes);
    findings.files.push((source.clone(), file.facts));
    let usable = usable(&source, findings);
    if findings.strict {
        findings.list.extend(few_left(&usable, path, place));
        repeated(&usable, findings);
    }
    let first = usable.into_iter().next();
    Some(Read {
        first: first.and_then(|(at, sequence)| Some((u64::try_from(at.span?.start).ok()?, sequence))),
    })
}

/// The sequences that are left, with their lines; the lines that are none have been named.
fn usable(source: &Source, findings: &mut Findings) -> Vec<(Place, Sequence)> {
    let mut usable = Vec::new();
    for (begin, line) in lines(source.bytes()) {
        let at = source.at(begin..begin + line.len());
        match sequence(line) {
            Ok(sequence) => usable.push((at, sequence)),
            Err(why) => findings.add(
                Diagnostic::warning("bad-line", &at, format!("this line is passed over: {why}"))
                    .help("write a sequence as: 7391,2804,8816:udp"),
            ),
        }
    }
    usable
}

/// The door closes for good with the last one.
fn few_left(usable: &[(Place, Sequence)], path: &Path, place: &Place) -> Option<Diagnostic> {
    let left = match usable.len() {
        0 => return None,
        1 => "one sequence is".to_owned(),
        few if few <= FEW => format!("{few} sequences are"),
        _ => return None,
    };
    let message = format!("{left} left in {}", path.display());
    Some(Diagnostic::warning("nearly-used-up", place, message).help(MORE))
}

/// Who sees the first use knows the second.
fn repeated(usable: &[(Place, Sequence)], findings: &mut Findings) {
    let mut first: HashMap<&[Step], &Place> = HashMap::new();
    for (at, sequence) in usable {
        if let Some(before) = first.get(sequence.steps()) {
            let message = "this sequence is in the file twice: who sees it used can use it again";
            findings.add(
                Diagnostic::warning("repeated-line", at, message)
                    .also(before, "here")
                    .help("write another one in its place"),
            );
        } else {
            first.insert(sequence.steps(), at);
        }
    }
}

/// The lines that are neither empty nor used, with the byte each begins at.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    bytes
        .split(|&byte| byte == b'\n')
        .map(move |line| {
            let begin = at;
            at += line.len() + 1;
            (begin, line)
        })
        .filter(|(_, line)| !matches!(line.trim_ascii(), [] | [b'#', ..]))
}

fn sequence(line: &[u8]) -> Result<Sequence, String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
    grammar::knockd(text.trim_ascii()).map(|(sequence, _)| sequence).map_err(|error| error.to_string())
}

/// Says that no sequence is left.
pub(crate) fn used_up(path: &Path, place: &Place) -> Diagnostic {
    Diagnostic::error("used-up", place, format!("every sequence of {} is used", path.display())).help(MORE)
}

/// The same finding where the door is closed and the rest goes on.
pub(crate) fn as_warning(found: Diagnostic) -> Diagnostic {
    Diagnostic { severity: Severity::Warning, ..found.label("this door stays closed") }
}
