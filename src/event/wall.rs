//! The steps of the wall clock in, what it showed at any instant of the gateway's timeline out, and the other way round.
//!
//! The timeline never steps, so that every duration is right by construction. What people read and what the calendar goes
//! by is the clock on the wall. Between two steps both run alike: an [`Era`]. After a step back the wall clock shows the same
//! times once more; those that a step forward leaves out it never shows.

use super::Stamp;
use serde::{Deserialize, Serialize};

/// Most eras that are kept: a clock that is set all the time must not fill the memory. The oldest are taken for one.
const ERAS_MOST: usize = 1000;

/// From `at` on, until the next era, the wall clock goes alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Era {
    /// First instant, on the timeline.
    pub at: Stamp,
    /// What the wall clock shows more than the timeline. Milliseconds.
    pub offset_ms: i64,
    /// Whether the wall clock can be trusted.
    pub is_synced: bool,
}

/// How the clock on the wall stood to the gateway's timeline; before the first era both show the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wall {
    eras: Vec<Era>,
}

/// A piece of an era.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First instant.
    pub from: Stamp,
    /// First instant after.
    pub to: Stamp,
    /// What the wall clock shows more than the timeline. Milliseconds.
    pub offset_ms: i64,
    /// Whether the wall clock can be trusted.
    pub is_synced: bool,
}

/// A moment of a process' timeline that another process of the same boot can go on from exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// The kernel's name of the boot.
    pub boot: String,
    /// Boot time then: it counts through suspend and is never stepped. Milliseconds.
    pub boot_ms: i64,
    /// The timeline then.
    pub at: Stamp,
}

impl Wall {
    /// A step, or that the clock can be trusted from now on, or no longer. Never before the last one.
    pub fn enter(&mut self, era: Era) {
        self.eras.push(era);
        if self.eras.len() > ERAS_MOST {
            self.eras.remove(0);
            self.eras[0].at = Stamp::MIN;
        }
    }

    /// The wall clock was never stepped, and could always be trusted.
    pub fn is_plain(&self) -> bool {
        self.eras.is_empty()
    }

    /// What the wall clock shows then.
    pub fn of(&self, at: Stamp) -> Stamp {
        moved(at, self.era_of(at).offset_ms)
    }

    /// What the wall clock showed just before, and would have shown then.
    pub fn until(&self, at: Stamp) -> Stamp {
        moved(at, self.era_of(at.plus(-1)).offset_ms)
    }

    /// By how much the wall clock was stepped in `(from, to]`.
    pub fn adjust_ms(&self, from: Stamp, to: Stamp) -> i64 {
        self.era_of(to).offset_ms - self.era_of(from).offset_ms
    }

    /// Whether it could be trusted all the time from `from` to `to`.
    pub fn is_synced(&self, from: Stamp, to: Stamp) -> bool {
        self.spans(from, to.max(from).plus(1)).all(|span| span.is_synced)
    }

    /// Whether it can be trusted now.
    pub fn is_synced_now(&self) -> bool {
        self.last().is_synced
    }

    /// What it shows now more than the timeline.
    pub fn offset_ms(&self) -> i64 {
        self.last().offset_ms
    }

    /// The era that holds `at`.
    pub fn era_of(&self, at: Stamp) -> Span {
        let after = self.eras.partition_point(|era| era.at <= at);
        let era = after.checked_sub(1).map_or(FIRST, |index| self.eras[index]);
        let to = self.eras.get(after).map_or(Stamp::MAX, |next| next.at);
        Span { from: era.at, to, offset_ms: era.offset_ms, is_synced: era.is_synced }
    }

    /// The eras inside `[from, to)`, cut to it, in order and without gap.
    pub fn spans(&self, from: Stamp, to: Stamp) -> impl Iterator<Item = Span> + '_ {
        let mut at = from;
        std::iter::from_fn(move || {
            (at < to).then(|| {
                let era = self.era_of(at);
                let span = Span { from: at, to: era.to.min(to), ..era };
                at = span.to;
                span
            })
        })
    }

    /// The earliest and the latest time that the wall clock shows in `[from, to)`.
    pub fn shown(&self, from: Stamp, to: Stamp) -> (Stamp, Stamp) {
        let first = self.spans(from, to).map(|span| span.shown(span.from)).min();
        let last = self.spans(from, to).map(|span| span.shown(span.to)).max();
        (first.unwrap_or(self.of(from)), last.unwrap_or(self.of(to)))
    }

    /// All that the wall clock shows as a time in `[from, to)`: spans of the timeline, in order; those that meet are one.
    pub fn times(&self, from: Stamp, to: Stamp) -> Vec<(Stamp, Stamp)> {
        let mut times: Vec<(Stamp, Stamp)> = Vec::new();
        for era in self.spans(Stamp::MIN, Stamp::MAX) {
            let first = moved(from, -era.offset_ms).max(era.from);
            let end = moved(to, -era.offset_ms).min(era.to);
            match times.last_mut().filter(|last| last.1 == first) {
                _ if first >= end => {}
                Some(last) => last.1 = end,
                None => times.push((first, end)),
            }
        }
        times
    }

    /// The first instant at which the wall clock shows a time in `[from, to)`, and the end of the last one. If it never
    /// does, both are the step that left them out.
    pub fn hull(&self, from: Stamp, to: Stamp) -> (Stamp, Stamp) {
        if self.is_plain() {
            return (from, to);
        }
        let times = self.times(from, to);
        if let (Some(first), Some(last)) = (times.first(), times.last()) {
            return (first.0, last.1);
        }
        let step = self.eras.iter().find(|era| moved(era.at, era.offset_ms) >= to).map_or(Stamp::MAX, |era| era.at);
        (step, step)
    }

    /// The last instant up to `now` at which the wall clock showed this time; of one that it left out, the step that did; of
    /// one to come, when it will show it.
    pub fn instant(&self, shown: Stamp, now: Stamp) -> Stamp {
        let to_come = moved(shown, -self.last().offset_ms);
        let mut next: Option<&Era> = None;
        for era in self.eras.iter().rev().chain([&FIRST]) {
            let at = moved(shown, -era.offset_ms);
            let found = match next.filter(|step| at >= step.at) {
                Some(step) => (moved(step.at, step.offset_ms) > shown).then_some(step.at),
                None => Some(at),
            };
            if let Some(found) = found.filter(|found| at >= era.at && *found <= now) {
                return found;
            }
            next = Some(era);
        }
        to_come
    }

    fn last(&self) -> Era {
        self.eras.last().copied().unwrap_or(FIRST)
    }
}

impl Span {
    /// What the wall clock shows at an instant of this era, or would show then.
    pub fn shown(&self, at: Stamp) -> Stamp {
        moved(at, self.offset_ms)
    }

    /// The instant at which the wall clock shows this time in this era, or would show it.
    pub fn instant(&self, shown: Stamp) -> Stamp {
        moved(shown, -self.offset_ms)
    }
}

const FIRST: Era = Era { at: Stamp::MIN, offset_ms: 0, is_synced: true };

/// "Never" and "always" stay what they are.
fn moved(at: Stamp, ms: i64) -> Stamp {
    if at == Stamp::MIN || at == Stamp::MAX { at } else { at.plus(ms) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Stamp {
        Stamp::from_ms(second * 1000)
    }

    fn wall(steps: &[(i64, i64)]) -> Wall {
        let mut wall = Wall::default();
        for (second, offset) in steps {
            wall.enter(Era { at: at(*second), offset_ms: offset * 1000, is_synced: true });
        }
        wall
    }

    #[test]
    fn a_clock_that_was_never_set_shows_the_timeline() {
        let wall = Wall::default();
        assert!(wall.is_plain() && wall.is_synced_now());
        assert_eq!((wall.of(at(7)), wall.adjust_ms(at(1), at(9))), (at(7), 0));
        assert_eq!(wall.times(at(1), at(9)), [(at(1), at(9))]);
        assert_eq!(wall.hull(Stamp::MIN, Stamp::MAX), (Stamp::MIN, Stamp::MAX));
    }

    #[test]
    fn a_step_forward_leaves_times_out() {
        let wall = wall(&[(100, 50)]);
        assert_eq!([99, 100, 101].map(|second| wall.of(at(second))), [99, 150, 151].map(at));
        assert_eq!(wall.until(at(100)), at(100));
        assert_eq!((wall.adjust_ms(at(90), at(100)), wall.adjust_ms(at(100), at(200))), (50_000, 0));
        assert_eq!(wall.times(at(90), at(120)), [(at(90), at(100))]);
        assert_eq!(wall.times(at(90), at(160)), [(at(90), at(110))]);
        assert_eq!((wall.times(at(110), at(140)), wall.hull(at(110), at(140))), (Vec::new(), (at(100), at(100))));
        assert_eq!([99, 100, 149, 150].map(|second| wall.instant(at(second), at(999))), [99, 100, 100, 100].map(at));
    }

    #[test]
    fn a_step_back_shows_times_twice() {
        let wall = wall(&[(100, -50)]);
        assert_eq!([99, 100, 151].map(|second| wall.of(at(second))), [99, 50, 101].map(at));
        assert_eq!(wall.times(at(40), at(60)), [(at(40), at(60)), (at(100), at(110))]);
        assert_eq!(wall.times(at(40), at(200)), [(at(40), at(250))]);
        assert_eq!(wall.hull(at(40), at(60)), (at(40), at(110)));
        assert_eq!([49, 50, 99, 100].map(|second| wall.instant(at(second), at(999))), [49, 100, 149, 150].map(at));
    }

    #[test]
    fn of_a_time_that_comes_twice_the_one_that_was_is_meant() {
        let wall = wall(&[(100, -50)]);
        assert_eq!(wall.instant(at(90), at(120)), at(90));
        assert_eq!(wall.instant(at(90), at(140)), at(140));
        assert_eq!(wall.instant(at(300), at(120)), at(350));
    }

    #[test]
    fn a_clock_that_is_set_all_the_time_fills_no_memory() {
        let wall = wall(&(0..5000).map(|second| (second, second % 7)).collect::<Vec<_>>());
        assert_eq!(wall.eras.len(), ERAS_MOST);
        assert_eq!(wall.of(at(4999)), at(4999 + 4999 % 7));
    }
}
