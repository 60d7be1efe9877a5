//! Told events in, lines of the history out: with each event while the gateway runs, and for what was told before there
//! was a history from the journal itself, on a thread of its own.

use super::Error;
use crate::{
    books::{
        Book, Chronicle, Terms,
        calendar::Period,
        history::{Entry, Figures, Written, reaches},
    },
    event::{Stamp, Told, shift::Kind},
    io::journal::{
        self, Journal, Reader,
        history::{Depth, Line, Page, Reach, Stated},
    },
    shop::{Known, Past, Rules, known, rules::MachineRules},
};
use std::{collections::BTreeMap, path::PathBuf, thread};
use tokio::sync::mpsc;
use tracing::{info, warn};

/// Rows that are read at once where the history is made from the journal.
const CHUNK: u64 = 1000;

/// Chunks that wait for the loop.
const CHUNKS: usize = 2;

/// Events that are told while the history is made, and wait for it. Beyond, it is left to the next start.
const WAITING: usize = 100_000;

/// The machines' books, from which the history is made, and the rules that it is made under.
pub struct Archive {
    chronicle: Chronicle,
    prints: BTreeMap<String, i64>,
    /// What was told while the history before this start is still made; `None`: nothing is missing.
    waiting: Option<Vec<Told>>,
}

/// What is no longer in memory, and a command is about.
#[derive(Default)]
pub struct Fetched {
    /// For the shop.
    pub past: Past,
    /// For the history: day by day.
    pub days: Vec<(Period, Book)>,
}

/// The days of a machine that overlap `[from, to)`, and those that their stops reach into, from what is kept.
///
/// # Errors
/// The database cannot be read.
pub fn fetch(
    reader: &Reader,
    machine: &MachineRules,
    (mut from, mut to): (Stamp, Stamp),
) -> Result<Fetched, journal::Error> {
    reader.at_once(|reader| {
        let mut fetched = Fetched::default();
        let wall = machine.calendar.wall();
        loop {
            fetched.days.clear();
            for page in reader.pages(&machine.id, (from, to), false)? {
                match serde_json::from_str::<Book>(&page.body) {
                    Ok(book) => fetched.days.push((Period { id: page.id, from: page.from, to: page.to }, book)),
                    Err(error) => warn!(machine = machine.id, day = page.id, %error, "a page could not be read"),
                }
            }
            let stops = || fetched.days.iter().flat_map(|(_, book)| &book.stops);
            let first = stops().map(|stop| stop.from).min().unwrap_or(from).min(from);
            let last = stops().filter_map(|stop| stop.ended_at).max().unwrap_or(to).max(to);
            if (first, last) == (from, to) {
                break;
            }
            (from, to) = (first, last);
        }
        fetched.days.iter().for_each(|(_, book)| fetched.past.book.join(book.clone()));
        let kind = if machine.calendar.has_shifts() { Kind::Shift } else { Kind::Day };
        for stated in reader.windows((&machine.id, kind), wall.shown(from, to), Depth::Figures)? {
            let one = known::Stated {
                kind,
                from: stated.from,
                to: stated.to,
                revision: stated.revision,
                is_final: stated.window.is_final,
                print: stated.print,
            };
            fetched.past.stated.insert(stated.id, one);
        }
        Ok(fetched)
    })
}

/// What the thread makes.
pub(super) enum Made {
    Lines(Vec<Line>),
    /// Nothing is missing any more; the books go on from here.
    All(Chronicle),
}

impl Archive {
    /// With what the snapshot of `known` tells; `snapshot`: the sequence up to which that is.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn open(
        rules: &Rules,
        known: &Known,
        snapshot: u64,
        reach: &Reach,
        journal: &Journal,
    ) -> Result<Archive, journal::Error> {
        let is_complete = reach.through.is_some_and(|through| through >= snapshot);
        let waiting = (!is_complete).then(Vec::new);
        let mut archive = Archive { chronicle: Chronicle::default(), prints: BTreeMap::new(), waiting };
        archive.chronicle.follow(&known.wall);
        for (id, terms) in terms(rules) {
            archive.prints.insert(id.clone(), terms.print());
            let machine = known.machines.get(&id).filter(|_| is_complete);
            let Some(machine) = machine else {
                archive.chronicle.begin(&id, terms);
                continue;
            };
            let calendar = terms.calendar.on(&known.wall);
            let today = calendar.day(known.at);
            let begun = calendar.wall().hull(today.from, today.to).0;
            let from = reaches(&machine.book, known.at).min(machine.book.since).min(begun);
            let mut book = Book::default();
            for page in journal.pages(&id, (from, Stamp::MAX))? {
                match serde_json::from_str::<Book>(&page.body) {
                    Ok(page) => book.join(page),
                    Err(error) => warn!(machine = id, day = page.id, %error, "a page could not be read"),
                }
            }
            let since = book.since;
            book.join(machine.book.clone());
            // Without a page the memory of the shop is all there is.
            let is_joined = since > Stamp::MIN && since <= machine.book.since;
            book.since = if is_joined { since } else { machine.book.since };
            let written = reach.written.get(&id).map(|(id, to)| Written { id: id.clone(), to: *to });
            let kind = if terms.calendar.has_shifts() { Kind::Shift } else { Kind::Day };
            let shown = calendar.wall().shown(from, Stamp::MAX);
            let stated = journal.windows((&id, kind), shown)?.into_iter();
            let stated = stated.map(|stated| Figures {
                kind,
                id: stated.id,
                from: stated.from,
                to: stated.to,
                revision: Some(stated.revision),
                window: *stated.window,
            });
            let raw = machine.told.as_ref().map(|told| told.raw.clone());
            archive.chronicle.resume(&id, terms, book, raw, written, stated.collect());
        }
        Ok(archive)
    }

    /// Nothing that follows from an event before this start is missing.
    pub fn is_complete(&self) -> bool {
        self.waiting.is_none()
    }

    /// Since when days of a machine are in memory.
    pub fn since(&self, machine: &str) -> Stamp {
        self.chronicle.since(machine)
    }

    /// Days of a machine that are no longer in memory: what is told of them next is entered there.
    pub fn fetch(&mut self, machine: &str, days: Vec<(Period, Book)>) {
        days.into_iter().for_each(|(day, book)| self.chronicle.fetch(machine, day, book));
    }

    /// Lets go what was fetched.
    pub fn let_go(&mut self) {
        self.chronicle.let_go();
    }

    /// What is to be kept with this event.
    pub fn enter(&mut self, told: &Told) -> Vec<Line> {
        if let Some(waiting) = &mut self.waiting {
            if waiting.len() <= WAITING {
                waiting.push(told.clone());
            }
            return Vec::new();
        }
        let entries = self.chronicle.enter(told);
        let print = told.event.machine().and_then(|id| self.prints.get(id)).copied();
        lines(told, entries, print, print)
    }

    /// Goes on from what was made of the journal up to this start. Gives what was waiting for that; `None`: it was too much.
    pub(super) fn go_on(&mut self, chronicle: Chronicle) -> Option<Vec<Line>> {
        let waiting = self.waiting.take_if(|waiting| waiting.len() <= WAITING)?;
        self.chronicle = chronicle;
        Some(waiting.iter().flat_map(|told| self.enter(told)).collect())
    }
}

/// The rules now in force, to be kept once.
pub fn terms_in_force(rules: &Rules) -> Vec<Line> {
    let line = |terms: Terms| Some(Line::Terms { print: terms.print(), body: serde_json::to_string(&terms).ok()? });
    terms(rules).filter_map(|(_, terms)| line(terms)).collect()
}

fn terms(rules: &Rules) -> impl Iterator<Item = (String, Terms)> {
    rules.machines.iter().map(|machine| (machine.id.clone(), rules.terms(machine)))
}

/// `stated`: the rules of a statement, where they are known; `counted`: those of what is counted now.
fn lines(told: &Told, entries: Vec<Entry>, stated: Option<i64>, counted: Option<i64>) -> Vec<Line> {
    let Some(machine) = told.event.machine() else { return Vec::new() };
    let (machine, sequence) = (machine.to_owned(), told.sequence);
    let line = |entry| match entry {
        Entry::Window(figures) => Line::Window(Box::new(Stated {
            machine: machine.clone(),
            kind: figures.kind,
            id: figures.id,
            from: figures.from,
            to: figures.to,
            sequence,
            revision: figures.revision.unwrap_or(0),
            terms: if figures.revision.is_some() { stated } else { counted },
            print: 0,
            listed: figures.window.listed(),
            window: Box::new(figures.window),
        })),
        Entry::Page(page) => Line::Page(Page {
            machine: machine.clone(),
            id: page.id,
            from: page.from,
            to: page.to,
            sequence,
            body: page.body,
            is_stale: false,
        }),
        Entry::Stale { from, to } => {
            warn!(machine, %from, %to, "something was told of a time that is no longer in memory");
            Line::Stale { machine: machine.clone(), from, to }
        }
    };
    entries.into_iter().map(line).collect()
}

/// The history of everything up to this event, made from the journal. Under which rules shifts were stated nobody has kept.
pub(super) fn make(data_dir: PathBuf, rules: &Rules, through: u64) -> Result<mpsc::Receiver<Made>, Error> {
    let terms: Vec<(String, Terms)> = terms(rules).collect();
    let (made, out) = mpsc::channel(CHUNKS);
    info!(events = through, "from the journal, a history of days that are over is being made");
    let make = move || match walk(&data_dir, terms, through, &made) {
        Ok(()) => {}
        Err(error) => warn!(%error, "the history was not made, the next start tries again; reports read the journal"),
    };
    thread::Builder::new().name("history".into()).spawn(make).map_err(Error::Thread)?;
    Ok(out)
}

fn walk(
    data_dir: &std::path::Path,
    terms: Vec<(String, Terms)>,
    through: u64,
    made: &mpsc::Sender<Made>,
) -> Result<(), journal::Error> {
    let reader = Reader::open(data_dir)?;
    let mut chronicle = Chronicle::default();
    let prints: BTreeMap<String, i64> = terms.iter().map(|(id, terms)| (id.clone(), terms.print())).collect();
    terms.into_iter().for_each(|(id, terms)| chronicle.begin(&id, terms));
    let mut sequence = 0;
    while sequence < through && !made.is_closed() {
        let rows = reader.rows_after(sequence, CHUNK.min(through - sequence))?;
        let Some(last) = rows.last() else { break };
        sequence = last.sequence;
        let mut found = Vec::new();
        for row in &rows {
            // What cannot be read was said at the start, or is older than what is remembered there.
            let Ok(told) = serde_json::from_str::<Told>(&row.internal) else { continue };
            let print = told.event.machine().and_then(|id| prints.get(id)).copied();
            found.extend(lines(&told, chronicle.enter(&told), None, print));
        }
        if !found.is_empty() && made.blocking_send(Made::Lines(found)).is_err() {
            return Ok(());
        }
    }
    // Nobody listens any more during a shutdown.
    let _ = made.blocking_send(Made::All(chronicle));
    Ok(())
}
