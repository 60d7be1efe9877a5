//! The words of the part ledger: cumulative counts, and the moments at which they are told.

use super::{Stamp, command::Scrap, cycle::Spell, order::Order, process};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Parts, cumulative since the machine's first mark. `total` = `good` + `reject` + `rework`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// All parts.
    pub total: i64,
    /// Good the first time.
    pub good: i64,
    /// Scrapped.
    pub reject: i64,
    /// To be worked over.
    pub rework: i64,
    /// Those of `total` that appeared after an unknown gap or outside planned time.
    pub outside_total: i64,
    /// Those of `good` that did.
    pub outside_good: i64,
}

impl Counts {
    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Counts) -> Counts {
        self.with(other, |a, b| a + b)
    }

    /// What came since `before`.
    #[must_use]
    pub fn minus(&self, before: &Counts) -> Counts {
        self.with(before, |a, b| a - b)
    }

    fn with(&self, other: &Counts, of: impl Fn(i64, i64) -> i64) -> Counts {
        Counts {
            total: of(self.total, other.total),
            good: of(self.good, other.good),
            reject: of(self.reject, other.reject),
            rework: of(self.rework, other.rework),
            outside_total: of(self.outside_total, other.outside_total),
            outside_good: of(self.outside_good, other.outside_good),
        }
    }
}

/// Why counts were told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ProductionWhy")]
pub enum Why {
    /// The first mark of a counter, and from then on as time goes by.
    Interval,
    /// An hour, day, shift or order ended.
    Edge,
    /// A counter was set by hand, reset or implausible, or what it counted in a gap is not certain.
    Adjustment,
}

/// Fewest and most parts, where the counters cannot tell just how many were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "PartsBounds")]
pub struct Bounds {
    /// No fewer.
    pub min: i64,
    /// No more; `null`: no rate of the machine is known, so nobody can say.
    pub max: Option<i64>,
}

/// Raw counter values by point name, as the PLC held them.
pub type Raw = BTreeMap<String, i64>;

/// What the part ledger tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// `andon.production.counted.v1`
    Counted(Box<Counted>),
}

/// The counts at `to`: parts that showed before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// The machine's id.
    pub machine: String,
    /// `to` of the one before.
    pub from: Stamp,
    /// Parts that showed before this moment are in.
    pub to: Stamp,
    /// Cumulative.
    pub counts: Counts,
    /// What of `total` can have been made between `from` and `to`, if that is not just what was counted.
    #[serde(default)]
    pub bounds: Option<Bounds>,
    /// The counters themselves.
    pub raw: Raw,
    /// What was made in between.
    #[serde(default)]
    pub order: Option<Order>,
    /// Why now.
    pub why: Why,
    /// Parts that were counted as good and are none, by somebody's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Moved>,
    /// Cycles that were timed since the event before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cycles: Vec<Spell>,
    /// Process values since the event before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub process: Vec<process::Spell>,
}

/// A move of parts from one count to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// When it takes effect: every count read after it is another.
    pub at: Stamp,
    /// What is added to each count; the total stays.
    pub by: Counts,
    /// Who says so.
    pub who: String,
    /// The command that asked for it.
    pub command_id: String,
    /// What they are.
    #[serde(default = "scrap")]
    pub kind: Scrap,
    /// Why: passed through.
    #[serde(default)]
    pub code: Option<String>,
    /// Whose they are.
    #[serde(default)]
    pub order: Option<String>,
    /// How many; negative takes back.
    #[serde(default)]
    pub quantity: i64,
}

fn scrap() -> Scrap {
    Scrap::Scrap
}
