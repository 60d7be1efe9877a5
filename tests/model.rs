//! The time model a second time: a slow, plain reading of its words, held against the engine over random machine-days.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    unreachable_pub,
    reason = "a test, and a crate of its own"
)]

#[path = "model/chance.rs"]
mod chance;
#[path = "model/compare.rs"]
mod compare;
#[path = "model/engine.rs"]
mod engine;
#[path = "model/machine.rs"]
mod machine;
#[path = "model/plant.rs"]
mod plant;
#[path = "model/published.rs"]
mod published;
#[path = "model/samples.rs"]
mod samples;
#[path = "model/tape.rs"]
mod tape;
#[path = "model/window.rs"]
mod window;
#[path = "model/words.rs"]
mod words;

use chance::Region;
use compare::{Compared, compare};
use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::{Duration, Instant},
};

/// An ordinary run does as many machine-days as fit into this time.
const ORDINARY: Duration = Duration::from_secs(4);
/// However slow the machine is.
const LEAST: u64 = 5;
/// So many differences of one machine-day are shown.
const SHOWN: usize = 12;

/// Compares machine-days until time is up, or `ANDON_MODEL_DAYS` of them, beginning with seed `ANDON_MODEL_SEED`.
fn machine_days(region: Region) {
    let number = |name: &str| env::var(name).ok().map(|days| days.parse::<u64>().expect(name));
    let (days, seed) = (number("ANDON_MODEL_DAYS"), number("ANDON_MODEL_SEED").unwrap_or(1));
    let began = Instant::now();
    let (mut done, mut all, mut wrong) = (0, Compared::default(), Vec::new());
    while days.map_or_else(|| done < LEAST || began.elapsed() < ORDINARY, |days| done < days) && wrong.len() < 5 {
        let seed = seed + done;
        let scenario = chance::scenario(seed, region);
        let found = catch_unwind(AssertUnwindSafe(|| compare(&scenario)));
        let (compared, differences) = found.unwrap_or_else(|_| (Compared::default(), vec!["panicked".to_owned()]));
        if !differences.is_empty() {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
            fs::write(folder.join(format!("model-{seed}.toml")), &scenario.toml).unwrap();
            fs::write(folder.join(format!("model-{seed}.csv")), &scenario.csv).unwrap();
            fs::write(folder.join(format!("model-{seed}.txt")), differences.join("\n")).unwrap();
            let shown = differences[..differences.len().min(SHOWN)].join("\n  ");
            wrong.push(format!("seed {seed}, {} differences:\n  {shown}", differences.len()));
        }
        all.windows += compared.windows;
        all.downtimes += compared.downtimes;
        done += 1;
    }
    println!("{done} machine-days, {} windows, {} downtimes in {:?}", all.windows, all.downtimes, began.elapsed());
    assert!(wrong.is_empty(), "engine and model differ ({}):\n{}", env!("CARGO_TARGET_TMPDIR"), wrong.join("\n"));
    assert!(all.windows > done && all.downtimes > 0, "nothing was compared");
}

#[test]
fn engine_and_model_agree_on_days_without_a_calendar() {
    machine_days(Region { shifts: false, orders: false, cells: false, codes: false, rough: false });
}

#[test]
fn engine_and_model_agree_on_state_codes() {
    machine_days(Region { shifts: false, orders: false, cells: false, codes: true, rough: false });
}

#[test]
fn engine_and_model_agree_on_shifts_and_breaks() {
    machine_days(Region { shifts: true, orders: false, cells: false, codes: false, rough: false });
}

#[test]
fn engine_and_model_agree_on_orders() {
    machine_days(Region { shifts: false, orders: true, cells: false, codes: false, rough: false });
}

#[test]
#[ignore = "the engine reads some words otherwise"]
fn engine_and_model_agree_on_rough_days() {
    machine_days(Region { shifts: true, orders: true, cells: false, codes: false, rough: true });
}

#[test]
fn engine_and_model_agree_on_everything_at_once() {
    machine_days(Region { shifts: true, orders: true, cells: true, codes: true, rough: false });
}
