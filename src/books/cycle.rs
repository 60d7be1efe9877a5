//! Looks at a part counter in, cycle times out: how long a part took while the machine ran.

use crate::event::{Ideal, Stamp};

/// A counter that is looked at less often than twice a cycle tells no single cycle.
const LOOKS_A_CYCLE: i64 = 2;

/// Looks at a counter, one after the other, and what of them is the time of a cycle.
///
/// A cycle is timed from one part to the next, both seen as the only new one of their look, while the machine ran and was
/// looked at without a gap. A slower part is one cycle; two parts in one look are none, because nobody knows when the first came.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    ideal: Option<Ideal>,
    parts_per_cycle: i64,
    poll_ms: i64,
    is_exact_enough: bool,
    last_part: Option<Stamp>,
}

impl Stopwatch {
    /// For a counter that is read every `poll_ms`: cycles are timed only if that is at most half the ideal cycle.
    pub fn new(ideal: Option<Ideal>, parts_per_cycle: i64, poll_ms: i64) -> Stopwatch {
        let cycle_ms = ideal.map(|ideal| ideal.time_ms(parts_per_cycle));
        let is_exact_enough = cycle_ms.is_some_and(|cycle_ms| poll_ms.saturating_mul(LOOKS_A_CYCLE) <= cycle_ms);
        Stopwatch { ideal, parts_per_cycle, poll_ms, is_exact_enough, last_part: None }
    }

    /// From here on another ideal may hold: a cycle that began under one and ends under another is none.
    pub fn judge_by(&mut self, ideal: Option<Ideal>) {
        if ideal != self.ideal {
            *self = Stopwatch::new(ideal, self.parts_per_cycle, self.poll_ms);
        }
    }

    /// Goes on from the last part that was seen alone, if it was timed by the same ideal.
    pub fn resume(&mut self, last_part: Option<Stamp>) {
        self.last_part = last_part;
    }

    /// The last part that was seen alone while the machine ran.
    pub fn last_part(&self) -> Option<Stamp> {
        self.last_part
    }

    /// Whether cycles of this machine can be timed at all.
    pub fn is_exact_enough(&self) -> bool {
        self.is_exact_enough
    }

    /// A look that showed so many new parts while the machine ran; the time of a cycle, if one ended here.
    pub fn see(&mut self, at: Stamp, parts: i64) -> Option<i64> {
        match parts {
            0 => None,
            one if one == self.parts_per_cycle => {
                let before = self.last_part.replace(at).filter(|_| self.is_exact_enough)?;
                Some(at.since(before))
            }
            _ => {
                // They came between two looks; the next one begins somewhere in there.
                self.last_part = None;
                None
            }
        }
    }

    /// The machine stood, or nobody looked: what comes next is no cycle.
    pub fn lift(&mut self) {
        self.last_part = None;
    }

    /// The ideal time of a cycle, for [`crate::event::cycle::Cycles::enter`].
    pub fn ideal_ms(&self) -> Option<i64> {
        self.ideal.map(|ideal| ideal.time_ms(self.parts_per_cycle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(poll_ms: i64, looks: &[(i64, i64)]) -> Vec<i64> {
        let mut watch = Stopwatch::new(Ideal::new(1000, 1), 1, poll_ms);
        looks.iter().filter_map(|(at, parts)| watch.see(Stamp::from_ms(*at), *parts)).collect()
    }

    #[test]
    fn a_cycle_lasts_from_one_single_part_to_the_next() {
        let looks = [(0, 0), (200, 1), (400, 0), (1200, 1), (1400, 0), (2600, 1)];
        assert_eq!(watched(200, &looks), [1000, 1400]);
    }

    #[test]
    fn two_parts_in_one_look_and_what_begins_with_them_are_no_cycles() {
        assert_eq!(watched(200, &[(0, 1), (1000, 1), (2000, 2), (3000, 1), (4100, 1)]), [1000, 1100]);
    }

    #[test]
    fn a_stop_is_no_cycle() {
        let mut watch = Stopwatch::new(Ideal::new(1000, 1), 1, 200);
        assert_eq!(watch.see(Stamp::from_ms(0), 1), None);
        watch.lift();
        assert_eq!(watch.see(Stamp::from_ms(60_000), 1), None);
        assert_eq!(watch.see(Stamp::from_ms(61_000), 1), Some(1000));
    }

    #[test]
    fn a_counter_read_too_seldom_times_nothing() {
        let looks = [(0, 1), (1000, 1), (2000, 1)];
        assert_eq!(watched(500, &looks), [1000, 1000]);
        assert!(watched(501, &looks).is_empty());
        assert!(!Stopwatch::new(None, 1, 10).is_exact_enough(), "nor one without an ideal");
    }

    #[test]
    fn a_cycle_between_two_ideals_is_none() {
        let mut watch = Stopwatch::new(Ideal::new(1000, 1), 1, 200);
        assert_eq!(watch.see(Stamp::from_ms(0), 1), None);
        watch.judge_by(Ideal::new(1000, 1));
        assert_eq!(watch.see(Stamp::from_ms(1000), 1), Some(1000));
        watch.judge_by(Ideal::new(2000, 1));
        assert_eq!(watch.see(Stamp::from_ms(2500), 1), None);
        assert_eq!((watch.see(Stamp::from_ms(4500), 1), watch.ideal_ms()), (Some(2000), Some(2000)));
    }

    #[test]
    fn several_parts_a_cycle_are_one_cycle() {
        let mut watch = Stopwatch::new(Ideal::new(1000, 1), 4, 200);
        assert_eq!(watch.ideal_ms(), Some(4000));
        let looks = [(0, 4), (4000, 4), (8000, 8)];
        let times = looks.map(|(at, parts)| watch.see(Stamp::from_ms(at), parts));
        assert_eq!(times, [None, Some(4000), None]);
    }
}
