//! The command line: one file a subcommand. Data goes to stdout, words for people to stderr.

pub mod check;
pub mod replay;
pub mod schema;
mod calendar;
mod daemon;
#[cfg_attr(not(feature = "demo"), path = "cli/no_demo.rs")]
mod demo;
mod figures;
mod past;
mod probe;
mod reconcile;
mod report;
mod simulate;
mod status;
mod verify;

use crate::config::{self, Plan};
use clap::{Args, Parser, Subcommand, ValueEnum};
use figures::words::Ink;
use std::{ffi::OsString, io, path::PathBuf, process::ExitCode, time::Duration};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// How a command ended, as `sysexits.h` numbers it. systemd must not restart on 64 and 78.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// The command line is wrong.
    Usage = 64,
    /// The input data are wrong.
    Data = 65,
    /// Something that is needed is not there.
    Unavailable = 69,
    /// A bug.
    Bug = 70,
    /// The journal is unusable.
    Journal = 74,
    /// The configuration is wrong.
    Config = 78,
}

/// What a command could not do, in words, and how it ends.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    words: String,
}

impl Failure {
    fn new(exit: Exit, error: &dyn std::error::Error) -> Failure {
        let mut words = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            // Of a chain each link is said once.
            if !words.ends_with(&error.to_string()) {
                words = format!("{words}: {error}");
            }
            cause = error.source();
        }
        Failure { exit, words }
    }

    /// Whether it was printed; that nobody reads on (`| head`) is no failure.
    fn unless_printed(done: io::Result<()>) -> Result<(), Failure> {
        match done {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(Exit::Unavailable, &error)),
            _ => Ok(()),
        }
    }

    fn say(exit: Exit, words: impl Into<String>) -> Failure {
        Failure { exit, words: words.into() }
    }
}

/// Gateway between the PLCs of a shop floor and its MES and CMMS: one downtime, one id, one number.
#[derive(Debug, Parser)]
#[command(name = "andon", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Poll the PLCs and publish what the machines do, until SIGTERM or SIGINT; SIGHUP reloads the configuration.
    Run {
        #[command(flatten)]
        config: ConfigFiles,
        /// Also write every reading as a sample file that `replay` and `sim` can play.
        #[arg(long, value_name = "FILE.csv")]
        record: Option<PathBuf>,
        /// Let the clock run N times as fast, beside `sim --speed N`; for simulation only.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        clock_speed: u32,
    },
    /// Find every fault of a configuration without touching a network.
    Check {
        #[command(flatten)]
        config: ConfigFiles,
        /// How faults are told.
        #[arg(long, value_enum, default_value_t)]
        format: check::Format,
    },
    /// Show what was understood of shifts, breaks, holidays and planned stops, day by day.
    Calendar {
        #[command(flatten)]
        config: ConfigFiles,
        #[command(flatten)]
        what: calendar::What,
    },
    /// Look at every point once: address, raw registers, value, round trip, or why not.
    Probe {
        #[command(flatten)]
        config: ConfigFiles,
        #[command(flatten)]
        what: probe::What,
    },
    /// Feed recorded samples through the engine, with their own clock.
    Replay {
        #[command(flatten)]
        config: ConfigFiles,
        #[command(flatten)]
        what: replay::What,
    },
    /// Play samples as the Modbus servers that the configuration describes.
    Sim {
        #[command(flatten)]
        config: ConfigFiles,
        /// The sample file.
        #[arg(long, value_name = "FILE.csv")]
        samples: PathBuf,
        /// Where the first PLC listens, the others on the ports above it; port 0 takes any free ones.
        #[arg(long, value_name = "ADDR")]
        listen: Option<std::net::SocketAddr>,
        /// Play so many times as fast as recorded.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        speed: u32,
    },
    /// Add up the journal: times, losses, parts and OEE by window.
    Report {
        #[command(flatten)]
        config: ConfigFiles,
        #[command(flatten)]
        what: report::What,
    },
    /// Show what the broker and each consumer are known to hold, from the journal.
    Status {
        #[command(flatten)]
        config: ConfigFiles,
        /// For people or for programs.
        #[arg(long, value_enum, default_value_t)]
        format: status::Format,
    },
    /// Compare the totals that consumers report with the journal, and name each difference; exit 65 if there is one.
    Reconcile {
        #[command(flatten)]
        config: ConfigFiles,
        #[command(flatten)]
        what: reconcile::What,
    },
    /// A simulated line, a broker and the daemon in one process; nothing to set up, nothing left behind.
    Demo {
        /// Stop after this long, such as `20s` or `5m`; without it, at Ctrl-C.
        #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
        length: Option<Duration>,
    },
    /// Print a JSON Schema, or what goes over the broker as an AsyncAPI document.
    Schema {
        /// Of what.
        #[arg(value_enum, default_value_t)]
        of: SchemaOf,
    },
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum SchemaOf {
    /// The configuration file.
    #[default]
    Config,
    /// Every message that goes over the broker.
    Events,
    /// Topics and messages, as an AsyncAPI 3.0 document.
    Asyncapi,
}

#[derive(Debug, Args)]
struct ConfigFiles {
    /// A TOML file, or a folder whose *.toml are read in order of their names; may be given several times.
    #[arg(short = 'c', long = "config", value_name = "FILE", default_value = "/etc/andon/andon.toml")]
    paths: Vec<PathBuf>,
}

impl ConfigFiles {
    /// The plan, with its warnings said; or every fault.
    fn load(&self) -> Result<Plan, Failure> {
        let say =
            |faults: &[config::Fault]| faults.iter().map(|fault| format!("{}\n\n", fault.render())).collect::<String>();
        match config::load(&self.paths, environment()) {
            Ok((plan, warnings)) => {
                eprint_words(&say(&warnings));
                Ok(plan)
            }
            Err(faults) => Err(Failure::say(Exit::Config, format!("{}the configuration was refused", say(&faults)))),
        }
    }
}

/// Runs one command.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return code(if error.use_stderr() { Exit::Usage } else { Exit::Ok });
        }
    };
    match cli.command.run() {
        Ok(exit) => exit,
        Err(failure) => {
            eprint_words(&format!("{}\n", failure.words));
            code(failure.exit)
        }
    }
}

impl Command {
    fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Command::Run { config, record, clock_speed } => daemon::run(&config, record, clock_speed)?,
            Command::Check { config, format } => {
                let done = check::check(&config.paths, environment(), format, &mut io::stdout(), &mut io::stderr());
                return done.map(ExitCode::from).map_err(|error| Failure::new(Exit::Unavailable, &error));
            }
            Command::Calendar { config, what } => calendar::run(&config.load()?, &what)?,
            Command::Probe { config, what } => return Ok(code(probe::run(&config.load()?, &what)?)),
            Command::Replay { config, what } => replay::run(config.load()?, &what)?,
            Command::Sim { config, samples, listen, speed } => simulate::run(&config.load()?, &samples, listen, speed)?,
            Command::Report { config, what } => report::run(config.load()?, &what)?,
            Command::Status { config, format } => status::run(config.load()?, format)?,
            Command::Reconcile { config, what } => return Ok(code(reconcile::run(config.load()?, &what)?)),
            Command::Demo { length } => demo::run(length)?,
            Command::Schema { of } => {
                let mut out = io::stdout();
                Failure::unless_printed(match of {
                    SchemaOf::Config => schema::config(&mut out),
                    SchemaOf::Events => schema::events(&mut out),
                    SchemaOf::Asyncapi => schema::asyncapi(&mut out),
                })?;
            }
        }
        Ok(code(Exit::Ok))
    }
}

/// Refuses the id of a machine that there is not.
fn known_machine(plan: &Plan, id: Option<&str>) -> Result<(), Failure> {
    let known = plan.rules.machines.iter().map(|machine| machine.id.as_str());
    match id {
        Some(id) if !known.clone().any(|other| other == id) => {
            let known = known.collect::<Vec<_>>().join(", ");
            Err(Failure::say(Exit::Usage, format!("there is no machine {id}\nhint: there are {known}")))
        }
        _ => Ok(()),
    }
}

/// What is not UTF-8 is none of ours, or a fault of the configuration like any other: never a reason to panic.
fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

fn code(exit: Exit) -> ExitCode {
    ExitCode::from(exit as u8)
}

fn eprint_words(words: &str) {
    use io::Write;
    let _ = io::stderr().write_all(words.as_bytes());
}

/// `20s`, `5m`: as in the configuration.
fn duration(text: &str) -> Result<Duration, String> {
    config::duration(text).ok_or_else(|| "a duration is an integer before one unit: us ms s m h d".to_owned())
}

/// Lines that may wait for a terminal, a pipe or journald; more are dropped rather than hold the loop up.
const LINES: usize = 10_000;

/// Words of the program go to stderr, in colour on a terminal; journald adds the time itself. The guard writes what waits
/// when it is dropped.
fn log(level: tracing::Level) -> WorkerGuard {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("{level},rumqttd=off")));
    let ansi = Ink::of(&io::stderr()).is_on();
    let (stderr, guard) = NonBlockingBuilder::default().buffered_lines_limit(LINES).finish(io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(ansi).with_target(false);
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        let _ = log.without_time().try_init();
    } else {
        let _ = log.try_init();
    }
    guard
}
