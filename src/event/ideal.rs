//! `"1s"` or `"700/min"` in, an exact fraction out: milliseconds per part.

use serde::{Deserialize, Serialize};
use std::fmt;

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
