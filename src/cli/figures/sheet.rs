//! Windows of machines in, the sheet of a report out: added up by line or site, as JSON, or handed on to be shown.

use super::{By, Format, rows, table, words::Ink};
use crate::{
    books::{Calendar, window},
    event::{
        Stamp,
        window::{Listed, Window},
    },
    io::journal::history::Stated,
    shop::{Rules, rules::MachineRules},
    wire::payload::{
        report::{self, Report},
        window::{Which, data},
    },
};
use std::{
    collections::HashMap,
    io::{self, Write},
    sync::Arc,
};

/// Up to where everything is in.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct AsOf {
    /// The last event.
    pub(in crate::cli) sequence: u64,
    /// The last moment that is known of.
    pub(in crate::cli) at: Stamp,
}

impl Default for AsOf {
    fn default() -> AsOf {
        AsOf { sequence: 0, at: Stamp::MIN }
    }
}

/// A window with its names.
pub(in crate::cli) struct Figure {
    /// `shift`, `hour`, `day`, `order` or `all`.
    pub(in crate::cli) kind: &'static str,
    /// `2026-11-23/early`
    pub(in crate::cli) id: String,
    /// `None` for an asset, a line or the site.
    pub(in crate::cli) machine: Option<String>,
    /// `None` for an asset or the site.
    pub(in crate::cli) line: Option<String>,
    /// `None` for a line or the site.
    pub(in crate::cli) asset: Option<String>,
    /// Those of an asset, a line or the site whose figures are in it.
    pub(in crate::cli) machines: Vec<String>,
    /// From 1.
    pub(in crate::cli) revision: u64,
    pub(in crate::cli) window: Box<Window>,
    /// What the lists of the window hold, also where they were not read.
    pub(super) listed: Listed,
    /// It is a line of the history: the window has those lists that were asked for.
    pub(super) is_kept: bool,
}

/// What a report shows.
pub(in crate::cli) struct Sheet {
    pub(super) rules: Arc<Rules>,
    pub(super) as_of: AsOf,
    /// By kind, then machine (or asset, or line), then time.
    pub(super) figures: Vec<Figure>,
}

impl Figure {
    pub(in crate::cli) fn of_machine(
        machine: &MachineRules,
        kind: &'static str,
        id: impl Into<String>,
        window: impl Into<Box<Window>>,
    ) -> Figure {
        let window = window.into();
        let listed = window.listed();
        Figure {
            kind,
            id: id.into(),
            machine: Some(machine.id.clone()),
            line: Some(machine.line.clone()),
            asset: Some(machine.asset.clone()),
            machines: Vec::new(),
            revision: 1,
            window,
            listed,
            is_kept: false,
        }
    }

    /// Of a window that is kept, read as deep as it was asked for.
    pub(super) fn kept(machine: &MachineRules, kind: &'static str, stated: Stated) -> Figure {
        let Stated { machine: name, id, revision, window, listed, .. } = stated;
        Figure {
            kind,
            id,
            machine: Some(name),
            line: Some(machine.line.clone()),
            asset: Some(machine.asset.clone()),
            machines: Vec::new(),
            revision,
            window,
            listed,
            is_kept: true,
        }
    }

    /// The machine, the line, the asset, or the site.
    pub(super) fn whose(&self) -> &str {
        self.machine.as_deref().or(self.line.as_deref()).or(self.asset.as_deref()).unwrap_or("site")
    }

    fn data(&self) -> report::Window<'_> {
        let which = Which {
            window: self.kind,
            id: &self.id,
            machine: self.machine.as_deref(),
            line: self.line.as_deref(),
            machines: &self.machines,
            revision: self.revision,
        };
        report::Window { asset: self.asset.as_deref(), data: data(which, &self.window) }
    }
}

impl Sheet {
    /// `figures` are those of machines, kind by kind.
    pub(in crate::cli) fn new(rules: Arc<Rules>, as_of: AsOf, figures: Vec<Figure>, by: By) -> Sheet {
        let figures = if by == By::Machine { figures } else { rolled_up(figures, by, &rules) };
        Sheet { rules, as_of, figures }
    }

    /// What it shows of few windows was not read of them.
    pub(in crate::cli) fn wants_more(&self, format: Format) -> bool {
        format == Format::Table && table::blocks(self).any(|figure| figure.is_kept)
    }

    /// Writes it so; `ink` is for tables.
    pub(in crate::cli) fn write(&self, format: Format, ink: Ink, out: &mut impl Write) -> io::Result<()> {
        match format {
            Format::Table => out.write_all(table::table(self, ink).as_bytes())?,
            Format::Json => {
                serde_json::to_writer_pretty(&mut *out, &self.report())?;
                writeln!(out)?;
            }
            Format::Csv | Format::Losses => {
                let mut csv = rows::Csv::begin(format, &self.rules);
                csv.add(&self.figures);
                out.write_all(&csv.end())?;
            }
        }
        out.flush()
    }

    /// The plant's zone and days.
    pub(in crate::cli) fn calendar(&self) -> &Calendar {
        &self.rules.calendar
    }

    /// As JSON has it.
    pub(in crate::cli) fn report(&self) -> Report<'_> {
        Report {
            convention: self.rules.oee.convention.word(),
            timezone: self.rules.calendar.zone(),
            as_of_sequence: self.as_of.sequence,
            windows: self.figures.iter().map(Figure::data).collect(),
        }
    }
}

/// Windows of one kind and id are added up, whether or not they begin and end together: machines of other calendars may
/// have other times for a shift of one id.
fn rolled_up(figures: Vec<Figure>, by: By, rules: &Rules) -> Vec<Figure> {
    let mut groups: Vec<Vec<Figure>> = Vec::new();
    let mut places: HashMap<(&'static str, Option<String>, String), usize> = HashMap::new();
    for figure in figures {
        let whose = whose(&figure, by).cloned();
        let bottleneck = whose.as_deref().filter(|_| by == By::Line).and_then(|line| rules.bottleneck(line));
        if bottleneck.is_some_and(|bottleneck| figure.machine.as_deref() != Some(bottleneck)) {
            continue;
        }
        let place = *places.entry((figure.kind, whose, figure.id.clone())).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[place].push(figure);
    }
    let mut sums: Vec<Figure> = groups.into_iter().filter_map(|group| added_up(group, by, rules)).collect();
    let kinds: Vec<&str> = sums.iter().map(|figure| figure.kind).collect();
    let kind_of = |figure: &Figure| kinds.iter().position(|kind| *kind == figure.kind);
    let first_of = |figure: &Figure| {
        let is_in = |machine: &MachineRules| match by {
            By::Line => Some(&machine.line) == figure.line.as_ref(),
            By::Asset => Some(&machine.asset) == figure.asset.as_ref(),
            By::Machine | By::Site => true,
        };
        rules.machines.iter().position(is_in)
    };
    sums.sort_by_cached_key(|figure| (kind_of(figure), first_of(figure), figure.window.from));
    sums
}

/// What its machine is added up in.
fn whose(figure: &Figure, by: By) -> Option<&String> {
    match by {
        By::Line => figure.line.as_ref(),
        By::Asset => figure.asset.as_ref(),
        By::Machine | By::Site => None,
    }
}

fn added_up(group: Vec<Figure>, by: By, rules: &Rules) -> Option<Figure> {
    let window = window::sum(group.iter().map(|figure| &*figure.window), rules.oee.convention)?;
    let first = group.first()?;
    Some(Figure {
        kind: first.kind,
        id: first.id.clone(),
        machine: None,
        line: first.line.clone().filter(|_| by == By::Line),
        asset: first.asset.clone().filter(|_| by == By::Asset),
        // Whichever machine's is revised, this is revised.
        revision: 1 + group.iter().map(|figure| figure.revision - 1).sum::<u64>(),
        listed: group.iter().fold(Listed::default(), |sum, figure| sum.plus(figure.listed)),
        is_kept: group.iter().any(|figure| figure.is_kept),
        machines: group.into_iter().filter_map(|figure| figure.machine).collect(),
        window: Box::new(window),
    })
}
