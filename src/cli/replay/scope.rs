//! Two reports in, out what each is about: whether there is anything to compare, and what only one of them tells.

use super::said::{Said, SaidWindow};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeSet;

/// A recording begins and ends with a sample, a report with an event: so much is no other time.
const SAME_TIME: SignedDuration = SignedDuration::from_secs(60);

/// So many names are told.
const NAMES: usize = 5;

const HINT: &str = "hint: compare reports of the same machines, the same time, the same --by and --window";

/// What only one of them tells, in words; an error where they have nothing in common.
pub(super) fn differs(old: &Said, new: &Said) -> Result<Vec<String>, String> {
    let (a, b) = (Scope::of(old), Scope::of(new));
    for (of, whose) in [(&a, "this report"), (&b, "the new report")] {
        if of.time.is_none() {
            return Err(format!("there is nothing to compare: {whose} holds no window\n{HINT}"));
        }
    }
    let refuse = |old: String, new: String| {
        Err(format!("there is nothing to compare: this report tells of {old}, the new one of {new}\n{HINT}"))
    };
    if a.machines.is_disjoint(&b.machines) {
        return refuse(named("machine", &a.machines), named("machine", &b.machines));
    }
    if a.by.is_disjoint(&b.by) {
        return refuse(a.whose(), b.whose());
    }
    if a.kinds.is_disjoint(&b.kinds) {
        return refuse(named("window", &a.kinds), named("window", &b.kinds));
    }
    if let (Some((from, to)), Some((new_from, new_to))) = (a.time, b.time)
        && (to <= new_from || new_to <= from)
    {
        return refuse(a.period(), b.period());
    }
    let keys =
        |of: &Said| -> BTreeSet<String> { of.windows.iter().map(|window| format!("{:?}", window.key())).collect() };
    if keys(old).is_disjoint(&keys(new)) {
        return refuse(named("window", &a.ids), named("window", &b.ids));
    }
    let mut words = Vec::new();
    for (one, other, whose, lacks) in [(&a, &b, "old", "new"), (&b, &a, "new", "old")] {
        for (what, of, others) in [("machine", &one.machines, &other.machines), ("window", &one.kinds, &other.kinds)] {
            let only: BTreeSet<&str> = of.difference(others).copied().collect();
            if !only.is_empty() {
                words
                    .push(format!("only the {whose} report tells of {}; the {lacks} one does not", named(what, &only)));
            }
        }
    }
    let is_apart = |one: Timestamp, other: Timestamp| one.duration_since(other).abs() > SAME_TIME;
    if let (Some((from, to)), Some((new_from, new_to))) = (a.time, b.time)
        && (is_apart(from, new_from) || is_apart(to, new_to))
    {
        words.push(format!(
            "the old report tells of {}, the new one of {}: what lies in only one of them appears or vanishes",
            a.period(),
            b.period()
        ));
    }
    Ok(words)
}

/// What a report is about.
struct Scope<'a> {
    machines: BTreeSet<&'a str>,
    /// Machines, lines, assets or the site.
    by: BTreeSet<&'static str>,
    kinds: BTreeSet<&'a str>,
    ids: BTreeSet<&'a str>,
    /// From the first window's beginning to the last one's end.
    time: Option<(Timestamp, Timestamp)>,
}

impl<'a> Scope<'a> {
    fn of(said: &'a Said) -> Scope<'a> {
        let mut scope = Scope {
            machines: BTreeSet::new(),
            by: BTreeSet::new(),
            kinds: BTreeSet::new(),
            ids: BTreeSet::new(),
            time: None,
        };
        for window in &said.windows {
            let named = window.rest.get("machines").and_then(Value::as_array).into_iter().flatten();
            scope.machines.extend(window.machine.as_deref().into_iter().chain(named.filter_map(Value::as_str)));
            scope.by.insert(match window {
                SaidWindow { machine: Some(_), .. } => "machines",
                SaidWindow { line: Some(_), .. } => "lines",
                SaidWindow { asset: Some(_), .. } => "assets",
                _ => "the site",
            });
            scope.kinds.insert(&window.window);
            scope.ids.insert(&window.id);
            let at = |name: &str| window.rest.get(name)?.as_str()?.parse::<Timestamp>().ok();
            if let (Some(from), Some(to)) = (at("from"), at("to")) {
                let (first, last) = scope.time.unwrap_or((from, to));
                scope.time = Some((first.min(from), last.max(to)));
            }
        }
        scope
    }

    /// `machines and lines`
    fn whose(&self) -> String {
        self.by.iter().copied().collect::<Vec<_>>().join(" and ")
    }

    /// `2026-11-23T06:00:00Z to 2026-11-23T14:00:00Z`
    fn period(&self) -> String {
        self.time.map_or(String::new(), |(from, to)| format!("{from} to {to}"))
    }
}

/// `machine press-7`, `machines filler, press-7 and 3 more`
fn named(what: &str, names: &BTreeSet<&str>) -> String {
    let shown = names.iter().take(NAMES).copied().collect::<Vec<_>>().join(", ");
    let (plural, more) = (if names.len() > 1 { "s" } else { "" }, names.len().saturating_sub(NAMES));
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{what}{plural} {shown}{more}")
}
