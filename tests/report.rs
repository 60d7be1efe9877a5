//! Figures as people and programs read them: tables, CSV and JSON of machines, lines and the site, and what has changed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;

use andon::{Answer, Ear, Place, Plc, dead_port};
use expect_test::{Expect, expect};
use mosquitto::{Door, Mosquitto};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write as _, process::Command};

/// Two machines of one line, and an oven with other times for the shift of the same id.
const PLANT: &str = r#"
[gateway]
id = "gw"
path = "acme/leipzig/hall-3"
timezone = "Europe/Berlin"
data_dir = "{folder}/data"
[[plc]]
id = "plc"
tcp = "127.0.0.1:502"
[plc.points]
filler = { coil = 0 }
good = { holding = 0, type = "u32" }
reject = { holding = 2 }
fault = { holding = 3 }
order = { holding = 4 }
capper = { coil = 1 }
capped = { holding = 5, type = "u32" }
oven = { coil = 2 }
baked = { holding = 7, type = "u32" }
[[machine]]
id = "filler-1"
line = "line-2"
ideal_rate = "60/min"
run = "plc.filler"
good = "plc.good"
reject = "plc.reject"
fault = "plc.fault"
order = "plc.order"
no_data = "1m"
[[machine]]
id = "capper-1"
line = "line-2"
ideal_rate = "60/min"
run = "plc.capper"
total = "plc.capped"
no_data = "1m"
[[machine]]
id = "oven"
line = "line-3"
run = "plc.oven"
total = "plc.baked"
max_rate = "120/min"
no_data = "1m"
[[product]]
code = "4712"
ideal_rate = "66/min"
[[shift]]
id = "early"
start = "06:00"
end = "14:00"
breaks = [{ start = "09:00", end = "09:30" }]
lines = ["line-2"]
[[shift]]
id = "early"
start = "05:00"
end = "13:00"
lines = ["line-3"]
[[shift]]
id = "late"
start = "14:00"
end = "22:00"
lines = ["line-2"]
[[reason]]
code = "mech.jam"
class = "failure"
faults = [12]
[[reason]]
code = "op.clean"
class = "operational"
faults = [21]
[[reason]]
code = "ext.starved"
class = "external"
counts_in = "excluded"
faults = [40]
"#;

/// 2026-11-23, 06:00 in Leipzig.
const BEGINS_MS: i64 = 1_795_410_000_000;

/// Minutes from the beginning at which a machine stands, and the fault that it shows.
type Stops = [(i64, i64, i64)];
const FILLER: &Stops =
    &[(60, 100, 12), (180, 210, 0), (300, 301, 21), (480, 500, 40), (700, 704, 0), (720, 750, 12), (955, 999, 12)];
const CAPPER: &Stops = &[(100, 110, 0), (180, 210, 0), (500, 520, 0), (522, 530, 0)];
const OVEN: &Stops = &[(30, 60, 0), (420, 999, 0)];

/// Nobody sees the filler.
const DARK: std::ops::Range<i64> = 600..620;

/// From six in the morning to ten in the evening, a row each ten seconds.
fn day() -> String {
    let mut rows =
        "time,plc.filler,plc.good,plc.reject,plc.fault,plc.order,plc.capper,plc.capped,plc.oven,plc.baked\n".to_owned();
    let (mut good, mut reject, mut capped, mut baked) = (1000, 10, 2000, 300);
    for row in 0..=16 * 360 {
        let minute = row / 6;
        let stop = |stops: &'static Stops| stops.iter().find(|stop| (stop.0..stop.1).contains(&minute));
        let (filler, capper, oven) = (stop(FILLER), stop(CAPPER), stop(OVEN));
        match filler {
            None if row % 40 == 39 => reject += 9,
            None => good += 9,
            Some(_) => {}
        }
        capped += i64::from(capper.is_none()) * 9;
        baked += i64::from(oven.is_none() && row % 2 == 0);
        // The first order pauses while the filler stands.
        let order = match minute {
            0..80 | 90..240 => 4711,
            240..480 => 4712,
            _ => 0,
        };
        let fault = filler.map_or(0, |stop| stop.2);
        let seen = |cell: i64| if DARK.contains(&minute) { "!".to_owned() } else { cell.to_string() };
        let runs = |stop: Option<&(i64, i64, i64)>| i64::from(stop.is_none());
        let cells = [
            (BEGINS_MS + row * 10_000).to_string(),
            seen(runs(filler)),
            good.to_string(),
            reject.to_string(),
            fault.to_string(),
            order.to_string(),
            runs(capper).to_string(),
            capped.to_string(),
            runs(oven).to_string(),
            baked.to_string(),
        ];
        writeln!(rows, "{}", cells.join(",")).unwrap();
    }
    rows
}

fn place() -> Place {
    let place = Place::with(PLANT);
    place.write("day.csv", &day());
    place
}

fn ask(place: &Place, words: &[&str]) -> Answer {
    place.ask(&[&["replay", "-c", "andon.toml", "--samples", "day.csv"], words].concat())
}

fn said(place: &Place, words: &[&str]) -> String {
    let answer = ask(place, words);
    assert_eq!((answer.code, answer.err.as_str()), (0, ""), "{words:?}");
    answer.out
}

fn windows(place: &Place, words: &[&str]) -> Vec<Value> {
    let report: Value = serde_json::from_str(&said(place, &[words, &["--format", "json"]].concat())).unwrap();
    report["windows"].as_array().unwrap().clone()
}

#[track_caller]
fn shows(place: &Place, words: &[&str], expected: &Expect) {
    let table = said(place, words);
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert!(!table.contains('\u{1b}') && table.lines().all(|line| line.trim_end() == line), "{table}");
    expected.assert_eq(&without_sequences(&table));
}

/// How many events there are, and so ids, is not what is looked at here.
fn without_sequences(text: &str) -> String {
    let line = |line: &str| match (line.split_once("(event "), line.split_once("\"downtime_id\": ")) {
        (Some((before, _)), _) => format!("{before}(event …)\n"),
        (_, Some((before, _))) => format!("{before}\"downtime_id\": …\n"),
        _ if line.contains("\"as_of_sequence\"") => "  \"as_of_sequence\": …\n".to_owned(),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

// For people

#[test]
fn a_machine_has_a_block_with_bars_figures_and_what_lowered_its_oee() {
    shows(
        &place(),
        &["--window", "all"],
        &expect![[r#"
            oee.com, Europe/Berlin, as of 2026-11-23 22:00:00 (event …)

            filler-1  all
              2026-11-23 06:00:00 – 22:00:00
              running      █████████████████████████·····  13 h 29 min  84.36 %
              short_stop   ······························   1 min 00 s   0.10 %
              down         ██····························   1 h 19 min   8.23 %
              planned_stop █·····························  30 min 00 s   3.12 %
              external     █·····························  20 min 00 s   2.08 %
              unknown      █·····························  20 min 10 s   2.10 %
              availability 91.12 %  performance 87.57 %  quality 97.47 %  OEE 77.78 %
              planned 14 h 49 min, coverage 97.78 %, ideals of orders and machines
              failures 3, MTBF 4 h 29 min, MTTR 35 min 00 s
              parts 44811, good 43677, reject 1134 (1035 outside, in no OEE)
              lost 3 h 17 min                                  time    share      sum  stops
              P slower than ideal           █████·····   1 h 39 min  50.46 %  50.46 %
              A mech.jam (failure)          ████······   1 h 15 min  37.93 %  88.39 %    3 ×
              Q parts that are not good     █·········  17 min 57 s   9.08 %  97.47 %
              A no reason (unassigned)      ··········   4 min 00 s   2.02 %  99.49 %    1 ×
              P op.clean (operational)      ··········   1 min 00 s   0.51 % 100.00 %    1 ×
              – ext.starved (external)                  20 min 00 s         in no OEE    1 ×
              downtimes filler-1/1 40 min 00 s, filler-1/2 20 min 00 s,
                filler-1/3 4 min 00 s, filler-1/4 30 min 00 s, filler-1/5 5 min 00 s (open)

            capper-1  all
              2026-11-23 06:00:00 – 22:00:00
              running      ████████████████████████████··  14 h 52 min  92.92 %
              down         █·····························  38 min 00 s   3.96 %
              planned_stop █·····························  30 min 00 s   3.12 %
              availability 95.91 %  performance 89.98 %  quality 100.00 %  OEE 86.31 %
              planned 15 h 30 min, ideal of the machine
              parts 48168, good 48168, reject 0 (9 outside, in no OEE)
              lost 2 h 07 min                                  time    share      sum  stops
              P slower than ideal           ███████···   1 h 29 min  70.16 %  70.16 %
              A no reason (unassigned)      ███·······  38 min 00 s  29.84 % 100.00 %    3 ×
              downtimes capper-1/1 10 min 00 s, capper-1/2 20 min 00 s,
                capper-1/3 8 min 00 s

            oven  all
              2026-11-23 06:00:00 – 22:00:00
              running      ████████████··················   6 h 30 min  40.62 %
              down         █·····························  30 min 00 s   3.12 %
              unscheduled  █████████████████·············   9 h 00 min  56.25 %
              availability 92.86 %  performance –  quality –  OEE –
              planned 7 h 00 min, no ideal
              parts 1169, good 1169, reject 0
              flags ideal_missing
              lost 30 min 00 s                                 time    share      sum  stops
              A no reason (unassigned)      ██████████  30 min 00 s 100.00 % 100.00 %    1 ×
              downtimes oven/1 30 min 00 s

        "#]],
    );
}

#[test]
fn many_windows_have_a_line_each_and_are_added_up() {
    shows(
        &place(),
        &["--window", "hour", "--by", "line"],
        &expect![[r#"
            oee.com, Europe/Berlin, as of 2026-11-23 22:00:00 (event …)

            line-2  hour
                                planned   A %   P %   Q % OEE % cover   parts    down    ×
              2026-11-23T05:00Z  2 h 00 100.0  89.8  98.7  88.6 100.0    6462       0    0
              2026-11-23T06:00Z  2 h 00  58.3  90.0  99.3  52.1 100.0    3780  50 min    2
              2026-11-23T07:00Z  2 h 00 100.0  90.0  98.8  88.9 100.0    6480       0    0
              2026-11-23T08:00Z  1 h 00 100.0  90.0  98.6  88.8 100.0    3240       0    0
              2026-11-23T09:00Z  2 h 00 100.0  85.9  98.8  84.9 100.0    6480       0    0
              2026-11-23T10:00Z  2 h 00 100.0  85.2  98.8  84.2 100.0    6426       0    1
              2026-11-23T11:00Z  2 h 00 100.0  85.9  98.8  84.9 100.0    6480       0    0
              2026-11-23T12:00Z  2 h 00 100.0  85.9  98.8  84.9 100.0    6480       0    0
              2026-11-23T13:00Z  1 h 40  72.0  90.0  98.6  63.9 100.0    3888  28 min    3
              2026-11-23T14:00Z  1 h 59 100.0  90.1  98.8  89.0  99.8    6480       0    0
              2026-11-23T15:00Z  1 h 40 100.0  90.8  99.0  89.8  83.3    6480       0    0
              2026-11-23T16:00Z  2 h 00  96.7  90.0  98.7  85.9 100.0    6264   4 min    1
              2026-11-23T17:00Z  2 h 00  75.0  90.0  99.1  66.9 100.0    4860  30 min    1
              2026-11-23T18:00Z  2 h 00 100.0  90.0  98.8  88.9 100.0    6480       0    0
              2026-11-23T19:00Z  2 h 00 100.0  90.0  98.8  88.9 100.0    6480       0    0
              2026-11-23T20:00Z  2 h 00  95.8  90.0  98.8  85.2 100.0    6219   5 min    1
              total              1 d 06  93.6  88.8  98.8  82.1  98.9   92979  1 h 57    9
              lost 5 h 25 min                                  time    share      sum  stops
              P slower than ideal           ██████····   3 h 09 min  58.18 %  58.18 %
              A mech.jam (failure)          ██········   1 h 15 min  23.07 %  81.25 %    3 ×
              A no reason (unassigned)      █·········  42 min 00 s  12.92 %  94.17 %    4 ×
              Q parts that are not good     █·········  17 min 57 s   5.52 %  99.69 %
              P op.clean (operational)      ··········   1 min 00 s   0.31 % 100.00 %    1 ×
              – ext.starved (external)                  20 min 00 s         in no OEE    1 ×

            line-3  hour
                                planned   A %   P %   Q % OEE %   parts    down    ×
              2026-11-23T05:00Z  1 h 00  50.0     –     –     –      89  30 min    1 a
              2026-11-23T06:00Z  1 h 00 100.0     –     –     –     180       0    0 a
              2026-11-23T07:00Z  1 h 00 100.0     –     –     –     180       0    0 a
              2026-11-23T08:00Z  1 h 00 100.0     –     –     –     180       0    0 a
              2026-11-23T09:00Z  1 h 00 100.0     –     –     –     180       0    0 a
              2026-11-23T10:00Z  1 h 00 100.0     –     –     –     180       0    0 a
              2026-11-23T11:00Z  1 h 00 100.0     –     –     –     180       0    0 a
              2026-11-23T12:00Z       0     –     –     –     –       0       0    0
              2026-11-23T13:00Z       0     –     –     –     –       0       0    0
              2026-11-23T14:00Z       0     –     –     –     –       0       0    0
              2026-11-23T15:00Z       0     –     –     –     –       0       0    0
              2026-11-23T16:00Z       0     –     –     –     –       0       0    0
              2026-11-23T17:00Z       0     –     –     –     –       0       0    0
              2026-11-23T18:00Z       0     –     –     –     –       0       0    0
              2026-11-23T19:00Z       0     –     –     –     –       0       0    0
              2026-11-23T20:00Z       0     –     –     –     –       0       0    0
              total              7 h 00  92.9     –     –     –    1169  30 min    1
              a ideal_missing
              lost 30 min 00 s                                 time    share      sum  stops
              A no reason (unassigned)      ██████████  30 min 00 s 100.00 % 100.00 %    1 ×

        "#]],
    );
}

#[test]
fn machines_that_are_many_have_a_line_each_too() {
    let more: String = (2..8)
        .map(|n| format!("[[machine]]\nid = \"oven-{n}\"\nline = \"line-4\"\nrun = \"plc.oven\"\nno_data = \"1m\"\n"))
        .collect();
    let place = place();
    place.configure(&format!("{PLANT}{more}"));
    shows(
        &place,
        &["--window", "all"],
        &expect![[r#"
            oee.com, Europe/Berlin, as of 2026-11-23 22:00:00 (event …)

            all
                       planned   A %   P %   Q % OEE % cover   parts    down    ×
              filler-1 14 h 49  91.1  87.6  97.5  77.8  97.7   44811  1 h 19    6
              capper-1 15 h 30  95.9  90.0 100.0  86.3 100.0   48168  38 min    3
              oven      7 h 00  92.9     –     –     – 100.0    1169  30 min    1 a
              oven-2   16 h 00  40.6     –     –     – 100.0       0  9 h 30    2 ba
              oven-3   16 h 00  40.6     –     –     – 100.0       0  9 h 30    2 ba
              oven-4   16 h 00  40.6     –     –     – 100.0       0  9 h 30    2 ba
              oven-5   16 h 00  40.6     –     –     – 100.0       0  9 h 30    2 ba
              oven-6   16 h 00  40.6     –     –     – 100.0       0  9 h 30    2 ba
              oven-7   16 h 00  40.6     –     –     – 100.0       0  9 h 30    2 ba
              total     5 d 13  55.4     –     –     –  99.7   94148  2 d 11   22
              a ideal_missing, b no_counter
              lost 2 d 11 h                                    time    share      sum  stops
              A no reason (unassigned)      ██████████     2 d 10 h  97.87 %  97.87 %   17 ×
              A mech.jam (failure)          ··········   1 h 15 min   2.10 %  99.97 %    3 ×
              P op.clean (operational)      ··········   1 min 00 s   0.03 % 100.00 %    1 ×
              – ext.starved (external)                  20 min 00 s         in no OEE    1 ×

        "#]],
    );
}

#[test]
fn an_order_has_a_window_of_the_times_that_it_ran() {
    let place = place();
    shows(
        &place,
        &["--window", "order"],
        &expect![[r#"
            oee.com, Europe/Berlin, as of 2026-11-23 22:00:00 (event …)

            filler-1  order 4711
              2026-11-23 06:00:00 – 10:00:00
              running      ██████████████████████········   2 h 50 min  73.91 %
              down         ████··························  30 min 00 s  13.04 %
              planned_stop ████··························  30 min 00 s  13.04 %
              availability 85.00 %  performance 89.91 %  quality 97.45 %  OEE 74.48 %
              planned 3 h 20 min, ideal of the machine
              failures 1, MTBF 2 h 50 min, MTTR 40 min 00 s
              parts 9171, good 8937, reject 234
              lost 51 min 03 s                                 time    share      sum  stops
              A mech.jam (failure)          ██████····  30 min 00 s  58.77 %  58.77 %    1 ×
              P slower than ideal           ███·······  17 min 09 s  33.59 %  92.36 %
              Q parts that are not good     █·········   3 min 54 s   7.64 % 100.00 %
              downtimes filler-1/1 30 min 00 s

            filler-1  order 4712
              2026-11-23 10:00:00 – 14:00:00
              running      ██████████████████████████████   3 h 59 min  99.58 %
              short_stop   ······························   1 min 00 s   0.42 %
              availability 100.00 %  performance 81.48 %  quality 97.49 %  OEE 79.43 %
              planned 4 h 00 min, ideal of the order
              parts 12906, good 12582, reject 324
              lost 49 min 21 s                                 time    share      sum  stops
              P slower than ideal           █████████·  43 min 27 s  88.03 %  88.03 %
              Q parts that are not good     █·········   4 min 54 s   9.94 %  97.97 %
              P op.clean (operational)      ··········   1 min 00 s   2.03 % 100.00 %    1 ×

        "#]],
    );
    // It paused while the filler stood: the two shares of the one downtime are one.
    let order = &windows(&place, &["--window", "order"])[0];
    let downtimes = order["downtimes"].as_array().unwrap();
    assert_eq!((downtimes.len(), &downtimes[0]["duration_ms"]), (1, &Value::from(30 * 60_000)), "{order:#}");
}

#[test]
fn smrp_shows_what_is_capped_and_a_plant_without_samples_of_a_machine_says_so() {
    let place = place();
    place.configure(&PLANT.replace("60/min", "30/min").replace("[gateway]", "[oee]\nconvention = \"smrp\"\n[gateway]"));
    let table = said(&place, &["--window", "all", "--by", "site"]);
    assert!(table.starts_with("smrp, Europe/Berlin, as of 2026-11-23 22:00:00 (event "), "{table}");
    let line = said(&place, &["--window", "all", "--by", "line"]);
    assert!(line.contains("\n  capped: performance 100.00 %  OEE "), "{line}");
    assert!(line.contains("ideal_rate_suspect"), "{line}");
    place.write("day.csv", "time,plc.filler\n1795410000000,\n");
    let answer = ask(&place, &["--window", "hour"]);
    assert_eq!((answer.code, answer.out.as_str()), (0, "no window: nothing was recorded there\n"), "{}", answer.err);
}

#[test]
fn smrp_names_breaks_and_planned_stops_among_the_losses() {
    let place = place();
    place.configure(&PLANT.replace("[gateway]", "[oee]\nconvention = \"smrp\"\n[gateway]"));
    let table = said(&place, &["--window", "all"]);
    let line =
        table.lines().find(|line| line.contains("breaks and planned stops")).unwrap_or_else(|| panic!("{table}"));
    assert!(line.starts_with("  A breaks and planned stops") && !line.contains('×'), "{line}");
    assert!(!table.contains("(planned)"), "{table}");
    said(&place, &["--report", "old.json"]);
    place.configure(PLANT);
    let told = said(&place, &["--against", "old.json"]);
    assert!(told.contains("  A breaks and planned stops  "), "{told}");
}

#[test]
fn colour_is_for_terminals_whose_user_wants_it() {
    let place = place();
    let program = env!("CARGO_BIN_EXE_andon");
    let on_terminal = |setting: Option<&str>| {
        let words = format!("{program} replay -c andon.toml --samples day.csv --window all");
        let mut script = Command::new("script");
        script.args(["-qec", &words, "/dev/null"]).current_dir(place.folder.path()).env_remove("NO_COLOR");
        script.envs(setting.map(|setting| ("NO_COLOR", setting)));
        let answer = Answer::of(script);
        assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
        answer.out.replace("\r\n", "\n")
    };
    let coloured = on_terminal(None);
    assert!(coloured.contains("\u{1b}[32m█") && coloured.contains("\u{1b}[31m█"), "{coloured:?}");
    assert_eq!(on_terminal(Some("")), coloured, "an empty one says nothing");
    let plain = on_terminal(Some("1"));
    assert_eq!(plain, said(&place, &["--window", "all"]));
    // Nothing but colour is different.
    let mut bare = String::new();
    for part in coloured.split("\u{1b}[") {
        bare += if bare.is_empty() && !coloured.starts_with('\u{1b}') {
            part
        } else {
            part.split_once('m').map_or("", |(_, rest)| rest)
        };
    }
    assert_eq!(bare, plain);
}

// For programs

#[test]
fn csv_has_a_line_a_window_with_every_sum_and_ratio_and_losses_a_line_each() {
    let place = place();
    expect![[r#"
        window,id,machine,line,from,to,final,time_running_ms,time_short_stop_ms,time_down_ms,time_changeover_ms,time_planned_stop_ms,time_external_ms,time_unscheduled_ms,time_unknown_ms,planned_ms,run_ms,down_ms,total,good,reject,outside_total,outside_good,availability,performance,quality,oee,coverage,failures,downtimes,flags,calendar_ms,clock_adjust_ms,outside_run_ms,operating_ms,ideal_ms,good_ideal_ms,rework,parts_min,parts_max,quality_by_count,nee,teep,performance_capped,oee_capped,mtbf_ms,mttr_restoration_ms,restorations,restoration_ms,lost_ms,stops,downtimes_ms,ideal_source,repairs,repair_ms,mttr_repair_ms,responses,response_sum_ms,response_ms,revision,convention,machines,asset
        shift,2026-11-23/early,,line-2,2026-11-23T05:00:00.000Z,2026-11-23T13:00:00.000Z,true,50940000,60000,3000000,0,3600000,0,0,0,54000000,51000000,3000000,45828,45270,558,0,0,0.9444444444444444,0.8755828877005347,0.9881637289750449,0.8171515151515152,1,1,2,,57600000,0,0,50940000,44654727,44126181,0,,,0.9878240377062059,0.8171515151515152,0.7660795454545455,,,50940000,2400000,1,2400000,3060000,3,3000000,mixed,0,0,,0,0,,1,oee.com,filler-1 capper-1,
        shift,2026-11-23/late,,line-2,2026-11-23T13:00:00.000Z,2026-11-23T21:00:00.000Z,true,51170000,0,4020000,0,0,1200000,0,1210000,55190000,51170000,4020000,47151,46575,576,1044,1017,0.92716071752129,0.9010553058432675,0.9880929143080226,0.8254756296430513,0.9785460992907802,2,6,,57600000,0,0,51170000,46107000,45558000,0,,,0.9880929143080226,0.8254756296430512,0.7909375,,,25585000,1800000,1,1800000,5220000,6,5220000,machine,0,0,,0,0,,1,oee.com,filler-1 capper-1,
        shift,2026-11-23/early,,line-3,2026-11-23T05:00:00.000Z,2026-11-23T12:00:00.000Z,true,23400000,0,1800000,0,0,0,0,0,25200000,23400000,1800000,1169,1169,0,0,0,0.9285714285714286,,,,1,0,1,ideal_missing,25200000,0,0,23400000,0,0,0,,,1,,,,,,,0,0,1800000,1,1800000,none,0,0,,0,0,,1,oee.com,oven,
    "#]].assert_eq(&said(&place, &["--window", "shift", "--by", "line", "--format", "csv"]));
    expect![[r#"
        window,id,machine,line,from,to,final,reason,class,counts_in,ms,times,revision,convention,machines,asset
        shift,2026-11-23/early,,line-2,2026-11-23T05:00:00.000Z,2026-11-23T13:00:00.000Z,true,,unassigned,availability,600000,1,1,oee.com,filler-1 capper-1,
        shift,2026-11-23/early,,line-2,2026-11-23T05:00:00.000Z,2026-11-23T13:00:00.000Z,true,mech.jam,failure,availability,2400000,1,1,oee.com,filler-1 capper-1,
        shift,2026-11-23/early,,line-2,2026-11-23T05:00:00.000Z,2026-11-23T13:00:00.000Z,true,op.clean,operational,performance,60000,1,1,oee.com,filler-1 capper-1,
        shift,2026-11-23/late,,line-2,2026-11-23T13:00:00.000Z,2026-11-23T21:00:00.000Z,true,,unassigned,availability,1920000,3,1,oee.com,filler-1 capper-1,
        shift,2026-11-23/late,,line-2,2026-11-23T13:00:00.000Z,2026-11-23T21:00:00.000Z,true,ext.starved,external,excluded,1200000,1,1,oee.com,filler-1 capper-1,
        shift,2026-11-23/late,,line-2,2026-11-23T13:00:00.000Z,2026-11-23T21:00:00.000Z,true,mech.jam,failure,availability,2100000,2,1,oee.com,filler-1 capper-1,
        shift,2026-11-23/early,,line-3,2026-11-23T05:00:00.000Z,2026-11-23T12:00:00.000Z,true,,unassigned,availability,1800000,1,1,oee.com,oven,
    "#]].assert_eq(&said(&place, &["--window", "shift", "--by", "line", "--format", "losses"]));
}

#[test]
fn json_of_the_site() {
    let place = place();
    let report = said(&place, &["--window", "all", "--by", "site", "--format", "json"]);
    expect![[r#"
        {
          "convention": "oee.com",
          "timezone": "Europe/Berlin",
          "as_of_sequence": …
          "windows": [
            {
              "asset": null,
              "window": "all",
              "id": "all",
              "machine": null,
              "line": null,
              "machines": [
                "filler-1",
                "capper-1",
                "oven"
              ],
              "from": "2026-11-23T05:00:00.000Z",
              "to": "2026-11-23T21:00:00.000Z",
              "final": true,
              "revision": 1,
              "time_ms": {
                "running": 125510000,
                "short_stop": 60000,
                "down": 8820000,
                "changeover": 0,
                "planned_stop": 3600000,
                "external": 1200000,
                "unscheduled": 32400000,
                "unknown": 1210000
              },
              "calendar_ms": 172800000,
              "clock_adjust_ms": 0,
              "planned_ms": 134390000,
              "run_ms": 125570000,
              "down_ms": 8820000,
              "outside_run_ms": 0,
              "operating_ms": 125510000,
              "ideal_ms": 90761727,
              "good_ideal_ms": 89684181,
              "counts": {
                "total": 94148,
                "good": 93014,
                "reject": 1134,
                "rework": 0,
                "outside": {
                  "total": 1044,
                  "good": 1017
                }
              },
              "parts_bounds": null,
              "cycle_ms": null,
              "kpi": {
                "availability": 0.9343701168241685,
                "performance": null,
                "quality": null,
                "quality_by_count": 0.9881100704588417,
                "oee": null,
                "nee": null,
                "teep": null,
                "coverage": 0.9910766961651918,
                "performance_capped": null,
                "oee_capped": null,
                "mtbf_ms": 41836666,
                "mttr_restoration_ms": 2100000,
                "mttr_repair_ms": null,
                "response_ms": null
              },
              "failures": 3,
              "restorations": 2,
              "restoration_ms": 4200000,
              "repairs": 0,
              "repair_ms": 0,
              "ideal_source": "mixed",
              "flags": [
                "ideal_missing"
              ],
              "losses": [
                {
                  "reason": null,
                  "class": "unassigned",
                  "counts_in": "availability",
                  "ms": 4320000,
                  "times": 5
                },
                {
                  "reason": "ext.starved",
                  "class": "external",
                  "counts_in": "excluded",
                  "ms": 1200000,
                  "times": 1
                },
                {
                  "reason": "mech.jam",
                  "class": "failure",
                  "counts_in": "availability",
                  "ms": 4500000,
                  "times": 3
                },
                {
                  "reason": "op.clean",
                  "class": "operational",
                  "counts_in": "performance",
                  "ms": 60000,
                  "times": 1
                }
              ],
              "downtimes": [
                {
                  "downtime_id": …
                  "number": "oven/1",
                  "revision": 2,
                  "duration_ms": 1800000,
                  "started_at": "2026-11-23T05:30:00.000Z",
                  "ended_at": "2026-11-23T06:00:00.000Z",
                  "class": "unassigned",
                  "counts_in": "availability",
                  "reason": null,
                  "fault": null
                },
                {
                  "downtime_id": …
                  "number": "filler-1/1",
                  "revision": 2,
                  "duration_ms": 2400000,
                  "started_at": "2026-11-23T06:00:00.000Z",
                  "ended_at": "2026-11-23T06:40:00.000Z",
                  "class": "failure",
                  "counts_in": "availability",
                  "reason": "mech.jam",
                  "fault": 12
                },
                {
                  "downtime_id": …
                  "number": "capper-1/1",
                  "revision": 2,
                  "duration_ms": 600000,
                  "started_at": "2026-11-23T06:40:00.000Z",
                  "ended_at": "2026-11-23T06:50:00.000Z",
                  "class": "unassigned",
                  "counts_in": "availability",
                  "reason": null,
                  "fault": null
                },
                {
                  "downtime_id": …
                  "number": "filler-1/2",
                  "revision": 2,
                  "duration_ms": 1200000,
                  "started_at": "2026-11-23T13:00:00.000Z",
                  "ended_at": "2026-11-23T13:20:00.000Z",
                  "class": "external",
                  "counts_in": "excluded",
                  "reason": "ext.starved",
                  "fault": 40
                },
                {
                  "downtime_id": …
                  "number": "capper-1/2",
                  "revision": 2,
                  "duration_ms": 1200000,
                  "started_at": "2026-11-23T13:20:00.000Z",
                  "ended_at": "2026-11-23T13:40:00.000Z",
                  "class": "unassigned",
                  "counts_in": "availability",
                  "reason": null,
                  "fault": null
                },
                {
                  "downtime_id": …
                  "number": "capper-1/3",
                  "revision": 2,
                  "duration_ms": 480000,
                  "started_at": "2026-11-23T13:42:00.000Z",
                  "ended_at": "2026-11-23T13:50:00.000Z",
                  "class": "unassigned",
                  "counts_in": "availability",
                  "reason": null,
                  "fault": null
                },
                {
                  "downtime_id": …
                  "number": "filler-1/3",
                  "revision": 2,
                  "duration_ms": 240000,
                  "started_at": "2026-11-23T16:40:00.000Z",
                  "ended_at": "2026-11-23T16:44:00.000Z",
                  "class": "unassigned",
                  "counts_in": "availability",
                  "reason": null,
                  "fault": null
                },
                {
                  "downtime_id": …
                  "number": "filler-1/4",
                  "revision": 2,
                  "duration_ms": 1800000,
                  "started_at": "2026-11-23T17:00:00.000Z",
                  "ended_at": "2026-11-23T17:30:00.000Z",
                  "class": "failure",
                  "counts_in": "availability",
                  "reason": "mech.jam",
                  "fault": 12
                },
                {
                  "downtime_id": …
                  "number": "filler-1/5",
                  "revision": 1,
                  "duration_ms": 300000,
                  "started_at": "2026-11-23T20:55:00.000Z",
                  "ended_at": null,
                  "class": "failure",
                  "counts_in": "availability",
                  "reason": "mech.jam",
                  "fault": 12
                }
              ]
            }
          ]
        }
    "#]]
    .assert_eq(&without_sequences(&report));
    said(&place, &["--window", "all", "--by", "site", "--report", "site.json"]);
    assert_eq!(place.read("site.json"), report);
    assert_eq!(said(&place, &["--window", "all", "--by", "site", "--report", "-"]), report);
}

/// All whole numbers below a value, by their path.
fn sums(path: &str, value: &Value, into: &mut BTreeMap<String, i64>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| sums(&format!("{path}.{key}"), value, into)),
        Value::Number(number) => *into.entry(path.to_owned()).or_default() += number.as_i64().unwrap_or(0),
        _ => {}
    }
}

#[test]
fn an_asset_is_the_sum_of_its_machines_with_its_own_mean_times() {
    let filler = "id = \"filler-1\"\n";
    let oven = "id = \"oven\"\n";
    let asset = |id: &str| format!("{id}asset = \"EQ-7\"\n");
    let place = Place::with(&PLANT.replacen(filler, &asset(filler), 1).replacen(oven, &asset(oven), 1));
    place.write("day.csv", &day());
    let (machines, assets) =
        (windows(&place, &["--window", "all"]), windows(&place, &["--window", "all", "--by", "asset"]));
    let named: Vec<_> = assets.iter().map(|window| (&window["asset"], &window["machines"])).collect();
    assert_eq!(named, [(&json!("EQ-7"), &json!(["filler-1", "oven"])), (&json!("capper-1"), &json!(["capper-1"]))]);
    let pair: Vec<&Value> = machines.iter().filter(|window| window["asset"] == "EQ-7").collect();
    assert_eq!(pair.len(), 2);
    let both = &assets[0];
    assert!(both["machine"].is_null() && both["line"].is_null());
    let sum = |key: &str| pair.iter().map(|window| window.pointer(key).unwrap().as_i64().unwrap()).sum::<i64>();
    for key in ["/planned_ms", "/operating_ms", "/counts/total", "/failures", "/restoration_ms", "/restorations"] {
        assert_eq!(both.pointer(key).unwrap(), sum(key), "{key}");
    }
    let (failures, restorations) = (sum("/failures"), sum("/restorations"));
    assert!(failures > 0 && restorations > 0);
    assert_eq!(both["kpi"]["mtbf_ms"], sum("/operating_ms") / failures);
    assert_eq!(both["kpi"]["mttr_restoration_ms"], sum("/restoration_ms") / restorations);
    let table = said(&place, &["--window", "shift", "--by", "asset"]);
    assert!(table.contains("EQ-7  shift") && table.contains("filler-1 + oven"), "{table}");
    let csv = said(&place, &["--window", "all", "--by", "asset", "--format", "csv"]);
    assert!(csv.lines().next().unwrap().ends_with(",machines,asset"), "{csv}");
    assert!(csv.lines().nth(1).unwrap().ends_with("EQ-7"), "{csv}");
    // A report by asset is held against another one of its kind.
    said(&place, &["--window", "all", "--by", "asset", "--report", "old.json"]);
    said(&place, &["--window", "all", "--by", "asset", "--against", "old.json"]);
}

#[test]
fn a_line_is_the_sum_of_its_machines_and_the_site_of_all_whatever_the_windows() {
    let place = place();
    for kind in ["all", "shift", "hour", "day", "order"] {
        let by = |by| windows(&place, &["--window", kind, "--by", by]);
        let (machines, lines, site) = (by("machine"), by("line"), by("site"));
        let of = |windows: &[Value], id: &Value, line: Option<&Value>| {
            let mut all = BTreeMap::new();
            let meant =
                windows.iter().filter(|window| window["id"] == *id && line.is_none_or(|line| window["line"] == *line));
            for window in meant {
                let mut sum = window.clone();
                for key in ["kpi", "revision", "losses", "downtimes"] {
                    sum.as_object_mut().unwrap().remove(key);
                }
                // Sums of exact fractions are rounded down once, not once a machine.
                sum.as_object_mut().unwrap().retain(|key, _| !key.contains("ideal_ms"));
                // Whose parts are certain has made no more and no fewer.
                if sum["parts_bounds"].is_null() {
                    let total = &window["counts"]["total"];
                    sum["parts_bounds"] = json!({ "min": total, "max": total });
                }
                sums("", &sum, &mut all);
            }
            all
        };
        assert!(!lines.is_empty() && !site.is_empty());
        for line in &lines {
            assert!(line["machine"].is_null() && line["line"].is_string(), "{kind}");
            let expected = of(&machines, &line["id"], Some(&line["line"]));
            assert_eq!(of(std::slice::from_ref(line), &line["id"], None), expected, "{kind} {}", line["id"]);
        }
        for whole in &site {
            assert!(whole["machine"].is_null() && whole["line"].is_null(), "{kind}");
            let expected = of(&machines, &whole["id"], None);
            assert_eq!(of(std::slice::from_ref(whole), &whole["id"], None), expected, "{kind} {}", whole["id"]);
            let (time, calendar) = (&whole["time_ms"], whole["calendar_ms"].as_i64().unwrap());
            assert_eq!(time.as_object().unwrap().values().map(|ms| ms.as_i64().unwrap()).sum::<i64>(), calendar);
        }
    }
    // Of one id, though the oven begins and ends an hour earlier: seen from six.
    let early = &windows(&place, &["--window", "shift", "--by", "site"])[0];
    assert_eq!(early["machines"], json!(["filler-1", "capper-1", "oven"]));
    assert_eq!(
        (&early["from"], &early["to"]),
        (&"2026-11-23T05:00:00.000Z".into(), &"2026-11-23T13:00:00.000Z".into())
    );
    assert_eq!(early["calendar_ms"], (8 + 8 + 7) * 3_600_000);
}

#[test]
fn sums_come_first_then_ratios() {
    let place = place();
    let line = &windows(&place, &["--window", "all", "--by", "line"])[0];
    let of = |key: &str| line[key].as_f64().unwrap();
    let kpi = |key: &str| line["kpi"][key].as_f64().unwrap();
    assert!((kpi("availability") - of("run_ms") / of("planned_ms")).abs() < 1e-12);
    assert!((kpi("oee") - of("good_ideal_ms") / of("planned_ms")).abs() < 1e-6);
    assert!((kpi("oee") - kpi("availability") * kpi("performance") * kpi("quality")).abs() < 1e-12);
    let machines = windows(&place, &["--window", "all"]);
    let mean = (machines[0]["kpi"]["oee"].as_f64().unwrap() + machines[1]["kpi"]["oee"].as_f64().unwrap()) / 2.0;
    assert!((kpi("oee") - mean).abs() > 1e-4, "it is no mean of ratios");
}

#[test]
fn a_line_with_a_bottleneck_has_its_figures_and_the_site_those_of_all() {
    let place = place();
    let site = windows(&place, &["--window", "shift", "--by", "site"]);
    place.configure(&format!("{PLANT}[[line]]\nid = \"line-2\"\nbottleneck = \"capper-1\"\n"));
    let machines = windows(&place, &["--window", "shift"]);
    let mut capper: Vec<Value> = machines.into_iter().filter(|window| window["machine"] == "capper-1").collect();
    let mut lines = windows(&place, &["--window", "shift", "--by", "line"]);
    lines.retain(|window| window["line"] == "line-2");
    assert_eq!(lines.len(), 2);
    for (line, machine) in lines.iter_mut().zip(&mut capper) {
        assert_eq!(line["asset"].take(), Value::Null);
        assert_eq!(machine["asset"].take(), "capper-1");
        assert_eq!((line["machine"].take(), machine["machine"].take()), (Value::Null, "capper-1".into()));
        assert_eq!(line, machine);
    }
    assert_eq!(windows(&place, &["--window", "shift", "--by", "site"]), site);
}

// What has changed

/// The day under other thresholds, another convention and a longer break.
fn changed() -> Place {
    let place = place();
    said(&place, &["--report", "old.json"]);
    let config = PLANT.replace("[gateway]", "[oee]\nconvention = \"iso22400\"\n[gateway]");
    let config = config.replace("fault = \"plc.fault\"\n", "fault = \"plc.fault\"\nshort_stop = \"5m\"\n");
    let config = config.replace("run = \"plc.capper\"\n", "run = \"plc.capper\"\ndebounce_run = \"3m\"\n");
    place.configure(&config.replace("counts_in = \"excluded\"\n", "").replace("[12]", "[13]"));
    place
}

#[test]
fn a_replay_against_an_earlier_report_tells_stop_by_stop_and_figure_by_figure_what_has_changed() {
    shows(
        &changed(),
        &["--against", "old.json"],
        &expect![[r#"
        convention oee.com → iso22400

        capper-1  downtimes
          ~ 2026-11-23 14:20:00  capper-1/2: longer
              was  2026-11-23 14:20:00 – 2026-11-23 14:40:00
              is   2026-11-23 14:20:00 – 2026-11-23 14:50:00
              20 min 00 s → 30 min 00 s (+10 min 00 s)
          - 2026-11-23 14:42:00  capper-1/3: vanished, 8 min 00 s
              unassigned, no reason, in availability
              now in capper-1/2

        filler-1  downtimes
          ~ 2026-11-23 07:00:00  filler-1/1: reclassified
              was  failure, mech.jam, in availability
              is   failure, no reason, in availability
          ~ 2026-11-23 14:00:00  filler-1/2: reclassified
              was  external, ext.starved, excluded
              is   external, ext.starved, in availability
          - 2026-11-23 17:40:00  filler-1/3: vanished, 4 min 00 s
              unassigned, no reason, in availability
          ~ 2026-11-23 18:00:00  filler-1/3, was filler-1/4: reclassified
              was  failure, mech.jam, in availability
              is   failure, no reason, in availability
          ~ 2026-11-23 21:55:00  filler-1/4, was filler-1/5: reclassified
              was  failure, mech.jam, in availability
              is   failure, no reason, in availability

        filler-1  all
                                                          old          new       change
          short_stop                               1 min 00 s   5 min 00 s  +4 min 00 s
          down                                     1 h 19 min   1 h 15 min  -4 min 00 s
          planned                                 14 h 49 min  15 h 09 min +20 min 00 s
          run                                     13 h 30 min  13 h 29 min  -1 min 00 s
          planned - run                            1 h 19 min   1 h 40 min +21 min 00 s
          availability                                91.12 %      89.01 %     -2.11 pt
          performance                                 87.57 %      87.68 %     +0.11 pt
          oee                                         77.78 %      76.07 %     -1.71 pt
          coverage                                    97.78 %      97.83 %     +0.05 pt
          A no reason (failure)                         0.0 s   1 h 15 min  +1 h 15 min
          A no reason (failure), stops                      0            3           +3
          A ext.starved (external)                      0.0 s  20 min 00 s +20 min 00 s
          A ext.starved (external), stops                   0            1           +1
          A op.clean (operational)                      0.0 s   1 min 00 s  +1 min 00 s
          A op.clean (operational), stops                   0            1           +1
          – ext.starved (external)                20 min 00 s        0.0 s -20 min 00 s
          – ext.starved (external), stops                   1            0           -1
          A mech.jam (failure)                     1 h 15 min        0.0 s  -1 h 15 min
          A mech.jam (failure), stops                       3            0           -3
          P op.clean (operational)                 1 min 00 s        0.0 s  -1 min 00 s
          P op.clean (operational), stops                   1            0           -1

        capper-1  all
                                                          old          new       change
          running                                 14 h 52 min  14 h 50 min  -2 min 00 s
          down                                    38 min 00 s  40 min 00 s  +2 min 00 s
          run                                     14 h 52 min  14 h 50 min  -2 min 00 s
          planned - run                           38 min 00 s  40 min 00 s  +2 min 00 s
          availability                                95.91 %      95.70 %     -0.22 pt
          performance                                 89.98 %      90.19 %     +0.20 pt
          A no reason (unassigned)                38 min 00 s  40 min 00 s  +2 min 00 s
          A no reason (unassigned), stops                   3            2           -1

        filler-1  shift 2026-11-23/early
                                                          old          new       change
          run                                      6 h 50 min   6 h 49 min  -1 min 00 s
          planned - run                           40 min 00 s  41 min 00 s  +1 min 00 s
          availability                                91.11 %      90.89 %     -0.22 pt
          performance                                 84.97 %      85.18 %     +0.21 pt
          A no reason (failure)                         0.0 s  40 min 00 s +40 min 00 s
          A no reason (failure), stops                      0            1           +1
          A op.clean (operational)                      0.0 s   1 min 00 s  +1 min 00 s
          A op.clean (operational), stops                   0            1           +1
          A mech.jam (failure)                    40 min 00 s        0.0 s -40 min 00 s
          A mech.jam (failure), stops                       1            0           -1
          P op.clean (operational)                 1 min 00 s        0.0 s  -1 min 00 s
          P op.clean (operational), stops                   1            0           -1

        filler-1  shift 2026-11-23/late
                                                          old          new       change
          short_stop                                    0.0 s   4 min 00 s  +4 min 00 s
          down                                    39 min 00 s  35 min 00 s  -4 min 00 s
          planned                                  7 h 19 min   7 h 39 min +20 min 00 s
          planned - run                           39 min 00 s  59 min 00 s +20 min 00 s
          availability                                91.13 %      87.17 %     -3.96 pt
          oee                                         80.14 %      76.66 %     -3.49 pt
          coverage                                    95.62 %      95.80 %     +0.18 pt
          A no reason (failure)                         0.0 s  35 min 00 s +35 min 00 s
          A no reason (failure), stops                      0            2           +2
          A ext.starved (external)                      0.0 s  20 min 00 s +20 min 00 s
          A ext.starved (external), stops                   0            1           +1
          – ext.starved (external)                20 min 00 s        0.0 s -20 min 00 s
          – ext.starved (external), stops                   1            0           -1
          A mech.jam (failure)                    35 min 00 s        0.0 s -35 min 00 s
          A mech.jam (failure), stops                       2            0           -2

        capper-1  shift 2026-11-23/late
                                                          old          new       change
          running                                  7 h 32 min   7 h 30 min  -2 min 00 s
          down                                    28 min 00 s  30 min 00 s  +2 min 00 s
          run                                      7 h 32 min   7 h 30 min  -2 min 00 s
          planned - run                           28 min 00 s  30 min 00 s  +2 min 00 s
          availability                                94.17 %      93.75 %     -0.42 pt
          performance                                 90.00 %      90.40 %     +0.40 pt
          A no reason (unassigned)                28 min 00 s  30 min 00 s  +2 min 00 s
          A no reason (unassigned), stops                   2            1           -1

        downtimes: 2 the same, 2 vanished, 1 longer, 4 reclassified
        windows: 3 the same, 5 changed
    "#]],
    );
}

#[test]
fn what_has_changed_in_many_windows_is_told_in_a_line_each() {
    let place = changed();
    place.configure(PLANT);
    said(&place, &["--report", "old.json", "--window", "hour"]);
    place.configure(&PLANT.replace("end = \"09:30\"", "end = \"10:00\"").replace("60/min", "90/min"));
    // The kinds are those of the earlier report.
    shows(
        &place,
        &["--against", "old.json"],
        &expect![[r#"
        filler-1  hour
                                        A %           OEE %                    down
          2026-11-23T05:00Z               =   87.50 → 58.33                       =
          2026-11-23T06:00Z               =   29.25 → 19.50                       =
          2026-11-23T07:00Z               =   87.75 → 58.50                       =
          2026-11-23T08:00Z               =   87.50 → 58.33                       =
          2026-11-23T13:00Z               =   87.75 → 58.50                       =
          2026-11-23T14:00Z               =   87.99 → 58.66                       =
          2026-11-23T15:00Z               =   89.62 → 59.75                       =
          2026-11-23T16:00Z               =   81.75 → 54.50                       =
          2026-11-23T17:00Z               =   43.75 → 29.17                       =
          2026-11-23T18:00Z               =   87.75 → 58.50                       =
          2026-11-23T19:00Z               =   87.75 → 58.50                       =
          2026-11-23T20:00Z               =   80.50 → 53.67                       =

        capper-1  hour
                                        A %           OEE %                    down
          2026-11-23T05:00Z               =   89.75 → 59.83                       =
          2026-11-23T06:00Z               =   75.00 → 50.00                       =
          2026-11-23T07:00Z               =   90.00 → 60.00                       =
          2026-11-23T08:00Z               =   90.00 → 60.00                       =
          2026-11-23T09:00Z               =   90.00 → 60.00                       =
          2026-11-23T10:00Z               =   90.00 → 60.00                       =
          2026-11-23T11:00Z               =   90.00 → 60.00                       =
          2026-11-23T12:00Z               =   90.00 → 60.00                       =
          2026-11-23T13:00Z               =   48.00 → 32.00                       =
          2026-11-23T14:00Z               =   90.00 → 60.00                       =
          2026-11-23T15:00Z               =   90.00 → 60.00                       =
          2026-11-23T16:00Z               =   90.00 → 60.00                       =
          2026-11-23T17:00Z               =   90.00 → 60.00                       =
          2026-11-23T18:00Z               =   90.00 → 60.00                       =
          2026-11-23T19:00Z               =   90.00 → 60.00                       =
          2026-11-23T20:00Z               =   90.00 → 60.00                       =

        downtimes: 9 the same
        windows: 20 the same, 28 changed
    "#]],
    );
}

#[test]
fn what_has_changed_as_json() {
    let place = changed();
    let told: Value = serde_json::from_str(&said(&place, &["--against", "old.json", "--format", "json"])).unwrap();
    assert_eq!(told["convention"], json!({ "old": "oee.com", "new": "iso22400" }));
    let changed = told["downtimes"]["changed"].as_array().unwrap();
    let of = |number: &str| {
        let is_it = |change: &&Value| change["old"]["number"] == number || change["new"]["number"] == number;
        changed.iter().find(is_it).unwrap_or_else(|| panic!("{number}: {changed:#?}"))
    };
    expect![[r#"
        {
          "machine": "capper-1",
          "changes": [
            "vanished"
          ],
          "old": {
            "downtime_id": …
            "number": "capper-1/3",
            "started_at": "2026-11-23T13:42:00Z",
            "ended_at": "2026-11-23T13:50:00Z",
            "duration_ms": 480000,
            "class": "unassigned",
            "counts_in": "availability",
            "reason": null
          },
          "new": null,
          "overlaps": [
            "capper-1/2"
          ]
        }
    "#]]
    .assert_eq(&without_sequences(&serde_json::to_string_pretty(of("capper-1/3")).unwrap()));
    // The oven's.
    assert_eq!(told["windows"]["same"], 3);
    let whole = &told["windows"]["changed"][0];
    assert_eq!((&whole["machine"], &whole["window"]), (&"filler-1".into(), &"all".into()));
    let figures = whole["figures"].as_array().unwrap();
    let figure = |name: &str| figures.iter().find(|figure| figure["figure"] == name).unwrap();
    let report = windows(&place, &["--window", "all"]);
    assert_eq!(figure("kpi.availability")["new"], report[0]["kpi"]["availability"]);
    assert_eq!(figure("time_ms.short_stop")["new"], report[0]["time_ms"]["short_stop"]);
    let starved = figures.iter().filter(|figure| figure["loss"]["reason"] == "ext.starved");
    let starved: Vec<_> = starved.map(|of| (&of["loss"]["counts_in"], &of["figure"], &of["old"], &of["new"])).collect();
    let minutes = 20 * 60_000;
    assert_eq!(
        starved,
        [
            (&"availability".into(), &"losses.ms".into(), &0.into(), &minutes.into()),
            (&"availability".into(), &"losses.times".into(), &0.into(), &1.into()),
            (&"excluded".into(), &"losses.ms".into(), &minutes.into(), &0.into()),
            (&"excluded".into(), &"losses.times".into(), &1.into(), &0.into()),
        ]
    );
}

#[test]
fn against_itself_nothing_has_changed_for_machines_lines_and_the_site() {
    let place = place();
    for words in
        [&["--window", "all,shift,hour,day,order"][..], &["--by", "line"], &["--by", "site", "--window", "day"]]
    {
        said(&place, &[words, &["--report", "old.json"]].concat());
        let told = said(&place, &["--against", "old.json"]);
        assert!(told.ends_with(" the same\n") && told.lines().count() == 2, "{words:?}: {told}");
        assert!(!told.contains(": 0 the same"), "{words:?}: {told}");
    }
}

#[test]
fn what_only_one_of_two_reports_tells_of_is_said() {
    let place = place();
    said(&place, &["--report", "old.json"]);
    place.write("kiln.json", &place.read("old.json").replace("oven", "kiln"));
    let answer = ask(&place, &["--against", "kiln.json", "--format", "json"]);
    let words = [
        "only the old report tells of machine kiln; the new one does not",
        "only the new report tells of machine oven; the old one does not",
    ];
    assert_eq!((answer.code, answer.err), (0, words.map(|words| format!("warning: {words}\n")).concat()));
    let changes: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(changes["scope"], json!(words));

    let day = place.read("day.csv");
    place.write(
        "day.csv",
        &day.lines().take(day.lines().count() / 2).map(|line| format!("{line}\n")).collect::<String>(),
    );
    let answer = ask(&place, &["--against", "old.json"]);
    let words = "warning: the old report tells of 2026-11-23T05:00:00Z to 2026-11-23T21:00:00Z, the new one of \
                 2026-11-23T05:00:00Z to 2026-11-23T1";
    assert!(answer.err.starts_with(words) && answer.err.lines().count() == 1, "{}", answer.err);
}

#[test]
fn the_report_is_written_beside_what_has_changed() {
    let place = changed();
    let answer = ask(&place, &["--against", "old.json", "--report", "-"]);
    assert_eq!(answer.code, 0);
    let report: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(report["convention"], "iso22400");
    assert_eq!(answer.err, said(&place, &["--against", "old.json", "--report", "new.json"]));
    assert_eq!(place.read("new.json"), answer.out);
}

#[test]
fn what_cannot_be_told_is_refused() {
    let place = place();
    let ends = |words: &[&str], code: i32, says: &str| {
        let answer = ask(&place, words);
        assert_eq!((answer.code, answer.out.as_str()), (code, ""), "{words:?}: {}", answer.err);
        assert!(answer.err.contains(says), "{words:?}: {}", answer.err);
    };
    ends(&["--against", "none.json"], 65, "none.json: No such file");
    place.write("text.json", "not JSON");
    ends(&["--against", "text.json"], 65, "text.json: it is no JSON");
    place.write("other.json", "{\"convention\": \"oee.com\", \"windows\": [{\"window\": \"all\"}]}");
    ends(&["--against", "other.json"], 65, "other.json: it is no report of this release");
    said(&place, &["--report", "old.json"]);
    let old = place.read("old.json");
    let of = |from: &[(&str, &str)]| from.iter().fold(old.clone(), |text, (from, to)| text.replace(from, to));
    place.write("machines.json", &of(&[("filler-1", "filler-9"), ("capper-1", "capper-9"), ("oven", "kiln")]));
    let words = "machines.json: there is nothing to compare: this report tells of machines capper-9, filler-9, kiln, the new \
                 one of machines capper-1, filler-1, oven\nhint: compare reports of the same machines";
    ends(&["--against", "machines.json"], 65, words);
    place.write("time.json", &of(&[("2026-11-23", "2026-10-23")]));
    let words = "tells of 2026-10-23T05:00:00Z to 2026-10-23T21:00:00Z, the new one of 2026-11-23T05:00:00Z to";
    ends(&["--against", "time.json", "--window", "all"], 65, words);
    place.write("empty.json", "{\"convention\": \"oee.com\", \"windows\": []}");
    ends(&["--against", "empty.json"], 65, "nothing to compare: this report holds no window");
    said(&place, &["--report", "hours.json", "--window", "hour"]);
    ends(&["--against", "hours.json", "--window", "day"], 65, "tells of window hour, the new one of window day");
    said(&place, &["--report", "lines.json", "--by", "line"]);
    ends(&["--against", "lines.json", "--by", "machine"], 65, "tells of lines, the new one of machines");
    ends(&["--against", "old.json", "--format", "csv"], 64, "--format table or json");
    ends(&["--against", "old.json", "--format", "json", "--report", "-"], 64, "both write JSON to stdout");
    ends(&["--report", "new.json", "--format", "csv"], 64, "--report writes JSON");
    ends(&["--window", "week"], 64, "week");
    let answer = place.ask(&["report", "-c", "andon.toml", "--machine", "oven", "--by", "line"]);
    assert_eq!(answer.code, 64);
    assert!(answer.err.contains("--machine is for figures of machines"), "{}", answer.err);
}

// The same from a journal

#[test]
fn a_report_of_a_line_beside_the_daemon_is_the_sum_of_its_machines() {
    let plc = Plc::start();
    plc.coil(0, true);
    let broker = Mosquitto::start(&Door::Anonymous);
    let ear = Ear::open(&broker, "#");
    let place = Place::with(&format!(
        r#"
[gateway]
id = "gw"
path = "acme/hall-3"
timezone = "Europe/Berlin"
data_dir = "{{folder}}/data"
[mqtt]
brokers = ["mqtt://127.0.0.1:{}"]
[[plc]]
id = "plc"
tcp = "127.0.0.1:{}"
poll = "20ms"
[plc.points]
run = {{ coil = 0 }}
total = {{ holding = 0, type = "u32" }}
[[plc]]
id = "dead"
tcp = "127.0.0.1:{}"
[plc.points]
run = {{ coil = 0 }}
[[machine]]
id = "press-7"
line = "line-2"
run = "plc.run"
total = "plc.total"
debounce = "200ms"
short_stop = "1s"
[[machine]]
id = "press-8"
line = "line-2"
run = "plc.run"
debounce = "200ms"
short_stop = "1s"
[[machine]]
id = "press-9"
line = "line-3"
run = "dead.run"
"#,
        broker.port,
        plc.port,
        dead_port()
    ));
    let daemon = place.run(&[]);
    ear.until_event("state.changed", |event| event["data"]["state"] == "running");
    plc.coil(0, false);
    ear.until_event("downtime.opened", |event| event["data"]["machine"] == "press-7");
    ear.until_event("downtime.opened", |event| event["data"]["machine"] == "press-8");
    plc.coil(0, true);
    let closed = ["press-7", "press-8"]
        .map(|machine| ear.until_event("downtime.closed", |event| event["data"]["machine"] == machine));
    daemon.stop();

    let machines = place.report(&[]);
    let lines = place.report(&["--by", "line"]);
    let line = &lines["windows"][0];
    assert_eq!((&line["line"], &line["machine"]), (&"line-2".into(), &Value::Null));
    assert_eq!(line["machines"], json!(["press-7", "press-8"]));
    let both: i64 = closed.iter().map(|event| event["data"]["duration_ms"].as_i64().unwrap()).sum();
    assert_eq!(line["down_ms"], both);
    let sum = |of: &dyn Fn(&Value) -> i64| machines["windows"].as_array().unwrap()[..2].iter().map(of).sum::<i64>();
    for state in ["running", "down", "unknown"] {
        assert_eq!(line["time_ms"][state], sum(&|window| window["time_ms"][state].as_i64().unwrap()), "{state}");
    }
    let listed = line["downtimes"].as_array().unwrap();
    for (listed, event) in listed.iter().zip(&closed) {
        for key in ["downtime_id", "number", "started_at", "ended_at", "class", "counts_in", "duration_ms"] {
            assert_eq!(listed[key], event["data"][key], "{key}");
        }
    }
    assert_eq!(listed.len(), 2);
    let table = place.ask(&["report", "-c", "andon.toml", "--window", "all", "--by", "site"]);
    assert!(table.code == 0 && table.out.contains("\nsite  all  so far\n"), "{}{}", table.out, table.err);
    let losses = place.ask(&["report", "-c", "andon.toml", "--window", "all", "--by", "line", "--format", "losses"]);
    assert_eq!(losses.out.lines().nth(1).unwrap().split(',').nth(3), Some("line-2"), "{}{}", losses.out, losses.err);
}
