//! `reason`: what a stop was, where it is to be cut in two or two are one, and claims of unknown time.

use super::{Moment, Text, malformed, nullable};
use crate::event::command::{Refusal, Side, Wish};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

/// The keys of the verb.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// The downtime that it is about; left out where unknown time is claimed.
    #[serde(default)]
    downtime_id: Option<Uuid>,
    /// A `[[reason]]`; `null` takes back what a person said, and a claim.
    #[serde(default, deserialize_with = "nullable")]
    #[schemars(with = "Option<Text<64>>")]
    code: Option<Option<Text<64>>>,
    /// Makes two downtimes of it: the first instant of the second one.
    #[serde(default)]
    split_at: Option<Moment>,
    /// The reason of the second one; when left out, it keeps the first one's.
    #[serde(default)]
    code_after: Option<Text<64>>,
    /// The part that work requests and work orders go with; when left out, the one of class failure, else the first.
    #[serde(default)]
    work_to: Option<Part>,
    /// Undoes a split: the other part.
    #[serde(default)]
    merge: Option<Uuid>,
    /// Claims unknown time: its first instant …
    #[serde(default)]
    started_at: Option<Moment>,
    /// … and the first one after it.
    #[serde(default)]
    ended_at: Option<Moment>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Part {
    /// The earlier one.
    First,
    /// The later one.
    Second,
}

pub(super) fn wish(keys: Reason) -> Result<Wish, Refusal> {
    let Reason { downtime_id, code, split_at, code_after, work_to, merge, started_at, ended_at } = keys;
    let refuse = |text: &str| Err(malformed(text.to_owned()));
    let said = code.is_some();
    let code = code.flatten().map(|code| code.0);
    if code_after.is_some() && split_at.is_none() {
        return refuse("`code_after` without `split_at`");
    }
    if work_to.is_some() && split_at.is_none() {
        return refuse("`work_to` without `split_at`");
    }
    let work_to = work_to.map(|part| match part {
        Part::First => Side::First,
        Part::Second => Side::Second,
    });
    match (downtime_id, split_at, merge, started_at, ended_at) {
        (Some(downtime_id), None, None, None, None) if said => Ok(Wish::Reason { downtime_id, code }),
        (Some(_), None, None, None, None) => refuse("`code` is missing: `null` takes a reason back"),
        (Some(downtime_id), Some(at), None, None, None) => {
            Ok(Wish::Split { downtime_id, at: at.0, code, code_after: code_after.map(|code| code.0), work_to })
        }
        (Some(downtime_id), None, Some(with), None, None) if !said => Ok(Wish::Merge { downtime_id, with }),
        (Some(_), None, Some(_), None, None) => refuse("`merge` with `code`: merge first, then give a reason"),
        (None, None, None, Some(from), Some(to)) => match code {
            Some(code) => Ok(Wish::Claim { from: from.0, to: to.0, code }),
            None => refuse("`code` is missing: a claim says what the time was"),
        },
        (None, None, None, None, None) => refuse("`downtime_id` is missing, or `started_at` and `ended_at` of a claim"),
        (None, _, _, Some(_), None) => refuse("`started_at` without `ended_at`"),
        (None, _, _, None, Some(_)) => refuse("`ended_at` without `started_at`"),
        (None, ..) => refuse("`downtime_id` is missing"),
        (Some(_), _, _, Some(_), _) | (Some(_), _, _, _, Some(_)) => {
            refuse("`started_at` and `ended_at` claim unknown time: leave `downtime_id` out")
        }
        (Some(_), Some(_), Some(_), ..) => refuse("`split_at` with `merge`: one or the other"),
    }
}
