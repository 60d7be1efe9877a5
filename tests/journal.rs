//! The journal against what the world does to it: kills, full disks, failing syncs, readers, other hands.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use andon::custody::epoch::{RESERVED, Why};
use andon::io::journal::{
    Committed, Ending, Envelope, Error, Health, Journal, Lost, Pen, Reader, Row, Settings, Start, UNWRITTEN,
};
use proptest::prelude::*;
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const DEADLINE: Duration = Duration::from_secs(20);

fn settings(data_dir: &Path) -> Settings {
    Settings { data_dir: data_dir.into(), runtime_dir: None }
}

fn row(sequence: u64) -> Row {
    let machine = sequence % 3;
    Row {
        sequence,
        epoch: 1,
        kind: ["state", "downtime", "notice"][usize::try_from(machine).unwrap()].into(),
        machine: (machine < 2).then(|| format!("press-{machine}")),
        topic: format!("andon/plant/press-{machine}/event"),
        topic_sequence: (sequence - 1) / 3 + 1,
        body: format!("{{\"sequence\":{sequence},\"text\":\"{}\"}}", "é".repeat(100)).into_bytes().into(),
        internal: format!("{{\"n\":{sequence}}}"),
    }
}

/// Looks again and again, for what gives no signal.
#[track_caller]
fn until(seen: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !seen() {
        assert!(Instant::now() < deadline, "seen in time");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn rows(from: u64, to: u64) -> Envelope<u64> {
    Envelope { rows: (from..=to).map(row).collect(), passengers: vec![to], ..Envelope::default() }
}

/// An open journal with its thread, as the gateway holds it.
struct Desk {
    start: Start,
    pen: Pen<u64>,
    ending: Ending,
    told: UnboundedReceiver<Committed<u64>>,
    clock: tokio::runtime::Runtime,
}

impl Desk {
    fn open(data_dir: &Path) -> Desk {
        let (journal, start) = Journal::open(&settings(data_dir)).unwrap();
        let (committed, told) = unbounded_channel();
        let (pen, ending) = journal.start(committed).unwrap();
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Desk { start, pen, ending, told, clock }
    }

    fn write(&self, envelope: Envelope<u64>) {
        self.pen.write(envelope).expect("the bound is not reached");
    }

    /// The next envelope that is on the disk.
    fn next(&mut self) -> Committed<u64> {
        let next = async { tokio::time::timeout(DEADLINE, self.told.recv()).await };
        self.clock.block_on(next).expect("committed in time").expect("the thread lives")
    }

    fn until_told(&mut self, sequence: u64) -> Vec<Row> {
        let mut rows = Vec::new();
        while rows.last().is_none_or(|row: &Row| row.sequence < sequence) {
            rows.extend(self.next().rows);
        }
        rows
    }

    fn until_health(&self, wanted: impl Fn(Option<&str>) -> bool) {
        let mut health: Health = self.pen.health();
        let seen = health.wait_for(|trouble| wanted(trouble.as_ref().map(|trouble| trouble.words.as_str())));
        self.clock.block_on(async { tokio::time::timeout(DEADLINE, seen).await.expect("in time").unwrap() });
    }

    fn close(self) -> Start {
        self.start_of_close().0
    }

    fn start_of_close(self) -> (Start, Result<(), Error>) {
        self.pen.close();
        (self.start, self.ending.join().unwrap())
    }
}

fn write_and_close(data_dir: &Path, envelope: Envelope<u64>) {
    let desk = Desk::open(data_dir);
    desk.write(envelope);
    desk.close();
}

fn everything(data_dir: &Path) -> Vec<Row> {
    let mut all = Vec::new();
    Reader::open(data_dir).unwrap().each_row(|row| all.push(row)).unwrap();
    all
}

fn expected(to: u64) -> Vec<Row> {
    (1..=to).map(row).collect()
}

/// A hand that is not andon's.
fn by_hand(data_dir: &Path, sql: &str) {
    rusqlite::Connection::open(data_dir.join("andon.db")).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_new_folder_begins_empty_and_keeps_its_instance() {
    let root = tempfile::tempdir().unwrap();
    let data_dir = root.path().join("andon");
    let first = Desk::open(&data_dir).close();
    assert!(first.fresh);
    assert_eq!((first.epoch, first.last_sequence, first.cursor), (1, 0, 0));
    assert_eq!((&first.snapshot, &first.marks, &first.rules), (&None, &None, &None));
    assert_eq!(first.instance.get_version_num(), 4);

    let second = Desk::open(&data_dir).close();
    assert_eq!(second, Start { fresh: false, ..first.clone() });
    assert_ne!(Desk::open(&root.path().join("other")).start.instance, first.instance);
}

#[test]
fn all_that_was_handed_in_is_there_after_a_close() {
    let root = tempfile::tempdir().unwrap();
    let desk = Desk::open(root.path());
    desk.write(rows(1, 5));
    desk.write(Envelope { marks: Some("{\"m\":1}".into()), snapshot: Some((4, "four".into())), ..rows(6, 7) });
    desk.write(Envelope { marks: Some("{\"m\":2}".into()), rules: Some("strict".into()), ..Envelope::default() });
    desk.pen.cursor(6);
    let closing = Instant::now();
    desk.close();
    assert!(closing.elapsed() < Duration::from_secs(1));
    assert!(!root.path().join("andon.db-wal").exists(), "the write-ahead log was taken in");

    let (_journal, start) = Journal::open(&settings(root.path())).unwrap();
    assert_eq!(start.snapshot, Some((4, "four".into())));
    assert_eq!(start.tail, expected(7)[4..]);
    assert_eq!((start.last_sequence, start.cursor), (7, 6));
    assert_eq!((start.marks.as_deref(), start.rules.as_deref()), (Some("{\"m\":2}"), Some("strict")));
    assert_eq!(everything(root.path()), expected(7));
}

#[test]
fn only_the_latest_snapshot_is_found_and_three_are_kept() {
    let root = tempfile::tempdir().unwrap();
    let desk = Desk::open(root.path());
    for sequence in 1..=5 {
        desk.write(Envelope { snapshot: Some((sequence, format!("at {sequence}"))), ..rows(sequence, sequence) });
    }
    desk.close();
    let (_journal, start) = Journal::open(&settings(root.path())).unwrap();
    assert_eq!((start.snapshot, start.tail), (Some((5, "at 5".into())), vec![]));
    let db = rusqlite::Connection::open(root.path().join("andon.db")).unwrap();
    let kept: String = db.query_one("SELECT group_concat(sequence) FROM snapshot", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, "3,4,5");
}

#[test]
fn every_256th_event_of_a_topic_is_a_milestone() {
    let root = tempfile::tempdir().unwrap();
    write_and_close(root.path(), rows(1, 1800));
    let db = rusqlite::Connection::open(root.path().join("andon.db")).unwrap();
    let sql = "SELECT group_concat(topic_sequence || '@' || sequence, ' ') FROM milestone WHERE topic LIKE '%press-1%'";
    let kept: String = db.query_one(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(kept, "1@1 257@769 513@1537");
}

#[test]
fn passengers_leave_in_order_and_only_after_the_events_before_them() {
    let root = tempfile::tempdir().unwrap();
    let mut desk = Desk::open(root.path());
    let reader = Reader::open(root.path()).unwrap();
    for n in 1..=200 {
        desk.write(match n % 2 {
            0 => Envelope { passengers: vec![n], ..Envelope::default() },
            _ => Envelope { passengers: vec![n], ..rows(n / 2 + 1, n / 2 + 1) },
        });
    }
    for n in 1..=200 {
        assert_eq!(desk.next().passengers, [n]);
        assert!(reader.last_sequence().unwrap() >= n.div_ceil(2), "on the disk before it is released");
    }
    assert_eq!(desk.pen.unwritten(), 0);
}

#[test]
fn what_waits_together_is_committed_together() {
    let root = tempfile::tempdir().unwrap();
    let mut desk = Desk::open(root.path());
    for sequence in 1..=3000 {
        desk.write(rows(sequence, sequence));
    }
    let commits: BTreeSet<Instant> = (1..=3000).map(|_| desk.next().at).collect();
    println!("3000 envelopes in {} commits", commits.len());
    assert!(commits.len() < 1500, "{} commits", commits.len());
    assert_eq!(everything(root.path()), expected(3000));
}

#[test]
fn a_gap_in_what_is_handed_in_ends_the_thread_before_it_is_written() {
    for wrong in [rows(4, 4), rows(2, 2), Envelope { snapshot: Some((3, String::new())), ..Envelope::default() }] {
        let root = tempfile::tempdir().unwrap();
        let mut desk = Desk::open(root.path());
        desk.write(rows(1, 2));
        assert_eq!(desk.next().passengers, [2]);
        desk.write(wrong);
        assert!(desk.told.blocking_recv().is_none(), "nothing more is told");
        let error = desk.ending.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::OutOfOrder { expected: 3, .. }), "{error}");
        assert!(desk.pen.write(rows(3, 3)).is_err());
        assert_eq!(everything(root.path()), expected(2));
    }
}

#[test]
fn a_second_andon_on_the_folder_is_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    let desk = Desk::open(root.path());
    let error = Journal::open(&settings(root.path())).unwrap_err();
    let (text, pid) = (error.to_string(), std::process::id());
    assert!(text.contains(&format!("another andon runs on this data folder: {}", root.path().display())), "{text}");
    assert!(text.contains(&format!("(pid {pid})")), "{text}");
    desk.close();
    Journal::open(&settings(root.path())).unwrap();
}

#[test]
fn a_database_of_a_newer_andon_is_refused_and_not_touched() {
    let root = tempfile::tempdir().unwrap();
    write_and_close(root.path(), rows(1, 3));
    by_hand(root.path(), "PRAGMA journal_mode = DELETE; PRAGMA user_version = 99; CREATE TABLE later (a)");
    let before = fs::read(root.path().join("andon.db")).unwrap();
    let error = Journal::open(&settings(root.path())).unwrap_err();
    assert!(matches!(error, Error::Newer { found: 99, known: 1, .. }), "{error}");
    assert!(matches!(Reader::open(root.path()), Err(Error::Newer { .. })));
    assert_eq!(fs::read(root.path().join("andon.db")).unwrap(), before);
}

#[test]
fn a_folder_that_cannot_be_used_says_what_and_where() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(Journal::open(&settings(&file)), Err(Error::NotAFolder { .. })));
    assert!(matches!(Journal::open(&settings(&root.path().join("a/b"))), Err(Error::Folder { .. })));
    assert!(matches!(Journal::open(&settings(Path::new("/proc"))), Err(Error::Unwritable { .. })));
}

/// What is there of the next epoch, and of the one before.
fn reopened(data_dir: &Path) -> (Start, Lost) {
    let desk = Desk::open(data_dir);
    let start = desk.start.clone();
    desk.write(rows_of(start.epoch, 1, 1));
    desk.close();
    let again = Desk::open(data_dir).close();
    assert_eq!((again.epoch, again.last_sequence), (start.epoch, 1), "the new epoch goes on");
    let lost = start.carried.as_ref().expect("an epoch ended").lost.clone();
    (start, lost)
}

/// Rows of a later epoch.
fn rows_of(epoch: u32, from: u64, to: u64) -> Envelope<u64> {
    let mut envelope = rows(from, to);
    envelope.rows.iter_mut().for_each(|row| row.epoch = epoch);
    envelope
}

#[test]
fn a_database_that_is_none_any_more_ends_the_epoch_and_is_kept() {
    let root = tempfile::tempdir().unwrap();
    let desk = Desk::open(root.path());
    let instance = desk.start.instance;
    desk.write(Envelope {
        snapshot: Some((10, "10".into())),
        numbers: Some([("m0".into(), 12)].into()),
        ..rows(1, 20)
    });
    desk.close();
    fs::write(root.path().join("andon.db"), "no database ".repeat(1000)).unwrap();
    let (start, lost) = reopened(root.path());
    assert_eq!((start.epoch, start.instance, start.last_sequence), (2, instance, 0));
    assert_eq!(start.numbers, [("m0".into(), 12)].into(), "known beside the database");
    assert_eq!((lost.why, lost.epoch, lost.read), (Why::Damaged, 1, 0));
    assert!((20..=20 + RESERVED).contains(&lost.last), "{lost:?}");
    let kept = fs::read_to_string(root.path().join(lost.kept.unwrap())).unwrap();
    assert!(kept.starts_with("no database no"));
}

#[test]
fn a_deleted_database_ends_the_epoch() {
    let root = tempfile::tempdir().unwrap();
    write_and_close(root.path(), rows(1, 20));
    fs::remove_file(root.path().join("andon.db")).unwrap();
    let (start, lost) = reopened(root.path());
    assert_eq!((start.epoch, lost.why, lost.epoch, lost.kept), (2, Why::Deleted, 1, None));
    assert!(lost.last >= 20);
    // An empty file in its place is no more than that.
    fs::write(root.path().join("andon.db"), "").unwrap();
    for name in ["andon.db-wal", "andon.db-shm"] {
        let _ = fs::remove_file(root.path().join(name));
    }
    let (start, lost) = reopened(root.path());
    assert_eq!((start.epoch, lost.why), (3, Why::Deleted));
}

#[test]
fn an_older_copy_of_the_database_ends_the_epoch_and_tells_what_it_knows() {
    let root = tempfile::tempdir().unwrap();
    let (db, copy) = (root.path().join("andon.db"), root.path().join("copy"));
    let desk = Desk::open(root.path());
    desk.write(Envelope { snapshot: Some((5, "5".into())), marks: Some("m".into()), ..rows(1, 8) });
    desk.close();
    fs::copy(&db, &copy).unwrap();
    let desk = Desk::open(root.path());
    assert_eq!(desk.start.carried, None);
    desk.write(rows(9, 12));
    desk.close();
    fs::copy(&copy, &db).unwrap();
    let (start, lost) = reopened(root.path());
    assert_eq!((start.epoch, start.marks.as_deref()), (2, Some("m")));
    assert_eq!((lost.why, lost.read, lost.summed), (Why::SetBack, 8, 5));
    assert!(lost.last >= 12);
    let carried = start.carried.unwrap();
    assert_eq!(carried.snapshot.as_deref(), Some("5"));
    let told: Vec<u64> = carried.told.iter().map(|(sequence, _)| *sequence).collect();
    assert_eq!(told, [6, 7, 8]);
}

#[test]
fn what_is_carried_over_waits_for_the_first_snapshot() {
    let root = tempfile::tempdir().unwrap();
    let desk = Desk::open(root.path());
    desk.write(Envelope { snapshot: Some((5, "5".into())), ..rows(1, 8) });
    desk.close();
    by_hand(root.path(), "UPDATE journal SET body = x'00' WHERE sequence = 7");
    for _ in 0..2 {
        let start = Desk::open(root.path()).close();
        let carried = start.carried.unwrap();
        assert_eq!((start.epoch, carried.lost.read, carried.lost.last), (2, 6, 8));
    }
    let desk = Desk::open(root.path());
    desk.write(Envelope { snapshot: Some((1, "1".into())), ..rows_of(2, 1, 1) });
    desk.close();
    let start = Desk::open(root.path()).close();
    assert_eq!((start.epoch, start.carried, start.snapshot), (2, None, Some((1, "1".into()))));
}

#[test]
fn a_new_epoch_is_begun_again_wherever_it_was_cut() {
    let root = tempfile::tempdir().unwrap();
    let desk = Desk::open(root.path());
    desk.write(Envelope { snapshot: Some((5, "5".into())), ..rows(1, 8) });
    desk.close();
    fs::copy(root.path().join("andon.db"), root.path().join("whole")).unwrap();
    by_hand(root.path(), "DELETE FROM journal WHERE sequence = 8; DELETE FROM journal WHERE sequence = 6");
    drop(Journal::open(&settings(root.path())).unwrap());
    let path = |name: &str| root.path().join(name);
    // Killed before the last rename.
    fs::rename(path("andon.db"), path("andon.db.next")).unwrap();
    let start = Desk::open(root.path()).close();
    assert_eq!((start.epoch, start.carried.map(|carried| carried.lost.read)), (2, Some(5)));
    // Killed while the next one was made: nothing was renamed yet.
    fs::write(path("andon.db.next"), "half").unwrap();
    let start = Desk::open(root.path()).close();
    assert_eq!(start.epoch, 2);
    assert!(path("andon.db.before-epoch-2").exists());
}

#[test]
fn a_consumer_ahead_of_the_journal_ends_the_epoch_at_the_next_start() {
    let root = tempfile::tempdir().unwrap();
    let desk = Desk::open(root.path());
    desk.write(rows(1, 4));
    desk.pen.ahead(6);
    desk.close();
    let (start, lost) = reopened(root.path());
    assert_eq!((start.epoch, lost.why, lost.read), (7, Why::Ahead, 4));
}

#[test]
fn a_database_that_turns_out_damaged_under_way_is_left_at_once() {
    let root = tempfile::tempdir().unwrap();
    let desk = Desk::open(root.path());
    desk.write(rows(1, 400));
    desk.close();
    let path = root.path().join("andon.db");
    let mut bytes = fs::read(&path).unwrap();
    let desk = Desk::open(root.path());
    // Every page but the first, which is looked at when it is opened.
    bytes[4096..].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let answered = andon::io::journal::Answered {
        received: andon::event::Stamp::from_ms(0),
        topic: "t".into(),
        sender: None,
        command_id: None,
        body: Vec::new(),
        is_decided: false,
        result: "refused",
        reply: "{}".into(),
    };
    desk.write(Envelope { command: Some(andon::io::journal::Command::Answered(Box::new(answered))), ..rows(401, 402) });
    let (_, ended) = desk.start_of_close();
    assert!(matches!(ended, Err(Error::Corrupt { .. })), "{ended:?}");
    let (start, lost) = reopened(root.path());
    assert_eq!((start.epoch, lost.why), (2, Why::Damaged));
}

#[test]
fn a_broken_chain_is_found_where_it_breaks() {
    let cases = [
        ("UPDATE journal SET body = x'00' WHERE sequence = 15", Some(15)),
        ("UPDATE journal SET chain = zeroblob(32) WHERE sequence = 12", Some(12)),
        ("DELETE FROM journal WHERE sequence = 17", Some(17)),
        ("DELETE FROM journal WHERE sequence = 11", Some(11)),
        ("DELETE FROM journal WHERE sequence >= 10", Some(11)),
        ("UPDATE snapshot SET sequence = 30", Some(31)),
        // Before the snapshot: an auditor's question, not the start's.
        ("UPDATE journal SET body = x'00' WHERE sequence = 5", None),
    ];
    for (sql, wanted) in cases {
        let root = tempfile::tempdir().unwrap();
        let desk = Desk::open(root.path());
        desk.write(Envelope { snapshot: Some((10, "10".into())), ..rows(1, 10) });
        desk.write(rows(11, 20));
        desk.close();
        by_hand(root.path(), sql);
        let start = Desk::open(root.path()).close();
        let found = start.carried.map(|carried| carried.lost.read + 1);
        assert_eq!(found, wanted, "{sql}");
    }
}

#[test]
fn a_reader_beside_the_writer_sees_only_whole_prefixes() {
    let root = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::open(root.path()), Err(Error::Missing { .. })));
    let mut desk = Desk::open(root.path());
    let reader = Reader::open(root.path()).unwrap();
    let data_dir = root.path().to_owned();
    let watching = std::thread::spawn(move || {
        let (mut looks, mut seen) = (0, 0);
        while seen < 2000 {
            let rows = everything(&data_dir);
            assert!(rows.len() >= seen, "never less than before");
            assert_eq!(rows, expected(u64::try_from(rows.len()).unwrap()));
            (looks, seen) = (looks + 1, rows.len());
        }
        looks
    });
    for sequence in 1..=2000 {
        desk.write(rows(sequence, sequence));
        if sequence % 100 == 0 {
            desk.until_told(sequence);
        }
    }
    assert!(watching.join().unwrap() >= 2);
    assert_eq!(reader.last_sequence().unwrap(), 2000);
    assert_eq!(reader.rows_after(1990, 3).unwrap(), expected(1993)[1990..]);
    assert_eq!(reader.rows_after(2000, 3).unwrap(), []);
    assert_eq!(reader.marks().unwrap(), None);
    assert_eq!(reader.instance().unwrap(), desk.start.instance);
    desk.close();
    let left = fs::metadata(root.path().join("andon.db-wal")).unwrap().len();
    assert_eq!(left, 0, "an idle reader keeps the log's file, but nothing stays in it");
}

#[test]
fn a_reader_in_the_way_does_not_hold_up_a_close() {
    let root = tempfile::tempdir().unwrap();
    let desk = Desk::open(root.path());
    desk.write(rows(1, 100));
    let reader = rusqlite::Connection::open(root.path().join("andon.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM journal").unwrap();
    desk.write(rows(101, 200));
    let closing = Instant::now();
    desk.start_of_close().1.unwrap();
    assert!(closing.elapsed() < Duration::from_secs(1), "{:?}", closing.elapsed());
    drop(reader);
    assert_eq!(everything(root.path()), expected(200));
}

#[test]
fn in_trouble_everything_waits_in_order_up_to_the_bound() {
    let root = tempfile::tempdir().unwrap();
    let mut desk = Desk::open(root.path());
    desk.write(rows(1, 1));
    desk.next();
    let blocker = rusqlite::Connection::open(root.path().join("andon.db")).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();

    let bound = u64::try_from(UNWRITTEN).unwrap();
    for sequence in 2..=bound {
        desk.write(rows(sequence, sequence));
    }
    desk.write(Envelope { passengers: vec![0], ..Envelope::default() });
    assert_eq!(desk.pen.unwritten(), UNWRITTEN);
    let back = desk.pen.write(rows(bound + 1, bound + 1)).unwrap_err();
    assert_eq!(back.rows, [row(bound + 1)]);
    desk.until_health(|trouble| trouble.is_some_and(|words| words.contains("locked")));
    assert!(desk.told.try_recv().is_err(), "nothing is told unwritten");

    blocker.execute_batch("ROLLBACK").unwrap();
    assert_eq!(desk.until_told(bound), expected(bound)[1..]);
    assert_eq!(desk.next().passengers, [0]);
    desk.until_health(|trouble| trouble.is_none());
    desk.write(back);
    desk.until_told(bound + 1);
    assert_eq!(everything(root.path()), expected(bound + 1));
}

#[test]
fn a_database_that_is_moved_away_is_missed_and_written_on_when_it_is_back() {
    let root = tempfile::tempdir().unwrap();
    let mut desk = Desk::open(root.path());
    desk.write(rows(1, 1));
    desk.next();
    let (here, away) = (root.path().join("andon.db"), root.path().join("away"));
    fs::rename(&here, &away).unwrap();
    desk.write(rows(2, 2));
    desk.until_health(|trouble| trouble.is_some_and(|words| words.contains("moved or deleted")));
    assert!(desk.told.try_recv().is_err(), "nothing is told that nobody will find");
    fs::rename(&away, &here).unwrap();
    desk.until_told(2);
    desk.until_health(|trouble| trouble.is_none());
    drop(desk);
    assert_eq!(everything(root.path()), expected(2));
}

#[test]
fn a_close_in_trouble_ends_within_a_second_and_says_that_not_all_is_written() {
    let root = tempfile::tempdir().unwrap();
    let desk = Desk::open(root.path());
    let blocker = rusqlite::Connection::open(root.path().join("andon.db")).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    desk.write(rows(1, 1));
    desk.until_health(|trouble| trouble.is_some());
    let closing = Instant::now();
    assert!(desk.start_of_close().1.is_err());
    assert!(closing.elapsed() < Duration::from_secs(1), "{:?}", closing.elapsed());
    drop(blocker);
    assert_eq!(Desk::open(root.path()).close().last_sequence, 0);
}

#[test]
fn a_full_disk_loses_nothing() {
    struct Small(PathBuf);
    impl Drop for Small {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(&self.0).status();
        }
    }
    let root = tempfile::tempdir().unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=1m", "none"];
    if !Command::new("mount").args(mount).arg(root.path()).stderr(Stdio::null()).status().is_ok_and(|s| s.success()) {
        println!("skipped: no right to mount a small disk");
        return;
    }
    let small = Small(root.path().into());
    let mut desk = Desk::open(&small.0);
    desk.write(rows(1, 50));
    desk.until_told(50);
    let ballast = small.0.join("ballast");
    fs::write(&ballast, vec![0; 1 << 20]).unwrap_err();
    for sequence in 51..=250 {
        desk.write(Envelope { marks: Some(sequence.to_string()), ..rows(sequence, sequence) });
    }
    desk.until_health(|trouble| trouble.is_some_and(|words| words.contains("is full")));
    fs::remove_file(&ballast).unwrap();
    let told = desk.until_told(250);
    let last_before = told[0].sequence - 1;
    assert_eq!(last_before, 50);
    assert_eq!(told, expected(250)[50..]);
    desk.until_health(|trouble| trouble.is_none());
    desk.close();
    let start = Desk::open(&small.0).close();
    assert_eq!((start.tail, start.marks.as_deref()), (expected(250), Some("250")));
}

/// This test file again, as another process that runs only the test of this name.
fn child(name: &str, data_dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", name, "--nocapture"]).env("DATA_DIR", data_dir);
    command
}

fn childs_data_dir() -> PathBuf {
    std::env::var_os("DATA_DIR").expect("started by another test").into()
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    text
}

#[test]
fn killed_at_any_moment_nothing_that_was_told_is_lost() {
    let root = tempfile::tempdir().unwrap();
    let mut total = 0;
    for kill in 0..15 {
        let mut writer: Child =
            child("writes_until_killed", root.path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines().map(Result::unwrap);
        // Some die early, some late.
        for _ in 0..(1 + kill * kill * 3) {
            lines.find(|line| line.starts_with("told ")).expect("the writer writes");
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        let told = lines.filter_map(|line| line.strip_prefix("told ")?.parse().ok()).fold(0, u64::max);

        let (_journal, start) = Journal::open(&settings(root.path())).unwrap();
        assert!(start.last_sequence >= told, "{told} was told, {} is kept", start.last_sequence);
        assert!(start.last_sequence > total);
        total = start.last_sequence;
        assert_eq!(everything(root.path()), expected(total));
        let (snapshot, text) = start.snapshot.unwrap_or_default();
        assert_eq!(text, if snapshot > 0 { snapshot.to_string() } else { String::new() });
        assert_eq!(start.tail, expected(total)[usize::try_from(snapshot).unwrap()..]);
        assert_eq!(start.marks, Some(total.to_string()), "of one transaction with the last row");
        assert!(start.cursor <= total);
    }
    println!("{total} rows through 15 kills");
}

#[test]
#[ignore = "run by the test that kills it"]
fn writes_until_killed() {
    let mut desk = Desk::open(&childs_data_dir());
    let mut next = desk.start.last_sequence + 1;
    loop {
        let to = next + next % 7;
        desk.write(Envelope {
            marks: Some(to.to_string()),
            snapshot: next.is_multiple_of(5).then(|| (to, to.to_string())),
            ..rows(next, to)
        });
        next = to + 1;
        // A hundred events ahead of the disk at most, so that commits hold several envelopes and kills hit between them.
        while desk.pen.unwritten() > 100 {
            let told = desk.next().passengers[0];
            desk.pen.cursor(told);
            println!("told {told}");
        }
    }
}

#[test]
fn a_disk_that_refuses_writes_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    // A process over its file size limit is killed unless it ignores the signal; ignoring is inherited.
    let inner = child("writes_against_a_limit", root.path());
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(inner.get_program()).args(inner.get_args());
    succeeds(shell.env("DATA_DIR", root.path()));
}

#[test]
#[ignore = "run by the test that sets its signals"]
fn writes_against_a_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let data_dir = childs_data_dir();
    let mut desk = Desk::open(&data_dir);
    desk.write(rows(1, 20));
    desk.until_told(20);
    let free = getrlimit(Resource::Fsize);
    let mut limit = free;
    limit.current = Some(fs::metadata(data_dir.join("andon.db-wal")).unwrap().len());
    setrlimit(Resource::Fsize, limit).unwrap();
    desk.write(rows(21, 120));
    desk.until_health(|trouble| trouble.is_some_and(|words| words.contains("disk I/O error")));
    desk.write(rows(121, 140));
    setrlimit(Resource::Fsize, free).unwrap();
    assert_eq!(desk.until_told(140), expected(140)[20..]);
    desk.until_health(|trouble| trouble.is_none());
    desk.close();
    assert_eq!(Desk::open(&data_dir).close().tail, expected(140));
}

#[test]
fn a_failed_sync_writes_nothing_twice() {
    let root = tempfile::tempdir().unwrap();
    let (source, library) = (root.path().join("sync.c"), root.path().join("sync.so"));
    fs::write(
        &source,
        r#"#include <errno.h>
           #include <fcntl.h>
           #include <stdlib.h>
           #include <unistd.h>
           #include <sys/syscall.h>
           /* Each refusal adds a byte to the file that asks for it. */
           static int broken(void) {
               const char *path = getenv("SYNC_FAILS_WHILE");
               int file = path ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
               if (file < 0) return 0;
               if (write(file, "x", 1) != 1) abort();
               close(file);
               errno = EIO;
               return 1;
           }
           int fsync(int fd) { return broken() ? -1 : syscall(SYS_fsync, fd); }
           int fdatasync(int fd) { return broken() ? -1 : syscall(SYS_fdatasync, fd); }"#,
    )
    .unwrap();
    let cc = std::env::var_os("CC").unwrap_or("cc".into());
    assert!(Command::new(cc).args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status().unwrap().success());
    let data_dir = root.path().join("data");
    succeeds(
        child("writes_against_failing_syncs", &data_dir)
            .env("LD_PRELOAD", &library)
            .env("SYNC_FAILS_WHILE", root.path().join("broken")),
    );
    assert_eq!(everything(&data_dir), expected(60));
}

#[test]
#[ignore = "run by the test that breaks its syncs"]
fn writes_against_failing_syncs() {
    let data_dir = childs_data_dir();
    let broken = PathBuf::from(std::env::var_os("SYNC_FAILS_WHILE").unwrap());
    let mut desk = Desk::open(&data_dir);
    desk.write(rows(1, 10));
    desk.until_told(10);
    fs::write(&broken, "").unwrap();
    desk.write(rows(11, 30));
    desk.until_health(|trouble| trouble.is_some_and(|words| words.contains("disk I/O error")));
    // The bytes have arrived although the commit failed: the very case in which a blind retry writes twice.
    until(|| Reader::open(&data_dir).unwrap().last_sequence().unwrap() == 30);
    let refused = || fs::metadata(&broken).unwrap().len();
    let so_far = refused();
    until(|| refused() > so_far + 3);
    assert!(desk.told.try_recv().is_err(), "but it was not told");
    desk.write(rows(31, 50));
    fs::remove_file(&broken).unwrap();
    assert_eq!(desk.until_told(50), expected(50)[10..]);
    desk.until_health(|trouble| trouble.is_none());
    desk.write(rows(51, 60));
    desk.close();
    assert_eq!(Desk::open(&data_dir).close().tail, expected(60));
}

/// As a user who may read the folder and not write in it.
fn as_a_guest(name: &str, data_dir: &Path) -> Command {
    let mut command = child(name, data_dir);
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    command
}

#[test]
fn a_reader_who_may_not_write_reads_all_the_same() {
    let root = tempfile::tempdir().unwrap();
    let data_dir = root.path().join("a b%20?");
    write_and_close(&data_dir, rows(1, 30));
    for path in [root.path(), &data_dir] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o555)).unwrap();
    }
    succeeds(&mut as_a_guest("reads_as_a_guest", &data_dir));
    assert_eq!(fs::read_dir(&data_dir).unwrap().count(), 3, "the lock, the superblock and the database, nothing else");

    fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o755)).unwrap();
    let desk = Desk::open(&data_dir);
    desk.until_health(|trouble| trouble.is_none());
    if rustix::process::geteuid().is_root() {
        succeeds(&mut as_a_guest("reads_as_a_guest", &data_dir));
        succeeds(&mut as_a_guest("may_not_write", &data_dir));
        fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o700)).unwrap();
        succeeds(&mut as_a_guest("may_not_read", &data_dir));
    }
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
#[ignore = "run by another test as another user"]
fn reads_as_a_guest() {
    assert_eq!(everything(&childs_data_dir()), expected(30));
}

#[test]
#[ignore = "run by another test as another user"]
fn may_not_write() {
    assert!(matches!(Journal::open(&settings(&childs_data_dir())), Err(Error::Unwritable { .. })));
}

#[test]
#[ignore = "run by another test as another user"]
fn may_not_read() {
    let error = Reader::open(&childs_data_dir()).unwrap_err();
    assert!(matches!(error, Error::ServiceUser { .. }), "{error}");
    assert!(error.to_string().contains("run as the service user"));
}

#[derive(Clone, Debug)]
enum Step {
    Write { rows: u64, marks: bool, snapshot_back: Option<u64>, rules: bool },
    Cursor,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let write = (0..40_u64, any::<bool>(), proptest::option::of(0..30_u64), proptest::bool::weighted(0.1));
    prop_oneof![
        6 => write.prop_map(|(rows, marks, snapshot_back, rules)| Step::Write { rows, marks, snapshot_back, rules }),
        1 => Just(Step::Cursor),
        2 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_envelopes_with_any_closes_between_give_what_a_list_would(steps in proptest::collection::vec(step(), 1..40)) {
        let root = tempfile::tempdir().unwrap();
        let mut desk = Desk::open(root.path());
        let (mut last, mut marks, mut rules, mut cursor, mut told) = (0, None, None, 0, 0);
        let mut snapshots = BTreeSet::new();
        for (n, step) in steps.into_iter().chain([Step::Reopen]).enumerate() {
            match step {
                Step::Write { rows: count, marks: with_marks, snapshot_back, rules: with_rules } => {
                    let mut envelope = rows(last + 1, last + count);
                    last += count;
                    if with_marks {
                        marks = Some(format!("marks {n}"));
                        envelope.marks = marks.clone();
                    }
                    if let Some(at) = snapshot_back.and_then(|back| last.checked_sub(back)) {
                        snapshots.insert(at);
                        envelope.snapshot = Some((at, format!("snapshot {at}")));
                    }
                    if with_rules {
                        rules = Some(format!("rules {n}"));
                        envelope.rules = rules.clone();
                    }
                    desk.write(envelope);
                }
                Step::Cursor => {
                    cursor = last;
                    desk.pen.cursor(cursor);
                }
                Step::Reopen => {
                    desk.pen.close();
                    desk.ending.join().unwrap().unwrap();
                    while let Some(committed) = desk.told.blocking_recv() {
                        for row in committed.rows {
                            told += 1;
                            prop_assert_eq!(row.sequence, told);
                        }
                    }
                    prop_assert_eq!(told, last);
                    desk = Desk::open(root.path());
                    let found = &desk.start;
                    let snapshot = snapshots.last().copied();
                    prop_assert_eq!(&found.snapshot, &snapshot.map(|at| (at, format!("snapshot {at}"))));
                    let after = usize::try_from(snapshot.unwrap_or(0)).unwrap();
                    prop_assert_eq!(&found.tail, &expected(last)[after..]);
                    prop_assert_eq!((found.last_sequence, found.cursor), (last, cursor));
                    prop_assert_eq!((&found.marks, &found.rules), (&marks, &rules));
                    prop_assert_eq!(everything(root.path()), expected(last));
                }
            }
        }
    }
}
