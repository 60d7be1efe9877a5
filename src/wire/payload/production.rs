//! `andon.production.counted.v1`

use super::state::CountsData;
use crate::{
    event::part::{Bounds, Event, Raw, Why},
    wire::{About, Time},
};
use serde::Serialize;

#[derive(Serialize)]
struct Data<'a> {
    #[serde(flatten)]
    about: About<'a>,
    revision: u64,
    from: Time,
    to: Time,
    order: Option<&'a str>,
    product: Option<&'a str>,
    lot: Option<&'a str>,
    #[serde(flatten)]
    counts: CountsData,
    bounds: Option<Bounds>,
    raw: &'a Raw,
    why: Why,
}

/// The `data` of the event; counts are cumulative per machine since its first mark.
pub fn data<'a>(about: About<'a>, Event::Counted(counted): &'a Event) -> impl Serialize + 'a {
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
