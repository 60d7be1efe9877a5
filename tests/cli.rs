//! The command line as a shell sees it: exit codes, words, and nothing left behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;

use andon::{Answer, Daemon, Ear, Place, Plc, andon, dead_port, listing};
use mosquitto::{Door, Mosquitto};
use serde_json::Value;
use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::Path,
    thread,
};

const GOOD: &str = r#"[gateway]
id = "gw"
path = "acme/hall-3"
timezone = "Europe/Berlin"
data_dir = "{folder}/data"

[mqtt]
brokers = ["mqtt://127.0.0.1:1"]

[[plc]]
id = "plc"
tcp = "127.0.0.1:502"
poll = "20ms"
[plc.points]
run = { coil = 0 }
total = { holding = 0, type = "u32" }

[[machine]]
id = "press-7"
line = "line-2"
run = "plc.run"
total = "plc.total"
debounce = "200ms"
short_stop = "1s"
"#;

/// `andon run` of this configuration ends at once, with 78; what it says.
fn refused(config: &str) -> String {
    let place = Place::with(config);
    let run = place.ask(&["run", "-c", "andon.toml"]);
    let check = place.ask(&["check", "-c", "andon.toml"]);
    assert_eq!((run.code, check.code), (78, 78), "{config}\n{}{}", run.err, check.err);
    for (words, answer) in [("run", &run), ("check", &check)] {
        assert!(answer.out.is_empty() && !answer.err.contains("panicked"), "{words}: {}{}", answer.out, answer.err);
    }
    assert!(!place.path("data").exists(), "nothing was begun");
    check.err
}

/// Line and column of each fault.
fn places(said: &str) -> Vec<String> {
    let place = |line: &str| {
        let mut parts = line.strip_prefix("andon.toml:")?.splitn(3, ':');
        let (line, column, _) = (parts.next()?, parts.next()?, parts.next()?);
        Some(format!("{line}:{column}"))
    };
    said.lines().filter_map(place).collect()
}

/// Where a text begins in the configuration.
fn place_of(config: &str, text: &str) -> String {
    let at = config.find(text).unwrap_or_else(|| panic!("{text} stands in it"));
    let line_start = config[..at].rfind('\n').map_or(0, |before| before + 1);
    format!("{}:{}", config[..at].matches('\n').count() + 1, at - line_start + 1)
}

/// A line, what is written instead of it, and where the fault is to be pointed at.
const WRONG: [(&str, &str, &str); 10] = [
    ("timezone = \"Europe/Berlin\"", "timezone = \"Europe/Atlantis\"", "\"Europe/Atlantis\""),
    ("brokers = [\"mqtt://127.0.0.1:1\"]", "brokers = [\"http://127.0.0.1:1\"]", "\"http://127.0.0.1:1\""),
    ("path = \"acme/hall-3\"", "path = \"acme/#\"", "\"acme/#\""),
    ("tcp = \"127.0.0.1:502\"", "tcp = \"127.0.0.1\"", "\"127.0.0.1\""),
    ("poll = \"20ms\"", "pol = \"20ms\"", "pol = "),
    ("run = { coil = 0 }", "run = { coil = 70000 }", "70000"),
    ("total = { holding = 0, type = \"u32\" }", "total = { holding = 0, type = \"f32\" }", "\"plc.total\""),
    ("total = \"plc.total\"", "total = \"plc.totl\"", "\"plc.totl\""),
    ("debounce = \"200ms\"", "debounce = 200", "200\n"),
    ("short_stop = \"1s\"", "short_stop = \"1 second\"", "\"1 second\""),
];

#[test]
fn ten_wrong_configurations_are_each_refused_at_their_place() {
    for (right, wrong, at) in WRONG {
        let config = GOOD.replace(right, wrong);
        let said = refused(&config);
        assert_eq!(places(&said), [place_of(&config, at)], "{wrong}\n{said}");
        assert!(said.contains(wrong) || at == "\"plc.total\"", "the line is shown: {said}");
        assert!(said.contains("hint:"), "{said}");
    }
}

#[test]
fn ten_faults_in_one_file_are_ten_messages() {
    let mut config = GOOD.to_owned();
    // A float stands in the way of counting, an unknown point of everything else: another fault instead.
    let ten = WRONG.iter().filter(|(right, ..)| !right.starts_with("total = {"));
    let ten: Vec<_> = ten.chain([&("line = \"line-2\"", "line = \"line.2\"", "\"line.2\"")]).collect();
    for (right, wrong, _) in &ten {
        config = config.replace(right, wrong);
    }
    let said = refused(&config);
    let mut expected: Vec<String> = ten.iter().map(|(.., at)| place_of(&config, at)).collect();
    let by_line = |place: &String| place.split(':').map(|part| part.parse::<u32>().unwrap()).collect::<Vec<_>>();
    expected.sort_by_key(by_line);
    let mut found = places(&said);
    found.sort_by_key(by_line);
    assert_eq!(found, expected, "{said}");
    assert!(said.ends_with("10 faults\n"), "{said}");
}

#[test]
fn each_exit_code_has_its_cause_and_clear_words() {
    let place = Place::with(GOOD);
    let config = ["-c", "andon.toml"];
    let ends = |words: &[&str], code: i32, said: &[&str]| {
        let answer = place.ask(words);
        assert_eq!(answer.code, code, "{words:?}: {answer:?}");
        for part in said {
            assert!(answer.err.contains(part), "{words:?} does not say {part}: {}", answer.err);
        }
        assert!(!answer.err.contains("panicked"), "{}", answer.err);
    };
    for words in [&["runn"][..], &[], &["replay"], &["run", "--clock-speed", "0"], &["demo", "--for", "soon"]] {
        ends(words, 64, &["--help"]);
    }
    ends(&["report", "-c", "andon.toml", "--machine", "press-8"], 64, &["no machine press-8", "press-7"]);
    assert_eq!(place.ask(&["--version"]).code, 0);
    assert_eq!(place.ask(&["--help"]).code, 0);
    assert_eq!(place.ask(&["check", "-c", "andon.toml"]).code, 0);

    let samples = |name: &str, text: &str, said: &[&str]| {
        place.write(name, text);
        for command in ["replay", "sim"] {
            ends(&[&[command], &config[..], &["--samples", name]].concat(), 65, said);
        }
    };
    samples("a.csv", "time,plc.run,plc.totl\n", &["a.csv:1", "plc.totl", "hint: did you mean `plc.total`?"]);
    samples("b.csv", "", &["b.csv"]);
    samples("c.csv", "time,plc.run,plc.total\n1000,1,5\n2000,maybe,6\n", &["c.csv:3", "plc.run", "maybe"]);
    samples("d.csv", "time,plc.run\n2000,1\n1000,1\n", &["d.csv:3"]);
    samples("e.csv", "time,plc.run,plc.total\n1000,1\n", &["e.csv:2: the row has 2 cells, the header 3"]);
    let good = "time,plc.run,plc.total\n1000,1,5\n";
    samples(
        "f.csv",
        &format!("{good}2000,1,4294967296\n"),
        &["f.csv:3: `4294967296` in plc.total does not fit", "hint:"],
    );
    samples("g.csv", &format!("{good}2000,5,6\n"), &["g.csv:3: `5` in plc.run is not a bit"]);
    samples("h.csv", &format!("{good}2000,1,six\n"), &["h.csv:3: `six` in plc.total is not a whole number"]);
    samples("i.csv", "time,plc.run\n1795414443,1\n", &["i.csv:2: `1795414443` is 1970-01-21", "are these seconds?"]);
    ends(&["replay", "-c", "andon.toml", "--samples", "none.csv"], 65, &["none.csv", "No such file"]);

    ends(&["run", "-c", "none.toml"], 78, &["none.toml", "No such file"]);
    ends(&["check", "-c", "none.toml"], 78, &["none.toml"]);
    fs::create_dir(place.path("empty.d")).unwrap();
    ends(&["check", "-c", "empty.d"], 78, &["empty.d"]);
    symlink("loop.toml", place.path("loop.toml")).unwrap();
    ends(&["check", "-c", "loop.toml"], 78, &["loop.toml"]);

    ends(&["report", "-c", "andon.toml"], 74, &["no journal at", "data_dir"]);
    place.write("data", "a file\n");
    ends(&["run", "-c", "andon.toml"], 74, &["is not a folder"]);
}

/// Every word that a configuration may hold, as the users' page shows them.
const EVERY_WORD: &str = r#"[gateway]
id       = "gw-hall-3"                 # required: MQTT client id, `source` of every event
path     = "acme/leipzig/hall-3"       # required: ISA-95 enterprise/site/area
timezone = "Europe/Berlin"             # required
data_dir = "/var/lib/andon"

[mqtt]
brokers  = ["mqtt://127.0.0.1:1883"]   # mqtt:// or mqtts://, tried in order
prefix   = "andon/v1"                  # first part of every topic; may be empty
# username, password_file, ca_file, cert_file, key_file, keep_alive = "30s"

[[serial]]                             # a line that several [[plc]] share; requests are serialised, a silent unit does not starve the others
id        = "rs485"
device    = "/dev/serial/by-id/usb-FTDI"
baud      = 19200
data_bits = 8
parity    = "even"                     # none | even | odd
stop_bits = 1
echo      = false                      # the adapter hears itself
gap       = "auto"                     # silence between frames: 3.5 characters

[[plc]]
id      = "press-plc"                  # required
tcp     = "192.168.0.7:502"            # one of tcp, rtu_over_tcp = "host:port", serial = "rs485"
unit    = 1
poll    = "200ms"
timeout = "1s"
# points_from = "other-plc"            # same map as another PLC
[plc.points]                           # belongs to the [[plc]] above; any machine may use a point
run     = { coil = 0 }                           # coil | discrete | holding | input, 0-based; or ref = "40101" (1-based); invert = true; hold = "3s" (blinking lamp)
good    = { holding = 100, type = "u32" }        # u16 i16 u32 i32 u64 i64 f32 f64 bcd16 bcd32 string(n characters); order = "ABCD" | "CDAB" | "BADC" | "DCBA"
reject  = { holding = 102, type = "u32", modulus = 2147483647 }
fault   = { holding = 104 }                      # u16 when no type is given; bit = 0..15 takes one bit; scale, offset
state   = { holding = 105 }
order   = { holding = 110, type = "string(8)" }

[[machine]]
id          = "press-7"                # required
line        = "line-2"                 # required
asset       = "EQ-10042"               # key in the CMMS asset register; default: the id
ideal_cycle = "1s"                     # per part (or ideal_rate = "700/min"); an order or product may bring its own; none: no P, Q, OEE
run         = "press-plc.run"          # may be left out: then running is derived from counts; or an expression "plc.auto && !plc.fault"
good        = "press-plc.good"         # any two of total, good, reject; or total alone
reject      = "press-plc.reject"
fault       = "press-plc.fault"
state       = "press-plc.state"        # with [machine.states]: running = [6], external = [5], changeover = [], down = [9, 11], …
order       = "press-plc.order"        # order / product numbers that the PLC knows
debounce    = "1s"                     # a run edge must hold this long; it is dated from its first sample
short_stop  = "120s"                   # shorter stops are performance loss; from here on it is a downtime
no_data     = "5s"                     # silence (a failed read is silence too) after which the state is `unknown`, back-dated to the last good sample; "off": only a failed read is, at once, from its own time
# max_rate, stop_after, debounce_run, open_at, order_required, parts_per_cycle: time-model.md

[[product]]
code        = "cap-28"
ideal_rate  = "700/min"

[[shift]]                              # none at all: planned to run around the clock
id     = "early"
days   = ["mon", "tue", "wed", "thu", "fri"]
start  = "06:00"
end    = "14:00"
breaks = [{ start = "09:00", end = "09:15" }, { start = "12:00", end = "12:30" }]

[[reason]]
code      = "mech.jam"
text      = "Material jam"
class     = "failure"                  # failure | operational | changeover | planned | external | unassigned
counts_in = "availability"             # availability | performance | excluded | none
faults    = [12, 13]                   # PLC fault codes that name this reason (0: no fault); `machines = ["press-7"]` limits them. A fault that no reason names: class `failure`, reason null

[[work_request]]
name     = "long failure"
class    = "failure"
after    = "10m"                       # open at least this long; or times = 3, within = "8h"; or run_hours = 500; or cycles = 100000
priority = 2                           # 1 highest … 4

[[consumer]]
id    = "mes"                          # reports receipts; kinds, machines (default all), max_lag = "90d"
may   = ["order", "reason", "scrap", "operator", "replay"]   # commands it may send; default none; `replay` for itself always
"#;

#[test]
fn a_configuration_that_uses_every_word_is_accepted_and_what_is_not_acted_on_is_named() {
    let place = Place::with(EVERY_WORD);
    let answer = place.ask(&["check", "-c", "andon.toml"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert_eq!(answer.out, "ok: 1 gateway, 1 PLC, 6 points, 1 machine\n");
    let not_yet =
        |line: &str| Some(line.split_once(": warning: ")?.1.split_once(" is read but not acted on")?.0.to_owned());
    let words: Vec<String> = answer.err.lines().filter_map(not_yet).collect();
    let expected = ["[[work_request]]", "[[consumer]]"];
    assert_eq!(words, expected, "{}", answer.err);
}

#[test]
fn a_data_folder_belongs_to_one_gateway() {
    let place = Place::with(GOOD);
    let first = place.run(&[]);
    let second = place.ask(&["run", "-c", "andon.toml"]);
    assert_eq!(second.code, 74, "{second:?}");
    let words = format!("another andon runs on this data folder: {}", place.path("data").display());
    assert!(second.err.contains(&words) && second.err.contains(&format!("pid {}", first.id())), "{}", second.err);
    first.stop();
    place.run(&[]).stop();
}

#[test]
fn a_password_file_that_is_not_there_is_a_fault_of_the_configuration() {
    let place = Place::with(&GOOD.replace("[mqtt]\n", "[mqtt]\nusername = \"u\"\npassword_file = \"none\"\n"));
    let answer = place.ask(&["run", "-c", "andon.toml"]);
    assert_eq!(answer.code, 78, "{answer:?}");
    assert!(answer.err.contains("password_file none: could not be read: No such file"), "{}", answer.err);
}

#[test]
fn a_report_beside_the_daemon_says_what_the_events_said() {
    let plc = Plc::start();
    plc.coil(0, true);
    let broker = Mosquitto::start(&Door::Anonymous);
    let ear = Ear::open(&broker, "#");
    let here = |text: &str| text.replace("127.0.0.1:502", &format!("127.0.0.1:{}", plc.port));
    let place = Place::with(&here(GOOD).replace("127.0.0.1:1\"", &format!("127.0.0.1:{}\"", broker.port)));
    let daemon = place.run(&[]);
    ear.until_event("state.changed", |event| event["data"]["state"] == "running");
    plc.long(0, 42);
    plc.until_polled();
    plc.coil(0, false);
    ear.until_event("downtime.opened", |_| true);
    plc.coil(0, true);
    let closed = ear.until_event("downtime.closed", |_| true);
    let (downtime, id) = (&closed["data"], closed["subject"].as_str().unwrap());

    // At once: whether or not the marks of this second are written yet.
    let report = place.report(&[]);
    let window = &report["windows"][0];
    assert_eq!(window["counts"]["total"], 42);
    assert_eq!(window["time_ms"]["down"], downtime["duration_ms"]);
    let listed: Vec<&Value> = window["downtimes"].as_array().unwrap().iter().collect();
    assert_eq!(listed.len(), 1);
    for key in ["downtime_id", "number", "revision", "duration_ms"] {
        assert_eq!(listed[0][key], downtime[key], "{key}");
    }
    let events = ear.events();
    assert_eq!(report["as_of_sequence"].as_u64(), events.last().unwrap()["sequence"].as_str().unwrap().parse().ok());

    let ask = |format: &str| {
        let answer = place.ask(&["report", "-c", "andon.toml", "--window", "all", "--format", format]);
        assert_eq!((answer.code, answer.err.as_str()), (0, ""));
        answer.out
    };
    let csv = ask("csv");
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    let cell = |name: &str| rows[1][rows[0].iter().position(|column| *column == name).unwrap()];
    assert_eq!(rows.len(), 2);
    assert_eq!((cell("machine"), cell("total"), cell("downtimes")), ("press-7", "42", "1"));
    assert_eq!(cell("down_ms"), downtime["duration_ms"].to_string());
    let table = ask("table");
    for part in ["press-7", "down", "availability", "parts 42", "downtimes press-7/1"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert!(!id.is_empty() && !table.contains('\u{1b}'));
    daemon.stop();
    // And what was true is true without the daemon.
    assert_eq!(place.report(&[])["windows"][0]["downtimes"][0]["downtime_id"], downtime["downtime_id"]);
}

#[test]
fn a_gateway_without_broker_and_plc_is_reported_too() {
    let place = Place::with(&GOOD.replace("127.0.0.1:502", &format!("127.0.0.1:{}", dead_port())));
    let daemon = place.run(&[]);
    daemon.until_logged("a PLC was lost");
    let report = place.report(&[]);
    assert!(report["windows"].as_array().unwrap().len() <= 1, "{report}");
    daemon.stop();
}

/// What of this user's lies in the shared memory, but for what other programs put there meanwhile.
fn shared() -> Vec<std::path::PathBuf> {
    let of_andon = |path: &std::path::PathBuf| path.to_string_lossy().contains("andon");
    let folders: Vec<_> = listing(Path::new("/dev/shm")).into_iter().filter(of_andon).collect();
    folders.iter().flat_map(|folder| listing(folder)).chain(folders.clone()).collect()
}

#[test]
#[cfg_attr(not(feature = "demo"), ignore = "the demo broker was left out")]
fn the_demo_shows_a_downtime_from_its_start_to_its_end_and_leaves_nothing_behind() {
    let place = Place::with("");
    fs::create_dir(place.path("tmp")).unwrap();
    let before = shared();
    // No RUNTIME_DIRECTORY: as from a shell.
    let mut demo = andon(&["demo", "--for", "20s"]);
    demo.current_dir(place.folder.path()).env("TMPDIR", place.path("tmp")).env_remove("RUNTIME_DIRECTORY");
    let kept = listing(place.folder.path());
    let answer = Answer::of(demo);
    assert_eq!((answer.code, answer.err.as_str()), (0, ""), "{}", answer.out);
    let opened = answer.out.find("DOWNTIME filler-1/1 opened").expect("a downtime opens");
    let closed = answer.out.find("DOWNTIME filler-1/1 closed after").expect("and closes");
    let report = answer.out.find("The report, from the journal").expect("a report at the end");
    assert!(opened < closed && closed < report, "{}", answer.out);
    for part in ["mosquitto_sub", "availability", "OEE", "downtimes filler-1/1"] {
        assert!(answer.out.contains(part), "{part}: {}", answer.out);
    }
    assert_eq!(listing(&place.path("tmp")), [] as [std::path::PathBuf; 0]);
    assert_eq!(listing(place.folder.path()), kept);
    // Others of this user may run meanwhile; a demo's folder would be new.
    let new: Vec<_> = shared().into_iter().filter(|path| !before.contains(path)).collect();
    assert!(new.iter().all(|path| !path.to_string_lossy().contains("demo")), "{new:?}");
}

#[test]
fn an_environment_that_is_not_utf_8_is_no_reason_to_fail_unless_it_is_meant_for_andon() {
    let place = Place::with(GOOD);
    let bytes = || OsStr::from_bytes(b"\xff\xfe");
    let mut foreign = place.command(&["check", "-c", "andon.toml"]);
    foreign.env("FOREIGN", bytes()).env(bytes(), "1");
    let answer = Answer::of(foreign);
    assert_eq!(answer.code, 0, "{}", answer.err);
    let mut ours = place.command(&["check", "-c", "andon.toml"]);
    ours.env("ANDON_GATEWAY__ID", bytes());
    let answer = Answer::of(ours);
    assert_eq!(answer.code, 78, "{}", answer.err);
    assert!(answer.err.contains("ANDON_GATEWAY__ID"), "{}", answer.err);
}

#[test]
fn samples_that_are_wrong_are_refused_also_when_they_come_through_a_pipe() {
    let place = Place::with(GOOD);
    let fifo = place.path("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let writing = thread::spawn(move || fs::write(fifo, "time,plc.run,plc.total\n1,1,0\n2,on,0\n").unwrap());
    let wrong = place.command(&["replay", "-c", "andon.toml", "--samples", "fifo"]);
    let answer = Answer::of(wrong);
    writing.join().unwrap();
    assert_eq!(answer.code, 65, "{}", answer.err);
    assert!(answer.err.contains("fifo:3: `on`"), "{}", answer.err);
}

#[test]
#[cfg_attr(not(feature = "demo"), ignore = "the demo broker was left out")]
fn a_demo_that_is_terminated_leaves_nothing_behind_either() {
    let place = Place::with("");
    fs::create_dir(place.path("tmp")).unwrap();
    let mut demo = andon(&["demo"]);
    demo.current_dir(place.folder.path()).env("TMPDIR", place.path("tmp")).env("RUST_LOG", "info");
    let demo = Daemon::spawn(demo);
    demo.until_logged("gateway started");
    demo.stop();
    assert_eq!(listing(&place.path("tmp")), [] as [std::path::PathBuf; 0]);
}
