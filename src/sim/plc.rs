//! Readings in, registers out: the tables of one simulated PLC.

use crate::signal::{Point, PointIx, Reading, Value, decode::encode, point::Area};
use std::{collections::BTreeMap, ops::Range};
use tokio_modbus::ExceptionCode;

/// Most registers and bits that one reply can hold.
const MAX_REGISTERS: u16 = 125;
const MAX_BITS: u16 = 2000;

/// What the PLC holds, and which of its points have failed or hold nothing yet.
pub(super) struct Image {
    points: Vec<Point>,
    live: Vec<bool>,
    tables: BTreeMap<Area, Table>,
}

/// From the first to the last address that a point has; what lies between points is 0.
struct Table {
    start: usize,
    registers: Vec<u16>,
}

impl Image {
    pub(super) fn new(points: &[(PointIx, Point)]) -> Image {
        let points: Vec<Point> = points.iter().map(|(_, point)| point.clone()).collect();
        let mut ranges: BTreeMap<Area, Range<usize>> = BTreeMap::new();
        for point in &points {
            let of = span(point);
            let range = ranges.entry(point.area).or_insert(of.clone());
            *range = range.start.min(of.start)..range.end.max(of.end);
        }
        let table = |range: Range<usize>| Table { start: range.start, registers: vec![0; range.len()] };
        Image {
            live: vec![false; points.len()],
            tables: ranges.into_iter().map(|(area, range)| (area, table(range))).collect(),
            points,
        }
    }

    pub(super) fn name(&self, place: usize) -> &str {
        &self.points[place].name
    }

    /// Holds the value from now on, or fails at every touch of the point. A value that does not fit comes back.
    pub(super) fn hold(&mut self, place: usize, reading: &Reading) -> Result<(), Value> {
        let point = &self.points[place];
        self.live[place] = false;
        if let (Reading::Good(value), Some(table)) = (reading, self.tables.get_mut(&point.area)) {
            let of = span(point);
            let registers = &mut table.registers[of.start - table.start..of.end - table.start];
            encode(point, value, registers).ok_or_else(|| value.clone())?;
            self.live[place] = true;
        }
        Ok(())
    }

    /// Answers one request; a bit is a register that holds 0 or not.
    pub(super) fn read(&self, area: Area, address: u16, count: u16) -> Result<Vec<u16>, ExceptionCode> {
        if count == 0 || count > if area.is_bits() { MAX_BITS } else { MAX_REGISTERS } {
            return Err(ExceptionCode::IllegalDataValue);
        }
        let asked = usize::from(address)..usize::from(address) + usize::from(count);
        let table = self.tables.get(&area).ok_or(ExceptionCode::IllegalDataAddress)?;
        let from = asked.start.checked_sub(table.start).ok_or(ExceptionCode::IllegalDataAddress)?;
        let held = table.registers.get(from..from + asked.len()).ok_or(ExceptionCode::IllegalDataAddress)?;
        let touched = |point: &Point| {
            let of = span(point);
            point.area == area && of.start < asked.end && asked.start < of.end
        };
        if self.points.iter().zip(&self.live).any(|(point, live)| !live && touched(point)) {
            return Err(ExceptionCode::ServerDeviceFailure);
        }
        Ok(held.to_vec())
    }
}

fn span(point: &Point) -> Range<usize> {
    let start = usize::from(point.address);
    start..start + usize::from(point.kind.registers())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{
        Bad,
        point::{Kind, Order},
    };

    fn image() -> Image {
        let point = |ix: usize, address, kind| {
            let (area, order, invert, hold_ms) = (Area::Holding, Order::Abcd, false, 0);
            let (name, scale, offset, modulus) = (format!("plc.p{ix}"), 1.0, 0.0, None);
            (PointIx(ix), Point { name, area, address, kind, order, invert, hold_ms, scale, offset, modulus })
        };
        let mut image = Image::new(&[point(0, 10, Kind::U16), point(1, 14, Kind::U32), point(2, 13, Kind::I16)]);
        image.hold(0, &Reading::Good(Value::Int(7))).unwrap();
        image.hold(1, &Reading::Good(Value::Int(0x0001_0002))).unwrap();
        image.hold(2, &Reading::Good(Value::Int(-1))).unwrap();
        image
    }

    #[test]
    fn what_lies_between_points_is_zero_and_what_lies_outside_is_no_address() {
        let image = image();
        let read = |address, count| image.read(Area::Holding, address, count);
        assert_eq!(read(10, 6), Ok(vec![7, 0, 0, 0xFFFF, 1, 2]));
        assert_eq!(read(11, 1), Ok(vec![0]));
        assert_eq!(read(9, 1), Err(ExceptionCode::IllegalDataAddress));
        assert_eq!(read(15, 2), Err(ExceptionCode::IllegalDataAddress));
        assert_eq!(read(65_535, 125), Err(ExceptionCode::IllegalDataAddress));
        assert_eq!(image.read(Area::Coil, 10, 1), Err(ExceptionCode::IllegalDataAddress));
        assert_eq!(read(10, 126), Err(ExceptionCode::IllegalDataValue));
        assert_eq!(read(10, 0), Err(ExceptionCode::IllegalDataValue));
    }

    #[test]
    fn a_failed_point_fails_every_request_that_touches_it_until_it_is_read_again() {
        let mut image = image();
        image.hold(2, &Reading::Bad(Bad::Silent)).unwrap();
        assert_eq!(image.read(Area::Holding, 10, 6), Err(ExceptionCode::ServerDeviceFailure));
        assert_eq!(image.read(Area::Holding, 14, 2), Ok(vec![1, 2]));
        image.hold(2, &Reading::Good(Value::Int(3))).unwrap();
        assert_eq!(image.read(Area::Holding, 13, 1), Ok(vec![3]));
        assert_eq!(image.hold(2, &Reading::Good(Value::Int(70_000))), Err(Value::Int(70_000)));
    }
}
