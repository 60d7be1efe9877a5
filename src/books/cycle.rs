//! Looks at a part counter in, cycle times out: how long a part took while the machine ran, how often it was slow.
//!
//! Times are kept in buckets that grow with the time they hold: [`Cycles`] takes the same room however many parts it saw, and
//! those of two windows add up to those of both.

use crate::event::{Ideal, Stamp};
use std::collections::BTreeMap;

/// A time is kept to so many of its highest bits: exact below 128 ms, and beyond the middle of its bucket is off by 1 / 128 at most.
const FINE_BITS: u32 = 7;

/// A cycle that takes more than 3 / 2 of the ideal is slow.
const SLOW: (i64, i64) = (3, 2);

/// A counter that is looked at less often than twice a cycle tells no single cycle.
const LOOKS_A_CYCLE: i64 = 2;

/// Cycle times of one machine in one window. Sums only, so windows add up. Milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cycles {
    /// How many times fell into each bucket.
    buckets: BTreeMap<u32, i64>,
    n: i64,
    sum_ms: i64,
    min_ms: Option<i64>,
    slow: i64,
    slow_lost_ms: i64,
}

/// What is shown of [`Cycles`]. Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Cycles that were timed.
    pub n: i64,
    /// The fastest.
    pub min_ms: i64,
    /// The mean, rounded down.
    pub mean_ms: i64,
    /// Half of them took no longer; off by less than 1 %.
    pub median_ms: i64,
    /// 95 % of them took no longer; off by less than 1 %.
    pub p95_ms: i64,
    /// Those that took more than 1.5 × the ideal.
    pub slow: i64,
    /// What the slow ones took beyond the ideal.
    pub slow_lost_ms: i64,
}

impl Cycles {
    /// Enters one cycle. Without an ideal none is slow.
    pub fn enter(&mut self, took_ms: i64, ideal_ms: Option<i64>) {
        let took_ms = took_ms.max(0);
        *self.buckets.entry(bucket(took_ms)).or_default() += 1;
        self.n += 1;
        self.sum_ms = self.sum_ms.saturating_add(took_ms);
        self.min_ms = Some(self.min_ms.map_or(took_ms, |min_ms| min_ms.min(took_ms)));
        if let Some(ideal_ms) = ideal_ms
            && took_ms.saturating_mul(SLOW.1) > ideal_ms.saturating_mul(SLOW.0)
        {
            self.slow += 1;
            self.slow_lost_ms = self.slow_lost_ms.saturating_add(took_ms - ideal_ms);
        }
    }

    /// Adds those of another window.
    pub fn add(&mut self, other: &Cycles) {
        for (bucket, n) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += n;
        }
        self.n += other.n;
        self.sum_ms = self.sum_ms.saturating_add(other.sum_ms);
        self.min_ms = self.min_ms.into_iter().chain(other.min_ms).min();
        self.slow += other.slow;
        self.slow_lost_ms = self.slow_lost_ms.saturating_add(other.slow_lost_ms);
    }

    /// What is shown; `None` where no cycle was timed.
    pub fn figures(&self) -> Option<Figures> {
        let min_ms = self.min_ms?;
        Some(Figures {
            n: self.n,
            min_ms,
            mean_ms: self.sum_ms / self.n,
            median_ms: self.quantile(1, 2).max(min_ms),
            p95_ms: self.quantile(19, 20).max(min_ms),
            slow: self.slow,
            slow_lost_ms: self.slow_lost_ms,
        })
    }

    /// The time that so large a fraction of the cycles did not exceed, as the middle of its bucket.
    fn quantile(&self, over: i64, under: i64) -> i64 {
        let rank = (i128::from(self.n) * i128::from(over) + i128::from(under) - 1) / i128::from(under);
        let mut passed = 0;
        for (bucket, n) in &self.buckets {
            passed += i128::from(*n);
            if passed >= rank {
                return middle(*bucket);
            }
        }
        0
    }
}

/// The place of a time: how far it was shifted, then its highest bits.
fn bucket(ms: i64) -> u32 {
    let shift = (i64::BITS - ms.leading_zeros()).saturating_sub(FINE_BITS);
    let mantissa = u32::try_from(ms >> shift).unwrap_or(u32::MAX);
    (shift << FINE_BITS) + mantissa
}

/// The middle of a bucket.
fn middle(bucket: u32) -> i64 {
    let (shift, mantissa) = (bucket >> FINE_BITS, i64::from(bucket % (1 << FINE_BITS)));
    (mantissa << shift) + ((1_i64 << shift) - 1) / 2
}

/// Looks at a counter, one after the other, and what of them is the time of a cycle.
///
/// A cycle is timed from one part to the next, both seen as the only new one of their look, while the machine ran and was
/// looked at without a gap. A slower part is one cycle; two parts in one look are none, because nobody knows when the first came.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    ideal: Option<Ideal>,
    parts_per_cycle: i64,
    is_exact_enough: bool,
    last_part: Option<Stamp>,
}

impl Stopwatch {
    /// For a counter that is read every `poll_ms`: cycles are timed only if that is at most half the ideal cycle.
    pub fn new(ideal: Option<Ideal>, parts_per_cycle: i64, poll_ms: i64) -> Stopwatch {
        let cycle_ms = ideal.map(|ideal| ideal.time_ms(parts_per_cycle));
        let is_exact_enough = cycle_ms.is_some_and(|cycle_ms| poll_ms.saturating_mul(LOOKS_A_CYCLE) <= cycle_ms);
        Stopwatch { ideal, parts_per_cycle, is_exact_enough, last_part: None }
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

    /// The ideal time of a cycle, for [`Cycles::enter`].
    pub fn ideal_ms(&self) -> Option<i64> {
        self.ideal.map(|ideal| ideal.time_ms(self.parts_per_cycle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cycles(times_ms: &[i64], ideal_ms: i64) -> Cycles {
        let mut cycles = Cycles::default();
        times_ms.iter().for_each(|took_ms| cycles.enter(*took_ms, Some(ideal_ms)));
        cycles
    }

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
    fn several_parts_a_cycle_are_one_cycle() {
        let mut watch = Stopwatch::new(Ideal::new(1000, 1), 4, 200);
        assert_eq!(watch.ideal_ms(), Some(4000));
        let looks = [(0, 4), (4000, 4), (8000, 8)];
        let times = looks.map(|(at, parts)| watch.see(Stamp::from_ms(at), parts));
        assert_eq!(times, [None, Some(4000), None]);
    }

    #[test]
    fn figures_of_known_cycles() {
        let times: Vec<i64> = (1..=100).collect();
        let figures = cycles(&times, 60).figures().unwrap();
        let lost = (91..=100).map(|ms| ms - 60).sum();
        assert_eq!(
            figures,
            Figures { n: 100, min_ms: 1, mean_ms: 50, median_ms: 50, p95_ms: 95, slow: 10, slow_lost_ms: lost }
        );
        assert_eq!(Cycles::default().figures(), None);
    }

    #[test]
    fn a_cycle_of_just_one_and_a_half_ideals_is_not_slow() {
        assert_eq!(cycles(&[1500, 1501], 1000).figures().unwrap().slow, 1);
        let mut without_ideal = Cycles::default();
        without_ideal.enter(1_000_000, None);
        assert_eq!(without_ideal.figures().unwrap().slow, 0);
    }

    #[test]
    fn a_year_of_any_cycles_takes_a_bounded_number_of_buckets() {
        let mut all = Cycles::default();
        for shift in 0..63 {
            for step in 0..1000 {
                all.enter((1 << shift) + (step << shift) / 1000, None);
            }
        }
        assert!(all.buckets.len() <= 64 * 64 + 64, "{}", all.buckets.len());
        all.enter(i64::MAX, None);
        assert!(all.figures().is_some());
    }

    proptest! {
        #[test]
        fn quantiles_are_off_by_less_than_a_hundredth(mut times in prop::collection::vec(0..4_000_000_i64, 1..300)) {
            let figures = cycles(&times, 1000).figures().unwrap();
            times.sort_unstable();
            let exact = |over: usize, under: usize| times[(times.len() * over).div_ceil(under) - 1];
            for (shown, exact) in [(figures.median_ms, exact(1, 2)), (figures.p95_ms, exact(19, 20))] {
                prop_assert!((shown - exact).abs() * 100 <= exact, "{shown} for {exact}");
            }
            prop_assert_eq!(figures.min_ms, times[0]);
        }

        #[test]
        fn windows_add_up(a in prop::collection::vec(0..100_000_i64, 0..50), b in prop::collection::vec(0..100_000_i64, 0..50)) {
            let mut sum = cycles(&a, 1000);
            sum.add(&cycles(&b, 1000));
            prop_assert_eq!(sum, cycles(&[a, b].concat(), 1000));
        }
    }
}
