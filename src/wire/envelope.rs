//! A told event in, its CloudEvents 1.0 body out: made once, when it is written, and the same bytes ever after.

use super::{
    Names, Time,
    payload::{self, reply::Outcome},
    schema::{self, Kind},
};
use crate::event::{
    Event, Stamp, Told,
    command::Reply,
    id::reply_id,
    order,
    stop::{self, Change},
    work,
};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// A durable event: CloudEvents 1.0 in structured JSON mode. Sent again it is the same bytes.
#[derive(Serialize, JsonSchema)]
pub(super) struct CloudEvent<'a, D> {
    #[schemars(extend("const" = "1.0"))]
    specversion: &'static str,
    /// UUIDv7, of this revision; with `source` it is known for ever.
    id: Uuid,
    /// `andon:{gateway id}`
    #[schemars(regex(pattern = "^andon:"))]
    source: String,
    r#type: &'static str,
    /// The event's own time.
    time: Time,
    /// What it is about, of which the highest `revision` counts.
    subject: String,
    #[schemars(extend("const" = "application/json"))]
    datacontenttype: &'static str,
    /// From 1, raised when a journal was lost or restored.
    #[schemars(range(min = 1))]
    epoch: u32,
    /// From 1 in each epoch, gap-free per gateway.
    #[schemars(regex(pattern = "^[0-9]{16}$"))]
    sequence: String,
    /// From 1 in each epoch, gap-free per topic: any subset of topics can be checked.
    #[schemars(regex(pattern = "^[0-9]{16}$"))]
    topicsequence: String,
    /// When the gateway decided it.
    recordedtime: Time,
    /// The `command_id` of the command that it follows from.
    correlationid: Option<&'a str>,
    data: D,
}

/// The body of an event in structured mode, `application/cloudevents+json`.
///
/// # Errors
/// Never for the words of this house; `serde_json`'s own otherwise.
pub fn body(names: &Names, told: &Told) -> serde_json::Result<Vec<u8>> {
    let about = names.about(told.event.machine());
    match &told.event {
        Event::Stop(stop::Event::State(change)) => {
            seal(names, told, schema::STATE_CHANGED, told.id.to_string(), payload::state::data(about, change))
        }
        Event::Stop(stop::Event::Downtime(downtime)) => {
            let kind = match downtime.change {
                Change::Opened => schema::DOWNTIME_OPENED,
                Change::Updated => schema::DOWNTIME_UPDATED,
                Change::Closed => schema::DOWNTIME_CLOSED,
                Change::Amended => schema::DOWNTIME_AMENDED,
            };
            let data = payload::downtime::data(about, &downtime.stop, downtime);
            seal(names, told, kind, downtime.stop.downtime_id().to_string(), data)
        }
        Event::Part(event) => {
            seal(names, told, schema::PRODUCTION_COUNTED, told.id.to_string(), payload::production::data(about, event))
        }
        Event::Order(order) => {
            let kind = match order.change {
                order::Change::Stored => schema::ORDER_STORED,
                order::Change::Started => schema::ORDER_STARTED,
                order::Change::Paused => schema::ORDER_PAUSED,
                order::Change::Resumed => schema::ORDER_RESUMED,
                order::Change::Ended => schema::ORDER_ENDED,
                order::Change::Aborted => schema::ORDER_ABORTED,
                order::Change::Cancelled => schema::ORDER_CANCELLED,
                order::Change::Updated => schema::ORDER_UPDATED,
            };
            let subject = format!("{}/{}", order.machine, order.job.number());
            seal(names, told, kind, subject, payload::order::data(about, order))
        }
        Event::Work(work::Event::Request(asked)) => {
            let kind = match asked.change {
                work::Change::Raised => schema::WORK_REQUEST_RAISED,
                work::Change::Updated => schema::WORK_REQUEST_UPDATED,
                work::Change::Withdrawn => schema::WORK_REQUEST_WITHDRAWN,
            };
            let subject = asked.request.request_id.to_string();
            seal(names, told, kind, subject, payload::work_request::data(about, asked))
        }
        Event::Work(work::Event::Order(updated)) => {
            let data = payload::work_order::data(about, updated);
            seal(names, told, schema::WORK_ORDER_UPDATED, updated.order.id.to_string(), data)
        }
        Event::Operator(operator) => {
            let data = payload::operator::data(about, operator);
            seal(names, told, schema::OPERATOR_CHANGED, told.id.to_string(), data)
        }
        Event::Asset(changed) => {
            seal(names, told, schema::ASSET_CHANGED, changed.asset.id.clone(), payload::asset::data(about, changed))
        }
        Event::Meter(read) => {
            seal(names, told, schema::METER_READ, told.id.to_string(), payload::meter::data(about, read))
        }
        Event::Shift(stated) => {
            let subject = format!("{}/{}", stated.machine, stated.id);
            seal(names, told, schema::SHIFT_STATED, subject, payload::shift::data(about, stated))
        }
        Event::Notice(notice) => {
            seal(names, told, schema::NOTICE_RAISED, told.id.to_string(), payload::notice::data(about, notice))
        }
    }
}

/// The answer to a command: CloudEvents 1.0 in structured JSON mode. It has no sequence and is not replayed; a command that
/// is sent again is answered again.
#[derive(Serialize, JsonSchema)]
pub(super) struct Answer<'a, D> {
    #[schemars(extend("const" = "1.0"))]
    specversion: &'static str,
    /// The same for the same answer to the same command.
    id: Uuid,
    /// `andon:{gateway id}`
    #[schemars(regex(pattern = "^andon:"))]
    source: String,
    r#type: &'static str,
    /// When it was answered.
    time: Time,
    /// The `command_id`; `null` where it could not be read.
    subject: Option<&'a str>,
    #[schemars(extend("const" = "application/json"))]
    datacontenttype: &'static str,
    /// When it was answered.
    recordedtime: Time,
    /// The `command_id`; `null` where it could not be read.
    correlationid: Option<&'a str>,
    data: D,
}

/// The answer to a command of `by` about a machine: told once, so it has no sequence.
///
/// # Errors
/// Never for the words of this house; `serde_json`'s own otherwise.
pub fn answer(
    names: &Names,
    machine: Option<&str>,
    by: Option<&str>,
    (reply, is_repeated): (&Reply, bool),
    now: Stamp,
) -> serde_json::Result<Vec<u8>> {
    let result = Outcome::of(&reply.verdict, is_repeated).word();
    let command_id = reply.command_id.as_deref();
    serde_json::to_vec(&Answer {
        specversion: "1.0",
        id: reply_id(&names.gateway, command_id, by, result),
        source: format!("andon:{}", names.gateway),
        r#type: schema::REPLY.name,
        time: names.time(now),
        subject: command_id,
        datacontenttype: "application/json",
        recordedtime: names.time(now),
        correlationid: command_id,
        data: payload::reply::data(names.about(machine), reply, is_repeated),
    })
}

/// `data` is of the type that the schema of its kind describes.
#[allow(clippy::needless_pass_by_value, reason = "a kind is a word")]
fn seal<D: Serialize>(
    names: &Names,
    told: &Told,
    kind: Kind<D>,
    subject: String,
    data: D,
) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&CloudEvent {
        specversion: "1.0",
        id: told.id,
        source: format!("andon:{}", names.gateway),
        r#type: kind.name,
        time: Time(told.event.shown(&names.wall)),
        subject,
        datacontenttype: "application/json",
        epoch: told.epoch,
        sequence: format!("{:016}", told.sequence),
        topicsequence: format!("{:016}", told.topic_sequence),
        recordedtime: names.time(told.recorded),
        correlationid: told.command_id.as_deref(),
        data,
    })
}
