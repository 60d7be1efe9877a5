//! The text of a configuration in, what the time model needs of it out. Read anew, not through `andon::config`.

use jiff::{Timestamp, civil, tz::TimeZone};
use std::collections::BTreeMap;
use toml::{Table, Value};

const DAY_MS: i64 = 86_400_000;

/// Milliseconds a part as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ideal {
    pub ms: i128,
    pub parts: i128,
}

impl Ideal {
    pub fn ms_of(self, parts: i64) -> f64 {
        parts as f64 * self.ms as f64 / self.parts as f64
    }
}

#[derive(Clone, Debug)]
pub struct Shift {
    pub id: String,
    /// 0 is Monday.
    days: Vec<i8>,
    start: civil::Time,
    end: civil::Time,
    breaks: Vec<(civil::Time, civil::Time)>,
}

#[derive(Clone, Debug)]
pub struct Reason {
    pub code: String,
    pub class: String,
    pub counts_in: Option<String>,
    pub faults: Vec<i64>,
    pub machines: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Counter {
    pub point: String,
    pub modulus: i128,
}

#[derive(Clone, Debug)]
pub struct Machine {
    pub id: String,
    pub run: String,
    pub total: Option<Counter>,
    pub good: Option<Counter>,
    pub reject: Option<Counter>,
    pub fault: Option<String>,
    pub order: Option<String>,
    pub state: Option<String>,
    /// What a code of the state point says of a stop.
    pub codes: BTreeMap<i64, String>,
    pub ideal: Option<Ideal>,
    pub short_stop_ms: i64,
    /// `None`: "off".
    pub no_data_ms: Option<i64>,
    pub order_required: bool,
    pub opens_at_fault: bool,
    pub parts_per_cycle: i64,
}

/// A configuration, as far as the time model asks.
#[derive(Clone, Debug)]
pub struct Plant {
    zone: TimeZone,
    day_start: civil::Time,
    pub convention: String,
    cells: BTreeMap<String, String>,
    pub shifts: Vec<Shift>,
    pub products: BTreeMap<String, Option<Ideal>>,
    pub reasons: Vec<Reason>,
    pub machines: Vec<Machine>,
}

/// A time with a beginning, an end and a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub id: String,
    pub from: i64,
    pub to: i64,
}

/// Shifts and breaks as instants, around a time.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    pub has_shifts: bool,
    pub shifts: Vec<Named>,
    pub breaks: Vec<(i64, i64)>,
    pub days: Vec<Named>,
}

/// What the calendar says of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hours {
    Planned,
    Break,
    Closed,
}

impl Plant {
    pub fn read(text: &str) -> Plant {
        let table: Table = text.parse().expect("the configuration is TOML");
        let gateway = table["gateway"].as_table().unwrap();
        let oee = table.get("oee").and_then(Value::as_table).cloned().unwrap_or_default();
        let mut cells: BTreeMap<String, String> =
            oee.iter().map(|(cell, counts_in)| (cell.clone(), counts_in.as_str().unwrap().to_owned())).collect();
        let convention = cells.remove("convention").unwrap_or_else(|| "oee.com".to_owned());
        let points = points(&table);
        Plant {
            zone: TimeZone::get(gateway["timezone"].as_str().unwrap()).unwrap(),
            day_start: clock(table.get("day_start").map_or("00:00", |start| start.as_str().unwrap())),
            convention,
            cells,
            shifts: tables(&table, "shift").map(shift).collect(),
            products: tables(&table, "product")
                .map(|product| (product["code"].as_str().unwrap().to_owned(), ideal(product)))
                .collect(),
            reasons: tables(&table, "reason").map(reason).collect(),
            machines: tables(&table, "machine").map(|table| machine(table, &points)).collect(),
        }
    }

    /// What a stop or break counts in, if its reason says nothing of it: the table of conventions.
    pub fn cell(&self, row: &str) -> String {
        if let Some(cell) = self.cells.get(row) {
            return cell.clone();
        }
        let [iso, oee_com, smrp] = match row {
            "failure" | "operational" | "unassigned" | "changeover" | "external" => ["availability"; 3],
            "no_order" => ["availability", "excluded", "excluded"],
            "planned" | "break" => ["excluded", "excluded", "availability"],
            "short_stop" => ["availability", "performance", "performance"],
            _ => panic!("there is no row {row}"),
        };
        let column = match self.convention.as_str() {
            "iso22400" => iso,
            "oee.com" => oee_com,
            "smrp" => smrp,
            other => panic!("there is no convention {other}"),
        };
        column.to_owned()
    }

    /// The calendar of all days that `from..to` touches.
    pub fn calendar(&self, from: i64, to: i64) -> Calendar {
        let date = |at: i64| self.zone.to_datetime(Timestamp::from_millisecond(at).unwrap()).date();
        let (first, last) = (date(from - 2 * DAY_MS), date(to + 2 * DAY_MS));
        let instant = |date: civil::Date, time: civil::Time| {
            self.zone.to_timestamp(date.to_datetime(time)).unwrap().as_millisecond()
        };
        let mut calendar = Calendar { has_shifts: !self.shifts.is_empty(), ..Calendar::default() };
        let mut day = first;
        while day <= last {
            let next = day.tomorrow().unwrap();
            calendar.days.push(Named {
                id: day.to_string(),
                from: instant(day, self.day_start),
                to: instant(next, self.day_start),
            });
            for shift in &self.shifts {
                if !shift.days.contains(&day.weekday().to_monday_zero_offset()) {
                    continue;
                }
                // What is not after the start lies on the next day.
                let after = |time: civil::Time, start: civil::Time, day, next| if time > start { day } else { next };
                calendar.shifts.push(Named {
                    id: format!("{day}/{}", shift.id),
                    from: instant(day, shift.start),
                    to: instant(after(shift.end, shift.start, day, next), shift.end),
                });
                for (start, end) in &shift.breaks {
                    let begins = if *start >= shift.start { day } else { next };
                    let ends = after(*end, *start, begins, begins.tomorrow().unwrap());
                    calendar.breaks.push((instant(begins, *start), instant(ends, *end)));
                }
            }
            day = next;
        }
        calendar
    }
}

impl Calendar {
    pub fn hours(&self, at: i64) -> Hours {
        if self.breaks.iter().any(|(from, to)| (*from..*to).contains(&at)) {
            Hours::Break
        } else if !self.has_shifts || self.shifts.iter().any(|shift| (shift.from..shift.to).contains(&at)) {
            Hours::Planned
        } else {
            Hours::Closed
        }
    }

    /// The shift's id; the day's where there are no shifts.
    pub fn shift(&self, at: i64) -> Option<String> {
        let named = if self.has_shifts { &self.shifts } else { &self.days };
        named.iter().find(|named| (named.from..named.to).contains(&at)).map(|named| named.id.clone())
    }

    /// Every instant at which something changes.
    pub fn edges(&self) -> impl Iterator<Item = i64> {
        let named = self.shifts.iter().chain(&self.days).flat_map(|named| [named.from, named.to]);
        named.chain(self.breaks.iter().flat_map(|(from, to)| [*from, *to]))
    }
}

fn tables<'a>(table: &'a Table, key: &str) -> impl Iterator<Item = &'a Table> + use<'a> {
    table.get(key).and_then(Value::as_array).into_iter().flatten().map(|value| value.as_table().unwrap())
}

fn texts(table: &Table, key: &str) -> Vec<String> {
    let list = table.get(key).and_then(Value::as_array);
    list.into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn numbers(value: Option<&Value>) -> Vec<i64> {
    value.and_then(Value::as_array).into_iter().flatten().map(|number| number.as_integer().unwrap()).collect()
}

/// Each point with its modulus.
fn points(table: &Table) -> BTreeMap<String, i128> {
    let mut points = BTreeMap::new();
    for plc in tables(table, "plc") {
        for (name, point) in plc["points"].as_table().unwrap() {
            let point = point.as_table().unwrap();
            let by_type = match point.get("type").and_then(Value::as_str).unwrap_or("u16") {
                "u16" => 1 << 16,
                "u32" => 1 << 32,
                "bcd16" => 10_000,
                "bcd32" => 100_000_000,
                _ => 0,
            };
            let modulus = point.get("modulus").map_or(by_type, |modulus| i128::from(modulus.as_integer().unwrap()));
            points.insert(format!("{}.{name}", plc["id"].as_str().unwrap()), modulus);
        }
    }
    points
}

fn machine(table: &Table, points: &BTreeMap<String, i128>) -> Machine {
    let text = |key: &str| table.get(key).map(|text| text.as_str().unwrap().to_owned());
    let counter = |key: &str| text(key).map(|point| Counter { modulus: points[&point], point });
    let mut codes = BTreeMap::new();
    for (class, list) in table.get("states").and_then(Value::as_table).into_iter().flatten() {
        codes.extend(numbers(Some(list)).into_iter().map(|code| (code, class.clone())));
    }
    Machine {
        id: text("id").unwrap(),
        run: text("run").unwrap(),
        total: counter("total"),
        good: counter("good"),
        reject: counter("reject"),
        fault: text("fault"),
        order: text("order"),
        state: text("state"),
        codes,
        ideal: ideal(table),
        short_stop_ms: text("short_stop").map_or(120_000, |text| duration_ms(&text)),
        no_data_ms: match text("no_data").as_deref() {
            Some("off") => None,
            Some(text) => Some(duration_ms(text)),
            None => Some(5_000),
        },
        order_required: table.get("order_required").is_some_and(|is| is.as_bool().unwrap()),
        opens_at_fault: text("open_at").as_deref() == Some("fault"),
        parts_per_cycle: table.get("parts_per_cycle").map_or(1, |parts| parts.as_integer().unwrap()),
    }
}

fn shift(table: &Table) -> Shift {
    let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let days = match texts(table, "days").as_slice() {
        [] => (0..7).collect(),
        days => days.iter().map(|day| names.iter().position(|name| name == day).unwrap() as i8).collect(),
    };
    let at = |table: &Table, key: &str| clock(table[key].as_str().unwrap());
    Shift {
        id: table["id"].as_str().unwrap().to_owned(),
        days,
        start: at(table, "start"),
        end: at(table, "end"),
        breaks: tables(table, "breaks").map(|pause| (at(pause, "start"), at(pause, "end"))).collect(),
    }
}

fn reason(table: &Table) -> Reason {
    Reason {
        code: table["code"].as_str().unwrap().to_owned(),
        class: table["class"].as_str().unwrap().to_owned(),
        counts_in: table.get("counts_in").map(|counts_in| counts_in.as_str().unwrap().to_owned()),
        faults: numbers(table.get("faults")),
        machines: texts(table, "machines"),
    }
}

fn ideal(table: &Table) -> Option<Ideal> {
    if let Some(cycle) = table.get("ideal_cycle") {
        return Some(Ideal { ms: duration_ms(cycle.as_str().unwrap()).into(), parts: 1 });
    }
    let (parts, per) = table.get("ideal_rate")?.as_str().unwrap().split_once('/').unwrap();
    Some(Ideal { ms: duration_ms(&format!("1{per}").replace("min", "m")).into(), parts: parts.parse().unwrap() })
}

fn duration_ms(text: &str) -> i64 {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap();
    let number: i64 = text[..digits].parse().unwrap();
    match &text[digits..] {
        "ms" => number,
        "s" => number * 1_000,
        "m" => number * 60_000,
        "h" => number * 3_600_000,
        "d" => number * DAY_MS,
        unit => panic!("the model does not know the unit {unit}"),
    }
}

fn clock(text: &str) -> civil::Time {
    let (hour, minute) = text.split_once(':').unwrap();
    civil::time(hour.parse().unwrap(), minute.parse().unwrap(), 0, 0)
}
