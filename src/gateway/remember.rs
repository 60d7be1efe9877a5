//! What the journal and the marks kept in, what the shop goes on from out.

use super::Error;
use crate::{
    custody::epoch::beyond,
    event::{Stamp, Told, notice, wall::Anchor},
    io::journal::{self, Carried, Lost},
    shop::{Known, Marks, Rules, rules::MachineRules},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tracing::warn;

/// The snapshot; in a new epoch what the one before has left, and what of that is to be told once more.
pub(super) fn remember(start: &journal::Start, rules: &Rules) -> Result<(Known, Vec<Told>), Error> {
    match (&start.snapshot, &start.carried) {
        (Some((_, snapshot)), _) => Ok((serde_json::from_str(snapshot).map_err(Error::Snapshot)?, Vec::new())),
        (None, Some(carried)) => Ok(inherit(start, carried, rules)),
        (None, None) => Ok((Known { epoch: start.epoch, ..Known::default() }, Vec::new())),
    }
}

/// What the broker has not acknowledged is told again in the new epoch; all before is known already.
fn inherit(start: &journal::Start, carried: &Carried, rules: &Rules) -> (Known, Vec<Told>) {
    let read = |text: &String| match serde_json::from_str(text) {
        Ok(known) => Some(known),
        Err(error) => {
            warn!(%error, "a snapshot of another version was passed over");
            None
        }
    };
    let mut known: Known = carried.snapshot.as_ref().and_then(read).unwrap_or_default();
    let mut again = Vec::new();
    for (sequence, internal) in &carried.told {
        match serde_json::from_str::<Told>(internal) {
            Ok(told) if *sequence > carried.lost.acknowledged => again.push(told),
            Ok(told) => known.apply(&told),
            Err(error) => warn!(sequence, %error, "an event of another version was passed over"),
        }
    }
    let mut numbers: BTreeMap<String, u64> = start.numbers.clone();
    // Of a machine that no snapshot was made of yet, fewer were given than make a step.
    for machine in &rules.machines {
        numbers.entry(machine.id.clone()).or_default();
    }
    for (id, machine) in &known.machines {
        let number = numbers.entry(id.clone()).or_default();
        *number = machine.last_number.max(*number);
    }
    known.begin(start.epoch, numbers.into_iter().map(|(id, number)| (id, beyond(number))).collect());
    (known, again)
}

/// Gives each its place in the new epoch and enters it.
pub(super) fn tell_again(gateway: &str, known: &mut Known, again: Vec<Told>) -> Vec<Told> {
    let one = |told: Told| {
        let told = known.place(gateway, told.topic, told.event, told.recorded, told.command_id);
        known.apply(&told);
        told
    };
    again.into_iter().map(one).collect()
}

/// What the world is told of the end of an epoch.
pub(super) fn obituary(lost: &Lost, epoch: u32, at: Stamp) -> notice::Event {
    let unknown = (lost.last > lost.read).then_some((lost.read + 1, lost.last));
    let untold = (lost.summed > lost.acknowledged).then_some((lost.acknowledged + 1, lost.summed));
    let range = match (untold, unknown) {
        (Some((from, _)), Some((_, to))) => Some((from, to)),
        (one, other) => one.or(other),
    };
    let mut text = format!("{}: epoch {} is over, epoch {epoch} goes on", lost.why.words(), lost.epoch);
    if let Some((from, to)) = untold {
        text += &format!("; events {from} to {to} were not acknowledged by the broker and are known only in sum");
    }
    if let Some((from, to)) = unknown {
        text += &format!("; of events {from} to {to}, as far as they were told, the gateway knows nothing");
    }
    if let Some(kept) = &lost.kept {
        text += &format!("; the database is kept as {kept}");
    }
    let severity = if range.is_some() { notice::Severity::Error } else { notice::Severity::Warning };
    let code = "epoch_begun".to_owned();
    notice::Event { at, machine: None, code, severity, text, from: None, to: None, sequences: range, clock: None }
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
        .max_by_key(|marks| (marks.epoch, marks.sequence, marks.at))
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
