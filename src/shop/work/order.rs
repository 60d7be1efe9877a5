//! The CMMS's word on a work order in, the same downtime with its number, cause and times out: the way back.
//!
//! Words come late, twice and in any order. Each field keeps the version that said it, and a version never takes back what
//! a later one said; the first moment of work is the earliest that was told. So every order of arrival ends in one record.

use super::{super::seen::Seen, find, follow};
use crate::{
    books::Book,
    event::{
        Event, Stamp,
        command::{Command, Refusal, Side, Subject, Verdict},
        id::Role,
        stop::{Change, Class, Downtime, Event as StopEvent, Stop},
        work::{
            About, Event as WorkEvent, Held, LINKS, Link, Order, Report, Said, Status, Times, Updated, Version, Words,
        },
    },
    shop::{Desk, Known, correction::Past, known::Stated, rules::MachineRules, statement, stop},
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A link that became another's: by a split or a merge.
#[derive(Clone, Debug)]
pub struct Move {
    /// The downtime that it was about.
    pub from: Uuid,
    /// The one that it is about now.
    pub to: Uuid,
    /// When that one began.
    pub started_at: Stamp,
    /// Who parted or merged them.
    pub by: String,
}

/// Where a downtime was found.
struct Found {
    machine: usize,
    stop: Stop,
    /// On a page that was fetched: it is no longer in memory.
    is_past: bool,
}

/// From when on a page is touched, the page, and what was stated of it.
type Touched = (Stamp, Book, BTreeMap<String, Stated>);

/// Takes what the CMMS says in.
pub fn report(
    desk: &mut Desk<'_>,
    seen: &[Seen],
    machine: &MachineRules,
    (report, command): (&Report, &Command),
    past: Option<&Past>,
) -> Result<Verdict, Refusal> {
    let known = &desk.known.work;
    if let Some(id) = report.request_id.filter(|id| !known.requests.contains_key(id)) {
        let text = format!("no request {id} is remembered: it never was, or ended too long ago");
        return refuse("unknown_request", text);
    }
    let mut named = Vec::new();
    for id in &report.downtime_ids {
        let Some(found) = downtime(desk, machine, past, *id) else {
            return refuse("unknown_downtime", format!("there is no downtime {id}"));
        };
        named.push(found);
    }
    let version = Version { revision: report.revision, at: command.at };
    let held = held(desk, report, &named);
    if held.is_none() && report.request_id.is_none() && named.is_empty() {
        let number = report.work_order.as_deref().unwrap_or("without a number");
        return refuse(
            "unknown_work_order",
            format!("work order {number} was never heard of: name a request or downtime"),
        );
    }
    let held_order = held.and_then(|id| desk.known.work.orders.get(&id).cloned());
    let is_stale = held_order.as_ref().is_some_and(|order| version.is_before(&order.version));
    let mut order = held_order.clone().unwrap_or_else(|| Order {
        id: desk.mint(Role::WorkOrder, command.at),
        revision: 0,
        work_order: None,
        status: report.status,
        version,
        held: Held::default(),
        in_progress_at: None,
        requests: Vec::new(),
        downtimes: Vec::new(),
    });
    enter(&mut order, (report, &command.comment), version, is_stale, desk.rules.work.names_persons);
    let requests = report.request_id.into_iter().filter(|id| !order.requests.contains(id)).collect::<Vec<_>>();
    order.requests.extend(requests);
    order.requests.sort_unstable();
    for found in named {
        about(&mut order, &desk.rules.machines[found.machine].id, &found.stop);
    }
    for request in order.requests.clone() {
        let stops = desk.known.work.requests.get(&request).map(|request| request.stops.clone()).unwrap_or_default();
        for stop in stops.into_iter().filter(|stop| stop.downtime.is_some()) {
            let (started_at, machine, downtime_id) = (stop.started_at, stop.machine, stop.id);
            link(&mut order, About { started_at, machine, downtime_id });
        }
    }
    if order.downtimes.len() > LINKS || order.requests.len() > LINKS {
        return refuse("too_many", format!("one work order is about at most {LINKS} downtimes and requests"));
    }
    if held_order.as_ref() != Some(&order) {
        order.revision += 1;
        let (at, by) = (desk.now, command.by.clone());
        let updated = Updated { machine: machine.id.clone(), at, by, order: order.clone() };
        desk.tell(Event::Work(WorkEvent::Order(Box::new(updated))));
        revise(desk, seen, machine, &order, command, past);
        follow(desk);
    }
    let subject = subject(desk, &order, report);
    Ok(if is_stale { Verdict::Stale(subject) } else { Verdict::Accepted(Some(subject)) })
}

/// Links that a split or a merge made another downtime's.
pub fn moved(desk: &mut Desk<'_>, moves: &[Move]) {
    if moves.is_empty() {
        return;
    }
    let is_touched =
        |order: &&Order| order.downtimes.iter().any(|about| moves.iter().any(|to| to.from == about.downtime_id));
    let touched: Vec<Order> = desk.known.work.orders.values().filter(is_touched).cloned().collect();
    for mut order in touched {
        let mut by = String::new();
        for moved in moves {
            let Some(index) = order.downtimes.iter().position(|about| about.downtime_id == moved.from) else {
                continue;
            };
            let from = order.downtimes.remove(index);
            by.clone_from(&moved.by);
            link(&mut order, About { started_at: moved.started_at, machine: from.machine, downtime_id: moved.to });
        }
        order.revision += 1;
        let machine = order.downtimes.first().map(|about| about.machine.clone()).unwrap_or_default();
        desk.tell(Event::Work(WorkEvent::Order(Box::new(Updated { machine, at: desk.now, by, order }))));
    }
}

/// A stop is split: work goes with the part that it is for, else with the one of class failure; of two or none with the first.
pub fn part(first: &mut Stop, second: &mut Stop, to: Option<Side>) {
    let is_failure = |stop: &Stop| stop.class == Class::Failure && !stop.is_void();
    let by_class = || if is_failure(second) && !is_failure(first) { Side::Second } else { Side::First };
    let takes_work = to.unwrap_or_else(by_class) == Side::Second;
    if let Some(split) = &mut second.split {
        split.takes_work = takes_work;
    }
    if takes_work { &mut *first } else { second }.work.clear();
}

/// Two parts become one again, with the work of both.
pub fn join(first: &mut Stop, second: &mut Stop) {
    for link in second.work.drain(..) {
        match first.work.iter_mut().find(|known| (known.id, known.request_id) == (link.id, link.request_id)) {
            Some(known) => known.times = known.times.or(link.times),
            None => first.work.push(link),
        }
    }
}

/// The time of a machine that a word on a work order concerns, as far as is known of the order and its requests.
pub fn concerns(known: &Known, machine: &str, report: &Report) -> Option<(Stamp, Stamp)> {
    let is_it = |order: &&Order| {
        let is_named = report.work_order.is_some() && order.work_order == report.work_order;
        is_named || report.request_id.is_some_and(|id| order.requests.contains(&id))
    };
    let orders = || known.work.orders.values().filter(is_it);
    let requests = report.request_id.into_iter().chain(orders().flat_map(|order| order.requests.iter().copied()));
    let stops = requests.filter_map(|id| known.work.requests.get(&id)).flat_map(|request| &request.stops);
    let stops = stops.filter(|stop| stop.machine == machine && stop.downtime.is_some());
    let of_requests = stops.map(|stop| (stop.started_at, stop.ended_at.unwrap_or(Stamp::MAX)));
    let of_orders = orders().flat_map(|order| &order.downtimes).filter(|about| about.machine == machine);
    let of_orders = of_orders.map(|about| (about.started_at, about.started_at.plus(1)));
    of_requests.chain(of_orders).reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)))
}

/// The downtime is one of another machine, as far as is remembered.
pub fn is_elsewhere(known: &Known, machine: &str, id: Uuid) -> bool {
    let others = known.machines.iter().filter(|(other, _)| *other != machine);
    others.into_iter().any(|(_, other)| find(&other.book, id).is_some())
}

/// Which order it is: the one of that number, else the latest that is about the same and has not got another number.
fn held(desk: &Desk<'_>, report: &Report, named: &[Found]) -> Option<Uuid> {
    let orders = || desk.known.work.orders.values();
    if report.work_order.is_some()
        && let Some(order) = orders().find(|order| order.work_order == report.work_order)
    {
        return Some(order.id);
    }
    let is_about = |order: &&Order| {
        let is_asked = report.request_id.is_some_and(|id| order.requests.contains(&id));
        let is_named = || {
            named.iter().any(|found| order.downtimes.iter().any(|about| about.downtime_id == found.stop.downtime_id()))
        };
        let is_other = report.work_order.is_some() && order.work_order.is_some();
        !is_other && (is_asked || (report.request_id.is_none() && is_named()))
    };
    let latest = orders()
        .filter(is_about)
        .reduce(|last, order| if last.version.is_before(&order.version) { order } else { last });
    latest.map(|order| order.id)
}

/// Enters what was said, as far as no later version has said otherwise.
fn enter(
    order: &mut Order,
    (report, said): (&Report, &Option<String>),
    version: Version,
    is_stale: bool,
    names_persons: bool,
) {
    fn say<T: Clone>(held: &mut Option<Said<T>>, word: &Option<T>, version: Version) {
        let is_later = held.as_ref().is_none_or(|held| !version.is_before(&held.version));
        if let (Some(word), true) = (word, is_later) {
            *held = Some(Said { value: word.clone(), version });
        }
    }
    let Held {
        status_raw,
        actual_start,
        actual_finish,
        technician,
        labour_ms,
        parts,
        cause,
        mechanism,
        remedy,
        comment,
    } = &mut order.held;
    let words: &Words = &report.words;
    say(status_raw, &words.status_raw, version);
    say(actual_start, &words.actual_start, version);
    say(actual_finish, &words.actual_finish, version);
    // Whose id may not leave the gateway is not kept either.
    if names_persons {
        say(technician, &words.technician, version);
    }
    say(labour_ms, &words.labour_ms, version);
    say(parts, &words.parts, version);
    say(cause, &words.cause, version);
    say(mechanism, &words.mechanism, version);
    say(remedy, &words.remedy, version);
    say(comment, said, version);
    if report.work_order.is_some() {
        order.work_order.clone_from(&report.work_order);
    }
    if report.status == Status::InProgress {
        order.in_progress_at = Some(order.in_progress_at.map_or(version.at, |first| first.min(version.at)));
    }
    if !is_stale {
        order.status = report.status;
        order.version = version;
    }
}

fn about(order: &mut Order, machine: &str, stop: &Stop) {
    let (started_at, machine, downtime_id) = (stop.started_at, machine.to_owned(), stop.downtime_id());
    link(order, About { started_at, machine, downtime_id });
}

fn link(order: &mut Order, about: About) {
    if !order.downtimes.iter().any(|known| known.downtime_id == about.downtime_id) {
        order.downtimes.push(about);
        order.downtimes.sort();
    }
}

/// Every downtime that the order is about is told again with it, and statements whose figures that changes.
fn revise(
    desk: &mut Desk<'_>,
    seen: &[Seen],
    machine: &MachineRules,
    order: &Order,
    command: &Command,
    past: Option<&Past>,
) {
    let rules = desk.rules;
    let mut touched: BTreeMap<(usize, bool), Touched> = BTreeMap::new();
    for (place, about) in order.downtimes.iter().enumerate() {
        let Some(Found { machine: index, mut stop, is_past }) = downtime(desk, machine, past, about.downtime_id) else {
            continue;
        };
        let links = links(desk, order, about.downtime_id, place == 0);
        let others = stop.work.iter().filter(|link| link.id != order.id).cloned();
        let mut work: Vec<Link> = others.chain(links).collect();
        work.sort_by(|a, b| (&a.work_order, a.request_id).cmp(&(&b.work_order, b.request_id)));
        if work == stop.work {
            continue;
        }
        let of = &rules.machines[index];
        let (from, book, _) = touched.entry((index, is_past)).or_insert_with(|| {
            let known = desk.known.machines.get(&of.id);
            let fetched = pages(past, machine, of).filter(|_| is_past);
            let fetched = fetched.map(|past| (past.book.clone(), past.stated.clone()));
            let page = fetched.or_else(|| known.map(|known| (known.book.clone(), known.stated.clone())));
            let (book, stated) = page.unwrap_or_default();
            (stop.from, book, stated)
        });
        stop.work = work;
        if let Some(downtime) = &mut stop.downtime {
            downtime.revision += 1;
        }
        *from = stop.from.min(*from);
        let until = stop.ended_at.unwrap_or(desk.now);
        stop::measure(book, of, &mut stop, until);
        let event = Event::Stop(StopEvent::Downtime(Box::new(Downtime {
            machine: of.id.clone(),
            change: if stop.ended_at.is_some() { Change::Amended } else { Change::Updated },
            at: desk.now,
            by: command.by.clone(),
            why: command.comment.clone(),
            command_id: Some(command.command_id.clone()),
            stop,
        })));
        book.apply(&event);
        desk.tell(event);
    }
    for ((index, _), (from, book, stated)) in touched {
        let Some(seen) = seen.get(index) else { continue };
        let counted = (seen.parts.counting(), seen.parts.counts());
        statement::review_page(desk, &rules.machines[index], (&book, &stated), counted, from);
    }
}

/// As a downtime bears it: once for each of its requests; the order's times once for all of its downtimes.
fn links(desk: &Desk<'_>, order: &Order, downtime: Uuid, is_first: bool) -> Vec<Link> {
    let bears = |id: &&Uuid| desk.known.work.requests.get(id).is_some_and(|request| request.has(downtime));
    let requests: Vec<Option<Uuid>> = order.requests.iter().filter(bears).map(|id| Some(*id)).collect();
    let requests = if requests.is_empty() { vec![None] } else { requests };
    let one = |(place, request_id): (usize, Option<Uuid>)| Link {
        id: order.id,
        request_id,
        work_order: order.work_order.clone(),
        status: order.status,
        cause: order.held.cause.as_ref().map(|said| said.value.clone()),
        remedy: order.held.remedy.as_ref().map(|said| said.value.clone()),
        times: (is_first && place == 0 && !order.status.is_void()).then(|| Times {
            actual_start: order.held.actual_start.as_ref().map(|said| said.value),
            actual_finish: order.held.actual_finish.as_ref().map(|said| said.value),
            in_progress_at: order.in_progress_at,
        }),
    };
    requests.into_iter().enumerate().map(one).collect()
}

/// The downtime of this id, of any machine; of one that was merged the one that it is part of now.
fn downtime(desk: &Desk<'_>, machine: &MachineRules, past: Option<&Past>, id: Uuid) -> Option<Found> {
    let found = desk.rules.machines.iter().enumerate().find_map(|(index, of)| {
        let fetched = pages(past, machine, of).map(|past| &past.book);
        let known = desk.known.machines.get(&of.id).map(|known| &known.book);
        // What is remembered is the latest.
        let found = |book: Option<&Book>, is_past| {
            let stop = find(book?, id)?.clone();
            Some(Found { machine: index, stop, is_past })
        };
        found(known, false).or_else(|| found(fetched, true))
    })?;
    match found.stop.merged_into {
        Some(first) => downtime(desk, machine, past, first),
        None => Some(found),
    }
}

/// What was fetched of a machine.
fn pages<'p>(past: Option<&'p Past>, machine: &MachineRules, of: &MachineRules) -> Option<&'p Past> {
    let past = past?;
    if machine.id == of.id { Some(past) } else { past.others.get(&of.id) }
}

fn subject(desk: &Desk<'_>, order: &Order, report: &Report) -> Subject {
    if let Some(request) = report.request_id.and_then(|id| desk.known.work.requests.get(&id)) {
        return Subject { id: request.request_id.to_string(), revision: request.revision };
    }
    Subject { id: order.id.to_string(), revision: order.revision }
}

fn refuse<T>(code: &str, text: String) -> Result<T, Refusal> {
    Err(Refusal::new(code, text))
}
