//! `andon.shift.stated.v1`

use super::window::{self, Which};
use crate::{
    event::shift::Event,
    wire::{About, Time},
};
use schemars::JsonSchema;
use serde::Serialize;

/// The figures of a shift (or day) that is over; a higher `revision` takes the place of a lower one.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ShiftStatement")]
pub struct Data<'a> {
    /// ISA-95 enterprise/site/area.
    path: &'a str,
    /// Its key in the CMMS.
    asset: Option<&'a str>,
    /// Whose rules were followed: `[oee] convention`.
    convention: &'a str,
    /// When it was stated.
    stated_at: Time,
    #[serde(flatten)]
    window: window::Data<'a>,
}

/// The `data` of the event: one window, as in a report.
pub fn data<'a>(about: About<'a>, stated: &'a Event) -> Data<'a> {
    let which = Which {
        window: stated.kind.word(),
        id: &stated.id,
        machine: about.machine,
        line: about.line,
        machines: &[],
        revision: stated.revision,
    };
    Data {
        path: about.path,
        asset: about.asset,
        convention: &stated.convention,
        stated_at: about.time(stated.at),
        window: window::data(which, &stated.window),
    }
}
