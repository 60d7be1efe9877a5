//! One machine's samples and the calendar in; a row of slices, in each of which nothing changes, its stops and its
//! parts out. The words are those of the time model; what they leave open is marked *choice*.

use crate::{
    plant::{Calendar, Counter, Hours, Ideal, Machine, Plant},
    samples::{Cell, Samples},
};
use std::collections::{BTreeMap, BTreeSet};

const HOUR_MS: i64 = 3_600_000;

/// What is known of the run signal in a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Running,
    Still,
    /// Not observed, between two looks that belong to the same stop.
    StillUnknown,
    Unknown,
}

/// A time in which nothing changes.
#[derive(Clone, Debug)]
pub struct Slice {
    pub from: i64,
    pub to: i64,
    pub signal: Signal,
    pub hours: Hours,
    pub shift: Option<String>,
    pub order: Option<String>,
    /// Place in [`Day::stops`].
    pub stop: Option<usize>,
    pub state: &'static str,
    /// Of what is not running.
    pub counts_in: Option<String>,
}

impl Slice {
    pub fn ms(&self) -> i64 {
        self.to - self.from
    }

    /// Planned time: in a shift, neither excluded nor unknown. Who runs through a break runs in planned time.
    pub fn is_planned(&self) -> bool {
        self.hours != Hours::Closed && self.state != "unknown" && self.counts_in.as_deref() != Some("excluded")
    }
}

/// A stop, or a part of one that was split.
#[derive(Clone, Debug)]
pub struct Stop {
    /// The same for all parts of a split stop.
    pub whole: usize,
    pub from: i64,
    pub to: i64,
    /// Not ended when the samples end.
    pub is_open: bool,
    pub class: String,
    pub counts_in: String,
    pub reason: Option<String>,
    pub has_fault: bool,
    pub is_short: bool,
    pub is_downtime: bool,
    /// `counts_in = "none"`: a sensor's fault, no stop at all.
    pub is_void: bool,
    /// The first still instant in planned hours.
    pub started_at: Option<i64>,
    pub duration_ms: i64,
    pub excluded_ms: i64,
    pub unknown_ms: i64,
}

/// Parts that a sample showed first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Made {
    pub at: i64,
    pub total: i64,
    pub good: i64,
    pub reject: i64,
    /// When the counter was read before.
    pub read_before: i64,
    /// After a gap that stayed unknown.
    pub is_after_gap: bool,
    /// Place of its slice in [`Day::slices`]; what the last row shows belongs to the slice before it.
    pub slice: usize,
    /// The slice that says whether it was made in planned time.
    pub judged: usize,
}

/// What the model makes of a machine's samples.
#[derive(Clone, Debug)]
pub struct Day {
    pub from: i64,
    pub to: i64,
    pub slices: Vec<Slice>,
    pub stops: Vec<Stop>,
    pub made: Vec<Made>,
    pub orders: Vec<(i64, Option<String>)>,
}

struct Gap {
    from: i64,
    to: i64,
    signal: Signal,
}

impl Day {
    pub fn of(plant: &Plant, machine: &Machine, samples: &Samples) -> Day {
        let (from, to) = (samples.first_at(), samples.end_at());
        let calendar = plant.calendar(from, to);
        let mut made = made(machine, samples);
        let orders = machine.order.as_ref().map_or_else(Vec::new, |point| orders(samples, point));
        let faults = machine.fault.as_ref().map_or_else(Vec::new, |point| numbers(samples, point));
        let codes = machine.state.as_ref().map_or_else(Vec::new, |point| numbers(samples, point));
        let looks = looks(machine, samples);
        let gaps = gaps(plant, machine, samples, &looks, &made, &orders);
        for made in &mut made {
            // Choice: what a counter shows first after a gap may have been made in it, whenever that look comes.
            let spans = |gap: &Gap| made.read_before < gap.to && gap.to <= made.at;
            made.is_after_gap = gaps.iter().any(|gap| gap.signal != Signal::Running && spans(gap));
        }
        let mut slices = cut(samples, &calendar);
        for slice in &mut slices {
            let gap = gaps.iter().find(|gap| (gap.from..gap.to).contains(&slice.from));
            slice.signal = match (gap, in_effect(&looks, slice.from)) {
                (Some(gap), _) => gap.signal,
                (None, Some(true)) => Signal::Running,
                (None, Some(false)) => Signal::Still,
                (None, None) => Signal::Unknown,
            };
            slice.hours = calendar.hours(slice.from);
            slice.shift = calendar.shift(slice.from);
            slice.order = in_effect(&orders, slice.from).cloned().flatten();
        }
        for made in &mut made {
            made.slice = slices.partition_point(|slice| slice.to <= made.at).min(slices.len() - 1);
            // Choice: silence is dated back to the last good sample, but what that sample shows was seen before it.
            let is_last_seen = gaps.iter().any(|gap| gap.from == made.at);
            made.judged = if is_last_seen { made.slice - 1 } else { made.slice };
        }
        let mut day = Day { from, to, slices, stops: Vec::new(), made, orders };
        day.find_stops(plant, machine, &faults, &codes);
        day.measure_stops(plant, machine);
        day.state_slices(plant);
        day
    }

    /// Whatever stands in one piece is a stop; what names it may cut it in two.
    fn find_stops(&mut self, plant: &Plant, machine: &Machine, faults: &[(i64, i64)], codes: &[(i64, i64)]) {
        let mut wholes: Vec<(i64, i64)> = Vec::new();
        let mut stands = false;
        for slice in &self.slices {
            let is_still = matches!(slice.signal, Signal::Still | Signal::StillUnknown);
            match wholes.last_mut() {
                Some(whole) if is_still && stands => whole.1 = slice.to,
                _ if is_still => wholes.push((slice.from, slice.to)),
                _ => {}
            }
            stands = is_still;
        }
        for (whole, (from, to)) in wholes.into_iter().enumerate() {
            let class_of = |code: &i64| match machine.codes.get(code).map(String::as_str) {
                Some("external") => "external",
                Some("changeover") => "changeover",
                Some("planned_stop") => "planned",
                // Choice: `down`, `running` and a code in no list say nothing of why it stands.
                _ => "unassigned",
            };
            // The classes that the state codes gave, in order of time; a change that does not hold is none.
            let mut named: Vec<(i64, &str)> = vec![(from, in_effect(codes, from).map_or("unassigned", class_of))];
            let changes: Vec<&(i64, i64)> = codes.iter().filter(|(at, _)| (from + 1..to).contains(at)).collect();
            for (index, (at, code)) in changes.iter().enumerate() {
                let class = class_of(code);
                let next = changes[index..].iter().find(|(_, code)| class_of(code) != class).map_or(to, |(at, _)| *at);
                // Choice: how long it holds is measured as a duration is, without breaks and gaps.
                if class != named[named.len() - 1].1 && self.still_ms(*at, next) >= machine.short_stop_ms {
                    named.push((*at, class));
                }
            }
            let fault = self.first_fault(faults, from, to);
            let mut pieces: Vec<(i64, &str, i64)> = named.into_iter().map(|(at, class)| (at, class, 0)).collect();
            if pieces[0].1 == "unassigned" {
                pieces[0].1 = self.class_by_order(plant, machine, from);
            }
            if pieces[0].1 == "unassigned" && fault.is_none() && self.is_between_products(plant, machine, (from, to)) {
                pieces[0].1 = "changeover";
            }
            if let Some((at, code)) = fault {
                let at_piece = pieces.iter().rposition(|(from, ..)| *from <= at).unwrap();
                match pieces[at_piece] {
                    (from, ..) if from == at => pieces[at_piece].2 = code,
                    (_, "unassigned", _) => pieces[at_piece].2 = code,
                    // Choice: what has no duration is no downtime, and nothing to split.
                    (_, "external" | "changeover" | "no_order", _) if self.still_ms(at, to) > 0 => {
                        pieces.insert(at_piece + 1, (at, "", code));
                    }
                    _ => {}
                }
            }
            for (index, (at, class, fault)) in pieces.iter().enumerate() {
                let ends = pieces.get(index + 1).map_or(to, |(next, ..)| *next);
                let is_last = index + 1 == pieces.len();
                self.stops.push(stop(plant, machine, (whole, *at, ends, is_last && to == self.to), class, *fault));
            }
        }
        for slice in &mut self.slices {
            slice.stop = self.stops.iter().position(|stop| stop.from <= slice.from && slice.to <= stop.to);
        }
    }

    fn still_ms(&self, from: i64, to: i64) -> i64 {
        let slices = self.slices.iter().filter(|slice| from <= slice.from && slice.to <= to);
        slices.filter(|slice| slice.hours == Hours::Planned && slice.signal == Signal::Still).map(Slice::ms).sum()
    }

    fn first_fault(&self, faults: &[(i64, i64)], from: i64, to: i64) -> Option<(i64, i64)> {
        let at_start = in_effect(faults, from).map(|code| (from, *code));
        let later = faults.iter().filter(|(at, _)| (from + 1..to).contains(at)).copied();
        at_start.into_iter().chain(later).find(|(_, code)| *code != 0)
    }

    /// Between the change to another product and its first part it is changed over; without an order it has no reason to run.
    fn class_by_order(&self, plant: &Plant, machine: &Machine, from: i64) -> &'static str {
        let Some(now) = self.orders.iter().rposition(|(at, _)| *at <= from) else { return "unassigned" };
        let (since, order) = &self.orders[now];
        let product = |order: &Option<String>| order.clone().filter(|order| plant.products.contains_key(order));
        // Choice: to an order of which no product is known nothing is changed over.
        let is_other = now > 0 && product(order).is_some() && product(&self.orders[now - 1].1) != product(order);
        let has_begun = self.made.iter().any(|made| made.total > 0 && (*since..=from).contains(&made.at));
        if is_other && !has_begun {
            "changeover"
        } else if machine.order_required && order.is_none() {
            "no_order"
        } else {
            "unassigned"
        }
    }

    /// It began after one product's order ended, and the next order is of another one.
    fn is_between_products(&self, plant: &Plant, machine: &Machine, (from, to): (i64, i64)) -> bool {
        let product = |order: &Option<String>| order.clone().filter(|order| plant.products.contains_key(order));
        let Some(now) = self.orders.iter().rposition(|(at, _)| *at <= from) else { return false };
        let (Some((begins, next)), None) = (self.orders.get(now + 1), &self.orders[now].1) else { return false };
        let is_other = now > 0 && product(next).is_some() && product(&self.orders[now - 1].1) != product(next);
        let is_named_before = now > 0 && product(&self.orders[now - 1].1).is_some();
        // Choice: nothing was made of it, and of what is over only a downtime is set-up after the fact.
        let has_made = self.made.iter().any(|made| made.total > 0 && (from..*begins).contains(&made.at));
        let is_long = to > *begins || self.still_ms(from, to) >= machine.short_stop_ms;
        is_other && is_named_before && !has_made && is_long && !machine.order_required
    }

    fn measure_stops(&mut self, plant: &Plant, machine: &Machine) {
        for (index, stop) in self.stops.iter_mut().enumerate() {
            for slice in self.slices.iter().filter(|slice| slice.stop == Some(index)) {
                // Choice: a stop begun in a break counts from its end, also where nobody looked just then.
                if stop.started_at.is_none() && slice.hours == Hours::Planned {
                    stop.started_at = Some(slice.from);
                }
                if stop.started_at.is_none() {
                    continue;
                }
                match (slice.hours, slice.signal) {
                    (Hours::Break | Hours::Closed, _) => stop.excluded_ms += slice.ms(),
                    (Hours::Planned, Signal::Still) => stop.duration_ms += slice.ms(),
                    (Hours::Planned, _) => stop.unknown_ms += slice.ms(),
                }
            }
            if stop.is_void {
                continue;
            }
            let is_unplanned = ["failure", "operational", "unassigned"].contains(&stop.class.as_str());
            let is_long = stop.duration_ms >= machine.short_stop_ms || machine.opens_at_fault && stop.has_fault;
            stop.is_downtime = is_long && stop.duration_ms > 0;
            stop.is_short = is_unplanned && !is_long;
            if stop.is_short && stop.counts_in.is_empty() {
                stop.counts_in = plant.cell("short_stop");
            } else if stop.counts_in.is_empty() {
                stop.counts_in = plant.cell(&stop.class);
            }
        }
        for stop in &mut self.stops {
            stop.class = stop.class.replace("no_order", "external");
        }
    }

    /// The order of precedence, word by word.
    fn state_slices(&mut self, plant: &Plant) {
        for slice in &mut self.slices {
            let stop = slice.stop.map(|stop| &self.stops[stop]);
            let runs = slice.signal == Signal::Running || stop.is_some_and(|stop| stop.is_void);
            (slice.state, slice.counts_in) = match (runs, slice.hours, slice.signal, stop) {
                (true, ..) => ("running", None),
                (_, Hours::Closed, ..) => ("unscheduled", None),
                (_, Hours::Break, ..) => ("planned_stop", Some(plant.cell("break"))),
                (_, _, Signal::Unknown | Signal::StillUnknown, _) => ("unknown", None),
                (.., Some(stop)) => {
                    let state = match stop.class.as_str() {
                        "planned" => "planned_stop",
                        "changeover" => "changeover",
                        "external" => "external",
                        _ if stop.is_short => "short_stop",
                        _ => "down",
                    };
                    (state, Some(stop.counts_in.clone()))
                }
                (.., None) => panic!("it stands, and there is no stop: {slice:?}"),
            };
        }
    }
}

/// A stop by what names it; what it counts in is left empty where neither a reason nor a table row of its own says it.
fn stop(
    plant: &Plant,
    machine: &Machine,
    (whole, from, to, is_open): (usize, i64, i64, bool),
    class: &str,
    fault: i64,
) -> Stop {
    let reason = plant.reasons.iter().find(|reason| {
        reason.faults.contains(&fault) && (reason.machines.is_empty() || reason.machines.contains(&machine.id))
    });
    let (class, counts_in) = match reason {
        Some(reason) => (reason.class.as_str(), reason.counts_in.clone().unwrap_or_default()),
        None if fault != 0 => ("failure", String::new()),
        None => (class, String::new()),
    };
    Stop {
        whole,
        from,
        to,
        is_open,
        class: class.to_owned(),
        is_void: counts_in == "none",
        counts_in,
        reason: reason.map(|reason| reason.code.clone()),
        has_fault: fault != 0,
        is_short: false,
        is_downtime: false,
        started_at: None,
        duration_ms: 0,
        excluded_ms: 0,
        unknown_ms: 0,
    }
}

/// Slices end at samples, at hours and where the calendar changes.
fn cut(samples: &Samples, calendar: &Calendar) -> Vec<Slice> {
    let (from, to) = (samples.first_at(), samples.end_at());
    let hours = (from / HOUR_MS..=to / HOUR_MS).map(|hour| hour * HOUR_MS);
    let edges: BTreeSet<i64> = samples.times().chain(hours).chain(calendar.edges()).collect();
    let edges: Vec<i64> = edges.into_iter().filter(|at| (from..=to).contains(at)).collect();
    let slice = |edge: &[i64]| Slice {
        from: edge[0],
        to: edge[1],
        signal: Signal::Unknown,
        hours: Hours::Closed,
        shift: None,
        order: None,
        stop: None,
        state: "",
        counts_in: None,
    };
    edges.windows(2).map(slice).collect()
}

/// The readings of a point but those of the last row, which changes nothing but counts.
fn readings(samples: &Samples, point: &str) -> Vec<(i64, String)> {
    let cells = samples.of(point).into_iter().filter(|(at, _)| *at < samples.end_at());
    let value = |(at, cell): (i64, &Cell)| match cell {
        Cell::Value(value) => Some((at, value.clone())),
        Cell::Empty | Cell::Failed => None,
    };
    cells.filter_map(value).collect()
}

fn numbers(samples: &Samples, point: &str) -> Vec<(i64, i64)> {
    readings(samples, point).into_iter().map(|(at, value)| (at, value.parse().unwrap())).collect()
}

fn looks(machine: &Machine, samples: &Samples) -> Vec<(i64, bool)> {
    readings(samples, &machine.run).into_iter().map(|(at, value)| (at, value == "1")).collect()
}

/// Only changes. Choice: blank, and the number 0, is no order.
fn orders(samples: &Samples, point: &str) -> Vec<(i64, Option<String>)> {
    let mut orders: Vec<(i64, Option<String>)> = Vec::new();
    for (at, value) in readings(samples, point) {
        let order = Some(value.trim().to_owned()).filter(|order| !order.is_empty() && order != "0");
        if orders.last().is_none_or(|(_, last)| *last != order) {
            orders.push((at, order));
        }
    }
    orders
}

/// What holds at an instant: what was read last.
fn in_effect<T>(readings: &[(i64, T)], at: i64) -> Option<&T> {
    let after = readings.partition_point(|(read_at, _)| *read_at <= at);
    Some(&readings[after.checked_sub(1)?].1)
}

/// The ideal of an order: its product's, else the machine's. Choice: an order whose number is a product's is of that product.
pub fn ideal(plant: &Plant, machine: &Machine, order: Option<&str>) -> Option<Ideal> {
    order.and_then(|order| plant.products.get(order).copied().flatten()).or(machine.ideal)
}

/// Where nobody looked for too long, and what it was.
fn gaps(
    plant: &Plant,
    machine: &Machine,
    samples: &Samples,
    looks: &[(i64, bool)],
    made: &[Made],
    orders: &[(i64, Option<String>)],
) -> Vec<Gap> {
    let (begin, end) = (samples.first_at(), samples.end_at());
    let failed: Vec<i64> = samples.of(&machine.run).iter().filter(|c| *c.1 == Cell::Failed).map(|c| c.0).collect();
    // From when on the machine is unknown between two looks (or the end) that lie so far apart.
    let unknown_from = |look: i64, next: i64| match machine.no_data_ms {
        Some(no_data_ms) => (next - look > no_data_ms).then_some(look),
        None => failed.iter().copied().find(|at| (look..next).contains(at)),
    };
    let mut gaps = Vec::new();
    if let Some((first, _)) = looks.first()
        && *first > begin
    {
        gaps.push(Gap { from: begin, to: *first, signal: Signal::Unknown });
    }
    for (index, (look, ran)) in looks.iter().enumerate() {
        let next = looks.get(index + 1);
        let to = next.map_or(end, |(at, _)| *at);
        let Some(from) = unknown_from(*look, to) else { continue };
        let parts: i64 = made.iter().filter(|made| (look + 1..=to).contains(&made.at)).map(|made| made.total).sum();
        let order = in_effect(orders, *look).cloned().flatten();
        let fit = ideal(plant, machine, order.as_deref()).is_some_and(|ideal| {
            // Δparts × ideal ≥ gap − one ideal cycle
            i128::from(parts) * ideal.ms >= i128::from(to - look) * ideal.parts - ideal.ms
        });
        let signal = match (ran, next.map(|(_, runs)| runs)) {
            (true, Some(true)) if parts > 0 && fit => Signal::Running,
            (false, Some(false)) if parts == 0 => Signal::StillUnknown,
            _ => Signal::Unknown,
        };
        gaps.push(Gap { from, to, signal });
    }
    gaps
}

/// Parts by the sample that showed them first.
fn made(machine: &Machine, samples: &Samples) -> Vec<Made> {
    let mut steps: BTreeMap<i64, (i64, [i64; 3])> = BTreeMap::new();
    for (which, counter) in [&machine.total, &machine.good, &machine.reject].into_iter().enumerate() {
        let Some(counter) = counter else { continue };
        let mut last = None;
        for (at, cell) in samples.of(&counter.point) {
            let Cell::Value(value) = cell else { continue };
            let raw: i128 = value.parse().unwrap();
            if let Some((read_before, last)) = last.replace((at, raw)) {
                let entry = steps.entry(at).or_insert((read_before, [0; 3]));
                entry.1[which] += step(counter, last, raw) * machine.parts_per_cycle;
            }
        }
    }
    let made = steps.into_iter().map(|(at, (read_before, [total, good, reject]))| {
        let (total, good, reject) = match (&machine.total, &machine.good, &machine.reject) {
            (Some(_), Some(_), _) => (total, good, total - good),
            (Some(_), None, Some(_)) => (total, total - reject, reject),
            (None, Some(_), Some(_)) => (good + reject, good, reject),
            _ => (total, total, 0),
        };
        Made { at, total, good, reject, read_before, is_after_gap: false, slice: 0, judged: 0 }
    });
    made.collect()
}

/// The first sight counts nothing; a rollover is a step like any other; a fall to near zero is a reset.
fn step(counter: &Counter, last: i128, raw: i128) -> i64 {
    let step = (raw - last).rem_euclid(counter.modulus);
    if step <= counter.modulus / 4 {
        return i64::try_from(step).unwrap();
    }
    assert!(raw < 5 && last > raw, "the scenario lets {} jump from {last} to {raw}", counter.point);
    i64::try_from(raw).unwrap()
}
