//! Another wall clock for a process of ours: libfaketime shows it, and its other clocks go on.
#![allow(dead_code, unreachable_pub, reason = "each test file takes what it needs")]

use std::{fs, path::PathBuf, process::Command};

/// Its wall clock shows what `how` says; see faketime(1).
pub fn fake<'a>(command: &'a mut Command, how: (&str, &std::ffi::OsStr)) -> &'a mut Command {
    command
        .env("LD_PRELOAD", library())
        .env(how.0, how.1)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("NO_FAKE_STAT", "1")
}

/// Wherever Debian keeps it.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut found = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).filter(|path| path.exists());
    found.next().expect("faketime is installed")
}
