//! Registers in, readings out, and from readings the edges of a machine: going, standing, unknown.

pub mod counter;
pub mod decode;
pub mod expression;
pub mod mode;
pub mod motion;
pub mod notation;
pub mod orders;
pub mod pace;
pub mod plan;
pub mod point;

pub use point::{Bad, Observation, Point, PointIx, Reading, Value};
