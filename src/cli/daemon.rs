//! `andon run`: the plan in, the daemon until somebody stops it.

use super::{Exit, Failure, log};
use crate::{
    config::Plan,
    event::Wall,
    gateway::{self, Error, Settings},
    io::{journal, systemd::Notify},
    wire::{MachineNames, Names},
};
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

pub(super) fn run(plan: Plan, record: Option<PathBuf>, clock_speed: u32) -> Result<(), Failure> {
    let _log = log(tracing::Level::INFO);
    if clock_speed > 1 {
        tracing::warn!(clock_speed, "the clock runs fast: a simulation, whose stamps are no wall-clock times");
    }
    let settings = settings(plan, record, clock_speed);
    runtime()?.block_on(async {
        let stop = stop_signal().map_err(|error| Failure::new(Exit::Unavailable, &error))?;
        Box::pin(gateway::run(settings, Notify::from_env(), stop)).await.map_err(|error| failure(&error))
    })
}

/// One thread: everything waits for something, nothing computes for long.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Failure::new(Exit::Unavailable, &error))
}

/// What every room of the daemon is told.
pub(super) fn settings(plan: Plan, record: Option<PathBuf>, clock_speed: u32) -> Settings {
    Settings {
        names: names(&plan),
        rules: plan.rules,
        plcs: plan.plcs,
        consumers: plan.consumers,
        mqtt: plan.mqtt,
        permits: plan.permits,
        journal: journal::Settings {
            data_dir: plan.data_dir,
            // systemd may hand over several; marks need one.
            runtime_dir: std::env::var_os("RUNTIME_DIRECTORY")
                .and_then(|dirs| dirs.to_str()?.split(':').next().map(PathBuf::from)),
        },
        record,
        clock_speed,
    }
}

/// How the world knows this gateway.
pub(super) fn names(plan: &Plan) -> Names {
    let machine = |machine: &crate::shop::rules::MachineRules| {
        (machine.id.clone(), MachineNames { line: machine.line.clone(), asset: machine.asset.clone() })
    };
    Names {
        prefix: plan.prefix.clone(),
        path: plan.rules.path.clone(),
        gateway: plan.rules.gateway.clone(),
        machines: plan.rules.machines.iter().map(machine).collect(),
        wall: Wall::default(),
        shows_persons: plan.shows_persons,
    }
}

pub(super) fn failure(error: &Error) -> Failure {
    let exit = match error {
        Error::Journal(_) | Error::Snapshot(_) => Exit::Journal,
        Error::Mqtt(_) => Exit::Config,
        Error::Record(_) | Error::KeepRecording { .. } | Error::Descriptors(_) | Error::Thread(_) => Exit::Unavailable,
        Error::Ended(_) => Exit::Bug,
    };
    Failure::new(exit, error)
}

/// Resolves at SIGTERM or SIGINT; from here on neither ends the process by itself.
pub(super) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        let name = tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = int.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping");
    })
}
