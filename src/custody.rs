//! Events in, proof of their delivery out: hash chain, cursor, flight.

pub mod chain;
pub mod flight;
