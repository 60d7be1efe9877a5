//! `andon reconcile`: what consumers report that they have booked in, each difference to the journal out.
//!
//! A receipt's totals are as of its sequence, and the journal is added up as of the same: what is only on its way is no
//! difference.

use super::{
    Exit, Failure,
    figures::words::{Colour, Ink, span},
    past::unusable,
    status::{self, Format, Found},
};
use crate::{
    config::Plan,
    custody::{
        digest::{self, Total, differences, totals},
        receipt::Rule,
    },
    event::{Event, GATEWAY_LINE, Told, stop},
    gateway::Settings,
    io::{
        journal::{self, Reader},
        mqtt::errand,
    },
};
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufWriter, Write},
};
use uuid::Uuid;

/// The kind that totals are made of.
const DOWNTIME: &str = "downtime";

#[derive(Debug, Args)]
pub(super) struct What {
    /// Only this consumer.
    #[arg(long, value_name = "ID")]
    consumer: Option<String>,
    /// Have the running gateway send again what a consumer has not confirmed or has booked otherwise: a `replay` command in
    /// its name, by a connection of its own with the settings of `[mqtt]` as client `{gateway id}-reconcile`.
    #[arg(long)]
    resend: bool,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What was found of one consumer.
#[derive(Serialize)]
struct Outcome {
    consumer: String,
    /// `equal`, `differs`, `unknown`: it has reported no totals, or `no_downtimes`: it takes none.
    status: &'static str,
    /// What it holds; `null` without a receipt.
    sequence: Option<u64>,
    /// Events that it has not confirmed.
    lag_events: u64,
    /// As of this event it has reported totals.
    as_of_sequence: Option<u64>,
    /// Lines that were compared.
    compared: usize,
    differs: Vec<Difference>,
    /// Topics of which events are sent again.
    resent: Option<usize>,
}

#[derive(Serialize)]
struct Difference {
    machine: String,
    shift: String,
    journal: Side,
    consumer: Side,
    /// What the journal adds up.
    downtimes: Vec<Share>,
    /// The first event that has told of one of them, in its topic.
    #[serde(skip)]
    first: Option<(String, u64)>,
}

#[derive(Serialize)]
struct Side {
    times: u64,
    duration_ms: i64,
}

#[derive(Serialize)]
struct Share {
    downtime_id: Uuid,
    number: String,
    duration_ms: i64,
}

/// The latest word on each downtime, and where the first one stands.
struct Latest {
    downtime: Box<stop::Downtime>,
    first: (String, u64),
}

pub(super) fn run(plan: Plan, what: &What) -> Result<Exit, Failure> {
    let settings = super::daemon::settings(plan, None, 1);
    let known = || settings.consumers.iter().map(|rule| rule.id.as_str());
    if known().next().is_none() {
        let words = "there is no [[consumer]] in the configuration: nobody reports totals";
        return Err(Failure::say(Exit::Unavailable, words));
    }
    if let Some(id) = what.consumer.as_deref().filter(|id| !known().any(|known| known == *id)) {
        let known = known().collect::<Vec<_>>().join(", ");
        return Err(Failure::say(Exit::Usage, format!("there is no consumer {id}\nhint: there are {known}")));
    }
    let reader = Reader::open(&settings.journal.data_dir).map_err(|error| unusable(&error))?;
    let found = reader.at_once(|reader| status::find(reader, &settings)).map_err(|error| unusable(&error))?;
    let rules = settings.consumers.iter().filter(|rule| what.consumer.as_ref().is_none_or(|id| *id == rule.id));
    let outcomes: Result<Vec<Outcome>, _> = rules.clone().map(|rule| outcome(&reader, rule, &found)).collect();
    let mut outcomes = outcomes.map_err(|error| unusable(&error))?;
    if what.resend {
        for (rule, outcome) in rules.zip(&mut outcomes) {
            resend(&reader, &settings, rule, &found, outcome)?;
        }
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let done = match what.format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &outcomes).map_err(|error| Failure::new(Exit::Bug, &error))?;
            writeln!(out)
        }
        Format::Table => outcomes.iter().try_for_each(|outcome| outcome.write(Ink::of(&io::stdout()), &mut out)),
    };
    Failure::unless_printed(done.and_then(|()| out.flush()))?;
    Ok(if outcomes.iter().any(|outcome| !outcome.differs.is_empty()) {
        Exit::Data
    } else if outcomes.iter().any(|outcome| outcome.status == "unknown") {
        Exit::Unavailable
    } else {
        Exit::Ok
    })
}

fn outcome(reader: &Reader, rule: &Rule, found: &Found) -> Result<Outcome, journal::Error> {
    let held = found.held(&rule.id);
    let reported = held.and_then(|held| held.totals.as_ref());
    let mut outcome = Outcome {
        consumer: rule.id.clone(),
        status: if rule.takes(DOWNTIME, None) { "unknown" } else { "no_downtimes" },
        sequence: held.map(|held| held.sequence),
        lag_events: found.lag(&rule.id),
        as_of_sequence: reported.map(|(as_of, _)| *as_of),
        compared: 0,
        differs: Vec::new(),
        resent: None,
    };
    let Some((as_of, theirs)) = reported else { return Ok(outcome) };
    let shifts: BTreeSet<&str> = theirs.iter().map(|total| total.shift.as_str()).collect();
    let latest = told_until(reader, *as_of, rule, &shifts)?;
    let of = |machine: &str| {
        let machine = machine.to_owned();
        latest.values().filter(move |told| told.downtime.machine == machine)
    };
    let machines: BTreeSet<&str> = latest.values().map(|told| told.downtime.machine.as_str()).collect();
    let ours = machines.into_iter().flat_map(|machine| {
        let stops: Vec<&stop::Stop> = of(machine).map(|told| &told.downtime.stop).collect();
        totals(machine, shifts.iter().map(|shift| (*shift).to_owned()), stops.into_iter())
    });
    let ours: Vec<Total> = ours.collect();
    outcome.compared = theirs.len();
    for (ours, theirs) in differences(&ours, theirs) {
        let is_in = |told: &&Latest| told.downtime.stop.shares.iter().any(|share| share.shift == ours.shift);
        let in_shift = || of(&ours.machine).filter(is_in);
        let share = |told: &Latest| {
            let stop = &told.downtime.stop;
            let shares = stop.shares.iter().filter(|share| share.shift == ours.shift);
            Share {
                downtime_id: stop.downtime_id(),
                number: format!("{}/{}", ours.machine, stop.downtime.map_or(0, |downtime| downtime.number)),
                duration_ms: shares.map(|share| share.duration_ms).sum(),
            }
        };
        outcome.differs.push(Difference {
            journal: Side { times: ours.times, duration_ms: ours.duration_ms },
            consumer: Side { times: theirs.times, duration_ms: theirs.duration_ms },
            downtimes: in_shift().filter(|told| digest::counts(&told.downtime.stop)).map(share).collect(),
            first: in_shift().map(|told| told.first.clone()).min_by_key(|(_, sequence)| *sequence),
            machine: theirs.machine,
            shift: theirs.shift,
        });
    }
    outcome.status = if outcome.differs.is_empty() { "equal" } else { "differs" };
    Ok(outcome)
}

/// The latest word on each downtime of these shifts by then.
fn told_until(
    reader: &Reader,
    sequence: u64,
    rule: &Rule,
    shifts: &BTreeSet<&str>,
) -> Result<BTreeMap<Uuid, Latest>, journal::Error> {
    let mut latest: BTreeMap<Uuid, Latest> = BTreeMap::new();
    reader.each_of_kind(DOWNTIME, sequence, |row| {
        // What another version wrote was said by the daemon at its start.
        let Ok(Told { event: Event::Stop(stop::Event::Downtime(downtime)), .. }) = serde_json::from_str(&row.internal)
        else {
            return;
        };
        if !rule.takes(DOWNTIME, Some(&downtime.machine)) {
            return;
        }
        let is_in = downtime.stop.shares.iter().any(|share| shifts.contains(share.shift.as_str()));
        match latest.get_mut(&downtime.stop.downtime_id()) {
            Some(told) => told.downtime = downtime,
            None if is_in => {
                let first = (row.key, row.topic_sequence);
                latest.insert(downtime.stop.downtime_id(), Latest { downtime, first });
            }
            None => {}
        }
    })?;
    Ok(latest)
}

/// Asks the daemon, through the same door and in the name of the consumer, for what that lacks or has booked otherwise.
fn resend(
    reader: &Reader,
    settings: &Settings,
    rule: &Rule,
    found: &Found,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let after = lacking(reader, rule, found, outcome).map_err(|error| unusable(&error))?;
    if after.is_empty() {
        return Ok(());
    }
    let topics = after.len();
    let command_id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid().to_string();
    let command = serde_json::json!({
        "command_id": command_id, "by": rule.id, "consumer": rule.id, "epoch": found.epoch, "after": after,
    });
    let mut mqtt = settings.mqtt.clone();
    mqtt.client_id += "-reconcile";
    let topic = settings.names.command_topic(None, "replay");
    let answers = settings.names.addressed(&topic).map_or_else(String::new, |addressed| addressed.reply_topic);
    let body = command.to_string();
    let data = |body: &[u8]| Some(serde_json::from_slice::<Value>(body).ok()?["data"].take());
    let is_answer = |body: &[u8]| data(body).is_some_and(|data| data["command_id"] == *command_id);
    let answer = super::daemon::runtime()?.block_on(errand(&mqtt, (&topic, body.as_bytes()), &answers, is_answer));
    let answer = answer.map_err(|why| Failure::say(Exit::Unavailable, format!("{}: {why}", rule.id)))?;
    let answer = data(&answer).unwrap_or_default();
    if answer["result"] != "accepted" {
        let (code, text) = (answer["code"].as_str().unwrap_or("?"), answer["text"].as_str().unwrap_or("?"));
        return Err(Failure::say(Exit::Unavailable, format!("{}: the daemon refused: {code}: {text}", rule.id)));
    }
    outcome.resent = Some(topics);
    Ok(())
}

/// By topic key, up to where nothing need be sent again.
fn lacking(
    reader: &Reader,
    rule: &Rule,
    found: &Found,
    outcome: &Outcome,
) -> Result<BTreeMap<String, u64>, journal::Error> {
    let mut after: BTreeMap<String, u64> = BTreeMap::new();
    if outcome.lag_events > 0 {
        let (held, told) = (reader.tails(outcome.sequence.unwrap_or(0))?, reader.tails(found.last_sequence)?);
        for (key, tail) in told {
            let held = held.get(&key).copied().unwrap_or(0);
            let [line, machine, kind] = key.split('/').collect::<Vec<_>>()[..] else { continue };
            if held < tail && rule.takes(kind, (line != GATEWAY_LINE).then_some(machine)) {
                after.insert(key, held);
            }
        }
    }
    for (key, first) in outcome.differs.iter().filter_map(|differs| differs.first.as_ref()) {
        let before = after.entry(key.clone()).or_insert(u64::MAX);
        *before = (*before).min(first - 1);
    }
    Ok(after)
}

impl Outcome {
    fn write(&self, ink: Ink, out: &mut impl Write) -> io::Result<()> {
        let name = ink.paint(Colour::Bold, &self.consumer);
        let behind = match (self.sequence, self.lag_events) {
            (None, _) => return writeln!(out, "{name}: has sent no receipt in this epoch: nothing to compare"),
            (_, 0) => String::new(),
            (_, 1) => "; 1 later event is not confirmed".to_owned(),
            (_, more) => format!("; {more} later events are not confirmed"),
        };
        let (lines, as_of) = (self.compared, self.as_of_sequence.unwrap_or(0));
        match self.status {
            "equal" => {
                let equal = ink.paint(Colour::Green, "equal");
                writeln!(out, "{name}: {equal}, {lines} totals as of event {as_of}{behind}")?;
            }
            "differs" => {
                let words = ink.paint(Colour::Red, format!("{} totals differ", self.differs.len()));
                writeln!(out, "{name}: {words}, {lines} reported as of event {as_of}{behind}")?;
            }
            "no_downtimes" => writeln!(out, "{name}: takes no downtimes{behind}")?,
            _ => writeln!(out, "{name}: reports no totals: nothing to compare{behind}")?,
        }
        let side = |Side { times, duration_ms }: &Side| {
            format!("{times} downtimes, {} ({duration_ms} ms)", span(*duration_ms))
        };
        for differs in &self.differs {
            writeln!(out, "  {} {}", differs.machine, differs.shift)?;
            writeln!(out, "    journal   {}", side(&differs.journal))?;
            writeln!(out, "    {:<9} {}", self.consumer, side(&differs.consumer))?;
            for Share { downtime_id, number, duration_ms } in &differs.downtimes {
                writeln!(out, "    {number} {downtime_id} {} ({duration_ms} ms)", span(*duration_ms))?;
            }
        }
        if let Some(topics) = self.resent {
            writeln!(out, "  the gateway sends the events of {topics} topics again")?;
        }
        Ok(())
    }
}
