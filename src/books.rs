//! What happened in, figures out: intervals, windows, tallies, OEE, losses. Live pictures and reports use the very same code.

pub mod book;
pub mod calendar;
pub mod loss;
pub mod window;

pub use crate::event::Ideal;
pub use book::{Book, Interval, Reading};
pub use calendar::{Calendar, Hours};
pub use loss::Convention;
pub use window::{Counting, Kpi, Loss, Measure, Share, Window};
