//! Raw counter values in, parts out: through rollover, reset, preset and torn reads, and never a part that was not made.
//!
//! Between two looks of an unbroken row at most one thing happens to a counter. In a gap it may have been reset and have
//! counted on past its old value, or have gone round more than once: then [`Credit`] says the fewest and the most as well.

use crate::event::{Ideal, Stamp};

/// Without a known rate a counter that fell to at most this was reset and not preset.
const NEAR_ZERO: i64 = 10;

/// Even the slowest machine may show so many cycles at one look.
const LEAST_CYCLES: i64 = 2;

/// Without a known rate no more are believed at once between two looks of a row: a torn read of two registers shows at
/// least 10 000 too many or too few (BCD; else 65 536).
const MOST_WITHOUT_RATE: i64 = 5_000;

/// After so many implausible looks in a row it is said that the counter is too fast for its rate.
const DOUBT_LOOKS: u8 = 10;

/// A value that is back where it was after at most so many looks was never away: a torn read that lasted longer than one.
const RETURN_LOOKS: u8 = 3;

/// What a counter can do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CounterRule {
    /// It starts at 0 again after so many.
    pub modulus: i64,
    /// Its fastest plausible cycle; `None`: half the modulus in a gap, and 5000 a look else.
    pub max_rate: Option<Ideal>,
    /// Looks that lie further apart than this have a gap between them.
    pub gap_ms: i64,
}

/// One look at a counter, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    /// What happened to it.
    pub what: What,
    /// So many cycles are counted.
    pub cycles: i64,
    /// Fewest that were made.
    pub least: i64,
    /// Most that can have been made; `None`: no rate is known, so nobody can say.
    pub most: Option<i64>,
}

/// What happened to a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The first sight counts nothing.
    First,
    /// It went on.
    Counted,
    /// Implausible; the next look decides. Nothing is counted until then.
    Doubt,
    /// It fell to (near) zero and counted on.
    Reset {
        /// Last value before.
        from: i64,
        /// First value after.
        to: i64,
    },
    /// It was set by hand: the jump is not counted, what came after it is.
    Adjusted {
        /// Last value before.
        from: i64,
        /// First value after.
        to: i64,
    },
    /// It moves on and on, but faster than it can: not counted.
    TooFast {
        /// Last value believed.
        from: i64,
        /// Value now.
        to: i64,
    },
    /// The jump of a moment ago was none: it is back where it was.
    Returned {
        /// Last value before.
        from: i64,
        /// First value after.
        to: i64,
    },
}

impl Credit {
    fn exact(what: What, cycles: i64) -> Credit {
        Credit { what, cycles, least: cycles, most: Some(cycles) }
    }

    /// Whether just so many were made as are counted.
    pub fn is_exact(&self) -> bool {
        self.least == self.cycles && self.most == Some(self.cycles)
    }
}

/// A raw value and when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// As the PLC held it.
    pub raw: i64,
    /// When.
    pub at: Stamp,
    /// What its overflow flag said then; `None`: it has none, or it was not read.
    pub flag: Option<bool>,
}

/// One counter, as far as it was seen.
#[derive(Clone, Debug)]
pub struct Counter {
    rule: CounterRule,
    last: Option<Mark>,
    /// An implausible value: a torn read, or the first after a reset or preset.
    doubt: Option<Mark>,
    /// So many looks were doubted without a believed one between them.
    doubts: u8,
    /// The last look, believed or not.
    looked_at: Option<Stamp>,
    /// The look before the last gap.
    dark_since: Option<Stamp>,
    /// What stood before the last jump.
    jump: Option<Jump>,
    /// The overflow flag as last read, and when.
    flag: Option<(bool, Stamp)>,
    /// When the flag rose, until a rollover has been found for it.
    rose_at: Option<Stamp>,
}

/// A jump that may still turn out to be none.
#[derive(Clone, Copy, Debug)]
struct Jump {
    before: Mark,
    /// Credited since.
    cycles: i64,
    looks_left: u8,
}

/// Whether a counter passed its end between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    /// Its flag says so.
    Seen,
    /// Its flag says that it did not.
    Excluded,
    /// Nobody says.
    Unsaid,
}

impl Counter {
    /// Not seen yet, or last seen at a mark.
    pub fn new(mut rule: CounterRule, last: Option<Mark>) -> Counter {
        // A counter that could go round between two looks of a row has a gap between any two.
        if let Some(rate) = rule.max_rate {
            rule.gap_ms = rule.gap_ms.min(rate.time_ms(rule.modulus.saturating_sub(LEAST_CYCLES)));
        }
        let flag = last.and_then(|last| Some((last.flag?, last.at)));
        Counter {
            rule,
            last,
            doubt: None,
            doubts: 0,
            looked_at: last.map(|last| last.at),
            dark_since: None,
            jump: None,
            flag,
            rose_at: None,
        }
    }

    /// The last value that was believed.
    pub fn last(&self) -> Option<Mark> {
        self.last
    }

    /// A look at its overflow flag; `None`: it could not be read. It is told before the counter's value of the same look.
    pub fn see_flag(&mut self, flag: Option<bool>, at: Stamp) {
        if flag == Some(true) && self.flag.is_some_and(|(before, _)| !before) {
            self.rose_at = Some(at);
        }
        self.flag = flag.map(|flag| (flag, at));
    }

    /// A look at the counter.
    pub fn see(&mut self, raw: i64, at: Stamp) -> Credit {
        let now = Mark { raw, at, flag: self.flag.map(|(flag, _)| flag) };
        if let Some(before) = self.looked_at.replace(at)
            && at.since(before) > self.rule.gap_ms
        {
            self.dark_since = Some(before);
        }
        let Some(last) = self.last else {
            self.last = Some(now);
            return Credit::exact(What::First, 0);
        };
        let fell = self.value(now) < self.value(last);
        let overflow = self.overflow(last);
        match overflow {
            Overflow::Seen if !fell && self.is_plausible(self.round(last, now), last, now) => {
                return self.go_on(last, now, self.rule.modulus, Overflow::Seen);
            }
            Overflow::Excluded if fell => {}
            Overflow::Seen | Overflow::Excluded | Overflow::Unsaid => {
                if self.is_plausible(self.ahead(last, now), last, now) {
                    return self.go_on(last, now, 0, overflow);
                }
            }
        }
        if let Some(jump) = self.jump
            && !self.is_dark_since(last)
            && self.is_plausible(self.ahead(jump.before, now), jump.before, now)
        {
            let cycles = (self.ahead(jump.before, now) - jump.cycles).max(0);
            self.believe(now);
            self.jump = None;
            return Credit::exact(What::Returned { from: last.raw, to: raw }, cycles);
        }
        let Some(doubt) = self.doubt.filter(|doubt| self.is_plausible(self.ahead(*doubt, now), *doubt, now)) else {
            return self.doubt(last, now);
        };
        if overflow == Overflow::Seen && fell && self.is_plausible(self.value(doubt), last, doubt) {
            // The flag outweighs the rate, but what came since the overflow must be possible, and a torn read at the very
            // overflow is not its end.
            self.doubts += 1;
            if self.doubts <= RETURN_LOOKS {
                return Credit::exact(What::Doubt, 0);
            }
            let credit = self.go_on(last, now, 0, Overflow::Seen);
            return Credit { least: credit.least.min(self.value(now)), ..credit };
        }
        // The flag and the counter may be read in two requests: only a later look says that it did not rise.
        if overflow == Overflow::Excluded && self.flag.is_some_and(|(_, read_at)| read_at <= doubt.at) {
            return Credit::exact(What::Doubt, 0);
        }
        self.jumped(last, doubt, now)
    }

    fn believe(&mut self, now: Mark) {
        self.last = Some(now);
        (self.doubt, self.doubts) = (None, 0);
    }

    /// A value that follows neither from the last one nor from the one doubted before.
    fn doubt(&mut self, last: Mark, now: Mark) -> Credit {
        let doubted = self.doubt.replace(now);
        self.doubts += 1;
        let half = self.rule.modulus / 2;
        let leaps = |from: Mark, to: Mark| (MOST_WITHOUT_RATE + 1..=half).contains(&self.ahead(from, to));
        let rises = |doubted: Mark| leaps(last, doubted) && leaps(doubted, now);
        if self.rule.max_rate.is_none() && doubted.is_some_and(rises) {
            // Nobody said how fast it is, and it went on: a fast counter, no torn read.
            return self.go_on(last, now, 0, Overflow::Unsaid);
        }
        if self.doubts < DOUBT_LOOKS {
            return Credit::exact(What::Doubt, 0);
        }
        let most = self.most(now.at.since(last.at)).map(|most| most.max(self.ahead(last, now)));
        self.believe(now);
        Credit { what: What::TooFast { from: last.raw, to: now.raw }, cycles: 0, least: 0, most }
    }

    /// Nothing but counting happened, as far as anybody can see. `round`: so many more, because it passed its end.
    fn go_on(&mut self, last: Mark, now: Mark, round: i64, overflow: Overflow) -> Credit {
        let (cycles, least, most) = self.made(last, now, round, overflow);
        self.believe(now);
        if round > 0 || self.value(now) < self.value(last) {
            self.rose_at = None;
        }
        self.jump = self.jump.filter(|_| !self.is_dark_since(last)).and_then(|jump| {
            let looks_left = jump.looks_left.checked_sub(1)?;
            Some(Jump { cycles: jump.cycles.saturating_add(cycles), looks_left, ..jump })
        });
        Credit { what: What::Counted, cycles, least, most }
    }

    /// An implausible value that a second look bears out.
    fn jumped(&mut self, last: Mark, doubt: Mark, now: Mark) -> Credit {
        let (since, least, most) = self.made(doubt, now, 0, Overflow::Unsaid);
        let elapsed_ms = doubt.at.since(last.at);
        let most_before = self.most(elapsed_ms);
        let (value, old) = (self.value(doubt), self.value(last));
        let is_reset = value < old && value <= most_before.unwrap_or(NEAR_ZERO);
        let (what, credited) = match is_reset {
            true => (What::Reset { from: last.raw, to: doubt.raw }, value),
            false => (What::Adjusted { from: last.raw, to: doubt.raw }, 0),
        };
        let cycles = credited.saturating_add(since);
        self.believe(now);
        self.jump = Some(Jump { before: last, cycles, looks_left: RETURN_LOOKS });
        let most = most_before.zip(most).map(|(before, since)| before.max(credited).saturating_add(since));
        Credit { what, cycles, least: credited.saturating_add(least), most }
    }

    /// Cycles from one mark to another: as many as the values say, and the fewest and most that can hide behind them.
    fn made(&self, from: Mark, to: Mark, round: i64, overflow: Overflow) -> (i64, i64, Option<i64>) {
        let cycles = self.ahead(from, to).saturating_add(round);
        let elapsed_ms = to.at.since(from.at);
        // A counter that shows after a gap what it showed before was not reset just to count up to the same value.
        if !self.is_dark_since(from) || cycles == 0 && self.doubt.is_none() {
            return (cycles, cycles, Some(cycles));
        }
        let (old, value) = (self.value(from), self.value(to));
        let Some(most) = self.most(elapsed_ms) else {
            // Without a rate only a fall hints at a reset.
            return match value < old {
                true if overflow == Overflow::Seen => (cycles, cycles, None),
                false if self.doubt.is_some() => (cycles, cycles, None),
                true => (cycles, cycles.min(value), None),
                false => (cycles, cycles, Some(cycles)),
            };
        };
        let may_be_reset = value <= most;
        let may_go_round = overflow != Overflow::Excluded && cycles.saturating_add(self.rule.modulus) <= most;
        let least = if may_be_reset && value < old && overflow != Overflow::Seen { cycles.min(value) } else { cycles };
        (cycles, least, Some(if may_be_reset || may_go_round { most.max(cycles) } else { cycles }))
    }

    fn round(&self, from: Mark, to: Mark) -> i64 {
        self.ahead(from, to).saturating_add(self.rule.modulus)
    }

    fn overflow(&self, last: Mark) -> Overflow {
        match (last.flag, self.flag) {
            _ if self.rose_at.is_some_and(|rose_at| rose_at >= last.at) => Overflow::Seen,
            (Some(false), Some((false, _))) => Overflow::Excluded,
            _ => Overflow::Unsaid,
        }
    }

    /// As a number from 0: a signed register counts on below it.
    fn value(&self, mark: Mark) -> i64 {
        mark.raw.rem_euclid(self.rule.modulus)
    }

    fn ahead(&self, from: Mark, to: Mark) -> i64 {
        // A register of 64 bits has the largest modulus there is: no difference of two values goes beyond it.
        to.raw.wrapping_sub(from.raw).rem_euclid(self.rule.modulus)
    }

    /// Whether a machine could make so many cycles between two marks.
    fn is_plausible(&self, cycles: i64, from: Mark, to: Mark) -> bool {
        // What is always plausible needs no division: most looks show one part or none.
        let elapsed_ms = to.at.since(from.at);
        let without_rate = || match self.is_dark_since(from) {
            true => self.rule.modulus / 2,
            false => MOST_WITHOUT_RATE.min(self.rule.modulus / 2),
        };
        cycles <= LEAST_CYCLES.min(self.rule.modulus - 1)
            || cycles <= self.most(elapsed_ms).unwrap_or_else(without_rate)
    }

    /// Whether there was a gap after a look.
    fn is_dark_since(&self, mark: Mark) -> bool {
        self.dark_since.is_some_and(|dark_since| dark_since >= mark.at)
    }

    /// The most cycles in a time.
    fn most(&self, elapsed_ms: i64) -> Option<i64> {
        self.rule.max_rate.map(|rate| rate.parts_in(elapsed_ms).saturating_add(1).max(LEAST_CYCLES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use What::{Adjusted, Counted, Doubt, First, Reset, Returned, TooFast};

    const GAP_MS: i64 = 5_000;

    /// A u16 counter of a machine with an ideal cycle of 1 s: at most 4 a second are plausible.
    fn counter() -> Counter {
        Counter::new(CounterRule { modulus: 65_536, max_rate: Ideal::new(1000, 4), gap_ms: GAP_MS }, None)
    }

    fn second(second: i64) -> Stamp {
        Stamp::from_ms(second * 1000)
    }

    /// One look a second: what happened, and how many cycles were counted.
    fn looks(raws: &[i64]) -> Vec<(What, i64)> {
        let mut counter = counter();
        let looks = (0..).zip(raws).map(|(at, raw)| counter.see(*raw, second(at)));
        looks.map(|credit| (credit.what, credit.cycles)).collect()
    }

    /// A look at a value, then one at another after so many seconds, then every second: fewest, counted and most.
    fn after_a_gap(seconds: i64, raws: &[i64]) -> (i64, i64, Option<i64>) {
        let mut counter = counter();
        let at = |index: i64| if index == 0 { second(0) } else { second(seconds + index - 1) };
        let credits = (0..).zip(raws).map(|(index, raw)| counter.see(*raw, at(index)));
        credits.skip(1).fold((0, 0, Some(0)), |(least, cycles, most), credit| {
            let most = most.zip(credit.most).map(|(most, more)| most + more);
            (least + credit.least, cycles + credit.cycles, most)
        })
    }

    #[test]
    fn the_first_sight_counts_nothing_and_then_each_step_counts() {
        assert_eq!(looks(&[5000, 5000, 5001, 5003]), [(First, 0), (Counted, 0), (Counted, 1), (Counted, 2)]);
    }

    #[test]
    fn a_rollover_counts_on() {
        assert_eq!(looks(&[65_534, 65_535, 1, 2]), [(First, 0), (Counted, 1), (Counted, 2), (Counted, 1)]);
    }

    #[test]
    fn a_reset_credits_the_new_value_once_the_next_look_bears_it_out() {
        let reset = Reset { from: 5001, to: 1 };
        assert_eq!(looks(&[5000, 5001, 1, 2, 3]), [(First, 0), (Counted, 1), (Doubt, 0), (reset, 2), (Counted, 1)]);
    }

    #[test]
    fn what_was_made_between_the_last_look_and_a_reset_is_bounded_by_the_rate() {
        assert_eq!(
            after_a_gap(1, &[5000, 1, 2]),
            (2, 2, Some(6)),
            "4 a second, and one at the edge, before the 2nd look"
        );
        assert_eq!(after_a_gap(100, &[5000, 50, 51]), (51, 51, Some(402)));
    }

    #[test]
    fn a_fall_to_a_value_that_could_not_be_reached_from_zero_is_a_preset() {
        assert_eq!(looks(&[5000, 8, 9])[2], (Adjusted { from: 5000, to: 8 }, 1));
    }

    #[test]
    fn a_preset_is_not_counted_but_reported_with_both_values() {
        let up = Adjusted { from: 100, to: 9000 };
        assert_eq!(looks(&[100, 9000, 9001, 9002]), [(First, 0), (Doubt, 0), (up, 1), (Counted, 1)]);
        let down = Adjusted { from: 5000, to: 4000 };
        assert_eq!(looks(&[5000, 4000, 4000, 4001]), [(First, 0), (Doubt, 0), (down, 0), (Counted, 1)]);
        assert_eq!(after_a_gap(1, &[100, 9000, 9001]), (1, 1, Some(6)), "parts before the preset nobody saw");
    }

    #[test]
    fn a_torn_read_is_never_counted() {
        assert_eq!(looks(&[255, 511, 256, 257]), [(First, 0), (Doubt, 0), (Counted, 1), (Counted, 1)]);
        assert_eq!(looks(&[255, 0, 256, 257]), [(First, 0), (Doubt, 0), (Counted, 1), (Counted, 1)]);
    }

    #[test]
    fn a_torn_read_that_lasts_is_not_counted_either() {
        let (away, back) = (Adjusted { from: 255, to: 511 }, Returned { from: 511, to: 257 });
        assert_eq!(looks(&[255, 511, 511, 257, 258])[1..], [(Doubt, 0), (away, 0), (back, 2), (Counted, 1)]);
        let (away, back) = (Reset { from: 255, to: 0 }, Returned { from: 0, to: 257 });
        assert_eq!(looks(&[255, 0, 0, 0, 257])[1..], [(Doubt, 0), (away, 0), (Counted, 0), (back, 2)]);
    }

    #[test]
    fn a_value_that_comes_back_later_is_a_preset() {
        let raws = [300, 0, 0, 0, 0, 0, 0, 301, 301];
        assert_eq!(looks(&raws)[7..], [(Doubt, 0), (Adjusted { from: 0, to: 301 }, 0)]);
    }

    #[test]
    fn a_rise_in_a_gap_may_hide_a_reset_where_the_new_value_could_be_reached_from_zero() {
        assert_eq!(after_a_gap(100, &[20, 90]), (70, 70, Some(401)));
        assert_eq!(after_a_gap(100, &[5000, 5070]), (70, 70, Some(70)), "5070 are not made in 100 s");
        assert_eq!(after_a_gap(5, &[2, 9]), (7, 7, Some(7)), "no gap");
        assert_eq!(after_a_gap(100, &[90, 90]), (0, 0, Some(0)), "it stood");
    }

    #[test]
    fn a_rollover_in_a_gap_may_have_been_a_reset() {
        assert_eq!(after_a_gap(100, &[65_500, 64]), (64, 100, Some(401)));
        assert_eq!(after_a_gap(10_000, &[65_500, 39_000]), (39_000, 39_036, Some(40_001)));
    }

    #[test]
    fn a_counter_may_go_round_more_than_once_in_a_gap() {
        assert_eq!(after_a_gap(40_000, &[100, 90]), (90, 65_526, Some(160_001)));
        assert_eq!(after_a_gap(40_000, &[100, 200]), (100, 100, Some(160_001)));
    }

    #[test]
    fn without_a_rate_half_the_modulus_is_plausible_in_a_gap_and_5000_in_a_row() {
        let mut counter = Counter::new(CounterRule { modulus: 65_536, max_rate: None, gap_ms: GAP_MS }, None);
        let mut see = |raw, at: i64| counter.see(raw, second(at));
        assert_eq!(see(62_000, 0), Credit::exact(First, 0));
        assert_eq!(see(100, 1), Credit::exact(Counted, 3_636), "a rollover");
        assert_eq!(see(3, 2), Credit::exact(Doubt, 0));
        assert_eq!(see(5, 3), Credit { what: Reset { from: 100, to: 3 }, cycles: 5, least: 5, most: None });
        assert_eq!(see(65_000, 4), Credit::exact(Doubt, 0));
        assert_eq!(see(65_000, 5).what, Adjusted { from: 5, to: 65_000 });
        let unsure = Credit { what: Counted, cycles: 636, least: 100, most: None };
        assert_eq!(see(100, 1000), unsure, "a rollover or a reset");
        assert_eq!(see(20_000, 2000), Credit::exact(Counted, 19_900));
    }

    #[test]
    fn without_a_rate_a_torn_read_is_not_counted_but_a_fast_counter_is() {
        let mut counter = Counter::new(CounterRule { modulus: 1 << 32, max_rate: None, gap_ms: GAP_MS }, None);
        let mut see = |raw, at: i64| counter.see(raw, second(at)).cycles;
        assert_eq!([(0xFFFF, 0), (0x1_FFFF, 1), (0x1_0001, 2)].map(|(raw, at)| see(raw, at)), [0, 0, 2]);
        let fast = [(80_000, 3), (100_000, 4), (120_000, 5), (140_000, 6)];
        assert_eq!(fast.map(|(raw, at)| see(raw, at)), [0, 100_000 - 0x1_0001, 0, 40_000]);
    }

    #[test]
    fn a_counter_that_is_faster_than_its_rate_is_not_counted_but_said_after_ten_looks() {
        let raws: Vec<i64> = (0..=11).map(|look| 1000 + look * 100).collect();
        let looks = looks(&raws);
        assert!(looks[1..10].iter().all(|look| *look == (Doubt, 0)), "{looks:?}");
        assert_eq!(looks[10..], [(TooFast { from: 1000, to: 2000 }, 0), (Doubt, 0)]);
    }

    #[test]
    fn a_signed_register_counts_on_below_zero() {
        assert_eq!(looks(&[32_766, 32_767, -32_767, -32_766])[1..], [(Counted, 1), (Counted, 2), (Counted, 1)]);
        assert_eq!(looks(&[-1, 0, 1])[1..], [(Counted, 1), (Counted, 1)]);
        assert_eq!(looks(&[-20_000, 1, 2])[2], (Reset { from: -20_000, to: 1 }, 2));
    }

    #[test]
    fn any_modulus_rolls_over() {
        let moduli = [2, 10, 10_000, 100_000_000, 1 << 16, 1 << 31, (1 << 31) - 1, 1 << 32, i64::MAX];
        for modulus in moduli {
            let rule = CounterRule { modulus, max_rate: Ideal::new(1000, 1), gap_ms: GAP_MS };
            let mut counter = Counter::new(rule, None);
            counter.see(modulus - 1, second(0));
            assert_eq!(counter.see(0, second(1)).cycles, 1, "{modulus}");
        }
    }

    /// Looks a second apart at value and flag.
    fn flagged(looks: &[(i64, Option<bool>)]) -> Vec<(What, i64)> {
        let mut counter = counter();
        let looks = (0..).zip(looks).map(|(at, (raw, flag))| {
            counter.see_flag(*flag, second(at));
            counter.see(*raw, second(at))
        });
        looks.map(|credit| (credit.what, credit.cycles)).collect()
    }

    const LOW: Option<bool> = Some(false);
    const HIGH: Option<bool> = Some(true);

    #[test]
    fn a_flag_that_rises_with_the_fall_makes_it_a_rollover_also_where_the_rate_doubts_it() {
        let looks = [(65_000, LOW), (3, HIGH), (4, HIGH), (5, HIGH), (6, HIGH), (7, HIGH)];
        let doubts = [(Doubt, 0); 3];
        assert_eq!(flagged(&looks)[1..], [&doubts[..], &[(Counted, 542), (Counted, 1)]].concat());
        let mut counter = counter();
        counter.see_flag(LOW, second(0));
        counter.see(65_000, second(0));
        counter.see_flag(HIGH, second(1));
        let credits = [1, 2, 3, 4].map(|at| counter.see(3, second(at)));
        assert_eq!(credits[3], Credit { what: Counted, cycles: 539, least: 3, most: Some(539) });
    }

    #[test]
    fn a_torn_read_at_the_very_overflow_is_not_counted() {
        for torn in [0xFFFF_0000, 0xFFFF] {
            let rule = CounterRule { modulus: 1 << 32, max_rate: Ideal::new(1000, 4), gap_ms: GAP_MS };
            let mut counter = Counter::new(rule, None);
            let looks = [(0xFFFF_FFFF, LOW), (torn, HIGH), (torn, HIGH), (torn, HIGH), (1, HIGH), (2, HIGH)];
            let cycles = (0..).zip(looks).map(|(at, (raw, flag))| {
                counter.see_flag(flag, second(at));
                counter.see(raw, second(at)).cycles
            });
            assert_eq!(cycles.collect::<Vec<_>>(), [0, 0, 0, 0, 2, 1], "{torn:x}");
        }
    }

    #[test]
    fn value_and_flag_are_read_one_after_the_other() {
        let flag_first = flagged(&[(65_534, LOW), (0, LOW), (1, HIGH)]);
        assert_eq!(flag_first[1..], [(Doubt, 0), (Counted, 3)]);
        let value_first = flagged(&[(65_534, LOW), (65_535, HIGH), (2, HIGH)]);
        assert_eq!(value_first[1..], [(Counted, 1), (Counted, 3)]);
    }

    #[test]
    fn a_flag_that_stays_low_makes_a_fall_a_reset_also_where_a_rollover_is_plausible() {
        let reset = Reset { from: 65_534, to: 1 };
        assert_eq!(flagged(&[(65_534, LOW), (1, LOW), (2, LOW)])[1..], [(Doubt, 0), (reset, 2)]);
        assert_eq!(
            flagged(&[(65_534, None), (1, LOW), (2, LOW)])[1..],
            [(Counted, 3), (Counted, 1)],
            "not seen before"
        );
    }

    #[test]
    fn a_latched_flag_says_nothing() {
        assert_eq!(flagged(&[(65_534, HIGH), (1, HIGH)])[1..], [(Counted, 3)]);
        let reset = Reset { from: 5000, to: 1 };
        assert_eq!(flagged(&[(5000, HIGH), (1, HIGH), (1, HIGH)])[1..], [(Doubt, 0), (reset, 1)]);
        assert_eq!(flagged(&[(5000, HIGH), (1, LOW), (1, LOW)])[1..], [(Doubt, 0), (reset, 1)], "cleared with it");
    }

    #[test]
    fn a_rise_says_nothing_of_the_fall_after_the_next() {
        let reset = Reset { from: 5000, to: 1 };
        let mut looks = vec![(65_535, LOW), (0, HIGH)];
        looks.extend([(5000, HIGH); 7]);
        looks.extend([(1, HIGH); 2]);
        assert_eq!(flagged(&looks)[9..], [(Doubt, 0), (reset, 1)]);
    }

    #[test]
    fn a_flag_that_is_read_less_often_is_waited_for_and_one_that_fails_is_not() {
        let mut counter = counter();
        counter.see_flag(LOW, second(0));
        counter.see(65_534, second(0));
        assert_eq!(counter.see(1, second(1)).what, Doubt);
        assert_eq!(counter.see(2, second(2)).what, Doubt);
        counter.see_flag(HIGH, second(3));
        assert_eq!(counter.see(3, second(3)), Credit::exact(Counted, 5));
        counter.see_flag(None, second(4));
        assert_eq!(counter.see(65_000, second(4)).what, Doubt);
        assert_eq!(counter.see(65_001, second(5)).what, Adjusted { from: 3, to: 65_000 });
    }

    #[test]
    fn a_flag_that_rises_in_a_gap_tells_of_a_full_round() {
        let mut counter = counter();
        counter.see_flag(LOW, second(0));
        counter.see(100, second(0));
        counter.see_flag(HIGH, second(20_000));
        assert_eq!(counter.see(200, second(20_000)).cycles, 65_636);
    }
}
