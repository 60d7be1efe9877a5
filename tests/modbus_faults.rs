//! A PLC whose connection stands while nobody is there any more, as the real binary sees it: its process is stopped, its cable
//! is cut, a firewall has forgotten the connection.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;
#[path = "common/network.rs"]
mod network;

use andon::{Daemon, Ear, Heard, Place, Plc};
use jiff::Timestamp;
use mosquitto::{Door, Mosquitto};
use network::Dropped;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const STATUS: &str = "andon/v1/acme/hall-3/_gateway/gw/status";

fn config(far: &str, far_poll_ms: i64, near: u16, broker: u16) -> String {
    format!(
        r#"
[gateway]
id = "gw"
path = "acme/hall-3"
timezone = "UTC"
data_dir = "{{folder}}/data"
[mqtt]
brokers = ["mqtt://127.0.0.1:{broker}"]
[[plc]]
id = "far"
tcp = "{far}"
poll = "{far_poll_ms}ms"
timeout = "300ms"
points = {{ run = {{ coil = 0 }} }}
[[plc]]
id = "near"
tcp = "127.0.0.1:{near}"
poll = "50ms"
timeout = "300ms"
points = {{ run = {{ coil = 0 }} }}
[[machine]]
id = "press-1"
line = "line-1"
run = "far.run"
debounce = "100ms"
short_stop = "60s"
no_data = "2s"
[[machine]]
id = "press-2"
line = "line-1"
run = "near.run"
debounce = "100ms"
short_stop = "60s"
no_data = "2s"
"#
    )
}

/// A Modbus server in a process of its own, which can be stopped in the midst of everything.
struct Far {
    process: Child,
    address: String,
}

impl Far {
    fn start(mut command: Command) -> Far {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Far { process, address: line.trim().split_once(' ').unwrap().1.to_owned() }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn ms(time: &Value) -> i64 {
    time.as_str().unwrap().parse::<Timestamp>().unwrap().as_millisecond()
}

fn is_state<'a>(machine: &'a str, state: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |event| event["data"]["machine"] == machine && event["data"]["state"] == state
}

/// A machine at a PLC that is about to fall silent, and one beside it.
struct Hall {
    near: Plc,
    _broker: Mosquitto,
    ear: Ear,
    _place: Place,
    far: Far,
    daemon: Daemon,
}

impl Hall {
    /// Both run.
    fn open(far_poll_ms: i64) -> Hall {
        let near = Plc::start();
        near.coil(0, true);
        let broker = Mosquitto::start(&Door::Anonymous);
        let ear = Ear::open(&broker, "#");
        let place = Place::with("");
        let somewhere = config("127.0.0.1:502", far_poll_ms, near.port, broker.port);
        place.write("sim.toml", &somewhere.replace("{folder}", "."));
        place.write("line.csv", "time,far.run\n1000,1\n601000,1\n");
        let words = ["sim", "-c", "sim.toml", "--samples", "line.csv", "--listen", "127.0.0.1:0"];
        let far = Far::start(place.command(&words));
        place.configure(&config(&far.address, far_poll_ms, near.port, broker.port));
        let daemon = place.run(&[]);
        ear.until_event("state.changed", is_state("press-1", "running"));
        ear.until_event("state.changed", is_state("press-2", "running"));
        Hall { near, _broker: broker, ear, _place: place, far, daemon }
    }

    fn port(&self) -> u16 {
        self.far.address.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// From `cut` on nothing is heard of the far PLC, without a word. Gives when that was, at the latest.
    fn falls_silent(&self, far_poll_ms: i64, cut: impl FnOnce()) -> i64 {
        let before = now_ms();
        cut();
        let stopped = now_ms();
        let asked = self.near.requests();
        let unknown = self.ear.until_event("state.changed", is_state("press-1", "unknown"));
        let told = now_ms();
        let since = ms(&unknown["data"]["since"]);
        // The last sample came at most a poll before that, and a reply may have been under way.
        let first = before - far_poll_ms - 200;
        assert!((first..=stopped + 250).contains(&since), "since {since}, silent from {stopped} on, told at {told}");
        assert!(told - since >= 2_000, "not before `no_data`");
        // Twenty polls a second, one request each.
        let due = u64::try_from((told - stopped) / 50).unwrap();
        let polled = self.near.requests() - asked;
        assert!(polled * 10 >= due * 7, "{polled} polls of the neighbour where {due} were due");
        let text = self.ear.until_event("notice.raised", |event| event["data"]["code"] == "plc_lost");
        assert_eq!(text["data"]["text"], "far does not answer: no reply within 300ms");
        stopped
    }

    /// The status says that the far PLC answers, at or after `goes_on`.
    fn until_answered(&self, goes_on: i64) {
        let answers = |heard: &Heard| {
            heard.topic == STATUS && {
                let status = heard.json();
                status["plcs"]["far"]["answers"] == true && ms(&status["at"]) >= goes_on
            }
        };
        self.ear.until("the status says that it answers", answers);
        self.ear.until_event("notice.raised", |event| event["data"]["code"] == "plc_back");
    }

    /// Since when it runs again after it had fallen silent.
    fn runs_again(&self, stopped: i64) -> i64 {
        let is_back = |event: &Value| is_state("press-1", "running")(event) && ms(&event["data"]["since"]) >= stopped;
        ms(&self.ear.until_event("state.changed", is_back)["data"]["since"])
    }

    /// The neighbour's state was known all the time, and the log speaks of one loss.
    fn close(self) {
        let is_unknown = is_state("press-2", "unknown");
        assert!(!self.ear.events().iter().any(is_unknown), "the neighbour's state is known all the time");
        let log = self.daemon.stop();
        assert_eq!(log.matches(" WARN ").count(), 1, "{log}");
    }
}

#[test]
fn a_plc_that_falls_silent_on_an_open_connection_is_unknown_from_its_last_sample_on_and_its_neighbour_is_polled() {
    let hall = Hall::open(50);
    let stopped = hall.falls_silent(50, || hall.far.signal(Signal::STOP));
    hall.far.signal(Signal::CONT);
    let goes_on = now_ms();
    hall.until_answered(goes_on);
    hall.runs_again(stopped);
    // A back-off, a time-out, and a busy machine.
    let took = Duration::from_millis(u64::try_from(now_ms() - goes_on).unwrap());
    assert!(took < Duration::from_secs(5), "{took:?}");
    hall.close();
}

#[test]
fn a_plc_whose_cable_was_cut_is_read_within_two_polls_after_it_is_mended() {
    const POLL_MS: i64 = 500;
    if !network::is_inside("a_plc_whose_cable_was_cut_is_read_within_two_polls_after_it_is_mended") {
        return;
    }
    let hall = Hall::open(POLL_MS);
    let mut cut = None;
    let stopped = hall.falls_silent(POLL_MS, || cut = Some(Dropped::of_port(hall.port())));
    // Attempts to connect fall on deaf ears too, long enough for a back-off that grows to have grown.
    let asked = hall.near.requests();
    mosquitto::eventually("the neighbour is polled for six seconds more", || hall.near.requests() >= asked + 120);
    drop(cut);
    let mended = now_ms();
    hall.until_answered(mended);
    let since = hall.runs_again(stopped);
    // The attempt under way may still time out; the rest is for a machine that is busy with other things.
    assert!((mended..=mended + 2 * POLL_MS + 300 + 500).contains(&since), "mended at {mended}, runs since {since}");
    hall.close();
}

#[test]
fn a_connection_that_a_firewall_has_forgotten_is_opened_anew_before_anything_is_unknown() {
    const POLL_MS: i64 = 200;
    if !network::is_inside("a_connection_that_a_firewall_has_forgotten_is_opened_anew_before_anything_is_unknown") {
        return;
    }
    let hall = Hall::open(POLL_MS);
    let rule = Dropped::of_connection_to(hall.port());
    let cut = now_ms();
    let lost = hall.ear.until_event("notice.raised", |event| event["data"]["code"] == "plc_lost");
    assert_eq!(lost["data"]["text"], "far does not answer: no reply within 300ms");
    // The rule stands: only a new connection gets through.
    hall.until_answered(cut);
    drop(rule);
    let is_unknown =
        |event: &Value| is_state("press-1", "unknown")(event) && ms(&event["data"]["since"]) >= cut - 1_000;
    assert!(!hall.ear.events().iter().any(is_unknown), "it was seen again within `no_data`");
    hall.close();
}
