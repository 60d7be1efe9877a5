//! Told events in, the requests, work orders and recent stops that rules look back at out: a fold without any rule.

use crate::event::{
    Event,
    meter::{Readings, Why},
    stop::{self, Class, Stop},
    work::{self, Occurrence, Order, Problem, Request},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Most requests and most work orders that are remembered; of more, the oldest that have ended go.
pub const REQUESTS: usize = 10_000;

/// Most stops of a machine that rules look back at.
pub const RECENT: usize = 128;

/// What is known of requests and of work that was done for them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// By id, hence by time.
    pub requests: BTreeMap<Uuid, Request>,
    /// By id, hence by time.
    pub orders: BTreeMap<Uuid, Order>,
    /// The last multiple of a meter that was asked for: by rule and unit, then by asset.
    pub multiples: BTreeMap<String, BTreeMap<String, i64>>,
    /// By asset: what its meter read before, and reads now.
    pub meters: BTreeMap<String, (Readings, Readings)>,
    /// By machine: downtimes, and short stops that bear a reason or fault; the latest last.
    pub recent: BTreeMap<String, Vec<Recent>>,
}

/// A stop that rules look back at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// What it was about.
    pub problem: Problem,
    /// In words.
    pub text: String,
    /// The stop.
    pub stop: Occurrence,
}

impl Kept {
    /// Enters one event.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Work(work::Event::Request(asked)) => {
                let request = &asked.request;
                if let (Some(multiple), Problem::Meter(meter)) = (request.multiple, &request.problem) {
                    self.multiples.entry(meter.clone()).or_default().insert(request.asset.clone(), multiple);
                }
                self.requests.insert(request.request_id, request.clone());
                forget(&mut self.requests, |request| request.status.is_ended());
            }
            Event::Work(work::Event::Order(updated)) => {
                self.orders.insert(updated.order.id, updated.order.clone());
                forget(&mut self.orders, |order| order.status.is_ended());
            }
            Event::Stop(stop::Event::Downtime(downtime)) => self.remember(&downtime.machine, &downtime.stop),
            Event::Stop(stop::Event::State(change)) => {
                let short = change.ended.as_ref().filter(|stop| stop.downtime.is_none());
                if let Some(stop) = short.filter(|stop| stop.reason.is_some() || stop.fault.is_some()) {
                    self.remember(&change.machine, stop);
                }
            }
            Event::Meter(read) => {
                let known = self.meters.entry(read.asset.clone()).or_insert((read.readings, read.readings));
                // What the CMMS knows better, or another machine's asset had run, nobody has worked off here.
                let before = if read.why == Why::Interval { known.1 } else { read.readings };
                *known = (before, read.readings);
            }
            Event::Part(_)
            | Event::Order(_)
            | Event::Operator(_)
            | Event::Shift(_)
            | Event::Notice(_)
            | Event::Asset(_) => {}
        }
    }

    fn remember(&mut self, machine: &str, stop: &Stop) {
        if !self.recent.contains_key(machine) {
            self.recent.insert(machine.to_owned(), Vec::new());
        }
        let Some(recent) = self.recent.get_mut(machine) else { return };
        let (problem, text) = problem(stop);
        let entry = Recent { problem, text, stop: occurrence(machine, stop) };
        match recent.iter_mut().rev().find(|known| known.stop.id == entry.stop.id) {
            Some(known) => *known = entry,
            None => {
                // What is corrected long after takes no room of what is new.
                let place = recent.partition_point(|known| known.stop.started_at <= entry.stop.started_at);
                recent.insert(place, entry);
                if recent.len() > RECENT {
                    recent.remove(0);
                }
            }
        }
    }
}

fn forget<T>(kept: &mut BTreeMap<Uuid, T>, is_ended: impl Fn(&T) -> bool) {
    if kept.len() > REQUESTS {
        let oldest = kept.iter().find(|(_, one)| is_ended(one)).or(kept.iter().next()).map(|(id, _)| *id);
        oldest.map(|id| kept.remove(&id));
    }
}

/// What a stop is about, and in words.
pub fn problem(stop: &Stop) -> (Problem, String) {
    match (&stop.reason, &stop.fault) {
        (Some(reason), _) => (Problem::Reason(reason.code.clone()), reason.text.clone()),
        (None, Some(fault)) => (Problem::Fault(fault.code), format!("fault {}", fault.code)),
        (None, None) => (Problem::Unassigned, "stopped, cause unknown".to_owned()),
    }
}

/// A stop as a request bears it; what its parts would have been is added by rules.
pub fn occurrence(machine: &str, stop: &Stop) -> Occurrence {
    Occurrence {
        machine: machine.to_owned(),
        id: stop.downtime_id(),
        stop_id: stop.stop_id,
        downtime: stop.downtime,
        started_at: stop.started_at,
        ended_at: stop.ended_at,
        duration_ms: stop.duration_ms,
        class: stop.class,
        is_void: stop.is_void(),
        shift: stop.shift.clone(),
        order: stop.order.clone(),
        product: stop.product.clone(),
        lot: stop.lot.clone(),
        lost_parts: None,
    }
}

/// A stop for which nobody has to come.
pub fn is_nothing(stop: &Occurrence) -> bool {
    stop.is_void || stop.class == Class::Planned
}
