//! What the journal and the marks kept in, what the shop goes on from out.

use super::Error;
use crate::{
    event::{Told, wall::Anchor},
    io::journal,
    shop::{Known, Marks, Rules, rules::MachineRules},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tracing::warn;

/// The snapshot.
pub(super) fn remember(start: &journal::Start) -> Result<Known, Error> {
    match &start.snapshot {
        Some((_, snapshot)) => serde_json::from_str(snapshot).map_err(Error::Snapshot),
        None => Ok(Known { epoch: start.epoch, ..Known::default() }),
    }
}

/// Every event after it.
pub(super) fn recall(start: &journal::Start, known: &mut Known, mut each: impl FnMut(&Told)) {
    for row in &start.tail {
        match serde_json::from_str::<Told>(&row.internal) {
            Ok(told) => {
                each(&told);
                known.apply(&told);
            }
            Err(error) => {
                warn!(sequence = row.sequence, kind = row.kind, %error, "an event of another version was passed over");
                known.next_sequence = row.sequence + 1;
            }
        }
    }
}

/// The later of the marks in memory and those on disk.
pub(super) fn latest_marks(disk: Option<&str>, memory: Option<&str>) -> Marks {
    let read = |text: &str| match serde_json::from_str::<Marks>(text) {
        Ok(marks) => Some(marks),
        Err(error) => {
            warn!(%error, "marks could not be read and were left aside");
            None
        }
    };
    [disk, memory]
        .into_iter()
        .flatten()
        .filter_map(read)
        .max_by_key(|marks| (marks.sequence, marks.at))
        .unwrap_or_default()
}

/// The timeline of an earlier process: of this boot, if there was one, and of several the latest.
pub(super) fn latest_anchor(disk: Option<&str>, memory: Option<&str>, boot: &str) -> Option<Anchor> {
    let read = |text: &str| serde_json::from_str::<Marks>(text).ok()?.anchor;
    let anchors = [disk, memory].into_iter().flatten().filter_map(read);
    anchors.max_by_key(|anchor| (anchor.boot == boot, anchor.at))
}

/// What figures depend on, by machine: kept beside the journal, so that a change can be said aloud.
pub(super) fn rules_text(rules: &Rules) -> String {
    let of = |machine: &MachineRules| (machine.id.clone(), serde_json::to_value(machine).unwrap_or_default());
    let mut all: BTreeMap<String, Value> = rules.machines.iter().map(of).collect();
    let common = json!({
        "oee": rules.oee,
        "final_after_ms": rules.final_after_ms,
        "products": rules.products,
        "reasons": rules.reasons,
    });
    all.insert(String::new(), common);
    serde_json::to_string(&all).unwrap_or_default()
}

/// The machines whose rules are others than last time; an empty id stands for all. What an earlier release has kept in
/// another form says nothing.
pub(super) fn changed_rules(before: Option<&str>, now: &str) -> Vec<String> {
    let read = |text: &str| serde_json::from_str::<BTreeMap<String, Value>>(text).unwrap_or_default();
    let Some(before) = before.map(read) else { return Vec::new() };
    let is_other = |id: &String, now: &Value| before.get(id).is_some_and(|before| before.is_object() && before != now);
    read(now).into_iter().filter(|(id, now)| is_other(id, now)).map(|(id, _)| id).collect()
}
