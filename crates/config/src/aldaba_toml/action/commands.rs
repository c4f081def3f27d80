//! Commands that open and close: argument by argument, or lines for a shell in doors as in knockd.conf.

use std::time::Duration;

use aldaba_runner::door::{Action, Commands, PerFamily, Style, Template};

use super::super::door::LONGEST;
use super::super::table::Value;
use super::Keys;
use crate::diagnostic::{Diagnostic, Place};
use crate::plan::{DoorPlaces, Families, Findings};

const TIME_LIMIT: Duration = Duration::from_secs(10);

/// `start` and `stop`, or lines for a shell.
pub(super) fn commands(
    keys: &Keys<'_>,
    style: Style,
    places: &mut DoorPlaces,
    findings: &mut Findings,
) -> Option<Action> {
    let mut whole = true;
    let mut made = |value: &Option<Value<'_>>, findings: &mut Findings| -> Option<Made> {
        let value = value.as_ref()?;
        let read = if value.name.contains("line") { line(value, findings) } else { argv(value, findings) };
        whole &= read.is_some();
        read.map(|template| Made { template, place: value.place.clone() })
    };
    let of = if keys.lines.iter().any(Option::is_some) { &keys.lines } else { &keys.commands };
    let [start, start_v6, stop, stop_v6] = of.each_ref().map(|value| made(value, findings));
    let time_limit = time_limit(keys.time_limit.as_ref(), style, findings);
    let never_stop = keys.never_stop.as_ref().is_some_and(|value| value.flag(findings) == Some(true));
    if !whole {
        return None;
    }
    let start_v6 = start_v6.or_else(|| start.clone());
    let stop_v6 = stop_v6.or_else(|| stop.clone());
    places.start = Families { v4: place(start.as_ref()), v6: place(start_v6.as_ref()) };
    places.stop = Families { v4: place(stop.as_ref()), v6: place(stop_v6.as_ref()) };
    let start = PerFamily { v4: runs(start, false), v6: runs(start_v6, false) };
    if start == PerFamily::default() {
        if style == Style::Native {
            let first = of.iter().flatten().next()?;
            findings.add(
                Diagnostic::error("no-action", &first.key, "this door has no start command")
                    .help("add start = [\"PROGRAM\", \"{ip}\"]"),
            );
            return None;
        }
        return Some(Action::LogOnly);
    }
    let empty_runs = style == Style::Knockd;
    let stop = PerFamily {
        v4: runs(stop, empty_runs).filter(|_| start.v4.is_some()),
        v6: runs(stop_v6, empty_runs).filter(|_| start.v6.is_some()),
    };
    let never_stop = never_stop && stop != PerFamily::default();
    Some(Action::Command(Commands { start, stop, time_limit, never_stop }))
}

#[derive(Clone)]
struct Made {
    template: Template,
    place: Place,
}

fn place(made: Option<&Made>) -> Option<Place> {
    made.map(|made| made.place.clone())
}

/// An empty command is none, except that an empty stop line is run as the original runs it.
fn runs(made: Option<Made>, empty_line_runs: bool) -> Option<Template> {
    made.map(|made| made.template).filter(|template| match template {
        Template::Argv(words) => !words.is_empty(),
        Template::Shell(line) => empty_line_runs || !line.is_empty(),
    })
}

/// One to show as an example.
fn program(value: &Value<'_>) -> &'static str {
    if value.name.starts_with("stop") { "/usr/local/sbin/close" } else { "/usr/local/sbin/open" }
}

fn line(value: &Value<'_>, findings: &mut Findings) -> Option<Template> {
    let text = value.text(findings, format_args!("{} = \"{} %IP%\"", value.name, program(value)))?;
    Some(Template::Shell(text.text.to_owned()))
}

fn argv(value: &Value<'_>, findings: &mut Findings) -> Option<Template> {
    let example = format!("{} = [\"{}\", \"{{ip}}\"]", value.name, program(value));
    let words = value.words(findings, &example)?;
    let template = Template::Argv(words.iter().map(|word| word.text.to_owned()).collect());
    if words.is_empty() {
        return Some(template);
    }
    let mut good = true;
    if let Err(error) = template.check() {
        good = false;
        let place = words.get(error.argument).map_or(&value.place, |word| &word.place);
        findings.add(
            Diagnostic::error("bad-template", &place.part(error.span.clone()), error.kind.to_string())
                .help(format!("write it like: {example}")),
        );
    }
    for word in &words {
        let Some(at) = word.text.find("%IP%") else { continue };
        good = false;
        findings.add(
            Diagnostic::error(
                "bad-template",
                &word.place.part(at..at + 4),
                "%IP% is for lines of knockd.conf",
            )
            .help("write {ip} here"),
        );
    }
    let named = words.first().filter(|word| word.text.contains('{') || word.text.contains('\0'));
    if let Some(word) = named.filter(|_| good) {
        good = false;
        findings.add(
            Diagnostic::error("bad-template", &word.place, "the program's name is fixed")
                .help("name one program here; {ip} may stand in what follows it"),
        );
    }
    good.then_some(template)
}

fn time_limit(value: Option<&Value<'_>>, style: Style, findings: &mut Findings) -> Option<Duration> {
    let default = match style {
        Style::Native => Some(TIME_LIMIT),
        Style::Knockd => None,
    };
    let Some(value) = value else { return default };
    let is_none = value.is_text() && value.text(findings, "").is_some_and(|text| text.text == "none");
    if is_none {
        return None;
    }
    value.duration(findings, Duration::from_millis(100), LONGEST).or(default)
}
