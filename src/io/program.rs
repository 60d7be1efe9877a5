//! The program that stands on the disk in, what it says of the configuration out; or itself, in the place of this process.

use super::in_words;
use nix::sys::signal::{SigSet, Signal, raise};
use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{
        fs::MetadataExt as _,
        process::{CommandExt as _, ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Child,
    time::timeout,
};

/// A check reads some files and computes for milliseconds: whoever takes longer hangs.
const CHECK: Duration = Duration::from_secs(10);

/// What is kept of the words of a check. Bytes.
const WORDS: u64 = 4096;

/// Set for a process that takes the place of another one, and only then.
const IN_PLACE: &str = "RESTARTED_IN_PLACE";

/// What the kernel adds to the name of a running file that is no longer there.
const DELETED: &str = " (deleted)";

/// What a process is started and stopped by.
const HELD: [Signal; 3] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM];

/// The file that this process was started from, by its name: another release may stand there by now.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// To be asked at the start: later the working folder, and what stands under the name, may be others.
    ///
    /// # Errors
    /// There is no such file, and the kernel does not tell its name.
    pub fn ours() -> io::Result<Program> {
        let mut arguments = env::args_os();
        let named = arguments.next().and_then(|name| find(&name));
        let shown = env::current_exe();
        let is_same = |a: &Path, b: &Path| identity(a).is_some_and(|a| Some(a) == identity(b));
        let path = match (named, shown) {
            // A link stays a link: whoever upgrades may set it to the next release.
            (Some(named), Ok(shown)) if is_same(&named, &shown) || is_deleted(&shown) => named,
            (Some(named), Err(_)) => named,
            (_, Ok(shown)) => shown,
            (None, Err(error)) => return Err(error),
        };
        Ok(Program { path, arguments: arguments.collect() })
    }

    /// Where it stands.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the program that stands there now takes these configuration files; if not, what it says of them. Given up,
    /// the child is killed.
    ///
    /// # Errors
    /// In words, for people: faults of the configuration, no program, no answer in time.
    pub async fn check(&self, configuration: &[PathBuf]) -> Result<(), String> {
        self.check_within(configuration, CHECK).await
    }

    async fn check_within(&self, configuration: &[PathBuf], time: Duration) -> Result<(), String> {
        let path = self.path.display();
        let mut command = tokio::process::Command::new(&self.path);
        command.arg("check");
        for file in configuration {
            command.arg("-c").arg(file);
        }
        // Not a word of the child's is to reach the service manager.
        command.env_remove("NOTIFY_SOCKET").env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child =
            command.spawn().map_err(|error| format!("{path} could not be started: {}", in_words(&error)))?;
        let stderr = child.stderr.take();
        let ended = timeout(time, async {
            let words = words(stderr).await;
            (child.wait().await, words)
        });
        match ended.await {
            Ok((Ok(status), _)) if status.success() => Ok(()),
            Ok((Ok(status), words)) if words.is_empty() => Err(format!("{path} check {}", how(status))),
            Ok((Ok(_), words)) => Err(words),
            Ok((Err(error), _)) => Err(format!("{path} check: {}", in_words(&error))),
            Err(_) => {
                end(&mut child).await;
                Err(format!("{path} check did not end within {} s", time.as_secs()))
            }
        }
    }

    /// Puts the program that stands there in the place of this process, with the same arguments and the same pid. Returns
    /// only if that failed. Every descriptor but the first three is closed by it.
    pub fn exec(&self) -> io::Error {
        std::process::Command::new(&self.path).args(&self.arguments).env(IN_PLACE, "1").exec()
    }
}

/// Whether this process took the place of one that went on in it.
pub fn is_in_place() -> bool {
    env::var_os(IN_PLACE).is_some()
}

/// From here on signals that stop or reload wait for this thread and those that it begins; an exec lets them wait for the next
/// program, which no signal can end before it listens.
pub fn hold_signals() {
    if let Err(error) = SigSet::from_iter(HELD).thread_block() {
        tracing::warn!(%error, "signals cannot be held");
    }
}

/// What waited comes in, and what comes from here on.
pub fn release_signals() {
    if let Err(error) = SigSet::from_iter(HELD).thread_unblock() {
        tracing::warn!(%error, "signals are still held");
    }
}

/// A stop that was asked for and can no longer be heeded here waits, held, for the next program.
pub fn pass_on_stop() {
    if let Err(error) = raise(Signal::SIGTERM) {
        tracing::warn!(%error, "a stop cannot be passed on");
    }
}

/// A name as the shell was given it.
fn find(name: &OsStr) -> Option<PathBuf> {
    let file = |path: PathBuf| path.is_file().then(|| std::path::absolute(path).ok()).flatten();
    let path = Path::new(name);
    if path.components().count() > 1 || path.is_absolute() {
        return file(path.to_owned());
    }
    env::split_paths(&env::var_os("PATH")?).find_map(|folder| file(folder.join(path)))
}

fn is_deleted(shown: &Path) -> bool {
    shown.as_os_str().to_string_lossy().ends_with(DELETED)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// To the end, so that nobody waits for a reader; only the beginning is kept.
async fn words(from: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut from) = from else { return String::new() };
    let mut kept = Vec::new();
    // What cannot be read is not told; how the child ends is.
    let _ = (&mut from).take(WORDS).read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&kept).trim().to_owned()
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// No child is left behind: the next program in this process would not know of it.
async fn end(child: &mut Child) {
    if let Err(error) = child.kill().await {
        tracing::warn!(%error, "a check that hangs could not be ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};
    use tempfile::TempDir;

    fn program(folder: &TempDir, script: &str) -> Program {
        let path = folder.path().join("andon");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Program { path, arguments: Vec::new() }
    }

    async fn said(script: &str) -> Result<(), String> {
        let folder = TempDir::new().unwrap();
        let program = program(&folder, script);
        let files = ["a.toml".into(), "conf.d".into()];
        let said = program.check_within(&files, Duration::from_secs(2)).await;
        said.map_err(|words| words.replace(&program.path.display().to_string(), "andon"))
    }

    #[tokio::test]
    async fn a_check_is_asked_of_what_stands_on_the_disk_and_its_words_are_kept() {
        assert_eq!(said(r#"[ "$*" = "check -c a.toml -c conf.d" ] || exit 1; echo a warning >&2"#).await, Ok(()));
        assert_eq!(said("echo out; echo 'two faults' >&2; exit 78").await, Err("two faults".to_owned()));
        assert_eq!(said("exit 78").await, Err("andon check ended with 78".to_owned()));
        assert_eq!(said("kill -9 $$").await, Err("andon check was ended by signal 9".to_owned()));
        let many = said("head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 78").await;
        assert_eq!(many.unwrap_err().len() as u64, WORDS);
    }

    #[tokio::test]
    async fn a_check_that_hangs_or_is_not_there_is_a_refusal() {
        assert_eq!(said("exec sleep 60").await, Err("andon check did not end within 2 s".to_owned()));
        let nowhere = Program { path: "/nowhere/andon".into(), arguments: Vec::new() };
        let words = nowhere.check(&[]).await.unwrap_err();
        assert!(words.starts_with("/nowhere/andon could not be started: No such file"), "{words}");
    }

    #[test]
    fn a_program_is_found_by_its_name_as_a_shell_finds_it() {
        let found = find(OsStr::new("sh")).unwrap();
        assert!(found.is_absolute() && found.ends_with("sh"), "{found:?}");
        assert_eq!(find(OsStr::new("/nowhere/sh")), None);
        assert!(find(OsStr::new("src/main.rs")).unwrap().is_absolute());
        assert!(Program::ours().unwrap().path().is_absolute());
    }
}
