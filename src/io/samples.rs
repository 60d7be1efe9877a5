//! A sample file in, observations out; and observations in, a sample file out.
//!
//! CSV, one row a moment: `time,<plc.point>,…`. A cell holds the decoded value, is empty where there was no new
//! reading, or `!` where the read failed. An empty text is a cell of one blank.

use crate::{
    event::Stamp,
    signal::{
        Bad, Observation, Point, PointIx, Reading, Value,
        decode::{Form, Span, form, span},
    },
};
use csv::ByteRecord;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Read as _},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str,
};

/// A recording stops here: it must not fill the disk of a gateway on which it was forgotten.
pub const RECORDING_LIMIT_BYTES: u64 = 1 << 30;
/// One read or write of the system for so many bytes.
const BUFFER_BYTES: usize = 1 << 16;
/// A name less alike than this (0…1) is not suggested.
const ALIKE: f64 = 0.8;

/// 9999-01-01T00:00:00Z: later times have no calendar, earlier ones than 1970 no place in an id.
const END_MS: i64 = 253_370_764_800_000;
/// Each hour of a gap is an event of each machine: a clock that was set from 1970 to today must not make half a million.
const LONGEST_GAP_MS: i64 = 10 * 366 * 86_400_000;
/// Milliseconds of this range are a month of 1970, seconds of it are the years from 2001 to 2096: it is these that are meant.
const AS_SECONDS: RangeInclusive<i64> = 1_000_000_000..=4_000_000_000;
/// So much of a cell is shown.
const SHOWN: usize = 60;

const FAILED: &[u8] = b"!";
/// A cell cannot hold an empty text, for an empty cell is no reading.
const EMPTY_TEXT: &[u8] = b" ";

/// Why a sample file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there, or not for us.
    #[error("{} could not be opened", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk, or quoting that never ends.
    #[error("{}:{line}: the row could not be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// Why.
        source: csv::Error,
    },
    /// What stands there is no sample.
    #[error("{}:{line}: {what}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// In words.
        what: String,
        /// What to do about it.
        hint: &'static str,
        /// The name that may have been meant.
        meant: Option<String>,
    },
    /// The disk is full, or gone.
    #[error("{} could not be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: csv::Error,
    },
}

impl Error {
    /// What the reader may do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Wrong { meant: Some(name), .. } => Some(format!("did you mean `{name}`?")),
            Error::Wrong { hint, .. } => Some((*hint).to_owned()),
            _ => None,
        }
    }
}

/// A sample file, read row by row.
pub struct Samples {
    path: PathBuf,
    rows: csv::Reader<File>,
    row: ByteRecord,
    columns: Vec<Column>,
    absent: Vec<String>,
    last: Stamp,
}

struct Column {
    ix: PointIx,
    form: Form,
    span: Span,
    name: String,
}

impl Samples {
    /// Opens the file and finds each of its columns among the points.
    pub fn open(path: &Path, points: &[(PointIx, Point)]) -> Result<Samples, Error> {
        let file = File::open(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
        let rows =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(BUFFER_BYTES).from_reader(file);
        let mut samples = Samples {
            path: path.to_owned(),
            rows,
            row: ByteRecord::new(),
            columns: Vec::new(),
            absent: Vec::new(),
            last: Stamp::MIN,
        };
        samples.read_header(points)?;
        Ok(samples)
    }

    /// The points for which the file has no column: they will never be read.
    pub fn absent(&self) -> &[String] {
        &self.absent
    }

    /// Puts the next row in place of what `row` held; `false` at the end of the file. A row without a reading is an
    /// observation without readings.
    pub fn next_into(&mut self, row: &mut Observation) -> Result<bool, Error> {
        row.readings.clear();
        if !self.read_row()? {
            return Ok(false);
        }
        let wanted = self.columns.len() + 1;
        if self.row.len() != wanted {
            let what = format!("the row has {} cells, the header {wanted}", self.row.len());
            return Err(self.wrong(what, "write an empty cell where there was no new reading"));
        }
        let time = self.row[0].trim_ascii();
        let Some(at) = stamp(time) else {
            let what = format!("`{}` is no time", short(time));
            return Err(self.wrong(what, "write milliseconds since 1970 or RFC 3339, such as 2026-11-23T06:14:03.200Z"));
        };
        if self.last == Stamp::MIN && AS_SECONDS.contains(&at.ms()) && whole(time).is_some() {
            let what = format!("`{}` is {at} in milliseconds: are these seconds?", short(time));
            return Err(self.wrong(what, "write milliseconds since 1970 or RFC 3339, such as 2026-11-23T06:14:03.200Z"));
        }
        if at <= self.last {
            let what = format!("the time {at} is not after {}, the one before", self.last);
            return Err(self.wrong(what, "sort the rows by time, one row a moment"));
        }
        if self.last != Stamp::MIN && at.since(self.last) > LONGEST_GAP_MS {
            let what = format!("the time {at} is more than ten years after {}, the one before", self.last);
            return Err(self.wrong(what, "was the clock set in between? cut the file in two there"));
        }
        self.last = at;
        row.at = at;
        for (cell, column) in self.row.iter().skip(1).zip(&self.columns) {
            if cell.is_empty() {
                continue;
            }
            match reading(column.form, cell) {
                Some(Reading::Good(value)) if !column.span.holds(&value) => {
                    return Err(self.not_in_range(cell, column));
                }
                Some(reading) => row.readings.push((column.ix, reading)),
                None => return Err(self.not_a_reading(cell, column)),
            }
        }
        Ok(true)
    }

    fn read_header(&mut self, points: &[(PointIx, Point)]) -> Result<(), Error> {
        const HEADER: &str = "the first line is `time,<plc.point>,…`";
        if !self.read_row()? {
            return Err(self.wrong("the file is empty".into(), HEADER));
        }
        let mut names = Vec::new();
        for cell in &self.row {
            match str::from_utf8(cell.trim_ascii()) {
                Ok(name) => names.push(name.to_owned()),
                Err(_) => return Err(self.wrong("the header is not UTF-8".into(), HEADER)),
            }
        }
        if let [only] = names.as_slice()
            && only.contains(';')
        {
            return Err(self.wrong("the header has one column".into(), "separate the cells by commas, not semicolons"));
        }
        if names.first().is_none_or(|name| name != "time") {
            return Err(self.wrong("the first column is not `time`".into(), HEADER));
        }
        let mut unread: BTreeMap<&str, &(PointIx, Point)> =
            points.iter().map(|entry| (entry.1.name.as_str(), entry)).collect();
        for name in &names[1..] {
            let Some((ix, point)) = unread.remove(name.as_str()) else {
                let twice = points.iter().any(|(_, point)| point.name == *name);
                let what = if twice {
                    format!("there are two columns `{name}`")
                } else {
                    format!("the configuration has no point `{name}`")
                };
                let hint =
                    if twice { "drop one of them" } else { "add the point to its `[plc.points]` or drop the column" };
                let meant = if twice { None } else { alike(name, unread.keys()) };
                let (path, line) = (self.path.clone(), self.line());
                return Err(Error::Wrong { path, line, what, hint, meant });
            };
            self.columns.push(Column { ix: *ix, form: form(point), span: span(point), name: name.clone() });
        }
        self.absent = unread.into_keys().map(str::to_owned).collect();
        Ok(())
    }

    fn read_row(&mut self) -> Result<bool, Error> {
        self.rows.read_byte_record(&mut self.row).map_err(|source| Error::Read {
            path: self.path.clone(),
            line: self.rows.position().line(),
            source,
        })
    }

    /// The line on which the row begins. The `csv` crate counts a row's blank lines and a `\r\n` before it wrongly, so
    /// the one line that matters is counted again.
    fn line(&self) -> u64 {
        let Some(position) = self.row.position() else { return 1 };
        // What came through a pipe cannot be read again; to open it would even wait for ever.
        if !self.path.is_file() {
            return position.line();
        }
        let Ok(file) = File::open(&self.path) else { return position.line() };
        let mut line = 1;
        for (offset, byte) in (0..).zip(BufReader::with_capacity(BUFFER_BYTES, file).bytes()) {
            match byte {
                Ok(b'\n') => line += 1,
                Ok(b'\r') => {}
                Ok(_) if offset < position.byte() => {}
                _ => break,
            }
        }
        line
    }

    fn wrong(&self, what: String, hint: &'static str) -> Error {
        Error::Wrong { path: self.path.clone(), line: self.line(), what, hint, meant: None }
    }

    fn not_in_range(&self, cell: &[u8], column: &Column) -> Error {
        let what = format!("`{}` in {} does not fit its point: it holds {}", short(cell), column.name, column.span);
        self.wrong(what, "write what the PLC can show, or give the point the `type`, `scale` and `offset` that it has")
    }

    fn not_a_reading(&self, cell: &[u8], column: &Column) -> Error {
        let (kind, hint) = match column.form {
            Form::Bit => {
                ("a bit", "write 0, 1, true or false; nothing where there was no new reading, `!` where it failed")
            }
            Form::Whole => {
                ("a whole number", "write digits only; nothing where there was no new reading, `!` where it failed")
            }
            Form::Real => ("a number", "write 12.5; nothing where there was no new reading, `!` where it failed"),
            Form::Text => ("text", "write UTF-8"),
        };
        self.wrong(format!("`{}` in {} is not {kind}", short(cell), column.name), hint)
    }
}

fn stamp(cell: &[u8]) -> Option<Stamp> {
    let ms = match whole(cell) {
        Some(ms) => ms,
        None => str::from_utf8(cell).ok()?.parse::<jiff::Timestamp>().ok()?.as_millisecond(),
    };
    (0..END_MS).contains(&ms).then_some(Stamp::from_ms(ms))
}

/// A cell for people: a whole file may lie between two quotes.
fn short(cell: &[u8]) -> String {
    let text = String::from_utf8_lossy(&cell[..cell.len().min(4 * SHOWN)]);
    let shown: String = text.chars().take(SHOWN).collect();
    if cell.len() > shown.len() { shown + "…" } else { shown }
}

fn reading(form: Form, cell: &[u8]) -> Option<Reading> {
    if form == Form::Text && cell != FAILED {
        let text = if cell == EMPTY_TEXT { "" } else { str::from_utf8(cell).ok()? };
        return Some(Reading::Good(Value::Text(text.into())));
    }
    let cell = cell.trim_ascii();
    let value = match (form, cell) {
        (_, FAILED) => return Some(Reading::Bad(Bad::Silent)),
        (Form::Bit, b"0") => Value::Bool(false),
        (Form::Bit, b"1") => Value::Bool(true),
        (Form::Bit, word) if word.eq_ignore_ascii_case(b"false") => Value::Bool(false),
        (Form::Bit, word) if word.eq_ignore_ascii_case(b"true") => Value::Bool(true),
        (Form::Whole, digits) => Value::Int(whole(digits)?),
        (Form::Real, number) => {
            let real: f64 = str::from_utf8(number).ok()?.parse().ok()?;
            real.is_finite().then_some(Value::Real(real))?
        }
        _ => return None,
    };
    Some(Reading::Good(value))
}

/// An `i64` in decimal digits, without the detour over UTF-8: most cells are one.
fn whole(cell: &[u8]) -> Option<i64> {
    let (sign, digits) = match cell {
        [b'-', digits @ ..] => (-1, digits),
        digits => (1, digits),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0i64, |n, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        n.checked_mul(10)?.checked_add(sign * i64::from(digit))
    })
}

fn alike<'a>(name: &str, known: impl Iterator<Item = &'a &'a str>) -> Option<String> {
    known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), *candidate))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}

/// A column of a recording.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The point.
    pub ix: PointIx,
    /// Its name.
    pub name: String,
    /// An unchanged reading is written again when this has passed.
    pub repeat_ms: i64,
}

/// Writes what was seen as a sample file that can be replayed.
pub struct Recorder {
    path: PathBuf,
    out: csv::Writer<File>,
    columns: Vec<Recorded>,
    places: BTreeMap<PointIx, usize>,
    /// The last reading written of each column, and when.
    written: Vec<Option<(Reading, Stamp)>>,
    /// The last good reading of each column, written or not, and when it was seen.
    good: Vec<Option<(Reading, Stamp)>>,
    /// The row that still may gain cells of the same moment.
    row: Vec<Option<Reading>>,
    row_at: Option<Stamp>,
    last: Stamp,
    bytes: u64,
    limit_bytes: u64,
}

impl Recorder {
    /// Begins a recording; a file that was there is overwritten.
    pub fn create(path: &Path, columns: Vec<Recorded>) -> Result<Recorder, Error> {
        let file = File::create(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
        let mut recorder = Recorder {
            path: path.to_owned(),
            out: csv::WriterBuilder::new().buffer_capacity(BUFFER_BYTES).from_writer(file),
            places: columns.iter().enumerate().map(|(place, column)| (column.ix, place)).collect(),
            written: vec![None; columns.len()],
            good: vec![None; columns.len()],
            row: vec![None; columns.len()],
            row_at: None,
            last: Stamp::MIN,
            bytes: 0,
            limit_bytes: RECORDING_LIMIT_BYTES,
            columns,
        };
        let header: Vec<&[u8]> = recorder.columns.iter().map(|column| column.name.as_bytes()).collect();
        write(&mut recorder.out, &mut recorder.bytes, b"time", &header).map_err(|source| recorder.broken(source))?;
        Ok(recorder)
    }

    /// Writes the readings that changed or failed; and all of them when one was last written too long ago.
    /// Says so once when the file is full, and writes no more.
    pub fn record(&mut self, seen: &Observation) -> Result<(), Error> {
        if self.is_full() {
            return Ok(());
        }
        let at = seen.at;
        // A silence begins at the last good look, which may not have been worth a row.
        let mut ended: BTreeMap<Stamp, Vec<(usize, Reading)>> = BTreeMap::new();
        for (ix, reading) in &seen.readings {
            let Some(place) = self.places.get(ix).copied() else { continue };
            if matches!(reading, Reading::Good(_)) {
                self.good[place] = Some((reading.clone(), at));
            } else if let Some((good, seen_at)) = self.good[place].take()
                && self.written[place].as_ref().is_some_and(|(_, written)| *written < seen_at)
            {
                ended.entry(seen_at).or_default().push((place, good));
            }
        }
        for (seen_at, cells) in ended {
            self.put(seen_at, cells)?;
        }
        let readings = || seen.readings.iter().filter_map(|(ix, reading)| Some((*self.places.get(ix)?, reading)));
        let is_new = |place: usize, reading: &Reading| match &self.written[place] {
            Some((before, _)) => !same(before, reading),
            None => true,
        };
        let all = readings().any(|(place, reading)| {
            let repeat_ms = self.columns[place].repeat_ms;
            !is_new(place, reading)
                && self.written[place].as_ref().is_some_and(|(_, written)| at.since(*written) >= repeat_ms)
        });
        let cells: Vec<(usize, Reading)> = readings()
            .filter(|(place, reading)| all || is_new(*place, reading))
            .map(|(place, reading)| (place, reading.clone()))
            .collect();
        self.put(at, cells)
    }

    /// Rows must rise: what comes late, or at the moment of a row that is already out, is dated just after it.
    fn put(&mut self, at: Stamp, cells: Vec<(usize, Reading)>) -> Result<(), Error> {
        if cells.is_empty() || self.is_full() {
            return Ok(());
        }
        let mut at = at.max(self.last.plus(1));
        if let Some(row_at) = self.row_at {
            if at > row_at || cells.iter().any(|(place, _)| self.row[*place].is_some()) {
                self.write_row()?;
                if self.is_full() {
                    return Ok(());
                }
                at = at.max(self.last.plus(1));
            } else {
                at = row_at;
            }
        }
        self.row_at = Some(at);
        for (place, reading) in cells {
            self.written[place] = Some((reading.clone(), at));
            self.row[place] = Some(reading);
        }
        Ok(())
    }

    /// Brings everything to the system; call it at least every second, and at the end.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.write_row()?;
        self.out.flush().map_err(|source| self.broken(source.into()))
    }

    /// Whether the limit is reached.
    pub fn is_full(&self) -> bool {
        self.bytes >= self.limit_bytes
    }

    fn write_row(&mut self) -> Result<(), Error> {
        let Some(at) = self.row_at.take() else { return Ok(()) };
        self.last = at;
        let cells: Vec<Vec<u8>> = self.row.iter_mut().map(|cell| cell.take().map_or(Vec::new(), shown)).collect();
        let time = at.to_string();
        write(&mut self.out, &mut self.bytes, time.as_bytes(), &cells).map_err(|source| self.broken(source))?;
        if self.is_full() {
            let path = self.path.display();
            tracing::warn!(%path, bytes = self.bytes, "the recording reached its limit and was stopped");
        }
        Ok(())
    }

    fn broken(&self, source: csv::Error) -> Error {
        Error::Write { path: self.path.clone(), source }
    }
}

fn write(
    out: &mut csv::Writer<File>,
    bytes: &mut u64,
    time: &[u8],
    cells: &[impl AsRef<[u8]>],
) -> Result<(), csv::Error> {
    let row = || std::iter::once(time).chain(cells.iter().map(AsRef::as_ref));
    *bytes += row().map(|cell| cell.len() as u64 + 1).sum::<u64>();
    out.write_record(row())
}

/// Whether both look the same in a cell: there a failure has no reason.
fn same(a: &Reading, b: &Reading) -> bool {
    a == b || matches!((a, b), (Reading::Bad(_), Reading::Bad(_)))
}

fn shown(reading: Reading) -> Vec<u8> {
    match reading {
        Reading::Bad(_) => FAILED.to_vec(),
        Reading::Good(Value::Bool(bit)) => vec![b'0' + u8::from(bit)],
        Reading::Good(Value::Int(n)) => n.to_string().into_bytes(),
        // As short as it can be and still be the same number.
        Reading::Good(Value::Real(real)) => format!("{real:?}").into_bytes(),
        Reading::Good(Value::Text(text)) => match text.as_bytes() {
            b"" => EMPTY_TEXT.to_vec(),
            // A text that would read as a failure gets a blank.
            FAILED => b"! ".to_vec(),
            bytes => bytes.to_vec(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::point::{Area, Kind, Order};
    use proptest::prelude::*;

    fn points(list: &[(&str, Kind)]) -> Vec<(PointIx, Point)> {
        let point = |(ix, (name, kind)): (usize, &(&str, Kind))| {
            let (area, order, invert, hold_ms) = (Area::Holding, Order::Abcd, false, 0);
            let (name, kind, address, scale, offset, modulus) = ((*name).to_owned(), *kind, 0, 1.0, 0.0, None);
            (PointIx(ix), Point { name, area, address, kind, order, invert, hold_ms, scale, offset, modulus })
        };
        list.iter().enumerate().map(point).collect()
    }

    fn press() -> Vec<(PointIx, Point)> {
        points(&[
            ("press.run", Kind::Bool { bit: None }),
            ("press.good", Kind::U32),
            ("press.heat", Kind::F32),
            ("press.order", Kind::Text(8)),
        ])
    }

    fn read(text: &str) -> Result<Vec<Observation>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("line.csv");
        std::fs::write(&path, text).unwrap();
        let mut samples = Samples::open(&path, &press())?;
        let mut rows = Vec::new();
        let mut row = Observation { at: Stamp::MIN, readings: vec![(PointIx(99), Reading::Bad(Bad::Silent))] };
        while samples.next_into(&mut row)? {
            rows.push(row.clone());
        }
        Ok(rows)
    }

    /// `line.csv:3: what` and the hint.
    fn fault(text: &str) -> (String, String) {
        let error = read(text).unwrap_err();
        let shown = error.to_string();
        (shown.rsplit_once('/').unwrap().1.to_owned(), error.hint().unwrap())
    }

    #[test]
    fn cells_are_read_by_the_kind_of_their_point() {
        let rows = read(
            "\u{feff}time,press.good,press.run,press.order,press.heat\r\n\
             1000,17,1,\"A,\"\"1\"\"\",-1.5e1\r\n\
             1970-01-01T01:00:02+01:00,,false,,\r\n\
             \r\n\
             3000,,,,\r\n\
             4000, 18 ,!, ,!\r\n",
        )
        .unwrap();
        let (run, good, heat, order) = (PointIx(0), PointIx(1), PointIx(2), PointIx(3));
        let value = Reading::Good;
        let failed = Reading::Bad(Bad::Silent);
        let row = |ms, readings| Observation { at: Stamp::from_ms(ms), readings };
        let text = |text: &str| value(Value::Text(text.into()));
        assert_eq!(
            rows,
            [
                row(
                    1000,
                    vec![
                        (good, value(Value::Int(17))),
                        (run, value(Value::Bool(true))),
                        (order, text("A,\"1\"")),
                        (heat, value(Value::Real(-15.0))),
                    ]
                ),
                row(2000, vec![(run, value(Value::Bool(false)))]),
                row(3000, vec![]),
                row(
                    4000,
                    vec![(good, value(Value::Int(18))), (run, failed.clone()), (order, text("")), (heat, failed)]
                ),
            ]
        );
    }

    #[test]
    fn each_fault_names_its_line_and_what_to_do() {
        let is = |text: &str, what: &str, hint: &str| {
            let (got, advice) = fault(text);
            assert_eq!(got, what);
            assert!(advice.contains(hint), "{advice}");
        };
        is("", "line.csv:1: the file is empty", "time,<plc.point>");
        is("at,press.run\n", "line.csv:1: the first column is not `time`", "time,<plc.point>");
        is("time;press.run\n1;1\n", "line.csv:1: the header has one column", "commas");
        is("time,press.god\n", "line.csv:1: the configuration has no point `press.god`", "did you mean `press.good`?");
        is("time,boiler.on\n", "line.csv:1: the configuration has no point `boiler.on`", "drop the column");
        is("time,press.run,press.run\n", "line.csv:1: there are two columns `press.run`", "drop one");
        is("time,press.run\n1,1\n2\n", "line.csv:3: the row has 1 cells, the header 2", "empty cell");
        is("time,press.run\n23.11.2026 06:00,1\n", "line.csv:2: `23.11.2026 06:00` is no time", "RFC 3339");
        is("time,press.run\n-1,1\n", "line.csv:2: `-1` is no time", "milliseconds since 1970");
        is("time,press.run\n9999-06-01T00:00:00Z,1\n", "line.csv:2: `9999-06-01T00:00:00Z` is no time", "1970");
        is(
            "time,press.run\n0,1\n1795414443200,1\n",
            "line.csv:3: the time 2026-11-23T06:14:03.200Z is more than ten years after 1970-01-01T00:00:00.000Z, \
             the one before",
            "clock",
        );
        let (long, start) = ("ä".repeat(1 << 20), "ä".repeat(60));
        is(
            &format!("time,press.run\n1,{long}\n"),
            &format!("line.csv:2: `{start}…` in press.run is not a bit"),
            "0, 1, true",
        );
        is(
            "time,press.run\n2000,1\n\n2000,0\n",
            "line.csv:4: the time 1970-01-01T00:00:02.000Z is not after 1970-01-01T00:00:02.000Z, the one before",
            "sort",
        );
        is("time,press.run\r\n1,1\r\n\r\n2,on\r\n", "line.csv:4: `on` in press.run is not a bit", "0, 1, true");
        is("time,press.run\n1,on", "line.csv:2: `on` in press.run is not a bit", "0, 1, true");
        is("time,press.good\n1,1.5\n", "line.csv:2: `1.5` in press.good is not a whole number", "digits");
        is(
            "time,press.good\n1,99999999999999999999\n",
            "line.csv:2: `99999999999999999999` in press.good is not a whole number",
            "digits",
        );
        is(
            "time,press.good\n1,4294967295\n2,4294967296\n",
            "line.csv:3: `4294967296` in press.good does not fit its point: it holds 0 to 4294967295",
            "`type`",
        );
        is(
            "time,press.good\n1,-1\n",
            "line.csv:2: `-1` in press.good does not fit its point: it holds 0 to 4294967295",
            "`type`",
        );
        is("time,press.run\n1,5\n", "line.csv:2: `5` in press.run is not a bit", "0, 1, true");
        is("time,press.heat\n1,warm\n", "line.csv:2: `warm` in press.heat is not a number", "12.5");
        is(
            "time,press.heat\n1,1e39\n",
            "line.csv:2: `1e39` in press.heat does not fit its point: it holds -3.4028234663852886e38 to \
             3.4028234663852886e38",
            "`type`",
        );
        is(
            "time,press.order\n1,123456789\n",
            "line.csv:2: `123456789` in press.order does not fit its point: it holds text of 8 bytes",
            "`type`",
        );
        is(
            "time,press.run\n1795414443,1\n1795414444,0\n",
            "line.csv:2: `1795414443` is 1970-01-21T18:43:34.443Z in milliseconds: are these seconds?",
            "milliseconds since 1970",
        );
        is("time,press.heat\n1,NaN\n", "line.csv:2: `NaN` in press.heat is not a number", "12.5");
    }

    #[test]
    fn a_point_without_a_column_is_named_and_a_missing_file_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("line.csv");
        let error = Samples::open(&path, &press()).err().unwrap();
        assert_eq!(error.to_string(), format!("{} could not be opened", path.display()));
        std::fs::write(&path, "time,press.run\n").unwrap();
        let samples = Samples::open(&path, &press()).unwrap();
        assert_eq!(samples.absent(), ["press.good", "press.heat", "press.order"]);
    }

    fn recorded(limit_bytes: u64, seen: &[Observation]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rec.csv");
        let columns =
            press().into_iter().map(|(ix, point)| Recorded { ix, name: point.name, repeat_ms: 5_000 }).collect();
        let mut recorder = Recorder::create(&path, columns).unwrap();
        recorder.limit_bytes = limit_bytes;
        seen.iter().for_each(|seen| recorder.record(seen).unwrap());
        recorder.flush().unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    fn seen(ms: i64, readings: &[(usize, Reading)]) -> Observation {
        let readings = readings.iter().map(|(ix, reading)| (PointIx(*ix), reading.clone())).collect();
        Observation { at: Stamp::from_ms(ms), readings }
    }

    fn bit(set: bool) -> Reading {
        Reading::Good(Value::Bool(set))
    }

    fn count(n: i64) -> Reading {
        Reading::Good(Value::Int(n))
    }

    const REFUSED: Reading = Reading::Bad(Bad::Refused(4));
    const SILENT: Reading = Reading::Bad(Bad::Silent);

    #[test]
    fn a_recording_holds_changes_first_failures_and_now_and_then_what_did_not_change() {
        let text = recorded(
            RECORDING_LIMIT_BYTES,
            &[
                seen(1_000, &[(0, bit(true)), (1, count(5))]),
                seen(2_000, &[(0, bit(true)), (1, count(5))]),
                seen(3_000, &[(0, bit(true)), (1, count(6))]),
                seen(4_000, &[(0, SILENT), (1, SILENT)]),
                seen(5_000, &[(0, REFUSED), (1, SILENT)]),
                seen(8_999, &[(0, bit(false)), (1, SILENT)]),
                seen(9_000, &[(0, bit(false)), (1, SILENT)]),
            ],
        );
        assert_eq!(
            text,
            "time,press.run,press.good,press.heat,press.order\n\
             1970-01-01T00:00:01.000Z,1,5,,\n\
             1970-01-01T00:00:03.000Z,1,6,,\n\
             1970-01-01T00:00:04.000Z,!,!,,\n\
             1970-01-01T00:00:08.999Z,0,,,\n\
             1970-01-01T00:00:09.000Z,0,!,,\n"
        );
    }

    #[test]
    fn what_two_plcs_said_in_one_millisecond_is_one_row_and_times_always_rise() {
        let text = recorded(
            RECORDING_LIMIT_BYTES,
            &[
                seen(1_000, &[(0, bit(true))]),
                seen(1_000, &[(1, count(5))]),
                seen(999, &[(3, Reading::Good(Value::Text("".into())))]),
                seen(1_000, &[(0, bit(false))]),
                seen(1_000, &[(0, bit(true))]),
            ],
        );
        assert_eq!(
            text,
            "time,press.run,press.good,press.heat,press.order\n\
             1970-01-01T00:00:01.000Z,1,5,, \n\
             1970-01-01T00:00:01.001Z,0,,,\n\
             1970-01-01T00:00:01.002Z,1,,,\n"
        );
    }

    #[test]
    fn a_recording_stops_at_its_limit_with_a_whole_row() {
        let rows: Vec<_> = (0..1000).map(|n| seen(n, &[(1, count(n))])).collect();
        let text = recorded(200, &rows);
        assert!((200..240).contains(&text.len()), "{} bytes", text.len());
        assert!(text.ends_with(",,\n"));
    }

    fn readings() -> impl Strategy<Value = Vec<(usize, Reading)>> {
        let one = |reading: BoxedStrategy<Reading>| proptest::option::of(prop_oneof![4 => reading, 1 => Just(SILENT)]);
        let real = any::<f32>().prop_filter("finite", |real| real.is_finite()).prop_map(f64::from);
        (
            one(any::<bool>().prop_map(bit).boxed()),
            one(any::<u32>().prop_map(|n| count(n.into())).boxed()),
            one(real.prop_map(|real| Reading::Good(Value::Real(real))).boxed()),
            one("[a-z ,\"\n;!]{0,6}"
                .prop_filter("lossy by design", |text| text != "!" && text != " ")
                .prop_map(|text| Reading::Good(Value::Text(text.into())))
                .boxed()),
        )
            .prop_map(|(run, good, heat, order)| {
                [run, good, heat, order].into_iter().enumerate().filter_map(|(ix, cell)| Some((ix, cell?))).collect()
            })
    }

    proptest! {
        /// After every row a replay knows of each point what was seen last.
        #[test]
        fn what_is_recorded_is_what_is_replayed(steps in proptest::collection::vec((1i64..3000, readings()), 1..40)) {
            let mut ms = 0;
            let all: Vec<_> = steps.iter().map(|(step, readings)| {
                ms += step;
                seen(ms, readings)
            }).collect();
            let rows = read(&recorded(RECORDING_LIMIT_BYTES, &all)).unwrap();
            let mut live = BTreeMap::new();
            let mut again = BTreeMap::new();
            let mut rows = rows.into_iter().peekable();
            for seen in all {
                live.extend(seen.readings);
                while let Some(row) = rows.next_if(|row| row.at <= seen.at) {
                    again.extend(row.readings);
                }
                prop_assert_eq!(&live, &again);
            }
            prop_assert_eq!(rows.next(), None);
        }
    }
}
