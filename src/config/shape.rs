//! A table as written and the schema in; faults, and a table that fits the schema, out: what was faulty is cut out, what is absent has its default.

use super::{
    fault::{Fault, Sources, nearest},
    word::{self, CUT},
};
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeSet, mem, ops::Range, sync::LazyLock};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Makes a table fit the schema.
pub(super) fn shape(root: &mut Spanned<DeTable<'_>>, sources: &Sources) -> Vec<Fault> {
    let mut walk = Walk { sources, faults: Vec::new() };
    let span = root.span();
    walk.table(root.get_mut(), &span, &SCHEMA, &mut Vec::new());
    walk.faults
}

struct Walk<'a> {
    sources: &'a Sources,
    faults: Vec<Fault>,
}

/// A table on the way down.
struct Level {
    key: String,
    /// `[[plc]]` rather than `[plc]`.
    is_one_of_many: bool,
    schema: &'static Value,
}

/// How a table is written: `[[plc]]`, `[plc.points]`; nothing for the file itself.
fn label(levels: &[Level]) -> String {
    let path: Vec<&str> = levels.iter().map(|level| level.key.as_str()).collect();
    match levels.last() {
        None => String::new(),
        Some(last) if last.is_one_of_many => format!("[[{}]]", path.join(".")),
        Some(_) => format!("[{}]", path.join(".")),
    }
}

fn within(levels: &[Level]) -> String {
    if levels.is_empty() { String::new() } else { format!(" in {}", label(levels)) }
}

impl Walk<'_> {
    fn fault(&mut self, code: &'static str, span: &Range<usize>, what: String, hint: impl Into<Option<String>>) {
        self.faults.push(self.sources.fault(code, span, what).hint(hint));
    }

    fn table(&mut self, table: &mut DeTable<'_>, span: &Range<usize>, schema: &'static Value, levels: &mut Vec<Level>) {
        let mut cut = BTreeSet::new();
        for (key, mut value) in mem::take(table) {
            let (name, key_span) = (key.get_ref().clone(), key.span());
            let kept = match (property(schema, &name), map_of(schema)) {
                (Some(known), _) => self.value(&name, &mut value, known, levels),
                (None, Some(entry)) => self.entry(&name, &key_span, &mut value, schema, entry, levels),
                (None, None) => {
                    self.unknown(&name, &key_span, schema, levels);
                    false
                }
            };
            if kept {
                table.insert(key, value);
            } else {
                cut.insert(name.into_owned());
            }
        }
        self.fill(table, span, schema, levels, &cut);
        if !cut.is_empty() {
            table.insert(nowhere(span, CUT.into()), nowhere(span, DeValue::Boolean(true)));
        }
    }

    /// Puts defaults where nothing usable was written, and names what is missing.
    fn fill(
        &mut self,
        table: &mut DeTable<'_>,
        span: &Range<usize>,
        schema: &'static Value,
        levels: &mut Vec<Level>,
        cut: &BTreeSet<String>,
    ) {
        for (key, known) in properties(schema) {
            if table.contains_key(key.as_str()) {
                continue;
            }
            let default = known[DEFAULT_AS_TOML].as_str();
            let is_table = known["type"] == "object";
            if default.is_none() && is_required(schema, key) && !cut.contains(key) {
                let example = known.pointer("/examples/0").map(|example| format!("add `{key} = {example}`"));
                let (what, hint) = if is_table {
                    let needed: Vec<&str> =
                        known["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                    (format!("the table [{key}] is missing"), Some(format!("it needs {}", needed.join(", "))))
                } else {
                    (format!("`{key}` is missing{}", within(levels)), example)
                };
                self.fault("missing-key", span, what, hint);
            }
            // A missing table is there for the mirror all the same; what is missing in it has been said.
            let default = default.or((is_table && is_required(schema, key)).then_some("{}"));
            let Some(value) = default.and_then(|default| DeValue::parse(default).ok()) else { continue };
            let mut value = moved(value, &|_| span.start..span.start);
            let told = self.faults.len();
            self.value(key, &mut value, known, levels);
            self.faults.truncate(told);
            table.insert(nowhere(span, Cow::Owned(key.clone())), value);
        }
    }

    /// Checks one value; `false` cuts it out.
    fn value(
        &mut self,
        key: &str,
        value: &mut Spanned<DeValue<'_>>,
        schema: &'static Value,
        levels: &mut Vec<Level>,
    ) -> bool {
        let span = value.span();
        // A text, or an array of such texts.
        let is_list = schema["type"].is_array() && matches!(value.get_ref(), DeValue::Array(_));
        let either = if is_list { "array" } else { "string" };
        let wanted = schema["type"].as_str().unwrap_or(either);
        self.mend_brackets(key, value, wanted, schema, levels);
        let value = value.get_mut();
        // A date of TOML says the same as one in quotes.
        let date = match value {
            DeValue::Datetime(date) if is_date(schema) => Some(date.to_string()),
            _ => None,
        };
        if let Some(date) = date {
            *value = DeValue::String(Cow::Owned(date));
        }
        match (wanted, &mut *value) {
            ("string", DeValue::String(text)) => self.text(key, text, &span, schema),
            ("boolean", DeValue::Boolean(_)) => true,
            ("integer" | "number", DeValue::Integer(number)) => {
                match i128::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => self.in_range(key, number, &span, schema),
                    Err(_) => {
                        self.fault("out-of-range", &span, format!("`{key}` is far out of range"), None);
                        false
                    }
                }
            }
            ("number", DeValue::Float(number)) if number.as_str().parse().is_ok_and(f64::is_finite) => true,
            ("number", DeValue::Float(_)) => {
                self.fault("out-of-range", &span, format!("`{key}` is no finite number"), None);
                false
            }
            ("array", DeValue::Array(items)) => {
                let one = &schema["items"];
                let is_empty = items.is_empty();
                let mut kept = toml::de::DeArray::new();
                for mut item in mem::replace(items, toml::de::DeArray::new()) {
                    let item_span = item.span();
                    let ok = match (one["type"] == "object", item.get_mut()) {
                        (true, DeValue::Table(table)) => {
                            levels.push(Level { key: key.to_owned(), is_one_of_many: true, schema: one });
                            self.table(table, &item_span, one, levels);
                            levels.pop();
                            true
                        }
                        _ => self.value(key, &mut item, one, levels),
                    };
                    if ok {
                        kept.push(item);
                    }
                }
                *items = kept;
                // All cut out is not the same as none written.
                is_empty || !items.is_empty()
            }
            ("object", DeValue::Table(table)) => {
                levels.push(Level { key: key.to_owned(), is_one_of_many: false, schema });
                self.table(table, &span, schema, levels);
                levels.pop();
                true
            }
            (_, found) => {
                let what = format!("`{key}` wants {}, this is {}", want(schema), kind(found));
                let hint = rewrite(key, found, schema);
                self.fault("wrong-type", &span, what, hint);
                false
            }
        }
    }

    /// `[plc]` for `[[plc]]` and the other way round are said, then read as meant.
    fn mend_brackets(
        &mut self,
        key: &str,
        value: &mut Spanned<DeValue<'_>>,
        wanted: &str,
        schema: &Value,
        levels: &[Level],
    ) {
        let span = value.span();
        let path = |brackets: [&str; 2]| {
            let mut path: Vec<&str> = levels.iter().map(|level| level.key.as_str()).collect();
            path.push(key);
            format!("{}{}{}", brackets[0], path.join("."), brackets[1])
        };
        let (one, many) = (path(["[", "]"]), path(["[[", "]]"]));
        match (wanted, value.get_mut()) {
            ("array", DeValue::Table(table)) if schema["items"]["type"] == "object" => {
                let table = mem::take(table);
                let mut items = toml::de::DeArray::new();
                items.push(Spanned::new(span.clone(), DeValue::Table(table)));
                *value.get_mut() = DeValue::Array(items);
                let what = format!("{many} may stand more than once, {one} is a single table");
                self.fault("wrong-type", &span, what, format!("write {many}"));
            }
            ("object", DeValue::Array(items))
                if matches!(items.first().map(Spanned::get_ref), Some(DeValue::Table(_))) =>
            {
                let Some(first) = mem::replace(items, toml::de::DeArray::new()).into_iter().next() else { return };
                *value = Spanned::new(first.span(), first.into_inner());
                let what = format!("there is one {one}, {many} is one of several");
                self.fault("wrong-type", &span, what, format!("write {one}, once"));
            }
            _ => {}
        }
    }

    fn text(&mut self, key: &str, text: &str, span: &Range<usize>, schema: &Value) -> bool {
        if let Some(words) = words(schema) {
            if words.contains(&text) {
                return true;
            }
            let hint = match nearest(text, words.iter().copied()) {
                Some(word) => format!("did you mean \"{word}\"?"),
                None => format!("one of {}", words.join(", ")),
            };
            self.fault("bad-value", span, format!("`{key}` cannot be `{text}`"), hint);
            return false;
        }
        if schema["minLength"].as_u64().is_some_and(|least| text.len() < usize::try_from(least).unwrap_or(0)) {
            self.fault(
                "bad-value",
                span,
                format!("`{key}` may not be empty"),
                "leave it out, or say what it is".to_owned(),
            );
            return false;
        }
        match schema["format"].as_str().and_then(|format| word::check(format, text)) {
            Some(complaint) => {
                self.fault("bad-value", span, format!("`{key}`: {}", complaint.what), complaint.hint);
                false
            }
            None => true,
        }
    }

    fn in_range(&mut self, key: &str, number: i128, span: &Range<usize>, schema: &Value) -> bool {
        let limit = |name: &str| schema[name].as_i64().map(i128::from);
        let (least, most) = (limit("minimum"), limit("maximum"));
        // Whatever has no limit of its own is an i64.
        let fits = (least.unwrap_or(i64::MIN.into())..=most.unwrap_or(i64::MAX.into())).contains(&number);
        if !fits {
            let what = format!("`{key} = {number}` is out of range");
            let hint = match (least, most) {
                (Some(least), Some(most)) => format!("from {least} to {most}"),
                (Some(least), None) => format!("at least {least}"),
                _ => "an integer of 64 bits".to_owned(),
            };
            self.fault("out-of-range", span, what, hint);
        }
        fits
    }

    /// An entry of a table with free keys: a point.
    fn entry(
        &mut self,
        name: &str,
        key_span: &Range<usize>,
        value: &mut Spanned<DeValue<'_>>,
        schema: &'static Value,
        entry: &'static Value,
        levels: &mut Vec<Level>,
    ) -> bool {
        let holder = levels.len().checked_sub(2).map(|index| &levels[index]);
        if !matches!(value.get_ref(), DeValue::Table(_))
            && holder.is_some_and(|holder| property(holder.schema, name).is_some())
        {
            let here = label(levels);
            let what = format!("`{name}` stands in {here}, but is a key of {}", label(&levels[..levels.len() - 1]));
            self.fault("misplaced-key", key_span, what, format!("move it above `{here}`"));
            return false;
        }
        if let Some(complaint) =
            schema.pointer("/propertyNames/format").and_then(Value::as_str).and_then(|format| word::check(format, name))
        {
            self.fault("bad-value", key_span, complaint.what, complaint.hint);
            if name == CUT {
                return false;
            }
        }
        let span = value.span();
        if !self.value(name, value, entry, levels) {
            // Its name stays known, so that whoever refers to it is not blamed.
            let mut table = DeTable::new();
            table.insert(nowhere(&span, CUT.into()), nowhere(&span, DeValue::Boolean(true)));
            *value = Spanned::new(span, DeValue::Table(table));
        }
        true
    }

    fn unknown(&mut self, key: &str, span: &Range<usize>, schema: &'static Value, levels: &[Level]) {
        let here = label(levels);
        let outside = (0..levels.len()).rev().find_map(|depth| {
            let holder = depth.checked_sub(1).map(|index| levels[index].schema);
            let known = holder.and_then(|holder| property(holder, key))?;
            (known["type"] != "object").then(|| format!("move it above `{here}`"))
        });
        let hint = match key {
            "password" => Some("secrets stand in files of their own: name the file with `password_file`".to_owned()),
            "day_start" | "final_after" | "meter_every" | "reopen_after" => {
                Some("it stands at the top of the file, above the first [table]".to_owned())
            }
            _ => outside.or_else(|| {
                let known = nearest(key, properties(schema).map(|(known, _)| known.as_str()))?;
                Some(format!("did you mean `{known}`?"))
            }),
        };
        let hint = hint.or_else(|| {
            let all: Vec<&str> = properties(schema).map(|(known, _)| known.as_str()).collect();
            Some(format!("known here: {}", all.join(", ")))
        });
        self.fault("unknown-key", span, format!("unknown key `{key}`{}", within(levels)), hint);
    }
}

fn nowhere<T>(table: &Range<usize>, value: T) -> Spanned<T> {
    Spanned::new(table.start..table.start, value)
}

/// The same value with other spans.
pub(super) fn moved<'d>(
    value: Spanned<DeValue<'d>>,
    to: &dyn Fn(Range<usize>) -> Range<usize>,
) -> Spanned<DeValue<'d>> {
    let span = to(value.span());
    let value = match value.into_inner() {
        DeValue::Table(table) => {
            let entries = table
                .into_iter()
                .map(|(key, value)| (Spanned::new(to(key.span()), key.into_inner()), moved(value, to)));
            DeValue::Table(entries.collect())
        }
        DeValue::Array(items) => DeValue::Array(items.into_iter().map(|item| moved(item, to)).collect()),
        plain => plain,
    };
    Spanned::new(span, value)
}

/// The schema with each default as TOML beside it, to be parsed where it is needed.
pub(super) static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = super::mirror::schema();
    beside(&mut schema);
    schema
});

const DEFAULT_AS_TOML: &str = "(default)";

fn beside(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(beside);
            // Our defaults are numbers, texts, and arrays of texts: there TOML is JSON.
            if let Some(text) = object.get("default").map(Value::to_string) {
                object.insert(DEFAULT_AS_TOML.into(), text.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(beside),
        _ => {}
    }
}

fn properties(schema: &'static Value) -> impl Iterator<Item = (&'static String, &'static Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

fn property(schema: &'static Value, key: &str) -> Option<&'static Value> {
    schema["properties"].get(key)
}

fn map_of(schema: &'static Value) -> Option<&'static Value> {
    schema.get("additionalProperties").filter(|entry| entry.is_object())
}

fn is_required(schema: &Value, key: &str) -> bool {
    schema["required"].as_array().is_some_and(|required| required.iter().any(|name| name == key))
}

/// The words of an enumeration, described or not.
fn words(schema: &Value) -> Option<Vec<&str>> {
    match (schema["enum"].as_array(), schema["oneOf"].as_array()) {
        (Some(words), _) => Some(words.iter().filter_map(Value::as_str).collect()),
        (None, Some(described)) => Some(described.iter().filter_map(|one| one["const"].as_str()).collect()),
        (None, None) => None,
    }
}

fn is_date(schema: &Value) -> bool {
    matches!(schema["format"].as_str(), Some("andon-date" | "andon-date-or-time"))
}

fn want(schema: &Value) -> String {
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("boolean"), _) => "true or false".into(),
        (Some("integer"), _) => "a whole number".into(),
        (Some("number"), _) => "a number".into(),
        (Some("array"), _) => "an array".into(),
        (Some("object"), _) => "a table".into(),
        (_, Some("andon-duration" | "andon-duration-or-off" | "andon-duration-or-auto" | "andon-cycle")) => {
            "a duration in quotes".into()
        }
        (_, Some("andon-date" | "andon-date-or-time")) => "a date".into(),
        _ => "a string".into(),
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a real number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// The same thing written with the right type, where that can be guessed.
fn rewrite(key: &str, found: &DeValue<'_>, schema: &'static Value) -> Option<String> {
    let wanted = schema["type"].as_str().unwrap_or("string");
    match (wanted, found) {
        ("string", DeValue::Integer(number)) if want(schema) == "a duration in quotes" => {
            Some(format!("write the unit too, {key} = \"{number}s\" or \"{number}ms\""))
        }
        ("string", _) if is_date(schema) => Some("write year-month-day in quotes, like \"2026-12-24\"".into()),
        ("string", DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_)) => {
            Some("put it in quotes".into())
        }
        ("integer", DeValue::String(text)) if text.len() >= 5 && word::check("andon-reference", text).is_none() => {
            Some(format!("a number counted from 1 is written ref = \"{text}\""))
        }
        ("integer" | "number", DeValue::String(text)) if text.parse::<f64>().is_ok() => {
            Some(format!("write {key} = {text}"))
        }
        ("boolean", DeValue::String(text)) if matches!(text.as_ref(), "true" | "false") => {
            Some(format!("write {key} = {text}"))
        }
        ("object", DeValue::Integer(number)) if property(schema, "holding").is_some() => {
            Some(format!("write {key} = {{ holding = {number} }}, or coil, discrete, input"))
        }
        ("array", DeValue::String(text)) => Some(format!("write {key} = [\"{text}\"]")),
        ("array", DeValue::Integer(number)) => Some(format!("write {key} = [{number}]")),
        _ => None,
    }
}
