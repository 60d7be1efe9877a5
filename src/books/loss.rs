//! What a loss is in, where its time counts out: the conventions of OEE.

use crate::event::stop::{Class, CountsIn};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whose rules the OEE sum follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Convention {
    /// Short stops are performance loss, planned stops leave planned time (oee.com; Vorne).
    #[default]
    #[serde(rename = "oee.com")]
    OeeCom,
    /// ISO 22400-2: short stops are availability loss.
    #[serde(rename = "iso22400")]
    Iso22400,
    /// SMRP 3.x: planned stops count against availability.
    #[serde(rename = "smrp")]
    Smrp,
}

impl Convention {
    /// The word in TOML and reports.
    pub fn word(self) -> &'static str {
        match self {
            Convention::OeeCom => "oee.com",
            Convention::Iso22400 => "iso22400",
            Convention::Smrp => "smrp",
        }
    }

    fn counts_in(self, cell: Cell) -> CountsIn {
        match (self, cell) {
            (Convention::OeeCom | Convention::Smrp, Cell::ShortStop) => CountsIn::Performance,
            (Convention::OeeCom | Convention::Iso22400, Cell::Planned | Cell::Break) => CountsIn::Excluded,
            (Convention::OeeCom | Convention::Smrp, Cell::NoOrder) => CountsIn::Excluded,
            _ => CountsIn::Availability,
        }
    }
}

/// A row of the conventions' table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// Stops of class failure.
    Failure,
    /// Of class operational.
    Operational,
    /// Without a reason.
    Unassigned,
    /// Set-up.
    Changeover,
    /// Starved or blocked.
    External,
    /// Without an order.
    NoOrder,
    /// Planned stops.
    Planned,
    /// Breaks.
    Break,
    /// Stops below `short_stop`.
    ShortStop,
}

impl From<Class> for Cell {
    fn from(class: Class) -> Cell {
        match class {
            Class::Failure => Cell::Failure,
            Class::Operational => Cell::Operational,
            Class::Changeover => Cell::Changeover,
            Class::Planned => Cell::Planned,
            Class::External => Cell::External,
            Class::Unassigned => Cell::Unassigned,
        }
    }
}

/// `[oee]`: a convention, and the cells of it that a plant counts otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oee {
    /// Whose rules.
    pub convention: Convention,
    /// Cells that are counted otherwise.
    pub overrides: BTreeMap<Cell, CountsIn>,
}

impl Oee {
    /// Where a loss counts if its reason does not say.
    pub fn counts_in(&self, cell: Cell) -> CountsIn {
        self.overrides.get(&cell).copied().unwrap_or_else(|| self.convention.counts_in(cell))
    }
}

impl From<Convention> for Oee {
    fn from(convention: Convention) -> Oee {
        Oee { convention, overrides: BTreeMap::new() }
    }
}
