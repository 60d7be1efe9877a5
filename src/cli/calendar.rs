//! `andon calendar`: the configuration in, what it understood of shifts, breaks, holidays and planned stops out, day by day.

use super::{Exit, Failure};
use crate::{
    books::{
        Calendar, Hours,
        calendar::{Period, Slot},
    },
    config::Plan,
    event::Stamp,
    io::clock,
};
use clap::{Args, ValueEnum};
use jiff::{ToSpan, civil::Date};
use serde::Serialize;
use std::{
    fmt::Write as _,
    io::{self, Write},
    sync::Arc,
};

/// Days that are shown where nothing is said.
const DAYS: i64 = 7;

/// Most days in one go: a year, and then some.
const DAYS_MOST: usize = 400;

/// Columns of a terminal.
const COLUMNS: usize = 80;

#[derive(Debug, Args)]
pub(super) struct What {
    /// Only this machine.
    #[arg(long, value_name = "ID")]
    machine: Option<String>,
    /// First date; today if left out.
    #[arg(long, value_name = "DATE", value_parser = date)]
    from: Option<Date>,
    /// Last date; six days after the first if left out.
    #[arg(long, value_name = "DATE", value_parser = date)]
    to: Option<Date>,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
}

/// All that is printed.
#[derive(Serialize)]
struct Sheet<'a> {
    timezone: &'a str,
    day_start: String,
    calendars: Vec<Page<'a>>,
}

/// Machines that share a calendar.
#[derive(Serialize)]
struct Page<'a> {
    machines: Vec<&'a str>,
    around_the_clock: bool,
    days: Vec<Day>,
}

#[derive(Serialize)]
struct Day {
    date: String,
    weekday: String,
    from: Moment,
    to: Moment,
    length_ms: i64,
    planned_ms: i64,
    holiday: Option<Holiday>,
    clock_changes: Vec<ClockChange>,
    shifts: Vec<Shift>,
}

#[derive(Serialize)]
struct Holiday {
    name: Option<String>,
}

#[derive(Serialize)]
struct Shift {
    /// `2026-11-23/early`; the date where there are no shifts.
    id: String,
    from: Moment,
    to: Moment,
    length_ms: i64,
    planned_ms: i64,
    clock_changes: Vec<ClockChange>,
    slots: Vec<Piece>,
}

#[derive(Serialize)]
struct Piece {
    from: Moment,
    to: Moment,
    length_ms: i64,
    hours: Hours,
    /// Names of planned stops.
    names: Vec<String>,
}

#[derive(Clone, Serialize)]
struct ClockChange {
    at: Moment,
    by_ms: i64,
}

/// A moment of the wall clock, with its offset.
#[derive(Clone)]
struct Moment(jiff::ZonedDateTime);

pub(super) fn run(plan: &Plan, what: &What) -> Result<(), Failure> {
    super::known_machine(plan, what.machine.as_deref())?;
    let rules = &plan.rules;
    let today =
        || Date::strptime("%F", rules.calendar.day(clock::wall()).id).map_err(|error| Failure::new(Exit::Bug, &error));
    let from = what.from.map_or_else(today, Ok)?;
    let to = what.to.unwrap_or(from.saturating_add((DAYS - 1).days()));
    if to < from {
        return Err(Failure::say(Exit::Usage, format!("--to {to} is before --from {from}")));
    }
    let dates: Vec<Date> = std::iter::successors(Some(from), |date| date.tomorrow().ok())
        .take_while(|date| *date <= to)
        .take(DAYS_MOST + 1)
        .collect();
    if dates.len() > DAYS_MOST {
        return Err(Failure::say(Exit::Usage, format!("from {from} to {to} are more than {DAYS_MOST} days")));
    }
    let sheet = Sheet {
        timezone: rules.calendar.zone(),
        day_start: rules.calendar.day_start().strftime("%H:%M").to_string(),
        calendars: pages(plan, what.machine.as_deref(), &dates),
    };
    let mut out = io::stdout().lock();
    Failure::unless_printed(match what.format {
        Format::Table => out.write_all(sheet.table().as_bytes()),
        Format::Json => {
            serde_json::to_string_pretty(&sheet).map_err(io::Error::other).and_then(|json| writeln!(out, "{json}"))
        }
    })
}

fn date(text: &str) -> Result<Date, String> {
    let date = (text.len() == 10).then(|| text.parse().ok()).flatten();
    date.ok_or_else(|| "a date is year-month-day: 2026-12-24".to_owned())
}

/// In the order of the machines; those of one calendar together.
fn pages<'a>(plan: &'a Plan, machine: Option<&str>, dates: &[Date]) -> Vec<Page<'a>> {
    let mut groups: Vec<(&Arc<Calendar>, Vec<&str>)> = Vec::new();
    for rules in plan.rules.machines.iter().filter(|rules| machine.is_none_or(|id| rules.id == id)) {
        match groups.iter_mut().find(|(calendar, _)| **calendar == rules.calendar) {
            Some((_, machines)) => machines.push(&rules.id),
            None => groups.push((&rules.calendar, vec![&rules.id])),
        }
    }
    let page = |(calendar, machines): (&Arc<Calendar>, _)| Page {
        machines,
        around_the_clock: !calendar.has_shifts(),
        days: dates.iter().map(|date| Day::of(calendar, *date)).collect(),
    };
    groups.into_iter().map(page).collect()
}

impl Day {
    fn of(calendar: &Calendar, date: Date) -> Day {
        let day = calendar.day_on(date);
        let shifts: Vec<Shift> = calendar.shifts(day.from, day.to).map(|shift| Shift::of(calendar, shift)).collect();
        Day {
            date: date.to_string(),
            weekday: date.strftime("%a").to_string(),
            from: Moment(calendar.zoned(day.from)),
            to: Moment(calendar.zoned(day.to)),
            length_ms: day.to.since(day.from),
            planned_ms: shifts.iter().map(|shift| shift.planned_ms).sum(),
            holiday: calendar.holiday(date).map(|holiday| Holiday { name: holiday.name.clone() }),
            clock_changes: clock_changes(calendar, day.from, day.to),
            shifts,
        }
    }
}

impl Shift {
    fn of(calendar: &Calendar, shift: Period) -> Shift {
        let slots: Vec<Slot> = calendar.slots(shift.from, shift.to).collect();
        let planned = slots.iter().filter(|slot| slot.hours == Hours::Planned);
        Shift {
            id: shift.id,
            from: Moment(calendar.zoned(shift.from)),
            to: Moment(calendar.zoned(shift.to)),
            length_ms: shift.to.since(shift.from),
            planned_ms: planned.map(Slot::ms).sum(),
            clock_changes: clock_changes(calendar, shift.from, shift.to),
            slots: slots.iter().map(|slot| Piece::of(calendar, slot)).collect(),
        }
    }
}

impl Piece {
    fn of(calendar: &Calendar, slot: &Slot) -> Piece {
        let stops = match slot.hours {
            Hours::PlannedStop => calendar.planned_stops(slot.from, slot.to),
            _ => Vec::new(),
        };
        let mut names: Vec<String> = stops.into_iter().filter_map(|(.., stop)| stop.name.clone()).collect();
        names.dedup();
        Piece {
            from: Moment(calendar.zoned(slot.from)),
            to: Moment(calendar.zoned(slot.to)),
            length_ms: slot.ms(),
            hours: slot.hours,
            names,
        }
    }
}

fn clock_changes(calendar: &Calendar, from: Stamp, to: Stamp) -> Vec<ClockChange> {
    let changes = calendar.clock_changes(from, to);
    changes.map(|(at, by_ms)| ClockChange { at: Moment(calendar.zoned(at)), by_ms }).collect()
}

impl Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.strftime("%Y-%m-%dT%H:%M:%S%:z"))
    }
}

impl Moment {
    /// `06:00+01:00`
    fn local(&self) -> String {
        self.0.strftime("%H:%M%:z").to_string()
    }

    /// `05:00Z`
    fn utc(&self) -> String {
        self.0.timestamp().strftime("%H:%MZ").to_string()
    }
}

// For people

impl Sheet<'_> {
    fn table(&self) -> String {
        let mut text = String::new();
        for page in &self.calendars {
            if !text.is_empty() {
                text.push('\n');
            }
            page.table(&mut text);
            let _ = writeln!(text, "  {}; days begin at {}", self.timezone, self.day_start);
            if page.around_the_clock {
                let _ = writeln!(text, "  no [[shift]]: planned to run around the clock");
            }
            let ids = page.days.iter().flat_map(|day| day.shifts.iter().map(|shift| shift.name(day).chars().count()));
            let width = ids.max().unwrap_or(0);
            for day in &page.days {
                day.table(page.around_the_clock, width, &mut text);
            }
        }
        if self.calendars.is_empty() {
            text.push_str("there is no [[machine]]\n");
        }
        text
    }
}

impl Page<'_> {
    /// The machines, in as many lines as they take.
    fn table(&self, text: &mut String) {
        let mut column = 0;
        for (place, machine) in self.machines.iter().enumerate() {
            let comma = if place + 1 < self.machines.len() { "," } else { "" };
            let length = machine.chars().count() + comma.len();
            if column > 0 && column + 1 + length > COLUMNS {
                text.push('\n');
                column = 0;
            }
            if column > 0 {
                text.push(' ');
                column += 1;
            }
            let _ = write!(text, "{machine}{comma}");
            column += length;
        }
        text.push('\n');
    }
}

impl Day {
    fn table(&self, is_whole: bool, width: usize, text: &mut String) {
        let mut words = vec![format!("{} {}", self.weekday, self.date)];
        if self.planned_ms > 0 || !self.shifts.is_empty() {
            words.push(format!("planned {}", length(self.planned_ms)));
        } else {
            words.push("not planned".to_owned());
        }
        if let Some(holiday) = &self.holiday {
            words.push(holiday.name.as_ref().map_or("holiday".to_owned(), |name| format!("holiday: {name}")));
        }
        let _ = writeln!(text, "\n{}", words.join("  "));
        for shift in &self.shifts {
            if !is_whole {
                let _ = writeln!(
                    text,
                    "  {:width$}  {} – {}  {} – {}  {}",
                    shift.name(self),
                    shift.from.local(),
                    shift.to.local(),
                    shift.from.utc(),
                    shift.to.utc(),
                    length(shift.planned_ms)
                );
            }
            let indent = if is_whole { 0 } else { width + 2 };
            for piece in shift.slots.iter().filter(|piece| piece.hours != Hours::Planned) {
                let what = match piece.hours {
                    Hours::Break => "break".to_owned(),
                    _ if piece.names.is_empty() => "planned stop".to_owned(),
                    _ => format!("planned stop: {}", piece.names.join(", ")),
                };
                let _ = writeln!(text, "  {:indent$}{} – {}  {what}", "", piece.from.local(), piece.to.local());
            }
            if !is_whole {
                told(&shift.clock_changes, "shift", shift.length_ms, indent, text);
            }
        }
        let is_told = |change: &ClockChange| {
            !is_whole && self.shifts.iter().flat_map(|shift| &shift.clock_changes).any(|told| told.at.0 == change.at.0)
        };
        let rest: Vec<ClockChange> = self.clock_changes.iter().filter(|change| !is_told(change)).cloned().collect();
        told(&rest, "day", self.length_ms, 0, text);
    }
}

impl Shift {
    /// `early` of `2026-11-23/early`; the whole id if its date is not that of the day that it lies in.
    fn name(&self, day: &Day) -> &str {
        self.id.strip_prefix(&day.date).map_or(&self.id, |name| name.trim_start_matches('/'))
    }
}

fn told(changes: &[ClockChange], what: &str, length_ms: i64, indent: usize, text: &mut String) {
    for change in changes {
        let way = if change.by_ms > 0 { "forward" } else { "back" };
        let to = change.at.0.strftime("%H:%M");
        let by = length(change.by_ms.abs());
        let _ = writeln!(
            text,
            "  {:indent$}! the clock goes {way} {by}, to {to}: this {what} has {}",
            "",
            length(length_ms)
        );
    }
}

/// `7 h 15 min`
fn length(ms: i64) -> String {
    let minutes = ms / 60_000;
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes:02} min"),
    }
}
