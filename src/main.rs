//! The command line in, an exit code out.

use andon::cli::{self, Exit};
use std::{panic, process};

fn main() -> process::ExitCode {
    // Whichever thread finds a bug, the whole program ends: what is journaled is safe, and systemd starts it again.
    let say = panic::take_hook();
    panic::set_hook(Box::new(move |bug| {
        say(bug);
        process::exit(Exit::Bug as i32);
    }));
    cli::run(std::env::args_os())
}
