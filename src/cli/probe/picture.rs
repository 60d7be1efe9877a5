//! Looks in, a table for people or JSON for programs out.

use super::Sight;
use crate::signal::{
    Bad, Point, Reading, Value,
    decode::decode,
    notation,
    orders::in_every_order,
    point::{Area, Kind, Order},
};
use serde_json::{Map, json};
use std::{fmt::Write, time::Duration};

#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) colour: bool,
    pub(super) decode: bool,
}

const HEADS: [&str; 7] = ["point", "address", "1-based", "type", "raw", "value", "ms"];
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

/// One block a PLC, its hints below it.
pub(super) fn table(sights: &[Sight], style: Style) -> String {
    let mut text = String::new();
    for (place, sight) in sights.iter().enumerate() {
        if place > 0 {
            text.push('\n');
        }
        let plc = &sight.plc;
        let _ = writeln!(text, "{}  {}  unit {}", plc.id, plc.channel, plc.unit);
        if let Some(why) = sight.silence() {
            let (on, off) = if style.colour { (RED, PLAIN) } else { ("", "") };
            let _ = writeln!(text, "  {on}{why}{off}");
        }
        let rows: Vec<[String; 7]> =
            plc.points.iter().zip(&sight.looks).map(|((_, point), look)| row(point, look)).collect();
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([HEADS[column].len()]).max().unwrap_or(0)
        };
        // A reason is as long as it is, and no other value moves because of it.
        let values = rows.iter().zip(&sight.looks).filter(|(_, look)| look.outcome.is_ok());
        let value_width = values.map(|(row, _)| row[5].chars().count()).chain([HEADS[5].len()]).max().unwrap_or(0);
        let widths: Vec<usize> = (0..5).map(width).chain([value_width, 0]).collect();
        let heads = HEADS.map(str::to_owned);
        line(&mut text, &heads, &widths, style.colour.then_some(DIM));
        for ((row, look), (_, point)) in rows.iter().zip(&sight.looks).zip(&plc.points) {
            let good =
                look.outcome.as_ref().is_ok_and(|registers| matches!(decode(point, registers), Reading::Good(_)));
            line(&mut text, row, &widths, (style.colour && !good).then_some(RED));
            if let (true, Ok(registers)) = (style.decode, &look.outcome) {
                orders(&mut text, point, registers);
            }
        }
        for hint in &sight.hints {
            let (on, off) = if style.colour { (YELLOW, PLAIN) } else { ("", "") };
            let _ = writeln!(text, "{on}hint: {hint}{off}");
        }
    }
    text
}

fn line(text: &mut String, cells: &[String; 7], widths: &[usize], colour: Option<&str>) {
    let mut row = String::from(" ");
    for (cell, width) in cells.iter().zip(widths) {
        let _ = write!(row, " {cell:<width$} ");
    }
    let _ = match colour {
        Some(colour) => writeln!(text, "{colour}{}{PLAIN}", row.trim_end()),
        None => writeln!(text, "{}", row.trim_end()),
    };
}

fn row(point: &Point, look: &crate::io::plc::probe::Look) -> [String; 7] {
    let (raw, value, took) = match &look.outcome {
        Ok(registers) => {
            let value = match decode(point, registers) {
                Reading::Good(value) => number(&value, if is_scaled(point) { Kind::F64 } else { point.kind }),
                Reading::Bad(_) => no_value(point),
            };
            (hex(point, registers), value, format!("{:.1}", ms(look.round_trip)))
        }
        Err(_) if !look.is_answer() => ("-".into(), "-".into(), String::new()),
        Err(_) => ("-".into(), look.why().unwrap_or_default(), String::new()),
    };
    let has_order = point.kind.registers() > 1 && (point.order != Order::Abcd || !matches!(point.kind, Kind::Text(_)));
    let order = if has_order { format!(" {}", notation::order(point.order)) } else { String::new() };
    let bit = notation::place(point).split_once('.').map(|(_, bit)| format!(".{bit}")).unwrap_or_default();
    [
        short_name(point).to_owned(),
        notation::place(point),
        notation::reference(point.area, point.address) + &bit,
        notation::kind(point.kind) + &order,
        raw,
        value,
        took,
    ]
}

/// Without the PLC, which stands above.
fn short_name(point: &Point) -> &str {
    point.name.split_once('.').map_or(&point.name, |(_, name)| name)
}

fn no_value(point: &Point) -> String {
    format!("(no {})", notation::kind(point.kind))
}

fn orders(text: &mut String, point: &Point, registers: &[u16]) {
    for (order, readings) in in_every_order(point, registers) {
        let mark = if order == point.order { '*' } else { ' ' };
        let said = |(kind, reading): &(Kind, Reading)| {
            let value = match reading {
                Reading::Good(value) => number(value, *kind),
                Reading::Bad(_) => "-".into(),
            };
            format!("{} {value:<22}", notation::kind(*kind))
        };
        let readings: Vec<String> = readings.iter().map(said).collect();
        let _ = writeln!(text, "      {mark} {}  {}", notation::order(order), readings.join("").trim_end());
    }
}

fn hex(point: &Point, registers: &[u16]) -> String {
    if point.area.is_bits() {
        return registers.iter().map(u16::to_string).collect();
    }
    /// A text may be long; what is left out stands in the JSON.
    const SHOWN: usize = 4;
    let words: Vec<String> = registers.iter().take(SHOWN).map(|word| format!("{word:04X}")).collect();
    words.join(" ") + if registers.len() > SHOWN { " …" } else { "" }
}

/// As short as it can be written and be read again.
pub(super) fn number(value: &Value, kind: Kind) -> String {
    match value {
        Value::Bool(bit) => u8::from(*bit).to_string(),
        Value::Int(n) => n.to_string(),
        #[expect(clippy::cast_possible_truncation, reason = "it was read from 32 bits")]
        Value::Real(real) if kind == Kind::F32 => format!("{:?}", *real as f32),
        Value::Real(real) => format!("{real:?}"),
        Value::Text(text) => format!("{text:?}"),
    }
}

fn is_scaled(point: &Point) -> bool {
    point.scale.to_bits() != 1f64.to_bits() || point.offset.abs() > 0.0
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Draws a table over the one before, which had so many lines: no flicker, nothing left of longer lines.
pub(super) fn over(table: &str, lines: usize) -> String {
    let back = if lines > 0 { format!("\x1b[{lines}A") } else { String::new() };
    let drawn: String = table.lines().map(|line| format!("{line}\x1b[K\n")).collect();
    format!("{NO_WRAP}{back}\r{drawn}\x1b[J")
}

/// A row longer than the terminal is wide is cut, or the next table would miss its place.
const NO_WRAP: &str = "\x1b[?7l";
pub(super) const WRAP: &str = "\x1b[?7h";

pub(super) fn json(sights: &[Sight], decode: bool) -> serde_json::Value {
    json!({ "plcs": sights.iter().map(|sight| plc(sight, decode)).collect::<Vec<_>>() })
}

fn plc(sight: &Sight, all_orders: bool) -> serde_json::Value {
    let points = sight.plc.points.iter().zip(&sight.looks).map(|((_, point), look)| {
        let registers = look.outcome.as_ref().ok();
        let reading = registers.map(|registers| decode(point, registers));
        let why = match reading {
            Some(Reading::Bad(Bad::Undecodable)) => Some(no_value(point)),
            _ => look.why(),
        };
        let exception = look.outcome.as_ref().err().and_then(|error| match **error {
            crate::io::plc::Error::Refused(code) => Some(code),
            _ => None,
        });
        let long = point.kind.registers() > 1;
        let mut shown = json!({
            "point": point.name,
            "area": point.area.word(),
            "address": point.address,
            "bit": match point.kind { Kind::Bool { bit } => bit, _ => None },
            "reference": notation::reference(point.area, point.address),
            "type": notation::kind(point.kind),
            "order": long.then(|| notation::order(point.order)),
            "raw": registers,
            "raw_hex": registers.map(|registers| registers.iter().map(|word| format!("{word:04X}")).collect::<Vec<_>>()),
            "value": match reading { Some(Reading::Good(value)) => plain(&value), _ => json!(null) },
            "round_trip_ms": registers.map(|_| (ms(look.round_trip) * 1000.0).round() / 1000.0),
            "exception": exception,
            "why": why,
        });
        if all_orders {
            let orders = registers.map(|registers| in_every_order(point, registers)).unwrap_or_default();
            let orders = orders.iter().map(|(order, readings)| {
                let said = |(kind, reading): &(Kind, Reading)| {
                    let value = match reading {
                        Reading::Good(value) => plain(value),
                        Reading::Bad(_) => json!(null),
                    };
                    (notation::kind(*kind), value)
                };
                (notation::order(*order).to_owned(), readings.iter().map(said).collect::<Map<_, _>>().into())
            });
            shown["decode"] = orders.collect::<Map<_, _>>().into();
        }
        shown
    });
    json!({
        "plc": sight.plc.id,
        "address": sight.plc.channel.to_string(),
        "unit": sight.plc.unit,
        "answers": sight.is_answer(),
        "why": sight.silence(),
        "points": points.collect::<Vec<_>>(),
        "hints": sight.hints,
    })
}

fn plain(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(bit) => json!(bit),
        Value::Int(n) => json!(n),
        Value::Real(real) => json!(real),
        Value::Text(text) => json!(text),
    }
}

/// `0–9, 100–121`, and the same counted from 1.
pub(super) fn ranges(area: Area, found: &[std::ops::RangeInclusive<u16>]) -> (String, String) {
    let join = |name: &dyn Fn(u16) -> String| {
        let one = |range: &std::ops::RangeInclusive<u16>| match (range.start(), range.end()) {
            (from, to) if from == to => name(*from),
            (from, to) => format!("{}-{}", name(*from), name(*to)),
        };
        found.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    (join(&|address: u16| address.to_string()), join(&|address| notation::reference(area, address)))
}
