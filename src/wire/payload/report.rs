//! The report of `andon report` and `andon replay --report`.

use super::window;
use serde::Serialize;

/// Windows with what they were measured by.
#[derive(Serialize)]
pub struct Report<'a> {
    /// Whose rules.
    pub convention: &'static str,
    /// The plant's.
    pub timezone: &'a str,
    /// The last event that is in.
    pub as_of_sequence: u64,
    /// In order of machine and time.
    pub windows: Vec<window::Data<'a>>,
}
