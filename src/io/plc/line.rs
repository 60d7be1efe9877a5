//! The PLCs of one channel in, their words out: one task, one request in flight.

use super::{
    Settings, Word,
    link::Link,
    reach::{Reach, World},
    unit::Unit,
};
use crate::io::clock::Clock;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Looks at every PLC of a channel at its own pace, for ever; returns when nobody listens to `out` any more. A poll that
/// comes due while another one runs is skipped, never queued.
pub async fn run(plcs: Vec<Settings>, clock: Clock, out: mpsc::Sender<Word>) {
    run_over(Arc::new(World), plcs, clock, out).await;
}

/// The same, with streams of whatever kind.
pub(super) async fn run_over(reach: Arc<dyn Reach>, plcs: Vec<Settings>, clock: Clock, out: mpsc::Sender<Word>) {
    let Some(channel) = plcs.first().map(|plc| plc.channel.clone()) else { return out.closed().await };
    let read: Vec<Settings> = plcs.into_iter().filter(|plc| !plc.points.is_empty()).collect();
    let is_alone = read.len() == 1;
    let mut link = Link::new(channel, reach);
    let mut units: Vec<Unit> = read.into_iter().map(|plc| Unit::new(plc, clock, is_alone)).collect();
    while let Some((unit, group)) = first_due(&units, clock) {
        tokio::select! {
            () = clock.sleep_until(units[unit].groups[group].next) => {}
            () = out.closed() => return,
        }
        // Which one is first may have changed while waiting.
        let Some((unit, group)) = first_due(&units, clock) else { return };
        let mut words = units[unit].look(group, &mut link).await;
        words.extend(units[unit].rest(group));
        words.extend(late_replies(&mut units, &mut link));
        for word in words {
            if out.send(word).await.is_err() {
                return;
            }
        }
    }
    out.closed().await;
}

/// Who is due first; among those who are due already, whose turn it is.
fn first_due(units: &[Unit], clock: Clock) -> Option<(usize, usize)> {
    let now = clock.now();
    let all = units.iter().enumerate().flat_map(|(unit, it)| (0..it.groups.len()).map(move |group| (unit, group)));
    all.min_by_key(|(unit, group)| {
        let next = units[*unit].groups[*group].next;
        (next.max(now), if next <= now { units[*unit].turn_of(*group) } else { next })
    })
}

fn late_replies(units: &mut [Unit], link: &mut Link) -> Vec<Word> {
    let late = link.take_late();
    let mut words = Vec::new();
    for unit in units {
        let replies = late.iter().filter(|id| **id == unit.settings.unit).count();
        if replies > 0 {
            words.extend(unit.was_late(replies as u64));
        }
    }
    words
}
