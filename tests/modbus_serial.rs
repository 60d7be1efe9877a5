//! RTU on serial lines: pseudo terminals by socat, slaves of ours that misbehave, and one by libmodbus.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/peers.rs"]
mod peers;

use andon::{
    io::{
        clock::Clock,
        plc::{self, Channel, Counters, Parity, Serial, Settings, Word},
    },
    signal::{
        Bad, Observation, Point, PointIx, Reading, Value,
        point::{Area, Kind, Order},
    },
};
use fastrand::Rng;
use peers::{Pair, compiled};
use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc as threads,
    },
    thread,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, time::timeout};

const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
struct Ask {
    unit: u8,
    function: u8,
    address: u16,
    count: u16,
}

enum Act {
    Send(Vec<u8>),
    Wait(Duration),
    /// In the background, whatever is asked meanwhile.
    Later(Duration, Vec<u8>),
}
use Act::{Later, Send, Wait};

fn value(unit: u8, address: u16) -> u16 {
    address.wrapping_mul(31).wrapping_add(7).wrapping_add(u16::from(unit) << 8)
}

fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    let mut sum = 0xFFFF_u16;
    for byte in &body {
        sum ^= u16::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0xA001 } else { sum >> 1 };
        }
    }
    body.extend(sum.to_le_bytes());
    body
}

impl Ask {
    fn reply(self) -> Vec<u8> {
        let data: Vec<u8> = match self.function {
            1 | 2 => {
                let bits: Vec<bool> = (0..self.count).map(|n| value(self.unit, self.address + n) & 1 == 1).collect();
                bits.chunks(8).map(|eight| eight.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
            }
            _ => (0..self.count).flat_map(|n| value(self.unit, self.address + n).to_be_bytes()).collect(),
        };
        sealed([vec![self.unit, self.function, u8::try_from(data.len()).unwrap()], data].concat())
    }

    fn exception(self, code: u8) -> Vec<u8> {
        sealed(vec![self.unit, self.function | 0x80, code])
    }
}

/// Answers on a thread of its own until the line is unplugged. Checks each request: nothing but proper reads leaves the
/// program.
fn slave(path: &Path, mut script: impl FnMut(Ask, &[u8]) -> Vec<Act> + std::marker::Send + 'static) {
    let mut line = OpenOptions::new().read(true).write(true).open(path).unwrap();
    thread::spawn(move || {
        let (later, queue) = threads::channel::<(Instant, Vec<u8>)>();
        let other = line.try_clone().unwrap();
        thread::spawn(move || send_later(other, &queue));
        let mut heard = Vec::new();
        let mut bytes = [0; 256];
        while let Ok(count) = line.read(&mut bytes) {
            if count == 0 {
                return;
            }
            heard.extend_from_slice(&bytes[..count]);
            while heard.len() >= 8 {
                let request: Vec<u8> = heard.drain(..8).collect();
                assert_eq!(sealed(request[..6].to_vec()), request, "a proper request");
                assert!((1..=4).contains(&request[1]), "nothing but reads leaves the program");
                let word = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
                let ask = Ask { unit: request[0], function: request[1], address: word(2), count: word(4) };
                for act in script(ask, &request) {
                    match act {
                        Send(bytes) => drop(line.write_all(&bytes)),
                        Wait(time) => thread::sleep(time),
                        Later(time, bytes) => drop(later.send((Instant::now() + time, bytes))),
                    }
                }
            }
        }
    });
}

fn send_later(mut line: File, queue: &threads::Receiver<(Instant, Vec<u8>)>) {
    let mut waiting: Vec<(Instant, Vec<u8>)> = Vec::new();
    loop {
        waiting.sort_by_key(|(at, _)| *at);
        let pause = waiting.first().map_or(DEADLINE, |(at, _)| at.saturating_duration_since(Instant::now()));
        match queue.recv_timeout(pause) {
            Ok(more) => waiting.push(more),
            Err(threads::RecvTimeoutError::Timeout) if !waiting.is_empty() => {
                let (_, bytes) = waiting.remove(0);
                let _ = line.write_all(&bytes);
            }
            Err(threads::RecvTimeoutError::Timeout) => {}
            Err(threads::RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn serial(device: PathBuf) -> Serial {
    Serial { device, baud: 19_200, data_bits: 8, parity: Parity::Even, stop_bits: 1, echo: false, gap: None }
}

fn points(first: usize) -> Vec<(PointIx, Point)> {
    // Two blocks of the same form at other addresses: a late reply to the one looks like an answer to the other.
    let list = [
        (Area::Holding, 0, Kind::U32),
        (Area::Holding, 1000, Kind::U32),
        (Area::Holding, 2000, Kind::U32),
        (Area::Input, 5, Kind::U16),
        (Area::Coil, 3, Kind::Bool { bit: None }),
        (Area::Coil, 300, Kind::Bool { bit: None }),
    ];
    let point = |(ix, (area, address, kind)): (usize, (Area, u16, Kind))| {
        let (order, invert, hold_ms, scale, offset, modulus) = (Order::Abcd, false, 0, 1.0, 0.0, None);
        let name = format!("plc.p{ix}");
        (PointIx(first + ix), Point { name, area, address, kind, order, invert, hold_ms, scale, offset, modulus })
    };
    list.into_iter().enumerate().map(point).collect()
}

fn settings(channel: Channel, unit: u8, poll_ms: u64, timeout_ms: u64) -> Settings {
    Settings {
        id: format!("unit-{unit}"),
        channel,
        unit,
        poll: Duration::from_millis(poll_ms),
        timeout: Duration::from_millis(timeout_ms),
        points: points(usize::from(unit) * 100),
        ..Settings::default()
    }
}

/// What an honest unit holds.
fn truth(ix: PointIx) -> Reading {
    let unit = u8::try_from(ix.0 / 100).unwrap();
    let (_, point) = &points(0)[ix.0 % 100];
    let held = |n: u16| i64::from(value(unit, point.address + n));
    Reading::Good(match point.kind {
        Kind::U32 => Value::Int(held(0) << 16 | held(1)),
        Kind::Bool { .. } => Value::Bool(held(0) & 1 == 1),
        _ => Value::Int(held(0)),
    })
}

fn is_whole(seen: &Observation) -> bool {
    seen.readings.iter().all(|(ix, reading)| *reading == truth(*ix))
}

fn watch(plcs: Vec<Settings>) -> mpsc::Receiver<Word> {
    let (out, words) = mpsc::channel(64);
    tokio::spawn(plc::run(plcs, Clock::start(1), out));
    words
}

async fn next(words: &mut mpsc::Receiver<Word>) -> Word {
    timeout(DEADLINE, words.recv()).await.expect("a word in time").expect("the task runs")
}

async fn next_seen(words: &mut mpsc::Receiver<Word>) -> Observation {
    loop {
        if let Word::Seen(seen) = next(words).await {
            return seen;
        }
    }
}

async fn next_whole(words: &mut mpsc::Receiver<Word>) -> Observation {
    loop {
        let seen = next_seen(words).await;
        if is_whole(&seen) {
            return seen;
        }
    }
}

#[tokio::test]
async fn late_disturbed_and_mixed_replies_never_give_a_wrong_value() {
    let mut lines = tokio::task::JoinSet::new();
    (0..8).for_each(|seed| drop(lines.spawn(disturbed(seed))));
    let lines = timeout(DEADLINE * 2, lines.join_all()).await.expect("in time");
    let sum = |of: fn(&Counters) -> u64| lines.iter().map(of).sum::<u64>();
    let sums = [sum(|it| it.retries), sum(|it| it.late), sum(|it| it.crc), sum(|it| it.timeouts)];
    assert!(sums.iter().all(|sum| *sum > 0), "{lines:?}");
}

async fn disturbed(seed: u64) -> Counters {
    const REPLIES: usize = 500;
    const TIMEOUT_MS: u64 = 20;
    const POLL_MS: u64 = 5;
    {
        let pair = Pair::new();
        let replies = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&replies);
        let mut rng = Rng::with_seed(seed);
        slave(&pair.theirs(), move |ask, _| {
            let reply = ask.reply();
            if count.fetch_add(1, Ordering::Relaxed) >= REPLIES {
                return vec![Send(reply)];
            }
            let flipped = |reply: &[u8], rng: &mut Rng| {
                let mut flipped = reply.to_vec();
                flipped[rng.usize(..reply.len())] ^= 1 << rng.u8(..8);
                flipped
            };
            let other = Ask { unit: ask.unit + 1, ..ask };
            match rng.u8(..) {
                0..5 => vec![Later(Duration::from_millis(TIMEOUT_MS * rng.u64(5..50) / 10), reply)],
                5 => vec![Send(flipped(&reply, &mut rng))],
                6 => vec![],
                7 => vec![Send(reply[..rng.usize(1..reply.len())].to_vec())],
                8 => vec![Send((0..rng.usize(1..300)).map(|_| rng.u8(..)).collect())],
                9 => vec![Send([other.reply(), reply].concat())],
                10 => vec![Send([reply.clone(), reply].concat())],
                11 => vec![Send(ask.exception(if rng.bool() { 4 } else { 6 }))],
                12 => vec![Send(Ask { function: ask.function % 4 + 1, ..ask }.reply())],
                13 => vec![Send(Ask { count: ask.count + 8, ..ask }.reply())],
                14 => reply.chunks(1).flat_map(|byte| [Send(byte.to_vec()), Wait(Duration::from_millis(1))]).collect(),
                15..30 => {
                    let cut = rng.usize(1..reply.len());
                    vec![Send(reply[..cut].to_vec()), Wait(Duration::from_millis(1)), Send(reply[cut..].to_vec())]
                }
                _ => vec![Send(reply)],
            }
        });
        let line = serial(pair.ours());
        let line = Serial { baud: 115_200, ..line };
        let mut words = watch(vec![settings(Channel::Serial(line), 7, POLL_MS, TIMEOUT_MS)]);
        let (mut good, mut bad) = (0, 0);
        let mut last = Counters::default();
        loop {
            let is_honest = replies.load(Ordering::Relaxed) >= REPLIES;
            match next(&mut words).await {
                Word::Seen(seen) => {
                    for (ix, reading) in &seen.readings {
                        match reading {
                            Reading::Good(_) => assert_eq!(*reading, truth(*ix), "seed {seed}, {ix:?}"),
                            Reading::Bad(_) => bad += 1,
                        }
                        good += usize::from(matches!(reading, Reading::Good(_)));
                    }
                    if is_honest && is_whole(&seen) {
                        break;
                    }
                }
                Word::Counted { counters, .. } => last = counters,
                Word::Lost { .. } | Word::Back { .. } | Word::Noted { .. } => {}
            }
        }
        assert!(good > 100 && bad > 0, "seed {seed}: both were seen: {good} good, {bad} bad");
        last
    }
}

#[tokio::test]
async fn after_a_fault_of_the_line_two_polls_are_enough() {
    const POLL_MS: u64 = 100;
    const TIMEOUT_MS: u64 = 100;
    let pair = Pair::new();
    let broken = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&broken);
    let mut rng = Rng::with_seed(1);
    slave(&pair.theirs(), move |ask, _| {
        let reply = ask.reply();
        match (flag.load(Ordering::Relaxed), rng.u8(0..3)) {
            (false, _) => vec![Send(reply)],
            (true, 0) => vec![],
            (true, 1) => vec![Send(reply[1..].to_vec())],
            (true, _) => vec![Later(Duration::from_millis(TIMEOUT_MS * 3 / 2), reply)],
        }
    });
    let mut words = watch(vec![settings(Channel::Serial(serial(pair.ours())), 7, POLL_MS, TIMEOUT_MS)]);
    next_whole(&mut words).await;
    for _ in 0..3 {
        broken.store(true, Ordering::Relaxed);
        while !matches!(next(&mut words).await, Word::Lost { .. }) {}
        for _ in 0..3 {
            next_seen(&mut words).await;
        }
        broken.store(false, Ordering::Relaxed);
        let healed = Clock::start(1).now();
        let took = next_whole(&mut words).await.at.since(healed);
        // The request under way may still time out; the rest is for a machine that is busy with other things.
        assert!(took <= i64::try_from(2 * TIMEOUT_MS + 2 * POLL_MS + 1000).unwrap(), "{took} ms");
    }
}

#[tokio::test]
async fn three_dead_units_among_eight_leave_the_living_their_polls() {
    const POLL_MS: i64 = 1000;
    const WATCHED_MS: i64 = 12_000;
    let pair = Pair::new();
    slave(&pair.theirs(), |ask, request| {
        if ask.unit.is_multiple_of(3) {
            return vec![];
        }
        // 11 bits a byte at 19200 baud, and the silence before the reply.
        let reply = ask.reply();
        let bytes = u32::try_from(request.len() + reply.len() + 4).unwrap();
        vec![Wait(Duration::from_micros(573) * bytes), Send(reply)]
    });
    let channel = Channel::Serial(serial(pair.ours()));
    let unit = |unit| Settings { ..settings(channel.clone(), unit, POLL_MS.unsigned_abs(), 300) };
    let mut words = watch((2..=9).map(unit).collect());
    let begun = Clock::start(1);
    let from = begun.now().plus(2000);
    let mut polls = std::collections::BTreeMap::<usize, i64>::new();
    loop {
        let seen = next_seen(&mut words).await;
        if seen.at.since(from) > WATCHED_MS {
            break;
        }
        if seen.at > from {
            *polls.entry(seen.readings[0].0.0 / 100).or_default() += i64::from(is_whole(&seen));
        }
    }
    let due = WATCHED_MS / POLL_MS;
    for living in [2, 4, 5, 7, 8] {
        assert!(polls[&living] * 100 >= (due - 1) * 95, "unit {living}: {polls:?} of {due}");
    }
    assert_eq!(polls.iter().filter(|(_, polls)| **polls > 0).count(), 5, "{polls:?}");
}

#[tokio::test]
async fn an_adapter_that_hears_itself_is_read() {
    let pair = Pair::new();
    slave(&pair.theirs(), |ask, request| vec![Send([request, &ask.reply()].concat())]);
    let line = Serial { echo: true, ..serial(pair.ours()) };
    let mut words = watch(vec![settings(Channel::Serial(line), 7, 20, 1000)]);
    for _ in 0..3 {
        assert!(is_whole(&next_seen(&mut words).await));
    }
}

#[tokio::test]
async fn an_adapter_that_is_unplugged_is_said_in_clear_words_and_found_again() {
    let pair = Pair::new();
    slave(&pair.theirs(), |ask, _| vec![Send(ask.reply())]);
    let device = pair.ours();
    let mut words = watch(vec![settings(Channel::Serial(serial(device.clone())), 7, 20, 500)]);
    next_whole(&mut words).await;
    let folder = tempfile::tempdir().unwrap();
    let spare = folder.path().to_owned();
    drop(pair);
    let why = loop {
        if let Word::Lost { why, .. } = next(&mut words).await {
            break why;
        }
    };
    assert!(why.contains("the serial line") || why.contains("the connection was lost"), "{why}");
    assert!(!spare.join("ours").exists());
    let silent = next_seen(&mut words).await;
    assert!(silent.readings.iter().all(|(_, reading)| *reading == Reading::Bad(Bad::Silent)));

    // The folder went with the pair: the same path again.
    std::fs::create_dir_all(device.parent().unwrap()).unwrap();
    let again = Pair::plug(tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink(again.ours(), &device).unwrap();
    slave(&again.theirs(), |ask, _| vec![Send(ask.reply())]);
    while !matches!(next(&mut words).await, Word::Back { .. }) {}
    next_whole(&mut words).await;
    std::fs::remove_dir_all(device.parent().unwrap()).unwrap();
}

#[tokio::test]
async fn a_device_path_that_does_not_exist_is_lost_in_clear_words() {
    let line = serial("/nowhere/usb-FTDI".into());
    let mut words = watch(vec![settings(Channel::Serial(line), 7, 20, 500)]);
    let Word::Lost { why, .. } = next(&mut words).await else { panic!("first the word that it is lost") };
    assert_eq!(why, "the serial line /nowhere/usb-FTDI could not be opened: No such file or directory");
}

#[tokio::test]
async fn libmodbus_as_a_unit_on_a_serial_line_is_read() {
    let pair = Pair::new();
    let program = compiled("modbus_rtu_server", &pair.folder);
    let mut server = Command::new(program).arg(pair.theirs()).arg("7").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");

    let mut settings = settings(Channel::Serial(serial(pair.ours())), 7, 50, 1000);
    // It has no more than 100 bits and 300 registers of a kind.
    settings.points.retain(|(_, point)| point.address < 100);
    let mut words = watch(vec![settings]);
    for _ in 0..5 {
        let seen = next_seen(&mut words).await;
        let held: Vec<_> = seen.readings.into_iter().map(|(_, reading)| reading).collect();
        let int = |n| Reading::Good(Value::Int(n));
        assert_eq!(held, [int(7 << 16 | 38), int(5 * 31 + 7), Reading::Good(Value::Bool(true))]);
    }
    let _ = server.kill();
    let _ = server.wait();
}
