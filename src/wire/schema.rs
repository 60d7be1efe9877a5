//! The registry of all that goes over the broker in, the JSON Schemas and the AsyncAPI document of it out.
//!
//! **To add a kind of event** (`andon.<kind>.<change>.v1`): one line in `events!` below, with the place that tells it, the
//! type of its `data` (deriving `JsonSchema`) and its `type`. `envelope` can seal only what stands there, and only with
//! `data` of that type, so nothing can be told that is not described. **To add a command**: one line in `commands!`, with
//! the place, the verb and the struct of its keys. **To add any other message** (a picture, what a consumer sends): one line
//! in `channels`. Then `ANDON_REFRESH=1 cargo test --test schema` writes the documents in `docs/` anew.

mod document;

use super::{
    MachineNames, Names,
    envelope::{Answer, CloudEvent},
    inbound, payload, receipt,
};
use crate::event::{Wall, topic_key};
use schemars::{
    JsonSchema, Schema, SchemaGenerator,
    generate::{Contract, SchemaSettings},
};
use serde_json::Value;
use std::{collections::BTreeMap, marker::PhantomData};

/// A type of CloudEvent whose `data` is a `D`.
pub(super) struct Kind<D> {
    pub(super) name: &'static str,
    data: PhantomData<fn() -> D>,
}

/// Where something is said: `Machine` is `P`, `Gateway` is `G`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Machine,
    Gateway,
}

/// Something that is said, as the documents describe it.
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
    /// andon takes it.
    In,
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
    /// The name of the channel of the answers to it.
    answers: Option<String>,
}

macro_rules! events {
    ($(#[doc = $says:literal] $name:ident: $($place:ident)+, $data:ty = $type:literal;)+) => {
        $(#[doc = $says] pub(super) const $name: Kind<$data> = Kind { name: $type, data: PhantomData };)+

        /// Every type of event, with where it is told.
        const EVENTS: &[(Message, &[Place])] = &[$((
            Message { name: $type, says: $says, content: EVENT, schema: sealed::<CloudEvent<'static, $data>> },
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
    /// An order is known.
    ORDER_STORED: Machine, payload::order::Data<'static> = "andon.order.stored.v1";
    /// An order runs.
    ORDER_STARTED: Machine, payload::order::Data<'static> = "andon.order.started.v1";
    /// An order rests.
    ORDER_PAUSED: Machine, payload::order::Data<'static> = "andon.order.paused.v1";
    /// An order runs again.
    ORDER_RESUMED: Machine, payload::order::Data<'static> = "andon.order.resumed.v1";
    /// An order is over.
    ORDER_ENDED: Machine, payload::order::Data<'static> = "andon.order.ended.v1";
    /// An order was given up.
    ORDER_ABORTED: Machine, payload::order::Data<'static> = "andon.order.aborted.v1";
    /// A stored order is not to be made.
    ORDER_CANCELLED: Machine, payload::order::Data<'static> = "andon.order.cancelled.v1";
    /// An order is another than was said, or something was learned of its time.
    ORDER_UPDATED: Machine, payload::order::Data<'static> = "andon.order.updated.v1";
    /// Somebody logged on or off at a machine.
    OPERATOR_CHANGED: Machine, payload::operator::Data<'static> = "andon.operator.changed.v1";
    /// Maintenance is asked for: a rule fired, or a person asked.
    WORK_REQUEST_RAISED: Machine, payload::work_request::Data<'static> = "andon.work-request.raised.v1";
    /// Something about a request changed: its stops, its reason, its priority, the work order that answers it.
    WORK_REQUEST_UPDATED: Machine, payload::work_request::Data<'static> = "andon.work-request.updated.v1";
    /// Nobody has to come: the stop was planned, or was none. Only before anybody accepted it.
    WORK_REQUEST_WITHDRAWN: Machine, payload::work_request::Data<'static> = "andon.work-request.withdrawn.v1";
    /// The CMMS told of a work order.
    WORK_ORDER_UPDATED: Machine, payload::work_order::Data<'static> = "andon.work-order.updated.v1";
    /// An asset is another in the register of the CMMS, or machines are bound to it that were not.
    ASSET_CHANGED: Gateway, payload::asset::Data<'static> = "andon.asset.changed.v1";
    /// The meter of an asset was read; of the gateway where its machine is no longer configured.
    METER_READ: Machine Gateway, payload::meter::Data<'static> = "andon.meter.read.v1";
    /// A shift (or day) is over, and these are its figures.
    SHIFT_STATED: Machine, payload::shift::Data<'static> = "andon.shift.stated.v1";
    /// Something that somebody should know.
    NOTICE_RAISED: Machine Gateway, payload::notice::Data<'static> = "andon.notice.raised.v1";
}

macro_rules! commands {
    ($(#[doc = $says:literal] $place:ident $verb:literal: $keys:ty;)+) => {
        /// Every command, with where it comes in.
        const COMMANDS: &[(Message, Place, &str)] = &[$((
            Message { name: concat!("command.", $verb), says: $says, content: PLAIN, schema: asked::<$keys> },
            Place::$place,
            $verb,
        )),+];
    };
}

commands! {
    /// Stores, starts, pauses, resumes, stops, aborts, cancels or changes a job order (OPC 10031-4).
    Machine "order": inbound::order::Order;
    /// Says that somebody logs on or off.
    Machine "operator": inbound::operator::Operator;
    /// Says what a downtime was, splits or merges it, or claims unknown time.
    Machine "reason": inbound::reason::Reason;
    /// Says that good parts were none.
    Machine "scrap": inbound::scrap::Scrap;
    /// Tells what became of a work request, or of a downtime that the CMMS knows of.
    Machine "work-order": inbound::work_order::WorkOrder;
    /// A person asks for maintenance.
    Machine "work-request": inbound::work_request::WorkRequest;
    /// The CMMS tells of its assets: all there are, in parts, or some that are new or others.
    Gateway "asset": inbound::asset::Asset;
    /// Asks for events once more, on a topic of the consumer's own.
    Gateway "replay": inbound::replay::Replay;
}

/// The answer to a command.
pub(super) const REPLY: Kind<payload::reply::Data<'static>> = Kind { name: "andon.reply.v1", data: PhantomData };

/// Every channel: the pictures, one for each kind of event and place, the commands and their answers.
fn channels() -> Vec<Channel> {
    let names = Names::template();
    let mut channels = vec![
        picture::<payload::picture::StateData<'_>>("state", names.state_topic(MACHINE), "What a machine does now."),
        picture::<payload::picture::OeeData<'_>>("oee", names.oee_topic(MACHINE), "OEE so far, every 10 s."),
        picture::<payload::picture::DowntimeData<'_>>("downtime", names.downtime_topic(MACHINE), "The open downtime."),
        picture::<payload::meter::Picture<'_>>("meter", names.meter_topic(MACHINE), "The meter of a machine's asset."),
        Channel {
            qos: 1,
            ..picture::<payload::picture::Status<'_>>("status", names.status_topic(), "Whether the gateway is there.")
        },
        picture::<payload::digest::Data<'_>>(
            "digest",
            names.digest_topic(),
            "What was told, to hold one's books against.",
        ),
    ];
    for (message, places) in EVENTS {
        for place in *places {
            let kind = message.name.split('.').nth(1).unwrap_or_default();
            let name = place.named(&format!("event.{kind}"));
            if let Some(channel) = channels.iter_mut().find(|channel| channel.name == name) {
                channel.messages.push(*message);
                continue;
            }
            let owner = place.machine().map(|machine| (LINE, machine));
            channels.push(Channel {
                name,
                says: match place {
                    Place::Machine => "Durable events of a machine, in order.",
                    Place::Gateway => "Durable events that belong to no machine, in order.",
                },
                address: names.event_topic(&topic_key(GATEWAY, owner, kind)),
                ..Channel::of(Way::Out, *message)
            });
        }
    }
    for (message, place, verb) in COMMANDS {
        channels.push(Channel {
            name: place.named(message.name),
            says: "A command; refused if retained. Under a `command_id` that is known it is not carried out, but answered again.",
            address: names.command_topic(place.machine(), verb),
            answers: Some(place.named("reply")),
            ..Channel::of(Way::In, *message)
        });
    }
    for place in [Place::Machine, Place::Gateway] {
        let schema = sealed::<Answer<'static, payload::reply::Data<'static>>>;
        let answer = Message { name: REPLY.name, says: "What became of a command.", content: EVENT, schema };
        let asked = names.command_topic(place.machine(), "+");
        channels.push(Channel {
            name: place.named("reply"),
            says: "One answer to each command.",
            address: names.addressed(&asked).map(|at| at.reply_topic).unwrap_or_default(),
            ..Channel::of(Way::Out, answer)
        });
    }
    let receipt = Message { name: "receipt", says: "What a consumer holds.", content: PLAIN, schema: received };
    channels.push(Channel {
        says: "A consumer holds everything on its topics up to a sequence: after each digest, at least every 60 s.",
        address: names.receipt_topic(CONSUMER),
        ..Channel::of(Way::In, receipt)
    });
    let schema: fn(_, &mut SchemaGenerator) -> Schema =
        |_, generator| payload::digest::Done::<'_>::json_schema(generator);
    let done = Message { name: "replay.done", says: "A replay is over.", content: PLAIN, schema };
    channels.push(Channel {
        name: "replay".to_owned(),
        says: "Events sent again, byte for byte and in order, then one word that it is over.",
        address: names.replay_topic(CONSUMER),
        messages: EVENTS.iter().map(|(message, _)| *message).chain([done]).collect(),
        ..Channel::of(Way::Out, done)
    });
    channels
}

const EVENT: &str = "application/cloudevents+json";
const PLAIN: &str = "application/json";

const LINE: &str = "{line}";
const MACHINE: &str = "{machine}";
const GATEWAY: &str = "{gateway}";
const CONSUMER: &str = "{consumer}";

/// What stands in braces in an address, what it is, and an example.
const PARAMETERS: [(&str, &str, &str); 6] = [
    ("prefix", "`[mqtt] prefix`: first part of every topic; without one it is left out, with its slash.", "andon/v1"),
    (
        "path",
        "`[gateway] path`: ISA-95 enterprise/site/area, three levels or as many as were given.",
        "acme/leipzig/hall-3",
    ),
    ("line", "`[[machine]] line`", "line-2"),
    ("machine", "`[[machine]] id`", "press-7"),
    ("gateway", "`[gateway] id`", "gw-hall-3"),
    ("consumer", "`[[consumer]] id`", "mes"),
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
            shows_persons: false,
        }
    }
}

impl Place {
    /// The machine that stands for any.
    fn machine(self) -> Option<&'static str> {
        (self == Place::Machine).then_some(MACHINE)
    }

    /// The name of a channel here.
    fn named(self, what: &str) -> String {
        match self {
            Place::Machine => what.to_owned(),
            Place::Gateway => format!("gateway.{what}"),
        }
    }
}

impl Channel {
    /// For one message, not retained, at least once.
    fn of(way: Way, message: Message) -> Channel {
        Channel {
            name: message.name.to_owned(),
            says: message.says,
            address: String::new(),
            way,
            retained: false,
            qos: 1,
            messages: vec![message],
            answers: None,
        }
    }
}

/// A retained picture under its name.
fn picture<D: JsonSchema>(name: &'static str, address: String, says: &'static str) -> Channel {
    let message = Message { name, says, content: PLAIN, schema: |_, generator| D::json_schema(generator) };
    Channel { address, retained: true, qos: 0, ..Channel::of(Way::Out, message) }
}

/// An envelope of this type and no other.
fn sealed<E: JsonSchema>(name: &'static str, generator: &mut SchemaGenerator) -> Schema {
    let mut schema = E::json_schema(generator);
    if let Some(r#type) = schema.pointer_mut("/properties/type") {
        *r#type = serde_json::json!({ "const": name, "type": "string" });
    }
    schema
}

/// What somebody else says with these keys, beside those that every command has; nothing else may stand in it.
fn asked<K: JsonSchema>(_: &'static str, _: &mut SchemaGenerator) -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.contract = Contract::Deserialize;
        settings.inline_subschemas = true;
    });
    let mut generator = settings.into_generator();
    let (mut whole, keys) = (inbound::Common::json_schema(&mut generator), K::json_schema(&mut generator));
    for (key, value) in keys.as_object().into_iter().flatten() {
        match (whole.get_mut(key), value) {
            (Some(Value::Object(all)), Value::Object(own)) => all.extend(own.clone()),
            (Some(Value::Array(all)), Value::Array(own)) => all.extend(own.clone()),
            _ => _ = whole.insert(key.clone(), value.clone()),
        }
    }
    whole
}

/// What a consumer sends, whatever else stands in it.
fn received(_: &'static str, _: &mut SchemaGenerator) -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.contract = Contract::Deserialize;
        settings.inline_subschemas = true;
    });
    receipt::Body::json_schema(&mut settings.into_generator())
}

/// The JSON Schema (2020-12) of everything that is said, by type and name under `$defs`.
pub fn events() -> Value {
    document::events(&channels())
}

/// The AsyncAPI 3.0 document.
pub fn asyncapi() -> Value {
    document::asyncapi(&channels())
}
