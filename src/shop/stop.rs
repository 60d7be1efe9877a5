//! Edges and fault codes in, stops and downtimes out: the ledger of stops.

use super::{
    Desk,
    known::{Current, Machine},
    rules::{MachineRules, ReasonRule},
    work,
};
use crate::{
    books::{
        Cell, Hours,
        book::{self, state_of},
    },
    event::{
        Event, Stamp,
        id::Role,
        order::Order,
        part::{Counts, Raw},
        stop::{
            Change, Class, CountsIn, Downtime, Event as StopEvent, Fault, Going, Inferred, Numbered, Observed, PLC,
            Reason, Split, State, StateChange, Stop,
        },
    },
    signal::motion::Edge,
};
use uuid::Uuid;

/// Most faults that are listed beside the first: some PLCs show a running number where a code is expected.
const OTHER_FAULTS: usize = 16;

/// What the stop ledger must know beside the edge.
#[derive(Clone, Debug)]
pub struct Around {
    /// The fault code shown now; 0 for none.
    pub fault: i64,
    /// The first fault code since the machine was suspected to stand; 0 for none.
    pub first_fault: i64,
    /// What faults came while it was external or changeover, and split nothing so far.
    pub later_fault: Option<Fault>,
    /// It may not run without an order, and has none.
    pub is_without_order: bool,
    /// What the state signal says of a stop now.
    pub signal: Option<Class>,
    /// Parts came while nobody looked.
    pub parts_in_gap: bool,
    /// Cumulative, as seen.
    pub counts: Counts,
    /// The counters themselves.
    pub raw: Raw,
}

/// A stop that is about to be split.
#[derive(Clone, Copy, Debug)]
pub struct Parting {
    /// Where: the first instant of the second part.
    pub at: Stamp,
    /// From when on it is certain, if the machine stood and the cause held until then.
    pub due: Stamp,
    /// Why.
    pub cause: Cause,
}

/// What splits a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The state signal names another class.
    Signal(Class),
    /// The first fault of a stop that was external or changeover so far.
    Fault(i64),
    /// It has lasted so long that its parts may have reasons of their own.
    Length,
}

/// The machine changed between going, standing and unknown.
pub fn edge(desk: &mut Desk<'_>, rules: &MachineRules, around: &Around, edge: Edge) {
    let (current, open) = remembered(desk, rules);
    // A stop that a gap interrupts and that is over after it ended where the gap began.
    let end = current.filter(|current| current.going == Going::Unknown).map_or(edge.at, |current| current.moved);
    // Within one poll, unless polls were missed around it.
    let unseen_ms = edge.after.filter(|_| end == edge.at).map_or(0, |after| edge.at.since(after));
    let blur_ms = if unseen_ms > 2 * rules.poll_ms { unseen_ms } else { rules.poll_ms };
    match edge.to {
        Going::Unknown => {
            let stop = open.map(|stop| measured(desk, rules, stop, edge.at));
            tell_state(desk, rules, around, edge, edge.at, stop, None);
        }
        Going::Running => {
            let ended = open.map(|stop| end_stop(desk, rules, around, stop, end, blur_ms));
            tell_state(desk, rules, around, edge, edge.at, None, ended.clone());
            tell_closed(desk, rules, ended);
        }
        Going::Still => match open {
            Some(stop) if !around.parts_in_gap => {
                tell_state(desk, rules, around, edge, edge.at, Some(stop), None);
            }
            open => {
                let ended = open.map(|stop| end_stop(desk, rules, around, stop, end, rules.poll_ms));
                let is_start_seen = current.is_some_and(|current| current.going == Going::Running);
                let stop = new_stop(desk, rules, around, edge.at, is_start_seen.then_some(blur_ms));
                tell_state(desk, rules, around, edge, edge.at, Some(stop), ended.clone());
                tell_closed(desk, rules, ended);
                if rules.open_at_fault && around.first_fault != 0 {
                    open_downtime(desk, rules, around, edge.at);
                }
            }
        },
    }
    restate(desk, rules, around, edge.at, desk.now);
}

/// The calendar's edges in `(from, to]` may each make the state another.
pub fn restate(desk: &mut Desk<'_>, rules: &MachineRules, around: &Around, from: Stamp, to: Stamp) {
    let mut at = rules.calendar.slot(from).to;
    while at <= to {
        let (Some(current), open) = remembered(desk, rules) else { return };
        let slot = rules.calendar.slot(at);
        let stop = open.filter(|_| current.going == Going::Still);
        if book::state(current.going, slot.hours, stop.as_ref()) != current.state {
            let stop = stop.map(|stop| measured(desk, rules, stop, at));
            let edge = Edge { to: current.going, at, after: None };
            tell_state(desk, rules, around, edge, current.moved, stop, None);
        }
        at = slot.to;
    }
}

/// The wall clock was set: an open stop that waits for planned hours begins when the calendar now says.
pub fn set_clock(desk: &mut Desk<'_>, rules: &MachineRules, around: &Around) {
    let (Some(_), Some(mut stop)) = remembered(desk, rules) else { return };
    let planned_from = rules.calendar.planned_from(stop.from).unwrap_or(stop.from);
    if stop.started_at >= desk.now && planned_from != stop.started_at {
        stop.started_at = planned_from;
        place(desk, rules, &mut stop);
        tell_again(desk, rules, around, stop, desk.now);
    }
}

/// The PLC shows a fault while the machine stands: the first one names the reason, others are listed.
pub fn fault(desk: &mut Desk<'_>, rules: &MachineRules, around: &Around, code: i64, until: Stamp) {
    let (Some(_), Some(mut stop)) = remembered(desk, rules) else { return };
    match &mut stop.fault {
        Some(fault) if fault.code == code || fault.others.contains(&code) => return,
        Some(fault) if fault.others.len() >= OTHER_FAULTS => return,
        Some(fault) => fault.others.push(code),
        None => {
            stop.fault = Some(Fault { code, others: Vec::new() });
            judge(desk, rules, &mut stop);
        }
    }
    tell_again(desk, rules, around, stop, until);
    if rules.open_at_fault {
        open_downtime(desk, rules, around, until);
    }
}

/// Whether a fault that comes now would split the open stop: it was external or changeover so far, and becomes another.
pub fn splits(desk: &Desk<'_>, rules: &MachineRules, fault: i64) -> bool {
    let Some(stop) = desk.known.machines.get(&rules.id).and_then(|machine| machine.book.open_stop()) else {
        return false;
    };
    let class = class_of(reason_of(desk, rules, Some(fault)), Some(fault), stop.signal);
    // That the machine has no order is another loss than that it is starved.
    let is_other = class != stop.class || stop.inferred == Some(Inferred::NoOrder);
    let is_splittable = matches!(stop.class, Class::External | Class::Changeover) && stop.counts_in != CountsIn::None;
    stop.fault.is_none() && is_splittable && is_other
}

/// What the state signal makes of the open stop: `class`, since `since`. A word that comes as good as with the stop names
/// it whole; of a later one this gives from when and when it splits the stop, if it holds until then.
pub fn signal(
    desk: &mut Desk<'_>,
    rules: &MachineRules,
    around: impl FnOnce() -> Around,
    (class, since): (Class, Stamp),
    now: Stamp,
) -> Option<Parting> {
    let machine = desk.known.machines.get(&rules.id)?;
    let (current, open) = (machine.current?, machine.book.open_stop()?);
    if current.going != Going::Still || open.signal == Some(class) || open.counts_in == CountsIn::None {
        return None;
    }
    let late_ms = rules.debounce_ms.max(rules.state.as_ref().map_or(0, |state| state.poll_ms));
    if since <= open.started_at.max(open.from.plus(late_ms)) {
        let fault = open.fault.as_ref().map(|fault| fault.code);
        if class_of(reason_of(desk, rules, fault), fault, Some(class)) != open.class {
            let mut stop = open.clone();
            stop.signal = Some(class);
            judge(desk, rules, &mut stop);
            tell_again(desk, rules, &around(), stop, now);
        }
        return None;
    }
    // That the machine is down says nothing that its fault has not said.
    if open.class == class || (class == Class::Unassigned && open.fault.is_some()) {
        return None;
    }
    // Once the second part is a downtime of its own.
    let at = since.max(current.moved);
    let due = rules.calendar.after_planned(at, open.short_stop_ms.max(1));
    Some(Parting { at, due, cause: Cause::Signal(class) })
}

/// When the open downtime has lasted so long that it is split.
pub fn too_long(desk: &Desk<'_>, rules: &MachineRules) -> Option<Parting> {
    let machine = desk.known.machines.get(&rules.id)?;
    let (open, longest_ms) = (machine.book.open_stop()?, rules.split_after_ms?);
    open.downtime?;
    let current = machine.current.filter(|current| current.going == Going::Still)?;
    let so_far = measured(desk, rules, open.clone(), current.moved.max(open.from));
    let from = current.moved.max(open.started_at);
    let at = rules.calendar.after_planned(from, (longest_ms - so_far.duration_ms).max(1));
    Some(Parting { at, due: at, cause: Cause::Length })
}

/// Splits the open stop: two downtimes of one stop, the second with an id and a number of its own.
pub fn split(desk: &mut Desk<'_>, rules: &MachineRules, around: &Around, parting: Parting, until: Stamp) {
    let (Some(current), Some(mut first)) = remembered(desk, rules) else { return };
    let Parting { at, cause, .. } = parting;
    let (fault, signal) = match cause {
        Cause::Signal(class) => (None, Some(class)),
        Cause::Fault(code) => {
            let others = around.later_fault.as_ref().map_or_else(Vec::new, |fault| fault.others.clone());
            (Some(Fault { code, others }), first.signal)
        }
        Cause::Length => (first.fault.clone(), first.signal),
    };
    // Nobody saw it stand before: no part of it, but the stop as a whole.
    if measured(desk, rules, first.clone(), at).duration_ms == 0 {
        (first.signal, first.fault) = (signal, first.fault.or(fault));
        judge(desk, rules, &mut first);
        tell_again(desk, rules, around, first, until);
        return;
    }
    if first.downtime.is_none() {
        first = number(desk, rules, around, first, current, until);
    }
    let blur_ms = match (&rules.state, cause) {
        (Some(state), Cause::Signal(_)) => state.poll_ms,
        _ => rules.poll_ms,
    };
    let mut second = Stop {
        split: Some(Split { downtime_id: desk.mint(Role::Downtime, at), from: first.downtime_id(), takes_work: false }),
        from: at,
        started_at: rules.calendar.planned_from(at).unwrap_or(at),
        uncertainty_ms: Some(blur_ms),
        reason: first.reason.clone().filter(|_| cause == Cause::Length),
        inferred: None,
        fault,
        signal,
        flags: Vec::new(),
        ..first.clone()
    };
    place(desk, rules, &mut second);
    second.downtime = Some(Numbered { number: next_number(desk, rules), revision: 1 });
    judge(desk, rules, &mut second);
    work::order::part(&mut first, &mut second, None);
    second = measured(desk, rules, second, until);
    first = measured(desk, rules, first, at);
    first.ended_at = Some(at);
    first.uncertainty_ms = first.uncertainty_ms.map(|start_ms| start_ms.max(blur_ms));
    if let Some(downtime) = &mut first.downtime {
        downtime.revision += 1;
    }
    let edge = Edge { to: Going::Still, at, after: None };
    tell_state(desk, rules, around, edge, at, Some(second.clone()), Some(first.clone()));
    tell_downtime(desk, rules, Change::Closed, first);
    tell_downtime(desk, rules, Change::Opened, second);
}

/// When the stop that stands open reaches `short_stop`, if it goes on standing; at once where a fault opens it, but not
/// before planned hours begin.
pub fn due(rules: &MachineRules, machine: &Machine) -> Option<Stamp> {
    let current = machine.current.filter(|current| current.going == Going::Still)?;
    let stop = machine.book.open_stop().filter(|stop| stop.downtime.is_none() && stop.counts_in != CountsIn::None)?;
    let mut so_far = stop.clone();
    machine.book.measure(&mut so_far, current.moved, &rules.calendar);
    let is_late = rules.open_at_fault && stop.fault.is_some() && current.moved < stop.started_at;
    let needed_ms = if is_late { 1 } else { stop.short_stop_ms };
    let from = current.moved.max(stop.started_at);
    Some(rules.calendar.after_planned(from, (needed_ms - so_far.duration_ms).max(0)))
}

/// The open stop has become a downtime, as known until `until`.
pub fn open_downtime(desk: &mut Desk<'_>, rules: &MachineRules, around: &Around, until: Stamp) {
    let (Some(current), Some(stop)) = remembered(desk, rules) else { return };
    let is_planned = stop.started_at == stop.from || stop.started_at < until;
    if stop.downtime.is_none() && stop.counts_in != CountsIn::None && is_planned {
        number(desk, rules, around, stop, current, until);
    }
}

/// Something about the open stop changed.
fn tell_again(desk: &mut Desk<'_>, rules: &MachineRules, around: &Around, stop: Stop, until: Stamp) {
    let (Some(current), _) = remembered(desk, rules) else { return };
    let mut stop = measured(desk, rules, stop, until);
    if let Some(mut downtime) = stop.downtime {
        restate_open(desk, rules, around, &stop);
        downtime.revision += 1;
        stop.downtime = Some(downtime);
        tell_downtime(desk, rules, Change::Updated, stop);
    } else {
        let edge = Edge { to: current.going, at: current.since, after: None };
        tell_state(desk, rules, around, edge, current.moved, Some(stop), None);
    }
}

/// Gap-free per machine.
pub(super) fn next_number(desk: &Desk<'_>, rules: &MachineRules) -> u64 {
    desk.known.machines.get(&rules.id).map_or(0, |machine| machine.last_number) + 1
}

fn number(
    desk: &mut Desk<'_>,
    rules: &MachineRules,
    around: &Around,
    stop: Stop,
    current: Current,
    until: Stamp,
) -> Stop {
    let mut stop = measured(desk, rules, stop, until);
    stop.downtime = Some(Numbered { number: next_number(desk, rules), revision: 1 });
    place(desk, rules, &mut stop);
    judge(desk, rules, &mut stop);
    if current.going == Going::Still {
        let edge = Edge { to: Going::Still, at: current.since, after: None };
        tell_state(desk, rules, around, edge, current.moved, Some(stop.clone()), None);
    }
    tell_downtime(desk, rules, Change::Opened, stop.clone());
    stop
}

/// Ends a stop; if only now it shows that it was long enough, it is told as a downtime first.
fn end_stop(desk: &mut Desk<'_>, rules: &MachineRules, around: &Around, stop: Stop, end: Stamp, blur_ms: i64) -> Stop {
    let mut stop = measured(desk, rules, stop, end);
    let is_downtime =
        stop.duration_ms > 0 && stop.duration_ms >= stop.short_stop_ms && stop.counts_in != CountsIn::None;
    if let (None, true, (Some(current), _)) = (stop.downtime, is_downtime, remembered(desk, rules)) {
        stop = number(desk, rules, around, stop, current, end);
    }
    // Too short to be split, it keeps its class; the fault stands in its record.
    if stop.downtime.is_none() && stop.fault.is_none() {
        stop.fault.clone_from(&around.later_fault);
    }
    // It never stood in planned hours.
    if stop.started_at >= end {
        stop.started_at = stop.from;
    }
    stop.ended_at = Some(end);
    if let Some(observed) = &mut stop.observed {
        observed.ended_at = Some(end);
    }
    stop.uncertainty_ms = stop.uncertainty_ms.map(|start_ms| start_ms.max(blur_ms));
    if let Some(downtime) = &mut stop.downtime {
        downtime.revision += 1;
    }
    stop
}

fn new_stop(desk: &Desk<'_>, rules: &MachineRules, around: &Around, at: Stamp, uncertainty_ms: Option<i64>) -> Stop {
    let mut stop = Stop {
        stop_id: desk.mint(Role::Stop, at),
        from: at,
        started_at: rules.calendar.planned_from(at).unwrap_or(at),
        observed: Some(Observed { started_at: at, ended_at: None }),
        uncertainty_ms,
        inferred: inferred(desk, rules, around, at),
        signal: around.signal,
        fault: (around.first_fault != 0).then(|| Fault { code: around.first_fault, others: Vec::new() }),
        flags: if uncertainty_ms.is_some() { Vec::new() } else { vec!["start_not_seen".to_owned()] },
        ..blank(rules)
    };
    place(desk, rules, &mut stop);
    judge(desk, rules, &mut stop);
    stop
}

/// A stop of which nothing is known yet.
pub(super) fn blank(rules: &MachineRules) -> Stop {
    Stop {
        stop_id: Uuid::nil(),
        split: None,
        downtime: None,
        from: Stamp::MIN,
        started_at: Stamp::MIN,
        ended_at: None,
        observed: None,
        merged_into: None,
        short_stop_ms: rules.short_stop_ms,
        duration_ms: 0,
        excluded_ms: 0,
        unknown_ms: 0,
        clock_adjust_ms: 0,
        uncertainty_ms: None,
        shares: Vec::new(),
        shift: String::new(),
        order: None,
        product: None,
        lot: None,
        operator: None,
        class: Class::Unassigned,
        inferred: None,
        signal: None,
        counts_in: CountsIn::Availability,
        reason: None,
        fault: None,
        flags: Vec::new(),
        work: Vec::new(),
    }
}

/// The shift, the order and the crew that a stop begins in.
pub(super) fn place(desk: &Desk<'_>, rules: &MachineRules, stop: &mut Stop) {
    place_in(desk.known.machines.get(&rules.id).map(|machine| &machine.book), rules, stop);
}

/// The same by another book than the one in memory.
pub(super) fn place_in(book: Option<&book::Book>, rules: &MachineRules, stop: &mut Stop) {
    let calendar = &rules.calendar;
    stop.shift = calendar.slot(stop.started_at).shift.unwrap_or_else(|| calendar.day(stop.started_at).id);
    stop.operator = book.and_then(|book| book.crew_at(stop.started_at).last().cloned());
    let order = book.and_then(|book| book.order_at(stop.started_at));
    stop.order = order.map(|order| order.order.clone());
    stop.product = order.and_then(|order| order.product.clone());
    stop.lot = order.and_then(|order| order.lot.clone());
}

/// What is concluded of a stop that begins at `at` and that nothing else names.
fn inferred(desk: &Desk<'_>, rules: &MachineRules, around: &Around, at: Stamp) -> Option<Inferred> {
    if around.is_without_order {
        return Some(Inferred::NoOrder);
    }
    let book = &desk.known.machines.get(&rules.id)?.book;
    let order = book.order_at(at)?;
    let begun = book.assignments.iter().rev().find(|assignment| assignment.from <= at)?;
    let is_first_part_due = book.readings_around(begun.from).0.counts.total == around.counts.total;
    let before = || products_before(book, begun.from).next();
    (is_first_part_due
        && before().is_some_and(|before| Some(before) != order.product.as_ref())
        && order.product.is_some())
    .then_some(Inferred::Changeover)
}

/// What is concluded of a stop once it is known what was made around it: as if that had been known in time.
pub(super) fn infer_again(book: &book::Book, rules: &MachineRules, stop: &mut Stop) {
    let order = book.order_at(stop.from);
    if rules.order_required && order.is_none() {
        stop.inferred = Some(Inferred::NoOrder);
        return;
    }
    let until = stop.ended_at.unwrap_or(Stamp::MAX);
    let before = |from: Stamp| book.readings_around(from).0.counts.total;
    // As seen when it was certain that it stood.
    let seen = book.readings.iter().find(|reading| reading.at > stop.from).or(book.readings.last());
    let begun = |at: Stamp| book.assignments.iter().rev().find(|assignment| assignment.from <= at);
    let other = |from: Stamp, order: &Order| {
        order.product.is_some()
            && products_before(book, from).next().is_some_and(|last| Some(last) != order.product.as_ref())
    };
    let is_set_up = match (order, begun(stop.from)) {
        // It began before the first part of its order.
        (Some(order), Some(begun)) => {
            seen.is_none_or(|seen| before(begun.from) == seen.counts.total) && other(begun.from, order)
        }
        // It began after the order before it, and the next one began in it, or before anything was made.
        (None, Some(_)) => {
            let next = book.assignments.iter().find(|next| next.from > stop.from && next.order.is_some());
            let is_near = |next: Stamp| next < until || (stop.downtime.is_some() && made(book, stop.from, next) == 0);
            let next = next.filter(|next| is_near(next.from));
            next.is_some_and(|next| next.order.as_ref().is_some_and(|order| other(next.from, order)))
        }
        _ => false,
    };
    let is_named = stop.fault.is_some() || stop.reason.as_ref().is_some_and(|reason| reason.by != PLC);
    stop.inferred = (is_set_up && !is_named).then_some(Inferred::Changeover);
}

/// The same of the open stop, while it is no downtime yet.
pub(super) fn infer_open(desk: &mut Desk<'_>, rules: &MachineRules, around: &Around) {
    let (Some(_), Some(before)) = remembered(desk, rules) else { return };
    let Some(machine) = desk.known.machines.get(&rules.id).filter(|_| before.downtime.is_none()) else { return };
    let mut stop = before.clone();
    place(desk, rules, &mut stop);
    infer_again(&machine.book, rules, &mut stop);
    judge(desk, rules, &mut stop);
    if stop != before {
        tell_again(desk, rules, around, stop, desk.now);
    }
}

/// The products that were made before `at`, the last one first.
fn products_before(book: &book::Book, at: Stamp) -> impl Iterator<Item = &String> {
    let before = book.assignments.iter().rev().filter(move |assignment| assignment.from < at);
    before.filter_map(|assignment| assignment.order.as_ref()?.product.as_ref())
}

/// What was made from one instant to another, by what was told.
fn made(book: &book::Book, from: Stamp, to: Stamp) -> i64 {
    book.readings_around(to).0.counts.total - book.readings_around(from).1.counts.total
}

/// An order begins at `at`: a stop that began after the order before it ended is set-up, if the product is another; one
/// that is over too, if nothing was made since it began.
pub fn between_products(desk: &mut Desk<'_>, rules: &MachineRules, around: &Around, at: Stamp) {
    let Some(book) = desk.known.machines.get(&rules.id).map(|machine| &machine.book) else { return };
    let product = book.order_at(at).and_then(|order| order.product.as_ref());
    let before = book.assignments.iter().rev().find(|assignment| assignment.from < at);
    let is_other = product.is_some() && products_before(book, at).next().is_some_and(|before| Some(before) != product);
    let Some(ended) = before.filter(|before| is_other && before.order.is_none()).map(|before| before.from) else {
        return;
    };
    let is_between = |stop: &&Stop| {
        let is_whole = stop.ended_at.is_none() || (stop.downtime.is_some() && made(book, stop.from, at) == 0);
        let is_unnamed = stop.fault.is_none() && stop.reason.is_none() && stop.inferred.is_none();
        ended <= stop.from && is_whole && is_unnamed && !stop.is_declared()
    };
    let between: Vec<Stop> = book.stops.iter().filter(is_between).cloned().collect();
    for mut stop in between {
        let class = stop.class;
        stop.inferred = Some(Inferred::Changeover);
        judge(desk, rules, &mut stop);
        match stop.downtime {
            _ if stop.ended_at.is_none() => tell_again(desk, rules, around, stop, desk.now),
            Some(mut downtime) if stop.class != class => {
                downtime.revision += 1;
                stop.downtime = Some(downtime);
                tell_downtime(desk, rules, Change::Amended, stop);
            }
            _ => {}
        }
    }
}

/// Gives a stop its reason, class and place in the OEE sum.
pub(super) fn judge(desk: &Desk<'_>, rules: &MachineRules, stop: &mut Stop) {
    let fault = stop.fault.as_ref().map(|fault| fault.code);
    let given = stop.reason.as_ref().filter(|given| given.by != PLC);
    let given = given.and_then(|given| desk.rules.reason(&given.code));
    let reason = given.or(reason_of(desk, rules, fault));
    if let (None, Some(reason)) = (&stop.reason, reason) {
        let text = reason.text.clone();
        stop.reason = Some(Reason { code: reason.code.clone(), text, by: PLC.to_owned(), at: desk.now });
    }
    let named = class_of(reason, fault, stop.signal);
    let is_open_question = named == Class::Unassigned && fault.is_none() && reason.is_none();
    stop.class = match stop.inferred.filter(|_| is_open_question) {
        Some(Inferred::Changeover) => Class::Changeover,
        Some(Inferred::NoOrder) => Class::External,
        None => named,
    };
    let cell = match stop.class {
        _ if state_of(stop) == State::ShortStop => Cell::ShortStop,
        Class::External if named == Class::Unassigned => Cell::NoOrder,
        class => Cell::from(class),
    };
    stop.counts_in = reason.and_then(|reason| reason.counts_in).unwrap_or_else(|| desk.rules.oee.counts_in(cell));
}

/// The reason that a fault code names.
fn reason_of<'a>(desk: &Desk<'a>, rules: &MachineRules, fault: Option<i64>) -> Option<&'a ReasonRule> {
    let is_here = |reason: &ReasonRule| reason.machines.is_empty() || reason.machines.contains(&rules.id);
    let reasons = &desk.rules.reasons;
    reasons.iter().find(|reason| fault.is_some_and(|fault| reason.faults.contains(&fault)) && is_here(reason))
}

/// A fault says more than the state signal.
fn class_of(reason: Option<&ReasonRule>, fault: Option<i64>, signal: Option<Class>) -> Class {
    match (reason, fault) {
        (Some(reason), _) => reason.class,
        (None, Some(_)) => Class::Failure,
        (None, None) => signal.unwrap_or(Class::Unassigned),
    }
}

fn measured(desk: &Desk<'_>, rules: &MachineRules, mut stop: Stop, until: Stamp) -> Stop {
    if let Some(machine) = desk.known.machines.get(&rules.id) {
        measure(&machine.book, rules, &mut stop, until);
    }
    stop
}

/// Brings the durations of a stop up to `until`; one that turns out to be none has none.
pub(super) fn measure(book: &book::Book, rules: &MachineRules, stop: &mut Stop, until: Stamp) {
    book.measure(stop, until, &rules.calendar);
    if stop.is_void() {
        (stop.duration_ms, stop.excluded_ms, stop.unknown_ms) = (0, 0, 0);
        stop.shares.clear();
    }
}

/// The record of the open stop was corrected: its state may be another.
pub(super) fn restate_open(desk: &mut Desk<'_>, rules: &MachineRules, around: &Around, stop: &Stop) {
    let (Some(current), _) = remembered(desk, rules) else { return };
    let hours = rules.calendar.slot(current.since).hours;
    if current.going == Going::Still && book::state(current.going, hours, Some(stop)) != current.state {
        let edge = Edge { to: current.going, at: current.since, after: None };
        tell_state(desk, rules, around, edge, current.moved, Some(stop.clone()), None);
    }
}

fn remembered(desk: &Desk<'_>, rules: &MachineRules) -> (Option<Current>, Option<Stop>) {
    match desk.known.machines.get(&rules.id) {
        Some(machine) => (machine.current, machine.book.open_stop().cloned()),
        None => (None, None),
    }
}

/// The machine is as `edge` says since `moved`; `edge.at` is since when its state is what it is.
fn tell_state(
    desk: &mut Desk<'_>,
    rules: &MachineRules,
    around: &Around,
    edge: Edge,
    moved: Stamp,
    stop: Option<Stop>,
    ended: Option<Stop>,
) {
    let hours = rules.calendar.slot(edge.at).hours;
    let state = book::state(edge.to, hours, stop.as_ref());
    let known = desk.known.machines.get(&rules.id);
    let previous = known.and_then(|machine| machine.current).map(|current| current.state);
    let is_stop = edge.to == Going::Still && state != State::Running && hours == Hours::Planned;
    let provisional = is_stop && stop.as_ref().is_some_and(|stop| stop.downtime.is_none());
    desk.tell(Event::Stop(StopEvent::State(Box::new(StateChange {
        machine: rules.id.clone(),
        state,
        previous,
        going: edge.to,
        since: edge.at,
        moved,
        at: desk.now,
        provisional,
        stop,
        ended,
        fault: around.fault,
        order: known.and_then(|machine| machine.order.as_ref()).map(|(_, order)| order.order.clone()),
        counts: around.counts,
        raw: around.raw.clone(),
    }))));
}

fn tell_downtime(desk: &mut Desk<'_>, rules: &MachineRules, change: Change, stop: Stop) {
    let (machine, at, by) = (rules.id.clone(), desk.now, PLC.to_owned());
    let downtime = Downtime { machine, change, at, by, why: None, command_id: None, stop };
    desk.tell(Event::Stop(StopEvent::Downtime(Box::new(downtime))));
}

fn tell_closed(desk: &mut Desk<'_>, rules: &MachineRules, ended: Option<Stop>) {
    if let Some(stop) = ended.filter(|stop| stop.downtime.is_some()) {
        tell_downtime(desk, rules, Change::Closed, stop);
    }
}
