//! The life of a data folder in, the same after any crash out: a small file of two slots beside the database.
//!
//! The slots are written in turns, and each carries a hash of itself: a torn write costs the newer one and leaves the other.

use super::Error;
use crate::custody::epoch::Life;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const FILE: &str = "superblock";

/// Room for the numbers of some thousand machines.
const SLOT: usize = 128 << 10;

/// Hexadecimal digits of the hash, and a line's end.
const HEAD: usize = 65;

/// Open for as long as the folder is ours.
#[derive(Debug)]
pub(super) struct Superblock {
    path: PathBuf,
    file: File,
    turn: u64,
    life: Life,
}

#[derive(Default, Serialize, Deserialize)]
struct Slot {
    turn: u64,
    #[serde(flatten)]
    life: Life,
}

impl Superblock {
    /// Opens or makes the file; the life is `None` where no slot can be read.
    pub(super) fn open(data_dir: &Path) -> Result<(Superblock, Option<Life>), Error> {
        let path = data_dir.join(FILE);
        let is_new = !path.exists();
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(|source| Error::file(&path, source))?;
        if is_new {
            let synced = File::open(data_dir).and_then(|folder| folder.sync_all());
            synced.map_err(|source| Error::file(&path, source))?;
        }
        let slots = [read(&file, 0), read(&file, 1)];
        let latest = slots.into_iter().flatten().max_by_key(|slot| slot.turn);
        let turn = latest.as_ref().map_or(0, |slot| slot.turn);
        let life = latest.map(|slot| slot.life);
        Ok((Superblock { path, file, turn, life: life.clone().unwrap_or_default() }, life))
    }

    /// As written last.
    pub(super) fn life(&self) -> &Life {
        &self.life
    }

    /// Returns when it is on the disk.
    pub(super) fn write(&mut self, life: Life) -> Result<(), Error> {
        let slot = Slot { turn: self.turn + 1, life };
        let mut body = serde_json::to_vec(&slot).unwrap_or_default();
        if body.len() > SLOT - HEAD {
            // Without the numbers it always fits.
            let life = Life { numbers: Default::default(), ..slot.life };
            body = serde_json::to_vec(&Slot { turn: slot.turn, life }).unwrap_or_default();
        }
        let mut bytes = hash(&body).into_bytes();
        bytes.push(b'\n');
        bytes.append(&mut body);
        bytes.resize(SLOT, 0);
        let written = self.file.write_all_at(&bytes, offset(slot.turn)).and_then(|()| self.file.sync_data());
        written.map_err(|source| Error::file(&self.path, source))?;
        (self.turn, self.life) = (slot.turn, slot.life);
        Ok(())
    }
}

fn offset(turn: u64) -> u64 {
    turn % 2 * SLOT as u64
}

fn read(file: &File, turn: u64) -> Option<Slot> {
    let mut bytes = vec![0; SLOT];
    match file.read_exact_at(&mut bytes, offset(turn)) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return None,
        Err(error) => {
            tracing::warn!(%error, "a slot of the superblock could not be read");
            return None;
        }
    }
    let (head, body) = bytes.split_at(HEAD);
    let end = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
    let body = &body[..end];
    (head.strip_suffix(b"\n") == Some(hash(body).as_bytes())).then(|| serde_json::from_slice(body).ok()).flatten()
}

fn hash(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn life(starts: u64) -> Life {
        Life { epoch: 2, starts, ..Life::default() }
    }

    #[test]
    fn whatever_becomes_of_the_last_write_the_one_before_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (mut block, found) = Superblock::open(folder.path()).unwrap();
        assert_eq!(found, None);
        for starts in 1..=5 {
            block.write(life(starts)).unwrap();
            assert_eq!(Superblock::open(folder.path()).unwrap().1, Some(life(starts)));
        }
        let path = folder.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        let last = usize::try_from(offset(5)).unwrap();
        for torn in [1, HEAD, HEAD + 20] {
            let mut bytes = whole.clone();
            bytes[last + torn..last + SLOT].fill(b'x');
            fs::write(&path, bytes).unwrap();
            assert_eq!(Superblock::open(folder.path()).unwrap().1, Some(life(4)), "torn at {torn}");
        }
        fs::write(&path, &whole[..SLOT / 2]).unwrap();
        assert_eq!(Superblock::open(folder.path()).unwrap().1, None, "no slot is whole");
        fs::write(&path, whole).unwrap();
        let (mut block, _) = Superblock::open(folder.path()).unwrap();
        let many = (0..20_000_u64).map(|n| (format!("machine-{n}"), n)).collect();
        block.write(Life { numbers: many, ..life(6) }).unwrap();
        assert_eq!(Superblock::open(folder.path()).unwrap().1, Some(life(6)), "more machines than there is room for");
    }
}
