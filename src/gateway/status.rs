//! What the gateway is doing in, `G/status` out.

use crate::{
    event::Stamp,
    io::plc::Counters,
    wire::{
        Names, Time,
        payload::picture::{Plc, Status},
    },
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What `G/status` says of a PLC.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PlcStatus {
    /// Whether it answers; `None` before the first word.
    pub(super) answers: Option<bool>,
    pub(super) counters: Counters,
}

/// What `G/status` says.
pub(super) struct StatusBook {
    pub(super) instance: Uuid,
    pub(super) started_at: Stamp,
    pub(super) clock_speed: u32,
    pub(super) plcs: BTreeMap<String, PlcStatus>,
    pub(super) trouble: Option<String>,
}

impl StatusBook {
    pub(super) fn body(&self, names: &Names, status: &'static str, at: Stamp) -> Vec<u8> {
        let status = Status {
            status,
            instance: self.instance,
            started_at: Time(self.started_at),
            at: Time(at),
            version: env!("CARGO_PKG_VERSION"),
            clock_speed: self.clock_speed,
            machines: names.machines.keys().map(|id| names.about(Some(id))).collect(),
            plcs: self.plcs.iter().map(|(id, plc)| (id.as_str(), told(*plc))).collect(),
            trouble: self.trouble.clone(),
        };
        serde_json::to_vec(&status).unwrap_or_default()
    }
}

fn told(PlcStatus { answers, counters }: PlcStatus) -> Plc {
    let Counters { polls, requests, retries, timeouts, late, crc, mended_frames, skipped } = counters;
    Plc { answers, polls, requests, retries, timeouts, late, crc, mended_frames, skipped }
}
