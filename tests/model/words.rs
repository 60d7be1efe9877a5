//! Sentences of the time model that random days would meet too seldom, each as one small day.

use crate::tape::Tape;

const BEGINS: &str = "2026-11-23T06:00:00Z";

/// "Δparts × ideal ≥ gap − one ideal cycle", and "Ideal: the order's, else the machine's".
#[test]
fn a_gap_ran_through_by_the_ideal_of_its_order() {
    // 90 parts of 5 s fill 440 s; of the machine's ideal they would be a minute.
    let said = Tape::from(BEGINS).order("A-1").runs(600, 100, 0).unread(440, 90).runs(600, 100, 0).played(
        r#"
[machine]
ideal_rate = "90/min"
[tail]
[[product]]
code = "A-1"
ideal_cycle = "5s"
"#,
    );
    assert_eq!(said.window("press-7", "all", "all")["time_ms"]["running"], 1_640_000);
}

/// "Both measured from the last good reading to the first".
#[test]
fn a_gap_without_enough_parts_stays_unknown() {
    let said = Tape::from(BEGINS)
        .runs(601, 500, 0)
        .unread(440, 300)
        .runs(600, 500, 0)
        .played("[machine]\nideal_cycle = \"1s\"");
    assert_eq!(said.window("press-7", "all", "all")["time_ms"]["unknown"], 440_000);
}

/// `external`: "ready but starved, blocked or (with `order_required = true`) without an order".
#[test]
fn who_stands_without_an_order_from_the_first_sample_on_is_external() {
    let said =
        Tape::from(BEGINS).stands(600, 0).order("A-1").runs(600, 0, 0).played("[machine]\norder_required = true");
    assert_eq!(said.window("press-7", "all", "all")["time_ms"]["external"], 600_000);
}

/// "A first fault splits only a stop that was external or changeover so far".
#[test]
fn a_fault_splits_a_stop_without_an_order_whatever_its_class() {
    let said = Tape::from(BEGINS)
        .order("A-1")
        .runs(600, 0, 0)
        .order(" ")
        .runs(60, 0, 0)
        .stands(1_200, 0)
        .stands(900, 20)
        .order("A-2")
        .runs(600, 0, 0)
        .played(
            r#"
[machine]
order_required = true
[tail]
[[reason]]
code = "material.none"
class = "external"
faults = [20]
"#,
        );
    assert_eq!(said.window("press-7", "all", "all")["downtimes"].as_array().unwrap().len(), 2);
}

/// "`none` = not a stop at all, a sensor fault: `running`", and `running` is the first in the order of precedence.
#[test]
fn what_is_no_stop_is_running_also_outside_shifts() {
    // Across the end of the shift, and wholly outside it.
    for stands_from in [2_400, 4_800] {
        let said = Tape::from(BEGINS).runs(stands_from, 0, 0).stands(2_400, 30).runs(2_400, 0, 0).played(
            r#"
[[shift]]
id = "short"
start = "06:00"
end = "07:00"
[machine]
[tail]
[[reason]]
code = "sensor"
class = "failure"
counts_in = "none"
faults = [30]
"#,
        );
        let all = said.window("press-7", "all", "all");
        assert_eq!(all["operating_ms"], (stands_from + 4_800) * 1_000);
        assert_eq!(all["outside_run_ms"], (stands_from + 1_200) * 1_000);
    }
}

/// "A stop with `duration_ms` 0 is no downtime", and a number is never spent on one.
#[test]
fn a_part_of_a_stop_that_lies_in_a_break_is_no_downtime() {
    let said = Tape::from(BEGINS)
        .order("A-1")
        .runs(1_200, 0, 0)
        .order(" ")
        .runs(60, 0, 0)
        .stands(2_400, 0)
        .stands(600, 12)
        .order("A-2")
        .runs(600, 0, 0)
        .played(
            r#"
[[shift]]
id = "early"
start = "06:00"
end = "14:00"
breaks = [{ start = "07:00", end = "07:30" }]
[machine]
order_required = true"#,
        );
    assert_eq!(said.downtimes.len(), 1);
}

/// "The stop that begins after the old order's stop (or last part) and before the first part of the new one".
#[test]
fn a_stop_that_begins_in_the_sample_that_shows_another_product_is_a_changeover() {
    let said = Tape::from(BEGINS).order("A-1").runs(600, 100, 0).order("A-2").stands(900, 0).runs(600, 100, 0).played(
        r#"
[machine]
ideal_cycle = "5s"
[tail]
[[product]]
code = "A-1"
[[product]]
code = "A-2"
"#,
    );
    assert_eq!(said.window("press-7", "all", "all")["time_ms"]["changeover"], 900_000);
}

/// "If it runs afterwards, or parts came, the stop ended where the gap began": a fault seen first after it is not its cause.
#[test]
fn a_fault_after_a_gap_names_the_stop_after_the_gap() {
    let said = Tape::from(BEGINS)
        .runs(600, 100, 0)
        .stands(600, 0)
        .unread(600, 50)
        .stands(600, 12)
        .runs(600, 100, 0)
        .played("[machine]\nideal_cycle = \"1s\"");
    let losses = &said.window("press-7", "all", "all")["losses"];
    assert_eq!(losses.as_array().unwrap().len(), 2, "{losses}");
}

/// "A stop with `duration_ms` 0 is no downtime", also where a fault opens one at once.
#[test]
fn a_fault_in_a_break_opens_nothing() {
    let said = Tape::from(BEGINS).runs(4_200, 0, 0).stands(1_200, 12).runs(1_200, 0, 0).played(
        r#"
[[shift]]
id = "early"
start = "06:00"
end = "14:00"
breaks = [{ start = "07:00", end = "07:30" }]
[machine]
open_at = "fault""#,
    );
    assert_eq!(said.downtimes.len(), 0);
}

/// A first fault splits the stop "at its edge", dated from its first sample, also where that is the first after a gap.
#[test]
fn a_fault_first_seen_after_a_gap_splits_the_stop_there() {
    let said = Tape::from(BEGINS)
        .order("A-1")
        .runs(600, 0, 0)
        .order(" ")
        .runs(60, 0, 0)
        .stands(1_200, 0)
        .unread(600, 0)
        .stands(600, 12)
        .order("A-2")
        .runs(600, 0, 0)
        .played("[machine]\norder_required = true\ndebounce = \"5s\"");
    assert_eq!(said.downtimes.len(), 2);
}

/// "Δparts × ideal ≥ gap − one ideal cycle", to the last bit of an ideal that "is kept as an exact fraction".
#[test]
fn a_gap_that_is_just_filled_was_run_through() {
    // 1553 parts of 2/3 s are 1036 s but for one cycle.
    let said = Tape::from(BEGINS)
        .runs(601, 500, 0)
        .unread(1_035, 1_553)
        .runs(600, 500, 0)
        .played("[machine]\nideal_rate = \"90/min\"");
    assert_eq!(said.window("press-7", "all", "all")["time_ms"]["unknown"], 0);
}

/// "The stop that begins after the old order's stop … and before the first part of the new one": also if it is over when the
/// new one is named, or not.
#[test]
fn a_stop_between_two_products_is_a_changeover_when_the_second_is_named() {
    let settings = r#"
[machine]
ideal_cycle = "5s"
[tail]
[[product]]
code = "A-1"
[[product]]
code = "A-2"
"#;
    let set_up = |tape: Tape| {
        tape.runs(600, 100, 0).played(settings).window("press-7", "all", "all")["time_ms"]["changeover"].clone()
    };
    let before = || Tape::from(BEGINS).order("A-1").runs(600, 100, 0).order(" ").runs(60, 0, 0);
    assert_eq!(set_up(before().stands(900, 0).runs(60, 0, 0).order("A-2")), 900_000, "it is over");
    assert_eq!(set_up(before().stands(600, 0).order("A-2").stands(300, 0)), 900_000, "it stands open");
    assert_eq!(set_up(before().stands(900, 0).runs(60, 9, 0).order("A-2")), 0, "parts came meanwhile");
    assert_eq!(set_up(before().stands(60, 0).runs(60, 0, 0).order("A-2")), 0, "a short stop that is over stays one");
}
