//! Marks and receipts in, the files in memory that outlive a crash out: on a thread of its own, for nobody promises that
//! memory is fast.

use super::Error;
use crate::io::journal::Marks as File;
use std::{
    sync::mpsc::{SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

/// What is worth a second, and no flash.
pub(super) struct Kept {
    /// Where to go on from.
    pub(super) marks: String,
    /// What consumers hold, if that is news.
    pub(super) receipts: Option<String>,
}

/// Where the last second's marks lie.
pub(super) struct Memory {
    to: Option<SyncSender<Kept>>,
    thread: Option<JoinHandle<()>>,
}

impl Memory {
    pub(super) fn open(mut marks: File, mut receipts: File) -> Result<Memory, Error> {
        // One is being written, one waits: older ones are of no use.
        let (to, from) = sync_channel::<Kept>(1);
        let write = move || {
            for kept in from {
                marks.write(&kept.marks);
                if let Some(kept) = &kept.receipts {
                    receipts.write(kept);
                }
            }
        };
        let thread = thread::Builder::new().name("marks".into()).spawn(write).map_err(Error::Thread)?;
        Ok(Memory { to: Some(to), thread: Some(thread) })
    }

    /// Never waits: if the last ones are still being written, the next ones will do. Whether they are taken.
    pub(super) fn keep(&self, kept: Kept) -> bool {
        self.to.as_ref().is_some_and(|to| to.try_send(kept).is_ok())
    }

    /// Returns when these last ones are written.
    pub(super) fn end(&mut self, kept: Kept) {
        if let Some(to) = self.to.take() {
            let _ = to.send(kept);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
