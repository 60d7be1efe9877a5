//! `andon probe` as an integrator sees it: every point in both notations, the hints that save an hour, and what a scan finds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;

use ::andon::{
    io::plc::{
        Settings,
        scan::{Ended, Scan},
    },
    signal::point::Area,
};
use andon::{Peer, Place, dead_port};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

const CONFIG: &str = r#"[gateway]
id = "gw"
path = "acme/hall-3"
timezone = "Europe/Berlin"

[[plc]]
id = "plc"
tcp = "{address}"
poll = "50ms"
[plc.points]
run   = { coil = 6 }
good  = { holding = 100, type = "u32", order = "CDAB" }
heat  = { input = 4, type = "f32" }
door  = { holding = 102, bit = 3 }
level = { input = 6, type = "i16", scale = 0.5, offset = -10 }
order = { holding = 110, type = "string(8)" }

[[machine]]
id = "press-7"
line = "line-2"
run = "plc.run"
total = "plc.good"
"#;

/// The PLC of `sim`'s configuration holds one row of values for a minute.
fn simulated(place: &Place, config: &str, head: &str, cells: &str) -> (Peer, String) {
    place.write("sim.toml", &config.replace("{address}", "127.0.0.1:502"));
    place.write("line.csv", &format!("time,{head}\n1000,{cells}\n61000,{cells}\n"));
    let words = ["sim", "-c", "sim.toml", "--samples", "line.csv", "--listen", "127.0.0.1:0"];
    let mut sim = Peer::start(&mut place.command(&words));
    let address = sim.line().split_once(' ').unwrap().1.to_owned();
    (sim, address)
}

/// The press of [`CONFIG`], and a folder whose configuration says where it is.
fn press() -> (Place, Peer) {
    let place = Place::with("");
    let head = "plc.run,plc.good,plc.heat,plc.door,plc.level,plc.order";
    let (sim, address) = simulated(&place, CONFIG, head, "1,4711,72.5,1,25.5,A-4711");
    place.configure(&CONFIG.replace("{address}", &address));
    (place, sim)
}

fn probe(place: &Place, words: &[&str]) -> Value {
    let answer = place.ask(&[&["probe", "-c", "andon.toml", "--format", "json"], words].concat());
    assert_eq!(answer.code, 0, "{}", answer.err);
    serde_json::from_str(&answer.out).unwrap()
}

fn point<'a>(seen: &'a Value, name: &str) -> &'a Value {
    let points = seen["plcs"][0]["points"].as_array().unwrap();
    points.iter().find(|point| point["point"] == name).unwrap_or_else(|| panic!("{name} is in {seen:#}"))
}

#[test]
fn each_point_is_shown_with_both_addresses_its_registers_and_its_value() {
    let (place, _sim) = press();
    let seen = probe(&place, &[]);
    let good = point(&seen, "plc.good");
    for (key, value) in [
        ("area", json!("holding")),
        ("address", json!(100)),
        ("reference", json!("40101")),
        ("type", json!("u32")),
        ("order", json!("CDAB")),
        ("raw", json!([4711, 0])),
        ("raw_hex", json!(["1267", "0000"])),
        ("value", json!(4711)),
        ("why", json!(null)),
    ] {
        assert_eq!(good[key], value, "{key}");
    }
    assert!(good["round_trip_ms"].as_f64().unwrap() > 0.0);
    assert!(good.get("decode").is_none(), "only if asked for");
    let shown = |name| (point(&seen, name)["reference"].clone(), point(&seen, name)["value"].clone());
    assert_eq!(shown("plc.run"), (json!("00007"), json!(true)));
    assert_eq!(shown("plc.heat"), (json!("30005"), json!(72.5)));
    assert_eq!(shown("plc.door"), (json!("40103"), json!(true)));
    assert_eq!(shown("plc.level"), (json!("30007"), json!(25.5)));
    assert_eq!(shown("plc.order"), (json!("40111"), json!("A-4711")));
    assert_eq!(point(&seen, "plc.level")["raw"], json!([71]), "as it stands in the PLC");
    assert_eq!(seen["plcs"][0]["hints"], json!([]), "all is well");

    let table = place.ask(&["probe", "-c", "andon.toml"]);
    assert_eq!((table.code, table.err.as_str()), (0, ""));
    let rows: Vec<Vec<&str>> = table.out.lines().map(|line| line.split_whitespace().collect()).collect();
    let row = |name: &str| rows.iter().find(|row| row.first() == Some(&name)).unwrap();
    assert_eq!(row("point"), &["point", "address", "1-based", "type", "raw", "value", "ms"]);
    assert_eq!(row("good")[..8], ["good", "holding", "100", "40101", "u32", "CDAB", "1267", "0000"]);
    assert_eq!(row("good")[8], "4711");
    assert_eq!(row("door")[..7], ["door", "holding", "102.3", "40103.3", "bool", "0008", "1"]);
}

#[test]
fn a_wrong_word_order_is_seen_and_the_right_one_named() {
    let (place, _sim) = press();
    let right = place.read("andon.toml");
    place.write("andon.toml", &right.replace(", order = \"CDAB\"", "").replace("\"f32\"", "\"f32\", order = \"CDAB\""));
    let seen = probe(&place, &["--decode"]);
    assert_eq!(point(&seen, "plc.good")["value"], json!(308_740_096));
    assert_eq!(point(&seen, "plc.good")["decode"]["CDAB"]["u32"], json!(4711));
    assert_eq!(point(&seen, "plc.heat")["decode"]["ABCD"]["f32"], json!(72.5));
    assert_eq!(point(&seen, "plc.heat")["decode"].as_object().unwrap().len(), 4);
    assert_eq!(point(&seen, "plc.door")["decode"], json!({}), "one register has one order");
    let hints = seen["plcs"][0]["hints"].as_array().unwrap();
    let hint = |name: &str| hints.iter().filter_map(Value::as_str).find(|hint| hint.starts_with(name)).unwrap();
    assert!(hint("plc.good").ends_with("try order = \"CDAB\""), "{hints:?}");
    assert!(hint("plc.heat").contains("72.5 as ABCD"), "{hints:?}");
    assert!(hint("plc.heat").ends_with("try order = \"ABCD\""), "{hints:?}");
    assert_eq!(hints.len(), 2);

    let table = place.ask(&["probe", "-c", "andon.toml", "--decode"]).out;
    assert!(table.lines().any(|line| line.trim_start().starts_with("CDAB") && line.contains("u32 4711 ")), "{table}");
    assert!(table.lines().any(|line| line.trim_start().starts_with("* ABCD")), "{table}");
}

#[test]
fn addresses_that_were_counted_from_one_are_recognised() {
    let (place, _sim) = press();
    let config = place.read("andon.toml");
    // Every address as a manual prints it that counts from 1, written down as if it were counted from 0.
    let points = "run = { coil = 7 }\norder = { holding = 111, type = \"string(8)\" }\n";
    let from = config.find("run   =").unwrap();
    let to = config.find("\n[[machine]]").unwrap();
    let config = format!("{}{points}{}", &config[..from], &config[to..]);
    place.write("andon.toml", &config.replace("total = \"plc.good\"\n", ""));
    let seen = probe(&place, &[]);
    assert_eq!(point(&seen, "plc.run")["exception"], json!(2));
    assert_eq!(point(&seen, "plc.run")["why"], json!("refused with Modbus exception 02 (it has no such address)"));
    assert_eq!(point(&seen, "plc.run")["value"], json!(null));
    let hint = seen["plcs"][0]["hints"][0].as_str().unwrap();
    assert!(hint.contains("every point of plc was refused with 02"), "{hint}");
    assert!(hint.contains("coil 6 (00007) answers"), "{hint}");
    assert!(hint.contains("ref = \"00007\""), "{hint}");
    assert_eq!(seen["plcs"][0]["answers"], json!(true), "a refusal is an answer");
}

#[test]
fn a_plc_that_does_not_answer_is_said_and_the_others_are_shown() {
    let (place, _sim) = press();
    let dead = dead_port();
    let second =
        format!("\n[[plc]]\nid = \"gone\"\ntcp = \"127.0.0.1:{dead}\"\n[plc.points]\nlamp = {{ discrete = 0 }}\n");
    place.write("andon.toml", &(place.read("andon.toml") + &second));
    let answer = place.ask(&["probe", "-c", "andon.toml", "--format", "json"]);
    assert_eq!(answer.code, 69);
    assert!(answer.err.contains("gone at 127.0.0.1:") && answer.err.contains("Connection refused"), "{}", answer.err);
    let seen: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(point(&seen, "plc.good")["value"], json!(4711));
    assert_eq!((&seen["plcs"][1]["plc"], &seen["plcs"][1]["answers"]), (&json!("gone"), &json!(false)));
    assert_eq!(place.ask(&["probe", "-c", "andon.toml", "--plc", "plc"]).code, 0, "only the one that was asked for");
    let nobody = place.ask(&["probe", "-c", "andon.toml", "--plc", "nobody"]);
    assert_eq!((nobody.code, nobody.err.lines().last().unwrap()), (64, "hint: there are plc, gone"));
}

#[test]
fn a_watch_writes_a_block_a_second_until_ctrl_c() {
    let (place, _sim) = press();
    let mut command = place.command(&["probe", "-c", "andon.toml", "--watch", "--format", "json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    next();
    let begun = Instant::now();
    for _ in 0..2 {
        assert_eq!(point(&next(), "plc.good")["value"], json!(4711));
    }
    assert!(begun.elapsed() > Duration::from_millis(1900), "one a second, not one a poll: {:?}", begun.elapsed());
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_scan_says_who_answers_and_where_at_twenty_requests_a_second() {
    let (place, _sim) = press();
    let begun = Instant::now();
    let seen = probe(&place, &["--scan", "--unit", "1-3", "--area", "holding", "--area", "input", "--range", "95-114"]);
    let scan = &seen["plcs"][0];
    let areas = scan["tables"][0]["areas"].as_array().unwrap();
    assert_eq!(areas[0]["ranges"], json!([{ "from": 100, "to": 113 }]));
    assert_eq!(areas[1]["ranges"], json!([]));
    assert_eq!(scan["units"].as_array().unwrap().len(), 3);
    assert_eq!(scan["tables"].as_array().unwrap().len(), 1, "one device of its own, searched once");
    let least = Duration::from_millis(50) * u32::try_from(scan["requests"].as_u64().unwrap() - 1).unwrap();
    assert!(begun.elapsed() >= least, "{:?} for {}", begun.elapsed(), scan["requests"]);

    let table = place.ask(&["probe", "-c", "andon.toml", "--scan", "--unit", "1", "--area", "coil", "--range", "0-9"]);
    assert!(table.out.contains("coil      6  = 00007"), "{}", table.out);
    assert!(table.err.is_empty(), "progress is for terminals: {}", table.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_nobody_answers_to_is_named_and_a_scan_finds_the_others() {
    let device = Device::start().await;
    let config = CONFIG.replace("{address}", &device.address).replace("poll =", "unit = 5\npoll =");
    let place = Place::with(&config);
    let answer = place.ask(&["probe", "-c", "andon.toml"]);
    assert_eq!(answer.code, 69, "{answer:?}");
    assert!(answer.err.contains("Modbus exception 0B"), "{}", answer.err);
    assert!(answer.out.contains("hint: nobody answers to unit 5 there"), "{}", answer.out);
    let words = ["probe", "-c", "andon.toml", "--scan", "--unit", "1-20", "--area", "coil", "--range", "511-513"];
    let scan = place.ask(&words);
    assert_eq!(scan.code, 0, "{scan:?}");
    assert!(scan.out.contains("units   1, 17  (of 1-20, the others are silent)"), "{}", scan.out);
    assert_eq!(scan.out.matches("coil      512-513  = 00513-00514").count(), 2, "{}", scan.out);
}

/// A device with islands of registers, behind units 1 and 17 of a gateway; it takes 32 registers at most in one request.
struct Device {
    address: String,
    asked: Arc<Mutex<Vec<u8>>>,
}

const ISLANDS: [(Area, std::ops::RangeInclusive<u16>); 5] = [
    (Area::Holding, 0..=9),
    (Area::Holding, 40..=139),
    (Area::Holding, 1977..=2003),
    (Area::Holding, 65_500..=65_535),
    (Area::Coil, 512..=530),
];

impl Device {
    async fn start() -> Device {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let functions = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 12];
                while stream.read_exact(&mut request).await.is_ok() {
                    functions.lock().unwrap().push(request[7]);
                    stream.write_all(&reply(&request)).await.unwrap();
                }
            }
        });
        Device { address, asked }
    }
}

fn reply(request: &[u8; 12]) -> Vec<u8> {
    let (unit, function) = (request[6], request[7]);
    let number = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
    let (address, count) = (number(8), number(10));
    let area = [Area::Coil, Area::Discrete, Area::Holding, Area::Input][usize::from(function - 1)];
    let last = address.checked_add(count - 1);
    let has = |(table, range): &(Area, std::ops::RangeInclusive<u16>)| {
        *table == area && range.contains(&address) && last.is_some_and(|last| range.contains(&last))
    };
    let pdu = if ![1, 17].contains(&unit) {
        vec![function | 0x80, 0x0B]
    } else if area == Area::Input {
        vec![function | 0x80, 1]
    } else if area == Area::Holding && count > 32 {
        vec![function | 0x80, 3]
    } else if ISLANDS.iter().any(has) {
        let bytes = if area == Area::Coil { count.div_ceil(8) } else { count * 2 };
        [vec![function, u8::try_from(bytes).unwrap()], vec![0; usize::from(bytes)]].concat()
    } else {
        vec![function | 0x80, 2]
    };
    let length = u8::try_from(pdu.len() + 1).unwrap();
    [&request[..4], &[0, length, unit], pdu.as_slice()].concat()
}

#[tokio::test]
async fn islands_are_found_with_both_ends_and_only_by_reading() {
    let device = Device::start().await;
    let settings = Settings {
        id: "plc".into(),
        channel: ::andon::io::plc::Channel::tcp(device.address.clone()),
        unit: 1,
        poll: Duration::from_secs(1),
        timeout: Duration::from_secs(5),
        max_registers: 125,
        max_gap: 8,
        points: Vec::new(),
        ..Settings::default()
    };
    let mut scan = Scan::new(settings, Duration::ZERO);
    let mut units = Vec::new();
    for unit in 1..=20 {
        if let Ok(exception) = scan.unit(unit).await {
            units.push((unit, exception));
        }
    }
    assert_eq!(units, [(1, None), (17, None)]);

    let mut told = Vec::new();
    let holding = scan.table(17, Area::Holding, None, |at| told.push(at)).await;
    // The island at 1977 is met at 2000, and followed to both ends.
    assert_eq!(holding.found, [0..=9, 40..=139, 1977..=2003, 65_500..=65_535]);
    assert_eq!(holding.most, Some(32));
    assert_eq!(holding.ended, None);
    assert!(holding.refused[&2] > 900, "{:?}", holding.refused);
    assert!(told.is_sorted() && told.len() > 1000, "progress of {} steps", told.len());

    let coils = scan.table(17, Area::Coil, None, |_| ()).await;
    assert_eq!((coils.found, coils.most), (vec![512..=530], None));
    let inputs = scan.table(17, Area::Input, None, |_| ()).await;
    assert_eq!((inputs.found, inputs.ended), (vec![], Some(Ended::NoFunction)));
    let before = scan.requests;
    let some = scan.table(1, Area::Holding, Some(42..=60), |_| ()).await;
    assert_eq!(some.found, [42..=60], "no further than asked for");
    assert!(scan.requests - before < 8, "{} requests for one range", scan.requests - before);

    let asked = device.asked.lock().unwrap();
    assert_eq!(asked.len(), usize::try_from(scan.requests).unwrap());
    assert!(asked.iter().all(|function| (1..=4).contains(function)), "reads only");
}

#[tokio::test]
async fn a_device_that_says_nothing_instead_of_no_ends_the_search_of_the_table() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = Settings {
        id: "plc".into(),
        channel: ::andon::io::plc::Channel::tcp(listener.local_addr().unwrap().to_string()),
        unit: 1,
        poll: Duration::from_secs(1),
        timeout: Duration::from_millis(200),
        max_registers: 125,
        max_gap: 8,
        points: Vec::new(),
        ..Settings::default()
    };
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = [0; 12];
                while stream.read_exact(&mut request).await.is_ok() {
                    let answer = reply(&request);
                    if answer[7] < 0x80 {
                        stream.write_all(&answer).await.unwrap();
                    }
                }
            });
        }
    });
    let mut scan = Scan::new(settings, Duration::ZERO);
    let table = scan.table(1, Area::Holding, Some(0..=65_535), |_| ()).await;
    assert_eq!(table.found, [0..=9]);
    assert!(matches!(table.ended, Some(Ended::Silent(_))), "{table:?}");
    assert!(scan.requests < 20, "{} requests", scan.requests);
}
