//! Numbers in, words for people out, in colour where a terminal shows it.

use std::io::IsTerminal;

/// Colour, or none.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Ink(bool);

/// As terminals number them.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum Colour {
    Bold = 1,
    Faint = 2,
    Red = 31,
    Green = 32,
    Yellow = 33,
    Blue = 34,
    Magenta = 35,
    Cyan = 36,
}

impl Ink {
    /// Colour on a terminal, unless `NO_COLOR` is there and not empty.
    pub(in crate::cli) fn of(to: &impl IsTerminal) -> Ink {
        Ink(to.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    /// For files.
    pub(in crate::cli) fn none() -> Ink {
        Ink(false)
    }

    pub(in crate::cli) fn is_on(self) -> bool {
        self.0
    }

    /// Widths are reckoned before.
    pub(in crate::cli) fn paint(self, colour: Colour, text: impl Into<String>) -> String {
        let text = text.into();
        if self.0 && !text.is_empty() { format!("\u{1b}[{}m{text}\u{1b}[0m", colour as u8) } else { text }
    }
}

/// `2 h 05 min`, `3 min 20 s`, `4.2 s`.
pub(in crate::cli) fn span(ms: i64) -> String {
    match ms {
        ..0 => format!("-{}", span(-ms)),
        0..=59_999 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        60_000..=3_599_999 => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1000),
        3_600_000..=86_399_999 => format!("{} h {:02} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
        _ => format!("{} d {:02} h", ms / 86_400_000, ms % 86_400_000 / 3_600_000),
    }
}

/// For narrow columns: `2 h 05`, `47 min`, `4.2 s`.
pub(super) fn short_span(ms: i64) -> String {
    match ms {
        0 => "0".to_owned(),
        1..=59_999 => span(ms),
        60_000..=3_599_999 => format!("{} min", ms / 60_000),
        3_600_000..=86_399_999 => format!("{} h {:02}", ms / 3_600_000, ms % 3_600_000 / 60_000),
        _ => format!("{} d {:02}", ms / 86_400_000, ms % 86_400_000 / 3_600_000),
    }
}

/// `88.81 %`
pub(in crate::cli) fn percent(ratio: Option<f64>) -> String {
    ratio.map_or("–".to_owned(), |ratio| format!("{:.2} %", ratio * 100.0))
}

/// The word in JSON.
pub(in crate::cli) fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A terminal's width.
pub(in crate::cli) const COLUMNS: usize = 80;

/// Words in lines that fit a terminal: the first begins at `column`, those after it at `indent`.
pub(in crate::cli) fn wrapped(words: &[String], column: usize, indent: usize) -> String {
    let (mut text, mut column) = (String::new(), column);
    for word in words {
        let length = word.chars().count();
        if !text.is_empty() && column + 1 + length > COLUMNS {
            text += &format!("\n{:indent$}", "");
            column = indent;
        } else if !text.is_empty() {
            text.push(' ');
            column += 1;
        }
        text += word;
        column += length;
    }
    text
}
