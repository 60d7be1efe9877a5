//! Lists of assets in, what is told of them: real changes, once, and only when a list is complete.

use super::*;
use crate::{
    event::{
        Told,
        command::{Command, Reply, Wish as Asked},
    },
    shop::{
        Input, Marks, Shop,
        rules::MachineRules,
        tests::{START, press, rules as one_machine},
    },
};
use expect_test::{Expect, expect};
use std::sync::Arc;

struct Office {
    shop: Shop,
    told: Vec<Told>,
    at: Stamp,
    marks: Marks,
    /// As the journal has them, by id.
    commands: BTreeMap<String, Wish>,
}

fn bound(machines: &[(&str, &str)]) -> Arc<Rules> {
    let machine =
        |(id, asset): &(&str, &str)| MachineRules { id: (*id).to_owned(), asset: (*asset).to_owned(), ..press() };
    let machines = machines.iter().map(machine).collect();
    Arc::new(Rules { machines, meter_every_ms: Some(3_600_000), ..(*one_machine(press())).clone() })
}

fn record(id: &str) -> Record {
    Record { id: id.to_owned(), name: Some(Some(format!("the {id}"))), ..Record::default() }
}

fn hours(run_hours: i64, cycles: i64) -> Option<Readings> {
    Some(Readings { run_ms: run_hours * 3_600_000, cycles })
}

impl Office {
    fn new(machines: &[(&str, &str)]) -> Office {
        let shop = Shop::open(bound(machines), Known::default(), &Marks::default());
        let mut office =
            Office { shop, told: Vec::new(), at: START, marks: Marks::default(), commands: BTreeMap::new() };
        office.turn(Input::Tick);
        office.told.clear();
        office
    }

    fn turn(&mut self, input: Input<'_>) -> Option<Reply> {
        let mut turn = self.shop.turn(input, self.at);
        self.told.append(&mut turn.told);
        if turn.is_mark_due {
            self.marks = serde_json::from_str(&serde_json::to_string(&self.shop.marks()).unwrap()).unwrap();
        }
        turn.reply
    }

    fn ask(&mut self, wish: Wish) -> Verdict {
        let command_id = format!("c-{}", self.commands.len());
        self.commands.insert(command_id.clone(), wish.clone());
        let command =
            Command { command_id, by: "cmms".to_owned(), comment: None, at: self.at, wish: Asked::Asset(wish) };
        self.turn(Input::Command { machine: None, command: &command, past: None }).unwrap().verdict
    }

    fn upsert(&mut self, records: Vec<Record>) -> Verdict {
        self.ask(Wish::Upsert { records })
    }

    fn full(&mut self, sync_id: &str, part: u32, parts: u32, records: Vec<Record>) -> Verdict {
        self.ask(Wish::Full { sync_id: sync_id.to_owned(), part, parts, records })
    }

    /// The gateway dies and starts again: what it knows is what was told, its marks are those that were written.
    fn kill(&mut self, machines: &[(&str, &str)]) {
        let known: Known = serde_json::from_str(&serde_json::to_string(self.shop.known()).unwrap()).unwrap();
        self.at = self.at.plus(1_000);
        self.marks.lists.recall(|_, command_id| self.commands.get(command_id).cloned());
        self.shop = Shop::open(bound(machines), known, &self.marks);
        self.turn(Input::Tick);
    }

    /// What was told since last asked.
    fn words(&mut self) -> String {
        let word = |told: Told| match told.event {
            Event::Asset(changed) => {
                let asset::Event { revision, is_gone, asset, machines, meters, .. } = *changed;
                let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
                let gone = if is_gone { ", forgotten" } else { "" };
                let meters = meters.map_or(String::new(), |meters| format!(", {} h", meters.run_ms / 3_600_000));
                let (name, parent, status) = (or_none(asset.name), or_none(asset.parent), or_none(asset.status));
                format!("{}.{revision}: {name} in {parent}, {status}, {machines:?}{meters}{gone}\n", asset.id)
            }
            Event::Meter(read) => {
                format!("meter of {}: {} h, {:?}\n", read.asset, read.readings.run_ms / 3_600_000, read.why)
            }
            Event::Notice(notice) => {
                format!("{} {}: {}\n", notice.machine.unwrap_or("gateway".to_owned()), notice.code, notice.text)
            }
            other => format!("{other:?}\n"),
        };
        std::mem::take(&mut self.told).into_iter().map(word).collect()
    }

    #[allow(clippy::needless_pass_by_value)]
    fn tells(&mut self, expected: Expect) {
        expected.assert_eq(&self.words());
    }
}

fn code(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Accepted(_) => "accepted",
        Verdict::Stale(_) => "stale",
        Verdict::Refused(refusal) => &refusal.code,
    }
}

const PRESS: &[(&str, &str)] = &[("press-7", "EQ-7")];

#[test]
fn only_real_changes_are_told_and_what_a_record_does_not_say_stays() {
    let mut office = Office::new(PRESS);
    let full =
        Record { parent: Some(Some("LINE-2".to_owned())), status: Some(Some("in use".to_owned())), ..record("EQ-7") };
    office.upsert(vec![full.clone(), record("EQ-8")]);
    office.tells(expect![[r#"
        EQ-7.1: the EQ-7 in LINE-2, in use, ["press-7"], 0 h
        EQ-8.1: the EQ-8 in -, -, []
    "#]]);
    office.upsert(vec![full, record("EQ-8")]);
    office.tells(expect![[r#""#]]);
    office.upsert(vec![Record {
        status: Some(Some("in repair".to_owned())),
        id: "EQ-7".to_owned(),
        ..Record::default()
    }]);
    office.tells(expect![[r#"
        EQ-7.2: the EQ-7 in LINE-2, in repair, ["press-7"], 0 h
    "#]]);
    office.upsert(vec![Record { parent: Some(None), id: "EQ-7".to_owned(), ..Record::default() }]);
    office.tells(expect![[r#"
        EQ-7.3: the EQ-7 in -, in repair, ["press-7"], 0 h
        press-7 asset_moved: asset EQ-7 of press-7 moved from parent LINE-2 to none
    "#]]);
}

#[test]
fn a_list_takes_effect_when_its_last_part_is_there_in_whatever_order_and_however_often_parts_come() {
    let mut office = Office::new(PRESS);
    office.upsert(vec![record("EQ-7"), record("OLD")]);
    office.words();
    for part in [3, 1, 3, 1] {
        assert_eq!(code(&office.full("s-1", part, 3, vec![record(&format!("EQ-{part}"))])), "accepted");
        assert_eq!(office.words(), "", "the list is not complete");
    }
    office.full("s-1", 2, 3, vec![record("EQ-2")]);
    office.tells(expect![[r#"
        EQ-1.1: the EQ-1 in -, -, []
        EQ-2.1: the EQ-2 in -, -, []
        EQ-3.1: the EQ-3 in -, -, []
        EQ-7.2: the EQ-7 in -, retired, ["press-7"], 0 h
        press-7 asset_retired: asset EQ-7, which press-7 is bound to, is retired
        OLD.2: the OLD in -, retired, [], forgotten
        gateway assets_synced: the first complete list of assets is there: 4 assets, 1 machines, 0 of which are none of them
    "#]]);
    assert_eq!(code(&office.full("s-1", 2, 3, vec![record("EQ-2")])), "accepted", "it came again, and is in effect");
    assert_eq!(office.shop.lists.next_wake(), Stamp::MAX);
    assert_eq!(office.words(), "");
}

#[test]
fn a_new_list_takes_the_place_of_an_unfinished_one_with_a_word() {
    let mut office = Office::new(&[]);
    office.full("s-1", 1, 2, vec![record("A")]);
    office.full("s-2", 1, 2, vec![record("B")]);
    office.tells(expect![[r#"
        gateway asset_list_dropped: asset list s-1 is unfinished, 1 of 2 parts are there: s-2 begins in its place, nothing of it took effect
    "#]]);
    office.full("s-1", 2, 2, vec![record("A2")]);
    office.tells(expect![[r#"
        gateway asset_list_dropped: asset list s-2 is unfinished, 1 of 2 parts are there: s-1 begins in its place, nothing of it took effect
    "#]]);
    office.at = office.at.plus(LIST_WAITS_MS);
    assert_eq!(office.shop.next_wake(), office.at, "a list that is not finished within the hour is given up");
    office.turn(Input::Tick);
    office.tells(expect![[r#"
        gateway asset_list_dropped: asset list s-1 is unfinished, 1 of 2 parts are there: no further part came for an hour; nothing of it took effect, send it again under a new sync_id
    "#]]);
    assert!(office.shop.known().register.is_empty() || office.shop.known().register.assets.is_empty());
}

#[test]
fn parts_that_were_accepted_survive_a_crash() {
    let mut office = Office::new(PRESS);
    office.full("s-1", 1, 2, vec![record("EQ-7")]);
    office.kill(PRESS);
    assert_eq!(office.words(), "");
    office.full("s-1", 2, 2, vec![record("EQ-8")]);
    office.tells(expect![[r#"
        EQ-7.1: the EQ-7 in -, -, ["press-7"], 0 h
        EQ-8.1: the EQ-8 in -, -, []
        gateway assets_synced: the first complete list of assets is there: 2 assets, 1 machines, 0 of which are none of them
    "#]]);
    office.kill(PRESS);
    office.full("s-1", 2, 2, vec![record("EQ-8")]);
    assert_eq!(office.words(), "", "the list is in effect");
    assert_eq!(office.shop.lists.next_wake(), Stamp::MAX, "and no new one begun");
    office.full("s-1", 2, 2, vec![record("EQ-9")]);
    assert!(office.shop.lists.next_wake() < Stamp::MAX, "another list under the same name");
}

#[test]
fn what_becomes_of_the_asset_of_a_machine_is_said_once() {
    let mut office = Office::new(PRESS);
    office.full("s-1", 1, 1, vec![record("EQ-8")]);
    office.tells(expect![[r#"
        EQ-8.1: the EQ-8 in -, -, []
        gateway assets_synced: the first complete list of assets is there: 1 assets, 1 machines, 1 of which are none of them
        press-7 asset_unknown: press-7 is bound to asset EQ-7, which the CMMS does not know
    "#]]);
    office.full("s-2", 1, 1, vec![record("EQ-8")]);
    office.kill(PRESS);
    assert_eq!(office.words(), "", "it was said that nobody knows it");
    let of = |name: &str, parent: &str| Record {
        name: Some(Some(name.to_owned())),
        parent: Some(Some(parent.to_owned())),
        ..record("EQ-7")
    };
    office.upsert(vec![of("press", "LINE-2")]);
    office.tells(expect![[r#"
        EQ-7.1: press in LINE-2, -, ["press-7"], 0 h
        press-7 asset_found: the CMMS knows asset EQ-7 now, which press-7 is bound to
    "#]]);
    office.upsert(vec![of("press 7", "LINE-3")]);
    office.tells(expect![[r#"
        EQ-7.2: press 7 in LINE-3, -, ["press-7"], 0 h
        press-7 asset_renamed: asset EQ-7 of press-7 was renamed from press to press 7
        press-7 asset_moved: asset EQ-7 of press-7 moved from parent LINE-2 to LINE-3
    "#]]);
    office.full("s-3", 1, 1, vec![record("EQ-8")]);
    office.tells(expect![[r#"
        EQ-7.3: press 7 in LINE-3, retired, ["press-7"], 0 h
        press-7 asset_retired: asset EQ-7, which press-7 is bound to, is retired
    "#]]);
    office.full("s-4", 1, 1, vec![record("EQ-8")]);
    assert_eq!(office.words(), "", "it is retired as before");
    office.full("s-5", 1, 1, vec![record("EQ-8"), of("press 7", "LINE-3")]);
    office.tells(expect![[r#"
        EQ-7.4: press 7 in LINE-3, -, ["press-7"], 0 h
        press-7 asset_restored: asset EQ-7 of press-7 is in use again
    "#]]);
    office.kill(&[("press-7", "EQ-9")]);
    office.tells(expect![[r#"
        meter of EQ-7: 0 h, Released
        meter of EQ-9: 0 h, Bound
        EQ-7.5: press 7 in LINE-3, -, [], 0 h
        press-7 asset_unknown: press-7 is bound to asset EQ-9, which the CMMS does not know
    "#]]);
}

#[test]
fn an_asset_that_comes_back_goes_on_above_its_last_revision() {
    let mut office = Office::new(&[]);
    office.full("s-1", 1, 1, vec![record("A"), record("B")]);
    office.full("s-2", 1, 1, vec![record("B")]);
    assert_eq!(office.shop.known().register.get("A"), None, "nobody needs it any more");
    office.words();
    office.full("s-3", 1, 1, vec![record("A"), record("B")]);
    office.tells(expect![[r#"
        A.3: the A in -, -, []
    "#]]);
}

#[test]
fn the_cmms_may_raise_a_meter_and_never_lower_it() {
    let mut office = Office::new(PRESS);
    office.upsert(vec![Record { meters: hours(500, 9), ..record("EQ-7") }]);
    office.tells(expect![[r#"
        EQ-7.1: the EQ-7 in -, -, ["press-7"], 500 h
        meter of EQ-7: 500 h, Raised
    "#]]);
    office.upsert(vec![Record { meters: hours(400, 9), ..record("EQ-7") }]);
    assert_eq!(office.words(), "");
    // An asset that no machine feeds keeps what the CMMS said, and a machine that is bound to it goes on from there.
    office.upsert(vec![Record { meters: hours(70, 1), ..record("EQ-8") }]);
    office.upsert(vec![Record { meters: hours(60, 1), ..record("EQ-8") }]);
    office.tells(expect![[r#"
        EQ-8.1: the EQ-8 in -, -, [], 70 h
    "#]]);
    office.kill(&[("press-7", "EQ-8")]);
    office.tells(expect![[r#"
        meter of EQ-7: 500 h, Released
        meter of EQ-8: 70 h, Bound
        EQ-7.2: the EQ-7 in -, -, [], 500 h
        EQ-8.2: the EQ-8 in -, -, ["press-7"], 70 h
    "#]]);
    office.kill(PRESS);
    office.tells(expect![[r#"
        meter of EQ-8: 70 h, Released
        meter of EQ-7: 500 h, Bound
        EQ-7.3: the EQ-7 in -, -, ["press-7"], 500 h
        EQ-8.3: the EQ-8 in -, -, [], 70 h
    "#]]);
}

#[test]
fn a_list_that_is_too_large_or_ill_numbered_changes_nothing() {
    let mut office = Office::new(PRESS);
    let many = |count: usize| (0..count).map(|number| record(&number.to_string())).collect::<Vec<_>>();
    assert_eq!(code(&office.full("s-1", 1, 1, many(ASSETS + 1))), "too_many_assets");
    assert_eq!(code(&office.upsert(many(ASSETS + 1))), "too_many_assets");
    let long = |id: &str| Record { location: Some(Some("x".repeat(BYTES / 2))), ..record(id) };
    assert_eq!(code(&office.upsert(vec![long("A"), long("B")])), "too_many_bytes");
    assert_eq!(code(&office.full("s-1", 1, 2, vec![long("A")])), "accepted");
    assert_eq!(code(&office.full("s-1", 2, 2, vec![long("B")])), "too_many_bytes");
    assert_eq!(code(&office.full("s-1", 2, 3, Vec::new())), "other_parts");
    for (part, parts) in [(0, 1), (2, 1), (1, 0), (1, PARTS + 1)] {
        assert_eq!(code(&office.full("s-2", part, parts, Vec::new())), "bad_part", "{part} of {parts}");
    }
    assert_eq!(office.words(), "");
    office.full("s-1", 2, 2, vec![record("B")]);
    assert_eq!(office.shop.known().register.assets.len(), 2, "the part that did not fit came again smaller");
    assert_eq!(office.shop.known().register.bytes, BYTES / 2 + "Athe AB".len() + "the B".len());
}

#[test]
fn ten_thousand_assets_are_told_once() {
    let mut office = Office::new(PRESS);
    let list = || -> Vec<Record> { (0..10_000).map(|number| record(&format!("EQ-{number}"))).collect() };
    let parts = |office: &mut Office, sync_id: &str| {
        for (part, records) in (1..).zip(list().chunks(2_500)) {
            assert_eq!(code(&office.full(sync_id, part, 4, records.to_vec())), "accepted");
        }
    };
    parts(&mut office, "s-1");
    let changed = office.told.iter().filter(|told| matches!(told.event, Event::Asset(_))).count();
    assert_eq!((changed, office.told.len()), (10_000, 10_001), "and one notice that the register is known");
    office.told.clear();
    parts(&mut office, "s-2");
    assert_eq!(office.told, []);
}

#[test]
fn a_path_names_what_an_asset_is_a_part_of_and_ends_where_it_would_go_round() {
    let mut office = Office::new(&[]);
    let within = |id: &str, parent: &str| Record { parent: Some(Some(parent.to_owned())), ..record(id) };
    let nameless = Record { name: None, ..within("LINE", "HALL") };
    office.upsert(vec![
        within("EQ", "LINE"),
        nameless,
        within("HALL", "SITE"),
        within("LOOP", "POOL"),
        within("POOL", "LOOP"),
    ]);
    let register = &office.shop.known().register;
    assert_eq!(register.equipment_path("EQ"), ["SITE", "the HALL", "LINE"], "keys where there is no name");
    assert_eq!(register.equipment_path("LOOP"), ["the POOL"]);
    assert_eq!(register.equipment_path("nobody"), [""; 0]);
}
