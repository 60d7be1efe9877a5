//! Worked examples that others have printed, each played as samples through the engine: configuration and CSV in, the
//! printed figures out.

use crate::{engine::Said, tape::Tape};
use serde_json::Value;

/// Percent, right to the last printed digit.
#[track_caller]
fn prints(value: &Value, percent: &str) {
    let digits = percent.split_once('.').map_or(0, |(_, digits)| digits.len());
    let half = 0.5 / 10_f64.powi(i32::try_from(digits).unwrap());
    let value = value.as_f64().expect("there is a figure") * 100.0;
    assert!((value - percent.parse::<f64>().unwrap()).abs() <= half + 1e-9, "{value} is not printed as {percent} %");
}

#[track_caller]
fn prints_all(window: &Value, availability: &str, performance: &str, quality: &str, oee: &str) {
    let kpi = &window["kpi"];
    prints(&kpi["availability"], availability);
    prints(&kpi["performance"], performance);
    prints(&kpi["quality"], quality);
    prints(&kpi["quality_by_count"], quality);
    prints(&kpi["oee"], oee);
}

/// "OEE Worksheet", Vorne Industries 2002-2003 (vdocuments.us/download/oee-worksheet), the same figures as on oee.com:
/// 8 h shift, two breaks of 15 min and a meal of 30 min, 47 min down, 60 pieces a minute, 19 271 pieces, 423 rejects.
#[test]
fn an_eight_hour_shift_with_breaks_has_an_oee_of_74_79_percent() {
    let said = Tape::from("2026-11-23T06:00:00Z")
        .runs(3 * 3_600, 8_000, 200)
        .stands(15 * 60, 0)
        .runs(45 * 60, 2_500, 23)
        .stands(47 * 60, 12)
        .runs(73 * 60, 4_000, 100)
        .stands(30 * 60, 0)
        .runs(45 * 60, 2_600, 50)
        .stands(15 * 60, 0)
        .runs(30 * 60, 2_171, 50)
        .played(
            r#"
[[shift]]
id = "early"
start = "06:00"
end = "14:00"
breaks = [{ start = "09:00", end = "09:15" }, { start = "12:00", end = "12:30" }, { start = "13:15", end = "13:30" }]
[machine]
ideal_rate = "60/min""#,
        );
    let shift = said.window("press-7", "shift", "2026-11-23/early");
    prints_all(shift, "88.81", "86.11", "97.80", "74.79");
    assert_eq!((&shift["planned_ms"], &shift["run_ms"]), (&Value::from(420 * 60_000), &Value::from(373 * 60_000)));
    assert_eq!((&shift["counts"]["total"], &shift["counts"]["good"]), (&Value::from(19_271), &Value::from(18_848)));
}

/// "Calculating OEE Worksheet", Vorne Industries 2002-2005 (scribd.com/doc/49381305): 8 h, 15 min of breaks, a meal of
/// 30 min, 30 min down, 2 pieces a minute, 700 pieces, 25 rejects.
#[test]
fn a_slow_machine_has_an_oee_of_77_59_percent() {
    let said = Tape::from("2026-11-23T06:00:00Z")
        .runs(3 * 3_600, 310, 10)
        .stands(45 * 60, 0)
        .runs(105 * 60, 180, 10)
        .stands(30 * 60, 12)
        .runs(120 * 60, 210, 5)
        .played(
            r#"
[[shift]]
id = "early"
start = "06:00"
end = "14:00"
breaks = [{ start = "09:00", end = "09:15" }, { start = "09:15", end = "09:45" }]
[machine]
ideal_rate = "2/min""#,
        );
    prints_all(said.window("press-7", "shift", "2026-11-23/early"), "93.10", "86.42", "96.43", "77.59");
}

/// Willmott and McCarthy, "TPM: A Route to World-Class Performance", page 127 (digilib.universitaspertamina.ac.id):
/// 910 min, 115 min of stoppages and 12 min of changeovers are downtime, a cycle takes 3 min, 203 cycles:
/// availability 86.0 %; performance 203 / 261, where the book cuts 77.78 to 77.7.
#[test]
fn a_changeover_is_a_loss_of_availability() {
    let said = Tape::from("2026-11-23T06:00:00Z")
        .order("A-1")
        .runs(300 * 60, 80, 0)
        .stands(115 * 60, 12)
        .runs(200 * 60, 50, 0)
        .order("A-2")
        .runs(60, 0, 0)
        .stands(12 * 60, 0)
        .runs(282 * 60, 73, 0)
        .played(
            r#"
[[shift]]
id = "long"
start = "06:00"
end = "21:10"
[machine]
ideal_cycle = "3m"
[tail]
[[product]]
code = "A-1"
[[product]]
code = "A-2"
"#,
        );
    let shift = said.window("press-7", "shift", "2026-11-23/long");
    prints(&shift["kpi"]["availability"], "86.0");
    prints(&shift["kpi"]["performance"], "77.78");
    // Nobody named it: the product changed, and no part of the new one had come.
    assert_eq!(shift["time_ms"]["changeover"], 12 * 60_000);
    assert_eq!(shift["down_ms"], 127 * 60_000);
    // What ISO 22400-2 calls NEE does not take set-up for downtime (giessereilexikon.com, after VDMA 66412-1).
    let nee = (910.0 - 115.0) / 910.0 * (203.0 * 3.0 / 783.0);
    assert!((shift["kpi"]["nee"].as_f64().unwrap() - nee).abs() < 1e-9);
}

/// 8 h; of product A, 1 s each, 10 000 parts, all good; of product B, 60 s each, 100 parts, 50 of them bad:
/// (10 000 s + 50 × 60 s) / 28 800 s. Whoever divides sums of parts finds a quality of 99.5 % and is wrong.
#[test]
fn a_part_of_a_minute_weighs_sixty_times_a_part_of_a_second() {
    let said = Tape::from("2026-11-23T06:00:00Z")
        .order("A")
        .runs(4 * 3_600, 10_000, 0)
        .order("B")
        .runs(4 * 3_600, 100, 50)
        .played(
            r#"
[[shift]]
id = "early"
start = "06:00"
end = "14:00"
[machine]
[tail]
[[product]]
code = "A"
ideal_cycle = "1s"
[[product]]
code = "B"
ideal_cycle = "60s"
"#,
        );
    let shift = said.window("press-7", "shift", "2026-11-23/early");
    prints(&shift["kpi"]["oee"], "45.1");
    prints(&shift["kpi"]["quality_by_count"], "99.5");
    prints(&shift["kpi"]["quality"], "81.25");
    prints(&shift["kpi"]["performance"], "55.56");
    assert_eq!(shift["ideal_source"], "order");
    prints(&said.window("press-7", "order", "B")["kpi"]["quality"], "50.0");
}

/// Arno Koch, "OEE with mixed output" (oee.academy/oee-academy/oee-calculation-faq/oee-with-mixed-output): a press makes
/// large parts, 2 a minute, and small ones, 8 a minute. Day 1: 120 min large, 180 parts, and 360 min small; 2340 parts in
/// all. Day 2: 360 min large and 120 min small; 1260 parts. It looks like the better day and is just as good: 75 %.
#[test]
fn two_days_of_mixed_output_are_equally_good() {
    for (large, small) in [((120, 180), (360, 2_160)), ((360, 540), (120, 720))] {
        let said = Tape::from("2026-11-23T00:00:00Z")
            .order("large")
            .runs(large.0 * 60, large.1, 0)
            .order("small")
            .runs(small.0 * 60, small.1, 0)
            .played(
                r#"
[machine]
[tail]
[[product]]
code = "large"
ideal_rate = "2/min"
[[product]]
code = "small"
ideal_rate = "8/min"
"#,
            );
        prints_all(said.window("press-7", "day", "2026-11-23"), "100", "75.00", "100", "75.00");
    }
}

/// "Calculating Weighted OEE" (versalytics.org, 5 December 2008): three machines of 455 min net available time each, OEE
/// 80.22 %, 70.05 % and 55.90 %; each weighs its share of the time. Times and ideals are added first, then divided.
#[test]
fn the_oee_of_a_line_is_that_of_its_sums() {
    let (mut planned_ms, mut good_ideal_ms) = (0, 0);
    for (good, oee) in [(21_900, "80.22"), (19_124, "70.05"), (15_261, "55.90")] {
        let said = Tape::from("2026-11-23T06:00:00Z").runs(455 * 60, good + 100, 100).played(
            r#"
[[shift]]
id = "early"
start = "06:00"
end = "13:35"
[machine]
ideal_cycle = "1s""#,
        );
        let shift = said.window("press-7", "shift", "2026-11-23/early");
        prints(&shift["kpi"]["oee"], oee);
        planned_ms += shift["planned_ms"].as_i64().unwrap();
        good_ideal_ms += shift["good_ideal_ms"].as_i64().unwrap();
    }
    assert_eq!(planned_ms, 3 * 455 * 60_000);
    prints(&Value::from(good_ideal_ms as f64 / planned_ms as f64), "68.72");
}

/// The day of SMRP's Machine D.
fn machine_d(convention: &str, ideal: &str) -> Said {
    const HUNDREDTH_S: i64 = 36;
    Tape::from("2026-11-23T00:00:00Z")
        .runs(4 * 3_600, 30, 0)
        .stands(66 * HUNDREDTH_S, 22)
        .stands(100 * HUNDREDTH_S, 23)
        .runs(3 * 3_600, 30, 1)
        .stands(46 * HUNDREDTH_S, 24)
        .runs(3_600, 8, 0)
        .stands(33 * HUNDREDTH_S, 12)
        .runs(3_600, 8, 0)
        .stands(26 * HUNDREDTH_S, 21)
        .runs(3_600, 8, 0)
        .stands(23 * HUNDREDTH_S, 25)
        .runs(3_600, 8, 0)
        .stands(30 * HUNDREDTH_S, 24)
        .runs(3_600, 8, 0)
        .stands(50 * HUNDREDTH_S, 20)
        .runs(26 * HUNDREDTH_S, 0, 0)
        // Not required for eight hours.
        .stands(8 * 3_600, 0)
        .played(&format!(
            r#"
[oee]
convention = "{convention}"
[[shift]]
id = "required"
start = "00:00"
end = "16:00"
[machine]
{ideal}
[tail]
[[reason]]
code = "meeting"
class = "planned"
faults = [22]
[[reason]]
code = "monthly pm"
class = "planned"
faults = [23]
[[reason]]
code = "coupling"
class = "failure"
faults = [12]
[[reason]]
code = "operator"
class = "operational"
faults = [24]
[[reason]]
code = "sizes"
class = "changeover"
faults = [21]
[[reason]]
code = "tooling"
class = "changeover"
faults = [25]
[[reason]]
code = "materials"
class = "external"
faults = [20]
"#
        ))
}

/// SMRP Best Practices, 6th edition, metric 2.1.1, table 1, page 26 (scribd.com/document/850994368): Machine D is
/// required 16 of 24 h; scheduled downtime 0.66 + 1.00 h and unscheduled downtime of 2.08 h both count against
/// availability: uptime 12.26 h, availability 76.63 %.
#[test]
fn planned_stops_count_against_the_availability_of_smrp() {
    let said = machine_d("smrp", "ideal_rate = \"10/h\"");
    let day = said.window("press-7", "day", "2026-11-23");
    prints(&day["kpi"]["availability"], "76.63");
    assert_eq!(day["planned_ms"], 16 * 3_600_000);
    assert_eq!(day["run_ms"], 12_260 * 3_600);
    assert_eq!(day["time_ms"]["unscheduled"], 8 * 3_600_000);
    // SMRP's TEEP is on the calendar: two thirds of the OEE here.
    let kpi = |name: &str| day["kpi"][name].as_f64().unwrap();
    assert!((kpi("teep") - kpi("oee") * 16.0 / 24.0).abs() < 1e-9);

    // By the others' table the meeting and the planned maintenance leave planned time.
    for convention in ["oee.com", "iso22400"] {
        let said = machine_d(convention, "ideal_rate = \"10/h\"");
        let day = said.window("press-7", "day", "2026-11-23");
        assert_eq!((&day["planned_ms"], &day["run_ms"]), (&Value::from(14_340 * 3_600), &Value::from(12_260 * 3_600)));
    }
}

/// The same day with an ideal that the machine beats: SMRP caps performance at 100 %; the raw figure stays beside it.
#[test]
fn smrp_caps_what_is_faster_than_ideal() {
    // 100 parts at 9 min are 15 h of work in 12.26 h of uptime.
    let said = machine_d("smrp", "ideal_cycle = \"9m\"");
    let day = said.window("press-7", "day", "2026-11-23");
    let kpi = |name: &str| day["kpi"][name].as_f64().unwrap_or_else(|| panic!("{name}: {}", day["kpi"]));
    assert!((kpi("performance") - 15.0 / 12.26).abs() < 1e-9);
    assert!((kpi("performance_capped") - 1.0).abs() < 1e-12);
    assert!((kpi("oee") - 99.0 * 0.15 / 16.0).abs() < 1e-9);
    assert!((kpi("oee_capped") - 12.26 / 16.0 * 0.99).abs() < 1e-9);
    assert!(day["flags"].as_array().unwrap().contains(&Value::from("ideal_rate_suspect")));
}

/// ISO 22400-2 in a case of our own: every stop, also the short one, lies in availability; set-up is no downtime in NEE
/// (giessereilexikon.com "NEE characteristic value", after VDMA 66412-1). OEE is the same by any threshold.
#[test]
fn short_stops_lie_in_the_availability_of_iso_22400() {
    let day = |convention: &str, short_stop: &str| {
        let said = Tape::from("2026-11-23T00:00:00Z")
            .runs(200 * 60, 200, 4)
            .stands(90, 0)
            .runs(98 * 60 + 30, 80, 0)
            .stands(30 * 60, 21)
            .runs(120 * 60, 100, 6)
            .stands(30 * 60, 12)
            .played(&format!(
                r#"
[oee]
convention = "{convention}"
[machine]
ideal_cycle = "1m"
short_stop = "{short_stop}"
[tail]
[[reason]]
code = "setup"
class = "changeover"
faults = [21]
[[reason]]
code = "mech.jam"
class = "failure"
faults = [12]
"#
            ));
        let day = said.window("press-7", "day", "2026-11-23");
        let kpi = |name: &str| day["kpi"][name].as_f64().unwrap();
        [kpi("availability"), kpi("performance"), kpi("quality"), kpi("oee"), kpi("nee")]
    };
    let is_close = |found: [f64; 5], expected: [f64; 5]| {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}, not {expected:?}");
    };
    // 480 min, of which 418.5 run, 1.5 is a short stop, 30 set-up and 30 a failure; 380 parts of a minute, 10 bad.
    let (quality, oee) = (370.0 / 380.0, 370.0 / 480.0);
    let iso = [418.5 / 480.0, 380.0 / 418.5, quality, oee, (418.5 + 30.0) / 480.0 * 370.0 / 418.5];
    let oee_com = [420.0 / 480.0, 380.0 / 420.0, quality, oee, 450.0 / 480.0 * 370.0 / 420.0];
    is_close(day("iso22400", "120s"), iso);
    is_close(day("iso22400", "60s"), iso);
    is_close(day("oee.com", "120s"), oee_com);
    is_close(day("oee.com", "60s"), iso);
}

/// An exercise (scribd.com/document/403226083): a component is needed 24 h from Monday to Friday and fails on Tuesday from 5
/// to 7, on Thursday from 16 to 20 and on Friday from 8 to 11: uptime 111 h, MTBF 37 h, MTTR 3 h.
#[test]
fn three_failures_of_a_week_give_mtbf_37_h_and_mttr_3_h() {
    const HOUR_S: i64 = 3_600;
    let said = Tape::from("2026-11-23T00:00:00Z")
        .runs(29 * HOUR_S, 0, 0)
        .stands(2 * HOUR_S, 12)
        .runs(57 * HOUR_S, 0, 0)
        .stands(4 * HOUR_S, 12)
        .runs(12 * HOUR_S, 0, 0)
        .stands(3 * HOUR_S, 12)
        .runs(13 * HOUR_S, 0, 0)
        .played("[machine]");
    let week = said.window("press-7", "all", "all");
    assert_eq!(week["operating_ms"], 111 * HOUR_S * 1_000);
    assert_eq!((&week["failures"], &week["restorations"]), (&Value::from(3), &Value::from(3)));
    assert_eq!(week["kpi"]["mtbf_ms"], 37 * HOUR_S * 1_000);
    assert_eq!(week["kpi"]["mttr_restoration_ms"], 3 * HOUR_S * 1_000);
    // Tuesday by itself.
    let tuesday = said.window("press-7", "day", "2026-11-24");
    assert_eq!(tuesday["kpi"]["mtbf_ms"], 22 * HOUR_S * 1_000);
    assert_eq!(tuesday["kpi"]["mttr_restoration_ms"], 2 * HOUR_S * 1_000);
}
