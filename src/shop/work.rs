//! Stops and what people say in, requests for maintenance out: the ledger of work.
//!
//! It follows the ledger of stops: what that told is looked at event by event, so that a request is raised, updated or
//! withdrawn with the very record that the world was told. Work orders come back in `order`.

pub mod kept;
pub mod order;
mod text;

use super::{
    Desk,
    correction::Past,
    meter,
    rules::{Counters, MachineRules, WorkRule},
};
use crate::{
    books::Book,
    event::{
        Event, Stamp,
        command::{Command, Refusal, Subject, Verdict},
        id::Role,
        meter::{Readings, Why},
        notice::Severity,
        stop::{self, Change as StopChange, Class, Going, PLC, Stop},
        work::{Asked, Call, Change, Event as WorkEvent, Meters, OCCURRENCES, Occurrence, Problem, Request, Status},
    },
};
pub use kept::Kept;
use kept::{Recent, is_nothing, occurrence, problem};
use order::Move;
use uuid::Uuid;

/// Most requests that are open at a time: beyond, a rule is at fault, and nobody is asked again before some are answered.
pub const OPEN: usize = 2_000;

/// Most remarks of people that one request bears.
const REMARKS: usize = 16;

/// The priority of a person's request that names none.
const PRIORITY: u8 = 2;

const HOUR_MS: i64 = 3_600_000;

/// A stop that the ledger of stops told of.
struct Told {
    machine: String,
    stop: Stop,
    /// It went by just now; not a correction of what is long over.
    is_fresh: bool,
}

/// Looks at what was told since it last did: requests follow their downtimes, then rules fire.
pub fn follow(desk: &mut Desk<'_>) {
    let from = std::mem::replace(&mut desk.followed, desk.told.len());
    let (mut stops, mut moves, mut answered) = (Vec::<Told>::new(), Vec::<Move>::new(), Vec::<Uuid>::new());
    let mut read_meters: Vec<(String, Readings, Readings)> = Vec::new();
    for told in &desk.told[from..] {
        match &told.event {
            Event::Stop(stop::Event::Downtime(downtime)) => {
                let (stop, id) = (&downtime.stop, downtime.stop.downtime_id());
                let split = stop.split.filter(|split| split.takes_work && downtime.change == StopChange::Opened);
                let moved = |from, to| Move { from, to, started_at: stop.started_at, by: downtime.by.clone() };
                moves.extend(split.map(|split| moved(split.from, id)));
                moves.extend(stop.merged_into.map(|first| moved(id, first)));
                let is_fresh = downtime.by == PLC;
                match stops.iter_mut().find(|told| told.stop.downtime_id() == id) {
                    Some(told) => (told.stop, told.is_fresh) = (stop.clone(), told.is_fresh || is_fresh),
                    None => {
                        stops.push(Told { machine: downtime.machine.clone(), stop: stop.clone(), is_fresh });
                    }
                }
            }
            Event::Stop(stop::Event::State(change)) => {
                if let Some(stop) = change.ended.as_ref().filter(|stop| stop.downtime.is_none()) {
                    stops.push(Told { machine: change.machine.clone(), stop: stop.clone(), is_fresh: true });
                }
            }
            Event::Work(WorkEvent::Order(updated)) => answered.push(updated.order.id),
            Event::Meter(read) if read.why == Why::Interval => {
                let readings = desk.known.work.meters.get(&read.asset).copied();
                read_meters.extend(readings.map(|(before, now)| (read.machine.clone(), before, now)));
            }
            _ => {}
        }
    }
    for (id, before, now) in read_meters {
        if let Some(machine) = desk.rules.machines.iter().find(|machine| machine.id == id) {
            metered(desk, machine, before, now);
        }
    }
    if stops.is_empty() && answered.is_empty() {
        desk.followed = desk.told.len();
        return;
    }
    order::moved(desk, &moves);
    refresh(desk, &stops, &moves, &answered);
    // What the CMMS tells of its work is no reason to ask for more of it.
    for told in stops.iter().filter(|_| answered.is_empty()) {
        let Some(machine) = desk.rules.machines.iter().find(|machine| machine.id == told.machine) else { continue };
        judge(desk, machine, told);
    }
    // Its own words need no second look.
    desk.followed = desk.told.len();
}

/// Every request on a downtime that was told again is told again, and so is one that was answered.
fn refresh(desk: &mut Desk<'_>, stops: &[Told], moves: &[Move], answered: &[Uuid]) {
    let is_touched = |request: &&Request| {
        let is_moved = || moves.iter().any(|moved| request.has(moved.from));
        let is_told = || stops.iter().any(|told| request.has(told.stop.downtime_id()));
        let is_answered = |id: &Uuid| {
            let order = desk.known.work.orders.get(id);
            order.is_some_and(|order| order.requests.contains(&request.request_id))
        };
        answered.iter().any(is_answered) || is_told() || is_moved()
    };
    let touched: Vec<Request> = desk.known.work.requests.values().filter(is_touched).cloned().collect();
    for held in touched {
        let mut request = held.clone();
        for moved in moves.iter().filter(|moved| held.has(moved.from)) {
            if request.has(moved.to) {
                request.stops.retain(|stop| stop.id != moved.from);
            } else if let Some(stop) = request.stops.iter_mut().find(|stop| stop.id == moved.from) {
                stop.id = moved.to;
            }
        }
        for told in stops {
            let id = told.stop.downtime_id();
            let Some(index) = request.stops.iter().position(|stop| stop.id == id) else { continue };
            let Some(machine) = desk.rules.machines.iter().find(|machine| machine.id == told.machine) else { continue };
            let parts = lost_parts(desk, machine, &told.stop).or(request.stops[index].lost_parts);
            request.stops[index] = Occurrence { lost_parts: parts, ..occurrence(&told.machine, &told.stop) };
            if index == 0 && is_about_stops(&request.problem) {
                name(&mut request, &told.stop);
            }
        }
        let orders = desk.known.work.orders.values().filter(|order| order.requests.contains(&request.request_id));
        let latest = orders.reduce(|last, order| if last.version.is_before(&order.version) { order } else { last });
        let answer = latest.map(|order| order.status);
        request.status = answer.unwrap_or(request.status);
        if answer.is_none() && request.status == Status::Withdrawn {
            continue;
        }
        let is_moot = !request.stops.is_empty() && request.stops.iter().all(is_nothing);
        let is_wanted = request.by.is_some() || looks_at_planned(desk, &request);
        let is_withdrawn = answer.is_none() && is_moot && !is_wanted;
        if is_withdrawn {
            request.status = Status::Withdrawn;
        }
        if request != held {
            tell(desk, if is_withdrawn { Change::Withdrawn } else { Change::Updated }, request);
        }
    }
}

/// It was raised by a rule for planned stops, which so do not take it back.
fn looks_at_planned(desk: &Desk<'_>, request: &Request) -> bool {
    let rules = desk.rules.work.requests.iter().filter(|rule| request.rules.contains(&rule.name));
    let is_stop = |stop: &Occurrence| !stop.is_void;
    rules.into_iter().any(|rule| rule.class == Some(Class::Planned)) && request.stops.iter().any(is_stop)
}

/// Which rules fire for a stop.
fn judge(desk: &mut Desk<'_>, machine: &MachineRules, told: &Told) {
    let stop = &told.stop;
    let rules = desk.rules;
    let looking = rules.work.requests.iter().filter(|rule| looks_at(rule, machine, stop));
    for rule in looking {
        // What became a failure long after is a matter of figures; nobody has to come for it.
        if stop.ended_at.is_some() && !told.is_fresh && is_shift_over(desk, machine, stop) {
            continue;
        }
        let is_long = rule.after_ms.is_some_and(|after_ms| stop.duration_ms >= after_ms && stop.downtime.is_some());
        if is_long {
            fire(desk, machine, rule, stop, &[]);
        }
        if let Some(times) = rule.times {
            often(desk, machine, rule, stop, times);
        }
    }
}

/// A rule that counts stops: it fires with the last of so many, then for each that comes while its request is open.
fn often(desk: &mut Desk<'_>, machine: &MachineRules, rule: &WorkRule, stop: &Stop, times: usize) {
    let about = problem(stop).0;
    if stop.downtime.is_none() && about == Problem::Unassigned {
        return;
    }
    let kept = &desk.known.work;
    let by_rule = |request: &&Request| request.rules.contains(&rule.name) && request.status != Status::Withdrawn;
    let open = open(desk, machine, &about);
    if open.is_some_and(|request| request.rules.contains(&rule.name)) {
        fire(desk, machine, rule, stop, &[]);
        return;
    }
    let since = stop.started_at.plus(-rule.within_ms);
    let is_counted = |recent: &&Recent| {
        recent.problem == about
            && since < recent.stop.started_at
            && recent.stop.started_at <= stop.started_at
            && !recent.stop.is_void
            && recent.stop.id != stop.downtime_id()
            && rule.class.is_none_or(|class| recent.stop.class == class)
            // A cluster fires once.
            && !kept.requests.values().filter(by_rule).any(|request| request.has(recent.stop.id))
    };
    let recent = kept.recent.get(&machine.id).into_iter().flatten();
    let before: Vec<Occurrence> = recent.filter(is_counted).map(|recent| recent.stop.clone()).collect();
    if before.len() + 1 >= times {
        fire(desk, machine, rule, stop, &before);
    }
}

/// The open downtime has lasted so long that a rule fires; `until`: as far as that is certain.
pub fn lasted(desk: &mut Desk<'_>, machine: &MachineRules, until: Stamp) {
    follow(desk);
    let Some(book) = desk.known.machines.get(&machine.id).map(|machine| &machine.book) else { return };
    let Some(stop) = book.open_stop().filter(|stop| stop.downtime.is_some()) else { return };
    let mut stop = stop.clone();
    super::stop::measure(book, machine, &mut stop, until);
    let rules = desk.rules;
    for rule in rules.work.requests.iter().filter(|rule| looks_at(rule, machine, &stop)) {
        if rule.after_ms.is_some_and(|after_ms| stop.duration_ms >= after_ms) {
            fire(desk, machine, rule, &stop, &[]);
        }
    }
    desk.followed = desk.told.len();
}

/// When a rule fires for the downtime that stands open, if it goes on standing.
pub fn due(desk: &Desk<'_>, machine: &MachineRules) -> Option<Stamp> {
    if desk.rules.work.requests.is_empty() {
        return None;
    }
    let known = desk.known.machines.get(&machine.id)?;
    let current = known.current.filter(|current| current.going == Going::Still)?;
    let stop = known.book.open_stop().filter(|stop| stop.downtime.is_some() && !stop.is_void())?;
    let rules = desk.rules.work.requests.iter().filter(|rule| looks_at(rule, machine, stop));
    let waiting = rules.filter(|rule| !has_fired(desk, rule, stop)).filter_map(|rule| rule.after_ms);
    let needed_ms = waiting.min()?;
    if is_rejected(desk, machine, stop) || open_count(desk) >= OPEN {
        return None;
    }
    let mut so_far = stop.clone();
    known.book.measure(&mut so_far, current.moved, &machine.calendar);
    let from = current.moved.max(stop.started_at);
    let due = machine.calendar.after_planned(from, (needed_ms - so_far.duration_ms).max(0));
    (due < Stamp::MAX).then_some(due)
}

/// A meter went from `before` to `now`: rules that ask at multiples of it fire.
fn metered(desk: &mut Desk<'_>, machine: &MachineRules, before: Readings, now: Readings) {
    let rules = desk.rules;
    for rule in rules.work.requests.iter().filter(|rule| looks_at_machine(rule, machine)) {
        let hours = |readings: Readings| readings.run_ms / HOUR_MS;
        let run_hours = crossed(rule.run_hours, hours(before), hours(now));
        let cycles = crossed(rule.cycles, before.cycles, now.cycles);
        for (multiple, unit) in [(run_hours, "run hours"), (cycles, "cycles")] {
            if let Some(multiple) = multiple {
                service(desk, machine, rule, multiple, unit);
            }
        }
    }
}

/// The highest multiple of `every` in `(before, now]`.
fn crossed(every: Option<i64>, before: i64, now: i64) -> Option<i64> {
    let every = every.filter(|every| *every > 0)?;
    (now / every > before / every).then_some(now / every * every)
}

fn service(desk: &mut Desk<'_>, machine: &MachineRules, rule: &WorkRule, multiple: i64, unit: &str) {
    let (about, text) = (Problem::Meter(format!("{}: {unit}", rule.name)), format!("{multiple} {unit}"));
    let key = format!("{}: {unit}", rule.name);
    let known = desk.known.work.multiples.get(&key).and_then(|assets| assets.get(&machine.asset));
    if known.is_some_and(|last| *last >= multiple) {
        return;
    }
    if let Some(request) = open(desk, machine, &about).cloned() {
        let more = request.more + 1;
        tell(desk, Change::Updated, Request { text, more, multiple: Some(multiple), ..request });
        return;
    }
    let request = Request { text, more: 1, multiple: Some(multiple), ..blank(desk, machine, about, desk.now) };
    raise(desk, Request { rules: vec![rule.name.clone()], priority: rule.priority, ..request });
}

/// A person asks.
pub fn call(
    desk: &mut Desk<'_>,
    machine: &MachineRules,
    call: &Call,
    command: &Command,
    past: Option<&Past>,
) -> Result<Verdict, Refusal> {
    let stop = match call.downtime_id {
        Some(id) => {
            let found =
                past.map(|past| &past.book).into_iter().chain(book(desk, machine)).find_map(|book| find(book, id));
            let unknown = || Refusal::new("unknown_downtime", format!("{} has no downtime {id}", machine.id));
            Some(found.ok_or_else(unknown)?.clone())
        }
        None => None,
    };
    let about = stop.as_ref().map_or(Problem::Asked(call.text.clone()), |stop| problem(stop).0);
    let id = if let Some(request) = open(desk, machine, &about).cloned() {
        let mut request = request;
        request.priority = call.priority.unwrap_or(request.priority).min(request.priority);
        if request.text != call.text && !request.remarks.contains(&call.text) && request.remarks.len() < REMARKS {
            request.remarks.push(call.text.clone());
        }
        match &stop {
            Some(stop) => add(desk, machine, &mut request, stop),
            None => request.more += 1,
        }
        let id = request.request_id;
        tell(desk, Change::Updated, request);
        id
    } else {
        let at = stop.as_ref().map_or(desk.now, |stop| stop.started_at);
        let mut request = blank(desk, machine, about, at);
        request.text.clone_from(&call.text);
        request.by = Some(command.by.clone());
        request.priority = call.priority.unwrap_or(PRIORITY);
        match &stop {
            Some(stop) => {
                add(desk, machine, &mut request, stop);
                request.fault = stop.fault.as_ref().map(|fault| fault.code);
            }
            None => request.more = 1,
        }
        let id = request.request_id;
        if !raise(desk, request) {
            let text = format!("{OPEN} requests are open: answer some of them first");
            return Err(Refusal::new("too_many_requests", text));
        }
        id
    };
    desk.followed = desk.told.len();
    let revision = desk.known.work.requests.get(&id).map_or(1, |request| request.revision);
    Ok(Verdict::Accepted(Some(Subject { id: id.to_string(), revision })))
}

/// A rule fires for a stop, and for those `before` that it counted: an open request for the same problem is updated, else
/// one is raised. Once per stop.
fn fire(desk: &mut Desk<'_>, machine: &MachineRules, rule: &WorkRule, stop: &Stop, before: &[Occurrence]) {
    if has_fired(desk, rule, stop) || is_rejected(desk, machine, stop) {
        return;
    }
    let about = problem(stop).0;
    if let Some(held) = open(desk, machine, &about).cloned() {
        let mut request = held.clone();
        request.priority = request.priority.min(rule.priority);
        if !request.rules.contains(&rule.name) {
            request.rules.push(rule.name.clone());
        }
        for earlier in before.iter().filter(|earlier| !held.has(earlier.id)) {
            request.stops.push(with_parts(desk, machine, earlier));
        }
        add(desk, machine, &mut request, stop);
        tell(desk, Change::Updated, request);
        return;
    }
    let first = before.first().map_or(stop.started_at, |first| first.started_at);
    let mut request = blank(desk, machine, about, first);
    request.rules = vec![rule.name.clone()];
    request.priority = rule.priority;
    name(&mut request, stop);
    request.stops.extend(before.iter().map(|earlier| with_parts(desk, machine, earlier)));
    add(desk, machine, &mut request, stop);
    raise(desk, request);
}

/// The rule has asked for this downtime, or for another part of the same stop for the same reason.
fn has_fired(desk: &Desk<'_>, rule: &WorkRule, stop: &Stop) -> bool {
    let (id, about) = (stop.downtime_id(), problem(stop).0);
    let is_part =
        |request: &Request| request.problem == about && request.stops.iter().any(|known| known.stop_id == stop.stop_id);
    let asked = desk.known.work.requests.values().filter(|request| request.status != Status::Withdrawn);
    asked.filter(|request| request.rules.contains(&rule.name)).any(|request| request.has(id) || is_part(request))
}

/// The CMMS would not come for this stop.
fn is_rejected(desk: &Desk<'_>, machine: &MachineRules, stop: &Stop) -> bool {
    let rejected = desk.known.work.requests.values().filter(|request| request.status == Status::Rejected);
    let is_same = |request: &Request| request.stops.iter().any(|known| known.stop_id == stop.stop_id);
    rejected.into_iter().any(|request| request.asset == machine.asset && is_same(request))
}

fn open_count(desk: &Desk<'_>) -> usize {
    desk.known.work.requests.values().filter(|request| !request.status.is_ended()).count()
}

/// The request for this problem that holds back another one.
fn open<'d>(desk: &'d Desk<'_>, machine: &MachineRules, about: &Problem) -> Option<&'d Request> {
    let is_open = |request: &&Request| {
        request.asset == machine.asset
            && request.problem == *about
            && !request.status.is_ended()
            && ran_since(desk, machine, request) < desk.rules.work.reopen_after_ms
    };
    desk.known.work.requests.values().filter(is_open).max_by_key(|request| request.raised_at)
}

fn with_parts(desk: &Desk<'_>, machine: &MachineRules, stop: &Occurrence) -> Occurrence {
    let ideal = ideal(desk, machine, stop.started_at);
    Occurrence { lost_parts: ideal.map(|ideal| ideal.parts_in(stop.duration_ms)), ..stop.clone() }
}

fn add(desk: &Desk<'_>, machine: &MachineRules, request: &mut Request, stop: &Stop) {
    let now = Occurrence { lost_parts: lost_parts(desk, machine, stop), ..occurrence(&machine.id, stop) };
    match request.stops.iter_mut().find(|known| known.id == now.id) {
        Some(known) => *known = now,
        None => request.stops.push(now),
    }
    while request.stops.len() > OCCURRENCES {
        // The first stays: it is the downtime that the request was raised for.
        request.stops.remove(1);
        request.more += 1;
    }
}

fn name(request: &mut Request, stop: &Stop) {
    let (about, text) = problem(stop);
    request.problem = about;
    if request.by.is_none() {
        request.text = text;
    }
    request.fault = stop.fault.as_ref().map(|fault| fault.code);
    request.other_faults = stop.fault.as_ref().map(|fault| fault.others.clone()).unwrap_or_default();
}

fn is_about_stops(problem: &Problem) -> bool {
    matches!(problem, Problem::Reason(_) | Problem::Fault(_) | Problem::Unassigned)
}

fn blank(desk: &Desk<'_>, machine: &MachineRules, about: Problem, at: Stamp) -> Request {
    Request {
        request_id: desk.mint(Role::Request, at),
        revision: 0,
        status: Status::Raised,
        machine: machine.id.clone(),
        asset: machine.asset.clone(),
        rules: Vec::new(),
        by: None,
        priority: PRIORITY,
        problem: about,
        text: String::new(),
        fault: None,
        other_faults: Vec::new(),
        remarks: Vec::new(),
        raised_at: desk.now,
        stops: Vec::new(),
        more: 0,
        multiple: None,
        meters: Meters::default(),
    }
}

fn raise(desk: &mut Desk<'_>, request: Request) -> bool {
    let open = open_count(desk);
    if open >= OPEN {
        return false;
    }
    let machine = request.machine.clone();
    tell(desk, Change::Raised, request);
    if open + 1 == OPEN {
        let text =
            format!("{OPEN} work requests are open and nobody answers: no more are raised until some have ended");
        desk.notice(Some(&machine), "work_requests_full", Severity::Error, text);
    }
    true
}

/// Tells the record after the change.
fn tell(desk: &mut Desk<'_>, change: Change, mut request: Request) {
    request.revision += 1;
    let Some(machine) = desk.rules.machines.iter().find(|machine| machine.id == request.machine) else { return };
    request.meters = meters(desk, machine);
    let words = desk.rules.work.priority_map.as_ref();
    let priority_text = words.and_then(|words| words.get(usize::from(request.priority).checked_sub(1)?)).cloned();
    let register = &desk.known.register;
    let asset = register.get(&request.asset).map(|held| &held.asset);
    let equipment_path = asset.map(|asset| {
        let name = asset.name.as_deref().unwrap_or(&asset.id);
        let levels = register.equipment_path(&request.asset).into_iter().chain([name]);
        levels.collect::<Vec<_>>().join("/")
    });
    let location = asset.and_then(|asset| asset.location.clone());
    let asked = Asked {
        location,
        equipment_path,
        change,
        at: desk.now,
        title: text::title(&request),
        description: text::description(desk.rules, machine, &request, desk.now),
        priority_text,
        request,
    };
    desk.tell(Event::Work(WorkEvent::Request(Box::new(asked))));
}

fn looks_at_machine(rule: &WorkRule, machine: &MachineRules) -> bool {
    rule.machines.is_empty() || rule.machines.contains(&machine.id)
}

fn looks_at(rule: &WorkRule, machine: &MachineRules, stop: &Stop) -> bool {
    let is_class = rule.class.map_or(stop.class != Class::Planned, |class| class == stop.class);
    let is_reason = stop.reason.as_ref().is_some_and(|reason| rule.reasons.contains(&reason.code));
    let is_fault = stop.fault.as_ref().is_some_and(|fault| rule.faults.contains(&fault.code));
    let is_any = rule.reasons.is_empty() && rule.faults.is_empty();
    looks_at_machine(rule, machine) && is_class && (is_any || is_reason || is_fault) && !stop.is_void()
}

/// The shift (or day) in which it began is over.
fn is_shift_over(desk: &Desk<'_>, machine: &MachineRules, stop: &Stop) -> bool {
    let calendar = &machine.calendar;
    let period = calendar.shift(stop.started_at).unwrap_or_else(|| calendar.day(stop.started_at));
    desk.known.wall.hull(period.from, period.to).1 <= desk.now
}

/// Parts that the machine would have made in a stop at its ideal: `duration_ms` ÷ ideal time per part of the order at its
/// start, else of the machine (the parts that ISO 22400-2 takes as possible in that time), whole parts only.
fn lost_parts(desk: &Desk<'_>, machine: &MachineRules, stop: &Stop) -> Option<i64> {
    Some(ideal(desk, machine, stop.started_at)?.parts_in(stop.duration_ms))
}

fn ideal(desk: &Desk<'_>, machine: &MachineRules, at: Stamp) -> Option<crate::event::Ideal> {
    let order = book(desk, machine).and_then(|book| book.order_at(at));
    order.and_then(|order| order.ideal).or(machine.ideal)
}

fn book<'d>(desk: &'d Desk<'_>, machine: &MachineRules) -> Option<&'d Book> {
    desk.known.machines.get(&machine.id).map(|machine| &machine.book)
}

fn find(book: &Book, id: Uuid) -> Option<&Stop> {
    book.stops.iter().find(|stop| stop.downtime_id() == id && stop.downtime.is_some())
}

/// How long the machine ran since the last occurrence; no less where that is no longer in memory.
fn ran_since(desk: &Desk<'_>, machine: &MachineRules, request: &Request) -> i64 {
    let Some(book) = book(desk, machine) else { return 0 };
    let last = request.stops.last().map_or(request.raised_at, |stop| stop.ended_at.unwrap_or(desk.now));
    let pieces = book.pieces(last.max(request.raised_at), desk.now).filter(|piece| piece.going == Going::Running);
    pieces.map(|piece| piece.ms()).sum()
}

/// What the asset has done by now, as it is shown to the world.
fn meters(desk: &mut Desk<'_>, machine: &MachineRules) -> Meters {
    let shown = meter::show(desk, &machine.asset);
    let Counters { total, good, reject } = &machine.counters;
    let has_counter = [total, good, reject].into_iter().any(Option::is_some);
    Meters {
        run_ms: shown.map(|readings| readings.run_ms),
        cycles: shown.filter(|_| has_counter).map(|readings| readings.cycles),
    }
}

#[cfg(test)]
mod tests;
