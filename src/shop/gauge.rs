//! Readings of process values in, what they were in short times out: temperature, pressure, whatever a lot must prove.

use super::rules::MachineRules;
use crate::{
    event::{
        Stamp,
        process::{Spell, Summaries},
    },
    signal::PointIx,
};
use serde::{Deserialize, Serialize};

/// A spell lasts so long at most: an order that is booked afterwards knows its process values as finely. Milliseconds.
const SPELL_MS: i64 = 300_000;

/// Spells that wait to be told: a day of them. Of a machine that counts nothing and has no orders they are of no use.
const SPELLS: usize = 288;

/// So many missed looks in a row are no gap, however short the silence may be elsewhere.
const PATIENT_POLLS: i64 = 3;

/// One value, and what was last read of it.
#[derive(Clone, Debug)]
struct Gauge {
    point: PointIx,
    name: String,
    poll_ms: i64,
    look: Option<Look>,
}

/// The last look at a value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    at: Stamp,
    /// `None`: it failed.
    value: Option<f64>,
    /// Its time is entered up to here.
    until: Stamp,
}

/// The process values of one machine, as far as they were seen.
#[derive(Clone, Debug)]
pub struct Gauges {
    gauges: Vec<Gauge>,
    silence_ms: Option<i64>,
    open: Option<Spell>,
    spells: Vec<Spell>,
}

/// What must survive a crash.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GaugeMark {
    /// By name.
    pub looks: Vec<(String, Look)>,
    /// What goes on.
    pub open: Option<Spell>,
    /// What is not told yet.
    pub spells: Vec<Spell>,
}

impl Gauges {
    /// Never seen, or last seen at a mark.
    pub fn new(rules: &MachineRules, mark: &GaugeMark) -> Gauges {
        let look = |name: &str| mark.looks.iter().find(|(known, _)| known == name).map(|(_, look)| *look);
        let gauge = |rule: &super::rules::ProcessRule| Gauge {
            point: rule.point,
            name: rule.name.clone(),
            poll_ms: rule.poll_ms,
            look: look(&rule.name),
        };
        Gauges {
            gauges: rules.process.iter().map(gauge).collect(),
            silence_ms: rules.no_data_ms,
            open: mark.open.clone(),
            spells: mark.spells.clone(),
        }
    }

    /// What was told up to then is not told again: the mark may be older than that.
    pub fn resume(&mut self, told_to: Option<Stamp>) {
        let Some(told_to) = told_to else { return };
        self.open.take_if(|open| open.from < told_to);
        self.spells.retain(|spell| spell.from >= told_to);
        self.gauges
            .iter_mut()
            .filter_map(|gauge| gauge.look.as_mut())
            .for_each(|look| look.until = look.until.max(told_to));
    }

    /// The points, by their place.
    pub fn points(&self) -> impl Iterator<Item = (PointIx, usize)> + '_ {
        self.gauges.iter().enumerate().map(|(place, gauge)| (gauge.point, place))
    }

    /// What must survive.
    pub fn mark(&self) -> GaugeMark {
        let looks = self.gauges.iter().filter_map(|gauge| Some((gauge.name.clone(), gauge.look?)));
        GaugeMark { looks: looks.collect(), open: self.open.clone(), spells: self.spells.clone() }
    }

    /// A look; `None`: it failed.
    pub fn see(&mut self, place: usize, value: Option<f64>, at: Stamp) {
        let value = value.filter(|value| value.is_finite());
        if self.open.as_ref().is_some_and(|open| at.since(open.from) >= SPELL_MS) {
            self.cut(at);
        }
        self.bring_up_to(place, at);
        let gauge = &mut self.gauges[place];
        gauge.look = Some(Look { at, value, until: at });
        let open = self.open.get_or_insert_with(|| Spell { from: at, to: at, values: Summaries::new() });
        let summary = open.values.entry(gauge.name.clone()).or_default();
        if let Some(value) = value {
            summary.see(value);
        }
    }

    /// What comes from `at` on belongs to another order, hour or shift.
    pub fn cut(&mut self, at: Stamp) {
        (0..self.gauges.len()).for_each(|place| self.bring_up_to(place, at));
        let Some(mut open) = self.open.take_if(|open| open.from < at) else { return };
        open.to = at;
        self.open = Some(Spell { from: at, to: at, values: Summaries::new() });
        self.spells.push(open);
        if self.spells.len() > SPELLS {
            self.spells.remove(0);
        }
    }

    /// What is not told yet, in order; what goes on belongs to nothing yet.
    pub fn spells(&self) -> &[Spell] {
        &self.spells
    }

    /// What goes on and what is not told yet, as if it were cut now.
    pub fn so_far(&self, now: Stamp) -> Vec<Spell> {
        let mut gauges = self.clone();
        gauges.cut(now);
        gauges.spells
    }

    /// They are told.
    pub fn forget(&mut self) {
        self.spells.clear();
    }

    /// A value holds until its next look, but silence and a failed look are missing time.
    fn bring_up_to(&mut self, place: usize, at: Stamp) {
        let gauge = &mut self.gauges[place];
        let Some(look) = &mut gauge.look else { return };
        let from = look.until;
        look.until = from.max(at);
        let ms = at.since(from);
        if ms <= 0 {
            return;
        }
        let open = self.open.get_or_insert_with(|| Spell { from, to: from, values: Summaries::new() });
        let summary = open.values.entry(gauge.name.clone()).or_default();
        let silence_ms = self.silence_ms.unwrap_or(i64::MAX).max(gauge.poll_ms.saturating_mul(PATIENT_POLLS));
        match look.value.filter(|_| at.since(look.at) <= silence_ms) {
            Some(value) => summary.hold(value, ms),
            None => summary.missing_ms += ms,
        }
    }
}
