//! The words of the order ledger: what a machine makes, and since when.

use super::{
    Ideal, Stamp,
    part::{Counts, Raw},
    window::Window,
};
use serde::{Deserialize, Serialize};

/// An order, as far as the gateway knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Order {
    /// Its number.
    pub order: String,
    /// What is made.
    pub product: Option<String>,
    /// For traceability.
    pub lot: Option<String>,
    /// Time per part, of the order or its product.
    pub ideal: Option<Ideal>,
}

/// What happened to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It runs.
    Started,
    /// It is over.
    Ended,
}

/// `andon.order.*.v1`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The machine's id.
    pub machine: String,
    /// What happened.
    pub change: Change,
    /// From when on.
    pub at: Stamp,
    /// When it was decided.
    pub decided: Stamp,
    /// `plc`, or who sent the command.
    pub by: String,
    /// The whole record.
    pub order: Order,
    /// Since when it ran.
    pub from: Stamp,
    /// The figures of its time; `None` while it only starts.
    pub window: Option<Box<Window>>,
    /// The counts of all parts that showed before `at`.
    pub counts: Counts,
    /// The counters themselves.
    pub raw: Raw,
}
