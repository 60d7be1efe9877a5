//! Devices in, their units and the addresses that answer out, politely.

use super::{Format, What, picture::ranges, put};
use crate::{
    cli::{Exit, Failure, eprint_words},
    io::plc::{
        Error, Settings,
        scan::{Ended, Scan, Table},
    },
    signal::point::Area,
};
use serde_json::json;
use std::{
    io::{self, IsTerminal},
    ops::RangeInclusive,
    time::Duration,
};
use tokio::time::Instant;

/// Twenty requests a second: a device in production has something else to do.
const PAUSE: Duration = Duration::from_millis(50);
/// The units of a serial line; a device of its own often answers to all of them.
const UNITS: RangeInclusive<u8> = 1..=247;
const AREAS: [Area; 4] = [Area::Coil, Area::Discrete, Area::Holding, Area::Input];

/// What was found behind one address.
struct Found<'a> {
    plc: &'a Settings,
    asked: RangeInclusive<u8>,
    /// Each unit that answered, with the exception that it answered with.
    units: Vec<(u8, Option<u8>)>,
    tables: Vec<(u8, Vec<Table>)>,
    requests: u64,
    took: Duration,
}

pub(super) async fn scan(mut plcs: Vec<Settings>, what: &What) -> Result<Exit, Failure> {
    // PLCs behind one address are one device here.
    let mut channels = Vec::new();
    plcs.retain(|plc| {
        let is_new = !channels.contains(&plc.channel);
        if is_new {
            channels.push(plc.channel.clone());
        }
        is_new
    });
    let mut exit = Exit::Ok;
    let mut all = Vec::new();
    for plc in &plcs {
        let progress = Progress { shown: io::stderr().is_terminal() };
        match device(plc, what, progress).await {
            Ok(found) if found.units.is_empty() => {
                eprint_words(&format!("{} at {}: no unit of {} answered\n", plc.id, plc.channel, span(&found.asked)));
                exit = Exit::Unavailable;
            }
            Ok(found) => match what.format {
                Format::Table => put(&table(&found))?,
                Format::Json => all.push(object(&found)),
            },
            Err(error) => {
                eprint_words(&format!(
                    "{} does not answer at {}: {}\n",
                    plc.id,
                    plc.channel,
                    Failure::new(Exit::Unavailable, &error).words
                ));
                exit = Exit::Unavailable;
            }
        }
    }
    if what.format == Format::Json {
        put(&format!("{:#}\n", json!({ "plcs": all })))?;
    }
    Ok(exit)
}

async fn device<'a>(plc: &'a Settings, what: &What, progress: Progress) -> Result<Found<'a>, Error> {
    let begun = Instant::now();
    let asked = what.unit.clone().unwrap_or(UNITS);
    let mut scan = Scan::new(plc.clone(), PAUSE);
    let mut units = Vec::new();
    for unit in asked.clone() {
        progress.show(&format!("{}: unit {unit}, {} found", plc.id, units.len()));
        match scan.unit(unit).await {
            Ok(exception) => units.push((unit, exception)),
            // Nobody is there at all: the other units need not be asked for.
            Err(error @ (Error::Lookup(_) | Error::Connect(_) | Error::NoConnection { .. })) if units.is_empty() => {
                progress.end();
                return Err(error);
            }
            Err(_) => {}
        }
    }
    let areas: Vec<Area> =
        if what.area.is_empty() { AREAS.to_vec() } else { what.area.iter().map(|area| Area::from(*area)).collect() };
    let mut tables = Vec::new();
    for unit in searched(plc.unit, &asked, &units) {
        let mut found = Vec::new();
        for area in &areas {
            let told = |at: u16| progress.show(&format!("{}: unit {unit}, {} {at}", plc.id, area.word()));
            found.push(scan.table(unit, *area, what.range.clone(), told).await);
        }
        tables.push((unit, found));
    }
    progress.end();
    Ok(Found { plc, asked, units, tables, requests: scan.requests, took: begun.elapsed() })
}

/// Of a device that answers to every unit the tables are searched once.
fn searched(configured: u8, asked: &RangeInclusive<u8>, units: &[(u8, Option<u8>)]) -> Vec<u8> {
    let everyone = asked.len() > 1 && units.len() == asked.len();
    match units.first() {
        Some((first, _)) if everyone => vec![if asked.contains(&configured) { configured } else { *first }],
        _ => units.iter().map(|(unit, _)| *unit).collect(),
    }
}

/// On a terminal, and only there.
#[derive(Clone, Copy)]
struct Progress {
    shown: bool,
}

impl Progress {
    fn show(self, words: &str) {
        if self.shown {
            eprint_words(&format!("\r{words}\x1b[K"));
        }
    }

    fn end(self) {
        if self.shown {
            eprint_words("\r\x1b[K");
        }
    }
}

fn span(units: &RangeInclusive<u8>) -> String {
    if units.len() == 1 { units.start().to_string() } else { format!("{}-{}", units.start(), units.end()) }
}

fn table(found: &Found<'_>) -> String {
    let (plc, asked) = (found.plc, span(&found.asked));
    let mut lines = vec![format!("{}  {}", plc.id, plc.channel)];
    let one = |(unit, exception): &(u8, Option<u8>)| match exception {
        None => unit.to_string(),
        Some(code) => format!("{unit} (exception {code:02X})"),
    };
    lines.push(if found.asked.len() > 1 && found.units.len() == found.asked.len() {
        format!("  units   every one of {asked} answers: a device of its own, its tables were searched once")
    } else {
        let units: Vec<String> = found.units.iter().map(one).collect();
        let others =
            if found.asked.len() > 1 { format!("  (of {asked}, the others are silent)") } else { String::new() };
        format!("  units   {}{others}", units.join(", "))
    });
    for (unit, tables) in &found.tables {
        lines.push(format!("  unit {unit}"));
        for table in tables {
            let (from_0, from_1) = ranges(table.area, &table.found);
            let mut words = if table.found.is_empty() {
                vec!["nothing found".to_owned()]
            } else {
                vec![from_0, format!("= {from_1}")]
            };
            words.extend(table.most.map(|most| format!("at most {most} in one request: max_registers = {most}")));
            words.extend(ended(table.ended));
            lines.push(format!("    {:<8}  {}", table.area.word(), words.join("  ")));
        }
    }
    let (requests, seconds) = (found.requests, found.took.as_secs_f64());
    lines.push(format!("  {requests} requests in {seconds:.1} s, reads only, never more than 20 a second\n"));
    lines.join("\n")
}

fn ended(ended: Option<Ended>) -> Option<String> {
    Some(match ended? {
        Ended::NoFunction => "(it does not know this table)".into(),
        Ended::Silent(at) => format!("(it no longer answered at {at}, what lies above was not searched)"),
        Ended::Enough(at) => format!("(too many requests, ended at {at}; go on with --range)"),
    })
}

fn object(found: &Found<'_>) -> serde_json::Value {
    let units = found.units.iter().map(|(unit, exception)| json!({ "unit": unit, "exception": exception }));
    let ranges = |table: &Table| -> Vec<_> {
        table.found.iter().map(|range| json!({ "from": range.start(), "to": range.end() })).collect()
    };
    let area = |table: &Table| {
        json!({
            "area": table.area.word(),
            "ranges": ranges(table),
            "refused": table.refused.iter().map(|(code, times)| (format!("{code:02X}"), json!(times))).collect::<serde_json::Map<_, _>>(),
            "max_registers": table.most,
            "ended": ended(table.ended),
        })
    };
    let tables = found
        .tables
        .iter()
        .map(|(unit, tables)| json!({ "unit": unit, "areas": tables.iter().map(area).collect::<Vec<_>>() }));
    json!({
        "plc": found.plc.id,
        "address": found.plc.channel.to_string(),
        "units": units.collect::<Vec<_>>(),
        "tables": tables.collect::<Vec<_>>(),
        "requests": found.requests,
        "took_ms": u64::try_from(found.took.as_millis()).unwrap_or(u64::MAX),
    })
}
