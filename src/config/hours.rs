//! Shifts, holidays and planned stops as they are written in, the calendar of each machine out.

use super::{
    meaning::Reader,
    mirror::{At, Break, Holiday, Machine, Mirror, PlannedStop, Shift},
    word::Moment,
};
use crate::books::calendar::{self, Calendar, On, Weekday, When, length_ms};
use jiff::{
    ToSpan,
    civil::{Date, Time},
};
use std::{collections::BTreeSet, ops::Range, sync::Arc};

/// How many days two shifts are held against each other from the first on which both are valid: a year of holidays.
const COMPARED_DAYS: usize = 400;

/// Where the comparison begins if neither shift says since when it is valid.
const LONG_AGO: Date = Date::constant(2000, 1, 1);

const DAY_MIN: i64 = 24 * 60;

/// What one machine is given of the three tables, by place.
#[derive(PartialEq)]
struct Given {
    shifts: Vec<usize>,
    holidays: Vec<usize>,
    stops: Vec<usize>,
}

/// A shift that can be held against others, in minutes from the beginning of its date.
struct Timed<'a> {
    shift: &'a At<Shift>,
    id: &'a At<super::word::Name>,
    on: On,
    start_min: i64,
    end_min: i64,
}

impl<'a> Reader<'a> {
    /// The calendar of each machine, in order; machines with equal calendars share one.
    pub(super) fn calendars(&mut self, mirror: &'a Mirror, days: &Calendar) -> Vec<Arc<Calendar>> {
        for shift in &mirror.shift {
            self.shift(shift);
            self.whose(&shift.machines, &shift.lines, mirror);
        }
        for holiday in &mirror.holiday {
            self.holiday(holiday);
            self.whose(&holiday.machines, &holiday.lines, mirror);
        }
        for stop in &mirror.planned_stop {
            self.planned_stop(stop, days);
            self.whose(&stop.machines, &stop.lines, mirror);
        }
        let timed: Vec<Option<Timed<'_>>> = mirror.shift.iter().map(timed).collect();
        let mut told = BTreeSet::new();
        let mut made: Vec<(Given, Arc<Calendar>)> = Vec::new();
        if mirror.machine.is_empty() {
            let all = Given { shifts: (0..timed.len()).collect(), holidays: Vec::new(), stops: Vec::new() };
            self.side_by_side(&timed, &all, &[], &mut told);
        }
        let mut calendars = Vec::new();
        for machine in &mirror.machine {
            let given = given(mirror, machine);
            if let Some((_, calendar)) = made.iter().find(|(known, _)| *known == given) {
                calendars.push(calendar.clone());
                continue;
            }
            let holidays: Vec<_> = given.holidays.iter().filter_map(|ix| holiday(&mirror.holiday[*ix])).collect();
            self.side_by_side(&timed, &given, &holidays, &mut told);
            let shifts = given.shifts.iter().filter_map(|ix| timed[*ix].as_ref()).map(Timed::meant).collect();
            let stops = given.stops.iter().filter_map(|ix| planned_stop(&mirror.planned_stop[*ix], days)).collect();
            let calendar = days.planned(shifts, holidays, stops);
            self.never_but_then(machine, &timed, &given);
            let shared = made.iter().map(|(_, known)| known).find(|known| ***known == calendar).cloned();
            let calendar = shared.unwrap_or_else(|| Arc::new(calendar));
            calendars.push(calendar.clone());
            made.push((given, calendar));
        }
        self.across_day_start(&timed, days.day_start(), &told);
        calendars
    }

    /// Machines and lines that something is limited to.
    fn whose(&mut self, machines: &[At<String>], lines: &[At<String>], mirror: &Mirror) {
        self.machines_known(machines, mirror);
        self.lines_known(lines.iter().map(|name| (name.as_str(), &name.span)), mirror);
    }

    // One table by itself

    fn shift(&mut self, shift: &Shift) {
        if let (Some(start), Some(end)) = (&shift.start, &shift.end)
            && start.value == end.value
        {
            let hint = "give it another `end`; two shifts of 12 hours fill a day".to_owned();
            self.fault("contradiction", &end.span, "it ends when it starts".to_owned(), hint);
        }
        if shift.dates.is_written() {
            let beside = [
                ("days", shift.days.is_written().then_some(&shift.days.span)),
                ("valid_from", shift.valid_from.as_ref().map(|at| &at.span)),
                ("valid_until", shift.valid_until.as_ref().map(|at| &at.span)),
            ];
            for (key, span) in beside {
                if let Some(span) = span {
                    let what = format!("`{key}` beside `dates`: the dates alone say when it is");
                    self.fault("contradiction", span, what, "keep one of them".to_owned());
                }
            }
        }
        for (key, span, is_empty) in
            [("days", &shift.days.span, shift.days.is_empty()), ("dates", &shift.dates.span, shift.dates.is_empty())]
        {
            if is_empty && !span.is_empty() {
                let what = format!("`{key}` is empty: the shift would never be");
                self.fault("out-of-range", span, what, "take the shift away, or say when it is".to_owned());
            }
        }
        if let (Some(from), Some(until)) = (&shift.valid_from, &shift.valid_until)
            && until.0 < from.0
        {
            let what = format!("`valid_until` ({}) is before `valid_from` ({})", until.0, from.0);
            self.fault("contradiction", &until.span, what, "it is the last date that the shift starts on".to_owned());
        }
        self.breaks(shift);
    }

    fn breaks(&mut self, shift: &Shift) {
        let mut known: Vec<(i64, i64, &Break)> = Vec::new();
        for pause in &shift.breaks {
            let (Some(from), Some(to)) = (&pause.start, &pause.end) else { continue };
            if from.value == to.value {
                let what = "it ends when it starts".to_owned();
                self.fault("contradiction", &to.span, what, "give it another `end`".to_owned());
                continue;
            }
            let (Some(start), Some(end)) = (&shift.start, &shift.end) else { continue };
            if start.value == end.value {
                continue;
            }
            // Minutes of the shift.
            let (begins, ends, over) = (since(start.0, from.0), since(start.0, to.0), since(start.0, end.0));
            if ends <= begins || ends > over {
                let what = format!(
                    "a break from {} to {} does not lie in the shift, which goes from {} to {}",
                    clock(from.0),
                    clock(to.0),
                    clock(start.0),
                    clock(end.0)
                );
                let hint = "a break stands in the shift that contains all of it".to_owned();
                self.fault("contradiction", &from.span, what, hint);
                continue;
            }
            if let Some((_, _, other)) = known.iter().find(|(from, to, _)| *from < ends && begins < *to)
                && let Some(first) = &other.start
            {
                let what = format!(
                    "the break overlaps the one that begins at {}, at {}",
                    clock(first.0),
                    self.sources.place(&first.span)
                );
                self.fault("contradiction", &from.span, what, "make one break of them".to_owned());
            }
            known.push((begins, ends, pause));
        }
    }

    fn holiday(&mut self, holiday: &At<Holiday>) {
        match (&holiday.date, &holiday.from, &holiday.until) {
            (Some(_), Some(other), _) | (Some(_), None, Some(other)) => {
                let what = "`date` is one day, `from` and `until` are several".to_owned();
                self.fault("contradiction", &other.span, what, "keep one of both".to_owned());
            }
            (None, Some(from), Some(until)) if until.0 < from.0 => {
                let what = format!("`until` ({}) is before `from` ({})", until.0, from.0);
                self.fault("contradiction", &until.span, what, "it is the last date".to_owned());
            }
            (Some(_), None, None) | (None, Some(_), Some(_)) => {}
            _ if holiday.cut => {}
            (None, Some(at), None) => {
                let what = "`from` without `until`".to_owned();
                self.fault("missing-key", &at.span, what, "add `until`, the last date; or write `date`".to_owned());
            }
            (None, None, Some(at)) => {
                self.fault("missing-key", &at.span, "`until` without `from`".to_owned(), "add `from`".to_owned());
            }
            (None, None, None) => {
                let hint = "add `date = \"2026-12-25\"`, or `from` and `until`".to_owned();
                self.fault("missing-key", &holiday.span, "the holiday has no date".to_owned(), hint);
            }
        }
    }

    fn planned_stop(&mut self, stop: &At<PlannedStop>, days: &Calendar) {
        let weekly = [
            stop.days.is_written().then_some(&stop.days.span),
            stop.start.as_ref().map(|at| &at.span),
            stop.end.as_ref().map(|at| &at.span),
        ];
        let once = [stop.from.as_ref().map(|at| &at.span), stop.until.as_ref().map(|at| &at.span)];
        let of = |spans: &[Option<&Range<usize>>]| spans.iter().flatten().next().map(|span| (*span).clone());
        match (of(&weekly), of(&once)) {
            (Some(_), Some(other)) => {
                let what = "`days`, `start` and `end` are every week, `from` and `until` are once".to_owned();
                self.fault("contradiction", &other, what, "keep one of both".to_owned());
            }
            _ if stop.cut => {}
            (None, None) => {
                let hint = "add `days`, `start` and `end` for every week, or `from` and `until`".to_owned();
                self.fault("missing-key", &stop.span, "the planned stop has no time".to_owned(), hint);
            }
            (Some(at), None) => match (&stop.start, &stop.end) {
                _ if stop.days.is_empty() => {
                    let hint = "add the days that it begins on, `days = [\"fri\"]`".to_owned();
                    self.fault("missing-key", &at, "the planned stop is on no day".to_owned(), hint);
                }
                (Some(start), Some(end)) if start.value == end.value => {
                    let what = "it ends when it starts".to_owned();
                    self.fault("contradiction", &end.span, what, "leave both out for the whole day".to_owned());
                }
                (Some(at), None) => {
                    self.fault("missing-key", &at.span, "`start` without `end`".to_owned(), "add `end`".to_owned());
                }
                (None, Some(at)) => {
                    self.fault("missing-key", &at.span, "`end` without `start`".to_owned(), "add `start`".to_owned());
                }
                _ => {}
            },
            (None, Some(at)) => match (&stop.from, &stop.until) {
                (Some(_), Some(until)) => {
                    if let Some(When::Once { from, until: to }) = when(stop, days)
                        && to <= from
                    {
                        let what = "it ends before it starts".to_owned();
                        self.fault("contradiction", &until.span, what, "give it a later `until`".to_owned());
                    }
                }
                (None, _) => self.fault("missing-key", &at, "`until` without `from`".into(), "add `from`".to_owned()),
                (_, None) => self.fault("missing-key", &at, "`from` without `until`".into(), "add `until`".to_owned()),
            },
        }
    }

    // Tables held against each other

    /// `overlaps`: pairs of shifts that some machine has at once. One that reaches into the shift after it is to end there,
    /// before anything is said of where the day begins.
    fn across_day_start(&mut self, timed: &[Option<Timed<'_>>], day_start: Time, overlaps: &BTreeSet<(usize, usize)>) {
        let day_start_min = minute(day_start);
        let next = |place: usize, t: &Timed<'_>| {
            let others = overlaps.iter().filter_map(|(a, b)| match (*a == place, *b == place) {
                (true, _) => timed[*b].as_ref(),
                (_, true) => timed[*a].as_ref(),
                _ => None,
            });
            let begins = |other: &Timed<'_>| t.start_min + (other.start_min - t.start_min).rem_euclid(DAY_MIN);
            let inside = others.map(|other| (begins(other), other.id.0.clone()));
            inside.filter(|(begins, _)| t.start_min < *begins && *begins < t.end_min).min()
        };
        // As they would be if each ended where the next one begins.
        let mended: Vec<(&Timed<'_>, Option<(i64, String)>)> = (timed.iter().enumerate())
            .filter_map(|(place, t)| {
                t.as_ref().map(|t| (t, t.crosses(day_start_min).then(|| next(place, t)).flatten()))
            })
            .collect();
        let crosses = |(t, next): &(&Timed<'_>, Option<(i64, String)>), edge_min: i64| {
            let end_min = next.as_ref().map_or(t.end_min, |(begins_min, _)| *begins_min);
            is_between(t.start_min, end_min, edge_min)
        };
        let is_free = |edge_min: i64| !mended.iter().any(|one| crosses(one, edge_min));
        let edges: BTreeSet<i64> = mended.iter().flat_map(|(t, _)| [t.start_min, t.end_min % DAY_MIN]).collect();
        let later_min = |edge_min: i64| (edge_min - day_start_min).rem_euclid(DAY_MIN);
        let fits = edges.into_iter().filter(|edge| is_free(*edge)).min_by_key(|edge| later_min(*edge));
        for (t, next) in mended.iter().filter(|(t, _)| t.crosses(day_start_min)) {
            let what =
                format!("shift `{}` goes across `day_start` ({}): it would lie in two days", t.id.0, clock(day_start));
            let mut hints = Vec::new();
            if let Some((begins_min, other)) = next {
                hints.push(format!("let it end at {}, where shift `{other}` begins", clock(time(*begins_min))));
            }
            match fits {
                _ if is_free(day_start_min) => {}
                Some(edge) => hints.push(format!(
                    "write day_start = \"{}\" at the top of the file: no shift goes across it",
                    clock(time(edge))
                )),
                None => hints.push(
                    "no time of day lies between the shifts of all machines: let them begin or end together once a day"
                        .to_owned(),
                ),
            }
            self.fault("contradiction", &t.id.span, what, hints.join(", and "));
        }
    }

    /// Shifts of one machine: no two at once, no two of one id on a date.
    fn side_by_side(
        &mut self,
        timed: &[Option<Timed<'_>>],
        given: &Given,
        holidays: &[calendar::Holiday],
        told: &mut BTreeSet<(usize, usize)>,
    ) {
        for (place, later) in given.shifts.iter().enumerate() {
            for earlier in &given.shifts[..place] {
                let (Some(a), Some(b)) = (&timed[*earlier], &timed[*later]) else { continue };
                if told.contains(&(*earlier, *later)) {
                    continue;
                }
                let first = self.sources.place(&a.id.span);
                let fault = if a.id.0 == b.id.0
                    && let Some(date) = a.meets(b, 0, holidays)
                {
                    let what = format!("shift `{}` stands twice on {}, first at {first}", b.id.0, day(date));
                    Some(("duplicate", what, "give one of them another id, or other days, dates or machines"))
                } else {
                    a.overlap(b, holidays).map(|(date, from, to)| {
                        let what = format!(
                            "shift `{}` overlaps shift `{}` at {first}: both are on {} from {} to {}",
                            b.id.0,
                            a.id.0,
                            day(date),
                            clock(from),
                            clock(to)
                        );
                        (
                            "contradiction",
                            what,
                            "let one end where the other starts, or give them other days, dates or machines",
                        )
                    })
                };
                if let Some((code, what, hint)) = fault {
                    self.fault(code, &b.id.span, what, hint.to_owned());
                    told.insert((*earlier, *later));
                }
            }
        }
    }

    /// A machine with nothing but extra shifts stands on every other day.
    fn never_but_then(&mut self, machine: &At<Machine>, timed: &[Option<Timed<'_>>], given: &Given) {
        let shifts: Vec<&Timed<'_>> = given.shifts.iter().filter_map(|ix| timed[*ix].as_ref()).collect();
        let are_extra = !shifts.is_empty() && shifts.iter().all(|t| matches!(t.on, On::Dates(_)));
        if let (true, Some(id), Some(first)) = (are_extra, &machine.id, shifts.first()) {
            let what = format!("`{}` has extra shifts only: on all other dates it is not planned to run", id.0);
            let hint = "give it shifts with `days` too, or none at all for around the clock".to_owned();
            self.warning("no-effect", &first.shift.dates.span, what, hint);
        }
    }
}

impl Timed<'_> {
    fn crosses(&self, edge_min: i64) -> bool {
        is_between(self.start_min, self.end_min, edge_min)
    }

    /// The first date on which `self` is on, and `other` so many days later.
    fn meets(&self, other: &Timed<'_>, later_days: i64, holidays: &[calendar::Holiday]) -> Option<Date> {
        let holds = |on: &On, date: Date| {
            on.holds(date, holidays.iter().any(|holiday| holiday.from <= date && date <= holiday.until))
        };
        let both = |date: &Date| holds(&self.on, *date) && holds(&other.on, date.saturating_add(later_days.days()));
        match (&self.on, &other.on) {
            (On::Dates(dates), _) => dates.iter().copied().find(both),
            (_, On::Dates(dates)) => dates.iter().map(|date| date.saturating_sub(later_days.days())).find(both),
            (On::Days { from: a, .. }, On::Days { from: b, .. }) => {
                let first = a.max(b).unwrap_or(LONG_AGO).saturating_sub(1.day());
                let dates = std::iter::successors(Some(first), |date| date.tomorrow().ok());
                dates.take(COMPARED_DAYS).find(|date| both(date))
            }
        }
    }

    /// The first date on which both are on at once, from when to when.
    fn overlap(&self, other: &Timed<'_>, holidays: &[calendar::Holiday]) -> Option<(Date, Time, Time)> {
        [0, 1, -1].into_iter().find_map(|later_days| {
            let moved_min = later_days * DAY_MIN;
            let from = self.start_min.max(other.start_min + moved_min);
            let to = self.end_min.min(other.end_min + moved_min);
            let date = (from < to).then(|| self.meets(other, later_days, holidays)).flatten()?;
            Some((date.saturating_add(from.div_euclid(DAY_MIN).days()), time(from), time(to)))
        })
    }

    fn meant(&self) -> calendar::Shift {
        let start = self.shift.start.as_ref().map_or(Time::midnight(), |start| start.0);
        let mut breaks: Vec<calendar::Break> = self
            .shift
            .breaks
            .iter()
            .filter_map(|pause| Some(calendar::Break { start: pause.start.as_ref()?.0, end: pause.end.as_ref()?.0 }))
            .collect();
        breaks.sort_by_key(|pause| since(start, pause.start));
        calendar::Shift { id: self.id.0.clone(), on: self.on.clone(), start, end: time(self.end_min), breaks }
    }
}

/// `None` for a shift that something is wrong with, which has been said.
fn timed(shift: &At<Shift>) -> Option<Timed<'_>> {
    let (start, end) = (shift.start.as_ref()?.0, shift.end.as_ref()?.0);
    if shift.cut || start == end {
        return None;
    }
    let on = if shift.dates.is_empty() {
        On::Days {
            days: shift.days.iter().map(|day| day.value).collect::<BTreeSet<Weekday>>().into_iter().collect(),
            from: shift.valid_from.as_ref().map(|at| at.0),
            until: shift.valid_until.as_ref().map(|at| at.0),
        }
    } else {
        On::Dates(shift.dates.iter().map(|at| at.0).collect::<BTreeSet<Date>>().into_iter().collect())
    };
    let start_min = minute(start);
    Some(Timed { shift, id: shift.id.as_ref()?, on, start_min, end_min: start_min + length_ms(start, end) / 60_000 })
}

fn given(mirror: &Mirror, machine: &Machine) -> Given {
    let is_meant = |machines: &[At<String>], lines: &[At<String>]| {
        let is_named = |names: &[At<String>], name: Option<&str>| names.iter().any(|at| Some(at.as_str()) == name);
        machines.is_empty() && lines.is_empty()
            || is_named(machines, machine.id.as_ref().map(|id| id.0.as_str()))
            || is_named(lines, machine.line.as_ref().map(|line| line.0.as_str()))
    };
    let places = |meant: Vec<bool>| (0..meant.len()).filter(|ix| meant[*ix]).collect();
    Given {
        shifts: places(mirror.shift.iter().map(|shift| is_meant(&shift.machines, &shift.lines)).collect()),
        holidays: places(mirror.holiday.iter().map(|day| is_meant(&day.machines, &day.lines)).collect()),
        stops: places(mirror.planned_stop.iter().map(|stop| is_meant(&stop.machines, &stop.lines)).collect()),
    }
}

fn holiday(holiday: &Holiday) -> Option<calendar::Holiday> {
    let one = holiday.date.as_ref();
    let from = one.or(holiday.from.as_ref())?.0;
    let until = one.or(holiday.until.as_ref())?.0;
    Some(calendar::Holiday { from, until, name: holiday.name.as_ref().map(|name| name.value.clone()) })
}

fn planned_stop(stop: &PlannedStop, days: &Calendar) -> Option<calendar::PlannedStop> {
    let name = stop.name.as_ref().map(|name| name.value.clone());
    Some(calendar::PlannedStop { name, when: when(stop, days)? })
}

/// A whole day begins at `day_start`.
fn when(stop: &PlannedStop, days: &Calendar) -> Option<When> {
    if let (Some(from), Some(until)) = (&stop.from, &stop.until) {
        let from = match from.value {
            Moment::Day(date) => date.to_datetime(days.day_start()),
            Moment::At(at) => at,
        };
        let until = match until.value {
            Moment::Day(date) => date.saturating_add(1.day()).to_datetime(days.day_start()),
            Moment::At(at) => at,
        };
        return Some(When::Once { from, until });
    }
    let week: BTreeSet<Weekday> = stop.days.iter().map(|day| day.value).collect();
    let start = stop.start.as_ref().map_or(days.day_start(), |at| at.0);
    let end = stop.end.as_ref().map_or(days.day_start(), |at| at.0);
    (!week.is_empty()).then(|| When::Weekly { days: week.into_iter().collect(), start, end })
}

/// Whether a time of day lies inside a shift.
fn is_between(start_min: i64, end_min: i64, edge_min: i64) -> bool {
    [edge_min, edge_min + DAY_MIN].iter().any(|edge| start_min < *edge && *edge < end_min)
}

fn minute(time: Time) -> i64 {
    i64::from(time.hour()) * 60 + i64::from(time.minute())
}

/// The time of day so many minutes after a midnight.
fn time(minutes: i64) -> Time {
    let minutes = minutes.rem_euclid(DAY_MIN);
    let narrow = |number: i64| i8::try_from(number).unwrap_or(0);
    Time::new(narrow(minutes / 60), narrow(minutes % 60), 0, 0).unwrap_or(Time::midnight())
}

/// Minutes from a start to the next time that the clock shows `at`; none at the start itself.
fn since(start: Time, at: Time) -> i64 {
    (minute(at) - minute(start)).rem_euclid(DAY_MIN)
}

fn clock(time: Time) -> String {
    time.strftime("%H:%M").to_string()
}

/// The day of the week, where no date was written.
fn day(date: Date) -> String {
    let format = if date.year() <= LONG_AGO.year() { "%As" } else { "%a %Y-%m-%d" };
    date.strftime(format).to_string()
}
