//! A machine's book and a span of time in, the figures of that window out: times, counts, losses, KPIs.
//!
//! Integers until the last line; a ratio is made when it is shown. Sources: ISO 22400-2 (planned busy time, availability,
//! effectiveness, quality ratio, NEE), oee.com and SMRP 3.x for their conventions; see docs of [`Kpi`].

use super::{
    Convention,
    book::{Book, state_of},
};
use crate::event::{
    Ideal, Stamp,
    part::Counts,
    stop::{Class, CountsIn, Going, State, Stop},
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What a window is measured by.
#[derive(Clone, Copy, Debug)]
pub struct Measure<'a> {
    /// Whose rules.
    pub convention: Convention,
    /// The machine's ideal time per part.
    pub ideal: Option<Ideal>,
    /// Whether its parts are counted.
    pub counting: Counting,
    /// Up to when the book tells anything.
    pub as_of: Stamp,
    /// The counts at `as_of`, which no event has told yet.
    pub latest: Option<&'a Counts>,
}

/// Whether a machine's parts are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// It has no counter.
    Never,
    /// A counter that it should have was never read: what it would have counted is not known.
    Unread,
    /// Every counter was read.
    Read,
}

/// The figures of one machine in one window. Times in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// First instant; not before the book begins.
    pub from: Stamp,
    /// First instant after; not after `as_of`.
    pub to: Stamp,
    /// Nothing in it can change its verdict any more but a person.
    pub is_final: bool,
    /// In the order of [`State::ALL`]; they add up to `to − from`.
    pub time_ms: [i64; 8],
    /// Without what is excluded and unknown.
    pub planned_ms: i64,
    /// Planned without what counts in availability.
    pub run_ms: i64,
    /// Σ ideal × parts, without those outside: the numerator of performance.
    pub ideal_ms: i64,
    /// Σ ideal × good parts, without those outside: the numerator of OEE.
    pub good_ideal_ms: i64,
    /// Parts of this window.
    pub counts: Counts,
    /// Fewest and most total parts, where the window's edges were not read.
    pub parts_bounds: Option<(i64, i64)>,
    /// Ratios.
    pub kpi: Kpi,
    /// Downtimes of class failure that began here.
    pub failures: i64,
    /// Failures that ended here.
    pub restorations: i64,
    /// Their whole durations.
    pub restoration_ms: i64,
    /// `machine` or `none`.
    pub ideal_source: &'static str,
    /// Words about the figures.
    pub flags: Vec<&'static str>,
    /// All stops by reason, short ones too.
    pub losses: Vec<Loss>,
    /// The downtimes' shares.
    pub downtimes: Vec<Share>,
}

/// Ratios 0…1 (performance may exceed 1); `None` where the base is zero or the ideal is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Kpi {
    /// run / planned.
    pub availability: Option<f64>,
    /// Σ ideal × total / run.
    pub performance: Option<f64>,
    /// Σ ideal × good / Σ ideal × total.
    pub quality: Option<f64>,
    /// good / total.
    pub quality_by_count: Option<f64>,
    /// Σ ideal × good / planned.
    pub oee: Option<f64>,
    /// (run + changeover) / planned × performance × quality (ISO 22400-2).
    pub nee: Option<f64>,
    /// Σ ideal × good / calendar time.
    pub teep: Option<f64>,
    /// 1 − unknown / (planned + unknown).
    pub coverage: Option<f64>,
    /// running / failures.
    pub mtbf_ms: Option<i64>,
    /// Whole durations of failures ended here / their number.
    pub mttr_restoration_ms: Option<i64>,
}

/// One line of the loss table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// `None`: nobody has said.
    pub reason: Option<String>,
    /// Its class.
    pub class: Class,
    /// Where it counts.
    pub counts_in: CountsIn,
    /// Time inside the window.
    pub ms: i64,
    /// Stops that began inside the window.
    pub times: i64,
}

/// A downtime's part of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Its id.
    pub downtime_id: Uuid,
    /// Its number at this machine.
    pub number: u64,
    /// As of.
    pub revision: u64,
    /// Its part of this window.
    pub duration_ms: i64,
}

impl Window {
    /// The window `[from, to)` of a book, cut to what the book knows; `None` where that is nothing.
    pub fn of(book: &Book, from: Stamp, to: Stamp, by: &Measure<'_>) -> Option<Window> {
        let is_over = to <= by.as_of;
        let (from, to) = (from.max(book.begins()?), to.min(by.as_of));
        if from >= to {
            return None;
        }
        let mut times = Times::default();
        for piece in book.pieces(from, to) {
            times.add(book, &piece);
        }
        for (index, stop) in book.stops.iter().enumerate() {
            // However often it was split, a stop is one failure.
            let is_counted = book.stops[..index].iter().rev().take_while(|earlier| earlier.stop_id == stop.stop_id);
            times.count(stop, is_counted.into_iter().any(is_failure), from, to);
        }
        let (counts, parts_bounds) = counts(book, from, to, by);
        let mut window = Window {
            from,
            to,
            is_final: is_over && !times.is_open,
            time_ms: times.state_ms,
            planned_ms: to.since(from) - times.excluded_ms - times.state_ms[State::Unknown as usize],
            run_ms: 0,
            ideal_ms: by.ideal.map_or(0, |ideal| ideal.time_ms(counts.total - counts.outside_total)),
            good_ideal_ms: by.ideal.map_or(0, |ideal| ideal.time_ms(counts.good - counts.outside_good)),
            counts,
            parts_bounds,
            kpi: Kpi::default(),
            failures: times.failures,
            restorations: times.restorations,
            restoration_ms: times.restoration_ms,
            ideal_source: if by.ideal.is_some() { "machine" } else { "none" },
            flags: Vec::new(),
            losses: times
                .losses
                .into_iter()
                .map(|((reason, class, counts_in), (ms, times))| Loss { reason, class, counts_in, ms, times })
                .collect(),
            downtimes: times.downtimes,
        };
        window.run_ms = window.planned_ms - times.availability_ms;
        window.judge(times.changeover_ms, by);
        Some(window)
    }

    /// Length on the timeline.
    pub fn calendar_ms(&self) -> i64 {
        self.to.since(self.from)
    }

    /// Time in `state`.
    pub fn time_in(&self, state: State) -> i64 {
        self.time_ms[state as usize]
    }

    /// What availability lost.
    pub fn down_ms(&self) -> i64 {
        self.planned_ms - self.run_ms
    }

    fn judge(&mut self, changeover_ms: i64, by: &Measure<'_>) {
        let unknown_ms = self.time_in(State::Unknown);
        let inside = self.counts.total - self.counts.outside_total;
        let inside_good = self.counts.good - self.counts.outside_good;
        self.kpi.availability = ratio(self.run_ms, self.planned_ms);
        self.kpi.quality_by_count = ratio(inside_good, inside);
        self.kpi.coverage = ratio(self.planned_ms, self.planned_ms + unknown_ms);
        self.kpi.mtbf_ms = (self.failures > 0).then(|| self.time_in(State::Running) / self.failures.max(1));
        self.kpi.mttr_restoration_ms = (self.restorations > 0).then(|| self.restoration_ms / self.restorations.max(1));
        match by.counting {
            Counting::Never => self.flags.push("no_counter"),
            Counting::Unread => {
                self.flags.push("counter_unread");
                self.kpi.quality_by_count = None;
            }
            Counting::Read => {}
        }
        if by.counting != Counting::Read {
            return;
        }
        let Some(ideal) = by.ideal else {
            if self.run_ms > 0 {
                self.flags.push("ideal_missing");
            }
            return;
        };
        let of_ideal = |parts: i64, base_ms: i64| ratio_of(parts, ideal, base_ms);
        self.kpi.performance = of_ideal(inside, self.run_ms);
        self.kpi.quality = ratio(inside_good, inside);
        self.kpi.oee = of_ideal(inside_good, self.planned_ms);
        self.kpi.teep = of_ideal(inside_good, self.calendar_ms());
        self.kpi.nee = match (ratio(self.run_ms + changeover_ms, self.planned_ms), of_ideal(inside_good, self.run_ms)) {
            (Some(allocated), Some(effective)) => Some(allocated * effective),
            _ => None,
        };
        if self.kpi.performance.is_some_and(|performance| performance > 1.0) {
            self.flags.push("ideal_rate_suspect");
        }
    }
}

#[derive(Default)]
struct Times {
    state_ms: [i64; 8],
    excluded_ms: i64,
    availability_ms: i64,
    changeover_ms: i64,
    is_open: bool,
    failures: i64,
    restorations: i64,
    restoration_ms: i64,
    losses: BTreeMap<(Option<String>, Class, CountsIn), (i64, i64)>,
    downtimes: Vec<Share>,
}

impl Times {
    fn add(&mut self, book: &Book, piece: &super::book::Piece) {
        let stop = book.stop_of(piece);
        let state = match (piece.going, stop) {
            (Going::Unknown, _) => State::Unknown,
            (Going::Still, Some(stop)) => state_of(stop),
            (Going::Running | Going::Still, _) => State::Running,
        };
        self.state_ms[state as usize] += piece.ms();
        // What comes after a gap may still show that it ran through.
        let is_last = book.intervals.last().is_some_and(|last| last.from < piece.to);
        self.is_open |= is_last && piece.going == Going::Unknown;
        let Some(stop) = stop.filter(|stop| stop.counts_in != CountsIn::None) else { return };
        match stop.counts_in {
            CountsIn::Availability => self.availability_ms += piece.ms(),
            CountsIn::Excluded => self.excluded_ms += piece.ms(),
            CountsIn::Performance | CountsIn::None => {}
        }
        if state == State::Changeover && stop.counts_in == CountsIn::Availability {
            self.changeover_ms += piece.ms();
        }
        self.loss(stop).0 += piece.ms();
        // An open short stop may still become a downtime.
        self.is_open |= stop.ended_at.is_none() && state == State::ShortStop;
        if let Some(downtime) = stop.downtime {
            match self.downtimes.last_mut().filter(|share| share.downtime_id == stop.downtime_id()) {
                Some(share) => share.duration_ms += piece.ms(),
                None => self.downtimes.push(Share {
                    downtime_id: stop.downtime_id(),
                    number: downtime.number,
                    revision: downtime.revision,
                    duration_ms: piece.ms(),
                }),
            }
        }
    }

    fn count(&mut self, stop: &Stop, is_counted: bool, from: Stamp, to: Stamp) {
        let inside = |at: Stamp| from <= at && at < to;
        let has_length = stop.ended_at.is_none() || stop.duration_ms > 0;
        if inside(stop.started_at) && has_length && stop.counts_in != CountsIn::None {
            self.loss(stop).1 += 1;
            self.failures += i64::from(is_failure(stop) && !is_counted);
        }
        if is_failure(stop) && stop.ended_at.is_some_and(inside) {
            self.restorations += i64::from(!is_counted);
            self.restoration_ms += stop.duration_ms;
        }
    }

    fn loss(&mut self, stop: &Stop) -> &mut (i64, i64) {
        let reason = stop.reason.as_ref().map(|reason| reason.code.clone());
        self.losses.entry((reason, stop.class, stop.counts_in)).or_default()
    }
}

fn is_failure(stop: &Stop) -> bool {
    stop.downtime.is_some() && stop.class == Class::Failure
}

fn counts(book: &Book, from: Stamp, to: Stamp, by: &Measure<'_>) -> (Counts, Option<(i64, i64)>) {
    let (least_from, most_from) = book.counts_before(from);
    let (mut least_to, mut most_to) = book.counts_before(to);
    if let Some(latest) = by.latest {
        if to == by.as_of {
            (least_to, most_to) = (*latest, *latest);
        } else if book.readings.last().is_none_or(|last| last.at < to) {
            // No reading stands behind the edge: what came since is known only as of now.
            most_to = *latest;
        }
    }
    let counts = Counts {
        total: least_to.total - least_from.total,
        good: least_to.good - least_from.good,
        reject: least_to.reject - least_from.reject,
        rework: least_to.rework - least_from.rework,
        outside_total: least_to.outside_total - least_from.outside_total,
        outside_good: least_to.outside_good - least_from.outside_good,
    };
    let bounds = ((least_to.total - most_from.total).max(0), most_to.total - least_from.total);
    (counts, (bounds.0 != bounds.1).then_some(bounds))
}

/// `None` for a zero base.
fn ratio(part: i64, base: i64) -> Option<f64> {
    (base != 0).then(|| part as f64 / base as f64)
}

/// Ideal time of `parts` / `base_ms`, from the exact fraction.
fn ratio_of(parts: i64, ideal: Ideal, base_ms: i64) -> Option<f64> {
    let (over, under) = (i128::from(parts) * i128::from(ideal.ms), i128::from(base_ms) * i128::from(ideal.parts));
    (under != 0).then(|| over as f64 / under as f64)
}
