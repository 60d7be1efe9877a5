//! A report as JSON in, what it says of downtimes and windows out: whether it was made now or by an earlier replay.

use super::super::{
    Exit, Failure,
    figures::{By, Kind, Sheet},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fs, path::Path};
use uuid::Uuid;

/// The largest report that is read: a year of hours of a hundred machines takes less.
const REPORT_BYTES: u64 = 4 << 30;

/// What a report says.
#[derive(Deserialize)]
pub(super) struct Said {
    pub(super) convention: String,
    pub(super) windows: Vec<SaidWindow>,
}

/// One window of it. What a later release adds is read too, as long as it is a figure.
#[derive(Deserialize)]
pub(super) struct SaidWindow {
    pub(super) window: String,
    pub(super) id: String,
    pub(super) machine: Option<String>,
    pub(super) line: Option<String>,
    #[serde(default)]
    pub(super) asset: Option<String>,
    losses: Vec<SaidLoss>,
    downtimes: Vec<SaidDowntime>,
    #[serde(flatten)]
    pub(super) rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct SaidLoss {
    #[serde(flatten)]
    name: LossName,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// What a loss is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct LossName {
    pub(super) reason: Option<String>,
    pub(super) class: String,
    pub(super) counts_in: String,
}

/// What a figure of a window is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub(super) struct Name {
    /// Its path in the JSON: `kpi.oee`, `losses.ms`.
    pub(super) figure: String,
    /// The loss that it is of.
    pub(super) loss: Option<LossName>,
}

/// A downtime, or its part of a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SaidDowntime {
    pub(super) downtime_id: Uuid,
    pub(super) number: String,
    pub(super) started_at: Timestamp,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) duration_ms: i64,
    pub(super) class: String,
    pub(super) counts_in: String,
    pub(super) reason: Option<String>,
}

impl Said {
    /// What stands in this file.
    pub(super) fn read(path: &Path) -> Result<Said, Failure> {
        let bad = |words: String| Failure::say(Exit::Data, format!("{}: {words}", path.display()));
        let length = fs::metadata(path).map_err(|error| bad(error.to_string()))?.len();
        if length > REPORT_BYTES {
            return Err(bad(format!("a report of {length} bytes is too long to be one of these")));
        }
        let text = fs::read(path).map_err(|error| bad(error.to_string()))?;
        let value: Value = serde_json::from_slice(&text)
            .map_err(|error| bad(format!("it is no JSON: {error}\nhint: a report is made by --report OLD.json")))?;
        serde_json::from_value(value).map_err(|error| {
            bad(format!("it is no report of this release: {error}\nhint: make it anew by replay --report OLD.json"))
        })
    }

    /// What this sheet says as JSON.
    pub(super) fn of(sheet: &Sheet) -> Result<Said, Failure> {
        // Through the text, as the other: a ratio that is read may be another than the one that was written.
        let text = serde_json::to_vec(&sheet.report());
        text.and_then(|text| serde_json::from_slice(&text)).map_err(|error| Failure::new(Exit::Bug, &error))
    }

    /// The kinds of its windows, in their order.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let mut kinds = Vec::new();
        for window in &self.windows {
            let kind = match window.window.as_str() {
                "shift" => Kind::Shift,
                "hour" => Kind::Hour,
                "day" => Kind::Day,
                "order" => Kind::Order,
                _ => Kind::All,
            };
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        if kinds.is_empty() { vec![Kind::All, Kind::Shift] } else { kinds }
    }

    /// Whose its windows are.
    pub(super) fn by(&self) -> By {
        match self.windows.first() {
            Some(SaidWindow { machine: None, line: None, .. }) => By::Site,
            Some(SaidWindow { machine: None, .. }) => By::Line,
            _ => By::Machine,
        }
    }

    pub(super) fn has(&self, kind: &str) -> bool {
        self.windows.iter().any(|window| window.window == kind)
    }

    /// The downtimes of each machine in the order of their start, added up from the windows of one kind.
    pub(super) fn downtimes(&self, kind: &str) -> BTreeMap<String, Vec<SaidDowntime>> {
        let mut whole: BTreeMap<Uuid, SaidDowntime> = BTreeMap::new();
        for share in self.windows.iter().filter(|window| window.window == kind).flat_map(|window| &window.downtimes) {
            match whole.get_mut(&share.downtime_id) {
                Some(known) => known.duration_ms += share.duration_ms,
                None => _ = whole.insert(share.downtime_id, share.clone()),
            }
        }
        let mut by_machine: BTreeMap<String, Vec<SaidDowntime>> = BTreeMap::new();
        for downtime in whole.into_values() {
            let machine = downtime.number.rsplit_once('/').map_or(downtime.number.as_str(), |(machine, _)| machine);
            by_machine.entry(machine.to_owned()).or_default().push(downtime);
        }
        by_machine.values_mut().for_each(|downtimes| downtimes.sort_by_key(|downtime| downtime.started_at));
        by_machine
    }
}

impl SaidWindow {
    /// What names it.
    pub(super) fn key(&self) -> (&str, Option<&str>, Option<&str>, &str) {
        // A machine goes on under another asset.
        (&self.window, self.line.as_deref(), self.machine.as_deref().or(self.asset.as_deref()), &self.id)
    }

    /// The machine, the line, the asset, or the site.
    pub(super) fn whose(&self) -> &str {
        self.machine.as_deref().or(self.line.as_deref()).or(self.asset.as_deref()).unwrap_or("site")
    }

    /// Its figures, in the order of the JSON.
    pub(super) fn figures(&self) -> Vec<(Name, Value)> {
        let mut figures = Vec::new();
        // Not a figure, but how often it was stated.
        for (key, value) in self.rest.iter().filter(|(key, _)| !matches!(key.as_str(), "revision" | "machines")) {
            flattened(key, None, value, &mut figures);
        }
        for loss in &self.losses {
            for (key, value) in &loss.rest {
                flattened(&format!("losses.{key}"), Some(&loss.name), value, &mut figures);
            }
        }
        figures
    }
}

fn flattened(path: &str, loss: Option<&LossName>, value: &Value, into: &mut Vec<(Name, Value)>) {
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| flattened(&format!("{path}.{key}"), loss, value, into));
        }
        value => into.push((Name { figure: path.to_owned(), loss: loss.cloned() }, value.clone())),
    }
}
