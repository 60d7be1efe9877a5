//! A PLC whose connection stands while nobody is there any more: its process is stopped, as the real binary sees it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;

use andon::{Ear, Heard, Place, Plc};
use jiff::Timestamp;
use mosquitto::{Door, Mosquitto};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const STATUS: &str = "andon/v1/acme/hall-3/_gateway/gw/status";

fn config(far: &str, near: u16, broker: u16) -> String {
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
poll = "50ms"
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

#[test]
fn a_plc_that_falls_silent_on_an_open_connection_is_unknown_from_its_last_sample_on_and_its_neighbour_is_polled() {
    let near = Plc::start();
    near.coil(0, true);
    let broker = Mosquitto::start(&Door::Anonymous);
    let ear = Ear::open(&broker, "#");
    let place = Place::with("");
    place.write("sim.toml", &config("127.0.0.1:502", near.port, broker.port).replace("{folder}", "."));
    place.write("line.csv", "time,far.run\n1000,1\n601000,1\n");
    let words = ["sim", "-c", "sim.toml", "--samples", "line.csv", "--listen", "127.0.0.1:0"];
    let far = Far::start(place.command(&words));
    place.configure(&config(&far.address, near.port, broker.port));
    let daemon = place.run(&[]);
    ear.until_event("state.changed", is_state("press-1", "running"));
    ear.until_event("state.changed", is_state("press-2", "running"));

    let before = now_ms();
    far.signal(Signal::STOP);
    let stopped = now_ms();
    let asked = near.requests();
    let unknown = ear.until_event("state.changed", is_state("press-1", "unknown"));
    let told = now_ms();
    let since = ms(&unknown["data"]["since"]);
    // The last sample came at most a poll before the stop, and a reply may have been under way.
    assert!((before - 250..=stopped + 250).contains(&since), "since {since}, stopped at {stopped}, told at {told}");
    assert!(told - since >= 2_000, "not before `no_data`");
    // Twenty polls a second, one request each.
    let due = u64::try_from((told - stopped) / 50).unwrap();
    let polled = near.requests() - asked;
    assert!(polled * 10 >= due * 7, "{polled} polls of the neighbour where {due} were due");
    let text = ear.until_event("notice.raised", |event| event["data"]["code"] == "plc_lost");
    assert_eq!(text["data"]["text"], "far does not answer: no reply within 300ms");
    let is_unknown = is_state("press-2", "unknown");
    assert!(!ear.events().iter().any(is_unknown), "the neighbour's state is known all the time");

    far.signal(Signal::CONT);
    let goes_on = now_ms();
    let answers = |heard: &Heard| {
        heard.topic == STATUS && {
            let status = heard.json();
            status["plcs"]["far"]["answers"] == true && ms(&status["at"]) >= goes_on
        }
    };
    ear.until("the status says that it answers", answers);
    ear.until_event("notice.raised", |event| event["data"]["code"] == "plc_back");
    let is_back = |event: &Value| is_state("press-1", "running")(event) && ms(&event["data"]["since"]) >= stopped;
    ear.until_event("state.changed", is_back);
    // A back-off of a second at the most, a time-out, and a busy machine.
    let took = Duration::from_millis(u64::try_from(now_ms() - goes_on).unwrap());
    assert!(took < Duration::from_secs(5), "{took:?}");
    let log = daemon.stop();
    assert_eq!(log.matches(" WARN ").count(), 1, "{log}");
}
