//! What the journal and the marks kept in, what the shop goes on from out.

use super::Error;
use crate::{
    event::{Told, wall::Anchor},
    io::journal,
    shop::{Known, Marks, Rules, rules::MachineRules},
};
use std::collections::BTreeMap;
use tracing::warn;

/// The snapshot, and every event after it.
pub(super) fn remember(start: &journal::Start) -> Result<Known, Error> {
    let mut known = match &start.snapshot {
        Some((_, snapshot)) => serde_json::from_str(snapshot).map_err(Error::Snapshot)?,
        None => Known { epoch: start.epoch, ..Known::default() },
    };
    for row in &start.tail {
        match serde_json::from_str::<Told>(&row.internal) {
            Ok(told) => known.apply(&told),
            Err(error) => {
                warn!(sequence = row.sequence, kind = row.kind, %error, "an event of another version was passed over");
                known.next_sequence = row.sequence + 1;
            }
        }
    }
    Ok(known)
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
    let of = |machine: &MachineRules| (machine.id.clone(), format!("{machine:?}"));
    let mut texts: BTreeMap<String, String> = rules.machines.iter().map(of).collect();
    texts.insert(String::new(), format!("{:?} {:?} {:?}", rules.oee, rules.products, rules.reasons));
    serde_json::to_string(&texts).unwrap_or_default()
}

/// The machines whose rules are others than last time; an empty id stands for all.
pub(super) fn changed_rules(before: Option<&str>, now: &str) -> Vec<String> {
    let read = |text: &str| serde_json::from_str::<BTreeMap<String, String>>(text).unwrap_or_default();
    let Some(before) = before.map(read) else { return Vec::new() };
    let changed = read(now).into_iter().filter(|(id, text)| before.get(id).is_some_and(|before| before != text));
    changed.map(|(id, _)| id).collect()
}
