//! Messages in, what is not as the AsyncAPI document has it out: every key that comes must stand there.
#![allow(dead_code, unreachable_pub, reason = "each test file takes what it needs")]

use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The document, to be held against messages.
pub struct Described {
    channels: Vec<Channel>,
    /// By name: the type of an event, or what a picture or a command is.
    messages: BTreeMap<String, Validator>,
}

struct Channel {
    /// The levels behind prefix and path; `None` is a parameter.
    levels: Vec<Option<String>>,
    is_sent: bool,
    messages: Vec<String>,
}

impl Described {
    pub fn of(asyncapi: &Value) -> Described {
        let mut components = asyncapi["components"].clone();
        close(&mut components["schemas"]);
        let names = asyncapi["components"]["messages"].as_object().unwrap().keys();
        let validator = |name: &String| {
            let reference = components["messages"][name]["payload"]["$ref"].clone();
            let schema = json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": reference, "components": components,
            });
            jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
        };
        let operations = asyncapi["operations"].as_object().unwrap();
        let channels = asyncapi["channels"].as_object().unwrap().iter().map(|(name, channel)| {
            let reference = format!("#/channels/{name}");
            let sends = |operation: &Value| operation["channel"]["$ref"] == *reference && operation["action"] == "send";
            let behind = channel["address"].as_str().unwrap().strip_prefix("{prefix}/{path}/").unwrap();
            let level = |level: &str| (!level.starts_with('{')).then(|| level.to_owned());
            Channel {
                levels: behind.split('/').map(level).collect(),
                is_sent: operations.values().any(sends),
                messages: channel["messages"].as_object().unwrap().keys().cloned().collect(),
            }
        });
        Described {
            channels: channels.collect(),
            messages: names.map(|name| (name.clone(), validator(name))).collect(),
        }
    }

    /// What is wrong with a message of andon at this topic; what others send to it is theirs.
    pub fn fault(&self, topic: &str, body: &[u8]) -> Option<String> {
        // An empty body takes a retained picture away.
        if body.is_empty() {
            return None;
        }
        let fits = self.channels.iter().filter(|channel| channel.fits(topic));
        // `_gateway` is also a level that a parameter would fit.
        let Some(channel) = fits.max_by_key(|channel| channel.levels.iter().flatten().count()) else {
            // Anybody may ask for what there is not.
            let is_asked = topic.rsplit('/').nth(1) == Some("command");
            return (!is_asked).then(|| format!("{topic}: no channel has this address"));
        };
        if !channel.is_sent {
            return None;
        }
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return Some(format!("{topic}: no JSON"));
        };
        let faults: Vec<String> = match body["type"].as_str().filter(|_| body["specversion"] == "1.0") {
            Some(r#type) if channel.messages.iter().any(|name| name == r#type) => {
                self.event(&body).into_iter().collect()
            }
            Some(r#type) => vec![format!("{} is not told here", r#type)],
            None => {
                let faults: Vec<_> = channel.messages.iter().map(|name| faults(&self.messages[name], &body)).collect();
                if faults.iter().any(Option::is_none) { Vec::new() } else { faults.into_iter().flatten().collect() }
            }
        };
        (!faults.is_empty()).then(|| format!("{topic}: {}\n{body:#}", faults.join("\n")))
    }

    /// What is wrong with an event, wherever it was told.
    pub fn event(&self, body: &Value) -> Option<String> {
        let r#type = body["type"].as_str().unwrap_or_default();
        match self.messages.get(r#type) {
            Some(validator) => faults(validator, body),
            None => Some(format!("no message has the type {type:?}")),
        }
    }

    /// What is wrong with one message of this name.
    pub fn message(&self, name: &str, body: &Value) -> Option<String> {
        faults(&self.messages[name], body)
    }
}

impl Channel {
    fn fits(&self, topic: &str) -> bool {
        let levels: Vec<&str> = topic.rsplitn(self.levels.len() + 1, '/').take(self.levels.len()).collect();
        let same = |(level, is): (&Option<String>, &&str)| level.as_ref().is_none_or(|level| level == is);
        levels.len() == self.levels.len() && self.levels.iter().rev().zip(&levels).all(same)
    }
}

fn faults(validator: &Validator, body: &Value) -> Option<String> {
    let all: Vec<String> =
        validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    (!all.is_empty()).then(|| all.join("\n"))
}

/// No object takes a key that its schema does not name.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(close);
            // The keys of a schema itself; under `properties` one may be called so as well.
            if object.get("type").is_some_and(|name| name == "object") && object.contains_key("properties") {
                object.entry("additionalProperties").or_insert(Value::Bool(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
