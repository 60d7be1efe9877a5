//! What the engine says and what the model makes of the same machine-day in; every difference in words out.

use crate::{
    chance::Scenario,
    engine::{self, Said, ms_of},
    machine::Day,
    plant::Plant,
    samples::Samples,
    window::{Loss, Shares, Window, shares, windows},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const CLOSE: f64 = 1e-9;

/// How much was compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compared {
    pub windows: u64,
    pub downtimes: u64,
}

/// Both, and every difference.
pub fn compare(scenario: &Scenario) -> (Compared, Vec<String>) {
    let plant = Plant::read(&scenario.toml);
    let samples = Samples::read(&scenario.csv);
    let said = engine::replay(scenario);
    let mut differences = Differences { machine: String::new(), found: Vec::new() };
    let mut compared = Compared::default();
    if said.report["convention"] != plant.convention.as_str() {
        differences.found.push(format!("convention is {}", said.report["convention"]));
    }
    for machine in &plant.machines {
        let day = Day::of(&plant, machine, &samples);
        differences.machine.clone_from(&machine.id);
        let names = differences.downtimes(&said, &day);
        let mut expected = windows(&plant, machine, &day);
        if plant.shifts.is_empty() {
            expected.retain(|window| window.kind != "shift");
        }
        compared.windows += expected.len() as u64;
        compared.downtimes += names.len() as u64;
        let mut found: BTreeMap<(String, i64), &Value> = BTreeMap::new();
        for window in said.windows(&machine.id) {
            found.insert((window["window"].as_str().unwrap().to_owned(), ms_of(&window["from"]).unwrap()), window);
        }
        for window in &expected {
            match found.remove(&(window.kind.to_owned(), window.from)) {
                Some(value) => differences.window(window, value, &names, &plant.convention),
                None => differences.say(window, "window", "none", &"one"),
            }
        }
        for ((kind, from), window) in found {
            differences.found.push(format!("{}: {kind} {} from {from} is no window", machine.id, window["id"]));
        }
    }
    (compared, differences.found)
}

struct Differences {
    machine: String,
    found: Vec<String>,
}

impl Differences {
    fn say(
        &mut self,
        window: &Window,
        what: &str,
        engine: &(impl std::fmt::Debug + ?Sized),
        model: &dyn std::fmt::Debug,
    ) {
        let Window { kind, id, from, .. } = window;
        let machine = &self.machine;
        self.found.push(format!("{machine} {kind} {id} from {from}: {what}: engine {engine:?}, model {model:?}"));
    }

    /// The model's downtimes by the engine's ids: each downtime is found by when it started.
    fn downtimes(&mut self, said: &Said, day: &Day) -> BTreeMap<String, usize> {
        let mut names = BTreeMap::new();
        let all = said.downtimes.values().filter(|data| data["machine"] == self.machine.as_str());
        let mut engine: BTreeMap<i64, &Value> = all
            .filter(|data| data["status"] != "void")
            .map(|data| (ms_of(&data["started_at"]).unwrap(), data))
            .collect();
        for (index, stop) in day.stops.iter().enumerate().filter(|(_, stop)| stop.is_downtime) {
            let started_at = stop.started_at.unwrap();
            let Some(data) = engine.remove(&started_at) else {
                self.found
                    .push(format!("{}: no downtime of the engine starts at {started_at}: {stop:?}", self.machine));
                continue;
            };
            names.insert(data["downtime_id"].as_str().unwrap().to_owned(), index);
            let model_shares = shares(day, index);
            let at_start = day.slices.iter().find(|slice| slice.from == started_at).unwrap();
            let expected = json!({
                "status": if stop.is_open { "open" } else { "closed" },
                "ended_at": (!stop.is_open).then_some(stop.to),
                "duration_ms": stop.duration_ms,
                "excluded_ms": stop.excluded_ms,
                "unknown_ms": stop.unknown_ms,
                "clock_adjust_ms": 0,
                "class": stop.class,
                "counts_in": stop.counts_in,
                "reason": stop.reason,
                "shift": at_start.shift,
                "order": at_start.order,
                "observed": [stop.from, stop.to],
            });
            let observed_to = if stop.is_open { Some(stop.to) } else { ms_of(&data["observed"]["ended_at"]) };
            let mut found = json!({
                "ended_at": ms_of(&data["ended_at"]),
                "reason": data["reason"]["code"],
                "observed": [ms_of(&data["observed"]["started_at"]), observed_to],
            });
            let as_said =
                ["status", "duration_ms", "excluded_ms", "unknown_ms", "clock_adjust_ms", "class", "counts_in"];
            for key in as_said.into_iter().chain(["shift", "order"]) {
                found[key] = data[key].clone();
            }
            // Choice: parts of a split stop keep the edges of the whole.
            if day.stops.iter().filter(|other| other.whole == stop.whole).count() > 1 {
                found["observed"] = expected["observed"].clone();
            }
            for (key, model) in expected.as_object().unwrap() {
                // What an open downtime has lasted is not told anew with each look.
                let is_so_far = stop.is_open && ["duration_ms", "excluded_ms", "unknown_ms"].contains(&key.as_str());
                if found[key] != *model && !is_so_far {
                    self.found.push(format!(
                        "{} downtime {started_at}: {key}: engine {}, model {model}; {stop:?}",
                        self.machine, found[key]
                    ));
                }
            }
            let engine_shares = shares_of(data);
            if engine_shares != model_shares && !stop.is_open {
                self.found.push(format!(
                    "{} downtime {started_at}: shares: engine {engine_shares:?}, model {model_shares:?}",
                    self.machine
                ));
            }
        }
        for (started_at, data) in engine {
            self.found.push(format!("{}: no downtime of the model starts at {started_at}: {data}", self.machine));
        }
        names
    }

    fn window(&mut self, window: &Window, value: &Value, names: &BTreeMap<String, usize>, convention: &str) {
        let calendar_ms = window.to - window.from;
        for (key, model) in [
            ("from", window.from),
            ("to", window.to),
            ("calendar_ms", calendar_ms),
            ("clock_adjust_ms", 0),
            ("planned_ms", window.planned_ms),
            ("run_ms", window.run_ms),
            ("down_ms", window.planned_ms - window.run_ms),
            ("outside_run_ms", window.outside_run_ms),
            ("operating_ms", window.operating_ms),
            ("failures", window.failures),
            ("restorations", window.restorations),
            ("restoration_ms", window.restoration_ms),
            ("repairs", 0),
            ("repair_ms", 0),
        ] {
            let engine = ms_of(&value[key]).or(value[key].as_i64());
            if engine != Some(model) {
                self.say(window, key, &engine, &model);
            }
        }
        if ["shift", "day", "order"].contains(&window.kind) && value["id"] != window.id.as_str() {
            self.say(window, "id", &value["id"], &window.id);
        }
        let time_ms: BTreeMap<&str, i64> = value["time_ms"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(state, ms)| (state.as_str(), ms.as_i64().unwrap()))
            .collect();
        if time_ms != window.time_ms {
            self.say(window, "time_ms", &time_ms, &window.time_ms);
        }
        let counts = json!({
            "total": window.total, "good": window.good, "reject": window.reject, "rework": 0,
            "outside": { "total": window.outside_total, "good": window.outside_good },
        });
        if value["counts"] != counts {
            self.say(window, "counts", &value["counts"].to_string(), &counts.to_string());
        }
        for (key, model) in [("ideal_ms", window.ideal_ms), ("good_ideal_ms", window.good_ideal_ms)] {
            // Whole milliseconds, rounded down; of each ideal for itself.
            let ideals = window.ideals.max(1) as f64;
            let is_whole_of =
                |engine: i64| (0.0..ideals).contains(&(model * (1.0 + f64::EPSILON) + 1e-6 - engine as f64));
            if !value[key].as_i64().is_some_and(is_whole_of) {
                self.say(window, key, &value[key], &model);
            }
        }
        let kpi = &window.kpi;
        for (key, model) in [
            ("availability", kpi.availability),
            ("performance", kpi.performance),
            ("quality", kpi.quality),
            ("quality_by_count", kpi.quality_by_count),
            ("oee", kpi.oee),
            ("nee", kpi.nee),
            ("teep", kpi.teep),
            ("coverage", kpi.coverage),
            ("mttr_repair_ms", None),
            ("response_ms", None),
        ] {
            self.ratio(window, key, &value["kpi"][key], model, CLOSE);
        }
        for (key, model) in [("mtbf_ms", kpi.mtbf_ms), ("mttr_restoration_ms", kpi.mttr_restoration_ms)] {
            let engine = value["kpi"][key].as_f64();
            if engine.is_some() != model.is_some()
                || engine.zip(model).is_some_and(|(a, b)| !(0.0..1.0).contains(&(b - a)))
            {
                self.say(window, key, &engine, &model);
            }
        }
        if convention == "smrp" && value["kpi"].get("performance_capped").is_some() {
            let capped = kpi.performance.map(|performance| performance.min(1.0));
            self.ratio(window, "performance_capped", &value["kpi"]["performance_capped"], capped, CLOSE);
        }
        let losses = losses_of(value);
        if losses != window.losses {
            self.say(window, "losses", &losses, &window.losses);
        }
        let mut downtimes: BTreeMap<Option<usize>, i64> = BTreeMap::new();
        for downtime in value["downtimes"].as_array().unwrap() {
            let ms = downtime["duration_ms"].as_i64().unwrap();
            if ms > 0 {
                downtimes.insert(names.get(downtime["downtime_id"].as_str().unwrap()).copied(), ms);
            }
        }
        let model: BTreeMap<Option<usize>, i64> =
            window.downtimes.iter().map(|(stop, ms)| (Some(*stop), *ms)).collect();
        if downtimes != model {
            self.say(window, "downtimes", &downtimes, &model);
        }
    }

    fn ratio(&mut self, window: &Window, key: &str, engine: &Value, model: Option<f64>, close: f64) {
        let engine = engine.as_f64();
        let is_apart = |(a, b): (f64, f64)| (a - b).abs() > close * b.abs().max(1.0);
        if engine.is_some() != model.is_some() || engine.zip(model).is_some_and(is_apart) {
            self.say(window, key, &engine, &model);
        }
    }
}

/// Shares that hold anything.
fn shares_of(data: &Value) -> Shares {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let share = |share: &Value| {
        let of = (share["duration_ms"].as_i64().unwrap(), share["unknown_ms"].as_i64().unwrap());
        ((text(&share["shift"]), text(&share["order"])), of)
    };
    data["shares"].as_array().unwrap().iter().map(share).filter(|(_, ms)| *ms != (0, 0)).collect()
}

fn losses_of(value: &Value) -> BTreeMap<Loss, (i64, i64)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let loss = |loss: &Value| {
        let name = (text(&loss["reason"]), text(&loss["class"]).unwrap(), text(&loss["counts_in"]).unwrap());
        (name, (loss["ms"].as_i64().unwrap(), loss["times"].as_i64().unwrap()))
    };
    value["losses"].as_array().unwrap().iter().map(loss).collect()
}
