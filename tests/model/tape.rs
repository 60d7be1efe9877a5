//! A machine's samples piece by piece in; what the engine says of them out, after it was held against the model.

use crate::{
    chance::Scenario,
    compare::compare,
    engine::{Said, replay},
};
use jiff::Timestamp;
use std::fmt::Write as _;

/// A machine's samples, piece by piece: a row at least each minute.
pub struct Tape {
    at_ms: i64,
    order: &'static str,
    total: i64,
    reject: i64,
    csv: String,
}

const RUNS: i64 = -1;

impl Tape {
    pub fn from(at: &str) -> Tape {
        let csv = "time,plc.run,plc.fault,plc.order,plc.total,plc.reject\n".to_owned();
        Tape { at_ms: at.parse::<Timestamp>().unwrap().as_millisecond(), order: " ", total: 0, reject: 0, csv }
    }

    /// It runs and makes so many parts, so many of them bad; the last second shows them all.
    pub fn runs(self, seconds: i64, total: i64, reject: i64) -> Tape {
        self.pass(seconds, RUNS, total, reject)
    }

    /// It stands with a fault; 0 is none.
    pub fn stands(self, seconds: i64, fault: i64) -> Tape {
        self.pass(seconds, fault, 0, 0)
    }

    /// Every read fails, and it makes so many parts meanwhile.
    pub fn unread(mut self, seconds: i64, total: i64) -> Tape {
        for second in (0..seconds).step_by(60) {
            writeln!(self.csv, "{},!,!,!,!,!", self.at_ms + second * 1_000).unwrap();
        }
        self.at_ms += seconds * 1_000;
        self.total += total;
        self
    }

    pub fn order(mut self, order: &'static str) -> Tape {
        self.order = order;
        self
    }

    fn pass(mut self, seconds: i64, fault: i64, total: i64, reject: i64) -> Tape {
        for second in (0..seconds).filter(|second| second % 60 == 0 || second + 1 == seconds) {
            let so_far = |of: i64| of * second / (seconds - 1);
            self.row(self.at_ms + second * 1_000, fault, self.total + so_far(total), self.reject + so_far(reject));
        }
        self.at_ms += seconds * 1_000;
        self.total += total;
        self.reject += reject;
        self
    }

    fn row(&mut self, at_ms: i64, fault: i64, total: i64, reject: i64) {
        let (run, fault) = if fault == RUNS { (1, 0) } else { (0, fault) };
        writeln!(self.csv, "{at_ms},{run},{fault},{},{total},{reject}", self.order).unwrap();
    }

    /// The row that closes the books.
    pub fn played(mut self, settings: &str) -> Said {
        self.row(self.at_ms, RUNS, self.total, self.reject);
        let (head, machine) = settings.split_once("[machine]").unwrap();
        let (machine, tail) = machine.split_once("[tail]").unwrap_or((machine, ""));
        let debounce = if machine.contains("debounce") { "" } else { "debounce = \"0s\"" };
        let toml = format!(
            r#"{head}
[gateway]
id = "gw"
path = "acme/leipzig/hall-3"
timezone = "UTC"
data_dir = "/tmp/unused"
[[plc]]
id = "plc"
tcp = "127.0.0.1:502"
[plc.points]
run = {{ coil = 0 }}
fault = {{ holding = 0 }}
order = {{ holding = 10, type = "string(8)" }}
total = {{ holding = 100, type = "u32" }}
reject = {{ holding = 102, type = "u32" }}
[[machine]]
id = "press-7"
line = "line-2"
run = "plc.run"
fault = "plc.fault"
order = "plc.order"
total = "plc.total"
reject = "plc.reject"
no_data = "off"
{debounce}
{machine}
{tail}"#
        );
        let scenario = Scenario { toml, csv: self.csv };
        let (_, differences) = compare(&scenario);
        assert!(
            differences.is_empty(),
            "engine and model differ:\n{}",
            differences[..differences.len().min(8)].join("\n")
        );
        replay(&scenario)
    }
}
