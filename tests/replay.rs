//! Recorded samples through `andon replay`, and the same samples once through the whole way: Modbus, daemon, broker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;

use andon::{Daemon, Ear, Peer, Place, dead_port, events};
use mosquitto::{Door, Mosquitto, eventually};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write as _, path::Path, time::Duration};

const NIST: &str = r#"
[gateway]
id = "gw"
path = "nist/sms/shop"
timezone = "UTC"
data_dir = "{folder}/data"
[[plc]]
id = "cnc"
tcp = "127.0.0.1:502"
[plc.points]
run = { coil = 0 }
total = { holding = 0, type = "u32" }
fault = { holding = 2, type = "u32" }
[[machine]]
id = "mazak"
line = "cell"
run = "cnc.run"
total = "cnc.total"
fault = "cnc.fault"
debounce = "0s"
short_stop = "120s"
no_data = "off"
"#;

fn sum(list: &Value, key: &str, wanted: impl Fn(&Value) -> bool) -> i64 {
    list.as_array().unwrap().iter().filter(|item| wanted(item)).map(|item| item[key].as_i64().unwrap()).sum()
}

#[test]
fn four_real_weeks_give_exactly_their_truth() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/nist_mazak");
    let truth: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("truth.json")).unwrap()).unwrap();
    let place = Place::with(NIST);
    for (file, expected) in truth.as_object().unwrap() {
        let samples = folder.join(file);
        let words = ["replay", "-c", "andon.toml", "--samples", samples.to_str().unwrap(), "--report", "-"];
        let answer = place.ask(&words);
        assert_eq!((answer.code, answer.err.as_str()), (0, ""), "{file}");
        let report: Value = serde_json::from_str(&answer.out).unwrap();
        let windows = report["windows"].as_array().unwrap();
        let whole = windows.iter().find(|window| window["window"] == "all").unwrap();
        let time = |state: &str| whole["time_ms"][state].as_i64().unwrap();
        let is_short = |loss: &Value| loss["counts_in"] == "performance";
        let found = json!({
            "window_ms": whole["calendar_ms"],
            "running_ms": time("running"),
            "stopped_ms": time("short_stop") + time("down"),
            "unknown_ms": time("unknown"),
            "down": whole["downtimes"].as_array().unwrap().len(),
            "down_ms": sum(&whole["downtimes"], "duration_ms", |_| true),
            "short": sum(&whole["losses"], "times", is_short),
            "short_ms": time("short_stop"),
            "parts": { "cnc.total": whole["counts"]["total"] },
        });
        assert_eq!(&found, expected, "{file}");

        // The days add up to the whole.
        let days = || windows.iter().filter(|window| window["window"] == "day");
        assert!(days().count() > 6, "{file}");
        for (state, whole) in whole["time_ms"].as_object().unwrap() {
            let days: i64 = days().map(|day| day["time_ms"][state].as_i64().unwrap()).sum();
            assert_eq!(Some(days), whole.as_i64(), "{file}: {state}");
        }
        let days: i64 = days().map(|day| sum(&day["downtimes"], "duration_ms", |_| true)).sum();
        assert_eq!(days, sum(&whole["downtimes"], "duration_ms", |_| true), "{file}");
    }
}

/// Model seconds that pass in a real one. A poll is then 50 ms: what a busy machine can hold to.
const SPEED: i64 = 100;
const POLL_MS: i64 = 5_000;
const NO_DATA_MS: i64 = 60_000;

/// Three machines on two PLCs; `beat` differs in each row, so that the recording has a row for each poll.
fn line(plcs: [u16; 2], broker: u16) -> String {
    let [a, b] = plcs;
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
id = "a"
tcp = "127.0.0.1:{a}"
poll = "5s"
[plc.points]
run = {{ coil = 0 }}
good = {{ holding = 0, type = "u32" }}
reject = {{ holding = 2 }}
fault = {{ holding = 3 }}
filler_run = {{ holding = 4, bit = 3 }}
filler_total = {{ holding = 5 }}
beat = {{ holding = 6 }}
[[plc]]
id = "b"
tcp = "127.0.0.1:{b}"
poll = "5s"
[plc.points]
total = {{ input = 0, type = "u32", order = "CDAB" }}
beat = {{ input = 9 }}
[[machine]]
id = "press-7"
line = "line-2"
ideal_rate = "60/min"
run = "a.run"
good = "a.good"
reject = "a.reject"
fault = "a.fault"
short_stop = "2m"
no_data = "1m"
[[machine]]
id = "filler-1"
line = "line-2"
ideal_rate = "120/min"
run = "a.filler_run && b.beat >= 0"
total = "a.filler_total"
short_stop = "2m"
no_data = "1m"
[[machine]]
id = "packer-1"
line = "line-3"
ideal_rate = "20/min"
total = "b.total"
stop_after = "30s"
short_stop = "2m"
no_data = "1m"
[[reason]]
code = "mech.jam"
class = "failure"
faults = [12, 13]
[[reason]]
code = "material.none"
class = "operational"
faults = [40]
"#
    )
}

/// One machine of the day, and what it does next.
struct Life {
    runs: bool,
    until: i64,
    fault: i64,
    parts: i64,
    failed_from: i64,
}

impl Life {
    /// No stop is near its threshold, none so short that a poll could miss it; now and then reads fail for a while.
    fn pass(&mut self, second: i64, end: i64, rate_per_min: i64, chance: &mut fastrand::Rng) {
        if second >= self.until && second < end - 600 {
            self.runs = !self.runs;
            let is_long = chance.u8(0..10) < 7;
            self.until = second
                + match (self.runs, is_long) {
                    (true, _) => chance.i64(60..150),
                    (false, true) => chance.i64(160..320),
                    (false, false) => chance.i64(60..85),
                };
            self.fault = if self.runs { 0 } else { [0, 12, 13, 40][chance.usize(0..4)] };
            // In the middle of a long stop, or of a run that goes on for a while.
            self.failed_from = if is_long && chance.u8(0..10) < 3 { second + 40 } else { i64::MAX };
            if self.failed_from < i64::MAX {
                // What is known of it is still above the threshold.
                self.until = self.until.max(second + 220);
            }
        } else if second >= self.until {
            (self.runs, self.fault) = (true, 0);
        }
        // The last minute is quiet, so that whoever polls late has missed nothing.
        if self.runs && second < end - 60 {
            self.parts += rate_per_min * 5 / 60;
        }
    }

    fn is_failed(&self, second: i64) -> bool {
        (self.failed_from..self.failed_from.saturating_add(120)).contains(&second)
    }
}

/// Samples of an hour and more, a row each five seconds.
fn day(seed: u64) -> String {
    const END: i64 = 4_500;
    let mut chance = fastrand::Rng::with_seed(seed);
    let life = |parts| Life { runs: true, until: 60, fault: 0, parts, failed_from: i64::MAX };
    let (mut press, mut filler, mut packer) = (life(7_000_000), life(65_300), life(90));
    let mut rows = "time,a.run,a.good,a.reject,a.fault,a.filler_run,a.filler_total,a.beat,b.total,b.beat\n".to_owned();
    let mut reject = 300;
    for second in (0..=END).step_by(5) {
        press.pass(second, END, 60, &mut chance);
        filler.pass(second, END, 120, &mut chance);
        packer.pass(second, END, 20, &mut chance);
        match second % 600 {
            // Reset by hand while nobody looks at anything else.
            595 if !press.runs => reject = 0,
            0 if press.runs && second < END - 60 => reject += 1,
            _ => {}
        }
        let cell = |failed: bool, value: i64| if failed { "!".to_owned() } else { value.to_string() };
        let cells = [
            cell(press.is_failed(second), press.runs.into()),
            press.parts.to_string(),
            reject.to_string(),
            press.fault.to_string(),
            cell(filler.is_failed(second), filler.runs.into()),
            (filler.parts % 65_536).to_string(),
            (second / 5).to_string(),
            cell(packer.is_failed(second), packer.parts),
            (second / 5).to_string(),
        ];
        // The first poll brings the first row; from then on rows come in the middle between two polls.
        let at = 1_764_000_000_000 + second * 1000 + if second == 0 { POLL_MS / 2 } else { 0 };
        writeln!(rows, "{at},{}", cells.join(",")).unwrap();
    }
    rows
}

/// A downtime as far as it must be the same wherever it was seen.
fn verdict(event: &Value) -> Value {
    let data = &event["data"];
    let keys = ["number", "status", "line", "class", "counts_in", "reason", "fault"];
    let of = |key: &str| if key == "reason" { data[key]["code"].clone() } else { data[key].clone() };
    keys.iter().map(|key| ((*key).to_owned(), of(key))).collect::<serde_json::Map<_, _>>().into()
}

fn at_ms(time: &Value) -> i64 {
    time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// The closed downtimes of each machine, in order.
fn closed(events: &[Value]) -> BTreeMap<String, Vec<Value>> {
    let mut by_machine = BTreeMap::<_, Vec<Value>>::new();
    for event in events.iter().filter(|event| event["type"] == "andon.downtime.closed.v1") {
        by_machine.entry(event["data"]["machine"].as_str().unwrap().to_owned()).or_default().push(event.clone());
    }
    by_machine
}

/// The same downtimes, number by number. Two clocks that run alike are a fixed time apart, so starts are compared by
/// what they are apart from each other. Gives how many there are.
fn assert_same_downtimes(expected: &[Value], found: &[Value], within_ms: i64, gap_within_ms: i64) -> usize {
    let (expected, found) = (closed(expected), closed(found));
    let verdicts = |of: &BTreeMap<String, Vec<Value>>| -> BTreeMap<String, Vec<Value>> {
        of.iter().map(|(machine, events)| (machine.clone(), events.iter().map(verdict).collect())).collect()
    };
    let (of_expected, of_found) = (verdicts(&expected), verdicts(&found));
    for (machine, verdicts) in &of_expected {
        assert_eq!(Some(verdicts), of_found.get(machine), "{machine}");
    }
    assert_eq!(of_expected.len(), of_found.len());
    let pairs = || expected.values().flatten().zip(found.values().flatten());
    let mut apart = Vec::new();
    for (expected, found) in pairs() {
        let (expected, found) = (&expected["data"], &found["data"]);
        for key in ["started_at", "ended_at"] {
            apart.push(at_ms(&found[key]) - at_ms(&expected[key]));
        }
        // A gap in it has edges of its own.
        let within_ms = if expected["unknown_ms"] == 0 { within_ms } else { within_ms + gap_within_ms };
        for key in ["duration_ms", "unknown_ms"] {
            let off = found[key].as_i64().unwrap() - expected[key].as_i64().unwrap();
            assert!(off.abs() <= within_ms, "{key} is {off} ms off, {within_ms} are allowed: {found:#}");
        }
    }
    let spread = apart.iter().max().unwrap() - apart.iter().min().unwrap();
    println!("edges lie within {spread} ms, {within_ms} are allowed");
    assert!(spread <= within_ms, "edges are {apart:?} ms apart");
    pairs().count()
}

/// The longest time between two rows of a recording that show another beat of this PLC.
fn longest_pause_ms(recording: &str, beat: &str) -> i64 {
    let column = recording.lines().next().unwrap().split(',').position(|name| name == beat).unwrap();
    let (mut last, mut longest) = (None::<(i64, String)>, 0);
    for row in recording.lines().skip(1) {
        let cells: Vec<&str> = row.split(',').collect();
        let at = cells[0].parse().unwrap_or_else(|_| at_ms(&json!(cells[0])));
        if ["", "!"].contains(&cells[column]) || last.as_ref().is_some_and(|(_, value)| value == cells[column]) {
            continue;
        }
        if let Some((before, _)) = last.replace((at, cells[column].to_owned())) {
            longest = longest.max(at - before);
        }
    }
    longest
}

fn replayed(place: &Place, samples: &str) -> (Vec<Value>, Value) {
    let words = ["replay", "-c", "andon.toml", "--samples", samples, "--events", "events.jsonl", "--report", "-"];
    let answer = place.ask(&words);
    assert_eq!((answer.code, answer.err.as_str()), (0, ""));
    (events(&place.read("events.jsonl")), serde_json::from_str(&answer.out).unwrap())
}

/// Machine by machine, of the windows that hold everything.
fn counts(report: &Value) -> BTreeMap<String, Value> {
    let windows = report["windows"].as_array().unwrap().iter().filter(|window| window["window"] == "all");
    windows.map(|window| (window["machine"].as_str().unwrap().to_owned(), part_counts(&window["counts"]))).collect()
}

fn part_counts(counts: &Value) -> Value {
    json!([counts["total"], counts["good"], counts["reject"]])
}

#[test]
fn what_a_subscriber_hears_of_a_line_is_what_replay_says_of_its_samples() {
    let broker = Mosquitto::start(&Door::Anonymous);
    let ear = Ear::open(&broker, "andon/v1/#");
    let place = Place::with(&line([dead_port(), dead_port()], broker.port));
    place.write("day.csv", &day(11));
    let (expected, report) = replayed(&place, "day.csv");

    // Free ports, told by the simulator itself.
    let speed = SPEED.to_string();
    let words = ["sim", "-c", "andon.toml", "--samples", "day.csv", "--listen", "127.0.0.1:0", "--speed", &speed];
    let mut sim = Peer::start(&mut place.command(&words));
    let mut port = |plc: &str| -> u16 {
        let line = sim.line();
        let (id, address) = line.split_once(' ').unwrap();
        assert_eq!(id, plc);
        address.rsplit_once(':').unwrap().1.parse().unwrap()
    };
    let plcs = [port("a"), port("b")];
    place.configure(&line(plcs, broker.port));
    let daemon = place.run(&["--clock-speed", &speed, "--record", "live.csv"]);
    let status = ear.until("the status", |heard| heard.topic.ends_with("/status"));
    assert_eq!(status.json()["clock_speed"], SPEED);

    let ended = sim.ends_within(Duration::from_secs(120));
    assert!(ended.is_some_and(|status| status.success()), "the simulator ended with {ended:?}");
    let is_lost = |events: &[Value], machine: &str| {
        let of = |event: &&Value| event["data"]["machine"] == machine && event["type"] == "andon.state.changed.v1";
        events.iter().rfind(of).is_some_and(|event| event["data"]["state"] == "unknown")
    };
    let expected_counts = counts(&report);
    eventually("the end of the line is noticed", || {
        let events = ear.events();
        expected_counts.keys().all(|machine| is_lost(&events, machine))
    });
    let live = place.report(&[]);
    check_log(daemon);
    let heard = ear.events();
    assert_eq!(andon::gapless(&ear.heard()), heard, "in order, and none twice");

    // An edge is seen at the next poll: what it can be late is the longest pause between two polls that there was, and
    // a poll is answered from two clocks that run at this speed and are read to the millisecond.
    let recording = place.read("live.csv");
    let pause_ms = longest_pause_ms(&recording, "a.beat").max(longest_pause_ms(&recording, "b.beat"));
    println!("the longest pause between two polls was {pause_ms} ms of {POLL_MS}");
    let within_ms = pause_ms.max(POLL_MS) + 2 * SPEED;
    let number = assert_same_downtimes(&expected, &heard, within_ms, within_ms);
    assert!(number >= 20, "{number} downtimes show little");
    let count = |events: &[Value], kind: &str| events.iter().filter(|event| event["type"] == *kind).count();
    for kind in ["andon.downtime.opened.v1", "andon.downtime.updated.v1"] {
        assert_eq!(count(&expected, kind), count(&heard, kind), "{kind}");
    }
    let mut told_last = BTreeMap::new();
    for event in &heard {
        if let (Some(machine), Some(_)) = (event["data"]["machine"].as_str(), event["data"].get("counts")) {
            told_last.insert(machine.to_owned(), part_counts(&event["data"]["counts"]));
        }
    }
    assert_eq!((&told_last, &counts(&live)), (&expected_counts, &expected_counts));

    // The recording of the day is the day as the daemon saw it; only since when a PLC was silent stands there no better
    // than unchanged readings are written, every `no_data` / 4.
    let (recorded, report) = replayed(&place, "live.csv");
    assert_same_downtimes(&heard, &recorded, 0, NO_DATA_MS / 4);
    assert_eq!(counts(&report), expected_counts);
}

/// Nothing was wrong, but that reads failed as planned and that the line went away at the end.
fn check_log(daemon: Daemon) {
    let log = daemon.stop();
    let planned = ["the clock runs fast", "a point was refused", "a PLC was lost"];
    for line in log.lines().filter(|line| line.contains(" WARN ") || line.contains("ERROR")) {
        assert!(planned.iter().any(|words| line.contains(words)), "{line}");
    }
}
