//! Programs that are not there, cannot be started, or can be changed by somebody else than root.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use aldaba_runner::door::Template;

use super::shell::{self, Call};
use super::{Subject, files};
use crate::diagnostic::{Diagnostic, Place};
use crate::files::{FileFacts, Files};
use crate::plan::Findings;

/// Where a program without a slash in its name is looked for.
const FOLDERS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const ANYBODY_RUNS: u32 = 0o111;
/// In such a folder everybody can write, and take away only what is his own.
const STICKY: u32 = 0o1000;

/// Looks at each program of a door's commands once.
pub(super) fn of_door(subject: &Subject<'_>, own_uid: u32, files: &mut dyn Files, findings: &mut Findings) {
    let mut seen: Vec<String> = Vec::new();
    for (template, at) in subject.templates() {
        for call in shell::calls(template) {
            let Some(program) = call.program() else { continue };
            if seen.iter().any(|before| before == program) {
                continue;
            }
            seen.push(program.to_owned());
            findings.list.extend(doubt(program, &place(template, &call, at), own_uid, files));
        }
    }
}

/// Where the program's name stands: inside the line, where it can be found there.
fn place(template: &Template, call: &Call, at: &Place) -> Place {
    let (Template::Shell(line), Some(program)) = (template, call.program()) else { return at.clone() };
    // In TOML the line may hold escapes, so that its bytes are not the file's.
    let same = at.span.clone().and_then(|span| at.source.bytes().get(span)) == Some(line.as_bytes());
    let found =
        line.match_indices(program).map(|(begin, _)| begin).find(|&begin| is_word(line, begin, program));
    match found {
        Some(begin) if same => at.part(begin..begin + program.len()),
        _ => at.clone(),
    }
}

fn is_word(line: &str, begin: usize, word: &str) -> bool {
    let ends = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric() && !"/._+-".contains(c));
    ends(line.get(..begin).and_then(|before| before.chars().next_back()))
        && ends(line.get(begin + word.len()..).and_then(|after| after.chars().next()))
}

fn doubt(program: &str, at: &Place, own_uid: u32, files: &mut dyn Files) -> Option<Diagnostic> {
    if !program.contains('/') {
        return in_folders(program, at, own_uid, files);
    }
    if !program.starts_with('/') {
        let message = format!("{program:?} is looked for in the folder the daemon runs in, usually /");
        return Some(
            Diagnostic::warning("relative-program", at, message).help("give its whole path, from / on"),
        );
    }
    match files.facts(Path::new(program)) {
        Ok(facts) => is_fit(program, facts, at).or_else(|| loose(program, facts, at, own_uid, files)),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => None,
        Err(_) => Some(missing(program, at).help(whole_path(program))),
    }
}

fn missing(program: &str, at: &Place) -> Diagnostic {
    Diagnostic::warning("no-such-program", at, format!("there is no program {program:?} on this host"))
}

fn whole_path(program: &str) -> String {
    let name = program.rsplit('/').next().unwrap_or(program);
    format!("give the path it has here: `command -v {name}` prints it")
}

fn in_folders(program: &str, at: &Place, own_uid: u32, files: &mut dyn Files) -> Option<Diagnostic> {
    for folder in FOLDERS {
        let path = PathBuf::from(folder).join(program);
        match files.facts(&path) {
            Ok(facts) if facts.is_regular && facts.mode & ANYBODY_RUNS != 0 => {
                return loose(&path.display().to_string(), facts, at, own_uid, files);
            }
            _ => {}
        }
    }
    Some(missing(program, at).help("install it, or give its whole path"))
}

fn is_fit(program: &str, facts: FileFacts, at: &Place) -> Option<Diagnostic> {
    if !facts.is_regular {
        return Some(missing(program, at).label("this is not a file").help(whole_path(program)));
    }
    (facts.mode & ANYBODY_RUNS == 0).then(|| {
        Diagnostic::warning(
            "not-executable",
            at,
            format!("{program:?} cannot be started: it is not executable"),
        )
        .help(format!("chmod +x {program}"))
    })
}

/// Whoever can change what root starts is root; so is whoever can put another program in its place.
fn loose(
    program: &str,
    facts: FileFacts,
    at: &Place,
    own_uid: u32,
    files: &mut dyn Files,
) -> Option<Diagnostic> {
    let folder = Path::new(program).parent().and_then(|folder| {
        let facts = files.facts(folder).ok()?;
        Some((folder.display().to_string(), facts)).filter(|_| facts.mode & STICKY == 0)
    });
    let itself = who_changes(program, facts, own_uid)
        .map(|(who, help)| (format!("{who} can change this program, and so decide what is run"), help));
    let beside = || {
        let (folder, facts) = folder?;
        let (who, help) = who_changes(&folder, facts, own_uid)?;
        Some((
            format!("{who} can put another program in the place of {program}, and so decide what is run"),
            help,
        ))
    };
    let (message, help) = itself.or_else(beside)?;
    Some(Diagnostic::warning("loose-program", at, message).help(help))
}

/// Who, beside root and the daemon's user, can write there, and what ends that.
fn who_changes(path: &str, facts: FileFacts, own_uid: u32) -> Option<(String, String)> {
    if facts.uid != 0 && facts.uid != own_uid {
        Some((format!("the user with number {}", facts.uid), format!("chown root {path}")))
    } else if facts.mode & files::OTHERS_WRITE != 0 {
        Some(("everybody".to_owned(), format!("chmod go-w {path}")))
    } else if facts.mode & files::GROUP_WRITES != 0 {
        Some(("its group".to_owned(), format!("chmod go-w {path}")))
    } else {
        None
    }
}
