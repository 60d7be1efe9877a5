//! The words of the notice ledger: what somebody should know, with its range in time.

use super::{Stamp, wall::Era};
use serde::{Deserialize, Serialize};

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "NoticeSeverity")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Figures may be touched.
    Warning,
    /// Something was lost or is not working.
    Error,
}

/// `andon.notice.raised.v1`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it was seen.
    pub at: Stamp,
    /// The machine concerned; `None` for the gateway as a whole.
    pub machine: Option<String>,
    /// A word for programs, `plc_lost`.
    pub code: String,
    /// How much it matters.
    pub severity: Severity,
    /// A sentence for people.
    pub text: String,
    /// The range that it is about, by the wall clock.
    pub from: Option<Stamp>,
    /// Its end.
    pub to: Option<Stamp>,
    /// The range of events that it is about: the first and the last sequence, of the epoch that `text` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequences: Option<(u64, u64)>,
    /// The wall clock was stepped, or is to be trusted from here on, or no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<Era>,
}
