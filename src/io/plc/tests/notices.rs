//! A device that misbehaves in one way; what is said about it, word for word, and what is tried again when.

use super::{
    super::line::run_over,
    lab::{Door, Lab, Mind, Reply, Said},
    *,
};
use crate::event::Stamp;
use tokio::time::Instant;

/// What is noted, seen and counted of a PLC.
struct Told {
    words: mpsc::Receiver<Word>,
    clock: Clock,
}

impl Told {
    fn of(mind: impl Mind + 'static, settings: Settings) -> Told {
        let is_tcp = matches!(settings.channel, Channel::Tcp { .. });
        let lab = Lab::new(mind, if is_tcp { 12 } else { rtu::REQUEST_BYTES }, !is_tcp, is_tcp);
        let clock = Clock::of_timers();
        let (out, words) = mpsc::channel(64);
        tokio::spawn(run_over(Arc::new(Door(lab)), vec![settings], clock, out));
        Told { words, clock }
    }

    async fn next(&mut self) -> Word {
        timeout(Duration::from_secs(3600), self.words.recv()).await.expect("a word in time").expect("the task runs")
    }

    /// The next notice, which is the one that is due.
    async fn note(&mut self, due: &str) -> (Stamp, String) {
        loop {
            if let Word::Noted { code, text, at, .. } = self.next().await {
                assert_eq!(code, due, "{text}");
                return (at, text);
            }
        }
    }

    async fn seen(&mut self) -> Observation {
        loop {
            if let Word::Seen(seen) = self.next().await {
                return seen;
            }
        }
    }

    async fn counted(&mut self) -> Counters {
        loop {
            if let Word::Counted { counters, .. } = self.next().await {
                return counters;
            }
        }
    }

    /// Whether nothing is noted for so long.
    async fn is_silent_for(&mut self, seconds: u64) -> bool {
        let end = self.clock.now().plus(i64::try_from(seconds * 1000).unwrap());
        while self.clock.now() < end {
            if let Word::Noted { .. } = self.next().await {
                return false;
            }
        }
        true
    }
}

fn asked_over_tcp(request: &[u8]) -> Ask {
    let word = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
    Ask { transaction: word(0), unit: request[6], function: request[7], address: word(8), count: word(10) }
}

fn over_tcp(mut script: impl FnMut(Ask) -> (u64, Vec<u8>) + std::marker::Send) -> impl Mind {
    move |request: &[u8]| -> Reply {
        let (after_ms, bytes) = script(asked_over_tcp(request));
        vec![(Duration::from_millis(after_ms), Said::Bytes(bytes))]
    }
}

/// The true reply in an RTU frame, changed.
fn over_rtu(mut script: impl FnMut(&mut Vec<u8>) -> u64 + std::marker::Send) -> impl Mind {
    move |request: &[u8]| -> Reply {
        let word = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
        let ask = Ask { transaction: 0, unit: request[0], function: request[1], address: word(2), count: word(4) };
        let mut frame = rtu::sealed([vec![ask.unit, ask.function], ask.truth()].concat());
        let after_ms = script(&mut frame);
        vec![(Duration::from_millis(after_ms), Said::Bytes(frame))]
    }
}

fn rtu_settings(poll_ms: u64, timeout_ms: u64) -> Settings {
    Settings { channel: Channel::RtuOverTcp { host: "lab".into() }, ..settings("", poll_ms, timeout_ms) }
}

#[tokio::test(start_paused = true)]
async fn a_hole_is_named_once_and_asked_for_again_after_five_minutes() {
    let is_filled = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (flag, heard) = (Arc::clone(&is_filled), Arc::clone(&asked));
    // Holding 5 does not exist, until the program of the PLC has grown.
    let mind = over_tcp(move |ask| {
        let touches = ask.function == 3 && (ask.address..ask.address + ask.count).contains(&5);
        if touches {
            heard.lock().unwrap().push(Instant::now());
        }
        if touches && !flag.load(Ordering::Relaxed) {
            return (1, frame(ask.transaction, 0, UNIT, 0x83, &[2]));
        }
        (1, ask.frame(&ask.truth()))
    });
    let mut told = Told::of(mind, settings("lab", 1000, 1000));
    assert_eq!(told.note("plc_holes").await.1, "plc refused to read plc.p2");
    let first = *asked.lock().unwrap().last().unwrap();
    // For ten minutes and a half it stays a hole: it is asked for again twice, and nothing more is said.
    assert!(told.is_silent_for(630).await, "said once");
    let retries: Vec<u64> =
        asked.lock().unwrap().iter().filter(|at| **at > first).map(|at| at.duration_since(first).as_secs()).collect();
    assert!(retries.iter().all(|s| (299..=302).contains(s) || (599..=604).contains(s)), "{retries:?}");
    assert!(retries.iter().any(|s| *s < 310) && retries.iter().any(|s| *s > 590), "{retries:?}");
    is_filled.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    while !is_whole(&told.seen().await) {}
    assert!((250..=302).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_is_noted_with_the_timeout_that_it_missed_and_again_after_ten_minutes() {
    let mut asks = 0;
    let mind = over_rtu(move |_| {
        asks += 1;
        if asks % 20 == 0 { 250 } else { 1 }
    });
    let mut told = Told::of(mind, rtu_settings(1000, 200));
    let (first, text) = told.note("plc_late").await;
    assert_eq!(text, "plc replied after its timeout of 200ms: 1 late reply discarded");
    let (second, text) = told.note("plc_late").await;
    let apart = second.since(first);
    assert!((600_000..630_000).contains(&apart), "{apart} ms");
    let late: u64 = text.split([':', ' ']).find_map(|word| word.parse().ok()).unwrap();
    assert_eq!(text, format!("plc replied after its timeout of 200ms: {late} late replies discarded"));
    // One in twenty of about 4 requests a second.
    assert!((100..160).contains(&late), "{late}");
}

#[tokio::test(start_paused = true)]
async fn wrong_checksums_are_noted_with_their_number() {
    let mut asks = 0;
    let mind = over_rtu(move |frame| {
        asks += 1;
        let last = frame.len() - 1;
        frame[last] ^= u8::from(asks % 50 == 0);
        1
    });
    let mut told = Told::of(mind, rtu_settings(1000, 200));
    let (first, text) = told.note("plc_crc").await;
    assert_eq!(text, "plc: 1 reply with a wrong checksum");
    let (second, text) = told.note("plc_crc").await;
    assert!((600_000..630_000).contains(&second.since(first)), "{} ms", second.since(first));
    let wrong: u64 = text.split(' ').find_map(|word| word.parse().ok()).unwrap();
    assert_eq!(text, format!("plc: {wrong} replies with a wrong checksum"));
    assert!((40..60).contains(&wrong), "{wrong}");
}

#[tokio::test(start_paused = true)]
async fn a_plc_slower_than_its_poll_is_noted_and_one_that_is_so_once_is_not() {
    // Four requests of 60 ms each do not fit into 100 ms.
    let slow = over_tcp(|ask| (60, ask.frame(&ask.truth())));
    let mut told = Told::of(slow, settings("lab", 100, 1000));
    let (_, text) = told.note("plc_overrun").await;
    assert_eq!(text, "plc took longer than its poll of 100 ms and skipped 10 polls");
    let mut asks = 0;
    let hiccup = over_tcp(move |ask| {
        asks += 1;
        (if asks == 100 { 450 } else { 1 }, ask.frame(&ask.truth()))
    });
    let mut told = Told::of(hiccup, settings("lab", 100, 1000));
    assert!(told.is_silent_for(120).await, "four polls skipped are no matter for anybody");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_counts_its_replies_wrong_is_read_counted_and_noted_once() {
    for (length, trail, says) in [
        // One too many, with and without a byte behind it; and that of the request.
        (None, 0, "the header says 10 bytes where the reply has 9"),
        (None, 1, "the header says 10 bytes where the reply has 9"),
        (Some(6), 0, "the header says 6 bytes where the reply has 9"),
    ] {
        let mind = over_tcp(move |ask| {
            let frame = with_length(ask.frame(&ask.truth()), |right| length.unwrap_or(right + 1));
            (1, [frame, vec![0; trail]].concat())
        });
        // Three registers.
        let plc = Settings { points: points()[..2].to_vec(), max_gap: 0, ..settings("lab", 1000, 1000) };
        let plc = Settings {
            points: vec![(PointIx(0), Point { kind: Kind::U16, ..plc.points[1].1.clone() }), {
                let (ix, point) = plc.points[1].clone();
                (ix, Point { address: 3, ..point })
            }],
            ..plc
        };
        let expected: Vec<Reading> = plc.points.iter().map(|(_, point)| truth(point)).collect();
        let mut told = Told::of(mind, plc);
        let (_, text) = told.note("plc_frames").await;
        assert_eq!(text, format!("plc counts its replies wrong: {says}; they are read by what they hold"));
        for _ in 0..10 {
            let seen: Vec<Reading> = told.seen().await.readings.into_iter().map(|(_, reading)| reading).collect();
            assert_eq!(seen, expected);
        }
        let counters = told.counted().await;
        assert_eq!((counters.mended_frames, counters.timeouts, counters.retries), (counters.requests, 0, 0));
        assert!(told.is_silent_for(1200).await, "said once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_answers_more_than_was_asked_is_refused_in_words_that_say_what_it_does() {
    let mind = over_tcp(|ask| (1, ask.frame(&ask.data(ask.count * 2, |address| address))));
    // One block of six registers.
    let mut told = Told::of(mind, Settings { points: points()[..3].to_vec(), ..settings("lab", 1000, 1000) });
    let why = loop {
        if let Word::Lost { why, .. } = told.next().await {
            break why;
        }
    };
    let due = "the reply cannot be trusted: it holds 24 bytes where 12 were due: twice as many, as of a device whose \
               registers have 32 bits";
    assert_eq!(why, due);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_meets_the_next_connection_is_not_taken_for_the_answer_to_another_question() {
    // A gateway that is always late passes its replies to whoever is connected.
    let mut asks = 0;
    let mind = over_tcp(move |ask| {
        asks += 1;
        (if asks % 2 == 0 { 1 } else { 150 }, ask.frame(&ask.truth()))
    });
    let lab = Lab::new(mind, 12, true, false);
    let (out, words) = mpsc::channel(64);
    let clock = Clock::of_timers();
    tokio::spawn(run_over(Arc::new(Door(lab)), vec![settings("lab", 130, 100)], clock, out));
    let mut told = Told { words, clock };
    let mut good = 0;
    while good < 300 {
        for ((_, reading), (_, point)) in told.seen().await.readings.iter().zip(points()) {
            assert!(matches!(reading, Reading::Bad(_)) || *reading == truth(&point), "{}: {reading:?}", point.name);
            good += usize::from(matches!(reading, Reading::Good(_)));
        }
    }
}
