//! The words of the meter ledger: how long an asset ran and how often it cycled, in all its life.

use super::Stamp;
use serde::{Deserialize, Serialize};

/// What a meter shows; it only ever rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Readings {
    /// Time in `running`, in or out of shifts. Milliseconds.
    pub run_ms: i64,
    /// Raw cycles, before `parts_per_cycle`.
    pub cycles: i64,
}

impl Readings {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Readings) -> Readings {
        Readings { run_ms: self.run_ms.saturating_add(other.run_ms), cycles: self.cycles.saturating_add(other.cycles) }
    }

    /// How far it lies above `other`, which may be below nothing.
    #[must_use]
    pub fn minus(self, other: Readings) -> Readings {
        Readings { run_ms: self.run_ms.saturating_sub(other.run_ms), cycles: self.cycles.saturating_sub(other.cycles) }
    }

    /// The higher of each.
    #[must_use]
    pub fn max(self, other: Readings) -> Readings {
        Readings { run_ms: self.run_ms.max(other.run_ms), cycles: self.cycles.max(other.cycles) }
    }
}

/// Why a meter was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// `meter_every` went by.
    Interval,
    /// The machine feeds it from now on.
    Bound,
    /// The machine feeds it no longer.
    Released,
    /// The CMMS knows a higher one.
    Raised,
    /// A downtime of days that are no longer in memory turned out to be running time, or the other way round.
    Corrected,
}

/// Which asset's meter a machine feeds, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// `None`: none.
    pub asset: Option<String>,
    /// What the machine did from here on belongs to it.
    pub from: Stamp,
    /// The machine's own cycles until then.
    pub made: i64,
}

/// `andon.meter.read.v1`: an asset's meter, at the machine that feeds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The machine's id.
    pub machine: String,
    /// The machine stands in the configuration no longer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_gone: bool,
    /// The key of the asset whose meter it is.
    pub asset: String,
    /// As of.
    pub at: Stamp,
    /// Why now.
    pub why: Why,
    /// What it shows.
    pub readings: Readings,
    /// What of it no machine of this gateway made: what the CMMS said at first, or knew better later.
    pub base: Readings,
    /// The machine's own cycles since its first mark.
    pub made: i64,
    /// The machine feeds another one from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
}
