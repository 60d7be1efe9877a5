//! `andon.asset.changed.v1`

use super::meter::MeterData;
use crate::{event::asset::Event, wire::About};
use schemars::JsonSchema;
use serde::Serialize;

/// An asset as the CMMS has it, and the machines that are bound to it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Asset")]
pub struct Data<'a> {
    #[serde(flatten)]
    about: About<'a>,
    /// Rises with each change of this asset.
    revision: u64,
    /// Its key in the CMMS.
    id: &'a str,
    /// For people.
    name: Option<&'a str>,
    /// The key of what it is a part of.
    parent: Option<&'a str>,
    /// Where it stands.
    location: Option<&'a str>,
    /// How much hangs on it, in the CMMS's own scale.
    criticality: Option<&'a str>,
    /// In the CMMS's own words; `retired` where a full list no longer bears it.
    status: Option<&'a str>,
    /// Bound to it by `[[machine]] asset`.
    machines: &'a [String],
    /// What its meter shows; `null`: no machine has fed it, and the CMMS gave no reading.
    meters: Option<MeterData>,
}

/// The `data` of the event: the asset as it is now, and the machines that are bound to it.
pub fn data<'a>(about: About<'a>, event: &'a Event) -> Data<'a> {
    let asset = &event.asset;
    Data {
        about: About { asset: Some(&asset.id), ..about },
        revision: event.revision,
        id: &asset.id,
        name: asset.name.as_deref(),
        parent: asset.parent.as_deref(),
        location: asset.location.as_deref(),
        criticality: asset.criticality.as_deref(),
        status: asset.status.as_deref(),
        machines: &event.machines,
        meters: event.meters.map(MeterData::from),
    }
}
