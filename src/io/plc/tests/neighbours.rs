//! PLCs behind one gateway, some of them dead or slow; how many of their polls the others keep.

use super::{
    super::line::run_over,
    lab::{Door, Lab, Mind, Reply, Said},
    *,
};
use crate::event::Stamp;
use tokio::time::Instant;

const POLL_MS: u64 = 500;
const TIMEOUT_MS: u64 = 200;
/// A gateway's own work for a unit that answers.
const REPLY_MS: u64 = 5;
const SETTLED_MS: i64 = 3_000;
const WATCHED_MS: i64 = 300_000;

/// One question after the other, also those that nobody waits for any more.
fn gateway(mut blocked: impl FnMut(u8) -> Option<(u64, Option<u8>)> + std::marker::Send) -> impl Mind {
    let mut free_at = Instant::now();
    move |request: &[u8]| -> Reply {
        let word = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
        let ask =
            Ask { transaction: word(0), unit: request[6], function: request[7], address: word(8), count: word(10) };
        let (takes, reply) = match blocked(ask.unit) {
            None => (REPLY_MS, Some(ask.frame(&ask.truth()))),
            Some((ms, code)) => {
                (ms, code.map(|code| frame(ask.transaction, 0, ask.unit, ask.function | 0x80, &[code])))
            }
        };
        let now = Instant::now();
        free_at = free_at.max(now) + Duration::from_millis(takes);
        reply.into_iter().map(|bytes| (free_at - now, Said::Bytes(bytes))).collect()
    }
}

fn unit(unit: u8, id: String) -> Settings {
    let (_, point) = points().swap_remove(0);
    let points = vec![(PointIx(unit.into()), point)];
    Settings { id, unit, points, ..settings("lab", POLL_MS, TIMEOUT_MS) }
}

/// What the living see of each look, in a world of its own.
struct Hall {
    words: mpsc::Receiver<Word>,
    begun: Stamp,
}

impl Hall {
    fn of(mind: impl Mind + 'static, plcs: Vec<Settings>) -> Hall {
        let clock = Clock::of_timers();
        let (out, words) = mpsc::channel(64);
        tokio::spawn(run_over(Arc::new(Door(Lab::new(mind, 12, false, false))), plcs, clock, out));
        Hall { words, begun: clock.now() }
    }

    /// The next look: how many ms after the start, at which unit, and whether it was answered.
    async fn look(&mut self) -> (i64, u8, bool) {
        loop {
            let Word::Seen(seen) = timeout(DEADLINE, self.words.recv()).await.unwrap().unwrap() else { continue };
            let (PointIx(unit), reading) = &seen.readings[0];
            let is_good = *reading == truth(&points()[0].1);
            assert!(is_good || matches!(reading, Reading::Bad(_)), "{reading:?}");
            return (seen.at.since(self.begun), u8::try_from(*unit).unwrap(), is_good);
        }
    }
}

/// How many of a hundred polls of the worst of the living were kept.
async fn kept(mind: impl Mind + 'static, plcs: Vec<Settings>, is_living: impl Fn(u8) -> bool) -> i64 {
    let mut whole: BTreeMap<u8, i64> = plcs.iter().map(|plc| (plc.unit, 0)).collect();
    let mut hall = Hall::of(mind, plcs);
    loop {
        let (at_ms, unit, is_good) = hall.look().await;
        if at_ms > SETTLED_MS + WATCHED_MS {
            break;
        }
        *whole.get_mut(&unit).unwrap() += i64::from(is_good && at_ms > SETTLED_MS);
    }
    let due = WATCHED_MS / i64::try_from(POLL_MS).unwrap();
    whole.into_iter().filter(|(unit, _)| is_living(*unit)).map(|(_, polls)| polls * 100 / due).min().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_dead_unit_that_blocks_its_gateway_leaves_its_neighbour_its_polls() {
    for block_ms in [100, 300, 500, 1000] {
        // Some gateways say so when they have given up, others say nothing.
        for code in [None, Some(GATEWAY_TARGET)] {
            // Each with a first poll at another moment.
            for id in 0..5 {
                let mind = gateway(move |unit| (unit == 9).then_some((block_ms, code)));
                let plcs = vec![unit(9, format!("dead-{id}")), unit(UNIT, "living".into())];
                let kept = kept(mind, plcs, |unit| unit != 9).await;
                assert!(kept >= 90, "dead-{id} blocks for {block_ms} ms, {code:?}: {kept} of a hundred");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn several_dead_units_leave_the_living_their_polls() {
    for (block_ms, dead, least) in [(0, 3, 98), (0, 5, 98), (500, 1, 95), (500, 3, 95), (500, 5, 95), (1000, 1, 90)] {
        for id in 0..4 {
            let mind = gateway(move |unit| (unit <= dead).then_some((block_ms, None)));
            let plcs = (1..=6).map(|n| unit(n, format!("{n}-{id}"))).collect();
            let kept = kept(mind, plcs, |unit| unit > dead).await;
            assert!(kept >= least, "{dead} of 6 block for {block_ms} ms each: {kept} of a hundred, {id}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn units_that_die_at_one_stroke_are_lost_and_hold_up_the_living_for_two_polls_at_most() {
    const STROKE_MS: i64 = 20_000;
    for id in 0..10 {
        let stroke = Instant::now() + Duration::from_millis(STROKE_MS.unsigned_abs());
        let mind = gateway(move |unit| (unit <= 3 && Instant::now() >= stroke).then_some((0, None)));
        let mut hall = Hall::of(mind, (1..=6).map(|n| unit(n, format!("{n}-{id}"))).collect());
        let mut last = BTreeMap::new();
        let mut longest = 0;
        loop {
            let (at_ms, unit, is_good) = hall.look().await;
            if at_ms > 3 * STROKE_MS {
                break;
            }
            if is_good {
                let before = last.insert(unit, at_ms);
                longest = longest.max(at_ms - before.unwrap_or(at_ms));
            }
        }
        let most = 3 * i64::try_from(POLL_MS).unwrap();
        assert!(longest <= most, "{longest} ms without a look at somebody alive, {id}");
        assert!(last.iter().all(|(unit, at_ms)| (*at_ms < STROKE_MS + 500) == (*unit <= 3)), "{last:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_looked_at_once_a_minute_is_not_left_unseen_because_of_a_neighbour() {
    for id in 0..10 {
        let mind = gateway(|unit| (unit == 9).then_some((1000, None)));
        let slow = Settings { poll: Duration::from_secs(60), ..unit(UNIT, "slow".into()) };
        let mut hall = Hall::of(mind, vec![unit(9, format!("dead-{id}")), slow]);
        let mut last = None;
        while last.is_none_or(|last| last < 1_000_000) {
            let (at_ms, unit, is_good) = hall.look().await;
            if unit == UNIT && is_good {
                let apart = at_ms - last.replace(at_ms).unwrap_or(0);
                assert!(apart < 65_000, "{apart} ms, {id}");
            }
        }
    }
}
