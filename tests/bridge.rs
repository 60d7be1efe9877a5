//! The way to a ticket system that is not ours and back: Roundup, the example bridge, a broker that is not ours and the
//! real binary. What a machine asks for becomes a ticket, what a technician enters there stands in the same downtime.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;
#[path = "common/peers.rs"]
mod peers;

use andon::{Daemon, Ear, Place, Plc, publish};
use mosquitto::{Door, Mosquitto, eventually};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const ROOT: &str = "andon/v1/acme/leipzig/hall-3";
const MACHINE: &str = "andon/v1/acme/leipzig/hall-3/line-2/press-7";

/// A digest, what is waited after it, a replay of what is missing, and what each takes on a busy machine.
const CONVERGES_WITHIN: Duration = Duration::from_secs(90);

/// Coil 0 says that it runs, register 4 which fault it has: each that no reason names is a problem of its own.
fn config(plc: u16, broker: u16) -> String {
    format!(
        r#"
priority_map = ["1-very high", "2-high", "3-medium", "4-low"]
[gateway]
id = "gw"
path = "acme/leipzig/hall-3"
timezone = "Europe/Berlin"
data_dir = "{{folder}}/data"
[mqtt]
brokers = ["mqtt://127.0.0.1:{broker}"]
[privacy]
operator = "id"
[[plc]]
id = "plc"
tcp = "127.0.0.1:{plc}"
poll = "20ms"
timeout = "500ms"
[plc.points]
run = {{ coil = 0 }}
good = {{ holding = 0, type = "u32" }}
fault = {{ holding = 4 }}
[[machine]]
id = "press-7"
line = "line-2"
asset = "EQ-10042"
ideal_cycle = "100ms"
run = "plc.run"
total = "plc.good"
fault = "plc.fault"
debounce = "100ms"
short_stop = "300ms"
no_data = "10s"
[[reason]]
code = "mech.jam"
text = "Material jam – größer"
class = "failure"
faults = [12]
[[reason]]
code = "cleaning"
class = "planned"
[[work_request]]
name = "long failure"
class = "failure"
after = "500ms"
priority = 2
[[consumer]]
id = "cmms"
kinds = ["work-request"]
may = ["work-order"]
[commands]
from = ["panel"]
"#
    )
}

/// A Roundup server with a tracker as `make-tracker` makes it, and two people in it.
struct Tracker {
    server: Option<Daemon>,
    port: u16,
    folder: TempDir,
}

/// `hanna:secret`
const TECHNICIAN: &str = "aGFubmE6c2VjcmV0";

/// `andon:secret`
const BRIDGE: &str = "YW5kb246c2VjcmV0";

impl Tracker {
    fn start() -> Tracker {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut tracker = Tracker { server: None, port, folder: TempDir::new().unwrap() };
        let make = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/consumers/roundup/make-tracker");
        let mut command = Command::new(make);
        command.arg(tracker.home()).arg(tracker.url());
        command.env("ADMIN_PASSWORD", "boss").env("ROUNDUP_ADMIN", peers::roundup().join("roundup-admin"));
        ends_well(&mut command);
        // Each call is checked against the password, which is made slow to guess: here that proves nothing.
        let (path, slow) = (tracker.home().join("config.ini"), "password_pbkdf2_default_rounds = 250000");
        let config = fs::read_to_string(&path).unwrap();
        assert!(config.contains(slow), "{config}");
        fs::write(path, config.replace(slow, "password_pbkdf2_default_rounds = 10000")).unwrap();
        for (name, roles) in [("andon", "User,Gateway"), ("hanna", "User")] {
            let words = [format!("username={name}"), format!("address={name}@localhost"), format!("roles={roles}")];
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            tracker.admin(&[&["create", "user", "password=secret"], &words[..]].concat());
        }
        tracker.open();
        tracker
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("plant")
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/plant/", self.port)
    }

    fn admin(&self, words: &[&str]) {
        ends_well(Command::new(peers::roundup().join("roundup-admin")).arg("-i").arg(self.home()).args(words));
    }

    /// The server comes up, with what it had.
    fn open(&mut self) {
        let mut command = Command::new(peers::roundup().join("roundup-server"));
        command.args(["-n", "127.0.0.1", "-p", &self.port.to_string()]);
        // It does not run as root unless it is told to.
        command.args(if rustix::process::getuid().is_root() { &["-u", "root"][..] } else { &[] });
        command.arg(format!("plant={}", self.home().display())).stdin(Stdio::null());
        self.server = Some(Daemon::spawn(command));
        eventually("Roundup answers", || {
            self.call_as(TECHNICIAN, "GET", "workstatus", None, None).is_some_and(|it| it.0 == 200)
        });
    }

    /// `kill -9`
    fn kill(&mut self) {
        self.server.take().unwrap().kill();
    }

    /// Roundup's REST API, as the technician.
    fn call(&self, method: &str, path: &str, body: Option<&Value>, etag: Option<&str>) -> (u16, Value) {
        self.call_as(TECHNICIAN, method, path, body, etag).expect("Roundup answers")
    }

    fn call_as(
        &self,
        who: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
        etag: Option<&str>,
    ) -> Option<(u16, Value)> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let port = self.port;
        let etag = etag.map(|etag| format!("If-Match: {etag}\r\n")).unwrap_or_default();
        let request = format!(
            "{method} /plant/rest/data/{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
             Authorization: Basic {who}\r\nX-Requested-With: test\r\nOrigin: http://127.0.0.1:{port}\r\n\
             Referer: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{etag}\r\n{body}",
            self.url(),
            body.len()
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    /// Every ticket, by its number.
    fn orders(&self) -> BTreeMap<String, Value> {
        let fields = "request_id,request_status,revision,status.name,cause,actual_start,actual_finish";
        let (status, answer) = self.call("GET", &format!("workorder?@verbose=0&@sort=id&@fields={fields}"), None, None);
        assert_eq!(status, 200, "{answer}");
        let orders = answer["data"]["collection"].as_array().unwrap().clone();
        orders.into_iter().map(|order| (order["id"].as_str().unwrap().to_owned(), order)).collect()
    }

    fn order(&self, number: &str) -> Value {
        let (status, answer) = self.call("GET", &format!("workorder/{number}?@verbose=2"), None, None);
        assert_eq!(status, 200, "{answer}");
        answer["data"].clone()
    }

    /// What the technician enters; again, if the bridge has written at that very moment.
    fn enter(&self, number: &str, changes: &Value) {
        eventually("the technician's entry is taken", || {
            let etag = self.order(number)["@etag"].as_str().unwrap().to_owned();
            let (status, answer) = self.call("PATCH", &format!("workorder/{number}"), Some(changes), Some(&etag));
            assert!([200, 412].contains(&status), "{status} {answer}");
            status == 200
        });
    }
}

fn ends_well(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said));
}

struct Plant {
    plc: Plc,
    broker: Mosquitto,
    place: Place,
    tracker: Tracker,
}

impl Plant {
    fn open() -> Plant {
        let plc = Plc::start();
        plc.coil(0, true);
        let broker = Mosquitto::start(&Door::Anonymous);
        let place = Place::with(&config(plc.port, broker.port));
        place.write("password", "secret\n");
        Plant { plc, broker, place, tracker: Tracker::start() }
    }

    fn bridge(&self) -> Daemon {
        let mut command = Command::new(peers::roundup().join("python"));
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/consumers/bridge_roundup.py");
        let broker = format!("127.0.0.1:{}", self.broker.port);
        // Without -B it would leave compiled files beside the example.
        command.arg("-B").arg(program).args(["--broker", &broker, "--root", ROOT, "--gateway", "gw", "--every", "0.5"]);
        command.arg("--db").arg(self.place.path("bridge.db")).args(["--roundup", &self.tracker.url()]);
        command.arg("--user-password-file").arg(self.place.path("password")).stdin(Stdio::null());
        Daemon::spawn(command)
    }

    fn jam(&self, fault: u16) {
        self.plc.word(4, fault);
        self.plc.coil(0, false);
    }

    fn goes_on(&self) {
        self.plc.word(4, 0);
        self.plc.coil(0, true);
    }

    /// The last word on each of its kind in the journal, by subject.
    fn told(&self, kind: &str) -> BTreeMap<String, Value> {
        let db = rusqlite::Connection::open(self.place.path("data/andon.db")).unwrap();
        let mut select = db.prepare("SELECT body FROM journal WHERE kind = ?1 ORDER BY sequence").unwrap();
        let bodies = select.query_map([kind], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        let events = bodies.map(|body| serde_json::from_slice::<Value>(&body.unwrap()).unwrap());
        events.map(|event| (event["subject"].as_str().unwrap().to_owned(), event["data"].clone())).collect()
    }

    /// What the bridge keeps.
    fn kept(&self) -> rusqlite::Connection {
        let db = rusqlite::Connection::open(self.place.path("bridge.db")).unwrap();
        db.busy_timeout(Duration::from_secs(5)).unwrap();
        db
    }

    /// A ticket for each request, none twice, each with the request's last record.
    fn is_entered(&self) -> bool {
        let orders = self.tracker.orders();
        let held: Vec<(String, Value)> = orders
            .values()
            .map(|order| (order["request_id"].as_str().unwrap().to_owned(), order["revision"].clone()))
            .collect();
        let requests: BTreeSet<&String> = held.iter().map(|(id, _)| id).collect();
        assert_eq!(requests.len(), held.len(), "a ticket is there twice: {orders:#?}");
        let told: BTreeMap<String, Value> =
            self.told("work-request").into_iter().map(|(id, data)| (id, data["revision"].clone())).collect();
        told == held.into_iter().collect()
    }
}

fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < limit, "{what}: not within {limit:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// A request as it stands in a ticket: what lies inside another key is named with it, `status` is the technician's.
fn flat(data: &Value) -> Map<String, Value> {
    let mut flat = Map::new();
    for (key, value) in data.as_object().unwrap() {
        match value {
            Value::Object(inner) => flat.extend(inner.iter().map(|(name, one)| (format!("{key}_{name}"), one.clone()))),
            Value::Array(all) => {
                let all: Vec<&str> = all.iter().map(|one| one.as_str().unwrap()).collect();
                flat.insert(key.clone(), json!(all.join(" ")));
            }
            // SQLite's truth.
            Value::Bool(is) => _ = flat.insert(key.clone(), json!(u8::from(*is))),
            _ => _ = flat.insert(if key == "status" { "request_status".into() } else { key.clone() }, value.clone()),
        }
    }
    flat
}

/// `2026-11-23.06:31:40` → `2026-11-23T06:31:40.000Z`
fn published(date: &Value) -> Value {
    json!(format!("{}.000Z", date.as_str().unwrap().replacen('.', "T", 1)))
}

#[test]
fn a_request_is_a_ticket_as_it_stands_and_the_repair_comes_back_onto_the_same_downtime() {
    let plant = Plant::open();
    let ear = Ear::open(&plant.broker, "#");
    let daemon = plant.place.run(&[]);
    let bridge = plant.bridge();
    bridge.until_logged("connected");
    plant.plc.until_polled();
    plant.jam(12);
    let raised = ear.until_event("work-request.raised", |_| true);
    let request = raised["data"]["request_id"].clone();
    eventually("there is a ticket", || plant.tracker.orders().len() == 1);
    let ticket = plant.tracker.order("1");
    assert_eq!(ticket["attributes"]["status"]["name"], "new");
    let is_whole = || {
        let (told, ticket) = (plant.told("work-request"), plant.tracker.order("1"));
        let data = &told[request.as_str().unwrap()];
        if ticket["attributes"]["revision"] != data["revision"] {
            return false;
        }
        for (key, value) in flat(data) {
            assert_eq!(ticket["attributes"].get(&key), Some(&value), "{key}");
        }
        true
    };
    eventually("it has every field, unedited", is_whole);
    assert_eq!(ticket["attributes"]["title"], "press-7: Material jam – größer");
    assert_eq!(ticket["attributes"]["asset_down"], 1);

    // Nobody can edit it by mistake.
    let etag = ticket["@etag"].as_str().unwrap();
    let edited = plant.tracker.call("PATCH", "workorder/1", Some(&json!({ "title": "a jam" })), Some(etag));
    assert_eq!(edited.0, 403, "{}", edited.1);
    // And Roundup itself takes no second one for a request.
    let second = json!({ "request_id": request, "title": "the same", "status": "new" });
    let again = plant.tracker.call_as(BRIDGE, "POST", "workorder", Some(&second), None).unwrap();
    assert_eq!(again.0, 409, "{}", again.1);

    // What nobody has taken on is not told of. Then somebody does.
    assert_eq!(plant.told("work-order"), BTreeMap::new());
    plant.tracker.enter("1", &json!({ "status": "assigned", "assignedto": "hanna" }));
    let assigned = ear.until_event("work-order.updated", |event| event["data"]["status"] == "assigned");
    assert_eq!(
        (&assigned["data"]["work_order"], &assigned["data"]["technician"]),
        (&json!("workorder1"), &json!("hanna"))
    );
    // The bridge dies, the gateway too; the repair does not wait for them.
    bridge.kill();
    plant.tracker.enter("1", &json!({ "status": "in progress" }));
    daemon.kill();
    let daemon = plant.place.run(&[]);
    plant.goes_on();
    let closed = ear.until_event("downtime.closed", |_| true);
    plant.tracker.enter(
        "1",
        &json!({ "status": "done", "cause": "worn belt\n(left)", "mechanism": "wear", "remedy": "belt replaced",
                 "labour_minutes": 21, "parts": "6205-2RS, A-7", "remark": "order a spare" }),
    );
    let bridge = plant.bridge();
    let done = ear.until_event("work-order.updated", |event| event["data"]["status"] == "completed");
    let (told, ticket) = (&done["data"], &plant.tracker.order("1")["attributes"]);
    assert_eq!((&told["request_id"], &told["work_order"]), (&request, &json!("workorder1")));
    for (key, value) in [
        ("status_raw", json!("done")),
        ("technician", json!("hanna")),
        ("cause", json!("worn belt\n(left)")),
        ("mechanism", json!("wear")),
        ("remedy", json!("belt replaced")),
        ("labour_ms", json!(21 * 60_000)),
        ("comment", json!("order a spare")),
        ("actual_start", published(&ticket["actual_start"])),
        ("actual_finish", published(&ticket["actual_finish"])),
        // The bridge was away when it began: the ticket says when that was.
        ("in_progress_at", published(&ticket["actual_start"])),
    ] {
        assert_eq!(told[key], value, "{key}");
    }
    assert_eq!(told["parts"].as_array().unwrap().len(), 2);

    let downtime = closed["data"]["downtime_id"].as_str().unwrap();
    let bears = |status: &str| plant.told("downtime")[downtime]["work"][0]["status"] == status;
    assert!(bears("completed"));
    plant.tracker.enter("1", &json!({ "status": "closed", "cause": "belt too old" }));
    eventually("the papers are done", || bears("closed"));
    let stop = &plant.told("downtime")[downtime];
    assert_eq!(stop["work"].as_array().unwrap().len(), 1);
    for (key, value) in [
        ("request_id", &request),
        ("work_order", &json!("workorder1")),
        ("cause", &json!("belt too old")),
        ("remedy", &json!("belt replaced")),
        ("actual_start", &published(&ticket["actual_start"])),
        ("actual_finish", &published(&ticket["actual_finish"])),
    ] {
        assert_eq!(&stop["work"][0][key], value, "{key}");
    }
    for key in ["started_at", "ended_at", "duration_ms"] {
        assert_eq!(stop[key], closed["data"][key], "{key} is the machine's");
    }
    // The bridge writes the machine's fields only, whatever came meanwhile.
    eventually("and the ticket has the last record of its request", is_whole);
    let ticket = &plant.tracker.order("1")["attributes"];
    assert_eq!((&ticket["request_status"], &ticket["asset_down"]), (&json!("closed"), &json!(0)));
    assert_eq!((&ticket["status"]["name"], &ticket["cause"]), (&json!("closed"), &json!("belt too old")));
    assert_eq!(plant.tracker.orders().len(), 1);
    daemon.stop();
    bridge.stop();
}

#[test]
fn what_is_withdrawn_closes_its_ticket_unless_somebody_has_taken_it_on() {
    let plant = Plant::open();
    let ear = Ear::open(&plant.broker, "#");
    let daemon = plant.place.run(&[]);
    plant.plc.until_polled();
    let bridge = plant.bridge();
    bridge.until_logged("connected");
    let stop = |fault: u16| -> (String, String) {
        plant.jam(fault);
        let is_it = |event: &Value| event["data"]["problem"]["fault"] == fault;
        let raised = ear.until_event("work-request.raised", is_it)["data"].clone();
        plant.goes_on();
        ear.until_event("downtime.closed", |event| event["data"]["downtime_id"] == raised["downtime_id"]);
        let text = |key: &str| raised[key].as_str().unwrap().to_owned();
        (text("request_id"), text("downtime_id"))
    };
    let (first, second) = (stop(41), stop(42));
    eventually("there are two tickets", || plant.tracker.orders().len() == 2 && plant.is_entered());
    let by_request = |id: &str| {
        let orders = plant.tracker.orders();
        orders.into_iter().find(|(_, order)| order["request_id"] == id).unwrap()
    };
    let (number, _) = by_request(&second.0);
    // Hanna takes the second while the bridge is away: nobody hears of it yet.
    bridge.kill();
    plant.tracker.enter(&number, &json!({ "status": "accepted", "assignedto": "hanna" }));
    for (id, (_, downtime)) in [("r-1", &first), ("r-2", &second)] {
        let command = json!({ "command_id": id, "by": "panel", "downtime_id": downtime, "code": "cleaning" });
        publish(&plant.broker, &format!("{MACHINE}/command/reason"), command.to_string().as_bytes(), &[]);
    }
    let request = |id: &str| plant.told("work-request")[id]["status"].clone();
    eventually("both are withdrawn", || request(&first.0) == "withdrawn" && request(&second.0) == "withdrawn");
    let bridge = plant.bridge();
    eventually("the ticket that nobody began is over", || by_request(&first.0).1["status.name"] == "withdrawn");
    eventually("what was begun goes on", || request(&second.0) == "accepted");
    eventually("and is known to have been withdrawn", || plant.is_entered());
    assert_eq!(by_request(&second.0).1["status.name"], "accepted");
    let orders = plant.told("work-order");
    assert_eq!(orders.len(), 1, "{orders:#?}");
    daemon.stop();
    bridge.stop();
}

#[test]
fn no_ticket_is_doubled_and_no_update_lost_whoever_is_killed() {
    const STOPS: usize = 6;
    let mut plant = Plant::open();
    let daemon = plant.place.run(&[]);
    plant.plc.until_polled();
    let first = plant.bridge();
    first.until_logged("connected");
    drop(first);
    let cause = |request: &str| format!("cause of {request}");
    for (stop, fault) in (0..STOPS).zip(100..) {
        // The bridge lives for some tenths of a second more each time: it dies while it connects, enters, looks and tells.
        let bridge = plant.bridge();
        plant.jam(fault);
        eventually("one more is asked for", || plant.told("work-request").len() == stop + 1);
        thread::sleep(Duration::from_millis(150) * u32::from(fault - 100));
        bridge.kill();
        plant.goes_on();
        eventually("it runs again", || {
            plant.told("downtime").values().filter(|stop| stop["status"] == "closed").count() > stop
        });
        match stop {
            2 => {
                plant.broker.kill();
                plant.broker.wipe();
                plant.broker.start_again();
            }
            3 => plant.tracker.kill(),
            4 => plant.tracker.open(),
            _ => {}
        }
        if plant.tracker.server.is_some() {
            for (number, order) in plant.tracker.orders().iter().filter(|(_, order)| order["status.name"] == "new") {
                let cause = cause(order["request_id"].as_str().unwrap());
                plant.tracker.enter(number, &json!({ "status": "in progress" }));
                plant.tracker.enter(number, &json!({ "status": "done", "cause": cause, "remedy": "mended" }));
            }
        }
    }
    let bridge = plant.bridge();
    within(CONVERGES_WITHIN, "a ticket for each", || plant.tracker.orders().len() == STOPS && plant.is_entered());
    for (number, order) in plant.tracker.orders().iter().filter(|(_, order)| order["status.name"] == "new") {
        let cause = cause(order["request_id"].as_str().unwrap());
        plant.tracker.enter(number, &json!({ "status": "done", "cause": cause, "remedy": "mended" }));
    }
    let is_back = |plant: &Plant| {
        let (orders, downtimes) = (plant.tracker.orders(), plant.told("downtime"));
        downtimes.len() == STOPS
            && downtimes.values().all(|stop| {
                let link = &stop["work"][0];
                let of = orders.iter().find(|(_, order)| order["request_id"] == link["request_id"]);
                of.is_some_and(|(number, order)| {
                    (&link["status"], &link["work_order"], &link["cause"])
                        == (&json!("completed"), &json!(format!("workorder{number}")), &order["cause"])
                        && link["cause"] == cause(link["request_id"].as_str().unwrap())
                }) && stop["work"].as_array().unwrap().len() == 1
            })
    };
    within(CONVERGES_WITHIN, "every downtime bears its ticket", || is_back(&plant));
    eventually("the tickets follow", || plant.is_entered());
    bridge.kill();

    // It died between Roundup's word and its own note: everything is entered once more.
    let before = (plant.tracker.orders(), plant.told("downtime"));
    let times = plant.kept().execute("UPDATE request SET entered = 0", []).unwrap();
    assert_eq!(times, STOPS);
    let bridge = plant.bridge();
    let waiting = "SELECT count(*) FROM request WHERE entered < revision";
    let count = |plant: &Plant, sql: &str| plant.kept().query_one(sql, [], |row| row.get::<_, usize>(0)).unwrap();
    eventually("all is entered", || count(&plant, waiting) == 0);
    bridge.kill();
    assert_eq!((plant.tracker.orders(), plant.told("downtime")), before);

    // Its disk is lost: it gets every request again, and tells every ticket again. Neither side has anything new.
    for name in ["bridge.db", "bridge.db-wal", "bridge.db-shm"] {
        fs::remove_file(plant.place.path(name)).ok();
    }
    let bridge = plant.bridge();
    bridge.until_logged("connected");
    within(CONVERGES_WITHIN, "it holds everything again", || {
        let told = count(&plant, "SELECT count(*) FROM command WHERE answer IS NOT NULL");
        let untold = count(&plant, "SELECT count(*) FROM command WHERE answer IS NULL");
        let held = count(&plant, "SELECT count(*) FROM request WHERE entered = revision");
        (held, untold) == (STOPS, 0) && told >= STOPS
    });
    assert_eq!((plant.tracker.orders(), plant.told("downtime")), before);
    daemon.stop();
    bridge.stop();
}
