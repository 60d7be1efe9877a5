//! Programs of others that speak Modbus, compiled or fetched, and serial lines to put between them and us.
#![allow(dead_code, unreachable_pub, reason = "each test file takes what it needs")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}

/// Compiles a peer of `tests/peers` against libmodbus (Debian: `apt-get install gcc libmodbus-dev`).
pub fn compiled(peer: &str, folder: &TempDir) -> PathBuf {
    gcc(peer, folder, &["-Wall".as_ref(), "-Werror".as_ref()])
}

/// libmodbus' own test server, which misbehaves on purpose.
pub fn unit_test_server(folder: &TempDir) -> PathBuf {
    let libmodbus = fetched().join("libmodbus/tests");
    // Theirs says `<modbus.h>`, and is not ours to warn of.
    gcc("unit_test_server", folder, &["-w".as_ref(), "-I/usr/include/modbus".as_ref(), "-I".as_ref(), &libmodbus])
}

fn gcc(peer: &str, folder: &TempDir, words: &[&Path]) -> PathBuf {
    let source = sources().join(peer).with_extension("c");
    let program = folder.path().join(peer);
    let status = Command::new("gcc").args(words).arg("-o").args([&program, &source]).arg("-lmodbus").status();
    assert!(status.expect("gcc is installed").success(), "{} compiles with libmodbus-dev", source.display());
    program
}

/// A server by pymodbus; its words follow.
pub fn pymodbus_server() -> Command {
    let mut command = Command::new(fetched().join("pymodbus/bin/python"));
    command.arg("-W").arg("ignore").arg(sources().join("pymodbus_server.py"));
    command
}

/// Python with paho-mqtt, for the example consumers.
pub fn python() -> Command {
    Command::new(fetched().join("pymodbus/bin/python"))
}

/// The programs of a Python environment with the ticket system Roundup and with paho-mqtt, for the bridge between them.
pub fn roundup() -> PathBuf {
    fetch(&["roundup"]).join("roundup/bin")
}

/// Where the peers are that no package holds. The first test that needs them brings them there.
fn fetched() -> PathBuf {
    fetch(&[])
}

fn fetch(words: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let fetch = sources().join("fetch");
    let output =
        Command::new(&fetch).arg(&folder).args(words).stdin(Stdio::null()).output().expect("bash is installed");
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "a peer is missing, {} failed: {why}", fetch.display());
    folder
}

/// A serial line with two ends, by socat.
pub struct Pair {
    pub folder: TempDir,
    socat: Child,
}

impl Pair {
    pub fn new() -> Pair {
        Pair::plug(tempfile::tempdir().unwrap())
    }

    pub fn plug(folder: TempDir) -> Pair {
        const DEADLINE: Duration = Duration::from_secs(60);
        let end = |name: &str| format!("pty,raw,echo=0,link={}", folder.path().join(name).display());
        let socat = Command::new("socat").args([end("ours"), end("theirs")]).stderr(Stdio::null()).spawn();
        let pair = Pair { socat: socat.expect("socat is installed"), folder };
        let begun = Instant::now();
        while !(pair.ours().exists() && pair.theirs().exists()) {
            assert!(begun.elapsed() < DEADLINE, "socat makes both ends");
            thread::yield_now();
        }
        pair
    }

    pub fn ours(&self) -> PathBuf {
        self.folder.path().join("ours")
    }

    pub fn theirs(&self) -> PathBuf {
        self.folder.path().join("theirs")
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = self.socat.kill();
        let _ = self.socat.wait();
        let _ = fs::remove_file(self.ours());
        let _ = fs::remove_file(self.theirs());
    }
}
