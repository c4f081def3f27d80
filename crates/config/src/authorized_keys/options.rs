//! The options of a line: names and values between commas, each at most once.

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use aldaba_gate::spa::{DoorTag, Doors};

use super::{Line, Listed, Refused, time, warning};
use crate::suggest;

/// Every option there is.
const OPTIONS: [&str; 9] =
    ["doors", "from", "lease", "max-lease", "max-leases", "expires", "psk", "bind", "delegate"];
/// The most leases a user may hold: as many as a door holds for everybody unless it is told otherwise.
const MOST_LEASES: u16 = 4096;

/// Reads the options before `end`.
pub(super) fn read(line: &Line<'_>, text: &str, end: usize, listed: &mut Listed) -> Result<(), Refused> {
    let mut seen: Vec<&str> = Vec::new();
    for at in split(text.get(..end).unwrap_or_default()) {
        let word = text.get(at.clone()).unwrap_or_default();
        let option = OptionAt { line, at, name: word.split_once('=').map_or(word, |(name, _)| name) };
        if seen.contains(&option.name) {
            return Err(option.refused(format!("{} is set twice", option.name), "keep one of them"));
        }
        seen.push(option.name);
        option.read(word.split_once('=').map(|(_, value)| value), listed)?;
    }
    let device = &mut listed.device;
    if let (Some(usual), Some(longest)) = (device.lease, device.max_lease)
        && usual > longest
    {
        let found = warning("bad-option", &listed.place, "lease is longer than max-lease");
        return Err(Box::new(found.help("shorten lease, or give max-lease at least its length")));
    }
    if !listed.doors.is_empty() {
        device.doors = Doors::Only(listed.doors.iter().filter_map(|(door, _)| DoorTag::of(door)).collect());
    }
    Ok(())
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

/// One option, and where it stands.
struct OptionAt<'l> {
    line: &'l Line<'l>,
    at: Range<usize>,
    name: &'l str,
}

impl OptionAt<'_> {
    fn refused(&self, message: impl Into<String>, help: impl Into<String>) -> Refused {
        Box::new(warning("bad-option", &self.line.place(self.at.clone()), message).help(help))
    }

    fn read(&self, value: Option<&str>, listed: &mut Listed) -> Result<(), Refused> {
        let device = &mut listed.device;
        match (self.name, value) {
            ("bind", None) => device.bound = true,
            ("delegate", None) => device.delegates = true,
            ("bind" | "delegate", Some(_)) => {
                let help = format!("write {} alone", self.name);
                return Err(self.refused(format!("{} takes no value", self.name), help));
            }
            (name, None) if OPTIONS.contains(&name) => return Err(self.needs_value()),
            (name, Some(value)) if OPTIONS.contains(&name) => self.value(unquoted(value), listed)?,
            _ => return Err(self.unknown()),
        }
        Ok(())
    }

    fn value(&self, value: Option<&str>, listed: &mut Listed) -> Result<(), Refused> {
        let value = value.ok_or_else(|| {
            let help = format!("write it like: {}=\"...\"", self.name);
            self.refused("quotes stand around the whole value, or not at all", help)
        })?;
        let device = &mut listed.device;
        let like = |example: &str| {
            let shown: String = value.chars().take(40).collect();
            self.refused(format!("{} cannot be {shown:?}", self.name), format!("write it like: {example}"))
        };
        match self.name {
            "doors" => {
                let place = self.line.place(self.at.clone());
                listed.doors = self.words(value)?.map(|door| (door.to_owned(), place.clone())).collect();
            }
            "from" => {
                let networks = self.words(value)?.map(|word| {
                    let network = word.parse().or_else(|_| word.parse::<IpAddr>().map(Into::into));
                    network.map_err(|_| {
                        let help = "write it like: from=192.0.2.0/24, or from=\"192.0.2.7,2001:db8::/32\"";
                        self.refused(format!("{word:?} is no network"), help)
                    })
                });
                device.from = networks.collect::<Result<_, _>>()?;
            }
            "lease" => device.lease = Some(length(value).ok_or_else(|| like("lease=10m, at least 1s"))?),
            "max-lease" => {
                device.max_lease = Some(length(value).ok_or_else(|| like("max-lease=1h, at least 1s"))?);
            }
            "max-leases" => {
                let count = value.parse().ok().filter(|count| (1..=MOST_LEASES).contains(count));
                device.max_leases =
                    Some(count.ok_or_else(|| like(&format!("max-leases=4, from 1 to {MOST_LEASES}")))?);
            }
            "expires" => {
                device.expires = Some(
                    time(value).ok_or_else(|| like("expires=2027-01-01, or expires=2027-01-01T12:00:00Z"))?,
                );
            }
            _ => device.psk_generation = value.parse().map_err(|_| like("psk=1"))?,
        }
        Ok(())
    }

    /// The words between commas. None at all would mean everything, which nobody writes so.
    fn words<'v>(&self, value: &'v str) -> Result<impl Iterator<Item = &'v str>, Refused> {
        let mut words = value.split(',').map(str::trim).filter(|word| !word.is_empty()).peekable();
        if words.peek().is_none() {
            return Err(self.needs_value());
        }
        Ok(words)
    }

    fn needs_value(&self) -> Refused {
        let help = format!("write {}=\"...\", or take it out", self.name);
        self.refused(format!("{} needs a value", self.name), help)
    }

    fn unknown(&self) -> Refused {
        let help = match suggest::nearest(self.name, OPTIONS) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("there are: {}", OPTIONS.join(", ")),
        };
        self.refused(format!("there is no option {:?}", self.name), help)
    }
}

/// A value without the quotes around it, if there are.
fn unquoted(value: &str) -> Option<&str> {
    let inner = value.strip_prefix('"').map_or(Some(value), |rest| rest.strip_suffix('"'))?;
    (!inner.contains('"')).then_some(inner)
}

/// At least a second: a lease cannot be shorter.
fn length(value: &str) -> Option<Duration> {
    crate::aldaba_toml::duration(value).filter(|time| *time >= Duration::from_secs(1))
}
