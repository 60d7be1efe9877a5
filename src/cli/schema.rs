//! A name in, the schema of that out: `andon schema`.

use std::io::{self, Write};

/// `andon schema config`: the JSON Schema (2020-12) of the configuration, for editors.
///
/// # Errors
/// `out` could not be written.
pub fn config(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{:#}", crate::config::schema())
}
