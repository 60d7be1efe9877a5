//! How long an edge takes from a PLC's coil to a subscriber of the broker: Modbus, engine, journal on disk, MQTT.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/daemon.rs"]
mod daemon;
#[path = "../tests/common/mosquitto.rs"]
mod mosquitto;
#[path = "common/plc.rs"]
mod plc;

use daemon::Daemon;
use mosquitto::{Door, Mosquitto, Subscriber};
use plc::Plc;
use std::{fs, thread, time::Duration};

const EDGES: usize = 400;
const POLL_MS: u64 = 100;
/// What the rest of the way may take, at the 99th percentile.
const REST_MS: u64 = 20;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let (broker, plc) = (Mosquitto::start(&Door::Anonymous), Plc::start());
    let mut subscriber = Subscriber::connect(broker.port, None, "andon/v1/acme/leipzig/hall-3/l/m/event/state").await;
    // Not in /tmp, which may be no disk.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let toml = folder.path().join("andon.toml");
    fs::write(
        &toml,
        format!(
            "[gateway]\nid = \"bench\"\npath = \"acme/leipzig/hall-3\"\ntimezone = \"Europe/Berlin\"\ndata_dir = {:?}\n\
             [mqtt]\nbrokers = [\"mqtt://127.0.0.1:{}\"]\n\
             [[plc]]\nid = \"p\"\ntcp = \"{}\"\npoll = \"{POLL_MS}ms\"\n\
             [plc.points]\nrun = {{ coil = 0 }}\ntotal = {{ holding = 0, type = \"u32\" }}\n\
             [[machine]]\nid = \"m\"\nline = \"l\"\nrun = \"p.run\"\ntotal = \"p.total\"\ndebounce = \"0s\"\n",
            folder.path().join("data"),
            broker.port,
            plc.address,
        ),
    )
    .unwrap();
    let andon = Daemon::start(&toml);
    subscriber.until(|message| message.text().contains("\"state\":\"short_stop\"")).await;

    let mut chance = fastrand::Rng::with_seed(1);
    let (mut edges_us, mut rests_us) = (Vec::new(), Vec::new());
    for edge in 0..EDGES {
        // At any phase of the poll.
        thread::sleep(Duration::from_micros(chance.u64(POLL_MS * 500..POLL_MS * 2_500)));
        let run = edge % 2 == 0;
        let state = if run { "\"state\":\"running\"" } else { "\"state\":\"short_stop\"" };
        let set = plc.set(run);
        subscriber.until(|message| message.text().contains(state)).await;
        edges_us.push(set.elapsed().as_micros());
        rests_us.push(plc.answered().expect("it was read").elapsed().as_micros());
    }
    drop(andon);

    println!("{:<44} {:>8} {:>8} {:>8}", format!("ms, {EDGES} edges, poll {POLL_MS} ms"), "p50", "p99", "max");
    line(&format!("coil → subscriber (p99 ≤ {})", POLL_MS + REST_MS), &mut edges_us);
    line("of that: answer of the PLC → subscriber", &mut rests_us);
}

fn line(name: &str, all_us: &mut [u128]) {
    all_us.sort_unstable();
    let ms = |percent: usize| all_us[(all_us.len() - 1) * percent / 100] as f64 / 1000.0;
    println!("{name:<44} {:>8.1} {:>8.1} {:>8.1}", ms(50), ms(99), ms(100));
}
