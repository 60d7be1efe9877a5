//! Readings of one machine in, edges and credits out: all that is volatile and can be seen again.

use super::{
    Desk, Known,
    correction::{self, Past},
    known::{Current, Machine},
    meter::Live,
    operator,
    order::{self, Making, Switch},
    part::{Look, PartMark, Parts, Role},
    rules::{MachineRules, Operand, RunRule},
    statement,
    stop::{self, Cause, Parting},
    watch::{Watch, WatchMark},
    work,
};
use crate::{
    books::Hours,
    event::{
        Ideal, Stamp,
        command::{Command, Refusal, Verdict, Wish},
        notice,
        order::State,
        part::{Counts, Raw, Why},
        stop::{Class, CountsIn, Fault, Going},
    },
    signal::{
        Reading, Value,
        mode::{Mode, ModeRule},
        motion::Edge,
    },
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A restart is bridged like missed polls up to so long where `no_data` is `"off"`. Milliseconds.
const RESTART_BRIDGE_MS: i64 = 5_000;

/// Edges of the calendar that went by while the gateway was off are made up for so far back. Milliseconds.
const MISSED_MS: i64 = 400 * 86_400_000;

/// From the arrival of a command to its turn. Milliseconds.
const PROMPT_MS: i64 = 1_000;

/// Most faults that wait to see whether the stop goes on: some PLCs show a running number where a code is expected.
const LATE_FAULTS: usize = 17;

/// Most unknown state codes that are said: some PLCs show a running number where a code is expected.
const UNMAPPED_CODES: usize = 64;

/// Most orders and products without a `[[product]]` that are said: an order number is one of its own each time.
const UNLISTED_CODES: usize = 16;

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
    /// What it makes, as far as that was read: the order, the product.
    order: Option<Option<String>>,
    product: Option<Option<String>>,
    /// Process values that were looked at; an inner `None` is a failed read.
    process: Vec<(usize, Option<f64>)>,
    /// Raw counters that were read.
    raws: Vec<(Role, i64)>,
    /// Overflow flags of counters; an inner `None` is a failed read.
    flags: Vec<(Role, Option<bool>)>,
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
    /// The number of the order.
    Order,
    /// The number of the product.
    Product,
    /// A process value.
    Process(usize),
    /// A counter, and whether it decides the state.
    Count(Role, bool),
    /// The overflow flag of a counter.
    Overflow(Role),
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
    mode: Mode<Class>,
    /// What the PLC says that it makes.
    making: Mode<Making>,
    /// The counts before something else was made, while that is not settled.
    before_switch: Option<(Counts, Raw)>,
    /// What was said of that.
    switched: Option<Making>,
    /// State codes in no list that were said.
    unmapped: BTreeSet<i64>,
    /// Orders and products that no `[[product]]` knows and that were said.
    unlisted: BTreeSet<String>,
    /// Its counters.
    pub parts: Parts,
    fault: i64,
    /// The first fault since a still edge was suspected.
    first_fault: i64,
    /// Faults that came while it was open whether the stop goes on, and when.
    late_faults: Vec<(Stamp, i64)>,
    /// The first good look after the last gap: parts that came before it came unseen.
    dark_until: Option<Stamp>,
    parts_in_gap: bool,
    /// The last good look before this start of the gateway.
    before_restart: Option<Stamp>,
    /// The last look at what decides the state.
    last_good: Option<Stamp>,
    /// When the open stop becomes a downtime.
    due: Option<Stamp>,
    /// When a rule asks for maintenance because the open downtime has lasted so long.
    request_due: Option<Stamp>,
    /// The first fault of a stop that was external or changeover so far: it splits the stop once that is a downtime.
    later_fault: Option<(Stamp, i64)>,
    /// Those after it.
    later_others: Vec<i64>,
    /// What will split the open stop.
    parting: Option<Parting>,
    /// The next edge of an hour, a day or a slot of the calendar; `MIN` before the first turn.
    next_edge: Stamp,
    /// What the calendar says now.
    hours: Hours,
    /// When the next shift (or day) to be stated ends.
    next_statement: Stamp,
    /// When the last one ended.
    stated_to: Stamp,
    /// When a provisional statement becomes final whatever it waits for.
    final_at: Stamp,
    /// When the figures of an order that is over become final whatever they wait for.
    orders_final_at: Stamp,
    /// The first turn.
    opened: Stamp,
    /// The last tick.
    ticked: Stamp,
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
    pub mode: Mode<Class>,
    /// What the PLC says that it makes.
    pub making: Mode<Making>,
    /// The counts before something else was made, while that is not settled.
    pub before_switch: Option<(Counts, Raw)>,
    /// State codes in no list that were said.
    pub unmapped: BTreeSet<i64>,
    /// Orders and products that no `[[product]]` knows and that were said.
    pub unlisted: BTreeSet<String>,
    /// The first fault of a stop that was external or changeover so far.
    pub later_fault: Option<(Stamp, i64)>,
    /// Those after it.
    pub later_others: Vec<i64>,
    /// The fault code shown, and the first one since the machine was suspected to stand.
    pub faults: (i64, i64),
    /// Faults that came while it was open whether the stop goes on, and when.
    pub late_faults: Vec<(Stamp, i64)>,
    /// The first good look after the last gap.
    pub dark_until: Option<Stamp>,
    /// Parts came while nobody looked.
    pub parts_in_gap: bool,
    /// Parts that came while it stands; `None` once that was said.
    pub while_stopped: Option<i64>,
}

impl Seen {
    /// A machine that was never seen.
    pub fn new(rules: &MachineRules) -> Seen {
        Seen {
            watch: Watch::new(rules, WatchMark::default(), None, None),
            operands: held(rules, &BTreeMap::new()),
            mode: Mode::default(),
            making: Mode::default(),
            before_switch: None,
            switched: None,
            unmapped: BTreeSet::new(),
            unlisted: BTreeSet::new(),
            parts: Parts::new(rules, None, &Counts::default()),
            fault: 0,
            first_fault: 0,
            late_faults: Vec::new(),
            dark_until: None,
            parts_in_gap: false,
            before_restart: None,
            last_good: None,
            due: None,
            request_due: None,
            later_fault: None,
            later_others: Vec::new(),
            parting: None,
            next_edge: Stamp::MIN,
            hours: Hours::Planned,
            next_statement: Stamp::MAX,
            stated_to: Stamp::MIN,
            final_at: Stamp::MAX,
            orders_final_at: Stamp::MAX,
            opened: Stamp::MIN,
            ticked: Stamp::MIN,
            while_stopped: Some(0),
            inbox: Inbox::default(),
        }
    }

    /// The gateway starts again: what the journal knows (with the cycles `made`), and the mark that was made after event `marked`.
    pub fn resume(&mut self, rules: &MachineRules, machine: &Machine, made: i64, mark: &SeenMark, marked: u64) {
        let mut parts = mark.parts.clone();
        if let Some(told) = machine.told.as_ref().filter(|told| told.sequence > marked) {
            let counts = (&told.counts, &machine.moved);
            parts.advance(&rules.counters, parts_per_cycle(rules, machine), counts, &told.raw);
        }
        // What a counter shows beyond its mark is counted once more; without one nothing is.
        if parts.counters.is_empty() {
            parts.made = parts.made.max(made);
        }
        self.parts = Parts::new(rules, Some(&parts), &machine.moved);
        self.parts.count_by(parts_per_cycle(rules, machine));
        self.parts.gauges.resume(machine.book.process.last().map(|spell| spell.to));
        let is_same = |last: &Stamp| machine.current.is_some_and(|current| runs(current) && current.at <= *last);
        self.parts.resume_cycles(&machine.book, ideal(rules, machine), parts.last_part.filter(is_same));
        let told_at = machine.current.map(|current| current.at.max(current.since));
        self.last_good = mark.last_good.max(told_at);
        self.before_restart = self.last_good;
        let settled = machine.current.map(|current| current.going);
        self.watch = Watch::new(rules, mark.watch.clone(), settled, self.last_good);
        self.operands = held(rules, &mark.operands);
        (self.mode, self.unmapped) = (mark.mode.clone(), mark.unmapped.clone());
        self.unlisted.clone_from(&mark.unlisted);
        (self.making, self.before_switch) = (mark.making.clone(), mark.before_switch.clone());
        (self.later_fault, self.later_others) = (mark.later_fault, mark.later_others.clone());
        (self.fault, self.first_fault) = mark.faults;
        self.late_faults.clone_from(&mark.late_faults);
        (self.dark_until, self.parts_in_gap) = (mark.dark_until, mark.parts_in_gap);
        self.while_stopped = mark.while_stopped;
        self.due = stop::due(rules, machine);
    }

    /// What must survive.
    pub fn mark(&self, rules: &MachineRules) -> SeenMark {
        let names = operands(rules).iter().map(|operand| operand.name.clone());
        SeenMark {
            operands: names.zip(self.operands.iter().copied()).collect(),
            mode: self.mode.clone(),
            making: self.making.clone(),
            before_switch: self.before_switch.clone(),
            unmapped: self.unmapped.clone(),
            unlisted: self.unlisted.clone(),
            later_fault: self.later_fault,
            later_others: self.later_others.clone(),
            last_good: self.last_good,
            parts: self.parts.mark(),
            watch: self.watch.mark(),
            faults: (self.fault, self.first_fault),
            late_faults: self.late_faults.clone(),
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
            Use::Order => self.inbox.order = value.map(name).or(self.inbox.order.take()),
            Use::Product => self.inbox.product = value.map(name).or(self.inbox.product.take()),
            Use::Process(place) => self.inbox.process.push((place, value.and_then(Value::as_number))),
            Use::Fault => self.inbox.fault = value.and_then(Value::as_int).or(self.inbox.fault),
            Use::Count(role, decides) => match value.and_then(Value::as_int) {
                Some(raw) => self.inbox.raws.push((role, raw)),
                None => self.inbox.count_failed |= decides,
            },
            Use::Overflow(of) => self.inbox.flags.push((of, value.and_then(Value::as_bool))),
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
            self.mask(&mut inbox);
            self.watch_making(rules, &mut inbox, at);
            for (place, value) in inbox.process.drain(..) {
                self.parts.gauges.see(place, value, at);
            }
        }
        let was_blind = self.watch.is_blind();
        let (last_look, before) = (self.parts.last_look(), *self.parts.counts());
        inbox.flags.iter().for_each(|(of, flag)| self.parts.see_flag(*of, *flag, at));
        let look = self.parts.see(desk, rules, &inbox.raws, at);

        let is_back = was_blind && !is_last && self.shows_good(&inbox);
        let ran_through = is_back && self.ran_through(desk, rules, &inbox, look.parts, at);
        if is_back && !ran_through {
            self.dark_until = Some(at);
        }
        let came_unseen = (was_blind || last_look < self.dark_until) && !ran_through;
        if look.is_news() {
            self.parts_in_gap |= came_unseen && look.parts != 0;
            self.parts.enter(came_unseen || self.hours == Hours::Unscheduled);
        }
        if look.is_adjusted {
            // Before the edges of this look, which show the same parts; exclusive, hence after this moment.
            self.parts.tell(desk, rules, at.plus(1), Why::Adjustment);
        }
        if look.is_first {
            desk.is_mark_due = true;
        }

        if !is_last {
            self.watch_fault(inbox.fault, is_back && !ran_through, at);
            self.switch_if_settled(desk, rules);
            self.watch_readings(desk, rules, &inbox, look.parts, at, ran_through);
            self.name_stop(desk, rules, at);
            self.time_cycle(desk, rules, look, came_unseen, at);
        }
        if self.first_fault != 0 && !self.watch.is_stopping() && !self.stands(desk, rules) {
            self.first_fault = 0;
        }
        if !came_unseen && !self.watch.is_starting() {
            self.watch_contradiction(desk, rules, look.parts);
        }
        inbox.raws.clear();
        inbox.operands.clear();
        inbox.flags.clear();
        inbox.process.clear();
        let (raws, operands, flags, process) = (inbox.raws, inbox.operands, inbox.flags, inbox.process);
        self.inbox = Inbox { raws, operands, flags, process, ..Inbox::default() };
        self.open_if_due(desk, rules, at);
        self.request_if_due(desk, rules, at);
        self.refresh_parting(desk, rules, at);
        self.part_if_due(desk, rules, self.watch.horizon(at));
        // A part belongs to the sample that first shows it: at the very end of a shift to the next one.
        let counts = if is_last { *self.parts.counts() } else { before };
        self.state_if_due(desk, rules, at, &counts);
    }

    /// Time went by: first an edge of the calendar, then what the machine itself waits for.
    pub fn tick(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, now: Stamp) {
        self.ticked = now;
        if self.next_edge <= now {
            self.turn_page(desk, rules);
        }
        let said = self.mode.settled().copied();
        self.mode.tick(mode_rule(rules), now);
        if self.mode.settled().copied() != said {
            self.refresh_parting(desk, rules, now);
        }
        self.making.tick(mode_rule(rules), now);
        let mut edges = std::mem::take(&mut desk.edges);
        self.watch.tick(now, &mut edges);
        self.enter(desk, rules, edges);
        self.switch_if_settled(desk, rules);
        self.open_if_due(desk, rules, now);
        self.request_if_due(desk, rules, now);
        self.part_if_due(desk, rules, self.watch.horizon(now));
        let counts = *self.parts.counts();
        self.state_if_due(desk, rules, now, &counts);
    }

    /// The gateway begins at `now`: the edges of the calendar since `since` went by unseen, and are made up for.
    pub fn open_page(&mut self, desk: &Desk<'_>, rules: &MachineRules, since: Stamp, now: Stamp) {
        let since = if since == Stamp::MIN { now } else { since.max(now.plus(-MISSED_MS)).min(now) };
        let machine = desk.known.machines.get(&rules.id);
        let stated_to = machine.and_then(|machine| machine.stated_to.or(machine.book.begins()));
        self.opened = now;
        self.hours = rules.calendar.slot(since).hours;
        self.next_edge = rules.calendar.slot(since).to.min(rules.calendar.next_edge(now));
        self.next_statement = rules.calendar.next_end(stated_to.unwrap_or(since).max(now.plus(-MISSED_MS)));
        self.stated_to = machine.and_then(|machine| machine.stated_to).unwrap_or(Stamp::MIN);
        if self.parts.cycles().last().is_some_and(|spell| rules.calendar.next_edge(spell.last) <= now) {
            self.parts.cut();
        }
        self.final_at = statement::final_at(desk, rules);
        self.count_by_order(desk, rules);
    }

    /// An edge of an hour, a day or a slot of the calendar. What was counted by one that was missed nobody knows.
    fn turn_page(&mut self, desk: &mut Desk<'_>, rules: &MachineRules) {
        let edge = self.next_edge;
        let slot = rules.calendar.slot(edge);
        self.next_edge = rules.calendar.next_edge(edge.max(self.opened));
        if edge < self.opened {
            self.parts.tell_timed(desk, rules);
            self.next_edge = self.next_edge.min(slot.to);
        } else {
            self.parts.tell(desk, rules, edge, Why::Edge);
        }
        self.hours = slot.hours;
        stop::restate(desk, rules, &self.around(desk, rules), edge.plus(-1), edge);
        self.refresh_due(desk, rules);
    }

    /// The wall clock was set, so what the calendar says from `now` on may be another.
    pub fn set_clock(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, now: Stamp) {
        // One that is over and waits for its evidence comes first.
        if self.next_statement > now {
            self.next_statement = rules.calendar.next_end(now.plus(-1));
        }
        self.next_edge = now;
        self.turn_page(desk, rules);
        stop::set_clock(desk, rules, &self.around(desk, rules));
        self.refresh_due(desk, rules);
        self.refresh_parting(desk, rules, now);
        self.final_at = statement::final_at(desk, rules);
        let counts = *self.parts.counts();
        self.state_if_due(desk, rules, now, &counts);
    }

    /// States a shift (or day) that is over, once it is certain what the machine did until its end.
    fn state_if_due(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, now: Stamp, counts: &Counts) {
        if self.orders_final_at <= now {
            let around = self.around(desk, rules);
            order::review(desk, rules, self.scene(&around), Stamp::MAX);
            // What could not be told anew waits until something is told, not for the next millisecond.
            self.orders_final_at = order::final_at(desk, rules, now);
        }
        if self.next_statement.min(self.final_at) > now {
            return;
        }
        while self.next_statement <= now && (self.watch.is_blind() || self.watch.horizon(now) >= self.next_statement) {
            let end = self.next_statement;
            let counts = if end == now { counts } else { self.parts.counts() };
            statement::end(desk, rules, self.parts.counting(), counts, end);
            self.next_statement = rules.calendar.next_end(end);
            self.stated_to = end;
        }
        if self.final_at <= now {
            self.review(desk, rules);
        }
        self.final_at = statement::final_at(desk, rules);
    }

    /// What the PLC says that it makes; the counts before the first look at something else are kept until it is settled.
    fn watch_making(&mut self, rules: &MachineRules, inbox: &mut Inbox, at: Stamp) {
        if rules.order.is_none() && rules.product.is_none() {
            return;
        }
        let (order, product) = (inbox.order.take(), inbox.product.take());
        if order.is_none() && product.is_none() {
            return;
        }
        let shown = self.making.shown().map(|(making, _)| making);
        let of = |now: Option<Option<String>>, shown: Option<&Option<String>>| now.or(shown.cloned()).flatten();
        let making = Making {
            order: of(order, shown.map(|shown| &shown.order)),
            product: of(product, shown.map(|shown| &shown.product)),
        };
        if shown != Some(&making) {
            self.before_switch = Some((*self.parts.counts(), self.parts.raw()));
            self.parts.cut();
            self.parts.gauges.cut(at);
        }
        self.making.see(mode_rule(rules), at, making);
    }

    fn switch_if_settled(&mut self, desk: &mut Desk<'_>, rules: &MachineRules) {
        let Some((making, since)) = self.making.settled() else { return };
        if self.switched.as_ref() == Some(making) {
            return;
        }
        let (counts, raw) = self.before_switch.clone().unwrap_or_else(|| (*self.parts.counts(), self.parts.raw()));
        let switch = Switch { to: making.clone(), at: *since, counts, raw };
        self.switched = Some(making.clone());
        let told = desk.told.len();
        let around = self.around(desk, rules);
        order::switch(desk, rules, self.scene(&around), &switch);
        self.parts.gauges.forget();
        self.count_by_order(desk, rules);
        if desk.told.len() > told {
            self.parts.tell_edge(desk, rules, switch.at, (switch.counts, switch.raw));
        }
        self.review(desk, rules);
        self.say_unlisted(desk, rules, &switch.to);
    }

    /// Without a `[[product]]` the machine's ideal is what the performance of an order hangs on: whoever reads it is to know.
    fn say_unlisted(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, making: &Making) {
        let products = &desk.rules.products;
        let Some(code) = making.product.as_ref().or(making.order.as_ref()) else { return };
        let is_listed = products.is_empty() || products.iter().any(|product| product.code == *code);
        if is_listed || self.unlisted.len() >= UNLISTED_CODES || !self.unlisted.insert(code.clone()) {
            return;
        }
        let instead = if rules.ideal.is_some() { "the machine's ideal counts for it" } else { "it has no ideal" };
        let text = format!("no [[product]] has the code \"{code}\" that the PLC shows: {instead}");
        desk.notice(Some(&rules.id), "product_unlisted", notice::Severity::Warning, text);
    }

    /// Something was told: statements that it reaches into may be others.
    fn review(&mut self, desk: &mut Desk<'_>, rules: &MachineRules) {
        let touched = desk.take_unreviewed(&rules.id);
        let is_open = self.final_at != Stamp::MAX;
        if touched < self.stated_to || is_open {
            statement::review(desk, rules, self.parts.counting(), self.parts.counts(), touched);
            self.final_at = statement::final_at(desk, rules);
        }
        let machine = desk.known.machines.get(&rules.id);
        if machine.is_some_and(|machine| order::is_reviewed(machine, touched)) {
            let around = self.around(desk, rules);
            order::review(desk, rules, self.scene(&around), touched);
            self.orders_final_at = order::final_at(desk, rules, desk.now);
        }
    }

    /// What the ledger of orders must know.
    fn scene<'a>(&'a self, around: &'a stop::Around) -> order::Scene<'a> {
        let shown = self.making.settled().map(|(making, _)| making).filter(|making| !making.is_none());
        order::Scene {
            around,
            counting: self.parts.counting(),
            cycles: self.parts.cycles(),
            process: self.parts.gauges.spells(),
            shown,
        }
    }

    /// One count stands for as many parts as the order says that runs.
    fn count_by_order(&mut self, desk: &Desk<'_>, rules: &MachineRules) {
        let machine = desk.known.machines.get(&rules.id);
        self.parts.count_by(machine.map_or(rules.parts_per_cycle, |machine| parts_per_cycle(rules, machine)));
        self.orders_final_at = order::final_at(desk, rules, desk.now);
    }

    /// Nothing was ever read of it: unknown from here on.
    pub fn begin(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, at: Stamp) {
        let known = desk.known.machines.get(&rules.id).and_then(|machine| machine.current);
        if self.last_good.is_none() && known.is_none() {
            let mut edges = std::mem::take(&mut desk.edges);
            self.watch.see_nothing(at, &mut edges);
            self.enter(desk, rules, edges);
            self.switch_if_settled(desk, rules);
        }
    }

    /// The recording ends: what was shown last held until now.
    pub fn close(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, now: Stamp) {
        let mut edges = std::mem::take(&mut desk.edges);
        self.watch.close(now, &mut edges);
        self.mode.close(mode_rule(rules), now);
        self.making.close(mode_rule(rules), now);
        self.enter(desk, rules, edges);
        self.switch_if_settled(desk, rules);
        self.open_if_due(desk, rules, now);
        self.request_if_due(desk, rules, now);
        self.refresh_parting(desk, rules, now);
        self.part_if_due(desk, rules, self.watch.horizon(now));
        let counts = *self.parts.counts();
        self.state_if_due(desk, rules, now, &counts);
    }

    /// When a tick could change something.
    pub fn next_wake(&self, rules: &MachineRules) -> Stamp {
        // Where silence is judged by time, only a look can make an open stop longer.
        let due = self.due.filter(|due| self.watch.horizon(*due) >= *due);
        let parting = self.parting.filter(|parting| self.holds_until(rules, parting, self.watch.horizon(parting.due)));
        let parting = parting.map_or(Stamp::MAX, |parting| parting.due);
        let mode = self.mode.next_wake(mode_rule(rules)).min(self.making.next_wake(mode_rule(rules)));
        // What waits for a look, not for a tick.
        let statement = self.next_statement.min(self.final_at).min(self.orders_final_at);
        let statement = if statement > self.ticked { statement } else { Stamp::MAX };
        let request = self.request_due.filter(|due| self.watch.horizon(*due) >= *due).unwrap_or(Stamp::MAX);
        let own = self.watch.next_wake().min(due.unwrap_or(Stamp::MAX)).min(request).min(parting).min(mode);
        own.min(self.next_edge).min(statement)
    }

    /// Decides what somebody asks for.
    pub fn command(
        &mut self,
        desk: &mut Desk<'_>,
        rules: &MachineRules,
        command: &Command,
        past: Option<&Past>,
    ) -> Result<Verdict, Refusal> {
        let around = self.around(desk, rules);
        let subject = match &command.wish {
            Wish::Scrap { .. } => self.parts.scrap(desk, rules, (&around, command), past)?,
            Wish::Order(wish) => {
                self.parts.cut();
                // A command that takes effect on its arrival is decided a moment later.
                let is_prompt = desk.now.since(command.at) <= PROMPT_MS;
                self.parts.gauges.cut(if is_prompt { command.at.min(desk.now) } else { desk.now });
                let subject = order::command(desk, rules, self.scene(&around), (command, wish), past)?;
                self.parts.gauges.forget();
                Some(subject)
            }
            Wish::Operator(wish) => Some(operator::command(desk, rules, self.scene(&around), (command, wish), past)?),
            _ => Some(correction::decide(desk, rules, self.scene(&around), command, past)?),
        };
        self.count_by_order(desk, rules);
        self.final_at = statement::final_at(desk, rules);
        self.refresh_due(desk, rules);
        self.refresh_parting(desk, rules, desk.now);
        Ok(Verdict::Accepted(subject))
    }

    /// Up to when it is certain what it did, and what it made.
    pub fn live(&self, now: Stamp) -> Live {
        let away_since = self.before_restart.filter(|_| !self.watch.is_blind());
        let certain = match () {
            () if self.watch.is_blind() => now,
            () => self.watch.certain(now).min(away_since.unwrap_or(Stamp::MAX)),
        };
        Live { certain, made: self.parts.made() }
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
        let gap_from = if ran_through { current(desk.known).map(|gap| gap.moved) } else { None };
        let is_good = self.shows_good(inbox);
        match gap_from {
            Some(gap_from) => self.watch.bridge(gap_from, at, &mut edges),
            None if inbox.is_stale => self.watch.miss(self.last_good.unwrap_or(at), &mut edges),
            None if !self.watch.is_by_counts() => {
                if let Some(run) = inbox.run {
                    self.watch.see_run(at, run, &mut edges);
                }
            }
            None if is_good => self.watch.see_parts(at, Some(parts), &mut edges),
            None if inbox.count_failed => self.watch.see_parts(at, None, &mut edges),
            None => {}
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

    /// While the state signal says set-up, a machine that turns makes no parts.
    fn mask(&self, inbox: &mut Inbox) {
        if self.mode.shown().is_some_and(|(class, _)| *class == Class::Changeover) {
            inbox.run = inbox.run.map(|run| run.map(|_| false));
        }
    }

    /// A fault that is shown. After a gap the first look counts anew: what was shown before belongs to what was before.
    fn watch_fault(&mut self, fault: Option<i64>, is_back: bool, at: Stamp) {
        let before = self.fault;
        self.fault = fault.unwrap_or(before);
        if is_back {
            self.first_fault = self.fault;
            self.late_faults.clear();
        } else if self.first_fault == 0 {
            self.first_fault = self.fault;
        }
        let is_new = self.fault != 0 && (is_back || self.fault != before);
        let is_listed = self.late_faults.iter().any(|(_, fault)| *fault == self.fault);
        if is_new && !is_listed && self.late_faults.len() < LATE_FAULTS {
            self.late_faults.push((at, self.fault));
        }
    }

    /// Faults name the stop that they came in: not before it is certain whether it goes on.
    fn name_stop(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, at: Stamp) {
        if self.late_faults.is_empty() {
            return;
        }
        let current = desk.known.machines.get(&rules.id).and_then(|machine| machine.current);
        match current.map(|current| current.going) {
            Some(Going::Still) if !self.watch.is_starting() => {}
            Some(Going::Running) if !self.watch.is_stopping() => {
                self.late_faults.clear();
                return;
            }
            _ => return,
        }
        for (came, fault) in std::mem::take(&mut self.late_faults) {
            if stop::splits(desk, rules, fault) {
                let (_, first) = *self.later_fault.get_or_insert((came, fault));
                if first != fault && !self.later_others.contains(&fault) && self.later_others.len() < LATE_FAULTS {
                    self.later_others.push(fault);
                }
                if rules.open_at_fault {
                    stop::open_downtime(desk, rules, &self.around(desk, rules), at);
                }
            } else {
                stop::fault(desk, rules, &self.around(desk, rules), fault, at);
            }
        }
        self.review(desk, rules);
        self.refresh_due(desk, rules);
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
        let said = self.mode.settled().copied();
        self.mode.see(mode_rule(rules), at, class.unwrap_or(Class::Unassigned));
        if self.mode.settled().copied() != said {
            self.refresh_parting(desk, rules, at);
        }
    }

    /// A part ends a cycle, if it is plain that the machine ran, in planned time, for one and the same order.
    fn time_cycle(&mut self, desk: &Desk<'_>, rules: &MachineRules, look: Look, came_unseen: bool, at: Stamp) {
        if !look.is_timely() {
            return;
        }
        let machine = desk.known.machines.get(&rules.id).filter(|machine| machine.current.is_some_and(runs));
        let is_plain = look.is_clear()
            && !came_unseen
            && !self.watch.is_stopping()
            && self.watch.horizon(at) >= at.plus(-rules.poll_ms.saturating_mul(3) / 2)
            && self.hours != Hours::Unscheduled
            && self.making.is_settled();
        match machine.filter(|_| is_plain) {
            Some(machine) => self.parts.time(look.parts, ideal(rules, machine), at),
            None => self.parts.lift(),
        }
    }

    /// A part may fall after the edge; from the second cycle on, signal and counter contradict each other. Neither while
    /// a run waits for its confirmation, nor for parts that came when nobody looked: then the signal says nothing else.
    fn watch_contradiction(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, parts: i64) {
        let is_set_up = self.mode.settled().is_some_and(|(class, _)| *class == Class::Changeover);
        if parts == 0 || is_set_up || !self.stands(desk, rules) {
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
            self.parts.lift();
            stop::edge(desk, rules, &self.around(desk, rules), edge);
            self.review(desk, rules);
            self.refresh_due(desk, rules);
            self.refresh_parting(desk, rules, desk.now);
        }
        desk.edges = edges;
    }

    fn open_if_due(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, now: Stamp) {
        if let Some(due) = self.due
            && self.watch.horizon(now) >= due
        {
            stop::open_downtime(desk, rules, &self.around(desk, rules), due);
            self.due = None;
            self.settle_requests(desk, rules);
            self.review(desk, rules);
        }
    }

    /// The open downtime has lasted so long that maintenance is asked for.
    fn request_if_due(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, now: Stamp) {
        while let Some(due) = self.request_due.filter(|due| self.watch.horizon(now) >= *due) {
            work::lasted(desk, rules, due);
            self.request_due = work::due(desk, rules).filter(|next| *next > due);
        }
    }

    /// The ledger of work has followed what was told: the next rule may be another one.
    pub fn settle_requests(&mut self, desk: &Desk<'_>, rules: &MachineRules) {
        self.request_due = work::due(desk, rules);
    }

    /// A command may have changed what is waited for.
    pub fn settle(&mut self, desk: &Desk<'_>, rules: &MachineRules) {
        self.final_at = statement::final_at(desk, rules);
        self.refresh_due(desk, rules);
    }

    /// Splits the open stop, if it is certain that it stood and the cause held until `until`.
    fn part_if_due(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, until: Stamp) {
        if let Some(parting) = self.parting
            && self.holds_until(rules, &parting, until)
        {
            self.parting = None;
            stop::split(desk, rules, &self.around(desk, rules), parting, until);
            if let Cause::Fault(_) = parting.cause {
                self.later_fault = None;
                self.later_others.clear();
            }
            self.review(desk, rules);
            self.refresh_due(desk, rules);
            self.refresh_parting(desk, rules, desk.now);
        }
    }

    fn holds_until(&self, rules: &MachineRules, parting: &Parting, until: Stamp) -> bool {
        let held = match parting.cause {
            Cause::Signal(_) => self.mode.horizon(mode_rule(rules), until),
            Cause::Fault(_) | Cause::Length => until,
        };
        held.min(until) >= parting.due
    }

    /// What may split the open stop: a fault before the state signal.
    fn refresh_parting(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, now: Stamp) {
        let is_never = rules.state.is_none() && rules.split_after_ms.is_none();
        if is_never && self.later_fault.is_none() && self.parting.is_none() {
            return;
        }
        self.parting = None;
        let Some(machine) = desk.known.machines.get(&rules.id) else { return };
        let (current, open) = (machine.current, machine.book.open_stop());
        let (Some(current), Some(open)) = (current, open) else {
            self.later_fault = None;
            self.later_others.clear();
            return;
        };
        if current.going != Going::Still {
            return;
        }
        let signal = open.signal;
        self.later_fault = self.later_fault.filter(|(_, code)| stop::splits(desk, rules, *code));
        if let Some((at, code)) = self.later_fault {
            let at = at.max(current.moved);
            let due = self.due.unwrap_or(at).max(rules.calendar.after_planned(at, 1));
            self.parting = Some(Parting { at, due, cause: Cause::Fault(code) });
        } else if let Some(said) = self.mode.settled().copied().filter(|(class, _)| signal != Some(*class)) {
            let around = self.around(desk, rules);
            self.parting = stop::signal(desk, rules, || around, said, now);
        }
        if self.parting.is_none() {
            self.parting = stop::too_long(desk, rules);
        }
    }

    /// The gateway itself was away: bridged like missed polls if it was short.
    fn miss_restart(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, away_since: Stamp, at: Stamp) {
        if rules.no_data_ms.is_none() && at.since(away_since) > RESTART_BRIDGE_MS {
            self.operands.fill(Held::default());
            self.mode.miss();
            let mut edges = std::mem::take(&mut desk.edges);
            self.watch.miss(away_since, &mut edges);
            self.enter(desk, rules, edges);
        }
    }

    /// It ran before the gap and after it, and as many parts came as fit in: then it ran through.
    fn ran_through(&self, desk: &Desk<'_>, rules: &MachineRules, inbox: &Inbox, parts: i64, at: Stamp) -> bool {
        let Some(machine) = desk.known.machines.get(&rules.id) else { return false };
        let [.., before, gap] = machine.book.intervals.as_slice() else { return false };
        let of_order = machine.book.order_at(gap.from).and_then(|order| order.ideal);
        let Some(ideal) = of_order.or(rules.ideal) else { return false };
        let runs = self.watch.is_by_counts() || inbox.run == Some(Some(true));
        let ran = before.going == Going::Running && gap.going == Going::Unknown;
        let gap_ms = at.since(self.last_good.unwrap_or(gap.from).min(gap.from));
        ran && runs && parts > 0 && ideal.fills(parts + 1, gap_ms)
    }

    fn around(&self, desk: &Desk<'_>, rules: &MachineRules) -> stop::Around {
        stop::Around {
            fault: self.fault,
            first_fault: self.first_fault,
            is_without_order: self.is_without_order(desk, rules),
            later_fault: self.later_fault.map(|(_, code)| Fault { code, others: self.later_others.clone() }),
            signal: self.mode.settled().map(|(class, _)| *class),
            parts_in_gap: self.parts_in_gap,
            counts: *self.parts.counts(),
            raw: self.parts.raw(),
        }
    }

    /// It may not run without an order, and has none: neither the PLC nor a command names one.
    fn is_without_order(&self, desk: &Desk<'_>, rules: &MachineRules) -> bool {
        let shown = self.making.shown().map(|(making, _)| making.is_none());
        let is_shown = rules.order.is_some() || rules.product.is_some();
        let known = desk.known.machines.get(&rules.id);
        let is_commanded = known.is_some_and(|machine| machine.orders.values().any(|job| job.is_running_by_command()));
        rules.order_required && !is_commanded && shown.unwrap_or(!is_shown)
    }

    fn refresh_due(&mut self, desk: &Desk<'_>, rules: &MachineRules) {
        self.due = desk.known.machines.get(&rules.id).and_then(|machine| stop::due(rules, machine));
        self.settle_requests(desk, rules);
    }

    fn shows_good(&self, inbox: &Inbox) -> bool {
        if self.watch.is_by_counts() {
            !inbox.raws.is_empty() && !inbox.count_failed
        } else {
            matches!(inbox.run, Some(Some(_)))
        }
    }

    fn stands(&self, desk: &Desk<'_>, rules: &MachineRules) -> bool {
        let machine = desk.known.machines.get(&rules.id);
        machine.is_some_and(|machine| machine.book.open_stop().is_some_and(|stop| stop.counts_in != CountsIn::None))
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

fn runs(current: Current) -> bool {
    current.going == Going::Running
}

/// Of the order that it has, else its own.
fn ideal(rules: &MachineRules, machine: &Machine) -> Option<Ideal> {
    machine.order.as_ref().and_then(|(_, order)| order.ideal).or(rules.ideal)
}

/// Of the order that runs, else its own.
fn parts_per_cycle(rules: &MachineRules, machine: &Machine) -> i64 {
    let running = machine.orders.values().find(|job| job.state == State::Running);
    running.and_then(|job| job.parts_per_cycle).unwrap_or(rules.parts_per_cycle)
}

fn mode_rule(rules: &MachineRules) -> ModeRule {
    ModeRule { debounce_ms: rules.debounce_ms, no_data_ms: rules.no_data_ms }
}

/// An order or product as a PLC names it; empty or 0 for none.
fn name(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => {
            let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
            Some(if text.trim_matches('0').is_empty() { String::new() } else { text.to_owned() })
        }
        other => other.as_int().filter(|number| *number != 0).map(|number| number.to_string()),
    }
    .filter(|name| !name.is_empty())
}
