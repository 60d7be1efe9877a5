//! The words of what people and other systems ask for, and of the answer that each of them gets.

use super::{Stamp, Wall, asset, operator, order, work};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The sender's own: sent again it changes nothing twice.
    pub command_id: String,
    /// Who.
    pub by: String,
    /// Why, in the sender's words.
    pub comment: Option<String>,
    /// When it takes effect; like every time in it as the wall clock showed it.
    pub at: Stamp,
    /// What.
    pub wish: Wish,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// A downtime's reason; `None` takes back what a person gave, and voids a declared downtime.
    Reason {
        /// Which downtime.
        downtime_id: Uuid,
        /// `[[reason]] code`
        code: Option<String>,
    },
    /// Two downtimes of one.
    Split {
        /// Which downtime.
        downtime_id: Uuid,
        /// The first instant of the second.
        at: Stamp,
        /// The reason of the first; unchanged where nothing is said.
        code: Option<String>,
        /// The reason of the second; unchanged where nothing is said.
        code_after: Option<String>,
        /// The part that work requests and orders go with; the one of class failure where nothing is said.
        work_to: Option<Side>,
    },
    /// One downtime of two that were split: the later one is void.
    Merge {
        /// The one.
        downtime_id: Uuid,
        /// The other.
        with: Uuid,
    },
    /// Unknown time was a downtime.
    Claim {
        /// First instant.
        from: Stamp,
        /// First instant after.
        to: Stamp,
        /// `[[reason]] code`
        code: String,
    },
    /// Good parts were none.
    Scrap {
        /// How many; negative takes back.
        quantity: i64,
        /// What they are.
        kind: Scrap,
        /// Why, in the words of the sender's catalogue: passed through.
        #[serde(default)]
        code: Option<String>,
        /// Whose they are; the order's that ran at that time where nothing is said.
        #[serde(default)]
        order: Option<String>,
    },
    /// What became of a work request.
    WorkOrder(Box<work::Report>),
    /// Maintenance, please.
    WorkRequest(work::Call),
    /// Something about an order.
    Order(order::Wish),
    /// Somebody logs on or off.
    Operator(operator::Wish),
    /// The CMMS tells of its assets.
    Asset(asset::Wish),
    /// Events that a consumer lacks, once more.
    Replay {
        /// Its name.
        consumer: String,
        /// Of what it holds.
        epoch: u32,
        /// The last `topicsequence` held, by topic key.
        after: BTreeMap<String, u64>,
    },
}

/// A part of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The earlier one.
    First,
    /// The later one.
    Second,
}

/// What becomes of parts that were counted as good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scrap {
    /// They are scrapped.
    Scrap,
    /// They are to be worked over.
    Rework,
    /// They were worked over: they add to the yield of their order.
    Reworked,
}

impl Command {
    /// The same on the timeline.
    #[must_use]
    pub fn on(&self, wall: &Wall, now: Stamp) -> Command {
        let instant = |shown| wall.instant(shown, now);
        let wish = match self.wish.clone() {
            Wish::Split { downtime_id, at, code, code_after, work_to } => {
                Wish::Split { downtime_id, at: instant(at), code, code_after, work_to }
            }
            Wish::Claim { from, to, code } => Wish::Claim { from: instant(from), to: instant(to), code },
            Wish::WorkOrder(mut report) => {
                for at in [&mut report.words.actual_start, &mut report.words.actual_finish].into_iter().flatten() {
                    *at = instant(*at);
                }
                Wish::WorkOrder(report)
            }
            wish => wish,
        };
        Command { at: instant(self.at), wish, ..self.clone() }
    }
}

impl Wish {
    /// The last part of the topic that it comes by.
    pub fn verb(&self) -> &'static str {
        match self {
            Wish::Reason { .. } | Wish::Split { .. } | Wish::Merge { .. } | Wish::Claim { .. } => "reason",
            Wish::Scrap { .. } => "scrap",
            Wish::WorkOrder(_) => "work-order",
            Wish::WorkRequest(_) => "work-request",
            Wish::Order(_) => "order",
            Wish::Operator(_) => "operator",
            Wish::Asset(_) => "asset",
            Wish::Replay { .. } => "replay",
        }
    }
}

/// Why a command changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For programs.
    pub code: String,
    /// For people.
    pub text: String,
}

/// Longest text of a refusal: it may quote what was asked for. Characters.
const TEXT: usize = 500;

impl Refusal {
    /// For programs, for people; what is too long is cut.
    pub fn new(code: &str, text: String) -> Refusal {
        let text = match text.char_indices().nth(TEXT) {
            Some((end, _)) => format!("{} …", &text[..end]),
            None => text,
        };
        Refusal { code: code.to_owned(), text }
    }
}

/// What a command is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// A downtime's, a request's, `{machine}/{order}`.
    pub id: String,
    /// As it is now.
    pub revision: u64,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was done.
    Accepted(Option<Subject>),
    /// A later one of its kind was done already.
    Stale(Subject),
    /// Nothing was changed.
    Refused(Refusal),
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// As asked; `None` where it could not be read.
    pub command_id: Option<String>,
    /// As asked.
    pub verb: String,
    /// What became of it.
    pub verdict: Verdict,
}
