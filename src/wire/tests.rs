//! Every payload as the world reads it, written down once; and whatever a machine does, no payload has other keys.

#[path = "../../tests/common/described.rs"]
mod described;

use self::described::Described;
use super::{
    envelope,
    payload::{
        picture::{self, Commands, Live, Plc, Refused, Status},
        report::{self, Report},
        window,
    },
    *,
};
use crate::{
    books::{Book, Calendar, Convention, Counting, Ideal, Measure, window::window as measured},
    event::{
        Event, Told, asset,
        cycle::{Cycles, Spell},
        id::{Role, mint},
        meter, notice,
        part::{self, Counted, Counts, Raw, Why},
        stop::{
            self, Change, Class, CountsIn, Downtime, Fault, Going, Numbered, Observed, Reason, Share, Split, State,
            StateChange, Stop,
        },
        topic_key,
        window::Window,
    },
    shop::{
        Input, Known, Marks, Rules, Shop,
        rules::{Counter, Counters, MachineRules, ReasonRule, RunRule, WorkRules},
    },
    signal::{Bad, Observation, PointIx, Reading, Value as Seen},
};
use expect_test::{Expect, expect};
use jiff::{civil, tz::TimeZone};
use proptest::prelude::*;
use serde_json::{Map, Value};
use std::sync::{Arc, LazyLock};
use uuid::Uuid;

const GATEWAY: &str = "gw-hall-3";
const MACHINE: &str = "press-7";

/// 2026-11-23T06:00:00Z and so many milliseconds.
fn at(ms: i64) -> Stamp {
    Stamp::from_ms(1_795_413_600_000 + ms)
}

const STOPS: i64 = 843_200;
const DECIDED: i64 = 963_200;
const RUNS: i64 = 1_900_000;

fn names() -> Names {
    let press = MachineNames { line: "line-2".to_owned(), asset: "EQ-10042".to_owned() };
    Names {
        wall: Wall::default(),
        shows_persons: false,
        prefix: "andon/v1".to_owned(),
        path: "acme/leipzig/hall-3".to_owned(),
        gateway: GATEWAY.to_owned(),
        machines: BTreeMap::from([(MACHINE.to_owned(), press)]),
    }
}

fn told(sequence: u64, recorded: i64, event: Event) -> Told {
    let place = event.machine().map(|machine| ("line-2", machine));
    Told {
        sequence,
        epoch: 1,
        topic_sequence: sequence / 2,
        topic: topic_key(GATEWAY, place, event.kind()),
        id: mint(GATEWAY, 1, sequence, Role::Event, event.time()),
        recorded: at(recorded),
        command_id: None,
        event,
    }
}

fn counts() -> Counts {
    Counts { total: 1240, good: 1228, reject: 12, rework: 0, outside_total: 2, outside_good: 2 }
}

fn raw() -> Raw {
    Raw::from([("press-plc.good".to_owned(), 65_100), ("press-plc.reject".to_owned(), 12)])
}

fn stop(revision: u64, until: i64) -> Stop {
    Stop {
        stop_id: mint(GATEWAY, 1, 41, Role::Stop, at(STOPS)),
        split: None,
        downtime: (revision > 0).then_some(Numbered { number: 42, revision }),
        from: at(STOPS),
        started_at: at(STOPS),
        ended_at: None,
        observed: Some(Observed { started_at: at(STOPS), ended_at: None }),
        merged_into: None,
        short_stop_ms: 120_000,
        duration_ms: until - STOPS,
        excluded_ms: 0,
        unknown_ms: 0,
        clock_adjust_ms: 0,
        uncertainty_ms: Some(200),
        shares: vec![Share { shift: "2026-11-23".to_owned(), order: None, duration_ms: until - STOPS, unknown_ms: 0 }],
        shift: "2026-11-23".to_owned(),
        order: None,
        product: None,
        lot: None,
        operator: None,
        inferred: None,
        class: Class::Failure,
        signal: None,
        counts_in: CountsIn::Availability,
        reason: Some(Reason {
            code: "mech.jam".to_owned(),
            text: "Material jam".to_owned(),
            by: "plc".to_owned(),
            at: at(STOPS + 1000),
        }),
        fault: Some(Fault { code: 12, others: Vec::new() }),
        flags: Vec::new(),
        work: Vec::new(),
    }
}

fn unexplained() -> Stop {
    Stop {
        class: Class::Unassigned,
        uncertainty_ms: None,
        reason: None,
        fault: None,
        flags: vec!["start_not_seen".to_owned()],
        ..stop(1, DECIDED)
    }
}

fn closed() -> Stop {
    let ended_at = Some(at(RUNS));
    let observed = stop(3, RUNS).observed.map(|observed| Observed { ended_at, ..observed });
    Stop { ended_at, observed, fault: Some(Fault { code: 12, others: vec![13] }), ..stop(3, RUNS) }
}

#[test]
fn the_second_part_of_a_split_stop_has_an_id_of_its_own_and_names_the_first() {
    let (first, own) = (closed().stop_id, mint(GATEWAY, 1, 50, Role::Downtime, at(DECIDED)));
    let second = Stop {
        split: Some(Split { downtime_id: own, from: first, takes_work: false }),
        started_at: at(DECIDED),
        ..closed()
    };
    let event = downtime_event(Change::Opened, DECIDED, second);
    let body = sealed(&told(51, DECIDED, event));
    assert_eq!(body["subject"], own.to_string());
    assert_eq!(body["data"]["downtime_id"], own.to_string());
    assert_eq!(body["data"]["stop_id"], first.to_string());
    assert_eq!(body["data"]["split_from"], first.to_string());
}

fn downtime(change: Change, decided: i64, stop: Stop) -> Downtime {
    Downtime {
        machine: MACHINE.to_owned(),
        change,
        at: at(decided),
        by: "plc".to_owned(),
        why: None,
        command_id: None,
        stop,
    }
}

fn downtime_event(change: Change, decided: i64, stop: Stop) -> Event {
    Event::Stop(stop::Event::Downtime(Box::new(downtime(change, decided, stop))))
}

fn state_changed() -> Event {
    Event::Stop(stop::Event::State(Box::new(StateChange {
        machine: MACHINE.to_owned(),
        state: State::ShortStop,
        previous: Some(State::Running),
        going: Going::Still,
        since: at(STOPS),
        moved: at(STOPS),
        at: at(STOPS + 1000),
        provisional: true,
        stop: Some(stop(0, STOPS)),
        ended: None,
        fault: 12,
        order: None,
        counts: counts(),
        raw: raw(),
    })))
}

fn first_state() -> Event {
    let Event::Stop(stop::Event::State(change)) = state_changed() else { unreachable!() };
    let (state, going) = (State::Running, Going::Running);
    let change = StateChange { state, previous: None, going, provisional: false, stop: None, fault: 0, ..*change };
    Event::Stop(stop::Event::State(Box::new(change)))
}

fn production() -> Event {
    Event::Part(part::Event::Counted(Box::new(Counted {
        machine: MACHINE.to_owned(),
        from: at(0),
        to: at(3_600_000),
        counts: counts(),
        bounds: None,
        raw: raw(),
        order: None,
        why: Why::Edge,
        moved: None,
        cycles: Vec::new(),
        process: Vec::new(),
    })))
}

fn notice(machine: Option<&str>) -> Event {
    Event::Notice(notice::Event {
        sequences: None,
        clock: None,
        at: at(STOPS),
        machine: machine.map(str::to_owned),
        code: "plc_lost".to_owned(),
        severity: notice::Severity::Warning,
        text: "press-plc does not answer".to_owned(),
        from: Some(at(STOPS - 5000)),
        to: None,
    })
}

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("a payload is JSON")
}

fn body(sequence: u64, recorded: i64, event: Event) -> Value {
    sealed(&told(sequence, recorded, event))
}

/// As the AsyncAPI document has it.
static DESCRIBED: LazyLock<Described> = LazyLock::new(|| Described::of(&schema::asyncapi()));

/// The body of an event; it and its topic are as described.
fn sealed(told: &Told) -> Value {
    let body = envelope::body(&names(), told).unwrap();
    assert_eq!(DESCRIBED.fault(&names().event_topic(&told.topic), &body), None);
    json(&body)
}

/// A picture, as it is described under this name.
fn pictured(name: &str, payload: &impl Serialize) -> Value {
    let picture = shown(payload);
    assert_eq!(DESCRIBED.message(name, &picture), None);
    picture
}

fn shown(payload: &impl Serialize) -> Value {
    json(&serde_json::to_vec(payload).unwrap())
}

fn pretty(payload: &Value) -> String {
    serde_json::to_string_pretty(payload).unwrap() + "\n"
}

#[allow(clippy::needless_pass_by_value)]
fn golden(payload: &Value, expected: Expect) {
    expected.assert_eq(&pretty(payload));
}

/// What differs from the golden that stands first.
#[allow(clippy::needless_pass_by_value)]
fn golden_beside(first: &Value, payload: &Value, expected: Expect) {
    let (first, payload) = (pretty(first), pretty(payload));
    assert_eq!(keys(&json(first.as_bytes())), keys(&json(payload.as_bytes())));
    let before: Vec<&str> = first.lines().collect();
    let lines = payload.lines().filter(|line| !before.contains(line));
    expected.assert_eq(&lines.map(|line| format!("{}\n", line.trim_start())).collect::<String>());
}

/// Keys of the payload and of its `data`, in order.
fn keys(payload: &Value) -> Vec<String> {
    let of = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    [of(payload), of(&payload["data"]), of(&payload["downtime"])].concat()
}

#[test]
fn a_state_changed() {
    golden(
        &body(41, STOPS + 1000, state_changed()),
        expect![[r#"
        {
          "specversion": "1.0",
          "id": "01a2070a-44c0-79c3-b312-6a84289168cc",
          "source": "andon:gw-hall-3",
          "type": "andon.state.changed.v1",
          "time": "2026-11-23T06:14:03.200Z",
          "subject": "01a2070a-44c0-79c3-b312-6a84289168cc",
          "datacontenttype": "application/json",
          "epoch": 1,
          "sequence": "0000000000000041",
          "topicsequence": "0000000000000020",
          "recordedtime": "2026-11-23T06:14:04.200Z",
          "correlationid": null,
          "data": {
            "machine": "press-7",
            "line": "line-2",
            "path": "acme/leipzig/hall-3",
            "asset": "EQ-10042",
            "revision": 1,
            "state": "short_stop",
            "previous_state": "running",
            "since": "2026-11-23T06:14:03.200Z",
            "provisional": true,
            "stop_id": "01a2070a-44c0-7332-89ba-8d668e24108a",
            "reason": {
              "code": "mech.jam",
              "text": "Material jam",
              "by": "plc",
              "at": "2026-11-23T06:14:04.200Z"
            },
            "fault": 12,
            "order": null,
            "counts": {
              "total": 1240,
              "good": 1228,
              "reject": 12,
              "rework": 0
            },
            "raw": {
              "press-plc.good": 65100,
              "press-plc.reject": 12
            }
          }
        }
    "#]],
    );
}

#[test]
fn the_first_state_of_a_machine_has_none_before_it() {
    golden_beside(
        &body(41, STOPS + 1000, state_changed()),
        &body(41, STOPS + 1000, first_state()),
        expect![[r#"
            "state": "running",
            "previous_state": null,
            "provisional": false,
            "stop_id": null,
            "reason": null,
            "fault": null,
    "#]],
    );
}

#[test]
fn a_downtime_was_opened() {
    golden(
        &body(43, DECIDED, downtime_event(Change::Opened, DECIDED, stop(1, DECIDED))),
        expect![[r#"
        {
          "specversion": "1.0",
          "id": "01a2070a-44c0-7c41-b33a-84c145b17b80",
          "source": "andon:gw-hall-3",
          "type": "andon.downtime.opened.v1",
          "time": "2026-11-23T06:14:03.200Z",
          "subject": "01a2070a-44c0-7332-89ba-8d668e24108a",
          "datacontenttype": "application/json",
          "epoch": 1,
          "sequence": "0000000000000043",
          "topicsequence": "0000000000000021",
          "recordedtime": "2026-11-23T06:16:03.200Z",
          "correlationid": null,
          "data": {
            "downtime_id": "01a2070a-44c0-7332-89ba-8d668e24108a",
            "stop_id": "01a2070a-44c0-7332-89ba-8d668e24108a",
            "number": "press-7/42",
            "revision": 1,
            "status": "open",
            "origin": "machine",
            "machine": "press-7",
            "line": "line-2",
            "path": "acme/leipzig/hall-3",
            "asset": "EQ-10042",
            "started_at": "2026-11-23T06:14:03.200Z",
            "ended_at": null,
            "duration_ms": 120000,
            "excluded_ms": 0,
            "unknown_ms": 0,
            "clock_adjust_ms": 0,
            "uncertainty_ms": 200,
            "flags": [],
            "observed": {
              "started_at": "2026-11-23T06:14:03.200Z",
              "ended_at": null
            },
            "shares": [
              {
                "shift": "2026-11-23",
                "order": null,
                "duration_ms": 120000,
                "unknown_ms": 0
              }
            ],
            "class": "failure",
            "counts_in": "availability",
            "reason": {
              "code": "mech.jam",
              "text": "Material jam",
              "by": "plc",
              "at": "2026-11-23T06:14:04.200Z"
            },
            "fault": {
              "code": 12,
              "others": []
            },
            "order": null,
            "product": null,
            "lot": null,
            "operator": null,
            "shift": "2026-11-23",
            "work": [],
            "split_from": null,
            "change": {
              "by": "plc",
              "at": "2026-11-23T06:16:03.200Z",
              "why": null,
              "command_id": null
            }
          }
        }
    "#]],
    );
}

#[test]
fn a_downtime_was_opened_of_which_nothing_is_known_but_that_it_stands() {
    let opened = body(43, DECIDED, downtime_event(Change::Opened, DECIDED, stop(1, DECIDED)));
    golden_beside(
        &opened,
        &body(43, DECIDED, downtime_event(Change::Opened, DECIDED, unexplained())),
        expect![[r#"
            "uncertainty_ms": null,
            "flags": [
            "start_not_seen"
            "class": "unassigned",
            "reason": null,
            "fault": null,
        "#]],
    );
}

#[test]
fn a_downtime_was_updated() {
    let opened = body(43, DECIDED, downtime_event(Change::Opened, DECIDED, stop(1, DECIDED)));
    let fault = Some(Fault { code: 12, others: vec![13] });
    let stop = Stop { fault, ..stop(2, DECIDED + 5000) };
    golden_beside(
        &opened,
        &body(44, DECIDED + 5000, downtime_event(Change::Updated, DECIDED + 5000, stop)),
        expect![[r#"
            "id": "01a2070c-2d08-76ed-9aef-ebcb5e1b03bc",
            "type": "andon.downtime.updated.v1",
            "time": "2026-11-23T06:16:08.200Z",
            "sequence": "0000000000000044",
            "topicsequence": "0000000000000022",
            "recordedtime": "2026-11-23T06:16:08.200Z",
            "revision": 2,
            "duration_ms": 125000,
            "duration_ms": 125000,
            "others": [
            13
            ]
            "at": "2026-11-23T06:16:08.200Z",
        "#]],
    );
}

#[test]
fn a_downtime_was_closed() {
    let opened = body(43, DECIDED, downtime_event(Change::Opened, DECIDED, stop(1, DECIDED)));
    golden_beside(
        &opened,
        &body(46, RUNS + 1000, downtime_event(Change::Closed, RUNS + 1000, closed())),
        expect![[r#"
            "id": "01a2071a-64e0-7276-842e-f9a1abf0d430",
            "type": "andon.downtime.closed.v1",
            "time": "2026-11-23T06:31:40.000Z",
            "sequence": "0000000000000046",
            "topicsequence": "0000000000000023",
            "recordedtime": "2026-11-23T06:31:41.000Z",
            "revision": 3,
            "status": "closed",
            "ended_at": "2026-11-23T06:31:40.000Z",
            "duration_ms": 1056800,
            "ended_at": "2026-11-23T06:31:40.000Z"
            "duration_ms": 1056800,
            "others": [
            13
            ]
            "at": "2026-11-23T06:31:41.000Z",
        "#]],
    );
}

#[test]
fn parts_were_counted() {
    golden(
        &body(50, 3_600_000, production()),
        expect![[r#"
        {
          "specversion": "1.0",
          "id": "01a20734-5580-78e3-9a19-7f837a596de1",
          "source": "andon:gw-hall-3",
          "type": "andon.production.counted.v1",
          "time": "2026-11-23T07:00:00.000Z",
          "subject": "01a20734-5580-78e3-9a19-7f837a596de1",
          "datacontenttype": "application/json",
          "epoch": 1,
          "sequence": "0000000000000050",
          "topicsequence": "0000000000000025",
          "recordedtime": "2026-11-23T07:00:00.000Z",
          "correlationid": null,
          "data": {
            "machine": "press-7",
            "line": "line-2",
            "path": "acme/leipzig/hall-3",
            "asset": "EQ-10042",
            "revision": 1,
            "from": "2026-11-23T06:00:00.000Z",
            "to": "2026-11-23T07:00:00.000Z",
            "order": null,
            "product": null,
            "lot": null,
            "total": 1240,
            "good": 1228,
            "reject": 12,
            "rework": 0,
            "bounds": null,
            "raw": {
              "press-plc.good": 65100,
              "press-plc.reject": 12
            },
            "why": "edge"
          }
        }
    "#]],
    );
}

#[test]
fn a_meter_was_read() {
    golden(
        &body(52, 3_600_000, read()),
        expect![[r#"
        {
          "specversion": "1.0",
          "id": "01a20734-5580-78d9-8949-cbe74979c097",
          "source": "andon:gw-hall-3",
          "type": "andon.meter.read.v1",
          "time": "2026-11-23T07:00:00.000Z",
          "subject": "01a20734-5580-78d9-8949-cbe74979c097",
          "datacontenttype": "application/json",
          "epoch": 1,
          "sequence": "0000000000000052",
          "topicsequence": "0000000000000026",
          "recordedtime": "2026-11-23T07:00:00.000Z",
          "correlationid": null,
          "data": {
            "machine": "press-7",
            "line": "line-2",
            "path": "acme/leipzig/hall-3",
            "asset": "EQ-99",
            "revision": 1,
            "run_ms": 5400000,
            "run_hours": 1.5,
            "cycles": 1240
          }
        }
    "#]],
    );
}

#[test]
fn an_asset_became_another() {
    golden(
        &body(53, 3_600_000, asset()),
        expect![[r#"
        {
          "specversion": "1.0",
          "id": "01a20734-5580-72ae-8c0f-4b156b0a6d05",
          "source": "andon:gw-hall-3",
          "type": "andon.asset.changed.v1",
          "time": "2026-11-23T07:00:00.000Z",
          "subject": "EQ-10042",
          "datacontenttype": "application/json",
          "epoch": 1,
          "sequence": "0000000000000053",
          "topicsequence": "0000000000000026",
          "recordedtime": "2026-11-23T07:00:00.000Z",
          "correlationid": null,
          "data": {
            "machine": null,
            "line": null,
            "path": "acme/leipzig/hall-3",
            "asset": "EQ-10042",
            "revision": 2,
            "id": "EQ-10042",
            "name": "Press 7",
            "parent": "HALL-3",
            "location": null,
            "criticality": "A",
            "status": null,
            "machines": [
              "press-7"
            ],
            "meters": {
              "run_ms": 5400000,
              "run_hours": 1.5,
              "cycles": 1240
            }
          }
        }
    "#]],
    );
}

fn read() -> Event {
    Event::Meter(Box::new(meter::Event {
        machine: MACHINE.to_owned(),
        is_gone: false,
        asset: "EQ-99".to_owned(),
        at: at(3_600_000),
        why: meter::Why::Released,
        readings: meter::Readings { run_ms: 5_400_000, cycles: 1240 },
        base: meter::Readings::default(),
        made: 1240,
        binding: None,
    }))
}

fn asset() -> Event {
    Event::Asset(Box::new(asset::Event {
        at: at(3_600_000),
        revision: 2,
        is_gone: false,
        asset: asset::Asset {
            id: "EQ-10042".to_owned(),
            name: Some("Press 7".to_owned()),
            parent: Some("HALL-3".to_owned()),
            criticality: Some("A".to_owned()),
            ..asset::Asset::default()
        },
        machines: vec![MACHINE.to_owned()],
        meters: Some(meter::Readings { run_ms: 5_400_000, cycles: 1240 }),
    }))
}

#[test]
fn a_notice_about_a_machine_and_one_about_the_gateway() {
    let of_machine = body(51, STOPS, notice(Some(MACHINE)));
    golden(
        &of_machine,
        expect![[r#"
        {
          "specversion": "1.0",
          "id": "01a2070a-44c0-7f1c-b0bc-a3bf4840da75",
          "source": "andon:gw-hall-3",
          "type": "andon.notice.raised.v1",
          "time": "2026-11-23T06:14:03.200Z",
          "subject": "01a2070a-44c0-7f1c-b0bc-a3bf4840da75",
          "datacontenttype": "application/json",
          "epoch": 1,
          "sequence": "0000000000000051",
          "topicsequence": "0000000000000025",
          "recordedtime": "2026-11-23T06:14:03.200Z",
          "correlationid": null,
          "data": {
            "machine": "press-7",
            "line": "line-2",
            "path": "acme/leipzig/hall-3",
            "asset": "EQ-10042",
            "revision": 1,
            "code": "plc_lost",
            "severity": "warning",
            "text": "press-plc does not answer",
            "from": "2026-11-23T06:13:58.200Z",
            "to": null,
            "sequence_from": null,
            "sequence_to": null
          }
        }
    "#]],
    );
    golden_beside(
        &of_machine,
        &body(51, STOPS, notice(None)),
        expect![[r#"
            "machine": null,
            "line": null,
            "asset": null,
    "#]],
    );
}

fn live_state(stop: Option<&Stop>) -> Value {
    let (names, counts) = (names(), counts());
    let state = if stop.is_some() { State::Down } else { State::Running };
    let live = Live {
        state: Some((state, at(STOPS), false)),
        stop,
        fault: stop.and_then(|stop| stop.fault.as_ref()).map_or(0, |fault| fault.code),
        order: None,
        counts: &counts,
        speed: Some(58.5),
    };
    pictured("state", &picture::state(at(DECIDED), names.about(Some(MACHINE)), &live))
}

#[test]
fn the_picture_of_a_state() {
    golden(
        &live_state(Some(&stop(1, DECIDED))),
        expect![[r#"
        {
          "at": "2026-11-23T06:16:03.200Z",
          "machine": "press-7",
          "line": "line-2",
          "path": "acme/leipzig/hall-3",
          "asset": "EQ-10042",
          "state": "down",
          "since": "2026-11-23T06:14:03.200Z",
          "provisional": false,
          "stop_id": "01a2070a-44c0-7332-89ba-8d668e24108a",
          "downtime": "press-7/42",
          "reason": {
            "code": "mech.jam",
            "text": "Material jam",
            "by": "plc",
            "at": "2026-11-23T06:14:04.200Z"
          },
          "fault": 12,
          "order": null,
          "counts": {
            "total": 1240,
            "good": 1228,
            "reject": 12,
            "rework": 0
          },
          "speed": 58.5
        }
    "#]],
    );
    golden_beside(
        &live_state(Some(&stop(1, DECIDED))),
        &live_state(None),
        expect![[r#"
          "state": "running",
          "stop_id": null,
          "downtime": null,
          "reason": null,
          "fault": null,
    "#]],
    );
    let (names, counts) = (names(), Counts::default());
    let never = Live { state: None, stop: None, fault: 0, order: None, counts: &counts, speed: None };
    let never = pictured("state", &picture::state(at(DECIDED), names.about(Some(MACHINE)), &never));
    golden_beside(
        &live_state(None),
        &never,
        expect![[r#"
            "state": "unknown",
            "since": null,
            "total": 0,
            "good": 0,
            "reject": 0,
            "speed": null
        "#]],
    );
}

#[test]
fn the_picture_of_a_downtime_is_its_record_or_null() {
    let (names, open) = (names(), downtime(Change::Opened, DECIDED, stop(1, DECIDED)));
    let event = body(43, DECIDED, downtime_event(Change::Opened, DECIDED, stop(1, DECIDED)));
    let picture = pictured("downtime", &picture::downtime(at(DECIDED), names.about(Some(MACHINE)), Some(&open)));
    assert_eq!(picture["downtime"], event["data"]);
    assert_eq!(picture["at"], "2026-11-23T06:16:03.200Z");
    golden(
        &pictured("downtime", &picture::downtime(at(RUNS), names.about(Some(MACHINE)), None)),
        expect![[r#"
        {
          "at": "2026-11-23T06:31:40.000Z",
          "downtime": null
        }
    "#]],
    );
}

/// A minute: it runs, stands for twenty seconds, runs again.
fn minute() -> Window {
    let ended_at = Some(at(50_000));
    let stop = Stop { from: at(30_000), started_at: at(30_000), ended_at, duration_ms: 20_000, ..stop(2, RUNS) };
    let change = |going, since, stop: Option<&Stop>, ended, total| StateChange {
        machine: MACHINE.to_owned(),
        state: if going == Going::Still { State::Down } else { State::Running },
        previous: None,
        going,
        since: at(since),
        moved: at(since),
        at: at(since),
        provisional: false,
        stop: stop.cloned(),
        ended,
        fault: 0,
        order: None,
        counts: Counts { total, good: total - total / 20, reject: total / 20, ..Counts::default() },
        raw: raw(),
    };
    let mut book = Book::default();
    for change in [
        change(Going::Running, 0, None, None, 0),
        change(Going::Still, 30_000, Some(&stop), None, 20),
        change(Going::Running, 50_000, None, Some(stop.clone()), 20),
    ] {
        book.apply(&Event::Stop(stop::Event::State(Box::new(change))));
    }
    let latest = Counts { total: 28, good: 27, reject: 1, ..Counts::default() };
    let mut spell = Spell { first: at(2_000), last: at(58_000), cycles: Cycles::default() };
    [1000, 1000, 1000, 1100, 1600].into_iter().for_each(|took_ms| spell.cycles.enter(took_ms, Some(1000)));
    let rules = rules();
    let by = rules.measure(&rules.machines[0], Counting::Read, at(60_000), Some(&latest));
    let by = Measure { cycles: &[spell], ..by };
    measured(&book, at(0), at(60_000), &by).unwrap()
}

const DAY: window::Which<'_> = window::Which {
    window: "day",
    id: "2026-11-23",
    machine: Some(MACHINE),
    line: Some("line-2"),
    machines: &[],
    revision: 1,
};

fn report(window: &Window) -> Value {
    shown(&Report {
        convention: "oee.com",
        timezone: "Europe/Berlin",
        as_of_sequence: 46,
        windows: vec![report::Window { asset: None, data: window::data(DAY, window) }],
    })
}

#[test]
fn a_report() {
    golden(
        &report(&minute()),
        expect![[r#"
        {
          "convention": "oee.com",
          "timezone": "Europe/Berlin",
          "as_of_sequence": 46,
          "windows": [
            {
              "asset": null,
              "window": "day",
              "id": "2026-11-23",
              "machine": "press-7",
              "line": "line-2",
              "machines": [
                "press-7"
              ],
              "from": "2026-11-23T06:00:00.000Z",
              "to": "2026-11-23T06:01:00.000Z",
              "final": true,
              "revision": 1,
              "time_ms": {
                "running": 40000,
                "short_stop": 0,
                "down": 20000,
                "changeover": 0,
                "planned_stop": 0,
                "external": 0,
                "unscheduled": 0,
                "unknown": 0
              },
              "calendar_ms": 60000,
              "clock_adjust_ms": 0,
              "planned_ms": 60000,
              "run_ms": 40000,
              "down_ms": 20000,
              "outside_run_ms": 0,
              "operating_ms": 40000,
              "ideal_ms": 28000,
              "good_ideal_ms": 27000,
              "counts": {
                "total": 28,
                "good": 27,
                "reject": 1,
                "rework": 0,
                "outside": {
                  "total": 0,
                  "good": 0
                }
              },
              "parts_bounds": null,
              "cycle_ms": {
                "n": 5,
                "ideal": 1000,
                "min": 1000,
                "median": 1003,
                "p95": 1607,
                "mean": 1140,
                "slow": 1,
                "slow_lost": 600
              },
              "kpi": {
                "availability": 0.6666666666666666,
                "performance": 0.7,
                "quality": 0.9642857142857143,
                "quality_by_count": 0.9642857142857143,
                "oee": 0.45,
                "nee": 0.45,
                "teep": 0.45,
                "coverage": 1.0,
                "performance_capped": null,
                "oee_capped": null,
                "mtbf_ms": 40000,
                "mttr_restoration_ms": 20000,
                "mttr_repair_ms": null,
                "response_ms": null
              },
              "failures": 1,
              "restorations": 1,
              "restoration_ms": 20000,
              "repairs": 0,
              "repair_ms": 0,
              "ideal_source": "machine",
              "flags": [],
              "losses": [
                {
                  "reason": "mech.jam",
                  "class": "failure",
                  "counts_in": "availability",
                  "ms": 20000,
                  "times": 1
                }
              ],
              "downtimes": [
                {
                  "downtime_id": "01a2070a-44c0-7332-89ba-8d668e24108a",
                  "number": "press-7/42",
                  "revision": 2,
                  "duration_ms": 20000,
                  "started_at": "2026-11-23T06:00:30.000Z",
                  "ended_at": "2026-11-23T06:00:50.000Z",
                  "class": "failure",
                  "counts_in": "availability",
                  "reason": "mech.jam",
                  "fault": 12
                }
              ]
            }
          ]
        }
    "#]],
    );
}

#[test]
fn the_picture_of_the_oee_holds_the_windows_of_the_report() {
    let (names, minute) = (names(), minute());
    let day = window::data(DAY, &minute);
    let mut picture =
        pictured("oee", &picture::oee(at(DECIDED), names.about(Some(MACHINE)), "oee.com", Some(day), None, None));
    let shift = picture.as_object_mut().unwrap().insert("shift".to_owned(), "a window of the report".into());
    // The picture itself says whose it is.
    let mut window = report(&minute)["windows"][0].clone();
    assert!(window.as_object_mut().unwrap().remove("asset").is_some());
    assert_eq!(shift, Some(window));
    golden(
        &picture,
        expect![[r#"
        {
          "at": "2026-11-23T06:16:03.200Z",
          "machine": "press-7",
          "line": "line-2",
          "path": "acme/leipzig/hall-3",
          "asset": "EQ-10042",
          "convention": "oee.com",
          "shift": "a window of the report",
          "hour": null,
          "order": null
        }
    "#]],
    );
}

#[test]
fn the_status_of_the_gateway() {
    let names = names();
    let press = Plc {
        answers: Some(true),
        polls: 5000,
        requests: 5003,
        retries: 2,
        timeouts: 1,
        late: 1,
        crc: 1,
        mended_frames: 0,
        skipped: 0,
    };
    let status = Status {
        status: "online",
        instance: Uuid::nil(),
        started_at: names.time(at(0)),
        at: names.time(at(DECIDED)),
        clock: "synced",
        version: "0.1.0",
        clock_speed: 1,
        machines: vec![names.about(Some(MACHINE))],
        plcs: BTreeMap::from([("press-plc", press)]),
        commands: Commands { accepted: 41, stale: 1, refused: 7, duplicate: 3, dropped: 0 },
        trouble: None,
        reload_refused: Some(Refused { at: names.time(at(DECIDED)), text: "two faults".to_owned() }),
    };
    golden(
        &pictured("status", &status),
        expect![[r#"
        {
          "status": "online",
          "instance": "00000000-0000-0000-0000-000000000000",
          "started_at": "2026-11-23T06:00:00.000Z",
          "at": "2026-11-23T06:16:03.200Z",
          "clock": "synced",
          "version": "0.1.0",
          "clock_speed": 1,
          "machines": [
            {
              "machine": "press-7",
              "line": "line-2",
              "path": "acme/leipzig/hall-3",
              "asset": "EQ-10042"
            }
          ],
          "plcs": {
            "press-plc": {
              "answers": true,
              "polls": 5000,
              "requests": 5003,
              "retries": 2,
              "timeouts": 1,
              "late": 1,
              "crc": 1,
              "mended_frames": 0,
              "skipped": 0
            }
          },
          "commands": {
            "accepted": 41,
            "stale": 1,
            "refused": 7,
            "duplicate": 3,
            "dropped": 0
          },
          "trouble": null,
          "reload_refused": {
            "at": "2026-11-23T06:16:03.200Z",
            "text": "two faults"
          }
        }
    "#]],
    );
}

#[test]
fn topics_are_rooted_in_prefix_and_path() {
    let topics = |names: &Names| {
        [
            names.state_topic(MACHINE),
            names.oee_topic(MACHINE),
            names.downtime_topic(MACHINE),
            names.event_topic(&topic_key(GATEWAY, Some(("line-2", MACHINE)), "state")),
            names.event_topic(&topic_key(GATEWAY, Some(("line-2", MACHINE)), "downtime")),
            names.event_topic(&topic_key(GATEWAY, Some(("line-2", MACHINE)), "production")),
            names.event_topic(&topic_key(GATEWAY, Some(("line-2", MACHINE)), "notice")),
            names.event_topic(&topic_key(GATEWAY, None, "notice")),
            names.status_topic(),
        ]
        .join("\n")
    };
    expect![[r#"
        andon/v1/acme/leipzig/hall-3/line-2/press-7/state
        andon/v1/acme/leipzig/hall-3/line-2/press-7/oee
        andon/v1/acme/leipzig/hall-3/line-2/press-7/downtime
        andon/v1/acme/leipzig/hall-3/line-2/press-7/event/state
        andon/v1/acme/leipzig/hall-3/line-2/press-7/event/downtime
        andon/v1/acme/leipzig/hall-3/line-2/press-7/event/production
        andon/v1/acme/leipzig/hall-3/line-2/press-7/event/notice
        andon/v1/acme/leipzig/hall-3/_gateway/gw-hall-3/event/notice
        andon/v1/acme/leipzig/hall-3/_gateway/gw-hall-3/status"#]]
    .assert_eq(&topics(&names()));
    let bare = Names { prefix: String::new(), ..names() };
    assert_eq!(topics(&bare), topics(&names()).replace("andon/v1/", ""));
}

#[test]
fn a_command_that_is_as_described_is_read_and_one_with_another_key_is_neither() {
    let id = "019ab0f3-2a40-7000-8000-000000000001";
    let common = || serde_json::json!({ "command_id": "c-1", "by": "mes" });
    let with = |keys: Value| {
        let mut command = common();
        command.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        command
    };
    let when = "2026-11-23T07:00:00+01:00";
    let commands = [
        ("reason", serde_json::json!({ "downtime_id": id, "code": "mech.jam", "at": when, "comment": "seen" })),
        ("reason", serde_json::json!({ "downtime_id": id, "code": null })),
        ("reason", serde_json::json!({ "downtime_id": id, "split_at": when, "code_after": "cleaning" })),
        ("reason", serde_json::json!({ "downtime_id": id, "merge": id })),
        (
            "reason",
            serde_json::json!({ "started_at": when, "ended_at": "2026-11-23T07:10:00+01:00", "code": "mech.jam" }),
        ),
        ("scrap", serde_json::json!({ "quantity": -3, "kind": "rework", "expires_at": when })),
        ("scrap", serde_json::json!({ "quantity": 3, "kind": "reworked", "code": "porous", "order": "A-1" })),
        ("order", serde_json::json!({ "command": "Store", "order": "A-1", "quantity": 5, "planned_end": when })),
        ("order", serde_json::json!({ "command": "Start", "order": "A-1", "on_start": "switch", "ideal_cycle": "1s" })),
        ("operator", serde_json::json!({ "operator": "P-17", "action": "log_off" })),
    ];
    for (verb, keys) in commands {
        let is_read = |command: &Value| {
            inbound::read(verb, command.to_string().as_bytes(), at(0)).command.map_err(|refusal| refusal.text)
        };
        let described = |command: &Value| DESCRIBED.message(&format!("command.{verb}"), command);
        let good = with(keys);
        assert_eq!((described(&good), is_read(&good).err()), (None, None), "{good}");
        let mut slip = good.clone();
        slip["downtme_id"] = id.into();
        assert!(described(&slip).is_some() && is_read(&slip).is_err(), "{slip}");
        let mut nobody = good;
        nobody.as_object_mut().unwrap().remove("by");
        assert!(described(&nobody).is_some() && is_read(&nobody).is_err(), "{nobody}");
    }
}

fn rules() -> Rules {
    let counter = |point, name: &str| {
        let (point, name) = (PointIx(point), name.to_owned());
        Some(Counter { point, name, modulus: 65_536, poll_ms: 200, overflow: None })
    };
    Rules {
        gateway: GATEWAY.to_owned(),
        path: names().path,
        calendar: Calendar::new(TimeZone::UTC, civil::Time::midnight()),
        oee: Convention::OeeCom.into(),
        final_after_ms: 12 * 3_600_000,
        meter_every_ms: None,
        lines: Vec::new(),
        work: WorkRules::default(),
        products: Vec::new(),
        reasons: vec![ReasonRule {
            code: "mech.jam".to_owned(),
            text: "Material jam".to_owned(),
            class: Class::Failure,
            counts_in: None,
            faults: vec![1],
            machines: Vec::new(),
        }],
        machines: vec![MachineRules {
            id: MACHINE.to_owned(),
            line: "line-2".to_owned(),
            asset: "EQ-10042".to_owned(),
            calendar: Calendar::new(TimeZone::UTC, civil::Time::midnight()).into(),
            ideal: Ideal::new(1000, 1),
            run: RunRule::Signal { point: PointIx(0), hold_ms: 0 },
            counters: Counters { total: counter(1, "plc.total"), good: None, reject: counter(2, "plc.reject") },
            fault: Some(PointIx(3)),
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
        }],
    }
}

/// One second: does it run (or does nobody know), parts, rejects, fault; and for how long so.
type Look = (Option<bool>, i64, i64, i64, usize);

fn looks() -> impl Strategy<Value = Vec<Look>> {
    let run = prop_oneof![4 => Just(Some(true)), 4 => Just(Some(false)), 1 => Just(None)];
    // 9000 parts in a second: somebody set the counter.
    let parts = prop_oneof![9 => 0..3_i64, 1 => Just(9000)];
    prop::collection::vec((run, parts, 0..2_i64, 0..3_i64, 1..2000_usize), 1..20)
}

/// Where a key stands, with the keys below it; `raw` is named by the configuration.
fn same_keys(path: &str, golden: &Value, payload: &Value) {
    match (golden, payload) {
        (Value::Object(golden), Value::Object(payload)) if !path.ends_with("raw") => {
            let keys = |map: &Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(golden), keys(payload), "{path}");
            for (key, value) in golden {
                same_keys(&format!("{path}.{key}"), value, &payload[key]);
            }
        }
        (Value::Array(golden), Value::Array(payload)) => {
            for (payload, golden) in payload.iter().zip(golden.iter().cycle()) {
                same_keys(path, golden, payload);
            }
        }
        _ => {}
    }
}

fn is_as_the_contract_has_it(told: &Told) {
    let payload = sealed(told);
    let (kind, data) = (payload["type"].as_str().unwrap(), &payload["data"]);
    let golden = match kind {
        "andon.state.changed.v1" => body(1, 0, state_changed()),
        "andon.production.counted.v1" => body(1, 0, production()),
        "andon.notice.raised.v1" => body(1, 0, notice(None)),
        _ => body(1, 0, downtime_event(Change::Closed, RUNS, closed())),
    };
    same_keys(kind, &golden, &payload);

    let (time, id) = (payload["time"].as_str().unwrap(), payload["id"].as_str().unwrap());
    match kind {
        "andon.downtime.opened.v1" => assert_eq!(data["started_at"], time),
        "andon.downtime.closed.v1" => assert_eq!(data["ended_at"], time),
        "andon.downtime.updated.v1" => assert_eq!(data["change"]["at"], time),
        "andon.state.changed.v1" => assert_eq!(data["since"], time),
        "andon.production.counted.v1" => assert_eq!(data["to"], time),
        _ => assert_eq!(payload["recordedtime"], time),
    }
    assert_eq!(bits(id.parse().unwrap()), ms(time), "the id's time is the event's own");
    let subject = payload["subject"].as_str().unwrap();
    if kind.starts_with("andon.downtime.") {
        assert_eq!(data["downtime_id"], subject);
        assert_eq!(bits(subject.parse().unwrap()), ms(data["started_at"].as_str().unwrap()));
        assert_eq!(data["status"] == "open", data["ended_at"].is_null());
    } else {
        assert_eq!((subject, &data["revision"]), (id, &Value::from(1)));
    }
    let sequence = payload["sequence"].as_str().unwrap();
    assert_eq!((sequence.len(), sequence.parse()), (16, Ok(told.sequence)));
    assert_eq!(payload["topicsequence"].as_str().unwrap().len(), 16);
}

/// The time in a UUIDv7. Milliseconds.
fn bits(id: Uuid) -> u64 {
    assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
    u64::try_from(id.as_u128() >> 80).unwrap()
}

fn ms(time: &str) -> u64 {
    assert_eq!((time.len(), &time[23..]), (24, "Z"), "{time}");
    u64::try_from(time.parse::<jiff::Timestamp>().unwrap().as_millisecond()).unwrap()
}

fn is_as_the_report_has_it(window: &Window) {
    let payload = report(window);
    same_keys("report", &report(&minute()), &payload);
    // A ratio that is no number would be written as null.
    let kpi = &window.kpi;
    let ratios = [kpi.availability, kpi.performance, kpi.quality, kpi.quality_by_count, kpi.oee, kpi.nee, kpi.teep];
    assert!(ratios.iter().flatten().all(|ratio| ratio.is_finite()), "{kpi:?}");
    assert_eq!(kpi.availability.is_none(), window.planned_ms == 0);
    let time_ms = payload["windows"][0]["time_ms"].as_object().unwrap();
    assert_eq!(time_ms.values().map(|ms| ms.as_i64().unwrap()).sum::<i64>(), window.calendar_ms);
}

proptest! {
    #[test]
    fn whatever_a_machine_does_its_payloads_are_as_the_contract_has_them(looks in looks()) {
        let rules = Arc::new(rules());
        let mut shop = Shop::open(rules.clone(), Known::default(), &Marks::default());
        let (mut book, mut raws, mut second) = (Book::default(), (0, 0), 0);
        let seconds = looks.iter().flat_map(|look| std::iter::repeat_n(look, look.4));
        for (run, parts, rejects, fault, _) in seconds {
            let good = |value| if run.is_some() { Reading::Good(value) } else { Reading::Bad(Bad::Silent) };
            raws = ((raws.0 + parts) % 65_536, raws.1 + rejects.min(parts));
            let readings = [Seen::Bool(run.unwrap_or(false)), Seen::Int(raws.0), Seen::Int(raws.1), Seen::Int(*fault)];
            let readings = readings.into_iter().enumerate().map(|(point, value)| (PointIx(point), good(value)));
            let seen = Observation { at: at(second * 1000), readings: readings.collect() };
            for told in shop.turn(Input::Observed(&seen), seen.at).told {
                is_as_the_contract_has_it(&told);
                book.apply(&told.event);
            }
            second += 1;
        }
        let machine = shop.machines().next().unwrap();
        let latest = *machine.counts();
        let by = rules.measure(machine.rules, machine.counting(), at(second * 1000), Some(&latest));
        for hour in rules.calendar.hours(at(0), by.as_of) {
            if let Some(window) = measured(&book, hour.from, hour.to, &by) {
                is_as_the_report_has_it(&window);
            }
        }
    }
}
