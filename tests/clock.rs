//! The wall clock is set under the running daemon, and before it starts: libfaketime shows it another time, its other clocks
//! go on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/faketime.rs"]
mod faketime;
#[path = "common/mosquitto.rs"]
mod mosquitto;

use andon::{Daemon, Ear, Heard, Place, Plc, gapless};
use faketime::fake;
use mosquitto::{Door, Mosquitto, eventually};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// Between two polls; an edge lies between two of them.
const POLL_MS: i64 = 20;

/// What the test and the daemon may lie apart on a busy machine, beside a poll at each edge. Milliseconds.
const LATE_MS: i64 = 400;

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
poll = "{POLL_MS}ms"
timeout = "500ms"
[plc.points]
run = {{ coil = 0 }}
total = {{ holding = 0, type = "u32" }}
[[machine]]
id = "press-7"
line = "line-2"
run = "plc.run"
total = "plc.total"
debounce = "200ms"
short_stop = "1s"
no_data = "10s"
"#
    )
}

/// A press that runs, a broker, an ear, and a clock on the wall that can be set.
struct Shop {
    plc: Plc,
    ear: Ear,
    place: Place,
    _broker: Mosquitto,
}

impl Shop {
    fn new() -> Shop {
        let plc = Plc::start();
        plc.coil(0, true);
        let broker = Mosquitto::start(&Door::Anonymous);
        let ear = Ear::open(&broker, "#");
        let place = Place::with(&config(plc.port, broker.port));
        let shop = Shop { plc, ear, place, _broker: broker };
        shop.set_clock(0);
        shop
    }

    /// The wall clock of the daemon shows so many seconds more than that of the world.
    fn set_clock(&self, seconds: i64) {
        // Read at any time, so never half written.
        let next = self.place.write("clock.next", &format!("{seconds:+}\n"));
        fs::rename(next, self.place.path("clock")).unwrap();
    }

    fn run(&self) -> Daemon {
        let mut command = self.place.command(&["run", "-c", "andon.toml"]);
        fake(&mut command, ("FAKETIME_TIMESTAMP_FILE", self.place.path("clock").as_os_str()));
        let daemon = Daemon::spawn(command);
        daemon.until_logged("gateway started");
        daemon
    }

    fn notice(&self, code: &str) -> Value {
        self.ear.until_event("notice.raised", |event| event["data"]["code"] == code)["data"].clone()
    }

    fn runs(&self) {
        self.ear.until_event("state.changed", |event| event["data"]["state"] == "running");
    }

    /// It stands from now on; `number` is the downtime that this becomes.
    fn stand(&self, number: &str) -> (Instant, Value) {
        self.plc.coil(0, false);
        let stood = Instant::now();
        (stood, self.ear.until_event("downtime.opened", |event| event["data"]["number"] == number)["data"].clone())
    }

    /// It runs from now on. Gives the closed record, whose duration is exact and whose sum comes out.
    fn run_again(&self, stood: Instant, number: &str) -> Value {
        self.plc.coil(0, true);
        let took_ms = i64::try_from(stood.elapsed().as_millis()).unwrap();
        let closed = self.ear.until_event("downtime.closed", |event| event["data"]["number"] == number);
        let data = closed["data"].clone();
        let off_ms = (ms(&data, "duration_ms") + ms(&data, "unknown_ms")) - took_ms;
        assert!(off_ms.abs() <= POLL_MS + LATE_MS, "{off_ms} ms off: {data}");
        adds_up(&data);
        data
    }

    fn report(&self, window: &str) -> Vec<Value> {
        let answer = self.place.ask(&["report", "-c", "andon.toml", "--format", "json", "--window", window]);
        assert_eq!(answer.code, 0, "{}", answer.err);
        let report: Value = serde_json::from_str(&answer.out).unwrap();
        report["windows"].as_array().unwrap().clone()
    }

    /// No sequence is missing, every id is used once, and every window adds up.
    fn is_sound(&self) -> Vec<Value> {
        let told = gapless(&self.ear.heard());
        let ids: BTreeSet<&str> = told.iter().map(|event| event["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), told.len());
        for kind in ["all", "shift", "hour"] {
            let windows = self.report(kind);
            assert!(!windows.is_empty());
            for window in windows {
                let states_ms: i64 =
                    window["time_ms"].as_object().unwrap().values().map(|ms| ms.as_i64().unwrap()).sum();
                let whole_ms = time(&window, "to") - time(&window, "from");
                assert_eq!(states_ms + ms(&window, "clock_adjust_ms"), whole_ms, "{window}");
            }
        }
        told
    }

    fn status(&self) -> Value {
        let heard = self.ear.heard();
        heard.iter().rev().find(|heard| heard.topic.ends_with("/status")).map_or(Value::Null, Heard::json)
    }
}

fn now_s() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn ms(data: &Value, key: &str) -> i64 {
    data[key].as_i64().unwrap_or_else(|| panic!("{key} in {data}"))
}

fn time(data: &Value, key: &str) -> i64 {
    let at: jiff::Timestamp = data[key].as_str().unwrap_or_else(|| panic!("{key} in {data}")).parse().unwrap();
    at.as_millisecond()
}

fn adds_up(stop: &Value) {
    let parts = ["duration_ms", "excluded_ms", "unknown_ms", "clock_adjust_ms"].map(|key| ms(stop, key));
    assert_eq!(time(stop, "ended_at") - time(stop, "started_at"), parts.iter().sum::<i64>(), "{stop}");
}

/// What was said of the clock; a busy machine may have more to say.
fn codes(told: &[Value]) -> Vec<&str> {
    let notices = told.iter().filter(|event| event["type"] == "andon.notice.raised.v1");
    let codes = notices.map(|notice| notice["data"]["code"].as_str().unwrap());
    codes.filter(|code| code.starts_with("clock_")).collect()
}

/// The wall clock is set in the middle of a stop.
fn set_in_a_stop(seconds: i64) {
    let shop = Shop::new();
    let daemon = shop.run();
    shop.runs();
    let (stood, opened) = shop.stand("press-7/1");
    shop.set_clock(seconds);
    let notice = shop.notice("clock_step");
    assert_eq!(notice["severity"], "warning");
    let step_ms = time(&notice, "to") - time(&notice, "from");
    assert!((step_ms - seconds * 1000).abs() < 100, "{notice}");
    let closed = shop.run_again(stood, "press-7/1");
    assert_eq!((&closed["started_at"], &closed["flags"]), (&opened["started_at"], &json!([])));
    assert_eq!(ms(&closed, "clock_adjust_ms"), step_ms);

    // What comes after it is told in the time that the clock shows now.
    let (stood, opened) = shop.stand("press-7/2");
    let late_ms = (now_s() + seconds) * 1000 - time(&opened, "started_at");
    assert!((-1000..10_000).contains(&late_ms), "{late_ms} ms late: {opened}");
    assert_eq!(ms(&shop.run_again(stood, "press-7/2"), "clock_adjust_ms"), 0);
    daemon.stop();

    let told = shop.is_sound();
    assert_eq!(codes(&told), ["clock_step"]);
    assert_eq!(shop.report("all")[0]["clock_adjust_ms"], step_ms);
}

#[test]
fn an_hour_forward_in_the_middle_of_a_stop_changes_no_duration() {
    set_in_a_stop(3600);
}

#[test]
fn an_hour_back_in_the_middle_of_a_stop_changes_no_duration() {
    set_in_a_stop(-3600);
}

#[test]
fn two_days_forward_in_the_middle_of_a_stop_change_no_duration() {
    set_in_a_stop(2 * 86_400);
}

#[test]
fn a_clock_that_starts_in_1970_is_flagged_until_it_is_set() {
    let shop = Shop::new();
    // An hour after midnight: no day ends meanwhile.
    shop.set_clock(3600 - now_s());
    let daemon = shop.run();
    assert_eq!(shop.notice("clock_unsynced")["severity"], "warning");
    shop.runs();
    let (stood, opened) = shop.stand("press-7/1");
    assert!(opened["started_at"].as_str().unwrap().starts_with("1970-01-01T01:"), "{opened}");
    assert_eq!(opened["flags"], json!(["unsynced"]));
    assert_eq!(shop.status()["clock"], "unsynced");

    shop.set_clock(0);
    let notice = shop.notice("clock_step");
    let step_ms = time(&notice, "to") - time(&notice, "from");
    let closed = shop.run_again(stood, "press-7/1");
    assert_eq!((ms(&closed, "clock_adjust_ms"), &closed["flags"]), (step_ms, &json!(["unsynced"])));
    eventually("the status says that it is set", || shop.status()["clock"] == "synced");
    let (stood, opened) = shop.stand("press-7/2");
    assert_eq!(opened["flags"], json!([]));
    shop.run_again(stood, "press-7/2");
    daemon.stop();

    let told = shop.is_sound();
    assert_eq!(codes(&told), ["clock_unsynced", "clock_step"]);
    let days = told.iter().filter(|event| event["type"] == "andon.shift.stated.v1");
    let days: Vec<(&Value, &Value)> = days.map(|day| (&day["data"]["id"], &day["data"]["flags"])).collect();
    assert!(days.iter().any(|(id, flags)| **id == "1970-01-01" && flags.to_string().contains("unsynced")), "{days:?}");
}

#[test]
fn a_restart_within_one_boot_is_exact_although_the_clock_was_set_meanwhile() {
    for seconds in [5400, -5400] {
        let shop = Shop::new();
        let daemon = shop.run();
        shop.runs();
        let (stood, _) = shop.stand("press-7/1");
        daemon.kill();
        shop.set_clock(seconds);
        let daemon = shop.run();
        let notice = shop.notice("clock_step");
        let step_ms = time(&notice, "to") - time(&notice, "from");
        assert!((step_ms - seconds * 1000).abs() < 100, "{notice}");
        let closed = shop.run_again(stood, "press-7/1");
        assert_eq!(ms(&closed, "clock_adjust_ms"), step_ms);
        daemon.stop();
        assert_eq!(codes(&shop.is_sound()), ["clock_step"]);
    }
}

#[test]
fn a_clock_that_is_slewed_is_no_step() {
    let shop = Shop::new();
    let daemon = shop.run();
    shop.runs();
    let (stood, _) = shop.stand("press-7/1");
    // Time servers set it by so much without a word.
    let next = shop.place.write("clock.next", "+0.2\n");
    fs::rename(next, shop.place.path("clock")).unwrap();
    shop.plc.until_polled();
    assert_eq!(ms(&shop.run_again(stood, "press-7/1"), "clock_adjust_ms"), 0);
    let log = daemon.stop();
    assert!(!log.contains("the wall clock"), "{log}");
    assert_eq!(codes(&shop.is_sound()), [""; 0]);
}
