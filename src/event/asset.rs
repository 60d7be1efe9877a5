//! The words of the asset ledger: what the CMMS knows of the things that machines are.

use super::{Stamp, meter::Readings};
use serde::{Deserialize, Deserializer, Serialize};

/// The status of an asset that a complete list no longer bears.
pub const RETIRED: &str = "retired";

/// One asset, as the CMMS has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asset {
    /// Its key.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// The key of what it is a part of.
    pub parent: Option<String>,
    /// Where it stands.
    pub location: Option<String>,
    /// How much hangs on it, in the CMMS's own scale.
    pub criticality: Option<String>,
    /// In the CMMS's own words; `retired` where a complete list no longer bears it.
    pub status: Option<String>,
    /// The highest reading of its meter that the CMMS has given.
    pub meters: Option<Readings>,
}

impl Asset {
    /// It is out of use.
    pub fn is_retired(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.eq_ignore_ascii_case(RETIRED))
    }
}

/// What a record says of one field: nothing, that there is none, or what it is.
pub type Field = Option<Option<String>>;

/// One record of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Its key.
    pub id: String,
    /// For people.
    #[serde(deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub name: Field,
    /// The key of what it is a part of.
    #[serde(deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub parent: Field,
    /// Where it stands.
    #[serde(deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub location: Field,
    /// How much hangs on it.
    #[serde(deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub criticality: Field,
    /// In the CMMS's own words.
    #[serde(deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub status: Field,
    /// What its meter read.
    pub meters: Option<Readings>,
}

/// A key that stands there was said, be it `null`.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Field, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

/// What a command asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// A part of the list of all assets: it takes effect when all parts are there.
    Full {
        /// Which list.
        sync_id: String,
        /// From 1.
        part: u32,
        /// So many there are.
        parts: u32,
        /// Some assets.
        records: Vec<Record>,
    },
    /// Some assets are new or others: what a record does not say stays.
    Upsert {
        /// They.
        records: Vec<Record>,
    },
}

/// `andon.asset.changed.v1`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it was changed.
    pub at: Stamp,
    /// Rises with each change of this asset.
    pub revision: u64,
    /// A complete list no longer bears it, and no machine is bound to it: it can be forgotten.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_gone: bool,
    /// The whole record.
    pub asset: Asset,
    /// Machines that are bound to it.
    pub machines: Vec<String>,
    /// What its meter shows; `None`: it has none.
    pub meters: Option<Readings>,
}
