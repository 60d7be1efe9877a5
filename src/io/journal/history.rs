//! What is kept of days that are over in, the same out years later: windows, pages of machine-days, the terms of both.
//!
//! All of it follows from the journal and can be made anew, so it has a format of its own: an older andon opens the
//! database, leaves these tables as they are, and the next newer one catches up. `history.sequence` says how far they
//! follow the journal. A window's figures are columns of integers, so that anybody can add them up in SQL; what is a list
//! stands beside them as JSON, and what only few windows are asked for in a table of its own: a report of a year reads
//! short rows, one after the other.

use super::Error;
use crate::event::{
    Ideal, Stamp, Wall,
    part::{Bounds, Counts},
    shift::Kind,
    stop::{Class, CountsIn},
    window::{IdealSource, Kpi, Listed, Loss, Made, Share, Window},
};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, named_params};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, path::Path};
use uuid::Uuid;

/// What a history of format n needs to become n + 1; never edited once released.
///
/// `sequence` is the event that a line follows from: a later one takes its place, an earlier one never.
const STEPS: &[&str] = &["
    CREATE TABLE history (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        format INTEGER NOT NULL,
        sequence INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE terms (
        print INTEGER PRIMARY KEY,
        body TEXT NOT NULL
    ) STRICT;
    CREATE TABLE stated (
        machine TEXT NOT NULL,
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        begins INTEGER NOT NULL,
        ends INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        terms INTEGER,
        print INTEGER NOT NULL,
        final INTEGER NOT NULL,
        from_ms INTEGER NOT NULL,
        to_ms INTEGER NOT NULL,
        calendar_ms INTEGER NOT NULL,
        clock_adjust_ms INTEGER NOT NULL,
        time_running_ms INTEGER NOT NULL,
        time_short_stop_ms INTEGER NOT NULL,
        time_down_ms INTEGER NOT NULL,
        time_changeover_ms INTEGER NOT NULL,
        time_planned_stop_ms INTEGER NOT NULL,
        time_external_ms INTEGER NOT NULL,
        time_unscheduled_ms INTEGER NOT NULL,
        time_unknown_ms INTEGER NOT NULL,
        planned_ms INTEGER NOT NULL,
        run_ms INTEGER NOT NULL,
        outside_run_ms INTEGER NOT NULL,
        changeover_ms INTEGER NOT NULL,
        total INTEGER NOT NULL,
        good INTEGER NOT NULL,
        reject INTEGER NOT NULL,
        rework INTEGER NOT NULL,
        outside_total INTEGER NOT NULL,
        outside_good INTEGER NOT NULL,
        parts_min INTEGER,
        parts_max INTEGER,
        failures INTEGER NOT NULL,
        restorations INTEGER NOT NULL,
        restoration_ms INTEGER NOT NULL,
        lost_ms INTEGER NOT NULL,
        stops INTEGER NOT NULL,
        downtimes INTEGER NOT NULL,
        downtimes_ms INTEGER NOT NULL,
        flags TEXT NOT NULL,
        made TEXT NOT NULL,
        losses TEXT NOT NULL,
        PRIMARY KEY (machine, kind, begins, id)
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX stated_id ON stated (machine, kind, id);
    CREATE TABLE stated_more (
        machine TEXT NOT NULL,
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        downtimes TEXT NOT NULL,
        cycles TEXT NOT NULL,
        PRIMARY KEY (machine, kind, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE page (
        machine TEXT NOT NULL,
        begins INTEGER NOT NULL,
        ends INTEGER NOT NULL,
        id TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        stale INTEGER NOT NULL DEFAULT 0,
        body TEXT NOT NULL,
        PRIMARY KEY (machine, begins)
    ) STRICT, WITHOUT ROWID;
"];

/// No day is longer, in any zone. Milliseconds.
const LONGEST_DAY_MS: i64 = 27 * 3_600_000;

/// What goes into the history with the events that it follows from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// In order.
    pub lines: Vec<Line>,
    /// Nothing that follows from an event up to this one is missing any more.
    pub through: Option<u64>,
}

/// One line of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// The rules that figures were made under.
    Terms {
        /// Their fingerprint.
        print: i64,
        /// As JSON.
        body: String,
    },
    /// The figures of a shift or day.
    Window(Box<Stated>),
    /// A machine's day.
    Page(Page),
    /// Pages of this machine that overlap `[from, to)` are no longer true.
    Stale {
        /// Its id.
        machine: String,
        /// From here on.
        from: Stamp,
        /// Until then.
        to: Stamp,
    },
}

/// The figures of a shift or day of one machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Stated {
    /// Its id.
    pub machine: String,
    /// `shift`, or `day`.
    pub kind: Kind,
    /// The window's.
    pub id: String,
    /// The whole window, also where the gateway saw only a part of it; by the wall clock.
    pub from: Stamp,
    /// First instant after.
    pub to: Stamp,
    /// The event that it follows from.
    pub sequence: u64,
    /// From 1. 0 to be written: one more than before if the figures are others.
    pub revision: u64,
    /// Fingerprint of the rules that it was made under; `None`: nobody has kept them.
    pub terms: Option<i64>,
    /// Fingerprint of the figures with their ratios; made when it is written.
    pub print: u64,
    /// The figures, but for the ratios and for lists that were not asked for.
    pub window: Box<Window>,
    /// What those lists hold.
    pub listed: Listed,
}

/// How much of a window is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// All figures; no losses, downtimes and cycles.
    Figures,
    /// With the losses.
    Losses,
    /// With downtimes and cycles too.
    Whole,
}

impl Stated {
    /// Nothing but a person can change it any more, and where the wall clock was set in it, all of that time is in it.
    pub fn is_settled(&self, wall: &Wall) -> bool {
        let is_whole = || {
            let lengths = wall.times(self.from, self.to).into_iter().map(|(from, to)| to.since(from));
            let lengths: Vec<i64> = lengths.collect();
            lengths == [self.to.since(self.from)] || lengths.iter().sum::<i64>() == self.window.calendar_ms
        };
        self.window.is_final && (wall.is_plain() || is_whole())
    }
}

/// A machine's day, or what of it lies between two steps of the wall clock; instants of the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The machine's id.
    pub machine: String,
    /// The day's.
    pub id: String,
    /// First instant.
    pub from: Stamp,
    /// First instant after.
    pub to: Stamp,
    /// The event that it follows from.
    pub sequence: u64,
    /// Intervals, stops, readings and assignments, as JSON.
    pub body: String,
    /// Something was told of it that is not in it.
    pub is_stale: bool,
}

/// How far the history follows the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Nothing that follows from an event up to this one is missing; `None`: it is of a format that this program does not know.
    pub through: Option<u64>,
    /// By machine: the latest page's day and its end.
    pub written: BTreeMap<String, (String, Stamp)>,
}

/// Takes the steps that are missing. A history of a newer format is left alone.
pub(super) fn migrate(db: &mut Connection, path: &Path) -> Result<(), Error> {
    let fault = |error| Error::database(path, "migrated", error);
    let from = format(db).map_err(fault)?;
    for (step, reached) in STEPS.iter().zip(1_usize..).skip(from) {
        let take = |db: &mut Connection| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute_batch(step)?;
            transaction.execute(
                "INSERT INTO history (only, format, sequence) VALUES (1, ?1, 0)
                 ON CONFLICT (only) DO UPDATE SET format = ?1",
                [reached],
            )?;
            transaction.commit()
        };
        take(db).map_err(fault)?;
    }
    Ok(())
}

/// 0 where there is none.
fn format(db: &Connection) -> rusqlite::Result<usize> {
    let is_there = db.query_one(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'history')",
        [],
        |row| row.get(0),
    )?;
    if is_there { db.query_one("SELECT format FROM history", [], |row| row.get(0)) } else { Ok(0) }
}

/// `None` where there is none that this program knows.
pub(super) fn through(db: &Connection) -> rusqlite::Result<Option<u64>> {
    match format(db)? == STEPS.len() {
        true => db.query_one("SELECT sequence FROM history", [], |row| row.get(0)).map(Some),
        false => Ok(None),
    }
}

pub(super) fn reach(db: &Connection) -> rusqlite::Result<Reach> {
    let Some(through) = through(db)? else { return Ok(Reach::default()) };
    let mut written = BTreeMap::new();
    let mut last =
        db.prepare_cached("SELECT machine, id, ends FROM page WHERE machine > ?1 ORDER BY machine LIMIT 1")?;
    let mut latest = db.prepare_cached("SELECT id, ends FROM page WHERE machine = ?1 ORDER BY begins DESC LIMIT 1")?;
    let mut machine = String::new();
    // From machine to machine, never over all the pages.
    while let Some(next) = last.query_row([&machine], |row| row.get::<_, String>(0)).optional()? {
        let page = latest.query_row([&next], |row| Ok((row.get(0)?, stamp(row.get(1)?))))?;
        written.insert(next.clone(), page);
        machine = next;
    }
    Ok(Reach { through: Some(through), written })
}

pub(super) fn put(db: &Connection, history: &History) -> rusqlite::Result<()> {
    for line in &history.lines {
        match line {
            Line::Terms { print, body } => {
                db.prepare_cached("INSERT OR IGNORE INTO terms (print, body) VALUES (?1, ?2)")?
                    .execute((print, body))?;
            }
            Line::Window(stated) => put_window(db, stated)?,
            Line::Page(page) => {
                db.prepare_cached(
                    "INSERT INTO page (machine, begins, ends, id, sequence, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT DO UPDATE SET
                        ends = excluded.ends, id = excluded.id, sequence = excluded.sequence, stale = 0,
                        body = excluded.body
                     WHERE excluded.sequence > sequence OR (excluded.sequence = sequence AND stale = 0)",
                )?
                .execute((
                    &page.machine,
                    page.from.ms(),
                    page.to.ms(),
                    &page.id,
                    page.sequence,
                    &page.body,
                ))?;
            }
            Line::Stale { machine, from, to } => {
                db.prepare_cached("UPDATE page SET stale = 1 WHERE machine = ?1 AND begins < ?2 AND ends > ?3")?
                    .execute((machine, to.ms(), from.ms()))?;
            }
        }
    }
    if let Some(through) = history.through {
        db.prepare_cached("UPDATE history SET sequence = ?1")?.execute([through])?;
    }
    Ok(())
}

fn put_window(db: &Connection, stated: &Stated) -> rusqlite::Result<()> {
    let Stated { machine, kind, id, from, to, sequence, revision, terms, print: _, window, listed: _ } = stated;
    // Named one by one, so that a new figure cannot be forgotten here.
    let Window {
        from: from_ms,
        to: to_ms,
        is_final,
        calendar_ms,
        time_ms,
        clock_adjust_ms,
        planned_ms,
        run_ms,
        outside_run_ms,
        changeover_ms,
        counts: Counts { total, good, reject, rework, outside_total, outside_good },
        parts_bounds,
        made,
        failures,
        restorations,
        restoration_ms,
        cycles,
        kpi: _,
        flags,
        losses,
        downtimes,
    } = &**window;
    let [running, short_stop, down, changeover, planned_stop, external, unscheduled, unknown] = time_ms;
    let listed = window.listed();
    // The bits of the fingerprint: SQLite's integers have a sign.
    let print = i64::from_ne_bytes(window.print().to_ne_bytes());
    let written = db
        .prepare_cached(
            "INSERT INTO stated VALUES (
            :machine, :kind, :id, :begins, :ends, :sequence, max(:revision, 1), :terms, :print, :final, :from_ms, :to_ms,
            :calendar_ms, :clock_adjust_ms, :running, :short_stop, :down, :changeover, :planned_stop, :external,
            :unscheduled, :unknown, :planned_ms, :run_ms, :outside_run_ms, :changeover_ms, :total, :good, :reject, :rework,
            :outside_total, :outside_good, :parts_min, :parts_max, :failures, :restorations, :restoration_ms, :lost_ms,
            :stops, :downtimes, :downtimes_ms, :flags, :made, :losses)
         ON CONFLICT (machine, kind, id) DO UPDATE SET
            begins = excluded.begins, ends = excluded.ends, sequence = excluded.sequence,
            revision = CASE :revision WHEN 0 THEN revision + (print <> excluded.print) ELSE :revision END,
            terms = excluded.terms, print = excluded.print, final = excluded.final, from_ms = excluded.from_ms,
            to_ms = excluded.to_ms, calendar_ms = excluded.calendar_ms, clock_adjust_ms = excluded.clock_adjust_ms,
            time_running_ms = excluded.time_running_ms, time_short_stop_ms = excluded.time_short_stop_ms,
            time_down_ms = excluded.time_down_ms, time_changeover_ms = excluded.time_changeover_ms,
            time_planned_stop_ms = excluded.time_planned_stop_ms, time_external_ms = excluded.time_external_ms,
            time_unscheduled_ms = excluded.time_unscheduled_ms, time_unknown_ms = excluded.time_unknown_ms,
            planned_ms = excluded.planned_ms, run_ms = excluded.run_ms, outside_run_ms = excluded.outside_run_ms,
            changeover_ms = excluded.changeover_ms, total = excluded.total, good = excluded.good,
            reject = excluded.reject, rework = excluded.rework, outside_total = excluded.outside_total,
            outside_good = excluded.outside_good, parts_min = excluded.parts_min, parts_max = excluded.parts_max,
            failures = excluded.failures, restorations = excluded.restorations,
            restoration_ms = excluded.restoration_ms, lost_ms = excluded.lost_ms, stops = excluded.stops,
            downtimes = excluded.downtimes, downtimes_ms = excluded.downtimes_ms, flags = excluded.flags,
            made = excluded.made, losses = excluded.losses
         WHERE excluded.sequence > sequence",
        )?
        .execute(named_params! {
            ":machine": machine, ":kind": kind.word(), ":id": id, ":begins": from.ms(), ":ends": to.ms(),
            ":sequence": sequence, ":revision": revision, ":terms": terms, ":print": print, ":final": is_final,
            ":from_ms": from_ms.ms(), ":to_ms": to_ms.ms(), ":calendar_ms": calendar_ms,
            ":clock_adjust_ms": clock_adjust_ms, ":running": running, ":short_stop": short_stop, ":down": down,
            ":changeover": changeover, ":planned_stop": planned_stop, ":external": external,
            ":unscheduled": unscheduled, ":unknown": unknown, ":planned_ms": planned_ms, ":run_ms": run_ms,
            ":outside_run_ms": outside_run_ms, ":changeover_ms": changeover_ms, ":total": total, ":good": good,
            ":reject": reject, ":rework": rework, ":outside_total": outside_total, ":outside_good": outside_good,
            ":parts_min": parts_bounds.map(|bounds| bounds.min),
            ":parts_max": parts_bounds.and_then(|bounds| bounds.max),
            ":failures": failures, ":restorations": restorations, ":restoration_ms": restoration_ms,
            ":lost_ms": listed.lost_ms, ":stops": listed.stops, ":downtimes": listed.downtimes,
            ":downtimes_ms": listed.downtimes_ms, ":flags": flags.join(" "),
            ":made": text(&made.iter().map(made_row).collect::<Vec<_>>()),
            ":losses": text(&losses.iter().map(loss_row).collect::<Vec<_>>()),
        })?;
    if written > 0 {
        db.prepare_cached("INSERT OR REPLACE INTO stated_more VALUES (?1, ?2, ?3, ?4, ?5)")?.execute((
            machine,
            kind.word(),
            id,
            text(&downtimes.iter().map(share_row).collect::<Vec<_>>()),
            if cycles.is_empty() { String::new() } else { text(cycles) },
        ))?;
    }
    Ok(())
}

/// What stands in `made`: an array for each ideal, as in `["machine", 27000000, 2700, 2650, [10000, 1]]`.
type MadeRow = (IdealSource, i64, i64, i64, Option<(i64, i64)>);

fn made_row(made: &Made) -> MadeRow {
    let Made { ideal, source, run_ms, total, good } = made;
    (*source, *run_ms, *total, *good, ideal.map(|ideal| (ideal.ms, ideal.parts)))
}

fn made((source, run_ms, total, good, ideal): MadeRow) -> Made {
    Made { ideal: ideal.map(|(ms, parts)| Ideal { ms, parts }), source, run_ms, total, good }
}

/// What stands in `losses`: an array for each, as in `["mech.jam", "failure", "availability", 5400000, 3]`.
type LossRow<Text> = (Option<Text>, Class, CountsIn, i64, i64);

fn loss_row(loss: &Loss) -> LossRow<&str> {
    let Loss { reason, class, counts_in, ms, times } = loss;
    (reason.as_deref(), *class, *counts_in, *ms, *times)
}

fn loss((reason, class, counts_in, ms, times): LossRow<String>) -> Loss {
    Loss { reason, class, counts_in, ms, times }
}

/// What stands in `stated_more.downtimes`: an array for each, of the machine that the line is of.
type ShareRow<Text> = (Uuid, u64, u64, i64, Stamp, Option<Stamp>, Class, CountsIn, Option<Text>, Option<i64>);

fn share_row(share: &Share) -> ShareRow<&str> {
    let Share {
        machine: _,
        downtime_id,
        number,
        revision,
        duration_ms,
        started_at,
        ended_at,
        class,
        counts_in,
        reason,
        fault,
    } = share;
    let reason = reason.as_deref();
    (*downtime_id, *number, *revision, *duration_ms, *started_at, *ended_at, *class, *counts_in, reason, *fault)
}

fn share(machine: &str, row: ShareRow<String>) -> Share {
    let (downtime_id, number, revision, duration_ms, started_at, ended_at, class, counts_in, reason, fault) = row;
    let machine = machine.to_owned();
    Share { machine, downtime_id, number, revision, duration_ms, started_at, ended_at, class, counts_in, reason, fault }
}

/// Windows of a machine that overlap `[from, to)`, in order of their beginnings.
pub(super) fn windows(
    db: &Connection,
    (machine, kind): (&str, Kind),
    (from, to): (Stamp, Stamp),
    depth: Depth,
) -> rusqlite::Result<Vec<Stated>> {
    const WHICH: &str =
        "WHERE machine = ?1 AND kind = ?2 AND begins > ?3 AND begins < ?4 AND ends > ?5 ORDER BY begins";
    let mut select = match depth {
        Depth::Figures | Depth::Losses => db.prepare_cached(&format!("SELECT * FROM stated {WHICH}")),
        Depth::Whole => {
            let sql = format!("SELECT * FROM stated LEFT JOIN stated_more USING (machine, kind, id) {WHICH}");
            db.prepare_cached(&sql)
        }
    }?;
    let since = from.plus(-LONGEST_DAY_MS).ms();
    let mut rows = select.query((machine, kind.word(), since, to.ms(), from.ms()))?;
    let mut windows = Vec::new();
    while let Some(row) = rows.next()? {
        windows.push(stated(row, machine, kind, depth)?);
    }
    Ok(windows)
}

/// Columns in the order of the table.
fn stated(row: &Row<'_>, machine: &str, kind: Kind, depth: Depth) -> rusqlite::Result<Stated> {
    let mut time_ms = [0; 8];
    for (place, ms) in time_ms.iter_mut().enumerate() {
        *ms = row.get(14 + place)?;
    }
    let max = row.get(33)?;
    let parts_bounds = row.get::<_, Option<i64>>(32)?.map(|min| Bounds { min, max });
    let flags = row.get_ref(41)?.as_str()?;
    let mut window = Box::new(Window {
        from: stamp(row.get(10)?),
        to: stamp(row.get(11)?),
        is_final: row.get(9)?,
        calendar_ms: row.get(12)?,
        time_ms,
        clock_adjust_ms: row.get(13)?,
        planned_ms: row.get(22)?,
        run_ms: row.get(23)?,
        outside_run_ms: row.get(24)?,
        changeover_ms: row.get(25)?,
        counts: Counts {
            total: row.get(26)?,
            good: row.get(27)?,
            reject: row.get(28)?,
            rework: row.get(29)?,
            outside_total: row.get(30)?,
            outside_good: row.get(31)?,
        },
        parts_bounds,
        failures: row.get(34)?,
        restorations: row.get(35)?,
        restoration_ms: row.get(36)?,
        kpi: Kpi::default(),
        flags: flags.split_terminator(' ').map(str::to_owned).collect(),
        made: read::<Vec<MadeRow>>(row, 42)?.into_iter().map(made).collect(),
        ..Window::default()
    });
    if depth >= Depth::Losses {
        window.losses = read::<Vec<LossRow<String>>>(row, 43)?.into_iter().map(loss).collect();
    }
    if depth >= Depth::Whole {
        let shares = read::<Vec<ShareRow<String>>>(row, 44)?;
        window.downtimes = shares.into_iter().map(|row| share(machine, row)).collect();
        window.cycles = read(row, 45)?;
    }
    Ok(Stated {
        machine: machine.to_owned(),
        kind,
        id: row.get(2)?,
        from: stamp(row.get(3)?),
        to: stamp(row.get(4)?),
        sequence: row.get(5)?,
        revision: row.get(6)?,
        terms: row.get(7)?,
        print: u64::from_ne_bytes(row.get::<_, i64>(8)?.to_ne_bytes()),
        window,
        listed: Listed {
            lost_ms: row.get(37)?,
            stops: row.get(38)?,
            downtimes: row.get(39)?,
            downtimes_ms: row.get(40)?,
        },
    })
}

/// Pages of a machine that overlap `[from, to)`, in order, and with `and_next` the one behind them.
pub(super) fn pages(
    db: &Connection,
    machine: &str,
    (from, to): (Stamp, Stamp),
    and_next: bool,
) -> rusqlite::Result<Vec<Page>> {
    let mut select = db.prepare_cached(
        "SELECT id, begins, ends, sequence, body, stale FROM page
         WHERE machine = ?1 AND begins > ?2 AND ends > ?3 ORDER BY begins",
    )?;
    let mut rows = select.query((machine, from.plus(-LONGEST_DAY_MS).ms(), from.ms()))?;
    let mut pages = Vec::new();
    while let Some(row) = rows.next()? {
        let begins = stamp(row.get(1)?);
        let is_behind = begins >= to;
        if is_behind && !and_next {
            break;
        }
        pages.push(Page {
            machine: machine.to_owned(),
            id: row.get(0)?,
            from: begins,
            to: stamp(row.get(2)?),
            sequence: row.get(3)?,
            body: row.get(4)?,
            is_stale: row.get(5)?,
        });
        if is_behind {
            break;
        }
    }
    Ok(pages)
}

pub(super) fn terms(db: &Connection) -> rusqlite::Result<BTreeMap<i64, String>> {
    let mut select = db.prepare_cached("SELECT print, body FROM terms")?;
    let all = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    all.collect()
}

fn stamp(ms: i64) -> Stamp {
    Stamp::from_ms(ms)
}

/// The words of this house always have a JSON form.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn read<T: DeserializeOwned + Default>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    match row.get_ref(column)?.as_str_or_null()? {
        None | Some("" | "[]") => Ok(T::default()),
        Some(text) => serde_json::from_str(text).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
        }),
    }
}
