//! Any bytes as commands to a shop in its second shift; each is answered, what is refused changes nothing, and what is told
//! can be written and read, never a panic.
#![no_main]

use andon::{
    config::{Plan, load_text},
    event::{
        Stamp, Told,
        command::{Command, Verdict},
    },
    gateway,
    shop::{Input, Marks, Shop, correction::Past, known::Known, rules::Rules},
    signal::{Observation, Reading, Value},
    wire::{MachineNames, Names, envelope, inbound},
};
use libfuzzer_sys::fuzz_target;
use std::{cell::OnceCell, sync::Arc};

/// 2026-10-19T04:00:00Z
const BEGIN: Stamp = Stamp::from_ms(1_792_382_400_000);
const MINUTE_MS: i64 = 60_000;
/// Minutes that it lived before.
const LIVED: i64 = 9 * 60;
/// Of one execution.
const COMMANDS: usize = 6;
/// An event is never larger. Bytes.
const EVENT_BYTES: usize = 64 << 10;

const VERBS: [&str; 9] =
    ["reason", "scrap", "order", "operator", "work-order", "work-request", "asset", "replay", "dance"];

const CONFIG: &str = r#"
day_start = "06:00"
[gateway]
id = "gw"
path = "acme/leipzig/hall-3"
timezone = "Europe/Berlin"
[mqtt]
brokers = ["mqtt://127.0.0.1:1"]
[[product]]
code = "cap-28"
ideal_cycle = "12s"
[[reason]]
code = "jam"
text = "Jam"
class = "failure"
faults = [1, 2]
[[reason]]
code = "clean"
class = "planned"
[[reason]]
code = "setup"
class = "changeover"
[[work_request]]
name = "long failure"
class = "failure"
after = "10m"
priority = 2
[[shift]]
id = "early"
days = ["mon", "tue", "wed", "thu", "fri"]
start = "06:00"
end = "14:00"
breaks = [{ start = "09:00", end = "09:15" }]
[[shift]]
id = "late"
days = ["mon", "tue", "wed", "thu", "fri"]
start = "14:00"
end = "22:00"
[[plc]]
id = "p"
tcp = "127.0.0.1:1"
[plc.points]
run = { coil = 0 }
total = { holding = 0, type = "u32" }
reject = { holding = 2, type = "u32" }
fault = { holding = 4 }
[[plc]]
id = "q"
tcp = "127.0.0.1:2"
points_from = "p"
[[machine]]
id = "m0"
line = "l"
ideal_cycle = "10s"
run = "p.run"
total = "p.total"
reject = "p.reject"
fault = "p.fault"
no_data = "5m"
[[machine]]
id = "m1"
line = "l"
ideal_cycle = "10s"
run = "q.run"
total = "q.total"
no_data = "5m"
"#;

/// What every execution begins with.
struct Life {
    rules: Arc<Rules>,
    names: Names,
    plan: Plan,
    known: Known,
    marks: Marks,
}

thread_local! {
    static LIFE: OnceCell<Life> = const { OnceCell::new() };
}

/// A plant that stood now and then, was dark once, and stands at the end.
fn live() -> Life {
    let (plan, _) = load_text("fuzz.toml", CONFIG).unwrap_or_else(|faults| panic!("{}", faults[0].render()));
    let rules = Arc::new(plan.rules.clone());
    let machines = rules.machines.iter();
    let names = Names {
        prefix: plan.prefix.clone(),
        path: rules.path.clone(),
        gateway: rules.gateway.clone(),
        machines: machines
            .map(|m| (m.id.clone(), MachineNames { line: m.line.clone(), asset: m.asset.clone() }))
            .collect(),
        wall: rules.calendar.wall().clone(),
        shows_persons: true,
    };
    let mut shop = Shop::open(Arc::clone(&rules), Known::default(), &Marks::default());
    for minute in (0..LIVED).filter(|minute| !(200..230).contains(minute)) {
        look(&mut shop, &plan, minute);
    }
    let (known, marks) = (shop.known().clone(), shop.marks());
    if std::env::var_os("ANDON_SHOW").is_some() {
        eprintln!("{}", serde_json::to_string_pretty(&known).expect("JSON"));
    }
    Life { rules, names, plan, known, marks }
}

/// One of all points.
fn look(shop: &mut Shop, plan: &Plan, minute: i64) -> Vec<Told> {
    let at = BEGIN.plus(minute * MINUTE_MS);
    let runs = minute % 97 > 12 && minute < LIVED - 5;
    let value = |name: &str| match name.split_once('.').map_or("", |(_, point)| point) {
        "run" => Value::Bool(runs),
        "total" => Value::Int(minute * 5),
        "reject" => Value::Int(minute / 10),
        _ => Value::Int(i64::from(!runs) * (minute / 97 % 4)),
    };
    let points = plan.points.iter().enumerate();
    let readings = points.map(|(ix, point)| (andon::signal::PointIx(ix), Reading::Good(value(&point.name)))).collect();
    shop.turn(Input::Observed(&Observation { at, readings }), at).told
}

/// The fold of what is told is what is known, and each event has a row.
fn check(told: Vec<Told>, fold: &mut Known, shop: &Shop, names: &Names) {
    for told in told {
        let row = gateway::row(names, &told).expect("every event has a JSON form");
        assert!(row.body.len() <= EVENT_BYTES, "an event of {} bytes: {:?}", row.body.len(), told.event);
        let read: Told = serde_json::from_str(&row.internal).expect("what is written can be read");
        assert_eq!(read, told, "what is read is what was written");
        fold.apply(&read);
    }
    assert!(*fold == *shop.known(), "the fold of what is told is what is known");
}

/// Whether it was carried out.
fn turn(
    life: &Life,
    shop: &mut Shop,
    fold: &mut Known,
    (machine, command): (Option<&str>, &Command),
    now: Stamp,
) -> bool {
    let tick = shop.turn(Input::Tick, now).told;
    check(tick, fold, shop, &life.names);
    // Of a day that nobody remembers nothing is found.
    let missed = machine.and_then(|machine| shop.misses(machine, command, now));
    let past = missed.map(|_| Past::default());
    let turn = shop.turn(Input::Command { machine, command, past: past.as_ref() }, now);
    let reply = turn.reply.expect("every command is answered");
    let body = envelope::answer(&life.names, machine, Some(&command.by), (&reply, false), now).expect("JSON");
    assert!(body.len() <= EVENT_BYTES, "an answer of {} bytes", body.len());
    if matches!(reply.verdict, Verdict::Refused(_) | Verdict::Stale(_)) {
        assert!(turn.told.is_empty(), "refused, and told: {:?}", turn.told);
    }
    check(turn.told, fold, shop, &life.names);
    matches!(reply.verdict, Verdict::Accepted(_))
}

fn run(life: &Life, input: &[u8]) {
    let mut opened = None;
    let mut is_another = false;
    let mut now = BEGIN.plus(LIVED * MINUTE_MS);
    // No JSON holds a zero.
    for one in input.split(|byte| *byte == 0).take(COMMANDS) {
        let [first, body @ ..] = one else { continue };
        let verb = VERBS[usize::from(*first & 15) % VERBS.len()];
        let machine = [Some("m0"), Some("m1"), None, Some("nowhere")][usize::from(*first >> 4 & 3)];
        now = now.plus(1_000);
        let asked = inbound::read(verb, body, now);
        match asked.command {
            Ok(command) => {
                assert!(body.len() <= inbound::COMMAND_BYTES);
                let open =
                    || (Shop::open(Arc::clone(&life.rules), life.known.clone(), &life.marks), life.known.clone());
                let (shop, fold) = opened.get_or_insert_with(open);
                is_another |= turn(life, shop, fold, (machine, &command), now);
            }
            Err(refusal) => assert!(refusal.text.chars().count() <= 600, "{}", refusal.text.len()),
        }
    }
    // What was believed goes on to count.
    if let Some((shop, fold)) = opened.as_mut().filter(|_| is_another) {
        for minute in [LIVED + 1, LIVED + 2, LIVED + 20] {
            let told = look(shop, &life.plan, minute);
            check(told, fold, shop, &life.names);
        }
    }
}

fuzz_target!(|input: &[u8]| {
    LIFE.with(|life| run(life.get_or_init(live), input));
});
