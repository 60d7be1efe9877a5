//! What consumers hold and what was taken out of the journal in, the same out; and the rows of topics from a place on.
//!
//! Both tables stand beside the journal and are made where they are absent: an older andon leaves them as they are, and
//! what it does not write is sent again by the consumers.

use super::Error;
use crate::{custody::replay::Gap, wire::topic};
use rusqlite::{Connection, OptionalExtension};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

/// `gap`: what retention has taken out, in the words of the chain: `topics` is JSON, by topic key the first and the last
/// `topicsequence`.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS receipt (
        consumer TEXT PRIMARY KEY,
        body TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS gap (
        first INTEGER PRIMARY KEY,
        last INTEGER NOT NULL,
        topics TEXT NOT NULL,
        chain_after BLOB NOT NULL,
        why TEXT NOT NULL
    ) STRICT;
";

/// Makes the tables.
pub(super) fn prepare(db: &Connection, path: &Path) -> Result<(), Error> {
    match has(db, "gap").and_then(|is_there| if is_there { Ok(()) } else { db.execute_batch(TABLES) }) {
        Ok(()) => Ok(()),
        Err(error) => Err(Error::database(path, "migrated", error)),
    }
}

fn has(db: &Connection, table: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    Ok(db.query_row(sql, [table], |_| Ok(())).optional()?.is_some())
}

pub(super) fn put(db: &Connection, consumer: &str, body: &str) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO receipt (consumer, body) VALUES (?1, ?2)")?.execute((consumer, body))?;
    Ok(())
}

/// By consumer, as written; none in a database of an older andon.
pub(super) fn all(db: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    if !has(db, "receipt")? {
        return Ok(BTreeMap::new());
    }
    let mut select = db.prepare_cached("SELECT consumer, body FROM receipt")?;
    select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// What was taken out, in order; a line that cannot be read explains nothing.
pub(super) fn gaps(db: &Connection) -> rusqlite::Result<Vec<Gap>> {
    if !has(db, "gap")? {
        return Ok(Vec::new());
    }
    let mut select = db.prepare_cached("SELECT topics FROM gap ORDER BY first")?;
    let topics = select.query_map([], |row| row.get::<_, String>(0))?;
    topics.filter_map(|topics| topics.map(|topics| serde_json::from_str(&topics).ok()).transpose()).collect()
}

/// The first row that is still there; `None` in an empty journal.
pub(super) fn first_sequence(db: &Connection) -> rusqlite::Result<Option<u64>> {
    db.query_one("SELECT min(sequence) FROM journal", [], |row| row.get(0))
}

/// The sequence behind which the first of these events lie: the latest milestone at or before each, or the start of the
/// journal where there is none, as for a topic whose name was changed within its last 256 events.
pub(super) fn before(db: &Connection, wanted: &BTreeMap<&str, u64>) -> rusqlite::Result<u64> {
    let mut starts: BTreeMap<&str, u64> = wanted.keys().map(|key| (*key, 0)).collect();
    let mut select = db.prepare_cached("SELECT topic, topic_sequence, sequence FROM milestone")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let Some(key) = topic::key_of(row.get_ref(0)?.as_str()?) else { continue };
        let (at, sequence): (u64, u64) = (row.get(1)?, row.get(2)?);
        if let Some(start) = starts.get_mut(key.as_str())
            && wanted.get(key.as_str()).is_some_and(|first| at <= *first)
        {
            *start = sequence.max(*start);
        }
    }
    Ok(starts.into_values().min().unwrap_or(0).saturating_sub(1))
}

/// A piece of the journal, of which only some topics are looked at.
#[derive(Debug)]
pub struct Piece {
    /// Topic key, `topicsequence` and body of each row that is wanted, ascending.
    pub rows: Vec<(String, u64, Vec<u8>)>,
    /// Up to here it was read; `None`: nothing is left.
    pub read_to: Option<u64>,
}

/// The next rows after `sequence` and up to `through`, at most `limit` of them looked at.
pub(super) fn piece(
    db: &Connection,
    (sequence, through, limit): (u64, u64, u64),
    mut is_wanted: impl FnMut(&str, u64) -> bool,
) -> rusqlite::Result<Piece> {
    let mut select = db.prepare_cached(
        "SELECT sequence, topic, topic_sequence, body FROM journal
         WHERE sequence > ?1 AND sequence <= ?2 ORDER BY sequence LIMIT ?3",
    )?;
    let mut piece = Piece { rows: Vec::new(), read_to: None };
    let mut keys: HashMap<String, Option<String>> = HashMap::new();
    let mut rows = select.query((sequence, through, limit))?;
    while let Some(row) = rows.next()? {
        piece.read_to = Some(row.get(0)?);
        let topic = row.get_ref(1)?.as_str()?;
        if !keys.contains_key(topic) {
            keys.insert(topic.to_owned(), topic::key_of(topic));
        }
        let Some(Some(key)) = keys.get(topic) else { continue };
        let topic_sequence = row.get(2)?;
        // Only then is the body brought from the disk.
        if is_wanted(key, topic_sequence) {
            piece.rows.push((key.clone(), topic_sequence, row.get_ref(3)?.as_blob()?.to_vec()));
        }
    }
    Ok(piece)
}

/// A row without its body.
#[derive(Debug)]
pub struct Entry {
    /// Place in the epoch's one sequence.
    pub sequence: u64,
    /// Topic key.
    pub key: String,
    /// Place in its topic.
    pub topic_sequence: u64,
    /// What the fold reads.
    pub internal: String,
}

/// Hands over each row of a kind after one sequence and up to the other, ascending.
pub(super) fn each_of_kind(
    db: &Connection,
    kind: &str,
    (after, through): (u64, u64),
    each: &mut impl FnMut(Entry),
) -> rusqlite::Result<()> {
    let mut select = db.prepare_cached(
        "SELECT sequence, topic, topic_sequence, internal FROM journal
         WHERE kind = ?1 AND sequence > ?2 AND sequence <= ?3 ORDER BY sequence",
    )?;
    let mut rows = select.query((kind, after, through))?;
    while let Some(row) = rows.next()? {
        let Some(key) = topic::key_of(row.get_ref(1)?.as_str()?) else { continue };
        each(Entry { sequence: row.get(0)?, key, topic_sequence: row.get(2)?, internal: row.get(3)? });
    }
    Ok(())
}

/// By topic key the last `topicsequence` up to there.
pub(super) fn tails(db: &Connection, through: u64) -> rusqlite::Result<BTreeMap<String, u64>> {
    let mut select =
        db.prepare_cached("SELECT topic, max(topic_sequence) FROM journal WHERE sequence <= ?1 GROUP BY topic")?;
    let mut tails = BTreeMap::new();
    let mut rows = select.query([through])?;
    while let Some(row) = rows.next()? {
        let Some(key) = topic::key_of(row.get_ref(0)?.as_str()?) else { continue };
        let tail: &mut u64 = tails.entry(key).or_default();
        *tail = row.get::<_, u64>(1)?.max(*tail);
    }
    Ok(tails)
}
