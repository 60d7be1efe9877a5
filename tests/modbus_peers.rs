//! Peers that others wrote: a server and a client by libmodbus.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use andon::{
    io::{
        clock::Clock,
        plc::{self, Channel, Settings, Word},
        samples::Samples,
    },
    signal::{
        Bad, Observation, Point, PointIx, Reading, Value,
        point::{Area, Kind, Order},
    },
    sim::Bench,
};
use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{sync::mpsc, time::timeout};

const DEADLINE: Duration = Duration::from_secs(30);

/// Compiles a peer against libmodbus (Debian: `apt-get install gcc libmodbus-dev`).
fn compiled(peer: &str, folder: &TempDir) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(peer).with_extension("c");
    let program = folder.path().join(peer);
    let status =
        Command::new("gcc").args(["-Wall", "-Werror", "-o"]).args([&program, &source]).arg("-lmodbus").status();
    assert!(status.expect("gcc is installed").success(), "{} compiles with libmodbus-dev", source.display());
    program
}

/// A server that dies with the test.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(program: &Path, port: u16) -> Server {
        let mut process = Command::new(program).arg(port.to_string()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Server { process, port: line.trim().parse().expect("it printed its port") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn points(list: &[(Area, u16, Kind)]) -> Vec<(PointIx, Point)> {
    let point = |(ix, (area, address, kind)): (usize, &(Area, u16, Kind))| {
        let (area, address, kind) = (*area, *address, *kind);
        let (name, order, invert, hold_ms) = (format!("plc.p{ix}"), Order::Abcd, false, 0);
        let (scale, offset, modulus) = (1.0, 0.0, None);
        (PointIx(ix), Point { name, area, address, kind, order, invert, hold_ms, scale, offset, modulus })
    };
    list.iter().enumerate().map(point).collect()
}

fn settings(port: u16, points: Vec<(PointIx, Point)>) -> Settings {
    Settings {
        id: "plc".into(),
        // A name, as in real configurations.
        channel: Channel::tcp(format!("localhost:{port}")),
        poll: Duration::from_millis(20),
        points,
        ..Settings::default()
    }
}

async fn next_answered(words: &mut mpsc::Receiver<Word>) -> Observation {
    loop {
        let word = timeout(DEADLINE, words.recv()).await.expect("a word in time").expect("the task runs");
        if let Word::Seen(seen) = word
            && seen.readings.iter().any(|(_, reading)| matches!(reading, Reading::Good(_)))
        {
            return seen;
        }
    }
}

fn int(n: i64) -> Reading {
    Reading::Good(Value::Int(n))
}

fn bit(set: bool) -> Reading {
    Reading::Good(Value::Bool(set))
}

#[tokio::test]
async fn libmodbus_as_a_plc_is_read_and_found_again_after_a_crash() {
    const BIT: Kind = Kind::Bool { bit: None };
    let folder = tempfile::tempdir().unwrap();
    let program = compiled("modbus_server", &folder);
    let server = Server::start(&program, 0);
    let port = server.port;
    let points = points(&[
        (Area::Holding, 0, Kind::U16),
        (Area::Holding, 1, Kind::U32),
        (Area::Holding, 299, Kind::U16),
        // The device ends at 299; read together with its neighbour this is refused.
        (Area::Holding, 300, Kind::U16),
        (Area::Input, 1001, Kind::I16),
        (Area::Coil, 3, BIT),
        (Area::Coil, 4, BIT),
        (Area::Discrete, 99, BIT),
        (Area::Discrete, 98, BIT),
    ]);
    let (out, mut words) = mpsc::channel(64);
    tokio::spawn(plc::run(vec![settings(port, points)], Clock::start(1), out));

    let expected = [
        int(38 << 16 | 69),
        int(299 * 31 + 7),
        Reading::Bad(Bad::Refused(2)),
        int(1001 * 31 + 7),
        bit(true),
        bit(false),
        bit(true),
        bit(false),
    ];
    let held =
        |seen: &Observation| seen.readings.iter().skip(1).map(|(_, reading)| reading.clone()).collect::<Vec<_>>();
    let counted = |seen: &Observation| match seen.readings[0] {
        (_, Reading::Good(Value::Int(n))) => n,
        ref other => panic!("{other:?}"),
    };
    let first = next_answered(&mut words).await;
    assert_eq!(held(&first), expected);
    let second = next_answered(&mut words).await;
    assert_eq!(held(&second), expected);
    assert!(counted(&second) > counted(&first), "each look is a fresh one");

    drop(server);
    loop {
        match timeout(DEADLINE, words.recv()).await.expect("a word in time").expect("the task runs") {
            Word::Lost { plc, .. } => break assert_eq!(plc, "plc"),
            Word::Seen(_) | Word::Noted { .. } | Word::Counted { .. } => {}
            Word::Back { .. } => panic!("it was not lost"),
        }
    }
    let _again = Server::start(&program, port);
    let back = next_answered(&mut words).await;
    assert_eq!(held(&back), expected);
}

#[tokio::test]
async fn libmodbus_as_a_client_reads_the_simulated_plc_and_may_not_write() {
    let folder = tempfile::tempdir().unwrap();
    let program = compiled("modbus_client", &folder);
    let points = points(&[
        (Area::Holding, 10, Kind::U32),
        (Area::Holding, 13, Kind::U16),
        (Area::Input, 5, Kind::F32),
        (Area::Coil, 3, Kind::Bool { bit: None }),
        (Area::Coil, 4, Kind::Bool { bit: None }),
        (Area::Input, 7, Kind::U16),
    ]);
    let samples = folder.path().join("line.csv");
    let names: Vec<_> = points.iter().map(|(_, point)| point.name.as_str()).collect();
    std::fs::write(&samples, format!("time,{}\n0,65538,7,!,0,1,9\n60000,,,,,,\n", names.join(","))).unwrap();
    let samples = Samples::open(&samples, &points).unwrap();
    let bench = Bench::bind(&[settings(1502, points)], Some(SocketAddr::from(([127, 0, 0, 1], 0)))).await.unwrap();
    let port = bench.addresses()[0].port();
    let playing = tokio::spawn(bench.play(samples, 20));

    let client = tokio::task::spawn_blocking(move || Command::new(program).arg(port.to_string()).output().unwrap());
    let output = timeout(DEADLINE, client).await.expect("the client ends").unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "holding 10+4: 1 2 0 7\n\
         holding 9+1: Illegal data address\n\
         input 5+1: Slave device or server failure\n\
         input 6+1: Slave device or server failure\n\
         coils 3+2: 0 1\n\
         write register: Illegal function\n\
         write coil: Illegal function\n"
    );
    // A minute at twenty times the speed, and it ends by itself.
    timeout(DEADLINE, playing).await.expect("the line ends").unwrap().unwrap();
}
