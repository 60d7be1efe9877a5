//! A told event in, its CloudEvents 1.0 body out: made once, when it is written, and the same bytes ever after.

use super::{Names, Time, payload, payload::reply::Outcome};
use crate::event::{
    Event, Stamp, Told,
    command::Reply,
    id::reply_id,
    order,
    stop::{self, Change},
};
use serde::Serialize;
use uuid::Uuid;

#[derive(Serialize)]
struct CloudEvent<'a, D> {
    specversion: &'static str,
    id: Uuid,
    source: String,
    r#type: &'static str,
    time: Time,
    subject: String,
    datacontenttype: &'static str,
    epoch: u32,
    sequence: String,
    topicsequence: String,
    recordedtime: Time,
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
            seal(names, told, "andon.state.changed.v1", told.id.to_string(), payload::state::data(about, change))
        }
        Event::Stop(stop::Event::Downtime(downtime)) => {
            let kind = match downtime.change {
                Change::Opened => "andon.downtime.opened.v1",
                Change::Updated => "andon.downtime.updated.v1",
                Change::Closed => "andon.downtime.closed.v1",
                Change::Amended => "andon.downtime.amended.v1",
            };
            let data = payload::downtime::data(about, &downtime.stop, downtime);
            seal(names, told, kind, downtime.stop.downtime_id().to_string(), data)
        }
        Event::Part(event) => seal(
            names,
            told,
            "andon.production.counted.v1",
            told.id.to_string(),
            payload::production::data(about, event),
        ),
        Event::Order(order) => {
            let kind = match order.change {
                order::Change::Started => "andon.order.started.v1",
                order::Change::Ended => "andon.order.ended.v1",
            };
            let subject = format!("{}/{}", order.machine, order.order.order);
            seal(names, told, kind, subject, payload::order::data(about, order))
        }
        Event::Shift(stated) => {
            let subject = format!("{}/{}", stated.machine, stated.id);
            seal(names, told, "andon.shift.stated.v1", subject, payload::shift::data(about, stated))
        }
        Event::Notice(notice) => {
            seal(names, told, "andon.notice.raised.v1", told.id.to_string(), payload::notice::data(about, notice))
        }
    }
}

#[derive(Serialize)]
struct Answer<'a, D> {
    specversion: &'static str,
    id: Uuid,
    source: String,
    r#type: &'static str,
    time: Time,
    subject: Option<&'a str>,
    datacontenttype: &'static str,
    recordedtime: Time,
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
        r#type: "andon.reply.v1",
        time: names.time(now),
        subject: command_id,
        datacontenttype: "application/json",
        recordedtime: names.time(now),
        correlationid: command_id,
        data: payload::reply::data(names.about(machine), reply, is_repeated),
    })
}

fn seal(
    names: &Names,
    told: &Told,
    r#type: &'static str,
    subject: String,
    data: impl Serialize,
) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&CloudEvent {
        specversion: "1.0",
        id: told.id,
        source: format!("andon:{}", names.gateway),
        r#type,
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
