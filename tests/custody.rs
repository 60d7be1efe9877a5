//! The proof of delivery: digests against what was told, replays against the journal, whatever became of its rows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/plant.rs"]
mod plant;

use andon::{
    custody::{
        chain,
        digest::{self, Total},
        replay::{Missing, Replay, Request, Why},
    },
    event::{Event, Told, stop},
    gateway,
    io::journal::Reader,
};
use plant::{BEGIN, DAY_MS, HOUR_MS, Plant, Temper};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// A stop every few minutes, and now and then hours in which nobody sees anything.
const WILD: Temper = Temper { look_ms: (5_000, 40_000), dark: 3000, run_ms: 1_200_000, faults: true };

/// What a consumer adds up that took every event: the latest word on each downtime.
fn booked(told: &[Told]) -> BTreeMap<(String, String), (u64, i64)> {
    let mut latest = BTreeMap::new();
    for told in told {
        if let Event::Stop(stop::Event::Downtime(downtime)) = &told.event {
            latest.insert(downtime.stop.downtime_id(), downtime);
        }
    }
    let mut totals: BTreeMap<(String, String), (u64, i64)> = BTreeMap::new();
    for downtime in latest.values().filter(|downtime| digest::counts(&downtime.stop)) {
        let shifts: BTreeSet<&str> = downtime.stop.shares.iter().map(|share| share.shift.as_str()).collect();
        for shift in shifts {
            let total = totals.entry((downtime.machine.clone(), shift.to_owned())).or_default();
            total.0 += 1;
            let shares = downtime.stop.shares.iter().filter(|share| share.shift == shift);
            total.1 += shares.map(|share| share.duration_ms).sum::<i64>();
        }
    }
    totals
}

fn tails(told: &[Told]) -> BTreeMap<String, u64> {
    told.iter().map(|told| (told.topic.clone(), told.topic_sequence)).collect()
}

#[test]
fn a_digest_says_what_the_events_add_up_to_at_every_hour_and_after_restarts() {
    let (mut lines, mut busy) = (0, 0);
    for seed in 1..=4 {
        let folder = tempfile::tempdir().unwrap();
        let mut plant = Plant::open(folder.path(), 3, WILD, seed);
        for hour in 1..=60 {
            plant.live(BEGIN.plus(hour * HOUR_MS));
            if hour % 20 == 0 {
                plant.close(hour % 40 == 0);
                plant.reopen();
            }
            let digest = gateway::custody::digest(plant.shop(), chain::START, 1);
            assert_eq!(digest.tails, tails(&plant.told), "seed {seed}, hour {hour}");
            assert_eq!(digest.last_sequence, plant.told.len() as u64);
            let booked = booked(&plant.told);
            for Total { machine, shift, times, duration_ms } in digest.totals {
                let expected = booked.get(&(machine.clone(), shift.clone())).copied().unwrap_or_default();
                assert_eq!((times, duration_ms), expected, "seed {seed}, hour {hour}: {machine} {shift}");
                lines += 1;
                busy += i32::from(times > 0);
            }
        }
    }
    // Nearly always there is a shift that runs and one that ended, and often something happened in it.
    assert!(lines > 4 * 60 * 3 && busy > lines / 4, "{busy} of {lines} totals say something");
}

/// A hand that is not andon's.
fn by_hand(data_dir: &Path, sql: &str) {
    rusqlite::Connection::open(data_dir.join("andon.db")).unwrap().execute_batch(sql).unwrap();
}

/// Topic key, `topicsequence` and body.
type Sent = (String, u64, Vec<u8>);

/// As the gateway reads it: what is sent, in order, what is missing, and how many rows were looked at.
fn replay(reader: &Reader, request: &Request) -> (Vec<Sent>, Vec<Missing>) {
    let mut replay = Replay::new(request);
    let mut at = reader.before(&replay.wanted()).unwrap();
    let mut sent = Vec::new();
    while !replay.wanted().is_empty() {
        let piece = reader.piece((at, request.through, 64), |key, sequence| replay.meet(key, sequence)).unwrap();
        sent.extend(piece.rows);
        let Some(read_to) = piece.read_to else { break };
        at = read_to;
    }
    assert_eq!(replay.count(), sent.len() as u64);
    (sent, replay.end(&reader.gaps().unwrap()))
}

fn bodies(reader: &Reader) -> BTreeMap<(String, u64), (u64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut each = |row: andon::io::journal::Row| {
        let key = andon::wire::topic::key_of(&row.topic).unwrap();
        all.insert((key, row.topic_sequence), (row.sequence, row.body.to_vec()));
    };
    reader.each_row(&mut each).unwrap();
    all
}

#[test]
fn a_replay_is_the_journal_from_any_place_on_and_names_what_is_no_longer_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut plant = Plant::open(folder.path(), 3, Temper { run_ms: 240_000, ..WILD }, 9);
    plant.live(BEGIN.plus(6 * DAY_MS));
    plant.close(true);
    let data_dir = plant.data_dir();
    let reader = Reader::open(&data_dir).unwrap();
    let (tails, through) = (tails(&plant.told), plant.told.len() as u64);
    assert!(through > 2000 && tails.values().any(|tail| *tail > 600), "long topics: {through} {tails:?}");
    let whole = bodies(&reader);
    let mut chance = fastrand::Rng::with_seed(1);
    let ask = |chance: &mut fastrand::Rng| {
        let named: Vec<&String> = tails.keys().filter(|_| chance.bool()).collect();
        let after = named.iter().map(|key| ((*key).clone(), chance.u64(0..=tails[*key] + 1))).collect();
        Request { consumer: "mes".into(), command_id: "c".into(), after, tails: tails.clone(), through }
    };
    for _ in 0..40 {
        let request = ask(&mut chance);
        let (sent, missing) = replay(&reader, &request);
        let mut expected: Vec<_> = whole
            .iter()
            .filter(|((key, at), _)| request.after.get(key).is_some_and(|after| at > after))
            .map(|((key, at), (sequence, body))| (*sequence, (key.clone(), *at, body.clone())))
            .collect();
        expected.sort_by_key(|(sequence, _)| *sequence);
        assert_eq!(sent, expected.into_iter().map(|(_, row)| row).collect::<Vec<_>>());
        assert_eq!(missing, []);
    }

    // A bad sector in the midst, and what retention will do once: rows gone, and one line that says which.
    let cut = through / 3;
    let mut ranges: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for ((key, at), (sequence, _)) in &whole {
        if *sequence <= cut {
            let range = ranges.entry(key).or_insert((*at, *at));
            range.1 = range.1.max(*at);
        }
    }
    let topics = serde_json::to_string(&ranges).unwrap();
    by_hand(
        &data_dir,
        &format!(
            "DELETE FROM journal WHERE sequence <= {cut} OR sequence BETWEEN {through} / 2 AND {through} / 2 + 3;
             INSERT INTO gap VALUES (1, {cut}, '{topics}', x'00', 'pruned');"
        ),
    );
    let left = bodies(&reader);
    assert_eq!(reader.first_sequence().unwrap(), Some(cut + 1));
    let mut whys = BTreeSet::new();
    for _ in 0..40 {
        let request = ask(&mut chance);
        let (sent, missing) = replay(&reader, &request);
        let mut all: BTreeMap<(String, u64), Why> = BTreeMap::new();
        for range in &missing {
            whys.insert(range.why);
            all.extend((range.from..=range.to).map(|at| ((range.topic.clone(), at), range.why)));
        }
        for (key, after) in &request.after {
            for at in after + 1..=tails[key] {
                let place = (key.clone(), at);
                let is_sent = sent.iter().any(|(sent, sequence, _)| (sent, *sequence) == (key, at));
                assert_eq!(is_sent, left.contains_key(&place), "{place:?}");
                let why = (!is_sent).then(|| match whole[&place].0 <= cut {
                    true => Why::Pruned,
                    false => Why::Lost,
                });
                assert_eq!(all.remove(&place), why, "{place:?}");
            }
        }
        assert!(all.is_empty(), "what nobody asked for is not missing: {all:?}");
    }
    assert_eq!(whys, BTreeSet::from([Why::Pruned, Why::Lost]));
    // The daemon goes on with such a journal, and says from where it can serve.
    plant.reopen();
    plant.live(BEGIN.plus(6 * DAY_MS + HOUR_MS));
    plant.close(true);
}

#[test]
fn a_milestone_spares_a_replay_the_rows_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut plant = Plant::open(folder.path(), 1, Temper { run_ms: 240_000, ..WILD }, 3);
    plant.live(BEGIN.plus(12 * DAY_MS));
    plant.close(true);
    let reader = Reader::open(&plant.data_dir()).unwrap();
    let whole = bodies(&reader);
    for (key, tail) in tails(&plant.told) {
        for next in (1..=tail).step_by(37) {
            let before = reader.before(&BTreeMap::from([(key.as_str(), next)])).unwrap();
            let skipped =
                |at: &u64| (before + 1..whole[&(key.clone(), next)].0).contains(&whole[&(key.clone(), *at)].0);
            let skipped = (1..next).filter(skipped).count();
            assert!(before < whole[&(key.clone(), next)].0 && skipped < 256, "{key} {next}: {skipped} rows in between");
        }
    }
}
