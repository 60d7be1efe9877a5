//! Observations in, events out: what the machines did, decided purely.

pub mod rules;
