//! `andon demo` where its broker was left out.

use super::{Exit, Failure};
use std::time::Duration;

pub(super) fn run(_: Option<Duration>) -> Result<(), Failure> {
    Err(Failure::say(Exit::Unavailable, "built without the demo broker\nhint: build with the default features"))
}
