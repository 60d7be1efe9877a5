//! What the gateway is doing in, `G/status` out.

use crate::{
    event::Stamp,
    io::plc::Counters,
    wire::{
        Names,
        payload::picture::{Commands, Plc, Refused, Status},
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
    pub(super) commands: Commands,
    pub(super) trouble: Option<String>,
    /// When, and what was said.
    pub(super) reload_refused: Option<(Stamp, String)>,
}

/// A last will stands in CONNECT, and MQTT gives it 65 535 bytes; the client's id and the topic are its neighbours.
const WILL_MOST: usize = 60_000;

impl StatusBook {
    /// The last will: a large plant's lists do not fit into it, and are left out.
    pub(super) fn will(&self, names: &Names, at: Stamp) -> Vec<u8> {
        let whole = self.body(names, "offline", at);
        if whole.len() <= WILL_MOST {
            return whole;
        }
        let names = Names { machines: BTreeMap::new(), ..names.clone() };
        let short = StatusBook { plcs: BTreeMap::new(), trouble: self.trouble.clone(), reload_refused: None, ..*self };
        short.body(&names, "offline", at)
    }

    pub(super) fn body(&self, names: &Names, status: &'static str, at: Stamp) -> Vec<u8> {
        let refused = self.reload_refused.as_ref();
        let status = Status {
            status,
            instance: self.instance,
            started_at: names.time(self.started_at),
            at: names.time(at),
            clock: if names.wall.is_synced_now() { "synced" } else { "unsynced" },
            version: env!("CARGO_PKG_VERSION"),
            clock_speed: self.clock_speed,
            machines: names.machines.keys().map(|id| names.about(Some(id))).collect(),
            plcs: self.plcs.iter().map(|(id, plc)| (id.as_str(), told(*plc))).collect(),
            commands: self.commands,
            trouble: self.trouble.clone(),
            reload_refused: refused.map(|(at, text)| Refused { at: names.time(*at), text: text.clone() }),
        };
        serde_json::to_vec(&status).unwrap_or_default()
    }
}

fn told(PlcStatus { answers, counters }: PlcStatus) -> Plc {
    let Counters { polls, requests, retries, timeouts, late, crc, mended_frames, skipped } = counters;
    Plc { answers, polls, requests, retries, timeouts, late, crc, mended_frames, skipped }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Wall, wire::MachineNames};

    #[test]
    fn the_last_will_of_a_large_plant_fits_into_connect() {
        let mut names = Names {
            prefix: String::new(),
            path: "acme".into(),
            gateway: "gw".into(),
            machines: BTreeMap::new(),
            wall: Wall::default(),
            shows_persons: false,
        };
        let mut status = StatusBook {
            instance: Uuid::nil(),
            started_at: Stamp::from_ms(0),
            clock_speed: 1,
            plcs: BTreeMap::new(),
            commands: Commands::default(),
            trouble: None,
            reload_refused: None,
        };
        let small = status.will(&names, Stamp::from_ms(0));
        assert_eq!(small, status.body(&names, "offline", Stamp::from_ms(0)));
        for n in 0..500 {
            names.machines.insert(format!("press-{n}"), MachineNames { line: "line".into(), asset: "EQ".into() });
            status.plcs.insert(format!("plc-{n}"), PlcStatus::default());
        }
        assert!(status.body(&names, "offline", Stamp::from_ms(0)).len() > 65_535);
        let will: serde_json::Value = serde_json::from_slice(&status.will(&names, Stamp::from_ms(0))).unwrap();
        assert_eq!((&will["status"], &will["machines"]), (&"offline".into(), &serde_json::json!([])));
    }
}
