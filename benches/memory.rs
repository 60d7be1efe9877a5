//! What `andon run` takes of a machine: memory, descriptors, threads and time of the processor.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/daemon.rs"]
mod daemon;
#[path = "../tests/common/mosquitto.rs"]
mod mosquitto;
#[path = "common/plc.rs"]
mod plc;

use daemon::Daemon;
use mosquitto::{Door, Mosquitto};
use plc::Plc;
use std::{
    fmt::Write as _,
    fs, thread,
    time::{Duration, Instant},
};

/// Each with one machine, polled five times a second.
const PLCS: [usize; 3] = [1, 20, 100];
/// Long enough for marks, pictures and a few hundred stops.
const LIVES: Duration = Duration::from_secs(25);

fn main() {
    println!(
        "{:>6} {:>12} {:>12} {:>12} {:>8} {:>7}",
        "PLCs", "VmRSS kB", "VmHWM kB", "descriptors", "threads", "CPU %"
    );
    for plcs in PLCS {
        live(plcs);
    }
}

fn live(plcs: usize) {
    let broker = Mosquitto::start(&Door::Anonymous);
    let plcs: Vec<Plc> = (0..plcs).map(|_| Plc::start()).collect();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut config = format!(
        "[gateway]\nid = \"bench\"\npath = \"acme/leipzig/hall-3\"\ntimezone = \"Europe/Berlin\"\ndata_dir = {:?}\n\
         [mqtt]\nbrokers = [\"mqtt://127.0.0.1:{}\"]\n",
        folder.path().join("data"),
        broker.port
    );
    for (n, plc) in plcs.iter().enumerate() {
        write!(
            config,
            "[[plc]]\nid = \"p{n}\"\ntcp = \"{}\"\npoll = \"200ms\"\n[plc.points]\nrun = {{ coil = 0 }}\n\
             total = {{ holding = 0, type = \"u32\" }}\nreject = {{ holding = 2, type = \"u32\" }}\n\
             fault = {{ holding = 4 }}\n\
             [[machine]]\nid = \"m{n}\"\nline = \"l\"\nideal_cycle = \"1s\"\nrun = \"p{n}.run\"\n\
             total = \"p{n}.total\"\nreject = \"p{n}.reject\"\nfault = \"p{n}.fault\"\nshort_stop = \"2s\"\n",
            plc.address
        )
        .unwrap();
    }
    let toml = folder.path().join("andon.toml");
    fs::write(&toml, config).unwrap();
    let andon = Daemon::start(&toml);
    let (begun, mut chance) = (Instant::now(), fastrand::Rng::with_seed(1));
    while begun.elapsed() < LIVES {
        for plc in &plcs {
            // One machine in ten changes each second.
            if chance.u8(0..10) == 0 {
                plc.set(chance.bool());
            }
        }
        thread::sleep(Duration::from_secs(1));
    }
    show(plcs.len(), &andon, begun.elapsed());
}

fn show(plcs: usize, andon: &Daemon, lived: Duration) {
    let proc = format!("/proc/{}", andon.pid());
    let status = fs::read_to_string(format!("{proc}/status")).expect("it still runs");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").to_owned()
    };
    let descriptors = fs::read_dir(format!("{proc}/fd")).unwrap().count();
    // Ticks of 10 ms, in user and kernel mode: the 14th and 15th word, counted behind the name in brackets.
    let stat = fs::read_to_string(format!("{proc}/stat")).unwrap();
    let words: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = words[11..13].iter().map(|word| word.parse::<f64>().unwrap()).sum();
    println!(
        "{plcs:>6} {:>12} {:>12} {descriptors:>12} {:>8} {:>7.1}",
        field("VmRSS"),
        field("VmHWM"),
        field("Threads"),
        ticks / lived.as_secs_f64()
    );
}
