//! An instant in, what the calendar says of it out: its hour, day and shift, and whether a machine is planned to run.
//!
//! Hours are hours of UTC; days begin at `day_start` in the plant's time zone and have 23 to 25 hours.

use crate::event::Stamp;
use jiff::{ToSpan, civil::Date, civil::Time, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// Which instant belongs to which window, and what is planned then.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    zone: TimeZone,
    day_start: Time,
}

/// What the calendar says of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hours {
    /// In a shift, and nothing else is planned; around the clock where there is no shift at all.
    Planned,
    /// In a break of a shift.
    Break,
    /// In a planned stop of the calendar, inside a shift.
    PlannedStop,
    /// Outside every shift.
    Unscheduled,
}

/// A span in which the calendar says one thing; it ends at the latest with its shift or day.
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

/// One window of the calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// Never depends on a clock change: local start date of a day, UTC start of an hour.
    pub id: String,
    /// First instant.
    pub from: Stamp,
    /// First instant after.
    pub to: Stamp,
}

const HOUR_MS: i64 = 3_600_000;

impl Calendar {
    /// Days of `zone` that begin at `day_start`.
    pub fn new(zone: TimeZone, day_start: Time) -> Calendar {
        Calendar { zone, day_start }
    }

    /// The zone's name, `Europe/Berlin`.
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The local wall clock then, for people.
    pub fn local(&self, at: Stamp) -> String {
        timestamp(at).to_zoned_datetime(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// The day that holds `at`.
    pub fn day(&self, at: Stamp) -> Period {
        let local = timestamp(at).to_zoned_datetime(self.zone.clone());
        let mut date = local.date();
        if self.start_of(date) > at {
            date = date.saturating_sub(1.day());
        } else if self.start_of(date.saturating_add(1.day())) <= at {
            date = date.saturating_add(1.day());
        }
        Period { id: date.to_string(), from: self.start_of(date), to: self.start_of(date.saturating_add(1.day())) }
    }

    /// The hour of UTC that holds `at`.
    pub fn hour(&self, at: Stamp) -> Period {
        let from = Stamp::from_ms(at.ms().div_euclid(HOUR_MS) * HOUR_MS);
        let id = timestamp(from).strftime("%Y-%m-%dT%H:%MZ").to_string();
        Period { id, from, to: from.plus(HOUR_MS) }
    }

    /// The days that overlap `[from, to)`, in order.
    pub fn days(&self, from: Stamp, to: Stamp) -> impl Iterator<Item = Period> + '_ {
        periods(from, to, |at| self.day(at))
    }

    /// The hours that overlap `[from, to)`, in order.
    pub fn hours(&self, from: Stamp, to: Stamp) -> impl Iterator<Item = Period> + '_ {
        periods(from, to, |at| self.hour(at))
    }

    /// The span around `at` in which the calendar says one thing.
    pub fn slot(&self, at: Stamp) -> Slot {
        let day = self.day(at);
        Slot { from: day.from, to: day.to, hours: Hours::Planned, shift: Some(day.id) }
    }

    /// The slots inside `[from, to)`, cut to it, in order and without gap.
    pub fn slots(&self, from: Stamp, to: Stamp) -> impl Iterator<Item = Slot> + '_ {
        let mut at = from;
        std::iter::from_fn(move || {
            (at < to).then(|| {
                let slot = self.slot(at);
                let slot = Slot { from: at, to: slot.to.min(to), ..slot };
                at = slot.to;
                slot
            })
        })
    }

    /// The shift that holds `at`; the day where there is no shift at all.
    pub fn shift(&self, at: Stamp) -> Option<Period> {
        Some(self.day(at))
    }

    /// The shifts that overlap `[from, to)`, in order; the days where there is no shift at all.
    pub fn shifts(&self, from: Stamp, to: Stamp) -> impl Iterator<Item = Period> + '_ {
        self.days(from, to)
    }

    /// Whether shifts are planned at all; else the day takes their place.
    pub fn has_shifts(&self) -> bool {
        false
    }

    /// The first end after `at` of a shift (or day); `MAX` if there is none for a year.
    pub fn next_end(&self, at: Stamp) -> Stamp {
        self.shifts(at, at.plus(AHEAD_MS)).next().map_or(Stamp::MAX, |period| period.to)
    }

    /// The first planned instant from `at` on; `None` if there is none for a year.
    pub fn planned_from(&self, at: Stamp) -> Option<Stamp> {
        self.slots(at, at.plus(AHEAD_MS)).find(|slot| slot.hours == Hours::Planned).map(|slot| slot.from)
    }

    /// When `ms` of planned time will have gone by since `from`; `MAX` if that is not within a year.
    pub fn after_planned(&self, from: Stamp, ms: i64) -> Stamp {
        let mut left_ms = ms;
        for slot in self.slots(from, from.plus(AHEAD_MS)).filter(|slot| slot.hours == Hours::Planned) {
            let slot_ms = slot.to.since(slot.from);
            if left_ms <= slot_ms {
                return slot.from.plus(left_ms);
            }
            left_ms -= slot_ms;
        }
        Stamp::MAX
    }

    /// The first edge after `at` of an hour, a day or a slot.
    pub fn next_edge(&self, at: Stamp) -> Stamp {
        self.hour(at).to.min(self.day(at).to).min(self.slot(at).to)
    }

    fn start_of(&self, date: Date) -> Stamp {
        // `compatible`: a time that the clock change skips is moved behind it.
        match date.to_datetime(self.day_start).to_zoned_datetime(self.zone.clone()) {
            Ok(start) => Stamp::from_ms(start.timestamp().as_millisecond()),
            Err(_) => Stamp::MAX,
        }
    }
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
}
