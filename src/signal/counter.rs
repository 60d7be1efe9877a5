//! Raw counter values in, parts out: through rollover, reset, preset and torn reads, and never a part that was not made.

use crate::event::{Ideal, Stamp};

/// Without a known rate a counter that fell to at most this was reset and not preset.
const NEAR_ZERO: i64 = 10;

/// Even the slowest machine may show so many cycles at one look.
const LEAST_CYCLES: i64 = 2;

/// What a counter can do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CounterRule {
    /// It starts at 0 again after so many.
    pub modulus: i64,
    /// Its fastest plausible cycle; `None`: half the modulus a look.
    pub max_rate: Option<Ideal>,
}

/// One look at a counter, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credit {
    /// The first sight counts nothing.
    First,
    /// So many cycles.
    Cycles(i64),
    /// Implausible; the next look decides. Nothing is counted until then.
    Doubt,
    /// It fell to (near) zero: so many cycles since.
    Reset {
        /// Last value before.
        from: i64,
        /// First value after.
        to: i64,
        /// Credited.
        cycles: i64,
    },
    /// It was set by hand: the jump is not counted, what came after it is.
    Adjusted {
        /// Last value before.
        from: i64,
        /// First value after.
        to: i64,
        /// Credited.
        cycles: i64,
    },
}

impl Credit {
    /// Cycles that it credits.
    pub fn cycles(self) -> i64 {
        match self {
            Credit::First | Credit::Doubt => 0,
            Credit::Cycles(cycles) | Credit::Reset { cycles, .. } | Credit::Adjusted { cycles, .. } => cycles,
        }
    }
}

/// A raw value and when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// As the PLC held it.
    pub raw: i64,
    /// When.
    pub at: Stamp,
}

/// One counter, as far as it was seen.
#[derive(Clone, Debug)]
pub struct Counter {
    rule: CounterRule,
    last: Option<Mark>,
    /// An implausible value: a torn read, or the first after a reset or preset.
    doubt: Option<Mark>,
}

impl Counter {
    /// Not seen yet, or last seen at a mark.
    pub fn new(rule: CounterRule, last: Option<Mark>) -> Counter {
        Counter { rule, last, doubt: None }
    }

    /// The last value that was believed.
    pub fn last(&self) -> Option<Mark> {
        self.last
    }

    /// A look at the counter.
    pub fn see(&mut self, raw: i64, at: Stamp) -> Credit {
        let now = Mark { raw, at };
        let Some(last) = self.last else {
            self.last = Some(now);
            return Credit::First;
        };
        if let Some(cycles) = self.plausible(last, now) {
            self.doubt = None;
            self.last = Some(now);
            return Credit::Cycles(cycles);
        }
        let Some((doubt, since)) = self.doubt.and_then(|doubt| Some((doubt, self.plausible(doubt, now)?))) else {
            self.doubt = Some(now);
            return Credit::Doubt;
        };
        self.doubt = None;
        self.last = Some(now);
        if (0..last.raw).contains(&doubt.raw) && doubt.raw <= self.most_after_reset(doubt.at.since(last.at)) {
            Credit::Reset { from: last.raw, to: doubt.raw, cycles: doubt.raw + since }
        } else {
            Credit::Adjusted { from: last.raw, to: doubt.raw, cycles: since }
        }
    }

    /// Cycles from one mark to another, if a machine could make them in that time.
    fn plausible(&self, from: Mark, to: Mark) -> Option<i64> {
        let cycles = to.raw.wrapping_sub(from.raw).rem_euclid(self.rule.modulus);
        // What is always plausible needs no division: most looks show one part or none.
        let most = match self.rule.max_rate {
            Some(_) if cycles <= LEAST_CYCLES => LEAST_CYCLES,
            Some(rate) => rate.parts_in(to.at.since(from.at)).saturating_add(1),
            None => self.rule.modulus / 2,
        };
        (cycles <= most.min(self.rule.modulus - 1)).then_some(cycles)
    }

    fn most_after_reset(&self, elapsed_ms: i64) -> i64 {
        self.rule.max_rate.map_or(NEAR_ZERO, |rate| rate.parts_in(elapsed_ms).max(NEAR_ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Credit::{Adjusted, Cycles, Doubt, First, Reset};

    /// One look a second at a u16 counter of a machine with an ideal cycle of 1 s (so at most 4 a second are plausible).
    fn credits(raws: &[i64]) -> Vec<Credit> {
        let rule = CounterRule { modulus: 65_536, max_rate: Ideal::new(1000, 4) };
        let mut counter = Counter::new(rule, None);
        (0..).zip(raws).map(|(second, raw)| counter.see(*raw, Stamp::from_ms(second * 1000))).collect()
    }

    #[test]
    fn the_first_sight_counts_nothing_and_then_each_step_counts() {
        assert_eq!(credits(&[5000, 5000, 5001, 5003]), [First, Cycles(0), Cycles(1), Cycles(2)]);
    }

    #[test]
    fn a_rollover_counts_on() {
        assert_eq!(credits(&[65_534, 65_535, 1, 2]), [First, Cycles(1), Cycles(2), Cycles(1)]);
    }

    #[test]
    fn a_reset_credits_the_new_value_once_the_next_look_bears_it_out() {
        let reset = Reset { from: 5001, to: 1, cycles: 2 };
        assert_eq!(credits(&[5000, 5001, 1, 2, 3]), [First, Cycles(1), Doubt, reset, Cycles(1)]);
    }

    #[test]
    fn a_preset_is_not_counted_but_reported_with_both_values() {
        let up = Adjusted { from: 100, to: 9000, cycles: 1 };
        assert_eq!(credits(&[100, 9000, 9001, 9002]), [First, Doubt, up, Cycles(1)]);
        let down = Adjusted { from: 5000, to: 4000, cycles: 0 };
        assert_eq!(credits(&[5000, 4000, 4000, 4001]), [First, Doubt, down, Cycles(1)]);
    }

    #[test]
    fn a_torn_read_is_never_counted() {
        assert_eq!(credits(&[255, 511, 256, 257]), [First, Doubt, Cycles(1), Cycles(1)]);
        assert_eq!(credits(&[255, 0, 256, 257]), [First, Doubt, Cycles(1), Cycles(1)]);
    }

    #[test]
    fn without_a_rate_up_to_half_the_modulus_is_plausible() {
        let mut counter = Counter::new(CounterRule { modulus: 65_536, max_rate: None }, None);
        let mut see = |raw, second: i64| counter.see(raw, Stamp::from_ms(second * 1000));
        assert_eq!(see(40_000, 0), First);
        assert_eq!(see(100, 1), Cycles(25_636), "a rollover");
        assert_eq!(see(9_000, 2), Cycles(8_900));
        assert_eq!(see(3, 3), Doubt);
        assert_eq!(see(5, 4), Reset { from: 9_000, to: 3, cycles: 5 });
    }
}
