//! Observations in, events out: what the machines did, decided purely.
//!
//! `run`, `replay` and every test call the same [`Shop::turn`]. [`Known`] is the fold of the events told and changes only
//! by `apply`; [`seen`] is volatile and changes only by looking; [`Rules`] change only by a restart.

pub mod asset;
pub mod clock;
pub mod correction;
pub mod gauge;
pub mod known;
pub mod operator;
pub mod meter;
pub mod order;
pub mod part;
pub mod rules;
pub mod seen;
pub mod statement;
pub mod stop;
pub mod watch;
pub mod work;

use crate::{
    books::{Counting, history::touched},
    event::{
        Event, Stamp, Told,
        command::{Command, Refusal, Reply, Verdict, Wish},
        cycle::Spell,
        id::{Role, mint},
        meter::Readings,
        notice,
        part::Counts,
        process, topic_key,
        wall::Anchor,
    },
    signal::{Observation, PointIx, motion::Edge},
};
use asset::Lists;
pub use correction::Past;
pub use known::Known;
use meter::{Feed, Meters};
pub use rules::Rules;
use rules::{MachineRules, RunRule};
use seen::{Seen, SeenMark, Use};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// What comes into the shop.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A PLC was looked at.
    Observed(&'a Observation),
    /// Time went by.
    Tick,
    /// Machines of which nothing was read yet are unknown from here on.
    Begin,
    /// The last row of a recording: its values change nothing but counts, then the books are closed.
    Closed(&'a Observation),
    /// Another room has something to say.
    Notice(&'a notice::Event),
    /// Somebody asks for something.
    Command {
        /// Of which machine; `None`: of the gateway.
        machine: Option<&'a str>,
        /// What.
        command: &'a Command,
        /// What was fetched, where it is about days that are no longer remembered.
        past: Option<&'a Past>,
    },
    /// The wall clock was set by `step_ms`, or is to be trusted from here on, or no longer.
    Clock {
        /// Wall clock after the step − before it. Milliseconds.
        step_ms: i64,
        /// Whether it can be trusted.
        is_synced: bool,
    },
}

/// What one turn gave.
#[derive(Debug, Default)]
pub struct Turn {
    /// In order.
    pub told: Vec<Told>,
    /// The answer to a command.
    pub reply: Option<Reply>,
    /// A counter was seen for the first time: its mark must be durable at once.
    pub is_mark_due: bool,
}

/// All that must survive a crash beside the events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Marks {
    /// As of.
    pub at: Stamp,
    /// Of the sequence; 0: an older andon has written them.
    pub epoch: u32,
    /// The last event then.
    pub sequence: u64,
    /// Where another process of the same boot goes on from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Anchor>,
    /// By machine id.
    pub machines: BTreeMap<String, SeenMark>,
    /// What meters were shown to read, by asset.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub meters: BTreeMap<String, Readings>,
    /// Lists of assets of which not every part has come.
    #[serde(skip_serializing_if = "Lists::is_empty")]
    pub lists: Lists,
}

/// The machines of one gateway.
pub struct Shop {
    rules: Arc<Rules>,
    known: Known,
    seen: Vec<Seen>,
    /// By point: the machines that use it, and as what.
    uses: Vec<Vec<(usize, Use)>>,
    touched: Vec<usize>,
    edges: Vec<Edge>,
    meters: Meters,
    lists: Lists,
    /// No machine needs a tick before; `MIN` before the first input.
    next_wake: Stamp,
    /// The latest moment that was decided about before this start.
    since: Stamp,
    /// The latest moment that was an input.
    now: Stamp,
}

/// Where one turn is decided: each event is applied as it is told.
pub struct Desk<'a> {
    rules: &'a Rules,
    known: &'a mut Known,
    told: Vec<Told>,
    is_mark_due: bool,
    /// What everything that is told follows from, where somebody asked.
    command_id: Option<String>,
    /// So many of `told` the ledger of work has looked at.
    followed: usize,
    edges: Vec<Edge>,
    /// By machine: since when what was told makes figures others, as far as statements were not looked at again since.
    unreviewed: BTreeMap<String, Stamp>,
    meters: Meters,
    now: Stamp,
}

impl Desk<'_> {
    /// Gives the event its place in the sequence, applies it and keeps it to be told.
    fn tell(&mut self, event: Event) {
        let machine = event.machine().and_then(|id| self.rules.machines.iter().find(|machine| machine.id == id));
        let place = machine.map(|machine| (machine.line.as_str(), machine.id.as_str()));
        let topic = topic_key(&self.rules.gateway, place, event.kind());
        let told = self.known.place(&self.rules.gateway, topic, event, self.now, self.command_id.clone());
        self.mark_unreviewed(&told.event);
        self.known.apply(&told);
        self.told.push(told);
    }

    fn mark_unreviewed(&mut self, event: &Event) {
        let Some(id) = event.machine() else { return };
        let since = self.known.machines.get(id).map_or(Stamp::MAX, |machine| touched(&machine.book, event));
        match self.unreviewed.get_mut(id) {
            _ if since == Stamp::MAX => {}
            Some(first) => *first = since.min(*first),
            None => drop(self.unreviewed.insert(id.to_owned(), since)),
        }
    }

    /// Since when what was told of a machine since the last time makes its figures others; `MAX`: nothing does.
    fn take_unreviewed(&mut self, machine: &str) -> Stamp {
        self.unreviewed.remove(machine).unwrap_or(Stamp::MAX)
    }

    /// An id for what the next event names first.
    fn mint(&self, role: Role, time: Stamp) -> uuid::Uuid {
        mint(&self.rules.gateway, self.known.epoch, self.known.next_sequence, role, self.known.wall.of(time))
    }

    fn notice(&mut self, machine: Option<&str>, code: &str, severity: notice::Severity, text: String) {
        let machine = machine.map(str::to_owned);
        self.tell(Event::Notice(notice::Event {
            at: self.now,
            machine,
            code: code.to_owned(),
            severity,
            text,
            from: None,
            to: None,
            sequences: None,
            clock: None,
        }));
    }
}

impl Shop {
    /// Opens with what the journal knows and the latest marks; both empty for a new gateway.
    pub fn open(rules: Arc<Rules>, known: Known, marks: &Marks) -> Shop {
        let rules = if known.wall.is_plain() { rules } else { Arc::new(rules.on(&known.wall)) };
        let mut uses: Vec<Vec<(usize, Use)>> = Vec::new();
        let mut link = |point: PointIx, index: usize, what: Use| {
            if uses.len() <= point.0 {
                uses.resize(point.0 + 1, Vec::new());
            }
            uses[point.0].push((index, what));
        };
        // Marks of an epoch that is over are older than whatever was told in this one.
        let marked = if marks.epoch.max(1) == known.epoch { marks.sequence } else { 0 };
        let made = |id: &String| known.feeds.get(id).map_or(0, Feed::made);
        let mut seen = Vec::with_capacity(rules.machines.len());
        for (index, machine) in rules.machines.iter().enumerate() {
            let mut one = Seen::new(machine);
            let remembered = (known.machines.get(&machine.id), marks.machines.get(&machine.id));
            if remembered != (None, None) {
                let (empty_known, empty_mark) = (known::Machine::default(), SeenMark::default());
                let (known, mark) = (remembered.0.unwrap_or(&empty_known), remembered.1.unwrap_or(&empty_mark));
                one.resume(machine, known, made(&machine.id), mark, marked);
            }
            let by_counts = matches!(machine.run, RunRule::Counts { .. });
            let deciding = one.parts.points().map(|(_, role)| role).next();
            for (point, role) in one.parts.points() {
                link(point, index, Use::Count(role, by_counts && Some(role) == deciding));
            }
            one.parts.gauges.points().for_each(|(point, place)| link(point, index, Use::Process(place)));
            one.parts.flags().for_each(|(point, role)| link(point, index, Use::Overflow(role)));
            if let RunRule::Signal { point, .. } = machine.run {
                link(point, index, Use::Run);
            }
            if let RunRule::Expression { operands, .. } = &machine.run {
                operands.iter().enumerate().for_each(|(place, at)| link(at.point, index, Use::Operand(place)));
            }
            if let Some(state) = &machine.state {
                link(state.point, index, Use::State);
            }
            for (point, what) in
                [(machine.fault, Use::Fault), (machine.order, Use::Order), (machine.product, Use::Product)]
            {
                if let Some(point) = point {
                    link(point, index, what);
                }
            }
            seen.push(one);
        }
        Shop {
            meters: Meters::new(&rules, marks),
            lists: marks.lists.clone(),
            rules,
            since: if marks.machines.is_empty() { known.at } else { known.at.max(marks.at) },
            known,
            seen,
            uses,
            touched: Vec::new(),
            edges: Vec::new(),
            next_wake: Stamp::MIN,
            now: Stamp::MIN,
        }
    }

    /// One input at `now`, which never runs backwards: first everything that was due by then, in the order of its time.
    pub fn turn(&mut self, input: Input<'_>, now: Stamp) -> Turn {
        let now = now.max(self.now);
        let is_first = self.now == Stamp::MIN;
        self.now = now;
        let mut desk = Desk {
            rules: &self.rules,
            known: &mut self.known,
            told: Vec::new(),
            is_mark_due: false,
            command_id: None,
            followed: 0,
            edges: std::mem::take(&mut self.edges),
            unreviewed: BTreeMap::new(),
            meters: std::mem::take(&mut self.meters),
            now,
        };
        if is_first {
            for (seen, rules) in self.seen.iter_mut().zip(&desk.rules.machines) {
                seen.open_page(&desk, rules, self.since, now);
            }
        }
        if self.next_wake <= now {
            self.next_wake = wake(&mut desk, &mut self.seen, now);
        }
        if is_first {
            meter::open(&mut desk, &self.seen);
            asset::open(&mut desk);
            self.next_wake = self.next_wake.min(desk.meters.next_wake());
        }
        self.lists.tick(&mut desk);
        let mut reply = None;
        match input {
            Input::Observed(observation) => {
                let wake = look(&mut desk, &mut self.seen, &self.uses, &mut self.touched, observation, now, false);
                self.next_wake = self.next_wake.min(wake);
            }
            Input::Closed(observation) => {
                look(&mut desk, &mut self.seen, &self.uses, &mut self.touched, observation, now, true);
                for (seen, rules) in self.seen.iter_mut().zip(&desk.rules.machines) {
                    seen.close(&mut desk, rules, now);
                    work::follow(&mut desk);
                }
            }
            Input::Begin => {
                for (seen, rules) in self.seen.iter_mut().zip(&desk.rules.machines) {
                    seen.begin(&mut desk, rules, now);
                    work::follow(&mut desk);
                }
            }
            Input::Notice(notice) => desk.tell(Event::Notice(notice.clone())),
            Input::Command { machine, command, past } => {
                let rules = desk.rules;
                let command = &command.on(&desk.known.wall, now);
                desk.command_id = Some(command.command_id.clone());
                let index = machine.map(|id| rules.machines.iter().position(|rules| rules.id == id));
                let from = desk.told.len();
                let verdict = match (machine, index.flatten()) {
                    (_, Some(index)) => {
                        let machine = &rules.machines[index];
                        let verdict = match &command.wish {
                            Wish::WorkOrder(report) => {
                                work::order::report(&mut desk, &self.seen, machine, (report, command), past)
                            }
                            Wish::WorkRequest(call) => work::call(&mut desk, machine, call, command, past),
                            _ => {
                                let verdict = self.seen[index].command(&mut desk, machine, command, past);
                                if let Some(past) = past {
                                    meter::correct(&mut desk, machine, &past.book, from);
                                }
                                verdict
                            }
                        };
                        work::follow(&mut desk);
                        for (seen, rules) in self.seen.iter_mut().zip(&rules.machines) {
                            seen.settle(&desk, rules);
                            self.next_wake = self.next_wake.min(seen.next_wake(rules));
                        }
                        verdict
                    }
                    (Some(id), None) => Err(Refusal::new("unknown_machine", format!("there is no machine {id}"))),
                    (None, None) => match &command.wish {
                        Wish::Asset(wish) => asset::decide(&mut desk, &mut self.lists, command, wish),
                        wish => {
                            let text = format!("{} is a command about a machine", wish.verb());
                            Err(Refusal::new("unknown_verb", text))
                        }
                    },
                };
                let (command_id, verb) = (command.command_id.clone(), command.wish.verb().to_owned());
                reply = Some(Reply {
                    command_id: Some(command_id),
                    verb,
                    verdict: verdict.unwrap_or_else(Verdict::Refused),
                });
            }
            Input::Clock { step_ms, is_synced } => clock::set(&mut desk, step_ms, is_synced),
            Input::Tick => {}
        }
        meter::tell_due(&mut desk, &self.seen);
        work::follow(&mut desk);
        self.edges = desk.edges;
        self.meters = desk.meters;
        let turn = Turn { told: desk.told, reply, is_mark_due: desk.is_mark_due };
        if let Input::Clock { .. } = input { self.set_clock(turn, now) } else { turn }
    }

    /// The calendars follow the wall clock; what hangs on them is looked at again.
    fn set_clock(&mut self, turn: Turn, now: Stamp) -> Turn {
        self.rules = Arc::new(self.rules.on(&self.known.wall));
        let mut desk = Desk {
            rules: &self.rules,
            known: &mut self.known,
            followed: turn.told.len(),
            told: turn.told,
            is_mark_due: turn.is_mark_due,
            command_id: None,
            edges: std::mem::take(&mut self.edges),
            unreviewed: BTreeMap::new(),
            meters: std::mem::take(&mut self.meters),
            now,
        };
        for (seen, rules) in self.seen.iter_mut().zip(&self.rules.machines) {
            seen.set_clock(&mut desk, rules, now);
            work::follow(&mut desk);
            self.next_wake = self.next_wake.min(seen.next_wake(rules));
        }
        desk.meters.set_clock(&self.rules, &desk.known.wall, now);
        self.next_wake = self.next_wake.min(desk.meters.next_wake());
        self.edges = desk.edges;
        self.meters = desk.meters;
        Turn { told: desk.told, is_mark_due: desk.is_mark_due, ..turn }
    }

    /// The time that a command about a machine concerns, where that is no longer in memory: its days have to be fetched.
    pub fn misses(&self, machine: &str, command: &Command, now: Stamp) -> Option<(Stamp, Stamp)> {
        let (from, to) = self.concerns(machine, command, now)?;
        let since = self.known.machines.get(machine)?.book.since;
        (from < since).then(|| (from, to.min(since)))
    }

    /// The time that a command about a machine concerns.
    pub fn concerns(&self, machine: &str, command: &Command, now: Stamp) -> Option<(Stamp, Stamp)> {
        let rules = self.rules.machines.iter().find(|rules| rules.id == machine)?;
        let command = command.on(&self.known.wall, now);
        correction::concerns(&self.known, rules, &command, now)
    }

    /// Other machines that a command concerns too, with the time.
    pub fn concerns_elsewhere(&self, machine: &str, command: &Command) -> Vec<(String, (Stamp, Stamp))> {
        let Wish::WorkOrder(report) = &command.wish else { return Vec::new() };
        let others = self.rules.machines.iter().map(|rules| &rules.id).filter(|id| *id != machine);
        others.filter_map(|id| Some((id.clone(), work::order::concerns(&self.known, id, report)?))).collect()
    }

    /// When the next tick is due.
    pub fn next_wake(&self) -> Stamp {
        self.next_wake.min(self.lists.next_wake())
    }

    /// The latest moment that was decided about.
    pub fn now(&self) -> Stamp {
        self.now
    }

    /// The fold of all events told.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// What the shop was told before it opened.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// What of the machines must survive a crash now.
    pub fn marks(&self) -> Marks {
        let machines =
            self.rules.machines.iter().zip(&self.seen).map(|(rules, seen)| (rules.id.clone(), seen.mark(rules)));
        Marks {
            at: self.now,
            epoch: self.known.epoch,
            sequence: self.known.last_sequence(),
            anchor: None,
            machines: machines.collect(),
            meters: self.meters.mark(),
            lists: self.lists.clone(),
        }
    }

    /// The machines with what was last seen of them.
    pub fn machines(&self) -> impl Iterator<Item = Machine<'_>> {
        self.rules.machines.iter().zip(&self.seen).map(|(rules, seen)| Machine {
            rules,
            known: self.known.machines.get(&rules.id),
            seen,
        })
    }
}

/// One machine, to look at.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    /// Its rules.
    pub rules: &'a MachineRules,
    /// What was told of it.
    pub known: Option<&'a known::Machine>,
    seen: &'a Seen,
}

impl Machine<'_> {
    /// Cumulative, as seen.
    pub fn counts(&self) -> &Counts {
        self.seen.parts.counts()
    }

    /// Cycles that were timed and are not told yet.
    pub fn cycles(&self) -> &[Spell] {
        self.seen.parts.cycles()
    }

    /// Process values up to `now` that are not told yet.
    pub fn process(&self, now: Stamp) -> Vec<process::Spell> {
        self.seen.parts.gauges.so_far(now)
    }

    /// The fault code shown now, 0 for none.
    pub fn fault(&self) -> i64 {
        self.seen.fault()
    }

    /// Whether its parts are counted.
    pub fn counting(&self) -> Counting {
        self.seen.parts.counting()
    }
}

/// Everything that is due by `now`, in the order of its time. Gives the next wake-up.
fn wake(desk: &mut Desk<'_>, seen: &mut [Seen], now: Stamp) -> Stamp {
    let rules = desk.rules;
    let mut wakes: Vec<Stamp> = seen.iter().zip(&rules.machines).map(|(seen, rules)| seen.next_wake(rules)).collect();
    loop {
        let first = wakes.iter().copied().enumerate().min_by_key(|(_, wake)| *wake);
        let (index, due) = first.unwrap_or((0, Stamp::MAX));
        let edge = desk.meters.next_wake();
        if edge < due && edge <= now {
            desk.now = edge;
            meter::edge(desk, edge);
            meter::tell_due(desk, seen);
            work::follow(desk);
            continue;
        }
        desk.now = due.min(now);
        if due > now {
            return due.min(edge);
        }
        let before = desk.told.len();
        seen[index].tick(desk, &rules.machines[index], due);
        desk.meters.follow(index, seen[index].live(due));
        settle(desk, &mut seen[index], &rules.machines[index], before);
        meter::tell_due(desk, seen);
        work::follow(desk);
        wakes[index] = seen[index].next_wake(&rules.machines[index]);
    }
}

/// Hands out the readings, then lets each machine that got one see. Gives the earliest wake-up of those.
fn look(
    desk: &mut Desk<'_>,
    seen: &mut [Seen],
    uses: &[Vec<(usize, Use)>],
    touched: &mut Vec<usize>,
    observation: &Observation,
    now: Stamp,
    is_last: bool,
) -> Stamp {
    for (point, reading) in &observation.readings {
        for (index, what) in uses.get(point.0).into_iter().flatten() {
            if seen[*index].receive(*what, reading) {
                touched.push(*index);
            }
        }
    }
    touched.sort_unstable();
    let mut next_wake = Stamp::MAX;
    for index in touched.drain(..) {
        let rules = &desk.rules.machines[index];
        let before = desk.told.len();
        seen[index].see(desk, rules, now, is_last);
        desk.meters.follow(index, seen[index].live(now));
        settle(desk, &mut seen[index], rules, before);
        next_wake = next_wake.min(seen[index].next_wake(rules));
    }
    next_wake
}

/// The ledgers that follow what was told of a machine, if anything was.
fn settle(desk: &mut Desk<'_>, seen: &mut Seen, rules: &MachineRules, before: usize) {
    if desk.told.len() > before {
        work::follow(desk);
        seen.settle_requests(desk, rules);
    }
}

#[cfg(test)]
mod tests;
