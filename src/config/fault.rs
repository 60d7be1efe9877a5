//! A span and a sentence in, a fault out that a person and a program can read: `FILE:LINE:COL: what`, the line underlined, a hint.

use serde::Serialize;
use std::{fmt, ops::Range};

/// How much a fault matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The configuration is refused: exit 78.
    Fault,
    /// The configuration is accepted, but does less than it says.
    Warning,
}

/// One thing that is wrong with the configuration, or one that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// How much it matters.
    pub severity: Severity,
    /// A word for programs, `unknown-key`.
    pub code: &'static str,
    /// Where.
    pub place: Place,
    /// What, in one sentence without a full stop.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Where a fault lies: in a file, or in an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file as it was named, or the variable.
    pub file: String,
    /// `None` for a whole file and for a variable.
    pub lines: Option<Lines>,
    /// The line that it begins in, and which of its characters are meant.
    excerpt: Option<(String, Range<usize>)>,
    /// Faults are told in the order of their places.
    order: usize,
}

/// Lines and columns count from 1, columns in characters; the end is the first character after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    /// Where it begins.
    pub line: usize,
    /// Where it begins.
    pub column: usize,
    /// Where it ends.
    pub end_line: usize,
    /// Where it ends.
    pub end_column: usize,
}

impl Fault {
    /// As a person reads it, without a final newline.
    pub fn render(&self) -> String {
        self.to_string()
    }

    /// The same words at the same place as a warning.
    #[must_use]
    pub(super) fn only_a_warning(self) -> Fault {
        Fault { severity: Severity::Warning, ..self }
    }

    /// With a hint, if there is one.
    #[must_use]
    pub(super) fn hint(self, hint: impl Into<Option<String>>) -> Fault {
        Fault { hint: hint.into(), ..self }
    }

    /// Its line opens a table.
    pub(super) fn is_in_header(&self) -> bool {
        self.place.excerpt.as_ref().is_some_and(|(line, _)| line.trim_start().starts_with('['))
    }

    /// `andon check --format json`.
    pub fn json(&self) -> serde_json::Value {
        let lines = self.place.lines;
        serde_json::json!({
            "file": self.place.file,
            "line": lines.map(|at| at.line),
            "column": lines.map(|at| at.column),
            "end_line": lines.map(|at| at.end_line),
            "end_column": lines.map(|at| at.end_column),
            "severity": self.severity,
            "code": self.code,
            "what": self.what,
            "hint": self.hint,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.what)?;
        if let Some((line, meant)) = &self.place.excerpt {
            let number = self.place.lines.map(|at| at.line.to_string()).unwrap_or_default();
            let width = number.len();
            // Tabs stay tabs, so that the marks stand under what they mean.
            let before: String = line.chars().take(meant.start).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let marks = "^".repeat(meant.len().max(1));
            write!(f, "\n  {number} | {line}\n  {:width$} | {before}{marks}", "")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        match self.lines {
            Some(at) => write!(f, ":{}:{}", at.line, at.column),
            None => Ok(()),
        }
    }
}

/// Tells faults in the order of their places, each once.
pub(super) fn in_order(faults: &mut Vec<Fault>) {
    faults.sort_by_key(|fault| fault.place.order);
    faults.dedup_by(|later, earlier| later.place == earlier.place && later.what == earlier.what);
}

/// All texts that a configuration was read from, laid end to end: one span says file and place.
#[derive(Debug, Default)]
pub(super) struct Sources(Vec<Source>);

#[derive(Debug)]
struct Source {
    name: String,
    text: String,
    start: usize,
    is_file: bool,
}

impl Sources {
    /// Adds a file's text; spans in it are to be moved by the number returned.
    pub(super) fn file(&mut self, name: String, text: String) -> usize {
        self.add(name, text, true)
    }

    /// Adds an environment variable.
    pub(super) fn variable(&mut self, name: String, value: String) -> usize {
        self.add(name, value, false)
    }

    fn add(&mut self, name: String, text: String, is_file: bool) -> usize {
        let start = self.0.last().map_or(0, |last| last.start + last.text.len() + 1);
        self.0.push(Source { name, text, start, is_file });
        start
    }

    /// The files, each with the start of its spans.
    pub(super) fn files(&self) -> impl Iterator<Item = (usize, &str)> {
        self.0.iter().filter(|source| source.is_file).map(|source| (source.start, source.text.as_str()))
    }

    /// The text that starts there.
    pub(super) fn text_at(&self, start: usize) -> &str {
        self.0.iter().find(|source| source.start == start).map_or("", |source| &source.text)
    }

    /// What is written there.
    pub(super) fn slice(&self, span: &Range<usize>) -> &str {
        let source = self.0.iter().rev().find(|source| source.start <= span.start);
        let text = source.and_then(|source| source.text.get(span.start - source.start..span.end - source.start));
        text.unwrap_or_default()
    }

    /// A fault at a span.
    pub(super) fn fault(&self, code: &'static str, span: &Range<usize>, what: impl Into<String>) -> Fault {
        Fault { severity: Severity::Fault, code, place: self.place(span), what: what.into(), hint: None }
    }

    /// Where a span lies.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        let Some(source) = self.0.iter().rev().find(|source| source.start <= span.start) else {
            return Place { file: String::new(), lines: None, excerpt: None, order: 0 };
        };
        let text = source.text.as_str();
        let from = floor(text, span.start - source.start);
        let to = floor(text, span.end.saturating_sub(source.start)).max(from);
        let (line, column) = count(text, from);
        let (end_line, end_column) = count(text, to);
        let first = text.split('\n').nth(line - 1).unwrap_or_default().trim_end_matches('\r');
        let end = if end_line == line { end_column - 1 } else { first.chars().count().max(column) };
        let lines = source.is_file.then_some(Lines { line, column, end_line, end_column });
        // What is missing in the file as a whole stands in no line of it.
        let excerpt = (*span != (0..0)).then(|| (masked(&source.name, first), column - 1..end));
        Place { file: source.name.clone(), lines, excerpt, order: span.start }
    }
}

/// A fault about a file as a whole.
pub(super) fn whole_file(code: &'static str, file: String, what: String) -> Fault {
    let place = Place { file, lines: None, excerpt: None, order: 0 };
    Fault { severity: Severity::Fault, code, place, what, hint: None }
}

/// A line without the secrets that should not be in it: faults end up in logs.
fn masked(source: &str, line: &str) -> String {
    let key = line.trim_start();
    let from = if source.ends_with("PASSWORD") {
        Some(0)
    } else if key.starts_with("password") && !key.starts_with("password_file") {
        line.find('=').map(|at| at + 1)
    } else {
        None
    };
    let stars = |text: &str| text.chars().map(|c| if c == ' ' { ' ' } else { '*' }).collect::<String>();
    if let Some(from) = from {
        return format!("{}{}", &line[..from], stars(&line[from..]));
    }
    let mut shown = String::new();
    for (index, part) in line.split("://").enumerate() {
        if index > 0 {
            shown.push_str("://");
        }
        let user = part.find('@').filter(|at| index > 0 && !part[..*at].contains(['"', '\'', '/']));
        shown.push_str(&stars(&part[..user.unwrap_or(0)]));
        shown.push_str(&part[user.unwrap_or(0)..]);
    }
    shown
}

fn floor(text: &str, mut index: usize) -> usize {
    index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

fn count(text: &str, index: usize) -> (usize, usize) {
    let before = &text[..index];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    // A byte order mark is no character of the line.
    let column = before[line_start..].chars().filter(|c| *c != '\u{feff}').count() + 1;
    (before.matches('\n').count() + 1, column)
}

/// The word that was probably meant.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let near = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= near)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
