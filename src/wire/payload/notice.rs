//! `andon.notice.raised.v1`

use crate::{
    event::notice::{Event, Severity},
    wire::{About, Time},
};
use schemars::JsonSchema;
use serde::Serialize;

/// Something that somebody should know, with its range in time.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Notice")]
pub struct Data<'a> {
    #[serde(flatten)]
    about: About<'a>,
    /// Always 1: each notice is an event of its own.
    revision: u64,
    /// A word for programs, such as `plc_lost`; new ones may come.
    code: &'a str,
    severity: Severity,
    /// A sentence for people.
    text: &'a str,
    /// The range in time that it is about.
    from: Option<Time>,
    /// Its end.
    to: Option<Time>,
    /// The range of events that it is about.
    sequence_from: Option<u64>,
    /// Its last.
    sequence_to: Option<u64>,
}

/// The `data` of the event.
pub fn data<'a>(about: About<'a>, notice: &'a Event) -> Data<'a> {
    Data {
        about,
        revision: 1,
        code: &notice.code,
        severity: notice.severity,
        text: &notice.text,
        from: notice.from.map(Time),
        to: notice.to.map(Time),
        sequence_from: notice.sequences.map(|(from, _)| from),
        sequence_to: notice.sequences.map(|(_, to)| to),
    }
}
