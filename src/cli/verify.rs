//! `andon report --verify`: the history and the journal in, every kept line that differs from what the events tell out.
//!
//! Each line is counted anew under the rules that it was made under, by folding the journal as the daemon does.

use super::{
    Exit, Failure,
    past::{follows, unusable},
};
use crate::{
    books::{
        Chronicle, Terms,
        calendar::Period,
        history::{Entry, Figures},
    },
    event::{
        Event, Stamp, Told, Wall, notice, shift,
        window::{Listed, Window},
    },
    gateway::Settings,
    io::journal::{
        self, Reader,
        history::{Depth, Stated},
    },
};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufWriter, Write},
};

/// Rows that are read at once.
const CHUNK: u64 = 1000;

/// Differences that a table shows; JSON holds all.
const SHOWN: usize = 100;

type Name = (String, &'static str, String);
type Hash = [u8; 32];

/// What was found.
#[derive(Serialize)]
struct Outcome {
    /// The last event that was counted.
    as_of_sequence: u64,
    /// Lines that say what the journal tells.
    equal: usize,
    /// Of these, lines made under rules that are no longer in force: counted anew under those.
    other_rules: usize,
    /// Of these, statements whose rules nobody has kept: compared with what was told.
    rules_not_kept: usize,
    /// Lines about time from before the journal's first event.
    beyond_journal: usize,
    differs: Vec<Difference>,
}

#[derive(Serialize)]
struct Difference {
    machine: String,
    /// `shift`, `day` or `page`.
    window: &'static str,
    id: String,
    field: String,
    kept: Value,
    journal: Value,
}

/// What is kept.
struct Kept {
    last_sequence: u64,
    windows: Vec<Stated>,
    pages: Vec<KeptPage>,
    terms: BTreeMap<i64, String>,
}

struct KeptPage {
    machine: String,
    id: String,
    from: Stamp,
    to: Stamp,
    hash: Hash,
    is_stale: bool,
}

/// What the journal tells.
#[derive(Default)]
struct Counted {
    /// By the rules, and by the window's name.
    windows: BTreeMap<(i64, Name), Figures>,
    /// Statements, with what their figures were when they were told.
    statements: BTreeMap<Name, (shift::Event, Option<(Window, bool)>)>,
    pages: BTreeMap<(String, Stamp), (String, Stamp, Hash)>,
    /// Whole pages, where they are asked for.
    bodies: BTreeMap<(String, Stamp), (Period, String)>,
    /// Time that was changed when it was no longer in memory.
    late: Vec<(String, Stamp, Stamp)>,
    /// How the wall clock was set.
    wall: Wall,
    /// The first event that there is.
    first: Option<(u64, Stamp)>,
}

pub(super) fn run(settings: &Settings, machine: Option<&str>, is_json: bool) -> Result<(), Failure> {
    let reader = Reader::open(&settings.journal.data_dir).map_err(|error| unusable(&error))?;
    let machines: Vec<&str> = settings.rules.machines.iter().map(|machine| machine.id.as_str()).collect();
    let machines: Vec<&str> = machines.into_iter().filter(|id| machine.is_none_or(|one| one == *id)).collect();
    let Some(kept) = reader.at_once(|reader| look(reader, &machines)).map_err(|error| unusable(&error))? else {
        let words = "there is no history of this journal yet\nhint: `andon run` makes it, and says when it is done";
        return Err(Failure::say(Exit::Unavailable, words));
    };
    let rules = &settings.rules;
    let in_force: BTreeMap<String, Terms> =
        rules.machines.iter().map(|machine| (machine.id.clone(), rules.terms(machine))).collect();
    let mut counted = count(&reader, &kept, &in_force, &machines, &[])?;
    let mut wanted = std::mem::take(&mut counted.late);
    let is_right = |page: &KeptPage| {
        counted
            .pages
            .get(&(page.machine.clone(), page.from))
            .is_some_and(|(_, to, hash)| (*to, *hash) == (page.to, page.hash))
    };
    wanted.extend(
        kept.pages.iter().filter(|page| !is_right(page)).map(|page| (page.machine.clone(), page.from, page.to)),
    );
    if !wanted.is_empty() {
        counted = count(&reader, &kept, &in_force, &machines, &wanted)?;
    }
    let outcome = compare(&reader, &kept, &counted, &in_force).map_err(|error| unusable(&error))?;
    let mut out = BufWriter::new(io::stdout().lock());
    Failure::unless_printed(if is_json { outcome.json(&mut out) } else { outcome.table(&mut out) })?;
    match outcome.differs.len() {
        0 => Ok(()),
        differs => Err(Failure::say(Exit::Data, format!("{differs} figures differ from what the journal tells"))),
    }
}

/// `None` where the history does not follow the journal.
fn look(reader: &Reader, machines: &[&str]) -> Result<Option<Kept>, journal::Error> {
    const ALWAYS: (Stamp, Stamp) = (Stamp::MIN, Stamp::MAX);
    if !follows(reader)? {
        return Ok(None);
    }
    let (mut windows, mut pages) = (Vec::new(), Vec::new());
    for id in machines {
        for kind in [shift::Kind::Shift, shift::Kind::Day] {
            windows.extend(reader.windows((id, kind), ALWAYS, Depth::Whole)?);
        }
        pages.extend(reader.pages(id, ALWAYS, false)?.into_iter().map(|page| KeptPage {
            hash: hash(&page.body),
            machine: page.machine,
            id: page.id,
            from: page.from,
            to: page.to,
            is_stale: page.is_stale,
        }));
    }
    Ok(Some(Kept { last_sequence: reader.last_sequence()?, windows, pages, terms: reader.terms()? }))
}

/// Folds the journal once for each set of rules that lines were made under. `wanted`: days whose whole pages are needed.
fn count(
    reader: &Reader,
    kept: &Kept,
    in_force: &BTreeMap<String, Terms>,
    machines: &[&str],
    wanted: &[(String, Stamp, Stamp)],
) -> Result<Counted, Failure> {
    let mut chronicles: BTreeMap<i64, Chronicle> = BTreeMap::new();
    for id in machines {
        if let Some(terms) = in_force.get(*id) {
            chronicles.entry(terms.print()).or_default().begin(id, terms.clone());
        }
        let used = kept.windows.iter().filter(|stated| stated.machine == *id).filter_map(|stated| stated.terms);
        for print in used.collect::<BTreeSet<i64>>() {
            if let Some(terms) = kept.terms.get(&print).and_then(|body| serde_json::from_str::<Terms>(body).ok()) {
                chronicles.entry(print).or_default().begin(id, terms);
            }
        }
    }
    let mut counted = Counted::default();
    let mut sequence = 0;
    while sequence < kept.last_sequence {
        let rows =
            reader.rows_after(sequence, CHUNK.min(kept.last_sequence - sequence)).map_err(|error| unusable(&error))?;
        let Some(last) = rows.last() else { break };
        sequence = last.sequence;
        for row in &rows {
            // What cannot be read was not counted by the daemon either.
            let Ok(told) = serde_json::from_str::<Told>(&row.internal) else { continue };
            counted.first.get_or_insert((told.sequence, told.recorded));
            if let Event::Notice(notice::Event { clock: Some(era), .. }) = &told.event {
                counted.wall.enter(*era);
                chronicles.values_mut().for_each(|chronicle| chronicle.follow(&counted.wall));
            }
            if !told.event.machine().is_some_and(|id| machines.contains(&id)) {
                continue;
            }
            for (print, chronicle) in &mut chronicles {
                counted.enter(*print, chronicle, &told, wanted);
            }
        }
    }
    Ok(counted)
}

impl Counted {
    fn enter(&mut self, print: i64, chronicle: &mut Chronicle, told: &Told, wanted: &[(String, Stamp, Stamp)]) {
        let Some(machine) = told.event.machine() else { return };
        if let Event::Shift(stated) = &told.event {
            let name = (machine.to_owned(), stated.kind.word(), stated.id.clone());
            let period = Period { id: stated.id.clone(), from: stated.from, to: stated.to };
            let anew = chronicle.count(machine, &period, told.recorded);
            let before = self.statements.remove(&name).filter(|(known, _)| known.revision == stated.revision);
            // Whichever rules give what was stated are those that it was stated under.
            let is_it = |anew: &Option<(Window, bool)>| anew.as_ref().is_some_and(|(anew, _)| *anew == *stated.window);
            let anew = before.and_then(|(_, anew)| anew).map(Some).filter(is_it).unwrap_or(anew);
            self.statements.insert(name, (stated.clone(), anew));
        }
        if let Some((from, to)) = chronicle.asks(told) {
            let days = self.bodies.iter().filter(|((id, _), (day, _))| id == machine && day.from < to && from < day.to);
            for (_, (day, body)) in days {
                if let Ok(book) = serde_json::from_str(body) {
                    chronicle.fetch(machine, day.clone(), book);
                }
            }
        }
        let entries = chronicle.enter(told);
        chronicle.let_go();
        for entry in entries {
            match entry {
                Entry::Window(figures) => {
                    let name = (machine.to_owned(), figures.kind.word(), figures.id.clone());
                    self.windows.insert((print, name), *figures);
                }
                Entry::Page(page) => {
                    let key = (machine.to_owned(), page.from);
                    if wanted.iter().any(|(id, from, to)| id == machine && page.from < *to && *from < page.to) {
                        let day = Period { id: page.id.clone(), from: page.from, to: page.to };
                        self.bodies.insert(key.clone(), (day, page.body.clone()));
                    }
                    self.pages.insert(key, (page.id, page.to, hash(&page.body)));
                }
                Entry::Stale { from, to } => self.late.push((machine.to_owned(), from, to)),
            }
        }
    }
}

fn compare(
    reader: &Reader,
    kept: &Kept,
    counted: &Counted,
    in_force: &BTreeMap<String, Terms>,
) -> Result<Outcome, journal::Error> {
    let mut outcome = Outcome {
        as_of_sequence: kept.last_sequence,
        equal: 0,
        other_rules: 0,
        rules_not_kept: 0,
        beyond_journal: 0,
        differs: Vec::new(),
    };
    let first = counted.first.filter(|(sequence, _)| *sequence > 1).map(|(_, at)| at);
    let is_beyond = |from: Stamp| first.is_some_and(|first| from < first);
    let prints: BTreeMap<&str, i64> = in_force.iter().map(|(id, terms)| (id.as_str(), terms.print())).collect();
    let mut names: BTreeSet<Name> = BTreeSet::new();
    for stated in &kept.windows {
        let name = (stated.machine.clone(), stated.kind.word(), stated.id.clone());
        names.insert(name.clone());
        if is_beyond(counted.wall.hull(stated.from, stated.to).0) {
            outcome.beyond_journal += 1;
            continue;
        }
        let now = prints.get(stated.machine.as_str()).copied();
        let anew = stated.terms.or(now).and_then(|print| counted.windows.get(&(print, name.clone())));
        let mut found = match anew {
            Some(figures) => {
                let value = |listed: Listed| serde_json::to_value(listed).unwrap_or_default();
                let mut found = fields(&without_kpi(&stated.window), &without_kpi(&figures.window));
                // Columns of their own, that a report shows without a look into the lists.
                found.extend(fields(&value(stated.listed), &value(figures.window.listed())));
                found
            }
            None => vec![("kept".to_owned(), Value::Bool(true), Value::Bool(false))],
        };
        if let Some((told, anew)) = counted.statements.get(&name).filter(|_| found.is_empty()) {
            found = of_statement(stated, told, anew.as_ref());
        }
        outcome.enter(&name, found);
        outcome.other_rules += usize::from(stated.terms.is_some() && stated.terms != now);
        outcome.rules_not_kept += usize::from(stated.terms.is_none());
    }
    let in_force = counted.windows.keys().filter(|(print, name)| prints.get(name.0.as_str()) == Some(print));
    let missing = in_force.map(|(_, name)| name).filter(|name| !names.contains(*name));
    for name in missing.cloned().collect::<BTreeSet<Name>>() {
        outcome.enter(&name, vec![("kept".to_owned(), Value::Bool(false), Value::Bool(true))]);
    }
    for page in &kept.pages {
        let name = (page.machine.clone(), "page", page.id.clone());
        if is_beyond(page.from) {
            outcome.beyond_journal += 1;
            continue;
        }
        let found = match counted.pages.get(&(page.machine.clone(), page.from)) {
            Some(_) if page.is_stale => vec![("stale".to_owned(), Value::Bool(true), Value::Bool(false))],
            Some((_, to, hash)) if (*to, *hash) == (page.to, page.hash) => Vec::new(),
            Some(_) => {
                let whole = reader.page(&page.machine, page.from)?.map(|page| page.body).unwrap_or_default();
                let anew = counted.bodies.get(&(page.machine.clone(), page.from));
                let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
                fields(&read(&whole), &read(anew.map_or("", |(_, body)| body)))
            }
            None => vec![("kept".to_owned(), Value::Bool(true), Value::Bool(false))],
        };
        outcome.enter(&name, found);
    }
    for ((machine, from), (id, to, _)) in &counted.pages {
        let is_covered = kept.pages.iter().any(|page| page.machine == *machine && page.from < *to && *from < page.to);
        if !is_covered {
            let name = (machine.clone(), "page", id.clone());
            outcome.enter(&name, vec![("kept".to_owned(), Value::Bool(false), Value::Bool(true))]);
        }
    }
    Ok(outcome)
}

/// What was told against what its rules make of the events before it.
fn of_statement(stated: &Stated, told: &shift::Event, anew: Option<&(Window, bool)>) -> Vec<(String, Value, Value)> {
    let mut found = Vec::new();
    if stated.revision != told.revision {
        found.push(("revision".to_owned(), stated.revision.into(), told.revision.into()));
    }
    if let Some((anew, is_told)) = anew {
        let mut anew = anew.clone();
        if !is_told {
            // Parts that had been seen, and were not told before the statement itself.
            let Window { counts, parts_bounds, made, flags, is_final, .. } = (*told.window).clone();
            (anew.counts, anew.parts_bounds, anew.made, anew.flags) = (counts, parts_bounds, made, flags);
            anew.is_final = is_final;
        }
        found.extend(fields(&without_kpi(&told.window), &without_kpi(&anew)));
    }
    found
}

/// Ratios follow from the sums, and are not kept.
fn without_kpi(window: &Window) -> Value {
    let mut value = serde_json::to_value(window).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("kpi");
    }
    value
}

/// The fields in which two differ, with both values; of lists the first place.
fn fields(kept: &Value, journal: &Value) -> Vec<(String, Value, Value)> {
    let (Some(one), Some(other)) = (kept.as_object(), journal.as_object()) else {
        return if kept == journal { Vec::new() } else { vec![(String::new(), kept.clone(), journal.clone())] };
    };
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let value = |of: &serde_json::Map<String, Value>, name: &String| of.get(name).cloned().unwrap_or_default();
    let pairs = names.into_iter().map(|name| (name, value(one, name), value(other, name)));
    pairs.filter(|(_, one, other)| one != other).flat_map(|(name, one, other)| within(name, &one, &other)).collect()
}

fn within(name: &str, one: &Value, other: &Value) -> Vec<(String, Value, Value)> {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            let at = |of: &[Value], place: usize| of.get(place).cloned().unwrap_or_default();
            let first = (0..one.len().max(other.len())).find(|place| at(one, *place) != at(other, *place));
            first.map(|place| (format!("{name}[{place}]"), at(one, place), at(other, place))).into_iter().collect()
        }
        (Value::Object(_), Value::Object(_)) => {
            fields(one, other).into_iter().map(|(inner, one, other)| (format!("{name}.{inner}"), one, other)).collect()
        }
        _ => vec![(name.to_owned(), one.clone(), other.clone())],
    }
}

fn hash(text: &str) -> Hash {
    Sha256::digest(text.as_bytes()).into()
}

impl Outcome {
    fn enter(&mut self, (machine, window, id): &Name, found: Vec<(String, Value, Value)>) {
        self.equal += usize::from(found.is_empty());
        self.differs.extend(found.into_iter().map(|(field, kept, journal)| Difference {
            machine: machine.clone(),
            window,
            id: id.clone(),
            field,
            kept,
            journal,
        }));
    }

    fn json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)?;
        out.flush()
    }

    fn table(&self, out: &mut impl Write) -> io::Result<()> {
        for Difference { machine, window, id, field, kept, journal } in self.differs.iter().take(SHOWN) {
            writeln!(out, "{machine}  {window} {id}  {field}: {kept} is kept, {journal} by the journal")?;
        }
        if self.differs.len() > SHOWN {
            writeln!(out, "and {} more; --format json shows all", self.differs.len() - SHOWN)?;
        }
        writeln!(
            out,
            "{} windows and pages say what the journal tells up to event {}",
            self.equal, self.as_of_sequence
        )?;
        for (number, words) in [
            (self.other_rules, "were made under rules that are no longer in force, and counted anew under those"),
            (self.rules_not_kept, "are statements whose rules nobody has kept, and compared with what was told"),
            (self.beyond_journal, "lie beyond the journal, and cannot be counted anew"),
        ] {
            if number > 0 {
                writeln!(out, "{number} {words}")?;
            }
        }
        out.flush()
    }
}
