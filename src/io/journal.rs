//! Events, marks and snapshots in, the same after any crash out: SQLite in `data_dir`.
//!
//! One process writes, by one thread: [`Journal::open`] gives what was kept, [`Journal::start`] the [`Pen`].
//! What is handed to the pen comes back as [`Committed`] when it is on the disk, in the same order, and not before.
//! Other processes look with a [`Reader`].

pub mod history;
mod lock;
mod marks;
mod reader;
pub mod receipts;
mod salvage;
mod schema;
mod superblock;
mod writer;

use crate::{
    custody::{
        chain::{self, Link},
        epoch::{self, Found, Life, Why},
    },
    event::{Stamp, shift::Kind},
};
use rusqlite::Connection;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};
use superblock::Superblock;
use uuid::Uuid;

pub use history::History;
pub use marks::{Kept, Marks};
pub use reader::Reader;
pub use salvage::{Carried, Lost};
pub use writer::{CURSOR, Ending, Health, Pen, Trouble, UNWRITTEN};

/// One event as it is kept and told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Place in the epoch's one sequence, from 1.
    pub sequence: u64,
    /// From 1.
    pub epoch: u32,
    /// `state`, `downtime` …
    pub kind: String,
    /// The machine's id; `None` for the gateway's own.
    pub machine: Option<String>,
    /// The whole topic, as told.
    pub topic: String,
    /// Place in its topic, from 1 in each epoch.
    pub topic_sequence: u64,
    /// The exact CloudEvent, made once.
    pub body: Arc<[u8]>,
    /// What the fold reads: the [`crate::event::Told`] as JSON.
    pub internal: String,
}

/// Where the journal lies.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[gateway] data_dir`; made if the folder above it exists.
    pub data_dir: PathBuf,
    /// `$RUNTIME_DIRECTORY`, where marks cost no flash; without it `/dev/shm`.
    pub runtime_dir: Option<PathBuf>,
}

/// What was found: everything that was committed, folded up to the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Made with the data folder, the same for its whole life.
    pub instance: Uuid,
    /// From 1.
    pub epoch: u32,
    /// 0 in an empty journal.
    pub last_sequence: u64,
    /// The latest: the sequence up to which it holds, and itself.
    pub snapshot: Option<(u64, String)>,
    /// All rows after the snapshot.
    pub tail: Vec<Row>,
    /// The latest durable marks.
    pub marks: Option<String>,
    /// Up to where the broker has acknowledged.
    pub cursor: u64,
    /// The rules under which it was written last.
    pub rules: Option<String>,
    /// What is kept of days that are over.
    pub history: history::Reach,
    /// What consumers said that they hold, by their name, as written.
    pub receipts: BTreeMap<String, String>,
    /// The first row that is still there; one more than the last where there is none.
    pub first_available: u64,
    /// The chain at the last row.
    pub link: Link,
    /// The database was made just now.
    pub fresh: bool,
    /// What the epoch before has left, until the first snapshot of this one.
    pub carried: Option<Carried>,
    /// The last number of a downtime by machine, as it is known beside the database.
    pub numbers: BTreeMap<String, u64>,
}

/// What belongs together: written in one transaction, released after it. `P` is what may be told only then.
#[derive(Debug)]
pub struct Envelope<P> {
    /// They follow the last rows handed in without a gap.
    pub rows: Vec<Row>,
    /// Replaces those before.
    pub marks: Option<String>,
    /// The sequence up to which it holds (at most the last of `rows`), and itself.
    pub snapshot: Option<(u64, String)>,
    /// The last number of a downtime by machine, to be known also without the database.
    pub numbers: Option<BTreeMap<String, u64>>,
    /// Replaces those before.
    pub rules: Option<String>,
    /// What follows from `rows` for days that are over.
    pub history: History,
    /// The command that was answered with it.
    pub command: Option<Command>,
    /// What consumers said that they hold, by their name; each replaces the one before.
    pub receipts: Vec<(String, String)>,
    /// Replies, acknowledgements, pictures.
    pub passengers: Vec<P>,
}

/// A command and its answer.
#[derive(Clone, Debug)]
pub enum Command {
    /// The first time.
    Answered(Box<Answered>),
    /// Once more, by the number that it is kept under.
    Repeated(i64),
}

/// A command with its answer, for whoever asks later who asked for what; and should it come again.
#[derive(Clone, Debug)]
pub struct Answered {
    /// When, by the wall clock.
    pub received: Stamp,
    /// Where it was published.
    pub topic: String,
    /// Its `by`.
    pub sender: Option<String>,
    /// Its own.
    pub command_id: Option<String>,
    /// As published; of one that could not be read, its beginning.
    pub body: Vec<u8>,
    /// It got as far as being decided: should it come again, the answer is the same.
    pub is_decided: bool,
    /// `accepted`, `stale` or `refused`.
    pub result: &'static str,
    /// The answer, as JSON.
    pub reply: String,
}

impl<P> Default for Envelope<P> {
    fn default() -> Envelope<P> {
        Envelope {
            rows: Vec::new(),
            marks: None,
            snapshot: None,
            numbers: None,
            rules: None,
            history: History::default(),
            command: None,
            receipts: Vec::new(),
            passengers: Vec::new(),
        }
    }
}

/// An envelope after its commit.
#[derive(Debug)]
pub struct Committed<P> {
    /// As handed in.
    pub rows: Vec<Row>,
    /// As handed in; free to go.
    pub passengers: Vec<P>,
    /// When the commit was done; one instant a transaction.
    pub at: Instant,
}

/// The one open journal of a data folder.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    // Declared before the lock, so that it is closed before the folder is free.
    db: Connection,
    superblock: Superblock,
    lock: lock::Lock,
    last: Place,
    cursor: u64,
}

/// The last committed row.
#[derive(Clone, Copy, Debug)]
struct Place {
    sequence: u64,
    link: Link,
}

impl Journal {
    /// Locks the folder, makes or migrates the database and reads what was kept. The time that this takes grows with
    /// the tail, not with the journal. A database that is gone, damaged or older than the folder is kept under another name,
    /// and a new epoch begins with what it still tells.
    pub fn open(settings: &Settings) -> Result<(Journal, Start), Error> {
        let data_dir = &settings.data_dir;
        make_folder(data_dir)?;
        let lock = lock::Lock::take(data_dir)?;
        let (mut superblock, remembered) = Superblock::open(data_dir)?;
        salvage::finish(data_dir)?;
        let path = data_dir.join(schema::FILE);
        let why = match (&remembered, path.exists()) {
            (Some(_), false) => Some(Why::Deleted),
            _ => None,
        };
        let looked = match why {
            Some(why) => Err(why),
            None => look(&path, remembered.as_ref())?,
        };
        let mut opened = match looked {
            Ok(opened) => opened,
            Err(why) => {
                salvage::begin(data_dir, remembered.as_ref(), why)?;
                Opened::of(&path)?
            }
        };
        let life = opened
            .start_anew(remembered.unwrap_or_default())
            .map_err(|error| Error::database(&path, "written", error))?;
        opened.start.numbers.clone_from(&life.numbers);
        superblock.write(life)?;
        let Opened { db, start, last, .. } = opened;
        tracing::info!(
            path = %path.display(),
            epoch = start.epoch,
            last_sequence = start.last_sequence,
            tail = start.tail.len(),
            fresh = start.fresh,
            "journal opened"
        );
        Ok((Journal { path, db, superblock, lock, last, cursor: start.cursor }, start))
    }
}

/// A database that can be read.
struct Opened {
    db: Connection,
    start: Start,
    last: Place,
    found: Found,
}

impl Opened {
    fn of(path: &Path) -> Result<Opened, Error> {
        let mut db = schema::connect(path, schema::Absent::Make)?;
        let fresh = schema::migrate(&mut db, path)?;
        history::migrate(&mut db, path)?;
        receipts::prepare(&db, path)?;
        salvage::prepare(&db, path)?;
        let fault = |error| Error::database(path, "read", error);
        let (start, last) = found(&db, fresh).map_err(fault)??;
        let found = salvage::found(&db).map_err(fault)?;
        Ok(Opened { db, start, last, found })
    }

    /// First the database, then what stands beside it: killed in between, it is the database that knows more.
    fn start_anew(&self, before: Life) -> rusqlite::Result<Life> {
        let starts = self.found.starts.max(before.starts) + 1;
        salvage::put_starts(&self.db, starts)?;
        Ok(Life {
            instance: self.start.instance,
            epoch: self.start.epoch,
            starts,
            reserved: self.start.last_sequence + epoch::RESERVED,
            numbers: before.numbers,
            condemned: None,
            seen: before.seen,
        })
    }
}

/// `Err`: why this database may not go on.
fn look(path: &Path, remembered: Option<&Life>) -> Result<Result<Opened, Why>, Error> {
    match Opened::of(path) {
        // Nothing was in it, though something was told.
        Ok(opened) if opened.start.fresh && remembered.is_some() => Ok(Err(Why::Deleted)),
        Ok(opened) => Ok(match epoch::ended(remembered, &opened.found) {
            Some(why) => Err(why),
            None => Ok(opened),
        }),
        Err(error @ (Error::Corrupt { .. } | Error::Broken { .. })) => {
            tracing::error!(error = crate::io::in_words(&error), "the journal cannot go on");
            Ok(Err(Why::Damaged))
        }
        Err(error) => Err(error),
    }
}

/// Nobody else may write to the data folder as long as it lives, even when the journal is closed.
#[derive(Debug)]
pub struct Hold {
    _lock: lock::Lock,
}

impl Journal {
    /// Keeps the data folder beyond the journal.
    pub fn hold(&self) -> Result<Hold, Error> {
        let shared = self.lock.share().map_err(|source| Error::file(&self.path, source))?;
        Ok(Hold { _lock: shared })
    }

    /// The kept pages of a machine that overlap `[from, to)`, in order.
    pub fn pages(&self, machine: &str, range: (Stamp, Stamp)) -> Result<Vec<history::Page>, Error> {
        history::pages(&self.db, machine, range, false).map_err(|error| Error::database(&self.path, "read", error))
    }

    /// The kept windows of a machine that overlap `[from, to)`, in order.
    pub fn windows(&self, of: (&str, Kind), range: (Stamp, Stamp)) -> Result<Vec<history::Stated>, Error> {
        history::windows(&self.db, of, range, history::Depth::Whole)
            .map_err(|error| Error::database(&self.path, "read", error))
    }
}

/// A systemd unit brings its folder; everybody else gets the last part of the path made for them, not a whole tree
/// grown from a typing mistake.
fn make_folder(data_dir: &Path) -> Result<(), Error> {
    match fs::create_dir(data_dir) {
        Ok(()) => {
            // The new name must survive a power cut like all that will be written under it.
            let parent = data_dir.parent().filter(|parent| !parent.as_os_str().is_empty());
            let synced = fs::File::open(parent.unwrap_or(Path::new("."))).and_then(|parent| parent.sync_all());
            synced.map_err(|source| Error::file(data_dir, source))
        }
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => match data_dir.is_dir() {
            true => Ok(()),
            false => Err(Error::NotAFolder { path: data_dir.into() }),
        },
        Err(source) if source.kind() == io::ErrorKind::StorageFull => Err(Error::file(data_dir, source)),
        Err(source) => Err(Error::Folder { path: data_dir.into(), source }),
    }
}

/// Only the tail's chain is checked: what lies before the snapshot was checked when it was the tail.
fn found(db: &Connection, fresh: bool) -> rusqlite::Result<Result<(Start, Place), Error>> {
    let meta = schema::meta(db)?;
    let snapshot = schema::snapshot(db)?;
    let after = snapshot.as_ref().map_or(0, |(sequence, _)| *sequence);
    let Some(link) = schema::link_at(db, after)? else {
        return Ok(Err(Error::Broken { sequence: after }));
    };
    let mut links = Vec::new();
    let mut tail = Vec::new();
    schema::rows(db, after, None, |row, link| {
        tail.push(row);
        links.push(link);
    })?;
    let chained = tail.iter().zip(&links).map(|(row, link)| (row.sequence, &*row.body, link));
    if let Some(sequence) = chain::first_break(after, &link, chained) {
        return Ok(Err(Error::Broken { sequence }));
    }
    let last =
        Place { sequence: tail.last().map_or(after, |row| row.sequence), link: links.last().copied().unwrap_or(link) };
    let start = Start {
        instance: meta.instance,
        epoch: meta.epoch,
        last_sequence: last.sequence,
        snapshot,
        tail,
        marks: schema::marks(db)?,
        cursor: schema::cursor(db)?,
        rules: meta.rules,
        history: history::reach(db)?,
        receipts: receipts::all(db)?,
        first_available: receipts::first_sequence(db)?.unwrap_or(last.sequence + 1),
        link: last.link,
        fresh,
        carried: salvage::carried(db)?,
        numbers: BTreeMap::new(),
    };
    Ok(Ok((start, last)))
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the journal cannot be used, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing there, and it could not be made.
    #[error("the data folder {} could not be made; make the folder above it, or name another `data_dir`", path.display())]
    Folder {
        /// The data folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file stands in its place.
    #[error("{} is not a folder; name another `data_dir`", path.display())]
    NotAFolder {
        /// What was to be the data folder.
        path: PathBuf,
    },
    /// The folder or a file in it.
    #[error("{} could not be opened for writing; give the data folder to the user that andon runs as", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Cause,
    },
    /// The flock is held.
    #[error("another andon runs on this data folder: {}{}; stop it, or give this one its own `data_dir`",
        data_dir.display(), pid.map_or(String::new(), |pid| format!(" (pid {pid})")))]
    Locked {
        /// The data folder.
        data_dir: PathBuf,
        /// The other process, if it left its number.
        pid: Option<u32>,
    },
    /// Written by a later release.
    #[error("{} was written by a newer andon (format {found}; this one knows up to {known}); nothing was changed; \
        run the newer one, or name another `data_dir`", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its `user_version`.
        found: usize,
        /// The latest that this program can write.
        known: usize,
    },
    /// SQLite found pages that make no sense.
    #[error("{} is damaged", path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What it found.
        source: rusqlite::Error,
    },
    /// No room.
    #[error("the disk that holds {} is full; free some room", path.display())]
    Full {
        /// The file that could not grow.
        path: PathBuf,
        /// What failed.
        source: Cause,
    },
    /// A row is missing, or is not the one that was written.
    #[error("the journal's chain is broken at sequence {sequence}: a row was lost or changed")]
    Broken {
        /// The first sequence that does not follow from those before.
        sequence: u64,
    },
    /// Deleted, moved or exchanged under the running gateway.
    #[error("{} was moved or deleted while andon wrote to it; put it back", path.display())]
    Gone {
        /// The database.
        path: PathBuf,
    },
    /// For a reader: no journal yet.
    #[error("no journal at {}; start `andon run` first, or check `data_dir`", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// For a reader: SQLite needs to write beside the database, and this user may not.
    #[error("{} could not be read by this user; run as the service user", path.display())]
    ServiceUser {
        /// The database.
        path: PathBuf,
        /// Why.
        source: Cause,
    },
    /// Everything else that SQLite may say.
    #[error("the journal {} could not be {doing}", path.display())]
    Database {
        /// `opened`, `migrated`, `read`, `written`.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// What failed.
        source: rusqlite::Error,
    },
    /// A fault of this program, or a database that was exchanged under it: nothing may be written any more.
    #[error("sequence {found} was to be written where {expected} comes next")]
    OutOfOrder {
        /// What would have followed.
        expected: u64,
        /// What was there.
        found: u64,
    },
    /// The system gave no thread.
    #[error("the journal's thread could not be started")]
    Thread {
        /// Why.
        source: io::Error,
    },
}

impl Error {
    fn database(path: &Path, doing: &'static str, source: rusqlite::Error) -> Error {
        use rusqlite::ErrorCode;
        let path = path.into();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Corrupt { path, source },
            Some(ErrorCode::DiskFull) => Error::Full { path, source: source.into() },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Error::Unwritable { path, source: source.into() }
            }
            _ => Error::Database { doing, path, source },
        }
    }

    fn file(path: &Path, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::StorageFull => Error::Full { path: path.into(), source: source.into() },
            _ => Error::Unwritable { path: path.into(), source: source.into() },
        }
    }
}
