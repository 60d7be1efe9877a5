//! Orders as an MES runs them, over a broker that is not ours: stored, made, confirmed, and corrected afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::needless_pass_by_value
)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;

use andon::{Daemon, Ear, Heard, Place, Plc, listing, publish};
use mosquitto::{Door, Mosquitto, eventually};
use serde_json::{Value, json};
use std::fs;

const MACHINE: &str = "andon/v1/acme/leipzig/hall-3/line-2/press-7";

/// Coil 0 says that it runs, registers 0 and 1 count good parts, 10 is a temperature in tenths.
fn config(plc: u16, broker: u16, privacy: &str) -> String {
    format!(
        r#"
[gateway]
id = "gw"
path = "acme/leipzig/hall-3"
timezone = "Europe/Berlin"
data_dir = "{{folder}}/data"
[mqtt]
brokers = ["mqtt://127.0.0.1:{broker}"]
[privacy]
operator = "{privacy}"
[[plc]]
id = "plc"
tcp = "127.0.0.1:{plc}"
poll = "20ms"
timeout = "500ms"
[plc.points]
run = {{ coil = 0 }}
good = {{ holding = 0, type = "u32" }}
temp = {{ holding = 10, scale = 0.1 }}
[[machine]]
id = "press-7"
line = "line-2"
ideal_cycle = "1s"
run = "plc.run"
total = "plc.good"
debounce = "200ms"
short_stop = "1s"
no_data = "10s"
max_rate = "1000/s"
process = {{ temperature = "plc.temp" }}
[[product]]
code = "cap-28"
ideal_rate = "700/min"
[[consumer]]
id = "mes"
may = ["order", "operator", "scrap"]
"#
    )
}

struct Shop {
    plc: Plc,
    broker: Mosquitto,
    ear: Ear,
    place: Place,
}

impl Shop {
    fn new(privacy: &str) -> Shop {
        let plc = Plc::start();
        plc.coil(0, true);
        plc.long(0, 1000);
        plc.word(10, 1835);
        let broker = Mosquitto::start(&Door::Anonymous);
        let ear = Ear::open(&broker, "#");
        let place = Place::with(&config(plc.port, broker.port, privacy));
        Shop { plc, broker, ear, place }
    }

    fn run(&self) -> Daemon {
        let daemon = self.place.run(&[]);
        self.ear.until_event("state.changed", |event| event["data"]["state"] == "running");
        daemon
    }

    /// Sends a command and hears its answer.
    fn ask(&self, verb: &str, command_id: &str, rest: Value) -> Value {
        let mut command = json!({ "command_id": command_id, "by": "mes" });
        command.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        publish(&self.broker, &format!("{MACHINE}/command/{verb}"), command.to_string().as_bytes(), &[]);
        let is_it = |heard: &Heard| heard.topic.ends_with("/reply") && heard.json()["data"]["command_id"] == command_id;
        self.ear.until(&format!("the answer to {command_id}"), is_it).json()["data"].clone()
    }

    fn order(&self, command_id: &str, command: &str, order: &str, rest: Value) -> Value {
        let mut whole = json!({ "command": command, "order": order });
        whole.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        self.ask("order", command_id, whole)
    }

    fn event(&self, word: &str, order: &str) -> Value {
        self.ear.until_event(&format!("order.{word}"), |event| event["data"]["order"] == order)
    }

    /// The PLC has been seen to have counted so far.
    fn counted(&self, total: i64) {
        let counts = |heard: &Heard| heard.topic.ends_with("press-7/state") && heard.json()["counts"]["total"] == total;
        self.ear.until(&format!("{total} parts"), counts);
    }
}

#[test]
fn an_order_is_made_and_told_so_that_an_erp_can_book_it() {
    let shop = Shop::new("id");
    let daemon = shop.run();
    let said = json!({
        "production_order": "1000815", "operation": "0010", "product": "cap-28", "quantity": 10, "unit": "PCE", "lot": "L-9",
        "priority": 3, "planned_start": "2026-11-23T07:00:00+01:00", "planned_end": "2026-11-23T15:00:00+01:00",
    });
    let reply = shop.order("m-1", "Store", "A-1", said);
    assert_eq!(
        (&reply["result"], &reply["subject"], &reply["revision"]),
        (&json!("accepted"), &json!("press-7/A-1"), &json!(1))
    );
    let stored = shop.event("stored", "A-1");
    assert_eq!((&stored["correlationid"], &stored["subject"]), (&json!("m-1"), &json!("press-7/A-1")));
    let data = &stored["data"];
    assert_eq!(
        (&data["state"], &data["counts"], &data["from"]),
        (&json!("NotAllowedToStart"), &Value::Null, &Value::Null)
    );
    assert_eq!(data["planned_start"], "2026-11-23T06:00:00.000Z");
    assert_eq!(shop.order("m-2", "Stop", "A-1", json!({}))["code"], "illegal_transition");
    assert_eq!(shop.ask("operator", "m-3", json!({ "operator": "P-17", "action": "log_on" }))["result"], "accepted");
    assert_eq!(shop.order("m-4", "Start", "A-1", json!({}))["revision"], 2);
    shop.event("started", "A-1");
    shop.ear.until("the order in the picture", |heard| {
        heard.topic.ends_with("press-7/state") && heard.json()["order"] == "A-1"
    });
    shop.plc.long(0, 1007);
    shop.counted(7);
    assert_eq!(
        shop.ask("scrap", "m-5", json!({ "quantity": 2, "code": "porous", "order": "A-1" }))["result"],
        "accepted"
    );
    assert_eq!(shop.order("m-6", "StoreAndStart", "A-2", json!({}))["code"], "order_running");
    assert_eq!(shop.order("m-7", "StoreAndStart", "A-2", json!({ "on_start": "switch" }))["result"], "accepted");
    let ended = shop.event("ended", "A-1");
    let data = &ended["data"];
    assert_eq!((&data["state"], &data["final"], &data["lot"]), (&json!("Ended"), &json!(true), &json!("L-9")));
    assert_eq!(data["counts"], json!({ "total": 7, "good": 5, "reject": 2, "rework": 0 }));
    assert_eq!((&data["yield"], &data["remaining"], &data["quantity"]), (&json!(5), &json!(5), &json!(10)));
    assert_eq!(data["operators"], json!(["P-17"]));
    assert_eq!(
        (&data["process"]["temperature"]["min"], &data["process"]["temperature"]["max"]),
        (&json!(183.5), &json!(183.5))
    );
    assert!(data["process"]["temperature"]["known_ms"].as_i64().unwrap() > 0, "{data:#}");
    assert_eq!(data["spans"].as_array().unwrap().len(), 1);
    let states: i64 = data["time_ms"].as_object().unwrap().values().map(|ms| ms.as_i64().unwrap()).sum();
    assert!(states > 0 && data["kpi"]["availability"] == 1.0, "{data:#}");
    assert_eq!(
        shop.ask("scrap", "m-8", json!({ "quantity": 1, "kind": "reworked", "order": "A-1" }))["subject"],
        "press-7/A-1"
    );
    let updated = shop.event("updated", "A-1");
    assert_eq!((&updated["data"]["yield"], &updated["data"]["revision"]), (&json!(6), &json!(4)));
    daemon.stop();
    let answer = shop.place.ask(&["report", "-c", "andon.toml", "--format", "json", "--window", "order"]);
    let windows: Value = serde_json::from_str(&answer.out).unwrap();
    let windows = windows["windows"].as_array().unwrap();
    let of = |id: &str| windows.iter().find(|window| window["id"] == id).unwrap();
    assert_eq!((&of("A-1")["counts"]["good"], &of("A-2")["counts"]["total"]), (&json!(5), &json!(0)));
}

#[test]
fn a_start_that_is_told_late_books_the_downtime_and_what_was_made_since() {
    let shop = Shop::new("off");
    let daemon = shop.run();
    assert_eq!(shop.order("m-1", "StoreAndStart", "A-1", json!({}))["result"], "accepted");
    shop.plc.long(0, 1003);
    shop.counted(3);
    shop.plc.coil(0, false);
    let opened = shop.ear.until_event("downtime.opened", |_| true);
    shop.plc.coil(0, true);
    let closed = shop.ear.until_event("downtime.closed", |_| true);
    assert_eq!(closed["data"]["shares"][0]["order"], "A-1");
    shop.plc.long(0, 1008);
    shop.counted(8);
    let since = &opened["data"]["started_at"];
    let reply = shop.order("m-2", "StoreAndStart", "B-1", json!({ "at": since, "on_start": "switch" }));
    assert_eq!(reply["result"], "accepted", "{reply:#}");
    let amended = shop.ear.until_event("downtime.amended", |_| true);
    assert_eq!((&amended["data"]["order"], &amended["correlationid"]), (&json!("B-1"), &json!("m-2")));
    assert_eq!(amended["data"]["shares"].as_array().unwrap().len(), 1);
    assert_eq!(amended["data"]["shares"][0]["order"], "B-1");
    let (ended, started) = (shop.event("ended", "A-1"), shop.event("started", "B-1"));
    assert_eq!((&ended["data"]["to"], &started["data"]["from"]), (since, since));
    assert_eq!((&ended["data"]["counts"]["total"], &started["data"]["counts"]["total"]), (&json!(3), &json!(5)));
    let too_old = shop.order("m-3", "Pause", "B-1", json!({ "at": "2001-01-01T00:00:00Z" }));
    assert_eq!(too_old["code"], "period_closed");
    daemon.stop();
}

#[test]
fn ids_of_persons_leave_the_gateway_only_where_they_may() {
    let shop = Shop::new("off");
    let daemon = shop.run();
    shop.order("m-1", "StoreAndStart", "A-1", json!({}));
    assert_eq!(shop.ask("operator", "m-2", json!({ "operator": "P-17", "action": "log_on" }))["result"], "accepted");
    let changed = shop.ear.until_event("operator.changed", |_| true);
    assert_eq!((&changed["data"]["operator"], &changed["data"]["action"]), (&Value::Null, &json!("log_on")));
    shop.plc.coil(0, false);
    shop.ear.until_event("downtime.opened", |event| event["data"]["operator"] == Value::Null);
    shop.order("m-3", "Stop", "A-1", json!({}));
    assert_eq!(shop.event("ended", "A-1")["data"]["operators"], json!([]));
    assert_eq!(shop.ask("operator", "m-4", json!({ "operator": "P-17", "action": "log_on" }))["code"], "logged_on");
    daemon.stop();
    let said = |heard: &Heard| !heard.topic.contains("/command/") && heard.body.contains("P-17");
    let told: Vec<Heard> = shop.ear.heard().into_iter().filter(said).collect();
    assert!(told.is_empty(), "{} messages name a person", told.len());
}

#[test]
fn an_order_goes_on_after_the_gateway_was_killed() {
    let shop = Shop::new("off");
    let daemon = shop.run();
    shop.order("m-1", "StoreAndStart", "A-1", json!({ "quantity": 100 }));
    shop.plc.long(0, 1004);
    shop.counted(4);
    eventually("the marks know the temperature under the order", || {
        let files = listing(&shop.place.folder.path().join("run"));
        files.iter().any(|file| fs::read_to_string(file).is_ok_and(|marks| marks.contains("temperature")))
    });
    daemon.kill();
    shop.plc.word(10, 1900);
    shop.plc.long(0, 1009);
    let daemon = shop.place.run(&[]);
    shop.counted(9);
    assert_eq!(shop.order("m-2", "Stop", "A-1", json!({}))["result"], "accepted");
    let ended = shop.event("ended", "A-1");
    let data = &ended["data"];
    assert_eq!((&data["counts"]["total"], &data["quantity"]), (&json!(9), &json!(100)));
    let heat = &data["process"]["temperature"];
    assert_eq!((&heat["min"], &heat["max"]), (&json!(183.5), &json!(190.0)), "{data:#}");
    daemon.stop();
}
