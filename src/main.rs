//! The command line in, an exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    andon::cli::run(std::env::args_os())
}
