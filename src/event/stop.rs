//! The words of the stop ledger: states, stops and downtimes.

use super::{Stamp, part, work};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Who says what nobody else does.
pub const PLC: &str = "plc";

/// What a machine is in at an instant; exactly one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "MachineState")]
pub enum State {
    /// The run signal holds, or parts come.
    Running,
    /// A stop below `short_stop`; while open, provisional.
    ShortStop,
    /// An unplanned stop from `short_stop` on.
    Down,
    /// Set-up between products.
    Changeover,
    /// Planned maintenance, breaks.
    PlannedStop,
    /// Starved, blocked, no order.
    External,
    /// Outside every shift.
    Unscheduled,
    /// No data: never run, never down.
    Unknown,
}

impl State {
    /// Every state, in the order of the published table.
    pub const ALL: [State; 8] = [
        State::Running,
        State::ShortStop,
        State::Down,
        State::Changeover,
        State::PlannedStop,
        State::External,
        State::Unscheduled,
        State::Unknown,
    ];

    /// The word in topics, payloads and reports.
    pub fn word(self) -> &'static str {
        match self {
            State::Running => "running",
            State::ShortStop => "short_stop",
            State::Down => "down",
            State::Changeover => "changeover",
            State::PlannedStop => "planned_stop",
            State::External => "external",
            State::Unscheduled => "unscheduled",
            State::Unknown => "unknown",
        }
    }
}

/// What the signals alone say: does it go, stand, or is nobody looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Going {
    /// It makes parts.
    Running,
    /// It stands.
    Still,
    /// No data.
    Unknown,
}

/// The class of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "StopClass")]
pub enum Class {
    /// Something broke.
    Failure,
    /// Something of the work itself: cleaning, jam, tool.
    Operational,
    /// Set-up between products.
    Changeover,
    /// Planned.
    Planned,
    /// The cause lies up or down the line.
    External,
    /// Nobody has said why.
    Unassigned,
}

/// Where a stop's time goes in the OEE sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CountsIn {
    /// Loss of availability.
    Availability,
    /// Loss of performance; stays in run time.
    Performance,
    /// Leaves planned time.
    Excluded,
    /// Not a stop at all (a sensor fault).
    None,
}

/// Why it stopped, and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// `[[reason]] code`.
    pub code: String,
    /// `[[reason]] text`.
    pub text: String,
    /// `plc`, or who sent the command.
    pub by: String,
    /// When it was given.
    pub at: Stamp,
}

/// The PLC's fault codes of a stop: the first wins, others are listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "DowntimeFault")]
pub struct Fault {
    /// The first.
    pub code: i64,
    /// Those that came later, each once.
    pub others: Vec<i64>,
}

/// What the machine itself showed; no correction changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// First still sample.
    pub started_at: Stamp,
    /// First running sample, or the start of the gap that hid it.
    pub ended_at: Option<Stamp>,
}

/// The part of a stop that lies in one shift (or day) and order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "DowntimeShare")]
pub struct Share {
    /// Window id.
    pub shift: String,
    /// The order then.
    pub order: Option<String>,
    /// Its part of `duration_ms`.
    pub duration_ms: i64,
    /// Its part of `unknown_ms`.
    pub unknown_ms: i64,
}

/// What makes a stop a downtime: its number and revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// Gap-free per machine, from 1.
    pub number: u64,
    /// From 1, raised by each change told.
    pub revision: u64,
}

/// Where a later part of a stop comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Its own id as a downtime.
    pub downtime_id: Uuid,
    /// The downtime that it was cut from.
    pub from: Uuid,
    /// Work requests and orders about that one are about this one now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub takes_work: bool,
}

/// What the house itself concludes of a stop that nothing else names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inferred {
    /// It lies between two products: set-up.
    Changeover,
    /// The machine has no order and may not run without one: external.
    NoOrder,
}

/// One stop, from its first still sample to its first running one.
/// `ended_at − started_at = duration_ms + excluded_ms + unknown_ms + clock_adjust_ms`; while open, as of the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Given when the edge was confirmed; the downtime's id too, unless it is a later part.
    pub stop_id: Uuid,
    /// It is a later part of a stop that was split, a downtime of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// Set once it is a downtime.
    pub downtime: Option<Numbered>,
    /// First still instant of this part, in planned hours or not.
    pub from: Stamp,
    /// First still instant inside planned hours; while there was none yet, when the next ones begin.
    pub started_at: Stamp,
    /// `None` while open.
    pub ended_at: Option<Stamp>,
    /// The machine's own edges; `None`: a person declared it, in time that nobody saw.
    pub observed: Option<Observed>,
    /// It was split off and merged again: void, its time is that of this downtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<Uuid>,
    /// From here on it is a downtime: the threshold under which it began, also if the configuration changes meanwhile.
    pub short_stop_ms: i64,
    /// *The* number.
    pub duration_ms: i64,
    /// In breaks, calendar stops or outside shifts.
    #[serde(default)]
    pub excluded_ms: i64,
    /// In gaps of data.
    pub unknown_ms: i64,
    /// The step of the wall clock inside.
    #[serde(default)]
    pub clock_adjust_ms: i64,
    /// The poll interval; `None` where the start was not seen.
    pub uncertainty_ms: Option<i64>,
    /// Per shift and order.
    pub shares: Vec<Share>,
    /// The shift (or day) of `started_at`.
    pub shift: String,
    /// The order then.
    #[serde(default)]
    pub order: Option<String>,
    /// What was made then.
    #[serde(default)]
    pub product: Option<String>,
    /// Its lot.
    #[serde(default)]
    pub lot: Option<String>,
    /// Who was logged on then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// Of its reason, else `failure` with a fault, else what the state signal says, else as inferred, else `unassigned`.
    pub class: Class,
    /// What is concluded where nothing else names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inferred: Option<Inferred>,
    /// What the state signal says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Class>,
    /// Of its reason, else by class and convention.
    pub counts_in: CountsIn,
    /// If somebody or something said.
    pub reason: Option<Reason>,
    /// If the PLC named one.
    pub fault: Option<Fault>,
    /// Words about the record, `start_not_seen`.
    #[serde(default)]
    pub flags: Vec<String>,
    /// Work orders about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub work: Vec<work::Link>,
}

impl Stop {
    /// Its id as a downtime: of all parts of a stop only the first bears the stop's own.
    pub fn downtime_id(&self) -> Uuid {
        self.split.map_or(self.stop_id, |split| split.downtime_id)
    }

    /// It was declared by a person, in time that nobody saw.
    pub fn is_declared(&self) -> bool {
        self.observed.is_none()
    }

    /// Its time is another's or nobody's for good: it was merged, or what was declared was taken back.
    pub fn is_gone(&self) -> bool {
        self.merged_into.is_some() || (self.is_declared() && self.is_void())
    }

    /// It turned out to be none: it has no length.
    pub fn is_void(&self) -> bool {
        let is_taken_back = self.is_declared() && self.reason.is_none();
        self.counts_in == CountsIn::None || self.merged_into.is_some() || is_taken_back
    }
}

/// What happened to a downtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It reached `short_stop` (or the PLC named a fault and `open_at = "fault"`).
    Opened,
    /// Something about it changed while open.
    Updated,
    /// It ran again.
    Closed,
    /// It was closed, and somebody knew better.
    Amended,
}

/// What the stop ledger tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// `andon.state.changed.v1`
    State(Box<StateChange>),
    /// `andon.downtime.*.v1`
    Downtime(Box<Downtime>),
}

/// A machine's state from `since` on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateChange {
    /// The machine's id.
    pub machine: String,
    /// The state from `since` on.
    pub state: State,
    /// The state before; `None` at the machine's first.
    pub previous: Option<State>,
    /// What the signals say.
    pub going: Going,
    /// When it began; earlier than `at`, for an edge is dated from its first sample.
    pub since: Stamp,
    /// When the machine began to go, stand or be unseen so: before `since` where the calendar made the state another.
    pub moved: Stamp,
    /// When it was decided.
    pub at: Stamp,
    /// An open stop below `short_stop`.
    pub provisional: bool,
    /// The stop that it is in, the whole record.
    pub stop: Option<Stop>,
    /// The stop that ended by it, the whole record.
    pub ended: Option<Stop>,
    /// The fault code shown now, 0 for none.
    pub fault: i64,
    /// The order that it has.
    #[serde(default)]
    pub order: Option<String>,
    /// Parts shown up to and including `at`.
    pub counts: part::Counts,
    /// The counters themselves.
    pub raw: part::Raw,
}

/// A downtime after a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Downtime {
    /// The machine's id.
    pub machine: String,
    /// What happened.
    pub change: Change,
    /// When it was decided.
    pub at: Stamp,
    /// `plc`, or who sent the command.
    pub by: String,
    /// In the words of the command.
    #[serde(default)]
    pub why: Option<String>,
    /// Of the command.
    #[serde(default)]
    pub command_id: Option<String>,
    /// The whole record.
    pub stop: Stop,
}

impl Event {
    /// `since` of a state, `started_at` of an opened and `ended_at` of a closed downtime, else when it was decided.
    pub fn time(&self) -> Stamp {
        match self {
            Event::State(change) => change.since,
            Event::Downtime(downtime) => match downtime.change {
                Change::Opened => downtime.stop.started_at,
                Change::Updated | Change::Amended => downtime.at,
                Change::Closed => downtime.stop.ended_at.unwrap_or(downtime.at),
            },
        }
    }
}
