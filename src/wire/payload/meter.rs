//! `andon.meter.read.v1`, and the live picture of a meter.

use crate::{
    event::{
        Stamp,
        meter::{Event, Readings},
    },
    wire::{About, Time},
};
use schemars::JsonSchema;
use serde::Serialize;

/// Milliseconds of an hour.
const HOUR_MS: f64 = 3_600_000.0;

/// What a meter shows.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Readings")]
pub struct MeterData {
    /// Time in `running`, in or out of shifts, in all the asset's life. Milliseconds.
    run_ms: i64,
    /// The same in hours.
    run_hours: f64,
    /// Raw cycles, before `parts_per_cycle`.
    cycles: i64,
}

impl From<Readings> for MeterData {
    fn from(readings: Readings) -> MeterData {
        let run_hours = readings.run_ms as f64 / HOUR_MS;
        MeterData { run_ms: readings.run_ms, run_hours, cycles: readings.cycles }
    }
}

/// What the meter of an asset shows; it only ever rises.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Meter")]
pub struct Data<'a> {
    #[serde(flatten)]
    about: About<'a>,
    /// Always 1: each reading is an event of its own.
    revision: u64,
    #[serde(flatten)]
    meter: MeterData,
}

/// The `data` of the event: of the asset whose meter it is, be it one that the machine is no longer bound to.
pub fn data<'a>(about: About<'a>, event: &'a Event) -> Data<'a> {
    Data { about: About { asset: Some(&event.asset), ..about }, revision: 1, meter: event.readings.into() }
}

/// What the meter of the machine's asset shows.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MeterPicture")]
pub struct Picture<'a> {
    /// Of this picture.
    at: Time,
    #[serde(flatten)]
    about: About<'a>,
    #[serde(flatten)]
    meter: MeterData,
}

/// `P/meter`
pub fn picture(at: Stamp, about: About<'_>, readings: Readings) -> Picture<'_> {
    Picture { at: about.time(at), about, meter: readings.into() }
}
