//! The words of process values: under which temperature or pressure a lot was made.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one value was in a time. Sums only, so that those of two times add up; a failed reading is missing time, never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Readings.
    pub samples: i64,
    /// The lowest and the highest of them.
    pub range: Option<(f64, f64)>,
    /// Σ value × the milliseconds for which it held.
    pub sum: f64,
    /// For so long it was known. Milliseconds.
    pub ms: i64,
    /// For so long it was not: failed readings, silence. Milliseconds.
    pub missing_ms: i64,
}

impl Summary {
    /// One more reading.
    pub fn see(&mut self, value: f64) {
        self.samples += 1;
        self.widen((value, value));
    }

    /// It held for so long.
    pub fn hold(&mut self, value: f64, ms: i64) {
        self.sum += value * ms as f64;
        self.ms += ms;
        self.widen((value, value));
    }

    /// Both together.
    pub fn add(&mut self, other: &Summary) {
        self.samples += other.samples;
        self.sum += other.sum;
        self.ms += other.ms;
        self.missing_ms += other.missing_ms;
        if let Some(range) = other.range {
            self.widen(range);
        }
    }

    /// Weighted by time; `None` where it was never known for any.
    pub fn mean(&self) -> Option<f64> {
        (self.ms > 0).then(|| self.sum / self.ms as f64)
    }

    fn widen(&mut self, (low, high): (f64, f64)) {
        self.range = Some(self.range.map_or((low, high), |(least, most)| (least.min(low), most.max(high))));
    }
}

/// By the name of the value.
pub type Summaries = BTreeMap<String, Summary>;

/// Adds up two times.
pub fn add(all: &mut Summaries, one: &Summaries) {
    for (name, summary) in one {
        all.entry(name.clone()).or_default().add(summary);
    }
}

/// What the values of a machine were in a short time; those of an order are all that lie in its spans.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spell {
    /// First instant.
    pub from: super::Stamp,
    /// First instant after.
    pub to: super::Stamp,
    /// By the name of the value.
    pub values: Summaries,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_weighted_by_time_and_two_times_add_up() {
        let mut summary = Summary::default();
        summary.see(10.0);
        summary.hold(10.0, 1_000);
        let mut later = Summary { missing_ms: 500, ..Summary::default() };
        later.see(40.0);
        later.hold(40.0, 3_000);
        summary.add(&later);
        assert_eq!((summary.samples, summary.range, summary.mean()), (2, Some((10.0, 40.0)), Some(32.5)));
        assert_eq!((summary.ms, summary.missing_ms), (4_000, 500));
        assert_eq!(Summary::default().mean(), None);
    }
}
