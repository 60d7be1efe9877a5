//! A sequence in, the rows after it out: what the broker has not acknowledged, read from the journal beside its writer.

use crate::io::{
    journal::{Reader, Row},
    mqtt,
};
use std::path::{Path, PathBuf};

/// Rows that the broker has not acknowledged, read from the journal beside its writer.
pub(super) struct Backlog {
    data_dir: PathBuf,
    reader: Option<Reader>,
}

impl Backlog {
    pub(super) fn of(data_dir: &Path) -> Backlog {
        Backlog { data_dir: data_dir.into(), reader: None }
    }
}

impl mqtt::Backlog for Backlog {
    fn rows_after(&mut self, sequence: u64, limit: usize) -> Result<Vec<Row>, String> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => open_reader(&self.data_dir)?,
        };
        // A reader that failed is not used again.
        let rows = reader.rows_after(sequence, limit as u64).map_err(|error| error.to_string())?;
        self.reader = Some(reader);
        Ok(rows)
    }
}

fn open_reader(data_dir: &Path) -> Result<Reader, String> {
    Reader::open(data_dir).map_err(|error| error.to_string())
}
