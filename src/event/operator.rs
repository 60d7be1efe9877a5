//! The words of the operator ledger: who is logged on at a machine.

use super::Stamp;
use serde::{Deserialize, Serialize};

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// The id of a person.
    pub operator: String,
    /// What is to happen.
    pub action: Action,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// This person works at the machine from here on.
    LogOn,
    /// No longer.
    LogOff,
}

/// From `from` until the next, these were logged on; who came last stands last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crew {
    /// First instant.
    pub from: Stamp,
    /// Ids of persons.
    pub operators: Vec<String>,
}

/// `andon.operator.changed.v1`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The machine's id.
    pub machine: String,
    /// From when on.
    pub at: Stamp,
    /// When it was decided.
    pub decided: Stamp,
    /// Who sent the command.
    pub by: String,
    /// Who.
    pub operator: String,
    /// What happened.
    pub action: Action,
    /// Who was logged on from `at` on.
    pub crews: Vec<Crew>,
}
