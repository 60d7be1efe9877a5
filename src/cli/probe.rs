//! `andon probe`: the PLCs of a plan in, what every point holds at this moment out; or what a device has at all.

mod hint;
mod picture;
mod scan;

use super::{Exit, Failure, daemon::runtime, eprint_words, log};
use crate::{
    config::Plan,
    io::plc::{
        Settings,
        probe::{Look, Probe},
    },
    signal::point::Area,
};
use clap::{Args, ValueEnum};
use picture::Style;
use std::{
    io::{self, IsTerminal, Write},
    ops::RangeInclusive,
    time::Duration,
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// How often a watch writes where nobody looks at a terminal.
const BLOCK_EVERY: Duration = Duration::from_secs(1);
/// Looks that wait to be shown: each PLC has one in the making at most, so this is more than enough.
const LOOKS: usize = 64;

#[derive(Debug, Args)]
pub(super) struct What {
    /// Only this PLC.
    #[arg(long, value_name = "ID")]
    plc: Option<String>,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Look again at every poll, until Ctrl-C.
    #[arg(long, conflicts_with = "scan")]
    watch: bool,
    /// Show every 32 and 64-bit point in all orders of its words and bytes.
    #[arg(long, conflicts_with = "scan")]
    decode: bool,
    /// Find out what the device has: units, and the addresses that answer. Reads only, at most 20 requests a second.
    #[arg(long)]
    scan: bool,
    /// Scan this unit only, or these: `17`, `1-10`.
    #[arg(long, value_name = "N|A-B", value_parser = units, requires = "scan")]
    unit: Option<RangeInclusive<u8>>,
    /// Scan this table only; may be given several times.
    #[arg(long, value_enum, requires = "scan")]
    area: Vec<AreaName>,
    /// Scan every one of these addresses, from 0; without it all below 1000 and the round ones above.
    #[arg(long, value_name = "A-B", value_parser = addresses, requires = "scan")]
    range: Option<RangeInclusive<u16>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    #[default]
    Table,
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AreaName {
    Coil,
    Discrete,
    Holding,
    Input,
}

impl From<AreaName> for Area {
    fn from(name: AreaName) -> Area {
        match name {
            AreaName::Coil => Area::Coil,
            AreaName::Discrete => Area::Discrete,
            AreaName::Holding => Area::Holding,
            AreaName::Input => Area::Input,
        }
    }
}

/// One look at one PLC.
#[derive(Clone)]
struct Sight {
    plc: Settings,
    looks: Vec<Look>,
    hints: Vec<String>,
}

impl Sight {
    /// The PLC answered, be it with a refusal.
    fn is_answer(&self) -> bool {
        self.looks.is_empty() || self.looks.iter().any(Look::is_answer)
    }

    /// Why some or all points got no answer at all.
    fn silence(&self) -> Option<String> {
        let silent = self.looks.iter().find(|look| !look.is_answer())?;
        let who = if self.is_answer() { "part of it does not answer" } else { "does not answer" };
        Some(format!("{who}: {}", silent.why().unwrap_or_default()))
    }
}

pub(super) fn run(plan: &Plan, what: &What) -> Result<Exit, Failure> {
    let _log = log(tracing::Level::WARN);
    let plcs: Vec<Settings> =
        plan.plcs.iter().filter(|plc| what.plc.as_ref().is_none_or(|id| plc.id == *id)).cloned().collect();
    if let (Some(id), []) = (&what.plc, plcs.as_slice()) {
        let known: Vec<_> = plan.plcs.iter().map(|plc| plc.id.as_str()).collect();
        return Err(Failure::say(Exit::Usage, format!("there is no PLC {id}\nhint: there are {}", known.join(", "))));
    }
    runtime()?.block_on(async {
        if what.scan {
            scan::scan(plcs, what).await
        } else if what.watch {
            tokio::select! {
                done = watch(plcs, what) => done,
                _ = tokio::signal::ctrl_c() => {
                    if in_place(what) {
                        put(picture::WRAP)?;
                    }
                    Ok(Exit::Ok)
                }
            }
        } else {
            once(plcs, what).await
        }
    })
}

async fn once(plcs: Vec<Settings>, what: &What) -> Result<Exit, Failure> {
    let mut asking = JoinSet::new();
    for group in on_one_way(plcs) {
        asking.spawn(async move {
            let mut sights = Vec::new();
            for (place, plc) in group {
                sights.push((place, look(&mut Probe::new(plc.clone()), plc, true).await));
            }
            sights
        });
    }
    let mut sights: Vec<(usize, Sight)> = asking.join_all().await.into_iter().flatten().collect();
    sights.sort_by_key(|(place, _)| *place);
    let sights: Vec<Sight> = sights.into_iter().map(|(_, sight)| sight).collect();
    match what.format {
        Format::Table => put(&picture::table(&sights, style(what)))?,
        Format::Json => put(&format!("{:#}\n", picture::json(&sights, what.decode)))?,
    }
    let silent: Vec<&Sight> = sights.iter().filter(|sight| !sight.is_answer()).collect();
    for sight in &silent {
        eprint_words(&format!("{} at {} {}\n", sight.plc.id, sight.plc.channel, sight.silence().unwrap_or_default()));
    }
    Ok(if silent.is_empty() { Exit::Ok } else { Exit::Unavailable })
}

/// Shows every PLC again whenever one was seen; for ever, unless nobody reads.
async fn watch(plcs: Vec<Settings>, what: &What) -> Result<Exit, Failure> {
    let (out, mut seen) = mpsc::channel(LOOKS);
    let mut sights: Vec<Option<Sight>> = vec![None; plcs.len()];
    let mut watching = JoinSet::new();
    for group in on_one_way(plcs) {
        watching.spawn(keep_looking(group, out.clone()));
    }
    let in_place = in_place(what);
    let mut due = Instant::now();
    let mut lines = 0;
    while let Some((place, sight)) = seen.recv().await {
        sights[place] = Some(sight);
        let Some(all) = sights.iter().cloned().collect::<Option<Vec<Sight>>>() else { continue };
        if !in_place && Instant::now() < due {
            continue;
        }
        due = Instant::now() + BLOCK_EVERY;
        match what.format {
            Format::Json => put(&format!("{}\n", picture::json(&all, what.decode)))?,
            Format::Table => {
                let table = picture::table(&all, style(what));
                if in_place {
                    put(&picture::over(&table, lines))?;
                    lines = table.lines().count();
                } else {
                    put(&format!("{table}\n"))?;
                }
            }
        }
    }
    Ok(Exit::Ok)
}

async fn keep_looking(group: Vec<(usize, Settings)>, out: mpsc::Sender<(usize, Sight)>) {
    let poll = group.iter().map(|(_, plc)| plc.poll).min().unwrap_or(BLOCK_EVERY);
    let alone = group.len() == 1;
    let mut probes: Vec<Probe> = group.iter().map(|(_, plc)| Probe::new(plc.clone())).collect();
    loop {
        let next = Instant::now() + poll;
        for ((place, plc), probe) in group.iter().zip(&mut probes) {
            if !alone {
                // A device that several share is given one connection at a time.
                *probe = Probe::new(plc.clone());
            }
            let sight = look(probe, plc.clone(), false).await;
            if !alone {
                *probe = Probe::new(plc.clone());
            }
            if out.send((*place, sight)).await.is_err() {
                return;
            }
        }
        sleep_until(next).await;
    }
}

async fn look(probe: &mut Probe, plc: Settings, may_ask_further: bool) -> Sight {
    let looks = probe.look().await;
    let mut hints = hint::orders(&plc, &looks);
    hints.extend(hint::unit(&plc, &looks));
    if may_ask_further && let Some(hint) = hint::elsewhere(probe, &plc, &looks).await {
        hints.insert(0, hint);
    }
    Sight { plc, looks, hints }
}

/// PLCs behind one address are asked one after the other, the others at the same time.
fn on_one_way(plcs: Vec<Settings>) -> Vec<Vec<(usize, Settings)>> {
    let mut groups: Vec<Vec<(usize, Settings)>> = Vec::new();
    for (place, plc) in plcs.into_iter().enumerate() {
        match groups.iter_mut().find(|group| group[0].1.channel == plc.channel) {
            Some(group) => group.push((place, plc)),
            None => groups.push(vec![(place, plc)]),
        }
    }
    groups
}

fn in_place(what: &What) -> bool {
    io::stdout().is_terminal() && what.format == Format::Table
}

fn style(what: &What) -> Style {
    let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    Style { colour, decode: what.decode }
}

/// Data, at once.
fn put(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let done = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    done.map_err(|error| Failure::new(Exit::Unavailable, &error))
}

/// `A-B` or `N`.
fn span<T: std::str::FromStr + PartialOrd + Copy>(text: &str) -> Option<RangeInclusive<T>> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
    (from <= to).then_some(from..=to)
}

fn units(text: &str) -> Result<RangeInclusive<u8>, String> {
    span(text).ok_or_else(|| "a unit is 0 to 255, several are written 1-10".to_owned())
}

fn addresses(text: &str) -> Result<RangeInclusive<u16>, String> {
    span(text).ok_or_else(|| "addresses are 0 to 65535, written 0-199".to_owned())
}
