//! The configuration as the shop needs it: every reference resolved, every default filled in. Changes only by a restart.

use crate::{
    books::{Calendar, Counting, Ideal, Measure, Oee, Terms},
    event::{
        Stamp, Wall,
        part::Counts,
        stop::{Class, CountsIn},
    },
    signal::{PointIx, expression::Expression},
};
use serde::Serialize;
use std::sync::Arc;

/// Everything that the shop is told before it opens.
#[derive(Clone, Debug)]
pub struct Rules {
    /// `[gateway] id`
    pub gateway: String,
    /// `[gateway] path`
    pub path: String,
    /// The plant's zone and days; what is planned stands at each machine.
    pub calendar: Calendar,
    /// Where losses go.
    pub oee: Oee,
    /// How long after its end a window that still waits for something becomes final. Milliseconds.
    pub final_after_ms: i64,
    /// Meters are read so often, at the hours of the wall clock; `None` for `"off"`: there are none. Milliseconds.
    pub meter_every_ms: Option<i64>,
    /// `[[product]]`, in order.
    pub products: Vec<ProductRule>,
    /// `[[reason]]`, in order.
    pub reasons: Vec<ReasonRule>,
    /// `[[machine]]`, in order.
    pub machines: Vec<MachineRules>,
    /// `[[line]]`, in order; a line without one is the sum of its machines.
    pub lines: Vec<LineRule>,
    /// When maintenance is asked for.
    pub work: WorkRules,
}

/// When maintenance is asked for, and what is kept of the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkRules {
    /// `[[work_request]]`, in order.
    pub requests: Vec<WorkRule>,
    /// Running time since the last occurrence after which an open request holds back no other. Milliseconds.
    pub reopen_after_ms: i64,
    /// What the CMMS calls priorities 1 to 4.
    pub priority_map: Option<[String; 4]>,
    /// Whether ids of persons are kept and leave the gateway.
    pub names_persons: bool,
}

impl Default for WorkRules {
    fn default() -> WorkRules {
        WorkRules { requests: Vec::new(), reopen_after_ms: 8 * 3_600_000, priority_map: None, names_persons: false }
    }
}

/// One `[[work_request]]`: each of its limits alone makes it fire.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkRule {
    /// Its name.
    pub name: String,
    /// Class of the stops that it looks at; `None`: all but planned ones.
    pub class: Option<Class>,
    /// `[[reason]] code`s that it looks at; neither these nor `faults`: all.
    pub reasons: Vec<String>,
    /// Fault codes that it looks at.
    pub faults: Vec<i64>,
    /// Machines that it looks at; empty: all.
    pub machines: Vec<String>,
    /// A downtime of at least this long. Milliseconds.
    pub after_ms: Option<i64>,
    /// So many stops for one problem …
    pub times: Option<usize>,
    /// … within this time. Milliseconds.
    pub within_ms: i64,
    /// Every so many hours of running.
    pub run_hours: Option<i64>,
    /// Every so many cycles.
    pub cycles: Option<i64>,
    /// 1 highest … 4.
    pub priority: u8,
}

/// One `[[line]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LineRule {
    /// As in `[[machine]] line`.
    pub id: String,
    /// The machine whose figures are the line's; without one they are the sum of its machines.
    pub bottleneck: Option<String>,
}

/// One `[[reason]]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReasonRule {
    /// `mech.jam`
    pub code: String,
    /// For people.
    pub text: String,
    /// Its class.
    pub class: Class,
    /// Where it counts, if it says so itself; else by class and convention.
    pub counts_in: Option<CountsIn>,
    /// PLC fault codes that name it; never 0.
    pub faults: Vec<i64>,
    /// Machines that `faults` is limited to; empty: all.
    pub machines: Vec<String>,
}

/// One `[[product]]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProductRule {
    /// Its number.
    pub code: String,
    /// Time per part; that of the machine where it has none.
    pub ideal: Option<Ideal>,
}

/// One `[[machine]]`. Durations in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MachineRules {
    /// Its id.
    pub id: String,
    /// Its line.
    pub line: String,
    /// Its key in the CMMS.
    pub asset: String,
    /// Its shifts, breaks and planned stops.
    pub calendar: Arc<Calendar>,
    /// Time per part.
    pub ideal: Option<Ideal>,
    /// What says that it runs.
    pub run: RunRule,
    /// What counts its parts.
    pub counters: Counters,
    /// The PLC's fault code; 0 for none.
    #[serde(skip)]
    pub fault: Option<PointIx>,
    /// The PLC's state code: it says of which class a stop is, and without a run signal whether it runs.
    pub state: Option<StateRule>,
    /// The number of the order that the PLC knows; empty or 0 for none.
    #[serde(skip)]
    pub order: Option<PointIx>,
    /// What the PLC makes; without it an order that is named like a product is one of that product.
    #[serde(skip)]
    pub product: Option<PointIx>,
    /// It may not run without an order: a stop without one is external.
    pub order_required: bool,
    /// A downtime that lasts so long is split, so that its parts can have reasons of their own.
    pub split_after_ms: Option<i64>,
    /// A still edge must hold so long.
    pub debounce_ms: i64,
    /// A running edge must hold so long.
    pub debounce_run_ms: i64,
    /// From here on a stop is a downtime.
    pub short_stop_ms: i64,
    /// A downtime opens at once when the PLC names a fault: `open_at = "fault"`.
    pub open_at_fault: bool,
    /// Silence after which the state is unknown; `None` for `"off"`: only a failed read is, at once.
    pub no_data_ms: Option<i64>,
    /// Poll interval of the point that decides the state: the uncertainty of an edge.
    pub poll_ms: i64,
    /// Plausible most parts in a time, as time per part; `None`: half the modulus a reading.
    pub max_rate: Option<Ideal>,
    /// Parts that one count stands for.
    pub parts_per_cycle: i64,
    /// What a lot must prove, in order of the names.
    pub process: Vec<ProcessRule>,
}

/// One process value of a machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProcessRule {
    /// `temperature`
    pub name: String,
    /// Where it is read.
    #[serde(skip)]
    pub point: PointIx,
    /// How often.
    pub poll_ms: i64,
}

/// What says that a machine runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum RunRule {
    /// A run signal; true after the last true sample for `hold_ms`.
    Signal {
        /// The point.
        #[serde(skip)]
        point: PointIx,
        /// A blinking lamp is lit as long.
        hold_ms: i64,
    },
    /// Points combined; they may be of several PLCs.
    Expression {
        /// Over `operands`, by their place.
        expression: Expression,
        /// Its points.
        operands: Vec<Operand>,
    },
    /// The state code: it runs while that is one of `running`.
    State,
    /// Parts: it stands from `stop_after_ms` without one on, dated last part + one ideal cycle.
    Counts {
        /// Time without a part.
        stop_after_ms: i64,
    },
}

/// One point of an expression.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Operand {
    /// Where it is read.
    #[serde(skip)]
    pub point: PointIx,
    /// The point's name: what a mark knows it by.
    pub name: String,
    /// A blinking lamp is lit as long.
    pub hold_ms: i64,
}

/// What the codes of a machine's state point mean; each stands in one list at most.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StateRule {
    /// Where it is read.
    #[serde(skip)]
    pub point: PointIx,
    /// How often.
    pub poll_ms: i64,
    /// It runs.
    pub running: Vec<i64>,
    /// It stands unplanned.
    pub down: Vec<i64>,
    /// It is being set up.
    pub changeover: Vec<i64>,
    /// It stands as planned.
    pub planned_stop: Vec<i64>,
    /// Starved or blocked.
    pub external: Vec<i64>,
}

impl StateRule {
    /// The class of a stop under this code; `None` for a code in no list.
    pub fn class(&self, code: i64) -> Option<Class> {
        let lists = [
            (&self.external, Class::External),
            (&self.changeover, Class::Changeover),
            (&self.planned_stop, Class::Planned),
            (&self.running, Class::Unassigned),
            (&self.down, Class::Unassigned),
        ];
        lists.into_iter().find(|(codes, _)| codes.contains(&code)).map(|(_, class)| class)
    }
}

/// Which counters a machine has: any two, or `total` alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counters {
    /// All parts.
    pub total: Option<Counter>,
    /// Good parts.
    pub good: Option<Counter>,
    /// Scrap.
    pub reject: Option<Counter>,
}

/// One cumulative counter of a PLC.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Counter {
    /// Where it is read.
    #[serde(skip)]
    pub point: PointIx,
    /// The point's name, for `raw`.
    pub name: String,
    /// It starts at 0 again after so many.
    pub modulus: i64,
    /// How often it is read.
    pub poll_ms: i64,
    /// The flag of the PLC that rises when it starts at 0 again.
    #[serde(skip)]
    pub overflow: Option<PointIx>,
}

impl Rules {
    /// The machine whose figures are those of this line, if one alone is.
    pub fn bottleneck(&self, line: &str) -> Option<&str> {
        self.lines.iter().find(|rule| rule.id == line)?.bottleneck.as_deref()
    }

    /// What the figures of a machine hang on.
    pub fn terms(&self, machine: &MachineRules) -> Terms {
        let Counters { total, good, reject } = &machine.counters;
        Terms {
            calendar: machine.calendar.clone(),
            oee: self.oee.clone(),
            ideal: machine.ideal,
            counters: [total, good, reject].into_iter().flatten().map(|counter| counter.name.clone()).collect(),
            final_after_ms: self.final_after_ms,
        }
    }

    /// The same rules, where the wall clock was set as `wall` tells: local times of the calendars follow it.
    #[must_use]
    pub fn on(&self, wall: &Wall) -> Rules {
        let machine =
            |machine: &MachineRules| MachineRules { calendar: Arc::new(machine.calendar.on(wall)), ..machine.clone() };
        Rules {
            calendar: self.calendar.on(wall),
            machines: self.machines.iter().map(machine).collect(),
            ..self.clone()
        }
    }

    /// The `[[reason]]` of a code.
    pub fn reason(&self, code: &str) -> Option<&ReasonRule> {
        self.reasons.iter().find(|reason| reason.code == code)
    }

    /// What the windows of a machine are measured by.
    pub fn measure<'a>(
        &'a self,
        machine: &'a MachineRules,
        counting: Counting,
        as_of: Stamp,
        latest: Option<&'a Counts>,
    ) -> Measure<'a> {
        Measure {
            machine: &machine.id,
            oee: &self.oee,
            calendar: &machine.calendar,
            ideal: machine.ideal,
            counting,
            final_after_ms: self.final_after_ms,
            as_of,
            latest,
            cycles: &[],
        }
    }
}
