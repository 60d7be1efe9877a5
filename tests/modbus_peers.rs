//! Peers that others wrote: libmodbus as server and client and its unit-test-server, pymodbus as server; TCP and RTU.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;
#[path = "common/peers.rs"]
mod peers;

use ::andon::{
    io::{
        clock::Clock,
        plc::{self, Channel, Settings, Word},
        samples::Samples,
    },
    signal::{
        Bad, Observation, Point, PointIx, Reading, Value,
        point::{Area, Kind, Order},
    },
    sim::Bench,
};
use andon::{Daemon, Ear, Peer, Place};
use mosquitto::{Door, Mosquitto, eventually};
use peers::{Pair, compiled, pymodbus_server, unit_test_server};
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};

const DEADLINE: Duration = Duration::from_secs(30);

/// A server that dies with the test.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(program: &Path, port: u16) -> Server {
        let mut process = Command::new(program).arg(port.to_string()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Server { process, port: line.trim().parse().expect("it printed its port") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn points(list: &[(Area, u16, Kind)]) -> Vec<(PointIx, Point)> {
    let point = |(ix, (area, address, kind)): (usize, &(Area, u16, Kind))| {
        let (area, address, kind) = (*area, *address, *kind);
        let (name, order, invert, hold_ms) = (format!("plc.p{ix}"), Order::Abcd, false, 0);
        let (scale, offset, modulus) = (1.0, 0.0, None);
        (PointIx(ix), Point { name, area, address, kind, order, invert, hold_ms, scale, offset, modulus })
    };
    list.iter().enumerate().map(point).collect()
}

fn settings(port: u16, points: Vec<(PointIx, Point)>) -> Settings {
    Settings {
        id: "plc".into(),
        // A name, as in real configurations.
        channel: Channel::tcp(format!("localhost:{port}")),
        poll: Duration::from_millis(20),
        points,
        ..Settings::default()
    }
}

async fn next_answered(words: &mut mpsc::Receiver<Word>) -> Observation {
    loop {
        let word = timeout(DEADLINE, words.recv()).await.expect("a word in time").expect("the task runs");
        if let Word::Seen(seen) = word
            && seen.readings.iter().any(|(_, reading)| matches!(reading, Reading::Good(_)))
        {
            return seen;
        }
    }
}

fn int(n: i64) -> Reading {
    Reading::Good(Value::Int(n))
}

fn bit(set: bool) -> Reading {
    Reading::Good(Value::Bool(set))
}

#[tokio::test]
async fn libmodbus_as_a_plc_is_read_and_found_again_after_a_crash() {
    const BIT: Kind = Kind::Bool { bit: None };
    let folder = tempfile::tempdir().unwrap();
    let program = compiled("modbus_server", &folder);
    let server = Server::start(&program, 0);
    let port = server.port;
    let points = points(&[
        (Area::Holding, 0, Kind::U16),
        (Area::Holding, 1, Kind::U32),
        (Area::Holding, 299, Kind::U16),
        // The device ends at 299; read together with its neighbour this is refused.
        (Area::Holding, 300, Kind::U16),
        (Area::Input, 1001, Kind::I16),
        (Area::Coil, 3, BIT),
        (Area::Coil, 4, BIT),
        (Area::Discrete, 99, BIT),
        (Area::Discrete, 98, BIT),
    ]);
    let (out, mut words) = mpsc::channel(64);
    tokio::spawn(plc::run(vec![settings(port, points)], Clock::start(1), out));

    let expected = [
        int(38 << 16 | 69),
        int(299 * 31 + 7),
        Reading::Bad(Bad::Refused(2)),
        int(1001 * 31 + 7),
        bit(true),
        bit(false),
        bit(true),
        bit(false),
    ];
    let held =
        |seen: &Observation| seen.readings.iter().skip(1).map(|(_, reading)| reading.clone()).collect::<Vec<_>>();
    let counted = |seen: &Observation| match seen.readings[0] {
        (_, Reading::Good(Value::Int(n))) => n,
        ref other => panic!("{other:?}"),
    };
    let first = next_answered(&mut words).await;
    assert_eq!(held(&first), expected);
    let second = next_answered(&mut words).await;
    assert_eq!(held(&second), expected);
    assert!(counted(&second) > counted(&first), "each look is a fresh one");

    drop(server);
    loop {
        match timeout(DEADLINE, words.recv()).await.expect("a word in time").expect("the task runs") {
            Word::Lost { plc, .. } => break assert_eq!(plc, "plc"),
            Word::Seen(_) | Word::Noted { .. } | Word::Counted { .. } => {}
            Word::Back { .. } => panic!("it was not lost"),
        }
    }
    let _again = Server::start(&program, port);
    let back = next_answered(&mut words).await;
    assert_eq!(held(&back), expected);
}

#[tokio::test]
async fn libmodbus_as_a_client_reads_the_simulated_plc_and_may_not_write() {
    let folder = tempfile::tempdir().unwrap();
    let program = compiled("modbus_client", &folder);
    let points = points(&[
        (Area::Holding, 10, Kind::U32),
        (Area::Holding, 13, Kind::U16),
        (Area::Input, 5, Kind::F32),
        (Area::Coil, 3, Kind::Bool { bit: None }),
        (Area::Coil, 4, Kind::Bool { bit: None }),
        (Area::Input, 7, Kind::U16),
    ]);
    let samples = folder.path().join("line.csv");
    let names: Vec<_> = points.iter().map(|(_, point)| point.name.as_str()).collect();
    std::fs::write(&samples, format!("time,{}\n0,65538,7,!,0,1,9\n60000,,,,,,\n", names.join(","))).unwrap();
    let samples = Samples::open(&samples, &points).unwrap();
    let bench = Bench::bind(&[settings(1502, points)], Some(SocketAddr::from(([127, 0, 0, 1], 0)))).await.unwrap();
    let port = bench.addresses()[0].port();
    let playing = tokio::spawn(bench.play(samples, 20));

    let client = tokio::task::spawn_blocking(move || Command::new(program).arg(port.to_string()).output().unwrap());
    let output = timeout(DEADLINE, client).await.expect("the client ends").unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "holding 10+4: 1 2 0 7\n\
         holding 9+1: Illegal data address\n\
         input 5+1: Slave device or server failure\n\
         input 6+1: Slave device or server failure\n\
         coils 3+2: 0 1\n\
         write register: Illegal function\n\
         write coil: Illegal function\n"
    );
    // A minute at twenty times the speed, and it ends by itself.
    timeout(DEADLINE, playing).await.expect("the line ends").unwrap().unwrap();
}

/// How a device of the configuration is reached.
enum Way {
    Tcp(u16),
    /// Its end of the line is `theirs`.
    Rtu(Pair),
}

impl Way {
    /// Starts a peer that says its port, or "ready" if it is given a serial line.
    fn to(command: &mut Command, is_serial: bool, read_first: &[u8]) -> (Peer, Way) {
        let pair = is_serial.then(Pair::new);
        match &pair {
            Some(pair) => command.arg("rtu").arg(pair.theirs()),
            None => command.arg("tcp"),
        };
        let mut peer = Peer::telling(command, read_first);
        let said = peer.line();
        match pair {
            Some(pair) => {
                assert_eq!(said, "ready");
                (peer, Way::Rtu(pair))
            }
            None => (peer, Way::Tcp(said.parse().unwrap())),
        }
    }

    /// `[[serial]]`, if it is one; `form` is what the peer opened it with.
    fn line(&self, id: &str, form: &str) -> String {
        match self {
            Way::Tcp(_) => String::new(),
            Way::Rtu(pair) => format!("[[serial]]\nid = \"{id}\"\ndevice = \"{}\"\n{form}\n", pair.ours().display()),
        }
    }

    /// A `[[plc]]` there, up to its points.
    fn plc(&self, id: &str, line: &str, rest: &str) -> String {
        let place = match self {
            Way::Tcp(port) => format!("tcp = \"127.0.0.1:{port}\""),
            Way::Rtu(_) => format!("serial = \"{line}\""),
        };
        format!("[[plc]]\nid = \"{id}\"\n{place}\n{rest}\n[plc.points]\n")
    }
}

const GATEWAY: &str = "[gateway]\nid = \"gw\"\npath = \"acme/hall-3\"\ntimezone = \"Europe/Berlin\"\n\
                       data_dir = \"{folder}/data\"\n";

/// A machine that never stops, so that any other state that is told of it is a lie.
fn machine(id: &str, run: &str, rest: &str) -> String {
    format!(
        "[[machine]]\nid = \"{id}\"\nline = \"line\"\nrun = \"{run}\"\ndebounce = \"100ms\"\nno_data = \"10s\"\n{rest}\n"
    )
}

/// What `andon probe` shows, by the name of the point.
fn probed(place: &Place) -> BTreeMap<String, Json> {
    let answer = place.ask(&["probe", "-c", "andon.toml", "--format", "json"]);
    let shown: Json = serde_json::from_str(&answer.out).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    let points = shown["plcs"].as_array().unwrap().iter().flat_map(|plc| plc["points"].as_array().unwrap());
    points.map(|point| (point["point"].as_str().unwrap().to_owned(), point.clone())).collect()
}

/// Each column of a recording: what stood there, and when, in ms.
type Cells = BTreeMap<String, Vec<(i64, String)>>;

/// `andon run` with a recording and a consumer that hears everything.
struct Run {
    place: Place,
    daemon: Daemon,
    ear: Ear,
    _broker: Mosquitto,
}

impl Run {
    fn start(place: Place) -> Run {
        let broker = Mosquitto::start(&Door::Anonymous);
        let ear = Ear::open(&broker, "#");
        let config = place.read("andon.toml");
        place.configure(&format!("{config}[mqtt]\nbrokers = [\"mqtt://127.0.0.1:{}\"]\n", broker.port));
        let daemon = place.run(&["--record", "seen.csv"]);
        Run { place, daemon, ear, _broker: broker }
    }

    /// Of what it has written so far, each column's cells with their time in ms.
    fn cells(&self) -> Cells {
        cells(&self.place.read("seen.csv"))
    }

    /// The last live picture of a machine.
    fn picture(&self, machine: &str) -> Json {
        let heard = self.ear.heard();
        heard
            .iter()
            .rev()
            .find(|heard| heard.topic.ends_with(&format!("/{machine}/state")))
            .map_or(Json::Null, andon::Heard::json)
    }

    /// Ends it. Nobody ever heard that one of these machines was anything but running, once it was known; gives every
    /// cell, and what was logged.
    fn end(self, machines: &[&str]) -> (Cells, String) {
        let log = self.daemon.stop();
        let events = self.ear.events();
        for machine in machines {
            let of_it = events.iter().filter(|event| event["data"]["machine"] == *machine);
            let states = of_it.filter_map(|event| event["data"]["state"].as_str());
            assert_eq!(states.skip_while(|state| *state == "unknown").collect::<Vec<_>>(), ["running"], "{machine}");
        }
        (cells(&self.place.read("seen.csv")), log)
    }
}

fn cells(recording: &str) -> Cells {
    let mut rows = csv::Reader::from_reader(recording.as_bytes());
    let names = rows.headers().unwrap().clone();
    let mut cells: Cells = BTreeMap::new();
    // The last row may be half written.
    for row in rows.records().map_while(Result::ok) {
        let at = row[0].parse::<jiff::Timestamp>().unwrap().as_millisecond();
        for (name, cell) in names.iter().zip(&row).skip(1).filter(|(_, cell)| !cell.is_empty()) {
            cells.entry(name.to_owned()).or_default().push((at, cell.to_owned()));
        }
    }
    cells
}

/// Whether a cell of a recording shows this value, exactly.
fn shows(cell: &str, value: &Json) -> bool {
    match value {
        Json::Bool(set) => cell == if *set { "1" } else { "0" },
        Json::String(text) => cell == text,
        Json::Number(number) if number.is_f64() => cell.parse() == Ok(number.as_f64().unwrap()),
        whole => serde_json::from_str::<Json>(cell).is_ok_and(|held| held == *whole),
    }
}

/// Of libmodbus' unit-test.h.
const UT_BITS: (u16, usize, [u8; 5]) = (0x130, 0x25, [0xCD, 0x6B, 0xB2, 0x0E, 0x1B]);
const UT_INPUT_BITS: (u16, usize, [u8; 3]) = (0x1C4, 0x16, [0xAC, 0xDB, 0x35]);
const UT_REGISTERS: (u16, [u16; 3]) = (0x160, [0x022B, 0x0001, 0x0064]);
const UT_INPUT_REGISTER: (u16, u16) = (0x108, 0x000A);
/// Each wrong in its own way, and what may be shown instead of nothing.
const BUSY: u16 = 0x170;
const LIAR: u16 = 0x171;
const SLEEPER: u16 = 0x172;
const DRIP: u16 = 0x173;
/// It answers every question for two registers with one.
const PAIR: u16 = 0x163;

/// All that the unit-test-server holds, as points of a PLC and their values.
fn unit_test_data(plc: &str) -> (String, BTreeMap<String, Json>) {
    let (mut points, mut held) = (String::new(), BTreeMap::new());
    let mut point = |name: String, area: &str, address: usize, value: Json| {
        writeln!(points, "{name} = {{ {area} = {address} }}").unwrap();
        held.insert(format!("{plc}.{name}"), value);
    };
    let bit = |bytes: &[u8], n: usize| json!(bytes[n / 8] >> (n % 8) & 1 == 1);
    for n in 0..UT_BITS.1 {
        point(format!("coil{n}"), "coil", usize::from(UT_BITS.0) + n, bit(&UT_BITS.2, n));
    }
    for n in 0..UT_INPUT_BITS.1 {
        point(format!("discrete{n}"), "discrete", usize::from(UT_INPUT_BITS.0) + n, bit(&UT_INPUT_BITS.2, n));
    }
    for (n, value) in UT_REGISTERS.1.into_iter().enumerate() {
        point(format!("holding{n}"), "holding", usize::from(UT_REGISTERS.0) + n, json!(value));
    }
    point("input".into(), "input", UT_INPUT_REGISTER.0.into(), json!(UT_INPUT_REGISTER.1));
    (points, held)
}

/// Between two looks at what is well.
const POLL_MS: i64 = 500;

/// One way in which the unit-test-server misbehaves.
struct Oddity {
    name: &'static str,
    unit: u8,
    points: String,
    /// What `it` may be shown as, if not as nothing.
    held: Json,
}

fn oddities(is_serial: bool) -> [Oddity; 6] {
    // Its ready-made replies bear unit 255 on TCP. One of them also bears a wrong number, always 0: that of the first
    // request of a connection. So that the number alone gives it away, unit 255 is asked for something else first.
    let ready_made = if is_serial { 17 } else { 255 };
    let it = |address: u16, kind: &str| format!("it = {{ holding = {address}, type = \"{kind}\" }}\n");
    let first = format!("first = {{ holding = {} }}\n", UT_REGISTERS.0);
    let odd = |name, unit, points, held| Oddity { name, unit, points, held };
    [
        odd("busy", 17, it(BUSY, "u16"), json!(null)),
        odd("liar", 17, it(LIAR, "u16"), json!(null)),
        odd("numbers", ready_made, first + &it(LIAR, "u16"), json!(null)),
        odd("sleeper", 17, it(SLEEPER, "u16"), json!(SLEEPER * 31 + 7)),
        // On a line it says nothing: byte by byte is something for sockets only. Of the number it copies but one byte.
        odd("drip", ready_made, it(DRIP, "u16"), if is_serial { json!(null) } else { json!(0) }),
        odd("pair", 17, it(PAIR, "u32"), json!(null)),
    ]
}

/// For each oddity a server, the PLC `{name}` that it makes, the PLC `{name}_good` behind the same connection, and a
/// machine that lives by it.
struct UnitTest {
    _servers: Vec<(Peer, Way)>,
    place: Place,
    /// What is sure.
    good: BTreeMap<String, Json>,
    oddities: [Oddity; 6],
}

impl UnitTest {
    fn start(is_serial: bool, timeout_ms: u32) -> UnitTest {
        let folder = tempfile::tempdir().unwrap();
        let program = unit_test_server(&folder);
        let (mut servers, mut good, mut config) = (Vec::new(), BTreeMap::new(), GATEWAY.to_owned());
        let oddities = oddities(is_serial);
        for Oddity { name, unit, points, .. } in &oddities {
            let (server, way) = Way::to(&mut Command::new(&program), is_serial, b"");
            config += &way.line(name, "baud = 115200\nparity = \"none\"");
            // Both of one pace, and of one number.
            let pace = format!("poll = \"{POLL_MS}ms\"\ntimeout = \"{timeout_ms}ms\"");
            config += &way.plc(name, name, &format!("unit = {unit}\n{pace}"));
            config += points;
            let neighbour = format!("{name}_good");
            let (points, held) = unit_test_data(&neighbour);
            config += &way.plc(&neighbour, name, &format!("unit = 17\n{pace}"));
            config += &points;
            config += &machine(
                name,
                &format!("{neighbour}.coil0"),
                &format!("fault = \"{neighbour}.holding0\"\n[[reason]]\ncode = \"{name}\"\nclass = \"failure\""),
            );
            good.extend(held);
            servers.push((server, way));
        }
        good.insert("numbers.first".to_owned(), json!(UT_REGISTERS.1[0]));
        UnitTest { _servers: servers, place: Place::with(&config), good, oddities }
    }
}

fn unit_test_server_is_probed(is_serial: bool) {
    let test = UnitTest::start(is_serial, 1000);
    let shown = probed(&test.place);
    for (name, value) in &test.good {
        assert_eq!(shown[name]["value"], *value, "{name}: {}", shown[name]);
    }
    for Oddity { name, held, .. } in test.oddities {
        let shown = &shown[&format!("{name}.it")];
        assert!(shown["value"].is_null() || shown["value"] == held, "{name}: {shown}");
        assert_ne!(shown["why"].is_null(), shown["value"].is_null(), "{name}: {shown}");
    }
    // It is slow, and within the time-out.
    assert_eq!(shown["sleeper.it"]["value"], json!(SLEEPER * 31 + 7), "{}", shown["sleeper.it"]);
    assert_eq!(shown["busy.it"]["exception"], json!(6));
    assert!(shown["sleeper.it"]["round_trip_ms"].as_f64().unwrap() >= 500.0, "{}", shown["sleeper.it"]);
}

fn unit_test_server_is_watched(is_serial: bool) {
    const WATCHED: Duration = Duration::from_secs(8);
    const BUSY_COMPUTER_MS: i64 = 1000;
    // The sleeper sleeps longer.
    let test = UnitTest::start(is_serial, 200);
    let run = Run::start(test.place);
    thread::sleep(WATCHED);
    let names = || test.good.keys().filter(|name| !name.starts_with("numbers.f"));
    let failed =
        |cells: &Cells, name: &str| cells.get(name).is_some_and(|cells| cells.iter().any(|(_, cell)| cell == "!"));
    eventually("each misbehaves, and its neighbours are there", || {
        let cells = run.cells();
        let is_there =
            |name: &String| cells.get(name).and_then(|cells| cells.last()).is_some_and(|(_, cell)| cell != "!");
        test.oddities.iter().all(|odd| odd.name == "drip" || failed(&cells, &format!("{}.it", odd.name)))
            && names().all(is_there)
    });
    for odd in &test.oddities {
        let fault = json!(UT_REGISTERS.1[0]);
        eventually(&format!("the fault of {} is shown", odd.name), || run.picture(odd.name)["fault"] == fault);
    }
    let (cells, log) = run.end(&test.oddities.each_ref().map(|odd| odd.name));
    let mut known = test.good.clone();
    known.extend(test.oddities.iter().map(|odd| (format!("{}.it", odd.name), odd.held.clone())));
    for (name, value) in &known {
        let wrong: Vec<_> = cells[name].iter().filter(|(_, cell)| cell != "!" && !shows(cell, value)).collect();
        assert!(wrong.is_empty(), "{name} is {value}: {wrong:?}");
    }
    for name in names() {
        let mut lost = None;
        for (at, cell) in &cells[name] {
            if cell == "!" {
                lost.get_or_insert(*at);
            } else if let Some(lost) = lost.take() {
                let took = at - lost;
                assert!(took <= 2 * POLL_MS + BUSY_COMPUTER_MS, "{name} was lost for {took} ms\n{log}");
            }
        }
    }
}

#[test]
fn libmodbus_own_test_server_is_probed_right() {
    unit_test_server_is_probed(false);
}

#[test]
fn libmodbus_own_test_server_is_probed_right_on_a_serial_line() {
    unit_test_server_is_probed(true);
}

#[test]
fn a_scan_finds_the_unit_and_its_registers_on_a_serial_line() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, way) = Way::to(&mut Command::new(unit_test_server(&folder)), true, b"");
    let points = format!("run = {{ coil = {} }}\n", UT_BITS.0);
    let line = way.line("line", "baud = 115200\nparity = \"none\"");
    let plc = way.plc("plc", "line", "unit = 17\ntimeout = \"1s\"");
    let place = Place::with(&[GATEWAY, &line, &plc, &points, &machine("m", "plc.run", "")].concat());
    let words = ["--unit", "16-18", "--area", "holding", "--range", "345-360", "--format", "json"];
    let answer = place.ask(&[&["probe", "-c", "andon.toml", "--scan"], &words[..]].concat());
    assert_eq!(answer.code, 0, "{answer:?}");
    let shown: Json = serde_json::from_str(&answer.out).unwrap();
    let scan = &shown["plcs"][0];
    // It holds 32 from there on.
    let islands = json!([{ "from": UT_REGISTERS.0, "to": 360 }]);
    assert_eq!(scan["tables"][0]["areas"][0]["ranges"], islands, "{scan}");
    assert_eq!(scan["tables"].as_array().unwrap().len(), 1, "{scan}");
    let units: Vec<&Json> = scan["units"].as_array().unwrap().iter().map(|unit| &unit["unit"]).collect();
    assert_eq!(units, [17], "{scan}");
}

#[test]
fn libmodbus_own_test_server_misbehaves_and_no_wrong_value_comes_of_it() {
    unit_test_server_is_watched(false);
}

#[test]
fn libmodbus_own_test_server_misbehaves_on_a_serial_line_and_no_wrong_value_comes_of_it() {
    unit_test_server_is_watched(true);
}

#[tokio::test]
async fn a_sleeping_plc_leaves_its_neighbour_of_the_same_pace_its_polls() {
    const SETTLED_MS: i64 = 3_000;
    const WATCHED_MS: i64 = 15_000;
    let folder = tempfile::tempdir().unwrap();
    let (_server, way) = Way::to(&mut Command::new(unit_test_server(&folder)), false, b"");
    let Way::Tcp(port) = way else { unreachable!("it was asked for a port") };
    // Two places of one device: it sleeps for 500 ms, and nobody else is answered meanwhile.
    let plc = |id: &str, ix: usize, address: u16| {
        let points = vec![(PointIx(ix), points(&[(Area::Holding, address, Kind::U16)]).remove(0).1)];
        let (poll, timeout) = (Duration::from_millis(POLL_MS.unsigned_abs()), Duration::from_millis(200));
        Settings { id: id.into(), unit: 17, poll, timeout, ..settings(port, points) }
    };
    let (out, mut words) = mpsc::channel(64);
    let clock = Clock::start(1);
    let from = clock.now().plus(SETTLED_MS);
    tokio::spawn(plc::run(vec![plc("sleeper", 0, SLEEPER), plc("good", 1, UT_REGISTERS.0)], clock, out));
    let (mut kept, mut slept) = (0, 0);
    loop {
        let Word::Seen(seen) = timeout(DEADLINE, words.recv()).await.unwrap().unwrap() else { continue };
        if seen.at.since(from) > WATCHED_MS {
            break;
        }
        match &seen.readings[..] {
            [(PointIx(1), reading)] if seen.at > from => kept += i64::from(*reading == int(UT_REGISTERS.1[0].into())),
            [(PointIx(0), Reading::Bad(_))] => slept += 1,
            _ => {}
        }
    }
    let due = WATCHED_MS / POLL_MS;
    assert!(slept > 0, "the sleeper sleeps");
    assert!(kept * 10 >= due * 9, "{kept} of {due}");
}

/// What pymodbus holds: every kind, in every order that it can have.
struct Image {
    /// [table, address, type, order, value]
    registers: Vec<Json>,
    points: String,
    held: BTreeMap<String, Json>,
}

impl Image {
    fn new() -> Image {
        let mut image = Image { registers: Vec::new(), points: String::new(), held: BTreeMap::new() };
        let one = ["ABCD", "BADC"];
        let all = ["ABCD", "CDAB", "BADC", "DCBA"];
        for (table, mut at) in [("holding", 101), ("input", 7)] {
            for (kind, orders, value) in [
                ("u16", &one[..], json!(65_521)),
                ("i16", &one, json!(-12_345)),
                ("bcd16", &one, json!(4711)),
                ("u32", &all, json!(4_000_000_001_u32)),
                ("i32", &all, json!(-2_000_000_003)),
                ("bcd32", &all, json!(98_765_432)),
                ("f32", &all, json!(-1234.0625)),
                ("u64", &all, json!(9_223_372_036_854_775_807_u64)),
                ("i64", &all, json!(-9_007_199_254_740_993_i64)),
                ("f64", &all, json!(-0.000_123_456_789_012_345)),
                ("string(10)", &one, json!("Größe 7")),
                ("string(8)", &one, json!("A-4711-B")),
            ] {
                for order in orders {
                    let text = value.as_str().map(|text| {
                        let bytes: usize = kind.trim_start_matches("string(").trim_end_matches(')').parse().unwrap();
                        json!(format!("{text}{}", "\0".repeat(bytes - text.len())))
                    });
                    let registers = match kind {
                        "u16" | "i16" | "bcd16" => 1,
                        "u32" | "i32" | "bcd32" | "f32" => 2,
                        "string(10)" => 5,
                        _ => 4,
                    };
                    image.registers.push(json!([table, at, kind, order, text.as_ref().unwrap_or(&value)]));
                    let name = format!("{table}_{}_{order}", kind.replace(['(', ')'], ""));
                    image.point(
                        &name,
                        &format!("{table} = {at}, type = \"{kind}\", order = \"{order}\""),
                        value.clone(),
                    );
                    at += registers;
                }
                // A gap, of which pymodbus refuses to speak.
                image.point(
                    &format!("{table}_{}_gap", kind.replace(['(', ')'], "")),
                    &format!("{table} = {at}"),
                    Json::Null,
                );
                at += 1;
            }
        }
        image.registers.push(json!(["holding", 90, "u16", "ABCD", 0xA5C3]));
        for bit in 0..16 {
            image.point(&format!("bit{bit}"), &format!("holding = 90, bit = {bit}"), json!(0xA5C3 >> bit & 1 == 1));
        }
        image.registers.push(json!(["holding", 80, "live", "ABCD", 0]));
        for (table, at, bits) in [("coil", COILS.0, &COILS.1[..]), ("discrete", DISCRETES.0, &DISCRETES.1)] {
            for (n, bit) in bits.iter().enumerate() {
                image.point(&format!("{table}{n}"), &format!("{table} = {}", at + n), json!(*bit == 1));
            }
        }
        image
    }

    fn point(&mut self, name: &str, place: &str, value: Json) {
        writeln!(self.points, "{name} = {{ {place} }}").unwrap();
        self.held.insert(format!("plc.{name}"), value);
    }
}

const COILS: (usize, [u8; 11]) = (13, [1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 1]);
const DISCRETES: (usize, [u8; 9]) = (35, [0, 1, 1, 0, 1, 0, 0, 0, 1]);

fn pymodbus_is_read(is_serial: bool) {
    let image = Image::new();
    let bits = json!({ "coil": COILS, "discrete": DISCRETES });
    let told = json!({ "unit": 9, "registers": image.registers, "bits": bits }).to_string();
    let (_peer, way) = Way::to(&mut pymodbus_server(), is_serial, told.as_bytes());
    let line = way.line("line", "baud = 19200\nparity = \"none\"");
    let head = way.plc("plc", "line", "unit = 9\npoll = \"1s\"");
    let points = format!("{}live = {{ holding = 80, type = \"u32\" }}\n", image.points);
    let machine = machine("press", "plc.coil0", "total = \"plc.live\"\nfault = \"plc.holding_u16_BADC\"");
    let place = Place::with(&format!("{GATEWAY}{line}{head}{points}{machine}"));

    let shown = probed(&place);
    for (name, value) in &image.held {
        assert_eq!(shown[name]["value"], *value, "{name}: {}", shown[name]);
        let exception = if value.is_null() { json!(2) } else { json!(null) };
        assert_eq!(shown[name]["exception"], exception, "{name}: {}", shown[name]);
    }

    let run = Run::start(place);
    eventually("parts are counted", || run.picture("press")["counts"]["total"].as_i64() >= Some(3));
    eventually("the fault is shown", || run.picture("press")["fault"] == json!(65_521));
    let (cells, log) = run.end(&["press"]);
    for (name, value) in &image.held {
        let is_right = |cell: &str| if value.is_null() { cell == "!" } else { shows(cell, value) };
        assert!(cells[name].iter().all(|(_, cell)| is_right(cell)), "{name} is {value}: {:?}\n{log}", cells[name]);
    }
    let live: Vec<i64> = cells["plc.live"].iter().map(|(_, cell)| cell.parse().unwrap()).collect();
    assert!(live.len() >= 3 && live.is_sorted(), "{live:?}");
}

#[test]
fn pymodbus_is_read_right_in_every_type_and_order() {
    pymodbus_is_read(false);
}

#[test]
fn pymodbus_is_read_right_in_every_type_and_order_on_a_serial_line() {
    pymodbus_is_read(true);
}
