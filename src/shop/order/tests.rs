//! Orders on strip charts: what commands make of them in time and afterwards, and who decides where a PLC names one.

use super::*;
use crate::{
    event::{
        command::{Reply, Scrap, Verdict, Wish as Asked},
        operator, part,
        stop::{Class, State as MachineState},
    },
    shop::{
        Input,
        rules::ProcessRule,
        tests::{HEAT, ORDER, START, Strip, press},
    },
    signal::{Bad, Observation, Reading, Value},
};
use proptest::prelude::*;
use uuid::Uuid;

/// One counter, of all parts.
fn single() -> MachineRules {
    let mut machine = press();
    machine.counters.reject = None;
    machine
}

fn at(second: i64) -> Stamp {
    START.plus(second * 1000)
}

fn wish(what: What, order: &str) -> Wish {
    Wish { what, order: order.to_owned(), says: Says::default(), is_switch: false }
}

fn with(wish: Wish, says: Says) -> Wish {
    Wish { says, ..wish }
}

fn product(product: &str) -> Says {
    Says { product: Some(product.to_owned()), ideal: crate::event::Ideal::new(500, 1), ..Says::default() }
}

fn switch(wish: Wish) -> Wish {
    Wish { is_switch: true, ..wish }
}

/// Asks when `now` seconds have been played, for what is to hold from `since` on.
fn ask(strip: &mut Strip, now: i64, since: i64, asked: Asked) -> Reply {
    strip.play_until(usize::try_from(now).unwrap());
    let command = Command {
        command_id: format!("c-{}", strip.told.len()),
        by: "mes".to_owned(),
        comment: None,
        at: at(since),
        wish: asked,
    };
    let turn = strip.shop.turn(Input::Command { machine: Some("press-7"), command: &command, past: None }, at(now));
    let reply = turn.reply.clone().unwrap();
    strip.tell(turn);
    reply
}

fn order(strip: &mut Strip, now: i64, since: i64, wish: Wish) -> String {
    code(&ask(strip, now, since, Asked::Order(wish)))
}

fn code(reply: &Reply) -> String {
    match &reply.verdict {
        Verdict::Accepted(_) => "accepted".to_owned(),
        Verdict::Stale(_) => "stale".to_owned(),
        Verdict::Refused(refusal) => refusal.code.clone(),
    }
}

fn text(reply: &Reply) -> String {
    match &reply.verdict {
        Verdict::Refused(refusal) => refusal.text.clone(),
        other => format!("{other:?}"),
    }
}

fn job<'a>(strip: &'a Strip, number: &str) -> &'a Job {
    &strip.shop.known().machines["press-7"].orders[number]
}

fn orders(strip: &Strip) -> Vec<&order::Event> {
    strip
        .told
        .iter()
        .filter_map(|told| if let Event::Order(order) = &told.event { Some(&**order) } else { None })
        .collect()
}

fn changes(strip: &Strip) -> Vec<(String, Change, i64)> {
    let of = |order: &&order::Event| (order.job.number().to_owned(), order.change, order.at.since(START) / 1000);
    orders(strip).iter().map(of).collect()
}

fn spans(job: &Job) -> Vec<(i64, Option<i64>)> {
    let second = |at: Stamp| at.since(START) / 1000;
    job.spans.iter().map(|span| (second(span.from), span.to.map(second))).collect()
}

fn last<'a>(strip: &'a Strip, number: &str) -> &'a order::Event {
    orders(strip).into_iter().rfind(|order| order.job.number() == number).unwrap()
}

fn counts(order: &order::Event) -> Counts {
    order.window.as_ref().map(|window| window.counts).unwrap_or_default()
}

const LONG: &str = "run   ████████████████████████████████████████
                    total 0111111111111111111111111111111111111111";

#[test]
fn an_order_is_stored_started_paused_resumed_and_stopped() {
    let mut strip = Strip::new(single(), LONG);
    let says = Says { quantity: Some(100), lot: Some("L-9".to_owned()), ..product("cap-28") };
    assert_eq!(order(&mut strip, 2, 2, with(wish(What::Store, "A-1"), says)), "accepted");
    assert_eq!(job(&strip, "A-1").state, State::NotAllowedToStart);
    assert_eq!(order(&mut strip, 5, 5, wish(What::Start, "A-1")), "accepted");
    assert_eq!(order(&mut strip, 15, 15, wish(What::Pause, "A-1")), "accepted");
    assert_eq!(job(&strip, "A-1").state, State::Interrupted);
    assert_eq!(order(&mut strip, 20, 20, wish(What::Resume, "A-1")), "accepted");
    assert_eq!(order(&mut strip, 30, 30, wish(What::Stop, "A-1")), "accepted");
    let told: Vec<_> = changes(&strip).into_iter().map(|(_, change, at)| (change, at)).collect();
    let expected =
        [(Change::Stored, 2), (Change::Started, 5), (Change::Paused, 15), (Change::Resumed, 20), (Change::Ended, 30)];
    assert_eq!(told, expected);
    let ended = last(&strip, "A-1");
    assert_eq!((ended.job.state, ended.job.revision, ended.job.is_final), (State::Ended, 5, true));
    let window = ended.window.as_ref().unwrap();
    assert_eq!((window.calendar_ms, window.counts.total), (20_000, 20), "without its pause");
    assert_eq!(window.kpi.performance, Some(0.5), "by the ideal of the order");
    assert_eq!(spans(&ended.job), [(5, Some(15)), (20, Some(30))]);
    let strip = strip.play();
    assert_eq!(strip.book, strip.shop.known().machines["press-7"].book, "the fold of what was told");
}

#[test]
fn what_the_state_does_not_allow_is_refused_with_what_it_does() {
    let mut strip = Strip::new(single(), LONG);
    let reply = ask(&mut strip, 2, 2, Asked::Order(wish(What::Start, "A-1")));
    assert_eq!(code(&reply), "unknown_order");
    order(&mut strip, 3, 3, wish(What::Store, "A-1"));
    for what in [What::Pause, What::Resume, What::Stop, What::RevokeStart, What::Store, What::StoreAndStart] {
        let reply = ask(&mut strip, 4, 4, Asked::Order(wish(what, "A-1")));
        assert_eq!(code(&reply), "illegal_transition", "{what:?}");
        assert!(text(&reply).ends_with("but Start, Cancel, Abort, Update"), "{}", text(&reply));
    }
    order(&mut strip, 5, 5, wish(What::Start, "A-1"));
    for what in [What::Start, What::Resume, What::Cancel, What::RevokeStart] {
        let reply = ask(&mut strip, 6, 6, Asked::Order(wish(what, "A-1")));
        assert_eq!(code(&reply), "illegal_transition", "{what:?}");
        assert!(text(&reply).ends_with("but Pause, Stop, Abort, Update"), "{}", text(&reply));
    }
    order(&mut strip, 7, 7, wish(What::Abort, "A-1"));
    for what in What::ALL.into_iter().filter(|what| *what != What::Update) {
        assert_eq!(order(&mut strip, 8, 8, wish(what, "A-1")), "illegal_transition", "{what:?}");
    }
    let known = strip.shop.known().last_sequence();
    assert_eq!(known, u64::try_from(strip.told.len()).unwrap(), "what was refused told nothing");
    order(&mut strip, 9, 9, wish(What::Store, "A-2"));
    assert_eq!(order(&mut strip, 9, 9, wish(What::Cancel, "A-2")), "accepted");
    assert!(!strip.shop.known().machines["press-7"].orders.contains_key("A-2"));
    assert_eq!(orders(&strip).last().unwrap().change, Change::Cancelled);
}

#[test]
fn one_order_runs_at_a_time_and_a_switch_ends_the_one_before() {
    let mut strip = Strip::new(single(), LONG);
    order(&mut strip, 2, 2, wish(What::StoreAndStart, "A-1"));
    let reply = ask(&mut strip, 5, 5, Asked::Order(wish(What::StoreAndStart, "A-2")));
    assert_eq!(code(&reply), "order_running");
    assert!(text(&reply).contains("A-1 runs"), "{}", text(&reply));
    assert_eq!(order(&mut strip, 10, 10, switch(wish(What::StoreAndStart, "A-2"))), "accepted");
    assert_eq!((job(&strip, "A-1").state, job(&strip, "A-2").state), (State::Ended, State::Running));
    assert_eq!(counts(last(&strip, "A-1")).total, 8);
}

#[test]
fn orders_that_wait_have_a_limit() {
    let mut strip = Strip::new(single(), LONG);
    for n in 0..ORDERS {
        assert_eq!(order(&mut strip, 2, 2, wish(What::Store, &format!("A-{n}"))), "accepted");
    }
    assert_eq!(order(&mut strip, 3, 3, wish(What::Store, "B")), "too_many_orders");
    order(&mut strip, 4, 4, wish(What::Cancel, "A-7"));
    assert_eq!(order(&mut strip, 5, 5, wish(What::Store, "B")), "accepted");
}

#[test]
fn parts_of_an_order_are_counted_by_its_own_parts_per_cycle() {
    let mut strip = Strip::new(single(), LONG);
    let says = Says { parts_per_cycle: Some(4), ..Says::default() };
    order(&mut strip, 10, 10, with(wish(What::StoreAndStart, "A-1"), says));
    order(&mut strip, 15, 15, wish(What::Stop, "A-1"));
    assert_eq!(counts(last(&strip, "A-1")).total, 20);
    assert_eq!(strip.play().window().counts.total, 9 + 20 + 25, "and then by the machine's again");
}

/// Stands from 10 to 30; the PLC counts from 40 on.
fn stood() -> Strip {
    Strip::new(
        single(),
        "run   ██████████____________________██████████████████████████████
         total 011111111100000000000000000000000000000011111111111111111111",
    )
}

#[test]
fn an_order_that_is_started_late_takes_its_parts_times_and_downtimes_with_it() {
    let mut strip = stood();
    order(&mut strip, 2, 2, wish(What::StoreAndStart, "A-1"));
    assert_eq!(order(&mut strip, 55, 20, switch(wish(What::StoreAndStart, "B-1"))), "accepted");
    let strip = strip.play();
    let (a, b) = (last(&strip, "A-1"), last(&strip, "B-1"));
    assert_eq!((spans(&a.job), spans(&b.job)), (vec![(2, Some(20))], vec![(20, None)]));
    assert_eq!((counts(a).total, counts(b).total), (8, 15));
    let stop = strip.book.stops.iter().find(|stop| stop.downtime.is_some()).unwrap();
    let shares: Vec<(Option<&str>, i64)> =
        stop.shares.iter().map(|share| (share.order.as_deref(), share.duration_ms)).collect();
    assert_eq!(shares, [(Some("A-1"), 10_000), (Some("B-1"), 10_000)]);
    let amended = strip.told.iter().filter(|told| {
        matches!(&told.event, Event::Stop(StopEvent::Downtime(downtime)) if downtime.change == StopChange::Amended)
    });
    assert_eq!(amended.count(), 1);
    assert_eq!(strip.book, strip.shop.known().machines["press-7"].book);
}

#[test]
fn an_end_that_was_told_late_is_taken_back_where_it_was() {
    let mut strip = stood();
    order(&mut strip, 2, 2, wish(What::StoreAndStart, "A-1"));
    order(&mut strip, 50, 25, wish(What::Stop, "A-1"));
    assert_eq!(spans(job(&strip, "A-1")), [(2, Some(25))]);
    assert_eq!(order(&mut strip, 51, 26, wish(What::Resume, "A-1")), "illegal_transition");
    assert_eq!(order(&mut strip, 52, 25, wish(What::Resume, "A-1")), "accepted");
    assert_eq!(spans(job(&strip, "A-1")), [(2, None)]);
    assert_eq!(job(&strip, "A-1").state, State::Running);
}

#[test]
fn a_late_start_ends_where_the_next_order_began() {
    let mut strip = stood();
    order(&mut strip, 40, 40, wish(What::StoreAndStart, "C"));
    assert_eq!(order(&mut strip, 45, 15, wish(What::StoreAndStart, "B")), "accepted");
    assert_eq!((spans(job(&strip, "B")), job(&strip, "B").state), (vec![(15, Some(40))], State::Ended));
    assert_eq!((spans(job(&strip, "C")), job(&strip, "C").state), (vec![(40, None)], State::Running));
    assert_eq!(order(&mut strip, 46, 5, wish(What::Start, "C")), "accepted", "it began earlier than was said");
    assert_eq!(spans(job(&strip, "C")), [(5, Some(15)), (40, None)]);
}

#[test]
fn another_product_of_an_order_that_is_over_is_corrected_as_of_its_beginning() {
    let mut strip = stood();
    order(&mut strip, 2, 2, with(wish(What::StoreAndStart, "A-1"), product("cap-28")));
    order(&mut strip, 20, 20, wish(What::Stop, "A-1"));
    let says = Says { product: Some("cap-30".to_owned()), ideal: crate::event::Ideal::new(250, 1), ..Says::default() };
    assert_eq!(order(&mut strip, 50, 2, with(wish(What::Update, "A-1"), says)), "accepted");
    let told = last(&strip, "A-1");
    assert_eq!((told.change, told.job.revision, told.job.state), (Change::Updated, 4, State::Ended));
    assert_eq!(told.window.as_ref().unwrap().ideal_ms(), 8 * 250);
    let stop = strip.book.stops.iter().find(|stop| stop.downtime.is_some()).unwrap();
    assert_eq!((stop.order.as_deref(), stop.product.as_deref()), (Some("A-1"), Some("cap-30")));
}

fn by_plc() -> MachineRules {
    MachineRules { order: Some(ORDER), ..single() }
}

#[test]
fn what_the_plc_shows_takes_the_stored_record_and_no_command_says_otherwise() {
    let mut strip = Strip::new(
        by_plc(),
        "run   ████████████████████████████████████████
         total 0111111111111111111111111111111111111111
         order 0000000000444444444455555555550000000000",
    );
    let says = Says { quantity: Some(10), lot: Some("L-4".to_owned()), ..product("cap-28") };
    order(&mut strip, 1, 1, with(wish(What::Store, "4"), says));
    order(&mut strip, 2, 2, wish(What::StoreAndStart, "X"));
    assert_eq!(job(&strip, "X").state, State::Running, "while the PLC shows none, commands decide");
    strip.play_until(13);
    assert_eq!(job(&strip, "X").state, State::Interrupted);
    let four = last(&strip, "4");
    assert_eq!((four.change, four.job.state, four.job.quantity), (Change::Started, State::Running, Some(10)));
    assert_eq!(four.job.order.product.as_deref(), Some("cap-28"));
    assert_eq!(strip.book.order_at(at(12)).unwrap().lot.as_deref(), Some("L-4"));
    assert_eq!(order(&mut strip, 14, 14, wish(What::Stop, "4")), "plc_decides");
    assert_eq!(order(&mut strip, 14, 14, wish(What::Resume, "X")), "plc_decides");
    assert_eq!(order(&mut strip, 15, 15, wish(What::StoreAndStart, "5")), "accepted");
    assert_eq!(job(&strip, "5").state, State::AllowedToStart, "it waits until the PLC shows it");
    assert_eq!(order(&mut strip, 16, 16, wish(What::RevokeStart, "5")), "accepted");
    strip.play_until(23);
    assert_eq!((job(&strip, "4").state, job(&strip, "5").state), (State::Ended, State::Running));
    assert_eq!(counts(last(&strip, "4")).total, 10);
    strip.play_until(33);
    assert_eq!(job(&strip, "5").state, State::Ended);
    assert_eq!(order(&mut strip, 34, 34, wish(What::Resume, "X")), "accepted");
    // What was keyed in late is corrected by a person.
    assert_eq!(order(&mut strip, 35, 8, switch(wish(What::StoreAndStart, "3"))), "accepted");
    assert_eq!((spans(job(&strip, "X")), spans(job(&strip, "3"))), (vec![(2, Some(8))], vec![(8, Some(10))]));
    let strip = strip.play();
    assert_eq!(strip.book, strip.shop.known().machines["press-7"].book);
}

#[test]
fn what_only_the_plc_names_is_made_anew_each_time() {
    let strip = Strip::new(
        by_plc(),
        "run   ████████████████████████████████████████
         total 0111111111111111111111111111111111111111
         order 0004444444000000044444440000000000000000",
    )
    .play();
    let told: Vec<(Change, u64, i64)> =
        orders(&strip).iter().map(|order| (order.change, order.job.revision, counts(order).total)).collect();
    let expected = [(Change::Started, 1, 0), (Change::Ended, 2, 7), (Change::Started, 3, 0), (Change::Ended, 4, 7)];
    assert_eq!(told, expected, "each revision of a subject is higher than the one before");
    let ran: Vec<bool> = [5, 12, 20, 30].into_iter().map(|second| strip.book.order_at(at(second)).is_some()).collect();
    assert_eq!(ran, [true, false, true, false], "the first time stays its own");
}

#[test]
fn who_is_logged_on_stands_in_downtimes_and_orders() {
    let mut strip = stood();
    let log = |operator: &str, action| Asked::Operator(operator::Wish { operator: operator.to_owned(), action });
    order(&mut strip, 2, 2, wish(What::StoreAndStart, "A-1"));
    assert_eq!(code(&ask(&mut strip, 3, 3, log("P-1", operator::Action::LogOff))), "not_logged_on");
    assert_eq!(code(&ask(&mut strip, 4, 4, log("P-1", operator::Action::LogOn))), "accepted");
    assert_eq!(code(&ask(&mut strip, 5, 5, log("P-1", operator::Action::LogOn))), "logged_on");
    strip.play_until(20);
    let stop = || strip.book.stops.last().unwrap().operator.clone();
    assert_eq!(stop().as_deref(), Some("P-1"));
    // P-2 had taken over before it stopped, and nobody said so.
    assert_eq!(code(&ask(&mut strip, 35, 8, log("P-2", operator::Action::LogOn))), "accepted");
    assert_eq!(code(&ask(&mut strip, 36, 8, log("P-1", operator::Action::LogOff))), "accepted");
    let downtime = strip.book.stops.iter().find(|stop| stop.downtime.is_some()).unwrap();
    assert_eq!(downtime.operator.as_deref(), Some("P-2"));
    order(&mut strip, 50, 50, wish(What::Stop, "A-1"));
    assert_eq!(last(&strip, "A-1").operators, ["P-1", "P-2"]);
    let strip = strip.play();
    assert_eq!(strip.book, strip.shop.known().machines["press-7"].book);
}

fn scrap(quantity: i64, kind: Scrap, order: Option<&str>) -> Asked {
    Asked::Scrap { quantity, kind, code: Some("porous".to_owned()), order: order.map(str::to_owned) }
}

#[test]
fn scrap_belongs_to_its_order_and_what_is_worked_over_to_the_yield() {
    let mut strip = stood();
    order(&mut strip, 2, 2, wish(What::StoreAndStart, "A-1"));
    order(&mut strip, 20, 20, wish(What::Stop, "A-1"));
    order(&mut strip, 40, 40, wish(What::StoreAndStart, "B-1"));
    assert_eq!(code(&ask(&mut strip, 45, 45, scrap(3, Scrap::Scrap, Some("C-1")))), "unknown_order");
    assert_eq!(code(&ask(&mut strip, 45, 45, scrap(9, Scrap::Scrap, Some("A-1")))), "too_many", "it made 8");
    assert_eq!(code(&ask(&mut strip, 45, 45, scrap(3, Scrap::Scrap, Some("A-1")))), "accepted");
    let told = last(&strip, "A-1");
    assert_eq!((told.change, counts(told).good, counts(told).reject), (Change::Updated, 5, 3));
    let moved = strip.told.iter().rev().find_map(|told| match &told.event {
        Event::Part(part::Event::Counted(counted)) => counted.moved.clone(),
        _ => None,
    });
    let moved = moved.unwrap();
    assert_eq!((moved.code.as_deref(), moved.order.as_deref(), moved.quantity), (Some("porous"), Some("A-1"), 3));
    assert_eq!(code(&ask(&mut strip, 46, 46, scrap(4, Scrap::Reworked, Some("A-1")))), "too_many", "3 are scrap");
    assert_eq!(code(&ask(&mut strip, 46, 46, scrap(2, Scrap::Reworked, Some("A-1")))), "accepted");
    let told = last(&strip, "A-1");
    assert_eq!((told.job.reworked, counts(told).good), (2, 5), "quality stays what it was");
    assert_eq!(code(&ask(&mut strip, 47, 47, scrap(-2, Scrap::Reworked, Some("A-1")))), "accepted");
    assert_eq!(code(&ask(&mut strip, 48, 48, scrap(-3, Scrap::Scrap, Some("A-1")))), "accepted");
    assert_eq!((last(&strip, "A-1").job.reworked, counts(last(&strip, "A-1")).good), (0, 8));
    let reply = ask(&mut strip, 59, 59, Asked::Order(wish(What::Stop, "B-1")));
    assert_eq!((code(&reply).as_str(), counts(last(&strip, "B-1")).good), ("accepted", 19));
}

#[test]
fn a_reason_that_is_given_later_tells_the_order_again() {
    let mut strip = stood();
    order(&mut strip, 2, 2, wish(What::StoreAndStart, "A-1"));
    order(&mut strip, 45, 45, wish(What::Stop, "A-1"));
    let before = last(&strip, "A-1").clone();
    let downtime_id = strip.book.stops.iter().find(|stop| stop.downtime.is_some()).unwrap().downtime_id();
    let reason = Asked::Reason { downtime_id, code: Some("jam".to_owned()) };
    assert_eq!(code(&ask(&mut strip, 50, 50, reason)), "accepted");
    let after = last(&strip, "A-1");
    assert_eq!((after.change, after.job.revision), (Change::Updated, before.job.revision + 1));
    assert_eq!((before.window.unwrap().failures, after.window.as_ref().unwrap().failures), (0, 1));
}

fn heated() -> MachineRules {
    MachineRules { process: vec![ProcessRule { name: "heat".to_owned(), point: HEAT, poll_ms: 1000 }], ..single() }
}

#[test]
fn process_values_of_a_lot_are_weighted_by_time_and_a_failed_reading_is_missing_time() {
    let mut strip = Strip::new(heated(), LONG);
    let look = |strip: &mut Strip, second: i64, reading: Reading| {
        strip.play_until(usize::try_from(second).unwrap());
        let observation = Observation { at: at(second), readings: vec![(HEAT, reading)] };
        let turn = strip.shop.turn(Input::Observed(&observation), at(second));
        strip.tell(turn);
    };
    look(&mut strip, 3, Reading::Good(Value::Real(500.0)));
    order(&mut strip, 5, 5, wish(What::StoreAndStart, "A-1"));
    look(&mut strip, 6, Reading::Good(Value::Int(100)));
    look(&mut strip, 8, Reading::Good(Value::Real(200.0)));
    look(&mut strip, 9, Reading::Bad(Bad::Silent));
    look(&mut strip, 11, Reading::Good(Value::Real(130.0)));
    order(&mut strip, 13, 13, wish(What::Stop, "A-1"));
    // 1 s of 500, 2 s of 100, 1 s of 200, 2 s unknown, 2 s of 130.
    let heat = last(&strip, "A-1").values["heat"];
    assert_eq!((heat.samples, heat.ms, heat.missing_ms), (3, 6_000, 2_000));
    assert_eq!((heat.range, heat.mean()), (Some((100.0, 500.0)), Some(1_160.0 / 6.0)));
    look(&mut strip, 20, Reading::Good(Value::Real(1.0)));
    // After the fact: what lay in the time that is booked then.
    order(&mut strip, 30, 13, wish(What::Resume, "A-1"));
    let missing_ms = last(&strip, "A-1").values["heat"].missing_ms;
    assert!(missing_ms > 2_000, "the silence until 20 and after it is missing: {missing_ms}");
}

#[test]
fn a_mark_that_is_older_than_an_event_loses_nothing_after_it() {
    let mut strip = Strip::new(heated(), LONG);
    let look = |strip: &mut Strip, second: i64, value: f64| {
        strip.play_until(usize::try_from(second).unwrap());
        let observation = Observation { at: at(second), readings: vec![(HEAT, Reading::Good(Value::Real(value)))] };
        let turn = strip.shop.turn(Input::Observed(&observation), at(second));
        strip.tell(turn);
    };
    look(&mut strip, 3, 10.0);
    look(&mut strip, 4, 10.0);
    let marks = strip.shop.marks();
    order(&mut strip, 5, 5, wish(What::StoreAndStart, "A-1"));
    let known = serde_json::from_str(&serde_json::to_string(strip.shop.known()).unwrap()).unwrap();
    strip.shop = crate::shop::Shop::open(strip.shop.rules().clone(), known, &marks);
    look(&mut strip, 6, 40.0);
    order(&mut strip, 8, 8, wish(What::Stop, "A-1"));
    let heat = last(&strip, "A-1").values["heat"];
    // 10 until 6, then 40.
    assert_eq!((heat.ms, heat.missing_ms, heat.mean()), (3_000, 0, Some(30.0)));
}

#[test]
fn process_values_survive_a_restart() {
    let mut strip = Strip::new(heated(), LONG);
    let look = |strip: &mut Strip, second: i64, value: f64| {
        strip.play_until(usize::try_from(second).unwrap());
        let observation = Observation { at: at(second), readings: vec![(HEAT, Reading::Good(Value::Real(value)))] };
        let turn = strip.shop.turn(Input::Observed(&observation), at(second));
        strip.tell(turn);
    };
    order(&mut strip, 2, 2, wish(What::StoreAndStart, "A-1"));
    look(&mut strip, 3, 10.0);
    look(&mut strip, 5, 30.0);
    let marks = serde_json::from_str(&serde_json::to_string(&strip.shop.marks()).unwrap()).unwrap();
    let known = serde_json::from_str(&serde_json::to_string(strip.shop.known()).unwrap()).unwrap();
    strip.shop = crate::shop::Shop::open(strip.shop.rules().clone(), known, &marks);
    look(&mut strip, 7, 50.0);
    order(&mut strip, 9, 9, wish(What::Stop, "A-1"));
    let heat = last(&strip, "A-1").values["heat"];
    assert_eq!((heat.samples, heat.mean()), (3, Some(30.0)));
}

/// What people see of a machine's time, but for revisions.
type Picture = (Vec<(String, Vec<Span>)>, Vec<Window>, Vec<Stop>, Vec<crate::books::Assignment>);

fn picture(strip: &Strip) -> Picture {
    let machine = &strip.shop.known().machines["press-7"];
    let seen = strip.shop.machines().next().unwrap();
    let latest = *seen.counts();
    let by = strip.shop.rules().measure(seen.rules, seen.counting(), strip.shop.now(), Some(&latest));
    let jobs: Vec<&Job> = machine.orders.values().filter(|job| !job.spans.is_empty()).collect();
    let plain = |mut window: Window| {
        for share in &mut window.downtimes {
            (share.revision, share.downtime_id) = (0, Uuid::nil());
        }
        window
    };
    let mut windows: Vec<Window> = jobs.iter().filter_map(|job| figures(&machine.book, job, &by)).map(plain).collect();
    windows.extend(window::window(&machine.book, START, strip.shop.now(), &by).map(plain));
    let stops = machine.book.stops.iter().cloned().map(|mut stop| {
        if let Some(downtime) = &mut stop.downtime {
            downtime.revision = 0;
        }
        stop.stop_id = Uuid::nil();
        stop
    });
    let jobs = jobs.iter().map(|job| (job.number().to_owned(), job.spans.clone())).collect();
    (jobs, windows, stops.collect(), machine.book.assignments.clone())
}

/// Piece by piece, so that what differs can be read.
fn same(one: &Picture, other: &Picture) -> Result<(), TestCaseError> {
    prop_assert_eq!(&one.0, &other.0);
    prop_assert_eq!(&one.3, &other.3);
    prop_assert_eq!(one.2.len(), other.2.len());
    for (one, other) in one.2.iter().zip(&other.2) {
        prop_assert_eq!(one, other);
    }
    for (one, other) in one.1.iter().zip(&other.1) {
        prop_assert_eq!(one, other);
    }
    Ok(())
}

/// Runs and stands by turns; each stop is a downtime, and parts come only in the midst of a run.
#[derive(Clone, Debug)]
struct Day {
    runs: Vec<(usize, usize)>,
    commands: Vec<(usize, usize, usize, What, bool)>,
}

fn days() -> impl Strategy<Value = Day> {
    let whats =
        prop::sample::select(vec![What::Start, What::Pause, What::Resume, What::Stop, What::Start, What::Resume]);
    let command = (0..6usize, 0..6usize, 0..3usize, whats, any::<bool>());
    (prop::collection::vec((8..20usize, 9..16usize), 6), prop::collection::vec(command, 1..10))
        .prop_map(|(runs, commands)| Day { runs, commands })
}

impl Day {
    fn strip(&self) -> Strip {
        let (mut run, mut total) = (String::new(), String::new());
        for (index, (runs, stands)) in self.runs.iter().enumerate() {
            run += &"█".repeat(*runs);
            run += &"_".repeat(*stands);
            let parts = if index % 3 == 2 { "0" } else { "1" };
            total += &"0".repeat(4);
            total += &parts.repeat(*runs - 6);
            total += &"0".repeat(2 + *stands);
        }
        run += &"█".repeat(12);
        total += &"0".repeat(12);
        Strip::new(single(), &format!("run   {run}\ntotal {total}"))
    }

    /// When it is asked, in each stop, in the order of time.
    fn asked(&self) -> Vec<(i64, Wish)> {
        let mut begins = 0;
        let mut seconds = Vec::new();
        for (runs, stands) in &self.runs {
            begins += runs;
            seconds.push((begins, *stands));
            begins += stands;
        }
        let mut asked: Vec<(i64, Wish)> = self
            .commands
            .iter()
            .map(|(place, offset, number, what, is_switch)| {
                let (from, stands) = seconds[*place];
                let second = i64::try_from(from + 3 + offset % (stands - 4)).unwrap();
                let wish = Wish { is_switch: *is_switch, ..wish(*what, &format!("A-{number}")) };
                (second, wish)
            })
            .collect();
        asked.sort_by_key(|(second, _)| *second);
        asked.dedup_by_key(|(second, _)| *second);
        asked
    }

    /// Three stored orders of two products, then the commands, each so many seconds late.
    fn play(&self, late: impl Fn(i64) -> i64) -> (Strip, Vec<String>) {
        let mut strip = self.strip();
        for (number, what) in [("A-0", "cap-28"), ("A-1", "cap-30"), ("A-2", "cap-28")] {
            assert_eq!(order(&mut strip, 1, 1, with(wish(What::Store, number), product(what))), "accepted");
        }
        let asked = self.asked();
        let answers = asked.into_iter().map(|(second, wish)| order(&mut strip, late(second).max(second), second, wish));
        let answers = answers.collect();
        let end = strip.length();
        strip.play_until(end);
        (strip, answers)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_command_that_comes_late_gives_the_same_figures_as_one_in_time(day in days(), late in 1..90i64) {
        let (in_time, answers) = day.play(|second| second);
        let length = i64::try_from(in_time.length()).unwrap();
        let (afterwards, late_answers) = day.play(|second| ((second / late + 1) * late).min(length - 2));
        prop_assert_eq!(&answers, &late_answers);
        same(&picture(&in_time), &picture(&afterwards))?;
        let (afterwards, late_answers) = day.play(|_| length - 2);
        prop_assert_eq!(&answers, &late_answers);
        same(&picture(&in_time), &picture(&afterwards))?;
        prop_assert_eq!(&afterwards.book, &afterwards.shop.known().machines["press-7"].book);
    }

    #[test]
    fn a_late_command_and_its_reverse_restore_every_figure(day in days(), place in 0..6usize, number in 0..3usize) {
        let (mut strip, _) = day.play(|second| second);
        let now = i64::try_from(strip.length()).unwrap() - 1;
        let begins: usize = day.runs[..place].iter().map(|(runs, stands)| runs + stands).sum::<usize>() + day.runs[place].0;
        let since = i64::try_from(begins + 4).unwrap();
        let name = format!("A-{number}");
        let before = (picture(&strip), job(&strip, &name).clone());
        let state = before.1.state_at(at(since));
        let is_last = before.1.spans.last().is_some_and(|span| span.to.is_none() && span.from <= at(since));
        let span = before.1.spans.iter().find(|span| span.from <= at(since) && at(since) < span.end()).copied();
        let goes_on = before.1.spans.iter().any(|next| span.is_some_and(|span| next.from > span.from));
        let pair = match state {
            State::Running if is_last => (What::Stop, What::Resume),
            // What it did later is taken along: then more than one command restores it.
            State::Running if goes_on || span.is_some_and(|span| span.to != before.1.ended_at) => return Ok(()),
            State::Interrupted if before.1.spans.iter().any(|next| next.from > at(since)) => return Ok(()),
            State::Running => (What::Pause, What::Resume),
            State::Interrupted => (What::Resume, What::Pause),
            State::NotAllowedToStart | State::AllowedToStart if before.1.began.is_none() => (What::Start, What::Stop),
            _ => return Ok(()),
        };
        let there = order(&mut strip, now, since, wish(pair.0, &name));
        prop_assume!(there == "accepted");
        prop_assert_eq!(order(&mut strip, now, since, wish(pair.1, &name)), "accepted");
        same(&picture(&strip), &before.0)?;
        prop_assert_eq!(&strip.book, &strip.shop.known().machines["press-7"].book);
    }
}

#[test]
fn a_downtime_between_two_products_is_set_up_also_where_the_order_is_told_of_late() {
    let mut strip = stood();
    order(&mut strip, 2, 2, with(wish(What::StoreAndStart, "A-1"), product("cap-28")));
    order(&mut strip, 8, 8, wish(What::Stop, "A-1"));
    order(&mut strip, 50, 20, with(wish(What::StoreAndStart, "B-1"), product("cap-30")));
    let stop = strip.book.stops.iter().find(|stop| stop.downtime.is_some()).unwrap();
    assert_eq!(stop.class, Class::Changeover);
    assert_eq!(strip.play().window().time_in(MachineState::Changeover), 20_000);
}
