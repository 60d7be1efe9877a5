//! The words of cycle times: how long cycles took, as a window, an event and a picture carry them.
//!
//! Times are kept in buckets that grow with the time they hold: [`Cycles`] takes the same room however many cycles it saw,
//! and those of two windows add up to those of both.

use super::Stamp;
use serde::{Deserialize, Serialize};

/// A time is kept to so many of its highest bits: exact below 128 ms, and beyond the middle of its bucket is off by 1 / 128 at most.
const FINE_BITS: u32 = 7;

/// A cycle that takes more than 3 / 2 of the ideal is slow.
const SLOW: (i64, i64) = (3, 2);

/// Cycle times of one machine in one window. Sums only, so windows add up. Milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Compact", into = "Compact")]
pub struct Cycles {
    /// How many times fell into each bucket, in order of the buckets.
    buckets: Vec<(u32, i64)>,
    n: i64,
    /// What a cycle should take; `None` where that was not the same for all.
    ideal_ms: Option<i64>,
    sum_ms: i64,
    min_ms: i64,
    slow: i64,
    slow_lost_ms: i64,
}

/// [`Cycles`] as they are kept: tens of buckets in a few hundred bytes.
#[derive(Serialize, Deserialize)]
struct Compact {
    ideal: Option<i64>,
    sum: i64,
    min: i64,
    slow: i64,
    lost: i64,
    /// How far the bucket lies behind the one before, and how many times fell into it, by turns.
    times: Vec<i64>,
}

impl From<Cycles> for Compact {
    fn from(of: Cycles) -> Compact {
        let mut times = Vec::with_capacity(of.buckets.len() * 2);
        let mut before = 0;
        for (bucket, n) in of.buckets {
            times.extend([i64::from(bucket - before), n]);
            before = bucket;
        }
        Compact { ideal: of.ideal_ms, sum: of.sum_ms, min: of.min_ms, slow: of.slow, lost: of.slow_lost_ms, times }
    }
}

impl From<Compact> for Cycles {
    fn from(kept: Compact) -> Cycles {
        let mut cycles = Cycles {
            ideal_ms: kept.ideal,
            sum_ms: kept.sum,
            min_ms: kept.min,
            slow: kept.slow,
            slow_lost_ms: kept.lost,
            ..Cycles::default()
        };
        let mut last = 0_u32;
        for pair in kept.times.chunks_exact(2) {
            last = last.saturating_add(u32::try_from(pair[0]).unwrap_or_default());
            cycles.count(last, pair[1]);
            cycles.n += pair[1];
        }
        cycles
    }
}

/// Cycles in a row that belong to the same windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spell {
    /// When the first of them ended.
    pub first: Stamp,
    /// When the last of them ended.
    pub last: Stamp,
    /// Their times.
    pub cycles: Cycles,
}

/// What is shown of [`Cycles`]. Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Cycles that were timed.
    pub n: i64,
    /// What a cycle should take; `None` where that was not the same for all.
    pub ideal_ms: Option<i64>,
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
    /// None was timed.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Enters one cycle. Without an ideal none is slow.
    pub fn enter(&mut self, took_ms: i64, ideal_ms: Option<i64>) {
        let took_ms = took_ms.max(0);
        self.agree(ideal_ms);
        self.min_ms = if self.n == 0 { took_ms } else { self.min_ms.min(took_ms) };
        self.count(bucket(took_ms), 1);
        self.n += 1;
        self.sum_ms = self.sum_ms.saturating_add(took_ms);
        if let Some(ideal_ms) = ideal_ms
            && took_ms.saturating_mul(SLOW.1) > ideal_ms.saturating_mul(SLOW.0)
        {
            self.slow += 1;
            self.slow_lost_ms = self.slow_lost_ms.saturating_add(took_ms - ideal_ms);
        }
    }

    /// Adds those of another window.
    pub fn add(&mut self, other: &Cycles) {
        if other.is_empty() {
            return;
        }
        self.agree(other.ideal_ms);
        self.min_ms = if self.n == 0 { other.min_ms } else { self.min_ms.min(other.min_ms) };
        other.buckets.iter().for_each(|(bucket, n)| self.count(*bucket, *n));
        self.n += other.n;
        self.sum_ms = self.sum_ms.saturating_add(other.sum_ms);
        self.slow += other.slow;
        self.slow_lost_ms = self.slow_lost_ms.saturating_add(other.slow_lost_ms);
    }

    fn agree(&mut self, ideal_ms: Option<i64>) {
        self.ideal_ms = ideal_ms.filter(|_| self.n == 0 || self.ideal_ms == ideal_ms);
    }

    fn count(&mut self, bucket: u32, n: i64) {
        match self.buckets.binary_search_by_key(&bucket, |(known, _)| *known) {
            Ok(place) => self.buckets[place].1 += n,
            Err(place) => self.buckets.insert(place, (bucket, n)),
        }
    }

    /// What is shown; `None` where no cycle was timed.
    pub fn figures(&self) -> Option<Figures> {
        let min_ms = self.min_ms;
        (self.n > 0).then(|| Figures {
            n: self.n,
            ideal_ms: self.ideal_ms,
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cycles(times_ms: &[i64], ideal_ms: i64) -> Cycles {
        let mut cycles = Cycles::default();
        times_ms.iter().for_each(|took_ms| cycles.enter(*took_ms, Some(ideal_ms)));
        cycles
    }

    #[test]
    fn figures_of_known_cycles() {
        let times: Vec<i64> = (1..=100).collect();
        let figures = cycles(&times, 60).figures().unwrap();
        let lost = (91..=100).map(|ms| ms - 60).sum();
        assert_eq!(
            figures,
            Figures {
                n: 100,
                ideal_ms: Some(60),
                min_ms: 1,
                mean_ms: 50,
                median_ms: 50,
                p95_ms: 95,
                slow: 10,
                slow_lost_ms: lost
            }
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

    #[test]
    fn cycles_of_two_ideals_have_none() {
        let (one, other) = (cycles(&[900, 1000], 1000), cycles(&[2000], 2000));
        let mut sum = Cycles::default();
        sum.add(&one);
        assert_eq!(sum.figures().unwrap().ideal_ms, Some(1000), "nothing before is no other ideal");
        sum.add(&other);
        assert_eq!(sum.figures().unwrap().ideal_ms, None);
        sum.add(&one);
        assert_eq!(sum.figures().unwrap().ideal_ms, None, "nor does it come back");
    }

    /// The bound that the book, the journal and the marks count on.
    #[test]
    fn an_hour_of_a_part_a_second_takes_less_than_a_kilobyte() {
        let mut chance = 1_u64;
        let mut next = || {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from(chance >> 33).unwrap() % 1000
        };
        let mut hour = Cycles::default();
        for n in 0..3600 {
            // Around a second, give or take a quarter; one in fifty hangs for up to eleven.
            let scatter = (next() + next() - 1000) / 4;
            hour.enter(1000 + scatter + if n % 50 == 0 { next() * 10 } else { 0 }, Some(1000));
        }
        let kept = serde_json::to_string(&hour).unwrap();
        assert!(kept.len() < 1000, "{} bytes", kept.len());
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
        fn what_is_kept_is_read_again(times in prop::collection::vec(0..10_000_000_i64, 0..50)) {
            let cycles = cycles(&times, 1000);
            let kept = serde_json::to_string(&cycles).unwrap();
            prop_assert_eq!(serde_json::from_str::<Cycles>(&kept).unwrap(), cycles);
        }

        #[test]
        fn windows_add_up(a in prop::collection::vec(0..100_000_i64, 0..50), b in prop::collection::vec(0..100_000_i64, 0..50)) {
            let mut sum = cycles(&a, 1000);
            sum.add(&cycles(&b, 1000));
            prop_assert_eq!(sum, cycles(&[a, b].concat(), 1000));
        }
    }
}
