//! Events, windows and pictures in, the bytes and topics that the world sees out, and commands the other way. Public JSON is
//! written down here and nowhere else.

pub mod envelope;
pub mod inbound;
pub mod payload;
pub mod receipt;
pub mod schema;
pub mod sparkplug;
pub mod topic;

use crate::event::{Stamp, Wall};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use std::{borrow::Cow, collections::BTreeMap};

/// The names under which the world knows this gateway and its machines.
#[derive(Clone, Debug)]
pub struct Names {
    /// First part of every topic; may be empty.
    pub prefix: String,
    /// ISA-95 enterprise/site/area.
    pub path: String,
    /// `[gateway] id`
    pub gateway: String,
    /// By machine id.
    pub machines: BTreeMap<String, MachineNames>,
    /// The world is told the time of the wall clock.
    pub wall: Wall,
    /// Ids of persons may leave the gateway: `[privacy] operator = "id"`.
    pub shows_persons: bool,
}

/// How the MES and the CMMS name a machine.
#[derive(Clone, Debug)]
pub struct MachineNames {
    /// The MES's line.
    pub line: String,
    /// The CMMS's key.
    pub asset: String,
}

/// What every `data` says first.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct About<'a> {
    /// The machine's id; `null` for the gateway itself.
    machine: Option<&'a str>,
    /// The MES's line; `null` for the gateway itself.
    line: Option<&'a str>,
    /// ISA-95 enterprise/site/area.
    path: &'a str,
    /// The machine's key in the CMMS; `null` for the gateway itself.
    asset: Option<&'a str>,
    #[serde(skip)]
    wall: &'a Wall,
    #[serde(skip)]
    shows_persons: bool,
}

impl About<'_> {
    /// An instant as the world reads it.
    fn time(&self, at: Stamp) -> Time {
        Time(self.wall.of(at))
    }
}

impl Names {
    /// An instant as the world reads it.
    pub fn time(&self, at: Stamp) -> Time {
        Time(self.wall.of(at))
    }

    /// Names a machine every way; `None` for the gateway itself.
    pub fn about<'a>(&'a self, machine: Option<&'a str>) -> About<'a> {
        let names = machine.and_then(|id| self.machines.get(id));
        About {
            machine,
            line: names.map(|names| names.line.as_str()),
            path: &self.path,
            asset: names.map(|names| names.asset.as_str()),
            wall: &self.wall,
            shows_persons: self.shows_persons,
        }
    }
}

/// A time of the wall clock as the world reads it: RFC 3339, UTC, milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Time(Stamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$";
        json_schema!({ "type": "string", "format": "date-time", "pattern": pattern })
    }
}

#[cfg(test)]
mod tests;
