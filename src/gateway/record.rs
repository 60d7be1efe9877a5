//! The points of all PLCs in, the columns of a recording out.

use crate::{
    io::{plc, samples::Recorded},
    shop::{Rules, rules::RunRule},
};

/// How often an unchanged reading is recorded where `no_data` is `"off"`. Milliseconds.
const REPEAT_MS: i64 = 60_000;

/// Every configured point; each PLC's unchanged readings at least four times as often as silence would be noticed.
pub(super) fn columns(rules: &Rules, plcs: &[plc::Settings]) -> Vec<Recorded> {
    let mut columns: Vec<Recorded> = plcs.iter().flat_map(|plc| of_plc(rules, plc)).collect();
    columns.sort_by_key(|column| column.ix);
    columns
}

fn of_plc(rules: &Rules, plc: &plc::Settings) -> Vec<Recorded> {
    let reads = |ix| plc.points.iter().any(|(point, _)| *point == ix);
    let watched = rules.machines.iter().filter(|machine| match machine.run {
        RunRule::Signal { point, .. } => reads(point),
        RunRule::Counts { .. } => {
            let counters = [&machine.counters.total, &machine.counters.good, &machine.counters.reject];
            counters.into_iter().flatten().any(|counter| reads(counter.point))
        }
    });
    let repeat_ms =
        watched.filter_map(|machine| machine.no_data_ms).min().map_or(REPEAT_MS, |no_data_ms| no_data_ms / 4);
    let column = |(ix, point): &(crate::signal::PointIx, crate::signal::Point)| Recorded {
        ix: *ix,
        name: point.name.clone(),
        repeat_ms,
    };
    plc.points.iter().map(column).collect()
}
