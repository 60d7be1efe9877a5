//! `work-request`: a person asks for maintenance.

use super::{Text, malformed};
use crate::event::{
    command::{Refusal, Wish},
    work::Call,
};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

/// The keys of the verb.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkRequest {
    /// What is wrong, in the person's words.
    text: Text<1000>,
    /// 1 highest … 4; when left out 2.
    #[serde(default)]
    #[schemars(range(min = 1, max = 4))]
    priority: Option<u8>,
    /// The downtime that it is about.
    #[serde(default)]
    downtime_id: Option<Uuid>,
}

pub(super) fn wish(keys: WorkRequest) -> Result<Wish, Refusal> {
    let WorkRequest { text: Text(text), priority, downtime_id } = keys;
    if priority.is_some_and(|priority| !(1..=4).contains(&priority)) {
        return Err(malformed("`priority` is 1 (highest) to 4".to_owned()));
    }
    if text.trim().is_empty() {
        return Err(malformed("`text`: nothing but blanks".to_owned()));
    }
    Ok(Wish::WorkRequest(Call { text: text.trim().to_owned(), priority, downtime_id }))
}
