//! Figures in, CSV out: a line a window with all its sums and ratios, or a line for each loss.

use super::{Format, sheet::Figure, words::word};
use crate::{
    event::{stop::State, window::Window},
    shop::Rules,
};
use std::{fmt::Display, io::Write};

/// What a report of a few windows takes.
const BEGIN_BYTES: usize = 1 << 16;

/// What a row says first: which window it is.
const WHICH: [&str; 7] = ["window", "id", "machine", "line", "from", "to", "final"];

/// The cells of a window after its times; columns are added at the end only.
const CELLS: [(&str, Cell); 44] = [
    ("planned_ms", |f, row| row.whole(f.window.planned_ms)),
    ("run_ms", |f, row| row.whole(f.window.run_ms)),
    ("down_ms", |f, row| row.whole(f.window.down_ms())),
    ("total", |f, row| row.whole(f.window.counts.total)),
    ("good", |f, row| row.whole(f.window.counts.good)),
    ("reject", |f, row| row.whole(f.window.counts.reject)),
    ("outside_total", |f, row| row.whole(f.window.counts.outside_total)),
    ("outside_good", |f, row| row.whole(f.window.counts.outside_good)),
    ("availability", |f, row| row.ratio(f.window.kpi.availability)),
    ("performance", |f, row| row.ratio(f.window.kpi.performance)),
    ("quality", |f, row| row.ratio(f.window.kpi.quality)),
    ("oee", |f, row| row.ratio(f.window.kpi.oee)),
    ("coverage", |f, row| row.ratio(f.window.kpi.coverage)),
    ("failures", |f, row| row.whole(f.window.failures)),
    ("downtimes", |f, row| row.whole(f.listed.downtimes)),
    ("flags", |f, row| row.words(&f.window.flags)),
    ("calendar_ms", |f, row| row.whole(f.window.calendar_ms)),
    ("clock_adjust_ms", |f, row| row.whole(f.window.clock_adjust_ms)),
    ("outside_run_ms", |f, row| row.whole(f.window.outside_run_ms)),
    ("operating_ms", |f, row| row.whole(f.window.time_in(State::Running))),
    ("ideal_ms", |f, row| row.whole(f.window.ideal_ms())),
    ("good_ideal_ms", |f, row| row.whole(f.window.good_ideal_ms())),
    ("rework", |f, row| row.whole(f.window.counts.rework)),
    ("parts_min", |f, row| row.whole_or_none(f.window.parts_bounds.map(|bounds| bounds.min))),
    ("parts_max", |f, row| row.whole_or_none(f.window.parts_bounds.and_then(|bounds| bounds.max))),
    ("quality_by_count", |f, row| row.ratio(f.window.kpi.quality_by_count)),
    ("nee", |f, row| row.ratio(f.window.kpi.nee)),
    ("teep", |f, row| row.ratio(f.window.kpi.teep)),
    ("performance_capped", |f, row| row.ratio(f.window.kpi.performance_capped)),
    ("oee_capped", |f, row| row.ratio(f.window.kpi.oee_capped)),
    ("mtbf_ms", |f, row| row.whole_or_none(f.window.kpi.mtbf_ms)),
    ("mttr_restoration_ms", |f, row| row.whole_or_none(f.window.kpi.mttr_restoration_ms)),
    ("restorations", |f, row| row.whole(f.window.restorations)),
    ("restoration_ms", |f, row| row.whole(f.window.restoration_ms)),
    ("lost_ms", |f, row| row.whole(f.listed.lost_ms)),
    ("stops", |f, row| row.whole(f.listed.stops)),
    ("downtimes_ms", |f, row| row.whole(f.listed.downtimes_ms)),
    ("ideal_source", |f, row| row.text(f.window.ideal_source().word())),
    ("repairs", |f, row| row.whole(f.window.repairs)),
    ("repair_ms", |f, row| row.whole(f.window.repair_ms)),
    ("mttr_repair_ms", |f, row| row.whole_or_none(f.window.kpi.mttr_repair_ms)),
    ("responses", |f, row| row.whole(f.window.responses)),
    ("response_sum_ms", |f, row| row.whole(f.window.response_ms)),
    ("response_ms", |f, row| row.whole_or_none(f.window.kpi.response_ms)),
];

/// Writes what a window has in a column.
type Cell = fn(&Figure, &mut Row);

/// And last.
const ABOUT: [&str; 4] = ["revision", "convention", "machines", "asset"];

/// CSV in the making. It stays in memory until it is whole: whoever makes it may hold the database open, and must not
/// wait for a reader of the text.
pub(in crate::cli) struct Csv {
    row: Row,
    /// A line for each loss of each window, instead of a line a window.
    is_of_losses: bool,
    convention: &'static str,
}

impl Csv {
    /// With the line of names.
    pub(in crate::cli) fn begin(format: Format, rules: &Rules) -> Csv {
        let is_of_losses = format == Format::Losses;
        let row = Row(Vec::with_capacity(BEGIN_BYTES));
        let mut csv = Csv { row, is_of_losses, convention: rules.oee.convention.word() };
        let states = State::ALL.map(|state| format!("time_{}_ms", state.word()));
        WHICH.into_iter().for_each(|name| csv.row.text(name));
        if is_of_losses {
            ["reason", "class", "counts_in", "ms", "times"].into_iter().for_each(|name| csv.row.text(name));
        } else {
            let names = states.iter().map(String::as_str).chain(CELLS.map(|(name, _)| name));
            names.for_each(|name| csv.row.text(name));
        }
        ABOUT.into_iter().for_each(|name| csv.row.text(name));
        csv.row.end();
        csv
    }

    /// Their lines.
    pub(in crate::cli) fn add(&mut self, figures: &[Figure]) {
        for figure in figures {
            if self.is_of_losses {
                self.losses(figure);
            } else {
                self.window(figure);
            }
        }
    }

    /// All of it.
    pub(in crate::cli) fn end(self) -> Vec<u8> {
        self.row.0
    }

    fn window(&mut self, figure: &Figure) {
        let row = &mut self.row;
        which(figure, row);
        figure.window.time_ms.iter().for_each(|ms| row.whole(*ms));
        CELLS.iter().for_each(|(_, cell)| cell(figure, row));
        about(self.convention, figure, row);
        row.end();
    }

    fn losses(&mut self, figure: &Figure) {
        let row = &mut self.row;
        for loss in &figure.window.losses {
            which(figure, row);
            row.text(loss.reason.as_deref().unwrap_or_default());
            row.text(&word(&loss.class));
            row.text(&word(&loss.counts_in));
            row.whole(loss.ms);
            row.whole(loss.times);
            about(self.convention, figure, row);
            row.end();
        }
    }
}

fn which(figure: &Figure, row: &mut Row) {
    let Window { from, to, is_final, .. } = &*figure.window;
    row.text(figure.kind);
    row.text(&figure.id);
    row.text(figure.machine.as_deref().unwrap_or_default());
    row.text(figure.line.as_deref().unwrap_or_default());
    row.shown(from);
    row.shown(to);
    row.text(if *is_final { "true" } else { "false" });
}

fn about(convention: &str, figure: &Figure, row: &mut Row) {
    row.shown(figure.revision);
    row.text(convention);
    match &figure.machine {
        Some(machine) => row.text(machine),
        None => row.words(&figure.machines),
    }
    row.text(figure.asset.as_deref().unwrap_or_default());
}

/// Rows that are being written: each cell with the comma behind it. A year of fifty machines has a million of them, so that
/// none is a text of its own first.
struct Row(Vec<u8>);

impl Row {
    /// The last comma ends the line.
    fn end(&mut self) {
        self.0.pop();
        self.0.push(b'\n');
    }

    /// In quotes where it must be.
    fn text(&mut self, text: &str) {
        if text.bytes().any(|byte| matches!(byte, b'"' | b',' | b'\n' | b'\r')) {
            self.0.push(b'"');
            text.split_inclusive('"').for_each(|piece| {
                self.0.extend_from_slice(piece.as_bytes());
                if piece.ends_with('"') {
                    self.0.push(b'"');
                }
            });
            self.0.push(b'"');
        } else {
            self.0.extend_from_slice(text.as_bytes());
        }
        self.0.push(b',');
    }

    /// With blanks between.
    fn words(&mut self, words: &[String]) {
        match words {
            [] => self.0.push(b','),
            [only] => self.text(only),
            _ => self.text(&words.join(" ")),
        }
    }

    fn whole(&mut self, number: i64) {
        let (mut digits, mut at, mut rest) = ([0; 20], 20, number.unsigned_abs());
        if number < 0 {
            self.0.push(b'-');
        }
        loop {
            at -= 1;
            digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.0.extend_from_slice(&digits[at..]);
        self.0.push(b',');
    }

    /// Empty where there is none.
    fn whole_or_none(&mut self, number: Option<i64>) {
        match number {
            Some(number) => self.whole(number),
            None => self.0.push(b','),
        }
    }

    /// Empty where there is none.
    fn ratio(&mut self, ratio: Option<f64>) {
        if let Some(ratio) = ratio {
            let begin = self.0.len();
            // The same digits as the standard library's, three times as fast, but for `1.0` and `1e-7`.
            let is_written = serde_json::to_writer(&mut self.0, &ratio).is_ok();
            if !is_written || self.0[begin..].contains(&b'e') {
                self.0.truncate(begin);
                return self.shown(ratio);
            }
            if self.0.ends_with(b".0") {
                self.0.truncate(self.0.len() - 2);
            }
        }
        self.0.push(b',');
    }

    /// Nothing that is shown so has a character that wants quotes.
    fn shown(&mut self, value: impl Display) {
        // Memory takes everything.
        let _ = write!(self.0, "{value},");
    }
}
