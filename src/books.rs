//! What happened in, figures out: intervals, windows, tallies, OEE, losses. Live pictures and reports use the very same code.

pub mod book;
pub mod calendar;
pub mod cycle;
pub mod history;
pub mod loss;
pub mod terms;
pub mod window;

pub use crate::event::Ideal;
pub use book::{Assignment, Book, Interval, Reading};
pub use calendar::{Calendar, Hours};
pub use history::Chronicle;
pub use loss::{Cell, Convention, Oee};
pub use terms::Terms;
pub use window::{Counting, Measure};
