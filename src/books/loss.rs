//! A stop's class in, where its time counts out: the conventions of OEE.

use crate::event::stop::{Class, CountsIn};
use serde::{Deserialize, Serialize};

/// Whose rules the OEE sum follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Convention {
    /// Short stops are performance loss, planned stops leave planned time (oee.com; Vorne).
    #[default]
    #[serde(rename = "oee.com")]
    OeeCom,
    /// ISO 22400-2: short stops are availability loss.
    #[serde(rename = "iso22400")]
    Iso22400,
    /// SMRP 3.x: planned stops count against availability.
    #[serde(rename = "smrp")]
    Smrp,
}

impl Convention {
    /// The word in TOML and reports.
    pub fn word(self) -> &'static str {
        match self {
            Convention::OeeCom => "oee.com",
            Convention::Iso22400 => "iso22400",
            Convention::Smrp => "smrp",
        }
    }

    /// Where a class counts if its reason does not say.
    pub fn counts_in(self, class: Class) -> CountsIn {
        match class {
            Class::Planned if self != Convention::Smrp => CountsIn::Excluded,
            _ => CountsIn::Availability,
        }
    }

    /// Where a short stop of a class that counts in availability goes.
    pub fn short_stop(self) -> CountsIn {
        match self {
            Convention::Iso22400 => CountsIn::Availability,
            Convention::OeeCom | Convention::Smrp => CountsIn::Performance,
        }
    }
}
