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
use serde::{Serialize, Serializer, ser::SerializeMap};
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

/// A window as the world reads it.
#[derive(Serialize)]
pub struct Data<'a> {
    window: &'static str,
    id: &'a str,
    machine: Option<&'a str>,
    line: Option<&'a str>,
    machines: Vec<&'a str>,
    from: Time,
    to: Time,
    r#final: bool,
    revision: u64,
    time_ms: States<'a>,
    calendar_ms: i64,
    clock_adjust_ms: i64,
    planned_ms: i64,
    run_ms: i64,
    down_ms: i64,
    outside_run_ms: i64,
    operating_ms: i64,
    ideal_ms: i64,
    good_ideal_ms: i64,
    counts: Counts,
    parts_bounds: Option<Bounds>,
    cycle_ms: Option<CycleData>,
    kpi: KpiData,
    failures: i64,
    restorations: i64,
    restoration_ms: i64,
    repairs: i64,
    repair_ms: i64,
    ideal_source: IdealSource,
    flags: &'a [String],
    losses: Vec<LossData<'a>>,
    downtimes: Vec<ShareData<'a>>,
}

struct States<'a>(&'a Window);

impl Serialize for States<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(State::ALL.len()))?;
        for state in State::ALL {
            map.serialize_entry(state.word(), &self.0.time_in(state))?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Counts {
    total: i64,
    good: i64,
    reject: i64,
    rework: i64,
    outside: Outside,
}

#[derive(Serialize)]
struct Outside {
    total: i64,
    good: i64,
}

/// `n` and `slow` are numbers of cycles.
#[derive(Serialize)]
struct CycleData {
    n: i64,
    ideal: Option<i64>,
    min: i64,
    median: i64,
    p95: i64,
    mean: i64,
    slow: i64,
    slow_lost: i64,
}

#[derive(Serialize)]
struct KpiData {
    availability: Option<f64>,
    performance: Option<f64>,
    quality: Option<f64>,
    quality_by_count: Option<f64>,
    oee: Option<f64>,
    nee: Option<f64>,
    teep: Option<f64>,
    coverage: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    performance_capped: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oee_capped: Option<f64>,
    mtbf_ms: Option<i64>,
    mttr_restoration_ms: Option<i64>,
    mttr_repair_ms: Option<i64>,
    response_ms: Option<i64>,
}

#[derive(Serialize)]
struct LossData<'a> {
    reason: Option<&'a str>,
    class: Class,
    counts_in: CountsIn,
    ms: i64,
    times: i64,
}

#[derive(Serialize)]
struct ShareData<'a> {
    downtime_id: Uuid,
    number: String,
    revision: u64,
    duration_ms: i64,
    started_at: Time,
    ended_at: Option<Time>,
    class: Class,
    counts_in: CountsIn,
    reason: Option<&'a str>,
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
        time_ms: States(of),
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
        repairs: 0,
        repair_ms: 0,
        ideal_source: of.ideal_source(),
        flags: &of.flags,
        losses: of.losses.iter().map(loss).collect(),
        downtimes: of.downtimes.iter().map(share).collect(),
    }
}

fn kpi(kpi: &Kpi) -> KpiData {
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
        mttr_repair_ms: None,
        response_ms: None,
    }
}

fn share(share: &Share) -> ShareData<'_> {
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
