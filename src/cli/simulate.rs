//! `andon sim`: a sample file in, the Modbus servers that would have shown it out.

use super::{
    Exit, Failure,
    daemon::runtime,
    log,
    replay::{bad_samples, columns},
};
use crate::{
    config::Plan,
    event::Stamp,
    io::samples::Samples,
    signal::Observation,
    sim::{Bench, Error},
};
use std::{
    io::{self, Write},
    net::SocketAddr,
    path::Path,
};

pub(super) fn run(plan: &Plan, samples: &Path, listen: Option<SocketAddr>, speed: u32) -> Result<(), Failure> {
    let _log = log(tracing::Level::WARN);
    let open = || Samples::open(samples, &columns(plan)).map_err(|error| bad_samples(&error));
    // What is wrong in its last row is said before the first one is played; what comes through a pipe is read but once.
    if samples.is_file() {
        let (mut all, mut row) = (open()?, Observation { at: Stamp::MIN, readings: Vec::new() });
        while all.next_into(&mut row).map_err(|error| bad_samples(&error))? {}
    }
    let samples = open()?;
    runtime()?.block_on(async {
        let bench = Bench::bind(&plan.plcs, listen).await.map_err(|error| failure(&error))?;
        let mut out = io::stdout();
        for (plc, address) in plan.plcs.iter().zip(bench.addresses()) {
            let _ = writeln!(out, "{} {address}", plc.id);
        }
        let _ = out.flush();
        bench.play(samples, speed).await.map_err(|error| failure(&error))
    })
}

fn failure(error: &Error) -> Failure {
    let exit = match error {
        Error::Listen { .. } | Error::NoPort { .. } => Exit::Unavailable,
        Error::Samples(_) | Error::Empty | Error::Misfit { .. } => Exit::Data,
    };
    Failure::new(exit, error)
}
