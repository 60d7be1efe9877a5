//! The words of the house: what was seen, what happened, and how it is named. No logic lives here.
//!
//! [`Event`] is what happened: an enum with one variant a ledger, each carrying the whole record after it,
//! so that whoever folds events needs nothing else. A [`Told`] event has its place in the one sequence.

pub mod asset;
pub mod command;
pub mod cycle;
pub mod id;
pub mod ideal;
pub mod meter;
pub mod notice;
pub mod operator;
pub mod order;
pub mod part;
pub mod process;
pub mod shift;
pub mod stamp;
pub mod stop;
pub mod wall;
pub mod window;
pub mod work;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use ideal::Ideal;
pub use stamp::Stamp;
pub use wall::Wall;

/// What happened, one variant a ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A machine changed its state, or a downtime was opened, updated or closed.
    Stop(stop::Event),
    /// Parts were counted.
    Part(part::Event),
    /// An order began or ended at a machine, or became another.
    Order(Box<order::Event>),
    /// Maintenance was asked for, or answered.
    Work(work::Event),
    /// Somebody logged on or off.
    Operator(operator::Event),
    /// An asset became another in the register of the CMMS.
    Asset(Box<asset::Event>),
    /// A meter was read.
    Meter(Box<meter::Event>),
    /// A shift was stated.
    Shift(shift::Event),
    /// Somebody should know.
    Notice(notice::Event),
}

impl Event {
    /// The kind: the second word of the event's type and the last of its topic.
    pub fn kind(&self) -> &'static str {
        match self {
            Event::Stop(stop::Event::State(_)) => "state",
            Event::Stop(stop::Event::Downtime(_)) => "downtime",
            Event::Part(_) => "production",
            Event::Order(_) => "order",
            Event::Work(work::Event::Request(_)) => "work-request",
            Event::Work(work::Event::Order(_)) => "work-order",
            Event::Operator(_) => "operator",
            Event::Asset(_) => "asset",
            Event::Meter(_) => "meter",
            Event::Shift(_) => "shift",
            Event::Notice(_) => "notice",
        }
    }

    /// The event's own time: what its stamp says, not when it was written.
    pub fn time(&self) -> Stamp {
        match self {
            Event::Stop(event) => event.time(),
            Event::Part(part::Event::Counted(counted)) => counted.to,
            Event::Order(order) => order.at,
            Event::Work(event) => event.time(),
            Event::Operator(operator) => operator.at,
            Event::Asset(asset) => asset.at,
            Event::Meter(read) => read.at,
            Event::Shift(shift) => shift.at,
            Event::Notice(notice) => notice.at,
        }
    }

    /// The event's own time by the wall clock; a step is told in the time that it leads to.
    pub fn shown(&self, wall: &Wall) -> Stamp {
        match self {
            Event::Notice(notice::Event { at, clock: Some(era), .. }) => at.plus(era.offset_ms),
            event => wall.of(event.time()),
        }
    }

    /// The machine that it is about; `None` for the gateway's own.
    pub fn machine(&self) -> Option<&str> {
        match self {
            Event::Stop(stop::Event::State(change)) => Some(&change.machine),
            Event::Stop(stop::Event::Downtime(downtime)) => Some(&downtime.machine),
            Event::Part(part::Event::Counted(counted)) => Some(&counted.machine),
            Event::Order(order) => Some(&order.machine),
            Event::Work(event) => Some(event.machine()),
            Event::Operator(operator) => Some(&operator.machine),
            Event::Asset(_) => None,
            Event::Meter(read) => (!read.is_gone).then_some(&read.machine),
            Event::Shift(shift) => Some(&shift.machine),
            Event::Notice(notice) => notice.machine.as_deref(),
        }
    }
}

/// An event with its place in the gateway's one sequence: what the journal keeps and the world is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// From 1 in each epoch, gap-free per gateway.
    pub sequence: u64,
    /// From 1, raised when a journal was lost or restored.
    pub epoch: u32,
    /// From 1 in each epoch, gap-free per topic.
    pub topic_sequence: u64,
    /// `line-2/press-7/downtime`; the gateway's own: `_gateway/gw-hall-3/notice`.
    pub topic: String,
    /// CloudEvents `id`.
    pub id: Uuid,
    /// When the gateway decided it.
    pub recorded: Stamp,
    /// The command that it follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    /// What happened.
    pub event: Event,
}

/// What stands in the place of a line where an event belongs to no machine.
pub const GATEWAY_LINE: &str = "_gateway";

/// The key of a topic: `{line}/{machine}/{kind}`, or `_gateway/{gateway}/{kind}` for what belongs to no machine.
pub fn topic_key(gateway: &str, machine: Option<(&str, &str)>, kind: &str) -> String {
    match machine {
        Some((line, machine)) => format!("{line}/{machine}/{kind}"),
        None => format!("{GATEWAY_LINE}/{gateway}/{kind}"),
    }
}
