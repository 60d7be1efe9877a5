//! andon: from a PLC's registers to one downtime event that MES and CMMS share.
//!
//! The house in the order in which things flow; each room knows only rooms that stand above it in this list.

pub mod books;
pub mod cli;
pub mod config;
pub mod custody;
pub mod event;
pub mod io;
pub mod shop;
pub mod signal;
