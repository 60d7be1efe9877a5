//! A name in, the schema of that out: `andon schema`.

use std::io::{self, Write};

/// `andon schema config`: the JSON Schema (2020-12) of the configuration, for editors.
///
/// # Errors
/// `out` could not be written.
pub fn config(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{:#}", crate::config::schema())
}

/// `andon schema events`: the JSON Schema (2020-12) of everything that goes over the broker.
///
/// # Errors
/// `out` could not be written.
pub fn events(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{:#}", crate::wire::schema::events())
}

/// `andon schema asyncapi`: the AsyncAPI 3.0 document.
///
/// # Errors
/// `out` could not be written.
pub fn asyncapi(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{:#}", crate::wire::schema::asyncapi())
}
