//! Events, marks and snapshots in, the same after any crash out: SQLite in `data_dir`.

use std::sync::Arc;

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
