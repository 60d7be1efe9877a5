//! Configurations in, faults or plans out: each fault in the words that its reader sees.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use andon::{
    books::{
        Calendar, Ideal,
        calendar::{self, Weekday},
    },
    event::stop::{Class, CountsIn},
    io::{
        mqtt::Broker,
        plc::{Channel, Parity, Serial},
    },
    shop::rules::{Counter, Counters, MachineRules, Operand, ReasonRule, RunRule, StateRule},
    signal::{
        Point, PointIx,
        expression::{Expression, Relation},
        point::{Area, Kind, Order},
    },
};
use andon::{
    cli::check::{Format, check},
    config::{Fault, Plan, Severity, load, load_text, schema},
};
use expect_test::{Expect, expect};
use jiff::{civil::Time, tz::TimeZone};
use proptest::prelude::*;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    ops::Add,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

const MINIMAL: &str = include_str!("../config/minimal.toml");
const REFERENCE: &str = include_str!("../config/andon.toml");

/// What `andon check` says about a text, faults and warnings.
fn said(text: &str) -> String {
    let faults = match load_text("andon.toml", text) {
        Ok((_, warnings)) => warnings,
        Err(faults) => faults,
    };
    faults.iter().map(|fault| fault.render() + "\n").collect()
}

fn plan(text: &str) -> Plan {
    load_text("andon.toml", text).unwrap_or_else(|faults| panic!("{}", rendered(&faults))).0
}

fn rendered(faults: &[Fault]) -> String {
    faults.iter().map(|fault| fault.render() + "\n").collect()
}

/// The minimal configuration with one thing replaced.
fn with(old: &str, new: &str) -> String {
    assert!(MINIMAL.contains(old), "{old}");
    MINIMAL.replacen(old, new, 1)
}

/// The minimal configuration with something at its end, in `[[machine]]`.
fn and(more: &str) -> String {
    format!("{MINIMAL}{more}\n")
}

/// The minimal configuration with one thing replaced says this.
#[track_caller]
fn changed(old: &str, new: &str, expected: &Expect) {
    expected.assert_eq(&said(&with(old, new)));
}

#[track_caller]
fn added(more: &str, expected: &Expect) {
    expected.assert_eq(&said(&and(more)));
}

#[test]
fn a_text_without_quotes_is_a_syntax_fault() {
    changed(
        r#""gw-hall-3""#,
        "gw-hall-3",
        &expect![[r#"
            andon.toml:5:12: string values must be quoted, expected literal string
              5 | id       = gw-hall-3
                |            ^^^^^^^^^
            hint: put it in quotes
        "#]],
    );
}

#[test]
fn an_open_string_is_a_syntax_fault() {
    changed(
        r#""gw-hall-3""#,
        r#""gw-hall-3"#,
        &expect![[r#"
            andon.toml:5:22: invalid basic string, expected `"`
              5 | id       = "gw-hall-3
                |                      ^
            hint: end it with a quote in the same line
        "#]],
    );
}

#[test]
fn a_key_given_twice_is_a_syntax_fault() {
    changed(
        r#"id    = "press-7""#,
        r#"id    = "press-7"
id    = "press-8""#,
        &expect![[r#"
            andon.toml:18:1: duplicate key
              18 | id    = "press-8"
                 | ^^
            hint: keep one of them; tables of which there may be several are written [[…]]
        "#]],
    );
}

#[test]
fn a_table_left_open_does_not_echo() {
    changed(
        "[plc.points]",
        "[plc.points",
        &expect![[r#"
            andon.toml:12:12: unclosed table, expected `]`
              12 | [plc.points
                 |            ^
            hint: close it: [plc.points], [[machine]]
        "#]],
    );
}

#[test]
fn an_unknown_key_gets_the_nearest_one() {
    changed(
        r#"tcp = "192.168.0.7:502""#,
        r#"tcp = "192.168.0.7:502"
pol = "1s""#,
        &expect![[r#"
    andon.toml:12:1: unknown key `pol` in [[plc]]
      12 | pol = "1s"
         | ^^^
    hint: did you mean `poll`?
"#]],
    );
}

#[test]
fn an_unknown_key_far_from_all_gets_the_list() {
    changed(
        "timezone =",
        r#"colour = "red"
timezone ="#,
        &expect![[r#"
    andon.toml:7:1: unknown key `colour` in [gateway]
      7 | colour = "red"
        | ^^^^^^
    hint: known here: id, path, timezone, data_dir
"#]],
    );
}

#[test]
fn an_unknown_table_gets_the_nearest_one() {
    changed(
        "[[machine]]",
        "[[machines]]",
        &expect![[r#"
            andon.toml:16:3: unknown key `machines`
              16 | [[machines]]
                 |   ^^^^^^^^
            hint: did you mean `machine`?
        "#]],
    );
}

#[test]
fn a_key_of_the_plc_under_its_points_is_to_be_moved() {
    changed(
        "[plc.points]",
        r#"[plc.points]
poll = "1s""#,
        &expect![[r#"
    andon.toml:13:1: `poll` stands in [plc.points], but is a key of [[plc]]
      13 | poll = "1s"
         | ^^^^
    hint: move it above `[plc.points]`
"#]],
    );
}

#[test]
fn a_key_of_the_file_in_a_table_belongs_to_its_top() {
    changed(
        "timezone =",
        r#"day_start = "06:00"
timezone ="#,
        &expect![[r#"
    andon.toml:7:1: unknown key `day_start` in [gateway]
      7 | day_start = "06:00"
        | ^^^^^^^^^
    hint: it stands at the top of the file, above the first [table]
"#]],
    );
}

#[test]
fn a_password_stands_in_a_file_of_its_own() {
    changed(
        "[[plc]]",
        r#"[mqtt]
username = "joe"
password = "hunter2"

[[plc]]"#,
        &expect![[r#"
            andon.toml:11:1: unknown key `password` in [mqtt]
              11 | password = *********
                 | ^^^^^^^^
            hint: secrets stand in files of their own: name the file with `password_file`
        "#]],
    );
}

#[test]
fn a_number_where_a_duration_is_wanted() {
    added(
        "debounce = 5",
        &expect![[r#"
        andon.toml:21:12: `debounce` wants a duration in quotes, this is a whole number
          21 | debounce = 5
             |            ^
        hint: write the unit too, debounce = "5s" or "5ms"
    "#]],
    );
}

#[test]
fn a_text_where_a_number_is_wanted() {
    added(
        r#"parts_per_cycle = "2""#,
        &expect![[r#"
        andon.toml:21:19: `parts_per_cycle` wants a whole number, this is a string
          21 | parts_per_cycle = "2"
             |                   ^^^
        hint: write parts_per_cycle = 2
    "#]],
    );
}

#[test]
fn a_text_where_true_is_wanted() {
    added(
        r#"order_required = "true""#,
        &expect![[r#"
            andon.toml:21:18: `order_required` wants true or false, this is a string
              21 | order_required = "true"
                 |                  ^^^^^^
            hint: write order_required = true
        "#]],
    );
}

#[test]
fn a_text_where_an_array_is_wanted() {
    changed(
        "[[plc]]",
        r#"[mqtt]
brokers = "mqtt://a"

[[plc]]"#,
        &expect![[r#"
    andon.toml:10:11: `brokers` wants an array, this is a string
      10 | brokers = "mqtt://a"
         |           ^^^^^^^^^^
    hint: write brokers = ["mqtt://a"]
"#]],
    );
}

#[test]
fn a_single_table_where_several_may_stand() {
    changed(
        "[[machine]]",
        "[machine]",
        &expect![[r#"
        andon.toml:16:1: [[machine]] may stand more than once, [machine] is a single table
          16 | [machine]
             | ^^^^^^^^^
        hint: write [[machine]]
    "#]],
    );
}

#[test]
fn several_tables_where_one_may_stand() {
    changed(
        "[gateway]",
        "[[gateway]]",
        &expect![[r#"
        andon.toml:4:1: there is one [gateway], [[gateway]] is one of several
          4 | [[gateway]]
            | ^^^^^^^^^^^
        hint: write [gateway], once
    "#]],
    );
}

#[test]
fn a_point_that_is_no_table() {
    changed(
        "{ coil = 0 }",
        "0",
        &expect![[r#"
            andon.toml:13:9: `run` wants a table, this is a whole number
              13 | run   = 0
                 |         ^
            hint: write run = { holding = 0 }, or coil, discrete, input
        "#]],
    );
}

#[test]
fn an_address_out_of_range() {
    changed(
        "{ coil = 0 }",
        "{ coil = 65536 }",
        &expect![[r#"
        andon.toml:13:18: `coil = 65536` is out of range
          13 | run   = { coil = 65536 }
             |                  ^^^^^
        hint: from 0 to 65535
    "#]],
    );
}

#[test]
fn a_unit_out_of_range() {
    changed(
        r#"tcp = "192.168.0.7:502""#,
        r#"tcp = "192.168.0.7:502"
unit = 256"#,
        &expect![[r#"
    andon.toml:12:8: `unit = 256` is out of range
      12 | unit = 256
         |        ^^^
    hint: from 0 to 255
"#]],
    );
}

#[test]
fn a_duration_without_a_unit() {
    added(
        r#"short_stop = "120""#,
        &expect![[r#"
        andon.toml:21:14: `short_stop`: `120` is not a duration
          21 | short_stop = "120"
             |              ^^^^^
        hint: write an integer before one unit (us, ms, s, m, h or d), like "200ms"
    "#]],
    );
}

#[test]
fn a_duration_in_min() {
    added(
        r#"short_stop = "2min""#,
        &expect![[r#"
        andon.toml:21:14: `short_stop`: `2min` is not a duration
          21 | short_stop = "2min"
             |              ^^^^^^
        hint: minutes are written "2m"
    "#]],
    );
}

#[test]
fn a_duration_far_too_long() {
    added(
        r#"short_stop = "100000d""#,
        &expect![[r#"
        andon.toml:21:14: `short_stop`: `100000d` is too long
          21 | short_stop = "100000d"
             |              ^^^^^^^^^
        hint: at most 3660d
    "#]],
    );
}

#[test]
fn off_is_for_no_data_alone() {
    added(
        r#"debounce = "off""#,
        &expect![[r#"
        andon.toml:21:12: `debounce`: `off` is not a duration
          21 | debounce = "off"
             |            ^^^^^
        hint: write an integer before one unit (us, ms, s, m, h or d), like "200ms"
    "#]],
    );
}

#[test]
fn a_rate_in_an_unknown_unit() {
    added(
        r#"ideal_rate = "700/m""#,
        &expect![[r#"
        andon.toml:21:14: `ideal_rate`: `700/m` is not a rate
          21 | ideal_rate = "700/m"
             |              ^^^^^^^
        hint: minutes are written "700/min"
    "#]],
    );
}

#[test]
fn a_word_that_is_none_of_the_choice() {
    added(
        r#"open_at = "faults""#,
        &expect![[r#"
        andon.toml:21:11: `open_at` cannot be `faults`
          21 | open_at = "faults"
             |           ^^^^^^^^
        hint: did you mean "fault"?
    "#]],
    );
}

#[test]
fn a_time_of_day_that_is_none() {
    changed(
        "[gateway]",
        r#"day_start = "24:00"
[gateway]"#,
        &expect![[r#"
    andon.toml:4:13: `day_start`: `24:00` is not a time of day
      4 | day_start = "24:00"
        |             ^^^^^^^
    hint: write hours and minutes, like "06:00"
"#]],
    );
}

#[test]
fn an_unknown_time_zone() {
    changed(
        "Europe/Berlin",
        "Berlin",
        &expect![[r#"
        andon.toml:7:12: `timezone`: unknown time zone `Berlin`
          7 | timezone = "Berlin"
            |            ^^^^^^^^
        hint: did you mean "Europe/Berlin"?
    "#]],
    );
}

#[test]
fn an_id_with_a_dot() {
    changed(
        r#""gw-hall-3""#,
        r#""gw.hall.3""#,
        &expect![[r#"
        andon.toml:5:12: `id`: `gw.hall.3` holds `.`, which has no place in a topic
          5 | id       = "gw.hall.3"
            |            ^^^^^^^^^^^
        hint: use letters, digits, `-` and `_`
    "#]],
    );
}

#[test]
fn an_id_with_a_space() {
    changed(
        r#""press-7""#,
        r#""press 7""#,
        &expect![[r#"
        andon.toml:17:9: `id`: `press 7` holds a space, which has no place in a topic
          17 | id    = "press 7"
             |         ^^^^^^^^^
        hint: use letters, digits, `-` and `_`
    "#]],
    );
}

#[test]
fn a_path_with_a_wildcard() {
    changed(
        "acme/leipzig/hall-3",
        "acme/+/hall-3",
        &expect![[r#"
        andon.toml:6:12: `path`: `+` holds `+`, which has no place in a topic
          6 | path     = "acme/+/hall-3"
            |            ^^^^^^^^^^^^^^^
        hint: use letters, digits, `-` and `_`
    "#]],
    );
}

#[test]
fn a_path_with_an_empty_level() {
    changed(
        "acme/leipzig/hall-3",
        "/acme/leipzig",
        &expect![[r#"
        andon.toml:6:12: `path`: `/acme/leipzig` has an empty level
          6 | path     = "/acme/leipzig"
            |            ^^^^^^^^^^^^^^^
        hint: write enterprise/site/area, with no `/` at either end
    "#]],
    );
}

#[test]
fn a_point_with_a_dot_in_its_name() {
    changed(
        "run   = { coil = 0 }",
        r#"run = { coil = 0 }
"lamp.red" = { coil = 1 }"#,
        &expect![[r#"
    andon.toml:14:1: `lamp.red` holds `.`, which has no place in a topic
      14 | "lamp.red" = { coil = 1 }
         | ^^^^^^^^^^
    hint: use letters, digits, `-` and `_`
"#]],
    );
}

#[test]
fn a_missing_table() {
    changed(
        r#"[gateway]
id       = "gw-hall-3"
path     = "acme/leipzig/hall-3"
timezone = "Europe/Berlin"
"#,
        "",
        &expect![[r#"
            andon.toml:1:1: the table [gateway] is missing
            hint: it needs id, path, timezone
        "#]],
    );
}

#[test]
fn a_missing_time_zone() {
    changed(
        r#"timezone = "Europe/Berlin"
"#,
        "",
        &expect![[r#"
    andon.toml:4:1: `timezone` is missing in [gateway]
      4 | [gateway]
        | ^^^^^^^^^
    hint: add `timezone = "Europe/Berlin"`
"#]],
    );
}

#[test]
fn a_missing_line() {
    changed(
        r#"line  = "line-2"
"#,
        "",
        &expect![[r#"
    andon.toml:16:1: `line` is missing in [[machine]]
      16 | [[machine]]
         | ^^^^^^^^^^^
    hint: add `line = "line-2"`
"#]],
    );
}

#[test]
fn a_plc_without_an_address() {
    changed(
        r#"tcp = "192.168.0.7:502"
"#,
        "",
        &expect![[r#"
            andon.toml:10:7: the PLC has no address
              10 | id  = "press-plc"
                 |       ^^^^^^^^^^^
            hint: add `tcp = "192.168.0.7:502"`, or `rtu_over_tcp`, or `serial`
        "#]],
    );
}

#[test]
fn a_plc_address_without_a_port() {
    changed(
        "192.168.0.7:502",
        "192.168.0.7",
        &expect![[r#"
        andon.toml:11:7: `tcp`: `192.168.0.7` names no port
          11 | tcp = "192.168.0.7"
             |       ^^^^^^^^^^^^^
        hint: write "192.168.0.7:502"
    "#]],
    );
}

/// The minimal configuration with its PLC on a serial line.
fn on_a_line(plc: &str, serial: &str) -> String {
    let line = format!("serial = \"rs485\"{plc}");
    let serial = format!("\n[[serial]]\nid = \"rs485\"\ndevice = \"/dev/ttyS1\"\n{serial}");
    with(r#"tcp = "192.168.0.7:502""#, &line) + &serial
}

#[test]
fn a_plc_on_a_serial_line() {
    let text = on_a_line("\npoll = \"1s\"", "baud = 9600\nparity = \"none\"\nstop_bits = 2\ngap = \"1500us\"\n");
    assert_eq!(said(&text), "");
    let Channel::Serial(line) = &plan(&text).plcs[0].channel else { panic!("it is serial") };
    let expected = Serial {
        device: "/dev/ttyS1".into(),
        baud: 9600,
        data_bits: 8,
        parity: Parity::None,
        stop_bits: 2,
        echo: false,
        gap: Some(Duration::from_micros(1500)),
    };
    assert_eq!(*line, expected);
}

#[test]
fn a_plc_behind_a_serial_gateway() {
    let text = with("tcp =", "connect = \"poll\"\nrtu_over_tcp =");
    assert_eq!(said(&text), "");
    let plc = &plan(&text).plcs[0];
    assert_eq!(plc.channel, Channel::RtuOverTcp { host: "192.168.0.7:502".into() });
    assert!(plc.hangs_up);
}

#[test]
fn a_redundant_plc_at_two_addresses() {
    let text = with(r#""192.168.0.7:502""#, r#"["192.168.0.7:502", "192.168.0.8:502"]"#);
    assert_eq!(said(&text), "");
    let hosts = vec!["192.168.0.7:502".to_owned(), "192.168.0.8:502".to_owned()];
    assert_eq!(plan(&text).plcs[0].channel, Channel::Tcp { hosts });
}

#[test]
fn a_plc_at_three_addresses_or_none() {
    changed(
        r#""192.168.0.7:502""#,
        r#"["a:502", "b:502", "c"]"#,
        &expect![[r#"
        andon.toml:11:26: `tcp`: `c` names no port
          11 | tcp = ["a:502", "b:502", "c"]
             |                          ^^^
        hint: write "c:502"
    "#]],
    );
    changed(
        r#""192.168.0.7:502""#,
        r#"["a:502", "b:502", "c:502"]"#,
        &expect![[r#"
        andon.toml:11:7: `tcp` has 3 addresses
          11 | tcp = ["a:502", "b:502", "c:502"]
             |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^
        hint: one, or two of a redundant PLC
    "#]],
    );
    changed(
        r#""192.168.0.7:502""#,
        "[]",
        &expect![[r#"
        andon.toml:11:7: `tcp` has 0 addresses
          11 | tcp = []
             |       ^^
        hint: one, or two of a redundant PLC
    "#]],
    );
    changed(
        r#""192.168.0.7:502""#,
        "502",
        &expect![[r#"
        andon.toml:11:7: `tcp` wants a string, this is a whole number
          11 | tcp = 502
             |       ^^^
        hint: put it in quotes
    "#]],
    );
}

#[test]
fn a_plc_that_is_reached_two_ways() {
    changed(
        r#"tcp = "192.168.0.7:502""#,
        "tcp = \"192.168.0.7:502\"\nserial = \"rs485\"",
        &expect![[r#"
        andon.toml:12:10: the PLC has `tcp` and `serial`
          12 | serial = "rs485"
             |          ^^^^^^^
        hint: keep one of them
        andon.toml:12:10: unknown serial line `rs485`
          12 | serial = "rs485"
             |          ^^^^^^^
        hint: there is no [[serial]]
    "#]],
    );
}

#[test]
fn a_plc_on_a_line_that_is_not_there() {
    changed(
        r#"tcp = "192.168.0.7:502""#,
        r#"serial = "rs485""#,
        &expect![[r#"
        andon.toml:11:10: unknown serial line `rs485`
          11 | serial = "rs485"
             |          ^^^^^^^
        hint: there is no [[serial]]
    "#]],
    );
    expect![[r#"
        andon.toml:11:10: unknown serial line `rs485`
          11 | serial = "rs485"
             |          ^^^^^^^
        hint: did you mean `rs458`?
    "#]]
    .assert_eq(&said(&on_a_line("", "").replace(r#"id = "rs485""#, r#"id = "rs458""#)));
}

#[test]
fn what_a_serial_line_cannot_be() {
    expect![[r#"
        andon.toml:13:8: no unit on a serial line has the number 248
          13 | unit = 248
             |        ^^^
        hint: from 1 to 247
        andon.toml:14:11: warning: `connect` is for TCP, a serial line stays open
          14 | connect = "poll"
             |           ^^^^^^
        hint: take it away
        andon.toml:28:13: RTU frames want 8 data bits
          28 | data_bits = 7
             |             ^
        hint: data_bits = 8
        andon.toml:29:8: `baud = 100` is out of range
          29 | baud = 100
             |        ^^^
        hint: from 300 to 4000000
    "#]]
    .assert_eq(&said(&on_a_line("\npoll = \"1s\"\nunit = 248\nconnect = \"poll\"", "data_bits = 7\nbaud = 100\n")));
}

#[test]
fn a_serial_line_that_is_asked_to_carry_too_much() {
    expect![[r#"
        andon.toml:24:6: warning: 66.7 requests a second take 860 ms of each second on `rs485` (19200 baud)
          24 | id = "rs485"
             |      ^^^^^^^
        hint: poll less often, raise `baud`, or spread the PLCs over several lines
    "#]]
    .assert_eq(&said(&on_a_line("\npoll = \"30ms\"", "")));
    expect![[r#"
        andon.toml:24:6: 100.0 requests a second take 1290 ms of each second on `rs485` (19200 baud)
          24 | id = "rs485"
             |      ^^^^^^^
        hint: poll less often, raise `baud`, or spread the PLCs over several lines
    "#]]
    .assert_eq(&said(&on_a_line("\npoll = \"20ms\"", "")));
    assert_eq!(said(&on_a_line("\npoll = \"200ms\"", "")), "");
}

#[test]
fn a_point_that_is_looked_at_seldom() {
    let text = with("{ coil = 0 }", "{ coil = 0, poll = \"1s\" }");
    assert_eq!(said(&text), "");
    let plan = plan(&text);
    assert_eq!(plan.plcs[0].paces, BTreeMap::from([(PointIx(0), Duration::from_secs(1))]));
    changed(
        "{ coil = 0 }",
        "{ coil = 0, poll = \"0s\" }",
        &expect![[r#"
        andon.toml:13:28: `poll` may not be 0
          13 | run   = { coil = 0, poll = "0s" }
             |                            ^^^^
        hint: at least "1ms"
    "#]],
    );
    changed(
        "{ coil = 0 }",
        "{ coil = 0, poll = \"1m\" }",
        &expect![[r#"
        andon.toml:17:9: `no_data` (5000 ms) is not longer than `poll` (60000 ms) of the point that decides
          17 | id    = "press-7"
             |         ^^^^^^^^^
        hint: give it several polls, or "off"
    "#]],
    );
}

#[test]
fn a_poll_of_nothing() {
    changed(
        r#"tcp = "192.168.0.7:502""#,
        r#"tcp = "192.168.0.7:502"
poll = "0s"
timeout = "0ms""#,
        &expect![[r#"
    andon.toml:12:8: `poll` may not be 0
      12 | poll = "0s"
         |        ^^^^
    hint: at least "1ms"
    andon.toml:13:11: `timeout` may not be 0
      13 | timeout = "0ms"
         |           ^^^^^
    hint: at least "1ms"
"#]],
    );
}

#[test]
fn two_plcs_with_one_id() {
    changed(
        "[[machine]]",
        r#"[[plc]]
id = "press-plc"
tcp = "h:1"

[[machine]]"#,
        &expect![[r#"
            andon.toml:17:6: PLC `press-plc` stands twice, first at andon.toml:10:7
              17 | id = "press-plc"
                 |      ^^^^^^^^^^^
            hint: give each PLC its own id
        "#]],
    );
}

#[test]
fn two_machines_with_one_id() {
    added(
        r#"
[[machine]]
id = "press-7"
line = "line-3"
run = "press-plc.run""#,
        &expect![[r#"
            andon.toml:23:6: machine `press-7` stands twice, first at andon.toml:17:9
              23 | id = "press-7"
                 |      ^^^^^^^^^
            hint: give each machine its own id
        "#]],
    );
}

#[test]
fn a_map_from_an_unknown_plc() {
    changed(
        "[[machine]]",
        r#"[[plc]]
id = "two"
tcp = "h:1"
points_from = "press-plx"

[[machine]]"#,
        &expect![[r#"
    andon.toml:19:15: unknown PLC `press-plx`
      19 | points_from = "press-plx"
         |               ^^^^^^^^^^^
    hint: did you mean `press-plc`?
"#]],
    );
}

#[test]
fn an_unknown_point_gets_the_nearest_one() {
    changed(
        r#""press-plc.run""#,
        r#""press-plc.rum""#,
        &expect![[r#"
        andon.toml:19:9: unknown point `press-plc.rum`
          19 | run   = "press-plc.rum"
             |         ^^^^^^^^^^^^^^^
        hint: did you mean `press-plc.run`?
    "#]],
    );
}

#[test]
fn an_unknown_point_far_from_all_gets_the_list() {
    changed(
        r#""press-plc.run""#,
        r#""press-plc.spindle""#,
        &expect![[r#"
        andon.toml:19:9: unknown point `press-plc.spindle`
          19 | run   = "press-plc.spindle"
             |         ^^^^^^^^^^^^^^^^^^^
        hint: `press-plc` has: run, total
    "#]],
    );
}

#[test]
fn a_point_of_an_unknown_plc() {
    changed(
        r#""press-plc.run""#,
        r#""pres-plc.run""#,
        &expect![[r#"
        andon.toml:19:9: unknown PLC `pres-plc`
          19 | run   = "pres-plc.run"
             |         ^^^^^^^^^^^^^^
        hint: did you mean `press-plc`?
    "#]],
    );
}

#[test]
fn a_point_without_its_plc() {
    changed(
        r#""press-plc.run""#,
        r#""run""#,
        &expect![[r#"
        andon.toml:19:9: `run` names no PLC
          19 | run   = "run"
             |         ^^^^^
        hint: did you mean `press-plc.run`?
    "#]],
    );
}

/// The minimal configuration with this as `run`.
#[track_caller]
fn run(expression: &str, expected: &Expect) {
    let door = "[plc.points]\ndoor = { holding = 120, bit = 7 }\nname = { holding = 130, type = \"string(8)\" }";
    let text = with(r#""press-plc.run""#, &format!("{expression:?}")).replacen("[plc.points]", door, 1);
    expected.assert_eq(&said(&text));
}

#[test]
fn run_may_combine_points() {
    run("press-plc.run && !(press-plc.door || press-plc.total >= 3)", &expect![[""]]);
}

#[test]
fn a_wrong_token_of_an_expression_is_underlined_alone() {
    run(
        "press-plc.run & press-plc.door",
        &expect![[r#"
        andon.toml:21:24: `&` is no operator
          21 | run   = "press-plc.run & press-plc.door"
             |                        ^
        hint: write `&&`
    "#]],
    );
    run(
        "press-plc.run && (press-plc.door || press-plc.total",
        &expect![[r#"
        andon.toml:21:27: `(` is never closed
          21 | run   = "press-plc.run && (press-plc.door || press-plc.total"
             |                           ^
        hint: add `)`
    "#]],
    );
    run(
        "press-plc.run press-plc.door",
        &expect![[r#"
        andon.toml:21:24: there is no operator before this
          21 | run   = "press-plc.run press-plc.door"
             |                        ^^^^^^^^^^^^^^
        hint: combine conditions with && or ||
    "#]],
    );
    run(
        "press-plc.run &&",
        &expect![[r#"
        andon.toml:21:24: the expression ends before it is complete
          21 | run   = "press-plc.run &&"
             |                        ^^
        hint: name a point after this
    "#]],
    );
}

#[test]
fn an_expression_names_known_points_that_fit() {
    run(
        "press-plc.run && !press-plc.dor",
        &expect![[r#"
        andon.toml:21:28: unknown point `press-plc.dor`
          21 | run   = "press-plc.run && !press-plc.dor"
             |                            ^^^^^^^^^^^^^
        hint: did you mean `press-plc.door`?
    "#]],
    );
    run(
        "press-plc.run && pres-plc.door",
        &expect![[r#"
        andon.toml:21:27: unknown PLC `pres-plc`
          21 | run   = "press-plc.run && pres-plc.door"
             |                           ^^^^^^^^^^^^^
        hint: did you mean `press-plc`?
    "#]],
    );
    run(
        "press-plc.run && press-plc.name",
        &expect![[r#"
        andon.toml:21:27: `press-plc.name` is no condition: its type does not fit
          21 | run   = "press-plc.run && press-plc.name"
             |                           ^^^^^^^^^^^^^^
        hint: a coil, a discrete input, `bit` of a register, or an integer type
    "#]],
    );
    run(
        "press-plc.run && press-plc.name == 3",
        &expect![[r#"
        andon.toml:21:27: `press-plc.name` cannot be compared: its type does not fit
          21 | run   = "press-plc.run && press-plc.name == 3"
             |                           ^^^^^^^^^^^^^^
        hint: give it an integer type, like type = "u32"
    "#]],
    );
    run(
        "press-plc.door == 1 && press-plc.run",
        &expect![[r#"
        andon.toml:21:10: `press-plc.door` cannot be compared: it is a bit
          21 | run   = "press-plc.door == 1 && press-plc.run"
             |          ^^^^^^^^^^^^^^
        hint: write `press-plc.door` or `!press-plc.door`
    "#]],
    );
}

#[test]
fn every_fault_of_an_expression_is_told_at_once() {
    run(
        "press-plc.rum && !press-plc.dor || press-plc.name",
        &expect![[r#"
        andon.toml:21:10: unknown point `press-plc.rum`
          21 | run   = "press-plc.rum && !press-plc.dor || press-plc.name"
             |          ^^^^^^^^^^^^^
        hint: did you mean `press-plc.run`?
        andon.toml:21:28: unknown point `press-plc.dor`
          21 | run   = "press-plc.rum && !press-plc.dor || press-plc.name"
             |                            ^^^^^^^^^^^^^
        hint: did you mean `press-plc.door`?
        andon.toml:21:45: `press-plc.name` is no condition: its type does not fit
          21 | run   = "press-plc.rum && !press-plc.dor || press-plc.name"
             |                                             ^^^^^^^^^^^^^^
        hint: a coil, a discrete input, `bit` of a register, or an integer type
    "#]],
    );
}

#[test]
fn only_run_may_combine_points() {
    added(
        r#"fault = "press-plc.run && press-plc.total""#,
        &expect![[r#"
        andon.toml:21:9: `fault` names one point; only `run` may combine several
          21 | fault = "press-plc.run && press-plc.total"
             |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        hint: write it like "press-plc.good"
    "#]],
    );
}

#[test]
fn a_state_point_without_its_map_says_nothing() {
    let state = "[plc.points]\nstate = { holding = 5 }";
    let added = |more: &str| said(&and(more).replacen("[plc.points]", state, 1));
    let alone = and("state = \"press-plc.state\"").replacen("[plc.points]", state, 1);
    expect![[r#"
        andon.toml:21:9: nothing says what the values of `state` mean
          21 | state = "press-plc.state"
             |         ^^^^^^^^^^^^^^^^^
        hint: add [machine.states] with lists like running = [6]
    "#]]
    .assert_eq(&said(&alone.replace("run   = \"press-plc.run\"\n", "")));
    expect![[r#"
        andon.toml:22:9: warning: nothing says what the values of `state` mean
          22 | state = "press-plc.state"
             |         ^^^^^^^^^^^^^^^^^
        hint: add [machine.states] with lists like running = [6]
    "#]]
    .assert_eq(&added("state = \"press-plc.state\""));
    expect![[r#"
        andon.toml:18:9: [machine.states] without `state`
          18 | id    = "press-7"
             |         ^^^^^^^^^
        hint: add `state = "plc.point"`
    "#]]
    .assert_eq(&added("[machine.states]\nrunning = [6]"));
    expect![[r#"
        andon.toml:25:12: state 6 means two things
          25 | down = [9, 6]
             |            ^
        hint: name each value once
    "#]]
    .assert_eq(&added("state = \"press-plc.state\"\n[machine.states]\nrunning = [6]\ndown = [9, 6]"));
    let text = and("state = \"press-plc.state\"\n[machine.states]\ndown = [9]").replacen("[plc.points]", state, 1);
    expect![[r#"
        andon.toml:21:9: without `run`, `running` in [machine.states] must say when it runs
          21 | state = "press-plc.state"
             |         ^^^^^^^^^^^^^^^^^
        hint: add `running = [6]`, or `run`
    "#]]
    .assert_eq(&said(&text.replace("run   = \"press-plc.run\"\n", "")));
}

#[test]
fn one_point_in_two_roles() {
    added(
        r#"fault = "press-plc.total""#,
        &expect![[r#"
        andon.toml:21:9: `press-plc.total` is `total` and `fault` of the same machine
          21 | fault = "press-plc.total"
             |         ^^^^^^^^^^^^^^^^^
        hint: each role has a point of its own
    "#]],
    );
}

#[test]
fn total_good_and_reject_are_one_too_many() {
    changed(
        r#"total = "press-plc.total""#,
        r#"total = "press-plc.total"
good = "press-plc.good"
reject = "press-plc.reject""#,
        &expect![[r#"
    andon.toml:21:8: unknown point `press-plc.good`
      21 | good = "press-plc.good"
         |        ^^^^^^^^^^^^^^^^
    hint: `press-plc` has: run, total
    andon.toml:22:10: unknown point `press-plc.reject`
      22 | reject = "press-plc.reject"
         |          ^^^^^^^^^^^^^^^^^^
    hint: `press-plc` has: run, total
    andon.toml:22:10: total, good and reject are one too many: the third follows from two
      22 | reject = "press-plc.reject"
         |          ^^^^^^^^^^^^^^^^^^
    hint: keep the two that the PLC counts itself
"#]],
    );
}

#[test]
fn a_lone_good() {
    changed(
        r#"total = "press-plc.total""#,
        r#"good = "press-plc.total""#,
        &expect![[r#"
        andon.toml:20:8: `good` alone does not say how many were made
          20 | good = "press-plc.total"
             |        ^^^^^^^^^^^^^^^^^
        hint: if it counts every part name it `total`, else add `reject` or `total`
    "#]],
    );
}

#[test]
fn a_lone_reject() {
    changed(
        r#"total = "press-plc.total""#,
        r#"reject = "press-plc.total""#,
        &expect![[r#"
        andon.toml:20:10: `reject` alone does not say how many were made
          20 | reject = "press-plc.total"
             |          ^^^^^^^^^^^^^^^^^
        hint: add `good` or `total`
    "#]],
    );
}

#[test]
fn a_machine_that_shows_nothing() {
    changed(
        r#"run   = "press-plc.run"
total = "press-plc.total"
"#,
        "",
        &expect![[r#"
    andon.toml:17:9: the machine has neither `run` nor a counter: nothing could be derived
      17 | id    = "press-7"
         |         ^^^^^^^^^
    hint: add `run = "plc.point"`, or a counter as `total`
"#]],
    );
}

#[test]
fn counts_alone_without_an_ideal_need_stop_after() {
    changed(
        r#"run   = "press-plc.run"
"#,
        "",
        &expect![[r#"
    andon.toml:17:9: without `run` and without an ideal, `stop_after` must say when it stands
      17 | id    = "press-7"
         |         ^^^^^^^^^
    hint: add `stop_after`, `ideal_rate` or `ideal_cycle`
"#]],
    );
}

#[test]
fn stop_after_below_one_cycle() {
    changed(
        r#"run   = "press-plc.run"
"#,
        r#"ideal_cycle = "30s"
stop_after = "10s"
"#,
        &expect![[r#"
    andon.toml:20:14: `stop_after` is shorter than one ideal cycle: it would stand after every part
      20 | stop_after = "10s"
         |              ^^^^^
    hint: some ideal cycles, like the default of 3
"#]],
    );
}

#[test]
fn short_stop_below_debounce() {
    added(
        r#"debounce = "3m""#,
        &expect![[r#"
        andon.toml:21:12: `short_stop` is shorter than `debounce`: no short stop could be seen
          21 | debounce = "3m"
             |            ^^^^
        hint: short_stop is 120000 ms, debounce 180000 ms
    "#]],
    );
}

#[test]
fn no_data_within_one_poll() {
    added(
        r#"no_data = "200ms""#,
        &expect![[r#"
        andon.toml:21:11: `no_data` (200 ms) is not longer than `poll` (200 ms) of the point that decides
          21 | no_data = "200ms"
             |           ^^^^^^^
        hint: give it several polls, or "off"
    "#]],
    );
}

#[test]
fn open_at_fault_without_a_fault() {
    added(
        r#"open_at = "fault""#,
        &expect![[r#"
        andon.toml:21:11: `open_at = "fault"` without a `fault` point
          21 | open_at = "fault"
             |           ^^^^^^^
        hint: add `fault = "plc.point"`
    "#]],
    );
}

#[test]
fn two_ideals() {
    added(
        r#"ideal_cycle = "1s"
ideal_rate = "60/min""#,
        &expect![[r#"
    andon.toml:22:14: `ideal_cycle` and `ideal_rate` say the same thing twice
      22 | ideal_rate = "60/min"
         |              ^^^^^^^^
    hint: keep one of them
"#]],
    );
}

#[test]
fn max_rate_below_the_ideal() {
    added(
        r#"ideal_rate = "60/min"
max_rate = "59/min""#,
        &expect![[r#"
    andon.toml:22:12: `max_rate` is below the ideal rate: good parts would not be counted
      22 | max_rate = "59/min"
         |            ^^^^^^^^
    hint: leave it out for 4 × the ideal rate
"#]],
    );
}

#[test]
fn a_real_number_as_counter() {
    changed(
        r#"type = "u32""#,
        r#"type = "f32""#,
        &expect![[r#"
        andon.toml:20:9: `press-plc.total` cannot be `total`: its type does not fit
          20 | total = "press-plc.total"
             |         ^^^^^^^^^^^^^^^^^
        hint: give it an integer type, like type = "u32"
    "#]],
    );
}

#[test]
fn a_scaled_counter() {
    changed(
        r#"type = "u32""#,
        r#"type = "u32", scale = 10"#,
        &expect![[r#"
        andon.toml:20:9: `press-plc.total` cannot be `total`: `scale` and `offset` make it a real number
          20 | total = "press-plc.total"
             |         ^^^^^^^^^^^^^^^^^
        hint: take them away; `parts_per_cycle` multiplies counts
    "#]],
    );
}

#[test]
fn a_text_as_run_signal() {
    changed(
        "{ coil = 0 }",
        r#"{ holding = 0, type = "string(4)" }"#,
        &expect![[r#"
        andon.toml:19:9: `press-plc.run` cannot be `run`: its type does not fit
          19 | run   = "press-plc.run"
             |         ^^^^^^^^^^^^^^^
        hint: a coil, a discrete input, `bit` of a register, or an integer type
    "#]],
    );
}

#[test]
fn a_bit_of_32() {
    changed(
        "{ coil = 0 }",
        r#"{ holding = 0, type = "u32", bit = 3 }"#,
        &expect![[r#"
        andon.toml:13:44: `bit` takes one bit of a 16-bit register, `type` says otherwise
          13 | run   = { holding = 0, type = "u32", bit = 3 }
             |                                            ^
        hint: take `type` away, or `bit`
    "#]],
    );
}

#[test]
fn a_type_on_a_coil() {
    changed(
        "{ coil = 0 }",
        r#"{ coil = 0, type = "u16" }"#,
        &expect![[r#"
        andon.toml:13:28: `type` on a coil, which is one bit
          13 | run   = { coil = 0, type = "u16" }
             |                            ^^^^^
        hint: take `type` away, or read a holding or input register
    "#]],
    );
}

#[test]
fn invert_on_a_number() {
    changed(
        "{ coil = 0 }",
        "{ holding = 0, invert = true }",
        &expect![[r#"
        andon.toml:13:33: `invert` is for bits
          13 | run   = { holding = 0, invert = true }
             |                                 ^^^^
        hint: add `bit`, or type = "bool" for "not zero"
    "#]],
    );
}

#[test]
fn a_modulus_that_is_never_reached() {
    changed(
        r#"type = "u32""#,
        r#"type = "u16", modulus = 100000"#,
        &expect![[r#"
        andon.toml:14:50: a counter of this type never reaches 100000
          14 | total = { holding = 100, type = "u16", modulus = 100000 }
             |                                                  ^^^^^^
        hint: at most 65536
    "#]],
    );
}

/// The minimal configuration, whose counter names this overflow flag.
fn with_overflow(flag: &str) -> String {
    let text = with(r#"type = "u32""#, &format!(r#"type = "u32", overflow = "{flag}""#));
    text.replacen("[[machine]]", "[plc.points.ovf]\ncoil = 7\n\n[[machine]]", 1)
}

#[test]
fn a_counter_may_name_its_overflow_flag() {
    let plan = plan(&with_overflow("ovf"));
    let total = plan.rules.machines[0].counters.total.clone().unwrap();
    let flag = total.overflow.map(|flag| plan.points[flag.0].name.as_str());
    assert_eq!(flag, Some("press-plc.ovf"));
}

#[test]
fn a_plc_with_the_points_of_another_has_its_own_overflow_flag() {
    let other = "[[plc]]\nid = \"second\"\ntcp = \"192.168.0.8:502\"\npoints_from = \"press-plc\"\n\n[[machine]]";
    let text = with_overflow("ovf").replacen("[[machine]]", other, 1).replacen("press-plc.total", "second.total", 1);
    let plan = plan(&text);
    let total = plan.rules.machines[0].counters.total.clone().unwrap();
    assert_eq!(total.overflow.map(|flag| plan.points[flag.0].name.as_str()), Some("second.ovf"));
    expect![[r#"
        andon.toml:14:51: unknown point `press-plc.ofv`
          14 | total = { holding = 100, type = "u32", overflow = "ofv" }
             |                                                   ^^^^^
        hint: did you mean `press-plc.ovf`?
    "#]]
    .assert_eq(&said(&text.replacen("overflow = \"ovf\"", "overflow = \"ofv\"", 1)));
}

#[test]
fn an_overflow_flag_that_is_unknown() {
    expect![[r#"
        andon.toml:14:51: unknown point `press-plc.ofv`
          14 | total = { holding = 100, type = "u32", overflow = "ofv" }
             |                                                   ^^^^^
        hint: did you mean `press-plc.ovf`?
    "#]]
    .assert_eq(&said(&with_overflow("ofv")));
}

#[test]
fn an_overflow_flag_of_another_plc() {
    expect![[r#"
        andon.toml:14:51: `overflow` names a point of the same PLC, not `press-plc.ovf`
          14 | total = { holding = 100, type = "u32", overflow = "press-plc.ovf" }
             |                                                   ^^^^^^^^^^^^^^^
        hint: write its name alone, like "good_ovf"
    "#]]
    .assert_eq(&said(&with_overflow("press-plc.ovf")));
}

#[test]
fn an_overflow_flag_that_is_no_bit() {
    expect![[r#"
        andon.toml:14:51: `press-plc.total` cannot be an overflow flag: its type does not fit
          14 | total = { holding = 100, type = "u32", overflow = "total" }
             |                                                   ^^^^^^^
        hint: a coil, a discrete input, or `bit` of a register
    "#]]
    .assert_eq(&said(&with_overflow("total")));
}

#[test]
fn an_overflow_flag_of_what_counts_nothing() {
    let text = with_overflow("ovf").replacen("type = \"u32\"", "type = \"f32\"", 1);
    expect![[r#"
        andon.toml:14:51: `press-plc.total` counts nothing that could overflow
          14 | total = { holding = 100, type = "f32", overflow = "ovf" }
             |                                                   ^^^^^
        hint: take `overflow` away, or give it an integer type
        andon.toml:23:9: `press-plc.total` cannot be `total`: its type does not fit
          23 | total = "press-plc.total"
             |         ^^^^^^^^^^^^^^^^^
        hint: give it an integer type, like type = "u32"
    "#]]
    .assert_eq(&said(&text));
}

#[test]
fn a_point_beyond_the_last_address() {
    changed(
        "holding = 100",
        "holding = 65535",
        &expect![[r#"
        andon.toml:14:21: `press-plc.total` ends beyond address 65535
          14 | total = { holding = 65535, type = "u32" }
             |                     ^^^^^
        hint: it takes 2 registers
    "#]],
    );
}

#[test]
fn a_point_in_no_table() {
    changed(
        "{ coil = 0 }",
        "{ invert = true }",
        &expect![[r#"
        andon.toml:13:9: the point `press-plc.run` lies in no table
          13 | run   = { invert = true }
             |         ^^^^^^^^^^^^^^^^^
        hint: one of coil, discrete, holding, input or ref, like { holding = 100 }
    "#]],
    );
}

#[test]
fn a_point_in_two_tables() {
    changed(
        "{ coil = 0 }",
        r#"{ coil = 0, ref = "00001" }"#,
        &expect![[r#"
        andon.toml:13:27: the point `press-plc.run` lies in two tables
          13 | run   = { coil = 0, ref = "00001" }
             |                           ^^^^^^^
        hint: keep one of coil, discrete, holding, input and ref
    "#]],
    );
}

#[test]
fn a_reference_of_no_table() {
    changed(
        "{ coil = 0 }",
        r#"{ ref = "20001" }"#,
        &expect![[r#"
        andon.toml:13:17: `ref`: no table begins with 2
          13 | run   = { ref = "20001" }
             |                 ^^^^^^^
        hint: 5 or 6 digits: 0 coil, 1 discrete, 3 input, 4 holding, then the number from 1, like "40101"
    "#]],
    );
}

#[test]
fn a_reference_where_an_address_is_wanted() {
    changed(
        "holding = 100",
        r#"holding = "40101""#,
        &expect![[r#"
        andon.toml:14:21: `holding` wants a whole number, this is a string
          14 | total = { holding = "40101", type = "u32" }
             |                     ^^^^^^^
        hint: a number counted from 1 is written ref = "40101"
    "#]],
    );
}

#[test]
fn an_address_that_looks_like_a_reference() {
    changed(
        "holding = 100",
        "holding = 40101",
        &expect![[r#"
        andon.toml:14:21: warning: holding = 40101 is counted from 0
          14 | total = { holding = 40101, type = "u32" }
             |                     ^^^^^
        hint: if it is register 40101 of the manual, write ref = "40101" (the 4 names the table)
    "#]],
    );
}

#[test]
fn an_unknown_type_gets_the_nearest_one() {
    changed(
        r#"type = "u32""#,
        r#"type = "uint32""#,
        &expect![[r#"
            andon.toml:14:33: `type`: unknown type `uint32`
              14 | total = { holding = 100, type = "uint32" }
                 |                                 ^^^^^^^^
            hint: did you mean "u32"?
        "#]],
    );
}

#[test]
fn a_point_wider_than_a_request() {
    changed(
        r#"tcp = "192.168.0.7:502""#,
        r#"tcp = "192.168.0.7:502"
max_registers = 1"#,
        &expect![[r#"
    andon.toml:15:33: `press-plc.total` takes 2 registers, `max_registers` is 1
      15 | total = { holding = 100, type = "u32" }
         |                                 ^^^^^
    hint: a point is never split over two requests
"#]],
    );
}

#[test]
fn fault_code_0_is_no_fault() {
    added(
        r#"
[[reason]]
code = "jam"
class = "failure"
faults = [0, 12]"#,
        &expect![[r#"
    andon.toml:25:11: fault code 0 means that there is no fault
      25 | faults = [0, 12]
         |           ^
    hint: take the 0 away
"#]],
    );
}

#[test]
fn one_fault_with_two_reasons() {
    added(
        r#"
[[reason]]
code = "jam"
class = "failure"
faults = [12]

[[reason]]
code = "oil"
class = "failure"
faults = [11, 12]"#,
        &expect![[r#"
    andon.toml:30:15: fault 12 names `jam` already, at andon.toml:25:11
      30 | faults = [11, 12]
         |               ^^
    hint: limit one of them with `machines`
"#]],
    );
}

#[test]
fn a_reason_for_an_unknown_machine() {
    added(
        r#"
[[reason]]
code = "jam"
class = "failure"
faults = [12]
machines = ["press-8"]"#,
        &expect![[r#"
    andon.toml:26:13: unknown machine `press-8`
      26 | machines = ["press-8"]
         |             ^^^^^^^^^
    hint: did you mean `press-7`?
"#]],
    );
}

#[test]
fn a_password_file_without_a_user() {
    changed(
        "[[plc]]",
        r#"[mqtt]
password_file = "pw"

[[plc]]"#,
        &expect![[r#"
    andon.toml:10:17: `password_file` without `username`
      10 | password_file = "pw"
         |                 ^^^^
    hint: add `username`
"#]],
    );
}

#[test]
fn a_key_without_a_certificate() {
    changed(
        "[[plc]]",
        r#"[mqtt]
brokers = ["mqtts://a"]
key_file = "key"

[[plc]]"#,
        &expect![[r#"
    andon.toml:11:12: `key_file` without `cert_file`
      11 | key_file = "key"
         |            ^^^^^
    hint: add `cert_file`
"#]],
    );
}

#[test]
fn a_broker_that_is_no_url() {
    changed(
        "[[plc]]",
        r#"[mqtt]
brokers = ["tcp://a:1883", "localhost", "mqtt://u:pw@a"]

[[plc]]"#,
        &expect![[r#"
            andon.toml:10:12: `brokers`: `tcp://` is not a way to reach a broker
              10 | brokers = ["tcp://a:1883", "localhost", "mqtt://****@a"]
                 |            ^^^^^^^^^^^^^^
            hint: write mqtt://host:port, or mqtts://host:port for TLS
            andon.toml:10:28: `brokers`: `localhost` is not a broker
              10 | brokers = ["tcp://a:1883", "localhost", "mqtt://****@a"]
                 |                            ^^^^^^^^^^^
            hint: write mqtt://host:port, or mqtts://host:port for TLS
            andon.toml:10:41: `brokers`: a broker's URL holds no user and no password
              10 | brokers = ["tcp://a:1883", "localhost", "mqtt://****@a"]
                 |                                         ^^^^^^^^^^^^^^^
            hint: name the user with `username`, the password with `password_file`
        "#]],
    );
}

#[test]
fn no_broker_at_all() {
    changed(
        "[[plc]]",
        r#"[mqtt]
brokers = []

[[plc]]"#,
        &expect![[r#"
    andon.toml:10:11: `brokers` names no broker
      10 | brokers = []
         |           ^^
    hint: name one, like "mqtt://127.0.0.1:1883"
"#]],
    );
}

#[test]
fn keep_alive_in_parts_of_a_second() {
    changed(
        "[[plc]]",
        r#"[mqtt]
keep_alive = "1500ms"

[[plc]]"#,
        &expect![[r#"
    andon.toml:10:14: `keep_alive` wants whole seconds
      10 | keep_alive = "1500ms"
         |              ^^^^^^^^
    hint: from "1s" to "65535s"
"#]],
    );
}

#[test]
fn tabs_and_umlauts_keep_the_marks_in_place() {
    changed(
        r#""gw-hall-3""#,
        r#""gw-hall-3"
	päth = "ä""#,
        &expect![[r#"
    andon.toml:6:3: invalid unquoted key, expected letters, numbers, `-`, `_`
      6 | 	päth = "ä"
        | 	 ^
"#]],
    );
}

#[test]
fn a_loss_counts_somewhere() {
    added(
        "[oee]\nfailure = \"none\"",
        &expect![[r#"
        andon.toml:22:11: a loss counts somewhere: only a [[reason]] can say that there was no stop at all
          22 | failure = "none"
             |           ^^^^^^
        hint: availability, performance or excluded
    "#]],
    );
}

const TWELVE: &str = r#"day_start = 6

[gateway]
id = "gw.hall-3"
path = "acme/leipzig/hall-3"
timezone = "Europe/Berlln"

[[plc]]
id = "press-plc"
tcp = "192.168.0.7"
[plc.points]
poll = "200ms"
run = { coil = 0, typ = "u16" }
good = { holding = 70000 }
total = { holding = 100, type = "u23" }
hot = { holding = 65535, type = "f32" }

[[machine]]
id = "press-7"
run = "press-plc.run"
total = "press-plc.total"
reject = "press-plc.rejekt"
debounce = "3m"
"#;

#[test]
fn twelve_faults_give_twelve_messages() {
    let faults = load_text("andon.toml", TWELVE).unwrap_err();
    assert_eq!(faults.len(), 12, "{}", rendered(&faults));
    expect![[r#"
        andon.toml:1:13: `day_start` wants a string, this is a whole number
          1 | day_start = 6
            |             ^
        hint: put it in quotes
        andon.toml:4:6: `id`: `gw.hall-3` holds `.`, which has no place in a topic
          4 | id = "gw.hall-3"
            |      ^^^^^^^^^^^
        hint: use letters, digits, `-` and `_`
        andon.toml:6:12: `timezone`: unknown time zone `Europe/Berlln`
          6 | timezone = "Europe/Berlln"
            |            ^^^^^^^^^^^^^^^
        hint: did you mean "Europe/Berlin"?
        andon.toml:10:7: `tcp`: `192.168.0.7` names no port
          10 | tcp = "192.168.0.7"
             |       ^^^^^^^^^^^^^
        hint: write "192.168.0.7:502"
        andon.toml:12:1: `poll` stands in [plc.points], but is a key of [[plc]]
          12 | poll = "200ms"
             | ^^^^
        hint: move it above `[plc.points]`
        andon.toml:13:19: unknown key `typ` in [plc.points.run]
          13 | run = { coil = 0, typ = "u16" }
             |                   ^^^
        hint: did you mean `type`?
        andon.toml:14:20: `holding = 70000` is out of range
          14 | good = { holding = 70000 }
             |                    ^^^^^
        hint: from 0 to 65535
        andon.toml:15:33: `type`: unknown type `u23`
          15 | total = { holding = 100, type = "u23" }
             |                                 ^^^^^
        hint: did you mean "u32"?
        andon.toml:16:19: `press-plc.hot` ends beyond address 65535
          16 | hot = { holding = 65535, type = "f32" }
             |                   ^^^^^
        hint: it takes 2 registers
        andon.toml:18:1: `line` is missing in [[machine]]
          18 | [[machine]]
             | ^^^^^^^^^^^
        hint: add `line = "line-2"`
        andon.toml:22:10: unknown point `press-plc.rejekt`
          22 | reject = "press-plc.rejekt"
             |          ^^^^^^^^^^^^^^^^^^
        hint: `press-plc` has: good, hot, run, total
        andon.toml:23:12: `short_stop` is shorter than `debounce`: no short stop could be seen
          23 | debounce = "3m"
             |            ^^^^
        hint: short_stop is 120000 ms, debounce 180000 ms
    "#]]
    .assert_eq(&rendered(&faults));
}

#[test]
fn a_syntax_fault_hides_nothing_on_other_lines() {
    let text = with("\"gw-hall-3\"", "gw-hall-3").replacen("press-plc.run\"", "press-plc.rum\"", 1);
    expect![[r#"
        andon.toml:5:12: string values must be quoted, expected literal string
          5 | id       = gw-hall-3
            |            ^^^^^^^^^
        hint: put it in quotes
        andon.toml:19:9: unknown point `press-plc.rum`
          19 | run   = "press-plc.rum"
             |         ^^^^^^^^^^^^^^^
        hint: did you mean `press-plc.run`?
    "#]]
    .assert_eq(&said(&text));
}

#[test]
fn the_minimal_configuration_makes_this_plan() {
    let plan = plan(MINIMAL);
    assert_eq!((plan.rules.gateway.as_str(), plan.rules.path.as_str()), ("gw-hall-3", "acme/leipzig/hall-3"));
    assert_eq!((plan.rules.calendar.zone(), plan.rules.oee.convention.word()), ("Europe/Berlin", "oee.com"));
    assert_eq!((plan.prefix.as_str(), plan.data_dir.as_path()), ("andon/v1", Path::new("/var/lib/andon")));
    assert_eq!(plan.mqtt.brokers, [Broker { host: "127.0.0.1".into(), port: 1883, tls: false }]);
    assert_eq!((plan.mqtt.client_id.as_str(), plan.mqtt.keep_alive), ("gw-hall-3", Duration::from_secs(30)));
    let plc = &plan.plcs[0];
    assert_eq!((plc.id.as_str(), plc.channel.to_string().as_str(), plc.unit), ("press-plc", "192.168.0.7:502", 1));
    assert_eq!((plc.poll, plc.timeout), (Duration::from_millis(200), Duration::from_secs(1)));
    assert_eq!((plc.max_registers, plc.max_gap), (125, 8));
    let (point, name) = (PointIx(1), "press-plc.total".into());
    let total = Counter { point, name, modulus: 1 << 32, poll_ms: 200, overflow: None };
    assert_eq!(
        plan.rules.machines,
        [MachineRules {
            id: "press-7".into(),
            line: "line-2".into(),
            asset: "press-7".into(),
            calendar: plan.rules.calendar.clone().into(),
            ideal: None,
            run: RunRule::Signal { point: PointIx(0), hold_ms: 0 },
            counters: Counters { total: Some(total), good: None, reject: None },
            fault: None,
            state: None,
            order: None,
            product: None,
            order_required: false,
            split_after_ms: None,
            debounce_ms: 1_000,
            debounce_run_ms: 1_000,
            short_stop_ms: 120_000,
            open_at_fault: false,
            no_data_ms: Some(5_000),
            poll_ms: 200,
            max_rate: None,
            parts_per_cycle: 1,
            process: Vec::new(),
        }]
    );
}

#[test]
fn a_machine_without_run_stands_after_three_ideal_cycles_but_not_before_ten_seconds() {
    let counts = |ideal: &str| with("run   = \"press-plc.run\"\n", ideal);
    let rule = |text: &str| plan(text).rules.machines[0].run.clone();
    assert_eq!(rule(&counts("ideal_cycle = \"1s\"\n")), RunRule::Counts { stop_after_ms: 10_000 });
    assert_eq!(rule(&counts("ideal_rate = \"4/min\"\n")), RunRule::Counts { stop_after_ms: 45_000 });
    assert_eq!(rule(&counts("stop_after = \"25s\"\n")), RunRule::Counts { stop_after_ms: 25_000 });
    let machine = plan(&counts("ideal_rate = \"700/min\"\n")).rules.machines[0].clone();
    assert_eq!(machine.ideal, Some(Ideal { ms: 60_000, parts: 700 }));
    assert_eq!(machine.max_rate, Some(Ideal { ms: 60_000, parts: 2_800 }), "four times the ideal rate");
}

#[test]
fn a_machine_runs_by_an_expression_or_by_its_state() {
    let points = "[plc.points]\nstate = { holding = 5 }\nlamp = { discrete = 3, hold = \"3s\" }";
    let slow = "\n[[plc]]\nid = \"slow\"\ntcp = \"h:502\"\npoll = \"2s\"\npoints.door = { coil = 1 }\n[[machine]]";
    let text = |run: &str| {
        with("run   = \"press-plc.run\"\n", run).replacen("[plc.points]", points, 1).replacen("[[machine]]", slow, 1)
    };
    let machine = |text: &str| plan(text).rules.machines[0].clone();
    let by = machine(&text("run = \"press-plc.lamp && press-plc.state == 6 && !slow.door\"\n"));
    let operand = |point, name: &str, hold_ms| Operand { point: PointIx(point), name: name.into(), hold_ms };
    let expression = Expression::All(vec![
        Expression::Holds(0),
        Expression::Compares(1, Relation::Equal, 6),
        Expression::Not(Box::new(Expression::Holds(2))),
    ]);
    let operands =
        vec![operand(1, "press-plc.lamp", 3_000), operand(0, "press-plc.state", 0), operand(4, "slow.door", 0)];
    assert_eq!(by.run, RunRule::Expression { expression, operands });
    assert_eq!(by.poll_ms, 2_000, "the slowest decides");
    let one = machine(&text("run = \" (press-plc.lamp)\"\n"));
    assert_eq!(one.run, RunRule::Signal { point: PointIx(1), hold_ms: 3_000 });

    let states = "[machine.states]\nrunning = [6, 7]\ndown = [9]\nexternal = [5]\n";
    let by = machine(&format!("{}{states}", text("state = \"press-plc.state\"\n")));
    assert_eq!((by.run, by.poll_ms), (RunRule::State, 200));
    let state = StateRule {
        point: PointIx(0),
        poll_ms: 200,
        running: vec![6, 7],
        down: vec![9],
        changeover: Vec::new(),
        planned_stop: Vec::new(),
        external: vec![5],
    };
    assert_eq!(by.state, Some(state));
}

#[test]
fn points_mean_what_is_written() {
    let all = r#"
a = { ref = "40101", type = "i16", bit = 3, invert = true }
b = { input = 7, type = "f64", order = "CDAB", scale = 0.5, offset = -1 }
c = { discrete = 9, hold = "3s" }
d = { holding = 20, type = "string(9)" }
e = { holding = 30, type = "bcd32", modulus = 50000000 }
"#;
    let plan = plan(&with("[plc.points]", &format!("[plc.points]{all}")).replace("press-plc.run", "press-plc.c"));
    let plain = |name: &str, area, address, kind| Point {
        name: name.into(),
        area,
        address,
        kind,
        order: Order::Abcd,
        invert: false,
        hold_ms: 0,
        scale: 1.0,
        offset: 0.0,
        modulus: None,
    };
    let points: Vec<Point> = plan.points.into_iter().take(5).map(|named| named.point).collect();
    assert_eq!(
        points,
        [
            Point { invert: true, ..plain("press-plc.a", Area::Holding, 100, Kind::Bool { bit: Some(3) }) },
            Point { order: Order::Cdab, scale: 0.5, offset: -1.0, ..plain("press-plc.b", Area::Input, 7, Kind::F64) },
            Point { hold_ms: 3_000, ..plain("press-plc.c", Area::Discrete, 9, Kind::Bool { bit: None }) },
            plain("press-plc.d", Area::Holding, 20, Kind::Text(9)),
            Point { modulus: Some(50_000_000), ..plain("press-plc.e", Area::Holding, 30, Kind::Bcd32) },
        ]
    );
    assert_eq!(plan.rules.machines[0].run, RunRule::Signal { point: PointIx(2), hold_ms: 3_000 });
}

#[test]
fn one_fault_code_may_have_a_reason_a_machine() {
    let text = and(r#"fault = "press-plc.code"

[[machine]]
id = "press-8"
line = "line-2"
run = "press-plc.run"
no_data = "off"

[[reason]]
code = "mech.jam"
text = "Material jam"
class = "failure"
counts_in = "performance"
faults = [12, 13]
machines = ["press-7"]

[[reason]]
code = "oil"
class = "planned"
faults = [12]
machines = ["press-8"]"#)
    .replace("run   = { coil = 0 }", "run = { coil = 0 }\ncode = { holding = 1 }");
    let rules = plan(&text).rules;
    let jam = ReasonRule {
        code: "mech.jam".into(),
        text: "Material jam".into(),
        class: Class::Failure,
        counts_in: Some(CountsIn::Performance),
        faults: vec![12, 13],
        machines: vec!["press-7".into()],
    };
    let oil = ReasonRule {
        code: "oil".into(),
        text: "oil".into(),
        class: Class::Planned,
        counts_in: None,
        faults: vec![12],
        machines: vec!["press-8".into()],
    };
    assert_eq!(rules.reasons, [jam, oil]);
    assert_eq!(rules.machines[0].fault, Some(PointIx(1)));
    assert_eq!(rules.machines[1].no_data_ms, None);
}

#[test]
fn a_table_where_several_stand_does_not_echo() {
    let text = with("[[machine]]", "[plc]\nid = \"two\"\n\n[[machine]]");
    expect![[r#"
        andon.toml:16:1: [plc] is a single table, and there are 2 of them
          16 | [plc]
             | ^^^^^
        hint: write [[plc]], each time
    "#]]
    .assert_eq(&said(&text));
}

/// Each key that stands in two of them is a fault to the parser.
#[test]
fn single_brackets_around_each_of_several_are_one_fault() {
    for (name, one) in [
        ("plc", "id = \"two\"\ntcp = \"h:1\"\n[plc.points]\nrun = { coil = 0 }\ntotal = { holding = 0 }"),
        (
            "machine",
            "id = \"two\"\nline = \"l\"\nrun = \"press-plc.run\"\nideal_cycle = \"1s\"\n[machine.states]\nrunning = [6]",
        ),
        ("line", "id = \"one\""),
        ("product", "code = \"p\"\nideal_cycle = \"1s\""),
        ("reason", "code = \"x\"\nclass = \"failure\""),
        ("shift", "id = \"early\"\nstart = \"06:00\"\nend = \"14:00\""),
        ("holiday", "date = \"2026-12-25\""),
        ("planned_stop", "days = [\"mon\"]"),
        ("serial", "id = \"a\"\npath = \"/dev/ttyS0\""),
    ] {
        let text = format!("{MINIMAL}\n[{name}] # one\n{one}\n\n[{name}]\n{one}\n");
        let faults = load_text("andon.toml", &text).unwrap_err();
        let told: Vec<String> = faults.iter().map(|fault| fault.render()).collect();
        assert_eq!(faults.len(), 1, "{name}: {told:#?}");
        assert!(told[0].contains(&format!("[{name}] is a single table, and there are ")), "{told:#?}");
        assert!(told[0].contains(&format!("hint: write [[{name}]], each time")), "{told:#?}");
    }
    // Of what is inside one of several, that alone is named.
    let shift = "[[shift]]\nid = \"early\"\nstart = \"06:00\"\nend = \"14:00\"\n";
    let pause = "[shift.breaks]\nstart = \"09:00\"\nend = \"09:15\"\n";
    let told = said(&format!("{MINIMAL}\n{shift}{pause}{pause}"));
    assert!(told.contains("hint: write [[shift.breaks]], each time") && told.matches("hint").count() == 1, "{told}");
    // Two that there may be only one of are what they were.
    let told = said(&format!("{MINIMAL}\n[gateway]\nid = \"a\"\n"));
    assert!(told.contains("duplicate key"), "{told}");
}

#[test]
fn a_night_that_reaches_into_the_next_shift_is_to_end_where_that_begins() {
    let shifts = |day_start: &str, all: &[(&str, &str, &str)]| {
        let one = |(id, start, end): &(&str, &str, &str)| {
            format!("[[shift]]\nid = \"{id}\"\nstart = \"{start}\"\nend = \"{end}\"\n")
        };
        let all: String = all.iter().map(one).collect();
        format!("day_start = \"{day_start}\"\n{MINIMAL}\n{all}")
    };
    let (early, late) = (("early", "06:00", "14:00"), ("late", "14:00", "22:00"));
    let told = said(&shifts("06:00", &[early, late, ("night", "22:00", "06:30")]));
    assert!(told.contains("shift `night` goes across `day_start` (06:00)"), "{told}");
    assert!(told.contains("hint: let it end at 06:00, where shift `early` begins\n"), "{told}");
    // What is said helps.
    plan(&shifts("06:00", &[early, late, ("night", "22:00", "06:00")]));

    let told = said(&shifts("06:00", &[("early", "06:15", "14:00"), late, ("night", "22:00", "06:30")]));
    let words =
        "hint: let it end at 06:15, where shift `early` begins, and write day_start = \"06:15\" at the top of the file";
    assert!(told.contains(words), "{told}");
    plan(&shifts("06:15", &[("early", "06:15", "14:00"), late, ("night", "22:00", "06:15")]));

    // Nothing to reach into: the next time between shifts.
    let told = said(&shifts("06:00", &[("early", "06:30", "14:00"), late, ("night", "22:00", "06:30")]));
    assert!(
        told.contains("hint: write day_start = \"06:30\" at the top of the file: no shift goes across it"),
        "{told}"
    );
    let told = said(&shifts("23:00", &[("early", "02:30", "14:30"), ("late", "14:30", "02:30")]));
    assert!(told.contains("hint: write day_start = \"02:30\" at the top of the file"), "{told}");
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let folder = Folder::of(&[("a.toml", MINIMAL)]);
    let variables = set(&[("ANDON_MQTT__PASSWORD", "hunter2"), ("ANDON_MQTT__BROKERS", "mqtt://joe:hunter2@h")]);
    let told = rendered(&load(&[folder.path("a.toml")], variables).unwrap_err());
    assert_eq!(told.matches("hunter2").count(), 0, "{told}");
    assert!(told.contains("password_file"), "{told}");
}

#[test]
fn faults_of_a_shared_map_are_told_once() {
    let text = with("[[machine]]", "[[plc]]\nid = \"two\"\ntcp = \"h:1\"\npoints_from = \"press-plc\"\n\n[[machine]]")
        .replace("{ coil = 0 }", "{ coil = 0, type = \"u16\" }");
    assert_eq!(load_text("andon.toml", &text).unwrap_err().len(), 1);
}

#[test]
fn our_own_mark_is_no_key_for_others() {
    let text = with("[plc.points]", "[plc.points]\n\"(cut)\" = { coil = 1 }")
        .replace("[gateway]", "[gateway]\n\"(cut)\" = true");
    let codes: Vec<&str> = load_text("andon.toml", &text).unwrap_err().iter().map(|fault| fault.code).collect();
    assert_eq!(codes, ["unknown-key", "bad-value"]);
}

#[test]
fn a_lost_table_hides_no_fault_that_stands_by_itself() {
    let text = with("[plc.points]", "[plc.points").replace("Europe/Berlin", "Berlin");
    let codes: Vec<&str> = load_text("andon.toml", &text).unwrap_err().iter().map(|fault| fault.code).collect();
    assert_eq!(codes, ["bad-value", "syntax"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is cut out of the reference or put in: no panic, and a refusal says why.
    #[test]
    fn no_text_breaks_the_reader(from in 0..REFERENCE.len(), long in 0..40usize, put in "[\\[\\]{}=\"',.#a-z0-9 \n]{0,6}", all in any::<bool>()) {
        let text = if all { REFERENCE.replace("\n#", "\n") } else { REFERENCE.to_owned() };
        let mut from = from.min(text.len());
        while !text.is_char_boundary(from) { from -= 1; }
        let mut to = (from + long).min(text.len());
        while !text.is_char_boundary(to) { to += 1; }
        let text = format!("{}{put}{}", &text[..from], &text[to..]);
        if let Err(faults) = load_text("andon.toml", &text) {
            prop_assert!(faults.iter().any(|fault| fault.severity == Severity::Fault));
            prop_assert!(faults.iter().all(|fault| fault.code != "misshapen"), "{}", rendered(&faults));
            prop_assert!(faults.iter().all(|fault| fault.place.lines.is_some()));
        }
    }

    /// A value of the wrong type or size at any key is a fault of its own, or fine; the mirror never refuses what the shape let pass.
    #[test]
    fn no_value_breaks_the_reader(line in 0..REFERENCE.lines().count(), value in prop::sample::select(vec![
        "-1", "0", "99999999999999999999", "1e400", "nan", "true", "\"\"", "\"off\"", "[]", "[[]]", "{}", "06:00:00", "[{}]", "[1, \"a\", {}]", "0x7fffffffffffffff",
    ])) {
        let changed = |(number, text): (usize, &str)| match text.trim_start_matches('#').split_once(" = ") {
            Some((key, _)) if number == line => format!("{key} = {value}\n"),
            _ => format!("{text}\n"),
        };
        let text: String = REFERENCE.lines().enumerate().map(changed).collect();
        if let Err(faults) = load_text("andon.toml", &text) {
            prop_assert!(faults.iter().all(|fault| fault.code != "misshapen"), "{}", rendered(&faults));
        }
    }
}

#[test]
fn the_examples_check_clean() {
    assert_eq!(said(MINIMAL), "");
    assert_eq!(said(REFERENCE), "");
}

/// In the reference a `#` without a space stands before a key that has no default.
#[test]
fn the_reference_with_every_key_switched_on_has_no_fault() {
    let all: String = REFERENCE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.is_empty() && !key.starts_with(' ') => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect::<String>()
        .replace("mqtt://127", "mqtts://127");
    let (_, warnings) = load_text("andon.toml", &all).unwrap_or_else(|faults| panic!("{}", rendered(&faults)));
    let told: Vec<&str> = warnings.iter().map(|warning| warning.what.split(" is read").next().unwrap()).collect();
    assert_eq!(told, Vec::<&str>::new());
}

/// `(table path, key, schema)` of every key.
fn keys(schema: &Value, path: &str, found: &mut Vec<(String, String, Value)>) {
    for (key, known) in schema["properties"].as_object().into_iter().flatten() {
        found.push((path.to_owned(), key.clone(), known.clone()));
        let below = format!("{path}.{key}");
        keys(known, &below, found);
        keys(&known["items"], &below, found);
        keys(&known["additionalProperties"], &format!("{below}.*"), found);
    }
}

#[test]
fn the_reference_names_every_key() {
    let mut all = Vec::new();
    keys(&schema(), "", &mut all);
    assert!(all.len() > 100, "the schema has its keys");
    for (path, key, _) in all {
        let written = REFERENCE.lines().any(|line| {
            let line = line.trim_start_matches('#').trim_start();
            line.starts_with('[') && line.contains(&key)
                || line.contains(&format!("{key} "))
                || line.contains(&format!("{key},"))
        });
        assert!(written, "{path}.{key} is missing in config/andon.toml");
    }
}

/// Walks the reference as plain TOML beside the schema.
fn same_defaults(value: &toml::Value, schema: &Value, path: &str, compared: &mut usize) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let known = &schema["properties"][key];
                let default =
                    known.get("default").filter(|default| **default != serde_json::json!([]) || key == "from");
                if let Some(default) = default.filter(|_| !value.is_table()) {
                    assert_eq!(&serde_json::to_value(value).unwrap(), default, "{path}.{key}");
                    *compared += 1;
                }
                same_defaults(value, known, &format!("{path}.{key}"), compared);
            }
        }
        toml::Value::Array(items) => {
            items.iter().for_each(|item| same_defaults(item, &schema["items"], path, compared));
        }
        _ => {}
    }
}

#[test]
fn the_reference_shows_the_defaults_of_the_code() {
    let mut compared = 0;
    same_defaults(&toml::from_str(REFERENCE).unwrap(), &schema(), "", &mut compared);
    assert!(compared >= 20, "{compared} compared");
}

#[test]
fn defaults_spelled_out_make_the_same_plan() {
    // Every default of a table that the minimal configuration has, written behind its header.
    let schema = schema();
    let spelled = |schema: &Value| -> String {
        let of = schema["properties"].as_object().unwrap().iter();
        of.filter_map(|(key, known)| Some((key, known.get("default")?)))
            .filter(|(_, default)| !default.is_object())
            .map(|(key, default)| format!("{key} = {default}\n"))
            .collect()
    };
    let of = |pointer: &str| spelled(schema.pointer(&format!("/properties/{pointer}")).unwrap());
    let top = "day_start = \"00:00\"\nfinal_after = \"12h\"\nmeter_every = \"1h\"\nreopen_after = \"8h\"\n";
    let text = MINIMAL
        .replace("[gateway]\n", &format!("{top}[gateway]\n{}", of("gateway")))
        .replace("[[plc]]\n", &format!("[mqtt]\n{}[oee]\n{}[[plc]]\n{}", of("mqtt"), of("oee"), of("plc/items")))
        .replace("[[machine]]\n", &format!("[[machine]]\n{}", of("machine/items")));
    assert!(text.contains("short_stop = \"120s\"") && text.contains("max_gap = 8") && text.contains("keep_alive"));
    assert_eq!(said(&text), "", "a default is no warning");
    assert_eq!(format!("{:?}", plan(&text)), format!("{:?}", plan(MINIMAL)));
    // What has its default from another key.
    let derived = "debounce_run = \"1s\"\nasset = \"press-7\"\n";
    assert_eq!(format!("{:?}", plan(&and(derived))), format!("{:?}", plan(MINIMAL)));
    let ideal = "ideal_rate = \"60/min\"\n";
    let counts = MINIMAL.replace("run   = \"press-plc.run\"\n", ideal);
    let explicit = format!("{counts}max_rate = \"240/min\"\nstop_after = \"10s\"\n");
    assert_eq!(format!("{:?}", plan(&explicit)), format!("{:?}", plan(&counts)));
}

#[test]
fn the_schema_accepts_the_examples_and_refuses_the_twelve_faults() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for example in [MINIMAL, REFERENCE] {
        let value: Value = toml::from_str(example).unwrap();
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new());
    }
    assert!(!validator.is_valid(&toml::from_str::<Value>(TWELVE).unwrap()));
}

#[test]
fn points_are_numbered_over_all_plcs_in_the_order_of_the_file() {
    let text = MINIMAL
        .replace("[[machine]]", "[[plc]]\nid = \"two\"\ntcp = \"h:502\"\npoints_from = \"press-plc\"\n\n[[machine]]");
    let plan = plan(&text);
    let names: Vec<(&str, usize)> = plan.points.iter().map(|point| (point.name.as_str(), point.plc)).collect();
    assert_eq!(names, [("press-plc.run", 0), ("press-plc.total", 0), ("two.run", 1), ("two.total", 1)]);
    let told: Vec<usize> = plan.plcs.iter().flat_map(|plc| &plc.points).map(|(index, _)| index.0).collect();
    assert_eq!(told, [0, 1, 2, 3]);
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn of(files: &[(&str, &str)]) -> Folder {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Folder(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Faults as told, with the folder's own name taken out.
    fn told(&self, faults: &[Fault]) -> String {
        rendered(faults)
            .replace(&format!("{}/", self.0.path().display()), "")
            .replace(&self.0.path().display().to_string(), "DIR")
    }
}

fn set(variables: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>().into_iter()
}

#[test]
fn a_later_file_counts_and_tables_of_one_kind_add_up() {
    let folder = Folder::of(&[
        ("10-base.toml", MINIMAL),
        ("20-site.toml", "[gateway]\nid = \"gw-9\"\n[mqtt]\nprefix = \"\"\n"),
        ("30-more.toml", "[[machine]]\nid = \"press-8\"\nline = \"line-2\"\nrun = \"press-plc.run\"\n"),
        ("README.txt", "not read"),
    ]);
    let (plan, warnings) = load(&[folder.0.path().to_owned()], set(&[])).unwrap();
    assert_eq!(warnings, []);
    assert_eq!((plan.rules.gateway.as_str(), plan.rules.path.as_str()), ("gw-9", "acme/leipzig/hall-3"));
    assert_eq!(plan.prefix, "");
    let machines: Vec<&str> = plan.rules.machines.iter().map(|machine| machine.id.as_str()).collect();
    assert_eq!(machines, ["press-7", "press-8"]);
}

#[test]
fn one_id_in_two_files_names_both_places() {
    let folder = Folder::of(&[
        ("a.toml", MINIMAL),
        ("b.toml", "\n[[machine]]\nid = \"press-7\"\nline = \"l\"\nrun = \"press-plc.run\"\n"),
    ]);
    let faults = load(&[folder.path("a.toml"), folder.path("b.toml")], set(&[])).unwrap_err();
    expect![[r#"
        b.toml:3:6: machine `press-7` stands twice, first at a.toml:17:9
          3 | id = "press-7"
            |      ^^^^^^^^^
        hint: give each machine its own id
    "#]]
    .assert_eq(&folder.told(&faults));
}

#[test]
fn a_file_that_cannot_be_read_is_fatal() {
    let folder = Folder::of(&[("a.toml", MINIMAL)]);
    fs::create_dir(folder.path("empty")).unwrap();
    fs::write(folder.path("latin1.toml"), b"# M\xfcnchen\n").unwrap();
    let paths = [folder.path("a.toml"), folder.path("none.toml"), folder.path("empty"), folder.path("latin1.toml")];
    let faults = load(&paths, set(&[])).unwrap_err();
    expect![[r#"
        none.toml: the file cannot be read: No such file or directory (os error 2)
        hint: nothing is assumed in its place
        empty: the file cannot be read: the folder holds no *.toml
        hint: nothing is assumed in its place
        latin1.toml: the file cannot be read: stream did not contain valid UTF-8
        hint: nothing is assumed in its place
    "#]]
    .assert_eq(&folder.told(&faults));
}

#[test]
fn the_environment_counts_last_and_keeps_texts_as_texts() {
    let folder = Folder::of(&[("a.toml", MINIMAL)]);
    let variables = set(&[
        ("ANDON_GATEWAY__ID", "502"),
        ("ANDON_MQTT__BROKERS", "mqtt://a, mqtts://b:9"),
        ("ANDON_OEE__CONVENTION", "smrp"),
        ("ANDON_DAY_START", "06:00"),
        ("ANDONX_GATEWAY__ID", "not ours"),
        ("HOME", "/root"),
    ]);
    let (plan, warnings) = load(&[folder.path("a.toml")], variables).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(plan.rules.gateway, "502");
    assert_eq!(plan.mqtt.client_id, "502");
    assert_eq!(plan.mqtt.brokers.len(), 2);
    assert!(plan.mqtt.brokers[1].tls);
    assert_eq!(plan.rules.oee.convention.word(), "smrp");
}

#[test]
fn a_fault_of_the_environment_names_its_variable() {
    let folder = Folder::of(&[("a.toml", MINIMAL)]);
    let variables = set(&[
        ("ANDON_GATEWAY__TIMEZONE", "Mars/Olympus"),
        ("ANDON_GATEWAY__IDD", "x"),
        ("ANDON_MQTT__KEEP_ALIVE", "30"),
        ("ANDON_PLC__0__TCP", "h:502"),
    ]);
    let faults = load(&[folder.path("a.toml")], variables).unwrap_err();
    expect![[r#"
        ANDON_GATEWAY__IDD: unknown key `idd` in [gateway]
           | x
           | ^
        hint: did you mean `id`?
        ANDON_GATEWAY__TIMEZONE: `timezone`: unknown time zone `Mars/Olympus`
           | Mars/Olympus
           | ^^^^^^^^^^^^
        hint: use a name of the IANA database, like "Europe/Berlin"
        ANDON_MQTT__KEEP_ALIVE: `keep_alive`: `30` is not a duration
           | 30
           | ^^
        hint: write an integer before one unit (us, ms, s, m, h or d), like "200ms"
        ANDON_PLC__0__TCP: `plc.0.tcp` lies in a table that stands more than once
           | h:502
           | ^^^^^
        hint: set it in a file
    "#]]
    .assert_eq(&folder.told(&faults));
    assert!(faults.iter().all(|fault| fault.place.lines.is_none()));
}

/// Exit code, stdout, stderr.
fn checked(text: &str, format: Format) -> (u8, String, String) {
    let folder = Folder::of(&[("andon.toml", text)]);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = check(&[folder.path("andon.toml")], set(&[]), format, &mut out, &mut err).unwrap();
    let plain = |bytes| String::from_utf8(bytes).unwrap().replace(&format!("{}/", folder.0.path().display()), "");
    (code, plain(out), plain(err))
}

#[test]
fn check_counts_what_it_found_in_order() {
    assert_eq!(
        checked(MINIMAL, Format::Text),
        (0, "ok: 1 gateway, 1 PLC, 2 points, 1 machine\n".into(), String::new())
    );
    assert_eq!(checked(MINIMAL, Format::Json), (0, "[]\n".into(), String::new()));
}

#[test]
fn check_tells_people_on_stderr_and_programs_on_stdout() {
    let text = and("short_stop = 120\nstop_after = \"10s\"\n");
    let (code, out, err) = checked(&text, Format::Text);
    assert_eq!((code, out.as_str()), (78, ""));
    expect![[r#"
        andon.toml:21:14: `short_stop` wants a duration in quotes, this is a whole number
          21 | short_stop = 120
             |              ^^^
        hint: write the unit too, short_stop = "120s" or "120ms"

        andon.toml:22:14: warning: `stop_after` has no effect beside `run`: the signal decides
          22 | stop_after = "10s"
             |              ^^^^^

        1 fault, 1 warning
    "#]]
    .assert_eq(&err);
    let (code, out, err) = checked(&text, Format::Json);
    assert_eq!((code, err.as_str()), (78, ""));
    expect![[r#"
        [
          {
            "file": "andon.toml",
            "line": 21,
            "column": 14,
            "end_line": 21,
            "end_column": 17,
            "severity": "fault",
            "code": "wrong-type",
            "what": "`short_stop` wants a duration in quotes, this is a whole number",
            "hint": "write the unit too, short_stop = \"120s\" or \"120ms\""
          },
          {
            "file": "andon.toml",
            "line": 22,
            "column": 14,
            "end_line": 22,
            "end_column": 19,
            "severity": "warning",
            "code": "no-effect",
            "what": "`stop_after` has no effect beside `run`: the signal decides",
            "hint": null
          }
        ]
    "#]]
    .assert_eq(&out);
}

#[test]
fn a_warning_refuses_nothing() {
    let (_, warnings) = load_text("andon.toml", &and("stop_after = \"10s\"")).unwrap();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].severity, Severity::Warning);
}

// Shifts, holidays, planned stops

/// A second machine in another line, so that something can be limited.
const OVEN: &str = r#"
[[machine]]
id = "oven"
line = "line-3"
run = "press-plc.run"
"#;

/// `[[shift]]`s written short: `early 06:00-14:00`, and what else stands in it.
fn shifts(all: &[(&str, &str)]) -> String {
    let one = |(words, more): &(&str, &str)| {
        let (id, span) = words.split_once(' ').unwrap();
        let (start, end) = span.split_once('-').unwrap();
        format!("\n[[shift]]\nid = \"{id}\"\nstart = \"{start}\"\nend = \"{end}\"\n{more}\n")
    };
    all.iter().map(one).collect()
}

#[track_caller]
fn planned(more: &str, expected: &Expect) {
    expected.assert_eq(&said(&format!("{MINIMAL}{OVEN}{more}")));
}

#[test]
fn shifts_of_one_machine_that_overlap() {
    planned(
        &shifts(&[("early 06:00-14:00", ""), ("late 13:30-22:00", "days = [\"fri\"]")]),
        &expect![[r#"
        andon.toml:34:6: shift `late` overlaps shift `early` at andon.toml:28:6: both are on Fridays from 13:30 to 14:00
          34 | id = "late"
             |      ^^^^^^
        hint: let one end where the other starts, or give them other days, dates or machines
    "#]],
    );
}

#[test]
fn shifts_that_overlap_over_midnight_and_the_end_of_the_week() {
    planned(
        &shifts(&[("night 18:00-02:00", "days = [\"sun\"]"), ("early 01:00-09:00", "days = [\"mon\"]")]),
        &expect![[r#"
            andon.toml:28:6: shift `night` goes across `day_start` (00:00): it would lie in two days
              28 | id = "night"
                 |      ^^^^^^^
            hint: let it end at 01:00, where shift `early` begins, and write day_start = "01:00" at the top of the file: no shift goes across it
            andon.toml:34:6: shift `early` overlaps shift `night` at andon.toml:28:6: both are on Mondays from 01:00 to 02:00
              34 | id = "early"
                 |      ^^^^^^^
            hint: let one end where the other starts, or give them other days, dates or machines
        "#]],
    );
}

#[test]
fn shifts_that_overlap_only_while_both_are_valid() {
    planned(
        &shifts(&[
            ("early 06:00-14:00", "valid_until = \"2026-12-31\""),
            ("long 05:00-15:00", "valid_from = \"2026-12-31\""),
        ]),
        &expect![[r#"
            andon.toml:34:6: shift `long` overlaps shift `early` at andon.toml:28:6: both are on Thu 2026-12-31 from 06:00 to 14:00
              34 | id = "long"
                 |      ^^^^^^
            hint: let one end where the other starts, or give them other days, dates or machines
        "#]],
    );
    planned(
        &shifts(&[
            ("early 06:00-14:00", "valid_until = \"2026-12-31\""),
            ("early 05:00-13:00", "valid_from = \"2027-01-01\""),
        ]),
        &expect![""],
    );
}

#[test]
fn the_last_night_of_an_old_shift_overlaps_the_first_of_a_new_one() {
    let more = shifts(&[
        ("night 22:00-06:00", "valid_until = \"2026-12-31\""),
        ("early 05:00-13:00", "valid_from = \"2027-01-01\""),
    ]);
    let text = format!("day_start = \"13:00\"\n{MINIMAL}{OVEN}{more}");
    expect![[r#"
        andon.toml:35:6: shift `early` overlaps shift `night` at andon.toml:29:6: both are on Fri 2027-01-01 from 05:00 to 06:00
          35 | id = "early"
             |      ^^^^^^^
        hint: let one end where the other starts, or give them other days, dates or machines
    "#]].assert_eq(&said(&text));
}

#[test]
fn an_extra_shift_overlaps_on_its_dates_but_not_on_a_holiday() {
    let more = shifts(&[("early 06:00-14:00", ""), ("extra 08:00-12:00", "dates = [\"2026-12-26\"]")]);
    planned(
        &more,
        &expect![[r#"
        andon.toml:34:6: shift `extra` overlaps shift `early` at andon.toml:28:6: both are on Sat 2026-12-26 from 08:00 to 12:00
          34 | id = "extra"
             |      ^^^^^^^
        hint: let one end where the other starts, or give them other days, dates or machines
    "#]],
    );
    planned(&format!("{more}[[holiday]]\ndate = 2026-12-26\n"), &expect![""]);
    planned(
        &format!("{more}[[holiday]]\ndate = 2026-12-26\nlines = [\"line-3\"]\n").replace("14:00", "14:01"),
        &expect![[r#"
            andon.toml:34:6: shift `extra` overlaps shift `early` at andon.toml:28:6: both are on Sat 2026-12-26 from 08:00 to 12:00
              34 | id = "extra"
                 |      ^^^^^^^
            hint: let one end where the other starts, or give them other days, dates or machines
        "#]],
    );
}

#[test]
fn one_id_twice_on_a_date() {
    planned(
        &shifts(&[("early 06:00-12:00", ""), ("early 13:00-14:00", "days = [\"fri\", \"sat\"]")]),
        &expect![[r#"
        andon.toml:34:6: shift `early` stands twice on Fridays, first at andon.toml:28:6
          34 | id = "early"
             |      ^^^^^^^
        hint: give one of them another id, or other days, dates or machines
    "#]],
    );
    planned(
        &shifts(&[
            ("early 06:00-14:00", "days = [\"mon\"]"),
            ("early 06:00-12:00", "days = [\"fri\"]"),
            ("early 05:00-13:00", "days = [\"tue\"]\nmachines = [\"oven\"]"),
            ("early 07:00-15:00", "days = [\"tue\"]\nlines = [\"line-2\"]"),
        ]),
        &expect![""],
    );
}

#[test]
fn a_shift_across_day_start() {
    planned(
        &shifts(&[("early 06:00-14:00", ""), ("late 14:00-22:00", ""), ("night 22:00-06:00", "")]),
        &expect![[r#"
        andon.toml:40:6: shift `night` goes across `day_start` (00:00): it would lie in two days
          40 | id = "night"
             |      ^^^^^^^
        hint: write day_start = "06:00" at the top of the file: no shift goes across it
    "#]],
    );
}

#[test]
fn a_shift_across_day_start_where_none_would_fit() {
    planned(
        &shifts(&[
            ("a 05:00-17:00", "machines = [\"oven\"]"),
            ("b 17:00-05:00", "machines = [\"oven\"]"),
            ("c 06:00-18:00", "machines = [\"press-7\"]"),
            ("d 18:00-06:00", "machines = [\"press-7\"]"),
        ]),
        &expect![[r#"
            andon.toml:34:6: shift `b` goes across `day_start` (00:00): it would lie in two days
              34 | id = "b"
                 |      ^^^
            hint: no time of day lies between the shifts of all machines: let them begin or end together once a day
            andon.toml:46:6: shift `d` goes across `day_start` (00:00): it would lie in two days
              46 | id = "d"
                 |      ^^^
            hint: no time of day lies between the shifts of all machines: let them begin or end together once a day
        "#]],
    );
}

#[test]
fn breaks_that_do_not_fit() {
    planned(
        &shifts(&[(
            "early 06:00-14:00",
            r#"breaks = [
    { start = "05:45", end = "06:15" },
    { start = "09:00", end = "09:15" },
    { start = "09:10", end = "09:30" },
    { start = "13:45", end = "14:15" },
    { start = "12:00", end = "12:00" },
    { start = "15:00", end = "15:15" },
]"#,
        )]),
        &expect![[r#"
            andon.toml:32:15: a break from 05:45 to 06:15 does not lie in the shift, which goes from 06:00 to 14:00
              32 |     { start = "05:45", end = "06:15" },
                 |               ^^^^^^^
            hint: a break stands in the shift that contains all of it
            andon.toml:34:15: the break overlaps the one that begins at 09:00, at andon.toml:33:15
              34 |     { start = "09:10", end = "09:30" },
                 |               ^^^^^^^
            hint: make one break of them
            andon.toml:35:15: a break from 13:45 to 14:15 does not lie in the shift, which goes from 06:00 to 14:00
              35 |     { start = "13:45", end = "14:15" },
                 |               ^^^^^^^
            hint: a break stands in the shift that contains all of it
            andon.toml:36:30: it ends when it starts
              36 |     { start = "12:00", end = "12:00" },
                 |                              ^^^^^^^
            hint: give it another `end`
            andon.toml:37:15: a break from 15:00 to 15:15 does not lie in the shift, which goes from 06:00 to 14:00
              37 |     { start = "15:00", end = "15:15" },
                 |               ^^^^^^^
            hint: a break stands in the shift that contains all of it
        "#]],
    );
}

#[test]
fn a_shift_that_contradicts_itself() {
    planned(
        &shifts(&[
            ("a 06:00-06:00", ""),
            ("b 08:00-09:00", "days = []"),
            ("c 09:00-10:00", "days = [\"mon\"]\ndates = [\"2026-12-24\"]"),
            ("d 10:00-11:00", "valid_from = \"2027-01-01\"\nvalid_until = \"2026-12-31\""),
            ("e 11:00-12:00", "days = [\"monday\"]"),
        ]),
        &expect![[r#"
            andon.toml:30:7: it ends when it starts
              30 | end = "06:00"
                 |       ^^^^^^^
            hint: give it another `end`; two shifts of 12 hours fill a day
            andon.toml:37:8: `days` is empty: the shift would never be
              37 | days = []
                 |        ^^
            hint: take the shift away, or say when it is
            andon.toml:43:8: `days` beside `dates`: the dates alone say when it is
              43 | days = ["mon"]
                 |        ^^^^^^^
            hint: keep one of them
            andon.toml:51:15: `valid_until` (2026-12-31) is before `valid_from` (2027-01-01)
              51 | valid_until = "2026-12-31"
                 |               ^^^^^^^^^^^^
            hint: it is the last date that the shift starts on
            andon.toml:57:9: `days` cannot be `monday`
              57 | days = ["monday"]
                 |         ^^^^^^^^
            hint: one of mon, tue, wed, thu, fri, sat, sun
        "#]],
    );
}

#[test]
fn dates_that_are_none() {
    planned(
        &shifts(&[(
            "a 06:00-07:00",
            "dates = [\"2026-02-30\", \"24.12.2026\", \"2026-1-5\", \"tomorrow\", 2026-11-30]",
        )]),
        &expect![[r#"
            andon.toml:31:9: warning: `press-7` has extra shifts only: on all other dates it is not planned to run
              31 | dates = ["2026-02-30", "24.12.2026", "2026-1-5", "tomorrow", 2026-11-30]
                 |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            hint: give it shifts with `days` too, or none at all for around the clock
            andon.toml:31:10: `dates`: there is no date `2026-02-30`
              31 | dates = ["2026-02-30", "24.12.2026", "2026-1-5", "tomorrow", 2026-11-30]
                 |          ^^^^^^^^^^^^
            hint: February 2026 has 28 days
            andon.toml:31:24: `dates`: `24.12.2026` is not a date
              31 | dates = ["2026-02-30", "24.12.2026", "2026-1-5", "tomorrow", 2026-11-30]
                 |                        ^^^^^^^^^^^^
            hint: write "2026-12-24"
            andon.toml:31:38: `dates`: `2026-1-5` is not a date
              31 | dates = ["2026-02-30", "24.12.2026", "2026-1-5", "tomorrow", 2026-11-30]
                 |                                      ^^^^^^^^^^
            hint: write "2026-01-05"
            andon.toml:31:50: `dates`: `tomorrow` is not a date
              31 | dates = ["2026-02-30", "24.12.2026", "2026-1-5", "tomorrow", 2026-11-30]
                 |                                                  ^^^^^^^^^^
            hint: write year-month-day, like "2026-12-24"
        "#]],
    );
    planned(
        &shifts(&[("a 06:00-07:00", "dates = [2026-11-31]")]),
        &expect![[r#"
        andon.toml:31:10: invalid date, expected day between 01 and 30
          31 | dates = [2026-11-31]
             |          ^^^^^^^^^^
    "#]],
    );
    planned(
        &shifts(&[("a 06:00-07:00", "valid_from = 20261224\nvalid_until = \"2026-13-01\"")]),
        &expect![[r#"
            andon.toml:31:14: `valid_from` wants a date, this is a whole number
              31 | valid_from = 20261224
                 |              ^^^^^^^^
            hint: write year-month-day in quotes, like "2026-12-24"
            andon.toml:32:15: `valid_until`: there is no date `2026-13-01`
              32 | valid_until = "2026-13-01"
                 |               ^^^^^^^^^^^^
            hint: write year-month-day, like "2026-12-24"
        "#]],
    );
}

#[test]
fn lines_and_their_bottlenecks() {
    let lines = |more: &str| load_text("andon.toml", &format!("{PLANT_OF_LINES}{more}")).map(|(plan, _)| plan.rules);
    let rules = lines("[[line]]\nid = \"line-2\"\nbottleneck = \"press-8\"\n[[line]]\nid = \"line-3\"\n").unwrap();
    assert_eq!((rules.bottleneck("line-2"), rules.bottleneck("line-3")), (Some("press-8"), None));
    assert_eq!(lines("").unwrap().bottleneck("line-2"), None);
    let faults = lines(
        r#"[[line]]
id = "line-2"
bottleneck = "oven"
[[line]]
id = "line-3"
bottleneck = "ovn"
[[line]]
id = "line-33"
[[line]]
id = "line-2"
[[line]]
bottleneck = "oven"
"#,
    );
    expect![[r#"
        andon.toml:25:14: `oven` stands in line `line-3`, not in `line-2`
          25 | bottleneck = "oven"
             |              ^^^^^^
        hint: in `line-2` stand: press-7, press-8
        andon.toml:28:14: unknown machine `ovn`
          28 | bottleneck = "ovn"
             |              ^^^^^
        hint: did you mean `oven`?
        andon.toml:30:6: no machine stands in line `line-33`
          30 | id = "line-33"
             |      ^^^^^^^^^
        hint: did you mean `line-3`?
        andon.toml:32:6: line `line-2` stands twice, first at andon.toml:24:6
          32 | id = "line-2"
             |      ^^^^^^^^
        hint: give each line its own id
        andon.toml:33:1: `id` is missing in [[line]]
          33 | [[line]]
             | ^^^^^^^^
        hint: add `id = "line-2"`
    "#]]
    .assert_eq(&rendered(&faults.unwrap_err()));
}

const PLANT_OF_LINES: &str = r#"
[gateway]
id = "gw"
path = "acme/hall-3"
timezone = "Europe/Berlin"
[[plc]]
id = "plc"
tcp = "127.0.0.1:502"
[plc.points]
run = { coil = 0 }
[[machine]]
id = "press-7"
line = "line-2"
run = "plc.run"
[[machine]]
id = "press-8"
line = "line-2"
run = "plc.run"
[[machine]]
id = "oven"
line = "line-3"
run = "plc.run"
"#;

#[test]
fn machines_and_lines_that_there_are_not() {
    planned(
        &shifts(&[("a 06:00-07:00", "machines = [\"ovn\"]\nlines = [\"line-2\", \"line-9\", \"hall\"]")])
            .add("[[holiday]]\ndate = \"2026-12-25\"\nlines = [\"line3\"]\n"),
        &expect![[r#"
            andon.toml:31:13: unknown machine `ovn`
              31 | machines = ["ovn"]
                 |             ^^^^^
            hint: did you mean `oven`?
            andon.toml:32:20: no machine stands in line `line-9`
              32 | lines = ["line-2", "line-9", "hall"]
                 |                    ^^^^^^^^
            hint: did you mean `line-2`?
            andon.toml:32:30: no machine stands in line `hall`
              32 | lines = ["line-2", "line-9", "hall"]
                 |                              ^^^^^^
            hint: the machines' lines are: line-2, line-3
            andon.toml:35:10: no machine stands in line `line3`
              35 | lines = ["line3"]
                 |          ^^^^^^^
            hint: did you mean `line-3`?
        "#]],
    );
}

#[test]
fn a_machine_with_extra_shifts_only_is_warned_of() {
    planned(
        &shifts(&[("a 06:00-07:00", "dates = [2026-12-24]\nmachines = [\"oven\"]")]),
        &expect![[r#"
        andon.toml:31:9: warning: `oven` has extra shifts only: on all other dates it is not planned to run
          31 | dates = [2026-12-24]
             |         ^^^^^^^^^^^^
        hint: give it shifts with `days` too, or none at all for around the clock
    "#]],
    );
}

#[test]
fn holidays_that_are_no_dates() {
    planned(
        r#"
[[holiday]]
name = "never"
[[holiday]]
date = "2026-12-25"
until = "2026-12-26"
[[holiday]]
from = "2026-12-25"
[[holiday]]
until = "2026-12-25"
[[holiday]]
from = "2026-12-26"
until = "2026-12-25"
"#,
        &expect![[r#"
            andon.toml:27:1: the holiday has no date
              27 | [[holiday]]
                 | ^^^^^^^^^^^
            hint: add `date = "2026-12-25"`, or `from` and `until`
            andon.toml:31:9: `date` is one day, `from` and `until` are several
              31 | until = "2026-12-26"
                 |         ^^^^^^^^^^^^
            hint: keep one of both
            andon.toml:33:8: `from` without `until`
              33 | from = "2026-12-25"
                 |        ^^^^^^^^^^^^
            hint: add `until`, the last date; or write `date`
            andon.toml:35:9: `until` without `from`
              35 | until = "2026-12-25"
                 |         ^^^^^^^^^^^^
            hint: add `from`
            andon.toml:38:9: `until` (2026-12-25) is before `from` (2026-12-26)
              38 | until = "2026-12-25"
                 |         ^^^^^^^^^^^^
            hint: it is the last date
        "#]],
    );
}

#[test]
fn planned_stops_that_are_never_or_twice() {
    planned(
        r#"
[[planned_stop]]
name = "never"
[[planned_stop]]
days = ["mon"]
from = "2026-12-25"
[[planned_stop]]
days = ["mon"]
start = "10:00"
[[planned_stop]]
start = "10:00"
end = "11:00"
[[planned_stop]]
days = ["mon"]
start = "10:00"
end = "10:00"
[[planned_stop]]
from = "2026-12-25"
[[planned_stop]]
from = "2026-12-25T12:00"
until = "2026-12-25T11:00"
[[planned_stop]]
from = "2026-12-25T12:00+01:00"
until = "2026-12-25T25:00"
"#,
        &expect![[r#"
            andon.toml:27:1: the planned stop has no time
              27 | [[planned_stop]]
                 | ^^^^^^^^^^^^^^^^
            hint: add `days`, `start` and `end` for every week, or `from` and `until`
            andon.toml:31:8: `days`, `start` and `end` are every week, `from` and `until` are once
              31 | from = "2026-12-25"
                 |        ^^^^^^^^^^^^
            hint: keep one of both
            andon.toml:34:9: `start` without `end`
              34 | start = "10:00"
                 |         ^^^^^^^
            hint: add `end`
            andon.toml:36:9: the planned stop is on no day
              36 | start = "10:00"
                 |         ^^^^^^^
            hint: add the days that it begins on, `days = ["fri"]`
            andon.toml:41:7: it ends when it starts
              41 | end = "10:00"
                 |       ^^^^^^^
            hint: leave both out for the whole day
            andon.toml:43:8: `from` without `until`
              43 | from = "2026-12-25"
                 |        ^^^^^^^^^^^^
            hint: add `until`
            andon.toml:46:9: it ends before it starts
              46 | until = "2026-12-25T11:00"
                 |         ^^^^^^^^^^^^^^^^^^
            hint: give it a later `until`
            andon.toml:48:8: `from`: `2026-12-25T12:00+01:00` bears an offset, but the clock on the wall is meant
              48 | from = "2026-12-25T12:00+01:00"
                 |        ^^^^^^^^^^^^^^^^^^^^^^^^
            hint: write "2026-12-25T12:00"
            andon.toml:49:9: `until`: `25:00` is not a time of day
              49 | until = "2026-12-25T25:00"
                 |         ^^^^^^^^^^^^^^^^^^
            hint: write hours and minutes, like "06:00"
        "#]],
    );
}

#[test]
fn each_machine_has_the_calendar_that_is_meant_for_it() {
    let more = shifts(&[(
        "early 06:00-14:00",
        "days = [\"fri\", \"mon\", \"mon\"]\nlines = [\"line-2\"]\nbreaks = [{ start = \"12:00\", end = \"12:30\" }, { start = \"09:00\", end = \"09:15\" }]",
    )]);
    let third = OVEN.replace("\"oven\"", "\"press-8\"").replace("line-3", "line-2");
    let plan = plan(&format!(
        "{MINIMAL}{OVEN}{third}{more}[[holiday]]\ndate = 2026-12-25\n[[planned_stop]]\nfrom = 2026-12-24\nuntil = 2026-12-24\nmachines = [\"oven\"]\n"
    ));
    let [press, oven, second] = plan.rules.machines.as_slice() else { panic!("three machines") };
    assert!(Arc::ptr_eq(&press.calendar, &second.calendar), "machines with one calendar share it");
    let days = Calendar::new(TimeZone::get("Europe/Berlin").unwrap(), Time::midnight());
    let holiday =
        calendar::Holiday { from: "2026-12-25".parse().unwrap(), until: "2026-12-25".parse().unwrap(), name: None };
    let pause = |start: &str, end: &str| calendar::Break { start: start.parse().unwrap(), end: end.parse().unwrap() };
    let early = calendar::Shift {
        id: "early".into(),
        on: calendar::On::Days { days: vec![Weekday::Mon, Weekday::Fri], from: None, until: None },
        start: "06:00".parse().unwrap(),
        end: "14:00".parse().unwrap(),
        breaks: vec![pause("09:00", "09:15"), pause("12:00", "12:30")],
    };
    assert_eq!(*press.calendar, days.planned(vec![early], vec![holiday.clone()], vec![]));
    let stop = calendar::PlannedStop {
        name: None,
        when: calendar::When::Once {
            from: "2026-12-24T00:00".parse().unwrap(),
            until: "2026-12-25T00:00".parse().unwrap(),
        },
    };
    assert_eq!(*oven.calendar, days.planned(vec![], vec![holiday], vec![stop]));
}
