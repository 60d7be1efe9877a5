//! `andon.downtime.{opened,updated,closed,amended}.v1`, and the record inside `P/downtime`.

use super::state::Reason;
use crate::{
    event::{
        Stamp,
        stop::{Class, CountsIn, Downtime, Fault, Share, Stop},
        work,
    },
    wire::{About, Time},
};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// The whole record of a downtime after a change; the highest `revision` of a `downtime_id` counts.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Downtime")]
pub struct Data<'a> {
    /// Its one id for ever: MES and CMMS book under it.
    downtime_id: Uuid,
    /// The stop of the machine that it is, or is a part of.
    stop_id: Uuid,
    /// For people: `press-7/42`, gap-free per machine.
    number: String,
    /// From 1, raised by each change told.
    revision: u64,
    status: Status,
    origin: Origin,
    #[serde(flatten)]
    about: About<'a>,
    /// First instant inside planned hours at which it stood.
    started_at: Time,
    /// First instant at which it ran again; `null` while open.
    ended_at: Option<Time>,
    /// Milliseconds of downtime, so far while open: without `excluded_ms` and `unknown_ms`.
    duration_ms: i64,
    /// Milliseconds in breaks, planned stops and closed hours.
    excluded_ms: i64,
    /// Milliseconds without data.
    unknown_ms: i64,
    /// Milliseconds by which the wall clock was set meanwhile: with them the times add up to `ended_at` − `started_at`.
    clock_adjust_ms: i64,
    /// Milliseconds by which start and end may be off; `null`: its start was not seen.
    uncertainty_ms: Option<i64>,
    /// `start_not_seen`, `unsynced`.
    flags: &'a [String],
    /// What the machine itself showed, whatever was corrected; `null` where nothing was seen.
    observed: Option<Observed>,
    /// What of it lies in which shift and order; they add up to `duration_ms`.
    shares: &'a [Share],
    class: Class,
    counts_in: CountsIn,
    /// `null`: nobody has said.
    reason: Option<Reason<'a>>,
    /// `null`: the PLC named none.
    fault: Option<&'a Fault>,
    /// At `started_at`.
    order: Option<&'a str>,
    /// At `started_at`.
    product: Option<&'a str>,
    /// At `started_at`.
    lot: Option<&'a str>,
    /// At `started_at`; `null` unless `[privacy] operator` lets ids out.
    operator: Option<&'a str>,
    /// At `started_at`: `2026-11-23/early`, without shifts the day.
    shift: &'a str,
    /// What the CMMS said about it.
    work: Vec<Work<'a>>,
    /// The downtime that it was cut from.
    split_from: Option<Uuid>,
    change: Change<'a>,
}

/// Whether it goes on.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "DowntimeStatus")]
enum Status {
    /// It goes on.
    Open,
    /// It is over.
    Closed,
    /// It is none any more: its time belongs to another one, or to none. Take it out of the books.
    Void,
}

/// Who said that there was one.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "DowntimeOrigin")]
enum Origin {
    /// The machine's signals.
    Machine,
    /// A command that claimed unknown time.
    Declared,
}

/// What the machine itself showed; no correction changes it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DowntimeObserved")]
struct Observed {
    /// First still sample.
    started_at: Time,
    /// First running sample, or the start of the gap that hid it.
    ended_at: Option<Time>,
}

/// A work order about it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DowntimeWork")]
struct Work<'a> {
    /// The request that it answers; `null`: the CMMS named the downtime itself.
    request_id: Option<Uuid>,
    /// The CMMS's number, once it is known.
    work_order: Option<&'a str>,
    status: work::Status,
    /// Why it failed.
    cause: Option<&'a str>,
    /// What was done.
    remedy: Option<&'a str>,
    /// When the work began, as the CMMS says. One order is one repair: both times stand at the first of its downtimes.
    actual_start: Option<Time>,
    /// When it was done, as the CMMS says.
    actual_finish: Option<Time>,
}

/// What made this revision.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DowntimeChange")]
struct Change<'a> {
    /// `plc`, or who sent the command.
    by: &'a str,
    /// When.
    at: Time,
    /// A word for programs, or the sender's comment.
    why: Option<&'a str>,
    /// The command that asked for it.
    command_id: Option<&'a str>,
}

/// The `data` of the event: the whole record after `change`.
pub fn data<'a>(about: About<'a>, stop: &'a Stop, change: &'a Downtime) -> Data<'a> {
    let downtime = stop.downtime.as_ref();
    let time = |at| about.time(at);
    Data {
        downtime_id: stop.downtime_id(),
        stop_id: stop.stop_id,
        number: format!("{}/{}", change.machine, downtime.map_or(0, |downtime| downtime.number)),
        revision: downtime.map_or(0, |downtime| downtime.revision),
        status: match stop.ended_at {
            _ if stop.is_void() => Status::Void,
            Some(_) => Status::Closed,
            None => Status::Open,
        },
        origin: if stop.is_declared() { Origin::Declared } else { Origin::Machine },
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
        operator: stop.operator.as_deref().filter(|_| about.shows_persons),
        shift: &stop.shift,
        work: stop.work.iter().map(|link| linked(about, link)).collect(),
        split_from: stop.split.map(|split| split.from),
        change: Change {
            by: &change.by,
            at: time(change.at),
            why: change.why.as_deref(),
            command_id: change.command_id.as_deref(),
        },
    }
}

fn linked<'a>(about: About<'_>, link: &'a work::Link) -> Work<'a> {
    let times = link.times.as_ref();
    let time = |at: Option<Stamp>| at.map(|at| about.time(at));
    Work {
        request_id: link.request_id,
        work_order: link.work_order.as_deref(),
        status: link.status,
        cause: link.cause.as_deref(),
        remedy: link.remedy.as_deref(),
        actual_start: time(times.and_then(|times| times.actual_start)),
        actual_finish: time(times.and_then(|times| times.actual_finish)),
    }
}
