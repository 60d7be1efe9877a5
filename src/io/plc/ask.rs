//! A question in; the bytes that ask it, and the values in the data of its answer, out.

use crate::signal::point::Area;

/// A reply with this bit in its function refuses the request.
pub(super) const EXCEPTION_BIT: u8 = 0x80;
/// Unit, function, address, count: what a request has beside the frame of its transport.
pub(super) const ASK_BYTES: u8 = 6;

/// Of a question that comes back: byte by byte it can look like an answer.
pub(super) const ECHO: &str = "it is the question itself";

/// A read of so many registers or bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ask {
    pub(super) unit: u8,
    pub(super) function: u8,
    pub(super) address: u16,
    pub(super) count: u16,
}

impl Ask {
    pub(super) fn new(unit: u8, area: Area, address: u16, count: u16) -> Ask {
        let function = match area {
            Area::Coil => 1,
            Area::Discrete => 2,
            Area::Holding => 3,
            Area::Input => 4,
        };
        Ask { unit, function, address, count }
    }

    pub(super) fn is_bits(self) -> bool {
        self.function <= 2
    }

    pub(super) fn bytes(self) -> [u8; ASK_BYTES as usize] {
        let [address, count] = [self.address.to_be_bytes(), self.count.to_be_bytes()];
        [self.unit, self.function, address[0], address[1], count[0], count[1]]
    }

    /// How many bytes of data the answer has.
    pub(super) fn data_bytes(self) -> usize {
        let count = usize::from(self.count);
        if self.is_bits() { count.div_ceil(8) } else { count * 2 }
    }

    /// Exactly `count` values; a bit comes as a register that holds 0 or 1.
    pub(super) fn values(self, data: &[u8], count: u16) -> Vec<u16> {
        let mut values: Vec<u16> = if self.is_bits() {
            data.iter().flat_map(|byte| (0..8).map(move |bit| u16::from(byte >> bit & 1))).collect()
        } else {
            data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
        };
        values.truncate(usize::from(count));
        values
    }

    /// Why a reply that holds so many bytes is no answer.
    pub(super) fn misfit(self, bytes: usize) -> String {
        let due = self.data_bytes();
        let hint = match bytes {
            _ if bytes == due * 2 => ": twice as many, as of a device whose registers have 32 bits",
            _ if bytes == usize::from(self.count) => ": it counts registers where bytes are to be counted",
            0 => ": as of a device that counts in two bytes",
            _ => "",
        };
        format!("it holds {bytes} bytes where {due} were due{hint}")
    }
}
