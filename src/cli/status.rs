//! `andon status`: the journal in, what the broker and each consumer are known to hold out; also beside a running daemon.

use super::{
    Exit, Failure,
    figures::words::{Colour, Ink, span},
    past::unusable,
};
use crate::{
    config::Plan,
    custody::{
        chain::Link,
        receipt::{Held, Rule, Standing},
    },
    event::Stamp,
    gateway::{Settings, custody::InMemory},
    io::{
        clock,
        journal::{self, Marks as MarksFile, Reader},
    },
    wire::payload::digest::hex,
};
use clap::ValueEnum;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Write},
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    #[default]
    Table,
    Json,
}

/// What is known of the delivery.
#[derive(Serialize)]
struct Status {
    gateway: String,
    epoch: u32,
    last_sequence: u64,
    first_available: u64,
    /// Up to there the broker has acknowledged.
    acknowledged: u64,
    backlog: u64,
    chain: String,
    /// What the gateway may let go of by: the consumers' receipts, or the broker's acknowledgement alone.
    promise: &'static str,
    consumers: Vec<Consumer>,
}

#[derive(Serialize)]
struct Consumer {
    consumer: String,
    /// `level`, `behind`, `conflict`, `lapsed`, or `unheard`.
    status: &'static str,
    epoch: Option<u32>,
    /// The receipt that counts.
    sequence: Option<u64>,
    /// Events that it has not confirmed.
    lag_events: u64,
    /// How long ago the first of them was written.
    lag_ms: Option<i64>,
    /// When it was heard of last.
    at: Option<String>,
    instances: Vec<String>,
    is_lapsed: bool,
    is_conflict: bool,
}

/// What is read at once.
pub(super) struct Found {
    pub(super) epoch: u32,
    pub(super) last_sequence: u64,
    pub(super) first_available: u64,
    pub(super) acknowledged: u64,
    link: Option<Link>,
    /// By consumer.
    pub(super) standings: BTreeMap<String, Standing>,
}

impl Found {
    /// The receipt of a consumer that counts, if it is of this epoch.
    pub(super) fn held(&self, consumer: &str) -> Option<&Held> {
        self.standings.get(consumer)?.counts().filter(|held| held.epoch == self.epoch)
    }

    /// Events that it has not confirmed; who was never heard of begins with what there is.
    pub(super) fn lag(&self, consumer: &str) -> u64 {
        let held = self.held(consumer).map_or(self.first_available - 1, |held| held.sequence);
        self.last_sequence.saturating_sub(held)
    }
}

/// What the journal and the memory of the daemon say of the delivery.
pub(super) fn find(reader: &Reader, settings: &Settings) -> Result<Found, journal::Error> {
    let instance = reader.instance()?;
    let memory = MarksFile::of_receipts(&settings.journal, instance).read().map(|kept| kept.body);
    let last_sequence = reader.last_sequence()?;
    let latest = InMemory::latest(&reader.receipts()?, memory.as_deref());
    Ok(Found {
        epoch: reader.epoch()?,
        last_sequence,
        first_available: reader.first_sequence()?.unwrap_or(last_sequence + 1),
        // What lies in memory may be newer than this look at the journal.
        acknowledged: reader.cursor()?.max(latest.acked).min(last_sequence),
        link: reader.link_at(last_sequence)?,
        standings: latest.receipts,
    })
}

pub(super) fn run(plan: Plan, format: Format) -> Result<(), Failure> {
    let settings = super::daemon::settings(plan, None, 1);
    let reader = Reader::open(&settings.journal.data_dir).map_err(|error| unusable(&error))?;
    let status = reader.at_once(|reader| look(reader, &settings)).map_err(|error| unusable(&error))?;
    let mut out = BufWriter::new(io::stdout().lock());
    let done = match format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &status).map_err(|error| Failure::new(Exit::Bug, &error))?;
            writeln!(out)
        }
        Format::Table => status.write(Ink::of(&io::stdout()), &mut out),
    };
    Failure::unless_printed(done.and_then(|()| out.flush()))
}

fn look(reader: &Reader, settings: &Settings) -> Result<Status, journal::Error> {
    let found = find(reader, settings)?;
    let mut consumers = Vec::new();
    for rule in &settings.consumers {
        consumers.push(consumer(reader, rule, &found)?);
    }
    Ok(Status {
        gateway: settings.names.gateway.clone(),
        epoch: found.epoch,
        last_sequence: found.last_sequence,
        first_available: found.first_available,
        acknowledged: found.acknowledged,
        backlog: found.last_sequence - found.acknowledged,
        chain: found.link.map(|link| hex(&link)).unwrap_or_default(),
        promise: if consumers.is_empty() { "acknowledged" } else { "receipts" },
        consumers,
    })
}

fn consumer(reader: &Reader, rule: &Rule, found: &Found) -> Result<Consumer, journal::Error> {
    let empty = Standing::default();
    let standing = found.standings.get(&rule.id).unwrap_or(&empty);
    let counts = standing.counts();
    let lag_events = found.lag(&rule.id);
    let first = if lag_events > 0 { reader.rows_after(found.last_sequence - lag_events, 1)?.pop() } else { None };
    let written = first.and_then(|row| {
        let event: serde_json::Value = serde_json::from_slice(&row.body).ok()?;
        event["recordedtime"].as_str()?.parse::<jiff::Timestamp>().ok()
    });
    Ok(Consumer {
        consumer: rule.id.clone(),
        status: match counts {
            _ if standing.is_lapsed => "lapsed",
            None => "unheard",
            Some(_) if standing.is_conflict => "conflict",
            Some(_) if lag_events > 0 => "behind",
            Some(_) => "level",
        },
        epoch: counts.map(|held| held.epoch),
        sequence: counts.map(|held| held.sequence),
        lag_events,
        lag_ms: written.map(|written| clock::wall().since(Stamp::from_ms(written.as_millisecond())).max(0)),
        at: standing.held.last().map(|held: &Held| held.shown.to_string()),
        instances: standing.held.iter().map(|held| held.instance.clone()).collect(),
        is_lapsed: standing.is_lapsed,
        is_conflict: standing.is_conflict,
    })
}

impl Status {
    fn write(&self, ink: Ink, out: &mut impl Write) -> io::Result<()> {
        let Status { gateway, epoch, last_sequence, first_available, acknowledged, backlog, chain, .. } = self;
        let gateway = ink.paint(Colour::Bold, gateway);
        writeln!(out, "{gateway}  epoch {epoch}, events {first_available} to {last_sequence}")?;
        let waits = match backlog {
            0 => "nothing waits".to_owned(),
            1 => "1 event waits".to_owned(),
            more => format!("{more} events wait"),
        };
        writeln!(out, "broker    acknowledged up to {acknowledged}, {waits}")?;
        writeln!(out, "chain     {chain}")?;
        if self.consumers.is_empty() {
            return writeln!(out, "no [[consumer]]: what the broker has acknowledged is all that is known");
        }
        let width = self.consumers.iter().map(|one| one.consumer.len()).max().unwrap_or(0).max("consumer".len());
        let head =
            format!("\n{:width$}  {:>12}  {:<28}  {:<24}  status", "consumer", "holds", "behind", "last receipt");
        writeln!(out, "{}", ink.paint(Colour::Faint, head))?;
        for one in &self.consumers {
            let holds = one.sequence.map_or("–".to_owned(), |sequence| sequence.to_string());
            let behind = match (one.lag_events, one.lag_ms) {
                (0, _) => "–".to_owned(),
                (events, Some(ms)) => format!("{events} events, {}", span(ms)),
                (events, None) => format!("{events} events"),
            };
            let at = one.at.as_deref().unwrap_or("–");
            let colour = match one.status {
                "level" => Colour::Green,
                "behind" => Colour::Cyan,
                "unheard" => Colour::Yellow,
                _ => Colour::Red,
            };
            let mut words = ink.paint(colour, one.status);
            if one.is_conflict {
                words += &format!(" ({})", one.instances.join(", "));
            }
            writeln!(out, "{:width$}  {holds:>12}  {behind:<28}  {at:<24}  {words}", one.consumer)?;
        }
        Ok(())
    }
}
