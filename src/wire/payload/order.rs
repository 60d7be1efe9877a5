//! `andon.order.{started,ended}.v1`

use super::{state::CountsData, window::States};
use crate::{
    event::order::{Change, Event},
    wire::{About, Time},
};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// An order at a machine; once it is over, what was made and lost under it.
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
    /// `Running`, `Ended`: states of OPC 10031-4.
    state: &'static str,
    /// To be made.
    quantity: Option<i64>,
    /// Of `quantity`.
    unit: Option<&'a str>,
    /// Parts made under it; `null` while it only starts.
    counts: Option<CountsData>,
    /// Good parts, those worked over with them.
    r#yield: Option<i64>,
    /// `null` while it only starts.
    time_ms: Option<States<'a>>,
    /// Ids of the downtimes under it.
    downtimes: Vec<Uuid>,
    /// Who was logged on.
    operators: [(); 0],
    /// What was measured meanwhile.
    process: [(); 0],
    /// Since when it ran.
    from: Time,
    /// `null` while it runs.
    to: Option<Time>,
    /// Whether it is over.
    r#final: bool,
}

/// The `data` of the event: the order, and once it is over what was made and lost under it.
pub fn data<'a>(about: About<'a>, event: &'a Event) -> Data<'a> {
    let window = event.window.as_deref();
    let has_ended = event.change == Change::Ended;
    Data {
        about,
        revision: if has_ended { 2 } else { 1 },
        order: &event.order.order,
        production_order: None,
        operation: None,
        product: event.order.product.as_deref(),
        lot: event.order.lot.as_deref(),
        state: if has_ended { "Ended" } else { "Running" },
        quantity: None,
        unit: None,
        counts: window.map(|window| (&window.counts).into()),
        r#yield: window.map(|window| window.counts.good),
        time_ms: window.map(|window| States(&window.time_ms)),
        downtimes: window.into_iter().flat_map(|window| &window.downtimes).map(|share| share.downtime_id).collect(),
        operators: [],
        process: [],
        from: about.time(event.from),
        to: has_ended.then(|| about.time(event.at)),
        r#final: has_ended,
    }
}
