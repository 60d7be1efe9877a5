//! Files and environment in, the [`Plan`] that every room is told out; or all faults at once.
//!
//! ```text
//! files ──┐                              ┌─ faults, warnings
//!         ├─ layers ─ table with spans ─ shape ─ mirror ─ meaning ─ Plan
//! ANDON_… ┘                (schema) ─────┘
//! ```

mod fault;
mod hours;
mod layers;
mod meaning;
mod mirror;
mod shape;
mod word;

pub use fault::{Fault, Lines, Place, Severity};
pub use mirror::schema;

use crate::{custody::receipt, gateway::door::Permits, io, shop::rules::Rules, signal::Point};
use serde::Deserialize;
use std::path::PathBuf;

/// What every room is told: every reference resolved, every default filled in.
#[derive(Clone, Debug)]
pub struct Plan {
    /// For the shop.
    pub rules: Rules,
    /// For the field side, in the order of the configuration.
    pub plcs: Vec<io::plc::Settings>,
    /// For the brokers.
    pub mqtt: io::mqtt::Settings,
    /// Who may send commands.
    pub permits: Permits,
    /// First levels of every topic; may be empty.
    pub prefix: String,
    /// Folder of the journal.
    pub data_dir: PathBuf,
    /// Every configured point; its place here is its [`crate::signal::PointIx`].
    pub points: Vec<NamedPoint>,
    /// Who reports what it holds, in the order of the configuration.
    pub consumers: Vec<receipt::Rule>,
    /// `[privacy] operator`: ids of persons may leave the gateway.
    pub shows_persons: bool,
}

/// A point of the gateway's one table.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedPoint {
    /// `press-plc.run`
    pub name: String,
    /// Its place in [`Plan::plcs`].
    pub plc: usize,
    /// Where and how it is read.
    pub point: Point,
}

/// A plan and its warnings; or all faults, with the warnings among them.
pub type Outcome = Result<(Plan, Vec<Fault>), Vec<Fault>>;

/// Reads files, or all `*.toml` of folders, and lays the environment over them.
///
/// A file that cannot be read is a fault: nothing is assumed in its place.
pub fn load(paths: &[PathBuf], environment: impl Iterator<Item = (String, String)>) -> Outcome {
    let mut sources = layers::read(paths)?;
    let variables = layers::environment(&mut sources, environment)?;
    understand(&sources, &variables)
}

/// The same for a text under a name, without environment.
pub fn load_text(name: &str, text: &str) -> Outcome {
    let mut sources = fault::Sources::default();
    sources.file(name.to_owned(), text.to_owned());
    understand(&sources, &[])
}

/// Faults that stay true when other tables are lost; the rest would mostly be echoes of that.
const WRONG_BY_ITSELF: [&str; 3] = ["bad-value", "out-of-range", "duplicate"];

/// A duration as the configuration writes it, `20s`.
pub fn duration(text: &str) -> Option<std::time::Duration> {
    let ms = <word::Millis as word::Word>::read(text).ok()?.0;
    Some(std::time::Duration::from_millis(u64::try_from(ms).ok()?))
}

fn understand(sources: &fault::Sources, variables: &[layers::Variable]) -> Outcome {
    let (mut table, mut faults) = layers::merge(sources, variables);
    let mut further = shape::shape(&mut table, sources);
    let plan = match mirror::Mirror::deserialize(toml::de::Deserializer::from(table)) {
        Ok(mirror) => meaning::meaning(&mirror, sources, &mut further),
        Err(error) => {
            // The shape lets nothing pass that the mirror refuses; should it, this is still a fault and no panic.
            further.push(sources.fault("misshapen", &error.span().unwrap_or_default(), error.message()));
            None
        }
    };
    if faults.iter().any(layers::loses_a_table) {
        further.retain(|fault| WRONG_BY_ITSELF.contains(&fault.code));
    }
    further.retain(|fault| !faults.iter().any(|syntax| layers::same_line(syntax, fault)));
    faults.append(&mut further);
    fault::in_order(&mut faults);
    match plan {
        Some(plan) if faults.iter().all(|fault| fault.severity == Severity::Warning) => Ok((plan, faults)),
        _ => Err(faults),
    }
}
