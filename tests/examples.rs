//! The device profiles of `config/examples`: each is a good configuration, and reads its device as the manual says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;

use andon::{Peer, Place, andon};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path};

/// A profile, and of each of its points: name, table, address from 0, value, and the registers that hold it.
type Profile = (&'static str, &'static [(&'static str, &'static str, u16, &'static str, &'static [u16])]);

const PROFILES: [Profile; 7] = [
    (
        "adam-6050",
        &[
            ("adam.run", "coil", 0, "1", &[1]),
            // 40003 is the low word.
            ("adam.total", "holding", 2, "65538", &[2, 1]),
            ("adam.reject", "holding", 4, "3000000000", &[0x5E00, 0xB2D0]),
            ("adam.total_overflow", "coil", 38, "0", &[0]),
            ("adam.reject_overflow", "coil", 42, "1", &[1]),
        ],
    ),
    (
        "iologik-e1210",
        &[
            ("iologik.run", "discrete", 0, "1", &[1]),
            // 30019 is the high word.
            ("iologik.total", "input", 18, "65538", &[1, 2]),
            ("iologik.reject", "input", 20, "7", &[0, 7]),
            ("iologik.total_overflow", "discrete", 1001, "0", &[0]),
            ("iologik.guard_closed", "input", 48, "1", &[8]),
        ],
    ),
    (
        "brainboxes-ed-588",
        &[
            ("brainboxes.run", "discrete", 0, "0", &[0]),
            ("brainboxes.total", "input", 1, "65535", &[65_535]),
            ("brainboxes.reject", "input", 2, "3", &[3]),
        ],
    ),
    (
        "seneca-z-d-in",
        &[
            // Input 1 and the overflow of counter 2 share a register.
            ("seneca.run", "holding", 1, "1", &[0x0201]),
            ("seneca.total_overflow", "holding", 1, "1", &[0x0201]),
            ("seneca.total", "holding", 3, "40000", &[40_000]),
        ],
    ),
    (
        "banner-dx80",
        &[
            // 1 + 16 · node, counted from 0.
            ("dx80.run", "holding", 16, "1", &[1]),
            ("dx80.total", "holding", 18, "131075", &[2, 3]),
            ("dx80.radio", "holding", 23, "128", &[128]),
        ],
    ),
    (
        "s7-1200",
        &[
            // DBX0.0 and DBX1.0: the first byte is the high one.
            ("s7.run", "holding", 0, "1", &[0x0101]),
            ("s7.guard", "holding", 0, "1", &[0x0101]),
            ("s7.fault", "holding", 1, "12", &[12]),
            ("s7.good", "holding", 2, "-2", &[0xFFFF, 0xFFFE]),
            ("s7.reject", "holding", 4, "65538", &[1, 2]),
            ("s7.speed", "holding", 6, "12.5", &[0x4148, 0]),
            ("s7.order", "holding", 10, "A-4711", &[0x412D, 0x3437, 0x3131, 0]),
        ],
    ),
    (
        "packml",
        &[
            ("wrapper.state", "holding", 0, "6", &[0, 6]),
            ("wrapper.total", "holding", 2, "65538", &[1, 2]),
            ("wrapper.reject", "holding", 4, "9", &[0, 9]),
            ("wrapper.stop_id", "holding", 6, "12", &[0, 12]),
            ("wrapper.speed", "holding", 8, "118.5", &[0x42ED, 0]),
        ],
    ),
];

fn text(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/examples/{name}.toml"))).unwrap()
}

#[test]
fn every_example_is_tested_here() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    let there: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(there, PROFILES.iter().map(|(name, _)| (*name).to_owned()).collect());
}

#[test]
fn every_example_passes_the_check() {
    for (name, _) in PROFILES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/examples/{name}.toml"));
        let answer = andon::Answer::of(andon(&["check", "-c", path.to_str().unwrap()]));
        assert_eq!(answer.code, 0, "{name}: {}", answer.err);
    }
}

#[test]
fn the_serial_line_that_an_example_speaks_of_passes_the_check() {
    let text = text("seneca-z-d-in");
    let from = text.find("#      [[serial]]").unwrap();
    let lines = text[from..].lines().map_while(|line| line.strip_prefix("#      "));
    let serial: String = lines.flat_map(|line| [line, "\n"]).collect();
    let tcp = text.lines().find(|line| line.starts_with("tcp ")).unwrap();
    let place = Place::with(&(text.replace(tcp, "serial  = \"line-a\"") + &serial));
    let answer = place.ask(&["check", "-c", "andon.toml"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(serial.contains("baud   = 38400"), "{serial}");
    // A word that is none would be found.
    place.configure(&place.read("andon.toml").replace("baud ", "bauds"));
    assert_eq!(place.ask(&["check", "-c", "andon.toml"]).code, 78);
}

#[test]
fn every_example_reads_its_device_at_these_addresses_in_this_order() {
    for (name, points) in PROFILES {
        let place = Place::with(&text(name));
        let column = |cell: &dyn Fn(usize) -> &'static str| (0..points.len()).map(cell).collect::<Vec<_>>().join(",");
        let (head, cells) = (column(&|ix| points[ix].0), column(&|ix| points[ix].3));
        place.write("line.csv", &format!("time,{head}\n1000,{cells}\n61000,{cells}\n"));
        let words = ["sim", "-c", "andon.toml", "--samples", "line.csv", "--listen", "127.0.0.1:0"];
        let mut sim = Peer::start(&mut place.command(&words));
        let address = sim.line().split_once(' ').unwrap().1.to_owned();
        let config = text(name);
        let tcp = config.lines().find(|line| line.starts_with("tcp ")).unwrap();
        place.configure(&config.replace(tcp, &format!("tcp = \"{address}\"")));

        let answer = place.ask(&["probe", "-c", "andon.toml", "--format", "json"]);
        assert_eq!(answer.code, 0, "{name}: {}", answer.err);
        let seen: Value = serde_json::from_str(&answer.out).unwrap();
        let plc = &seen["plcs"][0];
        assert_eq!(plc["points"].as_array().unwrap().len(), points.len(), "{name}: every point is tested");
        assert_eq!(plc["hints"], json!([]), "{name}");
        for (point, area, address, value, registers) in points {
            let shown = plc["points"].as_array().unwrap().iter().find(|shown| shown["point"] == *point).unwrap();
            assert_eq!((&shown["area"], &shown["address"]), (&json!(area), &json!(address)), "{point}");
            assert_eq!(shown["raw"], json!(registers), "{point}");
            let said = match &shown["value"] {
                Value::Bool(bit) => u8::from(*bit).to_string(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(said, *value, "{point}");
        }
    }
}
