//! `andon.production.counted.v1`

use super::state::CountsData;
use crate::{
    event::part::{Bounds, Event, Raw, Why},
    wire::{About, Time},
};
use schemars::JsonSchema;
use serde::Serialize;

/// The counts of parts that showed before `to`; what was made in between is the difference to the event before.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Production")]
pub struct Data<'a> {
    #[serde(flatten)]
    about: About<'a>,
    /// Always 1: each count is an event of its own.
    revision: u64,
    /// `to` of the one before.
    from: Time,
    /// Parts that showed before this moment are in.
    to: Time,
    /// In between.
    order: Option<&'a str>,
    /// In between.
    product: Option<&'a str>,
    /// In between.
    lot: Option<&'a str>,
    #[serde(flatten)]
    counts: CountsData,
    /// What can have been made in between, if that is not just what was counted.
    bounds: Option<Bounds>,
    /// Counters as the PLC held them, by point.
    raw: &'a Raw,
    why: Why,
}

/// The `data` of the event; counts are cumulative per machine since its first mark.
pub fn data<'a>(about: About<'a>, Event::Counted(counted): &'a Event) -> Data<'a> {
    Data {
        about,
        revision: 1,
        from: about.time(counted.from),
        to: about.time(counted.to),
        order: counted.order.as_ref().map(|order| order.order.as_str()),
        product: counted.order.as_ref().and_then(|order| order.product.as_deref()),
        lot: counted.order.as_ref().and_then(|order| order.lot.as_deref()),
        counts: (&counted.counts).into(),
        bounds: counted.bounds,
        raw: &counted.raw,
        why: counted.why,
    }
}
