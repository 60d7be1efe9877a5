//! The shop in, the live pictures of its machines out: at once where a state changed, else at most every beat.

use super::Passenger;
use crate::{
    books::{Counting, Measure, window},
    event::{
        Event, Stamp, Told,
        part::Counts,
        stop::{self, Change, Downtime, State, Stop},
    },
    io::journal::Envelope,
    shop::{Machine, Shop, order},
    wire::{
        Names,
        payload::{
            meter,
            picture::{self, Live},
            window::{Which, data},
        },
    },
};
use serde::Serialize;
use std::collections::VecDeque;

/// Speed is measured over so long. Milliseconds.
const SPEED_MS: i64 = 60_000;

/// What was last shown of each machine.
pub(super) struct Pictures {
    shown: Vec<Shown>,
}

#[derive(Default)]
struct Shown {
    state: Option<Likeness>,
    /// Counts at past beats, for the speed.
    pace: VecDeque<(Stamp, i64)>,
    /// The last word on the open downtime.
    downtime: Option<Downtime>,
}

/// What makes two pictures of a state different.
type Likeness = (Option<(State, Stamp, bool)>, i64, Counts, Option<u64>);

impl Pictures {
    pub(super) fn new(shop: &Shop) -> Pictures {
        Pictures { shown: shop.machines().map(|_| Shown::default()).collect() }
    }

    /// Every picture of every machine: the gateway starts.
    pub(super) fn all(&mut self, shop: &Shop, names: &Names, now: Stamp, into: &mut Envelope<Passenger>) {
        for (machine, shown) in shop.machines().zip(&mut self.shown) {
            let open = machine.known.and_then(|known| known.book.open_stop()).filter(|stop| stop.downtime.is_some());
            shown.downtime = open.map(|stop| Downtime {
                machine: machine.rules.id.clone(),
                change: Change::Updated,
                at: now,
                by: stop::PLC.to_owned(),
                why: None,
                command_id: None,
                stop: stop.clone(),
            });
            shown.show_downtime(machine, names, now, into);
        }
        self.states(shop, names, now, into);
        self.oees(shop, names, now, into);
        Pictures::meters(shop, names, now, into);
    }

    /// The meter of each machine's asset, as it was shown last: in the company of marks that bear it.
    pub(super) fn meters(shop: &Shop, names: &Names, now: Stamp, into: &mut Envelope<Passenger>) {
        shop.machines().for_each(|machine| show_meter(shop, machine, names, now, into));
    }

    /// The machines whose state or downtime changed by these events.
    pub(super) fn changed(
        &mut self,
        shop: &Shop,
        names: &Names,
        told: &[Told],
        now: Stamp,
        into: &mut Envelope<Passenger>,
    ) {
        for (machine, shown) in shop.machines().zip(&mut self.shown) {
            let of_machine = || told.iter().rev().filter(|told| told.event.machine() == Some(&machine.rules.id));
            if of_machine().next().is_none() {
                continue;
            }
            if of_machine().any(|told| matches!(told.event, Event::Meter(_))) {
                show_meter(shop, machine, names, now, into);
            }
            let last = of_machine().find_map(|told| match &told.event {
                Event::Stop(stop::Event::Downtime(downtime)) => Some(downtime),
                _ => None,
            });
            if let Some(downtime) = last {
                let open = machine.known.and_then(|known| known.book.open_stop()).map(Stop::downtime_id);
                let is_open = open == Some(downtime.stop.downtime_id()) && !downtime.stop.is_void();
                shown.downtime = is_open.then(|| (**downtime).clone());
                shown.show_downtime(machine, names, now, into);
            }
            shown.show_state(machine, names, now, into);
        }
    }

    /// The states that look different than when they were last shown.
    pub(super) fn states(&mut self, shop: &Shop, names: &Names, now: Stamp, into: &mut Envelope<Passenger>) {
        for (machine, shown) in shop.machines().zip(&mut self.shown) {
            shown.pace.push_back((now, machine.counts().total));
            while shown.pace.front().is_some_and(|(at, _)| now.since(*at) > SPEED_MS) {
                shown.pace.pop_front();
            }
            if shown.state != Some(likeness(machine)) {
                shown.show_state(machine, names, now, into);
            }
        }
    }

    /// The day so far, the last full hour, and the open downtime so far.
    pub(super) fn oees(&mut self, shop: &Shop, names: &Names, now: Stamp, into: &mut Envelope<Passenger>) {
        let rules = shop.rules();
        let hour = rules.calendar.hour_before(now);
        for (machine, shown) in shop.machines().zip(&mut self.shown) {
            let Some(known) = machine.known else { continue };
            // It goes on standing: the number goes on with it.
            if let Some(downtime) = &mut shown.downtime {
                known.book.measure(&mut downtime.stop, now, &machine.rules.calendar);
                shown.show_downtime(machine, names, now, into);
            }
            let latest = *machine.counts();
            let by = rules.measure(machine.rules, machine.counting(), now, Some(&latest));
            let by = Measure { cycles: machine.cycles(), ..by };
            let (id, line) = (&machine.rules.id, &machine.rules.line);
            let which = |window, id| Which {
                window,
                id,
                machine: Some(&machine.rules.id),
                line: Some(line),
                machines: &[],
                revision: 1,
            };
            let word = if machine.rules.calendar.has_shifts() { "shift" } else { "day" };
            let shift = machine.rules.calendar.shift(now);
            let of_shift = shift.as_ref().and_then(|shift| window::period(&known.book, shift, &by));
            let of_hour = window::period(&known.book, &hour, &by);
            let of_order = known.order.as_ref().and_then(|(from, order)| match known.orders.get(&order.order) {
                Some(job) => order::figures(&known.book, job, &by),
                // Begun by an older release.
                None => window::window(&known.book, *from, Stamp::MAX, &by),
            });
            let picture = picture::oee(
                now,
                names.about(Some(id)),
                rules.oee.convention.word(),
                shift.as_ref().zip(of_shift.as_ref()).map(|(shift, window)| data(which(word, &shift.id), window)),
                of_hour.as_ref().map(|window| data(which("hour", &hour.id), window)),
                known
                    .order
                    .as_ref()
                    .zip(of_order.as_ref())
                    .map(|((_, order), of)| data(which("order", &order.order), of)),
            );
            show(names.oee_topic(id), &picture, into);
        }
    }
}

impl Shown {
    fn show_state(&mut self, machine: Machine<'_>, names: &Names, now: Stamp, into: &mut Envelope<Passenger>) {
        let live = Live {
            state: likeness(machine).0,
            stop: machine.known.and_then(|known| known.book.open_stop()),
            fault: machine.fault(),
            order: machine.known.and_then(|known| known.order.as_ref()).map(|(_, order)| order.order.as_str()),
            counts: machine.counts(),
            speed: self.speed(now, machine.counts().total).filter(|_| machine.counting() != Counting::Never),
        };
        let id = &machine.rules.id;
        show(names.state_topic(id), &picture::state(now, names.about(Some(id)), &live), into);
        self.state = Some(likeness(machine));
    }

    fn show_downtime(&self, machine: Machine<'_>, names: &Names, now: Stamp, into: &mut Envelope<Passenger>) {
        let id = &machine.rules.id;
        show(names.downtime_topic(id), &picture::downtime(now, names.about(Some(id)), self.downtime.as_ref()), into);
    }

    /// Parts per minute since the oldest beat of the last minute.
    fn speed(&self, now: Stamp, total: i64) -> Option<f64> {
        let (at, before) = self.pace.front()?;
        let elapsed_ms = now.since(*at);
        (elapsed_ms > 0).then(|| (total - before) as f64 * 60_000.0 / elapsed_ms as f64)
    }
}

fn show_meter(shop: &Shop, machine: Machine<'_>, names: &Names, now: Stamp, into: &mut Envelope<Passenger>) {
    let id = &machine.rules.id;
    if let Some(readings) = shop.meter(&machine.rules.asset) {
        show(names.meter_topic(id), &meter::picture(now, names.about(Some(id)), readings), into);
    }
}

fn likeness(machine: Machine<'_>) -> Likeness {
    let current = machine.known.and_then(|known| known.current);
    let stop = machine.known.and_then(|known| known.book.open_stop());
    (
        current.map(|current| (current.state, current.since, current.provisional)),
        machine.fault(),
        *machine.counts(),
        stop.and_then(|stop| stop.downtime).map(|downtime| downtime.revision),
    )
}

fn show(topic: String, picture: &impl Serialize, into: &mut Envelope<Passenger>) {
    if let Ok(body) = serde_json::to_vec(picture) {
        into.passengers.push(Passenger::Picture { topic, body });
    }
}
