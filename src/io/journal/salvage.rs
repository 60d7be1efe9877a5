//! A database that may not go on in, the first one of a new epoch out: with all that the old one still tells.
//!
//! The new database is made whole beside the old one, which is then renamed and kept: a crash in between is finished, or
//! begun again, by the next start. What it carries over waits in a table until the first snapshot of the new epoch.

use super::{Error, Row, history, receipts, schema};
use crate::{
    custody::{
        chain::{self, Link},
        epoch::{self, Found, Life, Why},
    },
    event::Told,
};
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// What the next database is called until it is whole.
const NEXT: &str = "andon.db.next";

/// Commands that are carried over with their answers: the latest.
const COMMANDS: u32 = 10_000;

/// Days of a machine that are carried over, with everything that happened in them. Milliseconds.
const PAGES_MS: i64 = 40 * 86_400_000;

/// Made beside the others, so that an older andon still opens the database.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS life (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        starts INTEGER NOT NULL,
        backup INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE IF NOT EXISTS carried (
        n INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    INSERT OR IGNORE INTO life (only, starts) VALUES (1, 0);
";

/// What an epoch left to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// How it ended.
    pub lost: Lost,
    /// A snapshot of it.
    pub snapshot: Option<String>,
    /// Every event after that which could be read, as the fold reads it, by sequence.
    pub told: Vec<(u64, String)>,
}

/// How an epoch ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// In short.
    pub why: Why,
    /// Its number; 0 where nothing tells it.
    pub epoch: u32,
    /// Up to there its events were read again.
    pub read: u64,
    /// No later one was ever told.
    pub last: u64,
    /// Up to there the broker has acknowledged.
    pub acknowledged: u64,
    /// Up to there they are known only in sum, by the snapshot.
    pub summed: u64,
    /// The file that is kept.
    pub kept: Option<String>,
}

/// What can be read of the database that may not go on.
#[derive(Default)]
struct Gathered {
    found: Option<Found>,
    rules: Option<String>,
    snapshot: Option<(u64, String)>,
    rows: Vec<Row>,
    marks: Option<String>,
    cursor: u64,
    last: u64,
}

/// Makes the tables.
pub(super) fn prepare(db: &Connection, path: &Path) -> Result<(), Error> {
    db.execute_batch(TABLES).map_err(|error| Error::database(path, "migrated", error))
}

/// What the database says of itself.
pub(super) fn found(db: &Connection) -> rusqlite::Result<Found> {
    let meta = schema::meta(db)?;
    let (starts, is_backup) = match has_life(db)? {
        true => db.query_one("SELECT starts, backup FROM life", [], |row| Ok((row.get(0)?, row.get(1)?)))?,
        false => (0, false),
    };
    Ok(Found { instance: meta.instance, epoch: meta.epoch, starts, is_backup })
}

fn has_life(db: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'life')";
    db.query_one(sql, [], |row| row.get(0))
}

/// It was opened for writing once more.
pub(super) fn put_starts(db: &Connection, starts: u64) -> rusqlite::Result<()> {
    db.execute("UPDATE life SET starts = ?1", [starts]).map(drop)
}

/// What waits for the first snapshot.
pub(super) fn carried(db: &Connection) -> rusqlite::Result<Option<Carried>> {
    let one = |kind| {
        db.query_row("SELECT body FROM carried WHERE kind = ?1", [kind], |row| row.get::<_, String>(0)).optional()
    };
    let Some(lost) = one("lost")?.and_then(|lost| serde_json::from_str(&lost).ok()) else { return Ok(None) };
    let mut select = db.prepare("SELECT sequence, body FROM carried WHERE kind = 'told' ORDER BY n")?;
    let told = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    Ok(Some(Carried { lost, snapshot: one("snapshot")?, told }))
}

/// The new epoch stands on its own feet.
pub(super) fn let_go(db: &Connection) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM carried")?.execute([]).map(drop)
}

/// Goes on where a start was killed between the two renames.
pub(super) fn finish(data_dir: &Path) -> Result<(), Error> {
    let (path, next) = (data_dir.join(schema::FILE), data_dir.join(NEXT));
    if path.exists() || !next.exists() {
        return Ok(());
    }
    let db = Connection::open_with_flags(&next, OpenFlags::SQLITE_OPEN_READ_WRITE);
    match db.and_then(|db| Ok((schema::meta(&db)?.epoch, carried(&db)?))) {
        Ok((epoch, Some(_))) => put_in_place(data_dir, epoch),
        // It was not whole yet, so the database was not renamed: somebody has taken it away.
        _ => Ok(()),
    }
}

/// Begins a new epoch with all that can be read of the old one. Nothing is deleted.
pub(super) fn begin(data_dir: &Path, life: Option<&Life>, why: Why) -> Result<(), Error> {
    let (path, next) = (data_dir.join(schema::FILE), data_dir.join(NEXT));
    let fault = |error| Error::database(&next, "written", error);
    for suffix in SUFFIXES {
        remove(&with(&next, suffix)).map_err(|source| Error::file(&next, source))?;
    }
    let gathered = if path.exists() { gather(&path, why) } else { Gathered::default() };
    let epoch = epoch::next(life, gathered.found.as_ref());
    let kept = path.exists().then(|| kept_name(epoch));
    let lost = lost(&gathered, life, why, kept);
    tracing::error!(
        why = why.words(),
        epoch,
        read = lost.read,
        last = lost.last,
        kept = lost.kept.as_deref().unwrap_or("nothing"),
        "the journal goes on in a new epoch"
    );
    let mut db = schema::connect(&next, schema::Absent::Make)?;
    schema::migrate(&mut db, &next)?;
    history::migrate(&mut db, &next)?;
    receipts::prepare(&db, &next)?;
    prepare(&db, &next)?;
    let instance = life.map(|life| life.instance).or(gathered.found.map(|found| found.instance));
    if path.exists()
        && let Err(error) = bring(&db, &path)
    {
        tracing::warn!(%error, "not all of the history could be carried over; it stays in the file that is kept");
    }
    let put = |db: &mut Connection| {
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        schema::put_life(&transaction, instance, epoch)?;
        if let Some(rules) = &gathered.rules {
            schema::put_rules(&transaction, rules)?;
        }
        if let Some(marks) = &gathered.marks {
            schema::put_marks(&transaction, marks)?;
        }
        let carry = |kind: &str, sequence: u64, body: &str| {
            let sql = "INSERT INTO carried (kind, sequence, body) VALUES (?1, ?2, ?3)";
            transaction.prepare_cached(sql)?.execute((kind, sequence, body)).map(drop)
        };
        if let Some((sequence, snapshot)) = &gathered.snapshot {
            carry("snapshot", *sequence, snapshot)?;
        }
        for row in &gathered.rows {
            carry("told", row.sequence, &row.internal)?;
        }
        carry("lost", lost.last, &serde_json::to_string(&lost).unwrap_or_default())?;
        transaction.commit()?;
        schema::checkpoint(db)
    };
    put(&mut db).map_err(fault)?;
    drop(db);
    put_in_place(data_dir, epoch)
}

const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

fn kept_name(epoch: u32) -> String {
    format!("{}.before-epoch-{epoch}", schema::FILE)
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The database first: as long as it is there it is looked at anew. What lies beside it belongs to it.
fn put_in_place(data_dir: &Path, epoch: u32) -> Result<(), Error> {
    let (path, kept) = (data_dir.join(schema::FILE), data_dir.join(kept_name(epoch)));
    let fault = |source| Error::file(&path, source);
    for suffix in SUFFIXES {
        match fs::rename(with(&path, suffix), with(&kept, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
    }
    fs::rename(data_dir.join(NEXT), &path).map_err(fault)?;
    fs::File::open(data_dir).and_then(|folder| folder.sync_all()).map_err(fault)
}

fn lost(gathered: &Gathered, life: Option<&Life>, why: Why, kept: Option<String>) -> Lost {
    let summed = gathered.snapshot.as_ref().map_or(0, |(sequence, _)| *sequence);
    let read = gathered.rows.last().map_or(summed, |row| row.sequence);
    let found = gathered.found.as_ref().map_or(0, |found| found.epoch);
    let (epoch, last) = match life {
        // It has forgotten what it told: how much, only the superblock knows.
        Some(life) if found != life.epoch || matches!(why, Why::SetBack | Why::Deleted) => (life.epoch, life.reserved),
        _ => (found, gathered.last.max(read)),
    };
    Lost { why, epoch, read, last, acknowledged: gathered.cursor, summed, kept }
}

/// Nothing that cannot be read is in the way of what can.
fn gather(path: &Path, why: Why) -> Gathered {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let Ok(db) = Connection::open_with_flags(path, flags) else { return Gathered::default() };
    let rules = schema::meta(&db).ok().and_then(|meta| meta.rules);
    let cursor = schema::cursor(&db).unwrap_or(0);
    let snapshot = snapshot(&db, cursor);
    let after = snapshot.as_ref().map_or(0, |(sequence, _)| *sequence);
    let last = schema::last_sequence(&db).unwrap_or(0);
    let mut rows = rows(&db, after);
    if why == Why::Damaged && rows.last().is_some_and(|row| row.sequence < last) {
        cut_last_turn(&mut rows);
    }
    Gathered { found: found(&db).ok(), rules, rows, snapshot, marks: schema::marks(&db).ok().flatten(), cursor, last }
}

/// The latest that can be read and leaves nothing out that the broker has not acknowledged; else the latest that can be read.
fn snapshot(db: &Connection, cursor: u64) -> Option<(u64, String)> {
    let readable: Vec<(u64, String)> = schema::snapshots(db)
        .unwrap_or_default()
        .into_iter()
        .filter(|(_, body)| serde_json::from_str::<IgnoredAny>(body).is_ok())
        .collect();
    let told = readable.iter().find(|(sequence, _)| *sequence <= cursor);
    told.or(readable.first()).cloned()
}

/// As far as they follow from each other.
fn rows(db: &Connection, after: u64) -> Vec<Row> {
    let mut rows: Vec<(Row, Link)> = Vec::new();
    // What was read before a page that cannot be is kept.
    if let Err(error) = schema::rows(db, after, None, |row, link| rows.push((row, link))) {
        tracing::warn!(%error, "the journal could be read only in part");
    }
    let mut before = schema::link_at(db, after).ok().flatten();
    let mut sequence = after;
    let whole = rows.into_iter().take_while(|(row, link)| {
        sequence += 1;
        let follows = before.is_none_or(|before| chain::link(&before, &row.body) == *link);
        before = Some(*link);
        follows && row.sequence == sequence
    });
    whole.map(|(row, _)| row).collect()
}

/// What was decided together is known together or not at all; the machines show it again.
fn cut_last_turn(rows: &mut Vec<Row>) {
    let decided = |row: &Row| serde_json::from_str::<Told>(&row.internal).ok().map(|told| told.recorded);
    let Some(last) = rows.last().and_then(decided) else { return };
    while rows.last().and_then(decided) == Some(last) {
        rows.pop();
    }
}

/// The history and the latest commands, from file to file.
fn bring(db: &Connection, from: &Path) -> rusqlite::Result<()> {
    db.execute("ATTACH DATABASE ?1 AS old", [from.to_string_lossy()])?;
    let brought = copy(db);
    db.execute_batch("DETACH DATABASE old")?;
    brought
}

fn copy(db: &Connection) -> rusqlite::Result<()> {
    let format = |schema: &str| -> rusqlite::Result<u32> {
        db.query_one(&format!("SELECT format FROM {schema}.history"), [], |row| row.get(0))
    };
    let commands = db.execute(
        "INSERT INTO main.command SELECT * FROM old.command WHERE n > (SELECT max(n) FROM old.command) - ?1",
        [COMMANDS],
    );
    if format("old")? == format("main")? {
        db.execute_batch(
            "INSERT OR IGNORE INTO main.terms SELECT * FROM old.terms;
             INSERT INTO main.stated SELECT * FROM old.stated;
             UPDATE main.stated SET sequence = 0;
             INSERT INTO main.stated_more SELECT * FROM old.stated_more;",
        )?;
        db.execute(
            "INSERT INTO main.page (machine, begins, ends, id, sequence, stale, body)
             SELECT machine, begins, ends, id, 0, stale, body FROM old.page
             WHERE begins > (SELECT max(begins) FROM old.page) - ?1",
            [PAGES_MS],
        )?;
    }
    commands.map(drop)
}
