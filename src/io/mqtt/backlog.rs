//! A sequence in, the committed rows after it out: the journal read on a thread that may block, one piece at a time.

use super::{
    Backlog,
    outbox::{FETCH_ROWS, Outbox},
};
use crate::io::journal::Row;
use std::{future, time::Duration};
use tokio::{
    task::{self, JoinHandle},
    time::Instant,
};
use tracing::{info, warn};

/// Before the journal is asked again after it failed.
const JOURNAL_PAUSE: Duration = Duration::from_secs(1);
type Piece<B> = (B, Result<Vec<Row>, String>);

pub(super) struct Journal<B> {
    /// Away while it is read.
    backlog: Option<B>,
    reading: Option<JoinHandle<Piece<B>>>,
    /// After a failure: when to ask again.
    pub(super) not_before: Option<Instant>,
    failing: bool,
}

impl<B: Backlog> Journal<B> {
    pub(super) fn new(backlog: B) -> Journal<B> {
        Journal { backlog: Some(backlog), reading: None, not_before: None, failing: false }
    }

    pub(super) fn read_if_wanted(&mut self, outbox: &Outbox) {
        if self.not_before.is_some() {
            return;
        }
        if let Some(after) = outbox.wants_rows_after()
            && let Some(mut backlog) = self.backlog.take()
        {
            self.reading = Some(task::spawn_blocking(move || {
                let rows = backlog.rows_after(after, FETCH_ROWS);
                (backlog, rows)
            }));
        }
    }

    /// Never, while nothing is read.
    pub(super) async fn read(&mut self) -> Piece<B> {
        let Some(reading) = &mut self.reading else { return future::pending().await };
        let read = reading.await;
        self.reading = None;
        // It can only have panicked, and a bug must not go on without its backlog.
        read.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    pub(super) fn take(&mut self, (backlog, rows): Piece<B>, outbox: &mut Outbox) {
        self.backlog = Some(backlog);
        let trouble = match rows.map(|rows| outbox.fetched(rows)) {
            Ok(true) => None,
            Ok(false) => Some("it lacks events that were committed".to_owned()),
            Err(why) => Some(why),
        };
        self.not_before = trouble.is_some().then(|| Instant::now() + JOURNAL_PAUSE);
        match trouble {
            Some(why) if !self.failing => warn!(%why, "journal could not be read for the broker"),
            None if self.failing => info!("journal was read for the broker again"),
            _ => {}
        }
        self.failing = self.not_before.is_some();
    }

    pub(super) fn retry_if_due(&mut self) {
        self.not_before = self.not_before.filter(|at| Instant::now() < *at);
    }
}
