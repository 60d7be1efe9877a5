//! `andon report`: the journal in, the figures of its windows out; also beside a running daemon.

use super::{
    Exit, Failure,
    figures::{By, Figures, Format, Kind, words::Ink},
};
use crate::{
    config::Plan,
    event::{Stamp, Told},
    io::journal::{self, Marks as MarksFile, Reader},
    shop::Marks,
};
use clap::Args;
use std::{io, sync::Arc};

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
}

pub(super) fn run(plan: Plan, what: &What) -> Result<(), Failure> {
    super::known_machine(&plan, what.machine.as_deref())?;
    if what.machine.is_some() && what.by != By::Machine {
        let words = "--machine is for figures of machines: a line or the site is more than one of them";
        return Err(Failure::say(Exit::Usage, words));
    }
    let settings = super::daemon::settings(plan, None, 1);
    let range = (what.from.unwrap_or(Stamp::MIN), what.to.unwrap_or(Stamp::MAX));
    let sheet = read(settings)?.sheet(&[what.window], range, what.machine.as_deref(), what.by);
    let mut out = io::stdout().lock();
    Failure::unless_printed(sheet.write(what.format, Ink::of(&out), &mut out))
}

/// Everything that the journal and the marks of a gateway tell.
pub(super) fn read(settings: crate::gateway::Settings) -> Result<Figures, Failure> {
    let unusable = |error: journal::Error| Failure::new(Exit::Journal, &error);
    let reader = Reader::open(&settings.journal.data_dir).map_err(unusable)?;
    let mut figures = Figures::new(Arc::new(settings.rules));
    let mut passed_over = 0;
    reader
        .each_row(|row| match serde_json::from_str::<Told>(&row.internal) {
            Ok(told) => figures.enter(&told),
            Err(_) => passed_over += 1,
        })
        .map_err(unusable)?;
    if passed_over > 0 {
        super::eprint_words(&format!("warning: {passed_over} events of another version were passed over\n"));
    }
    let instance = reader.instance().map_err(unusable)?;
    let in_memory = MarksFile::place(&settings.journal, instance).read().map(|kept| kept.body);
    for marks in [reader.marks().map_err(unusable)?, in_memory].into_iter().flatten() {
        if let Ok(marks) = serde_json::from_str::<Marks>(&marks) {
            figures.mark(&marks);
        }
    }
    Ok(figures)
}

fn moment(text: &str) -> Result<Stamp, String> {
    let at: jiff::Timestamp =
        text.parse().map_err(|_| "a moment is RFC 3339 with its offset: 2026-11-23T06:00:00+01:00")?;
    Ok(Stamp::from_ms(at.as_millisecond()))
}
