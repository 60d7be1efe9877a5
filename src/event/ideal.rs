//! `"1s"` or `"700/min"` in, an exact fraction out: milliseconds per part.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Longer is no cycle, and would overflow sums. Microseconds.
const LONGEST_US: i64 = 3660 * 86_400_000_000;

/// No machine makes more in a unit of time.
const MOST_PARTS: i64 = 1_000_000_000;

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The ideal time per part as an exact fraction of milliseconds; both numbers are positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ideal {
    /// So many milliseconds …
    pub ms: i64,
    /// … for so many parts.
    pub parts: i64,
}

impl Ideal {
    /// `parts` parts in `ms` milliseconds; `None` unless both are positive.
    pub fn new(ms: i64, parts: i64) -> Option<Ideal> {
        (ms > 0 && parts > 0).then_some(Ideal { ms, parts })
    }

    /// As a configuration and a command write it: an integer before one unit, `"1500us"`, `"1s"`.
    pub fn of_cycle(text: &str) -> Option<Ideal> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let unit_us: i64 = match unit {
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            _ => return None,
        };
        let us = number.parse::<i64>().ok()?.checked_mul(unit_us).filter(|us| *us <= LONGEST_US)?;
        // Exact below a millisecond too: 1500 us are 3 ms for 2 parts.
        let shared = gcd(us, 1_000).max(1);
        Ideal::new(us / shared, 1_000 / shared)
    }

    /// As a configuration and a command write it: whole parts per s, min or h, `"700/min"`.
    pub fn of_rate(text: &str) -> Option<Ideal> {
        let (number, unit) = text.split_once('/')?;
        let ms = match unit {
            "s" => 1_000,
            "min" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        let is_plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let parts = number.parse::<i64>().ok().filter(|parts| is_plain && *parts <= MOST_PARTS)?;
        Ideal::new(ms, parts)
    }

    /// Ideal time for so many parts, in milliseconds, rounded down.
    pub fn time_ms(self, parts: i64) -> i64 {
        clamp(i128::from(parts) * i128::from(self.ms) / i128::from(self.parts))
    }

    /// Whether so many parts take at least so long, to the fraction of a millisecond.
    pub fn fills(self, parts: i64, ms: i64) -> bool {
        i128::from(parts) * i128::from(self.ms) >= i128::from(ms) * i128::from(self.parts)
    }

    /// The most whole parts that fit in so many milliseconds.
    pub fn parts_in(self, ms: i64) -> i64 {
        clamp(i128::from(ms) * i128::from(self.parts) / i128::from(self.ms))
    }

    /// Time per part in milliseconds, rounded down.
    pub fn cycle_ms(self) -> i64 {
        self.ms / self.parts
    }
}

fn clamp(n: i128) -> i64 {
    i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX })
}

impl fmt::Display for Ideal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms / {} parts", self.ms, self.parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ideal_is_written_as_a_time_or_as_a_rate() {
        assert_eq!(Ideal::of_cycle("1s"), Ideal::new(1000, 1));
        assert_eq!(Ideal::of_cycle("1500us"), Ideal::new(3, 2));
        assert_eq!(Ideal::of_rate("700/min"), Ideal::new(60_000, 700));
        for text in ["", "s", "0s", "-1s", "1.5s", "1 s", "99999999999999d"] {
            assert_eq!(Ideal::of_cycle(text), None, "{text}");
        }
        for text in ["", "/min", "0/min", "-1/s", "+1/s", "700/m", "700"] {
            assert_eq!(Ideal::of_rate(text), None, "{text}");
        }
    }
}
