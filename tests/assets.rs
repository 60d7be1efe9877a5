//! Assets as a CMMS sends them and meters as it reads them, over a broker that is not ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;

use andon::{Daemon, Ear, Heard, Place, Plc, publish};
use mosquitto::{Door, Mosquitto, eventually};
use serde_json::{Value, json};

const MACHINE: &str = "andon/v1/acme/leipzig/hall-3/line-2/press-7";
const GATEWAY: &str = "andon/v1/acme/leipzig/hall-3/_gateway/gw";

/// Coil 0 says that it runs, registers 0 and 1 count parts; 60 times as fast as life.
fn config(plc: u16, broker: u16, asset: &str) -> String {
    format!(
        r#"
meter_every = "1m"
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
poll = "2s"
timeout = "60s"
[plc.points]
run = {{ coil = 0 }}
total = {{ holding = 0, type = "u32" }}
[[machine]]
id = "press-7"
line = "line-2"
asset = "{asset}"
ideal_cycle = "1s"
parts_per_cycle = 4
run = "plc.run"
total = "plc.total"
debounce = "4s"
no_data = "10m"
max_rate = "1000/s"
[[consumer]]
id = "cmms"
may = ["asset"]
[commands]
from = ["panel"]
"#
    )
}

struct Plant {
    plc: Plc,
    broker: Mosquitto,
    ear: Ear,
    place: Place,
}

impl Plant {
    fn new() -> Plant {
        let plc = Plc::start();
        plc.coil(0, true);
        plc.long(0, 1000);
        let broker = Mosquitto::start(&Door::Anonymous);
        let ear = Ear::open(&broker, "#");
        let place = Place::with(&config(plc.port, broker.port, "EQ-7"));
        Plant { plc, broker, ear, place }
    }

    fn run(&self) -> Daemon {
        self.place.run(&["--clock-speed", "60"])
    }

    fn send(&self, command: &Value) {
        publish(&self.broker, &format!("{GATEWAY}/command/asset"), command.to_string().as_bytes(), &[]);
    }

    /// What this command was answered with.
    fn answer(&self, command_id: &str) -> (String, String) {
        let is_it = |heard: &Heard| {
            heard.topic == format!("{GATEWAY}/reply") && heard.json()["data"]["command_id"] == command_id
        };
        let reply = self.ear.until(&format!("the answer to {command_id}"), is_it).json();
        let word = |key: &str| reply["data"][key].as_str().unwrap().to_owned();
        (word("result"), word("code"))
    }

    fn ask(&self, command: &Value) -> (String, String) {
        self.send(command);
        self.answer(command["command_id"].as_str().unwrap())
    }

    /// What was told of assets, and noticed of them.
    fn changes(&self) -> Vec<String> {
        let said = |event: &Value| {
            let data = &event["data"];
            match event["type"].as_str().unwrap() {
                "andon.asset.changed.v1" => {
                    Some(format!("{}.{} {} {}", data["id"], data["revision"], data["name"], data["machines"]))
                }
                "andon.notice.raised.v1" => {
                    data["code"].as_str().filter(|code| code.starts_with("asset")).map(str::to_owned)
                }
                _ => None,
            }
        };
        self.ear.events().iter().filter_map(said).collect()
    }

    fn readings(&self) -> Vec<Value> {
        let events = self.ear.events();
        events.into_iter().filter(|event| event["type"] == "andon.meter.read.v1").collect()
    }

    fn until_reading(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.ear.until_event("meter.read", |event| wanted(&event["data"]))
    }
}

fn accepted() -> (String, String) {
    ("accepted".to_owned(), "accepted".to_owned())
}

fn list(command_id: &str, part: u32, assets: &Value) -> Value {
    json!({
        "command_id": command_id, "by": "cmms", "mode": "full", "sync_id": "monday", "part": part, "parts": 2,
        "assets": assets,
    })
}

#[test]
fn a_list_in_parts_takes_effect_when_it_is_complete_also_across_kill_9() {
    let plant = Plant::new();
    let daemon = plant.run();
    let hall = json!([{ "id": "HALL", "name": "Hall 3" }]);
    let press = json!([{ "id": "EQ-7", "name": "Press 7", "parent": "HALL", "criticality": "A", "status": "in use" }]);
    assert_eq!(plant.ask(&list("c-2", 2, &press)), accepted());
    daemon.kill();
    let daemon = plant.run();
    assert_eq!(plant.changes(), [""; 0], "half a list changes nothing");
    assert_eq!(plant.ask(&list("c-1", 1, &hall)), accepted());
    eventually("the list is told", || plant.changes().len() >= 3);
    let told = [r#""EQ-7".1 "Press 7" ["press-7"]"#, r#""HALL".1 "Hall 3" []"#, "assets_synced"];
    assert_eq!(plant.changes(), told);
    let changed = plant.ear.until_event("asset.changed", |event| event["subject"] == "EQ-7");
    assert_eq!(changed["correlationid"], "c-1");
    assert_eq!(changed["data"]["asset"], "EQ-7");
    assert_eq!(changed["data"]["machine"], Value::Null);
    assert_eq!(changed["data"]["meters"]["cycles"], 0);

    // The same again tells nothing; a new name is told and said, once.
    assert_eq!(plant.ask(&list("c-3", 1, &hall)), accepted());
    assert_eq!(plant.ask(&list("c-4", 2, &press)), accepted());
    let rename = |command_id: &str| {
        json!({
            "command_id": command_id, "by": "cmms", "mode": "upsert", "assets": [{ "id": "EQ-7", "name": "Press seven" }],
        })
    };
    assert_eq!(plant.ask(&rename("c-5")), accepted());
    assert_eq!(plant.ask(&rename("c-6")), accepted());
    assert_eq!(plant.ask(&rename("c-5")).0, "accepted", "the first answer to it");
    let renamed = [r#""EQ-7".2 "Press seven" ["press-7"]"#, "asset_renamed"];
    eventually("it is renamed", || plant.changes().len() >= 5);
    assert_eq!(plant.changes(), [&told[..], &renamed[..]].concat());

    // Who may not, and what is no list.
    let by = |by: &str| json!({ "command_id": by, "by": by, "mode": "upsert", "assets": [] });
    assert_eq!(plant.ask(&by("panel")).1, "not_authorised", "[commands] from is about machines");
    let odd = json!({ "command_id": "odd", "by": "cmms", "mode": "upsert", "assets": [{ "id": "A", "color": "red" }] });
    assert_eq!(plant.ask(&odd).1, "malformed");
    assert_eq!(plant.changes().len(), 5);
    daemon.stop();
}

#[test]
fn a_meter_is_read_at_every_interval_shown_retained_and_never_falls() {
    let plant = Plant::new();
    let daemon = plant.run();
    let bound = plant.until_reading(|data| data["asset"] == "EQ-7");
    assert_eq!((&bound["data"]["run_ms"], &bound["data"]["cycles"]), (&json!(0), &json!(0)));
    plant.until_reading(|data| data["run_ms"].as_i64() >= Some(60_000));
    plant.plc.long(0, 1010);
    let read = plant.until_reading(|data| data["cycles"] == 10);
    let hours = read["data"]["run_ms"].as_f64().unwrap() / 3_600_000.0;
    assert_eq!(read["data"]["run_hours"].as_f64(), Some(hours));
    assert!(read["time"].as_str().unwrap().ends_with(":00.000Z"), "{}: at the minute of the wall clock", read["time"]);

    // Crashed, the counter of the PLC reset: what was shown stands, and goes on.
    daemon.kill();
    plant.plc.long(0, 2);
    let daemon = plant.run();
    let retained = Ear::open(&plant.broker, &format!("{MACHINE}/meter"));
    let shown = retained.until("a retained meter", |heard| heard.retained).json();
    assert!(shown["run_ms"].as_i64() >= read["data"]["run_ms"].as_i64(), "{shown}");
    assert_eq!((&shown["asset"], &shown["cycles"]), (&json!("EQ-7"), &json!(10)));
    plant.until_reading(|data| data["cycles"] == 12);

    // The CMMS knows better; then the machine is another asset.
    let raise = json!({
        "command_id": "c-1", "by": "cmms", "mode": "upsert",
        "assets": [{ "id": "EQ-7", "meters": { "run_hours": 100.0 } }, { "id": "EQ-8", "meters": { "cycles": 700 } }],
    });
    assert_eq!(plant.ask(&raise), accepted());
    plant.until_reading(|data| data["run_hours"].as_f64() >= Some(100.0) && data["cycles"] == 12);
    daemon.stop();
    plant.place.configure(&config(plant.plc.port, plant.broker.port, "EQ-8"));
    let daemon = plant.run();
    let begun = plant.until_reading(|data| data["asset"] == "EQ-8");
    assert_eq!(begun["data"]["cycles"], 700);
    plant.until_reading(|data| data["asset"] == "EQ-8" && data["run_ms"].as_i64() >= Some(30_000));
    daemon.stop();

    for asset in ["EQ-7", "EQ-8"] {
        let readings: Vec<(i64, i64)> = plant
            .readings()
            .iter()
            .map(|event| &event["data"])
            .filter(|data| data["asset"] == asset)
            .map(|data| (data["run_ms"].as_i64().unwrap(), data["cycles"].as_i64().unwrap()))
            .collect();
        assert!(readings.len() > 1 && readings.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1), "{asset}: {readings:?}");
    }
}
