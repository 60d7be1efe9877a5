//! Commands of other systems in, one after the other; each is answered when what it changed is written.
//!
//! Whoever may not ask, asks too late or cannot be understood is answered at the door. The rest is looked up first, aside
//! of the loop: whether it was answered before, and the days that it is about where those are no longer in memory.

use super::{
    Gateway, Passenger,
    history::{Fetched, fetch},
};
use crate::{
    event::{
        Stamp,
        command::{Command, Refusal, Reply, Verdict, Wish},
    },
    io::{
        journal::{self, Answered, Envelope, Reader},
        mqtt::{self, Arrival},
    },
    shop::{Input, asset::Lists, rules::MachineRules},
    wire::{
        envelope,
        inbound::{self, COMMAND_BYTES},
        payload::reply::Outcome,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::{Path, PathBuf},
};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{error, info, warn};

/// A sender's clock may be ahead of ours by so much. Milliseconds.
const AHEAD_MS: i64 = 300_000;

/// What every consumer may ask for.
const REPLAY: &str = "replay";

/// Days that one command may be about.
const DAYS: usize = 64;

/// Of a command that could not be read so much is kept, and of its topic. Bytes, characters.
const SPECIMEN: usize = 1024;

/// Longest verb that is told back, well above those there are. Characters.
const VERB: usize = 64;

/// Who may ask for what.
#[derive(Clone, Debug, Default)]
pub struct Permits {
    /// Verbs by `[[consumer]] id`.
    pub may: BTreeMap<String, BTreeSet<String>>,
    /// `[commands] from`: every verb about a machine.
    pub from: BTreeSet<String>,
    /// `[corrections] until`. Milliseconds.
    pub until_ms: i64,
}

impl Permits {
    fn check(&self, by: &str, machine: Option<&str>, verb: &str) -> Result<(), Refusal> {
        let may = self.may.get(by);
        // For itself; that is looked at when it is carried out.
        if machine.is_none() && verb == REPLAY && may.is_some() {
            return Ok(());
        }
        if may.is_some_and(|verbs| verbs.contains(verb)) || (machine.is_some() && self.from.contains(by)) {
            return Ok(());
        }
        let text = match may {
            Some(_) => format!("[[consumer]] {by} may not send `{verb}`: name it in `may`"),
            None => format!("{by} is no [[consumer]] with `may`, and does not stand in [commands] from"),
        };
        Err(Refusal::new("not_authorised", text))
    }

    fn check_times(&self, command: &Command, expires_at: Option<Stamp>, now: Stamp) -> Result<(), Refusal> {
        let Command { at, .. } = command;
        if let Some(expired) = expires_at.filter(|expires| *expires < now) {
            return Err(Refusal::new("expired", format!("it was to be carried out until {expired}, it is {now}")));
        }
        if at.since(now) > AHEAD_MS {
            let text = format!("it is to take effect at {at}, more than 5 min from now ({now})");
            return Err(Refusal::new("future", text));
        }
        if now.since(*at) > self.until_ms {
            let first = now.plus(-self.until_ms);
            let text = format!("it is about {at}; [corrections] until reaches back to {first}");
            return Err(Refusal::new("period_closed", text));
        }
        Ok(())
    }
}

/// What waits outside, and what is under way.
pub(super) struct Door {
    permits: Permits,
    data_dir: PathBuf,
    waiting: VecDeque<Arrival>,
    looking: Option<Looking>,
    /// What was decided is on its way to the disk: whether the next command is the same one again is not to be found there yet.
    is_writing: bool,
    /// The gateway stops: what is not taken comes again after the next start.
    is_shut: bool,
}

/// A command that is looked up.
struct Looking {
    guest: Guest,
    command: Command,
    expires_at: Option<Stamp>,
    found: JoinHandle<Result<Found, journal::Error>>,
}

/// Who is to be answered, and where.
struct Guest {
    arrival: Arrival,
    reply_topic: String,
    machine: Option<String>,
    verb: String,
    command_id: Option<String>,
    by: Option<String>,
}

/// What was found of a command.
pub(super) struct Found {
    answer: Option<(i64, String)>,
    /// By machine.
    fetched: BTreeMap<String, Fetched>,
}

impl Door {
    pub(super) fn new(permits: Permits, data_dir: PathBuf) -> Door {
        Door { permits, data_dir, waiting: VecDeque::new(), looking: None, is_writing: false, is_shut: false }
    }

    /// Nobody comes in any more.
    pub(super) fn shut(&mut self) {
        self.waiting.clear();
        self.looking = None;
        self.is_shut = true;
    }

    /// A command arrived.
    pub(super) fn knock(&mut self, arrival: Arrival) {
        if !self.is_shut {
            self.waiting.push_back(arrival);
        }
    }

    /// Whether the next command may come in.
    pub(super) fn may_admit(&self) -> bool {
        self.looking.is_none() && !self.is_writing && !self.waiting.is_empty()
    }

    /// An answer is written.
    pub(super) fn answered(&mut self, is_awaited: bool) {
        self.is_writing &= !is_awaited;
    }

    /// What was found, once it is; for ever where nothing is looked for.
    pub(super) async fn looked(&mut self) -> Result<Found, String> {
        let Some(looking) = &mut self.looking else { return std::future::pending().await };
        match (&mut looking.found).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Gateway {
    /// The next command.
    pub(super) fn admit(&mut self) {
        if let Some(arrival) = self.door.waiting.pop_front() {
            self.receive(arrival);
        }
    }

    fn receive(&mut self, arrival: Arrival) {
        let Some(addressed) = self.names.addressed(&arrival.topic) else {
            warn!(topic = arrival.topic, "something arrived on a topic that nobody listens to");
            self.say(mqtt::Word::Taken(arrival.ticket));
            return;
        };
        let machine = addressed.machine.map(str::to_owned);
        let verb = addressed.verb.chars().take(VERB).collect::<String>();
        let reply_topic = addressed.reply_topic;
        let now = self.names.wall.of(self.clock.now());
        let asked = inbound::read(&verb, &arrival.body, now);
        let is_retained = arrival.is_retained;
        let guest = Guest { arrival, reply_topic, machine, verb, command_id: asked.command_id, by: asked.by };
        if is_retained {
            let text = "it lay retained at the broker, from who knows when: send it without `retain`".to_owned();
            return self.refuse(guest, Refusal::new("retained", text));
        }
        let permits = &self.door.permits;
        // Whoever may not ask need not know what was wrong.
        let permit = guest.by.as_deref().map_or(Ok(()), |by| permits.check(by, guest.machine.as_deref(), &guest.verb));
        match permit.and(asked.command) {
            Ok(command) => self.look_up(guest, command, asked.expires_at),
            Err(refusal) => self.refuse(guest, refusal),
        }
    }

    /// Whether it was answered before; and the days that it is about, where they are no longer in memory.
    fn look_up(&mut self, guest: Guest, command: Command, expires_at: Option<Stamp>) {
        let now = self.clock.now();
        let machine = guest.machine.as_deref();
        let own = machine.and_then(|id| Some((id.to_owned(), self.shop.concerns(id, &command, now)?)));
        let others = machine.into_iter().flat_map(|id| self.shop.concerns_elsewhere(id, &command));
        let missing = own.into_iter().chain(others).filter_map(|(id, (from, to))| {
            let rules = self.shop.rules().machines.iter().find(|rules| rules.id == id)?;
            let since = self.archive.since(&id).max(self.shop.known().machines.get(&id)?.book.since);
            (from < since).then(|| (rules.clone(), (from, to.min(since))))
        });
        let missing: Vec<_> = missing.collect();
        let (data_dir, by) = (self.door.data_dir.clone(), command.by.clone());
        let command_id = command.command_id.clone();
        let found = spawn_blocking(move || find(&data_dir, (&by, &command_id), missing));
        self.door.looking = Some(Looking { guest, command, expires_at, found });
    }

    /// What was looked for is found.
    pub(super) fn decide(&mut self, found: Result<Found, String>) {
        let Some(Looking { guest, command, expires_at, .. }) = self.door.looking.take() else { return };
        if self.held.is_some() {
            // Nothing is decided until the journal takes again: it is looked up once more then.
            self.door.waiting.push_front(guest.arrival);
            return;
        }
        let found = match found {
            Ok(found) => found,
            Err(why) => {
                warn!(command_id = command.command_id, why, "a command could not be looked up");
                let text = format!("the journal could not be read, send it again: {why}");
                return self.refuse(guest, Refusal::new("try_again", text));
            }
        };
        if let Some((n, reply)) = found.answer {
            return self.repeat(guest, n, &reply);
        }
        let now = self.clock.now();
        if let Err(refusal) = self.door.permits.check_times(&command, expires_at, self.names.wall.of(now)) {
            return self.refuse(guest, refusal);
        }
        if found.fetched.values().map(|fetched| fetched.days.len()).sum::<usize>() > DAYS {
            let text = format!("it is about more than {DAYS} days");
            return self.refuse(guest, Refusal::new("too_many_days", text));
        }
        if !found.fetched.is_empty() && !self.archive.is_complete() {
            let text = "the history of days that are over is still being made, send it again later".to_owned();
            return self.refuse(guest, Refusal::new("try_again", text));
        }
        self.carry_out(guest, &command, found.fetched, now);
    }

    fn carry_out(&mut self, guest: Guest, command: &Command, mut fetched: BTreeMap<String, Fetched>, now: Stamp) {
        let mut envelope = Envelope::default();
        self.watch_clock(now, &mut envelope);
        let machine = guest.machine.as_deref();
        if let (None, Wish::Replay { consumer, epoch, after }) = (machine, &command.wish) {
            return match self.request(command, consumer, *epoch, after) {
                Ok(request) => {
                    info!(consumer, command_id = command.command_id, topics = after.len(), "replay accepted");
                    envelope.passengers.push(Passenger::Replay(request));
                    let (command_id, verb) = (guest.command_id.clone(), guest.verb.clone());
                    let reply = Reply { command_id, verb, verdict: Verdict::Accepted(None) };
                    self.answer(guest, &reply, None, true, envelope);
                }
                Err(refusal) => {
                    if !envelope.rows.is_empty() {
                        self.send(envelope);
                    }
                    self.refuse(guest, refusal);
                }
            };
        }
        let days = fetched.iter_mut().map(|(id, fetched)| (id.clone(), std::mem::take(&mut fetched.days)));
        let days: Vec<_> = days.collect();
        let mut past = machine.and_then(|id| fetched.remove(id)).unwrap_or_default().past;
        past.others = fetched.into_iter().map(|(id, fetched)| (id, fetched.past)).collect();
        let is_missed = machine.is_some_and(|machine| self.shop.misses(machine, command, now).is_some());
        let past = (is_missed || !past.others.is_empty()).then_some(&past);
        let turn = self.shop.turn(Input::Command { machine, command, past }, now);
        days.into_iter().for_each(|(id, days)| self.archive.fetch(&id, days));
        self.pictures.changed(&self.shop, &self.names, &turn.told, now, &mut envelope);
        let told = turn.told.len();
        self.enclose(turn.told, &mut envelope);
        self.archive.let_go();
        if turn.is_mark_due {
            envelope.marks = serde_json::to_string(&self.marks()).ok();
        }
        let Some(reply) = turn.reply else { return };
        info!(
            by = command.by,
            command_id = command.command_id,
            verb = reply.verb,
            machine,
            result = Outcome::of(&reply.verdict, false).word(),
            events = told,
            "command decided"
        );
        self.answer(guest, &reply, None, true, envelope);
    }

    /// Nothing was changed, and nothing is remembered but for whoever reads up on it: the same command may come again.
    fn refuse(&mut self, guest: Guest, refusal: Refusal) {
        info!(
            by = guest.by,
            command_id = guest.command_id,
            verb = guest.verb,
            machine = guest.machine,
            code = refusal.code,
            "command refused"
        );
        let (command_id, verb) = (guest.command_id.clone(), guest.verb.clone());
        let reply = Reply { command_id, verb, verdict: Verdict::Refused(refusal) };
        self.answer(guest, &reply, None, false, Envelope::default());
    }

    fn repeat(&mut self, guest: Guest, n: i64, reply: &str) {
        match serde_json::from_str::<Reply>(reply) {
            Ok(reply) => self.answer(guest, &reply, Some(n), true, Envelope::default()),
            Err(error) => {
                error!(n, %error, "the answer to a command was kept in a form that cannot be read");
                let text = "it was answered before, but its answer cannot be read any more".to_owned();
                self.refuse(guest, Refusal::new("answered_before", text));
            }
        }
    }

    /// Answers when everything in the envelope is written.
    fn answer(
        &mut self,
        guest: Guest,
        reply: &Reply,
        repeats: Option<i64>,
        is_decided: bool,
        mut envelope: Envelope<Passenger>,
    ) {
        let Guest { arrival, reply_topic, machine, by, command_id, verb } = guest;
        let now = self.clock.now();
        let body = envelope::answer(&self.names, machine.as_deref(), by.as_deref(), (reply, repeats.is_some()), now);
        match body {
            Ok(body) => envelope.passengers.push(Passenger::Reply { topic: reply_topic, body }),
            // The words of this house always have a JSON form.
            Err(error) => error!(command_id, %error, "an answer could not be written"),
        }
        let (is_repeated, result) = (repeats.is_some(), Outcome::of(&reply.verdict, repeats.is_some()));
        self.status.commands.count(result);
        self.status_is_old = true;
        let is_awaited = is_decided && !is_repeated;
        envelope.passengers.push(Passenger::Answered { ticket: arrival.ticket, is_awaited });
        envelope.command = Some(match repeats {
            Some(n) => journal::Command::Repeated(n),
            None => {
                let mut body = arrival.body;
                if !self.names.shows_persons {
                    body = inbound::without_persons(&verb, body);
                }
                body.truncate(if is_decided { COMMAND_BYTES } else { SPECIMEN });
                journal::Command::Answered(Box::new(Answered {
                    received: self.names.wall.of(now),
                    topic: arrival.topic.chars().take(SPECIMEN).collect(),
                    sender: by,
                    command_id,
                    body,
                    is_decided,
                    result: Outcome::of(&reply.verdict, false).word(),
                    reply: serde_json::to_string(reply).unwrap_or_default(),
                }))
            }
        });
        self.door.is_writing |= is_awaited;
        self.send(envelope);
    }
}

/// Parts of a list of assets that were accepted, and are still to be followed by others: as they came.
pub(super) fn recall(data_dir: &Path, lists: &mut Lists) -> Result<(), journal::Error> {
    if *lists == Lists::default() {
        return Ok(());
    }
    let reader = Reader::open(data_dir)?;
    lists.recall(|by, command_id| {
        let body = reader.command(by, command_id).ok()??;
        match inbound::read("asset", &body, Stamp::MIN).command.ok()?.wish {
            Wish::Asset(wish) => Some(wish),
            _ => None,
        }
    });
    Ok(())
}

/// Reads only; away from the loop.
fn find(
    data_dir: &Path,
    (by, command_id): (&str, &str),
    missing: Vec<(MachineRules, (Stamp, Stamp))>,
) -> Result<Found, journal::Error> {
    let reader = Reader::open(data_dir)?;
    let answer = reader.answer(by, command_id)?;
    let mut fetched = BTreeMap::new();
    for (rules, range) in missing.into_iter().filter(|_| answer.is_none()) {
        let found = fetch(&reader, &rules, range)?;
        fetched.insert(rules.id, found);
    }
    Ok(Found { answer, fetched })
}
