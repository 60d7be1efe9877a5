//! A data folder in, what was committed there out, beside the writer and without disturbing it.

use super::{Error, Row, history, lock, schema};
use crate::event::{Stamp, shift::Kind};
use rusqlite::{Connection, OpenFlags};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// A connection of its own that can only read. A transaction that stays open makes the WAL grow: load, then think.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    db: Connection,
}

impl Reader {
    /// Needs no lock and no leave to write; see [`Error::ServiceUser`] for the one case where SQLite does.
    pub fn open(data_dir: &Path) -> Result<Reader, Error> {
        let path = data_dir.join(schema::FILE);
        match fs::metadata(&path) {
            Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
                return Err(Error::ServiceUser { path, source: source.into() });
            }
            Err(_) => return Err(Error::Missing { path }),
            Ok(_) => {}
        }
        let db = match connect(&path, &path, OpenFlags::empty()) {
            // A WAL database wants its helper files even for reading. Where nobody writes and nothing is left in a
            // WAL, the file alone is the whole truth.
            Err(Error::Unwritable { source, .. }) => match lock::is_free(data_dir) && !has_wal(&path) {
                true => connect(&path, &immutable(&path), OpenFlags::SQLITE_OPEN_URI),
                false => return Err(Error::ServiceUser { path, source }),
            },
            outcome => outcome,
        };
        match db {
            Ok(db) => Ok(Reader { path, db }),
            Err(Error::Unwritable { path, source }) => Err(Error::ServiceUser { path, source }),
            Err(error) => Err(error),
        }
    }

    /// At most `limit` rows after that sequence, ascending.
    pub fn rows_after(&self, sequence: u64, limit: u64) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        self.read(|db| schema::rows(db, sequence, Some(limit), |row, _| rows.push(row)))?;
        Ok(rows)
    }

    /// Several questions in one read transaction, so that the answers belong together. Ask only: think afterwards.
    pub fn at_once<T>(&self, ask: impl FnOnce(&Reader) -> Result<T, Error>) -> Result<T, Error> {
        self.read(|db| db.execute_batch("BEGIN"))?;
        let answer = ask(self);
        let ended = self.read(|db| db.execute_batch("ROLLBACK"));
        answer.and_then(|answer| ended.map(|()| answer))
    }

    /// The latest snapshot: the sequence up to which it holds, and itself.
    pub fn snapshot(&self) -> Result<Option<(u64, String)>, Error> {
        self.read(schema::snapshot)
    }

    /// The sequence up to which the latest snapshot holds; 0 without one.
    pub fn snapshot_sequence(&self) -> Result<u64, Error> {
        self.read(schema::snapshot_sequence)
    }

    /// Up to which event the history follows the journal; `None` where there is none that this program knows.
    pub fn history_through(&self) -> Result<Option<u64>, Error> {
        self.read(history::through)
    }

    /// The kept windows of a machine that overlap `[from, to)`, in order.
    pub fn windows(
        &self,
        of: (&str, Kind),
        range: (Stamp, Stamp),
        depth: history::Depth,
    ) -> Result<Vec<history::Stated>, Error> {
        self.read(|db| history::windows(db, of, range, depth))
    }

    /// The page of a machine's day that holds `at`.
    pub fn page(&self, machine: &str, at: Stamp) -> Result<Option<history::Page>, Error> {
        Ok(self.read(|db| history::pages(db, machine, (at, at.plus(1)), false))?.pop())
    }

    /// The pages of a machine that overlap `[from, to)`, in order, and with `and_next` the one behind them.
    pub fn pages(&self, machine: &str, range: (Stamp, Stamp), and_next: bool) -> Result<Vec<history::Page>, Error> {
        self.read(|db| history::pages(db, machine, range, and_next))
    }

    /// The rules that kept windows were made under, as JSON by fingerprint.
    pub fn terms(&self) -> Result<BTreeMap<i64, String>, Error> {
        self.read(history::terms)
    }

    /// Every row, ascending, in one read transaction.
    pub fn each_row(&self, mut each: impl FnMut(Row)) -> Result<(), Error> {
        self.read(|db| schema::rows(db, 0, None, |row, _| each(row)))
    }

    /// The answer that was given to a command when it was decided, and the number that it is kept under.
    pub fn answer(&self, sender: &str, command_id: &str) -> Result<Option<(i64, String)>, Error> {
        self.read(|db| schema::answer(db, sender, command_id))
    }

    /// A command as it came, where it was decided.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn command(&self, sender: &str, command_id: &str) -> Result<Option<Vec<u8>>, Error> {
        self.read(|db| schema::command(db, sender, command_id))
    }

    /// The latest durable marks.
    pub fn marks(&self) -> Result<Option<String>, Error> {
        self.read(schema::marks)
    }

    /// 0 in an empty journal.
    pub fn last_sequence(&self) -> Result<u64, Error> {
        self.read(schema::last_sequence)
    }

    /// Made with the data folder.
    pub fn instance(&self) -> Result<Uuid, Error> {
        Ok(self.read(schema::meta)?.instance)
    }

    fn read<T>(&self, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        question(&self.db).map_err(|error| Error::database(&self.path, "read", error))
    }
}

fn connect(path: &Path, name: &Path, more: OpenFlags) -> Result<Connection, Error> {
    let fault = |error: rusqlite::Error| Error::database(path, "opened", error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let db = Connection::open_with_flags(name, flags).map_err(fault)?;
    db.busy_timeout(schema::READER_WAITS).map_err(fault)?;
    db.pragma_update(None, "query_only", true).map_err(fault)?;
    // The first look at the file.
    match schema::version(&db, path)? {
        0 => Err(Error::Missing { path: path.into() }),
        _ => Ok(db),
    }
}

fn has_wal(path: &Path) -> bool {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    fs::metadata(wal).map_or_else(|error| error.kind() != io::ErrorKind::NotFound, |wal| wal.len() > 0)
}

/// The path as a URI that promises SQLite that the file will not change.
fn immutable(path: &Path) -> PathBuf {
    let encoded = path.as_os_str().as_bytes().iter().map(|byte| match byte {
        b'/' | b'.' | b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(*byte).to_string(),
        byte => format!("%{byte:02x}"),
    });
    format!("file:{}?immutable=1", encoded.collect::<String>()).into()
}
