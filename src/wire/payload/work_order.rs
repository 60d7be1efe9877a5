//! `andon.work-order.updated.v1`: what the CMMS has told of a work order by now.

use crate::{
    event::work::{Part, Said, Status, Updated},
    wire::{About, Time},
};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// A work order, as far as the CMMS has told; each word as it was told last.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WorkOrder")]
pub struct Data<'a> {
    #[serde(flatten)]
    about: About<'a>,
    /// From 1, raised by each change told.
    revision: u64,
    /// The first request that it answers; `null`: the CMMS named downtimes alone.
    request_id: Option<Uuid>,
    /// Every request that it answers.
    request_ids: &'a [Uuid],
    /// The first downtime that it is about: the one that bears its times in figures.
    downtime_id: Option<Uuid>,
    /// Every downtime that it is about, of any machine.
    downtime_ids: Vec<Uuid>,
    /// The CMMS's number, once it is known.
    work_order: Option<&'a str>,
    status: Status,
    /// As the CMMS calls it.
    status_raw: Option<&'a str>,
    /// When the CMMS first said `in_progress`.
    in_progress_at: Option<Time>,
    /// When the work began.
    actual_start: Option<Time>,
    /// When it was done.
    actual_finish: Option<Time>,
    /// Who did it; `null` unless `[privacy] operator` lets ids out.
    technician: Option<&'a str>,
    /// Milliseconds worked, of all who did.
    labour_ms: Option<i64>,
    /// What was used.
    parts: &'a [Part],
    /// Why it failed.
    cause: Option<&'a str>,
    /// How it failed.
    mechanism: Option<&'a str>,
    /// What was done.
    remedy: Option<&'a str>,
    /// Anything else.
    comment: Option<&'a str>,
    /// As the CMMS counts.
    work_order_revision: Option<i64>,
    /// Who told.
    by: &'a str,
}

/// The `data` of the event: all that was told, each word as it was told last.
pub fn data<'a>(about: About<'a>, updated: &'a Updated) -> Data<'a> {
    let (order, held) = (&updated.order, &updated.order.held);
    let time = |said: &Option<Said<crate::event::Stamp>>| said.as_ref().map(|said| about.time(said.value));
    Data {
        about,
        revision: order.revision,
        request_id: order.requests.first().copied(),
        request_ids: &order.requests,
        downtime_id: order.downtimes.first().map(|about| about.downtime_id),
        downtime_ids: order.downtimes.iter().map(|about| about.downtime_id).collect(),
        work_order: order.work_order.as_deref(),
        status: order.status,
        status_raw: word(&held.status_raw),
        in_progress_at: order.in_progress_at.map(|at| about.time(at)),
        actual_start: time(&held.actual_start),
        actual_finish: time(&held.actual_finish),
        technician: word(&held.technician),
        labour_ms: held.labour_ms.as_ref().map(|said| said.value),
        parts: held.parts.as_ref().map_or(&[], |said| said.value.as_slice()),
        cause: word(&held.cause),
        mechanism: word(&held.mechanism),
        remedy: word(&held.remedy),
        comment: word(&held.comment),
        work_order_revision: order.version.revision,
        by: &updated.by,
    }
}

fn word(said: &Option<Said<String>>) -> Option<&str> {
    said.as_ref().map(|said| said.value.as_str())
}
