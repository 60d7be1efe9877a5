//! The PLCs of a serial line in, the time that their polls take on it out.

use super::{Channel, Settings, rtu};
use crate::signal::{Point, PointIx, plan::plan};
use std::{collections::BTreeMap, time::Duration};

/// What a second of a serial line is asked to carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Milliseconds of each second, rounded up.
    pub busy_ms: u64,
    /// Requests in ten seconds, rounded up.
    pub requests_in_ten: u64,
}

/// The load of the PLCs that share a serial line, if all of them answer at once; `None` for anything but a serial line.
pub fn load<'a>(plcs: impl IntoIterator<Item = &'a Settings>) -> Option<Load> {
    let (mut busy_ns, mut requests_m) = (0, 0);
    let mut is_serial = false;
    for plc in plcs {
        is_serial |= matches!(plc.channel, Channel::Serial(_));
        let times = plc.channel.line_times();
        let mut groups: BTreeMap<Duration, Vec<(PointIx, Point)>> = BTreeMap::new();
        for (ix, point) in &plc.points {
            groups.entry(*plc.paces.get(ix).unwrap_or(&plc.poll)).or_default().push((*ix, point.clone()));
        }
        for (poll, points) in groups {
            for block in plan(&points, plc.max_registers, plc.max_gap) {
                let count = usize::from(block.count);
                let data = if block.area.is_bits() { count.div_ceil(8) } else { count * 2 };
                let bytes = rtu::REQUEST_BYTES + rtu::REPLY_BYTES + data;
                // A silence before the request, and one before the reply.
                let takes = times.byte.as_nanos() * bytes as u128 + 2 * times.gap.as_nanos();
                let poll_ms = poll.as_millis().max(1);
                busy_ns += takes * 1000 / poll_ms;
                requests_m += 10_000_000 / poll_ms;
            }
        }
    }
    let up = |amount: u128, unit: u128| u64::try_from(amount.div_ceil(unit)).unwrap_or(u64::MAX);
    is_serial.then(|| Load { busy_ms: up(busy_ns, 1_000_000), requests_in_ten: up(requests_m, 1000) })
}
