//! A path in, a database of the latest format out; every table and every question that is asked of it.

use super::{Answered, Error, Row};
use crate::custody::chain::{self, Link};
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};
use std::{path::Path, time::Duration};
use uuid::Uuid;

/// In `data_dir`.
pub(super) const FILE: &str = "andon.db";

/// What a database of format n needs to become n + 1; never edited once released.
///
/// `sequence` alone is the primary key of `journal`: an epoch ends only when its journal was lost, so the next one
/// begins in a new file and one file never holds the same sequence twice. That keeps it the rowid, hence a journal
/// without any index: a secondary one triples what a commit writes. `milestone` answers where a topic's events lie.
/// `at` is for people who look into the file; nothing reads it.
const STEPS: &[&str] = &["
    CREATE TABLE meta (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        instance BLOB NOT NULL,
        epoch INTEGER NOT NULL,
        rules TEXT
    ) STRICT;
    CREATE TABLE journal (
        sequence INTEGER PRIMARY KEY,
        epoch INTEGER NOT NULL,
        kind TEXT NOT NULL,
        machine TEXT,
        topic TEXT NOT NULL,
        topic_sequence INTEGER NOT NULL,
        body BLOB NOT NULL,
        internal TEXT NOT NULL,
        chain BLOB NOT NULL
    ) STRICT;
    CREATE TABLE milestone (
        topic TEXT NOT NULL,
        topic_sequence INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        PRIMARY KEY (topic, topic_sequence)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE snapshot (
        sequence INTEGER PRIMARY KEY,
        at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
        body TEXT NOT NULL
    ) STRICT;
    CREATE TABLE mark (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
        body TEXT NOT NULL
    ) STRICT;
    CREATE TABLE cursor (
        name TEXT PRIMARY KEY,
        sequence INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE command (
        n INTEGER PRIMARY KEY,
        received INTEGER NOT NULL,
        topic TEXT NOT NULL,
        sender TEXT,
        command_id TEXT,
        body BLOB NOT NULL,
        decided INTEGER NOT NULL,
        result TEXT NOT NULL,
        reply TEXT NOT NULL,
        repeats INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX command_of ON command (command_id, sender) WHERE decided = 1;
    -- SQLite's random bytes come from the system's.
    INSERT INTO meta (only, instance, epoch) VALUES (1, randomblob(16), 1);
"];

/// One milestone per so many events of a topic, from its first: at most so many rows are read to find an event.
const MILESTONE: u64 = 256;

/// How long the writer waits for a reader that is in the way of a checkpoint; short, as a close may meet it three times.
const WRITER_WAITS: Duration = Duration::from_millis(200);

/// How long a reader waits for a recovery or a checkpoint.
pub(super) const READER_WAITS: Duration = Duration::from_millis(500);

/// The WAL file shrinks back to this after a long reader made it grow: twice what a checkpoint leaves on normal days.
const WAL_BYTES: u32 = 8 << 20;

/// The only cursor so far.
const CURSOR: &str = "mqtt";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    Make,
    Refuse,
}

/// The writer's connection. A database of a newer format is refused before anything in it is touched.
pub(super) fn connect(path: &Path, absent: Absent) -> Result<Connection, Error> {
    let fault = |error| Error::database(path, "opened", error);
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, absent == Absent::Make);
    let db = Connection::open_with_flags(path, flags).map_err(fault)?;
    db.busy_timeout(WRITER_WAITS).map_err(fault)?;
    // SQLite opens what it may not write for reading, without a word.
    if db.is_readonly(rusqlite::MAIN_DB).map_err(fault)? {
        return Err(Error::Unwritable { path: path.into(), source: "it is read-only".into() });
    }
    version(&db, path)?;
    db.pragma_update(None, "journal_mode", "WAL").map_err(fault)?;
    db.pragma_update(None, "synchronous", "FULL").map_err(fault)?;
    db.pragma_update(None, "journal_size_limit", WAL_BYTES).map_err(fault)?;
    Ok(db)
}

/// 0 for an empty database.
pub(super) fn version(db: &Connection, path: &Path) -> Result<usize, Error> {
    let found = db
        .pragma_query_value(None, "user_version", |row| row.get::<_, usize>(0))
        .map_err(|error| Error::database(path, "opened", error))?;
    match found <= STEPS.len() {
        true => Ok(found),
        false => Err(Error::Newer { path: path.into(), found, known: STEPS.len() }),
    }
}

/// Takes the steps that are missing; `true` if that was all of them.
pub(super) fn migrate(db: &mut Connection, path: &Path) -> Result<bool, Error> {
    let from = version(db, path)?;
    for (step, reached) in STEPS.iter().zip(1..).skip(from) {
        take(db, step, reached).map_err(|error| Error::database(path, "migrated", error))?;
    }
    Ok(from == 0)
}

fn take(db: &mut Connection, step: &str, reached: usize) -> rusqlite::Result<()> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(step)?;
    transaction.pragma_update(None, "user_version", reached)?;
    transaction.commit()
}

/// Brings all that stands in the WAL into the database itself and on the disk.
pub(super) fn checkpoint(db: &Connection) -> rusqlite::Result<()> {
    let in_the_way: bool = db.query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    match in_the_way {
        false => Ok(()),
        true => Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None)),
    }
}

pub(super) struct Meta {
    pub(super) instance: Uuid,
    pub(super) epoch: u32,
    pub(super) rules: Option<String>,
}

pub(super) fn meta(db: &Connection) -> rusqlite::Result<Meta> {
    db.query_one("SELECT instance, epoch, rules FROM meta", [], |row| {
        let instance = uuid::Builder::from_random_bytes(row.get(0)?).into_uuid();
        Ok(Meta { instance, epoch: row.get(1)?, rules: row.get(2)? })
    })
}

/// The latest.
pub(super) fn snapshot(db: &Connection) -> rusqlite::Result<Option<(u64, String)>> {
    let sql = "SELECT sequence, body FROM snapshot ORDER BY sequence DESC LIMIT 1";
    db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// All, the latest first; one that cannot be read ends them.
pub(super) fn snapshots(db: &Connection) -> rusqlite::Result<Vec<(u64, String)>> {
    let mut select = db.prepare("SELECT sequence, body FROM snapshot ORDER BY sequence DESC")?;
    let found = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(found.map_while(Result::ok).collect())
}

/// Of the latest; 0 without one.
pub(super) fn snapshot_sequence(db: &Connection) -> rusqlite::Result<u64> {
    let last: Option<u64> = db.query_one("SELECT max(sequence) FROM snapshot", [], |row| row.get(0))?;
    Ok(last.unwrap_or(0))
}

pub(super) fn marks(db: &Connection) -> rusqlite::Result<Option<String>> {
    db.query_row("SELECT body FROM mark", [], |row| row.get(0)).optional()
}

pub(super) fn cursor(db: &Connection) -> rusqlite::Result<u64> {
    let kept = db.query_row("SELECT sequence FROM cursor WHERE name = ?1", [CURSOR], |row| row.get(0)).optional();
    Ok(kept?.unwrap_or(0))
}

/// 0 in an empty journal.
pub(super) fn last_sequence(db: &Connection) -> rusqlite::Result<u64> {
    let last: Option<u64> = db.query_one("SELECT max(sequence) FROM journal", [], |row| row.get(0))?;
    Ok(last.unwrap_or(0))
}

/// The link of that row, or what stands before the first; `None` if there is no such row.
pub(super) fn link_at(db: &Connection, sequence: u64) -> rusqlite::Result<Option<Link>> {
    match sequence {
        0 => Ok(Some(chain::START)),
        _ => db.query_row("SELECT chain FROM journal WHERE sequence = ?1", [sequence], |row| row.get(0)).optional(),
    }
}

/// Hands over the rows after that sequence, ascending, at most `limit`.
pub(super) fn rows(
    db: &Connection,
    after: u64,
    limit: Option<u64>,
    mut each: impl FnMut(Row, Link),
) -> rusqlite::Result<()> {
    let mut select = db.prepare_cached(
        "SELECT sequence, epoch, kind, machine, topic, topic_sequence, body, internal, chain
         FROM journal WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
    )?;
    // To SQLite a negative limit is none.
    let limit = limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
    let mut rows = select.query((after, limit))?;
    while let Some(row) = rows.next()? {
        let kept = Row {
            sequence: row.get(0)?,
            epoch: row.get(1)?,
            kind: row.get(2)?,
            machine: row.get(3)?,
            topic: row.get(4)?,
            topic_sequence: row.get(5)?,
            body: row.get_ref(6)?.as_blob()?.into(),
            internal: row.get(7)?,
        };
        each(kept, row.get(8)?);
    }
    Ok(())
}

pub(super) fn put_row(db: &Connection, row: &Row, link: &Link) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO journal (sequence, epoch, kind, machine, topic, topic_sequence, body, internal, chain)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(rusqlite::params![
        row.sequence,
        row.epoch,
        row.kind,
        row.machine,
        row.topic,
        row.topic_sequence,
        &*row.body,
        row.internal,
        link
    ])?;
    if row.topic_sequence % MILESTONE == 1 {
        db.prepare_cached("INSERT OR IGNORE INTO milestone (topic, topic_sequence, sequence) VALUES (?1, ?2, ?3)")?
            .execute((&row.topic, row.topic_sequence, row.sequence))?;
    }
    Ok(())
}

/// Commands that were decided are kept, with their answers: so far back one is known when it comes again.
const COMMANDS: u64 = 100_000;

/// Of those that were refused unread so many are kept, apart from the others (`n` below 0, downwards): however many
/// come, they push nothing out that was answered.
const REFUSALS: u64 = 10_000;

/// A command as it came, where it was decided.
pub(super) fn command(db: &Connection, sender: &str, command_id: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    db.prepare_cached("SELECT body FROM command WHERE command_id = ?1 AND sender = ?2 AND decided = 1")?
        .query_row((command_id, sender), |row| row.get(0))
        .optional()
}

/// The answer that was given to this command when it was decided.
pub(super) fn answer(db: &Connection, sender: &str, command_id: &str) -> rusqlite::Result<Option<(i64, String)>> {
    db.prepare_cached("SELECT n, reply FROM command WHERE command_id = ?1 AND sender = ?2 AND decided = 1")?
        .query_row((command_id, sender), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

pub(super) fn put_answer(db: &Connection, answered: &Answered) -> rusqlite::Result<()> {
    let Answered { received, topic, sender, command_id, body, is_decided, result, reply } = answered;
    let (n, forget, most) = match is_decided {
        true => (
            "max(coalesce((SELECT max(n) FROM command), 0), 0) + 1",
            "n > 0 AND n <= (SELECT max(n) FROM command) - ?1",
            COMMANDS,
        ),
        false => (
            "min(coalesce((SELECT min(n) FROM command), 0), 0) - 1",
            "n < 0 AND n >= (SELECT min(n) FROM command) + ?1",
            REFUSALS,
        ),
    };
    let insert = format!(
        "INSERT INTO command (n, received, topic, sender, command_id, body, decided, result, reply)
         VALUES ({n}, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
    );
    db.prepare_cached(&insert)?.execute((received.ms(), topic, sender, command_id, body, is_decided, result, reply))?;
    db.prepare_cached(&format!("DELETE FROM command WHERE {forget}"))?.execute([most])?;
    Ok(())
}

/// It came again, and was answered again.
pub(super) fn repeat_answer(db: &Connection, n: i64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE command SET repeats = repeats + 1 WHERE n = ?1")?.execute([n])?;
    Ok(())
}

/// Three are kept, should a later one turn out to be unreadable.
pub(super) fn put_snapshot(db: &Connection, sequence: u64, body: &str) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO snapshot (sequence, body) VALUES (?1, ?2)")?.execute((sequence, body))?;
    db.prepare_cached(
        "DELETE FROM snapshot WHERE sequence NOT IN (SELECT sequence FROM snapshot ORDER BY sequence DESC LIMIT 3)",
    )?
    .execute([])?;
    Ok(())
}

pub(super) fn put_marks(db: &Connection, body: &str) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO mark (only, body) VALUES (1, ?1)")?.execute([body])?;
    Ok(())
}

pub(super) fn put_rules(db: &Connection, rules: &str) -> rusqlite::Result<()> {
    db.execute("UPDATE meta SET rules = ?1", [rules])?;
    Ok(())
}

/// Whose journal it is, and which epoch.
pub(super) fn put_life(db: &Connection, instance: Option<Uuid>, epoch: u32) -> rusqlite::Result<()> {
    let instance = instance.map(Uuid::into_bytes);
    db.execute("UPDATE meta SET instance = coalesce(?1, instance), epoch = ?2", (instance, epoch)).map(drop)
}

pub(super) fn put_cursor(db: &Connection, sequence: u64) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO cursor (name, sequence) VALUES (?1, ?2)")?.execute((CURSOR, sequence))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Stamp;

    fn count(db: &Connection, of: &str) -> u64 {
        db.query_row(&format!("SELECT count(*) FROM command WHERE {of}"), [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn however_many_are_refused_unread_the_answers_that_were_given_are_kept() {
        let db = Connection::open_in_memory().unwrap();
        STEPS.iter().for_each(|step| db.execute_batch(step).unwrap());
        let put = |command_id: &str, is_decided: bool| {
            let answered = Answered {
                received: Stamp::from_ms(0),
                topic: "t".to_owned(),
                sender: Some("mes".to_owned()),
                command_id: Some(command_id.to_owned()),
                body: b"{}".to_vec(),
                is_decided,
                result: "accepted",
                reply: command_id.to_owned(),
            };
            put_answer(&db, &answered).unwrap();
        };
        put("first", true);
        for _ in 0..REFUSALS + 50 {
            put("junk", false);
        }
        put("second", true);
        put("junk", false);
        assert_eq!(count(&db, "decided = 0"), REFUSALS);
        assert_eq!(answer(&db, "mes", "first").unwrap(), Some((1, "first".to_owned())));
        assert_eq!(answer(&db, "mes", "second").unwrap(), Some((2, "second".to_owned())));
        assert_eq!(answer(&db, "mes", "junk").unwrap(), None);
        // Of the others so many are kept, too: the oldest go.
        db.execute("UPDATE command SET n = ?1 WHERE n = 2", [COMMANDS]).unwrap();
        put("last", true);
        assert_eq!(answer(&db, "mes", "first").unwrap(), None);
        assert_eq!(count(&db, "decided = 1"), 2);
        assert_eq!(count(&db, "decided = 0"), REFUSALS);
    }
}
