//! `andon report`: the journal in, the figures of its windows out; also beside a running daemon.

use super::{
    Exit, Failure,
    figures::{By, Csv, Format, Kind, words::Ink},
    past::{self, Asked},
    verify,
};
use crate::{config::Plan, event::Stamp, io::journal::history::Depth};
use clap::Args;
use std::io::{self, BufWriter, Write};

#[derive(Debug, Args)]
pub(super) struct What {
    /// Only this machine.
    #[arg(long, value_name = "ID")]
    machine: Option<String>,
    /// Which windows; without `[[shift]]` a shift is a day.
    #[arg(long, value_enum, default_value_t)]
    window: Kind,
    /// Only windows that end after this moment (RFC 3339 with offset); `--window all` is cut here.
    #[arg(long, value_name = "T", value_parser = moment)]
    from: Option<Stamp>,
    /// Only windows that begin before this moment (RFC 3339 with offset); `--window all` is cut here.
    #[arg(long, value_name = "T", value_parser = moment)]
    to: Option<Stamp>,
    /// Whose figures.
    #[arg(long, value_enum, default_value_t)]
    by: By,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Count everything that is kept anew from the journal, and say where it differs.
    #[arg(long)]
    verify: bool,
}

pub(super) fn run(plan: Plan, what: &What) -> Result<(), Failure> {
    super::known_machine(&plan, what.machine.as_deref())?;
    if what.machine.is_some() && what.by != By::Machine {
        let words = "--machine is for figures of machines: an asset, a line or the site may be more than one of them";
        return Err(Failure::say(Exit::Usage, words));
    }
    let settings = super::daemon::settings(plan, None, 1);
    if what.verify {
        let is_json = match what.format {
            Format::Table => false,
            Format::Json => true,
            Format::Csv | Format::Losses => {
                return Err(Failure::say(Exit::Usage, "what --verify finds is told as --format table or json"));
            }
        };
        return verify::run(&settings, what.machine.as_deref(), is_json);
    }
    let range = (what.from.unwrap_or(Stamp::MIN), what.to.unwrap_or(Stamp::MAX));
    let machine = what.machine.as_deref();
    let asked = |depth| Asked { machine, kind: what.window, range, depth };
    let mut out = io::stdout().lock();
    if what.by == By::Machine && matches!(what.format, Format::Csv | Format::Losses) {
        // Machine by machine, each while it is still at hand: a year of fifty is thousands of windows.
        let mut csv = Csv::begin(what.format, &settings.rules);
        past::each(&settings, &asked(what.format.depth()), |figures| csv.add(&figures))?;
        return Failure::unless_printed(out.write_all(&csv.end()).and_then(|()| out.flush()));
    }
    let mut shown = past::read(&settings, &asked(what.format.depth()), what.by)?;
    if shown.wants_more(what.format) {
        shown = past::read(&settings, &asked(Depth::Whole), what.by)?;
    }
    let ink = Ink::of(&out);
    // Standard output alone is written line by line, whatever it leads to.
    let written = shown.write(what.format, ink, &mut BufWriter::new(out));
    // The program ends here: what it holds need not be given back piece by piece.
    std::mem::forget(shown);
    Failure::unless_printed(written)
}

fn moment(text: &str) -> Result<Stamp, String> {
    let at: jiff::Timestamp =
        text.parse().map_err(|_| "a moment is RFC 3339 with its offset: 2026-11-23T06:00:00+01:00")?;
    Ok(Stamp::from_ms(at.as_millisecond()))
}
