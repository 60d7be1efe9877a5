//! andon: from a PLC's registers to one downtime event that MES and CMMS share.
//!
//! The house in the order in which things flow; each room knows only rooms that stand above it in this list
//! (`tests/house.rs` keeps the table).

// Pure: no file, no socket, no clock, no chance.
pub mod event;
pub mod signal;
pub mod books;
pub mod custody;
pub mod shop;
pub mod wire;
// The world.
pub mod io;
pub mod gateway;
pub mod config;
pub mod sim;
pub mod cli;
