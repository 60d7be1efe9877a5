//! `andon run`: the plan in, the daemon until somebody stops it; or the program on the disk in its place.

use super::{ConfigFiles, Exit, Failure, environment, log};
use crate::{
    config::{self, Plan},
    event::Wall,
    gateway::{self, Error, Fit, Outcome, Reload, Settings},
    io::{
        clock, journal, mqtt,
        program::{self, Program},
        systemd::Notify,
    },
    wire::{MachineNames, Names},
};
use std::{
    cell::Cell,
    io::{IsTerminal, stderr},
    path::PathBuf,
    time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::timeout,
};

/// For threads of the runtime that look up a name or read a file: nothing of the daemon is lost with them.
const LINGER: Duration = Duration::from_millis(200);

/// For signals that came before they were held to be heard of.
const LAST_LOOK: Duration = Duration::from_millis(1);

pub(super) fn run(files: &ConfigFiles, record: Option<PathBuf>, clock_speed: u32) -> Result<(), Failure> {
    let plan = files.load()?;
    // Threads that begin now are never the ones that a signal interrupts, so none is lost between two programs.
    program::hold_signals();
    let log = log(tracing::Level::INFO);
    if clock_speed > 1 {
        tracing::warn!(clock_speed, "the clock runs fast: a simulation, whose stamps are no wall-clock times");
    }
    let ours = Program::ours().map_err(|error| Failure::new(Exit::Unavailable, &error))?;
    let address = Address::of(&plan);
    let mut settings = settings(plan, record, clock_speed);
    settings.mqtt.is_expected = program::is_in_place();
    let mqtt = settings.mqtt.clone();
    let status = address.status.clone();
    let runtime = runtime()?;
    let outcome = runtime.block_on(daemon(settings, &ours, address, files));
    runtime.shutdown_timeout(LINGER);
    // What waits is written before the log of the next program.
    drop(log);
    let failure = match outcome {
        Ok(Outcome::Stopped) => return Ok(()),
        Ok(Outcome::Again) => {
            let (error, path) = (ours.exec(), ours.path().display());
            Failure::say(Exit::Unavailable, format!("{path} could not be started in place: {error}"))
        }
        Err(failure) if !program::is_in_place() => return Err(failure),
        Err(failure) => failure,
    };
    Err(take_back(&mqtt, &status, failure))
}

/// The broker was told that the gateway is back soon, and so it is not.
fn take_back(mqtt: &mqtt::Settings, topic: &str, failure: Failure) -> Failure {
    // Its session keeps what others ask for: it is left alone.
    let settings = mqtt::Settings { client_id: format!("{}-leaves", mqtt.client_id), ..mqtt.clone() };
    let offline = |body: &[u8]| {
        let mut status: serde_json::Value = serde_json::from_slice(body).ok()?;
        if status.get("status")? != "online" {
            return None;
        }
        status["status"] = "offline".into();
        status["at"] = clock::wall().to_string().into();
        serde_json::to_vec(&status).ok()
    };
    let Ok(runtime) = runtime() else { return failure };
    let told = runtime.block_on(Box::pin(mqtt::correct(&settings, topic, offline)));
    runtime.shutdown_timeout(LINGER);
    match told {
        Ok(()) => failure,
        Err(why) => {
            let Failure { exit, words } = failure;
            Failure::say(exit, format!("{words}\nthe broker may go on showing `online`: {why}"))
        }
    }
}

/// Signals are held when it ends.
async fn daemon(settings: Settings, ours: &Program, address: Address, files: &ConfigFiles) -> Result<Outcome, Failure> {
    let unavailable = |error: &std::io::Error| Failure::new(Exit::Unavailable, error);
    let stop = stop_signal().map_err(|error| unavailable(&error))?;
    let hangup = signal(SignalKind::hangup()).map_err(|error| unavailable(&error))?;
    program::release_signals();
    let is_stopped = Cell::new(false);
    let (wishes, asked) = mpsc::channel(1);
    let stop = async {
        tokio::select! {
            () = stop => {}
            () = hung_up(hangup, &wishes) => {}
        }
        is_stopped.set(true);
    };
    tokio::pin!(stop);
    let check = {
        let (ours, paths) = (ours.clone(), files.paths.clone());
        Box::new(move || {
            let (ours, paths, address) = (ours.clone(), paths.clone(), address.clone());
            Box::pin(async move { check(&ours, paths, &address).await }) as gateway::Checking
        })
    };
    let reload = Reload { asked, check };
    let outcome = Box::pin(gateway::run(settings, Notify::from_env(), &mut stop, Some(reload))).await;
    program::hold_signals();
    if matches!(outcome, Ok(Outcome::Again)) {
        if !is_stopped.get() {
            let _ = timeout(LAST_LOOK, stop).await;
        }
        if is_stopped.get() {
            program::pass_on_stop();
        }
    }
    outcome.map_err(|error| failure(&error))
}

/// Every SIGHUP is a wish; returns where it says that the terminal is gone, and nobody would find this process again.
async fn hung_up(mut hangup: Signal, wishes: &mpsc::Sender<()>) {
    let had_terminal = stderr().is_terminal();
    while hangup.recv().await.is_some() {
        if had_terminal && !stderr().is_terminal() {
            return;
        }
        // One that waits stands for all.
        let _ = wishes.try_send(());
    }
    std::future::pending::<()>().await;
}

/// Where consumers find a gateway.
#[derive(Clone, PartialEq, Eq)]
struct Address {
    status: String,
    client_id: String,
    brokers: Vec<mqtt::Broker>,
}

impl Address {
    fn of(plan: &Plan) -> Address {
        Address {
            status: names(plan).status_topic(),
            client_id: plan.mqtt.client_id.clone(),
            brokers: plan.mqtt.brokers.clone(),
        }
    }
}

/// What the program on the disk says of the configuration there; and what a start looks at besides.
async fn check(ours: &Program, paths: Vec<PathBuf>, address: &Address) -> Result<Fit, String> {
    ours.check(&paths).await?;
    let looked = tokio::task::spawn_blocking(move || {
        let Ok((plan, _)) = config::load(&paths, environment()) else { return Ok(None) };
        mqtt::check(&plan.mqtt).map_err(|error| Failure::new(Exit::Config, &error).words)?;
        Ok(Some(Address::of(&plan)))
    });
    match looked.await {
        Ok(Ok(Some(found))) if found != *address => Ok(Fit::OtherPlace),
        // Where only the newer program understands the configuration, it is taken for the same place.
        Ok(Ok(_)) => Ok(Fit::SamePlace),
        Ok(Err(words)) => Err(words),
        Err(error) => Err(error.to_string()),
    }
}

/// One thread: everything waits for something, nothing computes for long.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let built = builder.enable_all().on_thread_start(program::hold_signals).build();
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
