//! Commands that nobody should send, by the thousand, over a broker that is not ours: each is answered, none changes anything.
//!
//! `ANDON_COMMANDS=100000 cargo test --test hostile -- --nocapture` sends as many as asked for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/hostile.rs"]
mod hostile;
#[path = "common/mosquitto.rs"]
mod mosquitto;

use ::andon::{
    event::Stamp,
    wire::{inbound, schema},
};
use andon::{Daemon, Ear, Place, Plc, publish};
use hostile::{NOBODY, PANEL, Verbs};
use mosquitto::{DEADLINE, Door, Mosquitto, Subscriber};
use rumqttc::{AsyncClient, MqttOptions, PublishOptions};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    thread::{self, JoinHandle},
};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

const BASE: &str = "andon/v1/acme/leipzig/hall-3";
/// Without `ANDON_COMMANDS`.
const COMMANDS: usize = 10_000;
/// Somebody whose id may not be kept.
const PERSON: &str = "P-0815-of-flesh-and-blood";
/// Sent and not yet answered: fewer than can wait, so that each is brought once.
const ALOFT: usize = 200;
/// What an allocator may keep of the largest commands, beside what is read of the journal.
const GROWTH_KIB: u64 = 8 << 10;

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
[[plc]]
id = "plc"
tcp = "127.0.0.1:{plc}"
poll = "50ms"
timeout = "500ms"
[plc.points]
run = {{ coil = 0 }}
other = {{ coil = 1 }}
good = {{ holding = 0, type = "u32" }}
reject = {{ holding = 2 }}
[[machine]]
id = "press-7"
line = "line-2"
ideal_cycle = "1s"
run = "plc.run"
good = "plc.good"
reject = "plc.reject"
debounce = "100ms"
short_stop = "500ms"
no_data = "60s"
max_rate = "1000/s"
[[machine]]
id = "press-8"
line = "line-2"
run = "plc.other"
debounce = "100ms"
no_data = "60s"
[[reason]]
code = "mech.jam"
class = "failure"
[[reason]]
code = "cleaning"
class = "planned"
[[product]]
code = "cap-28"
ideal_cycle = "1s"
[[consumer]]
id = "mes"
may = ["reason", "scrap", "order", "operator"]
[[consumer]]
id = "cmms"
may = ["work-order", "work-request", "asset"]
[[consumer]]
id = "board"
[commands]
from = ["{PANEL}"]
"#
    )
}

/// A publisher of its own, which sends what `mosquitto_pub` would not.
struct Sender {
    runtime: Runtime,
    client: AsyncClient,
    polling: Option<JoinHandle<()>>,
}

impl Sender {
    fn connect(broker: &Mosquitto) -> Sender {
        let mut options = MqttOptions::new("sender", ("127.0.0.1", broker.port));
        options.set_max_packet_size(1 << 20, 4 << 20);
        let (client, mut eventloop) = AsyncClient::builder(options).capacity(ALOFT).build();
        let polling = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            // Until it is disconnected.
            runtime.block_on(async { while eventloop.poll().await.is_ok() {} });
        });
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Sender { runtime, client, polling: Some(polling) }
    }

    fn send(&self, topic: &str, body: Vec<u8>) {
        let sent = self.client.publish(topic, body, PublishOptions::at_least_once());
        self.runtime.block_on(async { timeout(DEADLINE, sent).await.expect("it is sent in time").unwrap() });
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        _ = self.client.try_disconnect_now();
        _ = self.polling.take().unwrap().join();
    }
}

/// Answers, as they come.
struct Answers {
    runtime: Runtime,
    subscriber: Subscriber,
    /// By result and code.
    told: BTreeMap<(String, String), usize>,
}

impl Answers {
    fn listen(broker: &Mosquitto) -> Answers {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let subscriber = runtime.block_on(Subscriber::connect(broker.port, None, &format!("{BASE}/+/+/reply")));
        Answers { runtime, subscriber, told: BTreeMap::new() }
    }

    fn next(&mut self) -> Value {
        let message = self.runtime.block_on(self.subscriber.next());
        assert!(message.payload.len() < 4096, "an answer of {} bytes: {}", message.payload.len(), message.text());
        let reply: Value = serde_json::from_slice(&message.payload).unwrap();
        let word = |key: &str| reply["data"][key].as_str().unwrap().to_owned();
        *self.told.entry((word("result"), word("code"))).or_default() += 1;
        reply
    }

    fn to(&mut self, command_id: &str) -> (String, String) {
        loop {
            let reply = self.next();
            if reply["data"]["command_id"] == command_id {
                let word = |key: &str| reply["data"][key].as_str().unwrap().to_owned();
                return (word("result"), word("code"));
            }
        }
    }
}

fn ok(result: &str, code: &str) -> (String, String) {
    (result.to_owned(), code.to_owned())
}

/// What is sent, and where.
struct Shot {
    topic: String,
    body: Vec<u8>,
}

/// Such as must not change anything, of each kind in turn.
fn shot(verbs: &mut Verbs, n: usize) -> Shot {
    let names = verbs.names();
    let verb = names[verbs.chance.usize(..names.len())].clone();
    let is_gateways = ["asset", "replay"].contains(&verb.as_str());
    let (machine, gateway) = (format!("{BASE}/line-2/press-7"), format!("{BASE}/_gateway/gw"));
    let place = if is_gateways { &gateway } else { &machine };
    let by = match verb.as_str() {
        "asset" => "cmms",
        "replay" => "mes",
        _ => PANEL,
    };
    let id = format!("hostile-{n}");
    let mut topic = format!("{place}/command/{verb}");
    let mut command = verbs.command(&verb, &id, by);
    let body = match n % 20 {
        // Whoever may not.
        0 => {
            command["by"] = json!(NOBODY[verbs.chance.usize(..NOBODY.len())]);
            command.to_string().into_bytes()
        }
        // One of the two may not send this.
        1 => {
            let may_mes = ["reason", "scrap", "order", "operator", "replay"].contains(&verb.as_str());
            command["by"] = json!(if may_mes { "cmms" } else { "mes" });
            if verb == "replay" {
                command["consumer"] = json!("mes");
            }
            command.to_string().into_bytes()
        }
        // Verbs that there are not, at any length, or not here.
        2 => {
            let verb = match verbs.chance.u8(..100) {
                0 => "x".repeat(60_000),
                1..=30 => if is_gateways { "reason" } else { "asset" }.to_owned(),
                31..=60 => format!("{verb}{}", verbs.chance.alphanumeric()),
                _ => ["ORDER", "reset", "..", "Übernahme", "a b", "%s%n", "reason ", "order.", "$SYS"]
                    [verbs.chance.usize(..9)]
                .to_owned(),
            };
            topic = format!("{place}/command/{verb}");
            command.to_string().into_bytes()
        }
        3 => {
            command["comment"] = json!("x".repeat(verbs.chance.usize(66_000..200_000)));
            command.to_string().into_bytes()
        }
        4 => {
            let deep = verbs.chance.usize(20..10_001);
            let (open, close) = if verbs.chance.bool() { ("[", "]") } else { ("{\"a\":", "}") };
            let nested = format!("{}1{}", open.repeat(deep), close.repeat(deep));
            command["deep"] = json!("DEEP");
            command.to_string().replace("\"DEEP\"", &nested).into_bytes()
        }
        5 => {
            let mut body = command.to_string().into_bytes();
            let at = verbs.chance.usize(1..body.len());
            body.splice(at..at, [[0xff, 0xfe], [0xc3, 0x28], [0xed, 0xa0], [0x80, 0x80]][verbs.chance.usize(..4)]);
            body
        }
        6 => {
            let late = [
                "1970-01-01T00:00:00Z",
                "0001-01-01T00:00:00Z",
                "-009999-01-02T01:59:59Z",
                "2020-02-29T00:00:00-12:00",
            ];
            let early = ["2100-01-01T00:00:00Z", "9999-12-30T22:00:00Z", "2999-12-31T23:59:59.999999999+14:00"];
            let all = [&late[..], &early[..]].concat();
            command["at"] = json!(all[verbs.chance.usize(..all.len())]);
            command.to_string().into_bytes()
        }
        7 => {
            command["expires_at"] = json!("2020-01-01T00:00:00Z");
            command.to_string().into_bytes()
        }
        // Another body under the name of one that was carried out.
        8 | 9 => {
            command = verbs.command("scrap", "done", "mes");
            topic = format!("{machine}/command/scrap");
            command.to_string().into_bytes()
        }
        // Allowed and well-formed, and about what there is not, or not at this machine.
        10 => {
            topic = format!("{BASE}/line-2/press-8/command/reason");
            let at = verbs.chance.usize(..verbs.ids.len());
            json!({ "command_id": id, "by": "mes", "downtime_id": verbs.ids[at], "code": "cleaning" })
                .to_string()
                .into_bytes()
        }
        11 => {
            topic = format!("{machine}/command/order");
            json!({ "command_id": id, "by": "mes", "command": "Stop", "order": format!("none-{n}") })
                .to_string()
                .into_bytes()
        }
        12 => {
            topic = format!("{gateway}/command/replay");
            let (consumer, epoch) = if verbs.chance.bool() { ("cmms", 1) } else { ("mes", verbs.chance.u32(2..)) };
            json!({ "command_id": id, "by": "mes", "consumer": consumer, "epoch": epoch, "after": {} })
                .to_string()
                .into_bytes()
        }
        13 => {
            let length = verbs.chance.usize(..300);
            (0..length).map(|_| verbs.chance.u8(..)).collect()
        }
        // Something is wrong with it; else whoever may not sends it.
        _ => match verbs.bent(&command) {
            body if verbs.is_described(&verb, &body) => {
                let mut command: Value = serde_json::from_slice(&body).unwrap();
                command["by"] = json!("nobody");
                command.to_string().into_bytes()
            }
            body => body,
        },
    };
    Shot { topic, body }
}

fn resident_kib(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Events that a command, or anything else than the hour and a busy PLC, made.
fn changes(ear: &Ear) -> Vec<Value> {
    let others =
        ["andon.production.counted.v1", "andon.shift.stated.v1", "andon.meter.read.v1", "andon.notice.raised.v1"];
    let is_other = |event: &Value| event["correlationid"].is_null() && others.iter().any(|kind| event["type"] == *kind);
    ear.events().into_iter().filter(|event| !is_other(event)).collect()
}

#[test]
fn a_flood_of_hostile_commands_is_answered_one_by_one_and_changes_nothing() {
    let wanted = std::env::var("ANDON_COMMANDS").map_or(COMMANDS, |text| text.parse().expect("a number"));
    let seed = std::env::var("ANDON_SEED").map_or(1, |text| text.parse().expect("a number"));
    let (plc, broker) = (Plc::start(), Mosquitto::start(&Door::Anonymous));
    plc.coil(0, true);
    plc.coil(1, true);
    plc.long(0, 1000);
    let ear = Ear::open(&broker, &format!("{BASE}/+/+/event/+"));
    let place = Place::with(&config(plc.port, broker.port));
    let mut answers = Answers::listen(&broker);
    // They lie there, whenever the gateway comes.
    let press = format!("{BASE}/line-2/press-7");
    let scrap = json!({ "command_id": "retained", "by": "mes", "quantity": 1 }).to_string();
    publish(&broker, &format!("{press}/command/scrap"), scrap.as_bytes(), &["-r"]);
    let daemon = place.run(&[]);
    ear.until_event("state.changed", |event| {
        event["data"]["state"] == "running" && event["data"]["machine"] == "press-7"
    });
    assert_eq!(answers.to("retained"), ok("refused", "retained"));

    // Something that could be changed: a downtime with a reason, an order, scrap.
    plc.long(0, 1010);
    let is_ten = |heard: &andon::Heard| heard.topic.ends_with("press-7/state") && heard.json()["counts"]["good"] == 10;
    Ear::open(&broker, &format!("{BASE}/+/+/state")).until("ten good parts", is_ten);
    plc.coil(0, false);
    let opened = ear.until_event("downtime.opened", |event| event["data"]["machine"] == "press-7");
    plc.coil(0, true);
    ear.until_event("downtime.closed", |event| event["data"]["machine"] == "press-7");
    let downtime = opened["data"]["downtime_id"].as_str().unwrap().to_owned();
    let sender = Sender::connect(&broker);
    let send = |verb: &str, command: Value| {
        sender.send(&format!("{press}/command/{verb}"), command.to_string().into_bytes());
    };
    send("reason", json!({ "command_id": "jam", "by": "mes", "downtime_id": downtime, "code": "mech.jam" }));
    assert_eq!(answers.to("jam"), ok("accepted", "accepted"));
    send(
        "order",
        json!({ "command_id": "order", "by": "mes", "command": "StoreAndStart", "order": "A-4711", "product": "cap-28" }),
    );
    assert_eq!(answers.to("order"), ok("accepted", "accepted"));
    send("operator", json!({ "command_id": "person", "by": "mes", "operator": PERSON, "action": "log_on" }));
    assert_eq!(answers.to("person"), ok("accepted", "accepted"));
    let done = json!({ "command_id": "done", "by": "mes", "quantity": 3 });
    send("scrap", done.clone());
    assert_eq!(answers.to("done"), ok("accepted", "accepted"));
    ear.until_event("production.counted", |event| event["correlationid"] == "done");

    let (before, figures) = (changes(&ear), report(&place));
    let mut verbs = Verbs::of(&schema::asyncapi(), seed);
    verbs.ids = vec![downtime.clone()];
    verbs.at = opened["time"].as_str().unwrap().to_owned();
    let (mut resident, mut answered, began) = (Vec::new(), 0, std::time::Instant::now());
    answers.told.clear();
    for n in 0..wanted {
        let Shot { topic, body } = shot(&mut verbs, n);
        sender.send(&topic, body);
        while answered + ALOFT <= n {
            expect(&answers.next());
            answered += 1;
        }
        if n * 5 % wanted == 0 {
            resident.push(resident_kib(&daemon));
        }
    }
    while answered < wanted {
        expect(&answers.next());
        answered += 1;
    }
    let took = began.elapsed();
    resident.push(resident_kib(&daemon));
    println!(
        "{wanted} hostile commands, seed {seed}: all answered in {took:.1?}; resident KiB, a fifth each: {resident:?}"
    );
    println!("answers: {:#?}", answers.told);
    let (early, late) = (resident[1], *resident.last().unwrap());
    assert!(late <= early + GROWTH_KIB, "from {early} to {late} KiB: it grows with what it refuses");

    // Nothing became another, and whoever may ask is answered; also after a crash.
    assert_eq!(changes(&ear), before, "nothing was changed");
    assert_eq!(report(&place), figures);
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
    daemon.kill();
    let daemon = place.run(&[]);
    assert_eq!(report(&place), figures);
    send("scrap", done);
    assert_eq!(answers.to("done"), ok("duplicate", "accepted"));
    send("reason", json!({ "command_id": "good", "by": "mes", "downtime_id": downtime, "code": "cleaning" }));
    assert_eq!(answers.to("good"), ok("accepted", "accepted"));
    ear.until_event("downtime.amended", |event| event["correlationid"] == "good");
    send("operator", json!({ "command_id": "twice", "by": "mes", "operator": PERSON, "action": "log_on" }));
    assert_eq!(answers.to("twice"), ok("refused", "logged_on"));
    drop(sender);
    daemon.stop();
    let commands = kept(&place);
    let person = commands.iter().find(|(topic, body)| topic.ends_with("/operator") && body.contains("twice"));
    assert!(person.unwrap().1.contains(r#""operator":null"#), "{person:?}");
    assert!(commands.iter().all(|(_, body)| !body.contains(PERSON)), "[privacy] is off: nobody is named");
    assert!(commands.iter().all(|(topic, body)| topic.len() <= 1024 && body.len() < 80_000));
}

/// What the journal keeps for whoever asks who asked for what: topics, bodies with their answers.
fn kept(place: &Place) -> Vec<(String, String)> {
    let db = rusqlite::Connection::open(place.path("data/andon.db")).unwrap();
    let mut rows = db.prepare("SELECT topic, body, reply FROM command").unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let rows = rows.query_map([], |row| {
        let bytes = |column: usize| row.get_ref(column).map(|value| text(value.as_bytes().unwrap()));
        Ok((bytes(0)?, bytes(1)? + &bytes(2)?))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Refused, or the answer that was given to the command whose name it bears.
fn expect(reply: &Value) {
    let data = &reply["data"];
    let is_repeated = data["result"] == "duplicate" && data["command_id"] == "done" && data["code"] == "accepted";
    assert!(data["result"] == "refused" || is_repeated, "{reply:#}");
    assert!(is_repeated || data["text"].as_str().unwrap().len() > 10, "why it is refused: {reply:#}");
}

/// Of what was over before: it does not grow with the time.
fn report(place: &Place) -> Value {
    let windows = place.report(&["--machine", "press-7"])["windows"].clone();
    let one = &windows[0];
    json!([
        one["counts"],
        one["losses"],
        one["downtimes"],
        one["time_ms"]["down"],
        one["time_ms"]["planned_stop"],
        one["failures"]
    ])
}

/// What is not as the document has it is refused, whatever it is: in memory, many times as often.
#[test]
fn what_the_document_does_not_describe_is_not_understood() {
    let mut verbs = Verbs::of(&schema::asyncapi(), 7);
    let (mut described, mut refused) = (0, 0);
    for n in 0..2_000 {
        for verb in verbs.names() {
            let command = verbs.command(&verb, "c", "mes");
            let body = if n % 4 == 0 { command.to_string().into_bytes() } else { verbs.bent(&command) };
            let asked = inbound::read(&verb, &body, Stamp::from_ms(1_795_414_443_200)).command;
            match (verbs.is_described(&verb, &body), asked) {
                (false, Ok(understood)) => {
                    panic!("{verb}: {} is not described and means {understood:?}", String::from_utf8_lossy(&body))
                }
                (false, Err(_)) => refused += 1,
                (true, _) => described += 1,
            }
        }
    }
    assert!(described > 2_000 && refused > 4_000, "{described} described, {refused} refused");
}

/// One of each verb for the fuzz target; `ANDON_REFRESH=1` writes them anew.
#[test]
fn the_fuzz_target_begins_with_a_command_of_each_verb() {
    let order = ["reason", "scrap", "order", "operator", "work-order", "work-request", "asset", "replay"];
    let mut verbs = Verbs::of(&schema::asyncapi(), 3);
    let mut names = verbs.names();
    names.sort_by_key(|verb| order.iter().position(|known| known == verb));
    assert_eq!(names, order, "VERBS of fuzz/targets/command.rs");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/command");
    verbs.at = "2026-10-19T10:00:00+02:00".to_owned();
    for (place, verb) in order.iter().enumerate() {
        let is_gateways = ["asset", "replay"].contains(verb);
        // The high bits name the place: 0 is a machine, 2 the gateway.
        let first = u8::try_from(place).unwrap() | if is_gateways { 0x20 } else { 0 };
        let mut seed = Vec::new();
        for nth in 0..4 {
            seed.push(first);
            seed.extend(verbs.command(verb, &format!("c-{nth}"), "mes").to_string().into_bytes());
            seed.push(0);
        }
        let path = folder.join(verb);
        if std::env::var_os("ANDON_REFRESH").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &seed).unwrap();
        }
        assert_eq!(
            fs::read(&path).unwrap_or_default(),
            seed,
            "ANDON_REFRESH=1 cargo test --test hostile writes {verb}"
        );
    }
}
