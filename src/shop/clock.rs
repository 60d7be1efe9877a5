//! A step of the wall clock in, the notice that enters it out: the ledger of the clock.

use super::Desk;
use crate::event::{
    Event,
    notice::{self, Severity},
    wall::Era,
};

/// The wall clock was set by `step_ms`, or is to be trusted from now on, or no longer: one notice.
pub fn set(desk: &mut Desk<'_>, step_ms: i64, is_synced: bool) {
    let (wall, now) = (&desk.known.wall, desk.now);
    let (before, was_synced) = (wall.of(now), wall.is_synced_now());
    let era = Era { at: now, offset_ms: wall.offset_ms() + step_ms, is_synced };
    let after = before.plus(step_ms);
    let is_step = step_ms != 0;
    let trust = match (was_synced, is_synced) {
        (false, true) => Some("the clock can be trusted from here on"),
        (true, false) => Some("the clock is not set yet: stamps are flagged `unsynced` until it is"),
        _ => None,
    };
    let step = is_step.then(|| {
        let by = if step_ms < 0 { "back" } else { "forward" };
        let seconds = step_ms.unsigned_abs() as f64 / 1000.0;
        format!(
            "the wall clock was set {by} by {seconds} s, from {before} to {after}: no duration changes, stamps follow it"
        )
    });
    let code = match (is_step, is_synced) {
        (true, _) => "clock_step",
        (false, true) => "clock_synced",
        (false, false) => "clock_unsynced",
    };
    let words = step.as_deref().into_iter().chain(trust).collect::<Vec<_>>();
    if words.is_empty() {
        return;
    }
    desk.tell(Event::Notice(notice::Event {
        at: now,
        machine: None,
        code: code.to_owned(),
        severity: if is_step || !is_synced { Severity::Warning } else { Severity::Info },
        text: words.join("; "),
        from: is_step.then_some(before),
        to: is_step.then_some(after),
        sequences: None,
        clock: Some(era),
    }));
}
