//! Registers in, a reading out; and back, for whoever plays a PLC.
//!
//! A coil or discrete input counts as a register that holds 0 or 1, so one code path serves all four tables.

use super::{Bad, Point, Reading, Value, point::Kind, point::Order};
use std::fmt;

/// What a point's value looks like once decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// [`Value::Bool`]
    Bit,
    /// [`Value::Int`]
    Whole,
    /// [`Value::Real`]
    Real,
    /// [`Value::Text`]
    Text,
}

/// The form that every good reading of this point has.
pub fn form(point: &Point) -> Form {
    match point.kind {
        Kind::Bool { .. } => Form::Bit,
        Kind::F32 | Kind::F64 => Form::Real,
        Kind::Text(_) => Form::Text,
        _ if is_scaled(point) => Form::Real,
        _ => Form::Whole,
    }
}

/// What a point can hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Span {
    /// Whatever has its form.
    Any,
    /// From the first number to the last.
    Whole(i64, i64),
    /// The same of real numbers.
    Real(f64, f64),
    /// So many bytes, none of them 0.
    Text(usize),
}

impl Span {
    /// Whether a value of the point's form is in it.
    pub fn holds(self, value: &Value) -> bool {
        match (self, value) {
            (Span::Whole(least, most), Value::Int(n)) => (least..=most).contains(n),
            // As written by hand: 6553.5, and not all the digits of 65 535 × 0.1.
            (Span::Real(least, most), Value::Real(n)) => {
                let slack = (most - least) * 1e-9;
                (least - slack..=most + slack).contains(n)
            }
            // What fills up a text is no part of it.
            (Span::Text(most), Value::Text(text)) => text.trim_end().len() <= most && !text.contains('\0'),
            _ => true,
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Span::Any => f.write_str("anything"),
            Span::Whole(least, most) => write!(f, "{least} to {most}"),
            Span::Real(least, most) => write!(f, "{least:?} to {most:?}"),
            Span::Text(most) => write!(f, "text of {most} bytes"),
        }
    }
}

/// What the registers of this point can hold, once decoded.
pub fn span(point: &Point) -> Span {
    let (least, most): (i64, i64) = match point.kind {
        Kind::Bool { .. } | Kind::F64 => return Span::Any,
        Kind::Text(bytes) => return Span::Text(usize::from(bytes)),
        Kind::F32 if is_scaled(point) => return Span::Any,
        Kind::F32 => return Span::Real(f32::MIN.into(), f32::MAX.into()),
        Kind::U16 => (0, u16::MAX.into()),
        Kind::I16 => (i16::MIN.into(), i16::MAX.into()),
        Kind::U32 => (0, u32::MAX.into()),
        Kind::I32 => (i32::MIN.into(), i32::MAX.into()),
        Kind::U64 => (0, i64::MAX),
        Kind::I64 => (i64::MIN, i64::MAX),
        Kind::Bcd16 => (0, 9_999),
        Kind::Bcd32 => (0, 99_999_999),
    };
    if !is_scaled(point) {
        return Span::Whole(least, most);
    }
    #[expect(clippy::cast_precision_loss, reason = "a scaled value is real by contract")]
    let edges = [least as f64, most as f64].map(|raw| raw * point.scale + point.offset);
    Span::Real(edges[0].min(edges[1]), edges[0].max(edges[1]))
}

/// Reads the point from its registers, `point.kind.registers()` of them, first address first.
pub fn decode(point: &Point, registers: &[u16]) -> Reading {
    if registers.len() != usize::from(point.kind.registers()) {
        return Reading::Bad(Bad::Undecodable);
    }
    match value(point, registers) {
        Some(value) => Reading::Good(value),
        None => Reading::Bad(Bad::Undecodable),
    }
}

/// Writes the value into the point's registers; the other bits of a bit's register stay. `None`, and nothing
/// written, where the point cannot hold the value.
pub fn encode(point: &Point, value: &Value, registers: &mut [u16]) -> Option<()> {
    if registers.len() != usize::from(point.kind.registers()) {
        return None;
    }
    let words = match point.kind {
        Kind::Bool { bit } => {
            let set = value.as_bool()? != point.invert;
            let first = *registers.first()?;
            let held = if swaps_bytes(point.order) { first.swap_bytes() } else { first };
            return store(
                point,
                registers,
                &[match bit {
                    None => u16::from(set),
                    Some(bit) => {
                        let mask = 1u16.checked_shl(u32::from(bit))?;
                        if set { held | mask } else { held & !mask }
                    }
                }],
            );
        }
        Kind::Text(bytes) => {
            let Value::Text(text) = value else { return None };
            let mut padded = text.as_bytes().to_vec();
            if padded.len() > usize::from(bytes) || padded.contains(&0) {
                return None;
            }
            padded.resize(registers.len() * 2, 0);
            padded.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
        }
        Kind::F32 => words_of(&single(unscaled(point, value)?)?.to_be_bytes()),
        Kind::F64 => words_of(&unscaled(point, value)?.to_be_bytes()),
        _ => {
            let n = match value {
                Value::Real(_) => whole(unscaled(point, value)?.round())?,
                _ if is_scaled(point) => whole(unscaled(point, value)?.round())?,
                _ => value.as_int()?,
            };
            match point.kind {
                Kind::U16 => words_of(&u16::try_from(n).ok()?.to_be_bytes()),
                Kind::I16 => words_of(&i16::try_from(n).ok()?.to_be_bytes()),
                Kind::U32 => words_of(&u32::try_from(n).ok()?.to_be_bytes()),
                Kind::I32 => words_of(&i32::try_from(n).ok()?.to_be_bytes()),
                Kind::U64 => words_of(&u64::try_from(n).ok()?.to_be_bytes()),
                Kind::I64 => words_of(&n.to_be_bytes()),
                Kind::Bcd16 => words_of(&u16::try_from(to_bcd(n, 4)?).ok()?.to_be_bytes()),
                Kind::Bcd32 => words_of(&to_bcd(n, 8)?.to_be_bytes()),
                Kind::Bool { .. } | Kind::F32 | Kind::F64 | Kind::Text(_) => return None,
            }
        }
    };
    store(point, registers, &words)
}

fn value(point: &Point, registers: &[u16]) -> Option<Value> {
    // Highest word first, high byte first; four words hold every kind but text.
    let mut words = [0; 4];
    if let Kind::Text(bytes) = point.kind {
        return text(point.order, registers, usize::from(bytes));
    }
    let words = words.get_mut(..registers.len())?;
    words.copy_from_slice(registers);
    arrange(point.order, words);
    let bits = words.iter().fold(0u64, |bits, word| bits << 16 | u64::from(*word));
    let [.., b4, b3, b2, b1] = bits.to_be_bytes();
    let raw = match point.kind {
        Kind::Bool { bit } => {
            let set = match bit {
                None => bits != 0,
                Some(bit) => bits.checked_shr(u32::from(bit))? & 1 == 1,
            };
            return Some(Value::Bool(set != point.invert));
        }
        Kind::F32 => return real(point, f64::from(f32::from_be_bytes([b4, b3, b2, b1]))),
        Kind::F64 => return real(point, f64::from_bits(bits)),
        Kind::U16 | Kind::U32 | Kind::U64 => i64::try_from(bits).ok()?,
        Kind::I16 => i64::from(i16::from_be_bytes([b2, b1])),
        Kind::I32 => i64::from(i32::from_be_bytes([b4, b3, b2, b1])),
        Kind::I64 => i64::from_be_bytes(bits.to_be_bytes()),
        Kind::Bcd16 => from_bcd(bits, 4)?,
        Kind::Bcd32 => from_bcd(bits, 8)?,
        Kind::Text(_) => return None,
    };
    // Whole numbers beyond 2^53 lose their last digits in a real one; so says the configuration that scales them.
    #[expect(clippy::cast_precision_loss, reason = "a scaled value is real by contract")]
    if is_scaled(point) { real(point, raw as f64) } else { Some(Value::Int(raw)) }
}

fn text(order: Order, registers: &[u16], bytes: usize) -> Option<Value> {
    let pair = if swaps_bytes(order) { u16::to_le_bytes } else { u16::to_be_bytes };
    let mut held: Vec<u8> = registers.iter().flat_map(|word| pair(*word)).take(bytes).collect();
    if let Some(end) = held.iter().position(|byte| *byte == 0) {
        held.truncate(end);
    }
    String::from_utf8(held).ok().map(|text| Value::Text(text.into()))
}

fn real(point: &Point, raw: f64) -> Option<Value> {
    let value = if is_scaled(point) { raw * point.scale + point.offset } else { raw };
    value.is_finite().then_some(Value::Real(value))
}

fn unscaled(point: &Point, value: &Value) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a scaled value is real by contract")]
    let value = match value {
        Value::Real(value) => *value,
        _ => value.as_int()? as f64,
    };
    let raw = if is_scaled(point) { (value - point.offset) / point.scale } else { value };
    raw.is_finite().then_some(raw)
}

fn single(value: f64) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "rounds to the nearest; what overflows is refused below")]
    let single = value as f32;
    single.is_finite().then_some(single)
}

fn whole(value: f64) -> Option<i64> {
    // 2^63 as a float is exact; every float below it fits.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    #[expect(clippy::cast_possible_truncation, reason = "in range, just checked")]
    (-LIMIT..LIMIT).contains(&value).then_some(value as i64)
}

fn is_scaled(point: &Point) -> bool {
    point.scale.to_bits() != 1f64.to_bits() || point.offset.abs() > 0.0
}

fn from_bcd(bits: u64, digits: u32) -> Option<i64> {
    (0..digits).rev().try_fold(0, |n, place| {
        let digit = i64::try_from(bits >> (4 * place) & 0xF).ok()?;
        (digit <= 9).then_some(n * 10 + digit)
    })
}

fn to_bcd(n: i64, digits: u32) -> Option<u32> {
    let mut rest = u32::try_from(n).ok()?;
    let mut bits = 0;
    for place in 0..digits {
        bits |= (rest % 10) << (4 * place);
        rest /= 10;
    }
    (rest == 0).then_some(bits)
}

fn words_of(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
}

fn store(point: &Point, registers: &mut [u16], words: &[u16]) -> Option<()> {
    if registers.len() != words.len() {
        return None;
    }
    registers.copy_from_slice(words);
    if matches!(point.kind, Kind::Text(_)) {
        // The words of a text stand in reading order in every order.
        if swaps_bytes(point.order) {
            registers.iter_mut().for_each(|word| *word = word.swap_bytes());
        }
    } else {
        arrange(point.order, registers);
    }
    Some(())
}

/// From the wire's order to highest first, or back: each order is its own inverse.
fn arrange(order: Order, words: &mut [u16]) {
    if matches!(order, Order::Cdab | Order::Dcba) {
        words.reverse();
    }
    if swaps_bytes(order) {
        words.iter_mut().for_each(|word| *word = word.swap_bytes());
    }
}

fn swaps_bytes(order: Order) -> bool {
    matches!(order, Order::Badc | Order::Dcba)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::point::Area;
    use proptest::prelude::*;

    fn point(kind: Kind, order: Order) -> Point {
        Point {
            name: "plc.point".into(),
            area: Area::Holding,
            address: 0,
            kind,
            order,
            invert: false,
            hold_ms: 0,
            scale: 1.0,
            offset: 0.0,
            modulus: None,
        }
    }

    fn good(value: Value) -> Reading {
        Reading::Good(value)
    }

    const UNDECODABLE: Reading = Reading::Bad(Bad::Undecodable);

    #[test]
    fn the_four_orders_read_the_same_number() {
        let n = good(Value::Int(0x0102_0304));
        assert_eq!(decode(&point(Kind::U32, Order::Abcd), &[0x0102, 0x0304]), n);
        assert_eq!(decode(&point(Kind::U32, Order::Cdab), &[0x0304, 0x0102]), n);
        assert_eq!(decode(&point(Kind::U32, Order::Badc), &[0x0201, 0x0403]), n);
        assert_eq!(decode(&point(Kind::U32, Order::Dcba), &[0x0403, 0x0201]), n);
        let long = good(Value::Int(0x0102_0304_0506_0708));
        assert_eq!(decode(&point(Kind::U64, Order::Abcd), &[0x0102, 0x0304, 0x0506, 0x0708]), long);
        assert_eq!(decode(&point(Kind::U64, Order::Cdab), &[0x0708, 0x0506, 0x0304, 0x0102]), long);
        assert_eq!(decode(&point(Kind::U64, Order::Dcba), &[0x0807, 0x0605, 0x0403, 0x0201]), long);
    }

    #[test]
    fn each_kind_reads_its_registers() {
        let read = |kind, registers: &[u16]| decode(&point(kind, Order::Abcd), registers);
        assert_eq!(read(Kind::U16, &[0xFFFF]), good(Value::Int(65_535)));
        assert_eq!(read(Kind::I16, &[0xFFFF]), good(Value::Int(-1)));
        assert_eq!(read(Kind::U32, &[0xFFFF, 0xFFFE]), good(Value::Int(4_294_967_294)));
        assert_eq!(read(Kind::I32, &[0xFFFF, 0xFFFE]), good(Value::Int(-2)));
        assert_eq!(read(Kind::I64, &[0xFFFF, 0xFFFF, 0xFFFF, 0xFFFD]), good(Value::Int(-3)));
        assert_eq!(read(Kind::F32, &[0x4148, 0x0000]), good(Value::Real(12.5)));
        assert_eq!(read(Kind::F64, &[0x4029, 0, 0, 0]), good(Value::Real(12.5)));
        assert_eq!(read(Kind::Bcd16, &[0x1234]), good(Value::Int(1234)));
        assert_eq!(read(Kind::Bcd32, &[0x9876, 0x5432]), good(Value::Int(98_765_432)));
        assert_eq!(read(Kind::Text(5), &[0x412D, 0x3437, 0x3131]), good(Value::Text("A-471".into())));
        assert_eq!(read(Kind::Text(6), &[0x4100, 0x3437, 0x3131]), good(Value::Text("A".into())));
        assert_eq!(read(Kind::Bool { bit: None }, &[2]), good(Value::Bool(true)));
        assert_eq!(read(Kind::Bool { bit: Some(15) }, &[0x8000]), good(Value::Bool(true)));
        assert_eq!(read(Kind::Bool { bit: Some(0) }, &[0x8000]), good(Value::Bool(false)));
    }

    #[test]
    fn what_holds_no_value_is_undecodable_and_never_a_number() {
        let read = |kind, registers: &[u16]| decode(&point(kind, Order::Abcd), registers);
        assert_eq!(read(Kind::U64, &[0x8000, 0, 0, 0]), UNDECODABLE);
        assert_eq!(read(Kind::F32, &[0x7FC0, 0]), UNDECODABLE);
        assert_eq!(read(Kind::F32, &[0x7F80, 0]), UNDECODABLE);
        assert_eq!(read(Kind::F64, &[0xFFF0, 0, 0, 0]), UNDECODABLE);
        assert_eq!(read(Kind::Bcd16, &[0x12A4]), UNDECODABLE);
        assert_eq!(read(Kind::Text(2), &[0xFFFE]), UNDECODABLE);
        assert_eq!(read(Kind::U32, &[1]), UNDECODABLE, "a register too few");
        assert_eq!(read(Kind::U16, &[1, 2]), UNDECODABLE, "a register too many");
        let overflowing = Point { scale: 1e300, ..point(Kind::F64, Order::Abcd) };
        assert_eq!(decode(&overflowing, &[0x7FE0, 0, 0, 0]), UNDECODABLE);
    }

    #[test]
    fn scale_and_offset_make_a_real_number_and_go_back() {
        let celsius = Point { scale: 0.1, offset: -40.0, ..point(Kind::U16, Order::Abcd) };
        let Reading::Good(Value::Real(value)) = decode(&celsius, &[655]) else { panic!("not real") };
        assert!((value - 25.5).abs() < 1e-9);
        let mut registers = [0];
        encode(&celsius, &Value::Real(25.5), &mut registers).unwrap();
        assert_eq!(registers, [655]);
        assert_eq!(form(&celsius), Form::Real);
    }

    #[test]
    fn a_span_ends_where_the_registers_do() {
        let holds = |point: &Point, value| span(point).holds(&value);
        let of = |kind| point(kind, Order::Abcd);
        for (kind, least, most) in
            [(Kind::U16, 0, 65_535), (Kind::I16, -32_768, 32_767), (Kind::Bcd16, 0, 9999), (Kind::U64, 0, i64::MAX)]
        {
            assert!(holds(&of(kind), Value::Int(least)) && holds(&of(kind), Value::Int(most)), "{kind:?}");
            assert!(!holds(&of(kind), Value::Int(least - 1)), "{kind:?}");
            assert!(!most.checked_add(1).is_some_and(|n| holds(&of(kind), Value::Int(n))), "{kind:?}");
        }
        let tenths = Point { scale: -0.1, offset: 5.0, ..of(Kind::U16) };
        assert!(holds(&tenths, Value::Real(5.0)) && holds(&tenths, Value::Real(-6548.5)));
        assert!(!holds(&tenths, Value::Real(5.1)) && !holds(&tenths, Value::Real(-6548.6)));
        let text = |text: &str| Value::Text(text.into());
        assert!(holds(&of(Kind::Text(2)), text("ab")) && holds(&of(Kind::Text(2)), text("ab ")));
        assert!(!holds(&of(Kind::Text(2)), text("abc")) && !holds(&of(Kind::Text(2)), text("a\0")));
    }

    #[test]
    fn an_inverted_bit_is_turned_on_both_ways() {
        let open = Point { invert: true, ..point(Kind::Bool { bit: Some(3) }, Order::Abcd) };
        assert_eq!(decode(&open, &[0b1000]), good(Value::Bool(false)));
        let mut registers = [0b1111];
        encode(&open, &Value::Bool(true), &mut registers).unwrap();
        assert_eq!(registers, [0b0111]);
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_and_writes_nothing() {
        for (kind, value) in [
            (Kind::U16, Value::Int(65_536)),
            (Kind::U16, Value::Int(-1)),
            (Kind::I16, Value::Int(40_000)),
            (Kind::U64, Value::Int(-1)),
            (Kind::Bcd16, Value::Int(10_000)),
            (Kind::Text(2), Value::Text("abc".into())),
            (Kind::F32, Value::Real(1e300)),
            (Kind::U16, Value::Text("1".into())),
        ] {
            let mut registers = vec![7; usize::from(kind.registers())];
            let before = registers.clone();
            assert_eq!(encode(&point(kind, Order::Abcd), &value, &mut registers), None, "{kind:?} {value:?}");
            assert_eq!(registers, before);
        }
    }

    fn orders() -> impl Strategy<Value = Order> {
        prop_oneof![Just(Order::Abcd), Just(Order::Cdab), Just(Order::Badc), Just(Order::Dcba)]
    }

    fn held() -> impl Strategy<Value = (Kind, Value)> {
        let whole =
            |kind: Kind, range: std::ops::RangeInclusive<i64>| range.prop_map(move |n| (kind, Value::Int(n))).boxed();
        prop_oneof![
            (any::<bool>(), proptest::option::of(0u8..16))
                .prop_map(|(set, bit)| (Kind::Bool { bit }, Value::Bool(set))),
            whole(Kind::U16, 0..=0xFFFF),
            whole(Kind::I16, -0x8000..=0x7FFF),
            whole(Kind::U32, 0..=0xFFFF_FFFF),
            whole(Kind::I32, -0x8000_0000..=0x7FFF_FFFF),
            whole(Kind::U64, 0..=i64::MAX),
            whole(Kind::I64, i64::MIN..=i64::MAX),
            whole(Kind::Bcd16, 0..=9_999),
            whole(Kind::Bcd32, 0..=99_999_999),
            any::<f32>()
                .prop_filter("finite", |real| real.is_finite())
                .prop_map(|real| (Kind::F32, Value::Real(f64::from(real)))),
            any::<f64>().prop_filter("finite", |real| real.is_finite()).prop_map(|real| (Kind::F64, Value::Real(real))),
            ("[A-Za-zäß0-9 -]{0,12}", 24u16..30)
                .prop_map(|(text, bytes)| (Kind::Text(bytes), Value::Text(text.into()))),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again((kind, value) in held(), order in orders(), invert: bool, before: u16) {
            let point = Point { invert, ..point(kind, order) };
            let mut registers = vec![before; usize::from(kind.registers())];
            encode(&point, &value, &mut registers).unwrap();
            prop_assert_eq!(decode(&point, &registers), Reading::Good(value));
        }

        #[test]
        fn a_bit_leaves_the_other_bits_of_its_register_alone(bit in 0u8..16, order in orders(), set: bool, before: u16) {
            let point = point(Kind::Bool { bit: Some(bit) }, order);
            let mut registers = [before];
            encode(&point, &Value::Bool(set), &mut registers).unwrap();
            prop_assert!((before ^ registers[0]).count_ones() <= 1);
        }

        #[test]
        fn any_registers_decode_to_a_finite_value_or_to_none(
            (kind, _) in held(),
            order in orders(),
            raw in proptest::collection::vec(any::<u16>(), 15),
            scale in -1e3..1e3,
        ) {
            let point = Point { scale, ..point(kind, order) };
            let read = decode(&point, &raw[..usize::from(kind.registers())]);
            if let Reading::Good(value) = &read {
                prop_assert!(span(&point).holds(value), "{value:?}");
            }
            match read {
                Reading::Good(Value::Real(real)) => prop_assert!(real.is_finite()),
                Reading::Good(value) => prop_assert_eq!(form(&point) == Form::Text, matches!(value, Value::Text(_))),
                reading => prop_assert_eq!(reading, UNDECODABLE),
            }
        }
    }
}
