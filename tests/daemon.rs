//! The daemon as a service manager, a broker, a PLC and a consumer see it: killed, stopped, cut off and lied to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;
#[path = "common/pki.rs"]
mod pki;

use andon::{Answer, Daemon, Ear, Heard, Mood, Peer, Place, Plc, dead_port, gapless};
use mosquitto::{Door, Mosquitto, eventually};
use pki::Pki;
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Coil 0 says that it runs, registers 0 and 1 count good parts, 2 scrap, 3 shows the fault.
fn config(plc: u16, broker: u16) -> String {
    format!(
        r#"
[gateway]
id = "gw"
path = "acme/leipzig/hall-3"
timezone = "Europe/Berlin"
data_dir = "{{folder}}/data"
[mqtt]
brokers = ["mqtt://127.0.0.1:{broker}"]
# more of the broker
[[plc]]
id = "plc"
tcp = "127.0.0.1:{plc}"
poll = "20ms"
timeout = "500ms"
[plc.points]
run = {{ coil = 0 }}
good = {{ holding = 0, type = "u32" }}
reject = {{ holding = 2 }}
fault = {{ holding = 3 }}
[[machine]]
id = "press-7"
line = "line-2"
run = "plc.run"
good = "plc.good"
reject = "plc.reject"
fault = "plc.fault"
debounce = "200ms"
short_stop = "1s"
no_data = "10s"
[[reason]]
code = "mech.jam"
class = "failure"
faults = [12]
"#
    )
}

const MACHINE: &str = "andon/v1/acme/leipzig/hall-3/line-2/press-7";
const STATUS: &str = "andon/v1/acme/leipzig/hall-3/_gateway/gw/status";

/// A press that runs, a broker, and a consumer that hears everything from the first word on.
fn shop() -> (Plc, Mosquitto, Ear, Place) {
    let plc = Plc::start();
    plc.coil(0, true);
    plc.long(0, 1000);
    let broker = Mosquitto::start(&Door::Anonymous);
    let ear = Ear::open(&broker, "#");
    let place = Place::with(&config(plc.port, broker.port));
    (plc, broker, ear, place)
}

fn is_state<'a>(state: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |event| event["data"]["state"] == state
}

fn is_number<'a>(number: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |event| event["data"]["number"] == number
}

/// What is one and the same in every word about a downtime.
fn identity(event: &Value) -> Value {
    let data = &event["data"];
    json!([event["subject"], data["downtime_id"], data["stop_id"], data["number"], data["started_at"]])
}

/// The last live picture of the state.
fn picture(ear: &Ear) -> Value {
    let heard = ear.heard();
    let last = heard.iter().rev().find(|heard| heard.topic == format!("{MACHINE}/state"));
    last.map_or(Value::Null, Heard::json)
}

fn until_good(ear: &Ear, good: i64) {
    eventually(&format!("{good} good parts are shown"), || picture(ear)["counts"]["good"] == good);
}

#[test]
fn a_healthy_day_logs_nothing_above_info() {
    let (plc, broker, ear, place) = shop();
    let daemon = place.run(&[]);
    ear.until_event("state.changed", is_state("running"));
    plc.word(3, 12);
    plc.coil(0, false);
    let opened = ear.until_event("downtime.opened", is_number("press-7/1"));
    assert_eq!(opened["data"]["reason"]["code"], "mech.jam");
    plc.coil(0, true);
    plc.word(3, 0);
    plc.long(0, 1005);
    plc.word(2, 1);
    let closed = ear.until_event("downtime.closed", is_number("press-7/1"));
    assert_eq!(identity(&opened), identity(&closed));
    until_good(&ear, 5);
    assert_eq!(picture(&ear)["counts"], json!({ "total": 6, "good": 5, "reject": 1, "rework": 0 }));
    let log = daemon.stop();
    assert!(!log.contains(" WARN ") && !log.contains("ERROR"), "{log}");
    drop(broker);
}

#[test]
fn a_stop_outlives_kill_9_with_its_id_and_no_part_is_lost_or_counted_twice() {
    let (plc, broker, ear, place) = shop();
    let daemon = place.run(&[]);
    ear.until_event("state.changed", is_state("running"));
    plc.long(0, 1010);
    until_good(&ear, 10);

    plc.word(3, 12);
    plc.coil(0, false);
    let opened = ear.until_event("downtime.opened", |_| true);
    daemon.kill();
    ear.until("the last will", |heard| heard.topic == STATUS && heard.json()["status"] == "offline");
    // Somebody makes parts by hand while nobody looks.
    plc.long(0, 1017);

    let daemon = place.run(&[]);
    until_good(&ear, 17);
    let shown = ear.heard().into_iter().rev().find(|heard| heard.topic == format!("{MACHINE}/downtime")).unwrap();
    assert_eq!(shown.json()["downtime"]["downtime_id"], opened["data"]["downtime_id"]);
    plc.coil(0, true);
    plc.word(3, 0);
    let closed = ear.until_event("downtime.closed", |_| true);
    assert_eq!(identity(&opened), identity(&closed));
    assert_eq!(closed["data"]["revision"].as_i64(), opened["data"]["revision"].as_i64().map(|before| before + 1));
    assert_eq!((&closed["data"]["unknown_ms"], &closed["data"]["fault"]["code"]), (&json!(0), &json!(12)));

    // As after a power cut: what lay in memory is gone.
    daemon.kill();
    for file in andon::listing(&place.path("run")) {
        fs::remove_file(file).unwrap();
    }
    plc.long(0, 1030);
    let daemon = place.run(&[]);
    until_good(&ear, 30);

    plc.coil(0, false);
    let second = ear.until_event("downtime.opened", is_number("press-7/2"));
    assert_ne!(second["data"]["downtime_id"], opened["data"]["downtime_id"]);
    daemon.stop();

    let events = gapless(&ear.heard());
    let good: Vec<i64> = events.iter().filter_map(|event| event["data"]["counts"]["good"].as_i64()).collect();
    assert!(good.is_sorted(), "{good:?}");
    let count = |kind: &str| events.iter().filter(|event| event["type"] == *kind).count();
    assert_eq!((count("andon.downtime.opened.v1"), count("andon.downtime.closed.v1")), (2, 1));
    assert_eq!(place.report(&[])["windows"][0]["counts"]["good"], 30);
    drop(broker);
}

#[test]
fn kills_at_any_moment_leave_no_gap_and_no_part_behind() {
    let (plc, broker, ear, place) = shop();
    let mut good = 1000;
    let mut make = |parts: u32| {
        for _ in 0..parts {
            good += 1;
            plc.long(0, good);
            thread::sleep(Duration::from_millis(7));
        }
        i64::from(good - 1000)
    };
    let mut chance = fastrand::Rng::with_seed(2);
    let mut made = 0;
    for life in 0..10 {
        let daemon = place.run(&[]);
        if life == 0 {
            // The first sight of a counter counts nothing: it is seen before the first part comes.
            ear.until_event("state.changed", is_state("running"));
        }
        plc.coil(0, life % 3 != 1);
        made = make(chance.u32(1..60));
        plc.coil(0, life % 3 != 0);
        made = make(chance.u32(1..60)).max(made);
        thread::sleep(Duration::from_millis(chance.u64(0..1500)));
        daemon.kill();
        if life % 4 == 3 {
            for file in andon::listing(&place.path("run")) {
                fs::remove_file(file).unwrap();
            }
        }
    }
    plc.coil(0, false);
    let daemon = place.run(&[]);
    plc.until_polled();
    until_good(&ear, made);
    daemon.stop();

    let events = gapless(&ear.heard());
    // Each downtime opens once under the next number, closes at most once, and what it said of itself stays.
    let mut open: Option<Value> = None;
    let mut number = 0;
    for event in &events {
        match event["type"].as_str().unwrap() {
            "andon.downtime.opened.v1" => {
                assert!(open.is_none(), "two downtimes at once: {open:?} and {event}");
                number += 1;
                assert_eq!(event["data"]["number"], format!("press-7/{number}"));
                open = Some(identity(event));
            }
            "andon.downtime.closed.v1" => assert_eq!(open.take(), Some(identity(event))),
            _ => {}
        }
    }
    assert!(number > 0, "no downtime at all");
    let window = &place.report(&[])["windows"][0];
    assert_eq!(window["counts"]["good"], made);
    let times = window["time_ms"].as_object().unwrap().values().map(|ms| ms.as_i64().unwrap());
    assert_eq!(Some(times.sum()), window["calendar_ms"].as_i64());
    drop(broker);
}

#[test]
fn sigterm_ends_in_time_says_offline_and_the_open_downtime_goes_on() {
    let (plc, broker, ear, place) = shop();
    plc.coil(0, false);
    let daemon = place.run(&[]);
    let opened = ear.until_event("downtime.opened", |_| true);
    let log = daemon.stop();
    assert!(log.contains("gateway stopped"), "{log}");
    let later = Ear::open(&broker, STATUS);
    let standing = later.until("a standing status", |heard| heard.retained);
    assert_eq!(standing.json()["status"], "offline");

    let daemon = place.run(&[]);
    let later = Ear::open(&broker, &format!("{MACHINE}/downtime"));
    later.until("the open downtime", |heard| heard.json()["downtime"]["number"] == "press-7/1");
    plc.coil(0, true);
    let closed = ear.until_event("downtime.closed", |_| true);
    assert_eq!(identity(&opened), identity(&closed));
    daemon.stop();
    gapless(&ear.heard());
}

#[test]
fn sigterm_ends_in_time_without_broker_and_with_a_plc_that_is_silent() {
    let plc = Plc::start();
    plc.mood(Mood::Silent);
    for timeout in ["500ms", "1m"] {
        let place = Place::with(&config(plc.port, dead_port()).replace("500ms", timeout));
        let daemon = place.run(&[]);
        eventually("the PLC is asked", || plc.requests() > 0);
        daemon.until_logged("broker not available");
        daemon.stop();
    }
}

#[test]
fn a_broker_that_refuses_the_password_is_named_once_and_gets_everything_afterwards() {
    let broker = Mosquitto::start(&Door::Password { user: "andon", password: "secret" });
    let port = broker.port.to_string();
    let ear = Ear::with(&broker, "#", &["-h", "127.0.0.1", "-p", &port, "-u", "andon", "-P", "secret"]);
    let plc = Plc::start();
    plc.coil(0, true);
    let more = "username = \"andon\"\npassword_file = \"{folder}/password\"\n";
    let place = Place::with(&config(plc.port, broker.port).replace("# more of the broker\n", more));
    place.write("password", "wrong\n");
    let daemon = place.run(&[]);
    daemon.until_logged("broker not available");
    assert_eq!(daemon.logged("it refused username, password_file or the client id"), 1);
    plc.until_polled();
    plc.coil(0, false);
    let before = daemon.busy();
    thread::sleep(Duration::from_secs(3));
    let busy = daemon.busy() - before;
    assert!(busy < Duration::from_millis(500), "{busy:?} of processor time in three seconds");
    plc.coil(0, true);
    assert_eq!(daemon.troubles().len(), 1 + daemon.logged("can be read by every user"), "{}", daemon.log());

    place.write("password", "secret\n");
    ear.until_event("downtime.closed", |_| true);
    daemon.until_logged("broker connected");
    daemon.stop();
    gapless(&ear.heard());
    let words: Vec<Value> = ear.events().iter().map(|event| event["sequence"].clone()).collect();
    assert!(words.is_sorted_by_key(|word| word.as_str().unwrap().to_owned()), "out of order: {words:?}");
}

#[test]
fn what_happened_while_the_broker_was_away_arrives_in_order_afterwards() {
    let mut broker = Mosquitto::start(&Door::Anonymous);
    drop(Ear::named(&broker, "mes", "#"));
    broker.save();
    broker.kill();
    let plc = Plc::start();
    plc.coil(0, true);
    let place = Place::with(&config(plc.port, broker.port));
    let daemon = place.run(&[]);
    daemon.until_logged("broker not available");
    for number in 1..=2 {
        plc.until_polled();
        plc.coil(0, false);
        let opened = || place.report(&[])["windows"][0]["downtimes"].as_array().map_or(0, Vec::len) == number;
        eventually("the downtime is in the journal", || place.path("data").exists() && opened());
        plc.coil(0, true);
        thread::sleep(Duration::from_millis(400));
    }
    assert_eq!(daemon.troubles().len(), 1, "{}", daemon.log());
    broker.start_again();
    let ear = Ear::named(&broker, "mes", "#");
    ear.until_event("downtime.closed", is_number("press-7/2"));
    daemon.stop();
    let events = gapless(&ear.heard());
    assert_eq!(ear.events(), events, "in order, and none twice");
}

#[test]
fn events_reach_a_broker_that_wants_tls_and_a_client_certificate() {
    let pki = Pki::new("plant");
    let (cert, key) = pki.sign("localhost");
    let broker = Mosquitto::start(&Door::Tls { cert, key, clients: Some(pki.ca()), version: "tlsv1.3" });
    let file = |path: &Path| path.to_str().unwrap().to_owned();
    let (ca, (cert, key)) = (file(&pki.ca()), pki.sign("mes"));
    let (cert, key, port) = (file(&cert), file(&key), broker.port.to_string());
    let secure = ["-h", "localhost", "-p", &port, "--cafile", &ca, "--cert", &cert, "--key", &key];
    let ear = Ear::with(&broker, "#", &secure);
    let plc = Plc::start();
    plc.coil(0, true);
    let (cert, key) = pki.sign("gateway");
    let more = format!("ca_file = \"{ca}\"\ncert_file = \"{}\"\nkey_file = \"{}\"\n", file(&cert), file(&key));
    let config = config(plc.port, broker.port).replace("# more of the broker\n", &more);
    let place = Place::with(&config.replace("mqtt://127.0.0.1", "mqtts://localhost"));
    let daemon = place.run(&[]);
    ear.until_event("state.changed", is_state("running"));
    plc.coil(0, false);
    ear.until_event("downtime.opened", |_| true);
    plc.coil(0, true);
    ear.until_event("downtime.closed", |_| true);
    daemon.stop();
    ear.until("offline", |heard| heard.topic == STATUS && heard.json()["status"] == "offline");
    gapless(&ear.heard());
}

#[test]
fn sigterm_ends_in_time_with_a_broker_that_accepts_and_says_nothing() {
    let (plc, broker) = (Plc::start(), Plc::start());
    broker.mood(Mood::Silent);
    let place = Place::with(&config(plc.port, broker.port));
    let daemon = place.run(&[]);
    eventually("the broker is asked", || broker.requests() > 0);
    plc.until_polled();
    daemon.stop();
}

/// `andon run` under limits that the shell sets before.
fn under(limits: &str, place: &Place) -> Command {
    let andon = place.command(&["run", "-c", "andon.toml"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{limits} && exec \"$@\""), "sh"]).arg(andon.get_program()).args(andon.get_args());
    for (name, value) in andon.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.current_dir(andon.get_current_dir().unwrap()).stdin(Stdio::null());
    shell
}

#[test]
fn more_plcs_than_the_soft_limit_has_descriptors_are_all_read() {
    const PLCS: usize = 40;
    let broker = Mosquitto::start(&Door::Anonymous);
    let plcs: Vec<Plc> = (0..PLCS).map(|_| Plc::start()).collect();
    let more = |(n, plc): (usize, &Plc)| {
        format!("[[plc]]\nid = \"more-{n}\"\ntcp = \"127.0.0.1:{}\"\n[plc.points]\nrun = {{ coil = 0 }}\n", plc.port)
    };
    let more: String = plcs.iter().enumerate().skip(1).map(more).collect();
    let place = Place::with(&(config(plcs[0].port, broker.port) + &more));
    let daemon = Daemon::spawn(under("ulimit -Sn 32", &place));
    eventually("all of them answer", || daemon.logged("a PLC answered") == PLCS);
    assert!(daemon.troubles().is_empty(), "{}", daemon.log());
    daemon.stop();
}

#[test]
fn a_hard_limit_that_leaves_too_few_descriptors_for_the_plcs_is_named_at_the_start() {
    let place = Place::with(&config(1, 1));
    let answer = Answer::of(under("ulimit -n 64", &place));
    assert_eq!(answer.code, 69, "{}", answer.err);
    let words = "65 open files are needed, 1 of them for PLCs, but the system allows no more than 64";
    assert!(answer.err.contains(words) && answer.err.contains("LimitNOFILE="), "{}", answer.err);
}

#[test]
fn a_plc_by_libmodbus_is_read_and_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let (program, source) = (folder.path().join("server"), "tests/peers/modbus_server.c");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let compiled = Command::new("gcc").arg("-o").args([&program, &source]).arg("-lmodbus").status();
    assert!(compiled.expect("gcc is installed").success(), "it compiles with libmodbus-dev");
    let mut server = Peer::start(Command::new(program).arg("0"));
    let port = server.line();

    let broker = Mosquitto::start(&Door::Anonymous);
    let ear = Ear::open(&broker, "#");
    // Coil 0 is set, register 0 counts the requests, register 12 holds 12 * 31 + 7.
    let text = config(port.parse().unwrap(), broker.port)
        .replace("good = { holding = 0, type = \"u32\" }", "good = { holding = 0 }")
        .replace("fault = { holding = 3 }", "fault = { holding = 12 }");
    let place = Place::with(&text);
    let daemon = place.run(&[]);
    ear.until_event("state.changed", is_state("running"));
    eventually("its parts are shown", || picture(&ear)["counts"]["good"].as_i64().is_some_and(|good| good > 20));
    assert_eq!(picture(&ear)["fault"], 379);
    drop(server);
    daemon.until_logged("a PLC was lost");
    ear.until_event("notice.raised", |event| event["data"]["code"] == "plc_lost");
    assert_eq!(daemon.troubles().len(), 1, "{}", daemon.log());
    daemon.stop();
}

/// With a PLC in trouble: it is said once, the state is unknown, little is computed, and it is found again.
fn trouble(words: &str, place: &Place, ear: &Ear, heal: impl FnOnce()) {
    let mut daemon = place.run(&[]);
    daemon.until_logged("a PLC was lost");
    let before = daemon.busy();
    thread::sleep(Duration::from_secs(3));
    let busy = daemon.busy() - before;
    assert!(busy < Duration::from_millis(500), "{busy:?} of processor time in three seconds\n{}", daemon.log());
    assert!(daemon.is_running());
    let troubles = daemon.troubles();
    assert!(troubles.len() == 1 && troubles[0].contains(words), "{words}: {troubles:#?}");
    eventually("the state is unknown", || picture(ear)["state"] == "unknown");
    let status =
        |plc: bool| move |heard: &Heard| heard.topic == STATUS && heard.json()["plcs"]["plc"]["answers"] == plc;
    ear.until("the status names the PLC", status(false));
    let notice = ear.until_event("notice.raised", |event| event["data"]["code"] == "plc_lost");
    assert!(notice["data"]["text"].as_str().unwrap().contains(words), "{notice}");
    heal();
    ear.until_event("state.changed", is_state("running"));
    ear.until("the status says that it answers", status(true));
    ear.until_event("notice.raised", |event| event["data"]["code"] == "plc_back");
    assert_eq!(daemon.logged("a PLC came back"), 1, "{}", daemon.log());
    let log = daemon.stop();
    assert_eq!(log.matches(" WARN ").count(), 1, "{log}");
    gapless(&ear.heard());
}

#[test]
fn a_plc_that_answers_garbage_is_named_once_and_found_again() {
    for (mood, words) in [
        (Mood::Babbles, "the reply cannot be trusted"),
        (Mood::Lies, "the reply cannot be trusted: it bears another transaction"),
        (Mood::Silent, "no reply within 500ms"),
    ] {
        let (plc, _broker, ear, place) = shop();
        plc.mood(mood);
        trouble(words, &place, &ear, || plc.mood(Mood::Answers));
    }
}

#[test]
fn a_plc_that_is_not_there_is_named_once_and_found_when_it_comes() {
    let (plc, broker, ear, place) = shop();
    let port = plc.port;
    drop(plc);
    let mut later = None;
    trouble("the connection was not accepted", &place, &ear, || {
        let plc = Plc::listen(port);
        plc.coil(0, true);
        later = Some(plc);
    });
    drop(broker);
}

/// What the service manager was told within a time.
fn told(listener: &UnixDatagram, time: Duration) -> Vec<String> {
    let until = Instant::now() + time;
    let mut told = Vec::new();
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        listener.set_read_timeout(Some(left)).unwrap();
        let mut buffer = [0; 4096];
        if let Ok(length) = listener.recv(&mut buffer) {
            told.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
    }
    told
}

#[test]
fn systemd_is_told_of_start_status_and_progress_even_when_every_plc_is_dead() {
    let broker = Mosquitto::start(&Door::Anonymous);
    let plc = Plc::start();
    plc.mood(Mood::Silent);
    for (port, poll) in [(plc.port, "20ms"), (dead_port(), "20ms"), (plc.port, "5s")] {
        let place = Place::with(&config(port, broker.port).replace("20ms", poll));
        let listener = UnixDatagram::bind(place.path("notify")).unwrap();
        let mut command = place.command(&["run", "-c", "andon.toml"]);
        command.env("NOTIFY_SOCKET", place.path("notify")).env("WATCHDOG_USEC", "3000000");
        let daemon = Daemon::spawn(command);
        daemon.until_logged("a PLC was lost");
        // A pause of more than WATCHDOG_USEC at any time would be death.
        let mut words = Vec::new();
        for second in 0..3 {
            let heard = told(&listener, Duration::from_secs(3));
            assert!(heard.contains(&"WATCHDOG=1".to_owned()), "poll {poll}, from {} s: {heard:?}", 3 * second);
            words.extend(heard);
        }
        assert_eq!(words[0], "READY=1");
        assert!(words.iter().any(|word| word.starts_with("STATUS=0 of 1 PLCs answer")), "{words:?}");
        daemon.stop();
        assert!(told(&listener, Duration::from_millis(100)).contains(&"STOPPING=1".to_owned()));
    }
}

/// Keeps the journal from being written until it is dropped.
fn lock_journal(place: &Place) -> rusqlite::Connection {
    let blocker = rusqlite::Connection::open(place.path("data/andon.db")).unwrap();
    blocker.busy_timeout(Duration::from_secs(10)).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    blocker
}

#[test]
fn while_the_disk_is_in_trouble_no_pictures_pile_up() {
    let (plc, _broker, ear, place) = shop();
    let daemon = place.run(&[]);
    ear.until_event("state.changed", is_state("running"));
    let blocker = lock_journal(&place);
    plc.coil(0, false);
    daemon.until_logged("journal could not be written");
    // So many beats, each of which would have another picture to show.
    for good in 1001..1006 {
        plc.long(0, good);
        thread::sleep(Duration::from_secs(1));
    }
    drop(blocker);
    daemon.until_logged("journal written again");
    until_good(&ear, 5);
    let log = daemon.log();
    let waited = log.lines().find_map(|line| line.split_once("envelopes=")).unwrap().1;
    assert!(waited.trim().parse::<u32>().unwrap() <= 3, "{log}");
}

#[test]
fn a_plc_that_is_lost_while_the_journal_is_full_to_its_bound_costs_no_event() {
    let (plc, _broker, ear, place) = shop();
    // Each flap is two events of each machine, so that the bound is soon reached.
    let machine = |n: u32| {
        format!("[[machine]]\nid = \"m{n}\"\nline = \"l\"\nrun = \"plc.run\"\ndebounce = \"0s\"\nshort_stop = \"1h\"\n")
    };
    let machines: String = (0..600).map(machine).collect();
    place.configure(&(place.read("andon.toml") + &machines));
    let daemon = place.run(&[]);
    ear.until_event("state.changed", is_state("running"));
    let blocker = lock_journal(&place);
    for flap in 0..1000 {
        if daemon.logged("cannot keep up") > 0 {
            break;
        }
        plc.coil(0, flap % 2 == 1);
        plc.until_polled();
    }
    daemon.until_logged("cannot keep up");
    plc.mood(Mood::Silent);
    daemon.until_logged("a PLC was lost");
    drop(blocker);
    daemon.until_logged("the journal takes again");
    ear.until_event("notice.raised", |event| event["data"]["code"] == "journal_full");
    let told = gapless(&ear.heard());
    assert!(told.len() > 10_000, "{}", told.len());
    daemon.stop();
}

#[test]
fn a_clock_that_was_set_back_between_two_starts_rewrites_no_history() {
    let (plc, _broker, ear, place) = shop();
    // An hour passes in a few seconds: then the next start is too early.
    let fast = place.run(&["--clock-speed", "600"]);
    ear.until_event("state.changed", is_state("running"));
    plc.coil(0, false);
    ear.until_event("downtime.opened", is_number("press-7/1"));
    plc.coil(0, true);
    ear.until_event("downtime.closed", is_number("press-7/1"));
    plc.coil(0, false);
    ear.until_event("downtime.opened", is_number("press-7/2"));
    fast.stop();
    let before = place.report(&[]);

    let daemon = place.run(&[]);
    let notice = ear.until_event("notice.raised", |event| event["data"]["code"] == "clock_step");
    assert_eq!(notice["data"]["severity"], "warning");
    plc.coil(0, true);
    let closed = ear.until_event("downtime.closed", is_number("press-7/2"));
    let data = &closed["data"];
    let at = |key: &str| data[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let ms = |key: &str| data[key].as_i64().unwrap();
    assert_eq!(
        at("ended_at") - at("started_at"),
        ms("duration_ms") + ms("unknown_ms") + ms("clock_adjust_ms"),
        "{data}"
    );
    assert!(ms("duration_ms") > 0 && ms("clock_adjust_ms") < -60_000, "{data}");
    daemon.stop();
    let after = place.report(&[]);
    let window = |report: &Value| report["windows"][0].clone();
    assert_eq!(window(&after)["downtimes"][0], window(&before)["downtimes"][0]);
    assert!(window(&after)["time_ms"]["down"].as_i64() >= window(&before)["time_ms"]["down"].as_i64());
    gapless(&ear.heard());
}

#[test]
fn a_machine_that_was_renamed_no_longer_stands_in_the_broker_as_if_it_ran() {
    let (plc, broker, ear, place) = shop();
    let daemon = place.run(&[]);
    ear.until_event("state.changed", |event| event["data"]["state"] == "running");
    daemon.stop();
    place.configure(&config(plc.port, broker.port).replace("press-7", "press-8"));
    let daemon = place.run(&[]);
    ear.until_event("state.changed", |event| event["data"]["machine"] == "press-8");
    // Whoever subscribes only now is told of press-8 alone.
    let late = Ear::named(&broker, "late", "#");
    late.until("the picture of press-8", |heard| heard.topic.ends_with("/press-8/state"));
    let old: Vec<String> =
        late.heard().into_iter().map(|heard| heard.topic).filter(|topic| topic.contains("/press-7/")).collect();
    assert_eq!(old, [""; 0]);
    daemon.stop();
}

#[test]
fn a_recording_that_was_there_is_kept() {
    let (_plc, _broker, ear, place) = shop();
    place.write("rec.csv", "precious\n");
    let daemon = place.run(&["--record", "rec.csv"]);
    ear.until_event("state.changed", |event| event["data"]["state"] == "running");
    daemon.stop();
    assert_eq!(place.read("rec.csv.1"), "precious\n");
    assert!(place.read("rec.csv").starts_with("time,plc.run,"), "{}", place.read("rec.csv"));
}
