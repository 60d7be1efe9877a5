//! A serial line on which one question puts its device to sleep; how many of their polls the other PLCs keep, also that
//! of the same unit number.

use super::{
    super::{line::run_over, rtu::sealed},
    lab::{Door, Lab, Mind, Reply, Said},
    *,
};
use crate::event::Stamp;
use tokio::time::Instant;

const POLL_MS: u64 = 500;
const TIMEOUT_MS: u64 = 200;
const REPLY_MS: u64 = 5;
const SETTLED_MS: i64 = 10_000;
const WATCHED_MS: i64 = 120_000;
/// Whoever asks for this puts the device to sleep.
const BED: u16 = 100;
const NEIGHBOUR: u8 = 9;

/// Of so many questions for the bed the first third puts the device to sleep; of one, each. Each device on the line answers one question after the other, also those that nobody waits for any more.
fn line(asleep_ms: u64, every: u32) -> impl Mind {
    let mut free_at: BTreeMap<u8, Instant> = BTreeMap::new();
    let mut beds = 0;
    move |request: &[u8]| -> Reply {
        let word = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
        let ask = Ask { transaction: 0, unit: request[0], function: request[1], address: word(2), count: word(4) };
        let now = Instant::now();
        let free_at = free_at.entry(ask.unit).or_insert(now);
        let is_bed = (ask.address..ask.address + ask.count).contains(&BED) && {
            beds += 1;
            beds % every < every.div_ceil(3)
        };
        *free_at = (*free_at).max(now) + Duration::from_millis(if is_bed { asleep_ms } else { REPLY_MS });
        let body = [vec![ask.unit, ask.function], ask.truth()].concat();
        vec![(*free_at - now, Said::Bytes(sealed(body)))]
    }
}

fn plc(id: String, ix: usize, unit: u8, address: u16) -> Settings {
    let (_, mut point) = points().swap_remove(0);
    point.address = address;
    let channel = Channel::Serial(Serial {
        device: "lab".into(),
        baud: 115_200,
        data_bits: 8,
        parity: Parity::None,
        stop_bits: 1,
        echo: false,
        gap: None,
    });
    Settings { id, unit, channel, points: vec![(PointIx(ix), point)], ..settings("lab", POLL_MS, TIMEOUT_MS) }
}

/// How many of a hundred polls each keeps, and the longest time without one, in ms.
async fn kept(plcs: Vec<Settings>, asleep_ms: u64, every: u32) -> BTreeMap<usize, (i64, i64)> {
    let known: BTreeMap<usize, Point> = plcs.iter().map(|plc| (plc.points[0].0.0, plc.points[0].1.clone())).collect();
    let clock = Clock::of_timers();
    let begun = clock.now();
    let (out, mut words) = mpsc::channel(64);
    tokio::spawn(run_over(Arc::new(Door(Lab::new(line(asleep_ms, every), 8, false, false))), plcs, clock, out));
    let mut seen_at: BTreeMap<usize, Vec<i64>> = known.keys().map(|ix| (*ix, Vec::new())).collect();
    loop {
        let Word::Seen(seen) = timeout(DEADLINE, words.recv()).await.unwrap().unwrap() else { continue };
        let at_ms = Stamp::since(seen.at, begun) - SETTLED_MS;
        if at_ms > WATCHED_MS {
            break;
        }
        let (PointIx(ix), reading) = &seen.readings[0];
        let is_good = *reading == truth(&known[ix]);
        assert!(is_good || matches!(reading, Reading::Bad(_)), "{reading:?}");
        if is_good && at_ms > 0 {
            seen_at.get_mut(ix).unwrap().push(at_ms);
        }
    }
    let due = WATCHED_MS / i64::try_from(POLL_MS).unwrap();
    let of = |times: Vec<i64>| {
        let bounds = [0].into_iter().chain(times.iter().copied()).chain([WATCHED_MS]).collect::<Vec<_>>();
        let longest = bounds.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        (i64::try_from(times.len()).unwrap() * 100 / due, longest)
    };
    seen_at.into_iter().map(|(ix, times)| (ix, of(times))).collect()
}

fn plcs(id: usize) -> Vec<Settings> {
    vec![
        plc(format!("sleeper-{id}"), 0, UNIT, BED),
        plc("good".into(), 1, UNIT, 10),
        plc("neighbour".into(), 2, NEIGHBOUR, 10),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_plc_of_the_same_number_keeps_its_polls_beside_one_that_puts_the_device_to_sleep() {
    for asleep_ms in [150, 210, 250, 300, 400, 500, 700, 1000] {
        // Each with a first poll at another moment; with and without a neighbour on the line.
        for (id, count) in (0..4).flat_map(|id| [(id, 2), (id, 3)]) {
            let kept = kept(plcs(id)[..count].to_vec(), asleep_ms, 1).await;
            let is_well = |(polls, longest_ms): &(i64, i64)| *polls >= 96 && *longest_ms <= 1_500;
            let others_are_well = kept.iter().filter(|(ix, _)| **ix > 0).all(|(_, of)| is_well(of));
            assert!(others_are_well, "asleep for {asleep_ms} ms, sleeper-{id}: {kept:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_falls_asleep_now_and_then_costs_the_others_no_longer_than_it_sleeps() {
    for (asleep_ms, every) in [210, 300, 400, 500, 700, 1000].into_iter().flat_map(|ms| [(ms, 3), (ms, 7)]) {
        for id in 0..4 {
            let kept = kept(plcs(id), asleep_ms, every).await;
            // Asked once more at once it may sleep once more; then the others have their turn.
            let most = 2 * i64::try_from(asleep_ms + POLL_MS).unwrap();
            let others_are_well =
                kept.iter().filter(|(ix, _)| **ix > 0).all(|(_, (_, longest_ms))| *longest_ms <= most);
            assert!(others_are_well, "asleep for {asleep_ms} ms, one of {every}, sleeper-{id}: {kept:?}");
        }
    }
}
