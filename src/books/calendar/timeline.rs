//! An instant of the gateway's timeline in, what the calendar says of the time that the wall clock showed then out.
//!
//! Where the wall clock was set back it shows a span twice, and both times it is the same hour, shift and break; what a step
//! forward leaves out never was. A slot ends where the clock was set.

use super::{AHEAD_MS, Calendar, Hours, Period, Slot};
use crate::event::{Stamp, Wall};

impl Calendar {
    /// The same calendar, where the wall clock was set as `wall` tells.
    #[must_use]
    pub fn on(&self, wall: &Wall) -> Calendar {
        Calendar { wall: wall.clone(), ..self.clone() }
    }

    /// The steps of the wall clock.
    pub fn wall(&self) -> &Wall {
        &self.wall
    }

    /// The day that holds `at`.
    pub fn day(&self, at: Stamp) -> Period {
        self.day_shown(self.wall.of(at))
    }

    /// The hour of UTC that holds `at`.
    pub fn hour(&self, at: Stamp) -> Period {
        self.hour_shown(self.wall.of(at))
    }

    /// The hour of UTC before the one that holds `at`.
    pub fn hour_before(&self, at: Stamp) -> Period {
        self.hour_shown(self.hour(at).from.plus(-1))
    }

    /// The days that overlap `[from, to)`, in order.
    pub fn days(&self, from: Stamp, to: Stamp) -> impl Iterator<Item = Period> + '_ {
        self.shown(from, to, |from, to| self.days_shown(from, to))
    }

    /// The days that overlap `[from, to)`, each as often as the wall clock went through it: spans of the timeline between
    /// two steps, whole, in order and without gap or overlap.
    pub fn day_spans(&self, from: Stamp, to: Stamp) -> impl Iterator<Item = Period> + '_ {
        self.wall.spans(from, to).flat_map(move |cut| {
            let era = self.wall.era_of(cut.from);
            self.days_shown(era.shown(cut.from), era.shown(cut.to)).map(move |day| Period {
                from: era.instant(day.from).max(era.from),
                to: era.instant(day.to).min(era.to),
                ..day
            })
        })
    }

    /// Nothing is planned where the wall clock shows this time.
    pub fn is_off(&self, shown: Stamp) -> bool {
        self.shift_shown(shown).is_none()
    }

    /// The hours that overlap `[from, to)`, in order.
    pub fn hours(&self, from: Stamp, to: Stamp) -> impl Iterator<Item = Period> + '_ {
        self.shown(from, to, |from, to| self.hours_shown(from, to))
    }

    /// The shifts that overlap `[from, to)`, in order; the days where there is no shift at all, without holidays.
    pub fn shifts(&self, from: Stamp, to: Stamp) -> impl Iterator<Item = Period> + '_ {
        self.shown(from, to, |from, to| self.shifts_shown(from, to))
    }

    /// The shift that holds `at`; the day where there is no shift at all.
    pub fn shift(&self, at: Stamp) -> Option<Period> {
        self.shift_shown(self.wall.of(at))
    }

    /// The shift (or day) that ends at `at`: left behind, not stepped back out of.
    pub fn ended(&self, at: Stamp) -> Option<Period> {
        self.shift(at.plus(-1)).filter(|period| period.to <= self.wall.of(at))
    }

    /// The span around `at` in which the calendar says one thing.
    pub fn slot(&self, at: Stamp) -> Slot {
        let era = self.wall.era_of(at);
        let slot = self.slot_shown(era.shown(at));
        Slot { from: era.instant(slot.from).max(era.from), to: era.instant(slot.to).min(era.to), ..slot }
    }

    /// The slots inside `[from, to)`, cut to it, in order and without gap.
    pub fn slots(&self, from: Stamp, to: Stamp) -> impl Iterator<Item = Slot> + '_ {
        self.wall.spans(from, to).flat_map(move |era| {
            let slots = self.slots_shown(era.shown(era.from), era.shown(era.to));
            slots.map(move |slot| Slot { from: era.instant(slot.from), to: era.instant(slot.to), ..slot })
        })
    }

    /// When a shift (or day) ends first after `at`, or is left behind by a step; `MAX` if none does for a year.
    pub fn next_end(&self, at: Stamp) -> Stamp {
        let mut at = at;
        loop {
            let era = self.wall.era_of(at);
            let shown = self.next_end_shown(era.shown(at));
            let end = era.instant(shown);
            if end <= era.to {
                return end;
            }
            if self.wall.of(era.to) >= shown {
                return era.to;
            }
            at = era.to;
        }
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
        let era = self.wall.era_of(at);
        era.instant(self.next_edge_shown(era.shown(at))).min(era.to)
    }

    /// What the wall clock showed in `[from, to)`, each period once, in the order of the wall clock.
    fn shown<I: Iterator<Item = Period>>(
        &self,
        from: Stamp,
        to: Stamp,
        of: impl Fn(Stamp, Stamp) -> I,
    ) -> impl Iterator<Item = Period> {
        let eras = self.wall.spans(from, to);
        let mut periods: Vec<Period> = eras.flat_map(|era| of(era.shown(era.from), era.shown(era.to))).collect();
        periods.sort_by_key(|period| period.from);
        periods.dedup();
        periods.into_iter()
    }
}
