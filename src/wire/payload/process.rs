//! What process values were, as the world reads it.

use crate::event::process::{Summaries, Summary};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// One value; the mean is weighted by time, missing time is none of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ProcessValue")]
pub struct Value {
    /// `null`: never read.
    min: Option<f64>,
    /// Weighted by time.
    mean: Option<f64>,
    /// `null`: never read.
    max: Option<f64>,
    /// Good readings.
    samples: i64,
    /// Milliseconds for which it was known.
    known_ms: i64,
    /// Milliseconds for which it was not: failed readings, silence.
    missing_ms: i64,
}

impl From<&Summary> for Value {
    fn from(of: &Summary) -> Value {
        Value {
            min: of.range.map(|(low, _)| low),
            mean: of.mean(),
            max: of.range.map(|(_, high)| high),
            samples: of.samples,
            known_ms: of.ms,
            missing_ms: of.missing_ms,
        }
    }
}

/// By name.
pub fn values(of: &Summaries) -> BTreeMap<&str, Value> {
    of.iter().map(|(name, summary)| (name.as_str(), summary.into())).collect()
}
