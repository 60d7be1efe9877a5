//! Where the program touches the world: PLCs, disk, broker, clock, systemd. Nothing here knows what a stop is.

pub mod clock;
pub mod journal;
pub mod mqtt;
pub mod plc;
pub mod samples;
pub mod systemd;
