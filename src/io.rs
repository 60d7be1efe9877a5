//! Where the program touches the world: PLCs, disk, broker, clock, systemd. Nothing here knows what a stop is.

pub mod clock;
pub mod descriptors;
pub mod journal;
pub mod mqtt;
pub mod plc;
pub mod program;
pub mod samples;
pub mod systemd;

/// An error and its causes, in one line.
pub(crate) fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}
