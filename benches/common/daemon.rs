//! A configuration in, a running `andon run` out; it ends with its owner.
#![allow(dead_code, unreachable_pub, reason = "each bench takes what it needs")]

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

pub struct Daemon(Child);

impl Daemon {
    pub fn start(toml: &Path) -> Daemon {
        let mut andon = Command::new(env!("CARGO_BIN_EXE_andon"));
        Daemon(andon.arg("run").arg("-c").arg(toml).stderr(Stdio::null()).spawn().unwrap())
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}
