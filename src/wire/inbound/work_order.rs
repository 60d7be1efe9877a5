//! `work-order`: what became of a work request, or of a downtime that the CMMS knows of.

use super::{Moment, Text, malformed};
use crate::event::{
    command::{Refusal, Wish},
    work::{LINKS, ListedPart, Part, Report, Status, Words},
};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

/// Most spare parts of one work order.
const PARTS: usize = 64;

/// The keys of the verb. What is left out, or `null`, stays as it was told before.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkOrder {
    /// The request that it answers.
    #[serde(default)]
    request_id: Option<Uuid>,
    /// A downtime that it is about.
    #[serde(default)]
    downtime_id: Option<Uuid>,
    /// Downtimes that it is about, of any machine.
    #[serde(default)]
    #[schemars(length(max = 64))]
    downtime_ids: Option<Vec<Uuid>>,
    /// Its number in the CMMS.
    #[serde(default)]
    work_order: Option<Text<64>>,
    /// How far it is.
    status: Word,
    /// The same as the CMMS calls it.
    #[serde(default)]
    status_raw: Option<Text<64>>,
    /// When the work began, RFC 3339 with an offset.
    #[serde(default)]
    actual_start: Option<Moment>,
    /// When it was done, RFC 3339 with an offset.
    #[serde(default)]
    actual_finish: Option<Moment>,
    /// Who did it; kept only with `[privacy] operator = "id"`.
    #[serde(default)]
    technician: Option<Text<128>>,
    /// Time worked, of all who did. Milliseconds.
    #[serde(default)]
    #[schemars(range(min = 0))]
    labour_ms: Option<i64>,
    /// Spare parts that were used: numbers, or numbers with more.
    #[serde(default)]
    #[schemars(length(max = 64))]
    parts: Option<Vec<Part>>,
    /// Why it failed.
    #[serde(default)]
    cause: Option<Text<1000>>,
    /// How it failed.
    #[serde(default)]
    mechanism: Option<Text<1000>>,
    /// What was done.
    #[serde(default)]
    remedy: Option<Text<1000>>,
    /// The CMMS's own count of its versions: a lower one than was told is stale; without it an older `at` is.
    #[serde(default)]
    revision: Option<i64>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// The CMMS takes it.
    Accepted,
    /// The CMMS does not take it.
    Rejected,
    /// Somebody shall do it.
    Assigned,
    /// Somebody does it.
    InProgress,
    /// It waits.
    OnHold,
    /// The machine can run again.
    Completed,
    /// The papers are done.
    Closed,
    /// It will not be done.
    Cancelled,
}

pub(super) fn wish(keys: WorkOrder) -> Result<Wish, Refusal> {
    let refuse = |text: &str| Err(malformed(text.to_owned()));
    let mut downtime_ids = keys.downtime_ids.unwrap_or_default();
    downtime_ids.extend(keys.downtime_id);
    downtime_ids.sort_unstable();
    downtime_ids.dedup();
    if keys.request_id.is_none() && downtime_ids.is_empty() && keys.work_order.is_none() {
        return refuse(
            "`request_id` is missing, or `downtime_id`, `downtime_ids`, or the `work_order` of an order that is known",
        );
    }
    if downtime_ids.len() > LINKS {
        return Err(malformed(format!("`downtime_ids`: {} of them, at most {LINKS} are read", downtime_ids.len())));
    }
    if keys.labour_ms.is_some_and(|labour_ms| labour_ms < 0) {
        return refuse("`labour_ms` below 0");
    }
    let parts = keys.parts.unwrap_or_default();
    if parts.len() > PARTS {
        return Err(malformed(format!("`parts`: {} of them, at most {PARTS} are kept", parts.len())));
    }
    if !parts.iter().all(is_kept) {
        return refuse("`parts`: a number or text of none or of more than 128 characters, or a quantity below 0");
    }
    let text = |text: Option<Text<1000>>| text.map(|text| text.0);
    Ok(Wish::WorkOrder(Box::new(Report {
        request_id: keys.request_id,
        downtime_ids,
        work_order: keys.work_order.map(|number| number.0),
        status: match keys.status {
            Word::Accepted => Status::Accepted,
            Word::Rejected => Status::Rejected,
            Word::Assigned => Status::Assigned,
            Word::InProgress => Status::InProgress,
            Word::OnHold => Status::OnHold,
            Word::Completed => Status::Completed,
            Word::Closed => Status::Closed,
            Word::Cancelled => Status::Cancelled,
        },
        revision: keys.revision,
        words: Words {
            status_raw: keys.status_raw.map(|status| status.0),
            actual_start: keys.actual_start.map(|moment| moment.0),
            actual_finish: keys.actual_finish.map(|moment| moment.0),
            technician: keys.technician.map(|technician| technician.0),
            labour_ms: keys.labour_ms,
            parts: (!parts.is_empty()).then_some(parts),
            cause: text(keys.cause),
            mechanism: text(keys.mechanism),
            remedy: text(keys.remedy),
        },
    })))
}

fn is_kept(part: &Part) -> bool {
    let is_short = |text: &str| (1..=128).contains(&text.chars().count()) && !text.contains(char::is_control);
    match part {
        Part::Number(number) => is_short(number),
        Part::Listed(ListedPart { part, quantity, unit, text }) => {
            let texts = [unit, text].into_iter().flatten();
            is_short(part)
                && texts.into_iter().all(|text| is_short(text))
                && quantity.is_none_or(|quantity| quantity >= 0.0)
        }
    }
}
