//! What is kept of days that are over, held against the journal that it follows from.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/plant.rs"]
mod plant;

use andon::{
    books::{Book, Interval, Reading, book::Doubt, history::cut, window},
    event::{Event, Stamp, Told, command::Wish, part::Counts, shift, stop, stop::Going, window::Window},
    io::journal::{
        Reader,
        history::{Depth, Stated},
    },
    shop::Rules,
};
use plant::{BEGIN, DAY_MS, HOUR_MS, MINUTE_MS, Plant, Temper};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// For whatever the daemon is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

const ALWAYS: (Stamp, Stamp) = (Stamp::MIN, Stamp::MAX);

/// Looks every minute or so, some hours of darkness a week, a stop every hour.
const LIVELY: Temper = Temper { look_ms: (20_000, 2 * MINUTE_MS), dark: 1_500, run_ms: 30 * MINUTE_MS, faults: true };

/// Every event of a machine, nothing forgotten.
fn whole_book(told: &[Told], machine: &str) -> Book {
    let mut book = Book::default();
    told.iter().filter(|told| told.event.machine() == Some(machine)).for_each(|told| book.apply(&told.event));
    book
}

/// What the whole book says of a window, but for the ratios.
fn counted(rules: &Rules, book: &Book, machine: &str, stated: &Stated, as_of: Stamp) -> Window {
    let index = rules.machines.iter().position(|rules| rules.id == machine).unwrap();
    let terms = rules.terms(&rules.machines[index]);
    let counting = if terms.counters.is_empty() { andon::books::Counting::Never } else { andon::books::Counting::Read };
    let by = terms.measure(machine, counting, as_of);
    let mut window = window::window(book, stated.from, stated.to, &by).unwrap();
    window.kpi = Default::default();
    window
}

#[track_caller]
fn same_book(one: &Book, other: &Book, what: &str) {
    same(&one.intervals, &other.intervals, what);
    same(&one.stops, &other.stops, what);
    same(&one.readings, &other.readings, what);
    same(&one.assignments, &other.assignments, what);
    assert_eq!(one, other);
}

/// Says where two lists part, not all that is in them.
#[track_caller]
fn same<T: PartialEq + std::fmt::Debug>(one: &[T], other: &[T], what: &str) {
    let place = (0..one.len().max(other.len())).find(|place| one.get(*place) != other.get(*place));
    if let Some(place) = place {
        let (len, others) = (one.len(), other.len());
        panic!("{what}: {place} of {len}, {others}:\n{:#?}\n{:#?}", one.get(place), other.get(place));
    }
}

/// Holds every line of the history against all events told. Gives how many lines there were.
fn check(plant: &Plant, data_dir: &Path) -> (usize, usize) {
    let reader = Reader::open(data_dir).unwrap();
    let as_of = plant.told.iter().map(|told| told.recorded).max().unwrap();
    let (mut windows, mut pages) = (0, 0);
    for machine in &plant.rules.machines {
        let id = &machine.id;
        let book = whole_book(&plant.told, id);
        for page in reader.pages(id, ALWAYS, false).unwrap() {
            assert!(!page.is_stale);
            let kept: Book = serde_json::from_str(&page.body).unwrap();
            same_book(&kept, &cut(&book, page.from, page.to), &format!("the page {id} {}", page.id));
            pages += 1;
        }
        let days = reader.windows((id, shift::Kind::Day), ALWAYS, Depth::Whole).unwrap();
        for day in days.iter().filter(|_| machine.calendar.has_shifts()) {
            let mut expected = counted(&plant.rules, &book, id, day, as_of);
            if !day.window.is_final {
                // Not final yet when something was told of its machine last.
                (expected.is_final, expected.flags) = (false, day.window.flags.clone());
            }
            assert_eq!(*day.window, expected, "the day {id} {}", day.id);
            windows += 1;
        }
        let mut statements = BTreeMap::new();
        for told in &plant.told {
            if let Event::Shift(stated) = &told.event
                && stated.machine == *id
            {
                statements.insert((stated.kind, stated.id.clone()), (told.sequence, stated.clone()));
            }
        }
        for kind in [shift::Kind::Shift, shift::Kind::Day] {
            let kept = reader.windows((id, kind), ALWAYS, Depth::Whole).unwrap();
            let kept = kept.iter().filter(|_| kind == shift::Kind::Shift || !machine.calendar.has_shifts());
            for stated in kept {
                let (sequence, told) = statements.remove(&(kind, stated.id.clone())).expect("it was stated");
                let mut expected = (*told.window).clone();
                expected.kpi = Default::default();
                // A downtime that goes on is closed later: only what is said of it changes.
                let index = plant.rules.machines.iter().position(|rules| rules.id == *id).unwrap();
                let terms = plant.rules.terms(&plant.rules.machines[index]);
                let by = terms.measure(id, andon::books::Counting::Read, as_of);
                expected.downtimes = window::window(&book, stated.from, stated.to, &by).unwrap().downtimes;
                assert_eq!(*stated.window, expected, "{id} {}", stated.id);
                assert!(stated.sequence >= sequence && stated.revision == told.revision);
                assert!(stated.terms.is_some());
                windows += 1;
            }
        }
        assert!(statements.is_empty(), "every statement is kept: {statements:?}");
        every_hour_comes_out_of_pages(&reader, plant, id, &book);
    }
    (windows, pages)
}

/// Windows that nobody keeps come out of the pages as from the whole book.
fn every_hour_comes_out_of_pages(reader: &Reader, plant: &Plant, id: &str, book: &Book) {
    let machine = plant.rules.machines.iter().find(|machine| machine.id == *id).unwrap();
    let terms = plant.rules.terms(machine);
    let by = terms.measure(id, andon::books::Counting::Read, Stamp::MAX);
    let Some(last) = reader.pages(id, ALWAYS, false).unwrap().last().cloned() else { return };
    let mut chance = fastrand::Rng::with_seed(last.sequence);
    for _ in 0..60 {
        let from = BEGIN.plus(chance.i64(0..last.from.since(BEGIN).max(1)));
        let to = from.plus(chance.i64(1..2 * DAY_MS)).min(last.from);
        let mut joined = Book::default();
        for page in reader.pages(id, (from, to), true).unwrap() {
            joined.join(serde_json::from_str(&page.body).unwrap());
        }
        assert_eq!(window::window(&joined, from, to, &by), window::window(book, from, to, &by), "{id} {from} – {to}");
    }
}

/// What was made before a darkness of days shows behind it; a page of the day in which it began has that too.
#[test]
fn a_page_that_ends_in_darkness_bounds_its_parts_as_the_whole_book_does() {
    let at = |minutes: i64| BEGIN.plus(minutes * MINUTE_MS);
    let interval = |minutes, going| Interval { from: at(minutes), going, stop: None };
    let reading = |minutes, total| {
        let counts = Counts { total, good: total, ..Counts::default() };
        Reading { at: at(minutes), counts, doubt: Doubt::default() }
    };
    let book = Book {
        intervals: vec![
            interval(0, Going::Running),
            interval(14 * 60, Going::Unknown),
            interval(40 * 60, Going::Running),
        ],
        readings: vec![reading(0, 0), reading(13 * 60, 100), reading(14 * 60 + 5, 170), reading(41 * 60, 170)],
        ..Book::default()
    };
    let page = cut(&book, BEGIN, BEGIN.plus(DAY_MS));
    for minutes in [14 * 60 + 1, 14 * 60 + 5, 15 * 60, 23 * 60] {
        let counts = |book: &Book| {
            let (one, other) = book.readings_around(at(minutes));
            (one.counts, other.counts)
        };
        assert_eq!(counts(&page), counts(&book), "{minutes} minutes");
    }
}

#[test]
fn random_days_are_kept_as_the_journal_tells_them() {
    for seed in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let mut plant = Plant::open(folder.path(), 3, LIVELY, seed);
        plant.live(BEGIN.plus(9 * DAY_MS));
        plant.close(true);
        let (windows, pages) = check(&plant, &plant.data_dir());
        println!("seed {seed}: {} events, {windows} windows, {pages} pages", plant.told.len());
        assert!(windows >= 30 && pages >= 20, "{windows} windows, {pages} pages");
    }
}

#[test]
fn restarts_in_order_and_not_change_nothing_of_it() {
    for seed in 100..104 {
        let folder = tempfile::tempdir().unwrap();
        let mut plant = Plant::open(folder.path(), 3, LIVELY, seed);
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut until = BEGIN;
        for _ in 0..9 {
            until = until.plus(chance.i64(HOUR_MS..2 * DAY_MS));
            plant.live(until);
            plant.close(chance.bool());
            // Sometimes it is away for hours.
            until = until.plus(if chance.bool() { chance.i64(0..20 * HOUR_MS) } else { 0 });
            plant.now = until;
            plant.reopen();
        }
        plant.live(until.plus(DAY_MS));
        plant.close(true);
        let (windows, pages) = check(&plant, &plant.data_dir());
        println!("seed {seed}: {} events, {windows} windows, {pages} pages", plant.told.len());
        assert!(pages >= 10);
    }
}

/// `andon WORDS… -c andon.toml`, in a plant's folder.
fn andon(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_andon"));
    command.args(words).args(["-c", "andon.toml"]).current_dir(folder).env("RUNTIME_DIRECTORY", folder);
    command
}

fn ask(folder: &Path, words: &[&str]) -> (i32, String, String) {
    let output = andon(folder, words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn report(folder: &Path, words: &[&str]) -> Value {
    let (code, out, err) = ask(folder, &[&["report", "--format", "json"], words].concat());
    assert_eq!((code, err.as_str()), (0, ""), "{words:?}");
    serde_json::from_str(&out).unwrap()
}

fn by_hand(folder: &Path, sql: &str) {
    rusqlite::Connection::open(folder.join("data/andon.db")).unwrap().execute_batch(sql).unwrap();
}

/// All that an andon of the first release would not have in its database.
const NO_HISTORY: &str = "DROP TABLE history; DROP TABLE terms; DROP TABLE stated; DROP TABLE stated_more; \
                          DROP TABLE page;";

/// Without what a revision says: the journal alone tells only the last figures.
fn windows(mut report: Value) -> Vec<Value> {
    let windows = report["windows"].as_array_mut().unwrap();
    windows.iter_mut().for_each(|window| window["revision"] = 0.into());
    windows.clone()
}

#[test]
fn a_report_says_the_same_with_and_without_what_is_kept() {
    for seed in [11, 12] {
        let folder = tempfile::tempdir().unwrap();
        // A fault that names an open stop behind its shift's end makes no new statement of that.
        let mut plant = Plant::open(folder.path(), 3, Temper { faults: false, ..LIVELY }, seed);
        plant.live(BEGIN.plus(6 * DAY_MS + 5 * HOUR_MS));
        plant.close(true);
        let range = ["--from", "2026-10-21T10:20:00Z", "--to", "2026-10-22T23:30:00+02:00"];
        let mut asked: Vec<Vec<&str>> = Vec::new();
        for kind in ["shift", "day", "hour", "order", "all"] {
            asked.push(vec!["--window", kind]);
            asked.push([&["--window", kind], &range[..]].concat());
            asked.push(vec!["--window", kind, "--machine", "m1"]);
        }
        let kept: Vec<Vec<Value>> = asked.iter().map(|words| windows(report(folder.path(), words))).collect();
        by_hand(folder.path(), NO_HISTORY);
        for (words, kept) in asked.iter().zip(kept) {
            let counted = windows(report(folder.path(), words));
            assert_eq!(kept.len(), counted.len(), "{words:?}");
            for (kept, counted) in kept.iter().zip(&counted) {
                // A statement that was final, unresolved, is not told again for what shows behind it.
                let was_dark = kept["flags"].as_array().unwrap().contains(&"unresolved".into());
                let fields = kept.as_object().unwrap().iter();
                for (field, value) in
                    fields.filter(|(field, _)| !(was_dark && ["parts_bounds", "flags"].contains(&field.as_str())))
                {
                    assert_eq!(value, &counted[field], "{words:?} {} {} {field}", kept["machine"], kept["id"]);
                }
            }
            assert!(!kept.is_empty(), "{words:?}");
        }
    }
}

/// Few windows are shown with their downtimes, many are not even read with them.
#[test]
fn every_format_says_the_same_with_and_without_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut plant = Plant::open(folder.path(), 3, Temper { faults: false, dark: 0, ..LIVELY }, 13);
    plant.live(BEGIN.plus(9 * DAY_MS + 5 * HOUR_MS));
    plant.close(true);
    let few = ["--from", "2026-10-21T10:20:00Z", "--to", "2026-10-21T23:30:00+02:00"];
    let mut asked: Vec<Vec<&str>> = Vec::new();
    for format in ["table", "csv", "losses"] {
        for kind in ["shift", "day"] {
            for by in ["machine", "line", "site"] {
                asked.push(vec!["--format", format, "--window", kind, "--by", by]);
                asked.push([&["--format", format, "--window", kind, "--by", by], &few[..]].concat());
            }
        }
    }
    // The journal alone does not tell how often the days of machines with shifts were others.
    by_hand(folder.path(), "UPDATE stated SET revision = 1 WHERE kind = 'day' AND machine <> 'm1'");
    let all = || asked.iter().map(|words| ask(folder.path(), &[&["report"], &words[..]].concat())).collect::<Vec<_>>();
    let kept = all();
    // From the machine on whose pages cannot be used, everything comes from the journal: no line twice, none left out.
    let hours = || ask(folder.path(), &["report", "--format", "csv", "--window", "hour"]);
    let of_pages = hours();
    by_hand(folder.path(), "UPDATE page SET stale = 1 WHERE machine = 'm1'");
    assert_eq!(of_pages, hours());
    by_hand(folder.path(), NO_HISTORY);
    assert_eq!(of_pages, hours());
    for ((words, kept), counted) in asked.iter().zip(kept).zip(all()) {
        assert_eq!(kept, counted, "{words:?}");
        assert_eq!((kept.0, kept.2.as_str()), (0, ""), "{words:?}");
        assert!(kept.1.lines().count() >= 2, "{words:?}: {}", kept.1);
        let has_downtimes = kept.1.contains("  downtimes m");
        let is_block = words.contains(&"table") && words.contains(&"--from");
        assert_eq!(has_downtimes, is_block, "{words:?}: {}", kept.1);
    }
}

#[test]
fn where_the_clock_was_set_a_report_says_the_same_with_and_without_what_is_kept() {
    let steps = [
        [7 * MINUTE_MS, -12 * MINUTE_MS],
        [-9 * HOUR_MS, 5 * HOUR_MS],
        [14 * HOUR_MS, -15 * HOUR_MS],
        [-16 * HOUR_MS, 40],
    ];
    for (seed, steps) in (31..).zip(steps) {
        let folder = tempfile::tempdir().unwrap();
        let temper = Temper { faults: false, dark: 0, ..LIVELY };
        let mut plant = Plant::open(folder.path(), 2, temper, seed);
        let mut until = BEGIN;
        for step_ms in steps {
            until = until.plus(DAY_MS + 13 * HOUR_MS);
            plant.live(until);
            plant.set_clock(step_ms);
            plant.close(step_ms > 0);
            plant.reopen();
        }
        plant.live(until.plus(2 * DAY_MS + 5 * HOUR_MS));
        plant.close(true);
        let (code, out, err) = ask(folder.path(), &["report", "--verify"]);
        assert_eq!((code, err.as_str()), (0, ""), "{steps:?}: {out}");
        let kinds = ["shift", "day", "hour", "order", "all"];
        let all = || kinds.map(|kind| windows(report(folder.path(), &["--window", kind])));
        let kept = all();
        by_hand(folder.path(), NO_HISTORY);
        for ((kind, kept), counted) in kinds.iter().zip(kept).zip(all()) {
            assert_eq!(kept.len(), counted.len(), "{steps:?} {kind}");
            for (kept, counted) in kept.iter().zip(&counted) {
                for (field, value) in kept.as_object().unwrap() {
                    let name = format!("{steps:?} {kind} {} {} {field}", kept["machine"], kept["id"]);
                    assert_eq!(value, &counted[field], "{name}");
                }
            }
            assert!(!kept.is_empty(), "{kind}");
        }
    }
}

#[test]
fn verify_finds_what_was_changed_by_another_hand() {
    let folder = tempfile::tempdir().unwrap();
    let mut plant = Plant::open(folder.path(), 3, LIVELY, 21);
    plant.live(BEGIN.plus(5 * DAY_MS));
    plant.close(true);
    let verify = || ask(folder.path(), &["report", "--verify"]);
    let (code, out, err) = verify();
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("windows and pages say what the journal tells up to event"), "{out}");
    let (code, out, _) = ask(folder.path(), &["report", "--verify", "--format", "json", "--machine", "m1"]);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, found["differs"].as_array().unwrap().len()), (0, 0));
    assert!(found["equal"].as_u64().unwrap() >= 8, "{found}");
    assert_eq!(ask(folder.path(), &["report", "--verify", "--format", "csv"]).0, 64);

    let before = fs::read(folder.path().join("data/andon.db")).unwrap();
    for (sql, words) in [
        ("UPDATE stated SET run_ms = run_ms + 7 WHERE id = '2026-10-20/late'", "m0  shift 2026-10-20/late  run_ms: "),
        (
            "UPDATE stated SET total = 5 WHERE kind = 'day' AND machine = 'm2' AND id = '2026-10-21'",
            "m2  day 2026-10-21  counts.total: 5 is kept, 0 by the journal",
        ),
        (
            "DELETE FROM stated WHERE id = '2026-10-20/late'",
            "m0  shift 2026-10-20/late  kept: false is kept, true by the journal",
        ),
        (
            "UPDATE page SET body = replace(body, 'running', 'still') WHERE id = '2026-10-20' AND machine = 'm1'",
            "m1  page 2026-10-20  intervals[",
        ),
        ("UPDATE stated SET stops = stops + 1 WHERE id = '2026-10-20/late'", "m0  shift 2026-10-20/late  stops: "),
        (
            "DELETE FROM stated_more WHERE id = '2026-10-20/late'",
            "m0  shift 2026-10-20/late  downtimes[0]: null is kept",
        ),
        ("DELETE FROM page WHERE id = '2026-10-20' AND machine = 'm1'", "m1  page 2026-10-20  kept: false is kept"),
        (
            "UPDATE page SET stale = 1 WHERE id = '2026-10-20' AND machine = 'm1'",
            "m1  page 2026-10-20  stale: true is kept",
        ),
    ] {
        by_hand(folder.path(), sql);
        let (code, out, err) = verify();
        assert_eq!(code, 65, "{sql}: {out}");
        assert!(out.contains(words), "{sql}: {out}");
        assert!(err.contains("1 figures differ") || out.lines().count() > 2, "{sql}: {err}");
        fs::write(folder.path().join("data/andon.db"), &before).unwrap();
    }
    assert_eq!(verify().0, 0);
}

#[test]
fn other_rules_are_kept_with_what_was_made_under_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut plant = Plant::open(folder.path(), 3, LIVELY, 31);
    plant.live(BEGIN.plus(4 * DAY_MS));
    plant.close(true);
    let before = windows(report(folder.path(), &["--window", "day"]));
    let toml = fs::read_to_string(folder.path().join("andon.toml")).unwrap();
    let other =
        toml.replace("ideal_cycle = \"10s\"", "ideal_cycle = \"20s\"").replace("end = \"09:15\"", "end = \"09:45\"");
    fs::write(folder.path().join("andon.toml"), other).unwrap();
    let (code, out, _) = ask(folder.path(), &["report", "--verify"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("made under rules that are no longer in force, and counted anew under those"), "{out}");
    let after = windows(report(folder.path(), &["--window", "day"]));
    let is_final = |window: &&Value| window["final"] == true && window["machine"] == "m0";
    let days = |all: &[Value]| all.iter().filter(is_final).cloned().collect::<Vec<Value>>();
    assert_eq!(days(&before), days(&after), "what is over stays as it was made");
    assert!(days(&before).len() >= 3);
}

#[test]
fn a_correction_of_last_week_makes_its_days_and_statements_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut plant = Plant::open(folder.path(), 3, LIVELY, 41);
    plant.live(BEGIN.plus(9 * DAY_MS));
    plant.settle();
    let data_dir = plant.data_dir();
    let mut corrected = 0;
    for machine in ["m0", "m1", "m2"] {
        let closed = |told: &Told| match &told.event {
            Event::Stop(stop::Event::Downtime(downtime)) if downtime.machine == machine => {
                let is_old = downtime.stop.ended_at.is_some_and(|ended| ended < BEGIN.plus(5 * DAY_MS));
                (is_old && downtime.change == stop::Change::Closed).then(|| downtime.stop.clone())
            }
            _ => None,
        };
        let stops: Vec<_> = plant.told.iter().filter_map(closed).collect();
        let pages = |day: Stamp| Reader::open(&data_dir).unwrap().page(machine, day).unwrap().unwrap();
        for stop in stops.iter().step_by(stops.len() / 3 + 1) {
            let before = pages(stop.from);
            let span = (stop.from, stop.ended_at.unwrap().plus(1));
            let code = Some(
                if stop.reason.as_ref().is_some_and(|reason| reason.code == "jam") { "tool" } else { "jam" }.to_owned(),
            );
            plant.command(machine, span, Wish::Reason { downtime_id: stop.downtime_id(), code }).unwrap();
            plant.settle();
            assert_ne!(pages(stop.from).body, before.body);
            corrected += 1;
        }
    }
    assert!(corrected >= 6, "{corrected}");
    plant.live(BEGIN.plus(10 * DAY_MS));
    plant.close(true);
    check(&plant, &data_dir);
    let (code, out, err) = ask(folder.path(), &["report", "--verify"]);
    assert_eq!(code, 0, "{out}{err}");
    let revised = report(folder.path(), &["--window", "shift"]);
    let revisions =
        revised["windows"].as_array().unwrap().iter().filter(|window| window["revision"].as_u64() > Some(1));
    assert!(revisions.count() >= 3);
}

/// This test file again, as another process that runs only the test of this name.
fn child(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", name, "--nocapture"]).env("FOLDER", folder);
    command
}

#[test]
fn killed_at_any_moment_the_history_is_that_of_the_events() {
    for kill in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let mut writer =
            child("lives_until_killed", folder.path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines().map(Result::unwrap);
        for _ in 0..(20 + kill * kill * 25) {
            lines.find(|line| line.starts_with("lived ")).expect("the plant lives");
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        let mut plant = Plant::open(folder.path(), 3, LIVELY, 51);
        let all = Reader::open(&plant.data_dir()).unwrap().rows_after(0, u64::MAX).unwrap();
        plant.told = all.iter().map(|row| serde_json::from_str(&row.internal).unwrap()).collect();
        plant.close(true);
        let (windows, pages) = check(&plant, &plant.data_dir());
        println!("killed after {} events: {windows} windows, {pages} pages", plant.told.len());
        let (code, out, err) = ask(folder.path(), &["report", "--verify"]);
        assert_eq!(code, 0, "{out}{err}");
    }
}

#[test]
#[ignore = "run by the test that kills it"]
fn lives_until_killed() {
    let folder = std::path::PathBuf::from(std::env::var_os("FOLDER").expect("started by another test"));
    let mut plant = Plant::open(&folder, 3, LIVELY, 51);
    loop {
        plant.live(plant.now.plus(HOUR_MS));
        println!("lived {}", plant.told.len());
    }
}

/// What the first release made, to the letter.
const FORMAT_1: &str = "
    CREATE TABLE meta (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        instance BLOB NOT NULL,
        epoch INTEGER NOT NULL,
        rules TEXT
    ) STRICT;
    CREATE TABLE journal (
        sequence INTEGER PRIMARY KEY,
        epoch INTEGER NOT NULL,
        kind TEXT NOT NULL,
        machine TEXT,
        topic TEXT NOT NULL,
        topic_sequence INTEGER NOT NULL,
        body BLOB NOT NULL,
        internal TEXT NOT NULL,
        chain BLOB NOT NULL
    ) STRICT;
    CREATE TABLE milestone (
        topic TEXT NOT NULL,
        topic_sequence INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        PRIMARY KEY (topic, topic_sequence)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE snapshot (
        sequence INTEGER PRIMARY KEY,
        at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
        body TEXT NOT NULL
    ) STRICT;
    CREATE TABLE mark (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
        body TEXT NOT NULL
    ) STRICT;
    CREATE TABLE cursor (
        name TEXT PRIMARY KEY,
        sequence INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;
";

/// `andon run`, until it has said this; then SIGTERM.
fn run_until(folder: &Path, what: &str) {
    let mut daemon = andon(folder, &["run"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&daemon);
    let lines = BufReader::new(daemon.stderr.take().unwrap()).lines().map(Result::unwrap);
    let (line, heard) = mpsc::channel();
    thread::spawn(move || lines.map_while(|said| line.send(said).ok()).for_each(drop));
    let mut said = Vec::new();
    while !said.last().is_some_and(|line: &String| line.contains(what)) {
        said.push(heard.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("it never said {what:?}: {said:#?}")));
    }
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let left: Vec<String> = heard.iter().collect();
    assert!(daemon.wait().unwrap().success(), "{left:#?}");
}

#[test]
fn a_database_of_the_first_release_gets_its_history_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut plant = Plant::open(folder.path(), 3, LIVELY, 61);
    plant.live(BEGIN.plus(8 * DAY_MS));
    plant.close(true);
    let db = folder.path().join("data/andon.db");
    let made = folder.path().join("made.db");
    fs::rename(&db, &made).unwrap();
    // It knew of no other file.
    fs::remove_file(folder.path().join("data/superblock")).unwrap();
    by_hand(folder.path(), FORMAT_1);
    let tables = ["meta", "journal", "milestone", "snapshot", "mark", "cursor"];
    let copies = tables.map(|table| format!("INSERT INTO main.{table} SELECT * FROM made.{table};")).concat();
    by_hand(folder.path(), &format!("PRAGMA journal_mode = WAL; ATTACH '{}' AS made; {copies}", made.display()));

    let is_final =
        |window: &Value| window["final"] == true && !window["flags"].as_array().unwrap().contains(&"unresolved".into());
    let before: Vec<Value> =
        windows(report(folder.path(), &["--window", "day"])).into_iter().filter(is_final).collect();
    assert!(before.len() >= 15);
    let (code, _, err) = ask(folder.path(), &["report", "--verify"]);
    assert_eq!(code, 69, "{err}");
    assert!(err.contains("there is no history of this journal yet"), "{err}");

    run_until(folder.path(), "the history of days that are over is made");
    let (code, out, err) = ask(folder.path(), &["report", "--verify"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("are statements whose rules nobody has kept"), "{out}");
    let after = windows(report(folder.path(), &["--window", "day"]));
    for day in before.iter().filter(|day| day["machine"] != "m1") {
        assert!(after.contains(day), "{day}");
    }
    // It is made once, and nothing is said of it any more.
    let pages = Reader::open(&folder.path().join("data")).unwrap().pages("m0", ALWAYS, false).unwrap().len();
    run_until(folder.path(), "gateway started");
    let again = Reader::open(&folder.path().join("data")).unwrap().pages("m0", ALWAYS, false).unwrap().len();
    assert_eq!(pages, again);
    let (code, out, err) = ask(folder.path(), &["report", "--verify"]);
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn an_older_andon_goes_on_in_between_and_the_history_catches_up() {
    // Without a snapshot of its own what it wrote is the tail of the next start; with one the history is made anew.
    for with_snapshots in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut plant = Plant::open(folder.path(), 3, LIVELY, 71);
        plant.live(BEGIN.plus(3 * DAY_MS));
        plant.close(true);
        plant.reopen();
        plant.is_older = true;
        plant.snapshot_every(if with_snapshots { 100 } else { u64::MAX / 2 });
        plant.live(BEGIN.plus(5 * DAY_MS));
        plant.close(with_snapshots);
        plant.is_older = false;
        if with_snapshots {
            run_until(folder.path(), "the history of days that are over is made");
        } else {
            plant.reopen();
            plant.live(BEGIN.plus(6 * DAY_MS));
            plant.close(true);
            check(&plant, &plant.data_dir());
        }
        let (code, out, err) = ask(folder.path(), &["report", "--verify"]);
        assert_eq!(code, 0, "{out}{err}");
    }
}
