//! A data folder and a question in, the figures that answer it out: what is kept of days that are over from the history,
//! the rest from the latest snapshot and the events after it.
//!
//! Where there is no history, or one that an older andon has not kept up, everything is counted from the journal itself.

use super::{
    Exit, Failure,
    figures::{Figures, Kind},
};
use crate::{
    books::{Book, Convention, Terms, window},
    event::{Stamp, Told, shift},
    gateway::Settings,
    io::journal::{
        self, Marks as MarksFile, Reader,
        history::{Depth, Page, Stated},
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

/// What is read at once.
struct Found {
    known: Known,
    kept: Vec<(String, Vec<Stated>, Vec<Page>)>,
    terms: BTreeMap<i64, String>,
}

/// The figures, as far as the question goes.
pub(super) fn read(settings: &Settings, asked: &Asked<'_>) -> Result<Figures, Failure> {
    let reader = Reader::open(&settings.journal.data_dir).map_err(|error| unusable(&error))?;
    let rules = Arc::new(settings.rules.clone());
    let found = reader.at_once(|reader| find(reader, &rules, asked)).map_err(|error| unusable(&error))?;
    let mut figures = Figures::new(rules.clone());
    let is_resumed = found.is_some_and(|found| resume(&mut figures, &rules, asked, found));
    if !is_resumed {
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
    }
    let (marks, instance) =
        reader.at_once(|reader| Ok((reader.marks()?, reader.instance()?))).map_err(|error| unusable(&error))?;
    let in_memory = MarksFile::place(&settings.journal, instance).read().map(|kept| kept.body);
    for marks in [marks, in_memory].into_iter().flatten() {
        if let Ok(marks) = serde_json::from_str::<Marks>(&marks) {
            figures.mark(&marks);
        }
    }
    Ok(figures)
}

pub(super) fn unusable(error: &journal::Error) -> Failure {
    Failure::new(Exit::Journal, error)
}

/// Whether the history follows the journal: nothing is missing in it that began before the latest snapshot.
pub(super) fn follows(reader: &Reader) -> Result<bool, journal::Error> {
    let snapshot = reader.snapshot_sequence()?;
    Ok(reader.history_through()?.is_some_and(|through| through >= snapshot))
}

/// `None` where the history does not follow the journal.
fn find(reader: &Reader, rules: &Rules, asked: &Asked<'_>) -> Result<Option<Found>, journal::Error> {
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
    let wall = &known.wall;
    let (begin, end) = wall.hull(asked.range.0, asked.range.1);
    let mut kept = Vec::new();
    for machine in rules.machines.iter().filter(|machine| asked.machine.is_none_or(|id| id == machine.id)) {
        let stated = match table(asked.kind, machine) {
            Some(kind) => reader.windows((&machine.id, kind), asked.range, asked.depth)?,
            None => Vec::new(),
        };
        let pages = match table(asked.kind, machine) {
            // What is not final, and what has no line yet.
            Some(_) => {
                let open = stated.iter().filter(|stated| !stated.is_settled(wall));
                let open = open.map(|stated| wall.hull(stated.from, stated.to).0).min();
                let new = stated.last().map(|stated| wall.hull(stated.to, Stamp::MAX).0);
                let from = open.into_iter().chain(new).min().unwrap_or(begin);
                reader.pages(&machine.id, (from, end), true)?
            }
            None => reader.pages(&machine.id, (begin, end), true)?,
        };
        kept.push((machine.id.clone(), stated, pages));
    }
    let is_other = |stated: &Stated| stated.terms.is_some();
    let has_terms = kept.iter().flat_map(|(_, stated, _)| stated).any(is_other);
    let terms = if has_terms { reader.terms()? } else { BTreeMap::new() };
    Ok(Some(Found { known, kept, terms }))
}

/// Where windows of this kind are kept.
fn table(kind: Kind, machine: &MachineRules) -> Option<shift::Kind> {
    match kind {
        Kind::Shift if machine.calendar.has_shifts() => Some(shift::Kind::Shift),
        Kind::Shift | Kind::Day => Some(shift::Kind::Day),
        Kind::Hour | Kind::Order | Kind::All => None,
    }
}

/// `false` where it cannot be used.
fn resume(figures: &mut Figures, rules: &Rules, asked: &Asked<'_>, found: Found) -> bool {
    let known = found.known;
    let end = known.wall.hull(asked.range.0, asked.range.1).1;
    let terms: BTreeMap<i64, Convention> = found
        .terms
        .iter()
        .filter_map(|(print, body)| Some((*print, serde_json::from_str::<Terms>(body).ok()?.oee.convention)))
        .collect();
    let mut kept = BTreeMap::new();
    for (id, mut stated, pages) in found.kept {
        let Some(machine) = rules.machines.iter().find(|machine| machine.id == id) else { continue };
        for one in &mut stated {
            let convention = one.terms.and_then(|print| terms.get(&print)).copied();
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
                _ => return false,
            }
        }
        // Between the last page that was asked for and what is in memory there may be others.
        if reaches && let Some(machine) = known.machines.get(&id) {
            book.join(machine.book.clone());
        }
        kept.insert(id, (stated, book));
    }
    figures.resume(&known, kept);
    true
}
