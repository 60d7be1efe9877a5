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

const DAY_MS: i64 = 86_400_000;

/// 9999-12-30T22:00:00Z: the last moment that has a date in every zone.
const LAST_MS: i64 = 253_402_207_200_000;

/// RFC 3339 in UTC with milliseconds.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A report of a year shows two of them a line.
        if let Some(text) = rfc3339(self.0) {
            return f.write_str(str::from_utf8(&text).unwrap_or_default());
        }
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

/// `None` before 1970, and where dates end.
fn rfc3339(ms: i64) -> Option<[u8; 24]> {
    if !(0..LAST_MS).contains(&ms) {
        return None;
    }
    let (year, month, day) = civil(ms / DAY_MS);
    let (second, ms) = (ms % DAY_MS / 1000, ms % 1000);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let parts = [
        (0..4, year),
        (5..7, month),
        (8..10, day),
        (11..13, second / 3600),
        (14..16, second / 60 % 60),
        (17..19, second % 60),
        (20..23, ms),
    ];
    for (places, mut rest) in parts {
        for at in places.rev() {
            text[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
    }
    Some(text)
}

/// The date so many days after 1970-01-01. Years are counted from March on: so the day that leap years have more is their last.
fn civil(days: i64) -> (i64, i64, i64) {
    // Days of 400, 100, 4 years and of one; 719 468 lie between 0000-03-01 and 1970.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // March to July, and August to December, have 153 days.
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_jiff(ms: i64) -> String {
        format!("{:.3}", jiff::Timestamp::from_millisecond(ms).unwrap())
    }

    #[test]
    fn a_stamp_reads_as_rfc_3339_with_milliseconds() {
        assert_eq!(Stamp::from_ms(1_795_414_443_200).to_string(), "2026-11-23T06:14:03.200Z");
        assert_eq!(Stamp::from_ms(0).to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn every_date_is_shown_as_it_is_named() {
        for day in 0..LAST_MS / DAY_MS {
            let ms = day * DAY_MS + day % DAY_MS;
            assert_eq!(rfc3339(ms).map(|text| String::from_utf8(text.to_vec()).unwrap()), Some(by_jiff(ms)));
        }
    }

    proptest! {
        #[test]
        fn every_moment_is_shown_as_it_is_named(ms in -62_135_596_800_000..LAST_MS - DAY_MS) {
            prop_assert_eq!(Stamp::from_ms(ms).to_string(), by_jiff(ms));
        }
    }
}
