//! The registry of devices: `authorized_keys`, one line for each. spec/keys.md, section 3.
//!
//! `[options] aldaba1<key> owner/device`. A line that cannot be taken disables itself and nothing else: every other
//! device still gets in.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::time::Duration;

use aldaba_gate::spa::{Device, DoorTag, Doors, KeyKind, PublicKey, TextError, Timestamp};

use crate::diagnostic::{Diagnostic, Place, Source};
use crate::plan::Findings;
use crate::suggest;

/// Bytes of a device's name.
const NAME_BYTES: usize = 64;
/// Every option there is.
const OPTIONS: [&str; 7] = ["doors", "from", "max-lease", "expires", "psk", "bind", "delegate"];

/// Reads the lines; those that are no devices have been named.
pub(crate) fn read(source: &Source, findings: &mut Findings) -> Vec<Listed> {
    let mut listed: Vec<Listed> = Vec::new();
    let mut seen: HashMap<PublicKey, usize> = HashMap::new();
    for span in lines(source.bytes()) {
        let line = Line { source, span };
        match line.device() {
            Ok(device) => {
                if let Some(first) = seen.insert(device.device.key, listed.len()) {
                    let found = warning("same-key", &device.place, "this key is in the registry already");
                    let help = "give every device a key of its own, and every key one line";
                    findings.add(match listed.get(first) {
                        Some(first) => found.also(&first.place, "here").help(help),
                        None => found.help(help),
                    });
                    seen.insert(device.device.key, first);
                } else {
                    listed.push(device);
                }
            }
            Err(found) => findings.add(*found),
        }
    }
    listed
}

/// A device, where its line stands, and the doors it names.
pub(crate) struct Listed {
    pub(crate) device: Device,
    pub(crate) place: Place,
    /// Each with its place; empty: every door.
    pub(crate) doors: Vec<(String, Place)>,
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
            .map_err(|_| warning("not-utf8", &whole, "this line is not UTF-8"))
            .map_err(Box::new)?;
        let options_end = if text.starts_with("aldaba") { 0 } else { end_of_word(text) };
        let key_at = options_end + blanks(text, options_end);
        let key_end = key_at + end_of_word(text.get(key_at..).unwrap_or_default());
        let key = self.key(text, key_at..key_end)?;
        let name = self.name(text, key_end)?;
        let mut listed = Listed { device: device(key, name), place: whole, doors: Vec::new() };
        for option in split(text.get(..options_end).unwrap_or_default()) {
            self.option(text, option, &mut listed)?;
        }
        let tags = listed.doors.iter().filter_map(|(door, _)| DoorTag::of(door));
        if !listed.doors.is_empty() {
            listed.device.doors = Doors::Only(tags.collect::<BTreeSet<_>>());
        }
        Ok(listed)
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
            return Err(Box::new(warning("bad-name", &self.place(at..text.len()), message)));
        }
        if name.is_empty() {
            let found = warning("no-name", &self.place(0..text.len()), "nothing says whose device this is");
            return Err(Box::new(found.help("write the owner behind the key: alice/laptop")));
        }
        Ok(name.to_owned())
    }

    fn option(&self, text: &str, at: Range<usize>, listed: &mut Listed) -> Result<(), Refused> {
        let word = text.get(at.clone()).unwrap_or_default();
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let refuse = |message: String| Box::new(warning("bad-option", &self.place(at.clone()), message));
        let needs = |example: &str| refuse(format!("write it like: {example}"));
        let value = value.map(|value| value.trim_matches('"'));
        let device = &mut listed.device;
        match (name, value) {
            ("bind", None) => device.bound = true,
            ("delegate", None) => device.delegates = true,
            ("doors", Some(value)) if !value.is_empty() => {
                let place = self.place(at.clone());
                listed.doors.extend(words(value).map(|door| (door.to_owned(), place.clone())));
            }
            ("from", Some(value)) => {
                for word in words(value) {
                    let network = word.parse().or_else(|_| word.parse::<std::net::IpAddr>().map(Into::into));
                    device.from.push(network.map_err(|_| {
                        refuse(format!("{word:?} is no network: write it like 192.0.2.0/24 or 2001:db8::/32"))
                    })?);
                }
            }
            ("max-lease", Some(value)) => {
                let time = crate::aldaba_toml::duration(value);
                device.max_lease =
                    Some(time.ok_or_else(|| needs("max-lease=1h"))?.max(Duration::from_secs(1)));
            }
            ("expires", Some(value)) => {
                device.expires = Some(time(value).ok_or_else(|| needs("expires=2027-01-01"))?);
            }
            ("psk", Some(value)) => {
                device.psk_generation = value.parse().map_err(|_| needs("psk=1"))?;
            }
            ("bind" | "delegate", Some(_)) => return Err(refuse(format!("{name} takes no value"))),
            _ if OPTIONS.contains(&name) => {
                return Err(refuse(format!("{name} needs a value: {name}=\"...\"")));
            }
            _ => {
                let found = refuse(format!("there is no option {name:?}"));
                return Err(Box::new(match suggest::nearest(name, OPTIONS) {
                    Some(near) => found.help(format!("did you mean {near}?")),
                    None => found.help(format!("there are: {}", OPTIONS.join(", "))),
                }));
            }
        }
        Ok(())
    }
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

fn device(key: PublicKey, name: String) -> Device {
    Device {
        key,
        name,
        doors: Doors::All,
        from: Vec::new(),
        expires: None,
        max_lease: None,
        psk_generation: 0,
        delegates: false,
        bound: false,
    }
}

fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty())
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

/// The options between commas outside quotes.
fn split(options: &str) -> Vec<Range<usize>> {
    let (mut quoted, mut begin, mut parts) = (false, 0, Vec::new());
    for (at, c) in options.char_indices() {
        quoted ^= c == '"';
        if c == ',' && !quoted {
            parts.push(begin..at);
            begin = at + 1;
        }
    }
    parts.push(begin..options.len());
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests;
