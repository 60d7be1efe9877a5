//! The rules of one machine in, what its windows are measured by out: kept with each figure that was made under them.

use super::{
    calendar::Calendar,
    loss::Oee,
    window::{Counting, Measure},
};
use crate::event::{Ideal, Stamp, part::Raw};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Everything that a machine's figures hang on beside what happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// What is planned.
    pub calendar: Arc<Calendar>,
    /// Where losses go.
    pub oee: Oee,
    /// The machine's ideal time per part; those of orders stand in its book.
    #[serde(default)]
    pub ideal: Option<Ideal>,
    /// Names of its counters.
    #[serde(default)]
    pub counters: Vec<String>,
    /// How long after its end a window that still waits for something becomes final. Milliseconds.
    pub final_after_ms: i64,
}

impl Terms {
    /// Whether parts are counted, as far as was told: a counter that was read stands in `raw`.
    pub fn counting(&self, raw: Option<&Raw>) -> Counting {
        match raw {
            _ if self.counters.is_empty() => Counting::Never,
            Some(raw) if self.counters.iter().all(|name| raw.contains_key(name)) => Counting::Read,
            _ => Counting::Unread,
        }
    }

    /// What a window is measured by as of then, by nothing but what was told.
    pub fn measure<'a>(&'a self, machine: &'a str, counting: Counting, as_of: Stamp) -> Measure<'a> {
        Measure {
            machine,
            oee: &self.oee,
            calendar: &self.calendar,
            ideal: self.ideal,
            counting,
            final_after_ms: self.final_after_ms,
            as_of,
            latest: None,
            cycles: &[],
        }
    }

    /// A fingerprint: the same for the same terms, in every release.
    pub fn print(&self) -> i64 {
        print(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// The first 8 bytes of a hash.
pub(super) fn print(text: &[u8]) -> i64 {
    i64::from_be_bytes(Sha256::digest(text)[..8].try_into().unwrap_or_default())
}
