//! A point: where a value lies in a PLC and how its bits are to be read; and a reading: the value, or why there is none.

use crate::event::Stamp;

/// A point's place in the gateway's table of points, over all PLCs in the order of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PointIx(pub usize);

/// The four tables of a Modbus device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// Function 1.
    Coil,
    /// Function 2.
    Discrete,
    /// Function 3.
    Holding,
    /// Function 4.
    Input,
}

impl Area {
    /// The key in TOML.
    pub fn word(self) -> &'static str {
        match self {
            Area::Coil => "coil",
            Area::Discrete => "discrete",
            Area::Holding => "holding",
            Area::Input => "input",
        }
    }

    /// Coils and discrete inputs hold one bit, the others 16.
    pub fn is_bits(self) -> bool {
        matches!(self, Area::Coil | Area::Discrete)
    }
}

/// How the bits of a point are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A coil, a discrete input, or one bit (0 is the lowest) of a register.
    Bool {
        /// `None` for a coil or discrete input, or for a whole register taken as "not zero".
        bit: Option<u8>,
    },
    /// Unsigned 16 bit.
    U16,
    /// Signed 16 bit.
    I16,
    /// Unsigned 32 bit.
    U32,
    /// Signed 32 bit.
    I32,
    /// Unsigned 64 bit; a value above 2^63 − 1 is bad.
    U64,
    /// Signed 64 bit.
    I64,
    /// IEEE 754 single.
    F32,
    /// IEEE 754 double.
    F64,
    /// Four decimal digits.
    Bcd16,
    /// Eight decimal digits.
    Bcd32,
    /// So many bytes of text, two a register, high byte first, cut at the first NUL.
    Text(u16),
}

impl Kind {
    /// How many registers (or bits, in a bit area) it takes.
    pub fn registers(self) -> u16 {
        match self {
            Kind::Bool { .. } | Kind::U16 | Kind::I16 | Kind::Bcd16 => 1,
            Kind::U32 | Kind::I32 | Kind::F32 | Kind::Bcd32 => 2,
            Kind::U64 | Kind::I64 | Kind::F64 => 4,
            Kind::Text(bytes) => bytes.div_ceil(2),
        }
    }

    /// After how many counts a counter of this kind starts at 0 again, where the configuration does not say.
    pub fn modulus(self) -> Option<i64> {
        match self {
            Kind::U16 | Kind::I16 => Some(1 << 16),
            Kind::U32 | Kind::I32 => Some(1 << 32),
            Kind::U64 | Kind::I64 => Some(i64::MAX),
            Kind::Bcd16 => Some(10_000),
            Kind::Bcd32 => Some(100_000_000),
            Kind::Bool { .. } | Kind::F32 | Kind::F64 | Kind::Text(_) => None,
        }
    }
}

/// In which order the bytes of a value stand in its registers; A is the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// High word first: Modbus' own way.
    #[default]
    Abcd,
    /// Low word first.
    Cdab,
    /// High word first, bytes swapped in each word.
    Badc,
    /// Low word first, bytes swapped: all reversed.
    Dcba,
}

/// One value of a PLC.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// `press-plc.good`
    pub name: String,
    /// The table.
    pub area: Area,
    /// From 0.
    pub address: u16,
    /// How to read it.
    pub kind: Kind,
    /// Order of words and bytes.
    pub order: Order,
    /// Logical not, for booleans.
    pub invert: bool,
    /// How long a true holds after the last true sample (a blinking lamp); 0: not at all. Milliseconds.
    pub hold_ms: i64,
    /// `value = raw × scale + offset`; any but (1, 0) makes the value real.
    pub scale: f64,
    /// See `scale`.
    pub offset: f64,
    /// Where a counter starts at 0 again, if configured.
    pub modulus: Option<i64>,
}

/// A decoded value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A bit.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A real number, always finite.
    Real(f64),
    /// Text.
    Text(Box<str>),
}

impl Value {
    /// As a bit: not zero.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(bit) => Some(*bit),
            Value::Int(n) => Some(*n != 0),
            Value::Real(_) | Value::Text(_) => None,
        }
    }

    /// As a number.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Real(real) => Some(*real),
            other => other.as_int().map(|n| n as f64),
        }
    }

    /// As a whole number.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Bool(bit) => Some(i64::from(*bit)),
            Value::Int(n) => Some(*n),
            Value::Real(_) | Value::Text(_) => None,
        }
    }
}

/// Why a reading holds no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// No connection, no answer in time, or an answer that cannot be trusted.
    Silent,
    /// The device answered with this Modbus exception.
    Refused(u8),
    /// The registers hold nothing of this kind (BCD digit above 9, not a number, not UTF-8).
    Undecodable,
}

/// What one look at a point gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// A value.
    Good(Value),
    /// None, and why.
    Bad(Bad),
}

/// What one look at some points of a PLC gave. Points that were not looked at are absent.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// When the reply was in.
    pub at: Stamp,
    /// Reading by point.
    pub readings: Vec<(PointIx, Reading)>,
}
