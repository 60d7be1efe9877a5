//! Envelopes in, the same after their commit out: one thread, one connection, one transaction for all that waits.

use super::{
    Command, Committed, Envelope, Error, History, Journal, Place, history, lock::Lock, receipts, salvage, schema,
    superblock::Superblock,
};
use crate::{
    custody::{
        chain,
        epoch::{Life, RESERVED, Why},
    },
    io::in_words,
};
use rusqlite::{Connection, TransactionBehavior};
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc::UnboundedSender, watch};

/// Events that may wait for the disk: some 20 MB, hours of a whole plant. Beyond it the caller holds.
pub const UNWRITTEN: usize = 10_000;

/// A cursor alone is written this often: losing it costs duplicates, each write costs flash.
pub const CURSOR: Duration = Duration::from_secs(300);

/// Between tries on a failing disk, doubled from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// How the journal's thread ended: `Err` if something that was handed in is not on the disk.
pub type Ending = thread::JoinHandle<Result<(), Error>>;

/// `None` while the disk is well.
pub type Health = watch::Receiver<Option<Trouble>>;

/// Commits fail; what was handed in waits.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// What the first failure said, with its causes.
    pub words: String,
    /// When it was.
    pub since: Instant,
}

/// Hands envelopes to the journal's thread; dropped or closed, the thread writes what waits and ends.
#[derive(Debug)]
pub struct Pen<P> {
    queue: mpsc::Sender<Envelope<P>>,
    desk: Arc<Desk>,
    health: Health,
}

/// What pen and thread share.
#[derive(Debug)]
struct Desk {
    unwritten: AtomicUsize,
    cursor: AtomicU64,
    /// The highest epoch that a consumer holds and this journal does not; 0: none.
    ahead: AtomicU32,
}

impl<P> Pen<P> {
    /// Never waits. `Err` gives the envelope back: [`UNWRITTEN`] events wait already, or the thread has ended (then
    /// the receiver of [`Committed`] is closed too).
    #[expect(clippy::result_large_err, reason = "it is the argument itself, given back")]
    pub fn write(&self, envelope: Envelope<P>) -> Result<(), Envelope<P>> {
        let (waiting, size) = (self.unwritten(), size(&envelope));
        // One that is larger than the bound itself may pass alone; it could never pass otherwise.
        if waiting > 0 && waiting + size > UNWRITTEN {
            return Err(envelope);
        }
        self.desk.unwritten.fetch_add(size, Relaxed);
        self.queue.send(envelope).map_err(|unsent| unsent.0)
    }

    /// The broker has acknowledged all up to there. Written with the next commit, at least every [`CURSOR`] and at close.
    pub fn cursor(&self, sequence: u64) {
        self.desk.cursor.store(sequence, Relaxed);
    }

    /// A consumer holds what was told in this epoch, or a later one, and is not in the journal: the next start begins a new
    /// epoch above it.
    pub fn ahead(&self, epoch: u32) {
        self.desk.ahead.fetch_max(epoch, Relaxed);
    }

    /// Events that wait for the disk.
    pub fn unwritten(&self) -> usize {
        self.desk.unwritten.load(Relaxed)
    }

    /// For the status, and to wake who holds back.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// All is written, then the thread ends: within a second, also when the disk is in trouble (then with an error).
    pub fn close(self) {}
}

/// What an envelope takes of the bound; one without events takes a place too, so that nothing grows without end.
fn size<P>(envelope: &Envelope<P>) -> usize {
    envelope.rows.len().max(1)
}

impl Journal {
    /// Starts the thread; it ends when the [`Pen`] is closed or when nothing may be written any more.
    pub fn start<P: Send + 'static>(self, committed: UnboundedSender<Committed<P>>) -> Result<(Pen<P>, Ending), Error> {
        let desk = Arc::new(Desk {
            unwritten: AtomicUsize::new(0),
            cursor: AtomicU64::new(self.cursor),
            ahead: AtomicU32::new(0),
        });
        let (queue, waiting) = mpsc::channel();
        let (health, trouble) = watch::channel(None);
        let writer = Writer {
            identity: identity(&self.path),
            path: self.path,
            db: Some(self.db),
            superblock: self.superblock,
            _lock: self.lock,
            last: self.last,
            next: self.last.sequence + 1,
            cursor: self.cursor,
            cursor_at: Instant::now(),
            batch: Vec::new(),
            waiting,
            retry: None,
            desk: desk.clone(),
            health,
            committed,
        };
        let thread = thread::Builder::new().name("journal".into()).spawn(|| writer.run());
        Ok((Pen { queue, desk, health: trouble }, thread.map_err(|source: io::Error| Error::Thread { source })?))
    }
}

struct Writer<P> {
    path: PathBuf,
    /// The file that is written, under whatever name.
    identity: Option<(u64, u64)>,
    /// None after a failure: SQLite may believe pages to be clean which the disk does not have, so the next try
    /// begins with a new connection.
    db: Option<Connection>,
    superblock: Superblock,
    // After the connection, so that it is closed before the folder is free.
    _lock: Lock,
    /// The last row known to be committed.
    last: Place,
    /// What the next row handed in must be.
    next: u64,
    /// The last cursor written, and when.
    cursor: u64,
    cursor_at: Instant,
    /// Handed in and not yet released, in order.
    batch: Vec<Envelope<P>>,
    waiting: mpsc::Receiver<Envelope<P>>,
    retry: Option<Retry>,
    desk: Arc<Desk>,
    health: watch::Sender<Option<Trouble>>,
    committed: UnboundedSender<Committed<P>>,
}

struct Retry {
    since: Instant,
    failures: u32,
    pause: Duration,
    at: Instant,
}

impl<P> Writer<P> {
    fn run(mut self) -> Result<(), Error> {
        loop {
            let open = self.gather()?;
            let written = if self.due(open) { self.commit() } else { Ok(()) };
            match written {
                Ok(()) => self.release(),
                Err(error @ Error::OutOfOrder { .. }) => return Err(error),
                // What is wrong in it would only grow. The next start goes on with what can be read.
                Err(error @ Error::Corrupt { .. }) => {
                    self.condemn(Why::Damaged, 0);
                    return Err(error);
                }
                Err(error) if open => self.wait(&error),
                // What is lost now was never told, and the counters of the PLCs still have it.
                Err(error) => return Err(error),
            }
            if !open {
                break;
            }
        }
        match self.desk.ahead.load(Relaxed) {
            0 => {}
            seen => self.condemn(Why::Ahead, seen),
        }
        // A reader in the way costs nothing but a WAL file that stays.
        if let Some(Err(error)) = self.db.as_ref().map(schema::checkpoint) {
            tracing::info!(%error, "write-ahead log kept at close");
        }
        Ok(())
    }

    /// Waits for work, or in trouble for the next try, and takes all that is there; `false` once the pen is closed.
    fn gather(&mut self) -> Result<bool, Error> {
        let until = self.retry.as_ref().map_or(self.cursor_at + CURSOR, |retry| retry.at);
        loop {
            match self.waiting.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(envelope) => self.take(envelope)?,
                Err(RecvTimeoutError::Timeout) => return Ok(true),
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
            }
            if self.retry.is_none() {
                while let Ok(envelope) = self.waiting.try_recv() {
                    self.take(envelope)?;
                }
                return Ok(true);
            }
        }
    }

    /// A gap in what is handed in would be a gap for ever, so it is refused while nobody was told.
    fn take(&mut self, envelope: Envelope<P>) -> Result<(), Error> {
        for row in &envelope.rows {
            if row.sequence != self.next {
                return Err(Error::OutOfOrder { expected: self.next, found: row.sequence });
            }
            self.next += 1;
        }
        match envelope.snapshot {
            Some((sequence, _)) if sequence >= self.next => {
                return Err(Error::OutOfOrder { expected: self.next, found: sequence });
            }
            _ => self.batch.push(envelope),
        }
        Ok(())
    }

    /// Whether there is anything to write.
    fn due(&self, open: bool) -> bool {
        let cursor_moved = self.desk.cursor.load(Relaxed) != self.cursor;
        cursor_moved && (!open || self.cursor_at.elapsed() >= CURSOR)
            || self.batch.iter().any(|envelope| {
                !envelope.rows.is_empty()
                    || envelope.marks.is_some()
                    || envelope.snapshot.is_some()
                    || envelope.rules.is_some()
                    || envelope.history != History::default()
                    || envelope.command.is_some()
                    || !envelope.receipts.is_empty()
            })
    }

    fn commit(&mut self) -> Result<(), Error> {
        // It comes back only after a success.
        let mut db = match self.db.take() {
            Some(db) if identity(&self.path) == self.identity => db,
            // SQLite would go on writing into a file without a name, and nobody would ever find it again.
            Some(_) => return Err(Error::Gone { path: self.path.clone() }),
            None => self.reopen()?,
        };
        self.reserve()?;
        let cursor = self.desk.cursor.load(Relaxed);
        self.last = self.put(&mut db, cursor).map_err(|error| Error::database(&self.path, "written", error))?;
        self.db = Some(db);
        self.cursor = cursor;
        self.note_numbers();
        Ok(())
    }

    /// Before a sequence is used, it is known beside the database that it may be.
    fn reserve(&mut self) -> Result<(), Error> {
        let last = self.next - 1;
        if last <= self.superblock.life().reserved {
            return Ok(());
        }
        self.superblock.write(Life { reserved: last + RESERVED, ..self.superblock.life().clone() })
    }

    /// The database has them too: a failure costs nothing as long as that is there.
    fn note_numbers(&mut self) {
        let Some(numbers) = self.batch.iter_mut().rev().find_map(|envelope| envelope.numbers.take()) else { return };
        if numbers == self.superblock.life().numbers {
            return;
        }
        if let Err(error) = self.superblock.write(Life { numbers, ..self.superblock.life().clone() }) {
            tracing::warn!(error = in_words(&error), "the superblock could not be written");
        }
    }

    fn condemn(&mut self, why: Why, seen: u32) {
        let life = self.superblock.life().clone();
        let life = Life { condemned: Some(why), seen: life.seen.max(seen), ..life };
        if let Err(error) = self.superblock.write(life) {
            tracing::error!(error = in_words(&error), "the superblock could not be written");
        }
    }

    /// A failed commit may be on the disk all the same. What the WAL holds is brought into the database first, with
    /// writes of its own: its pages may be in memory only after a failed sync, and nobody would write them again.
    fn reopen(&mut self) -> Result<Connection, Error> {
        let db = schema::connect(&self.path, schema::Absent::Refuse)?;
        let found = schema::checkpoint(&db).and_then(|()| {
            let sequence = schema::last_sequence(&db)?;
            Ok((sequence, schema::link_at(&db, sequence)?))
        });
        match found.map_err(|error| Error::database(&self.path, "opened", error))? {
            (sequence, Some(link)) if (self.last.sequence..self.next).contains(&sequence) => {
                self.last = Place { sequence, link };
                self.identity = identity(&self.path);
                Ok(db)
            }
            (found, _) => Err(Error::OutOfOrder { expected: self.last.sequence + 1, found }),
        }
    }

    fn put(&self, db: &mut Connection, cursor: u64) -> rusqlite::Result<Place> {
        let mut last = self.last;
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for envelope in &self.batch {
            for row in envelope.rows.iter().skip_while(|row| row.sequence <= self.last.sequence) {
                last = Place { sequence: row.sequence, link: chain::link(&last.link, &row.body) };
                schema::put_row(&transaction, row, &last.link)?;
            }
            if let Some(marks) = &envelope.marks {
                schema::put_marks(&transaction, marks)?;
            }
            if let Some((sequence, snapshot)) = &envelope.snapshot {
                schema::put_snapshot(&transaction, *sequence, snapshot)?;
                salvage::let_go(&transaction)?;
            }
            if let Some(rules) = &envelope.rules {
                schema::put_rules(&transaction, rules)?;
            }
            history::put(&transaction, &envelope.history)?;
            match &envelope.command {
                Some(Command::Answered(answered)) => schema::put_answer(&transaction, answered)?,
                Some(Command::Repeated(n)) => schema::repeat_answer(&transaction, *n)?,
                None => {}
            }
            for (consumer, receipt) in &envelope.receipts {
                receipts::put(&transaction, consumer, receipt)?;
            }
        }
        if cursor != self.cursor {
            schema::put_cursor(&transaction, cursor)?;
        }
        transaction.commit()?;
        Ok(last)
    }

    fn release(&mut self) {
        if let Some(retry) = self.retry.take() {
            tracing::info!(
                failures = retry.failures,
                after_ms = u64::try_from(retry.since.elapsed().as_millis()).unwrap_or(u64::MAX),
                envelopes = self.batch.len(),
                "journal written again"
            );
            self.health.send_replace(None);
        }
        let at = Instant::now();
        if self.cursor_at + CURSOR <= at {
            self.cursor_at = at;
        }
        for envelope in self.batch.drain(..) {
            self.desk.unwritten.fetch_sub(size(&envelope), Relaxed);
            // Nobody listens any more during a shutdown; it is written all the same.
            let _ = self.committed.send(Committed { rows: envelope.rows, passengers: envelope.passengers, at });
        }
    }

    fn wait(&mut self, error: &Error) {
        let now = Instant::now();
        let retry = match self.retry.take() {
            Some(retry) => Retry { failures: retry.failures + 1, pause: (retry.pause * 2).min(RETRY_LAST), ..retry },
            None => {
                let words = in_words(error);
                tracing::error!(error = words, "journal could not be written, events wait");
                self.health.send_replace(Some(Trouble { words, since: now }));
                Retry { since: now, failures: 1, pause: RETRY_FIRST, at: now }
            }
        };
        self.retry = Some(Retry { at: now + retry.pause, ..retry });
    }
}

/// Device and number of the file of that name, if there is one.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}
