//! `andon.work-request.{raised,updated,withdrawn}.v1`: a request that a CMMS can take as it is.

use crate::{
    event::{
        stop::Class,
        work::{Asked, Problem, Status},
    },
    wire::{About, Time},
};
use serde::Serialize;
use uuid::Uuid;

#[derive(Serialize)]
struct Data<'a> {
    request_id: Uuid,
    revision: u64,
    status: Status,
    #[serde(flatten)]
    about: About<'a>,
    downtime_id: Option<Uuid>,
    downtime_ids: Vec<Uuid>,
    downtime_revision: Option<u64>,
    location: String,
    equipment_path: String,
    title: &'a str,
    description: &'a str,
    work_type: &'static str,
    priority: u8,
    priority_text: Option<&'a str>,
    raised_at: Time,
    malfunction_start: Option<Time>,
    malfunction_end: Option<Time>,
    asset_down: bool,
    downtime_ms: i64,
    detection_method: &'static str,
    class: Option<Class>,
    problem: ProblemData<'a>,
    occurrences: i64,
    order: Option<&'a str>,
    product: Option<&'a str>,
    lot: Option<&'a str>,
    shift: Option<&'a str>,
    lost_parts: Option<i64>,
    meters: Meters,
    rule: Option<&'a str>,
    requested_by: Option<&'a str>,
}

#[derive(Serialize)]
struct ProblemData<'a> {
    reason: Option<&'a str>,
    fault: Option<i64>,
    text: &'a str,
}

/// `run_hours` in hours.
#[derive(Serialize)]
struct Meters {
    run_hours: f64,
    cycles: Option<i64>,
}

/// The `data` of the event: the whole record after the change.
pub fn data<'a>(about: About<'a>, asked: &'a Asked) -> impl Serialize + 'a {
    let request = &asked.request;
    let downtime = request.downtime();
    let (first, last) = (request.stops.first(), request.stops.last());
    // A stop of which another machine's levels are known stands where that machine does.
    let levels = |names: [Option<&str>; 2]| {
        let names = std::iter::once(about.path).chain(names.into_iter().flatten());
        names.collect::<Vec<_>>().join("/")
    };
    let is_service = matches!(request.problem, Problem::Meter(_));
    Data {
        request_id: request.request_id,
        revision: request.revision,
        status: request.status,
        about,
        downtime_id: downtime.map(|stop| stop.id),
        downtime_ids: request.stops.iter().filter(|stop| stop.downtime.is_some()).map(|stop| stop.id).collect(),
        downtime_revision: downtime.and_then(|stop| stop.downtime).map(|downtime| downtime.revision),
        location: levels([about.line, None]),
        equipment_path: levels([about.line, about.machine]),
        title: &asked.title,
        description: &asked.description,
        work_type: if is_service { "preventive" } else { "corrective" },
        priority: request.priority,
        priority_text: asked.priority_text.as_deref(),
        raised_at: about.time(request.raised_at),
        malfunction_start: first.map(|stop| about.time(stop.started_at)),
        malfunction_end: last
            .filter(|_| !request.is_asset_down())
            .and_then(|stop| stop.ended_at)
            .map(|at| about.time(at)),
        asset_down: request.is_asset_down(),
        downtime_ms: request.downtime_ms(),
        detection_method: match request.problem {
            Problem::Meter(_) => "usage_meter",
            _ if request.by.is_some() => "operator",
            _ => "machine_signal",
        },
        class: first.map(|stop| stop.class),
        problem: ProblemData {
            reason: match &request.problem {
                Problem::Reason(code) => Some(code),
                _ => None,
            },
            fault: request.fault,
            text: &request.text,
        },
        occurrences: request.occurrences(),
        order: first.and_then(|stop| stop.order.as_deref()),
        product: first.and_then(|stop| stop.product.as_deref()),
        lot: first.and_then(|stop| stop.lot.as_deref()),
        shift: first.map(|stop| stop.shift.as_str()),
        lost_parts: request.lost_parts(),
        meters: Meters { run_hours: request.meters.run_ms as f64 / 3_600_000.0, cycles: request.meters.cycles },
        rule: request.rules.first().map(String::as_str),
        requested_by: request.by.as_deref(),
    }
}
