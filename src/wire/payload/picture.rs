//! The live pictures: plain JSON, retained, always the newest.

use super::{
    downtime,
    reply::Outcome,
    state::{CountsData, Reason},
    window,
};
use crate::{
    event::{
        Stamp,
        part::Counts,
        stop::{self, State, Stop},
    },
    wire::{About, Time},
};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// What a machine does now. Stale while `G/status` says `offline`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StatePicture")]
pub struct StateData<'a> {
    /// Of this picture.
    at: Time,
    #[serde(flatten)]
    about: About<'a>,
    state: State,
    /// `null` before its first state.
    since: Option<Time>,
    /// A stop that has not yet lasted `short_stop`.
    provisional: bool,
    /// The stop that it is in.
    stop_id: Option<Uuid>,
    /// The number of the downtime that it is in, `press-7/42`.
    downtime: Option<String>,
    /// `null`: nobody has said.
    reason: Option<Reason<'a>>,
    /// The PLC's fault code; `null` for none.
    fault: Option<i64>,
    /// The order that it has.
    order: Option<&'a str>,
    counts: CountsData,
    /// Parts per minute, over the last minute.
    speed: Option<f64>,
}

/// What `P/state` shows of a machine.
pub struct Live<'a> {
    /// The state and since when; `None` before its first.
    pub state: Option<(State, Stamp, bool)>,
    /// The stop that it is in.
    pub stop: Option<&'a Stop>,
    /// The fault code shown, 0 for none.
    pub fault: i64,
    /// The order that it has.
    pub order: Option<&'a str>,
    /// As seen.
    pub counts: &'a Counts,
    /// Parts per minute, over the last minute.
    pub speed: Option<f64>,
}

/// `P/state`
pub fn state<'a>(at: Stamp, about: About<'a>, live: &Live<'a>) -> StateData<'a> {
    let number = live.stop.and_then(|stop| stop.downtime).map(|downtime| downtime.number);
    StateData {
        at: about.time(at),
        about,
        state: live.state.map_or(State::Unknown, |(state, ..)| state),
        since: live.state.map(|(_, since, _)| about.time(since)),
        provisional: live.state.is_some_and(|(.., provisional)| provisional),
        stop_id: live.stop.map(|stop| stop.stop_id),
        downtime: number.map(|number| format!("{}/{number}", about.machine.unwrap_or_default())),
        reason: live.stop.and_then(|stop| stop.reason.as_ref()).map(|reason| Reason::of(about, reason)),
        fault: (live.fault != 0).then_some(live.fault),
        order: live.order,
        counts: live.counts.into(),
        speed: live.speed,
    }
}

/// The open downtime of a machine, or none. Stale while `G/status` says `offline`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DowntimePicture")]
pub struct DowntimeData<'a> {
    /// Of this picture.
    at: Time,
    /// `null`: none is open.
    downtime: Option<downtime::Data<'a>>,
}

/// `P/downtime`: the open downtime, or none.
pub fn downtime<'a>(at: Stamp, about: About<'a>, open: Option<&'a stop::Downtime>) -> DowntimeData<'a> {
    DowntimeData { at: about.time(at), downtime: open.map(|open| downtime::data(about, &open.stop, open)) }
}

/// OEE of a machine so far. Stale while `G/status` says `offline`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OeePicture")]
pub struct OeeData<'a> {
    /// Of this picture.
    at: Time,
    #[serde(flatten)]
    about: About<'a>,
    /// Whose rules were followed: `[oee] convention`.
    convention: &'static str,
    /// The shift so far, without shifts the day; `null` outside of every shift.
    shift: Option<window::Data<'a>>,
    /// The last full hour; `null` before there was one.
    hour: Option<window::Data<'a>>,
    /// The order so far; `null` without one.
    order: Option<window::Data<'a>>,
}

/// `P/oee`: the shift (or day) so far, the last full hour, the current order.
pub fn oee<'a>(
    at: Stamp,
    about: About<'a>,
    convention: &'static str,
    shift: Option<window::Data<'a>>,
    hour: Option<window::Data<'a>>,
    order: Option<window::Data<'a>>,
) -> OeeData<'a> {
    OeeData { at: about.time(at), about, convention, shift, hour, order }
}

/// Whether the gateway is there; `offline` is its last will.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "GatewayStatus")]
pub struct Status<'a> {
    /// `online` or, as the last will, `offline`.
    #[schemars(extend("enum" = ["online", "offline"]))]
    pub status: &'static str,
    /// Made with the data folder: a restart is the same instance.
    pub instance: Uuid,
    /// Of this process.
    pub started_at: Time,
    /// Of this picture.
    pub at: Time,
    /// `synced` or, while stamps cannot be trusted, `unsynced`.
    #[schemars(extend("enum" = ["synced", "unsynced"]))]
    pub clock: &'static str,
    /// Of the program.
    pub version: &'static str,
    /// 1, but in a simulation.
    pub clock_speed: u32,
    /// In order of their ids; empty in the last will of a large plant.
    pub machines: Vec<About<'a>>,
    /// By id of the PLC; empty in the last will of a large plant.
    pub plcs: std::collections::BTreeMap<&'a str, Plc>,
    /// What became of commands.
    pub commands: Commands,
    /// What is wrong with the journal; `null` while all is well.
    pub trouble: Option<String>,
    /// Why the last reload was refused; `null` once one passed.
    pub reload_refused: Option<Refused>,
}

/// A reload that was refused: the configuration that was in force before goes on.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "RefusedReload")]
pub struct Refused {
    /// When it was refused.
    pub at: Time,
    /// What `andon check` said, or why it said nothing; its beginning, if it is long.
    pub text: String,
}

/// What became of commands, counted from the start of the process.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
pub struct Commands {
    /// Carried out.
    pub accepted: u64,
    /// Not carried out, because something newer was known.
    pub stale: u64,
    /// Not carried out.
    pub refused: u64,
    /// Answered once more.
    pub duplicate: u64,
    /// Sent with QoS 0 when too many waited: not even read.
    pub dropped: u64,
}

impl Commands {
    /// One more was answered.
    pub fn count(&mut self, answer: Outcome) {
        let counter = match answer {
            Outcome::Accepted => &mut self.accepted,
            Outcome::Stale => &mut self.stale,
            Outcome::Refused => &mut self.refused,
            Outcome::Duplicate => &mut self.duplicate,
        };
        *counter += 1;
    }
}

/// A PLC in `G/status`; what is counted is counted from the start of the process.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PlcStatus")]
pub struct Plc {
    /// Whether it answers; `null` before the first word.
    pub answers: Option<bool>,
    /// Polls that were answered.
    pub polls: u64,
    /// Requests sent.
    pub requests: u64,
    /// Those of them that were sent again at once.
    pub retries: u64,
    /// Replies that did not come in time.
    pub timeouts: u64,
    /// Replies that came after that, and were thrown away.
    pub late: u64,
    /// RTU replies with a wrong checksum.
    pub crc: u64,
    /// Modbus TCP answers with a wrong length in their header, read by their own count.
    pub mended_frames: u64,
    /// Polls that came due while another one ran.
    pub skipped: u64,
}
