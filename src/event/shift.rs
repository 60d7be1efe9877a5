//! The words of the statement ledger: the figures of a shift (or day) that is over.

use super::{Stamp, window::Window};
use serde::{Deserialize, Serialize};

/// `andon.shift.stated.v1`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The machine's id.
    pub machine: String,
    /// When it was stated.
    pub at: Stamp,
    /// `shift`, or `day` where there is no shift at all.
    pub kind: Kind,
    /// `2026-11-23/early`
    pub id: String,
    /// The whole window by the wall clock, also where the gateway saw only a part of it.
    pub from: Stamp,
    /// First instant after.
    pub to: Stamp,
    /// From 1, raised by each statement of it.
    pub revision: u64,
    /// Whose rules were followed.
    pub convention: String,
    /// The figures.
    pub window: Box<Window>,
}

/// Which window a statement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A shift.
    Shift,
    /// A day, where there is no shift at all.
    Day,
}

impl Kind {
    /// The word in reports and payloads.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Shift => "shift",
            Kind::Day => "day",
        }
    }
}
