//! What the AsyncAPI document says of commands in, commands out: such as it describes, and such as nobody should send.
#![allow(dead_code, unreachable_pub, reason = "each test file takes what it needs")]

use jsonschema::Validator;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Commands of every verb, as the document describes them.
pub struct Verbs {
    schemas: Value,
    validators: BTreeMap<String, Validator>,
    pub chance: fastrand::Rng,
    /// Ids that mean something to the gateway.
    pub ids: Vec<String>,
    /// A time that it remembers. RFC 3339.
    pub at: String,
}

/// Who may send everything about a machine, and who nothing at all.
pub const PANEL: &str = "panel";
pub const NOBODY: [&str; 3] = ["nobody", "board", "mes "];

impl Verbs {
    pub fn of(asyncapi: &Value, seed: u64) -> Verbs {
        let components = &asyncapi["components"];
        let schemas = components["schemas"].clone();
        let names = schemas.as_object().unwrap().keys();
        let verbs = names.filter_map(|name| name.strip_prefix("command.")).map(str::to_owned);
        let validator = |verb: String| {
            let reference = format!("#/components/schemas/command.{verb}");
            let schema = json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": reference, "components": components,
            });
            (verb, jsonschema::options().should_validate_formats(true).build(&schema).unwrap())
        };
        Verbs {
            validators: verbs.map(validator).collect(),
            schemas,
            chance: fastrand::Rng::with_seed(seed),
            ids: Vec::new(),
            at: "2026-11-23T07:00:00+01:00".to_owned(),
        }
    }

    pub fn names(&self) -> Vec<String> {
        self.validators.keys().cloned().collect()
    }

    /// Whether these bytes are a command of this verb, as the document has it.
    pub fn is_described(&self, verb: &str, body: &[u8]) -> bool {
        let Some(validator) = self.validators.get(verb) else { return false };
        serde_json::from_slice::<Value>(body).is_ok_and(|body| validator.is_valid(&body))
    }

    /// One that the document describes; not always one that makes sense.
    pub fn command(&mut self, verb: &str, command_id: &str, by: &str) -> Value {
        let schema = self.schemas[format!("command.{verb}")].clone();
        let mut command = self.instance(&schema);
        command["command_id"] = json!(command_id);
        command["by"] = json!(by);
        // They have cases of their own.
        for key in ["at", "expires_at"] {
            command.as_object_mut().unwrap().remove(key);
        }
        command
    }

    fn instance(&mut self, schema: &Value) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap();
            let schema = self.schemas[name].clone();
            return self.instance(&schema);
        }
        for key in ["enum", "anyOf", "oneOf"] {
            if let Some(choices) = schema[key].as_array() {
                let choice = &choices[self.chance.usize(..choices.len())];
                return if key == "enum" { choice.clone() } else { self.instance(choice) };
            }
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::Array(types) => types.iter().map(|one| one.as_str().unwrap()).collect(),
            one => vec![one.as_str().unwrap_or("null")],
        };
        match types[self.chance.usize(..types.len())] {
            "string" => self.text(schema),
            "integer" => {
                let whole = |key: &str| schema[key].as_i64();
                let range = (whole("minimum").unwrap_or(-1 << 50), whole("maximum").unwrap_or(1 << 50));
                let small = (range.0.max(-20), range.1.min(20));
                let (least, most) = if self.chance.bool() && small.0 <= small.1 { small } else { range };
                json!(self.chance.i64(least..=most))
            }
            "number" => json!(schema["minimum"].as_f64().unwrap_or_default() + self.chance.f64()),
            "boolean" => json!(self.chance.bool()),
            "array" => {
                let items = (0..self.chance.usize(..4)).map(|_| self.instance(&schema["items"]));
                Value::Array(items.collect())
            }
            "object" => self.object(schema),
            _ => Value::Null,
        }
    }

    fn object(&mut self, schema: &Value) -> Value {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut object = Map::new();
        for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
            if required.contains(&key.as_str()) || self.chance.bool() {
                object.insert(key.clone(), self.instance(schema));
            }
        }
        if schema["additionalProperties"].is_object() {
            for topic in ["line-2/press-7/downtime", "_gateway/gw/notice", "x"].iter().take(self.chance.usize(..4)) {
                object.insert((*topic).to_owned(), self.instance(&schema["additionalProperties"]));
            }
        }
        Value::Object(object)
    }

    fn text(&mut self, schema: &Value) -> Value {
        match schema["format"].as_str() {
            Some("uuid") if !self.ids.is_empty() && self.chance.bool() => {
                json!(self.ids[self.chance.usize(..self.ids.len())])
            }
            Some("uuid") => json!(format!("019ab0f3-2a40-7000-8000-{:012x}", self.chance.u64(..1 << 48))),
            Some("date-time") => json!(self.at),
            _ => {
                let most = schema["maxLength"].as_u64().map_or(64, |most| usize::try_from(most).unwrap());
                let words = [
                    "mech.jam", "cleaning", "A-4711", "1s", "700/min", "press-7", "P-1", "EQ-1", "Öl 🛢", "<b>", "'; --",
                ];
                match self.chance.u8(..12) {
                    0 => json!("x".repeat(most)),
                    _ => json!(words[self.chance.usize(..words.len())].chars().take(most).collect::<String>()),
                }
            }
        }
    }

    /// A command with something wrong in it, or in its bytes. It may still be one that is described.
    pub fn bent(&mut self, command: &Value) -> Vec<u8> {
        let mut command = command.clone();
        let raws =
            ["NaN", "-Infinity", "1e999", "-1e400", "9223372036854775808", "1.0e0", "1e3", "0x10", "'x'", "undefined"];
        let huge = "9".repeat(400);
        let wrong = [
            Value::Null,
            json!(true),
            json!(-1),
            json!(1.5),
            json!(i64::MAX),
            json!(u64::MAX),
            json!(""),
            json!("\u{0}\u{1b}[2J"),
            json!("x".repeat(3000)),
            json!([]),
            json!({}),
            json!([[[[{}]]]]),
            json!("RAW"),
            json!("019ab0f3"),
            json!("2026-02-30T25:61:61Z"),
            json!("2026-11-23T07:00:00"),
            json!("+999999-12-31T23:59:59Z"),
        ];
        let keys: Vec<String> = command.as_object().unwrap().keys().cloned().collect();
        let key = keys[self.chance.usize(..keys.len())].clone();
        let wrong = wrong[self.chance.usize(..wrong.len())].clone();
        match self.chance.u8(..10) {
            0..=3 => *self.somewhere(&mut command) = wrong,
            4 => _ = command.as_object_mut().unwrap().remove(&key),
            5 => command["no_such_key"] = wrong,
            6 => {
                let value = command.as_object_mut().unwrap().remove(&key).unwrap();
                command[format!("{key}_")] = value;
            }
            7 => command = json!([command]),
            _ => {}
        }
        let raw = if self.chance.u8(..8) == 0 { &huge } else { raws[self.chance.usize(..raws.len())] };
        let mut body = command.to_string().replace("\"RAW\"", raw).into_bytes();
        match self.chance.u8(..12) {
            0 => body.truncate(self.chance.usize(..body.len())),
            1 | 2 => {
                for _ in 0..self.chance.usize(1..4) {
                    let at = self.chance.usize(..body.len());
                    body[at] = self.chance.u8(..);
                }
            }
            3 => {
                let at = self.chance.usize(..body.len());
                let piece: Vec<u8> = (0..self.chance.usize(1..9)).map(|_| self.chance.u8(..)).collect();
                body.splice(at..at, piece);
            }
            4 => {
                let (from, to) = (self.chance.usize(..body.len()), self.chance.usize(..body.len()));
                let piece = body[from.min(to)..from.max(to)].to_vec();
                body.splice(from..from, piece);
            }
            _ => {}
        }
        body
    }

    /// A value, however deep.
    fn somewhere<'a>(&mut self, value: &'a mut Value) -> &'a mut Value {
        let inner = match value {
            Value::Object(object) => object.len(),
            Value::Array(items) => items.len(),
            _ => 0,
        };
        if inner == 0 {
            return value;
        }
        let nth = self.chance.usize(..inner);
        match value {
            Value::Object(object) => self.somewhere(object.values_mut().nth(nth).unwrap()),
            Value::Array(items) => self.somewhere(&mut items[nth]),
            value => value,
        }
    }
}
