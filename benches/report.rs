//! How long `andon report` takes over a year: one machine by shifts, 50 machines by days, and what is counted from pages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "../tests/common/plant.rs"]
mod plant;

use plant::{BEGIN, DAY_MS, HOUR_MS, MINUTE_MS, Plant, Temper, config, name};
use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const MACHINES: usize = 50;
/// Of each time the best of so many runs, with the start of the program.
const RUNS: usize = 7;
/// A look every few minutes, a stop every two hours.
const CALM: Temper = Temper { look_ms: (MINUTE_MS, 4 * MINUTE_MS), dark: 20_000, run_ms: 2 * HOUR_MS, faults: true };

fn main() {
    let (year, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let end = BEGIN.plus(365 * DAY_MS);
    let begun = Instant::now();
    // Three machines live a year; the 50 have lived like one of them, and live their last two days themselves.
    let mut model = Plant::open(year.path(), 3, CALM, 1);
    model.snapshot_every(10_000);
    model.live(end);
    model.close(true);
    let mut plant = Plant::open_at(folder.path(), MACHINES, CALM, 2, end);
    plant.snapshot_every(2_000);
    plant.live(end.plus(2 * DAY_MS));
    plant.close(false);
    take_over(year.path(), folder.path());
    let events = (model.told.len(), plant.told.len());
    println!("{} and {} events made in {:.0} s", events.0, events.1, begun.elapsed().as_secs_f64());
    let db = folder.path().join("data/andon.db");
    println!("the database of {MACHINES} machines: {} MB\n", std::fs::metadata(db).unwrap().len() >> 20);

    println!("{:<58} {:>8} {:>9} {:>8}", "andon report", "windows", "kB", "ms");
    let month = ["--from", "2027-06-01T00:00:00Z", "--to", "2027-07-01T00:00:00Z"];
    let mut cases: Vec<(String, Vec<&str>)> = Vec::new();
    for format in ["csv", "table", "json"] {
        for (what, words) in [
            ("one machine, a year of shifts", vec!["--machine", "m0", "--window", "shift"]),
            ("50 machines, a year of days", vec!["--window", "day"]),
        ] {
            cases.push((format!("{what}, {format}"), [words, vec!["--format", format]].concat()));
        }
    }
    for (what, words) in [
        ("one machine, a month of hours, csv", vec!["--machine", "m0", "--window", "hour"]),
        ("one machine, a month of orders, csv", vec!["--machine", "m1", "--window", "order"]),
        ("one machine, a month in one, csv", vec!["--machine", "m0", "--window", "all"]),
        ("50 machines, a month in one, csv", vec!["--window", "all"]),
    ] {
        cases.push((what.to_owned(), [&words[..], &month, &["--format", "csv"]].concat()));
    }
    for (what, words) in cases {
        let (ms, out) = best(folder.path(), &words);
        let windows = match *words.last().unwrap() {
            "json" => out.matches("\"final\":").count(),
            "csv" => out.lines().count() - 1,
            _ => out.lines().filter(|line| line.contains("availability ")).count(),
        };
        println!("{what:<58} {windows:>8} {:>9} {ms:>8.1}", out.len() / 1000);
    }
    let (ms, _) = best(year.path(), &["--verify"]);
    println!("{:<58} {:>8} {:>9} {ms:>8.0}", format!("--verify of {} events, three machines", events.0), "", "");
}

/// The lines of the models' year for every machine, and the rest of the configuration.
fn take_over(from: &Path, to: &Path) {
    std::fs::write(to.join("andon.toml"), config(to, MACHINES)).unwrap();
    let db = rusqlite::Connection::open(to.join("data/andon.db")).unwrap();
    db.execute_batch(&format!("ATTACH '{}' AS year", from.join("data/andon.db").display())).unwrap();
    db.execute_batch("INSERT OR IGNORE INTO terms SELECT * FROM year.terms; BEGIN").unwrap();
    for n in 0..MACHINES {
        for table in ["stated", "stated_more", "page"] {
            let columns: Vec<String> = db
                .prepare(&format!("SELECT name FROM pragma_table_info('{table}') WHERE name <> 'machine'"))
                .unwrap()
                .query_map([], |row| row.get(0))
                .unwrap()
                .map(Result::unwrap)
                .collect();
            let columns = columns.join(", ");
            let sql = format!(
                "INSERT OR IGNORE INTO main.{table} (machine, {columns})
                 SELECT '{}', {columns} FROM year.{table} WHERE machine = '{}'",
                name(n),
                name(n % 3)
            );
            db.execute_batch(&sql).unwrap();
        }
    }
    db.execute_batch("COMMIT").unwrap();
}

fn best(folder: &Path, words: &[&str]) -> (f64, String) {
    let mut best = Duration::MAX;
    let mut out = String::new();
    for _ in 0..RUNS {
        let mut andon = Command::new(env!("CARGO_BIN_EXE_andon"));
        andon.arg("report").args(["-c", "andon.toml"]).args(words).current_dir(folder).stderr(Stdio::inherit());
        let begun = Instant::now();
        let output = andon.env("RUNTIME_DIRECTORY", folder).output().unwrap();
        best = best.min(begun.elapsed());
        assert!(output.status.success());
        out = String::from_utf8(output.stdout).unwrap();
    }
    (best.as_secs_f64() * 1000.0, out)
}
