//! Running time and cycles in, meters of assets out: the ledger of meters.
//!
//! A meter belongs to the asset, not to the machine. [`Feed`] says which asset a machine feeds since when, and how long it
//! ran in that time: a fold of the machine's own events, so that a correction of the past, a gap that was run through and a
//! stop dated back find their way into it. What a meter has shown it never takes back: a sum that falls is held until it
//! is made good.

use super::{
    Desk, Known, Marks, Shop,
    rules::{MachineRules, Rules},
    seen::Seen,
};
use crate::{
    books::{Book, history::touched},
    event::{
        Event, Stamp, Wall,
        meter::{self, Binding, Readings, Why},
        stop::CountsIn,
        stop::Going,
    },
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Changes of its binding that a machine remembers one by one; what lies before is in the base of the asset's meter.
const BINDINGS: usize = 64;

const HOUR_MS: i64 = 3_600_000;

/// An asset's meter as it was told last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meter {
    /// What it showed.
    pub readings: Readings,
    /// What of it no machine that is remembered made.
    pub base: Readings,
}

/// Which meters a machine has fed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Feed {
    /// In order; each ends where the next begins.
    bindings: Vec<Fed>,
    /// Running time before this is in the bindings, what came later only in the book.
    counted: Stamp,
    /// The machine's cycles as told last.
    made: i64,
}

/// What a machine did for one asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Fed {
    asset: Option<String>,
    from: Stamp,
    /// The machine's cycles when it began.
    made: i64,
    /// Of what is counted.
    ran_ms: i64,
}

impl Default for Feed {
    fn default() -> Feed {
        Feed { bindings: Vec::new(), counted: Stamp::MIN, made: 0 }
    }
}

impl Feed {
    /// The asset that it feeds now.
    fn asset(&self) -> Option<&str> {
        self.bindings.last()?.asset.as_deref()
    }

    /// The machine's cycles as told last.
    pub fn made(&self) -> i64 {
        self.made
    }

    /// What an event may make another: from when on, and how long it ran since then, binding by binding.
    pub(super) fn before(&self, book: &Book, event: &Event) -> Option<(Stamp, Vec<i64>)> {
        let (Event::Stop(_), false) = (event, self.bindings.is_empty()) else { return None };
        let from = touched(book, event);
        (from < self.counted).then(|| (from, self.ran(book, from, self.counted)))
    }

    /// The event was entered in the book.
    pub(super) fn after(&mut self, book: &Book, (from, before): (Stamp, Vec<i64>)) {
        let after = self.ran(book, from, self.counted);
        for ((fed, before), after) in self.bindings.iter_mut().zip(before).zip(after) {
            fed.ran_ms += after - before;
        }
    }

    /// The book may forget what lies before.
    pub(super) fn count_to(&mut self, book: &Book, to: Stamp) {
        if to <= self.counted || self.bindings.is_empty() {
            return;
        }
        let ran = self.ran(book, self.counted, to);
        for (fed, ran_ms) in self.bindings.iter_mut().zip(ran) {
            fed.ran_ms += ran_ms;
        }
        self.counted = to;
    }

    /// How long it ran in `[from, to)`, binding by binding.
    fn ran(&self, book: &Book, from: Stamp, to: Stamp) -> Vec<i64> {
        let ends = self.bindings.iter().skip(1).map(|next| next.from).chain([Stamp::MAX]);
        let spans = self.bindings.iter().zip(ends);
        spans.map(|(fed, end)| running_ms(book, fed.from.max(from), end.min(to))).collect()
    }

    /// Another asset from here on. Gives what is too old to be remembered one by one.
    fn bind(&mut self, book: Option<&Book>, binding: &Binding) -> Option<(String, Readings)> {
        let Binding { asset, from, made } = binding.clone();
        // What was counted behind the change goes with it.
        let ran_ms = book.map_or(0, |book| running_ms(book, from, self.counted));
        if let Some(last) = self.bindings.last_mut() {
            last.ran_ms -= ran_ms;
        }
        self.bindings.push(Fed { asset, from, made, ran_ms });
        if self.bindings.len() <= BINDINGS {
            return None;
        }
        let first = self.bindings.remove(0);
        let cycles = self.bindings[0].made - first.made;
        Some((first.asset?, Readings { run_ms: first.ran_ms, cycles }))
    }
}

/// Enters a reading: the fold of this ledger.
pub(super) fn enter(known: &mut Known, read: &meter::Event) {
    let Known { machines, feeds, meters, .. } = known;
    meters.insert(read.asset.clone(), Meter { readings: read.readings, base: read.base });
    let feed = feeds.entry(read.machine.clone()).or_default();
    let book = machines.get(&read.machine).map(|machine| &machine.book);
    feed.made = feed.made.max(read.made);
    if let Some(book) = book {
        feed.count_to(book, read.at);
    }
    let forgotten = read.binding.as_ref().and_then(|binding| feed.bind(book, binding));
    if let Some((asset, by)) = forgotten {
        let meter = meters.entry(asset).or_default();
        meter.base = meter.base.plus(by);
    }
}

/// Time in `running`: what the signals say, and stops that turned out to be none.
fn running_ms(book: &Book, from: Stamp, to: Stamp) -> i64 {
    if from >= to {
        return 0;
    }
    let pieces = book.pieces(from, to).filter(|piece| match piece.going {
        Going::Running => true,
        Going::Still => book.stop_of(piece).is_none_or(|stop| stop.counts_in == CountsIn::None),
        Going::Unknown => false,
    });
    pieces.map(|piece| piece.ms()).sum()
}

/// What of meters is volatile: when they are read next, and how far each machine is certain.
#[derive(Clone, Debug, Default)]
pub struct Meters {
    /// The next moment at which they are read; `None`: there are none.
    next: Option<Stamp>,
    /// They were to be read then, and it is not certain yet what the machines did until then. With each machine's cycles.
    due: Option<(Stamp, Vec<i64>)>,
    /// In the order of the rules.
    live: Vec<Live>,
    /// Machines of marks that stand in the rules no longer, by id.
    gone: BTreeMap<String, Live>,
    /// What the world was shown beside events: a mark, so that no start shows less.
    shown: BTreeMap<String, Readings>,
}

/// One machine as far as it was seen.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// Up to when it is certain what it did.
    pub certain: Stamp,
    /// Its cycles since its first mark.
    pub made: i64,
}

impl Meters {
    /// Goes on from marks.
    pub(super) fn new(rules: &Rules, marks: &Marks) -> Meters {
        let is_gone = |id: &String| !rules.machines.iter().any(|machine| machine.id == *id);
        let gone = marks.machines.iter().filter(|(id, _)| is_gone(id)).filter_map(|(id, mark)| {
            let live = Live { certain: mark.last_good?, made: mark.parts.made };
            Some((id.clone(), live))
        });
        Meters { gone: gone.collect(), shown: marks.meters.clone(), ..Meters::default() }
    }

    /// A machine as far as it was seen.
    fn live(&self, rules: &Rules, id: &str) -> Option<Live> {
        let place = rules.machines.iter().position(|machine| machine.id == id);
        place.map_or_else(|| self.gone.get(id), |place| self.live.get(place)).copied()
    }

    /// What must survive.
    pub(super) fn mark(&self) -> BTreeMap<String, Readings> {
        self.shown.clone()
    }

    /// When they are read next.
    pub(super) fn next_wake(&self) -> Stamp {
        self.next.unwrap_or(Stamp::MAX)
    }

    /// A machine was looked at, or time went by for it.
    pub(super) fn follow(&mut self, index: usize, live: Live) {
        if let Some(known) = self.live.get_mut(index) {
            *known = live;
        }
    }

    fn follow_all(&mut self, seen: &[Seen], now: Stamp) {
        self.live = seen.iter().map(|seen| seen.live(now)).collect();
    }

    /// They are read at the hours of the wall clock, which may have been set; what is longer counts from the day's start.
    pub(super) fn set_clock(&mut self, rules: &Rules, wall: &Wall, now: Stamp) {
        self.next = rules.meter_every_ms.map(|every_ms| {
            let shown = wall.of(now);
            let (begins, ends) = match every_ms {
                ..=HOUR_MS => (Stamp::from_ms(0), Stamp::MAX),
                _ => {
                    let day = rules.calendar.day(now);
                    (day.from, day.to)
                }
            };
            let next = begins.plus((shown.since(begins).div_euclid(every_ms) + 1) * every_ms).min(ends);
            now.plus(next.since(shown).max(1))
        });
    }
}

/// The gateway begins: machines that feed another asset than last time, or none any more, say so.
pub(super) fn open(desk: &mut Desk<'_>, seen: &[Seen]) {
    let rules = desk.rules;
    desk.meters.follow_all(seen, desk.now);
    if rules.meter_every_ms.is_none() {
        return;
    }
    desk.meters.set_clock(rules, &desk.known.wall, desk.now);
    let bound = |known: &Known, id: &str| known.feeds.get(id).and_then(Feed::asset).map(str::to_owned);
    let wanted =
        |id: &str| rules.machines.iter().find(|machine| machine.id == id).map(|machine| machine.asset.as_str());
    let fed: Vec<(String, String)> =
        desk.known.feeds.keys().filter_map(|id| Some((id.clone(), bound(desk.known, id)?))).collect();
    for (machine, asset) in fed.into_iter().filter(|(id, asset)| wanted(id) != Some(asset)) {
        read(desk, &machine, &asset, Why::Released, None);
    }
    for machine in &rules.machines {
        if bound(desk.known, &machine.id).as_deref() != Some(&machine.asset) {
            read(desk, &machine.id, &machine.asset, Why::Bound, None);
        }
    }
}

/// The moment at which they are to be read.
pub(super) fn edge(desk: &mut Desk<'_>, edge: Stamp) {
    let made = desk.meters.live.iter().map(|live| live.made).collect();
    desk.meters.due = Some((edge, made));
    desk.meters.set_clock(desk.rules, &desk.known.wall, edge);
}

/// Reads them, once it is certain of every machine what it did until then.
pub(super) fn tell_due(desk: &mut Desk<'_>, seen: &[Seen]) {
    let Some((edge, _)) = &desk.meters.due else { return };
    let (edge, now) = (*edge, desk.now);
    let rules = desk.rules;
    let is_known =
        |rules: &MachineRules| desk.known.machines.get(&rules.id).is_some_and(|known| known.current.is_some());
    let mut machines = rules.machines.iter().zip(seen);
    if machines.any(|(rules, seen)| seen.live(now).certain < edge && is_known(rules)) {
        return;
    }
    let made = desk.meters.due.take().map(|(_, made)| made).unwrap_or_default();
    // As they were at that moment, in which other parts have come since.
    let then: Vec<Live> = made.iter().map(|made| Live { certain: edge, made: *made }).collect();
    let latest = std::mem::replace(&mut desk.meters.live, then);
    for machine in &rules.machines {
        read(desk, &machine.id, &machine.asset, Why::Interval, None);
    }
    desk.meters.live = latest;
}

/// The asset register knows a higher reading of an asset: it counts on from there.
pub(super) fn raise(desk: &mut Desk<'_>, asset: &str, to: Readings) {
    let rules = desk.rules;
    for machine in rules.machines.iter().filter(|machine| machine.asset == asset) {
        let shown = of(desk, asset);
        if desk.rules.meter_every_ms.is_some() && shown.max(to) != shown {
            read(desk, &machine.id, asset, Why::Raised, Some(to));
        }
    }
}

/// A correction of days that the book has forgotten: what of them was running, and is not, or the other way round.
/// `before`: what was fetched of them; what was told since `from` came to it.
pub(super) fn correct(desk: &mut Desk<'_>, rules: &MachineRules, before: &Book, from: usize) {
    let mut after = before.clone();
    desk.told[from..].iter().for_each(|told| after.apply(&told.event));
    let begins = desk.known.machines.get(&rules.id).and_then(|machine| machine.book.begins());
    let (Some(begins), Some(feed)) = (begins, desk.known.feeds.get(&rules.id)) else { return };
    let ran = |book: &Book| feed.ran(book, Stamp::MIN, begins);
    let changes = feed.bindings.iter().zip(ran(before).into_iter().zip(ran(&after)));
    let mut by: BTreeMap<String, i64> = BTreeMap::new();
    for (fed, (before, after)) in changes {
        if let Some(asset) = &fed.asset {
            *by.entry(asset.clone()).or_default() += after - before;
        }
    }
    for (asset, run_ms) in by.into_iter().filter(|(_, run_ms)| *run_ms != 0) {
        read(desk, &rules.id, &asset, Why::Corrected, Some(Readings { run_ms, cycles: 0 }));
    }
}

/// What an asset's meter shows now, as far as it is certain; for what leaves the gateway use [`show`].
pub fn of(desk: &Desk<'_>, asset: &str) -> Readings {
    now(desk.known, desk.rules, &desk.meters, asset)
}

/// The same for something that is told with it: no start will show less. `None` where meters are off.
pub fn show(desk: &mut Desk<'_>, asset: &str) -> Option<Readings> {
    desk.rules.meter_every_ms?;
    let readings = of(desk, asset);
    desk.meters.shown.insert(asset.to_owned(), readings);
    desk.is_mark_due = true;
    Some(readings)
}

impl Shop {
    /// What every machine's meter is to show, in the order of the rules; marks made after this bear it.
    pub fn show_meters(&mut self) {
        if self.rules.meter_every_ms.is_none() {
            return;
        }
        self.meters.follow_all(&self.seen, self.now);
        for machine in &self.rules.machines {
            let readings = now(&self.known, &self.rules, &self.meters, &machine.asset);
            self.meters.shown.insert(machine.asset.clone(), readings);
        }
    }

    /// What an asset's meter was shown to read last; `None` where meters are off.
    pub fn meter(&self, asset: &str) -> Option<Readings> {
        self.rules.meter_every_ms?;
        let told = self.known.meters.get(asset).map(|meter| meter.readings).unwrap_or_default();
        Some(told.max(self.meters.shown.get(asset).copied().unwrap_or_default()))
    }
}

fn now(known: &Known, rules: &Rules, meters: &Meters, asset: &str) -> Readings {
    let meter = known.meters.get(asset).copied().unwrap_or_default();
    let shown = meters.shown.get(asset).copied().unwrap_or_default();
    meter.base.plus(fed(known, rules, meters, asset)).max(meter.readings).max(shown)
}

/// What machines of this gateway made for an asset.
fn fed(known: &Known, rules: &Rules, meters: &Meters, asset: &str) -> Readings {
    let mut sum = Readings::default();
    for (id, feed) in &known.feeds {
        let book = known.machines.get(id).map(|machine| &machine.book);
        for (index, fed) in feed.bindings.iter().enumerate().filter(|(_, fed)| fed.asset.as_deref() == Some(asset)) {
            let next = feed.bindings.get(index + 1);
            let live = if next.is_none() { meters.live(rules, id) } else { None };
            // What of this time the bindings do not hold yet.
            let to = next.map(|next| next.from).or(live.map(|live| live.certain)).unwrap_or(Stamp::MIN);
            let later_ms = book.map_or(0, |book| running_ms(book, fed.from.max(feed.counted), to));
            let made = next.map(|next| next.made).or(live.map(|live| live.made)).unwrap_or(feed.made);
            sum = sum.plus(Readings { run_ms: fed.ran_ms + later_ms, cycles: made - fed.made });
        }
    }
    sum
}

/// Tells what an asset's meter shows, at a machine that feeds it. `by`: what [`Why::Raised`] raises it to, and
/// [`Why::Corrected`] adds.
fn read(desk: &mut Desk<'_>, machine: &str, asset: &str, why: Why, by: Option<Readings>) {
    let live = desk.meters.live(desk.rules, machine);
    let feed = desk.known.feeds.get(machine);
    let made = live.map(|live| live.made).or(feed.map(|feed| feed.made)).unwrap_or_default();
    let at = match why {
        Why::Interval => live.map_or(desk.now, |live| live.certain),
        Why::Bound | Why::Released | Why::Raised | Why::Corrected => desk.now,
    };
    // Another one begins where it is last certain what the machine did.
    let seen = desk.known.machines.get(machine).and_then(|machine| machine.current);
    let certain = seen.map_or(desk.now, |seen| live.map_or(seen.at, |live| live.certain.max(seen.at)).min(desk.now));
    let from = feed.and_then(|feed| feed.bindings.last()).map_or(certain, |last| certain.max(last.from));
    let binding = match why {
        Why::Bound => Some(Binding { asset: Some(asset.to_owned()), from, made }),
        Why::Released => Some(Binding { asset: None, from, made }),
        Why::Interval | Why::Raised | Why::Corrected => None,
    };
    let fed = fed(desk.known, desk.rules, &desk.meters, asset);
    let shown = of(desk, asset);
    let mut base = desk.known.meters.get(asset).copied().unwrap_or_default().base;
    let raise = match why {
        Why::Bound => desk.known.register.readings(asset),
        Why::Raised => by,
        Why::Interval | Why::Released | Why::Corrected => None,
    };
    if let Some(raise) = raise {
        let lacks = raise.minus(base.plus(fed));
        if raise.run_ms > shown.run_ms {
            base.run_ms += lacks.run_ms;
        }
        if raise.cycles > shown.cycles {
            base.cycles += lacks.cycles;
        }
    }
    if let (Why::Corrected, Some(by)) = (why, by) {
        base = base.plus(by);
    }
    let readings = shown.max(base.plus(fed));
    if let Some(shown) = desk.meters.shown.get_mut(asset) {
        *shown = shown.max(readings);
    }
    let is_gone = !desk.rules.machines.iter().any(|rules| rules.id == machine);
    let (machine, asset) = (machine.to_owned(), asset.to_owned());
    desk.tell(Event::Meter(Box::new(meter::Event { machine, is_gone, asset, at, why, readings, base, made, binding })));
}

#[cfg(test)]
mod tests;
