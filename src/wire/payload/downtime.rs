//! `andon.downtime.{opened,updated,closed}.v1`, and the record inside `P/downtime`.

use super::state::Reason;
use crate::{
    event::stop::{Class, CountsIn, Downtime, Fault, Share, Stop},
    wire::{About, Time},
};
use serde::Serialize;
use uuid::Uuid;

#[derive(Serialize)]
struct Data<'a> {
    downtime_id: Uuid,
    stop_id: Uuid,
    number: String,
    revision: u64,
    status: &'static str,
    origin: &'static str,
    #[serde(flatten)]
    about: About<'a>,
    started_at: Time,
    ended_at: Option<Time>,
    duration_ms: i64,
    excluded_ms: i64,
    unknown_ms: i64,
    clock_adjust_ms: i64,
    uncertainty_ms: Option<i64>,
    flags: &'a [String],
    observed: Option<Observed>,
    shares: &'a [Share],
    class: Class,
    counts_in: CountsIn,
    reason: Option<Reason<'a>>,
    fault: Option<&'a Fault>,
    order: Option<&'a str>,
    product: Option<&'a str>,
    lot: Option<&'a str>,
    operator: Option<&'a str>,
    shift: &'a str,
    work: [(); 0],
    split_from: Option<Uuid>,
    change: Change<'a>,
}

#[derive(Serialize)]
struct Observed {
    started_at: Time,
    ended_at: Option<Time>,
}

#[derive(Serialize)]
struct Change<'a> {
    by: &'a str,
    at: Time,
    why: Option<&'a str>,
    command_id: Option<&'a str>,
}

/// The `data` of the event: the whole record after `change`.
pub fn data<'a>(about: About<'a>, stop: &'a Stop, change: &'a Downtime) -> impl Serialize + 'a {
    let downtime = stop.downtime.as_ref();
    let time = |at| about.time(at);
    Data {
        downtime_id: stop.downtime_id(),
        stop_id: stop.stop_id,
        number: format!("{}/{}", change.machine, downtime.map_or(0, |downtime| downtime.number)),
        revision: downtime.map_or(0, |downtime| downtime.revision),
        status: match stop.ended_at {
            _ if stop.is_void() => "void",
            Some(_) => "closed",
            None => "open",
        },
        origin: if stop.is_declared() { "declared" } else { "machine" },
        about,
        started_at: time(stop.started_at),
        ended_at: stop.ended_at.map(time),
        duration_ms: stop.duration_ms,
        excluded_ms: stop.excluded_ms,
        unknown_ms: stop.unknown_ms,
        clock_adjust_ms: stop.clock_adjust_ms,
        uncertainty_ms: stop.uncertainty_ms,
        flags: &stop.flags,
        observed: stop
            .observed
            .map(|observed| Observed { started_at: time(observed.started_at), ended_at: observed.ended_at.map(time) }),
        shares: &stop.shares,
        class: stop.class,
        counts_in: stop.counts_in,
        reason: stop.reason.as_ref().map(|reason| Reason::of(about, reason)),
        fault: stop.fault.as_ref(),
        order: stop.order.as_deref(),
        product: stop.product.as_deref(),
        lot: stop.lot.as_deref(),
        operator: None,
        shift: &stop.shift,
        work: [],
        split_from: stop.split.map(|split| split.from),
        change: Change {
            by: &change.by,
            at: time(change.at),
            why: change.why.as_deref(),
            command_id: change.command_id.as_deref(),
        },
    }
}
