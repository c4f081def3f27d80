//! Files of keys: one a line, with its dates in front of it. spec/keys.md, section 2.
//!
//! A rotation adds a line and gives the old one an end, so that no text of the configuration has to be changed.

use std::path::Path;

use aldaba_gate::spa::{KeyKind, Psk, SecretKey, TextError, Timestamp};

use crate::authorized_keys;
use crate::diagnostic::{Diagnostic, Place};
use crate::files::{Files, IsLink};
use crate::plan::Findings;

/// Who else than its owner may use a file with a secret.
const OTHERS: u32 = 0o077;

/// From when until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Dates {
    pub(super) not_before: Option<Timestamp>,
    pub(super) not_after: Option<Timestamp>,
}

impl Dates {
    /// Both hold.
    pub(super) fn and(self, other: Self) -> Self {
        let sooner = match (self.not_after, other.not_after) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        Self { not_before: self.not_before.max(other.not_before), not_after: sooner }
    }
}

/// A key and its dates.
#[derive(Clone)]
pub(super) struct Line<T> {
    pub(super) key: T,
    pub(super) dates: Dates,
}

/// The secret keys of a server.
pub(super) fn servers(
    path: &Path,
    at: &Place,
    files: &mut dyn Files,
    findings: &mut Findings,
) -> Option<Vec<Line<SecretKey>>> {
    let kind = KeyKind::ServerSecret;
    let lines = read(path, at, kind, files, findings, |text| SecretKey::from_text(kind, text))?;
    let published = lines.iter().any(|line| line.key.public().is_published());
    is_private(published, path, at, findings).then_some(lines)
}

/// Pre-shared keys of one kind.
pub(super) fn psks(
    path: &Path,
    at: &Place,
    kind: KeyKind,
    files: &mut dyn Files,
    findings: &mut Findings,
) -> Option<Vec<Line<Psk>>> {
    let lines = read(path, at, kind, files, findings, |text| Psk::from_text(kind, text))?;
    is_private(lines.iter().any(|line| line.key.is_published()), path, at, findings).then_some(lines)
}

/// The one seed of a file.
pub(super) fn seed(path: &Path, at: &Place, files: &mut dyn Files, findings: &mut Findings) -> Option<Psk> {
    let mut lines = psks(path, at, KeyKind::Seed, files, findings)?;
    let dated = lines.iter().any(|line| line.dates != Dates::default());
    if lines.len() > 1 || dated {
        let message = format!("{} holds more than a seed", path.display());
        findings.add(Diagnostic::error("bad-key", at, message).help("keep one line, without dates"));
        return None;
    }
    lines.pop().map(|line| line.key)
}

/// A published key guards nothing.
fn is_private(is_published: bool, path: &Path, at: &Place, findings: &mut Findings) -> bool {
    if is_published {
        let message = format!("{} holds one of the published test keys, which everybody has", path.display());
        let help = format!("move {} away and run aldabad init, which makes a key of its own", path.display());
        findings.add(Diagnostic::error("published-key", at, message).help(help));
    }
    !is_published
}

/// The keys of a file that nobody but its owner can use; at least one.
fn read<T>(
    path: &Path,
    at: &Place,
    kind: KeyKind,
    files: &mut dyn Files,
    findings: &mut Findings,
    parse: impl Fn(&str) -> Result<T, TextError>,
) -> Option<Vec<Line<T>>> {
    let bytes = private(path, at, kind, files, findings)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let lines = text.lines().map(str::trim).zip(1_usize..);
    let keys = lines.filter(|(line, _)| !matches!(line.as_bytes(), [] | [b'#', ..]));
    let read: Result<Vec<_>, String> = keys
        .map(|(text, number)| line(text, &parse).map_err(|error| format!("line {number}: {error}")))
        .collect();
    let error = match read {
        Ok(lines) if !lines.is_empty() => return Some(lines),
        // What the reader says of nothing is right.
        Ok(_) => parse("").err().map_or_else(String::new, |error| error.to_string()),
        Err(error) => error,
    };
    let help = format!(
        "mend the line, or put a copy of {0} back; without one, move it away and run aldabad init: every device \
         needs a new bundle then",
        path.display()
    );
    findings.add(Diagnostic::error("bad-key", at, format!("{}: {error}", path.display())).help(help));
    None
}

/// The bytes of a file with a secret.
fn private(
    path: &Path,
    at: &Place,
    kind: KeyKind,
    files: &mut dyn Files,
    findings: &mut Findings,
) -> Option<zeroize::Zeroizing<Vec<u8>>> {
    if path.as_os_str().is_empty() {
        return None;
    }
    let file = match files.read_secret(path) {
        Ok(file) if file.facts.is_regular => file,
        Ok(_) => {
            findings
                .add(super::unreadable(at, path, "it is not a regular file").help("name the file itself"));
            return None;
        }
        Err(error) => {
            let words = crate::system_words(&error);
            findings.add(super::unreadable(at, path, &words).help(next_step(path, kind, &error)));
            return None;
        }
    };
    // Whoever owns it can read it and write another key into it.
    let owner = file.facts.uid;
    if owner != 0 && owner != findings.own_uid {
        let path = path.display();
        let help =
            format!("chown root {path}; if that user must not know it, run aldabad rotate --at-once then");
        findings.add(
            Diagnostic::error("loose-secret", at, format!("the user with number {owner} owns {path}"))
                .help(help),
        );
        return None;
    }
    if file.facts.mode & OTHERS != 0 {
        let (path, mode) = (path.display(), file.facts.mode);
        let help = format!("chmod 600 {path}; if somebody may have read it, run aldabad rotate --at-once");
        findings.add(
            Diagnostic::error("loose-secret", at, format!("{path} can be used by others (mode {mode:04o})"))
                .help(help),
        );
        return None;
    }
    Some(zeroize::Zeroizing::new(file.bytes))
}

/// What to do about a secret that cannot be read.
fn next_step(path: &Path, kind: KeyKind, error: &std::io::Error) -> String {
    if let Some(IsLink(to)) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return format!("name the file itself: {} = {:?}", name_of(kind), to.display().to_string());
    }
    let unit = path.strip_prefix("/run/credentials").ok().and_then(|rest| rest.iter().next());
    match (unit, error.kind()) {
        (_, std::io::ErrorKind::PermissionDenied) => {
            "run it as root (sudo): a server's keys are root's alone".to_owned()
        }
        (Some(unit), _) => {
            let unit = unit.display();
            format!("systemd puts it there while {unit} runs, where LoadCredential= in it says so")
        }
        (None, _) => "run aldabad init, which makes the keys".to_owned(),
    }
}

/// The key of `[spa]` that names a file of these.
const fn name_of(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::ServerSecret => "server-key",
        KeyKind::Gate => "gate-key",
        _ => "psk-seed",
    }
}

/// `[options] key`.
fn line<T>(text: &str, parse: impl Fn(&str) -> Result<T, TextError>) -> Result<Line<T>, String> {
    let (options, key) = text.rsplit_once(|c: char| c.is_ascii_whitespace()).unwrap_or(("", text));
    let mut dates = Dates::default();
    for option in options.trim().split(',').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let date = authorized_keys::time(value.trim_matches('"'));
        let field = match name {
            "not-before" => &mut dates.not_before,
            "not-after" => &mut dates.not_after,
            // Nothing of a line that may hold a secret is shown.
            _ => return Err("in front of a key stand not-before=DATE and not-after=DATE only".to_owned()),
        };
        let wrong = || format!("write it like {name}=2027-01-01, or {name}=2027-01-01T12:00:00Z");
        *field = Some(date.ok_or_else(wrong)?);
    }
    let key = parse(key).map_err(|error| error.to_string())?;
    Ok(Line { key, dates })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(text: &str) -> Result<Dates, String> {
        line(text, |text| Psk::from_text(KeyKind::Gate, text)).map(|line| line.dates)
    }

    #[test]
    fn dates_stand_in_front_of_a_key() {
        let key = "aldaba-gate-1242424242424242424242424242424242424242424242424242szt7z0f";
        let time = |text| authorized_keys::time(text);
        assert_eq!(gate(key), Ok(Dates::default()));
        let both = Dates { not_before: time("2026-01-01"), not_after: time("2027-01-01T12:00:00Z") };
        assert_eq!(gate(&format!("not-before=2026-01-01,not-after=2027-01-01T12:00:00Z {key}")), Ok(both));
        for bad in ["not-after=soon", "until=2027-01-01", "not-after"] {
            let error = gate(&format!("{bad} {key}")).expect_err(bad);
            assert!(!error.contains(key), "{error}");
        }
        // Two keys on one line: the first is no option, and is not shown.
        let error = gate(&format!("{key} {key}")).expect_err("two keys");
        assert!(!error.contains("4242"), "{error}");
    }

    #[test]
    fn a_credential_that_is_missing_is_no_key_to_make() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        let said = next_step(
            Path::new("/run/credentials/aldabad.service/server.key"),
            KeyKind::ServerSecret,
            &missing,
        );
        assert!(said.contains("while aldabad.service runs") && !said.contains("init"), "{said}");
        assert!(
            next_step(Path::new("/etc/aldaba/server.key"), KeyKind::ServerSecret, &missing)
                .contains("aldabad init")
        );
    }

    #[test]
    fn of_two_pairs_of_dates_both_hold() {
        let at = |from, until| Dates { not_before: from, not_after: until };
        let (one, two) = (Some(Timestamp(1)), Some(Timestamp(2)));
        assert_eq!(at(None, None).and(at(one, two)), at(one, two));
        assert_eq!(at(one, two).and(at(two, one)), at(two, one));
        assert_eq!(at(two, None).and(at(None, one)), at(two, one));
    }
}
