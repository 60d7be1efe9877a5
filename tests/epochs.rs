//! A database that is gone, set back or damaged: a new epoch goes on with what is still known, and says what is not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;

use andon::{Ear, Heard, Place, Plc, publish};
use mosquitto::{Door, Mosquitto, eventually};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::FileExt as _};

const MACHINE: &str = "andon/v1/acme/leipzig/hall-3/line-2/press-7";
const GATEWAY: &str = "andon/v1/acme/leipzig/hall-3/_gateway/gw";

fn config(plc: u16, broker: u16) -> String {
    format!(
        r#"
[gateway]
id = "gw"
path = "acme/leipzig/hall-3"
timezone = "Europe/Berlin"
data_dir = "{{folder}}/data"
[mqtt]
brokers = ["mqtt://127.0.0.1:{broker}"]
[[plc]]
id = "plc"
tcp = "127.0.0.1:{plc}"
poll = "20ms"
timeout = "500ms"
[plc.points]
run = {{ coil = 0 }}
total = {{ holding = 0, type = "u32" }}
[[machine]]
id = "press-7"
line = "line-2"
run = "plc.run"
total = "plc.total"
debounce = "100ms"
short_stop = "300ms"
no_data = "10s"
[[consumer]]
id = "mes"
may = ["reason"]
"#
    )
}

fn shop() -> (Plc, Mosquitto, Ear, Place) {
    let plc = Plc::start();
    plc.coil(0, true);
    plc.long(0, 1000);
    let broker = Mosquitto::start(&Door::Anonymous);
    let ear = Ear::open(&broker, "#");
    let place = Place::with(&config(plc.port, broker.port));
    (plc, broker, ear, place)
}

fn picture(ear: &Ear) -> Value {
    let heard = ear.heard();
    let last = heard.iter().rev().find(|heard| heard.topic == format!("{MACHINE}/state"));
    last.map_or(Value::Null, Heard::json)
}

fn until_good(ear: &Ear, good: i64) {
    eventually(&format!("{good} good parts are shown"), || picture(ear)["counts"]["good"] == good);
}

fn in_epoch(epoch: u32) -> impl Fn(&Value) -> bool {
    move |event| event["epoch"] == epoch
}

/// Sequences of an epoch as heard: from 1 without a gap.
fn is_whole(ear: &Ear, epoch: u32) {
    let events = ear.events().into_iter().filter(in_epoch(epoch));
    let mut sequences: Vec<u64> = events.map(|event| event["sequence"].as_str().unwrap().parse().unwrap()).collect();
    sequences.sort_unstable();
    sequences.dedup();
    assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>(), "epoch {epoch}");
}

/// As after a power cut, too: nothing lies in memory.
fn forget_memory(place: &Place) {
    andon::listing(&place.path("run")).into_iter().for_each(|file| fs::remove_file(file).unwrap());
}

#[test]
fn an_older_copy_of_the_database_goes_on_with_its_open_stop_in_a_new_epoch() {
    let (plc, broker, ear, place) = shop();
    let daemon = place.run(&[]);
    ear.until_event("state.changed", |event| event["data"]["state"] == "running");
    plc.long(0, 1010);
    until_good(&ear, 10);
    plc.coil(0, false);
    let opened = ear.until_event("downtime.opened", |_| true);
    daemon.stop();
    let (db, copy) = (place.path("data/andon.db"), place.path("copy"));
    fs::copy(&db, &copy).unwrap();
    // What follows is told, and will be forgotten.
    let daemon = place.run(&[]);
    plc.coil(0, true);
    ear.until_event("downtime.closed", |_| true);
    plc.coil(0, false);
    ear.until_event("downtime.opened", |event| event["data"]["number"] == "press-7/2");
    daemon.stop();
    fs::copy(&copy, &db).unwrap();
    forget_memory(&place);

    let daemon = place.run(&[]);
    let notice = ear.until_event("notice.raised", |event| event["data"]["code"] == "epoch_begun");
    assert_eq!((&notice["epoch"], &notice["data"]["severity"]), (&json!(2), &json!("error")));
    let last: u64 = ear.events().iter().filter(|event| event["epoch"] == 1).count() as u64;
    let range = ["sequence_from", "sequence_to"].map(|key| notice["data"][key].as_u64().unwrap());
    assert!(range[0] <= last && range[1] >= last, "{range:?} of {last}");
    plc.coil(0, true);
    let closed = ear.until_event("downtime.closed", |event| event["epoch"] == 2);
    let identity = |event: &Value| ["downtime_id", "number", "started_at"].map(|key| event["data"][key].clone());
    assert_eq!(identity(&closed), identity(&opened), "the stop that it knows of");
    plc.coil(0, false);
    let next = ear.until_event("downtime.opened", |event| event["epoch"] == 2);
    assert_eq!(next["data"]["number"], "press-7/10001", "no number is given twice");
    plc.long(0, 1015);
    until_good(&ear, 15);
    let digest = || ear.heard().into_iter().rfind(|heard| heard.topic == format!("{GATEWAY}/digest")).unwrap().json();
    eventually("the digest tells the new epoch", || digest()["epoch"] == 2);
    daemon.stop();
    is_whole(&ear, 2);
    let ids: Vec<Value> = ear.events().into_iter().map(|event| event["id"].clone()).collect();
    let mut once = ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), ids.len(), "no id twice");
    drop(broker);
}

#[test]
fn a_deleted_database_is_said_aloud_and_nothing_is_given_twice() {
    let (plc, broker, ear, place) = shop();
    let daemon = place.run(&[]);
    ear.until_event("state.changed", |event| event["data"]["state"] == "running");
    plc.long(0, 1010);
    until_good(&ear, 10);
    plc.coil(0, false);
    ear.until_event("downtime.opened", |event| event["data"]["number"] == "press-7/1");
    daemon.kill();
    forget_memory(&place);
    for name in ["andon.db", "andon.db-wal", "andon.db-shm"] {
        let _ = fs::remove_file(place.path("data").join(name));
    }
    let daemon = place.run(&[]);
    let notice = ear.until_event("notice.raised", |event| event["data"]["code"] == "epoch_begun");
    assert_eq!((&notice["epoch"], &notice["data"]["sequence_from"]), (&json!(2), &json!(1)));
    let again = ear.until_event("downtime.opened", |event| event["epoch"] == 2);
    assert_eq!(again["data"]["number"], "press-7/10001");
    daemon.stop();
    is_whole(&ear, 2);
    drop(broker);
}

#[test]
fn what_the_broker_did_not_get_before_the_journal_broke_is_told_in_the_new_epoch() {
    let (plc, mut broker, ear, place) = shop();
    let daemon = place.run(&[]);
    ear.until_event("state.changed", |event| event["data"]["state"] == "running");
    plc.coil(0, false);
    let opened = ear.until_event("downtime.opened", |_| true);
    eventually("the cursor stands", || ear.events().len() > 2);
    drop(ear);
    broker.kill();
    plc.coil(0, true);
    let db = || rusqlite::Connection::open(place.path("data/andon.db")).unwrap();
    let count = |word: &str| -> u64 {
        let sql = "SELECT count(*) FROM journal WHERE internal LIKE ?1";
        db().query_row(sql, [format!("%\"{word}\"%")], |row| row.get(0)).unwrap()
    };
    eventually("its end is in the journal", || count("closed") == 1);
    plc.coil(0, false);
    eventually("and the next", || count("opened") == 2);
    daemon.kill();
    // The last row is torn.
    let torn = "UPDATE journal SET body = x'00' WHERE sequence = (SELECT max(sequence) FROM journal)";
    db().execute(torn, []).unwrap();
    broker.start_again();
    let ear = Ear::open(&broker, "#");
    let daemon = place.run(&[]);
    let closed = ear.until_event("downtime.closed", |event| event["epoch"] == 2);
    assert_eq!(closed["data"]["downtime_id"], opened["data"]["downtime_id"]);
    let notice = ear.until_event("notice.raised", |event| event["data"]["code"] == "epoch_begun");
    let range = ["sequence_from", "sequence_to"].map(|key| notice["data"][key].as_u64().unwrap());
    assert!(range[1] - range[0] <= 2, "what was decided with it: {notice}");
    assert!(notice["data"]["text"].as_str().unwrap().contains("andon.db.before-epoch-2"), "{notice}");
    ear.until_event("downtime.opened", |event| event["epoch"] == 2);
    daemon.stop();
    is_whole(&ear, 2);
    // The next start goes on in it.
    let daemon = place.run(&[]);
    plc.coil(0, true);
    ear.until_event("downtime.closed", |event| event["epoch"] == 2 && event["data"]["number"] != "press-7/1");
    daemon.stop();
}

#[test]
fn a_consumer_that_holds_more_than_the_gateway_knows_makes_it_begin_a_new_epoch() {
    let (_plc, broker, ear, place) = shop();
    let daemon = place.run(&[]);
    ear.until_event("state.changed", |event| event["data"]["state"] == "running");
    let receipt = json!({ "consumer": "mes", "instance": "a", "epoch": 4, "sequence": 900 });
    publish(&broker, &format!("{GATEWAY}/receipt/mes"), receipt.to_string().as_bytes(), &[]);
    ear.until_event("notice.raised", |event| event["data"]["code"] == "receipt_ahead");
    daemon.stop();
    let daemon = place.run(&[]);
    let notice = ear.until_event("notice.raised", |event| event["data"]["code"] == "epoch_begun");
    assert_eq!(notice["epoch"], 5);
    daemon.stop();
    is_whole(&ear, 5);
}

#[test]
fn a_database_that_rots_under_the_running_gateway_is_left_without_an_outage() {
    let (_plc, broker, ear, place) = shop();
    let mut daemon = place.run(&[]);
    ear.until_event("state.changed", |event| event["data"]["state"] == "running");
    let path = place.path("data/andon.db");
    rusqlite::Connection::open(&path).unwrap().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    // Every page but the first.
    let length = fs::metadata(&path).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&vec![0xA5; usize::try_from(length - 4096).unwrap()], 4096).unwrap();
    let command = json!({ "command_id": "c", "by": "mes", "downtime_id": "press-7/1", "code": null });
    publish(&broker, &format!("{MACHINE}/command/reason"), command.to_string().as_bytes(), &["-q", "1"]);
    let notice = ear.until_event("notice.raised", |event| event["data"]["code"] == "epoch_begun");
    assert_eq!(notice["epoch"], 2);
    // What could not be written was not answered, comes again and is.
    ear.until("an answer", |heard| heard.topic.ends_with("/reply") && heard.json()["data"]["command_id"] == "c");
    assert!(daemon.is_running());
    daemon.stop();
    is_whole(&ear, 2);
}
