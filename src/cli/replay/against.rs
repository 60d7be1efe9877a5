//! Two reports of the same time in, what has changed out: stop by stop and figure by figure, for people and as JSON.
//!
//! Ids and numbers hang on how many downtimes there were before, so downtimes are known by their times: those of a machine
//! that overlap most are one.

use super::{
    super::figures::{
        OF_CALENDAR,
        words::{Colour, Ink, percent, span, wrapped},
    },
    said::{LossName, Name, Said, SaidDowntime, SaidWindow},
};
use crate::{books::Calendar, event::Stamp};
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt::Write as _,
    io::{self, Write},
};

/// From one more on, windows of one kind that have changed have a line each.
const FEW: usize = 6;

/// Kinds of windows, those first that hold the whole of a downtime.
const WIDEST: [&str; 5] = ["all", "day", "shift", "hour", "order"];

/// What has changed.
pub(super) struct Comparison {
    conventions: (String, String),
    downtimes: Vec<Change>,
    /// Downtimes that are the same.
    same_downtimes: usize,
    windows: Vec<WindowChange>,
    /// Windows that are the same.
    same_windows: usize,
    /// Of what one report tells and the other does not: there nothing is compared.
    scope: Vec<String>,
}

/// What has become of a downtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Appeared,
    Vanished,
    Longer,
    Shorter,
    /// Another start or end.
    Moved,
    Reclassified,
}

#[derive(Serialize)]
struct Change {
    machine: String,
    changes: Vec<What>,
    old: Option<SaidDowntime>,
    new: Option<SaidDowntime>,
    /// Where it appeared or vanished: those of the other report in whose time it lies.
    overlaps: Vec<String>,
}

#[derive(Serialize)]
struct WindowChange {
    window: String,
    id: String,
    machine: Option<String>,
    line: Option<String>,
    /// `appeared`, `vanished` or `changed`.
    change: &'static str,
    figures: Vec<FigureChange>,
    #[serde(skip)]
    whose: String,
}

#[derive(Serialize)]
struct FigureChange {
    #[serde(flatten)]
    name: Name,
    old: Value,
    new: Value,
}

impl Comparison {
    /// `scope`: in what the two differ that is no change.
    pub(super) fn of(old: &Said, new: &Said, scope: Vec<String>) -> Comparison {
        let (downtimes, same_downtimes) = downtimes(old, new);
        let (windows, same_windows) = windows(old, new);
        let conventions = (old.convention.clone(), new.convention.clone());
        Comparison { conventions, downtimes, same_downtimes, windows, same_windows, scope }
    }

    pub(super) fn json(&self, out: &mut impl Write) -> io::Result<()> {
        let (old, new) = &self.conventions;
        let changes = json!({
            "convention": { "old": old, "new": new },
            "scope": self.scope,
            "downtimes": { "same": self.same_downtimes, "changed": self.downtimes },
            "windows": { "same": self.same_windows, "changed": self.windows },
        });
        serde_json::to_writer_pretty(&mut *out, &changes)?;
        writeln!(out)?;
        out.flush()
    }
}

// What has changed

fn downtimes(old: &Said, new: &Said) -> (Vec<Change>, usize) {
    let widest = |of: &Said| WIDEST.into_iter().find(|kind| of.has(kind)).unwrap_or_default();
    let common = WIDEST.into_iter().find(|kind| old.has(kind) && new.has(kind));
    let mut old = old.downtimes(common.unwrap_or_else(|| widest(old)));
    let mut new = new.downtimes(common.unwrap_or_else(|| widest(new)));
    let machines: BTreeSet<String> = old.keys().chain(new.keys()).cloned().collect();
    let (mut changes, mut same) = (Vec::new(), 0);
    for machine in machines {
        let (old, new) = (old.remove(&machine).unwrap_or_default(), new.remove(&machine).unwrap_or_default());
        for change in matched(&machine, &old, &new) {
            if change.changes.is_empty() {
                same += 1;
            } else {
                changes.push(change);
            }
        }
    }
    (changes, same)
}

/// Every downtime once, in the order of their start.
fn matched(machine: &str, old: &[SaidDowntime], new: &[SaidDowntime]) -> Vec<Change> {
    let mut pairs = overlapping(old, new);
    let overlaps = |pairs: &[Pair], is_it: &dyn Fn(&Pair) -> bool, number: &dyn Fn(&Pair) -> String| {
        pairs.iter().filter(|pair| is_it(pair)).map(number).collect::<Vec<_>>()
    };
    let found = pairs.clone();
    pairs.sort_by_key(|pair| (Reverse(pair.ms), pair.old, pair.new));
    let (mut new_of, mut old_of) = (BTreeMap::new(), BTreeMap::new());
    for pair in pairs {
        if !new_of.contains_key(&pair.old) && !old_of.contains_key(&pair.new) {
            new_of.insert(pair.old, pair.new);
            old_of.insert(pair.new, pair.old);
        }
    }
    let mut changes = Vec::new();
    for (place, downtime) in old.iter().enumerate() {
        changes.push(match new_of.get(&place) {
            Some(&other) => change(machine, Some(downtime), Some(&new[other]), Vec::new()),
            None => {
                let within = overlaps(&found, &|pair| pair.old == place, &|pair| new[pair.new].number.clone());
                change(machine, Some(downtime), None, within)
            }
        });
    }
    for (place, downtime) in new.iter().enumerate().filter(|(place, _)| !old_of.contains_key(place)) {
        let within = overlaps(&found, &|pair| pair.new == place, &|pair| old[pair.old].number.clone());
        changes.push(change(machine, None, Some(downtime), within));
    }
    changes.sort_by_key(|change| change.new.as_ref().or(change.old.as_ref()).map(|downtime| downtime.started_at));
    changes
}

fn change(machine: &str, old: Option<&SaidDowntime>, new: Option<&SaidDowntime>, overlaps: Vec<String>) -> Change {
    let mut changes = Vec::new();
    match (old, new) {
        (Some(old), Some(new)) => {
            let class = |of: &SaidDowntime| (of.class.clone(), of.counts_in.clone(), of.reason.clone());
            match new.duration_ms.cmp(&old.duration_ms) {
                std::cmp::Ordering::Greater => changes.push(What::Longer),
                std::cmp::Ordering::Less => changes.push(What::Shorter),
                std::cmp::Ordering::Equal if (old.started_at, old.ended_at) != (new.started_at, new.ended_at) => {
                    changes.push(What::Moved);
                }
                std::cmp::Ordering::Equal => {}
            }
            if class(old) != class(new) {
                changes.push(What::Reclassified);
            }
        }
        (None, Some(_)) => changes.push(What::Appeared),
        (Some(_), None) => changes.push(What::Vanished),
        (None, None) => {}
    }
    Change { machine: machine.to_owned(), changes, old: old.cloned(), new: new.cloned(), overlaps }
}

/// Two downtimes that share time, by their places.
#[derive(Clone, Copy)]
struct Pair {
    old: usize,
    new: usize,
    ms: i64,
}

/// Those of one list do not overlap each other and stand in the order of their start.
fn overlapping(old: &[SaidDowntime], new: &[SaidDowntime]) -> Vec<Pair> {
    let (mut pairs, mut first) = (Vec::new(), 0);
    for (place, downtime) in old.iter().enumerate() {
        let (from, to) = times(downtime);
        while new.get(first).is_some_and(|other| times(other).1 <= from) {
            first += 1;
        }
        for (other_place, other) in new.iter().enumerate().skip(first) {
            let (other_from, other_to) = times(other);
            if other_from >= to {
                break;
            }
            let ms = to.min(other_to) - from.max(other_from);
            if ms > 0 {
                pairs.push(Pair { old: place, new: other_place, ms });
            }
        }
    }
    pairs
}

fn times(downtime: &SaidDowntime) -> (i64, i64) {
    let ended = downtime.ended_at.map_or(i64::MAX, |ended| ended.as_millisecond());
    (downtime.started_at.as_millisecond(), ended)
}

fn windows(old: &Said, new: &Said) -> (Vec<WindowChange>, usize) {
    let mut earlier: HashMap<_, &SaidWindow> = old.windows.iter().map(|window| (window.key(), window)).collect();
    let (mut changes, mut same) = (Vec::new(), 0);
    for window in &new.windows {
        let Some(before) = earlier.remove(&window.key()) else {
            changes.push(window_change(window, "appeared", Vec::new()));
            continue;
        };
        let figures = figures(before, window);
        if figures.is_empty() {
            same += 1;
        } else {
            changes.push(window_change(window, "changed", figures));
        }
    }
    let vanished = old.windows.iter().filter(|window| earlier.contains_key(&window.key()));
    changes.extend(vanished.map(|window| window_change(window, "vanished", Vec::new())));
    (changes, same)
}

fn window_change(of: &SaidWindow, change: &'static str, figures: Vec<FigureChange>) -> WindowChange {
    WindowChange {
        window: of.window.clone(),
        id: of.id.clone(),
        machine: of.machine.clone(),
        line: of.line.clone(),
        change,
        figures,
        whose: of.whose().to_owned(),
    }
}

fn figures(old: &SaidWindow, new: &SaidWindow) -> Vec<FigureChange> {
    let (old, new) = (old.figures(), new.figures());
    let before: HashMap<&Name, &Value> = old.iter().map(|(name, value)| (name, value)).collect();
    let now: HashSet<&Name> = new.iter().map(|(name, _)| name).collect();
    // A loss that is not there is none; any other figure is not known.
    let absent = |name: &Name| if name.loss.is_some() { Value::from(0) } else { Value::Null };
    let appeared_or_not = new.iter().map(|(name, value)| {
        let before = before.get(name).map_or_else(|| absent(name), |value| (*value).clone());
        FigureChange { name: name.clone(), old: before, new: value.clone() }
    });
    let vanished = old.iter().filter(|(name, _)| !now.contains(name));
    let vanished =
        vanished.map(|(name, value)| FigureChange { name: name.clone(), old: value.clone(), new: absent(name) });
    appeared_or_not.chain(vanished).filter(|change| change.old != change.new).collect()
}

// For people

impl Comparison {
    pub(super) fn table(&self, calendar: &Calendar, ink: Ink) -> String {
        let mut text = String::new();
        let (old, new) = &self.conventions;
        if old != new {
            let _ = writeln!(text, "convention {old} → {new}\n");
        }
        for of_one in self.downtimes.chunk_by(|a, b| a.machine == b.machine) {
            let _ = writeln!(text, "{}  downtimes", ink.paint(Colour::Bold, of_one[0].machine.clone()));
            of_one.iter().for_each(|change| change.table(calendar, ink, &mut text));
            text.push('\n');
        }
        for of_kind in self.windows.chunk_by(|a, b| a.window == b.window) {
            let (changed, others): (Vec<_>, Vec<_>) = of_kind.iter().partition(|window| window.change == "changed");
            if changed.len() <= FEW {
                changed.iter().for_each(|window| window.block(ink, &mut text));
            } else {
                let width = changed.iter().map(|window| window.id.chars().count()).max().unwrap_or(0);
                for of_one in changed.chunk_by(|a, b| a.whose == b.whose) {
                    list(of_one, width, ink, &mut text);
                }
            }
            for change in ["appeared", "vanished"] {
                let names = others.iter().filter(|window| window.change == change);
                let names: Vec<String> = names.map(|window| format!("{} {}", window.whose, window.id)).collect();
                if let Some(first) = names.first() {
                    let more = if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
                    let _ =
                        writeln!(text, "{}: only in the {} report: {first}{more}\n", of_kind[0].window, side(change));
                }
            }
        }
        self.summary(&mut text);
        text
    }

    fn summary(&self, text: &mut String) {
        let kinds = [What::Appeared, What::Vanished, What::Longer, What::Shorter, What::Moved, What::Reclassified];
        let mut words = vec![format!("downtimes: {} the same", self.same_downtimes)];
        for what in kinds {
            let number = self.downtimes.iter().filter(|change| change.changes.contains(&what)).count();
            if number > 0 {
                words.push(format!("{number} {}", what.word()));
            }
        }
        let mut windows = format!("windows: {} the same", self.same_windows);
        for change in ["appeared", "vanished", "changed"] {
            let number = self.windows.iter().filter(|window| window.change == change).count();
            if number > 0 {
                let _ = write!(windows, ", {number} {change}");
            }
        }
        let words: Vec<String> = words.join(", ").split(' ').map(str::to_owned).collect();
        let _ = writeln!(text, "{}\n{windows}", wrapped(&words, 0, 2));
    }
}

fn side(change: &str) -> &'static str {
    if change == "appeared" { "new" } else { "old" }
}

impl What {
    fn word(self) -> &'static str {
        match self {
            What::Appeared => "appeared",
            What::Vanished => "vanished",
            What::Longer => "longer",
            What::Shorter => "shorter",
            What::Moved => "moved",
            What::Reclassified => "reclassified",
        }
    }
}

impl Change {
    fn table(&self, calendar: &Calendar, ink: Ink, text: &mut String) {
        let local = |at: jiff::Timestamp| calendar.local(Stamp::from_ms(at.as_millisecond()));
        let time = |at: Option<jiff::Timestamp>| at.map_or("open".to_owned(), local);
        let words: Vec<&str> = self.changes.iter().map(|what| what.word()).collect();
        let words = words.join(", ");
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => {
                let was = if old.number == new.number { String::new() } else { format!(", was {}", old.number) };
                let sign = ink.paint(Colour::Yellow, "~");
                let _ = writeln!(text, "  {sign} {}  {}{was}: {words}", local(new.started_at), new.number);
                if old.started_at != new.started_at || old.ended_at != new.ended_at {
                    let (a, b) = ((old.started_at, old.ended_at), (new.started_at, new.ended_at));
                    let _ = writeln!(text, "      was  {} – {}", local(a.0), time(a.1));
                    let _ = writeln!(text, "      is   {} – {}", local(b.0), time(b.1));
                }
                if old.duration_ms != new.duration_ms {
                    let by = signed(new.duration_ms - old.duration_ms);
                    let _ = writeln!(text, "      {} → {} ({by})", span(old.duration_ms), span(new.duration_ms));
                }
                if self.changes.contains(&What::Reclassified) {
                    let _ = writeln!(text, "      was  {}", class(old));
                    let _ = writeln!(text, "      is   {}", class(new));
                }
            }
            (old, new) => {
                let Some(only) = new.as_ref().or(old.as_ref()) else { return };
                let (sign, colour, other) = if new.is_some() {
                    ("+", Colour::Red, "in the time of the old")
                } else {
                    ("-", Colour::Green, "now in")
                };
                let sign = ink.paint(colour, sign);
                let (start, number) = (local(only.started_at), &only.number);
                let _ = writeln!(text, "  {sign} {start}  {number}: {words}, {}", span(only.duration_ms));
                let _ = writeln!(text, "      {}", class(only));
                if !self.overlaps.is_empty() {
                    let _ = writeln!(text, "      {other} {}", self.overlaps.join(", "));
                }
            }
        }
    }
}

/// `failure, mech.jam, in availability`
fn class(of: &SaidDowntime) -> String {
    let reason = of.reason.as_deref().unwrap_or("no reason");
    let counts_in = match of.counts_in.as_str() {
        "excluded" => "excluded".to_owned(),
        "none" => "no stop".to_owned(),
        place => format!("in {place}"),
    };
    format!("{}, {reason}, {counts_in}", of.class)
}

impl WindowChange {
    fn figure(&self, name: &str) -> Option<&FigureChange> {
        self.figures.iter().find(|change| change.name.figure == name)
    }

    fn block(&self, ink: Ink, text: &mut String) {
        let rows: Vec<String> = self.figures.iter().filter_map(FigureChange::row).collect();
        if rows.is_empty() {
            return;
        }
        let id = if self.window == "all" { String::new() } else { format!(" {}", self.id) };
        let _ = writeln!(text, "{}  {}{id}", ink.paint(Colour::Bold, self.whose.clone()), self.window);
        let head = format!("  {:<38} {:>12} {:>12} {:>12}", "", "old", "new", "change");
        let _ = writeln!(text, "{}", ink.paint(Colour::Faint, head));
        let _ = writeln!(text, "{}\n", rows.join("\n"));
    }
}

/// A line for each of many windows of one machine: availability, OEE and time down where they have changed.
fn list(windows: &[&WindowChange], width: usize, ink: Ink, text: &mut String) {
    let _ = writeln!(text, "{}  {}", ink.paint(Colour::Bold, windows[0].whose.clone()), windows[0].window);
    let head = format!("  {:width$} {:>15} {:>15} {:>23}", "", "A %", "OEE %", "down");
    let _ = writeln!(text, "{}", ink.paint(Colour::Faint, head));
    for window in windows {
        let ratio = |name: &str| {
            let short =
                |value: &Value| value.as_f64().map_or("–".to_owned(), |ratio| format!("{:.2}", ratio * 100.0));
            let change = window.figure(name).map(|change| (short(&change.old), short(&change.new)));
            change.filter(|(old, new)| old != new).map_or("=".to_owned(), |(old, new)| format!("{old} → {new}"))
        };
        let time = |value: &Value| span(value.as_i64().unwrap_or(0));
        let down = window.figure("down_ms");
        let down = down.map_or("=".to_owned(), |change| format!("{} → {}", time(&change.old), time(&change.new)));
        let (a, oee) = (ratio("kpi.availability"), ratio("kpi.oee"));
        let _ = writeln!(text, "  {:width$} {a:>15} {oee:>15} {down:>23}", window.id);
    }
    text.push('\n');
}

impl FigureChange {
    /// `None` for what people need not see: what follows from other figures, and what looks the same.
    fn row(&self) -> Option<String> {
        let figure = self.name.figure.as_str();
        let is_time = figure.starts_with("time_ms.") || figure.ends_with("ms");
        let label = match (&self.name.loss, figure) {
            (Some(loss), "losses.ms") => loss.words(),
            (Some(loss), _) => format!("{}, stops", loss.words()),
            (None, "down_ms") => "planned - run".to_owned(),
            (None, "kpi.nee" | "kpi.teep" | "restorations" | "restoration_ms") => return None,
            (None, "calendar_ms" | "operating_ms" | "ideal_ms" | "good_ideal_ms") => return None,
            (None, _) => match figure.split_once('.') {
                Some(("counts", name)) => format!("parts {}", name.replace('.', " ")),
                Some((_, name)) => name.trim_end_matches("_ms").to_owned(),
                None => figure.trim_end_matches("_ms").to_owned(),
            },
        };
        let (old, new) = (self.old.as_f64(), self.new.as_f64());
        let (old, new, change) = if is_time {
            let time = |value: &Value| value.as_i64().map_or("–".to_owned(), span);
            let by = self.old.as_i64().zip(self.new.as_i64()).map(|(old, new)| signed(new - old));
            (time(&self.old), time(&self.new), by)
        } else if figure.starts_with("kpi.") {
            let points = old.zip(new).map(|(old, new)| format!("{:+.2} pt", (new - old) * 100.0));
            (percent(old), percent(new), points)
        } else {
            let by = old.zip(new).map(|(old, new)| format!("{:+}", new - old));
            (plain(&self.old), plain(&self.new), by)
        };
        let change = change.unwrap_or_default();
        if change == "+0.00 pt" || change == "-0.00 pt" {
            return None;
        }
        let is_wide = old.chars().count().max(new.chars().count()) > 12;
        let row = if is_wide {
            format!("  {label}\n    {old} → {new}")
        } else if label.chars().count() > 38 {
            format!("  {label}\n  {:38} {old:>12} {new:>12} {change:>12}", "")
        } else {
            format!("  {label:<38} {old:>12} {new:>12} {change:>12}")
        };
        Some(row.trim_end().to_owned())
    }
}

impl LossName {
    /// `A mech.jam (failure)`
    fn words(&self) -> String {
        let factor = match self.counts_in.as_str() {
            "availability" => "A",
            "performance" => "P",
            _ => "–",
        };
        match &self.reason {
            None if self.class == "planned" => format!("{factor} {OF_CALENDAR}"),
            reason => format!("{factor} {} ({})", reason.as_deref().unwrap_or("no reason"), self.class),
        }
    }
}

/// As JSON has it, without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

fn signed(ms: i64) -> String {
    if ms < 0 { span(ms) } else { format!("+{}", span(ms)) }
}

#[cfg(test)]
mod tests {
    use super::{Change, SaidDowntime, What, matched};
    use proptest::prelude::*;
    use uuid::Uuid;

    /// From `from` to `to`, in seconds; without an end it is open.
    fn downtime(number: usize, from: i64, to: Option<i64>) -> SaidDowntime {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        SaidDowntime {
            downtime_id: Uuid::from_u128(u128::try_from(number).unwrap()),
            number: format!("press-7/{number}"),
            started_at: at(from),
            ended_at: to.map(at),
            duration_ms: to.map_or(0, |to| (to - from) * 1000),
            class: "failure".to_owned(),
            counts_in: "availability".to_owned(),
            reason: None,
        }
    }

    /// One after the other: each so long after the one before, and so long itself; the last may be open.
    fn downtimes() -> impl Strategy<Value = Vec<SaidDowntime>> {
        (prop::collection::vec((0..40_i64, 1..60_i64), 0..12), any::<bool>()).prop_map(|(pieces, is_open)| {
            let (mut at, last) = (0, pieces.len());
            let one = |(place, (gap, length)): (usize, (i64, i64))| {
                let from = at + gap;
                at = from + length;
                downtime(place + 1, from, (!is_open || place + 1 < last).then_some(at))
            };
            pieces.into_iter().enumerate().map(one).collect()
        })
    }

    #[test]
    fn of_two_that_overlap_the_same_one_the_longer_is_it() {
        let old = [downtime(1, 0, Some(10)), downtime(2, 20, Some(100)), downtime(3, 200, None)];
        let new = [downtime(1, 0, Some(100)), downtime(2, 300, None)];
        let found = matched("press-7", &old, &new);
        let told: Vec<_> = found
            .iter()
            .map(|Change { changes, old, new, overlaps, .. }| {
                let number = |of: &Option<SaidDowntime>| of.as_ref().map(|of| of.number.clone()).unwrap_or_default();
                (changes.as_slice(), number(old), number(new), overlaps.join(" "))
            })
            .collect();
        let text = |text: &str| text.to_owned();
        assert_eq!(
            told,
            [
                (&[What::Vanished][..], text("press-7/1"), text(""), text("press-7/1")),
                (&[What::Longer], text("press-7/2"), text("press-7/1"), text("")),
                (&[What::Moved], text("press-7/3"), text("press-7/2"), text("")),
            ]
        );
    }

    proptest! {
        #[test]
        fn each_downtime_is_told_once_and_those_that_share_no_time_are_not_one(old in downtimes(), new in downtimes()) {
            let found = matched("press-7", &old, &new);
            let mut of_old: Vec<_> = found.iter().filter_map(|change| change.old.clone()).collect();
            let mut of_new: Vec<_> = found.iter().filter_map(|change| change.new.clone()).collect();
            of_old.sort_by_key(|downtime| downtime.started_at);
            of_new.sort_by_key(|downtime| downtime.started_at);
            prop_assert_eq!((&of_old, &of_new), (&old, &new));
            let end = |downtime: &SaidDowntime| downtime.ended_at.unwrap_or(jiff::Timestamp::MAX);
            for change in &found {
                match (&change.old, &change.new) {
                    (Some(a), Some(b)) => prop_assert!(a.started_at < end(b) && b.started_at < end(a)),
                    (old, new) => prop_assert!(old.is_some() != new.is_some()),
                }
            }
            // Against itself nothing has changed.
            prop_assert!(matched("press-7", &old, &old).iter().all(|change| change.changes.is_empty()));
        }
    }
}
