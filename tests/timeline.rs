//! The wall clock is set while machines run and stand: the same shop as in the daemon, turned in a plain loop, and what the
//! world is told of it. Whoever adds up what was published comes to what the wall clock showed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use andon::{
    books::window::{self, sum},
    config::load_text,
    event::{
        Event, Stamp, Told,
        command::{Command, Wish},
        shift, stop,
        window::Window,
    },
    shop::{Input, Known, Marks, Rules, Shop, Turn},
    signal::{Observation, PointIx, Reading, Value as Seen},
    wire::{MachineNames, Names, envelope},
};
use proptest::prelude::*;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// 2026-11-23T05:55:00Z, a Monday.
const START: Stamp = Stamp::from_ms(1_795_413_300_000);
/// Between two looks.
const LOOK_MS: i64 = 5_000;

/// Short shifts, so that many edges are crossed; two minutes between them are closed.
const SHIFTS: &str = r#"
[[shift]]
id = "early"
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
start = "06:00"
end = "06:20"
breaks = [{ start = "06:05", end = "06:08" }]
[[shift]]
id = "late"
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
start = "06:20"
end = "06:40"
[[shift]]
id = "night"
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
start = "06:42"
end = "06:00"
"#;

fn rules(shifts: &str) -> Arc<Rules> {
    let text = format!(
        r#"
day_start = "06:00"
[gateway]
id = "gw"
path = "acme/leipzig/hall-3"
timezone = "Etc/UTC"
data_dir = "/nowhere"
[mqtt]
brokers = ["mqtt://127.0.0.1:1"]
[[plc]]
id = "plc"
tcp = "127.0.0.1:2"
[plc.points]
run = {{ coil = 0 }}
total = {{ holding = 0 }}
[[machine]]
id = "press-7"
line = "line-2"
ideal_cycle = "5s"
run = "plc.run"
total = "plc.total"
debounce = "1s"
short_stop = "20s"
no_data = "30s"
[[reason]]
code = "mech.jam"
class = "failure"
{shifts}"#
    );
    let (plan, _) = load_text("andon.toml", &text)
        .unwrap_or_else(|faults| panic!("{}", faults.iter().map(|fault| fault.render()).collect::<String>()));
    let point = |name| plan.points.iter().position(|point| point.name == name);
    assert_eq!((point("plc.total"), point("plc.run")), (Some(TOTAL.0), Some(RUN.0)));
    Arc::new(plan.rules)
}

const RUN: PointIx = PointIx(0);
const TOTAL: PointIx = PointIx(1);

/// A press, the gateway beside it and all that it tells.
struct World {
    shop: Shop,
    names: Names,
    told: Vec<Told>,
    /// As the world reads them.
    bodies: Vec<Value>,
    at: Stamp,
    good: i64,
}

impl World {
    fn new(shifts: &str) -> World {
        let shop = Shop::open(rules(shifts), Known::default(), &Marks::default());
        let machines =
            [("press-7".to_owned(), MachineNames { line: "line-2".to_owned(), asset: "press-7".to_owned() })];
        let names = Names {
            shows_persons: true,
            prefix: "andon/v1".to_owned(),
            path: "acme/leipzig/hall-3".to_owned(),
            gateway: "gw".to_owned(),
            machines: machines.into(),
            wall: Default::default(),
        };
        World { shop, names, told: Vec::new(), bodies: Vec::new(), at: START, good: 0 }
    }

    fn turn(&mut self, input: Input<'_>) {
        let Turn { told, .. } = self.shop.turn(input, self.at);
        self.names.wall.clone_from(&self.shop.known().wall);
        for told in told {
            self.bodies.push(serde_json::from_slice(&envelope::body(&self.names, &told).unwrap()).unwrap());
            self.told.push(told);
        }
    }

    /// One look: it makes a part, stands, or does not answer.
    fn look(&mut self, run: Option<bool>) {
        self.good += i64::from(run == Some(true));
        let readings = match run {
            Some(run) => {
                let good = Reading::Good(Seen::Int(self.good));
                vec![(RUN, Reading::Good(Seen::Bool(run))), (TOTAL, good)]
            }
            None => [RUN, TOTAL].map(|point| (point, Reading::Bad(andon::signal::Bad::Silent))).into(),
        };
        // Between full seconds, where shifts end and clocks are set.
        self.at = self.at.plus(LOOK_MS / 2);
        let observation = Observation { at: self.at, readings };
        self.turn(Input::Observed(&observation));
        self.at = self.at.plus(LOOK_MS / 2);
    }

    fn looks(&mut self, run: bool, seconds: i64) {
        (0..seconds * 1000 / LOOK_MS).for_each(|_| self.look(Some(run)));
    }

    fn set_clock(&mut self, step_ms: i64) {
        self.turn(Input::Clock { step_ms, is_synced: true });
    }

    fn of(&self, word: &str) -> Vec<Value> {
        let kind = format!("andon.{word}.v1");
        self.bodies.iter().filter(|body| body["type"] == *kind).map(|body| body["data"].clone()).collect()
    }

    /// The last word on each shift.
    fn stated(&self) -> BTreeMap<String, Value> {
        let id = |data: &Value| data["id"].as_str().unwrap().to_owned();
        self.of("shift.stated").into_iter().map(|data| (id(&data), data)).collect()
    }

    /// Windows of a kind as a report would measure them now.
    fn windows(&self, of: impl Fn(&Shop) -> Vec<andon::books::calendar::Period>) -> Vec<Window> {
        let machine = self.shop.machines().next().unwrap();
        let rules = self.shop.rules();
        let latest = *machine.counts();
        let by = rules.measure(machine.rules, machine.counting(), self.shop.now(), Some(&latest));
        let Some(book) = machine.known.map(|known| &known.book) else { return Vec::new() };
        of(&self.shop).iter().filter_map(|period| window::period(book, period, &by)).collect()
    }
}

fn ms(data: &Value, key: &str) -> i64 {
    data[key].as_i64().unwrap_or_else(|| panic!("{key} in {data}"))
}

fn time(data: &Value, key: &str) -> i64 {
    let at: jiff::Timestamp = data[key].as_str().unwrap_or_else(|| panic!("{key} in {data}")).parse().unwrap();
    at.as_millisecond()
}

fn states_ms(data: &Value) -> i64 {
    data["time_ms"].as_object().unwrap().values().map(|ms| ms.as_i64().unwrap()).sum()
}

/// What must hold of every downtime and window, wherever the clock was set.
fn is_exact(world: &World) -> Result<(), TestCaseError> {
    for stop in world.of("downtime.closed") {
        let parts = ["duration_ms", "excluded_ms", "unknown_ms", "clock_adjust_ms"].map(|key| ms(&stop, key));
        prop_assert_eq!(time(&stop, "ended_at") - time(&stop, "started_at"), parts.iter().sum::<i64>(), "{}", stop);
        let shares = stop["shares"].as_array().unwrap();
        prop_assert_eq!(shares.iter().map(|share| ms(share, "duration_ms")).sum::<i64>(), parts[0], "{}", stop);
    }
    for window in world.of("shift.stated") {
        let whole = states_ms(&window) + ms(&window, "clock_adjust_ms");
        prop_assert_eq!(time(&window, "to") - time(&window, "from"), whole, "{}", window);
        prop_assert_eq!(states_ms(&window), ms(&window, "calendar_ms"), "{}", window);
    }
    let ids: BTreeSet<&str> = world.bodies.iter().map(|body| body["id"].as_str().unwrap()).collect();
    prop_assert_eq!(ids.len(), world.bodies.len());
    let mut known = Known::default();
    world.told.iter().for_each(|told| known.apply(told));
    prop_assert_eq!(&known, world.shop.known());
    Ok(())
}

#[test]
fn a_step_in_the_middle_of_a_stop_changes_no_duration() {
    for step_s in [3600, -3600, 2 * 86_400] {
        let mut world = World::new("");
        world.looks(true, 60);
        world.looks(false, 60);
        world.set_clock(step_s * 1000);
        world.looks(false, 60);
        world.looks(true, 60);
        let closed = &world.of("downtime.closed")[0];
        assert_eq!((ms(closed, "duration_ms"), ms(closed, "clock_adjust_ms")), (120_000, step_s * 1000));
        assert_eq!(closed["started_at"], "2026-11-23T05:56:02.500Z");
        assert_eq!(time(closed, "ended_at"), START.plus(182_500 + step_s * 1000).ms());
        let notices = world.of("notice.raised");
        assert_eq!(notices.len(), 1, "{notices:?}");
        assert_eq!((&notices[0]["code"], &notices[0]["severity"]), (&"clock_step".into(), &"warning".into()));
        assert_eq!(notices[0]["from"], "2026-11-23T05:57:00.000Z");
        assert_eq!(time(&notices[0], "to") - time(&notices[0], "from"), step_s * 1000);
        is_exact(&world).unwrap();
    }
}

#[test]
fn a_shift_that_the_clock_is_set_back_into_is_stated_once_more_with_all_of_its_time() {
    let mut world = World::new(SHIFTS);
    world.looks(true, 60 * 30);
    assert_eq!(world.stated().keys().collect::<Vec<_>>(), ["2026-11-22/night", "2026-11-23/early"]);
    // 06:25 becomes 06:10.
    world.set_clock(-15 * 60_000);
    world.looks(true, 60 * 32);
    let stated = world.stated();
    let early = &stated["2026-11-23/early"];
    assert_eq!((ms(early, "revision"), states_ms(early), ms(early, "clock_adjust_ms")), (2, 30 * 60_000, -10 * 60_000));
    assert_eq!(
        (&early["from"], &early["to"]),
        (&"2026-11-23T06:00:00.000Z".into(), &"2026-11-23T06:20:00.000Z".into())
    );
    assert_eq!(early["counts"]["total"], 30 * 12);
    let late = &stated["2026-11-23/late"];
    assert_eq!((ms(late, "revision"), states_ms(late), ms(late, "clock_adjust_ms")), (1, 25 * 60_000, -5 * 60_000));
    assert_eq!(late["counts"]["total"], 25 * 12);
    is_exact(&world).unwrap();
}

#[test]
fn shifts_that_a_step_forward_leaves_out_are_empty() {
    let mut world = World::new(SHIFTS);
    world.looks(true, 60 * 15);
    // 06:10 becomes 06:45: a part of the early shift, the whole late one and a part of the night never were.
    world.set_clock(35 * 60_000);
    world.looks(true, 60 * 5);
    let stated = world.stated();
    assert_eq!(stated.keys().collect::<Vec<_>>(), ["2026-11-22/night", "2026-11-23/early"]);
    let early = &stated["2026-11-23/early"];
    assert_eq!((states_ms(early), ms(early, "clock_adjust_ms")), (10 * 60_000, 10 * 60_000));
    assert_eq!(early["counts"]["total"], 10 * 12);
    is_exact(&world).unwrap();
}

#[test]
fn a_stop_that_waits_for_planned_hours_begins_when_the_clock_is_set_into_them() {
    let mut world = World::new(SHIFTS);
    world.looks(true, 60 * 10);
    // In the break from 06:05 to 06:08.
    world.looks(true, 30);
    world.looks(false, 30);
    // 06:06 becomes 06:12.
    world.set_clock(6 * 60_000);
    world.looks(false, 60);
    world.looks(true, 60);
    let closed = &world.of("downtime.closed")[0];
    assert_eq!(
        (&closed["started_at"], &closed["ended_at"]),
        (&"2026-11-23T06:12:00.000Z".into(), &"2026-11-23T06:13:02.500Z".into())
    );
    assert_eq!((ms(closed, "duration_ms"), ms(closed, "clock_adjust_ms")), (62_500, 0));
    is_exact(&world).unwrap();
}

#[test]
fn what_people_say_of_a_time_is_said_by_the_wall_clock() {
    for step_s in [3600, -3600] {
        let mut world = World::new("");
        world.looks(true, 60);
        (0..24).for_each(|_| world.look(None));
        world.looks(true, 60);
        world.set_clock(step_s * 1000);
        world.looks(true, 60);
        // Nobody looked from 05:55:57.5 to 05:58:02.5.
        let at = |second: i64| START.plus(second * 1000);
        let wish = Wish::Claim { from: at(70), to: at(130), code: "mech.jam".to_owned() };
        let (command_id, by) = ("c-1".to_owned(), "mes".to_owned());
        let command = Command { command_id, by, comment: None, at: at(240 + step_s), wish };
        world.turn(Input::Command { machine: Some("press-7"), command: &command, past: None });
        let closed = world.of("downtime.closed");
        assert_eq!(closed.len(), 1, "{step_s}");
        assert_eq!((time(&closed[0], "started_at"), time(&closed[0], "ended_at")), (at(70).ms(), at(130).ms()));
        assert_eq!((ms(&closed[0], "duration_ms"), ms(&closed[0], "clock_adjust_ms")), (60_000, 0));
        assert_eq!(time(&closed[0]["change"], "at"), at(240 + step_s).ms());
        is_exact(&world).unwrap();
    }
}

#[test]
fn before_the_clock_is_set_stops_and_windows_are_flagged() {
    let mut world = World::new("");
    world.at = Stamp::from_ms(30_000);
    world.turn(Input::Clock { step_ms: 0, is_synced: false });
    world.looks(true, 60);
    world.looks(false, 60);
    world.looks(true, 60);
    world.looks(false, 60);
    let first = &world.of("downtime.closed")[0];
    assert_eq!((&first["flags"], ms(first, "clock_adjust_ms")), (&serde_json::json!(["unsynced"]), 0));
    let step_ms = START.ms() - world.at.ms();
    world.set_clock(step_ms);
    world.looks(false, 60);
    world.looks(true, 60);
    world.looks(false, 60);
    world.looks(true, 60);
    let closed = world.of("downtime.closed");
    assert_eq!((ms(&closed[1], "duration_ms"), ms(&closed[1], "clock_adjust_ms")), (120_000, step_ms));
    assert_eq!(closed[1]["flags"], serde_json::json!(["unsynced"]));
    assert_eq!(closed[2]["flags"], serde_json::json!([]), "{}", closed[2]);
    let codes: Vec<Value> = world.of("notice.raised").iter().map(|notice| notice["code"].clone()).collect();
    assert_eq!(codes, ["clock_unsynced", "clock_step"]);
    let day = &world.of("shift.stated")[0];
    assert_eq!((&day["id"], &day["flags"]), (&"1969-12-31".into(), &serde_json::json!(["unsynced"])));
    is_exact(&world).unwrap();
}

fn plays() -> impl Strategy<Value = Vec<(Option<bool>, i64)>> {
    let run = prop_oneof![4 => Just(Some(true)), 4 => Just(Some(false)), 1 => Just(None)];
    prop::collection::vec((run, 1..60_i64), 1..25)
}

/// Steps between plays: mostly of minutes, so that shifts are entered and left.
fn steps() -> impl Strategy<Value = BTreeMap<usize, i64>> {
    let step = prop_oneof![6 => -1_500_000..1_500_000_i64, 1 => Just(172_800_000_i64), 1 => Just(-172_800_000_i64)];
    prop::collection::btree_map(0..25_usize, step, 0..6)
}

fn played(shifts: &str, plays: &[(Option<bool>, i64)], steps: &BTreeMap<usize, i64>) -> World {
    let mut world = World::new(shifts);
    for (place, (run, looks)) in plays.iter().enumerate() {
        if let Some(step_ms) = steps.get(&place) {
            world.set_clock(*step_ms);
        }
        (0..*looks).for_each(|_| world.look(*run));
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn however_the_clock_is_set_what_is_published_adds_up(plays in plays(), steps in steps()) {
        let world = played(SHIFTS, &plays, &steps);
        is_exact(&world)?;
        let (begins, now) = (START.plus(LOOK_MS / 2), world.shop.now());
        // Each instant lies in exactly one hour, and each part was made in one.
        let hours = world.windows(|shop| shop.rules().calendar.hours(begins, now).collect());
        if let Some(all) = sum(&hours, andon::books::Convention::OeeCom) {
            prop_assert_eq!(all.calendar_ms, now.since(begins));
            prop_assert_eq!(all.counts.total, world.shop.machines().next().unwrap().counts().total);
        }
        for hour in hours {
            prop_assert_eq!(hour.to.since(hour.from), hour.calendar_ms + hour.clock_adjust_ms);
            prop_assert_eq!(hour.time_ms.iter().sum::<i64>(), hour.calendar_ms);
        }
    }

    #[test]
    fn however_the_clock_is_set_no_duration_changes(plays in plays(), steps in steps()) {
        let durations = |world: &World| -> Vec<(i64, i64)> {
            world.of("downtime.closed").iter().map(|stop| (ms(stop, "duration_ms"), ms(stop, "unknown_ms"))).collect()
        };
        let (stepped, plain) = (played("", &plays, &steps), played("", &plays, &BTreeMap::new()));
        is_exact(&stepped)?;
        prop_assert_eq!(durations(&stepped), durations(&plain));
    }

    #[test]
    fn a_statement_is_what_a_report_measures(plays in plays(), steps in steps()) {
        let world = played(SHIFTS, &plays, &steps);
        let rules = world.shop.rules();
        let wall = &world.shop.known().wall;
        let mut stated: BTreeMap<String, shift::Event> = BTreeMap::new();
        for told in &world.told {
            if let Event::Shift(event) = &told.event {
                stated.insert(event.id.clone(), event.clone());
            }
        }
        for (id, event) in stated {
            // One that the clock was set back into is stated when it ends once more.
            if wall.hull(event.from, event.to).1 > world.shop.now() || !event.window.is_final {
                continue;
            }
            let now = world.windows(|_| rules.machines[0].calendar.shifts(START, world.shop.now()).filter(|shift| shift.id == id).collect());
            prop_assert_eq!(now[0].time_ms, event.window.time_ms, "{}", id);
            prop_assert_eq!(now[0].counts.total, event.window.counts.total, "{}", id);
        }
        let is_open = |told: &Told| matches!(&told.event, Event::Stop(stop::Event::Downtime(downtime)) if downtime.stop.duration_ms < 0);
        prop_assert!(!world.told.iter().any(is_open));
    }
}
