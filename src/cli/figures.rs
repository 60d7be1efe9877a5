//! Events of every machine in, windows out: as JSON, as CSV, or as a table with a bar for each state.

use crate::{
    books::{Book, Counting, Measure, calendar::Period, window},
    event::{
        Stamp, Told,
        cycle::Spell,
        part::Counts,
        stop::State,
        window::{Share, Window},
    },
    shop::{
        Marks, Rules, Shop,
        part::Parts,
        rules::{Counters, MachineRules},
    },
    wire::payload::{
        report::Report,
        window::{Data, Which, data},
    },
};
use std::{
    io::{self, Write},
    sync::Arc,
};

/// Columns of a bar.
const BAR: i64 = 30;

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

/// The books of a gateway, and which windows of them are asked for.
pub(super) struct Figures {
    rules: Arc<Rules>,
    books: Vec<Page>,
    as_of_sequence: u64,
    as_of: Stamp,
    /// A replay is over: nothing can come any more.
    is_closed: bool,
    machine: Option<String>,
    kinds: Vec<Kind>,
    range: (Stamp, Stamp),
}

#[derive(Default)]
struct Page {
    book: Book,
    /// When its last event was made.
    told_at: Stamp,
    /// The counts as seen last, in marks or told by the last event.
    latest: Option<Counts>,
    /// Cycles up to then.
    cycles: Vec<Spell>,
    /// As seen last; `None` where no mark tells.
    counting: Option<Counting>,
}

struct Figure<'a> {
    machine: &'a MachineRules,
    kind: &'static str,
    period: Period,
    window: Window,
}

impl Figures {
    pub(super) fn new(rules: Arc<Rules>) -> Figures {
        Figures {
            books: rules.machines.iter().map(|_| Page::default()).collect(),
            rules,
            as_of_sequence: 0,
            as_of: Stamp::MIN,
            is_closed: false,
            machine: None,
            kinds: vec![Kind::Shift],
            range: (Stamp::MIN, Stamp::MAX),
        }
    }

    /// Enters one event.
    pub(super) fn enter(&mut self, told: &Told) {
        self.as_of_sequence = told.sequence;
        self.as_of = self.as_of.max(told.recorded);
        let index = told.event.machine().and_then(|id| self.rules.machines.iter().position(|machine| machine.id == id));
        if let Some(index) = index {
            let page = &mut self.books[index];
            page.book.apply(&told.event);
            page.told_at = told.recorded;
            page.latest = page.book.readings.last().map(|reading| reading.counts);
        }
    }

    /// Enters what was seen last; of a machine that has told more since, nothing.
    pub(super) fn mark(&mut self, marks: &Marks) {
        self.as_of = self.as_of.max(marks.at);
        for (rules, page) in self.rules.machines.iter().zip(&mut self.books) {
            if let Some(mark) = marks.machines.get(&rules.id).filter(|_| marks.at >= page.told_at) {
                page.latest = Some(mark.parts.counts);
                page.cycles.clone_from(&mark.parts.timed.spells);
                page.counting = Some(Parts::new(rules, Some(&mark.parts), &Counts::default()).counting());
            }
        }
    }

    /// A replay is over.
    pub(super) fn close(&mut self, shop: &Shop) {
        self.as_of = shop.now();
        self.is_closed = true;
        for (machine, page) in shop.machines().zip(&mut self.books) {
            page.latest = Some(*machine.counts());
            page.cycles = machine.cycles().to_vec();
            page.counting = Some(machine.counting());
        }
    }

    /// The whole of a replay, then its shifts.
    pub(super) fn replayed(&mut self) -> &Figures {
        self.kinds = vec![Kind::All, Kind::Shift];
        self
    }

    /// What to show; `range`: only windows that overlap it, `all` cut to it.
    pub(super) fn choose(&mut self, machine: Option<&str>, kind: Kind, range: (Stamp, Stamp)) {
        self.machine = machine.map(str::to_owned);
        self.kinds = vec![kind];
        self.range = range;
    }

    pub(super) fn json(&self, out: &mut impl Write) -> io::Result<()> {
        let figures = self.figures();
        let report = Report {
            convention: self.rules.oee.convention.word(),
            timezone: self.rules.calendar.zone(),
            as_of_sequence: self.as_of_sequence,
            windows: figures.iter().map(Figure::data).collect(),
        };
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)?;
        out.flush()
    }

    pub(super) fn csv(&self, out: &mut impl Write) -> io::Result<()> {
        let mut rows = csv::Writer::from_writer(out);
        let states = State::ALL.map(|state| format!("time_{}_ms", state.word()));
        let before = ["window", "id", "machine", "line", "from", "to", "final"];
        let after = [
            "planned_ms",
            "run_ms",
            "down_ms",
            "total",
            "good",
            "reject",
            "outside_total",
            "outside_good",
            "availability",
            "performance",
            "quality",
            "oee",
            "coverage",
            "failures",
            "downtimes",
            "flags",
        ];
        rows.write_record(before.into_iter().chain(states.iter().map(String::as_str)).chain(after))?;
        for Figure { machine, kind, period, window } in self.figures() {
            let ratio = |ratio: Option<f64>| ratio.map_or(String::new(), |ratio| ratio.to_string());
            let mut row = vec![
                kind.to_owned(),
                period.id,
                machine.id.clone(),
                machine.line.clone(),
                window.from.to_string(),
                window.to.to_string(),
                window.is_final.to_string(),
            ];
            row.extend(window.time_ms.iter().map(i64::to_string));
            row.extend([window.planned_ms, window.run_ms, window.down_ms()].iter().map(i64::to_string));
            let counts = &window.counts;
            let parts = [counts.total, counts.good, counts.reject, counts.outside_total, counts.outside_good];
            row.extend(parts.iter().map(i64::to_string));
            let kpi = &window.kpi;
            row.extend([kpi.availability, kpi.performance, kpi.quality, kpi.oee, kpi.coverage].map(ratio));
            row.extend([window.failures.to_string(), window.downtimes.len().to_string(), window.flags.join(" ")]);
            rows.write_record(row)?;
        }
        rows.flush()
    }

    pub(super) fn table(&self, out: &mut impl Write) -> io::Result<()> {
        let figures = self.figures();
        if figures.is_empty() {
            return writeln!(out, "no window: nothing was recorded there");
        }
        for figure in figures {
            figure.table(&self.rules, out)?;
        }
        out.flush()
    }

    fn figures(&self) -> Vec<Figure<'_>> {
        let mut figures = Vec::new();
        for kind in &self.kinds {
            for (machine, page) in self.rules.machines.iter().zip(&self.books) {
                if self.machine.as_ref().is_none_or(|id| *id == machine.id) {
                    self.windows(*kind, machine, page, &mut figures);
                }
            }
        }
        figures
    }

    fn windows<'a>(&'a self, kind: Kind, machine: &'a MachineRules, page: &Page, into: &mut Vec<Figure<'a>>) {
        let Some(begins) = page.book.begins() else { return };
        let (from, to) = (self.range.0.max(begins), self.range.1.min(self.as_of));
        let configured = if machine.counters == Counters::default() { Counting::Never } else { Counting::Read };
        let calendar = &machine.calendar;
        let (word, periods): (_, Vec<Period>) = match kind {
            Kind::Shift if calendar.has_shifts() => ("shift", calendar.shifts(from, to).collect()),
            Kind::Shift | Kind::Day => ("day", calendar.days(from, to).collect()),
            Kind::Hour => ("hour", calendar.hours(from, to).collect()),
            Kind::All => {
                let is_open = to == self.as_of && !self.is_closed;
                ("all", vec![Period { id: "all".to_owned(), from, to: if is_open { to.plus(1) } else { to } }])
            }
            Kind::Order => ("order", Vec::new()),
        };
        let counting = page.counting.unwrap_or(configured);
        let by = self.rules.measure(machine, counting, self.as_of, page.latest.as_ref());
        let by = Measure { cycles: &page.cycles, ..by };
        into.extend(periods.into_iter().filter_map(|period| {
            let window = window::window(&page.book, period.from, period.to, &by)?;
            Some(Figure { machine, kind: word, period, window })
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
    ) -> Vec<Figure<'a>> {
        let mut parts: Vec<(String, Vec<Window>)> = Vec::new();
        for (from, to, order) in page.book.orders(from, to.plus(1)) {
            let Some(order) = order.map(|order| &order.order) else { continue };
            let Some(window) = window::window(&page.book, from, to, by) else { continue };
            match parts.iter_mut().find(|(known, _)| known == order) {
                Some((_, windows)) => windows.push(window),
                None => parts.push((order.clone(), vec![window])),
            }
        }
        let figure = |(id, windows): (String, Vec<Window>)| {
            let window = window::sum(&windows, self.rules.oee.convention)?;
            let period = Period { id, from: window.from, to: window.to };
            Some(Figure { machine, kind: "order", period, window })
        };
        parts.into_iter().filter_map(figure).collect()
    }
}

impl Figure<'_> {
    fn data(&self) -> Data<'_> {
        let which = Which {
            window: self.kind,
            id: &self.period.id,
            machine: Some(&self.machine.id),
            line: Some(&self.machine.line),
            revision: 1,
        };
        data(which, &self.window)
    }

    fn table(&self, rules: &Rules, out: &mut impl Write) -> io::Result<()> {
        let window = &self.window;
        let local = |at| rules.calendar.local(at);
        let so_far = if window.is_final { "" } else { "  (so far)" };
        let id = if self.kind == "all" { String::new() } else { format!(" {}", self.period.id) };
        writeln!(
            out,
            "{}  {}{id}  {} – {} {}{so_far}",
            self.machine.id,
            self.kind,
            local(window.from),
            local(window.to),
            rules.calendar.zone()
        )?;
        for state in State::ALL {
            let ms = window.time_in(state);
            if ms > 0 {
                let filled = usize::try_from((ms * BAR + window.calendar_ms / 2) / window.calendar_ms).unwrap_or(0);
                let bar = "█".repeat(filled) + &"·".repeat(30_usize.saturating_sub(filled));
                writeln!(
                    out,
                    "  {:<12} {bar} {:>12} {:>8}",
                    state.word(),
                    span(ms),
                    percent(Some(part(ms, window.calendar_ms)))
                )?;
            }
        }
        let kpi = &window.kpi;
        writeln!(
            out,
            "  availability {}  performance {}  quality {}  OEE {}",
            percent(kpi.availability),
            percent(kpi.performance),
            percent(kpi.quality),
            percent(kpi.oee)
        )?;
        let bounds = window.parts_bounds.map_or(String::new(), |bounds| match bounds.max {
            Some(max) => format!(" ({} to {max})", bounds.min),
            None => format!(" ({} or more)", bounds.min),
        });
        let outside = match window.counts.outside_total {
            0 => String::new(),
            outside => format!(" ({outside} outside, in no OEE)"),
        };
        let flags = if window.flags.is_empty() { String::new() } else { format!("  [{}]", window.flags.join(", ")) };
        writeln!(
            out,
            "  parts {}{bounds}, good {}, reject {}{outside}{flags}",
            window.counts.total, window.counts.good, window.counts.reject
        )?;
        if let Some(of) = window.cycles.figures() {
            let ideal = of.ideal_ms.map_or("–".to_owned(), span);
            writeln!(
                out,
                "  cycles {}, ideal {ideal}: fastest {}, half within {}, 95 % within {}; {} slow, {} lost",
                of.n,
                span(of.min_ms),
                span(of.median_ms),
                span(of.p95_ms),
                of.slow,
                span(of.slow_lost_ms)
            )?;
        }
        let mut losses: Vec<_> = window.losses.iter().collect();
        losses.sort_by_key(|loss| std::cmp::Reverse(loss.ms));
        for loss in losses {
            let reason = loss.reason.as_deref().unwrap_or("no reason given");
            writeln!(out, "  loss {:>12}  {:>4} ×  {reason} ({})", span(loss.ms), loss.times, word(&loss.class))?;
        }
        if !window.downtimes.is_empty() {
            let one = |share: &Share| format!("{}/{} {}", self.machine.id, share.number, span(share.duration_ms));
            writeln!(out, "  downtimes {}", window.downtimes.iter().map(one).collect::<Vec<_>>().join(", "))?;
        }
        writeln!(out)
    }
}

fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn part(ms: i64, of: i64) -> f64 {
    ms as f64 / of as f64
}

fn percent(ratio: Option<f64>) -> String {
    ratio.map_or("–".to_owned(), |ratio| format!("{:.2} %", ratio * 100.0))
}

/// `2 h 05 min`, `3 min 20 s`, `4.2 s`.
pub(super) fn span(ms: i64) -> String {
    match ms {
        ..=59_999 => format!("{:.1} s", ms as f64 / 1000.0),
        60_000..=3_599_999 => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1000),
        3_600_000..=86_399_999 => format!("{} h {:02} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
        _ => format!("{} d {:02} h", ms / 86_400_000, ms % 86_400_000 / 3_600_000),
    }
}
