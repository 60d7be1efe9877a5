//! Edges and fault codes in, stops and downtimes out: the ledger of stops.

use super::{
    Desk,
    known::{Current, Machine},
    rules::{MachineRules, ReasonRule},
};
use crate::{
    books::book::state_of,
    event::{
        Event, Stamp,
        id::Role,
        part::{Counts, Raw},
        stop::{
            Change, Class, CountsIn, Downtime, Event as StopEvent, Fault, Going, Numbered, Observed, Reason, Split,
            State, StateChange, Stop,
        },
    },
    signal::motion::Edge,
};

/// Most faults that are listed beside the first: some PLCs show a running number where a code is expected.
const OTHER_FAULTS: usize = 16;

/// What the stop ledger must know beside the edge.
#[derive(Clone, Debug)]
pub struct Around {
    /// The fault code shown now; 0 for none.
    pub fault: i64,
    /// The first fault code since the machine was suspected to stand; 0 for none.
    pub first_fault: i64,
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
}

/// The machine changed between going, standing and unknown.
pub fn edge(desk: &mut Desk<'_>, rules: &MachineRules, around: &Around, edge: Edge) {
    let (current, open) = remembered(desk, rules);
    // A stop that a gap interrupts and that is over after it ended where the gap began.
    let end = current.filter(|current| current.going == Going::Unknown).map_or(edge.at, |current| current.since);
    // Within one poll, unless polls were missed around it.
    let unseen_ms = edge.after.filter(|_| end == edge.at).map_or(0, |after| edge.at.since(after));
    let blur_ms = if unseen_ms > 2 * rules.poll_ms { unseen_ms } else { rules.poll_ms };
    match edge.to {
        Going::Unknown => {
            let stop = open.map(|stop| measured(desk, rules, stop, edge.at));
            tell_state(desk, rules, around, edge, stop, None);
        }
        Going::Running => {
            let ended = open.map(|stop| end_stop(desk, rules, around, stop, end, blur_ms));
            tell_state(desk, rules, around, edge, None, ended.clone());
            tell_closed(desk, rules, ended);
        }
        Going::Still => match open {
            Some(stop) if !around.parts_in_gap => tell_state(desk, rules, around, edge, Some(stop), None),
            open => {
                let ended = open.map(|stop| end_stop(desk, rules, around, stop, end, rules.poll_ms));
                let is_start_seen = current.is_some_and(|current| current.going == Going::Running);
                let stop = new_stop(desk, rules, around, edge.at, is_start_seen.then_some(blur_ms));
                tell_state(desk, rules, around, edge, Some(stop), ended.clone());
                tell_closed(desk, rules, ended);
                if rules.open_at_fault && around.first_fault != 0 {
                    open_downtime(desk, rules, around, edge.at);
                }
            }
        },
    }
}

/// The PLC shows a fault while the machine stands: the first one names the reason, others are listed.
pub fn fault(desk: &mut Desk<'_>, rules: &MachineRules, around: &Around, until: Stamp) {
    let (Some(_), Some(mut stop)) = remembered(desk, rules) else { return };
    match &mut stop.fault {
        Some(fault) if fault.code == around.fault || fault.others.contains(&around.fault) => return,
        Some(fault) if fault.others.len() >= OTHER_FAULTS => return,
        Some(fault) => fault.others.push(around.fault),
        None => {
            stop.fault = Some(Fault { code: around.fault, others: Vec::new() });
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
    stop.fault.is_none()
        && matches!(stop.class, Class::External | Class::Changeover)
        && stop.counts_in != CountsIn::None
        && class_of(reason_of(desk, rules, Some(fault)), Some(fault), stop.signal) != stop.class
}

/// What the state signal makes of the open stop: `class`, since `since`. A word that comes as good as with the stop names
/// it whole; of a later one this gives from when and when it splits the stop, if it holds until then.
pub fn signal(
    desk: &mut Desk<'_>,
    rules: &MachineRules,
    around: impl Fn() -> Around,
    (class, since): (Class, Stamp),
    now: Stamp,
) -> Option<Parting> {
    let machine = desk.known.machines.get(&rules.id)?;
    let (current, open) = (machine.current?, machine.book.open_stop()?);
    if current.going != Going::Still || open.signal == Some(class) || open.counts_in == CountsIn::None {
        return None;
    }
    let late_ms = rules.debounce_ms.max(rules.state.as_ref().map_or(0, |state| state.poll_ms));
    if since <= open.started_at.plus(late_ms) {
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
    let at = since.max(current.since);
    Some(Parting { at, due: at.plus(open.short_stop_ms.max(1)), cause: Cause::Signal(class) })
}

/// Splits the open stop: two downtimes of one stop, the second with an id and a number of its own.
pub fn split(desk: &mut Desk<'_>, rules: &MachineRules, around: &Around, parting: Parting, until: Stamp) {
    let (Some(current), Some(mut first)) = remembered(desk, rules) else { return };
    let Parting { at, cause, .. } = parting;
    let (fault, signal) = match cause {
        Cause::Signal(class) => (None, Some(class)),
        Cause::Fault(code) => (Some(Fault { code, others: Vec::new() }), first.signal),
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
        split: Some(Split { downtime_id: desk.mint(Role::Downtime, at), from: first.downtime_id() }),
        started_at: at,
        uncertainty_ms: Some(blur_ms),
        shift: desk.rules.calendar.day(at).id,
        reason: None,
        fault,
        signal,
        flags: Vec::new(),
        ..first.clone()
    };
    let last = desk.known.machines.get(&rules.id).map_or(0, |machine| machine.last_number);
    second.downtime = Some(Numbered { number: last + 1, revision: 1 });
    judge(desk, rules, &mut second);
    second = measured(desk, rules, second, until);
    first = measured(desk, rules, first, at);
    first.ended_at = Some(at);
    first.uncertainty_ms = first.uncertainty_ms.map(|start_ms| start_ms.max(blur_ms));
    if let Some(downtime) = &mut first.downtime {
        downtime.revision += 1;
    }
    let edge = Edge { to: Going::Still, at, after: None };
    tell_state(desk, rules, around, edge, Some(second.clone()), Some(first.clone()));
    tell_downtime(desk, rules, Change::Closed, first);
    tell_downtime(desk, rules, Change::Opened, second);
}

/// When the stop that stands open reaches `short_stop`, if it goes on standing.
pub fn due(machine: &Machine) -> Option<Stamp> {
    let current = machine.current.filter(|current| current.going == Going::Still)?;
    let stop = machine.book.open_stop().filter(|stop| stop.downtime.is_none() && stop.counts_in != CountsIn::None)?;
    let pieces = machine.book.pieces(stop.started_at, current.since);
    let stood_ms: i64 = pieces.filter(|piece| piece.going != Going::Unknown).map(|piece| piece.ms()).sum();
    Some(current.since.plus((stop.short_stop_ms - stood_ms).max(0)))
}

/// The open stop has become a downtime, as known until `until`.
pub fn open_downtime(desk: &mut Desk<'_>, rules: &MachineRules, around: &Around, until: Stamp) {
    let (Some(current), Some(stop)) = remembered(desk, rules) else { return };
    if stop.downtime.is_none() && stop.counts_in != CountsIn::None {
        number(desk, rules, around, stop, current, until);
    }
}

/// Something about the open stop changed.
fn tell_again(desk: &mut Desk<'_>, rules: &MachineRules, around: &Around, stop: Stop, until: Stamp) {
    let (Some(current), _) = remembered(desk, rules) else { return };
    let mut stop = measured(desk, rules, stop, until);
    let edge = Edge { to: current.going, at: current.since, after: None };
    if let Some(downtime) = &mut stop.downtime {
        downtime.revision += 1;
        if state_of(&stop) != current.state && current.going == Going::Still {
            tell_state(desk, rules, around, edge, Some(stop.clone()), None);
        }
        tell_downtime(desk, rules, Change::Updated, stop);
        return;
    }
    tell_state(desk, rules, around, edge, Some(stop), None);
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
    let last = desk.known.machines.get(&rules.id).map_or(0, |machine| machine.last_number);
    stop.downtime = Some(Numbered { number: last + 1, revision: 1 });
    judge(desk, rules, &mut stop);
    if current.going == Going::Still {
        tell_state(
            desk,
            rules,
            around,
            Edge { to: Going::Still, at: current.since, after: None },
            Some(stop.clone()),
            None,
        );
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
    stop.ended_at = Some(end);
    stop.observed.ended_at = Some(end);
    stop.uncertainty_ms = stop.uncertainty_ms.map(|start_ms| start_ms.max(blur_ms));
    if let Some(downtime) = &mut stop.downtime {
        downtime.revision += 1;
    }
    stop
}

fn new_stop(desk: &Desk<'_>, rules: &MachineRules, around: &Around, at: Stamp, uncertainty_ms: Option<i64>) -> Stop {
    let mut stop = Stop {
        stop_id: desk.mint(Role::Stop, at),
        split: None,
        downtime: None,
        started_at: at,
        ended_at: None,
        observed: Observed { started_at: at, ended_at: None },
        short_stop_ms: rules.short_stop_ms,
        duration_ms: 0,
        excluded_ms: 0,
        unknown_ms: 0,
        clock_adjust_ms: 0,
        uncertainty_ms,
        shares: Vec::new(),
        shift: desk.rules.calendar.day(at).id,
        class: Class::Unassigned,
        signal: around.signal,
        counts_in: CountsIn::Availability,
        reason: None,
        fault: (around.first_fault != 0).then(|| Fault { code: around.first_fault, others: Vec::new() }),
        flags: if uncertainty_ms.is_some() { Vec::new() } else { vec!["start_not_seen".to_owned()] },
    };
    judge(desk, rules, &mut stop);
    stop
}

/// Gives a stop its reason, class and place in the OEE sum.
fn judge(desk: &Desk<'_>, rules: &MachineRules, stop: &mut Stop) {
    let fault = stop.fault.as_ref().map(|fault| fault.code);
    let reason = reason_of(desk, rules, fault);
    if let (None, Some(reason)) = (&stop.reason, reason) {
        let text = reason.text.clone();
        stop.reason = Some(Reason { code: reason.code.clone(), text, by: "plc".to_owned(), at: desk.now });
    }
    stop.class = class_of(reason, fault, stop.signal);
    let convention = desk.rules.convention;
    stop.counts_in = match reason.and_then(|reason| reason.counts_in) {
        Some(counts_in) => counts_in,
        None if state_of(stop) == State::ShortStop => convention.short_stop(),
        None => convention.counts_in(stop.class),
    };
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
        machine.book.measure(&mut stop, until, &desk.rules.calendar);
    }
    // Not a stop at all: a downtime that turns out so is void.
    if stop.counts_in == CountsIn::None {
        (stop.duration_ms, stop.unknown_ms) = (0, 0);
        stop.shares.clear();
    }
    stop
}

fn remembered(desk: &Desk<'_>, rules: &MachineRules) -> (Option<Current>, Option<Stop>) {
    match desk.known.machines.get(&rules.id) {
        Some(machine) => (machine.current, machine.book.open_stop().cloned()),
        None => (None, None),
    }
}

fn tell_state(
    desk: &mut Desk<'_>,
    rules: &MachineRules,
    around: &Around,
    edge: Edge,
    stop: Option<Stop>,
    ended: Option<Stop>,
) {
    let state = match (edge.to, &stop) {
        (Going::Unknown, _) => State::Unknown,
        (Going::Still, Some(stop)) => state_of(stop),
        (Going::Running | Going::Still, _) => State::Running,
    };
    let previous = desk.known.machines.get(&rules.id).and_then(|machine| machine.current).map(|current| current.state);
    let provisional =
        edge.to == Going::Still && state != State::Running && stop.as_ref().is_some_and(|stop| stop.downtime.is_none());
    desk.tell(Event::Stop(StopEvent::State(Box::new(StateChange {
        machine: rules.id.clone(),
        state,
        previous,
        going: edge.to,
        since: edge.at,
        at: desk.now,
        provisional,
        stop,
        ended,
        fault: around.fault,
        counts: around.counts,
        raw: around.raw.clone(),
    }))));
}

fn tell_downtime(desk: &mut Desk<'_>, rules: &MachineRules, change: Change, stop: Stop) {
    let (machine, at, by) = (rules.id.clone(), desk.now, "plc".to_owned());
    desk.tell(Event::Stop(StopEvent::Downtime(Box::new(Downtime { machine, change, at, by, stop }))));
}

fn tell_closed(desk: &mut Desk<'_>, rules: &MachineRules, ended: Option<Stop>) {
    if let Some(stop) = ended.filter(|stop| stop.downtime.is_some()) {
        tell_downtime(desk, rules, Change::Closed, stop);
    }
}
