//! What happened in, figures out: intervals, windows, tallies, OEE, losses. Live pictures and reports use the very same code.

pub mod calendar;
pub mod ideal;
pub mod loss;

pub use calendar::Calendar;
pub use ideal::Ideal;
pub use loss::Convention;
