//! Window edges and corrections in, statements out: the ledger of shifts (or days) that are over.

use super::{Desk, known::Stated, rules::MachineRules};
use crate::{
    books::{Book, Counting, calendar::Period, window},
    event::{
        Event, Stamp,
        part::Counts,
        shift::{self, Kind},
        window::Window,
    },
};
use std::collections::BTreeMap;

/// The figures of `[span.0, span.1)`, as known at `as_of`, when the counts were `counts`.
pub fn measure(
    desk: &Desk<'_>,
    rules: &MachineRules,
    counting: Counting,
    counts: &Counts,
    as_of: Stamp,
    span: (Stamp, Stamp),
) -> Option<Window> {
    let machine = desk.known.machines.get(&rules.id)?;
    let by = desk.rules.measure(rules, counting, as_of, Some(counts));
    window::window(&machine.book, span.0, span.1, &by)
}

/// The figures of a period of the calendar, as known now.
pub(super) fn measure_period(
    desk: &Desk<'_>,
    rules: &MachineRules,
    page: &Book,
    counting: Counting,
    counts: &Counts,
    period: &Period,
) -> Option<Window> {
    let by = desk.rules.measure(rules, counting, desk.now, Some(counts));
    window::period(page, period, &by)
}

/// A window edge: states the shift (or day) that ends there. One that the wall clock was set back into ends once more.
pub fn end(desk: &mut Desk<'_>, rules: &MachineRules, counting: Counting, counts: &Counts, edge: Stamp) {
    let Some(period) = rules.calendar.ended(edge) else { return };
    let kind = if rules.calendar.has_shifts() { Kind::Shift } else { Kind::Day };
    let Some(machine) = desk.known.machines.get(&rules.id) else { return };
    let Some(window) = measure_period(desk, rules, &machine.book, counting, counts, &period) else { return };
    let stated = machine.stated.get(&period.id);
    let is_other = |stated: &Stated| (stated.from, stated.to) != (period.from, period.to);
    if stated.is_some_and(|stated| is_other(stated) || stated.print == window.print()) {
        return;
    }
    let revision = stated.map_or(0, |stated| stated.revision) + 1;
    desk.tell(Event::Shift(shift::Event {
        machine: rules.id.clone(),
        at: desk.now,
        kind,
        id: period.id,
        from: period.from,
        to: period.to,
        revision,
        convention: desk.rules.oee.convention.word().to_owned(),
        window: Box::new(window),
    }));
}

/// What happened since `touched` was learned of: windows that it reaches into are stated again where their figures are others.
pub fn review(desk: &mut Desk<'_>, rules: &MachineRules, counting: Counting, counts: &Counts, touched: Stamp) {
    let Some(machine) = desk.known.machines.get(&rules.id) else { return };
    let again = again(desk, rules, (&machine.book, &machine.stated), (counting, counts), touched);
    again.into_iter().for_each(|event| desk.tell(Event::Shift(event)));
}

/// The same after a correction, on a page that may be of days that are no longer remembered.
pub fn review_page(
    desk: &mut Desk<'_>,
    rules: &MachineRules,
    page: (&Book, &BTreeMap<String, Stated>),
    counted: (Counting, &Counts),
    touched: Stamp,
) {
    again(desk, rules, page, counted, touched).into_iter().for_each(|event| desk.tell(Event::Shift(event)));
}

fn again(
    desk: &Desk<'_>,
    rules: &MachineRules,
    (book, stated): (&Book, &BTreeMap<String, Stated>),
    (counting, counts): (Counting, &Counts),
    touched: Stamp,
) -> Vec<shift::Event> {
    let is_due = |stated: &Stated| {
        let (_, end) = desk.known.wall.hull(stated.from, stated.to);
        // One that the wall clock was set back into is stated when it ends once more; what was stated provisionally waits
        // for anything that is learned.
        end <= desk.now && (end > touched || !stated.is_final)
    };
    let restated = |(id, stated): (&String, &Stated)| {
        let period = Period { id: id.clone(), from: stated.from, to: stated.to };
        let window = measure_period(desk, rules, book, counting, counts, &period)?;
        // A provisional statement is not stated again before it is final.
        let is_news = window.print() != stated.print && (stated.is_final || window.is_final);
        is_news.then(|| shift::Event {
            machine: rules.id.clone(),
            at: desk.now,
            kind: stated.kind,
            id: period.id,
            from: stated.from,
            to: stated.to,
            revision: stated.revision + 1,
            convention: desk.rules.oee.convention.word().to_owned(),
            window: Box::new(window),
        })
    };
    stated.iter().filter(|(_, stated)| is_due(stated)).filter_map(restated).collect()
}

/// When a provisional statement becomes final whatever it waits for.
pub fn final_at(desk: &Desk<'_>, rules: &MachineRules) -> Stamp {
    let stated = desk.known.machines.get(&rules.id).into_iter().flat_map(|machine| machine.stated.values());
    let end = |stated: &Stated| desk.known.wall.hull(stated.from, stated.to).1;
    let open = stated.filter(|stated| !stated.is_final).map(|stated| end(stated).plus(desk.rules.final_after_ms));
    open.min().unwrap_or(Stamp::MAX)
}
