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
            Change, Class, CountsIn, Downtime, Event as StopEvent, Fault, Going, Numbered, Observed, Reason, State,
            StateChange, Stop,
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
    /// Parts came while nobody looked.
    pub parts_in_gap: bool,
    /// Cumulative, as seen.
    pub counts: Counts,
    /// The counters themselves.
    pub raw: Raw,
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
    let (Some(current), Some(mut stop)) = remembered(desk, rules) else { return };
    match &mut stop.fault {
        Some(fault) if fault.code == around.fault || fault.others.contains(&around.fault) => return,
        Some(fault) if fault.others.len() >= OTHER_FAULTS => return,
        Some(fault) => fault.others.push(around.fault),
        None => {
            stop.fault = Some(Fault { code: around.fault, others: Vec::new() });
            judge(desk, rules, &mut stop);
        }
    }
    let mut stop = measured(desk, rules, stop, until);
    if let Some(downtime) = &mut stop.downtime {
        downtime.revision += 1;
        if state_of(&stop) != current.state && current.going == Going::Still {
            tell_state(
                desk,
                rules,
                around,
                Edge { to: Going::Still, at: current.since, after: None },
                Some(stop.clone()),
                None,
            );
        }
        tell_downtime(desk, rules, Change::Updated, stop);
        return;
    }
    tell_state(desk, rules, around, Edge { to: current.going, at: current.since, after: None }, Some(stop), None);
    if rules.open_at_fault {
        open_downtime(desk, rules, around, until);
    }
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
    let named = |reason: &&ReasonRule| {
        stop.fault.as_ref().is_some_and(|fault| reason.faults.contains(&fault.code))
            && (reason.machines.is_empty() || reason.machines.contains(&rules.id))
    };
    let reason = desk.rules.reasons.iter().find(named);
    if let (None, Some(reason)) = (&stop.reason, reason) {
        let text = reason.text.clone();
        stop.reason = Some(Reason { code: reason.code.clone(), text, by: "plc".to_owned(), at: desk.now });
    }
    stop.class = match (reason, &stop.fault) {
        (Some(reason), _) => reason.class,
        (None, Some(_)) => Class::Failure,
        (None, None) => Class::Unassigned,
    };
    let convention = desk.rules.convention;
    stop.counts_in = match reason.and_then(|reason| reason.counts_in) {
        Some(counts_in) => counts_in,
        None if state_of(stop) == State::ShortStop => convention.short_stop(),
        None => convention.counts_in(stop.class),
    };
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
