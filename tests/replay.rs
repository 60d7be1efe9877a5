//! Recorded samples through `andon replay`, and the same samples once through the whole way: Modbus, daemon, broker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;

use andon::Place;
use serde_json::{Value, json};
use std::path::Path;

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
