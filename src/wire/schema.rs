//! The registry of all that goes over the broker in, the JSON Schemas and the AsyncAPI document of it out.
//!
//! **To add a kind of event** (`andon.<kind>.<change>.v1`): one line in [`events!`] below, with the place that tells it, the
//! type of its `data` (deriving `JsonSchema`) and its `type`. `envelope` can seal only what stands there, and only with
//! `data` of that type, so nothing can be told that is not described. **To add any other message** (a picture, a reply, what
//! a consumer sends): one line in [`channels`]. Then `ANDON_REFRESH=1 cargo test --test schema` writes the documents anew.

mod document;

use super::{MachineNames, Names, envelope::CloudEvent, payload};
use crate::event::{Wall, topic_key};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;
use std::{collections::BTreeMap, marker::PhantomData};

/// A type of CloudEvent whose `data` is a `D`.
pub(super) struct Kind<D> {
    pub(super) name: &'static str,
    data: PhantomData<fn() -> D>,
}

/// Where something is told: `Machine` is `P`, `Gateway` is `G`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Machine,
    Gateway,
}

/// Something that is told, as the documents describe it.
#[derive(Clone, Copy)]
struct Message {
    /// The CloudEvents `type`, or what it is.
    name: &'static str,
    says: &'static str,
    content: &'static str,
    schema: fn(&'static str, &mut SchemaGenerator) -> Schema,
}

/// Which way it goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// andon publishes it.
    Out,
}

/// A topic, and what stands there.
struct Channel {
    /// Its name in the AsyncAPI document.
    name: String,
    says: &'static str,
    address: String,
    way: Way,
    retained: bool,
    qos: u8,
    messages: Vec<Message>,
}

macro_rules! events {
    ($(#[doc = $says:literal] $name:ident: $($place:ident)+, $data:ty = $type:literal;)+) => {
        $(#[doc = $says] pub(super) const $name: Kind<$data> = Kind { name: $type, data: PhantomData };)+

        /// Every type of event, with where it is told.
        const EVENTS: &[(Message, &[Place])] = &[$((
            Message { name: $type, says: $says, content: EVENT, schema: cloud_event::<$data> },
            &[$(Place::$place),+],
        )),+];
    };
}

events! {
    /// A machine is in another state.
    STATE_CHANGED: Machine, payload::state::Data<'static> = "andon.state.changed.v1";
    /// A stop has lasted `short_stop` and is a downtime.
    DOWNTIME_OPENED: Machine, payload::downtime::Data<'static> = "andon.downtime.opened.v1";
    /// Something was learned about an open downtime: its fault, its reason.
    DOWNTIME_UPDATED: Machine, payload::downtime::Data<'static> = "andon.downtime.updated.v1";
    /// The machine runs again.
    DOWNTIME_CLOSED: Machine, payload::downtime::Data<'static> = "andon.downtime.closed.v1";
    /// A downtime was corrected: its reason, its times, or that it is one at all.
    DOWNTIME_AMENDED: Machine, payload::downtime::Data<'static> = "andon.downtime.amended.v1";
    /// Parts were counted.
    PRODUCTION_COUNTED: Machine, payload::production::Data<'static> = "andon.production.counted.v1";
    /// An order runs.
    ORDER_STARTED: Machine, payload::order::Data<'static> = "andon.order.started.v1";
    /// An order is over.
    ORDER_ENDED: Machine, payload::order::Data<'static> = "andon.order.ended.v1";
    /// A shift (or day) is over, and these are its figures.
    SHIFT_STATED: Machine, payload::shift::Data<'static> = "andon.shift.stated.v1";
    /// Something that somebody should know.
    NOTICE_RAISED: Machine Gateway, payload::notice::Data<'static> = "andon.notice.raised.v1";
}

/// Every channel: those of the pictures, then one for each kind of event and place.
fn channels() -> Vec<Channel> {
    let names = Names::template();
    let mut channels = vec![
        picture::<payload::picture::StateData<'_>>(
            "state",
            names.state_topic(MACHINE),
            "The live picture of a machine.",
        ),
        picture::<payload::picture::OeeData<'_>>("oee", names.oee_topic(MACHINE), "OEE so far, every 10 s."),
        picture::<payload::picture::DowntimeData<'_>>("downtime", names.downtime_topic(MACHINE), "The open downtime."),
        Channel {
            qos: 1,
            ..picture::<payload::picture::Status<'_>>("status", names.status_topic(), "Whether the gateway is there.")
        },
    ];
    for (message, places) in EVENTS {
        for place in *places {
            let kind = message.name.split('.').nth(1).unwrap_or_default();
            let (name, owner) = match place {
                Place::Machine => (format!("event.{kind}"), Some((LINE, MACHINE))),
                Place::Gateway => (format!("gateway.event.{kind}"), None),
            };
            match channels.iter_mut().find(|channel| channel.name == name) {
                Some(channel) => channel.messages.push(*message),
                None => channels.push(Channel {
                    name,
                    says: match place {
                        Place::Machine => {
                            "Durable events of a machine, in order; never the same sequence with other bytes."
                        }
                        Place::Gateway => "Durable events that belong to no machine.",
                    },
                    address: names.event_topic(&topic_key(GATEWAY, owner, kind)),
                    way: Way::Out,
                    retained: false,
                    qos: 1,
                    messages: vec![*message],
                }),
            }
        }
    }
    channels
}

const EVENT: &str = "application/cloudevents+json";
const PLAIN: &str = "application/json";

const LINE: &str = "{line}";
const MACHINE: &str = "{machine}";
const GATEWAY: &str = "{gateway}";

/// What stands in braces in an address, and what it is.
const PARAMETERS: [(&str, &str, &str); 5] = [
    ("prefix", "`[mqtt] prefix`: first part of every topic; without one it is left out, with its slash.", "andon/v1"),
    (
        "path",
        "`[gateway] path`: ISA-95 enterprise/site/area, three levels or as many as were given.",
        "acme/leipzig/hall-3",
    ),
    ("line", "`[[machine]] line`", "line-2"),
    ("machine", "`[[machine]] id`", "press-7"),
    ("gateway", "`[gateway] id`", "gw-hall-3"),
];

impl Names {
    /// Names that stand for any: the addresses come from the very functions that make topics.
    fn template() -> Names {
        let names = MachineNames { line: LINE.to_owned(), asset: String::new() };
        Names {
            prefix: "{prefix}".to_owned(),
            path: "{path}".to_owned(),
            gateway: GATEWAY.to_owned(),
            machines: BTreeMap::from([(MACHINE.to_owned(), names)]),
            wall: Wall::default(),
        }
    }
}

/// A retained picture under its name.
fn picture<D: JsonSchema>(name: &'static str, address: String, says: &'static str) -> Channel {
    Channel {
        name: name.to_owned(),
        says,
        address,
        way: Way::Out,
        retained: true,
        qos: 0,
        messages: vec![Message { name, says, content: PLAIN, schema: |_, generator| D::json_schema(generator) }],
    }
}

/// The envelope around a `D`, of this type and no other.
fn cloud_event<D: JsonSchema>(name: &'static str, generator: &mut SchemaGenerator) -> Schema {
    let mut schema = CloudEvent::<'_, D>::json_schema(generator);
    if let Some(r#type) = schema.pointer_mut("/properties/type") {
        *r#type = serde_json::json!({ "const": name, "type": "string" });
    }
    schema
}

/// The JSON Schema (2020-12) of everything that is told and taken, by type and name under `$defs`.
pub fn events() -> Value {
    document::events(&channels())
}

/// The AsyncAPI 3.0 document.
pub fn asyncapi() -> Value {
    document::asyncapi(&channels())
}
