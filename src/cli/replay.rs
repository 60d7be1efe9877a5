//! `andon replay`: a sample file in, the events that would have been published and the report out.
//!
//! The same shop as in `andon run`, turned in a plain loop: no network, no sleeping, the samples' own clock.
//! [`replay`] is the same for programs: nothing is printed, every kind of window is given.

mod against;
mod said;
mod scope;

use super::{
    Exit, Failure,
    daemon::names,
    figures::{By, Figures, Format, Kind, Sheet, words::Ink},
};
use crate::{
    config::Plan,
    event::Stamp,
    io::samples::{Error, Samples},
    shop::{Input, Known, Marks, Shop, Turn},
    signal::{Observation, Point, PointIx},
    wire::{Names, envelope},
};
use against::Comparison;
use clap::Args;
use said::Said;
use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

#[derive(Debug, Args)]
pub(super) struct What {
    /// The sample file.
    #[arg(long, value_name = "FILE.csv")]
    samples: PathBuf,
    /// Write the events that would have been published, one a line.
    #[arg(long, value_name = "OUT.jsonl")]
    events: Option<PathBuf>,
    /// Write the report as JSON; `-` is stdout.
    #[arg(long, value_name = "OUT.json|-")]
    report: Option<PathBuf>,
    /// Tell what has changed against an earlier report of the same time, JSON of `replay` or `report`.
    #[arg(long, value_name = "OLD.json")]
    against: Option<PathBuf>,
    /// Which windows, separated by commas; without `[[shift]]` a shift is a day [default: all,shift, or those of OLD.json]
    #[arg(long, value_enum, value_delimiter = ',')]
    window: Vec<Kind>,
    /// Whose figures [default: machine, or as in OLD.json]
    #[arg(long, value_enum)]
    by: Option<By>,
    /// What is printed: the report, unless --report writes it, or with --against the changes (table or json).
    #[arg(long, value_enum)]
    format: Option<Format>,
}

pub(super) fn run(plan: Plan, what: &What) -> Result<(), Failure> {
    let old = what.against.as_deref().map(Said::read).transpose()?;
    let to_stdout = what.report.as_deref() == Some(Path::new("-"));
    let format = what.format.unwrap_or_default();
    match (&what.report, &old, format) {
        (_, Some(_), Format::Csv | Format::Losses) => {
            return Err(Failure::say(Exit::Usage, "changes are told as --format table or json"));
        }
        (Some(_), None, _) if what.format.is_some() => {
            let words = "--report writes JSON; take --format, or --report, or both with --against";
            return Err(Failure::say(Exit::Usage, words));
        }
        (_, Some(_), Format::Json) if to_stdout => {
            return Err(Failure::say(Exit::Usage, "--report - and --format json would both write JSON to stdout"));
        }
        _ => {}
    }
    let (kinds, by) = match &old {
        Some(old) => (old.kinds(), old.by()),
        None => (vec![Kind::All, Kind::Shift], By::Machine),
    };
    let kinds = if what.window.is_empty() { kinds } else { what.window.clone() };
    let figures = play(plan, &what.samples, what.events.as_deref())?;
    let sheet = figures.sheet(&kinds, (Stamp::MIN, Stamp::MAX), what.by.unwrap_or(by));
    let print = |sheet: &Sheet, format| {
        let mut out = io::stdout().lock();
        Failure::unless_printed(sheet.write(format, Ink::of(&out), &mut out))
    };
    match &what.report {
        Some(_) if to_stdout => print(&sheet, Format::Json)?,
        Some(path) => File::create(path)
            .and_then(|file| sheet.write(Format::Json, Ink::none(), &mut BufWriter::new(file)))
            .map_err(|error| unwritable(path, &error))?,
        None if old.is_none() => print(&sheet, format)?,
        None => {}
    }
    let Some(old) = old else { return Ok(()) };
    let new = Said::of(&sheet)?;
    let differs = scope::differs(&old, &new).map_err(|words| {
        let path = what.against.as_deref().unwrap_or(Path::new("")).display();
        Failure::say(Exit::Data, format!("{path}: {words}"))
    })?;
    for words in &differs {
        super::eprint_words(&format!("warning: {words}\n"));
    }
    let changes = Comparison::of(&old, &new, differs);
    if format == Format::Json {
        return Failure::unless_printed(changes.json(&mut io::stdout().lock()));
    }
    let calendar = sheet.calendar();
    if to_stdout {
        super::eprint_words(&changes.table(calendar, Ink::of(&io::stderr())));
        return Ok(());
    }
    let mut out = io::stdout().lock();
    let table = changes.table(calendar, Ink::of(&out));
    Failure::unless_printed(out.write_all(table.as_bytes()).and_then(|()| out.flush()))
}

/// From the first sample to the last.
fn play(plan: Plan, samples: &Path, events: Option<&Path>) -> Result<Figures, Failure> {
    let mut samples = Samples::open(samples, &columns(&plan)).map_err(|error| bad_samples(&error))?;
    for point in samples.absent() {
        super::eprint_words(&format!("warning: {point} has no column in the samples and is never read\n"));
    }
    let events = match events {
        Some(path) => Some(BufWriter::new(File::create(path).map_err(|error| unwritable(path, &error))?)),
        None => None,
    };
    let mut replay = Replay::new(plan, events);
    replay.play(&mut samples)?;
    Ok(replay.figures)
}

/// What a replay gives.
#[derive(Debug)]
pub struct Replayed {
    /// The events that it would have published, one CloudEvent a line.
    pub events: Vec<u8>,
    /// The report as JSON, with windows of every kind.
    pub report: Vec<u8>,
}

/// Feeds a sample file through the engine.
///
/// # Errors
/// The sample file cannot be opened, or what stands in it is no sample.
pub fn replay(plan: Plan, samples: &Path) -> Result<Replayed, Failure> {
    let mut samples = Samples::open(samples, &columns(&plan)).map_err(|error| bad_samples(&error))?;
    let mut replay = Replay::new(plan, Some(Vec::new()));
    replay.play(&mut samples)?;
    let kinds = [Kind::All, Kind::Shift, Kind::Day, Kind::Hour, Kind::Order];
    let sheet = replay.figures.sheet(&kinds, (Stamp::MIN, Stamp::MAX), By::Machine);
    let mut report = Vec::new();
    sheet.write(Format::Json, Ink::none(), &mut report).map_err(|error| Failure::new(Exit::Bug, &error))?;
    Ok(Replayed { events: replay.events.unwrap_or_default(), report })
}

/// Every configured point, for the header of a sample file.
pub(super) fn columns(plan: &Plan) -> Vec<(PointIx, Point)> {
    plan.points.iter().enumerate().map(|(index, named)| (PointIx(index), named.point.clone())).collect()
}

pub(super) fn bad_samples(error: &Error) -> Failure {
    let mut failure = Failure::new(Exit::Data, error);
    if let Some(hint) = error.hint() {
        failure.words += &format!("\nhint: {hint}");
    }
    failure
}

struct Replay<W> {
    shop: Shop,
    figures: Figures,
    names: Names,
    events: Option<W>,
}

impl<W: Write> Replay<W> {
    fn new(plan: Plan, events: Option<W>) -> Replay<W> {
        let (names, rules) = (names(&plan), Arc::new(plan.rules));
        let shop = Shop::open(rules.clone(), Known::default(), &Marks::default());
        Replay { figures: Figures::new(rules), shop, names, events }
    }

    fn play(&mut self, samples: &mut Samples) -> Result<(), Failure> {
        let blank = || Observation { at: Stamp::MIN, readings: Vec::new() };
        let (mut row, mut next) = (blank(), blank());
        let read =
            |samples: &mut Samples, row: &mut Observation| samples.next_into(row).map_err(|error| bad_samples(&error));
        if !read(samples, &mut row)? {
            return Err(Failure::say(Exit::Data, "the samples hold no row"));
        }
        let first = row.at;
        loop {
            let is_last = !read(samples, &mut next)?;
            let input = if is_last { Input::Closed(&row) } else { Input::Observed(&row) };
            let turn = self.shop.turn(input, row.at);
            self.tell(turn)?;
            if row.at == first {
                let turn = self.shop.turn(Input::Begin, first);
                self.tell(turn)?;
            }
            if is_last {
                break;
            }
            std::mem::swap(&mut row, &mut next);
        }
        if let Some(events) = &mut self.events {
            events.flush().map_err(|error| Failure::new(Exit::Unavailable, &error))?;
        }
        self.figures.close(&self.shop);
        Ok(())
    }

    fn tell(&mut self, turn: Turn) -> Result<(), Failure> {
        for told in turn.told {
            self.figures.enter(&told);
            let Some(events) = &mut self.events else { continue };
            let body = envelope::body(&self.names, &told).map_err(|error| Failure::new(Exit::Bug, &error))?;
            let written = events.write_all(&body).and_then(|()| events.write_all(b"\n"));
            written.map_err(|error| Failure::new(Exit::Unavailable, &error))?;
        }
        Ok(())
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::say(Exit::Unavailable, format!("{} could not be written: {error}", path.display()))
}
