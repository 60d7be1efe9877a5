//! The points of one PLC in, the block reads that fetch them all out.

use super::{Point, PointIx, point::Area};

/// Most bits that one request may ask for, by the Modbus specification.
const MAX_BITS: u16 = 2000;

/// One read request and the points that its reply serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The table.
    pub area: Area,
    /// First register or bit.
    pub address: u16,
    /// How many.
    pub count: u16,
    /// What lies in it, by address.
    pub slots: Vec<Slot>,
}

/// Where a point lies in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Place in the list of points that was planned for.
    pub place: usize,
    /// Registers or bits from the block's start.
    pub offset: u16,
    /// How many of them are the point's.
    pub count: u16,
}

/// Plans the reads: points of one table are read together where no more than `max_gap` unused registers (or bits) lie
/// between them and the request stays within `max_registers` (bits: 16 times as many, at most 2000). A point is
/// never split; one that is longer than the limit has a block of its own.
pub fn plan(points: &[(PointIx, Point)], max_registers: u16, max_gap: u16) -> Vec<Block> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by_key(|place| {
        let point = &points[*place].1;
        (point.area, point.address, point.kind.registers())
    });
    let mut blocks: Vec<Block> = Vec::new();
    for place in order {
        let point = &points[place].1;
        let (start, count) = (point.address, point.kind.registers());
        let limit = if point.area.is_bits() { max_registers.saturating_mul(16).min(MAX_BITS) } else { max_registers };
        if let Some(block) = blocks.last_mut()
            && block.area == point.area
            && start.saturating_sub(block.address.saturating_add(block.count)) <= max_gap
        {
            // Sorted by address, so no point begins before its block.
            let offset = start - block.address;
            let grown = block.count.max(offset.saturating_add(count));
            if grown <= limit {
                block.count = grown;
                block.slots.push(Slot { place, offset, count });
                continue;
            }
        }
        blocks.push(Block { area: point.area, address: start, count, slots: vec![Slot { place, offset: 0, count }] });
    }
    blocks
}

impl Block {
    /// Two blocks in place of a refused one, each with half the points and without what lies between the halves; one
    /// that is refused in turn is split again, until the hole stands alone. `None` where only one address range is left.
    pub fn halves(&self) -> Option<[Block; 2]> {
        let spans = self.spans();
        if spans.len() < 2 {
            return None;
        }
        let (low, high) = spans.split_at(spans.len() / 2);
        Some([self.part(&low.concat()), self.part(&high.concat())])
    }

    /// One block for each address range that points have: the bits of one register stay together.
    pub fn singles(&self) -> Vec<Block> {
        self.spans().iter().map(|span| self.part(span)).collect()
    }

    fn spans(&self) -> Vec<Vec<Slot>> {
        self.slots.chunk_by(|a, b| (a.offset, a.count) == (b.offset, b.count)).map(<[Slot]>::to_vec).collect()
    }

    fn part(&self, slots: &[Slot]) -> Block {
        let from = slots.iter().map(|slot| slot.offset).min().unwrap_or(0);
        let to = slots.iter().map(|slot| slot.offset + slot.count).max().unwrap_or(0);
        Block {
            area: self.area,
            address: self.address + from,
            count: to - from,
            slots: slots.iter().map(|slot| Slot { offset: slot.offset - from, ..*slot }).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::point::{Kind, Order};
    use proptest::prelude::*;

    fn points(list: &[(Area, u16, Kind)]) -> Vec<(PointIx, Point)> {
        list.iter()
            .enumerate()
            .map(|(ix, (area, address, kind))| {
                let point = Point {
                    name: format!("plc.p{ix}"),
                    area: *area,
                    address: *address,
                    kind: *kind,
                    order: Order::Abcd,
                    invert: false,
                    hold_ms: 0,
                    scale: 1.0,
                    offset: 0.0,
                    modulus: None,
                };
                (PointIx(ix), point)
            })
            .collect()
    }

    /// `holding 100+4: 0@0 1@2` — area, address, count, and each point at its offset.
    fn shown(blocks: &[Block]) -> Vec<String> {
        blocks
            .iter()
            .map(|block| {
                let slots: Vec<_> = block.slots.iter().map(|slot| format!("{}@{}", slot.place, slot.offset)).collect();
                format!("{} {}+{}: {}", block.area.word(), block.address, block.count, slots.join(" "))
            })
            .collect()
    }

    const H: Area = Area::Holding;
    const BIT: Kind = Kind::Bool { bit: None };

    #[test]
    fn neighbours_are_read_together_and_tables_apart() {
        let points = points(&[(H, 102, Kind::U32), (H, 100, Kind::U32), (H, 104, Kind::U16), (Area::Coil, 0, BIT)]);
        assert_eq!(shown(&plan(&points, 125, 0)), ["coil 0+1: 3@0", "holding 100+5: 1@0 0@2 2@4"]);
    }

    #[test]
    fn a_gap_is_read_along_up_to_its_limit() {
        let points = points(&[(H, 0, Kind::U16), (H, 9, Kind::U16), (H, 19, Kind::U16)]);
        assert_eq!(shown(&plan(&points, 125, 8)), ["holding 0+10: 0@0 1@9", "holding 19+1: 2@0"]);
        assert_eq!(shown(&plan(&points, 125, 9)), ["holding 0+20: 0@0 1@9 2@19"]);
    }

    #[test]
    fn a_value_is_never_split_over_two_requests() {
        let points = points(&[(H, 0, Kind::U16), (H, 1, Kind::F64)]);
        assert_eq!(shown(&plan(&points, 4, 0)), ["holding 0+1: 0@0", "holding 1+4: 1@0"]);
        assert_eq!(shown(&plan(&points, 5, 0)), ["holding 0+5: 0@0 1@1"]);
    }

    #[test]
    fn bits_may_be_many_more_than_registers() {
        let coils: Vec<_> = (0..3000).map(|address| (Area::Coil, address, BIT)).collect();
        let counts = |max_registers| -> Vec<u16> {
            plan(&points(&coils), max_registers, 0).iter().map(|block| block.count).collect()
        };
        assert_eq!(counts(125), [2000, 1000]);
        assert_eq!(counts(100), [1600, 1400]);
    }

    #[test]
    fn overlapping_points_share_a_block() {
        let points =
            points(&[(H, 0, Kind::F64), (H, 1, Kind::U16), (H, 1, Kind::Bool { bit: Some(3) }), (H, 4, Kind::U16)]);
        assert_eq!(shown(&plan(&points, 125, 0)), ["holding 0+5: 0@0 1@1 2@1 3@4"]);
    }

    #[test]
    fn a_refused_block_is_halved_without_its_gap_until_one_range_is_left() {
        let points = points(&[(H, 0, Kind::U32), (H, 4, Kind::U16), (H, 9, Kind::U16), (H, 10, Kind::U16)]);
        let blocks = plan(&points, 125, 8);
        assert_eq!(shown(&blocks), ["holding 0+11: 0@0 1@4 2@9 3@10"]);
        let halves = blocks[0].halves().unwrap();
        assert_eq!(shown(&halves), ["holding 0+5: 0@0 1@4", "holding 9+2: 2@0 3@1"]);
        let quarters = halves[0].halves().unwrap();
        assert_eq!(shown(&quarters), ["holding 0+2: 0@0", "holding 4+1: 1@0"]);
        assert_eq!(quarters[0].halves(), None);
    }

    #[test]
    fn the_bits_of_one_register_stay_one_request() {
        let bit = |n| Kind::Bool { bit: Some(n) };
        let points = points(&[(H, 7, bit(0)), (H, 7, bit(1)), (H, 8, Kind::U16)]);
        let block = &plan(&points, 125, 0)[0];
        assert_eq!(shown(&block.singles()), ["holding 7+1: 0@0 1@0", "holding 8+1: 2@0"]);
    }

    fn kinds() -> impl Strategy<Value = Kind> {
        prop_oneof![Just(Kind::U16), Just(Kind::U32), Just(Kind::F64), (1u16..40).prop_map(Kind::Text)]
    }

    fn maps() -> impl Strategy<Value = Vec<(PointIx, Point)>> {
        let bits = (prop_oneof![Just(Area::Coil), Just(Area::Discrete)], any::<u16>(), Just(BIT));
        let registers = (prop_oneof![Just(H), Just(Area::Input)], prop_oneof![0..300u16, any::<u16>()], kinds());
        proptest::collection::vec(prop_oneof![bits, registers], 0..80).prop_map(|list| points(&list))
    }

    fn lies_inside(points: &[(PointIx, Point)], block: &Block) -> bool {
        block.slots.iter().all(|slot| {
            let point = &points[slot.place].1;
            point.area == block.area
                && u32::from(point.address) == u32::from(block.address) + u32::from(slot.offset)
                && slot.count == point.kind.registers()
                && slot.offset + slot.count <= block.count
        })
    }

    proptest! {
        #[test]
        fn every_point_lies_in_exactly_one_block_and_limits_are_kept(
            points in maps(),
            max_registers in 20u16..=125,
            max_gap in 0u16..20,
        ) {
            let blocks = plan(&points, max_registers, max_gap);
            let mut places: Vec<usize> = Vec::new();
            for block in &blocks {
                prop_assert!(lies_inside(&points, block));
                let limit = if block.area.is_bits() { (max_registers * 16).min(2000) } else { max_registers };
                prop_assert!(block.count <= limit);
                for parts in [block.singles(), block.halves().map(Vec::from).unwrap_or_default()] {
                    prop_assert!(parts.iter().all(|part| lies_inside(&points, part)));
                    let slots: usize = parts.iter().map(|part| part.slots.len()).sum();
                    prop_assert!(parts.is_empty() || slots == block.slots.len());
                }
                places.extend(block.slots.iter().map(|slot| slot.place));
            }
            places.sort_unstable();
            prop_assert_eq!(places, (0..points.len()).collect::<Vec<_>>());
        }
    }
}
