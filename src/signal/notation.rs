//! A point's place and type in, how files and manuals write them out.

use super::{
    Point,
    point::{Area, Kind, Order},
};

/// Every order, the most common first.
pub const ORDERS: [Order; 4] = [Order::Abcd, Order::Cdab, Order::Badc, Order::Dcba];

/// How manuals count: from 1, behind the digit of the table: `40101` is holding register 100. Six digits where five do
/// not reach.
pub fn reference(area: Area, address: u16) -> String {
    let table = match area {
        Area::Coil => 0,
        Area::Discrete => 1,
        Area::Input => 3,
        Area::Holding => 4,
    };
    let number = u32::from(address) + 1;
    if number <= 9_999 { format!("{table}{number:04}") } else { format!("{table}{number:05}") }
}

/// `holding 100`, `holding 104.7`: counted from 0, with the bit.
pub fn place(point: &Point) -> String {
    match point.kind {
        Kind::Bool { bit: Some(bit) } => format!("{} {}.{bit}", point.area.word(), point.address),
        _ => format!("{} {}", point.area.word(), point.address),
    }
}

/// As `type` writes it.
pub fn kind(kind: Kind) -> String {
    match kind {
        Kind::Bool { .. } => "bool".into(),
        Kind::U16 => "u16".into(),
        Kind::I16 => "i16".into(),
        Kind::U32 => "u32".into(),
        Kind::I32 => "i32".into(),
        Kind::U64 => "u64".into(),
        Kind::I64 => "i64".into(),
        Kind::F32 => "f32".into(),
        Kind::F64 => "f64".into(),
        Kind::Bcd16 => "bcd16".into(),
        Kind::Bcd32 => "bcd32".into(),
        Kind::Text(bytes) => format!("string({bytes})"),
    }
}

/// As `order` writes it.
pub fn order(order: Order) -> &'static str {
    match order {
        Order::Abcd => "ABCD",
        Order::Cdab => "CDAB",
        Order::Badc => "BADC",
        Order::Dcba => "DCBA",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_counts_from_one_and_grows_to_six_digits_where_it_must() {
        assert_eq!(reference(Area::Holding, 100), "40101");
        assert_eq!(reference(Area::Holding, 9_998), "49999");
        assert_eq!(reference(Area::Holding, 9_999), "410000");
        assert_eq!(reference(Area::Holding, 65_535), "465536");
        assert_eq!(reference(Area::Input, 0), "30001");
        assert_eq!(reference(Area::Discrete, 11), "10012");
        assert_eq!(reference(Area::Coil, 0), "00001");
    }
}
