//! `andon.order.{started,ended}.v1`

use super::state::CountsData;
use crate::{
    event::{
        order::{Change, Event},
        stop::State,
    },
    wire::{About, Time},
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use uuid::Uuid;

#[derive(Serialize)]
struct Data<'a> {
    #[serde(flatten)]
    about: About<'a>,
    revision: u64,
    order: &'a str,
    production_order: Option<&'a str>,
    operation: Option<&'a str>,
    product: Option<&'a str>,
    lot: Option<&'a str>,
    state: &'static str,
    quantity: Option<i64>,
    unit: Option<&'a str>,
    counts: Option<CountsData>,
    r#yield: Option<i64>,
    time_ms: Option<Times<'a>>,
    downtimes: Vec<Uuid>,
    operators: [(); 0],
    process: [(); 0],
    from: Time,
    to: Option<Time>,
    r#final: bool,
}

struct Times<'a>(&'a [i64; 8]);

impl Serialize for Times<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(State::ALL.len()))?;
        for state in State::ALL {
            map.serialize_entry(state.word(), &self.0[state as usize])?;
        }
        map.end()
    }
}

/// The `data` of the event: the order, and once it is over what was made and lost under it.
pub fn data<'a>(about: About<'a>, event: &'a Event) -> impl Serialize + 'a {
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
        time_ms: window.map(|window| Times(&window.time_ms)),
        downtimes: window.into_iter().flat_map(|window| &window.downtimes).map(|share| share.downtime_id).collect(),
        operators: [],
        process: [],
        from: about.time(event.from),
        to: has_ended.then(|| about.time(event.at)),
        r#final: has_ended,
    }
}
