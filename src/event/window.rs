//! The words of a window: the figures of one machine, line or site in a span of time. Times in milliseconds.
//!
//! Every field but the ratios is a sum, so that windows can be added up: sums first, then ratios.

use super::{
    Ideal, Stamp,
    cycle::Cycles,
    part::{Bounds, Counts},
    stop::{Class, CountsIn, State},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The figures of a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Window {
    /// First instant, by the wall clock; not before anything is known.
    pub from: Stamp,
    /// First instant after, by the wall clock; not after what is known.
    pub to: Stamp,
    /// Nothing in it can change its verdict any more but a person.
    pub is_final: bool,
    /// How long it took; the sum of the lengths of what was added up.
    pub calendar_ms: i64,
    /// In the order of [`State::ALL`]; they add up to `calendar_ms`.
    pub time_ms: [i64; 8],
    /// By how much the wall clock was stepped inside: `to − from − calendar_ms`.
    pub clock_adjust_ms: i64,
    /// Time in shifts without what is excluded and unknown.
    pub planned_ms: i64,
    /// Planned without what counts in availability.
    pub run_ms: i64,
    /// Running outside every shift.
    pub outside_run_ms: i64,
    /// Set-up that counts in availability: what NEE gives back.
    pub changeover_ms: i64,
    /// Parts of this window.
    pub counts: Counts,
    /// Fewest and most total parts, where that is not certain.
    pub parts_bounds: Option<Bounds>,
    /// Parts inside planned time by their ideal, with the run time that belongs to it.
    pub made: Vec<Made>,
    /// Stops with a downtime of class failure that began here.
    pub failures: i64,
    /// Failures that ended here.
    pub restorations: i64,
    /// Their whole durations.
    pub restoration_ms: i64,
    /// Work orders with both stamps whose first downtime ended here.
    #[serde(skip_serializing_if = "is_zero")]
    pub repairs: i64,
    /// Σ (actual finish − actual start) of these.
    #[serde(skip_serializing_if = "is_zero")]
    pub repair_ms: i64,
    /// Work orders that somebody was at, whose first downtime began here.
    #[serde(skip_serializing_if = "is_zero")]
    pub responses: i64,
    /// Σ (first moment of work − `started_at`) of these.
    #[serde(skip_serializing_if = "is_zero")]
    pub response_ms: i64,
    /// How long single cycles took, where the counter is looked at often enough to tell.
    #[serde(skip_serializing_if = "Cycles::is_empty")]
    pub cycles: Cycles,
    /// Ratios.
    pub kpi: Kpi,
    /// Words about the figures.
    pub flags: Vec<String>,
    /// All stops by reason, short ones too.
    pub losses: Vec<Loss>,
    /// The downtimes' shares.
    pub downtimes: Vec<Share>,
}

/// Parts of one ideal, inside planned time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Time per part; `None`: nobody has said.
    pub ideal: Option<Ideal>,
    /// Whose it is.
    pub source: IdealSource,
    /// Of `run_ms`.
    pub run_ms: i64,
    /// All parts.
    pub total: i64,
    /// Good ones.
    pub good: i64,
}

/// Whose ideal was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdealSource {
    /// The order's, or its product's.
    Order,
    /// The machine's.
    Machine,
    /// Some of each.
    Mixed,
    /// Nobody's.
    #[default]
    None,
}

impl IdealSource {
    /// The word in JSON and CSV.
    pub fn word(self) -> &'static str {
        match self {
            IdealSource::Order => "order",
            IdealSource::Machine => "machine",
            IdealSource::Mixed => "mixed",
            IdealSource::None => "none",
        }
    }
}

/// Ratios 0…1 (performance may exceed 1); `None` where the base is zero or the ideal is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kpi {
    /// run / planned (ISO 22400-2).
    pub availability: Option<f64>,
    /// Σ ideal × total / run (ISO 22400-2 effectiveness).
    pub performance: Option<f64>,
    /// Σ ideal × good / Σ ideal × total.
    pub quality: Option<f64>,
    /// good / total (ISO 22400-2 quality ratio).
    pub quality_by_count: Option<f64>,
    /// Σ ideal × good / planned.
    pub oee: Option<f64>,
    /// (run + changeover) / planned × performance × quality (ISO 22400-2).
    pub nee: Option<f64>,
    /// OEE × planned / calendar time.
    pub teep: Option<f64>,
    /// 1 − unknown / (planned + unknown).
    pub coverage: Option<f64>,
    /// Performance, but at most 1; SMRP only.
    pub performance_capped: Option<f64>,
    /// OEE with performance at most 1; SMRP only.
    pub oee_capped: Option<f64>,
    /// Time in `running` / failures.
    pub mtbf_ms: Option<i64>,
    /// Whole durations of failures ended here / their number (IEC 60050, ISO 22400).
    pub mttr_restoration_ms: Option<i64>,
    /// Σ (actual finish − actual start) / work orders with both stamps (ISO 14224).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mttr_repair_ms: Option<i64>,
    /// Σ (first moment of work − start of the downtime) / work orders that somebody was at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_ms: Option<i64>,
}

/// One line of the loss table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// `None`: nobody has said.
    pub reason: Option<String>,
    /// Its class.
    pub class: Class,
    /// Where it counts.
    pub counts_in: CountsIn,
    /// Time inside the window.
    pub ms: i64,
    /// Stops that began inside the window.
    pub times: i64,
}

/// A downtime's part of a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The machine's id.
    pub machine: String,
    /// Its id.
    pub downtime_id: Uuid,
    /// Its number at this machine.
    pub number: u64,
    /// As of.
    pub revision: u64,
    /// Its part of this window.
    pub duration_ms: i64,
    /// First still instant inside planned hours, by the wall clock; it may lie before the window.
    pub started_at: Stamp,
    /// `None` while open; it may lie after the window.
    pub ended_at: Option<Stamp>,
    /// Its class.
    pub class: Class,
    /// Where it counts.
    pub counts_in: CountsIn,
    /// `None`: nobody has said.
    pub reason: Option<String>,
    /// If the PLC named one.
    pub fault: Option<i64>,
}

/// What the lists of a window hold, in numbers: known also of a window whose lists were not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Time of all losses.
    pub lost_ms: i64,
    /// Stops that began inside the window.
    pub stops: i64,
    /// Downtimes that have a share in it.
    pub downtimes: i64,
    /// Their shares.
    pub downtimes_ms: i64,
}

impl Listed {
    /// Of two windows.
    #[must_use]
    pub fn plus(self, other: Listed) -> Listed {
        Listed {
            lost_ms: self.lost_ms + other.lost_ms,
            stops: self.stops + other.stops,
            downtimes: self.downtimes + other.downtimes,
            downtimes_ms: self.downtimes_ms + other.downtimes_ms,
        }
    }
}

impl Window {
    /// What its lists hold.
    pub fn listed(&self) -> Listed {
        Listed {
            lost_ms: self.losses.iter().map(|loss| loss.ms).sum(),
            stops: self.losses.iter().map(|loss| loss.times).sum(),
            downtimes: i64::try_from(self.downtimes.len()).unwrap_or(i64::MAX),
            downtimes_ms: self.downtimes.iter().map(|share| share.duration_ms).sum(),
        }
    }

    /// Time in `state`.
    pub fn time_in(&self, state: State) -> i64 {
        self.time_ms[state as usize]
    }

    /// What availability lost.
    pub fn down_ms(&self) -> i64 {
        self.planned_ms - self.run_ms
    }

    /// Σ ideal × parts inside planned time: the numerator of performance, rounded down.
    pub fn ideal_ms(&self) -> i64 {
        self.made.iter().filter_map(|made| Some(made.ideal?.time_ms(made.total))).sum()
    }

    /// Σ ideal × good parts inside planned time: the numerator of OEE, rounded down.
    pub fn good_ideal_ms(&self) -> i64 {
        self.made.iter().filter_map(|made| Some(made.ideal?.time_ms(made.good))).sum()
    }

    /// A fingerprint of the figures; that a downtime has got a higher revision or has ended changes none of them.
    pub fn print(&self) -> u64 {
        let mut figures = self.clone();
        figures.downtimes.iter_mut().for_each(|share| (share.revision, share.ended_at) = (0, None));
        let text = serde_json::to_vec(&figures).unwrap_or_default();
        u64::from_be_bytes(Sha256::digest(&text)[..8].try_into().unwrap_or_default())
    }

    /// Whose ideal was used.
    pub fn ideal_source(&self) -> IdealSource {
        let mut sources = self.made.iter().map(|made| made.source);
        let first = sources.next().unwrap_or_default();
        if sources.all(|source| source == first) { first } else { IdealSource::Mixed }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_zero(sum: &i64) -> bool {
    *sum == 0
}

impl Default for Window {
    fn default() -> Window {
        Window {
            from: Stamp::MAX,
            to: Stamp::MIN,
            is_final: true,
            calendar_ms: 0,
            time_ms: [0; 8],
            clock_adjust_ms: 0,
            planned_ms: 0,
            run_ms: 0,
            outside_run_ms: 0,
            changeover_ms: 0,
            counts: Counts::default(),
            parts_bounds: None,
            made: Vec::new(),
            failures: 0,
            restorations: 0,
            restoration_ms: 0,
            repairs: 0,
            repair_ms: 0,
            responses: 0,
            response_ms: 0,
            cycles: Cycles::default(),
            kpi: Kpi::default(),
            flags: Vec::new(),
            losses: Vec::new(),
            downtimes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else a start would take what it reads of a statement for another one, and tell it again.
    #[test]
    fn what_is_written_of_a_window_is_read_to_the_last_bit() {
        for n in 1..5000 {
            let ratio = |of: i32| Some(f64::from(n) / f64::from(of));
            let kpi = Kpi { teep: ratio(28_800_000), oee: ratio(7_320_001), coverage: ratio(5_003), ..Kpi::default() };
            let window = Window { kpi, ..Window::default() };
            let read: Window = serde_json::from_str(&serde_json::to_string(&window).unwrap()).unwrap();
            assert_eq!(read, window);
            assert_eq!(read.print(), window.print());
        }
    }
}
