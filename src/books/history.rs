//! Told events of every machine in, what is kept for ever of days that are over out: pages of the book, and windows.
//!
//! A page holds a machine's day so that every window inside it comes out as from the whole book: what the day began with,
//! all that happened, and the first reading (after darkness: the first look) behind its end. A page and a window are written
//! with the first event of the machine after their end, and again whenever a later event makes them others.

use super::{
    book::{Book, Interval, Reading},
    calendar::Period,
    terms::{Terms, print},
    window,
};
use crate::event::{
    Event, Stamp, Told, Wall,
    cycle::Spell,
    notice,
    operator::Crew,
    part::{self, Raw},
    process,
    shift::{self, Kind},
    stop::{self, Going, Stop},
    window::Window,
};
use std::{collections::BTreeMap, sync::Arc};

/// How far back a book reaches beside its open stop and days that may still change: as far as the shop's. Milliseconds.
const REMEMBER_MS: i64 = 27 * 3_600_000;

/// A book is cut only when it reaches so much further back. Milliseconds.
const TRIM_MS: i64 = 3_600_000;

/// What is to be kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// The figures of a shift or day.
    Window(Box<Figures>),
    /// A machine's day.
    Page(Page),
    /// Something was told of a time that is no longer in memory: pages that overlap it are no longer true.
    Stale {
        /// From here on.
        from: Stamp,
        /// Until then.
        to: Stamp,
    },
}

/// The figures of a shift or day.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// `shift`, or `day`.
    pub kind: Kind,
    /// As in reports.
    pub id: String,
    /// The whole window, also where the gateway saw only a part of it; by the wall clock.
    pub from: Stamp,
    /// First instant after.
    pub to: Stamp,
    /// As stated; `None`: one more than before if the figures are others.
    pub revision: Option<u64>,
    /// The figures.
    pub window: Window,
}

/// A machine's day, or what of it lies between two steps of the wall clock; instants of the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The day's.
    pub id: String,
    /// First instant.
    pub from: Stamp,
    /// First instant after.
    pub to: Stamp,
    /// A [`Book`] as JSON.
    pub body: String,
}

/// Every machine's recent book, and what of it is kept already: a fold of the events told.
#[derive(Clone, Debug, Default)]
pub struct Chronicle {
    machines: BTreeMap<String, Keeping>,
    wall: Wall,
}

#[derive(Clone, Debug)]
struct Keeping {
    terms: Terms,
    book: Book,
    /// The counters that were read, as far as was told.
    raw: Option<Raw>,
    /// The latest moment at which something was told of it.
    now: Stamp,
    /// Since when what was told at that moment makes figures others: more of the same may be told yet.
    touched: Stamp,
    /// Every day that ended by then has a page; `None`: none has.
    written: Option<Written>,
    /// Days that are over and may still change by themselves.
    open: Vec<Open>,
    /// Statements whose downtimes may still go on.
    stated: Vec<Figures>,
    /// Nothing was entered since it was resumed: which days are open is not yet known.
    is_resumed: bool,
    /// Days that are no longer in memory, fetched for what is told next.
    past: Vec<(Period, Book)>,
}

/// The last page of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its day.
    pub id: String,
    /// Its end.
    pub to: Stamp,
}

#[derive(Clone, Debug)]
struct Open {
    day: Period,
    page: Option<i64>,
    window: Option<i64>,
}

impl Chronicle {
    /// Goes on where the wall clock was set as `wall` tells.
    pub fn follow(&mut self, wall: &Wall) {
        self.wall.clone_from(wall);
        for machine in self.machines.values_mut() {
            machine.terms.calendar = Arc::new(machine.terms.calendar.on(wall));
        }
    }

    /// One more machine, of which nothing is known.
    pub fn begin(&mut self, machine: &str, terms: Terms) {
        self.resume(machine, terms, Book::default(), None, None, Vec::new());
    }

    /// One more machine, with what is known of it: its book, the counters that were read, its last page and statements.
    pub fn resume(
        &mut self,
        machine: &str,
        mut terms: Terms,
        book: Book,
        raw: Option<Raw>,
        written: Option<Written>,
        stated: Vec<Figures>,
    ) {
        terms.calendar = Arc::new(terms.calendar.on(&self.wall));
        let (now, touched, open, past) = (Stamp::MIN, Stamp::MAX, Vec::new(), Vec::new());
        let keeping = Keeping { terms, book, raw, now, touched, written, open, stated, is_resumed: true, past };
        self.machines.insert(machine.to_owned(), keeping);
    }

    /// Takes a day that is no longer in memory, from its page: what is told of it next is entered there.
    pub fn fetch(&mut self, machine: &str, day: Period, book: Book) {
        if let Some(machine) = self.machines.get_mut(machine) {
            machine.past.push((day, book));
        }
    }

    /// Since when whole days of a machine are in memory; a stop may reach further back.
    pub fn since(&self, machine: &str) -> Stamp {
        let Some(machine) = self.machines.get(machine).filter(|machine| machine.book.since > Stamp::MIN) else {
            return Stamp::MIN;
        };
        let (since, calendar) = (machine.book.since, &machine.terms.calendar);
        let day = calendar.day(since);
        let (begun, ended) = calendar.wall().hull(day.from, day.to);
        if begun < since { ended } else { since }
    }

    /// Lets go what was fetched.
    pub fn let_go(&mut self) {
        self.machines.values_mut().for_each(|machine| machine.past.clear());
    }

    /// The time before what is in memory that an event makes other: its pages must be fetched before it is entered.
    pub fn asks(&self, told: &Told) -> Option<(Stamp, Stamp)> {
        let machine = self.machines.get(told.event.machine()?)?;
        let touched = touched(&machine.book, &told.event);
        let since = machine.book.since;
        // Pages of the days behind it hold the earlier parts of a stop too, and nobody knows how many follow.
        let goes_on = match &told.event {
            Event::Stop(stop::Event::Downtime(downtime)) => {
                let observed = downtime.stop.observed.and_then(|observed| observed.ended_at);
                observed.is_none() || observed != downtime.stop.ended_at
            }
            _ => false,
        };
        let until = if goes_on { since } else { until(&told.event).min(since) };
        let range = || (touched, until.max(touched.plus(1)));
        machine.asks(told, touched).then(range)
    }

    /// What a machine's book says of a window as of then; `None` where that is nothing, or no longer in memory. And whether
    /// its parts are told: they may have been seen only.
    pub fn count(&self, machine: &str, period: &Period, as_of: Stamp) -> Option<(Window, bool)> {
        let (from, to) = self.wall.hull(period.from, period.to);
        let keeping = self.machines.get(machine).filter(|keeping| keeping.book.since <= from)?;
        let counting = keeping.terms.counting(keeping.raw.as_ref());
        let window = window::period(&keeping.book, period, &keeping.terms.measure(machine, counting, as_of))?;
        Some((window, is_settled(&keeping.book, to)))
    }

    /// Enters one event. Gives what is to be kept with it, all of the event's machine.
    pub fn enter(&mut self, told: &Told) -> Vec<Entry> {
        if let Event::Notice(notice::Event { clock: Some(era), .. }) = &told.event {
            let mut wall = self.wall.clone();
            wall.enter(*era);
            self.follow(&wall);
        }
        // A meter says nothing of a day.
        let Some(id) = told.event.machine().filter(|_| !matches!(told.event, Event::Meter(_))) else {
            return Vec::new();
        };
        self.machines.get_mut(id).map_or_else(Vec::new, |machine| machine.enter(id, told))
    }
}

impl Keeping {
    fn enter(&mut self, id: &str, told: &Told) -> Vec<Entry> {
        let mut entries = Vec::new();
        if told.recorded > self.now {
            (self.now, self.touched) = (told.recorded, Stamp::MAX);
        }
        if std::mem::take(&mut self.is_resumed) {
            self.open = self.ended_since(self.book.since);
        }
        let touched = touched(&self.book, &told.event);
        self.touched = self.touched.min(touched);
        if self.asks(told, touched) {
            self.correct(id, &told.event, touched, &mut entries);
        }
        match &told.event {
            Event::Shift(stated) => {
                let figures = of_statement(stated);
                self.stated.retain(|known| (known.kind, &known.id) != (figures.kind, &figures.id));
                self.stated.push(figures.clone());
                entries.push(Entry::Window(Box::new(figures)));
            }
            event if touched >= self.book.since => self.book.apply(event),
            // A stop may reach into memory from a forgotten day, and who works at the machine and on what may have changed from
            // then on until now.
            event if self.reaches_into_memory(event) => self.book.apply(event),
            // Of a time that is forgotten: the book in memory goes on as it is.
            _ => {}
        }
        self.raw = raw(&told.event).cloned().or(self.raw.take());
        self.end_days();
        if self.written.as_ref().is_some_and(|written| touched < written.to) {
            for open in self.ended_since(touched) {
                if !self.open.iter().any(|known| known.day == open.day) {
                    self.open.push(open);
                }
            }
        }
        self.refresh_shares(id, touched, &mut entries);
        let mut open = std::mem::take(&mut self.open);
        open.retain_mut(|open| self.write(id, &self.book, (&self.book, self.now), open, &mut entries));
        self.open = open;
        // Whole days: a stop that goes on makes the pages of all its days others once it ends, and what is told of that with
        // more than one event is forgotten after the last.
        let keep = self.day_begun(self.reaches().min(self.touched)).min(self.day_begun(self.now));
        if self.book.begins().is_some_and(|begins| keep.since(begins) > TRIM_MS) {
            self.book.trim(keep);
            let wall = self.terms.calendar.wall();
            self.stated.retain(|stated| wall.hull(stated.from, stated.to).1 > keep);
        }
        entries
    }

    /// An event of a forgotten time that also tells something of what is in memory.
    fn reaches_into_memory(&self, event: &Event) -> bool {
        let is_held = |stop: &Stop| self.book.stops.iter().any(|known| known.downtime_id() == stop.downtime_id());
        match event {
            Event::Stop(stop::Event::Downtime(downtime)) => until(event) > self.book.since || is_held(&downtime.stop),
            Event::Order(_) | Event::Operator(_) => until(event) > self.book.since,
            _ => false,
        }
    }

    /// What is told of a time before memory; and what somebody asks for of the day in which memory begins: only its page knows
    /// all of it.
    fn asks(&self, told: &Told, touched: Stamp) -> bool {
        let since = self.book.since;
        touched < since || (told.command_id.is_some() && touched < Stamp::MAX && self.day_begun(touched) < since)
    }

    /// A downtime of a statement has gone on: the figures are the same, what is said of it is not.
    fn refresh_shares(&mut self, id: &str, touched: Stamp, entries: &mut Vec<Entry>) {
        let by = self.terms.measure(id, self.terms.counting(self.raw.as_ref()), self.now);
        let is_there = |stated: &Figures| {
            let (begun, ended) = self.terms.calendar.wall().hull(stated.from, stated.to);
            ended > touched && begun >= self.book.since
        };
        for stated in self.stated.iter_mut().filter(|stated| is_there(stated)) {
            let period = Period { id: stated.id.clone(), from: stated.from, to: stated.to };
            let Some(anew) = window::period(&self.book, &period, &by) else { continue };
            let shares = |window: &Window| -> Vec<(uuid::Uuid, i64)> {
                window.downtimes.iter().map(|share| (share.downtime_id, share.duration_ms)).collect()
            };
            if shares(&anew) == shares(&stated.window) && anew.downtimes != stated.window.downtimes {
                stated.window.downtimes = anew.downtimes;
                entries.push(Entry::Window(Box::new(stated.clone())));
            }
        }
    }

    /// Since when something may still change without a person.
    fn reaches(&self) -> Stamp {
        let first = self.open.iter().map(|open| self.day_begun(open.day.from)).min().unwrap_or(Stamp::MAX);
        reaches(&self.book, self.now).min(first)
    }

    /// The first instant of the day that the wall clock shows then: it may have been set back into it.
    fn day_begun(&self, at: Stamp) -> Stamp {
        let day = self.terms.calendar.day(at);
        self.terms.calendar.wall().hull(day.from, day.to).0
    }

    /// An event of a time that is no longer in memory: into the pages that were fetched for it.
    fn correct(&mut self, id: &str, event: &Event, touched: Stamp, entries: &mut Vec<Entry>) {
        let until = until(event);
        let mut missing = (touched, until.min(self.book.since));
        let mut past = std::mem::take(&mut self.past);
        past.sort_by_key(|(day, _)| day.from);
        // A page also holds the earlier parts of a stop that was split.
        let subject = match event {
            Event::Stop(stop::Event::Downtime(downtime)) => Some(downtime.stop.downtime_id()),
            _ => None,
        };
        let has_subject = |book: &Book| book.stops.iter().any(|stop| Some(stop.downtime_id()) == subject);
        let is_touched = |day: &Period, book: &Book| (touched < day.to && day.from <= until) || has_subject(book);
        let is_wide = matches!(event, Event::Order(_) | Event::Operator(_));
        for (day, book) in past.iter_mut().filter(|(day, book)| is_touched(day, book)) {
            if day.from <= missing.0 {
                missing.0 = missing.0.max(day.to);
            }
            // What spans days is entered in all of them at once: no page knows what lies between.
            if !is_wide {
                book.apply(event);
            }
        }
        // A day that the wall clock was set back into has several pages.
        let mut whole = Book::default();
        past.iter().for_each(|(_, book)| whole.join(book.clone()));
        whole.since = past.first().map_or(Stamp::MAX, |(day, _)| day.from);
        if is_wide {
            whole.apply(event);
            past.iter_mut().for_each(|(day, book)| *book = cut(&whole, day.from, day.to));
        }
        let end = past.last().map_or(Stamp::MIN, |(day, _)| day.to);
        for (day, book) in past.iter().filter(|(day, book)| is_touched(day, book)) {
            self.write(id, book, (&whole, end), &mut Open { day: day.clone(), page: None, window: None }, entries);
        }
        self.past = past;
        if missing.0 < missing.1 {
            entries.push(Entry::Stale { from: missing.0, to: missing.1 });
        }
    }

    /// Days that have a page and end after `since`.
    fn ended_since(&self, since: Stamp) -> Vec<Open> {
        let (Some(begins), Some(written)) = (self.book.begins(), &self.written) else { return Vec::new() };
        let from = since.max(begins).max(self.book.since);
        let days = self.terms.calendar.day_spans(from, written.to).filter(|day| day.to <= written.to);
        days.map(|day| Open { day, page: None, window: None }).collect()
    }

    /// Days that have ended by now.
    fn end_days(&mut self) {
        let first = match (&self.written, self.book.begins()) {
            (Some(written), _) => written.to,
            (None, Some(begins)) => begins,
            (None, None) => return,
        };
        let days: Vec<Period> =
            self.terms.calendar.day_spans(first, self.now).filter(|day| day.to <= self.now).collect();
        for day in days {
            // After a change of `day_start` the same date may end once more.
            let is_known = self.written.as_ref().is_some_and(|written| written.id == day.id && day.from < written.to);
            self.written = Some(Written { id: day.id.clone(), to: day.to });
            if !is_known {
                self.open.push(Open { day, page: None, window: None });
            }
        }
    }

    /// Writes what of a day is other than before. `false` once nothing but a later event about it can change it.
    /// Its window is counted from a `whole` book, which reaches up to `end`.
    fn write(
        &self,
        id: &str,
        book: &Book,
        (whole, end): (&Book, Stamp),
        open: &mut Open,
        entries: &mut Vec<Entry>,
    ) -> bool {
        let span = &open.day;
        if span.from < book.since {
            return false;
        }
        let body = serde_json::to_string(&cut(book, span.from, span.to)).unwrap_or_default();
        let page = Some(print(body.as_bytes()));
        if open.page != page {
            open.page = page;
            entries.push(Entry::Page(Page { id: span.id.clone(), from: span.from, to: span.to, body }));
        }
        let mut is_final = true;
        let day = self.terms.calendar.day(span.from);
        let (begun, ended) = self.terms.calendar.wall().hull(day.from, day.to);
        // The wall clock may have been set back into it: then it ends once more.
        let is_over = whole.since <= begun && ended <= end;
        if is_over && self.states_no(&day) {
            let counting = self.terms.counting(self.raw.as_ref());
            let by = self.terms.measure(id, counting, self.now);
            if let Some(window) = window::period(whole, &day, &by) {
                is_final = window.is_final;
                let said = Some(said(&window));
                if open.window != said {
                    open.window = said;
                    entries.push(Entry::Window(Box::new(Figures {
                        kind: Kind::Day,
                        id: day.id.clone(),
                        from: day.from,
                        to: day.to,
                        revision: None,
                        window,
                    })));
                }
            }
        }
        !(is_final && is_settled(book, span.to))
    }

    /// Days are stated where there is no shift at all, but for holidays.
    fn states_no(&self, day: &Period) -> bool {
        let calendar = &self.terms.calendar;
        calendar.has_shifts() || calendar.is_off(day.from)
    }
}

/// A fingerprint of all that a window says.
fn said(window: &Window) -> i64 {
    print(&serde_json::to_vec(window).unwrap_or_default())
}

/// Since when what a book tells may still change without a person, by what the machine did until `now`.
pub fn reaches(book: &Book, now: Stamp) -> Stamp {
    let open = book.stops.iter().position(|stop| stop.ended_at.is_none());
    let open = open.map_or(Stamp::MAX, |open| book.stops[book.first_part(open)].from);
    let last = book.intervals.last().filter(|last| last.going == Going::Unknown);
    now.plus(-REMEMBER_MS).min(open).min(last.map_or(Stamp::MAX, |last| last.from))
}

fn of_statement(stated: &shift::Event) -> Figures {
    Figures {
        kind: stated.kind,
        id: stated.id.clone(),
        from: stated.from,
        to: stated.to,
        revision: Some(stated.revision),
        window: (*stated.window).clone(),
    }
}

fn raw(event: &Event) -> Option<&Raw> {
    match event {
        Event::Stop(stop::Event::State(change)) => Some(&change.raw),
        Event::Part(part::Event::Counted(counted)) => Some(&counted.raw),
        Event::Order(order) => Some(&order.raw),
        Event::Stop(stop::Event::Downtime(_))
        | Event::Operator(_)
        | Event::Asset(_)
        | Event::Meter(_)
        | Event::Work(_)
        | Event::Shift(_)
        | Event::Notice(_) => None,
    }
}

/// Since when an event makes figures others; `MAX`: it makes none. Windows that end later may have changed.
pub fn touched(book: &Book, event: &Event) -> Stamp {
    let stop_from = |stop: &Stop| {
        // Among those only that begin no earlier, as the book does.
        let mut no_earlier = book.stops.iter().rev().take_while(|known| known.from >= stop.from);
        let known = no_earlier.find(|known| known.downtime_id() == stop.downtime_id());
        if known.is_some_and(|known| essence(known) == essence(stop)) { Stamp::MAX } else { stop.from }
    };
    match event {
        Event::Stop(stop::Event::State(change)) => {
            let stop = change.stop.as_ref().filter(|_| change.going == Going::Still).map(Stop::downtime_id);
            let interval = Interval { from: change.moved, going: change.going, stop };
            let is_known = book.intervals.last() == Some(&interval);
            let stops = [&change.ended, &change.stop].into_iter().flatten().map(stop_from);
            stops.fold(if is_known { change.at } else { change.moved }, Stamp::min)
        }
        Event::Stop(stop::Event::Downtime(downtime)) => stop_from(&downtime.stop),
        Event::Part(part::Event::Counted(counted)) => {
            counted.cycles.first().map_or(counted.to, |spell| counted.to.min(spell.last))
        }
        Event::Order(order) => order.bookings().iter().map(|booked| booked.from).fold(order.at, Stamp::min),
        Event::Operator(operator) => operator.at,
        Event::Asset(_) | Event::Meter(_) | Event::Work(_) | Event::Shift(_) | Event::Notice(_) => Stamp::MAX,
    }
}

/// Until when an event makes figures others.
fn until(event: &Event) -> Stamp {
    match event {
        Event::Stop(stop::Event::Downtime(downtime)) => downtime.stop.ended_at.unwrap_or(Stamp::MAX),
        Event::Order(order) if order.booked.is_some() => {
            let ends = order.bookings().into_iter().map(|booked| booked.to.unwrap_or(Stamp::MAX));
            ends.max().unwrap_or(order.at.plus(1))
        }
        _ => Stamp::MAX,
    }
}

/// A stop without what grows by itself while it is open.
fn essence(stop: &Stop) -> Stop {
    let mut stop = stop.clone();
    if stop.ended_at.is_none() {
        (stop.duration_ms, stop.excluded_ms, stop.unknown_ms, stop.clock_adjust_ms) = (0, 0, 0, 0);
        stop.shares.clear();
    }
    stop
}

/// Whether it is known what comes behind `to`.
fn is_settled(book: &Book, to: Stamp) -> bool {
    let begun = book.intervals.partition_point(|interval| interval.from < to);
    let is_dark = begun > 0 && book.intervals[begun - 1].going == Going::Unknown;
    let seen = if is_dark { book.intervals.get(begun).map(|next| next.from.plus(1)) } else { Some(to) };
    seen.is_some_and(|seen| book.readings.last().is_some_and(|last| last.at >= seen))
}

/// What of a book every window inside `[from, to)` hangs on; the same for each book that tells the same of that time.
pub fn cut(book: &Book, from: Stamp, to: Stamp) -> Book {
    let first = book.intervals.partition_point(|interval| interval.from < from).saturating_sub(1);
    let begun = book.intervals.partition_point(|interval| interval.from < to);
    let is_dark = begun > 0 && book.intervals[begun - 1].going == Going::Unknown;
    let light = book.intervals.get(begun).filter(|_| is_dark).map(|next| next.from);
    let intervals = book.intervals[first.min(begun)..begun + usize::from(light.is_some())].to_vec();

    let first = book.readings.partition_point(|reading| reading.at <= from).saturating_sub(1);
    let next = match light {
        Some(light) => book.readings.partition_point(|reading| reading.at <= light),
        None => book.readings.partition_point(|reading| reading.at < to),
    };
    let end = match book.readings.get(next) {
        Some(next) => book.readings.partition_point(|reading| reading.at <= next.at),
        None => book.readings.len(),
    };
    let mut readings = book.readings[first.min(end)..end].to_vec();
    // In darkness the counts behind it are looked for behind the first look.
    thin(&mut readings, from, light.map_or(to, |light| to.max(light.plus(1))));

    let end = book.stops.partition_point(|stop| stop.from < to);
    let first = book.stops[..end].iter().position(|stop| stop.ended_at.is_none_or(|ended| ended >= from));
    let first = first.map_or(end, |first| book.first_part(first));
    let stops = book.stops[first..end].iter().map(essence).collect();

    let first = book.assignments.partition_point(|assignment| assignment.from <= from).saturating_sub(1);
    let end = book.assignments.partition_point(|assignment| assignment.from < to);
    let assignments = book.assignments[first.min(end)..end].to_vec();

    let within = |spell: &&Spell| from <= spell.last && spell.last < to;
    let cycles = book.cycles.iter().filter(within).cloned().collect();
    let first = book.crews.partition_point(|crew| crew.from <= from).saturating_sub(1);
    let end = book.crews.partition_point(|crew| crew.from < to);
    let crews: Vec<Crew> = book.crews[first.min(end)..end].to_vec();
    let within = |spell: &&process::Spell| from < spell.to && spell.to <= to;
    let process = book.process.iter().filter(within).cloned().collect();
    Book { since: from, intervals, stops, readings, assignments, cycles, crews, process }
}

/// Of equal counts a book keeps more or less, by what came later and by what it has forgotten; none of it shows in figures.
fn thin(readings: &mut Vec<Reading>, from: Stamp, to: Stamp) {
    let mut kept: Vec<Reading> = Vec::with_capacity(readings.len());
    for (index, reading) in readings.iter().enumerate() {
        let is_same = |other: Option<&Reading>| other.is_some_and(|other| says_same(other, reading));
        if !(is_same(kept.last()) && is_same(readings.get(index + 1))) {
            kept.push(*reading);
        }
    }
    let is_still = kept.get(1).is_none_or(|next| says_same(next, &kept[0]));
    if let Some(first) = kept.first_mut().filter(|first| first.at < from && is_still) {
        first.at = from;
    }
    if let [.., before, last] = kept.as_mut_slice()
        && last.at > to
        && says_same(before, last)
    {
        last.at = to;
    }
    *readings = kept;
}

fn says_same(one: &Reading, other: &Reading) -> bool {
    (one.counts, one.doubt) == (other.counts, other.doubt)
}

impl Book {
    /// Goes on with a later book, a page or the one in memory: where both tell something, the later one counts.
    pub fn join(&mut self, later: Book) {
        if self.begins().is_none() {
            *self = later;
            return;
        }
        let at = |first: Option<Stamp>| first.unwrap_or(Stamp::MAX);
        let begins = at(later.begins());
        self.intervals.truncate(self.intervals.partition_point(|interval| interval.from < begins));
        self.intervals.extend(later.intervals);
        let begins = at(later.readings.first().map(|reading| reading.at));
        self.readings.truncate(self.readings.partition_point(|reading| reading.at < begins));
        self.readings.extend(later.readings);
        let begins = at(later.assignments.first().map(|assignment| assignment.from));
        self.assignments.truncate(self.assignments.partition_point(|assignment| assignment.from < begins));
        self.assignments.extend(later.assignments);
        let begins = at(later.cycles.first().map(|spell| spell.last));
        self.cycles.truncate(self.cycles.partition_point(|spell| spell.last < begins));
        self.cycles.extend(later.cycles);
        let begins = at(later.crews.first().map(|crew| crew.from));
        self.crews.truncate(self.crews.partition_point(|crew| crew.from < begins));
        self.crews.extend(later.crews);
        let begins = at(later.process.first().map(|spell| spell.to));
        self.process.truncate(self.process.partition_point(|spell| spell.to < begins));
        self.process.extend(later.process);
        let begins = at(later.stops.first().map(|stop| stop.from));
        let mut kept = self.stops.split_off(self.stops.partition_point(|stop| stop.from < begins));
        kept.retain(|stop| !later.stops.iter().any(|later| later.downtime_id() == stop.downtime_id()));
        let is_mixed = !kept.is_empty();
        self.stops.extend(kept);
        self.stops.extend(later.stops);
        if is_mixed {
            self.stops.sort_by_key(|stop| stop.from);
        }
    }
}
