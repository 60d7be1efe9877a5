//! The bytes of a command in, what is asked for out, or a refusal that says what is wrong and where.
//!
//! A command is one JSON object: the keys of [`Common`], which all verbs share, beside those of its verb. Nothing that is
//! not known is passed over, so that a slip of the pen changes nothing. One file a verb: a struct of its keys, and what
//! they mean as a [`Wish`](crate::event::command::Wish); a new verb is one more arm of [`read`].

pub mod operator;
pub mod order;
pub mod asset;
pub mod reason;
pub mod replay;
pub mod scrap;
pub mod work_order;
pub mod work_request;

use crate::event::{
    Stamp,
    command::{Command, Refusal},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error as _};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Longest command. Bytes.
pub const COMMAND_BYTES: usize = 64 << 10;

/// Objects and lists inside one another, at most.
const DEEP: usize = 16;

/// What every command says, whatever it asks for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Common {
    /// The sender's own: sent again under the same id, a command changes nothing twice and is answered again.
    pub command_id: Text<128>,
    /// Who sends it: a `[[consumer]]`, or a name in `[commands] from`.
    pub by: Text<64>,
    /// From when on it takes effect, RFC 3339 with an offset; when left out: when it arrives.
    #[serde(default)]
    pub at: Option<Moment>,
    /// Not to be carried out later than this, RFC 3339 with an offset.
    #[serde(default)]
    pub expires_at: Option<Moment>,
    /// Why, in the sender's words.
    #[serde(default)]
    pub comment: Option<Text<2000>>,
}

/// What was read of a command, as far as it could be read: enough to answer whoever sent it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// As sent.
    pub command_id: Option<String>,
    /// As sent.
    pub by: Option<String>,
    /// Not later than this, by the wall clock.
    pub expires_at: Option<Stamp>,
    /// What is asked for; times in it by the wall clock.
    pub command: Result<Command, Refusal>,
}

/// Reads a command that arrived at `now`, a time of the wall clock.
pub fn read(verb: &str, body: &[u8], now: Stamp) -> Asked {
    let refused = |command_id, by, refusal| Asked { command_id, by, expires_at: None, command: Err(refusal) };
    let mut whole = match object(body) {
        Ok(whole) => whole,
        Err(refusal) => return refused(None, None, refusal),
    };
    let word =
        |key: &str| whole.get(key).and_then(Value::as_str).map(|text| text.chars().take(128).collect::<String>());
    let (command_id, by) = (word("command_id"), word("by"));
    let keys = ["command_id", "by", "at", "expires_at", "comment"];
    let common: Map<String, Value> = keys.iter().filter_map(|key| whole.shift_remove_entry(*key)).collect();
    let common: Common = match fields(common) {
        Ok(common) => common,
        Err(refusal) => return refused(command_id, by, refusal),
    };
    let wish = match verb {
        "operator" => fields(whole).and_then(operator::wish),
        "order" => fields(whole).and_then(order::wish),
        "asset" => fields(whole).and_then(asset::wish),
        "reason" => fields(whole).and_then(reason::wish),
        "scrap" => fields(whole).and_then(scrap::wish),
        "replay" => fields(whole).map(replay::wish),
        "work-order" => fields(whole).and_then(work_order::wish),
        "work-request" => fields(whole).and_then(work_request::wish),
        _ => Err(Refusal::new("unknown_verb", format!("there is no command `{verb}`"))),
    };
    let expires_at = common.expires_at.map(|moment| moment.0);
    let command = wish.map(|wish| Command {
        command_id: common.command_id.0.clone(),
        by: common.by.0.clone(),
        comment: common.comment.map(|text| text.0),
        at: common.at.map_or(now, |moment| moment.0),
        wish,
    });
    Asked { command_id: Some(common.command_id.0), by: Some(common.by.0), expires_at, command }
}

/// Keys that name a person, of any verb.
const PERSONS: [&str; 2] = ["operator", "technician"];

/// A command as it may be kept where ids of persons may not: they are `null`, and of one that may name a person and cannot
/// be read nothing is left.
pub fn without_persons(verb: &str, body: Vec<u8>) -> Vec<u8> {
    match object(&body) {
        Ok(mut whole) => {
            let named: Vec<_> = PERSONS.into_iter().filter(|key| whole.contains_key(*key)).collect();
            if named.is_empty() {
                return body;
            }
            named.into_iter().for_each(|key| whole[key] = Value::Null);
            Value::Object(whole).to_string().into_bytes()
        }
        Err(_) if ["operator", "work-order"].contains(&verb) => Vec::new(),
        Err(_) => body,
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if body.len() > COMMAND_BYTES {
        let text = format!("the command has {} bytes, at most {COMMAND_BYTES} are read", body.len());
        return Err(Refusal::new("too_large", text));
    }
    if depth(body) > DEEP {
        return Err(malformed(format!("objects and lists stand in one another more than {DEEP} deep")));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(whole)) => Ok(whole),
        Ok(_) => Err(malformed("the command is no JSON object".to_owned())),
        Err(error) => Err(malformed(format!("no JSON: {error}"))),
    }
}

/// Counted before anything is built of it.
fn depth(body: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut is_escaped) = (0_usize, 0, false, false);
    for byte in body {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn fields<T: DeserializeOwned>(map: Map<String, Value>) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(Value::Object(map)).map_err(|error| {
        let path = error.path().to_string();
        let what = error.into_inner();
        malformed(if path == "." { what.to_string() } else { format!("`{path}`: {what}") })
    })
}

fn malformed(text: String) -> Refusal {
    Refusal::new("malformed", text)
}

/// A text of at least one and at most `MOST` characters, none of which steers a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<const MOST: usize>(pub String);

impl<'de, const MOST: usize> Deserialize<'de> for Text<MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<MOST>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let length = text.chars().count();
        match length {
            0 => Err(D::Error::custom("an empty text")),
            _ if length > MOST => {
                Err(D::Error::custom(format!("a text of {length} characters, at most {MOST} are kept")))
            }
            _ if text.contains(|c: char| c.is_control() && c != '\n' && c != '\t') => {
                Err(D::Error::custom("a text with control characters"))
            }
            _ => Ok(Text(text)),
        }
    }
}

impl<const MOST: usize> JsonSchema for Text<MOST> {
    fn schema_name() -> Cow<'static, str> {
        format!("Text{MOST}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": MOST })
    }
}

/// A time of the wall clock; it must name its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub Stamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Moment, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed = text.parse::<jiff::Timestamp>().map_err(|error| match text.parse::<jiff::civil::DateTime>() {
            Ok(_) => D::Error::custom(format!("{text} names no offset: write Z or +01:00 behind it")),
            Err(_) => D::Error::custom(format!("{text} is no RFC 3339 time: {error}")),
        })?;
        Ok(Moment(Stamp::from_ms(parsed.as_millisecond())))
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// A key that may be left out, or be `null`, which says something else.
pub(super) fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests;
