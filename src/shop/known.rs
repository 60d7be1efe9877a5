//! Told events in, all that the shop must remember out: a fold without rule, threshold, calendar or clock.

use super::{
    asset::Register,
    meter::{self, Feed, Meter},
    work::Kept,
};
use crate::{
    books::Book,
    event::{
        Event, Stamp, Told, Wall,
        id::{Role, mint},
        notice,
        order::{self, Job, Order},
        part::{self, Counts, Raw},
        shift,
        stop::{self, Going, State},
    },
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far back a machine's book reaches beside its open stop: the longest day, and the hour before it. Milliseconds.
const REMEMBER_MS: i64 = 27 * 3_600_000;

/// How far back it reaches for the order that runs. Milliseconds.
pub const ORDER_MS: i64 = 8 * 86_400_000;

/// Orders that are over and still remembered; of more, those that ended first are forgotten.
const OVER: usize = 256;

/// A book is cut only when it reaches so much further back, so that the cutting costs nothing. Milliseconds.
const TRIM_MS: i64 = 3_600_000;

/// The fold of every event told in this epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    /// From 1.
    pub epoch: u32,
    /// The next event's.
    pub next_sequence: u64,
    /// The latest moment at which something was told: time goes on from there.
    pub at: Stamp,
    /// How the wall clock was set.
    pub wall: Wall,
    /// The last `topic_sequence` by topic key.
    pub topics: BTreeMap<String, u64>,
    /// By id.
    pub machines: BTreeMap<String, Machine>,
    /// Which asset's meter a machine feeds, by its id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub feeds: BTreeMap<String, Feed>,
    /// By the key of the asset.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub meters: BTreeMap<String, Meter>,
    /// What the CMMS told of its assets.
    #[serde(skip_serializing_if = "Register::is_empty")]
    pub register: Register,
    /// Work requests and work orders.
    pub work: Kept,
}

/// What is remembered of one machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// `None` before its first.
    pub current: Option<Current>,
    /// The last number given to a downtime.
    pub last_number: u64,
    /// The counts as last told, in whatever event.
    pub told: Option<ToldCounts>,
    /// What people moved from one count to another, all together.
    pub moved: Counts,
    /// `to` of the last production event.
    pub counted_to: Option<Stamp>,
    /// The order that it has, and since when.
    pub order: Option<(Stamp, Order)>,
    /// Orders that are to be made, are made, or were made, by number.
    pub orders: BTreeMap<String, Job>,
    /// Windows that were stated, as far back as the book reaches, by id.
    pub stated: BTreeMap<String, Stated>,
    /// When the last one of them ended.
    pub stated_to: Option<Stamp>,
    /// Its recent history.
    pub book: Book,
}

/// A window that was stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stated {
    /// `shift` or `day`.
    pub kind: shift::Kind,
    /// First instant, by the wall clock.
    pub from: Stamp,
    /// First instant after, by the wall clock.
    pub to: Stamp,
    /// As stated last.
    pub revision: u64,
    /// Whether nothing but a person can change it any more.
    pub is_final: bool,
    /// What was stated.
    pub print: u64,
}

/// The state that a machine is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    /// The word for it.
    pub state: State,
    /// What the signals say.
    pub going: Going,
    /// Since when.
    pub since: Stamp,
    /// Since when the signals say so.
    pub moved: Stamp,
    /// When that was decided.
    pub at: Stamp,
    /// An open stop that is no downtime yet.
    pub provisional: bool,
}

/// Counts with their raw counters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToldCounts {
    /// By this event.
    pub sequence: u64,
    /// Cumulative.
    pub counts: Counts,
    /// By point name.
    pub raw: Raw,
}

impl Default for Known {
    fn default() -> Known {
        Known {
            epoch: 1,
            next_sequence: 1,
            at: Stamp::MIN,
            wall: Wall::default(),
            topics: BTreeMap::new(),
            machines: BTreeMap::new(),
            feeds: BTreeMap::new(),
            meters: BTreeMap::new(),
            register: Register::default(),
            work: Kept::default(),
        }
    }
}

impl Known {
    /// Enters one event.
    pub fn apply(&mut self, told: &Told) {
        self.epoch = told.epoch;
        self.next_sequence = told.sequence + 1;
        self.at = self.at.max(told.recorded);
        match self.topics.get_mut(&told.topic) {
            Some(last) => *last = told.topic_sequence,
            None => drop(self.topics.insert(told.topic.clone(), told.topic_sequence)),
        }
        if let Event::Notice(notice::Event { clock: Some(era), .. }) = &told.event {
            self.wall.enter(*era);
        }
        self.work.apply(&told.event);
        match &told.event {
            Event::Asset(changed) => self.register.enter(changed),
            Event::Meter(read) => {
                if read.binding.is_some() {
                    self.register.rebind(&read.machine);
                }
                meter::enter(self, read);
            }
            Event::Notice(notice) => self.register.hear(notice),
            _ => {}
        }
        let Some(id) = told.event.machine().filter(|_| !matches!(told.event, Event::Meter(_))) else { return };
        if !self.machines.contains_key(id) {
            self.machines.insert(id.to_owned(), Machine::default());
        }
        if let Some(machine) = self.machines.get_mut(id) {
            machine.apply(told, &self.wall, self.feeds.get_mut(id));
        }
    }

    /// Goes on in a new epoch, in which nothing was told yet. `numbers`: the last number of a downtime by machine.
    pub fn begin(&mut self, epoch: u32, numbers: BTreeMap<String, u64>) {
        (self.epoch, self.next_sequence) = (epoch, 1);
        self.topics.clear();
        for (id, number) in numbers {
            self.machines.entry(id).or_default().last_number = number;
        }
        for told in self.machines.values_mut().filter_map(|machine| machine.told.as_mut()) {
            told.sequence = 0;
        }
    }

    /// An event with its place behind the last one; `topic`: its key.
    pub fn place(
        &self,
        gateway: &str,
        topic: String,
        event: Event,
        recorded: Stamp,
        command_id: Option<String>,
    ) -> Told {
        let (epoch, sequence) = (self.epoch, self.next_sequence);
        Told {
            sequence,
            epoch,
            topic_sequence: self.topics.get(&topic).map_or(1, |last| last + 1),
            id: mint(gateway, epoch, sequence, Role::Event, event.shown(&self.wall)),
            topic,
            recorded,
            command_id,
            event,
        }
    }

    /// The sequence of the last event.
    pub fn last_sequence(&self) -> u64 {
        self.next_sequence - 1
    }
}

impl Machine {
    fn apply(&mut self, told: &Told, wall: &Wall, mut feed: Option<&mut Feed>) {
        let (sequence, event) = (told.sequence, &told.event);
        let ran = feed.as_ref().and_then(|feed| feed.before(&self.book, event));
        self.book.apply(event);
        if let (Some(feed), Some(ran)) = (&mut feed, ran) {
            feed.after(&self.book, ran);
        }
        match event {
            Event::Stop(stop::Event::State(change)) => {
                self.current = Some(Current {
                    state: change.state,
                    going: change.going,
                    since: change.since,
                    moved: change.moved,
                    at: change.at,
                    provisional: change.provisional,
                });
                self.told = Some(ToldCounts { sequence, counts: change.counts, raw: change.raw.clone() });
            }
            Event::Stop(stop::Event::Downtime(downtime)) => {
                let number = downtime.stop.downtime.map_or(0, |downtime| downtime.number);
                self.last_number = self.last_number.max(number);
            }
            Event::Part(part::Event::Counted(counted)) => {
                self.counted_to = Some(counted.to);
                if let Some(moved) = &counted.moved {
                    self.moved = self.moved.plus(&moved.by);
                }
                // What is told of the edge of an order may be of some looks ago.
                if self.told.as_ref().is_none_or(|told| told.counts.total <= counted.counts.total) {
                    self.told = Some(ToldCounts { sequence, counts: counted.counts, raw: counted.raw.clone() });
                }
            }
            Event::Order(order) => {
                let last = self.book.assignments.last();
                self.order = last.and_then(|last| Some((last.from, last.order.clone()?)));
                self.enter(order);
            }
            Event::Operator(_) => {}
            Event::Shift(stated) => {
                let print = stated.window.print();
                let (is_final, revision) = (stated.window.is_final, stated.revision);
                let (kind, from, to) = (stated.kind, stated.from, stated.to);
                self.stated_to = self.stated_to.max(Some(wall.hull(from, to).1));
                self.stated.insert(stated.id.clone(), Stated { kind, from, to, revision, is_final, print });
            }
            Event::Asset(_) | Event::Meter(_) | Event::Work(_) | Event::Notice(_) => {}
        }
        // What is not final yet will be measured again.
        let open =
            self.stated.values().filter(|stated| !stated.is_final).map(|stated| wall.hull(stated.from, stated.to).0);
        let running = self.orders.values().filter(|job| job.state == order::State::Running);
        let ran = running.filter_map(|job| job.spans.first()).map(|span| span.from).min();
        let ran = ran.map_or(Stamp::MAX, |from| from.max(told.recorded.plus(-ORDER_MS)));
        let keep = told.recorded.plus(-REMEMBER_MS).min(open.min().unwrap_or(Stamp::MAX)).min(ran);
        if self.book.begins().is_some_and(|begins| keep.since(begins) > TRIM_MS) {
            if let Some(feed) = feed {
                feed.count_to(&self.book, keep);
            }
            self.book.trim(keep);
            self.stated.retain(|_, stated| wall.hull(stated.from, stated.to).0 >= keep);
        }
    }

    fn enter(&mut self, order: &order::Event) {
        let number = order.job.number();
        match (&order.booked, order.change) {
            // An older release kept no record.
            (None, _) => {}
            (Some(_), order::Change::Cancelled) => drop(self.orders.remove(number)),
            (Some(_), _) => drop(self.orders.insert(number.to_owned(), order.job.clone())),
        }
        let over = self.orders.values().filter(|job| job.state.is_over());
        if over.clone().count() > OVER
            && let Some(first) = over.min_by_key(|job| job.ended_at).map(|job| job.number().to_owned())
        {
            self.orders.remove(&first);
        }
    }
}
