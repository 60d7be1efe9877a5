//! A configuration and its samples in; what the engine says of them out: the report and the last revision of each downtime.

use crate::chance::Scenario;
use jiff::Timestamp;
use serde_json::Value;
use std::{collections::BTreeMap, fs};

/// What the engine says.
pub struct Said {
    pub report: Value,
    /// `data` of the highest revision by downtime.
    pub downtimes: BTreeMap<String, Value>,
}

pub fn replay(scenario: &Scenario) -> Said {
    let (plan, _) = andon::config::load_text("andon.toml", &scenario.toml)
        .unwrap_or_else(|faults| panic!("{faults:#?}\n{}", scenario.toml));
    let folder = tempfile::tempdir().unwrap();
    let samples = folder.path().join("samples.csv");
    fs::write(&samples, &scenario.csv).unwrap();
    let replayed = andon::cli::replay::replay(plan, &samples).unwrap();
    let mut downtimes = BTreeMap::new();
    for line in String::from_utf8(replayed.events).unwrap().lines() {
        if line.contains("\"andon.downtime.") {
            let mut event: Value = serde_json::from_str(line).unwrap();
            let data = event["data"].take();
            downtimes.insert(data["downtime_id"].as_str().unwrap().to_owned(), data);
        }
    }
    Said { report: serde_json::from_slice(&replayed.report).unwrap(), downtimes }
}

impl Said {
    /// The windows of a machine, those of each kind in order.
    pub fn windows(&self, machine: &str) -> impl Iterator<Item = &Value> {
        self.report["windows"].as_array().unwrap().iter().filter(move |window| window["machine"] == machine)
    }

    /// The window of a kind with this id.
    pub fn window(&self, machine: &str, kind: &str, id: &str) -> &Value {
        let found = self.windows(machine).find(|window| window["window"] == kind && window["id"] == id);
        found.unwrap_or_else(|| panic!("no {kind} {id} of {machine}: {:#}", self.report))
    }
}

pub fn ms_of(time: &Value) -> Option<i64> {
    time.as_str().map(|time| time.parse::<Timestamp>().unwrap().as_millisecond())
}
