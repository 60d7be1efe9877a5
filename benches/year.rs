//! Whether a year leaves anything behind in memory: engine, history and journal over twelve simulated months, looked at after each.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "../tests/common/plant.rs"]
mod plant;

use plant::{BEGIN, DAY_MS, HOUR_MS, MINUTE_MS, Plant, Temper};
use std::{fs, time::Instant};

const MACHINES: usize = 20;
const MONTHS: i64 = 12;
const MONTH_MS: i64 = 365 * DAY_MS / MONTHS;
/// A look every minute or two, a stop every hour, hours of darkness some times a month.
const TEMPER: Temper = Temper { look_ms: (MINUTE_MS, 2 * MINUTE_MS), dark: 10_000, run_ms: HOUR_MS, faults: true };
/// What the twelfth month may hold more than the first.
const MORE: f64 = 1.15;

fn main() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let begun = Instant::now();
    let mut plant = Plant::open(folder.path(), MACHINES, TEMPER, 1);
    plant.snapshot_every(2_000);
    println!(
        "{MACHINES} machines\n{:>5} {:>10} {:>9} {:>12} {:>12} {:>6}",
        "month", "events", "VmRSS kB", "snapshot kB", "database MB", "s"
    );
    let (mut events, mut resident) = (0, Vec::new());
    for month in 1..=MONTHS {
        let until = BEGIN.plus(month * MONTH_MS);
        while plant.now.plus(DAY_MS) < until {
            plant.live(plant.now.plus(DAY_MS));
            // The tests keep what was told; a gateway does not.
            events += plant.told.len();
            plant.told.clear();
        }
        plant.settle();
        let snapshot = serde_json::to_string(plant.known()).unwrap().len();
        let database = fs::metadata(plant.data_dir().join("andon.db")).unwrap().len();
        resident.push(resident_kb());
        println!(
            "{month:>5} {events:>10} {:>9} {:>12} {:>12} {:>6.0}",
            resident_kb(),
            snapshot / 1000,
            database >> 20,
            begun.elapsed().as_secs_f64()
        );
    }
    let grown = resident[resident.len() - 1] as f64 / resident[0] as f64;
    println!("the last month holds {:.2} of the first", grown);
    assert!(grown < MORE, "memory grew over the year");
    plant.close(true);
}

/// Of this process: whatever the simulation of the machines takes is the same in each month.
fn resident_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
