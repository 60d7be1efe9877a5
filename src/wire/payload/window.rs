//! One window of a report, a statement or a live picture: the same fields everywhere.

use crate::{
    event::{
        cycle::Figures,
        part::Bounds,
        stop::{Class, CountsIn, State},
        window::{IdealSource, Kpi, Loss, Share, Window},
    },
    wire::Time,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};
use std::borrow::Cow;
use uuid::Uuid;

/// Which window it is.
#[derive(Clone, Copy, Debug)]
pub struct Which<'a> {
    /// `shift`, `hour`, `day`, `order` or `all`.
    pub window: &'static str,
    /// `2026-11-23/early`
    pub id: &'a str,
    /// `None` for a line or the whole site.
    pub machine: Option<&'a str>,
    /// `None` for the whole site.
    pub line: Option<&'a str>,
    /// Those of a line or the site whose figures are in it; empty where `machine` says it.
    pub machines: &'a [String],
    /// As of.
    pub revision: u64,
}

/// Figures of a machine, a line or the site in a window of time.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Window")]
pub struct Data<'a> {
    /// Which; `all` is everything that there is.
    #[schemars(extend("enum" = ["shift", "hour", "day", "order", "all"]))]
    window: &'static str,
    /// `2026-11-23/early`; of a day its date, of an order its number.
    id: &'a str,
    /// `null` for a line or the site.
    machine: Option<&'a str>,
    /// `null` for the site.
    line: Option<&'a str>,
    /// Whose figures are in it.
    machines: Vec<&'a str>,
    /// First instant.
    from: Time,
    /// First instant after; of a window that goes on, so far.
    to: Time,
    /// Whether nothing more is expected to change it.
    r#final: bool,
    /// Raised by each statement of it.
    revision: u64,
    time_ms: States<'a>,
    /// Milliseconds between `from` and `to`.
    calendar_ms: i64,
    /// Milliseconds by which the wall clock was set meanwhile: with them `time_ms` adds up to `to` − `from`.
    clock_adjust_ms: i64,
    /// Milliseconds that it was planned to run: the base of availability.
    planned_ms: i64,
    /// Milliseconds of `planned_ms` without losses of availability: the base of performance.
    run_ms: i64,
    /// Milliseconds of `planned_ms` that availability lost.
    down_ms: i64,
    /// Milliseconds that it ran outside planned time.
    outside_run_ms: i64,
    /// Milliseconds in the state `running`.
    operating_ms: i64,
    /// Milliseconds that all parts of planned time take ideally.
    ideal_ms: i64,
    /// Milliseconds that its good parts take ideally.
    good_ideal_ms: i64,
    counts: Counts,
    /// What `counts.total` may be off by; `null` where it is certain.
    parts_bounds: Option<Bounds>,
    /// `null`: the counter was not looked at often enough.
    cycle_ms: Option<CycleData>,
    kpi: KpiData,
    /// Failures that began in it.
    failures: i64,
    /// Failures that ended in it.
    restorations: i64,
    /// Milliseconds of their whole durations.
    restoration_ms: i64,
    /// Repairs that ended in it.
    repairs: i64,
    /// Milliseconds of their whole durations.
    repair_ms: i64,
    ideal_source: IdealSource,
    /// `unsynced`, `unresolved`, `no_counter`, `counter_unread`, `ran_unscheduled`, `ran_in_break`, `ideal_missing`,
    /// `ideal_rate_suspect`; new ones may come.
    flags: &'a [String],
    /// Stops by reason.
    losses: Vec<LossData<'a>>,
    /// Downtimes that reach into it.
    downtimes: Vec<ShareData<'a>>,
}

/// Milliseconds by state.
pub struct States<'a>(pub(super) &'a [i64; 8]);

impl Serialize for States<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(State::ALL.len()))?;
        for state in State::ALL {
            map.serialize_entry(state.word(), &self.0[state as usize])?;
        }
        map.end()
    }
}

impl JsonSchema for States<'_> {
    fn schema_name() -> Cow<'static, str> {
        "TimeByState".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let ms = generator.subschema_for::<i64>();
        let times: Map<String, Value> =
            State::ALL.into_iter().map(|state| (state.word().to_owned(), ms.clone().to_value())).collect();
        let words = State::ALL.map(State::word);
        json_schema!({
            "description": "Milliseconds by state.", "type": "object", "properties": times, "required": words,
        })
    }
}

/// Parts of the window; `outside` holds those of `total` that came outside planned time or after an unknown gap.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WindowCounts")]
struct Counts {
    /// All parts.
    total: i64,
    /// Good the first time.
    good: i64,
    /// Scrapped.
    reject: i64,
    /// To be worked over.
    rework: i64,
    outside: Outside,
}

/// Parts that count in no ratio.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WindowCountsOutside")]
struct Outside {
    /// All parts.
    total: i64,
    /// Good the first time.
    good: i64,
}

/// Cycle times in milliseconds; `n` and `slow` are numbers of cycles.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CycleTimes")]
struct CycleData {
    /// Number of cycles that were timed.
    n: i64,
    /// What one should take, in milliseconds; `null` where that was not the same for all.
    ideal: Option<i64>,
    /// The fastest, in milliseconds.
    min: i64,
    /// In milliseconds.
    median: i64,
    /// 95 of 100 take no longer, in milliseconds.
    p95: i64,
    /// In milliseconds.
    mean: i64,
    /// Number of cycles that took more than 1.5 times the ideal.
    slow: i64,
    /// What they took beyond the ideal, in milliseconds.
    slow_lost: i64,
}

/// Ratios 0…1, unrounded (`performance` and what it is in may exceed 1); `null` where the base is zero or the ideal is missing.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Kpi")]
pub(super) struct KpiData {
    /// Ratio: run / planned.
    availability: Option<f64>,
    /// Ratio: Σ ideal × parts / run.
    performance: Option<f64>,
    /// Ratio: Σ ideal × good / Σ ideal × parts.
    quality: Option<f64>,
    /// Ratio: good parts / parts.
    quality_by_count: Option<f64>,
    /// Ratio: availability × performance × quality.
    oee: Option<f64>,
    /// Ratio: OEE with changeovers taken for run time (ISO 22400-2).
    nee: Option<f64>,
    /// Ratio: OEE × planned / calendar time.
    teep: Option<f64>,
    /// Ratio: what of the time was seen.
    coverage: Option<f64>,
    /// Ratio: performance, but at most 1; `null` under every convention but `smrp`.
    performance_capped: Option<f64>,
    /// Ratio: OEE with performance at most 1; `null` under every convention but `smrp`.
    oee_capped: Option<f64>,
    /// Milliseconds: time in `running` / failures.
    mtbf_ms: Option<i64>,
    /// Milliseconds: mean of the whole durations of failures.
    mttr_restoration_ms: Option<i64>,
    /// Milliseconds: mean time that repairs took.
    mttr_repair_ms: Option<i64>,
    /// Milliseconds: mean time until somebody began.
    response_ms: Option<i64>,
}

/// Stops of one reason, class and place in the sum.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Loss")]
struct LossData<'a> {
    /// `[[reason]] code`; `null`: nobody has said.
    reason: Option<&'a str>,
    class: Class,
    counts_in: CountsIn,
    /// Milliseconds inside the window.
    ms: i64,
    /// Stops that began inside the window.
    times: i64,
}

/// What of a downtime lies in the window.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DowntimeInWindow")]
pub(super) struct ShareData<'a> {
    /// Its one id for ever.
    downtime_id: Uuid,
    /// For people: `press-7/42`.
    number: String,
    /// As of.
    revision: u64,
    /// Milliseconds: its part of this window.
    duration_ms: i64,
    /// It may lie before the window.
    started_at: Time,
    /// `null` while open; it may lie after the window.
    ended_at: Option<Time>,
    class: Class,
    counts_in: CountsIn,
    /// `[[reason]] code`; `null`: nobody has said.
    reason: Option<&'a str>,
    /// The PLC's first fault code; `null`: it named none.
    fault: Option<i64>,
}

/// The figures of a window.
pub fn data<'a>(which: Which<'a>, of: &'a Window) -> Data<'a> {
    let Which { window, id, machine, line, machines, revision } = which;
    Data {
        window,
        id,
        machine,
        line,
        machines: machine.into_iter().chain(machines.iter().map(String::as_str)).collect(),
        from: Time(of.from),
        to: Time(of.to),
        r#final: of.is_final,
        revision,
        time_ms: States(&of.time_ms),
        calendar_ms: of.calendar_ms,
        clock_adjust_ms: of.clock_adjust_ms,
        planned_ms: of.planned_ms,
        run_ms: of.run_ms,
        down_ms: of.down_ms(),
        outside_run_ms: of.outside_run_ms,
        operating_ms: of.time_in(State::Running),
        ideal_ms: of.ideal_ms(),
        good_ideal_ms: of.good_ideal_ms(),
        counts: Counts {
            total: of.counts.total,
            good: of.counts.good,
            reject: of.counts.reject,
            rework: of.counts.rework,
            outside: Outside { total: of.counts.outside_total, good: of.counts.outside_good },
        },
        parts_bounds: of.parts_bounds,
        cycle_ms: of.cycles.figures().map(cycle),
        kpi: kpi(&of.kpi),
        failures: of.failures,
        restorations: of.restorations,
        restoration_ms: of.restoration_ms,
        repairs: of.repairs,
        repair_ms: of.repair_ms,
        ideal_source: of.ideal_source(),
        flags: &of.flags,
        losses: of.losses.iter().map(loss).collect(),
        downtimes: of.downtimes.iter().map(share).collect(),
    }
}

pub(super) fn kpi(kpi: &Kpi) -> KpiData {
    KpiData {
        availability: kpi.availability,
        performance: kpi.performance,
        quality: kpi.quality,
        quality_by_count: kpi.quality_by_count,
        oee: kpi.oee,
        nee: kpi.nee,
        teep: kpi.teep,
        coverage: kpi.coverage,
        performance_capped: kpi.performance_capped,
        oee_capped: kpi.oee_capped,
        mtbf_ms: kpi.mtbf_ms,
        mttr_restoration_ms: kpi.mttr_restoration_ms,
        mttr_repair_ms: kpi.mttr_repair_ms,
        response_ms: kpi.response_ms,
    }
}

pub(super) fn share(share: &Share) -> ShareData<'_> {
    ShareData {
        downtime_id: share.downtime_id,
        number: format!("{}/{}", share.machine, share.number),
        revision: share.revision,
        duration_ms: share.duration_ms,
        started_at: Time(share.started_at),
        ended_at: share.ended_at.map(Time),
        class: share.class,
        counts_in: share.counts_in,
        reason: share.reason.as_deref(),
        fault: share.fault,
    }
}

fn cycle(of: Figures) -> CycleData {
    CycleData {
        n: of.n,
        ideal: of.ideal_ms,
        min: of.min_ms,
        median: of.median_ms,
        p95: of.p95_ms,
        mean: of.mean_ms,
        slow: of.slow,
        slow_lost: of.slow_lost_ms,
    }
}

fn loss(loss: &Loss) -> LossData<'_> {
    let reason = loss.reason.as_deref();
    LossData { reason, class: loss.class, counts_in: loss.counts_in, ms: loss.ms, times: loss.times }
}
