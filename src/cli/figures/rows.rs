//! A sheet in, CSV out: a line a window with all its sums and ratios, or a line for each loss.

use super::{
    sheet::{Figure, Sheet},
    words::word,
};
use crate::event::{stop::State, window::Window};
use std::io::{self, Write};

/// What a row says first: which window it is.
const WHICH: [&str; 7] = ["window", "id", "machine", "line", "from", "to", "final"];

/// The cells of a window after its times; columns are added at the end only.
const CELLS: [(&str, Cell); 38] = [
    ("planned_ms", |w| w.planned_ms.to_string()),
    ("run_ms", |w| w.run_ms.to_string()),
    ("down_ms", |w| w.down_ms().to_string()),
    ("total", |w| w.counts.total.to_string()),
    ("good", |w| w.counts.good.to_string()),
    ("reject", |w| w.counts.reject.to_string()),
    ("outside_total", |w| w.counts.outside_total.to_string()),
    ("outside_good", |w| w.counts.outside_good.to_string()),
    ("availability", |w| cell(w.kpi.availability)),
    ("performance", |w| cell(w.kpi.performance)),
    ("quality", |w| cell(w.kpi.quality)),
    ("oee", |w| cell(w.kpi.oee)),
    ("coverage", |w| cell(w.kpi.coverage)),
    ("failures", |w| w.failures.to_string()),
    ("downtimes", |w| w.downtimes.len().to_string()),
    ("flags", |w| w.flags.join(" ")),
    ("calendar_ms", |w| w.calendar_ms.to_string()),
    ("clock_adjust_ms", |w| w.clock_adjust_ms.to_string()),
    ("outside_run_ms", |w| w.outside_run_ms.to_string()),
    ("operating_ms", |w| w.time_in(State::Running).to_string()),
    ("ideal_ms", |w| w.ideal_ms().to_string()),
    ("good_ideal_ms", |w| w.good_ideal_ms().to_string()),
    ("rework", |w| w.counts.rework.to_string()),
    ("parts_min", |w| cell(w.parts_bounds.map(|bounds| bounds.min))),
    ("parts_max", |w| cell(w.parts_bounds.and_then(|bounds| bounds.max))),
    ("quality_by_count", |w| cell(w.kpi.quality_by_count)),
    ("nee", |w| cell(w.kpi.nee)),
    ("teep", |w| cell(w.kpi.teep)),
    ("performance_capped", |w| cell(w.kpi.performance_capped)),
    ("oee_capped", |w| cell(w.kpi.oee_capped)),
    ("mtbf_ms", |w| cell(w.kpi.mtbf_ms)),
    ("mttr_restoration_ms", |w| cell(w.kpi.mttr_restoration_ms)),
    ("restorations", |w| w.restorations.to_string()),
    ("restoration_ms", |w| w.restoration_ms.to_string()),
    ("lost_ms", |w| w.losses.iter().map(|loss| loss.ms).sum::<i64>().to_string()),
    ("stops", |w| w.losses.iter().map(|loss| loss.times).sum::<i64>().to_string()),
    ("downtimes_ms", |w| w.downtimes.iter().map(|share| share.duration_ms).sum::<i64>().to_string()),
    ("ideal_source", |w| word(&w.ideal_source())),
];

/// What a window has in a column.
type Cell = fn(&Window) -> String;

/// And last.
const ABOUT: [&str; 3] = ["revision", "convention", "machines"];

/// A line a window.
pub(super) fn windows(sheet: &Sheet, out: &mut impl Write) -> io::Result<()> {
    let mut rows = csv::Writer::from_writer(out);
    let states = State::ALL.map(|state| format!("time_{}_ms", state.word()));
    let names = WHICH.into_iter().chain(states.iter().map(String::as_str)).chain(CELLS.map(|(name, _)| name));
    rows.write_record(names.chain(ABOUT))?;
    for figure in &sheet.figures {
        let window = &figure.window;
        let times = window.time_ms.iter().map(i64::to_string);
        let cells = CELLS.iter().map(|(_, of)| of(window));
        rows.write_record(which(figure).into_iter().chain(times).chain(cells).chain(about(sheet, figure)))?;
    }
    rows.flush()
}

/// A line for each loss of each window.
pub(super) fn losses(sheet: &Sheet, out: &mut impl Write) -> io::Result<()> {
    let mut rows = csv::Writer::from_writer(out);
    rows.write_record(WHICH.into_iter().chain(["reason", "class", "counts_in", "ms", "times"]).chain(ABOUT))?;
    for figure in &sheet.figures {
        for loss in &figure.window.losses {
            let reason = loss.reason.clone().unwrap_or_default();
            let cells = [reason, word(&loss.class), word(&loss.counts_in), loss.ms.to_string(), loss.times.to_string()];
            rows.write_record(which(figure).into_iter().chain(cells).chain(about(sheet, figure)))?;
        }
    }
    rows.flush()
}

fn which(figure: &Figure) -> [String; 7] {
    let window = &figure.window;
    [
        figure.kind.to_owned(),
        figure.id.clone(),
        figure.machine.clone().unwrap_or_default(),
        figure.line.clone().unwrap_or_default(),
        window.from.to_string(),
        window.to.to_string(),
        window.is_final.to_string(),
    ]
}

fn about(sheet: &Sheet, figure: &Figure) -> [String; 3] {
    let machines: Vec<&str> = figure.machine.iter().chain(&figure.machines).map(String::as_str).collect();
    [figure.revision.to_string(), sheet.rules.oee.convention.word().to_owned(), machines.join(" ")]
}

/// Empty where there is none.
fn cell(value: Option<impl ToString>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}
