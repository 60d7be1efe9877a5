//! `andon demo`: a simulated line, an embedded broker and the daemon in one process, on free loopback ports.
//!
//! What is printed comes from a subscriber at the broker: it has gone the whole way.

use super::{
    Exit, Failure,
    daemon::{failure, runtime, settings, stop_signal},
    figures::{
        By, Format, Kind,
        words::{Ink, span},
    },
    past::{self, Asked},
};
use crate::{
    books::Calendar,
    config::{Plan, load_text},
    event::Stamp,
    gateway,
    io::{journal::history::Depth, mqtt, plc::Channel, systemd::Notify},
    signal::PointIx,
    sim::{
        Bench,
        line::{Line, Wiring},
    },
};
use rumqttd::{Broker, Notification, local::LinkRx};
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// A minute of the line passes in a second.
const SPEED: u32 = 60;

/// The same line every time.
const SEED: u64 = 7;

/// How often the printing thread looks whether it should end.
const GLANCE: Duration = Duration::from_millis(50);

pub(super) fn run(length: Option<Duration>) -> Result<(), Failure> {
    let _log = super::log(tracing::Level::ERROR);
    let folder = Folder::make()?;
    let mut plan = plan()?;
    plan.data_dir = folder.0.join("data");
    let broker = free_address()?;
    plan.mqtt.brokers = vec![mqtt::Broker { host: broker.ip().to_string(), port: broker.port(), tls: false }];
    let heard = listen(start_broker(broker)?, plan.rules.calendar.clone());

    let outcome = runtime()?.block_on(async {
        let unavailable = |error: &dyn std::error::Error| Failure::new(Exit::Unavailable, error);
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let bench = Bench::bind(&plan.plcs, Some(listen)).await.map_err(|error| unavailable(&error))?;
        for (plc, address) in plan.plcs.iter_mut().zip(bench.addresses()) {
            plc.channel = Channel::tcp(address.to_string());
        }
        introduce(&plan, broker, length);
        let line = Line::new(SEED, &wiring(&plan)?);
        let played = tokio::spawn(bench.play(line, SPEED));
        // The folder goes with us however we are told to end.
        let told = stop_signal().map_err(|error| unavailable(&error))?;
        let stop = async {
            tokio::select! {
                () = sleep(length) => {}
                () = told => {}
            }
        };
        let outcome = Box::pin(gateway::run(gateway_settings(&plan, &folder), Notify::from_env(), stop, None)).await;
        played.abort();
        outcome.map_err(|error| failure(&error))
    });
    heard.finish();
    outcome?;
    println("\nThe report, from the journal:\n");
    let everything = Asked { machine: None, kind: Kind::All, range: (Stamp::MIN, Stamp::MAX), depth: Depth::Whole };
    let sheet = past::read(&gateway_settings(&plan, &folder), &everything, By::Machine)?;
    let mut out = io::stdout().lock();
    Failure::unless_printed(sheet.write(Format::Table, Ink::of(&out), &mut out))
}

fn gateway_settings(plan: &Plan, folder: &Folder) -> gateway::Settings {
    let mut settings = settings(plan.clone(), None, SPEED);
    settings.journal.runtime_dir = Some(folder.0.clone());
    settings
}

fn plan() -> Result<Plan, Failure> {
    let loaded = load_text("demo.toml", include_str!("../../config/demo.toml"));
    let (plan, _) = loaded.map_err(|faults| {
        Failure::say(Exit::Bug, faults.iter().map(|fault| fault.render()).collect::<Vec<_>>().join("\n"))
    })?;
    Ok(plan)
}

fn wiring(plan: &Plan) -> Result<Vec<Wiring>, Failure> {
    let point = |name: &str| {
        let found = plan.points.iter().position(|point| point.name == name).map(PointIx);
        found.ok_or_else(|| Failure::say(Exit::Bug, format!("the demo line has no point {name}")))
    };
    Ok(vec![
        Wiring {
            run: Some(point("filler-plc.run")?),
            total: point("filler-plc.total")?,
            reject: Some(point("filler-plc.reject")?),
            fault: Some(point("filler-plc.fault")?),
            rate_per_min: 120,
            faults: &[12, 21, 13],
        },
        Wiring {
            run: Some(point("end-plc.capper_run")?),
            total: point("end-plc.capper_total")?,
            reject: Some(point("end-plc.capper_reject")?),
            fault: Some(point("end-plc.capper_fault")?),
            rate_per_min: 120,
            faults: &[12, 40, 40, 0],
        },
        Wiring {
            run: None,
            total: point("end-plc.packer_total")?,
            reject: None,
            fault: None,
            rate_per_min: 20,
            faults: &[],
        },
    ])
}

fn introduce(plan: &Plan, broker: SocketAddr, length: Option<Duration>) {
    println(&format!(
        "A simulated line: {} machines on {} PLCs (Modbus TCP).",
        plan.rules.machines.len(),
        plan.plcs.len()
    ));
    for plc in &plan.plcs {
        println(&format!("  {:<11} {}", plc.id, plc.channel));
    }
    println(&format!("An MQTT broker at {broker}. Listen yourself, in another terminal:"));
    println(&format!("  mosquitto_sub -h {} -p {} -v -t '{}/#'", broker.ip(), broker.port(), plan.prefix));
    let until = length.map_or("until Ctrl-C".to_owned(), |length| format!("for {} s", length.as_secs()));
    println(&format!("A minute of the line passes in a second, {until}.\n"));
}

/// The folder of this demo, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Folder, Failure> {
        let path = std::env::temp_dir().join(format!("andon-demo-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(|error| {
            Failure::say(Exit::Unavailable, format!("{} could not be made: {error}", path.display()))
        })?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The broker opens its port itself, so it is told one that was free a moment ago.
fn free_address() -> Result<SocketAddr, Failure> {
    let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    free.map_err(|error| Failure::new(Exit::Unavailable, &error))
}

fn start_broker(address: SocketAddr) -> Result<LinkRx, Failure> {
    let config = json!({
        "id": 0,
        "router": {
            "id": 0, "max_connections": 100, "max_outgoing_packet_count": 200,
            "max_segment_size": 1 << 20, "max_segment_count": 10,
        },
        "v4": { "demo": {
            "name": "demo", "listen": address, "next_connection_delay_ms": 1,
            "connections": { "connection_timeout_ms": 5000, "max_payload_size": 1 << 20, "max_inflight_count": 100 },
        } },
    });
    let failed = |error: &dyn std::error::Error| Failure::new(Exit::Unavailable, error);
    let config = serde_json::from_value(config).map_err(|error| Failure::new(Exit::Bug, &error))?;
    let mut broker = Broker::new(config);
    let (mut ask, hear) = broker.link("andon-demo-print").map_err(|error| failed(&error))?;
    ask.subscribe("andon/v1/#").map_err(|error| failed(&error))?;
    // It has no way to be stopped: its threads end with the process.
    thread::spawn(move || drop(broker.start()));
    Ok(hear)
}

/// Prints what the broker forwards.
struct Heard {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

fn listen(mut hear: LinkRx, calendar: Calendar) -> Heard {
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let thread = thread::spawn(move || {
        loop {
            match hear.recv_deadline(std::time::Instant::now() + GLANCE) {
                Ok(Some(Notification::Forward(forward))) => {
                    if let Some(words) = serde_json::from_slice(&forward.publish.payload)
                        .ok()
                        .and_then(|event| sentence(&event, &calendar))
                    {
                        println(&words);
                    }
                }
                Ok(_) => {}
                Err(_) if over.load(Relaxed) => return,
                Err(_) => {}
            }
        }
    });
    Heard { is_over, thread }
}

impl Heard {
    fn finish(self) {
        self.is_over.store(true, Relaxed);
        let _ = self.thread.join();
    }
}

/// A durable event as a person would say it; `None` for all that would only be noise here.
fn sentence(event: &Value, calendar: &Calendar) -> Option<String> {
    let kind = event.get("type")?.as_str()?;
    let data = event.get("data")?;
    let text = |key: &str| data.get(key).and_then(Value::as_str).unwrap_or_default();
    let ms = |key: &str| data.get(key).and_then(Value::as_i64).unwrap_or_default();
    let reason = data.pointer("/reason/text").and_then(Value::as_str).map_or(String::new(), |text| format!(", {text}"));
    let words = match kind {
        "andon.state.changed.v1" => {
            let provisional = if data.get("provisional") == Some(&Value::Bool(true)) { " (provisional)" } else { "" };
            format!("{:<9} {}{provisional}{reason}", text("machine"), text("state"))
        }
        "andon.downtime.opened.v1" => format!("{:<9} DOWNTIME {} opened{reason}", text("machine"), text("number")),
        "andon.downtime.updated.v1" => format!("{:<9} DOWNTIME {} updated{reason}", text("machine"), text("number")),
        "andon.downtime.closed.v1" => {
            format!(
                "{:<9} DOWNTIME {} closed after {}{reason}",
                text("machine"),
                text("number"),
                span(ms("duration_ms"))
            )
        }
        "andon.notice.raised.v1" => format!("{:<9} {}", "notice", text("text")),
        _ => return None,
    };
    let at: jiff::Timestamp = event.get("time")?.as_str()?.parse().ok()?;
    let local = calendar.local(Stamp::from_ms(at.as_millisecond()));
    Some(format!("{}  {words}", local.split(' ').nth(1)?))
}

async fn sleep(length: Option<Duration>) {
    match length {
        Some(length) => tokio::time::sleep(length).await,
        None => std::future::pending().await,
    }
}

fn println(words: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{words}");
    let _ = out.flush();
}
