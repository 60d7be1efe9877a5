//! The words of the order ledger: what a machine makes, what was asked for, when it ran.

use super::{
    Ideal, Stamp,
    part::{Counts, Raw},
    process,
    window::Window,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An order, as far as every part and every downtime under it must know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Order {
    /// Its number.
    pub order: String,
    /// What is made.
    pub product: Option<String>,
    /// For traceability.
    pub lot: Option<String>,
    /// Time per part, of the order or its product.
    pub ideal: Option<Ideal>,
}

/// The states of a job order, named as in OPC 10031-4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum State {
    /// It is stored.
    #[default]
    NotAllowedToStart,
    /// It may start as soon as the machine takes it.
    AllowedToStart,
    /// It is made.
    Running,
    /// It was made and will be made again.
    Interrupted,
    /// It is over.
    Ended,
    /// It was given up.
    Aborted,
}

impl State {
    /// The word in payloads.
    pub fn word(self) -> &'static str {
        match self {
            State::NotAllowedToStart => "NotAllowedToStart",
            State::AllowedToStart => "AllowedToStart",
            State::Running => "Running",
            State::Interrupted => "Interrupted",
            State::Ended => "Ended",
            State::Aborted => "Aborted",
        }
    }

    /// It has not been made yet.
    pub fn is_prepared(self) -> bool {
        matches!(self, State::NotAllowedToStart | State::AllowedToStart)
    }

    /// It will not be made again.
    pub fn is_over(self) -> bool {
        matches!(self, State::Ended | State::Aborted)
    }
}

/// A time in which an order ran; open while it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First instant.
    pub from: Stamp,
    /// First instant after.
    pub to: Option<Stamp>,
}

impl Span {
    /// The end; for ever while it is open.
    pub fn end(&self) -> Stamp {
        self.to.unwrap_or(Stamp::MAX)
    }
}

/// An order with all that is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Job {
    /// What its parts and downtimes know of it.
    #[serde(flatten)]
    pub order: Order,
    /// The order of the ERP that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub production_order: Option<String>,
    /// The operation of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// How many are wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<i64>,
    /// Of what: passed through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The ideal is the order's own, not its product's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_ideal: Option<Ideal>,
    /// Parts that one count stands for while it runs; the machine's where it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts_per_cycle: Option<i64>,
    /// Passed through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// Passed through; by the wall clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned_start: Option<Stamp>,
    /// Passed through; by the wall clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned_end: Option<Stamp>,
    /// Where it stands.
    pub state: State,
    /// A command stored it; else only a PLC has shown it.
    pub is_stored: bool,
    /// The PLC's word made it run.
    pub is_shown: bool,
    /// When it ran, in order.
    pub spans: Vec<Span>,
    /// Spans before these are no longer listed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
    /// When it first ran, also where that time was taken back.
    pub began: Option<Stamp>,
    /// When it ended or was given up.
    pub ended_at: Option<Stamp>,
    /// Scrap that was worked over: it adds to the yield, never to quality.
    pub reworked: i64,
    /// As told last.
    pub revision: u64,
    /// A fingerprint of the figures as told last; `None`: there were none.
    pub print: Option<u64>,
    /// Nothing but a person can change them any more.
    pub is_final: bool,
}

impl Job {
    /// Its number.
    pub fn number(&self) -> &str {
        &self.order.order
    }

    /// It runs because a command says so.
    pub fn is_running_by_command(&self) -> bool {
        self.state == State::Running && !self.is_shown
    }

    /// Where it stood at that instant, as known now.
    pub fn state_at(&self, at: Stamp) -> State {
        if self.ended_at.is_some_and(|ended| ended <= at) {
            return self.state;
        }
        match self.began {
            Some(began) if began <= at => {
                let runs = self.spans.iter().any(|span| span.from <= at && at < span.end());
                if runs { State::Running } else { State::Interrupted }
            }
            // Once it was let start nobody remembers since when.
            _ if self.state == State::NotAllowedToStart => State::NotAllowedToStart,
            _ => State::AllowedToStart,
        }
    }

    /// It runs in `[from, to)`, whatever was known of that time.
    pub fn run(&mut self, from: Stamp, to: Option<Stamp>) {
        let end = to.unwrap_or(Stamp::MAX);
        let (mut first, mut last) = (from, end);
        self.spans.retain(|span| {
            let is_apart = span.end() < from || end < span.from;
            if !is_apart {
                (first, last) = (first.min(span.from), last.max(span.end()));
            }
            is_apart
        });
        let to = (last < Stamp::MAX).then_some(last);
        if first < last {
            let place = self.spans.partition_point(|span| span.from < first);
            self.spans.insert(place, Span { from: first, to });
        }
        self.began = Some(self.began.map_or(from, |began| began.min(from)));
    }

    /// It does not run in `[from, to)`.
    pub fn rest(&mut self, from: Stamp, to: Stamp) {
        self.spans = minus(&self.spans, &[Span { from, to: (to < Stamp::MAX).then_some(to) }]);
    }
}

/// What of some spans lies in none of the others.
pub fn minus(spans: &[Span], others: &[Span]) -> Vec<Span> {
    let mut left = spans.to_vec();
    for other in others {
        left = left
            .iter()
            .flat_map(|span| {
                let before = (span.from, span.end().min(other.from));
                let after = (span.from.max(other.end()), span.end());
                [before, after]
            })
            .filter(|(from, to)| from < to)
            .map(|(from, to)| Span { from, to: (to < Stamp::MAX).then_some(to) })
            .collect();
    }
    left
}

/// What is asked for: the commands of OPC 10031-4.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wish {
    /// Which command.
    pub what: What,
    /// The number of the order.
    pub order: String,
    /// What it says of the order: of each field nothing, or what it is to be.
    pub says: Says,
    /// The order that runs ends, this one takes its place: `on_start = "switch"`.
    pub is_switch: bool,
}

/// The commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// It is to be made some time.
    Store,
    /// It is to be made now.
    StoreAndStart,
    /// A stored one is to be made now.
    Start,
    /// One that waits for the machine is not to start.
    RevokeStart,
    /// It will go on later.
    Pause,
    /// It goes on.
    Resume,
    /// It is over.
    Stop,
    /// It is given up.
    Abort,
    /// It is not to be made.
    Cancel,
    /// It is another than was said.
    Update,
}

impl What {
    /// Every command.
    pub const ALL: [What; 10] = [
        What::Store,
        What::StoreAndStart,
        What::Start,
        What::RevokeStart,
        What::Pause,
        What::Resume,
        What::Stop,
        What::Abort,
        What::Cancel,
        What::Update,
    ];

    /// The word of the command.
    pub fn word(self) -> &'static str {
        match self {
            What::Store => "Store",
            What::StoreAndStart => "StoreAndStart",
            What::Start => "Start",
            What::RevokeStart => "RevokeStart",
            What::Pause => "Pause",
            What::Resume => "Resume",
            What::Stop => "Stop",
            What::Abort => "Abort",
            What::Cancel => "Cancel",
            What::Update => "Update",
        }
    }
}

/// What a command says of its order; `None`: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Says {
    /// The order of the ERP.
    pub production_order: Option<String>,
    /// The operation of that.
    pub operation: Option<String>,
    /// What is made.
    pub product: Option<String>,
    /// How many.
    pub quantity: Option<i64>,
    /// Of what.
    pub unit: Option<String>,
    /// Time per part.
    pub ideal: Option<Ideal>,
    /// Parts that one count stands for.
    pub parts_per_cycle: Option<i64>,
    /// For traceability.
    pub lot: Option<String>,
    /// Passed through.
    pub priority: Option<i64>,
    /// Passed through; by the wall clock.
    pub planned_start: Option<Stamp>,
    /// Passed through; by the wall clock.
    pub planned_end: Option<Stamp>,
}

/// What happened to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is known.
    Stored,
    /// It runs.
    Started,
    /// It rests.
    Paused,
    /// It runs again.
    Resumed,
    /// It is over.
    Ended,
    /// It was given up.
    Aborted,
    /// It is not to be made.
    Cancelled,
    /// Something of it is another.
    Updated,
}

/// From `from` until `to` the machine had `order`, whatever was known of that time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booked {
    /// First instant.
    pub from: Stamp,
    /// First instant after; `None`: from there on.
    pub to: Option<Stamp>,
    /// `None`: it had none.
    pub order: Option<Order>,
}

/// `andon.order.*.v1`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The machine's id.
    pub machine: String,
    /// What happened.
    pub change: Change,
    /// From when on.
    pub at: Stamp,
    /// When it was decided.
    pub decided: Stamp,
    /// `plc`, or who sent the command.
    pub by: String,
    /// In the words of the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Of the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    /// The whole record.
    #[serde(rename = "order")]
    pub job: Job,
    /// Since when it ran.
    pub from: Stamp,
    /// Which time is another order's than was known, in this order; `None`, of an older release: all from `at` on.
    #[serde(default)]
    pub booked: Option<Vec<Booked>>,
    /// The figures of its time; `None` while there is none.
    pub window: Option<Box<Window>>,
    /// The counts of all parts that showed before `at`.
    pub counts: Counts,
    /// The counters themselves.
    pub raw: Raw,
    /// Who was logged on while it ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<String>,
    /// Process values that were not told yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub process: Vec<process::Spell>,
    /// What process values were while it ran.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: process::Summaries,
}

impl Event {
    /// What it books, in this order.
    pub fn bookings(&self) -> Vec<Booked> {
        let since = |order| vec![Booked { from: self.at, to: None, order }];
        match (&self.booked, self.change) {
            (Some(booked), _) => booked.clone(),
            (None, Change::Started) => since(Some(self.job.order.clone())),
            (None, _) => since(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: i64, to: i64) -> Span {
        Span { from: Stamp::from_ms(from), to: (to > 0).then(|| Stamp::from_ms(to)) }
    }

    #[test]
    fn spans_are_joined_and_cut() {
        let at = Stamp::from_ms;
        let mut job = Job::default();
        job.run(at(10), Some(at(20)));
        job.run(at(30), None);
        assert_eq!(job.spans, [span(10, 20), span(30, 0)]);
        job.run(at(20), Some(at(30)));
        assert_eq!(job.spans, [span(10, 0)]);
        job.rest(at(15), at(25));
        assert_eq!(job.spans, [span(10, 15), span(25, 0)]);
        assert_eq!(job.state_at(at(12)), State::Running);
        assert_eq!(job.state_at(at(15)), State::Interrupted);
        assert_eq!(job.state_at(at(9)), State::NotAllowedToStart);
        job.rest(at(12), Stamp::MAX);
        assert_eq!(job.spans, [span(10, 12)]);
        (job.state, job.ended_at) = (State::Ended, Some(at(40)));
        assert_eq!((job.state_at(at(39)), job.state_at(at(40))), (State::Interrupted, State::Ended));
    }

    #[test]
    fn an_event_of_an_older_release_is_read() {
        let old = r#"{"machine":"press-7","change":"started","at":5,"decided":6,"by":"plc",
            "order":{"order":"4711","product":null,"lot":null,"ideal":null},"from":5,"window":null,
            "counts":{},"raw":{}}"#;
        let event: Event = serde_json::from_str(old).unwrap();
        assert_eq!(event.job.number(), "4711");
        let booked = Booked { from: Stamp::from_ms(5), to: None, order: Some(event.job.order.clone()) };
        assert_eq!(event.bookings(), [booked]);
    }
}
