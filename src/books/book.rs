//! Events of one machine in, its history out: intervals without gap or overlap, stops, count readings.

use super::calendar::{Calendar, Hours};
use crate::event::{
    Event, Stamp,
    cycle::Spell,
    operator::Crew,
    order::{Booked, Order},
    part::{self, Bounds, Counted, Counts},
    process,
    stop::{self, CountsIn, Going, State, Stop},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The flag of what lies, if only in part, in a time when the wall clock could not be trusted.
pub const UNSYNCED: &str = "unsynced";

/// From `from` until the next interval, the machine was `going`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// First instant.
    pub from: Stamp,
    /// What the signals said.
    pub going: Going,
    /// The stop that it stood in, by its id as a downtime.
    pub stop: Option<Uuid>,
}

/// The counts of all parts that showed before `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Exclusive.
    pub at: Stamp,
    /// Cumulative.
    pub counts: Counts,
    /// Cumulative.
    #[serde(default)]
    pub doubt: Doubt,
}

/// How far the parts made can lie from those counted; it only grows, so that between two readings differences count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// So many counted parts may not have been made.
    pub fewer: i64,
    /// So many parts that were not counted may have been made.
    pub more: i64,
    /// Times that nobody could say how many more.
    pub unbounded: i64,
}

impl Doubt {
    fn widened(self, made: i64, bounds: Bounds) -> Doubt {
        Doubt {
            fewer: self.fewer.saturating_add(made.saturating_sub(bounds.min).max(0)),
            more: self.more.saturating_add(bounds.max.map_or(0, |max| max.saturating_sub(made).max(0))),
            unbounded: self.unbounded + i64::from(bounds.max.is_none()),
        }
    }
}

/// From `from` until the next assignment, the machine had `order`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// First instant.
    pub from: Stamp,
    /// `None`: it had none.
    pub order: Option<Order>,
}

/// What one machine did, as far as it is remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Book {
    /// What ended before is forgotten; `MIN`: nothing is.
    #[serde(skip_serializing_if = "is_whole")]
    pub since: Stamp,
    /// In order; each ends where the next begins, the last is open.
    pub intervals: Vec<Interval>,
    /// In order of their start.
    pub stops: Vec<Stop>,
    /// In order.
    pub readings: Vec<Reading>,
    /// In order; without an order before the first.
    pub assignments: Vec<Assignment>,
    /// Cycles that were timed, in order; none lies across an edge of an hour, a shift, a break or an order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cycles: Vec<Spell>,
    /// In order; nobody before the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub crews: Vec<Crew>,
    /// Process values, in order; none lies across the beginning or end of an order, but for one that was booked afterwards.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub process: Vec<process::Spell>,
}

/// A piece of an interval inside a span.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// First instant.
    pub from: Stamp,
    /// First instant after.
    pub to: Stamp,
    /// What the signals said.
    pub going: Going,
    /// The stop that it stood in, by its id as a downtime.
    pub stop: Option<Uuid>,
}

impl Piece {
    /// Its length.
    pub fn ms(&self) -> i64 {
        self.to.since(self.from)
    }
}

impl Default for Book {
    fn default() -> Book {
        let (intervals, stops, readings, assignments, cycles, crews, process) = Default::default();
        Book { since: Stamp::MIN, intervals, stops, readings, assignments, cycles, crews, process }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_whole(since: &Stamp) -> bool {
    *since == Stamp::MIN
}

impl Book {
    /// Enters one event. Every rule was decided before; this only writes down.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Stop(stop::Event::State(change)) => {
                if self.readings.is_empty() {
                    self.readings.push(Reading {
                        at: change.moved,
                        counts: Counts::default(),
                        doubt: Doubt::default(),
                    });
                }
                for stop in [&change.ended, &change.stop].into_iter().flatten() {
                    self.enter_stop(stop);
                }
                let stop = change.stop.as_ref().filter(|_| change.going == Going::Still).map(Stop::downtime_id);
                self.enter_interval(Interval { from: change.moved, going: change.going, stop });
                let doubt = self.doubt();
                self.enter_reading(Reading { at: change.at.plus(1), counts: change.counts, doubt });
            }
            Event::Stop(stop::Event::Downtime(downtime)) => self.enter(&downtime.stop),
            Event::Part(part::Event::Counted(counted)) => {
                if let Some(moved) = &counted.moved {
                    self.mark(moved.at.plus(1));
                    let later = self.readings.iter_mut().filter(|reading| reading.at > moved.at);
                    later.for_each(|reading| reading.counts = reading.counts.plus(&moved.by));
                }
                let doubt = self.doubt_after(counted);
                self.enter_reading(Reading { at: counted.to, counts: counted.counts, doubt });
                self.cycles.extend(counted.cycles.iter().cloned());
                self.enter_process(&counted.process);
            }
            Event::Order(order) => {
                let doubt = self.doubt();
                // Before what is remembered it stands elsewhere.
                if order.at >= self.since {
                    self.enter_reading(Reading { at: order.at, counts: order.counts, doubt });
                }
                self.enter_process(&order.process);
                order.bookings().iter().for_each(|booked| self.assign(booked));
            }
            Event::Operator(operator) => {
                self.crews.retain(|crew| crew.from < operator.at);
                self.crews.extend(operator.crews.iter().cloned());
            }
            Event::Asset(_) | Event::Meter(_) | Event::Work(_) | Event::Shift(_) | Event::Notice(_) => {}
        }
    }

    /// Forgets what ended before `before`; a stop that was open then or later keeps all its parts and intervals.
    pub fn trim(&mut self, before: Stamp) {
        let first = self.stops.iter().position(|stop| stop.ended_at.is_none_or(|ended| ended >= before));
        self.stops.drain(..first.map_or(self.stops.len(), |first| self.first_part(first)));
        let before = self.stops.first().map_or(before, |stop| stop.from.min(before));
        self.since = self.since.max(before);
        let keep_from = |froms: &dyn Fn(usize) -> Option<Stamp>| {
            let mut first = 0;
            while froms(first + 1).is_some_and(|next| next <= before) {
                first += 1;
            }
            first
        };
        let first = keep_from(&|index| self.intervals.get(index).map(|interval| interval.from));
        self.intervals.drain(..first.min(self.intervals.len()));
        let first = keep_from(&|index| self.readings.get(index).map(|reading| reading.at));
        self.readings.drain(..first.min(self.readings.len()));
        let first = keep_from(&|index| self.assignments.get(index).map(|assignment| assignment.from));
        self.assignments.drain(..first.min(self.assignments.len()));
        self.cycles.retain(|spell| spell.last >= before);
        let first = keep_from(&|index| self.crews.get(index).map(|crew| crew.from));
        self.crews.drain(..first.min(self.crews.len()));
        self.process.retain(|spell| spell.to > before);
    }

    /// Of cycles that a mark remembers those that no event has told since.
    pub fn untold<'a>(&self, cycles: &'a [Spell]) -> impl Iterator<Item = &'a Spell> {
        let told_to = self.cycles.last().map(|spell| spell.last);
        cycles.iter().filter(move |spell| told_to.is_none_or(|told_to| spell.first > told_to))
    }

    /// Where the parts of a stop begin that the one at `index` belongs to: however often it was split, it is one failure.
    pub fn first_part(&self, index: usize) -> usize {
        let stop_id = self.stops[index].stop_id;
        self.stops[..index].iter().rposition(|stop| stop.stop_id != stop_id).map_or(0, |other| other + 1)
    }

    /// When the first interval begins.
    pub fn begins(&self) -> Option<Stamp> {
        self.intervals.first().map(|interval| interval.from)
    }

    /// The intervals inside `[from, to)`, cut to it, in order; the last one lasts until `to`.
    pub fn pieces(&self, from: Stamp, to: Stamp) -> impl Iterator<Item = Piece> + '_ {
        let first = self.intervals.partition_point(|interval| interval.from <= from).saturating_sub(1);
        (first..self.intervals.len()).filter_map(move |index| {
            let interval = self.intervals[index];
            let end = self.intervals.get(index + 1).map_or(to, |next| next.from);
            let piece =
                Piece { from: interval.from.max(from), to: end.min(to), going: interval.going, stop: interval.stop };
            (piece.from < piece.to).then_some(piece)
        })
    }

    /// The record of the stop that a piece stands in: the last one that had begun by then.
    pub fn stop_of(&self, piece: &Piece) -> Option<&Stop> {
        let id = piece.stop?;
        let begun = self.stops.partition_point(|stop| stop.from <= piece.from);
        // Parts of one stop that were merged again stand between.
        self.stops[..begun].iter().rev().find(|stop| stop.downtime_id() == id)
    }

    /// The stop that has not ended.
    pub fn open_stop(&self) -> Option<&Stop> {
        let last = self.stops.last()?;
        let parts = self.stops.iter().rev().take_while(|stop| stop.stop_id == last.stop_id);
        parts.into_iter().find(|stop| stop.ended_at.is_none())
    }

    /// Enters the record of a downtime: which of the time of its stop is its own may be decided anew by it.
    pub fn enter(&mut self, stop: &Stop) {
        self.enter_stop(stop);
        let (id, to) = (stop.downtime_id(), stop.ended_at.unwrap_or(Stamp::MAX));
        let is_taken_back = stop.is_declared() && stop.is_void();
        let becomes = if is_taken_back { (Going::Unknown, None) } else { (Going::Still, Some(id)) };
        let first = self.intervals.partition_point(|interval| interval.from <= stop.from).saturating_sub(1);
        let is_other = |interval: &Interval| match (interval.going, interval.stop) {
            (Going::Still, Some(other)) if is_taken_back => other == id,
            (Going::Still, Some(other)) => other != id && self.stop_id(other) == Some(stop.stop_id),
            (going, _) => going == Going::Unknown && stop.is_declared() && !is_taken_back,
        };
        let later = self.intervals[first..].iter().take_while(|interval| interval.from < to);
        let others: Vec<usize> =
            later.enumerate().filter(|(_, interval)| is_other(interval)).map(|(index, _)| first + index).collect();
        for index in others.into_iter().rev() {
            let whole = self.intervals[index];
            let end = self.intervals.get(index + 1).map_or(Stamp::MAX, |next| next.from);
            let (from, until) = (whole.from.max(stop.from), end.min(to));
            let mut pieces = Vec::with_capacity(3);
            if whole.from < from {
                pieces.push(whole);
            }
            pieces.push(Interval { from, going: becomes.0, stop: becomes.1 });
            if until < end {
                pieces.push(Interval { from: until, ..whole });
            }
            if from < until {
                self.intervals.splice(index..=index, pieces);
            }
        }
        self.intervals.dedup_by(|next, last| (next.going, next.stop) == (last.going, last.stop));
    }

    fn stop_id(&self, downtime: Uuid) -> Option<Uuid> {
        self.stops.iter().rev().find(|stop| stop.downtime_id() == downtime).map(|stop| stop.stop_id)
    }

    /// The order that the machine had then.
    pub fn order_at(&self, at: Stamp) -> Option<&Order> {
        let begun = self.assignments.partition_point(|assignment| assignment.from <= at);
        self.assignments[..begun].last()?.order.as_ref()
    }

    /// Who was logged on then; who came last stands last.
    pub fn crew_at(&self, at: Stamp) -> &[String] {
        let begun = self.crews.partition_point(|crew| crew.from <= at);
        self.crews[..begun].last().map_or(&[], |crew| &crew.operators)
    }

    /// Of process values that a mark remembers those that no event has told since.
    pub fn untold_process<'a>(&self, spells: &'a [process::Spell]) -> impl Iterator<Item = &'a process::Spell> {
        let told_to = self.process.last().map(|spell| spell.to);
        spells.iter().filter(move |spell| told_to.is_none_or(|told_to| spell.from >= told_to))
    }

    /// The spans inside `[from, to)` in which the machine had one order or none, in order.
    pub fn orders(&self, from: Stamp, to: Stamp) -> impl Iterator<Item = (Stamp, Stamp, Option<&Order>)> {
        let begun = self.assignments.partition_point(|assignment| assignment.from <= from);
        let before = begun.checked_sub(1).and_then(|index| self.assignments[index].order.as_ref());
        let later = self.assignments[begun..].iter().take_while(move |assignment| assignment.from < to);
        let starts = std::iter::once((from, before)).chain(later.clone().map(|next| (next.from, next.order.as_ref())));
        let ends = later.map(|next| next.from).chain(std::iter::once(to));
        starts.zip(ends).map(|((from, order), to)| (from, to, order)).filter(|(from, to, _)| from < to)
    }

    /// Brings `duration_ms`, `excluded_ms`, `unknown_ms`, `clock_adjust_ms` and the shares of `stop` up to `until`.
    pub fn measure(&self, stop: &mut Stop, until: Stamp, calendar: &Calendar) {
        (stop.duration_ms, stop.excluded_ms, stop.unknown_ms) = (0, 0, 0);
        stop.shares.clear();
        let (wall, until_or_start) = (calendar.wall(), until.max(stop.started_at));
        stop.clock_adjust_ms = wall.adjust_ms(stop.started_at, until_or_start);
        if !wall.is_synced(stop.started_at, until_or_start) && !stop.flags.iter().any(|flag| flag == UNSYNCED) {
            stop.flags.push(UNSYNCED.to_owned());
        }
        for slot in calendar.slots(stop.started_at, until) {
            if slot.hours != Hours::Planned {
                stop.excluded_ms += slot.to.since(slot.from);
                continue;
            }
            for (from, to, order) in self.orders(slot.from, slot.to) {
                let order = order.map(|order| &order.order);
                for piece in self.pieces(from, to) {
                    let shift = slot.shift.as_deref().unwrap_or_default();
                    let is_here = |share: &stop::Share| share.shift == shift && share.order.as_ref() == order;
                    let place = stop.shares.iter().position(is_here).unwrap_or_else(|| {
                        let (shift, order) = (shift.to_owned(), order.cloned());
                        stop.shares.push(stop::Share { shift, order, duration_ms: 0, unknown_ms: 0 });
                        stop.shares.len() - 1
                    });
                    let share = &mut stop.shares[place];
                    if piece.going == Going::Unknown {
                        share.unknown_ms += piece.ms();
                        stop.unknown_ms += piece.ms();
                    } else {
                        share.duration_ms += piece.ms();
                        stop.duration_ms += piece.ms();
                    }
                }
            }
        }
    }

    /// Between which readings the parts that were made before `at` lie: equal where a reading stands at `at`, or nothing was
    /// counted between the readings around it. Parts of a gap of data can have been made anywhere in it.
    pub fn readings_around(&self, at: Stamp) -> (Reading, Reading) {
        let counts_after = |at| {
            let after = self.readings.partition_point(|reading| reading.at <= at);
            (after, self.readings.get(after).copied())
        };
        let (after, mut next) = counts_after(at);
        let Some(last) = after.checked_sub(1).map(|index| self.readings[index]) else {
            let nothing = Reading { at, counts: Counts::default(), doubt: Doubt::default() };
            return (nothing, next.unwrap_or(nothing));
        };
        let begun = self.intervals.partition_point(|interval| interval.from < at);
        let is_dark = begun > 0 && self.intervals[begun - 1].going == Going::Unknown;
        if is_dark {
            next = self.intervals.get(begun).and_then(|interval| counts_after(interval.from).1);
        }
        let exact = last.at == at && !is_dark;
        (last, if exact { last } else { next.unwrap_or(last) })
    }

    /// As of the last reading.
    pub fn doubt(&self) -> Doubt {
        self.readings.last().map(|last| last.doubt).unwrap_or_default()
    }

    fn doubt_after(&self, counted: &Counted) -> Doubt {
        let before = self.readings_around(counted.from).0.counts;
        let widen = |bounds| self.doubt().widened(counted.counts.total - before.total, bounds);
        counted.bounds.map_or(self.doubt(), widen)
    }

    fn enter_process(&mut self, spells: &[process::Spell]) {
        let new: Vec<process::Spell> = self.untold_process(spells).cloned().collect();
        self.process.extend(new);
    }

    /// Where nothing was counted around an instant, a reading stands there: what is moved from it on is moved from there on.
    fn mark(&mut self, at: Stamp) {
        let place = self.readings.partition_point(|known| known.at < at);
        let Some(before) = place.checked_sub(1).map(|before| self.readings[before]) else { return };
        if self.readings.get(place).is_some_and(|next| next.at > at && next.counts == before.counts) {
            self.readings.insert(place, Reading { at, ..before });
        }
    }

    /// Looked for among those only that begin no earlier: a machine that flaps makes tens of thousands a day.
    fn enter_stop(&mut self, stop: &Stop) {
        let begins = self.begins();
        let mut no_earlier = self.stops.iter_mut().rev().take_while(|known| known.from >= stop.from);
        match no_earlier.find(|known| known.downtime_id() == stop.downtime_id()) {
            Some(known) => known.clone_from(stop),
            // What is corrected of days that are no longer remembered stands elsewhere.
            None if stop.ended_at.is_some_and(|ended| begins.is_some_and(|begins| ended <= begins)) => {}
            None => {
                let place = self.stops.partition_point(|known| known.from <= stop.from);
                self.stops.insert(place, stop.clone());
            }
        }
    }

    /// An interval takes the place of all that began at or after it: an edge is dated back, a gap may have been run through.
    fn enter_interval(&mut self, interval: Interval) {
        while self.intervals.last().is_some_and(|last| last.from >= interval.from) {
            self.intervals.pop();
        }
        if self.intervals.last().is_none_or(|last| (last.going, last.stop) != (interval.going, interval.stop)) {
            self.intervals.push(interval);
        }
    }

    /// An assignment takes the place of all that began in its time.
    fn assign(&mut self, booked: &Booked) {
        if booked.to.is_some_and(|to| to <= booked.from || to <= self.since) {
            return;
        }
        let after = booked.to.map(|to| (to, self.order_at(to).cloned()));
        let first = self.assignments.partition_point(|known| known.from < booked.from);
        let end = self.assignments.partition_point(|known| booked.to.is_none_or(|to| known.from <= to));
        let mut now = Vec::with_capacity(2);
        if first == 0 || self.assignments[first - 1].order != booked.order {
            now.push(Assignment { from: booked.from, order: booked.order.clone() });
        }
        if let Some((from, order)) = after.filter(|(_, order)| *order != booked.order) {
            now.push(Assignment { from, order });
        }
        self.assignments.splice(first..end, now);
        self.assignments.dedup_by(|next, last| next.order == last.order);
        if self.since == Stamp::MIN {
            // That it had none before the first goes without saying.
            let said = self.assignments.iter().take_while(|known| known.order.is_none()).count();
            self.assignments.drain(..said);
        }
    }

    /// Of equal counts only the first and the last reading are kept: what stood still needs no more. A reading that is
    /// dated back stands in its place.
    fn enter_reading(&mut self, reading: Reading) {
        let [.., before, last] = self.readings.as_mut_slice() else {
            self.readings.push(reading);
            return;
        };
        let said = |reading: &Reading| (reading.counts, reading.doubt);
        if reading.at < last.at {
            let place = self.readings.partition_point(|known| known.at < reading.at);
            if self.readings[place].at != reading.at {
                let doubt = place.checked_sub(1).map(|before| self.readings[before].doubt).unwrap_or_default();
                self.readings.insert(place, Reading { doubt, ..reading });
            }
        } else if said(before) == said(last) && said(last) == said(&reading) {
            last.at = reading.at;
        } else {
            self.readings.push(reading);
        }
    }
}

/// The state of a machine: the first that applies.
pub fn state(going: Going, hours: Hours, stop: Option<&Stop>) -> State {
    let stop = stop.filter(|stop| stop.counts_in != CountsIn::None);
    match (going, hours, stop) {
        (Going::Running, ..) | (Going::Still, _, None) => State::Running,
        (_, Hours::Unscheduled, _) => State::Unscheduled,
        (_, Hours::Break | Hours::PlannedStop, _) => State::PlannedStop,
        (Going::Unknown, ..) => State::Unknown,
        (Going::Still, _, Some(stop)) => state_of(stop),
    }
}

/// The state that a stop is in planned hours.
pub fn state_of(stop: &Stop) -> State {
    use stop::Class::{Changeover, External, Planned};
    match stop.class {
        _ if stop.counts_in == CountsIn::None => State::Running,
        Planned => State::PlannedStop,
        Changeover => State::Changeover,
        External => State::External,
        _ if stop.downtime.is_some() => State::Down,
        _ => State::ShortStop,
    }
}
