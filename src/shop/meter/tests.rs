//! Meters on strip charts and over random days: they only rise, and what they show is the time in `running`.

use super::*;
use crate::{
    books::window::window,
    event::{
        Told,
        command::{Command, Wish},
        stop::State,
    },
    shop::{
        Input, Turn,
        tests::{RUN, START, Strip, TOTAL, press, rules as one_machine},
    },
    signal::{Bad, Observation, PointIx, Reading, Value},
};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::{collections::BTreeMap, sync::Arc};

const MINUTE_MS: i64 = 60_000;

fn metered(machines: Vec<MachineRules>) -> Arc<Rules> {
    let rules = Rules { meter_every_ms: Some(MINUTE_MS), machines, ..(*one_machine(press())).clone() };
    Arc::new(rules)
}

fn at(second: i64) -> Stamp {
    START.plus(second * 1000)
}

fn row(name: &str, runs: &[(&str, usize)]) -> String {
    let cells: String = runs.iter().map(|(cell, times)| cell.repeat(*times)).collect();
    format!("{name} {cells}")
}

fn strip(chart: &str) -> Strip {
    strip_of(press(), chart)
}

fn strip_of(machine: MachineRules, chart: &str) -> Strip {
    let mut strip = Strip::new(machine.clone(), chart);
    strip.shop = Shop::open(metered(vec![machine]), Known::default(), &Marks::default());
    strip
}

fn reads<'a>(told: impl IntoIterator<Item = &'a Told>) -> Vec<&'a meter::Event> {
    let read = |told: &'a Told| if let Event::Meter(read) = &told.event { Some(&**read) } else { None };
    told.into_iter().filter_map(read).collect()
}

fn words<'a>(told: impl IntoIterator<Item = &'a Told>) -> String {
    let word = |read: &meter::Event| {
        let Readings { run_ms, cycles } = read.readings;
        let at = read.at.since(START) / 1000;
        format!("{at}s {} {}: {run_ms} ms, {cycles} cycles, {:?}\n", read.machine, read.asset, read.why)
    };
    reads(told).into_iter().map(word).collect()
}

#[allow(clippy::needless_pass_by_value)]
fn check(strip: &Strip, expected: Expect) {
    expected.assert_eq(&words(&strip.told));
}

#[test]
fn a_meter_is_read_at_the_minute_with_what_ran_and_was_made_until_then() {
    let run = row("run", &[("█", 70), ("_", 20), ("█", 40)]);
    let strip = strip(&format!("{run}\n{}", row("total", &[("1", 130)]))).play();
    check(
        &strip,
        expect![[r#"
            0s press-7 EQ-10042: 0 ms, 0 cycles, Bound
            60s press-7 EQ-10042: 60000 ms, 59 cycles, Interval
            120s press-7 EQ-10042: 100000 ms, 119 cycles, Interval
        "#]],
    );
    assert_eq!(strip.window().time_in(State::Running), 109_000);
    assert_eq!(strip.shop.known().meters["EQ-10042"].readings.run_ms, 100_000);
}

#[test]
fn a_reading_waits_until_it_is_certain_what_the_machine_did() {
    // It stops a moment before the minute; only a look after `debounce` shows that.
    let slow = MachineRules { debounce_ms: 3000, ..press() };
    let mut strip = strip_of(slow, &row("run", &[("█", 59), ("_", 11)]));
    strip.play_until(62);
    assert_eq!(reads(&strip.told).len(), 1, "the edge at 59 s waits for its confirmation");
    strip.play_until(63);
    check(
        &strip,
        expect![[r#"
            0s press-7 EQ-10042: 0 ms, 0 cycles, Bound
            60s press-7 EQ-10042: 59000 ms, 0 cycles, Interval
        "#]],
    );
}

#[test]
fn unknown_time_is_no_running_time_until_it_turns_out_to_be() {
    let play = |parts: &str| {
        let run = row("run", &[("█", 56), (" ", 8), ("█", 66)]);
        let total = row("total", &[("1", 56), (" ", 8), (parts, 1), ("1", 65)]);
        strip(&format!("{run}\n{total}")).play()
    };
    check(
        &play("1"),
        expect![[r#"
            0s press-7 EQ-10042: 0 ms, 0 cycles, Bound
            60s press-7 EQ-10042: 53000 ms, 55 cycles, Interval
            120s press-7 EQ-10042: 111000 ms, 111 cycles, Interval
        "#]],
    );
    // As many parts came as fit in: it ran through.
    check(
        &play("9"),
        expect![[r#"
            0s press-7 EQ-10042: 0 ms, 0 cycles, Bound
            60s press-7 EQ-10042: 53000 ms, 55 cycles, Interval
            120s press-7 EQ-10042: 111000 ms, 119 cycles, Interval
        "#]],
    );
}

/// Some machines on one PLC, looked at once a second.
struct Hall {
    rules: Arc<Rules>,
    shop: Shop,
    told: Vec<Told>,
    second: i64,
    /// As the PLC holds it, by machine.
    raws: Vec<i64>,
    runs: Vec<bool>,
    marks: Marks,
    commands: u32,
}

impl Hall {
    /// Machines press-1 … with the assets that they are bound to.
    fn new(assets: &[&str]) -> Hall {
        let rules = bound(assets);
        let shop = Shop::open(rules.clone(), Known::default(), &Marks::default());
        let (raws, runs) = (vec![30_000; assets.len()], vec![true; assets.len()]);
        Hall { rules, shop, told: Vec::new(), second: 0, raws, runs, marks: Marks::default(), commands: 0 }
    }

    fn turn(&mut self, input: Input<'_>) -> Turn {
        let mut turn = self.shop.turn(input, at(self.second));
        self.told.append(&mut turn.told);
        if turn.is_mark_due {
            self.marks = self.shop.marks();
        }
        turn
    }

    /// A second with so many cycles of each machine; `is_dark`: nobody sees it.
    fn second(&mut self, cycles: &[i64], is_dark: bool) {
        self.second += 1;
        for (raw, cycles) in self.raws.iter_mut().zip(cycles) {
            *raw += cycles;
        }
        let reading = |value| if is_dark { Reading::Bad(Bad::Silent) } else { Reading::Good(value) };
        let readings = self.raws.iter().zip(&self.runs).enumerate().flat_map(|(index, (raw, run))| {
            let point = |of: PointIx| PointIx(of.0 + index * 10);
            [(point(RUN), reading(Value::Bool(*run))), (point(TOTAL), reading(Value::Int(*raw)))]
        });
        let observation = Observation { at: at(self.second), readings: readings.collect() };
        self.turn(Input::Observed(&observation));
    }

    fn seconds(&mut self, seconds: i64) {
        for _ in 0..seconds {
            let cycles: Vec<i64> = self.runs.iter().map(|run| i64::from(*run)).collect();
            self.second(&cycles, false);
        }
    }

    /// The gateway stops, with its last marks or those of its last event, and starts again after so many seconds.
    fn restart(&mut self, assets: &[&str], away: i64, is_clean: bool) {
        if is_clean {
            self.marks = self.shop.marks();
        }
        self.second += away;
        self.rules = bound(assets);
        let known = serde_json::from_str(&serde_json::to_string(self.shop.known()).unwrap()).unwrap();
        self.shop = Shop::open(self.rules.clone(), known, &self.marks);
        self.turn(Input::Tick);
    }

    /// A person says of the machine's last downtime that it was a sensor, or takes it back.
    fn correct(&mut self, machine: usize, code: Option<&str>) {
        let id = format!("press-{}", machine + 1);
        let book = self.shop.known().machines.get(&id).map(|machine| &machine.book);
        let stop = book.and_then(|book| book.stops.iter().rev().find(|stop| stop.downtime.is_some()));
        let Some(downtime_id) = stop.map(|stop| stop.downtime_id()) else { return };
        self.commands += 1;
        let command = Command {
            command_id: format!("c-{}", self.commands),
            by: "mes".to_owned(),
            comment: None,
            at: at(self.second),
            wish: Wish::Reason { downtime_id, code: code.map(str::to_owned) },
        };
        self.turn(Input::Command { machine: Some(&id), command: &command, past: None });
    }

    /// How long machines ran for an asset until `edge`, counted anew from windows of the book.
    fn ran_ms(&self, known: &Known, told: &[Told], asset: &str, edge: Stamp) -> i64 {
        let mut ran_ms = 0;
        for (index, rules) in self.rules.machines.iter().enumerate() {
            let id = format!("press-{}", index + 1);
            let bindings: Vec<&Binding> = reads(told)
                .into_iter()
                .filter(|read| read.machine == id)
                .filter_map(|read| read.binding.as_ref())
                .collect();
            for (place, binding) in bindings.iter().enumerate() {
                let to = bindings.get(place + 1).map_or(edge, |next| next.from).min(edge);
                let book = known.machines.get(&id).map(|machine| &machine.book);
                if let Some(book) = book.filter(|_| binding.asset.as_deref() == Some(asset) && binding.from < to) {
                    let by = self.rules.measure(rules, crate::books::Counting::Never, edge, None);
                    let window = window(book, binding.from, to, &by);
                    ran_ms += window.map_or(0, |window| window.time_in(State::Running));
                }
            }
        }
        ran_ms
    }
}

fn bound(assets: &[&str]) -> Arc<Rules> {
    let machine = |(index, asset): (usize, &&str)| {
        let mut rules = press();
        let point = |of: PointIx| PointIx(of.0 + index * 10);
        rules.id = format!("press-{}", index + 1);
        (rules.asset, rules.fault) = ((*asset).to_owned(), None);
        rules.run = crate::shop::rules::RunRule::Signal { point: point(RUN), hold_ms: 0 };
        rules.counters.reject = None;
        if let Some(total) = &mut rules.counters.total {
            total.point = point(TOTAL);
            total.name = format!("plc.total-{index}");
        }
        rules
    };
    metered(assets.iter().enumerate().map(machine).collect())
}

#[test]
fn two_machines_feed_the_meter_of_the_asset_that_they_share() {
    let mut hall = Hall::new(&["EQ-1", "EQ-1"]);
    hall.seconds(31);
    hall.runs[1] = false;
    hall.seconds(40);
    let expected = expect![[r#"
        1s press-1 EQ-1: 0 ms, 0 cycles, Bound
        1s press-2 EQ-1: 0 ms, 0 cycles, Bound
        60s press-1 EQ-1: 90000 ms, 88 cycles, Interval
        60s press-2 EQ-1: 90000 ms, 88 cycles, Interval
    "#]];
    expected.assert_eq(&words(&hall.told));
}

#[test]
fn an_asset_that_moves_takes_its_meter_along_and_a_new_one_begins_at_its_own_last_value() {
    let mut hall = Hall::new(&["EQ-1", "EQ-2"]);
    hall.seconds(70);
    hall.restart(&["EQ-2", "EQ-1"], 2, true);
    hall.runs[0] = false;
    hall.seconds(60);
    hall.restart(&["EQ-3", "EQ-1"], 2, true);
    hall.seconds(60);
    let expected = expect![[r#"
        1s press-1 EQ-1: 0 ms, 0 cycles, Bound
        1s press-2 EQ-2: 0 ms, 0 cycles, Bound
        60s press-1 EQ-1: 59000 ms, 58 cycles, Interval
        60s press-2 EQ-2: 59000 ms, 58 cycles, Interval
        72s press-1 EQ-1: 69000 ms, 69 cycles, Released
        72s press-2 EQ-2: 69000 ms, 69 cycles, Released
        72s press-1 EQ-2: 69000 ms, 69 cycles, Bound
        72s press-2 EQ-1: 69000 ms, 69 cycles, Bound
        120s press-1 EQ-2: 72000 ms, 69 cycles, Interval
        120s press-2 EQ-1: 119000 ms, 116 cycles, Interval
        134s press-1 EQ-2: 72000 ms, 69 cycles, Released
        134s press-1 EQ-3: 0 ms, 0 cycles, Bound
        180s press-1 EQ-3: 0 ms, 0 cycles, Interval
        180s press-2 EQ-1: 179000 ms, 174 cycles, Interval
    "#]];
    expected.assert_eq(&words(&hall.told));
}

#[test]
fn a_machine_that_is_taken_out_leaves_its_meter_where_it_was() {
    let mut hall = Hall::new(&["EQ-1", "EQ-2"]);
    hall.seconds(90);
    hall.restart(&["EQ-1"], 2, true);
    hall.seconds(60);
    let expected = expect![[r#"
        1s press-1 EQ-1: 0 ms, 0 cycles, Bound
        1s press-2 EQ-2: 0 ms, 0 cycles, Bound
        60s press-1 EQ-1: 59000 ms, 58 cycles, Interval
        60s press-2 EQ-2: 59000 ms, 58 cycles, Interval
        92s press-2 EQ-2: 89000 ms, 89 cycles, Released
        120s press-1 EQ-1: 119000 ms, 116 cycles, Interval
    "#]];
    expected.assert_eq(&words(&hall.told));
}

/// What happens next in a hall of two machines.
#[derive(Clone, Debug)]
enum Step {
    Run(usize, bool),
    Go(i64, i64),
    Dark(i64),
    Reset(usize),
    Restart(Vec<&'static str>, i64, bool),
    Correct(usize, bool),
    Show,
}

fn step() -> impl Strategy<Value = Step> {
    let asset = || prop_oneof![Just("EQ-1"), Just("EQ-2"), Just("EQ-3")];
    prop_oneof![
        6 => (0..2_usize, any::<bool>()).prop_map(|(machine, runs)| Step::Run(machine, runs)),
        9 => (1..90_i64, 0..3_i64).prop_map(|(seconds, cycles)| Step::Go(seconds, cycles)),
        3 => (1..20_i64).prop_map(Step::Dark),
        1 => (0..2_usize).prop_map(Step::Reset),
        2 => (prop::collection::vec(asset(), 2), 0..40_i64, any::<bool>())
            .prop_map(|(assets, away, is_clean)| Step::Restart(assets, away, is_clean)),
        3 => (0..2_usize, any::<bool>()).prop_map(|(machine, is_none)| Step::Correct(machine, is_none)),
        2 => Just(Step::Show),
    ]
}

/// Every reading against the book: none falls, and at an interval it is what ran, or what was shown before.
struct Oracle {
    /// What was told so far, and what follows from it.
    told: usize,
    known: Known,
    highest: BTreeMap<String, Readings>,
}

impl Oracle {
    fn watch(&mut self, hall: &Hall) -> Result<(), TestCaseError> {
        for place in self.told..hall.told.len() {
            self.known.apply(&hall.told[place]);
            let Event::Meter(read) = &hall.told[place].event else { continue };
            // Of both machines at that moment.
            let then = reads(&hall.told[self.told..]).into_iter().filter(|other| other.at == read.at);
            let made: BTreeMap<&str, i64> = then.map(|read| (read.machine.as_str(), read.made)).collect();
            let highest = self.highest.entry(read.asset.clone()).or_default();
            prop_assert_eq!(read.readings.max(*highest), read.readings, "{:?} falls", read);
            if read.why == Why::Interval {
                let ran_ms = hall.ran_ms(&self.known, &hall.told[..=place], &read.asset, read.at);
                let cycles = cycles(&hall.told[..=place], &read.asset, &made);
                prop_assert_eq!(read.readings, Readings { run_ms: ran_ms, cycles }.max(*highest), "{:?}", read);
            }
            *highest = read.readings;
        }
        self.told = hall.told.len();
        Ok(())
    }
}

/// Cycles for an asset, binding by binding.
fn cycles(told: &[Told], asset: &str, made: &BTreeMap<&str, i64>) -> i64 {
    let of = |machine: &&str| {
        let bindings = reads(told).into_iter().filter(move |read| read.machine == **machine);
        bindings.filter_map(|read| read.binding.clone()).collect::<Vec<_>>()
    };
    let sum = |machine: &str, bindings: &[Binding]| -> i64 {
        let ends = bindings.iter().skip(1).map(|next| next.made).chain([made[machine]]);
        let own = bindings.iter().zip(ends).filter(|(binding, _)| binding.asset.as_deref() == Some(asset));
        own.map(|(binding, end)| end - binding.made).sum()
    };
    made.keys().map(|machine| sum(machine, &of(machine))).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_meter_only_rises_and_shows_what_ran(steps in prop::collection::vec(step(), 20..60)) {
        let mut hall = Hall::new(&["EQ-1", "EQ-2"]);
        let mut oracle = Oracle { told: 0, known: Known::default(), highest: BTreeMap::new() };
        hall.seconds(1);
        for step in steps {
            match step {
                Step::Run(machine, runs) => hall.runs[machine] = runs,
                Step::Go(seconds, cycles) => for _ in 0..seconds {
                    let made: Vec<i64> = hall.runs.iter().map(|run| i64::from(*run) * cycles).collect();
                    hall.second(&made, false);
                    oracle.watch(&hall)?;
                },
                Step::Dark(seconds) => for _ in 0..seconds {
                    let made: Vec<i64> = hall.runs.iter().map(|run| i64::from(*run)).collect();
                    hall.second(&made, true);
                    oracle.watch(&hall)?;
                },
                Step::Reset(machine) => hall.raws[machine] = 0,
                Step::Restart(assets, away, is_clean) => hall.restart(&assets, away, is_clean),
                Step::Correct(machine, is_none) => hall.correct(machine, is_none.then_some("sensor")),
                Step::Show => {
                    hall.shop.show_meters();
                    hall.marks = hall.shop.marks();
                    for (asset, highest) in &mut oracle.highest {
                        let shown = hall.shop.meter(asset).unwrap();
                        prop_assert_eq!(shown.max(*highest), shown, "the picture of {} falls", asset);
                        *highest = shown;
                    }
                }
            }
            oracle.watch(&hall)?;
            for machine in hall.shop.machines() {
                prop_assert_eq!(machine.seen.live(at(hall.second)).made, machine.counts().total);
            }
        }
        prop_assert_eq!(&oracle.known, hall.shop.known(), "what was told again gives what is known");
    }
}

#[test]
fn a_correction_of_days_that_are_forgotten_reaches_the_meter_that_was_bound_then() {
    let mut hall = Hall::new(&["EQ-1"]);
    hall.seconds(70);
    hall.runs[0] = false;
    hall.seconds(30);
    hall.runs[0] = true;
    hall.seconds(30);
    hall.restart(&["EQ-2"], 2, true);
    hall.seconds(10);
    // Two days go by in the dark.
    hall.second += 48 * 3_600;
    hall.seconds(10);
    let mut book = Book::default();
    hall.told.iter().for_each(|told| book.apply(&told.event));
    assert!(hall.shop.known().machines["press-1"].book.stops.is_empty(), "it is forgotten");
    let downtime_id = book.stops.iter().find(|stop| stop.downtime.is_some()).unwrap().downtime_id();
    let before = hall.told.len();
    let mut ask = |code: Option<&str>| {
        let command = Command {
            command_id: format!("{code:?}"),
            by: "mes".to_owned(),
            comment: None,
            at: at(hall.second),
            wish: Wish::Reason { downtime_id, code: code.map(str::to_owned) },
        };
        let mut book = Book::default();
        hall.told.iter().for_each(|told| book.apply(&told.event));
        let past = crate::shop::Past { book, stated: BTreeMap::new() };
        hall.turn(Input::Command { machine: Some("press-1"), command: &command, past: Some(&past) });
    };
    ask(Some("sensor"));
    ask(None);
    ask(Some("sensor"));
    let told = words(&hall.told[before..]);
    let of = |text: &str| {
        told.lines().map(|line| line.split_once(' ').unwrap().1).filter(|line| line.contains(text)).count()
    };
    assert_eq!(
        of("press-1 EQ-1: 129000 ms, 99 cycles, Corrected"),
        3,
        "held while it is taken back, not added twice: {told}"
    );
    assert_eq!((of("EQ-2"), told.lines().count()), (0, 3), "{told}");
}

#[test]
fn what_is_shown_beside_events_rides_with_marks() {
    let mut hall = Hall::new(&["EQ-1"]);
    hall.seconds(41);
    let marks = hall.shop.marks();
    assert_eq!(hall.shop.meter("EQ-1"), Some(Readings::default()), "as told");
    hall.shop.show_meters();
    let shown = Readings { run_ms: 40_000, cycles: 40 };
    assert_eq!(hall.shop.meter("EQ-1"), Some(shown));
    hall.marks = hall.shop.marks();
    hall.marks.machines = marks.machines;
    // The machine stood while the gateway was away: nobody knows that it ran until then.
    hall.runs[0] = false;
    hall.restart(&["EQ-1"], 60, false);
    hall.seconds(60);
    assert_eq!(
        reads(&hall.told).last().unwrap().readings.max(shown).run_ms,
        reads(&hall.told).last().unwrap().readings.run_ms
    );
    assert_eq!(hall.shop.meter("EQ-2"), Some(Readings::default()), "of an asset that nobody feeds");
    let mut off = (*hall.rules).clone();
    off.meter_every_ms = None;
    let shop = Shop::open(Arc::new(off), Known::default(), &Marks::default());
    assert_eq!(shop.meter("EQ-1"), None);
}

#[test]
fn meters_are_read_at_the_hours_of_the_wall_clock_also_after_it_was_set() {
    let mut hall = Hall::new(&["EQ-1"]);
    hall.seconds(30);
    hall.turn(Input::Clock { step_ms: 20_000, is_synced: true });
    hall.seconds(60);
    let wall = &hall.shop.known().wall;
    let shown: Vec<i64> = reads(&hall.told).iter().skip(1).map(|read| wall.of(read.at).since(START) / 1000).collect();
    assert_eq!(shown, [60], "40 s on the timeline");
    let daily = Rules { meter_every_ms: Some(8 * HOUR_MS), ..(*metered(vec![press()])).clone() };
    let mut meters = Meters::default();
    meters.set_clock(&daily, &Wall::default(), START);
    assert_eq!(meters.next_wake(), START.plus(2 * HOUR_MS), "06:00, and a third of the day ends at 08:00");
}
