//! The registry of devices: `authorized_keys`, one line for each. spec/keys.md, section 3.
//!
//! `[options] aldaba1<key> owner/device`. A line that cannot be taken disables itself and nothing else: every other
//! device still gets in. The options are read in `options.rs`.

use std::collections::HashMap;
use std::ops::Range;

use aldaba_gate::spa::{Device, KeyKind, PublicKey, TextError, Timestamp};

use crate::diagnostic::{Diagnostic, Place, Source};
use crate::plan::Findings;

mod options;

/// Bytes of a device's name.
const NAME_BYTES: usize = 64;
/// Lines of one registry that are named when they are refused or doubtful; more are counted.
const NAMED_LINES: usize = 50;

/// Reads the lines; those that are no devices have been named. `locks`: the public keys of the server's own locks.
pub(crate) fn read(source: &Source, locks: &[PublicKey], findings: &mut Findings) -> Vec<Listed> {
    let mut doubtful = Doubtful { findings, left_out: 0, room: NAMED_LINES };
    let mut listed: Vec<Listed> = Vec::new();
    let mut by_key: HashMap<PublicKey, usize> = HashMap::new();
    let mut ambiguous: Vec<usize> = Vec::new();
    for span in lines(source.bytes()) {
        let line = Line { source, span };
        let device = match line.device().and_then(|device| usable(device, locks)) {
            Ok(device) => device,
            Err(found) => {
                doubtful.add(*found);
                continue;
            }
        };
        let Some(first) = by_key.get(&device.device.key).and_then(|at| Some((*at, listed.get(*at)?))) else {
            by_key.insert(device.device.key, listed.len());
            listed.push(device);
            continue;
        };
        let (at, first) = first;
        if first.device == device.device {
            doubtful.add(repeated(&device, first));
        } else {
            doubtful.add(same_key(&device, first));
            ambiguous.push(at);
        }
    }
    same_names(&listed, &mut doubtful);
    doubtful.finish(source);
    ambiguous.sort_unstable();
    let mut number = 0_usize..;
    listed.retain(|_| number.next().is_some_and(|number| ambiguous.binary_search(&number).is_err()));
    listed
}

/// A device, where its line stands, and the doors it names.
pub(crate) struct Listed {
    pub(crate) device: Device,
    pub(crate) place: Place,
    /// Each with its place; empty: every door.
    pub(crate) doors: Vec<(String, Place)>,
}

/// What is wrong with lines, as long as there is room for it: a file of another kind put here by mistake has thousands.
struct Doubtful<'f> {
    findings: &'f mut Findings,
    room: usize,
    left_out: usize,
}

impl Doubtful<'_> {
    fn add(&mut self, found: Diagnostic) {
        match self.room.checked_sub(1) {
            Some(room) => {
                self.room = room;
                self.findings.add(found);
            }
            None => self.left_out += 1,
        }
    }

    fn finish(self, source: &Source) {
        if self.left_out > 0 {
            let message =
                format!("something is wrong with {} more lines, which are not shown", self.left_out);
            self.findings.add(
                Diagnostic::warning("more-lines", &source.whole(), message)
                    .help("repair those that are shown, and look again"),
            );
        }
    }
}

/// Two lines that say different things of one key: neither counts, since whose knock it was would be a guess.
fn same_key(line: &Listed, first: &Listed) -> Diagnostic {
    warning("same-key", &line.place, "another line says something else of this key: neither of them counts")
        .also(&first.place, "the other line")
        .help("keep one of them; give every device a key of its own")
}

/// A line that stands there twice leaves nothing to guess.
fn repeated(line: &Listed, first: &Listed) -> Diagnostic {
    Diagnostic::warning("same-line", &line.place, "this line stands here twice")
        .label("counts once")
        .also(&first.place, "here")
        .help("take one of them away, or a revocation will miss the other")
}

/// Two devices of one name are two devices all the same; who reads the log cannot tell them apart.
fn same_names(listed: &[Listed], doubtful: &mut Doubtful<'_>) {
    let mut seen: HashMap<&str, &Place> = HashMap::with_capacity(listed.len());
    for Listed { device, place, .. } in listed.iter().filter(|listed| listed.device.name.contains('/')) {
        if let Some(first) = seen.insert(&device.name, place) {
            let message = format!("there is another device {:?}", device.name);
            doubtful.add(
                Diagnostic::warning("same-name", place, message)
                    .also(first, "here")
                    .help("give each its own name, or the log does not tell them apart"),
            );
        }
    }
}

/// A key that anybody can use is nobody's.
fn usable(line: Listed, locks: &[PublicKey]) -> Result<Listed, Refused> {
    let key = line.device.key;
    if key.is_published() {
        let message = "this key is one of the published test keys: everybody has its secret one";
        let found = warning("published-key", &line.place, message);
        return Err(Box::new(found.help("make a key on the device: aldaba keygen")));
    }
    if locks.contains(&key) {
        let found = warning("server-key", &line.place, "this is the key of this server's own lock");
        return Err(Box::new(found.help("make a key on the device: aldaba keygen")));
    }
    Ok(line)
}

/// The lines that say something, without the blanks around them.
fn lines(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    bytes
        .split(|byte| *byte == b'\n')
        .map(move |line| {
            let begin = at + (line.len() - line.trim_ascii_start().len());
            at += line.len() + 1;
            begin..begin + line.trim_ascii().len()
        })
        .filter(|span| !matches!(bytes.get(span.clone()), None | Some([] | [b'#', ..])))
}

/// A line is passed over, whatever is wrong with it.
fn warning(code: &'static str, place: &Place, message: impl Into<String>) -> Diagnostic {
    Diagnostic::warning(code, place, message).label("this device cannot knock")
}

struct Line<'s> {
    source: &'s Source,
    span: Range<usize>,
}

type Refused = Box<Diagnostic>;

impl Line<'_> {
    fn place(&self, part: Range<usize>) -> Place {
        self.source.at(self.span.start + part.start..self.span.start + part.end)
    }

    fn device(&self) -> Result<Listed, Refused> {
        let whole = self.place(0..self.span.len());
        let bytes = self.source.bytes().get(self.span.clone()).unwrap_or_default();
        let text = std::str::from_utf8(bytes)
            .map_err(|_| {
                warning("not-utf8", &whole, "this line is not UTF-8").help("write the name in UTF-8")
            })
            .map_err(Box::new)?;
        let options_end = if begins_with_key(text) { 0 } else { end_of_word(text) };
        self.quotes_are_closed(text, options_end)?;
        let key_at = options_end + blanks(text, options_end);
        let key_end = key_at + end_of_word(text.get(key_at..).unwrap_or_default());
        let key = self.key(text, key_at..key_end)?;
        let name = self.name(text, key_end)?;
        let mut listed = Listed { device: Device::new(key, name), place: whole, doors: Vec::new() };
        options::read(self, text, options_end, &mut listed)?;
        Ok(listed)
    }

    /// Otherwise the rest of the line would be part of an option.
    fn quotes_are_closed(&self, text: &str, options_end: usize) -> Result<(), Refused> {
        let options = text.get(..options_end).unwrap_or_default();
        if options.matches('"').count() % 2 == 0 {
            return Ok(());
        }
        let at = options.rfind('"').unwrap_or_default();
        let found = warning("bad-option", &self.place(at..at + 1), "a quote begins here and does not end");
        Err(Box::new(found.help("write options like: doors=\"ssh,web\",max-lease=1h")))
    }

    fn key(&self, text: &str, at: Range<usize>) -> Result<PublicKey, Refused> {
        let word = text.get(at.clone()).unwrap_or_default();
        let place = self.place(if word.is_empty() { 0..text.len() } else { at });
        PublicKey::from_text(KeyKind::Device, word).map_err(|error| {
            let found = warning("bad-key", &place, error.to_string());
            Box::new(match error {
                TextError::OtherKind { found: KeyKind::DeviceSecret, .. } => found.help(
                    "a secret key belongs on its device alone: make a new one there with aldaba keygen, and put what aldaba pubkey prints here",
                ),
                _ => found.help("put the line here that aldaba pubkey printed on the device"),
            })
        })
    }

    /// The rest of the line: who owns the device.
    fn name(&self, text: &str, from: usize) -> Result<String, Refused> {
        let name = text.get(from..).unwrap_or_default().trim();
        let at = from + blanks(text, from);
        if name.len() > NAME_BYTES || name.chars().any(char::is_control) {
            let message = format!("a device's name has at most {NAME_BYTES} bytes and no control characters");
            let found = warning("bad-name", &self.place(at..text.len()), message);
            return Err(Box::new(found.help("shorten it to something like alice/laptop")));
        }
        if name.is_empty() || name.starts_with('/') {
            let found = warning("no-name", &self.place(0..text.len()), "nothing says whose device this is");
            return Err(Box::new(found.help("write the owner behind the key: alice/laptop")));
        }
        Ok(name.to_owned())
    }
}

/// Options begin with a small letter and never with these six.
fn begins_with_key(text: &str) -> bool {
    text.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("aldaba"))
}

/// A day in UTC, or a moment as RFC 3339 has it.
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    let moment = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let day: jiff::civil::Date = text.parse().ok()?;
        Some(day.to_zoned_datetime(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })?;
    u64::try_from(moment.as_microsecond()).ok().map(Timestamp)
}

/// A moment as [`time`] reads it.
pub(crate) fn time_text(moment: Timestamp) -> String {
    let moment = i64::try_from(moment.0).ok().and_then(|it| jiff::Timestamp::from_microsecond(it).ok());
    moment.unwrap_or_default().to_string()
}

fn blanks(text: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    rest.len() - rest.trim_start().len()
}

/// Where the first blank outside quotes stands.
fn end_of_word(text: &str) -> usize {
    let mut quoted = false;
    let end = text.find(|c: char| {
        quoted ^= c == '"';
        !quoted && c.is_ascii_whitespace()
    });
    end.unwrap_or(text.len())
}

#[cfg(test)]
mod tests;
