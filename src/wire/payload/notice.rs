//! `andon.notice.raised.v1`

use crate::{
    event::notice::{Event, Severity},
    wire::{About, Time},
};
use serde::Serialize;

#[derive(Serialize)]
struct Data<'a> {
    #[serde(flatten)]
    about: About<'a>,
    revision: u64,
    code: &'a str,
    severity: Severity,
    text: &'a str,
    from: Option<Time>,
    to: Option<Time>,
    sequence_from: Option<u64>,
    sequence_to: Option<u64>,
}

/// The `data` of the event.
pub fn data<'a>(about: About<'a>, notice: &'a Event) -> impl Serialize + 'a {
    Data {
        about,
        revision: 1,
        code: &notice.code,
        severity: notice.severity,
        text: &notice.text,
        from: notice.from.map(Time),
        to: notice.to.map(Time),
        sequence_from: None,
        sequence_to: None,
    }
}
