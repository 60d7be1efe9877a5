//! The registers of one 32 or 64-bit point in, what they say in every order of words and bytes out; and which of them was
//! probably meant.

use super::{
    Point, Reading, Value,
    decode::decode,
    notation::ORDERS,
    point::{Kind, Order},
};

/// What a measured value of a shop floor looks like, beside 0: what lies outside was read in a wrong order.
const SANE: std::ops::Range<f64> = 1e-5..1e9;

/// What the registers say in each order, as whole and as real number, without scale; empty for a point of another length.
pub fn in_every_order(point: &Point, registers: &[u16]) -> Vec<(Order, Vec<(Kind, Reading)>)> {
    let kinds = match (point.kind, registers.len()) {
        (Kind::Text(_), _) => return Vec::new(),
        (_, 2) => [Kind::U32, Kind::I32, Kind::F32],
        (_, 4) => [Kind::U64, Kind::I64, Kind::F64],
        _ => return Vec::new(),
    };
    let read = |order, kind| (kind, decode(&bare(point, kind, order), registers));
    ORDERS.iter().map(|order| (*order, kinds.iter().map(|kind| read(*order, *kind)).collect())).collect()
}

/// In which other orders these registers make sense, and what they say there, if in the order of the configuration they
/// make none: a real number of absurd size, digits that are none, a counter that moves by whole words.
pub fn meant_otherwise(point: &Point, registers: &[u16]) -> Vec<(Order, Value)> {
    let in_order = |order| match decode(&bare(point, point.kind, order), registers) {
        Reading::Good(value) => Some(value),
        Reading::Bad(_) => None,
    };
    let is_sane = |value: &Value| match value {
        Value::Real(real) => real.to_bits() << 1 == 0 || SANE.contains(&real.abs()),
        // A swapped 32-bit counter below 65 536 shows nothing in its low word.
        Value::Int(n) => n.unsigned_abs() < 1 << 16 || n & 0xFFFF != 0,
        Value::Bool(_) | Value::Text(_) => true,
    };
    let is_long = matches!(point.kind, Kind::U32 | Kind::I32 | Kind::F32 | Kind::F64 | Kind::Bcd32);
    if !is_long || in_order(point.order).is_some_and(|value| is_sane(&value)) {
        return Vec::new();
    }
    let makes_sense = |value: &Value| match value {
        Value::Int(n) => matches!(point.kind, Kind::Bcd32) || n.unsigned_abs() < 1 << 16,
        value => is_sane(value),
    };
    let others = ORDERS.into_iter().filter(|order| *order != point.order);
    others.filter_map(|order| Some((order, in_order(order)?))).filter(|(_, value)| makes_sense(value)).collect()
}

fn bare(point: &Point, kind: Kind, order: Order) -> Point {
    Point { kind, order, scale: 1.0, offset: 0.0, ..point.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{decode::encode, point::Area};
    use proptest::prelude::*;

    fn point(kind: Kind, order: Order) -> Point {
        let (name, area, address) = ("plc.point".into(), Area::Holding, 0);
        Point { name, area, address, kind, order, invert: false, hold_ms: 0, scale: 1.0, offset: 0.0, modulus: None }
    }

    /// The one that is hinted at first.
    fn hinted(point: &Point, registers: &[u16]) -> Option<Order> {
        meant_otherwise(point, registers).first().map(|(order, _)| *order)
    }

    #[test]
    fn twelve_and_a_half_is_seen_in_all_orders() {
        let all = in_every_order(&point(Kind::F32, Order::Abcd), &[0, 0x4148]);
        assert_eq!(all.len(), 4);
        assert_eq!(all[1].0, Order::Cdab);
        assert_eq!(all[1].1[2], (Kind::F32, Reading::Good(Value::Real(12.5))));
        assert_eq!(all[0].1[0], (Kind::U32, Reading::Good(Value::Int(0x4148))));
        assert_eq!(in_every_order(&point(Kind::F64, Order::Abcd), &[0x4029, 0, 0, 0])[0].1[2].0, Kind::F64);
        assert!(in_every_order(&point(Kind::U16, Order::Abcd), &[7]).is_empty());
        assert!(in_every_order(&point(Kind::Text(4), Order::Abcd), &[7, 7]).is_empty());
    }

    #[test]
    fn an_absurd_number_names_the_order_in_which_it_is_sane() {
        // 12.34 with its words swapped.
        let swapped = [0x70A4, 0x4145];
        assert_eq!(hinted(&point(Kind::F32, Order::Abcd), &swapped), Some(Order::Cdab));
        assert_eq!(hinted(&point(Kind::F32, Order::Cdab), &swapped), None);
        assert_eq!(hinted(&point(Kind::F32, Order::Abcd), &[0, 0]), None, "0 is 0 in every order");
        assert_eq!(hinted(&point(Kind::U32, Order::Abcd), &[250, 0]), Some(Order::Cdab));
        assert_eq!(hinted(&point(Kind::U32, Order::Abcd), &[1, 250]), None, "65 786 is a fine count");
        assert_eq!(hinted(&point(Kind::Bcd32, Order::Abcd), &[0x1A34, 0x5678]), None, "none in any order");
        assert_eq!(hinted(&point(Kind::F64, Order::Abcd), &[0, 0, 0, 0x4029]), Some(Order::Cdab));
    }

    proptest! {
        #[test]
        fn a_sane_number_in_its_own_order_gives_no_hint(real in 1e-3f64..1e8, kind in prop_oneof![Just(Kind::F32), Just(Kind::F64)]) {
            for order in ORDERS {
                let point = point(kind, order);
                let mut registers = vec![0; usize::from(kind.registers())];
                encode(&point, &Value::Real(real), &mut registers).unwrap();
                prop_assert_eq!(hinted(&point, &registers), None);
            }
        }
    }
}
