//! `andon.meter.read.v1`, and the live picture of a meter.

use crate::{
    event::{
        Stamp,
        meter::{Event, Readings},
    },
    wire::{About, Time},
};
use serde::Serialize;

/// Milliseconds of an hour.
const HOUR_MS: f64 = 3_600_000.0;

/// What a meter shows.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MeterData {
    run_ms: i64,
    run_hours: f64,
    cycles: i64,
}

impl From<Readings> for MeterData {
    fn from(readings: Readings) -> MeterData {
        let run_hours = readings.run_ms as f64 / HOUR_MS;
        MeterData { run_ms: readings.run_ms, run_hours, cycles: readings.cycles }
    }
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(flatten)]
    about: About<'a>,
    revision: u64,
    #[serde(flatten)]
    meter: MeterData,
}

/// The `data` of the event: of the asset whose meter it is, be it one that the machine is no longer bound to.
pub fn data<'a>(about: About<'a>, event: &'a Event) -> impl Serialize + 'a {
    Data { about: About { asset: Some(&event.asset), ..about }, revision: 1, meter: event.readings.into() }
}

/// `P/meter`: what the meter of the machine's asset shows.
pub fn picture(at: Stamp, about: About<'_>, readings: Readings) -> impl Serialize {
    #[derive(Serialize)]
    struct Picture<'a> {
        at: Time,
        #[serde(flatten)]
        about: About<'a>,
        #[serde(flatten)]
        meter: MeterData,
    }
    Picture { at: about.time(at), about, meter: readings.into() }
}
