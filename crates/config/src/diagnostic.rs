//! What is wrong or doubtful in a configuration: place, reason, and what to do about it.
//!
//! A [`Diagnostic`] carries its source with it, so it can be shown anywhere: as one line, or with the line of the
//! file and a caret. What the original knockd says at the same place is kept beside it for programs that wait for
//! those words.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

mod render;

pub use render::Paint;

/// One file's name and bytes, shared by everything that was said about it.
#[derive(Clone)]
pub struct Source(Arc<(String, Vec<u8>)>);

impl Source {
    /// A source of this name.
    #[must_use]
    pub fn new(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self(Arc::new((name.into(), bytes)))
    }

    /// The file's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.0
    }

    /// The file's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0.1
    }

    /// A place in it.
    #[must_use]
    pub fn at(&self, span: Range<usize>) -> Place {
        let end = span.end.min(self.bytes().len());
        Place { source: self.clone(), span: Some(span.start.min(end)..end) }
    }

    /// The file as a whole.
    #[must_use]
    pub fn whole(&self) -> Place {
        Place { source: self.clone(), span: None }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({:?})", self.name())
    }
}

/// A place in a file, in bytes; without a span the file as a whole is meant.
#[derive(Debug, Clone)]
pub struct Place {
    /// The file.
    pub source: Source,
    /// From its first byte to the one after its last.
    pub span: Option<Range<usize>>,
}

impl Place {
    /// Line and column of its beginning, both from 1; columns are characters.
    #[must_use]
    pub fn line_column(&self) -> Option<(usize, usize)> {
        let before = self.source.bytes().get(..self.span.as_ref()?.start)?;
        let line = before.split(|&byte| byte == b'\n').count();
        let begin = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at.saturating_add(1));
        let column = String::from_utf8_lossy(before.get(begin..)?).chars().count().saturating_add(1);
        Some((line, column))
    }

    /// A part of it: the range counts from its beginning.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Self {
        let Some(span) = &self.span else {
            return self.clone();
        };
        let begin = span.start.saturating_add(range.start).min(span.end);
        let end = span.start.saturating_add(range.end).clamp(begin, span.end);
        self.source.at(begin..end)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line_column() {
            Some((line, column)) => write!(f, "{}:{line}:{column}", self.source.name()),
            None => write!(f, "{}", self.source.name()),
        }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is taken all the same.
    Warning,
    /// The configuration is refused.
    Error,
}

/// One thing that is wrong or doubtful.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable short name for this kind of thing.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub place: Place,
    /// Said at the caret; may be empty.
    pub label: String,
    /// Other places that have to do with it, and how.
    pub also: Vec<(Place, String)>,
    /// What to do about it.
    pub help: Vec<String>,
    pub(crate) knockd_line: Option<String>,
}

impl Diagnostic {
    /// An error at this place.
    #[must_use]
    pub fn error(code: &'static str, place: &Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            place: place.clone(),
            label: String::new(),
            also: Vec::new(),
            help: Vec::new(),
            knockd_line: None,
        }
    }

    /// A warning at this place.
    #[must_use]
    pub fn warning(code: &'static str, place: &Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message) }
    }

    /// The same, with words at the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The same, with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// The same, with another place.
    #[must_use]
    pub fn also(mut self, place: &Place, label: impl Into<String>) -> Self {
        self.also.push((place.clone(), label.into()));
        self
    }

    /// The same, with the line the original knockd writes.
    #[must_use]
    pub(crate) fn knockd(mut self, line: impl Into<String>) -> Self {
        self.knockd_line = Some(line.into());
        self
    }

    /// The line the original knockd writes here on standard error, if it is one that it would refuse too.
    #[must_use]
    pub fn knockd_line(&self) -> Option<String> {
        self.knockd_line.clone()
    }

    /// The whole of it: place, line, caret, help; ends without a newline.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        render::render(self, paint)
    }
}

/// In one line: `file:line:column: error: message`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}: {severity}: {} [{}]", self.place, self.message, self.code)
    }
}

/// Why a configuration was refused: every problem found, warnings too, in the order of the files.
#[derive(Debug, Clone)]
pub struct Report {
    /// All that was found, at least one error.
    pub diagnostics: Vec<Diagnostic>,
    knockd_line: Option<String>,
}

impl Report {
    pub(crate) fn new(mut diagnostics: Vec<Diagnostic>) -> Self {
        // knockd stops at its first error, which is not always the first in the file; targets come after the file.
        let mut lines: Vec<String> = diagnostics.iter().filter_map(Diagnostic::knockd_line).collect();
        lines.sort_by_key(|line| line.starts_with("pcap_compile"));
        let knockd_line = lines.into_iter().next();
        sort(&mut diagnostics);
        Self { diagnostics, knockd_line }
    }

    /// The line the original knockd would have stopped with.
    #[must_use]
    pub fn knockd_line(&self) -> Option<&str> {
        self.knockd_line.as_deref()
    }

    /// All of it, one block for each problem; every block ends with an empty line.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        self.diagnostics.iter().map(|diagnostic| diagnostic.render(paint) + "\n\n").collect()
    }

    /// How many of them are errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|found| found.severity == Severity::Error).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Paint::Plain))
    }
}

impl std::error::Error for Report {}

/// Into the order of the text, file by file in the order the files were first mentioned.
pub(crate) fn sort(diagnostics: &mut [Diagnostic]) {
    let mut files: Vec<String> = Vec::new();
    for diagnostic in diagnostics.iter() {
        let name = diagnostic.place.source.name();
        if !files.iter().any(|file| file == name) {
            files.push(name.to_owned());
        }
    }
    diagnostics.sort_by_cached_key(|found| {
        let file = files.iter().position(|file| file == found.place.source.name());
        (file, found.place.span.as_ref().map(|span| (span.start, span.end)))
    });
}
