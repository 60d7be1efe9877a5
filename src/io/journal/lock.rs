//! A data folder in, the right to be the only one that writes there out.

use super::Error;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
    thread,
    time::Duration,
};

const FILE: &str = "lock";

/// A reader that asks whether the folder is free holds the lock for an instant; a start must not fail on that.
const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// Held as long as it lives; the kernel frees it when the process dies, however it dies.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    pub(super) fn take(data_dir: &Path) -> Result<Lock, Error> {
        let path = data_dir.join(FILE);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(|source| Error::file(&path, source))?;
        for left in (0..TRIES).rev() {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) if left > 0 => thread::sleep(BETWEEN_TRIES),
                Err(Errno::WOULDBLOCK) => {
                    let mut pid = String::new();
                    let pid = file.read_to_string(&mut pid).ok().and_then(|_| pid.trim().parse().ok());
                    return Err(Error::Locked { data_dir: data_dir.into(), pid });
                }
                Err(error) => return Err(Error::file(&path, error.into())),
            }
        }
        // The number is only a courtesy to the next one: a full disk must not keep us from holding the lock.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Lock { file })
    }

    /// The same lock once more: it is held until both are dropped, or until an exec, which closes the file.
    pub(super) fn share(&self) -> io::Result<Lock> {
        Ok(Lock { file: self.file.try_clone()? })
    }
}

/// Whether nobody writes there; for readers, who may not be allowed to write themselves.
pub(super) fn is_free(data_dir: &Path) -> bool {
    File::open(data_dir.join(FILE)).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_ok())
}
