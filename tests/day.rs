//! One day of two machines, and an MES and a CMMS that never talk to each other: the same downtime to the millisecond, whatever
//! the broker, the network and they themselves go through.
//!
//! A script says when each machine stands and why; `andon sim` plays it, `andon run` polls it, both at many times the pace of the
//! world. What the gateway saw is what its recording holds; how long each stop was, and what of it lies in which shift and
//! order, is reckoned here from those looks alone, without a line of andon.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;
#[path = "common/peers.rs"]
mod peers;
#[path = "common/relay.rs"]
mod relay;

use andon::{Daemon, Ear, Peer, Place};
use fastrand::Rng;
use mosquitto::{Door, Mosquitto, eventually};
use relay::Relay;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

const ROOT: &str = "andon/v1/acme/leipzig/hall-3";
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// A day passes in a minute and a half.
const SPEED: u32 = 960;

/// The script has a row so often: what the PLC says the time is.
const ROW_MS: i64 = 15_000;

/// What is shorter is no downtime.
const SHORT_STOP_MS: i64 = 10 * MINUTE_MS;

/// The last fault is behind everybody at the latest after so long, in the world's time.
const CONVERGES_WITHIN: Duration = Duration::from_secs(60);

/// The network may deliver a command so late: more than an hour of the day.
const LATE: Duration = Duration::from_secs(4);

const MACHINES: [&str; 2] = ["press-7", "press-8"];

/// What a stop may be: the PLC's fault code, or 0 where somebody at the MES has to say it; and the reason.
const CAUSES: [(i64, &str); 7] = [
    (12, "mech.jam"),
    (0, "no.material"),
    (21, "elec.drive"),
    (0, "adjust"),
    (33, "hyd.leak"),
    (0, "tool.change"),
    (0, "cleaning"),
];

/// A stop of the script, from the first row in which the machine stands to the first in which it runs again.
struct Scripted {
    from_ms: i64,
    to_ms: i64,
    fault: i64,
    reason: &'static str,
}

/// When a machine stands, from the beginning of the day: 24 long stops, and a short one after every third.
fn script(machine: usize) -> Vec<Scripted> {
    let mut rng = Rng::with_seed(machine as u64 + 1);
    let mut stops = Vec::new();
    for n in 0..24 {
        let (fault, reason) = CAUSES[(n + 2 * machine) % CAUSES.len()];
        let from_ms = (35 + 17 * machine as i64 + 56 * n as i64 + rng.i64(0..6)) * MINUTE_MS + rng.i64(0..60_000);
        let to_ms = from_ms + rng.i64(20 * MINUTE_MS..32 * MINUTE_MS);
        stops.push(Scripted { from_ms, to_ms, fault, reason });
        if n % 3 == 1 {
            let from_ms = from_ms + 38 * MINUTE_MS;
            stops.push(Scripted { from_ms, to_ms: from_ms + 4 * MINUTE_MS, fault: 0, reason: "adjust" });
        }
    }
    stops
}

fn stands(stops: &[Scripted], at_ms: i64) -> Option<&Scripted> {
    stops.iter().find(|stop| stop.from_ms <= at_ms && at_ms < stop.to_ms)
}

/// The script as samples: of each machine whether it runs, its fault and its parts; and which row it is.
fn samples(stops: &[Vec<Scripted>]) -> String {
    let mut csv = "time,plc.row".to_owned();
    MACHINES.iter().for_each(|id| write!(csv, ",plc.{0}_run,plc.{0}_fault,plc.{0}_parts", place(id)).unwrap());
    let mut parts = vec![100; stops.len()];
    // It goes on running after the day, until everybody has booked it.
    for row in 0..40 * HOUR_MS / ROW_MS {
        write!(csv, "\n{},{row}", row * ROW_MS).unwrap();
        for (stops, parts) in stops.iter().zip(&mut parts) {
            let stop = stands(stops, row * ROW_MS);
            *parts += i64::from(stop.is_none());
            write!(csv, ",{},{},{parts}", u8::from(stop.is_none()), stop.map_or(0, |stop| stop.fault)).unwrap();
        }
    }
    csv
}

fn place(machine: &str) -> String {
    machine.replace('-', "_")
}

/// The orders, as the MES plans them: machine, number, product, and from when to when. Minutes of the plan.
const ORDERS: [(&str, &str, &str, i64, i64); 3] = [
    ("press-7", "A-1", "cap-28", 150, 610),
    ("press-7", "A-2", "cap-32", 610, 1230),
    ("press-8", "B-1", "cap-28", 250, 1310),
];

/// Three shifts of eight hours with their breaks, from `base_ms` on, a full minute. Minutes of the shift.
const SHIFTS: [(&str, &[(i64, i64)]); 3] =
    [("a", &[(180, 195), (330, 350)]), ("b", &[(200, 220)]), ("c", &[(160, 170), (300, 325)])];

fn clock(base_ms: i64, minutes: i64) -> String {
    let minutes = (base_ms / MINUTE_MS + minutes).rem_euclid(24 * 60);
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

fn config(plc: &str, broker: u16, base_ms: i64) -> String {
    let mut toml = format!(
        r#"
day_start = "{}"
[gateway]
id = "gw"
path = "acme/leipzig/hall-3"
timezone = "UTC"
data_dir = "{{folder}}/data"
[mqtt]
brokers = ["mqtt://127.0.0.1:{broker}"]
[privacy]
operator = "id"
[[product]]
code = "cap-28"
ideal_cycle = "15s"
[[product]]
code = "cap-32"
ideal_cycle = "20s"
[[work_request]]
name = "long failure"
class = "failure"
after = "12m"
priority = 2
[[consumer]]
id = "mes"
kinds = ["downtime"]
may = ["order", "reason"]
[[consumer]]
id = "cmms"
kinds = ["downtime", "work-request"]
may = ["work-order"]
[[plc]]
id = "plc"
tcp = "{plc}"
poll = "60s"
timeout = "5s"
[plc.points]
row = {{ holding = 0 }}
"#,
        clock(base_ms, 0)
    );
    for (n, id) in MACHINES.iter().enumerate() {
        let (first, name) = (1 + 4 * n, place(id));
        write!(
            toml,
            "{name}_run = {{ holding = {first}, bit = 0 }}\n{name}_fault = {{ holding = {} }}\n\
             {name}_parts = {{ holding = {}, type = \"u32\" }}\n",
            first + 1,
            first + 2
        )
        .unwrap();
    }
    for id in MACHINES {
        let name = place(id);
        write!(
            toml,
            "[[machine]]\nid = \"{id}\"\nline = \"line-2\"\nasset = \"EQ-{id}\"\nideal_cycle = \"15s\"\nrun = \"plc.{name}_run\"\n\
             fault = \"plc.{name}_fault\"\ntotal = \"plc.{name}_parts\"\ndebounce = \"30s\"\nshort_stop = \"10m\"\nno_data = \"60m\"\n"
        )
        .unwrap();
    }
    for (code, class, fault) in [
        ("mech.jam", "failure", 12),
        ("elec.drive", "failure", 21),
        ("hyd.leak", "failure", 33),
        ("no.material", "external", 0),
        ("adjust", "operational", 0),
        ("tool.change", "changeover", 0),
        ("cleaning", "planned", 0),
    ] {
        let faults = if fault > 0 { format!("faults = [{fault}]\n") } else { String::new() };
        write!(toml, "[[reason]]\ncode = \"{code}\"\nclass = \"{class}\"\n{faults}").unwrap();
    }
    for (n, (id, breaks)) in (0..).zip(SHIFTS) {
        let at = |minutes: i64| clock(base_ms, 480 * n + minutes);
        let pauses: Vec<String> = (breaks.iter())
            .map(|(from, to)| format!("{{ start = \"{}\", end = \"{}\" }}", at(*from), at(*to)))
            .collect();
        write!(
            toml,
            "[[shift]]\nid = \"{id}\"\ndays = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]\n\
             start = \"{}\"\nend = \"{}\"\nbreaks = [{}]\n",
            at(0),
            at(480),
            pauses.join(", ")
        )
        .unwrap();
    }
    toml
}

/// How often and how long, by machine, shift, order and reason.
type Cells = BTreeMap<(String, String, Option<String>, Option<String>), (i64, i64)>;

/// How long, by machine, shift and reason.
type Sums = BTreeMap<(String, String, Option<String>), i64>;

/// What of a stop lies in which shift, without its breaks; cut where orders begin and end.
fn shares(base_ms: i64, machine: &str, from_ms: i64, to_ms: i64) -> Vec<(String, Option<String>, i64)> {
    let mut shares = BTreeMap::new();
    for day in 0..3 {
        for (n, (shift, breaks)) in (0..).zip(SHIFTS) {
            let begin_ms = base_ms + (day * 24 * 60 + n * 480) * MINUTE_MS;
            let date = jiff::Timestamp::from_millisecond(begin_ms).unwrap().strftime("%Y-%m-%d");
            let mut planned = vec![begin_ms];
            planned.extend(breaks.iter().flat_map(|(from, to)| [from, to]).map(|at| begin_ms + at * MINUTE_MS));
            planned.push(begin_ms + 480 * MINUTE_MS);
            for span in planned.chunks(2) {
                let mut cuts = BTreeSet::from([from_ms, to_ms]);
                let runs = || ORDERS.iter().filter(|order| order.0 == machine);
                cuts.extend(runs().flat_map(|order| [order.3, order.4]).map(|at| base_ms + at * MINUTE_MS));
                let cuts: Vec<i64> = cuts.into_iter().filter(|at| (from_ms..=to_ms).contains(at)).collect();
                for piece in cuts.windows(2) {
                    let (begin, end) = (piece[0].max(span[0]), piece[1].min(span[1]));
                    let makes = |at: i64| (at - base_ms).div_euclid(MINUTE_MS);
                    let order = runs().find(|order| (order.3..order.4).contains(&makes(begin))).map(|order| order.1);
                    if begin < end {
                        let share = shares.entry((format!("{date}/{shift}"), order.map(str::to_owned))).or_insert(0);
                        *share += end - begin;
                    }
                }
            }
        }
    }
    shares.into_iter().map(|((shift, order), ms)| (shift, order, ms)).collect()
}

/// What the recording shows, held against the script: the looks are the script's, row by row, and the stops are these.
struct Seen {
    cells: Cells,
    /// Short stops that the PLC has a word for, by machine, shift and reason: losses, and no downtimes.
    short: Sums,
    downtimes: usize,
    /// The longest time between an edge of the script and the look that shows it, and how far a duration is off by it.
    late_ms: i64,
}

fn seen(recording: &str, stops: &[Vec<Scripted>], base_ms: i64) -> Seen {
    let mut lines = recording.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = |name: &str| header.iter().position(|title| *title == format!("plc.{name}")).unwrap();
    let mut held: Vec<Option<i64>> = vec![None; header.len()];
    let mut looks = Vec::new();
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        assert!(!line.contains('!'), "no look failed: {line}");
        for (held, cell) in held.iter_mut().zip(&cells).skip(1) {
            *held = cell.parse().ok().or(*held);
        }
        looks.push((time_ms(cells[0]), held.clone()));
    }
    let (mut seen, row) = (Seen { cells: Cells::new(), short: Sums::new(), downtimes: 0, late_ms: 0 }, column("row"));
    for (id, stops) in MACHINES.iter().zip(stops) {
        let (run, fault) = (column(&format!("{}_run", place(id))), column(&format!("{}_fault", place(id))));
        let mut stood: Option<(i64, &Scripted)> = None;
        let mut before = looks[0].clone();
        for look in &looks {
            let (at_ms, held) = look;
            let scripted = stands(stops, held[row].unwrap() * ROW_MS);
            assert_eq!(
                (held[run], held[fault]),
                (Some(i64::from(scripted.is_none())), Some(scripted.map_or(0, |stop| stop.fault))),
                "the PLC shows the script, row {:?}",
                held[row]
            );
            let is_edge = before.1[run] != held[run];
            if is_edge {
                let edge = if held[run] == Some(0) {
                    scripted.unwrap().from_ms
                } else {
                    stands(stops, before.1[row].unwrap() * ROW_MS).unwrap().to_ms
                };
                let rows = before.1[row].unwrap() * ROW_MS..=held[row].unwrap() * ROW_MS;
                assert!(rows.contains(&edge), "the edge of {id} lies between two looks");
                seen.late_ms = seen.late_ms.max(at_ms - before.0);
            }
            match (stood, scripted) {
                (None, Some(stop)) => stood = Some((*at_ms, stop)),
                (Some((from_ms, stop)), None) => {
                    stood = None;
                    let shares = shares(base_ms, id, from_ms, *at_ms);
                    let is_downtime = shares.iter().map(|share| share.2).sum::<i64>() >= SHORT_STOP_MS;
                    seen.downtimes += usize::from(is_downtime);
                    let reason = Some(stop.reason.to_owned());
                    for (shift, order, ms) in shares {
                        let machine = (*id).to_owned();
                        if is_downtime {
                            let cell = seen.cells.entry((machine, shift, order, reason.clone())).or_default();
                            *cell = (cell.0 + 1, cell.1 + ms);
                        } else if stop.fault > 0 {
                            *seen.short.entry((machine, shift, reason.clone())).or_insert(0) += ms;
                        }
                    }
                }
                // Whoever polls a busy machine may miss a short run between two stops: then they are one, and the first fault names it.
                (Some((from_ms, first)), Some(stop)) if first.fault == 0 && stop.fault > 0 => {
                    stood = Some((from_ms, stop));
                }
                _ => {}
            }
            before = look.clone();
        }
        assert!(stood.is_none(), "the day ends with everything running");
    }
    seen
}

fn time_ms(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// Everything that takes part in the day.
struct Hall {
    place: Place,
    broker: Mosquitto,
    base_ms: i64,
    stops: Vec<Vec<Scripted>>,
    /// The network between the consumers and the broker, where it is a bad one.
    relays: Option<[Relay; 2]>,
    /// The gateway's clock: what it showed, and when.
    shown: (i64, Instant),
    /// The day's first look, on the gateway's clock.
    begun_ms: i64,
    daemon: Daemon,
    _sim: Peer,
}

const MES: (usize, &str) = (0, "mes.py");
const CMMS: (usize, &str) = (1, "cmms.py");

impl Hall {
    fn open(chaos: Option<u64>) -> Hall {
        let broker = Mosquitto::start(&Door::Anonymous);
        let relays = chaos.map(|seed| [0, 1].map(|n| Relay::start(broker.port, seed + n, LATE)));
        let stops: Vec<Vec<Scripted>> = (0..MACHINES.len()).map(script).collect();
        let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
        let base_ms = now_ms - now_ms % MINUTE_MS;
        let place = Place::with(&config("127.0.0.1:1", broker.port, base_ms));
        place.write("day.csv", &samples(&stops));
        let speed = SPEED.to_string();
        let words = ["sim", "-c", "andon.toml", "--samples", "day.csv", "--listen", "127.0.0.1:0", "--speed", &speed];
        let mut sim = Peer::start(&mut place.command(&words));
        let line = sim.line();
        place.configure(&config(line.split(' ').nth(1).unwrap(), broker.port, base_ms));
        let ear = Ear::open(&broker, &format!("{ROOT}/_gateway/gw/status"));
        let daemon = place.run(&["--record", "seen.csv", "--clock-speed", &speed]);
        let status = ear.until("the gateway's clock", |heard| heard.json()["status"] == "online").json();
        let shown = (time_ms(status["at"].as_str().unwrap()), Instant::now());
        let mut begun_ms = 0;
        eventually("the first look is recorded", || {
            let recording = fs::read_to_string(place.path("seen.csv")).unwrap();
            let first = recording.lines().nth(1).map(|line| line.split(',').next().unwrap().to_owned());
            begun_ms = first.as_deref().map_or(0, time_ms);
            first.is_some()
        });
        Hall { place, broker, base_ms, stops, relays, shown, begun_ms, daemon, _sim: sim }
    }

    /// What the gateway's clock shows.
    fn now_ms(&self) -> i64 {
        self.shown.0 + i64::try_from(self.shown.1.elapsed().as_millis()).unwrap() * i64::from(SPEED)
    }

    fn until(&self, minutes: i64) {
        let left_ms = self.base_ms + minutes * MINUTE_MS - self.now_ms();
        thread::sleep(Duration::from_millis(u64::try_from(left_ms).unwrap_or(0) / u64::from(SPEED)));
    }

    /// A program of its own, that knows the broker and its own file.
    fn consumer(&self, (n, name): (usize, &str)) -> Daemon {
        let port = self.relays.as_ref().map_or(self.broker.port, |relays| relays[n].port);
        let mut command = self.example(name);
        command.args(["--broker", &format!("127.0.0.1:{port}"), "--root", ROOT, "--gateway", "gw"]);
        Daemon::spawn(command)
    }

    fn example(&self, name: &str) -> Command {
        let mut command = peers::python();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/consumers").join(name);
        command.arg(&program).arg("--db").arg(self.db(name)).stdin(Stdio::null());
        command
    }

    fn db(&self, name: &str) -> std::path::PathBuf {
        self.place.path(name).with_extension("db")
    }

    fn rows(&self, name: &str, select: &str) -> Vec<Vec<String>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let Ok(db) = Connection::open_with_flags(self.db(name), flags) else { return Vec::new() };
        db.busy_timeout(Duration::from_secs(5)).unwrap();
        // Not made yet.
        let Ok(mut select) = db.prepare(select) else { return Vec::new() };
        let columns = select.column_count();
        let text = |row: &rusqlite::Row<'_>, n| match row.get_ref(n)? {
            rusqlite::types::ValueRef::Null => Ok(String::new()),
            rusqlite::types::ValueRef::Integer(n) => Ok(n.to_string()),
            other => other.as_str().map(str::to_owned).map_err(rusqlite::Error::from),
        };
        let rows = select.query_map([], |row| (0..columns).map(|n| text(row, n)).collect()).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// What a consumer says that it has booked.
    fn booked(&self, name: &str) -> Cells {
        let output = self.example(name).arg("--cells").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let cells: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let text = |cell: &Value, key: &str| cell[key].as_str().map(str::to_owned);
        let key = |cell: &Value| {
            (text(cell, "machine").unwrap(), text(cell, "shift").unwrap(), text(cell, "order"), text(cell, "reason"))
        };
        let figures = |cell: &Value| (cell["times"].as_i64().unwrap(), cell["duration_ms"].as_i64().unwrap());
        cells.iter().map(|cell| (key(cell), figures(cell))).collect()
    }

    /// The last word of the journal on each downtime.
    fn told(&self, kind: &str) -> BTreeMap<String, Value> {
        let db = Connection::open(self.place.path("data/andon.db")).unwrap();
        let mut select = db.prepare("SELECT body FROM journal WHERE kind = ?1 ORDER BY sequence").unwrap();
        let bodies = select.query_map([kind], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        let events = bodies.map(|body| serde_json::from_slice::<Value>(&body.unwrap()).unwrap());
        events.map(|event| (event["subject"].as_str().unwrap().to_owned(), event["data"].clone())).collect()
    }

    /// Somebody at the MES: plans the orders, and says what each downtime was that the PLC has no word for.
    fn send(&self, commands: &[(String, Value)]) {
        if commands.is_empty() {
            return;
        }
        let mut mes = self.example(MES.1);
        commands.iter().for_each(|(topic, keys)| {
            mes.args(["--send", topic, &keys.to_string()]);
        });
        assert!(mes.status().unwrap().success());
    }

    /// What is to be said of the orders up to now, and was not yet.
    fn plan(&self, done: &mut BTreeSet<(&'static str, &'static str)>) -> Vec<(String, Value)> {
        let mut commands = Vec::new();
        for (machine, order, product, from, to) in ORDERS {
            let at = |minutes: i64| {
                let at = jiff::Timestamp::from_millisecond(self.base_ms + minutes * MINUTE_MS).unwrap();
                at.to_string()
            };
            // The one after takes its place.
            let is_followed = ORDERS.iter().any(|next| next.0 == machine && next.3 == to);
            // In a bad world what was made in the first shift is booked when it is over, all at once.
            let booked = if self.relays.is_some() && from < 650 && machine == "press-7" { 650 } else { 0 };
            let store = json!({ "command": "Store", "order": order, "product": product, "quantity": 1500 });
            let start = json!({ "command": "Start", "order": order, "at": at(from), "on_start": "switch" });
            let stop = json!({ "command": "Stop", "order": order, "at": at(to) });
            for (word, due, keys) in [("Store", from - 100, store), ("Start", from, start), ("Stop", to, stop)] {
                let is_due = self.now_ms() > self.base_ms + due.max(booked) * MINUTE_MS;
                if is_due && !(word == "Stop" && is_followed) && done.insert((order, word)) {
                    commands.push((format!("line-2/{machine}/command/order"), keys));
                }
            }
        }
        commands
    }

    /// What the MES holds without a reason, and nobody has said yet.
    fn explain(&self, said: &mut BTreeSet<String>) -> Vec<(String, Value)> {
        let unnamed = "SELECT d.id, d.machine, json_extract(e.body, '$.data.started_at') FROM downtime d
                       JOIN event e ON json_extract(e.body, '$.data.downtime_id') = d.id
                       WHERE d.reason IS NULL AND d.status = 'closed' GROUP BY 1";
        let mut commands = Vec::new();
        for row in self.rows(MES.1, unnamed) {
            let [id, machine, started_at] = row.try_into().unwrap();
            let stops = &self.stops[MACHINES.iter().position(|known| **known == machine).unwrap()];
            let into_ms = time_ms(&started_at) - self.begun_ms;
            let near = |stop: &&Scripted| {
                if into_ms < stop.from_ms { stop.from_ms - into_ms } else { (into_ms - stop.to_ms).max(0) }
            };
            let reason = stops.iter().min_by_key(near).unwrap().reason;
            if said.insert(id.clone()) {
                // One in three is mistaken at first: what was said last counts, not what arrives last.
                if said.len().is_multiple_of(3) {
                    let keys = json!({ "downtime_id": id, "code": "mech.jam" });
                    commands.push((format!("line-2/{machine}/command/reason"), keys));
                }
                let keys = json!({ "downtime_id": id, "code": reason });
                commands.push((format!("line-2/{machine}/command/reason"), keys));
            }
        }
        commands
    }

    /// A technician: closes one work order after the other, with what it was.
    fn repair(&self, closed: &mut BTreeSet<String>) {
        let open = self.rows(CMMS.1, "SELECT number FROM work_order WHERE status = 'accepted' ORDER BY number");
        for number in open.into_iter().map(|row| row[0].clone()) {
            if closed.insert(number.clone()) {
                let (cause, remedy) = (format!("worn seal {number}"), format!("seal {number} replaced"));
                let words = ["--cause", &cause, "--mechanism", "wear", "--remedy", &remedy, "--technician", "t-17"];
                let close = format!("WO-{number}");
                assert!(self.example(CMMS.1).args(["--close", &close]).args(words).status().unwrap().success());
            }
        }
    }

    /// It has each event that it takes, to the byte.
    fn holds(&self, name: &str, kinds: &[&str]) -> bool {
        let held: BTreeSet<String> = self.rows(name, "SELECT body FROM event").into_iter().flatten().collect();
        let db = Connection::open(self.place.path("data/andon.db")).unwrap();
        let mut select = db.prepare("SELECT body FROM journal WHERE kind = ?1").unwrap();
        let bodies = |kind: &&str| -> Vec<String> {
            let bodies = select.query_map([kind], |row| row.get::<_, Vec<u8>>(0)).unwrap();
            bodies.map(|body| String::from_utf8(body.unwrap()).unwrap()).collect()
        };
        let told: BTreeSet<String> = kinds.iter().flat_map(bodies).collect();
        held == told
    }

    /// Everything is said, answered, and booked alike.
    fn is_equal(&self) -> bool {
        let open = |name, sql: &str| self.rows(name, sql) != [["0"]];
        let told = self.told("downtime");
        let is_open = |data: &Value| data["status"] == "open" || data["reason"].is_null();
        !open(MES.1, "SELECT count(*) FROM command WHERE answer IS NULL")
            && !open(CMMS.1, "SELECT count(*) FROM command WHERE answer IS NULL")
            && !open(CMMS.1, "SELECT count(*) FROM work_order WHERE status = 'accepted'")
            && !told.values().any(is_open)
            && self
                .told("work-request")
                .values()
                .all(|request| ["completed", "cancelled"].contains(&request["status"].as_str().unwrap()))
            && self.holds(MES.1, &["downtime"])
            && self.holds(CMMS.1, &["downtime", "work-request"])
            && [MES.1, CMMS.1].iter().all(|name| self.booked(name) == cells(told.values()))
    }
}

/// How often and how long, by what each downtime says of itself.
fn cells<'a>(downtimes: impl Iterator<Item = &'a Value>) -> Cells {
    let mut cells = Cells::new();
    for data in downtimes.filter(|data| data["status"] == "closed") {
        for share in data["shares"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let (machine, shift) = (text(&data["machine"]).unwrap(), text(&share["shift"]).unwrap());
            let key = (machine, shift, text(&share["order"]), text(&data["reason"]["code"]));
            let cell = cells.entry(key).or_default();
            *cell = (cell.0 + 1, cell.1 + share["duration_ms"].as_i64().unwrap());
        }
    }
    cells
}

/// Without the orders.
fn by_reason(cells: &Cells) -> Sums {
    let mut sums = Sums::new();
    for ((machine, shift, _, reason), (_, ms)) in cells {
        *sums.entry((machine.clone(), shift.clone(), reason.clone())).or_insert(0) += ms;
    }
    sums
}

/// Of a report: how long machines were down in each shift, and the losses that have a reason.
fn figures(report: &Value) -> (BTreeMap<(String, String), i64>, Sums) {
    let (mut downtimes, mut losses) = (BTreeMap::new(), Sums::new());
    let text = |value: &Value| value.as_str().map(str::to_owned);
    for window in report["windows"].as_array().unwrap().iter().filter(|window| window["window"] == "shift") {
        let (machine, shift) = (text(&window["machine"]).unwrap(), text(&window["id"]).unwrap());
        let shares = window["downtimes"].as_array().unwrap().iter();
        let ms: i64 = shares.map(|share| share["duration_ms"].as_i64().unwrap()).sum();
        if ms > 0 {
            downtimes.insert((machine.clone(), shift.clone()), ms);
        }
        for loss in window["losses"].as_array().unwrap().iter().filter(|loss| !loss["reason"].is_null()) {
            let ms = losses.entry((machine.clone(), shift.clone(), text(&loss["reason"]))).or_insert(0);
            *ms += loss["ms"].as_i64().unwrap();
        }
    }
    (downtimes, losses)
}

/// Something that happens to the hall at its time. Minutes of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    BrokerDies,
    BrokerIsBack,
    MesDies,
    MesIsBack,
    CmmsDies,
    CmmsIsBack,
}

/// A day, and what is left of it in the books of everybody.
fn live(chaos: Option<u64>) {
    let mut hall = Hall::open(chaos);
    let mut rng = Rng::with_seed(chaos.unwrap_or(0));
    let mut faults = Vec::new();
    if chaos.is_some() {
        // With everybody there; then twice while somebody sleeps, for whom the broker keeps what it forgets.
        let mut begin = |from: i64| from + rng.i64(0..60);
        let (first, mes, cmms) = (begin(280), begin(600), begin(1325));
        faults.extend([(first, Fault::BrokerDies), (first + 20, Fault::BrokerIsBack)]);
        faults.extend([(mes, Fault::MesDies), (mes + 60, Fault::MesIsBack)]);
        faults.extend([(mes + 50, Fault::BrokerDies), (mes + 58, Fault::BrokerIsBack)]);
        faults.extend([(cmms, Fault::CmmsDies), (cmms + 60, Fault::CmmsIsBack)]);
        faults.extend([(cmms + 50, Fault::BrokerDies), (cmms + 58, Fault::BrokerIsBack)]);
    }
    faults.sort_unstable();
    faults.reverse();
    let (mut mes, mut cmms) = (Some(hall.consumer(MES)), Some(hall.consumer(CMMS)));
    mes.iter().chain(&cmms).for_each(|consumer| consumer.until_logged("connected"));
    let (mut planned, mut said, mut closed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let day_ends_ms = hall.begun_ms + 25 * HOUR_MS;
    let mut last_fault = None;
    while hall.now_ms() < day_ends_ms || !faults.is_empty() {
        while let Some((_, fault)) = faults.pop_if(|(at, _)| hall.base_ms + *at * MINUTE_MS <= hall.now_ms()) {
            match fault {
                Fault::BrokerDies => hall.broker.kill(),
                Fault::BrokerIsBack => {
                    hall.broker.wipe();
                    hall.broker.start_again();
                }
                Fault::MesDies => mes.take().unwrap().kill(),
                Fault::MesIsBack => mes = Some(hall.consumer(MES)),
                Fault::CmmsDies => cmms.take().unwrap().kill(),
                Fault::CmmsIsBack => cmms = Some(hall.consumer(CMMS)),
            }
            println!("{:>5.1} h {fault:?}", (hall.now_ms() - hall.base_ms) as f64 / HOUR_MS as f64);
            last_fault = Some(Instant::now());
        }
        hall.work(&mut planned, &mut said, &mut closed);
        let next = (hall.now_ms() - hall.base_ms) / MINUTE_MS + 8;
        hall.until(faults.last().map_or(next, |(at, _)| next.min(*at)));
    }
    // What the network brings late or twice afterwards is inside that time.
    let last_fault = last_fault.unwrap_or_else(Instant::now);
    loop {
        hall.work(&mut planned, &mut said, &mut closed);
        if hall.is_equal() {
            break;
        }
        assert!(
            last_fault.elapsed() < CONVERGES_WITHIN,
            "not equal:\n{}",
            hall.difference(mes.as_ref(), cmms.as_ref())
        );
        thread::sleep(Duration::from_millis(100));
    }
    println!("equal {:.1} s after the last fault", last_fault.elapsed().as_secs_f64());
    hall.judge(chaos.is_some(), mes.unwrap(), cmms.unwrap());
}

impl Hall {
    /// What people do meanwhile.
    fn work(
        &self,
        planned: &mut BTreeSet<(&'static str, &'static str)>,
        said: &mut BTreeSet<String>,
        closed: &mut BTreeSet<String>,
    ) {
        let commands = [self.plan(planned), self.explain(said)].concat();
        self.send(&commands);
        self.repair(closed);
    }

    fn difference(&self, mes: Option<&Daemon>, cmms: Option<&Daemon>) -> String {
        let log = |consumer: Option<&Daemon>| consumer.map_or(String::new(), Daemon::log);
        format!(
            "the MES {:#?}\nthe CMMS {:#?}\nthe journal {:#?}\nopen commands {:?} {:?}\nwork orders {:?}\n{}\n{}",
            self.booked(MES.1),
            self.booked(CMMS.1),
            cells(self.told("downtime").values()),
            self.rows(MES.1, "SELECT topic, body FROM command WHERE answer IS NULL"),
            self.rows(CMMS.1, "SELECT topic, body FROM command WHERE answer IS NULL"),
            self.rows(CMMS.1, "SELECT number, machine, status, withdrawn FROM work_order"),
            log(mes),
            log(cmms),
        )
    }

    /// MES = CMMS = journal = what was seen = the script.
    fn judge(self, is_chaos: bool, mes: Daemon, cmms: Daemon) {
        let requests = self.told("work-request");
        let orders = self.told("order");
        let held = "SELECT json_extract(body, '$.data.downtime_id'), body FROM event e WHERE topic LIKE '%/downtime'
                    ORDER BY json_extract(body, '$.data.revision')";
        let held: BTreeMap<String, Value> = (self.rows(MES.1, held).into_iter())
            .map(|row| (row[0].clone(), serde_json::from_str::<Value>(&row[1]).unwrap()["data"].clone()))
            .collect();
        let answers = self.rows(MES.1, "SELECT answer, count(*) FROM command GROUP BY 1");
        // The receipts of what was booked last are on their way.
        let asked = Instant::now();
        loop {
            let answer = self.place.ask(&["reconcile", "-c", "andon.toml"]);
            if answer.code == 0 && answer.out.lines().filter(|line| line.contains(": equal, ")).count() == 2 {
                break;
            }
            assert!(asked.elapsed() < CONVERGES_WITHIN, "{answer:?}\n{}\n{}", mes.log(), cmms.log());
            thread::sleep(Duration::from_millis(100));
        }
        if is_chaos {
            // What the broker had kept for whoever slept was lost with it.
            let replays = [&mes, &cmms].map(|consumer| consumer.logged("replay: "));
            println!("replays: {replays:?}");
            assert_ne!(replays, [0, 0], "{}\n{}", mes.log(), cmms.log());
        }
        assert_eq!(mes.logged("booked otherwise"), 0, "no digest said otherwise all day\n{}", mes.log());
        let (by_mes, by_cmms, told) = (self.booked(MES.1), self.booked(CMMS.1), self.told("downtime"));
        drop((mes, cmms));
        let log = self.daemon.stop();
        let recording = self.place.read("seen.csv");
        let seen = seen(&recording, &self.stops, self.base_ms);

        assert_eq!(by_mes, by_cmms);
        assert_eq!(by_mes, cells(told.values()));
        assert_eq!(by_mes, seen.cells, "what the looks show");
        assert_eq!(told.len(), seen.downtimes);
        assert!(seen.downtimes >= 40, "{} downtimes", seen.downtimes);
        assert!(said_once(&told), "each downtime has a number of its own, without a gap");

        // The report is another fold of the same journal.
        let report = self.place.ask(&["report", "-c", "andon.toml", "--window", "shift", "--format", "json"]);
        let report: Value = serde_json::from_str(&report.out).unwrap();
        let (of_shifts, of_losses) = figures(&report);
        let mut losses = by_reason(&by_mes);
        seen.short.into_iter().for_each(|(key, ms)| *losses.entry(key).or_insert(0) += ms);
        assert_eq!(of_losses, losses, "the losses of the report");
        let mut sums = BTreeMap::new();
        for ((machine, shift, _), ms) in by_reason(&by_mes) {
            *sums.entry((machine, shift)).or_insert(0) += ms;
        }
        assert_eq!(of_shifts, sums, "the downtimes of the report");
        let replay = self.place.ask(&["replay", "-c", "andon.toml", "--samples", "seen.csv", "--report", "-"]);
        assert_eq!(replay.code, 0, "{}", replay.err);
        let (of_shifts, _) = figures(&serde_json::from_str(&replay.out).unwrap());
        assert_eq!(of_shifts, sums, "the recording once more, without broker and network");

        // Each request became a work order, whose word stands on the downtimes in the MES, which never talked to the CMMS.
        // One that was asked for by mistake was withdrawn before anybody came.
        let done: Vec<&Value> = requests.values().filter(|request| request["status"] == "completed").collect();
        assert!(done.len() >= 5, "{} of {} requests", done.len(), requests.len());
        for request in &done {
            let ids = request["downtime_ids"].as_array().unwrap();
            assert!(!ids.is_empty());
            for id in ids {
                let downtime = &held[id.as_str().unwrap()];
                let mut work = downtime["work"].as_array().unwrap().iter();
                let Some(of_it) = work.find(|work| work["request_id"] == request["request_id"]) else {
                    panic!("no work order stands on\n{downtime:#}\nof\n{request:#}");
                };
                let number = of_it["work_order"].as_str().unwrap().trim_start_matches("WO-");
                assert_eq!(of_it["status"], "completed");
                assert_eq!(of_it["cause"], format!("worn seal {number}"));
                assert_eq!(of_it["remedy"], format!("seal {number} replaced"));
            }
        }
        // The orders ran when the MES said, whenever it was heard.
        assert_eq!(orders.len(), ORDERS.len());
        for (machine, number, product, from, to) in ORDERS {
            let order = &orders[&format!("{machine}/{number}")];
            let at = |key: &str| (time_ms(order[key].as_str().unwrap()) - self.base_ms) / MINUTE_MS;
            assert_eq!((order["product"].as_str(), at("from"), at("to")), (Some(product), from, to), "{order:#}");
            assert_eq!(order["state"], "Ended");
        }
        println!(
            "{} downtimes, {:.1} h, in {} cells of machine, shift, order and reason; {} requests; the MES' commands {answers:?}; \
             between the looks around an edge at most {} s",
            seen.downtimes,
            by_mes.values().map(|cell| cell.1).sum::<i64>() as f64 / HOUR_MS as f64,
            by_mes.len(),
            done.len(),
            seen.late_ms / 1000,
        );
        if let Some(relays) = &self.relays {
            let doubled: usize = relays.iter().map(Relay::doubled).sum();
            println!("{doubled} commands came twice and in another order");
            assert!(doubled > 20, "{doubled} commands");
            assert!(log.contains("command decided"), "{log}");
        }
    }
}

fn said_once(told: &BTreeMap<String, Value>) -> bool {
    MACHINES.iter().all(|machine| {
        let numbers = told.values().filter(|data| data["machine"] == *machine);
        let numbers: BTreeSet<u64> =
            numbers.map(|data| data["number"].as_str().unwrap().rsplit_once('/').unwrap().1.parse().unwrap()).collect();
        numbers.iter().copied().eq(1..=numbers.len() as u64)
    })
}

#[test]
fn an_mes_and_a_cmms_that_never_talk_report_the_same_day_to_the_millisecond() {
    live(None);
}

/// What a chaos was made from; said if it does not end well.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("again with ANDON_DAY_SEED={}", self.0);
        }
    }
}

#[test]
fn the_same_day_with_a_broker_that_dies_consumers_that_sleep_and_commands_in_no_order() {
    let asked = std::env::var("ANDON_DAY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = Seed(asked.unwrap_or_else(|| fastrand::u64(..1_000_000)));
    println!("seed {}", seed.0);
    live(Some(seed.0));
}
