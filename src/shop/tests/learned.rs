//! Strip charts in; what is learned of a stop or of parts only when they are over, and told then.

use super::{cycle::with_orders, *};
use crate::event::stop::Fault;

#[allow(clippy::needless_pass_by_value)]
fn order_chart(rows: &str, expected: Expect) -> Strip {
    let strip = with_orders(press(), rows).play();
    expected.assert_eq(&strip.words());
    strip
}

#[test]
fn a_stop_between_two_products_is_set_up_also_if_it_is_over_before_the_second_is_named() {
    let strip = order_chart(
        "
        run   ██████_________█████████████
        order 1111100000000000000002222222
        total 1111100000000000000001111111",
        expect![[r#"
            0s order 1 Started
            0s running
            5s order 1 Ended
            5s 4 parts since 0s (Edge)
            6s short_stop (provisional) in a stop since 6s
            6s down in a stop since 6s
            6s press-7/1.1 opened, Unassigned
            15s running
            15s press-7/1.2 closed after 9s
            21s order 2 Started
            22s press-7/1.3 amended
            21s 4 parts since 5s (Edge)
        "#]],
    );
    let window = strip.window();
    assert_eq!((window.time_in(State::Changeover), window.time_in(State::Down)), (9_000, 0));
}

#[test]
fn a_stop_before_parts_that_nobody_ordered_is_no_set_up() {
    let down = |rows: &str| with_orders(press(), rows).play().window().time_in(State::Down);
    let parts = "
        run   ██████_________█████████████
        order 1111100000000000000002222222
        total 1111100000000001000001111111";
    assert_eq!(down(parts), 9_000, "a part came between the stop and the order");
    let same = "
        run   ██████_________█████████████
        order 1111100000000000000001111111
        total 1111100000000000000001111111";
    assert_eq!(down(same), 9_000, "the product is the same");
    let fault = "
        run   ██████_________█████████████
        order 1111100000000000000002222222
        fault 0000002222000000000000000000";
    assert_eq!(down(fault), 9_000, "a fault has named it");
}

#[test]
fn a_set_up_that_is_learned_of_late_states_its_shift_again() {
    let machine = closing_at("06:00:17");
    let strip = with_orders(
        machine,
        "
        run   ██████_________█████████████
        order 1111100000000000000002222222
        total 1111100000000000000001111111",
    )
    .play();
    assert_eq!(changeover_of_early(&strip), [(1, 0), (2, 9_000)]);
}

/// Revisions of the early shift's statement, each with the time of set-up in it.
fn changeover_of_early(strip: &Strip) -> Vec<(u64, i64)> {
    let stated = strip.told.iter().filter_map(|told| match &told.event {
        Event::Shift(stated) if stated.id.ends_with("early") => Some(stated),
        _ => None,
    });
    stated.map(|stated| (stated.revision, stated.window.time_in(State::Changeover))).collect()
}

#[test]
fn a_fault_that_comes_after_the_end_of_a_shift_states_it_again() {
    let strip = Strip::new(
        closing_at("06:00:12"),
        "
        run   ███_________________████
        fault 000000000000000022220000",
    )
    .play();
    let stated = strip.told.iter().filter_map(|told| match &told.event {
        Event::Shift(stated) if stated.id.ends_with("early") => Some(stated),
        _ => None,
    });
    let stated = stated.map(|stated| {
        let losses = stated.window.losses.iter().map(|loss| (loss.class, loss.ms)).collect::<Vec<_>>();
        (seconds(stated.at), stated.revision, losses, stated.window.failures)
    });
    assert_eq!(
        stated.collect::<Vec<_>>(),
        [
            ("12s".to_owned(), 1, vec![(Class::Unassigned, 9_000)], 0),
            ("16s".to_owned(), 2, vec![(Class::Failure, 9_000)], 1)
        ]
    );
}

#[test]
fn counts_are_told_at_each_edge_of_an_order() {
    order_chart(
        "
        run   ██████████████████████
        order 1111111000000222222222
        total 0111011101101110111011",
        expect![[r#"
            0s order 1 Started
            0s running
            7s order 1 Ended
            7s 5 parts since 0s (Edge)
            13s order 2 Started
            13s 9 parts since 7s (Edge)
        "#]],
    );
}

#[test]
fn an_edge_of_an_order_tells_what_was_counted_before_it_however_late_it_is_settled() {
    let machine = MachineRules { debounce_ms: 4000, ..press() };
    let strip = with_orders(
        machine,
        "
        run   ██████████████████
        order 111111222222222222
        total 011111111111111111",
    );
    let strip = strip.play();
    let edges: Vec<(String, i64, Option<String>)> = (strip.told.iter())
        .filter_map(|told| match &told.event {
            Event::Part(part::Event::Counted(counted)) => {
                let order = counted.order.as_ref().map(|order| order.order.clone());
                Some((seconds(counted.to), counted.counts.total, order))
            }
            _ => None,
        })
        .collect();
    assert_eq!(edges, [("6s".to_owned(), 5, Some("1".to_owned()))]);
}

#[test]
fn faults_of_an_external_stop_that_stays_short_stand_in_its_record() {
    let strip = Strip::new(
        packml(),
        "
        run   ████____████
        state 666655556666
        fault 000000230000",
    )
    .play();
    let [stop] = strip.book.stops.as_slice() else { panic!("{:?}", strip.book.stops) };
    assert_eq!(stop.class, Class::External);
    assert_eq!(stop.fault, Some(Fault { code: 2, others: vec![3] }));
    // Where it lasts, the part after the split has them.
    let strip = Strip::new(
        packml(),
        "
        run   ████_________████
        state 66665555555556666
        fault 00000023333330000",
    )
    .play();
    let [first, second] = strip.book.stops.as_slice() else { panic!("{:?}", strip.book.stops) };
    assert_eq!((&first.fault, &second.fault), (&None, &Some(Fault { code: 2, others: vec![3] })));
}

#[test]
fn no_crash_around_the_edge_of_an_order_loses_or_doubles_a_part() {
    let machine = MachineRules { debounce_ms: 4000, ..press() };
    let rows = "
        run   ████████████████████████
        order 111111222222222222222222
        total 011121111211111112111111";
    let whole = with_orders(machine.clone(), rows).play().window().counts;
    for (marked, lost) in (1..16).flat_map(|marked| (0..7).map(move |lost| (marked, lost))) {
        let mut strip = with_orders(machine.clone(), rows);
        strip.play_until(marked);
        let marks: Marks = serde_json::from_str(&serde_json::to_string(&strip.shop.marks()).unwrap()).unwrap();
        strip.play_until(marked + lost);
        strip.shop = Shop::open(strip.shop.rules().clone(), strip.shop.known().clone(), &marks);
        assert_eq!(strip.play().window().counts, whole, "marked at {marked}, {lost} looks later it crashed");
    }
}
