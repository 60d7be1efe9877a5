//! `andon.asset.changed.v1`

use super::meter::MeterData;
use crate::{event::asset::Event, wire::About};
use serde::Serialize;

#[derive(Serialize)]
struct Data<'a> {
    #[serde(flatten)]
    about: About<'a>,
    revision: u64,
    id: &'a str,
    name: Option<&'a str>,
    parent: Option<&'a str>,
    location: Option<&'a str>,
    criticality: Option<&'a str>,
    status: Option<&'a str>,
    machines: &'a [String],
    meters: Option<MeterData>,
}

/// The `data` of the event: the asset as it is now, and the machines that are bound to it.
pub fn data<'a>(about: About<'a>, event: &'a Event) -> impl Serialize + 'a {
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
