//! SIGHUP as a service manager, a broker, a PLC and a consumer see it: one process, one stop, no outage; or no change at all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;

use andon::{Daemon, Ear, Heard, LEAVES_WITHIN, Place, Plc, gapless};
use mosquitto::{Door, Mosquitto, eventually};
use rustix::{
    fs::OFlags,
    process::{Pid, Signal, kill_process},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        net::UnixDatagram,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Coil 0 says that it runs, registers 0 and 1 count parts.
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
total = {{ holding = 0, type = "u32" }}
[[machine]]
id = "press-7"
line = "line-2"
run = "plc.run"
total = "plc.total"
debounce = "200ms"
short_stop = "1s"
no_data = "20s"
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

fn hang_up(daemon: &Daemon) {
    kill_process(Pid::from_raw(daemon.id().cast_signed()).unwrap(), Signal::HUP).unwrap();
}

/// The process has begun for the n-th time.
fn until_started(daemon: &Daemon, times: usize) {
    eventually(&format!("start {times}"), || daemon.logged("gateway started") >= times);
}

fn reload(daemon: &Daemon, place: &Place, config: &str) {
    let before = daemon.logged("gateway started");
    place.configure(config);
    hang_up(daemon);
    until_started(daemon, before + 1);
}

fn statuses(ear: &Ear) -> Vec<Value> {
    ear.heard().iter().filter(|heard| heard.topic == STATUS).map(Heard::json).collect()
}

fn is_never_offline(ear: &Ear) {
    let offline: Vec<Value> = statuses(ear).into_iter().filter(|status| status["status"] != "online").collect();
    assert!(offline.is_empty(), "{offline:?}");
}

/// The last live picture of the state.
fn picture(ear: &Ear) -> Value {
    let heard = ear.heard();
    let last = heard.iter().rev().find(|heard| heard.topic == format!("{MACHINE}/state"));
    last.map_or(Value::Null, Heard::json)
}

fn until_made(ear: &Ear, made: i64) {
    eventually(&format!("{made} parts are shown"), || picture(ear)["counts"]["total"] == made);
}

fn is_state<'a>(state: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |event| event["data"]["state"] == state
}

/// What is one and the same in every word about a downtime.
fn identity(event: &Value) -> Value {
    let data = &event["data"];
    json!([event["subject"], data["downtime_id"], data["stop_id"], data["number"], data["started_at"]])
}

fn notices(events: &[Value], code: &str) -> usize {
    events.iter().filter(|event| event["data"]["code"] == *code).count()
}

#[test]
fn a_good_edit_is_applied_under_an_open_stop_and_nobody_sees_an_outage() {
    let (plc, broker, ear, place) = shop();
    let mut daemon = place.run(&[]);
    let pid = daemon.id();
    ear.until_event("state.changed", is_state("running"));
    plc.coil(0, false);
    let opened = ear.until_event("downtime.opened", |_| true);
    let started = statuses(&ear)[0]["started_at"].clone();

    let second = "[[machine]]\nid = \"press-8\"\nline = \"line-2\"\nrun = \"plc.run\"\n";
    reload(&daemon, &place, &(config(plc.port, broker.port).replace("1s", "2s") + second));
    let is_next = |heard: &Heard| heard.topic == STATUS && heard.json()["started_at"] != started;
    let next = ear.until("the status of the next program", is_next).json();
    assert_eq!(next["machines"].as_array().unwrap().len(), 2, "{next}");
    assert!(daemon.is_running() && Path::new(&format!("/proc/{pid}")).exists());
    // The broker has kept the session of before.
    eventually("the session is taken up", || broker.logged("Sending CONNACK to gw (1, 0)") == 1);
    ear.until_event("notice.raised", |event| event["data"]["code"] == "rules_changed");

    plc.long(0, 1005);
    until_made(&ear, 5);
    plc.coil(0, true);
    let closed = ear.until_event("downtime.closed", |event| event["data"]["machine"] == "press-7");
    assert_eq!(identity(&opened), identity(&closed));
    assert_eq!(closed["data"]["unknown_ms"], 0, "{closed}");
    assert_eq!(daemon.troubles(), [""; 0]);
    is_never_offline(&ear);
    let told = gapless(&ear.heard());
    let of_press = |event: &&Value| event["data"]["machine"] == "press-7" && event["type"] == "andon.state.changed.v1";
    let states: Vec<&str> =
        told.iter().filter(of_press).map(|event| event["data"]["state"].as_str().unwrap()).collect();
    assert!(!states.contains(&"unknown"), "a gap: {states:?}");
    assert_eq!(notices(&told, "plc_lost"), 0);
    daemon.stop();
    eventually("offline", || statuses(&ear).last().unwrap()["status"] == "offline");
}

#[test]
fn a_bad_edit_is_refused_aloud_and_the_old_configuration_goes_on() {
    let (plc, broker, ear, place) = shop();
    let daemon = place.run(&[]);
    ear.until_event("state.changed", is_state("running"));
    assert_eq!(statuses(&ear)[0]["reload_refused"], Value::Null);
    let good = config(plc.port, broker.port);

    place.configure(&good.replace("run = \"plc.run\"", "run = \"plc.rum\""));
    hang_up(&daemon);
    let refused = |words: &'static str| {
        move |heard: &Heard| {
            let text = &heard.json()["reload_refused"]["text"];
            heard.topic == STATUS && text.as_str().is_some_and(|text| text.contains(words))
        }
    };
    let status = ear.until("the refusal", refused("plc.rum")).json();
    let text = status["reload_refused"]["text"].as_str().unwrap();
    assert!(text.contains("andon.toml:21:") && text.contains("^"), "{text}");
    assert_eq!(status["status"], "online");
    assert_eq!(
        (daemon.logged("the reload was refused"), daemon.logged("plc.rum")),
        (1, text.matches("plc.rum").count())
    );
    let notice = ear.until_event("notice.raised", |event| event["data"]["code"] == "reload_refused");
    assert_eq!(notice["data"]["severity"], "warning");
    assert!(notice["data"]["text"].as_str().unwrap().contains("plc.rum"), "{notice}");

    // Another fault, one that only a start would find: the status follows, a second notice is not made.
    let more = "username = \"andon\"\npassword_file = \"{folder}/password\"\n";
    place.configure(&good.replace("# more of the broker\n", more));
    hang_up(&daemon);
    ear.until("the second refusal", refused("password_file"));
    plc.long(0, 1007);
    until_made(&ear, 7);
    assert_eq!(daemon.logged("gateway started"), 1);

    reload(&daemon, &place, &good);
    eventually("the refusal is forgotten", || statuses(&ear).last().unwrap()["reload_refused"].is_null());
    plc.long(0, 1009);
    until_made(&ear, 9);
    is_never_offline(&ear);
    assert_eq!(notices(&gapless(&ear.heard()), "reload_refused"), 1);
    daemon.stop();
}

#[test]
fn a_command_that_comes_in_between_waits_at_the_broker_and_is_answered() {
    let (plc, broker, ear, place) = shop();
    let more = "[[reason]]\ncode = \"mech.jam\"\nclass = \"failure\"\n[commands]\nfrom = [\"mes\"]\n";
    place.configure(&(config(plc.port, broker.port) + more));
    let daemon = place.run(&[]);
    ear.until_event("state.changed", is_state("running"));
    plc.coil(0, false);
    let opened = ear.until_event("downtime.opened", |_| true);
    hang_up(&daemon);
    daemon.until_logged("gateway stopped");
    let id = &opened["data"]["downtime_id"];
    let reason = json!({ "command_id": "c-1", "by": "mes", "downtime_id": id, "code": "mech.jam" });
    andon::publish(&broker, &format!("{MACHINE}/command/reason"), reason.to_string().as_bytes(), &[]);
    let reply = ear.until("the answer", |heard| heard.topic == format!("{MACHINE}/reply")).json();
    assert_eq!(
        (&reply["data"]["result"], &reply["data"]["command_id"]),
        (&json!("accepted"), &json!("c-1")),
        "{reply}"
    );
    let updated = ear.until_event("downtime.updated", |event| event["data"]["reason"]["code"] == "mech.jam");
    assert_eq!(identity(&opened), identity(&updated));
    until_started(&daemon, 2);
    is_never_offline(&ear);
    daemon.stop();
}

/// The pid that the data folder is locked by.
fn holder(place: &Place) -> Option<i32> {
    fs::read_to_string(place.path("data/lock")).ok()?.trim().parse().ok()
}

#[test]
fn a_terminal_that_is_closed_takes_the_gateway_along() {
    let (plc, broker, ear, place) = shop();
    let andon = place.command(&["run", "-c", "andon.toml"]);
    let mut terminal = Command::new("socat");
    terminal.arg("-").arg(format!("EXEC:{} run -c andon.toml,pty,setsid,ctty,stderr", env!("CARGO_BIN_EXE_andon")));
    for (name, value) in andon.get_envs() {
        match value {
            Some(value) => terminal.env(name, value),
            None => terminal.env_remove(name),
        };
    }
    terminal.current_dir(andon.get_current_dir().unwrap()).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut terminal = terminal.spawn().expect("socat is installed");
    ear.until_event("state.changed", is_state("running"));
    let pid = holder(&place).expect("it runs");
    let here = Path::new("/proc").join(pid.to_string());
    // As long as the terminal is there it is a wish like any other.
    let started = statuses(&ear)[0]["started_at"].clone();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::HUP).unwrap();
    ear.until("the next program", |heard| heard.topic == STATUS && heard.json()["started_at"] != started);
    plc.until_polled();
    is_never_offline(&ear);
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    eventually("it ends", || !here.exists() || fs::read_to_string(here.join("stat")).is_ok_and(|s| s.contains(") Z ")));
    eventually("offline", || statuses(&ear).last().unwrap()["status"] == "offline");
    drop(broker);
}

/// A program that can be exchanged, as a package does it: beside it, then by rename.
struct Installed {
    place: Place,
    path: PathBuf,
}

impl Installed {
    fn new(place: Place) -> Installed {
        let path = place.path("bin/andon");
        fs::create_dir(place.path("bin")).unwrap();
        let installed = Installed { place, path };
        installed.upgrade();
        installed
    }

    fn upgrade(&self) {
        let next = self.place.path("bin/andon.next");
        fs::copy(env!("CARGO_BIN_EXE_andon"), &next).unwrap();
        fs::rename(next, &self.path).unwrap();
    }

    fn replace_by(&self, script: &str) {
        let next = self.place.write("bin/andon.next", &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&next, Permissions::from_mode(0o755)).unwrap();
        fs::rename(next, &self.path).unwrap();
    }

    fn run(&self, change: impl Fn(&mut Command)) -> Daemon {
        let model = self.place.command(&["run", "-c", "andon.toml"]);
        // By a relative name, that means something else to nobody.
        let mut command = Command::new("bin/andon");
        command.args(model.get_args()).current_dir(model.get_current_dir().unwrap());
        for (name, value) in model.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        change(&mut command);
        let daemon = Daemon::spawn(command);
        daemon.until_logged("gateway started");
        daemon
    }
}

fn exe(daemon: &Daemon) -> PathBuf {
    fs::read_link(format!("/proc/{}/exe", daemon.id())).unwrap()
}

#[test]
fn after_an_upgrade_a_reload_runs_what_stands_under_the_same_name() {
    let (plc, _broker, ear, place) = shop();
    let installed = Installed::new(place);
    let daemon = installed.run(|_| {});
    ear.until_event("state.changed", is_state("running"));
    plc.coil(0, false);
    let opened = ear.until_event("downtime.opened", |_| true);
    let before = fs::metadata(&installed.path).unwrap().ino();
    installed.upgrade();
    let after = fs::metadata(&installed.path).unwrap().ino();
    assert_ne!(before, after);
    assert!(exe(&daemon).to_str().unwrap().ends_with(" (deleted)"), "{:?}", exe(&daemon));
    hang_up(&daemon);
    until_started(&daemon, 2);
    let running = fs::metadata(format!("/proc/{}/exe", daemon.id())).unwrap().ino();
    assert_eq!((running, exe(&daemon)), (after, installed.path.canonicalize().unwrap()));
    plc.coil(0, true);
    let closed = ear.until_event("downtime.closed", |_| true);
    assert_eq!(identity(&opened), identity(&closed));
    is_never_offline(&ear);
    daemon.stop();
}

#[test]
fn a_program_that_is_broken_hangs_or_is_gone_is_refused_while_polling_goes_on() {
    let (plc, _broker, ear, place) = shop();
    let installed = Installed::new(place);
    let daemon = installed.run(|_| {});
    ear.until_event("state.changed", is_state("running"));
    let refused = |words: &str| {
        hang_up(&daemon);
        eventually(words, || {
            let last = statuses(&ear).pop().unwrap();
            last["reload_refused"]["text"].as_str().is_some_and(|text| text.contains(words))
        });
    };
    installed.replace_by("exit 70");
    refused("bin/andon check ended with 70");
    fs::remove_file(&installed.path).unwrap();
    refused("bin/andon could not be started: No such file or directory");

    installed.replace_by("exec sleep 600");
    hang_up(&daemon);
    let asked = Instant::now();
    for made in 1..=4 {
        plc.long(0, 1000 + made);
        until_made(&ear, made.into());
        assert_eq!(daemon.logged("did not end"), 0, "so many pictures before the deadline");
    }
    refused("bin/andon check did not end within 10 s");
    assert!(asked.elapsed() >= Duration::from_secs(10));
    // It was asked for a second time meanwhile, and nobody is left behind.
    let children = format!("/proc/{0}/task/{0}/children", daemon.id());
    eventually("no child is left", || fs::read_to_string(&children).unwrap().is_empty());

    installed.upgrade();
    hang_up(&daemon);
    until_started(&daemon, 2);
    is_never_offline(&ear);
    daemon.stop();
}

/// What the process has open, without what differs from one to the next.
fn descriptors(pid: u32) -> Vec<String> {
    let mut open: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .map(|link| link.to_string_lossy().split(':').next().unwrap().to_owned())
        .collect();
    open.sort();
    open
}

/// Those that an exec leaves open; some may be there since before our time.
fn outliving(pid: u32) -> BTreeSet<u32> {
    let flags = |fd: u32| {
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).ok()?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?.trim().to_owned();
        i32::from_str_radix(&flags, 8).ok()
    };
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let open = open.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap());
    let close = OFlags::CLOEXEC.bits().cast_signed();
    open.filter(|fd| flags(*fd).is_some_and(|flags| flags & close == 0)).collect()
}

#[test]
fn no_descriptor_but_the_first_three_goes_over_into_the_next_program() {
    let (_plc, broker, ear, place) = shop();
    let installed = Installed::new(place);
    let daemon = installed.run(|_| {});
    ear.until_event("state.changed", is_state("running"));
    assert!(descriptors(daemon.id()).len() > 10, "{:?}", descriptors(daemon.id()));
    // What this test was given by whoever started it.
    let mut given = outliving(std::process::id());
    given.extend([0, 1, 2]);
    assert!(outliving(daemon.id()).is_subset(&given), "{:?} {given:?}", outliving(daemon.id()));
    let (real, folder) = (env!("CARGO_BIN_EXE_andon"), installed.place.folder.path().display());
    installed.replace_by(&format!("[ $1 = check ] && exit 0\nls -l /proc/$$/fd > {folder}/open\nexec {real} \"$@\""));
    hang_up(&daemon);
    until_started(&daemon, 2);
    let open = fs::read_to_string(installed.place.path("open")).unwrap();
    let open = open.lines().filter_map(|line| line.split_once(" -> ")).map(|(before, to)| {
        let fd: u32 = before.rsplit(' ').next().unwrap().parse().unwrap();
        (fd, to)
    });
    // The shell has the script itself open, and beside it what it has put aside for its own redirection.
    let own = |fd: u32, to: &str| to.ends_with("/bin/andon") || (fd >= 10 && to == "/dev/null");
    let beyond: Vec<_> = open.filter(|(fd, to)| !given.contains(fd) && !own(*fd, to)).collect();
    assert!(beyond.is_empty(), "{beyond:?}");
    let held = format!("/proc/{}/status", daemon.id());
    let blocked = || fs::read_to_string(&held).unwrap().lines().find(|l| l.starts_with("SigBlk")).unwrap().to_owned();
    assert_eq!(blocked(), "SigBlk:\t0000000000000000", "no signal stays held");
    daemon.stop();
    drop(broker);
}

/// What the service manager hears, up to a word.
fn heard_until(listener: &UnixDatagram, last: &str) -> Vec<String> {
    listener.set_read_timeout(Some(mosquitto::DEADLINE)).unwrap();
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    while heard.last().is_none_or(|word: &String| word != last) {
        let length = listener.recv(&mut buffer).unwrap_or_else(|error| panic!("{last}: {error}: {heard:?}"));
        heard.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
    }
    heard
}

#[test]
fn the_service_manager_hears_reloading_then_ready_and_nothing_of_a_stop() {
    let (plc, broker, ear, place) = shop();
    let listener = UnixDatagram::bind(place.path("notify")).unwrap();
    let mut command = place.command(&["run", "-c", "andon.toml"]);
    command.env("NOTIFY_SOCKET", place.path("notify")).env("WATCHDOG_USEC", "60000000");
    let daemon = Daemon::spawn(command);
    heard_until(&listener, "READY=1");
    let of = |heard: &[String], word: &str| heard.iter().filter(|heard| heard.starts_with(word)).count();

    let good = place.read("andon.toml");
    place.write("andon.toml", "nonsense = 1\n");
    hang_up(&daemon);
    daemon.until_logged("the reload was refused");
    let heard = heard_until(&listener, "WATCHDOG=1");
    assert_eq!((of(&heard, "RELOADING"), of(&heard, "READY")), (0, 0), "{heard:?}");
    let line =
        "STATUS=1 of 1 PLCs answer, 0 open downtimes, 0 events not yet acknowledged; the last reload was refused";
    heard_until(&listener, line);

    place.write("andon.toml", &good);
    let before = monotonic_us();
    hang_up(&daemon);
    let heard = heard_until(&listener, "READY=1");
    let reloading: Vec<&String> = heard.iter().filter(|word| word.contains("RELOADING")).collect();
    let at = reloading[0].strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("both in one datagram");
    assert!((before..monotonic_us()).contains(&at.parse().unwrap()), "{at}");
    assert_eq!((reloading.len(), of(&heard, "STOPPING")), (1, 0), "{heard:?}");
    // The watchdog of the same process goes on.
    let heard = heard_until(&listener, "WATCHDOG=1");
    assert_eq!(of(&heard, "RELOADING"), 0);
    plc.long(0, 1003);
    until_made(&ear, 3);
    daemon.stop();
    let heard = heard_until(&listener, "STOPPING=1");
    assert_eq!(of(&heard, "RELOADING"), 0);
    drop(broker);
}

fn monotonic_us() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap() * 1_000_000 + u64::try_from(now.tv_nsec).unwrap() / 1000
}

fn memory_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn fifty_reloads_leave_nothing_behind_and_one_stop_goes_through_all_of_them() {
    let (plc, broker, ear, place) = shop();
    let daemon = place.run(&[]);
    ear.until_event("state.changed", is_state("running"));
    plc.coil(0, false);
    let opened = ear.until_event("downtime.opened", |_| true);
    let begun = Instant::now();
    let mut seen = Vec::new();
    for n in 1..=50 {
        hang_up(&daemon);
        until_started(&daemon, n + 1);
        eventually("the broker is there again", || daemon.logged("broker connected") == n + 1);
        plc.until_polled();
        if n % 5 == 0 {
            seen.push((descriptors(daemon.id()), memory_kb(daemon.id())));
        }
    }
    println!("{} ms a reload; {} descriptors; {:?} kB", begun.elapsed().as_millis() / 50, seen[9].0.len(), {
        seen.iter().map(|(_, kb)| *kb).collect::<Vec<_>>()
    });
    let counts: BTreeSet<usize> = seen.iter().map(|(open, _)| open.len()).collect();
    // A reader of the journal may stand open just then: no rise all the same.
    assert!(seen[9].0.len() <= *counts.first().unwrap() + 4, "{seen:#?}");
    assert!(seen[9].1 < seen[0].1 * 5 / 4, "{seen:#?}");
    plc.coil(0, true);
    let closed = ear.until_event("downtime.closed", |_| true);
    assert_eq!(identity(&opened), identity(&closed));
    assert_eq!(closed["data"]["unknown_ms"], 0);
    is_never_offline(&ear);
    assert_eq!(daemon.troubles(), [""; 0]);
    gapless(&ear.heard());
    daemon.stop();
    drop(broker);
}

#[test]
fn reloads_on_top_of_each_other_are_one_after_the_other() {
    let (plc, _broker, ear, place) = shop();
    let mut daemon = place.run(&[]);
    ear.until_event("state.changed", is_state("running"));
    let pid = Pid::from_raw(daemon.id().cast_signed()).unwrap();
    for n in 0..400 {
        kill_process(pid, Signal::HUP).unwrap();
        thread::sleep(Duration::from_millis(n % 7));
    }
    let last = daemon.logged("gateway started");
    assert!(daemon.is_running(), "{}", daemon.log());
    hang_up(&daemon);
    until_started(&daemon, last.max(2));
    plc.long(0, 1004);
    until_made(&ear, 4);
    is_never_offline(&ear);
    daemon.stop();
}

#[test]
fn a_stop_at_any_moment_of_a_reload_is_a_stop_and_the_broker_says_so() {
    let (_plc, broker, ear, place) = shop();
    for moment in 0..40 {
        let mut daemon = place.run(&[]);
        eventually("it is online", || statuses(&ear).last().is_some_and(|status| status["status"] == "online"));
        daemon.until_logged("broker connected");
        hang_up(&daemon);
        thread::sleep(Duration::from_millis(moment * 3));
        let asked = Instant::now();
        kill_process(Pid::from_raw(daemon.id().cast_signed()).unwrap(), Signal::TERM).unwrap();
        let status = daemon.until_ended();
        assert!(status.success() && asked.elapsed() < LEAVES_WITHIN, "{moment}: {status}\n{}", daemon.log());
        eventually(&format!("offline after {moment}"), || {
            let standing = Ear::open(&broker, STATUS);
            let retained = standing.until("what stands", |heard| heard.retained).json();
            retained["status"] == "offline"
        });
        eventually("offline was heard", || statuses(&ear).last().unwrap()["status"] == "offline");
        let began = daemon.logged("gateway started");
        println!("{} ms: started {began} times", moment * 3);
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
fn while_the_disk_is_in_trouble_a_reload_waits_and_no_event_is_lost() {
    let (plc, _broker, ear, place) = shop();
    let daemon = place.run(&[]);
    ear.until_event("state.changed", is_state("running"));
    let blocker = lock_journal(&place);
    plc.coil(0, false);
    daemon.until_logged("journal could not be written");
    hang_up(&daemon);
    daemon.until_logged("the reload waits until the journal can be written");
    plc.until_polled();
    assert_eq!(daemon.logged("restarting in place"), 0);
    drop(blocker);
    until_started(&daemon, 2);
    let opened = ear.until_event("downtime.opened", |_| true);
    plc.coil(0, true);
    let closed = ear.until_event("downtime.closed", |_| true);
    assert_eq!((identity(&opened), &closed["data"]["unknown_ms"]), (identity(&closed), &json!(0)));
    gapless(&ear.heard());
    daemon.stop();
}

#[test]
fn a_gateway_that_moves_says_offline_where_it_was() {
    let (plc, broker, ear, place) = shop();
    let daemon = place.run(&[]);
    ear.until_event("state.changed", is_state("running"));
    reload(&daemon, &place, &config(plc.port, broker.port).replace("hall-3", "hall-4"));
    ear.until("offline where it was", |heard| heard.topic == STATUS && heard.json()["status"] == "offline");
    let new = STATUS.replace("hall-3", "hall-4");
    ear.until("online where it is", |heard| heard.topic == new && heard.json()["status"] == "online");
    daemon.stop();
}

#[test]
fn a_next_program_that_cannot_begin_after_all_is_an_outage_that_is_said() {
    let (_plc, broker, ear, place) = shop();
    let installed = Installed::new(place);
    let (real, folder) = (env!("CARGO_BIN_EXE_andon"), installed.place.folder.path().display().to_string());
    let away = format!("mv {folder}/data {folder}/away; touch {folder}/data; exec {real} \"$@\"");
    for (script, exit, words) in [
        ("[ $1 = check ] && exec chmod a-x $0".to_owned(), 69, "could not be started in place: Permission denied"),
        (format!("[ $1 = check ] && exit 0; {away}"), 74, "is not a folder"),
    ] {
        let mut daemon = installed.run(|_| {});
        daemon.until_logged("broker connected");
        eventually("online", || statuses(&ear).last().is_some_and(|status| status["status"] == "online"));
        installed.replace_by(&script);
        hang_up(&daemon);
        let status = daemon.until_ended();
        daemon.until_logged(words);
        assert_eq!(status.code(), Some(exit), "{}", daemon.log());
        eventually("offline", || statuses(&ear).last().unwrap()["status"] == "offline");
        let standing = Ear::open(&broker, STATUS).until("what stands", |heard| heard.retained);
        assert_eq!(standing.json()["status"], "offline");
        installed.upgrade();
    }
}

#[test]
fn a_reload_without_a_broker_is_a_reload() {
    let plc = Plc::start();
    let place = Place::with(&config(plc.port, andon::dead_port()));
    let daemon = place.run(&[]);
    plc.until_polled();
    hang_up(&daemon);
    until_started(&daemon, 2);
    let requests = plc.requests();
    eventually("it polls", || plc.requests() > requests);
    daemon.stop();
}
