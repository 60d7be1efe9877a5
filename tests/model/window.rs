//! A machine's slices, stops and parts in; the figures of a window out, each by its definition.

use crate::{
    machine::{Day, Stop, ideal},
    plant::{Hours, Ideal, Machine, Plant},
};
use std::collections::{BTreeMap, BTreeSet};

const HOUR_MS: i64 = 3_600_000;

/// `(reason, class, counts_in)`
pub type Loss = (Option<String>, String, String);

#[derive(Clone, Debug, Default)]
pub struct Kpi {
    pub availability: Option<f64>,
    pub performance: Option<f64>,
    pub quality: Option<f64>,
    pub quality_by_count: Option<f64>,
    pub oee: Option<f64>,
    pub nee: Option<f64>,
    pub teep: Option<f64>,
    pub coverage: Option<f64>,
    pub mtbf_ms: Option<f64>,
    pub mttr_restoration_ms: Option<f64>,
}

#[derive(Clone, Debug, Default)]
pub struct Window {
    pub kind: &'static str,
    pub id: String,
    pub from: i64,
    pub to: i64,
    pub time_ms: BTreeMap<&'static str, i64>,
    pub planned_ms: i64,
    pub run_ms: i64,
    pub outside_run_ms: i64,
    pub operating_ms: i64,
    /// Of parts in planned time, by what they would take ideally.
    pub ideal_ms: f64,
    pub good_ideal_ms: f64,
    /// How many ideals there are among them.
    pub ideals: usize,
    pub total: i64,
    pub good: i64,
    pub reject: i64,
    pub outside_total: i64,
    pub outside_good: i64,
    pub failures: i64,
    pub restorations: i64,
    pub restoration_ms: i64,
    pub losses: BTreeMap<Loss, (i64, i64)>,
    /// Shares of downtimes by where they stand in [`Day::stops`].
    pub downtimes: BTreeMap<usize, i64>,
    pub kpi: Kpi,
}

/// A downtime's share of a shift and an order: `(duration_ms, unknown_ms)`.
pub type Shares = BTreeMap<(Option<String>, Option<String>), (i64, i64)>;

pub fn shares(day: &Day, stop: usize) -> Shares {
    let mut shares = Shares::new();
    let Some(started_at) = day.stops[stop].started_at else { return shares };
    for slice in day.slices.iter().filter(|slice| slice.stop == Some(stop) && slice.from >= started_at) {
        if slice.hours == Hours::Planned {
            let share = shares.entry((slice.shift.clone(), slice.order.clone())).or_default();
            let ms = if slice.state == "unknown" { &mut share.1 } else { &mut share.0 };
            *ms += slice.ms();
        }
    }
    shares
}

/// Every window of a machine-day: `(kind, id, from, to)`, the spans in it.
pub fn windows(plant: &Plant, machine: &Machine, day: &Day) -> Vec<Window> {
    let calendar = plant.calendar(day.from, day.to);
    let mut found = vec![window(plant, machine, day, ("all", "all".to_owned()), &[(day.from, day.to)])];
    // Choice: a window is cut to what was recorded.
    let cut = |from: i64, to: i64| (from.max(day.from), to.min(day.to));
    let mut whole = |kind, id: &str, from: i64, to: i64| {
        let (from, to) = cut(from, to);
        if from < to {
            found.push(window(plant, machine, day, (kind, id.to_owned()), &[(from, to)]));
        }
    };
    for shift in &calendar.shifts {
        whole("shift", &shift.id, shift.from, shift.to);
    }
    for named in &calendar.days {
        whole("day", &named.id, named.from, named.to);
    }
    for hour in day.from / HOUR_MS..=day.to / HOUR_MS {
        whole("hour", "", hour * HOUR_MS, (hour + 1) * HOUR_MS);
    }
    for (index, (from, order)) in day.orders.iter().enumerate() {
        let to = day.orders.get(index + 1).map_or(day.to, |(next, _)| *next);
        if let Some(order) = order {
            assert!(!day.orders[..index].iter().any(|(_, other)| other.as_ref() == Some(order)), "{order} comes back");
            found.push(window(plant, machine, day, ("order", order.clone()), &[(*from, to)]));
        }
    }
    found
}

fn window(
    plant: &Plant,
    machine: &Machine,
    day: &Day,
    (kind, id): (&'static str, String),
    spans: &[(i64, i64)],
) -> Window {
    let covers = |at: i64| spans.iter().any(|(from, to)| (*from..*to).contains(&at));
    let (from, to) = (spans[0].0, spans[spans.len() - 1].1);
    let mut window = Window { kind, id, from, to, ..Window::default() };
    let mut unknown_in_shifts_ms = 0;
    let mut changeover_ms = 0;
    let mut availability_ms = 0;
    let mut is_ideal_missing = false;
    for state in ["running", "short_stop", "down", "changeover", "planned_stop", "external", "unscheduled", "unknown"] {
        window.time_ms.insert(state, 0);
    }
    for slice in day.slices.iter().filter(|slice| covers(slice.from)) {
        let ms = slice.ms();
        *window.time_ms.get_mut(slice.state).unwrap() += ms;
        if slice.state == "unknown" {
            unknown_in_shifts_ms += ms;
        }
        if slice.state == "running" {
            window.operating_ms += ms;
            if slice.hours == Hours::Closed {
                window.outside_run_ms += ms;
            }
        }
        if slice.is_planned() {
            window.planned_ms += ms;
            if slice.counts_in.as_deref() == Some("availability") {
                availability_ms += ms;
                if slice.state == "changeover" {
                    changeover_ms += ms;
                }
            } else if ideal(plant, machine, slice.order.as_deref()).is_none() {
                is_ideal_missing = true;
            }
        }
        if slice.state == "planned_stop"
            && slice.hours == Hours::Break
            && slice.counts_in.as_deref() != Some("excluded")
        {
            // Choice: a break that counts as a loss is one, and no stop.
            let loss = (None, "planned".to_owned(), slice.counts_in.clone().unwrap());
            window.losses.entry(loss).or_default().0 += ms;
        }
        if let Some(index) = slice.stop {
            let stop = &day.stops[index];
            if !stop.is_void && slice.hours == Hours::Planned && slice.state != "unknown" {
                window.losses.entry(loss(stop)).or_default().0 += ms;
                if stop.is_downtime {
                    *window.downtimes.entry(index).or_default() += ms;
                }
            }
        }
    }
    window.run_ms = window.planned_ms - availability_ms;

    let mut failures = BTreeSet::new();
    for stop in day.stops.iter().filter(|stop| !stop.is_void && stop.duration_ms > 0) {
        if stop.started_at.is_some_and(covers) {
            window.losses.entry(loss(stop)).or_default().1 += 1;
            if is_failure(stop) {
                failures.insert(stop.whole);
            }
        }
        if is_failure(stop) && !stop.is_open && covers(stop.to) {
            window.restorations += 1;
            window.restoration_ms += stop.duration_ms;
        }
    }
    window.failures = failures.len().try_into().unwrap();

    // By ideal: (total, good).
    let mut by_ideal: BTreeMap<Ideal, (i64, i64)> = BTreeMap::new();
    for made in &day.made {
        let slice = &day.slices[made.slice];
        if !covers(slice.from) {
            continue;
        }
        window.total += made.total;
        window.good += made.good;
        window.reject += made.reject;
        if made.is_after_gap || !day.slices[made.judged].is_planned() {
            window.outside_total += made.total;
            window.outside_good += made.good;
        } else if let Some(ideal) = ideal(plant, machine, slice.order.as_deref()) {
            let parts = by_ideal.entry(ideal).or_default();
            parts.0 += made.total;
            parts.1 += made.good;
        } else if made.total > 0 {
            is_ideal_missing = true;
        }
    }
    window.ideals = by_ideal.len();
    window.ideal_ms = by_ideal.iter().map(|(ideal, parts)| ideal.ms_of(parts.0)).sum();
    window.good_ideal_ms = by_ideal.iter().map(|(ideal, parts)| ideal.ms_of(parts.1)).sum();

    let (planned, run) = (window.planned_ms as f64, window.run_ms as f64);
    let calendar_ms: i64 = spans.iter().map(|(from, to)| to - from).sum();
    let has_counts = machine.total.is_some() || machine.good.is_some();
    let with_ideal = |figure: Option<f64>| figure.filter(|_| has_counts && !is_ideal_missing);
    let counted = (window.total - window.outside_total) as f64;
    let performance = with_ideal(ratio(window.ideal_ms, run));
    let quality = with_ideal(ratio(window.good_ideal_ms, window.ideal_ms));
    let oee = with_ideal(ratio(window.good_ideal_ms, planned));
    // Choice: what has no parts has a Q without base, but its OEE and NEE are 0.
    let in_use = ratio(run + changeover_ms as f64, planned);
    let nee = in_use.zip(ratio(window.good_ideal_ms, run)).map(|(in_use, good)| in_use * good);
    window.kpi = Kpi {
        availability: ratio(run, planned),
        performance,
        quality,
        quality_by_count: ratio((window.good - window.outside_good) as f64, counted).filter(|_| has_counts),
        oee,
        nee: with_ideal(nee),
        // Choice: its base is calendar time, so where nothing was planned it is 0.
        teep: with_ideal(ratio(window.good_ideal_ms, calendar_ms as f64)),
        coverage: ratio(planned, planned + unknown_in_shifts_ms as f64),
        mtbf_ms: ratio(window.operating_ms as f64, window.failures as f64),
        mttr_restoration_ms: ratio(window.restoration_ms as f64, window.restorations as f64),
    };
    window
}

/// Choice: a failure is a downtime of class failure, wherever it counts; a short stop is none.
fn is_failure(stop: &Stop) -> bool {
    stop.is_downtime && stop.class == "failure"
}

fn loss(stop: &Stop) -> Loss {
    (stop.reason.clone(), stop.class.clone(), stop.counts_in.clone())
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole != 0.0).then(|| part / whole)
}
