//! `replay`: events that a consumer lacks, once more.

use super::Text;
use crate::event::command::Wish;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The keys of the verb.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Who asks: the same as `by`.
    consumer: Text<64>,
    /// Of the tails.
    epoch: u32,
    /// The last `topicsequence` held, by topic key; topics that are not named are not sent.
    after: BTreeMap<String, u64>,
}

pub(super) fn wish(keys: Replay) -> Wish {
    Wish::Replay { consumer: keys.consumer.0, epoch: keys.epoch, after: keys.after }
}
