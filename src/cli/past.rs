//! A data folder and a question in, the figures that answer it out: what is kept of days that are over from the history,
//! the rest from the latest snapshot and the events after it.
//!
//! Where there is no history, or one that an older andon has not kept up, everything is counted from the journal itself.

use super::{
    Exit, Failure,
    figures::{By, Figure, Figures, Kind, Sheet},
};
use crate::{
    books::{Book, Convention, Terms, window},
    event::{Stamp, Told, shift},
    gateway::Settings,
    io::journal::{
        self, Marks as MarksFile, Reader,
        history::{Depth, Stated},
    },
    shop::{Known, Marks, Rules, rules::MachineRules},
};
use std::{collections::BTreeMap, sync::Arc};

/// What is asked for.
pub(super) struct Asked<'a> {
    /// Only this machine.
    pub(super) machine: Option<&'a str>,
    /// Which windows.
    pub(super) kind: Kind,
    /// Windows that overlap it.
    pub(super) range: (Stamp, Stamp),
    /// What of kept windows is shown.
    pub(super) depth: Depth,
}

/// The figures, as far as the question goes.
pub(super) fn read(settings: &Settings, asked: &Asked<'_>, by: By) -> Result<Sheet, Failure> {
    let mut all = Vec::new();
    let figures = each(settings, asked, |mut of_machine| all.append(&mut of_machine))?;
    Ok(figures.sheet_of(all, by))
}

/// The same, one machine after the other, and at last what they were made of. Whoever takes them must wait for nobody:
/// the database is being read, and a transaction that stays open makes the WAL grow.
pub(super) fn each(
    settings: &Settings,
    asked: &Asked<'_>,
    mut take: impl FnMut(Vec<Figure>),
) -> Result<Figures, Failure> {
    let reader = Reader::open(&settings.journal.data_dir).map_err(|error| unusable(&error))?;
    let rules = Arc::new(settings.rules.clone());
    let is_asked = |place: &usize| asked.machine.is_none_or(|id| id == rules.machines[*place].id);
    let mut places = (0..rules.machines.len()).filter(is_asked).peekable();
    let mut figures = Figures::new(rules.clone());
    let is_kept = reader.at_once(|reader| {
        let Some(mut known) = known(reader)? else { return Ok(false) };
        figures.resume(&known);
        mark(&mut figures, reader, settings)?;
        let mut terms = None;
        while let Some(place) = places.peek() {
            let Some(kept) = kept(reader, &rules, &rules.machines[*place], asked, (&mut known, &mut terms))? else {
                return Ok(false);
            };
            take(figures.of_kept(*place, kept, asked.kind, asked.range));
            places.next();
        }
        Ok(true)
    });
    if is_kept.map_err(|error| unusable(&error))? {
        return Ok(figures);
    }
    let mut figures = Figures::new(rules.clone());
    let mut passed_over = 0;
    reader
        .each_row(|row| match serde_json::from_str::<Told>(&row.internal) {
            Ok(told) => figures.enter(&told),
            Err(_) => passed_over += 1,
        })
        .map_err(|error| unusable(&error))?;
    if passed_over > 0 {
        super::eprint_words(&format!("warning: {passed_over} events of another version were passed over\n"));
    }
    reader.at_once(|reader| mark(&mut figures, reader, settings)).map_err(|error| unusable(&error))?;
    places.for_each(|place| take(figures.of(place, asked.kind, asked.range)));
    Ok(figures)
}

/// Enters what was seen last, on the disk and in memory.
fn mark(figures: &mut Figures, reader: &Reader, settings: &Settings) -> Result<(), journal::Error> {
    let (marks, instance) = (reader.marks()?, reader.instance()?);
    let in_memory = MarksFile::place(&settings.journal, instance).read().map(|kept| kept.body);
    for marks in [marks, in_memory].into_iter().flatten() {
        if let Ok(marks) = serde_json::from_str::<Marks>(&marks) {
            figures.mark(&marks);
        }
    }
    Ok(())
}

pub(super) fn unusable(error: &journal::Error) -> Failure {
    Failure::new(Exit::Journal, error)
}

/// Whether the history follows the journal: nothing is missing in it that began before the latest snapshot.
pub(super) fn follows(reader: &Reader) -> Result<bool, journal::Error> {
    let snapshot = reader.snapshot_sequence()?;
    Ok(reader.history_through()?.is_some_and(|through| through >= snapshot))
}

/// What the events told; `None` where the history does not follow the journal, or they cannot be read.
fn known(reader: &Reader) -> Result<Option<Known>, journal::Error> {
    if !follows(reader)? {
        return Ok(None);
    }
    let snapshot = reader.snapshot()?;
    let reaches = snapshot.as_ref().map_or(0, |(sequence, _)| *sequence);
    let known = match &snapshot {
        Some((_, snapshot)) => serde_json::from_str::<Known>(snapshot).ok(),
        None => Some(Known::default()),
    };
    let Some(mut known) = known else { return Ok(None) };
    for row in reader.rows_after(reaches, u64::MAX)? {
        match serde_json::from_str::<Told>(&row.internal) {
            Ok(told) => known.apply(&told),
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(known))
}

/// Where windows of this kind are kept.
fn table(kind: Kind, machine: &MachineRules) -> Option<shift::Kind> {
    match kind {
        Kind::Shift if machine.calendar.has_shifts() => Some(shift::Kind::Shift),
        Kind::Shift | Kind::Day => Some(shift::Kind::Day),
        Kind::Hour | Kind::Order | Kind::All => None,
    }
}

/// By the fingerprint of the rules, the convention that kept windows are judged by; `None` before anybody asked.
type Conventions = Option<BTreeMap<i64, Convention>>;

/// What is kept of a machine: its windows, judged, and the book that the others are counted from. `None` where it cannot
/// be used.
fn kept(
    reader: &Reader,
    rules: &Rules,
    machine: &MachineRules,
    asked: &Asked<'_>,
    (known, terms): (&mut Known, &mut Conventions),
) -> Result<Option<(Vec<Stated>, Book)>, journal::Error> {
    let wall = &known.wall;
    let (begin, end) = wall.hull(asked.range.0, asked.range.1);
    let (mut stated, pages) = match table(asked.kind, machine) {
        Some(kind) => {
            let stated = reader.windows((&machine.id, kind), asked.range, asked.depth)?;
            // What is not final, and what has no line yet.
            let open = stated.iter().filter(|stated| !stated.is_settled(wall));
            let open = open.map(|stated| wall.hull(stated.from, stated.to).0).min();
            let new = stated.last().map(|stated| wall.hull(stated.to, Stamp::MAX).0);
            let from = open.into_iter().chain(new).min().unwrap_or(begin);
            let pages = reader.pages(&machine.id, (from, end), true)?;
            (stated, pages)
        }
        None => (Vec::new(), reader.pages(&machine.id, (begin, end), true)?),
    };
    for one in &mut stated {
        let convention = match one.terms {
            Some(print) => conventions(reader, terms)?.get(&print).copied(),
            None => None,
        };
        window::judge(&mut one.window, convention.unwrap_or(rules.oee.convention));
    }
    if asked.kind == Kind::Shift && !machine.calendar.has_shifts() {
        // A holiday is a day, but no shift.
        stated.retain(|day| !machine.calendar.is_off(day.from));
    }
    let mut book = Book::default();
    let reaches = pages.last().is_none_or(|last| last.from < end);
    for page in pages {
        match serde_json::from_str::<Book>(&page.body) {
            Ok(page_book) if !page.is_stale => book.join(page_book),
            _ => return Ok(None),
        }
    }
    // Between the last page that was asked for and what is in memory there may be others.
    if reaches && let Some(machine) = known.machines.get_mut(&machine.id) {
        // Nobody asks for it again: the books of many machines are most of what is known.
        book.join(std::mem::take(&mut machine.book));
    }
    Ok(Some((stated, book)))
}

/// Read once, where a window names rules.
fn conventions<'a>(
    reader: &Reader,
    terms: &'a mut Conventions,
) -> Result<&'a BTreeMap<i64, Convention>, journal::Error> {
    if terms.is_none() {
        let convention = |body: &str| Some(serde_json::from_str::<Terms>(body).ok()?.oee.convention);
        let kept = reader.terms()?;
        *terms = Some(kept.iter().filter_map(|(print, body)| Some((*print, convention(body)?))).collect());
    }
    Ok(terms.get_or_insert_default())
}
