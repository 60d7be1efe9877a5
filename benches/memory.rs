//! What `andon run` takes of a machine: memory, descriptors, threads and time of the processor, from one PLC to a plant.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/daemon.rs"]
mod daemon;
#[path = "../tests/common/mosquitto.rs"]
mod mosquitto;
#[path = "common/plc.rs"]
mod plc;

use daemon::Daemon;
use mosquitto::{Door, Mosquitto, eventually};
use plc::Plc;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    fmt::Write as _,
    fs, thread,
    time::{Duration, Instant},
};

/// Each with one machine that has a run signal, two counters and a fault code: two requests, five times a second.
const MACHINES: [usize; 3] = [1, 20, 100];
/// Each read by one request a second of 40 registers, all of them points.
const PLANTS: [usize; 5] = [10, 50, 100, 250, 500];
const REGISTERS: usize = 40;
/// Connected, first pictures told, first reports made.
const STARTS: Duration = Duration::from_secs(5);
/// Long enough for marks, pictures and a few hundred stops.
const LIVES: Duration = Duration::from_secs(20);
/// As the broker writes it into its log.
const TOLD: &str = "Received PUBLISH from ";
const CONNECTED: &str = "New client connected from ";

fn main() {
    // Listeners, and both ends of a connection are two.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    println!("+kB/PLC: for each one more than in the first row");
    println!("load average {}", fs::read_to_string("/proc/loadavg").unwrap().trim());
    head("at 200 ms, a machine each");
    table(&MACHINES, machine);
    head("at 1 s, 40 registers, no machine");
    table(&PLANTS, registers);
    head("at 1 s, 40 registers, a machine each");
    table(&PLANTS, |n, plc| registers(n, plc) + &counted(n));
}

fn machine(n: usize, plc: &Plc) -> String {
    format!(
        "[[plc]]\nid = \"p{n}\"\ntcp = \"{}\"\npoll = \"200ms\"\n[plc.points]\nrun = {{ coil = 0 }}\n\
         total = {{ holding = 0, type = \"u32\" }}\nreject = {{ holding = 2, type = \"u32\" }}\n\
         fault = {{ holding = 4 }}\n\
         [[machine]]\nid = \"m{n}\"\nline = \"l\"\nideal_cycle = \"1s\"\nrun = \"p{n}.run\"\n\
         total = \"p{n}.total\"\nreject = \"p{n}.reject\"\nfault = \"p{n}.fault\"\nshort_stop = \"2s\"\n",
        plc.address
    )
}

fn registers(n: usize, plc: &Plc) -> String {
    let mut toml = format!(
        "[[plc]]\nid = \"p{n}\"\ntcp = \"{}\"\npoll = \"1s\"\n[plc.points]\n\
         total = {{ holding = 0, type = \"u32\" }}\n",
        plc.address
    );
    for register in 2..REGISTERS {
        writeln!(toml, "r{register} = {{ holding = {register} }}").unwrap();
    }
    toml
}

/// Seen to run by its counter.
fn counted(n: usize) -> String {
    format!(
        "[[machine]]\nid = \"m{n}\"\nline = \"l\"\nideal_cycle = \"1s\"\ntotal = \"p{n}.total\"\n\
         fault = \"p{n}.r2\"\nstop_after = \"3s\"\nshort_stop = \"5s\"\n"
    )
}

fn head(of: &str) {
    println!(
        "{of}\n{:>6} {:>10} {:>10} {:>9} {:>12} {:>8} {:>11} {:>7} {:>10} {:>9}",
        "PLCs",
        "VmRSS kB",
        "VmHWM kB",
        "+kB/PLC",
        "descriptors",
        "threads",
        "requests/s",
        "CPU %",
        "µs/request",
        "messages"
    );
}

fn table(sizes: &[usize], toml_of: impl Fn(usize, &Plc) -> String) {
    let mut first = None;
    for plcs in sizes {
        let resident = live(*plcs, &toml_of, first);
        first.get_or_insert((*plcs, resident));
    }
}

/// Gives the resident memory; that of the `first` size is what every other one has grown from.
fn live(plcs: usize, toml_of: impl Fn(usize, &Plc) -> String, first: Option<(usize, f64)>) -> f64 {
    let broker = Mosquitto::start(&Door::Anonymous);
    let plcs: Vec<Plc> = (0..plcs).map(|_| Plc::start()).collect();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut config = format!(
        "[gateway]\nid = \"bench\"\npath = \"acme/leipzig/hall-3\"\ntimezone = \"Europe/Berlin\"\ndata_dir = {:?}\n\
         [mqtt]\nbrokers = [\"mqtt://127.0.0.1:{}\"]\n",
        folder.path().join("data"),
        broker.port
    );
    plcs.iter().enumerate().for_each(|(n, plc)| config += &toml_of(n, plc));
    let toml = folder.path().join("andon.toml");
    fs::write(&toml, config).unwrap();
    plcs.iter().for_each(|plc| _ = plc.set(true));
    let andon = Daemon::start(&toml);
    // What only ever waits for a broker takes other memory, and sends nothing.
    eventually("the broker is told something", || broker.logged(TOLD) > 0);
    thread::sleep(STARTS);
    let (begun, before, mut chance) = (Instant::now(), spent(&plcs, &andon), fastrand::Rng::with_seed(1));
    while begun.elapsed() < LIVES {
        for plc in &plcs {
            // One machine in ten changes each second.
            if chance.u8(0..10) == 0 {
                plc.set(chance.bool());
            }
        }
        thread::sleep(Duration::from_secs(1));
    }
    assert_eq!(broker.logged(CONNECTED), 1, "one connection to the broker, from beginning to end");
    show(&plcs, &andon, &broker, begun.elapsed(), before, first)
}

fn show(
    plcs: &[Plc],
    andon: &Daemon,
    broker: &Mosquitto,
    lived: Duration,
    before: (u64, Duration),
    first: Option<(usize, f64)>,
) -> f64 {
    let (requests, busy) = spent(plcs, andon);
    let requests = (requests - before.0) as f64 / lived.as_secs_f64();
    let busy = (busy - before.1).as_secs_f64() / lived.as_secs_f64();
    let proc = format!("/proc/{}", andon.pid());
    let status = fs::read_to_string(format!("{proc}/status")).expect("it still runs");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").to_owned()
    };
    let descriptors = fs::read_dir(format!("{proc}/fd")).unwrap().count();
    let resident: f64 = field("VmRSS").parse().unwrap();
    let more = first.map(|(plcs_then, then)| (resident - then) / (plcs.len() - plcs_then) as f64);
    println!(
        "{:>6} {:>10} {:>10} {:>9} {descriptors:>12} {:>8} {requests:>11.1} {:>7.2} {:>10.0} {:>9}",
        plcs.len(),
        field("VmRSS"),
        field("VmHWM"),
        more.map_or_else(String::new, |kb| format!("{kb:.1}")),
        field("Threads"),
        busy * 100.0,
        busy * 1e6 / requests,
        broker.logged(TOLD),
    );
    resident
}

/// Requests so far, and what all threads of the daemon had of the processor; finer than the ticks of `stat`.
fn spent(plcs: &[Plc], andon: &Daemon) -> (u64, Duration) {
    let threads = fs::read_dir(format!("/proc/{}/task", andon.pid())).expect("it still runs");
    let ns = |schedstat: String| schedstat.split(' ').next().unwrap().parse::<u64>().unwrap();
    let of = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("schedstat")).map_or(0, ns);
    let busy = Duration::from_nanos(threads.map(|thread| of(thread.unwrap())).sum());
    (plcs.iter().map(Plc::requests).sum(), busy)
}
