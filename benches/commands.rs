//! What commands and proof of delivery cost: command → durable → reply, a backlog after an outage, receipts beside all else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/daemon.rs"]
mod daemon;
#[path = "../tests/common/mosquitto.rs"]
mod mosquitto;
#[path = "../tests/common/plant.rs"]
mod plant;
#[path = "common/plc.rs"]
mod plc;

use daemon::Daemon;
use mosquitto::{Door, Mosquitto, Subscriber};
use plant::{DAY_MS, MINUTE_MS, Plant, Temper};
use plc::Plc;
use rumqttc::{AsyncClient, MqttOptions, PublishOptions};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::runtime::Builder;

const BASE: &str = "andon/v1/acme/leipzig/hall-3";
const COMMANDS: usize = 1000;
/// At the 99th percentile. Milliseconds.
const REPLY_MS: u64 = 20;
/// Events that wait for a broker.
const BACKLOG: usize = 5000;
/// Machines whose messages receipts are held against, for so long.
const MACHINES: usize = 50;
const LIVES: Duration = Duration::from_secs(90);
/// A receipt is due so often, digest or not.
const HEARTBEAT: Duration = Duration::from_secs(60);

fn main() {
    println!("load average {}", fs::read_to_string("/proc/loadavg").unwrap().trim());
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    if "replies".contains(&wanted) {
        runtime.block_on(replies());
    }
    if "backlog".contains(&wanted) {
        runtime.block_on(backlog());
    }
    if "receipts".contains(&wanted) {
        runtime.block_on(receipts());
    }
    println!("load average {}", fs::read_to_string("/proc/loadavg").unwrap().trim());
}

/// Not in /tmp, which may be no disk.
fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn head(folder: &Path, broker: u16) -> String {
    format!(
        "[gateway]\nid = \"gw\"\npath = \"acme/leipzig/hall-3\"\ntimezone = \"Europe/Berlin\"\ndata_dir = {:?}\n\
         [mqtt]\nbrokers = [\"mqtt://127.0.0.1:{broker}\"]\n\
         [[consumer]]\nid = \"mes\"\nmay = [\"reason\", \"scrap\"]\n[[consumer]]\nid = \"cmms\"\n\
         [[reason]]\ncode = \"jam\"\nclass = \"failure\"\n[[reason]]\ncode = \"tool\"\nclass = \"operational\"\n",
        folder.join("data")
    )
}

fn machine(n: usize, plc: &Plc) -> String {
    format!(
        "[[plc]]\nid = \"p{n}\"\ntcp = \"{}\"\npoll = \"200ms\"\n[plc.points]\nrun = {{ coil = 0 }}\n\
         total = {{ holding = 0, type = \"u32\" }}\n\
         [[machine]]\nid = \"m{n}\"\nline = \"l\"\nideal_cycle = \"1s\"\nrun = \"p{n}.run\"\ntotal = \"p{n}.total\"\n\
         debounce = \"0s\"\nshort_stop = \"1s\"\n",
        plc.address
    )
}

fn sender(broker: &Mosquitto) -> AsyncClient {
    let mut options = MqttOptions::new("sender", ("127.0.0.1", broker.port));
    options.set_max_packet_size(1 << 20, 1 << 20);
    let (client, mut eventloop) = AsyncClient::builder(options).capacity(100).build();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        // Until the broker goes.
        runtime.block_on(async { while eventloop.poll().await.is_ok() {} });
    });
    client
}

async fn replies() {
    let (broker, plc, folder) = (Mosquitto::start(&Door::Anonymous), Plc::start(), folder());
    let mut events = Subscriber::connect(broker.port, Some("events"), &format!("{BASE}/l/m0/event/downtime")).await;
    let mut answers = Subscriber::connect(broker.port, Some("answers"), &format!("{BASE}/l/m0/reply")).await;
    let toml = folder.path().join("andon.toml");
    fs::write(&toml, head(folder.path(), broker.port) + &machine(0, &plc)).unwrap();
    plc.set(true);
    let andon = Daemon::start(&toml);
    let state = Subscriber::connect(broker.port, Some("state"), &format!("{BASE}/l/m0/event/state")).await;
    // It was seen to run, so that it can be seen to stop.
    let mut state = state;
    state.until(|message| message.text().contains("\"state\":\"running\"")).await;
    plc.set(false);
    let opened = events.until(|message| message.text().contains("downtime.opened")).await;
    plc.set(true);
    events.until(|message| message.text().contains("downtime.closed")).await;
    let downtime: Value = serde_json::from_slice(&opened.payload).unwrap();
    let downtime = downtime["data"]["downtime_id"].clone();
    let sender = sender(&broker);
    let (mut accepted_us, mut refused_us, mut repeated_us) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..COMMANDS {
        let code = ["jam", "tool"][n % 2];
        let reason = json!({ "command_id": format!("c-{n}"), "by": "mes", "downtime_id": downtime, "code": code });
        for (result, all_us, by) in [
            ("accepted", &mut accepted_us, "mes"),
            ("duplicate", &mut repeated_us, "mes"),
            ("refused", &mut refused_us, "cmms"),
        ] {
            let mut command = reason.clone();
            command["by"] = json!(by);
            let body = command.to_string();
            let sent = Instant::now();
            let topic = format!("{BASE}/l/m0/command/reason");
            sender.publish(topic, body, PublishOptions::at_least_once()).await.unwrap();
            let reply = answers.next().await.text();
            all_us.push(sent.elapsed().as_micros());
            assert!(reply.contains(&format!("\"result\":\"{result}\"")), "{reply}");
        }
    }
    drop(andon);
    println!("{:<48} {:>8} {:>8} {:>8}", format!("ms, {COMMANDS} commands, one after the other"), "p50", "p99", "max");
    line(&format!("command → durable → reply (p99 ≤ {REPLY_MS})"), &mut accepted_us);
    line("the same command again", &mut repeated_us);
    line("refused at the door", &mut refused_us);
}

fn line(name: &str, all_us: &mut [u128]) {
    all_us.sort_unstable();
    let ms = |percent: usize| all_us[(all_us.len() - 1) * percent / 100] as f64 / 1000.0;
    println!("{name:<48} {:>8.1} {:>8.1} {:>8.1}", ms(50), ms(99), ms(100));
}

/// A plant has lived without a broker; the daemon starts and finds one.
async fn backlog() {
    let (broker, folder) = (Mosquitto::start(&Door::Anonymous), folder());
    let temper = Temper { look_ms: (MINUTE_MS / 2, MINUTE_MS), dark: 20_000, run_ms: 20 * MINUTE_MS, faults: true };
    let mut plant = Plant::open(folder.path(), 6, temper, 1);
    let begin = plant.now;
    let mut days = 0;
    while plant.told.len() < BACKLOG {
        days += 1;
        plant.live(begin.plus(days * DAY_MS));
    }
    plant.close(true);
    let events = plant.told.len();
    let bytes: usize = plant.told.iter().map(|told| andon::gateway::row(&plant.names, told).unwrap().body.len()).sum();
    let toml = folder.path().join("andon.toml");
    let config = fs::read_to_string(&toml).unwrap().replace("127.0.0.1:1\"", &format!("127.0.0.1:{}\"", broker.port));
    fs::write(&toml, config).unwrap();
    let mut all = Subscriber::connect(broker.port, None, &format!("{BASE}/#")).await;
    let andon = Daemon::start(&toml);
    all.until(|message| message.topic.ends_with("/status")).await;
    let (connected, mut heard, mut first) = (Instant::now(), 0, None);
    while heard < events {
        let message = all.next().await;
        if message.topic.contains("/event/") {
            heard += 1;
            first.get_or_insert_with(|| connected.elapsed());
            if heard == BACKLOG {
                let took = connected.elapsed();
                println!(
                    "backlog of {events} events, {} bytes each: {BACKLOG} in {:.0} ms from the first status on (≤ 1000), \
                     {:.0} of them before the first event",
                    bytes / events,
                    took.as_secs_f64() * 1e3,
                    first.unwrap().as_secs_f64() * 1e3
                );
            }
        }
    }
    println!("all {events}: {:.0} ms", connected.elapsed().as_secs_f64() * 1e3);
    drop(andon);
}

/// Two consumers say what they hold after every digest, and at least every minute.
async fn receipts() {
    let (broker, folder) = (Mosquitto::start(&Door::Anonymous), folder());
    let plcs: Vec<Plc> = (0..MACHINES).map(|_| Plc::start()).collect();
    let mut toml = head(folder.path(), broker.port);
    plcs.iter().enumerate().for_each(|(n, plc)| toml += &machine(n, plc));
    let path = folder.path().join("andon.toml");
    fs::write(&path, toml).unwrap();
    plcs.iter().for_each(|plc| _ = plc.set(true));
    let mut all = Subscriber::connect(broker.port, None, &format!("{BASE}/#")).await;
    let sender = sender(&broker);
    let andon = Daemon::start(&path);
    let is_over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (over, living) = (is_over.clone(), plcs.clone());
    let plant = thread::spawn(move || {
        let mut chance = fastrand::Rng::with_seed(1);
        while !over.load(std::sync::atomic::Ordering::Relaxed) {
            // Each stops about every twenty minutes, for some seconds.
            for plc in &living {
                plc.set(chance.u32(0..1200) != 0);
            }
            thread::sleep(Duration::from_secs(1));
        }
    });
    let (begun, mut told, mut digest) = (Instant::now(), BTreeMap::<&str, (usize, usize)>::new(), None::<Value>);
    let mut due = Instant::now() + HEARTBEAT;
    while begun.elapsed() < LIVES {
        let message = all.next().await;
        let kind = match message.topic.rsplit('/').collect::<Vec<_>>()[..] {
            [_, "receipt", ..] => "receipts",
            [_, "event", ..] => "events",
            ["digest", ..] => "digests",
            _ => "pictures and status",
        };
        let (count, bytes) = told.entry(kind).or_default();
        (*count, *bytes) = (*count + 1, *bytes + message.topic.len() + message.payload.len());
        let is_new = kind == "digests";
        if is_new {
            digest = serde_json::from_slice(&message.payload).ok();
        }
        if let Some(digest) = digest.as_ref().filter(|_| is_new || Instant::now() >= due) {
            due = Instant::now() + HEARTBEAT;
            for consumer in ["mes", "cmms"] {
                let receipt = json!({
                    "consumer": consumer, "instance": "f6bd9bbc-5c56-4b9f-a4f9-4b2cf3fd3b67", "epoch": digest["epoch"],
                    "sequence": digest["last_sequence"],
                });
                let topic = format!("{BASE}/_gateway/gw/receipt/{consumer}");
                sender.publish(topic, receipt.to_string(), PublishOptions::at_least_once()).await.unwrap();
            }
        }
    }
    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    plant.join().unwrap();
    drop(andon);
    let whole: usize = told.values().map(|(_, bytes)| bytes).sum();
    println!("{MACHINES} machines, {:.0} s, receipts of two consumers (≤ 1 %)", LIVES.as_secs_f64());
    for (kind, (count, bytes)) in told {
        println!("{kind:<24} {count:>8} {bytes:>10} bytes {:>7.2} %", bytes as f64 * 100.0 / whole as f64);
    }
}
