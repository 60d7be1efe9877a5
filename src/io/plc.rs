//! PLCs in, observations out: one task a PLC.

use crate::signal::{Point, PointIx};
use std::time::Duration;

/// One PLC and the points to read from it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[[plc]] id`
    pub id: String,
    /// `host:port`
    pub address: String,
    /// Modbus unit id.
    pub unit: u8,
    /// Time between two looks at the same point.
    pub poll: Duration,
    /// How long one request may take.
    pub timeout: Duration,
    /// Most registers in one request (at most 125; bits: 16 times as many, at most 2000).
    pub max_registers: u16,
    /// Most unused registers (or bits) read along to save a request.
    pub max_gap: u16,
    /// What to read.
    pub points: Vec<(PointIx, Point)>,
}
