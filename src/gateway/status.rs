//! What the gateway is doing in, `G/status` out.

use crate::{
    event::Stamp,
    wire::{Names, Time, payload::picture::Status},
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What `G/status` says.
pub(super) struct StatusBook {
    pub(super) instance: Uuid,
    pub(super) started_at: Stamp,
    pub(super) clock_speed: u32,
    /// Whether they answer; `None` before the first word.
    pub(super) plcs: BTreeMap<String, Option<bool>>,
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
            plcs: self.plcs.iter().map(|(id, answers)| (id.as_str(), *answers)).collect(),
            trouble: self.trouble.clone(),
        };
        serde_json::to_vec(&status).unwrap_or_default()
    }
}
