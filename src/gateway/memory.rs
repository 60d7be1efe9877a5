//! Marks in, the file in memory that outlives a crash out: on a thread of its own, for nobody promises that memory is fast.

use super::Error;
use crate::io::journal::Marks as File;
use std::{
    sync::mpsc::{SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

/// Where the last second's marks lie.
pub(super) struct Memory {
    to: Option<SyncSender<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Memory {
    pub(super) fn open(mut file: File) -> Result<Memory, Error> {
        // One is being written, one waits: older ones are of no use.
        let (to, from) = sync_channel::<String>(1);
        let write = move || from.iter().for_each(|marks| file.write(&marks));
        let thread = thread::Builder::new().name("marks".into()).spawn(write).map_err(Error::Thread)?;
        Ok(Memory { to: Some(to), thread: Some(thread) })
    }

    /// Never waits: if the last ones are still being written, the next ones will do.
    pub(super) fn keep(&self, marks: String) {
        if let Some(to) = &self.to {
            let _ = to.try_send(marks);
        }
    }

    /// Returns when these last ones are written.
    pub(super) fn end(&mut self, marks: String) {
        if let Some(to) = self.to.take() {
            let _ = to.send(marks);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
