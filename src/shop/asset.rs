//! Records of the CMMS in, changes of assets out: the ledger of assets, of which the CMMS is the system of record.
//!
//! A full list comes in parts, which are kept in [`Lists`] until all are there. Which ones came is a mark; what they said
//! stands in the journal's record of commands, so that a part that was accepted survives a crash. Only real changes are
//! told, so the same list again tells nothing.

use super::{Desk, Known, meter, rules::Rules};
use crate::event::{
    Event, Stamp,
    asset::{self, Asset, RETIRED, Record, Wish},
    command::{Command, Refusal, Verdict},
    meter::Readings,
    notice::{self, Severity},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Most assets that a register holds.
pub const ASSETS: usize = 20_000;

/// Most bytes of text that a register, or an unfinished list, holds.
pub const BYTES: usize = 8 * 1024 * 1024;

/// Most parts of a list.
pub const PARTS: u32 = 1_000;

/// An unfinished list waits so long for its next part. Milliseconds.
const LIST_WAITS_MS: i64 = 3_600_000;

/// A chain of parents is followed so far.
const DEPTH: usize = 32;

/// Notices that the fold reads.
const UNKNOWN: &str = "asset_unknown";
const FOUND: &str = "asset_found";
const SYNCED: &str = "assets_synced";

/// All assets that the CMMS has told of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Register {
    /// By key.
    assets: BTreeMap<String, Held>,
    /// A complete list was there once.
    is_synced: bool,
    /// Machines of whose asset it was said that nobody knows it.
    unknown: BTreeSet<String>,
    /// The highest revision of those that are forgotten: who comes back goes on above it.
    forgotten: u64,
    /// Of text.
    bytes: usize,
}

/// An asset with what the gateway knows of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Held {
    /// As the CMMS has it.
    pub asset: Asset,
    /// As told last.
    pub revision: u64,
    /// Bound to it, as told last.
    pub machines: Vec<String>,
}

impl Register {
    /// An asset, if the CMMS has told of it.
    pub fn get(&self, id: &str) -> Option<&Held> {
        self.assets.get(id)
    }

    /// What the CMMS said that its meter reads.
    pub(super) fn readings(&self, id: &str) -> Option<Readings> {
        self.get(id)?.asset.meters
    }

    /// The names of what an asset is a part of, the outermost first: `equipment_path`. What has no name, or is not in the
    /// register, stands there with its key.
    pub fn equipment_path(&self, id: &str) -> Vec<&str> {
        let mut path = Vec::new();
        let mut seen = BTreeSet::from([id]);
        let mut parent = self.get(id).and_then(|held| held.asset.parent.as_deref());
        while let Some(id) = parent.filter(|id| path.len() < DEPTH && seen.insert(id)) {
            let held = self.get(id);
            path.push(held.and_then(|held| held.asset.name.as_deref()).unwrap_or(id));
            parent = held.and_then(|held| held.asset.parent.as_deref());
        }
        path.reverse();
        path
    }

    /// Enters a change: the fold of this ledger.
    pub(super) fn enter(&mut self, event: &asset::Event) {
        let id = &event.asset.id;
        let before = self.assets.get(id).map_or(0, |held| bytes(&held.asset));
        self.bytes -= before.min(self.bytes);
        if event.is_gone {
            self.assets.remove(id);
            self.forgotten = self.forgotten.max(event.revision);
            return;
        }
        self.bytes += bytes(&event.asset);
        let held = Held { asset: event.asset.clone(), revision: event.revision, machines: event.machines.clone() };
        self.assets.insert(id.clone(), held);
    }

    /// Enters what was said of it.
    pub(super) fn hear(&mut self, notice: &notice::Event) {
        match (notice.code.as_str(), &notice.machine) {
            (UNKNOWN, Some(machine)) => drop(self.unknown.insert(machine.clone())),
            (FOUND, Some(machine)) => drop(self.unknown.remove(machine)),
            (SYNCED, None) => self.is_synced = true,
            _ => {}
        }
    }

    /// A machine is bound to another asset.
    pub(super) fn rebind(&mut self, machine: &str) {
        self.unknown.remove(machine);
    }

    /// Nothing was ever told of it.
    pub(super) fn is_empty(&self) -> bool {
        *self == Register::default()
    }
}

/// Lists of which not every part has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lists {
    unfinished: Option<List>,
    /// The last one that took effect, with a fingerprint of each part: one that comes again begins no new list.
    done: Option<(String, BTreeMap<u32, u64>)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct List {
    sync_id: String,
    parts: u32,
    /// When the last part came.
    at: Stamp,
    /// By number.
    have: BTreeMap<u32, Part>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Part {
    /// Who sent it, under which id.
    by: String,
    command_id: String,
    #[serde(skip)]
    records: Vec<Record>,
}

impl Part {
    fn print(&self) -> u64 {
        let text = serde_json::to_vec(&self.records).unwrap_or_default();
        u64::from_be_bytes(Sha256::digest(&text)[..8].try_into().unwrap_or_default())
    }
}

impl Lists {
    /// Nothing has come.
    pub(super) fn is_empty(&self) -> bool {
        *self == Lists::default()
    }

    /// After a start: the parts as they came, by who sent them under which id; what cannot be had again is missing again.
    pub fn recall(&mut self, read: impl Fn(&str, &str) -> Option<Wish>) {
        let Some(list) = &mut self.unfinished else { return };
        list.have.retain(|number, kept| match read(&kept.by, &kept.command_id) {
            Some(Wish::Full { part, records, .. }) if part == *number => {
                kept.records = records;
                true
            }
            _ => false,
        });
    }

    /// When an unfinished list is given up.
    pub(super) fn next_wake(&self) -> Stamp {
        self.unfinished.as_ref().map_or(Stamp::MAX, |list| list.at.plus(LIST_WAITS_MS))
    }

    /// Gives up a list whose next part does not come.
    pub(super) fn tick(&mut self, desk: &mut Desk<'_>) {
        if let Some(list) = self.unfinished.take_if(|list| list.at.plus(LIST_WAITS_MS) <= desk.now) {
            let text = format!(
                "{}: no further part came for an hour; nothing of it took effect, send it again under a new sync_id",
                list.words()
            );
            desk.notice(None, "asset_list_dropped", Severity::Warning, text);
            desk.is_mark_due = true;
        }
    }
}

impl List {
    fn words(&self) -> String {
        format!("asset list {} is unfinished, {} of {} parts are there", self.sync_id, self.have.len(), self.parts)
    }

    fn size(&self) -> (usize, usize) {
        let records = || self.have.values().flat_map(|part| &part.records);
        (records().count(), records().map(record_bytes).sum())
    }
}

/// Decides one command.
pub(super) fn decide(
    desk: &mut Desk<'_>,
    lists: &mut Lists,
    command: &Command,
    wish: &Wish,
) -> Result<Verdict, Refusal> {
    match wish {
        Wish::Upsert { records } => {
            let mut changed: BTreeMap<String, Asset> = BTreeMap::new();
            for record in records {
                let held = || desk.known.register.get(&record.id).map(|held| held.asset.clone());
                let asset = changed.remove(&record.id).or_else(held).unwrap_or_default();
                changed.insert(record.id.clone(), patched(asset, record));
            }
            let register = &desk.known.register;
            let new = changed.keys().filter(|id| register.get(id).is_none()).count();
            let held = |id: &String| register.get(id).map_or(0, |held| bytes(&held.asset));
            let more: usize = changed.values().map(bytes).sum();
            let less: usize = changed.keys().map(held).sum();
            fits(register.assets.len() + new, (register.bytes + more).saturating_sub(less))?;
            desk.is_mark_due |= lists.done.take().is_some();
            for asset in changed.into_values() {
                change(desk, asset, false);
            }
        }
        Wish::Full { sync_id, part, parts, records } => {
            let (by, command_id) = (command.by.clone(), command.command_id.clone());
            let kept = Part { by, command_id, records: records.clone() };
            if let Some(list) = collect(desk, lists, (sync_id, *part, *parts), kept)? {
                replace(desk, &list);
            }
        }
    }
    Ok(Verdict::Accepted(None))
}

/// Keeps a part of a list; gives the whole list with its last part.
fn collect(
    desk: &mut Desk<'_>,
    lists: &mut Lists,
    (sync_id, part, parts): (&str, u32, u32),
    kept: Part,
) -> Result<Option<List>, Refusal> {
    if !(1..=PARTS).contains(&parts) || !(1..=parts).contains(&part) {
        let text = format!("part {part} of {parts}: parts are counted from 1 to at most {PARTS}");
        return Err(Refusal::new("bad_part", text));
    }
    let is_done = |(done, prints): &(String, BTreeMap<u32, u64>)| {
        done == sync_id && prints.len() == parts as usize && prints.get(&part) == Some(&kept.print())
    };
    if lists.done.as_ref().is_some_and(is_done) {
        return Ok(None);
    }
    let before = lists.unfinished.as_ref().filter(|list| list.sync_id == sync_id);
    if let Some(before) = before.filter(|before| before.parts != parts) {
        let text = format!("asset list {sync_id} has {} parts, as its first one said, not {parts}", before.parts);
        return Err(Refusal::new("other_parts", text));
    }
    let empty = || List { sync_id: sync_id.to_owned(), parts, at: desk.now, have: BTreeMap::new() };
    let mut list = before.cloned().unwrap_or_else(empty);
    list.at = desk.now;
    list.have.insert(part, kept);
    let (assets, size) = list.size();
    fits(assets, size)?;
    let is_complete = list.have.len() == parts as usize;
    let before = lists.unfinished.take();
    if let Some(before) = before.filter(|before| before.sync_id != sync_id) {
        let text = format!("{}: {sync_id} begins in its place, nothing of it took effect", before.words());
        desk.notice(None, "asset_list_dropped", Severity::Warning, text);
    }
    desk.is_mark_due = true;
    if is_complete {
        let prints = list.have.iter().map(|(number, part)| (*number, part.print())).collect();
        lists.done = Some((sync_id.to_owned(), prints));
        return Ok(Some(list));
    }
    lists.unfinished = Some(list);
    Ok(None)
}

/// The list takes the place of the register.
fn replace(desk: &mut Desk<'_>, list: &List) {
    let mut listed: BTreeMap<&str, Asset> = BTreeMap::new();
    for record in list.have.values().flat_map(|part| &part.records) {
        // A list says all there is to say of an asset, but for what its meter has read before.
        let meters = desk.known.register.readings(&record.id);
        listed.insert(&record.id, patched(Asset { meters, ..Asset::default() }, record));
    }
    let missing = |held: &&Held| !listed.contains_key(held.asset.id.as_str());
    let missing: Vec<Asset> =
        desk.known.register.assets.values().filter(missing).map(|held| held.asset.clone()).collect();
    for asset in listed.into_values() {
        change(desk, asset, false);
    }
    for asset in missing {
        change(desk, Asset { status: Some(RETIRED.to_owned()), ..asset }, true);
    }
    let register = &desk.known.register;
    if !register.is_synced {
        let unbound = desk.rules.machines.iter().filter(|machine| register.get(&machine.asset).is_none()).count();
        let text = format!(
            "the first complete list of assets is there: {} assets, {} machines, {unbound} of which are none of them",
            register.assets.len(),
            desk.rules.machines.len()
        );
        desk.notice(None, SYNCED, Severity::Info, text);
    }
    look_for_unknown(desk);
}

/// The gateway begins: machines may be bound to other assets than last time.
pub(super) fn open(desk: &mut Desk<'_>) {
    let bound = bound(desk.rules);
    let none = Vec::new();
    let is_other = |held: &&Held| *bound.get(held.asset.id.as_str()).unwrap_or(&none) != held.machines;
    let others: Vec<Asset> =
        desk.known.register.assets.values().filter(is_other).map(|held| held.asset.clone()).collect();
    for asset in others {
        change(desk, asset, false);
    }
    look_for_unknown(desk);
}

/// After a complete list an asset that a machine is bound to and nobody knows is said, once; and when it is known at last.
fn look_for_unknown(desk: &mut Desk<'_>) {
    let rules = desk.rules;
    if !desk.known.register.is_synced {
        return;
    }
    for machine in &rules.machines {
        let register = &desk.known.register;
        if register.get(&machine.asset).is_none() && !register.unknown.contains(&machine.id) {
            let text = format!("{} is bound to asset {}, which the CMMS does not know", machine.id, machine.asset);
            desk.notice(Some(&machine.id), UNKNOWN, Severity::Warning, text);
        }
    }
}

/// Tells an asset as it is now, if that is news. `is_missing`: a complete list no longer bears it.
fn change(desk: &mut Desk<'_>, mut asset: Asset, is_missing: bool) {
    let register = &desk.known.register;
    let before = register.get(&asset.id).cloned();
    let machines: Vec<String> = desk
        .rules
        .machines
        .iter()
        .filter(|machine| machine.asset == asset.id)
        .map(|machine| machine.id.clone())
        .collect();
    // What the CMMS had from here, or once had itself, is no news of the meter.
    let has_meter =
        desk.known.meters.contains_key(&asset.id) || (!machines.is_empty() && desk.rules.meter_every_ms.is_some());
    let shown = if has_meter { Some(meter::of(desk, &asset.id)) } else { None };
    let known = before.as_ref().and_then(|before| before.asset.meters);
    let is_higher = |given: Readings, than: Readings| given.max(than) != than;
    let given = asset.meters.filter(|given| {
        is_higher(*given, known.unwrap_or_default().max(shown.unwrap_or_default()))
            || (known.is_none() && shown.is_none())
    });
    asset.meters = given.map(|given| given.max(known.unwrap_or_default())).or(known);
    let is_gone = is_missing && machines.is_empty();
    let is_same = |before: &Held| before.asset == asset && before.machines == machines && !is_gone;
    if before.as_ref().is_some_and(is_same) {
        return;
    }
    let revision = before.as_ref().map_or(register.forgotten, |before| before.revision) + 1;
    let meters = match (asset.meters, shown) {
        (Some(said), Some(shown)) => Some(said.max(shown)),
        (said, shown) => said.or(shown),
    };
    let now = asset.clone();
    desk.tell(Event::Asset(Box::new(asset::Event {
        at: desk.now,
        revision,
        is_gone,
        asset,
        machines: machines.clone(),
        meters,
    })));
    for machine in &machines {
        say(desk, machine, before.as_ref().map(|before| &before.asset), &now);
    }
    if let Some(given) = given {
        meter::raise(desk, &now.id, given);
    }
}

/// Says what has become of the asset of a machine.
fn say(desk: &mut Desk<'_>, machine: &str, before: Option<&Asset>, now: &Asset) {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let id = &now.id;
    let Some(before) = before else {
        if desk.known.register.unknown.contains(machine) {
            let text = format!("the CMMS knows asset {id} now, which {machine} is bound to");
            desk.notice(Some(machine), FOUND, Severity::Info, text);
        }
        if now.is_retired() {
            let text = format!("asset {id}, which {machine} is bound to, is retired");
            desk.notice(Some(machine), "asset_retired", Severity::Warning, text);
        }
        return;
    };
    if before.name != now.name {
        let text =
            format!("asset {id} of {machine} was renamed from {} to {}", or_none(&before.name), or_none(&now.name));
        desk.notice(Some(machine), "asset_renamed", Severity::Info, text);
    }
    if before.parent != now.parent {
        let text = format!(
            "asset {id} of {machine} moved from parent {} to {}",
            or_none(&before.parent),
            or_none(&now.parent)
        );
        desk.notice(Some(machine), "asset_moved", Severity::Info, text);
    }
    match (before.is_retired(), now.is_retired()) {
        (false, true) => {
            let text = format!("asset {id}, which {machine} is bound to, is retired");
            desk.notice(Some(machine), "asset_retired", Severity::Warning, text);
        }
        (true, false) => {
            let text = format!("asset {id} of {machine} is in use again");
            desk.notice(Some(machine), "asset_restored", Severity::Info, text);
        }
        _ => {}
    }
}

/// Machines by asset.
fn bound(rules: &Rules) -> BTreeMap<&str, Vec<String>> {
    let mut bound: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for machine in &rules.machines {
        bound.entry(&machine.asset).or_default().push(machine.id.clone());
    }
    bound
}

fn patched(asset: Asset, record: &Record) -> Asset {
    let Record { id, name, parent, location, criticality, status, meters } = record.clone();
    Asset {
        id,
        name: name.unwrap_or(asset.name),
        parent: parent.unwrap_or(asset.parent),
        location: location.unwrap_or(asset.location),
        criticality: criticality.unwrap_or(asset.criticality),
        status: status.unwrap_or(asset.status),
        meters: match (asset.meters, meters) {
            (Some(before), Some(now)) => Some(before.max(now)),
            (before, now) => now.or(before),
        },
    }
}

fn fits(assets: usize, bytes: usize) -> Result<(), Refusal> {
    if assets > ASSETS {
        let text = format!("{assets} assets: a gateway holds {ASSETS}, send it those of its own plant only");
        return Err(Refusal::new("too_many_assets", text));
    }
    if bytes > BYTES {
        let text = format!("{bytes} bytes of asset records: a gateway holds {BYTES}");
        return Err(Refusal::new("too_many_bytes", text));
    }
    Ok(())
}

/// Of text.
fn bytes(asset: &Asset) -> usize {
    let fields = [&asset.name, &asset.parent, &asset.location, &asset.criticality, &asset.status];
    asset.id.len() + fields.into_iter().flatten().map(String::len).sum::<usize>()
}

fn record_bytes(record: &Record) -> usize {
    let fields = [&record.name, &record.parent, &record.location, &record.criticality, &record.status];
    record.id.len() + fields.into_iter().flatten().flatten().map(String::len).sum::<usize>()
}

/// What another room says of a machine's asset.
pub fn of<'a>(known: &'a Known, id: &str) -> Option<&'a Held> {
    known.register.get(id)
}

#[cfg(test)]
mod tests;
