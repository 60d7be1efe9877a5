//! What the data folder remembers of its life and what its database tells in, whether a new epoch has to begin out.
//!
//! Sequences and numbers are unique because an epoch is: it rises whenever what was told may be no longer known, and neither
//! depends on any clock.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Sequences are taken into use in steps of so many: the last one that may have been used is known without a write for each.
pub const RESERVED: u64 = 16_384;

/// In a new epoch numbers of downtimes go on from the next multiple: whatever was given before is below, and people see it.
pub const NUMBERS: u64 = 10_000;

/// The life of a data folder, kept beside its database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Life {
    /// Made with the folder.
    pub instance: Uuid,
    /// From 1.
    pub epoch: u32,
    /// So many times it was opened for writing: a database that knows of fewer is an older copy.
    pub starts: u64,
    /// No later sequence of this epoch was used.
    pub reserved: u64,
    /// The last number of a downtime by machine, as of the last snapshot.
    pub numbers: BTreeMap<String, u64>,
    /// The database must not be written any more, and why.
    pub condemned: Option<Why>,
    /// Epochs up to this one were seen outside.
    pub seen: u32,
}

/// What the database says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Made with the folder.
    pub instance: Uuid,
    /// From 1.
    pub epoch: u32,
    /// So many times it was opened for writing.
    pub starts: u64,
    /// It is a copy that was made to be kept.
    pub is_backup: bool,
}

/// Why an epoch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The database is not there any more.
    Deleted,
    /// It cannot be read, or rows of it were lost or changed.
    Damaged,
    /// An older copy stands in its place.
    SetBack,
    /// A consumer holds what this gateway does not know that it told.
    Ahead,
}

impl Why {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Why::Deleted => "the database was deleted or moved away",
            Why::Damaged => "the database was damaged",
            Why::SetBack => "an older copy of the database was put in its place",
            Why::Ahead => {
                "a consumer holds events that this gateway does not know of: it was set back to an older state"
            }
        }
    }
}

/// Why the epoch of a database that can be read is over; `None`: it goes on.
pub fn ended(remembered: Option<&Life>, found: &Found) -> Option<Why> {
    let Some(life) = remembered else { return found.is_backup.then_some(Why::SetBack) };
    if let Some(why) = life.condemned {
        return Some(why);
    }
    let is_older = (found.epoch, found.starts) < (life.epoch, life.starts);
    (found.is_backup || found.instance != life.instance || is_older).then_some(Why::SetBack)
}

/// The first epoch that nobody has ever seen.
pub fn next(remembered: Option<&Life>, found: Option<&Found>) -> u32 {
    let life = remembered.map_or(0, |life| life.epoch.max(life.seen));
    life.max(found.map_or(0, |found| found.epoch)) + 1
}

/// Where numbers go on in a new epoch.
pub fn beyond(number: u64) -> u64 {
    (number / NUMBERS + 1) * NUMBERS
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Uuid = Uuid::from_u128(1);

    fn life(epoch: u32, starts: u64) -> Life {
        Life { instance: ONE, epoch, starts, ..Life::default() }
    }

    fn found(epoch: u32, starts: u64) -> Found {
        Found { instance: ONE, epoch, starts, is_backup: false }
    }

    #[test]
    fn an_epoch_goes_on_only_with_the_latest_database_of_the_folder() {
        assert_eq!(ended(None, &found(1, 0)), None, "from before there was a superblock");
        assert_eq!(ended(Some(&life(1, 4)), &found(1, 4)), None);
        assert_eq!(ended(Some(&life(1, 4)), &found(1, 5)), None, "killed between the database and the superblock");
        assert_eq!(ended(Some(&life(1, 4)), &found(2, 1)), None, "killed between a new epoch and the superblock");
        assert_eq!(ended(Some(&life(1, 4)), &found(1, 3)), Some(Why::SetBack));
        assert_eq!(ended(Some(&life(2, 1)), &found(1, 9)), Some(Why::SetBack));
        let other = Found { instance: Uuid::from_u128(2), ..found(1, 4) };
        assert_eq!(ended(Some(&life(1, 4)), &other), Some(Why::SetBack), "of another gateway");
        let backup = Found { is_backup: true, ..found(1, 4) };
        assert_eq!(ended(Some(&life(1, 4)), &backup), Some(Why::SetBack));
        assert_eq!(ended(None, &backup), Some(Why::SetBack), "on a new machine");
        let condemned = Life { condemned: Some(Why::Damaged), ..life(1, 4) };
        assert_eq!(ended(Some(&condemned), &found(1, 4)), Some(Why::Damaged));
    }

    #[test]
    fn a_new_epoch_is_above_all_that_were_ever_seen() {
        assert_eq!(next(None, None), 1);
        assert_eq!(next(Some(&life(3, 1)), None), 4);
        assert_eq!(next(Some(&life(1, 1)), Some(&found(5, 1))), 6);
        assert_eq!(next(Some(&Life { seen: 8, ..life(1, 1) }), Some(&found(1, 1))), 9);
        assert_eq!([0, 1, 9_999, 10_000, 10_001].map(beyond), [10_000, 10_000, 10_000, 20_000, 20_000]);
    }
}
