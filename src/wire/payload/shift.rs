//! `andon.shift.stated.v1`

use super::window::{self, Which};
use crate::{
    event::shift::Event,
    wire::{About, Time},
};
use serde::Serialize;

#[derive(Serialize)]
struct Data<'a> {
    path: &'a str,
    asset: Option<&'a str>,
    convention: &'a str,
    stated_at: Time,
    #[serde(flatten)]
    window: window::Data<'a>,
}

/// The `data` of the event: one window, as in a report.
pub fn data<'a>(about: About<'a>, stated: &'a Event) -> impl Serialize + 'a {
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
