//! `andon.state.changed.v1`

use crate::{
    event::{
        part::{Counts, Raw},
        stop::{self, State, StateChange},
    },
    wire::{About, Time},
};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// A machine is in another state.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StateChanged")]
pub struct Data<'a> {
    #[serde(flatten)]
    about: About<'a>,
    /// Always 1: each change is an event of its own.
    revision: u64,
    state: State,
    /// `null` for the first state of a machine.
    previous_state: Option<State>,
    /// From when on; the first sample that showed it.
    since: Time,
    /// A stop that has not yet lasted `short_stop`: it may become a downtime, or another state.
    provisional: bool,
    /// The stop that it is in; `null` while it runs.
    stop_id: Option<Uuid>,
    /// `null`: nobody has said.
    reason: Option<Reason<'a>>,
    /// The PLC's fault code; `null` for none.
    fault: Option<i64>,
    /// The order that it has.
    order: Option<&'a str>,
    counts: CountsData,
    /// Counters as the PLC held them, by point.
    raw: &'a Raw,
}

/// Why a machine stands.
#[derive(Serialize, JsonSchema)]
pub struct Reason<'a> {
    /// `[[reason]] code`
    code: &'a str,
    /// `[[reason]] text`
    text: &'a str,
    /// Who says so: `plc`, or who sent the command.
    by: &'a str,
    /// When it was said.
    at: Time,
}

/// Parts, cumulative since the machine's first mark: `total` = `good` + `reject` + `rework`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Counts")]
pub struct CountsData {
    /// All parts.
    total: i64,
    /// Good the first time.
    good: i64,
    /// Scrapped.
    reject: i64,
    /// To be worked over.
    rework: i64,
}

impl<'a> Reason<'a> {
    pub(super) fn of(about: About<'a>, reason: &'a stop::Reason) -> Reason<'a> {
        Reason { code: &reason.code, text: &reason.text, by: &reason.by, at: about.time(reason.at) }
    }
}

impl From<&Counts> for CountsData {
    fn from(counts: &Counts) -> CountsData {
        CountsData { total: counts.total, good: counts.good, reject: counts.reject, rework: counts.rework }
    }
}

/// The `data` of the event.
pub fn data<'a>(about: About<'a>, change: &'a StateChange) -> Data<'a> {
    let stop = change.stop.as_ref();
    Data {
        about,
        revision: 1,
        state: change.state,
        previous_state: change.previous,
        since: about.time(change.since),
        provisional: change.provisional,
        stop_id: stop.map(|stop| stop.stop_id),
        reason: stop.and_then(|stop| stop.reason.as_ref()).map(|reason| Reason::of(about, reason)),
        fault: (change.fault != 0).then_some(change.fault),
        order: change.order.as_deref(),
        counts: (&change.counts).into(),
        raw: &change.raw,
    }
}
