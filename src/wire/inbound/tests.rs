use super::*;
use crate::event::command::{Scrap, Wish};

const NOW: Stamp = Stamp::from_ms(1_795_414_443_200);

fn ask(verb: &str, body: &str) -> Asked {
    read(verb, body.as_bytes(), NOW)
}

fn refusal(verb: &str, body: &str) -> String {
    let refusal = ask(verb, body).command.unwrap_err();
    format!("{}: {}", refusal.code, refusal.text)
}

#[test]
fn a_command_says_who_what_and_when() {
    let asked = ask(
        "reason",
        r#"{"command_id": "c-1", "by": "mes", "at": "2026-11-23T07:00:00+01:00", "comment": "seen",
            "downtime_id": "019ab0f3-2a40-7000-8000-000000000001", "code": "mech.jam"}"#,
    );
    let command = asked.command.unwrap();
    assert_eq!((command.command_id.as_str(), command.by.as_str()), ("c-1", "mes"));
    assert_eq!(command.at.to_string(), "2026-11-23T06:00:00.000Z");
    assert_eq!(command.comment.as_deref(), Some("seen"));
    assert!(matches!(command.wish, Wish::Reason { code: Some(code), .. } if code == "mech.jam"));
}

#[test]
fn without_a_time_it_takes_effect_when_it_arrives() {
    let command =
        ask("scrap", r#"{"command_id": "c-1", "by": "mes", "quantity": -3, "kind": "rework"}"#).command.unwrap();
    assert_eq!(command.at, NOW);
    assert_eq!(command.wish, Wish::Scrap { quantity: -3, kind: Scrap::Rework, code: None, order: None });
}

#[test]
fn a_wrong_command_is_refused_with_what_is_wrong_and_where() {
    let id = r#""downtime_id": "019ab0f3-2a40-7000-8000-000000000001""#;
    let of = |rest: &str| format!(r#"{{"command_id": "c-1", "by": "mes"{rest}}}"#);
    for (verb, body, expected) in [
        ("reason", "{".to_owned(), "malformed: no JSON: EOF while parsing an object at line 1 column 1"),
        ("reason", "[1]".to_owned(), "malformed: the command is no JSON object"),
        ("reason", r#"{"by": "mes"}"#.to_owned(), "malformed: missing field `command_id`"),
        ("reason", r#"{"command_id": "", "by": "mes"}"#.to_owned(), "malformed: `command_id`: an empty text"),
        (
            "reason",
            r#"{"command_id": 7, "by": "mes"}"#.to_owned(),
            "malformed: `command_id`: invalid type: integer `7`, expected a string",
        ),
        (
            "reason",
            of(r#", "at": "2026-11-23T07:00:00""#),
            "malformed: `at`: 2026-11-23T07:00:00 names no offset: write Z or +01:00 behind it",
        ),
        ("reason", of(""), "malformed: `downtime_id` is missing, or `started_at` and `ended_at` of a claim"),
        ("reason", of(&format!(", {id}")), "malformed: `code` is missing: `null` takes a reason back"),
        (
            "reason",
            of(&format!(r#", {id}, "code": "a", "split": 1"#)),
            "malformed: `split`: unknown field `split`, expected one of `downtime_id`, `code`, `split_at`, `code_after`, `work_to`, `merge`, `started_at`, `ended_at`",
        ),
        (
            "reason",
            of(r#", "downtime_id": "x", "code": null"#),
            "malformed: `downtime_id`: UUID parsing failed: invalid character: found `x` at 0",
        ),
        ("reason", of(&format!(r#", {id}, "code_after": "a""#)), "malformed: `code_after` without `split_at`"),
        ("reason", of(r#", "started_at": "2026-11-23T07:00:00Z""#), "malformed: `started_at` without `ended_at`"),
        ("scrap", of(""), "malformed: missing field `quantity`"),
        (
            "scrap",
            of(r#", "quantity": 1.5"#),
            "malformed: `quantity`: invalid type: floating point `1.5`, expected i64",
        ),
        (
            "reason",
            of(&format!(r#", {id}, "code": "a", "work_to": "first""#)),
            "malformed: `work_to` without `split_at`",
        ),
        ("work-order", of(""), "malformed: missing field `status`"),
        (
            "work-order",
            of(r#", "status": "done", "work_order": "WO-1""#),
            "malformed: `status`: unknown variant `done`, expected one of `accepted`, `rejected`, `assigned`, `in_progress`, `on_hold`, `completed`, `closed`, `cancelled`",
        ),
        (
            "work-order",
            of(r#", "status": "closed""#),
            "malformed: `request_id` is missing, or `downtime_id`, `downtime_ids`, or the `work_order` of an order that is known",
        ),
        (
            "work-order",
            of(r#", "status": "closed", "work_order": "WO-1", "actual_start": "2026-11-23T07:00:00""#),
            "malformed: `actual_start`: 2026-11-23T07:00:00 names no offset: write Z or +01:00 behind it",
        ),
        (
            "work-order",
            of(r#", "status": "closed", "work_order": "WO-1", "labour_ms": -1"#),
            "malformed: `labour_ms` below 0",
        ),
        (
            "work-order",
            of(r#", "status": "closed", "work_order": "WO-1", "parts": ["ok", ""]"#),
            "malformed: `parts`: a number or text of none or of more than 128 characters, or a quantity below 0",
        ),
        ("work-request", of(r#", "text": "  ""#), "malformed: `text`: nothing but blanks"),
        ("work-request", of(r#", "text": "oil", "priority": 5"#), "malformed: `priority` is 1 (highest) to 4"),
        ("dance", of(""), "unknown_verb: there is no command `dance`"),
    ] {
        assert_eq!(refusal(verb, &body), expected, "{body}");
    }
}

#[test]
fn neither_size_nor_depth_is_read_beyond_its_limit() {
    let deep = format!(r#"{{"command_id": "c-1", "by": "mes", "x": {}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(refusal("reason", &deep), "malformed: objects and lists stand in one another more than 16 deep");
    let large = format!(r#"{{"command_id": "c-1", "by": "mes", "comment": "{}"}}"#, "x".repeat(1_000_000));
    assert_eq!(refusal("reason", &large), "too_large: the command has 1000049 bytes, at most 65536 are read");
    let long = format!(r#"{{"command_id": "c-1", "by": "mes", "comment": "{}"}}"#, "x".repeat(2001));
    assert_eq!(refusal("reason", &long), "malformed: `comment`: a text of 2001 characters, at most 2000 are kept");
    let brackets = r#"{"command_id": "c-1", "by": "mes", "quantity": 1, "comment": "[[[[[[[[[[[[[[[[[[\"[[[[[[["}"#;
    assert!(ask("scrap", brackets).command.is_ok());
}

#[test]
fn ids_of_persons_are_left_out_where_they_may_not_be_kept() {
    let kept = |verb: &str, body: &str| String::from_utf8(without_persons(verb, body.into())).unwrap();
    assert_eq!(kept("operator", r#"{"by": "mes", "operator": "P-1"}"#), r#"{"by":"mes","operator":null}"#);
    assert_eq!(
        kept("work-order", r#"{"technician": ["P-1"], "remedy": "oil"}"#),
        r#"{"technician":null,"remedy":"oil"}"#
    );
    assert_eq!(kept("scrap", r#"{ "quantity": 1 }"#), r#"{ "quantity": 1 }"#, "as it came");
    assert_eq!(kept("operator", r#"{"operator": "P-1"#), "", "what cannot be read cannot be looked through");
    assert_eq!(
        kept("work-order", &format!(r#"{{"technician": "P-1", "x": {}1{}}}"#, "[".repeat(99), "]".repeat(99))),
        ""
    );
    assert_eq!(kept("scrap", "{"), "{");
}

#[test]
fn a_refusal_quotes_no_more_than_is_read_by_anybody() {
    let body = format!(r#"{{"command_id": "c-1", "by": "mes", "{}": 1}}"#, "ü".repeat(20_000));
    let text = refusal("scrap", &body);
    assert!(text.chars().count() < 520, "{} characters", text.chars().count());
    assert!(text.starts_with("malformed: `üüü") && text.ends_with("üü …"), "{text}");
}

#[test]
fn who_sent_it_is_known_even_of_a_command_that_is_wrong() {
    let asked = ask("scrap", r#"{"command_id": "c-1", "by": "mes", "quantity": "three"}"#);
    assert_eq!((asked.command_id.as_deref(), asked.by.as_deref()), (Some("c-1"), Some("mes")));
    assert!(asked.command.is_err());
}

#[test]
fn what_a_cmms_leaves_out_or_says_as_null_it_has_not_said() {
    let body = r#"{"command_id": "c-1", "by": "cmms", "work_order": "WO-1", "status": "in_progress", "technician": null,
        "request_id": null, "parts": [], "actual_start": "2026-11-23T07:00:00+01:00", "downtime_ids":
        ["019ab0f3-2a40-7000-8000-000000000001", "019ab0f3-2a40-7000-8000-000000000001"]}"#;
    let Wish::WorkOrder(report) = ask("work-order", body).command.unwrap().wish else { panic!("a work order") };
    assert_eq!((report.request_id, report.downtime_ids.len(), report.revision), (None, 1, None));
    let words = report.words;
    assert_eq!((words.technician, words.parts, words.cause), (None, None, None));
    assert_eq!(words.actual_start.unwrap().to_string(), "2026-11-23T06:00:00.000Z");
}

#[test]
fn a_command_about_an_order_says_what_there_is_to_say_of_it() {
    let body = r#"{"command_id": "c-1", "by": "mes", "command": "StoreAndStart", "order": "A-1", "production_order": "1000815",
        "operation": "0010", "product": "cap-28", "quantity": 20000, "unit": "PCE", "ideal_rate": "700/min", "parts_per_cycle": 4,
        "lot": "L-9", "priority": 3, "planned_start": "2026-11-23T07:00:00+01:00", "on_start": "switch"}"#;
    let Wish::Order(wish) = ask("order", body).command.unwrap().wish else { panic!("an order") };
    assert_eq!(
        (wish.what, wish.order.as_str(), wish.is_switch),
        (crate::event::order::What::StoreAndStart, "A-1", true)
    );
    let says = wish.says;
    assert_eq!((says.ideal, says.quantity), (crate::event::Ideal::new(60_000, 700), Some(20_000)));
    assert_eq!((says.parts_per_cycle, says.priority, says.planned_end), (Some(4), Some(3), None));
    assert_eq!(says.planned_start.unwrap().to_string(), "2026-11-23T06:00:00.000Z");
}

#[test]
fn a_wrong_command_about_an_order_or_a_person_is_refused_with_what_is_wrong() {
    let of = |rest: &str| format!(r#"{{"command_id": "c-1", "by": "mes", {rest}}}"#);
    for (verb, body, expected) in [
        ("order", r#""order": "A""#, "malformed: missing field `command`"),
        ("order", r#""command": "Store""#, "malformed: missing field `order`"),
        (
            "order",
            r#""command": "start", "order": "A""#,
            "malformed: `command`: unknown variant `start`, expected one of `Store`, `StoreAndStart`, `Start`, `RevokeStart`, `Pause`, `Resume`, `Stop`, `Abort`, `Cancel`, `Update`",
        ),
        (
            "order",
            r#""command": "Store", "order": "A", "quantity": -1"#,
            "malformed: `quantity` is -1: from 0 to 1000000000",
        ),
        (
            "order",
            r#""command": "Store", "order": "A", "parts_per_cycle": 0"#,
            "malformed: `parts_per_cycle` is 0: from 1 to 1000000",
        ),
        (
            "order",
            r#""command": "Store", "order": "A", "ideal_cycle": "1", "ideal_rate": "700/min""#,
            "malformed: `ideal_cycle` and `ideal_rate` say the same thing twice",
        ),
        (
            "order",
            r#""command": "Store", "order": "A", "ideal_cycle": "fast""#,
            "malformed: `ideal_cycle`: fast is no time per part, like 1s or 800ms",
        ),
        (
            "order",
            r#""command": "Store", "order": "A", "ideal_rate": "700/m""#,
            "malformed: `ideal_rate`: 700/m is no rate, like 700/min",
        ),
        (
            "order",
            r#""command": "Stop", "order": "A", "on_start": "switch""#,
            "malformed: `on_start` with Stop, which starts nothing",
        ),
        ("operator", r#""operator": "", "action": "log_on""#, "malformed: `operator`: an empty text"),
        (
            "operator",
            r#""operator": "P-1", "action": "on""#,
            "malformed: `action`: unknown variant `on`, expected `log_on` or `log_off`",
        ),
    ] {
        assert_eq!(refusal(verb, &of(body)), expected);
    }
}
