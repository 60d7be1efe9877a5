//! A machine's book and a span of time in, the figures of that window out: times, counts, losses, KPIs.
//!
//! Integers until the last line; a ratio is made when it is shown. Sources: ISO 22400-2 (planned busy time, availability,
//! effectiveness, quality ratio, NEE), oee.com and SMRP 3.x for their conventions; see docs of [`Kpi`].

use super::{
    book::{Book, Piece, Reading, UNSYNCED, state},
    calendar::{Calendar, Hours, Period, Slot},
    loss::{Cell, Convention, Oee},
};
use crate::event::{
    Ideal, Stamp,
    cycle::Spell,
    order::Order,
    part::{Bounds, Counts},
    stop::{Class, CountsIn, State, Stop},
    window::{IdealSource, Kpi, Loss, Made, Share, Window},
};

/// The flag of figures that leave a time of the CMMS out: it lies before what it follows.
pub const CLOCK_SKEW: &str = "clock_skew";

/// What a window is measured by.
#[derive(Clone, Copy, Debug)]
pub struct Measure<'a> {
    /// The machine's id.
    pub machine: &'a str,
    /// Whose rules.
    pub oee: &'a Oee,
    /// What is planned.
    pub calendar: &'a Calendar,
    /// The machine's ideal time per part.
    pub ideal: Option<Ideal>,
    /// Whether its parts are counted.
    pub counting: Counting,
    /// How long after its end a window that still waits for something becomes final. Milliseconds.
    pub final_after_ms: i64,
    /// Up to when the book tells anything.
    pub as_of: Stamp,
    /// The counts at `as_of`, which no event has told yet.
    pub latest: Option<&'a Counts>,
    /// Cycles up to `as_of`, of which some no event may have told yet.
    pub cycles: &'a [Spell],
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

/// The window of a period of the calendar: all of the book in which the wall clock showed a time of it, be it twice.
/// `None` where that is nothing.
pub fn period(book: &Book, of: &Period, by: &Measure<'_>) -> Option<Window> {
    let wall = by.calendar.wall();
    if wall.is_plain() {
        return window(book, of.from, of.to, by);
    }
    let times = wall.times(of.from, of.to);
    let known: Vec<Window> = times.iter().filter_map(|(from, to)| window(book, *from, *to, by)).collect();
    let mut whole = sum(&known, by.oee.convention)?;
    let ((first, _), (_, last)) = (*times.first()?, *times.last()?);
    whole.from = if book.begins()? > first { known.first()?.from } else { of.from };
    let known_to = times.iter().rev().find(|(from, _)| *from < by.as_of).map_or(last, |(_, to)| (*to).min(by.as_of));
    whole.to = if last <= by.as_of { of.to } else { wall.until(known_to) };
    whole.is_final &= last <= by.as_of;
    whole.clock_adjust_ms = whole.to.since(whole.from) - whole.calendar_ms;
    Some(whole)
}

/// The window `[from, to)` of a book, cut to what the book knows; `None` where that is nothing.
pub fn window(book: &Book, from: Stamp, to: Stamp, by: &Measure<'_>) -> Option<Window> {
    let is_over = to <= by.as_of;
    let is_late = by.as_of.since(to) >= by.final_after_ms;
    let (from, to) = (from.max(book.begins()?), to.min(by.as_of));
    if from >= to {
        return None;
    }
    let mut sums = Sums { by, book, window: Window { from, to, ..Window::default() }, is_open: false };
    sums.window.calendar_ms = to.since(from);
    for (from, to, order) in book.orders(from, to) {
        sums.span(from, to, order);
    }
    for (index, stop) in book.stops.iter().enumerate() {
        // However often it was split, a stop is one failure.
        let is_counted = book.stops[..index].iter().rev().take_while(|earlier| earlier.stop_id == stop.stop_id);
        sums.count(stop, is_counted.into_iter().any(is_failure));
    }
    let Sums { mut window, is_open, .. } = sums;
    let cycles = book.cycles.iter().chain(book.untold(by.cycles));
    cycles.filter(|spell| from <= spell.last && spell.last < to).for_each(|spell| window.cycles.add(&spell.cycles));
    window.parts_bounds = bounds(book, from, to, by);
    sort_losses(&mut window);
    let wall = by.calendar.wall();
    (window.from, window.to, window.clock_adjust_ms) = (wall.of(from), wall.of(to), wall.adjust_ms(from, to));
    if !wall.is_synced(from, to.plus(-1)) {
        flag(&mut window, UNSYNCED);
    }
    window.is_final = is_over && (!is_open || is_late);
    if is_over && is_open && is_late {
        flag(&mut window, "unresolved");
    }
    match by.counting {
        Counting::Never => flag(&mut window, "no_counter"),
        Counting::Unread => flag(&mut window, "counter_unread"),
        Counting::Read => {}
    }
    judge(&mut window, by.oee.convention);
    Some(window)
}

/// Windows added up, sums first, then ratios; `None` of none.
pub fn sum<'a>(windows: impl IntoIterator<Item = &'a Window>, convention: Convention) -> Option<Window> {
    let mut all: Option<Window> = None;
    for one in windows {
        let all = all.get_or_insert_default();
        let exact = |window: &Window| Bounds { min: window.counts.total, max: Some(window.counts.total) };
        let bounds = |window: &Window| window.parts_bounds.unwrap_or(exact(window));
        let (a, b) = (bounds(all), bounds(one));
        if all.parts_bounds.or(one.parts_bounds).is_some() {
            let max = a.max.zip(b.max).map(|(a, b)| a.saturating_add(b));
            all.parts_bounds = Some(Bounds { min: a.min + b.min, max });
        }
        (all.from, all.to) = (all.from.min(one.from), all.to.max(one.to));
        all.is_final &= one.is_final;
        all.calendar_ms += one.calendar_ms;
        all.time_ms.iter_mut().zip(one.time_ms).for_each(|(sum, ms)| *sum += ms);
        all.clock_adjust_ms += one.clock_adjust_ms;
        all.planned_ms += one.planned_ms;
        all.run_ms += one.run_ms;
        all.outside_run_ms += one.outside_run_ms;
        all.changeover_ms += one.changeover_ms;
        all.counts = all.counts.plus(&one.counts);
        one.made.iter().for_each(|made| enter_made(all, made.clone()));
        all.cycles.add(&one.cycles);
        all.failures += one.failures;
        all.restorations += one.restorations;
        all.restoration_ms += one.restoration_ms;
        all.repairs += one.repairs;
        all.repair_ms += one.repair_ms;
        all.responses += one.responses;
        all.response_ms += one.response_ms;
        one.flags.iter().for_each(|word| flag(all, word));
        for loss in &one.losses {
            let sum = enter_loss(all, loss.reason.as_deref(), loss.class, loss.counts_in);
            (sum.ms, sum.times) = (sum.ms + loss.ms, sum.times + loss.times);
        }
        all.downtimes.extend(one.downtimes.iter().cloned());
    }
    let mut all = all?;
    sort_losses(&mut all);
    // A downtime that lies in several of them has its shares in all.
    all.downtimes.sort_by(|a, b| (a.started_at, &a.machine, a.number).cmp(&(b.started_at, &b.machine, b.number)));
    all.downtimes.dedup_by(|later, first| {
        let is_one = later.downtime_id == first.downtime_id;
        if is_one {
            first.duration_ms += later.duration_ms;
        }
        is_one
    });
    all.flags.retain(|word| !matches!(word.as_str(), "ideal_missing" | "ideal_rate_suspect"));
    judge(&mut all, convention);
    Some(all)
}

/// What is added up for one window.
struct Sums<'a> {
    by: &'a Measure<'a>,
    book: &'a Book,
    window: Window,
    /// Something in it can still change its verdict.
    is_open: bool,
}

impl Sums<'_> {
    /// A span under one order.
    fn span(&mut self, from: Stamp, to: Stamp, order: Option<&Order>) {
        let run_before_ms = self.window.run_ms;
        for slot in self.by.calendar.slots(from, to) {
            for piece in self.book.pieces(slot.from, slot.to) {
                self.piece(&piece, &slot);
            }
        }
        let counts = counts(self.book, from, to, self.by);
        self.window.counts = self.window.counts.plus(&counts);
        let of_order = order.and_then(|order| order.ideal).map(|ideal| (ideal, IdealSource::Order));
        let ideal = of_order.or(self.by.ideal.map(|ideal| (ideal, IdealSource::Machine)));
        let made = Made {
            ideal: ideal.map(|(ideal, _)| ideal),
            source: ideal.map_or(IdealSource::None, |(_, source)| source),
            run_ms: self.window.run_ms - run_before_ms,
            total: counts.total - counts.outside_total,
            good: counts.good - counts.outside_good,
        };
        enter_made(&mut self.window, made);
    }

    fn piece(&mut self, piece: &Piece, slot: &Slot) {
        let (by, window) = (self.by, &mut self.window);
        let stop = self.book.stop_of(piece).filter(|stop| stop.counts_in != CountsIn::None);
        let (state, ms) = (state(piece.going, slot.hours, stop), piece.ms());
        window.time_ms[state as usize] += ms;
        if slot.hours == Hours::Unscheduled {
            if state == State::Running {
                window.outside_run_ms += ms;
                flag(window, "ran_unscheduled");
            }
            return;
        }
        let counts_in = match (state, stop) {
            (State::Unknown, _) => {
                // What comes after a gap may still show that it ran through.
                self.is_open |= self.book.intervals.last().is_some_and(|last| last.from < piece.to);
                return;
            }
            (State::Running, _) => {
                if slot.hours != Hours::Planned {
                    flag(window, "ran_in_break");
                }
                CountsIn::Performance
            }
            (_, Some(stop)) if slot.hours == Hours::Planned => {
                enter_loss(window, reason(stop), stop.class, stop.counts_in).ms += ms;
                // An open short stop may still become a downtime.
                self.is_open |= stop.ended_at.is_none() && state == State::ShortStop;
                if stop.downtime.is_some() {
                    enter_share(window, by, stop, ms);
                }
                stop.counts_in
            }
            _ => {
                let cell = if slot.hours == Hours::Break { Cell::Break } else { Cell::Planned };
                let counts_in = by.oee.counts_in(cell);
                // A loss that no stop explains.
                if counts_in != CountsIn::Excluded {
                    enter_loss(window, None, Class::Planned, counts_in).ms += ms;
                }
                counts_in
            }
        };
        match counts_in {
            CountsIn::Excluded => {}
            CountsIn::Availability => {
                window.planned_ms += ms;
                if state == State::Changeover {
                    window.changeover_ms += ms;
                }
            }
            CountsIn::Performance | CountsIn::None => {
                window.planned_ms += ms;
                window.run_ms += ms;
            }
        }
    }

    fn count(&mut self, stop: &Stop, is_counted: bool) {
        let window = &mut self.window;
        let (from, to) = (window.from, window.to);
        let inside = |at: Stamp| from <= at && at < to;
        let has_length = stop.ended_at.is_none() || stop.duration_ms > 0;
        if inside(stop.started_at) && has_length && stop.counts_in != CountsIn::None {
            enter_loss(window, reason(stop), stop.class, stop.counts_in).times += 1;
            window.failures += i64::from(is_failure(stop) && !is_counted);
            // Also one that has no time in here yet may still become a downtime, or nothing.
            self.is_open |= stop.ended_at.is_none() && stop.downtime.is_none();
        }
        if is_failure(stop) && stop.ended_at.is_some_and(inside) {
            window.restorations += i64::from(!is_counted);
            window.restoration_ms += stop.duration_ms;
        }
        for times in stop.work.iter().filter(|_| !stop.is_void()).filter_map(|link| link.times) {
            if inside(stop.started_at)
                && let Some(at) = times.in_progress_at
            {
                let ms = at.since(stop.started_at);
                let (responses, response_ms) = (&mut window.responses, &mut window.response_ms);
                let is_skewed = !enter_time(responses, response_ms, ms);
                if is_skewed {
                    flag(window, CLOCK_SKEW);
                }
            }
            if stop.ended_at.is_some_and(inside)
                && let (Some(start), Some(finish)) = (times.actual_start, times.actual_finish)
            {
                let (repairs, repair_ms) = (&mut window.repairs, &mut window.repair_ms);
                let is_skewed = !enter_time(repairs, repair_ms, finish.since(start));
                if is_skewed {
                    flag(window, CLOCK_SKEW);
                }
            }
        }
    }
}

/// A time of the CMMS; one below zero is left out, for clocks differ.
fn enter_time(times: &mut i64, sum_ms: &mut i64, ms: i64) -> bool {
    if ms >= 0 {
        *times += 1;
        *sum_ms += ms;
    }
    ms >= 0
}

fn is_failure(stop: &Stop) -> bool {
    stop.downtime.is_some() && stop.class == Class::Failure && !stop.is_void()
}

fn reason(stop: &Stop) -> Option<&str> {
    stop.reason.as_ref().map(|reason| reason.code.as_str())
}

fn flag(window: &mut Window, word: &str) {
    if !window.flags.iter().any(|known| known == word) {
        window.flags.push(word.to_owned());
    }
}

fn enter_made(window: &mut Window, made: Made) {
    if (made.run_ms, made.total, made.good) == (0, 0, 0) {
        return;
    }
    match window.made.iter_mut().find(|known| (known.ideal, known.source) == (made.ideal, made.source)) {
        Some(known) => {
            known.run_ms += made.run_ms;
            known.total += made.total;
            known.good += made.good;
        }
        None => window.made.push(made),
    }
}

fn enter_loss<'w>(window: &'w mut Window, reason: Option<&str>, class: Class, counts_in: CountsIn) -> &'w mut Loss {
    let is_here = |loss: &Loss| (loss.reason.as_deref(), loss.class, loss.counts_in) == (reason, class, counts_in);
    let place = window.losses.iter().position(is_here).unwrap_or_else(|| {
        window.losses.push(Loss { reason: reason.map(str::to_owned), class, counts_in, ms: 0, times: 0 });
        window.losses.len() - 1
    });
    &mut window.losses[place]
}

fn sort_losses(window: &mut Window) {
    window.losses.sort_by(|a, b| (&a.reason, a.class, a.counts_in).cmp(&(&b.reason, b.class, b.counts_in)));
}

fn enter_share(window: &mut Window, by: &Measure<'_>, stop: &Stop, ms: i64) {
    let Some(downtime) = stop.downtime else { return };
    let wall = by.calendar.wall();
    match window.downtimes.last_mut().filter(|share| share.downtime_id == stop.downtime_id()) {
        Some(share) => share.duration_ms += ms,
        None => window.downtimes.push(Share {
            machine: by.machine.to_owned(),
            downtime_id: stop.downtime_id(),
            number: downtime.number,
            revision: downtime.revision,
            duration_ms: ms,
            started_at: wall.of(stop.started_at),
            ended_at: stop.ended_at.map(|ended| wall.of(ended)),
            class: stop.class,
            counts_in: stop.counts_in,
            reason: reason(stop).map(str::to_owned),
            fault: stop.fault.as_ref().map(|fault| fault.code),
        }),
    }
}

/// Between which readings the parts before an edge lie.
fn at_edge(book: &Book, at: Stamp, by: &Measure<'_>) -> (Reading, Reading) {
    let (first, last) = book.readings_around(at);
    let latest = by.latest.map(|latest| Reading { at: by.as_of, counts: *latest, doubt: book.doubt() });
    match latest {
        Some(latest) if at == by.as_of => (latest, latest),
        // No reading stands behind the edge: what came since is known only as of now.
        Some(latest) if book.readings.last().is_none_or(|last| last.at < at) => (first, latest),
        _ => (first, last),
    }
}

fn counts(book: &Book, from: Stamp, to: Stamp, by: &Measure<'_>) -> Counts {
    at_edge(book, to, by).0.counts.minus(&book.readings_around(from).0.counts)
}

fn bounds(book: &Book, from: Stamp, to: Stamp, by: &Measure<'_>) -> Option<Bounds> {
    let ((first_from, last_from), (first_to, last_to)) = (book.readings_around(from), at_edge(book, to, by));
    let fewer = (first_to.doubt.fewer - last_from.doubt.fewer).max(0);
    let more = last_to.doubt.more - first_from.doubt.more;
    let is_bounded = last_to.doubt.unbounded == first_from.doubt.unbounded;
    let bounds = Bounds {
        min: (first_to.counts.total - last_from.counts.total - fewer).max(0),
        max: is_bounded.then(|| (last_to.counts.total - first_from.counts.total).saturating_add(more)),
    };
    (Some(bounds.min) != bounds.max).then_some(bounds)
}

/// Makes the ratios of what was added up.
pub fn judge(window: &mut Window, convention: Convention) {
    let unknown_ms = window.time_in(State::Unknown);
    let inside = window.counts.total - window.counts.outside_total;
    let inside_good = window.counts.good - window.counts.outside_good;
    let mut kpi = Kpi {
        availability: ratio(window.run_ms, window.planned_ms),
        quality_by_count: ratio(inside_good, inside),
        coverage: ratio(window.planned_ms, window.planned_ms + unknown_ms),
        mtbf_ms: (window.failures > 0).then(|| window.time_in(State::Running) / window.failures.max(1)),
        mttr_restoration_ms: (window.restorations > 0).then(|| window.restoration_ms / window.restorations.max(1)),
        mttr_repair_ms: (window.repairs > 0).then(|| window.repair_ms / window.repairs.max(1)),
        response_ms: (window.responses > 0).then(|| window.response_ms / window.responses.max(1)),
        ..Kpi::default()
    };
    let is = |window: &Window, word: &str| window.flags.iter().any(|known| known == word);
    if is(window, "counter_unread") {
        kpi.quality_by_count = None;
    }
    let is_counted = !is(window, "counter_unread") && !is(window, "no_counter");
    let is_missing = window.made.iter().any(|made| made.ideal.is_none() && (made.run_ms, made.total) != (0, 0));
    if is_missing {
        flag(window, "ideal_missing");
    }
    if is_counted && !is_missing {
        let ideal = ideal_ms(window, |made| made.total);
        let good_ideal = ideal_ms(window, |made| made.good);
        kpi.performance = share(ideal, window.run_ms);
        kpi.quality = (ideal != 0.0).then(|| good_ideal / ideal);
        kpi.oee = share(good_ideal, window.planned_ms);
        kpi.teep = share(good_ideal, window.calendar_ms);
        kpi.nee = share(window.run_ms as f64 + window.changeover_ms as f64, window.planned_ms)
            .zip(share(good_ideal, window.run_ms))
            .map(|(allocated, effective)| allocated * effective);
        if ideal > window.run_ms as f64 && window.run_ms > 0 {
            flag(window, "ideal_rate_suspect");
        }
        if convention == Convention::Smrp {
            kpi.performance_capped = kpi.performance.map(|performance| performance.min(1.0));
            kpi.oee_capped = kpi.oee.map(|oee| oee / kpi.performance.unwrap_or(1.0).max(1.0));
        }
    }
    window.kpi = kpi;
}

/// Σ ideal × parts from the exact fractions, in milliseconds.
fn ideal_ms(window: &Window, parts: impl Fn(&Made) -> i64) -> f64 {
    let one = |made: &Made| Some((parts(made) as f64) * (made.ideal?.ms as f64) / (made.ideal?.parts as f64));
    // An empty sum of floats is −0.
    window.made.iter().filter_map(one).fold(0.0, |sum, ms| sum + ms)
}

/// `None` for a zero base.
fn ratio(part: i64, base: i64) -> Option<f64> {
    share(part as f64, base)
}

fn share(part: f64, base: i64) -> Option<f64> {
    (base != 0).then(|| part / base as f64)
}
