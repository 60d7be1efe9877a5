//! Strip charts in, cycle times out: what of the looks at a counter is a cycle, and which window it belongs to.

use super::*;
use crate::{
    books::{
        calendar::{On, Shift},
        window::sum,
    },
    event::{cycle::Cycles, order::Change as OrderChange},
    shop::rules::ProductRule,
};
use jiff::civil::{date, time};

/// Three seconds a part, looked at each second.
fn slow_press() -> MachineRules {
    let counters = Counters { reject: None, ..press().counters };
    MachineRules { ideal: Ideal::new(3000, 1), counters, ..press() }
}

fn cycles(times_s: &[i64]) -> Cycles {
    let mut cycles = Cycles::default();
    times_s.iter().for_each(|took_s| cycles.enter(took_s * 1000, Some(3000)));
    cycles
}

fn timed(machine: MachineRules, chart: &str) -> Cycles {
    Strip::new(machine, chart).play().window().cycles
}

/// The same strip of a machine that makes the products `1` (3 s a part) and `2` (2 s).
pub(super) fn with_orders(machine: MachineRules, chart: &str) -> Strip {
    let machine = MachineRules { order: Some(ORDER), ..machine };
    let product = |code: &str, ms| ProductRule { code: code.to_owned(), ideal: Ideal::new(ms, 1) };
    let rules = Rules { products: vec![product("1", 3000), product("2", 2000)], ..(*rules(machine.clone())).clone() };
    let mut strip = Strip::new(machine, chart);
    strip.shop = Shop::open(Arc::new(rules), Known::default(), &Marks::default());
    strip
}

#[test]
fn a_cycle_lasts_from_part_to_part_and_no_cycle_spans_a_stop() {
    let chart = "
        run   ██████████████______████████████
        total 01001001000010000001001001000001
    ";
    // The first part after each start begins one; the last row of a recording ends none.
    assert_eq!(timed(slow_press(), chart), cycles(&[3, 3, 5, 3]));
}

#[test]
fn a_part_that_falls_while_it_may_be_standing_ends_none() {
    let machine = MachineRules { debounce_ms: 3000, ..slow_press() };
    let flap = "
        run   █████████_█████████████
        total 01001001010010010010000
    ";
    assert_eq!(timed(machine, flap), cycles(&[3, 3, 3, 3]), "the part of the flap counts for none");
}

#[test]
fn a_gap_of_data_is_no_cycle_and_a_missed_look_makes_its_part_vague() {
    let gap = "
        run   ████████!!!!!████████████
        total 01001001!!!!!010010010000
    ";
    assert_eq!(timed(slow_press(), gap), cycles(&[3, 3, 3, 3]));
    let missed = "
        run   ███████████████████████
        total 010010010!1001001001000
    ";
    assert_eq!(timed(slow_press(), missed), cycles(&[3, 3, 3, 3]));
    let harmless = "
        run   ███████████████████████
        total 01001001!01001001001000
    ";
    assert_eq!(timed(slow_press(), harmless), cycles(&[3, 3, 3, 3, 3, 3]));
}

#[test]
fn two_parts_in_one_look_a_reset_and_a_jump_that_is_not_believed_end_none() {
    let two = "
        run   █████████████████
        total 01001002001001000
    ";
    assert_eq!(timed(slow_press(), two), cycles(&[3, 3]));
    let reset = "
        run   ██████████████████████
        total 0100100R00001001001000
    ";
    assert_eq!(timed(slow_press(), reset), cycles(&[3, 3, 3]));
}

#[test]
fn without_a_run_signal_a_slow_cycle_is_timed_and_a_stop_is_not() {
    let machine = MachineRules { run: RunRule::Counts { stop_after_ms: 7000 }, ..slow_press() };
    let chart = "total 010010010000010000000000010010010";
    let timed = timed(machine, chart);
    assert_eq!(timed, cycles(&[3, 3, 6, 3, 3]));
    let figures = timed.figures().unwrap();
    assert_eq!((figures.slow, figures.slow_lost_ms), (1, 3000));
}

#[test]
fn a_counter_read_less_often_than_twice_a_cycle_times_nothing() {
    let machine = MachineRules { ideal: Ideal::new(1999, 1), ..slow_press() };
    assert!(timed(machine, "run   █████████\ntotal 010101010").is_empty());
    let machine = MachineRules { ideal: None, ..slow_press() };
    assert!(timed(machine, "run   █████████\ntotal 010010010").is_empty());
}

#[test]
fn parts_outside_every_shift_are_timed_as_little_as_performance_counts_them() {
    let shift = Shift {
        id: "early".to_owned(),
        on: On::Dates(vec![date(2026, 11, 23)]),
        start: time(6, 0, 0, 0),
        end: time(6, 0, 10, 0),
        breaks: Vec::new(),
    };
    let calendar = Calendar::new(TimeZone::UTC, Time::midnight()).planned(vec![shift], vec![], vec![]);
    let machine = MachineRules { calendar: Arc::new(calendar), ..slow_press() };
    let chart = "
        run   ████████████████████
        total 01001001001001001000
    ";
    assert_eq!(timed(machine, chart), cycles(&[3, 3]));
}

#[test]
fn each_order_has_its_own_cycles_by_its_own_ideal() {
    let chart = "
        run   ████████████████████████████████████
        order 111111111111111122222222222222222222
        total 010010010010010010100101010101010000
    ";
    let strip = with_orders(slow_press(), chart).play();
    let ended = strip.told.iter().find_map(|told| match &told.event {
        Event::Order(order) if order.change == OrderChange::Ended => order.window.clone(),
        _ => None,
    });
    let figures = ended.unwrap().cycles.figures().unwrap();
    let of_first = cycles(&[3, 3, 3, 3]).figures().unwrap();
    assert_eq!(figures, of_first, "the part that came while nobody knew what it was ends none");

    let whole = strip.window();
    let (first, second) = (&strip.book.assignments[0], &strip.book.assignments[1]);
    let machine = strip.shop.machines().next().unwrap();
    let latest = *machine.counts();
    let by = strip.shop.rules.measure(machine.rules, machine.counting(), whole.to, Some(&latest));
    let by = Measure { cycles: machine.cycles(), ..by };
    let of = |from, to| window(&strip.book, from, to, &by).unwrap();
    let (one, other) = (of(first.from, second.from), of(second.from, whole.to));
    assert_eq!(one.cycles.figures().unwrap(), of_first);
    let of_second = other.cycles.figures().unwrap();
    assert_eq!((of_second.n, of_second.ideal_ms, of_second.min_ms), (6, Some(2000), 2000));
    assert_eq!(of_second.slow, 0);
    assert_eq!(whole.cycles.figures().unwrap().ideal_ms, None, "of two ideals none is that of all");
    assert_eq!(sum([&one, &other], Convention::OeeCom).unwrap().cycles, whole.cycles);
}

#[test]
fn an_hour_ends_with_the_cycles_that_ended_in_it_and_is_told_with_its_parts() {
    let seconds = 3700;
    let run: String = (0..seconds).map(|_| '█').collect();
    let total: String = (0..seconds).map(|second| if second % 3 == 1 { '1' } else { '0' }).collect();
    let strip = Strip::new(slow_press(), &format!("run   {run}\ntotal {total}")).play();
    let told: Vec<i64> = strip
        .told
        .iter()
        .filter_map(|told| match &told.event {
            Event::Part(part::Event::Counted(counted)) => {
                Some(counted.cycles.iter().map(|spell| spell.cycles.figures().unwrap().n).sum())
            }
            _ => None,
        })
        .collect();
    // Parts at 1, 4, … 3598 s: one less cycle.
    assert_eq!(told, [1199]);
    let whole = strip.window();
    let machine = strip.shop.machines().next().unwrap();
    let by = strip.shop.rules.measure(machine.rules, machine.counting(), whole.to, None);
    let by = Measure { cycles: machine.cycles(), ..by };
    let edge = START.plus(3_600_000);
    let hours = [(START, edge), (edge, whole.to)].map(|(from, to)| window(&strip.book, from, to, &by).unwrap());
    assert_eq!(hours.each_ref().map(|hour| hour.cycles.figures().unwrap().n), [1199, 33]);
    assert_eq!(sum(&hours, Convention::OeeCom).unwrap().cycles, whole.cycles);
}

/// Twelve looks, a pause of the gateway, twelve looks.
fn interrupted(away: usize) -> Strip {
    let gap = " ".repeat(away);
    let looks = ["████████████", "010010010010"];
    let [run, total] = looks.map(|row| format!("{row}{gap}{row}"));
    let mut strip = Strip::new(slow_press(), &format!("run   {run}\ntotal {total}"));
    strip.play_until(12);
    let marks: Marks = serde_json::from_str(&serde_json::to_string(&strip.shop.marks()).unwrap()).unwrap();
    strip.shop = Shop::open(strip.shop.rules().clone(), strip.shop.known().clone(), &marks);
    strip.second += away;
    strip
}

#[test]
fn cycles_before_an_hour_that_the_gateway_slept_through_the_end_of_belong_to_it() {
    let mut strip = interrupted(3688);
    strip.play_until(strip.length());
    let machine = strip.shop.machines().next().unwrap();
    let now = strip.shop.now();
    let by = strip.shop.rules.measure(machine.rules, machine.counting(), now.plus(1), None);
    let by = Measure { cycles: machine.cycles(), ..by };
    let edge = START.plus(3_600_000);
    let hours = [(START, edge), (edge, now)].map(|(from, to)| window(&strip.book, from, to, &by).unwrap().cycles);
    assert_eq!(hours, [cycles(&[3, 3, 3]), cycles(&[3, 3, 3])], "and none lasts over the gap");
}

#[test]
fn cycles_before_a_day_that_the_gateway_slept_through_the_end_of_are_stated_with_it() {
    let mut strip = interrupted(86_400);
    strip.play_until(strip.length());
    let stated = strip.told.iter().find_map(|told| match &told.event {
        Event::Shift(stated) => Some((stated.id.as_str(), stated.window.cycles.clone())),
        _ => None,
    });
    assert_eq!(stated, Some(("2026-11-23", cycles(&[3, 3, 3]))));
}

#[test]
fn an_order_point_that_never_rests_makes_no_endless_list() {
    // It names another for one look only, which settles nothing: two cycles' worth of seconds between.
    let machine = MachineRules { debounce_ms: 3000, ..slow_press() };
    let order: String = (0..400).map(|second| if second % 9 == 8 { '2' } else { '1' }).collect();
    let run = "█".repeat(400);
    let total: String = (0..400).map(|second| if second % 3 == 1 { '1' } else { '0' }).collect();
    let strip = with_orders(machine, &format!("run   {run}\norder {order}\ntotal {total}")).play();
    let machine = strip.shop.machines().next().unwrap();
    assert_eq!(machine.cycles().len(), 16);
    assert!(strip.window().cycles.figures().unwrap().n > 50);
}

fn paced_row() -> impl Strategy<Value = String> {
    let long = prop::collection::vec((prop::sample::select(vec!['█', '█', '█', '_', '!']), 1..15_usize), 1..10);
    long.prop_map(|spans| spans.into_iter().flat_map(|(cell, n)| std::iter::repeat_n(cell, n)).collect())
}

fn paced(row: &str, parts: &[u8], orders: &[bool]) -> String {
    let cell = |(cell, n): (char, &u8)| match cell {
        '█' => char::from(b'0' + n),
        '_' => '0',
        other => other,
    };
    let total: String = row.chars().zip(parts.iter().cycle()).map(cell).collect();
    let order: String =
        (0..row.chars().count()).map(|second| if orders[second / 12 % orders.len()] { '1' } else { '2' }).collect();
    format!("run   {row}█\norder {order}1\ntotal {total}0")
}

proptest! {
    #[test]
    fn a_crash_at_any_second_loses_no_cycle(row in paced_row(), parts in prop::collection::vec(prop::sample::select(vec![0, 0, 0, 1, 1, 2]), 60), orders in prop::collection::vec(any::<bool>(), 8), cut in 1..100_usize) {
        let chart = paced(&row, &parts, &orders);
        let calm = with_orders(slow_press(), &chart).play();
        let mut strip = with_orders(slow_press(), &chart);
        strip.play_until(cut.min(strip.length() - 1));
        let mut known = Known::default();
        strip.told.iter().for_each(|told| known.apply(told));
        let marks: Marks = serde_json::from_str(&serde_json::to_string(&strip.shop.marks()).unwrap()).unwrap();
        strip.shop = Shop::open(strip.shop.rules().clone(), known, &marks);
        prop_assert_eq!(strip.play().window().cycles, calm.window().cycles);
    }

    #[test]
    fn the_sum_of_windows_is_the_window_of_the_sum(row in paced_row(), parts in prop::collection::vec(prop::sample::select(vec![0, 0, 1]), 60), orders in prop::collection::vec(any::<bool>(), 8), at in 1..100_000_i64) {
        let strip = with_orders(slow_press(), &paced(&row, &parts, &orders)).play();
        let whole = strip.window();
        let at = START.plus(at.min(whole.calendar_ms - 1).max(1));
        let machine = strip.shop.machines().next().unwrap();
        let by = strip.shop.rules.measure(machine.rules, machine.counting(), whole.to, None);
        let by = Measure { cycles: machine.cycles(), ..by };
        let pieces: Vec<Window> = [(START, at), (at, whole.to)].into_iter().filter_map(|(from, to)| window(&strip.book, from, to, &by)).collect();
        prop_assert_eq!(&sum(&pieces, Convention::OeeCom).unwrap().cycles, &whole.cycles);
        let of_orders: Vec<Window> = strip.book.orders(START, whole.to).filter_map(|(from, to, _)| window(&strip.book, from, to, &by)).collect();
        prop_assert_eq!(&sum(&of_orders, Convention::OeeCom).unwrap().cycles, &whole.cycles);
        // No more cycles than parts, and their time lies inside the running time.
        if let Some(figures) = whole.cycles.figures() {
            prop_assert!(figures.n < whole.counts.total);
            prop_assert!(figures.mean_ms * figures.n <= whole.time_in(State::Running));
        }
    }
}

#[test]
fn an_order_that_no_product_knows_is_said_once_also_over_a_restart() {
    let chart = "
        run   ██████████████████████████████
        order 111111444444222222444444333333
    ";
    let unlisted = |strip: &Strip| -> Vec<String> {
        let notices = strip.told.iter().filter_map(|told| match &told.event {
            Event::Notice(notice) if notice.code == "product_unlisted" => Some(notice.text.clone()),
            _ => None,
        });
        notices.collect()
    };
    let text =
        |code| format!("no [[product]] has the code \"{code}\" that the PLC shows: the machine's ideal counts for it");
    assert_eq!(unlisted(&with_orders(slow_press(), chart).play()), [text(4), text(3)]);

    let mut strip = with_orders(slow_press(), chart);
    strip.play_until(12);
    strip.shop = Shop::open(strip.shop.rules.clone(), strip.shop.known().clone(), &strip.shop.marks());
    assert_eq!(unlisted(&strip.play()), [text(4), text(3)]);

    // Without a product in the whole plant nobody expects an ideal of one.
    let mut strip = with_orders(slow_press(), chart);
    let rules = Rules { products: Vec::new(), ..(*strip.shop.rules).clone() };
    strip.shop = Shop::open(Arc::new(rules), Known::default(), &Marks::default());
    assert!(unlisted(&strip.play()).is_empty());
}
