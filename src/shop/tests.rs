//! Strip charts: one column is one second, a character is what the PLC shows. What the shop tells stands beside it.

use super::{
    rules::{Counter, Counters, Operand, ReasonRule, StateRule},
    *,
};
use crate::{
    books::{Book, Calendar, Convention, Counting, Ideal, Measure, window::window},
    event::{
        part,
        stop::{self, Change, Class, State},
        window::Window,
    },
    signal::{Bad, Reading, Value, expression::parse},
};
use expect_test::{Expect, expect};
use jiff::{civil::Time, tz::TimeZone};
use proptest::prelude::*;

/// 2026-11-23T06:00:00Z
pub(in crate::shop) const START: Stamp = Stamp::from_ms(1_795_413_600_000);
/// Counters begin so high that no reset in a short gap could reach their values again.
const FIRST_RAW: i64 = 30_000;
pub(in crate::shop) const RUN: PointIx = PointIx(0);
pub(in crate::shop) const TOTAL: PointIx = PointIx(1);
const FAULT: PointIx = PointIx(2);
const REJECT: PointIx = PointIx(3);
const STATE: PointIx = PointIx(4);
const AUTO: PointIx = PointIx(5);
const DOOR: PointIx = PointIx(6);
pub(in crate::shop) const ORDER: PointIx = PointIx(7);
pub(in crate::shop) const HEAT: PointIx = PointIx(8);

pub(in crate::shop) fn press() -> MachineRules {
    let counter = |point, name: &str| {
        Some(Counter { point, name: name.to_owned(), modulus: 65_536, poll_ms: 1_000, overflow: None })
    };
    MachineRules {
        id: "press-7".to_owned(),
        line: "line-2".to_owned(),
        asset: "EQ-10042".to_owned(),
        calendar: Arc::new(Calendar::new(TimeZone::UTC, Time::midnight())),
        ideal: Ideal::new(1000, 1),
        run: RunRule::Signal { point: RUN, hold_ms: 0 },
        counters: Counters { total: counter(TOTAL, "plc.total"), good: None, reject: counter(REJECT, "plc.reject") },
        fault: Some(FAULT),
        state: None,
        order: None,
        product: None,
        order_required: false,
        split_after_ms: None,
        debounce_ms: 1000,
        debounce_run_ms: 1000,
        short_stop_ms: 5000,
        open_at_fault: false,
        no_data_ms: Some(3000),
        poll_ms: 1000,
        max_rate: Ideal::new(1000, 4),
        parts_per_cycle: 1,
        process: Vec::new(),
    }
}

/// PackML: 6 Execute, 5 Suspended, 3 set-up, 2 Stopped, 9 Aborted.
fn packml() -> MachineRules {
    let state = StateRule {
        point: STATE,
        poll_ms: 1000,
        running: vec![6],
        down: vec![9],
        changeover: vec![3],
        planned_stop: vec![2],
        external: vec![5],
    };
    MachineRules { state: Some(state), ..press() }
}

/// Without a run signal the state code decides.
fn by_state() -> MachineRules {
    MachineRules { run: RunRule::State, ..packml() }
}

fn combined(text: &str) -> MachineRules {
    let parsed = parse(text).unwrap();
    let operand = |name: &String| {
        let point = if name == "plc.auto" { AUTO } else { DOOR };
        Operand { point, name: name.clone(), hold_ms: 0 }
    };
    let operands = parsed.operands.iter().map(operand).collect();
    MachineRules { run: RunRule::Expression { expression: parsed.expression, operands }, ..press() }
}

fn by_counts() -> MachineRules {
    MachineRules { run: RunRule::Counts { stop_after_ms: 3000 }, ..press() }
}

pub(in crate::shop) fn rules(machine: MachineRules) -> Arc<Rules> {
    let reason = |code: &str, class, faults: &[i64]| ReasonRule {
        code: code.to_owned(),
        text: code.to_owned(),
        class,
        counts_in: None,
        faults: faults.to_vec(),
        machines: Vec::new(),
    };
    Arc::new(Rules {
        gateway: "gw".to_owned(),
        path: "acme/leipzig/hall-3".to_owned(),
        calendar: Calendar::new(TimeZone::UTC, Time::midnight()),
        oee: Convention::OeeCom.into(),
        final_after_ms: 12 * 3_600_000,
        meter_every_ms: None,
        products: Vec::new(),
        reasons: vec![
            reason("jam", Class::Failure, &[2, 3]),
            reason("starved", Class::External, &[5]),
            ReasonRule { counts_in: Some(stop::CountsIn::None), ..reason("sensor", Class::Operational, &[6]) },
        ],
        machines: vec![machine],
        lines: Vec::new(),
        work: rules::WorkRules::default(),
    })
}

/// A row of a strip: a name, then a character a second. `█` true, `_` false, `!` a failed read, a blank no reading;
/// a digit of `total` and `reject` is so many parts more, `0` the same count again, `R` a reset to 0; a digit of `fault`, `state` or `order` is the code.
pub(in crate::shop) struct Strip {
    pub(in crate::shop) shop: Shop,
    pub(in crate::shop) book: Book,
    pub(in crate::shop) told: Vec<Told>,
    rows: Vec<(PointIx, Vec<char>)>,
    raws: BTreeMap<usize, i64>,
    second: usize,
}

impl Strip {
    pub(in crate::shop) fn new(machine: MachineRules, chart: &str) -> Strip {
        let lines: Vec<&str> = chart.lines().map(str::trim_start).filter(|line| !line.is_empty()).collect();
        let width = lines.iter().map(|line| line.split(' ').next().unwrap().len() + 1).max().unwrap();
        let rows = lines.iter().map(|line| {
            let name = line.split(' ').next().unwrap();
            let point = match name {
                "run" => RUN,
                "total" => TOTAL,
                "fault" => FAULT,
                "reject" => REJECT,
                "state" => STATE,
                "auto" => AUTO,
                "door" => DOOR,
                "order" => ORDER,
                other => panic!("no row {other}"),
            };
            (point, line.chars().skip(width).collect())
        });
        Strip {
            shop: Shop::open(rules(machine), Known::default(), &Marks::default()),
            book: Book::default(),
            told: Vec::new(),
            rows: rows.collect(),
            raws: BTreeMap::new(),
            second: 0,
        }
    }

    pub(in crate::shop) fn length(&self) -> usize {
        self.rows.iter().map(|(_, cells)| cells.len()).max().unwrap()
    }

    fn observation(&mut self) -> Observation {
        let mut readings = Vec::new();
        for (point, cells) in &self.rows {
            let cell = cells.get(self.second).copied().unwrap_or(' ');
            let raw = self.raws.entry(point.0).or_insert(FIRST_RAW);
            let value = match cell {
                ' ' => continue,
                '!' => {
                    readings.push((*point, Reading::Bad(Bad::Silent)));
                    continue;
                }
                '█' => Value::Bool(true),
                '_' => Value::Bool(false),
                'R' => {
                    *raw = 0;
                    Value::Int(0)
                }
                digit if [FAULT, STATE, ORDER].contains(point) => Value::Int(i64::from(digit.to_digit(10).unwrap())),
                digit => {
                    *raw = (*raw + i64::from(digit.to_digit(10).unwrap())) % 65_536;
                    Value::Int(*raw)
                }
            };
            readings.push((*point, Reading::Good(value)));
        }
        let at = START.plus(i64::try_from(self.second).unwrap() * 1000);
        Observation { at, readings }
    }

    /// Plays up to the column before `end`.
    pub(in crate::shop) fn play_until(&mut self, end: usize) {
        while self.second < end {
            let observation = self.observation();
            let turn = self.shop.turn(Input::Observed(&observation), observation.at);
            self.tell(turn);
            if self.second == 0 {
                let turn = self.shop.turn(Input::Begin, observation.at);
                self.tell(turn);
            }
            self.second += 1;
        }
    }

    pub(in crate::shop) fn play(mut self) -> Strip {
        let last = self.length() - 1;
        self.play_until(last);
        let observation = self.observation();
        let turn = self.shop.turn(Input::Closed(&observation), observation.at);
        self.tell(turn);
        self
    }

    pub(in crate::shop) fn tell(&mut self, turn: Turn) {
        for told in turn.told {
            self.book.apply(&told.event);
            self.told.push(told);
        }
    }

    pub(in crate::shop) fn window(&self) -> Window {
        let machine = self.shop.machines().next().unwrap();
        let to = START.plus(i64::try_from(self.length() - 1).unwrap() * 1000);
        let latest = *machine.counts();
        let by = self.shop.rules.measure(machine.rules, machine.counting(), to, Some(&latest));
        let by = Measure { cycles: machine.cycles(), ..by };
        window(&self.book, START, to, &by).unwrap()
    }

    fn words(&self) -> String {
        let mut words = String::new();
        for told in &self.told {
            words += &sentence(&told.event);
            words.push('\n');
        }
        words
    }
}

fn seconds(at: Stamp) -> String {
    span(at.since(START))
}

fn span(ms: i64) -> String {
    if ms % 1000 == 0 { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}

pub(in crate::shop) fn sentence(event: &Event) -> String {
    match event {
        Event::Stop(stop::Event::State(change)) => {
            let stop = change
                .stop
                .as_ref()
                .map_or(String::new(), |stop| format!(" in a stop since {}", seconds(stop.started_at)));
            let provisional = if change.provisional { " (provisional)" } else { "" };
            format!("{} {}{provisional}{stop}", seconds(change.since), change.state.word())
        }
        Event::Stop(stop::Event::Downtime(downtime)) => {
            let stop = &downtime.stop;
            let number = stop.downtime.unwrap();
            let reason = stop.reason.as_ref().map_or(String::new(), |reason| format!(" for {}", reason.code));
            let unknown =
                if stop.unknown_ms > 0 { format!(" and {} unknown", span(stop.unknown_ms)) } else { String::new() };
            let what = match downtime.change {
                Change::Opened => format!("opened, {:?}{reason}", stop.class),
                Change::Updated => format!("updated, {:?}{reason}, faults {:?}", stop.class, stop.fault),
                Change::Amended => "amended".to_owned(),
                Change::Closed => format!("closed after {}{unknown}{reason}", span(stop.duration_ms)),
            };
            format!("{} press-7/{}.{} {what}", seconds(event.time()), number.number, number.revision)
        }
        Event::Part(part::Event::Counted(counted)) => {
            let most = |most: Option<i64>| most.map_or("any".to_owned(), |most| most.to_string());
            let bounds = counted.bounds.map(|bounds| format!(", {} to {} of them now", bounds.min, most(bounds.max)));
            let bounds = bounds.unwrap_or_default();
            format!(
                "{} {} parts{bounds} since {} ({:?})",
                seconds(counted.to),
                counted.counts.total,
                seconds(counted.from),
                counted.why
            )
        }
        Event::Order(order) => format!("{} order {} {:?}", seconds(order.at), order.job.number(), order.change),
        Event::Work(crate::event::work::Event::Request(asked)) => {
            let request = &asked.request;
            let word = request.status.word();
            format!(
                "{} request {:?} {word} {}x: {}",
                seconds(asked.at),
                asked.change,
                request.occurrences(),
                asked.title
            )
        }
        Event::Work(crate::event::work::Event::Order(updated)) => {
            let number = updated.order.work_order.as_deref().unwrap_or("-");
            format!("{} work order {number} {}", seconds(updated.at), updated.order.status.word())
        }
        Event::Operator(operator) => format!("{} {} {:?}", seconds(operator.at), operator.operator, operator.action),
        Event::Asset(changed) => format!("{} asset {}.{}", seconds(changed.at), changed.asset.id, changed.revision),
        Event::Meter(read) => {
            let Readings { run_ms, cycles } = read.readings;
            format!("{} {} ran {} in {cycles} cycles ({:?})", seconds(read.at), read.asset, span(run_ms), read.why)
        }
        Event::Shift(stated) => {
            let word = if stated.window.is_final { "" } else { " provisional" };
            format!("{} stated {} revision {}{word}", seconds(stated.at), stated.id, stated.revision)
        }
        Event::Notice(notice) => format!("{} notice {}", seconds(notice.at), notice.code),
    }
}

#[allow(clippy::needless_pass_by_value)]
fn chart(machine: MachineRules, chart: &str, expected: Expect) -> Strip {
    let strip = Strip::new(machine, chart).play();
    expected.assert_eq(&strip.words());
    let window = strip.window();
    assert_eq!(window.time_ms.iter().sum::<i64>(), window.calendar_ms, "state times add up");
    strip
}

#[test]
fn a_stop_that_lasts_is_one_downtime_dated_from_its_first_still_sample() {
    let strip = chart(
        press(),
        "run ████________________█████",
        expect![[r#"
        0s running
        4s short_stop (provisional) in a stop since 4s
        4s down in a stop since 4s
        4s press-7/1.1 opened, Unassigned
        20s running
        20s press-7/1.2 closed after 16s
    "#]],
    );
    assert_eq!(strip.window().time_in(State::Down), 16_000);
}

#[test]
fn a_short_stop_is_never_told_as_a_downtime() {
    chart(
        press(),
        "run ████____█████",
        expect![[r#"
        0s running
        4s short_stop (provisional) in a stop since 4s
        8s running
    "#]],
    );
}

#[test]
fn a_flap_shorter_than_the_debounce_leaves_no_trace() {
    let machine = MachineRules { debounce_ms: 2000, ..press() };
    chart(
        machine,
        "run ████_████████",
        expect![[r#"
        0s running
    "#]],
    );
}

#[test]
fn jogging_during_a_repair_makes_one_downtime() {
    let machine = MachineRules { debounce_run_ms: 3000, ..press() };
    chart(
        machine,
        "run ███______██____█______██████",
        expect![[r#"
        0s running
        3s short_stop (provisional) in a stop since 3s
        3s down in a stop since 3s
        3s press-7/1.1 opened, Unassigned
        22s running
        22s press-7/1.2 closed after 19s
    "#]],
    );
}

#[test]
fn silence_is_unknown_from_the_last_good_sample_on() {
    chart(
        press(),
        "run ██████!!!!!!!██████",
        expect![[r#"
        0s running
        5s unknown
        13s running
    "#]],
    );
}

#[test]
fn missed_polls_up_to_no_data_are_bridged() {
    chart(
        press(),
        "run ███!!██████",
        expect![[r#"
        0s running
    "#]],
    );
}

#[test]
fn a_stop_that_a_gap_interrupts_stays_the_same_stop_if_it_still_stands() {
    chart(
        press(),
        "run ████____!!!!!!!!______████",
        expect![[r#"
        0s running
        4s short_stop (provisional) in a stop since 4s
        7s unknown in a stop since 4s
        16s short_stop (provisional) in a stop since 4s
        16s down in a stop since 4s
        4s press-7/1.1 opened, Unassigned
        22s running
        22s press-7/1.2 closed after 9s and 9s unknown
    "#]],
    );
}

#[test]
fn a_stop_that_is_over_after_a_gap_ended_where_the_gap_began() {
    chart(
        press(),
        "run ████_______!!!!!!!!████████",
        expect![[r#"
        0s running
        4s short_stop (provisional) in a stop since 4s
        4s down in a stop since 4s
        4s press-7/1.1 opened, Unassigned
        10s unknown in a stop since 4s
        19s running
        10s press-7/1.2 closed after 6s
    "#]],
    );
}

#[test]
fn a_stop_ended_in_the_gap_if_parts_came_meanwhile() {
    chart(
        press(),
        "
        run   ████_______!!!!!!!!_______███
        total 11110000000!!!!!!!!20000000000",
        expect![[r#"
            0s running
            4s short_stop (provisional) in a stop since 4s
            4s down in a stop since 4s
            4s press-7/1.1 opened, Unassigned
            10s unknown in a stop since 4s
            19s short_stop (provisional) in a stop since 19s
            10s press-7/1.2 closed after 6s
            19s down in a stop since 19s
            19s press-7/2.1 opened, Unassigned
            26s running
            26s press-7/2.2 closed after 7s
        "#]],
    );
}

#[test]
fn it_ran_through_a_gap_if_as_many_parts_came_as_fit_in() {
    let strip = chart(
        press(),
        "
        run   █████!!!!!███████
        total 11111!!!!!6111111",
        expect![[r#"
            0s running
            4s unknown
            4s running
        "#]],
    );
    let window = strip.window();
    assert_eq!((window.time_in(State::Running), window.time_in(State::Unknown)), (16_000, 0));
    assert_eq!((window.counts.total, window.counts.outside_total), (16, 0));
}

#[test]
fn parts_that_came_in_a_gap_are_counted_but_outside() {
    let strip = chart(
        press(),
        "
        run   █████!!!!!███████
        total 11111!!!!!2111111",
        expect![[r#"
            0s running
            4s unknown
            10s running
        "#]],
    );
    let window = strip.window();
    assert_eq!((window.counts.total, window.counts.outside_total), (12, 2));
}

#[test]
fn a_reject_is_no_second_part_when_the_parts_of_a_gap_are_weighed() {
    let strip = chart(
        press(),
        "
        run    █████!!!!!███████
        total  11111!!!!!3111111
        reject 00000!!!!!3000000",
        expect![[r#"
            0s running
            4s unknown
            10s running
        "#]],
    );
    let window = strip.window();
    assert_eq!((window.counts.total, window.counts.outside_total, window.counts.reject), (13, 3, 3));
    assert_eq!(window.ideal_ms(), 10_000, "what came unseen is no performance");
    let oee = window.good_ideal_ms() as f64 / window.planned_ms as f64;
    assert!((window.kpi.oee.unwrap() - oee).abs() < 1e-12);
}

#[test]
fn a_reject_alone_is_counted() {
    let strip = Strip::new(press(), "run    ████████\ntotal  11100010\nreject 00001000").play();
    let counts = strip.window().counts;
    assert_eq!((counts.total, counts.good, counts.reject), (3, 2, 1));
}

#[test]
fn a_window_whose_last_gap_is_unread_is_not_final() {
    let verdict = |end| {
        let mut strip = Strip::new(press(), "run   █████!!!!!███████\ntotal 11111!!!!!6111111");
        strip.play_until(end);
        let now = START.plus(i64::try_from(end).unwrap() * 1000 - 1000);
        let rules = strip.shop.rules();
        let by = rules.measure(&rules.machines[0], Counting::Read, now, None);
        let window = window(&strip.book, START, START.plus(9000), &by).unwrap();
        (window.time_in(State::Unknown), window.is_final)
    };
    assert_eq!(verdict(10), (5000, false), "it may have run through");
    assert_eq!(verdict(16), (0, true), "and it did");
}

#[test]
fn the_first_fault_of_a_stop_names_its_reason_and_others_are_listed() {
    chart(
        press(),
        "
        run   ████______________████
        fault 0000222220033300000000",
        expect![[r#"
            0s running
            4s short_stop (provisional) in a stop since 4s
            4s down in a stop since 4s
            4s press-7/1.1 opened, Failure for jam
            11s press-7/1.2 updated, Failure for jam, faults Some(Fault { code: 2, others: [3] })
            18s running
            18s press-7/1.3 closed after 14s for jam
        "#]],
    );
}

#[test]
fn a_fault_that_comes_late_updates_the_downtime() {
    chart(
        press(),
        "
        run   ████______________████
        fault 0000000000033300000000",
        expect![[r#"
            0s running
            4s short_stop (provisional) in a stop since 4s
            4s down in a stop since 4s
            4s press-7/1.1 opened, Unassigned
            11s press-7/1.2 updated, Failure for jam, faults Some(Fault { code: 3, others: [] })
            18s running
            18s press-7/1.3 closed after 14s for jam
        "#]],
    );
}

#[test]
fn a_fault_register_that_counts_up_does_not_fill_the_record() {
    let mut strip = Strip::new(press(), "run   █___\nfault 0999");
    strip.play_until(4);
    for second in 4..104 {
        let at = START.plus(second * 1000);
        let readings = vec![(RUN, Reading::Good(Value::Bool(false))), (FAULT, Reading::Good(Value::Int(second * 10)))];
        let turn = strip.shop.turn(Input::Observed(&Observation { at, readings }), at);
        strip.tell(turn);
    }
    let [stop] = strip.book.stops.as_slice() else { panic!("{:?}", strip.book.stops) };
    let fault = stop.fault.as_ref().unwrap();
    assert_eq!((fault.code, fault.others.len()), (9, 16));
    assert!(strip.told.len() < 25, "{} events", strip.told.len());
}

#[test]
fn a_fault_that_no_reason_names_is_a_failure_without_reason() {
    let strip = chart(
        press(),
        "
        run   ████__________████
        fault 000099999999990000",
        expect![[r#"
            0s running
            4s short_stop (provisional) in a stop since 4s
            4s down in a stop since 4s
            4s press-7/1.1 opened, Failure
            14s running
            14s press-7/1.2 closed after 10s
        "#]],
    );
    assert_eq!(strip.window().failures, 1);
}

#[test]
fn a_starved_machine_is_external_however_short() {
    chart(
        press(),
        "
        run   ████___█████_______████
        fault 00005550000055555550000",
        expect![[r#"
            0s running
            4s external (provisional) in a stop since 4s
            7s running
            12s external (provisional) in a stop since 12s
            12s external in a stop since 12s
            12s press-7/1.1 opened, External for starved
            19s running
            19s press-7/1.2 closed after 7s for starved
        "#]],
    );
}

#[test]
fn a_reason_that_counts_nowhere_is_no_stop_at_all() {
    let strip = chart(
        press(),
        "
        run   ████_________████
        fault 00006666666660000",
        expect![[r#"
            0s running
            4s running in a stop since 4s
            13s running
        "#]],
    );
    assert_eq!(strip.window().time_in(State::Running), 16_000);
}

#[test]
fn a_downtime_opens_at_once_at_a_fault_where_that_is_wished() {
    let machine = MachineRules { open_at_fault: true, ..press() };
    chart(
        machine,
        "
        run   ████__█████
        fault 00002200000",
        expect![[r#"
            0s running
            4s short_stop (provisional) in a stop since 4s
            4s down in a stop since 4s
            4s press-7/1.1 opened, Failure for jam
            6s running
            6s press-7/1.2 closed after 2s for jam
        "#]],
    );
}

#[test]
fn without_a_run_signal_a_gap_between_parts_is_a_stop() {
    chart(
        by_counts(),
        "total 111110000000001111000000011",
        expect![[r#"
        0s running
        5s short_stop (provisional) in a stop since 5s
        5s down in a stop since 5s
        5s press-7/1.1 opened, Unassigned
        14s running
        14s press-7/1.2 closed after 9s
        18s short_stop (provisional) in a stop since 18s
        18s down in a stop since 18s
        18s press-7/2.1 opened, Unassigned
        25s running
        25s press-7/2.2 closed after 7s
    "#]],
    );
}

#[test]
fn without_a_run_signal_a_slow_cycle_is_speed_loss_inside_running() {
    chart(
        by_counts(),
        "total 11101010101011",
        expect![[r#"
            0s running
        "#]],
    );
}

#[test]
fn without_a_run_signal_silence_is_unknown_too() {
    chart(
        by_counts(),
        "total 11111!!!!!!2111100000000!!!!!!00000011",
        expect![[r#"
        0s running
        4s unknown
        11s running
        16s short_stop (provisional) in a stop since 16s
        16s down in a stop since 16s
        16s press-7/1.1 opened, Unassigned
        23s unknown in a stop since 16s
        30s down in a stop since 16s
        36s running
        36s press-7/1.2 closed after 13s and 7s unknown
    "#]],
    );
}

#[test]
fn a_machine_that_stood_when_the_gateway_came_started_its_stop_at_the_first_sample() {
    let strip = chart(
        press(),
        "run ________████",
        expect![[r#"
        0s short_stop (provisional) in a stop since 0s
        0s down in a stop since 0s
        0s press-7/1.1 opened, Unassigned
        8s running
        8s press-7/1.2 closed after 8s
    "#]],
    );
    let Event::Stop(stop::Event::Downtime(downtime)) = &strip.told.last().unwrap().event else { panic!() };
    assert_eq!(downtime.stop.uncertainty_ms, None);
}

#[test]
fn a_machine_of_which_nothing_was_read_is_unknown() {
    chart(
        press(),
        "run !!!!!  !!███████",
        expect![[r#"
        0s unknown
        9s running
    "#]],
    );
}

#[test]
fn a_stop_open_at_the_end_has_the_verdict_of_its_duration_so_far() {
    chart(
        press(),
        "run ████______",
        expect![[r#"
        0s running
        4s short_stop (provisional) in a stop since 4s
        4s down in a stop since 4s
        4s press-7/1.1 opened, Unassigned
    "#]],
    );
    chart(
        press(),
        "run ████____",
        expect![[r#"
        0s running
        4s short_stop (provisional) in a stop since 4s
    "#]],
    );
}

#[test]
fn with_no_data_off_a_failed_read_is_unknown_at_once_and_a_reading_holds_until_the_next() {
    let machine = MachineRules { no_data_ms: None, debounce_ms: 0, debounce_run_ms: 0, ..press() };
    chart(
        machine,
        "run █         _         █      !    █    █",
        expect![[r#"
        0s running
        10s short_stop (provisional) in a stop since 10s
        10s down in a stop since 10s
        10s press-7/1.1 opened, Unassigned
        20s running
        20s press-7/1.2 closed after 10s
        27s unknown
        32s running
    "#]],
    );
}

#[test]
fn an_edge_in_missed_polls_is_as_uncertain_as_the_silence_around_it() {
    let stop = |row: &str| {
        let strip = Strip::new(press(), row).play();
        strip.book.stops[0].uncertainty_ms
    };
    assert_eq!(stop("run ████______████"), Some(1000));
    assert_eq!(stop("run ████!!____████"), Some(3000));
    assert_eq!(stop("run ████____!!████"), Some(3000));
    assert_eq!(stop("run ______████"), None);
}

#[test]
fn a_downtime_that_turns_out_to_be_no_stop_is_void() {
    let strip = chart(
        press(),
        "
        run   ████__________███
        fault 00000000000660000",
        expect![[r#"
            0s running
            4s short_stop (provisional) in a stop since 4s
            4s down in a stop since 4s
            4s press-7/1.1 opened, Unassigned
            4s running in a stop since 4s
            11s press-7/1.2 updated, Operational for sensor, faults Some(Fault { code: 6, others: [] })
            14s running
            14s press-7/1.3 closed after 0s for sensor
        "#]],
    );
    let stop = strip.book.stops.last().unwrap();
    assert_eq!((stop.duration_ms, stop.shares.len()), (0, 0));
    assert_eq!(strip.window().time_in(State::Running), 16_000);
}

#[test]
fn a_counter_that_was_never_read_makes_no_quality_of_100_percent() {
    let window = Strip::new(press(), "run   █████\ntotal 11111").play().window();
    assert_eq!((window.flags.as_slice(), window.kpi.quality), (["counter_unread".to_owned()].as_slice(), None));
    let window = Strip::new(press(), "run    █████\ntotal  11111\nreject 00000").play().window();
    assert_eq!((window.flags.as_slice(), window.kpi.quality), ([].as_slice(), Some(1.0)));
}

#[test]
fn a_reject_that_shows_a_look_after_its_part_makes_no_second_part() {
    let strip = Strip::new(press(), "run    █████████\ntotal  111000000\nreject 000100000").play();
    let counts = strip.window().counts;
    assert_eq!((counts.total, counts.good + counts.reject), (2, 2));
}

#[test]
fn without_a_run_signal_a_fault_that_is_gone_again_still_names_the_stop() {
    chart(
        by_counts(),
        "total 11110000000011\nfault 00002000000000",
        expect![[r#"
        0s running
        4s short_stop (provisional) in a stop since 4s
        4s down in a stop since 4s
        4s press-7/1.1 opened, Unassigned
        12s running
        12s press-7/1.2 closed after 8s
    "#]],
    );
}

#[test]
fn parts_that_come_while_it_stands_are_counted_and_said_once() {
    let strip = chart(
        press(),
        "
        run    ████______████
        total  11111111000111
        reject 0",
        expect![[r#"
            0s running
            4s short_stop (provisional) in a stop since 4s
            6s notice parts_while_stopped
            4s down in a stop since 4s
            4s press-7/1.1 opened, Unassigned
            10s running
            10s press-7/1.2 closed after 6s
        "#]],
    );
    assert_eq!(strip.window().counts.total, 10);
}

#[test]
fn a_machine_that_makes_parts_before_its_run_is_confirmed_contradicts_nothing() {
    chart(
        MachineRules { debounce_run_ms: 3000, ..press() },
        "
        run    ████______███████
        total  11110000002222222
        reject 0",
        expect![[r#"
            0s running
            4s short_stop (provisional) in a stop since 4s
            4s down in a stop since 4s
            4s press-7/1.1 opened, Unassigned
            10s running
            10s press-7/1.2 closed after 6s
        "#]],
    );
}

#[test]
fn a_signal_that_flaps_all_day_makes_no_look_slower() {
    let flapping = MachineRules { debounce_ms: 0, debounce_run_ms: 0, ..press() };
    let begun = std::time::Instant::now();
    let mut strip = Strip::new(flapping, &format!("run {}", "█_".repeat(40_000)));
    strip.play_until(80_000);
    // The day that ends meanwhile is stated.
    assert_eq!(strip.told.len(), 80_001);
    // One second or two; half a minute, if each stop is compared with all before it.
    assert!(begun.elapsed() < std::time::Duration::from_secs(15), "{:?}", begun.elapsed());
}

/// A press whose early shift ends so.
fn closing_at(end: &str) -> MachineRules {
    use crate::books::calendar::{On, Shift, Weekday};
    let days = vec![Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri];
    let shift = |id: &str, start: &str, end: &str| Shift {
        id: id.to_owned(),
        on: On::Days { days: days.clone(), from: None, until: None },
        start: start.parse().unwrap(),
        end: end.parse().unwrap(),
        breaks: Vec::new(),
    };
    let shifts = vec![shift("early", "05:00", end), shift("late", end, "14:00")];
    let calendar = Calendar::new(TimeZone::UTC, Time::midnight()).planned(shifts, Vec::new(), Vec::new());
    MachineRules { calendar: Arc::new(calendar), ..press() }
}

#[test]
fn a_stop_that_a_shift_ends_in_is_stated_anew_when_its_verdict_is_known() {
    // The shift ends with the ninth second of the stop; it becomes a downtime in the eleventh.
    let shift = |chart: &str| {
        let machine = MachineRules { short_stop_ms: 10_500, ..closing_at("06:00:12") };
        let strip = Strip::new(machine, chart).play();
        let stated = strip.told.iter().filter_map(|told| match &told.event {
            Event::Shift(stated) if stated.id.ends_with("early") => Some(stated),
            _ => None,
        });
        let stated = stated.map(|stated| {
            let window = &stated.window;
            let (short, down) = (window.time_in(State::ShortStop), window.time_in(State::Down));
            (seconds(stated.at), stated.revision, window.is_final, short, down)
        });
        stated.collect::<Vec<_>>()
    };
    let long = shift("run ███_________________████");
    assert_eq!(long, [("12s".to_owned(), 1, false, 9_000, 0), ("14s".to_owned(), 2, true, 0, 9_000)]);
    let short = shift("run ███__________███████████");
    assert_eq!(short, [("12s".to_owned(), 1, false, 9_000, 0), ("14s".to_owned(), 2, true, 9_000, 0)]);
}

#[test]
fn a_part_that_shows_at_the_very_end_of_a_shift_belongs_to_the_next_one() {
    let machine = closing_at("06:00:10");
    let strip = Strip::new(machine, "run    ████████████████\ntotal  1111111111111111\nreject 0").play();
    let stated: Vec<_> = strip
        .told
        .iter()
        .filter_map(|told| match &told.event {
            Event::Shift(stated) => Some(stated),
            _ => None,
        })
        .collect();
    let [stated] = stated.as_slice() else { panic!("one statement: {stated:?}") };
    let latest = *strip.shop.machines().next().unwrap().counts();
    let rules = strip.shop.rules();
    let by = rules.measure(&rules.machines[0], Counting::Read, strip.shop.now(), Some(&latest));
    let reported = window(&strip.book, START, START.plus(10_000), &by).unwrap();
    assert_eq!(stated.window.counts, reported.counts);
    assert_eq!(stated.window.counts.outside_total, 0);
    assert!(latest.total > reported.counts.total);
}

#[test]
fn an_open_stop_finishes_under_the_threshold_it_began_with() {
    let mut strip = Strip::new(press(), "run ████_________████");
    strip.play_until(7);
    let mut known = Known::default();
    strip.told.iter().for_each(|told| known.apply(told));
    let marks = strip.shop.marks();
    strip.shop = Shop::open(rules(MachineRules { short_stop_ms: 60_000, ..press() }), known, &marks);
    expect![[r#"
        0s running
        4s short_stop (provisional) in a stop since 4s
        4s down in a stop since 4s
        4s press-7/1.1 opened, Unassigned
        13s running
        13s press-7/1.2 closed after 9s
    "#]]
    .assert_eq(&strip.play().words());
}

#[test]
fn a_counter_reset_is_told_and_credited() {
    let strip = chart(
        press(),
        "
        run    ██████████
        total  1111R11111
        reject 0000000000",
        expect![[r#"
            0s running
            5s notice counter_reset
            5001ms 4 parts, 4 to 9 of them now since 0s (Adjustment)
        "#]],
    );
    assert_eq!(strip.window().counts.total, 8);
}

#[test]
fn hours_and_days_tell_the_counts_of_all_parts_before_them() {
    let mut strip = Strip::new(press(), "run    ██\ntotal  11\nreject 01");
    strip.play_until(2);
    let turn = strip.shop.turn(Input::Tick, START.plus(2 * 3_600_000));
    strip.tell(turn);
    expect![[r#"
        0s running
        1s unknown
        3600s 1 parts since 0s (Edge)
        7200s 1 parts since 3600s (Edge)
    "#]]
    .assert_eq(&strip.words());
}

#[test]
fn parts_of_a_gap_over_the_hour_are_booked_after_it_and_bound_both_hours() {
    const HOUR_MS: i64 = 3_600_000;
    let mut strip = Strip::new(press(), "run   ██\ntotal 11");
    strip.play_until(2);
    for second in 5..=10 {
        let at = START.plus(HOUR_MS + second * 1000);
        let readings =
            vec![(RUN, Reading::Good(Value::Bool(true))), (TOTAL, Reading::Good(Value::Int(FIRST_RAW + 102)))];
        let turn = strip.shop.turn(Input::Observed(&Observation { at, readings }), at);
        strip.tell(turn);
    }
    let now = strip.shop.now();
    let latest = *strip.shop.machines().next().unwrap().counts();
    let rules = strip.shop.rules();
    let by = rules.measure(&rules.machines[0], Counting::Read, now, Some(&latest));
    let hour = |from: Stamp| {
        let window = window(&strip.book, from, from.plus(HOUR_MS), &by).unwrap();
        (window.counts.total, window.counts.outside_total, window.parts_bounds)
    };
    let bounds = |min, max| Some(part::Bounds { min, max: Some(max) });
    assert_eq!(hour(START), (1, 0, bounds(1, 101)));
    assert_eq!(hour(START.plus(HOUR_MS)), (100, 100, bounds(0, 100)));
}

#[test]
fn oee_is_availability_times_performance_times_quality() {
    let strip = Strip::new(
        press(),
        "
        run    ████████████________████
        total  111101111011000000001111
        reject 000100000000000000000000",
    )
    .play();
    let window = strip.window();
    let kpi = window.kpi;
    assert_eq!((window.planned_ms, window.run_ms), (23_000, 15_000));
    assert_eq!((window.counts.total, window.counts.reject), (13, 1));
    let product = kpi.availability.unwrap() * kpi.performance.unwrap() * kpi.quality.unwrap();
    assert!((kpi.oee.unwrap() - product).abs() < 1e-12);
    assert!((kpi.oee.unwrap() - 12_000.0 / 23_000.0).abs() < 1e-12);
}

#[test]
fn a_run_signal_may_be_combined_of_several_points() {
    chart(
        combined("plc.auto && !plc.door"),
        "
        auto ██████__████████████
        door _____________█████__",
        expect![[r#"
            0s running
            6s short_stop (provisional) in a stop since 6s
            8s running
            13s short_stop (provisional) in a stop since 13s
            13s down in a stop since 13s
            13s press-7/1.1 opened, Unassigned
            18s running
            18s press-7/1.2 closed after 5s
        "#]],
    );
}

#[test]
fn the_last_reading_of_another_plc_holds_but_not_longer_than_no_data() {
    chart(
        combined("plc.auto && !plc.door"),
        "
        auto ███████████████████
        door _  _  _       _____",
        expect![[r#"
            0s running
            9s unknown
            14s running
        "#]],
    );
}

#[test]
fn a_failed_read_of_one_point_matters_only_where_the_other_does_not_decide() {
    chart(
        combined("plc.auto && !plc.door"),
        "
        auto ████________████████████
        door ____!!!!!!!!!_____!!!!!!",
        expect![[r#"
            0s running
            4s short_stop (provisional) in a stop since 4s
            4s down in a stop since 4s
            4s press-7/1.1 opened, Unassigned
            13s running
            13s press-7/1.2 closed after 9s
            17s unknown
        "#]],
    );
}

#[test]
fn a_combined_signal_says_nothing_until_its_points_were_read() {
    chart(
        combined("plc.auto || plc.door"),
        "
        auto ____████
        door    _____",
        expect![[r#"
            0s unknown
            3s short_stop (provisional) in a stop since 3s
            4s running
        "#]],
    );
}

#[test]
fn without_a_run_signal_the_state_code_decides_and_names_the_class() {
    let strip = chart(
        by_state(),
        "state 6666555555556666333333336666222222266669999999966",
        expect![[r#"
            0s running
            4s external (provisional) in a stop since 4s
            4s external in a stop since 4s
            4s press-7/1.1 opened, External
            12s running
            12s press-7/1.2 closed after 8s
            16s changeover (provisional) in a stop since 16s
            16s changeover in a stop since 16s
            16s press-7/2.1 opened, Changeover
            24s running
            24s press-7/2.2 closed after 8s
            28s planned_stop (provisional) in a stop since 28s
            28s planned_stop in a stop since 28s
            28s press-7/3.1 opened, Planned
            35s running
            35s press-7/3.2 closed after 7s
            39s short_stop (provisional) in a stop since 39s
            39s down in a stop since 39s
            39s press-7/4.1 opened, Unassigned
            47s running
            47s press-7/4.2 closed after 8s
        "#]],
    );
    let window = strip.window();
    let times = [State::Running, State::External, State::Changeover, State::PlannedStop, State::Down];
    assert_eq!(times.map(|state| window.time_in(state) / 1000), [17, 8, 8, 7, 8]);
}

#[test]
fn beside_a_run_signal_the_state_code_only_names_stops() {
    chart(
        packml(),
        "
        run   ████████________████___███
        state 6666555555555555666655566",
        expect![[r#"
            0s running
            8s external (provisional) in a stop since 8s
            8s external in a stop since 8s
            8s press-7/1.1 opened, External
            16s running
            16s press-7/1.2 closed after 8s
            20s external (provisional) in a stop since 20s
            23s running
        "#]],
    );
}

#[test]
fn a_code_in_no_list_is_said_once_and_its_stop_is_unassigned() {
    chart(
        by_state(),
        "state 6666777777777666688877766",
        expect![[r#"
            0s running
            4s notice state_unmapped
            4s short_stop (provisional) in a stop since 4s
            4s down in a stop since 4s
            4s press-7/1.1 opened, Unassigned
            13s running
            13s press-7/1.2 closed after 9s
            17s notice state_unmapped
            17s short_stop (provisional) in a stop since 17s
            17s down in a stop since 17s
            17s press-7/2.1 opened, Unassigned
            23s running
            23s press-7/2.2 closed after 6s
        "#]],
    );
}

#[test]
fn a_code_that_comes_as_good_as_with_the_stop_names_it_whole() {
    chart(
        packml(),
        "
        run   ████__________███
        state 66666555555555566",
        expect![[r#"
            0s running
            4s short_stop (provisional) in a stop since 4s
            4s external (provisional) in a stop since 4s
            4s external in a stop since 4s
            4s press-7/1.1 opened, External
            14s running
            14s press-7/1.2 closed after 10s
        "#]],
    );
}

#[test]
fn a_state_signal_that_changes_while_it_stands_and_holds_splits_the_stop() {
    let strip = chart(
        packml(),
        "
        run   ████____________________████
        state 6666555555556666999999999966",
        expect![[r#"
            0s running
            4s external (provisional) in a stop since 4s
            4s external in a stop since 4s
            4s press-7/1.1 opened, External
            12s down in a stop since 12s
            12s press-7/1.2 closed after 8s
            12s press-7/2.1 opened, Unassigned
            24s running
            24s press-7/2.2 closed after 12s
        "#]],
    );
    let [first, second] = strip.book.stops.as_slice() else { panic!("two parts") };
    assert_eq!(first.stop_id, second.stop_id);
    assert_eq!((first.downtime_id(), second.split.unwrap().from), (first.stop_id, first.stop_id));
    assert_ne!(second.downtime_id(), first.downtime_id());
    let began = |stop: &stop::Stop| stop.observed.map(|observed| observed.started_at);
    assert_eq!(began(second), began(first));
    let window = strip.window();
    assert_eq!(window.time_in(State::External) + window.time_in(State::Down), 20_000);
}

#[test]
fn a_state_signal_that_does_not_hold_splits_nothing() {
    chart(
        packml(),
        "
        run   ████____________________████
        state 6666555555553333555533335566",
        expect![[r#"
            0s running
            4s external (provisional) in a stop since 4s
            4s external in a stop since 4s
            4s press-7/1.1 opened, External
            24s running
            24s press-7/1.2 closed after 20s
        "#]],
    );
}

#[test]
fn a_first_fault_splits_a_stop_that_was_external_so_far() {
    let strip = chart(
        packml(),
        "
        run   ████__________________████
        state 66665555555555999999996666
        fault 00000000000000222222220000",
        expect![[r#"
            0s running
            4s external (provisional) in a stop since 4s
            4s external in a stop since 4s
            4s press-7/1.1 opened, External
            14s down in a stop since 14s
            14s press-7/1.2 closed after 10s
            14s press-7/2.1 opened, Failure for jam
            22s running
            22s press-7/2.2 closed after 8s for jam
        "#]],
    );
    assert_eq!((strip.window().failures, strip.window().restorations), (1, 1));
}

#[test]
fn a_fault_in_an_external_stop_that_stays_short_splits_nothing() {
    chart(
        packml(),
        "
        run   ████____████
        state 666655556666
        fault 000000220000",
        expect![[r#"
            0s running
            4s external (provisional) in a stop since 4s
            8s running
        "#]],
    );
    chart(
        packml(),
        "
        run   ████_________████
        state 66665555555556666
        fault 00000022222220000",
        expect![[r#"
            0s running
            4s external (provisional) in a stop since 4s
            4s external in a stop since 4s
            4s press-7/1.1 opened, External
            6s down in a stop since 6s
            6s press-7/1.2 closed after 2s
            6s press-7/2.1 opened, Failure for jam
            13s running
            13s press-7/2.2 closed after 7s for jam
        "#]],
    );
}

#[test]
fn a_stop_split_into_failure_external_failure_is_one_failure() {
    let strip = chart(
        packml(),
        "
        run   ████____________________________████
        state 666699999999995555555555555555555566
        fault 000022222200000000000000003333333300",
        expect![[r#"
            0s running
            4s short_stop (provisional) in a stop since 4s
            4s down in a stop since 4s
            4s press-7/1.1 opened, Failure for jam
            14s external in a stop since 14s
            14s press-7/1.2 closed after 10s for jam
            14s press-7/2.1 opened, External
            26s down in a stop since 26s
            26s press-7/2.2 closed after 12s
            26s press-7/3.1 opened, Failure for jam
            32s running
            32s press-7/3.2 closed after 6s for jam
        "#]],
    );
    assert_eq!((strip.window().failures, strip.window().restorations), (1, 1));
}

#[test]
fn a_gap_inside_a_split_stop_belongs_to_its_part() {
    let machine = MachineRules { no_data_ms: Some(2000), ..packml() };
    chart(
        machine,
        "
        run   ████_________!!!!!_________████
        state 6666555555555!!!!!9999999999966",
        expect![[r#"
            0s running
            4s external (provisional) in a stop since 4s
            4s external in a stop since 4s
            4s press-7/1.1 opened, External
            12s unknown in a stop since 4s
            18s external in a stop since 4s
            18s down in a stop since 18s
            18s press-7/1.2 closed after 8s and 6s unknown
            18s press-7/2.1 opened, Unassigned
            27s running
            27s press-7/2.2 closed after 9s
        "#]],
    );
}

fn cell() -> impl Strategy<Value = char> {
    prop_oneof![8 => Just('█'), 6 => Just('_'), 2 => Just('!'), 2 => Just(' ')]
}

pub(in crate::shop) fn run_row() -> impl Strategy<Value = String> {
    prop::collection::vec((cell(), 1..9_usize), 1..40)
        .prop_map(|runs| runs.into_iter().flat_map(|(cell, n)| std::iter::repeat_n(cell, n)).collect())
}

fn code_row() -> impl Strategy<Value = String> {
    let code = prop_oneof![6 => Just('6'), 4 => Just('5'), 3 => Just('9'), 2 => Just('3'), 1 => Just('2'), 1 => Just('7'), 1 => Just('!'), 1 => Just(' ')];
    prop::collection::vec((code, 1..12_usize), 1..40)
        .prop_map(|runs| runs.into_iter().flat_map(|(cell, n)| std::iter::repeat_n(cell, n)).collect())
}

/// What must hold of every book: times add up, the parts of a stop join, nothing overlaps, numbers have no gap.
fn is_sound(strip: &Strip, short_stop_ms: i64) -> Result<(), TestCaseError> {
    let window = strip.window();
    prop_assert_eq!(window.time_ms.iter().sum::<i64>(), window.calendar_ms);
    let mut end = Stamp::MIN;
    for (index, stop) in strip.book.stops.iter().enumerate() {
        prop_assert!(stop.started_at >= end);
        end = stop.ended_at.unwrap_or(Stamp::MAX);
        if stop.ended_at.is_some() && stop.counts_in != stop::CountsIn::None {
            prop_assert_eq!(end.since(stop.started_at), stop.duration_ms + stop.unknown_ms);
        }
        let shares: i64 = stop.shares.iter().map(|share| share.duration_ms).sum();
        prop_assert_eq!(shares, stop.duration_ms);
        if let Some(split) = stop.split {
            let first = &strip.book.stops[index - 1];
            prop_assert_eq!((first.stop_id, first.ended_at), (stop.stop_id, Some(stop.started_at)));
            prop_assert_eq!(split.from, first.downtime_id());
            prop_assert!(first.duration_ms > 0 && first.downtime.is_some() && stop.downtime.is_some());
        }
    }
    let mut whole: BTreeMap<_, (i64, bool)> = BTreeMap::new();
    for stop in &strip.book.stops {
        let sum = whole.entry(stop.stop_id).or_default();
        *sum = (sum.0 + stop.duration_ms, stop.downtime.is_some());
    }
    // What turned out to be no stop at all has no duration.
    let voids: Vec<_> = strip.book.stops.iter().filter(|stop| stop.counts_in == stop::CountsIn::None).collect();
    whole.retain(|id, _| voids.iter().all(|stop| stop.stop_id != *id));
    for (duration_ms, is_downtime) in whole.values() {
        prop_assert_eq!(*is_downtime, *duration_ms >= short_stop_ms, "{} ms", duration_ms);
    }
    let mut numbers: Vec<u64> = strip.book.stops.iter().filter_map(|stop| stop.downtime).map(|at| at.number).collect();
    numbers.sort_unstable();
    prop_assert_eq!(&numbers, &(1..=numbers.len() as u64).collect::<Vec<_>>(), "gap-free numbers");
    let mut ids: Vec<_> = strip.book.stops.iter().map(|stop| stop.downtime_id()).collect();
    ids.sort_unstable();
    ids.dedup();
    prop_assert_eq!(ids.len(), strip.book.stops.len(), "ids are unique");
    Ok(())
}

fn fault_row() -> impl Strategy<Value = String> {
    let code = prop_oneof![8 => Just('0'), 1 => Just('2'), 1 => Just('5'), 1 => Just('6'), 1 => Just('4')];
    prop::collection::vec((code, 1..9_usize), 20)
        .prop_map(|runs| runs.into_iter().flat_map(|(cell, n)| std::iter::repeat_n(cell, n)).collect())
}

proptest! {
    #[test]
    fn the_parts_of_split_stops_are_exact(codes in code_row(), run in run_row(), faults in fault_row(), debounce in 0..3_i64, off in any::<bool>(), wired in any::<bool>()) {
        let machine = MachineRules {
            debounce_ms: debounce * 1000,
            no_data_ms: if off { None } else { Some(3000) },
            ..if wired { packml() } else { by_state() }
        };
        let run = if wired { format!("run   {run}█\n") } else { String::new() };
        let strip = Strip::new(machine, &format!("{run}state {codes}6\nfault {faults}0")).play();
        is_sound(&strip, 5000)?;
        let mut known = Known::default();
        for told in &strip.told {
            let read_back: Told = serde_json::from_str(&serde_json::to_string(told).unwrap()).unwrap();
            known.apply(&read_back);
        }
        prop_assert_eq!(&known, strip.shop.known());
    }

    #[test]
    fn ticks_split_nothing_that_looks_would_not(codes in code_row(), run in run_row(), faults in fault_row(), off in any::<bool>(), steps in prop::collection::vec(1..900_i64, 200)) {
        let machine = MachineRules { no_data_ms: if off { None } else { Some(3000) }, ..packml() };
        let chart = format!("run   {run}█\nstate {codes}6\nfault {faults}0");
        let calm = Strip::new(machine.clone(), &chart).play();
        let mut strip = Strip::new(machine, &chart);
        for second in 0..strip.length() - 1 {
            strip.play_until(second + 1);
            let at = START.plus(i64::try_from(second).unwrap() * 1000 + steps[second % 200]);
            let turn = strip.shop.turn(Input::Tick, at);
            strip.tell(turn);
        }
        let strip = strip.play();
        prop_assert_eq!(strip.words(), calm.words());
    }

    #[test]
    fn a_crash_at_any_second_changes_no_split_and_no_combined_signal(codes in code_row(), run in run_row(), auto in run_row(), faults in fault_row(), cut in 1..120_usize) {
        let machine = MachineRules { state: packml().state, ..combined("plc.auto && !plc.door || plc.auto && plc.door == 1") };
        let chart = format!("auto  {auto}█\ndoor  {run}_\nstate {codes}6\nfault {faults}0");
        let calm = Strip::new(machine.clone(), &chart).play();
        let mut strip = Strip::new(machine, &chart);
        strip.play_until(cut.min(strip.length() - 1));
        let mut known = Known::default();
        strip.told.iter().for_each(|told| known.apply(told));
        let marks: Marks = serde_json::from_str(&serde_json::to_string(&strip.shop.marks()).unwrap()).unwrap();
        strip.shop = Shop::open(strip.shop.rules().clone(), known, &marks);
        let strip = strip.play();
        is_sound(&strip, 5000)?;
        prop_assert_eq!(strip.words(), calm.words());
        prop_assert_eq!(&strip.book.stops, &calm.book.stops);
    }

    #[test]
    fn state_times_add_up_and_no_stop_overlaps(row in run_row(), debounce in 0..3_i64, off in any::<bool>()) {
        let machine = MachineRules {
            debounce_ms: debounce * 1000,
            no_data_ms: if off { None } else { Some(3000) },
            ..press()
        };
        let strip = Strip::new(machine, &format!("run {row}█")).play();
        let window = strip.window();
        prop_assert_eq!(window.from, START);
        prop_assert_eq!(window.time_ms.iter().sum::<i64>(), window.calendar_ms);
        let mut end = Stamp::MIN;
        for stop in &strip.book.stops {
            prop_assert!(stop.started_at >= end);
            end = stop.ended_at.unwrap_or(Stamp::MAX);
            prop_assert!(end >= stop.started_at);
            if stop.ended_at.is_some() {
                prop_assert_eq!(end.since(stop.started_at), stop.duration_ms + stop.unknown_ms);
                prop_assert_eq!(stop.downtime.is_some(), stop.duration_ms >= 5000);
            }
            let shares: i64 = stop.shares.iter().map(|share| share.duration_ms).sum();
            prop_assert_eq!(shares, stop.duration_ms);
        }
        let numbers: Vec<u64> = strip.book.stops.iter().filter_map(|stop| stop.downtime).map(|downtime| downtime.number).collect();
        prop_assert_eq!(&numbers, &(1..=numbers.len() as u64).collect::<Vec<_>>(), "gap-free numbers");
        let down: i64 = window.downtimes.iter().map(|share| share.duration_ms).sum();
        prop_assert_eq!(down, window.time_in(State::Down));
    }

    #[test]
    fn the_fold_of_the_events_is_what_the_shop_knows(row in run_row()) {
        let strip = Strip::new(press(), &format!("run {row}█")).play();
        let mut known = Known::default();
        for told in &strip.told {
            let read_back: Told = serde_json::from_str(&serde_json::to_string(told).unwrap()).unwrap();
            prop_assert_eq!(&read_back, told);
            known.apply(&read_back);
        }
        prop_assert_eq!(&known, strip.shop.known());
        let snapshot: Known = serde_json::from_str(&serde_json::to_string(&known).unwrap()).unwrap();
        prop_assert_eq!(snapshot, known);
    }

    #[test]
    fn ticks_between_the_looks_change_nothing(row in run_row(), steps in prop::collection::vec(1..900_i64, 200)) {
        let calm = Strip::new(press(), &format!("run {row}█")).play();
        let mut strip = Strip::new(press(), &format!("run {row}█"));
        let last = strip.length() - 1;
        for second in 0..last {
            strip.play_until(second + 1);
            let at = START.plus(i64::try_from(second).unwrap() * 1000 + steps[second % 200]);
            let turn = strip.shop.turn(Input::Tick, at);
            strip.tell(turn);
        }
        let strip = strip.play();
        prop_assert_eq!(strip.words(), calm.words());
    }

    #[test]
    fn a_crash_at_any_second_changes_no_stop_and_loses_no_part(row in run_row(), parts in prop::collection::vec(0..3_u8, 60), cut in 1..60_usize) {
        let total: String = row.chars().zip(parts.iter().cycle()).map(|(cell, n)| if cell == '█' { char::from(b'0' + n) } else if cell == '_' { '0' } else { cell }).collect();
        let chart = format!("run    {row}█\ntotal  {total}0\nreject 0");
        let calm = Strip::new(press(), &chart).play();
        let mut strip = Strip::new(press(), &chart);
        let cut = cut.min(strip.length() - 1);
        strip.play_until(cut);
        let mut known = Known::default();
        strip.told.iter().for_each(|told| known.apply(told));
        let marks: Marks = serde_json::from_str(&serde_json::to_string(&strip.shop.marks()).unwrap()).unwrap();
        strip.shop = Shop::open(strip.shop.rules().clone(), known, &marks);
        let strip = strip.play();
        let (after, before) = (strip.window(), calm.window());
        prop_assert_eq!(after.counts.total, before.counts.total);
        prop_assert_eq!(after.time_ms, before.time_ms);
        let stops = |strip: &Strip| -> Vec<_> {
            strip.book.stops.iter().map(|stop| (stop.stop_id, stop.started_at, stop.ended_at, stop.downtime)).collect()
        };
        prop_assert_eq!(stops(&strip), stops(&calm));
        prop_assert_eq!(after.counts.outside_total, before.counts.outside_total);
    }
}

mod cycle;
mod learned;
