//! One connection, one request in flight: how many requests a second our link and libmodbus' C client get through, and
//! what a request costs each of them. Both ask the same server, by libmodbus too, in turns.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use andon::{
    io::plc::{Channel, Settings, probe::Probe},
    signal::point::Area,
};
use rustix::time::{ClockId, clock_gettime};
use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Of each request.
const REGISTERS: [u16; 2] = [10, 100];
/// Of a turn: a second or two.
const REQUESTS: u32 = 100_000;
/// Of each client; odd, so that there is one in the middle.
const TURNS: usize = 9;
/// Requests a second, least share of libmodbus'.
const SPEED_LEAST: f64 = 0.9;
/// Time of the processor, most share of libmodbus'.
const CPU_MOST: f64 = 1.2;

fn main() {
    let args: Vec<String> = env::args().collect();
    if let [_, role, port, registers, requests] = args.as_slice()
        && role == "client"
    {
        return client(port, registers.parse().unwrap(), requests.parse().unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&compiled("tests/peers/modbus_server.c", folder.path()));
    let libmodbus = compiled("benches/modbus_client.c", folder.path());
    let ours = env::current_exe().unwrap();

    println!("load average {}", fs::read_to_string("/proc/loadavg").unwrap().trim());
    println!("{:<20} {:>16} {:>16} {:>20}", "median of turns", "libmodbus", "andon", "ratio in a turn");
    for registers in REGISTERS {
        let (mut theirs_all, mut ours_all) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            theirs_all.push(turn(Command::new(&libmodbus), &server, registers));
            let mut link = Command::new(&ours);
            link.arg("client");
            ours_all.push(turn(link, &server, registers));
        }
        type Figure = fn(&Cost) -> f64;
        let figures: [(&str, Figure, String); 2] = [
            ("requests/s", |cost| f64::from(REQUESTS) / cost.wall_s, format!("≥ {SPEED_LEAST}")),
            ("µs CPU/request", |cost| cost.cpu_s * 1e6 / f64::from(REQUESTS), format!("≤ {CPU_MOST}")),
        ];
        println!("{registers} registers");
        for (name, figure, limit) in figures {
            let digits = if name.starts_with('µ') { 2 } else { 0 };
            let of = |costs: &[Cost]| median(costs.iter().map(figure).collect());
            let ratios = theirs_all.iter().zip(&ours_all).map(|(theirs, ours)| figure(ours) / figure(theirs)).collect();
            println!(
                "  {name:<18} {:>16.digits$} {:>16.digits$} {:>12.2} ({limit})",
                of(&theirs_all),
                of(&ours_all),
                median(ratios)
            );
        }
    }
}

/// What the requests of one turn took.
struct Cost {
    wall_s: f64,
    cpu_s: f64,
}

/// A client runs in a process of its own, so that nothing but it is measured.
fn turn(mut client: Command, server: &Server, registers: u16) -> Cost {
    let asked = [server.port.clone(), registers.to_string(), REQUESTS.to_string()];
    let said = client.args(asked).stderr(Stdio::inherit()).output().unwrap();
    assert!(said.status.success(), "{client:?}");
    let figures: Vec<f64> =
        String::from_utf8(said.stdout).unwrap().split_whitespace().map(|figure| figure.parse().unwrap()).collect();
    Cost { wall_s: figures[0], cpu_s: figures[1] }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Our side: the link as the daemon has it, on a runtime as the daemon has it.
fn client(port: &str, registers: u16, requests: u32) {
    let channel = Channel::tcp(format!("127.0.0.1:{port}"));
    let mut link = Probe::new(Settings { channel, ..Settings::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        ask(&mut link, registers, requests / 100).await;
        let (wall, cpu) = (Instant::now(), processor_time());
        ask(&mut link, registers, requests).await;
        println!("{:.6} {:.6}", wall.elapsed().as_secs_f64(), (processor_time() - cpu).as_secs_f64());
    });
}

async fn ask(link: &mut Probe, registers: u16, requests: u32) {
    for _ in 0..requests {
        // From 1 on: the server counts in register 0.
        let held = link.read(Area::Holding, 1, registers).await.expect("the server answers");
        assert!(held.len() == usize::from(registers) && held[0] == 31 + 7, "{held:?}");
    }
}

/// In user and in kernel mode, of this process.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

/// Compiles a peer against libmodbus (Debian: `apt-get install gcc libmodbus-dev`).
fn compiled(source: &str, folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let program = folder.join(source.file_stem().unwrap());
    let gcc = Command::new("gcc").args(["-O2", "-Wall", "-o"]).args([&program, &source]).arg("-lmodbus").status();
    assert!(gcc.expect("gcc is installed").success(), "{} compiles with libmodbus-dev", source.display());
    program
}

/// Dies with its owner.
struct Server {
    process: Child,
    port: String,
}

impl Server {
    fn start(program: &Path) -> Server {
        let mut process = Command::new(program).arg("0").stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Server { process, port: port.trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}
