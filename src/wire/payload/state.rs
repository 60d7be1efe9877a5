//! `andon.state.changed.v1`

use crate::{
    event::{
        part::{Counts, Raw},
        stop::{self, State, StateChange},
    },
    wire::{About, Time},
};
use serde::Serialize;
use uuid::Uuid;

#[derive(Serialize)]
struct Data<'a> {
    #[serde(flatten)]
    about: About<'a>,
    revision: u64,
    state: State,
    previous_state: Option<State>,
    since: Time,
    provisional: bool,
    stop_id: Option<Uuid>,
    reason: Option<Reason<'a>>,
    fault: Option<i64>,
    order: Option<&'a str>,
    counts: CountsData,
    raw: &'a Raw,
}

/// Why a machine stands.
#[derive(Serialize)]
pub struct Reason<'a> {
    code: &'a str,
    text: &'a str,
    by: &'a str,
    at: Time,
}

/// Parts, cumulative.
#[derive(Serialize)]
pub struct CountsData {
    total: i64,
    good: i64,
    reject: i64,
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
pub fn data<'a>(about: About<'a>, change: &'a StateChange) -> impl Serialize + 'a {
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
