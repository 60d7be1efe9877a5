//! The example consumers beside the real binary, with a broker that is killed and wiped, and every way to get a receipt wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;
#[path = "common/peers.rs"]
mod peers;

use andon::{Daemon, Ear, Place, Plc};
use mosquitto::{Door, Mosquitto, eventually};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const ROOT: &str = "andon/v1/acme/leipzig/hall-3";
const DIGEST: &str = "andon/v1/acme/leipzig/hall-3/_gateway/gw/digest";

/// A digest comes within 30 s of a change; what it takes on a busy machine beside that.
const CONVERGES_WITHIN: Duration = Duration::from_secs(60);

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
kinds = ["downtime"]
[[consumer]]
id = "lake"
max_lag = "1h"
"#
    )
}

struct Hall {
    plc: Plc,
    broker: Mosquitto,
    place: Place,
}

impl Hall {
    fn open() -> Hall {
        let plc = Plc::start();
        plc.coil(0, true);
        let broker = Mosquitto::start(&Door::Anonymous);
        let place = Place::with(&config(plc.port, broker.port));
        Hall { plc, broker, place }
    }

    /// So many downtimes, each a little longer than it must be.
    fn stop_and_go(&self, times: u32) {
        for _ in 0..times {
            self.plc.coil(0, false);
            thread::sleep(Duration::from_millis(700));
            self.plc.coil(0, true);
            thread::sleep(Duration::from_millis(300));
        }
    }

    fn publish(&self, topic: &str, body: &str) {
        let port = self.broker.port.to_string();
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", topic, "-m", body]);
        assert!(command.status().expect("mosquitto-clients is installed").success());
    }

    fn mes(&self) -> Daemon {
        let mut command = example("mes.py", self.place.folder.path());
        let broker = format!("127.0.0.1:{}", self.broker.port);
        command.args(["--broker", &broker, "--root", ROOT, "--gateway", "gw"]);
        Daemon::spawn(command)
    }

    /// What the MES has booked: times and milliseconds.
    fn booked(&self) -> (u64, i64) {
        let mut command = example("mes.py", self.place.folder.path());
        let output = command.arg("--totals").stdout(Stdio::piped()).output().unwrap();
        let totals: Value = serde_json::from_slice(&output.stdout).unwrap();
        let lines = totals.as_array().unwrap();
        let sum = |key: &str| lines.iter().map(|line| line[key].as_i64().unwrap()).sum::<i64>();
        (sum("times").unsigned_abs(), sum("duration_ms"))
    }

    /// What the journal tells: the last word on each downtime.
    fn told(&self) -> (u64, i64) {
        let db = rusqlite::Connection::open(self.place.path("data/andon.db")).unwrap();
        let mut select = db.prepare("SELECT body FROM journal WHERE kind = 'downtime' ORDER BY sequence").unwrap();
        let bodies = select.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        let mut latest = BTreeMap::new();
        for body in bodies {
            let event: Value = serde_json::from_slice(&body.unwrap()).unwrap();
            latest.insert(event["subject"].to_string(), event["data"].clone());
        }
        let closed = latest.values().filter(|data| data["status"] == "closed");
        let durations: Vec<i64> = closed.map(|data| data["duration_ms"].as_i64().unwrap()).collect();
        (durations.len() as u64, durations.iter().sum())
    }

    fn last_sequence(&self) -> u64 {
        let db = rusqlite::Connection::open(self.place.path("data/andon.db")).unwrap();
        db.query_one("SELECT max(sequence) FROM journal", [], |row| row.get(0)).unwrap()
    }

    fn status(&self) -> Value {
        let answer = self.place.ask(&["status", "-c", "andon.toml", "--format", "json"]);
        assert_eq!(answer.code, 0, "{}", answer.err);
        serde_json::from_str(&answer.out).unwrap()
    }
}

fn example(name: &str, folder: &Path) -> Command {
    let mut command = peers::python();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/consumers").join(name);
    command.arg(&program).arg("--db").arg(folder.join(name).with_extension("db")).stdin(Stdio::null());
    command
}

fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < limit, "{what}: not within {limit:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn is_digest(heard: &andon::Heard) -> bool {
    heard.topic == DIGEST
}

#[test]
fn a_digest_follows_each_change_and_each_reconnect_and_its_chain_is_that_of_the_bodies() {
    let mut hall = Hall::open();
    let ear = Ear::open(&hall.broker, "#");
    let daemon = hall.place.run(&[]);
    hall.plc.until_polled();
    hall.stop_and_go(2);
    eventually("two downtimes are told", || hall.told().0 == 2);
    let has_both = |heard: &andon::Heard| is_digest(heard) && heard.json()["tails"]["line-2/press-7/downtime"] == 4;
    let digest = ear.until("a digest with both", has_both).json();
    let sequence = digest["last_sequence"].as_u64().unwrap();
    assert_eq!((&digest["epoch"], &digest["first_available"]), (&json!(1), &json!(1)));
    let totals = digest["totals"].as_array().unwrap();
    let sum = |key: &str| totals.iter().map(|line| line[key].as_i64().unwrap()).sum::<i64>();
    assert_eq!((sum("times"), sum("duration_ms")), (2, hall.told().1));
    let db = rusqlite::Connection::open(hall.place.path("data/andon.db")).unwrap();
    let chain: Vec<u8> =
        db.query_one("SELECT chain FROM journal WHERE sequence = ?1", [sequence], |row| row.get(0)).unwrap();
    let hex: String = chain.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest["chain"], hex);
    let status = hall.status();
    assert_eq!((&status["epoch"], &status["promise"]), (&json!(1), &json!("receipts")));

    // A broker that has forgotten everything is told again at once.
    hall.broker.kill();
    hall.broker.wipe();
    hall.broker.start_again();
    let again = Ear::open(&hall.broker, DIGEST);
    assert_eq!(again.until("the digest", is_digest).json(), digest);
    daemon.stop();
}

#[test]
fn an_mes_that_anybody_can_copy_is_equal_after_the_broker_was_killed_and_wiped() {
    let mut hall = Hall::open();
    let daemon = hall.place.run(&[]);
    hall.plc.until_polled();
    let mes = hall.mes();
    mes.until_logged("connected");
    hall.stop_and_go(3);
    eventually("three are booked as they come", || hall.booked().0 == 3);
    // The MES is away, the broker holds events for it, is killed and forgets them and the session.
    mes.kill();
    hall.stop_and_go(4);
    eventually("seven are told", || hall.told().0 == 7);
    hall.broker.kill();
    hall.broker.wipe();
    hall.broker.start_again();
    hall.stop_and_go(2);
    let mes = hall.mes();
    within(CONVERGES_WITHIN, "the MES has all nine", || hall.told().0 == 9 && hall.booked() == hall.told());
    // Somebody writes into its store by hand: it finds out by the next digest, and books those events again.
    let sql = "UPDATE share SET duration_ms = duration_ms + 5 WHERE rowid = (SELECT min(rowid) FROM share)";
    let db = rusqlite::Connection::open(hall.place.path("mes.db")).unwrap();
    db.busy_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(db.execute(sql, []).unwrap(), 1);
    assert_ne!(hall.booked(), hall.told());
    hall.stop_and_go(1);
    within(CONVERGES_WITHIN, "the MES has mended it", || hall.told().0 == 10 && hall.booked() == hall.told());
    assert!(mes.logged("booked otherwise than the gateway says") > 0, "{}", mes.log());
    // And once more while it looks on.
    hall.broker.kill();
    hall.stop_and_go(2);
    hall.broker.wipe();
    hall.broker.start_again();
    within(CONVERGES_WITHIN, "the MES has all twelve", || hall.told().0 == 12 && hall.booked() == hall.told());
    let last = hall.last_sequence();
    within(CONVERGES_WITHIN, "the receipt follows", || {
        let status = hall.status();
        status["consumers"][0]["sequence"].as_u64() >= Some(last)
    });
    assert!(mes.logged("replay: ") > 0, "a replay was needed\n{}", mes.log());
    daemon.stop();
    let status = hall.status();
    assert_eq!(status["consumers"][1]["status"], "unheard");
    assert_eq!(status["backlog"], 0);
}

/// A receipt of the data lake, in the hand of the test.
fn receipt(instance: &str, sequence: u64, totals: &Value) -> String {
    let receipt = json!({
        "consumer": "lake", "instance": instance, "epoch": 1, "sequence": sequence, "totals": totals
    });
    receipt.to_string()
}

const RECEIPT: &str = "andon/v1/acme/leipzig/hall-3/_gateway/gw/receipt/lake";

/// An event may come twice.
fn notices(ear: &Ear, code: &str) -> usize {
    let events = ear.events().into_iter().filter(|event| event["data"]["code"] == code);
    events.map(|event| event["id"].to_string()).collect::<BTreeSet<String>>().len()
}

fn until_notices(ear: &Ear, code: &str, times: usize) {
    eventually(&format!("{times} × {code}"), || notices(ear, code) == times);
}

#[test]
fn receipts_are_believed_kept_and_contradicted_aloud() {
    let hall = Hall::open();
    let ear = Ear::open(&hall.broker, "#");
    let daemon = hall.place.run(&[]);
    ear.until_event("state.changed", |event| event["data"]["state"] == "running");
    let lake = |hall: &Hall| hall.status()["consumers"][1].clone();
    let until_lake = |what: &str, holds: &dyn Fn(&Value) -> bool| eventually(what, || holds(&lake(&hall)));
    assert_eq!(lake(&hall)["status"], "unheard");

    // What is no receipt is said once, whoever sends it; retained ones are of who knows when.
    for body in ["{", "[]", &receipt("a", 1, &Value::Null).replace("lake", "mes")] {
        hall.publish(RECEIPT, body);
    }
    until_notices(&ear, "receipt_refused", 1);
    for _ in 0..2 {
        hall.publish(&RECEIPT.replace("lake", "nobody"), &receipt("a", 1, &Value::Null).replace("lake", "nobody"));
    }
    until_notices(&ear, "receipt_refused", 2);
    hall.publish(RECEIPT, &receipt("a", 999, &Value::Null));
    until_notices(&ear, "receipt_ahead", 1);
    assert_eq!(lake(&hall)["sequence"], Value::Null);

    hall.publish(RECEIPT, &receipt("a", 2, &Value::Null));
    until_lake("a receipt counts", &|lake| lake["sequence"] == 2 && lake["status"] == "behind");
    assert!(lake(&hall)["lag_events"].as_u64() >= Some(1) && lake(&hall)["lag_ms"].is_i64(), "{}", lake(&hall));
    hall.publish(RECEIPT, &receipt("a", 1, &Value::Null));
    until_lake("and may fall", &|lake| lake["sequence"] == 1);

    hall.publish(RECEIPT, &receipt("b", 3, &Value::Null));
    until_notices(&ear, "consumer_conflict", 1);
    hall.publish(RECEIPT, &receipt("b", 4, &Value::Null));
    until_lake("the lower one counts", &|lake| lake["sequence"] == 1 && lake["status"] == "conflict");
    assert_eq!(lake(&hall)["instances"], json!(["a", "b"]));

    // kill -9 costs nothing of it.
    daemon.kill();
    assert_eq!(lake(&hall)["instances"], json!(["a", "b"]));
    let daemon = hall.place.run(&[]);
    hall.publish(RECEIPT, &receipt("a", 3, &Value::Null));
    until_lake("it goes on", &|lake| lake["sequence"] == 3);
    let log = daemon.stop();
    assert_eq!(notices(&ear, "consumer_conflict"), 1, "{log}");
    // A stop leaves it in the journal, also where memory is gone.
    std::fs::remove_dir_all(hall.place.path("run")).unwrap();
    assert_eq!(lake(&hall)["sequence"], 3);
    let table = hall.place.ask(&["status", "-c", "andon.toml"]);
    assert!(table.out.contains("conflict (b, a)") || table.out.contains("conflict (a, b)"), "{}", table.out);
}

#[test]
fn reconcile_names_what_differs_and_has_it_sent_again() {
    let hall = Hall::open();
    let ear = Ear::open(&hall.broker, "#");
    let daemon = hall.place.run(&[]);
    let reconcile = |words: &[&str]| {
        let all = [&["reconcile", "-c", "andon.toml", "--consumer", "lake"], words].concat();
        hall.place.ask(&all)
    };
    hall.plc.until_polled();
    hall.stop_and_go(2);
    let has_both = |heard: &andon::Heard| is_digest(heard) && heard.json()["tails"]["line-2/press-7/downtime"] == 4;
    let digest = ear.until("a digest with both", has_both).json();
    let last = digest["last_sequence"].as_u64().unwrap();
    let answer = reconcile(&[]);
    assert_eq!((answer.code, answer.err.as_str()), (69, ""), "{}", answer.out);

    let sent = |totals: &Value, is_equal: bool| {
        hall.publish(RECEIPT, &receipt("a", last, totals));
        eventually("the receipt is known", || {
            let answer = reconcile(&["--format", "json"]);
            let found: Value = serde_json::from_str(&answer.out).unwrap();
            found[0]["as_of_sequence"] == last && (found[0]["differs"] == json!([])) == is_equal
        });
    };
    sent(&digest["totals"], true);
    let answer = reconcile(&[]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.out.starts_with("lake: equal, 1 totals as of event"), "{}", answer.out);

    let mut wrong = digest["totals"].clone();
    wrong[0]["duration_ms"] = json!(wrong[0]["duration_ms"].as_i64().unwrap() - 7);
    wrong[0]["times"] = json!(1);
    sent(&wrong, false);
    let answer = reconcile(&["--format", "json"]);
    assert_eq!(answer.code, 65, "{answer:?}");
    let found: Value = serde_json::from_str(&answer.out).unwrap();
    let differs = &found[0]["differs"][0];
    assert_eq!((&differs["journal"]["times"], &differs["consumer"]["times"]), (&json!(2), &json!(1)));
    let told = ear.events();
    let told: Vec<&Value> = told.iter().filter(|event| event["type"] == "andon.downtime.closed.v1").collect();
    let shares = differs["downtimes"].as_array().unwrap();
    assert_eq!(shares.len(), 2);
    for share in shares {
        let closed = told.iter().find(|event| event["subject"] == share["downtime_id"]).unwrap();
        assert_eq!(
            (&share["number"], &share["duration_ms"]),
            (&closed["data"]["number"], &closed["data"]["duration_ms"])
        );
    }

    let answer = reconcile(&["--resend"]);
    assert_eq!(answer.code, 65, "{answer:?}");
    assert!(answer.out.contains("sends the events of"), "{}", answer.out);
    let replay = RECEIPT.replace("receipt", "replay");
    let is_done = |heard: &andon::Heard| heard.topic == replay && heard.json()["done"] == true;
    let done = ear.until("the replay ends", is_done).json();
    assert_eq!(done["missing"], json!([]));
    let again: Vec<String> = (ear.heard().iter())
        .filter(|heard| heard.topic == replay && heard.json()["type"].is_string())
        .map(|heard| heard.body.clone())
        .collect();
    assert_eq!(json!(again.len()), done["count"]);
    let live: Vec<String> =
        ear.heard().iter().filter(|heard| heard.topic.contains("/event/")).map(|h| h.body.clone()).collect();
    assert!(again.iter().all(|body| live.contains(body)), "the same bytes");
    let of_downtimes = |bodies: &[String]| bodies.iter().filter(|body| body.contains("andon.downtime.")).count();
    assert_eq!(of_downtimes(&again), of_downtimes(&live));
    daemon.stop();

    // Nobody is there any more to send it.
    let answer = reconcile(&["--resend"]);
    assert_eq!(answer.code, 69, "{answer:?}");
    assert!(answer.err.contains("no answer on") || answer.err.contains("within"), "{}", answer.err);
    drop(hall);
}

#[test]
fn a_replay_is_for_the_consumer_who_asks_and_of_this_epoch() {
    let hall = Hall::open();
    let ear = Ear::open(&hall.broker, "#");
    let daemon = hall.place.run(&[]);
    ear.until_event("state.changed", |event| event["data"]["state"] == "running");
    let ask = |id: &str, by: &str, consumer: &str, epoch: u32| {
        let command = json!({
            "command_id": id, "by": by, "consumer": consumer, "epoch": epoch,
            "after": { "line-2/press-7/state": 0, "line-9/nothing/state": 7 }
        });
        hall.publish(&format!("{ROOT}/_gateway/gw/command/replay"), &command.to_string());
        let is_it = |heard: &andon::Heard| heard.topic.ends_with("/reply") && heard.json()["data"]["command_id"] == id;
        let reply = ear.until("the reply", is_it).json();
        (reply["data"]["result"].as_str().unwrap().to_owned(), reply["data"]["code"].as_str().unwrap().to_owned())
    };
    let refused = |code: &str| ("refused".to_owned(), code.to_owned());
    assert_eq!(ask("1", "nobody", "nobody", 1), refused("not_authorised"));
    assert_eq!(ask("2", "lake", "mes", 1), refused("not_authorised"));
    assert_eq!(ask("3", "lake", "lake", 2), refused("wrong_epoch"));
    assert_eq!(ask("4", "lake", "lake", 1), ("accepted".to_owned(), "accepted".to_owned()));
    let is_done = |heard: &andon::Heard| heard.topic.ends_with("/replay/lake") && heard.json()["command_id"] == "4";
    let done = ear.until("its end", is_done).json();
    assert!(done["count"].as_u64() >= Some(1) && done["missing"] == json!([]), "{done}");
    let order: Vec<Value> = (ear.heard().iter())
        .filter(|heard| heard.topic.ends_with("/replay/lake"))
        .map(|heard| heard.json()["topicsequence"].clone())
        .collect();
    assert_eq!(order.first(), Some(&json!("0000000000000001")));
    assert_eq!(order.last(), Some(&Value::Null), "the end comes last");
    daemon.stop();
}

/// Without a gateway: the test says its words.
#[test]
fn a_cmms_makes_one_work_order_of_a_request_and_repeats_its_answer_until_it_is_heard() {
    let hall = Hall::open();
    let ear = Ear::unchecked(&hall.broker, "#");
    let mut command = example("cmms.py", hall.place.folder.path());
    let broker = format!("127.0.0.1:{}", hall.broker.port);
    command.args(["--broker", &broker, "--root", ROOT, "--gateway", "gw"]);
    let cmms = Daemon::spawn(command);
    cmms.until_logged("connected");
    let orders = || -> Value {
        let output = example("cmms.py", hall.place.folder.path()).arg("--orders").output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let request = |n: u64, revision: u64, status: &str, title: &str| {
        let event = json!({
            "specversion": "1.0", "id": format!("{n}"), "source": "andon:gw", "type": "andon.work-request.raised.v1",
            "epoch": 1, "sequence": format!("{n:016}"), "topicsequence": format!("{n:016}"),
            "data": {
                "request_id": "r1", "revision": revision, "status": status, "machine": "press-7", "line": "line-2",
                "asset": "EQ-1", "title": title, "description": "", "priority": 2
            }
        });
        hall.publish(&format!("{ROOT}/line-2/press-7/event/work-request"), &event.to_string());
    };
    request(1, 1, "raised", "press-7 stands");
    let is_answer = |status: &'static str| {
        move |heard: &andon::Heard| heard.topic.ends_with("/command/work-order") && heard.json()["status"] == status
    };
    let accepted = ear.until("the answer", is_answer("accepted")).json();
    assert_eq!(
        (&accepted["by"], &accepted["request_id"], &accepted["work_order"]),
        (&json!("cmms"), &json!("r1"), &json!("WO-1"))
    );
    let repeats = |id: &Value| {
        ear.heard()
            .iter()
            .filter(|heard| heard.topic.ends_with("/command/work-order") && heard.json()["command_id"] == *id)
            .count()
    };
    eventually("it is said again, the same", || repeats(&accepted["command_id"]) >= 2);
    // Late, twice and out of order.
    request(3, 3, "raised", "press-7 stands for long");
    request(2, 2, "raised", "press-7 still stands");
    request(3, 3, "raised", "press-7 stands for long");
    eventually("the latest counts", || orders()[0]["title"] == "press-7 stands for long");
    assert_eq!(orders().as_array().unwrap().len(), 1);
    let reply = |command: &Value| {
        let data = json!({ "command_id": command["command_id"], "verb": "work-order", "result": "accepted", "code": "accepted", "text": null });
        hall.publish(&format!("{ROOT}/line-2/press-7/reply"), &json!({ "data": data }).to_string());
    };
    reply(&accepted);
    let close = ["--close", "WO-1", "--cause", "worn seal", "--remedy", "seal replaced"];
    assert!(example("cmms.py", hall.place.folder.path()).args(close).status().unwrap().success());
    let completed = ear.until("the end is told", is_answer("completed")).json();
    assert_eq!((&completed["cause"], &completed["remedy"]), (&json!("worn seal"), &json!("seal replaced")));
    assert!(completed["revision"].as_u64() > accepted["revision"].as_u64());
    assert_ne!(completed["command_id"], accepted["command_id"]);
    reply(&completed);
    let said = repeats(&accepted["command_id"]);
    eventually("what is answered is not said again", || {
        let db = rusqlite::Connection::open(hall.place.path("cmms.db")).unwrap();
        let open: u64 =
            db.query_one("SELECT count(*) FROM command WHERE answer IS NULL", [], |row| row.get(0)).unwrap();
        open == 0
    });
    assert_eq!(repeats(&accepted["command_id"]), said);
}
