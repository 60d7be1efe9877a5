//! Counter readings in, counts out: the ledger of parts.

use super::{
    Desk,
    correction::Past,
    gauge::{GaugeMark, Gauges},
    order::{self, Scene},
    rules::{self, Counters, MachineRules},
    statement, stop,
};
use crate::{
    books::{Book, Counting, cycle::Stopwatch},
    event::{
        Event, Ideal, Stamp,
        command::{Command, Refusal, Scrap, Subject, Wish},
        cycle::{Cycles, Spell},
        notice,
        part::{self, Bounds, Counted, Counts, Raw, Why},
    },
    signal::{
        PointIx,
        counter::{Counter, CounterRule, Mark, What},
    },
};
use serde::{Deserialize, Serialize};

/// Polls for which two counters may disagree before somebody is told.
const DISAGREE_LOOKS: u32 = 10;

/// Looks at a counter that lie further apart have a gap between them, where nothing says how long silence may last.
const GAP_MS: i64 = 5_000;

/// So many missed looks in a row are no gap yet, however long the silence.
const GAP_POLLS: i64 = 3;

/// A look that comes after more than so many polls comes late: what it shows came nobody knows when.
const LATE_POLLS: (i64, i64) = (3, 2);

/// Most spells of cycles between two production events; then the last one goes on. Some PLCs show another order at each look.
const SPELLS: usize = 16;

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// All parts.
    Total,
    /// Good parts.
    Good,
    /// Scrap.
    Reject,
}

/// One counter of a machine, and all that it was credited since its first mark.
#[derive(Clone, Debug)]
struct Tracked {
    role: Role,
    point: PointIx,
    overflow: Option<PointIx>,
    name: String,
    counter: Counter,
    parts: i64,
    poll_ms: i64,
    /// It was said that it moves too fast.
    is_too_fast: bool,
}

/// The parts of one machine, as far as they were seen.
#[derive(Clone, Debug)]
pub struct Parts {
    tracked: Vec<Tracked>,
    parts_per_cycle: i64,
    /// Raw cycles.
    made: i64,
    counts: Counts,
    /// What of them people moved from one count to another.
    moved: Counts,
    /// The first mark.
    since: Option<Stamp>,
    /// A derived count would have fallen and is held.
    disagrees: bool,
    /// Looks for which it was.
    disagree_looks: u32,
    /// How far what was credited since it was told last lies from what can have been made.
    fewer: i64,
    /// `None`: nobody can say.
    more: Option<i64>,
    stopwatch: Stopwatch,
    timed: Timed,
    /// What its lots must prove.
    pub gauges: Gauges,
}

/// The durable part of what was seen: marks are rewritten every second, so that a crash loses no part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PartMark {
    /// When the first counter was first seen.
    pub since: Option<Stamp>,
    /// Cumulative.
    pub counts: Counts,
    /// Raw cycles since then, before `parts_per_cycle`.
    pub made: i64,
    /// In the order total, good, reject.
    pub counters: Vec<CounterMark>,
    /// Cycles that are not told yet.
    pub timed: Timed,
    /// The last part that was seen alone while the machine ran.
    pub last_part: Option<Stamp>,
    /// Process values.
    pub gauges: GaugeMark,
}

/// Cycles that were timed since the last production event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timed {
    /// In order.
    pub spells: Vec<Spell>,
    /// The next one belongs to other windows than those before.
    pub is_cut: bool,
}

/// One counter's last believed value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CounterMark {
    /// The point.
    pub name: String,
    /// As the PLC held it.
    pub raw: i64,
    /// When.
    pub at: Stamp,
    /// Credited since the first mark.
    pub parts: i64,
    /// What its overflow flag said then.
    #[serde(default)]
    pub flag: Option<bool>,
}

impl PartMark {
    /// Events were told after the mark: what they say counts. The mark's times stay, so that no step becomes implausible.
    pub fn advance(
        &mut self,
        counters: &Counters,
        parts_per_cycle: i64,
        (counts, moved): (&Counts, &Counts),
        raw: &Raw,
    ) {
        // At the edge of an order what was counted before it is told once that is settled: then the mark may know more.
        if counts.total < self.counts.total {
            return;
        }
        self.made += (counts.total - self.counts.total) / parts_per_cycle.max(1);
        self.counts = *counts;
        self.last_part = None;
        let counts = &counts.minus(moved);
        for mark in &mut self.counters {
            let is = |of: &Option<rules::Counter>| of.as_ref().is_some_and(|of| of.name == mark.name);
            let now = raw.get(&mark.name).copied().unwrap_or(mark.raw);
            // Where the total is counted too, this one may be ahead of it, and of what was told.
            let ahead = mark.parts + (now - mark.raw).max(0) * parts_per_cycle;
            mark.parts = match () {
                () if is(&counters.total) => counts.total,
                () if is(&counters.good) && counters.total.is_some() => ahead.max(counts.good),
                () if is(&counters.good) => counts.good,
                () if counters.total.is_some() => ahead.max(counts.reject),
                () => counts.reject,
            };
            mark.raw = now;
        }
    }
}

/// What one look at a machine's counters gave.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// New parts: those of the counter of all, where there is one.
    pub parts: i64,
    /// Some counter went on.
    is_counted: bool,
    /// The first sight of a counter.
    pub is_first: bool,
    /// A reset or preset, or nobody can say just how many were made.
    pub is_adjusted: bool,
    /// What it shows came nobody knows when, or may not be so.
    is_vague: bool,
}

impl Look {
    /// Whether the time of a cycle could hang on it.
    pub fn is_timely(&self) -> bool {
        self.is_news() || self.is_vague
    }

    /// Whether it shows just what came since the look before, which was not long ago.
    pub fn is_clear(&self) -> bool {
        !self.is_first && !self.is_adjusted && !self.is_vague
    }

    /// Whether the counts are others than before.
    pub fn is_news(&self) -> bool {
        self.is_counted || self.is_first || self.is_adjusted
    }
}

impl Parts {
    /// Never seen, or last seen at a mark.
    pub fn new(rules: &MachineRules, mark: Option<&PartMark>, moved: &Counts) -> Parts {
        let counters = &rules.counters;
        let roles = [(Role::Total, &counters.total), (Role::Good, &counters.good), (Role::Reject, &counters.reject)];
        let tracked = roles.into_iter().filter_map(|(role, counter)| {
            let counter = counter.as_ref()?;
            let mark = mark.and_then(|mark| mark.counters.iter().find(|mark| mark.name == counter.name));
            // A plausible rate is given in parts, the counter counts cycles.
            let max_rate = rules
                .max_rate
                .map(|rate| Ideal { ms: rate.ms.saturating_mul(rules.parts_per_cycle), parts: rate.parts });
            Some(Tracked {
                role,
                point: counter.point,
                overflow: counter.overflow,
                name: counter.name.clone(),
                counter: Counter::new(
                    CounterRule {
                        modulus: counter.modulus,
                        max_rate,
                        gap_ms: rules.no_data_ms.unwrap_or(GAP_MS).max(counter.poll_ms.saturating_mul(GAP_POLLS)),
                    },
                    mark.map(|mark| Mark { raw: mark.raw, at: mark.at, flag: mark.flag }),
                ),
                parts: mark.map_or(0, |mark| mark.parts),
                poll_ms: counter.poll_ms,
                is_too_fast: false,
            })
        });
        let timers = match &counters.total {
            Some(total) => vec![total],
            None => counters.good.iter().chain(&counters.reject).collect(),
        };
        let poll_ms = timers.into_iter().map(|counter| counter.poll_ms).max().unwrap_or(i64::MAX);
        Parts {
            tracked: tracked.collect(),
            parts_per_cycle: rules.parts_per_cycle,
            made: mark.map_or(0, |mark| mark.made),
            counts: mark.map(|mark| mark.counts).unwrap_or_default(),
            moved: *moved,
            since: mark.and_then(|mark| mark.since),
            disagrees: false,
            disagree_looks: 0,
            fewer: 0,
            more: Some(0),
            stopwatch: Stopwatch::new(None, rules.parts_per_cycle, poll_ms),
            timed: mark.map(|mark| mark.timed.clone()).unwrap_or_default(),
            gauges: Gauges::new(rules, mark.map_or(&GaugeMark::default(), |mark| &mark.gauges)),
        }
    }

    /// The points with what they count.
    pub fn points(&self) -> impl Iterator<Item = (PointIx, Role)> + '_ {
        self.tracked.iter().map(|tracked| (tracked.point, tracked.role))
    }

    /// The overflow flags with the counter that each belongs to.
    pub fn flags(&self) -> impl Iterator<Item = (PointIx, Role)> + '_ {
        self.tracked.iter().filter_map(|tracked| Some((tracked.overflow?, tracked.role)))
    }

    /// Whether parts are counted.
    pub fn counting(&self) -> Counting {
        match self.tracked.iter().all(|tracked| tracked.counter.last().is_some()) {
            _ if self.tracked.is_empty() => Counting::Never,
            true => Counting::Read,
            false => Counting::Unread,
        }
    }

    /// Cumulative, as seen.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Raw cycles since the first mark, of the counter of all, where there is one.
    pub fn made(&self) -> i64 {
        self.made
    }

    /// The counters themselves.
    pub fn raw(&self) -> Raw {
        let raw = |tracked: &Tracked| Some((tracked.name.clone(), tracked.counter.last()?.raw));
        self.tracked.iter().filter_map(raw).collect()
    }

    /// What must survive.
    pub fn mark(&self) -> PartMark {
        let counters = self.tracked.iter().filter_map(|tracked| {
            let Mark { raw, at, flag } = tracked.counter.last()?;
            Some(CounterMark { name: tracked.name.clone(), raw, at, parts: tracked.parts, flag })
        });
        PartMark {
            since: self.since,
            counts: self.counts,
            made: self.made,
            counters: counters.collect(),
            timed: self.timed.clone(),
            last_part: self.stopwatch.last_part(),
            gauges: self.gauges.mark(),
        }
    }

    /// Cycles that are not told yet.
    pub fn cycles(&self) -> &[Spell] {
        &self.timed.spells
    }

    /// The gateway starts again, while the machine runs as before: its cycle goes on. What was told since the mark is not told again.
    pub fn resume_cycles(&mut self, book: &Book, ideal: Option<Ideal>, last_part: Option<Stamp>) {
        self.timed.spells = book.untold(&self.timed.spells).cloned().collect();
        self.stopwatch.judge_by(ideal);
        self.stopwatch.resume(last_part);
    }

    /// So many parts showed while the machine ran, by this ideal.
    pub fn time(&mut self, parts: i64, ideal: Option<Ideal>, at: Stamp) {
        self.stopwatch.judge_by(ideal);
        let Some(took_ms) = self.stopwatch.see(at, parts) else { return };
        let timed = &mut self.timed;
        let is_new = std::mem::take(&mut timed.is_cut) && timed.spells.len() < SPELLS;
        if timed.spells.is_empty() || is_new {
            timed.spells.push(Spell { first: at, last: at, cycles: Cycles::default() });
        }
        if let Some(spell) = timed.spells.last_mut() {
            spell.last = at;
            spell.cycles.enter(took_ms, self.stopwatch.ideal_ms());
        }
    }

    /// Parts that one count stands for from here on.
    pub fn count_by(&mut self, parts_per_cycle: i64) {
        self.parts_per_cycle = parts_per_cycle;
    }

    /// What comes next is no cycle.
    pub fn lift(&mut self) {
        self.stopwatch.lift();
    }

    /// What comes next is no cycle, and belongs to other windows.
    pub fn cut(&mut self) {
        self.stopwatch.lift();
        self.timed.is_cut = true;
    }

    /// The oldest moment since which a part may be new at this look.
    pub fn last_look(&self) -> Option<Stamp> {
        self.tracked.iter().filter_map(|tracked| tracked.counter.last()).map(|mark| mark.at).min()
    }

    /// A look at the overflow flag of a counter, before the look at the counter itself.
    pub fn see_flag(&mut self, of: Role, flag: Option<bool>, at: Stamp) {
        if let Some(tracked) = self.tracked.iter_mut().find(|tracked| tracked.role == of) {
            tracked.counter.see_flag(flag, at);
        }
    }

    /// A look at some counters. Nothing is entered in the counts yet: whether the parts lie outside planned time
    /// is decided by what the machine did.
    pub fn see(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, raws: &[(Role, i64)], at: Stamp) -> Look {
        let mut look = Look::default();
        let has_total = self.tracked.iter().any(|tracked| tracked.role == Role::Total);
        if !raws.is_empty() {
            self.watch_disagreement(desk, rules);
        }
        for tracked in &mut self.tracked {
            let Some((_, raw)) = raws.iter().find(|(role, _)| *role == tracked.role) else { continue };
            let before = tracked.counter.last();
            let credit = tracked.counter.see(*raw, at);
            let parts = credit.cycles * self.parts_per_cycle;
            let is_late =
                before.is_some_and(|before| at.since(before.at) * LATE_POLLS.1 > tracked.poll_ms * LATE_POLLS.0);
            look.is_vague |= credit.what == What::Doubt || (is_late && parts != 0);
            tracked.parts += parts;
            look.is_counted |= parts != 0;
            if tracked.role == Role::Total || !has_total {
                look.parts += parts;
                self.made += credit.cycles;
                self.fewer += (credit.cycles - credit.least) * self.parts_per_cycle;
                let more = |most: i64| (most - credit.cycles).saturating_mul(self.parts_per_cycle);
                self.more = self.more.zip(credit.most).map(|(before, most)| before.saturating_add(more(most)));
                look.is_adjusted |= !credit.is_exact();
            }
            match credit.what {
                What::First => {
                    look.is_first = true;
                    self.since.get_or_insert(at);
                }
                What::Reset { from, to } => {
                    look.is_adjusted = true;
                    let text =
                        format!("{} fell from {from} to {to}: taken for a reset, {parts} parts counted", tracked.name);
                    desk.notice(Some(&rules.id), "counter_reset", notice::Severity::Info, text);
                }
                What::Adjusted { from, to } => {
                    look.is_adjusted = true;
                    let text = format!(
                        "{} jumped from {from} to {to}: taken for a setting by hand, the jump is not counted",
                        tracked.name
                    );
                    desk.notice(Some(&rules.id), "counter_adjusted", notice::Severity::Warning, text);
                }
                What::Returned { from, to } => {
                    look.is_adjusted = true;
                    let text = format!(
                        "{} is back from {from} at {to}, as if it had never been set: {parts} parts counted",
                        tracked.name
                    );
                    desk.notice(Some(&rules.id), "counter_returned", notice::Severity::Info, text);
                }
                What::TooFast { from, to } => {
                    look.is_adjusted = true;
                    if !std::mem::replace(&mut tracked.is_too_fast, true) {
                        let text = format!(
                            "{} moves faster than `max_rate` allows, from {from} to {to} by now: nothing of it is counted",
                            tracked.name
                        );
                        desk.notice(Some(&rules.id), "counter_too_fast", notice::Severity::Warning, text);
                    }
                }
                What::Counted => tracked.is_too_fast = false,
                What::Doubt => {}
            }
        }
        look
    }

    /// Enters what the last look credited. `outside`: after an unknown gap.
    pub fn enter(&mut self, outside: bool) {
        let of = |role| self.tracked.iter().find(|tracked| tracked.role == role).map(|tracked| tracked.parts);
        let before = self.counts.minus(&self.moved);
        // Of two counters of which one is the total, the total is believed; the third count never falls, and what is
        // not yet in the total is held until it is.
        let (good, reject, disagree) = match (of(Role::Total), of(Role::Good), of(Role::Reject)) {
            (_, Some(good), Some(reject)) => (good, reject, false),
            (Some(total), Some(good), None) => {
                let reject = before.reject.max(total - good);
                (total - reject, reject, total - good < before.reject)
            }
            (Some(total), None, Some(reject)) => {
                let good = before.good.max(total - reject);
                (good, total - good, total - reject < before.good)
            }
            (Some(total), None, None) => (total, 0, false),
            (None, good, reject) => (good.unwrap_or(0), reject.unwrap_or(0), false),
        };
        let mut counts = Counts { total: good + reject, good, reject, ..before };
        if outside {
            counts.outside_total += counts.total - before.total;
            counts.outside_good += good - before.good;
        }
        self.counts = counts.plus(&self.moved);
        self.disagrees = disagree;
    }

    /// One counter may be read a moment after the other; what stays is a contradiction.
    fn watch_disagreement(&mut self, desk: &mut Desk<'_>, rules: &MachineRules) {
        self.disagree_looks = if self.disagrees { self.disagree_looks.saturating_add(1) } else { 0 };
        if self.disagree_looks == DISAGREE_LOOKS {
            let counted = |tracked: &Tracked| format!("{} counted {}", tracked.name, tracked.parts);
            let counted: Vec<String> = self.tracked.iter().map(counted).collect();
            let text = format!(
                "{}: they contradict each other; the count derived from them would have fallen and is held",
                counted.join(", ")
            );
            desk.notice(Some(&rules.id), "counters_disagree", notice::Severity::Warning, text);
        }
    }

    /// Parts that were counted as good are scrapped or to be worked over, from the command's time on; a negative quantity
    /// takes that back. What was worked over adds to the yield of its order and moves no count.
    pub fn scrap(
        &mut self,
        desk: &mut Desk<'_>,
        rules: &MachineRules,
        (around, command): (&stop::Around, &Command),
        past: Option<&Past>,
    ) -> Result<Option<Subject>, Refusal> {
        let Wish::Scrap { quantity, kind, code, order } = &command.wish else {
            return Err(Refusal::new("unknown_verb", format!("{} is no matter of parts", command.wish.verb())));
        };
        let (quantity, kind) = (*quantity, *kind);
        let Some(machine) = desk.known.machines.get(&rules.id) else {
            let text = format!("nothing was ever counted at {}", rules.id);
            return Err(Refusal::new("nothing_counted", text));
        };
        let (mut page, stated) = order::page(machine, past);
        let number = order.as_ref().or(page.order_at(command.at).map(|order| &order.order)).cloned();
        let job = number.as_ref().and_then(|number| machine.orders.get(number)).cloned();
        if let (Some(order), None) = (order, &job) {
            return Err(Refusal::new("unknown_order", format!("{order} is no order that {} had", rules.id)));
        }
        let scene = Scene {
            around,
            counting: self.counting(),
            cycles: &self.timed.spells,
            process: self.gauges.spells(),
            shown: None,
        };
        let by = desk.rules.measure(rules, scene.counting, desk.now, Some(&self.counts));
        let of_order = job.as_ref().and_then(|job| order::figures(&page, job, &by)).map(|window| window.counts);
        if kind == Scrap::Reworked {
            let (Some(job), Some(counts)) = (job, of_order) else {
                let text = "without an order there is no yield that they could add to".to_owned();
                return Err(Refusal::new("unknown_order", text));
            };
            let most = counts.reject + counts.rework;
            let reworked = job.reworked + quantity;
            if quantity == 0 || !(0..=most).contains(&reworked) {
                let text =
                    format!("{} of {most} are worked over in {}, not {quantity} more", job.reworked, job.number());
                return Err(Refusal::new("too_many", text));
            }
            return Ok(Some(order::rework(desk, rules, scene, command, job, reworked)));
        }
        // Scrap that is reported late belongs to its order, not to what is made meanwhile.
        let at = match (order, &job) {
            (Some(_), Some(job)) => {
                let span = job.spans.iter().rev().find(|span| span.from <= command.at).or(job.spans.first());
                let Some(span) = span else {
                    return Err(Refusal::new("too_many", format!("{} has never run", job.number())));
                };
                command.at.min(span.end().plus(-1)).max(span.from)
            }
            _ => command.at,
        };
        let shift = rules.calendar.shift(at).unwrap_or_else(|| rules.calendar.day(at));
        let (counts, place) = match of_order.filter(|_| order.is_some()) {
            Some(counts) => (counts, number.clone().unwrap_or_default()),
            None => {
                let made = statement::measure_period(desk, rules, &page, self.counting(), &self.counts, &shift);
                (made.map(|window| window.counts).unwrap_or_default(), shift.id)
            }
        };
        let (from, kept) = match kind {
            _ if quantity > 0 => ("good", counts.good),
            Scrap::Rework => ("to be worked over", counts.rework),
            Scrap::Scrap | Scrap::Reworked => ("scrapped", counts.reject),
        };
        if quantity == 0 || kept < quantity.abs() {
            let text = format!("{kept} parts are {from} in {place}, not {}", quantity.abs());
            return Err(Refusal::new("too_many", text));
        }
        let by = match kind {
            Scrap::Rework => Counts { good: -quantity, rework: quantity, ..Counts::default() },
            Scrap::Scrap | Scrap::Reworked => Counts { good: -quantity, reject: quantity, ..Counts::default() },
        };
        self.moved = self.moved.plus(&by);
        self.counts = self.counts.plus(&by);
        let (who, command_id, code) = (command.by.clone(), command.command_id.clone(), code.clone());
        let moved = part::Moved { at, by, who, command_id, kind, code, order: number, quantity };
        self.tell_moved(desk, rules, desk.now, Why::Adjustment, Some(moved));
        if let Some(told) = desk.told.last() {
            page.apply(&told.event);
        }
        statement::review_page(desk, rules, (&page, &stated), (self.counting(), &self.counts), at);
        let around = stop::Around { counts: self.counts, ..around.clone() };
        let (cycles, process) = (&self.timed.spells[..], self.gauges.spells());
        let scene = Scene { around: &around, counting: self.counting(), cycles, process, shown: None };
        order::review_page(desk, rules, &page, scene, at);
        Ok(None)
    }

    /// Tells the counts of all parts that showed before `to`.
    pub fn tell(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, to: Stamp, why: Why) {
        self.tell_moved(desk, rules, to, why, None);
    }

    /// Cycles that were timed before an edge that went by unseen are told by what was counted then.
    pub fn tell_timed(&mut self, desk: &mut Desk<'_>, rules: &MachineRules) {
        let last_look = self.tracked.iter().filter_map(|tracked| tracked.counter.last()).map(|mark| mark.at).max();
        if let Some(last_look) = last_look.filter(|_| !self.timed.spells.is_empty()) {
            self.tell(desk, rules, last_look.plus(1), Why::Edge);
        }
    }

    /// Tells the counts of all parts that showed before an order began or ended there, which is over: as they were then.
    pub fn tell_edge(&mut self, desk: &mut Desk<'_>, rules: &MachineRules, at: Stamp, (counts, raw): (Counts, Raw)) {
        let known = desk.known.machines.get(&rules.id);
        let told_to = known.and_then(|machine| machine.counted_to).or(self.since);
        // Of bounds that are not told yet nobody knows on which side of the edge they lie.
        let is_exact = (self.fewer, self.more) == (0, Some(0));
        if told_to.is_some_and(|told_to| told_to < at) && is_exact {
            let now = std::mem::replace(&mut self.counts, counts);
            self.tell_counts(desk, rules, (at, raw), Why::Edge, None);
            self.counts = now;
        }
    }

    fn tell_moved(
        &mut self,
        desk: &mut Desk<'_>,
        rules: &MachineRules,
        to: Stamp,
        why: Why,
        moved: Option<part::Moved>,
    ) {
        self.tell_counts(desk, rules, (to, self.raw()), why, moved);
    }

    fn tell_counts(
        &mut self,
        desk: &mut Desk<'_>,
        rules: &MachineRules,
        (to, raw): (Stamp, Raw),
        why: Why,
        moved: Option<part::Moved>,
    ) {
        let Some(since) = self.since else { return };
        self.gauges.cut(to.min(desk.now));
        let known = desk.known.machines.get(&rules.id);
        let from = known.and_then(|machine| machine.counted_to).unwrap_or(since);
        let order = known.and_then(|machine| machine.book.order_at(to.plus(-1))).cloned();
        let before = known.map_or(0, |machine| machine.book.readings_around(from).0.counts.total);
        let made = self.counts.total - before;
        let (fewer, more) = (std::mem::take(&mut self.fewer), self.more.replace(0));
        let process = match known {
            Some(machine) => machine.book.untold_process(self.gauges.spells()).cloned().collect(),
            None => self.gauges.spells().to_vec(),
        };
        self.gauges.forget();
        let bounds = Bounds { min: made - fewer, max: more.map(|more| made.saturating_add(more)) };
        desk.tell(Event::Part(part::Event::Counted(Box::new(Counted {
            machine: rules.id.clone(),
            from,
            to,
            counts: self.counts,
            bounds: Some(bounds).filter(|bounds| Some(bounds.min) != bounds.max),
            raw,
            order,
            why,
            moved,
            cycles: std::mem::take(&mut self.timed).spells,
            process,
        }))));
    }
}
