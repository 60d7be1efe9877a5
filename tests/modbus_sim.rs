//! A recorded line played by `sim` and read by `io::plc`: every kind of value comes through, and nothing that was not there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use andon::{
    event::Stamp,
    io::{
        clock::Clock,
        plc::{self, Channel, Settings, Word},
        samples::{self, Samples},
    },
    signal::{
        Bad, Observation, Point, PointIx, Reading, Value,
        point::{Area, Kind, Order},
    },
    sim::{Bench, Error, Rows},
};
use std::{fmt::Write as _, net::SocketAddr, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

const DEADLINE: Duration = Duration::from_secs(60);

fn anywhere() -> Option<SocketAddr> {
    Some(SocketAddr::from(([127, 0, 0, 1], 0)))
}

fn point(name: &str, area: Area, address: u16, kind: Kind, order: Order) -> Point {
    let (invert, hold_ms, scale, offset, modulus) = (false, 0, 1.0, 0.0, None);
    Point { name: name.into(), area, address, kind, order, invert, hold_ms, scale, offset, modulus }
}

/// Every kind, all orders, neighbours and gaps.
fn line() -> Vec<Point> {
    let bit = |n| Kind::Bool { bit: Some(n) };
    let none = Kind::Bool { bit: None };
    use Area::{Coil, Discrete, Holding, Input};
    use Order::{Abcd, Badc, Cdab, Dcba};
    vec![
        point("a.coil", Coil, 7, none, Abcd),
        Point { invert: true, ..point("a.inverted", Discrete, 30, none, Abcd) },
        point("a.flag", Holding, 0, none, Abcd),
        point("a.bit3", Holding, 1, bit(3), Abcd),
        point("a.bit9", Holding, 1, bit(9), Abcd),
        point("a.u16", Holding, 3, Kind::U16, Abcd),
        point("a.i16", Holding, 4, Kind::I16, Badc),
        point("a.u32", Holding, 5, Kind::U32, Cdab),
        point("a.i32", Holding, 7, Kind::I32, Dcba),
        point("a.u64", Holding, 10, Kind::U64, Badc),
        point("a.i64", Input, 0, Kind::I64, Cdab),
        point("a.f32", Input, 4, Kind::F32, Dcba),
        point("a.f64", Input, 6, Kind::F64, Abcd),
        point("a.bcd16", Input, 40, Kind::Bcd16, Abcd),
        point("a.bcd32", Input, 41, Kind::Bcd32, Cdab),
        point("a.text", Holding, 200, Kind::Text(9), Badc),
        Point { scale: 0.5, offset: -10.0, ..point("a.scaled", Holding, 300, Kind::U16, Abcd) },
    ]
}

fn settings(id: &str, first: usize, points: Vec<Point>, poll: Duration) -> Settings {
    Settings {
        id: id.into(),
        channel: Channel::tcp("127.0.0.1:0"),
        poll,
        timeout: Duration::from_secs(5),
        max_gap: 20,
        points: points.into_iter().enumerate().map(|(n, point)| (PointIx(first + n), point)).collect(),
        ..Settings::default()
    }
}

fn random(point: &Point, rng: &mut fastrand::Rng) -> Value {
    match point.kind {
        Kind::Bool { .. } => Value::Bool(rng.bool()),
        Kind::U16 if point.scale < 1.0 => Value::Real(f64::from(rng.u16(..)) * 0.5 - 10.0),
        Kind::U16 => Value::Int(rng.u16(..).into()),
        Kind::I16 => Value::Int(rng.i16(..).into()),
        Kind::U32 => Value::Int(rng.u32(..).into()),
        Kind::I32 => Value::Int(rng.i32(..).into()),
        Kind::U64 => Value::Int(rng.i64(0..)),
        Kind::I64 => Value::Int(rng.i64(..)),
        Kind::F32 => Value::Real(f64::from(rng.f32() * 1e6 - 5e5)),
        Kind::F64 => Value::Real(rng.f64() * 1e12),
        Kind::Bcd16 => Value::Int(rng.i64(0..10_000)),
        Kind::Bcd32 => Value::Int(rng.i64(0..100_000_000)),
        Kind::Text(_) => Value::Text(format!("A-{}", rng.u16(..)).into()),
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Bool(bit) => u8::from(*bit).to_string(),
        Value::Int(n) => n.to_string(),
        Value::Real(real) => format!("{real:?}"),
        Value::Text(text) => text.to_string(),
    }
}

#[tokio::test]
async fn every_kind_of_value_comes_through_in_the_order_in_which_it_was_recorded() {
    let mut rng = fastrand::Rng::with_seed(7);
    let points = line();
    let mut csv = format!("time,{}\n", points.iter().map(|point| point.name.as_str()).collect::<Vec<_>>().join(","));
    // What each point shows over time: before its first cell, failed.
    let failed = Reading::Bad(Bad::Refused(4));
    let mut history = vec![vec![failed.clone()]; points.len()];
    for row in 0..40 {
        write!(csv, "{}", 1_500_000_000_000i64 + row * 500).unwrap();
        for (point, history) in points.iter().zip(&mut history) {
            // The last row is complete, so that its sight is the end.
            let chance = if row == 39 { 9 } else { rng.u8(0..10) };
            csv.push(',');
            if chance == 0 {
                csv.push('!');
                history.push(failed.clone());
            } else if chance > 5 {
                let value = random(point, &mut rng);
                csv.push_str(&cell(&value));
                history.push(Reading::Good(value));
            }
        }
        csv.push('\n');
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line.csv");
    std::fs::write(&path, csv).unwrap();

    let mut settings = settings("a", 0, points.clone(), Duration::from_secs(1));
    let bench = Bench::bind(std::slice::from_ref(&settings), anywhere()).await.unwrap();
    settings.channel = Channel::tcp(bench.addresses()[0].to_string());
    let samples = Samples::open(&path, &settings.points).unwrap();
    let begun = Instant::now();
    let playing = tokio::spawn(bench.play(samples, 5));
    let (out, mut words) = mpsc::channel(64);
    tokio::spawn(plc::run(vec![settings], Clock::start(5), out));

    let mut reached = vec![0; points.len()];
    let (mut sights, mut complete) = (0, false);
    while !playing.is_finished() {
        match timeout(DEADLINE, words.recv()).await.expect("in time").expect("runs") {
            Word::Seen(seen) => {
                let seen: Vec<Reading> = seen.readings.into_iter().map(|(_, reading)| reading).collect();
                if seen.iter().all(|reading| *reading == Reading::Bad(Bad::Silent)) {
                    // The line was over between two requests.
                    break;
                }
                complete |= seen.iter().zip(&history).all(|(reading, history)| Some(reading) == history.last());
                for (place, reading) in seen.into_iter().enumerate() {
                    if reading == Reading::Bad(Bad::Silent) {
                        continue;
                    }
                    // A bit fails with the others of its register.
                    if reading == failed && points[place].name.starts_with("a.bit") {
                        continue;
                    }
                    let ahead = history[place][reached[place]..].iter().position(|held| *held == reading);
                    reached[place] += ahead.unwrap_or_else(|| panic!("{}: {reading:?}", points[place].name));
                }
                sights += 1;
            }
            Word::Lost { .. } => break,
            Word::Back { .. } => assert_eq!(sights, 0, "the line never fell silent"),
            Word::Noted { .. } | Word::Counted { .. } => {}
        }
    }
    timeout(DEADLINE, playing).await.expect("the line ends").unwrap().unwrap();
    // 39 rows of half a second, at five times the speed.
    assert!(begun.elapsed() >= Duration::from_millis(3_900), "{:?}", begun.elapsed());
    assert!(sights > 10, "{sights} sights");
    assert!(complete, "the last row was held until it was seen: {reached:?}");
}

/// Counts up for ever, and remembers nothing.
struct Endless(i64);

impl Rows for Endless {
    fn next_into(&mut self, row: &mut Observation) -> Result<bool, samples::Error> {
        self.0 += 1;
        row.at = Stamp::from_ms(self.0 * 10);
        row.readings =
            vec![(PointIx(0), Reading::Good(Value::Int(self.0))), (PointIx(1), Reading::Good(Value::Int(-self.0)))];
        Ok(true)
    }
}

async fn first_good(settings: Settings) -> i64 {
    let (out, mut words) = mpsc::channel(64);
    tokio::spawn(plc::run(vec![settings], Clock::start(1), out));
    loop {
        if let Word::Seen(seen) = timeout(DEADLINE, words.recv()).await.unwrap().unwrap()
            && let [(_, Reading::Good(Value::Int(n)))] = seen.readings[..]
        {
            return n;
        }
    }
}

#[tokio::test]
async fn plcs_of_one_address_are_told_apart_by_their_unit_and_others_by_their_port() {
    let poll = Duration::from_millis(20);
    let up = point("up.n", Area::Holding, 0, Kind::U32, Order::Abcd);
    let down = point("down.n", Area::Holding, 0, Kind::I32, Order::Abcd);
    for shared in [true, false] {
        let mut plcs = vec![settings("up", 0, vec![up.clone()], poll), settings("down", 1, vec![down.clone()], poll)];
        plcs[1].unit = 2;
        if !shared {
            plcs[1].channel = Channel::tcp("127.0.0.1:1");
        }
        let bench = Bench::bind(&plcs, anywhere()).await.unwrap();
        for (plc, address) in plcs.iter_mut().zip(bench.addresses()) {
            plc.channel = Channel::tcp(address.to_string());
        }
        assert_eq!(plcs[0].channel == plcs[1].channel, shared);
        let playing = tokio::spawn(bench.play(Endless(0), 1));
        assert!(first_good(plcs[0].clone()).await > 0);
        assert!(first_good(plcs[1].clone()).await < 0);
        playing.abort();
    }
}

#[tokio::test]
async fn samples_wait_for_the_first_request_and_a_misfit_ends_the_play_by_name() {
    let plc =
        settings("up", 0, vec![point("up.n", Area::Holding, 0, Kind::U16, Order::Abcd)], Duration::from_millis(20));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line.csv");
    std::fs::write(&path, "time,up.n\n1000,65535\n1200,65536\n").unwrap();
    let bench = Bench::bind(std::slice::from_ref(&plc), anywhere()).await.unwrap();
    let address = bench.addresses()[0].to_string();
    let playing = tokio::spawn(bench.play(Samples::open(&path, &plc.points).unwrap(), 1));
    assert_eq!(first_good(Settings { channel: Channel::tcp(address), ..plc.clone() }).await, 65_535);
    let error = timeout(DEADLINE, playing).await.unwrap().unwrap().unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("up.n") && cause.contains("65536"), "{cause}");

    std::fs::write(&path, "time,up.n\n").unwrap();
    let bench = Bench::bind(std::slice::from_ref(&plc), anywhere()).await.unwrap();
    let empty = bench.play(Samples::open(&path, &plc.points).unwrap(), 1).await;
    assert!(matches!(empty, Err(Error::Empty)));
}
