//! Events in, proof of their delivery out: hash chain, cursor, flight; digest, receipts and replay.

pub mod chain;
pub mod digest;
pub mod epoch;
pub mod flight;
pub mod receipt;
pub mod replay;
