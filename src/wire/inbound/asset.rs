//! `asset`: the CMMS tells of its assets, all of them in parts or some of them as they change.

use super::{Text, malformed, nullable};
use crate::event::{
    asset::{Record, Wish as Asked},
    command::{Refusal, Wish},
    meter::Readings,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};

/// No meter of a machine has run longer: 1000 years. Hours.
const MOST_HOURS: f64 = 8_766_000.0;

/// No meter of a machine counts further.
const MOST_CYCLES: i64 = 1 << 53;

/// Milliseconds of an hour.
const HOUR_MS: f64 = 3_600_000.0;

/// The keys of the verb.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    /// All assets there are, or some.
    mode: Mode,
    /// They.
    #[serde(alias = "records")]
    assets: Vec<Entry>,
    /// Of a full list: which one. All its parts say the same.
    #[serde(default)]
    sync_id: Option<Text<128>>,
    /// Of a full list: which part this is, from 1.
    #[serde(default)]
    part: Option<u32>,
    /// Of a full list: how many parts there are.
    #[serde(default)]
    parts: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// All: what is missing is retired.
    Full,
    /// Some: what a record does not say stays, `null` takes it away.
    Upsert,
}

/// One asset.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Its key: what `[[machine]] asset` names.
    id: Text<128>,
    /// For people.
    #[serde(default, deserialize_with = "nullable")]
    #[schemars(with = "Option<Text<200>>")]
    name: Option<Option<Text<200>>>,
    /// The key of what it is a part of.
    #[serde(default, deserialize_with = "nullable")]
    #[schemars(with = "Option<Text<128>>")]
    parent: Option<Option<Text<128>>>,
    /// Where it stands.
    #[serde(default, deserialize_with = "nullable")]
    #[schemars(with = "Option<Text<200>>")]
    location: Option<Option<Text<200>>>,
    /// How much hangs on it: a word or a number of the CMMS's own scale.
    #[serde(default, deserialize_with = "nullable")]
    #[schemars(with = "Option<Scale>")]
    criticality: Option<Option<Scale>>,
    /// In the CMMS's own words; `retired` is understood.
    #[serde(default, deserialize_with = "nullable")]
    #[schemars(with = "Option<Text<64>>")]
    status: Option<Option<Text<64>>>,
    /// What its meter reads: may raise the gateway's, never lower it.
    #[serde(default)]
    meters: Option<Meters>,
}

/// What a meter reads.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Meters {
    /// Running time, in hours …
    #[serde(default)]
    #[schemars(range(min = 0, max = 8_766_000))]
    run_hours: Option<f64>,
    /// … or in milliseconds.
    #[serde(default)]
    #[schemars(range(min = 0))]
    run_ms: Option<i64>,
    /// Cycles.
    #[serde(default)]
    #[schemars(range(min = 0))]
    cycles: Option<i64>,
}

/// A word or a number.
#[derive(Clone, Debug)]
struct Scale(String);

impl<'de> Deserialize<'de> for Scale {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scale, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(i64),
            Word(String),
        }
        let word = match Either::deserialize(deserializer) {
            Ok(Either::Number(number)) => number.to_string(),
            Ok(Either::Word(word)) => word,
            Err(_) => return Err(D::Error::custom("neither a text nor a whole number")),
        };
        let word = serde_json::Value::String(word);
        Text::<64>::deserialize(word).map(|word| Scale(word.0)).map_err(D::Error::custom)
    }
}

impl JsonSchema for Scale {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scale".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "integer"], "minLength": 1, "maxLength": 64 })
    }
}

pub(super) fn wish(keys: Asset) -> Result<Wish, Refusal> {
    let Asset { mode, assets, sync_id, part, parts } = keys;
    let records = assets.into_iter().map(record).collect::<Result<Vec<_>, _>>()?;
    match (mode, sync_id, part, parts) {
        (Mode::Upsert, None, None, None) => Ok(Wish::Asset(Asked::Upsert { records })),
        (Mode::Upsert, ..) => {
            Err(malformed("`sync_id`, `part` and `parts` belong to a full list: `mode` is upsert".to_owned()))
        }
        (Mode::Full, None, ..) => Err(malformed("`sync_id` is missing: a full list bears one".to_owned())),
        (Mode::Full, _, Some(_), None) => Err(malformed("`part` without `parts`".to_owned())),
        (Mode::Full, _, None, Some(_)) => Err(malformed("`parts` without `part`".to_owned())),
        (Mode::Full, Some(sync_id), part, parts) => {
            let (part, parts) = (part.unwrap_or(1), parts.unwrap_or(1));
            Ok(Wish::Asset(Asked::Full { sync_id: sync_id.0, part, parts, records }))
        }
    }
}

fn record(entry: Entry) -> Result<Record, Refusal> {
    let Entry { id, name, parent, location, criticality, status, meters } = entry;
    Ok(Record {
        meters: meters.map(|meters| readings(&id.0, meters)).transpose()?,
        id: id.0,
        name: name.map(|text| text.map(|text| text.0)),
        parent: parent.map(|text| text.map(|text| text.0)),
        location: location.map(|text| text.map(|text| text.0)),
        criticality: criticality.map(|scale| scale.map(|scale| scale.0)),
        status: status.map(|text| text.map(|text| text.0)),
    })
}

#[expect(clippy::cast_possible_truncation, reason = "it was held against its limit")]
fn readings(id: &str, meters: Meters) -> Result<Readings, Refusal> {
    let Meters { run_hours, run_ms, cycles } = meters;
    let most_ms = (MOST_HOURS * HOUR_MS) as i64;
    let hours = run_hours.unwrap_or_default();
    let run_ms = match (run_hours, run_ms) {
        (Some(_), Some(_)) => return Err(malformed(format!("`meters` of {id}: `run_hours` or `run_ms`, not both"))),
        (Some(_), None) if !(0.0..=MOST_HOURS).contains(&hours) => -1,
        (Some(_), None) => (hours * HOUR_MS).round() as i64,
        (None, run_ms) => run_ms.unwrap_or_default(),
    };
    if !(0..=most_ms).contains(&run_ms) {
        return Err(malformed(format!("`meters` of {id}: running time lies between 0 and {MOST_HOURS} hours")));
    }
    let cycles = cycles.unwrap_or_default();
    if !(0..=MOST_CYCLES).contains(&cycles) {
        return Err(malformed(format!("`meters` of {id}: `cycles` lie between 0 and {MOST_CYCLES}")));
    }
    Ok(Readings { run_ms, cycles })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Stamp, wire::inbound::read};

    fn ask(rest: &str) -> Result<Wish, String> {
        let body = format!(r#"{{"command_id": "c-1", "by": "cmms", {rest}}}"#);
        let asked = read("asset", body.as_bytes(), Stamp::from_ms(0));
        asked.command.map(|command| command.wish).map_err(|refusal| refusal.text)
    }

    #[test]
    fn a_record_says_what_stays_what_goes_and_what_is_new() {
        let asked =
            ask(r#""mode": "upsert", "assets": [{"id": "EQ-1", "name": "Press 1", "parent": null, "criticality": 1,
                "meters": {"run_hours": 0.5, "cycles": 7}}, {"id": "EQ-2"}]"#);
        let first = Record {
            id: "EQ-1".to_owned(),
            name: Some(Some("Press 1".to_owned())),
            parent: Some(None),
            criticality: Some(Some("1".to_owned())),
            meters: Some(Readings { run_ms: 1_800_000, cycles: 7 }),
            ..Record::default()
        };
        let records = vec![first, Record { id: "EQ-2".to_owned(), ..Record::default() }];
        assert_eq!(asked, Ok(Wish::Asset(Asked::Upsert { records })));
    }

    #[test]
    fn a_full_list_is_one_of_its_parts() {
        let full =
            |part, parts| Ok(Wish::Asset(Asked::Full { sync_id: "s".to_owned(), part, parts, records: Vec::new() }));
        assert_eq!(ask(r#""mode": "full", "sync_id": "s", "part": 2, "parts": 3, "assets": []"#), full(2, 3));
        assert_eq!(ask(r#""mode": "full", "sync_id": "s", "records": []"#), full(1, 1));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (rest, expected) in [
            (r#""assets": []"#, "missing field `mode`"),
            (r#""mode": "full", "assets": []"#, "`sync_id` is missing: a full list bears one"),
            (r#""mode": "full", "sync_id": "s", "part": 1, "assets": []"#, "`part` without `parts`"),
            (r#""mode": "full", "sync_id": "s", "parts": 1, "assets": []"#, "`parts` without `part`"),
            (
                r#""mode": "upsert", "sync_id": "s", "assets": []"#,
                "`sync_id`, `part` and `parts` belong to a full list: `mode` is upsert",
            ),
            (r#""mode": "upsert", "assets": [{"name": "x"}]"#, "`assets[0]`: missing field `id`"),
            (r#""mode": "upsert", "assets": [{"id": ""}]"#, "`assets[0].id`: an empty text"),
            (
                r#""mode": "upsert", "assets": [{"id": "A", "criticality": 1.5}]"#,
                "`assets[0].criticality`: neither a text nor a whole number",
            ),
            (
                r#""mode": "upsert", "assets": [{"id": "A", "meters": {"run_hours": -1}}]"#,
                "`meters` of A: running time lies between 0 and 8766000 hours",
            ),
            (
                r#""mode": "upsert", "assets": [{"id": "A", "meters": {"run_hours": 1, "run_ms": 1}}]"#,
                "`meters` of A: `run_hours` or `run_ms`, not both",
            ),
            (
                r#""mode": "upsert", "assets": [{"id": "A", "meters": {"cycles": -1}}]"#,
                "`meters` of A: `cycles` lie between 0 and 9007199254740992",
            ),
        ] {
            assert_eq!(ask(rest), Err(expected.to_owned()), "{rest}");
        }
    }
}
