//! What happened in, figures out: intervals, windows, tallies, OEE, losses. Live pictures and reports use the very same code.

pub mod book;
pub mod calendar;
pub mod cycle;
pub mod loss;
pub mod window;

pub use crate::event::Ideal;
pub use book::{Assignment, Book, Interval, Reading};
pub use calendar::{Calendar, Hours};
pub use loss::{Cell, Convention, Oee};
pub use window::{Counting, Measure};
