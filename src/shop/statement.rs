//! Window edges and corrections in, statements out: the ledger of shifts (or days) that are over.

use super::{Desk, known::Stated, rules::MachineRules};
use crate::{
    books::{Book, Counting, window},
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
    measure_page(desk, rules, &machine.book, counting, counts, as_of, span)
}

pub(super) fn measure_page(
    desk: &Desk<'_>,
    rules: &MachineRules,
    page: &Book,
    counting: Counting,
    counts: &Counts,
    as_of: Stamp,
    span: (Stamp, Stamp),
) -> Option<Window> {
    let by = desk.rules.measure(rules, counting, as_of, Some(counts));
    window::window(page, span.0, span.1, &by)
}

/// A window edge: states the shift (or day) that ends there.
pub fn end(desk: &mut Desk<'_>, rules: &MachineRules, counting: Counting, counts: &Counts, edge: Stamp) {
    let last = edge.plus(-1);
    let Some(period) = rules.calendar.shift(last).filter(|period| period.to == edge) else { return };
    let kind = if rules.calendar.has_shifts() { Kind::Shift } else { Kind::Day };
    if desk.known.machines.get(&rules.id).is_some_and(|machine| machine.stated.contains_key(&period.id)) {
        return;
    }
    let Some(window) = measure(desk, rules, counting, counts, desk.now, (period.from, period.to)) else { return };
    desk.tell(Event::Shift(shift::Event {
        machine: rules.id.clone(),
        at: desk.now,
        kind,
        id: period.id,
        from: period.from,
        to: period.to,
        revision: 1,
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
        stated.to > touched || (!stated.is_final && desk.now.since(stated.to) >= desk.rules.final_after_ms)
    };
    let restated = |(id, stated): (&String, &Stated)| {
        let window = measure_page(desk, rules, book, counting, counts, desk.now, (stated.from, stated.to))?;
        // A provisional statement is not stated again before it is final.
        let is_news = window.print() != stated.print && (stated.is_final || window.is_final);
        is_news.then(|| shift::Event {
            machine: rules.id.clone(),
            at: desk.now,
            kind: stated.kind,
            id: id.clone(),
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
    let open = stated.filter(|stated| !stated.is_final).map(|stated| stated.to.plus(desk.rules.final_after_ms));
    open.min().unwrap_or(Stamp::MAX)
}
