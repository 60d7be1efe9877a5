//! `andon.order.{stored,started,paused,resumed,ended,aborted,cancelled,updated}.v1`: what an ERP books a confirmation from.

use super::{
    process::{self, Value},
    state::CountsData,
    window::{self, KpiData, ShareData, States},
};
use crate::{
    event::{
        order::{Event, Span},
        part::Bounds,
    },
    wire::{About, Time},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// An order at a machine, and what was made and lost under it so far.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Order")]
pub struct Data<'a> {
    #[serde(flatten)]
    about: About<'a>,
    /// Raised by each change told.
    revision: u64,
    /// Its number.
    order: &'a str,
    /// The ERP's order that it belongs to.
    production_order: Option<&'a str>,
    /// The operation of that order.
    operation: Option<&'a str>,
    /// What is made.
    product: Option<&'a str>,
    /// For traceability.
    lot: Option<&'a str>,
    /// `NotAllowedToStart`, `AllowedToStart`, `Running`, `Interrupted`, `Ended`, `Aborted`: states of OPC 10031-4.
    state: &'static str,
    /// To be made.
    quantity: Option<i64>,
    /// Of `quantity`.
    unit: Option<&'a str>,
    /// Passed through.
    priority: Option<i64>,
    /// Passed through.
    planned_start: Option<Time>,
    /// Passed through.
    planned_end: Option<Time>,
    /// Milliseconds a part, of the order or its product; `null`: the machine's counts.
    ideal_ms: Option<f64>,
    /// Parts that one count stands for; `null`: as at the machine.
    parts_per_cycle: Option<i64>,
    /// Parts made under it so far; `null` while it has not run.
    counts: Option<CountsData>,
    /// Fewest and most parts, where the counters cannot tell.
    parts_bounds: Option<Bounds>,
    /// Good parts, those worked over with them.
    r#yield: Option<i64>,
    /// Scrap that was worked over: in `yield`, never in quality.
    reworked: i64,
    /// What of `quantity` the yield lacks.
    remaining: Option<i64>,
    /// Milliseconds by state while it ran, without its pauses; `null` while it has not run.
    time_ms: Option<States<'a>>,
    /// Milliseconds: planned time under it.
    planned_ms: Option<i64>,
    /// Milliseconds: planned time without what availability lost.
    run_ms: Option<i64>,
    /// Milliseconds that availability lost.
    down_ms: Option<i64>,
    /// Ratios of its time.
    kpi: Option<KpiData>,
    /// What of each downtime lies in its time.
    downtimes: Vec<ShareData<'a>>,
    /// Who was logged on while it ran; empty with `[privacy] operator = "off"`.
    operators: &'a [String],
    /// What `[[machine]] process` names, by name.
    process: BTreeMap<&'a str, Value>,
    /// When it ran.
    spans: Vec<Running>,
    /// Since when; `null` while it has not run.
    from: Option<Time>,
    /// When it was over; `null` before.
    to: Option<Time>,
    /// It is over, and nothing but a person can change its figures any more.
    r#final: bool,
    /// Words about the figures; `cut`: what was made before is no longer remembered.
    flags: &'a [String],
    /// What changed it.
    change: Change<'a>,
}

/// A time in which an order ran.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OrderSpan")]
struct Running {
    /// First instant.
    from: Time,
    /// First instant after; `null` while it goes on.
    to: Option<Time>,
}

/// What changed it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OrderChange")]
struct Change<'a> {
    /// `plc`, or who sent the command.
    by: &'a str,
    /// When it was decided.
    at: Time,
    /// In the words of the command.
    why: Option<&'a str>,
    /// Of the command.
    command_id: Option<&'a str>,
}

/// The `data` of the event: the order, what was made and lost under it so far, and under which conditions.
pub fn data<'a>(about: About<'a>, event: &'a Event) -> Data<'a> {
    let (window, job) = (event.window.as_deref(), &event.job);
    let made = window.map(|window| window.counts.good + job.reworked);
    let running = |span: &Span| Running { from: about.time(span.from), to: span.to.map(|to| about.time(to)) };
    Data {
        about,
        revision: job.revision,
        order: job.number(),
        production_order: job.production_order.as_deref(),
        operation: job.operation.as_deref(),
        product: job.order.product.as_deref(),
        lot: job.order.lot.as_deref(),
        state: job.state.word(),
        quantity: job.quantity,
        unit: job.unit.as_deref(),
        priority: job.priority,
        planned_start: job.planned_start.map(Time),
        planned_end: job.planned_end.map(Time),
        ideal_ms: job.order.ideal.map(|ideal| ideal.ms as f64 / ideal.parts as f64),
        parts_per_cycle: job.parts_per_cycle,
        counts: window.map(|window| (&window.counts).into()),
        parts_bounds: window.and_then(|window| window.parts_bounds),
        r#yield: made,
        reworked: job.reworked,
        remaining: job.quantity.map(|quantity| (quantity - made.unwrap_or(0)).max(0)),
        time_ms: window.map(|window| States(&window.time_ms)),
        planned_ms: window.map(|window| window.planned_ms),
        run_ms: window.map(|window| window.run_ms),
        down_ms: window.map(crate::event::window::Window::down_ms),
        kpi: window.map(|window| window::kpi(&window.kpi)),
        downtimes: window.into_iter().flat_map(|window| &window.downtimes).map(window::share).collect(),
        operators: if about.shows_persons { &event.operators } else { &[] },
        process: process::values(&event.values),
        spans: job.spans.iter().map(running).collect(),
        from: job.began.map(|_| about.time(event.from)),
        to: job.ended_at.map(|ended| about.time(ended)),
        r#final: job.is_final,
        flags: window.map_or(&[], |window| &window.flags),
        change: Change {
            by: &event.by,
            at: about.time(event.decided),
            why: event.why.as_deref(),
            command_id: event.command_id.as_deref(),
        },
    }
}
