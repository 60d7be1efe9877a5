//! Readings of one machine in, edges and credits out: all that is volatile and can be seen again.

use super::{
    Desk, Known,
    known::Machine,
    part::{PartMark, Parts, Role},
    rules::{MachineRules, Operand, RunRule},
    stop::{self, Cause, Parting},
};
use crate::{
    event::{
        Stamp, notice,
        part::Why,
        stop::{Class, CountsIn, Going},
    },
    signal::{
        Reading, Value,
        mode::{Mode, ModeRule},
        motion::{Edge, Motion, MotionRule},
        pace::{Pace, PaceRule},
    },
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A restart is bridged like missed polls up to so long where `no_data` is `"off"`. Milliseconds.
const RESTART_BRIDGE_MS: i64 = 5_000;

/// Most unknown state codes that are said: some PLCs show a running number where a code is expected.
const UNMAPPED_CODES: usize = 64;

/// What decides whether the machine runs.
#[derive(Clone, Debug)]
enum Watch {
    Signal { motion: Motion, hold_ms: i64, last_true: Option<Stamp> },
    Counts(Pace),
}

impl Watch {
    fn new(rules: &MachineRules, mark: WatchMark, settled: Option<Going>, last_good: Option<Stamp>) -> Watch {
        match rules.run {
            RunRule::Signal { .. } | RunRule::Expression { .. } | RunRule::State => {
                let hold_ms = if let RunRule::Signal { hold_ms, .. } = rules.run { hold_ms } else { 0 };
                let rule = MotionRule {
                    debounce_ms: rules.debounce_ms,
                    debounce_run_ms: rules.debounce_run_ms,
                    no_data_ms: rules.no_data_ms,
                };
                let motion = mark.motion.unwrap_or_default().resume(rule, settled, last_good);
                Watch::Signal { motion, hold_ms, last_true: mark.last_true }
            }
            RunRule::Counts { stop_after_ms } => {
                let rule = PaceRule {
                    stop_after_ms,
                    cycle_ms: rules.ideal.map_or(0, |ideal| ideal.time_ms(rules.parts_per_cycle)),
                    no_data_ms: rules.no_data_ms,
                };
                Watch::Counts(mark.pace.unwrap_or_default().resume(rule, settled, last_good))
            }
        }
    }

    fn mark(&self) -> WatchMark {
        match self {
            Watch::Signal { motion, last_true, .. } => {
                WatchMark { motion: Some(motion.clone()), pace: None, last_true: *last_true }
            }
            Watch::Counts(pace) => WatchMark { motion: None, pace: Some(pace.clone()), last_true: None },
        }
    }
}

/// What one observation says of one machine; `None`: nothing new.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    /// The run signal; inner `None` is a failed read.
    run: Option<Option<bool>>,
    /// Points of the expression that were looked at; an inner `None` is a failed read.
    operands: Vec<(usize, Option<i64>)>,
    /// What the expression hangs on was not read for `no_data`.
    is_stale: bool,
    /// The state code; inner `None` is a failed read.
    state: Option<Option<i64>>,
    /// The fault code.
    fault: Option<i64>,
    /// Raw counters that were read.
    raws: Vec<(Role, i64)>,
    /// The counter that decides the state could not be read.
    count_failed: bool,
    /// Something was laid in, be it only that a read failed.
    is_used: bool,
}

/// What a point is to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The run signal.
    Run,
    /// A point of the expression that is the run signal.
    Operand(usize),
    /// The state code.
    State,
    /// The fault code.
    Fault,
    /// A counter, and whether it decides the state.
    Count(Role, bool),
}

/// The last look at a point of an expression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// `None`: it failed.
    value: Option<i64>,
    /// `None`: never.
    at: Option<Stamp>,
    last_true: Option<Stamp>,
}

/// One machine as far as it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    watch: Watch,
    /// The points of the expression, in its order.
    operands: Vec<Held>,
    /// What the state signal says of a stop.
    mode: Mode,
    /// State codes in no list that were said.
    unmapped: BTreeSet<i64>,
    /// Its counters.
    pub parts: Parts,
    fault: i64,
    /// The first fault since a still edge was suspected.
    first_fault: i64,
    /// The first good look after the last gap: parts that came before it came unseen.
    dark_until: Option<Stamp>,
    parts_in_gap: bool,
    /// The last good look before this start of the gateway.
    before_restart: Option<Stamp>,
    /// The last look at what decides the state.
    last_good: Option<Stamp>,
    /// When the open stop becomes a downtime.
    due: Option<Stamp>,
    /// The first fault of a stop that was external or changeover so far: it splits the stop once that is a downtime.
    later_fault: Option<(Stamp, i64)>,
    /// What will split the open stop.
    parting: Option<Parting>,
    /// Parts that came while it stands; `None` once that was said.
    while_stopped: Option<i64>,
    inbox: Inbox,
}

/// What of a machine must survive a crash of the gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeenMark {
    /// The last good look at what decides the state.
    pub last_good: Option<Stamp>,
    /// Its counters.
    pub parts: PartMark,
    /// What decides the state, with an edge that waits for its confirmation.
    pub watch: WatchMark,
    /// The points of the expression, by name.
    pub operands: BTreeMap<String, Held>,
    /// What the state signal says.
    pub mode: Mode,
    /// State codes in no list that were said.
    pub unmapped: BTreeSet<i64>,
    /// The first fault of a stop that was external or changeover so far.
    pub later_fault: Option<(Stamp, i64)>,
    /// The fault code shown, and the first one since the machine was suspected to stand.
    pub faults: (i64, i64),
    /// The first good look after the last gap.
    pub dark_until: Option<Stamp>,
    /// Parts came while nobody looked.
    pub parts_in_gap: bool,
    /// Parts that came while it stands; `None` once that was said.
    pub while_stopped: Option<i64>,
}

/// The one of the two that the machine has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchMark {
    motion: Option<Motion>,
    pace: Option<Pace>,
    last_true: Option<Stamp>,
}

impl Seen {
    /// A machine that was never seen.
    pub fn new(rules: &MachineRules) -> Seen {
        Seen {
            watch: Watch::new(rules, WatchMark::default(), None, None),
            operands: held(rules, &BTreeMap::new()),
            mode: Mode::default(),
            unmapped: BTreeSet::new(),
            parts: Parts::new(rules, None),
            fault: 0,
            first_fault: 0,
            dark_until: None,
            parts_in_gap: false,
            before_restart: None,
            last_good: None,
            due: None,
            later_fault: None,
            parting: None,
            while_stopped: Some(0),
            inbox: Inbox::default(),
        }
    }

    /// The gateway starts again: what the journal knows, and the mark that was made after event `marked`.
    pub fn resume(&mut self, rules: &MachineRules, machine: &Machine, mark: &SeenMark, marked: u64) {
        let mut parts = mark.parts.clone();
        if let Some(told) = machine.told.as_ref().filter(|told| told.sequence > marked) {
            parts.advance(&rules.counters, &told.counts, &told.raw);
        }
        self.parts = Parts::new(rules, Some(&parts));
        let told_at = machine.current.map(|current| current.at.max(current.since));
        self.last_good = mark.last_good.max(told_at);
        self.before_restart = self.last_good;
        let settled = machine.current.map(|current| current.going);
        self.watch = Watch::new(rules, mark.watch.clone(), settled, self.last_good);
        self.operands = held(rules, &mark.operands);
        (self.mode, self.unmapped) = (mark.mode.clone(), mark.unmapped.clone());
        self.later_fault = mark.later_fault;
        (self.fault, self.first_fault) = mark.faults;
        (self.dark_until, self.parts_in_gap) = (mark.dark_until, mark.parts_in_gap);
        self.while_stopped = mark.while_stopped;
        self.due = stop::due(machine);
    }

    /// What must survive.
    pub fn mark(&self, rules: &MachineRules) -> SeenMark {
        let names = operands(rules).iter().map(|operand| operand.name.clone());
        SeenMark {
            operands: names.zip(self.operands.iter().copied()).collect(),
            mode: self.mode.clone(),
            unmapped: self.unmapped.clone(),
            later_fault: self.later_fault,
            last_good: self.last_good,
            parts: self.parts.mark(),
            watch: self.watch.mark(),
            faults: (self.fault, self.first_fault),
            dark_until: self.dark_until,
            parts_in_gap: self.parts_in_gap,
            while_stopped: self.while_stopped,
        }
    }

    /// Lays a reading in the inbox; whether it is the first one there.
    pub fn receive(&mut self, what: Use, reading: &Reading) -> bool {
        let value = match reading {
            Reading::Good(value) => Some(value),
            Reading::Bad(_) => None,
        };
        match what {
            Use::Run => self.inbox.run = Some(value.and_then(Value::as_bool)),
            Use::Operand(place) => self.inbox.operands.push((place, value.and_then(Value::as_int))),
            Use::State => self.inbox.state = Some(value.and_then(Value::as_int)),
            Use::Fault => self.inbox.fault = value.and_then(Value::as_int).or(self.inbox.fault),
            Use::Count(role, decides) => match value.and_then(Value::as_int) {
                Some(raw) => self.inbox.raws.push((role, raw)),
                None => self.inbox.count_failed |= decides,
            },
        }
        !std::mem::replace(&mut self.inbox.is_used, true)
    }

    /// Works the inbox off. `is_last`: the last row of a recording, whose values change nothing but counts.
    pub fn see(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, at: Stamp, is_last: bool) {
        let mut inbox = std::mem::take(&mut self.inbox);
        if let Some(away_since) = self.before_restart.take() {
            self.miss_restart(desk, rules, away_since, at);
            self.refresh_parting(desk, rules, at);
        }
        if !is_last {
            self.combine(rules, &mut inbox, at);
            self.watch_state(desk, rules, &inbox, at);
        }
        let was_blind = self.is_blind();
        let last_look = self.parts.last_look();
        let look = self.parts.see(desk, rules, &inbox.raws, at);

        let is_back = was_blind && !is_last && self.shows_good(&inbox);
        let ran_through = is_back && self.ran_through(desk, rules, &inbox, look.parts, at);
        if is_back && !ran_through {
            self.dark_until = Some(at);
        }
        let came_unseen = (was_blind || last_look < self.dark_until) && !ran_through;
        if look.is_news() {
            self.parts_in_gap |= came_unseen && look.parts != 0;
            self.parts.enter(desk, rules, came_unseen);
        }
        if look.is_first {
            desk.is_mark_due = true;
        }

        let fault_before = self.fault;
        if let Some(fault) = inbox.fault.filter(|_| !is_last) {
            self.fault = fault;
            if self.first_fault == 0 {
                self.first_fault = fault;
            }
        }
        if !is_last {
            self.watch_readings(desk, rules, &inbox, look.parts, at, ran_through);
            if self.fault != fault_before && self.fault != 0 {
                if stop::splits(desk, rules, self.fault) {
                    self.later_fault.get_or_insert((at, self.fault));
                    if rules.open_at_fault {
                        stop::open_downtime(desk, rules, &self.around(), at);
                    }
                } else {
                    stop::fault(desk, rules, &self.around(), at);
                }
                self.refresh_due(desk, rules);
            }
        }
        if self.first_fault != 0 && !self.is_stopping() && !self.stands(desk, rules) {
            self.first_fault = 0;
        }
        if !came_unseen && !self.is_starting() {
            self.watch_contradiction(desk, rules, look.parts);
        }
        if look.is_adjusted {
            self.parts.tell(desk, rules, at, Why::Adjustment);
        }
        inbox.raws.clear();
        inbox.operands.clear();
        self.inbox = Inbox { raws: inbox.raws, operands: inbox.operands, ..Inbox::default() };
        self.open_if_due(desk, rules, at);
        self.refresh_parting(desk, rules, at);
        self.part_if_due(desk, rules, self.horizon(at));
    }

    /// Time went by.
    pub fn tick(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, now: Stamp) {
        let said = self.mode.settled();
        self.mode.tick(mode_rule(rules), now);
        if self.mode.settled() != said {
            self.refresh_parting(desk, rules, now);
        }
        let mut edges = std::mem::take(&mut desk.edges);
        match &mut self.watch {
            Watch::Signal { motion, .. } => motion.tick(now, &mut edges),
            Watch::Counts(pace) => pace.tick(now, &mut edges),
        }
        self.enter(desk, rules, edges);
        self.open_if_due(desk, rules, now);
        self.part_if_due(desk, rules, self.horizon(now));
    }

    /// Nothing was ever read of it: unknown from here on.
    pub fn begin(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, at: Stamp) {
        if self.last_good.is_none() && !desk.known.machines.contains_key(&rules.id) {
            let mut edges = std::mem::take(&mut desk.edges);
            match &mut self.watch {
                Watch::Signal { motion, .. } => motion.see(at, None, &mut edges),
                Watch::Counts(pace) => pace.see(at, None, &mut edges),
            }
            self.enter(desk, rules, edges);
        }
    }

    /// The recording ends: what was shown last held until now.
    pub fn close(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, now: Stamp) {
        let mut edges = std::mem::take(&mut desk.edges);
        match &mut self.watch {
            Watch::Signal { motion, .. } => motion.close(now, &mut edges),
            Watch::Counts(pace) => pace.close(now, &mut edges),
        }
        self.mode.close(mode_rule(rules), now);
        self.enter(desk, rules, edges);
        self.open_if_due(desk, rules, now);
        self.refresh_parting(desk, rules, now);
        self.part_if_due(desk, rules, self.horizon(now));
    }

    /// When a tick could change something.
    pub fn next_wake(&self, rules: &MachineRules) -> Stamp {
        let watch = match &self.watch {
            Watch::Signal { motion, .. } => motion.next_wake(),
            Watch::Counts(pace) => pace.next_wake(),
        };
        // Where silence is judged by time, only a look can make an open stop longer.
        let due = self.due.filter(|due| self.horizon(*due) >= *due);
        let parting = self.parting.filter(|parting| self.holds_until(rules, parting, self.horizon(parting.due)));
        let parting = parting.map_or(Stamp::MAX, |parting| parting.due);
        watch.min(due.unwrap_or(Stamp::MAX)).min(parting).min(self.mode.next_wake(mode_rule(rules)))
    }

    /// The fault code shown now, 0 for none.
    pub fn fault(&self) -> i64 {
        self.fault
    }

    fn watch_readings(
        &mut self,
        desk: &mut Desk<'_>,
        rules: &MachineRules,
        inbox: &Inbox,
        parts: i64,
        at: Stamp,
        ran_through: bool,
    ) {
        let mut edges = std::mem::take(&mut desk.edges);
        let current = |known: &Known| known.machines.get(&rules.id)?.current;
        let gap_from = if ran_through { current(desk.known).map(|gap| gap.since) } else { None };
        let is_good = self.shows_good(inbox);
        match (&mut self.watch, gap_from) {
            (Watch::Signal { motion, .. }, Some(gap_from)) => motion.bridge(gap_from, at, &mut edges),
            (Watch::Signal { motion, .. }, None) if inbox.is_stale => {
                motion.miss(self.last_good.unwrap_or(at), &mut edges);
            }
            (Watch::Counts(pace), Some(gap_from)) => pace.bridge(gap_from, at, &mut edges),
            (Watch::Signal { motion, hold_ms, last_true }, None) => {
                if let Some(run) = inbox.run {
                    let run = run.map(|run| {
                        if run {
                            *last_true = Some(at);
                        }
                        run || last_true.is_some_and(|last| at.since(last) < *hold_ms)
                    });
                    motion.see(at, run, &mut edges);
                }
            }
            (Watch::Counts(pace), None) => {
                if is_good {
                    pace.see(at, Some(parts), &mut edges);
                } else if inbox.count_failed {
                    pace.see(at, None, &mut edges);
                }
            }
        }
        if is_good {
            self.last_good = Some(at);
        }
        self.enter(desk, rules, edges);
    }

    /// Makes one run signal of the points that belong to it: of some that were looked at now, and the last look at the others.
    fn combine(&mut self, rules: &MachineRules, inbox: &mut Inbox, at: Stamp) {
        match &rules.run {
            RunRule::Expression { expression, operands } if !inbox.operands.is_empty() => {
                for (place, value) in &inbox.operands {
                    let (held, hold_ms) = (&mut self.operands[*place], operands[*place].hold_ms);
                    (held.value, held.at) = (*value, Some(at));
                    if value.is_some_and(|value| value != 0) {
                        held.last_true = Some(at);
                    } else if value.is_some() && held.last_true.is_some_and(|last| at.since(last) < hold_ms) {
                        held.value = Some(1);
                    }
                }
                let is_fresh = |held: &Held| match (held.at, rules.no_data_ms) {
                    (Some(read), Some(no_data_ms)) => at.since(read) <= no_data_ms,
                    (read, None) => read.is_some(),
                    (None, Some(_)) => false,
                };
                let value = |place: usize| self.operands.get(place).filter(|held| is_fresh(held))?.value;
                let holds = expression.holds(&value);
                // A point that was never read says nothing yet.
                if holds.is_some() || self.operands.iter().all(|held| held.at.is_some()) {
                    inbox.run = Some(holds);
                    inbox.is_stale = holds.is_none() && self.operands.iter().any(|held| !is_fresh(held));
                }
            }
            RunRule::State => {
                let runs = |code: i64| rules.state.as_ref().is_some_and(|state| state.running.contains(&code));
                inbox.run = inbox.state.map(|state| state.map(runs));
            }
            RunRule::Expression { .. } | RunRule::Signal { .. } | RunRule::Counts { .. } => {}
        }
    }

    /// A failed read of the state code leaves what it said last.
    fn watch_state(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, inbox: &Inbox, at: Stamp) {
        let (Some(state), Some(Some(code))) = (&rules.state, inbox.state) else { return };
        let class = state.class(code);
        if class.is_none() && self.unmapped.len() < UNMAPPED_CODES && self.unmapped.insert(code) {
            let text =
                format!("state code {code} stands in no list of [machine.states]: a stop under it is unassigned");
            desk.notice(Some(&rules.id), "state_unmapped", notice::Severity::Warning, text);
        }
        let said = self.mode.settled();
        self.mode.see(mode_rule(rules), at, class.unwrap_or(Class::Unassigned));
        if self.mode.settled() != said {
            self.refresh_parting(desk, rules, at);
        }
    }

    /// A part may fall after the edge; from the second cycle on, signal and counter contradict each other. Neither while
    /// a run waits for its confirmation, nor for parts that came when nobody looked: then the signal says nothing else.
    fn watch_contradiction(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, parts: i64) {
        if parts == 0 || !self.stands(desk, rules) {
            return;
        }
        let Some(came) = &mut self.while_stopped else { return };
        *came += parts;
        if *came > rules.parts_per_cycle {
            self.while_stopped = None;
            let text =
                "parts come although the run signal says that it stands: they are counted, the stop goes on".to_owned();
            desk.notice(Some(&rules.id), "parts_while_stopped", notice::Severity::Warning, text);
        }
    }

    fn enter(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, mut edges: Vec<Edge>) {
        for edge in edges.drain(..) {
            self.part_if_due(desk, rules, edge.at);
            match edge.to {
                Going::Unknown => self.parts_in_gap = false,
                Going::Running | Going::Still => self.while_stopped = Some(0),
            }
            stop::edge(desk, rules, &self.around(), edge);
            self.refresh_due(desk, rules);
            self.refresh_parting(desk, rules, desk.now);
        }
        desk.edges = edges;
    }

    fn open_if_due(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, now: Stamp) {
        if let Some(due) = self.due
            && self.horizon(now) >= due
        {
            stop::open_downtime(desk, rules, &self.around(), due);
            self.due = None;
        }
    }

    /// Splits the open stop, if it is certain that it stood and the cause held until `until`.
    fn part_if_due(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, until: Stamp) {
        if let Some(parting) = self.parting
            && self.holds_until(rules, &parting, until)
        {
            self.parting = None;
            if let Cause::Fault(_) = parting.cause {
                self.later_fault = None;
            }
            stop::split(desk, rules, &self.around(), parting, until);
            self.refresh_due(desk, rules);
        }
    }

    fn holds_until(&self, rules: &MachineRules, parting: &Parting, until: Stamp) -> bool {
        let held = match parting.cause {
            Cause::Signal(_) => self.mode.horizon(mode_rule(rules), until),
            Cause::Fault(_) => until,
        };
        held.min(until) >= parting.due
    }

    /// What may split the open stop: a fault before the state signal.
    fn refresh_parting(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, now: Stamp) {
        if rules.state.is_none() && self.later_fault.is_none() && self.parting.is_none() {
            return;
        }
        self.parting = None;
        let Some(machine) = desk.known.machines.get(&rules.id) else { return };
        let (current, open) = (machine.current, machine.book.open_stop());
        let (Some(current), Some(open)) = (current, open) else {
            self.later_fault = None;
            return;
        };
        if current.going != Going::Still {
            return;
        }
        let signal = open.signal;
        self.later_fault = self.later_fault.filter(|(_, code)| stop::splits(desk, rules, *code));
        if let Some((at, code)) = self.later_fault {
            let at = at.max(current.since);
            let due = self.due.unwrap_or(at).max(at.plus(1));
            self.parting = Some(Parting { at, due, cause: Cause::Fault(code) });
        } else if let Some(said) = self.mode.settled().filter(|(class, _)| signal != Some(*class)) {
            self.parting = stop::signal(desk, rules, || self.around(), said, now);
        }
    }

    /// The gateway itself was away: bridged like missed polls if it was short.
    fn miss_restart(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, away_since: Stamp, at: Stamp) {
        if rules.no_data_ms.is_none() && at.since(away_since) > RESTART_BRIDGE_MS {
            self.operands.fill(Held::default());
            self.mode.miss();
            let mut edges = std::mem::take(&mut desk.edges);
            match &mut self.watch {
                Watch::Signal { motion, .. } => motion.miss(away_since, &mut edges),
                Watch::Counts(pace) => pace.miss(away_since, &mut edges),
            }
            self.enter(desk, rules, edges);
        }
    }

    /// It ran before the gap and after it, and as many parts came as fit in: then it ran through.
    fn ran_through(&self, desk: &Desk<'_>, rules: &MachineRules, inbox: &Inbox, parts: i64, at: Stamp) -> bool {
        let Some((ideal, machine)) = rules.ideal.zip(desk.known.machines.get(&rules.id)) else { return false };
        let [.., before, gap] = machine.book.intervals.as_slice() else { return false };
        let runs = match self.watch {
            Watch::Signal { .. } => inbox.run == Some(Some(true)),
            Watch::Counts(_) => true,
        };
        let ran = before.going == Going::Running && gap.going == Going::Unknown;
        ran && runs && parts > 0 && ideal.time_ms(parts) >= at.since(gap.from) - ideal.cycle_ms()
    }

    fn around(&self) -> stop::Around {
        stop::Around {
            fault: self.fault,
            first_fault: self.first_fault,
            signal: self.mode.settled().map(|(class, _)| class),
            parts_in_gap: self.parts_in_gap,
            counts: *self.parts.counts(),
            raw: self.parts.raw(),
        }
    }

    fn refresh_due(&mut self, desk: &Desk<'_>, rules: &MachineRules) {
        self.due = desk.known.machines.get(&rules.id).and_then(stop::due);
    }

    fn shows_good(&self, inbox: &Inbox) -> bool {
        match self.watch {
            Watch::Signal { .. } => matches!(inbox.run, Some(Some(_))),
            Watch::Counts(_) => !inbox.raws.is_empty() && !inbox.count_failed,
        }
    }

    fn stands(&self, desk: &Desk<'_>, rules: &MachineRules) -> bool {
        let machine = desk.known.machines.get(&rules.id);
        machine.is_some_and(|machine| machine.book.open_stop().is_some_and(|stop| stop.counts_in != CountsIn::None))
    }

    fn is_blind(&self) -> bool {
        match &self.watch {
            Watch::Signal { motion, .. } => motion.is_blind(),
            Watch::Counts(pace) => pace.is_blind(),
        }
    }

    fn is_stopping(&self) -> bool {
        match &self.watch {
            Watch::Signal { motion, .. } => motion.is_stopping(),
            Watch::Counts(pace) => pace.is_stopping(),
        }
    }

    fn is_starting(&self) -> bool {
        match &self.watch {
            Watch::Signal { motion, .. } => motion.is_starting(),
            Watch::Counts(_) => false,
        }
    }

    fn horizon(&self, now: Stamp) -> Stamp {
        match &self.watch {
            Watch::Signal { motion, .. } => motion.horizon(now),
            Watch::Counts(pace) => pace.horizon(now),
        }
    }
}

/// The points of the machine's expression.
fn operands(rules: &MachineRules) -> &[Operand] {
    match &rules.run {
        RunRule::Expression { operands, .. } => operands,
        RunRule::Signal { .. } | RunRule::State | RunRule::Counts { .. } => &[],
    }
}

fn held(rules: &MachineRules, marks: &BTreeMap<String, Held>) -> Vec<Held> {
    operands(rules).iter().map(|operand| marks.get(&operand.name).copied().unwrap_or_default()).collect()
}

fn mode_rule(rules: &MachineRules) -> ModeRule {
    ModeRule { debounce_ms: rules.debounce_ms, no_data_ms: rules.no_data_ms }
}
