//! `andon.operator.changed.v1`

use crate::{
    event::operator::{Action, Event},
    wire::About,
};
use schemars::JsonSchema;
use serde::Serialize;

/// Somebody logged on or off at a machine.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Operator")]
pub struct Data<'a> {
    #[serde(flatten)]
    about: About<'a>,
    /// Always 1.
    revision: u64,
    /// Who; `null` with `[privacy] operator = "off"`.
    operator: Option<&'a str>,
    action: Action,
    /// What changed it.
    change: Change<'a>,
}

/// Who said so, and when.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OperatorChange")]
struct Change<'a> {
    /// Who sent the command.
    by: &'a str,
    /// When it was decided.
    at: crate::wire::Time,
}

/// The `data` of the event; ids of persons leave the gateway only where `[privacy]` lets them.
pub fn data<'a>(about: About<'a>, event: &'a Event) -> Data<'a> {
    Data {
        about,
        revision: 1,
        operator: about.shows_persons.then_some(event.operator.as_str()),
        action: event.action,
        change: Change { by: &event.by, at: about.time(event.decided) },
    }
}
