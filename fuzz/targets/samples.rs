//! Any bytes as a sample file in; rows in order of time or an error out, never a panic.
#![no_main]

use andon::{
    config::load_text,
    event::Stamp,
    io::samples::Samples,
    signal::{Observation, Point, PointIx},
};
use libfuzzer_sys::fuzz_target;
use std::{cell::OnceCell, fs, path::PathBuf};

thread_local! {
    static POINTS: OnceCell<Vec<(PointIx, Point)>> = const { OnceCell::new() };
}

/// One point of each form.
const CONFIG: &str = r#"
[gateway]
id = "gw"
path = "a/b"
timezone = "UTC"
[mqtt]
brokers = ["mqtt://127.0.0.1:1"]
[[plc]]
id = "p"
tcp = "127.0.0.1:1"
[plc.points]
r = { coil = 0 }
n = { holding = 0, type = "u32" }
f = { holding = 2, type = "f32" }
t = { holding = 4, type = "string(8)" }
[[machine]]
id = "m"
line = "l"
run = "p.r"
"#;

fn configured() -> Vec<(PointIx, Point)> {
    let (mut plan, _) = load_text("fuzz.toml", CONFIG).unwrap_or_else(|faults| panic!("{}", faults[0].render()));
    plan.plcs.remove(0).points
}

fuzz_target!(|bytes: &[u8]| {
    // In memory, one file a process, gone as soon as it is open.
    let path = PathBuf::from(format!("/dev/shm/fuzz-samples-{}.csv", std::process::id()));
    fs::write(&path, bytes).expect("memory to write to");
    POINTS.with(|points| {
        let points = points.get_or_init(configured);
        let opened = Samples::open(&path, points);
        let _ = fs::remove_file(&path);
        let Ok(mut samples) = opened else { return };
        let mut row = Observation { at: Stamp::MIN, readings: Vec::new() };
        let mut before = None;
        while let Ok(true) = samples.next_into(&mut row) {
            assert!(before.is_none_or(|before| before < row.at), "time rises");
            assert!(row.readings.iter().all(|(ix, _)| points.iter().any(|(known, _)| known == ix)));
            before = Some(row.at);
        }
    });
});
