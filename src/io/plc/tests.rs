//! A device that lies, stutters and falls silent in every way seen in the field; whatever it does, no wrong value comes out.

mod asleep;
mod away;
mod broken;
mod hostile;
mod lab;
mod neighbours;
mod notices;

use super::*;
use crate::{
    io::clock::Clock,
    signal::{
        Bad, Reading,
        decode::decode,
        point::{Area, Kind, Order},
    },
};
use fastrand::Rng;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

const UNIT: u8 = 7;
const DEADLINE: Duration = Duration::from_secs(30);

/// One request, as the device hears it.
#[derive(Clone, Copy, Debug)]
struct Ask {
    transaction: u16,
    unit: u8,
    function: u8,
    address: u16,
    count: u16,
}

/// What the device does about it.
enum Act {
    Send(Vec<u8>),
    Wait(u64),
    Close,
}
use Act::{Close, Send, Wait};

impl Ask {
    fn is_bits(self) -> bool {
        self.function <= 2
    }

    /// Byte count and data of the true reply.
    fn truth(self) -> Vec<u8> {
        self.data(self.count, |address| address.wrapping_mul(31).wrapping_add(7))
    }

    /// The same form, every value wrong: what must never be seen.
    fn poison(self) -> Vec<u8> {
        self.data(self.count, |address| !address.wrapping_mul(31).wrapping_add(7))
    }

    fn data(self, count: u16, value: impl Fn(u16) -> u16) -> Vec<u8> {
        let values = (0..count).map(|n| value(self.address.wrapping_add(n)));
        let bytes: Vec<u8> = if self.is_bits() {
            let bits: Vec<bool> = values.map(|value| value & 1 == 1).collect();
            bits.chunks(8).map(|eight| eight.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
        } else {
            values.flat_map(u16::to_be_bytes).collect()
        };
        [vec![u8::try_from(bytes.len() & 0xFF).unwrap()], bytes].concat()
    }

    /// A whole frame: MBAP header, function, body.
    fn frame(self, body: &[u8]) -> Vec<u8> {
        frame(self.transaction, 0, self.unit, self.function, body)
    }

    fn honest(self) -> Vec<Act> {
        vec![Send(self.frame(&self.truth()))]
    }

    fn exception(self, code: u8) -> Vec<Act> {
        vec![Send(frame(self.transaction, 0, self.unit, self.function | 0x80, &[code]))]
    }
}

fn frame(transaction: u16, protocol: u16, unit: u8, function: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 2).unwrap();
    let mut frame = [transaction.to_be_bytes(), protocol.to_be_bytes(), length.to_be_bytes()].concat();
    frame.extend([unit, function]);
    frame.extend(body);
    frame
}

fn with_length(mut frame: Vec<u8>, change: impl Fn(u8) -> u8) -> Vec<u8> {
    frame[5] = change(frame[5]);
    frame
}

type Script = dyn FnMut(Ask) -> Vec<Act> + std::marker::Send;

struct Device {
    address: String,
    connections: Arc<AtomicUsize>,
    /// It hears, but says nothing more.
    silent: Arc<AtomicBool>,
}

impl Device {
    async fn start(script: impl FnMut(Ask) -> Vec<Act> + std::marker::Send + 'static) -> Device {
        Device::listen(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    fn listen(listener: TcpListener, script: impl FnMut(Ask) -> Vec<Act> + std::marker::Send + 'static) -> Device {
        let address = listener.local_addr().unwrap().to_string();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let silent = Arc::new(AtomicBool::new(false));
        let mute = Arc::clone(&silent);
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(converse(stream, Arc::clone(&script), Arc::clone(&mute)));
            }
        });
        Device { address, connections, silent }
    }
}

async fn converse(mut stream: TcpStream, script: Arc<Mutex<Script>>, mute: Arc<AtomicBool>) {
    stream.set_nodelay(true).unwrap();
    let mut request = [0; 12];
    while stream.read_exact(&mut request).await.is_ok() {
        let word = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
        assert_eq!((word(2), word(4)), (0, 6), "a proper request");
        assert!((1..=4).contains(&request[7]), "nothing but reads leaves the program");
        let ask =
            Ask { transaction: word(0), unit: request[6], function: request[7], address: word(8), count: word(10) };
        if mute.load(Ordering::Relaxed) {
            continue;
        }
        let acts = (script.lock().unwrap())(ask);
        for act in acts {
            match act {
                Send(bytes) if stream.write_all(&bytes).await.is_ok() => {}
                Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                Send(_) | Close => return,
            }
        }
    }
}

fn points() -> Vec<(PointIx, Point)> {
    let list = [
        (Area::Holding, 0, Kind::U16),
        (Area::Holding, 2, Kind::U32),
        (Area::Holding, 5, Kind::Bool { bit: Some(4) }),
        (Area::Input, 1000, Kind::I64),
        (Area::Coil, 3, Kind::Bool { bit: None }),
        (Area::Coil, 14, Kind::Bool { bit: None }),
        (Area::Discrete, 65_535, Kind::Bool { bit: None }),
    ];
    let point = |(ix, (area, address, kind)): (usize, (Area, u16, Kind))| {
        let name = format!("plc.p{ix}");
        let (order, invert, hold_ms, scale, offset, modulus) = (Order::Cdab, false, 0, 1.0, 0.0, None);
        (PointIx(ix), Point { name, area, address, kind, order, invert, hold_ms, scale, offset, modulus })
    };
    list.into_iter().enumerate().map(point).collect()
}

fn settings(address: &str, poll_ms: u64, timeout_ms: u64) -> Settings {
    Settings {
        id: "plc".into(),
        channel: Channel::tcp(address),
        unit: UNIT,
        poll: Duration::from_millis(poll_ms),
        timeout: Duration::from_millis(timeout_ms),
        max_gap: 16,
        points: points(),
        ..Settings::default()
    }
}

/// What an honest device holds.
fn truth(point: &Point) -> Reading {
    let held = |address: u16| address.wrapping_mul(31).wrapping_add(7);
    let registers: Vec<u16> = (0..point.kind.registers())
        .map(|n| held(point.address.wrapping_add(n)))
        .map(|value| if point.area.is_bits() { value & 1 } else { value })
        .collect();
    decode(point, &registers)
}

fn is_whole(seen: &Observation) -> bool {
    seen.readings.iter().zip(points()).all(|((_, reading), (_, point))| *reading == truth(&point))
}

fn watch(settings: Settings) -> mpsc::Receiver<Word> {
    let (out, words) = mpsc::channel(64);
    tokio::spawn(run(vec![settings], Clock::start(1), out));
    words
}

async fn next(words: &mut mpsc::Receiver<Word>) -> Word {
    loop {
        let word = timeout(DEADLINE, words.recv()).await.expect("a word in time").expect("the task runs");
        if !matches!(word, Word::Counted { .. } | Word::Noted { .. }) {
            return word;
        }
    }
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

/// One of the ways in which replies go wrong.
fn misbehave(ask: Ask, late_ms: u64, rng: &mut Rng) -> Vec<Act> {
    let poison = ask.frame(&ask.poison());
    let exception = || frame(ask.transaction, 0, UNIT, ask.function | 0x80, &[rng_code(ask)]);
    let other = |transaction, protocol, unit, function| frame(transaction, protocol, unit, function, &ask.poison());
    let sized = |count| ask.frame(&ask.data(count, |address| !address.wrapping_mul(31).wrapping_add(7)));
    match rng.u8(0..22) {
        0 => vec![Wait(late_ms), Send(poison)],
        1 => vec![],
        2 => vec![Close],
        3 => vec![Send(poison[..rng.usize(1..poison.len())].to_vec()), Close],
        4 => vec![Send(poison[..rng.usize(1..poison.len())].to_vec())],
        // Short and long replies, honest about their length.
        5 if ask.is_bits() => vec![Send(sized(ask.count + 8))],
        5 if ask.count > 1 => vec![Send(sized(ask.count - 1))],
        5 | 6 => vec![Send(sized(ask.count * 2 + 8))],
        7 => vec![Send(other(ask.transaction, 0, UNIT + 1, ask.function))],
        8 => vec![Send(other(ask.transaction.wrapping_sub(1), 0, UNIT, ask.function))],
        9 => vec![Send(other(ask.transaction.wrapping_add(1), 0, UNIT, ask.function))],
        10 => vec![Send(other(ask.transaction, 0, UNIT, ask.function % 4 + 1))],
        11 => vec![Send(other(ask.transaction, 1, UNIT, ask.function))],
        12 => vec![Send((0..rng.usize(1..300)).map(|_| rng.u8(..)).collect())],
        // The byte count lies: above and below what follows.
        13 => vec![Send(ask.frame(&[vec![ask.poison()[0] + 2], ask.poison()[1..].to_vec()].concat()))],
        14 => vec![Send(ask.frame(&[vec![ask.poison()[0] - 1], ask.poison()[1..].to_vec()].concat()))],
        // The header's length lies: as it is known of devices that are right otherwise, and as it is not.
        15 => vec![Send(with_length(ask.frame(&ask.truth()), |length| length + 1))],
        16 => vec![Send(with_length(ask.frame(&ask.truth()), |_| 6))],
        17 => vec![Send(with_length(poison, |_| 0))],
        18 => vec![Send(with_length(exception(), |length| length + 1))],
        19 => vec![Send([with_length(exception(), |length| length + 1), vec![0]].concat())],
        // True, and then something nobody asked for: once more, and an answer to the next question.
        20 => vec![Send([ask.frame(&ask.truth()), poison].concat())],
        _ => vec![Send(ask.frame(&ask.truth())), Send(other(ask.transaction.wrapping_add(1), 0, UNIT, ask.function))],
    }
}

fn rng_code(ask: Ask) -> u8 {
    // A code that costs nothing but this reply.
    if ask.transaction.is_multiple_of(2) { 0x04 } else { 0x06 }
}

/// The true frame, some bytes at a time.
fn stutter(ask: Ask, rng: &mut Rng) -> Vec<Act> {
    let frame = ask.frame(&ask.truth());
    let cut = rng.usize(1..frame.len());
    vec![Send(frame[..cut].to_vec()), Wait(1), Send(frame[cut..].to_vec())]
}

#[tokio::test]
async fn thousands_of_random_faults_never_give_a_wrong_value() {
    const REPLIES: usize = 600;
    let mut lines = Vec::new();
    for seed in 0..8 {
        let replies = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&replies);
        let mut rng = Rng::with_seed(seed);
        let device = Device::start(move |ask| {
            if count.fetch_add(1, Ordering::Relaxed) >= REPLIES {
                return ask.honest();
            }
            match rng.u8(0..10) {
                0..4 => ask.honest(),
                4..6 => stutter(ask, &mut rng),
                _ => misbehave(ask, 45, &mut rng),
            }
        })
        .await;
        lines.push(async move {
            let mut words = watch(settings(&device.address, 4, 30));
            let (mut good, mut bad) = (0, 0);
            loop {
                let honest = replies.load(Ordering::Relaxed) >= REPLIES;
                let seen = next_seen(&mut words).await;
                for ((_, reading), (_, point)) in seen.readings.iter().zip(points()) {
                    match reading {
                        Reading::Good(_) => assert_eq!(*reading, truth(&point), "seed {seed}, {}", point.name),
                        Reading::Bad(_) => bad += 1,
                    }
                    good += usize::from(matches!(reading, Reading::Good(_)));
                }
                if honest && is_whole(&seen) {
                    return (good, bad);
                }
            }
        });
    }
    let mut tasks = tokio::task::JoinSet::new();
    lines.into_iter().for_each(|line| drop(tasks.spawn(line)));
    while let Some(line) = timeout(DEADLINE * 4, tasks.join_next()).await.expect("in time") {
        let (good, bad) = line.unwrap();
        assert!(good > 100 && bad > 100, "both were seen: {good} good, {bad} bad");
    }
}

#[tokio::test]
async fn after_any_kind_of_fault_the_plc_is_read_again_within_two_polls() {
    const POLL_MS: u64 = 100;
    const TIMEOUT_MS: u64 = 100;
    let broken = Arc::new(AtomicBool::new(true));
    let faults = Arc::new(AtomicUsize::new(0));
    let (flag, count) = (Arc::clone(&broken), Arc::clone(&faults));
    let mut rng = Rng::with_seed(1);
    let device = Device::start(move |ask| {
        if !flag.load(Ordering::Relaxed) {
            return ask.honest();
        }
        count.fetch_add(1, Ordering::Relaxed);
        misbehave(ask, 2 * TIMEOUT_MS, &mut rng)
    })
    .await;
    let mut words = watch(settings(&device.address, POLL_MS, TIMEOUT_MS));
    for round in 1..4 {
        // Long enough that a back-off that grows would have grown.
        while faults.load(Ordering::Relaxed) < round * 12 {
            next(&mut words).await;
        }
        broken.store(false, Ordering::Relaxed);
        let healed = Clock::start(1).now();
        let seen = next_whole(&mut words).await;
        let took = seen.at.since(healed);
        // The request under way may still time out; the rest is for a machine that is busy with other things.
        assert!(took <= i64::try_from(TIMEOUT_MS + 2 * POLL_MS + 1000).unwrap(), "{took} ms");
        broken.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_plc_that_is_away_is_said_once_tried_seldom_and_found_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut words = watch(settings(&address.to_string(), 10, 200));
    let Word::Lost { plc, why, .. } = next(&mut words).await else { panic!("first the word that it is away") };
    assert_eq!(plc, "plc");
    assert!(why.starts_with("the connection was not accepted: Connection refused"), "{why}");
    let first = next_seen(&mut words).await;
    let second = next_seen(&mut words).await;
    assert!(first.readings.iter().all(|(_, reading)| *reading == Reading::Bad(Bad::Silent)));
    assert_eq!(first.readings.len(), points().len(), "every point is silent");
    assert!(second.at.since(first.at) >= 1_000, "not at every poll");

    let device = Device::listen(TcpListener::bind(address).await.unwrap(), Ask::honest);
    loop {
        match next(&mut words).await {
            Word::Back { silent_ms, .. } => break assert!(silent_ms >= 1_000, "{silent_ms}"),
            Word::Seen(seen) => assert!(!is_whole(&seen), "the word comes before what was seen"),
            word => panic!("said twice: {word:?}"),
        }
    }
    next_whole(&mut words).await;
    assert_eq!(device.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_plc_that_talks_another_protocol_is_lost_in_clear_words_and_not_hammered() {
    let device = Device::start(|_| vec![Send(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())]).await;
    let mut words = watch(settings(&device.address, 10, 100));
    let Word::Lost { why, .. } = next(&mut words).await else { panic!("first the word that it is lost") };
    assert_eq!(why, "the reply cannot be trusted: it is no Modbus");
    let from = next_seen(&mut words).await.at;
    let to = next_seen(&mut words).await.at;
    let connections = device.connections.load(Ordering::Relaxed);
    let most = usize::try_from(to.since(from) / 100 + 3).unwrap();
    assert!((2..=most).contains(&connections), "{connections} connections in {} ms", to.since(from));
}

#[tokio::test]
async fn a_hole_in_the_map_is_split_around_and_the_refused_point_alone_is_bad() {
    let asks = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asks);
    // Holding 5 does not exist.
    let device = Device::start(move |ask| {
        heard.lock().unwrap().push((ask.function, ask.address, ask.count));
        if ask.function == 3 && (ask.address..ask.address + ask.count).contains(&5) {
            return ask.exception(2);
        }
        ask.honest()
    })
    .await;
    let mut words = watch(settings(&device.address, 10, 1000));
    for _ in 0..2 {
        let seen = next_seen(&mut words).await;
        for ((ix, reading), (_, point)) in seen.readings.iter().zip(points()) {
            let expected = if *ix == PointIx(2) { Reading::Bad(Bad::Refused(2)) } else { truth(&point) };
            assert_eq!(*reading, expected, "{}", point.name);
        }
    }
    let asks = asks.lock().unwrap();
    let whole = asks.iter().filter(|ask| **ask == (3, 0, 6)).count();
    assert_eq!(whole, 1, "the refused read is not tried again: {asks:?}");
    assert!(asks.contains(&(3, 0, 1)) && asks.contains(&(3, 2, 2)) && asks.contains(&(3, 5, 1)), "{asks:?}");
}

#[tokio::test]
async fn a_point_whose_device_has_failed_leaves_its_neighbours_good_and_comes_back() {
    let failed = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&failed);
    let device = Device::start(move |ask| {
        let touches = ask.function == 3 && (ask.address..ask.address + ask.count).contains(&2);
        if touches && flag.load(Ordering::Relaxed) { ask.exception(4) } else { ask.honest() }
    })
    .await;
    let mut words = watch(settings(&device.address, 10, 1000));
    let seen = next_seen(&mut words).await;
    for ((ix, reading), (_, point)) in seen.readings.iter().zip(points()) {
        let expected = if *ix == PointIx(1) { Reading::Bad(Bad::Refused(4)) } else { truth(&point) };
        assert_eq!(*reading, expected, "{}", point.name);
    }
    failed.store(false, Ordering::Relaxed);
    next_whole(&mut words).await;
    assert_eq!(device.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_exception_whose_length_is_one_too_large_is_an_exception_all_the_same() {
    for trailing in [vec![], vec![0]] {
        // Of a real device: 18 58 00 00 00 04 01 83 03, with and without a ninth byte of nothing.
        let device = Device::start(move |ask| {
            if ask.function != 4 {
                return ask.honest();
            }
            let exception = frame(ask.transaction, 0, UNIT, ask.function | 0x80, &[3]);
            vec![Send([with_length(exception, |length| length + 1), trailing.clone()].concat())]
        })
        .await;
        let mut words = watch(settings(&device.address, 10, 5000));
        for _ in 0..3 {
            let seen = next_seen(&mut words).await;
            for ((_, reading), (_, point)) in seen.readings.iter().zip(points()) {
                let refused = point.area == Area::Input;
                assert_eq!(*reading, if refused { Reading::Bad(Bad::Refused(3)) } else { truth(&point) });
            }
        }
        assert_eq!(device.connections.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn a_unit_that_is_offline_behind_its_gateway_keeps_the_connection() {
    let offline = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&offline);
    let device =
        Device::start(move |ask| if flag.load(Ordering::Relaxed) { ask.exception(0x0B) } else { ask.honest() }).await;
    let mut words = watch(settings(&device.address, 10, 1000));
    let Word::Lost { why, .. } = next(&mut words).await else { panic!("first the word that it is lost") };
    assert_eq!(why, "refused with Modbus exception 0B (the unit behind the gateway does not answer)");
    let seen = next_seen(&mut words).await;
    assert!(seen.readings.iter().all(|(_, reading)| *reading == Reading::Bad(Bad::Refused(0x0B))), "{seen:?}");
    offline.store(false, Ordering::Relaxed);
    next_whole(&mut words).await;
    assert_eq!(device.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_device_that_hangs_up_after_every_reply_is_read_all_the_same() {
    let device = Device::start(|ask| [ask.honest(), vec![Close]].into_iter().flatten().collect()).await;
    let mut words = watch(settings(&device.address, 10, 1000));
    let Word::Back { .. } = next(&mut words).await else { panic!("first the word that it is there") };
    for _ in 0..5 {
        match next(&mut words).await {
            Word::Seen(seen) => assert!(is_whole(&seen), "{seen:?}"),
            word => panic!("{word:?}"),
        }
    }
}

#[tokio::test]
async fn polls_that_come_due_during_a_slow_one_are_skipped() {
    let device = Device::start(|ask| [vec![Wait(40)], ask.honest()].into_iter().flatten().collect()).await;
    let mut words = watch(settings(&device.address, 50, 1000));
    let first = next_whole(&mut words).await.at;
    let mut last = first;
    for _ in 0..8 {
        last = next_whole(&mut words).await.at;
    }
    // Four requests of 40 ms a poll: every fourth point of the grid is met. Queued, they would take 160 ms each.
    assert!(last.since(first) > 8 * 180, "{} ms", last.since(first));
}

#[tokio::test]
async fn a_host_without_address_is_lost_in_clear_words() {
    let mut words = watch(settings("no-such-plc.invalid:502", 10, 5000));
    let Word::Lost { why, .. } = next(&mut words).await else { panic!("first the word that it is lost") };
    assert!(why.starts_with("the host could not be looked up: "), "{why}");
}

#[tokio::test]
async fn a_fast_clock_polls_as_many_times_more() {
    let device = Device::start(Ask::honest).await;
    let (out, mut words) = mpsc::channel(64);
    let clock = Clock::start(60);
    tokio::spawn(run(vec![settings(&device.address, 200, 1000)], clock, out));
    let first = next_seen(&mut words).await.at;
    let begun = std::time::Instant::now();
    let mut polls = 0;
    while next_whole(&mut words).await.at.since(first) < 60_000 {
        polls += 1;
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "a minute took {took:?}");
    assert!(polls > 20, "{polls} polls in a minute of the fast clock");
}

#[tokio::test]
async fn a_redundant_plc_fails_over_says_so_and_does_not_fail_back() {
    let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = first.local_addr().unwrap();
    drop(first);
    let second = Device::start(Ask::honest).await;
    // Until it answers, there is nothing to fail over from.
    let hosts = vec![at.to_string(), second.address.clone()];
    let plc = Settings { channel: Channel::Tcp { hosts }, ..settings("", 20, 500) };
    let (out, mut words) = mpsc::channel(64);
    tokio::spawn(run(vec![plc], Clock::start(1), out));
    next_whole(&mut words).await;
    let first = Device::listen(TcpListener::bind(at).await.unwrap(), Ask::honest);
    for _ in 0..5 {
        next_whole(&mut words).await;
    }
    assert_eq!(first.connections.load(Ordering::Relaxed), 0, "nobody goes back while the other one answers");
    second.silent.store(true, Ordering::Relaxed);
    let text = loop {
        let word = timeout(DEADLINE, words.recv()).await.unwrap().unwrap();
        if let Word::Noted { code: "plc_failover", text, .. } = word {
            break text;
        }
    };
    assert_eq!(text, format!("plc answers at {at}, {} is left until this one is lost", second.address));
    next_whole(&mut words).await;
}

#[tokio::test]
async fn plcs_of_one_address_share_its_connection_and_a_dead_unit_holds_up_nobody() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let device = Device::start(move |ask| {
        if ask.unit != UNIT {
            count.fetch_add(1, Ordering::Relaxed);
            return ask.exception(GATEWAY_TARGET);
        }
        ask.honest()
    })
    .await;
    let living = settings(&device.address, 20, 500);
    let dead = Settings { id: "dead".into(), unit: 9, ..living.clone() };
    assert_eq!(lines(vec![living.clone(), dead.clone()]).len(), 1);
    let (out, mut words) = mpsc::channel(64);
    tokio::spawn(run(vec![dead, living], Clock::start(1), out));
    let mut seen = 0;
    while seen < 50 {
        seen += usize::from(is_whole(&next_seen(&mut words).await));
    }
    assert_eq!(device.connections.load(Ordering::Relaxed), 1);
    // Two polls, and then once in its back-off of two seconds or more.
    assert!((1..=3).contains(&asked.load(Ordering::Relaxed)), "{} times", asked.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_connection_may_be_closed_after_each_poll() {
    let device = Device::start(Ask::honest).await;
    let mut words = watch(Settings { hangs_up: true, ..settings(&device.address, 20, 500) });
    for polls in 1..5 {
        assert!(is_whole(&next_seen(&mut words).await));
        assert!(device.connections.load(Ordering::Relaxed) >= polls);
    }
}

#[tokio::test]
async fn points_of_another_pace_are_looked_at_apart() {
    let device = Device::start(Ask::honest).await;
    let slow = PointIx(3);
    let paces = BTreeMap::from([(slow, Duration::from_millis(200))]);
    let mut words = watch(Settings { paces, ..settings(&device.address, 20, 500) });
    let (mut fast_polls, mut slow_polls) = (0, 0);
    while slow_polls < 3 {
        let seen = next_seen(&mut words).await;
        if seen.readings.iter().any(|(ix, _)| *ix == slow) {
            assert_eq!(seen.readings, [(slow, truth(&points()[3].1))]);
            slow_polls += 1;
        } else {
            assert_eq!(seen.readings.len(), points().len() - 1);
            fast_polls += 1;
        }
    }
    assert!(fast_polls > slow_polls * 2, "{fast_polls} and {slow_polls}");
}

#[tokio::test]
async fn rtu_over_tcp_is_read_byte_by_byte_and_through_late_replies() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 8];
        let mut asks = 0;
        while stream.read_exact(&mut request).await.is_ok() {
            assert_eq!(rtu::sealed(request[..6].to_vec()), request, "a proper request");
            let word = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
            let ask = Ask { transaction: 0, unit: request[0], function: request[1], address: word(2), count: word(4) };
            asks += 1;
            if asks % 10 == 0 {
                // Later than its timeout.
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
            for byte in rtu::sealed([vec![UNIT, ask.function], ask.truth()].concat()) {
                stream.write_all(&[byte]).await.unwrap();
            }
        }
    });
    let mut words = watch(Settings { channel: Channel::RtuOverTcp { host }, ..settings("", 20, 100) });
    let mut whole = 0;
    while whole < 20 {
        let seen = next_seen(&mut words).await;
        for ((_, reading), (_, point)) in seen.readings.iter().zip(points()) {
            assert!(matches!(reading, Reading::Bad(_)) || *reading == truth(&point), "{}: {reading:?}", point.name);
        }
        whole += usize::from(is_whole(&seen));
    }
}
