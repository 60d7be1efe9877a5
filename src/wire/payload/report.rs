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
    pub windows: Vec<Window<'a>>,
}

/// A window, and whose it is in the CMMS.
#[derive(Serialize)]
pub struct Window<'a> {
    /// `null` for a line or the site.
    pub asset: Option<&'a str>,
    /// The figures.
    #[serde(flatten)]
    pub data: window::Data<'a>,
}
