//! The documents about what goes over the broker: as the program prints them, and as others who know the formats read them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/described.rs"]
mod described;

use andon::wire::schema;
use described::Described;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn printed(of: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_andon")).args(["schema", of]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A document in `docs/` is what the program prints; `ANDON_REFRESH=1` writes it anew.
fn is_kept(name: &str, of: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    let text = printed(of);
    if std::env::var_os("ANDON_REFRESH").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(text.lines()).position(|(kept, line)| kept != line);
    let line = differs.unwrap_or_else(|| kept.lines().count().min(text.lines().count())) + 1;
    assert!(
        kept == text,
        "docs/{name} is not what `andon schema {of}` prints, from line {line} on.\n\
         If the change is meant: ANDON_REFRESH=1 cargo test --test schema, and look at the diff."
    );
}

#[test]
fn the_documents_in_docs_are_what_the_program_prints() {
    is_kept("asyncapi.json", "asyncapi");
    is_kept("events.schema.json", "events");
}

#[test]
fn a_document_that_there_is_not_is_a_fault_of_usage_that_names_those_there_are() {
    let output = Command::new(env!("CARGO_BIN_EXE_andon")).args(["schema", "nonsense"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("nonsense") && said.contains("config, events, asyncapi"), "{said}");
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_one_of_draft_2020_12() {
    for document in [schema::asyncapi(), schema::events()] {
        let references = references(&document);
        assert!(references.len() > 40, "only {} references", references.len());
        for reference in references {
            let target = document.pointer(reference.strip_prefix('#').unwrap());
            assert!(target.is_some(), "{reference} leads nowhere");
        }
    }
    let events = schema::events();
    assert!(
        jsonschema::meta::is_valid(&events),
        "{:?}",
        jsonschema::meta::validate(&events).map_err(|e| e.to_string())
    );
    let asyncapi = schema::asyncapi();
    for (name, schema) in asyncapi["components"]["schemas"].as_object().unwrap() {
        assert!(jsonschema::meta::is_valid(schema), "{name}");
    }
}

fn references(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                open.extend(object.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    found
}

/// What generators of code make types of should say what it is.
#[test]
fn every_schema_that_is_shared_has_a_name_of_its_own_and_a_description_and_so_has_every_key() {
    let asyncapi = schema::asyncapi();
    let mut bare = Vec::new();
    for (name, schema) in asyncapi["components"]["schemas"].as_object().unwrap() {
        // schemars calls the second type of one name so.
        let is_numbered = !name.starts_with("andon.") && name.ends_with(|c: char| c.is_ascii_digit());
        assert!(name != "Data" && !is_numbered, "{name} says nothing: give the type #[schemars(rename = …)]");
        if schema.get("description").is_none() {
            bare.push(name.clone());
        }
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let says = ["description", "$ref", "const"].iter().any(|key| property.get(key).is_some());
            if !says && name != "TimeByState" && key != "data" {
                bare.push(format!("{name}.{key}"));
            }
        }
    }
    assert!(bare.is_empty(), "no description: {bare:?}");
}

/// What others send: there a key may be left out.
fn is_taken(name: &str) -> bool {
    name.starts_with("command.") || name == "receipt"
}

#[test]
fn times_durations_ratios_ids_and_words_are_described_as_what_they_are() {
    let schemas = schema::asyncapi()["components"]["schemas"].clone();
    let of = |pointer: &str| schemas.pointer(pointer).unwrap_or_else(|| panic!("{pointer}")).clone();
    assert_eq!(of("/Downtime/properties/started_at/format"), "date-time");
    assert_eq!(of("/Downtime/properties/ended_at/type"), json!(["string", "null"]));
    assert_eq!(of("/Downtime/properties/downtime_id/format"), "uuid");
    assert_eq!(of("/Downtime/properties/duration_ms/type"), "integer");
    assert_eq!(of("/Kpi/properties/oee/type"), json!(["number", "null"]));
    assert_eq!(of("/DowntimeStatus/enum"), json!(["open", "closed", "void"]));
    assert_eq!(of("/andon.downtime.closed.v1/properties/type/const"), "andon.downtime.closed.v1");
    for (name, schema) in schemas.as_object().unwrap().iter().filter(|(name, _)| !is_taken(name)) {
        let keys: BTreeSet<&str> =
            schema["properties"].as_object().into_iter().flatten().map(|(k, _)| k.as_str()).collect();
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let vanish: Vec<&str> = keys.difference(&required.collect()).copied().collect();
        assert_eq!(vanish, Vec::<&str>::new(), "{name}: keys never vanish");
    }
}

#[test]
fn what_is_not_as_described_is_found() {
    let described = Described::of(&schema::asyncapi());
    let base = "andon/v1/acme/leipzig/hall-3";
    let status = json!({
        "status": "online", "instance": "3fc28f37-6a98-4f60-9642-3fb2afc31882", "started_at": "2026-11-23T17:39:26.380Z",
        "at": "2026-11-23T18:38:26.477Z", "clock": "synced", "version": "0.1.0", "clock_speed": 1, "machines": [],
        "plcs": {}, "commands": { "accepted": 0, "stale": 0, "refused": 0, "duplicate": 0, "dropped": 0 }, "trouble": null,
        "reload_refused": null,
    });
    let topic = format!("{base}/_gateway/gw-hall-3/status");
    let fault = |topic: &str, body: &Value| described.fault(topic, body.to_string().as_bytes()).unwrap_or_default();
    assert_eq!(fault(&topic, &status), "");
    assert_eq!(fault("acme/_gateway/gw-hall-3/status", &status), "", "prefix and path are as long as they are");
    let with = |key: &str, value: Value| {
        let mut status = status.clone();
        status[key] = value;
        fault(&topic, &status)
    };
    assert!(with("mood", json!("good")).contains("mood"), "a key that is not described");
    assert!(with("plcs", json!({"plc": {"answers": true}})).contains("polls"), "one that is missing, deep inside");
    assert!(with("status", json!("away")).contains("away"), "a word that there is not");
    assert!(with("clock_speed", json!(1.5)).contains("1.5"), "no integer");
    assert!(with("instance", json!("3fc28f37")).contains("3fc28f37"), "no UUID");
    assert!(with("at", json!("2026-11-23T18:38:26Z")).contains("18:38:26Z"), "no milliseconds");
    assert!(fault(&format!("{base}/line-2/press-7/mood"), &status).contains("no channel"));
    let told = json!({ "specversion": "1.0", "type": "andon.shift.stated.v1" });
    assert!(fault(&format!("{base}/line-2/press-7/event/state"), &told).contains("not told here"));
    assert!(fault(&format!("{base}/line-2/press-7/event/shift"), &told).contains("sequence"));
}

/// A file of `wire/inbound` is a verb.
#[test]
fn every_command_is_described_and_takes_no_key_that_is_not() {
    let schemas = schema::asyncapi()["components"]["schemas"].clone();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire/inbound");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let verbs: Vec<String> = files
        .filter(|file| !file.ends_with("tests.rs") && !file.ends_with("tests"))
        .map(|file| file.file_stem().unwrap().to_str().unwrap().replace('_', "-"))
        .collect();
    assert!(verbs.len() > 1, "{verbs:?}");
    for verb in verbs {
        let schema = &schemas[format!("command.{verb}")];
        assert!(schema.is_object(), "no line for {verb} in `commands!` of src/wire/schema.rs");
        assert_eq!(schema["additionalProperties"], false, "{verb}: its keys need #[serde(deny_unknown_fields)]");
        let required: Vec<&str> =
            schema["required"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
        assert!(required.starts_with(&["command_id", "by"]), "{verb}: {required:?}");
    }
}

#[test]
fn every_field_that_a_cmms_or_an_mes_books_stands_in_the_mapping() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mapping.md")).unwrap();
    let schemas = schema::asyncapi()["components"]["schemas"].clone();
    let sections: Vec<&str> = page.split("\n## ").collect();
    let mut missing = Vec::new();
    for section in &sections[2..] {
        let kinds: Vec<&str> = section
            .lines()
            .next()
            .unwrap()
            .split("`andon.")
            .skip(1)
            .map(|rest| rest.split('.').next().unwrap())
            .collect();
        assert_eq!(kinds.len(), 1, "{section}");
        let told = schemas.as_object().unwrap().iter();
        let told = told.filter(|(name, _)| name.starts_with(&format!("andon.{}.", kinds[0])));
        for (_, event) in told {
            let of = event["properties"]["data"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
            for key in schemas[of]["properties"].as_object().unwrap().keys() {
                // `reason.code` is a field of `reason`.
                let stands = |text: &str| {
                    [format!("`{key}`"), format!("`{key}."), format!("`{key}[]")].iter().any(|word| text.contains(word))
                };
                if !stands(section) && !stands(sections[1]) {
                    missing.push(format!("{of}.{key}"));
                }
            }
        }
    }
    assert!(sections.len() > 6 && missing.is_empty(), "docs/mapping.md says nothing of {missing:?}");
}

/// The official JSON Schema of AsyncAPI 3.0, from the npm package `@asyncapi/specs`.
#[test]
fn the_asyncapi_document_is_one_of_asyncapi_3_0() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let fetch = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/fetch");
    let output =
        Command::new(&fetch).arg(&folder).arg("asyncapi").stdin(Stdio::null()).output().expect("bash is installed");
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the schema of AsyncAPI is missing, {} failed: {why}", fetch.display());
    let path: PathBuf = folder.join("asyncapi/3.0.0.json");
    let official: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&official).unwrap();
    let document = schema::asyncapi();
    let faults: Vec<String> =
        validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    // It would say so if it were none.
    for (pointer, value) in [
        ("/asyncapi", json!("2.6.0")),
        ("/info/license/url", json!("no url at all")),
        ("/operations/send.event.downtime/action", json!("shout")),
        ("/channels/event.downtime/address", json!(7)),
        ("/channels/event.downtime/parameters/line", json!({ "schema": { "type": "string" } })),
        ("/components/schemas/Downtime/properties/duration_ms/type", json!("int")),
    ] {
        let mut broken = document.clone();
        *broken.pointer_mut(pointer).unwrap() = value;
        assert!(!validator.is_valid(&broken), "{pointer}");
    }
}
