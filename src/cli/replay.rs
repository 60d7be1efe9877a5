//! `andon replay`: a sample file in, the events that would have been published and the report out.
//!
//! The same shop as in `andon run`, turned in a plain loop: no network, no sleeping, the samples' own clock.
//! [`replay`] is the same for programs: nothing is printed, every kind of window is given.

use super::{Exit, Failure, daemon::names, figures::Figures};
use crate::{
    config::Plan,
    event::Stamp,
    io::samples::{Error, Samples},
    shop::{Input, Known, Marks, Shop, Turn},
    signal::{Observation, Point, PointIx},
    wire::{Names, envelope},
};
use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::Arc,
};

pub(super) fn run(plan: Plan, samples: &Path, events: Option<&Path>, report: Option<&Path>) -> Result<(), Failure> {
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
    let figures = replay.figures.replayed();
    match report {
        Some(path) if path != Path::new("-") => File::create(path)
            .and_then(|file| figures.json(&mut BufWriter::new(file)))
            .map_err(|error| unwritable(path, &error)),
        Some(_) => Failure::unless_printed(figures.json(&mut io::stdout().lock())),
        None => Failure::unless_printed(figures.table(&mut io::stdout().lock())),
    }
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
    let mut report = Vec::new();
    replay.figures.whole().json(&mut report).map_err(|error| Failure::new(Exit::Bug, &error))?;
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
