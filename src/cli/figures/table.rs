//! A sheet in, lines of 80 columns for people out: a block for each of few windows, a line for each of many.

use super::{
    sheet::{Figure, Sheet},
    words::{Colour, Ink, percent, short_span, span, word, wrapped},
};
use crate::{
    books::window,
    event::{
        stop::{Class, CountsIn, State},
        window::{IdealSource, Loss, Share, Window},
    },
};
use std::{cmp::Reverse, fmt::Write as _};

/// From one more on, windows of one kind have a line each.
const FEW: usize = 6;

/// Columns of a state's bar, and of a loss's.
const BAR: i64 = 30;
const LOSS_BAR: i64 = 10;

/// Columns of a loss's name.
const NAME: usize = 27;

/// Planned time without a reason: the calendar says that the machine need not run.
pub(in crate::cli) const OF_CALENDAR: &str = "breaks and planned stops";

/// Losses that are told one by one, and downtimes.
const LOSSES: usize = 10;
const DOWNTIMES: usize = 12;

/// The whole sheet.
pub(super) fn table(sheet: &Sheet, ink: Ink) -> String {
    let mut page = Page { sheet, ink, text: String::new() };
    if sheet.figures.is_empty() {
        return "no window: nothing was recorded there\n".to_owned();
    }
    page.head();
    for figures in sheet.figures.chunk_by(|a, b| a.kind == b.kind) {
        if figures.len() <= FEW {
            figures.iter().for_each(|figure| page.block(figure));
        } else if figures.chunk_by(is_same).all(|of_one| of_one.len() == 1) {
            page.list(figures, true);
        } else {
            figures.chunk_by(is_same).for_each(|of_one| page.list(of_one, false));
        }
    }
    page.text
}

/// Those of which it shows more than a line.
pub(super) fn blocks(sheet: &Sheet) -> impl Iterator<Item = &Figure> {
    sheet.figures.chunk_by(|a, b| a.kind == b.kind).filter(|figures| figures.len() <= FEW).flatten()
}

fn is_same(a: &Figure, b: &Figure) -> bool {
    (&a.machine, &a.line, &a.asset) == (&b.machine, &b.line, &b.asset)
}

struct Page<'a> {
    sheet: &'a Sheet,
    ink: Ink,
    text: String,
}

/// A line of the list of what lowered the OEE.
struct Lost {
    /// The factor of the OEE that it lowered; `None`: none of them.
    factor: Option<char>,
    name: String,
    ms: i64,
    times: Option<i64>,
}

impl Page<'_> {
    fn line(&mut self, text: impl AsRef<str>) {
        self.text += text.as_ref().trim_end();
        self.text.push('\n');
    }

    fn head(&mut self) {
        let (rules, as_of) = (&self.sheet.rules, self.sheet.as_of);
        let words = format!(
            "{}, {}, as of {} (event {})",
            rules.oee.convention.word(),
            rules.calendar.zone(),
            rules.calendar.local(as_of.at),
            as_of.sequence
        );
        let words = self.ink.paint(Colour::Faint, words);
        self.line(words);
        self.line("");
    }

    // A block for each of few

    fn block(&mut self, figure: &Figure) {
        let window = &figure.window;
        let id = if figure.kind == "all" { String::new() } else { format!(" {}", figure.id) };
        let name = self.ink.paint(Colour::Bold, figure.whose());
        let mut marks = String::new();
        if figure.revision > 1 {
            marks += &format!("  revision {}", figure.revision);
        }
        if !window.is_final {
            marks += if self.is_going_on(window) { "  so far" } else { "  provisional" };
        }
        self.line(format!("{name}  {}{id}{marks}", figure.kind));
        let when = self.when(window);
        self.line(format!("  {when}"));
        if !figure.machines.is_empty() {
            let of = if figure.machines.len() > 1 { " + " } else { "" };
            let words: Vec<String> =
                figure.machines.join(of).split_inclusive(' ').map(|w| w.trim().to_owned()).collect();
            self.line(format!("  {}", wrapped(&words, 2, 2)));
        }
        for state in State::ALL {
            let ms = window.time_in(state);
            if ms > 0 {
                let bar = self.bar(ms, window.calendar_ms, BAR, colour(state));
                let share = percent(Some(part(ms, window.calendar_ms)));
                self.line(format!("  {:<12} {bar} {:>12} {share:>8}", state.word(), span(ms)));
            }
        }
        self.kpis(window);
        self.parts(window);
        self.lost(window);
        self.downtimes(window);
        self.line("");
    }

    /// It reaches up to what is known: the rest of it is still to come.
    fn is_going_on(&self, window: &Window) -> bool {
        window.to >= self.sheet.as_of.at
    }

    /// `2026-11-23 06:00:00 – 14:00:00`
    fn when(&self, window: &Window) -> String {
        let local = |at| self.sheet.rules.calendar.local(at);
        let (from, to) = (local(window.from), local(window.to));
        match (from.split_once(' '), to.split_once(' ')) {
            (Some((from_day, _)), Some((to_day, time))) if from_day == to_day => format!("{from} – {time}"),
            _ => format!("{from} – {to}"),
        }
    }

    fn bar(&self, ms: i64, of: i64, columns: i64, colour: Colour) -> String {
        let filled = if of > 0 { (ms * columns + of / 2) / of } else { 0 }.clamp(0, columns);
        let dots = |number: i64, dot: &str| dot.repeat(usize::try_from(number).unwrap_or(0));
        self.ink.paint(colour, dots(filled, "█")) + &self.ink.paint(Colour::Faint, dots(columns - filled, "·"))
    }

    fn kpis(&mut self, window: &Window) {
        let kpi = &window.kpi;
        let oee = self.ink.paint(Colour::Bold, format!("OEE {}", percent(kpi.oee)));
        self.line(format!(
            "  availability {}  performance {}  quality {}  {oee}",
            percent(kpi.availability),
            percent(kpi.performance),
            percent(kpi.quality),
        ));
        if kpi.performance_capped != kpi.performance && kpi.performance_capped.is_some() {
            let (performance, oee) = (percent(kpi.performance_capped), percent(kpi.oee_capped));
            self.line(format!("  capped: performance {performance}  OEE {oee}"));
        }
        let mut words = vec![format!("planned {}", span(window.planned_ms)), ideal(window.ideal_source()).to_owned()];
        if let Some(coverage) = kpi.coverage.filter(|coverage| *coverage < 1.0) {
            let coverage = format!("coverage {}", not_whole(coverage));
            words.insert(1, self.ink.paint(Colour::Yellow, coverage));
        }
        self.line(format!("  {}", words.join(", ")));
        if window.failures > 0 || window.restorations > 0 {
            let mut words = vec![format!("failures {}", window.failures)];
            words.extend(kpi.mtbf_ms.map(|ms| format!("MTBF {}", span(ms))));
            words.extend(kpi.mttr_restoration_ms.map(|ms| format!("MTTR {}", span(ms))));
            words.extend(kpi.response_ms.map(|ms| format!("response {}", span(ms))));
            words.extend(kpi.mttr_repair_ms.map(|ms| format!("repair {}", span(ms))));
            self.line(format!("  {}", words.join(", ")));
        }
    }

    fn parts(&mut self, window: &Window) {
        let counts = &window.counts;
        let bounds = window.parts_bounds.map_or(String::new(), |bounds| match bounds.max {
            Some(max) => format!(" ({} to {max})", bounds.min),
            None => format!(" ({} or more)", bounds.min),
        });
        let rework = if counts.rework == 0 { String::new() } else { format!(", rework {}", counts.rework) };
        let outside = match counts.outside_total {
            0 => String::new(),
            outside => format!(" ({outside} outside, in no OEE)"),
        };
        let (total, good, reject) = (counts.total, counts.good, counts.reject);
        self.line(format!("  parts {total}{bounds}, good {good}, reject {reject}{rework}{outside}"));
        if let Some(of) = window.cycles.figures() {
            let ideal = of.ideal_ms.map_or("–".to_owned(), span);
            self.line(format!(
                "  cycles {}, ideal {ideal}: fastest {}, half within {},",
                of.n,
                span(of.min_ms),
                span(of.median_ms)
            ));
            self.line(format!("    95 % within {}; {} slow, {} lost", span(of.p95_ms), of.slow, span(of.slow_lost_ms)));
        }
        if !window.flags.is_empty() {
            let flags = wrapped(&comma_separated(&window.flags), 8, 4);
            let flags = self.ink.paint(Colour::Yellow, flags);
            self.line(format!("  flags {flags}"));
        }
    }

    /// What lowered the OEE, most first, with its share of all that did.
    fn lost(&mut self, window: &Window) {
        let mut all = lost(window);
        if all.is_empty() {
            return;
        }
        all.sort_by_key(|lost| (lost.factor.is_none(), Reverse(lost.ms)));
        let whole: i64 = all.iter().filter(|lost| lost.factor.is_some()).map(|lost| lost.ms).sum();
        let head = format!(
            "  {:<bar$}{:>12} {:>8} {:>8} {:>6}",
            format!("lost {}", span(whole)),
            "time",
            "share",
            "sum",
            "stops",
            bar = 4 + NAME + 10
        );
        let head = self.ink.paint(Colour::Faint, head);
        self.line(head);
        let mut sum = 0;
        for lost in all.iter().take(LOSSES) {
            let times = lost.times.map_or(String::new(), |times| format!("{times} ×"));
            let (factor, name) = (lost.factor.unwrap_or('–'), shortened(&lost.name));
            let time = span(lost.ms);
            if lost.factor.is_none() || whole == 0 {
                let blank = " ".repeat(10);
                self.line(format!("  {factor} {name:<NAME$} {blank} {time:>12} {:>17} {times:>6}", "in no OEE"));
                continue;
            }
            sum += lost.ms;
            let bar = self.bar(lost.ms, whole, LOSS_BAR, Colour::Red);
            let (share, sum) = (percent(Some(part(lost.ms, whole))), percent(Some(part(sum, whole))));
            self.line(format!("  {factor} {name:<NAME$} {bar} {time:>12} {share:>8} {sum:>8} {times:>6}"));
        }
        if all.len() > LOSSES {
            let rest: i64 = all[LOSSES..].iter().map(|lost| lost.ms).sum();
            self.line(format!("    and {} more, {}", all.len() - LOSSES, span(rest)));
        }
    }

    fn downtimes(&mut self, window: &Window) {
        let mut shares: Vec<&Share> = window.downtimes.iter().collect();
        if shares.is_empty() {
            return;
        }
        let more = shares.len().saturating_sub(DOWNTIMES);
        if more > 0 {
            shares.sort_by_key(|share| Reverse(share.duration_ms));
            shares.truncate(DOWNTIMES);
        }
        let one = |share: &&Share| {
            let open = if share.ended_at.is_none() { " (open)" } else { "" };
            format!("{}/{} {}{open}", share.machine, share.number, span(share.duration_ms))
        };
        let mut each: Vec<String> = shares.iter().map(one).collect();
        if more > 0 {
            each.push(format!("and {more} shorter ones"));
        }
        self.line(format!("  downtimes {}", wrapped(&comma_separated(&each), 12, 4)));
    }

    // A line for each of many

    /// `of_each`: every line is of another machine; else all are of one.
    fn list(&mut self, figures: &[Figure], of_each: bool) {
        let Some(first) = figures.first() else { return };
        fn name(figure: &Figure, of_each: bool) -> &str {
            if of_each { figure.whose() } else { &figure.id }
        }
        let title = if of_each { String::new() } else { format!("{}  ", first.whose()) };
        let title = self.ink.paint(Colour::Bold, title);
        self.line(format!("{title}{}", first.kind));
        let total = window::sum(figures.iter().map(|figure| &*figure.window), self.sheet.rules.oee.convention);
        let Some(total) = total else { return };
        let is_covered = total.kpi.coverage.is_none_or(|coverage| coverage >= 1.0);
        let width = figures.iter().map(|figure| name(figure, of_each).chars().count()).max().unwrap_or(0).max(5);
        let cover = if is_covered { "" } else { " cover" };
        let head = format!(
            "  {:width$} {:>7} {:>5} {:>5} {:>5} {:>5}{cover} {:>7} {:>7} {:>4}",
            "", "planned", "A %", "P %", "Q %", "OEE %", "parts", "down", "×"
        );
        let head = self.ink.paint(Colour::Faint, head);
        self.line(head);
        let mut legend = Legend::default();
        for figure in figures {
            let marks = legend.marks(figure, self.is_going_on(&figure.window));
            row(&mut self.text, name(figure, of_each), width, (&figure.window, figure.listed.stops), is_covered);
            if !marks.is_empty() {
                self.text.push(' ');
                self.text += &marks;
            }
            self.text.push('\n');
        }
        let stops = figures.iter().map(|figure| figure.listed.stops).sum();
        let mut sum = String::new();
        row(&mut sum, "total", width, (&total, stops), is_covered);
        let sum = self.ink.paint(Colour::Bold, sum);
        self.line(sum);
        if !legend.words.is_empty() {
            let words = wrapped(&comma_separated(&legend.words), 2, 2);
            let words = self.ink.paint(Colour::Faint, words);
            self.line(format!("  {words}"));
        }
        self.lost(&total);
        self.line("");
    }
}

/// What marks stand for.
#[derive(Default)]
struct Legend {
    words: Vec<String>,
    flags: Vec<String>,
}

impl Legend {
    fn marks(&mut self, figure: &Figure, is_going_on: bool) -> String {
        let mut marks = String::new();
        if !figure.window.is_final {
            let (mark, word) = if is_going_on { ('~', "~ so far") } else { ('?', "? provisional") };
            marks.push(mark);
            self.say(word);
        }
        if figure.revision > 1 {
            marks += &format!("r{}", figure.revision);
            self.say("r revision");
        }
        for flag in &figure.window.flags {
            let place = self.flags.iter().position(|known| known == flag).unwrap_or_else(|| {
                self.flags.push(flag.clone());
                self.flags.len() - 1
            });
            let letter = char::from(b'a' + u8::try_from(place).unwrap_or(u8::MAX).min(25));
            marks.push(letter);
            self.say(&format!("{letter} {flag}"));
        }
        marks
    }

    fn say(&mut self, words: &str) {
        if !self.words.iter().any(|known| known == words) {
            self.words.push(words.to_owned());
        }
    }
}

/// A year of fifty machines has thousands: it is written where it belongs.
fn row(text: &mut String, name: &str, width: usize, (window, stops): (&Window, i64), is_covered: bool) {
    let kpi = &window.kpi;
    // A string takes everything.
    let short = |text: &mut String, ratio: Option<f64>| {
        let _ = match ratio {
            Some(ratio) => write!(text, " {:>5.1}", ratio * 100.0),
            None => write!(text, " {:>5}", "–"),
        };
    };
    let _ = write!(text, "  {name:width$} {:>7}", short_span(window.planned_ms));
    [kpi.availability, kpi.performance, kpi.quality, kpi.oee].into_iter().for_each(|ratio| short(text, ratio));
    if !is_covered {
        short(text, kpi.coverage.map(|coverage| (coverage * 1000.0).floor() / 1000.0));
    }
    let _ = write!(text, " {:>7} {:>7} {stops:>4}", window.counts.total, short_span(window.down_ms()));
}

/// What lies between planned time and OEE, and what stands outside: stops, parts made too slowly, parts that are not good.
/// What counts in the OEE adds up to planned − Σ ideal × good.
fn lost(window: &Window) -> Vec<Lost> {
    let factor = |counts_in| match counts_in {
        CountsIn::Availability => Some('A'),
        CountsIn::Performance => Some('P'),
        CountsIn::Excluded | CountsIn::None => None,
    };
    let of_stops = |loss: &Loss| {
        let class = word(&loss.class);
        let name = match (&loss.reason, loss.class) {
            (Some(reason), _) => format!("{reason} ({class})"),
            (None, Class::Planned) => OF_CALENDAR.to_owned(),
            (None, _) => format!("no reason ({class})"),
        };
        // A break is none of the stops that are counted.
        let times = (loss.times > 0 || loss.class != Class::Planned).then_some(loss.times);
        Lost { factor: factor(loss.counts_in), name, ms: loss.ms, times }
    };
    let mut all: Vec<Lost> = window.losses.iter().map(of_stops).filter(|lost| lost.ms > 0).collect();
    if window.kpi.performance.is_some() {
        let in_run: i64 = all.iter().filter(|lost| lost.factor == Some('P')).map(|lost| lost.ms).sum();
        let (ideal_ms, good_ideal_ms) = (window.ideal_ms(), window.good_ideal_ms());
        let of_parts = |factor, name: &str, ms| Lost { factor: Some(factor), name: name.to_owned(), ms, times: None };
        all.push(of_parts('P', "slower than ideal", window.run_ms - in_run - ideal_ms));
        all.push(of_parts('Q', "parts that are not good", ideal_ms - good_ideal_ms));
        all.retain(|lost| lost.ms > 0);
    }
    all
}

fn ideal(source: IdealSource) -> &'static str {
    match source {
        IdealSource::Order => "ideal of the order",
        IdealSource::Machine => "ideal of the machine",
        IdealSource::Mixed => "ideals of orders and machines",
        IdealSource::None => "no ideal",
    }
}

fn colour(state: State) -> Colour {
    match state {
        State::Running => Colour::Green,
        State::ShortStop => Colour::Yellow,
        State::Down => Colour::Red,
        State::Changeover => Colour::Cyan,
        State::PlannedStop | State::Unscheduled => Colour::Blue,
        State::External | State::Unknown => Colour::Magenta,
    }
}

/// Below 100 %, and shown so.
fn not_whole(ratio: f64) -> String {
    format!("{:.2} %", (ratio * 10_000.0).floor() / 100.0)
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    name.chars().take(NAME - 1).chain(['…']).collect()
}

fn comma_separated(words: &[String]) -> Vec<String> {
    let last = words.len().saturating_sub(1);
    words.iter().enumerate().map(|(place, word)| if place < last { format!("{word},") } else { word.clone() }).collect()
}

fn part(ms: i64, of: i64) -> f64 {
    ms as f64 / of as f64
}
