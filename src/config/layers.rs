//! Files and environment variables in, one table out: later files over earlier ones, the environment over all.

use super::{
    fault::{Fault, Sources, whole_file},
    shape::{SCHEMA, moved},
};
use ::config::{Environment, Source};
use serde_json::Value;
use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// No configuration is longer; a device file read by mistake would be.
const LONGEST_FILE: u64 = 4 << 20;

/// `ANDON_MQTT__PREFIX` is `[mqtt] prefix`.
const PREFIX: &str = "ANDON";
const BETWEEN: &str = "__";

/// Reads all files; a folder stands for its `*.toml` in the order of their names.
pub(super) fn read(paths: &[PathBuf]) -> Result<Sources, Vec<Fault>> {
    let mut sources = Sources::default();
    let mut faults = Vec::new();
    for path in paths {
        let files = match in_folder(path) {
            Ok(files) => files,
            Err(cause) => {
                faults.push(unreadable(path, &cause));
                continue;
            }
        };
        for file in files {
            match text_of(&file) {
                Ok(text) => {
                    sources.file(file.display().to_string(), text);
                }
                Err(cause) => faults.push(unreadable(&file, &cause)),
            }
        }
    }
    if paths.is_empty() {
        faults.push(whole_file("unreadable", "andon".into(), "no configuration file is named".into()));
    }
    if faults.is_empty() { Ok(sources) } else { Err(faults) }
}

fn in_folder(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files: Vec<PathBuf> = path.read_dir()?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    if files.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the folder holds no *.toml"));
    }
    Ok(files)
}

fn text_of(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(file)?.take(LONGEST_FILE + 1).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read > LONGEST_FILE) {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {LONGEST_FILE} bytes")));
    }
    Ok(text)
}

fn unreadable(path: &Path, cause: &io::Error) -> Fault {
    whole_file("unreadable", path.display().to_string(), format!("the file cannot be read: {cause}"))
        .hint("nothing is assumed in its place".to_owned())
}

/// Takes the environment in: the `config` crate says which variables are ours and which key each stands for.
pub(super) fn environment(
    sources: &mut Sources,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<Vec<Variable>, Vec<Fault>> {
    let variables: Vec<(String, String)> = variables.collect();
    let is_ours = |name: &str| name.get(..PREFIX.len() + 1).is_some_and(|head| head.eq_ignore_ascii_case("ANDON_"));
    let garbled = variables.iter().filter(|(name, value)| is_ours(name) && value.contains(char::REPLACEMENT_CHARACTER));
    let faults: Vec<Fault> =
        garbled.map(|(name, _)| whole_file("unreadable", name.clone(), "its value is not UTF-8".into())).collect();
    if !faults.is_empty() {
        return Err(faults);
    }
    let ours = Environment::with_prefix(PREFIX)
        .prefix_separator("_")
        .separator(BETWEEN)
        .source(Some(variables.iter().cloned().collect()))
        .collect()
        .map_err(|cause| vec![whole_file("unreadable", "environment".into(), cause.to_string())])?;
    let mut ours: Vec<(String, ::config::Value)> = ours.into_iter().collect();
    ours.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(ours
        .into_iter()
        .map(|(key, value)| {
            let name = format!("{PREFIX}_{}", key.replace('.', BETWEEN));
            let name = variables
                .iter()
                .map(|(name, _)| name)
                .find(|known| known.eq_ignore_ascii_case(&name))
                .cloned()
                .unwrap_or(name);
            // `config` hands texts over as they are; what they mean is for the schema to say.
            let text = value.into_string().unwrap_or_default();
            let start = sources.variable(name, text);
            Variable { path: key.split('.').map(str::to_owned).collect(), start }
        })
        .collect())
}

/// A variable: the key it stands for, and where its value starts.
pub(super) struct Variable {
    path: Vec<String>,
    start: usize,
}

/// Parses and merges everything; tables by key, arrays of tables one behind the other, all else by the later file.
pub(super) fn merge<'s>(sources: &'s Sources, variables: &[Variable]) -> (Spanned<DeTable<'s>>, Vec<Fault>) {
    let mut faults = Vec::new();
    let mut root = DeTable::new();
    for (start, text) in sources.files() {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut singles = Singles::of(text);
        for error in errors {
            let span = error.span().unwrap_or_default();
            if error.message() == DUPLICATE
                && let Some(single) = singles.around(span.start)
            {
                faults.extend(singles.say(single).map(|(span, what, hint)| {
                    sources.fault(SINGLE, &(span.start + start..span.end + start), what).hint(hint)
                }));
                continue;
            }
            let span = span.start + start..span.end + start;
            let fault = sources.fault("syntax", &span, error.message()).hint(mend(error.message()));
            // One slip makes several errors in its line; the first says it.
            if !faults.iter().any(|known| same_line(known, &fault)) {
                faults.push(fault);
            }
        }
        let table = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
        let table = moved(table, &|span| span.start + start..span.end + start);
        if let DeValue::Table(table) = table.into_inner() {
            lay_over(&mut root, table);
        }
    }
    for variable in variables {
        match from_variable(variable, sources.text_at(variable.start)) {
            Some(table) => lay_over(&mut root, table),
            None => {
                let span = variable.start..variable.start + sources.text_at(variable.start).len();
                let what = format!("`{}` lies in a table that stands more than once", variable.path.join("."));
                faults.push(sources.fault("misplaced-key", &span, what).hint("set it in a file".to_owned()));
            }
        }
    }
    (Spanned::new(0..0, root), faults)
}

/// What to do about the usual slips.
fn mend(message: &str) -> Option<String> {
    let hints = [
        ("must be quoted", "put it in quotes"),
        ("invalid basic string", "end it with a quote in the same line"),
        (DUPLICATE, "keep one of them; tables of which there may be several are written [[…]]"),
        ("unclosed table", "close it: [plc.points], [[machine]]"),
        ("unclosed array", "close it with ]"),
        ("unclosed inline table", "close it with }"),
    ];
    hints.iter().find(|(slip, _)| message.contains(slip)).map(|(_, hint)| (*hint).to_owned())
}

/// A slip that leaves open where a table ends, or loses one.
pub(super) fn loses_a_table(fault: &Fault) -> bool {
    fault.code == SINGLE
        || fault.code == "syntax"
            && (fault.what.contains("unclosed") || fault.is_in_header() && fault.what == DUPLICATE)
}

/// As the parser says it.
const DUPLICATE: &str = "duplicate key";

/// Of a table in single brackets that stands more than once, as where it stands once.
const SINGLE: &str = "wrong-type";

/// The headers of a file, `[plc.points]`, and what of them the schema has several of: with single brackets, each key that
/// stands in two of those would be a fault of its own.
struct Singles<'s> {
    headers: Vec<Header<'s>>,
    said: Vec<&'s str>,
}

struct Header<'s> {
    span: Range<usize>,
    path: &'s str,
    is_single: bool,
}

impl<'s> Singles<'s> {
    fn of(text: &'s str) -> Singles<'s> {
        let mut start = 0;
        let headers = text.split_inclusive('\n').filter_map(|line| {
            let begin = start + line.len() - line.trim_start().len();
            start += line.len();
            let inner = line.trim_start().strip_prefix('[')?;
            let is_single = !inner.starts_with('[');
            let inner = inner.strip_prefix('[').unwrap_or(inner);
            let path = inner.get(..inner.find(']')?)?.trim();
            let is_path = !path.is_empty() && path.chars().all(|c| c.is_alphanumeric() || "._-".contains(c));
            let end = begin + line.trim_start().find(']')? + if is_single { 1 } else { 2 };
            is_path.then_some(Header { span: begin..end, path, is_single })
        });
        Singles { headers: headers.collect(), said: Vec::new() }
    }

    /// The table there, or the one that it lies in, which wants two brackets and has one somewhere.
    fn around(&self, at: usize) -> Option<&'s str> {
        let here = self.headers.iter().rfind(|header| header.span.start <= at)?.path;
        let ends = here.match_indices('.').map(|(end, _)| end).chain([here.len()]);
        ends.map(|end| &here[..end]).find(|path| {
            has_several(path) && self.headers.iter().any(|header| header.is_single && header.path == *path)
        })
    }

    /// Once for each: where it stands first in single brackets, and what to do about it.
    fn say(&mut self, path: &'s str) -> Option<(Range<usize>, String, String)> {
        if self.said.contains(&path) {
            return None;
        }
        self.said.push(path);
        let all = self.headers.iter().filter(|header| header.path == path);
        let (single, number) = (all.clone().find(|header| header.is_single)?, all.count());
        let what = format!("[{path}] is a single table, and there are {number} of them");
        Some((single.span.clone(), what, format!("write [[{path}]], each time")))
    }
}

/// The schema has an array of such tables.
fn has_several(path: &str) -> bool {
    let found = path.split('.').try_fold(&*SCHEMA, |schema, key| {
        let table = if schema["type"] == "array" { &schema["items"] } else { schema };
        table["properties"].get(key)
    });
    found.is_some_and(|schema| schema["type"] == "array" && schema["items"]["type"] == "object")
}

/// Two faults in one line of one file.
pub(super) fn same_line(a: &Fault, b: &Fault) -> bool {
    a.place.file == b.place.file
        && a.place.lines.is_some()
        && a.place.lines.map(|at| at.line) == b.place.lines.map(|at| at.line)
}

fn lay_over<'s>(under: &mut DeTable<'s>, over: DeTable<'s>) {
    for (key, value) in over {
        let span = value.span();
        match (under.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut), value.into_inner()) {
            (Some(DeValue::Table(under)), DeValue::Table(over)) => lay_over(under, over),
            (Some(DeValue::Array(under)), DeValue::Array(over)) if is_of_tables(under) && is_of_tables(&over) => {
                over.into_iter().for_each(|entry| under.push(entry));
            }
            (_, value) => {
                under.remove(key.get_ref().as_ref());
                under.insert(key, Spanned::new(span, value));
            }
        }
    }
}

fn is_of_tables(items: &toml::de::DeArray<'_>) -> bool {
    items.iter().all(|item| matches!(item.get_ref(), DeValue::Table(_)))
}

/// The variable as a table of its own; `None` where its key lies in an array of tables.
fn from_variable<'s>(variable: &Variable, text: &'s str) -> Option<DeTable<'s>> {
    let mut schema = Some(&*SCHEMA);
    for key in &variable.path {
        if schema.is_some_and(|schema| schema["type"] == "array") {
            return None;
        }
        schema = schema.and_then(|schema| schema["properties"].get(key));
    }
    let span = variable.start..variable.start + text.len();
    let mut value = moved(typed(text, schema), &|_| span.clone());
    for key in variable.path.iter().rev() {
        let mut table = DeTable::new();
        table.insert(Spanned::new(span.clone(), Cow::Owned(key.clone())), value);
        value = Spanned::new(span.clone(), DeValue::Table(table));
    }
    match value.into_inner() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

/// A text as the type that its key wants; a text still, where it is none.
fn typed<'s>(text: &'s str, schema: Option<&Value>) -> Spanned<DeValue<'s>> {
    let plain = || Spanned::new(0..0, DeValue::String(Cow::Borrowed(text)));
    match schema.and_then(|schema| schema["type"].as_str()) {
        Some("array") if !text.trim_start().starts_with('[') => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            let items = items.map(|item| typed(item, schema.map(|schema| &schema["items"])));
            Spanned::new(0..0, DeValue::Array(items.collect()))
        }
        Some("array" | "object" | "integer" | "number" | "boolean") => DeValue::parse(text).unwrap_or_else(|_| plain()),
        _ => plain(),
    }
}
