//! Corrections of what is long over, over a broker that is not ours: the days are fetched, told again and add up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon_binary;
#[path = "common/faketime.rs"]
mod faketime;
#[path = "common/mosquitto.rs"]
mod mosquitto;
#[path = "common/plant.rs"]
mod plant;

use andon::event::{Event, Stamp, stop};
use andon_binary::{Answer, Daemon, Ear, Heard, andon, publish};
use faketime::fake;
use mosquitto::{Door, Mosquitto, eventually};
use plant::{DAY_MS, HOUR_MS, MINUTE_MS, Plant, Temper};
use serde_json::{Value, json};
use std::time::SystemTime;

const LIVELY: Temper = Temper { look_ms: (20_000, 2 * MINUTE_MS), dark: 1_500, run_ms: 30 * MINUTE_MS, faults: true };

const MACHINE: &str = "andon/v1/acme/leipzig/hall-3/l0/m0";

/// Midnight of a Saturday in Leipzig. What happens hangs on the day and its hour, so tests begin at several.
fn begin(n: i64) -> Stamp {
    Stamp::from_ms(1_794_614_400_000 + n * 4_777_003)
}

/// Ten days later it is now: what the wall clock of a daemon shows must be so much more than the real one. Seconds.
fn ahead(begin: Stamp) -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = Stamp::from_ms(i64::try_from(since.as_millis()).unwrap());
    format!("{:+}", begin.plus(10 * DAY_MS).since(now) / 1000)
}

fn answer(ear: &Ear, command_id: &str) -> Value {
    let is_it = |heard: &Heard| heard.topic.ends_with("/reply") && heard.json()["data"]["command_id"] == command_id;
    ear.until(&format!("the answer to {command_id}"), is_it).json()["data"].clone()
}

/// What happened last week is corrected as easily as what is open.
fn last_week_is_corrected(begin: Stamp) {
    let folder = tempfile::tempdir().unwrap();
    let ahead = ahead(begin);
    let mut plant = Plant::open_at(folder.path(), 1, LIVELY, 7, begin);
    plant.live(begin.plus(10 * DAY_MS - HOUR_MS));
    plant.close(true);
    let old = plant.told.iter().find_map(|told| match &told.event {
        Event::Stop(stop::Event::Downtime(downtime))
            if downtime.change == stop::Change::Closed
                && downtime.stop.from > begin.plus(2 * DAY_MS)
                && downtime.stop.reason.is_none()
                && downtime.stop.duration_ms > 10 * MINUTE_MS
                && downtime.stop.ended_at.map(|end| end.since(downtime.stop.from))
                    == Some(downtime.stop.duration_ms) =>
        {
            Some(downtime.stop.clone())
        }
        _ => None,
    });
    let old = old.expect("a week has a long stop that no break parts");
    drop(plant);

    let broker = Mosquitto::start(&Door::Anonymous);
    let ear = Ear::open(&broker, "#");
    let toml = folder.path().join("andon.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    let text = text.replace("mqtt://127.0.0.1:1\"", &format!("mqtt://127.0.0.1:{}\"", broker.port));
    std::fs::write(&toml, format!("{text}[commands]\nfrom = [\"mes\"]\n")).unwrap();
    let command = |words: &[&str]| {
        let mut command = andon(words);
        command.current_dir(folder.path()).env("RUNTIME_DIRECTORY", folder.path());
        fake(&mut command, ("FAKETIME", ahead.as_ref()));
        command
    };
    let run = || Daemon::spawn(command(&["run", "-c", "andon.toml"]));
    let daemon = run();
    let is_online = |heard: &Heard| heard.topic.ends_with("/status") && heard.json()["status"] == "online";
    ear.until("it is there", is_online);
    let id = old.downtime_id().to_string();
    let at = |at: Stamp| at.to_string();
    let middle = old.from.plus(old.ended_at.unwrap().since(old.from) / 2);
    let ask = |command_id: &str, more: Value| {
        let mut command = json!({ "command_id": command_id, "by": "mes" });
        command.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        publish(&broker, &format!("{MACHINE}/command/reason"), command.to_string().as_bytes(), &[]);
        answer(&ear, command_id)
    };
    let verify = || {
        let answer = Answer::of(command(&["report", "-c", "andon.toml", "--verify"]));
        assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
    };

    // Statements of other shifts may wait for anything that is learned.
    let is_there = |event: &Value, why: &str| event["correlationid"] == why && event["data"]["id"] == old.shift;
    let named = ask("name", json!({ "downtime_id": id, "code": "tool" }));
    assert_eq!((named["result"].as_str(), named["subject"].as_str()), (Some("accepted"), Some(id.as_str())), "{named}");
    let amended = ear.until_event("downtime.amended", |event| event["correlationid"] == "name");
    assert_eq!(amended["data"]["reason"]["code"], "tool");
    assert_eq!(amended["data"]["duration_ms"], old.duration_ms);
    assert_eq!(amended["data"]["observed"]["started_at"], at(old.observed.unwrap().started_at));
    let restated = ear.until_event("shift.stated", |event| is_there(event, "name"));
    assert!(restated["data"]["revision"].as_u64().unwrap() > 1);
    let has_it = |losses: &Value| losses.as_array().unwrap().iter().any(|loss| loss["reason"] == "tool");
    assert!(has_it(&restated["data"]["losses"]));
    verify();

    let parted = ask("part", json!({ "downtime_id": id, "split_at": at(middle), "code_after": "jam" }));
    assert_eq!(parted["result"], "accepted", "{parted}");
    let second = ear.until_event("downtime.opened", |event| event["correlationid"] == "part");
    assert_eq!(second["data"]["split_from"], id);
    verify();

    // A crash in between: what was said is known.
    daemon.kill();
    let daemon = run();
    let second = second["data"]["downtime_id"].as_str().unwrap();
    let joined = ask("join", json!({ "downtime_id": id, "merge": second }));
    assert_eq!(joined["result"], "accepted", "{joined}");
    let taken_back = ask("take back", json!({ "downtime_id": id, "code": null }));
    assert_eq!(taken_back["result"], "accepted", "{taken_back}");
    eventually("the figures are what they were", || {
        let last = ear.events().into_iter().rfind(|event| event["data"]["downtime_id"] == id);
        last.is_some_and(|last| last["data"]["duration_ms"] == old.duration_ms && last["correlationid"] == "take back")
    });
    verify();

    // The work order of last week's breakdown is closed today.
    let repaired = json!({
        "command_id": "repaired", "by": "mes", "downtime_ids": [id], "work_order": "WO-7", "status": "closed",
        "actual_start": at(old.from.plus(MINUTE_MS)), "actual_finish": at(old.from.plus(6 * MINUTE_MS)), "cause": "wear",
    });
    publish(&broker, &format!("{MACHINE}/command/work-order"), repaired.to_string().as_bytes(), &[]);
    let answered = answer(&ear, "repaired");
    assert_eq!(answered["result"], "accepted", "{answered}");
    let borne = ear.until_event("downtime.amended", |event| event["correlationid"] == "repaired");
    let link = json!({ "request_id": null, "work_order": "WO-7", "status": "closed", "cause": "wear", "remedy": null,
        "actual_start": repaired["actual_start"], "actual_finish": repaired["actual_finish"] });
    assert_eq!(borne["data"]["work"], json!([link]));
    assert_eq!(borne["data"]["duration_ms"], old.duration_ms);
    let restated = ear.until_event("shift.stated", |event| {
        // In the shift that it was repaired in, which need not be that of its start.
        event["correlationid"] == "repaired" && event["data"]["repairs"] == 1
    });
    assert_eq!(restated["data"]["repair_ms"], 5 * MINUTE_MS);
    verify();
    let beyond = ask(
        "beyond",
        json!({ "started_at": "2020-01-01T00:00:00Z", "ended_at": "2020-01-01T01:00:00Z", "code": "jam" }),
    );
    assert_eq!(
        (beyond["result"].as_str(), beyond["code"].as_str()),
        (Some("refused"), Some("beyond_journal")),
        "{beyond}"
    );
    daemon.stop();
}

/// An order of last week that nobody told of is booked and taken back.
fn an_order_is_booked(begin: Stamp) {
    let folder = tempfile::tempdir().unwrap();
    let ahead = ahead(begin);
    let mut plant = Plant::open_at(folder.path(), 1, LIVELY, 11, begin);
    plant.live(begin.plus(10 * DAY_MS - HOUR_MS));
    plant.close(true);
    drop(plant);
    let broker = Mosquitto::start(&Door::Anonymous);
    let ear = Ear::open(&broker, "#");
    let toml = folder.path().join("andon.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    let text = text.replace("mqtt://127.0.0.1:1\"", &format!("mqtt://127.0.0.1:{}\"", broker.port));
    std::fs::write(&toml, format!("{text}[commands]\nfrom = [\"mes\"]\n")).unwrap();
    let command = |words: &[&str]| {
        let mut command = andon(words);
        command.current_dir(folder.path()).env("RUNTIME_DIRECTORY", folder.path());
        fake(&mut command, ("FAKETIME", ahead.as_ref()));
        command
    };
    let daemon = Daemon::spawn(command(&["run", "-c", "andon.toml"]));
    let is_online = |heard: &Heard| heard.topic.ends_with("/status") && heard.json()["status"] == "online";
    ear.until("it is there", is_online);
    let ask = |command_id: &str, what: &str, order: &str, at: Stamp| {
        let body = json!({
            "command_id": command_id, "by": "mes", "command": what, "order": order, "at": at.to_string(),
        });
        publish(&broker, &format!("{MACHINE}/command/order"), body.to_string().as_bytes(), &[]);
        answer(&ear, command_id)
    };
    let figures = || {
        let answer = Answer::of(command(&["report", "-c", "andon.toml", "--verify"]));
        assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
        let windows = ["shift", "hour", "order"].map(|kind| {
            let answer = Answer::of(command(&["report", "-c", "andon.toml", "--window", kind, "--format", "json"]));
            serde_json::from_str::<Value>(&answer.out).unwrap()["windows"].clone()
        });
        // All but how often it was told, and the days that go on.
        let plain = |window: &Value| {
            let keys = ["id", "time_ms", "counts", "planned_ms", "run_ms", "ideal_ms", "losses"];
            keys.map(|key| window[key].clone())
        };
        let is_over = |window: &&Value| window["window"] == "order" || window["final"] == true;
        windows.map(|windows| windows.as_array().unwrap().iter().filter(is_over).map(plain).collect::<Vec<_>>())
    };
    let before = figures();
    let (from, to) = (begin.plus(3 * DAY_MS), begin.plus(4 * DAY_MS + 5 * HOUR_MS));
    assert_eq!(ask("start", "StoreAndStart", "A-1", from)["result"], "accepted");
    assert_eq!(ask("stop", "Stop", "A-1", to)["result"], "accepted");
    let ended = ear.until_event("order.ended", |event| event["correlationid"] == "stop");
    let data = &ended["data"];
    let lasted: i64 = data["time_ms"].as_object().unwrap().values().map(|ms| ms.as_i64().unwrap()).sum();
    let is_cut = data["flags"].as_array().unwrap().contains(&json!("cut"));
    assert_eq!((lasted, is_cut), (29 * HOUR_MS, false), "{data:#}");
    let shares =
        ear.until_event("downtime.amended", |event| event["correlationid"] == "start")["data"]["shares"].clone();
    assert!(shares.as_array().unwrap().iter().any(|share| share["order"] == "A-1"), "{shares}");
    let [_, _, orders] = figures();
    let window = orders.iter().find(|window| window[0] == "A-1").unwrap();
    assert_eq!((&window[1], &window[2]["good"]), (&data["time_ms"], &data["counts"]["good"]));
    // As if nobody had ever said so.
    assert_eq!(ask("go on", "Resume", "A-1", to)["result"], "accepted");
    assert_eq!(ask("never", "Stop", "A-1", from)["result"], "accepted");
    assert_eq!(figures(), before);
    daemon.stop();
}

/// The same from several hours on: other stops lie in breaks, at the ends of shifts and days, and where memory begins.
macro_rules! from {
    ($($name:ident: $n:expr, $scenario:ident;)*) => { $(#[test] fn $name() { $scenario(begin($n)); })* };
}

from! {
    what_happened_last_week_is_corrected_from_two_on: 2, last_week_is_corrected;
    what_happened_last_week_is_corrected_from_four_on: 3, last_week_is_corrected;
    what_happened_last_week_is_corrected_from_eight_on: 6, last_week_is_corrected;
    what_happened_last_week_is_corrected_from_nine_on: 7, last_week_is_corrected;
    what_happened_last_week_is_corrected_from_noon_on: 9, last_week_is_corrected;
    what_happened_last_week_is_corrected_from_one_in_the_afternoon_on: 10, last_week_is_corrected;
    an_order_of_last_week_is_booked_from_two_on: 2, an_order_is_booked;
    an_order_of_last_week_is_booked_from_six_on: 5, an_order_is_booked;
    an_order_of_last_week_is_booked_from_one_in_the_afternoon_on: 10, an_order_is_booked;
    an_order_of_last_week_is_booked_from_nine_in_the_evening_on: 16, an_order_is_booked;
    an_order_of_last_week_is_booked_from_half_past_ten_on: 17, an_order_is_booked;
}
