//! Channels in, the two documents about them out, always in the same order.

use super::{Channel, Message, PARAMETERS, PLAIN, Way};
use schemars::{
    Schema, SchemaGenerator,
    generate::{Contract, SchemaSettings},
    transform::transform_subschemas,
};
use serde_json::{Map, Value, json};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Version of the MQTT bindings of AsyncAPI.
const BINDINGS: &str = "0.2.0";

pub(super) fn events(channels: &[Channel]) -> Value {
    const PATH: &str = "#/$defs/";
    let definitions = schemas(channels, PATH);
    let any: Vec<Value> =
        messages(channels).map(|message| json!({ "$ref": format!("{PATH}{}", message.name) })).collect();
    json!({
        "$schema": DIALECT,
        "title": "What goes over MQTT to and from andon",
        "description": "Each message by the `type` of its CloudEvent or by its name under `$defs`. Times are RFC 3339 in UTC \
            with milliseconds, durations integers of milliseconds, ratios numbers. A key never vanishes, what is absent is \
            `null`; keys may be added.",
        "anyOf": any,
        "$defs": definitions,
    })
}

pub(super) fn asyncapi(channels: &[Channel]) -> Value {
    let variables = json!({
        "host": { "description": "Of `[mqtt] brokers`.", "default": "127.0.0.1" },
        "port": { "description": "Of `[mqtt] brokers`; 1883 and 8883 where none is given.", "default": "1883" },
    });
    let server = |protocol: &str, description: &str| {
        json!({
            "host": "{host}:{port}", "protocol": protocol, "protocolVersion": "3.1.1", "description": description,
            "variables": variables,
        })
    };
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "andon",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "An edge gateway between PLCs and MES and CMMS: one downtime event, one id, one number. Durable events \
                are CloudEvents 1.0 in structured JSON mode, at least once and in the order of their `sequence`: drop what \
                has a known `source` + `id`, keep the highest `revision` of a `subject`. Pictures are plain retained JSON, \
                always the newest. Times are RFC 3339 in UTC with milliseconds, durations integers of milliseconds, ratios \
                numbers. A key never vanishes, what is absent is `null`; keys may be added, none is renamed.",
            "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0.html" },
        },
        "defaultContentType": PLAIN,
        "servers": {
            "broker": server("mqtt", "The plant's broker: any that speaks MQTT 3.1.1."),
            "secureBroker": server("secure-mqtt", "The same over TLS."),
        },
        "channels": channels.iter().map(|channel| (channel.name.clone(), described(channel))).collect::<Map<_, _>>(),
        "operations": channels.iter().map(operation).collect::<Map<_, _>>(),
        "components": {
            "messages": messages(channels).map(|message| (message.name.to_owned(), told(&message))).collect::<Map<_, _>>(),
            "schemas": schemas(channels, "#/components/schemas/"),
        },
    })
}

fn described(channel: &Channel) -> Value {
    let parameters: Map<String, Value> = PARAMETERS
        .into_iter()
        .filter(|(name, ..)| channel.address.contains(&format!("{{{name}}}")))
        .map(|(name, says, example)| (name.to_owned(), json!({ "description": says, "examples": [example] })))
        .collect();
    let messages = channel
        .messages
        .iter()
        .map(|message| (message.name.to_owned(), json!({ "$ref": format!("#/components/messages/{}", message.name) })));
    json!({
        "address": channel.address,
        "description": channel.says,
        "messages": messages.collect::<Map<_, _>>(),
        "parameters": parameters,
    })
}

fn operation(channel: &Channel) -> (String, Value) {
    let action = match channel.way {
        Way::Out => "send",
        Way::In => "receive",
    };
    let name = pointer(&channel.name);
    let messages = channel.messages.iter();
    let told: Vec<Value> = messages
        .map(|message| json!({ "$ref": format!("#/channels/{name}/messages/{}", pointer(message.name)) }))
        .collect();
    let mut operation = json!({
        "action": action,
        "channel": { "$ref": format!("#/channels/{name}") },
        "messages": told,
        "bindings": { "mqtt": { "qos": channel.qos, "retain": channel.retained, "bindingVersion": BINDINGS } },
    });
    if let Some(answers) = &channel.answers {
        operation["reply"] = json!({ "channel": { "$ref": format!("#/channels/{}", pointer(answers)) } });
    }
    (format!("{action}.{}", channel.name), operation)
}

fn told(message: &Message) -> Value {
    json!({
        "name": message.name,
        "title": message.name,
        "summary": message.says.trim(),
        "contentType": message.content,
        "payload": { "$ref": format!("#/components/schemas/{}", message.name) },
    })
}

/// Each message once, in the order of the channels.
fn messages(channels: &[Channel]) -> impl Iterator<Item = Message> {
    let mut seen = Vec::new();
    channels.iter().flat_map(|channel| channel.messages.iter().copied()).filter(move |message| {
        let is_new = !seen.contains(&message.name);
        seen.push(message.name);
        is_new
    })
}

/// The schemas of all messages, then those that they share, by name.
fn schemas(channels: &[Channel], path: &str) -> Map<String, Value> {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = path.trim_start_matches('#').trim_end_matches('/').to_owned().into();
            settings.contract = Contract::Serialize;
            settings.meta_schema = None;
        })
        .into_generator();
    let mut all: Map<String, Value> = messages(channels)
        .map(|message| {
            let mut schema = (message.schema)(message.name, &mut generator);
            schema.insert("title".to_owned(), message.name.into());
            schema.insert("description".to_owned(), message.says.trim().into());
            (message.name.to_owned(), plain(schema))
        })
        .collect();
    let mut shared: Vec<(String, Value)> = definitions(&mut generator).into_iter().collect();
    shared.sort_by(|(a, _), (b, _)| a.cmp(b));
    all.extend(shared);
    all
}

fn definitions(generator: &mut SchemaGenerator) -> Map<String, Value> {
    let definitions = generator.take_definitions(false);
    definitions.into_iter().map(|(name, schema)| (name, Schema::try_from(schema).map_or(Value::Null, plain))).collect()
}

fn plain(mut schema: Schema) -> Value {
    simplify(&mut schema);
    schema.to_value()
}

/// What tools read best: a word is an `enum` whose description says what each means, an integer has 64 bits, and that a key
/// which is left out is as good as `null` goes without saying.
fn simplify(schema: &mut Schema) {
    transform_subschemas(&mut simplify, schema);
    let Some(object) = schema.as_object_mut() else { return };
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    if object
        .get("format")
        .is_some_and(|format| ["uint8", "uint16", "uint32", "uint64"].iter().any(|one| format == one))
    {
        object.insert("format".to_owned(), "int64".into());
    }
    let words: Option<Vec<(Value, String)>> = object.get("oneOf").and_then(Value::as_array).and_then(|either| {
        let word = |one: &Value| {
            let says = one.get("description").and_then(Value::as_str).unwrap_or_default();
            Some((one.get("const")?.clone(), says.to_owned()))
        };
        either.iter().map(word).collect()
    });
    if let Some(words) = words {
        object.remove("oneOf");
        let mut says = object.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
        for (word, meaning) in &words {
            says = format!("{says}\n- `{}`: {meaning}", word.as_str().unwrap_or_default());
        }
        object.insert("description".to_owned(), says.into());
        object.insert("type".to_owned(), "string".into());
        object.insert("enum".to_owned(), words.into_iter().map(|(word, _)| word).collect());
    }
}

/// A name inside a JSON pointer.
fn pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
