//! Corrections on strip charts: what people change, and that whatever they take back is as it was.

use super::*;
use crate::{
    event::{
        command::{Reply, Scrap, Subject, Verdict},
        stop::{Class, State},
        window::Window,
    },
    shop::{
        Input, Shop,
        known::Known,
        tests::{START, Strip, press, run_row},
    },
};
use proptest::prelude::*;

fn at(second: i64) -> Stamp {
    START.plus(second * 1000)
}

fn ask(strip: &mut Strip, wish: Wish) -> Reply {
    let command = Command {
        command_id: "c-1".to_owned(),
        by: "mes".to_owned(),
        comment: Some("seen on the camera".to_owned()),
        at: strip.shop.now(),
        wish,
    };
    let now = strip.shop.now();
    let turn = strip.shop.turn(Input::Command { machine: Some("press-7"), command: &command, past: None }, now);
    let reply = turn.reply.clone().unwrap();
    strip.tell(turn);
    reply
}

fn code(reply: &Reply) -> &str {
    match &reply.verdict {
        Verdict::Refused(refusal) => &refusal.code,
        Verdict::Accepted(_) => "accepted",
        Verdict::Stale(_) => "stale",
    }
}

fn subject(reply: &Reply) -> (Uuid, u64) {
    match &reply.verdict {
        Verdict::Accepted(Some(Subject { id, revision })) => (id.parse().unwrap(), *revision),
        other => panic!("{other:?}"),
    }
}

fn downtimes(strip: &Strip) -> Vec<&Stop> {
    strip.book.stops.iter().filter(|stop| stop.downtime.is_some()).collect()
}

fn id(strip: &Strip, index: usize) -> Uuid {
    downtimes(strip)[index].downtime_id()
}

fn name(downtime_id: Uuid, code: Option<&str>) -> Wish {
    Wish::Reason { downtime_id, code: code.map(str::to_owned) }
}

fn cut(downtime_id: Uuid, second: i64) -> Wish {
    Wish::Split { downtime_id, at: at(second), code: None, code_after: Some("jam".to_owned()), work_to: None }
}

/// Ten seconds of run, twenty of standing, ten of run.
fn stood() -> Strip {
    Strip::new(press(), "run ██████████____________________██████████").play()
}

#[test]
fn a_reason_that_a_person_gives_names_the_downtime_and_is_taken_back() {
    let mut strip = stood();
    let downtime = id(&strip, 0);
    let before = (strip.window(), downtimes(&strip)[0].clone());
    assert_eq!(before.1.class, Class::Unassigned);
    let reply = ask(&mut strip, name(downtime, Some("jam")));
    assert_eq!(subject(&reply), (downtime, 3));
    let stop = downtimes(&strip)[0];
    let reason = stop.reason.as_ref().unwrap();
    assert_eq!((stop.class, reason.code.as_str(), reason.by.as_str()), (Class::Failure, "jam", "mes"));
    assert_eq!((stop.duration_ms, stop.observed), (20_000, before.1.observed));
    assert_eq!(strip.window().failures, 1);
    let Event::Stop(StopEvent::Downtime(told)) = &strip.told.last().unwrap().event else { panic!("a downtime") };
    assert_eq!((told.change, told.why.as_deref()), (Change::Amended, Some("seen on the camera")));
    assert_eq!(told.command_id.as_deref(), Some("c-1"));
    assert_eq!(code(&ask(&mut strip, name(downtime, None))), "accepted");
    assert_eq!(figures(&strip.window()), figures(&before.0), "as before, but for the revision");
}

#[test]
fn a_downtime_that_is_none_is_void_and_comes_back_with_another_reason() {
    let mut strip = stood();
    let downtime = id(&strip, 0);
    ask(&mut strip, name(downtime, Some("sensor")));
    let stop = downtimes(&strip)[0];
    assert!(stop.is_void());
    assert_eq!((stop.duration_ms, strip.window().time_in(State::Running)), (0, 39_000));
    ask(&mut strip, name(downtime, Some("jam")));
    assert_eq!((downtimes(&strip)[0].duration_ms, strip.window().time_in(State::Down)), (20_000, 20_000));
}

#[test]
fn a_split_makes_two_downtimes_of_one_stop_and_a_merge_one() {
    let mut strip = stood();
    let first = id(&strip, 0);
    let before = figures(&strip.window());
    assert_eq!(code(&ask(&mut strip, cut(first, 18))), "accepted");
    let second = id(&strip, 1);
    let lengths: Vec<i64> = downtimes(&strip).iter().map(|stop| stop.duration_ms).collect();
    assert_eq!(lengths, [8_000, 12_000]);
    assert_eq!(downtimes(&strip)[1].stop_id, first);
    assert_eq!(downtimes(&strip)[1].class, Class::Failure);
    assert_eq!(strip.window().downtimes.len(), 2);
    assert_eq!(code(&ask(&mut strip, Wish::Merge { downtime_id: first, with: second })), "accepted");
    assert_eq!(figures(&strip.window()), before);
    assert!(downtimes(&strip)[1].is_void());
    assert_eq!(code(&ask(&mut strip, name(second, Some("jam")))), "void");
}

#[test]
fn an_open_downtime_is_split_and_merged_and_then_closed() {
    let mut strip = Strip::new(press(), "run ██████████____________________██████████");
    strip.play_until(25);
    let first = id(&strip, 0);
    assert_eq!(code(&ask(&mut strip, cut(first, 18))), "accepted");
    assert_eq!(strip.book.open_stop().unwrap().split.unwrap().from, first);
    let second = id(&strip, 1);
    assert_eq!(code(&ask(&mut strip, Wish::Merge { downtime_id: first, with: second })), "accepted");
    assert_eq!(strip.book.open_stop().unwrap().downtime_id(), first);
    let strip = strip.play();
    let stops = downtimes(&strip);
    assert_eq!((stops[0].duration_ms, stops[0].ended_at), (20_000, Some(at(30))));
    assert!(stops[1].is_void());
    assert_eq!(strip.window().time_in(State::Down), 20_000);
}

#[test]
fn unknown_time_is_claimed_and_given_back() {
    let mut strip = Strip::new(press(), "run ██████████!!!!!!!!!!!!!!!!!!!!██████████").play();
    let before = figures(&strip.window());
    assert_eq!(strip.window().time_in(State::Unknown), 20_000 + 1_000);
    let claim = |from, to| Wish::Claim { from: at(from), to: at(to), code: "jam".to_owned() };
    assert_eq!(code(&ask(&mut strip, claim(5, 20))), "not_unknown");
    let reply = ask(&mut strip, claim(12, 22));
    let (downtime, revision) = subject(&reply);
    assert_eq!(revision, 2);
    let window = strip.window();
    assert_eq!((window.time_in(State::Down), window.time_in(State::Unknown), window.failures), (10_000, 11_000, 1));
    let stop = downtimes(&strip)[0];
    assert_eq!((stop.downtime_id(), stop.observed, stop.duration_ms), (downtime, None, 10_000));
    assert_eq!(code(&ask(&mut strip, claim(20, 24))), "not_unknown");
    assert_eq!(code(&ask(&mut strip, name(downtime, None))), "accepted");
    assert_eq!(figures(&strip.window()), before);
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let mut strip = stood();
    let (downtime, told) = (id(&strip, 0), strip.told.len());
    let nobody = Uuid::from_u128(7);
    let refusals = [
        (name(nobody, Some("jam")), "unknown_downtime"),
        (name(downtime, Some("nonsense")), "unknown_reason"),
        (cut(downtime, 10), "outside_downtime"),
        (cut(downtime, 30), "outside_downtime"),
        (Wish::Merge { downtime_id: downtime, with: downtime }, "another_stop"),
        (Wish::Claim { from: at(30), to: at(20), code: "jam".to_owned() }, "bad_span"),
        (Wish::Claim { from: at(-500), to: at(-400), code: "jam".to_owned() }, "beyond_journal"),
    ];
    for (wish, expected) in refusals {
        let reply = ask(&mut strip, wish.clone());
        assert_eq!(code(&reply), expected, "{wish:?}");
    }
    assert_eq!(strip.told.len(), told);
}

fn scrap(quantity: i64, kind: Scrap) -> Wish {
    Wish::Scrap { quantity, kind, code: None, order: None }
}

#[test]
fn good_parts_are_scrapped_and_taken_back_and_a_restart_forgets_neither() {
    let mut strip = Strip::new(press(), "run    ██████████\ntotal  1111111111\nreject 0000000000");
    strip.play_until(8);
    let before = strip.window().counts;
    assert_eq!(code(&ask(&mut strip, scrap(100, Scrap::Scrap))), "too_many");
    assert_eq!(code(&ask(&mut strip, scrap(-1, Scrap::Scrap))), "too_many");
    assert_eq!(code(&ask(&mut strip, scrap(3, Scrap::Scrap))), "accepted");
    assert_eq!(code(&ask(&mut strip, scrap(1, Scrap::Rework))), "accepted");
    let mut known = Known::default();
    strip.told.iter().for_each(|told| known.apply(told));
    strip.shop = Shop::open(strip.shop.rules().clone(), known, &strip.shop.marks());
    let mut strip = strip.play();
    let counts = strip.window().counts;
    assert_eq!((counts.total, counts.reject, counts.rework), (before.total + 2, before.reject + 3, 1));
    assert_eq!(counts.good + counts.reject + counts.rework, counts.total);
    assert_eq!(code(&ask(&mut strip, scrap(-3, Scrap::Scrap))), "accepted");
    assert_eq!(code(&ask(&mut strip, scrap(-1, Scrap::Rework))), "accepted");
    let counts = strip.window().counts;
    assert_eq!((counts.good, counts.reject, counts.rework), (counts.total - before.reject, before.reject, 0));
}

/// All figures, without the revisions and the downtimes that are void.
fn figures(window: &Window) -> Window {
    let mut window = window.clone();
    window.downtimes.iter_mut().for_each(|share| share.revision = 0);
    window
}

/// What must hold however stops were corrected.
fn is_sound(strip: &Strip) -> Result<(), TestCaseError> {
    let window = strip.window();
    prop_assert_eq!(window.time_ms.iter().sum::<i64>(), window.calendar_ms);
    let mut end = Stamp::MIN;
    for stop in strip.book.stops.iter().filter(|stop| !stop.is_gone()) {
        prop_assert!(stop.from >= end, "{} begins before {end}", stop.from);
        end = stop.ended_at.unwrap_or(Stamp::MAX);
        prop_assert!(stop.from < end);
        if stop.ended_at.is_some() && !stop.is_void() {
            prop_assert_eq!(end.since(stop.started_at), stop.duration_ms + stop.excluded_ms + stop.unknown_ms);
        }
    }
    for stop in &strip.book.stops {
        let shares: i64 = stop.shares.iter().map(|share| share.duration_ms).sum();
        prop_assert_eq!(shares, stop.duration_ms);
        prop_assert!(!stop.is_void() || stop.duration_ms == 0);
    }
    let mut numbers: Vec<u64> = downtimes(strip).iter().filter_map(|stop| stop.downtime).map(|at| at.number).collect();
    numbers.sort_unstable();
    prop_assert_eq!(&numbers, &(1..=numbers.len() as u64).collect::<Vec<_>>(), "gap-free numbers");
    if downtimes(strip).iter().any(|stop| stop.ended_at.is_none()) {
        return Ok(());
    }
    let down: i64 = window.downtimes.iter().map(|share| share.duration_ms).sum();
    let closed: i64 = downtimes(strip).iter().map(|stop| stop.duration_ms).sum();
    prop_assert_eq!(down, closed, "the window's downtimes are the sum of the records");
    Ok(())
}

/// A second that a random number falls on inside a stop.
fn inside(stop: &Stop, chance: u16) -> Stamp {
    let end = stop.ended_at.unwrap_or(stop.from.plus(1000));
    stop.from.plus(end.since(stop.from) * i64::from(chance) / i64::from(u16::MAX) / 1000 * 1000)
}

proptest! {
    #[test]
    fn whatever_is_corrected_no_stop_overlaps_and_the_times_add_up(row in run_row(), cut_at in 1..120_usize, wishes in prop::collection::vec((0..5_u8, any::<u16>(), any::<u16>()), 1..12)) {
        let mut strip = Strip::new(press(), &format!("run {row}█"));
        strip.play_until(cut_at.min(strip.length() - 1));
        for (what, which, chance) in wishes {
            let stops: Vec<Stop> = downtimes(&strip).into_iter().cloned().collect();
            let chosen = stops.get(usize::from(which) % stops.len().max(1)).cloned();
            let gap = strip.book.intervals.iter().zip(strip.book.intervals.iter().skip(1)).find(|(interval, _)| interval.going == Going::Unknown);
            let wish = match (what, chosen) {
                (0, Some(stop)) => name(stop.downtime_id(), Some(["jam", "starved", "sensor"][usize::from(chance) % 3])),
                (1, Some(stop)) => name(stop.downtime_id(), None),
                (2, Some(stop)) => Wish::Split { downtime_id: stop.downtime_id(), at: inside(&stop, chance), code: None, code_after: None, work_to: None },
                (3, Some(stop)) => Wish::Merge { downtime_id: stop.downtime_id(), with: stops[usize::from(chance) % stops.len()].downtime_id() },
                _ => match gap {
                    Some((gap, next)) => Wish::Claim { from: gap.from, to: next.from, code: "jam".to_owned() },
                    None => continue,
                },
            };
            ask(&mut strip, wish);
        }
        let strip = strip.play();
        is_sound(&strip)?;
        let mut known = Known::default();
        for told in &strip.told {
            known.apply(&serde_json::from_str(&serde_json::to_string(told).unwrap()).unwrap());
        }
        prop_assert_eq!(&known, strip.shop.known());
        let _ = Shop::open(strip.shop.rules().clone(), known, &strip.shop.marks());
    }

    #[test]
    fn a_correction_and_its_reverse_restore_every_figure(row in run_row(), which in any::<u16>(), chance in any::<u16>()) {
        let mut strip = Strip::new(press(), &format!("run {row}█")).play();
        let stops: Vec<Stop> = downtimes(&strip).into_iter().cloned().collect();
        prop_assume!(!stops.is_empty());
        let stop = &stops[usize::from(which) % stops.len()];
        let before = (figures(&strip.window()), strip.book.intervals.clone());
        for code in ["jam", "starved", "sensor"] {
            ask(&mut strip, name(stop.downtime_id(), Some(code)));
        }
        ask(&mut strip, name(stop.downtime_id(), None));
        let split = ask(&mut strip, Wish::Split { downtime_id: stop.downtime_id(), at: inside(stop, chance), code: None, code_after: None, work_to: None });
        if code(&split) == "accepted" {
            let second = downtimes(&strip).into_iter().find(|part| part.split.is_some_and(|split| split.from == stop.downtime_id()));
            let with = second.unwrap().downtime_id();
            let merged = ask(&mut strip, Wish::Merge { downtime_id: with, with: stop.downtime_id() });
            prop_assert_eq!(code(&merged), "accepted");
        }
        prop_assert_eq!(figures(&strip.window()), before.0);
        prop_assert_eq!(&strip.book.intervals, &before.1);
    }
}
