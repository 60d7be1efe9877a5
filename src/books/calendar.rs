//! An instant in, what the calendar says of it out: its hour, day and shift, and whether a machine is planned to run.
//!
//! Hours are hours of UTC; days begin at `day_start` in the plant's time zone and have 23 to 25 hours. Shifts and planned
//! stops follow the clock on the wall, with one rule for every local time, so that what meets on paper meets on the
//! timeline, without hole or overlap: a time that the clock change skips is the moment of the change, a time of the doubled
//! hour is its first occurrence. So of two shifts around the change the one that holds it is shorter or longer. A break
//! begins by the same rule, not before the one before it has ended, and keeps its length: people rest as long as ever.
//!
//! A shift belongs to the local date that it starts on: that date names it, and a holiday takes the shifts that start on it.
//!
//! Everything here goes by the clock on the wall; `timeline` asks it about instants of the gateway's timeline.

mod timeline;

use crate::event::{Stamp, Wall};
use jiff::{
    ToSpan, ZonedDateTime,
    civil::{Date, DateTime, Time},
    tz::{AmbiguousOffset, TimeZone},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Which instant belongs to which window, and what is planned then. Shifts of one calendar do not overlap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calendar {
    #[serde(with = "jiff::fmt::serde::tz::required")]
    zone: TimeZone,
    day_start: Time,
    /// In the order of their start.
    shifts: Vec<Shift>,
    holidays: Vec<Holiday>,
    planned_stops: Vec<PlannedStop>,
    /// The steps of the wall clock, as far as they are known.
    #[serde(skip)]
    wall: Wall,
    #[serde(skip)]
    memo: Memo,
}

/// The page that was asked for last: nearly every question is about the shift that is on. It changes no answer.
#[derive(Default)]
struct Memo(Mutex<Option<Arc<Page>>>);

impl Clone for Memo {
    fn clone(&self) -> Memo {
        Memo::default()
    }
}

impl PartialEq for Memo {
    fn eq(&self, _: &Memo) -> bool {
        true
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memo")
    }
}

/// A shift: every day that it is on, from a local time to a local time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// Second part of the window's id.
    pub id: String,
    /// The local dates that it starts on.
    pub on: On,
    /// Local time of its start.
    pub start: Time,
    /// Local time of its end, on the next day if not after the start.
    pub end: Time,
    /// In order; a break over or after midnight belongs to the shift that contains it.
    pub breaks: Vec<Break>,
}

/// Local dates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// These days of every week, but not on holidays.
    Days {
        /// Days of the week.
        days: Vec<Weekday>,
        /// Not before.
        from: Option<Date>,
        /// Not after.
        until: Option<Date>,
    },
    /// These dates, holidays or not.
    Dates(Vec<Date>),
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// A break, from a local time to a local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Break {
    /// Where it begins.
    pub start: Time,
    /// Where it ends.
    pub end: Time,
}

/// Dates on which no shift starts; without shifts: days on which nothing is planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holiday {
    /// First date.
    pub from: Date,
    /// Last date.
    pub until: Date,
    /// For people.
    pub name: Option<String>,
}

/// Time in which a machine is to stand. Only what lies inside shifts counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStop {
    /// For people.
    pub name: Option<String>,
    /// When.
    pub when: When,
}

/// When a machine is to stand; local times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Every week.
    Weekly {
        /// Days that it begins on.
        days: Vec<Weekday>,
        /// Where it begins.
        start: Time,
        /// Where it ends, on the next day if not after the start.
        end: Time,
    },
    /// Once.
    Once {
        /// First moment.
        from: DateTime,
        /// First moment after.
        until: DateTime,
    },
}

/// What the calendar says of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hours {
    /// In a shift, and nothing else is planned; around the clock where there is no shift at all.
    Planned,
    /// In a break of a shift.
    Break,
    /// In a planned stop of the calendar, inside a shift. A break in it is part of it.
    PlannedStop,
    /// Outside every shift.
    Unscheduled,
}

/// A span of the timeline in which the calendar says one thing; it ends at the latest with its shift or day, or where the
/// clock was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// First instant.
    pub from: Stamp,
    /// First instant after.
    pub to: Stamp,
    /// What is planned.
    pub hours: Hours,
    /// The id of the shift; of the day where there is no shift at all; `None` outside every shift.
    pub shift: Option<String>,
}

/// How far ahead planned hours are looked for: a works holiday, and then some. Milliseconds.
const AHEAD_MS: i64 = 400 * 24 * HOUR_MS;

/// One window of the calendar, by the wall clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// Never depends on a clock change: local start date of a day, of a shift with its id, UTC start of an hour.
    pub id: String,
    /// What the wall clock shows first.
    pub from: Stamp,
    /// What it shows first after.
    pub to: Stamp,
}

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A turn, slot by slot.
struct Page {
    period: Period,
    is_shift: bool,
    slots: Vec<Slot>,
}

/// A shift on a date, a day without shifts, or closed hours between them.
struct Turn<'a> {
    from: Stamp,
    to: Stamp,
    /// `None`: closed.
    id: Option<String>,
    shift: Option<(Date, &'a Shift)>,
}

impl Page {
    /// The slot around `at`; closed where the clock change leaves none.
    fn slot(&self, at: Stamp) -> Slot {
        let place = self.slots.partition_point(|slot| slot.to <= at);
        let closed = || Slot { from: self.period.from, to: self.period.to, hours: Hours::Unscheduled, shift: None };
        self.slots.get(place).cloned().unwrap_or_else(closed)
    }
}

impl Calendar {
    /// Days of `zone` that begin at `day_start`; planned around the clock.
    pub fn new(zone: TimeZone, day_start: Time) -> Calendar {
        let (shifts, holidays, planned_stops) = (Vec::new(), Vec::new(), Vec::new());
        Calendar { zone, day_start, shifts, holidays, planned_stops, wall: Wall::default(), memo: Memo::default() }
    }

    /// The same days with shifts, holidays and planned stops. Without a shift it is planned around the clock, and a holiday
    /// is a day.
    #[must_use]
    pub fn planned(&self, mut shifts: Vec<Shift>, holidays: Vec<Holiday>, planned_stops: Vec<PlannedStop>) -> Calendar {
        shifts.sort_by_key(|shift| shift.start);
        Calendar { shifts, holidays, planned_stops, ..Calendar::new(self.zone.clone(), self.day_start) }
    }

    /// The zone's name, `Europe/Berlin`.
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// Local time at which a day begins.
    pub fn day_start(&self) -> Time {
        self.day_start
    }

    /// There are shifts: outside them nothing is planned.
    pub fn has_shifts(&self) -> bool {
        !self.shifts.is_empty()
    }

    /// A time of the wall clock in the plant's zone, for people.
    pub fn local(&self, at: Stamp) -> String {
        self.zoned(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// A time of the wall clock in the plant's zone.
    pub fn zoned(&self, at: Stamp) -> ZonedDateTime {
        timestamp(at).to_zoned_datetime(self.zone.clone())
    }

    /// The day that holds `at`.
    fn day_shown(&self, at: Stamp) -> Period {
        let (date, from, to) = self.day_of(at);
        Period { id: date.to_string(), from, to }
    }

    /// The day that begins on a local date; it ends when it begins where a zone skipped it.
    pub fn day_on(&self, date: Date) -> Period {
        Period { id: date.to_string(), from: self.start_of(date), to: self.end_of(date) }
    }

    /// The hour of UTC that holds `at`.
    fn hour_shown(&self, at: Stamp) -> Period {
        let from = Stamp::from_ms(at.ms().div_euclid(HOUR_MS) * HOUR_MS);
        let id = timestamp(from).strftime("%Y-%m-%dT%H:%MZ").to_string();
        Period { id, from, to: from.plus(HOUR_MS) }
    }

    /// The days that overlap `[from, to)`, in order.
    fn days_shown(&self, from: Stamp, to: Stamp) -> impl Iterator<Item = Period> + '_ {
        periods(from, to, |at| self.day_shown(at))
    }

    /// The hours that overlap `[from, to)`, in order.
    fn hours_shown(&self, from: Stamp, to: Stamp) -> impl Iterator<Item = Period> + '_ {
        periods(from, to, |at| self.hour_shown(at))
    }

    /// The span around `at` in which the calendar says one thing.
    fn slot_shown(&self, at: Stamp) -> Slot {
        self.page(at).slot(at)
    }

    /// The slots inside `[from, to)`, cut to it, in order and without gap.
    fn slots_shown(&self, from: Stamp, to: Stamp) -> impl Iterator<Item = Slot> + '_ {
        let mut at = from;
        let mut page: Option<Arc<Page>> = None;
        std::iter::from_fn(move || {
            if at >= to {
                return None;
            }
            let here = page.take().filter(|page| at < page.period.to).unwrap_or_else(|| self.page(at));
            let slot = here.slot(at);
            page = Some(here);
            let slot = Slot { from: at, to: slot.to.min(to), ..slot };
            at = slot.to;
            Some(slot)
        })
    }

    /// The shift that holds `at`; the day where there is no shift at all.
    fn shift_shown(&self, at: Stamp) -> Option<Period> {
        let page = self.page(at);
        page.is_shift.then(|| page.period.clone())
    }

    /// The shifts that overlap `[from, to)`, in order; the days where there is no shift at all, without holidays.
    fn shifts_shown(&self, from: Stamp, to: Stamp) -> impl Iterator<Item = Period> + '_ {
        let days =
            (!self.has_shifts()).then(|| self.days_shown(from, to).filter(|day| self.turn(day.from).id.is_some()));
        let turns = self.has_shifts().then(|| {
            let first = self.date(from).saturating_sub(1.day());
            let turns = dates_from(first).flat_map(|date| self.turns(date));
            turns
                .take_while(move |turn| turn.from < to)
                .filter(move |turn| from < turn.to)
                .filter_map(|turn| turn.id.map(|id| Period { id, from: turn.from, to: turn.to }))
        });
        days.into_iter().flatten().chain(turns.into_iter().flatten())
    }

    /// The first end after `at` of a shift (or day); `MAX` if there is none for a year.
    fn next_end_shown(&self, at: Stamp) -> Stamp {
        self.shifts_shown(at, at.plus(AHEAD_MS)).next().map_or(Stamp::MAX, |period| period.to)
    }

    /// The first edge after `at` of an hour, a day or a slot.
    fn next_edge_shown(&self, at: Stamp) -> Stamp {
        self.hour_shown(at).to.min(self.day_of(at).2).min(self.slot_shown(at).to)
    }

    /// The holiday that a local date is.
    pub fn holiday(&self, date: Date) -> Option<&Holiday> {
        self.holidays.iter().find(|holiday| holiday.from <= date && date <= holiday.until)
    }

    /// The planned stops that overlap `[from, to)`, cut to it, in shifts or not, in no order.
    pub fn planned_stops(&self, from: Stamp, to: Stamp) -> Vec<(Stamp, Stamp, &PlannedStop)> {
        let mut found = Vec::new();
        let mut enter = |stop, begins: DateTime, ends: DateTime| {
            let (begins, ends) = (self.instant(begins).max(from), self.instant(ends).min(to));
            if begins < ends {
                found.push((begins, ends, stop));
            }
        };
        for stop in &self.planned_stops {
            match &stop.when {
                When::Once { from, until } => enter(stop, *from, *until),
                When::Weekly { days, start, end } => {
                    let last = self.date(to);
                    let dates = dates_from(self.date(from).saturating_sub(1.day())).take_while(|date| *date <= last);
                    for date in dates.filter(|date| days.contains(&Weekday::of(*date))) {
                        enter(stop, date.to_datetime(*start), end_on(date, *start, *end));
                    }
                }
            }
        }
        found
    }

    /// Where the local clock is set inside `(from, to)`, and by how many milliseconds.
    pub fn clock_changes(&self, from: Stamp, to: Stamp) -> impl Iterator<Item = (Stamp, i64)> + '_ {
        let offset_ms = |at: jiff::Timestamp| i64::from(self.zone.to_offset(at).seconds()) * 1_000;
        let mut before_ms = offset_ms(timestamp(from));
        let changes = self.zone.following(timestamp(from)).map(|change| change.timestamp());
        changes.take_while(move |at| *at < timestamp(to)).filter_map(move |at| {
            let by_ms = offset_ms(at) - before_ms;
            before_ms += by_ms;
            (by_ms != 0).then(|| (Stamp::from_ms(at.as_millisecond()), by_ms))
        })
    }

    /// The turn around `at`, slot by slot.
    fn page(&self, at: Stamp) -> Arc<Page> {
        let mut memo = self.memo.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = memo.as_ref().filter(|page| page.period.from <= at && at < page.period.to) {
            return page.clone();
        }
        let turn = self.turn(at);
        let slots = self.pieces(&turn);
        let is_shift = turn.id.is_some();
        let period = Period { id: turn.id.unwrap_or_default(), from: turn.from, to: turn.to };
        memo.insert(Arc::new(Page { period, is_shift, slots })).clone()
    }

    /// What is around `at`: a shift; the day where there is no shift at all; else what lies closed between shifts, or the
    /// rest of the day.
    fn turn(&self, at: Stamp) -> Turn<'_> {
        let whole = |(date, from, to)| Turn { from, to, id: self.id_of_day(date), shift: None };
        if !self.has_shifts() {
            return whole(self.day_of(at));
        }
        let (mut after, mut before) = (Stamp::MIN, Stamp::MAX);
        let first = self.date(at).saturating_sub(1.day());
        for turn in dates_from(first).take(3).flat_map(|date| self.turns(date)) {
            if turn.from > at {
                before = turn.from;
                break;
            }
            if turn.to > at {
                return turn;
            }
            after = after.max(turn.to);
        }
        let (_, from, to) = self.day_of(at);
        Turn { from: from.max(after), to: to.min(before), id: None, shift: None }
    }

    /// A day takes the place of a shift, unless it is a holiday.
    fn id_of_day(&self, date: Date) -> Option<String> {
        self.holiday(date).is_none().then(|| date.to_string())
    }

    /// The shifts that start on a date, in order; one that the clock change leaves no time is not there.
    fn turns(&self, date: Date) -> impl Iterator<Item = Turn<'_>> {
        let is_holiday = self.holiday(date).is_some();
        self.shifts.iter().filter(move |shift| shift.on.holds(date, is_holiday)).filter_map(move |shift| {
            let from = self.instant(date.to_datetime(shift.start));
            let to = self.instant(end_on(date, shift.start, shift.end));
            (from < to).then(|| Turn { from, to, id: Some(format!("{date}/{}", shift.id)), shift: Some((date, shift)) })
        })
    }

    /// The slots of a turn, in order and without gap.
    fn pieces(&self, turn: &Turn<'_>) -> Vec<Slot> {
        let slot = |from, to, hours| Slot { from, to, hours, shift: turn.id.clone() };
        if turn.id.is_none() {
            return vec![slot(turn.from, turn.to, Hours::Unscheduled)];
        }
        let breaks = turn.shift.map(|(date, shift)| self.breaks(date, shift, turn)).unwrap_or_default();
        let stops = self.planned_stops(turn.from, turn.to);
        let mut edges: Vec<Stamp> = [turn.from, turn.to].into();
        edges.extend(breaks.iter().flat_map(|(from, to)| [*from, *to]));
        edges.extend(stops.iter().flat_map(|(from, to, _)| [*from, *to]));
        edges.sort();
        edges.dedup();
        let mut slots: Vec<Slot> = Vec::with_capacity(edges.len());
        for (from, to) in edges.iter().zip(&edges[1..]) {
            let hours = if stops.iter().any(|(begins, ends, _)| begins <= from && from < ends) {
                Hours::PlannedStop
            } else if breaks.iter().any(|(begins, ends)| begins <= from && from < ends) {
                Hours::Break
            } else {
                Hours::Planned
            };
            match slots.last_mut().filter(|last| last.hours == hours) {
                Some(last) => last.to = *to,
                None => slots.push(slot(*from, *to, hours)),
            }
        }
        slots
    }

    /// The breaks of a shift on a date: as long as ever, however the clock is set.
    fn breaks(&self, date: Date, shift: &Shift, turn: &Turn<'_>) -> Vec<(Stamp, Stamp)> {
        let mut free = turn.from;
        let all = shift.breaks.iter().filter_map(|pause| {
            let on = if pause.start < shift.start { date.saturating_add(1.day()) } else { date };
            let from = self.instant(on.to_datetime(pause.start)).max(free);
            let to = from.plus(length_ms(pause.start, pause.end)).min(turn.to);
            free = free.max(to);
            (from < to).then_some((from, to))
        });
        all.collect()
    }

    fn day_of(&self, at: Stamp) -> (Date, Stamp, Stamp) {
        let mut date = self.date(at);
        if self.start_of(date) > at {
            date = date.saturating_sub(1.day());
        } else if self.end_of(date) <= at {
            date = date.saturating_add(1.day());
        }
        (date, self.start_of(date), self.end_of(date))
    }

    /// The date on the wall.
    fn date(&self, at: Stamp) -> Date {
        self.zone.to_datetime(timestamp(at)).date()
    }

    fn start_of(&self, date: Date) -> Stamp {
        self.instant(date.to_datetime(self.day_start))
    }

    fn end_of(&self, date: Date) -> Stamp {
        date.tomorrow().map_or(Stamp::MAX, |next| self.start_of(next))
    }

    /// When the wall clock first shows a local time, or first shows a later one. Never earlier for a later time.
    fn instant(&self, local: DateTime) -> Stamp {
        let at = match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local),
            AmbiguousOffset::Gap { after, .. } => after
                .to_timestamp(local)
                .map(|short_of| self.zone.following(short_of).next().map_or(short_of, |change| change.timestamp())),
        };
        match at {
            Ok(at) => Stamp::from_ms(at.as_millisecond()),
            Err(_) if local.year() < 0 => Stamp::MIN,
            Err(_) => Stamp::MAX,
        }
    }
}

impl On {
    /// Whether a shift starts on this date.
    pub fn holds(&self, date: Date, is_holiday: bool) -> bool {
        match self {
            On::Days { days, from, until } => {
                !is_holiday
                    && days.contains(&Weekday::of(date))
                    && from.is_none_or(|from| from <= date)
                    && until.is_none_or(|until| date <= until)
            }
            On::Dates(dates) => dates.contains(&date),
        }
    }
}

impl Weekday {
    /// The day of the week that a date is.
    pub fn of(date: Date) -> Weekday {
        use jiff::civil::Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
        match date.weekday() {
            Monday => Weekday::Mon,
            Tuesday => Weekday::Tue,
            Wednesday => Weekday::Wed,
            Thursday => Weekday::Thu,
            Friday => Weekday::Fri,
            Saturday => Weekday::Sat,
            Sunday => Weekday::Sun,
        }
    }
}

impl Slot {
    /// Its length.
    pub fn ms(&self) -> i64 {
        self.to.since(self.from)
    }
}

/// Milliseconds from one time of day to the next time that the clock shows the other: up to 24 hours.
pub fn length_ms(start: Time, end: Time) -> i64 {
    let ms = end.duration_since(start).as_millis();
    let ms = i64::try_from(ms).unwrap_or(0).rem_euclid(DAY_MS);
    if ms == 0 { DAY_MS } else { ms }
}

/// Where what starts on a date ends.
fn end_on(date: Date, start: Time, end: Time) -> DateTime {
    let date = if end <= start { date.saturating_add(1.day()) } else { date };
    date.to_datetime(end)
}

fn dates_from(first: Date) -> impl Iterator<Item = Date> {
    std::iter::successors(Some(first), |date| date.tomorrow().ok())
}

fn periods(from: Stamp, to: Stamp, of: impl Fn(Stamp) -> Period) -> impl Iterator<Item = Period> {
    let mut at = from;
    std::iter::from_fn(move || {
        (at < to).then(|| {
            let period = of(at);
            at = period.to;
            period
        })
    })
}

fn timestamp(at: Stamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at.ms()).unwrap_or(if at.ms() < 0 {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use proptest::prelude::*;

    fn berlin(day_start: &str) -> Calendar {
        Calendar::new(TimeZone::get("Europe/Berlin").unwrap(), day_start.parse().unwrap())
    }

    fn at(text: &str) -> Stamp {
        Stamp::from_ms(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_day_begins_at_local_midnight() {
        let day = berlin("00:00").day(at("2026-11-23T06:14:03Z"));
        assert_eq!(
            day,
            Period { id: "2026-11-23".into(), from: at("2026-11-22T23:00:00Z"), to: at("2026-11-23T23:00:00Z") }
        );
    }

    #[test]
    fn the_days_of_the_clock_change_have_23_and_25_hours() {
        let spring = berlin("00:00").day(at("2026-03-29T10:00:00Z"));
        assert_eq!(spring.to.since(spring.from), 23 * HOUR_MS);
        let autumn = berlin("00:00").day(at("2026-10-25T10:00:00Z"));
        assert_eq!(autumn.to.since(autumn.from), 25 * HOUR_MS);
    }

    #[test]
    fn a_night_shift_lies_wholly_in_the_day_that_it_began_in() {
        let calendar = berlin("06:00");
        assert_eq!(calendar.day(at("2026-11-24T04:59:59Z")).id, "2026-11-23");
        assert_eq!(calendar.day(at("2026-11-24T05:00:00Z")).id, "2026-11-24");
    }

    #[test]
    fn edges_are_hours_of_utc_and_days_of_the_zone() {
        let kolkata = Calendar::new(TimeZone::get("Asia/Kolkata").unwrap(), Time::midnight());
        assert_eq!(kolkata.next_edge(at("2026-11-23T18:10:00Z")), at("2026-11-23T18:30:00Z"), "midnight in Kolkata");
        assert_eq!(kolkata.next_edge(at("2026-11-23T18:30:00Z")), at("2026-11-23T19:00:00Z"));
        assert_eq!(kolkata.hour(at("2026-11-23T18:10:00Z")).id, "2026-11-23T18:00Z");
    }

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    const WEEK: [Weekday; 7] =
        [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

    /// `night 22:00-06:00 02:30-03:00`: a shift of every day and its breaks.
    fn shift(text: &str) -> Shift {
        let mut words = text.split(' ');
        let id = words.next().unwrap().to_owned();
        let mut spans = words.map(|span| span.split_once('-').map(|(a, b)| (time(a), time(b))).unwrap());
        let (start, end) = spans.next().unwrap();
        let on = On::Days { days: WEEK.into(), from: None, until: None };
        Shift { id, on, start, end, breaks: spans.map(|(start, end)| Break { start, end }).collect() }
    }

    fn only(days: &[Weekday], shift: Shift) -> Shift {
        Shift { on: On::Days { days: days.into(), from: None, until: None }, ..shift }
    }

    fn in_zone(zone: &str, day_start: &str, shifts: &[&str]) -> Calendar {
        let days = Calendar::new(TimeZone::get(zone).unwrap(), time(day_start));
        days.planned(shifts.iter().map(|text| shift(text)).collect(), vec![], vec![])
    }

    /// The slots of the shift with this id: local times, UTC offset, hours.
    fn told(calendar: &Calendar, id: &str) -> String {
        let start = at(&format!("{}T12:00:00Z", &id[..10]));
        let slots = calendar.slots(start.plus(-2 * DAY_MS), start.plus(2 * DAY_MS));
        let of = slots.filter(|slot| slot.shift.as_deref() == Some(id));
        let moment = |at| calendar.zoned(at).strftime("%H:%M%:z").to_string();
        of.map(|slot| format!("{} {} {:?} {}\n", moment(slot.from), moment(slot.to), slot.hours, slot.ms() / 60_000))
            .collect()
    }

    #[test]
    fn the_night_of_the_longer_clock_has_seven_hours() {
        let calendar = in_zone("Europe/Berlin", "06:00", &["night 22:00-06:00 02:30-03:00"]);
        let night = calendar.shift(at("2026-03-29T00:30:00Z")).unwrap();
        assert_eq!((night.id.as_str(), night.to.since(night.from)), ("2026-03-28/night", 7 * HOUR_MS));
        expect![[r#"
            22:00+01:00 03:00+02:00 Planned 240
            03:00+02:00 03:30+02:00 Break 30
            03:30+02:00 06:00+02:00 Planned 150
        "#]]
        .assert_eq(&told(&calendar, "2026-03-28/night"));
    }

    #[test]
    fn the_night_of_the_doubled_hour_has_nine_hours_and_one_break() {
        let calendar = in_zone("Europe/Berlin", "06:00", &["night 22:00-06:00 02:30-03:00"]);
        let night = calendar.shift(at("2026-10-25T01:30:00Z")).unwrap();
        assert_eq!((night.id.as_str(), night.to.since(night.from)), ("2026-10-24/night", 9 * HOUR_MS));
        expect![[r#"
            22:00+02:00 02:30+02:00 Planned 270
            02:30+02:00 02:00+01:00 Break 30
            02:00+01:00 06:00+01:00 Planned 240
        "#]]
        .assert_eq(&told(&calendar, "2026-10-24/night"));
    }

    #[test]
    fn two_breaks_around_the_skipped_hour_follow_each_other() {
        let calendar = in_zone("Europe/Berlin", "06:00", &["night 22:00-06:00 02:45-03:15 03:15-03:30"]);
        expect![[r#"
            22:00+01:00 03:00+02:00 Planned 240
            03:00+02:00 03:45+02:00 Break 45
            03:45+02:00 06:00+02:00 Planned 135
        "#]]
        .assert_eq(&told(&calendar, "2026-03-28/night"));
    }

    #[test]
    fn shifts_that_meet_at_the_clock_change_leave_no_hole_and_do_not_overlap() {
        let met = |start: &str| {
            let texts = [format!("one 18:00-{start}"), format!("two {start}-06:00")];
            let calendar = in_zone("Europe/Berlin", "06:00", &[&texts[0], &texts[1]]);
            let hours = |evening: &str| -> Vec<i64> {
                let from = at(&format!("{evening}T20:00:00Z"));
                let shifts: Vec<Period> = calendar.shifts(from, from.plus(7 * HOUR_MS)).collect();
                assert_eq!(shifts[0].to, shifts[1].from, "{start} {evening}");
                shifts.iter().map(|shift| shift.to.since(shift.from) / 60_000).collect()
            };
            (hours("2026-03-28"), hours("2026-10-24"))
        };
        // The moment of the change, in the hour that is skipped or doubled, and where that hour ends.
        assert_eq!(met("02:00"), (vec![8 * 60, 3 * 60], vec![8 * 60, 5 * 60]));
        assert_eq!(met("02:30"), (vec![8 * 60, 3 * 60], vec![8 * 60 + 30, 4 * 60 + 30]));
        assert_eq!(met("03:00"), (vec![8 * 60, 3 * 60], vec![10 * 60, 3 * 60]));
    }

    #[test]
    fn a_shift_inside_the_skipped_hour_is_not_there() {
        let calendar = in_zone("Europe/Berlin", "06:00", &["one 22:00-02:15", "two 02:15-02:45", "three 02:45-06:00"]);
        let from = at("2026-03-28T21:00:00Z");
        let ids: Vec<String> = calendar.shifts(from, from.plus(7 * HOUR_MS)).map(|shift| shift.id).collect();
        assert_eq!(ids, ["2026-03-28/one", "2026-03-29/three"]);
        assert!(calendar.slots(from, from.plus(7 * HOUR_MS)).all(|slot| slot.hours == Hours::Planned), "and no hole");
    }

    #[test]
    fn lord_howe_moves_by_half_an_hour() {
        let calendar = in_zone("Australia/Lord_Howe", "06:00", &["night 22:00-06:00 02:15-02:30"]);
        let length = |id: &str, noon: &str| {
            let shift = calendar.shifts(at(noon).plus(-DAY_MS), at(noon).plus(DAY_MS)).find(|shift| shift.id == id);
            shift.map(|shift| shift.to.since(shift.from) / 60_000)
        };
        assert_eq!(length("2026-10-03/night", "2026-10-03T12:00:00Z"), Some(7 * 60 + 30));
        assert_eq!(length("2026-04-04/night", "2026-04-04T12:00:00Z"), Some(8 * 60 + 30));
        expect![[r#"
            22:00+10:30 02:30+11:00 Planned 240
            02:30+11:00 02:45+11:00 Break 15
            02:45+11:00 06:00+11:00 Planned 195
        "#]]
        .assert_eq(&told(&calendar, "2026-10-03/night"));
    }

    #[test]
    fn kolkata_is_five_and_a_half_hours_ahead_all_year() {
        let calendar = in_zone("Asia/Kolkata", "06:00", &["early 06:00-14:00 10:00-10:30"]);
        let shift = calendar.shift(at("2026-11-23T00:30:00Z")).unwrap();
        assert_eq!(
            shift,
            Period { id: "2026-11-23/early".into(), from: at("2026-11-23T00:30:00Z"), to: at("2026-11-23T08:30:00Z") }
        );
        assert_eq!(calendar.shift(at("2026-11-23T00:29:59.999Z")), None);
        assert_eq!(calendar.slot(at("2026-11-23T04:45:00Z")).hours, Hours::Break);
    }

    #[test]
    fn closed_hours_end_with_their_day() {
        let calendar = in_zone("UTC", "06:00", &[]).planned(
            vec![only(&[Weekday::Mon], shift("early 06:00-14:00"))],
            vec![],
            vec![],
        );
        let closed = |from, to| Slot { from: at(from), to: at(to), hours: Hours::Unscheduled, shift: None };
        assert_eq!(calendar.slot(at("2026-11-23T20:00:00Z")), closed("2026-11-23T14:00:00Z", "2026-11-24T06:00:00Z"));
        assert_eq!(calendar.slot(at("2026-11-25T05:00:00Z")), closed("2026-11-24T06:00:00Z", "2026-11-25T06:00:00Z"));
        assert_eq!(calendar.planned_from(at("2026-11-23T20:00:00Z")), Some(at("2026-11-30T06:00:00Z")));
        assert_eq!(calendar.next_edge(at("2026-11-23T13:59:00Z")), at("2026-11-23T14:00:00Z"));
        assert_eq!(calendar.after_planned(at("2026-11-23T13:00:00Z"), 2 * HOUR_MS), at("2026-11-30T07:00:00Z"));
    }

    #[test]
    fn a_holiday_takes_the_shifts_that_start_on_it_and_leaves_extra_shifts() {
        let holiday = Holiday { from: date("2026-12-25"), until: date("2026-12-26"), name: None };
        let extra = Shift { on: On::Dates(vec![date("2026-12-26")]), ..shift("extra 08:00-12:00") };
        let calendar = in_zone("Europe/Berlin", "06:00", &[]).planned(
            vec![shift("night 22:00-06:00"), extra],
            vec![holiday],
            vec![],
        );
        let shifts: Vec<String> =
            calendar.shifts(at("2026-12-24T12:00:00Z"), at("2026-12-28T12:00:00Z")).map(|shift| shift.id).collect();
        assert_eq!(shifts, ["2026-12-24/night", "2026-12-26/extra", "2026-12-27/night"]);
    }

    #[test]
    fn a_holiday_without_shifts_is_a_day() {
        let holiday = Holiday { from: date("2026-12-25"), until: date("2026-12-25"), name: None };
        let calendar = in_zone("Europe/Berlin", "06:00", &[]).planned(vec![], vec![holiday], vec![]);
        let from = at("2026-12-24T05:00:00Z");
        let slots: Vec<(Hours, Option<String>, i64)> = calendar
            .slots(from, from.plus(3 * DAY_MS))
            .map(|slot| (slot.hours, slot.shift.clone(), slot.ms()))
            .collect();
        let day = |date: &str| (Hours::Planned, Some(date.to_owned()), DAY_MS);
        assert_eq!(slots, [day("2026-12-24"), (Hours::Unscheduled, None, DAY_MS), day("2026-12-26")]);
        assert_eq!(calendar.shift(at("2026-12-25T12:00:00Z")), None);
        assert_eq!(calendar.shifts(from, from.plus(3 * DAY_MS)).count(), 2);
    }

    #[test]
    fn a_shift_is_on_while_it_is_valid() {
        let valid = |from: Option<&str>, until: Option<&str>, text: &str| Shift {
            on: On::Days { days: WEEK.into(), from: from.map(date), until: until.map(date) },
            ..shift(text)
        };
        let calendar = in_zone("UTC", "00:00", &[]).planned(
            vec![
                valid(None, Some("2026-12-31"), "early 06:00-14:00"),
                valid(Some("2027-01-01"), None, "early 05:00-13:00"),
            ],
            vec![],
            vec![],
        );
        let starts: Vec<Stamp> =
            calendar.shifts(at("2026-12-31T00:00:00Z"), at("2027-01-02T00:00:00Z")).map(|shift| shift.from).collect();
        assert_eq!(starts, [at("2026-12-31T06:00:00Z"), at("2027-01-01T05:00:00Z")]);
    }

    #[test]
    fn a_planned_stop_counts_inside_shifts_and_swallows_a_break() {
        let weekly = PlannedStop {
            name: None,
            when: When::Weekly { days: vec![Weekday::Mon], start: time("13:00"), end: time("15:00") },
        };
        let once = PlannedStop {
            name: None,
            when: When::Once {
                from: "2026-11-23T08:55:00".parse().unwrap(),
                until: "2026-11-23T10:00:00".parse().unwrap(),
            },
        };
        let calendar = in_zone("UTC", "06:00", &[]).planned(
            vec![shift("early 06:00-14:00 08:50-09:10")],
            vec![],
            vec![weekly, once],
        );
        expect![[r#"
            06:00+00:00 08:50+00:00 Planned 170
            08:50+00:00 08:55+00:00 Break 5
            08:55+00:00 10:00+00:00 PlannedStop 65
            10:00+00:00 13:00+00:00 Planned 180
            13:00+00:00 14:00+00:00 PlannedStop 60
        "#]]
        .assert_eq(&told(&calendar, "2026-11-23/early"));
        assert_eq!(calendar.slot(at("2026-11-23T14:30:00Z")).hours, Hours::Unscheduled);
    }

    #[test]
    fn a_break_after_midnight_belongs_to_the_shift_that_contains_it() {
        let calendar = in_zone("UTC", "06:00", &["night 22:00-06:00 23:50-00:10 02:00-02:30"]);
        assert_eq!(calendar.slot(at("2026-11-24T00:05:00Z")).shift.as_deref(), Some("2026-11-23/night"));
        assert_eq!(calendar.slot(at("2026-11-24T02:15:00Z")).hours, Hours::Break);
        assert_eq!(calendar.slot(at("2026-11-24T23:55:00Z")).hours, Hours::Break);
    }

    #[test]
    fn a_calendar_is_kept_as_it_is() {
        let stop = PlannedStop {
            name: Some("stocktaking".into()),
            when: When::Once {
                from: "2026-12-23T12:00:00".parse().unwrap(),
                until: "2026-12-25T06:00:00".parse().unwrap(),
            },
        };
        let holiday = Holiday { from: date("2026-12-25"), until: date("2026-12-26"), name: Some("Christmas".into()) };
        let calendar = in_zone("Europe/Berlin", "06:00", &[]).planned(
            vec![
                shift("night 22:00-06:00 02:30-03:00"),
                Shift { on: On::Dates(vec![date("2026-12-26")]), ..shift("x 08:00-12:00") },
            ],
            vec![holiday],
            vec![stop],
        );
        let kept = serde_json::to_string(&calendar).unwrap();
        assert!(kept.starts_with(r#"{"zone":"Europe/Berlin","day_start":"06:00:00""#), "{kept}");
        assert_eq!(serde_json::from_str::<Calendar>(&kept).unwrap(), calendar);
    }

    #[test]
    fn the_ends_of_time_are_reached() {
        for calendar in
            [in_zone("Europe/Berlin", "06:00", &[]), in_zone("Europe/Berlin", "06:00", &["early 06:00-14:00"])]
        {
            for at in [Stamp::MIN, Stamp::from_ms(i64::MIN / 2), Stamp::from_ms(i64::MAX / 2), Stamp::MAX.plus(-1)] {
                let slot = calendar.slot(at);
                assert!(slot.from <= at && at < slot.to, "{slot:?}");
            }
            assert_eq!(calendar.slots(Stamp::MAX.plus(-1), Stamp::MAX).count(), 1);
        }
    }

    #[test]
    fn the_clock_changes_of_a_night_are_told() {
        let calendar = in_zone("Europe/Berlin", "06:00", &[]);
        let changes = |from: &str, to: &str| calendar.clock_changes(at(from), at(to)).collect::<Vec<_>>();
        assert_eq!(changes("2026-10-24T20:00:00Z", "2026-10-25T05:00:00Z"), [(at("2026-10-25T01:00:00Z"), -HOUR_MS)]);
        assert_eq!(changes("2026-11-24T20:00:00Z", "2026-11-25T05:00:00Z"), []);
    }

    const ZONES: [&str; 6] =
        ["Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "UTC", "America/St_Johns", "Pacific/Apia"];

    /// Shifts that follow each other round the day from `day_start` on, some of them left out, with breaks.
    fn any_calendar() -> impl Strategy<Value = Calendar> {
        let cuts = prop::collection::btree_set(1..96i64, 0..5);
        let stops = prop::collection::vec((0..7usize, 0..96i64, 1..96i64), 0..3);
        let days = prop::collection::vec(any::<u8>(), 6);
        (0..ZONES.len(), 0..96i64, cuts, days, stops, any::<bool>(), 0..28i8).prop_map(
            |(zone, start, cuts, days, stops, has_shifts, holiday)| {
                let clock = |quarter: i64| {
                    let quarter = quarter.rem_euclid(96);
                    Time::new(i8::try_from(quarter / 4).unwrap(), i8::try_from(quarter % 4 * 15).unwrap(), 0, 0)
                        .unwrap()
                };
                let edges: Vec<i64> = [0].into_iter().chain(cuts).chain([96]).collect();
                let shifts = edges.windows(2).zip(&days).enumerate().map(|(index, (edge, days))| {
                    let (from, to) = (edge[0] + start, edge[1] + start);
                    let breaks = match to - from {
                        4.. => vec![
                            Break { start: clock(from + 1), end: clock(from + 2) },
                            Break { start: clock(from + 2), end: clock(from + 4) },
                        ],
                        _ => vec![],
                    };
                    let days = WEEK.into_iter().enumerate().filter(|(day, _)| days >> day & 1 == 1);
                    let on = On::Days { days: days.map(|(_, day)| day).collect(), from: None, until: None };
                    Shift { id: index.to_string(), on, start: clock(from), end: clock(to), breaks }
                });
                let stops = stops.into_iter().map(|(day, from, length)| PlannedStop {
                    name: None,
                    when: When::Weekly { days: vec![WEEK[day]], start: clock(from), end: clock(from + length) },
                });
                let holiday = Date::constant(2026, 3, 1).saturating_add(i64::from(holiday).days());
                let holiday = Holiday { from: holiday, until: holiday.saturating_add(1.day()), name: None };
                let shifts = if has_shifts { shifts.collect() } else { vec![] };
                Calendar::new(TimeZone::get(ZONES[zone]).unwrap(), clock(start)).planned(
                    shifts,
                    vec![holiday],
                    stops.collect(),
                )
            },
        )
    }

    proptest! {
        /// Around every clock change of these zones, slots are gap-free, in order, end with their shift or day, and say what `slot` says.
        #[test]
        fn slots_fill_every_span(calendar in any_calendar(), month in 0..12i64, from_min in 0..40_000i64, length_min in 1..20_000i64) {
            let from = at("2026-01-01T00:00:00Z").plus(month * 30 * DAY_MS + from_min * 60_000);
            let to = from.plus(length_min * 60_000);
            let slots: Vec<Slot> = calendar.slots(from, to).collect();
            prop_assert_eq!((slots[0].from, slots[slots.len() - 1].to), (from, to));
            for pair in slots.windows(2) {
                prop_assert_eq!(pair[0].to, pair[1].from);
            }
            for slot in &slots {
                prop_assert!(slot.from < slot.to);
                prop_assert_eq!(slot.shift.is_none(), slot.hours == Hours::Unscheduled);
                let whole = calendar.slot(slot.from);
                prop_assert!(whole.from <= slot.from && slot.to <= whole.to && whole.hours == slot.hours);
                prop_assert_eq!(calendar.slot(slot.to.plus(-1)), whole);
                prop_assert!(slot.to <= calendar.day(slot.from).to, "shifts lie in days here");
            }
            // The shifts are the slots with an id, put together.
            let mut joined: Vec<Period> = Vec::new();
            for slot in &slots {
                let Some(id) = &slot.shift else { continue };
                match joined.last_mut().filter(|last| last.id == *id) {
                    Some(last) => last.to = slot.to,
                    None => joined.push(Period { id: id.clone(), from: slot.from, to: slot.to }),
                }
            }
            let shifts: Vec<Period> = calendar.shifts(from, to).collect();
            let cut = shifts.iter().map(|shift| Period { id: shift.id.clone(), from: shift.from.max(from), to: shift.to.min(to) });
            prop_assert_eq!(cut.collect::<Vec<_>>(), joined);
            for shift in &shifts {
                prop_assert_eq!(calendar.shift(shift.from), Some(shift.clone()));
                prop_assert_eq!(calendar.shift(shift.to.plus(-1)), Some(shift.clone()));
            }
        }

        /// After so much planned time exactly so much planned time has gone by.
        #[test]
        fn planned_time_is_counted_back_and_forth(calendar in any_calendar(), from_min in 0..500_000i64, ms in 0..100 * HOUR_MS) {
            let from = at("2026-01-01T00:00:00Z").plus(from_min * 60_000);
            let to = calendar.after_planned(from, ms);
            let planned_ms = |from, to| -> i64 {
                calendar.slots(from, to).filter(|slot| slot.hours == Hours::Planned).map(|slot| slot.ms()).sum()
            };
            if to == Stamp::MAX {
                prop_assert!(planned_ms(from, from.plus(AHEAD_MS)) < ms.max(1));
            } else {
                prop_assert_eq!(planned_ms(from, to), ms);
                prop_assert!(ms == 0 || calendar.slot(to.plus(-1)).hours == Hours::Planned, "and not later than needed");
                prop_assert_eq!(calendar.planned_from(from), Some(calendar.after_planned(from, 0)));
            }
        }
    }
}
