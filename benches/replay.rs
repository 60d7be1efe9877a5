//! How many samples a second `andon replay` and the engine alone work off on one core. A sample is one machine's cells in one row.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use andon::{
    config,
    event::Stamp,
    shop::{Input, Known, Marks, Shop},
    signal::{Observation, PointIx, Reading, Value},
};
use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

/// Rows of the file: 23 days of a sample a second.
const ROWS: i64 = 2_000_000;
/// Samples that the engine alone is given, however many machines share them.
const SAMPLES: i64 = 4_000_000;
/// Of each figure the best of so many runs.
const RUNS: usize = 3;
/// 2026-11-01T00:00:00Z
const BEGIN_MS: i64 = 1_793_491_200_000;

/// A press that stands every few minutes, mostly for a short while: one look a second.
struct Press {
    chance: fastrand::Rng,
    run: bool,
    until: i64,
    total: i64,
    reject: i64,
    fault: i64,
}

impl Press {
    fn new(seed: u64) -> Press {
        Press { chance: fastrand::Rng::with_seed(seed), run: false, until: 0, total: 0, reject: 0, fault: 0 }
    }

    fn look(&mut self, second: i64) {
        if second >= self.until {
            self.run = !self.run;
            let stands = if self.chance.u8(0..4) == 0 { 120..900 } else { 5..110 };
            self.until = second + self.chance.i64(if self.run { 60..600 } else { stands });
            self.fault = if self.run || self.chance.bool() { 0 } else { self.chance.i64(1..5) };
        }
        if self.run {
            self.total += 1;
            self.reject += i64::from(self.chance.u8(0..50) == 0);
        }
    }
}

fn config(machines: usize) -> String {
    let mut toml =
        "[gateway]\nid = \"bench\"\npath = \"acme/leipzig/hall-3\"\ntimezone = \"Europe/Berlin\"\n".to_owned();
    for n in 0..machines {
        write!(
            toml,
            "[[plc]]\nid = \"p{n}\"\ntcp = \"127.0.0.1:{}\"\n[plc.points]\nrun = {{ coil = 0 }}\n\
             total = {{ holding = 0, type = \"u32\" }}\nreject = {{ holding = 2, type = \"u32\" }}\n\
             fault = {{ holding = 4 }}\n\
             [[machine]]\nid = \"m{n}\"\nline = \"l\"\nideal_cycle = \"1s\"\nrun = \"p{n}.run\"\n\
             total = \"p{n}.total\"\nreject = \"p{n}.reject\"\nfault = \"p{n}.fault\"\n",
            20_000 + n
        )
        .unwrap();
    }
    toml + "[[reason]]\ncode = \"jam\"\ntext = \"Jam\"\nclass = \"failure\"\nfaults = [1, 2]\n"
}

fn main() {
    println!("{:<44} {:>10}", "samples in", "a second");
    let folder = tempfile::tempdir().unwrap();
    let toml = folder.path().join("andon.toml");
    fs::write(&toml, config(1)).unwrap();
    let shown = |at: Stamp| at.to_string();
    for (name, time) in [("RFC 3339", &shown as &dyn Fn(Stamp) -> String), ("milliseconds", &|at| at.ms().to_string())]
    {
        let csv = folder.path().join("samples.csv");
        write_samples(&csv, time);
        let seconds = best(|| replay(&toml, &csv));
        println!("{:<44} {:>10.0}", format!("andon replay, times in {name}"), ROWS as f64 / seconds);
    }
    println!("\n{:<44} {:>10}", "Shop::turn", "ns/sample");
    for machines in [1, 100] {
        let ns = best(|| turn(machines)) * 1e9 / SAMPLES as f64;
        println!("{:<44} {ns:>10.0}", format!("{machines} machines, all seen each second"));
    }
}

fn best(run: impl FnMut() -> f64) -> f64 {
    std::iter::repeat_with(run).take(RUNS).fold(f64::INFINITY, f64::min)
}

fn write_samples(path: &Path, time: &dyn Fn(Stamp) -> String) {
    let mut out = BufWriter::new(File::create(path).unwrap());
    writeln!(out, "time,p0.run,p0.total,p0.reject,p0.fault").unwrap();
    let mut press = Press::new(1);
    for second in 0..ROWS {
        press.look(second);
        let at = time(Stamp::from_ms(BEGIN_MS + second * 1000));
        writeln!(out, "{at},{},{},{},{}", u8::from(press.run), press.total, press.reject, press.fault).unwrap();
    }
    out.flush().unwrap();
}

/// The real program, from its start to its report.
fn replay(toml: &Path, csv: &Path) -> f64 {
    let mut andon = Command::new(env!("CARGO_BIN_EXE_andon"));
    andon.arg("replay").arg("-c").arg(toml).arg("--samples").arg(csv).stdout(Stdio::null());
    let begun = cpu_s();
    assert!(andon.status().unwrap().success());
    cpu_s() - begun
}

fn turn(machines: usize) -> f64 {
    let (plan, _) = config::load_text("bench", &config(machines)).expect("the configuration is right");
    let mut shop = Shop::open(Arc::new(plan.rules), Known::default(), &Marks::default());
    let mut presses: Vec<Press> = (1..).take(machines).map(Press::new).collect();
    let blank = (0..machines * 4).map(|point| (PointIx(point), Reading::Good(Value::Int(0)))).collect();
    let mut seen = Observation { at: Stamp::MIN, readings: blank };
    let begun = cpu_s();
    let mut told = 0;
    for second in 0..SAMPLES / i64::try_from(machines).unwrap() {
        seen.at = Stamp::from_ms(BEGIN_MS + second * 1000);
        for (press, cells) in presses.iter_mut().zip(seen.readings.chunks_mut(4)) {
            press.look(second);
            let values =
                [Value::Bool(press.run), Value::Int(press.total), Value::Int(press.reject), Value::Int(press.fault)];
            for (cell, value) in cells.iter_mut().zip(values) {
                cell.1 = Reading::Good(value);
            }
        }
        told += shop.turn(Input::Observed(&seen), seen.at).told.len();
    }
    assert!(told > 0);
    cpu_s() - begun
}

/// Time of the processor, of this process and those that it waited for: whoever else runs here does not count.
fn cpu_s() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // Ticks of 10 ms: the 14th to 17th word, counted behind the name in brackets.
    let words: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    words[11..15].iter().map(|word| word.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}
