//! Events of every machine in, its windows out; what shows them stands in the files of this folder.

mod rows;
mod sheet;
mod table;
pub(super) mod words;

pub(super) use rows::Csv;
pub(super) use sheet::{AsOf, Figure, Sheet};
pub(super) use table::OF_CALENDAR;

use crate::{
    books::{Book, Counting, Measure, calendar::Period, window},
    event::{Event, Stamp, Told, cycle::Spell, notice, part::Counts, window::Window},
    io::journal::history::{Depth, Stated},
    shop::{
        Known, Marks, Rules, Shop,
        part::Parts,
        rules::{Counters, MachineRules},
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// Kinds of windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    #[default]
    Shift,
    Hour,
    Day,
    /// The time of an order, without pauses.
    Order,
    /// Everything in one.
    All,
}

/// Whose figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum By {
    #[default]
    Machine,
    /// The machines of a line added up, or its bottleneck.
    Line,
    /// The machines of an asset of the CMMS added up.
    Asset,
    /// All machines added up.
    Site,
}

/// For people or for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    #[default]
    Table,
    Json,
    /// A line a window.
    Csv,
    /// CSV too: a line for each loss of each window.
    Losses,
}

impl Format {
    /// What it shows of many windows.
    pub(super) fn depth(self) -> Depth {
        match self {
            Format::Csv => Depth::Figures,
            Format::Table | Format::Losses => Depth::Losses,
            Format::Json => Depth::Whole,
        }
    }
}

/// The books of a gateway.
pub(super) struct Figures {
    rules: Arc<Rules>,
    books: Vec<Page>,
    as_of: AsOf,
    /// A replay is over: nothing can come any more.
    is_closed: bool,
}

#[derive(Default)]
struct Page {
    book: Book,
    /// How often each other shift (or day) was stated, by its id.
    revisions: BTreeMap<String, u64>,
    /// The last event that told its counts.
    counted: u64,
    /// The counts as seen last, in marks or told by the last event.
    latest: Option<Counts>,
    /// Cycles up to then.
    cycles: Vec<Spell>,
    /// As seen last; `None` where no mark tells.
    counting: Option<Counting>,
}

impl Figures {
    pub(super) fn new(rules: Arc<Rules>) -> Figures {
        let books = rules.machines.iter().map(|_| Page::default()).collect();
        Figures { books, rules, as_of: AsOf::default(), is_closed: false }
    }

    /// Enters one event.
    pub(super) fn enter(&mut self, told: &Told) {
        self.as_of = AsOf { sequence: told.sequence, at: self.as_of.at.max(told.recorded) };
        if let Event::Notice(notice::Event { clock: Some(era), .. }) = &told.event {
            let mut wall = self.rules.calendar.wall().clone();
            wall.enter(*era);
            self.rules = Arc::new(self.rules.on(&wall));
        }
        let index = told.event.machine().and_then(|id| self.rules.machines.iter().position(|machine| machine.id == id));
        if let Some(index) = index {
            let page = &mut self.books[index];
            page.book.apply(&told.event);
            if let Event::Shift(stated) = &told.event {
                page.revisions.insert(stated.id.clone(), stated.revision);
            }
            page.counted = told.sequence;
            page.latest = page.book.readings.last().map(|reading| reading.counts);
        }
    }

    /// Goes on from what is known.
    pub(super) fn resume(&mut self, known: &Known) {
        self.as_of = AsOf { sequence: known.last_sequence(), at: self.as_of.at.max(known.at) };
        self.rules = Arc::new(self.rules.on(&known.wall));
        for (rules, page) in self.rules.machines.iter().zip(&mut self.books) {
            let Some(machine) = known.machines.get(&rules.id) else { continue };
            page.counted = machine.told.as_ref().map_or(0, |told| told.sequence);
            page.latest = machine.told.as_ref().map(|told| told.counts);
            page.revisions = machine.stated.iter().map(|(id, stated)| (id.clone(), stated.revision)).collect();
        }
    }

    /// Enters what was seen last; of a machine that has told more since, nothing.
    pub(super) fn mark(&mut self, marks: &Marks) {
        self.as_of.at = self.as_of.at.max(marks.at);
        for (rules, page) in self.rules.machines.iter().zip(&mut self.books) {
            if let Some(mark) = marks.machines.get(&rules.id).filter(|_| marks.sequence >= page.counted) {
                page.latest = Some(mark.parts.counts);
                page.cycles.clone_from(&mark.parts.timed.spells);
                page.counting = Some(Parts::new(rules, Some(&mark.parts), &Counts::default()).counting());
            }
        }
    }

    /// A replay is over.
    pub(super) fn close(&mut self, shop: &Shop) {
        self.as_of.at = shop.now();
        self.is_closed = true;
        for (machine, page) in shop.machines().zip(&mut self.books) {
            page.latest = Some(*machine.counts());
            page.cycles = machine.cycles().to_vec();
            page.counting = Some(machine.counting());
        }
    }

    /// The windows of these kinds that overlap the range, `all` cut to it, as a sheet that can be shown.
    pub(super) fn sheet(self, kinds: &[Kind], range: (Stamp, Stamp), by: By) -> Sheet {
        let places = kinds.iter().flat_map(|kind| (0..self.books.len()).map(move |place| (*kind, place)));
        let figures = places.flat_map(|(kind, place)| self.of(place, kind, range)).collect();
        self.sheet_of(figures, by)
    }

    /// The windows of one machine.
    pub(super) fn of(&self, place: usize, kind: Kind, range: (Stamp, Stamp)) -> Vec<Figure> {
        let mut figures = Vec::new();
        self.windows(kind, (&self.rules.machines[place], &self.books[place]), Vec::new(), range, &mut figures);
        figures
    }

    /// The same out of what is kept of it: windows of this kind, and the book that the others are counted from, which
    /// reaches up to what is known.
    pub(super) fn of_kept(
        &mut self,
        place: usize,
        (stated, book): (Vec<Stated>, Book),
        kind: Kind,
        range: (Stamp, Stamp),
    ) -> Vec<Figure> {
        let mut figures = Vec::with_capacity(stated.len() + 1);
        self.books[place].book = book;
        self.windows(kind, (&self.rules.machines[place], &self.books[place]), stated, range, &mut figures);
        self.books[place].book = Book::default();
        figures
    }

    /// A sheet of windows that were made of this.
    pub(super) fn sheet_of(self, figures: Vec<Figure>, by: By) -> Sheet {
        let as_of = AsOf { at: self.rules.calendar.wall().of(self.as_of.at), ..self.as_of };
        Sheet::new(self.rules, as_of, figures, by)
    }

    fn windows(
        &self,
        kind: Kind,
        (machine, page): (&MachineRules, &Page),
        stated: Vec<Stated>,
        range: (Stamp, Stamp),
        into: &mut Vec<Figure>,
    ) {
        let wall = machine.calendar.wall();
        let first = stated.iter().map(|stated| wall.hull(stated.from, stated.to).0).min();
        let Some(begins) = page.book.begins().into_iter().chain(first).min() else { return };
        let range = wall.hull(range.0, range.1);
        let (from, to) = (range.0.max(begins), range.1.min(self.as_of.at));
        let last = stated.last().map(|last| (last.to, last.id.clone()));
        // Where lines are kept, periods are asked for behind the last one only: a year of them takes the calendar a while.
        let new = last.as_ref().map_or(from, |(to, _)| from.max(wall.hull(*to, Stamp::MAX).0));
        let configured = if machine.counters == Counters::default() { Counting::Never } else { Counting::Read };
        let calendar = &machine.calendar;
        let (word, periods): (_, Vec<Period>) = match kind {
            Kind::Shift if calendar.has_shifts() => ("shift", calendar.shifts(new, to).collect()),
            Kind::Shift | Kind::Day => ("day", calendar.days(new, to).collect()),
            Kind::Hour => ("hour", calendar.hours(from, to).collect()),
            Kind::All => {
                let is_open = to == self.as_of.at && !self.is_closed;
                ("all", vec![Period { id: "all".to_owned(), from, to: if is_open { to.plus(1) } else { to } }])
            }
            Kind::Order => ("order", Vec::new()),
        };
        let counting = page.counting.unwrap_or(configured);
        let by = self.rules.measure(machine, counting, self.as_of.at, page.latest.as_ref());
        let by = Measure { cycles: &page.cycles, ..by };
        let overlaps = |stated: &Stated| {
            let (begun, ended) = wall.hull(stated.from, stated.to);
            begun < to && from < ended
        };
        into.extend(stated.into_iter().filter(overlaps).map(|stated| {
            // What is not final may meanwhile be known better.
            let period = || Period { id: stated.id.clone(), from: stated.from, to: stated.to };
            let counted = || window::period(&page.book, &period(), &by);
            let window = if stated.is_settled(wall) { None } else { counted() };
            let revision = stated.revision;
            match window {
                Some(window) => Figure { revision, ..Figure::of_machine(machine, word, stated.id, window) },
                None => Figure::kept(machine, word, stated),
            }
        }));
        let is_new = |period: &Period| last.as_ref().is_none_or(|(to, id)| *to < period.to && *id != period.id);
        into.extend(periods.into_iter().filter(is_new).filter_map(|period| {
            let window = match kind {
                Kind::All => window::window(&page.book, period.from, period.to, &by)?,
                _ => window::period(&page.book, &period, &by)?,
            };
            let revision = page.revisions.get(&period.id).copied().unwrap_or(1);
            Some(Figure { revision, ..Figure::of_machine(machine, word, period.id, window) })
        }));
        if kind == Kind::Order {
            into.extend(self.orders(machine, page, (from, to), &by));
        }
    }

    /// An order's window is the sum of the times that it ran.
    fn orders<'a>(
        &'a self,
        machine: &'a MachineRules,
        page: &Page,
        (from, to): (Stamp, Stamp),
        by: &Measure<'_>,
    ) -> impl Iterator<Item = Figure> + 'a {
        let mut parts: Vec<(String, Vec<Window>)> = Vec::new();
        for (from, to, order) in page.book.orders(from, to.plus(1)) {
            let Some(order) = order.map(|order| &order.order) else { continue };
            let Some(window) = window::window(&page.book, from, to, by) else { continue };
            match parts.iter_mut().find(|(known, _)| known == order) {
                Some((_, windows)) => windows.push(window),
                None => parts.push((order.clone(), vec![window])),
            }
        }
        parts.into_iter().filter_map(|(id, windows)| {
            let window = window::sum(&windows, self.rules.oee.convention)?;
            Some(Figure::of_machine(machine, "order", id, window))
        })
    }
}
