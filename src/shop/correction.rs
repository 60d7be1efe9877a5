//! What people know better in, revisions out: reasons, splits, merges and claims of unknown time, also of what is long over.
//!
//! A correction never changes what the machine itself showed. It is decided on a page: the machine's book as far as it is
//! remembered, or what was fetched of an older day. Every statement that it reaches into is told again.

use super::{
    Desk, Known,
    known::{Machine, Stated},
    order::{self, Scene},
    rules::MachineRules,
    statement, stop, work,
};
use crate::{
    books::Book,
    event::{
        Event, Stamp,
        command::{Command, Refusal, Side, Subject, Wish},
        id::Role,
        stop::{Change, Downtime, Event as StopEvent, Going, Numbered, Reason, Split, Stop},
    },
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What was fetched of days that are no longer in memory.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// The days that the command is about, and those that its downtimes reach into.
    pub book: Book,
    /// What was stated of them.
    pub stated: BTreeMap<String, Stated>,
    /// The same of other machines that the command is about, by id.
    pub others: BTreeMap<String, Past>,
}

impl Past {
    /// Where a command is decided: on what was fetched for it, else on what is remembered.
    pub fn page(past: Option<&Past>, machine: &Machine) -> (Book, BTreeMap<String, Stated>) {
        let (book, stated) = past.map_or((&machine.book, &machine.stated), |past| (&past.book, &past.stated));
        (book.clone(), stated.clone())
    }
}

/// The time that a command is about, on the timeline; a downtime that is no longer in memory bears its own in its id.
pub fn concerns(known: &Known, rules: &MachineRules, command: &Command, now: Stamp) -> Option<(Stamp, Stamp)> {
    let machine = known.machines.get(&rules.id)?;
    let of = |id: Uuid| {
        let stop = machine.book.stops.iter().find(|stop| stop.downtime_id() == id);
        let in_memory = stop.map(|stop| (stop.from, stop.ended_at.unwrap_or(Stamp::MAX)));
        in_memory.or_else(|| {
            let shown = time_of(id)?;
            let from = known.wall.instant(shown, now);
            Some((from, from.plus(1)))
        })
    };
    match &command.wish {
        Wish::Reason { downtime_id, .. } | Wish::Split { downtime_id, .. } => of(*downtime_id),
        Wish::Merge { downtime_id, with } => {
            let (one, other) = (of(*downtime_id)?, of(*with)?);
            Some((one.0.min(other.0), one.1.max(other.1)))
        }
        Wish::Claim { from, to, .. } => Some((*from, *to)),
        Wish::WorkOrder(report) => {
            let named = report.downtime_ids.iter().filter(|id| !work::order::is_elsewhere(known, &rules.id, **id));
            let spans = named.filter_map(|id| of(*id)).chain(work::order::concerns(known, &rules.id, report));
            spans.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)))
        }
        Wish::WorkRequest(call) => of(call.downtime_id?),
        // Counts go on from there.
        Wish::Scrap { order, .. } => {
            let shift = rules.calendar.shift(command.at).unwrap_or_else(|| rules.calendar.day(command.at));
            let from = known.wall.hull(shift.from, shift.to).0;
            let ran = order.as_ref().map_or(Stamp::MAX, |order| order::ran(machine, order, now));
            Some((from.min(ran), Stamp::MAX))
        }
        Wish::Order(wish) => Some((command.at.min(order::ran(machine, &wish.order, now)), Stamp::MAX)),
        Wish::Operator(_) => Some((command.at, Stamp::MAX)),
        Wish::Asset(_) | Wish::Replay { .. } => None,
    }
}

/// The time of the wall clock in an id.
fn time_of(id: Uuid) -> Option<Stamp> {
    let (s, ns) = id.get_timestamp()?.to_unix();
    Some(Stamp::from_ms(i64::try_from(s).ok()?.saturating_mul(1000).saturating_add(i64::from(ns / 1_000_000))))
}

/// A command at work.
struct Correction<'a, 'd> {
    desk: &'a mut Desk<'d>,
    rules: &'a MachineRules,
    command: &'a Command,
    around: stop::Around,
    /// The machine's book, brought up to each event that is told.
    page: Book,
}

/// Decides one command about stops.
pub fn decide(
    desk: &mut Desk<'_>,
    rules: &MachineRules,
    scene: Scene<'_>,
    command: &Command,
    past: Option<&Past>,
) -> Result<Subject, Refusal> {
    let Some(machine) = desk.known.machines.get(&rules.id) else {
        return refuse("unknown_downtime", format!("nothing was ever seen of {}", rules.id));
    };
    let (page, stated) = Past::page(past, machine);
    let around = scene.around.clone();
    let mut correction = Correction { desk, rules, command, around, page };
    let (subject, touched) = match &command.wish {
        Wish::Reason { downtime_id, code } => correction.reason(*downtime_id, code.as_deref())?,
        Wish::Split { downtime_id, at, code, code_after, work_to } => {
            correction.split(*downtime_id, *at, (code.as_deref(), code_after.as_deref()), *work_to)?
        }
        Wish::Merge { downtime_id, with } => correction.merge(*downtime_id, *with)?,
        Wish::Claim { from, to, code } => correction.claim(*from, *to, code)?,
        wish => return refuse("unknown_verb", format!("{} is no matter of stops", wish.verb())),
    };
    let Correction { desk, page, .. } = correction;
    statement::review_page(desk, rules, (&page, &stated), (scene.counting, &scene.around.counts), touched);
    order::review_page(desk, rules, &page, scene, touched);
    let is_subject = |stop: &&Stop| stop.downtime_id() == subject;
    let revision = page.stops.iter().find(is_subject).and_then(|stop| stop.downtime).map_or(0, |now| now.revision);
    Ok(Subject { id: subject.to_string(), revision })
}

impl Correction<'_, '_> {
    fn reason(&mut self, id: Uuid, code: Option<&str>) -> Result<(Uuid, Stamp), Refusal> {
        let mut stop = self.downtime(id)?;
        let from = stop.from;
        self.give(&mut stop, code)?;
        self.tell(&stop);
        Ok((id, from))
    }

    fn split(
        &mut self,
        id: Uuid,
        at: Stamp,
        (code, code_after): (Option<&str>, Option<&str>),
        work_to: Option<Side>,
    ) -> Result<(Uuid, Stamp), Refusal> {
        let whole = self.downtime(id)?;
        if whole.is_void() {
            return refuse("void", "that is no stop: give it a reason first".to_owned());
        }
        if at <= whole.from || whole.ended_at.unwrap_or(self.desk.now) <= at {
            return refuse("outside_downtime", format!("{} does not lie inside the downtime", self.shown(at)));
        }
        let mut first = whole.clone();
        let mut second = Stop {
            split: Some(Split { downtime_id: self.desk.mint(Role::Downtime, at), from: id, takes_work: false }),
            from: at,
            started_at: self.rules.calendar.planned_from(at).unwrap_or(at),
            flags: Vec::new(),
            ..whole.clone()
        };
        second.downtime = Some(Numbered { number: stop::next_number(self.desk, self.rules), revision: 0 });
        first.ended_at = Some(at);
        stop::place_in(Some(&self.page), self.rules, &mut second);
        if code.is_some() {
            self.give(&mut first, code)?;
        }
        if code_after.is_some() {
            self.give(&mut second, code_after)?;
        }
        let has_length = |part: &Stop| self.measured(part).duration_ms > 0;
        if !(has_length(&first) && has_length(&second)) {
            let text = format!("one part of a split at {} would have no length in planned hours", self.shown(at));
            return refuse("no_length", text);
        }
        work::order::part(&mut first, &mut second, work_to);
        self.tell(&first);
        self.tell(&second);
        Ok((id, whole.from))
    }

    fn merge(&mut self, one: Uuid, other: Uuid) -> Result<(Uuid, Stamp), Refusal> {
        let (one, other) = (self.downtime(one)?, self.downtime(other)?);
        let (mut first, mut second) = if one.from <= other.from { (one, other) } else { (other, one) };
        if first.stop_id != second.stop_id || first.downtime_id() == second.downtime_id() {
            return refuse("another_stop", "only parts of one stop can be merged".to_owned());
        }
        if first.ended_at != Some(second.from) {
            return refuse("not_adjacent", "the two do not follow each other".to_owned());
        }
        let from = first.from;
        (first.ended_at, first.observed) = (second.ended_at, second.observed);
        second.merged_into = Some(first.downtime_id());
        second.ended_at = Some(second.from);
        work::order::join(&mut first, &mut second);
        self.tell(&second);
        self.tell(&first);
        Ok((first.downtime_id(), from))
    }

    fn claim(&mut self, from: Stamp, to: Stamp, code: &str) -> Result<(Uuid, Stamp), Refusal> {
        let span = || format!("from {} to {}", self.shown(from), self.shown(to));
        if to <= from || to > self.desk.now {
            return refuse("bad_span", format!("{} is no span of the past", span()));
        }
        if self.page.begins().is_none_or(|begins| from < begins) {
            return refuse("beyond_journal", format!("nothing is known of {}", self.shown(from)));
        }
        if self.page.pieces(from, to).any(|piece| piece.going != Going::Unknown) {
            return refuse("not_unknown", format!("{} is not unknown throughout", span()));
        }
        // A stop that turned out to be none may become one again.
        let spans = |stop: &&Stop| stop.from < to && stop.ended_at.is_none_or(|ended| ended > from) && !stop.is_gone();
        if let Some(stop) = self.page.stops.iter().find(spans) {
            let number =
                stop.downtime.map_or("a stop".to_owned(), |downtime| format!("{}/{}", self.rules.id, downtime.number));
            return refuse("overlaps", format!("{number} goes on through that time, as its unknown time"));
        }
        let downtime_id = self.desk.mint(Role::Stop, from);
        let mut stop = Stop {
            stop_id: downtime_id,
            downtime: Some(Numbered { number: stop::next_number(self.desk, self.rules), revision: 0 }),
            from,
            started_at: self.rules.calendar.planned_from(from).unwrap_or(from),
            ended_at: Some(to),
            observed: None,
            uncertainty_ms: None,
            ..stop::blank(self.rules)
        };
        stop::place_in(Some(&self.page), self.rules, &mut stop);
        self.give(&mut stop, Some(code))?;
        if self.measured(&stop).duration_ms == 0 {
            return refuse("no_length", "none of that lies in planned hours".to_owned());
        }
        self.tell(&stop);
        Ok((downtime_id, from))
    }

    /// As people read it.
    fn shown(&self, at: Stamp) -> Stamp {
        self.desk.known.wall.of(at)
    }

    fn downtime(&self, id: Uuid) -> Result<Stop, Refusal> {
        let found = self.page.stops.iter().find(|stop| stop.downtime_id() == id && stop.downtime.is_some());
        match found {
            Some(stop) if stop.merged_into.is_some() => {
                refuse("void", "that downtime was merged into another one".to_owned())
            }
            Some(stop) if stop.is_declared() && stop.is_void() => {
                refuse("void", "that claim was taken back: claim the time anew".to_owned())
            }
            Some(stop) => Ok(stop.clone()),
            None => refuse("unknown_downtime", format!("{} has no downtime {id}", self.rules.id)),
        }
    }

    fn give(&self, stop: &mut Stop, code: Option<&str>) -> Result<(), Refusal> {
        stop.reason = match code {
            Some(code) => {
                let unknown = || Refusal::new("unknown_reason", format!("there is no [[reason]] {code}"));
                let rule = self.desk.rules.reason(code).ok_or_else(unknown)?;
                let (by, at) = (self.command.by.clone(), self.command.at);
                Some(Reason { code: rule.code.clone(), text: rule.text.clone(), by, at })
            }
            None => None,
        };
        stop::judge(self.desk, self.rules, stop);
        Ok(())
    }

    /// As it will be when it is told.
    fn measured(&self, stop: &Stop) -> Stop {
        let mut page = self.page.clone();
        page.enter(stop);
        let mut stop = stop.clone();
        let until = stop.ended_at.unwrap_or(self.desk.now);
        stop::measure(&page, self.rules, &mut stop, until);
        stop
    }

    /// Tells the record after the change; of an open one its state too, where that became another.
    fn tell(&mut self, stop: &Stop) {
        let mut stop = self.measured(stop);
        let is_new = stop.downtime.is_some_and(|downtime| downtime.revision == 0);
        if let Some(downtime) = &mut stop.downtime {
            downtime.revision += 1;
        }
        let change = match stop.ended_at {
            _ if is_new => Change::Opened,
            Some(_) => Change::Amended,
            None => Change::Updated,
        };
        let is_open = stop.ended_at.is_none();
        let event = |change, stop: Stop| {
            Event::Stop(StopEvent::Downtime(Box::new(Downtime {
                machine: self.rules.id.clone(),
                change,
                at: self.command.at,
                by: self.command.by.clone(),
                why: self.command.comment.clone(),
                command_id: Some(self.command.command_id.clone()),
                stop,
            })))
        };
        let mut events = vec![event(change, stop.clone())];
        // Nobody waits for a downtime that began and ended long ago: it is told as open, then as closed.
        if is_new && !is_open {
            if let Some(downtime) = &mut stop.downtime {
                downtime.revision += 1;
            }
            events.push(event(Change::Closed, stop.clone()));
        }
        for event in events {
            self.page.apply(&event);
            self.desk.tell(event);
        }
        if is_open {
            stop::restate_open(self.desk, self.rules, &self.around, &stop);
        }
    }
}

fn refuse<T>(code: &str, text: String) -> Result<T, Refusal> {
    Err(Refusal::new(code, text))
}

#[cfg(test)]
mod tests;
