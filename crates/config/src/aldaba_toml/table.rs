//! A TOML table whose keys are taken one by one; what nobody took was a mistake.
//!
//! Every value knows its place, and every wrong kind of value is said the same way. What the values mean is not
//! known here.

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{homes, values};
use crate::diagnostic::{Diagnostic, Place, Source};
use crate::plan::Findings;
use crate::suggest;

/// A key and what stands behind it.
type Entry<'d> = (&'d Spanned<Cow<'d, str>>, &'d Spanned<DeValue<'d>>);

/// A table being read.
pub(super) struct Table<'d> {
    /// In a list: a table has few keys, of the many that are asked for.
    entries: Vec<Entry<'d>>,
    source: &'d Source,
    /// Its head, where a missing key is reported.
    pub(super) place: Place,
    /// What it is, for messages: `a door`.
    what: &'static str,
    taken: Vec<&'static str>,
}

/// More keys than any table has.
const KEYS: usize = 48;

/// A value with its key.
pub(super) struct Value<'d> {
    content: &'d DeValue<'d>,
    source: &'d Source,
    pub(super) name: &'static str,
    pub(super) key: Place,
    pub(super) place: Place,
}

/// Some text and where it stands, without its quotes.
#[derive(Debug, Clone)]
pub(super) struct Text<'d> {
    pub(super) text: &'d str,
    pub(super) place: Place,
}

impl<'d> Table<'d> {
    pub(super) fn new(
        entries: &'d DeTable<'d>,
        source: &'d Source,
        place: Place,
        what: &'static str,
    ) -> Self {
        Self { entries: entries.iter().collect(), source, place, what, taken: Vec::with_capacity(KEYS) }
    }

    /// The value of a key, which is a known one from now on.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Value<'d>> {
        self.taken.push(name);
        let (key, value) = self.entries.iter().find(|(key, _)| key.get_ref() == name)?;
        Some(Value {
            content: value.get_ref(),
            source: self.source,
            name,
            key: self.source.at(key.span()),
            place: self.source.at(value.span()),
        })
    }

    /// Refuses every key that was not taken.
    pub(super) fn finish(self, findings: &mut Findings) {
        debug_assert!(
            homes::knows(self.what, &self.taken),
            "aldaba_toml/homes.rs lacks keys of {}",
            self.what
        );
        for (key, _) in &self.entries {
            let name: &str = key.get_ref();
            if self.taken.contains(&name) {
                continue;
            }
            let shown: String = name.chars().take(64).collect();
            let message = format!("{} has no key {shown:?}", self.what);
            let found = Diagnostic::error("unknown-key", &self.source.at(key.span()), message);
            findings.add(self.advise(name, found));
        }
    }

    /// Where a key belongs that is none of this table's, and which of this table's it may have been meant for.
    fn advise(&self, name: &str, found: Diagnostic) -> Diagnostic {
        let found = match homes::of(name, self.what) {
            Some(home) => found.help(home),
            None => found,
        };
        match suggest::nearest(name, self.taken.iter().copied()) {
            Some(near) => found.help(format!("did you mean {near}?")),
            None => found.help(format!("there are: {}", self.taken.join(", "))),
        }
    }
}

impl<'d> Value<'d> {
    /// Says that another kind of value is wanted here.
    pub(super) fn wrong(&self, findings: &mut Findings, wanted: &str, example: impl Display) {
        wrong(findings, &self.place, self.name, self.content, wanted, &example);
    }

    pub(super) fn error(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, &self.place, message)
    }

    pub(super) fn is_text(&self) -> bool {
        self.content.is_str()
    }

    pub(super) fn is_array(&self) -> bool {
        self.content.is_array()
    }

    pub(super) fn is_number(&self) -> bool {
        self.content.is_integer()
    }

    /// A whole number as it was written.
    pub(super) fn number_text(&self) -> String {
        match self.content {
            DeValue::Integer(number) => number.to_string(),
            _ => String::new(),
        }
    }

    /// Its text. The example is put together only where there is none.
    pub(super) fn text(&self, findings: &mut Findings, example: impl Display) -> Option<Text<'d>> {
        let DeValue::String(text) = self.content else {
            self.wrong(findings, "a string", example);
            return None;
        };
        Some(Text { text, place: inside(&self.place, text) })
    }

    pub(super) fn flag(&self, findings: &mut Findings) -> Option<bool> {
        let DeValue::Boolean(flag) = self.content else {
            self.wrong(findings, "true or false", format_args!("{} = true", self.name));
            return None;
        };
        Some(*flag)
    }

    /// A whole number within these bounds.
    pub(super) fn count(&self, findings: &mut Findings, from: usize, to: usize) -> Option<usize> {
        let DeValue::Integer(number) = self.content else {
            let example = format_args!("{} = {}", self.name, from.max(16).min(to));
            self.wrong(findings, "a whole number", example);
            return None;
        };
        let read = usize::from_str_radix(number.as_str(), number.radix()).ok();
        let within = read.filter(|count| (from..=to).contains(count));
        if within.is_none() {
            let message = format!("{} is a number from {from} to {to}", self.name);
            findings.add(self.error("out-of-range", message).help(WITHIN));
        }
        within
    }

    /// A length of time within these bounds.
    pub(super) fn duration(&self, findings: &mut Findings, from: Duration, to: Duration) -> Option<Duration> {
        let example = format_args!("{} = \"30s\"", self.name);
        let text = self.text(findings, example)?;
        match values::duration(text.text) {
            Ok(time) if (from..=to).contains(&time) => Some(time),
            Ok(_) => {
                let (from, to) = (values::duration_text(from), values::duration_text(to));
                let message = format!("{} is between {from} and {to}", self.name);
                findings.add(Diagnostic::error("out-of-range", &text.place, message).help(WITHIN));
                None
            }
            Err(bad) => {
                findings.add(
                    Diagnostic::error("bad-duration", &text.place.part(bad.span), bad.message)
                        .help(format!("write a number and a unit, ms, s, m, h or d: {example}")),
                );
                None
            }
        }
    }

    /// The values of an array; anything else is a list of one.
    pub(super) fn items(&self) -> Vec<Value<'d>> {
        let DeValue::Array(array) = self.content else { return vec![self.again()] };
        array.iter().map(|item| self.item(item)).collect()
    }

    /// The strings of an array.
    pub(super) fn words(&self, findings: &mut Findings, example: &str) -> Option<Vec<Text<'d>>> {
        if !self.content.is_array() {
            self.wrong(findings, "an array of strings", example);
            return None;
        }
        let words: Vec<_> = self.items().iter().map(|item| item.text(findings, example)).collect();
        words.into_iter().collect()
    }

    pub(super) fn table(&self, findings: &mut Findings, what: &'static str) -> Option<Table<'d>> {
        let DeValue::Table(entries) = self.content else {
            self.wrong(findings, "a table", format_args!("[{}]", self.name));
            return None;
        };
        Some(Table::new(entries, self.source, self.place.clone(), what))
    }

    /// The tables of an array of tables.
    pub(super) fn tables(&self, findings: &mut Findings, what: &'static str, head: &str) -> Vec<Table<'d>> {
        if self.content.is_array() {
            return self.items().iter().filter_map(|item| item.table(findings, what)).collect();
        }
        self.wrong(findings, "an array of tables", format_args!("{head}, with double brackets"));
        Vec::new()
    }

    /// A whole number that fits a port.
    pub(super) fn port(&self) -> Option<u16> {
        let DeValue::Integer(number) = self.content else { return None };
        u16::from_str_radix(number.as_str(), number.radix()).ok()
    }

    fn item(&self, item: &'d Spanned<DeValue<'d>>) -> Value<'d> {
        Value { content: item.get_ref(), place: self.source.at(item.span()), ..self.again() }
    }

    fn again(&self) -> Value<'d> {
        Value {
            content: self.content,
            source: self.source,
            name: self.name,
            key: self.key.clone(),
            place: self.place.clone(),
        }
    }
}

/// What to do about a number that is too small or too large.
const WITHIN: &str = "write one within these bounds, or leave the line out for the usual value";

fn wrong(
    findings: &mut Findings,
    place: &Place,
    name: &str,
    value: &DeValue<'_>,
    wanted: &str,
    example: &dyn Display,
) {
    let is = match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    findings.add(
        Diagnostic::error("wrong-type", place, format!("{name} takes {wanted}, this is {is}"))
            .help(format!("write it like: {example}")),
    );
}

/// Three quotes and the end of their line.
const LONGEST_QUOTE: usize = 4;

/// The place of a string's content. With escapes in it, bytes do not match and the whole of it must do.
fn inside(place: &Place, text: &str) -> Place {
    let raw = place.span.clone().and_then(|span| place.source.bytes().get(span)).unwrap_or_default();
    let begins_at = |at: &usize| raw.get(*at..).is_some_and(|rest| rest.starts_with(text.as_bytes()));
    match (0..=LONGEST_QUOTE).find(begins_at) {
        Some(at) if !text.is_empty() => place.part(at..at + text.len()),
        _ => place.clone(),
    }
}
