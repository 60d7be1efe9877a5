//! Commands as an MES sends them, over a broker that is not ours: answered, carried out once, and never lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;

use andon::{Ear, Heard, Place, Plc, publish};
use mosquitto::{Door, Mosquitto, eventually};
use serde_json::{Value, json};

const MACHINE: &str = "andon/v1/acme/leipzig/hall-3/line-2/press-7";
const GATEWAY: &str = "andon/v1/acme/leipzig/hall-3/_gateway/gw";

/// Coil 0 says that it runs, registers 0 and 1 count good parts.
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
good = {{ holding = 0, type = "u32" }}
reject = {{ holding = 2 }}
[[machine]]
id = "press-7"
line = "line-2"
ideal_cycle = "1s"
run = "plc.run"
good = "plc.good"
reject = "plc.reject"
debounce = "200ms"
short_stop = "1s"
no_data = "10s"
max_rate = "1000/s"
[[reason]]
code = "mech.jam"
class = "failure"
[[reason]]
code = "cleaning"
class = "planned"
[[consumer]]
id = "mes"
may = ["reason", "scrap"]
[[consumer]]
id = "board"
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
        plc.long(0, 1000);
        let broker = Mosquitto::start(&Door::Anonymous);
        let ear = Ear::open(&broker, "#");
        let place = Place::with(&config(plc.port, broker.port));
        Shop { plc, broker, ear, place }
    }

    /// A downtime that is over. Gives its id.
    fn stop(&self, number: u64) -> String {
        let is_it = move |event: &Value| event["data"]["number"] == format!("press-7/{number}");
        self.plc.coil(0, false);
        self.ear.until_event("downtime.opened", is_it);
        self.plc.coil(0, true);
        let closed = self.ear.until_event("downtime.closed", is_it);
        closed["data"]["downtime_id"].as_str().unwrap().to_owned()
    }

    fn send(&self, verb: &str, command: &Value) {
        publish(&self.broker, &format!("{MACHINE}/command/{verb}"), command.to_string().as_bytes(), &[]);
    }

    /// The answer number `nth` to this command.
    fn answer(&self, command_id: &str, nth: usize) -> Value {
        let mut answers = Vec::new();
        eventually(&format!("answer {nth} to {command_id}"), || {
            answers = self.answers(command_id);
            answers.len() >= nth
        });
        answers.swap_remove(nth - 1)
    }

    fn answers(&self, command_id: &str) -> Vec<Value> {
        let heard = self.ear.heard();
        let replies = heard.iter().filter(|heard| heard.topic.ends_with("/reply")).map(Heard::json);
        replies.filter(|reply| reply["data"]["command_id"] == command_id).collect()
    }
}

fn result(reply: &Value) -> (&str, &str) {
    (reply["data"]["result"].as_str().unwrap(), reply["data"]["code"].as_str().unwrap())
}

fn reason(command_id: &str, by: &str, downtime: &str, code: &str) -> Value {
    json!({ "command_id": command_id, "by": by, "downtime_id": downtime, "code": code })
}

#[test]
fn a_reason_from_the_mes_lands_on_the_downtime_and_is_answered() {
    let shop = Shop::new();
    let daemon = shop.place.run(&[]);
    shop.ear.until_event("state.changed", |event| event["data"]["state"] == "running");
    let downtime = shop.stop(1);
    shop.send("reason", &reason("c-1", "mes", &downtime, "cleaning"));
    let amended = shop.ear.until_event("downtime.amended", |event| event["data"]["reason"]["code"] == "cleaning");
    assert_eq!(amended["correlationid"], "c-1");
    assert_eq!(amended["data"]["change"]["by"], "mes");
    assert_eq!(amended["data"]["change"]["command_id"], "c-1");
    assert_eq!(amended["data"]["class"], "planned");
    let reply = shop.answer("c-1", 1);
    assert_eq!(reply["type"], "andon.reply.v1");
    assert_eq!(reply["source"], "andon:gw");
    assert_eq!(reply["sequence"], Value::Null);
    let expected = json!({
        "machine": "press-7", "line": "line-2", "path": "acme/leipzig/hall-3", "asset": "press-7",
        "command_id": "c-1", "verb": "reason", "result": "accepted", "code": "accepted", "text": null,
        "subject": downtime, "revision": amended["data"]["revision"],
    });
    assert_eq!(reply["data"], expected);
    daemon.stop();
}

#[test]
fn a_command_that_comes_again_changes_nothing_twice_also_after_a_crash() {
    let shop = Shop::new();
    let daemon = shop.place.run(&[]);
    shop.ear.until_event("state.changed", |event| event["data"]["state"] == "running");
    // What was made since the first look can be scrapped.
    shop.plc.long(0, 1010);
    let state = format!("{MACHINE}/state");
    let is_ten = |heard: &Heard| heard.topic == state && heard.json()["counts"]["good"] == 10;
    shop.ear.until("ten good parts", is_ten);
    let scrap = json!({ "command_id": "s-1", "by": "mes", "quantity": 3 });
    shop.send("scrap", &scrap);
    assert_eq!(result(&shop.answer("s-1", 1)), ("accepted", "accepted"));
    shop.send("scrap", &scrap);
    let again = shop.answer("s-1", 2);
    assert_eq!(result(&again), ("duplicate", "accepted"));
    daemon.kill();
    let daemon = shop.place.run(&[]);
    shop.send("scrap", &scrap);
    assert_eq!(result(&shop.answer("s-1", 3)), ("duplicate", "accepted"));
    // The same id of another sender is another command.
    shop.send("scrap", &json!({ "command_id": "s-1", "by": "panel", "quantity": 100 }));
    assert_eq!(result(&shop.answer("s-1", 4)), ("refused", "too_many"));
    let moved =
        |heard: &&Heard| heard.topic.ends_with("event/production") && heard.json()["data"]["why"] == "adjustment";
    let ids: std::collections::BTreeSet<String> =
        shop.ear.heard().iter().filter(moved).map(|heard| heard.json()["id"].to_string()).collect();
    assert_eq!(ids.len(), 1);
    daemon.stop();
}

#[test]
fn what_comes_while_the_gateway_is_away_is_carried_out_when_it_is_back() {
    let shop = Shop::new();
    let daemon = shop.place.run(&[]);
    shop.ear.until_event("state.changed", |event| event["data"]["state"] == "running");
    let downtime = shop.stop(1);
    daemon.stop();
    for n in 1..=20 {
        let code = if n % 2 == 0 { "mech.jam" } else { "cleaning" };
        shop.send("reason", &reason(&format!("c-{n}"), "mes", &downtime, code));
    }
    let daemon = shop.place.run(&[]);
    for n in 1..=20 {
        assert_eq!(result(&shop.answer(&format!("c-{n}"), 1)), ("accepted", "accepted"));
    }
    let last = shop.answer("c-20", 1);
    let amended = shop.ear.until_event("downtime.amended", |event| event["correlationid"] == "c-20");
    assert_eq!(amended["data"]["revision"], last["data"]["revision"]);
    assert_eq!(amended["data"]["class"], "failure");
    daemon.stop();
}

#[test]
fn whoever_may_not_ask_asks_wrongly_or_at_the_wrong_time_is_told_so_and_changes_nothing() {
    let shop = Shop::new();
    let daemon = shop.place.run(&[]);
    shop.ear.until_event("state.changed", |event| event["data"]["state"] == "running");
    let downtime = shop.stop(1);
    let before = shop.ear.events().len();
    let mut late = reason("late", "mes", &downtime, "mech.jam");
    late["expires_at"] = json!("2020-01-01T00:00:00Z");
    let mut future = reason("future", "mes", &downtime, "mech.jam");
    future["at"] = json!("2100-01-01T00:00:00Z");
    let mut closed = reason("closed", "mes", &downtime, "mech.jam");
    closed["at"] = json!("2020-01-01T00:00:00Z");
    for (command, code) in [
        (reason("nobody", "nobody", &downtime, "mech.jam"), "not_authorised"),
        (reason("board", "board", &downtime, "mech.jam"), "not_authorised"),
        (reason("unknown", "mes", &downtime, "nonsense"), "unknown_reason"),
        (reason("else", "mes", "019ab0f3-2a40-7000-8000-000000000001", "mech.jam"), "unknown_downtime"),
        (json!({ "command_id": "half", "by": "mes" }), "malformed"),
        (late, "expired"),
        (future, "future"),
        (closed, "period_closed"),
    ] {
        shop.send("reason", &command);
        let reply = shop.answer(command["command_id"].as_str().unwrap(), 1);
        assert_eq!(result(&reply), ("refused", code));
        assert!(reply["data"]["text"].as_str().unwrap().len() > 10, "{reply}");
    }
    shop.send("dance", &json!({ "command_id": "dance", "by": "panel" }));
    assert_eq!(result(&shop.answer("dance", 1)), ("refused", "unknown_verb"));
    publish(
        &shop.broker,
        &format!("{GATEWAY}/command/scrap"),
        br#"{"command_id": "g", "by": "mes", "quantity": 1}"#,
        &[],
    );
    assert_eq!(result(&shop.answer("g", 1)), ("refused", "unknown_verb"));
    // Not even its sender can be made out.
    let unreadable =
        |heard: &Heard| heard.topic.ends_with("press-7/reply") && heard.json()["data"]["command_id"] == Value::Null;
    for body in [b"{".to_vec(), vec![b'['; 10_000], vec![b'x'; 1 << 20]] {
        let known = shop.ear.heard().into_iter().filter(|heard| unreadable(heard)).count();
        publish(&shop.broker, &format!("{MACHINE}/command/reason"), &body, &[]);
        eventually("its answer", || shop.ear.heard().into_iter().filter(|heard| unreadable(heard)).count() > known);
    }
    assert_eq!(shop.ear.events().len(), before, "nothing was changed");
    // An error of the sender does not use up the id.
    shop.send("reason", &reason("half", "panel", &downtime, "mech.jam"));
    eventually("it is accepted", || shop.answers("half").iter().any(|reply| result(reply).0 == "accepted"));
    daemon.stop();
}

#[test]
fn a_retained_command_is_refused() {
    let shop = Shop::new();
    let topic = format!("{MACHINE}/command/scrap");
    publish(&shop.broker, &topic, br#"{"command_id": "r-1", "by": "mes", "quantity": 1}"#, &["-r"]);
    let daemon = shop.place.run(&[]);
    assert_eq!(result(&shop.answer("r-1", 1)), ("refused", "retained"));
    daemon.stop();
}

#[test]
fn a_packet_too_large_to_take_costs_one_connection_and_no_event() {
    let shop = Shop::new();
    let daemon = shop.place.run(&[]);
    shop.ear.until_event("state.changed", |event| event["data"]["state"] == "running");
    publish(&shop.broker, &format!("{MACHINE}/command/reason"), &vec![b'x'; 5 << 20], &[]);
    daemon.until_logged("it brought a packet of more than 4 MiB");
    let downtime = shop.stop(1);
    shop.send("reason", &reason("c-1", "mes", &downtime, "mech.jam"));
    assert_eq!(result(&shop.answer("c-1", 1)), ("accepted", "accepted"));
    assert_eq!(daemon.logged("it brought a packet of more than 4 MiB"), 1);
    daemon.stop();
}
