//! Observations in, a sample file out: on a thread of its own, for the loop never waits for a disk.

use crate::{
    io::{
        plc,
        samples::{Recorded, Recorder},
    },
    shop::{Rules, rules::RunRule},
    signal::Observation,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    thread::{self, JoinHandle},
    time::Duration,
};
use tracing::{error, info, warn};

/// Observations that may wait for the disk: some seconds of a large gateway.
const WAITING: usize = 4096;

/// What was seen is with the system at the latest after so long.
const FLUSH: Duration = Duration::from_secs(1);

/// A recording that is being written.
pub(super) struct Recording {
    to: SyncSender<Observation>,
    thread: JoinHandle<()>,
    lost: u64,
}

impl Recording {
    /// Begins; a file that was there is kept under the next free number.
    pub(super) fn begin(path: &Path, columns: Vec<Recorded>) -> Result<Recording, super::Error> {
        keep(path).map_err(|source| super::Error::KeepRecording { path: path.into(), source })?;
        let recorder = Recorder::create(path, columns)?;
        let (to, from) = sync_channel(WAITING);
        let write = move || write(recorder, &from);
        let thread = thread::Builder::new().name("recording".into()).spawn(write).map_err(super::Error::Thread)?;
        Ok(Recording { to, thread, lost: 0 })
    }

    /// Never waits: what a slow disk cannot take is missing in the recording, and said.
    pub(super) fn take(&mut self, observation: Observation) {
        match self.to.try_send(observation) {
            Err(TrySendError::Full(_)) => {
                if self.lost == 0 {
                    warn!("the recording cannot keep up: observations are missing in it");
                }
                self.lost += 1;
            }
            Ok(()) if self.lost > 0 => {
                warn!(lost = self.lost, "the recording goes on");
                self.lost = 0;
            }
            // An ended thread has said why.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
        }
    }

    /// Returns when everything is written.
    pub(super) fn end(self) {
        drop(self.to);
        let _ = self.thread.join();
    }
}

/// A restart must not cost what was recorded before it.
fn keep(path: &Path) -> io::Result<()> {
    if !path.is_file() {
        return Ok(());
    }
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    let free = (1..).map(numbered).find(|kept| !kept.exists());
    free.map_or(Ok(()), |kept| {
        info!(kept = %kept.display(), "the recording that was there is kept");
        fs::rename(path, kept)
    })
}

fn write(mut recorder: Recorder, from: &Receiver<Observation>) {
    let mut flushed = std::time::Instant::now();
    loop {
        let (done, is_over) = match from.recv_timeout(FLUSH) {
            Ok(observation) => (recorder.record(&observation), false),
            Err(RecvTimeoutError::Timeout) => (Ok(()), false),
            Err(RecvTimeoutError::Disconnected) => (Ok(()), true),
        };
        let done = match done {
            Ok(()) if is_over || flushed.elapsed() >= FLUSH => {
                flushed = std::time::Instant::now();
                recorder.flush()
            }
            done => done,
        };
        if let Err(error) = done {
            error!(%error, "the recording was stopped");
            return;
        }
        if is_over {
            return;
        }
    }
}

/// How often an unchanged reading is recorded where `no_data` is `"off"`. Milliseconds.
const REPEAT_MS: i64 = 60_000;

/// Every configured point; each PLC's unchanged readings at least four times as often as silence would be noticed.
pub(super) fn columns(rules: &Rules, plcs: &[plc::Settings]) -> Vec<Recorded> {
    let mut columns: Vec<Recorded> = plcs.iter().flat_map(|plc| of_plc(rules, plc)).collect();
    columns.sort_by_key(|column| column.ix);
    columns
}

fn of_plc(rules: &Rules, plc: &plc::Settings) -> Vec<Recorded> {
    let reads = |ix| plc.points.iter().any(|(point, _)| *point == ix);
    let watched = rules.machines.iter().filter(|machine| match &machine.run {
        RunRule::Signal { point, .. } => reads(*point),
        RunRule::Expression { operands, .. } => operands.iter().any(|operand| reads(operand.point)),
        RunRule::State => machine.state.as_ref().is_some_and(|state| reads(state.point)),
        RunRule::Counts { .. } => {
            let counters = [&machine.counters.total, &machine.counters.good, &machine.counters.reject];
            counters.into_iter().flatten().any(|counter| reads(counter.point))
        }
    });
    let repeat_ms =
        watched.filter_map(|machine| machine.no_data_ms).min().map_or(REPEAT_MS, |no_data_ms| no_data_ms / 4);
    let column = |(ix, point): &(crate::signal::PointIx, crate::signal::Point)| Recorded {
        ix: *ix,
        name: point.name.clone(),
        repeat_ms,
    };
    plc.points.iter().map(column).collect()
}
