//! Work requests and work orders as a CMMS sees them, over a broker that is not ours: asked once, answered onto the same
//! downtime, whatever comes twice, late or after a crash.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;

use andon::{Ear, Heard, Place, Plc, publish};
use mosquitto::{Door, Mosquitto, eventually};
use serde_json::{Value, json};

const MACHINE: &str = "andon/v1/acme/leipzig/hall-3/line-2/press-7";

/// Coil 0 says that it runs, register 4 which fault it has.
fn config(plc: u16, broker: u16) -> String {
    format!(
        r#"
priority_map = ["1-very high", "2-high", "3-medium", "4-low"]
[gateway]
id = "gw"
path = "acme/leipzig/hall-3"
timezone = "Europe/Berlin"
data_dir = "{{folder}}/data"
[mqtt]
brokers = ["mqtt://127.0.0.1:{broker}"]
[privacy]
operator = "id"
[[plc]]
id = "plc"
tcp = "127.0.0.1:{plc}"
poll = "20ms"
timeout = "500ms"
[plc.points]
run = {{ coil = 0 }}
good = {{ holding = 0, type = "u32" }}
fault = {{ holding = 4 }}
[[machine]]
id = "press-7"
line = "line-2"
asset = "EQ-10042"
ideal_cycle = "100ms"
run = "plc.run"
total = "plc.good"
fault = "plc.fault"
debounce = "100ms"
short_stop = "500ms"
no_data = "10s"
[[reason]]
code = "mech.jam"
text = "Material jam"
class = "failure"
faults = [12]
[[reason]]
code = "cleaning"
class = "planned"
[[work_request]]
name = "long failure"
class = "failure"
after = "1s"
priority = 2
[[consumer]]
id = "cmms"
may = ["work-order"]
[commands]
from = ["panel"]
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
    fn new() -> Shop {
        let plc = Plc::start();
        plc.coil(0, true);
        let broker = Mosquitto::start(&Door::Anonymous);
        let ear = Ear::open(&broker, "#");
        let place = Place::with(&config(plc.port, broker.port));
        Shop { plc, broker, ear, place }
    }

    /// It jams, until somebody is asked for.
    fn jam(&self) {
        self.plc.word(4, 12);
        self.plc.coil(0, false);
    }

    fn goes_on(&self) {
        self.plc.word(4, 0);
        self.plc.coil(0, true);
    }

    fn send(&self, verb: &str, command: &Value) {
        publish(&self.broker, &format!("{MACHINE}/command/{verb}"), command.to_string().as_bytes(), &[]);
    }

    /// Every answer to this command so far, once there are so many.
    fn answers(&self, command_id: &str, count: usize) -> Vec<Value> {
        let mut answers = Vec::new();
        eventually(&format!("{count} answers to {command_id}"), || {
            let heard = self.ear.heard();
            let replies = heard.iter().filter(|heard| heard.topic.ends_with("/reply")).map(Heard::json);
            answers = replies.filter(|reply| reply["data"]["command_id"] == command_id).collect();
            answers.len() >= count
        });
        answers
    }
}

fn result(reply: &Value) -> &str {
    reply["data"]["result"].as_str().unwrap()
}

/// Every key of the contract stands in a request, also where nothing is known.
fn is_whole(data: &Value) {
    for key in [
        "machine",
        "line",
        "path",
        "asset",
        "revision",
        "request_id",
        "status",
        "downtime_id",
        "downtime_ids",
        "downtime_revision",
        "location",
        "equipment_path",
        "title",
        "description",
        "work_type",
        "priority",
        "malfunction_start",
        "malfunction_end",
        "asset_down",
        "downtime_ms",
        "detection_method",
        "problem",
        "occurrences",
        "order",
        "product",
        "shift",
        "lost_parts",
        "meters",
        "rule",
    ] {
        assert!(data.get(key).is_some(), "{key} is missing: {data:#}");
    }
    assert!(data["title"].as_str().unwrap().chars().count() <= 40);
    for key in ["cause", "mechanism"] {
        assert!(data.get(key).is_none(), "a machine knows no {key}");
    }
}

#[test]
fn a_cmms_takes_a_request_as_it_is_and_its_work_order_comes_back_onto_the_same_downtime() {
    let shop = Shop::new();
    let daemon = shop.place.run(&[]);
    shop.ear.until_event("state.changed", |event| event["data"]["state"] == "running");
    shop.jam();
    let raised = shop.ear.until_event("work-request.raised", |_| true);
    let data = &raised["data"];
    is_whole(data);
    let opened = shop.ear.until_event("downtime.opened", |_| true);
    let (request, downtime) = (data["request_id"].clone(), opened["data"]["downtime_id"].clone());
    assert_eq!(raised["subject"], request);
    assert_eq!((&data["downtime_id"], &data["downtime_ids"]), (&downtime, &json!([downtime])));
    assert_eq!(
        (&data["status"], &data["asset_down"], &data["malfunction_end"]),
        (&json!("raised"), &json!(true), &Value::Null)
    );
    assert_eq!((&data["title"], &data["rule"]), (&json!("press-7: Material jam"), &json!("long failure")));
    assert_eq!((&data["priority"], &data["priority_text"]), (&json!(2), &json!("2-high")));
    assert_eq!(data["problem"], json!({ "reason": "mech.jam", "fault": 12, "text": "Material jam" }));
    assert_eq!(data["equipment_path"], "acme/leipzig/hall-3/line-2/press-7");
    assert_eq!(data["malfunction_start"], opened["data"]["started_at"]);
    assert_eq!((&data["downtime_ms"], &data["lost_parts"]), (&json!(1000), &json!(10)));

    // The technician is there before the machine runs again.
    let order = |id: &str, revision: i64, status: &str| {
        json!({ "command_id": id, "by": "cmms", "request_id": request, "work_order": "WO-2291", "revision": revision,
                "status": status, "status_raw": status.to_uppercase() })
    };
    shop.send("work-order", &order("w-1", 1, "in_progress"));
    assert_eq!(result(&shop.answers("w-1", 1)[0]), "accepted");
    let updated = shop.ear.until_event("downtime.updated", |event| event["data"]["work"][0]["work_order"] == "WO-2291");
    assert_eq!(updated["correlationid"], "w-1");
    shop.goes_on();
    let closed = shop.ear.until_event("downtime.closed", |_| true);
    assert_eq!(closed["data"]["work"][0]["status"], "in_progress");
    let followed = shop
        .ear
        .until_event("work-request.updated", |event| event["data"]["downtime_revision"] == closed["data"]["revision"]);
    assert_eq!(followed["data"]["malfunction_end"], closed["data"]["ended_at"]);
    assert_eq!(followed["data"]["downtime_ms"], closed["data"]["duration_ms"]);
    assert_eq!(followed["data"]["status"], "in_progress");

    // What it was comes in no good order, and twice; between, the gateway dies.
    let start = raised["data"]["malfunction_start"].as_str().unwrap().to_owned();
    let finish = closed["data"]["ended_at"].as_str().unwrap().to_owned();
    let mut done = order("w-3", 3, "completed");
    for (key, value) in [
        ("actual_start", json!(start)),
        ("actual_finish", json!(finish)),
        ("technician", json!("t-17")),
        ("labour_ms", json!(900_000)),
        ("parts", json!(["6205-2RS", { "part": "A-7", "quantity": 2, "unit": "pcs" }])),
        ("cause", json!("worn belt")),
        ("mechanism", json!("wear")),
        ("remedy", json!("belt replaced")),
        ("comment", json!("order a spare")),
    ] {
        done[key] = value;
    }
    shop.send("work-order", &done);
    assert_eq!(result(&shop.answers("w-3", 1)[0]), "accepted");
    let amended = shop.ear.until_event("downtime.amended", |event| event["data"]["work"][0]["status"] == "completed");
    daemon.kill();
    let daemon = shop.place.run(&[]);
    shop.send("work-order", &done);
    let again = &shop.answers("w-3", 2)[1];
    assert_eq!((result(again), &again["data"]["code"]), ("duplicate", &json!("accepted")));
    shop.send("work-order", &order("w-2", 2, "on_hold"));
    assert_eq!(result(&shop.answers("w-2", 1)[0]), "stale");

    let stop = &amended["data"];
    assert_eq!((&stop["started_at"], &stop["ended_at"]), (&closed["data"]["started_at"], &closed["data"]["ended_at"]));
    assert_eq!(stop["duration_ms"], closed["data"]["duration_ms"]);
    let link = json!({ "request_id": request, "work_order": "WO-2291", "status": "completed", "cause": "worn belt", "remedy": "belt replaced",
        "actual_start": start, "actual_finish": finish });
    assert_eq!(stop["work"], json!([link]));
    let told = shop.ear.until_event("work-order.updated", |event| event["data"]["status"] == "completed");
    let told = &told["data"];
    assert_eq!((&told["request_id"], &told["downtime_ids"]), (&request, &json!([downtime])));
    assert_eq!(
        (&told["technician"], &told["labour_ms"], &told["mechanism"]),
        (&json!("t-17"), &json!(900_000), &json!("wear"))
    );
    assert_eq!((&told["work_order_revision"], &told["status_raw"]), (&json!(3), &json!("COMPLETED")));
    assert_eq!(
        told["parts"],
        done["parts"]
            .as_array()
            .map(|parts| { json!([parts[0], { "part": "A-7", "quantity": 2.0, "unit": "pcs", "text": null }]) })
            .unwrap()
    );
    assert_eq!(told["comment"], "order a spare");

    // The next one is another request; the closed one stays as it is.
    shop.jam();
    let next = shop.ear.until_event("work-request.raised", |event| event["data"]["request_id"] != request);
    assert_eq!(next["data"]["occurrences"], 1);
    shop.goes_on();
    let id = next["data"]["downtime_id"].clone();
    shop.ear.until_event("downtime.closed", |event| event["data"]["downtime_id"] == id);
    // An operator knows better: nobody has to come.
    shop.send("reason", &json!({ "command_id": "r-1", "by": "panel", "downtime_id": id, "code": "cleaning" }));
    let withdrawn = shop.ear.until_event("work-request.withdrawn", |_| true);
    assert_eq!(
        (&withdrawn["data"]["request_id"], &withdrawn["data"]["class"]),
        (&next["data"]["request_id"], &json!("planned"))
    );
    shop.send(
        "work-request",
        &json!({ "command_id": "p-1", "by": "panel", "text": "oil on the floor", "priority": 3 }),
    );
    let asked = shop.ear.until_event("work-request.raised", |event| event["data"]["requested_by"] == "panel");
    is_whole(&asked["data"]);
    assert_eq!((&asked["data"]["title"], &asked["data"]["rule"]), (&json!("press-7: oil on the floor"), &Value::Null));
    shop.send("work-request", &json!({ "command_id": "p-2", "by": "cmms", "text": "who asks" }));
    assert_eq!(shop.answers("p-2", 1)[0]["data"]["code"], "not_authorised");
    daemon.stop();

    let report = shop.place.report(&[]);
    let windows = report["windows"].as_array().unwrap();
    let sum = |key: &str| windows.iter().map(|window| window[key].as_i64().unwrap()).sum::<i64>();
    assert_eq!(sum("repairs"), 1);
    assert_eq!(sum("repair_ms"), closed["data"]["duration_ms"].as_i64().unwrap());
    let in_progress = shop.ear.until_event("work-order.updated", |event| event["data"]["status"] == "in_progress");
    let at = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let response_ms = at(&in_progress["data"]["in_progress_at"]) - at(&opened["data"]["started_at"]);
    let of_day = windows.iter().find_map(|window| window["kpi"]["response_ms"].as_i64());
    assert_eq!(of_day, Some(response_ms));
}
