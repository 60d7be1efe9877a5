//! Replies wrong in every way that is known, by the million; every value that comes out is the one that was asked for.
//!
//! `ANDON_REPLIES` says how many replies (of each framing), `ANDON_SEED` which seed is the first one. A failure names its
//! seed; the same seed gives the same replies.

use super::{
    super::{
        ask::Ask,
        link::Link,
        rtu::{self, sealed},
    },
    lab::{Door, Lab, Mind, Reply, Said},
    *,
};
use crate::signal::plan::Block;
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use tokio::time::{Instant, sleep_until};

/// Replies of one seed.
const REPLIES_OF_SEED: u64 = 2_000;
/// As many go wrong, or more, before the device recovers.
const FAULTY_ROUNDS: u8 = 20;
/// A reply may come so many time-outs late …
const LATE_MOST: f64 = 5.0;
/// … and of a reply without number so many time-outs are the most that it is old, or this.
const OLD_TIMEOUTS: u32 = 6;
const OLD_LEAST: Duration = Duration::from_secs(1);
/// A unit that nobody asks.
const STRANGER: u8 = 77;

/// What is asked, again and again: tables of the same form beside each other, so that one could be taken for the other.
const BLOCKS: [(u8, Area, u16, u16); 14] = [
    (7, Area::Holding, 0, 4),
    (7, Area::Holding, 100, 4),
    (7, Area::Holding, 200, 4),
    (7, Area::Input, 0, 4),
    (7, Area::Holding, 300, 2),
    (7, Area::Input, 0x0200, 1),
    (7, Area::Holding, 0x0500, 10),
    (8, Area::Holding, 0, 4),
    (8, Area::Holding, 50, 40),
    (8, Area::Input, 70, 4),
    // Their own echo has the form of their answer.
    (7, Area::Coil, 0x0300, 20),
    (7, Area::Holding, 0x0400, 2),
    (7, Area::Coil, 0, 40),
    (7, Area::Coil, 100, 37),
];

#[derive(Clone, Copy, Debug)]
struct Asked {
    serial: u64,
    ask: Ask,
    at: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Framing {
    Tcp,
    Rtu { echo: bool },
}

/// Its registers hold another value at each request, and no two the same.
struct Liar {
    rng: Rng,
    framing: Framing,
    /// What it said to an old connection the next one may hear.
    is_shared: bool,
    timeout: Duration,
    is_honest: bool,
    serial: u64,
    asked: VecDeque<Asked>,
}

fn held(ask: Ask, address: u16, serial: u64) -> u16 {
    let place = u64::from(ask.unit) << 24 | u64::from(ask.function) << 16 | u64::from(address);
    let mut hash = (serial << 32 | place).wrapping_add(0x9E37_79B9_7F4A_7C15);
    hash = (hash ^ hash >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    u16::try_from((hash ^ hash >> 31) & 0xFFFF).unwrap()
}

/// As many values as `count`.
fn values(ask: Ask, count: u16, serial: u64) -> Vec<u16> {
    let mask = if ask.is_bits() { 1 } else { u16::MAX };
    (0..count).map(|n| held(ask, ask.address.wrapping_add(n), serial) & mask).collect()
}

/// Byte count and data.
fn data(ask: Ask, count: u16, serial: u64) -> Vec<u8> {
    let values = values(ask, count, serial);
    let bytes: Vec<u8> = if ask.is_bits() {
        let byte = |eight: &[u16]| eight.iter().rev().fold(0, |byte, bit| byte << 1 | u8::try_from(*bit).unwrap());
        values.chunks(8).map(byte).collect()
    } else {
        values.into_iter().flat_map(u16::to_be_bytes).collect()
    };
    [vec![u8::try_from(bytes.len() & 0xFF).unwrap()], bytes].concat()
}

impl Mind for Liar {
    fn hear(&mut self, request: &[u8]) -> Reply {
        let (transaction, body) = match self.framing {
            Framing::Tcp => (u16::from_be_bytes([request[0], request[1]]), &request[6..]),
            Framing::Rtu { .. } => (0, request),
        };
        let word = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        let ask = Ask { unit: body[0], function: body[1], address: word(2), count: word(4) };
        self.serial += 1;
        self.asked.push_back(Asked { serial: self.serial, ask, at: Instant::now() });
        if self.asked.len() > 400 {
            self.asked.pop_front();
        }
        let mut reply =
            if self.is_honest { self.honest(ask, transaction) } else { self.lie(ask, transaction, request) };
        if self.framing == (Framing::Rtu { echo: true }) {
            reply.insert(0, (Duration::ZERO, Said::Bytes(request.to_vec())));
        }
        reply
    }
}

impl Liar {
    fn honest(&mut self, ask: Ask, transaction: u16) -> Reply {
        let truth = self.truth(ask, transaction);
        vec![(Duration::from_millis(self.rng.u64(0..4)), Said::Bytes(truth))]
    }

    fn frame(&self, transaction: u16, unit: u8, function: u8, body: &[u8]) -> Vec<u8> {
        match self.framing {
            Framing::Tcp => frame(transaction, 0, unit, function, body),
            Framing::Rtu { .. } => sealed([&[unit, function], body].concat()),
        }
    }

    fn truth(&self, ask: Ask, transaction: u16) -> Vec<u8> {
        self.frame(transaction, ask.unit, ask.function, &data(ask, ask.count, self.serial))
    }

    /// One of the ways in which replies go wrong, or none.
    fn lie(&mut self, ask: Ask, transaction: u16, request: &[u8]) -> Reply {
        let soon = Duration::from_millis(self.rng.u64(0..4));
        let is_true = self.rng.u8(0..10) < 4;
        let mut reply = if is_true {
            vec![(soon, Said::Bytes(self.truth(ask, transaction)))]
        } else if self.framing == Framing::Tcp {
            self.lie_in_tcp(ask, transaction, request, soon)
        } else {
            self.lie_in_rtu(ask, request, soon)
        };
        // Without a checksum nothing tells the rest of a frame from another one that comes in its midst: a gateway that
        // passes old replies to new connections is believed to pass each of them whole.
        if self.is_shared && self.framing == Framing::Tcp {
            let mut whole = Vec::new();
            reply
                .iter_mut()
                .filter_map(|(_, said)| if let Said::Bytes(bytes) = said { Some(bytes) } else { None })
                .for_each(|bytes| whole.append(bytes));
            let end =
                reply.iter().position(|(_, said)| matches!(said, Said::End)).map(|place| reply.swap_remove(place));
            let after = reply.first().map(|(after, _)| *after);
            reply = after.map(|after| (after, Said::Bytes(whole))).into_iter().chain(end).collect();
        }
        // One in a hundred is disturbed; over TCP no lie, which two faults might make whole.
        if self.rng.u8(0..100) == 0
            && (is_true || self.framing != Framing::Tcp)
            && let Some((_, Said::Bytes(bytes))) = reply.first_mut()
        {
            self.disturb(bytes);
        }
        reply
    }

    /// Up to three bits anywhere, or a burst of two bytes: what the checksum is for. TCP has one of its own, so that only
    /// a header that a device wrote wrong can be wrong.
    fn disturb(&mut self, bytes: &mut [u8]) {
        let bits = bytes.len().min(if self.framing == Framing::Tcp { 9 } else { usize::MAX }) * 8;
        if self.framing != Framing::Tcp && bits >= 16 && self.rng.bool() {
            let (at, mask) = (self.rng.usize(..bits - 15), self.rng.u16(1..));
            for bit in (0..16).filter(|bit| mask >> bit & 1 == 1) {
                bytes[(at + bit) / 8] ^= 1 << ((at + bit) % 8);
            }
            return;
        }
        for _ in 0..self.rng.u8(1..4) {
            let bit = self.rng.usize(..bits);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    fn late(&mut self) -> Duration {
        self.timeout.mul_f64(0.5 + self.rng.f64() * (LATE_MOST - 0.5))
    }

    /// A byte every 5 ms.
    fn dribbled(bytes: &[u8]) -> Reply {
        let byte = |(n, byte): (u32, &u8)| (Duration::from_millis(5) * n, Said::Bytes(vec![*byte]));
        (0..).zip(bytes).map(byte).collect()
    }

    fn in_two(&mut self, bytes: &[u8], apart: Duration) -> Reply {
        let cut = self.rng.usize(1..bytes.len());
        vec![(Duration::ZERO, Said::Bytes(bytes[..cut].to_vec())), (apart, Said::Bytes(bytes[cut..].to_vec()))]
    }

    fn lie_in_tcp(&mut self, ask: Ask, transaction: u16, request: &[u8], soon: Duration) -> Reply {
        let truth = self.truth(ask, transaction);
        // The same form, every value wrong: what must never be seen.
        let lie = data(ask, ask.count, u64::MAX >> 32);
        let other = |transaction, unit, function| frame(transaction, 0, unit, function, &lie);
        let poison = other(transaction, ask.unit, ask.function);
        let sized = |count| frame(transaction, 0, ask.unit, ask.function, &data(ask, count, u64::MAX >> 32));
        let code = *self.rng.choice(&[1, 2, 3, 4, 5, 6, 0x0A, 0x0B]).unwrap();
        let exception = frame(transaction, 0, ask.unit, ask.function | 0x80, &[code]);
        let next = other(transaction.wrapping_add(1), ask.unit, ask.function);
        let long = with_length(truth.clone(), |length| length + 1);
        let copied = with_length(truth.clone(), |_| 6);
        let gap = Duration::from_millis(self.rng.u64(0..60));
        let end = || (gap, Said::End);
        let at_once = |bytes: Vec<u8>| vec![(soon, Said::Bytes(bytes))];
        match self.rng.u8(0..34) {
            0..3 => {
                let late = self.late();
                vec![(late, Said::Bytes(truth))]
            }
            3 => vec![],
            4 => vec![end()],
            5 | 6 if self.is_shared => vec![end()],
            5 => vec![(soon, Said::Bytes(poison[..self.rng.usize(1..poison.len())].to_vec())), end()],
            6 => at_once(poison[..self.rng.usize(1..poison.len())].to_vec()),
            7 => Liar::dribbled(&truth),
            8 => self.in_two(&truth, gap),
            // True, and then what nobody asked for: once more, and an answer to the next question.
            9 => at_once([truth, poison].concat()),
            10 => at_once([truth, next].concat()),
            11 => vec![(soon, Said::Bytes(truth)), (soon + gap, Said::Bytes(next))],
            // One behind, and one ahead.
            12 => at_once(other(transaction.wrapping_sub(1), ask.unit, ask.function)),
            13 => at_once(next),
            14 => at_once([other(transaction.wrapping_sub(1), ask.unit, ask.function), truth].concat()),
            15 => at_once(other(transaction, STRANGER, ask.function)),
            16 => at_once(other(transaction, ask.unit, ask.function % 4 + 1)),
            17 => at_once(frame(transaction, 1, ask.unit, ask.function, &lie)),
            18 => at_once(request.to_vec()),
            19 => at_once([request, &truth].concat()),
            20 => at_once(sized(ask.count + 8)),
            21 => at_once(sized(ask.count * 2)),
            22 => at_once((0..self.rng.usize(1..300)).map(|_| self.rng.u8(..)).collect()),
            // The byte count lies.
            23 => at_once(frame(transaction, 0, ask.unit, ask.function, &[&[lie[0] ^ 2], &lie[1..]].concat())),
            // The header lies, the rest is true: with nothing, a byte, or two too many behind it.
            24 => at_once(long),
            25 => at_once([&long[..], &[0]].concat()),
            26 => vec![(soon, Said::Bytes(long)), (soon + gap, Said::Bytes(vec![0, 0]))],
            27 => at_once(copied),
            28 => self.in_two(&copied, gap / 2),
            29 => Liar::dribbled(&copied),
            // The header is right, but the frame is cut: what follows is another one.
            30 if lie.len() > 4 => {
                let cut = [&frame(transaction, 0, ask.unit, ask.function, &lie[..4])[..], &exception].concat();
                if self.rng.bool() { at_once(cut) } else { self.in_two(&cut, gap / 4) }
            }
            30 => at_once(with_length(poison, |_| 0)),
            31 => at_once(exception),
            32 => at_once(with_length(exception, |length| length + 1)),
            _ => at_once([with_length(exception, |length| length + 1), vec![0]].concat()),
        }
    }

    fn lie_in_rtu(&mut self, ask: Ask, request: &[u8], soon: Duration) -> Reply {
        let truth = self.truth(ask, 0);
        let lie = data(ask, ask.count, u64::MAX >> 32);
        let poison = self.frame(0, ask.unit, ask.function, &lie);
        let sized = |count| sealed([&[ask.unit, ask.function][..], &data(ask, count, u64::MAX >> 32)].concat());
        let code = *self.rng.choice(&[1, 2, 3, 4, 5, 6, 0x0A, 0x0B]).unwrap();
        let exception = self.frame(0, ask.unit, ask.function | 0x80, &[code]);
        let stranger = self.frame(0, STRANGER, ask.function, &lie);
        let other = self.frame(0, ask.unit, ask.function % 4 + 1, &lie);
        let gap = Duration::from_millis(self.rng.u64(0..40));
        let at_once = |bytes: Vec<u8>| vec![(soon, Said::Bytes(bytes))];
        match self.rng.u8(0..26) {
            0..6 => {
                let late = self.late();
                vec![(late, Said::Bytes(truth))]
            }
            6 => {
                let late = self.late();
                vec![(late, Said::Bytes(exception))]
            }
            7 | 8 => vec![],
            9 => vec![(gap, Said::End)],
            10 => at_once(truth[..self.rng.usize(1..truth.len())].to_vec()),
            11 | 12 => Liar::dribbled(&truth),
            13 => self.in_two(&truth, gap),
            14 => at_once([truth, poison].concat()),
            15 => at_once([truth, stranger].concat()),
            16 => at_once([stranger, truth].concat()),
            17 => at_once(stranger),
            18 => at_once(other),
            19 => at_once(request.to_vec()),
            20 => at_once([request, &truth].concat()),
            21 => at_once(sized(ask.count + 8)),
            22 => at_once(sized(ask.count * 2)),
            23 => at_once((0..self.rng.usize(1..300)).map(|_| self.rng.u8(..)).collect()),
            // A byte count of two bytes.
            24 => at_once(sealed([&[ask.unit, ask.function, 0][..], &data(ask, ask.count, self.serial)].concat())),
            _ => at_once(exception),
        }
    }
}

/// What came of some replies.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    replies: u64,
    good: u64,
    faults: u64,
    mended: u64,
    late: u64,
    recoveries: u64,
    /// Of a reply without a number, the oldest one that was taken.
    oldest: Duration,
}

impl Figures {
    fn add(&mut self, other: &Figures) {
        self.replies += other.replies;
        self.good += other.good;
        self.faults += other.faults;
        self.mended += other.mended;
        self.late += other.late;
        self.recoveries += other.recoveries;
        self.oldest = self.oldest.max(other.oldest);
    }
}

/// A link, the device at its other end, and what was asked of it.
struct Trial {
    lab: Arc<Lab<Liar>>,
    link: Link,
    framing: Framing,
    timeout: Duration,
    blocks: Vec<(u8, Block)>,
    figures: Figures,
}

impl Trial {
    fn new(seed: u64, is_tcp: bool) -> Trial {
        fastrand::seed(seed);
        let mut rng = Rng::with_seed(seed);
        let timeout = Duration::from_millis(*rng.choice(&[30, 100, 300, 1000]).unwrap());
        let kind = rng.u8(0..3);
        let (framing, channel) = match kind {
            _ if is_tcp => (Framing::Tcp, Channel::tcp("lab")),
            0 => (Framing::Rtu { echo: false }, Channel::RtuOverTcp { host: "lab".into() }),
            _ => {
                let (baud, echo) = (*rng.choice(&[9_600, 115_200]).unwrap(), kind == 2);
                let (device, parity) = ("/dev/lab".into(), Parity::Even);
                let line = Serial { device, baud, data_bits: 8, parity, stop_bits: 1, echo, gap: None };
                (Framing::Rtu { echo }, Channel::Serial(line))
            }
        };
        let mut blocks = BLOCKS.to_vec();
        rng.shuffle(&mut blocks);
        blocks.truncate(rng.usize(1..6));
        let block = |(unit, area, address, count)| (unit, Block { area, address, count, slots: Vec::new() });
        let blocks = blocks.into_iter().map(block).collect();
        let is_shared = !is_tcp || rng.bool();
        let liar = Liar { rng, framing, is_shared, timeout, is_honest: false, serial: 0, asked: VecDeque::new() };
        let lab = Lab::new(liar, if is_tcp { 12 } else { rtu::REQUEST_BYTES }, is_shared, is_tcp);
        let link = Link::new(channel, Arc::new(Door(Arc::clone(&lab))));
        Trial { lab, link, framing, timeout, blocks, figures: Figures::default() }
    }

    /// Reads every block, as a poll does; whether all of them were answered with values.
    async fn round(&mut self) -> bool {
        for place in 0..self.blocks.len() {
            let before = self.lab.mind.lock().unwrap().serial;
            let (unit, block) = &self.blocks[place];
            match self.link.read(*unit, self.timeout, block).await {
                Ok(found) => {
                    self.figures.good += 1;
                    self.check(place, before, &found);
                }
                Err(Error::Refused(_)) => {
                    self.figures.faults += 1;
                    if self.lab.mind.lock().unwrap().is_honest {
                        return false;
                    }
                }
                Err(_) => {
                    self.figures.faults += 1;
                    return false;
                }
            }
        }
        true
    }

    /// What came out was held when it was asked for: in this very read, or (where a reply bears no number) not too long ago.
    fn check(&mut self, place: usize, before: u64, found: &[u16]) {
        let (unit, block) = &self.blocks[place];
        let wanted = Ask::new(*unit, block.area, block.address, block.count);
        let now = Instant::now();
        let old = (self.timeout * OLD_TIMEOUTS).max(OLD_LEAST) + Duration::from_millis(500);
        let mind = self.lab.mind.lock().unwrap();
        let is_same =
            |ask: Ask| (ask.unit, ask.function, ask.address) == (wanted.unit, wanted.function, wanted.address);
        let source = mind.asked.iter().rev().find(|asked| {
            is_same(asked.ask)
                && asked.ask.count >= wanted.count
                && found == values(asked.ask, wanted.count, asked.serial)
        });
        let Some(source) = source else { panic!("{wanted:?} gave {found:?}, which it never held") };
        match self.framing {
            Framing::Tcp => assert!(source.serial > before, "{wanted:?} gave {found:?} of an earlier question"),
            Framing::Rtu { .. } => {
                let age = now - source.at;
                assert!(age <= old, "{wanted:?} gave {found:?}, {age:?} old with a timeout of {:?}", self.timeout);
                if source.serial <= before {
                    self.figures.oldest = self.figures.oldest.max(age);
                }
            }
        }
    }

    /// Faults, then none, again and again.
    async fn run(mut self, replies: u64) -> Figures {
        let poll = self.timeout;
        let mut next = Instant::now();
        while self.lab.mind.lock().unwrap().serial < replies {
            let rounds = {
                let mut mind = self.lab.mind.lock().unwrap();
                mind.is_honest = false;
                mind.rng.u8(1..FAULTY_ROUNDS)
            };
            for _ in 0..rounds {
                self.round().await;
                next = (next + poll).max(Instant::now());
                sleep_until(next).await;
            }
            self.lab.mind.lock().unwrap().is_honest = true;
            sleep_until(self.lab.quiet_at()).await;
            let is_back = self.round().await || self.round().await;
            assert!(is_back, "not read again within two polls");
            self.figures.recoveries += 1;
            let tally = self.link.take_tally();
            self.figures.mended += tally.mended_frames;
            self.figures.late += self.link.take_late().len() as u64;
        }
        self.figures.replies = self.lab.mind.lock().unwrap().serial;
        self.figures
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn lie_and_listen(is_tcp: bool, replies: u64) -> Figures {
    let (first, replies) = (number("ANDON_SEED", 1), number("ANDON_REPLIES", replies));
    let seeds = replies.div_ceil(REPLIES_OF_SEED);
    let turn = AtomicU64::new(first);
    let sum = Mutex::new(Figures::default());
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let seed = turn.fetch_add(1, Relaxed);
                if seed >= first + seeds {
                    return;
                }
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_time().start_paused(true).build().unwrap();
                let trial = || runtime.block_on(Trial::new(seed, is_tcp).run(REPLIES_OF_SEED));
                match std::panic::catch_unwind(std::panic::AssertUnwindSafe(trial)) {
                    Ok(figures) => sum.lock().unwrap().add(&figures),
                    Err(_) => panic!("seed {seed} of {} failed", if is_tcp { "TCP" } else { "RTU" }),
                }
            }
        };
        (0..2).for_each(|_| drop(scope.spawn(work)));
    });
    let sum = *sum.lock().unwrap();
    println!("seeds {first} to {}: {sum:?} in {:?}", first + seeds - 1, begun.elapsed());
    sum
}

#[test]
fn no_lie_of_a_tcp_device_gives_a_wrong_value_and_two_polls_after_the_last_one_it_is_read_again() {
    let sum = lie_and_listen(true, 60_000);
    assert!(sum.good > sum.replies / 4 && sum.faults > sum.replies / 8 && sum.mended > sum.replies / 100, "{sum:?}");
}

#[test]
fn no_lie_on_an_rtu_line_gives_a_wrong_value_and_two_polls_after_the_last_one_it_is_read_again() {
    let sum = lie_and_listen(false, 60_000);
    assert!(sum.good > sum.replies / 4 && sum.faults > sum.replies / 8 && sum.late > sum.replies / 100, "{sum:?}");
}

#[test]
fn of_equal_questions_the_last_one_asked_is_owed_longest() {
    // These once gave the late reply to one of three equal questions for the answer to another.
    for seed in [119, 690, 1883] {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(Trial::new(seed, false).run(REPLIES_OF_SEED));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_taken_by_the_same_question_asked_again_leaves_that_one_owed() {
    let delays_ms = [1_200, 5_200, 5_000];
    let mut asks = 0;
    let mind = move |request: &[u8]| -> Reply {
        let count = usize::from(request[5]);
        asks += 1;
        // Each register holds its address.
        let values = (0..request[5]).flat_map(|n| [0, request[3] + n]);
        let frame = sealed([request[0], request[1], request[5] * 2].into_iter().chain(values).collect());
        assert_eq!(frame.len(), rtu::REPLY_BYTES + 2 * count);
        vec![(Duration::from_millis(*delays_ms.get(asks - 1).unwrap_or(&5_000)), Said::Bytes(frame))]
    };
    let lab = Lab::new(mind, rtu::REQUEST_BYTES, true, false);
    let mut link = Link::new(Channel::RtuOverTcp { host: "lab".into() }, Arc::new(Door(lab)));
    let (block, other) = (
        Block { area: Area::Holding, address: 10, count: 2, slots: Vec::new() },
        Block { area: Area::Holding, address: 20, count: 2, slots: Vec::new() },
    );
    let patience = Duration::from_secs(1);
    let begun = Instant::now();
    assert!(link.read(7, patience, &block).await.is_err());
    assert_eq!(link.read(7, patience, &block).await.unwrap(), [10, 11], "late, and true");
    // The first question is forgotten by now; the reply to the second one is on its way.
    sleep_until(begun + Duration::from_millis(6_150)).await;
    let found = link.read(7, patience, &other).await;
    assert!(found.is_err(), "{found:?} is what stands elsewhere");
}
