//! The PLCs of one channel in, their words out: one task, one request in flight.

use super::{
    Settings, Word,
    link::Link,
    reach::{Reach, World},
    unit::{Heard, Look, Unit},
};
use crate::{event::Stamp, io::clock::Clock};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// A device or gateway may be busy with a question for so many time-outs more after it was given up …
const DOUBT_TIMEOUTS: u32 = 2;
/// … and never is it believed to be free sooner than this.
const DOUBT_LEAST: Duration = Duration::from_secs(1);

/// After a PLC's silence the channel itself may be busy, so that another one's silence says nothing about that one. It ends
/// with the next answer of anybody, if it is surely not a late one.
#[derive(Clone, Copy)]
struct Doubt {
    /// Whose silence it was.
    of: usize,
    until: Stamp,
}

impl Doubt {
    fn touches(self, unit: usize, now: Stamp) -> bool {
        unit != self.of && now < self.until
    }
}

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
    let mut units: Vec<Unit> = read.into_iter().map(|plc| Unit::new(plc, clock, is_alone)).collect();
    let fastest = units.iter().filter_map(Unit::fastest).min().unwrap_or(Duration::MAX);
    let mut link = Link::new(channel, reach).polled_every(fastest);
    let mut doubt: Option<Doubt> = None;
    while let Some((unit, group, due)) = first_due(&units, doubt, clock) {
        if due > clock.now() {
            tokio::select! {
                () = clock.sleep_until(due) => {}
                () = out.closed() => return,
            }
            // Which one is first may have changed while waiting.
            continue;
        }
        let is_doubtful = doubt.is_some_and(|doubt| doubt.touches(unit, clock.now()));
        let Look { mut words, heard } = units[unit].look(group, &mut link, is_doubtful).await;
        words.extend(units[unit].rest(group));
        match (heard, doubt) {
            (Heard::Answer, _) => doubt = None,
            (Heard::Silence | Heard::Perhaps, _) if !is_alone => {
                doubt = Some(Doubt { of: unit, until: clock.now().plus(busy_ms(units[unit].settings.timeout)) });
            }
            // What is looked at seldom is not left unseen because of a neighbour.
            (Heard::Excused, Some(doubt)) => units[unit].look_again(group, doubt.until),
            _ => {}
        }
        words.extend(late_replies(&mut units, &mut link));
        for word in words {
            if out.send(word).await.is_err() {
                return;
            }
        }
    }
    out.closed().await;
}

/// Whose turn it is, and when. In doubt nobody is asked who was silent last time: they would learn nothing, and keep a busy
/// device busy. Nor is the one whose silence it was, while others wait.
fn first_due(units: &[Unit], doubt: Option<Doubt>, clock: Clock) -> Option<(usize, usize, Stamp)> {
    let now = clock.now();
    let doubt = doubt.filter(|doubt| now < doubt.until);
    let all = || units.iter().enumerate().flat_map(|(unit, it)| (0..it.groups.len()).map(move |group| (unit, group)));
    let is_waiting = |(unit, group): (usize, usize)| {
        let it = &units[unit];
        doubt.is_some_and(|doubt| doubt.of != unit) && it.waits_for_quiet() && it.groups[group].next <= now
    };
    let is_anybody_waiting = all().any(is_waiting);
    let turn = |(unit, group): (usize, usize)| {
        let it = &units[unit];
        let is_held = |doubt: &Doubt| it.waits_for_quiet() && (doubt.of != unit || is_anybody_waiting);
        let next = it.groups[group].next;
        let due = doubt.filter(is_held).map_or(next, |doubt| next.max(doubt.until));
        (it.turn_of(group).max(due), unit, group, due)
    };
    all().map(turn).min().map(|(_, unit, group, due)| (unit, group, due))
}

fn busy_ms(timeout: Duration) -> i64 {
    i64::try_from((timeout * DOUBT_TIMEOUTS).max(DOUBT_LEAST).as_millis()).unwrap_or(i64::MAX)
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
