//! `andon.work-order.updated.v1`: what the CMMS has told of a work order by now.

use crate::{
    event::work::{Part, Said, Status, Updated},
    wire::{About, Time},
};
use serde::Serialize;
use uuid::Uuid;

#[derive(Serialize)]
struct Data<'a> {
    #[serde(flatten)]
    about: About<'a>,
    revision: u64,
    request_id: Option<Uuid>,
    request_ids: &'a [Uuid],
    downtime_id: Option<Uuid>,
    downtime_ids: Vec<Uuid>,
    work_order: Option<&'a str>,
    status: Status,
    status_raw: Option<&'a str>,
    in_progress_at: Option<Time>,
    actual_start: Option<Time>,
    actual_finish: Option<Time>,
    technician: Option<&'a str>,
    labour_ms: Option<i64>,
    parts: &'a [Part],
    cause: Option<&'a str>,
    mechanism: Option<&'a str>,
    remedy: Option<&'a str>,
    comment: Option<&'a str>,
    work_order_revision: Option<i64>,
    by: &'a str,
}

/// The `data` of the event: all that was told, each word as it was told last.
pub fn data<'a>(about: About<'a>, updated: &'a Updated) -> impl Serialize + 'a {
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
