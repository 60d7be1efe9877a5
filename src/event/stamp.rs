//! A point in time in, a point in time out: whole milliseconds since 1970 in UTC. Durations are plain `i64` milliseconds.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z on the gateway's one timeline, which never steps. Where a stamp is one of the wall
/// clock (what is published, what the calendar and the command line name) its words say so: [`super::Wall`] tells the two apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp(i64);

impl Stamp {
    /// Before every other stamp.
    pub const MIN: Stamp = Stamp(i64::MIN);
    /// After every other stamp: "never" as a deadline.
    pub const MAX: Stamp = Stamp(i64::MAX);

    /// The stamp so many milliseconds after 1970.
    pub const fn from_ms(ms: i64) -> Stamp {
        Stamp(ms)
    }

    /// Milliseconds since 1970.
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// This stamp moved by so many milliseconds.
    #[must_use]
    pub const fn plus(self, ms: i64) -> Stamp {
        Stamp(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`.
    pub const fn since(self, earlier: Stamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// RFC 3339 in UTC with milliseconds.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "out of range ({} ms)", self.0),
        }
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Stamp, D::Error> {
        i64::deserialize(deserializer).map(Stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_reads_as_rfc_3339_with_milliseconds() {
        assert_eq!(Stamp::from_ms(1_795_414_443_200).to_string(), "2026-11-23T06:14:03.200Z");
        assert_eq!(Stamp::from_ms(0).to_string(), "1970-01-01T00:00:00.000Z");
    }
}
