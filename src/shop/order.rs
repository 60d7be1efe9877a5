//! What is to be made in, by commands or by the PLC's word, orders that begin, rest and end out: the ledger of orders.
//!
//! An order is a record with the spans of time in which it ran. A command changes the record as of its time; what is not
//! the order's any more, or is now, is booked anew, and everything that hangs on it is told again.

use super::{
    Desk,
    correction::Past,
    known::{Machine, Stated},
    rules::{MachineRules, Rules},
    statement, stop,
};
use crate::{
    books::{Book, Counting, Measure, window},
    event::{
        Event, Stamp,
        command::{Command, Refusal, Subject},
        cycle::Spell,
        order::{self, Booked, Change, Job, Order, Says, Span, State, What, Wish, minus},
        part::{Counts, Raw},
        process,
        stop::{Change as StopChange, Downtime, Event as StopEvent, PLC, Stop},
        window::Window,
    },
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most orders of one machine that are stored and not over.
pub const ORDERS: usize = 256;

/// Most spans that a record lists; an order that rested more often forgets the first.
const SPANS: usize = 256;

/// Days of an order are fetched so far back; of one that began before, the figures are flagged `cut`. Milliseconds.
const FETCHED_MS: i64 = 60 * 86_400_000;

/// What a PLC says that it makes; without an order where both are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Making {
    /// The number of the order.
    pub order: Option<String>,
    /// The number of the product.
    pub product: Option<String>,
}

/// From `at` on it makes something else.
#[derive(Clone, Debug)]
pub struct Switch {
    /// What.
    pub to: Making,
    /// The first instant of it.
    pub at: Stamp,
    /// The counts of all parts that showed before.
    pub counts: Counts,
    /// The counters then.
    pub raw: Raw,
}

/// What the ledger must know beside what it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The machine as it is seen.
    pub around: &'a stop::Around,
    /// Whether its parts are counted.
    pub counting: Counting,
    /// Cycles that are not told yet.
    pub cycles: &'a [Spell],
    /// Process values that are not told yet.
    pub process: &'a [process::Spell],
    /// What the PLC says that it makes.
    pub shown: Option<&'a Making>,
}

/// An order before and after something.
struct Draft {
    change: Change,
    at: Stamp,
    before: Option<Job>,
    after: Job,
}

impl Making {
    /// Without an order.
    pub fn is_none(&self) -> bool {
        *self == Making::default()
    }

    /// What the PLC calls it; a product without an order is an order of its own name.
    fn number(&self) -> Option<&String> {
        self.order.as_ref().or(self.product.as_ref())
    }

    /// The order as the rules know it.
    fn order(&self, rules: &Rules) -> Option<Order> {
        let number = self.number()?;
        let is_known = |code: &&String| rules.products.iter().any(|product| product.code == **code);
        let product = self.product.as_ref().or(self.order.as_ref().filter(is_known)).cloned();
        let ideal = ideal_of(rules, product.as_ref());
        Some(Order { order: number.clone(), product, lot: None, ideal })
    }
}

fn ideal_of(rules: &Rules, product: Option<&String>) -> Option<crate::event::Ideal> {
    rules.products.iter().find(|rule| Some(&rule.code) == product)?.ideal
}

/// The PLC names another order: the one before ends, the next begins. While it names none, commands decide.
pub fn switch(desk: &mut Desk<'_>, rules: &MachineRules, scene: Scene<'_>, switch: &Switch) {
    let known = desk.known.machines.get(&rules.id);
    let stored = |number: &str| known.and_then(|machine| machine.orders.get(number)).filter(|job| job.is_stored);
    let next = switch.to.order(desk.rules).map(|shown| match stored(&shown.order) {
        Some(job) => {
            let product = switch.to.product.clone().or(job.order.product.clone()).or(shown.product);
            let ideal = job.own_ideal.or(ideal_of(desk.rules, product.as_ref()));
            Order { product, ideal, ..job.order.clone() }
        }
        None => shown,
    });
    let before = known.and_then(|machine| job_of(machine, &machine.order.as_ref()?.1.order));
    let is_commanded = before.as_ref().is_some_and(|before| !before.is_shown);
    if before.as_ref().map(|before| &before.order) == next.as_ref() {
        if let Some(before) = before.filter(|_| is_commanded) {
            // It runs by the PLC's word from here on.
            let after = Job { is_shown: true, ..before.clone() };
            tell_now(
                desk,
                rules,
                scene,
                switch,
                Draft { change: Change::Updated, at: switch.at, before: Some(before), after },
            );
        }
        return;
    }
    if is_commanded && next.is_none() {
        return;
    }
    if let Some(before) = before {
        let mut after = before.clone();
        after.rest(switch.at, Stamp::MAX);
        let is_same = next.as_ref().is_some_and(|next| next.order == before.order.order);
        let change = if is_commanded && !is_same { Change::Paused } else { Change::Ended };
        (after.state, after.ended_at) = match change {
            Change::Paused => (State::Interrupted, None),
            _ => (State::Ended, Some(switch.at)),
        };
        tell_now(desk, rules, scene, switch, Draft { change, at: switch.at, before: Some(before), after });
    }
    if let Some(order) = next {
        let known = desk.known.machines.get(&rules.id).and_then(|machine| machine.orders.get(&order.order)).cloned();
        // What only a PLC names is made anew each time; when it was made before stays as it was.
        let revision = known.as_ref().map_or(0, |job| job.revision);
        let known = known.filter(|job| job.is_stored);
        let mut after = known.clone().unwrap_or_else(|| Job { revision, ..Job::default() });
        let change = if after.began.is_some() { Change::Resumed } else { Change::Started };
        (after.order, after.state, after.ended_at, after.is_shown) = (order, State::Running, None, true);
        after.run(switch.at, None);
        tell_now(desk, rules, scene, switch, Draft { change, at: switch.at, before: known, after });
        stop::between_products(desk, rules, scene.around, switch.at);
    }
}

/// Something happens to an order now, as far as the PLC has been looked at.
fn tell_now(desk: &mut Desk<'_>, rules: &MachineRules, scene: Scene<'_>, switch: &Switch, draft: Draft) {
    let mut event = event(desk, rules, draft, scene, (switch.counts, switch.raw.clone()), None);
    let machine = desk.known.machines.get(&rules.id);
    let by = desk.rules.measure(rules, scene.counting, switch.at, Some(&switch.counts));
    let by = Measure { cycles: scene.cycles, ..by };
    let window = machine.and_then(|machine| figures(&machine.book, &event.job, &by));
    seal(&mut event, machine.map(|machine| &machine.book), scene, window);
    desk.tell(Event::Order(Box::new(event)));
}

/// The record of an order; of one that an older release began, what the book tells of it.
fn job_of(machine: &Machine, number: &str) -> Option<Job> {
    if let Some(job) = machine.orders.get(number) {
        return Some(job.clone());
    }
    let (since, order) = machine.order.as_ref().filter(|(_, order)| order.order == number)?;
    let mut job = Job { order: order.clone(), state: State::Running, is_shown: true, revision: 1, ..Job::default() };
    job.run(*since, None);
    Some(job)
}

/// The figures of the times in which an order ran.
pub fn figures(book: &Book, job: &Job, by: &Measure<'_>) -> Option<Window> {
    let windows: Vec<Window> =
        job.spans.iter().filter_map(|span| window::window(book, span.from, span.end(), by)).collect();
    let mut window = window::sum(&windows, by.oee.convention)?;
    let is_forgotten = job.is_cut || job.spans.first().is_some_and(|first| first.from < book.since);
    if is_forgotten {
        window.flags.push("cut".to_owned());
    }
    // An order that still runs is not over where what is known ends.
    window.is_final &= job.state.is_over();
    Some(window)
}

fn event(
    desk: &Desk<'_>,
    rules: &MachineRules,
    draft: Draft,
    scene: Scene<'_>,
    (counts, raw): (Counts, Raw),
    command: Option<&Command>,
) -> order::Event {
    let Draft { change, at, before, mut after } = draft;
    if after.spans.len() > SPANS {
        after.spans.drain(..after.spans.len() - SPANS);
        after.is_cut = true;
    }
    let none = Vec::new();
    let spans = before.as_ref().map_or(&none, |before| &before.spans);
    let gone = minus(spans, &after.spans).into_iter().map(|span| (span, None));
    let is_other = before.as_ref().is_some_and(|before| before.order != after.order);
    let kept = if is_other { minus(spans, &[Span { from: Stamp::MIN, to: Some(at) }]) } else { Vec::new() };
    let kept = minus(&kept, &minus(spans, &after.spans));
    let new = minus(&after.spans, spans).into_iter().chain(kept).map(|span| (span, Some(after.order.clone())));
    let booked = gone.chain(new).map(|(span, order)| Booked { from: span.from, to: span.to, order }).collect();
    after.revision += 1;
    let process = match desk.known.machines.get(&rules.id) {
        Some(machine) => machine.book.untold_process(scene.process).cloned().collect(),
        None => scene.process.to_vec(),
    };
    order::Event {
        machine: rules.id.clone(),
        change,
        at,
        decided: desk.now,
        by: command.map_or_else(|| PLC.to_owned(), |command| command.by.clone()),
        why: command.and_then(|command| command.comment.clone()),
        command_id: command.map(|command| command.command_id.clone()),
        from: after.spans.first().map(|span| span.from).or(after.began).unwrap_or(at),
        job: after,
        booked: Some(booked),
        window: None,
        counts,
        raw,
        operators: Vec::new(),
        process,
        values: process::Summaries::new(),
    }
}

/// What only the book can say of it.
fn seal(event: &mut order::Event, book: Option<&Book>, scene: Scene<'_>, window: Option<Window>) {
    let job = &mut event.job;
    job.is_final = job.state.is_over() && window.as_ref().is_none_or(|window| window.is_final);
    job.print = window.as_ref().map(Window::print);
    event.window = window.map(Box::new);
    let crews = book.map_or(&[][..], |book| &book.crews);
    let ends = crews.iter().skip(1).map(|next| next.from).chain([Stamp::MAX]);
    let worked = crews
        .iter()
        .zip(ends)
        .filter(|(crew, end)| event.job.spans.iter().any(|span| span.from < *end && crew.from < span.end()));
    let operators: BTreeSet<&String> = worked.flat_map(|(crew, _)| &crew.operators).collect();
    event.operators = operators.into_iter().cloned().collect();
    let is_here =
        |spell: &&process::Spell| event.job.spans.iter().any(|span| span.from < spell.to && spell.to <= span.end());
    let told = book.map_or(&[][..], |book| &book.process).iter().filter(is_here);
    let untold = scene
        .process
        .iter()
        .filter(|spell| book.is_none_or(|book| book.untold_process(&[(*spell).clone()]).next().is_some()));
    told.chain(untold.filter(is_here)).for_each(|spell| process::add(&mut event.values, &spell.values));
}

/// Decides what somebody asks for. Gives what it was about, and whether parts and times are booked from here on otherwise.
pub fn command(
    desk: &mut Desk<'_>,
    rules: &MachineRules,
    scene: Scene<'_>,
    (command, wish): (&Command, &Wish),
    past: Option<&Past>,
) -> Result<Subject, Refusal> {
    let empty = Machine::default();
    let machine = desk.known.machines.get(&rules.id).unwrap_or(&empty);
    let (page, stated) = page(machine, past);
    let at = command.at.min(desk.now);
    if at < page.since {
        let text = format!("nothing is remembered of {}", desk.known.wall.of(at));
        return Err(Refusal::new("beyond_journal", text));
    }
    let office = Office { desk, machine, book: &page, scene, at };
    let drafts = office.decide(wish)?;
    let subject = format!("{}/{}", rules.id, wish.order);
    carry_out(desk, rules, scene, command, (page, stated), drafts);
    let job = desk.known.machines.get(&rules.id).and_then(|machine| machine.orders.get(&wish.order));
    let last = desk.told.iter().rev().find_map(|told| match &told.event {
        Event::Order(order) if order.job.number() == wish.order => Some(order.job.revision),
        _ => None,
    });
    let revision = job.map(|job| job.revision).or(last).unwrap_or(0);
    Ok(Subject { id: subject, revision })
}

/// Since when an order ran, as far back as days are fetched for it; an order that has not run, or that nobody knows: never.
pub(super) fn ran(machine: &Machine, number: &str, now: Stamp) -> Stamp {
    let job = machine.orders.get(number).filter(|job| !job.spans.is_empty());
    let first = job.and_then(|job| job.spans.first()).map(|span| span.from.max(now.plus(-FETCHED_MS)));
    first.unwrap_or(Stamp::MAX)
}

/// Scrap of an order was worked over: its yield is another.
pub(super) fn rework(
    desk: &mut Desk<'_>,
    rules: &MachineRules,
    scene: Scene<'_>,
    command: &Command,
    before: Job,
    reworked: i64,
) -> Subject {
    let Some(machine) = desk.known.machines.get(&rules.id) else {
        return Subject { id: rules.id.clone(), revision: 0 };
    };
    let after = Job { reworked, ..before.clone() };
    let subject = Subject { id: format!("{}/{}", rules.id, before.number()), revision: before.revision + 1 };
    let draft = Draft { change: Change::Updated, at: desk.now, before: Some(before), after };
    let page = (machine.book.clone(), machine.stated.clone());
    carry_out(desk, rules, scene, command, page, vec![draft]);
    subject
}

/// What is remembered, and what was fetched of the time before.
pub(super) fn page(machine: &Machine, past: Option<&Past>) -> (Book, BTreeMap<String, Stated>) {
    let Some(past) = past else { return (machine.book.clone(), machine.stated.clone()) };
    let (mut book, mut stated) = (past.book.clone(), past.stated.clone());
    let since = book.since;
    if book.begins().is_some() && book.begins() < machine.book.begins() {
        book.join(machine.book.clone());
        book.since = since;
    } else {
        book = machine.book.clone();
    }
    stated.extend(machine.stated.iter().map(|(id, stated)| (id.clone(), *stated)));
    (book, stated)
}

/// Where one command is decided: nothing is told here.
struct Office<'a> {
    desk: &'a Desk<'a>,
    machine: &'a Machine,
    book: &'a Book,
    scene: Scene<'a>,
    at: Stamp,
}

impl Office<'_> {
    fn decide(&self, wish: &Wish) -> Result<Vec<Draft>, Refusal> {
        let at = self.at;
        let draft = |change, before: &Job, after| Draft { change, at, before: Some(before.clone()), after };
        if let What::Store | What::StoreAndStart = wish.what {
            return self.store(wish);
        }
        let Some(mut job) = job_of(self.machine, &wish.order) else {
            let text = format!("{} was not stored: Store or StoreAndStart", wish.order);
            return Err(Refusal::new("unknown_order", text));
        };
        let before = job.clone();
        let state = job.state_at(at);
        self.say(&mut job, &wish.says);
        let drafts = match wish.what {
            What::Store | What::StoreAndStart => Vec::new(),
            What::Start if state.is_prepared() => self.run(Change::Started, &before, job, wish.is_switch)?,
            What::Resume if state == State::Interrupted || (state.is_over() && job.ended_at == Some(at)) => {
                if state.is_over() {
                    (job.state, job.ended_at) = (State::Interrupted, None);
                }
                self.run(Change::Resumed, &before, job, wish.is_switch)?
            }
            What::RevokeStart if state == State::AllowedToStart && job.began.is_none() && !job.state.is_over() => {
                job.state = State::NotAllowedToStart;
                vec![draft(Change::Updated, &before, job)]
            }
            What::Pause if state == State::Running => {
                let span = job.spans.iter().find(|span| span.from <= at && at < span.end()).copied();
                job.rest(at, span.map_or(Stamp::MAX, |span| span.end()));
                settle(&mut job);
                vec![draft(Change::Paused, &before, job)]
            }
            What::Stop | What::Abort if matches!(state, State::Running | State::Interrupted) => {
                vec![draft(end(&mut job, wish.what, at), &before, job)]
            }
            What::Abort if !state.is_over() && !job.state.is_over() => {
                vec![draft(end(&mut job, wish.what, at), &before, job)]
            }
            What::Cancel if job.state.is_prepared() && job.began.is_none() => {
                vec![draft(Change::Cancelled, &before, job)]
            }
            What::Update => vec![draft(Change::Updated, &before, job)],
            what => return Err(self.illegal(what, &before, state)),
        };
        self.leave_to_plc(&drafts)?;
        Ok(drafts)
    }

    fn store(&self, wish: &Wish) -> Result<Vec<Draft>, Refusal> {
        let known = job_of(self.machine, &wish.order);
        if let Some(known) = known.as_ref().filter(|known| known.is_stored) {
            return Err(self.illegal(wish.what, known, known.state));
        }
        let waiting = self.machine.orders.values().filter(|job| job.is_stored && !job.state.is_over()).count();
        if waiting >= ORDERS {
            let text = format!("{ORDERS} orders are stored and not over: no more are taken");
            return Err(Refusal::new("too_many_orders", text));
        }
        let is_made = known.as_ref().is_some_and(|known| known.state == State::Running);
        let mut job = match known.clone().filter(|_| is_made) {
            Some(made) => made,
            None => Job { revision: known.as_ref().map_or(0, |known| known.revision), ..Job::default() },
        };
        job.order.order.clone_from(&wish.order);
        job.is_stored = true;
        self.say(&mut job, &wish.says);
        let is_start = wish.what == What::StoreAndStart;
        if is_start && !is_made {
            job.state = State::AllowedToStart;
        }
        let before = known.filter(|_| is_made);
        let stored = Draft {
            change: Change::Stored,
            at: if is_made || is_start { self.at } else { self.desk.now },
            before,
            after: job.clone(),
        };
        let mut drafts = vec![stored];
        if is_start && !is_made {
            job.revision += 1;
            let begun = self.run(Change::Started, &job.clone(), job, wish.is_switch)?;
            // That it waits for the PLC is said already.
            drafts.extend(begun.into_iter().filter(|draft| draft.change != Change::Updated));
        }
        self.leave_to_plc(&drafts)?;
        Ok(drafts)
    }

    /// The order runs from `at` on, until it rested, was over, or another one began.
    fn run(&self, change: Change, before: &Job, mut job: Job, is_switch: bool) -> Result<Vec<Draft>, Refusal> {
        let at = self.at;
        let number = job.number().to_owned();
        let other = self.book.order_at(at).filter(|other| other.order != number);
        let is_now = !self.book.assignments.iter().any(|next| next.from > at);
        let shown = self.shown();
        if let Some(shown) = shown.filter(|shown| **shown != number && is_now) {
            if change == Change::Resumed {
                return Err(Refusal::new("plc_decides", format!("the PLC shows {shown}: it says what runs")));
            }
            job.state = State::AllowedToStart;
            return Ok(vec![Draft { change: Change::Updated, at, before: Some(before.clone()), after: job }]);
        }
        let mut drafts = Vec::with_capacity(2);
        if let Some(other) = other {
            if !is_switch {
                let text = format!("{} runs then: Stop or Pause it, or say on_start = \"switch\"", other.order);
                return Err(Refusal::new("order_running", text));
            }
            let known = job_of(self.machine, &other.order);
            let known = known.unwrap_or_else(|| self.of_book(other));
            let mut ended = known.clone();
            let change = end(&mut ended, What::Stop, at);
            drafts.push(Draft { change, at, before: Some(known), after: ended });
        }
        let is_another = |order: &Order| order.order != number && Some(&order.order) != other.map(|other| &other.order);
        let later = self.book.assignments.iter().filter(|next| next.from > at);
        let taken = later.filter(|next| next.order.as_ref().is_some_and(is_another)).map(|next| next.from).next();
        let own = job.spans.iter().map(|span| span.from).find(|from| *from > at);
        let until = [taken, own, job.ended_at].into_iter().flatten().min();
        job.run(at, until);
        let is_taken = until.is_some() && until == taken && own.is_none() && !job.state.is_over();
        if is_taken && change == Change::Started {
            // As if that one had switched it off; one that rested meanwhile goes on resting.
            (job.state, job.ended_at) = (State::Ended, until);
        }
        settle(&mut job);
        drafts.push(Draft { change, at, before: Some(before.clone()), after: job });
        Ok(drafts)
    }

    /// An order whose record is forgotten.
    fn of_book(&self, order: &Order) -> Job {
        let mut job = Job { order: order.clone(), state: State::Ended, is_shown: true, ..Job::default() };
        let begins = self.book.assignments.first().map_or(self.at, |first| first.from);
        for (from, to, made) in self.book.orders(begins, Stamp::MAX) {
            if made.is_some_and(|made| made.order == order.order) {
                job.run(from, (to < Stamp::MAX).then_some(to));
            }
        }
        job.ended_at = job.spans.last().and_then(|span| span.to);
        settle(&mut job);
        job
    }

    fn say(&self, job: &mut Job, says: &Says) {
        let Says { production_order, operation, product, quantity, unit, ideal, parts_per_cycle, lot, .. } =
            says.clone();
        let Says { priority, planned_start, planned_end, .. } = *says;
        job.production_order = production_order.or(job.production_order.take());
        job.operation = operation.or(job.operation.take());
        job.order.product = product.or(job.order.product.take());
        job.quantity = quantity.or(job.quantity);
        job.unit = unit.or(job.unit.take());
        job.own_ideal = ideal.or(job.own_ideal);
        job.parts_per_cycle = parts_per_cycle.or(job.parts_per_cycle);
        job.order.lot = lot.or(job.order.lot.take());
        job.priority = priority.or(job.priority);
        job.planned_start = planned_start.or(job.planned_start);
        job.planned_end = planned_end.or(job.planned_end);
        let rules = self.desk.rules;
        job.order.ideal = job.own_ideal.or(ideal_of(rules, job.order.product.as_ref()));
    }

    fn shown(&self) -> Option<&String> {
        self.scene.shown.and_then(Making::number)
    }

    /// While the PLC shows an order, no command says what runs now.
    fn leave_to_plc(&self, drafts: &[Draft]) -> Result<(), Refusal> {
        let Some(shown) = self.shown() else { return Ok(()) };
        let is_open = |spans: &[Span]| spans.last().is_some_and(|last| last.to.is_none());
        let is_moved = |draft: &Draft| {
            draft.before.as_ref().is_some_and(|before| is_open(&before.spans)) != is_open(&draft.after.spans)
        };
        if drafts.iter().any(is_moved) {
            return Err(Refusal::new("plc_decides", format!("the PLC shows {shown}: it says what runs now")));
        }
        Ok(())
    }

    fn illegal(&self, what: What, job: &Job, state: State) -> Refusal {
        let allowed = match state {
            State::NotAllowedToStart => "Start, Cancel, Abort, Update",
            State::AllowedToStart => "Start, RevokeStart, Cancel, Abort, Update",
            State::Running => "Pause, Stop, Abort, Update",
            State::Interrupted => "Resume, Stop, Abort, Update",
            State::Ended | State::Aborted => "Update",
        };
        let when = match self.at < self.desk.now {
            true => format!(" at {}", self.desk.known.wall.of(self.at)),
            false => String::new(),
        };
        let text = format!("{} is {}{when}: {} is not allowed, but {allowed}", job.number(), state.word(), what.word());
        Refusal::new("illegal_transition", text)
    }
}

/// What an order is by the times in which it ran.
fn settle(job: &mut Job) {
    if job.ended_at.is_some() {
        if !job.state.is_over() {
            job.state = State::Ended;
        }
    } else if job.began.is_some() {
        let runs = job.spans.last().is_some_and(|last| last.to.is_none());
        job.state = if runs { State::Running } else { State::Interrupted };
    }
}

fn end(job: &mut Job, what: What, at: Stamp) -> Change {
    job.rest(at, Stamp::MAX);
    job.ended_at = Some(at);
    let (state, change) = match what {
        What::Abort => (State::Aborted, Change::Aborted),
        _ => (State::Ended, Change::Ended),
    };
    (job.state, job.is_shown) = (state, false);
    change
}

/// Books what was decided, and tells it with everything that hangs on it.
fn carry_out(
    desk: &mut Desk<'_>,
    rules: &MachineRules,
    scene: Scene<'_>,
    command: &Command,
    (mut page, stated): (Book, BTreeMap<String, Stated>),
    drafts: Vec<Draft>,
) {
    let now = scene.around.counts;
    let is_late = drafts.iter().any(|draft| draft.at < desk.now);
    let mut events = Vec::with_capacity(drafts.len());
    for draft in drafts {
        // Parts up to the first mark behind it are those of what was made before.
        let mark = page.readings.iter().find(|reading| reading.at >= draft.at).filter(|_| draft.at < desk.now);
        let counts = mark.map_or(now, |mark| mark.counts);
        let event = event(desk, rules, draft, scene, (counts, scene.around.raw.clone()), Some(command));
        page.apply(&Event::Order(Box::new(event.clone())));
        events.push(event);
    }
    let bookings = || events.iter().flat_map(order::Event::bookings);
    let touched = bookings().map(|booked| booked.from).min().unwrap_or(Stamp::MAX);
    let until = bookings().map(|booked| booked.to.unwrap_or(Stamp::MAX)).max().unwrap_or(Stamp::MIN);
    let amended = if is_late { amended(desk, rules, &mut page, (touched, until), command) } else { Vec::new() };
    let touched = amended.iter().map(|amended| amended.stop.from).fold(touched, Stamp::min);
    let by = desk.rules.measure(rules, scene.counting, desk.now, Some(&now));
    let by = Measure { cycles: scene.cycles, ..by };
    let numbers: BTreeSet<String> = events.iter().map(|event| event.job.number().to_owned()).collect();
    let starts =
        events.iter().find(|event| matches!(event.change, Change::Started | Change::Resumed)).map(|event| event.at);
    for mut event in events {
        let window = figures(&page, &event.job, &by);
        seal(&mut event, Some(&page), scene, window);
        desk.tell(Event::Order(Box::new(event)));
    }
    tell_amended(desk, rules, scene.around, amended);
    if is_late {
        stop::infer_open(desk, rules, scene.around);
    }
    match starts {
        Some(at) if !is_late => stop::between_products(desk, rules, scene.around, at),
        _ => {}
    }
    if touched < desk.now {
        statement::review_page(desk, rules, (&page, &stated), (scene.counting, &now), touched);
        let again = again(desk, rules, &page, scene, touched, &numbers);
        again.into_iter().for_each(|event| desk.tell(Event::Order(Box::new(event))));
    }
}

/// Downtimes of a time of which something else is known now, as they are to be told; on the page they are already.
pub(super) fn amended(
    desk: &Desk<'_>,
    rules: &MachineRules,
    page: &mut Book,
    (from, until): (Stamp, Stamp),
    command: &Command,
) -> Vec<Downtime> {
    // What stood before an order may have been set-up for it.
    let before = page.assignments.iter().rev().find(|before| before.from < from);
    let from = before.filter(|before| before.order.is_none()).map_or(from, |before| before.from);
    let touched = |stop: &&Stop| stop.from < until && stop.ended_at.is_none_or(|ended| ended > from) && !stop.is_gone();
    let stops: Vec<Stop> = page.stops.iter().filter(touched).filter(|stop| stop.downtime.is_some()).cloned().collect();
    let mut amended = Vec::new();
    for before in stops {
        let mut stop = before.clone();
        stop::place_in(Some(page), rules, &mut stop);
        stop::infer_again(page, rules, &mut stop);
        stop::judge(desk, rules, &mut stop);
        stop::measure(page, rules, &mut stop, before.ended_at.unwrap_or(desk.now));
        let mut open = before.clone();
        if open.ended_at.is_none() {
            // What grows by itself is no news.
            (open.duration_ms, open.excluded_ms, open.unknown_ms) =
                (stop.duration_ms, stop.excluded_ms, stop.unknown_ms);
            open.clock_adjust_ms = stop.clock_adjust_ms;
            open.flags.clone_from(&stop.flags);
            let touches = |orders: &[crate::event::stop::Share]| {
                orders.iter().map(|share| share.order.clone()).collect::<BTreeSet<_>>()
            };
            if touches(&open.shares) == touches(&stop.shares) {
                open.shares.clone_from(&stop.shares);
            }
        }
        if stop == open {
            continue;
        }
        if let Some(downtime) = &mut stop.downtime {
            downtime.revision += 1;
        }
        page.enter(&stop);
        amended.push(Downtime {
            machine: rules.id.clone(),
            change: if stop.ended_at.is_some() { StopChange::Amended } else { StopChange::Updated },
            at: command.at,
            by: command.by.clone(),
            why: command.comment.clone(),
            command_id: Some(command.command_id.clone()),
            stop,
        });
    }
    amended
}

/// Tells them; of an open one its state too, where that became another.
pub(super) fn tell_amended(desk: &mut Desk<'_>, rules: &MachineRules, around: &stop::Around, amended: Vec<Downtime>) {
    for downtime in amended {
        let stop = downtime.stop.clone();
        desk.tell(Event::Stop(StopEvent::Downtime(Box::new(downtime))));
        if stop.ended_at.is_none() {
            stop::restate_open(desk, rules, around, &stop);
        }
    }
}

/// Something was learned of what happened since `touched`: orders that are over are told again where their figures are others.
pub fn review(desk: &mut Desk<'_>, rules: &MachineRules, scene: Scene<'_>, touched: Stamp) {
    let Some(machine) = desk.known.machines.get(&rules.id) else { return };
    let again = again(desk, rules, &machine.book, scene, touched, &BTreeSet::new());
    again.into_iter().for_each(|event| desk.tell(Event::Order(Box::new(event))));
}

/// The same on a page that may be of days that are no longer remembered.
pub(super) fn review_page(desk: &mut Desk<'_>, rules: &MachineRules, page: &Book, scene: Scene<'_>, touched: Stamp) {
    let again = again(desk, rules, page, scene, touched, &BTreeSet::new());
    again.into_iter().for_each(|event| desk.tell(Event::Order(Box::new(event))));
}

fn again(
    desk: &Desk<'_>,
    rules: &MachineRules,
    page: &Book,
    scene: Scene<'_>,
    touched: Stamp,
    but: &BTreeSet<String>,
) -> Vec<order::Event> {
    let now = scene.around.counts;
    let by = desk.rules.measure(rules, scene.counting, desk.now, Some(&now));
    let by = Measure { cycles: scene.cycles, ..by };
    let Some(machine) = desk.known.machines.get(&rules.id) else { return Vec::new() };
    let is_touched = |job: &&Job| {
        let is_after = job.ended_at.is_some_and(|ended| ended > touched) || !job.is_final;
        let is_there = job.spans.first().is_some_and(|first| first.from >= page.since);
        job.state.is_over() && job.print.is_some() && is_after && is_there && !but.contains(job.number())
    };
    let told_again = |job: &Job| {
        let window = figures(page, job, &by)?;
        let is_news = Some(window.print()) != job.print && (job.is_final || window.is_final);
        let draft = Draft { change: Change::Updated, at: desk.now, before: Some(job.clone()), after: job.clone() };
        let mut event = event(desk, rules, draft, scene, (now, scene.around.raw.clone()), None);
        seal(&mut event, Some(page), scene, Some(window));
        is_news.then_some(event)
    };
    machine.orders.values().filter(is_touched).filter_map(told_again).collect()
}

/// Whether `review` could have anything to tell.
pub fn is_reviewed(machine: &Machine, touched: Stamp) -> bool {
    let is_there = |job: &&Job| job.spans.first().is_some_and(|first| first.from >= machine.book.since);
    let over = machine.orders.values().filter(|job| job.state.is_over() && job.print.is_some()).filter(is_there);
    over.into_iter().any(|job| !job.is_final || job.ended_at.is_some_and(|ended| ended > touched))
}

/// When the figures of an order that is over are final whatever they wait for.
pub fn final_at(desk: &Desk<'_>, rules: &MachineRules, now: Stamp) -> Stamp {
    let orders = desk.known.machines.get(&rules.id).into_iter().flat_map(|machine| machine.orders.values());
    let open = orders.filter(|job| job.state.is_over() && !job.is_final && job.print.is_some());
    let due = open.filter_map(|job| job.ended_at).map(|ended| ended.plus(desk.rules.final_after_ms));
    due.filter(|due| *due > now).min().unwrap_or(Stamp::MAX)
}

#[cfg(test)]
mod tests;
