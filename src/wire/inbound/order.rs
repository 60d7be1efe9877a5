//! `order`: the commands of OPC 10031-4, about one job order.

use super::{Moment, Text, malformed};
use crate::event::{
    Ideal,
    command::{Refusal, Wish},
    order::{self, Says, What},
};
use schemars::JsonSchema;
use serde::Deserialize;

/// A sum of parts stays far from overflow.
const MOST_PARTS: i64 = 1_000_000_000;

/// As at a machine.
const MOST_PER_CYCLE: i64 = 1_000_000;

/// The keys of the verb.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// What is to happen.
    command: Word,
    /// The number of the order.
    order: Text<64>,
    /// The ERP's order that it belongs to.
    #[serde(default)]
    production_order: Option<Text<64>>,
    /// The operation of that order.
    #[serde(default)]
    operation: Option<Text<64>>,
    /// What is made: a `[[product]]`, or any other.
    #[serde(default)]
    product: Option<Text<64>>,
    /// How many are wanted.
    #[serde(default)]
    #[schemars(range(min = 0, max = MOST_PARTS))]
    quantity: Option<i64>,
    /// Of what: passed through.
    #[serde(default)]
    unit: Option<Text<16>>,
    /// Ideal time per part, "1s"; without this and `ideal_rate`: the product's.
    #[serde(default)]
    ideal_cycle: Option<Text<32>>,
    /// Ideal parts per time, "700/min".
    #[serde(default)]
    ideal_rate: Option<Text<32>>,
    /// Parts that one count stands for while it runs; the machine's when left out.
    #[serde(default)]
    #[schemars(range(min = 1, max = MOST_PER_CYCLE))]
    parts_per_cycle: Option<i64>,
    /// For traceability.
    #[serde(default)]
    lot: Option<Text<64>>,
    /// Passed through.
    #[serde(default)]
    priority: Option<i64>,
    /// Passed through.
    #[serde(default)]
    planned_start: Option<Moment>,
    /// Passed through.
    #[serde(default)]
    planned_end: Option<Moment>,
    /// `switch`: the order that runs ends, and this one takes its place.
    #[serde(default)]
    on_start: Option<OnStart>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
enum Word {
    /// It is to be made some time.
    Store,
    /// It is to be made now.
    StoreAndStart,
    /// A stored one is to be made now.
    Start,
    /// One that waits for the machine is not to start.
    RevokeStart,
    /// It will go on later.
    Pause,
    /// It goes on.
    Resume,
    /// It is over.
    Stop,
    /// It is given up.
    Abort,
    /// A stored one is not to be made.
    Cancel,
    /// It is another than was said.
    Update,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OnStart {
    /// The order that runs ends.
    Switch,
}

pub(super) fn wish(keys: Order) -> Result<Wish, Refusal> {
    let what = match keys.command {
        Word::Store => What::Store,
        Word::StoreAndStart => What::StoreAndStart,
        Word::Start => What::Start,
        Word::RevokeStart => What::RevokeStart,
        Word::Pause => What::Pause,
        Word::Resume => What::Resume,
        Word::Stop => What::Stop,
        Word::Abort => What::Abort,
        Word::Cancel => What::Cancel,
        Word::Update => What::Update,
    };
    let within = |name: &str, value: Option<i64>, least: i64, most: i64| match value {
        Some(value) if value < least || value > most => {
            Err(malformed(format!("`{name}` is {value}: from {least} to {most}")))
        }
        value => Ok(value),
    };
    let ideal = match (keys.ideal_cycle, keys.ideal_rate) {
        (Some(_), Some(_)) => {
            return Err(malformed("`ideal_cycle` and `ideal_rate` say the same thing twice".to_owned()));
        }
        (Some(cycle), None) => {
            let what = || malformed(format!("`ideal_cycle`: {} is no time per part, like 1s or 800ms", cycle.0));
            Some(Ideal::of_cycle(&cycle.0).ok_or_else(what)?)
        }
        (None, Some(rate)) => {
            let what = || malformed(format!("`ideal_rate`: {} is no rate, like 700/min", rate.0));
            Some(Ideal::of_rate(&rate.0).ok_or_else(what)?)
        }
        (None, None) => None,
    };
    let starts = matches!(what, What::StoreAndStart | What::Start | What::Resume);
    if keys.on_start.is_some() && !starts {
        return Err(malformed(format!("`on_start` with {}, which starts nothing", what.word())));
    }
    Ok(Wish::Order(order::Wish {
        what,
        order: keys.order.0,
        says: Says {
            production_order: keys.production_order.map(|text| text.0),
            operation: keys.operation.map(|text| text.0),
            product: keys.product.map(|text| text.0),
            quantity: within("quantity", keys.quantity, 0, MOST_PARTS)?,
            unit: keys.unit.map(|text| text.0),
            ideal,
            parts_per_cycle: within("parts_per_cycle", keys.parts_per_cycle, 1, MOST_PER_CYCLE)?,
            lot: keys.lot.map(|text| text.0),
            priority: keys.priority,
            planned_start: keys.planned_start.map(|moment| moment.0),
            planned_end: keys.planned_end.map(|moment| moment.0),
        },
        is_switch: matches!(keys.on_start, Some(OnStart::Switch)),
    }))
}
