//! Texts of the configuration in, what they mean out: durations, rates, times of day, names, addresses.

use crate::{
    books::Ideal,
    config::fault::nearest,
    io::mqtt::Broker,
    signal::point::{Area, Kind},
};
use jiff::{
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

/// Why a text is refused, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) what: String,
    pub(super) hint: Option<String>,
}

fn complaint<T>(what: String, hint: impl Into<String>) -> Result<T, Complaint> {
    Err(Complaint { what, hint: Some(hint.into()) })
}

/// A text with a meaning of its own.
pub(super) trait Word: Sized {
    /// `format` in the schema.
    const FORMAT: &'static str;
    /// `pattern` in the schema, for editors; `read` is what decides.
    const PATTERN: Option<&'static str> = None;
    /// What it means.
    fn read(text: &str) -> Result<Self, Complaint>;
}

/// Ties each type to its name in the schema: how it is deserialized, described, and checked by the shape.
macro_rules! words {
    ($($word:ty),*) => {
        $(
            impl<'de> serde::Deserialize<'de> for $word {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = String::deserialize(deserializer)?;
                    <$word>::read(&text).map_err(|complaint| serde::de::Error::custom(complaint.what))
                }
            }

            impl schemars::JsonSchema for $word {
                fn inline_schema() -> bool {
                    true
                }

                fn schema_name() -> std::borrow::Cow<'static, str> {
                    <$word>::FORMAT.into()
                }

                fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                    let mut schema = schemars::json_schema!({ "type": "string", "format": <$word>::FORMAT });
                    if let Some(pattern) = <$word>::PATTERN {
                        schema.insert("pattern".into(), pattern.into());
                    }
                    schema
                }
            }
        )*

        /// What is wrong with a text of this format.
        pub(super) fn check(format: &str, text: &str) -> Option<Complaint> {
            match format {
                $(<$word>::FORMAT => <$word>::read(text).err(),)*
                _ => None,
            }
        }
    };
}

words!(
    Millis, Silence, Gap, Cycle, Rate, Clock, OnDate, Moment, Name, Levels, Prefix, Zone, PointKind, Reference,
    BrokerUrl, HostPort
);

/// Stands in a table that something was cut out of, so that what is absent is not called missing as well.
/// No key of a file: every table refuses it as unknown.
pub(super) const CUT: &str = "(cut)";

/// A duration in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Millis(pub(super) i64);

/// Longer is no duration of a shop floor, and would overflow sums.
const LONGEST_DAYS: i64 = 3660;

const DAY_US: i64 = 86_400_000_000;

fn duration_us(text: &str) -> Result<i64, Complaint> {
    const HINT: &str = "write an integer before one unit (us, ms, s, m, h or d), like \"200ms\"";
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit_us = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => DAY_US,
        "min" if !number.is_empty() => {
            return complaint(format!("`{text}` is not a duration"), format!("minutes are written \"{number}m\""));
        }
        _ => return complaint(format!("`{text}` is not a duration"), HINT),
    };
    if number.is_empty() {
        return complaint(format!("`{text}` is not a duration"), HINT);
    }
    match number.parse::<i64>().ok().and_then(|n| n.checked_mul(unit_us)).filter(|us| *us <= LONGEST_DAYS * DAY_US) {
        Some(us) => Ok(us),
        None => complaint(format!("`{text}` is too long"), format!("at most {LONGEST_DAYS}d")),
    }
}

impl Word for Millis {
    const FORMAT: &'static str = "andon-duration";
    const PATTERN: Option<&'static str> = Some("^[0-9]+(us|ms|s|m|h|d)$");

    fn read(text: &str) -> Result<Millis, Complaint> {
        // Rounded up: a threshold or a wait is never shorter than written.
        duration_us(text).map(|us| Millis((us + 999) / 1_000))
    }
}

/// `no_data`: a duration, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Silence(pub(super) Option<i64>);

impl Word for Silence {
    const FORMAT: &'static str = "andon-duration-or-off";
    const PATTERN: Option<&'static str> = Some("^([0-9]+(us|ms|s|m|h|d)|off)$");

    fn read(text: &str) -> Result<Silence, Complaint> {
        if text == "off" {
            return Ok(Silence(None));
        }
        Millis::read(text).map(|ms| Silence(Some(ms.0)))
    }
}

/// The silence between two frames of a serial line: a duration, or `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap(pub(super) Option<std::time::Duration>);

impl Word for Gap {
    const FORMAT: &'static str = "andon-duration-or-auto";
    const PATTERN: Option<&'static str> = Some("^([0-9]+(us|ms|s|m|h|d)|auto)$");

    fn read(text: &str) -> Result<Gap, Complaint> {
        if text == "auto" {
            return Ok(Gap(None));
        }
        duration_us(text).map(|us| Gap(Some(std::time::Duration::from_micros(us.unsigned_abs()))))
    }
}

/// Time per part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cycle(pub(super) Ideal);

impl Word for Cycle {
    const FORMAT: &'static str = "andon-cycle";
    const PATTERN: Option<&'static str> = Millis::PATTERN;

    fn read(text: &str) -> Result<Cycle, Complaint> {
        let us = duration_us(text)?;
        // Exact below a millisecond too: 1500 us are 3 ms for 2 parts.
        let ideal = if us % 1_000 == 0 {
            Ideal::new(us / 1_000, 1)
        } else {
            let shared = gcd(us, 1_000);
            Ideal::new(us / shared, 1_000 / shared)
        };
        match ideal {
            Some(ideal) => Ok(Cycle(ideal)),
            None => complaint(format!("`{text}` per part is no time"), "leave the key out if no ideal is known"),
        }
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Parts per time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate(pub(super) Ideal);

/// No machine makes more, and sums of parts stay far from overflow.
const MOST_PARTS: i64 = 1_000_000_000;

impl Word for Rate {
    const FORMAT: &'static str = "andon-rate";
    const PATTERN: Option<&'static str> = Some("^[0-9]+/(s|min|h)$");

    fn read(text: &str) -> Result<Rate, Complaint> {
        const HINT: &str = "write whole parts per s, min or h, like \"700/min\"";
        let Some((number, unit)) = text.split_once('/') else {
            return complaint(format!("`{text}` is not a rate"), HINT);
        };
        let ms = match unit {
            "s" => 1_000,
            "min" => 60_000,
            "h" => 3_600_000,
            "m" => {
                let hint = format!("minutes are written \"{number}/min\"");
                return complaint(format!("`{text}` is not a rate"), hint);
            }
            _ => return complaint(format!("`{text}` is not a rate"), HINT),
        };
        let whole = number.bytes().all(|digit| digit.is_ascii_digit());
        match number.parse().ok().filter(|parts| whole && *parts <= MOST_PARTS).and_then(|parts| Ideal::new(ms, parts))
        {
            Some(ideal) => Ok(Rate(ideal)),
            None => complaint(format!("`{text}` is not a rate"), HINT),
        }
    }
}

/// A time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock(pub(super) Time);

impl Word for Clock {
    const FORMAT: &'static str = "andon-time-of-day";
    const PATTERN: Option<&'static str> = Some("^([01][0-9]|2[0-3]):[0-5][0-9]$");

    fn read(text: &str) -> Result<Clock, Complaint> {
        let digits = |part: &str| (part.len() == 2).then(|| part.parse::<i8>().ok()).flatten();
        let time = text.split_once(':').and_then(|(h, m)| Time::new(digits(h)?, digits(m)?, 0, 0).ok());
        match time {
            Some(time) => Ok(Clock(time)),
            None => complaint(format!("`{text}` is not a time of day"), "write hours and minutes, like \"06:00\""),
        }
    }
}

/// A date of the calendar on the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OnDate(pub(super) Date);

impl Word for OnDate {
    const FORMAT: &'static str = "andon-date";
    const PATTERN: Option<&'static str> = Some("^[0-9]{4}-[0-9]{2}-[0-9]{2}$");

    fn read(text: &str) -> Result<OnDate, Complaint> {
        const HINT: &str = "write year-month-day, like \"2026-12-24\"";
        // 24.12.2026 is the usual slip.
        let parts: Vec<&str> = text.split('-').collect();
        let turned: Vec<&str> = text.split('.').rev().collect();
        let parts = if turned.len() == 3 { turned } else { parts };
        let number = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit()).then(|| part.parse::<i16>().ok());
        let numbers: Vec<i16> = parts.iter().filter_map(|part| number(part).flatten()).collect();
        let &[year, month, day] = numbers.as_slice() else {
            return complaint(format!("`{text}` is not a date"), HINT);
        };
        let narrow = |number: i16| i8::try_from(number).unwrap_or(0);
        match Date::new(year, narrow(month), narrow(day)) {
            Ok(date) if date.to_string() == text => Ok(OnDate(date)),
            Ok(date) => complaint(format!("`{text}` is not a date"), format!("write \"{date}\"")),
            Err(_) => match Date::new(year, narrow(month), 1) {
                Ok(first) => {
                    let month = first.strftime("%B %Y");
                    complaint(
                        format!("there is no date `{text}`"),
                        format!("{month} has {} days", first.days_in_month()),
                    )
                }
                Err(_) => complaint(format!("there is no date `{text}`"), HINT),
            },
        }
    }
}

/// A moment of the clock on the wall, or a whole day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Day(Date),
    At(DateTime),
}

impl Word for Moment {
    const FORMAT: &'static str = "andon-date-or-time";
    const PATTERN: Option<&'static str> =
        Some("^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]([01][0-9]|2[0-3]):[0-5][0-9](:00)?)?$");

    fn read(text: &str) -> Result<Moment, Complaint> {
        let Some((date, time)) = text.split_once(['T', ' ']) else {
            return OnDate::read(text).map(|date| Moment::Day(date.0));
        };
        if time.ends_with('Z') || time.contains(['+', '-']) {
            let what = format!("`{text}` bears an offset, but the clock on the wall is meant");
            return complaint(what, format!("write \"{date}T{}\"", time.get(..5).unwrap_or("06:00")));
        }
        let time = Clock::read(time.strip_suffix(":00").filter(|short| short.contains(':')).unwrap_or(time))?;
        Ok(Moment::At(OnDate::read(date)?.0.to_datetime(time.0)))
    }
}

/// An id that becomes one level of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(pub(super) String);

/// Topics, file names and screens have room for so many characters.
const LONGEST_NAME: usize = 64;

fn level(text: &str) -> Result<(), Complaint> {
    // Dots part `plc.point`, and NATS has no dots in topics; `*` and `>` are wildcards there.
    let stranger = text.chars().find(|c| c.is_whitespace() || c.is_control() || "./\\+#$*>\"',;&|!()".contains(*c));
    if let Some(stranger) = stranger {
        let named = match stranger {
            ' ' => "a space".to_owned(),
            c if c.is_control() || c.is_whitespace() => format!("`{}`", c.escape_default()),
            c => format!("`{c}`"),
        };
        return complaint(
            format!("`{text}` holds {named}, which has no place in a topic"),
            "use letters, digits, `-` and `_`",
        );
    }
    if text.is_empty() {
        return complaint("an id may not be empty".into(), "use letters, digits, `-` and `_`");
    }
    if text.chars().count() > LONGEST_NAME {
        return complaint(format!("`{text}` is too long"), format!("at most {LONGEST_NAME} characters"));
    }
    if text == "_gateway" {
        return complaint("`_gateway` is a topic of the gateway itself".into(), "choose another id");
    }
    Ok(())
}

impl Word for Name {
    const FORMAT: &'static str = "andon-id";

    fn read(text: &str) -> Result<Name, Complaint> {
        level(text).map(|()| Name(text.to_owned()))
    }
}

/// Levels of a topic, parted by `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Levels(pub(super) String);

impl Word for Levels {
    const FORMAT: &'static str = "andon-path";

    fn read(text: &str) -> Result<Levels, Complaint> {
        if text.split('/').any(str::is_empty) {
            let hint = "write enterprise/site/area, with no `/` at either end";
            return complaint(format!("`{text}` has an empty level"), hint);
        }
        text.split('/').try_for_each(level).map(|()| Levels(text.to_owned()))
    }
}

/// First levels of every topic; may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prefix(pub(super) String);

impl Word for Prefix {
    const FORMAT: &'static str = "andon-prefix";

    fn read(text: &str) -> Result<Prefix, Complaint> {
        if text.is_empty() {
            return Ok(Prefix(String::new()));
        }
        Levels::read(text).map(|levels| Prefix(levels.0))
    }
}

/// A time zone of the IANA database.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Zone(pub(super) TimeZone);

impl Word for Zone {
    const FORMAT: &'static str = "andon-time-zone";

    fn read(text: &str) -> Result<Zone, Complaint> {
        if let Ok(zone) = TimeZone::get(text) {
            return Ok(Zone(zone));
        }
        let known: Vec<String> = jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
        let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_lowercase();
        // A city without its continent is the usual slip.
        let city = known.iter().map(String::as_str).find(|name| last(name) == last(text));
        let hint = match city.or_else(|| nearest(text, known.iter().map(String::as_str))) {
            Some(name) => format!("did you mean \"{name}\"?"),
            None => "use a name of the IANA database, like \"Europe/Berlin\"".to_owned(),
        };
        complaint(format!("unknown time zone `{text}`"), hint)
    }
}

/// `type` of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PointKind(pub(super) Kind);

/// The largest text that one read of 125 registers can bring.
const LONGEST_TEXT: u16 = 250;

impl Word for PointKind {
    const FORMAT: &'static str = "andon-point-type";
    const PATTERN: Option<&'static str> = Some("^([iu](16|32|64)|f(32|64)|bcd(16|32)|bool|string\\([0-9]+\\))$");

    fn read(text: &str) -> Result<PointKind, Complaint> {
        const ALL: [(&str, Kind); 11] = [
            ("u16", Kind::U16),
            ("i16", Kind::I16),
            ("u32", Kind::U32),
            ("i32", Kind::I32),
            ("u64", Kind::U64),
            ("i64", Kind::I64),
            ("f32", Kind::F32),
            ("f64", Kind::F64),
            ("bcd16", Kind::Bcd16),
            ("bcd32", Kind::Bcd32),
            ("bool", Kind::Bool { bit: None }),
        ];
        if let Some((_, kind)) = ALL.iter().find(|(word, _)| *word == text) {
            return Ok(PointKind(*kind));
        }
        if let Some(length) = text.strip_prefix("string(").and_then(|rest| rest.strip_suffix(')')) {
            return match length.parse() {
                Ok(bytes @ 1..=LONGEST_TEXT) => Ok(PointKind(Kind::Text(bytes))),
                _ => complaint(
                    format!("`{text}` has an impossible length"),
                    format!("a text has 1 to {LONGEST_TEXT} characters, like \"string(8)\""),
                ),
            };
        }
        let common = match text.to_lowercase().as_str() {
            "word" | "uint" | "uint16" | "ushort" => Some("u16"),
            "int" | "int16" | "short" => Some("i16"),
            "dword" | "udint" | "uint32" => Some("u32"),
            "dint" | "int32" => Some("i32"),
            "real" | "float" | "float32" => Some("f32"),
            "lreal" | "double" | "float64" => Some("f64"),
            _ => None,
        };
        let hint = match common.or_else(|| nearest(text, ALL.iter().map(|(word, _)| *word))) {
            Some(word) => format!("did you mean \"{word}\"?"),
            None => "u16, i16, u32, i32, u64, i64, f32, f64, bcd16, bcd32, bool or string(n)".to_owned(),
        };
        complaint(format!("unknown type `{text}`"), hint)
    }
}

/// A register as manuals write it, counted from 1, the table in its first digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) area: Area,
    pub(super) address: u16,
}

impl Word for Reference {
    const FORMAT: &'static str = "andon-reference";
    const PATTERN: Option<&'static str> = Some("^[0134]([0-9]{4}|[0-9]{5})$");

    fn read(text: &str) -> Result<Reference, Complaint> {
        const HINT: &str =
            "5 or 6 digits: 0 coil, 1 discrete, 3 input, 4 holding, then the number from 1, like \"40101\"";
        if !matches!(text.len(), 5 | 6) || !text.bytes().all(|digit| digit.is_ascii_digit()) {
            return complaint(format!("`{text}` is not a reference"), HINT);
        }
        let area = match text.as_bytes()[0] {
            b'0' => Area::Coil,
            b'1' => Area::Discrete,
            b'3' => Area::Input,
            b'4' => Area::Holding,
            digit => return complaint(format!("no table begins with {}", char::from(digit)), HINT),
        };
        match text[1..].parse::<u32>().ok().and_then(|number| u16::try_from(number.checked_sub(1)?).ok()) {
            Some(address) => Ok(Reference { area, address }),
            None => complaint(format!("`{text}` lies outside its table"), "numbers go from 1 to 65536"),
        }
    }
}

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BrokerUrl(pub(super) Broker);

impl Word for BrokerUrl {
    const FORMAT: &'static str = "andon-broker";
    const PATTERN: Option<&'static str> = Some("^mqtts?://[^/@?#]+/?$");

    fn read(text: &str) -> Result<BrokerUrl, Complaint> {
        const HINT: &str = "write mqtt://host:port, or mqtts://host:port for TLS";
        let (tls, rest) = match text.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            Some((scheme, _)) => return complaint(format!("`{scheme}://` is not a way to reach a broker"), HINT),
            None => return complaint(format!("`{text}` is not a broker"), HINT),
        };
        if rest.contains('@') {
            // The text is not repeated: it may hold a password.
            let hint = "name the user with `username`, the password with `password_file`";
            return complaint("a broker's URL holds no user and no password".into(), hint);
        }
        match host_port(rest.strip_suffix('/').unwrap_or(rest)) {
            Some((host, port)) => {
                Ok(BrokerUrl(Broker { host, port: port.unwrap_or(if tls { 8883 } else { 1883 }), tls }))
            }
            None => complaint(format!("`{text}` is not a broker"), HINT),
        }
    }
}

/// `host:port` of a PLC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPort(pub(super) String);

impl Word for HostPort {
    const FORMAT: &'static str = "andon-host-port";

    fn read(text: &str) -> Result<HostPort, Complaint> {
        if let Some((_, rest)) = text.split_once("://") {
            return complaint(format!("`{text}` is not host:port"), format!("write \"{rest}\""));
        }
        match host_port(text) {
            Some((_, Some(_))) => Ok(HostPort(text.to_owned())),
            Some((_, None)) => complaint(format!("`{text}` names no port"), format!("write \"{text}:502\"")),
            None => complaint(format!("`{text}` is not host:port"), "write \"192.168.0.7:502\""),
        }
    }
}

/// Host without brackets, and port if any.
fn host_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
        None => None,
    };
    (!host.is_empty() && host.chars().all(plain)).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> Option<i64> {
        Millis::read(text).ok().map(|ms| ms.0)
    }

    #[test]
    fn a_duration_is_an_integer_before_one_unit() {
        assert_eq!(ms("200ms"), Some(200));
        assert_eq!(ms("12h"), Some(43_200_000));
        assert_eq!(ms("30d"), Some(2_592_000_000));
        assert_eq!(ms("1us"), Some(1), "rounded up");
        assert_eq!(ms("1001us"), Some(2));
        for wrong in
            ["", "s", "5", "1.5s", "1h30m", "-1s", "5 s", "5S", "5min", "+5s", "4000d", "99999999999999999999s"]
        {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
        assert_eq!(Silence::read("off"), Ok(Silence(None)));
    }

    #[test]
    fn an_ideal_is_an_exact_fraction() {
        assert_eq!(Cycle::read("1s").map(|c| c.0), Ok(Ideal { ms: 1000, parts: 1 }));
        assert_eq!(Cycle::read("1500us").map(|c| c.0), Ok(Ideal { ms: 3, parts: 2 }));
        assert_eq!(Rate::read("700/min").map(|r| r.0), Ok(Ideal { ms: 60_000, parts: 700 }));
        for wrong in ["0/s", "700", "700/m", "-1/s", "+1/s", "1.5/s", "700/day", "/s"] {
            assert!(Rate::read(wrong).is_err(), "{wrong}");
        }
        assert!(Cycle::read("0s").is_err());
    }

    #[test]
    fn a_date_is_year_month_day_and_a_moment_has_no_offset() {
        let day = Date::constant(2026, 12, 4);
        assert_eq!(OnDate::read("2026-12-04"), Ok(OnDate(day)));
        assert_eq!(Moment::read("2026-12-04"), Ok(Moment::Day(day)));
        for noon in ["2026-12-04T12:00", "2026-12-04 12:00", "2026-12-04T12:00:00"] {
            assert_eq!(Moment::read(noon), Ok(Moment::At(day.at(12, 0, 0, 0))), "{noon}");
        }
        for wrong in
            ["", "2026-012-4", "2026-12-4", "04.12.2026", "2026-02-29", "2026-12", "2026-12-04-1", "+026-12-04"]
        {
            assert!(OnDate::read(wrong).is_err() && Moment::read(wrong).is_err(), "{wrong}");
        }
        for wrong in ["2026-12-04T12", "2026-12-04T12:00:30", "2026-12-04T12:00Z", "2026-12-04T12:00+01:00", "T12:00"] {
            assert!(Moment::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_reference_counts_from_one_in_the_table_of_its_first_digit() {
        let read = |text| Reference::read(text).ok().map(|r| (r.area, r.address));
        assert_eq!(read("40001"), Some((Area::Holding, 0)));
        assert_eq!(read("465536"), Some((Area::Holding, 65_535)));
        assert_eq!(read("00012"), Some((Area::Coil, 11)));
        assert_eq!(read("10001"), Some((Area::Discrete, 0)));
        assert_eq!(read("300017"), Some((Area::Input, 16)));
        for wrong in ["40000", "20001", "465537", "4001", "4000001", "4x001", ""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_broker_is_a_url_without_secrets() {
        let read = |text| BrokerUrl::read(text).ok().map(|b| (b.0.host, b.0.port, b.0.tls));
        assert_eq!(read("mqtt://127.0.0.1:1883"), Some(("127.0.0.1".into(), 1883, false)));
        assert_eq!(read("mqtts://broker.example"), Some(("broker.example".into(), 8883, true)));
        assert_eq!(read("mqtt://[::1]:1884"), Some(("::1".into(), 1884, false)));
        for wrong in
            ["127.0.0.1:1883", "tcp://a:1", "mqtt://", "mqtt://a:0", "mqtt://a:99999", "mqtt://a/b", "mqtt://a:b:1"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let secret = BrokerUrl::read("mqtt://joe:hunter2@a").unwrap_err();
        assert!(!secret.what.contains("hunter2"));
    }

    #[test]
    fn an_id_has_no_dots_spaces_or_wildcards() {
        for fine in ["press-7", "EQ_10042", "Halle3", "Förderband"] {
            assert!(Name::read(fine).is_ok(), "{fine}");
        }
        for wrong in ["", "a.b", "a b", "a/b", "a+", "#", "$SYS", "a\tb", "_gateway"] {
            assert!(Name::read(wrong).is_err(), "{wrong}");
        }
        assert!(Levels::read("acme/leipzig/hall-3").is_ok());
        assert!(Levels::read("/acme").is_err());
        assert!(Prefix::read("").is_ok());
    }
}
