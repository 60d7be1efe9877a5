//! The words of the work ledger: requests for maintenance that machines and people make, and the work orders that answer them.

use super::{Stamp, stop::Class};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Most occurrences that one request lists; the first and the latest stay.
pub const OCCURRENCES: usize = 64;

/// Most downtimes, and most requests, that one work order is about.
pub const LINKS: usize = 64;

/// How far a work order is; `raised`: nobody has answered yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "WorkStatus")]
pub enum Status {
    /// A request that nobody has answered yet.
    #[default]
    Raised,
    /// The CMMS takes it.
    Accepted,
    /// The CMMS does not take it.
    Rejected,
    /// Somebody shall do it.
    Assigned,
    /// Somebody does it.
    InProgress,
    /// It waits.
    OnHold,
    /// The machine can run again.
    Completed,
    /// The papers are done.
    Closed,
    /// It will not be done.
    Cancelled,
    /// The gateway took its request back.
    Withdrawn,
}

impl Status {
    /// The word in payloads.
    pub fn word(self) -> &'static str {
        match self {
            Status::Raised => "raised",
            Status::Accepted => "accepted",
            Status::Rejected => "rejected",
            Status::Assigned => "assigned",
            Status::InProgress => "in_progress",
            Status::OnHold => "on_hold",
            Status::Completed => "completed",
            Status::Closed => "closed",
            Status::Cancelled => "cancelled",
            Status::Withdrawn => "withdrawn",
        }
    }

    /// It holds back no other request for the same problem.
    pub fn is_ended(self) -> bool {
        use Status::{Cancelled, Closed, Completed, Rejected, Withdrawn};
        matches!(self, Completed | Closed | Cancelled | Rejected | Withdrawn)
    }

    /// Nobody does, or did, anything about it.
    pub fn is_void(self) -> bool {
        matches!(self, Status::Rejected | Status::Cancelled | Status::Withdrawn)
    }
}

/// What a request is about. Two with an equal problem at one asset are one while the first is open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// `[[reason]] code`
    Reason(String),
    /// A fault code of the PLC that names no reason.
    Fault(i64),
    /// Nobody has said.
    Unassigned,
    /// A meter reached a multiple, by the name of the rule.
    Meter(String),
    /// What a person asked for, in the person's words.
    Asked(String),
}

/// A stop that a request is about, as it was last told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// The machine's id.
    pub machine: String,
    /// The downtime's id; of a stop that is none its own.
    pub id: Uuid,
    /// The stop that it is, or is a part of.
    pub stop_id: Uuid,
    /// Number and revision as a downtime; `None`: a short stop.
    pub downtime: Option<super::stop::Numbered>,
    /// First still instant inside planned hours.
    pub started_at: Stamp,
    /// `None` while open.
    pub ended_at: Option<Stamp>,
    /// *The* number.
    pub duration_ms: i64,
    /// Its class.
    pub class: Class,
    /// It turned out to be none.
    pub is_void: bool,
    /// The shift that it began in.
    pub shift: String,
    /// The order then.
    pub order: Option<String>,
    /// What was made then.
    pub product: Option<String>,
    /// Its lot.
    pub lot: Option<String>,
    /// Parts that its ideal would have made in `duration_ms`; `None` without an ideal.
    pub lost_parts: Option<i64>,
}

/// What the asset had done by then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meters {
    /// Time in `running`. Milliseconds; `None` where meters are off.
    pub run_ms: Option<i64>,
    /// Raw cycles of the counter; `None` without one.
    pub cycles: Option<i64>,
}

/// A request for maintenance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its id.
    pub request_id: Uuid,
    /// From 1, raised by each event.
    pub revision: u64,
    /// That of its latest work order, else whether it was withdrawn.
    pub status: Status,
    /// The machine's id.
    pub machine: String,
    /// The key in the CMMS that it was raised for.
    pub asset: String,
    /// The `[[work_request]]`s that fired, the one that raised it first; none: a person asked.
    pub rules: Vec<String>,
    /// Who asked; `None`: a rule.
    pub by: Option<String>,
    /// 1 highest … 4.
    pub priority: u8,
    /// What it is about.
    pub problem: Problem,
    /// The problem in words: the reason's text, what the person wrote.
    pub text: String,
    /// The fault that the PLC shows for it.
    pub fault: Option<i64>,
    /// Faults that came later.
    pub other_faults: Vec<i64>,
    /// What people wrote to it later.
    pub remarks: Vec<String>,
    /// When it was raised.
    pub raised_at: Stamp,
    /// The stops; of very many the first and the latest.
    pub stops: Vec<Occurrence>,
    /// Times that it happened beside these.
    pub more: i64,
    /// The multiple that the meter reached.
    pub multiple: Option<i64>,
    /// As of this revision.
    pub meters: Meters,
}

impl Request {
    /// The downtime that it was raised for, else the first.
    pub fn downtime(&self) -> Option<&Occurrence> {
        self.stops.iter().find(|stop| stop.downtime.is_some())
    }

    /// Stops that count: all but those that turned out to be none.
    pub fn standing(&self) -> impl Iterator<Item = &Occurrence> {
        self.stops.iter().filter(|stop| !stop.is_void)
    }

    /// How often it happened.
    pub fn occurrences(&self) -> i64 {
        self.more + i64::try_from(self.standing().count()).unwrap_or(i64::MAX)
    }

    /// One of its stops is this one.
    pub fn has(&self, id: Uuid) -> bool {
        self.stops.iter().any(|stop| stop.id == id)
    }

    /// One of its stops has not ended.
    pub fn is_asset_down(&self) -> bool {
        self.standing().any(|stop| stop.ended_at.is_none())
    }

    /// The whole of its stops. Milliseconds.
    pub fn downtime_ms(&self) -> i64 {
        self.stops.iter().map(|stop| stop.duration_ms).sum()
    }

    /// Σ ideal parts of its stops; `None` where one has no ideal, or there is none.
    pub fn lost_parts(&self) -> Option<i64> {
        if self.stops.is_empty() {
            return None;
        }
        self.stops.iter().map(|stop| stop.lost_parts).sum()
    }
}

/// What happened to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new.
    Raised,
    /// Something about it changed.
    Updated,
    /// It is taken back, before anybody accepted it.
    Withdrawn,
}

/// `andon.work-request.*.v1`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// What happened.
    pub change: Change,
    /// When it was decided.
    pub at: Stamp,
    /// At most 40 characters, for the technician.
    pub title: String,
    /// Plain text in lines.
    pub description: String,
    /// The priority as the CMMS calls it, where `priority_map` says.
    #[serde(default)]
    pub priority_text: Option<String>,
    /// Where the asset is, as the CMMS says.
    #[serde(default)]
    pub location: Option<String>,
    /// Names of what the asset is a part of and its own, the outermost first, as the CMMS says.
    #[serde(default)]
    pub equipment_path: Option<String>,
    /// The whole record.
    pub request: Request,
}

/// Which word of the CMMS is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// As the CMMS counts.
    pub revision: Option<i64>,
    /// When it was said.
    pub at: Stamp,
}

impl Version {
    /// By revision where both have one, else by time; of equals none is before the other.
    pub fn is_before(&self, other: &Version) -> bool {
        match (self.revision, other.revision) {
            (Some(mine), Some(theirs)) if mine != theirs => mine < theirs,
            _ => self.at < other.at,
        }
    }
}

/// A word of the CMMS and which version of its work order said it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said<T> {
    /// The word.
    pub value: T,
    /// Said by.
    pub version: Version,
}

/// A spare part that was used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "SparePart")]
pub enum Part {
    /// Its number alone.
    Number(String),
    /// Its number and more.
    Listed(ListedPart),
}

/// A spare part with its quantity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListedPart {
    /// Its number.
    pub part: String,
    /// How many.
    #[serde(default)]
    pub quantity: Option<f64>,
    /// Of what: `pcs`, `m`, `l`.
    #[serde(default)]
    pub unit: Option<String>,
    /// What it is.
    #[serde(default)]
    pub text: Option<String>,
}

/// What the CMMS says of a work order; what it leaves out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Words {
    /// As the CMMS calls the status.
    pub status_raw: Option<String>,
    /// When the work began.
    pub actual_start: Option<Stamp>,
    /// When it was done.
    pub actual_finish: Option<Stamp>,
    /// Who did it.
    pub technician: Option<String>,
    /// Hours of work. Milliseconds.
    pub labour_ms: Option<i64>,
    /// What was used.
    pub parts: Option<Vec<Part>>,
    /// Why it failed.
    pub cause: Option<String>,
    /// How it failed.
    pub mechanism: Option<String>,
    /// What was done.
    pub remedy: Option<String>,
}

/// The same, each with its version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Held {
    /// As the CMMS calls the status.
    pub status_raw: Option<Said<String>>,
    /// When the work began.
    pub actual_start: Option<Said<Stamp>>,
    /// When it was done.
    pub actual_finish: Option<Said<Stamp>>,
    /// Who did it.
    pub technician: Option<Said<String>>,
    /// Hours of work. Milliseconds.
    pub labour_ms: Option<Said<i64>>,
    /// What was used.
    pub parts: Option<Said<Vec<Part>>>,
    /// Why it failed.
    pub cause: Option<Said<String>>,
    /// How it failed.
    pub mechanism: Option<Said<String>>,
    /// What was done.
    pub remedy: Option<Said<String>>,
    /// Anything else.
    pub comment: Option<Said<String>>,
}

/// A work order, as far as the CMMS has told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Its id here; its number may come later.
    pub id: Uuid,
    /// From 1, raised by each event.
    pub revision: u64,
    /// The CMMS's own.
    pub work_order: Option<String>,
    /// How far it is.
    pub status: Status,
    /// The latest word about it: what is older is stale.
    pub version: Version,
    /// What was said of it.
    pub held: Held,
    /// The first moment at which somebody was at it.
    pub in_progress_at: Option<Stamp>,
    /// Requests that it answers.
    pub requests: Vec<Uuid>,
    /// Downtimes that it is about, of any machine.
    pub downtimes: Vec<About>,
}

/// A downtime that a work order is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct About {
    /// When it began: of several the first one bears the order's times.
    pub started_at: Stamp,
    /// The machine's id.
    pub machine: String,
    /// Its id.
    pub downtime_id: Uuid,
}

/// `andon.work-order.updated.v1`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Updated {
    /// The machine that the command came for.
    pub machine: String,
    /// When it was decided.
    pub at: Stamp,
    /// Who says so.
    pub by: String,
    /// The whole record.
    pub order: Order,
}

/// What the work ledger tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// `andon.work-request.*.v1`
    Request(Box<Asked>),
    /// `andon.work-order.updated.v1`
    Order(Box<Updated>),
}

impl Event {
    /// When it was decided.
    pub fn time(&self) -> Stamp {
        match self {
            Event::Request(asked) => asked.at,
            Event::Order(updated) => updated.at,
        }
    }

    /// The machine's id.
    pub fn machine(&self) -> &str {
        match self {
            Event::Request(asked) => &asked.request.machine,
            Event::Order(updated) => &updated.machine,
        }
    }
}

/// A work order as a downtime bears it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The order's id here.
    pub id: Uuid,
    /// The request that it answers.
    pub request_id: Option<Uuid>,
    /// The CMMS's number.
    pub work_order: Option<String>,
    /// How far it is.
    pub status: Status,
    /// Why it failed.
    pub cause: Option<String>,
    /// What was done.
    pub remedy: Option<String>,
    /// The order's times, at the first of its downtimes only: one order is one repair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<Times>,
}

/// The times of a work order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// When the work began.
    pub actual_start: Option<Stamp>,
    /// When it was done.
    pub actual_finish: Option<Stamp>,
    /// The first moment at which somebody was at it.
    pub in_progress_at: Option<Stamp>,
}

/// What the CMMS asks for with a work order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The request that it answers.
    pub request_id: Option<Uuid>,
    /// Downtimes that it is about.
    pub downtime_ids: Vec<Uuid>,
    /// The CMMS's number.
    pub work_order: Option<String>,
    /// How far it is.
    pub status: Status,
    /// As the CMMS counts its own versions.
    pub revision: Option<i64>,
    /// The rest.
    pub words: Words,
}

/// What a person asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// In the person's words.
    pub text: String,
    /// 1 highest … 4.
    pub priority: Option<u8>,
    /// The downtime that it is about.
    pub downtime_id: Option<Uuid>,
}
