//! `andon.work-request.{raised,updated,withdrawn}.v1`: a request that a CMMS can take as it is.

use crate::{
    event::{
        stop::Class,
        work::{Asked, Problem, Status},
    },
    wire::{About, Time},
};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// The whole record of a request after a change; the highest `revision` of a `request_id` counts.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WorkRequest")]
pub struct Data<'a> {
    /// Its id: what a work order names.
    request_id: Uuid,
    /// From 1, raised by each change told.
    revision: u64,
    status: Status,
    #[serde(flatten)]
    about: About<'a>,
    /// The downtime that it was raised for; `null`: short stops, a meter or a person alone.
    downtime_id: Option<Uuid>,
    /// All downtimes that it is about.
    downtime_ids: Vec<Uuid>,
    /// Of `downtime_id`, as of this record.
    downtime_revision: Option<u64>,
    /// As the CMMS says, else `path` and line.
    location: String,
    /// Names of what the asset is a part of, and its own, as the CMMS says; else `path`, line and machine.
    equipment_path: String,
    /// At most 40 characters.
    title: &'a str,
    /// Plain text in lines.
    description: &'a str,
    work_type: WorkType,
    /// 1 highest … 4.
    priority: u8,
    /// The priority as the CMMS calls it, by `priority_map`.
    priority_text: Option<&'a str>,
    /// When it was raised.
    raised_at: Time,
    /// When the first of its stops began.
    malfunction_start: Option<Time>,
    /// When the last of its stops ended; `null` while one is open.
    malfunction_end: Option<Time>,
    /// One of its stops is open.
    asset_down: bool,
    /// Milliseconds: Σ `duration_ms` of its stops, so far while one is open.
    downtime_ms: i64,
    detection_method: Detection,
    /// Of the first stop.
    class: Option<Class>,
    problem: ProblemData<'a>,
    /// How often it happened since the first stop.
    occurrences: i64,
    /// When the first stop began.
    order: Option<&'a str>,
    /// When the first stop began.
    product: Option<&'a str>,
    /// When the first stop began.
    lot: Option<&'a str>,
    /// When the first stop began: `2026-11-23/early`, without shifts the day.
    shift: Option<&'a str>,
    /// Σ whole parts that the ideal would have made in `duration_ms` of its stops; `null` without an ideal.
    lost_parts: Option<i64>,
    meters: Meters,
    /// The `[[work_request]]` that raised it; `null`: a person asked.
    rule: Option<&'a str>,
    /// Who asked; `null`: a rule.
    requested_by: Option<&'a str>,
}

/// What kind of work it is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum WorkType {
    /// Something broke.
    Corrective,
    /// A meter says that service is due.
    Preventive,
}

/// How it was noticed.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Detection {
    /// The machine's signals.
    MachineSignal,
    /// Run hours or cycles.
    UsageMeter,
    /// A person.
    Operator,
}

/// What is wrong, as far as a machine or its operator can say; cause and mechanism are the technician's.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WorkProblem")]
struct ProblemData<'a> {
    /// `[[reason]] code`; `null`: none is known.
    reason: Option<&'a str>,
    /// The PLC's fault code.
    fault: Option<i64>,
    /// In words.
    text: &'a str,
}

/// What the asset had done by then.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WorkMeters")]
struct Meters {
    /// Hours of running; `null` where meters are off.
    run_hours: Option<f64>,
    /// Raw cycles of the counter; `null` without one.
    cycles: Option<i64>,
}

/// The `data` of the event: the whole record after the change.
pub fn data<'a>(about: About<'a>, asked: &'a Asked) -> Data<'a> {
    let request = &asked.request;
    let downtime = request.downtime();
    let (first, last) = (request.stops.first(), request.stops.last());
    let levels = |names: [Option<&str>; 2]| {
        let names = std::iter::once(about.path).chain(names.into_iter().flatten());
        names.collect::<Vec<_>>().join("/")
    };
    let is_over = !request.is_asset_down();
    let (work_type, detection_method) = match request.problem {
        Problem::Meter(_) => (WorkType::Preventive, Detection::UsageMeter),
        _ if request.by.is_some() => (WorkType::Corrective, Detection::Operator),
        _ => (WorkType::Corrective, Detection::MachineSignal),
    };
    Data {
        request_id: request.request_id,
        revision: request.revision,
        status: request.status,
        about,
        downtime_id: downtime.map(|stop| stop.id),
        downtime_ids: request.stops.iter().filter(|stop| stop.downtime.is_some()).map(|stop| stop.id).collect(),
        downtime_revision: downtime.and_then(|stop| stop.downtime).map(|downtime| downtime.revision),
        location: asked.location.clone().unwrap_or_else(|| levels([about.line, None])),
        equipment_path: asked.equipment_path.clone().unwrap_or_else(|| levels([about.line, about.machine])),
        title: &asked.title,
        description: &asked.description,
        work_type,
        priority: request.priority,
        priority_text: asked.priority_text.as_deref(),
        raised_at: about.time(request.raised_at),
        malfunction_start: first.map(|stop| about.time(stop.started_at)),
        malfunction_end: last.filter(|_| is_over).and_then(|stop| stop.ended_at).map(|at| about.time(at)),
        asset_down: !is_over,
        downtime_ms: request.downtime_ms(),
        detection_method,
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
        meters: Meters {
            run_hours: request.meters.run_ms.map(|ms| ms as f64 / 3_600_000.0),
            cycles: request.meters.cycles,
        },
        rule: request.rules.first().map(String::as_str),
        requested_by: request.by.as_deref(),
    }
}
