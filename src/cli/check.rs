//! Configuration files in, every fault of them out, without touching a network: `andon check`.

use super::Exit;
use crate::config::{Fault, Plan, Severity, load};
use std::{
    io::{self, Write},
    path::PathBuf,
};

/// How faults are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people, on `err`.
    #[default]
    Text,
    /// For editors and CI, an array on `out`.
    Json,
}

/// Checks the configuration and returns the exit code.
///
/// # Errors
/// `out` or `err` could not be written.
pub fn check(
    paths: &[PathBuf],
    environment: impl Iterator<Item = (String, String)>,
    format: Format,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<u8> {
    let (plan, faults) = match load(paths, environment) {
        Ok((plan, warnings)) => (Some(plan), warnings),
        Err(faults) => (None, faults),
    };
    match format {
        Format::Json => {
            let all: Vec<serde_json::Value> = faults.iter().map(Fault::json).collect();
            writeln!(out, "{:#}", serde_json::Value::Array(all))?;
        }
        Format::Text => {
            for fault in &faults {
                writeln!(err, "{}\n", fault.render())?;
            }
            match &plan {
                Some(plan) => writeln!(out, "ok: {}", inventory(plan))?,
                None => writeln!(err, "{}", tally(&faults))?,
            }
        }
    }
    Ok(if plan.is_some() { Exit::Ok } else { Exit::Config } as u8)
}

fn inventory(plan: &Plan) -> String {
    let parts = [
        count(1, "gateway"),
        count(plan.plcs.len(), "PLC"),
        count(plan.points.len(), "point"),
        count(plan.rules.machines.len(), "machine"),
    ];
    parts.join(", ")
}

fn tally(faults: &[Fault]) -> String {
    let warnings = faults.iter().filter(|fault| fault.severity == Severity::Warning).count();
    let faults = count(faults.len() - warnings, "fault");
    if warnings == 0 { faults } else { format!("{faults}, {}", count(warnings, "warning")) }
}

fn count(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}
