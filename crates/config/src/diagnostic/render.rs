//! A diagnostic as text: the line of the file, a caret under the fault, and what to do.

use annotate_snippets::{AnnotationKind, Element, Level, Message, Origin, Renderer, Snippet};

use super::{Diagnostic, Place, Severity};

/// Whether the text carries colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// No escape sequences at all.
    Plain,
    /// For a terminal.
    Colour,
}

/// One line of a file, and where in it the fault stands.
struct Excerpt {
    text: String,
    number: usize,
    span: std::ops::Range<usize>,
}

pub(super) fn render(diagnostic: &Diagnostic, paint: Paint) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code).element(snippet(
        &diagnostic.place,
        &diagnostic.label,
        AnnotationKind::Primary,
    ));
    for (place, label) in &diagnostic.also {
        group = group.element(snippet(place, label, AnnotationKind::Context));
    }
    for help in &diagnostic.help {
        group = group.element(note(help));
    }
    match paint {
        Paint::Plain => Renderer::plain(),
        Paint::Colour => Renderer::styled(),
    }
    .render(&[group])
}

fn note(help: &str) -> Message<'_> {
    Level::HELP.message(help)
}

fn snippet<'a>(place: &'a Place, label: &'a str, kind: AnnotationKind) -> Element<'a> {
    let path = place.source.name();
    let Some(excerpt) = excerpt(place) else {
        return Origin::path(path).into();
    };
    let annotation = kind.span(excerpt.span);
    let annotation = if label.is_empty() { annotation } else { annotation.label(label) };
    Snippet::source(excerpt.text).line_start(excerpt.number).path(path).annotation(annotation).into()
}

/// The first line a place touches, and the part of the place that is in it.
fn excerpt(place: &Place) -> Option<Excerpt> {
    let span = place.span.as_ref()?;
    let bytes = place.source.bytes();
    let before = bytes.get(..span.start)?;
    let begin = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at.saturating_add(1));
    let rest = bytes.get(begin..)?;
    let mut line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
    while let [shorter @ .., b'\r'] = line {
        line = shorter;
    }
    let shown = |to: usize| {
        let to = to.saturating_sub(begin).min(line.len());
        String::from_utf8_lossy(line.get(..to).unwrap_or_default()).len()
    };
    Some(Excerpt {
        text: String::from_utf8_lossy(line).into_owned(),
        number: before.split(|&byte| byte == b'\n').count(),
        span: shown(span.start)..shown(span.end),
    })
}
