//! Marks between two flushes in, the same after a crash out: a file in memory, so that each second costs no flash.

use super::Settings;
use rustix::process::geteuid;
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// In memory on every Linux, and open to everybody.
const SHARED: &str = "/dev/shm";

/// Where the marks of one gateway lie. A failure is said once and harmless: the durable marks are older, not wrong.
#[derive(Debug)]
pub struct Marks {
    file: PathBuf,
    /// In a place open to everybody: a folder to make, which must then be ours.
    own: Option<PathBuf>,
    boot: String,
    failing: bool,
}

/// Marks that were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// As written.
    pub body: String,
    /// Written since this machine was booted, so that its uptime clock still counts.
    pub this_boot: bool,
}

impl Marks {
    /// `$RUNTIME_DIRECTORY`, else a folder of this user in `/dev/shm`.
    pub fn place(settings: &Settings, instance: Uuid) -> Marks {
        Marks::named("marks", settings, instance)
    }

    /// The same for what consumers said that they hold and the broker's acknowledgement.
    pub fn of_receipts(settings: &Settings, instance: Uuid) -> Marks {
        Marks::named("receipts", settings, instance)
    }

    fn named(name: &str, settings: &Settings, instance: Uuid) -> Marks {
        let own = match settings.runtime_dir {
            Some(_) => None,
            None => Some(Path::new(SHARED).join(format!("andon-{}", geteuid().as_raw()))),
        };
        Marks::at(name, settings.runtime_dir.clone(), own, instance)
    }

    fn at(name: &str, runtime_dir: Option<PathBuf>, own: Option<PathBuf>, instance: Uuid) -> Marks {
        let folder = runtime_dir.or(own.clone()).unwrap_or_default();
        // Without it no marks are of this boot, which is the careful reading.
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
        Marks { file: folder.join(format!("{name}-{instance}.json")), own, boot, failing: false }
    }

    /// Replaces what was written before, whole or not at all.
    pub fn write(&mut self, body: &str) {
        let next = self.file.with_extension("new");
        let written = self
            .own_folder()
            .and_then(|()| fs::write(&next, format!("{}\n{body}", self.boot)))
            .and_then(|()| fs::rename(&next, &self.file));
        self.say(written.err());
    }

    /// `None` if there are none, or none that can be trusted.
    pub fn read(&mut self) -> Option<Kept> {
        match self.own_folder().and_then(|()| fs::read_to_string(&self.file)) {
            Ok(text) => {
                let (boot, body) = text.split_once('\n')?;
                Some(Kept { body: body.to_owned(), this_boot: !boot.is_empty() && boot == self.boot })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.say(Some(error));
                None
            }
        }
    }

    /// Anybody may make a folder of this name before us, and plant marks in it. Made again each time, as cleaners of
    /// temporary files come by.
    fn own_folder(&self) -> io::Result<()> {
        let Some(folder) = &self.own else { return Ok(()) };
        match fs::DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let found = fs::symlink_metadata(folder)?;
        match found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o077 == 0 {
            true => Ok(()),
            false => Err(io::Error::other(format!("{} is not this user's alone", folder.display()))),
        }
    }

    fn say(&mut self, error: Option<io::Error>) {
        match (error, self.failing) {
            (Some(error), false) => {
                self.failing = true;
                tracing::warn!(file = %self.file.display(), %error, "marks could not be kept in memory");
            }
            (None, true) => {
                self.failing = false;
                tracing::info!(file = %self.file.display(), "marks kept in memory again");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn marks_come_back_as_written_in_a_runtime_folder() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { data_dir: "/nowhere".into(), runtime_dir: Some(folder.path().into()) };
        let instance = Uuid::from_u128(7);
        let mut marks = Marks::place(&settings, instance);
        assert_eq!(marks.read(), None);
        marks.write("{\"a\":1}");
        marks.write("{\"a\":2,\n\"b\":3}");
        let kept = Kept { body: "{\"a\":2,\n\"b\":3}".into(), this_boot: true };
        assert_eq!(Marks::place(&settings, instance).read(), Some(kept));
        assert_eq!(Marks::place(&settings, Uuid::from_u128(8)).read(), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside them");
    }

    #[test]
    fn marks_of_another_boot_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let mut marks = Marks::at("marks", Some(folder.path().into()), None, Uuid::nil());
        let now = std::mem::replace(&mut marks.boot, "another".into());
        marks.write("{}");
        marks.boot = now;
        assert_eq!(marks.read(), Some(Kept { body: "{}".into(), this_boot: false }));
    }

    #[test]
    fn a_shared_place_gets_a_folder_for_this_user_alone() {
        let shared = tempfile::tempdir().unwrap();
        let own = shared.path().join("andon-0");
        let mut marks = Marks::at("marks", None, Some(own.clone()), Uuid::nil());
        marks.write("{}");
        assert_eq!(fs::metadata(&own).unwrap().mode() & 0o777, 0o700);
        assert!(marks.read().unwrap().this_boot);
        fs::remove_dir_all(&own).unwrap();
        marks.write("{}");
        assert!(marks.read().is_some(), "made again after a cleaner");
    }

    #[test]
    fn planted_marks_are_not_read_and_not_written_over() {
        let shared = tempfile::tempdir().unwrap();
        let own = shared.path().join("andon-0");
        let mut marks = Marks::at("marks", None, Some(own.clone()), Uuid::nil());
        marks.write("mine");

        fs::set_permissions(&own, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(marks.read(), None);
        marks.write("new");
        assert!(marks.failing);
        fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(marks.read().unwrap().body, "mine");

        let theirs = shared.path().join("theirs");
        fs::rename(&own, &theirs).unwrap();
        symlink(&theirs, &own).unwrap();
        assert_eq!(marks.read(), None);
    }

    #[test]
    fn a_place_that_cannot_be_written_does_no_harm_and_heals() {
        let folder = tempfile::tempdir().unwrap();
        let later = folder.path().join("later");
        let mut marks = Marks::at("marks", Some(later.clone()), None, Uuid::nil());
        marks.write("lost");
        assert!(marks.failing);
        assert_eq!(marks.read(), None);
        fs::create_dir(later).unwrap();
        marks.write("kept");
        assert!(!marks.failing);
        assert_eq!(marks.read().unwrap().body, "kept");
    }
}
