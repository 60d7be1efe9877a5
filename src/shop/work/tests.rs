//! The ledger of work on strip charts: each sentence of the time model about requests and work orders is a test.

use super::*;
use crate::{
    event::{
        command::{Reply, Side, Wish},
        stop::Event as StopEvent,
        work::{Link, Order, Report, Times, Words},
    },
    shop::{
        Input, Known, Marks, Rules, Shop,
        rules::{ReasonRule, WorkRules},
        tests::{START, Strip, press, rules, sentence},
    },
};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::sync::Arc;

fn at(second: i64) -> Stamp {
    START.plus(second * 1000)
}

fn long() -> WorkRule {
    WorkRule {
        name: "long".to_owned(),
        class: Some(Class::Failure),
        after_ms: Some(10_000),
        priority: 2,
        ..WorkRule::default()
    }
}

fn often_jammed() -> WorkRule {
    WorkRule { name: "often".to_owned(), times: Some(3), within_ms: 60_000, priority: 3, ..WorkRule::default() }
}

fn plant(requests: Vec<WorkRule>, machines: Vec<MachineRules>) -> Rules {
    let work = WorkRules { requests, reopen_after_ms: 30_000, names_persons: true, ..WorkRules::default() };
    let mut rules = (*rules(press())).clone();
    let planned = ReasonRule {
        code: "service".to_owned(),
        text: "service".to_owned(),
        class: Class::Planned,
        ..rules.reasons[0].clone()
    };
    rules.reasons.push(ReasonRule { faults: Vec::new(), ..planned });
    Rules { machines, work, ..rules }
}

fn strip(requests: Vec<WorkRule>, chart: &str) -> Strip {
    let mut strip = Strip::new(press(), chart);
    strip.shop = Shop::open(Arc::new(plant(requests, vec![press()])), Known::default(), &Marks::default());
    strip
}

/// Two machines on one signal: both stand and run together.
fn two(chart: &str) -> Strip {
    let mut strip = Strip::new(press(), chart);
    let other = MachineRules { id: "press-8".to_owned(), asset: "EQ-10043".to_owned(), ..press() };
    strip.shop = Shop::open(Arc::new(plant(vec![long()], vec![press(), other])), Known::default(), &Marks::default());
    strip
}

/// What was told of work.
fn words(strip: &Strip) -> String {
    let of_work = strip.told.iter().filter(|told| matches!(told.event, Event::Work(_)));
    of_work.map(|told| sentence(&told.event) + "\n").collect()
}

#[allow(clippy::needless_pass_by_value)]
fn told(strip: &Strip, expected: Expect) {
    expected.assert_eq(&words(strip));
}

fn chart(requests: Vec<WorkRule>, chart: &str, expected: Expect) -> Strip {
    let strip = strip(requests, chart).play();
    told(&strip, expected);
    let mut again = Known::default();
    strip.told.iter().for_each(|told| again.apply(told));
    assert_eq!(&again, strip.shop.known(), "what is known is the fold of what was told");
    strip
}

fn ask_as(strip: &mut Strip, machine: &str, id: &str, second: i64, wish: Wish) -> Reply {
    let command = Command { command_id: id.to_owned(), by: "cmms".to_owned(), comment: None, at: at(second), wish };
    let now = strip.shop.now();
    let input = Input::Command { machine: Some(machine), command: &command, past: None };
    let turn = strip.shop.turn(input, now);
    let reply = turn.reply.clone().unwrap();
    strip.tell(turn);
    reply
}

fn ask(strip: &mut Strip, wish: Wish) -> Reply {
    let (id, now) = (format!("c-{}", strip.told.len()), strip.shop.now().since(START) / 1000);
    ask_as(strip, "press-7", &id, now, wish)
}

fn code(reply: &Reply) -> &str {
    match &reply.verdict {
        Verdict::Accepted(_) => "accepted",
        Verdict::Stale(_) => "stale",
        Verdict::Refused(refusal) => &refusal.code,
    }
}

fn requests(strip: &Strip) -> Vec<&Request> {
    strip.shop.known().work.requests.values().collect()
}

fn orders(strip: &Strip) -> Vec<&Order> {
    strip.shop.known().work.orders.values().collect()
}

fn downtimes(strip: &Strip) -> Vec<&Stop> {
    let stops = &strip.shop.known().machines["press-7"].book.stops;
    stops.iter().filter(|stop| stop.downtime.is_some()).collect()
}

fn reason(downtime_id: Uuid, code: &str) -> Wish {
    Wish::Reason { downtime_id, code: Some(code.to_owned()) }
}

fn answer(request_id: Uuid, status: Status) -> Report {
    let work_order = Some("WO-1".to_owned());
    let (downtime_ids, words) = (Vec::new(), Words::default());
    Report { request_id: Some(request_id), downtime_ids, work_order, status, revision: None, words }
}

fn order(request_id: Uuid, status: Status) -> Wish {
    Wish::WorkOrder(Box::new(answer(request_id, status)))
}

/// Ten seconds of run, twenty of a jam, ten of run.
const JAM: &str = "
    run   ██████████____________________██████████
    fault 0000000000222222222222222222220000000000";

/// Three jams of twelve seconds, eight seconds of run between.
const JAMS: &str = "
    run   ████____________████████____________████████____________████████
    fault 0000222222222222000000002222222222220000000022222222222200000000";

#[test]
fn a_rule_fires_once_when_the_number_of_a_downtime_reaches_it_and_follows_it_to_its_end() {
    let strip = chart(
        vec![long()],
        JAM,
        expect![[r#"
            20s request Raised raised 1x: press-7: jam
            31s request Updated raised 1x: press-7: jam
        "#]],
    );
    let request = requests(&strip)[0];
    let stop = downtimes(&strip)[0];
    assert_eq!((request.downtime_ms(), stop.duration_ms), (20_000, 20_000));
    assert_eq!(request.stops[0].downtime, stop.downtime, "of the latest revision");
    assert_eq!((request.lost_parts(), request.is_asset_down()), (Some(20), false));
    let first = strip.told.iter().find_map(|told| match &told.event {
        Event::Work(WorkEvent::Request(asked)) => Some(asked),
        _ => None,
    });
    let first = first.unwrap();
    assert_eq!((first.request.downtime_ms(), first.request.is_asset_down()), (10_000, true));
    expect![[r#"
        Machine press-7 in acme/leipzig/hall-3/line-2, asset EQ-10042
        Problem: jam (jam), fault 2
        Stands since 2026-11-23 06:00:10, 10 s in planned hours by 2026-11-23 06:00:20
        Downtime press-7/1, class failure, shift 2026-11-23
        About 10 parts lost at the ideal rate
        Rule "long": a stop of 10 s, class failure"#]]
    .assert_eq(&first.description);
}

#[test]
fn a_shorter_downtime_another_class_and_a_stop_that_is_none_ask_for_nobody() {
    chart(vec![long()], "run   ████_________████\nfault 00002222222220000", expect![""]);
    chart(vec![long()], "run   ████_______________████\nfault 00005555555555555550000", expect![""]);
    chart(vec![long()], "run   ████_______________████\nfault 00006666666666666660000", expect![""]);
    let all = WorkRule { class: None, ..long() };
    chart(
        vec![all],
        "run   ████_______________████\nfault 00005555555555555550000",
        expect![[r#"
            14s request Raised raised 1x: press-7: starved
            20s request Updated raised 1x: press-7: starved
        "#]],
    );
}

#[test]
fn a_rule_looks_at_its_machines_reasons_and_faults_only() {
    let elsewhere = WorkRule { machines: vec!["press-9".to_owned()], ..long() };
    let starved = WorkRule { reasons: vec!["starved".to_owned()], ..long() };
    let fault = WorkRule { faults: vec![3], ..long() };
    chart(vec![elsewhere, starved, fault.clone()], JAM, expect![""]);
    let fault = WorkRule { faults: vec![2, 3], ..fault };
    assert_eq!(strip(vec![fault], JAM).play().shop.known().work.requests.len(), 1);
}

#[test]
fn while_a_request_is_open_the_same_problem_updates_it_and_another_problem_raises_its_own() {
    let strip = chart(
        vec![long()],
        "run   ████____________████████____________████████____________████████\n\
         fault 0000222222222222000000002222222222220000000077777777777700000000",
        expect![[r#"
            14s request Raised raised 1x: press-7: jam
            17s request Updated raised 1x: press-7: jam
            34s request Updated raised 2x: press-7: jam, 2 times
            37s request Updated raised 2x: press-7: jam, 2 times
            54s request Raised raised 1x: press-7: fault 7
            57s request Updated raised 1x: press-7: fault 7
        "#]],
    );
    let request = requests(&strip)[0];
    assert_eq!((request.downtime_ms(), request.stops.len(), request.revision), (24_000, 2, 4));
    assert_eq!(request.stops[0].id, downtimes(&strip)[0].downtime_id());
}

#[test]
fn it_ends_with_its_work_order_and_the_next_one_is_another_request() {
    for status in [Status::Completed, Status::Closed, Status::Cancelled, Status::Rejected] {
        let mut strip = strip(vec![long()], JAMS);
        strip.play_until(20);
        let id = requests(&strip)[0].request_id;
        assert_eq!(code(&ask(&mut strip, order(id, status))), "accepted");
        strip.play_until(40);
        let statuses: Vec<Status> = requests(&strip).iter().map(|request| request.status).collect();
        assert_eq!(statuses, [status, Status::Raised]);
    }
    for status in [Status::Accepted, Status::Assigned, Status::InProgress, Status::OnHold] {
        let mut strip = strip(vec![long()], JAMS);
        strip.play_until(20);
        let id = requests(&strip)[0].request_id;
        ask(&mut strip, order(id, status));
        strip.play_until(40);
        assert_eq!(requests(&strip).len(), 1, "{status:?}");
    }
}

#[test]
fn a_cmms_that_never_answers_does_not_mute_the_next_breakdown() {
    let runs = |seconds: usize| {
        let (run, rest) = ("█".repeat(seconds), "0".repeat(seconds));
        let chart =
            format!("run   ████____________{run}____________████\nfault 0000222222222222{rest}2222222222220000");
        strip(vec![long()], &chart).play().shop.known().work.requests.len()
    };
    assert_eq!(runs(29), 1, "running for 29 s since");
    assert_eq!(runs(30), 2, "running for 30 s since");
}

#[test]
fn a_rejected_request_is_not_raised_again_for_the_same_stop() {
    let later = WorkRule { name: "very long".to_owned(), after_ms: Some(15_000), ..long() };
    let mut one = strip(vec![long(), later.clone()], JAM);
    one.play_until(22);
    let id = requests(&one)[0].request_id;
    ask(&mut one, order(id, Status::Rejected));
    let one = one.play();
    assert_eq!((requests(&one).len(), requests(&one)[0].rules.len()), (1, 1));
    let other = strip(vec![long(), later], JAM).play();
    assert_eq!((requests(&other).len(), requests(&other)[0].rules.len()), (1, 2), "unanswered, both rules are named");
}

#[test]
fn reclassified_as_planned_before_acceptance_it_is_withdrawn() {
    let mut strip = strip(vec![long()], JAM);
    strip.play_until(22);
    let id = downtimes(&strip)[0].downtime_id();
    assert_eq!(code(&ask(&mut strip, reason(id, "service"))), "accepted");
    told(
        &strip,
        expect![[r#"
            20s request Raised raised 1x: press-7: jam
            21s request Withdrawn withdrawn 1x: press-7: service
        "#]],
    );
    let strip = strip.play();
    assert_eq!(requests(&strip)[0].revision, 2, "nothing is said of it any more");
}

#[test]
fn a_stop_that_turns_out_to_be_none_withdraws_it_and_the_next_reason_asks_again() {
    let mut strip = strip(vec![long()], JAM);
    strip.play_until(22);
    let id = downtimes(&strip)[0].downtime_id();
    ask(&mut strip, reason(id, "sensor"));
    assert_eq!(requests(&strip)[0].status, Status::Withdrawn);
    ask(&mut strip, reason(id, "jam"));
    let mut statuses: Vec<Status> = requests(&strip).iter().map(|one| one.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [Status::Raised, Status::Withdrawn]);
}

#[test]
fn reclassified_after_acceptance_it_is_updated_and_the_cmms_decides() {
    let mut strip = strip(vec![long()], JAM);
    strip.play_until(22);
    let (id, stop) = (requests(&strip)[0].request_id, downtimes(&strip)[0].downtime_id());
    ask(&mut strip, order(id, Status::Accepted));
    ask(&mut strip, reason(stop, "service"));
    let request = requests(&strip)[0];
    assert_eq!((request.status, request.stops[0].class), (Status::Accepted, Class::Planned));
    assert_eq!(strip.play().window().failures, 0, "MTBF drops the failure at once");
}

#[test]
fn a_class_that_becomes_failure_later_asks_only_while_it_matters() {
    let chart = "run ██████████____________________██████████";
    let mut open = strip(vec![long()], chart);
    open.play_until(25);
    let id = downtimes(&open)[0].downtime_id();
    ask(&mut open, reason(id, "jam"));
    assert_eq!(requests(&open).len(), 1, "the downtime is open");
    let mut closed = strip(vec![long()], chart).play();
    assert_eq!(requests(&closed).len(), 0);
    let id = downtimes(&closed)[0].downtime_id();
    ask(&mut closed, reason(id, "jam"));
    assert_eq!(requests(&closed).len(), 1, "its day is not over");
    let mut late = strip(vec![long()], chart).play();
    let id = downtimes(&late)[0].downtime_id();
    let tomorrow = START.plus(18 * 3_600_000 + 1);
    let turn = late.shop.turn(Input::Tick, tomorrow);
    late.tell(turn);
    assert_eq!(code(&ask(&mut late, reason(id, "jam"))), "accepted");
    assert_eq!(requests(&late).len(), 0, "its day is over");
}

#[test]
fn amended_after_its_work_order_was_closed_every_request_on_it_is_updated() {
    let mut strip = strip(vec![long()], JAM).play();
    let (id, stop) = (requests(&strip)[0].request_id, downtimes(&strip)[0].downtime_id());
    ask(&mut strip, order(id, Status::Closed));
    let before = requests(&strip)[0].revision;
    ask(&mut strip, reason(stop, "starved"));
    let request = requests(&strip)[0];
    assert_eq!((request.revision, request.status), (before + 1, Status::Closed));
    assert_eq!(request.stops[0].downtime, downtimes(&strip)[0].downtime);
    assert_eq!(request.problem, Problem::Reason("starved".to_owned()));
}

#[test]
fn times_counts_short_stops_that_bear_the_reason_and_a_cluster_fires_once() {
    let strip = chart(
        vec![often_jammed()],
        "run   ████___████___████___████___████\n\
         fault 00002220000222000022200002220000",
        expect![[r#"
            22s request Raised raised 3x: press-7: jam, 3 times
            29s request Updated raised 4x: press-7: jam, 4 times
        "#]],
    );
    assert_eq!(requests(&strip)[0].downtime(), None, "short stops are no downtimes");
    chart(vec![often_jammed()], "run ████___████___████___████", expect![""]);
}

#[test]
fn a_cluster_that_was_answered_is_not_counted_again() {
    let mut strip = strip(
        vec![often_jammed()],
        "run   ████___████___████___████___████___████___████\n\
         fault 0000222000022200002220000222000022200002220000",
    );
    strip.play_until(24);
    let id = requests(&strip)[0].request_id;
    ask(&mut strip, order(id, Status::Completed));
    strip.play_until(38);
    assert_eq!(requests(&strip).len(), 1, "two since then");
    let strip = strip.play();
    assert_eq!(requests(&strip).len(), 2, "three since then");
    assert_eq!(requests(&strip)[1].occurrences(), 3);
}

#[test]
fn stops_that_lie_further_apart_than_the_span_are_no_cluster() {
    let slow = WorkRule { within_ms: 10_000, ..often_jammed() };
    chart(vec![slow], "run   ████___████___████___████\nfault 0000222000022200002220000", expect![""]);
}

#[test]
fn meters_ask_at_each_multiple_and_once_while_nobody_answers() {
    let service = WorkRule {
        name: "service".to_owned(),
        run_hours: Some(500),
        cycles: Some(1000),
        priority: 4,
        ..WorkRule::default()
    };
    let rules = plant(vec![service], vec![press()]);
    let mut known = Known::default();
    let mut desk = Desk {
        rules: &rules,
        known: &mut known,
        told: Vec::new(),
        is_mark_due: false,
        command_id: None,
        followed: 0,
        unreviewed: std::collections::BTreeMap::new(),
        edges: Vec::new(),
        meters: meter::Meters::default(),
        now: START,
    };
    let at = |hours: i64, cycles: i64| Readings { run_ms: hours * HOUR_MS, cycles };
    for (before, now) in [(at(1, 1), at(499, 999)), (at(499, 999), at(500, 999)), (at(500, 999), at(999, 999))] {
        metered(&mut desk, &rules.machines[0], before, now);
    }
    metered(&mut desk, &rules.machines[0], at(999, 999), at(1000, 2001));
    let words: String = desk.told.iter().map(|told| sentence(&told.event) + "\n").collect();
    expect![[r#"
        0s request Raised raised 1x: press-7: 500 run hours
        0s request Updated raised 2x: press-7: 1000 run hours
        0s request Raised raised 1x: press-7: 2000 cycles
    "#]]
    .assert_eq(&words);
}

#[test]
fn a_meter_that_is_read_asks_for_service_and_a_request_bears_it() {
    let chart = format!("run   {}\ntotal 0{}", "█".repeat(55), "1".repeat(54));
    let service = WorkRule { name: "service".to_owned(), cycles: Some(20), priority: 4, ..WorkRule::default() };
    let mut strip = Strip::new(press(), &chart);
    let rules = Rules { meter_every_ms: Some(10_000), ..plant(vec![service], vec![press()]) };
    strip.shop = Shop::open(Arc::new(rules), Known::default(), &Marks::default());
    let strip = strip.play();
    let requests = requests(&strip);
    let multiples: Vec<Option<i64>> = requests.iter().map(|request| request.multiple).collect();
    assert_eq!((multiples, requests[0].occurrences()), (vec![Some(40)], 2));
    let Meters { run_ms, cycles } = requests[0].meters;
    assert!(run_ms >= Some(40_000) && cycles >= Some(40), "{run_ms:?} {cycles:?}");
    assert!(words(&strip).contains("press-7: 20 cycles"), "{}", words(&strip));
}

#[test]
fn a_person_asks_and_asks_again() {
    let mut strip = strip(vec![long()], JAM);
    strip.play_until(25);
    let call =
        |text: &str, downtime_id| Wish::WorkRequest(Call { text: text.to_owned(), priority: Some(1), downtime_id });
    let stop = downtimes(&strip)[0].downtime_id();
    assert_eq!(code(&ask(&mut strip, call("it smells of smoke", Some(stop)))), "accepted");
    assert_eq!(code(&ask(&mut strip, call("oil on the floor", None))), "accepted");
    assert_eq!(code(&ask(&mut strip, call("oil on the floor", None))), "accepted");
    assert_eq!(code(&ask(&mut strip, call("what", Some(Uuid::nil())))), "unknown_downtime");
    told(
        &strip,
        expect![[r#"
            20s request Raised raised 1x: press-7: jam
            24s request Updated raised 1x: press-7: jam
            24s request Raised raised 1x: press-7: oil on the floor
            24s request Updated raised 2x: press-7: oil on the floor, 2 times
        "#]],
    );
    let known = requests(&strip);
    let of_rule = known.iter().find(|request| request.by.is_none()).unwrap();
    assert_eq!((of_rule.priority, of_rule.remarks.as_slice()), (1, ["it smells of smoke".to_owned()].as_slice()));
}

#[test]
fn a_work_order_lands_on_its_downtime_and_leaves_its_times_alone() {
    let mut strip = strip(vec![long()], JAM);
    strip.play_until(25);
    let id = requests(&strip)[0].request_id;
    let before = downtimes(&strip)[0].clone();
    let words = Words { cause: Some("worn belt".to_owned()), actual_start: Some(at(15)), ..Words::default() };
    let report = Report { words, ..answer(id, Status::InProgress) };
    let reply = ask(&mut strip, Wish::WorkOrder(Box::new(report)));
    assert_eq!(reply.verdict, Verdict::Accepted(Some(Subject { id: id.to_string(), revision: 2 })));
    let stop = downtimes(&strip)[0];
    assert_eq!((stop.from, stop.started_at, stop.ended_at), (before.from, before.started_at, None));
    assert_eq!(stop.downtime.unwrap().revision, before.downtime.unwrap().revision + 1);
    let link = Link {
        id: orders(&strip)[0].id,
        request_id: Some(id),
        work_order: Some("WO-1".to_owned()),
        status: Status::InProgress,
        cause: Some("worn belt".to_owned()),
        remedy: None,
        times: Some(Times { actual_start: Some(at(15)), actual_finish: None, in_progress_at: Some(at(24)) }),
    };
    assert_eq!(stop.work, [link]);
    let last = strip.told.iter().rev().take(3).rev().map(|told| told.event.kind()).collect::<Vec<_>>();
    assert_eq!(last, ["work-order", "downtime", "work-request"]);
    assert!(strip.told.iter().rev().take(3).all(|told| told.command_id.is_some()));
    let Event::Stop(StopEvent::Downtime(told)) = &strip.told[strip.told.len() - 2].event else { panic!("a downtime") };
    assert_eq!((told.change, told.by.as_str()), (StopChange::Updated, "cmms"));
    let mut strip = strip.play();
    assert_eq!(downtimes(&strip)[0].work.len(), 1, "it is borne to the end");
    ask(&mut strip, order(id, Status::Completed));
    let Some(Event::Stop(StopEvent::Downtime(told))) =
        strip.told.iter().rev().map(|told| &told.event).find(|event| event.kind() == "downtime")
    else {
        panic!("a downtime")
    };
    assert_eq!((told.change, told.stop.work[0].status), (StopChange::Amended, Status::Completed));
    assert_eq!((told.stop.duration_ms, told.stop.observed.unwrap().ended_at), (20_000, Some(at(30))));
}

#[test]
fn what_is_older_is_stale_and_takes_nothing_back() {
    let mut strip = strip(vec![long()], JAM).play();
    let id = requests(&strip)[0].request_id;
    let say = |revision, status, cause: Option<&str>, remedy: Option<&str>| {
        let text = |text: &str| text.to_owned();
        let words = Words { cause: cause.map(text), remedy: remedy.map(text), ..Words::default() };
        Wish::WorkOrder(Box::new(Report { revision: Some(revision), words, ..answer(id, status) }))
    };
    assert_eq!(
        code(&ask_as(&mut strip, "press-7", "b", 60, say(3, Status::Completed, Some("belt"), None))),
        "accepted"
    );
    let told = strip.told.len();
    assert_eq!(code(&ask_as(&mut strip, "press-7", "a", 70, say(2, Status::Accepted, Some("motor"), None))), "stale");
    assert_eq!(strip.told.len(), told, "nothing was changed");
    assert_eq!(
        code(&ask_as(&mut strip, "press-7", "c", 50, say(2, Status::InProgress, None, Some("replaced")))),
        "stale"
    );
    let order = orders(&strip)[0];
    assert_eq!((order.status, order.version.revision), (Status::Completed, Some(3)));
    assert_eq!(order.held.cause.as_ref().unwrap().value, "belt");
    assert_eq!(order.held.remedy.as_ref().unwrap().value, "replaced", "what nobody has said later is kept");
    assert_eq!(order.in_progress_at, Some(at(50)));
    let old = Wish::WorkOrder(Box::new(answer(id, Status::Closed)));
    assert_eq!(code(&ask_as(&mut strip, "press-7", "d", 40, old)), "stale", "without a revision the time decides");
}

#[test]
fn several_requests_on_one_downtime_and_one_work_order_for_downtimes_of_two_machines() {
    let mut strip = two(JAM).play();
    let stop_of = |strip: &Strip, machine: &str| strip.shop.known().machines[machine].book.stops[0].clone();
    let (one, other) = (stop_of(&strip, "press-7"), stop_of(&strip, "press-8"));
    let call = Call { text: "door bent".to_owned(), priority: None, downtime_id: None };
    ask(&mut strip, Wish::WorkRequest(call));
    let of = |machine: &str| {
        requests(&strip).iter().find(|one| one.machine == machine && one.by.is_none()).unwrap().request_id
    };
    let ids = [of("press-7"), of("press-8")];
    ask(&mut strip, order(ids[0], Status::InProgress));
    ask(&mut strip, order(ids[1], Status::InProgress));
    let words = Words { actual_start: Some(at(14)), actual_finish: Some(at(20)), ..Words::default() };
    let downtime_ids = vec![one.downtime_id(), other.downtime_id()];
    let report = Report { request_id: None, downtime_ids, words, ..answer(ids[0], Status::Completed) };
    assert_eq!(code(&ask(&mut strip, Wish::WorkOrder(Box::new(report)))), "accepted");
    assert_eq!(orders(&strip).len(), 1);
    assert_eq!((orders(&strip)[0].requests.len(), orders(&strip)[0].downtimes.len()), (2, 2));
    let (one, other) = (stop_of(&strip, "press-7"), stop_of(&strip, "press-8"));
    assert_eq!((one.work[0].request_id, other.work[0].request_id), (Some(ids[0]), Some(ids[1])));
    assert_eq!(one.work[0].times.is_some(), other.work[0].times.is_none(), "one order is one repair");
    let statuses: Vec<Status> = requests(&strip).iter().filter(|one| one.by.is_none()).map(|one| one.status).collect();
    assert_eq!(statuses, [Status::Completed, Status::Completed]);
}

#[test]
fn the_number_of_a_work_order_may_come_later_or_never() {
    let mut strip = strip(vec![long()], JAM).play();
    let id = requests(&strip)[0].request_id;
    let unnamed = |status| Wish::WorkOrder(Box::new(Report { work_order: None, ..answer(id, status) }));
    ask(&mut strip, unnamed(Status::Accepted));
    ask(&mut strip, order(id, Status::Assigned));
    ask(&mut strip, unnamed(Status::InProgress));
    assert_eq!(orders(&strip).len(), 1);
    assert_eq!((orders(&strip)[0].work_order.as_deref(), orders(&strip)[0].status), (Some("WO-1"), Status::InProgress));
    let by_number = Report { request_id: None, ..answer(id, Status::Completed) };
    assert_eq!(code(&ask(&mut strip, Wish::WorkOrder(Box::new(by_number.clone())))), "accepted");
    let unheard = Report { work_order: Some("WO-9".to_owned()), ..by_number };
    assert_eq!(code(&ask(&mut strip, Wish::WorkOrder(Box::new(unheard)))), "unknown_work_order");
    assert_eq!(code(&ask(&mut strip, order(Uuid::nil(), Status::Completed))), "unknown_request");
}

#[test]
fn who_did_it_is_not_kept_where_persons_have_no_names() {
    let mut strip = strip(vec![long()], JAM);
    let mut quiet = plant(vec![long()], vec![press()]);
    quiet.work.names_persons = false;
    strip.shop = Shop::open(Arc::new(quiet), Known::default(), &Marks::default());
    let mut strip = strip.play();
    let id = requests(&strip)[0].request_id;
    let words = Words { technician: Some("E. Weber".to_owned()), labour_ms: Some(5), ..Words::default() };
    ask(&mut strip, Wish::WorkOrder(Box::new(Report { words, ..answer(id, Status::Completed) })));
    let held = &orders(&strip)[0].held;
    assert_eq!((held.technician.is_none(), held.labour_ms.is_some()), (true, true));
    assert!(!serde_json::to_string(&strip.told).unwrap().contains("Weber"));
}

fn cut(downtime_id: Uuid, codes: [Option<&str>; 2], work_to: Option<Side>) -> Wish {
    let [code, code_after] = codes.map(|code| code.map(str::to_owned));
    Wish::Split { downtime_id, at: at(20), code, code_after, work_to }
}

#[test]
fn on_a_split_work_goes_with_the_failure_or_where_it_is_sent_and_a_merge_brings_it_back() {
    use Side::{First, Second};
    let sides = [
        ([None, None], None, First),
        ([Some("starved"), None], None, Second),
        ([Some("starved"), Some("jam")], None, Second),
        ([Some("service"), Some("jam")], None, Second),
        ([Some("service"), Some("starved")], None, First),
        ([None, None], Some(Second), Second),
        ([Some("starved"), Some("jam")], Some(First), First),
    ];
    for (codes, work_to, side) in sides {
        let mut strip = strip(vec![long()], JAM).play();
        let (id, first) = (requests(&strip)[0].request_id, downtimes(&strip)[0].downtime_id());
        ask(&mut strip, order(id, Status::InProgress));
        let work = downtimes(&strip)[0].work.clone();
        assert_eq!(code(&ask(&mut strip, cut(first, codes, work_to))), "accepted");
        let name = format!("{codes:?} {work_to:?}");
        let [one, other] = [0, 1].map(|index| downtimes(&strip)[index].clone());
        let (with, without) = if side == First { (&one, &other) } else { (&other, &one) };
        assert_eq!((&with.work, without.work.len()), (&work, 0), "{name}");
        let request = requests(&strip)[0];
        assert_eq!(request.stops.iter().map(|stop| stop.id).collect::<Vec<_>>(), [with.downtime_id()], "{name}");
        assert_eq!(request.stops[0].downtime, with.downtime, "{name}");
        assert_eq!(orders(&strip)[0].downtimes[0].downtime_id, with.downtime_id(), "{name}");
        let merge = Wish::Merge { downtime_id: first, with: other.downtime_id() };
        assert_eq!(code(&ask(&mut strip, merge)), "accepted");
        assert_eq!(downtimes(&strip)[0].work, work, "{name}");
        assert_eq!(requests(&strip)[0].stops[0].id, first, "{name}");
        assert_eq!(orders(&strip)[0].downtimes[0].downtime_id, first, "{name}");
        ask(&mut strip, order(id, Status::Completed));
        assert_eq!(downtimes(&strip)[0].work[0].status, Status::Completed, "{name}");
    }
}

#[test]
fn a_request_that_is_open_is_withdrawn_for_no_part_of_a_split_that_is_still_a_failure() {
    let mut strip = strip(vec![long()], JAM).play();
    let first = downtimes(&strip)[0].downtime_id();
    ask(&mut strip, cut(first, [Some("service"), Some("jam")], None));
    assert_eq!(requests(&strip)[0].status, Status::Raised);
    assert_eq!(requests(&strip)[0].stops[0].id, downtimes(&strip)[1].downtime_id());
}

#[test]
fn response_and_repair_stand_in_the_window_once_for_each_work_order() {
    let mut strip = two(JAM).play();
    let ids: Vec<Uuid> =
        strip.shop.known().machines.values().map(|machine| machine.book.stops[0].downtime_id()).collect();
    assert_eq!(strip.window().kpi.response_ms, None);
    let report = |status, words| {
        let (request_id, downtime_ids, work_order) = (None, ids.clone(), Some("WO-1".to_owned()));
        Wish::WorkOrder(Box::new(Report { request_id, downtime_ids, work_order, status, revision: None, words }))
    };
    ask_as(&mut strip, "press-8", "a", 14, report(Status::InProgress, Words::default()));
    let words = Words { actual_start: Some(at(16)), actual_finish: Some(at(28)), ..Words::default() };
    ask_as(&mut strip, "press-8", "b", 35, report(Status::Completed, words));
    let machines: Vec<_> = strip
        .shop
        .machines()
        .map(|machine| {
            let by = strip.shop.rules().measure(machine.rules, machine.counting(), at(40), None);
            crate::books::window::window(&machine.known.unwrap().book, START, at(40), &by).unwrap()
        })
        .collect();
    let sums = |of: fn(&crate::event::window::Window) -> i64| machines.iter().map(of).sum::<i64>();
    assert_eq!((sums(|of| of.repairs), sums(|of| of.repair_ms)), (1, 12_000));
    assert_eq!((sums(|of| of.responses), sums(|of| of.response_ms)), (1, 4_000));
    let all = crate::books::window::sum(&machines, crate::books::Convention::OeeCom).unwrap();
    assert_eq!((all.kpi.mttr_repair_ms, all.kpi.response_ms), (Some(12_000), Some(4_000)));
    assert!(all.flags.iter().all(|flag| flag != "clock_skew"));
}

#[test]
fn a_clock_that_goes_wrong_elsewhere_is_left_out_and_flagged() {
    let mut strip = strip(vec![long()], JAM).play();
    let id = requests(&strip)[0].request_id;
    let words = Words { actual_start: Some(at(28)), actual_finish: Some(at(16)), ..Words::default() };
    let early = Report { words, ..answer(id, Status::InProgress) };
    ask_as(&mut strip, "press-7", "a", 5, Wish::WorkOrder(Box::new(early)));
    let machine = strip.shop.machines().next().unwrap();
    let by = strip.shop.rules().measure(machine.rules, machine.counting(), at(40), None);
    let window = crate::books::window::window(&machine.known.unwrap().book, START, at(40), &by).unwrap();
    assert_eq!((window.repairs, window.responses, window.kpi.response_ms), (0, 0, None));
    assert!(window.flags.iter().any(|flag| flag == "clock_skew"));
}

#[test]
fn a_title_fits_a_short_text_and_says_how_often() {
    let mut strip = strip(vec![long()], JAM);
    strip.play_until(25);
    let mut request = requests(&strip)[0].clone();
    request.text = "Feeder at the infeed conveyor\n jammed by loose caps".to_owned();
    assert_eq!(text::title(&request), "press-7: Feeder at the infeed conveyor…");
    request.more = 3;
    assert_eq!(text::title(&request), "press-7: Feeder at the infeed…, 4 times");
    assert!(text::title(&request).chars().count() <= 40);
}

/// All that was said of work, without what the order of arrival leaves its mark on.
fn record(strip: &Strip) -> Vec<String> {
    let known = strip.shop.known();
    let orders = known.work.orders.values().map(|order| {
        let Order { status, work_order, version, held, in_progress_at, requests, downtimes, .. } = order;
        format!("{status:?} {work_order:?} {version:?} {held:?} {in_progress_at:?} {requests:?} {downtimes:?}")
    });
    let requests = known.work.requests.values().map(|request| {
        let stops = request.stops.iter().map(|stop| (stop.id, stop.duration_ms, stop.class)).collect::<Vec<_>>();
        format!("{} {:?} {:?} {stops:?} {}", request.request_id, request.status, request.problem, request.occurrences())
    });
    let links = known.machines.values().flat_map(|machine| &machine.book.stops).map(|stop| {
        let work = stop.work.iter().map(|link| Link { id: Uuid::nil(), ..link.clone() }).collect::<Vec<_>>();
        format!("{} {:?} {work:?}", stop.downtime_id(), stop.class)
    });
    let mut record: Vec<String> = orders.chain(requests).chain(links).collect();
    record.sort();
    record
}

#[derive(Clone, Debug)]
struct Word {
    number: u8,
    about: u8,
    status: u8,
    at: i64,
    start: Option<i64>,
    cause: Option<u8>,
}

fn word() -> impl Strategy<Value = Word> {
    let words = (0..2_u8, 0..3_u8, 0..8_u8, 0..60_i64, proptest::option::of(0..60_i64), proptest::option::of(0..3_u8));
    words.prop_map(|(number, about, status, at, start, cause)| Word { number, about, status, at, start, cause })
}

const STATUSES: [Status; 8] = [
    Status::Accepted,
    Status::Rejected,
    Status::Assigned,
    Status::InProgress,
    Status::OnHold,
    Status::Completed,
    Status::Closed,
    Status::Cancelled,
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Stops, reclassifications, then work orders: told once in order, or twice and in any order, they end in one record.
    #[test]
    fn work_orders_in_any_order_and_twice_end_in_the_same_record(
        lengths in proptest::collection::vec((3..9_usize, 3..20_usize, 0..4_usize), 1..5),
        reasons in proptest::collection::vec((0..4_usize, 0..4_usize), 0..4),
        said in proptest::collection::vec(word(), 1..10),
        (is_revised, shuffle) in (any::<bool>(), proptest::collection::vec(any::<u32>(), 20)),
    ) {
        let (mut run, mut fault) = ("run   ████".to_owned(), "fault 0000".to_owned());
        for (gone, stood, code) in lengths {
            run += &("_".repeat(stood) + &"█".repeat(gone));
            fault += &(["0", "2", "5", "7"][code].repeat(stood) + &"0".repeat(gone));
        }
        let begin = || {
            let mut strip = strip(vec![long(), often_jammed()], &format!("{run}\n{fault}")).play();
            for (index, code) in &reasons {
                let ids: Vec<Uuid> = downtimes(&strip).iter().map(|stop| stop.downtime_id()).collect();
                if let Some(id) = ids.get(*index) {
                    ask(&mut strip, reason(*id, ["jam", "starved", "service", "sensor"][*code]));
                }
            }
            strip
        };
        let tell = |strip: &mut Strip, index: usize, word: &Word| {
            let ids: Vec<Uuid> = downtimes(strip).iter().map(|stop| stop.downtime_id()).collect();
            let asked: Vec<Uuid> = requests(strip).iter().map(|request| request.request_id).collect();
            if ids.is_empty() {
                return;
            }
            let place = usize::from(word.about) % ids.len();
            let words = Words {
                actual_start: word.start.map(at),
                cause: word.cause.map(|cause| format!("cause {cause}")),
                ..Words::default()
            };
            let report = Report {
                request_id: asked.get(place).copied(),
                downtime_ids: ids.get(place).copied().into_iter().collect(),
                work_order: Some(format!("WO-{}", word.number)),
                status: STATUSES[usize::from(word.status)],
                revision: is_revised.then(|| i64::try_from(index).unwrap()),
                words,
            };
            let reply = ask_as(strip, "press-7", &format!("w-{index}"), word.at * 20 + i64::try_from(index).unwrap(), Wish::WorkOrder(Box::new(report)));
            assert!(["accepted", "stale"].contains(&code(&reply)), "{reply:?}");
        };
        let mut first = begin();
        said.iter().enumerate().for_each(|(index, word)| tell(&mut first, index, word));
        let mut places: Vec<usize> = (0..said.len()).chain(0..said.len()).collect();
        places.sort_by_key(|place| shuffle[*place]);
        let half = places.len() / 2;
        places[half..].reverse();
        let mut second = begin();
        places.iter().for_each(|place| tell(&mut second, *place, &said[*place]));
        prop_assert_eq!(record(&first), record(&second));
        let mut again = Known::default();
        second.told.iter().for_each(|told| again.apply(told));
        prop_assert_eq!(&again, second.shop.known(), "what is known is the fold of what was told");
    }

    /// Ticks between looks change nothing, with rules too.
    #[test]
    fn ticks_between_looks_ask_for_nobody_else(
        run in "[█_]{8,60}", fault in "[0025]{8,60}", ticks in proptest::collection::vec(1..999_i64, 0..40),
    ) {
        let chart = format!("run   {run}\nfault {fault}");
        let rules = || vec![WorkRule { class: None, after_ms: Some(7_000), ..long() }, often_jammed()];
        let plain = strip(rules(), &chart).play();
        let mut ticked = strip(rules(), &chart);
        for (second, ms) in ticks.iter().enumerate() {
            if second + 1 < ticked.length() {
                ticked.play_until(second + 1);
                let turn = ticked.shop.turn(Input::Tick, at(i64::try_from(second).unwrap()).plus(*ms));
                ticked.tell(turn);
            }
        }
        let ticked = ticked.play();
        let told = |strip: &Strip| strip.told.iter().map(|told| sentence(&told.event)).collect::<Vec<_>>();
        prop_assert_eq!(told(&plain), told(&ticked));
    }
}
